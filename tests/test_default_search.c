/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which search is run where the user names none, and when what it found is kept. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "scratch.h"
#include "suites.h"
#include "workbench.h"

static const struct {
    double max_drop, max_loss;
    bool labels;
    int64_t samples;
    unsigned granularity;
    dp_objective_kind objective;
    const char *search;
} choices[] = {
    {5, NAN, true, 700, DP_GRAIN_CHANNEL, DP_OBJECTIVE_AUTO, "stochastic"},
    {5, NAN, true, 700, DP_GRAIN_CHANNEL, DP_OBJECTIVE_CROSS_ENTROPY, "stochastic"},
    {5, NAN, true, 700, DP_GRAIN_CHANNEL, DP_OBJECTIVE_KL, "marginal"},
    {5, NAN, true, 700, DP_GRAIN_LAYER, DP_OBJECTIVE_AUTO, "marginal"},
    {30, NAN, true, 126, DP_GRAIN_CHANNEL, DP_OBJECTIVE_AUTO, "marginal"},
    {5, NAN, false, 700, DP_GRAIN_CHANNEL, DP_OBJECTIVE_AUTO, "marginal"},
    {5, 0.1, true, 700, DP_GRAIN_CHANNEL, DP_OBJECTIVE_AUTO, "marginal"},
    {NAN, 0.1, true, 700, DP_GRAIN_CHANNEL, DP_OBJECTIVE_AUTO, "marginal"},
};

/* Labels are descended on where a drop of them is all there is to keep, channels are apart and there are 64 at least. */
START_TEST(the_budget_and_the_data_choose_the_search) {
    bench b;
    dp_schedule s;
    bench_open_with(&b, 0, choices[_i].labels, choices[_i].samples);
    b.options.max_drop = choices[_i].max_drop;
    b.options.max_loss = choices[_i].max_loss;
    b.options.granularity = choices[_i].granularity;
    b.options.objective = choices[_i].objective;
    ck_dp_ok(learn(&b, &s, &err));
    bool descended = strcmp(choices[_i].search, "stochastic") == 0; /* and left again, it may be */
    if (!(descended && strcmp(s.search, "clean-point") == 0))
        ck_assert_str_eq(s.search, choices[_i].search);
    ck_assert_int_eq(s.passes_shape > 14.9 && s.passes_shape < 15.5, descended);
    check_again(&b, &s);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* By default and asked for by name. Returns whether the shape that the descent began from was kept. */
static bool left(const bench *b) {
    bench asks = *b;
    dp_schedule s, asked;
    ck_dp_ok(learn(b, &s, &err));
    asks.options.search = "stochastic";
    ck_dp_ok(learn(&asks, &asked, &err));
    ck_assert_str_eq(asked.search, "stochastic");
    ck_assert_double_eq(s.passes_shape, asked.passes_shape);
    bool other = strcmp(s.search, "clean-point") == 0;
    if (!other) {
        ck_assert_str_eq(s.search, "stochastic");
        ck_assert_int_gt(s.checks, asked.checks);
        for (int i = 0; i < s.n_layers; i++)
            ck_assert_mem_eq(s.layers[i].repetitions, asked.layers[i].repetitions,
                             (size_t)s.layers[i].count * sizeof(double));
    }
    ck_assert_double_le(s.learned.energy_j, asked.learned.energy_j);
    ck_assert_double_le(s.learned.drop_upper, b->options.max_drop);
    dp_schedule_clear(&s);
    dp_schedule_clear(&asked);
    return other;
}

/* Labels that chance has drawn tell a descent nothing: the shape that it began from meets the budget for less. */
START_TEST(a_descent_that_does_not_pay_is_left) {
    bench b;
    bench_open(&b, 0, true);
    b.options.granularity = DP_GRAIN_CHANNEL;
    b.options.max_drop = 5;
    ck_assert(left(&b));
    bench_close(&b);
}
END_TEST

START_TEST(a_descent_that_pays_is_kept) {
    bench b = {0};
    dp_input_spec spec;
    ck_dp_ok(dp_graph_load(&b.n.graph, "calib_data/digits.onnx", &err));
    dp_engine_inputs(b.n.graph, &spec);
    ck_dp_ok(dp_dataset_open(&b.data, "calib_data/digits_learn.npz", &spec, 1, NULL, &err));
    ck_dp_ok(dp_dataset_split(b.data, 0.5, 1, &b.half[0], &b.half[1], &err));
    ck_dp_ok(dp_hardware_read(&b.hardware, "examples/hardware/homodyne.yaml", &err));
    dp_learn_defaults(&b.options);
    b.options.granularity = DP_GRAIN_CHANNEL;
    b.options.max_drop = 2;
    ck_assert(!left(&b));
    dp_graph_free(b.n.graph);
    for (int h = 0; h < 2; h++) dp_dataset_free(b.half[h]);
    dp_dataset_free(b.data);
}
END_TEST

/*
 * A ReLU behind noise that is larger than its input, then a mean over 1,024 positions: curvature sees the noise, of which the mean leaves
 * a thousandth, and not the shift, which is most of the divergence. There a descent has no place to begin from, unless it was asked for.
 */
START_TEST(what_curvature_mispredicts_is_left_to_marginal_loss) {
    bench b;
    dp_schedule s;
    b = (bench){.hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){0.001})};
    net *n = &b.n;
    net_open(n, 31);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 32, 32));
    x = net_op(n, "Conv", NET_IN(x, net_weights(n, 4, NET_DIM(12, 4, 1, 1), 1)), NULL);
    x = net_op(n, "Relu", NET_IN(x), NULL);
    x = net_op(n, "Flatten", NET_IN(net_op(n, "GlobalAveragePool", NET_IN(x), NULL)), NULL);
    net_output(n, net_linear(n, x, CLASSES, 12));
    b.data = net_dataset(
        n, &(net_data){.samples = 400, .spread = 1, .labels = true, .classes = CLASSES, .seed = 9});
    ck_dp_ok(dp_dataset_split(b.data, 0.5, 1, &b.half[0], &b.half[1], &err));
    dp_learn_defaults(&b.options);
    b.options.max_drop = 30;
    b.options.granularity = DP_GRAIN_CHANNEL;
    b.options.goal = "a test";
    b.options.search = _i ? "stochastic" : NULL;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_str_eq(s.search, _i ? "stochastic" : "marginal");
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

Suite *test_default_search_suite(void) {
    Suite *suite = suite_create("the default search");
    TCase *tcase = tcase_create("default search");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, the_budget_and_the_data_choose_the_search, 0,
                        sizeof choices / sizeof *choices);
    tcase_add_test(tcase, a_descent_that_does_not_pay_is_left);
    tcase_add_test(tcase, a_descent_that_pays_is_kept);
    tcase_add_loop_test(tcase, what_curvature_mispredicts_is_left_to_marginal_loss, 0, 2);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}
