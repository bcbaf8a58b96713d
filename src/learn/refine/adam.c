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
#include <string.h>

#include "engine/cache.h"
#include "learn/refine/refine.h"
#include "learn/refine/steps.h"

enum { BATCH = 32, STEPS = 1500 };
static const dp_stop usual = {.max_evaluations = STEPS};
static const double rate = 0.01;
/* The start, in parts of the target's energy: precise, so that the penalty takes energy away. */
static const double start_energy = 4;

typedef struct adam {
    double target_j, lambda;
} adam;

/* Source: [Garg], 2 for shot and 8 for thermal and weight noise. */
static double lambda_of(const dp_hardware *hardware) {
    for (int i = 0; i < hardware->n_noise; i++)
        if (strcmp(hardware->noise[i].model, "shot") != 0) return 8;
    return 2;
}

static void take_step(void *context, dp_steps *steps) {
    const adam *a = context;
    const dp_units *u = &steps->s->units;
    const double *k = steps->moments.k;
    double energy = dp_units_energy(u, k), push = energy > a->target_j ? a->lambda / energy : 0;
    for (int i = 0; i < u->count; i++)
        steps->gradient[i] = steps->slope.by_log_k[i] + push * u->cost_j[i] * k[i];
    dp_moments_step(&steps->moments, u, steps->gradient, rate);
}

static void start(adam *a, dp_steps *steps, double t, const double *shape) {
    const dp_units *u = &steps->s->units;
    double ones = 0, *k = steps->gradient;
    a->lambda = lambda_of(steps->s->hardware);
    dp_relax_at(u, shape, t, k);
    a->target_j = dp_units_energy(u, k);
    for (int i = 0; i < u->count; i++) ones += u->cost_j[i];
    for (int i = 0; i < u->count; i++) k[i] = start_energy * a->target_j / ones;
    dp_moments_place(&steps->moments, u, k);
}

dp_status dp_refine_adam(dp_search *s, double t, double *shape, dp_error *err) {
    adam a;
    dp_steps steps;
    const dp_dataset *data = s->learn.data;
    dp_status status = dp_steps_open(&steps, s, BATCH, false, &usual, err);
    if (status == DP_OK) {
        steps.slope.cross_entropy = dp_dataset_label_count(data) || dp_dataset_target_count(data);
        start(&a, &steps, t, shape);
        dp_cache_pause(s->engine, true);
        status = dp_steps_run(&steps, take_step, &a, err);
        dp_cache_pause(s->engine, false);
    }
    if (status == DP_OK) dp_steps_shape(&steps, t, shape);
    dp_steps_close(&steps);
    return status;
}
