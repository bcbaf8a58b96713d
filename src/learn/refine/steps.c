/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/steps.h"

#include "base/alloc.h"

dp_status dp_steps_open(dp_steps *steps, dp_search *s, int64_t size, bool paired,
                        const dp_stop *usual, dp_error *err) {
    *steps = (dp_steps){.s = s, .paired = paired};
    steps->watch = dp_watch_start(&s->options->stop, usual, s->options->comm);
    dp_status status = dp_batches_open(&steps->batches, s, size, err);
    if (status == DP_OK) status = dp_moments_open(&steps->moments, &s->units, err);
    if (status == DP_OK)
        status = dp_slope_open(&steps->slope, s, steps->batches.size * (1 + paired), err);
    if (status != DP_OK) return status;
    steps->gradient = dp_alloc((size_t)s->units.count, sizeof *steps->gradient);
    return steps->gradient ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for a search");
}

void dp_steps_close(dp_steps *steps) {
    dp_slope_clear(&steps->slope);
    dp_moments_close(&steps->moments);
    dp_batches_close(&steps->batches);
    dp_free(steps->gradient);
    steps->gradient = NULL;
}

static dp_status measure(dp_steps *steps, dp_error *err) {
    dp_part part;
    uint32_t draws[2] = {steps->s->next_trial++, 1};
    if (steps->paired) {
        draws[0] = DP_PAIRED_TRIALS + 2 * draws[0];
        draws[1] = 2;
    }
    dp_status status = dp_batches_next(&steps->batches, &part, err);
    if (status != DP_OK) return status;
    status = dp_slope_measure(&steps->slope, steps->s, &part, draws, steps->moments.k, err);
    dp_part_clear(&part);
    return status;
}

dp_status dp_steps_run(dp_steps *steps, void (*take)(void *context, dp_steps *steps), void *context,
                       dp_error *err) {
    bool ended = false;
    dp_status status = dp_watch_ended(&steps->watch, &ended, err);
    while (status == DP_OK && !ended) {
        status = measure(steps, err);
        if (status != DP_OK) break;
        take(context, steps);
        dp_watch_count(&steps->watch);
        status = dp_watch_ended(&steps->watch, &ended, err);
    }
    return status;
}

void dp_steps_shape(const dp_steps *steps, double t, double *shape) {
    for (int i = 0; i < steps->s->units.count; i++) shape[i] = steps->moments.k[i] / t;
}
