/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plant.h"

#include <check.h>
#include <math.h>

#include "base/alloc.h"
#include "suites.h"

const struct plant plants[PLANTS] = {
    {"conv", CONV, {2, 5, 64, 1, {3, 4}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}},
    {"conv, stride, pads",
     CONV,
     {3, 3, 64, 1, {7, 5}, {3, 4}, {2, 1}, {1, 1}, {2, 0}, {0, 3}, {0}}},
    {"conv, groups", CONV, {2, 6, 64, 2, {4, 3}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}},
    {"conv, depthwise", CONV, {2, 64, 64, 64, {4, 3}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}}},
    {"conv, pointwise", CONV, {2, 5, 64, 1, {3, 4}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}},
    {"MatMul, weights right", ROWS, {2, 9, 80, 1, {5, 1}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}},
    {"Gemm", GEMM, {6, 12, 80, 1, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}},
    {"MatMul, weights left", COLUMNS, {2, 9, 80, 1, {5, 1}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}},
    {"attention", PRODUCT, {3, 8, 6, 1, {7, 2}, {1, 1}, {1, 1}, {1, 1}, {0}, {0}, {0}}},
};

static const char *const source_names[SOURCES][4] = {
    {"shot"}, {"thermal"}, {"weight"}, {"weight", "shot", "thermal"}};
static const double source_values[SOURCES][3] = {{2}, {0.02}, {0.05}, {0.05, 2, 0.02}};

static int build_conv(net *n, oracle_conv *g) {
    oracle_conv_place(g, "NOTSET");
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, g->channels, g->in[0], g->in[1]));
    dp_attr attrs[] = {OP_INTS("strides", g->stride[0], g->stride[1]),
                       OP_INT("group", g->groups),
                       OP_INTS("pads", g->pad[0], g->pad[1], g->end[0], g->end[1]),
                       {0}};
    return net_conv(
        n, x, NET_DIM(g->out_channels, g->channels / g->groups, g->kernel[0], g->kernel[1]), attrs);
}

static int build_product(net *n, const struct plant *p) {
    int64_t rows = p->g.in[0], depth = p->g.channels, channels = p->g.out_channels;
    if (p->shape == GEMM)
        return net_linear(n, net_input(n, "x", DP_F32, 2, NET_DIM(-1, depth)), channels, depth);
    if (p->shape == ROWS)
        return net_matmul(n, net_input(n, "x", DP_F32, 3, NET_DIM(-1, rows, depth)), channels,
                          depth);
    if (p->shape == COLUMNS) {
        int x = net_input(n, "x", DP_F32, 3, NET_DIM(-1, depth, rows));
        int w = net_weights(n, 2, NET_DIM(channels, depth), 0.5F);
        return net_op(n, "MatMul", NET_IN(w, x), NULL);
    }
    int q = net_input(n, "q", DP_F32, 4, NET_DIM(-1, p->g.in[1], rows, depth));
    int k = net_input(n, "k", DP_F32, 4, NET_DIM(-1, p->g.in[1], depth, channels));
    return net_op(n, "MatMul", NET_IN(q, k), NULL);
}

/* Source: [Jacob 2018]; zero is a level. The step is a float, so that ties fall alike. */
static float quantised(float value, double low, double high, int bits) {
    if (bits == 0) return value;
    float step = (float)((high - low) / ((1 << bits) - 1));
    double lowest = -rint(-low / (double)step), highest = lowest + (1 << bits) - 1;
    return (float)fmin(fmax((double)rintf(value / step), lowest), highest) * step;
}

static void range_of(const float *values, int64_t count, int64_t stride, double range[2]) {
    range[0] = range[1] = 0;
    for (int64_t i = 0; i < count; i++) {
        range[0] = fmin(range[0], (double)values[i * stride]);
        range[1] = fmax(range[1], (double)values[i * stride]);
    }
}

static void take_input(fixture *f, int k) {
    dp_tensor t = {0};
    double range[2];
    dp_dataset_shape(f->r.data, k, f->r.samples, &t);
    int64_t count = dp_tensor_count(&t);
    f->x[k] = oracle_randoms(0, count);
    dp_dataset_fill(f->r.data, k, 0, f->r.samples, f->x[k]);
    range_of(f->x[k], count, 1, range);
    f->x_range[k] = range[1] - range[0];
    for (int64_t i = 0; i < count; i++)
        f->x[k][i] = quantised(f->x[k][i], range[0], range[1], f->r.hardware.input_bits);
}

/* Weights, by rows whatever their layout: w[channel, depth]. */
static void take_weights(fixture *f) {
    const dp_graph *graph = f->r.n.graph;
    const dp_node *node = &graph->nodes[graph->n_nodes - 1];
    bool left = f->from->shape == COLUMNS, columns = f->from->shape == ROWS;
    const float *stored = graph->values[node->in[left ? 0 : 1]].constant->data;
    int64_t depth = dp_engine_site(f->r.engine, 0)->depth;
    f->w = oracle_randoms(0, f->channels * depth);
    f->w_range = dp_alloc((size_t)f->channels, sizeof(double));
    f->w_norm2 = dp_alloc((size_t)f->channels, sizeof(double));
    for (int64_t c = 0; c < f->channels; c++) {
        const float *row = stored + (columns ? c : c * depth);
        double range[2];
        range_of(row, depth, columns ? f->channels : 1, range);
        f->w_range[c] = range[1] - range[0];
        for (int64_t d = 0; d < depth; d++) {
            float *w = &f->w[c * depth + d];
            *w = quantised(row[columns ? d * f->channels : d], range[0], range[1],
                           f->r.hardware.weight_bits);
            f->w_norm2[c] += (double)*w * (double)*w;
        }
    }
}

void fixture_open(fixture *f, int number, int source, int bits) {
    *f = (fixture){.from = &plants[number], .g = plants[number].g};
    rig *r = &f->r;
    net_open(&r->n, (uint64_t)number + 1);
    bool conv = f->from->shape == CONV;
    net_output(&r->n, conv ? build_conv(&r->n, &f->g) : build_product(&r->n, f->from));
    r->hardware = net_hardware(source_names[source], source_values[source]);
    r->hardware.levels = DP_LEVELS_CONTINUOUS;
    r->hardware.weight_bits = r->hardware.input_bits = bits;
    r->data = net_dataset(&r->n, &(net_data){.samples = f->g.images, .spread = 1, .seed = 3});
    rig_open(r, NULL);
    f->channels = f->g.out_channels;
    f->positions = r->size / f->channels;
    f->shot = source == 0 || source == 3;
    f->thermal = source == 1 || source == 3;
    f->weight = source >= 2;
    for (int k = 0; k < r->n.graph->n_inputs; k++) take_input(f, k);
    if (f->from->shape != PRODUCT) take_weights(f);
}

void fixture_close(fixture *f) {
    void *blocks[] = {f->x[0], f->x[1], f->w, f->w_range, f->w_norm2};
    for (int i = 0; i < 5; i++) dp_free(blocks[i]);
    rig_close(&f->r);
}

void locate(const fixture *f, int64_t i, int64_t *channel, int64_t *position) {
    bool inner = f->from->shape == CONV || f->from->shape == COLUMNS;
    *channel = inner ? i / f->positions : i % f->channels;
    *position = inner ? i % f->positions : i / f->channels;
}

/* Squared norm of the activations that make up output (channel, position) of a sample; attention's: of both sides. */
static double norm2(const fixture *f, int64_t sample, int64_t channel, int64_t position) {
    const oracle_conv *g = &f->g;
    int64_t depth = g->channels, rows = g->in[0];
    oracle_matrix a = {f->x[0], depth, 1};
    switch (f->from->shape) {
    case CONV:
        return oracle_conv_norm(
            g, f->x[0], NET_DIM(sample, channel, position / g->out[1], position % g->out[1]));
    case COLUMNS:
        a = (oracle_matrix){f->x[0] + sample * depth * rows, 1, rows};
        return oracle_row_norm(a, position, depth);
    case PRODUCT: {
        int64_t matrix = sample * g->in[1] + position / rows;
        oracle_matrix k = {f->x[1] + matrix * depth * f->channels, 1, f->channels};
        a.at += matrix * depth * rows;
        return oracle_row_norm(a, position % rows, depth) * oracle_row_norm(k, channel, depth);
    }
    default:
        return oracle_row_norm(a, sample * f->positions + position, depth);
    }
}

double variance_of(const fixture *f, int64_t sample, int64_t i) {
    int64_t channel, position, depth = dp_engine_site(f->r.engine, 0)->depth;
    const dp_hardware *h = &f->r.hardware;
    locate(f, i, &channel, &position);
    double norms = norm2(f, sample, channel, position), variance = 0;
    bool stored = f->from->shape != PRODUCT;
    double w_range = stored ? f->w_range[channel] : f->x_range[1];
    if (f->shot)
        variance += (stored ? f->w_norm2[channel] : 1) * norms /
                    ((double)depth * dp_hardware_parameter(h, "shot", "photons_per_mac"));
    if (f->thermal)
        variance += (double)depth *
                    pow(dp_hardware_parameter(h, "thermal", "sigma") * w_range * f->x_range[0], 2);
    if (f->weight && stored)
        variance += norms * pow(dp_hardware_parameter(h, "weight", "sigma") * w_range, 2);
    return variance;
}
