/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conv over one to three axes, with groups, dilation, asymmetric pads and auto_pad: its shape, its site. What it computes is
 * in conv_forward.c and conv_adjoint.c.
 */
#include "model/ops/conv.h"
#include "model/ops/spatial.h"
#include "model/ops/tables.h"

static dp_status conv_shape(dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_conv_read(a, &g, err);
    if (status != DP_OK) return status;
    if ((status = dp_spatial_output(a, g.out_channels, g.out, err)) != DP_OK) return status;
    size_t forward = dp_conv_forward_scratch(a, &g), adjoint = dp_conv_adjoint_scratch(a, &g);
    a->scratch_bytes = forward > adjoint ? forward : adjoint;
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
                      .bias_in = dp_op_has(a, 2) ? 2 : -1};
    return DP_OK;
}

const dp_op dp_ops_conv[] = {
    {.type = "Conv",
     .domain = "",
     .since = 1,
     .flags = DP_OP_SHOWS_OUT | DP_OP_KEEPS,
     .shape = conv_shape,
     .forward = dp_conv_forward,
     .adjoint = dp_conv_adjoint,
     .n_sites = 1,
     .site = conv_site},
    {0},
};
