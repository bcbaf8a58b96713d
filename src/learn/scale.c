/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/scale.h"

#include <gsl/gsl_errno.h>
#include <gsl/gsl_roots.h>
#include <math.h>

#include "learn/gsl_errors.h"

enum { MAX_EVALUATIONS = 16, MATCH_STEPS = 2 };
/* A step of log t that needs no second one: what is left of it is a small part. Acceptance of a drop begins with a short look, and need not
 * begin so near. */
static const double near[] = {[DP_DROP] = 0.7, [DP_RISE] = 0.15};
/* Divergences that are compared with each other see the same draws. */
#define MATCH_TRIAL 0x20000000U

typedef struct problem {
    dp_search *s;
    const dp_family *family;
    uint32_t trials[2];
    dp_status status;
    dp_error *err;
    double passing; /* smallest log t that met the budgets */
    dp_answer best; /* of least excess */
    int known;
    double x[2 * MAX_EVALUATIONS],
        f[2 * MAX_EVALUATIONS]; /* every evaluation: GSL asks for some twice */
} problem;

static double measure(problem *p, double log_t) {
    dp_search *s = p->s;
    dp_family_relaxed(s, p->family, exp(log_t), s->k);
    p->status = dp_search_evaluate(s, &s->learn, s->k, p->trials, p->err);
    if (p->status != DP_OK) return 0;
    dp_outcome outcome = {.clean = dp_reference_scores(s->learn.reference),
                          .noisy = s->learn.scores,
                          .samples = s->learn.samples,
                          .trials = (int)p->trials[1]};
    dp_answer answer;
    p->status =
        dp_criteria_judge(s->criteria, s->n_criteria, &outcome, s->check.counted, &answer, p->err);
    if (p->status != DP_OK) return 0;
    double f = answer.excess - 1;
    if (f <= 0) p->passing = fmin(p->passing, log_t);
    if (answer.excess < p->best.excess) p->best = answer;
    return f;
}

/* Excess over the budget at log t; the draws are the same at every t, so the function is deterministic. */
static double excess(double log_t, void *context) {
    problem *p = context;
    if (p->status != DP_OK) return 0; /* ends the search */
    for (int i = 0; i < p->known; i++)
        if (p->x[i] == log_t) return p->f[i];
    double f = measure(p, log_t);
    if (p->known < 2 * MAX_EVALUATIONS) {
        p->x[p->known] = log_t;
        p->f[p->known++] = f;
    }
    return f;
}

typedef struct bracket {
    double low, high;     /* log t */
    double f_low, f_high; /* f_low > 0 >= f_high */
} bracket;

/* Walk from the guess by factors of 2, 4, 4 ... until the sign changes. */
static bool find_bracket(problem *p, double guess, bracket *b) {
    double least, most, step = log(2);
    dp_family_range(p->s, p->family, &least, &most);
    double x = log(fmin(fmax(guess, least), most)), f = excess(x, p);
    double direction = f > 0 ? 1 : -1, limit = log(f > 0 ? most : least);
    *b = (bracket){x, x, f, f};
    while (p->status == DP_OK && direction * (limit - x) > 0) {
        double next = direction > 0 ? fmin(x + step, limit) : fmax(x - step, limit);
        double f_next = excess(next, p);
        if (direction > 0)
            *b = (bracket){x, next, f, f_next};
        else
            *b = (bracket){next, x, f_next, f};
        if ((f_next > 0) != (f > 0)) return true;
        x = next;
        f = f_next;
        step = log(4);
    }
    return false;
}

static void narrow(problem *p, const bracket *b, double tolerance) {
    gsl_root_fsolver *solver = gsl_root_fsolver_alloc(gsl_root_fsolver_brent);
    if (!solver) {
        p->status = dp_fail(p->err, DP_EMEMORY, "no memory for a root finder");
        return;
    }
    gsl_function f = {excess, p};
    bool going = gsl_root_fsolver_set(solver, &f, b->low, b->high) == GSL_SUCCESS;
    for (int i = 0; going && i < MAX_EVALUATIONS && p->status == DP_OK; i++) {
        going = gsl_root_fsolver_iterate(solver) == GSL_SUCCESS &&
                gsl_root_fsolver_x_upper(solver) - gsl_root_fsolver_x_lower(solver) > tolerance;
    }
    gsl_root_fsolver_free(solver);
}

dp_status dp_scale_find(dp_search *s, const dp_family *family, const dp_scale *scale, double *t,
                        dp_error *err) {
    dp_gsl_errors_return();
    problem p = {.s = s,
                 .family = family,
                 .trials = {s->next_trial, (uint32_t)scale->trials},
                 .err = err,
                 .passing = INFINITY,
                 .best = {.excess = INFINITY}};
    s->next_trial += (uint32_t)scale->trials;
    bracket b;
    if (find_bracket(&p, scale->guess, &b)) narrow(&p, &b, scale->tolerance);
    dp_gsl_errors_restore();
    if (p.status != DP_OK) return p.status;
    if (isfinite(p.passing)) {
        *t = exp(p.passing);
        return DP_OK;
    }
    const dp_criterion *c = &s->criteria[p.best.active];
    double unit = c->quantity == DP_DROP ? 100 : 1;
    return dp_fail(err, DP_EBUDGET,
                   "the budget cannot be met on hardware '%s': even at its highest precision the "
                   "upper bound is %.3g %s, the budget %.3g",
                   s->hardware->name, unit * p.best.verdict[p.best.active].upper,
                   dp_criterion_unit(c), unit * c->budget);
}

static double mean_divergence(const dp_half *half, int trials) {
    double kl = 0, rows = 0;
    for (int64_t i = 0; i < half->samples * trials; i++) {
        kl += half->scores[i].kl;
        rows += half->scores[i].rows;
    }
    return rows > 0 ? kl / rows : 0;
}

static dp_status divergence(dp_search *s, const double *k, double *kl, dp_error *err) {
    uint32_t trials[2] = {MATCH_TRIAL, 1};
    dp_status status = dp_search_evaluate(s, &s->learn, k, trials, err);
    *kl = mean_divergence(&s->learn, 1);
    return status;
}

dp_status dp_scale_diverge(dp_search *s, const dp_family *family, double target, double *t,
                           dp_error *err) {
    double kl, low, high;
    dp_status status = DP_OK;
    dp_family_range(s, family, &low, &high);
    for (int i = 0; status == DP_OK && i < MATCH_STEPS && target > 0; i++) {
        *t = fmin(fmax(*t, low), high);
        dp_family_relaxed(s, family, *t, s->k);
        status = divergence(s, s->k, &kl, err);
        if (status != DP_OK || !(kl > 0 && isfinite(kl))) continue;
        *t *= kl / target;
        if (fabs(log(kl / target)) < near[s->criteria[0].quantity]) break;
    }
    *t = fmin(fmax(*t, low), high);
    return status;
}

dp_status dp_scale_match(dp_search *s, const dp_family *family, const double *k, double *t,
                         dp_error *err) {
    double target;
    dp_status status = divergence(s, k, &target, err);
    return status == DP_OK ? dp_scale_diverge(s, family, target, t, err) : status;
}
