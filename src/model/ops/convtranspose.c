/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * ConvTranspose over one to three axes: the adjoint of the convolution that would take its output to its input, so g.in is the
 * output and g.out the input. Columns are products of the weights with a block of input rows;
 * adding them up where they belong gives the output.
 *
 * As an analog product each output is the dot product of one weight row with the inputs that reach it, zeros where none does:
 * D = C / groups * KT * KH * KW, as a convolution of the input with zeros between its elements would have it, and a MAC is counted
 * for every element of every row. The norms are those of the inputs that are there.
 */
#include "model/ops/convtranspose.h"

#include <string.h>

#include "kernels/gemm.h"
#include "model/ops/spatial.h"
#include "model/ops/tables.h"
#include "model/ops/walk.h"

/* Columns of one block: about what the second-level cache holds beside the output. */
enum { BLOCK_BYTES = 1 << 20 };

/* Channels of one group; columns are [output channels, taps] rows of a block of inputs. */
static int64_t group_inputs(const dp_conv *g) {
    return g->out_channels / g->groups;
}

static int64_t group_outputs(const dp_conv *g) {
    return g->channels / g->groups;
}

static int64_t block_rows(const dp_conv *g) {
    int64_t row_bytes = dp_conv_depth(g) * dp_conv_width(g) * (int64_t)sizeof(float);
    int64_t all = dp_conv_rows(g), rows = row_bytes > 0 ? BLOCK_BYTES / row_bytes : all;
    if (rows < 1) rows = 1;
    return rows < all ? rows : all;
}

/* Scratch: columns of a block, a group's weight gradient with its norms, energies of the input with a kernel of ones. */
typedef struct workspace {
    double *norm2; /* [channels of a group] */
    float *columns, *weights, *energy, *ones;
    size_t bytes;
} workspace;

static workspace divide_scratch(const dp_op_args *a, const dp_conv *g) {
    bool gradients = a->port && a->port->weight_grads;
    size_t columns = (size_t)(dp_conv_depth(g) * block_rows(g) * dp_conv_width(g));
    size_t weights = gradients ? (size_t)(group_inputs(g) * dp_conv_depth(g)) : 0;
    size_t energy = a->port ? (size_t)dp_conv_positions(g) : 0, ones = (size_t)dp_conv_taps(g);
    workspace ws = {.norm2 = a->scratch};
    ws.bytes = (size_t)group_outputs(g) * sizeof(double) +
               (columns + weights + energy + ones) * sizeof(float);
    if (!a->scratch) return ws;
    ws.columns = (float *)(void *)(ws.norm2 + group_outputs(g));
    ws.weights = ws.columns + columns;
    ws.energy = ws.weights + weights;
    ws.ones = ws.energy + energy;
    return ws;
}

static dp_status convtranspose_shape(dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_convtranspose_read(a, &g, err);
    if (status != DP_OK) return status;
    status = dp_spatial_output(a, g.channels, g.in, err);
    if (status != DP_OK) return status;
    if (dp_dim_times(dp_dim_times(dp_conv_depth(&g), g.out[2]), 2 * (int64_t)sizeof(float)) < 0)
        return dp_op_fail(a, err, DP_ERANGE, "the kernel is too large");
    a->scratch_bytes = divide_scratch(a, &g).bytes;
    return DP_OK;
}

/* ---- where things are ---- */

typedef struct place {
    int64_t image, group;
} place;

static int64_t input_at(const dp_conv *g, place at) {
    return (at.image * g->groups + at.group) * group_inputs(g) * dp_conv_positions(g);
}

static int64_t output_at(const dp_conv *g, place at) {
    return (at.image * g->groups + at.group) * group_outputs(g) * dp_conv_plane(g);
}

static int64_t weights_at(const dp_conv *g, int64_t group) {
    return group * group_inputs(g) * dp_conv_depth(g);
}

/* Input rows first .. first + rows - 1, whose columns are at hand. */
typedef struct block {
    int64_t first, rows, width; /* width: rows * input width */
} block;

static block block_at(const dp_conv *g, int64_t first) {
    int64_t step = block_rows(g), left = dp_conv_rows(g) - first, rows = left < step ? left : step;
    return (block){first, rows, rows * dp_conv_width(g)};
}

/* ---- the port ---- */

static void show(const dp_op_args *a, const dp_conv *g, place at, float *y, const double *norm2) {
    if (!a->port || !a->port->product) return;
    int64_t plane = dp_conv_plane(g), share = a->in[0]->dim[0] / a->port->samples;
    dp_product product = {.sample = at.image / share,
                          .y = y + output_at(g, at),
                          .first_channel = at.group * group_outputs(g),
                          .channels = group_outputs(g),
                          .positions = plane,
                          .channel_stride = plane,
                          .position_stride = 1,
                          .weight_grad2 = norm2};
    product.element = (at.image % share * g->channels + product.first_channel) * plane;
    int64_t norms = (at.image * g->groups + at.group) * plane;
    if (a->port->norms) product.x2 = a->port->x2[0] + norms;
    if (a->port->x2_grad[0]) product.x2_grad = a->port->x2_grad[0] + norms;
    a->port->product(a->port->self, &product);
}

/* Squared norms of the inputs that reach each output: their energies through a kernel of ones. */
static void take_norms(const dp_op_args *a, const dp_conv *g, place at, const workspace *ws) {
    if (!a->port || !a->port->norms) return;
    int64_t positions = dp_conv_positions(g), plane = dp_conv_plane(g);
    const float *x = (const float *)a->in[0]->data + input_at(g, at);
    float *norms = a->port->x2[0] + (at.image * g->groups + at.group) * plane;
    dp_conv one = *g;
    one.channels = one.out_channels = one.groups = 1;
    memset(ws->energy, 0, (size_t)positions * sizeof(float));
    memset(norms, 0, (size_t)plane * sizeof(float));
    for (int64_t c = 0; c < group_inputs(g); c++, x += positions)
        for (int64_t i = 0; i < positions; i++) ws->energy[i] += x[i] * x[i];
    for (int64_t i = 0; i < dp_conv_taps(g); i++) ws->ones[i] = 1;
    dp_conv_depthwise_adjoint(&one, ws->energy, ws->ones, norms);
}

/* ---- forward ---- */

/* y += what a block of inputs contributes: columns [D, width] = W' [D, C] x [C, width], added up */
static void scatter_block(const dp_op_args *a, const dp_conv *g, place at, const workspace *ws,
                          block b) {
    int64_t depth = dp_conv_depth(g);
    dp_gemm_run(&(dp_gemm){.rough = a->rough,
                           .m = depth,
                           .n = b.width,
                           .k = group_inputs(g),
                           .transpose_a = true,
                           .a = (const float *)a->in[1]->data + weights_at(g, at.group),
                           .lda = depth,
                           .b = (const float *)a->in[0]->data + input_at(g, at) +
                                b.first * dp_conv_width(g),
                           .ldb = dp_conv_positions(g),
                           .c = ws->columns,
                           .ldc = b.width});
    dp_conv_uncolumns(g, ws->columns, b.first, b.rows, (float *)a->out[0]->data + output_at(g, at));
}

static void start_output(const dp_op_args *a, const dp_conv *g, place at) {
    const float *bias = dp_op_has(a, 2) ? a->in[2]->data : NULL;
    float *y = (float *)a->out[0]->data + output_at(g, at);
    for (int64_t c = 0; c < group_outputs(g); c++)
        for (int64_t i = 0; i < dp_conv_plane(g); i++)
            *y++ = bias ? bias[at.group * group_outputs(g) + c] : 0.0F;
}

static dp_status convtranspose_forward(const dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_convtranspose_read(a, &g, err);
    if (status != DP_OK) return status;
    workspace ws = divide_scratch(a, &g);
    place at;
    for (at.image = 0; at.image < a->in[0]->dim[0]; at.image++)
        for (at.group = 0; at.group < g.groups; at.group++) {
            start_output(a, &g, at);
            for (int64_t row = 0; row < dp_conv_rows(&g); row += block_rows(&g))
                scatter_block(a, &g, at, &ws, block_at(&g, row));
            take_norms(a, &g, at, &ws);
            show(a, &g, at, a->out[0]->data, NULL);
        }
    return DP_OK;
}

/* ---- adjoint ---- */

/* to [C, D] += x [C, width] columns' [width, D] */
static void add_weights(const dp_op_args *a, const dp_conv *g, place at, const workspace *ws,
                        block b, float *to) {
    int64_t depth = dp_conv_depth(g);
    dp_gemm_run(&(dp_gemm){.rough = a->rough,
                           .m = group_inputs(g),
                           .n = depth,
                           .k = b.width,
                           .a = (const float *)a->in[0]->data + input_at(g, at) +
                                b.first * dp_conv_width(g),
                           .lda = dp_conv_positions(g),
                           .transpose_b = true,
                           .b = ws->columns,
                           .ldb = b.width,
                           .beta = 1.0F,
                           .c = to,
                           .ldc = depth});
}

/* gx [C, width] += W [C, D] columns [D, width] */
static void add_inputs(const dp_op_args *a, const dp_conv *g, place at, const workspace *ws,
                       block b) {
    dp_gemm_run(&(dp_gemm){.rough = a->rough,
                           .m = group_inputs(g),
                           .n = b.width,
                           .k = dp_conv_depth(g),
                           .a = (const float *)a->in[1]->data + weights_at(g, at.group),
                           .lda = dp_conv_depth(g),
                           .b = ws->columns,
                           .ldb = b.width,
                           .beta = 1.0F,
                           .c = dp_grad_in(a, 0) + input_at(g, at) + b.first * dp_conv_width(g),
                           .ldc = dp_conv_positions(g)});
}

static void adjoint_image(const dp_op_args *a, const dp_conv *g, place at, const workspace *ws) {
    const float *gy = dp_grad_out(a, 0) + output_at(g, at);
    float *gw = dp_grad_in(a, 1);
    for (int64_t row = 0; row < dp_conv_rows(g); row += block_rows(g)) {
        block b = block_at(g, row);
        dp_conv_columns(g, gy, dp_conv_part_rows(g, b.first, b.rows), ws->columns);
        if (a->port && a->port->weight_grads) add_weights(a, g, at, ws, b, ws->weights);
        if (gw) add_weights(a, g, at, ws, b, gw + weights_at(g, at.group));
        if (dp_grad_in(a, 0)) add_inputs(a, g, at, ws, b);
    }
}

/* One a channel of the group, over the weights [C, channels, taps] of its inputs. */
static const double *gradient_norms(const dp_op_args *a, const dp_conv *g, const workspace *ws) {
    if (!a->port || !a->port->weight_grads) return NULL;
    for (int64_t m = 0; m < group_outputs(g); m++) {
        ws->norm2[m] = 0;
        for (int64_t c = 0; c < group_inputs(g); c++)
            for (int64_t k = 0; k < dp_conv_taps(g); k++) {
                double w = (double)ws->weights[(c * group_outputs(g) + m) * dp_conv_taps(g) + k];
                ws->norm2[m] += w * w;
            }
    }
    return ws->norm2;
}

/* The way back of take_norms. */
static void add_norms(const dp_op_args *a, const dp_conv *g, place at, const workspace *ws) {
    if (!a->port || !a->port->x2_grad[0] || !dp_grad_in(a, 0)) return;
    int64_t positions = dp_conv_positions(g), plane = dp_conv_plane(g);
    const float *x = (const float *)a->in[0]->data + input_at(g, at);
    float *gx = dp_grad_in(a, 0) + input_at(g, at);
    dp_conv one = *g;
    one.channels = one.out_channels = one.groups = 1;
    for (int64_t i = 0; i < dp_conv_taps(g); i++) ws->ones[i] = 1;
    dp_conv_depthwise_forward(&one, a->port->x2_grad[0] + (at.image * g->groups + at.group) * plane,
                              ws->ones, ws->energy);
    for (int64_t c = 0; c < group_inputs(g); c++, x += positions, gx += positions)
        for (int64_t i = 0; i < positions; i++) gx[i] += 2 * x[i] * ws->energy[i];
}

static void add_bias(const dp_op_args *a, const dp_conv *g) {
    float *gb = dp_grad_in(a, 2);
    const float *gy = dp_grad_out(a, 0);
    for (int64_t row = 0; gb && row < a->in[0]->dim[0] * g->channels; row++) {
        double sum = 0;
        for (int64_t i = 0; i < dp_conv_plane(g); i++) sum += (double)*gy++;
        gb[row % g->channels] += (float)sum;
    }
}

/* The images of one sample see the same weights, off by the same noise: their gradients are one. */
static dp_status convtranspose_adjoint(const dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_convtranspose_read(a, &g, err);
    if (status != DP_OK) return status;
    workspace ws = divide_scratch(a, &g);
    int64_t images = a->in[0]->dim[0], share = a->port ? images / a->port->samples : 1;
    size_t bytes = (size_t)(group_inputs(&g) * dp_conv_depth(&g)) * sizeof(float);
    for (int64_t first = 0; first < images; first += share)
        for (int64_t group = 0; group < g.groups; group++) {
            if (a->port && a->port->weight_grads) memset(ws.weights, 0, bytes);
            for (int64_t image = first; image < first + share; image++) {
                place at = {image, group};
                adjoint_image(a, &g, at, &ws);
                bool last = image == first + share - 1;
                show(a, &g, at, a->grad_out[0]->data, last ? gradient_norms(a, &g, &ws) : NULL);
                add_norms(a, &g, at, &ws);
            }
        }
    add_bias(a, &g);
    return DP_OK;
}

static dp_status convtranspose_site(const dp_op_args *a, int slot, dp_site *site, dp_error *err) {
    dp_conv g;
    dp_status status = dp_convtranspose_read(a, &g, err);
    if (status != DP_OK) return status;
    int64_t images = a->in[0]->dim[0], plane = dp_conv_plane(&g);
    int64_t depth = group_inputs(&g) * dp_conv_taps(&g);
    if (a->port && images % a->port->samples)
        return dp_op_fail(a, err, DP_EUNSUPPORTED, "%lld images for %lld samples",
                          (long long)images, (long long)a->port->samples);
    *site = (dp_site){.slot = slot,
                      .channels = g.channels,
                      .groups = g.groups,
                      .depth = depth,
                      .macs = images * g.channels * plane * depth,
                      .norms = images * g.groups * plane,
                      .weight_in = 1,
                      .input_in = 0,
                      .bias_in = dp_op_has(a, 2) ? 2 : -1,
                      .weight_groups = g.groups,
                      .weight_run = dp_conv_taps(&g)};
    return DP_OK;
}

const dp_op dp_ops_convtranspose[] = {
    {.type = "ConvTranspose",
     .domain = "",
     .since = 1,
     .shape = convtranspose_shape,
     .forward = convtranspose_forward,
     .adjoint = convtranspose_adjoint,
     .n_sites = 1,
     .site = convtranspose_site},
    {0},
};
