/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A bin's key is the upper part of a float's magnitude; values of a bin are taken to be evenly spread in it. */
#include "engine/tail.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { KEY_SHIFT = 23 - DP_TAIL_BITS, KEY_INFINITE = 0xff << DP_TAIL_BITS };

/* Halvings of where a limit may be, from the extreme on: far below a bin. */
enum { HALVINGS = 16 };

/* Of the integral that says what a limit cuts. */
enum { CUT_STEPS = 16 };

/* Between which limits slopes are taken. */
static const double apart = 1.2;

static uint32_t key_of(float value) {
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    return (word & 0x7fffffff) >> KEY_SHIFT;
}

/* The smallest magnitude with that key. */
static double key_value(uint32_t key) {
    uint32_t word = key << KEY_SHIFT;
    float value;
    memcpy(&value, &word, sizeof value);
    return (double)value;
}

/* Move the window so that a key is in it; what falls out below is forgotten. */
static void make_room(dp_tail *t, uint32_t key) {
    if (key < t->base + DP_TAIL_BINS) return;
    uint32_t base = key - DP_TAIL_BINS + 1, lost = base - t->base;
    if (lost > DP_TAIL_BINS) lost = DP_TAIL_BINS;
    for (int sign = 0; sign < 2; sign++) {
        uint32_t *bins = t->bins[sign];
        memmove(bins, bins + lost, (DP_TAIL_BINS - lost) * sizeof *bins);
        memset(bins + DP_TAIL_BINS - lost, 0, lost * sizeof *bins);
    }
    t->base = base;
}

void dp_tail_add(dp_tail *t, const float *values, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint32_t key = key_of(values[i]);
        if (key < t->base || key == 0 || key >= KEY_INFINITE) continue;
        make_room(t, key);
        t->bins[values[i] < 0][key - t->base]++;
    }
}

void dp_tail_merge(dp_tail *into, const dp_tail *from) {
    make_room(into, from->base + DP_TAIL_BINS - 1);
    for (int sign = 0; sign < 2; sign++)
        for (uint32_t i = 0; i < DP_TAIL_BINS; i++)
            if (from->base + i >= into->base)
                into->bins[sign][from->base + i - into->base] += from->bins[sign][i];
}

void dp_tail_sum(dp_tail *t) {
    for (int sign = 0; sign < 2; sign++)
        for (int i = DP_TAIL_BINS - 2; i >= 0; i--) t->bins[sign][i] += t->bins[sign][i + 1];
}

/* How many values of one sign are larger in magnitude. */
static double beyond(const dp_tail *t, int sign, double magnitude) {
    uint32_t key = key_of((float)magnitude);
    if (key < t->base) return t->bins[sign][0];
    if (key >= t->base + DP_TAIL_BINS) return 0;
    uint32_t i = key - t->base;
    double from = t->bins[sign][i], to = i + 1 < DP_TAIL_BINS ? t->bins[sign][i + 1] : 0;
    double low = key_value(key), high = key_value(key + 1);
    return to + (from - to) * fmin(1, (high - magnitude) / (high - low));
}

/* How many values of channel j lie above x, or below it where side is 1. */
static double outside(const dp_tail_channels *c, int64_t j, int side, double x) {
    double sum = 0, signed_x = side ? -x : x;
    for (int half = 0; half < 2; half++)
        if (c->halves[half])
            sum += beyond(&c->halves[half][j], signed_x < 0 ? !side : side, fabs(x));
    return signed_x < 0 ? c->moments[j].values - sum : sum;
}

/* What is left of all channels outside a limit. */
static double left_outside(const dp_tail_channels *c, int side, double limit) {
    double sum = 0;
    for (int64_t j = 0; j < c->count; j++) {
        double alpha = c->alpha ? (double)c->alpha[j] : 1, mu = c->mu ? (double)c->mu[j] : 0;
        if (c->moments[j].values <= 0) continue;
        sum += outside(c, j, side, mu + (side ? -limit : limit) / alpha);
    }
    return sum;
}

static double limit_of(const dp_tail_channels *c, int side, double most, double allowed) {
    double low = 0, high = most;
    for (int i = 0; i < HALVINGS; i++) {
        double middle = (low + high) / 2;
        if (left_outside(c, side, middle) > allowed)
            low = middle;
        else
            high = middle;
    }
    return high;
}

void dp_tail_range(const dp_tail_channels *c, double percentile, double *low, double *high) {
    double values = 0;
    *low = *high = 0;
    for (int64_t j = 0; j < c->count; j++) {
        double alpha = c->alpha ? (double)c->alpha[j] : 1, mu = c->mu ? (double)c->mu[j] : 0;
        if (c->moments[j].values <= 0) continue;
        values += c->moments[j].values;
        *low = fmin(*low, alpha * (c->moments[j].low - mu));
        *high = fmax(*high, alpha * (c->moments[j].high - mu));
    }
    if (!c->halves[0] || percentile >= 100) return;
    bool both = *low < 0 && *high > 0;
    double allowed = values * (100 - percentile) / 100 / (both ? 2 : 1);
    *low = -limit_of(c, 1, -*low, allowed);
    *high = limit_of(c, 0, *high, allowed);
}

/* Mean square of what one side of channel j loses: the integral of 2 (x - limit) P(beyond x) from the limit to the extreme. */
static double cut_side(const dp_tail_channels *c, int64_t j, int side, double limit) {
    double alpha = c->alpha ? (double)c->alpha[j] : 1, mu = c->mu ? (double)c->mu[j] : 0;
    const dp_input_moments *m = &c->moments[j];
    double far = side ? mu - m->low : m->high - mu, step = (far - limit / alpha) / CUT_STEPS;
    double sum = 0;
    for (int i = 0; step > 0 && i < CUT_STEPS; i++) {
        double beyond_limit = (i + 0.5) * step, at = limit / alpha + beyond_limit;
        sum += 2 * beyond_limit * outside(c, j, side, mu + (side ? -at : at)) * step;
    }
    return alpha * alpha * sum / m->values;
}

double dp_tail_cut(const dp_tail_channels *c, int64_t j, double low, double high) {
    if (!c->halves[0] || c->moments[j].values <= 0) return 0;
    return cut_side(c, j, 0, high) + cut_side(c, j, 1, -low);
}

/* Values of channel j about a limit; without counts, whether it reaches there. */
static double about(const dp_tail_channels *c, int64_t j, int side, double limit) {
    double alpha = c->alpha ? (double)c->alpha[j] : 1, mu = c->mu ? (double)c->mu[j] : 0;
    double scale = (side ? -limit : limit) / alpha;
    if (c->moments[j].values <= 0) return 0;
    if (c->halves[0])
        return outside(c, j, side, mu + scale / apart) - outside(c, j, side, mu + scale * apart);
    return side ? c->moments[j].low <= mu + scale / apart
                : c->moments[j].high >= mu + scale / apart;
}

void dp_tail_shares(const dp_tail_channels *c, double low, double high, double *shares) {
    const double limits[2] = {high, -low};
    for (int64_t j = 0; j < c->count; j++) shares[j] = 0;
    for (int side = 0; side < 2; side++) {
        double all = 0;
        for (int64_t j = 0; limits[side] > 0 && j < c->count; j++)
            all += about(c, j, side, limits[side]);
        for (int64_t j = 0; all > 0 && j < c->count; j++)
            shares[j] += about(c, j, side, limits[side]) / all * limits[side] / (high - low);
    }
}
