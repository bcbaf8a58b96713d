/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Better levels than marginal analysis ends with: which units to move away from the levels that the dual's price chooses.
 *
 * At that price p every other level of a unit has a reduced cost, B K + p w / K less what the chosen one has, at least 0. A
 * plan that moves some units is above the bound by exactly their reduced costs and the part of the limit, in joules, that
 * it leaves unused. So a level whose reduced cost is not below the gap is in no better plan, and branch and bound over the others,
 * cheapest first, finds the best set of a few moves. It gives up after a fixed number of trials: then the best one so far counts.
 *
 * Source  reduced-cost fixing and the core of a multiple-choice knapsack [Pisinger 1995].
 */
#ifndef DP_LEARN_EXCHANGE_H
#define DP_LEARN_EXCHANGE_H

#include "learn/dual.h"

/**
 * Replace k by a better plan, if one is found that keeps to the limit.
 *
 * Shapes  k [units], which keeps to the limit itself.
 * Errors  DP_EMEMORY; k is then unchanged.
 */
dp_status dp_exchange(const dp_levels_problem *problem, const dp_dual *dual, double *k,
                      dp_error *err);

/** Take single steps, the best first, while any lowers what is minimised and keeps to the limit. */
void dp_exchange_steps(const dp_levels_problem *problem, double *k);

#endif
