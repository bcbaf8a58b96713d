/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Shrinkage of units towards their layer, where the derivative that would move them apart is mostly noise.
 *
 * A search moves x_u = d_u times the change of log K_u, scaled so that curvature is about 1 in all of them. Of a layer's step a common part is
 * free; what a unit moves beyond it, y_u, costs 1/2 kappa_u y_u^2, the prior that y_u is normal with the variance tau^2 of its layer:
 * kappa_u = v_u / tau^2, v_u the variance of the derivative's error and tau^2 what the spread of the layer's
 * derivatives has beyond v (by moments, empirical Bayes). The minimum of a unit then moves by 1 / (1 + kappa_u) of what its
 * derivative asks for.
 * Source  docs/methods.md, "Refinement"; [Efron & Morris 1973].
 */
#ifndef DP_LEARN_SHRINK_H
#define DP_LEARN_SHRINK_H

#include "learn/search.h"

typedef struct dp_shrink {
    int units, layers;
    int *layer;    /* [units] */
    double *scale; /* [units] d, above 0, the caller's to set before anything else is called */
    double *kappa; /* [units] */
    double *sum;   /* [layers, 3] scratch */
} dp_shrink;

/** Errors: DP_EMEMORY; dp_shrink_close releases what there is. */
dp_status dp_shrink_open(dp_shrink *out, const dp_search *s, dp_error *err);
void dp_shrink_close(dp_shrink *shrink);

/** Set kappa from derivatives by x and the variance of their error. NaN: not known, then kappa is 1. Shapes: [units] both. */
void dp_shrink_learn(dp_shrink *shrink, const double *slope, const double *variance);

/** The penalty at x; its derivative is added to slope. Shapes: [units] both. */
double dp_shrink_penalty(const dp_shrink *shrink, const double *x, double *slope);

#endif
