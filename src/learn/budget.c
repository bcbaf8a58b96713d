/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Energy budgets: what they are in joules, whether they can be met, and the most precise schedule within them and a latency. */
#include <math.h>

#include "learn/pipeline.h"
#include "learn/result.h"

double dp_budget_energy_j(const dp_pipeline *p) {
    const dp_learn_options *o = p->search.options;
    if (o->energy_unit == DP_ENERGY_NONE) return INFINITY;
    if (o->energy_unit == DP_ENERGY_AJ_PER_MAC)
        return o->energy * 1e-18 * dp_engine_macs(p->search.engine);
    if (o->energy_unit == DP_ENERGY_OF_UNIFORM) return o->energy * p->uniform.measure.energy_j;
    return o->energy;
}

double dp_budget_least_j(const dp_search *s) {
    return dp_search_fixed_j(s) + dp_units_energy(&s->units, s->units.low);
}

dp_status dp_budget_check_energy(const dp_pipeline *p, double budget_j, dp_error *err) {
    const dp_search *s = &p->search;
    double fixed = dp_search_fixed_j(s), macs = dp_engine_macs(s->engine);
    double least = dp_budget_least_j(s);
    double most = fixed + dp_units_energy(&s->units, s->units.high);
    if (budget_j >= least * (1 - 1e-12)) return DP_OK;
    return dp_fail(
        err, DP_EBUDGET,
        "an energy of %.4g J a sample (%.4g aJ/MAC) cannot be met on hardware '%s': %.4g to "
        "%.4g J (%.4g to %.4g aJ/MAC) is feasible",
        budget_j, 1e18 * budget_j / macs, s->hardware->name, least, most, 1e18 * least / macs,
        1e18 * most / macs);
}

dp_status dp_budget_start(dp_pipeline *p, dp_error *err) {
    dp_status status = dp_budget_limit_time(&p->search, err);
    bool known = p->search.options->energy_unit != DP_ENERGY_OF_UNIFORM;
    return status == DP_OK && known ? dp_budget_check_energy(p, dp_budget_energy_j(p), err)
                                    : status;
}

/* Under a limit of time levels have the energy that t gives them: look for the highest t with no more than is allowed. */
static dp_status round_in_time(dp_pipeline *p, double variable_j, dp_error *err) {
    const dp_units *u = &p->search.units;
    dp_allocation allocation = {u, p->search.hardware, p->shape};
    double low, high;
    dp_relax_range(u, p->shape, &low, &high);
    high = fmin(high, p->t * 2);
    for (double t = high; high / low > 1 + 1e-6; t = sqrt(low * high)) {
        dp_status status = dp_timed_levels(&allocation, t, p->learned.k, &p->learned.rounding, err);
        if (status != DP_OK) return status;
        bool fits = dp_units_energy(u, p->learned.k) <= variable_j * (1 + 1e-12);
        if (fits && t == high) return DP_OK;
        if (fits)
            low = t;
        else
            high = t;
    }
    return dp_timed_levels(&allocation, low, p->learned.k, &p->learned.rounding, err);
}

static dp_status round_to_energy(dp_pipeline *p, double energy_j, dp_error *err) {
    dp_search *s = &p->search;
    double variable = energy_j - dp_search_fixed_j(s);
    p->t = dp_relax_for_energy(&s->units, p->shape, variable);
    dp_relax_at(&s->units, p->shape, p->t, p->learned.k);
    dp_allocation allocation = {&s->units, s->hardware, p->shape};
    dp_status status =
        dp_round_within(&allocation, variable, p->learned.k, &p->learned.rounding, err);
    if (status != DP_OK || !dp_timed_exceeds(&s->units, p->learned.k)) return status;
    return round_in_time(p, variable, err);
}

/* The uniform precision that an energy is a share of; none that meets the loss means no such energy. */
static dp_status find_share(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    dp_status status = dp_shape_find(p, err);
    if (status != DP_OK) return status;
    dp_relax_at(&s->units, p->shape, p->t, p->learned.k);
    dp_family uniform = {NULL};
    double t;
    status = dp_shape_scale_of(s, &uniform, dp_uniform_guess(p), &t, err);
    if (status == DP_OK) status = dp_uniform_accept(p, t, err);
    if (status != DP_OK || p->uniform.passed) return status;
    const dp_measure *tried = &p->uniform.measure;
    const dp_criterion *c = &s->criteria[0];
    double unit = c->quantity == DP_DROP ? 100 : 1;
    return dp_fail(
        err, DP_EBUDGET,
        "the energy is a share of what uniform precision needs to stay within %g %s, and "
        "none was found on hardware '%s': at K = %g the upper bound is %.3g %s. Give "
        "a drop or loss too, or the energy in another unit",
        unit * c->budget, dp_criterion_unit(c), s->hardware->name, tried->repetitions,
        c->quantity == DP_DROP ? tried->drop_upper : tried->rise_upper, dp_criterion_unit(c));
}

dp_budget dp_budget_active(const dp_pipeline *p) {
    const dp_learn_options *o = p->search.options;
    if (p->over_energy) return DP_BUDGET_ENERGY;
    if (!p->has_learned) return DP_BUDGET_UNKNOWN;
    bool hurried = !p->fell_back && dp_family_hurried(&p->search, p->shape, p->learned.t);
    if (hurried) return DP_BUDGET_LATENCY;
    if (dp_budget_loss(o)) return p->learned.active == DP_DROP ? DP_BUDGET_DROP : DP_BUDGET_LOSS;
    return o->energy_unit != DP_ENERGY_NONE ? DP_BUDGET_ENERGY : DP_BUDGET_LATENCY;
}

dp_status dp_budget_within(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    if (s->options->energy_unit == DP_ENERGY_OF_UNIFORM) {
        dp_status status = find_share(p, err);
        if (status != DP_OK) return status;
    }
    double budget = dp_budget_energy_j(p);
    dp_status status = dp_budget_check_energy(p, budget, err);
    if (status == DP_OK && !p->relaxed) status = dp_shape_find(p, err);
    if (status != DP_OK) return status;
    p->t = dp_relax_for_energy(&s->units, p->shape, budget - dp_search_fixed_j(s));
    status = dp_refiner_run(p->refiner, s, p->t, p->shape, err);
    if (status == DP_OK) status = round_to_energy(p, budget, err);
    if (status == DP_OK) status = dp_accept_measure(s, &p->learned, err);
    if (status != DP_OK) return status;
    p->has_learned = p->learned.passed = true;
    p->learned.t = p->t;
    dp_result_energy(s, p->learned.k, &p->learned.measure);
    return p->has_uniform ? DP_OK : dp_uniform_within(p, budget, err);
}
