/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cuts any range of elements into counter blocks for the kernels. A kernel always computes whole blocks into a small
 * buffer, of which the wanted elements are copied: that is how a range may begin and end anywhere.
 */
#include "base/rng.h"

#include <assert.h>
#include <string.h>

#include "base/rng_kernel.h"

/* The part of a range that one kernel call covers. */
typedef struct piece {
    dp_rng_counter counter;
    size_t blocks, skip, count; /* blocks to compute, leading elements to skip, elements to keep */
} piece;

static size_t round_up(size_t value, size_t step) {
    return (value + step - 1) / step * step;
}

static piece piece_at(const dp_stream *s, uint64_t element, size_t left) {
    assert((unsigned)s->purpose < 256 && s->site < 1u << 24);
    assert(element < (uint64_t)1 << 34);
    piece p = {.counter = {.key = {(uint32_t)s->seed, (uint32_t)(s->seed >> 32)},
                           .word = {(uint32_t)(element / 4), s->site | (uint32_t)s->purpose << 24,
                                    s->sample, s->trial}},
               .skip = (size_t)(element % 4)};
    size_t room = 4 * DP_RNG_LANES - p.skip;
    p.count = left < room ? left : room;
    p.blocks = round_up((p.skip + p.count + 3) / 4, DP_RNG_STEP);
    return p;
}

void dp_normals(const dp_stream *stream, uint64_t first, float *out, size_t count) {
    const dp_rng_kernel *kernel = dp_rng_kernel_best();
    _Alignas(64) float normals[4 * DP_RNG_LANES];
    while (count > 0) {
        piece p = piece_at(stream, first, count);
        bool whole = p.count == 4 * p.blocks;
        kernel->normals(&p.counter, p.blocks, whole ? out : normals);
        if (!whole) memcpy(out, normals + p.skip, p.count * sizeof *out);
        for (size_t i = 0; stream->opposite && i < p.count; i++) out[i] = -out[i];
        first += p.count, out += p.count, count -= p.count;
    }
}

void dp_bits(const dp_stream *stream, uint64_t first, uint32_t *out, size_t count) {
    const dp_rng_kernel *kernel = dp_rng_kernel_best();
    _Alignas(64) uint32_t words[4 * DP_RNG_LANES];
    while (count > 0) {
        piece p = piece_at(stream, first, count);
        kernel->words(&p.counter, p.blocks, words);
        memcpy(out, words + p.skip, p.count * sizeof *out);
        first += p.count, out += p.count, count -= p.count;
    }
}

void dp_signs(const dp_stream *stream, uint64_t first, float *out, size_t count) {
    uint32_t words[4 * DP_RNG_LANES];
    while (count > 0) {
        size_t part = count < 4 * DP_RNG_LANES ? count : 4 * DP_RNG_LANES;
        dp_bits(stream, first, words, part);
        for (size_t i = 0; i < part; i++) out[i] = words[i] >> 31 ? -1.0f : 1.0f;
        first += part, out += part, count -= part;
    }
}
