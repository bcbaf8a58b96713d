/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which operands are learned on: where converters make two networks of one, the cheaper of both, whatever each of them came to. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "scratch.h"
#include "suites.h"
#include "workbench.h"

enum { DEALS = 8 };

/* Thermal noise behind converters so coarse that rounding decides some answers; samples dealt out by `deal`. */
static void open_coarse(bench *b, int deal) {
    bench_open(b, 1, false);
    b->hardware.weight_bits = b->hardware.input_bits = 5;
    b->options.max_drop = 12;
    b->hardware.noise[0].parameters[0] = 0.2;
    for (int h = 0; h < 2; h++) dp_dataset_free(b->half[h]);
    ck_dp_ok(dp_dataset_split(b->data, 0.5, (uint64_t)deal, &b->half[0], &b->half[1], &err));
}

static dp_status learn_on(bench *b, unsigned condition, dp_schedule *s) {
    b->options.condition = condition;
    dp_error why = {DP_OK, ""};
    return learn(b, s, &why);
}

static bool is(const char *a, const char *b) {
    return a && strcmp(a, b) == 0;
}

/* What an attempt has in its schedule stands beside the other's. */
static void check_mention(const dp_schedule *chosen, const dp_schedule *lost, bool met,
                          bool conditioned) {
    const dp_alternative *a = &chosen->alternative;
    ck_assert_int_eq(a->conditioned, conditioned);
    if (is(a->status, "dearer")) {
        ck_assert(!conditioned && isnan(a->energy_per_mac_aj));
        return;
    }
    ck_assert_str_eq(a->status, lost->status);
    ck_assert_double_nan(a->clean_top1); /* without labels */
    if (met)
        ck_assert_double_eq(a->energy_per_mac_aj, lost->learned.energy_per_mac_aj);
    else
        ck_assert_double_nan(a->energy_per_mac_aj);
}

/* All that both took; an attempt that was cut short asks once or twice, and one that was not may have been asked that first. */
static void check_work(const dp_schedule *all, const dp_schedule *chosen, const dp_schedule *lost) {
    int asked = all->checks - chosen->checks;
    double passes = all->passes - chosen->passes;
    if (is(all->alternative.status, "dearer")) {
        ck_assert(asked >= 1 && asked <= 2 && passes > 3 && passes < lost->passes);
        return;
    }
    ck_assert(asked >= lost->checks && asked <= lost->checks + 2);
    ck_assert(passes >= lost->passes * (1 - 1e-9));
}

static void check_same_precision(const dp_schedule *a, const dp_schedule *b) {
    ck_assert_str_eq(a->status, b->status);
    ck_assert_int_eq(a->conditioning.count, b->conditioning.count);
    ck_assert_int_eq(a->n_layers, b->n_layers);
    for (int i = 0; i < a->n_layers; i++)
        ck_assert_mem_eq(a->layers[i].repetitions, b->layers[i].repetitions,
                         (size_t)a->layers[i].count * sizeof(double));
    ck_assert_double_eq(a->learned.drop_upper, b->learned.drop_upper);
    ck_assert_double_eq(a->uniform.energy_j, b->uniform.energy_j);
}

/* The conditioned network, unless its own operands meet the budget for less, or alone. */
static bool conditioned_wins(const dp_schedule s[2], const bool met[2]) {
    if (met[0] && met[1]) return s[1].learned.energy_j <= s[0].learned.energy_j;
    return !met[0];
}

START_TEST(the_cheaper_operands_win) {
    int wins[2] = {0}, stopped = 0, unmet = 0;
    for (int deal = 1; deal <= DEALS; deal++) {
        bench b;
        dp_schedule s[3];
        open_coarse(&b, deal);
        b.options.granularity = _i ? DP_GRAIN_CHANNEL : DP_GRAIN_LAYER;
        bool met[3] = {false};
        static const unsigned hows[] = {DP_CONDITION_NONE, DP_CONDITION_BOTH, DP_CONDITION_AUTO};
        for (int i = 0; i < 3; i++) met[i] = learn_on(&b, hows[i], &s[i]) == DP_OK;
        bool conditioned = conditioned_wins(s, met), other = !conditioned;
        ck_assert_int_gt(s[1].conditioning.count, 0);
        ck_assert(!s[0].alternative.status && !s[1].alternative.status);
        ck_assert_int_eq(met[2], met[0] || met[1]);
        check_same_precision(&s[2], &s[conditioned]);
        check_mention(&s[2], &s[other], met[other], other);
        check_work(&s[2], &s[conditioned], &s[other]);
        wins[conditioned]++;
        stopped += is(s[2].alternative.status, "dearer");
        unmet += met[conditioned] && !met[other];
        for (int i = 0; i < 3; i++) dp_schedule_clear(&s[i]);
        bench_close(&b);
    }
    ck_assert_msg(wins[0] > 0 && wins[1] > 0 && stopped > 0 && unmet > 0,
                  "%d plain, %d conditioned, %d cut short, %d unmet", wins[0], wins[1], stopped,
                  unmet);
}
END_TEST

/* Without converters it is one network, and less noise is all there is to choose; without a loss there is nothing to be cheaper at. */
START_TEST(there_is_no_choice_without_converters_or_a_budget_of_loss) {
    bench b;
    dp_schedule s;
    open_coarse(&b, 1);
    if (_i)
        b.hardware.weight_bits = b.hardware.input_bits = 0;
    else {
        b.options.max_drop = NAN;
        b.options.energy_unit = DP_ENERGY_AJ_PER_MAC;
        b.options.energy = 500;
    }
    ck_assert_int_eq(learn_on(&b, DP_CONDITION_AUTO, &s), DP_OK);
    ck_assert_int_gt(s.conditioning.count, 0);
    ck_assert_ptr_null(s.alternative.status);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

START_TEST(what_neither_meets_is_unmet) {
    bench b;
    dp_schedule s;
    open_coarse(&b, 8);
    b.options.max_drop = 8;
    ck_assert_int_eq(learn_on(&b, DP_CONDITION_AUTO, &s), DP_EUNMET);
    ck_assert_str_eq(s.status, "unmet");
    ck_assert_int_gt(s.conditioning.count, 0);
    ck_assert_str_eq(s.alternative.status, "unmet");
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/*
 * A share of uniform precision's energy is more for operands whose uniform precision is dearer. What counts is what the loss takes, so that the
 * cheaper operands are kept also where they miss their own share and the others would not.
 */
START_TEST(a_share_of_more_does_not_win) {
    int cases[2] = {0};
    for (int deal = 1; deal <= DEALS; deal++) {
        bench b;
        dp_schedule s[2], chosen;
        open_coarse(&b, deal);
        bool met[2] = {learn_on(&b, DP_CONDITION_NONE, &s[0]) == DP_OK,
                       learn_on(&b, DP_CONDITION_BOTH, &s[1]) == DP_OK};
        double least[2], share[2];
        for (int i = 0; i < 2; i++) {
            least[i] = met[i] ? s[i].learned.energy_j : INFINITY;
            share[i] = least[i] / s[i].uniform.energy_j;
        }
        int cheap = least[1] < least[0];
        if (met[0] && met[1] && share[cheap] > share[!cheap]) {
            cases[cheap]++;
            b.options.energy_unit = DP_ENERGY_OF_UNIFORM;
            b.options.energy = sqrt(share[0] * share[1]);
            ck_assert_int_eq(learn_on(&b, DP_CONDITION_AUTO, &chosen), DP_EUNMET);
            ck_assert_double_eq(chosen.learned.energy_j, least[cheap]);
            ck_assert_int_eq(chosen.conditioning.count > 0, cheap);
            dp_schedule_clear(&chosen);
        }
        for (int i = 0; i < 2; i++) dp_schedule_clear(&s[i]);
        bench_close(&b);
    }
    ck_assert_msg(cases[0] > 0 && cases[1] > 0, "%d plain, %d conditioned", cases[0], cases[1]);
}
END_TEST

/* ---- cancelling ---- */

typedef struct watch {
    int surveys; /* begun */
    atomic_int cancel;
} watch;

/* The network's own operands are looked at once before they are conditioned, once after, and once alone. */
static void cancel_in_third_survey(void *self, const dp_progress_state *state) {
    watch *w = self;
    w->surveys += strcmp(state->stage, "survey") == 0 && state->done == 0;
    if (w->surveys == 3) atomic_store(&w->cancel, 1);
}

START_TEST(what_one_was_accepted_with_outlives_the_other) {
    bench b;
    dp_schedule s[2];
    open_coarse(&b, 1);
    ck_assert_int_eq(learn_on(&b, DP_CONDITION_BOTH, &s[0]), DP_OK);
    watch w = {0};
    b.options.progress = &(dp_progress){cancel_in_third_survey, &w};
    b.options.cancel = &w.cancel;
    ck_assert_int_eq(learn_on(&b, DP_CONDITION_AUTO, &s[1]), DP_ECANCELLED);
    ck_assert_int_eq(w.surveys, 3);
    check_same_precision(&s[1], &s[0]);
    ck_assert_str_eq(s[1].alternative.status, "interrupted");
    ck_assert(!s[1].alternative.conditioned && isnan(s[1].alternative.energy_per_mac_aj));
    ck_assert_double_gt(s[1].passes, s[0].passes);
    for (int i = 0; i < 2; i++) dp_schedule_clear(&s[i]);
    bench_close(&b);
}
END_TEST

Suite *test_operands_suite(void) {
    Suite *suite = suite_create("operands");
    TCase *tcase = tcase_create("operands");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, the_cheaper_operands_win, 0, 2);
    tcase_add_loop_test(tcase, there_is_no_choice_without_converters_or_a_budget_of_loss, 0, 2);
    tcase_add_test(tcase, what_neither_meets_is_unmet);
    tcase_add_test(tcase, a_share_of_more_does_not_win);
    tcase_add_test(tcase, what_one_was_accepted_with_outlives_the_other);
    tcase_set_timeout(tcase, 120);
    suite_add_tcase(suite, tcase);
    return suite;
}
