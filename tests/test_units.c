/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What shares one K: layers, channels, tiles and sites with the same weights; what the user fixed. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/units.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { CHANNELS = 10 + 7 + 7 + 1 + 4, SITES = 5 };
static const int64_t widths[SITES] = {10, 7, 7, 1,
                                      4}; /* the second and third share their weights */

/* Conv, twice the same Conv, a product of activations, a linear layer. */
static void open_rig_with(rig *r, int rows) {
    *r = (rig){.hardware = net_hardware((const char *const[]){"shot", NULL}, (double[]){1})};
    r->hardware.rows = rows;
    net *n = &r->n;
    net_open(n, 3);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 2, 6, 6));
    x = net_conv(n, x, NET_DIM(10, 2, 3, 3), NULL);
    int w = net_weights(n, 4, NET_DIM(7, 10, 1, 1), 0.3F);
    int a = net_op(n, "Conv", NET_IN(x, w), NULL);
    int b = net_op(n, "Conv", NET_IN(net_op(n, "Relu", NET_IN(x), NULL), w), NULL);
    int product = net_op(n, "MatMul", NET_IN(a, b), NULL);
    net_output(n, net_linear(n, net_op(n, "Flatten", NET_IN(product), NULL), 4, 112));
    r->data = net_dataset(n, &(net_data){.samples = 6, .spread = 1, .seed = 1});
    rig_open(r, NULL);
}

static void open_rig(rig *r) {
    open_rig_with(r, 0);
}

static dp_learn_options with(unsigned granularity, int tile) {
    dp_learn_options o;
    dp_learn_defaults(&o);
    o.granularity = granularity;
    o.tile = tile;
    return o;
}

/* Number of units of each site; the third site's are the second's. */
static const struct {
    unsigned granularity;
    int tile, units[SITES];
} grains[] = {
    {DP_GRAIN_LAYER, 0, {1, 1, 0, 1, 1}},  {DP_GRAIN_CHANNEL, 0, {10, 7, 0, 1, 4}},
    {DP_GRAIN_TILE, 4, {3, 2, 0, 1, 1}},   {DP_GRAIN_TILE, 1, {10, 7, 0, 1, 4}},
    {DP_GRAIN_TILE, 100, {1, 1, 0, 1, 1}},
};

START_TEST(units_are_what_the_granularity_says) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(grains[_i].granularity, grains[_i].tile);
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    ck_assert_int_eq(u.channels, CHANNELS);
    int first = 0, count = 0;
    for (int site = 0; site < SITES; site++) {
        int units = grains[_i].units[site];
        const dp_site_info *info = dp_engine_site(r.engine, site);
        ck_assert_int_eq(info->channels, widths[site]);
        ck_assert_int_eq(info->tied, site == 2 ? 1 : site);
        int64_t width = grains[_i].granularity == DP_GRAIN_TILE && grains[_i].tile < widths[site]
                            ? grains[_i].tile
                        : grains[_i].granularity == DP_GRAIN_CHANNEL ? 1
                                                                     : widths[site];
        ck_assert_int_eq(dp_units_width(&o, info), width);
        for (int64_t c = 0; c < widths[site]; c++) {
            int unit = u.of_channel[info->first_channel + c];
            int base = site == 2 ? u.of_channel[dp_engine_site(r.engine, 1)->first_channel] : first;
            ck_assert_int_eq(unit, base + (int)(c / width));
        }
        first += units;
        count += units;
    }
    ck_assert_int_eq(u.count, count);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

/* sum of B K over units is the engine's energy, whatever the units are. */
START_TEST(costs_add_up_to_the_engines_energy) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(grains[_i].granularity, grains[_i].tile);
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    double k[CHANNELS], repetitions[CHANNELS], s[CHANNELS], loss = 0;
    for (int i = 0; i < u.count; i++) k[i] = 1 + i % 5;
    for (int c = 0; c < CHANNELS; c++) s[c] = 0.1 * (c + 1);
    dp_units_spread(&u, k, repetitions);
    for (int c = 0; c < CHANNELS; c++) {
        ck_assert_double_eq(repetitions[c], k[u.of_channel[c]]);
        loss += s[c] / repetitions[c];
    }
    dp_units_collect(&u, s);
    ck_assert_double_eq_tol(dp_units_energy(&u, k) / dp_engine_energy(r.engine, repetitions), 1,
                            1e-12);
    ck_assert_double_eq_tol(dp_units_loss(&u, k) / loss, 1, 1e-12);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

/* So are their operations, where a core of three rows cuts sites, and tiles of four, into blocks. */
START_TEST(blocks_take_the_engines_time) {
    for (int rows = 0; rows < 4; rows++) {
        rig r;
        dp_units u;
        open_rig_with(&r, rows);
        dp_learn_options o = with(grains[_i].granularity, grains[_i].tile);
        o.groups = (const char *const[]){"Conv_[01]"};
        o.n_groups = rows == 2;
        ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
        double k[CHANNELS], repetitions[CHANNELS];
        for (int i = 0; i < u.count; i++) k[i] = 1 + i * 7 % 11;
        dp_units_spread(&u, k, repetitions);
        ck_assert_double_eq_tol(dp_blocks_operations(&u.blocks, k) /
                                    dp_engine_operations(r.engine, repetitions),
                                1, 1e-12);
        for (int i = 0; i < u.blocks.count; i++) /* none is there twice */
            for (int j = 0; j < i; j++) {
                int size = u.blocks.first[i + 1] - u.blocks.first[i];
                bool same = u.blocks.first[j + 1] - u.blocks.first[j] == size;
                for (int n = 0; same && n < size; n++)
                    same = u.blocks.units[u.blocks.first[i] + n] ==
                           u.blocks.units[u.blocks.first[j] + n];
                ck_assert(!same);
            }
        dp_units_clear(&u);
        rig_close(&r);
    }
}
END_TEST

START_TEST(fixed_units_have_one_k_and_others_the_hardwares_range) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_CHANNEL, 0);
    o.fixes = (dp_fix[]){{"Conv_0", 3}, {"Gem*", 8}};
    o.n_fixes = 2;
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    for (int site = 0; site < SITES; site++)
        for (int64_t c = 0; c < widths[site]; c++) {
            int unit = u.of_channel[dp_engine_site(r.engine, site)->first_channel + c];
            double k = site == 0 ? 3 : site == 4 ? 8 : 0;
            ck_assert(u.fixed[unit] == (k > 0));
            ck_assert_double_eq(u.low[unit], k > 0 ? k : 1);
            ck_assert_double_eq(u.high[unit], k > 0 ? k : 65536);
        }
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

/* Fixing one of two sites with the same weights fixes both: they are one array of the core. */
START_TEST(fixing_a_tied_site_fixes_its_twin) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_LAYER, 0);
    o.fixes = (dp_fix[]){{dp_engine_site(r.engine, 2)->name, 5}};
    o.n_fixes = 1;
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    int twin = u.of_channel[dp_engine_site(r.engine, 1)->first_channel];
    ck_assert(u.fixed[twin] && u.low[twin] == 5 && u.high[twin] == 5);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

static const struct {
    dp_fix fix;
    unsigned granularity;
    int tile;
    const char *part;
} wrong[] = {
    {{"nothing*", 4}, DP_GRAIN_LAYER, 0, "no site matches 'nothing*'"},
    {{"Conv_0", 0.5}, DP_GRAIN_LAYER, 0, "'Conv_0=0.5'"},
    {{"Conv_0", 1e6}, DP_GRAIN_LAYER, 0, "1 to 65536"},
    {{"Conv_0", 2.5}, DP_GRAIN_LAYER, 0, "levels"},
    {{"Conv_0", NAN}, DP_GRAIN_LAYER, 0, "Conv_0"},
    {{"Conv_0", 4}, DP_GRAIN_TILE, 0, "tile"},
    {{"Conv_0", 4}, DP_GRAIN_TILE, -3, "tile"},
};

START_TEST(what_cannot_be_is_refused) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(wrong[_i].granularity, wrong[_i].tile);
    o.fixes = &wrong[_i].fix;
    o.n_fixes = 1;
    ck_dp_fails(dp_units_create(&u, r.engine, &r.hardware, &o, &err), DP_ERANGE, wrong[_i].part);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

START_TEST(a_granularity_that_the_hardware_has_not_is_refused) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_CHANNEL, 0);
    r.hardware.granularities = DP_GRAIN_LAYER;
    ck_dp_fails(dp_units_create(&u, r.engine, &r.hardware, &o, &err), DP_ERANGE, "granularity");
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

START_TEST(the_options_narrow_the_range_of_what_is_not_fixed) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_CHANNEL, 0);
    o.min_repetitions = 4;
    o.max_repetitions = 64;
    o.fixes = (dp_fix[]){{"Conv_0", 3}, {"Gem*", 100}}; /* both outside */
    o.n_fixes = 2;
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    for (int site = 0; site < SITES; site++)
        for (int64_t c = 0; c < widths[site]; c++) {
            int unit = u.of_channel[dp_engine_site(r.engine, site)->first_channel + c];
            ck_assert_double_eq(u.low[unit], site == 0 ? 3 : site == 4 ? 100 : 4);
            ck_assert_double_eq(u.high[unit], site == 0 ? 3 : site == 4 ? 100 : 64);
        }
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

/* Whatever the granularity: one unit for the first and the second site, and for the third, which has the second's weights. */
START_TEST(groups_are_one_unit_and_weights_stay_together) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(grains[_i].granularity, grains[_i].tile);
    o.groups = (const char *const[]){"Conv_[01]"};
    o.n_groups = 1;
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    const int *units = grains[_i].units;
    ck_assert_int_eq(u.count, 1 + units[3] + units[4]);
    double cost = 0, all = 0;
    for (int site = 0; site < SITES; site++) {
        const dp_site_info *info = dp_engine_site(r.engine, site);
        ck_assert_int_eq(u.group[site], site < 3 ? 0 : -1);
        for (int64_t c = 0; c < widths[site]; c++)
            ck_assert((u.of_channel[info->first_channel + c] == 0) == (site < 3));
        all += site < 3 ? info->per_repetition_j : 0;
    }
    cost = u.cost_j[0];
    ck_assert_double_eq_tol(cost / all, 1, 1e-12);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

static const struct {
    const char *groups[2];
    dp_fix fixes[2];
    const char *part;
} no_groups[] = {
    {{"nothing*"}, {{NULL, 0}}, "no site matches the group 'nothing*'"},
    {{"Conv_*", "*_0"}, {{NULL, 0}}, "site 'Conv_0' is in two groups, 'Conv_*' and '*_0'"},
    {{"Conv_1", "Conv_3"}, {{NULL, 0}}, "site 'Conv_3', with the weights of 'Conv_1', is in two"},
    {{"Conv_[01]"}, {{"Conv_0", 4}}, "'Conv_0' is fixed to 4 and 'Conv_1' is not fixed"},
    {{"Conv_[01]"}, {{"Conv_1", 4}}, "'Conv_0' is not fixed and 'Conv_1' is fixed to 4"},
    {{"*"}, {{"*", 4}, {"Gemm*", 8}}, "'Conv_0' is fixed to 4 and 'Gemm_6' is fixed to 8"},
    {{"Conv_[01]"}, {{"Conv_[01]", 4}, {"Conv_3", 5}}, "and 'Conv_3' is fixed to 5"},
};

START_TEST(groups_that_contradict_something_are_refused) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_CHANNEL, 0);
    o.groups = no_groups[_i].groups;
    o.n_groups = 1 + (no_groups[_i].groups[1] != NULL);
    o.fixes = no_groups[_i].fixes;
    o.n_fixes = (no_groups[_i].fixes[0].glob != NULL) + (no_groups[_i].fixes[1].glob != NULL);
    ck_dp_fails(dp_units_create(&u, r.engine, &r.hardware, &o, &err), DP_ERANGE,
                no_groups[_i].part);
    rig_close(&r);
}
END_TEST

START_TEST(a_group_may_be_fixed_as_a_whole) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_CHANNEL, 0);
    o.groups = (const char *const[]){"Conv_[01]"};
    o.n_groups = 1;
    o.fixes = (dp_fix[]){{"*", 9}, {"Conv_*", 4}}; /* the last one counts, for all three */
    o.n_fixes = 2;
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &o, &err));
    ck_assert(u.fixed[0] && u.low[0] == 4 && u.high[0] == 4);
    ck_assert(u.fixed[1] && u.low[1] == 9);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

static const struct {
    double least, most;
    dp_levels levels;
    const char *part;
} no_range[] = {
    {0.5, NAN, DP_LEVELS_INTEGER, "min-repetitions 0.5: hardware 'net' allows 1 to 65536"},
    {NAN, 1e6, DP_LEVELS_INTEGER, "max-repetitions 1e+06"},
    {2.5, NAN, DP_LEVELS_INTEGER, "whole numbers"},
    {NAN, 12, DP_LEVELS_POWER_OF_TWO, "powers of two"},
    {8, 4, DP_LEVELS_INTEGER, "min-repetitions 8 is above max-repetitions 4"},
    {1e5, NAN, DP_LEVELS_CONTINUOUS, "any number"},
};

START_TEST(a_range_that_the_hardware_has_not_is_refused) {
    rig r;
    dp_units u;
    open_rig(&r);
    dp_learn_options o = with(DP_GRAIN_LAYER, 0);
    strcpy(r.hardware.name, "net");
    r.hardware.levels = no_range[_i].levels;
    o.min_repetitions = no_range[_i].least;
    o.max_repetitions = no_range[_i].most;
    ck_dp_fails(dp_units_create(&u, r.engine, &r.hardware, &o, &err), DP_ERANGE, no_range[_i].part);
    rig_close(&r);
}
END_TEST

Suite *test_units_suite(void) {
    enum { GRAINS = sizeof grains / sizeof *grains, WRONG = sizeof wrong / sizeof *wrong };
    Suite *suite = suite_create("units");
    TCase *tcase = tcase_create("units");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, units_are_what_the_granularity_says, 0, GRAINS);
    tcase_add_loop_test(tcase, costs_add_up_to_the_engines_energy, 0, GRAINS);
    tcase_add_loop_test(tcase, blocks_take_the_engines_time, 0, GRAINS);
    tcase_add_test(tcase, fixed_units_have_one_k_and_others_the_hardwares_range);
    tcase_add_test(tcase, fixing_a_tied_site_fixes_its_twin);
    tcase_add_loop_test(tcase, what_cannot_be_is_refused, 0, WRONG);
    tcase_add_test(tcase, a_granularity_that_the_hardware_has_not_is_refused);
    tcase_add_loop_test(tcase, groups_are_one_unit_and_weights_stay_together, 0, GRAINS);
    tcase_add_loop_test(tcase, groups_that_contradict_something_are_refused, 0,
                        sizeof no_groups / sizeof *no_groups);
    tcase_add_test(tcase, a_group_may_be_fixed_as_a_whole);
    tcase_add_test(tcase, the_options_narrow_the_range_of_what_is_not_fixed);
    tcase_add_loop_test(tcase, a_range_that_the_hardware_has_not_is_refused, 0,
                        sizeof no_range / sizeof *no_range);
    suite_add_tcase(suite, tcase);
    return suite;
}
