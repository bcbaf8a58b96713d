/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Scores by their closed forms, and networks whose outputs are quantities from one end to the other. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "dynaprec/learn.h"
#include "dynaprec/npz.h"
#include "engine/score.h"
#include "net.h"
#include "scratch.h"
#include "suites.h"

/* ---- classes ---- */

/* Logits whose softmax is 1/2, 1/4, 1/4, and 1/4, 1/4, 1/2. */
static const float left[] = {0.69314718F, 0, 0}, right[] = {0, 0, 0.69314718F};

START_TEST(classes_score_by_their_closed_forms) {
    float clean[6], noisy[6];
    memcpy(clean, left, sizeof left);
    memcpy(clean + 3, left, sizeof left);
    memcpy(noisy, left, sizeof left);
    memcpy(noisy + 3, right, sizeof right);
    dp_prediction p = {noisy, clean, (const int64_t[]){0, 0}, 2, 3};
    dp_score score = dp_score_sample(&p);
    ck_assert_double_eq(score.rows, 2);
    ck_assert_double_eq(score.correct, 1);
    ck_assert_double_eq(score.agree, 1);
    ck_assert_double_eq(score.top5, 2);
    ck_assert_double_eq_tol(score.loss, log(2) + log(4), 1e-6);
    ck_assert_double_eq_tol(score.kl, log(2) / 4, 1e-6); /* 1/2 log 2 - 1/4 log 2 */
}
END_TEST

/* The answer that counts is the label's, or the clean prediction's; with several answers there is no one margin. */
START_TEST(margins_are_what_the_answer_is_above_the_best_other) {
    const float clean[] = {1, 4, 2, 0, 0, 0}, noisy[] = {3.5F, 3, -1, 0, 0, 0};
    dp_prediction p = {noisy, clean, (const int64_t[]){2, DP_IGNORED_LABEL}, 1, 3};
    ck_assert_double_eq(dp_score_sample(&p).margin, -4.5);
    p.rows = 2; /* of which one counts */
    ck_assert_double_eq(dp_score_sample(&p).margin, -4.5);
    p.labels = NULL;
    ck_assert(isnan(dp_score_sample(&p).margin));
    p.rows = 1;
    ck_assert_double_eq(dp_score_sample(&p).margin, -0.5);
    p.noisy = clean;
    ck_assert_double_eq(dp_score_sample(&p).margin, 2);
    p.classes = 1;
    ck_assert(isnan(dp_score_sample(&p).margin));
}
END_TEST

START_TEST(ignored_labels_do_not_count) {
    dp_prediction p = {left, right, (const int64_t[]){DP_IGNORED_LABEL}, 1, 3};
    dp_score score = dp_score_sample(&p);
    ck_assert_double_eq(score.rows + score.loss + score.kl + score.agree + score.top5, 0);
}
END_TEST

/* ---- quantities ---- */

START_TEST(quantities_score_by_mean_squares) {
    const float noisy[] = {1, 2, 3}, clean[] = {1, 4, 2}, targets[] = {0, 0, 0};
    dp_estimate e = {noisy, clean, targets, 3, 5};
    dp_score score = dp_score_estimate(&e);
    ck_assert_double_eq(score.rows, 1);
    ck_assert_double_eq_tol(score.loss, 14.0 / 3, 1e-12);
    ck_assert_double_eq_tol(score.kl, 5.0 / 3 / 5, 1e-12);
    ck_assert_double_eq(score.correct + score.top5 + score.agree, 0);
    e.targets = NULL;
    ck_assert_double_eq(dp_score_estimate(&e).loss, 0);
}
END_TEST

START_TEST(spread_is_the_mean_of_variances) {
    const float values[] = {1, 10, 3, 10, 5, 40}; /* variances 8/3 and 200 */
    ck_assert_double_eq_tol(dp_score_spread(values, 3, 2), (8.0 / 3 + 200) / 2, 1e-9);
    ck_assert_double_eq(dp_score_spread(values, 1, 6), 0);
}
END_TEST

enum { SAMPLES = 200, INPUTS = 6 };

/* Samples, with targets [SAMPLES, targets] unless 0. */
static dp_dataset *open_data(const net *n, int64_t targets) {
    dp_array arrays[2] = {{.name = (char[]){"x"}}, {.name = (char[]){"y"}}};
    dp_tensor *x = &arrays[0].tensor, *y = &arrays[1].tensor;
    uint64_t state = 9;
    dp_tensor_reshape(x, DP_F32, 2, NET_DIM(SAMPLES, INPUTS));
    dp_tensor_reshape(y, DP_F64, 2, NET_DIM(SAMPLES, targets));
    ck_dp_ok(dp_tensor_allocate(x, &err));
    ck_dp_ok(dp_tensor_allocate(y, &err));
    for (int64_t i = 0; i < SAMPLES * INPUTS; i++)
        ((float *)x->data)[i] = (float)net_normal(&state);
    for (int64_t i = 0; i < SAMPLES * targets; i++) ((double *)y->data)[i] = net_normal(&state);
    ck_dp_ok(dp_npz_write(scratch("regression.npz"), arrays, targets ? 2 : 1, &err));
    dp_input_spec spec;
    dp_engine_inputs(n->graph, &spec);
    dp_dataset *data;
    ck_dp_ok(dp_dataset_open(&data, scratch("regression.npz"), &spec, 1, NULL, &err));
    dp_tensor_clear(x);
    dp_tensor_clear(y);
    return data;
}

/* One layer, or two with a ReLU between. */
static void build(net *n, int layers, int64_t outputs) {
    net_open(n, 11);
    int x = net_input(n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    if (layers > 1) x = net_op(n, "Relu", NET_IN(net_linear(n, x, INPUTS, INPUTS)), NULL);
    net_output(n, net_linear(n, x, outputs, INPUTS));
}

/*
 * One layer with shot noise of n0 = 1: variance |W_c|^2 |x|^2 / D, so the mean squared error over outputs in parts of V is
 * known, and so is the sensitivity: signs squared are 1, and nothing is left to chance.
 */
START_TEST(one_layer_has_the_sensitivity_of_its_variance) {
    enum { OUTPUTS = 3 };
    net n;
    build(&n, 1, OUTPUTS);
    dp_dataset *data = open_data(&n, OUTPUTS);
    dp_hardware hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){1});
    dp_engine *engine;
    dp_engine_options options = {.seed = 2, .example = data};
    ck_dp_ok(dp_engine_create(&engine, n.graph, &hardware, &options, &err));
    ck_dp_ok(dp_engine_survey(engine, data, &err));
    dp_reference *reference;
    ck_dp_ok(dp_engine_reference(&reference, engine, data, &err));
    ck_assert(dp_reference_regression(reference));

    const dp_node *node = &n.graph->nodes[0];
    const float *w = n.graph->values[node->in[1]].constant->data;
    const float *b = n.graph->values[node->in[2]].constant->data;
    float x[SAMPLES * INPUTS], y[SAMPLES * OUTPUTS];
    dp_dataset_fill(data, 0, 0, SAMPLES, x);
    double x2 = 0;
    for (int i = 0; i < SAMPLES; i++) {
        double norm = 0, squares = 0;
        for (int d = 0; d < INPUTS; d++) norm += pow((double)x[i * INPUTS + d], 2);
        for (int c = 0; c < OUTPUTS; c++) {
            double sum = (double)b[c];
            for (int d = 0; d < INPUTS; d++)
                sum += (double)w[c * INPUTS + d] * (double)x[i * INPUTS + d];
            y[i * OUTPUTS + c] = (float)sum;
            squares += pow(sum - (double)dp_dataset_targets(data, i)[c], 2) / OUTPUTS;
        }
        ck_assert_double_eq_tol(dp_reference_scores(reference)[i].loss, squares, 1e-5);
        x2 += norm / SAMPLES;
    }
    double spread = dp_score_spread(y, SAMPLES, OUTPUTS), s[OUTPUTS];
    dp_evaluation point = {.reference = reference, .trials = 1};
    ck_dp_ok(dp_engine_sensitivity(engine, &point, s, &err));
    for (int c = 0; c < OUTPUTS; c++) {
        double w2 = 0;
        for (int d = 0; d < INPUTS; d++) w2 += pow((double)w[c * INPUTS + d], 2);
        double expected = w2 * x2 / INPUTS / (OUTPUTS * spread);
        ck_assert_double_eq_tol(s[c], expected, 1e-4 * expected);
    }

    /* K = 100, 5 draws of 200 samples: 600 outputs a draw, off by sqrt(2 / 3000) a sigma at best; z = 6 and room: 25% */
    double k[OUTPUTS] = {100, 100, 100}, sum = 0;
    dp_score scores[5 * SAMPLES];
    ck_dp_ok(dp_engine_evaluate(engine, &(dp_evaluation){reference, k, 0, 5}, scores, &err));
    for (int i = 0; i < 5 * SAMPLES; i++) sum += scores[i].kl / (5 * SAMPLES);
    ck_assert_double_eq_tol(sum, (s[0] + s[1] + s[2]) / 100, 0.25 * (s[0] + s[1] + s[2]) / 100);
    dp_reference_free(reference);
    dp_engine_free(engine);
    dp_dataset_free(data);
    net_close(&n);
}
END_TEST

static dp_status learn(dp_schedule *schedule, const net *n, const dp_learn_options *options,
                       dp_error *err) {
    const dp_hardware hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){1});
    dp_dataset *data = open_data(n, 2), *half[2];
    dp_status status = dp_dataset_split(data, 0.5, 1, &half[0], &half[1], err);
    if (status == DP_OK)
        status = dp_learn(schedule, n->graph, &hardware, (const dp_dataset *[]){half[0], half[1]},
                          options, err);
    dp_dataset_free(half[0]);
    dp_dataset_free(half[1]);
    dp_dataset_free(data);
    return status;
}

START_TEST(schedules_of_quantities_keep_their_error_within_the_budget) {
    net n;
    dp_schedule schedule;
    dp_learn_options options;
    dp_learn_defaults(&options);
    options.max_loss = 0.02;
    options.granularity = _i ? DP_GRAIN_CHANNEL : DP_GRAIN_LAYER;
    build(&n, 2, 2);
    ck_dp_ok(learn(&schedule, &n, &options, &err));
    ck_assert_str_eq(schedule.status, "accepted");
    ck_assert_double_le(schedule.learned.rise_upper, 0.02);
    ck_assert_double_gt(schedule.learned.kl.value, 0.002);
    ck_assert_double_eq(schedule.learned.kl.value, schedule.learned.rise);
    ck_assert_double_gt(schedule.learned.loss.value, 0); /* against the targets */
    ck_assert(isnan(schedule.learned.top1.value) && isnan(schedule.learned.agreement.value));
    ck_assert(isnan(schedule.learned.drop.value) && isnan(schedule.learned.drop_upper));
    ck_dp_ok(dp_schedule_write(&schedule, scratch("schedule.yaml"), &err));
    dp_schedule_clear(&schedule);
    ck_dp_ok(dp_schedule_read(&schedule, scratch("schedule.yaml"), &err));
    dp_schedule_clear(&schedule);
    net_close(&n);
}
END_TEST

START_TEST(what_quantities_do_not_have_is_refused) {
    net n;
    dp_schedule schedule;
    dp_learn_options options;
    dp_learn_defaults(&options);
    build(&n, 2, 2);
    options.max_drop = 5;
    ck_dp_fails(learn(&schedule, &n, &options, &err), DP_ERANGE, "no top-1");
    options.max_drop = NAN;
    options.max_loss = 0.1;
    options.objective = DP_OBJECTIVE_CROSS_ENTROPY;
    ck_dp_fails(learn(&schedule, &n, &options, &err), DP_EFORMAT, "cross-entropy");
    net_close(&n);
}
END_TEST

/* Without any target: an output of one number is a quantity, one of several are classes. */
START_TEST(single_numbers_are_quantities) {
    net n;
    build(&n, 1, _i);
    dp_dataset *data = open_data(&n, 0);
    dp_hardware hardware = net_hardware(NULL, NULL);
    dp_engine *engine;
    dp_reference *reference;
    dp_engine_options options = {.example = data};
    ck_dp_ok(dp_engine_create(&engine, n.graph, &hardware, &options, &err));
    ck_dp_ok(dp_engine_reference(&reference, engine, data, &err));
    ck_assert_int_eq(dp_reference_regression(reference), _i == 1);
    dp_reference_free(reference);
    dp_dataset_free(data);
    data = open_data(&n, 7);
    ck_dp_fails(dp_engine_reference(&reference, engine, data, &err), DP_EFORMAT,
                "targets 'y' are 7 real numbers a sample");
    dp_engine_free(engine);
    dp_dataset_free(data);
    net_close(&n);
}
END_TEST

Suite *test_score_suite(void) {
    Suite *suite = suite_create("score");
    TCase *tests = tcase_create("score");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, classes_score_by_their_closed_forms);
    tcase_add_test(tests, margins_are_what_the_answer_is_above_the_best_other);
    tcase_add_test(tests, ignored_labels_do_not_count);
    tcase_add_test(tests, quantities_score_by_mean_squares);
    tcase_add_test(tests, spread_is_the_mean_of_variances);
    tcase_add_test(tests, one_layer_has_the_sensitivity_of_its_variance);
    tcase_add_loop_test(tests, schedules_of_quantities_keep_their_error_within_the_budget, 0, 2);
    tcase_add_test(tests, what_quantities_do_not_have_is_refused);
    tcase_add_loop_test(tests, single_numbers_are_quantities, 1, 4);
    suite_add_tcase(suite, tests);
    return suite;
}
