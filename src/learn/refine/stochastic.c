/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stochastic descent at constant energy: a few steps of Adam on small batches, from the relaxed shape, with steps that shrink to nothing.
 *
 *     minimise  L    over log K of the units, sum of B K staying what it was
 *
 * For a drop of top-1 L is the cross-entropy of labels. Curvature of the divergence treats all answers alike; labels tell
 * which channels' noise moves answers away from them and which does not, or even back. A channel's derivative is mostly chance, but
 * chance adds up over steps as their root, what labels agree on as their number.
 * Source: docs/methods.md, "Refinement".
 */
#include <math.h>

#include "learn/refine/refine.h"
#include "learn/refine/steps.h"

/* Every sample is seen about four times in all; of many samples so many a step are enough. Samples go in eights, so that threads and
 * the engine's batches come out even. */
enum { STEPS = 60, EPOCHS = 4, MOST_BATCH = 64, EIGHT = 8 };
static const dp_stop usual = {.max_evaluations = STEPS};
/* Of the first step, in log K; the steps' lengths follow half a cosine to 0. */
static const double rate = 0.05;

/* Along constant energy: what all free units gain by, weighted by their energy, is taken off. */
static void project(dp_steps *steps) {
    const dp_units *u = &steps->s->units;
    const double *k = steps->moments.k, *by_log_k = steps->slope.by_log_k;
    double slope = 0, energy = 0;
    for (int i = 0; i < u->count; i++) {
        if (u->fixed[i]) continue;
        slope += by_log_k[i];
        energy += u->cost_j[i] * k[i];
    }
    for (int i = 0; i < u->count; i++) {
        double share = energy > 0 ? u->cost_j[i] * k[i] / energy : 0;
        steps->gradient[i] = u->fixed[i] ? 0 : by_log_k[i] - share * slope;
    }
}

/* A step, and back to the energy that it has left by a little. */
static void take_step(void *context, dp_steps *steps) {
    const double *energy_j = context;
    const dp_units *u = &steps->s->units;
    double done = (double)steps->watch.evaluations / steps->watch.stop.max_evaluations;
    double *k = steps->gradient;
    project(steps);
    dp_moments_step(&steps->moments, u, steps->gradient, rate * 0.5 * (1 + cos(M_PI * done)));
    double t = dp_relax_for_energy(u, steps->moments.k, *energy_j);
    dp_relax_at(u, steps->moments.k, t, k);
    dp_moments_place(&steps->moments, u, k);
}

static int64_t batch_size(int64_t samples) {
    int64_t eights = (samples * EPOCHS / STEPS + EIGHT / 2) / EIGHT;
    return eights < 1 ? EIGHT : eights * EIGHT < MOST_BATCH ? eights * EIGHT : MOST_BATCH;
}

dp_status dp_refine_stochastic(dp_search *s, double t, double *shape, dp_error *err) {
    dp_steps steps;
    dp_status status = dp_steps_open(&steps, s, batch_size(s->learn.samples), &usual, err);
    if (status == DP_OK) {
        dp_relax_at(&s->units, shape, t, steps.gradient);
        dp_moments_place(&steps.moments, &s->units, steps.gradient);
        double energy_j = dp_units_energy(&s->units, steps.moments.k);
        status = dp_steps_run(&steps, take_step, &energy_j, err);
    }
    if (status == DP_OK) dp_steps_shape(&steps, t, shape);
    dp_steps_close(&steps);
    return status;
}
