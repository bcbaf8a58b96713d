/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a layer's repetitions come to: against sums written out, against the difference that a joule more makes, and the energy
 * that the best repetitions need against relaxation itself.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/explain.h"
#include "learn/relax.h"
#include "oracle.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

/* Two convolutions with the same weights between others; with `step` an operator without a derivative before the last. */
static void open_rig(rig *r, const char *step) {
    *r = (rig){.hardware = net_hardware((const char *const[]){"shot", NULL}, (double[]){1})};
    net *n = &r->n;
    net_open(n, 3);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 2, 6, 6));
    x = net_conv(n, x, NET_DIM(7, 2, 3, 3), NULL);
    int w = net_weights(n, 4, NET_DIM(7, 7, 1, 1), 0.3F);
    x = net_op(n, "Conv", NET_IN(x, w), NULL);
    x = net_op(n, "Conv", NET_IN(net_op(n, "Relu", NET_IN(x), NULL), w), NULL);
    if (step) x = net_op(n, step, NET_IN(x), NULL);
    net_output(n, net_linear(n, net_op(n, "Flatten", NET_IN(x), NULL), 4, 112));
    r->data = net_dataset(n, &(net_data){.samples = 60, .spread = 3, .seed = 1});
    rig_open(r, NULL);
}

static double *randoms(const rig *r, uint64_t seed, double low, double high) {
    int64_t channels = dp_engine_channels(r->engine);
    double *values = dp_alloc((size_t)channels, sizeof *values);
    for (int64_t c = 0; c < channels; c++)
        values[c] = low * pow(high / low, 0.5 + 0.5 * (double)oracle_random(&seed));
    return values;
}

/* ---- one layer ---- */

START_TEST(a_layer_is_the_sum_of_its_channels) {
    rig r;
    open_rig(&r, NULL);
    double *k = randoms(&r, 1, 1, 1000), *s = randoms(&r, 2, 1e-6, 1), *v = randoms(&r, 3, 0.1, 9);
    dp_channel_facts facts = {k, s, v};
    for (int i = 0; i < dp_engine_site_count(r.engine); i++) {
        const dp_site_info *site = dp_engine_site(r.engine, i);
        dp_layer layer = {0};
        dp_explain_layer(&layer, site, &facts);
        double energy = 0, all = 0, loss = 0, variance = 0;
        for (int64_t c = site->first_channel; c < site->first_channel + site->channels; c++) {
            energy += 1e-18 * site->macs / (double)site->channels * k[c];
            all += s[c];
            loss += s[c] / k[c];
            variance += v[c] / k[c] / (double)site->channels;
        }
        ck_assert_double_eq_tol(layer.energy_j / energy, 1, 1e-12);
        ck_assert_double_eq_tol(layer.sensitivity / all, 1, 1e-12);
        ck_assert_double_eq_tol(layer.loss / loss, 1, 1e-12);
        /* [Garg]: bits of an ideal converter over the output's range with this error */
        double steps = exp2(layer.enob) - 1, range = site->output_high - site->output_low;
        ck_assert_double_eq_tol(range / steps / sqrt(12), sqrt(variance), 1e-9);
    }
    dp_free(k);
    dp_free(s);
    dp_free(v);
    rig_close(&r);
}
END_TEST

/* All K of a layer a millionth more: what the loss falls by, over what that costs. */
START_TEST(the_marginal_loss_is_what_a_joule_more_saves) {
    rig r;
    open_rig(&r, NULL);
    double *k = randoms(&r, 1, 1, 1000), *s = randoms(&r, 2, 1e-6, 1), *v = randoms(&r, 3, 0.1, 9);
    int64_t channels = dp_engine_channels(r.engine);
    double *more = dp_alloc((size_t)channels, sizeof *more);
    for (int64_t c = 0; c < channels; c++) more[c] = k[c] * (1 + 1e-6);
    for (int i = 0; i < dp_engine_site_count(r.engine); i++) {
        const dp_site_info *site = dp_engine_site(r.engine, i);
        dp_layer at = {0}, above = {0};
        dp_explain_layer(&at, site, &(dp_channel_facts){k, s, v});
        dp_explain_layer(&above, site, &(dp_channel_facts){more, s, v});
        double slope = (at.loss - above.loss) / (above.energy_j - at.energy_j);
        ck_assert_double_eq_tol(at.loss_per_j / slope, 1, 1e-4);
    }
    dp_free(k);
    dp_free(s);
    dp_free(v);
    dp_free(more);
    rig_close(&r);
}
END_TEST

START_TEST(modules_are_weights_without_their_last_word) {
    static const char *const names[][2] = {{"layer1.0.conv2.weight", "layer1.0.conv2"},
                                           {"fc/kernel", "fc"},
                                           {"weight", "weight"},
                                           {"onnx::Conv_21", ""},
                                           {"", ""},
                                           {"w", "w"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        dp_site_info site = {.name = "n", .op = "Conv", .weight = names[i][0], .channels = 3};
        dp_schedule s = {.n_layers = 1, .layers = dp_alloc(1, sizeof(dp_layer))};
        ck_assert(dp_explain_site(&s.layers[0], &site, 0));
        ck_assert_str_eq(s.layers[0].module, names[i][1]);
        dp_schedule_clear(&s);
    }
}
END_TEST

/* ---- sensitivities ---- */

static double *curvature(rig *r, const double *repetitions, uint32_t trial) {
    double *s = dp_alloc((size_t)dp_engine_channels(r->engine), sizeof *s);
    dp_evaluation point = {r->reference, repetitions, trial, 1};
    ck_dp_ok(dp_engine_sensitivity(r->engine, &point, s, &err));
    return s;
}

START_TEST(a_schedules_sensitivities_are_the_mean_of_clean_and_noisy_ones) {
    rig r;
    open_rig(&r, NULL);
    bool measured = true;
    double *k = randoms(&r, 5, 2, 50), *found = randoms(&r, 1, 1, 2);
    double *clean = curvature(&r, NULL, 0), *noisy = curvature(&r, k, 1);
    dp_explained_point point = {r.data, &r.hardware, _i ? k : NULL};
    ck_dp_ok(dp_explain_sensitivity(r.engine, &point, found, &measured, &err));
    ck_assert(!measured);
    for (int64_t c = 0; c < dp_engine_channels(r.engine); c++)
        ck_assert_double_eq_tol(found[c], _i ? 0.5 * (clean[c] + noisy[c]) : clean[c], 1e-15);
    dp_free(k);
    dp_free(found);
    dp_free(clean);
    dp_free(noisy);
    rig_close(&r);
}
END_TEST

/* Floor has no reverse pass. What is measured has to be of the size of what uniform noise costs altogether. */
START_TEST(without_a_reverse_pass_layers_are_measured) {
    rig r;
    open_rig(&r, "Floor");
    bool measured = false;
    double *s = randoms(&r, 1, 1, 2), sum = 0, level = 200;
    dp_explained_point point = {r.data, &r.hardware, NULL};
    ck_dp_ok(dp_explain_sensitivity(r.engine, &point, s, &measured, &err));
    ck_assert(measured);
    for (int i = 0; i < dp_engine_site_count(r.engine); i++) {
        const dp_site_info *site = dp_engine_site(r.engine, i);
        for (int64_t c = 1; c < site->channels; c++)
            ck_assert_double_eq(s[site->first_channel + c], s[site->first_channel]);
    }
    for (int64_t c = 0; c < dp_engine_channels(r.engine); c++) sum += s[c];
    double *k = rig_uniform(&r, level);
    double kl = rig_score(&r, k, 7, 8).kl;
    ck_assert_msg(sum / level > 0.3 * kl && sum / level < 3 * kl, "%g predicted, %g measured",
                  sum / level, kl);
    dp_free(k);
    dp_free(s);
    rig_close(&r);
}
END_TEST

/* The relaxed problem solved by bisection, bounds far away, against the closed form. */
START_TEST(the_best_repetitions_need_what_relaxation_finds) {
    rig r;
    dp_units u;
    dp_learn_options options;
    open_rig(&r, NULL);
    r.hardware.repetitions_min = 1e-6;
    r.hardware.repetitions_max = 1e9;
    dp_learn_defaults(&options);
    options.granularity = _i % 2 ? DP_GRAIN_CHANNEL : DP_GRAIN_LAYER;
    ck_dp_ok(dp_units_create(&u, r.engine, &r.hardware, &options, &err));
    double *s = randoms(&r, (uint64_t)_i + 1, 1e-2, 1);
    double *shape = dp_alloc((size_t)u.count, sizeof *shape), *k = dp_alloc((size_t)u.count, 8);
    dp_units_collect(&u, s);
    dp_relax_shape(&u, shape);
    for (int i = 0; i < u.count; i++) k[i] = 20;
    double uniform = dp_units_energy(&u, k), loss = dp_units_loss(&u, k);
    dp_relax_at(&u, shape, dp_relax_for_loss(&u, shape, loss), k);
    ck_assert_double_eq_tol(dp_explain_potential(r.engine, s, _i % 2),
                            dp_units_energy(&u, k) / uniform, 1e-9);
    dp_free(s);
    dp_free(shape);
    dp_free(k);
    dp_units_clear(&u);
    rig_close(&r);
}
END_TEST

Suite *test_explain_suite(void) {
    Suite *suite = suite_create("explanations");
    TCase *tests = tcase_create("explanations");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, a_layer_is_the_sum_of_its_channels);
    tcase_add_test(tests, the_marginal_loss_is_what_a_joule_more_saves);
    tcase_add_test(tests, modules_are_weights_without_their_last_word);
    tcase_add_loop_test(tests, a_schedules_sensitivities_are_the_mean_of_clean_and_noisy_ones, 0,
                        2);
    tcase_add_test(tests, without_a_reverse_pass_layers_are_measured);
    tcase_add_loop_test(tests, the_best_repetitions_need_what_relaxation_finds, 0, 6);
    suite_add_tcase(suite, tests);
    return suite;
}
