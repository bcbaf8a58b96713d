/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Samples may hold different numbers of counted positions. A sample's value is scaled by its share of them, so that the plain
 * mean over samples is the pooled mean over positions. Samples without any, whose labels are all ignored, say nothing and are left out.
 */
#include "learn/criterion.h"

#include <math.h>

#include "base/alloc.h"
#include "base/stats.h"

typedef double (*quantity)(const dp_score *clean, const dp_score *noisy);

static double lost_top1(const dp_score *clean, const dp_score *noisy) {
    return clean->correct - noisy->correct;
}
static double disagreement(const dp_score *clean, const dp_score *noisy) {
    (void)clean;
    return noisy->rows - noisy->agree;
}
static double divergence(const dp_score *clean, const dp_score *noisy) {
    (void)clean;
    return noisy->kl;
}
static double loss_rise(const dp_score *clean, const dp_score *noisy) {
    return noisy->loss - clean->loss;
}
static double top1(const dp_score *clean, const dp_score *noisy) {
    (void)clean;
    return noisy->correct;
}
static double top5(const dp_score *clean, const dp_score *noisy) {
    (void)clean;
    return noisy->top5;
}
static double loss(const dp_score *clean, const dp_score *noisy) {
    (void)clean;
    return noisy->loss;
}
static double agreement(const dp_score *clean, const dp_score *noisy) {
    (void)clean;
    return noisy->agree;
}

static quantity quantity_of(const dp_criterion *c) {
    if (c->quantity == DP_DROP) return c->labels ? lost_top1 : disagreement;
    return c->cross_entropy && c->labels ? loss_rise : divergence;
}

/* One value for each sample that counts, averaged over draws; returns how many those are. */
static int64_t values_of(const dp_outcome *o, quantity q, double *values) {
    double rows = 0;
    int64_t count = 0, n = 0;
    for (int64_t i = 0; i < o->samples; i++) {
        rows += o->clean[i].rows;
        count += o->clean[i].rows > 0;
    }
    for (int64_t i = 0; i < o->samples; i++) {
        if (!(o->clean[i].rows > 0)) continue;
        double sum = 0;
        for (int t = 0; t < o->trials; t++)
            sum += q(&o->clean[i], &o->noisy[(int64_t)t * o->samples + i]);
        values[n++] = (double)count / rows * sum / o->trials;
    }
    return n;
}

/* A scaled difference may leave [-1, 1] where samples differ in length; the bound for drops asks for that range. */
static double upper_bound(const dp_criterion *c, double *values, size_t count) {
    if (c->quantity == DP_RISE) return dp_stats_mean_upper(values, count, c->confidence);
    double largest = 1;
    for (size_t i = 0; i < count; i++) largest = fmax(largest, fabs(values[i]));
    for (size_t i = 0; i < count; i++) values[i] /= largest;
    return largest * dp_stats_paired_upper(values, count, c->confidence);
}

dp_status dp_criterion_judge(const dp_criterion *c, const dp_outcome *o, int64_t stand_in_for,
                             dp_verdict *verdict, dp_error *err) {
    int64_t room = stand_in_for > o->samples ? stand_in_for : o->samples;
    double *values = dp_alloc((size_t)room, sizeof *values);
    if (!values)
        return dp_fail(err, DP_EMEMORY, "no memory to judge %lld samples", (long long)room);
    int64_t n = values_of(o, quantity_of(c), values), count = stand_in_for > 0 ? stand_in_for : n;
    verdict->mean = dp_stats_moments(values, (size_t)n).mean;
    for (int64_t i = n; i < count; i++) values[i] = values[i - n];
    verdict->upper = upper_bound(c, values, (size_t)count);
    dp_free(values);
    return DP_OK;
}

/* Logits overflow where noise is strong enough; that is far above any budget. */
static double in_parts_of(double budget, double value) {
    return isfinite(value) ? fmin(value / budget, 1e6) : 1e6;
}

dp_status dp_criteria_judge(const dp_criterion *c, int count, const dp_outcome *o,
                            int64_t stand_in_for, dp_answer *answer, dp_error *err) {
    *answer = (dp_answer){.excess = -INFINITY, .mean = -INFINITY};
    for (int i = 0; i < count; i++) {
        dp_verdict *verdict = &answer->verdict[i];
        dp_status status = dp_criterion_judge(&c[i], o, stand_in_for, verdict, err);
        if (status != DP_OK) return status;
        double excess = in_parts_of(c[i].budget, verdict->upper);
        if (excess > answer->excess) answer->active = i;
        answer->excess = fmax(answer->excess, excess);
        answer->mean = fmax(answer->mean, in_parts_of(c[i].budget, verdict->mean));
    }
    return DP_OK;
}

const char *dp_criterion_unit(const dp_criterion *c) {
    if (c->quantity == DP_DROP) return "points";
    return c->regression ? "of the outputs' variance" : "nats";
}

/* Without any difference the bound is about -ln(1 - confidence) / n (dp_stats_paired_upper), and falls with n. */
int64_t dp_criterion_least_samples(const dp_criterion *c) {
    if (c->quantity == DP_RISE) return 2;
    int64_t about = (int64_t)floor(-log(1 - c->confidence) / c->budget);
    int64_t fails = 1, passes = 2 * about + 64;
    double *zeros = dp_alloc((size_t)passes, sizeof *zeros);
    if (!zeros) return about;
    while (passes - fails > 1) {
        int64_t n = fails + (passes - fails) / 2;
        if (dp_stats_paired_upper(zeros, (size_t)n, c->confidence) > c->budget)
            fails = n;
        else
            passes = n;
    }
    dp_free(zeros);
    return passes;
}

double dp_criterion_allowance(const dp_criterion *c, int64_t samples) {
    double *values = c->quantity == DP_DROP ? dp_alloc((size_t)samples, sizeof *values) : NULL;
    if (!values) return c->budget;
    int64_t passes = 0, fails = samples;
    while (fails - passes > 1) {
        int64_t changed = passes + (fails - passes) / 2;
        for (int64_t i = 0; i < samples; i++) values[i] = i < changed ? 0.5 : 0;
        if (dp_stats_paired_upper(values, (size_t)samples, c->confidence) > c->budget)
            fails = changed;
        else
            passes = changed;
    }
    dp_free(values);
    return 0.5 * (double)(passes > 0 ? passes : 1) / (double)samples;
}

static dp_figure figure(const dp_criterion *c, const dp_outcome *o, quantity q, double *values,
                        const double range[2]) {
    size_t count = (size_t)values_of(o, q, values);
    dp_interval ci =
        dp_stats_mean_interval(values, count, (dp_interval){range[0], range[1]}, c->confidence);
    return (dp_figure){dp_stats_moments(values, count).mean, ci.lower, ci.upper};
}

/* A share of positions: its interval is never empty, also where all are right. */
static dp_figure proportion(const dp_criterion *c, const dp_outcome *o, quantity q,
                            double *values) {
    size_t count = (size_t)values_of(o, q, values);
    double rate = fmin(dp_stats_moments(values, count).mean, 1);
    for (size_t i = 0; i < count; i++) values[i] = fmin(values[i], 1);
    dp_interval ci =
        dp_stats_wilson(rate, dp_stats_effective_trials(values, count, o->trials), c->confidence);
    return (dp_figure){rate, ci.lower, ci.upper};
}

static dp_figure in_points(dp_figure f) {
    return (dp_figure){100 * f.value, 100 * f.lower, 100 * f.upper};
}

/* What makes quantities of the outputs, and what to do where they are none. */
static const char *why_quantities(const dp_criterion *c) {
    if (c->targets)
        return "'y' are real numbers; the numbers of classes have to be integers, of one-hot rows "
               "y.argmax(1)";
    return "there are no labels 'y'; integers, one for each position, would make classes of them";
}

dp_status dp_criterion_adapt(dp_criterion *c, const dp_engine *engine, const dp_dataset *data,
                             dp_error *err) {
    c->labels = dp_dataset_label_count(data) > 0;
    c->regression = dp_engine_regression(engine, data);
    c->targets = dp_dataset_target_count(data) > 0;
    if (!c->regression || c->quantity == DP_RISE) return DP_OK;
    return dp_fail(
        err, DP_ERANGE,
        "%s: the outputs are quantities, which have no top-1 that could drop (%s); --max-loss "
        "limits their squared error, in parts of their variance",
        dp_dataset_path(data), why_quantities(c));
}

dp_status dp_criterion_measure(const dp_criterion *c, const dp_outcome *o, dp_measure *out,
                               dp_error *err) {
    static const double difference[2] = {-1, 1}, nats[2] = {0, INFINITY};
    double *values = dp_alloc((size_t)o->samples, sizeof *values);
    if (!values) return dp_fail(err, DP_EMEMORY, "no memory to measure");
    dp_figure none = {NAN, NAN, NAN};
    out->top1 = c->labels ? proportion(c, o, top1, values) : none;
    out->top5 = c->labels ? proportion(c, o, top5, values) : none;
    out->loss = c->labels || c->targets ? figure(c, o, loss, values, nats) : none;
    out->kl = figure(c, o, divergence, values, nats);
    out->agreement = c->regression ? none : proportion(c, o, agreement, values);
    out->drop = none;
    if (!c->regression)
        out->drop =
            in_points(figure(c, o, c->labels ? lost_top1 : disagreement, values, difference));
    dp_free(values);
    dp_criterion drop = *c, rise = *c;
    drop.quantity = DP_DROP;
    rise.quantity = DP_RISE;
    dp_verdict verdict;
    dp_status status = dp_criterion_judge(&drop, o, 0, &verdict, err);
    if (status != DP_OK) return status;
    bool itself =
        o->noisy == o->clean; /* the clean network differs from itself by nothing, for certain */
    out->drop_upper = c->regression ? NAN : itself ? 0 : 100 * verdict.upper;
    if ((status = dp_criterion_judge(&rise, o, 0, &verdict, err)) != DP_OK) return status;
    out->rise = verdict.mean;
    out->rise_upper = verdict.upper;
    return DP_OK;
}
