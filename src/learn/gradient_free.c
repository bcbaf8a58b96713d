/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/gradient_free.h"

#include <math.h>

#include "base/alloc.h"

/* Steps towards the loss, which is about proportional to 1 / K: few suffice for a factor of 2. */
enum { MOST_STEPS = 8 };

/*
 * Alone, a unit's noise may be swallowed by rounding behind it, where together with others' it is not. This share of the mean
 * is what it is taken for then, so that its repetitions can still grow with those of others.
 */
static const double least_share = 1e-4;

/* What is measured together. */
typedef struct groups {
    int count;
    int *of_channel; /* [channels] */
    int64_t *width;  /* [count] channels */
} groups;

static void group_layers(groups *g, const dp_engine *engine) {
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        int group = site->tied == i
                        ? g->count++
                        : g->of_channel[dp_engine_site(engine, site->tied)->first_channel];
        for (int64_t c = 0; c < site->channels; c++) g->of_channel[site->first_channel + c] = group;
    }
}

static dp_status make_groups(groups *g, const dp_search *s, dp_error *err) {
    const dp_units *u = &s->units;
    g->of_channel = dp_alloc((size_t)u->channels, sizeof *g->of_channel);
    if (!g->of_channel) goto memory;
    if (u->count > DP_MEASURED_UNITS) {
        group_layers(g, s->engine);
    } else {
        g->count = u->count;
        for (int64_t c = 0; c < u->channels; c++) g->of_channel[c] = u->of_channel[c];
    }
    g->width = dp_alloc((size_t)g->count, sizeof *g->width);
    if (!g->width) goto memory;
    for (int64_t c = 0; c < u->channels; c++) g->width[g->of_channel[c]]++;
    return DP_OK;
memory:
    return dp_fail(err, DP_EMEMORY, "no memory for sensitivities");
}

/* Mean divergence a position of the repetitions in s->repetitions. */
static dp_status measure(dp_search *s, double *loss, dp_error *err) {
    dp_half *half = &s->learn;
    dp_evaluation e = {.reference = half->reference, .repetitions = s->repetitions, .trials = 1};
    dp_search_count(s, half->samples, DP_FORWARD_COST);
    dp_status status = dp_engine_evaluate(s->engine, &e, half->scores, err);
    double sum = 0, rows = 0;
    for (int64_t i = 0; status == DP_OK && i < half->samples; i++) {
        sum += half->scores[i].kl;
        rows += half->scores[i].rows;
    }
    *loss = rows > 0 ? fmax(sum / rows, 0) : 0;
    return status;
}

/* The K at which noise everywhere costs about `wanted`, within what the hardware can do. */
static dp_status find_level(dp_search *s, double wanted, double *level, dp_error *err) {
    double least = s->hardware->repetitions_min, most = s->hardware->repetitions_max;
    *level = fmin(fmax(16, least), most);
    for (int i = 0; i < MOST_STEPS; i++) {
        double loss;
        for (int64_t c = 0; c < s->units.channels; c++) s->repetitions[c] = *level;
        dp_status status = measure(s, &loss, err);
        if (status != DP_OK) return status;
        double next = fmin(fmax(*level * fmax(loss / wanted, 1.0 / 64), least), most);
        if (next == *level || fabs(log(loss / wanted)) < log(2)) break;
        *level = next;
    }
    return DP_OK;
}

/* Source: docs/methods.md, "Gradient-free sensitivity": s = K times the loss at K, to second order. */
static dp_status measure_group(dp_search *s, const groups *g, int group, double level,
                               dp_error *err) {
    double loss;
    for (int64_t c = 0; c < s->units.channels; c++)
        s->repetitions[c] = g->of_channel[c] == group ? level : INFINITY; /* no noise */
    dp_status status = measure(s, &loss, err);
    for (int64_t c = 0; status == DP_OK && c < s->units.channels; c++)
        if (g->of_channel[c] == group) s->s[c] = loss * level / (double)g->width[group];
    return status;
}

static void raise_to_least(double *s, int64_t channels) {
    double sum = 0;
    for (int64_t c = 0; c < channels; c++) sum += s[c];
    for (int64_t c = 0; c < channels; c++) s[c] = fmax(s[c], least_share * sum / (double)channels);
}

dp_status dp_gradient_free(dp_search *s, double loss, dp_error *err) {
    groups g = {0};
    double level;
    dp_status status = make_groups(&g, s, err);
    if (status == DP_OK) status = find_level(s, loss, &level, err);
    for (int group = 0; status == DP_OK && group < g.count; group++)
        status = measure_group(s, &g, group, level, err);
    if (status == DP_OK) raise_to_least(s->s, s->units.channels);
    dp_free(g.of_channel);
    dp_free(g.width);
    return status;
}
