/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rounding against every combination of levels where there are few, and against GLPK's solvers where there are many: the
 * linear program with a variable for each unit and level has the dual's value, the integer one is what rounding looks for.
 */
#include <check.h>
#include <glpk.h>
#include <math.h>
#include <string.h>

#include "device/levels.h"
#include "learn/relax.h"
#include "learn/round.h"
#include "made_units.h"
#include "suites.h"

typedef struct trial {
    made_units b;
    double loss, energy_j; /* of the relaxed K */
    dp_allocation allocation;
} trial;

static bool is_level(const made_units *b, double k) {
    return dp_level_at_least(&b->hardware, k) == k && dp_level_at_most(&b->hardware, k) == k;
}

static double above(const made_units *b, double level) {
    return b->hardware.levels == DP_LEVELS_POWER_OF_TWO ? 2 * level : level + 1;
}

/* Relaxed K at a loss between the least and the most that there is. */
static void relax(trial *t) {
    made_units *b = &t->b;
    dp_relax_shape(&b->u, b->shape);
    double least = dp_units_loss(&b->u, b->high), most = dp_units_loss(&b->u, b->low);
    double loss = least * pow(most / least, made_random(b, 0.1, 0.9));
    dp_relax_at(&b->u, b->shape, dp_relax_for_loss(&b->u, b->shape, loss), b->k);
    t->loss = dp_units_loss(&b->u, b->k);
    t->energy_j = dp_units_energy(&b->u, b->k);
    t->allocation = (dp_allocation){&b->u, &b->hardware, b->shape};
}

/* Units whose costs differ by a factor of up to ten, or not at all. */
static void open_few(trial *t, int number, int count, double high, bool equal_costs) {
    made_open(&t->b, number, count, 1, high);
    for (int i = 0; i < count; i++) {
        t->b.s[i] = pow(10, made_random(&t->b, -1, 1));
        t->b.cost[i] = equal_costs ? 3e-15 : 1e-15 * pow(10, made_random(&t->b, 0, 1));
    }
}

static void use_powers(trial *t) {
    t->b.hardware.levels = DP_LEVELS_POWER_OF_TWO;
}

/* ---- few units: every combination of levels ---- */

/* The least energy at t's loss, the least loss within t's energy. */
typedef struct best {
    double energy_j, loss;
} best;

static void try_all(const trial *t, int unit, double energy, double loss, best *found) {
    const made_units *b = &t->b;
    if (unit == b->u.count) {
        if (loss <= t->loss * (1 + 1e-9)) found->energy_j = fmin(found->energy_j, energy);
        if (energy <= t->energy_j * (1 + 1e-9)) found->loss = fmin(found->loss, loss);
        return;
    }
    for (double k = b->low[unit]; k <= b->high[unit]; k = above(b, k))
        try_all(t, unit + 1, energy + b->cost[unit] * k, loss + b->s[unit] / k, found);
}

static best brute_force(const trial *t) {
    best found = {INFINITY, INFINITY};
    try_all(t, 0, 0, 0, &found);
    return found;
}

/* Units, levels up to. */
static const struct {
    int units;
    double most;
} sizes[] = {{2, 16}, {3, 16}, {4, 12}, {5, 10}, {6, 8}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void open_small(trial *t, int number) {
    int size = number % SIZES;
    bool equal = number / SIZES % 4 == 0, powers = number / SIZES % 2;
    open_few(t, number, sizes[size].units, powers ? 128 : sizes[size].most, equal);
    if (powers) use_powers(t);
    relax(t);
}

START_TEST(the_optimum_is_between_the_bound_and_the_rounding_and_found) {
    trial t;
    dp_rounding r;
    open_small(&t, _i);
    best found = brute_force(&t);
    ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
    for (int i = 0; i < t.b.u.count; i++) ck_assert(is_level(&t.b, t.b.k[i]));
    ck_assert_double_le(dp_units_loss(&t.b.u, t.b.k), t.loss * (1 + 1e-8));
    ck_assert(!r.of_loss);
    ck_assert_double_eq_tol(r.value / dp_units_energy(&t.b.u, t.b.k), 1, 1e-12);
    ck_assert_msg(r.bound <= found.energy_j * (1 + 1e-9), "the bound is above the optimum");
    ck_assert_double_ge(r.bound, t.energy_j * (1 - 1e-8)); /* the relaxed problem bounds it, too */
    double gap = r.gap;
    ck_assert_double_le(r.value, found.energy_j * (1 + gap) * (1 + 1e-9));
    ck_assert_msg(r.value <= found.energy_j * (1 + 1e-9), "%g J, the best are %g J", r.value,
                  found.energy_j);
}
END_TEST

START_TEST(within_an_energy_the_least_loss_is_found) {
    trial t;
    dp_rounding r;
    open_small(&t, _i);
    best found = brute_force(&t);
    ck_dp_ok(dp_round_within(&t.allocation, t.energy_j, t.b.k, &r, &err));
    for (int i = 0; i < t.b.u.count; i++) ck_assert(is_level(&t.b, t.b.k[i]));
    ck_assert_double_le(dp_units_energy(&t.b.u, t.b.k), t.energy_j * (1 + 1e-9));
    ck_assert(r.of_loss);
    ck_assert_double_eq_tol(r.value / dp_units_loss(&t.b.u, t.b.k), 1, 1e-9);
    ck_assert_double_le(r.bound, found.loss * (1 + 1e-9));
    ck_assert_double_ge(r.bound, t.loss * (1 - 1e-8));
    ck_assert_double_le(r.value, found.loss * (1 + r.gap) * (1 + 1e-9));
    ck_assert_msg(r.value <= found.loss * (1 + 1e-9), "a loss of %g, the least is %g", r.value,
                  found.loss);
}
END_TEST

/* ---- many units: GLPK ---- */

enum { MANY = 4 };
static const struct {
    int units;
    double most;
    bool powers;
} many[MANY] = {{50, 40, false}, {50, 65536, true}, {200, 24, false}, {200, 1024, true}};

static void open_many(trial *t, int number) {
    made_open(&t->b, number, many[number % MANY].units, 1, many[number % MANY].most);
    if (many[number % MANY].powers) use_powers(t);
    relax(t);
}

/* A row for each unit, which has one of its levels, and one for what is limited; a column for each unit and level. */
static glp_prob *write_program(const trial *t, bool within) {
    const made_units *b = &t->b;
    glp_prob *program = glp_create_prob();
    int rows = b->u.count + 1;
    glp_set_obj_dir(program, GLP_MIN);
    glp_add_rows(program, rows);
    glp_set_row_bnds(program, rows, GLP_UP, 0, 1);
    for (int i = 0; i < b->u.count; i++) {
        glp_set_row_bnds(program, i + 1, GLP_FX, 1, 1);
        for (double k = b->low[i]; k <= b->high[i]; k = above(b, k)) {
            int column = glp_add_cols(program, 1), row[3] = {0, i + 1, rows};
            double energy = b->cost[i] * k / t->energy_j, loss = b->s[i] / k / t->loss;
            glp_set_col_kind(program, column, GLP_BV);
            glp_set_obj_coef(program, column, within ? loss : energy);
            glp_set_mat_col(program, column, 2, row, (double[]){0, 1, within ? energy : loss});
        }
    }
    return program;
}

/* In parts of the relaxed optimum. */
static double solve_relaxed(glp_prob *program) {
    glp_smcp options;
    glp_init_smcp(&options);
    options.msg_lev = GLP_MSG_OFF;
    ck_assert_int_eq(glp_simplex(program, &options), 0);
    ck_assert_int_eq(glp_get_status(program), GLP_OPT);
    return glp_get_obj_val(program);
}

static double solve_whole(glp_prob *program, double gap) {
    glp_iocp options;
    glp_init_iocp(&options);
    options.msg_lev = GLP_MSG_OFF;
    options.mip_gap = gap;
    int status = glp_intopt(program, &options);
    ck_assert_msg(status == 0 || status == GLP_EMIPGAP, "glp_intopt: %d", status);
    return glp_mip_obj_val(program);
}

START_TEST(the_bound_is_the_linear_programs_and_the_rounding_near_the_integer_ones) {
    trial t;
    dp_rounding r;
    bool within = _i / MANY % 2;
    open_many(&t, _i);
    if (within)
        ck_dp_ok(dp_round_within(&t.allocation, t.energy_j, t.b.k, &r, &err));
    else
        ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
    glp_prob *program = write_program(&t, within);
    double unit = within ? t.loss : t.energy_j;
    double linear = solve_relaxed(program), whole = solve_whole(program, 1e-4);
    glp_delete_prob(program);
    glp_free_env();
    ck_assert_double_eq_tol(r.bound / unit, linear, 2e-7);
    ck_assert_double_ge(r.value / unit, linear * (1 - 1e-7));
    ck_assert_double_le(r.value / unit, whole * (1 + 2e-4));
}
END_TEST

/* ---- what holds for all ---- */

/* The textbook's way, one step at a time from the lowest levels: the step that lowers the loss most per joule. */
static double marginal_analysis(const trial *t) {
    const made_units *b = &t->b;
    double k[MADE_MOST];
    memcpy(k, b->low, sizeof k);
    while (dp_units_loss(&b->u, k) > t->loss * (1 + 1e-9)) {
        int steepest = -1;
        double most = -1;
        for (int i = 0; i < b->u.count; i++) {
            double next = above(b, k[i]);
            double gain = b->s[i] * (1 / k[i] - 1 / next) / (b->cost[i] * (next - k[i]));
            if (next > b->high[i] || gain <= most) continue;
            most = gain;
            steepest = i;
        }
        ck_assert_int_ge(steepest, 0);
        k[steepest] = above(b, k[steepest]);
    }
    return dp_units_energy(&b->u, k);
}

/* A network's worth of layers, whose costs differ a hundredfold. */
START_TEST(the_exchange_closes_most_of_the_gap_that_marginal_analysis_leaves) {
    double before = 0, after = 0;
    for (int number = 0; number < 24; number++) {
        trial t;
        dp_rounding r;
        made_open(&t.b, number, 22, 1, 256);
        if (_i) use_powers(&t);
        relax(&t);
        double plain = marginal_analysis(&t);
        ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
        ck_assert_double_le(r.value, plain * (1 + 1e-9));
        before += plain / r.bound - 1;
        after += r.gap;
    }
    ck_assert_msg(after < 0.25 * before, "mean gap %.4f%%, %.4f%% before", 100 * after / 24,
                  100 * before / 24);
}
END_TEST

START_TEST(an_energy_is_never_exceeded_and_no_step_that_fits_is_left_out) {
    trial t;
    dp_rounding r;
    made_open(&t.b, _i, 3 + 7 * _i, 1, 64);
    if (_i % 2) use_powers(&t);
    relax(&t);
    ck_dp_ok(dp_round_within(&t.allocation, t.energy_j, t.b.k, &r, &err));
    double energy = dp_units_energy(&t.b.u, t.b.k);
    ck_assert_double_le(energy, t.energy_j * (1 + 1e-9));
    for (int i = 0; i < t.b.u.count; i++) {
        double next = dp_level_next(&t.b.hardware, t.b.k[i]);
        double more = t.b.cost[i] * (next - t.b.k[i]);
        ck_assert(is_level(&t.b, t.b.k[i]));
        ck_assert_msg(more == 0 || energy + more > t.energy_j, "unit %d could be raised", i);
    }
}
END_TEST

/* 256 units cost a step of one of them more than the bound at most. */
START_TEST(many_units_end_near_the_bound) {
    trial t;
    dp_rounding r;
    made_open(&t.b, _i, MADE_MOST, 1, 65536);
    if (_i % 2) use_powers(&t);
    relax(&t);
    ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
    ck_assert_double_le(dp_units_loss(&t.b.u, t.b.k), t.loss * (1 + 1e-8));
    ck_assert_double_ge(r.value, r.bound * (1 - 1e-9));
    ck_assert_double_lt(r.gap, 1e-3);
}
END_TEST

/* All alike, so that every step is tied with every other: the loss is met with steps of a few, and no more. */
START_TEST(units_that_are_alike_are_raised_one_by_one) {
    trial t;
    dp_rounding r;
    made_open(&t.b, 1, 40, 1, 1000);
    for (int i = 0; i < 40; i++) t.b.s[i] = 2, t.b.cost[i] = 1e-15;
    dp_relax_shape(&t.b.u, t.b.shape);
    for (int i = 0; i < 40; i++) t.b.k[i] = 12.3;
    t.allocation = (dp_allocation){&t.b.u, &t.b.hardware, t.b.shape};
    ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
    /* n of them at 13: n / 13 + (40 - n) / 12 <= 40 / 12.3 */
    int raised = (int)ceil((40 / 12.0 - 40 / 12.3) / (1 / 12.0 - 1 / 13.0));
    for (int i = 0; i < 40; i++) ck_assert_double_eq(t.b.k[i], i < raised ? 13 : 12);
}
END_TEST

/* A shape that refinement found to be better than the relaxation's is not undone. */
START_TEST(a_refined_shape_stays_what_it_is) {
    trial t;
    dp_rounding r;
    double before[MADE_MOST];
    made_open(&t.b, _i, 60, 1, 65536);
    relax(&t);
    for (int i = 0; i < 60; i++) {
        t.b.shape[i] *= pow(10, made_random(&t.b, -0.5, 0.5));
        before[i] = t.b.k[i] = fmin(fmax(300 * t.b.shape[i], 1), 65536);
    }
    for (int within = 0; within < 2; within++) {
        double energy = dp_units_energy(&t.b.u, t.b.k);
        memcpy(t.b.k, before, sizeof before);
        if (within)
            ck_dp_ok(dp_round_within(&t.allocation, energy, t.b.k, &r, &err));
        else
            ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
        for (int i = 0; i < 60; i++) /* a step, and two where exchange moved one */
            ck_assert_double_eq_tol(t.b.k[i], before[i], 2 + 0.01 * before[i]);
    }
}
END_TEST

START_TEST(units_that_are_fixed_stay) {
    trial t;
    dp_rounding r;
    made_open(&t.b, 4, 12, 1, 1000);
    for (int i = 3; i < 6; i++) t.b.fixed[i] = true, t.b.low[i] = t.b.high[i] = 3 + i;
    t.b.fixed[6] = t.b.fixed[7] = true; /* outside the range that is left to the others */
    t.b.low[6] = t.b.high[6] = 4000;
    t.b.low[7] = t.b.high[7] = 0.5;
    for (int within = 0; within < 2; within++) {
        relax(&t);
        if (within)
            ck_dp_ok(dp_round_within(&t.allocation, t.energy_j, t.b.k, &r, &err));
        else
            ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
        for (int i = 3; i < 6; i++) ck_assert_double_eq(t.b.k[i], 3 + i);
        ck_assert_double_eq(t.b.k[6], 4000);
        ck_assert_double_eq(t.b.k[7], 0.5);
    }
}
END_TEST

/* With every unit fixed, or at the end of its range, there is nothing to choose and no gap. */
START_TEST(what_cannot_be_rounded_has_no_gap) {
    trial t;
    dp_rounding r;
    made_open(&t.b, 4, 6, 2, 50);
    dp_relax_shape(&t.b.u, t.b.shape);
    t.allocation = (dp_allocation){&t.b.u, &t.b.hardware, t.b.shape};
    const double *ends[] = {t.b.low, t.b.high};
    for (int i = 0; i < 4; i++) {
        memcpy(t.b.k, ends[i % 2], sizeof t.b.k);
        double energy = dp_units_energy(&t.b.u, t.b.k);
        if (i < 2)
            ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
        else
            ck_dp_ok(dp_round_within(&t.allocation, energy, t.b.k, &r, &err));
        ck_assert_mem_eq(t.b.k, ends[i % 2], 6 * sizeof *t.b.k);
        ck_assert_double_eq_tol(r.gap, 0, 1e-7); /* of a loss within 1e-9 */
    }
}
END_TEST

START_TEST(continuous_levels_need_no_rounding) {
    trial t;
    dp_rounding r;
    double before[MADE_MOST];
    made_open(&t.b, 4, 12, 0.5, 1000);
    t.b.hardware.levels = DP_LEVELS_CONTINUOUS;
    relax(&t);
    memcpy(before, t.b.k, sizeof before);
    ck_dp_ok(dp_round_levels(&t.allocation, t.b.k, &r, &err));
    ck_assert_double_eq(r.value, t.energy_j);
    ck_assert_double_eq(r.gap, 0);
    ck_dp_ok(dp_round_within(&t.allocation, t.energy_j, t.b.k, &r, &err));
    ck_assert_double_eq(r.gap, 0);
    ck_assert_mem_eq(before, t.b.k, sizeof before);
}
END_TEST

Suite *test_round_suite(void) {
    Suite *suite = suite_create("rounding");
    TCase *few = tcase_create("few units");
    tcase_add_loop_test(few, the_optimum_is_between_the_bound_and_the_rounding_and_found, 0, 80);
    tcase_add_loop_test(few, within_an_energy_the_least_loss_is_found, 0, 80);
    suite_add_tcase(suite, few);
    TCase *more = tcase_create("many units");
    tcase_add_loop_test(
        more, the_bound_is_the_linear_programs_and_the_rounding_near_the_integer_ones, 0, 2 * MANY);
    tcase_add_loop_test(more, the_exchange_closes_most_of_the_gap_that_marginal_analysis_leaves, 0,
                        2);
    tcase_add_loop_test(more, many_units_end_near_the_bound, 0, 20);
    suite_add_tcase(suite, more);
    TCase *all = tcase_create("any units");
    tcase_add_loop_test(all, an_energy_is_never_exceeded_and_no_step_that_fits_is_left_out, 0, 20);
    tcase_add_test(all, units_that_are_alike_are_raised_one_by_one);
    tcase_add_loop_test(all, a_refined_shape_stays_what_it_is, 0, 8);
    tcase_add_test(all, units_that_are_fixed_stay);
    tcase_add_test(all, what_cannot_be_rounded_has_no_gap);
    tcase_add_test(all, continuous_levels_need_no_rounding);
    suite_add_tcase(suite, all);
    return suite;
}
