/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/gemm.h"

#include <cblas.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/gemm_amx.h"

char *openblas_get_corename(void);

/* Decided once, before the first product. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool tiles;

static void choose(void) {
    const char *wish = getenv("DYNAPREC_AMX");
    tiles = !(wish && strcmp(wish, "0") == 0) && dp_gemm_amx_permitted();
}

bool dp_gemm_tiles(void) {
    pthread_once(&once, choose);
    return tiles;
}

void dp_gemm_run(const dp_gemm *g) {
    if (g->m == 0 || g->n == 0) return;
    if (!g->rough || !dp_gemm_tiles() || !dp_gemm_amx_takes(g))
        dp_gemm_blas(g);
    else
        dp_gemm_amx_run(g);
}

bool dp_gemm_gathers(const dp_gemm *g) {
    return g->rough && dp_gemm_tiles() && dp_gemm_amx_takes(g);
}

size_t dp_kept_bytes(const dp_kept *kept) {
    return dp_gemm_tiles() ? dp_gemm_amx_bytes(kept) : 0;
}

void dp_gemm_keep(const dp_gemm *g, dp_kept *kept) {
    dp_gemm_amx_keep(g, kept);
}

static void fill_rows(const dp_gemm *g) {
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n; j++) g->c[i * g->ldc + j] = g->bias[i];
}

void dp_gemm_blas(const dp_gemm *g) {
    float beta = g->bias ? 1.0F : g->beta;
    if (g->bias) fill_rows(g);
    /* for i, j: c[i][j] = sum over l of op(a)[i][l] * op(b)[l][j] + beta * c[i][j] */
    cblas_sgemm(CblasRowMajor, g->transpose_a ? CblasTrans : CblasNoTrans,
                g->transpose_b ? CblasTrans : CblasNoTrans, (int)g->m, (int)g->n, (int)g->k, 1.0F,
                g->a, (int)g->lda, g->b, (int)g->ldb, beta, g->c, (int)g->ldc);
}

/* OpenBLAS takes its buffer at its first product, and waits for ever where there is no memory: better now than in the middle. */
static void take_buffer(void) {
    enum { SIDE = 128 };
    static const float zeros[SIDE * SIDE];
    float *c = malloc(sizeof zeros);
    if (!c) return;
    dp_gemm_blas(&(dp_gemm){.m = SIDE,
                            .n = SIDE,
                            .k = SIDE,
                            .a = zeros,
                            .lda = SIDE,
                            .b = zeros,
                            .ldb = SIDE,
                            .c = c,
                            .ldc = SIDE});
    free(c);
}

void dp_gemm_single_thread(void) {
    openblas_set_num_threads(1);
    take_buffer();
}

const char *dp_gemm_kernels(void) {
    return openblas_get_corename();
}
