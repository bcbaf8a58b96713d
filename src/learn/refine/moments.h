/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Adam [Kingma & Ba 2015, algorithm 1] on log K of the units: m and v are running means of the gradient and of its square, and
 *
 *     log K -= rate m / (1 - beta1^n) / (sqrt(v / (1 - beta2^n)) + epsilon)
 */
#ifndef DP_LEARN_MOMENTS_H
#define DP_LEARN_MOMENTS_H

#include "learn/units.h"

typedef struct dp_moments {
    int step;               /* n */
    double *k;              /* [units] */
    double *log_k;          /* [units] */
    double *first, *second; /* [units] m, v */
} dp_moments;

/** Room for the units; dp_moments_place comes before a step. Errors: DP_EMEMORY; dp_moments_close releases what there is. */
dp_status dp_moments_open(dp_moments *m, const dp_units *u, dp_error *err);
void dp_moments_close(dp_moments *m);

/** Set K, brought within the units' bounds. Shapes: k [units]. */
void dp_moments_place(dp_moments *m, const dp_units *u, const double *k);

/** One step along the gradient by log K; what leaves the bounds is brought back. Shapes: gradient [units]. */
void dp_moments_step(dp_moments *m, const dp_units *u, const double *gradient, double rate);

#endif
