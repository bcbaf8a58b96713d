/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Searches that take a step on each mini-batch: a fresh draw, the derivative there, and Adam's step along what is made of it. */
#ifndef DP_LEARN_STEPS_H
#define DP_LEARN_STEPS_H

#include "learn/refine/batches.h"
#include "learn/refine/moments.h"

typedef struct dp_steps {
    dp_search *s;
    dp_watch watch;
    dp_slope slope; /* of the batch at hand */
    dp_batches batches;
    dp_moments moments; /* moments.k: where the search is */
    double *gradient;   /* [units] for the taker of a step */
    bool paired;
} dp_steps;

/**
 * Batches of `size` samples at most, with a draw each or, `paired`, with one and its opposite; dp_moments_place says where to begin.
 *
 * Errors  DP_EMEMORY; dp_steps_close releases what there is.
 */
dp_status dp_steps_open(dp_steps *steps, dp_search *s, int64_t size, bool paired,
                        const dp_stop *usual, dp_error *err);
void dp_steps_close(dp_steps *steps);

/** Measure steps->slope at moments.k on batch after batch, and call `take` for the step, until the limits are reached. */
dp_status dp_steps_run(dp_steps *steps, void (*take)(void *context, dp_steps *steps), void *context,
                       dp_error *err);

/** Hand the result on: shape such that K is t times it. Shapes: shape [units]. */
void dp_steps_shape(const dp_steps *steps, double t, double *shape);

#endif
