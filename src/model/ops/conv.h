/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conv over one to three axes: its geometry, and what its two directions share. */
#ifndef DP_MODEL_OPS_CONV_H
#define DP_MODEL_OPS_CONV_H

#include "kernels/conv.h"
#include "model/op.h"

/** Read attributes and shapes. Errors: DP_EFORMAT, DP_ERANGE, DP_EUNSUPPORTED. */
dp_status dp_conv_read(const dp_op_args *a, dp_conv *g, dp_error *err);

/* Output rows of the channels of one group of one image: what one call of the port is told. */
typedef struct dp_conv_place {
    int64_t image, group, row, rows;
} dp_conv_place;

/** Show them to the port, if there is one. Shapes: image_y [out_channels, P], outputs or their gradients. */
void dp_conv_show(const dp_op_args *a, const dp_conv *g, dp_conv_place at, float *image_y,
                  const double *weight_grad2);

/* The row's functions. Scratch: bytes that they need. */
dp_status dp_conv_forward(const dp_op_args *a, dp_error *err);
dp_status dp_conv_adjoint(const dp_op_args *a, dp_error *err);
size_t dp_conv_forward_scratch(const dp_op_args *a, const dp_conv *g);
size_t dp_conv_adjoint_scratch(const dp_op_args *a, const dp_conv *g);

#endif
