/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Matrix products: OpenBLAS's, and large rough ones on AMX tiles where the processor has them (gemm_amx.h). gemm.c is the only file that
 * includes cblas.h (which cannot be included beside GSL's headers). One BLAS thread: parallelism is over samples, where results do not depend on the number of threads.
 */
#ifndef DP_KERNELS_GEMM_H
#define DP_KERNELS_GEMM_H

#include <stdbool.h>
#include <stdint.h>

/* What a product may be off by, where the processor has tiles (gemm_amx.h). */
typedef enum dp_rough {
    DP_PRECISE, /* float32 */
    DP_ROUGH,   /* operands are rounded to 2^-17 of themselves */
    DP_COARSE   /* to 2^-9: bfloat16 */
} dp_rough;

/* C[m,n] = op(A)[m,k] op(B)[k,n] + beta C + bias, all row-major; ld: floats from one stored row to the next. */
typedef struct dp_gemm {
    int64_t m, n, k;
    bool transpose_a, transpose_b; /* A is stored [k,m], B is stored [n,k] */
    const float *a, *b;
    int64_t lda, ldb;
    float beta;
    const float *bias; /* [m] one for each row, where beta is 0; NULL: none */
    float *c;
    int64_t ldc;
    dp_rough rough;
} dp_gemm;

void dp_gemm_run(const dp_gemm *g);

/** The same by OpenBLAS, whatever there is. Shapes with m or n of 0 are not for it. */
void dp_gemm_blas(const dp_gemm *g);

/** Whether large products that may be rough run on AMX tiles: the processor and the system have them, and DYNAPREC_AMX is not 0. */
bool dp_gemm_tiles(void);

/** Make every product run on the calling thread. Call once before the first product. */
void dp_gemm_single_thread(void);

/** OpenBLAS's name of the kernels it chose ("SkylakeX", "Haswell", "Prescott"). */
const char *dp_gemm_kernels(void);

#endif
