/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a run starts with: engine, units, clean outputs; and its end. */
#include <math.h>

#include "base/alloc.h"
#include "learn/pipeline.h"
#include "learn/result.h"

/* What uniform precision is held to where only its share is given and outputs are quantities: this squared error, in parts of
 * their variance. */
static const double default_rise = 0.01;

static dp_status open_half(dp_search *s, dp_half *half, dp_error *err) {
    int64_t trials = s->options->trials;
    half->samples = dp_dataset_count(half->data);
    half->scores = dp_alloc((size_t)(half->samples * trials), sizeof *half->scores);
    if (!half->scores) return dp_fail(err, DP_EMEMORY, "no memory for scores");
    dp_search_count(s, half->samples, DP_FORWARD_COST);
    return dp_engine_reference(&half->reference, s->engine, half->data, err);
}

static dp_status allocate(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    size_t units = (size_t)s->units.count, channels = (size_t)s->units.channels;
    s->s = dp_alloc(channels, sizeof *s->s);
    s->repetitions = dp_alloc(channels, sizeof *s->repetitions);
    s->k = dp_alloc(units, sizeof *s->k);
    p->shape = dp_alloc(units, sizeof *p->shape);
    p->start = dp_alloc(units, sizeof *p->start);
    p->spare_k = dp_alloc(units, sizeof *p->spare_k);
    p->learned.k = dp_alloc(units, sizeof *p->learned.k);
    p->uniform.k = dp_alloc(units, sizeof *p->uniform.k);
    bool own = p->shape && p->start && p->spare_k && p->learned.k && p->uniform.k;
    if (own && s->s && s->repetitions && s->k) return DP_OK;
    return dp_fail(err, DP_EMEMORY, "no memory for %zu units", units);
}

/* What is a drop or a rise, now that outputs and data are known. */
static dp_status adapt_criteria(dp_search *s, dp_error *err) {
    if (dp_reference_regression(s->check.reference) && !dp_budget_loss(s->options)) {
        s->criteria[0].quantity = DP_RISE;
        s->criteria[0].budget = default_rise;
    }
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < s->n_criteria; i++)
        status = dp_criterion_adapt(&s->criteria[i], s->engine, s->check.data, err);
    return status;
}

static dp_status measure_clean(dp_pipeline *p, dp_error *err) {
    const dp_half *check = &p->search.check;
    const dp_score *scores = dp_reference_scores(check->reference);
    dp_outcome outcome = {scores, scores, check->samples, 1};
    p->clean = dp_result_unknown();
    return dp_criterion_measure(&p->search.criteria[0], &outcome, &p->clean, err);
}

dp_status dp_pipeline_start(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    const dp_learn_options *o = s->options;
    dp_status status = dp_condition_open(&p->condition, s, p->graph, err);
    if (status == DP_OK) status = dp_units_create(&s->units, s->engine, s->device, o, err);
    if (status == DP_OK) status = dp_budget_start(p, err);
    if (status == DP_OK) status = allocate(p, err);
    if (status == DP_OK) status = dp_condition_find(&p->condition, s, p->graph, err);
    if (status == DP_OK) status = open_half(s, &s->learn, err);
    if (status == DP_OK) status = open_half(s, &s->check, err);
    if (status == DP_OK) status = adapt_criteria(s, err);
    if (status == DP_OK) status = measure_clean(p, err);
    return status;
}

void dp_pipeline_stop(dp_pipeline *p) {
    dp_search *s = &p->search;
    dp_reference_free(s->learn.reference);
    dp_reference_free(s->check.reference);
    dp_free(s->learn.scores);
    dp_free(s->check.scores);
    dp_free(s->s);
    dp_free(s->repetitions);
    dp_free(s->k);
    dp_free(p->shape);
    dp_free(p->start);
    dp_free(p->spare_k);
    dp_free(p->learned.k);
    dp_free(p->uniform.k);
    dp_units_clear(&s->units);
    dp_engine_free(s->engine);
    dp_condition_clear(&p->condition);
}
