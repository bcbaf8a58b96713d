/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/amx_pack.h"

#ifdef HAS_AMX

#include <stdalign.h>

typedef struct parts {
    __m512i high, low;
} parts;

/* 32 floats x as high + low, pairs of neighbours or, with `pairs`, x0[i] beside x1[i]. */
AMX static inline parts split(__m512 x0, __m512 x1, bool pairs) {
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512i high = (__m512i)_mm512_cvtne2ps_pbh(x1, x0);
    __m512 h0 = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_castsi512_si256(high)), 16));
    __m512 h1 = _mm512_castsi512_ps(
        _mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm512_extracti64x4_epi64(high, 1)), 16));
    __m512 l0 = _mm512_sub_ps(x0, h0), l1 = _mm512_sub_ps(x1, h1);
    __m512i low = (__m512i)_mm512_cvtne2ps_pbh(l1, l0);
    if (pairs) {
        high = _mm512_permutexvar_epi16(order, high);
        low = _mm512_permutexvar_epi16(order, low);
    }
    return (parts){high, low};
}

static inline __mmask16 first(int64_t count) {
    unsigned all = (1U << TILE) - 1;
    return (__mmask16)(count >= TILE ? all : count <= 0 ? 0 : (1U << count) - 1);
}

/* x[i][j] and x[j][i] change places: by one word, by two, then by four and eight. */
AMX static inline void transpose(__m512i x[TILE]) {
    __m512i y[TILE];
    for (int i = 0; i < TILE; i += 2) {
        y[i] = _mm512_unpacklo_epi32(x[i], x[i + 1]);
        y[i + 1] = _mm512_unpackhi_epi32(x[i], x[i + 1]);
    }
    for (int i = 0; i < TILE; i += 4)
        for (int j = 0; j < 2; j++) {
            x[i + 2 * j] = _mm512_unpacklo_epi64(y[i + j], y[i + 2 + j]);
            x[i + 2 * j + 1] = _mm512_unpackhi_epi64(y[i + j], y[i + 2 + j]);
        }
    for (int i = 0; i < TILE; i += 8)
        for (int j = 0; j < 4; j++) {
            y[i + j] = _mm512_shuffle_i32x4(x[i + j], x[i + 4 + j], 0x88);
            y[i + 4 + j] = _mm512_shuffle_i32x4(x[i + j], x[i + 4 + j], 0xdd);
        }
    for (int j = 0; j < 8; j++) {
        x[j] = _mm512_shuffle_i32x4(y[j], y[8 + j], 0x88);
        x[8 + j] = _mm512_shuffle_i32x4(y[j], y[8 + j], 0xdd);
    }
}

/* Row i of both parts of a tile. */
AMX static inline void store(parts line, int i, bool coarse, char *to) {
    _mm512_store_si512(to + 64 * i, line.high);
    if (!coarse) _mm512_store_si512(to + 2 * TILE_BYTES + 64 * i, line.low);
}

/* What has been stored as rows becomes columns. */
AMX static void turn(char *tile) {
    __m512i x[TILE];
    for (int i = 0; i < TILE; i++) x[i] = _mm512_load_si512(tile + 64 * i);
    transpose(x);
    for (int i = 0; i < TILE; i++) _mm512_store_si512(tile + 64 * i, x[i]);
}

/* Lines along the depth: each becomes a row of the left operand's tile, a column of the right one's. */
AMX static void pack_along(dp_amx_piece p, bool columns, bool coarse, char *to) {
    __mmask16 m0 = first(p.depth), m1 = first(p.depth - TILE);
    for (int i = 0; i < TILE; i++) {
        const float *x = i < p.width ? p.x + i * p.ld : p.x;
        __m512 head = _mm512_setzero_ps(), rest = head;
        if (i < p.width) head = _mm512_maskz_loadu_ps(m0, x);
        if (i < p.width && m1) rest = _mm512_maskz_loadu_ps(m1, x + TILE);
        store(split(head, rest, false), i, coarse, to);
    }
    if (!columns) return;
    turn(to);
    if (!coarse) turn(to + 2 * TILE_BYTES);
}

/* Lines across the depth: two of them become a row of the right operand's tile, a column of the left one's. */
AMX static void pack_across(dp_amx_piece p, bool columns, bool coarse, char *to) {
    __mmask16 m = first(p.width);
    for (int i = 0; i < TILE; i++) {
        __m512 even = _mm512_setzero_ps(), odd = even;
        if (m && 2 * i < p.depth) even = _mm512_maskz_loadu_ps(m, p.x + 2 * i * p.ld);
        if (m && 2 * i + 1 < p.depth) odd = _mm512_maskz_loadu_ps(m, p.x + (2 * i + 1) * p.ld);
        store(split(even, odd, true), i, coarse, to);
    }
    if (!columns) return;
    turn(to);
    if (!coarse) turn(to + 2 * TILE_BYTES);
}

/* ---- taking them from where they lie apart ---- */

AMX dp_amx_runs dp_amx_find_runs(const int64_t *places, int64_t width) {
    alignas(64) int32_t index[TILE] = {0};
    dp_amx_runs r = {.all = first(width), .first = width > 0 ? places[0] : 0};
    bool few = true;
    for (int64_t j = 0; j < width; j++) {
        index[j] = (int32_t)(places[j] - places[0]);
        if (j == 0 || places[j] != places[j - 1] + 1) {
            few = few && r.count < DP_AMX_RUNS;
            if (!few) continue;
            r.mask[r.count] = 0;
            r.from[r.count++] = places[j] - j;
        }
        if (few) r.mask[r.count - 1] |= (__mmask16)(1U << j);
    }
    if (!few) r.count = 0;
    r.index = _mm512_load_si512(index);
    return r;
}

AMX static inline __m512 load_runs(const dp_amx_runs *r, const float *x) {
    __m512 v = _mm512_setzero_ps();
    if (r->count == 0) return _mm512_mask_i32gather_ps(v, r->all, r->index, x + r->first, 4);
    for (int i = 0; i < r->count; i++) v = _mm512_mask_loadu_ps(v, r->mask[i], x + r->from[i]);
    return v;
}

/* As pack_across for a right operand. */
AMX void dp_amx_pack_gathered(const dp_amx_gathered *from, bool coarse, char *to) {
    for (int half = 0; half < 2; half++, to += TILE_BYTES) {
        const dp_amx_runs *r = &from->halves[half];
        for (int i = 0; i < TILE; i++) {
            __m512 even = _mm512_setzero_ps(), odd = even;
            if (r->all && 2 * i < from->depth) even = load_runs(r, from->b + from->lines[2 * i]);
            if (r->all && 2 * i + 1 < from->depth)
                odd = load_runs(r, from->b + from->lines[2 * i + 1]);
            store(split(even, odd, true), i, coarse, to);
        }
    }
}

/* 32 rows of the left operand, or columns of the right one: for each step the tiles high, high, low, low. */
AMX void dp_amx_pack(dp_amx_piece all, dp_amx_layout is, char *to) {
    for (int64_t k = 0; k < all.depth; k += STEP, to += dp_amx_step_bytes(is.coarse))
        for (int64_t half = 0; half < 2; half++) {
            int64_t at = half * TILE, left = all.width - at;
            dp_amx_piece p = {all.x, all.ld, left > 0 ? left : 0, all.depth - k};
            if (left > 0) p.x += is.across ? k * all.ld + at : at * all.ld + k;
            if (is.across)
                pack_across(p, !is.right, is.coarse, to + half * TILE_BYTES);
            else
                pack_along(p, is.right, is.coarse, to + half * TILE_BYTES);
        }
}

#endif
