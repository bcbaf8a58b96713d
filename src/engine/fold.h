/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Passes that add something up for every channel: means over positions and draws, and what the spread of the groups of samples
 * says of their error.
 */
#ifndef DP_ENGINE_FOLD_H
#define DP_ENGINE_FOLD_H

#include "engine/state.h"

/* Sums of each group over the draws: of every channel, then the number of positions that they are over. */
typedef struct dp_fold {
    double *sums; /* [groups, channels + 1] */
    int groups;
    int64_t channels;
} dp_fold;

/**
 * Run the pass for each of its trials; `batch` and the hooks add to the worker's sum, [channels + 1] doubles.
 *
 * Errors  as dp_engine_pass; nothing is to be freed then.
 */
dp_status dp_fold_pass(dp_fold *out, dp_engine *engine, const dp_pass *pass, dp_error *err);
void dp_fold_free(dp_fold *fold);

/**
 * Mean a position, groups added up in order; variance of that mean (NULL: not wanted), NaN with a single group.
 *
 * Shapes  mean, variance [channels].
 * Source  a ratio of sums over independent groups: G / (G - 1) sum (x_g - n_g mean)^2 / (sum n_g)^2  [Cochran 1977, ch. 6].
 */
void dp_fold_mean(const dp_fold *fold, double *mean, double *variance);

#endif
