/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Centring one site: it reads x - mu, and W mu is added behind it, in the constant that is its bias where there is one (or could be),
 * else in a node of its own. Sums are in double and rounded once.
 */
#include <string.h>

#include "model/condition.h"
#include "model/op.h"

/* One site that is being centred. */
typedef struct centring {
    dp_graph *graph;
    const dp_operand *o;
    dp_node *node;
    dp_error *err;
} centring;

/* How many axes lie behind that of the output's channels. */
static int channels_behind(const dp_graph *graph, const dp_operand *o) {
    return -1 - dp_operand_channels(graph, o);
}

/* All of a constant's entries are alike, or it has one for each channel and nothing else. */
static bool fits_channels(const dp_tensor *t, int64_t channels, int behind) {
    int64_t count = dp_tensor_count(t);
    if (count == 1) return true;
    int axis = t->rank - 1 - behind;
    return axis >= 0 && count == channels && t->dim[axis] == channels;
}

/* The Add of a constant that alone reads the output of a MatMul; -1 when there is none. */
static int next_add(const dp_graph *graph, const dp_operand *o, int *constant_in) {
    int k, found = dp_graph_reader(graph, graph->nodes[o->node].out[0], &k);
    const dp_node *add = &graph->nodes[found < 0 ? 0 : found];
    if (found < 0 || !dp_node_is(add, "Add") || add->n_in != 2) return -1;
    *constant_in = 1 - k;
    const dp_tensor *t = dp_node_floats(graph, add, 1 - k);
    return t && fits_channels(t, o->outputs, channels_behind(graph, o)) ? found : -1;
}

static bool has_bias(const dp_graph *graph, const dp_operand *o) {
    const dp_node *node = &graph->nodes[o->node];
    const dp_tensor *bias = dp_node_floats(graph, node, 2);
    int at;
    if (dp_node_is(node, "MatMul")) return next_add(graph, o, &at) >= 0;
    if (!bias) return dp_node_lacks(node, 2);
    if (dp_node_is(node, "Gemm")) return fits_channels(bias, o->outputs, channels_behind(graph, o));
    return dp_tensor_count(bias) == o->outputs;
}

dp_shift dp_condition_shift(const dp_graph *graph, const dp_operand *o) {
    const dp_node *node = &graph->nodes[o->node];
    if (node->op->n_sites == 2) {
        bool constant = dp_node_lacks(node, 3) || dp_node_floats(graph, node, 3);
        return constant ? DP_SHIFT_BIAS : DP_SHIFT_NONE;
    }
    dp_map_kind map = o->spatial ? dp_condition_map_kind(graph, o) : DP_MAP_EVEN;
    if (map == DP_MAP_UNKNOWN) return DP_SHIFT_NONE;
    return map == DP_MAP_EVEN && has_bias(graph, o) ? DP_SHIFT_BIAS : DP_SHIFT_ADD;
}

static dp_status no_memory(const centring *c) {
    return dp_condition_no_memory(c->graph, c->err);
}

/* Make *t, taken over, input k of a node. */
static dp_status replace_input(const centring *c, dp_node *node, int k, dp_tensor *t) {
    const char *name = dp_node_lacks(node, k) ? c->node->name : c->graph->values[node->in[k]].name;
    int value = dp_graph_add_constant(c->graph, name, t);
    if (value < 0 || !dp_node_set_input(c->graph, node, k, value)) return no_memory(c);
    return DP_OK;
}

/* beta times the constant input k of `node` plus factor times shift [channels], with channels `behind` axes from the last. */
typedef struct addition {
    int k, behind;
    double beta, factor;
    const double *shift;
} addition;

static dp_status add_to_constant(const centring *c, dp_node *node, const addition *a) {
    const dp_tensor *old = dp_node_lacks(node, a->k) ? NULL : dp_node_floats(c->graph, node, a->k);
    int64_t dim[DP_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1}, wide = old ? dp_tensor_count(old) : 1;
    int rank = old && old->rank > a->behind + 1 ? old->rank : a->behind + 1;
    dp_tensor t = {0};
    dim[rank - 1 - a->behind] = c->o->outputs;
    dp_tensor_reshape(&t, DP_F32, rank, dim);
    dp_status status = dp_tensor_allocate(&t, c->err);
    if (status != DP_OK) return status;
    for (int64_t i = 0; i < c->o->outputs; i++) {
        double was = old ? (double)((const float *)old->data)[i % wide] : 0;
        ((float *)t.data)[i] = (float)(a->beta * was + a->factor * a->shift[i]);
    }
    return replace_input(c, node, a->k, &t);
}

static dp_status shift_gemm(const centring *c, const double *shift) {
    static const dp_attr one = {.name = "beta", .kind = DP_ATTR_FLOAT, .f = 1};
    addition a = {.k = 2,
                  .behind = channels_behind(c->graph, c->o),
                  .beta = (double)dp_node_float(c->node, "beta", 1),
                  .factor = (double)dp_node_float(c->node, "alpha", 1),
                  .shift = shift};
    dp_status status = add_to_constant(c, c->node, &a);
    if (status != DP_OK) return status;
    return dp_node_set_attr(c->graph, c->node, &one) ? DP_OK : no_memory(c);
}

/* B is [directions, 2 * width]: what is added to X W', then what is added to H R'. */
static dp_status shift_recurrent(const centring *c, const double *shift) {
    const dp_tensor *w = dp_node_floats(c->graph, c->node, 1),
                    *old = dp_node_floats(c->graph, c->node, 3);
    int64_t directions = w->dim[0], width = w->dim[1];
    dp_tensor t = {0};
    dp_tensor_reshape(&t, DP_F32, 2, (int64_t[]){directions, 2 * width});
    dp_status status = dp_tensor_allocate(&t, c->err);
    if (status != DP_OK) return status;
    float *b = t.data;
    if (old) memcpy(b, old->data, dp_tensor_bytes(old));
    for (int64_t d = 0; d < directions; d++)
        for (int64_t i = 0; i < width; i++)
            b[d * 2 * width + i] = (float)((double)b[d * 2 * width + i] + shift[d * width + i]);
    return replace_input(c, c->node, 3, &t);
}

static dp_status shift_bias(const centring *c, const double *shift) {
    int at, k = 2;
    if (c->node->op->n_sites == 2) return shift_recurrent(c, shift);
    if (dp_node_is(c->node, "Gemm")) return shift_gemm(c, shift);
    addition a = {.beta = 1, .factor = 1, .shift = shift};
    bool product = dp_node_is(c->node, "MatMul");
    if (product) a.behind = channels_behind(c->graph, c->o);
    at = product ? next_add(c->graph, c->o, &k) : c->o->node;
    a.k = k;
    return add_to_constant(c, &c->graph->nodes[at], &a);
}

/* A node behind the site that adds *t, taken over, and makes what the site made. */
static dp_status add_node(const centring *c, dp_tensor *t) {
    dp_graph *graph = c->graph;
    int out = c->node->out[0], product = dp_graph_value_like(graph, out, ".product");
    if (product < 0) {
        dp_tensor_clear(t);
        return no_memory(c);
    }
    int constant = dp_graph_add_constant(graph, graph->values[product].name, t);
    dp_new_node add = {c->node, "Add", ".shift", {product, constant}, 2, out};
    if (constant < 0 || !dp_graph_add_node(graph, &add)) return no_memory(c);
    c->node->out[0] = product;
    graph->values[product].producer = c->o->node;
    return DP_OK;
}

/* W mu summed over what all positions see: the map has one entry a channel, or there is none. */
static dp_status shift_outputs(const centring *c, const double *sums) {
    dp_tensor t = {0};
    dp_shift where = dp_condition_shift(c->graph, c->o);
    dp_status status = DP_OK;
    if (where == DP_SHIFT_BIAS && !c->o->spatial) return shift_bias(c, sums);
    if (c->o->spatial) {
        status = dp_condition_map(c->graph, c->o, sums, &t, c->err);
    } else {
        int behind = channels_behind(c->graph, c->o);
        double factor = (double)dp_node_float(c->node, "alpha", 1);
        dp_tensor_reshape(&t, DP_F32, behind + 1, (int64_t[]){c->o->outputs, 1});
        status = dp_tensor_allocate(&t, c->err);
        for (int64_t i = 0; status == DP_OK && i < c->o->outputs; i++)
            ((float *)t.data)[i] = (float)(factor * sums[i]);
    }
    if (status != DP_OK) return status;
    if (where == DP_SHIFT_ADD) return add_node(c, &t);
    double *shift = dp_alloc((size_t)c->o->outputs, sizeof *shift);
    for (int64_t i = 0; shift && i < c->o->outputs; i++)
        shift[i] = (double)((const float *)t.data)[i];
    status = shift ? shift_bias(c, shift) : no_memory(c);
    dp_tensor_clear(&t);
    dp_free(shift);
    return status;
}

dp_status dp_condition_centre(dp_graph *graph, dp_shared_list *list, const dp_operand *o,
                              const float *mu, dp_error *err) {
    centring c = {graph, o, &graph->nodes[o->node], err};
    dp_status status = dp_condition_operand(graph, list, o, "Sub", mu, err);
    if (status != DP_OK) return status;
    double *sums = dp_operand_sums(graph, o, mu);
    status = sums ? shift_outputs(&c, sums) : no_memory(&c);
    dp_free(sums);
    return status;
}
