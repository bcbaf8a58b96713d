/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pathwise derivative beside central differences of the loss that the same draws give, over networks that have every kind of
 * site, and its mean over many draws beside the curvature that sensitivities measure by other means.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

static const char *const sources[][2] = {{"shot"}, {"thermal"}, {"weight"}};
static const double strengths[] = {4, 0.02, 0.05};
static const char *const all_sources[] = {"shot", "thermal", "weight", NULL};
enum { SOURCES = 4, SAMPLES = 21, CLASSES = 4 };

static dp_hardware hardware_of(int source) {
    dp_hardware h = net_hardware(source < 3 ? sources[source] : all_sources,
                                 source < 3 ? &strengths[source] : strengths);
    h.levels = DP_LEVELS_CONTINUOUS;
    return h;
}

static int smooth(net *n, int x) {
    return net_op(n, "Tanh", NET_IN(x), NULL);
}

/* ---- networks: every kind of site, smooth enough for differences ---- */

static void convolutions(net *n) {
    dp_attr pad[] = {OP_INTS("pads", 1, 1, 1, 1), {0}};
    dp_attr grouped[] = {pad[0], OP_INT("group", 2), OP_INTS("strides", 2, 1), {0}};
    dp_attr depthwise[] = {pad[0], OP_INT("group", 4), {0}};
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 3, 6, 5));
    x = smooth(n, net_conv(n, x, NET_DIM(4, 3, 3, 3), pad));
    x = net_op(n, "Add", NET_IN(x, net_conv(n, x, NET_DIM(4, 4, 1, 1), NULL)), NULL);
    x = smooth(n, net_conv(n, x, NET_DIM(4, 1, 3, 3), depthwise));
    x = smooth(n, net_conv(n, x, NET_DIM(6, 2, 3, 3), grouped));
    x = net_op(n, "Flatten", NET_IN(net_op(n, "GlobalAveragePool", NET_IN(x), NULL)), NULL);
    net_output(n, net_linear(n, x, CLASSES, 6));
}

static void transposed(net *n) {
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 3, 3));
    int w = net_weights(n, 4, NET_DIM(4, 3, 2, 3), 0.5F);
    dp_attr attrs[] = {OP_INT("group", 2), OP_INTS("strides", 2, 1), {0}};
    x = smooth(n, net_op(n, "ConvTranspose", NET_IN(x, w), attrs));
    x = net_op(n, "Flatten", NET_IN(net_op(n, "GlobalAveragePool", NET_IN(x), NULL)), NULL);
    net_output(n, net_linear(n, x, CLASSES, 6));
}

/* Weights on the right and on the left, an Einsum, and products of activations. */
static void attention(net *n) {
    int x = net_input(n, "x", DP_F32, 3, NET_DIM(-1, 5, 6));
    int q = net_matmul(n, x, 4, 6), v = net_matmul(n, x, 4, 6);
    int w = net_weights(n, 2, NET_DIM(6, 4), 0.7F);
    int k =
        net_op(n, "Einsum", NET_IN(x, w), (dp_attr[]){OP_STRING("equation", "ntd,de->net"), {0}});
    int scores = net_op(n, "MatMul", NET_IN(q, k), NULL);
    scores = net_op(n, "Softmax", NET_IN(scores), (dp_attr[]){OP_INT("axis", -1), {0}});
    int mixed = net_op(n, "MatMul", NET_IN(scores, v), NULL);
    int left = net_op(n, "MatMul", NET_IN(net_weights(n, 2, NET_DIM(3, 5), 0.7F), mixed), NULL);
    net_output(n, net_matmul(n, smooth(n, left), CLASSES, 4));
}

static void recurrent(net *n, const char *type, int64_t gates) {
    enum { STEPS = 3, WIDE = 3, HIDDEN = 4 };
    int x = net_input(n, "x", DP_F32, 3, NET_DIM(-1, STEPS, WIDE));
    x = net_op(n, "Transpose", NET_IN(x), (dp_attr[]){OP_INTS("perm", 1, 0, 2), {0}});
    int w = net_weights(n, 3, NET_DIM(2, gates * HIDDEN, WIDE), 1);
    int r = net_weights(n, 3, NET_DIM(2, gates * HIDDEN, HIDDEN), 1);
    int b = net_weights(n, 2, NET_DIM(2, 2 * gates * HIDDEN), 0.3F);
    int y = net_op_outputs(
        n, type, NET_IN(x, w, r, b),
        (dp_attr[]){OP_INT("hidden_size", HIDDEN), OP_STRING("direction", "bidirectional"), {0}},
        2);
    y = net_op(n, "Transpose", NET_IN(y + 1), (dp_attr[]){OP_INTS("perm", 1, 0, 2), {0}});
    net_output(n,
               net_linear(n, net_reshape(n, y, 2, NET_DIM(-1, 2 * HIDDEN)), CLASSES, 2 * HIDDEN));
}

static void lstm(net *n) {
    recurrent(n, "LSTM", 4);
}

static void gru(net *n) {
    recurrent(n, "GRU", 3);
}

/* A picture in, a picture out: outputs are quantities. */
static void regression(net *n) {
    dp_attr pad[] = {OP_INTS("pads", 1, 1, 1, 1), {0}};
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 2, 5, 5));
    x = smooth(n, net_conv(n, x, NET_DIM(4, 2, 3, 3), pad));
    net_output(n, net_conv(n, x, NET_DIM(2, 4, 3, 3), pad));
}

static void (*const builders[])(net *) = {convolutions, transposed, attention,
                                          lstm,         gru,        regression};
enum { BUILDERS = sizeof builders / sizeof *builders };

static void rig_make(rig *r, int builder, int source, bool labels) {
    *r = (rig){.hardware = hardware_of(source)};
    net_open(&r->n, 17);
    builders[builder](&r->n);
    int64_t rows = builder == 2 ? 3 : 1;
    r->data = net_dataset(&r->n, &(net_data){.samples = SAMPLES,
                                             .spread = 1,
                                             .labels = labels ? rows : 0,
                                             .classes = CLASSES,
                                             .seed = 5});
    rig_open(r, &(dp_engine_options){.seed = 3, .batch = 4, .threads = 2});
}

/* ---- what is differentiated ---- */

static double mean_loss(const rig *r, const dp_score *scores, int trials, bool cross_entropy) {
    double sum = 0, rows = 0;
    for (int64_t i = 0; i < trials * r->samples; i++) {
        sum += cross_entropy ? scores[i].loss : scores[i].kl;
        rows += scores[i].rows;
    }
    return sum / rows;
}

/* The loss of these draws at `k` and, where `derivative` is not NULL, its derivative. */
static double loss_at(rig *r, const double *k, int trials, bool cross_entropy, double *derivative) {
    size_t channels = (size_t)dp_engine_channels(r->engine);
    dp_score *scores = dp_alloc((size_t)(trials * r->samples), sizeof *scores);
    double *mean = derivative ? derivative : dp_alloc(channels, sizeof *mean);
    dp_evaluation point = {r->reference, k, 7, trials};
    dp_derivative out = {cross_entropy, scores, {mean, NULL}};
    ck_dp_ok(dp_engine_derivative(r->engine, &point, &out, &err));
    double loss = mean_loss(r, scores, trials, cross_entropy);
    if (!derivative) dp_free(mean);
    dp_free(scores);
    return loss;
}

/* Each channel has a K of its own, at noise that costs a tenth of a nat or more. */
static double *mixed_precision(rig *r) {
    double *k = rig_uniform(r, 16);
    int64_t channels = dp_engine_channels(r->engine);
    for (int64_t c = 0; c < channels; c++) k[c] *= 1 + (double)(c % 5) / 2;
    while (loss_at(r, k, 1, false, NULL) < 0.1)
        for (int64_t c = 0; c < channels; c++) k[c] /= 2;
    return k;
}

/* Outputs are float32, so the mean loss is known to about 1e-6 and a difference over 0.04 to 3e-5; its own error is h^2. */
static void check_differences(rig *r, bool cross_entropy) {
    enum { TRIALS = 2 };
    const double h = 0.02;
    int64_t channels = dp_engine_channels(r->engine);
    double *k = mixed_precision(r), *d = rig_uniform(r, 0), largest = 0;
    loss_at(r, k, TRIALS, cross_entropy, d);
    for (int64_t c = 0; c < channels; c++) largest = fmax(largest, fabs(d[c]));
    ck_assert_msg(largest > 3e-3, "%g", largest);
    for (int64_t c = 0; c < channels; c += 1 + channels / 16) {
        double was = k[c], side[2];
        for (int i = 0; i < 2; i++) {
            k[c] = was * exp(i ? h : -h);
            side[i] = loss_at(r, k, TRIALS, cross_entropy, NULL);
        }
        k[c] = was;
        double difference = (side[1] - side[0]) / (2 * h);
        ck_assert_msg(fabs(difference - d[c]) <= 3e-5 + 2e-3 * fabs(d[c]) + 1e-3 * largest,
                      "channel %lld: %g, differences say %g", (long long)c, d[c], difference);
    }
    dp_free(k);
    dp_free(d);
}

START_TEST(derivatives_are_what_differences_say) {
    rig r;
    rig_make(&r, _i / SOURCES, _i % SOURCES, false);
    check_differences(&r, false);
    rig_close(&r);
}
END_TEST

START_TEST(cross_entropy_has_its_own_derivative) {
    rig r;
    rig_make(&r, _i, 3, true);
    check_differences(&r, true);
    rig_close(&r);
}
END_TEST

/* Rows of more positions than are drawn at a time, in convolutions of several blocks. */
START_TEST(long_rows_are_drawn_again_as_they_were) {
    rig r = {.hardware = hardware_of(0)};
    net *n = &r.n;
    dp_attr pad[] = {OP_INTS("pads", 1, 1, 1, 1), {0}};
    net_open(n, 19);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 8, 72, 70));
    x = smooth(n, net_conv(n, x, NET_DIM(3, 8, 3, 3), pad));
    x = net_op(n, "Flatten", NET_IN(net_op(n, "GlobalMaxPool", NET_IN(x), NULL)), NULL);
    net_output(n, net_linear(n, x, CLASSES, 3));
    r.data = net_dataset(n, &(net_data){.samples = 2, .spread = 1, .seed = 5});
    rig_open(&r, NULL);
    double *k = rig_uniform(&r, 3);
    double *d = rig_uniform(&r, 0);
    loss_at(&r, k, 1, false, d);
    for (int64_t c = 0; c < 3; c++) {
        double side[2];
        for (int i = 0; i < 2; i++) {
            k[c] = 3 * exp(i ? 1e-2 : -1e-2);
            side[i] = loss_at(&r, k, 1, false, NULL);
        }
        k[c] = 3;
        ck_assert_double_eq_tol((side[1] - side[0]) / 2e-2, d[c], 1e-4 + 0.01 * fabs(d[c]));
    }
    dp_free(k);
    dp_free(d);
    rig_close(&r);
}
END_TEST

/* ---- what comes with it ---- */

/* Of outputs' noise; that of weights is drawn once a batch, and reverse batches are others. */
START_TEST(its_scores_are_those_of_an_evaluation) {
    rig r;
    rig_make(&r, _i / 2, _i % 2, true);
    double *k = mixed_precision(&r), *d = rig_uniform(&r, 0);
    dp_score scores[2 * SAMPLES], evaluated[2 * SAMPLES];
    dp_evaluation point = {r.reference, k, 11, 2};
    dp_derivative out = {false, scores, {d, NULL}};
    ck_dp_ok(dp_engine_derivative(r.engine, &point, &out, &err));
    ck_dp_ok(dp_engine_evaluate(r.engine, &point, evaluated, &err));
    for (int i = 0; i < 2 * SAMPLES; i++) {
        ck_assert_double_eq_tol(scores[i].kl, evaluated[i].kl, 1e-4 * (1 + evaluated[i].kl));
        ck_assert_double_eq_tol(scores[i].loss, evaluated[i].loss, 1e-4 * (1 + scores[i].loss));
        ck_assert_double_eq(scores[i].rows, evaluated[i].rows);
    }
    dp_free(k);
    dp_free(d);
    rig_close(&r);
}
END_TEST

/* Clean outputs that are picked are those that a pass over the picked samples would give, and noise is that of the samples. */
START_TEST(picked_references_give_what_their_samples_give) {
    rig r;
    rig_make(&r, _i, 0, _i < BUILDERS - 1);
    static const int64_t numbers[] = {0, 2, 3, 11, 20};
    enum { PICKED = sizeof numbers / sizeof *numbers };
    dp_dataset *view;
    dp_reference *picked;
    dp_score few[PICKED], whole[SAMPLES];
    ck_dp_ok(dp_dataset_pick(&view, r.data, numbers, PICKED, &err));
    ck_dp_ok(dp_reference_pick(&picked, r.reference, view, numbers, &err));
    double *k = mixed_precision(&r);
    ck_dp_ok(dp_engine_evaluate(r.engine, &(dp_evaluation){picked, k, 11, 1}, few, &err));
    ck_dp_ok(dp_engine_evaluate(r.engine, &(dp_evaluation){r.reference, k, 11, 1}, whole, &err));
    ck_assert_int_eq(dp_reference_regression(picked), dp_reference_regression(r.reference));
    for (int i = 0; i < PICKED; i++) {
        const dp_score *same = &whole[numbers[i]];
        ck_assert_double_eq_tol(few[i].kl, same->kl, 1e-4 * (1 + same->kl));
        ck_assert_double_eq_tol(few[i].loss, same->loss, 1e-4 * (1 + same->loss));
        ck_assert_double_eq(dp_reference_scores(picked)[i].loss,
                            dp_reference_scores(r.reference)[numbers[i]].loss);
    }
    dp_reference_free(picked);
    dp_dataset_free(view);
    dp_free(k);
    rig_close(&r);
}
END_TEST

/* The sum over channels is d L / d log K for a K common to all; where L falls as 1 / K it is -L. */
START_TEST(little_noise_is_a_sum_of_shares) {
    enum { TRIALS = 60 };
    rig r;
    rig_make(&r, _i / SOURCES, _i % SOURCES, false);
    int64_t channels = dp_engine_channels(r.engine);
    double *k = mixed_precision(&r), *d = rig_uniform(&r, 0), *s = rig_uniform(&r, 0);
    for (int64_t c = 0; c < channels; c++) k[c] *= 2e4;
    double loss = loss_at(&r, k, TRIALS, false, d), sum = 0, curved = 0;
    dp_evaluation clean = {r.reference, NULL, 0, TRIALS};
    ck_dp_ok(dp_engine_sensitivity(r.engine, &clean, s, &err));
    for (int64_t c = 0; c < channels; c++) {
        sum += d[c];
        curved += s[c] / k[c];
    }
    ck_assert_double_eq_tol(-sum / loss, 1, 0.02);
    ck_assert_double_eq_tol(curved / loss, 1,
                            0.15); /* a loss of 60 times 21 draws has a spread of its own */
    dp_free(k);
    dp_free(d);
    dp_free(s);
    rig_close(&r);
}
END_TEST

/* Groups of samples tell the error: seeds spread as much. */
START_TEST(variances_are_the_spread_over_draws) {
    enum { SEEDS = 40 };
    rig r;
    rig_make(&r, 0, _i, false);
    size_t channels = (size_t)dp_engine_channels(r.engine);
    double *k = mixed_precision(&r), *mean = dp_alloc(channels, sizeof *mean);
    double *said = dp_alloc(channels, sizeof *said), sum[2] = {0}, first[32] = {0},
           second[32] = {0};
    dp_score scores[SAMPLES];
    ck_assert_uint_le(channels, 32);
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        dp_evaluation point = {r.reference, k, 100 + seed, 1};
        dp_derivative out = {false, scores, {mean, said}};
        ck_dp_ok(dp_engine_derivative(r.engine, &point, &out, &err));
        for (size_t c = 0; c < channels; c++) {
            first[c] += mean[c] / SEEDS;
            second[c] += mean[c] * mean[c] / SEEDS;
            sum[0] += said[c] / SEEDS;
        }
    }
    for (size_t c = 0; c < channels; c++)
        sum[1] += (second[c] - first[c] * first[c]) * SEEDS / (SEEDS - 1);
    /* samples differ too, which draws on the same samples do not show */
    ck_assert_msg(sum[0] > 0.8 * sum[1] && sum[0] < 3 * sum[1], "%g said, %g seen", sum[0], sum[1]);
    dp_free(k);
    dp_free(mean);
    dp_free(said);
    rig_close(&r);
}
END_TEST

/* Sum over channels of the variance of a derivative by two draws, over many, and its mean. */
static double spread(const rig *r, const double *k, uint32_t first_trial, double *mean) {
    enum { SEEDS = 60 };
    size_t channels = (size_t)dp_engine_channels(r->engine);
    double one[32], square = 0, sum = 0;
    dp_score scores[2 * SAMPLES];
    ck_assert_uint_le(channels, 32);
    for (size_t c = 0; c < channels; c++) mean[c] = 0;
    for (uint32_t seed = 0; seed < SEEDS; seed++) {
        dp_evaluation point = {r->reference, k, first_trial + 2 * seed, 2};
        dp_derivative out = {true, scores, {one, NULL}};
        ck_dp_ok(dp_engine_derivative(r->engine, &point, &out, &err));
        for (size_t c = 0; c < channels; c++) {
            mean[c] += one[c] / SEEDS;
            square += one[c] * one[c] / SEEDS;
        }
    }
    for (size_t c = 0; c < channels; c++) sum += mean[c] * mean[c];
    return square - sum;
}

/* Where noise is small, what a draw adds to the labels' cross-entropy is odd in it, and gone from the mean of a draw and its opposite. */
START_TEST(opposite_draws_leave_less_to_chance) {
    rig r;
    rig_make(&r, 0, _i, true);
    int64_t channels = dp_engine_channels(r.engine);
    double *k = mixed_precision(&r), mean[2][32], off = 0;
    for (int64_t c = 0; c < channels; c++) k[c] *= 1000;
    double apart = spread(&r, k, 100, mean[0]), opposite = spread(&r, k, DP_PAIRED_TRIALS, mean[1]);
    ck_assert_msg(opposite < 0.2 * apart, "%g of draws, %g of pairs", apart, opposite);
    for (int64_t c = 0; c < channels; c++) off += pow(mean[0][c] - mean[1][c], 2);
    /* of the means of 60: 2 of that variance, with room for chance */
    ck_assert_msg(off < 4 * apart / 60, "%g off, by chance %g", off, apart / 60);
    dp_free(k);
    rig_close(&r);
}
END_TEST

START_TEST(derivatives_are_the_same_at_any_number_of_threads) {
    double *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        rig r = {.hardware = hardware_of(3)};
        net_open(&r.n, 17);
        builders[_i](&r.n);
        r.data = net_dataset(&r.n, &(net_data){.samples = 90, .spread = 1, .seed = 5});
        rig_open(&r, &(dp_engine_options){.seed = 3, .threads = threads});
        double *k = rig_uniform(&r, 5), *d = rig_uniform(&r, 0);
        loss_at(&r, k, 2, false, d);
        if (first) {
            ck_assert_mem_eq(d, first, (size_t)dp_engine_channels(r.engine) * sizeof *d);
            dp_free(d);
        } else {
            first = d;
        }
        dp_free(k);
        rig_close(&r);
    }
    dp_free(first);
}
END_TEST

START_TEST(labels_are_asked_for) {
    rig r;
    rig_make(&r, 0, 0, false);
    dp_error err;
    dp_score scores[SAMPLES];
    double *k = rig_uniform(&r, 5), *d = rig_uniform(&r, 0);
    dp_evaluation point = {r.reference, k, 0, 1};
    dp_derivative out = {true, scores, {d, NULL}};
    ck_assert_int_eq(dp_engine_derivative(r.engine, &point, &out, &err), DP_EFORMAT);
    ck_assert_ptr_nonnull(strstr(err.text, "has no labels"));
    point.trials = 0;
    ck_assert_int_eq(dp_engine_derivative(r.engine, &point, &out, &err), DP_ERANGE);
    dp_free(k);
    dp_free(d);
    rig_close(&r);
}
END_TEST

Suite *test_derivative_suite(void) {
    Suite *suite = suite_create("derivative");
    TCase *tcase = tcase_create("derivative");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, derivatives_are_what_differences_say, 0, BUILDERS * SOURCES);
    tcase_add_loop_test(tcase, cross_entropy_has_its_own_derivative, 0, BUILDERS - 1);
    tcase_add_test(tcase, long_rows_are_drawn_again_as_they_were);
    tcase_add_loop_test(tcase, its_scores_are_those_of_an_evaluation, 0, 2 * (BUILDERS - 1));
    tcase_add_loop_test(tcase, picked_references_give_what_their_samples_give, 0, BUILDERS);
    tcase_add_loop_test(tcase, little_noise_is_a_sum_of_shares, 0, BUILDERS * SOURCES);
    tcase_add_loop_test(tcase, variances_are_the_spread_over_draws, 0, SOURCES);
    tcase_add_loop_test(tcase, opposite_draws_leave_less_to_chance, 0, SOURCES);
    tcase_add_loop_test(tcase, derivatives_are_the_same_at_any_number_of_threads, 0, BUILDERS);
    tcase_add_test(tcase, labels_are_asked_for);
    suite_add_tcase(suite, tcase);
    return suite;
}
