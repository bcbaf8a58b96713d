/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Statistics of the sites' input channels, which the survey takes along where the engine is asked for them (dp_engine_options.inputs).
 * Sites that read the same value share them. Products of two activations and recurrent states have none.
 */
#ifndef DP_ENGINE_INPUTS_H
#define DP_ENGINE_INPUTS_H

#include "engine/state.h"

/* Extremes of one channel over the samples of each half; they do not depend on order. */
typedef struct dp_input_range {
    float half[2][2]; /* low, high; high < low: nothing was seen */
} dp_input_range;

/** Find out which operands are meant, and make room for what will be known of them. Errors: DP_EMEMORY. */
dp_status dp_inputs_prepare(dp_engine *e, dp_error *err);

/** Bytes that a group's sum needs for them. */
size_t dp_inputs_sum_bytes(const dp_engine *e);

/** Nothing was seen yet. Shapes: ranges [e->inputs]. */
void dp_inputs_clear_ranges(const dp_engine *e, dp_input_range *ranges);

/** Add the operand of a site in the batch at hand. Shapes: sum: as dp_inputs_sum_bytes says; ranges [e->inputs]. */
void dp_inputs_add(const dp_worker *w, int site, const dp_tensor *in, double *sum,
                   dp_input_range *ranges);

/** Widen ranges by others, [e->inputs]. */
void dp_inputs_merge_ranges(const dp_engine *e, dp_input_range *into, const dp_input_range *from);

/** Moments from the groups' sums, in order; sums[g * stride] is where those of group g begin. */
typedef struct dp_input_sums {
    const double *sums;
    int groups;
    size_t stride;
} dp_input_sums;
void dp_inputs_fold(dp_engine *e, const dp_input_sums *sums, const dp_input_range *ranges,
                    int64_t samples);

#endif
