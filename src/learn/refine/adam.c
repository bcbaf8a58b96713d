/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The procedure of [Garg] in this engine, as what others are compared with:
 *
 *     minimise  L + lambda max(ln E - ln E_target, 0)   over log K of the units, by Adam [Kingma & Ba 2015]
 *
 * L: cross-entropy on labels, divergence from the clean output where there are none; E: sum of B K. Batches of 32 samples, one fresh
 * draw a step, all K alike at first. E_target is what the relaxed shape needs at its t, so that Adam is given the budget's
 * operating region; the paper has to try targets. What comes of the last step is taken as it is, as the paper does.
 */
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/cache.h"
#include "learn/refine/objective.h"
#include "learn/refine/refine.h"
#include "learn/refine/seed.h"

enum { BATCH = 32, STEPS = 1500 };
static const dp_stop usual = {.max_evaluations = STEPS};
static const double rate = 0.01, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
/* The start, in parts of the target's energy: precise, so that the penalty takes energy away. */
static const double start_energy = 4;

typedef struct adam {
    dp_search *s;
    dp_watch watch;
    dp_slope slope;
    double target_j, lambda;
    double *log_k, *first, *second; /* [units] and moments of the derivative */
    double *k;                      /* [units] */
    gsl_rng *rng;
    int64_t *order;      /* [samples] of the learn set, shuffled anew when they are used up */
    int64_t used, batch; /* of order; samples a step */
    int64_t *numbers;    /* [batch] */
    int step;
} adam;

/* Source: [Garg], 2 for shot and 8 for thermal and weight noise. */
static double lambda_of(const dp_hardware *hardware) {
    for (int i = 0; i < hardware->n_noise; i++)
        if (strcmp(hardware->noise[i].model, "shot") != 0) return 8;
    return 2;
}

/* ---- batches ---- */

static int ascending(const void *a, const void *b) {
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static dp_status next_batch(adam *a, dp_part *part, dp_error *err) {
    int64_t samples = a->s->learn.samples;
    if (a->used + a->batch > samples) {
        gsl_ran_shuffle(a->rng, a->order, (size_t)samples, sizeof *a->order);
        a->used = 0;
    }
    memcpy(a->numbers, a->order + a->used, (size_t)a->batch * sizeof *a->numbers);
    a->used += a->batch;
    qsort(a->numbers, (size_t)a->batch, sizeof *a->numbers, ascending);
    return dp_part_pick(part, a->s, a->numbers, a->batch, err);
}

/* ---- steps ---- */

static void set_k(adam *a) {
    const dp_units *u = &a->s->units;
    for (int i = 0; i < u->count; i++) {
        a->log_k[i] = fmin(fmax(a->log_k[i], log(u->low[i])), log(u->high[i]));
        a->k[i] = exp(a->log_k[i]);
    }
}

/* Source: [Kingma & Ba 2015], algorithm 1. */
static void update(adam *a) {
    const dp_units *u = &a->s->units;
    double energy = dp_units_energy(u, a->k), push = energy > a->target_j ? a->lambda / energy : 0;
    double bias1 = 1 - pow(beta1, a->step), bias2 = 1 - pow(beta2, a->step);
    for (int i = 0; i < u->count; i++) {
        double g = a->slope.by_log_k[i] + push * u->cost_j[i] * a->k[i];
        a->first[i] = beta1 * a->first[i] + (1 - beta1) * g;
        a->second[i] = beta2 * a->second[i] + (1 - beta2) * g * g;
        a->log_k[i] -= rate * a->first[i] / bias1 / (sqrt(a->second[i] / bias2) + epsilon);
    }
    set_k(a);
}

static dp_status step(adam *a, dp_error *err) {
    dp_part part;
    uint32_t draws[2] = {a->s->next_trial++, 1};
    dp_status status = next_batch(a, &part, err);
    if (status != DP_OK) return status;
    status = dp_slope_measure(&a->slope, a->s, &part, draws, a->k, err);
    dp_part_clear(&part);
    if (status != DP_OK) return status;
    dp_watch_count(&a->watch);
    a->step++;
    update(a);
    return DP_OK;
}

static dp_status run_steps(adam *a, dp_error *err) {
    bool ended = false;
    dp_status status = dp_watch_ended(&a->watch, &ended, err);
    while (status == DP_OK && !ended) {
        status = step(a, err);
        if (status == DP_OK) status = dp_watch_ended(&a->watch, &ended, err);
    }
    return status;
}

/* ---- the search ---- */

static void start(adam *a, double t, const double *shape) {
    const dp_units *u = &a->s->units;
    double ones = 0;
    dp_relax_at(u, shape, t, a->k);
    a->target_j = dp_units_energy(u, a->k);
    for (int i = 0; i < u->count; i++) ones += u->cost_j[i];
    for (int i = 0; i < u->count; i++) a->log_k[i] = log(start_energy * a->target_j / ones);
    set_k(a);
    for (int64_t i = 0; i < a->s->learn.samples; i++) a->order[i] = i;
    a->used = a->s->learn.samples; /* shuffle first */
}

static dp_status open_adam(adam *a, dp_search *s, dp_error *err) {
    size_t units = (size_t)s->units.count, samples = (size_t)s->learn.samples;
    a->s = s;
    a->lambda = lambda_of(s->hardware);
    a->batch = s->learn.samples < BATCH ? s->learn.samples : BATCH;
    dp_status status = dp_slope_open(&a->slope, s, a->batch, err);
    if (status != DP_OK) return status;
    bool truth = dp_dataset_label_count(s->learn.data) || dp_dataset_target_count(s->learn.data);
    a->slope.cross_entropy = truth;
    double **room[] = {&a->log_k, &a->first, &a->second, &a->k};
    bool ready = true;
    for (int i = 0; i < 4; i++) ready = (*room[i] = dp_alloc(units, sizeof(double))) && ready;
    a->order = dp_alloc(samples, sizeof *a->order);
    a->numbers = dp_alloc((size_t)a->batch, sizeof *a->numbers);
    a->rng = dp_seed_rng(s->options->seed);
    if (!ready || !a->order || !a->numbers || !a->rng)
        return dp_fail(err, DP_EMEMORY, "no memory for a search");
    a->watch = dp_watch_start(&s->options->stop, &usual, s->options->comm);
    return DP_OK;
}

static void close_adam(adam *a) {
    dp_slope_clear(&a->slope);
    dp_free(a->log_k);
    dp_free(a->first);
    dp_free(a->second);
    dp_free(a->k);
    dp_free(a->order);
    dp_free(a->numbers);
    if (a->rng) gsl_rng_free(a->rng);
}

dp_status dp_refine_adam(dp_search *s, double t, double *shape, dp_error *err) {
    adam a = {0};
    dp_status status = open_adam(&a, s, err);
    if (status == DP_OK) {
        start(&a, t, shape);
        dp_cache_pause(s->engine, true);
        status = run_steps(&a, err);
        dp_cache_pause(s->engine, false);
    }
    if (status == DP_OK)
        for (int i = 0; i < s->units.count; i++) shape[i] = a.k[i] / t;
    close_adam(&a);
    return status;
}
