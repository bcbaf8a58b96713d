/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is known to be wrong before any work: options that make no sense, data that cannot answer what is asked. */
#include <math.h>

#include "learn/pipeline.h"

/* An energy share of uniform precision needs a uniform precision: this drop when no other budget is given, in points. */
static const double default_drop = 1;

bool dp_budget_given(double budget) {
    return !isnan(budget);
}

dp_status dp_check_options(const dp_learn_options *o, dp_error *err) {
    if (!dp_budget_given(o->max_drop) && !dp_budget_given(o->max_loss) &&
        o->energy_unit == DP_ENERGY_NONE)
        return dp_fail(err, DP_ERANGE, "no budget: a drop, a loss or an energy is asked for");
    if (dp_budget_given(o->max_drop) && dp_budget_given(o->max_loss))
        return dp_fail(err, DP_ERANGE,
                       "a drop and a loss budget together are not supported: give one");
    if (dp_budget_given(o->max_drop) && !(o->max_drop > 0 && o->max_drop <= 100))
        return dp_fail(err, DP_ERANGE, "max-drop %g: more than 0, at most 100 points", o->max_drop);
    if (dp_budget_given(o->max_loss) && !(o->max_loss > 0 && isfinite(o->max_loss)))
        return dp_fail(err, DP_ERANGE, "max-loss %g: more than 0 nats is asked for", o->max_loss);
    if (o->energy_unit != DP_ENERGY_NONE && !(o->energy > 0 && isfinite(o->energy)))
        return dp_fail(err, DP_ERANGE, "an energy budget of %g: more than 0 is asked for",
                       o->energy);
    if (o->trials < 1 || o->trials > 100000)
        return dp_fail(err, DP_ERANGE, "%d trials: 1 to 100000 are allowed", o->trials);
    if (!(o->confidence > 0.5 && o->confidence < 1))
        return dp_fail(err, DP_ERANGE, "confidence %g: more than 0.5, less than 1", o->confidence);
    return DP_OK;
}

void dp_check_criterion(dp_search *s) {
    const dp_learn_options *o = s->options;
    bool loss = dp_budget_given(o->max_loss);
    double drop = dp_budget_given(o->max_drop) ? o->max_drop : default_drop;
    s->criterion = (dp_criterion){.quantity = loss ? DP_RISE : DP_DROP,
                                  .budget = loss ? o->max_loss : drop / 100,
                                  .confidence = o->confidence,
                                  .labels = dp_dataset_label_count(s->check.data) > 0,
                                  .cross_entropy = o->cross_entropy};
}

dp_status dp_check_data(const dp_search *s, dp_error *err) {
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
    if (s->options->cross_entropy && !check)
        return dp_fail(err, DP_EFORMAT, "%s has no labels 'y', which cross-entropy asks for",
                       dp_dataset_path(s->check.data));
    int64_t least = dp_criterion_least_samples(&s->criterion);
    bool energy_alone =
        !dp_budget_given(s->options->max_drop) && !dp_budget_given(s->options->max_loss);
    bool needed = !energy_alone || s->options->energy_unit == DP_ENERGY_OF_UNIFORM;
    if (!needed || s->check.samples >= least) return DP_OK;
    if (s->criterion.quantity == DP_RISE)
        return dp_fail(err, DP_EBUDGET,
                       "1 check sample cannot certify a loss: at least %lld are needed",
                       (long long)least);
    return dp_fail(
        err, DP_EBUDGET,
        "%lld check samples cannot certify a drop of %g points%s at %g%% confidence, "
        "even if none is seen: at least %lld are needed, or a budget of %.2g points",
        (long long)s->check.samples, s->criterion.budget * 100,
        energy_alone ? ", which uniform precision is held to when only its share is given," : "",
        100 * s->criterion.confidence, (long long)least,
        100 * -log(1 - s->criterion.confidence) / (double)s->check.samples);
}
