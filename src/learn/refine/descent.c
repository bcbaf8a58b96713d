/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/gsl_errors.h"
#include "learn/refine/descent.h"
#include "learn/refine/objective.h"
#include "learn/refine/refine.h"
#include "learn/refine/shrink.h"

/* One round by default: what a second adds was small where it was measured. */
enum { ROUND_EVALUATIONS = 8 };
static const dp_stop usual = {.max_evaluations = ROUND_EVALUATIONS, .tolerance = 1e-3};

/* Of d, in parts of their mean square: what seems not to matter is not moved by whole decades. */
static const double least_scale = 0.1;
/* Of the line search: how far the slope has to fall. */
static const double line_tolerance = 0.1;

typedef struct descent {
    dp_objective o;
    dp_shrink shrink;
    double *base;        /* [units] the shape at x = 0 */
    double *shape;       /* [units] at the x that was measured last */
    double *x, *slope;   /* [units] that x, and the derivative there */
    double *best;        /* [units] shape of the least value of this round */
    double value, least; /* at x; of this round */
    int left;            /* evaluations of this round */
    bool known;          /* x has been measured in this round */
    dp_status status;
    dp_error *err;
} descent;

/* ---- the objective, as GSL wants it ---- */

static void place(descent *d, const double *x) {
    int units = d->shrink.units;
    for (int u = 0; u < units; u++) d->shape[u] = d->base[u] * exp(x[u] / d->shrink.scale[u]);
    dp_objective_place(&d->o, d->shape);
}

static bool is_free(const dp_units *u, const double *k, int unit) {
    return !u->fixed[unit] && k[unit] > u->low[unit] && k[unit] < u->high[unit];
}

/* From derivatives by log K to those by x at constant energy; the error's variance goes along. */
static void project(descent *d) {
    const dp_units *u = &d->o.s->units;
    const double *k = d->o.k;
    dp_slope *slope = &d->o.slope;
    double g = 0, q = 0;
    for (int i = 0; i < u->count; i++) {
        if (!is_free(u, k, i)) continue;
        g += slope->by_log_k[i];
        q += u->cost_j[i] * k[i];
    }
    for (int i = 0; i < u->count; i++) {
        double scale = d->shrink.scale[i], share = q > 0 ? u->cost_j[i] * k[i] / q : 0;
        bool moves = is_free(u, k, i);
        d->slope[i] = moves ? (slope->by_log_k[i] - share * g) / scale : 0;
        slope->variance[i] = moves ? slope->variance[i] / (scale * scale) : 0;
    }
}

static dp_status measure(descent *d, const double *x) {
    place(d, x);
    dp_status status = dp_objective_measure(&d->o, true, d->err);
    if (status != DP_OK) return status;
    bool first = isinf(d->least);
    project(d);
    if (first) dp_shrink_learn(&d->shrink, d->slope, d->o.slope.variance);
    d->value = d->o.slope.loss + dp_shrink_penalty(&d->shrink, x, d->slope);
    if (d->value < d->least) {
        d->least = d->value;
        memcpy(d->best, d->shape, (size_t)d->shrink.units * sizeof *d->best);
    }
    return DP_OK;
}

/* GSL asks for value and slope apart, and for the same point several times. False: the search is over. */
static bool know(descent *d, const gsl_vector *at) {
    size_t bytes = at->size * sizeof(double);
    bool ended = d->status != DP_OK || d->left <= 0;
    if (d->known && memcmp(d->x, at->data, bytes) == 0) return true;
    if (!ended) d->status = dp_watch_ended(&d->o.watch, &ended, d->err);
    if (ended || d->status != DP_OK) return false;
    d->left--;
    memcpy(d->x, at->data, bytes);
    d->status = measure(d, d->x);
    d->known = d->status == DP_OK;
    return d->known;
}

static void value_and_slope(const gsl_vector *at, void *context, double *value, gsl_vector *slope) {
    descent *d = context;
    bool known = know(d, at);
    if (value) *value = known ? d->value : INFINITY;
    for (size_t i = 0; slope && i < slope->size; i++)
        gsl_vector_set(slope, i, known ? d->slope[i] : 0);
}

static double value_at(const gsl_vector *at, void *context) {
    double value;
    value_and_slope(at, context, &value, NULL);
    return value;
}

static void slope_at(const gsl_vector *at, void *context, gsl_vector *slope) {
    value_and_slope(at, context, NULL, slope);
}

/* ---- a round ---- */

static double length(const double *x, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += x[i] * x[i];
    return sqrt(sum);
}

/* From x = 0 until it settles or its evaluations are used up. */
static void iterate(descent *d, gsl_multimin_fdfminimizer *m, const gsl_vector *start) {
    gsl_multimin_function_fdf f = {value_at, slope_at, value_and_slope, (size_t)d->shrink.units, d};
    if (!know(d, start)) return;
    double step = length(d->slope, d->shrink.units), before = d->least;
    bool going = step > 0 &&
                 gsl_multimin_fdfminimizer_set(m, &f, start, step, line_tolerance) == GSL_SUCCESS;
    while (going && d->status == DP_OK && d->left > 0 && !d->o.watch.over) {
        going = gsl_multimin_fdfminimizer_iterate(m) == GSL_SUCCESS &&
                !dp_watch_settled(&d->o.watch, before, d->least);
        before = d->least;
    }
}

static dp_status run_round(descent *d, const gsl_multimin_fdfminimizer_type *type) {
    size_t units = (size_t)d->shrink.units;
    dp_gsl_errors_return();
    gsl_multimin_fdfminimizer *m = gsl_multimin_fdfminimizer_alloc(type, units);
    gsl_vector *start = gsl_vector_calloc(units);
    d->least = INFINITY;
    d->left = ROUND_EVALUATIONS;
    d->known = false;
    if (m && start)
        d->status = dp_objective_renew(&d->o, d->err);
    else
        d->status = dp_fail(d->err, DP_EMEMORY, "no memory for a minimiser");
    if (d->status == DP_OK) iterate(d, m, start);
    gsl_multimin_fdfminimizer_free(m);
    gsl_vector_free(start);
    dp_gsl_errors_restore();
    return d->status;
}

/* Half the way to what a round found, in log K. */
static void halve(descent *d) {
    for (int u = 0; u < d->shrink.units; u++) d->best[u] = sqrt(d->best[u] * d->base[u]);
}

/* Take the round's step, or half of it, where that helps on what it has not seen. */
static dp_status accept_round(descent *d, bool *taken) {
    size_t bytes = (size_t)d->shrink.units * sizeof *d->base;
    dp_status status = DP_OK;
    *taken = false;
    if (memcmp(d->best, d->base, bytes) == 0) return DP_OK;
    for (int i = 0; status == DP_OK && i < 2 && !*taken; i++) {
        if (i) halve(d);
        status = dp_objective_better(&d->o, d->base, d->best, taken, d->err);
    }
    if (*taken) memcpy(d->base, d->best, bytes);
    return status;
}

/* ---- the search ---- */

/* d, from the curvature at the relaxed optimum. */
static void set_scales(descent *d) {
    const dp_units *u = &d->o.s->units;
    double *scale = d->shrink.scale, sum = 0;
    dp_objective_place(&d->o, d->base);
    for (int i = 0; i < u->count; i++) sum += scale[i] = sqrt(2 * fmax(u->s[i], 0) / d->o.k[i]);
    double least = least_scale * (sum > 0 ? length(scale, u->count) / sqrt(u->count) : 10);
    for (int i = 0; i < u->count; i++) scale[i] = fmax(scale[i], least);
}

static dp_status open_descent(descent *d, dp_search *s, double t, double *shape) {
    size_t units = (size_t)s->units.count;
    dp_status status = dp_objective_open(&d->o, s, t, shape, d->err);
    if (status == DP_OK) status = dp_shrink_open(&d->shrink, s, d->err);
    if (status != DP_OK) return status;
    d->base = shape;
    double **room[] = {&d->shape, &d->x, &d->slope, &d->best};
    for (int i = 0; i < 4; i++)
        if (!(*room[i] = dp_alloc(units, sizeof(double))))
            return dp_fail(d->err, DP_EMEMORY, "no memory for a search");
    d->o.watch = dp_watch_start(&s->options->stop, &usual, s->options->comm);
    set_scales(d);
    return DP_OK;
}

static void close_descent(descent *d) {
    dp_objective_close(&d->o);
    dp_shrink_close(&d->shrink);
    dp_free(d->shape);
    dp_free(d->x);
    dp_free(d->slope);
    dp_free(d->best);
}

dp_status dp_descend(dp_search *s, double t, double *shape, dp_descent how, dp_error *err) {
    descent d = {.err = err};
    bool going = true;
    dp_status status = open_descent(&d, s, t, shape);
    while (status == DP_OK && going && !d.o.watch.over) {
        status = run_round(&d, how == DP_DESCENT_BFGS2 ? gsl_multimin_fdfminimizer_vector_bfgs2
                                                       : gsl_multimin_fdfminimizer_conjugate_pr);
        if (status == DP_OK) status = accept_round(&d, &going);
    }
    if (d.o.k) dp_objective_normalise(&d.o, t, shape);
    close_descent(&d);
    return status;
}

static dp_status from_operating_point(dp_search *s, double t, double *shape, dp_descent how,
                                      dp_error *err) {
    dp_status status = dp_refine_operating_point(s, t, shape, err);
    return status == DP_OK ? dp_descend(s, t, shape, how, err) : status;
}

dp_status dp_refine_bfgs2(dp_search *s, double t, double *shape, dp_error *err) {
    return from_operating_point(s, t, shape, DP_DESCENT_BFGS2, err);
}

dp_status dp_refine_conjugate_pr(dp_search *s, double t, double *shape, dp_error *err) {
    return from_operating_point(s, t, shape, DP_DESCENT_CONJUGATE_PR, err);
}
