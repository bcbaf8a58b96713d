/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conv forwards: outputs are weights times patches, which become columns or, where products can gather, stay in frames of the inputs. The
 * work is cut so that what a product reads and writes stays in the cache and yet is wide enough for the weights to be read once for many
 * positions: a part of the rows of a large image, all rows of several small ones (whose product goes through a buffer, as their outputs are
 * not neighbours). Long dot products are added up slice by slice. Every block is shown to the port while it is there. Depthwise convolutions
 * go without either; pointwise ones on large images use the input itself.
 */
#include <string.h>

#include "kernels/conv_frame.h"
#include "kernels/gemm.h"
#include "model/ops/conv.h"
#include "model/ops/walk.h"

/* Positions of a product, and depth of a slice or floats of its frames: these and the outputs of 256 channels fit into a second-level cache. */
enum { WIDTH = 768, SLICE = 448, FRAME = 3 << 16 };

/* What a product's right operand is made of. */
typedef enum source {
    INPUT,   /* the input itself */
    COLUMNS, /* patches */
    GATHERED /* what a frame has of them, which may be the input (kernels/conv_frame.h) */
} source;

typedef struct cut {
    int64_t images, rows; /* of one product; all rows if there are several images */
    int64_t channels;     /* of one slice of the depth */
    source from;
    dp_conv_frame frame;
} cut;

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

/* How many there are in each of the parts of about `size`, alike as far as can be; 1 if there are none. */
static int64_t even_parts(int64_t count, int64_t size) {
    int64_t parts = size > 0 ? (count + size / 2) / size : 1;
    int64_t each = divide_up(count, parts > 0 ? parts : 1);
    return each > 0 ? each : 1;
}

static bool gathers(const dp_conv *g, const cut *c, dp_rough rough) {
    return dp_conv_has_frame(g) &&
           dp_gemm_gathers(&(dp_gemm){.rough = rough,
                                      .m = g->out_channels / g->groups,
                                      .n = c->images * c->rows * dp_conv_width(g),
                                      .k = dp_conv_depth(g)});
}

/* Channels whose frames are about as much as fits; slices begin where kept weights can be cut. */
static int64_t framed_channels(const cut *c, int64_t all) {
    int64_t size = c->images * dp_conv_frame_size(&c->frame);
    int64_t each = even_parts(all, size > 0 ? FRAME / size : all);
    return c->frame.direct ? all : divide_up(each, DP_KEPT_STEP) * DP_KEPT_STEP;
}

static cut cut_work(const dp_op_args *a, const dp_conv *g, dp_rough rough) {
    int64_t positions = dp_conv_positions(g), images = a->in[0]->dim[0];
    int64_t together = positions > 0 ? WIDTH / positions : 1, all = g->channels / g->groups;
    cut c = {.images = 1, .rows = dp_conv_rows(g), .channels = all, .from = COLUMNS};
    if (together > 1 && images > 1)
        c.images = even_parts(images, together);
    else if (dp_conv_width(g) > 0)
        c.rows = even_parts(c.rows, WIDTH / dp_conv_width(g));
    if (c.images == 1 && dp_conv_pointwise(g)) {
        c.from = INPUT;
    } else if (gathers(g, &c, rough)) {
        c.from = GATHERED;
        c.frame = dp_conv_frame_of(g, c.rows);
        c.channels = framed_channels(&c, all);
        if (c.channels > all) c.channels = all;
    } else {
        c.channels = even_parts(all, SLICE / dp_conv_taps(g));
    }
    return c;
}

/* Scratch: columns or frames of a slice, where lines and places of the latter are, a product of several images, the patch norms' workspace. */
typedef struct workspace {
    float *columns, *product, *norms;
    int64_t *lines, *places;
    size_t bytes;
} workspace;

static size_t even(size_t floats) {
    return (floats + 1) & ~(size_t)1;
}

static workspace divide_scratch(const dp_op_args *a, const dp_conv *g, const cut *c) {
    size_t width = (size_t)(c->images * c->rows * dp_conv_width(g)), columns = 0, lines = 0;
    size_t product = c->images == 1 ? 0 : (size_t)(g->out_channels / g->groups) * width;
    size_t depth = (size_t)(c->channels * dp_conv_taps(g));
    if (c->from == COLUMNS) columns = depth * width;
    if (c->from == GATHERED) lines = depth + width;
    if (c->from == GATHERED && !c->frame.direct)
        columns = even((size_t)(c->images * c->channels * dp_conv_frame_size(&c->frame)));
    if (dp_conv_depthwise(g)) columns = product = lines = 0;
    workspace ws = {.lines = a->scratch};
    ws.bytes =
        lines * sizeof *ws.lines + (columns + product + dp_conv_norms_scratch(g)) * sizeof(float);
    if (!a->scratch) return ws;
    ws.places = ws.lines + depth;
    ws.columns = (float *)(void *)(ws.lines + lines);
    ws.product = ws.columns + columns;
    ws.norms = ws.product + product;
    return ws;
}

/* As much as the most of what may be asked for later. */
size_t dp_conv_forward_scratch(const dp_op_args *a, const dp_conv *g) {
    cut precise = cut_work(a, g, DP_PRECISE), rough = cut_work(a, g, DP_ROUGH);
    size_t one = divide_scratch(a, g, &precise).bytes, other = divide_scratch(a, g, &rough).bytes;
    return one > other ? one : other;
}

/* The bias of the group, or NULL. */
static const float *bias_of(const dp_op_args *a, const dp_conv *g, int64_t group) {
    if (!dp_op_has(a, 2)) return NULL;
    return (const float *)a->in[2]->data + group * (g->out_channels / g->groups);
}

/* One product: rows of `images` images from at.image on. */
typedef struct panel {
    dp_conv_place at;
    int64_t images, width; /* width: positions of all of them */
    float *y;              /* [channels of the group, width], rows y_stride apart */
    int64_t y_stride;
} panel;

static const float *input_of(const dp_op_args *a, const dp_conv *g, int64_t image, int64_t group) {
    return (const float *)a->in[0]->data +
           (image * g->groups + group) * (g->channels / g->groups) * dp_conv_plane(g);
}

static void take_columns(const dp_op_args *a, const dp_conv *g, const panel *p, int64_t channel,
                         int64_t channels, float *columns) {
    int64_t each = p->at.rows * dp_conv_width(g);
    dp_conv_part part = {p->at.row, p->at.rows, channel, channels, p->width};
    for (int64_t i = 0; i < p->images; i++)
        dp_conv_columns(g, input_of(a, g, p->at.image + i, p->at.group), part, columns + i * each);
}

/* Frames image by image; lines and places of them are the product's. */
static void take_frames(const dp_op_args *a, const dp_conv *g, const cut *c, const panel *p,
                        const workspace *ws, dp_gemm *product) {
    int64_t channel = product->kept_from / dp_conv_taps(g), channels = product->k / dp_conv_taps(g);
    int64_t size = dp_conv_frame_size(&c->frame), each = p->at.rows * dp_conv_width(g);
    dp_conv_part part = {p->at.row, p->at.rows, channel, channels, 0};
    int64_t first = c->frame.direct ? p->at.row * g->in[2] : 0;
    for (int64_t i = 0; i < p->images; i++) {
        int64_t step = c->frame.direct ? g->channels * size : channels * size;
        if (!c->frame.direct)
            dp_conv_frame_fill(g, &c->frame, input_of(a, g, p->at.image + i, p->at.group), part,
                               ws->columns + i * step);
        dp_conv_frame_places(g, &c->frame, p->at.rows, first + i * step, ws->places + i * each);
    }
    dp_conv_frame_lines(g, &c->frame, channels, ws->lines);
    product->lines = ws->lines;
    product->places = ws->places;
    product->b = c->frame.direct ? input_of(a, g, p->at.image, p->at.group) : ws->columns;
}

/* The right operand of a slice of the depth. */
static void take_operand(const dp_op_args *a, const dp_conv *g, const cut *c, const panel *p,
                         const workspace *ws, dp_gemm *product) {
    int64_t taps = dp_conv_taps(g);
    if (c->from == INPUT) {
        product->b = input_of(a, g, p->at.image, p->at.group) + p->at.row * dp_conv_width(g);
        product->ldb = dp_conv_plane(g);
    } else if (c->from == COLUMNS) {
        take_columns(a, g, p, product->kept_from / taps, product->k / taps, ws->columns);
        product->b = ws->columns;
        product->ldb = p->width;
    } else {
        take_frames(a, g, c, p, ws, product);
    }
}

/* y = bias + weights times patches, slice by slice of the depth. */
static void multiply(const dp_op_args *a, const dp_conv *g, const cut *c, const panel *p,
                     const workspace *ws) {
    int64_t taps = dp_conv_taps(g), depth = dp_conv_depth(g);
    int64_t channels = g->out_channels / g->groups, all = g->channels / g->groups;
    const float *w = (const float *)a->in[1]->data + p->at.group * channels * depth;
    for (int64_t first = 0, n; first == 0 || first < all; first += n) { /* once if there are none */
        n = all - first < c->channels ? all - first : c->channels;
        dp_gemm product = {.rough = a->rough,
                           .m = channels,
                           .n = p->width,
                           .k = n * taps,
                           .a = w + first * taps,
                           .lda = depth,
                           .kept = a->kept ? &a->kept[p->at.group] : NULL,
                           .kept_from = first * taps,
                           .beta = first > 0 ? 1.0F : 0.0F,
                           .bias = first > 0 ? NULL : bias_of(a, g, p->at.group),
                           .c = p->y,
                           .ldc = p->y_stride};
        take_operand(a, g, c, p, ws, &product);
        dp_gemm_run(&product);
    }
}

/* From [channels, images, positions] to where each image's outputs belong. */
static void deal_out(const dp_conv *g, const panel *p, float *y) {
    int64_t channels = g->out_channels / g->groups, positions = dp_conv_positions(g);
    for (int64_t i = 0; i < p->images; i++)
        for (int64_t c = 0; c < channels; c++)
            memcpy(y + ((p->at.image + i) * g->out_channels + p->at.group * channels + c) *
                           positions,
                   p->y + c * p->width + i * positions, (size_t)positions * sizeof *y);
}

static void forward_panel(const dp_op_args *a, const dp_conv *g, const cut *c, dp_conv_place at,
                          const workspace *ws) {
    int64_t left = a->in[0]->dim[0] - at.image, size = g->out_channels * dp_conv_positions(g);
    float *y = a->out[0]->data;
    panel p = {.at = at, .images = left < c->images ? left : c->images};
    p.width = p.images * at.rows * dp_conv_width(g);
    p.y = ws->product;
    p.y_stride = p.width;
    if (c->images == 1) {
        p.y = y + at.image * size + at.group * (size / g->groups) + at.row * dp_conv_width(g);
        p.y_stride = dp_conv_positions(g);
    }
    multiply(a, g, c, &p, ws);
    if (c->images > 1) deal_out(g, &p, y);
    for (int64_t i = 0; i < p.images; i++, at.image++)
        dp_conv_show(a, g, at, y + at.image * size, NULL);
}

static void forward_panels(const dp_op_args *a, const dp_conv *g) {
    cut c = cut_work(a, g, a->rough);
    workspace ws = divide_scratch(a, g, &c);
    int64_t all = dp_conv_rows(g);
    for (int64_t image = 0; image < a->in[0]->dim[0]; image += c.images)
        for (int64_t group = 0; group < g->groups; group++)
            for (int64_t row = 0; row < all; row += c.rows) {
                int64_t rows = all - row < c.rows ? all - row : c.rows;
                forward_panel(a, g, &c, (dp_conv_place){image, group, row, rows}, &ws);
            }
}

static void add_bias(const float *bias, float *y, int64_t channels, int64_t positions) {
    for (int64_t c = 0; bias && c < channels; c++, y += positions)
        for (int64_t p = 0; p < positions; p++) y[p] += bias[c];
}

static void forward_depthwise(const dp_op_args *a, const dp_conv *g) {
    int64_t positions = dp_conv_positions(g);
    float *y = a->out[0]->data;
    for (int64_t i = 0; i < a->in[0]->dim[0]; i++, y += g->out_channels * positions) {
        dp_conv_depthwise_forward(g, input_of(a, g, i, 0), a->in[1]->data, y);
        add_bias(bias_of(a, g, 0), y, g->channels, positions);
        for (int64_t c = 0; c < g->groups; c++)
            dp_conv_show(a, g, (dp_conv_place){i, c, 0, dp_conv_rows(g)}, y, NULL);
    }
}

static void take_norms(const dp_op_args *a, const dp_conv *g) {
    cut c = cut_work(a, g, a->rough);
    workspace ws = divide_scratch(a, g, &c);
    int64_t norms = g->groups * dp_conv_positions(g);
    for (int64_t i = 0; i < a->in[0]->dim[0]; i++)
        dp_conv_norms(g, input_of(a, g, i, 0), a->port->x2[0] + i * norms, ws.norms);
}

dp_status dp_conv_forward(const dp_op_args *a, dp_error *err) {
    dp_conv g;
    dp_status status = dp_conv_read(a, &g, err);
    if (status != DP_OK) return status;
    if (a->port && a->port->norms) take_norms(a, &g);
    if (dp_conv_depthwise(&g))
        forward_depthwise(a, &g);
    else
        forward_panels(a, &g);
    return DP_OK;
}
