/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/batches.h"

#include <gsl/gsl_randist.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/refine/seed.h"

dp_status dp_batches_open(dp_batches *b, const dp_search *s, int64_t size, dp_error *err) {
    int64_t samples = s->learn.samples;
    *b = (dp_batches){.s = s, .used = samples, .size = samples < size ? samples : size};
    b->rng = dp_seed_rng(s->options->seed);
    b->order = dp_alloc((size_t)samples, sizeof *b->order);
    b->numbers = dp_alloc((size_t)b->size, sizeof *b->numbers);
    if (!b->rng || !b->order || !b->numbers)
        return dp_fail(err, DP_EMEMORY, "no memory for a search");
    for (int64_t i = 0; i < samples; i++) b->order[i] = i;
    return DP_OK;
}

void dp_batches_close(dp_batches *b) {
    if (b->rng) gsl_rng_free(b->rng);
    dp_free(b->order);
    dp_free(b->numbers);
    *b = (dp_batches){0};
}

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

dp_status dp_batches_next(dp_batches *b, dp_part *part, dp_error *err) {
    int64_t samples = b->s->learn.samples;
    if (b->used + b->size > samples) {
        gsl_ran_shuffle(b->rng, b->order, (size_t)samples, sizeof *b->order);
        b->used = 0;
    }
    memcpy(b->numbers, b->order + b->used, (size_t)b->size * sizeof *b->numbers);
    b->used += b->size;
    qsort(b->numbers, (size_t)b->size, sizeof *b->numbers, ascending);
    return dp_part_pick(part, b->s, b->numbers, b->size, err);
}
