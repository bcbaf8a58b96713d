/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Budgets: met whatever the noise and the goal, certified for samples nobody looked at, and refused where they are out of reach. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "scratch.h"
#include "suites.h"
#include "workbench.h"

static const struct {
    const char *name;
    double max_drop, max_loss;
    bool labels, cross_entropy;
    unsigned granularity;
    int tile;
    dp_levels levels;
} goals[] = {
    {"agreement", 5, NAN, false, false, DP_GRAIN_LAYER, 0, DP_LEVELS_INTEGER},
    {"top-1", 5, NAN, true, false, DP_GRAIN_CHANNEL, 0, DP_LEVELS_INTEGER},
    {"divergence", NAN, 0.05, false, false, DP_GRAIN_TILE, 5, DP_LEVELS_INTEGER},
    {"divergence, channels", NAN, 0.05, true, false, DP_GRAIN_CHANNEL, 0, DP_LEVELS_POWER_OF_TWO},
    {"cross-entropy", NAN, 0.1, true, true, DP_GRAIN_LAYER, 0, DP_LEVELS_POWER_OF_TWO},
    {"continuous", 5, NAN, false, false, DP_GRAIN_CHANNEL, 0, DP_LEVELS_CONTINUOUS},
};
enum { GOALS = sizeof goals / sizeof *goals };

START_TEST(budgets_are_met_and_never_dearer_than_uniform) {
    bench b;
    dp_schedule s;
    int goal = _i % GOALS;
    bench_open(&b, _i / GOALS, goals[goal].labels);
    b.hardware.levels = goals[goal].levels;
    b.options.max_drop = goals[goal].max_drop;
    b.options.max_loss = goals[goal].max_loss;
    b.options.objective =
        goals[goal].cross_entropy ? DP_OBJECTIVE_CROSS_ENTROPY : DP_OBJECTIVE_AUTO;
    b.options.granularity = goals[goal].granularity;
    b.options.tile = goals[goal].tile;
    ck_dp_ok(learn(&b, &s, &err));
    int width = goals[goal].granularity == DP_GRAIN_LAYER  ? 1000
                : goals[goal].granularity == DP_GRAIN_TILE ? goals[goal].tile
                                                           : 1;
    check_layers(&b, &s, width);
    check_budget(&b, &s);
    check_again(&b, &s);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

START_TEST(every_search_meets_the_budget) {
    bench b;
    dp_schedule s;
    const char *name = dp_search_names()[_i];
    if (!name) return;
    bench_open(&b, 0, false);
    b.options.search = name;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_str_eq(s.search, name);
    check_budget(&b, &s);
    check_again(&b, &s);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

START_TEST(channels_that_share_a_network_save_more_than_layers) {
    bench b;
    dp_schedule layer, channel;
    bench_open(&b, 0, false);
    ck_dp_ok(learn(&b, &layer, &err));
    b.options.granularity = DP_GRAIN_CHANNEL;
    ck_dp_ok(learn(&b, &channel, &err));
    ck_assert_msg(channel.learned.energy_j < layer.learned.energy_j * 1.03,
                  "%g J a channel, %g J a layer", channel.learned.energy_j, layer.learned.energy_j);
    dp_schedule_clear(&layer);
    dp_schedule_clear(&channel);
    bench_close(&b);
}
END_TEST

/* ---- what cannot be met ---- */

START_TEST(too_few_samples_to_certify_anything_are_refused_with_how_many_it_takes) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    dp_dataset *few[2];
    ck_dp_ok(dp_dataset_split(b.half[1], 16.0 / 350, 1, &few[0], &few[1], &err));
    ck_assert_int_eq(dp_dataset_count(few[1]), 16);
    const dp_dataset *halves[2] = {b.half[0], few[1]};
    b.options.max_drop = 2;
    dp_error why = {DP_OK, ""};
    int least = 0;
    ck_assert_int_eq(dp_learn(&s, b.n.graph, &b.hardware, halves, &b.options, &why), DP_EBUDGET);
    ck_assert_msg(strstr(why.text, "16 check samples") && strstr(why.text, "at least "), "%s",
                  why.text);
    ck_assert_int_eq(sscanf(strstr(why.text, "at least ") + 9, "%d", &least), 1);
    ck_assert_msg(least > 140 && least < 160, "%s", why.text); /* -ln 0.05 / 0.02 = 149.8 */
    for (int h = 0; h < 2; h++) dp_dataset_free(few[h]);
    bench_close(&b);
}
END_TEST

START_TEST(a_budget_out_of_the_hardwares_reach_is_refused_with_what_is_in_reach) {
    bench b;
    dp_schedule s;
    bench_open(&b, _i, false);
    b.hardware.repetitions_max = 2;
    b.options.max_drop = 2;
    dp_error why = {DP_OK, ""};
    ck_assert_int_eq(learn(&b, &s, &why), DP_EBUDGET);
    const char *at = strstr(why.text, "upper bound is ");
    double reach = 0;
    ck_assert_msg(at && sscanf(at + 15, "%lf", &reach) == 1 && reach > 2 && reach <= 100, "%s",
                  why.text);
    ck_assert(s.layers == NULL);
    b.options.max_drop = fmin(100, reach * 1.5 + 2); /* and what is in reach can be had */
    dp_status status = learn(&b, &s, &why);
    ck_assert_msg(status == DP_OK, "%g points: %s", b.options.max_drop, why.text);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* 12.5 aJ/MAC, or as many joules. */
static void set_energy(bench *b, int unit, double aj_per_mac) {
    b->options.max_drop = NAN;
    b->options.energy_unit = unit == 0 ? DP_ENERGY_J : DP_ENERGY_AJ_PER_MAC;
    b->options.energy = unit == 0 ? aj_per_mac * 1e-18 * all_macs() : aj_per_mac;
}

START_TEST(energy_budgets_are_used_up_and_not_exceeded) {
    bench b;
    dp_schedule s;
    double aj = 12.5, macs = all_macs();
    bench_open(&b, _i / 4, false);
    set_energy(&b, _i % 2, aj);
    b.options.granularity = _i / 2 % 2 ? DP_GRAIN_CHANNEL : DP_GRAIN_LAYER;
    ck_dp_ok(learn(&b, &s, &err));
    double budget = aj * 1e-18 * macs;
    check_layers(&b, &s, _i / 2 % 2 ? 1 : 1000);
    ck_assert_double_le(s.learned.energy_j, budget * (1 + 1e-9));
    ck_assert_double_ge(s.learned.energy_j, 0.94 * budget);
    ck_assert_double_le(s.uniform.energy_j, budget * (1 + 1e-9));
    ck_assert_double_eq(s.uniform.repetitions, 12);
    ck_assert_int_eq(s.active, DP_BUDGET_ENERGY);
    ck_assert_msg(s.learned.kl.value <= s.uniform.kl.value, "%g nats, uniform %g",
                  s.learned.kl.value, s.uniform.kl.value);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

START_TEST(units_of_energy_are_the_same_budget) {
    bench b;
    dp_schedule s;
    char *text[2];
    size_t size[2];
    bench_open(&b, 0, false);
    for (int unit = 0; unit < 2; unit++) {
        set_energy(&b, unit, 7);
        ck_dp_ok(learn(&b, &s, &err));
        text[unit] = text_of(&s, &size[unit]);
        dp_schedule_clear(&s);
    }
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(text[0], text[1], size[0]);
    free(text[0]);
    free(text[1]);
    bench_close(&b);
}
END_TEST

START_TEST(a_share_of_uniform_is_a_share_of_what_meets_the_loss) {
    bench b;
    dp_schedule s;
    bench_open_with(&b, 0, false, 3000);
    b.hardware.repetitions_max = 1e8;
    b.options.max_drop = NAN;
    b.options.energy_unit = DP_ENERGY_OF_UNIFORM;
    b.options.energy = 0.5;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_double_le(s.uniform.drop_upper, 1); /* where no loss is asked for */
    ck_assert_double_le(s.learned.energy_j, 0.5 * s.uniform.energy_j * (1 + 1e-9));
    ck_assert_double_ge(s.learned.energy_j, 0.48 * s.uniform.energy_j);
    dp_schedule_clear(&s);
    b.options.max_drop = 3;
    b.options.energy = 1;
    ck_dp_ok(learn(&b, &s, &err));
    check_budget(&b, &s);
    dp_schedule_clear(&s);
    b.options.energy = 0.05;
    ck_dp_fails(learn(&b, &s, &err), DP_EUNMET, "energy is the active budget");
    ck_assert_str_eq(s.status, "unmet");
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* 350 samples with a few near-ties: no uniform precision is certified to lose at most a point. */
START_TEST(a_share_of_nothing_is_refused) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.max_drop = NAN;
    b.options.energy_unit = DP_ENERGY_OF_UNIFORM;
    b.options.energy = 0.5;
    b.hardware.repetitions_max = 100;
    ck_dp_fails(learn(&b, &s, &err), DP_EBUDGET, "even at its highest precision");
    ck_assert(s.layers == NULL);
    bench_close(&b);
}
END_TEST

START_TEST(an_energy_below_the_least_is_refused_with_the_feasible_range) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    set_energy(&b, _i % 2, 0.9);
    double least = 0, most = 0;
    dp_error why = {DP_OK, ""};
    ck_assert_int_eq(learn(&b, &s, &why), DP_EBUDGET);
    const char *range = strstr(why.text, "': ");
    ck_assert_msg(range && sscanf(range + 3, "%lf to %lf J", &least, &most) == 2, "%s", why.text);
    ck_assert_double_eq_tol(least / (1e-18 * all_macs()), 1, 1e-3);
    ck_assert_double_eq_tol(most / (65536e-18 * all_macs()), 1, 1e-3);
    ck_assert_msg(strstr(why.text, "(1 to 6.554e+04 aJ/MAC)"), "%s", why.text);
    ck_assert(s.layers == NULL);
    set_energy(&b, _i % 2, 1); /* the least itself is feasible */
    ck_dp_ok(learn(&b, &s, &err));
    for (int i = 0; i < SITES; i++) ck_assert_double_eq(s.layers[i].repetitions[0], 1);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

START_TEST(two_budgets_that_contradict_each_other_leave_a_schedule_that_says_so) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.energy_unit = DP_ENERGY_AJ_PER_MAC;
    b.options.energy = 2;
    ck_dp_fails(learn(&b, &s, &err), DP_EUNMET, "energy is the active budget");
    ck_assert_str_eq(s.status, "unmet");
    ck_assert_int_eq(s.active, DP_BUDGET_ENERGY);
    ck_assert_int_eq(s.n_layers, SITES);
    dp_schedule_clear(&s);
    b.options.energy = 1e4;
    ck_dp_ok(learn(&b, &s, &err));
    check_budget(&b, &s);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* Both bounds are active here, and uniform precision would do with less than the least. */
START_TEST(least_and_most_repetitions_hold_for_learned_and_uniform_alike) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.max_drop = 30;
    b.options.granularity = DP_GRAIN_CHANNEL;
    b.options.min_repetitions = 20;
    b.options.max_repetitions = 30;
    b.options.fixes = (dp_fix[]){{"*_0", 60}};
    b.options.n_fixes = 1;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_double_ge(s.uniform.repetitions, 20);
    ck_assert_double_le(s.uniform.repetitions, 30);
    ck_assert_double_eq(s.hardware.repetitions_max, 65536); /* it is the hardware that it was */
    ck_assert(s.min_repetitions == 20 && s.max_repetitions == 30);
    for (int i = 0; i < SITES; i++)
        for (int c = 0; c < s.layers[i].count; c++) {
            double k = s.layers[i].repetitions[c];
            ck_assert_msg(i == 0 ? k == 60 : k >= 20 && k <= 30, "site %d: K = %g", i, k);
        }
    ck_assert_int_gt(s.layers[1].at_min + s.layers[2].at_min + s.layers[3].at_min, 0);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* Two layers of channels that have one number for all, beside two whose channels have their own; it is there again in the file. */
START_TEST(groups_share_one_number_in_the_schedule) {
    bench b;
    dp_schedule s, back;
    bench_open(&b, 0, false);
    b.options.granularity = DP_GRAIN_CHANNEL;
    b.options.groups = (const char *const[]){"Gemm_[24]"};
    b.options.n_groups = 1;
    ck_dp_ok(learn(&b, &s, &err));
    check_budget(&b, &s);
    check_again(&b, &s);
    ck_dp_ok(dp_schedule_write(&s, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    for (int i = 0; i < SITES; i++) {
        bool grouped = i == 1 || i == 2;
        const dp_layer *layer = &back.layers[i];
        ck_assert_pstr_eq(layer->group, grouped ? "Gemm_[24]" : NULL);
        ck_assert_str_eq(layer->granularity, grouped ? "layer" : "channel");
    }
    ck_assert_double_eq(back.layers[1].repetitions[0], back.layers[2].repetitions[0]);
    dp_schedule_clear(&back);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* A budget that needs more than the most is out of reach, and the energies in reach are those of the bounds. */
START_TEST(what_the_bounds_leave_is_what_is_feasible) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.max_repetitions = 2;
    b.options.max_drop = 2;
    ck_dp_fails(learn(&b, &s, &err), DP_EBUDGET, "even at its highest precision");
    b.options.min_repetitions = 2;
    b.options.max_repetitions = 50;
    set_energy(&b, 1, 1.5);
    ck_dp_fails(learn(&b, &s, &err), DP_EBUDGET, "(2 to 50 aJ/MAC) is feasible");
    ck_assert(s.layers == NULL);
    bench_close(&b);
}
END_TEST

/* ---- certificates ---- */

/* The mean drop, or rise, of a schedule on everything there is, by other draws. */
static double on_population(const bench *b, dp_engine *engine, const dp_dataset *learned_on,
                            const dp_schedule *s) {
    double *k = dp_alloc((size_t)dp_engine_channels(engine), sizeof *k);
    dp_learn_options o = b->options;
    dp_measure m[2];
    o.trials = 2;
    ck_dp_ok(dp_engine_survey(engine, learned_on, &err));
    ck_dp_ok(dp_schedule_apply(s, engine, k, &err));
    ck_dp_ok(dp_measure_precisions(m, engine, b->data, (const double *const[]){k}, 1, &o, &err));
    dp_free(k);
    return isnan(o.max_drop) ? m[1].rise : m[1].drop.value;
}

/*
 * Check sets of 350 out of 4,000: a certificate at 95% may be wrong about all of them one time in twenty. Of 24, more than
 * 24 * 0.05 + 3 sqrt(24 * 0.05 * 0.95) = 4.4 wrong ones would be too many; too timid ones would leave budgets unused.
 */
START_TEST(certificates_hold_for_what_was_not_looked_at) {
    enum { POPULATION = 4000, CERTIFICATES = 24 };
    bench b;
    dp_engine *engine = NULL;
    double budget = _i ? 0.05 : 5, used = 0;
    int wrong = 0;
    bench_open_with(&b, 0, false, POPULATION);
    b.options.max_drop = _i ? NAN : 5;
    b.options.max_loss = _i ? 0.05 : NAN;
    b.options.condition = DP_CONDITION_NONE; /* one engine for all schedules */
    dp_engine_options options = {.seed = 4711, .example = b.data, .threads = 2};
    ck_dp_ok(dp_engine_create(&engine, b.n.graph, &b.hardware, &options, &err));
    for (int n = 0; n < CERTIFICATES; n++) {
        dp_dataset *some[2], *half[2];
        dp_schedule s;
        uint64_t seed = (uint64_t)n + 1;
        ck_dp_ok(dp_dataset_split(b.data, 700.0 / POPULATION, seed, &some[0], &some[1], &err));
        ck_dp_ok(dp_dataset_split(some[1], 0.5, seed, &half[0], &half[1], &err));
        b.options.seed = seed;
        ck_dp_ok(dp_learn(&s, b.n.graph, &b.hardware, (const dp_dataset *const *)half, &b.options,
                          &err));
        double is = on_population(&b, engine, half[0], &s);
        wrong += is > budget;
        used += is / budget / CERTIFICATES;
        dp_schedule_clear(&s);
        for (int h = 0; h < 2; h++) {
            dp_dataset_free(half[h]);
            dp_dataset_free(some[h]);
        }
    }
    ck_assert_msg(wrong <= 4, "%d of %d certificates are wrong", wrong, CERTIFICATES);
    ck_assert_msg(used > (_i ? 0.8 : 0.5), "%g of the budget is used", used);
    dp_engine_free(engine);
    bench_close(&b);
}
END_TEST

Suite *test_budgets_suite(void) {
    Suite *suite = suite_create("budgets");
    TCase *tcase = tcase_create("budgets");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, budgets_are_met_and_never_dearer_than_uniform, 0, 3 * GOALS);
    tcase_add_loop_test(tcase, every_search_meets_the_budget, 0, 10);
    tcase_add_test(tcase, channels_that_share_a_network_save_more_than_layers);
    tcase_add_test(tcase, too_few_samples_to_certify_anything_are_refused_with_how_many_it_takes);
    tcase_add_loop_test(tcase, a_budget_out_of_the_hardwares_reach_is_refused_with_what_is_in_reach,
                        0, 3);
    tcase_add_loop_test(tcase, energy_budgets_are_used_up_and_not_exceeded, 0, 12);
    tcase_add_test(tcase, units_of_energy_are_the_same_budget);
    tcase_add_test(tcase, a_share_of_uniform_is_a_share_of_what_meets_the_loss);
    tcase_add_test(tcase, a_share_of_nothing_is_refused);
    tcase_add_loop_test(tcase, an_energy_below_the_least_is_refused_with_the_feasible_range, 0, 2);
    tcase_add_test(tcase, two_budgets_that_contradict_each_other_leave_a_schedule_that_says_so);
    tcase_add_test(tcase, least_and_most_repetitions_hold_for_learned_and_uniform_alike);
    tcase_add_test(tcase, groups_share_one_number_in_the_schedule);
    tcase_add_test(tcase, what_the_bounds_leave_is_what_is_feasible);
    tcase_add_loop_test(tcase, certificates_hold_for_what_was_not_looked_at, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
