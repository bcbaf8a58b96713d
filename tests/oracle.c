/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "oracle.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

float oracle_random(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (float)((int)((z ^ (z >> 31)) >> 51) - 4096) / 4096;
}

uint64_t oracle_below(uint64_t *state, uint64_t limit) {
    return (uint64_t)((0.5 + 0.5 * (double)oracle_random(state)) * (double)limit);
}

float *oracle_randoms(uint64_t seed, int64_t count) {
    float *values = dp_alloc((size_t)count, sizeof *values);
    for (int64_t i = 0; values && i < count; i++) values[i] = oracle_random(&seed);
    return values;
}

bool oracle_near(double is, oracle_sum want) {
    return fabs(is - want.value) <= 0x1p-20 * want.size;
}

void oracle_add(oracle_sum *sum, double term) {
    sum->value += term;
    sum->size += fabs(term);
}

void oracle_add_square(oracle_sum *sum, oracle_sum of) {
    sum->value += of.value * of.value;
    sum->size += 2 * fabs(of.value) * of.size + 0x1p-20 * of.size * of.size;
}

void oracle_conv_place(oracle_conv *g, const char *auto_pad) {
    for (int i = 0; i < 2; i++) {
        int64_t reach = g->dilation[i] * (g->kernel[i] - 1) + 1;
        if (strcmp(auto_pad, "NOTSET") != 0) g->pad[i] = g->end[i] = 0;
        if (strncmp(auto_pad, "SAME", 4) == 0) {
            int64_t wanted = (int64_t)ceil((double)g->in[i] / (double)g->stride[i]);
            int64_t missing = (wanted - 1) * g->stride[i] + reach - g->in[i];
            for (int64_t k = 0; k < missing; k++)
                ++*((k % 2 == 0) == (strcmp(auto_pad, "SAME_UPPER") == 0) ? &g->end[i]
                                                                          : &g->pad[i]);
        }
        g->out[i] = (g->in[i] + g->pad[i] + g->end[i] - reach) / g->stride[i] + 1;
    }
}

/* Input element under tap k of the output at `at`, channel c of its group; -1: padding. */
static int64_t under(const oracle_conv *g, const int64_t at[4], int64_t c, const int64_t k[2]) {
    int64_t group = at[1] / (g->out_channels / g->groups), place[2];
    for (int i = 0; i < 2; i++) {
        place[i] = at[2 + i] * g->stride[i] + k[i] * g->dilation[i] - g->pad[i];
        if (place[i] < 0 || place[i] >= g->in[i]) return -1;
    }
    int64_t channel = group * (g->channels / g->groups) + c;
    return ((at[0] * g->channels + channel) * g->in[0] + place[0]) * g->in[1] + place[1];
}

oracle_sum oracle_conv_at(const oracle_conv *g, const float *x, const float *w, const float *b,
                          const int64_t at[4]) {
    oracle_sum sum = {0, 0};
    int64_t k[2], depth = g->channels / g->groups;
    if (b) oracle_add(&sum, (double)b[at[1]]);
    for (int64_t c = 0; c < depth; c++)
        for (k[0] = 0; k[0] < g->kernel[0]; k[0]++)
            for (k[1] = 0; k[1] < g->kernel[1]; k[1]++) {
                int64_t from = under(g, at, c, k);
                int64_t weight = ((at[1] * depth + c) * g->kernel[0] + k[0]) * g->kernel[1] + k[1];
                if (from >= 0) oracle_add(&sum, (double)x[from] * (double)w[weight]);
            }
    return sum;
}

double oracle_conv_norm(const oracle_conv *g, const float *x, const int64_t at[4]) {
    double sum = 0;
    int64_t k[2];
    for (int64_t c = 0; c < g->channels / g->groups; c++)
        for (k[0] = 0; k[0] < g->kernel[0]; k[0]++)
            for (k[1] = 0; k[1] < g->kernel[1]; k[1]++) {
                int64_t from = under(g, at, c, k);
                if (from >= 0) sum += (double)x[from] * (double)x[from];
            }
    return sum;
}

oracle_sum oracle_conv_weight(const oracle_conv *g, const float *x, const float *gy,
                              const int64_t images[2], const int64_t weight[4]) {
    oracle_sum sum = {0, 0};
    int64_t at[4] = {0, weight[0], 0, 0};
    for (at[0] = images[0]; at[0] < images[1]; at[0]++)
        for (at[2] = 0; at[2] < g->out[0]; at[2]++)
            for (at[3] = 0; at[3] < g->out[1]; at[3]++) {
                int64_t from = under(g, at, weight[1], weight + 2);
                int64_t out =
                    ((at[0] * g->out_channels + at[1]) * g->out[0] + at[2]) * g->out[1] + at[3];
                if (from >= 0) oracle_add(&sum, (double)x[from] * (double)gy[out]);
            }
    return sum;
}

oracle_sum oracle_product(oracle_matrix a, oracle_matrix b, int64_t depth, const int64_t at[2]) {
    oracle_sum sum = {0, 0};
    for (int64_t d = 0; d < depth; d++)
        oracle_add(&sum, (double)a.at[at[0] * a.row + d * a.column] *
                             (double)b.at[d * b.row + at[1] * b.column]);
    return sum;
}

double oracle_row_norm(oracle_matrix a, int64_t i, int64_t depth) {
    double sum = 0;
    for (int64_t d = 0; d < depth; d++) {
        double v = (double)a.at[i * a.row + d * a.column];
        sum += v * v;
    }
    return sum;
}

oracle_matrix oracle_transposed(oracle_matrix a) {
    return (oracle_matrix){a.at, a.column, a.row};
}

static void remember(oracle_port *p, const dp_product *b, int64_t c, int64_t position) {
    int64_t offset = c * b->channel_stride + position * b->position_stride;
    int64_t element = b->element + offset;
    if (b->sample < 0 || b->sample >= p->port.samples || element < 0 || element >= p->outputs) {
        p->outside = true;
        return;
    }
    int64_t at = b->sample * p->outputs + element;
    p->seen[at]++;
    p->value[at] = b->y[offset];
    p->channel[at] = b->first_channel + c;
    p->norm2[at] = b->x2 ? b->x2[position] * (b->w2 ? b->w2[c] : 1) : -1;
    b->y[offset] += p->add;
}

static void take(void *self, const dp_product *b) {
    oracle_port *p = self;
    if (b->channel_stride != 1 && b->position_stride != 1) p->outside = true;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t position = 0; position < b->positions; position++) remember(p, b, c, position);
    for (int64_t c = 0; b->weight_grad2 && c < b->channels; c++) {
        int64_t at = b->sample * p->channels + b->first_channel + c;
        p->weight_grad2[at] += b->weight_grad2[c];
        p->weight_told[at]++;
    }
}

void oracle_port_open(oracle_port *p, int64_t samples, int64_t outputs, const dp_site *site) {
    size_t all = (size_t)(samples * outputs), channels = (size_t)(samples * site->channels);
    p->port.self = p;
    p->port.samples = samples;
    p->port.product = take;
    p->port.x2[0] = dp_alloc((size_t)site->norms, sizeof(float));
    p->outputs = outputs;
    p->channels = site->channels;
    p->seen = dp_alloc(all, sizeof *p->seen);
    p->value = dp_alloc(all, sizeof *p->value);
    p->channel = dp_alloc(all, sizeof *p->channel);
    p->norm2 = dp_alloc(all, sizeof *p->norm2);
    p->weight_grad2 = dp_alloc(channels, sizeof *p->weight_grad2);
    p->weight_told = dp_alloc(channels, sizeof *p->weight_told);
}

void oracle_port_clear(oracle_port *p) {
    size_t all = (size_t)(p->port.samples * p->outputs);
    size_t channels = (size_t)(p->port.samples * p->channels);
    memset(p->seen, 0, all * sizeof *p->seen);
    memset(p->weight_grad2, 0, channels * sizeof *p->weight_grad2);
    memset(p->weight_told, 0, channels * sizeof *p->weight_told);
}

void oracle_port_close(oracle_port *p) {
    dp_free(p->port.x2[0]);
    dp_free(p->seen);
    dp_free(p->value);
    dp_free(p->channel);
    dp_free(p->norm2);
    dp_free(p->weight_grad2);
    dp_free(p->weight_told);
}
