/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Stochastic descent at constant energy: a few steps of Adam on small batches, from the relaxed shape, with steps that shrink to nothing.
 *
 *     minimise  L    over log K of the units, sum of B K staying what it was
 *
 * For a drop of top-1 L is the cross-entropy of labels. Curvature of the divergence treats all answers alike; labels tell
 * which channels' noise moves answers away from them and which does not, or even back. A channel's derivative is mostly chance, but
 * chance adds up over steps as their root, what labels agree on as their number.
 *
 * Weight noise is one draw for all samples of a batch, so that a step knows few of them. Each comes with its opposite there: what is odd in the draw,
 * most of a derivative's chance, cancels. Steps are more and shorter, on fewer samples.
 * Source: docs/methods.md, "Refinement".
 */
#include <math.h>

#include "device/noise.h"
#include "learn/refine/refine.h"
#include "learn/refine/steps.h"

/* Every sample is run about four times in all; of many samples so many a step are enough. Samples go in eights, so that threads and
 * the engine's batches come out even. */
enum { STEPS = 60, MOST_STEPS = 240, RUNS = 4, MOST_BATCH = 64, EIGHT = 8, FOUR = 4 };

/* Of the first step, in log K, where there are STEPS; the steps' lengths follow half a cosine to 0. */
static const double rate = 0.05;

typedef struct plan {
    int64_t batch;
    dp_stop steps; /* so many, if the user says nothing */
} plan;

static plan plan_of(int64_t samples) {
    int64_t eights = (samples * RUNS / STEPS + EIGHT / 2) / EIGHT;
    int64_t batch = eights < 1 ? EIGHT : eights * EIGHT < MOST_BATCH ? eights * EIGHT : MOST_BATCH;
    return (plan){batch, {.max_evaluations = STEPS}};
}

/* Two runs a sample and step: as many steps as the smallest batches make of them. */
static plan plan_of_pairs(int64_t samples) {
    int64_t pairs = samples * RUNS / 2, batch = pairs < (int64_t)2 * STEPS * EIGHT ? FOUR : EIGHT;
    int64_t steps = pairs / batch < MOST_STEPS ? pairs / batch : MOST_STEPS;
    return (plan){batch, {.max_evaluations = steps < STEPS ? STEPS : (int)steps}};
}

/* Steps add up to their number, chance to its root: more of them are shorter, so that they reach farther, and chance does not by much. */
static double longest_step(int steps) {
    return steps > STEPS ? rate * pow((double)STEPS / steps, 0.25) : rate;
}

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
    int all = steps->watch.stop.max_evaluations;
    double done = (double)steps->watch.evaluations / all, longest = longest_step(all);
    double *k = steps->gradient;
    project(steps);
    dp_moments_step(&steps->moments, u, steps->gradient, longest * 0.5 * (1 + cos(M_PI * done)));
    double t = dp_relax_for_energy(u, steps->moments.k, *energy_j);
    dp_relax_at(u, steps->moments.k, t, k);
    dp_moments_place(&steps->moments, u, k);
}

dp_status dp_refine_stochastic(dp_search *s, double t, double *shape, dp_error *err) {
    dp_steps steps;
    bool shared = dp_noise_needs_weights(s->hardware); /* a draw, by samples */
    plan usual = shared ? plan_of_pairs(s->learn.samples) : plan_of(s->learn.samples);
    dp_status status = dp_steps_open(&steps, s, usual.batch, shared, &usual.steps, err);
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
