/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The patches of a convolution without columns: in a copy of the inputs that has its padding, and in which inputs a stride apart are
 * neighbours, the value that a tap sees is where the tap is plus where the output position is. Positions of a row follow one another. Such a
 * copy, the frame, is as large as the inputs; columns are as many times larger as there are taps.
 *
 * Only where nothing happens along the axis before the height. Symbols as in conv.h.
 */
#ifndef DP_KERNELS_CONV_FRAME_H
#define DP_KERNELS_CONV_FRAME_H

#include "kernels/conv.h"

/* Of `rows` output rows; along height and width. */
typedef struct dp_conv_frame {
    bool direct; /* the input is its own frame: no padding, no strides */
    int64_t rows;
    int64_t phases[2]; /* inputs of one phase are a stride apart: tap t sees phase t % phases */
    int64_t length[2]; /* of a phase */
} dp_conv_frame;

/** There are such frames. */
bool dp_conv_has_frame(const dp_conv *g);

/** The frame of so many output rows, for as many blocks of them as there are. */
dp_conv_frame dp_conv_frame_of(const dp_conv *g, int64_t rows);

/** Floats from a channel's frame to the next one's. */
int64_t dp_conv_frame_size(const dp_conv_frame *f);

/** Copy. Shapes: x [C,1,H,W] of the group; out [part.channels, size]. part.stride is of no account. */
void dp_conv_frame_fill(const dp_conv *g, const dp_conv_frame *f, const float *x, dp_conv_part part,
                        float *out);

/** Where taps are. Shapes: lines [channels * taps]. */
void dp_conv_frame_lines(const dp_conv *g, const dp_conv_frame *f, int64_t channels,
                         int64_t *lines);

/** Where the positions of `rows` rows are, behind `first`. Shapes: places [rows * OW]. */
void dp_conv_frame_places(const dp_conv *g, const dp_conv_frame *f, int64_t rows, int64_t first,
                          int64_t *places);

#endif
