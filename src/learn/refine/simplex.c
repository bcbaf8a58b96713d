/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Nelder and Mead's simplex (GSL's nmsimplex2) on factors of groups of layers, at constant energy: forward passes only, so that it serves
 * networks without a reverse pass, too.
 *
 * Groups are runs of neighbouring layers. At first each layer is one; then the two neighbours are merged whose mean log r differ
 * least, in the measure of [Ward 1963], until at most MOST_GROUPS are left. The last group's factor stays 1: a factor common to
 * all would change nothing.
 */
#include <gsl/gsl_errno.h>
#include <gsl/gsl_multimin.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/gsl_errors.h"
#include "learn/refine/objective.h"
#include "learn/refine/refine.h"

enum { MOST_GROUPS = 12, EVALUATIONS = 120 };
static const dp_stop usual = {.max_evaluations = EVALUATIONS, .tolerance = 1e-3};

/* A loss above all others that GSL takes for a number: once the search is over, nothing is gained any more. */
static const double no_gain = 1e300;

/* Of log K, the first simplex's edges. */
static const double first_step = 0.3;

typedef struct group {
    double weight, mean; /* joules a repetition; of log r, weighted by them */
} group;

typedef struct simplex {
    dp_objective o;
    int groups;
    int *of_unit;         /* [units] */
    double *base, *shape; /* [units] at factors of 1; at those that were measured last */
    double *best;         /* [units] of the least loss */
    double least;
    dp_status status;
    dp_error *err;
} simplex;

/* ---- groups ---- */

/* Layers' groups of units, by the first site that has them. Returns how many there are. */
static int number_layers(const dp_search *s, int *of_unit) {
    int count = 0;
    for (int i = 0; i < dp_engine_site_count(s->engine); i++) {
        const dp_site_info *site = dp_engine_site(s->engine, i);
        if (site->tied != i) continue;
        for (int64_t c = 0; c < site->channels; c++)
            of_unit[s->units.of_channel[site->first_channel + c]] = count;
        count++;
    }
    return count;
}

static void describe(const dp_units *u, const simplex *x, group *groups) {
    for (int i = 0; i < u->count; i++) {
        group *g = &groups[x->of_unit[i]];
        g->weight += u->cost_j[i];
        g->mean += u->cost_j[i] * log(x->base[i]);
    }
    for (int g = 0; g < x->groups; g++)
        if (groups[g].weight > 0) groups[g].mean /= groups[g].weight;
}

static double distance(const group *a, const group *b) {
    double sum = a->weight + b->weight, apart = a->mean - b->mean;
    return sum > 0 ? a->weight * b->weight / sum * apart * apart : 0;
}

static void merge(group *groups, int at, int count) {
    group *a = &groups[at], *b = a + 1;
    double sum = a->weight + b->weight;
    if (sum > 0) a->mean = (a->weight * a->mean + b->weight * b->mean) / sum;
    a->weight = sum;
    memmove(b, b + 1, (size_t)(count - at - 2) * sizeof *b);
}

static int merge_nearest(const dp_units *u, group *groups, int count, int *of_unit) {
    int nearest = 0;
    for (int i = 1; i + 1 < count; i++)
        if (distance(&groups[i], &groups[i + 1]) < distance(&groups[nearest], &groups[nearest + 1]))
            nearest = i;
    merge(groups, nearest, count);
    for (int i = 0; i < u->count; i++) of_unit[i] -= of_unit[i] > nearest;
    return count - 1;
}

static dp_status make_groups(simplex *x, const dp_search *s) {
    const dp_units *u = &s->units;
    group *groups = dp_alloc((size_t)dp_engine_site_count(s->engine), sizeof *groups);
    if (!groups) return dp_fail(x->err, DP_EMEMORY, "no memory for a search");
    x->groups = number_layers(s, x->of_unit);
    describe(u, x, groups);
    while (x->groups > MOST_GROUPS) x->groups = merge_nearest(u, groups, x->groups, x->of_unit);
    dp_free(groups);
    return DP_OK;
}

/* ---- the objective, as GSL wants it ---- */

static double loss_at(const gsl_vector *at, void *context) {
    simplex *x = context;
    const dp_units *u = &x->o.s->units;
    bool ended = x->status != DP_OK;
    if (!ended) x->status = dp_watch_ended(&x->o.watch, &ended, x->err);
    if (ended || x->status != DP_OK) return no_gain;
    for (int i = 0; i < u->count; i++) {
        int g = x->of_unit[i];
        x->shape[i] = x->base[i] * (g < x->groups - 1 ? exp(gsl_vector_get(at, (size_t)g)) : 1);
    }
    dp_objective_place(&x->o, x->shape);
    x->status = dp_objective_measure(&x->o, false, x->err);
    if (x->status != DP_OK) return no_gain;
    if (x->o.slope.loss < x->least) {
        x->least = x->o.slope.loss;
        memcpy(x->best, x->shape, (size_t)u->count * sizeof *x->best);
    }
    return x->o.slope.loss;
}

/* It settles when as many steps as the simplex has corners have not helped. */
static void iterate(simplex *x, gsl_multimin_fminimizer *m, gsl_vector *start, gsl_vector *steps) {
    gsl_multimin_function f = {loss_at, start->size, x};
    gsl_vector_set_all(steps, first_step);
    bool going = gsl_multimin_fminimizer_set(m, &f, start, steps) == GSL_SUCCESS;
    double before = x->least;
    for (size_t i = 1; going && x->status == DP_OK && !x->o.watch.over; i++) {
        going = gsl_multimin_fminimizer_iterate(m) == GSL_SUCCESS;
        if (i % (start->size + 1)) continue;
        going = going && !dp_watch_settled(&x->o.watch, before, x->least);
        before = x->least;
    }
}

static dp_status minimise(simplex *x) {
    size_t n = (size_t)x->groups - 1;
    dp_gsl_errors_return();
    gsl_multimin_fminimizer *m =
        gsl_multimin_fminimizer_alloc(gsl_multimin_fminimizer_nmsimplex2, n);
    gsl_vector *start = gsl_vector_calloc(n), *steps = gsl_vector_calloc(n);
    if (m && start && steps)
        iterate(x, m, start, steps);
    else
        x->status = dp_fail(x->err, DP_EMEMORY, "no memory for a minimiser");
    gsl_multimin_fminimizer_free(m);
    gsl_vector_free(start);
    gsl_vector_free(steps);
    dp_gsl_errors_restore();
    return x->status;
}

static dp_status open_simplex(simplex *x, dp_search *s, double t, double *shape) {
    size_t units = (size_t)s->units.count;
    dp_status status = dp_objective_open(&x->o, s, t, shape, x->err);
    if (status != DP_OK) return status;
    x->base = shape;
    x->of_unit = dp_alloc(units, sizeof *x->of_unit);
    x->shape = dp_alloc(units, sizeof *x->shape);
    x->best = dp_alloc(units, sizeof *x->best);
    if (!x->of_unit || !x->shape || !x->best)
        return dp_fail(x->err, DP_EMEMORY, "no memory for a search");
    x->o.watch = dp_watch_start(&s->options->stop, &usual, s->options->comm);
    status = make_groups(x, s);
    return status == DP_OK ? dp_objective_renew(&x->o, x->err) : status;
}

dp_status dp_refine_simplex(dp_search *s, double t, double *shape, dp_error *err) {
    simplex x = {.least = INFINITY, .err = err};
    bool better = false;
    dp_status status = open_simplex(&x, s, t, shape);
    if (status == DP_OK && x.groups > 1) {
        status = minimise(&x);
        if (status == DP_OK && isfinite(x.least))
            status = dp_objective_better(&x.o, shape, x.best, &better, err);
    }
    if (better) memcpy(shape, x.best, (size_t)s->units.count * sizeof *shape);
    if (better) dp_objective_normalise(&x.o, t, shape);
    dp_objective_close(&x.o);
    dp_free(x.of_unit);
    dp_free(x.shape);
    dp_free(x.best);
    return status;
}
