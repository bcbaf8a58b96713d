/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Products of matrices, which MatMul and Gemm are. A product is one of three kinds, which decides what its site is:
 *
 *   weights right   X [.., M, D] times a constant matrix [D, N] (or [N, D] transposed): N channels, the rows are positions
 *   weights left    a constant matrix [M, D] times X [.., D, N]: M channels, the columns are positions
 *   activations     both vary (attention): one channel, norms of the left rows and of the right columns
 *
 * Whatever the form, the work is a list of matrix products C[m,n] = op(A) op(B), dealt out to samples in equal shares. Constant
 * matrices may have leading axes of one entry, as some exporters leave them.
 */
#ifndef DP_MODEL_OPS_MATMUL_H
#define DP_MODEL_OPS_MATMUL_H

#include "model/op.h"

typedef enum dp_matmul_kind { DP_WEIGHTS_RIGHT, DP_WEIGHTS_LEFT, DP_ACTIVATIONS } dp_matmul_kind;

typedef struct dp_matmul {
    dp_matmul_kind kind;
    int64_t m, n, depth;
    int64_t batch; /* matrices of the output */
    int batch_rank;
    int64_t batch_dim[DP_MAX_RANK]; /* leading output dimensions */
    int64_t stride[2][DP_MAX_RANK]; /* of each operand along them, in matrices; 0: broadcast */
    bool transpose[2];
    int64_t rows_total; /* batch * m */
    float alpha;        /* what the products are multiplied with behind the core */
    int bias_in;        /* -1: none */
} dp_matmul;

/* A row's detail: how its operands are a product. */
typedef struct dp_matmul_row {
    dp_status (*plan)(const dp_op_args *a, dp_matmul *p, dp_error *err);
} dp_matmul_row;

/** Operand k is weights: constant while the other one is not. */
bool dp_matmul_weights(const dp_op_args *a, int k);

/** Refuse operands that are not float32, or scalars. */
dp_status dp_matmul_check(const dp_op_args *a, dp_error *err);

/** Scratch of forward and adjoint. */
size_t dp_matmul_scratch(const dp_op_args *a, const dp_matmul *p);

/* What a row takes over as it is; alpha and what is added are the row's own. */
dp_status dp_matmul_forward(const dp_op_args *a, dp_error *err);
dp_status dp_matmul_adjoint(const dp_op_args *a, dp_error *err);
dp_status dp_matmul_site(const dp_op_args *a, int slot, dp_site *site, dp_error *err);

#endif
