/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/dual.h"

#include <float.h>
#include <math.h>

#include "device/levels.h"

/* Prices nearer to each other than this are one: units that are alike tie in spite of rounding errors. */
static const double same_price = 1e-13;

/* What is fixed may lie outside the range that is left to the others. */
static double within(const dp_levels_problem *p, int i, double level) {
    return fmin(fmax(level, p->units->low[i]), p->units->high[i]);
}

double dp_dual_next(const dp_levels_problem *p, int i, double level) {
    return within(p, i, dp_level_next(p->hardware, level));
}

double dp_dual_previous(const dp_levels_problem *p, int i, double level) {
    return within(p, i, dp_level_previous(p->hardware, level));
}

double dp_dual_loss(const dp_levels_problem *p, const double *k) {
    double sum = 0;
    for (int i = 0; i < p->units->count; i++) sum += p->weight[i] / k[i];
    return sum;
}

/* B K + price w / K is convex in K, so it is least at one of the levels around sqrt(price w / B). */
static double level_at(const dp_levels_problem *p, int i, double price) {
    double cost = p->units->cost_j[i], worth = price * p->weight[i];
    if (!(cost > 0)) return worth > 0 ? p->units->high[i] : p->units->low[i];
    double below = within(p, i, dp_level_at_most(p->hardware, within(p, i, sqrt(worth / cost))));
    double above = dp_dual_next(p, i, below);
    return worth > cost * below * above ? above : below; /* worth (1/b - 1/a) > cost (a - b) */
}

static void levels_at(const dp_levels_problem *p, double price, double *k) {
    for (int i = 0; i < p->units->count; i++) k[i] = level_at(p, i, price);
}

/* Whether K is to rise further: the loss is above its limit, or the energy is not. */
static bool too_low(const dp_levels_problem *p, const double *k) {
    return p->within ? dp_units_energy(p->units, k) <= p->limit : dp_dual_loss(p, k) > p->limit;
}

/* Prices at which all units are at their lowest and at their highest. */
static void price_range(const dp_levels_problem *p, double range[2]) {
    const dp_units *u = p->units;
    range[0] = DBL_MAX;
    range[1] = 0;
    for (int i = 0; i < u->count; i++) {
        if (!(p->weight[i] > 0) || !(u->cost_j[i] > 0) || !(u->high[i] > u->low[i])) continue;
        double unit = u->cost_j[i] / p->weight[i];
        range[0] = fmin(range[0], unit * u->low[i] * u->low[i] / 2);
        range[1] = fmax(range[1], unit * u->high[i] * u->high[i] * 2);
    }
    if (range[0] > range[1]) range[0] = range[1] = 1; /* nothing to choose */
}

static double bound_at(const dp_levels_problem *p, double price, const double *k) {
    double energy = dp_units_energy(p->units, k), loss = dp_dual_loss(p, k);
    return p->within ? loss + (energy - p->limit) / price : energy + price * (loss - p->limit);
}

/* Without a corner everything is at its lowest or at its highest, and there is nothing to choose. */
static void settle(const dp_levels_problem *p, dp_dual *dual) {
    const double *k = too_low(p, dual->below) ? dual->above : dual->below;
    dual->bound = p->within ? dp_dual_loss(p, k) : dp_units_energy(p->units, k);
    for (int i = 0; i < p->units->count; i++) dual->below[i] = dual->above[i] = k[i];
}

void dp_dual_solve(const dp_levels_problem *p, dp_dual *dual) {
    double range[2];
    price_range(p, range);
    levels_at(p, range[0], dual->below);
    levels_at(p, range[1], dual->above);
    dual->price = range[1];
    if (!too_low(p, dual->below) || too_low(p, dual->above)) {
        settle(p, dual);
        return;
    }
    while (range[1] / range[0] > 1 + same_price) {
        double middle = sqrt(range[0]) * sqrt(range[1]);
        levels_at(p, middle, dual->above);
        range[!too_low(p, dual->above)] = middle;
    }
    levels_at(p, range[0], dual->below);
    levels_at(p, range[1], dual->above);
    dual->price = range[1];
    dual->bound = bound_at(p, dual->price, dual->below);
}
