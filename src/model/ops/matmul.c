/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MatMul, whose leading axes broadcast, and Gemm, alpha op(A) op(B) + beta C. The products themselves are in matmul_product.c. */
#include "model/ops/matmul.h"

#include <string.h>

#include "model/ops/tables.h"
#include "model/ops/walk.h"

/* Leading dimensions of the output by NumPy broadcasting, and each operand's stride along them. */
static dp_status broadcast_batch(const dp_op_args *a, const dp_tensor matrix[2], dp_matmul *p,
                                 dp_error *err) {
    int rank = matrix[0].rank > matrix[1].rank ? matrix[0].rank : matrix[1].rank;
    p->batch_rank = rank - 2;
    p->batch = 1;
    for (int k = 0; k < 2; k++) {
        int64_t stride = 1;
        for (int i = rank - 3; i >= 0; i--) {
            int at = i - (rank - matrix[k].rank);
            int64_t dim = at >= 0 ? matrix[k].dim[at] : 1;
            p->stride[k][i] = dim == 1 ? 0 : stride;
            stride *= dim;
            if (k == 0 || p->batch_dim[i] == 1) p->batch_dim[i] = dim;
            if (dim != 1 && dim != p->batch_dim[i])
                return dp_op_fail(a, err, DP_EFORMAT, "leading dimensions %lld and %lld differ",
                                  (long long)p->batch_dim[i], (long long)dim);
        }
    }
    for (int i = 0; i < p->batch_rank; i++) p->batch = dp_dim_times(p->batch, p->batch_dim[i]);
    return DP_OK;
}

/* A vector operand is a row (left) or a column (right). */
static dp_tensor as_matrix(const dp_tensor *t, int side) {
    dp_tensor m = *t;
    if (t->rank != 1) return m;
    m.rank = 2;
    m.dim[0] = side == 0 ? 1 : t->dim[0];
    m.dim[1] = side == 0 ? t->dim[0] : 1;
    return m;
}

static bool is_one_matrix(const dp_tensor *t) {
    return dp_tensor_span(t, 0, t->rank - 2) == 1;
}

static dp_status matmul_plan(const dp_op_args *a, dp_matmul *p, dp_error *err) {
    memset(p, 0, sizeof *p);
    dp_status status = dp_matmul_check(a, err);
    if (status != DP_OK) return status;
    dp_tensor matrix[2] = {as_matrix(a->in[0], 0), as_matrix(a->in[1], 1)};
    p->m = matrix[0].dim[matrix[0].rank - 2];
    p->depth = matrix[0].dim[matrix[0].rank - 1];
    p->n = matrix[1].dim[matrix[1].rank - 1];
    if (matrix[1].dim[matrix[1].rank - 2] != p->depth) {
        char left[96], right[96];
        return dp_op_fail(a, err, DP_EFORMAT, "inner dimensions differ: %s times %s",
                          dp_tensor_shape_text(a->in[0], left, sizeof left),
                          dp_tensor_shape_text(a->in[1], right, sizeof right));
    }
    if ((status = broadcast_batch(a, matrix, p, err)) != DP_OK) return status;
    p->kind = DP_ACTIVATIONS;
    p->alpha = 1;
    p->bias_in = -1;
    if (is_one_matrix(&matrix[1]) && dp_matmul_weights(a, 1)) {
        p->kind = DP_WEIGHTS_RIGHT; /* all rows of all matrices in one product */
        p->m = dp_dim_times(p->batch, p->m);
        p->batch = 1;
        p->batch_rank = 0;
    } else if (is_one_matrix(&matrix[0]) && dp_matmul_weights(a, 0)) {
        p->kind = DP_WEIGHTS_LEFT;
    }
    p->rows_total = dp_dim_times(p->batch, p->m);
    return DP_OK;
}

static dp_status matmul_shape(dp_op_args *a, dp_error *err) {
    dp_matmul p;
    dp_status status = matmul_plan(a, &p, err);
    if (status != DP_OK) return status;
    dp_tensor matrix[2] = {as_matrix(a->in[0], 0), as_matrix(a->in[1], 1)};
    if ((status = broadcast_batch(a, matrix, &p, err)) != DP_OK) return status;
    int64_t dims[DP_MAX_RANK];
    int rank = p.batch_rank;
    memcpy(dims, p.batch_dim, sizeof dims);
    if (a->in[0]->rank > 1) dims[rank++] = matrix[0].dim[matrix[0].rank - 2];
    if (a->in[1]->rank > 1) dims[rank++] = p.n;
    if ((status = dp_op_output(a, 0, DP_F32, rank, dims, err)) != DP_OK) return status;
    if ((status = matmul_plan(a, &p, err)) != DP_OK) return status;
    a->scratch_bytes = dp_matmul_scratch(a, &p);
    return DP_OK;
}

static dp_status gemm_plan(const dp_op_args *a, dp_matmul *p, dp_error *err) {
    memset(p, 0, sizeof *p);
    dp_status status = dp_matmul_check(a, err);
    if (status != DP_OK) return status;
    const dp_tensor *x = a->in[0], *y = a->in[1];
    p->transpose[0] = dp_node_int(a->node, "transA", 0) != 0;
    p->transpose[1] = dp_node_int(a->node, "transB", 0) != 0;
    if (x->rank != 2 || y->rank != 2)
        return dp_op_fail(a, err, DP_EFORMAT, "operands of rank %d and %d: 2 is asked for", x->rank,
                          y->rank);
    p->m = x->dim[p->transpose[0]];
    p->depth = x->dim[!p->transpose[0]];
    p->n = y->dim[!p->transpose[1]];
    p->batch = 1;
    p->rows_total = p->m;
    if (y->dim[p->transpose[1]] != p->depth)
        return dp_op_fail(a, err, DP_EFORMAT, "inner dimensions %lld and %lld differ",
                          (long long)p->depth, (long long)y->dim[p->transpose[1]]);
    p->alpha = dp_node_float(a->node, "alpha", 1.0F);
    p->bias_in = dp_op_has(a, 2) ? 2 : -1;
    p->kind = dp_matmul_weights(a, 1)   ? DP_WEIGHTS_RIGHT
              : dp_matmul_weights(a, 0) ? DP_WEIGHTS_LEFT
                                        : DP_ACTIVATIONS;
    return DP_OK;
}

static dp_status gemm_shape(dp_op_args *a, dp_error *err) {
    dp_matmul p;
    dp_status status = gemm_plan(a, &p, err);
    if (status != DP_OK) return status;
    status = dp_op_output(a, 0, DP_F32, 2, (int64_t[]){p.m, p.n}, err);
    if (status != DP_OK) return status;
    a->scratch_bytes = dp_matmul_scratch(a, &p);
    if (!dp_op_has(a, 2)) return DP_OK;
    dp_tensor sum = {0};
    if ((status = dp_op_broadcast(a, a->out[0], a->in[2], &sum, err)) != DP_OK) return status;
    if (a->in[2]->dtype != DP_F32 || !dp_tensor_same_shape(&sum, a->out[0]))
        return dp_op_fail(a, err, DP_EFORMAT, "C does not broadcast to the product");
    return DP_OK;
}

/* y = alpha y + beta C, C broadcast; digital, so after the noise. */
static dp_status gemm_forward(const dp_op_args *a, dp_error *err) {
    dp_status status = dp_matmul_forward(a, err);
    if (status != DP_OK) return status;
    float *y = a->out[0]->data, alpha = dp_node_float(a->node, "alpha", 1.0F);
    int64_t m = a->out[0]->dim[0], n = a->out[0]->dim[1];
    for (int64_t i = 0; alpha != 1.0F && i < m * n; i++) y[i] *= alpha;
    if (!dp_op_has(a, 2)) return DP_OK;
    const dp_tensor *c = a->in[2];
    float beta = dp_node_float(a->node, "beta", 1.0F);
    int64_t column = c->rank >= 1 && c->dim[c->rank - 1] != 1 ? 1 : 0;
    int64_t row = c->rank == 2 && c->dim[0] != 1 ? c->dim[1] : 0;
    const float *add = c->data;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) y[i * n + j] += beta * add[i * row + j * column];
    return DP_OK;
}

/* The gradient of C sums over what was broadcast. */
static dp_status gemm_adjoint(const dp_op_args *a, dp_error *err) {
    const float *gy = a->grad_out[0]->data;
    int64_t m = a->out[0]->dim[0], n = a->out[0]->dim[1];
    if (dp_op_has(a, 2) && a->grad_in[2]) {
        const dp_tensor *c = a->in[2];
        float beta = dp_node_float(a->node, "beta", 1.0F), *gc = a->grad_in[2]->data;
        int64_t column = c->rank >= 1 && c->dim[c->rank - 1] != 1 ? 1 : 0;
        int64_t row = c->rank == 2 && c->dim[0] != 1 ? c->dim[1] : 0;
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < n; j++) gc[i * row + j * column] += beta * gy[i * n + j];
    }
    return dp_matmul_adjoint(a, err);
}

static const dp_matmul_row matmul = {matmul_plan}, gemm = {gemm_plan};

const dp_op dp_ops_matmul[] = {
    {.type = "MatMul",
     .domain = "",
     .since = 1,
     .flags = DP_OP_SHOWS_OUT,
     .shape = matmul_shape,
     .forward = dp_matmul_forward,
     .adjoint = dp_matmul_adjoint,
     .n_sites = 1,
     .site = dp_matmul_site,
     .detail = &matmul},
    {.type = "Gemm",
     .domain = "",
     .since = 7,
     .shape = gemm_shape,
     .forward = gemm_forward,
     .adjoint = gemm_adjoint,
     .n_sites = 1,
     .site = dp_matmul_site,
     .detail = &gemm},
    {0},
};
