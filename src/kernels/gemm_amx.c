/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A product is cut into blocks of at most WIDTH columns and DEPTH of the depth, whose right operand is taken apart and packed once, and these
 * into panels of 32 rows. The innermost piece is 32 x 32 outputs: four tiles of sums, and for each step of 32 along the depth eight
 * tiles of operands. Rows and columns that are missing are zeros.
 */
#include "kernels/gemm_amx.h"

#include "kernels/amx_pack.h"

#ifdef HAS_AMX

#include <cpuid.h>
#include <stdalign.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { DEPTH = 256, WIDTH = 768, STEPS = DEPTH / STEP };
/* Fewer multiplications than these are done sooner without. */
static const double least_work = 1 << 18;

/* ---- whether ---- */

/* Linux lets a process that asks for it use tiles: ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA. */
enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

static bool processor_has_tiles(void) {
    unsigned a, b, c, d, amx_bf16 = 1U << 22, amx_tile = 1U << 24, avx512_bf16 = 1U << 5;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(d & amx_bf16) || !(d & amx_tile))
        return false;
    if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & avx512_bf16)) return false;
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl");
}

bool dp_gemm_amx_permitted(void) {
    return processor_has_tiles() && syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* ---- multiplying ---- */

typedef struct tile_config {
    alignas(64) uint8_t palette;
    uint8_t start_row, reserved[14];
    uint16_t row_bytes[16];
    uint8_t rows[16];
} tile_config;

AMX static void configure(void) {
    tile_config c = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        c.row_bytes[i] = 64;
        c.rows[i] = TILE;
    }
    /* GCC 12's intrinsic says that it reads 8 of these 64 bytes, and the others would not be written. */
    __asm__ volatile("" : : "r"(&c) : "memory");
    _tile_loadconfig(&c);
}

/* What the sums start from, 32 x 32; NULL: zeros. */
typedef struct start {
    const float *at;
    int64_t ld;
} start;

/* Products of the high parts with each other, and of each with the other's low part. */
AMX static inline void multiply_step(const char *a, const char *b) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b + 2 * TILE_BYTES, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + 3 * TILE_BYTES, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + TILE_BYTES, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + TILE_BYTES, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(4, a + 2 * TILE_BYTES, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
    _tile_loadd(5, a + 3 * TILE_BYTES, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

AMX static inline void multiply_high_parts(const char *a, const char *b) {
    _tile_loadd(4, a, 64);
    _tile_loadd(6, b, 64);
    _tile_dpbf16ps(0, 4, 6);
    _tile_loadd(7, b + TILE_BYTES, 64);
    _tile_dpbf16ps(1, 4, 7);
    _tile_loadd(5, a + TILE_BYTES, 64);
    _tile_dpbf16ps(2, 5, 6);
    _tile_dpbf16ps(3, 5, 7);
}

/* Packed panels, from one step of the depth to the next, and so many steps. */
typedef struct panels {
    const char *a, *b;
    int64_t a_step, b_step, steps;
    bool coarse;
} panels;

AMX static void multiply_panels(panels p, start from, float *c, int64_t ldc) {
    int64_t stride = ldc * 4;
    if (from.at) {
        _tile_loadd(0, from.at, from.ld * 4);
        _tile_loadd(1, from.at + TILE, from.ld * 4);
        _tile_loadd(2, from.at + TILE * from.ld, from.ld * 4);
        _tile_loadd(3, from.at + TILE * from.ld + TILE, from.ld * 4);
    } else {
        _tile_zero(0);
        _tile_zero(1);
        _tile_zero(2);
        _tile_zero(3);
    }
    for (int64_t s = 0; p.coarse && s < p.steps; s++)
        multiply_high_parts(p.a + s * p.a_step, p.b + s * p.b_step);
    for (int64_t s = 0; !p.coarse && s < p.steps; s++)
        multiply_step(p.a + s * p.a_step, p.b + s * p.b_step);
    _tile_stored(0, c, stride);
    _tile_stored(1, c + TILE, stride);
    _tile_stored(2, c + TILE * ldc, stride);
    _tile_stored(3, c + TILE * ldc + TILE, stride);
}

/* Outputs that are fewer than 32 x 32 go through a buffer. */
AMX static void multiply_edge(panels p, start from, float *c, int64_t ldc, int64_t rows,
                              int64_t columns) {
    alignas(64) float sums[PANEL * PANEL];
    for (int64_t i = 0; from.at == c && i < rows; i++)
        memcpy(sums + i * PANEL, c + i * ldc, (size_t)columns * sizeof *c);
    if (from.at == c) from = (start){sums, PANEL};
    multiply_panels(p, from, sums, PANEL);
    for (int64_t i = 0; i < rows; i++)
        memcpy(c + i * ldc, sums + i * PANEL, (size_t)columns * sizeof *c);
}

/* Each row's bias along it; rows that are missing are of no account. */
AMX static void spread_bias(const float *bias, int64_t rows, float *to) {
    for (int64_t i = 0; i < rows; i++) {
        _mm512_store_ps(to + i * PANEL, _mm512_set1_ps(bias[i]));
        _mm512_store_ps(to + i * PANEL + TILE, _mm512_set1_ps(bias[i]));
    }
}

/* ---- the left operand, kept ---- */

static int64_t steps_of(int64_t depth) {
    return (depth + STEP - 1) / STEP;
}

static int64_t panel_bytes(const dp_kept *kept) {
    return steps_of(kept->k) * dp_amx_step_bytes(kept->coarse);
}

size_t dp_gemm_amx_bytes(const dp_kept *kept) {
    if (kept->m < TILE || kept->k < STEP) return 0;
    return (size_t)((kept->m + PANEL - 1) / PANEL * panel_bytes(kept));
}

/* Panel by panel, each with all steps of the depth. */
AMX void dp_gemm_amx_keep(const dp_gemm *g, dp_kept *kept) {
    char *to = kept->tiles;
    for (int64_t i = 0; i < g->m; i += PANEL, to += panel_bytes(kept)) {
        const float *a = g->transpose_a ? g->a + i : g->a + i * g->lda;
        dp_amx_pack((dp_amx_piece){a, g->lda, min64(PANEL, g->m - i), g->k},
                    (dp_amx_layout){g->transpose_a, false, kept->coarse}, to);
    }
}

static bool takes_kept(const dp_gemm *g) {
    const dp_kept *kept = g->kept;
    if (!kept || (kept->coarse && g->rough != DP_COARSE)) return false;
    int64_t end = g->kept_from + g->k;
    return g->kept_from % STEP == 0 && (end % STEP == 0 || end == kept->k);
}

/* ---- blocks ---- */

/* A part of the columns, and of the depth. */
typedef struct block {
    int64_t column, columns, k, depth;
} block;

/* Rows i .. of the left operand: what is kept of them, or packed into `room`. */
AMX static panels left_panel(const dp_gemm *g, const block *at, int64_t i, char *room) {
    bool coarse = g->rough == DP_COARSE;
    panels p = {
        .steps = steps_of(at->depth), .b_step = dp_amx_step_bytes(coarse), .coarse = coarse};
    if (takes_kept(g)) {
        p.a_step = dp_amx_step_bytes(g->kept->coarse);
        p.a = g->kept->tiles + i / PANEL * panel_bytes(g->kept) +
              (g->kept_from + at->k) / STEP * p.a_step;
        return p;
    }
    const float *a = g->transpose_a ? g->a + at->k * g->lda + i : g->a + i * g->lda + at->k;
    dp_amx_pack((dp_amx_piece){a, g->lda, min64(PANEL, g->m - i), at->depth},
                (dp_amx_layout){g->transpose_a, false, coarse}, room);
    p.a_step = p.b_step;
    p.a = room;
    return p;
}

/* Where a step of the depth of panel j is. */
static int64_t place_of(int64_t j, int64_t k, bool coarse) {
    return j / PANEL * STEPS * STEP_BYTES + k / STEP * dp_amx_step_bytes(coarse);
}

/* Step by step of the depth, as the lines are read along then: from the second-level cache on it is the stride that takes time. */
AMX static void pack_places(const dp_gemm *g, const block *at, char *right) {
    bool coarse = g->rough == DP_COARSE;
    const int64_t *places = g->places + at->column, *lines = g->lines + at->k;
    dp_amx_runs of[WIDTH / TILE];
    for (int64_t j = 0; j < at->columns; j += PANEL)
        for (int64_t c = j; c < j + PANEL; c += TILE) {
            int64_t left = at->columns - c;
            of[c / TILE] =
                dp_amx_find_runs(places + (left > 0 ? c : 0), min64(left > 0 ? left : 0, TILE));
        }
    for (int64_t k = 0; k < at->depth; k += STEP)
        for (int64_t j = 0; j < at->columns; j += PANEL) {
            dp_amx_gathered from = {g->b, lines + k, at->depth - k, &of[j / TILE]};
            dp_amx_pack_gathered(&from, coarse, right + place_of(j, k, coarse));
        }
}

AMX static void pack_right(const dp_gemm *g, const block *at, char *right) {
    dp_amx_layout is = {!g->transpose_b, true, g->rough == DP_COARSE};
    int64_t step = g->transpose_b ? at->depth : STEP; /* lines lie along the depth */
    if (g->lines) {
        pack_places(g, at, right);
        return;
    }
    for (int64_t k = 0; k < at->depth; k += step)
        for (int64_t j = 0; j < at->columns; j += PANEL) {
            int64_t column = at->column + j, line = at->k + k;
            const float *b =
                g->b + (g->transpose_b ? column * g->ldb + line : line * g->ldb + column);
            dp_amx_piece p = {b, g->ldb, min64(PANEL, at->columns - j), min64(step, at->depth - k)};
            dp_amx_pack(p, is, right + place_of(j, k, is.coarse));
        }
}

AMX static void multiply_block(const dp_gemm *g, const block *at) {
    alignas(64) char right[WIDTH / PANEL * STEPS * STEP_BYTES], left[STEPS * STEP_BYTES];
    alignas(64) float biases[PANEL * PANEL] = {0};
    bool add = at->k > 0 || g->beta != 0;
    pack_right(g, at, right);
    for (int64_t i = 0; i < g->m; i += PANEL) {
        int64_t rows = min64(PANEL, g->m - i);
        panels p = left_panel(g, at, i, left);
        if (g->bias && !add) spread_bias(g->bias + i, rows, biases);
        for (int64_t j = 0; j < at->columns; j += PANEL) {
            p.b = right + j / PANEL * STEPS * STEP_BYTES;
            float *c = g->c + i * g->ldc + at->column + j;
            start from = {add ? c : g->bias ? biases : NULL, add ? g->ldc : PANEL};
            if (rows == PANEL && at->columns - j >= PANEL)
                multiply_panels(p, from, c, g->ldc);
            else
                multiply_edge(p, from, c, g->ldc, rows, min64(PANEL, at->columns - j));
        }
    }
}

/* In parts of at most `most`, alike as far as can be, in whole units. */
static int64_t even_part(int64_t count, int64_t most, int64_t unit) {
    int64_t blocks = (count + most - 1) / most, each = (count + blocks - 1) / blocks;
    return (each + unit - 1) / unit * unit;
}

bool dp_gemm_amx_takes(const dp_gemm *g) {
    if (g->lines) return true;
    if (g->m < TILE || g->n < TILE || g->k < STEP || (g->beta != 0 && g->beta != 1)) return false;
    return (double)g->m * (double)g->n * (double)g->k >= least_work;
}

AMX void dp_gemm_amx_run(const dp_gemm *g) {
    int64_t width = even_part(g->n, WIDTH, PANEL), depth = even_part(g->k, DEPTH, STEP);
    configure();
    for (int64_t column = 0; column < g->n; column += width)
        for (int64_t k = 0; k < g->k; k += depth)
            multiply_block(
                g, &(block){column, min64(width, g->n - column), k, min64(depth, g->k - k)});
    _tile_release();
}
#else

bool dp_gemm_amx_takes(const dp_gemm *g) {
    (void)g;
    return false;
}

size_t dp_gemm_amx_bytes(const dp_kept *kept) {
    (void)kept;
    return 0;
}

void dp_gemm_amx_keep(const dp_gemm *g, dp_kept *kept) {
    (void)g;
    (void)kept;
}

bool dp_gemm_amx_permitted(void) {
    return false;
}

void dp_gemm_amx_run(const dp_gemm *g) {
    (void)g;
}

#endif
