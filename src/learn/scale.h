/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How precise a family has to be: the smallest t at which the learn set, were it as large as the check set, would certify the
 * budget, or at which it diverges from the clean output as much as another family does. Brent's method (GSL) on log t,
 * against the measurement under common random numbers.
 */
#ifndef DP_LEARN_SCALE_H
#define DP_LEARN_SCALE_H

#include "learn/search.h"

typedef struct dp_scale {
    double guess;     /* where to start */
    double tolerance; /* of log t */
    int trials;       /* draws an evaluation */
} dp_scale;

/**
 * Errors  DP_EBUDGET: the budget fails even at the family's highest precision (err says by how much); DP_ECANCELLED;
 *         as dp_engine_evaluate.
 */
dp_status dp_scale_find(dp_search *s, const dp_family *family, const dp_scale *scale, double *t,
                        dp_error *err);

/**
 * The t at which a family diverges from the clean output of the learn set by `target` nats, or the end of its range. Divergence falls
 * about as 1/t, so two steps of t <- t * kl(t) / target come close; a step that leaves little is the only one.
 *
 * Shapes  *t is the guess to start from.
 */
dp_status dp_scale_diverge(dp_search *s, const dp_family *family, double target, double *t,
                           dp_error *err);

/**
 * The t at which a family diverges as much as `k` does: a smooth stand-in for any budget that `k` meets.
 *
 * Shapes  k [units]; *t is the guess to start from.
 */
dp_status dp_scale_match(dp_search *s, const dp_family *family, const double *k, double *t,
                         dp_error *err);

#endif
