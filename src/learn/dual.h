/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The integer problem that rounding solves, and its Lagrangian dual: with a price of p joules a nat,
 *
 *     g(p) = sum over units of min over levels of B K + p w / K
 *
 * is separable, concave and piecewise linear in p. For any p, g(p) - p L is at most the least energy at a loss L, and (g(p) - E) / p
 * at most the least loss within an energy E; the largest of these is the bound. Its corner is found by bisection, because
 * levels rise with the price.
 *
 * Source  [Everett 1963]: what g(p) chooses is optimal for its own loss; [Geoffrion 1974]: the bound equals that of the linear
 *         program with one variable a unit and level.
 */
#ifndef DP_LEARN_DUAL_H
#define DP_LEARN_DUAL_H

#include "learn/units.h"

typedef struct dp_levels_problem {
    const dp_units *units;
    const dp_hardware *hardware; /* levels are not continuous */
    const double *weight;        /* [units] w: what a unit adds to the loss at K = 1 */
    bool within;  /* least loss within an energy, sum of B K; else least energy at a loss */
    double limit; /* that energy, J, or that loss */
} dp_levels_problem;

typedef struct dp_dual {
    double price;          /* J a nat */
    double bound;          /* of the loss or the energy that is minimised */
    double *below, *above; /* [units], the caller's: the levels on both sides of the price */
} dp_dual;

/** Find the best price. Units whose levels differ between `below` and `above` are tied at it. */
void dp_dual_solve(const dp_levels_problem *problem, dp_dual *dual);

/** sum of w / K. */
double dp_dual_loss(const dp_levels_problem *problem, const double *k);

/** Neighbours of a level that the unit may have; the level itself on a bound. */
double dp_dual_next(const dp_levels_problem *problem, int unit, double level);
double dp_dual_previous(const dp_levels_problem *problem, int unit, double level);

#endif
