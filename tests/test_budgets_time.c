/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latency budgets: kept to whatever the granularity and the core, beside losses and energies, and refused where they are out of reach. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "scratch.h"
#include "suites.h"
#include "workbench.h"

/* Time relative to K = 1 everywhere: each layer is one product a sample; `rows` channels at once. */
static double time_of(const dp_schedule *s, int rows) {
    double time = 0, one = 0;
    for (int i = 0; i < SITES; i++)
        for (int from = 0; from < s->layers[i].channels; from += rows) {
            double most = 0;
            for (int c = from; c < from + rows && c < s->layers[i].channels; c++)
                most = fmax(most, dp_layer_repetitions(&s->layers[i], c));
            time += most;
            one += 1;
        }
    return time / one;
}

static const struct {
    unsigned granularity;
    int tile, rows; /* 0: all */
    dp_levels levels;
    double faster; /* than without a limit */
} paces[] = {
    {DP_GRAIN_LAYER, 0, 0, DP_LEVELS_INTEGER, 0.95},
    {DP_GRAIN_CHANNEL, 0, 0, DP_LEVELS_INTEGER, 0.85},
    {DP_GRAIN_CHANNEL, 0, 5, DP_LEVELS_INTEGER, 0.93},
    {DP_GRAIN_TILE, 4, 6, DP_LEVELS_INTEGER, 0.96}, /* tiles that are in two blocks */
    {DP_GRAIN_CHANNEL, 0, 1, DP_LEVELS_CONTINUOUS, 0.98},
    {DP_GRAIN_LAYER, 0, 0, DP_LEVELS_POWER_OF_TWO, 1},
};
enum { PACES = sizeof paces / sizeof *paces };

static void set_pace(bench *b, int i) {
    b->options.granularity = paces[i].granularity;
    b->options.tile = paces[i].tile;
    b->hardware.rows = paces[i].rows;
    b->hardware.levels = paces[i].levels;
}

/*
 * A little less time than it takes without a limit: the loss is still met, for hardly more energy. Where a channel takes time and
 * energy in proportion, as one after the other does, there is not much to gain.
 */
START_TEST(a_loss_is_met_within_a_latency) {
    bench b;
    dp_schedule free, s;
    int rows = paces[_i].rows ? paces[_i].rows : 1000;
    bench_open(&b, 0, false);
    set_pace(&b, _i);
    ck_dp_ok(learn(&b, &free, &err));
    ck_assert_int_eq(free.active, DP_BUDGET_DROP);
    b.options.latency_unit = DP_LATENCY_X;
    b.options.latency = paces[_i].faster * free.learned.latency_x;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_double_eq_tol(time_of(&s, rows) / s.learned.latency_x, 1, 1e-12);
    ck_assert_double_le(time_of(&s, rows), b.options.latency * (1 + 1e-9));
    ck_assert_double_ge(time_of(&s, rows), 0.8 * b.options.latency);
    ck_assert_double_le(s.learned.drop_upper, 5);
    ck_assert_int_eq(s.active, DP_BUDGET_LATENCY);
    ck_assert_double_ge(s.learned.energy_j, 0.93 * free.learned.energy_j);
    ck_assert_double_le(s.learned.energy_j, 1.25 * free.learned.energy_j);
    ck_assert_double_le(s.uniform.latency_x, b.options.latency * (1 + 1e-9));
    ck_assert(isnan(s.saving.value) == (s.uniform.drop_upper > 5));
    check_again(&b, &s);
    dp_schedule_clear(&free);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* A latency that leaves the choice to the loss changes nothing, bytes included. */
START_TEST(a_latency_that_is_not_reached_changes_nothing) {
    bench b;
    dp_schedule s;
    char *text[2];
    size_t size[2];
    bench_open(&b, 0, false);
    b.options.granularity = DP_GRAIN_CHANNEL;
    for (int i = 0; i < 2; i++) {
        b.options.latency_unit = i ? DP_LATENCY_X : DP_LATENCY_NONE;
        b.options.latency = 65536;
        ck_dp_ok(learn(&b, &s, &err));
        text[i] = text_of(&s, &size[i]);
        dp_schedule_clear(&s);
    }
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(text[0], text[1], size[0]);
    free(text[0]);
    free(text[1]);
    bench_close(&b);
}
END_TEST

/* Alone, or with an energy that it does not reach, a latency is used up; the energy, where it is less, is what is used up. */
START_TEST(latency_and_energy_are_both_kept) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    set_pace(&b, _i);
    b.options.max_drop = NAN;
    b.options.latency_unit = DP_LATENCY_X;
    b.options.latency = 12;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_double_le(s.learned.latency_x, 12 * (1 + 1e-9));
    ck_assert_double_ge(s.learned.latency_x, 12 * 0.9);
    ck_assert_int_eq(s.active, DP_BUDGET_LATENCY);
    ck_assert_str_eq(s.status, "accepted");
    ck_assert_double_eq_tol(s.uniform.repetitions,
                            paces[_i].levels == DP_LEVELS_POWER_OF_TWO ? 8 : 12, 1e-6);
    ck_assert_double_le(s.learned.kl.value, s.uniform.kl.value * 1.02);
    double fast = s.learned.energy_per_mac_aj;
    dp_schedule_clear(&s);
    for (int i = 0; i < 2; i++) {
        b.options.energy_unit = DP_ENERGY_AJ_PER_MAC;
        b.options.energy = fast * (i ? 0.5 : 1.5);
        ck_dp_ok(learn(&b, &s, &err));
        ck_assert_double_le(s.learned.latency_x, 12 * (1 + 1e-9));
        ck_assert_double_le(s.learned.energy_per_mac_aj, b.options.energy * (1 + 1e-9));
        if (i) ck_assert_double_ge(s.learned.energy_per_mac_aj, 0.9 * b.options.energy);
        if (!i) ck_assert_int_eq(s.active, DP_BUDGET_LATENCY);
        ck_assert_double_le(s.uniform.latency_x, 12 * (1 + 1e-9));
        ck_assert_double_le(s.uniform.energy_per_mac_aj, b.options.energy * (1 + 1e-9));
        dp_schedule_clear(&s);
    }
    bench_close(&b);
}
END_TEST

START_TEST(seconds_are_a_latency_where_the_hardware_has_them) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.max_drop = NAN;
    b.options.latency_unit = DP_LATENCY_S;
    b.options.latency = 30e-6;
    ck_dp_fails(learn(&b, &s, &err), DP_ERANGE, "does not say how long an operation takes");
    b.hardware.operation_s = 1e-6; /* four operations at K = 1 */
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_double_le(s.learned.latency_s, 30e-6 * (1 + 1e-9));
    ck_assert_double_ge(s.learned.latency_s, 28e-6);
    dp_schedule_clear(&s);
    b.options.latency = 3e-6;
    ck_dp_fails(learn(&b, &s, &err), DP_EBUDGET,
                "1x to 6.554e+04x (4e-06 s to 0.2621 s) is feasible");
    bench_close(&b);
}
END_TEST

/* Found by arithmetic: nothing has been measured, or even asked for, before it is said. */
START_TEST(what_arithmetic_forbids_is_refused_before_any_work) {
    static const struct {
        double energy, latency;
        const char *part;
    } cases[] = {
        {0.5, NAN, "(1 to 6.554e+04 aJ/MAC) is feasible"},
        {NAN, 0.9, "a latency of 0.9x cannot be met on hardware 'bench': 1x to 6.554e+04x"},
        {0.5, 1.5, "aJ/MAC) is feasible"},
    };
    bench b;
    dp_schedule s;
    atomic_int cancel = 1;    /* the first pass would end it */
    bench_open(&b, 0, false); /* a drop of 5 points is asked for, too */
    b.options.cancel = &cancel;
    if (!isnan(cases[_i].energy)) {
        b.options.energy_unit = DP_ENERGY_AJ_PER_MAC;
        b.options.energy = cases[_i].energy;
    }
    if (!isnan(cases[_i].latency)) {
        b.options.latency_unit = DP_LATENCY_X;
        b.options.latency = cases[_i].latency;
    }
    ck_dp_fails(learn(&b, &s, &err), DP_EBUDGET, cases[_i].part);
    bench_close(&b);
}
END_TEST

START_TEST(a_loss_out_of_reach_in_that_time_names_the_latency) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.latency_unit = DP_LATENCY_X;
    b.options.latency = 2;
    ck_dp_fails(
        learn(&b, &s, &err), DP_EBUDGET,
        "within a latency of 2x, where 1x to 6.554e+04x is feasible, latency is the active");
    ck_assert(s.layers == NULL);
    b.options.latency = NAN;
    ck_dp_fails(learn(&b, &s, &err), DP_ERANGE, "a latency budget of nan");
    bench_close(&b);
}
END_TEST

Suite *test_budgets_time_suite(void) {
    Suite *suite = suite_create("budgets of time");
    TCase *tcase = tcase_create("budgets of time");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, a_loss_is_met_within_a_latency, 0, PACES - 1);
    tcase_add_test(tcase, a_latency_that_is_not_reached_changes_nothing);
    tcase_add_loop_test(tcase, latency_and_energy_are_both_kept, 0, PACES);
    tcase_add_test(tcase, seconds_are_a_latency_where_the_hardware_has_them);
    tcase_add_loop_test(tcase, what_arithmetic_forbids_is_refused_before_any_work, 0, 3);
    tcase_add_test(tcase, a_loss_out_of_reach_in_that_time_names_the_latency);
    suite_add_tcase(suite, tcase);
    return suite;
}
