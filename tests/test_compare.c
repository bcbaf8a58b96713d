/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Two schedules, layer by layer: which belong together, what is different, and in which order. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "plan/compare.h"
#include "suites.h"

enum { LAYERS = 4, CHANNELS = 6 };

/* Layers n0, n1, ... of ten to the number MACs each, all with K = 10; 1 aJ a MAC and repetition. Nothing here is for clearing. */
typedef struct sample {
    dp_schedule s;
    dp_layer layers[LAYERS];
    double k[LAYERS][CHANNELS];
    char names[LAYERS][16];
} sample;

static void make(sample *m, const char *granularity) {
    *m = (sample){.s = {.n_layers = LAYERS, .model_file = (char *)(uintptr_t) "net.onnx"}};
    m->s.layers = m->layers;
    for (int i = 0; i < LAYERS; i++) {
        for (int c = 0; c < CHANNELS; c++) m->k[i][c] = 10;
        snprintf(m->names[i], sizeof m->names[i], "n%d", i);
        m->layers[i] = (dp_layer){.name = m->names[i],
                                  .index = i,
                                  .macs = pow(10, i),
                                  .channels = CHANNELS,
                                  .repetitions = m->k[i],
                                  .energy_j = 1e-18 * pow(10, i) * 10};
        snprintf(m->layers[i].granularity, sizeof m->layers[i].granularity, "%s", granularity);
        m->layers[i].count = strcmp(granularity, "layer") == 0    ? 1
                             : strcmp(granularity, "tile:4") == 0 ? 2
                                                                  : CHANNELS;
    }
}

/* Every channel of a layer at k. */
static void set(sample *m, int layer, double k) {
    for (int c = 0; c < CHANNELS; c++) m->k[layer][c] = k;
    m->layers[layer].energy_j = 1e-18 * m->layers[layer].macs * k;
}

START_TEST(equal_repetitions_are_no_difference_whatever_shares_them) {
    static const char *const grains[] = {"layer", "channel", "tile:4"};
    sample a, b;
    dp_comparison c;
    make(&a, grains[_i / 3]);
    make(&b, grains[_i % 3]);
    ck_dp_ok(dp_schedule_compare(&c, &a.s, &b.s, &err));
    ck_assert_int_eq(c.count, LAYERS);
    ck_assert_int_eq(c.matched, LAYERS);
    ck_assert_int_eq(c.different, 0);
    for (int i = 0; i < LAYERS; i++) {
        ck_assert(!c.pairs[i].different && c.pairs[i].moved_j == 0);
        ck_assert_int_eq(c.pairs[i].layer[0]->index, i); /* all tied: execution order */
        ck_assert_ptr_eq(c.pairs[i].layer[1], &b.layers[i]);
    }
    dp_comparison_clear(&c);
}
END_TEST

START_TEST(what_moves_most_energy_comes_first) {
    sample a, b;
    dp_comparison c;
    make(&a, "channel");
    make(&b, "channel");
    set(&b, 0, 500); /* 490 of 1 MAC: 490 aJ */
    set(&b, 2, 13);  /* 3 of 100 MACs: 300 aJ */
    for (int i = 0; i < CHANNELS; i++)
        b.k[3][i] = i % 2 ? 6 : 14; /* the same mean: 4 of 1000 MACs */
    ck_dp_ok(dp_schedule_compare(&c, &a.s, &b.s, &err));
    static const int order[] = {3, 0, 2, 1};
    static const double moved[] = {4000e-18, 490e-18, 300e-18, 0};
    ck_assert_int_eq(c.different, 3);
    for (int i = 0; i < LAYERS; i++) {
        ck_assert_int_eq(c.pairs[i].layer[0]->index, order[i]);
        ck_assert_double_eq_tol(c.pairs[i].moved_j, moved[i], 1e-24);
        ck_assert(c.pairs[i].different == (i < 3));
    }
    dp_comparison_clear(&c);
}
END_TEST

START_TEST(one_channel_is_difference_enough) {
    sample a, b;
    dp_comparison c;
    make(&a, "layer");
    make(&b, "channel");
    b.k[1][CHANNELS - 1] = 11;
    ck_dp_ok(dp_schedule_compare(&c, &a.s, &b.s, &err));
    ck_assert_int_eq(c.different, 1);
    ck_assert_int_eq(c.pairs[0].layer[0]->index, 1);
    dp_comparison_clear(&c);
}
END_TEST

/* Another name, other channels, other MACs: each makes two layers of one. */
START_TEST(layers_that_do_not_belong_together_stand_alone) {
    sample a, b;
    dp_comparison c;
    make(&a, "channel");
    make(&b, "channel");
    if (_i == 0) b.layers[2].name = (char *)(uintptr_t) "other";
    if (_i == 1) b.layers[2].channels = b.layers[2].count = CHANNELS - 1;
    if (_i == 2) b.layers[2].macs = 101;
    ck_dp_ok(dp_schedule_compare(&c, &a.s, &b.s, &err));
    ck_assert_int_eq(c.count, LAYERS + 1);
    ck_assert_int_eq(c.matched, LAYERS - 1);
    ck_assert_int_eq(c.different, 2);
    int alone[2] = {0, 0};
    for (int i = 0; i < c.count; i++) {
        const dp_layer_pair *pair = &c.pairs[i];
        ck_assert(pair->layer[0] || pair->layer[1]);
        for (int side = 0; side < 2; side++) {
            if (pair->layer[!side]) continue;
            alone[side]++;
            ck_assert(pair->different);
            ck_assert_ptr_eq(pair->layer[side], side ? &b.layers[2] : &a.layers[2]);
            ck_assert_double_eq_tol(pair->moved_j / pair->layer[side]->energy_j, 1, 1e-12);
        }
    }
    ck_assert(alone[0] == 1 && alone[1] == 1);
    dp_comparison_clear(&c);
}
END_TEST

START_TEST(different_networks_are_refused) {
    sample a, b;
    dp_comparison c;
    make(&a, "layer");
    make(&b, "layer");
    b.s.model_file = (char *)(uintptr_t) "resnet.onnx";
    for (int i = 0; i < LAYERS; i++) b.layers[i].macs += 1;
    ck_dp_fails(dp_schedule_compare(&c, &a.s, &b.s, &err), DP_EFORMAT, "'resnet.onnx'");
    ck_assert(!c.pairs && c.count == 0);
    b.s.n_layers = 0;
    ck_dp_fails(dp_schedule_compare(&c, &a.s, &b.s, &err), DP_EFORMAT, "different networks");
}
END_TEST

START_TEST(energies_that_nobody_knows_do_not_keep_layers_from_being_compared) {
    sample a, b;
    dp_comparison c;
    make(&a, "layer");
    make(&b, "layer");
    set(&b, 1, 20);
    for (int i = 0; i < LAYERS; i++) a.layers[i].energy_j = b.layers[i].energy_j = NAN;
    ck_dp_ok(dp_schedule_compare(&c, &a.s, &b.s, &err));
    ck_assert_int_eq(c.different, 1);
    ck_assert_int_eq(c.pairs[0].layer[0]->index, 1);
    ck_assert_double_eq_tol(c.pairs[0].moved_j, 100e-18, 1e-24); /* as if 1 aJ a MAC */
    dp_comparison_clear(&c);
}
END_TEST

Suite *test_compare_suite(void) {
    Suite *suite = suite_create("comparison");
    TCase *tests = tcase_create("comparison");
    tcase_add_loop_test(tests, equal_repetitions_are_no_difference_whatever_shares_them, 0, 9);
    tcase_add_test(tests, what_moves_most_energy_comes_first);
    tcase_add_test(tests, one_channel_is_difference_enough);
    tcase_add_loop_test(tests, layers_that_do_not_belong_together_stand_alone, 0, 3);
    tcase_add_test(tests, different_networks_are_refused);
    tcase_add_test(tests, energies_that_nobody_knows_do_not_keep_layers_from_being_compared);
    suite_add_tcase(suite, tests);
    return suite;
}
