/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Precision under a limit of time: against closed forms, against every plan there is, and against the conditions of optimality. Blocks are
 * made up here; what the engine's sites come to is in the suite of latency.
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <string.h>

#include "learn/relax.h"
#include "learn/time/timed.h"
#include "made_units.h"
#include "suites.h"

enum { MOST_BLOCKS = 64 };

typedef struct timed_units {
    made_units b;
    int first[MOST_BLOCKS + 1], units[MADE_MOST];
    double operations[MOST_BLOCKS];
    dp_allocation allocation;
} timed_units;

/* `count` units, `width` of them in each block. */
static void open_timed(timed_units *t, int number, int count, int width, double high) {
    memset(t, 0, sizeof *t);
    made_open(&t->b, number, count, 1, high);
    dp_blocks *b = &t->b.u.blocks;
    *b = (dp_blocks){.first = t->first, .units = t->units, .operations = t->operations};
    for (int i = 0; i < count; i++) t->units[i] = i;
    for (int i = 0; i < count; i += width) {
        t->operations[b->count++] = pow(10, made_random(&t->b, -1, 1));
        t->first[b->count] = i + width < count ? i + width : count;
    }
    dp_relax_shape(&t->b.u, t->b.shape);
    t->allocation = (dp_allocation){&t->b.u, &t->b.hardware, t->b.shape};
}

static double slowest(const timed_units *t, const double *k) { /* its own sum */
    double sum = 0;
    for (int i = 0; i < t->b.u.blocks.count; i++) {
        double most = 0;
        for (int j = t->first[i]; j < t->first[i + 1]; j++)
            most = k[t->units[j]] > most ? k[t->units[j]] : most;
        sum += t->operations[i] * most;
    }
    return sum;
}

/* ---- relaxed ---- */

/* Without bounds, time alone: minimise sum s / K with sum T K = L, so K = L sqrt(s / T) / sum sqrt(s T). */
START_TEST(time_alone_is_the_closed_form) {
    timed_units t;
    open_timed(&t, _i, 5 + _i, 1, 1e12);
    memset(t.b.low, 0, sizeof t.b.low);
    for (int i = 0; i < t.b.u.count; i++) t.b.low[i] = 1e-9;
    double limit = 40, sum = 0;
    t.b.u.most_operations = limit;
    for (int i = 0; i < t.b.u.count; i++) sum += sqrt(t.b.s[i] * t.operations[i]);
    dp_timed_relax(&t.b.u, t.b.shape, 1e9, t.b.k); /* so high that energy does not count */
    for (int i = 0; i < t.b.u.count; i++)
        ck_assert_double_eq_tol(t.b.k[i] / (limit * sqrt(t.b.s[i] / t.operations[i]) / sum), 1,
                                1e-6);
}
END_TEST

/* With a loss given, too: K = sqrt(m s / (B + v T)). Two units leave no choice: both limits give K by a quadratic equation. */
START_TEST(two_units_are_where_both_limits_meet) {
    timed_units t;
    open_timed(&t, _i, 2, 1, 1e9);
    double *s = t.b.s, *T = t.operations, *k = t.b.k;
    if (fmin(t.b.shape[0], t.b.shape[1]) < 1.01e-3) return; /* a share that nobody goes below */
    for (int i = 0; i < 2; i++) t.b.low[i] = 1e-9;
    dp_relax_at(&t.b.u, t.b.shape, 20, k);
    double loss = s[0] / k[0] + s[1] / k[1], free_time = slowest(&t, k);
    /* least time at this loss: (sum sqrt(s T))² / loss; between it and the free one both limits are active */
    double least = pow(sqrt(s[0] * T[0]) + sqrt(s[1] * T[1]), 2) / loss;
    double limit = 0.3 * least + 0.7 * free_time;
    t.b.u.most_operations = limit;
    dp_relax_at(&t.b.u, t.b.shape, dp_relax_for_loss(&t.b.u, t.b.shape, loss), k);
    ck_assert_double_eq_tol((s[0] / k[0] + s[1] / k[1]) / loss, 1, 1e-6);
    ck_assert_double_eq_tol(slowest(&t, k) / limit, 1, 1e-6);
    /* K0 = (limit - T1 K1) / T0 in s0 / K0 + s1 / K1 = loss */
    double a = loss * T[1], b = s[0] * T[0] - s[1] * T[1] - loss * limit, c = s[1] * limit;
    double root = sqrt(b * b - 4 * a * c), one = (-b + root) / (2 * a),
           other = (-b - root) / (2 * a);
    ck_assert(fabs(k[1] / one - 1) < 1e-4 || fabs(k[1] / other - 1) < 1e-4);
}
END_TEST

/* Three units, all K of a fine grid: none meets loss and time for less energy. */
START_TEST(no_point_of_a_grid_is_better) {
    enum { POINTS = 160 };
    timed_units t;
    int width = 1 + _i % 3; /* three blocks, two, or one of all */
    open_timed(&t, _i, 3, width, 64);
    dp_relax_at(&t.b.u, t.b.shape, 12, t.b.k);
    t.b.u.most_operations = slowest(&t, t.b.k) * made_random(&t.b, 0.5, 0.95);
    if (dp_timed_exceeds(&t.b.u, t.b.low)) return; /* cannot be met */
    dp_relax_at(&t.b.u, t.b.shape, 30, t.b.k);
    double loss = dp_units_loss(&t.b.u, t.b.k), energy = dp_units_energy(&t.b.u, t.b.k);
    ck_assert_double_le(slowest(&t, t.b.k), t.b.u.most_operations);
    for (int n = 0; n < POINTS * POINTS * POINTS; n++) {
        double k[3] = {pow(64, n % POINTS / (POINTS - 1.0)),
                       pow(64, n / POINTS % POINTS / (POINTS - 1.0)),
                       pow(64, n / POINTS / POINTS / (POINTS - 1.0))};
        if (dp_units_loss(&t.b.u, k) > loss || slowest(&t, k) > t.b.u.most_operations) continue;
        ck_assert_msg(dp_units_energy(&t.b.u, k) >= energy * (1 - 1e-6),
                      "%g %g %g takes %g J and not %g J", k[0], k[1], k[2],
                      dp_units_energy(&t.b.u, k), energy);
    }
}
END_TEST

/*
 * Karush, Kuhn and Tucker for a block with the level M at the price v: units below it have K = t r, and those at it together
 * sum (B (t r)² / M² - B) = v T, one v for all blocks whose level is between the bounds.
 */
START_TEST(blocks_keep_the_conditions_of_optimality) {
    timed_units t;
    open_timed(&t, _i, 48, 4 + _i % 5, 500);
    double scale = 20, least = INFINITY, most = 0;
    dp_relax_at(&t.b.u, t.b.shape, scale, t.b.k);
    t.b.u.most_operations = 0.4 * slowest(&t, t.b.k) + 0.6 * slowest(&t, t.b.low);
    double price = dp_timed_relax(&t.b.u, t.b.shape, scale, t.b.k);
    ck_assert(price > 0);
    ck_assert_double_eq_tol(slowest(&t, t.b.k) / t.b.u.most_operations, 1, 1e-9);
    for (int b = 0; b < t.b.u.blocks.count; b++) {
        double level = dp_blocks_most(&t.b.u.blocks, b, t.b.k), sum = 0;
        for (int i = t.first[b]; i < t.first[b + 1]; i++) {
            double wanted = fmax(scale * t.b.shape[i], 1);
            if (t.b.k[i] < level) ck_assert_double_eq_tol(t.b.k[i] / fmin(wanted, 500), 1, 1e-12);
            if (t.b.k[i] == level && wanted > level)
                sum += t.b.cost[i] * (wanted * wanted / (level * level) - 1);
        }
        if (level <= 1 || level >= 500) continue;
        least = fmin(least, sum / t.operations[b]);
        most = fmax(most, sum / t.operations[b]);
    }
    ck_assert_msg(most / least - 1 < 1e-6, "prices from %g to %g", least, most);
    ck_assert_double_eq_tol(most / price, 1, 1e-6);
}
END_TEST

START_TEST(a_limit_that_is_not_active_changes_nothing) {
    timed_units t;
    open_timed(&t, _i, 20, 3, 500);
    double before[MADE_MOST], low[2], high[2];
    dp_relax_at(&t.b.u, t.b.shape, 20, before);
    dp_relax_range(&t.b.u, t.b.shape, &low[0], &high[0]);
    t.b.u.most_operations = slowest(&t, t.b.high) * 1.01;
    dp_relax_at(&t.b.u, t.b.shape, 20, t.b.k);
    dp_relax_range(&t.b.u, t.b.shape, &low[1], &high[1]);
    ck_assert_mem_eq(before, t.b.k, (size_t)t.b.u.count * sizeof *before);
    ck_assert(low[0] == low[1] && high[0] == high[1]);
}
END_TEST

START_TEST(loss_falls_and_energy_rises_with_t_under_a_limit) {
    timed_units t;
    open_timed(&t, _i, 30, 1 + _i % 4, 300);
    dp_relax_at(&t.b.u, t.b.shape, 30, t.b.k);
    t.b.u.most_operations = 0.5 * slowest(&t, t.b.k) + 0.5 * slowest(&t, t.b.low);
    double energy = 0, loss = INFINITY, low, high;
    dp_relax_range(&t.b.u, t.b.shape, &low, &high);
    for (double scale = low; scale <= high; scale *= 1.3) {
        dp_relax_at(&t.b.u, t.b.shape, scale, t.b.k);
        ck_assert_double_le(slowest(&t, t.b.k), t.b.u.most_operations);
        ck_assert_double_ge(dp_units_energy(&t.b.u, t.b.k), energy * (1 - 1e-9));
        ck_assert_double_le(dp_units_loss(&t.b.u, t.b.k), loss * (1 + 1e-9));
        energy = dp_units_energy(&t.b.u, t.b.k);
        loss = dp_units_loss(&t.b.u, t.b.k);
    }
    dp_relax_at(&t.b.u, t.b.shape, 1e6 * high, t.b.k); /* beyond the range nothing is left */
    ck_assert_double_le(loss, dp_units_loss(&t.b.u, t.b.k) * 1.02);
}
END_TEST

/* ---- levels ---- */

/* B (K + (t r)² / K), what levels are chosen by. */
static double counted(const timed_units *t, double scale, const double *k) {
    double sum = 0;
    for (int i = 0; i < t->b.u.count; i++)
        sum += t->b.cost[i] * (k[i] + pow(scale * t->b.shape[i], 2) / k[i]);
    return sum;
}

/* All of 16³ plans of three units: the levels are the best or hardly worse, and keep to the limit. */
START_TEST(levels_are_nearly_the_best_of_all_plans) {
    enum { LEVELS = 16 };
    timed_units t;
    dp_rounding r;
    open_timed(&t, _i, 3, 1 + _i % 3, LEVELS);
    double scale = made_random(&t.b, 3, 10), best = INFINITY, least_energy = INFINITY;
    dp_relax_at(&t.b.u, t.b.shape, scale, t.b.k);
    t.b.u.most_operations = slowest(&t, t.b.k) * made_random(&t.b, 0.5, 1);
    if (dp_timed_exceeds(&t.b.u, t.b.low)) return; /* cannot be met */
    ck_dp_ok(dp_timed_levels(&t.allocation, scale, t.b.k, &r, &err));
    ck_assert_double_le(slowest(&t, t.b.k), t.b.u.most_operations);
    double loss = dp_units_loss(&t.b.u, t.b.k), energy = dp_units_energy(&t.b.u, t.b.k);
    double least_loss = INFINITY;
    for (int n = 0; n < LEVELS * LEVELS * LEVELS; n++) {
        double k[3] = {1 + n % LEVELS, 1 + n / LEVELS % LEVELS, 1 + n / LEVELS / LEVELS};
        if (slowest(&t, k) > t.b.u.most_operations) continue;
        best = fmin(best, counted(&t, scale, k));
        if (dp_units_loss(&t.b.u, k) <= loss * (1 + 1e-12))
            least_energy = fmin(least_energy, dp_units_energy(&t.b.u, k));
        if (dp_units_energy(&t.b.u, k) <= energy * (1 + 1e-12))
            least_loss = fmin(least_loss, dp_units_loss(&t.b.u, k));
    }
    double is = counted(&t, scale, t.b.k);
    ck_assert_msg(is <= best * 1.03, "%g where %g is possible", is, best);
    if (isnan(r.gap)) return;
    ck_assert_double_le(r.bound, (r.of_loss ? least_loss : least_energy) * (1 + 1e-9));
    ck_assert_double_eq_tol(r.value / (r.of_loss ? loss : energy), 1, 1e-12);
}
END_TEST

START_TEST(levels_of_many_blocks_keep_to_the_limit_and_their_bounds) {
    timed_units t;
    dp_rounding r;
    open_timed(&t, _i, 60, 1 + _i % 7, 300);
    t.b.fixed[3] = t.b.fixed[17] = true;
    t.b.low[3] = t.b.high[3] = 64;
    t.b.low[17] = t.b.high[17] = 1024; /* beyond what is left to the others */
    t.b.hardware.levels = _i % 2 ? DP_LEVELS_POWER_OF_TWO : DP_LEVELS_INTEGER;
    t.b.hardware.repetitions_max = 256;
    for (int i = 0; i < 60; i++)
        if (!t.b.fixed[i]) t.b.high[i] = 256;
    dp_relax_at(&t.b.u, t.b.shape, 20, t.b.k);
    double least = slowest(&t, t.b.low);
    t.b.u.most_operations = least + 0.5 * (slowest(&t, t.b.k) - least);
    ck_dp_ok(dp_timed_levels(&t.allocation, 20, t.b.k, &r, &err));
    ck_assert_double_le(slowest(&t, t.b.k), t.b.u.most_operations);
    ck_assert_double_ge(slowest(&t, t.b.k), 0.8 * t.b.u.most_operations);
    for (int i = 0; i < 60; i++) {
        ck_assert(t.b.k[i] >= t.b.low[i] && t.b.k[i] <= t.b.high[i]);
        ck_assert(t.b.k[i] == rint(t.b.k[i]));
        if (_i % 2 && !t.b.fixed[i]) ck_assert(log2(t.b.k[i]) == rint(log2(t.b.k[i])));
    }
    ck_assert(r.bound > 0 && r.bound <= r.value);
}
END_TEST

Suite *test_timed_suite(void) {
    Suite *suite = suite_create("precision in time");
    TCase *tcase = tcase_create("timed");
    tcase_add_loop_test(tcase, time_alone_is_the_closed_form, 0, 5);
    tcase_add_loop_test(tcase, two_units_are_where_both_limits_meet, 0, 10);
    tcase_add_loop_test(tcase, no_point_of_a_grid_is_better, 0, 9);
    tcase_add_loop_test(tcase, blocks_keep_the_conditions_of_optimality, 0, 10);
    tcase_add_loop_test(tcase, a_limit_that_is_not_active_changes_nothing, 0, 4);
    tcase_add_loop_test(tcase, loss_falls_and_energy_rises_with_t_under_a_limit, 0, 8);
    tcase_add_loop_test(tcase, levels_are_nearly_the_best_of_all_plans, 0, 60);
    tcase_add_loop_test(tcase, levels_of_many_blocks_keep_to_the_limit_and_their_bounds, 0, 20);
    suite_add_tcase(suite, tcase);
    return suite;
}
