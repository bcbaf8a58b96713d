/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The approach to a budget, on functions whose crossing is known in closed form. */
#include <check.h>
#include <math.h>

#include "learn/approach.h"
#include "suites.h"

static const dp_approach_rule coarse = {.tight = 0.95, .close = 1.04, .aim = 0.975, .power = 0.9};
static const dp_approach_rule fine = {.tight = 0.985, .close = 1.01, .aim = 0.993, .power = 1};

/* The excess at t is (root / t)^power; half of the draws are off by a factor. */
typedef struct world {
    double root, power, half;
    int looks, whole;
    double cheapest; /* t of the cheapest whole look within the budget; INFINITY: none */
} world;

static void look(world *w, dp_approach *a, double t, bool whole) {
    double excess = pow(w->root / t, w->power);
    double part = excess * w->half;
    if (!whole && (part > 1.15 || part < 0.85)) {
        dp_approach_look(a, t, part, false);
    } else {
        dp_approach_look(a, t, excess, true);
        w->whole++;
        if (excess <= 1) w->cheapest = fmin(w->cheapest, t);
    }
    w->looks++;
}

static dp_approach go(world *w, dp_approach_rule rule, double t, double low, double high) {
    dp_approach a = dp_approach_new(rule, low, high);
    bool whole = t >= high;
    w->looks = w->whole = 0;
    w->cheapest = INFINITY;
    while (!dp_approach_finished(&a)) {
        ck_assert_int_lt(w->looks, 20);
        ck_assert(t >= low && t <= high);
        look(w, &a, t, whole);
        t = dp_approach_next(&a, &whole);
    }
    ck_assert_int_eq(a.checks, w->looks);
    if (a.certified && isfinite(a.above)) ck_assert_double_eq(a.above, w->cheapest);
    return a;
}

static const double starts[] = {0.3, 0.6, 0.8, 0.95, 1.02, 1.3, 2, 4}; /* times the root */
static const double powers[] = {0.5, 0.9, 1.4};
enum { STARTS = sizeof starts / sizeof *starts, POWERS = sizeof powers / sizeof *powers };

/* Wherever it starts, it passes within what "tight" and "close" allow. */
START_TEST(the_cheapest_pass_is_near_the_crossing) {
    bool is_fine = _i / (STARTS * POWERS);
    dp_approach_rule rule = is_fine ? fine : coarse;
    world w = {.root = 40, .power = powers[_i / STARTS % POWERS], .half = 1};
    dp_approach a = go(&w, rule, starts[_i % STARTS] * w.root, 1, 1e5);
    double most = fmax(rule.close, pow(rule.tight, -1 / w.power)) * (1 + 1e-9);
    ck_assert(a.certified);
    ck_assert_msg(a.above >= w.root && a.above <= most * w.root, "%g of %g", a.above, w.root);
    ck_assert_msg(w.whole <= 4 && w.looks <= 8, "%d looks, %d whole", w.looks, w.whole);
}
END_TEST

/* From 25% off, with about the power that was expected, two or three looks do, one of them short. */
START_TEST(from_a_fair_start_few_looks_suffice) {
    world w = {.root = 40, .power = 0.8 + 0.1 * (_i % 3), .half = 1};
    double start = _i / 3 ? 1.25 : 0.8;
    dp_approach a = go(&w, coarse, start * w.root, 1, 1e5);
    ck_assert(a.certified);
    ck_assert_msg(w.looks <= 3 && w.whole <= 2, "%d looks, %d whole", w.looks, w.whole);
}
END_TEST

/* A few draws that flatter a precision by far do not hold the next looks down for long. */
START_TEST(looks_do_not_creep_up_from_one_side) {
    world w = {.root = 40, .power = 0.5 + 0.1 * _i, .half = 1, .cheapest = INFINITY};
    dp_approach a = dp_approach_new(coarse, 1, 1e5);
    bool whole;
    dp_approach_look(&a, 1.25 * w.root, 0.4, false);
    for (double t = dp_approach_next(&a, &whole); !dp_approach_finished(&a);
         t = dp_approach_next(&a, &whole)) {
        double excess = pow(w.root / t, w.power);
        dp_approach_look(&a, t, excess, whole);
    }
    ck_assert(a.certified);
    ck_assert_msg(a.above <= 1.08 * w.root, "%g of %g in %d looks", a.above, w.root, a.checks);
}
END_TEST

/* Half of the draws may say that a precision passes that does not with all of them. */
START_TEST(only_whole_looks_pass) {
    world w = {.root = 40, .power = 1, .half = 0.93};
    dp_approach a = go(&w, coarse, (_i ? 1.1 : 0.9) * w.root, 1, 1e5);
    ck_assert(a.certified);
    ck_assert_double_ge(a.above, w.root);
    ck_assert_double_le(a.above, 1.1 * w.root);
}
END_TEST

START_TEST(the_ends_of_the_range_are_asked_whole) {
    world cheap = {.root = 0.01, .power = 1, .half = 1},
          dear = {.root = 1e9, .power = 1, .half = 1};
    dp_approach a = go(&cheap, coarse, 50, 1, 1e3);
    ck_assert(a.certified);
    ck_assert_double_eq(a.above, 1);
    a = go(&dear, coarse, 50, 1, 1e3);
    ck_assert(!a.certified);
    ck_assert_double_eq(a.fail, 1e3);
    ck_assert_int_ge(dear.whole, 1);
}
END_TEST

/* Whole numbers only: what rounding leads back to is not asked again, and the next level up is the answer. */
START_TEST(levels_are_asked_once) {
    double root = 2.5 + 3 * _i, level_fail = 0, level_above = 0;
    dp_approach a = dp_approach_new(coarse, 1, 1e5);
    bool whole = false;
    double t = 1.7 * root;
    int looks = 0, turns = 0;
    for (; !dp_approach_finished(&a); t = dp_approach_next(&a, &whole)) {
        double level = ceil(t * (1 - 1e-9)), excess = root / level;
        ck_assert_int_lt(turns++, 200);
        bool failed = a.fail > 0 && level == level_fail;
        bool above = isfinite(a.above) && level == level_above && !(whole && !a.certified);
        if (failed || above) {
            dp_approach_same(&a, t, failed);
            continue;
        }
        bool all = whole || (excess > 0.85 && excess < 1.15);
        dp_approach_look(&a, t, excess, all);
        *(excess > 1 ? &level_fail : &level_above) = level;
        looks++;
    }
    ck_assert(a.certified);
    ck_assert_double_ge(level_above, root);
    ck_assert_double_le(level_above, fmax(ceil(root), root / 0.95));
    ck_assert_int_le(looks, 7);
}
END_TEST

/* A failure of some samples, near a pass of all that says it is well within the budget: asked again. One of all samples is not. */
START_TEST(a_short_failure_does_not_outweigh_a_whole_pass) {
    bool hard = _i == 1, agrees = _i == 2, whole;
    dp_approach a = dp_approach_new(coarse, 1, 1e5);
    dp_approach_look(&a, 40, 1.4, true);
    dp_approach_look(&a, 64, 1.1, hard);
    dp_approach_look(&a, 66, 0.7, true);
    ck_assert(dp_approach_finished(&a));
    dp_approach_forecast(&a, agrees ? 66.5 : 50, agrees ? 65 : 48);
    ck_assert_int_eq(dp_approach_finished(&a), hard || agrees);
    double t = dp_approach_next(&a, &whole);
    if (hard || agrees) return;
    ck_assert(t > 40 && t < 60 && !whole);
}
END_TEST

Suite *test_approach_suite(void) {
    Suite *suite = suite_create("approach");
    TCase *tcase = tcase_create("approach");
    tcase_add_loop_test(tcase, the_cheapest_pass_is_near_the_crossing, 0, 2 * STARTS * POWERS);
    tcase_add_loop_test(tcase, from_a_fair_start_few_looks_suffice, 0, 6);
    tcase_add_loop_test(tcase, only_whole_looks_pass, 0, 2);
    tcase_add_loop_test(tcase, looks_do_not_creep_up_from_one_side, 0, 6);
    tcase_add_loop_test(tcase, a_short_failure_does_not_outweigh_a_whole_pass, 0, 3);
    tcase_add_test(tcase, the_ends_of_the_range_are_asked_whole);
    tcase_add_loop_test(tcase, levels_are_asked_once, 0, 12);
    suite_add_tcase(suite, tcase);
    return suite;
}
