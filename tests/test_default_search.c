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

/* The shape that a descent began from is kept where it meets the budget for less, and only there. */
START_TEST(a_descent_that_does_not_pay_is_left) {
    int left = 0, kept = 0;
    for (uint64_t deal = 1; deal <= 6; deal++) {
        bench b;
        dp_schedule s, asked;
        bench_open(&b, 0, true);
        for (int h = 0; h < 2; h++) dp_dataset_free(b.half[h]);
        ck_dp_ok(dp_dataset_split(b.data, 0.5, deal, &b.half[0], &b.half[1], &err));
        b.options.granularity = DP_GRAIN_CHANNEL;
        b.options.max_drop = deal % 2 ? 5 : 20;
        ck_dp_ok(learn(&b, &s, &err));
        b.options.search = "stochastic";
        ck_dp_ok(learn(&b, &asked, &err));
        ck_assert_str_eq(asked.search, "stochastic");
        ck_assert_double_eq(s.passes_shape, asked.passes_shape);
        ck_assert_int_gt(s.checks, asked.checks);
        if (strcmp(s.search, "clean-point") == 0) {
            left++;
            ck_assert_double_le(s.learned.energy_j, asked.learned.energy_j); /* uniform: equal */
            check_budget(&b, &s);
        } else {
            kept++;
            for (int i = 0; i < SITES; i++)
                ck_assert_mem_eq(s.layers[i].repetitions, asked.layers[i].repetitions,
                                 (size_t)s.layers[i].count * sizeof(double));
        }
        dp_schedule_clear(&s);
        dp_schedule_clear(&asked);
        bench_close(&b);
    }
    ck_assert_msg(left > 0 && kept > 0, "%d left, %d kept", left, kept);
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
    tcase_add_loop_test(tcase, what_curvature_mispredicts_is_left_to_marginal_loss, 0, 2);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}
