/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Uniform affine quantisers, as converters have them: a value is clipped to [low, high] and rounded to one of 2^bits levels,
 * 2^bits - 1 steps apart; zero is one of the levels, so that padding and ReLU's zeros stay exact.
 */
#ifndef DP_DEVICE_QUANTISE_H
#define DP_DEVICE_QUANTISE_H

#include <stddef.h>
#include <stdint.h>

#define DP_MAX_BITS 16

typedef struct dp_quantiser {
    float low, high; /* low <= 0 <= high; equal: no range was seen, values pass as zero */
    float step;      /* (high - low) / (2^bits - 1); 0 with low < high: no rounding (0 bits) */
} dp_quantiser;

/**
 * The quantiser whose range covers [low, high] and zero, moved by at most half a step so that zero is a level.
 *
 * Units   bits: 0 .. DP_MAX_BITS; 0 keeps the range as a fact about the operand, and values pass unchanged.
 * Source  [Jacob 2018] sections 2.1 and 3.
 */
dp_quantiser dp_quantiser_make(double low, double high, int bits);

/** out[i] = the nearest level to in[i], ties to the even one, NaN as NaN; may be in place. */
void dp_quantise(const dp_quantiser *q, const float *in, float *out, size_t count);

#define DP_HISTOGRAM_OCTAVES 16
#define DP_HISTOGRAM_BITS    8 /* leading mantissa bits: 256 bins an octave */
#define DP_HISTOGRAM_BINS    (DP_HISTOGRAM_OCTAVES << DP_HISTOGRAM_BITS)

/*
 * A histogram that grows with its data, for percentiles of activations seen in batches. Zero-initialise before use.
 *
 * Each sign has bins by exponent and leading mantissa bits for the 16 octaves below the largest magnitude seen; smaller
 * values (under 2^-15 of it) count as zero. So a percentile is off by 0.4% of itself at most, however far the outliers
 * are that it shall cut; bins of equal width lose that resolution to them. When a larger magnitude comes, the lowest
 * octaves join the zeros, so that the bins depend on the set of values only, not on their order or on how they were
 * spread over histograms that are merged.
 */
typedef struct dp_histogram {
    double low, high;   /* exact extremes seen; 0 when count is 0 */
    uint64_t count;     /* finite values */
    uint64_t nonfinite; /* NaN and infinities, which are in no bin */
    uint32_t base;      /* key of the first bins */
    uint64_t zeros;
    uint64_t bins[2][DP_HISTOGRAM_BINS]; /* positive, negative; by magnitude */
} dp_histogram;

void dp_histogram_add(dp_histogram *h, const float *values, size_t count);

/** Count values in no bin: enough for a range that keeps all of them (percentile 100). */
void dp_histogram_extremes(dp_histogram *h, const float *values, size_t count);
void dp_histogram_merge(dp_histogram *into, const dp_histogram *from);

/** The two-sided range that keeps `percentile` percent of the values ([low, high] cut by (100 - percentile)/2 a side where values lie on both sides of zero). */
void dp_histogram_range(const dp_histogram *h, double percentile, double *low, double *high);

#endif
