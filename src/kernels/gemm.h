/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Matrix products: OpenBLAS's, and large rough ones on AMX tiles where the processor has them (gemm_amx.h). gemm.c is the only file that
 * includes cblas.h (which cannot be included beside GSL's headers). One BLAS thread: parallelism is over samples, where results do not depend on the number of threads.
 */
#ifndef DP_KERNELS_GEMM_H
#define DP_KERNELS_GEMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a product may be off by, where the processor has tiles (gemm_amx.h). */
typedef enum dp_rough {
    DP_PRECISE, /* float32 */
    DP_ROUGH,   /* operands are rounded to 2^-17 of themselves */
    DP_COARSE   /* to 2^-9: bfloat16 */
} dp_rough;

/* A left operand of many products, once for all as tiles take it (dp_gemm_keep). */
typedef struct dp_kept {
    int64_t m, k;
    bool coarse; /* for coarse products only, at half the room */
    char *tiles; /* [dp_kept_bytes], 64-byte aligned */
} dp_kept;

/* C[m,n] = op(A)[m,k] op(B)[k,n] + beta C + bias, all row-major; ld: floats from one stored row to the next. */
typedef struct dp_gemm {
    int64_t m, n, k;
    bool transpose_a, transpose_b; /* A is stored [k,m], B is stored [n,k] */
    const float *a, *b;
    int64_t lda, ldb;
    /* B[l][j] = b[lines[l] + places[j]] with lines [k], places [n], best where most places follow one another; NULL: rows of ldb. Only where dp_gemm_gathers. */
    const int64_t *lines, *places;
    float beta;
    const float *bias; /* [m] one for each row, where beta is 0; NULL: none */
    float *c;
    int64_t ldc;
    dp_rough rough;
    /* NULL, or what has all m rows of op(A), whose columns are kept_from .. kept_from + k - 1 of it. A is there all the same. */
    const dp_kept *kept;
    int64_t kept_from;
} dp_gemm;

void dp_gemm_run(const dp_gemm *g);

/** Whether a product like this one, of its m, n, k and rough, may have lines and places. */
bool dp_gemm_gathers(const dp_gemm *g);

/** Bytes of tiles for kept->m and k; 0 where no product would take them. */
size_t dp_kept_bytes(const dp_kept *kept);

/**
 * Fill kept->tiles with op(A) of `g`, of which m, k and A are read.
 *
 * Only where dp_kept_bytes is above 0. A product takes them where kept_from is a multiple of DP_KEPT_STEP and its columns end
 * at one or with op(A): else it is as fast as without.
 */
void dp_gemm_keep(const dp_gemm *g, dp_kept *kept);
enum { DP_KEPT_STEP = 32 };

/** The same by OpenBLAS, whatever there is. Shapes with m or n of 0 are not for it. */
void dp_gemm_blas(const dp_gemm *g);

/** Whether large products that may be rough run on AMX tiles: the processor and the system have them, and DYNAPREC_AMX is not 0. */
bool dp_gemm_tiles(void);

/** Make every product run on the calling thread. Call once before the first product. */
void dp_gemm_single_thread(void);

/** OpenBLAS's name of the kernels it chose ("SkylakeX", "Haswell", "Prescott"). */
const char *dp_gemm_kernels(void);

#endif
