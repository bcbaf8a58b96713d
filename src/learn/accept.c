/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/accept.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/levels.h"
#include "learn/approach.h"
#include "learn/panel.h"

static const dp_approach_rule rules[] = {
    [DP_DROP] = {.tight = 0.95, .close = 1.05, .aim = 0.975, .power = 0.9},
    [DP_RISE] = {.tight = 0.985, .close = 1.01, .aim = 0.993, .power = 1},
};

/* An excess up to which what some draws say against a precision is asked of all. */
static const double doubtful = 1.3;

/* Levels that are farther apart than this are told apart. */
static const double coarse = 1.05;

/* Precisions that are known to be on either side of the budget, so that none is asked twice. Shapes: [units]. */
typedef struct known {
    double *now, *fail, *above;
} known;

static bool same_levels(const dp_search *s, const double *a, const double *b) {
    return memcmp(a, b, (size_t)s->units.count * sizeof *a) == 0;
}

static void copy_levels(const dp_search *s, double *to, const double *from) {
    memcpy(to, from, (size_t)s->units.count * sizeof *to);
}

static dp_status keep(dp_panel *p, dp_acceptance *a, const double *k, const dp_look *l,
                      dp_error *err) {
    copy_levels(p->s, a->k, k);
    a->passed = l->whole && l->excess <= 1;
    a->active = p->s->criteria[l->active].quantity;
    dp_outcome outcome = dp_panel_outcome(p);
    return dp_criterion_measure(&p->s->criteria[0], &outcome, &a->measure, err);
}

/* Rounding may lead back to what is known already. */
static bool recall(const dp_search *s, dp_approach *w, const known *k, double t, bool whole) {
    bool failure = w->fail > 0 && same_levels(s, k->now, k->fail);
    bool above = isfinite(w->above) && same_levels(s, k->now, k->above);
    if (above && whole && !w->certified) return false;
    if (failure || above) dp_approach_same(w, t, failure);
    return failure || above;
}

/* The t at which the relaxed precision is so many times as far from the clean output, by prediction, as at `t`. */
static double t_of(dp_search *s, const dp_family *f, double t, double times) {
    if (isnan(times)) return NAN;
    dp_family_relaxed(s, f, t, s->k);
    double loss = dp_units_loss(&s->units, s->k);
    return loss > 0 ? dp_family_for_loss(s, f, loss * times) : t / times;
}

/* The look at precision k->now, the member at t, and what it says of others. */
static dp_status look(dp_panel *p, const dp_family *f, double t, bool whole, dp_approach *w,
                      known *k, dp_look *l, dp_error *err) {
    bool between = w->fail > 0 && isfinite(w->above); /* what a few draws say is too coarse there */
    dp_ask ask = t >= w->high ? DP_ASK_ALL
                 : whole      ? DP_ASK_PASS
                 : between    ? DP_ASK_DRAWS
                              : DP_ASK_SOME;
    double aim = NAN, limit = NAN, fidelity = dp_search_fidelity(p->s, k->now, t);
    dp_status status = dp_panel_ask(p, k->now, fidelity, ask, l, err);
    if (status == DP_OK) status = dp_panel_forecast(p, fidelity, w->rule.aim, &aim, err);
    if (status == DP_OK) status = dp_panel_forecast(p, fidelity, 1, &limit, err);
    if (status != DP_OK) return status;
    dp_approach_look(w, t, l->excess, l->whole);
    double failure = w->fail;
    dp_approach_forecast(w, t_of(p->s, f, t, fidelity / aim), t_of(p->s, f, t, fidelity / limit));
    if (w->fail < failure) *k->fail = NAN; /* like no precision: it may be asked again */
    copy_levels(p->s, l->excess > 1 ? k->fail : k->above, k->now);
    return DP_OK;
}

static dp_status step(dp_panel *p, const dp_family *f, double t, bool whole, dp_approach *w,
                      known *k, dp_acceptance *a, dp_error *err) {
    dp_search *s = p->s;
    dp_rounding rounding = {0};
    dp_status status = dp_family_levels(s, f, t, k->now, &rounding, err);
    if (status != DP_OK || recall(s, w, k, t, whole)) return status;
    dp_look l;
    if ((status = look(p, f, t, whole, w, k, &l, err)) != DP_OK) return status;
    bool passes = l.excess <= 1 && l.whole;
    if (!passes && a->passed) return DP_OK;
    a->t = t;
    a->rounding = rounding;
    return keep(p, a, k->now, &l, err);
}

/* The one K that a family has, if it has one: of uniform precision, or of the only unit that is not fixed. Returns its unit; -1: none. */
static int only_number(const dp_search *s, const dp_family *f) {
    int found = -1, count = 0;
    for (int i = 0; i < s->units.count; i++)
        if (!s->units.fixed[i]) {
            found = i;
            count++;
        }
    return count == 1 || !f->shape ? found : -1;
}

/*
 * Below a pass with one number for all there is nothing up to the next level, which may be much cheaper: what is near in t need not be near in
 * energy. So these are asked until one fails.
 */
static dp_status descend(dp_panel *p, const dp_family *f, dp_approach *w, known *k,
                         dp_acceptance *a, dp_error *err) {
    dp_search *s = p->s;
    int unit = only_number(s, f);
    bool lower = unit >= 0 && s->hardware->levels != DP_LEVELS_CONTINUOUS;
    dp_status status = DP_OK;
    if (lower && w->fail > w->whole_fail) { /* by some of the draws: asked again */
        w->fail = w->whole_fail;
        *k->fail = NAN;
    }
    while (lower && a->passed && status == DP_OK) {
        double level = a->k[unit], below = dp_level_previous(s->hardware, level);
        double t = f->shape ? below / f->shape[unit] : below;
        lower = below * coarse < level && below >= s->units.low[unit] && t > w->fail;
        if (lower) status = step(p, f, t, true, w, k, a, err);
        lower = lower && a->k[unit] < level;
    }
    return status;
}

/* What the dearest failure costs. */
static dp_status failed_energy(dp_search *s, const dp_family *f, const dp_approach *w, known *k,
                               dp_acceptance *a, dp_error *err) {
    a->energy_failed_j = 0;
    if (!(w->fail > 0)) return DP_OK;
    dp_status status = dp_family_levels(s, f, w->fail, k->now, NULL, err);
    if (status == DP_OK) a->energy_failed_j = dp_units_energy(&s->units, k->now);
    return status;
}

static dp_status approach(dp_panel *p, const dp_family *f, double t, known *k, dp_acceptance *a,
                          dp_error *err) {
    dp_search *s = p->s;
    double low, high;
    dp_family_range(s, f, &low, &high);
    dp_approach w = dp_approach_new(rules[s->criteria[0].quantity], low, high);
    bool whole = s->options->trials == 1;
    dp_status status = DP_OK;
    for (t = fmin(fmax(t, low), high); status == DP_OK && !dp_approach_finished(&w);
         t = dp_approach_next(&w, &whole)) {
        status = step(p, f, t, whole || t >= high, &w, k, a, err);
        w.rule = rules[a->active];
    }
    if (status == DP_OK) status = descend(p, f, &w, k, a, err);
    a->checks = w.checks;
    return status == DP_OK ? failed_energy(s, f, &w, k, a, err) : status;
}

dp_status dp_accept(dp_search *s, const dp_family *f, double t, dp_acceptance *a, dp_error *err) {
    size_t units = (size_t)s->units.count;
    known k = {dp_alloc(units, sizeof(double)), dp_alloc(units, sizeof(double)),
               dp_alloc(units, sizeof(double))};
    a->passed = false;
    dp_panel panel = {0};
    dp_status status = k.now && k.fail && k.above
                           ? dp_panel_open(&panel, s, err)
                           : dp_fail(err, DP_EMEMORY, "no memory for acceptance");
    if (status == DP_OK) status = approach(&panel, f, t, &k, a, err);
    dp_panel_close(&panel);
    dp_free(k.now);
    dp_free(k.fail);
    dp_free(k.above);
    return status;
}

static dp_status probe(dp_panel *p, double t, dp_acceptance *a, dp_error *err) {
    dp_look l;
    double fidelity = dp_search_fidelity(p->s, a->k, t);
    dp_status status = dp_panel_ask(p, a->k, fidelity, DP_ASK_SOME, &l, err);
    a->checks = 1;
    if (status == DP_OK && !l.whole && l.excess > 1 && l.excess <= doubtful) {
        status = dp_panel_ask(p, a->k, fidelity, DP_ASK_ALL, &l, err);
        a->checks++;
    }
    if (status != DP_OK) return status;
    a->t = t;
    a->passed = l.excess <= 1;
    a->active = p->s->criteria[l.active].quantity;
    dp_outcome outcome = dp_panel_outcome(p);
    return dp_criterion_measure(&p->s->criteria[0], &outcome, &a->measure, err);
}

dp_status dp_accept_probe(dp_search *s, const dp_family *f, double t, dp_acceptance *a,
                          dp_error *err) {
    dp_panel panel = {0};
    dp_status status = dp_family_levels(s, f, t, a->k, &a->rounding, err);
    if (status == DP_OK) status = dp_panel_open(&panel, s, err);
    if (status == DP_OK) status = probe(&panel, t, a, err);
    dp_panel_close(&panel);
    return status;
}

dp_status dp_accept_measure(dp_search *s, dp_acceptance *a, dp_error *err) {
    dp_panel panel;
    dp_look l;
    dp_status status = dp_panel_open(&panel, s, err);
    if (status == DP_OK)
        status = dp_panel_ask(&panel, a->k, dp_search_fidelity(s, a->k, 1), DP_ASK_ALL, &l, err);
    a->checks = 1;
    if (status == DP_OK) {
        dp_outcome outcome = dp_panel_outcome(&panel);
        status = dp_criterion_measure(&s->criteria[0], &outcome, &a->measure, err);
    }
    dp_panel_close(&panel);
    return status;
}
