/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The closed form, held to what the loss really does. Curvature does not see what noise shifts: a ReLU makes more of positive noise
 * than of negative, and averages over positions remove noise but not that. The pathwise derivative sees it. At the best
 * precision B K is in proportion to -dL/dlog K, which is s / K where curvature is all there is; so every layer's
 * sensitivities are multiplied by what the derivative is of that, and the closed form is taken again.
 * Source: docs/methods.md, "Marginal loss".
 */
#include <math.h>

#include "base/alloc.h"
#include "learn/refine/objective.h"
#include "learn/refine/refine.h"

/* Where -dL/dlog K falls faster than 1 / K, one round goes too far; the second comes back. */
enum { ROUNDS = 2 };

/* A round that is predicted to save less than this part of the energy is the last. */
static const double worth = 0.02;

/* More than this a round is not believed. */
static const double most_ratio = 8;

/* What a layer has by the derivative, by curvature, and the variance of the error of the first. */
typedef struct layer_sums {
    double slope, curvature, variance;
} layer_sums;

/* What the sensitivities of a layer are multiplied by: drawn to 1 by as much as the measurement is noise. */
static double ratio_of(const layer_sums *l) {
    if (!(l->curvature > 0)) return 1;
    double ratio = fmin(fmax(l->slope / l->curvature, 1 / most_ratio), most_ratio);
    double excess = (ratio - 1) * (ratio - 1), noise = l->variance / (l->curvature * l->curvature);
    return isfinite(noise) && excess > 0 ? 1 + (ratio - 1) * excess / (excess + noise) : 1;
}

static void sum_layers(const dp_search *s, const dp_slope *slope, const int *layer,
                       layer_sums *sums) {
    for (int i = 0; i < dp_engine_site_count(s->engine); i++) sums[i] = (layer_sums){0};
    for (int u = 0; u < s->units.count; u++) {
        layer_sums *l = &sums[layer[u]];
        l->slope -= slope->by_log_k[u];
        l->curvature += s->units.s[u] / s->k[u];
        l->variance += slope->variance[u];
    }
}

/* Energy of a shape for a predicted loss, in parts of what the best one needs. */
static double energy_of(const dp_units *u, const double *shape) {
    double loss = 0, energy = 0, best = 0;
    for (int i = 0; i < u->count; i++) {
        loss += u->s[i] / shape[i];
        energy += u->cost_j[i] * shape[i];
        best += sqrt(u->s[i] * u->cost_j[i]);
    }
    return best > 0 ? loss * energy / (best * best) : 1;
}

static dp_status round_of(dp_search *s, double t, double *shape, dp_slope *slope, const int *layer,
                          layer_sums *sums, double *saved, dp_error *err) {
    dp_part all = {.reference = s->learn.reference, .samples = s->learn.samples};
    uint32_t draws[2] = {s->next_trial++, 1};
    dp_relax_at(&s->units, shape, t, s->k);
    dp_status status = dp_slope_measure(slope, s, &all, draws, s->k, err);
    if (status != DP_OK) return status;
    sum_layers(s, slope, layer, sums);
    for (int64_t c = 0; c < s->units.channels; c++)
        s->s[c] *= ratio_of(&sums[layer[s->units.of_channel[c]]]);
    dp_units_collect(&s->units, s->s);
    *saved = 1 - 1 / energy_of(&s->units, shape);
    dp_relax_shape(&s->units, shape);
    return DP_OK;
}

dp_status dp_refine_marginal(dp_search *s, double t, double *shape, dp_error *err) {
    double saved = 1;
    dp_slope slope = {0};
    int *layer = dp_alloc((size_t)s->units.count, sizeof *layer);
    layer_sums *sums = dp_alloc((size_t)dp_engine_site_count(s->engine), sizeof *sums);
    dp_status status = dp_refine_operating_point(s, t, shape, err);
    if (status == DP_OK) status = dp_slope_open(&slope, s, s->learn.samples, err);
    slope.cross_entropy = s->options->objective == DP_OBJECTIVE_CROSS_ENTROPY;
    if (status == DP_OK && (!layer || !sums))
        status = dp_fail(err, DP_EMEMORY, "no memory for a search");
    if (status == DP_OK) dp_units_layers(&s->units, s->engine, layer);
    for (int i = 0; status == DP_OK && i < ROUNDS && saved > worth; i++)
        status = round_of(s, t, shape, &slope, layer, sums, &saved, err);
    dp_slope_clear(&slope);
    dp_free(layer);
    dp_free(sums);
    return status;
}
