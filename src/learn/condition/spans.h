/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What thermal noise is made of at the sites that read one operand, R_x² sum_c R_w,c²: ranges of the input converter, which cuts at a
 * percentile, and of the rows of weights. Its logarithm has a slope by each log alpha_j: twice the share that channel j has of the
 * inputs' range, less twice the one that it has of the rows'. At the least of it both are equal.
 *
 * Source  docs/methods.md, "Conditioning".
 */
#ifndef DP_LEARN_SPANS_H
#define DP_LEARN_SPANS_H

#include "engine/expect.h"
#include "learn/condition/balance.h"

typedef struct dp_spans {
    const dp_readers *readers;
    int samples;
    const dp_input_moments *moments; /* [inputs] of the samples */
    const float *mu;                 /* [inputs] or NULL */
    float **weights; /* [readers.count] how far weights reach: up [channels, width], then down */
    double *whole;   /* [readers.count] sum_c R_w,c² with alphas of 1 */
    float *inverse;  /* [inputs] 1 / alpha */
    double *of_rows, *of_inputs, *one; /* [inputs] shares, the last one a single site's */
} dp_spans;

/** Look at the weights. Errors: DP_EMEMORY; it is to be cleared then, too. */
dp_status dp_spans_open(dp_spans *spans, dp_error *err);
void dp_spans_clear(dp_spans *spans);

/** R_x² sum_c R_w,c², the sum relative to what it is without alphas, mean over sites; takes shares. Shapes: alpha [inputs]. */
double dp_spans_noise(dp_spans *spans, const float *alpha);

/* From fourth powers, but for a factor, to alphas that are within bounds. Shapes: [count]. */
typedef void dp_spans_bound(const double *fourth, int64_t count, float *alpha);

/** Lower the noise from where alpha is; it stays where nothing lower is found. Shapes: alpha [inputs]. Errors: DP_EMEMORY. */
dp_status dp_spans_lower(dp_spans *spans, dp_spans_bound *bound, float *alpha, dp_error *err);

#endif
