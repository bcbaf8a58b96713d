/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The geometry of Conv over one to three axes. */
#ifndef DP_MODEL_OPS_CONV_H
#define DP_MODEL_OPS_CONV_H

#include "kernels/conv.h"
#include "model/op.h"

/** Read attributes and shapes. Errors: DP_EFORMAT, DP_ERANGE, DP_EUNSUPPORTED. */
dp_status dp_conv_read(const dp_op_args *a, dp_conv *g, dp_error *err);

#endif
