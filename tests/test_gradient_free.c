/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sensitivities that are measured, against those of the reverse pass, and learning where there is no reverse pass. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/gradient_free.h"
#include "net.h"
#include "scratch.h"
#include "suites.h"

enum { SAMPLES = 240, CLASSES = 5, WIDTH = 12 };

/* Three layers; with `step` an operator without derivative is before the last. */
static void build(net *n, const char *step, int64_t width) {
    net_open(n, 3);
    int x = net_input(n, "x", DP_F32, 2, NET_DIM(-1, 8));
    x = net_op(n, "Relu", NET_IN(net_linear(n, x, width, 8)), NULL);
    x = net_op(n, "Tanh", NET_IN(net_linear(n, x, WIDTH, width)), NULL);
    if (step) {
        int fine = net_weights(n, 1, NET_DIM(1), 0);
        ((float *)n->graph->values[fine].constant->data)[0] = 16;
        x = net_op(n, "Mul", NET_IN(x, fine), NULL);
        x = net_op(n, step, NET_IN(x), NULL);
        x = net_op(n, "Div", NET_IN(x, fine), NULL);
    }
    net_output(n, net_linear(n, x, CLASSES, WIDTH));
}

/* What learning has when it comes to sensitivities. */
typedef struct bench {
    net n;
    dp_hardware hardware;
    dp_dataset *data;
    dp_learn_options options;
    dp_search s;
} bench;

static void bench_open(bench *b, unsigned granularity, int64_t width) {
    memset(b, 0, sizeof *b);
    build(&b->n, NULL, width);
    b->hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){1});
    b->data = net_dataset(&b->n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 4});
    dp_learn_defaults(&b->options);
    b->options.granularity = granularity;
    dp_search *s = &b->s;
    s->options = &b->options;
    s->hardware = &b->hardware;
    dp_engine_options engine = {.seed = 5, .example = b->data};
    ck_dp_ok(dp_engine_create(&s->engine, b->n.graph, &b->hardware, &engine, &err));
    ck_dp_ok(dp_engine_survey(s->engine, b->data, &err));
    ck_dp_ok(dp_units_create(&s->units, s->engine, &b->hardware, &b->options, &err));
    s->learn = (dp_half){.data = b->data, .samples = SAMPLES};
    s->learn.scores = dp_alloc(SAMPLES, sizeof *s->learn.scores);
    ck_dp_ok(dp_engine_reference(&s->learn.reference, s->engine, b->data, &err));
    s->s = dp_alloc((size_t)s->units.channels, sizeof *s->s);
    s->repetitions = dp_alloc((size_t)s->units.channels, sizeof *s->repetitions);
}

static void bench_close(bench *b) {
    dp_search *s = &b->s;
    dp_reference_free(s->learn.reference);
    dp_free(s->learn.scores);
    dp_free(s->s);
    dp_free(s->repetitions);
    dp_units_clear(&s->units);
    dp_engine_free(s->engine);
    dp_dataset_free(b->data);
    net_close(&b->n);
}

START_TEST(infinite_repetitions_are_clean) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, WIDTH);
    for (int64_t c = 0; c < b.s.units.channels; c++) b.s.repetitions[c] = INFINITY;
    dp_evaluation e = {b.s.learn.reference, b.s.repetitions, 0, 1};
    ck_dp_ok(dp_engine_evaluate(b.s.engine, &e, b.s.learn.scores, &err));
    for (int i = 0; i < SAMPLES; i++) ck_assert_double_le(fabs(b.s.learn.scores[i].kl), 1e-12);
    bench_close(&b);
}
END_TEST

/*
 * Both are means over 240 samples of something like a chi-square with a few degrees of freedom: off by about
 * sqrt(2 / 240) = 9% each, 13% together. z = 4 of that and the fourth order of small noise: a factor of 1.6.
 */
START_TEST(small_noise_costs_what_the_curvature_says) {
    bench b;
    bench_open(&b, DP_GRAIN_LAYER, WIDTH);
    double curvature[2 * WIDTH + CLASSES];
    dp_evaluation point = {.reference = b.s.learn.reference, .trials = 1};
    ck_assert_int_eq(b.s.units.channels, 2 * WIDTH + CLASSES);
    ck_dp_ok(dp_engine_sensitivity(b.s.engine, &point, curvature, &err));
    ck_dp_ok(dp_gradient_free(&b.s, 1e-3, &err));
    double expected[3];
    dp_units_collect(&b.s.units, curvature);
    memcpy(expected, b.s.units.s, sizeof expected);
    dp_units_collect(&b.s.units, b.s.s);
    for (int i = 0; i < 3; i++) {
        ck_assert_double_gt(b.s.units.s[i], expected[i] / 1.6);
        ck_assert_double_lt(b.s.units.s[i], expected[i] * 1.6);
    }
    bench_close(&b);
}
END_TEST

START_TEST(channels_are_measured_one_by_one_and_add_up_to_their_layer) {
    bench layers, channels;
    bench_open(&layers, DP_GRAIN_LAYER, WIDTH);
    bench_open(&channels, DP_GRAIN_CHANNEL, WIDTH);
    ck_dp_ok(dp_gradient_free(&layers.s, 1e-3, &err));
    ck_dp_ok(dp_gradient_free(&channels.s, 1e-3, &err));
    for (int i = 0, c = 0; i < 3; i++) {
        double whole = 0, sum = 0, first = channels.s.s[c];
        int end = c + (i < 2 ? WIDTH : CLASSES), different = 0;
        for (; c < end; c++) {
            ck_assert_double_eq(layers.s.s[c], layers.s.s[end - 1]); /* in equal parts */
            different += channels.s.s[c] != first;
            whole += layers.s.s[c];
            sum += channels.s.s[c];
        }
        ck_assert_int_gt(different, 0);
        ck_assert_double_gt(sum, whole / 1.6);
        ck_assert_double_lt(sum, whole * 1.6);
    }
    bench_close(&layers);
    bench_close(&channels);
}
END_TEST

START_TEST(many_channels_share_what_their_layer_measured) {
    enum { WIDE = DP_MEASURED_UNITS };
    bench layers, channels;
    bench_open(&layers, DP_GRAIN_LAYER, WIDE);
    bench_open(&channels, DP_GRAIN_CHANNEL, WIDE);
    ck_assert_int_gt(channels.s.units.count, DP_MEASURED_UNITS);
    ck_dp_ok(dp_gradient_free(&layers.s, 1e-3, &err));
    ck_dp_ok(dp_gradient_free(&channels.s, 1e-3, &err));
    for (int64_t c = 0; c < channels.s.units.channels; c++)
        ck_assert_double_eq(channels.s.s[c], layers.s.s[c]);
    bench_close(&layers);
    bench_close(&channels);
}
END_TEST

static const struct {
    const char *step, *search, *learned_by;
    unsigned granularity;
} cases[] = {
    {NULL, NULL, "marginal", DP_GRAIN_LAYER},
    {NULL, "gradient-free", "gradient-free", DP_GRAIN_LAYER},
    {"Round", NULL, "gradient-free", DP_GRAIN_LAYER},
    {"Floor", NULL, "gradient-free", DP_GRAIN_CHANNEL},
    {"Round", "clean-point", "gradient-free", DP_GRAIN_CHANNEL},
    {"Round", "bfgs2", "gradient-free", DP_GRAIN_LAYER},
    {"Round", "adam", "gradient-free", DP_GRAIN_LAYER},
    {"Round", "simplex", "simplex", DP_GRAIN_CHANNEL},
    {"Floor", "anneal", "anneal", DP_GRAIN_LAYER},
};

START_TEST(networks_without_reverse_pass_are_learned) {
    net n;
    build(&n, cases[_i].step, WIDTH);
    dp_hardware hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){1});
    dp_dataset *data = net_dataset(&n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 4});
    dp_learn_options options;
    dp_learn_defaults(&options);
    options.max_loss = 0.1;
    options.trials = 1;
    options.search = cases[_i].search;
    options.granularity = cases[_i].granularity;
    dp_dataset *half[2];
    ck_dp_ok(dp_dataset_split(data, 0.5, 1, &half[0], &half[1], &err));
    dp_schedule schedule;
    ck_dp_ok(dp_learn(&schedule, n.graph, &hardware, (const dp_dataset *[]){half[0], half[1]},
                      &options, &err));
    ck_assert_str_eq(schedule.search, cases[_i].learned_by);
    if (cases[_i].step)
        ck_assert_msg(schedule.obstacle && strstr(schedule.obstacle, cases[_i].step), "%s",
                      schedule.obstacle ? schedule.obstacle : "nothing is in the way");
    else
        ck_assert_ptr_null(schedule.obstacle);
    ck_assert_double_le(schedule.learned.rise_upper, 0.1);
    ck_assert_double_le(schedule.learned.energy_j, schedule.uniform.energy_j);
    dp_schedule_clear(&schedule);
    dp_dataset_free(half[0]);
    dp_dataset_free(half[1]);
    dp_dataset_free(data);
    net_close(&n);
}
END_TEST

Suite *test_gradient_free_suite(void) {
    Suite *suite = suite_create("gradient_free");
    TCase *tests = tcase_create("gradient_free");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, infinite_repetitions_are_clean);
    tcase_add_test(tests, small_noise_costs_what_the_curvature_says);
    tcase_add_test(tests, channels_are_measured_one_by_one_and_add_up_to_their_layer);
    tcase_add_test(tests, many_channels_share_what_their_layer_measured);
    tcase_add_loop_test(tests, networks_without_reverse_pass_are_learned, 0,
                        sizeof cases / sizeof *cases);
    suite_add_tcase(suite, tests);
    return suite;
}
