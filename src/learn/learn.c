/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pipeline, stage by stage; each stage is a file of its own. Whatever stage fails or is cancelled, what was learned before
 * it is turned into a schedule.
 */
#include "dynaprec/learn.h"

#include <math.h>
#include <string.h>

#include "learn/pipeline.h"
#include "learn/range.h"
#include "learn/result.h"

void dp_learn_defaults(dp_learn_options *o) {
    *o = (dp_learn_options){.max_drop = NAN,
                            .max_loss = NAN,
                            .min_repetitions = NAN,
                            .max_repetitions = NAN,
                            .granularity = DP_GRAIN_LAYER,
                            .condition = DP_CONDITION_BOTH,
                            .trials = 4,
                            .confidence = 0.95,
                            .seed = 1,
                            .threads = 1};
}

/* The cheapest precision that meets a drop or loss budget. */
static dp_status learn_for_loss(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    dp_status status = dp_shape_find(p, err);
    if (status == DP_OK) status = dp_shape_scale(p, err);
    if (status == DP_OK) status = dp_shape_refine(p, err);
    if (status != DP_OK) return status;
    dp_family family = {p->shape};
    status = dp_accept(s, &family, p->t, &p->learned, err);
    p->has_learned = status == DP_OK;
    if (status == DP_OK) dp_result_energy(s, p->learned.k, &p->learned.measure);
    return status;
}

/* Never dearer than uniform: its precision is a schedule too. */
static void fall_back(dp_pipeline *p) {
    if (!p->has_uniform || !p->uniform.passed) return;
    if (p->learned.passed && p->learned.measure.energy_j <= p->uniform.measure.energy_j) return;
    memcpy(p->learned.k, p->uniform.k, (size_t)p->search.units.count * sizeof(double));
    int checks = p->learned.checks;
    double *k = p->learned.k;
    p->learned = p->uniform;
    p->learned.k = k;
    p->learned.checks = checks;
    p->fell_back = true;
}

static dp_status run(dp_pipeline *p, dp_error *err) {
    const dp_learn_options *o = p->search.options;
    if (!dp_budget_loss(o)) return dp_budget_within(p, err);
    dp_status status = learn_for_loss(p, err);
    if (status == DP_OK) status = dp_uniform_match(p, dp_uniform_guess(p), err);
    if (status == DP_EBUDGET && p->has_learned) status = DP_OK; /* uniform alone cannot meet it */
    if (status != DP_OK) return status;
    fall_back(p);
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
    if (status == DP_OK) status = run(p, err);
    bool keep = status == DP_OK || ((status == DP_ECANCELLED || status == DP_EUNMET) && p->relaxed);
    return keep ? finish(p, out, status, err) : status;
}

dp_status dp_learn(dp_schedule *out, const dp_graph *graph, const dp_hardware *hardware,
                   const dp_dataset *const data[2], const dp_learn_options *options,
                   dp_error *err) {
    memset(out, 0, sizeof *out);
    dp_pipeline p = {.graph = graph};
    dp_search *s = &p.search;
    s->options = options;
    s->device = hardware;
    s->hardware = &p.narrowed;
    s->learn = (dp_half){.data = data[0], .samples = dp_dataset_count(data[0])};
    s->check = (dp_half){.data = data[1], .samples = dp_dataset_count(data[1])};
    dp_status status = learn(&p, out, err);
    dp_pipeline_stop(&p);
    return dp_comm_leave(options->comm, status, err);
}
