/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pipeline, stage by stage; each stage is a file of its own. Whatever stage fails or is cancelled, what was learned before
 * it is turned into a schedule.
 */
#include <math.h>
#include <string.h>

#include "learn/pipeline.h"
#include "learn/range.h"
#include "learn/result.h"

/* Whether the budget is out of reach for as much energy as others have met it with. */
static dp_status probe_rival(dp_pipeline *p, const dp_family *family, dp_error *err) {
    dp_search *s = &p->search;
    double t = dp_relax_for_energy(&s->units, p->shape, p->rival_j - dp_search_fixed_j(s));
    dp_status status = dp_accept_probe(s, family, t, &p->learned, err);
    if (status != DP_OK) return status;
    p->beaten = !p->learned.passed;
    p->has_learned = p->beaten;
    dp_result_energy(s, p->learned.k, &p->learned.measure);
    return DP_OK;
}

/* The cheapest precision that meets a drop or loss budget. */
static dp_status learn_for_loss(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    dp_status status = dp_shape_find(p, err);
    if (status == DP_OK) status = dp_shape_scale(p, err);
    if (status == DP_OK) status = dp_shape_refine(p, err);
    if (status != DP_OK) return status;
    dp_family family = {p->shape};
    int probes = 0;
    if (isfinite(p->rival_j)) {
        status = probe_rival(p, &family, err);
        if (status != DP_OK || p->beaten) return status;
        probes = p->learned.checks;
    }
    status = dp_accept(s, &family, p->t, &p->learned, err);
    p->learned.checks += probes;
    p->has_learned = status == DP_OK;
    if (status == DP_OK) dp_result_energy(s, p->learned.k, &p->learned.measure);
    return status == DP_OK ? dp_fallback_relaxed(p, err) : status;
}

static dp_status run(dp_pipeline *p, dp_error *err) {
    const dp_learn_options *o = p->search.options;
    if (!dp_budget_loss(o)) return dp_budget_within(p, err);
    dp_status status = learn_for_loss(p, err);
    if (status == DP_OK && p->beaten) return DP_OK;
    if (status == DP_OK) status = dp_uniform_match(p, dp_uniform_guess(p), err);
    if (status == DP_EBUDGET && p->has_learned) status = DP_OK; /* uniform alone cannot meet it */
    if (status != DP_OK) return status;
    dp_fallback_uniform(p);
    if (o->energy_unit == DP_ENERGY_NONE || !p->learned.passed) return DP_OK;
    if (o->energy_unit == DP_ENERGY_OF_UNIFORM && !p->uniform.passed) return DP_OK; /* no limit */
    double budget = dp_budget_energy_j(p);
    status = dp_budget_check_energy(p, budget, err);
    if (status != DP_OK || p->learned.measure.energy_j <= budget * (1 + 1e-12)) return status;
    p->over_energy = true;
    return dp_fail(
        err, DP_EUNMET,
        "the loss budget needs %.4g J a sample, the energy budget allows %.4g J: energy is "
        "the active budget",
        p->learned.measure.energy_j, budget);
}

static dp_status finish(dp_pipeline *p, dp_schedule *out, dp_status status, dp_error *err) {
    const dp_search *s = &p->search;
    bool unmet = status == DP_EUNMET || (status == DP_OK && !p->learned.passed);
    if (status == DP_OK && unmet) {
        dp_fail(
            err, DP_EUNMET,
            "the check set did not certify the budget after %d looks; the most precise schedule "
            "tried is kept",
            p->learned.checks);
        dp_budget_blame_time(s, DP_EUNMET, err);
    }
    if (!p->has_learned) { /* cancelled: round what there is */
        dp_family family = {p->shape};
        dp_status rounded = dp_family_levels(&p->search, &family, p->t, p->learned.k, NULL, err);
        if (rounded != DP_OK) return rounded;
    }
    bool uniform = p->has_uniform && p->has_learned &&
                   memcmp(p->learned.k, p->uniform.k, (size_t)s->units.count * sizeof(double)) == 0;
    dp_result result = {.search = s,
                        .k = p->learned.k,
                        .learned = p->has_learned ? &p->learned : NULL,
                        .uniform = p->has_uniform ? &p->uniform : NULL,
                        .clean = &p->clean,
                        .choice = &p->condition.choice,
                        .active = dp_budget_active(p),
                        .status = status == DP_ECANCELLED ? "interrupted"
                                  : unmet                 ? "unmet"
                                  : uniform               ? "uniform"
                                                          : "accepted"};
    dp_status made = dp_result_schedule(out, p->graph, &result, err);
    if (made != DP_OK) return made;
    return unmet ? DP_EUNMET : status;
}

static dp_status learn(dp_pipeline *p, dp_schedule *out, dp_error *err) {
    dp_search *s = &p->search;
    dp_status status = dp_check_options(s->options, err);
    if (status == DP_OK) status = dp_range_narrow(&p->narrowed, s->device, s->options, err);
    if (status != DP_OK) return status;
    dp_check_criteria(s);
    p->refiner = dp_refiner_default(s);
    if (s->options->search) status = dp_refiner_find(s->options->search, &p->refiner, err);
    if (status == DP_OK) status = dp_refiner_check(p->refiner, s, err);
    if (status == DP_OK) status = dp_check_data(s, err);
    if (status == DP_OK) status = dp_pipeline_start(p, err);
    if (status == DP_OK && dp_budget_least_j(s) >= p->rival_j * (1 - 1e-12)) {
        p->beaten = true; /* by what nothing is below */
        return DP_OK;
    }
    if (status == DP_OK) status = run(p, err);
    bool keep = status == DP_OK || ((status == DP_ECANCELLED || status == DP_EUNMET) && p->relaxed);
    return keep ? finish(p, out, status, err) : status;
}

static dp_half half_of(const dp_dataset *data) {
    return (dp_half){
        .data = data, .samples = dp_dataset_count(data), .counted = dp_dataset_counted(data)};
}

dp_status dp_attempt_run(dp_attempt *a, dp_error *err) {
    dp_pipeline p = {.graph = a->graph, .rival_j = a->rival_j};
    dp_search *s = &p.search;
    s->options = a->options;
    s->device = a->hardware;
    s->hardware = &p.narrowed;
    s->learn = half_of(a->data[0]);
    s->check = half_of(a->data[1]);
    memset(&a->schedule, 0, sizeof a->schedule);
    dp_status status = learn(&p, &a->schedule, err);
    a->conditioned = p.relaxed && p.condition.choice.list.count > 0;
    a->beaten = p.beaten;
    a->met_j = p.has_learned && p.learned.passed ? p.learned.measure.energy_j : INFINITY;
    a->passes = s->passes;
    a->passes_shape = s->passes_shape;
    dp_pipeline_stop(&p);
    return status;
}
