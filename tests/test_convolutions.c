/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conv and ConvTranspose over two and three axes. Both join a wide array [images, channels, t, h, w] with a narrow one, whose entry
 * o lies over the wide entries o stride - pad + k dilation, tap k; the weights are [narrow channels, wide channels of a group,
 * taps] for both. Conv goes from wide to narrow and ConvTranspose back, so one sum over all pairs and taps says what each gives.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "oracle.h"
#include "site_rig.h"
#include "suites.h"

typedef struct geometry {
    const char *name;
    int64_t images, samples, groups, wide_channels, narrow_channels; /* channels of a group */
    int64_t wide[3], kernel[3], stride[3], dilation[3], pads[6];     /* wide[0] of 1: two axes */
} geometry;

/* clang-format off */
static const geometry geometries[] = {
    {"plain", 2, 2, 1, 3, 4, {4, 5, 6}, {3, 2, 3}, {1, 1, 1}, {1, 1, 1}, {0}},
    {"pads", 2, 2, 1, 2, 3, {3, 5, 4}, {3, 3, 2}, {1, 1, 1}, {1, 1, 1}, {1, 0, 2, 1, 1, 0}},
    {"strides", 2, 2, 1, 3, 2, {7, 5, 9}, {3, 3, 3}, {2, 1, 3}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}},
    {"strides and dilation in groups", 2, 2, 2, 2, 3, {9, 7, 8}, {2, 3, 2}, {2, 1, 2}, {3, 2, 1}, {2, 0, 1, 2, 1, 1}},
    {"depthwise", 2, 2, 4, 1, 1, {5, 6, 4}, {3, 3, 2}, {2, 2, 1}, {1, 1, 2}, {1, 1, 0, 1, 0, 1}},
    {"pointwise", 2, 2, 1, 3, 5, {2, 3, 4}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0}},
    {"over the first axis only", 2, 2, 1, 3, 4, {6, 2, 3}, {3, 1, 1}, {1, 1, 1}, {1, 1, 1}, {1, 0, 0, 1, 0, 0}},
    {"images of one sample", 4, 2, 2, 2, 2, {4, 3, 5}, {2, 3, 2}, {1, 2, 1}, {1, 1, 1}, {0, 1, 0, 1, 1, 0}},
    {"several blocks of rows", 1, 1, 1, 40, 2, {9, 8, 33}, {3, 3, 3}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1, 1, 1, 1}},
    {"two axes, plain", 3, 3, 1, 3, 4, {1, 6, 6}, {1, 3, 2}, {1, 1, 1}, {1, 1, 1}, {0}},
    {"two axes, stride 2", 2, 2, 1, 5, 3, {1, 8, 10}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1, 0, 1, 1}},
    {"two axes, stride is the kernel", 2, 2, 1, 4, 3, {1, 6, 12}, {1, 2, 3}, {1, 2, 3}, {1, 1, 1}, {0}},
    {"two axes, stride beyond the kernel", 2, 2, 1, 4, 3, {1, 10, 14}, {1, 2, 1}, {1, 3, 4}, {1, 1, 1}, {0}},
    {"two axes, asymmetric pads, dilation", 2, 2, 1, 3, 2, {1, 10, 6}, {1, 3, 2}, {1, 2, 1}, {1, 2, 3}, {0, 2, 0, 0, 1, 3}},
    {"two axes, groups", 2, 2, 3, 2, 2, {1, 7, 6}, {1, 2, 3}, {1, 2, 1}, {1, 1, 2}, {0, 1, 0, 0, 0, 1}},
    {"two axes, depthwise", 2, 2, 4, 1, 1, {1, 5, 9}, {1, 3, 3}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1, 0, 1, 1}},
    {"two axes, pointwise", 2, 2, 1, 4, 5, {1, 3, 4}, {1, 1, 1}, {1, 1, 1}, {1, 1, 1}, {0}},
    {"two axes, images of one sample", 6, 2, 2, 3, 2, {1, 6, 5}, {1, 3, 2}, {1, 2, 1}, {1, 1, 1}, {0, 1, 0, 0, 0, 0}},
    {"strides, dilation and pads", 4, 2, 2, 3, 2, {7, 3, 10}, {2, 3, 2}, {2, 1, 3}, {2, 1, 1}, {1, 0, 1, 0, 1, 0}},
    {"two axes, several blocks of rows", 2, 1, 1, 40, 2, {1, 16, 128}, {1, 4, 4}, {1, 2, 2}, {1, 1, 1}, {0, 1, 1, 0, 1, 1}},
};
/* clang-format on */
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

typedef struct fixture {
    const geometry *g;
    bool transposed;
    int64_t narrow[3], pads[6],
        left[3]; /* left: wide entries behind what the last narrow one reaches */
    int64_t inputs, channels, taps, outputs, weight_count; /* outputs: of all images */
    float *x, *w, *b;
    site_rig s;
    oracle_sum *y, *norm2, *weights; /* [outputs] twice, [samples, weights] */
} fixture;

static int64_t product(const int64_t n[3]) {
    return n[0] * n[1] * n[2];
}

/* Entries from the first tap's to the last one's. */
static int64_t reach(const geometry *g, int axis) {
    return (g->kernel[axis] - 1) * g->dilation[axis] + 1;
}

static void split(int64_t number, const int64_t n[3], int64_t at[3]) {
    at[2] = number % n[2];
    at[1] = number / n[2] % n[1];
    at[0] = number / n[2] / n[1];
}

/* Number of the wide entry under tap k of narrow entry o; -1: padding. */
static int64_t under(const fixture *f, int64_t o, int64_t k) {
    const geometry *g = f->g;
    int64_t at[3], tap[3], number = 0;
    split(o, f->narrow, at);
    split(k, g->kernel, tap);
    for (int i = 0; i < 3; i++) {
        int64_t place = at[i] * g->stride[i] + tap[i] * g->dilation[i] - g->pads[i];
        if (place < 0 || place >= g->wide[i]) return -1;
        number = number * g->wide[i] + place;
    }
    return number;
}

/* All that joins channel `wide` of a group with channel `narrow` of all: both counted from the first group. */
static void add_pair(fixture *f, int64_t image, int64_t narrow, int64_t wide) {
    const geometry *g = f->g;
    int64_t channel = narrow / g->narrow_channels * g->wide_channels + wide;
    int64_t wide_first = (image * g->groups * g->wide_channels + channel) * product(g->wide);
    int64_t narrow_first = (image * g->groups * g->narrow_channels + narrow) * product(f->narrow);
    int64_t first = (narrow * g->wide_channels + wide) * f->taps;
    const float *gy = f->s.run.grad_out[0].data;
    for (int64_t i = 0; i < product(f->narrow) * f->taps; i++) {
        int64_t o = i / f->taps, weight = first + i % f->taps, entry = under(f, o, i % f->taps);
        if (entry < 0) continue;
        int64_t from = f->transposed ? narrow_first + o : wide_first + entry;
        int64_t to = f->transposed ? wide_first + entry : narrow_first + o;
        double x = (double)f->x[from];
        int64_t sample = image / (g->images / g->samples);
        oracle_add(&f->y[to], x * (double)f->w[weight]);
        oracle_add(&f->norm2[to], x * x);
        oracle_add(&f->weights[sample * f->weight_count + weight], x * (double)gy[to]);
    }
}

static int64_t channel_of(const fixture *f, int64_t output) {
    return output / product(f->transposed ? f->g->wide : f->narrow) % f->channels;
}

static void sum_up(fixture *f) {
    const geometry *g = f->g;
    f->y = dp_alloc((size_t)f->outputs, sizeof *f->y);
    f->norm2 = dp_alloc((size_t)f->outputs, sizeof *f->norm2);
    f->weights = dp_alloc((size_t)(g->samples * f->weight_count), sizeof *f->weights);
    for (int64_t i = 0; i < f->outputs; i++) oracle_add(&f->y[i], (double)f->b[channel_of(f, i)]);
    for (int64_t image = 0; image < g->images; image++)
        for (int64_t narrow = 0; narrow < g->groups * g->narrow_channels; narrow++)
            for (int64_t wide = 0; wide < g->wide_channels; wide++)
                add_pair(f, image, narrow, wide);
}

static dp_attr ints(const char *name, const int64_t *values, int count) {
    return (dp_attr){.name = name, .kind = DP_ATTR_INTS, .ints = values, .count = count};
}

static op_tensor array(int axes, int64_t first, int64_t second, const int64_t *size,
                       const float *data) {
    op_tensor t = {.dtype = DP_F32, .rank = 2 + axes, .dim = {first, second}, .data = data};
    memcpy(t.dim + 2, size, (size_t)axes * sizeof *size);
    return t;
}

static void describe(fixture *f) {
    const geometry *g = f->g;
    int axes = g->wide[0] > 1 ? 3 : 2, skip = 3 - axes;
    const int64_t *in = f->transposed ? f->narrow : g->wide;
    for (int i = 0; i < axes; i++) {
        f->pads[i] = g->pads[skip + i];
        f->pads[axes + i] = g->pads[3 + skip + i];
    }
    for (int i = 0; i < 3; i++)
        f->left[i] = (g->wide[i] + g->pads[i] + g->pads[3 + i] - reach(g, i)) % g->stride[i];
    f->s.c = (op_case){
        .op = f->transposed ? "ConvTranspose" : "Conv",
        .opset = 11,
        .in = {array(axes, g->images, f->inputs, in + skip, f->x),
               array(axes, g->groups * g->narrow_channels, g->wide_channels, g->kernel + skip,
                     f->w),
               {DP_F32, 1, {f->channels}, .data = f->b}},
        .attrs = {OP_INT("group", g->groups), ints("strides", g->stride + skip, axes),
                  ints("dilations", g->dilation + skip, axes), ints("pads", f->pads, 2 * axes)}};
    if (f->transposed) f->s.c.attrs[4] = ints("output_padding", f->left + skip, axes);
}

static void fixture_open(fixture *f, int number) {
    memset(f, 0, sizeof *f);
    const geometry *g = f->g = &geometries[number / 2];
    f->transposed = number % 2;
    for (int i = 0; i < 3; i++)
        f->narrow[i] = (g->wide[i] + g->pads[i] + g->pads[3 + i] - reach(g, i)) / g->stride[i] + 1;
    int64_t wide = g->groups * g->wide_channels, narrow = g->groups * g->narrow_channels;
    f->taps = product(g->kernel);
    f->inputs = f->transposed ? narrow : wide;
    f->channels = f->transposed ? wide : narrow;
    f->outputs = g->images * f->channels * product(f->transposed ? g->wide : f->narrow);
    f->weight_count = narrow * g->wide_channels * f->taps;
    f->x = oracle_randoms(1, g->images * f->inputs * product(f->transposed ? f->narrow : g->wide));
    f->w = oracle_randoms(2, f->weight_count);
    f->b = oracle_randoms(3, f->channels);
    describe(f);
    site_rig_open(&f->s, g->name, g->samples);
    ck_assert_int_eq(f->s.outputs, f->outputs);
    sum_up(f);
}

static void fixture_close(fixture *f) {
    site_rig_close(&f->s);
    void *blocks[] = {f->x, f->w, f->b, f->y, f->norm2, f->weights};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dp_free(blocks[i]);
}

START_TEST(outputs_are_the_defining_sum_and_the_port_sees_them_once) {
    fixture f;
    fixture_open(&f, _i);
    f.s.port.add = 16;
    site_rig_forward(&f.s);
    for (int64_t i = 0; i < f.outputs; i++) {
        ck_assert_int_eq(f.s.port.channel[i], channel_of(&f, i));
        site_rig_check_value(&f.s, i, f.y[i]);
        site_rig_check_norm(&f.s, i, f.norm2[i]);
    }
    site_rig_check_outputs(&f.s, 16);
    fixture_close(&f);
}
END_TEST

/* Where in the weights weight d of an output channel is. */
static int64_t weight_at(const fixture *f, int64_t channel, int64_t d) {
    const geometry *g = f->g;
    if (!f->transposed) return channel * g->wide_channels * f->taps + d;
    int64_t group = channel / g->wide_channels, tap = d % f->taps;
    int64_t narrow = group * g->narrow_channels + d / f->taps;
    return (narrow * g->wide_channels + channel % g->wide_channels) * f->taps + tap;
}

/* Squared norm of the gradient of the weights that lead to one output channel. */
static oracle_sum norm_of_weights(const void *self, int64_t sample, int64_t channel) {
    const fixture *f = self;
    oracle_sum norm = {0, 0};
    for (int64_t d = 0; d < f->inputs / f->g->groups * f->taps; d++)
        oracle_add_square(&norm, f->weights[sample * f->weight_count + weight_at(f, channel, d)]);
    return norm;
}

START_TEST(the_port_sees_every_gradient_once_with_the_norm_of_its_weights) {
    fixture f;
    fixture_open(&f, _i);
    site_rig_forward(&f.s);
    site_rig_adjoint(&f.s);
    for (int64_t i = 0; i < f.outputs; i++) {
        ck_assert(f.s.port.value[i] == ((const float *)f.s.run.grad_out[0].data)[i]);
        site_rig_check_norm(&f.s, i, f.norm2[i]);
    }
    site_rig_check_weights(&f.s, norm_of_weights, &f);
    fixture_close(&f);
}
END_TEST

/* Rows of the weights are found by the site's layout; each element belongs to one. */
START_TEST(the_site_says_where_its_weights_are) {
    fixture f;
    fixture_open(&f, _i);
    const geometry *g = f.g;
    const dp_site *site = &f.s.site;
    ck_assert_int_eq(site->channels, f.channels);
    ck_assert_int_eq(site->groups, g->groups);
    ck_assert_int_eq(site->depth, f.inputs / g->groups * f.taps);
    ck_assert_int_eq(site->macs, f.outputs * site->depth);
    ck_assert_int_eq(site->norms, f.outputs / (f.channels / g->groups));
    ck_assert(site->weight_in == 1 && site->input_in == 0 && site->bias_in == 2);
    for (int64_t channel = 0; channel < f.channels; channel++)
        for (int64_t d = 0; d < site->depth; d++) {
            ck_assert_int_eq(dp_site_weight(site, channel, d), weight_at(&f, channel, d));
            ck_assert_int_eq(dp_site_weight_channel(site, weight_at(&f, channel, d)), channel);
        }
    site_rig_check_refusal(&f.s, g->images + 1, "images for");
    fixture_close(&f);
}
END_TEST

Suite *test_convolutions_suite(void) {
    Suite *suite = suite_create("convolutions");
    TCase *tcase = tcase_create("both ways");
    tcase_add_loop_test(tcase, outputs_are_the_defining_sum_and_the_port_sees_them_once, 0,
                        2 * GEOMETRIES);
    tcase_add_loop_test(tcase, the_port_sees_every_gradient_once_with_the_norm_of_its_weights, 0,
                        2 * GEOMETRIES);
    tcase_add_loop_test(tcase, the_site_says_where_its_weights_are, 0, 2 * GEOMETRIES);
    suite_add_tcase(suite, tcase);
    return suite;
}
