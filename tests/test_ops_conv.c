/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conv against its defining sum: values, what the port is told of every output, and gradients. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "oracle.h"
#include "site_rig.h"
#include "suites.h"

#define WANT_F32(...)                                                                              \
    { .dtype = DP_F32, OP_DIM(__VA_ARGS__) }
#define CONSTANT_F32(...)                                                                          \
    { .dtype = DP_F32, OP_DIM(__VA_ARGS__), .constant = true }

/* clang-format off */
const op_case op_cases_conv[] = {
    {"Conv", 1, .in = {OP_F32(2, 3, 5, 4), OP_F32(4, 3, 3, 2), OP_F32(4)},
     .attrs = {OP_INTS("pads", 1, 0, 2, 1), OP_INTS("strides", 2, 1)}, .want = {WANT_F32(2, 4, 3, 4)}},
    {"Conv", 11, .in = {OP_F32(2, 4, 5, 5), CONSTANT_F32(6, 2, 3, 3)}, .frozen = 2,
     .attrs = {OP_INT("group", 2), OP_INTS("dilations", 2, 1)}, .want = {WANT_F32(2, 6, 1, 3)}},
    {"Conv", 11, .in = {OP_F32(2, 3, 6, 5), OP_F32(3, 1, 3, 3), OP_F32(3)},
     .attrs = {OP_INT("group", 3), OP_INTS("strides", 2, 2), OP_STRING("auto_pad", "SAME_UPPER")},
     .want = {WANT_F32(2, 3, 3, 3)}},
    {"Conv", 11, .in = {OP_F32(1, 2, 4, 4), OP_F32(4, 1, 2, 2)},
     .attrs = {OP_INT("group", 2), OP_STRING("auto_pad", "VALID")}, .want = {WANT_F32(1, 4, 3, 3)}},
    {"Conv", 11, .in = {OP_F32(2, 3, 4, 3), OP_F32(5, 3, 1, 1), OP_F32(5)},
     .want = {WANT_F32(2, 5, 4, 3)}},
    {"Conv", 11, .in = {OP_F32(2, 3, 9), OP_F32(4, 3, 3), OP_F32(4)},
     .attrs = {OP_INTS("kernel_shape", 3), OP_INTS("strides", 2), OP_INTS("dilations", 2),
               OP_INTS("pads", 2, 1)}, .want = {WANT_F32(2, 4, 4)}},
    {"Conv", 11, .in = {OP_F32(2, 4, 4, 3, 5), OP_F32(4, 2, 2, 3, 2), OP_F32(4)},
     .attrs = {OP_INT("group", 2), OP_INTS("pads", 1, 0, 1, 0, 1, 2), OP_INTS("strides", 2, 1, 3)},
     .want = {WANT_F32(2, 4, 2, 2, 3)}},
    {"Conv", 11, .in = {OP_F32(1, 2, 4, 3, 2), OP_F32(2, 1, 3, 2, 2)},
     .attrs = {OP_INT("group", 2), OP_STRING("auto_pad", "SAME_LOWER")}, .want = {WANT_F32(1, 2, 4, 3, 2)}},
    {"Conv", 11, .in = {OP_F32(0, 3, 4, 4), OP_F32(5, 3, 3, 3)}, .want = {WANT_F32(0, 5, 2, 2)}},

    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 2, 3, 3)}, .status = DP_EFORMAT,
     .refused = "3 input channels"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3)}, .status = DP_EFORMAT,
     .refused = "weights of rank 3"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4, 4, 4), OP_F32(4, 3, 3, 3, 3, 3)}, .status = DP_EUNSUPPORTED,
     .refused = "rank 6"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 5, 3)}, .status = DP_EFORMAT,
     .refused = "kernel reaches over 5"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3, 3)}, .status = DP_EFORMAT,
     .attrs = {OP_INTS("kernel_shape", 3, 2)}, .refused = "kernel_shape"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3, 3)}, .status = DP_EFORMAT,
     .attrs = {OP_INTS("strides", 0, 1)}, .refused = "strides"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3, 3)}, .status = DP_EFORMAT,
     .attrs = {OP_INTS("pads", 1, 1)}, .refused = "pads has 2 entries for 2 axes"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3, 3)}, .status = DP_EUNSUPPORTED,
     .attrs = {OP_INTS("pads", 1, 1, -1, 1)}, .refused = "pads has the entry -1"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3, 3), OP_F32(3)}, .status = DP_EFORMAT,
     .refused = "bias"},
    {"Conv", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 3, 3, 3)}, .status = DP_EFORMAT,
     .attrs = {OP_INT("group", 0)}, .refused = "groups"},
    {"Conv", 11, .in = {OP_F32(1, 1, 4, 4), OP_F32(1, 1, 1, 1)}, .status = DP_ERANGE,
     .attrs = {OP_INTS("pads", 2147483647, 2147483647, 2147483647, 2147483647)},
     .refused = "cannot have shape"},
    {0},
};

/* Geometries for the oracle: batch > 1 everywhere, sizes that no two axes share. */
static const struct geometry {
    const char *name;
    oracle_conv g;
    const char *auto_pad;
    int64_t samples; /* images / samples images each */
    bool flat;       /* one-dimensional */
} geometries[] = {
    {"plain", {3, 5, 7, 1, {9, 11}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 3, 0},
    {"uneven kernel", {2, 3, 4, 1, {8, 7}, {2, 4}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 2, 0},
    {"asymmetric pads", {2, 3, 4, 1, {6, 7}, {3, 2}, {1, 1}, {1, 1}, {2, 0}, {1, 3}, {0}}, "NOTSET", 2, 0},
    {"padding beyond the kernel", {2, 2, 3, 1, {4, 5}, {2, 3}, {1, 1}, {1, 1}, {4, 5}, {3, 6}, {0}}, "NOTSET", 2, 0},
    {"stride 2", {2, 3, 5, 1, {9, 8}, {3, 3}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"strides 3 and 2", {2, 3, 5, 1, {11, 9}, {4, 3}, {3, 2}, {1, 1}, {1, 2}, {0, 1}, {0}}, "NOTSET", 2, 0},
    {"stride beyond the kernel", {2, 3, 4, 1, {10, 11}, {1, 2}, {3, 4}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 2, 0},
    {"dilation", {2, 3, 4, 1, {12, 11}, {3, 2}, {1, 2}, {3, 4}, {2, 1}, {3, 2}, {0}}, "NOTSET", 2, 0},
    {"two groups", {2, 6, 8, 2, {7, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"three groups, stride, dilation", {2, 6, 9, 3, {9, 10}, {2, 3}, {2, 1}, {2, 2}, {1, 2}, {2, 1}, {0}}, "NOTSET", 2, 0},
    {"one channel a group, two outputs", {2, 4, 8, 4, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"depthwise", {2, 5, 5, 5, {8, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"depthwise, stride, dilation", {2, 5, 5, 5, {11, 12}, {3, 2}, {2, 3}, {2, 1}, {2, 0}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"pointwise", {3, 6, 4, 1, {5, 7}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 3, 0},
    {"pointwise in groups", {3, 6, 9, 3, {5, 7}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 3, 0},
    {"pointwise, stride 2", {2, 6, 4, 1, {5, 8}, {1, 1}, {2, 2}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 2, 0},
    {"pointwise, padded", {2, 3, 4, 1, {3, 4}, {1, 1}, {1, 1}, {1, 1}, {1, 0}, {0, 2}, {0}}, "NOTSET", 2, 0},
    {"pointwise depthwise", {2, 4, 4, 4, {3, 5}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 2, 0},
    {"one channel", {2, 1, 1, 1, {7, 8}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"the whole input", {3, 4, 6, 1, {5, 6}, {5, 6}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 3, 0},
    {"SAME_UPPER", {2, 3, 4, 1, {7, 8}, {4, 2}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "SAME_UPPER", 2, 0},
    {"SAME_UPPER, strides", {2, 3, 4, 1, {7, 9}, {3, 4}, {2, 3}, {1, 1}, {0}, {0}, {0}}, "SAME_UPPER", 2, 0},
    {"SAME_LOWER", {2, 3, 4, 1, {7, 8}, {4, 2}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "SAME_LOWER", 2, 0},
    {"SAME_LOWER, strides, dilation", {2, 3, 4, 1, {8, 9}, {4, 2}, {2, 3}, {1, 3}, {0}, {0}, {0}}, "SAME_LOWER", 2, 0},
    {"SAME, stride beyond the kernel", {2, 3, 4, 1, {9, 10}, {1, 2}, {3, 4}, {1, 1}, {0}, {0}, {0}}, "SAME_UPPER", 2, 0},
    {"VALID", {2, 3, 4, 1, {7, 8}, {4, 2}, {2, 1}, {1, 1}, {0}, {0}, {0}}, "VALID", 2, 0},
    {"1-D", {3, 4, 5, 1, {1, 17}, {1, 3}, {1, 1}, {1, 1}, {0, 1}, {0, 1}, {0}}, "NOTSET", 3, 1},
    {"1-D, stride, dilation, pads", {2, 4, 6, 2, {1, 23}, {1, 4}, {1, 3}, {1, 2}, {0, 5}, {0, 2}, {0}}, "NOTSET", 2, 1},
    {"1-D depthwise", {2, 6, 6, 6, {1, 19}, {1, 5}, {1, 2}, {1, 1}, {0, 4}, {0, 0}, {0}}, "NOTSET", 2, 1},
    {"1-D SAME_LOWER", {2, 3, 4, 1, {1, 10}, {1, 4}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "SAME_LOWER", 2, 1},
    {"1-D pointwise", {2, 3, 4, 1, {1, 10}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 2, 1},
    {"images of one sample", {6, 3, 4, 1, {5, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"images of one sample, groups", {6, 4, 6, 2, {5, 6}, {3, 3}, {2, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 3, 0},
    {"images of one sample, depthwise", {6, 4, 4, 4, {5, 6}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"images of one sample, pointwise", {4, 5, 6, 1, {3, 4}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}, "NOTSET", 1, 0},
    {"several images and slices", {5, 70, 3, 1, {6, 5}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 5, 0},
    {"slices of groups", {3, 240, 4, 2, {5, 4}, {2, 2}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0}}, "NOTSET", 3, 0},
    {"several blocks of rows", {2, 20, 3, 1, {70, 65}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}, "NOTSET", 2, 0},
    {"several blocks of rows, groups, stride", {1, 40, 4, 2, {90, 131}, {5, 3}, {2, 2}, {1, 1}, {2, 1}, {2, 1}, {0}}, "NOTSET", 1, 0},
    {"a row beyond the block", {1, 64, 2, 1, {7, 184}, {5, 5}, {1, 1}, {1, 1}, {2, 2}, {2, 2}, {0}}, "NOTSET", 1, 0},
};
/* clang-format on */

enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

typedef struct fixture {
    const struct geometry *from;
    oracle_conv g;
    float *x, *w, *b;
    int64_t numbers[4][4];
    site_rig s;
} fixture;

static void set_ints(fixture *f, int k, const char *name, const int64_t *values, int count) {
    memcpy(f->numbers[k], values, (size_t)count * sizeof *values);
    f->s.c.attrs[k] =
        (dp_attr){.name = name, .kind = DP_ATTR_INTS, .ints = f->numbers[k], .count = count};
}

static void describe(fixture *f) {
    const oracle_conv *g = &f->g;
    int skip = f->from->flat ? 1 : 0, axes = 2 - skip;
    f->s.c = (op_case){.op = "Conv", .opset = 11, .frozen = 6};
    int64_t x[4] = {g->images, g->channels}, w[4] = {g->out_channels, g->channels / g->groups};
    int64_t pads[4];
    for (int i = 0; i < axes; i++) {
        x[2 + i] = g->in[skip + i];
        w[2 + i] = g->kernel[skip + i];
        pads[i] = g->pad[skip + i];
        pads[axes + i] = g->end[skip + i];
    }
    f->s.c.in[0] = (op_tensor){.dtype = DP_F32, .rank = 2 + axes, .data = f->x};
    f->s.c.in[1] = (op_tensor){.dtype = DP_F32, .rank = 2 + axes, .data = f->w, .constant = true};
    f->s.c.in[2] = (op_tensor){
        .dtype = DP_F32, .rank = 1, .dim = {g->out_channels}, .data = f->b, .constant = true};
    memcpy(f->s.c.in[0].dim, x, sizeof x);
    memcpy(f->s.c.in[1].dim, w, sizeof w);
    set_ints(f, 0, "strides", g->stride + skip, axes);
    set_ints(f, 1, "dilations", g->dilation + skip, axes);
    f->s.c.attrs[2] = (dp_attr)OP_INT("group", g->groups);
    if (strcmp(f->from->auto_pad, "NOTSET") == 0)
        set_ints(f, 3, "pads", pads, 2 * axes);
    else
        f->s.c.attrs[3] = (dp_attr)OP_STRING("auto_pad", f->from->auto_pad);
}

static void fixture_open(fixture *f, int number) {
    memset(f, 0, sizeof *f);
    f->from = &geometries[number];
    oracle_conv *g = &f->g;
    *g = f->from->g;
    int64_t image = g->channels * g->in[0] * g->in[1];
    int64_t row = g->channels / g->groups * g->kernel[0] * g->kernel[1];
    f->x = oracle_randoms(1, g->images * image);
    f->w = oracle_randoms(2, g->out_channels * row);
    f->b = oracle_randoms(3, g->out_channels);
    oracle_conv_place(g, f->from->auto_pad);
    describe(f);
    site_rig_open(&f->s, f->from->name, f->from->samples);
}

static void fixture_close(fixture *f) {
    site_rig_close(&f->s);
    float *blocks[] = {f->x, f->w, f->b};
    for (int i = 0; i < 3; i++) dp_free(blocks[i]);
}

static int64_t positions(const oracle_conv *g) {
    return g->out[0] * g->out[1];
}

/* The four indices of an output by its number. */
static void locate(const oracle_conv *g, int64_t number, int64_t at[4]) {
    at[3] = number % g->out[1];
    at[2] = number / g->out[1] % g->out[0];
    at[1] = number / positions(g) % g->out_channels;
    at[0] = number / positions(g) / g->out_channels;
}

START_TEST(outputs_are_the_defining_sum) {
    fixture f;
    fixture_open(&f, _i);
    f.s.run.args.port = NULL; /* clean */
    ck_assert_msg(op_run_forward(&f.s.run), "%s: %s", f.from->name, f.s.run.why);
    const dp_tensor *y = &f.s.run.out[0];
    int64_t dims[] = {f.g.images, f.g.out_channels, f.g.out[f.from->flat], f.g.out[1]};
    ck_assert_int_eq(y->rank, f.from->flat ? 3 : 4);
    for (int i = 0; i < y->rank; i++) ck_assert_int_eq(y->dim[i], dims[i]);
    for (int64_t i = 0; i < f.s.outputs; i++) {
        int64_t at[4];
        locate(&f.g, i, at);
        oracle_sum want = oracle_conv_at(&f.g, f.x, f.w, f.b, at);
        double is = (double)((const float *)y->data)[i];
        ck_assert_msg(oracle_near(is, want), "%s: output %d is %g, not %g", f.from->name, (int)i,
                      is, want.value);
    }
    fixture_close(&f);
}
END_TEST

static void check_told(const fixture *f) {
    for (int64_t i = 0; i < f->s.outputs; i++) {
        int64_t at[4];
        locate(&f->g, i, at);
        double norm = oracle_conv_norm(&f->g, f->x, at);
        ck_assert_int_eq(f->s.port.channel[i], at[1]);
        site_rig_check_norm(&f->s, i, (oracle_sum){norm, norm + 1e-6});
    }
}

START_TEST(the_port_sees_every_output_once_with_the_norm_of_its_patch) {
    fixture f;
    fixture_open(&f, _i);
    site_rig_forward(&f.s);
    site_rig_check_outputs(&f.s, 0);
    check_told(&f);
    fixture_close(&f);
}
END_TEST

START_TEST(what_the_port_adds_stays) {
    fixture f;
    fixture_open(&f, _i);
    f.s.port.add = 16;
    site_rig_forward(&f.s);
    site_rig_check_outputs(&f.s, 16);
    fixture_close(&f);
}
END_TEST

static oracle_sum norm_of_weights(const void *self, int64_t sample, int64_t channel) {
    const fixture *f = self;
    const oracle_conv *g = &f->g;
    const float *gy = f->s.run.grad_out[0].data;
    int64_t share = g->images / f->from->samples;
    int64_t images[2] = {sample * share, (sample + 1) * share}, at[4] = {channel, 0, 0, 0};
    oracle_sum norm = {0, 0};
    for (at[1] = 0; at[1] < g->channels / g->groups; at[1]++)
        for (at[2] = 0; at[2] < g->kernel[0]; at[2]++)
            for (at[3] = 0; at[3] < g->kernel[1]; at[3]++)
                oracle_add_square(&norm, oracle_conv_weight(g, f->x, gy, images, at));
    return norm;
}

/* The norm of a sum over a sample's images is not the sum of their norms: it is told once a sample and channel. */
START_TEST(the_port_sees_every_gradient_once_with_the_norm_of_its_weights) {
    fixture f;
    fixture_open(&f, _i);
    site_rig_forward(&f.s);
    site_rig_adjoint(&f.s);
    const float *gy = f.s.run.grad_out[0].data;
    for (int64_t i = 0; i < f.s.outputs; i++)
        ck_assert_msg(f.s.port.value[i] == gy[i], "%s: gradient %d shown as %g, is %g",
                      f.from->name, (int)i, (double)f.s.port.value[i], (double)gy[i]);
    check_told(&f);
    site_rig_check_weights(&f.s, norm_of_weights, &f);
    fixture_close(&f);
}
END_TEST

START_TEST(the_site_counts_what_the_geometry_says) {
    fixture f;
    fixture_open(&f, _i);
    const oracle_conv *g = &f.g;
    const dp_site *site = &f.s.site;
    int64_t depth = g->channels / g->groups * g->kernel[0] * g->kernel[1];
    ck_assert_int_eq(site->channels, g->out_channels);
    ck_assert_int_eq(site->groups, g->groups);
    ck_assert_int_eq(site->depth, depth);
    ck_assert_int_eq(site->macs, g->images * g->out_channels * positions(g) * depth);
    ck_assert_int_eq(site->norms, g->images * g->groups * positions(g));
    ck_assert(site->weight_in == 1 && site->input_in == 0 && site->bias_in == 2);
    fixture_close(&f);
}
END_TEST

START_TEST(convolutions_hold_their_contract) {
    op_case_check(&op_cases_conv[_i]);
}
END_TEST

START_TEST(images_that_cannot_be_dealt_out_to_samples_are_refused) {
    fixture f;
    fixture_open(&f, 0);
    site_rig_check_refusal(&f.s, 2, "3 images");
    fixture_close(&f);
}
END_TEST

Suite *test_ops_conv_suite(void) {
    Suite *suite = suite_create("ops/conv");
    TCase *tcase = tcase_create("cases");
    tcase_add_loop_test(tcase, convolutions_hold_their_contract, 0, op_case_count(op_cases_conv));
    tcase_add_loop_test(tcase, outputs_are_the_defining_sum, 0, GEOMETRIES);
    tcase_add_loop_test(tcase, the_port_sees_every_output_once_with_the_norm_of_its_patch, 0,
                        GEOMETRIES);
    tcase_add_loop_test(tcase, what_the_port_adds_stays, 0, GEOMETRIES);
    tcase_add_loop_test(tcase, the_port_sees_every_gradient_once_with_the_norm_of_its_weights, 0,
                        GEOMETRIES);
    tcase_add_loop_test(tcase, the_site_counts_what_the_geometry_says, 0, GEOMETRIES);
    tcase_add_test(tcase, images_that_cannot_be_dealt_out_to_samples_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
