/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Centring a convolution with zero padding: padded positions of x - mu carry nothing, so W mu is summed, at each output position,
 * over the taps of the kernel that meet the input. Which taps do is a matter of each axis alone.
 */
#include <string.h>

#include "model/condition.h"
#include "model/op.h"
#include "model/ops/conv.h"
#include "model/ops/convtranspose.h"

static bool geometry(const dp_graph *graph, const dp_operand *o, dp_conv *g) {
    const dp_node *node = &graph->nodes[o->node];
    const dp_value *value = &graph->values[node->in[0]];
    dp_tensor x = {0}, y = {0}, *out[1] = {&y};
    const dp_tensor *in[2] = {&x, graph->values[node->in[1]].constant};
    if (value->rank != in[1]->rank) return false;
    dp_tensor_reshape(&x, DP_F32, value->rank, value->dim);
    x.dim[0] = 1;
    x.dim[1] = o->inputs;
    for (int i = 2; i < x.rank; i++)
        if (x.dim[i] < 1) return false;
    dp_op_args a = {.node = node, .n_in = 2, .n_out = 1, .in = in, .out = out};
    return (!dp_node_is(node, "Conv") ? dp_convtranspose_read(&a, g, NULL)
                                      : dp_conv_read(&a, g, NULL)) == DP_OK;
}

/* Tap k of one axis meets the input at output position p. A transposed convolution's `in` is its output, and `out` its input. */
static bool meets(const dp_conv *g, bool transposed, int axis, int64_t p, int64_t k) {
    int64_t reach = k * g->dilation[axis] - g->pad[axis];
    if (!transposed) {
        int64_t at = p * g->stride[axis] + reach;
        return at >= 0 && at < g->in[axis];
    }
    int64_t at = p - reach;
    return at >= 0 && at % g->stride[axis] == 0 && at / g->stride[axis] < g->out[axis];
}

/* Which taps meet the input is the same at all positions of an axis. */
static bool is_even(const dp_conv *g, bool transposed, int axis, int64_t length) {
    for (int64_t p = 1; p < length; p++)
        for (int64_t k = 0; k < g->kernel[axis]; k++)
            if (meets(g, transposed, axis, p, k) != meets(g, transposed, axis, 0, k)) return false;
    return true;
}

typedef struct map {
    dp_conv g;
    bool transposed, known; /* known: the geometry; else all taps meet the input everywhere */
    int64_t length[3];      /* of the map: 1 along axes that do not matter */
} map;

static bool is_zero(const dp_node *node, const char *name) {
    int64_t pads[6];
    int count = dp_node_ints(node, name, pads, 6);
    for (int i = 0; i < count; i++)
        if (pads[i]) return false;
    return count >= 0;
}

/* No output meets padding, however large the input is. */
static bool never_pads(const dp_node *node) {
    const char *mode = dp_node_string(node, "auto_pad", "NOTSET");
    bool valid = strcmp(mode, "VALID") == 0;
    return dp_node_is(node, "Conv") &&
           (valid || (strcmp(mode, "NOTSET") == 0 && is_zero(node, "pads")));
}

static bool read_map(const dp_graph *graph, const dp_operand *o, map *m) {
    const dp_node *node = &graph->nodes[o->node];
    *m = (map){.transposed = dp_node_is(node, "ConvTranspose"), .length = {1, 1, 1}};
    m->known = geometry(graph, o, &m->g);
    for (int i = 0; m->known && i < 3; i++) {
        int64_t length = m->transposed ? m->g.in[i] : m->g.out[i];
        if (!is_even(&m->g, m->transposed, i, length)) m->length[i] = length;
    }
    return m->known || never_pads(node);
}

dp_map_kind dp_condition_map_kind(const dp_graph *graph, const dp_operand *o) {
    map m;
    if (!read_map(graph, o, &m)) return DP_MAP_UNKNOWN;
    return m.length[0] * m.length[1] * m.length[2] == 1 ? DP_MAP_EVEN : DP_MAP_UNEVEN;
}

static double sum_of(const double *taps, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += taps[i];
    return sum;
}

static double sum_at(const map *m, const double *taps, const int64_t p[3]) {
    const dp_conv *g = &m->g;
    double sum = 0;
    for (int64_t t = 0; t < g->kernel[0]; t++) {
        if (!meets(g, m->transposed, 0, p[0], t)) continue;
        for (int64_t y = 0; y < g->kernel[1]; y++) {
            if (!meets(g, m->transposed, 1, p[1], y)) continue;
            const double *row = taps + (t * g->kernel[1] + y) * g->kernel[2];
            for (int64_t x = 0; x < g->kernel[2]; x++)
                if (meets(g, m->transposed, 2, p[2], x)) sum += row[x];
        }
    }
    return sum;
}

static void fill(const map *m, const dp_operand *o, const double *sums, float *to) {
    int64_t p[3];
    for (int64_t c = 0; c < o->outputs; c++, sums += o->taps)
        for (p[0] = 0; p[0] < m->length[0]; p[0]++)
            for (p[1] = 0; p[1] < m->length[1]; p[1]++)
                for (p[2] = 0; p[2] < m->length[2]; p[2]++)
                    *to++ = (float)(m->known ? sum_at(m, sums, p) : sum_of(sums, o->taps));
}

dp_status dp_condition_map(const dp_graph *graph, const dp_operand *o, const double *sums,
                           dp_tensor *t, dp_error *err) {
    map m;
    int axes = -o->axis - 1;
    int64_t dim[DP_MAX_RANK] = {1, o->outputs};
    *t = (dp_tensor){0};
    if (!read_map(graph, o, &m))
        return dp_fail(err, DP_ERANGE, "%s: node '%s': the size of its input is not known",
                       graph->path, graph->nodes[o->node].name);
    for (int i = 0; i < axes; i++) dim[2 + i] = m.length[3 - axes + i];
    dp_tensor_reshape(t, DP_F32, axes + 2, dim);
    dp_status status = dp_tensor_allocate(t, err);
    if (status == DP_OK) fill(&m, o, sums, t->data);
    return status;
}
