/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "kernels/gemm.h"
#include "model/ops/matmul.h"

bool dp_matmul_weights(const dp_op_args *a, int k) {
    return (a->constant & 3U) == 1U << k;
}

dp_status dp_matmul_check(const dp_op_args *a, dp_error *err) {
    for (int k = 0; k < 2; k++) {
        if (a->in[k]->dtype != DP_F32)
            return dp_op_fail(a, err, DP_EUNSUPPORTED, "%s input: only float32 is supported",
                              dp_dtype_name(a->in[k]->dtype));
        if (a->in[k]->rank < 1) return dp_op_fail(a, err, DP_EFORMAT, "a scalar operand");
    }
    return DP_OK;
}

static dp_status plan(const dp_op_args *a, dp_matmul *p, dp_error *err) {
    const dp_matmul_row *row = a->node->op->detail;
    return row->plan(a, p, err);
}

/* Scratch of adjoint: the norms of the weights' gradient and that gradient [channels, D], then alpha times gy. */
static size_t gradient_bytes(const dp_op_args *a, const dp_matmul *p) {
    if (!a->port || !a->port->weight_grads || p->kind == DP_ACTIVATIONS) return 0;
    size_t channels = (size_t)(p->kind == DP_WEIGHTS_RIGHT ? p->n : p->m);
    return channels * (sizeof(double) + (size_t)p->depth * sizeof(float));
}

size_t dp_matmul_scratch(const dp_op_args *a, const dp_matmul *p) {
    size_t scaled = p->alpha == 1.0F ? 0 : (size_t)(p->m * p->n) * sizeof(float);
    return gradient_bytes(a, p) + scaled;
}

/* Where operand k's matrix for output matrix `index` starts. */
static int64_t matrix_offset(const dp_matmul *p, int k, int64_t index) {
    int64_t at = 0;
    for (int i = p->batch_rank - 1; i >= 0; i--) {
        at += index % p->batch_dim[i] * p->stride[k][i];
        index /= p->batch_dim[i];
    }
    return at * p->depth * (k == 0 ? p->m : p->n);
}

static float *operand(const dp_op_args *a, const dp_matmul *p, int k, int64_t index) {
    return (float *)a->in[k]->data + matrix_offset(p, k, index);
}

/* norms[i] = squared norm of row i (or column i) of a stored matrix */
static void row_norms(const float *x, int64_t rows, int64_t depth, float *norms) {
    for (int64_t r = 0; r < rows; r++, x += depth) {
        float sum = 0;
        for (int64_t d = 0; d < depth; d++) sum += x[d] * x[d];
        norms[r] = sum;
    }
}

static void column_norms(const float *x, int64_t columns, int64_t depth, float *norms) {
    memset(norms, 0, (size_t)columns * sizeof *norms);
    for (int64_t d = 0; d < depth; d++, x += columns)
        for (int64_t c = 0; c < columns; c++) norms[c] += x[c] * x[c];
}

static void left_norms(const dp_op_args *a, const dp_matmul *p, int64_t index, float *norms) {
    if (p->transpose[0])
        column_norms(operand(a, p, 0, index), p->m, p->depth, norms);
    else
        row_norms(operand(a, p, 0, index), p->m, p->depth, norms);
}

static void right_norms(const dp_op_args *a, const dp_matmul *p, int64_t index, float *norms) {
    if (p->transpose[1])
        row_norms(operand(a, p, 1, index), p->n, p->depth, norms);
    else
        column_norms(operand(a, p, 1, index), p->n, p->depth, norms);
}

static void take_norms(const dp_op_args *a, const dp_matmul *p) {
    if (!a->port || !a->port->norms) return;
    float *x2 = a->port->x2[0];
    for (int64_t i = 0; i < p->batch; i++) {
        if (p->kind != DP_WEIGHTS_LEFT) left_norms(a, p, i, x2 + i * p->m);
        if (p->kind == DP_WEIGHTS_LEFT) right_norms(a, p, i, x2 + i * p->n);
        if (p->kind == DP_ACTIVATIONS) right_norms(a, p, i, x2 + p->rows_total + i * p->n);
    }
}

/* The rows [first, first + rows) of output matrix `index`, all of one sample, as the port sees them. */
static dp_product describe(const dp_op_args *a, const dp_matmul *p, const int64_t at[4]) {
    int64_t sample = at[0], index = at[1], first = at[2], rows = at[3];
    const float *x2 = a->port->norms ? a->port->x2[0] : NULL;
    float *grad = a->port->x2_grad[0];
    dp_product block = {.sample = sample, .position_stride = p->n, .channel_stride = 1};
    block.positions = rows;
    block.channels = p->n;
    if (p->kind == DP_WEIGHTS_LEFT) {
        block.position_stride = 1;
        block.channel_stride = p->n;
        block.positions = p->n;
        block.channels = p->m;
        block.x2 = x2 ? x2 + index * p->n : NULL;
        block.x2_grad = grad ? grad + index * p->n : NULL;
        return block;
    }
    block.x2 = x2 ? x2 + index * p->m + first : NULL;
    block.x2_grad = grad ? grad + index * p->m + first : NULL;
    if (p->kind != DP_ACTIVATIONS) return block;
    block.w2 = x2 ? x2 + p->rows_total + index * p->n : NULL;
    block.w2_grad = grad ? grad + p->rows_total + index * p->n : NULL;
    return block;
}

/* Squared norms of a sample's weight gradient, one a channel, once the last of its `share` rows has been added. */
static const double *gradient_norms(const dp_op_args *a, const dp_matmul *p, const int64_t at[4],
                                    int64_t share, const float *gy) {
    if (!a->port->weight_grads || p->kind == DP_ACTIVATIONS) return NULL;
    int64_t index = at[1], first = at[2], rows = at[3], depth = p->depth;
    bool right = p->kind == DP_WEIGHTS_RIGHT;
    int64_t channels = right ? p->n : p->m;
    double *norm2 = a->scratch;
    float *w = (float *)(norm2 + channels);
    const float *x = operand(a, p, right ? 0 : 1, index);
    dp_gemm g = {
        .rough = a->rough, .m = channels, .n = depth, .c = w, .ldc = depth, .a = gy, .lda = p->n};
    if (right) { /* [N, rows] [rows, D] */
        g.k = rows;
        g.transpose_a = true;
        g.transpose_b = p->transpose[0];
        g.b = x + (p->transpose[0] ? first : first * depth);
        g.ldb = p->transpose[0] ? p->m : depth;
    } else { /* [M, N] [N, D] */
        g.k = p->n;
        g.transpose_b = !p->transpose[1];
        g.b = x;
        g.ldb = p->transpose[1] ? depth : p->n;
    }
    int64_t before = (index * p->m + first) % share;
    g.beta = before > 0 ? 1.0F : 0.0F;
    dp_gemm_run(&g);
    if (before + rows < share) return NULL;
    for (int64_t c = 0; c < channels; c++) {
        norm2[c] = 0;
        for (int64_t d = 0; d < depth; d++)
            norm2[c] += (double)w[c * depth + d] * (double)w[c * depth + d];
    }
    return norm2;
}

/* Deal the output's rows to samples and show each share to the port; a share is part of one matrix or whole matrices. */
static void show(const dp_op_args *a, const dp_matmul *p, float *y, bool gradient) {
    if (!a->port || !a->port->product) return;
    int64_t share = p->rows_total / a->port->samples;
    for (int64_t sample = 0; sample < a->port->samples; sample++)
        for (int64_t row = 0; row < share;) {
            int64_t global = sample * share + row;
            int64_t index = global / p->m, first = global % p->m;
            int64_t rows = p->m - first < share - row ? p->m - first : share - row;
            int64_t at[4] = {sample, index, first, rows};
            dp_product block = describe(a, p, at);
            block.y = y + global * p->n;
            block.element = row * p->n;
            if (gradient) block.weight_grad2 = gradient_norms(a, p, at, share, block.y);
            a->port->product(a->port->self, &block);
            row += rows;
        }
}

static void multiply(const dp_op_args *a, const dp_matmul *p) {
    float *y = a->out[0]->data;
    for (int64_t i = 0; i < p->batch; i++)
        dp_gemm_run(&(dp_gemm){.rough = a->rough,
                               .m = p->m,
                               .n = p->n,
                               .k = p->depth,
                               .transpose_a = p->transpose[0],
                               .transpose_b = p->transpose[1],
                               .a = operand(a, p, 0, i),
                               .lda = p->transpose[0] ? p->m : p->depth,
                               .b = operand(a, p, 1, i),
                               .ldb = p->transpose[1] ? p->depth : p->n,
                               .c = y + i * p->m * p->n,
                               .ldc = p->n});
}

dp_status dp_matmul_forward(const dp_op_args *a, dp_error *err) {
    dp_matmul p;
    dp_status status = plan(a, &p, err);
    if (status != DP_OK) return status;
    take_norms(a, &p);
    multiply(a, &p);
    show(a, &p, a->out[0]->data, false);
    return DP_OK;
}

/* gA += gC op(B)^T and gB += op(A)^T gC, with the roles swapped where an operand is stored transposed. */
static void adjoint_left(const dp_op_args *a, const dp_matmul *p, int64_t i, const float *gy) {
    const float *b = operand(a, p, 1, i);
    int64_t ldb = p->transpose[1] ? p->depth : p->n;
    dp_gemm g = {.rough = a->rough, .m = p->m, .n = p->depth, .k = p->n, .beta = 1.0F};
    g.c = (float *)a->grad_in[0]->data + matrix_offset(p, 0, i);
    if (p->transpose[0]) { /* stored [D, M]: op(B) gC^T */
        g.m = p->depth;
        g.n = p->m;
        g.a = b;
        g.lda = ldb;
        g.transpose_a = p->transpose[1];
        g.b = gy;
        g.ldb = p->n;
        g.transpose_b = true;
        g.ldc = p->m;
    } else {
        g.a = gy;
        g.lda = p->n;
        g.b = b;
        g.ldb = ldb;
        g.transpose_b = !p->transpose[1];
        g.ldc = p->depth;
    }
    dp_gemm_run(&g);
}

static void adjoint_right(const dp_op_args *a, const dp_matmul *p, int64_t i, const float *gy) {
    const float *x = operand(a, p, 0, i);
    int64_t ldx = p->transpose[0] ? p->m : p->depth;
    dp_gemm g = {.rough = a->rough, .m = p->depth, .n = p->n, .k = p->m, .beta = 1.0F};
    g.c = (float *)a->grad_in[1]->data + matrix_offset(p, 1, i);
    if (p->transpose[1]) { /* stored [N, D]: gC^T op(A) */
        g.m = p->n;
        g.n = p->depth;
        g.a = gy;
        g.lda = p->n;
        g.transpose_a = true;
        g.b = x;
        g.ldb = ldx;
        g.transpose_b = p->transpose[0];
        g.ldc = p->depth;
    } else {
        g.a = x;
        g.lda = ldx;
        g.transpose_a = !p->transpose[0];
        g.b = gy;
        g.ldb = p->n;
        g.ldc = p->n;
    }
    dp_gemm_run(&g);
}

/* gx[i] += 2 x[i] g[line of i], for lines that are rows of D numbers or columns of them */
static void add_line_norms(const float *x, const int64_t shape[2], bool columns, const float *g,
                           float *gx) {
    int64_t lines = shape[0], depth = shape[1];
    int64_t line_step = columns ? 1 : depth, step = columns ? lines : 1;
    for (int64_t l = 0; l < lines; l++)
        for (int64_t d = 0; d < depth; d++) {
            int64_t at = l * line_step + d * step;
            gx[at] += 2 * x[at] * g[l];
        }
}

/* The way back of take_norms. */
static void add_norms(const dp_op_args *a, const dp_matmul *p) {
    if (!a->port || !a->port->x2_grad[0]) return;
    bool both = p->kind == DP_ACTIVATIONS;
    for (int k = 0; k < 2; k++) {
        if (!a->grad_in[k] || p->kind == (k == 0 ? DP_WEIGHTS_LEFT : DP_WEIGHTS_RIGHT)) continue;
        int64_t lines = k == 0 ? p->m : p->n;
        const float *g = a->port->x2_grad[0] + (k == 1 && both ? p->rows_total : 0);
        for (int64_t i = 0; i < p->batch; i++)
            add_line_norms(operand(a, p, k, i), (int64_t[]){lines, p->depth},
                           k == 0 ? p->transpose[0] : !p->transpose[1], g + i * lines,
                           (float *)a->grad_in[k]->data + matrix_offset(p, k, i));
    }
}

static void adjoint_operands(const dp_op_args *a, const dp_matmul *p, const float *gy) {
    for (int64_t i = 0; i < p->batch; i++, gy += p->m * p->n) {
        if (a->grad_in[0]) adjoint_left(a, p, i, gy);
        if (a->grad_in[1]) adjoint_right(a, p, i, gy);
    }
}

dp_status dp_matmul_adjoint(const dp_op_args *a, dp_error *err) {
    dp_matmul p;
    dp_status status = plan(a, &p, err);
    if (status != DP_OK) return status;
    float *gy = a->grad_out[0]->data;
    if (p.alpha != 1.0F) {
        gy = (float *)(void *)((char *)a->scratch + gradient_bytes(a, &p));
        const float *from = a->grad_out[0]->data;
        for (int64_t i = 0; i < p.rows_total * p.n; i++) gy[i] = p.alpha * from[i];
    }
    show(a, &p, gy, true);
    adjoint_operands(a, &p, gy);
    add_norms(a, &p);
    return DP_OK;
}

dp_status dp_matmul_site(const dp_op_args *a, int slot, dp_site *site, dp_error *err) {
    dp_matmul p;
    dp_status status = plan(a, &p, err);
    if (status != DP_OK) return status;
    int64_t samples = a->port ? a->port->samples : 1;
    if (p.rows_total % samples || (p.kind == DP_WEIGHTS_LEFT && p.batch % samples))
        return dp_op_fail(a, err, DP_EUNSUPPORTED,
                          "%lld rows cannot be dealt out to %lld samples: the samples must be the "
                          "leading axis",
                          (long long)p.rows_total, (long long)samples);
    *site = (dp_site){.slot = slot,
                      .channels = 1,
                      .groups = 1,
                      .depth = p.depth,
                      .macs = p.rows_total * p.n * p.depth,
                      .norms = p.rows_total,
                      .weight_in = -1,
                      .input_in = 0,
                      .bias_in = p.bias_in};
    if (p.kind == DP_ACTIVATIONS) {
        site->rows = p.rows_total;
        site->norms += p.batch * p.n;
        return DP_OK;
    }
    bool right = p.kind == DP_WEIGHTS_RIGHT;
    site->weight_in = right ? 1 : 0;
    site->input_in = right ? 0 : 1;
    site->channels = right ? p.n : p.m;
    if (!right) site->norms = p.batch * p.n;
    bool columns = right ? !p.transpose[1] : p.transpose[0];
    if (columns) site->weight_groups = site->weight_run = 1;
    return DP_OK;
}
