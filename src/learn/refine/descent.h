/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * GSL's minimisers on the measured loss with its exact pathwise derivative, at constant energy.
 *
 *     log K_u = log K0_u + x_u / d_u + c,      d_u = sqrt(2 s_u / K0_u),      c: that sum B K stays what it was
 *
 * K0 is the relaxed optimum, where the Lagrangian's second derivative by log K_u is 2 s_u / K_u, so by x_u it is 1. The derivative
 * by x at constant energy is (g_u - q_u sum g / sum q) / d_u with g = dL / d log K and q_u = B_u K_u, over units that are not on
 * a bound. Units are held to their layers (learn/refine/shrink.h).
 *
 * It goes in rounds, each with draws of its own. What a round found is taken, whole or by half, if samples and draws that it
 * has not seen say so; the first round without ends the search.
 * Source  docs/methods.md, "Refinement".
 */
#ifndef DP_LEARN_DESCENT_H
#define DP_LEARN_DESCENT_H

#include "learn/search.h"

typedef enum dp_descent { DP_DESCENT_BFGS2, DP_DESCENT_CONJUGATE_PR } dp_descent;

/**
 * Improve shape [units] in place, at the energy that it has at t; the search's sensitivities are the curvature.
 *
 * Errors  DP_EMEMORY, as dp_engine_derivative; shape is the best that was found to be better.
 */
dp_status dp_descend(dp_search *s, double t, double *shape, dp_descent how, dp_error *err);

#endif
