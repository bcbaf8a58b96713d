/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Statistics of the sites' input channels, which the survey takes along where the engine is asked for them (dp_engine_options.inputs).
 * Sites that read the same value share them. Products of two activations and recurrent states have none.
 */
#ifndef DP_ENGINE_INPUTS_H
#define DP_ENGINE_INPUTS_H

#include "engine/state.h"
#include "engine/tail.h"

/* Extremes of one channel over the samples of each half; they do not depend on order. */
typedef struct dp_input_range {
    float half[2][2]; /* low, high; high < low: nothing was seen */
} dp_input_range;

/* What one thread sees of channels but for sums. */
typedef struct dp_input_view {
    dp_input_range *ranges; /* [e->inputs] */
    dp_tail *
        tails; /* [2][channels] of an operand, halves first, as moments are; NULL where ranges are extremes */
} dp_input_view;

/** Find out which operands are meant, and make room for what will be known of them. Errors: DP_EMEMORY. */
dp_status dp_inputs_prepare(dp_engine *e, dp_error *err);

/** Bytes that a group's sum needs for them. */
size_t dp_inputs_sum_bytes(const dp_engine *e);

/** The share of operands' values that the input converters keep, in percent: 100 on hardware where their range does not matter. */
double dp_inputs_percentile(const dp_engine *e);

/** How many tails there are: 2 [e->inputs], or 0 where no converter cuts at a percentile. */
size_t dp_inputs_tails(const dp_engine *e);

/** Nothing was seen yet; false where there is no memory. Release what was made either way. */
bool dp_inputs_make_view(const dp_engine *e, dp_input_view *view);
void dp_inputs_release_view(dp_input_view *view);

/** Add the operand of a site in the batch at hand. Shapes: sum: as dp_inputs_sum_bytes says. */
void dp_inputs_add(const dp_worker *w, int site, const dp_tensor *in, double *sum,
                   const dp_input_view *view);

/** Add what another thread saw. */
void dp_inputs_merge_view(const dp_engine *e, const dp_input_view *into, const dp_input_view *from);

/** Moments from the groups' sums, in order; sums[g * stride] is where those of group g begin. */
typedef struct dp_input_sums {
    const double *sums;
    int groups;
    size_t stride;
} dp_input_sums;
void dp_inputs_fold(dp_engine *e, const dp_input_sums *sums, const dp_input_view *view,
                    int64_t samples);

/** Bytes of all that is kept, from e->moments on: moments, then tails. */
size_t dp_inputs_kept_bytes(const dp_engine *e);

#endif
