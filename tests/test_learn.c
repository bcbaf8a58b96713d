/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Learning: what the user asks for beside the budget, what is left when it is stopped, and the same bytes again, on a small network that is
 * made up and on the embedded digits.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"
#include "workbench.h"

/* ---- what the user says ---- */

START_TEST(fixed_layers_keep_their_repetitions) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.granularity = _i ? DP_GRAIN_CHANNEL : DP_GRAIN_LAYER;
    b.options.fixes = (dp_fix[]){{"Gemm_2", 7777}, {"Gemm_6", 19999}};
    b.options.n_fixes = 2;
    ck_dp_ok(learn(&b, &s, &err));
    for (int i = 1; i < SITES; i += 2)
        for (int u = 0; u < s.layers[i].count; u++)
            ck_assert_double_eq(s.layers[i].repetitions[u], i == 1 ? 7777 : 19999);
    for (int i = 0; i < SITES; i++) ck_assert(s.layers[i].fixed == (i % 2 == 1));
    check_budget(&b, &s);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* Nothing is free: uniform precision is what is fixed, whatever a budget would have room for. */
START_TEST(where_all_is_fixed_uniform_is_that) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.max_drop = NAN;
    b.options.energy_unit = DP_ENERGY_AJ_PER_MAC;
    b.options.energy = 1e5;
    b.options.fixes = (dp_fix[]){{"*", 500}};
    b.options.n_fixes = 1;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_double_eq(s.uniform.repetitions, 500);
    ck_assert_double_eq(s.learned.energy_j, s.uniform.energy_j);
    ck_assert_str_eq(s.status, "uniform");
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

START_TEST(excluded_layers_are_not_in_the_schedule_and_cost_nothing) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    b.options.exclude = (const char *const[]){"Gemm_0", "Gemm_6"};
    b.options.n_exclude = 2;
    ck_dp_ok(learn(&b, &s, &err));
    ck_assert_int_eq(s.n_layers, 2);
    ck_assert_str_eq(s.layers[0].name, "Gemm_2");
    ck_assert_str_eq(s.layers[1].name, "Gemm_4");
    double energy = s.layers[0].energy_j + s.layers[1].energy_j;
    ck_assert_double_eq_tol(s.learned.energy_j / energy, 1, 1e-12);
    ck_assert_double_eq_tol(s.learned.energy_per_mac_aj / (1e18 * energy / (2 * 24 * 24)), 1,
                            1e-12);
    check_budget(&b, &s);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* The last layer alone on the core: everything before it is as it is without noise. */
START_TEST(excluded_layers_are_clean) {
    bench b;
    bench_open(&b, _i, false);
    rig r = {.n = b.n, .hardware = b.hardware, .data = b.data};
    const char *const globs[] = {"Gemm_0", "Gemm_[24]"};
    rig_open(&r, &(dp_engine_options){.seed = 1, .batch = 1, .exclude = globs, .n_exclude = 2});
    ck_assert_int_eq(dp_engine_site_count(r.engine), 1);
    ck_assert_double_eq(dp_engine_macs(r.engine), site_macs[3]);
    double variance[CLASSES], *k = rig_uniform(&r, 1);
    dp_engine_variance(r.engine, variance);
    float *clean = rig_run(&r, NULL, 0, 1), *noisy = rig_run(&r, k, 0, 4);
    int64_t all = r.samples * CLASSES;
    for (int c = 0; c < CLASSES; c++) {
        double sum = 0;
        for (int64_t i = c; i < 4 * all; i += CLASSES)
            sum += pow((double)noisy[i] - (double)clean[i % all], 2);
        sum /= (double)(4 * r.samples); /* 2,800 draws of unequal size: 6 sqrt(2 / 2800) is 16% */
        ck_assert_msg(fabs(sum / variance[c] - 1) < 0.25, "channel %d: %g, not %g", c, sum,
                      variance[c]);
    }
    dp_free(clean);
    dp_free(noisy);
    dp_free(k);
    r.n = (net){0};
    r.data = NULL;
    rig_close(&r);
    bench_close(&b);
}
END_TEST

static const struct {
    double max_drop, max_loss, energy, confidence;
    dp_energy_unit unit;
    int trials;
    const char *search, *exclude, *fix, *part;
    bool cross_entropy;
    dp_status status;
} refusals[] = {
    {NAN, NAN, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "no budget", 0, DP_ERANGE},
    {0, NAN, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "max-drop 0", 0, DP_ERANGE},
    {101, NAN, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "max-drop 101", 0, DP_ERANGE},
    {NAN, -1, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "max-loss -1", 0, DP_ERANGE},
    {NAN, INFINITY, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "max-loss", 0, DP_ERANGE},
    {NAN, NAN, 0, 0.95, DP_ENERGY_J, 4, NULL, NULL, NULL, "energy budget of 0", 0, DP_ERANGE},
    {5, NAN, 0, 0.5, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "confidence 0.5", 0, DP_ERANGE},
    {5, NAN, 0, 1, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "confidence 1", 0, DP_ERANGE},
    {5, NAN, 0, 0.95, DP_ENERGY_NONE, 0, NULL, NULL, NULL, "0 trials", 0, DP_ERANGE},
    {5, NAN, 0, 0.95, DP_ENERGY_NONE, 4, "magic", NULL, NULL, "operating-point", 0, DP_ERANGE},
    {5, NAN, 0, 0.95, DP_ENERGY_NONE, 4, NULL, "Conv*", NULL, "'Conv*'", 0, DP_ERANGE},
    {5, NAN, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, "Conv*", "'Conv*'", 0, DP_ERANGE},
    {5, NAN, 0, 0.95, DP_ENERGY_NONE, 4, NULL, "*", NULL, "excluded", 0, DP_ERANGE},
    {NAN, 0.1, 0, 0.95, DP_ENERGY_NONE, 4, NULL, NULL, NULL, "labels", 1, DP_EFORMAT},
};

START_TEST(what_makes_no_sense_is_refused) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    dp_learn_options *o = &b.options;
    o->max_drop = refusals[_i].max_drop;
    o->max_loss = refusals[_i].max_loss;
    o->energy = refusals[_i].energy;
    o->energy_unit = refusals[_i].unit;
    o->confidence = refusals[_i].confidence;
    o->trials = refusals[_i].trials;
    o->search = refusals[_i].search;
    o->objective = refusals[_i].cross_entropy ? DP_OBJECTIVE_CROSS_ENTROPY : DP_OBJECTIVE_AUTO;
    o->exclude = &refusals[_i].exclude;
    o->n_exclude = refusals[_i].exclude != NULL;
    dp_fix fix = {refusals[_i].fix, 4};
    o->fixes = &fix;
    o->n_fixes = refusals[_i].fix != NULL;
    ck_dp_fails(learn(&b, &s, &err), refusals[_i].status, refusals[_i].part);
    ck_assert(s.layers == NULL && s.n_layers == 0);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

/* ---- cancelling ---- */

typedef struct counter {
    int reports, cancel_at;
    atomic_int cancel;
} counter;

static void count_report(void *self, const dp_progress_state *state) {
    counter *c = self;
    ck_assert(state->done <= state->total && state->stage);
    if (c->reports++ == c->cancel_at) atomic_store(&c->cancel, 1);
}

START_TEST(cancelling_keeps_what_was_learned) {
    bench b;
    dp_schedule s;
    bench_open(&b, 0, false);
    counter c = {.cancel_at = -1};
    dp_progress progress = {count_report, &c};
    b.options.progress = &progress;
    b.options.cancel = &c.cancel;
    b.options.threads = 2;
    ck_dp_ok(learn(&b, &s, &err));
    dp_schedule_clear(&s);
    int all = c.reports, kept = 0, empty = 0;
    ck_assert_int_gt(all, 100);
    for (int at = 0; at < all; at += 1 + all / 40) {
        c = (counter){.cancel_at = at};
        dp_error why = {DP_OK, ""};
        dp_status status = learn(&b, &s, &why);
        ck_assert_msg(status == DP_ECANCELLED, "report %d of %d: %s", at, all, why.text);
        if (s.layers) {
            kept++;
            ck_assert_str_eq(s.status, "interrupted");
            check_layers(&b, &s, 1000);
            size_t size;
            free(text_of(&s, &size));
        } else {
            empty++;
            ck_assert_int_eq(kept, 0); /* what is learned once is not lost later */
        }
        dp_schedule_clear(&s);
    }
    ck_assert_msg(kept > 10 && empty > 0, "%d kept, %d empty", kept, empty);
    bench_close(&b);
}
END_TEST

/* ---- reproducibility ---- */

static char *digits_schedule(const dp_graph *graph, dp_dataset *const half[2], uint64_t seed,
                             int threads, size_t *size) {
    static const char *const source[] = {"shot", NULL};
    dp_hardware hardware = net_hardware(source, (double[]){1});
    dp_learn_options o;
    dp_schedule s;
    dp_learn_defaults(&o);
    o.max_drop = 8;
    o.granularity = DP_GRAIN_CHANNEL;
    o.seed = seed;
    o.threads = threads;
    o.trials = 2;
    ck_dp_ok(dp_learn(&s, graph, &hardware, (const dp_dataset *const *)half, &o, &err));
    ck_assert_double_le(s.learned.drop_upper, 8);
    ck_assert_double_lt(s.learned.energy_j, 0.6 * s.uniform.energy_j);
    ck_assert_double_gt(s.clean.top1.value, 0.95);
    char *text = text_of(&s, size);
    dp_schedule_clear(&s);
    return text;
}

/* The embedded network on 160 of its images: at any number of threads, and again, the same bytes; with another seed others. */
START_TEST(equal_seeds_write_equal_bytes_at_any_number_of_threads) {
    dp_graph *graph = NULL;
    dp_dataset *all = NULL, *some[2], *half[2];
    dp_input_spec spec;
    size_t size[5];
    char *text[5];
    ck_dp_ok(dp_graph_load(&graph, "calib_data/digits.onnx", &err));
    dp_engine_inputs(graph, &spec);
    ck_dp_ok(dp_dataset_open(&all, "calib_data/digits_learn.npz", &spec, 1, NULL, &err));
    ck_dp_ok(dp_dataset_split(all, 160.0 / 900, 1, &some[0], &some[1], &err));
    ck_dp_ok(dp_dataset_split(some[1], 0.5, 1, &half[0], &half[1], &err));
    for (int i = 0; i < 5; i++)
        text[i] = digits_schedule(graph, half, i == 4 ? 2 : 1, i < 3 ? i + 1 : 2, &size[i]);
    for (int i = 1; i < 4; i++) {
        ck_assert_uint_eq(size[i], size[0]);
        ck_assert_mem_eq(text[i], text[0], size[0]);
    }
    ck_assert(size[4] != size[0] || memcmp(text[4], text[0], size[0]) != 0);
    for (int i = 0; i < 5; i++) free(text[i]);
    for (int h = 0; h < 2; h++) {
        dp_dataset_free(half[h]);
        dp_dataset_free(some[h]);
    }
    dp_dataset_free(all);
    dp_graph_free(graph);
}
END_TEST

/* ---- applying a schedule ---- */

/* Where levels are far apart, what is compared with is the lowest one that passes: with one fewer, nothing meets the budget. */
START_TEST(uniform_precision_is_the_least_that_passes) {
    dp_error err = {DP_OK, ""};
    static const double drops[] = {4, 8, 16, 32};
    int cases = 0;
    bench b;
    bench_open(&b, _i, false);
    for (size_t d = 0; d < sizeof drops / sizeof *drops; d++) {
        dp_schedule s, fewer;
        b.options.max_drop = drops[d];
        b.options.max_repetitions = NAN;
        dp_status status = learn(&b, &s, &err);
        ck_assert_msg(status == DP_OK, "%g points: %s", drops[d], err.text);
        double k = s.uniform.repetitions;
        ck_assert_double_le(s.learned.energy_j, s.uniform.energy_j);
        dp_schedule_clear(&s);
        if (k < 2 || k > 20) continue;
        cases++;
        b.options.max_repetitions = k - 1;
        status = learn(&b, &fewer, &err);
        ck_assert_msg(status == DP_EBUDGET || status == DP_EUNMET, "%g points at K = %g and at %g",
                      drops[d], k, k - 1);
        dp_schedule_clear(&fewer);
    }
    ck_assert_int_gt(cases, 0);
    bench_close(&b);
}
END_TEST

/* Whatever they are beside, precisions see the same draws; none at all leaves the clean network. */
START_TEST(precisions_are_measured_beside_each_other_as_alone) {
    bench b;
    dp_measure m[4], alone[2], clean;
    bench_open(&b, _i, false);
    rig r = {.n = b.n, .hardware = b.hardware, .data = b.data};
    rig_open(&r, &(dp_engine_options){.seed = 1});
    double *low = rig_uniform(&r, 40), *high = rig_uniform(&r, 4000);
    const double *const all[] = {low, high, low};
    ck_dp_ok(dp_measure_precisions(m, r.engine, r.data, all, 3, &b.options, &err));
    ck_dp_ok(dp_measure_precisions(alone, r.engine, r.data, all + 1, 1, &b.options, &err));
    ck_dp_ok(dp_measure_precisions(&clean, r.engine, r.data, NULL, 0, &b.options, &err));
    ck_assert_double_eq(m[0].kl.value, 0);
    ck_assert_double_eq(clean.kl.value, 0);
    ck_assert_double_eq(m[2].kl.value, alone[1].kl.value);
    ck_assert_double_eq(m[1].kl.value, m[3].kl.value);
    ck_assert_double_eq(m[1].drop_upper, m[3].drop_upper);
    ck_assert_double_gt(m[1].kl.value, 10 * m[2].kl.value);
    ck_assert_double_eq_tol(m[2].energy_j / m[1].energy_j, 100, 1e-9);
    dp_free(low);
    dp_free(high);
    r.n = (net){0};
    r.data = NULL;
    rig_close(&r);
    bench_close(&b);
}
END_TEST

START_TEST(a_schedule_of_another_network_is_refused) {
    bench b;
    dp_schedule s;
    dp_engine *engine = NULL;
    bench_open(&b, 0, false);
    b.options.granularity = DP_GRAIN_TILE;
    b.options.tile = 5;
    ck_dp_ok(learn(&b, &s, &err));
    dp_engine_options options = {.seed = 1, .example = b.data};
    ck_dp_ok(dp_engine_create(&engine, b.n.graph, &b.hardware, &options, &err));
    double k[78];
    ck_dp_ok(dp_schedule_apply(&s, engine, k, &err));
    for (int c = 0; c < 78; c++) {
        const dp_layer *layer = &s.layers[c / 24];
        ck_assert_double_eq(k[c], layer->repetitions[c % 24 / 5]);
    }
    s.layers[1].channels = 23;
    ck_dp_fails(dp_schedule_apply(&s, engine, k, &err), DP_EFORMAT, "Gemm_2");
    s.layers[1].channels = 24;
    s.layers[1].name[0] = 'X';
    ck_dp_fails(dp_schedule_apply(&s, engine, k, &err), DP_EFORMAT, "Gemm_2");
    s.layers[1].name[0] = 'G';
    dp_engine_free(engine);
    options.exclude = (const char *const[]){"Gemm_6"};
    options.n_exclude = 1;
    ck_dp_ok(dp_engine_create(&engine, b.n.graph, &b.hardware, &options, &err));
    ck_dp_fails(dp_schedule_apply(&s, engine, k, &err), DP_EFORMAT, "Gemm_6");
    dp_engine_free(engine);
    dp_schedule_clear(&s);
    bench_close(&b);
}
END_TEST

Suite *test_learn_suite(void) {
    enum { REFUSALS = sizeof refusals / sizeof *refusals };
    Suite *suite = suite_create("learning");
    TCase *tcase = tcase_create("learning");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, fixed_layers_keep_their_repetitions, 0, 2);
    tcase_add_test(tcase, where_all_is_fixed_uniform_is_that);
    tcase_add_test(tcase, excluded_layers_are_not_in_the_schedule_and_cost_nothing);
    tcase_add_loop_test(tcase, excluded_layers_are_clean, 0, 3);
    tcase_add_loop_test(tcase, what_makes_no_sense_is_refused, 0, REFUSALS);
    tcase_add_test(tcase, cancelling_keeps_what_was_learned);
    tcase_add_test(tcase, equal_seeds_write_equal_bytes_at_any_number_of_threads);
    tcase_add_loop_test(tcase, uniform_precision_is_the_least_that_passes, 0, 3);
    tcase_add_loop_test(tcase, precisions_are_measured_beside_each_other_as_alone, 0, 3);
    tcase_add_test(tcase, a_schedule_of_another_network_is_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
