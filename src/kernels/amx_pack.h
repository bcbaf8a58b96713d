/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operands of a product on AMX tiles, taken apart into bfloat16 and laid out as tiles take them: see gemm_amx.h. Private to gemm_amx.c and
 * amx_pack.c, which is all there is of it where HAS_AMX is not defined.
 *
 * The innermost piece of a product is 32 x 32 outputs, over steps of 32 along the depth. Of a step a panel, 32 rows of the left operand or columns of
 * the right one, has two tiles in two parts: high, high, low, low; coarse products have no low ones.
 */
#ifndef DP_KERNELS_AMX_PACK_H
#define DP_KERNELS_AMX_PACK_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__x86_64__) && defined(__linux__) && defined(__has_include)
#if __has_include(<amxbf16intrin.h>)
#define HAS_AMX
#endif
#endif

#ifdef HAS_AMX

#include <immintrin.h>

#define AMX __attribute__((target("amx-tile,amx-bf16,avx512f,avx512bw,avx512vl,avx512bf16")))

enum { TILE = 16, STEP = 32, PANEL = 32 };
/* Bytes of a tile; of all that a panel has of a step. */
enum { TILE_BYTES = 1024, STEP_BYTES = 4 * TILE_BYTES, COARSE_BYTES = 2 * TILE_BYTES };

static inline int64_t dp_amx_step_bytes(bool coarse) {
    return coarse ? COARSE_BYTES : STEP_BYTES;
}

/* What is packed: `width` lines along the depth, or so many columns of lines across it, and `depth` of the depth. */
typedef struct dp_amx_piece {
    const float *x;
    int64_t ld, width, depth;
} dp_amx_piece;

/* How operands lie, and whether there are low parts of them. */
typedef struct dp_amx_layout {
    bool across, right, coarse;
} dp_amx_layout;

/** A panel of all its steps; rows, columns and depth that are missing are zeros. Shapes: to [steps, step bytes], 64-byte aligned. */
void dp_amx_pack(dp_amx_piece piece, dp_amx_layout layout, char *to);

/* Of 16 places those that follow one another; more runs than these are gathered one by one. */
enum { DP_AMX_RUNS = 4 };
typedef struct dp_amx_runs {
    int count; /* 0: there are more */
    __mmask16 all, mask[DP_AMX_RUNS];
    int64_t from[DP_AMX_RUNS]; /* where the run would have begun in lane 0 */
    __m512i index;             /* of all, from the first one */
    int64_t first;
} dp_amx_runs;

/** At most 16 places. */
dp_amx_runs dp_amx_find_runs(const int64_t *places, int64_t width);

/* A right operand that is gathered (see dp_gemm): values b[lines[l] + place], of two times 16 places. */
typedef struct dp_amx_gathered {
    const float *b;
    const int64_t *lines;
    int64_t depth;
    const dp_amx_runs *halves; /* [2] */
} dp_amx_gathered;

/** A step of a panel of it. */
void dp_amx_pack_gathered(const dp_amx_gathered *from, bool coarse, char *to);

#endif
#endif
