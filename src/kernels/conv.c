/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Every loop here runs over the taps of the kernel and, for each, over the output positions whose input exists: spans
 * [begin, end) along each axis. Inside a span of a row there are no conditions, so stride 1 is a copy or an axpy.
 */
#include "kernels/conv.h"

#include <string.h>

typedef struct span {
    int64_t begin, end; /* output positions along one axis whose input lies inside */
    int64_t offset;     /* input position = position * stride + offset */
} span;

static int64_t min64(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return a <= 0 ? 0 : (a + b - 1) / b;
}

static span tap_span(const dp_conv *g, int axis, int64_t tap) {
    span s;
    s.offset = tap * g->dilation[axis] - g->pad[axis];
    s.begin = min64(ceil_div(-s.offset, g->stride[axis]), g->out[axis]);
    s.end = min64(ceil_div(g->in[axis] - s.offset, g->stride[axis]), g->out[axis]);
    if (s.end < s.begin) s.end = s.begin;
    return s;
}

/* Of one tap of the kernel, along each axis. */
typedef struct reach {
    span at[3];
} reach;

static reach tap_reach(const dp_conv *g, int64_t tap) {
    int64_t width = g->kernel[2], height = g->kernel[1];
    return (reach){{tap_span(g, 0, tap / width / height), tap_span(g, 1, tap / width % height),
                    tap_span(g, 2, tap % width)}};
}

/* Where the first input of output row (t, h) is in its plane; the tap must reach both. */
static int64_t row_start(const dp_conv *g, const reach *r, int64_t t, int64_t h) {
    int64_t slice = t * g->stride[0] + r->at[0].offset, line = h * g->stride[1] + r->at[1].offset;
    return (slice * g->in[1] + line) * g->in[2] + r->at[2].offset;
}

static bool reaches(span s, int64_t position) {
    return position >= s.begin && position < s.end;
}

bool dp_conv_pointwise(const dp_conv *g) {
    for (int i = 0; i < 3; i++)
        if (g->kernel[i] != 1 || g->stride[i] != 1 || g->pad[i] != 0 || g->out[i] != g->in[i])
            return false;
    return true;
}

bool dp_conv_depthwise(const dp_conv *g) {
    return g->groups > 1 && g->channels == g->groups && g->out_channels == g->groups;
}

static void gather(const float *x, int64_t stride, float *out, int64_t count) {
    if (stride == 1) {
        memcpy(out, x, (size_t)count * sizeof *out);
        return;
    }
    if (stride == 2) {
        for (int64_t i = 0; i < count; i++) out[i] = x[2 * i];
        return;
    }
    for (int64_t i = 0; i < count; i++) out[i] = x[i * stride];
}

static void scatter_add(const float *in, int64_t stride, float *x, int64_t count) {
    if (stride == 1) {
        for (int64_t i = 0; i < count; i++) x[i] += in[i];
        return;
    }
    for (int64_t i = 0; i < count; i++) x[i * stride] += in[i];
}

static void zero(float *out, int64_t count) {
    if (count > 0) memset(out, 0, (size_t)count * sizeof *out); /* often a border of nothing */
}

/* Rows from `row` on, but before `end`, that lie in the same slice. */
static int64_t rows_of_slice(const dp_conv *g, int64_t row, int64_t end) {
    return min64(g->out[1] - row % g->out[1], end - row);
}

/* Part of a row of the column matrix: what one tap sees of one channel, for rows of one slice. */
static void column_rows(const dp_conv *g, const float *plane, const reach *r, const int64_t rows[2],
                        float *out) {
    int64_t width = g->out[2], stride = g->stride[2], step = g->stride[1] * g->in[2];
    int64_t slice = rows[0] / g->out[1], first = slice * g->out[1];
    int64_t at = row_start(g, r, slice, rows[0] - first), last = rows[1] - first;
    span h = r->at[1], w = r->at[2];
    if (!reaches(r->at[0], slice)) h.end = h.begin;
    for (int64_t row = rows[0] - first; row < last; row++, out += width, at += step) {
        if (!reaches(h, row)) {
            zero(out, width);
            continue;
        }
        zero(out, w.begin);
        gather(plane + at + w.begin * stride, stride, out + w.begin, w.end - w.begin);
        zero(out + w.end, width - w.end);
    }
}

void dp_conv_columns(const dp_conv *g, const float *x, dp_conv_part part, float *columns) {
    int64_t taps = dp_conv_taps(g), end = part.row + part.rows, width = g->out[2];
    for (int64_t k = 0; k < taps; k++) {
        const reach r = tap_reach(g, k);
        for (int64_t c = 0; c < part.channels; c++) {
            const float *plane = x + (part.channel + c) * dp_conv_plane(g);
            float *to = columns + (c * taps + k) * part.stride;
            for (int64_t row = part.row, n; row < end; row += n, to += n * width) {
                n = rows_of_slice(g, row, end);
                const int64_t rows[2] = {row, row + n};
                column_rows(g, plane, &r, rows, to);
            }
        }
    }
}

static void uncolumn_rows(const dp_conv *g, const float *in, const reach *r, const int64_t rows[2],
                          float *plane) {
    int64_t width = g->out[2], stride = g->stride[2];
    int64_t slice = rows[0] / g->out[1], first = slice * g->out[1];
    span h = r->at[1], w = r->at[2];
    if (!reaches(r->at[0], slice)) return;
    for (int64_t row = rows[0] - first; row < rows[1] - first; row++, in += width) {
        if (!reaches(h, row)) continue;
        float *x = plane + row_start(g, r, slice, row);
        scatter_add(in + w.begin, stride, x + w.begin * stride, w.end - w.begin);
    }
}

void dp_conv_uncolumns(const dp_conv *g, const float *columns, int64_t first, int64_t count,
                       float *x) {
    int64_t taps = dp_conv_taps(g), end = first + count, width = g->out[2];
    for (int64_t k = 0; k < taps; k++) {
        const reach r = tap_reach(g, k);
        for (int64_t c = 0; c < g->channels / g->groups; c++) {
            const float *from = columns + (c * taps + k) * count * width;
            for (int64_t row = first, n; row < end; row += n, from += n * width) {
                n = rows_of_slice(g, row, end);
                const int64_t part[2] = {row, row + n};
                uncolumn_rows(g, from, &r, part, x + c * dp_conv_plane(g));
            }
        }
    }
}

/* Nothing happens along the axis before the height. */
static bool flat(const dp_conv *g) {
    return g->in[0] == 1 && g->out[0] == 1 && g->kernel[0] == 1;
}

size_t dp_conv_norms_scratch(const dp_conv *g) {
    int64_t wide = g->in[0] * g->in[1] * g->out[2], tall = g->in[0] * g->out[1] * g->out[2];
    return (size_t)(dp_conv_plane(g) + wide + (flat(g) ? 0 : tall));
}

/* energy[T,H,W] = sum over the group's channels of x^2 */
static void channel_energy(const dp_conv *g, const float *x, float *energy) {
    int64_t plane = dp_conv_plane(g);
    zero(energy, plane);
    for (int64_t c = 0; c < g->channels / g->groups; c++, x += plane)
        for (int64_t i = 0; i < plane; i++) energy[i] += x[i] * x[i];
}

/* Box sums along the width: in [lines, W], out [lines, OW]. */
static void box_width(const dp_conv *g, const float *in, float *out) {
    int64_t lines = g->in[0] * g->in[1], width = g->out[2], stride = g->stride[2];
    zero(out, lines * width);
    for (int64_t k = 0; k < g->kernel[2]; k++) {
        span w = tap_span(g, 2, k);
        for (int64_t line = 0; line < lines; line++) {
            const float *from = in + line * g->in[2] + w.offset;
            float *to = out + line * width;
            for (int64_t i = w.begin; i < w.end; i++) to[i] += from[i * stride];
        }
    }
}

/* Along another axis, whose entries are `inner` apart: in [outer, in, inner], out [outer, out, inner]. */
static void box_axis(const dp_conv *g, int axis, int64_t inner, const float *in, float *out) {
    int64_t outer = axis == 0 ? 1 : g->in[0];
    zero(out, outer * g->out[axis] * inner);
    for (int64_t o = 0; o < outer; o++, in += g->in[axis] * inner, out += g->out[axis] * inner)
        for (int64_t k = 0; k < g->kernel[axis]; k++) {
            span s = tap_span(g, axis, k);
            for (int64_t p = s.begin; p < s.end; p++) {
                const float *from = in + (p * g->stride[axis] + s.offset) * inner;
                float *to = out + p * inner;
                for (int64_t i = 0; i < inner; i++) to[i] += from[i];
            }
        }
}

/* A box sum is separable: energy [T,H,W], wide [T,H,OW], tall [T,OH,OW], norms [OT,OH,OW]. */
static void box_sum(const dp_conv *g, const float *energy, float *wide, float *norms) {
    int64_t width = g->out[2];
    float *tall = flat(g) ? norms : wide + g->in[0] * g->in[1] * width;
    box_width(g, energy, wide);
    box_axis(g, 1, width, wide, tall);
    if (tall != norms) box_axis(g, 0, g->out[1] * width, tall, norms);
}

void dp_conv_norms(const dp_conv *g, const float *x, float *norms, float *scratch) {
    int64_t channels = g->channels / g->groups;
    bool direct = dp_conv_pointwise(g);
    for (int64_t group = 0; group < g->groups; group++) {
        float *energy = direct ? norms : scratch;
        channel_energy(g, x, energy);
        if (!direct) box_sum(g, energy, scratch + dp_conv_plane(g), norms);
        x += channels * dp_conv_plane(g);
        norms += dp_conv_positions(g);
    }
}

/* out[T,H,W] = sum of in [OT,OH,OW] over the patches that each input is in */
static void box_adjoint(const dp_conv *g, const float *in, float *out) {
    int64_t stride = g->stride[2];
    zero(out, dp_conv_plane(g));
    for (int64_t k = 0; k < dp_conv_taps(g); k++) {
        const reach r = tap_reach(g, k);
        const span t = r.at[0], h = r.at[1], v = r.at[2];
        for (int64_t slice = t.begin; slice < t.end; slice++)
            for (int64_t row = h.begin; row < h.end; row++)
                scatter_add(in + (slice * g->out[1] + row) * g->out[2] + v.begin, stride,
                            out + row_start(g, &r, slice, row) + v.begin * stride, v.end - v.begin);
    }
}

void dp_conv_norms_adjoint(const dp_conv *g, const float *x, const float *g_norms,
                           const dp_conv_norms_target *to) {
    int64_t channels = g->channels / g->groups, plane = dp_conv_plane(g);
    float *gx = to->gx;
    for (int64_t group = 0; group < g->groups; group++, g_norms += dp_conv_positions(g)) {
        box_adjoint(g, g_norms, to->scratch);
        for (int64_t c = 0; c < channels; c++, x += plane, gx += plane)
            for (int64_t i = 0; i < plane; i++) gx[i] += 2 * x[i] * to->scratch[i];
    }
}

void dp_conv_depthwise_forward(const dp_conv *g, const float *x, const float *w, float *y) {
    int64_t width = g->out[2], stride = g->stride[2];
    zero(y, g->channels * dp_conv_positions(g));
    for (int64_t c = 0; c < g->channels; c++, x += dp_conv_plane(g), y += dp_conv_positions(g))
        for (int64_t k = 0; k < dp_conv_taps(g); k++) {
            const reach r = tap_reach(g, k);
            const span t = r.at[0], h = r.at[1], v = r.at[2];
            float weight = *w++;
            for (int64_t slice = t.begin; slice < t.end; slice++)
                for (int64_t row = h.begin; row < h.end; row++) {
                    const float *in = x + row_start(g, &r, slice, row);
                    float *out = y + (slice * g->out[1] + row) * width;
                    for (int64_t i = v.begin; i < v.end; i++) out[i] += weight * in[i * stride];
                }
        }
}

void dp_conv_depthwise_adjoint(const dp_conv *g, const float *gy, const float *w, float *gx) {
    int64_t width = g->out[2], stride = g->stride[2];
    for (int64_t c = 0; c < g->channels; c++, gx += dp_conv_plane(g), gy += dp_conv_positions(g))
        for (int64_t k = 0; k < dp_conv_taps(g); k++) {
            const reach r = tap_reach(g, k);
            const span t = r.at[0], h = r.at[1], v = r.at[2];
            float weight = *w++;
            for (int64_t slice = t.begin; slice < t.end; slice++)
                for (int64_t row = h.begin; row < h.end; row++) {
                    float *out = gx + row_start(g, &r, slice, row);
                    const float *in = gy + (slice * g->out[1] + row) * width;
                    for (int64_t i = v.begin; i < v.end; i++) out[i * stride] += weight * in[i];
                }
        }
}

/* What one tap adds to the gradient of its weight. */
static double tap_gradient(const dp_conv *g, const reach *r, const float *x, const float *gy) {
    int64_t width = g->out[2], stride = g->stride[2];
    const span t = r->at[0], h = r->at[1], v = r->at[2];
    double sum = 0;
    for (int64_t slice = t.begin; slice < t.end; slice++)
        for (int64_t row = h.begin; row < h.end; row++) {
            const float *in = x + row_start(g, r, slice, row);
            const float *g_row = gy + (slice * g->out[1] + row) * width;
            float part = 0;
            for (int64_t i = v.begin; i < v.end; i++) part += g_row[i] * in[i * stride];
            sum += (double)part;
        }
    return sum;
}

void dp_conv_depthwise_weights(const dp_conv *g, const float *x, const float *gy, float *gw) {
    for (int64_t c = 0; c < g->channels; c++, x += dp_conv_plane(g), gy += dp_conv_positions(g))
        for (int64_t k = 0; k < dp_conv_taps(g); k++) {
            reach r = tap_reach(g, k);
            *gw++ += (float)tap_gradient(g, &r, x, gy);
        }
}
