/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Counter-based random numbers: every draw is a pure function of (seed, purpose, trial, sample, site, element), so draws
 * neither depend on who computes them nor on what was drawn before.
 *
 * Source  Philox4x32-10 [Salmon 2011]; normals by [Box & Muller 1958].
 *         Key: the seed. Counter words: {element / 4, site | purpose << 24, sample, trial}.
 * Same values on every processor: the kernels use IEEE operations in one order, without contraction.
 */
#ifndef DP_BASE_RNG_H
#define DP_BASE_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum dp_purpose {
    DP_DRAW_OUTPUT = 0,
    DP_DRAW_WEIGHT,
    DP_DRAW_SIGN,
    DP_DRAW_SPLIT
} dp_purpose;

/* Which stream of draws. Streams that differ in any field are independent. */
typedef struct dp_stream {
    uint64_t seed;
    dp_purpose purpose; /* < 256 */
    uint32_t trial, sample;
    uint32_t site; /* < 2^24 */
    bool opposite; /* normals with the other sign; bits and signs are the same */
} dp_stream;

/**
 * Standard normals number first .. first+count-1 of a stream, |z| up to 6.76; elements below 2^34.
 *
 * Shapes  out [count]. The same element number gives the same value however a range is cut into calls.
 */
void dp_normals(const dp_stream *stream, uint64_t first, float *out, size_t count);

/** Random signs, -1 or +1 with equal probability, elements first .. first+count-1. */
void dp_signs(const dp_stream *stream, uint64_t first, float *out, size_t count);

/** Uniform integers in [0, 2^32), elements first .. first+count-1. */
void dp_bits(const dp_stream *stream, uint64_t first, uint32_t *out, size_t count);

#endif
