/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conv backwards: sample by sample, group by group, what the weights' gradients are (where their norms are wanted), then
 * what flows on to the input.
 */
#include <string.h>

#include "kernels/gemm.h"
#include "model/ops/conv.h"
#include "model/ops/walk.h"

/* Columns of one block: about what the second-level cache holds beside the outputs. */
enum { BLOCK_BYTES = 1 << 20 };

static int64_t block_rows(const dp_conv *g) {
    int64_t all = dp_conv_rows(g);
    if (dp_conv_pointwise(g)) return all ? all : 1;
    int64_t row_bytes = dp_conv_depth(g) * dp_conv_width(g) * (int64_t)sizeof(float);
    int64_t rows = row_bytes > 0 ? BLOCK_BYTES / row_bytes : all;
    if (rows < 1) rows = 1;
    return rows < all ? rows : all;
}

/* Scratch: columns of a block, the weights' gradient of a group, patch norms' workspace, the gradient's row norms. */
typedef struct workspace {
    float *columns, *weights, *norms;
    double *norm2;
    size_t bytes;
} workspace;

static size_t even(size_t floats) {
    return (floats + 1) & ~(size_t)1;
}

static workspace divide_scratch(const dp_op_args *a, const dp_conv *g) {
    bool depthwise = dp_conv_depthwise(g);
    bool gradients =
        (a->port && a->port->weight_grads) || !(a->constant & 2U) || (a->grad_in && a->grad_in[1]);
    size_t channels = (size_t)(depthwise ? g->out_channels : g->out_channels / g->groups);
    size_t columns = 0, weights = 0, norms = even((size_t)dp_conv_plane(g));
    if (!dp_conv_pointwise(g) && !depthwise)
        columns = even((size_t)(dp_conv_depth(g) * block_rows(g) * dp_conv_width(g)));
    if (gradients) weights = even(channels * (size_t)dp_conv_depth(g));
    workspace ws = {.bytes =
                        (columns + weights + norms) * sizeof(float) + channels * sizeof(double)};
    if (!a->scratch) return ws;
    ws.columns = a->scratch;
    ws.weights = ws.columns + columns;
    ws.norms = ws.weights + weights;
    ws.norm2 = (double *)(void *)(ws.norms + norms);
    return ws;
}

size_t dp_conv_adjoint_scratch(const dp_op_args *a, const dp_conv *g) {
    return divide_scratch(a, g).bytes;
}

/* ws.weights [channels, D] += gradient of one group's weights for one image. */
static void weight_gradient(const dp_op_args *a, const dp_conv *g, dp_conv_place at, workspace ws) {
    int64_t positions = dp_conv_positions(g), depth = dp_conv_depth(g);
    int64_t channels = g->out_channels / g->groups, step = block_rows(g);
    const float *x = (const float *)a->in[0]->data + (at.image * g->groups + at.group) *
                                                         (g->channels / g->groups) *
                                                         dp_conv_plane(g);
    const float *gy = (const float *)a->grad_out[0]->data +
                      (at.image * g->out_channels + at.group * channels) * positions;
    bool direct = dp_conv_pointwise(g);
    int64_t all = dp_conv_rows(g);
    for (int64_t row = 0; row < all; row += step) {
        int64_t rows = all - row < step ? all - row : step, width = rows * dp_conv_width(g);
        if (!direct) dp_conv_columns(g, x, dp_conv_part_rows(g, row, rows), ws.columns);
        dp_gemm_run(&(dp_gemm){.rough = a->rough,
                               .m = channels,
                               .n = depth,
                               .k = width,
                               .transpose_b = true,
                               .a = gy + row * dp_conv_width(g),
                               .lda = positions,
                               .b = direct ? x : ws.columns,
                               .ldb = direct ? positions : width,
                               .beta = 1.0F,
                               .c = ws.weights,
                               .ldc = depth});
    }
}

static double row_norm2(const float *row, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)row[i] * (double)row[i];
    return sum;
}

/* With the norms of the weights' gradient once it is whole, at the sample's last image. */
static void show_gradient(const dp_op_args *a, const dp_conv *g, dp_conv_place at, bool whole,
                          const workspace *ws) {
    if (!a->port) return;
    int64_t channels = g->out_channels / g->groups, depth = dp_conv_depth(g);
    const float *weights = ws->weights + (dp_conv_depthwise(g) ? at.group * depth : 0);
    whole = whole && a->port->weight_grads;
    for (int64_t c = 0; whole && c < channels; c++)
        ws->norm2[c] = row_norm2(weights + c * depth, depth);
    at.rows = dp_conv_rows(g);
    float *gy = (float *)a->grad_out[0]->data + at.image * g->out_channels * dp_conv_positions(g);
    dp_conv_show(a, g, at, gy, whole ? ws->norm2 : NULL);
}

static void add_weights(const dp_op_args *a, const dp_conv *g, int64_t group, const float *from) {
    if (!a->grad_in[1]) return;
    int64_t size = g->out_channels / g->groups * dp_conv_depth(g);
    float *into = (float *)a->grad_in[1]->data + group * size;
    for (int64_t i = 0; i < size; i++) into[i] += from[i];
}

static void add_inputs(const dp_op_args *a, const dp_conv *g, dp_conv_place at, workspace ws) {
    if (!a->grad_in[0]) return;
    int64_t positions = dp_conv_positions(g), depth = dp_conv_depth(g);
    int64_t channels = g->out_channels / g->groups, step = block_rows(g);
    float *gx = (float *)a->grad_in[0]->data +
                (at.image * g->groups + at.group) * (g->channels / g->groups) * dp_conv_plane(g);
    const float *gy = (const float *)a->grad_out[0]->data +
                      (at.image * g->out_channels + at.group * channels) * positions;
    bool direct = dp_conv_pointwise(g);
    int64_t all = dp_conv_rows(g);
    for (int64_t row = 0; row < all; row += step) {
        int64_t rows = all - row < step ? all - row : step, width = rows * dp_conv_width(g);
        dp_gemm_run(&(dp_gemm){.rough = a->rough,
                               .m = depth,
                               .n = width,
                               .k = channels,
                               .transpose_a = true,
                               .a = (const float *)a->in[1]->data + at.group * channels * depth,
                               .lda = depth,
                               .kept = a->kept ? &a->kept[at.group] : NULL,
                               .b = gy + row * dp_conv_width(g),
                               .ldb = positions,
                               .beta = direct ? 1.0F : 0.0F,
                               .c = direct ? gx : ws.columns,
                               .ldc = direct ? positions : width});
        if (!direct) dp_conv_uncolumns(g, ws.columns, row, rows, gx);
    }
}

/* Norms of patches are sums over inputs too. */
static void add_norms(const dp_op_args *a, const dp_conv *g, int64_t image, const workspace *ws) {
    if (!a->grad_in[0] || !a->port || !a->port->x2_grad[0]) return;
    int64_t in = image * g->channels * dp_conv_plane(g);
    dp_conv_norms_adjoint(g, (const float *)a->in[0]->data + in,
                          a->port->x2_grad[0] + image * g->groups * dp_conv_positions(g),
                          &(dp_conv_norms_target){(float *)a->grad_in[0]->data + in, ws->norms});
}

static void add_bias_gradient(const dp_op_args *a, const dp_conv *g) {
    if (!dp_op_has(a, 2) || !a->grad_in[2]) return;
    int64_t positions = dp_conv_positions(g);
    const float *gy = a->grad_out[0]->data;
    float *gb = a->grad_in[2]->data;
    for (int64_t row = 0; row < a->in[0]->dim[0] * g->out_channels; row++) {
        double sum = 0;
        for (int64_t p = 0; p < positions; p++) sum += (double)gy[row * positions + p];
        gb[row % g->out_channels] += (float)sum;
    }
}

static bool wants_weights(const dp_op_args *a) {
    return (a->port && a->port->weight_grads) || a->grad_in[1];
}

static void clear_weights(const dp_op_args *a, const workspace *ws, int64_t count) {
    if (wants_weights(a)) memset(ws->weights, 0, (size_t)count * sizeof *ws->weights);
}

static void adjoint_depthwise(const dp_op_args *a, const dp_conv *g, const int64_t images[2],
                              const workspace *ws) {
    int64_t depth = dp_conv_depth(g);
    clear_weights(a, ws, g->groups * depth);
    for (int64_t n = images[0]; n < images[1]; n++) {
        int64_t in = n * g->channels * dp_conv_plane(g);
        const float *gy =
            (const float *)a->grad_out[0]->data + n * g->channels * dp_conv_positions(g);
        if (a->grad_in[0])
            dp_conv_depthwise_adjoint(g, gy, a->in[1]->data, (float *)a->grad_in[0]->data + in);
        if (wants_weights(a))
            dp_conv_depthwise_weights(g, (const float *)a->in[0]->data + in, gy, ws->weights);
        for (int64_t c = 0; c < g->groups; c++)
            show_gradient(a, g, (dp_conv_place){n, c, 0, 0}, n == images[1] - 1, ws);
    }
    for (int64_t c = 0; c < g->groups; c++) add_weights(a, g, c, ws->weights + c * depth);
}

static void adjoint_group(const dp_op_args *a, const dp_conv *g, const int64_t images[2],
                          int64_t group, const workspace *ws) {
    clear_weights(a, ws, g->out_channels / g->groups * dp_conv_depth(g));
    for (int64_t n = images[0]; n < images[1]; n++) {
        dp_conv_place at = {n, group, 0, 0};
        if (wants_weights(a)) weight_gradient(a, g, at, *ws);
        show_gradient(a, g, at, n == images[1] - 1, ws);
        add_inputs(a, g, at, *ws);
    }
    add_weights(a, g, group, ws->weights);
}

/* The images of one sample see the same weights, off by the same noise: their gradients are one. */
dp_status dp_conv_adjoint(const dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_conv_read(a, &g, err);
    if (status != DP_OK) return status;
    workspace ws = divide_scratch(a, &g);
    int64_t count = a->in[0]->dim[0], share = a->port ? count / a->port->samples : 1;
    for (int64_t n = 0; n < count; n += share) {
        int64_t images[2] = {n, n + share};
        if (dp_conv_depthwise(&g))
            adjoint_depthwise(a, &g, images, &ws);
        else
            for (int64_t group = 0; group < g.groups; group++)
                adjoint_group(a, &g, images, group, &ws);
        for (int64_t image = n; image < n + share; image++) add_norms(a, &g, image, &ws);
    }
    add_bias_gradient(a, &g);
    return DP_OK;
}
