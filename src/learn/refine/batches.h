/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Mini-batches: random samples of the learn set, each once before any is seen again. */
#ifndef DP_LEARN_BATCHES_H
#define DP_LEARN_BATCHES_H

#include <gsl/gsl_rng.h>

#include "learn/refine/objective.h"

typedef struct dp_batches {
    const dp_search *s;
    gsl_rng *rng;
    int64_t *order;     /* [samples] of the learn set, shuffled anew when they are used up */
    int64_t *numbers;   /* [size] */
    int64_t used, size; /* of order; samples a batch */
} dp_batches;

/**
 * Batches of `size` samples, or of all where there are fewer.
 *
 * Random  the order, from the search's seed.
 * Errors  DP_EMEMORY; dp_batches_close releases what there is.
 */
dp_status dp_batches_open(dp_batches *b, const dp_search *s, int64_t size, dp_error *err);
void dp_batches_close(dp_batches *b);

/** The next batch; what does not fill one at an epoch's end is left out. dp_part_clear releases it. Errors: DP_EMEMORY. */
dp_status dp_batches_next(dp_batches *b, dp_part *part, dp_error *err);

#endif
