/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where curvature is not all there is: a branch whose ReLU turns noise into a shift, which the average over positions leaves, beside one
 * without. What is best is found by trying precisions of equal energy with many draws.
 */
#include <check.h>
#include <math.h>

#include "base/alloc.h"
#include "learn/refine/refine.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { BRANCHES = 2, WIDE = 6, INPUTS = 4, SIDE = 16, SAMPLES = 96, DRAWS = 8 };

typedef struct bench {
    rig r;
    dp_search s;
    dp_learn_options options;
    double shape[BRANCHES * WIDE];
} bench;

static int branch(net *n, int x, bool rectified) {
    int w = net_weights(n, 4, NET_DIM(WIDE, INPUTS, 1, 1), 1);
    int y = net_op(n, "Conv", NET_IN(x, w), NULL);
    if (rectified) y = net_op(n, "Relu", NET_IN(y), NULL);
    return net_op(n, "GlobalAveragePool", NET_IN(y), NULL);
}

static void bench_open(bench *b, unsigned granularity) {
    *b = (bench){.r = {.hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){0.05})}};
    net *n = &b->r.n;
    net_open(n, 31);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, INPUTS, SIDE, SIDE));
    int sum = net_op(n, "Add", NET_IN(branch(n, x, true), branch(n, x, false)), NULL);
    net_output(n, sum);
    b->r.data = net_dataset(n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 9});
    rig_open(&b->r, NULL);
    dp_learn_defaults(&b->options);
    b->options.granularity = granularity;
    dp_search *s = &b->s;
    *s = (dp_search){.options = &b->options, .hardware = &b->r.hardware, .engine = b->r.engine};
    s->learn = (dp_half){.data = b->r.data, .reference = b->r.reference, .samples = SAMPLES};
    ck_dp_ok(dp_units_create(&s->units, s->engine, s->hardware, &b->options, &err));
    s->s = dp_alloc(BRANCHES * WIDE, sizeof *s->s);
    s->repetitions = dp_alloc(BRANCHES * WIDE, sizeof *s->repetitions);
    s->k = dp_alloc(BRANCHES * WIDE, sizeof *s->k);
    dp_evaluation clean = {.reference = b->r.reference, .trials = 1};
    ck_dp_ok(dp_engine_sensitivity(s->engine, &clean, s->s, &err));
    dp_units_collect(&s->units, s->s);
    dp_relax_shape(&s->units, b->shape);
}

static void bench_close(bench *b) {
    dp_units_clear(&b->s.units);
    dp_free(b->s.s);
    dp_free(b->s.repetitions);
    dp_free(b->s.k);
    rig_close(&b->r);
}

/* The loss at a precision, units in the order of channels. */
static double loss_at(bench *b, const double *k) {
    double repetitions[BRANCHES * WIDE];
    dp_units_spread(&b->s.units, k, repetitions);
    return rig_score(&b->r, repetitions, 5000, DRAWS).kl;
}

/* Branches cost the same, so their K add up to what the energy allows. */
static double loss_of_share(bench *b, double t, double first) {
    double k[BRANCHES] = {2 * t * first, 2 * t * (1 - first)};
    return loss_at(b, k);
}

static void refine(bench *b, const char *name, double t) {
    const dp_refiner *refiner = NULL;
    ck_dp_ok(dp_refiner_find(name, &refiner, &err));
    ck_dp_ok(dp_refiner_run(refiner, &b->s, t, b->shape, &err));
}

static const double scales[] = {4, 16};

/* Curvature alone gives the branch with the shift too little; the derivative finds what it needs. */
START_TEST(layers_that_shift_get_what_trying_finds) {
    bench b;
    double t = scales[_i], least = INFINITY, best = 0;
    bench_open(&b, DP_GRAIN_LAYER);
    for (double first = 0.05; first < 0.96; first += 0.05) {
        double loss = loss_of_share(&b, t, first);
        if (loss < least) best = first;
        least = fmin(least, loss);
    }
    double curvature = b.shape[0] / (b.shape[0] + b.shape[1]);
    refine(&b, "marginal", t);
    double share = b.shape[0] / (b.shape[0] + b.shape[1]);
    ck_assert_msg(best > curvature + 0.15, "nothing to find: %g, %g", curvature, best);
    ck_assert_msg(fabs(share - best) <= 0.1, "%g, by trying %g", share, best);
    ck_assert_double_le(loss_of_share(&b, t, share), 1.05 * least);
    ck_assert_double_ge(loss_of_share(&b, t, curvature), 1.15 * least);
    bench_close(&b);
}
END_TEST

/* Channels go with their layer, so that what is noise in one channel's derivative moves none. */
START_TEST(channels_of_a_layer_move_together) {
    bench b;
    double before[BRANCHES * WIDE];
    bench_open(&b, DP_GRAIN_CHANNEL);
    uint32_t first = b.s.next_trial;
    refine(&b, "operating-point", 4);
    for (int c = 0; c < BRANCHES * WIDE; c++) before[c] = b.shape[c];
    bench_close(&b);
    bench_open(&b, DP_GRAIN_CHANNEL);
    b.s.next_trial = first;
    refine(&b, "marginal", 4);
    ck_assert_double_gt(b.shape[0] / before[0], 1.2);
    for (int c = 0; c < BRANCHES * WIDE; c++) {
        int layer = c - c % WIDE;
        ck_assert_double_eq_tol(b.shape[c] / before[c], b.shape[layer] / before[layer], 1e-9);
    }
    bench_close(&b);
}
END_TEST

Suite *test_marginal_suite(void) {
    Suite *suite = suite_create("marginal loss");
    TCase *tests = tcase_create("marginal loss");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tests, layers_that_shift_get_what_trying_finds, 0, 2);
    tcase_add_test(tests, channels_of_a_layer_move_together);
    suite_add_tcase(suite, tests);
    return suite;
}
