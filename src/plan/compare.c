/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plan/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

static bool same_layer(const dp_layer *a, const dp_layer *b) {
    return strcmp(a->name, b->name) == 0 && a->channels == b->channels && a->macs == b->macs;
}

static const dp_layer *find(const dp_schedule *s, const dp_layer *wanted) {
    for (int i = 0; i < s->n_layers; i++)
        if (same_layer(&s->layers[i], wanted)) return &s->layers[i];
    return NULL;
}

/* Joules for one repetition more of a whole layer; where its energy is not known, as if a MAC took 1 aJ. */
static double cost_of(const dp_layer *layer) {
    double mean = 0;
    for (int c = 0; c < layer->channels; c++)
        mean += dp_layer_repetitions(layer, c) / layer->channels;
    return isnan(layer->energy_j) ? layer->macs * 1e-18 : layer->energy_j / mean;
}

/* With one of them missing, all of the other is new. */
static void measure(dp_layer_pair *pair) {
    const dp_layer *a = pair->layer[0], *b = pair->layer[1], *any = a ? a : b;
    double moved = 0;
    for (int c = 0; c < any->channels; c++) {
        double before = a ? dp_layer_repetitions(a, c) : 0;
        double after = b ? dp_layer_repetitions(b, c) : 0;
        moved += fabs(after - before) / any->channels;
    }
    double cost = a && b ? 0.5 * (cost_of(a) + cost_of(b)) : cost_of(any);
    pair->different = moved > 0;
    pair->moved_j = moved * cost;
}

static void add(dp_comparison *out, const dp_layer *a, const dp_layer *b) {
    dp_layer_pair *pair = &out->pairs[out->count++];
    *pair = (dp_layer_pair){.layer = {a, b}};
    measure(pair);
    out->matched += a && b;
    out->different += pair->different;
}

/* Ties in execution order. */
static int by_moved_energy(const void *x, const void *y) {
    const dp_layer_pair *p = x, *q = y;
    if (p->moved_j != q->moved_j) return p->moved_j > q->moved_j ? -1 : 1;
    int i = p->layer[!p->layer[0]]->index, j = q->layer[!q->layer[0]]->index;
    if (i != j) return i - j;
    return !p->layer[0] - !q->layer[0];
}

dp_status dp_schedule_compare(dp_comparison *out, const dp_schedule *a, const dp_schedule *b,
                              dp_error *err) {
    *out = (dp_comparison){0};
    size_t most = (size_t)a->n_layers + (size_t)b->n_layers;
    out->pairs = dp_alloc(most, sizeof *out->pairs);
    if (!out->pairs) return dp_fail(err, DP_EMEMORY, "no memory for %zu layers", most);
    for (int i = 0; i < a->n_layers; i++) add(out, &a->layers[i], find(b, &a->layers[i]));
    for (int i = 0; i < b->n_layers; i++)
        if (!find(a, &b->layers[i])) add(out, NULL, &b->layers[i]);
    if (out->matched == 0 && most > 0) {
        dp_comparison_clear(out);
        return dp_fail(err, DP_EFORMAT,
                       "these are schedules of different networks, '%s' and '%s': no layer of one "
                       "has the name, channels and multiply-accumulates of a layer of the other",
                       a->model_file, b->model_file);
    }
    qsort(out->pairs, (size_t)out->count, sizeof *out->pairs, by_moved_energy);
    return DP_OK;
}

void dp_comparison_clear(dp_comparison *comparison) {
    dp_free(comparison->pairs);
    *comparison = (dp_comparison){0};
}
