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

#include "base/alloc.h"
#include "learn/refine/batches.h"
#include "learn/refine/moments.h"
#include "learn/refine/refine.h"

/* Every sample is seen four times in all; of many samples so many a step are enough. */
enum { STEPS = 60, EPOCHS = 4, MOST_BATCH = 64 };
static const dp_stop usual = {.max_evaluations = STEPS};
/* Of the first step, in log K; the steps' lengths follow half a cosine to 0. */
static const double rate = 0.05;

typedef struct descent {
    dp_search *s;
    dp_watch watch;
    dp_slope slope;
    dp_batches batches;
    dp_moments moments;
    double energy_j;
    double *gradient; /* [units] */
} descent;

/* Along constant energy: what all free units gain by, weighted by their energy, is taken off. */
static void project(descent *d) {
    const dp_units *u = &d->s->units;
    const double *k = d->moments.k;
    double slope = 0, energy = 0;
    for (int i = 0; i < u->count; i++) {
        if (u->fixed[i]) continue;
        slope += d->slope.by_log_k[i];
        energy += u->cost_j[i] * k[i];
    }
    for (int i = 0; i < u->count; i++) {
        double share = energy > 0 ? u->cost_j[i] * k[i] / energy : 0;
        d->gradient[i] = u->fixed[i] ? 0 : d->slope.by_log_k[i] - share * slope;
    }
}

/* Back to the energy that a step has left by a little. */
static void restore_energy(descent *d) {
    const dp_units *u = &d->s->units;
    double t = dp_relax_for_energy(u, d->moments.k, d->energy_j);
    dp_relax_at(u, d->moments.k, t, d->gradient);
    dp_moments_place(&d->moments, u, d->gradient);
}

static dp_status step(descent *d, dp_error *err) {
    dp_part part;
    uint32_t draws[2] = {d->s->next_trial++, 1};
    double done = (double)d->watch.evaluations / d->watch.stop.max_evaluations;
    dp_status status = dp_batches_next(&d->batches, &part, err);
    if (status != DP_OK) return status;
    status = dp_slope_measure(&d->slope, d->s, &part, draws, d->moments.k, err);
    dp_part_clear(&part);
    if (status != DP_OK) return status;
    dp_watch_count(&d->watch);
    project(d);
    dp_moments_step(&d->moments, &d->s->units, d->gradient, rate * 0.5 * (1 + cos(M_PI * done)));
    restore_energy(d);
    return DP_OK;
}

static dp_status run_steps(descent *d, dp_error *err) {
    bool ended = false;
    dp_status status = dp_watch_ended(&d->watch, &ended, err);
    while (status == DP_OK && !ended) {
        status = step(d, err);
        if (status == DP_OK) status = dp_watch_ended(&d->watch, &ended, err);
    }
    return status;
}

static dp_status open_descent(descent *d, dp_search *s, double t, const double *shape,
                              dp_error *err) {
    int64_t batch = (s->learn.samples * EPOCHS + STEPS - 1) / STEPS;
    d->s = s;
    d->watch = dp_watch_start(&s->options->stop, &usual, s->options->comm);
    dp_status status =
        dp_batches_open(&d->batches, s, batch < MOST_BATCH ? batch : MOST_BATCH, err);
    if (status == DP_OK) status = dp_moments_open(&d->moments, &s->units, err);
    if (status == DP_OK) status = dp_slope_open(&d->slope, s, d->batches.size, err);
    if (status != DP_OK) return status;
    d->gradient = dp_alloc((size_t)s->units.count, sizeof *d->gradient);
    if (!d->gradient) return dp_fail(err, DP_EMEMORY, "no memory for a search");
    dp_relax_at(&s->units, shape, t, d->gradient);
    dp_moments_place(&d->moments, &s->units, d->gradient);
    d->energy_j = dp_units_energy(&s->units, d->moments.k);
    return DP_OK;
}

static void close_descent(descent *d) {
    dp_slope_clear(&d->slope);
    dp_moments_close(&d->moments);
    dp_batches_close(&d->batches);
    dp_free(d->gradient);
}

dp_status dp_refine_stochastic(dp_search *s, double t, double *shape, dp_error *err) {
    descent d = {0};
    dp_status status = open_descent(&d, s, t, shape, err);
    if (status == DP_OK) status = run_steps(&d, err);
    if (status == DP_OK)
        for (int i = 0; i < s->units.count; i++) shape[i] = d.moments.k[i] / t;
    close_descent(&d);
    return status;
}
