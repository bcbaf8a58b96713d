/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef DP_ENGINE_SCORE_H
#define DP_ENGINE_SCORE_H

#include "dynaprec/engine.h"

/* The logits of one sample, noisy and clean (the same pointer: clean), and its labels, which may be NULL. */
typedef struct dp_prediction {
    const float *noisy, *clean; /* [rows, classes] */
    const int64_t *labels;      /* [rows] */
    int64_t rows, classes;
} dp_prediction;

/* The outputs of one sample of a regression; targets may be NULL. */
typedef struct dp_estimate {
    const float *noisy, *clean, *targets; /* [count] */
    int64_t count;
    double spread; /* variance of the clean output over the data */
} dp_estimate;

/**
 * Score one sample of a regression: one row; loss is the mean squared error from the targets, kl the mean squared
 * difference from the clean output in parts of its variance.
 */
dp_score dp_score_estimate(const dp_estimate *estimate);

/** Mean over outputs of their variance over samples. Shapes: values [samples, count]. */
double dp_score_spread(const float *values, int64_t samples, int64_t count);

/** Score one sample, summed over the rows whose label is not ignored. */
dp_score dp_score_sample(const dp_prediction *prediction);

/** log(sum exp x): log p[i] = x[i] - this. */
double dp_log_sum_exp(const float *x, int64_t count);

#endif
