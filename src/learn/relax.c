/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/relax.h"

#include <math.h>

#include "learn/time/timed.h"

/* A unit without measurable sensitivity still gets this share of the mean, so that no estimate of zero starves it. */
static const double least_share = 1e-3;

void dp_relax_shape(const dp_units *u, double *shape) {
    double total = 0, budget = 0;
    for (int i = 0; i < u->count; i++) {
        shape[i] = u->cost_j[i] > 0 ? sqrt(u->s[i] / u->cost_j[i]) : 0;
        total += u->cost_j[i] * shape[i];
        budget += u->cost_j[i];
    }
    for (int i = 0; i < u->count; i++) {
        shape[i] = total > 0 ? shape[i] * budget / total : 1;
        if (!(shape[i] > least_share)) shape[i] = least_share;
    }
}

static double within(double k, double low, double high) {
    return k < low ? low : (k > high ? high : k);
}

void dp_relax_at(const dp_units *u, const double *shape, double t, double *k) {
    for (int i = 0; i < u->count; i++) k[i] = within(t * shape[i], u->low[i], u->high[i]);
    if (dp_timed_exceeds(u, k)) dp_timed_relax(u, shape, t, k);
}

void dp_relax_range(const dp_units *u, const double *shape, double *low, double *high) {
    *low = INFINITY;
    *high = 0;
    for (int i = 0; i < u->count; i++) {
        if (u->fixed[i]) continue;
        *low = fmin(*low, u->low[i] / shape[i]);
        *high = fmax(*high, u->high[i] / shape[i]);
    }
    if (*low > *high) *low = *high = 1; /* everything is fixed */
    if (u->most_operations > 0) *high = dp_timed_highest(u, shape, *low, *high);
}

static double energy_at(const dp_units *u, const double *k) {
    return dp_units_energy(u, k);
}

static double minus_loss_at(const dp_units *u, const double *k) {
    return -dp_units_loss(u, k);
}

/* Both functions rise with t: bisect log t until neighbouring doubles would not matter to any K. */
static double rising_root(const dp_units *u, const double *shape,
                          double (*f)(const dp_units *, const double *), double target) {
    double low, high;
    dp_relax_range(u, shape, &low, &high);
    while (high / low > 1 + 1e-12) {
        double t = sqrt(low * high);
        dp_relax_at(u, shape, t, u->scratch);
        if (f(u, u->scratch) < target)
            low = t;
        else
            high = t;
    }
    return low;
}

double dp_relax_for_energy(const dp_units *u, const double *shape, double energy_j) {
    return rising_root(u, shape, energy_at, energy_j);
}

double dp_relax_for_loss(const dp_units *u, const double *shape, double loss) {
    return rising_root(u, shape, minus_loss_at, -loss);
}
