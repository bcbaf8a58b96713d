/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The largest values of many channels, counted, so that the range of a converter that cuts at a percentile can be told for whatever
 * the channels may be scaled and shifted by.
 *
 * Each sign of a channel has bins by exponent and leading mantissa bits for the octaves below the largest magnitude seen; what is
 * smaller counts as zero. When a larger magnitude comes, the lowest bins are forgotten, so that counts depend on the set of values
 * only. Life cycle: zeroed, added to and merged, then dp_tail_sum once, then read.
 */
#ifndef DP_ENGINE_TAIL_H
#define DP_ENGINE_TAIL_H

#include <stdint.h>

#include "dynaprec/engine.h"

/* Factors of balancing differ by 16 at most: what lies further down than 64 can be in the tail of all only beside an outlier. */
enum { DP_TAIL_OCTAVES = 6, DP_TAIL_BITS = 4, DP_TAIL_BINS = DP_TAIL_OCTAVES << DP_TAIL_BITS };

/* Counts by sign, positive first, and magnitude; once summed, of all values from that bin on. */
typedef struct dp_tail {
    uint32_t base; /* key of the first bins */
    uint32_t bins[2][DP_TAIL_BINS];
} dp_tail;

void dp_tail_add(dp_tail *tail, const float *values, int64_t count);
void dp_tail_merge(dp_tail *into, const dp_tail *from);
void dp_tail_sum(dp_tail *tail);

/* Channels that one converter takes: halves of the samples, and what is done to them. Arrays are [count], halves' too. */
typedef struct dp_tail_channels {
    int64_t count;
    const dp_tail *halves[2];        /* summed; the second one may be NULL */
    const dp_input_moments *moments; /* of both: how many values, and extremes */
    const float *mu, *alpha;         /* NULL: 0, and 1 */
} dp_tail_channels;

/**
 * The range of all alpha_j (x_j - mu_j) that keeps `percentile` percent of them: see dp_histogram_range (device/quantise.h).
 *
 * Halves of NULL: the extremes, as with a percentile of 100.
 */
void dp_tail_range(const dp_tail_channels *channels, double percentile, double *low, double *high);

/** Mean square of what the limits cut off channel j's alpha_j (x_j - mu_j); 0 where values were not counted. */
double dp_tail_cut(const dp_tail_channels *c, int64_t j, double low, double high);

/**
 * How much of a range is made by each channel: the slope of its logarithm by log alpha_j, which add up to 1.
 *
 * Slopes of counts are taken between limits a fifth apart either way. Shapes: shares [channels->count].
 */
void dp_tail_shares(const dp_tail_channels *channels, double low, double high, double *shares);

#endif
