/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sensitivities against their definition, s = 1/2 E[sum over outputs of g^2 v] with E[g g'] the curvature of the loss at the
 * network's own prediction. The oracle is a convolution, tanh and a linear layer worked out by hand in double, for all sign
 * vectors of the seed, so that mean and variance of what the engine draws are known exactly.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "oracle.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

static const double z = 6;

enum { INPUTS = 2, CHANNELS = 3, CLASSES = 4, SIDE = 5, INNER = 3, HIDDEN = 27, SEEDS = 16 };
enum { SAMPLES = 400, TRIALS = 12, UNITS = CHANNELS + CLASSES };

static const char *const sources[][2] = {{"shot"}, {"thermal"}, {"weight"}};
static const double strengths[] = {4, 0.02, 0.05};
static const char *const all_sources[] = {"shot", "thermal", "weight", NULL};

typedef struct oracle {
    oracle_conv g;
    float *x;
    const float *w[2], *b[2]; /* of the convolution and the linear layer */
    double w_range[UNITS], w_norm2[UNITS], x_range[2];
    double mean[UNITS],
        variance[UNITS]; /* of one sample's and one seed's s, over both; variance within samples */
} oracle;

static void build(rig *r) {
    net *n = &r->n;
    net_open(n, 11);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, INPUTS, SIDE, SIDE));
    x = net_conv(n, x, NET_DIM(CHANNELS, INPUTS, 3, 3), NULL);
    x = net_op(n, "Flatten", NET_IN(net_op(n, "Tanh", NET_IN(x), NULL)), NULL);
    net_output(n, net_linear(n, x, CLASSES, HIDDEN));
    r->data = net_dataset(n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 2});
}

static void take_row(const float *row, int64_t depth, double *range, double *norm2) {
    double low = 0, high = 0;
    *norm2 = 0;
    for (int64_t d = 0; d < depth; d++) {
        double v = (double)row[d];
        low = fmin(low, v);
        high = fmax(high, v);
        *norm2 += v * v;
    }
    *range = high - low;
}

static void oracle_open(oracle *o, const rig *r) {
    const dp_graph *graph = r->n.graph;
    const dp_node *nodes[] = {&graph->nodes[0], &graph->nodes[graph->n_nodes - 1]};
    memset(o, 0, sizeof *o);
    o->g = (oracle_conv){SAMPLES, INPUTS, CHANNELS, 1,   {SIDE, SIDE}, {3, 3},
                         {1, 1},  {1, 1}, {0},      {0}, {0}};
    oracle_conv_place(&o->g, "NOTSET");
    for (int k = 0; k < 2; k++) {
        o->w[k] = graph->values[nodes[k]->in[1]].constant->data;
        o->b[k] = graph->values[nodes[k]->in[2]].constant->data;
    }
    for (int u = 0; u < UNITS; u++) {
        int64_t depth = u < CHANNELS ? INPUTS * 9 : HIDDEN;
        const float *row = u < CHANNELS ? o->w[0] + u * depth : o->w[1] + (u - CHANNELS) * depth;
        take_row(row, depth, &o->w_range[u], &o->w_norm2[u]);
    }
    o->x = oracle_randoms(0, SAMPLES * INPUTS * SIDE * SIDE);
    dp_dataset_fill(r->data, 0, 0, SAMPLES, o->x);
    double unused;
    take_row(o->x, SAMPLES * INPUTS * SIDE * SIDE, &o->x_range[0], &unused);
}

/* One sample, forward. */
typedef struct forward {
    int64_t sample;
    double patch2[INNER * INNER], hidden[HIDDEN], slope[HIDDEN], hidden2, p[CLASSES];
} forward;

static void run_forward(const oracle *o, int64_t sample, forward *f) {
    double logits[CLASSES], total = 0;
    f->sample = sample;
    f->hidden2 = 0;
    for (int i = 0; i < HIDDEN; i++) {
        int64_t at[4] = {sample, i / 9, i / 3 % 3, i % 3};
        f->hidden[i] = tanh(oracle_conv_at(&o->g, o->x, o->w[0], o->b[0], at).value);
        f->slope[i] = 1 - f->hidden[i] * f->hidden[i];
        f->hidden2 += f->hidden[i] * f->hidden[i];
        if (i < 9) f->patch2[i] = oracle_conv_norm(&o->g, o->x, at);
    }
    for (int c = 0; c < CLASSES; c++) {
        logits[c] = (double)o->b[1][c];
        for (int i = 0; i < HIDDEN; i++)
            logits[c] += (double)o->w[1][c * HIDDEN + i] * f->hidden[i];
        total += exp(logits[c]);
    }
    for (int c = 0; c < CLASSES; c++) f->p[c] = exp(logits[c]) / total;
}

/* 1/2 sum over outputs of g^2 v for one seed; what: bit k: source k. */
static void share_of_seed(const oracle *o, const forward *f, const double seed[CLASSES],
                          unsigned what, double s[UNITS]) {
    float gradient[HIDDEN] = {0};
    double shot = 1 / strengths[0], thermal = strengths[1], weight = strengths[2];
    for (int i = 0; i < HIDDEN; i++) {
        double g = 0;
        for (int c = 0; c < CLASSES; c++) g += seed[c] * (double)o->w[1][c * HIDDEN + i];
        gradient[i] = (float)(g * f->slope[i]);
    }
    memset(s, 0, UNITS * sizeof *s);
    for (int u = 0; u < UNITS; u++) {
        bool conv = u < CHANNELS;
        double depth = conv ? INPUTS * 9 : HIDDEN, weights2 = 0;
        double additive = depth * pow(thermal * o->w_range[u] * o->x_range[conv ? 0 : 1], 2);
        for (int p = 0; p < (conv ? 9 : 1); p++) {
            double g = conv ? (double)gradient[u * 9 + p] : seed[u - CHANNELS];
            double norms = o->w_norm2[u] * (conv ? f->patch2[p] : f->hidden2);
            if (what & 1) s[u] += 0.5 * g * g * shot * norms / depth;
            if (what & 2) s[u] += 0.5 * g * g * additive;
            if (!conv) weights2 = g * g * f->hidden2;
        }
        for (int64_t d = 0; conv && d < INPUTS * 9; d++) {
            int64_t at[4] = {0, d / 9, d / 3 % 3, d % 3};
            oracle_conv one = o->g;
            one.images = one.out_channels = 1;
            const float *x = o->x + f->sample * INPUTS * SIDE * SIDE;
            weights2 +=
                pow(oracle_conv_weight(&one, x, gradient + u * 9, NET_DIM(0, 1), at).value, 2);
        }
        if (what & 4) s[u] += 0.5 * weights2 * pow(weight * o->w_range[u], 2);
    }
}

/* Source: docs/methods.md, "Sensitivity": seed sqrt(p) z - p (sqrt(p)' z), all 2^4 sign vectors z alike. */
static void average_seeds(oracle *o, unsigned what) {
    for (int64_t sample = 0; sample < SAMPLES; sample++) {
        forward f;
        double first[UNITS] = {0}, second[UNITS] = {0};
        run_forward(o, sample, &f);
        for (int signs = 0; signs < SEEDS; signs++) {
            double seed[CLASSES], dot = 0, s[UNITS];
            for (int c = 0; c < CLASSES; c++) dot += sqrt(f.p[c]) * (signs >> c & 1 ? 1 : -1);
            for (int c = 0; c < CLASSES; c++)
                seed[c] = sqrt(f.p[c]) * (signs >> c & 1 ? 1 : -1) - f.p[c] * dot;
            share_of_seed(o, &f, seed, what, s);
            for (int u = 0; u < UNITS; u++) {
                first[u] += s[u] / SEEDS;
                second[u] += s[u] * s[u] / SEEDS;
            }
        }
        for (int u = 0; u < UNITS; u++) {
            o->mean[u] += first[u] / SAMPLES;
            o->variance[u] += (second[u] - first[u] * first[u]) / SAMPLES;
        }
    }
}

/* The range of the hidden layer, as the survey sees it. */
static void take_hidden_range(oracle *o) {
    double low = 0, high = 0;
    for (int64_t sample = 0; sample < SAMPLES; sample++) {
        forward f;
        run_forward(o, sample, &f);
        for (int i = 0; i < HIDDEN; i++) {
            low = fmin(low, f.hidden[i]);
            high = fmax(high, f.hidden[i]);
        }
    }
    o->x_range[1] = high - low;
}

static double *mean_sensitivity(rig *r, const double *repetitions, int trials) {
    int64_t channels = dp_engine_channels(r->engine);
    double *sum = dp_alloc((size_t)channels, sizeof *sum), *s = rig_uniform(r, 0);
    for (int t = 0; t < trials; t++) {
        dp_evaluation point = {r->reference, repetitions, (uint32_t)t, 1};
        ck_dp_ok(dp_engine_sensitivity(r->engine, &point, s, &err));
        for (int64_t c = 0; c < channels; c++) sum[c] += s[c] / trials;
    }
    dp_free(s);
    return sum;
}

START_TEST(sensitivities_are_their_definition) {
    rig r = {.hardware = net_hardware(_i < 3 ? sources[_i] : all_sources,
                                      _i < 3 ? &strengths[_i] : strengths)};
    build(&r);
    rig_open(&r, NULL);
    oracle o;
    oracle_open(&o, &r);
    take_hidden_range(&o);
    average_seeds(&o, _i < 3 ? 1U << _i : 7);
    ck_assert_int_eq(dp_engine_channels(r.engine), UNITS);
    double *s = mean_sensitivity(&r, NULL, TRIALS);
    for (int u = 0; u < UNITS; u++) {
        double bound = z * sqrt(o.variance[u] / (SAMPLES * TRIALS)) + 1e-4 * o.mean[u];
        ck_assert_msg(fabs(s[u] - o.mean[u]) <= bound && bound < 0.12 * o.mean[u],
                      "unit %d: %g, not %g +- %g", u, s[u], o.mean[u], bound);
    }
    dp_free(o.x);
    dp_free(s);
    rig_close(&r);
}
END_TEST

/* ---- prediction against measurement ---- */

/* Two convolutions with a residual sum, pooling and a linear layer; or tokens with attention. */
static void build_network(rig *r, bool tokens) {
    net *n = &r->n;
    dp_attr pad[] = {OP_INTS("pads", 1, 1, 1, 1), {0}};
    net_open(n, 21);
    if (!tokens) {
        int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 3, 6, 6));
        int a = net_op(n, "Tanh", NET_IN(net_conv(n, x, NET_DIM(6, 3, 3, 3), pad)), NULL);
        int b = net_op(n, "Relu",
                       NET_IN(net_conv(n, a, NET_DIM(6, 1, 3, 3),
                                       (dp_attr[]){pad[0], OP_INT("group", 6), {0}})),
                       NULL);
        int sum = net_op(n, "Add", NET_IN(a, b), NULL);
        int pooled = net_op(n, "GlobalAveragePool", NET_IN(sum), NULL);
        int flat = net_op(n, "Flatten", NET_IN(pooled), NULL);
        net_output(n, net_linear(n, flat, 5, 6));
        return;
    }
    int x = net_input(n, "x", DP_F32, 3, NET_DIM(-1, 7, 8));
    int q = net_matmul(n, x, 6, 8), k = net_matmul(n, x, 6, 8), v = net_matmul(n, x, 6, 8);
    int keys = net_op(n, "Transpose", NET_IN(k), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
    int scores = net_op(n, "MatMul", NET_IN(q, keys), NULL);
    scores = net_op(n, "Softmax", NET_IN(scores), (dp_attr[]){OP_INT("axis", -1), {0}});
    int mixed = net_op(n, "MatMul", NET_IN(scores, v), NULL);
    net_output(n, net_matmul(n, mixed, 5, 6));
}

/*
 * Noise that raises the loss by a hundredth of a nat or so, where second order holds to a few per cent. A sample's divergence
 * spreads about as much as its mean: 200 samples of 40 trials leave 1.1%, times z; the sensitivities' own error is of the
 * same size. Samples run one by one, so that errors of weights are independent too.
 */
START_TEST(predictions_match_measured_divergence) {
    enum { COUNT = 200, EVALUATIONS = 40 };
    bool tokens = _i / 4;
    int source = _i % 4;
    rig r = {.hardware = net_hardware(source < 3 ? sources[source] : all_sources,
                                      source < 3 ? &strengths[source] : strengths)};
    r.hardware.levels = DP_LEVELS_CONTINUOUS;
    build_network(&r, tokens);
    r.data = net_dataset(&r.n, &(net_data){.samples = COUNT, .spread = 1, .seed = 4});
    rig_open(&r, &(dp_engine_options){.seed = 1, .batch = 1});
    double *s = mean_sensitivity(&r, NULL, TRIALS), total = 0;
    for (int64_t c = 0; c < dp_engine_channels(r.engine); c++) total += s[c];
    double *k = rig_uniform(&r, total / 0.003), predicted = 0;
    for (int64_t c = 0; c < dp_engine_channels(r.engine); c++) {
        k[c] *= 0.5 + (double)(c % 3);
        predicted += s[c] / k[c];
    }
    dp_score mean = rig_score(&r, k, 0, EVALUATIONS);
    double measured = mean.kl / mean.rows;
    ck_assert_msg(fabs(measured / predicted - 1) < 0.1, "%g measured, %g predicted", measured,
                  predicted);
    dp_free(k);
    dp_free(s);
    rig_close(&r);
}
END_TEST

/* Positions without a label count in neither; those that count weigh the same, however many a sample has. */
START_TEST(ignored_positions_count_in_neither) {
    enum { COUNT = 300, ROWS = 6 };
    static const char *const shot[] = {"shot", NULL};
    rig r = {.hardware = net_hardware(shot, (double[]){1})};
    net_open(&r.n, 21);
    int x = net_input(&r.n, "x", DP_F32, 3, NET_DIM(-1, ROWS, 8));
    net_output(&r.n, net_matmul(&r.n, x, 5, 8));
    r.data = net_dataset(
        &r.n, &(net_data){.samples = COUNT, .spread = 1, .labels = ROWS, .classes = 5, .seed = 4});
    for (int64_t i = 0; i < COUNT; i++) { /* rows 0 .. i % ROWS count; short samples are loud */
        float *x_i = (float *)r.data->store->inputs[0].array.data + i * ROWS * 8;
        for (int d = 0; d < ROWS * 8; d++) x_i[d] *= i % ROWS ? 0.3F : 2;
        int64_t *labels = (int64_t *)(uintptr_t)dp_dataset_labels(r.data, i);
        for (int64_t t = i % ROWS + 1; t < ROWS; t++) labels[t] = -100;
    }
    rig_open(&r, NULL);
    double *s = mean_sensitivity(&r, NULL, TRIALS), predicted = 0, *k = rig_uniform(&r, 50);
    for (int64_t c = 0; c < dp_engine_channels(r.engine); c++) predicted += s[c] / k[c];
    dp_score mean = rig_score(&r, k, 0, 40);
    ck_assert_msg(fabs(mean.rows - 3.5) < 1e-9, "%g positions count", mean.rows);
    ck_assert_msg(fabs(mean.kl / mean.rows / predicted - 1) < 0.08, "%g measured, %g predicted",
                  mean.kl / mean.rows, predicted);
    dp_free(k);
    dp_free(s);
    rig_close(&r);
}
END_TEST

/* ---- what they do not depend on ---- */

START_TEST(sensitivities_are_the_same_at_any_number_of_threads) {
    double *first = NULL;
    for (int threads = 1; threads <= 3; threads++) {
        rig r = {.hardware = net_hardware(all_sources, strengths)};
        build_network(&r, _i % 2);
        r.data = net_dataset(&r.n, &(net_data){.samples = 150, .spread = 1, .seed = 4});
        rig_open(&r, &(dp_engine_options){.seed = 1, .threads = threads});
        int64_t channels = dp_engine_channels(r.engine);
        double *k = rig_uniform(&r, 3), *s = rig_uniform(&r, 0);
        dp_evaluation point = {r.reference, _i / 2 ? k : NULL, 3, 1};
        ck_dp_ok(dp_engine_sensitivity(r.engine, &point, s, &err));
        if (first) ck_assert_mem_eq(s, first, (size_t)channels * sizeof *s);
        if (first) dp_free(s);
        if (!first) first = s;
        dp_free(k);
        rig_close(&r);
    }
    dp_free(first);
}
END_TEST

/* Sensitivities at a point of little noise are those at the clean one; at one of much noise they are others. */
START_TEST(the_operating_point_counts) {
    static const char *const shot[] = {"shot", NULL};
    rig r = {.hardware = net_hardware(shot, (double[]){1})};
    build_network(&r, false);
    r.data = net_dataset(&r.n, &(net_data){.samples = 100, .spread = 1, .seed = 4});
    rig_open(&r, NULL);
    double *quiet = rig_uniform(&r, 1e10), *loud = rig_uniform(&r, 1);
    double *clean = mean_sensitivity(&r, NULL, 1), *near = mean_sensitivity(&r, quiet, 1);
    double *far = mean_sensitivity(&r, loud, 1);
    for (int64_t c = 0; c < dp_engine_channels(r.engine); c++) {
        ck_assert(fabs(near[c] / clean[c] - 1) < 1e-3);
        ck_assert(clean[c] > 0 && fabs(far[c] / clean[c] - 1) > 1e-3);
    }
    double *blocks[] = {quiet, loud, clean, near, far};
    for (int i = 0; i < 5; i++) dp_free(blocks[i]);
    rig_close(&r);
}
END_TEST

Suite *test_sensitivity_suite(void) {
    Suite *suite = suite_create("sensitivity");
    TCase *tcase = tcase_create("sensitivity");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, sensitivities_are_their_definition, 0, 4);
    tcase_add_loop_test(tcase, predictions_match_measured_divergence, 0, 8);
    tcase_add_test(tcase, ignored_positions_count_in_neither);
    tcase_add_loop_test(tcase, sensitivities_are_the_same_at_any_number_of_threads, 0, 4);
    tcase_add_test(tcase, the_operating_point_counts);
    suite_add_tcase(suite, tcase);
    return suite;
}
