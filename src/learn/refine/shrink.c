/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/shrink.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Nothing seen beyond noise: the unit stays with its layer, to a thousandth of what its derivative asks for. */
static const double most_kappa = 1e3;

dp_status dp_shrink_open(dp_shrink *out, const dp_search *s, dp_error *err) {
    size_t units = (size_t)s->units.count;
    *out = (dp_shrink){.units = s->units.count, .layers = dp_engine_site_count(s->engine)};
    out->layer = dp_alloc(units, sizeof *out->layer);
    out->scale = dp_alloc(units, sizeof *out->scale);
    out->kappa = dp_alloc(units, sizeof *out->kappa);
    out->sum = dp_alloc(3 * (size_t)out->layers, sizeof *out->sum);
    if (!out->layer || !out->scale || !out->kappa || !out->sum)
        return dp_fail(err, DP_EMEMORY, "no memory for a search");
    dp_units_layers(&s->units, s->engine, out->layer);
    return DP_OK;
}

void dp_shrink_close(dp_shrink *shrink) {
    dp_free(shrink->layer);
    dp_free(shrink->scale);
    dp_free(shrink->kappa);
    dp_free(shrink->sum);
    *shrink = (dp_shrink){0};
}

/* sum[layer][0]: the common change of log K, weighted by curvature. */
static void find_common(const dp_shrink *h, const double *x) {
    memset(h->sum, 0, 3 * (size_t)h->layers * sizeof *h->sum);
    for (int u = 0; u < h->units; u++) {
        double *sum = h->sum + 3 * h->layer[u];
        sum[0] += h->scale[u] * x[u];
        sum[1] += h->scale[u] * h->scale[u];
    }
    for (int l = 0; l < h->layers; l++)
        if (h->sum[3 * l + 1] > 0) h->sum[3 * l] /= h->sum[3 * l + 1];
}

static double apart(const dp_shrink *h, const double *x, int u) {
    return x[u] - h->scale[u] * h->sum[3 * h->layer[u]];
}

static double kappa_of(double spread, double noise, double count, double variance) {
    if (isnan(variance)) return 1;
    double tau2 = spread / (count - 1) - noise / count;
    return tau2 > 0 ? fmin(variance / tau2, most_kappa) : most_kappa;
}

void dp_shrink_learn(dp_shrink *h, const double *slope, const double *variance) {
    find_common(h, slope);
    for (int u = 0; u < h->units; u++) h->kappa[u] = apart(h, slope, u);
    for (int l = 0; l < h->layers; l++) h->sum[3 * l] = h->sum[3 * l + 1] = h->sum[3 * l + 2] = 0;
    for (int u = 0; u < h->units; u++) {
        double *sum = h->sum + 3 * h->layer[u];
        sum[0] += h->kappa[u] * h->kappa[u];
        sum[1] += variance[u];
        sum[2] += 1;
    }
    for (int u = 0; u < h->units; u++) {
        const double *sum = h->sum + 3 * h->layer[u];
        h->kappa[u] = sum[2] > 1 ? kappa_of(sum[0], sum[1], sum[2], variance[u]) : 0;
    }
}

double dp_shrink_penalty(const dp_shrink *h, const double *x, double *slope) {
    double penalty = 0;
    find_common(h, x);
    for (int u = 0; u < h->units; u++) {
        double y = apart(h, x, u), pull = h->kappa[u] * y;
        penalty += 0.5 * pull * y;
        slope[u] += pull;
        h->sum[3 * h->layer[u] + 2] += pull * h->scale[u];
    }
    for (int u = 0; u < h->units; u++) { /* what moves all of a layer is free */
        const double *sum = h->sum + 3 * h->layer[u];
        if (sum[1] > 0) slope[u] -= h->scale[u] * sum[2] / sum[1];
    }
    return penalty;
}
