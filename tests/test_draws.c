/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Draws of the noise: independent of each other, and the same whatever the threads, the batch and the subset.
 *
 * A statement about N independent draws holds within z = 6 standard errors: about 2e-9 of false alarms each, if seeds
 * were not fixed.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

static const double z = 6;

static void check_uncorrelated(const char *what, double sum, double count) {
    ck_assert_msg(fabs(sum) <= z * sqrt(count), "%s: correlation %.4f of %.0f draws", what,
                  sum / count, count);
}

/* Two equal sites on the same input, side by side. */
static void open_twins(rig *r, const char *const *sources, const double *values, int64_t batch,
                       int threads) {
    *r = (rig){.hardware = net_hardware(sources, values)};
    net *n = &r->n;
    net_open(n, 5);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 3, 6, 6));
    int w = net_weights(n, 4, NET_DIM(8, 3, 3, 3), 0.4F);
    int a = net_op(n, "Conv", NET_IN(x, w), NULL), b = net_op(n, "Conv", NET_IN(x, w), NULL);
    net_output(n, net_op(n, "Concat", NET_IN(a, b), (dp_attr[]){OP_INT("axis", 1), {0}}));
    r->data = net_dataset(n, &(net_data){.samples = 8, .spread = 1, .seed = 3});
    rig_open(r, &(dp_engine_options){.seed = 1, .batch = batch, .threads = threads});
}

/* Noise over its own size: outputs of a channel and sample have nearly the same. */
static double *normalised(rig *r, const float *noisy, int trials) {
    float *clean = rig_run(r, NULL, 0, 1);
    int64_t all = r->samples * r->size;
    double *e = dp_alloc((size_t)(trials * all), sizeof *e);
    for (int64_t i = 0; i < all; i++) {
        double sum = 0;
        for (int t = 0; t < trials; t++) {
            e[t * all + i] = (double)noisy[t * all + i] - (double)clean[i];
            sum += e[t * all + i] * e[t * all + i];
        }
        for (int t = 0; t < trials; t++) e[t * all + i] /= sqrt(sum / trials);
    }
    dp_free(clean);
    return e;
}

START_TEST(draws_of_samples_sites_trials_and_elements_are_independent) {
    enum { TRIALS = 60 };
    static const char *const thermal[] = {"thermal", NULL};
    rig r;
    open_twins(&r, thermal, (double[]){0.01}, 4, 1);
    double *k = rig_uniform(&r, 3);
    float *noisy = rig_run(&r, k, 0, TRIALS);
    double *e = normalised(&r, noisy, TRIALS), sums[4] = {0}, counts[4] = {0};
    int64_t size = r.size, all = r.samples * size;
    for (int t = 0; t < TRIALS; t++)
        for (int64_t s = 0; s < r.samples; s++)
            for (int64_t i = 0; i < size; i++) {
                int64_t other[] = {i + size / 2 < size ? size / 2 : 0, s + 1 < r.samples ? size : 0,
                                   t + 1 < TRIALS ? all : 0, i + 1 < size ? 1 : 0};
                int64_t at = t * all + s * size + i;
                for (int m = 0; m < 4; m++) {
                    if (other[m] == 0) continue;
                    sums[m] += e[at] * e[at + other[m]];
                    counts[m]++;
                }
            }
    static const char *const what[] = {"two sites", "two samples", "two trials", "two elements"};
    for (int m = 0; m < 4; m++) check_uncorrelated(what[m], sums[m], counts[m]);
    dp_free(e);
    dp_free(noisy);
    dp_free(k);
    rig_close(&r);
}
END_TEST

static const char *const all_sources[] = {"shot", "thermal", "weight", NULL};
static const double all_values[] = {2, 0.01, 0.05};

START_TEST(draws_are_the_same_at_any_number_of_threads) {
    rig one, other;
    open_twins(&one, all_sources, all_values, 3, 1);
    open_twins(&other, all_sources, all_values, 3, 2 + _i);
    double *k = rig_uniform(&one, 3);
    float *a = rig_run(&one, k, 7, 5), *b = rig_run(&other, k, 7, 5);
    ck_assert_mem_eq(a, b, (size_t)(5 * one.samples * one.size) * sizeof *a);
    dp_free(a);
    dp_free(b);
    dp_free(k);
    rig_close(&one);
    rig_close(&other);
}
END_TEST

/* But for errors of weights, which a batch shares. */
START_TEST(draws_belong_to_samples_whatever_the_batch) {
    rig one, other;
    open_twins(&one, all_sources, all_values, 1, 1);
    one.hardware.n_noise = 2;
    open_twins(&other, all_sources, all_values, 8, 1);
    other.hardware.n_noise = 2;
    double *k = rig_uniform(&one, 3);
    float *a = rig_run(&one, k, 7, 2), *b = rig_run(&other, k, 7, 2);
    for (int64_t i = 0; i < 2 * one.samples * one.size; i++)
        ck_assert_msg(fabs((double)a[i] - (double)b[i]) < 1e-4, "%d: %g and %g", (int)i,
                      (double)a[i], (double)b[i]);
    dp_free(a);
    dp_free(b);
    dp_free(k);
    rig_close(&one);
    rig_close(&other);
}
END_TEST

/* A subset's samples keep their numbers, and with them their draws. */
START_TEST(draws_belong_to_samples_in_every_subset) {
    static const char *const shot[] = {"shot", NULL};
    rig r;
    open_twins(&r, shot, (double[]){1}, 2, 1);
    double *k = rig_uniform(&r, 1);
    float *all = rig_run(&r, k, 0, 1);
    dp_dataset *whole = r.data, *half[2];
    ck_dp_ok(dp_dataset_split(whole, 0.5, 9, &half[0], &half[1], &err));
    for (int h = 0; h < 2; h++) {
        r.data = half[h];
        r.samples = dp_dataset_count(half[h]);
        float *part = rig_run(&r, k, 0, 1);
        for (int64_t s = 0; s < r.samples; s++)
            ck_assert_mem_eq(part + s * r.size, all + dp_dataset_origin(half[h], s) * r.size,
                             (size_t)r.size * sizeof *part);
        dp_free(part);
        dp_dataset_free(half[h]);
    }
    r.data = whole;
    dp_free(all);
    dp_free(k);
    rig_close(&r);
}
END_TEST

START_TEST(another_seed_gives_other_draws) {
    static const char *const shot[] = {"shot", NULL};
    rig r, s;
    open_twins(&r, shot, (double[]){1}, 2, 1);
    open_twins(&s, shot, (double[]){1}, 2, 1);
    dp_engine_free(s.engine);
    dp_reference_free(s.reference);
    rig_open(&s, &(dp_engine_options){.seed = 2, .batch = 2});
    double *k = rig_uniform(&r, 1);
    float *a = rig_run(&r, k, 0, 1), *b = rig_run(&s, k, 0, 1);
    int64_t same = 0;
    for (int64_t i = 0; i < r.samples * r.size; i++) same += a[i] == b[i];
    ck_assert_int_lt(same, r.samples * r.size / 100);
    dp_free(a);
    dp_free(b);
    dp_free(k);
    rig_close(&r);
    rig_close(&s);
}
END_TEST

/* One weight a channel: the noise over the input is that weight's error, wherever it is seen. */
START_TEST(errors_of_weights_are_shared_by_positions_and_a_batch) {
    static const char *const weight[] = {"weight", NULL};
    enum { TRIALS = 3, BATCH = 4, SAMPLES = 8, POSITIONS = 12, CHANNELS = 5 };
    rig r = {.hardware = net_hardware(weight, (double[]){0.3})};
    net_open(&r.n, 5);
    int x = net_input(&r.n, "x", DP_F32, 4, NET_DIM(-1, 1, 3, 4));
    int w = net_weights(&r.n, 4, NET_DIM(CHANNELS, 1, 1, 1), 1);
    net_output(&r.n, net_op(&r.n, "Conv", NET_IN(x, w), NULL));
    r.data = net_dataset(&r.n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 3});
    rig_open(&r, &(dp_engine_options){.seed = 1, .batch = BATCH});
    float inputs[SAMPLES * POSITIONS], errors[TRIALS][SAMPLES / BATCH][CHANNELS];
    dp_dataset_fill(r.data, 0, 0, SAMPLES, inputs);
    double *k = rig_uniform(&r, 1);
    float *clean = rig_run(&r, NULL, 0, 1), *noisy = rig_run(&r, k, 0, TRIALS);
    for (int t = 0; t < TRIALS; t++)
        for (int s = 0; s < SAMPLES; s++)
            for (int c = 0; c < CHANNELS; c++)
                for (int p = 0; p < POSITIONS; p++) {
                    int at = (s * CHANNELS + c) * POSITIONS + p;
                    float *error = &errors[t][s / BATCH][c], input = inputs[s * POSITIONS + p];
                    float noise = noisy[t * SAMPLES * CHANNELS * POSITIONS + at] - clean[at];
                    if (s % BATCH == 0 && p == 0) *error = noise / input;
                    ck_assert_msg(fabsf(noise - *error * input) < 1e-5F,
                                  "trial %d, sample %d, channel %d, position %d: %g, not %g", t, s,
                                  c, p, (double)noise, (double)(*error * input));
                }
    for (int a = 0; a < TRIALS * SAMPLES / BATCH * CHANNELS; a++)
        for (int b = 0; b < a; b++)
            ck_assert_msg(fabsf((&errors[0][0][0])[a] - (&errors[0][0][0])[b]) > 1e-6F,
                          "two errors are the same");
    dp_free(clean);
    dp_free(noisy);
    dp_free(k);
    rig_close(&r);
}
END_TEST

Suite *test_draws_suite(void) {
    Suite *suite = suite_create("draws of the noise");
    TCase *tcase = tcase_create("draws of the noise");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_test(tcase, draws_of_samples_sites_trials_and_elements_are_independent);
    tcase_add_loop_test(tcase, draws_are_the_same_at_any_number_of_threads, 0, 2);
    tcase_add_test(tcase, draws_belong_to_samples_whatever_the_batch);
    tcase_add_test(tcase, draws_belong_to_samples_in_every_subset);
    tcase_add_test(tcase, another_seed_gives_other_draws);
    tcase_add_test(tcase, errors_of_weights_are_shared_by_positions_and_a_batch);
    suite_add_tcase(suite, tcase);
    return suite;
}
