/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Options: what they are unless said, and what is known to be wrong before any work, with them or with data that cannot answer what is asked. */
#include <math.h>
#include <stdio.h>

#include "learn/pipeline.h"

/* An energy share of uniform precision needs a uniform precision: this drop when no other budget is given, in points. */
static const double default_drop = 1;

void dp_learn_defaults(dp_learn_options *o) {
    *o = (dp_learn_options){.max_drop = NAN,
                            .max_loss = NAN,
                            .min_repetitions = NAN,
                            .max_repetitions = NAN,
                            .granularity = DP_GRAIN_LAYER,
                            .condition = DP_CONDITION_AUTO,
                            .trials = 4,
                            .confidence = 0.95,
                            .seed = 1,
                            .threads = 1};
}

bool dp_budget_given(double budget) {
    return !isnan(budget);
}

bool dp_budget_loss(const dp_learn_options *o) {
    return dp_budget_given(o->max_drop) || dp_budget_given(o->max_loss);
}

dp_status dp_check_options(const dp_learn_options *o, dp_error *err) {
    if (!dp_budget_loss(o) && o->energy_unit == DP_ENERGY_NONE &&
        o->latency_unit == DP_LATENCY_NONE)
        return dp_fail(err, DP_ERANGE,
                       "no budget: a drop, a loss, an energy or a latency is asked for");
    if (dp_budget_given(o->max_drop) && !(o->max_drop > 0 && o->max_drop <= 100))
        return dp_fail(err, DP_ERANGE, "max-drop %g: more than 0, at most 100 points", o->max_drop);
    if (dp_budget_given(o->max_loss) && !(o->max_loss > 0 && isfinite(o->max_loss)))
        return dp_fail(err, DP_ERANGE, "max-loss %g: more than 0 nats is asked for", o->max_loss);
    if (o->energy_unit != DP_ENERGY_NONE && !(o->energy > 0 && isfinite(o->energy)))
        return dp_fail(err, DP_ERANGE, "an energy budget of %g: more than 0 is asked for",
                       o->energy);
    if (o->latency_unit != DP_LATENCY_NONE && !(o->latency > 0 && isfinite(o->latency)))
        return dp_fail(err, DP_ERANGE, "a latency budget of %g: more than 0 is asked for",
                       o->latency);
    if (o->trials < 1 || o->trials > 100000)
        return dp_fail(err, DP_ERANGE, "%d trials: 1 to 100000 are allowed", o->trials);
    if (o->stop.max_evaluations < 0 || !(o->stop.max_seconds >= 0) || !(o->stop.tolerance >= 0))
        return dp_fail(err, DP_ERANGE, "limits of a search that are below 0");
    if (!(o->confidence > 0.5 && o->confidence < 1))
        return dp_fail(err, DP_ERANGE, "confidence %g: more than 0.5, less than 1", o->confidence);
    return DP_OK;
}

static void add_criterion(dp_search *s, dp_quantity quantity, double budget) {
    s->criteria[s->n_criteria++] =
        (dp_criterion){.quantity = quantity,
                       .budget = budget,
                       .confidence = s->options->confidence,
                       .labels = dp_dataset_label_count(s->check.data) > 0,
                       .cross_entropy = s->options->objective == DP_OBJECTIVE_CROSS_ENTROPY};
}

void dp_check_criteria(dp_search *s) {
    const dp_learn_options *o = s->options;
    s->n_criteria = 0;
    if (dp_budget_given(o->max_drop)) add_criterion(s, DP_DROP, o->max_drop / 100);
    if (dp_budget_given(o->max_loss)) add_criterion(s, DP_RISE, o->max_loss);
    bool drop_alone = dp_budget_given(o->max_drop) && !dp_budget_given(o->max_loss);
    s->to_labels = o->objective == DP_OBJECTIVE_CROSS_ENTROPY ||
                   (o->objective == DP_OBJECTIVE_AUTO && drop_alone &&
                    dp_dataset_label_count(s->learn.data) > 0);
    if (s->n_criteria == 0) add_criterion(s, DP_DROP, default_drop / 100);
}

static dp_status check_labels(const dp_search *s, dp_error *err) {
    bool learn = dp_dataset_label_count(s->learn.data) > 0;
    bool check = dp_dataset_label_count(s->check.data) > 0;
    bool real[2] = {dp_dataset_target_count(s->learn.data) > 0,
                    dp_dataset_target_count(s->check.data) > 0};
    if (real[0] != real[1])
        return dp_fail(err, DP_EFORMAT, "%s has real targets 'y' and %s has not",
                       dp_dataset_path(real[0] ? s->learn.data : s->check.data),
                       dp_dataset_path(real[0] ? s->check.data : s->learn.data));
    if (learn != check)
        return dp_fail(err, DP_EFORMAT, "%s has labels 'y' and %s has not",
                       dp_dataset_path(learn ? s->learn.data : s->check.data),
                       dp_dataset_path(learn ? s->check.data : s->learn.data));
    for (int i = 0; i < 2; i++) {
        const dp_half *half = i ? &s->check : &s->learn;
        if (half->counted == 0)
            return dp_fail(err, DP_EFORMAT,
                           "%s: all labels are -100 of the samples to %s, so none counts",
                           dp_dataset_path(half->data), i ? "check on" : "learn from");
    }
    if (s->options->objective == DP_OBJECTIVE_CROSS_ENTROPY && !check)
        return dp_fail(err, DP_EFORMAT, "%s has no labels 'y'%s, which cross-entropy asks for",
                       dp_dataset_path(s->check.data),
                       real[1] ? " that are integers, but real numbers" : "");
    return DP_OK;
}

/* Are there samples enough to certify the budget, were there no difference at all? */
static dp_status check_count(const dp_search *s, const dp_criterion *c, dp_error *err) {
    int64_t least = dp_criterion_least_samples(c);
    int64_t count = s->check.counted;
    if (count >= least) return DP_OK;
    if (c->quantity == DP_RISE)
        return dp_fail(err, DP_EBUDGET,
                       "%lld check sample%s cannot certify a loss: at least %lld are needed",
                       (long long)count, count == 1 ? "" : "s", (long long)least);
    const char *why = dp_budget_loss(s->options)
                          ? ""
                          : ", which uniform precision is held to when only its share is given,";
    double allows = 100 * -log(1 - c->confidence) / (double)count;
    char larger[64] = "";
    if (allows < 100) snprintf(larger, sizeof larger, ", or a budget of %.2g points", allows);
    return dp_fail(err, DP_EBUDGET,
                   "%lld check samples%s cannot certify a drop of %g points%s at %g%% confidence, "
                   "even if none is seen: at least %lld are needed%s",
                   (long long)count,
                   count < s->check.samples ? ", whose labels are not all -100," : "",
                   c->budget * 100, why, 100 * c->confidence, (long long)least, larger);
}

dp_status dp_check_data(const dp_search *s, dp_error *err) {
    dp_status status = check_labels(s, err);
    bool certifies = dp_budget_loss(s->options) || s->options->energy_unit == DP_ENERGY_OF_UNIFORM;
    for (int i = 0; status == DP_OK && certifies && i < s->n_criteria; i++)
        status = check_count(s, &s->criteria[i], err);
    return status;
}
