/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/conv_frame.h"

#include <string.h>

/* Height and width are axes 1 and 2 of the convolution. */
enum { HEIGHT, WIDTH, FIRST = 1 };

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

bool dp_conv_has_frame(const dp_conv *g) {
    return g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1 && g->pad[0] == 0;
}

/* What a tap sees first, t * dilation, is in phase (t * dilation) % stride; so many of these differ. */
static int64_t phases_of(int64_t stride, int64_t dilation, int64_t kernel) {
    int64_t a = stride, b = dilation % stride;
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return min64(stride / a, kernel);
}

dp_conv_frame dp_conv_frame_of(const dp_conv *g, int64_t rows) {
    dp_conv_frame f = {.direct = true, .rows = rows};
    for (int axis = 0; axis < 2; axis++) {
        int64_t stride = g->stride[FIRST + axis], dilation = g->dilation[FIRST + axis];
        int64_t kernel = g->kernel[FIRST + axis], pad = g->pad[FIRST + axis];
        int64_t out = g->out[FIRST + axis], reach = (kernel - 1) * dilation;
        f.direct = f.direct && stride == 1 && pad == 0 && out + reach <= g->in[FIRST + axis];
        f.phases[axis] = phases_of(stride, dilation, kernel);
        f.length[axis] = (axis == HEIGHT ? rows : out) + reach / stride;
    }
    if (!f.direct) return f;
    f.length[HEIGHT] = g->in[FIRST + HEIGHT];
    f.length[WIDTH] = g->in[FIRST + WIDTH];
    return f;
}

int64_t dp_conv_frame_size(const dp_conv_frame *f) {
    return f->phases[HEIGHT] * f->length[HEIGHT] * f->phases[WIDTH] * f->length[WIDTH];
}

/* The input that entry i of a phase is, counted from the first of output position 0. */
static int64_t input_of(const dp_conv *g, int axis, int64_t phase, int64_t i) {
    int64_t stride = g->stride[FIRST + axis];
    return i * stride + phase * g->dilation[FIRST + axis] % stride - g->pad[FIRST + axis];
}

/* Entries of a phase whose inputs there are. */
typedef struct span {
    int64_t begin, end;
} span;

static span there(const dp_conv *g, int axis, int64_t phase, int64_t length) {
    int64_t stride = g->stride[FIRST + axis], first = input_of(g, axis, phase, 0);
    int64_t left = g->in[FIRST + axis] - first;
    span s = {first < 0 ? (-first + stride - 1) / stride : 0,
              left > 0 ? (left + stride - 1) / stride : 0};
    s.end = min64(s.end, length);
    s.begin = min64(s.begin, length);
    if (s.end < s.begin) s.end = s.begin;
    return s;
}

static void take(const float *x, int64_t stride, float *out, int64_t count) {
    if (stride == 1)
        memcpy(out, x, (size_t)count * sizeof *out);
    else if (stride == 2)
        for (int64_t i = 0; i < count; i++) out[i] = x[2 * i];
    else
        for (int64_t i = 0; i < count; i++) out[i] = x[i * stride];
}

/* A row of inputs, phase by phase. */
static void fill_row(const dp_conv *g, const dp_conv_frame *f, const float *x, float *out) {
    int64_t length = f->length[WIDTH], stride = g->stride[FIRST + WIDTH];
    for (int64_t phase = 0; phase < f->phases[WIDTH]; phase++, out += length) {
        span s = there(g, WIDTH, phase, length);
        for (int64_t i = 0; i < s.begin; i++) out[i] = 0;
        if (s.end > s.begin)
            take(x + input_of(g, WIDTH, phase, s.begin), stride, out + s.begin, s.end - s.begin);
        for (int64_t i = s.end; i < length; i++) out[i] = 0;
    }
}

void dp_conv_frame_fill(const dp_conv *g, const dp_conv_frame *f, const float *x, dp_conv_part part,
                        float *out) {
    int64_t width = f->phases[WIDTH] * f->length[WIDTH], first = part.row * g->stride[1];
    x += part.channel * dp_conv_plane(g);
    for (int64_t c = 0; c < part.channels; c++, x += dp_conv_plane(g))
        for (int64_t phase = 0; phase < f->phases[HEIGHT]; phase++)
            for (int64_t i = 0; i < f->length[HEIGHT]; i++, out += width) {
                int64_t row = first + input_of(g, HEIGHT, phase, i);
                if (row >= 0 && row < g->in[1])
                    fill_row(g, f, x + row * g->in[2], out);
                else
                    memset(out, 0, (size_t)width * sizeof *out);
            }
}

/* Along one axis, in entries of it. */
static int64_t tap_at(const dp_conv *g, const dp_conv_frame *f, int axis, int64_t tap) {
    return tap % f->phases[axis] * f->length[axis] +
           tap * g->dilation[FIRST + axis] / g->stride[FIRST + axis];
}

void dp_conv_frame_lines(const dp_conv *g, const dp_conv_frame *f, int64_t channels,
                         int64_t *lines) {
    int64_t size = dp_conv_frame_size(f), width = f->phases[WIDTH] * f->length[WIDTH];
    for (int64_t c = 0; c < channels; c++)
        for (int64_t h = 0; h < g->kernel[1]; h++)
            for (int64_t w = 0; w < g->kernel[2]; w++)
                *lines++ = c * size + tap_at(g, f, HEIGHT, h) * width + tap_at(g, f, WIDTH, w);
}

void dp_conv_frame_places(const dp_conv *g, const dp_conv_frame *f, int64_t rows, int64_t first,
                          int64_t *places) {
    int64_t width = f->phases[WIDTH] * f->length[WIDTH];
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < g->out[2]; i++) *places++ = first + row * width + i;
}
