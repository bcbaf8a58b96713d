/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Weights that are kept as products take them: passes give the very bits that they give without, and what is kept follows the weights. */
#include <check.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/kept.h"
#include "kernels/gemm.h"
#include "rig.h"
#include "suites.h"

enum { SAMPLES = 9, CLASSES = 4, CONVOLUTIONS = 4 };

/* Several slices of depth, groups, strides, several images a product and one. */
static void convolutions(net *n) {
    dp_attr pad[] = {OP_INTS("pads", 1, 1, 1, 1), {0}};
    dp_attr grouped[] = {pad[0], OP_INT("group", 2), OP_INTS("strides", 2, 1), {0}};
    dp_attr strided[] = {OP_INTS("strides", 2, 2), {0}};
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 40, 22));
    x = net_op(n, "Relu", NET_IN(net_conv(n, x, NET_DIM(40, 4, 3, 3), pad)), NULL);
    x = net_op(n, "Relu", NET_IN(net_conv(n, x, NET_DIM(64, 20, 3, 3), grouped)), NULL);
    x = net_op(n, "Relu", NET_IN(net_conv(n, x, NET_DIM(48, 64, 1, 1), strided)), NULL);
    x = net_op(n, "Relu", NET_IN(net_conv(n, x, NET_DIM(33, 48, 3, 3), pad)), NULL);
    x = net_op(n, "Flatten", NET_IN(net_op(n, "GlobalAveragePool", NET_IN(x), NULL)), NULL);
    net_output(n, net_linear(n, x, CLASSES, 33));
}

/* With few bits, what is stored is far from what the file has. */
static void rig_make(rig *r, const char *source, double strength, int bits) {
    const char *sources[] = {source, NULL};
    *r = (rig){.hardware = net_hardware(sources, &strength)};
    r->hardware.weight_bits = bits;
    net_open(&r->n, 17);
    convolutions(&r->n);
    r->data = net_dataset(
        &r->n,
        &(net_data){.samples = SAMPLES, .spread = 1, .classes = CLASSES, .labels = 1, .seed = 5});
    rig_open(r, &(dp_engine_options){.seed = 3, .batch = 3, .threads = 2});
}

static int sites_that_keep(const rig *r, bool reverse) {
    int count = 0;
    for (int i = 0; i < r->engine->n_sites; i++) count += r->engine->sites[i].kept[reverse] != NULL;
    return count;
}

/* Everything that passes come to. */
typedef struct figures {
    dp_score scores[SAMPLES], noisy[SAMPLES];
    double *derivative, *sensitivity; /* [channels] */
} figures;

static figures run(rig *r) {
    figures f;
    memset(&f, 0, sizeof f);
    f.derivative = rig_uniform(r, 0);
    f.sensitivity = rig_uniform(r, 0);
    double *k = rig_uniform(r, 50);
    dp_evaluation point = {r->reference, k, 11, 1}, clean = {r->reference, NULL, 0, 1};
    dp_derivative out = {true, f.scores, {f.derivative, NULL}};
    ck_dp_ok(dp_engine_evaluate(r->engine, &point, f.noisy, &err));
    ck_dp_ok(dp_engine_derivative(r->engine, &point, &out, &err));
    ck_dp_ok(dp_engine_sensitivity(r->engine, &clean, f.sensitivity, &err));
    dp_free(k);
    return f;
}

static void release(figures *f) {
    dp_free(f->derivative);
    dp_free(f->sensitivity);
}

static const struct {
    const char *source;
    double strength;
    int bits;
} cases[] = {{"shot", 4, 0}, {"thermal", 0.02, 3}};

START_TEST(passes_are_what_they_are_without) {
    rig r;
    rig_make(&r, cases[_i].source, cases[_i].strength, cases[_i].bits);
    size_t bytes = (size_t)dp_engine_channels(r.engine) * sizeof(double);
    figures kept = run(&r);
    int expected = dp_gemm_tiles() ? CONVOLUTIONS : 0;
    ck_assert_int_eq(sites_that_keep(&r, false), expected);
    ck_assert_int_eq(sites_that_keep(&r, true), expected);
    ck_assert_int_eq(dp_engine_kept_bytes(r.engine) > 0, expected > 0);
    dp_engine_keep_nothing(r.engine);
    r.engine->keeps[false] = r.engine->keeps[true] = true; /* as if it had been tried */
    figures other = run(&r);
    ck_assert_int_eq(sites_that_keep(&r, false), 0);
    ck_assert_mem_eq(kept.noisy, other.noisy, sizeof kept.noisy);
    ck_assert_mem_eq(kept.scores, other.scores, sizeof kept.scores);
    ck_assert_mem_eq(kept.derivative, other.derivative, bytes);
    ck_assert_mem_eq(kept.sensitivity, other.sensitivity, bytes);
    release(&kept);
    release(&other);
    rig_close(&r);
}
END_TEST

/* A survey says anew how weights are stored. */
START_TEST(a_survey_forgets_what_was_kept) {
    rig r;
    rig_make(&r, "thermal", 0.02, 3);
    figures f = run(&r);
    ck_dp_ok(dp_engine_survey(r.engine, r.data, &err));
    ck_assert_int_eq(sites_that_keep(&r, false) + sites_that_keep(&r, true), 0);
    figures again = run(&r);
    ck_assert_int_eq(sites_that_keep(&r, true), dp_gemm_tiles() ? CONVOLUTIONS : 0);
    ck_assert_mem_eq(f.noisy, again.noisy, sizeof f.noisy);
    release(&f);
    release(&again);
    rig_close(&r);
}
END_TEST

/* They are others in each batch. */
START_TEST(noisy_weights_are_not_kept) {
    rig r;
    rig_make(&r, "weight", 0.02, 0);
    figures f = run(&r);
    ck_assert_int_eq(sites_that_keep(&r, false) + sites_that_keep(&r, true), 0);
    ck_assert(dp_engine_kept_bytes(r.engine) == 0);
    release(&f);
    rig_close(&r);
}
END_TEST

/* ---- what the survey leaves ---- */

/* On hardware without converters it is a clean pass; with them it runs before they are known. */
START_TEST(a_survey_leaves_the_clean_outputs) {
    rig r;
    dp_engine *e;
    rig_make(&r, _i ? "thermal" : "shot", 0.02, _i ? 8 : 0);
    dp_engine_options options = {
        .seed = 3, .batch = 4, .threads = 2, .rough = true, .example = r.data};
    ck_dp_ok(dp_engine_create(&e, r.n.graph, &r.hardware, &options, &err));
    ck_dp_ok(dp_engine_survey(e, r.data, &err));
    ck_assert_int_eq(e->outputs != NULL, _i == 0);
    dp_reference *taken, *run;
    ck_dp_ok(dp_engine_reference(&taken, e, r.data, &err));
    ck_assert_ptr_null(e->outputs);
    ck_dp_ok(dp_engine_reference(&run, e, r.data, &err));
    size_t bytes = SAMPLES * CLASSES * sizeof(float);
    ck_assert_mem_eq(taken->logits, run->logits, bytes);
    ck_assert_mem_eq(taken->scores, run->scores, SAMPLES * sizeof *run->scores);
    dp_reference_free(taken);
    dp_reference_free(run);
    dp_engine_free(e);
    rig_close(&r);
}
END_TEST

Suite *test_kept_suite(void) {
    Suite *suite = suite_create("kept");
    TCase *tests = tcase_create("kept");
    tcase_add_loop_test(tests, passes_are_what_they_are_without, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tests, a_survey_forgets_what_was_kept);
    tcase_add_test(tests, noisy_weights_are_not_kept);
    tcase_add_loop_test(tests, a_survey_leaves_the_clean_outputs, 0, 2);
    suite_add_tcase(suite, tests);
    return suite;
}
