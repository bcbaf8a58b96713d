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
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/cache.h"
#include "learn/refine/batches.h"
#include "learn/refine/moments.h"
#include "learn/refine/refine.h"

enum { BATCH = 32, STEPS = 1500 };
static const dp_stop usual = {.max_evaluations = STEPS};
static const double rate = 0.01;
/* The start, in parts of the target's energy: precise, so that the penalty takes energy away. */
static const double start_energy = 4;

typedef struct adam {
    dp_search *s;
    dp_watch watch;
    dp_slope slope;
    dp_batches batches;
    dp_moments moments;
    double target_j, lambda;
    double *gradient; /* [units] */
} adam;

/* Source: [Garg], 2 for shot and 8 for thermal and weight noise. */
static double lambda_of(const dp_hardware *hardware) {
    for (int i = 0; i < hardware->n_noise; i++)
        if (strcmp(hardware->noise[i].model, "shot") != 0) return 8;
    return 2;
}

static dp_status step(adam *a, dp_error *err) {
    const dp_units *u = &a->s->units;
    const double *k = a->moments.k;
    dp_part part;
    uint32_t draws[2] = {a->s->next_trial++, 1};
    dp_status status = dp_batches_next(&a->batches, &part, err);
    if (status != DP_OK) return status;
    status = dp_slope_measure(&a->slope, a->s, &part, draws, k, err);
    dp_part_clear(&part);
    if (status != DP_OK) return status;
    dp_watch_count(&a->watch);
    double energy = dp_units_energy(u, k), push = energy > a->target_j ? a->lambda / energy : 0;
    for (int i = 0; i < u->count; i++)
        a->gradient[i] = a->slope.by_log_k[i] + push * u->cost_j[i] * k[i];
    dp_moments_step(&a->moments, u, a->gradient, rate);
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

static void start(adam *a, double t, const double *shape) {
    const dp_units *u = &a->s->units;
    double ones = 0, *k = a->gradient;
    dp_relax_at(u, shape, t, k);
    a->target_j = dp_units_energy(u, k);
    for (int i = 0; i < u->count; i++) ones += u->cost_j[i];
    for (int i = 0; i < u->count; i++) k[i] = start_energy * a->target_j / ones;
    dp_moments_place(&a->moments, u, k);
}

static dp_status open_adam(adam *a, dp_search *s, dp_error *err) {
    a->s = s;
    a->lambda = lambda_of(s->hardware);
    a->watch = dp_watch_start(&s->options->stop, &usual, s->options->comm);
    dp_status status = dp_batches_open(&a->batches, s, BATCH, err);
    if (status == DP_OK) status = dp_moments_open(&a->moments, &s->units, err);
    if (status == DP_OK) status = dp_slope_open(&a->slope, s, a->batches.size, err);
    if (status != DP_OK) return status;
    bool truth = dp_dataset_label_count(s->learn.data) || dp_dataset_target_count(s->learn.data);
    a->slope.cross_entropy = truth;
    a->gradient = dp_alloc((size_t)s->units.count, sizeof *a->gradient);
    return a->gradient ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for a search");
}

static void close_adam(adam *a) {
    dp_slope_clear(&a->slope);
    dp_moments_close(&a->moments);
    dp_batches_close(&a->batches);
    dp_free(a->gradient);
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
        for (int i = 0; i < s->units.count; i++) shape[i] = a.moments.k[i] / t;
    close_adam(&a);
    return status;
}
