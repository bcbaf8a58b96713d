/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rounding to the hardware's levels: marginal analysis at the dual's price, then an exchange of steps.
 *
 * The shape of the relaxed K, K = t r, says what the loss is taken to be: sum of w / K with w in proportion to B r², whose
 * relaxation it is. After relaxation that is s itself; a refined shape stays what it is, too.
 *
 * Source  [Fox 1966]: marginal analysis is exact for separable convex problems with equal costs; otherwise off by less than its
 *         last step. learn/dual.h bounds the optimum from below, so the gap is known.
 */
#ifndef DP_LEARN_ROUND_H
#define DP_LEARN_ROUND_H

#include "learn/units.h"

typedef struct dp_allocation {
    const dp_units *units;
    const dp_hardware *hardware;
    const double *shape; /* [units] r, above 0 */
} dp_allocation;

/**
 * Round `k` in place, to no more than its predicted loss.
 *
 * Shapes  k [units]: relaxed in, levels out.
 * Errors  DP_EMEMORY; k is then unchanged.
 */
dp_status dp_round_levels(const dp_allocation *allocation, double *k, dp_rounding *result,
                          dp_error *err);

/** As above, but with the least loss within an energy: sum of B K is at most `energy_j`. */
dp_status dp_round_within(const dp_allocation *allocation, double energy_j, double *k,
                          dp_rounding *result, dp_error *err);

/** Of what was not rounded. */
dp_rounding dp_round_nothing(void);

#endif
