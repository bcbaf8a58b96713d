/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Levels are whole multiples of the step, counted from zero, which is what makes zero exact.
 * A histogram's key is the upper half of a float's magnitude: keys are ordered as magnitudes are.
 */
#include "device/quantise.h"

#include <assert.h>
#include <float.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { KEY_SHIFT = 23 - DP_HISTOGRAM_BITS, KEY_INFINITE = 0xff << DP_HISTOGRAM_BITS };

dp_quantiser dp_quantiser_make(double low, double high, int bits) {
    assert(bits >= 0 && bits <= DP_MAX_BITS && isfinite(low) && isfinite(high));
    low = fmin(low, 0);
    high = fmax(high, 0);
    if (bits == 0) return (dp_quantiser){.low = (float)low, .high = (float)high};
    double steps = (double)((1u << bits) - 1);
    float step = (float)((high - low) / steps);
    if (!isnormal(step)) return (dp_quantiser){0};
    double below = rint(-low / (double)step); /* steps under zero: [Jacob 2018] section 3 */
    return (dp_quantiser){.low = (float)(-below * (double)step),
                          .high = (float)((steps - below) * (double)step),
                          .step = step};
}

__attribute__((target_clones("avx2", "default"))) static void round_to_levels(const dp_quantiser *q,
                                                                              const float *in,
                                                                              float *out,
                                                                              size_t count) {
    /* Adding and taking away 1.5 * 2^23 rounds to the nearest even integer without a call. */
    const float magic = 12582912.0f;
    float step = q->step, first = rintf(q->low / step), last = rintf(q->high / step);
    for (size_t i = 0; i < count; i++) {
        float steps = in[i] / step;
        steps = steps < first ? first : steps;
        steps = steps > last ? last : steps;
        out[i] = ((steps + magic) - magic) * step;
    }
}

void dp_quantise(const dp_quantiser *q, const float *in, float *out, size_t count) {
    if (q->step > 0)
        round_to_levels(q, in, out, count);
    else if (q->low < q->high)
        memmove(out, in, count * sizeof *out);
    else
        memset(out, 0, count * sizeof *out);
}

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

/* The first key of the window that ends with the octave of `key`. */
static uint32_t base_for(uint32_t key) {
    uint32_t octave = key >> DP_HISTOGRAM_BITS;
    return octave < DP_HISTOGRAM_OCTAVES ? 0
                                         : (octave - DP_HISTOGRAM_OCTAVES + 1) << DP_HISTOGRAM_BITS;
}

/* Move the window up; what falls out below joins the zeros. */
static void raise_base(dp_histogram *h, uint32_t base) {
    if (base <= h->base) return;
    size_t lost = base - h->base < DP_HISTOGRAM_BINS ? base - h->base : DP_HISTOGRAM_BINS;
    for (int sign = 0; sign < 2; sign++) {
        uint64_t *bins = h->bins[sign];
        for (size_t i = 0; i < lost; i++) h->zeros += bins[i];
        memmove(bins, bins + lost, (DP_HISTOGRAM_BINS - lost) * sizeof *bins);
        memset(bins + DP_HISTOGRAM_BINS - lost, 0, lost * sizeof *bins);
    }
    h->base = base;
}

static void widen(dp_histogram *h, double low, double high, uint64_t count) {
    if (count == 0) return;
    h->low = h->count == 0 ? low : fmin(h->low, low);
    h->high = h->count == 0 ? high : fmax(h->high, high);
    h->count += count;
}

typedef struct extremes {
    float low, high;
    uint64_t finite;
} extremes;

__attribute__((target_clones("avx512f", "avx2", "default"))) static extremes find_extremes(
    const float *values, size_t count) {
    extremes e = {INFINITY, -INFINITY, 0};
    for (size_t i = 0; i < count; i++) {
        bool fine = fabsf(values[i]) < INFINITY;
        e.finite += fine;
        e.low = fine && values[i] < e.low ? values[i] : e.low;
        e.high = fine && values[i] > e.high ? values[i] : e.high;
    }
    return e;
}

static extremes add_extremes(dp_histogram *h, const float *values, size_t count) {
    extremes e = find_extremes(values, count);
    h->nonfinite += count - e.finite;
    widen(h, (double)e.low, (double)e.high, e.finite);
    return e;
}

void dp_histogram_extremes(dp_histogram *h, const float *values, size_t count) {
    add_extremes(h, values, count);
}

/* Extremes first, so that the window moves at most once a call. */
void dp_histogram_add(dp_histogram *h, const float *values, size_t count) {
    extremes e = add_extremes(h, values, count);
    if (e.finite == 0) return;
    raise_base(h, base_for(key_of(fmaxf(-e.low, e.high))));
    for (size_t i = 0; i < count; i++) {
        uint32_t key = key_of(values[i]);
        if (key >= KEY_INFINITE) continue;
        if (key < h->base)
            h->zeros++;
        else
            h->bins[values[i] < 0][key - h->base]++;
    }
}

void dp_histogram_merge(dp_histogram *into, const dp_histogram *from) {
    raise_base(into, from->base);
    widen(into, from->low, from->high, from->count);
    into->nonfinite += from->nonfinite;
    into->zeros += from->zeros;
    for (int sign = 0; sign < 2; sign++)
        for (uint32_t i = 0; i < DP_HISTOGRAM_BINS; i++) {
            uint64_t n = from->bins[sign][i];
            uint32_t key = from->base + i;
            if (key < into->base)
                into->zeros += n;
            else if (n)
                into->bins[sign][key - into->base] += n;
        }
}

/* Bins in ascending order of value: 0 is the most negative one, then the zeros, then the positive ones. */
static uint64_t ascending_bin(const dp_histogram *h, uint32_t i, double *low, double *high) {
    if (i < DP_HISTOGRAM_BINS) {
        uint32_t bin = DP_HISTOGRAM_BINS - 1 - i;
        *low = -key_value(h->base + bin + 1);
        *high = -key_value(h->base + bin);
        return h->bins[1][bin];
    }
    if (i == DP_HISTOGRAM_BINS) {
        *low = *high = 0;
        return h->zeros;
    }
    uint32_t bin = i - DP_HISTOGRAM_BINS - 1;
    *low = key_value(h->base + bin);
    *high = key_value(h->base + bin + 1);
    return h->bins[0][bin];
}

/* The value with `rank` values below it, rank < count, as if the values of a bin were evenly spread in it. */
static double ordered_value(const dp_histogram *h, uint64_t rank) {
    double low = 0, high = 0;
    uint64_t below = 0;
    for (uint32_t i = 0; i <= 2 * DP_HISTOGRAM_BINS; i++) {
        uint64_t n = ascending_bin(h, i, &low, &high);
        if (rank < below + n) {
            double share = ((double)(rank - below) + 0.5) / (double)n;
            return fmin(fmax(low + (high - low) * share, h->low), h->high);
        }
        below += n;
    }
    return h->high;
}

/* Ranks between two values interpolate, as NumPy's percentile does. */
static double at_rank(const dp_histogram *h, double rank) {
    double whole = floor(rank), part = rank - whole;
    double value = ordered_value(h, (uint64_t)whole);
    if (part == 0) return value;
    return value + part * (ordered_value(h, (uint64_t)whole + 1) - value);
}

void dp_histogram_range(const dp_histogram *h, double percentile, double *low, double *high) {
    *low = h->low;
    *high = h->high;
    if (h->count == 0 || percentile >= 100) return;
    double last = (double)(h->count - 1), cut = (100 - percentile) / 100;
    bool both = h->low < 0 && h->high > 0;
    if (both) cut /= 2;
    if (h->low < 0) *low = at_rank(h, cut * last);
    if (h->high > 0) *high = at_rank(h, (1 - cut) * last);
}
