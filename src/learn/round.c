/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/round.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/levels.h"
#include "learn/exchange.h"

/* w = c B r², with the c at which the loss of k is that of the sensitivities. What cannot be rounded keeps its s. */
static void weigh(const dp_allocation *a, const double *k, double *weight) {
    const dp_units *u = a->units;
    double wanted = 0, found = 0;
    for (int i = 0; i < u->count; i++) {
        bool kept = u->fixed[i] || !(u->cost_j[i] > 0);
        weight[i] = kept ? u->s[i] : u->cost_j[i] * a->shape[i] * a->shape[i];
        if (kept) continue;
        wanted += u->s[i] / k[i];
        found += weight[i] / k[i];
    }
    double c = found > 0 && wanted > 0 ? wanted / found : 1;
    for (int i = 0; i < u->count; i++)
        if (!u->fixed[i] && u->cost_j[i] > 0) weight[i] *= c;
}

/*
 * Marginal analysis: the dual's levels below its price are what raising the unit with the best next step, again and again,
 * comes to; units that are tied there are raised in their order until the loss is reached, or as far as the energy allows.
 */
static void raise_tied(const dp_levels_problem *p, const dp_dual *dual, double *k) {
    int count = p->units->count;
    double energy = dp_units_energy(p->units, dual->below), loss = dp_dual_loss(p, dual->below);
    memcpy(k, dual->below, (size_t)count * sizeof *k);
    for (int i = 0; i < count && (p->within || loss > p->limit); i++) {
        double more = p->units->cost_j[i] * (dual->above[i] - k[i]);
        if (!(dual->above[i] > k[i]) || (p->within && energy + more > p->limit)) continue;
        energy += more;
        loss -= p->weight[i] * (1 / k[i] - 1 / dual->above[i]);
        k[i] = dual->above[i];
    }
}

/* Without noise there is no loss to divide by. */
static dp_rounding rounding(bool of_loss, double value, double bound) {
    return (dp_rounding){of_loss, value, bound, bound > 0 ? fmax(value / bound - 1, 0) : 0};
}

static dp_status solve(const dp_levels_problem *p, dp_dual *dual, double *k, dp_rounding *result,
                       dp_error *err) {
    dp_dual_solve(p, dual);
    raise_tied(p, dual, k);
    dp_exchange_steps(p, k);
    dp_status status = dp_exchange(p, dual, k, err);
    if (status != DP_OK) return status;
    dp_exchange_steps(p, k);
    *result = rounding(p->within, p->within ? dp_dual_loss(p, k) : dp_units_energy(p->units, k),
                       dual->bound);
    return DP_OK;
}

static dp_status round_to(const dp_allocation *a, const double *energy_j, double *k,
                          dp_rounding *result, dp_error *err) {
    size_t count = (size_t)a->units->count;
    double *work = dp_alloc(4 * count, sizeof *work);
    if (!work) return dp_fail(err, DP_EMEMORY, "no memory to round %zu units", count);
    double *levels = work + 3 * count;
    weigh(a, k, work);
    dp_levels_problem p = {
        .units = a->units, .hardware = a->hardware, .weight = work, .within = energy_j};
    /* rounding errors of the sums must not cost a step */
    p.limit = energy_j ? *energy_j * (1 + 1e-12) : dp_dual_loss(&p, k) * (1 + 1e-9);
    dp_dual dual = {.below = work + count, .above = work + 2 * count};
    dp_status status = solve(&p, &dual, levels, result, err);
    if (status == DP_OK) memcpy(k, levels, count * sizeof *k);
    dp_free(work);
    return status;
}

/* Continuous levels are the relaxed K, which is optimal. */
static dp_status keep(const dp_allocation *a, bool within, const double *k, dp_rounding *result) {
    double value = within ? dp_units_loss(a->units, k) : dp_units_energy(a->units, k);
    *result = rounding(within, value, value);
    return DP_OK;
}

dp_status dp_round_levels(const dp_allocation *a, double *k, dp_rounding *result, dp_error *err) {
    if (a->hardware->levels == DP_LEVELS_CONTINUOUS) return keep(a, false, k, result);
    return round_to(a, NULL, k, result, err);
}

dp_status dp_round_within(const dp_allocation *a, double energy_j, double *k, dp_rounding *result,
                          dp_error *err) {
    if (a->hardware->levels == DP_LEVELS_CONTINUOUS) return keep(a, true, k, result);
    return round_to(a, &energy_j, k, result, err);
}

dp_rounding dp_round_nothing(void) {
    return (dp_rounding){false, NAN, NAN, NAN};
}
