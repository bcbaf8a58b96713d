/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/accept.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/approach.h"

/* Draws that are for the check set alone: the same at every look, so that looks and families can be compared. */
#define CHECK_TRIAL 0x10000000U

static const dp_approach_rule rules[] = {
    [DP_DROP] = {.tight = 0.95, .close = 1.04, .aim = 0.975, .power = 0.9},
    [DP_RISE] = {.tight = 0.985, .close = 1.01, .aim = 0.993, .power = 1},
};

/*
 * A bound this far from the budget after half the draws is not worth the others. Stopping for failure needs no correction;
 * what is stopped as dearer than needed is not a pass.
 */
static const double hopeless = 1.15, needless = 0.85;

typedef struct look {
    double excess;
    int active; /* the criterion whose excess it is */
    int trials;
    bool whole; /* with all draws */
} look;

/* Precisions that are known to be on either side of the budget, so that none is asked twice. Shapes: [units]. */
typedef struct known {
    double *now, *fail, *above;
} known;

static dp_outcome outcome_of(const dp_search *s, int trials) {
    return (dp_outcome){.clean = dp_reference_scores(s->check.reference),
                        .noisy = s->check.scores,
                        .samples = s->check.samples,
                        .trials = trials};
}

/* Draws first .. first + count - 1 of the check set's own. */
static dp_status draw(dp_search *s, const double *k, int first, int count, dp_error *err) {
    dp_half rest = s->check;
    rest.scores += (int64_t)first * rest.samples;
    uint32_t range[2] = {CHECK_TRIAL + (uint32_t)first, (uint32_t)count};
    return dp_search_evaluate(s, &rest, k, range, err);
}

/* Ask the check set, first with half the draws. */
static dp_status ask(dp_search *s, const double *k, bool whole, look *l, dp_error *err) {
    int all = s->options->trials;
    *l = (look){0};
    while (l->trials < all) {
        int count = l->trials == 0 ? (all + 1) / 2 : all - l->trials;
        dp_status status = draw(s, k, l->trials, count, err);
        if (status != DP_OK) return status;
        l->trials += count;
        dp_answer answer;
        dp_outcome outcome = outcome_of(s, l->trials);
        status = dp_criteria_judge(s->criteria, s->n_criteria, &outcome, 0, &answer, err);
        if (status != DP_OK) return status;
        l->excess = answer.excess;
        l->active = answer.active;
        if (!whole && (answer.mean > 1 || l->excess > hopeless || l->excess < needless)) break;
    }
    l->whole = l->trials == all;
    return DP_OK;
}

static bool same_levels(const dp_search *s, const double *a, const double *b) {
    return memcmp(a, b, (size_t)s->units.count * sizeof *a) == 0;
}

static void copy_levels(const dp_search *s, double *to, const double *from) {
    memcpy(to, from, (size_t)s->units.count * sizeof *to);
}

static dp_status keep(dp_search *s, dp_acceptance *a, const double *k, const look *l,
                      dp_error *err) {
    copy_levels(s, a->k, k);
    a->passed = l->whole && l->excess <= 1;
    a->active = s->criteria[l->active].quantity;
    dp_outcome outcome = outcome_of(s, l->trials);
    return dp_criterion_measure(&s->criteria[0], &outcome, &a->measure, err);
}

/* Rounding may lead back to what is known already. */
static bool recall(const dp_search *s, dp_approach *w, const known *k, double t, bool whole) {
    bool failure = w->fail > 0 && same_levels(s, k->now, k->fail);
    bool above = isfinite(w->above) && same_levels(s, k->now, k->above);
    if (above && whole && !w->certified) return false;
    if (failure || above) dp_approach_same(w, t, failure);
    return failure || above;
}

static dp_status step(dp_search *s, const dp_family *f, double t, bool whole, dp_approach *w,
                      known *k, dp_acceptance *a, dp_error *err) {
    dp_rounding rounding = {0};
    dp_status status = dp_family_levels(s, f, t, k->now, &rounding, err);
    if (status != DP_OK || recall(s, w, k, t, whole)) return status;
    look l;
    if ((status = ask(s, k->now, whole, &l, err)) != DP_OK) return status;
    dp_approach_look(w, t, l.excess, l.whole);
    copy_levels(s, l.excess > 1 ? k->fail : k->above, k->now);
    if (l.excess > 1)
        a->energy_failed_j = fmax(a->energy_failed_j, dp_units_energy(&s->units, k->now));
    bool passes = l.excess <= 1 && l.whole;
    if (!passes && a->passed) return DP_OK;
    a->t = t;
    a->rounding = rounding;
    return keep(s, a, k->now, &l, err);
}

static dp_status approach(dp_search *s, const dp_family *f, double t, known *k, dp_acceptance *a,
                          dp_error *err) {
    double low, high;
    dp_family_range(s, f, &low, &high);
    dp_approach w = dp_approach_new(rules[s->criteria[0].quantity], low, high);
    bool whole = s->options->trials == 1;
    dp_status status = DP_OK;
    for (t = fmin(fmax(t, low), high); status == DP_OK && !dp_approach_finished(&w);
         t = dp_approach_next(&w, &whole)) {
        status = step(s, f, t, whole || t >= high, &w, k, a, err);
        w.rule = rules[a->active];
    }
    a->checks = w.checks;
    return status;
}

dp_status dp_accept(dp_search *s, const dp_family *f, double t, dp_acceptance *a, dp_error *err) {
    size_t units = (size_t)s->units.count;
    known k = {dp_alloc(units, sizeof(double)), dp_alloc(units, sizeof(double)),
               dp_alloc(units, sizeof(double))};
    a->passed = false;
    a->energy_failed_j = 0;
    dp_status status = k.now && k.fail && k.above
                           ? approach(s, f, t, &k, a, err)
                           : dp_fail(err, DP_EMEMORY, "no memory for acceptance");
    dp_free(k.now);
    dp_free(k.fail);
    dp_free(k.above);
    return status;
}

dp_status dp_accept_measure(dp_search *s, dp_acceptance *a, dp_error *err) {
    dp_status status = draw(s, a->k, 0, s->options->trials, err);
    if (status != DP_OK) return status;
    a->checks = 1;
    dp_outcome outcome = outcome_of(s, s->options->trials);
    return dp_criterion_measure(&s->criteria[0], &outcome, &a->measure, err);
}
