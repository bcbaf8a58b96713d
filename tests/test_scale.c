/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From a shape to a precision that meets the budget: what the learn set asks for, and what the check set accepts. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/levels.h"
#include "learn/accept.h"
#include "learn/panel.h"
#include "learn/scale.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { TRIALS = 4, CHANNELS = 12 + 12 + 5, HALF = 400 };

typedef struct bench {
    rig r;
    dp_search s;
    dp_dataset *half[2];
    dp_learn_options options;
    double shape[CHANNELS], k[CHANNELS];
} bench;

static void open_half(bench *b, dp_half *half, dp_dataset *data) {
    half->data = data;
    half->samples = dp_dataset_count(data);
    half->scores = dp_alloc((size_t)(half->samples * TRIALS), sizeof *half->scores);
    ck_dp_ok(dp_engine_reference(&half->reference, b->r.engine, data, &err));
}

/* Everything that dp_learn has made when it comes to scaling: sensitivities and the shape that follows from them. */
static void bench_open(bench *b, dp_quantity quantity, double budget) {
    static const char *const shot[] = {"shot", NULL};
    *b = (bench){.r = {.hardware = net_hardware(shot, (double[]){1})}};
    net *n = &b->r.n;
    net_open(n, 31);
    int x = net_input(n, "x", DP_F32, 2, NET_DIM(-1, 10));
    x = net_op(n, "Relu", NET_IN(net_linear(n, x, 12, 10)), NULL);
    x = net_op(n, "Relu", NET_IN(net_linear(n, x, 12, 12)), NULL);
    net_output(n, net_linear(n, x, 5, 12));
    b->r.data = net_dataset(n, &(net_data){.samples = 800, .spread = 5, .seed = 9});
    rig_open(&b->r, NULL);
    ck_dp_ok(dp_dataset_split(b->r.data, 0.5, 1, &b->half[0], &b->half[1], &err));
    dp_learn_defaults(&b->options);
    b->options.granularity = DP_GRAIN_CHANNEL;
    b->options.trials = TRIALS;
    dp_search *s = &b->s;
    *s = (dp_search){.options = &b->options, .hardware = &b->r.hardware, .engine = b->r.engine};
    s->criteria[0] = (dp_criterion){.quantity = quantity, .budget = budget, .confidence = 0.95};
    s->n_criteria = 1;
    open_half(b, &s->learn, b->half[0]);
    open_half(b, &s->check, b->half[1]);
    ck_dp_ok(dp_units_create(&s->units, s->engine, s->hardware, &b->options, &err));
    ck_assert_int_eq(s->units.count, CHANNELS);
    s->s = dp_alloc(CHANNELS, sizeof *s->s);
    s->repetitions = dp_alloc(CHANNELS, sizeof *s->repetitions);
    s->k = dp_alloc(CHANNELS, sizeof *s->k);
    dp_evaluation point = {s->learn.reference, NULL, 0, 1};
    ck_dp_ok(dp_engine_sensitivity(s->engine, &point, s->s, &err));
    dp_units_collect(&s->units, s->s);
    dp_relax_shape(&s->units, b->shape);
}

static void bench_close(bench *b) {
    dp_half *halves[] = {&b->s.learn, &b->s.check};
    for (int h = 0; h < 2; h++) {
        dp_reference_free(halves[h]->reference);
        dp_free(halves[h]->scores);
        dp_dataset_free(b->half[h]);
    }
    dp_units_clear(&b->s.units);
    dp_free(b->s.s);
    dp_free(b->s.repetitions);
    dp_free(b->s.k);
    rig_close(&b->r);
}

static dp_family family(const bench *b, int learned) {
    return (dp_family){learned ? b->shape : NULL};
}

/* The verdict on the learn set at scale t, with the draws from `first` on. */
static dp_verdict verdict_at(bench *b, const dp_family *f, double t, uint32_t first, int trials) {
    dp_search *s = &b->s;
    dp_verdict v;
    uint32_t range[2] = {first, (uint32_t)trials};
    dp_family_relaxed(s, f, t, b->k);
    ck_dp_ok(dp_search_evaluate(s, &s->learn, b->k, range, &err));
    dp_outcome o = {dp_reference_scores(s->learn.reference), s->learn.scores, s->learn.samples,
                    trials};
    ck_dp_ok(dp_criterion_judge(&s->criteria[0], &o, s->check.samples, &v, &err));
    return v;
}

static const struct {
    dp_quantity quantity;
    double budget;
} goals[] = {{DP_DROP, 0.05}, {DP_DROP, 0.2}, {DP_RISE, 0.02}, {DP_RISE, 0.3}};

/* From guesses far off on either side: the budget holds at t and fails a little below. */
START_TEST(the_scale_is_the_smallest_that_meets_the_budget) {
    static const double guesses[] = {1, 3e4};
    bench b;
    int learned = _i % 2, goal = _i / 4;
    bench_open(&b, goals[goal].quantity, goals[goal].budget);
    dp_family f = family(&b, learned);
    dp_scale scale = {.guess = guesses[_i / 2 % 2], .tolerance = 0.1, .trials = TRIALS};
    double t = 0, low, high;
    uint32_t first = b.s.next_trial = 17;
    ck_dp_ok(dp_scale_find(&b.s, &f, &scale, &t, &err));
    ck_assert_uint_ge(b.s.next_trial, first + TRIALS); /* draws are used up */
    dp_family_range(&b.s, &f, &low, &high);
    ck_assert(t >= low * (1 - 1e-9) && t <= high * (1 + 1e-9));
    dp_verdict at = verdict_at(&b, &f, t, first, TRIALS);
    dp_verdict below = verdict_at(&b, &f, t * exp(-2 * scale.tolerance), first, TRIALS);
    ck_assert_msg(at.upper <= b.s.criteria[0].budget, "%g at t = %g", at.upper, t);
    ck_assert_msg(below.upper > b.s.criteria[0].budget, "%g below t = %g", below.upper, t);
    bench_close(&b);
}
END_TEST

START_TEST(a_budget_beyond_the_highest_precision_is_refused) {
    bench b;
    bench_open(&b, _i ? DP_RISE : DP_DROP, _i ? 1e-3 : 0.01);
    for (int u = 0; u < CHANNELS; u++) b.s.units.high[u] = 2;
    b.r.hardware.repetitions_max = 2;
    dp_family f = family(&b, _i);
    dp_scale scale = {.guess = 1, .tolerance = 0.1, .trials = 1};
    double t;
    ck_dp_fails(dp_scale_find(&b.s, &f, &scale, &t, &err), DP_EBUDGET, "highest precision");
    bench_close(&b);
}
END_TEST

/* Even the lowest precision does: that is the answer. */
START_TEST(a_budget_that_costs_nothing_is_met_by_the_lowest_precision) {
    bench b;
    bench_open(&b, DP_RISE, 1e6);
    dp_family f = family(&b, _i);
    dp_scale scale = {.guess = 50, .tolerance = 0.1, .trials = 1};
    double t;
    ck_dp_ok(dp_scale_find(&b.s, &f, &scale, &t, &err));
    dp_family_relaxed(&b.s, &f, t, b.k);
    for (int u = 0; u < CHANNELS; u++) ck_assert_double_eq_tol(b.k[u], 1, 1e-6);
    bench_close(&b);
}
END_TEST

/* Uniform precision that diverges as much as a learned one, by draws of their own. */
START_TEST(matched_families_diverge_alike) {
    bench b;
    bench_open(&b, DP_RISE, 0.1);
    dp_family learned = family(&b, 1), uniform = family(&b, 0);
    double t = 3, k[CHANNELS];
    dp_family_relaxed(&b.s, &learned, 40, k);
    ck_dp_ok(dp_scale_match(&b.s, &uniform, k, &t, &err));
    double want = verdict_at(&b, &learned, 40, 1000, TRIALS).mean;
    double is = verdict_at(&b, &uniform, t, 1000, TRIALS).mean;
    ck_assert_msg(fabs(is / want - 1) < 0.25, "%g and %g", is, want);
    bench_close(&b);
}
END_TEST

/* ---- acceptance ---- */

START_TEST(what_is_accepted_is_within_the_budget_on_levels_and_near_a_failure) {
    bench b;
    int learned = _i % 2, goal = _i / 2;
    double k[CHANNELS];
    bench_open(&b, goals[goal].quantity, goals[goal].budget);
    dp_family f = family(&b, learned);
    dp_scale scale = {.guess = 10, .tolerance = 0.25, .trials = TRIALS};
    dp_acceptance a = {.k = k};
    double t;
    ck_dp_ok(dp_scale_find(&b.s, &f, &scale, &t, &err));
    uint32_t before = b.s.next_trial;
    ck_dp_ok(dp_accept(&b.s, &f, t, &a, &err));
    ck_assert(a.passed && a.checks >= 1 && a.checks <= 12);
    ck_assert_uint_eq(b.s.next_trial, before); /* the check set has draws of its own */
    bool drop = goals[goal].quantity == DP_DROP;
    double upper = drop ? a.measure.drop_upper / 100 : a.measure.rise_upper;
    ck_assert_double_le(upper, goals[goal].budget);
    for (int u = 0; u < CHANNELS; u++)
        ck_assert(dp_level_at_least(&b.r.hardware, k[u]) == k[u] && k[u] >= 1);
    if (!learned)
        for (int u = 0; u < CHANNELS; u++) ck_assert_double_eq(k[u], k[0]);
    double energy = dp_units_energy(&b.s.units, k);
    if (a.energy_failed_j > 0) ck_assert_double_gt(a.energy_failed_j, 0.4 * energy);
    bench_close(&b);
}
END_TEST

/* Starting at hopeless precision it climbs; where the hardware ends before the budget does, it says so. */
START_TEST(acceptance_climbs_until_it_passes_or_the_hardware_ends) {
    bench b;
    double k[CHANNELS];
    bench_open(&b, DP_RISE, 0.05);
    dp_family f = family(&b, _i);
    dp_acceptance a = {.k = k};
    ck_dp_ok(dp_accept(&b.s, &f, 1, &a, &err));
    ck_assert(a.passed && a.measure.rise_upper <= 0.05 && a.energy_failed_j > 0);
    for (int u = 0; u < CHANNELS; u++) b.s.units.high[u] = 3;
    b.r.hardware.repetitions_max = 3;
    ck_dp_ok(dp_accept(&b.s, &f, 1, &a, &err));
    ck_assert(!a.passed && a.measure.rise_upper > 0.05);
    for (int u = 0; u < CHANNELS; u++) ck_assert_double_eq(k[u], 3);
    bench_close(&b);
}
END_TEST

/* What passed is what measuring it again says: looks do not differ by their luck. */
START_TEST(every_look_has_the_same_draws) {
    bench b;
    double k[CHANNELS], again[CHANNELS];
    bench_open(&b, goals[_i].quantity, goals[_i].budget);
    dp_family f = family(&b, 1);
    dp_acceptance a = {.k = k}, other = {.k = again};
    ck_dp_ok(dp_accept(&b.s, &f, 100, &a, &err));
    ck_assert(a.passed);
    memcpy(again, k, sizeof k);
    b.s.next_trial = 77;
    ck_dp_ok(dp_accept_measure(&b.s, &other, &err));
    ck_assert_int_eq(other.checks, 1);
    ck_assert_double_eq(other.measure.drop_upper, a.measure.drop_upper);
    ck_assert_double_eq(other.measure.rise_upper, a.measure.rise_upper);
    bench_close(&b);
}
END_TEST

/* Both budgets hold, and what is called active is the one that is nearer to its limit. */
START_TEST(several_budgets_are_asked_together) {
    static const double rises[] = {0.01, 0.05, 0.3, 2};
    bench b;
    double k[CHANNELS];
    bench_open(&b, DP_DROP, 0.1);
    b.s.criteria[1] = b.s.criteria[0];
    b.s.criteria[1].quantity = DP_RISE;
    b.s.criteria[1].budget = rises[_i];
    b.s.n_criteria = 2;
    dp_family f = family(&b, 1);
    dp_scale scale = {.guess = 10, .tolerance = 0.25, .trials = TRIALS};
    dp_acceptance a = {.k = k};
    double t;
    ck_dp_ok(dp_scale_find(&b.s, &f, &scale, &t, &err));
    ck_dp_ok(dp_accept(&b.s, &f, t, &a, &err));
    double drop = a.measure.drop_upper / 10, rise = a.measure.rise_upper / rises[_i];
    ck_assert(a.passed && drop <= 1 && rise <= 1);
    ck_assert_double_ge(fmax(drop, rise), 0.9);
    ck_assert_int_eq(a.active, rise > drop ? DP_RISE : DP_DROP);
    if (_i == 0) ck_assert_int_eq(a.active, DP_RISE);
    if (_i == 3) ck_assert_int_eq(a.active, DP_DROP);
    bench_close(&b);
}
END_TEST

/* ---- looks ---- */

/* The excess of precision k, by a panel that knows nothing else. */
static double whole_look(bench *b, const double *k, double t) {
    dp_panel panel;
    dp_look look;
    ck_dp_ok(dp_panel_open(&panel, &b->s, &err));
    ck_dp_ok(dp_panel_ask(&panel, k, t, DP_ASK_ALL, &look, &err));
    ck_assert(look.whole);
    dp_panel_close(&panel);
    return look.excess;
}

/* Few answers are asked again, and all of them are told as if they had been; the rest on request. */
START_TEST(a_look_at_some_answers_says_what_a_whole_one_says) {
    static const double steps[] = {0.6, 0.9, 1.2, 2};
    bench b;
    dp_panel panel;
    dp_look look;
    double k[CHANNELS], t = 60 * steps[_i];
    bench_open(&b, DP_DROP, 0.1);
    dp_family f = family(&b, 1);
    dp_family_relaxed(&b.s, &f, t, k);
    double want = whole_look(&b, k, t);
    dp_family_relaxed(&b.s, &f, 60, b.k);
    ck_dp_ok(dp_panel_open(&panel, &b.s, &err));
    ck_dp_ok(dp_panel_ask(&panel, b.k, 60, DP_ASK_ALL, &look, &err));
    double before = b.s.passes;
    ck_dp_ok(dp_panel_ask(&panel, k, t, DP_ASK_DRAWS, &look, &err));
    ck_assert(!look.whole);
    ck_assert_double_le(b.s.passes - before, 0.6 * TRIALS);
    ck_assert_double_eq_tol(look.excess, want, 0.02 * want);
    ck_dp_ok(dp_panel_ask(&panel, k, t, DP_ASK_ALL, &look, &err));
    ck_assert(look.whole);
    ck_assert_double_eq(look.excess, want);
    ck_assert_double_le(b.s.passes - before, TRIALS); /* nobody was asked twice */
    dp_panel_close(&panel);
    bench_close(&b);
}
END_TEST

/* How often each sample is to be asked at precision k: `all` draws for those that noise can turn, by their clean margin. */
static int64_t worked_out(bench *b, double spread, int all, int others, int *draws) {
    const dp_score *clean = dp_reference_scores(b->s.check.reference);
    int64_t sum = 0;
    for (int64_t i = 0; i < b->s.check.samples; i++)
        sum += draws[i] = fabs(clean[i].margin) < 2.5 * spread ? all : others;
    return sum;
}

static double margins_moved_by(const dp_half *half, int draws) {
    const dp_score *clean = dp_reference_scores(half->reference);
    double square = 0;
    for (int64_t i = 0; i < draws * half->samples; i++)
        square += pow(half->scores[i].margin - clean[i % half->samples].margin, 2);
    return sqrt(square / (double)(draws * half->samples));
}

/* What noise moves margins by at precision k: as the learn set had it at another precision, or by the first draws of the check set. */
static double moves(bench *b, const double *k, const double *learned_at) {
    uint32_t first[2] = {0x10000000U, TRIALS / 4}, other[2] = {7, 1};
    if (learned_at) {
        ck_dp_ok(dp_search_evaluate(&b->s, &b->s.learn, learned_at, other, &err));
        return margins_moved_by(&b->s.learn, 1) *
               sqrt(dp_units_loss(&b->s.units, k) / dp_units_loss(&b->s.units, learned_at));
    }
    ck_dp_ok(dp_search_evaluate(&b->s, &b->s.check, k, first, &err));
    return margins_moved_by(&b->s.check, TRIALS / 4);
}

/* Answers that noise can turn have all draws, the others the first quarter of them: the excess is that of the mean of each
 * sample's own draws, worked out here from the scores of all. */
START_TEST(draws_are_spent_where_answers_turn) {
    static const double at[] = {30, 60, 120, 400};
    enum { FIRST = TRIALS / 4 };
    bench b;
    double k[CHANNELS], learned_at[CHANNELS];
    int draws[HALF];
    bench_open(&b, DP_DROP, 0.1);
    ck_assert_int_eq(b.s.check.samples, HALF);
    dp_family f = family(&b, 1);
    dp_family_relaxed(&b.s, &f, at[_i % 4], k);
    dp_family_relaxed(&b.s, &f, 1.5 * at[_i % 4], learned_at);
    double spread = moves(&b, k, _i < 4 ? NULL : learned_at), passes = b.s.passes;
    double found = whole_look(&b, k, 1 / dp_units_loss(&b.s.units, k));
    int64_t asked = worked_out(&b, spread, TRIALS, FIRST, draws);
    ck_assert_double_eq_tol(b.s.passes - passes, (double)asked / HALF, 1e-9);
    ck_assert(asked > FIRST * HALF && asked < TRIALS * HALF);
    uint32_t range[2] = {0x10000000U, TRIALS};
    ck_dp_ok(dp_search_evaluate(&b.s, &b.s.check, k, range, &err));
    dp_score *scores = b.s.check.scores;
    for (int64_t i = 0; i < HALF; i++)
        for (int draw = draws[i]; draw < TRIALS; draw++)
            scores[draw * HALF + i] = scores[draw % FIRST * HALF + i];
    dp_outcome o = {dp_reference_scores(b.s.check.reference), scores, HALF, TRIALS};
    dp_verdict v;
    ck_dp_ok(dp_criterion_judge(&b.s.criteria[0], &o, 0, &v, &err));
    ck_assert_double_eq_tol(found, v.upper / 0.1, 1e-12);
    bench_close(&b);
}
END_TEST

/* Where the learn set has told what noise does to margins, the first look leaves out what it will not turn; a whole look does not. */
START_TEST(a_first_look_asks_what_can_turn) {
    bench b;
    dp_panel panel;
    dp_look look;
    double k[CHANNELS], low[CHANNELS];
    int draws[HALF];
    bench_open(&b, DP_DROP, 0.01);
    dp_family f = family(&b, 1);
    dp_family_relaxed(&b.s, &f, 60, k);
    dp_family_relaxed(&b.s, &f, 30, low);
    double spread = moves(&b, k, k), fidelity = 1 / dp_units_loss(&b.s.units, k);
    double passes = b.s.passes, want = whole_look(&b, k, fidelity);
    double whole = b.s.passes - passes;
    ck_dp_ok(dp_panel_open(&panel, &b.s, &err));
    passes = b.s.passes;
    ck_dp_ok(
        dp_panel_ask(&panel, low, 1 / dp_units_loss(&b.s.units, low), DP_ASK_SOME, &look, &err));
    double more = spread * sqrt(dp_units_loss(&b.s.units, low) * fidelity);
    ck_assert(!look.whole && look.excess > 1.3);
    ck_assert_double_eq_tol(b.s.passes - passes,
                            (double)worked_out(&b, more, TRIALS / 4, 0, draws) / HALF, 1e-9);
    passes = b.s.passes;
    ck_dp_ok(dp_panel_ask(&panel, k, fidelity, DP_ASK_ALL, &look, &err));
    ck_assert(look.whole);
    ck_assert_double_eq(look.excess, want);
    ck_assert_double_eq_tol(b.s.passes - passes, whole, 1e-9);
    dp_panel_close(&panel);
    bench_close(&b);
}
END_TEST

/* A look that is to pass ends where what can turn has failed; what is out of reach is asked only while it may pass. */
START_TEST(a_look_that_fails_ends_early) {
    bench b;
    dp_panel panel;
    dp_look look;
    double k[CHANNELS], low[CHANNELS];
    int draws[HALF];
    bench_open(&b, DP_DROP, 0.1);
    dp_family f = family(&b, 1);
    dp_family_relaxed(&b.s, &f, 1000, k);
    dp_family_relaxed(&b.s, &f, 20, low);
    double fidelity = 1 / dp_units_loss(&b.s.units, k), lower = 1 / dp_units_loss(&b.s.units, low);
    double spread = moves(&b, k, k) * sqrt(fidelity / lower);
    ck_dp_ok(dp_panel_open(&panel, &b.s, &err));
    ck_dp_ok(dp_panel_ask(&panel, k, fidelity, DP_ASK_PASS, &look, &err));
    ck_assert(look.whole && look.excess < 1);
    double passes = b.s.passes;
    ck_dp_ok(dp_panel_ask(&panel, low, lower, DP_ASK_PASS, &look, &err));
    ck_assert(!look.whole && look.excess > 1);
    ck_assert_double_eq_tol(b.s.passes - passes,
                            (double)worked_out(&b, spread, TRIALS, 0, draws) / HALF, 1e-9);
    ck_dp_ok(dp_panel_ask(&panel, low, lower, DP_ASK_ALL, &look, &err));
    ck_assert(look.whole && look.excess > 1);
    dp_panel_close(&panel);
    bench_close(&b);
}
END_TEST

/* Noise of the last layer alone moves logits by exactly 1 / sqrt(t), and margins too while the best rival stays the same. */
START_TEST(where_noise_only_scales_forecasts_are_near) {
    static const double starts[] = {35, 60, 80, 120};
    bench b;
    dp_panel panel;
    dp_look look;
    double k[CHANNELS], t;
    bench_open(&b, DP_DROP, 0.1);
    for (int u = 0; u < CHANNELS; u++) k[u] = u < CHANNELS - 5 ? 1e12 : starts[_i];
    ck_dp_ok(dp_panel_open(&panel, &b.s, &err));
    ck_dp_ok(dp_panel_ask(&panel, k, starts[_i], DP_ASK_ALL, &look, &err));
    ck_dp_ok(dp_panel_forecast(&panel, starts[_i], 1, &t, &err));
    dp_panel_close(&panel);
    ck_assert_msg(t > starts[_i] / 3.9 && t < starts[_i] * 3.9, "%g from %g", t, starts[_i]);
    for (int u = CHANNELS - 5; u < CHANNELS; u++) k[u] = t;
    ck_assert_double_eq_tol(whole_look(&b, k, t), 1, 0.06);
    bench_close(&b);
}
END_TEST

/* A rise is the mean of what all samples add: none can be left out, and nothing is forecast. */
START_TEST(a_loss_is_asked_of_all_samples) {
    bench b;
    dp_panel panel;
    dp_look look;
    double t;
    bench_open(&b, DP_RISE, 0.05);
    dp_family f = family(&b, 1);
    dp_family_relaxed(&b.s, &f, 60, b.k);
    ck_dp_ok(dp_panel_open(&panel, &b.s, &err));
    ck_dp_ok(dp_panel_ask(&panel, b.k, 60, DP_ASK_ALL, &look, &err));
    ck_dp_ok(dp_panel_forecast(&panel, 60, 1, &t, &err));
    ck_assert(isnan(t));
    dp_family_relaxed(&b.s, &f, 50, b.k);
    double before = b.s.passes;
    ck_dp_ok(dp_panel_ask(&panel, b.k, 50, DP_ASK_ALL, &look, &err));
    ck_assert(look.whole);
    ck_assert_double_eq_tol(b.s.passes - before, TRIALS, 1e-9);
    dp_panel_close(&panel);
    bench_close(&b);
}
END_TEST

Suite *test_scale_suite(void) {
    enum { GOALS = sizeof goals / sizeof *goals };
    Suite *suite = suite_create("scale and acceptance");
    TCase *tcase = tcase_create("scale and acceptance");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, the_scale_is_the_smallest_that_meets_the_budget, 0, 4 * GOALS);
    tcase_add_loop_test(tcase, a_budget_beyond_the_highest_precision_is_refused, 0, 2);
    tcase_add_loop_test(tcase, a_budget_that_costs_nothing_is_met_by_the_lowest_precision, 0, 2);
    tcase_add_test(tcase, matched_families_diverge_alike);
    tcase_add_loop_test(tcase, what_is_accepted_is_within_the_budget_on_levels_and_near_a_failure,
                        0, 2 * GOALS);
    tcase_add_loop_test(tcase, every_look_has_the_same_draws, 0, GOALS);
    tcase_add_loop_test(tcase, several_budgets_are_asked_together, 0, 4);
    tcase_add_loop_test(tcase, acceptance_climbs_until_it_passes_or_the_hardware_ends, 0, 2);
    tcase_add_loop_test(tcase, a_look_at_some_answers_says_what_a_whole_one_says, 0, 4);
    tcase_add_loop_test(tcase, draws_are_spent_where_answers_turn, 0, 8);
    tcase_add_test(tcase, a_first_look_asks_what_can_turn);
    tcase_add_test(tcase, a_look_that_fails_ends_early);
    tcase_add_loop_test(tcase, where_noise_only_scales_forecasts_are_near, 0, 4);
    tcase_add_test(tcase, a_loss_is_asked_of_all_samples);
    suite_add_tcase(suite, tcase);
    return suite;
}
