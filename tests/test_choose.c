/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * By how much operands are centred, balanced and evened before anything is learned. Networks are made so that what can be gained is known; noise
 * is drawn, beside what the engine states and what was expected.
 *
 * A mean square of N normals is off by sqrt(2 / N) of itself, so 6 standard errors of 300,000 draws are 1.6%.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "dynaprec/npz.h"
#include "engine/expect.h"
#include "rig.h"
#include "scratch.h"
#include "stage.h"
#include "suites.h"

typedef struct plant {
    const char *name;
    int rank, axis;
    int64_t dim[4]; /* of the input */
} plant;

static const plant plants[] = {
    {"Gemm", 2, 1, {-1, INPUTS}},
    {"MatMul", 3, 2, {-1, 3, INPUTS}},
    {"Conv, padded, strided", 4, 1, {-1, INPUTS, 7, 6}},
    {"Conv, depthwise", 4, 1, {-1, INPUTS, 7, 6}},
    {"Conv, groups", 4, 1, {-1, INPUTS, 7, 6}},
};
enum { PLANTS = sizeof plants / sizeof *plants };

static int plant_site(net *n, int which, int x) {
    dp_attr padded[] = {OP_INTS("pads", 1, 1, 1, 1), OP_INTS("strides", 2, 1), {0}};
    dp_attr lone[] = {OP_INTS("pads", 1, 1, 1, 1), OP_INT("group", INPUTS), {0}};
    dp_attr groups[] = {OP_INT("group", 2), {0}};
    if (which == 0) return net_linear(n, x, 40, INPUTS);
    if (which == 1) return net_matmul(n, x, 40, INPUTS);
    if (which == 2) return net_conv(n, x, NET_DIM(16, INPUTS, 3, 3), padded);
    if (which == 3) return net_conv(n, x, NET_DIM(16, 1, 3, 3), lone);
    return net_conv(n, x, NET_DIM(16, INPUTS / 2, 3, 3), groups);
}

/* Mean square of the noise that a network draws at its output. */
static double drawn(const stage *s, const dp_graph *graph, double *stated) {
    rig r = {.n = {.graph = (dp_graph *)(uintptr_t)graph}, .hardware = s->hardware};
    enum { TRIALS = 20 };
    dp_conditioning none = {0};
    dp_engine_options options = {.seed = 1, .conditioning = &none};
    r.data = s->data;
    rig_open(&r, &options);
    double *k = rig_uniform(&r, 1), sum = 0;
    float *clean = rig_run(&r, NULL, 0, 1), *noisy = rig_run(&r, k, 0, TRIALS);
    int64_t count = r.samples * r.size;
    for (int64_t i = 0; i < TRIALS * count; i++) {
        double off = (double)noisy[i] - (double)clean[i % count];
        sum += off * off;
    }
    ck_assert_int_ge(TRIALS * count, 300000);
    int64_t channels = dp_engine_channels(r.engine);
    double *variance = dp_alloc((size_t)channels, sizeof *variance);
    dp_engine_variance(r.engine, variance);
    *stated = 0;
    for (int64_t c = 0; c < channels; c++) *stated += variance[c] / (double)channels;
    dp_free(variance);
    dp_free(k);
    dp_free(clean);
    dp_free(noisy);
    dp_reference_free(r.reference);
    dp_engine_free(r.engine);
    return sum / (double)(TRIALS * count);
}

/* Inputs of spread 1 with means: what is left is 1 of 1 + the mean square of the means, with weights of one size. */
START_TEST(centring_leaves_of_the_noise_what_was_expected) {
    static const float means[INPUTS] = {2, -2, 2, 2, -2, 2, -2, 2};
    const plant *p = &plants[_i];
    stage s;
    double noise = 0, stated[2];
    stage_open(&s, 17);
    int x = net_input(&s.n, "x", DP_F32, p->rank, p->dim);
    int y = plant_site(&s.n, _i, stage_affine(&s.n, x, p->rank, p->axis, stage_ones, means));
    net_output(&s.n, y);
    s.options.condition = DP_CONDITION_CENTRE;
    stage_run(&s);
    const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), &noise);
    ck_assert_msg(done && done->mu && !done->alpha, "%s", p->name);
    for (int j = 0; j < INPUTS; j++)
        ck_assert_float_eq_tol(done->mu[j], means[j], 6 / sqrtf(SAMPLES));
    ck_assert_double_eq_tol(noise, 0.2, 0.004);
    double before = drawn(&s, s.n.graph, &stated[0]);
    double after = drawn(&s, s.condition.graph, &stated[1]);
    ck_assert_double_eq_tol(stated[1] / stated[0], noise, 0.02 * noise);
    ck_assert_double_eq_tol(before, stated[0], 0.02 * stated[0]);
    ck_assert_double_eq_tol(after, stated[1], 0.02 * stated[1]);
    stage_close(&s);
}
END_TEST

/* Input j has size a, its weights size b: (sum a b)² is left of (sum a²)(sum b²) [Cauchy and Schwarz]. */
START_TEST(balancing_leaves_of_the_noise_what_was_expected) {
    static const float a[INPUTS] = {3, 1, 1, 0.5F, 2, 1, 0.75F, 1},
                       b[INPUTS] = {0.5F, 1, 2, 2, 1, 3, 1, 0.25F};
    stage s;
    double noise = 0, stated[2], products = 0, left = 0, right = 0;
    stage_open(&s, 18);
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, stage_affine(&s.n, x, 2, 1, a, stage_zeros), 40, INPUTS);
    float *w =
        s.n.graph->values[s.n.graph->nodes[s.n.graph->values[y].producer].in[1]].constant->data;
    for (int i = 0; i < 40 * INPUTS; i++) w[i] = i / INPUTS % 2 ? b[i % INPUTS] : -b[i % INPUTS];
    for (int j = 0; j < INPUTS; j++) {
        products += (double)(a[j] * b[j]);
        left += (double)(a[j] * a[j]);
        right += (double)(b[j] * b[j]);
    }
    net_output(&s.n, y);
    s.options.condition = DP_CONDITION_BALANCE;
    stage_run(&s);
    const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), &noise);
    ck_assert(done && done->alpha && !done->mu);
    double optimum = products * products / (left * right);
    ck_assert(noise >= optimum && noise < 1.05 * optimum); /* shrinkage costs a little */
    double before = drawn(&s, s.n.graph, &stated[0]);
    double after = drawn(&s, s.condition.graph, &stated[1]);
    ck_assert_double_eq_tol(stated[1] / stated[0], noise, 0.01 * noise);
    ck_assert_double_eq_tol(after / before, noise, 0.03 * noise);
    stage_close(&s);
}
END_TEST

/* Both converters' ranges: weights and inputs that are large in different channels share one range each. */
START_TEST(ranges_are_evened_where_they_make_the_noise) {
    static const float a[INPUTS] = {4, 1, 1, 1, 1, 1, 1, 1};
    stage s;
    double noise = 0;
    stage_open(&s, 19);
    s.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
    s.hardware.signed_inputs = false;
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, stage_affine(&s.n, x, 2, 1, a, stage_zeros), 40, INPUTS);
    float *w =
        s.n.graph->values[s.n.graph->nodes[s.n.graph->values[y].producer].in[1]].constant->data;
    for (int i = 0; i < 40 * INPUTS; i++) w[i] = (i / INPUTS % 2 ? 1.0F : -1.0F) / a[i % INPUTS];
    net_output(&s.n, y);
    stage_run(&s);
    ck_assert_ptr_nonnull(stage_done(&s, net_node_name(&s.n, y), &noise));
    ck_assert_double_lt(noise, 2.0 / 16); /* a sixteenth, but for how extremes differ by chance */
    stage_close(&s);
}
END_TEST

/* 42 positions of each channel, where the first one reaches ten times as far as others in 4 of 16,800 values. */
static void add_spikes(stage *s) {
    enum { POSITIONS = 42 };
    float(*values)[INPUTS][POSITIONS] = dp_alloc(SAMPLES, sizeof *values);
    uint64_t state = 78;
    ck_assert_ptr_nonnull(values);
    for (int i = 0; i < SAMPLES; i++)
        for (int j = 0; j < INPUTS; j++)
            for (int p = 0; p < POSITIONS; p++)
                values[i][j][p] = (float)fmin(4, fmax(-4, net_normal(&state)));
    for (int i = 0; i < 4; i++) values[50 * i + i][0][7] = i < 2 ? 40 : -40;
    dp_tensor t = {.data = values, .borrowed = true};
    dp_tensor_reshape(&t, DP_F32, 4, NET_DIM(SAMPLES, INPUTS, 7, 6));
    static char name[] = "x";
    dp_array array = {name, t};
    dp_input_spec spec;
    dp_engine_inputs(s->n.graph, &spec);
    ck_dp_ok(dp_npz_write(scratch("x.npz"), &array, 1, &err));
    ck_dp_ok(dp_dataset_open(&s->data, scratch("x.npz"), &spec, 1, NULL, &err));
    dp_free(values);
}

/* A converter that cuts at 99.99% never sees them, and one that does not is worth an alpha. */
START_TEST(what_converters_cut_does_not_count) {
    for (int cut = 0; cut < 2; cut++) {
        stage s;
        stage_open(&s, 19);
        s.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
        s.hardware.percentile = cut ? 99.99 : 100;
        int x = net_input(&s.n, "x", DP_F32, 4, NET_DIM(-1, INPUTS, 7, 6));
        int y = net_conv(&s.n, x, NET_DIM(16, INPUTS, 3, 3), NULL);
        net_output(&s.n, y);
        add_spikes(&s);
        stage_run(&s);
        const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), NULL);
        ck_assert_int_eq(done != NULL, !cut);
        for (int j = 1; done && j < INPUTS; j++) ck_assert(done->alpha[0] < 0.3F * done->alpha[j]);
        stage_close(&s);
    }
}
END_TEST

/* Weights are of two sizes, on their 8 bits' levels or between them. Balancing would even ranges out, and take them off the levels. */
START_TEST(what_converters_lose_does_not_grow) {
    static const float a[INPUTS] = {5, 1, 1, 1, 1, 1, 1, 1};
    for (int bits = 0; bits < 9; bits += 8)
        for (int off = 0; off < 2; off++) {
            stage s;
            stage_open(&s, 19);
            s.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
            s.hardware.weight_bits = bits;
            s.hardware.input_bits = 0;
            int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
            int y = net_linear(&s.n, stage_affine(&s.n, x, 2, 1, a, stage_zeros), 40, INPUTS);
            int node = s.n.graph->values[y].producer;
            float *w = s.n.graph->values[s.n.graph->nodes[node].in[1]].constant->data;
            for (int i = 0; i < 40 * INPUTS; i++) {
                float level = i % INPUTS ? 255 : 51;
                w[i] =
                    (i / INPUTS % 2 ? 1.0F : -1.0F) * (level - 0.5F * (float)(off && i % 2)) / 255;
            }
            net_output(&s.n, y);
            stage_run(&s);
            const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), NULL);
            ck_assert_int_eq(done && done->alpha, bits == 0 || off);
            stage_close(&s);
        }
}
END_TEST

Suite *test_choose_suite(void);
Suite *test_choose_suite(void) {
    Suite *suite = suite_create("choose");
    TCase *tests = tcase_create("what is done to operands");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tests, centring_leaves_of_the_noise_what_was_expected, 0, PLANTS);
    tcase_add_test(tests, balancing_leaves_of_the_noise_what_was_expected);
    tcase_add_test(tests, ranges_are_evened_where_they_make_the_noise);
    tcase_add_test(tests, what_converters_cut_does_not_count);
    tcase_add_test(tests, what_converters_lose_does_not_grow);
    suite_add_tcase(suite, tests);
    return suite;
}
