/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Relaxation against the closed form and the conditions of optimality. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "learn/relax.h"
#include "made_units.h"
#include "suites.h"

static double sum_of(const made_units *b, double (*f)(double s, double cost)) {
    double sum = 0;
    for (int i = 0; i < b->u.count; i++) sum += f(b->s[i], b->cost[i]);
    return sum;
}
static double sensitivity(double s, double cost) {
    return s + 0 * cost;
}
static double cost_of(double s, double cost) {
    return cost + 0 * s;
}
static double root(double s, double cost) {
    return sqrt(s * cost);
}

/* ---- relaxation ---- */

/* Uniform K meets a loss L with sum s / L; so the saving is 1 - (sum sqrt(s B))^2 / (sum s sum B), whatever L is. */
START_TEST(the_saving_is_the_closed_forms) {
    made_units b;
    made_open(&b, _i, 5 + _i, 1e-9, 1e12);
    double s = sum_of(&b, sensitivity), cost = sum_of(&b, cost_of), both = sum_of(&b, root);
    double loss = s / pow(10, made_random(&b, 0, 4));
    dp_relax_shape(&b.u, b.shape);
    dp_relax_at(&b.u, b.shape, dp_relax_for_loss(&b.u, b.shape, loss), b.k);
    double saving = 1 - dp_units_energy(&b.u, b.k) / (cost * s / loss);
    ck_assert_double_eq_tol(dp_units_loss(&b.u, b.k) / loss, 1, 1e-9);
    ck_assert_double_eq_tol(saving, 1 - both * both / (s * cost), 1e-9);
    double mean = 0; /* t is the mean repetitions, weighted by cost */
    dp_relax_at(&b.u, b.shape, 12.5, b.k);
    for (int i = 0; i < b.u.count; i++) mean += b.cost[i] * b.k[i] / cost;
    ck_assert_double_eq_tol(mean, 12.5, 1e-9);
}
END_TEST

/*
 * Karush, Kuhn and Tucker: with d = -(d loss / d K) / B = s / (B K^2), one d for all units between their bounds, none above it at
 * its lower bound's unit, none below it at its upper bound's. The problem is convex, so that makes it optimal.
 */
static void check_optimal(const made_units *b) {
    double least = INFINITY, most = 0; /* of d between bounds */
    int active = 0;
    for (int i = 0; i < b->u.count; i++) {
        double d = b->s[i] / (b->cost[i] * b->k[i] * b->k[i]);
        ck_assert(b->k[i] >= b->low[i] && b->k[i] <= b->high[i]);
        if (b->fixed[i]) continue;
        active += b->k[i] == b->low[i] || b->k[i] == b->high[i];
        if (b->k[i] == b->low[i] || b->k[i] == b->high[i]) continue;
        least = fmin(least, d);
        most = fmax(most, d);
    }
    ck_assert_msg(active < b->u.count && most / least - 1 < 1e-9, "between bounds %g to %g", least,
                  most);
    for (int i = 0; i < b->u.count; i++) {
        double d = b->s[i] / (b->cost[i] * b->k[i] * b->k[i]);
        if (b->fixed[i]) continue;
        if (b->k[i] == b->low[i]) ck_assert(d <= most * (1 + 1e-9));
        if (b->k[i] == b->high[i]) ck_assert(d >= least * (1 - 1e-9));
    }
}

/* Some on their bounds, some fixed. */
START_TEST(bounds_that_are_active_keep_the_conditions_of_optimality) {
    made_units b;
    made_open(&b, _i, 40, 4, 60);
    for (int i = 0; i < 4; i++) {
        b.fixed[i] = true;
        b.low[i] = b.high[i] = 7;
    }
    dp_relax_shape(&b.u, b.shape);
    double least = dp_units_loss(&b.u, b.high), most = dp_units_loss(&b.u, b.low);
    double loss = least * pow(most / least, made_random(&b, 0.2, 0.8));
    dp_relax_at(&b.u, b.shape, dp_relax_for_loss(&b.u, b.shape, loss), b.k);
    ck_assert_double_eq_tol(dp_units_loss(&b.u, b.k) / loss, 1, 1e-9);
    check_optimal(&b);
    for (int i = 0; i < 4; i++) ck_assert_double_eq(b.k[i], 7);

    double cheapest = dp_units_energy(&b.u, b.low), dearest = dp_units_energy(&b.u, b.high);
    double energy = cheapest * pow(dearest / cheapest, made_random(&b, 0.2, 0.8));
    dp_relax_at(&b.u, b.shape, dp_relax_for_energy(&b.u, b.shape, energy), b.k);
    ck_assert_double_eq_tol(dp_units_energy(&b.u, b.k) / energy, 1, 1e-9);
    check_optimal(&b);
}
END_TEST

START_TEST(what_bounds_forbid_gives_the_nearest_that_they_allow) {
    made_units b;
    made_open(&b, 1, 10, 2, 50);
    dp_relax_shape(&b.u, b.shape);
    static const double factors[] = {0.5, 1e-9, 2, 1e9};
    double low = dp_units_energy(&b.u, b.low), high = dp_units_energy(&b.u, b.high);
    double least = dp_units_loss(&b.u, b.high), most = dp_units_loss(&b.u, b.low);
    for (int i = 0; i < 4; i++) {
        bool above = factors[i] > 1;
        double energy = (above ? high : low) * factors[i],
               loss = (above ? most : least) * factors[i];
        dp_relax_at(&b.u, b.shape, dp_relax_for_energy(&b.u, b.shape, energy), b.k);
        ck_assert_double_eq_tol(dp_units_energy(&b.u, b.k) / (above ? high : low), 1, 1e-9);
        dp_relax_at(&b.u, b.shape, dp_relax_for_loss(&b.u, b.shape, loss), b.k);
        ck_assert_double_eq_tol(dp_units_loss(&b.u, b.k) / (above ? most : least), 1, 1e-9);
    }
}
END_TEST

START_TEST(everything_fixed_is_an_answer_too) {
    made_units b;
    made_open(&b, 1, 3, 1, 100);
    for (int i = 0; i < 3; i++) b.fixed[i] = true, b.low[i] = b.high[i] = 5 + i;
    double low, high;
    dp_relax_shape(&b.u, b.shape);
    dp_relax_range(&b.u, b.shape, &low, &high);
    ck_assert(low > 0 && low <= high && isfinite(high));
    dp_relax_at(&b.u, b.shape, dp_relax_for_loss(&b.u, b.shape, 1e-3), b.k);
    for (int i = 0; i < 3; i++) ck_assert_double_eq(b.k[i], 5 + i);
}
END_TEST

/* A unit that seems not to matter is not starved: K still grows with t. None mattering means all alike. */
START_TEST(estimates_of_zero_starve_nobody) {
    made_units b;
    made_open(&b, 1, 8, 1, 1e6);
    b.s[2] = 0;
    dp_relax_shape(&b.u, b.shape);
    ck_assert_double_gt(b.shape[2], 0);
    for (int i = 0; i < 8; i++) ck_assert_double_le(b.shape[2], b.shape[i]);
    memset(b.s, 0, sizeof b.s);
    dp_relax_shape(&b.u, b.shape);
    for (int i = 0; i < 8; i++) ck_assert_double_eq(b.shape[i], b.shape[0]);
    ck_assert_double_gt(b.shape[0], 0);
}
END_TEST

START_TEST(beyond_the_range_of_t_nothing_changes) {
    made_units b;
    double low, high, more[MADE_MOST];
    made_open(&b, 3, 12, 2, 500);
    dp_relax_shape(&b.u, b.shape);
    dp_relax_range(&b.u, b.shape, &low, &high);
    dp_relax_at(&b.u, b.shape, low, b.k);
    for (int i = 0; i < 12; i++) ck_assert_double_eq_tol(b.k[i], b.low[i], 1e-9);
    dp_relax_at(&b.u, b.shape, low * 1.01, more);
    ck_assert_double_gt(dp_units_energy(&b.u, more), dp_units_energy(&b.u, b.k));
    dp_relax_at(&b.u, b.shape, high, b.k);
    for (int i = 0; i < 12; i++) ck_assert_double_eq_tol(b.k[i], b.high[i], 1e-6);
    dp_relax_at(&b.u, b.shape, high / 1.01, more);
    ck_assert_double_lt(dp_units_energy(&b.u, more), dp_units_energy(&b.u, b.k));
}
END_TEST

Suite *test_relax_suite(void) {
    Suite *suite = suite_create("relaxation");
    TCase *relax = tcase_create("relaxation");
    tcase_add_loop_test(relax, the_saving_is_the_closed_forms, 0, 20);
    tcase_add_loop_test(relax, bounds_that_are_active_keep_the_conditions_of_optimality, 0, 20);
    tcase_add_test(relax, what_bounds_forbid_gives_the_nearest_that_they_allow);
    tcase_add_test(relax, everything_fixed_is_an_answer_too);
    tcase_add_test(relax, estimates_of_zero_starve_nobody);
    tcase_add_test(relax, beyond_the_range_of_t_nothing_changes);
    suite_add_tcase(suite, relax);
    return suite;
}
