/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "workbench.h"

#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "scratch.h"
#include "suites.h"

const double site_macs[SITES] = {16 * 24, 24 * 24, 24 * 24, 24 * CLASSES};

static const char *const sources[][2] = {{"shot"}, {"thermal"}, {"weight"}};
static const double strengths[] = {1, 0.01, 0.05};

double all_macs(void) {
    double macs = 0;
    for (int i = 0; i < SITES; i++) macs += site_macs[i];
    return macs;
}

/* A perceptron of four layers; inputs of spread 3 make it about as sure of itself as trained ones are. */
void bench_open_with(bench *b, int source, bool labels, int64_t samples) {
    *b = (bench){.hardware = net_hardware(sources[source], &strengths[source])};
    net *n = &b->n;
    net_open(n, 31);
    int x = net_input(n, "x", DP_F32, 2, NET_DIM(-1, 16));
    x = net_op(n, "Relu", NET_IN(net_linear(n, x, 24, 16)), NULL);
    x = net_op(n, "Relu", NET_IN(net_linear(n, x, 24, 24)), NULL);
    x = net_op(n, "Relu", NET_IN(net_linear(n, x, 24, 24)), NULL);
    net_output(n, net_linear(n, x, CLASSES, 24));
    net_data what = {
        .samples = samples, .spread = 6, .labels = labels, .classes = CLASSES, .seed = 9};
    b->data = net_dataset(n, &what);
    ck_dp_ok(dp_dataset_split(b->data, 0.5, 1, &b->half[0], &b->half[1], &err));
    dp_learn_defaults(&b->options);
    b->options.max_drop = 5;
    b->options.goal = "a test";
}

void bench_open(bench *b, int source, bool labels) {
    bench_open_with(b, source, labels, 700);
}

void bench_close(bench *b) {
    for (int h = 0; h < 2; h++) dp_dataset_free(b->half[h]);
    dp_dataset_free(b->data);
    net_close(&b->n);
}

dp_status learn(const bench *b, dp_schedule *s, dp_error *err) {
    return dp_learn(s, b->n.graph, &b->hardware, (const dp_dataset *const *)b->half, &b->options,
                    err);
}

char *text_of(const dp_schedule *s, size_t *size) {
    const char *path = scratch("schedule.yaml");
    ck_dp_ok(dp_schedule_write(s, path, &err));
    return read_whole(path, size);
}

static double mean_of(const dp_layer *layer, int width) {
    double sum = 0;
    for (int c = 0; c < layer->channels; c++) sum += layer->repetitions[c / width];
    return sum / layer->channels;
}

static double most_of(const dp_layer *layer, int width) {
    double most = 0;
    for (int c = 0; c < layer->channels; c++) most = fmax(most, layer->repetitions[c / width]);
    return most;
}

/* What a layer says of itself, from its repetitions; where channels differ, between the least and the most of them. */
static void check_account(const bench *b, const dp_layer *layer, int width) {
    const dp_hardware *h = &b->hardware;
    double least = INFINITY, most = 0;
    int at_min = 0, at_max = 0;
    for (int u = 0; u < layer->count; u++) {
        double k = layer->repetitions[u];
        least = fmin(least, k);
        most = fmax(most, k);
        at_min += !layer->fixed && k == h->repetitions_min;
        at_max += !layer->fixed && k == h->repetitions_max;
    }
    ck_assert_double_ge(layer->loss, layer->sensitivity / most * (1 - 1e-12));
    ck_assert_double_le(layer->loss, layer->sensitivity / least * (1 + 1e-12));
    double energy = 1e-18 * layer->macs * mean_of(layer, width);
    ck_assert_double_eq_tol(layer->loss_per_j * energy / layer->loss, 1, 1e-12);
    ck_assert_int_eq(layer->at_min, at_min);
    ck_assert_int_eq(layer->at_max, at_max);
}

/* Uniform precision was not rounded by this, nor measured what was interrupted; on this hardware all energy is for repetitions. */
static void check_rounding(const bench *b, const dp_schedule *s) {
    if (isnan(s->rounding.gap)) {
        ck_assert(!strcmp(s->status, "uniform") || !strcmp(s->status, "interrupted"));
        return;
    }
    bool loss = !isnan(b->options.max_drop) || !isnan(b->options.max_loss);
    double predicted = 0;
    for (int i = 0; i < s->n_layers; i++) predicted += s->layers[i].loss;
    ck_assert(s->rounding.of_loss != loss);
    ck_assert(s->rounding.bound > 0 && s->rounding.bound <= s->rounding.value * (1 + 1e-9));
    ck_assert_double_eq_tol(s->rounding.gap, s->rounding.value / s->rounding.bound - 1, 1e-9);
    if (loss) ck_assert_double_eq_tol(s->rounding.value / s->learned.energy_j, 1, 1e-9);
    if (!loss) ck_assert_double_eq_tol(s->rounding.value / predicted, 1, 0.05); /* a floor of s */
}

void check_layers(const bench *b, const dp_schedule *s, int width) {
    double energy = 0, macs = 0, time = 0;
    ck_assert_int_eq(s->n_layers, SITES);
    for (int i = 0; i < SITES; i++) {
        const dp_layer *layer = &s->layers[i];
        int channels = i < SITES - 1 ? 24 : CLASSES, own = width < channels ? width : channels;
        ck_assert_int_eq(layer->index, i);
        ck_assert_str_eq(layer->op, "Gemm");
        ck_assert_int_eq(layer->channels, channels);
        ck_assert_int_eq(layer->count, (channels + own - 1) / own);
        ck_assert_double_eq(layer->macs, site_macs[i]);
        for (int u = 0; u < layer->count; u++) {
            double k = layer->repetitions[u];
            ck_assert_msg(k >= b->hardware.repetitions_min && k <= b->hardware.repetitions_max,
                          "K = %g", k);
            if (b->hardware.levels != DP_LEVELS_CONTINUOUS) ck_assert_double_eq(k, rint(k));
            if (b->hardware.levels == DP_LEVELS_POWER_OF_TWO)
                ck_assert_double_eq(log2(k), rint(log2(k)));
        }
        double k = mean_of(layer, own);
        ck_assert_double_eq_tol(layer->energy_j / (1e-18 * layer->macs * k), 1, 1e-12);
        ck_assert(layer->enob > 0 && isfinite(layer->enob));
        ck_assert(layer->sensitivity > 0 && isfinite(layer->sensitivity));
        check_account(b, layer, own);
        energy += layer->energy_j;
        macs += layer->macs;
        time += most_of(layer, own); /* one product a sample, all channels at once */
    }
    ck_assert_double_eq_tol(s->learned.energy_j / energy, 1, 1e-12);
    ck_assert_double_eq_tol(s->learned.energy_per_mac_aj / (1e18 * energy / macs), 1, 1e-12);
    ck_assert_double_eq_tol(s->learned.latency_x / (time / SITES), 1, 1e-12);
    check_rounding(b, s);
}

void check_budget(const bench *b, const dp_schedule *s) {
    const dp_learn_options *o = &b->options;
    if (!isnan(o->max_drop)) ck_assert_double_le(s->learned.drop_upper, o->max_drop);
    if (!isnan(o->max_loss)) ck_assert_double_le(s->learned.rise_upper, o->max_loss);
    ck_assert_double_le(s->learned.energy_j, s->uniform.energy_j);
    ck_assert_double_eq_tol(s->saving.value, 1 - s->learned.energy_j / s->uniform.energy_j, 1e-12);
    if (!isnan(s->saving.lower)) ck_assert_double_le(s->saving.lower, s->saving.value);
    if (!isnan(s->saving.upper)) ck_assert_double_ge(s->saving.upper, s->saving.value);
    bool same = strcmp(s->status, "uniform") == 0;
    ck_assert_msg(same || strcmp(s->status, "accepted") == 0, "%s", s->status);
    ck_assert_int_eq(s->learn_count + s->check_count, dp_dataset_count(b->data));
    ck_assert_int_ge(s->checks, 2);
}

void check_again(const bench *b, const dp_schedule *s) {
    dp_engine *engine = NULL;
    dp_graph *graph = NULL;
    dp_measure m[2];
    dp_learn_options o = b->options;
    o.trials = 20 * o.trials;
    dp_engine_options options = {.seed = 4711, .example = b->data};
    ck_dp_ok(dp_graph_condition(&graph, b->n.graph, &s->conditioning, &err));
    ck_dp_ok(dp_engine_create(&engine, graph, &b->hardware, &options, &err));
    ck_dp_ok(dp_engine_survey(engine, b->half[0], &err));
    double *k = dp_alloc((size_t)dp_engine_channels(engine), sizeof *k);
    ck_dp_ok(dp_schedule_apply(s, engine, k, &err));
    ck_dp_ok(dp_measure_precisions(m, engine, b->half[1], (const double *const[]){k}, 1, &o, &err));
    ck_assert_double_eq_tol(m[1].energy_j / s->learned.energy_j, 1, 1e-12);
    if (!isnan(o.max_drop)) ck_assert_double_le(m[1].drop.value, o.max_drop);
    if (!isnan(o.max_loss)) ck_assert_double_le(m[1].rise, o.max_loss);
    ck_assert_double_eq_tol(m[0].agreement.value, 1, 1e-12);
    dp_free(k);
    dp_engine_free(engine);
    dp_graph_free(graph);
}
