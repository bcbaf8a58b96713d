/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conv over one to three axes, with groups, dilation, asymmetric pads and auto_pad. One sample after the other: patches
 * become columns, a block of output rows at a time so that a block stays in the cache, and every block is shown to the
 * port while it is there. Depthwise convolutions go without columns, pointwise ones use the input itself.
 */
#include <math.h>
#include <string.h>

#include "kernels/gemm.h"
#include "model/ops/conv.h"
#include "model/ops/spatial.h"
#include "model/ops/tables.h"
#include "model/ops/walk.h"

/* Columns of one block: about what the second-level cache holds beside the outputs. */
enum { BLOCK_BYTES = 1 << 20 };

/* Output size along one axis; auto_pad chooses the pads, SAME_LOWER puts the odd one first. */
static dp_status place_axis(const dp_op_args *a, dp_conv *g, int axis, int64_t pad_end,
                            dp_error *err) {
    const char *mode = dp_node_string(a->node, "auto_pad", "NOTSET");
    int64_t reach = (g->kernel[axis] - 1) * g->dilation[axis] + 1;
    if (strncmp(mode, "SAME_", 5) == 0) {
        g->out[axis] = (g->in[axis] + g->stride[axis] - 1) / g->stride[axis];
        int64_t total = (g->out[axis] - 1) * g->stride[axis] + reach - g->in[axis];
        if (total < 0) total = 0;
        g->pad[axis] = strcmp(mode, "SAME_LOWER") == 0 ? total - total / 2 : total / 2;
        return DP_OK;
    }
    if (strcmp(mode, "VALID") == 0) pad_end = g->pad[axis] = 0;
    int64_t room = g->in[axis] + g->pad[axis] + pad_end - reach;
    if (room < 0)
        return dp_op_fail(a, err, DP_EFORMAT,
                          "kernel reaches over %lld positions, the padded input has %lld",
                          (long long)reach, (long long)(room + reach));
    g->out[axis] = room / g->stride[axis] + 1;
    return DP_OK;
}

static dp_status check_channels(const dp_op_args *a, const dp_conv *g, dp_error *err) {
    const dp_tensor *w = a->in[1];
    if (g->groups < 1 || g->channels % g->groups || g->out_channels % g->groups ||
        g->channels / g->groups != w->dim[1])
        return dp_op_fail(a, err, DP_EFORMAT,
                          "%lld input channels, weights for %lld x %lld groups, %lld outputs",
                          (long long)g->channels, (long long)w->dim[1], (long long)g->groups,
                          (long long)g->out_channels);
    int64_t kernel[3];
    dp_spatial_sizes(w, kernel);
    if (memcmp(kernel, g->kernel, sizeof kernel) != 0)
        return dp_op_fail(a, err, DP_EFORMAT, "kernel_shape differs from the weights");
    if (dp_op_has(a, 2) && (a->in[2]->dtype != DP_F32 || dp_tensor_count(a->in[2]) != w->dim[0]))
        return dp_op_fail(a, err, DP_EFORMAT, "bias must be %lld float32", (long long)w->dim[0]);
    return DP_OK;
}

dp_status dp_conv_read(const dp_op_args *a, dp_conv *g, dp_error *err) {
    dp_status status = dp_spatial_operands(a, err);
    if (status != DP_OK) return status;
    const dp_tensor *x = a->in[0], *w = a->in[1];
    int64_t pad_end[3] = {0, 0, 0};
    *g = (dp_conv){.channels = x->dim[1],
                   .out_channels = w->dim[0],
                   .groups = dp_node_int(a->node, "group", 1),
                   .stride = {1, 1, 1},
                   .dilation = {1, 1, 1}};
    dp_spatial_sizes(x, g->in);
    dp_spatial_sizes(w, g->kernel);
    if ((status = dp_spatial_axes(a, "kernel_shape", 1, &g->kernel[2], err)) != DP_OK)
        return status;
    if ((status = dp_spatial_axes(a, "strides", 1, &g->stride[2], err)) != DP_OK) return status;
    if ((status = dp_spatial_axes(a, "dilations", 1, &g->dilation[2], err)) != DP_OK) return status;
    if ((status = dp_spatial_pads(a, &g->pad[2], &pad_end[2], err)) != DP_OK) return status;
    if ((status = check_channels(a, g, err)) != DP_OK) return status;
    for (int axis = 0; axis < 3; axis++)
        if ((status = place_axis(a, g, axis, pad_end[axis], err)) != DP_OK) return status;
    return DP_OK;
}

static int64_t block_rows(const dp_conv *g) {
    int64_t all = dp_conv_rows(g);
    if (dp_conv_pointwise(g)) return all ? all : 1;
    int64_t row_bytes = dp_conv_depth(g) * dp_conv_width(g) * (int64_t)sizeof(float);
    int64_t rows = row_bytes > 0 ? BLOCK_BYTES / row_bytes : all;
    if (rows < 1) rows = 1;
    return rows < all ? rows : all;
}

/* Scratch: columns of a block, the weights' gradient of a group, the patch norms' workspace, the gradient's row norms. */
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
    size_t columns = 0, weights = 0, norms = even(dp_conv_norms_scratch(g));
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

static dp_status conv_shape(dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_conv_read(a, &g, err);
    if (status != DP_OK) return status;
    if ((status = dp_spatial_output(a, g.out_channels, g.out, err)) != DP_OK) return status;
    a->scratch_bytes = divide_scratch(a, &g).bytes;
    return DP_OK;
}

static void add_bias(const float *bias, float *y, int64_t channels, int64_t positions,
                     int64_t stride) {
    for (int64_t c = 0; bias && c < channels; c++)
        for (int64_t p = 0; p < positions; p++) y[c * stride + p] += bias[c];
}

/* What one call of the port is told: rows of positions of the channels of one group. */
typedef struct place {
    int64_t sample, group, first_row, rows;
} place;

static void show_block(const dp_op_args *a, const dp_conv *g, place at, float *sample_y,
                       const double *weight_grad2) {
    if (!a->port || !a->port->product) return;
    int64_t positions = dp_conv_positions(g), channels = g->out_channels / g->groups;
    int64_t per_sample =
        a->in[0]->dim[0] / a->port->samples; /* [N*T,C,H,W] has T images a sample */
    int64_t first = at.group * channels * positions + at.first_row * dp_conv_width(g);
    dp_product block = {
        .sample = at.sample / per_sample,
        .element = first + at.sample % per_sample * g->out_channels * positions,
        .y = sample_y + first,
        .first_channel = at.group * channels,
        .channels = channels,
        .positions = at.rows * dp_conv_width(g),
        .channel_stride = positions,
        .position_stride = 1,
        .weight_grad2 = weight_grad2,
    };
    if (a->port->norms)
        block.x2 = a->port->x2[0] + (at.sample * g->groups + at.group) * positions +
                   at.first_row * dp_conv_width(g);
    a->port->product(a->port->self, &block);
}

static void forward_group(const dp_op_args *a, const dp_conv *g, place at, workspace ws) {
    int64_t positions = dp_conv_positions(g), depth = dp_conv_depth(g);
    int64_t channels = g->out_channels / g->groups;
    const float *x = (const float *)a->in[0]->data + (at.sample * g->groups + at.group) *
                                                         (g->channels / g->groups) *
                                                         dp_conv_plane(g);
    const float *w = (const float *)a->in[1]->data + at.group * channels * depth;
    const float *bias =
        dp_op_has(a, 2) ? (const float *)a->in[2]->data + at.group * channels : NULL;
    float *sample_y = (float *)a->out[0]->data + at.sample * g->out_channels * positions;
    bool direct = dp_conv_pointwise(g);
    int64_t step = block_rows(g);
    int64_t all = dp_conv_rows(g);
    for (at.first_row = 0; at.first_row < all; at.first_row += step) {
        at.rows = all - at.first_row < step ? all - at.first_row : step;
        int64_t width = at.rows * dp_conv_width(g);
        if (!direct) dp_conv_columns(g, x, at.first_row, at.rows, ws.columns);
        float *y = sample_y + at.group * channels * positions + at.first_row * dp_conv_width(g);
        dp_gemm_run(&(dp_gemm){.m = channels,
                               .n = width,
                               .k = depth,
                               .a = w,
                               .lda = depth,
                               .b = direct ? x : ws.columns,
                               .ldb = direct ? positions : width,
                               .c = y,
                               .ldc = positions});
        add_bias(bias, y, channels, width, positions);
        show_block(a, g, at, sample_y, NULL);
    }
}

static void forward_depthwise(const dp_op_args *a, const dp_conv *g, int64_t sample) {
    int64_t positions = dp_conv_positions(g);
    float *y = (float *)a->out[0]->data + sample * g->out_channels * positions;
    dp_conv_depthwise_forward(
        g, (const float *)a->in[0]->data + sample * g->channels * dp_conv_plane(g), a->in[1]->data,
        y);
    if (dp_op_has(a, 2)) add_bias(a->in[2]->data, y, g->channels, positions, positions);
    for (int64_t c = 0; c < g->groups; c++)
        show_block(a, g, (place){sample, c, 0, dp_conv_rows(g)}, y, NULL);
}

static dp_status conv_forward(const dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_conv_read(a, &g, err);
    if (status != DP_OK) return status;
    workspace ws = divide_scratch(a, &g);
    for (int64_t n = 0; n < a->in[0]->dim[0]; n++) {
        const float *x = (const float *)a->in[0]->data + n * g.channels * dp_conv_plane(&g);
        if (a->port && a->port->norms)
            dp_conv_norms(&g, x, a->port->mu[0],
                          a->port->x2[0] + n * g.groups * dp_conv_positions(&g), ws.norms);
        if (dp_conv_depthwise(&g)) {
            forward_depthwise(a, &g, n);
            continue;
        }
        for (int64_t group = 0; group < g.groups; group++)
            forward_group(a, &g, (place){n, group, 0, 0}, ws);
    }
    return DP_OK;
}

/* ws.weights [channels, D] += gradient of one group's weights for one image. */
static void weight_gradient(const dp_op_args *a, const dp_conv *g, place at, workspace ws) {
    int64_t positions = dp_conv_positions(g), depth = dp_conv_depth(g);
    int64_t channels = g->out_channels / g->groups, step = block_rows(g);
    const float *x = (const float *)a->in[0]->data + (at.sample * g->groups + at.group) *
                                                         (g->channels / g->groups) *
                                                         dp_conv_plane(g);
    const float *gy = (const float *)a->grad_out[0]->data +
                      (at.sample * g->out_channels + at.group * channels) * positions;
    bool direct = dp_conv_pointwise(g);
    int64_t all = dp_conv_rows(g);
    for (int64_t row = 0; row < all; row += step) {
        int64_t rows = all - row < step ? all - row : step, width = rows * dp_conv_width(g);
        if (!direct) dp_conv_columns(g, x, row, rows, ws.columns);
        dp_gemm_run(&(dp_gemm){.m = channels,
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
static void show_gradient(const dp_op_args *a, const dp_conv *g, place at, bool whole,
                          const workspace *ws) {
    if (!a->port) return;
    int64_t channels = g->out_channels / g->groups, depth = dp_conv_depth(g);
    const float *weights = ws->weights + (dp_conv_depthwise(g) ? at.group * depth : 0);
    whole = whole && a->port->weight_grads;
    for (int64_t c = 0; whole && c < channels; c++)
        ws->norm2[c] = row_norm2(weights + c * depth, depth);
    at.rows = dp_conv_rows(g);
    float *gy = (float *)a->grad_out[0]->data + at.sample * g->out_channels * dp_conv_positions(g);
    show_block(a, g, at, gy, whole ? ws->norm2 : NULL);
}

static void add_weights(const dp_op_args *a, const dp_conv *g, int64_t group, const float *from) {
    if (!a->grad_in[1]) return;
    int64_t size = g->out_channels / g->groups * dp_conv_depth(g);
    float *into = (float *)a->grad_in[1]->data + group * size;
    for (int64_t i = 0; i < size; i++) into[i] += from[i];
}

static void add_inputs(const dp_op_args *a, const dp_conv *g, place at, workspace ws) {
    if (!a->grad_in[0]) return;
    int64_t positions = dp_conv_positions(g), depth = dp_conv_depth(g);
    int64_t channels = g->out_channels / g->groups, step = block_rows(g);
    float *gx = (float *)a->grad_in[0]->data +
                (at.sample * g->groups + at.group) * (g->channels / g->groups) * dp_conv_plane(g);
    const float *gy = (const float *)a->grad_out[0]->data +
                      (at.sample * g->out_channels + at.group * channels) * positions;
    bool direct = dp_conv_pointwise(g);
    int64_t all = dp_conv_rows(g);
    for (int64_t row = 0; row < all; row += step) {
        int64_t rows = all - row < step ? all - row : step, width = rows * dp_conv_width(g);
        dp_gemm_run(&(dp_gemm){.m = depth,
                               .n = width,
                               .k = channels,
                               .transpose_a = true,
                               .a = (const float *)a->in[1]->data + at.group * channels * depth,
                               .lda = depth,
                               .b = gy + row * dp_conv_width(g),
                               .ldb = positions,
                               .beta = direct ? 1.0F : 0.0F,
                               .c = direct ? gx : ws.columns,
                               .ldc = direct ? positions : width});
        if (!direct) dp_conv_uncolumns(g, ws.columns, row, rows, gx);
    }
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
            show_gradient(a, g, (place){n, c, 0, 0}, n == images[1] - 1, ws);
    }
    for (int64_t c = 0; c < g->groups; c++) add_weights(a, g, c, ws->weights + c * depth);
}

static void adjoint_group(const dp_op_args *a, const dp_conv *g, const int64_t images[2],
                          int64_t group, const workspace *ws) {
    clear_weights(a, ws, g->out_channels / g->groups * dp_conv_depth(g));
    for (int64_t n = images[0]; n < images[1]; n++) {
        place at = {n, group, 0, 0};
        if (wants_weights(a)) weight_gradient(a, g, at, *ws);
        show_gradient(a, g, at, n == images[1] - 1, ws);
        add_inputs(a, g, at, *ws);
    }
    add_weights(a, g, group, ws->weights);
}

/* The images of one sample see the same weights, off by the same noise: their gradients are one. */
static dp_status conv_adjoint(const dp_op_args *a, dp_error *err) {
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
    }
    add_bias_gradient(a, &g);
    return DP_OK;
}

/* Source  [Garg]: D is the length of one dot product; padding counts towards it. */
static dp_status conv_site(const dp_op_args *a, int slot, dp_site *site, dp_error *err) {
    dp_conv g;
    dp_status status = dp_conv_read(a, &g, err);
    if (status != DP_OK) return status;
    int64_t images = a->in[0]->dim[0], positions = dp_conv_positions(&g);
    if (a->port && images % a->port->samples)
        return dp_op_fail(a, err, DP_EUNSUPPORTED, "%lld images for %lld samples",
                          (long long)images, (long long)a->port->samples);
    *site = (dp_site){.slot = slot,
                      .channels = g.out_channels,
                      .groups = g.groups,
                      .depth = dp_conv_depth(&g),
                      .macs = images * g.out_channels * positions * dp_conv_depth(&g),
                      .norms = images * g.groups * positions,
                      .weight_in = 1,
                      .input_in = 0,
                      .bias_in = dp_op_has(a, 2) ? 2 : -1,
                      .inputs = g.channels};
    return DP_OK;
}

const dp_op dp_ops_conv[] = {
    {.type = "Conv",
     .domain = "",
     .since = 1,
     .shape = conv_shape,
     .forward = conv_forward,
     .adjoint = conv_adjoint,
     .n_sites = 1,
     .site = conv_site},
    {0},
};
