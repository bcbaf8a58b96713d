/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Simulated annealing (GSL's siman) on the levels themselves, from those that the relaxed shape is rounded to, within the
 * energy that it has at t. A step raises some units by a level and lowers others until the energy allows it; which, the
 * predicted loss suggests, the best of a few drawn at random; whether it is taken, the measured one decides.
 *
 * What is found is handed on as the shape K / t. Its K are then optimal for the loss sum of w / K that rounding takes from a shape, w in
 * proportion to B K², at the price 1 / that factor where each unit's best level is K itself [Everett 1963]: so rounding at this
 * energy ends with these levels. Where the budget leaves more, rounding spends what is left on top.
 */
#include <gsl/gsl_siman.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/levels.h"
#include "learn/gsl_errors.h"
#include "learn/refine/objective.h"
#include "learn/refine/refine.h"
#include "learn/refine/seed.h"

enum { EVALUATIONS = 120, TEMPERATURES = 10, DRAWN = 4, CONFIGURATIONS = 4, UNITS_A_MOVE = 64 };
static const dp_stop usual = {.max_evaluations = EVALUATIONS};

/* The first temperature, in parts of the loss at the start, and the last, in parts of the first. */
static const double hottest = 0.01, coldest = 0.01;

struct anneal;

/* What GSL moves about: plain pointers to these. */
typedef struct configuration {
    struct anneal *a;
    double *k; /* [units] levels */
    double loss;
    bool known;
} configuration;

typedef struct anneal {
    dp_objective o;
    configuration room[CONFIGURATIONS];
    int used; /* of room */
    double energy_j;
    gsl_rng *rng;
    dp_status status;
    dp_error *err;
} anneal;

/* ---- moves ---- */

static double next_level(const dp_search *s, int unit, double k) {
    return fmin(dp_level_next(s->hardware, k), s->units.high[unit]);
}

static double previous_level(const dp_search *s, int unit, double k) {
    return fmax(dp_level_previous(s->hardware, k), s->units.low[unit]);
}

/* Predicted nats that one level brings or costs, a joule. */
static double nats_per_j(const dp_units *u, int unit, double from, double to) {
    return u->s[unit] * fabs(1 / from - 1 / to) / (u->cost_j[unit] * fabs(to - from));
}

/* Of a few units drawn at random, the one that is the best to raise (or lower); -1: none can be. */
static int draw_unit(const configuration *c, const gsl_rng *rng, bool up, double energy) {
    const dp_search *s = c->a->o.s;
    const dp_units *u = &s->units;
    int found = -1;
    double best = 0;
    for (int i = 0; i < DRAWN; i++) {
        int unit = (int)gsl_rng_uniform_int(rng, (unsigned long)u->count);
        double k = c->k[unit], to = up ? next_level(s, unit, k) : previous_level(s, unit, k);
        if (to == k || !(u->cost_j[unit] > 0) || u->cost_j[unit] * (to - k) > energy) continue;
        double value = nats_per_j(u, unit, k, to) * (up ? 1 : -1);
        if (found < 0 || value > best) {
            found = unit;
            best = value;
        }
    }
    return found;
}

/* Raise one, lower others until that is paid, and spend what is left. */
static void exchange(configuration *c, const gsl_rng *rng) {
    const dp_search *s = c->a->o.s;
    const double *cost = s->units.cost_j;
    double left = c->a->energy_j * (1 + 1e-12) - dp_units_energy(&s->units, c->k);
    int up = draw_unit(c, rng, true, INFINITY);
    if (up < 0) return;
    double raised = next_level(s, up, c->k[up]);
    left -= cost[up] * (raised - c->k[up]);
    c->k[up] = raised;
    for (int tries = 0; left < 0 && tries < 64 * DRAWN; tries++) {
        int down = draw_unit(c, rng, false, INFINITY);
        if (down < 0 || down == up) continue;
        double lowered = previous_level(s, down, c->k[down]);
        left += cost[down] * (c->k[down] - lowered);
        c->k[down] = lowered;
    }
    int more = draw_unit(c, rng, true, left);
    if (more >= 0) c->k[more] = next_level(s, more, c->k[more]);
}

static void take_step(const gsl_rng *rng, void *at, double size) {
    configuration *c = at;
    const dp_units *u = &c->a->o.s->units;
    unsigned long most = 1 + (unsigned long)(u->count / UNITS_A_MOVE);
    double *before = c->a->o.k; /* free until the next measurement */
    (void)size;
    memcpy(before, c->k, (size_t)u->count * sizeof *before);
    for (unsigned long i = 1 + gsl_rng_uniform_int(rng, most); i > 0; i--) exchange(c, rng);
    if (dp_units_energy(u, c->k) > c->a->energy_j * (1 + 1e-12)) /* it could not be paid */
        memcpy(c->k, before, (size_t)u->count * sizeof *before);
    c->known = memcmp(c->k, before, (size_t)u->count * sizeof *before) == 0 && c->known;
}

/* ---- what GSL calls ---- */

/* Above every loss once the search is over: nothing is accepted then. */
static double loss_of(void *at) {
    configuration *c = at;
    anneal *a = c->a;
    bool ended = a->status != DP_OK;
    if (c->known) return c->loss;
    if (!ended) a->status = dp_watch_ended(&a->o.watch, &ended, a->err);
    if (ended || a->status != DP_OK) return INFINITY;
    memcpy(a->o.k, c->k, (size_t)a->o.s->units.count * sizeof *c->k);
    a->status = dp_objective_measure(&a->o, false, a->err);
    if (a->status != DP_OK) return INFINITY;
    c->loss = a->o.slope.loss;
    c->known = true;
    return c->loss;
}

static void copy(void *from, void *to) {
    const configuration *a = from;
    configuration *b = to;
    memcpy(b->k, a->k, (size_t)a->a->o.s->units.count * sizeof *a->k);
    b->loss = a->loss;
    b->known = a->known;
}

/* Where GSL would allocate, there is room already. */
static void *copy_into_room(void *from) {
    anneal *a = ((configuration *)from)->a;
    configuration *to = &a->room[a->used++];
    copy(from, to);
    return to;
}

static void leave(void *at) {
    ((configuration *)at)->a->used--;
}

/* ---- the search ---- */

static dp_status open_anneal(anneal *a, dp_search *s, double t, const double *shape) {
    size_t units = (size_t)s->units.count;
    dp_status status = dp_objective_open(&a->o, s, t, shape, a->err);
    if (status != DP_OK) return status;
    a->energy_j = a->o.energy_j;
    bool ready = true;
    for (int i = 0; i < CONFIGURATIONS; i++) {
        a->room[i] = (configuration){.a = a, .k = dp_alloc(units, sizeof(double))};
        ready = ready && a->room[i].k;
    }
    a->rng = dp_seed_rng(s->options->seed);
    if (!ready || !a->rng) return dp_fail(a->err, DP_EMEMORY, "no memory for a search");
    a->o.watch = dp_watch_start(&s->options->stop, &usual, s->options->comm);
    a->used = 1; /* the start */
    memcpy(a->room[0].k, a->o.k, units * sizeof(double));
    dp_allocation allocation = {&s->units, s->hardware, shape};
    dp_rounding unused;
    status = dp_objective_renew(&a->o, a->err);
    if (status != DP_OK) return status;
    return dp_round_within(&allocation, a->energy_j, a->room[0].k, &unused, a->err);
}

static void close_anneal(anneal *a) {
    dp_objective_close(&a->o);
    for (int i = 0; i < CONFIGURATIONS; i++) dp_free(a->room[i].k);
    if (a->rng) gsl_rng_free(a->rng);
}

/* Leaves the best in room[0]. */
static dp_status solve(anneal *a) {
    double first = hottest * loss_of(&a->room[0]);
    if (a->status != DP_OK || !(first > 0) || isinf(first)) return a->status;
    int at_each = (a->o.watch.stop.max_evaluations + TEMPERATURES - 1) / TEMPERATURES;
    gsl_siman_params_t params = {.n_tries = 1,
                                 .iters_fixed_T = at_each,
                                 .step_size = 1,
                                 .k = 1,
                                 .t_initial = first,
                                 .mu_t = pow(1 / coldest, 1.0 / TEMPERATURES),
                                 .t_min = first * coldest};
    dp_gsl_errors_return();
    gsl_siman_solve(a->rng, &a->room[0], loss_of, take_step, NULL, NULL, copy, copy_into_room,
                    leave, 0, params);
    dp_gsl_errors_restore();
    return a->status;
}

/* Are the levels in room[0] better than those that it began with, on what it has not seen? */
static dp_status ask(anneal *a, const double *began, bool *better) {
    size_t bytes = (size_t)a->o.s->units.count * sizeof(double);
    const double *k[2] = {began, a->room[0].k};
    double loss[2] = {0};
    *better = false;
    if (memcmp(k[0], k[1], bytes) == 0) return DP_OK;
    dp_status status = dp_objective_hold(&a->o, a->err);
    for (int i = 0; status == DP_OK && i < 2; i++) {
        memcpy(a->o.k, k[i], bytes);
        status = dp_objective_unseen(&a->o, &loss[i], a->err);
    }
    *better = status == DP_OK && loss[1] < loss[0];
    return status;
}

dp_status dp_refine_anneal(dp_search *s, double t, double *shape, dp_error *err) {
    anneal a = {.err = err};
    bool better = false;
    double *began = dp_alloc((size_t)s->units.count, sizeof *began);
    dp_status status =
        began ? open_anneal(&a, s, t, shape) : dp_fail(err, DP_EMEMORY, "no memory for a search");
    if (status == DP_OK) memcpy(began, a.room[0].k, (size_t)s->units.count * sizeof *began);
    if (status == DP_OK) status = solve(&a);
    if (status == DP_OK) status = ask(&a, began, &better);
    for (int i = 0; better && i < s->units.count; i++) shape[i] = a.room[0].k[i] / t;
    dp_free(began);
    close_anneal(&a);
    return status;
}
