/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Searches on a network whose loss is known in closed form: branches of one convolution each that are added up, so that the squared error of
 * the sum is the sum of theirs, sum over channels of s / K with s in proportion to |W|², or with weight noise to the square of their range, whatever K is.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/refine/descent.h"
#include "learn/refine/refine.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { BRANCHES = 3, WIDE = 4, INPUTS = 6, SIDE = 5, SAMPLES = 96, CHANNELS = BRANCHES * WIDE };

/* All of a branch's weights are larger by this; the second one has half the terms, so half the cost and depth. */
static const float sizes[BRANCHES] = {1, 0.2F, 6};

typedef struct bench {
    rig r;
    dp_search s;
    dp_learn_options options;
    dp_progress progress;
    atomic_int cancel;
    bool of_weights;        /* the noise; else shot noise */
    int passes_left;        /* until it is cancelled; 0: never */
    double share[CHANNELS]; /* s of each channel, up to a factor */
    double shape[CHANNELS], best[CHANNELS];
} bench;

static double square(const float *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

static double range(const float *x, int64_t count) {
    double low = INFINITY, high = -INFINITY;
    for (int64_t i = 0; i < count; i++) {
        low = fmin(low, (double)x[i]);
        high = fmax(high, (double)x[i]);
    }
    return high - low;
}

static void build(bench *b) {
    net *n = &b->r.n;
    net_open(n, 31);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, INPUTS, SIDE, SIDE)), sum = -1;
    for (int i = 0; i < BRANCHES; i++) {
        int64_t depth = i == 1 ? INPUTS / 2 : INPUTS;
        int w = net_weights(n, 4, NET_DIM(WIDE, depth, 1, 1), sizes[i]);
        dp_attr attrs[] = {OP_INT("group", INPUTS / depth), {0}};
        int y = net_op(n, "Conv", NET_IN(x, w), attrs);
        const float *values = n->graph->values[w].constant->data;
        for (int64_t c = 0; c < WIDE; c++, values += depth)
            b->share[i * WIDE + c] = b->of_weights ? pow(range(values, depth), 2) * (double)depth
                                                   : square(values, depth) / (double)depth;
        sum = sum < 0 ? y : net_op(n, "Add", NET_IN(sum, y), NULL);
    }
    net_output(n, sum);
}

static void count_pass(void *self, const dp_progress_state *state) {
    bench *b = self;
    if (state->done > 0 || !b->passes_left) return;
    if (--b->passes_left == 0) atomic_store(&b->cancel, 1);
}

static void bench_open_with(bench *b, unsigned granularity, int threads, bool of_weights,
                            int64_t samples) {
    memset(b, 0, sizeof *b);
    b->of_weights = of_weights;
    b->r.hardware = net_hardware((const char *[]){of_weights ? "weight" : "shot", NULL},
                                 (double[]){of_weights ? 0.1 : 1});
    build(b);
    b->r.data = net_dataset(&b->r.n, &(net_data){.samples = samples, .spread = 1, .seed = 9});
    b->progress = (dp_progress){count_pass, b};
    rig_open(&b->r,
             &(dp_engine_options){
                 .seed = 1, .threads = threads, .progress = &b->progress, .cancel = &b->cancel});
    dp_learn_defaults(&b->options);
    b->options.granularity = granularity;
    dp_search *s = &b->s;
    *s = (dp_search){.options = &b->options, .hardware = &b->r.hardware, .engine = b->r.engine};
    ck_assert(dp_reference_regression(b->r.reference));
    s->learn = (dp_half){.data = b->r.data, .reference = b->r.reference, .samples = samples};
    ck_dp_ok(dp_units_create(&s->units, s->engine, s->hardware, &b->options, &err));
    ck_assert_int_eq(s->units.count, granularity == DP_GRAIN_LAYER ? BRANCHES : CHANNELS);
    s->s = dp_alloc(CHANNELS, sizeof *s->s);
    s->repetitions = dp_alloc(CHANNELS, sizeof *s->repetitions);
    s->k = dp_alloc(CHANNELS, sizeof *s->k);
}

static void bench_open(bench *b, unsigned granularity, int threads) {
    bench_open_with(b, granularity, threads, false, SAMPLES);
}

static void bench_close(bench *b) {
    dp_units_clear(&b->s.units);
    dp_free(b->s.s);
    dp_free(b->s.repetitions);
    dp_free(b->s.k);
    rig_close(&b->r);
}

/* Of units, up to a factor: the oracle. */
static void true_sensitivities(const bench *b, double *s) {
    for (int u = 0; u < b->s.units.count; u++) s[u] = 0;
    for (int c = 0; c < CHANNELS; c++) s[b->s.units.of_channel[c]] += b->share[c];
}

/* The loss, up to that factor, at the energy of K = 1 everywhere times t; 1: of the best K. */
static double excess_loss(const bench *b, const double *shape) {
    const dp_units *u = &b->s.units;
    double s[CHANNELS], energy = 0, loss = 0, roots = 0;
    true_sensitivities(b, s);
    for (int i = 0; i < u->count; i++) {
        energy += u->cost_j[i] * shape[i];
        loss += s[i] / shape[i];
        roots += sqrt(s[i] * u->cost_j[i]);
    }
    return loss * energy / (roots * roots);
}

/* All alike, and nothing known of what matters: as if all cost the same share of the loss. */
static void begin_badly(bench *b) {
    const dp_units *u = &b->s.units;
    for (int i = 0; i < u->count; i++) {
        b->shape[i] = 1;
        u->s[i] = 0.03 * u->cost_j[i] / u->cost_j[0];
    }
}

static dp_status refine(bench *b, const char *name, double t, dp_error *err) {
    const dp_refiner *refiner = NULL;
    dp_status status = dp_refiner_find(name, &refiner, err);
    if (status == DP_OK) status = dp_refiner_check(refiner, &b->s, err);
    return status == DP_OK ? dp_refiner_run(refiner, &b->s, t, b->shape, err) : status;
}

static const unsigned grains[] = {DP_GRAIN_LAYER, DP_GRAIN_CHANNEL};

/* ---- minimisers with derivatives ---- */

/*
 * Of a channel's noise 72 * 25 * 4 normals are seen, so its s is known to sqrt(2 / 7200) = 1.7%; with z = 4 that is 7%, or 3.4% in K,
 * which costs half its square.
 */
START_TEST(descent_finds_the_closed_forms_optimum) {
    bench b;
    bench_open(&b, grains[_i / 2], 1);
    begin_badly(&b);
    double before = excess_loss(&b, b.shape);
    b.options.stop = (dp_stop){.max_evaluations = 200, .tolerance = 1e-7};
    ck_dp_ok(dp_descend(&b.s, 40, b.shape, _i % 2, &err));
    double after = excess_loss(&b, b.shape);
    ck_assert_msg(before > 1.5 && after < 1.005, "from %g to %g", before, after);
    bench_close(&b);
}
END_TEST

/* It compares precisions at one energy, and hands on a shape that has it. */
START_TEST(descent_keeps_the_energy) {
    bench b;
    bench_open(&b, DP_GRAIN_CHANNEL, 1);
    begin_badly(&b);
    const dp_units *u = &b.s.units;
    double k[CHANNELS], before, after;
    b.s.units.low[2] = 30; /* some on bounds */
    b.s.units.high[9] = 45;
    dp_relax_at(u, b.shape, 40, k);
    before = dp_units_energy(u, k);
    ck_dp_ok(dp_descend(&b.s, 40, b.shape, DP_DESCENT_BFGS2, &err));
    dp_relax_at(u, b.shape, 40, k);
    after = dp_units_energy(u, k);
    ck_assert_double_eq_tol(after / before, 1, 1e-9);
    bench_close(&b);
}
END_TEST

/* A step costs 3 passes of 4 draws over 72 of 96 samples; asking the 24 others takes 2 of 8 draws, for all of it and for half. */
START_TEST(evaluations_are_counted_and_limited) {
    for (int most = 1; most < 12; most += 3) {
        bench b;
        bench_open(&b, DP_GRAIN_CHANNEL, 1);
        begin_badly(&b);
        b.options.stop.max_evaluations = most;
        ck_dp_ok(dp_descend(&b.s, 40, b.shape, _i, &err));
        double asked = (b.s.passes - most * 3 * 4 * 0.75) / 2;
        ck_assert_msg(asked >= 0 && asked <= 4 && asked == floor(asked), "%d: %g passes", most,
                      b.s.passes);
        bench_close(&b);
    }
}
END_TEST

static const char *const all[] = {"stochastic", "bfgs2",  "conjugate_pr",
                                  "simplex",    "anneal", "adam"};
enum { ALL = sizeof all / sizeof *all };

START_TEST(seconds_are_limited_too) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    begin_badly(&b);
    b.options.stop = (dp_stop){.max_evaluations = 1000000, .max_seconds = 1e-9};
    double before = b.s.passes;
    ck_dp_ok(refine(&b, all[_i], 40, &err));
    ck_assert_double_le(b.s.passes - before, 16); /* one evaluation, and asking */
    bench_close(&b);
}
END_TEST

/* Descent from a bad start improves round by round; what the rounds before had found is there. */
START_TEST(cancelling_keeps_the_best_so_far) {
    bench b;
    bench_open(&b, DP_GRAIN_CHANNEL, 2);
    dp_error err = {DP_OK, ""};
    begin_badly(&b);
    double start = excess_loss(&b, b.shape), last = start;
    for (int passes = 5; passes < 60; passes += 9) {
        begin_badly(&b);
        atomic_store(&b.cancel, 0);
        b.passes_left = passes;
        b.s.next_trial = 0;
        b.options.stop = (dp_stop){.max_evaluations = 1000, .tolerance = 1e-12};
        dp_status status = dp_descend(&b.s, 40, b.shape, DP_DESCENT_BFGS2, &err);
        double now = excess_loss(&b, b.shape);
        ck_assert(now <= last * (1 + 1e-3) && now >= 1);
        if (status == DP_OK) break; /* it had finished */
        ck_assert_int_eq(status, DP_ECANCELLED);
        last = now;
    }
    ck_assert_double_lt(last, 0.8 * start);
    bench_close(&b);
}
END_TEST

START_TEST(a_cancelled_search_leaves_a_shape_that_is_no_worse) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    dp_error err = {DP_OK, ""};
    for (int passes = 1; passes < 8; passes += 3) {
        begin_badly(&b);
        double before = excess_loss(&b, b.shape);
        atomic_store(&b.cancel, 0);
        b.passes_left = passes;
        ck_assert_int_eq(refine(&b, all[_i], 40, &err), DP_ECANCELLED);
        ck_assert_double_le(excess_loss(&b, b.shape), before * (1 + 1e-9));
    }
    bench_close(&b);
}
END_TEST

START_TEST(searches_are_the_same_at_any_number_of_threads) {
    double first[CHANNELS];
    for (int threads = 1; threads <= 3; threads++) {
        bench b;
        bench_open(&b, DP_GRAIN_CHANNEL, threads);
        begin_badly(&b);
        b.options.stop.max_evaluations = 25;
        ck_dp_ok(refine(&b, all[_i], 40, &err));
        if (threads == 1) memcpy(first, b.shape, sizeof first);
        ck_assert_mem_eq(b.shape, first, sizeof first);
        bench_close(&b);
    }
}
END_TEST

/* ---- without derivatives ---- */

START_TEST(simplex_finds_the_layers_of_the_closed_form) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    begin_badly(&b);
    double before = excess_loss(&b, b.shape);
    b.options.stop = (dp_stop){.max_evaluations = 200, .tolerance = 1e-6};
    ck_dp_ok(refine(&b, "simplex", 40, &err));
    double after = excess_loss(&b, b.shape);
    ck_assert_msg(before > 1.5 && after < 1.005, "from %g to %g", before, after);
    bench_close(&b);
}
END_TEST

/* Channels of a layer keep their ratios. */
START_TEST(simplex_moves_layers_as_they_are) {
    bench b;
    bench_open(&b, DP_GRAIN_CHANNEL, 1);
    begin_badly(&b);
    for (int c = 0; c < CHANNELS; c++) b.shape[c] = 1 + c % WIDE;
    ck_dp_ok(refine(&b, "simplex", 16, &err));
    for (int c = 0; c < CHANNELS; c++)
        ck_assert_double_eq_tol(b.shape[c] / b.shape[c - c % WIDE], 1 + c % WIDE, 1e-9);
    ck_assert_double_gt(fabs(log(b.shape[0] / b.shape[WIDE])), 0.1);
    bench_close(&b);
}
END_TEST

/* The least loss of all levels up to `most` within an energy. */
static double brute_force(const bench *b, double energy, int most, double *best) {
    const dp_units *u = &b->s.units;
    double s[CHANNELS], least = INFINITY, k[BRANCHES];
    true_sensitivities(b, s);
    for (k[0] = 1; k[0] <= most; k[0]++)
        for (k[1] = 1; k[1] <= most; k[1]++)
            for (k[2] = 1; k[2] <= most; k[2]++) {
                double loss = s[0] / k[0] + s[1] / k[1] + s[2] / k[2];
                if (dp_units_energy(u, k) > energy * (1 + 1e-9) || loss >= least) continue;
                least = loss;
                memcpy(best, k, sizeof k);
            }
    return least;
}

/* Energies of whole multiples of the cost, so that none is left. Equal levels lose more than half; it ends within 1%. */
START_TEST(annealing_finds_what_brute_force_finds) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    const dp_units *u = &b.s.units;
    double t = 3 + _i, k[BRANCHES], best[BRANCHES], s[CHANNELS], loss = 0;
    begin_badly(&b);
    double energy = dp_units_energy(u, b.shape) * t, least = brute_force(&b, energy, 40, best);
    b.options.stop.max_evaluations = 300;
    ck_dp_ok(refine(&b, "anneal", t, &err));
    true_sensitivities(&b, s);
    for (int i = 0; i < BRANCHES; i++) {
        k[i] = t * b.shape[i];
        ck_assert_double_eq_tol(k[i], round(k[i]), 1e-9); /* levels */
        loss += s[i] / k[i];
    }
    ck_assert_double_le(dp_units_energy(u, k), energy * (1 + 1e-9));
    ck_assert_msg(loss < 1.01 * least, "%g %g %g: %g, brute force %g %g %g: %g", k[0], k[1], k[2],
                  loss, best[0], best[1], best[2], least);
    /* and rounding ends with them */
    dp_allocation allocation = {u, &b.r.hardware, b.shape};
    dp_rounding rounding;
    double energy_found = dp_units_energy(u, k), rounded[BRANCHES];
    dp_relax_at(u, b.shape, dp_relax_for_energy(u, b.shape, energy_found), rounded);
    ck_dp_ok(dp_round_within(&allocation, energy_found, rounded, &rounding, &err));
    for (int i = 0; i < BRANCHES; i++) ck_assert_double_eq_tol(rounded[i], k[i], 1e-9);
    bench_close(&b);
}
END_TEST

/* ---- stochastic descent ---- */

/* From all alike, where the best K are apart by a factor of 30, with gradients of 8 samples, or of 4 and two draws. */
START_TEST(small_batches_lower_the_loss_at_one_energy) {
    bench b;
    bench_open_with(&b, grains[_i % 2], 1, _i >= 2, SAMPLES);
    const dp_units *u = &b.s.units;
    double t = 3, before = 0, after = 0;
    begin_badly(&b);
    for (int i = 0; i < u->count; i++) {
        u->low[i] = 0.01;
        before += u->cost_j[i] * t * b.shape[i];
    }
    double worse = excess_loss(&b, b.shape);
    ck_dp_ok(refine(&b, "stochastic", t, &err));
    for (int i = 0; i < u->count; i++) after += u->cost_j[i] * t * b.shape[i];
    ck_assert_double_eq_tol(after / before, 1, 1e-6);
    double better = excess_loss(&b, b.shape);
    ck_assert_msg(worse > 1.5 && better < 1.15, "from %g to %g", worse, better);
    bench_close(&b);
}
END_TEST

/* A unit that is fixed pays for no other, and bounds hold. */
START_TEST(small_batches_leave_what_is_fixed_and_keep_to_bounds) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    const dp_units *u = &b.s.units;
    begin_badly(&b);
    u->fixed[0] = true;
    u->low[0] = u->high[0] = 5;
    u->low[1] = 2.5;
    u->high[2] = 3.5;
    ck_dp_ok(refine(&b, "stochastic", 3, &err));
    double k[CHANNELS], wanted = 5 * u->cost_j[0] + 3 * u->cost_j[1] + 3 * u->cost_j[2];
    for (int i = 0; i < u->count; i++) k[i] = 3 * b.shape[i];
    ck_assert_double_eq_tol(k[0], 5, 1e-9);
    ck_assert_double_ge(k[1], 2.5 - 1e-9);
    ck_assert_double_le(k[2], 3.5 + 1e-9);
    ck_assert_double_gt(k[2], 3.1);
    ck_assert_double_eq_tol(dp_units_energy(u, k) / wanted, 1, 1e-6);
    bench_close(&b);
}
END_TEST

/* Each sample is run about four times, forward and back: in 60 steps of whole eights, 64 at most, or in up to 240 of 4 or 8 and two draws. */
static const struct {
    bool of_weights;
    int64_t samples, runs; /* of a step */
    int steps;
} plans[] = {{false, 96, 8, 60},      {false, 600, 40, 60},    {false, 1200, 64, 60},
             {true, 96, 2 * 4, 60},   {true, 400, 2 * 4, 200}, {true, 600, 2 * 8, 150},
             {true, 1200, 2 * 8, 240}};

START_TEST(steps_of_small_batches_are_counted) {
    bench b;
    bench_open_with(&b, DP_GRAIN_LAYER, 1, plans[_i].of_weights, plans[_i].samples);
    double step = 3 * (double)plans[_i].runs / (double)plans[_i].samples;
    begin_badly(&b);
    ck_dp_ok(refine(&b, "stochastic", 40, &err));
    ck_assert_double_eq_tol(b.s.passes, plans[_i].steps * step, 1e-9);
    b.s.passes = 0;
    b.options.stop.max_evaluations = 5;
    ck_dp_ok(refine(&b, "stochastic", 40, &err));
    ck_assert_double_eq_tol(b.s.passes, 5 * step, 1e-9);
    bench_close(&b);
}
END_TEST

/* ---- the paper's procedure ---- */

/* Its objective in closed form: with the loss of the best K at the target as a unit, all of it matters. */
START_TEST(adam_lowers_its_penalised_loss_and_ends_near_its_target) {
    bench b;
    bench_open(&b, grains[_i], 1);
    const dp_units *u = &b.s.units;
    double target = 0, energy = 0, t = 1; /* noise that costs about as much as lambda pushes */
    begin_badly(&b);
    for (int i = 0; i < u->count; i++) u->low[i] = 0.01;
    for (int i = 0; i < u->count; i++) target += u->cost_j[i] * t;
    double before = excess_loss(&b, b.shape);
    ck_dp_ok(refine(&b, "adam", t, &err));
    for (int i = 0; i < u->count; i++) energy += u->cost_j[i] * t * b.shape[i];
    ck_assert_msg(fabs(log(energy / target)) < 0.05, "%g of its target", energy / target);
    double after = excess_loss(&b, b.shape);
    ck_assert_msg(after < 1.05 && before > 1.5, "from %g to %g", before, after);
    bench_close(&b);
}
END_TEST

/* 32 of 96 samples, forward and back. */
START_TEST(adams_steps_are_counted_and_fill_no_cache) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    begin_badly(&b);
    b.options.stop.max_evaluations = 7;
    ck_dp_ok(refine(&b, "adam", 40, &err));
    ck_assert_double_eq_tol(b.s.passes, 7 * 3 * 32 / 96.0, 1e-9);
    ck_assert_double_eq(b.s.passes_shape, b.s.passes);
    bench_close(&b);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(limits_of_what_has_none_are_refused) {
    static const struct {
        const char *search;
        dp_stop stop;
        const char *part;
    } cases[] = {
        {"operating-point", {.max_evaluations = 5}, "fixed number of passes"},
        {"clean-point", {.max_seconds = 5}, "fixed number of passes"},
        {"adam", {.tolerance = 0.1}, "has no tolerance"},
        {"anneal", {.tolerance = 0.1}, "has no tolerance"},
    };
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, 1);
    begin_badly(&b);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        b.options.stop = cases[i].stop;
        ck_dp_fails(refine(&b, cases[i].search, 40, &err), DP_ERANGE, cases[i].part);
    }
    b.options.stop = (dp_stop){0};
    b.r.hardware.levels = DP_LEVELS_CONTINUOUS;
    ck_dp_fails(refine(&b, "anneal", 40, &err), DP_ERANGE, "levels");
    bench_close(&b);
}
END_TEST

Suite *test_refine_suite(void) {
    Suite *suite = suite_create("refine");
    TCase *tests = tcase_create("refine");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tests, descent_finds_the_closed_forms_optimum, 0, 4);
    tcase_add_test(tests, descent_keeps_the_energy);
    tcase_add_loop_test(tests, evaluations_are_counted_and_limited, 0, 2);
    tcase_add_loop_test(tests, seconds_are_limited_too, 0, ALL);
    tcase_add_test(tests, cancelling_keeps_the_best_so_far);
    tcase_add_loop_test(tests, a_cancelled_search_leaves_a_shape_that_is_no_worse, 0, ALL);
    tcase_add_loop_test(tests, searches_are_the_same_at_any_number_of_threads, 0, ALL);
    tcase_add_test(tests, simplex_finds_the_layers_of_the_closed_form);
    tcase_add_test(tests, simplex_moves_layers_as_they_are);
    tcase_add_loop_test(tests, annealing_finds_what_brute_force_finds, 0, 4);
    tcase_add_loop_test(tests, small_batches_lower_the_loss_at_one_energy, 0, 4);
    tcase_add_test(tests, small_batches_leave_what_is_fixed_and_keep_to_bounds);
    tcase_add_loop_test(tests, steps_of_small_batches_are_counted, 0, sizeof plans / sizeof *plans);
    tcase_add_loop_test(tests, adam_lowers_its_penalised_loss_and_ends_near_its_target, 0, 2);
    tcase_add_test(tests, adams_steps_are_counted_and_fill_no_cache);
    tcase_add_test(tests, limits_of_what_has_none_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
