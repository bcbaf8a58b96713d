/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The noise of a site's outputs, drawn by the engine, against the formulas of docs/methods.md (plant.h), and the converters around it.
 *
 * A statement about N independent draws holds within z = 6 standard errors: about 2e-9 of false alarms each, if seeds
 * were not fixed. A mean square of N normals is off by sqrt(2 / N) of itself: 200,000 draws tell a standard deviation to 1%.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "plant.h"
#include "scratch.h"
#include "suites.h"

static const double z = 6;

/* A running mean square of what should be normals. */
typedef struct tally {
    double sum, sum2, count;
} tally;

static void count_in(tally *t, double e) {
    t->sum += e;
    t->sum2 += e * e;
    t->count++;
}

/* `together` draws of the count are one in the worst case: what shares a weight's error. */
static void check_tally(const char *what, const tally *t, double together) {
    double n = t->count / together;
    ck_assert_msg(fabs(t->sum2 / t->count - 1) <= z * sqrt(2 / n),
                  "%s: variance is %.4f of the formula's, %.0f draws", what, t->sum2 / t->count, n);
    ck_assert_msg(fabs(t->sum / t->count) <= z / sqrt(n), "%s: mean %.4f standard deviations", what,
                  t->sum / t->count);
}

enum { MOST = 2048 };

/*
 * All draws together, those of each channel and of each position. Errors of weights are independent from trial to trial,
 * batch to batch and channel to channel only; noise at outputs everywhere.
 */
static void check_noise(fixture *f, const double *repetitions, int trials) {
    rig *r = &f->r;
    float *clean = rig_run(r, NULL, 0, 1), *noisy = rig_run(r, repetitions, 5, trials);
    static tally all, channel_tally[MOST], position_tally[MOST];
    memset(&all, 0, sizeof all);
    memset(channel_tally, 0, sizeof channel_tally);
    memset(position_tally, 0, sizeof position_tally);
    double *std = dp_alloc((size_t)(r->samples * r->size), sizeof *std);
    bool single = f->from->shape == PRODUCT;
    for (int64_t s = 0; s < r->samples; s++)
        for (int64_t i = 0; i < r->size; i++) {
            int64_t c, p;
            locate(f, i, &c, &p);
            std[s * r->size + i] = sqrt(variance_of(f, s, i) / repetitions[single ? 0 : c]);
        }
    for (int t = 0; t < trials; t++)
        for (int64_t s = 0; s < r->samples; s++)
            for (int64_t i = 0; i < r->size; i++) {
                int64_t c, p, at = s * r->size + i;
                locate(f, i, &c, &p);
                double noise = (double)noisy[t * r->samples * r->size + at] - (double)clean[at];
                count_in(&all, noise / std[at]);
                count_in(&channel_tally[c], noise / std[at]);
                count_in(&position_tally[p], noise / std[at]);
            }
    double shared = f->weight && !single ? (double)(r->samples * f->positions) : 1;
    check_tally(f->from->name, &all, shared);
    if (all.count / shared >= 200000)
        ck_assert_msg(fabs(sqrt(all.sum2 / all.count) - 1) <= 0.01,
                      "%s: standard deviation is %.4f", f->from->name, sqrt(all.sum2 / all.count));
    for (int64_t c = 0; c < f->channels; c++) check_tally("a channel", &channel_tally[c], shared);
    for (int64_t p = 0; p < f->positions; p++)
        check_tally("a position", &position_tally[p], f->weight ? (double)r->samples : 1);
    dp_free(std);
    dp_free(clean);
    dp_free(noisy);
}

static int trials_for(const fixture *f, int64_t independent_draws) {
    bool shared = f->weight && f->from->shape != PRODUCT;
    return 1 + (int)(independent_draws / (shared ? f->channels : f->r.samples * f->r.size));
}

START_TEST(the_standard_deviation_is_the_formulas_within_a_percent) {
    int plant = _i / SOURCES, source = _i % SOURCES;
    if (plants[plant].shape == PRODUCT && source == 2) return; /* below: exact */
    fixture f;
    fixture_open(&f, plant, source, source == 0 ? 0 : 8);
    double *k = rig_uniform(&f.r, 1);
    check_noise(&f, k, trials_for(&f, 200000));
    dp_free(k);
    fixture_close(&f);
}
END_TEST

START_TEST(products_of_activations_have_no_weights_to_be_off) {
    fixture f;
    fixture_open(&f, PLANTS - 1, 2, 0);
    double *k = rig_uniform(&f.r, 1);
    float *clean = rig_run(&f.r, NULL, 0, 1), *noisy = rig_run(&f.r, k, 0, 1);
    ck_assert_mem_eq(clean, noisy, (size_t)(f.r.samples * f.r.size) * sizeof *clean);
    dp_free(clean);
    dp_free(noisy);
    dp_free(k);
    fixture_close(&f);
}
END_TEST

static const double precisions[] = {1, 4, 64, 0.3, 2.75};

START_TEST(variance_falls_as_one_over_repetitions) {
    fixture f;
    fixture_open(&f, 0, _i % SOURCES, 0);
    double *k = rig_uniform(&f.r, precisions[_i / SOURCES]);
    check_noise(&f, k, trials_for(&f, 20000));
    dp_free(k);
    fixture_close(&f);
}
END_TEST

/* Each channel has a K of its own, from 0.25 to 1000. */
START_TEST(repetitions_of_a_channel_are_its_own) {
    int plant = _i / SOURCES, source = _i % SOURCES;
    if (plants[plant].shape == PRODUCT) return;
    fixture f;
    fixture_open(&f, plant, source, 0);
    double *k = rig_uniform(&f.r, 1);
    for (int64_t c = 0; c < f.channels; c++) k[c] = 0.25 * pow(4000, (double)(c * 5 % 8) / 7);
    check_noise(&f, k, trials_for(&f, 20000));
    dp_free(k);
    fixture_close(&f);
}
END_TEST

/* Changing one channel's K leaves every other channel's draws as they were. */
START_TEST(another_channels_repetitions_change_nothing) {
    fixture f;
    fixture_open(&f, _i / SOURCES, _i % SOURCES, 0);
    if (f.from->shape != PRODUCT) {
        double *k = rig_uniform(&f.r, 2);
        float *before = rig_run(&f.r, k, 3, 2);
        k[3] = 7;
        float *after = rig_run(&f.r, k, 3, 2);
        for (int64_t i = 0; i < 2 * f.r.samples * f.r.size; i++) {
            int64_t channel, position;
            locate(&f, i % f.r.size, &channel, &position);
            ck_assert_msg((before[i] == after[i]) == (channel != 3), "channel %d changes or not",
                          (int)channel);
        }
        dp_free(before);
        dp_free(after);
        dp_free(k);
    }
    fixture_close(&f);
}
END_TEST

/* ---- converters ---- */

/* Noise off, the network is that of the converted operands: the oracle converts and multiplies by itself. */
START_TEST(the_clean_network_has_converted_operands) {
    fixture f;
    fixture_open(&f, _i, 1, 6);
    float *clean = rig_run(&f.r, NULL, 0, 1);
    const dp_graph *graph = f.r.n.graph;
    const dp_node *node = &graph->nodes[graph->n_nodes - 1];
    const float *bias = node->n_in > 2 ? graph->values[node->in[2]].constant->data : NULL;
    int64_t depth = dp_engine_site(f.r.engine, 0)->depth, rows = f.g.in[0];
    for (int64_t s = 0; s < f.r.samples; s++)
        for (int64_t i = 0; i < f.r.size; i++) {
            int64_t c, p;
            locate(&f, i, &c, &p);
            oracle_matrix a = {f.x[0], depth, 1}, b = {f.w, 1, depth};
            oracle_sum want;
            if (f.from->shape == CONV) {
                want = oracle_conv_at(&f.g, f.x[0], f.w, bias,
                                      NET_DIM(s, c, p / f.g.out[1], p % f.g.out[1]));
            } else if (f.from->shape == COLUMNS) {
                b = (oracle_matrix){f.x[0] + s * depth * rows, rows, 1};
                want = oracle_product((oracle_matrix){f.w, depth, 1}, b, depth, NET_DIM(c, p));
            } else if (f.from->shape == PRODUCT) {
                int64_t matrix = s * f.g.in[1] + p / rows;
                a.at += matrix * depth * rows;
                b = (oracle_matrix){f.x[1] + matrix * depth * f.channels, f.channels, 1};
                want = oracle_product(a, b, depth, NET_DIM(p % rows, c));
            } else {
                want = oracle_product(a, b, depth, NET_DIM(s * f.positions + p, c));
                want.value += bias ? (double)bias[c] : 0;
                want.size += 1;
            }
            double is = (double)clean[s * f.r.size + i];
            ck_assert_msg(oracle_near(is, want), "%s: sample %d, output %d is %g, not %g",
                          f.from->name, (int)s, (int)i, is, want.value);
        }
    dp_free(clean);
    fixture_close(&f);
}
END_TEST

/* The converter behind averaged repetitions rounds once; that of each repetition adds its rounding as noise. */
START_TEST(outputs_pass_their_converter) {
    bool analog = _i == 0;
    rig r = {.hardware = net_hardware(NULL, NULL)};
    r.hardware.output_bits = 4;
    r.hardware.average_analog = analog;
    net_open(&r.n, 5);
    int x = net_input(&r.n, "x", DP_F32, 2, NET_DIM(-1, 20));
    net_output(&r.n, net_matmul(&r.n, x, 200, 20));
    r.data = net_dataset(&r.n, &(net_data){.samples = 20, .spread = 1, .seed = 3});
    rig_open(&r, NULL);
    const dp_site_info *site = dp_engine_site(r.engine, 0);
    double low = fmin(site->output_low, 0), high = fmax(site->output_high, 0), sum2 = 0;
    double step = (high - low) / 15, *k = rig_uniform(&r, 4);
    float *clean = rig_run(&r, NULL, 0, 1), *noisy = rig_run(&r, k, 0, 60);
    int64_t all = r.samples * r.size;
    for (int64_t i = 0; i < 60 * all; i++) {
        double off = (double)noisy[i] - (double)clean[i % all];
        double level = (double)noisy[i] / step;
        sum2 += off * off;
        if (analog) ck_assert(off == 0 && fabs(level - rint(level)) < 1e-3);
    }
    if (!analog) /* variance step^2 / 12 a repetition, 240,000 draws */
        ck_assert_msg(fabs(sum2 / (60 * (double)all) * 4 * 12 / (step * step) - 1) <=
                          z * sqrt(2 / (60 * (double)all)),
                      "%g", sum2 / (60 * (double)all) * 48 / (step * step));
    dp_free(clean);
    dp_free(noisy);
    dp_free(k);
    rig_close(&r);
}
END_TEST

Suite *test_noisy_suite(void) {
    enum { PRECISIONS = sizeof precisions / sizeof *precisions };
    Suite *suite = suite_create("noise of the engine");
    TCase *tcase = tcase_create("noise of the engine");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, the_standard_deviation_is_the_formulas_within_a_percent, 0,
                        PLANTS * SOURCES);
    tcase_add_test(tcase, products_of_activations_have_no_weights_to_be_off);
    tcase_add_loop_test(tcase, variance_falls_as_one_over_repetitions, 0, SOURCES * PRECISIONS);
    tcase_add_loop_test(tcase, repetitions_of_a_channel_are_its_own, 0, PLANTS * SOURCES);
    tcase_add_loop_test(tcase, another_channels_repetitions_change_nothing, 0, PLANTS * SOURCES);
    tcase_add_loop_test(tcase, the_clean_network_has_converted_operands, 0, PLANTS);
    tcase_add_loop_test(tcase, outputs_pass_their_converter, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
