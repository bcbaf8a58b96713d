/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The relaxation under a limit of time: minimise sum B_u K_u + m sum w_u / K_u with sum_b T_b max over b of K_u <= limit.
 *
 * With a price of v joules an operation, the units of a block that would have more than a common level M are cut to it:
 *
 *     K_u = min(t r_u, M_b),    M_b² = t² sum B r² / (sum B + v T_b), sums over the units that are cut
 *
 * and v is a 1-D root. A block of one unit has M = t r sqrt(B / (B + v T)): time is an energy there.
 * Source  docs/methods.md, "Latency budgets".
 */
#ifndef DP_LEARN_TIMED_H
#define DP_LEARN_TIMED_H

#include "learn/round.h"

/** There is a limit, and k takes longer. Shapes: k [count]. */
bool dp_timed_exceeds(const dp_units *units, const double *k);

/**
 * K at scale t within the units' limit of time, which exceeds what their lowest K take.
 *
 * Shapes  shape, k [count]. Returns the price v, J an operation; 0: the limit is not active.
 */
double dp_timed_relax(const dp_units *units, const double *shape, double t, double *k);

/** The t from which a higher one makes hardly any difference: the most precise within the limit. At least `low`. */
double dp_timed_highest(const dp_units *units, const double *shape, double low, double high);

/**
 * Levels at scale t within the limit of time: of the levels of each block the highest is chosen, which its other units keep to;
 * what lowers B K + m w / K most for its time is raised first, and pairs are exchanged while that helps.
 *
 * Shapes  k [count] out. The gap is of the energy, among plans of no more predicted loss, or of the loss, among plans of no more energy,
 *         whichever counts for more at t; both of plans within the limit.
 * Errors  DP_EMEMORY.
 */
dp_status dp_timed_levels(const dp_allocation *allocation, double t, double *k, dp_rounding *result,
                          dp_error *err);

#endif
