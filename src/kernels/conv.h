/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pieces a convolution is made of, for one sample: patches as columns, their way back, their squared norms, and the
 * depthwise case, which needs no columns. Fewer axes than three are preceded by axes of one entry, so that code knows one case.
 *
 * Symbols  C channels of the group, T x H x W input (T: the axis before the height), a row: OW outputs next to each other,
 *          R = OT * OH rows, P = R * OW positions, D = C * KT * KH * KW depth.
 */
#ifndef DP_KERNELS_CONV_H
#define DP_KERNELS_CONV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dp_conv {
    int64_t channels, out_channels, groups; /* of the whole operator */
    int64_t in[3], out[3], kernel[3];       /* the axis before the height, height, width */
    int64_t stride[3], dilation[3], pad[3]; /* pad: at the beginning; the end follows from out */
} dp_conv;

static inline int64_t dp_conv_rows(const dp_conv *g) {
    return g->out[0] * g->out[1];
}
static inline int64_t dp_conv_width(const dp_conv *g) {
    return g->out[2];
}
static inline int64_t dp_conv_positions(const dp_conv *g) {
    return dp_conv_rows(g) * dp_conv_width(g);
}
static inline int64_t dp_conv_plane(const dp_conv *g) {
    return g->in[0] * g->in[1] * g->in[2];
}
static inline int64_t dp_conv_taps(const dp_conv *g) {
    return g->kernel[0] * g->kernel[1] * g->kernel[2];
}
static inline int64_t dp_conv_depth(const dp_conv *g) {
    return g->channels / g->groups * dp_conv_taps(g);
}

/** The columns are the input itself: kernel 1, stride 1, no padding. */
bool dp_conv_pointwise(const dp_conv *g);

/** One input and one output channel a group. */
bool dp_conv_depthwise(const dp_conv *g);

/* A part of a group's column matrix, in a matrix whose rows are `stride` floats apart. */
typedef struct dp_conv_part {
    int64_t row, rows;         /* output rows row .. row+rows-1 */
    int64_t channel, channels; /* of the group */
    int64_t stride;
} dp_conv_part;

/* Some rows of all channels, with nothing between them. */
static inline dp_conv_part dp_conv_part_rows(const dp_conv *g, int64_t row, int64_t rows) {
    return (dp_conv_part){row, rows, 0, g->channels / g->groups, rows * dp_conv_width(g)};
}

/** Write the patches of one group. Shapes: x [C,T,H,W], columns [part.channels * taps, part.stride], rows * OW of each. */
void dp_conv_columns(const dp_conv *g, const float *x, dp_conv_part part, float *columns);

/**
 * Add columns back to the inputs they came from: the adjoint of dp_conv_columns of dp_conv_part_rows.
 *
 * Shapes  columns [D, count * OW], x [C,T,H,W].
 */
void dp_conv_uncolumns(const dp_conv *g, const float *columns, int64_t first, int64_t count,
                       float *x);

/**
 * Squared norm of every patch, where zero padding contributes nothing.
 *
 * Shapes  x [channels,T,H,W] all groups, norms [groups, P], scratch [dp_conv_norms_scratch].
 */
void dp_conv_norms(const dp_conv *g, const float *x, float *norms, float *scratch);

/* Where gradients by norms go: gx [channels,T,H,W] is added to; scratch [T,H,W]. */
typedef struct dp_conv_norms_target {
    float *gx, *scratch;
} dp_conv_norms_target;

/** The adjoint of dp_conv_norms: gx += 2 x times the sum of g_norms [groups, P] over the patches that hold x. */
void dp_conv_norms_adjoint(const dp_conv *g, const float *x, const float *g_norms,
                           const dp_conv_norms_target *to);

/** Floats of scratch that dp_conv_norms needs. */
size_t dp_conv_norms_scratch(const dp_conv *g);

/** Depthwise: y [channels,P] = x [channels,T,H,W] * w [channels,KT,KH,KW]. */
void dp_conv_depthwise_forward(const dp_conv *g, const float *x, const float *w, float *y);

/** Depthwise: gx += the adjoint of the above at gy. */
void dp_conv_depthwise_adjoint(const dp_conv *g, const float *gy, const float *w, float *gx);

/** Depthwise: gw [channels,KT,KH,KW] += gradient of the weights for one image. */
void dp_conv_depthwise_weights(const dp_conv *g, const float *x, const float *gy, float *gw);

#endif
