/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conv: the geometry that a node asks for, and the place of its products among the site's, for both directions. */
#include <string.h>

#include "model/ops/conv.h"
#include "model/ops/spatial.h"

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

void dp_conv_show(const dp_op_args *a, const dp_conv *g, dp_conv_place at, float *image_y,
                  const double *weight_grad2) {
    if (!a->port || !a->port->product) return;
    int64_t positions = dp_conv_positions(g), channels = g->out_channels / g->groups;
    int64_t per_sample =
        a->in[0]->dim[0] / a->port->samples; /* [N*T,C,H,W] has T images a sample */
    int64_t first = at.group * channels * positions + at.row * dp_conv_width(g);
    dp_product block = {
        .sample = at.image / per_sample,
        .element = first + at.image % per_sample * g->out_channels * positions,
        .y = image_y + first,
        .first_channel = at.group * channels,
        .channels = channels,
        .positions = at.rows * dp_conv_width(g),
        .channel_stride = positions,
        .position_stride = 1,
        .weight_grad2 = weight_grad2,
    };
    int64_t norms = (at.image * g->groups + at.group) * positions + at.row * dp_conv_width(g);
    if (a->port->norms) block.x2 = a->port->x2[0] + norms;
    if (a->port->x2_grad[0]) block.x2_grad = a->port->x2_grad[0] + norms;
    a->port->product(a->port->self, &block);
}
