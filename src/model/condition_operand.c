/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <string.h>

#include "model/condition.h"
#include "model/op.h"

dp_status dp_condition_no_memory(const dp_graph *graph, dp_error *err) {
    return dp_fail(err, DP_EMEMORY, "%s: no memory to condition it", graph->path);
}

static const dp_tensor *constant_in(const dp_graph *graph, const dp_node *node, int k) {
    int value = k < node->n_in ? node->in[k] : -1;
    return value < 0 ? NULL : graph->values[value].constant;
}

/* The weights where input k is a constant of this rank, not empty, and `other` is an activation; else NULL. */
static const dp_tensor *weights(const dp_graph *graph, const dp_node *node, int k, int other) {
    const dp_tensor *t = constant_in(graph, node, k);
    bool usable = t && t->dtype == DP_F32 && dp_tensor_count(t) > 0;
    return usable && !constant_in(graph, node, other) ? t : NULL;
}

static bool read_conv(const dp_graph *graph, const dp_node *node, dp_operand *o) {
    const dp_tensor *w = weights(graph, node, 1, 0);
    if (!w || w->rank < 3) return false;
    o->inputs_first = dp_node_is(node, "ConvTranspose");
    o->groups = dp_node_int(node, "group", 1);
    if (o->groups < 1 || w->dim[0] % o->groups) return false;
    o->taps = dp_tensor_count(w) / (w->dim[0] * w->dim[1]);
    o->inputs = o->inputs_first ? w->dim[0] : w->dim[1] * o->groups;
    o->outputs = o->inputs_first ? w->dim[1] * o->groups : w->dim[0];
    o->weight_in = 1;
    o->axis = 1 - w->rank;
    o->spatial = true;
    return true;
}

/* The last two axes; those before have one entry. */
static void as_matrix(dp_operand *o, const dp_tensor *w, bool inputs_first) {
    o->inputs_first = inputs_first;
    o->inputs = w->dim[w->rank - (inputs_first ? 2 : 1)];
    o->outputs = w->dim[w->rank - (inputs_first ? 1 : 2)];
}

static bool read_gemm(const dp_graph *graph, const dp_node *node, dp_operand *o) {
    const dp_tensor *right = weights(graph, node, 1, 0), *left = weights(graph, node, 0, 1);
    bool transposed[2] = {dp_node_int(node, "transA", 0) != 0, dp_node_int(node, "transB", 0) != 0};
    const dp_tensor *w = right ? right : left;
    if (!w || w->rank != 2) return false;
    o->weight_in = right ? 1 : 0;
    o->input_in = right ? 0 : 1;
    o->axis = (right ? transposed[0] : !transposed[1]) ? -2 : -1;
    as_matrix(o, w, right ? !transposed[1] : transposed[0]);
    return true;
}

/* Weights of several matrices differ between samples or heads: an activation product. */
static bool read_matmul(const dp_graph *graph, const dp_node *node, dp_operand *o) {
    const dp_tensor *right = weights(graph, node, 1, 0), *left = weights(graph, node, 0, 1);
    const dp_tensor *w = right ? right : left;
    if (!w || w->rank < 2 || dp_tensor_count(w) != w->dim[w->rank - 1] * w->dim[w->rank - 2])
        return false;
    o->weight_in = right ? 1 : 0;
    o->input_in = right ? 0 : 1;
    int rank = graph->values[node->in[o->input_in]].rank;
    if (left && rank < 1) return false;
    o->axis = right || rank == 1 ? -1 : -2;
    as_matrix(o, w, right != NULL);
    return true;
}

static bool read_recurrent(const dp_graph *graph, const dp_node *node, int slot, dp_operand *o) {
    const dp_tensor *w = weights(graph, node, 1, 0);
    if (slot != 0 || !w || w->rank != 3) return false;
    o->weight_in = 1;
    o->axis = -1;
    o->outputs = w->dim[0] * w->dim[1];
    o->inputs = w->dim[2];
    return true;
}

bool dp_operand_read(const dp_graph *graph, int index, int slot, dp_operand *o) {
    const dp_node *node = &graph->nodes[index];
    *o = (dp_operand){.node = index, .slot = slot, .groups = 1, .taps = 1};
    if (node->domain[0] || !dp_op_find("Sub", "", node->opset)) return false;
    if (dp_node_is(node, "Conv") || dp_node_is(node, "ConvTranspose"))
        return read_conv(graph, node, o);
    if (dp_node_is(node, "Gemm")) return read_gemm(graph, node, o);
    if (dp_node_is(node, "MatMul")) return read_matmul(graph, node, o);
    if (node->op->n_sites == 2) return read_recurrent(graph, node, slot, o);
    return false;
}

int dp_operand_channels(const dp_graph *graph, const dp_operand *o) {
    bool vector = dp_node_is(&graph->nodes[o->node], "MatMul") && o->axis == -1;
    if (o->spatial) return o->axis;
    return o->weight_in == 0 && !vector ? -2 : -1;
}

dp_weight_place dp_operand_place(const dp_operand *o, int64_t e) {
    int64_t inputs = o->inputs / o->groups, outputs = o->outputs / o->groups;
    int64_t width = o->inputs_first ? outputs : inputs;
    int64_t first = e / (o->taps * width), second = e / o->taps % width;
    int64_t group = first / (o->inputs_first ? inputs : outputs);
    int64_t other = group * width + second;
    return (dp_weight_place){.input = o->inputs_first ? first : other,
                             .output = o->inputs_first ? other : first,
                             .tap = e % o->taps};
}

double *dp_operand_sums(const dp_graph *graph, const dp_operand *o, const float *mu) {
    const dp_tensor *w = graph->values[graph->nodes[o->node].in[o->weight_in]].constant;
    double *sums = dp_alloc((size_t)(o->outputs * o->taps), sizeof *sums);
    int64_t count = dp_tensor_count(w);
    for (int64_t e = 0; sums && e < count; e++) {
        dp_weight_place at = dp_operand_place(o, e);
        sums[at.output * o->taps + at.tap] +=
            (double)((const float *)w->data)[e] * (double)mu[at.input];
    }
    return sums;
}

/* A vector along the operand's axis, as a constant that broadcasts to the operand. */
static dp_status make_vector(const dp_operand *o, const float *vector, dp_tensor *t,
                             dp_error *err) {
    int64_t dim[DP_MAX_RANK] = {o->inputs, 1, 1, 1, 1, 1, 1, 1};
    *t = (dp_tensor){0};
    dp_tensor_reshape(t, DP_F32, -o->axis, dim);
    dp_status status = dp_tensor_allocate(t, err);
    if (status == DP_OK) memcpy(t->data, vector, (size_t)o->inputs * sizeof *vector);
    return status;
}

static bool same_constant(const dp_graph *graph, int value, const dp_tensor *t) {
    const dp_tensor *other = graph->values[value].constant;
    return dp_tensor_same_shape(other, t) && memcmp(other->data, t->data, dp_tensor_bytes(t)) == 0;
}

/* What is there already of that kind; -1: nothing. */
static int find_shared(const dp_graph *graph, const dp_shared_list *list, const dp_node *node,
                       const struct dp_shared *what, const dp_tensor *t) {
    for (int i = 0; i < list->count; i++) {
        const struct dp_shared *s = &list->at[i];
        if (s->from == what->from && s->guard == node->guard && strcmp(s->op, what->op) == 0 &&
            same_constant(graph, s->constant, t))
            return s->to;
    }
    return -1;
}

/* A node that makes *s of its operand and *t, taken over. */
static bool add_shared(dp_graph *graph, const dp_node *node, struct dp_shared *s, dp_tensor *t) {
    bool centres = strcmp(s->op, "Sub") == 0;
    s->to = dp_graph_value_like(graph, s->from, centres ? ".centred" : ".balanced");
    if (s->to < 0) {
        dp_tensor_clear(t);
        return false;
    }
    s->constant = dp_graph_add_constant(graph, graph->values[s->to].name, t);
    dp_new_node made = {node, s->op, centres ? ".centre" : ".balance", {s->from, s->constant},
                        2,    s->to};
    return s->constant >= 0 && dp_graph_add_node(graph, &made);
}

dp_status dp_condition_operand(dp_graph *graph, dp_shared_list *list, const dp_operand *o,
                               const char *op, const float *vector, dp_error *err) {
    dp_node *node = &graph->nodes[o->node];
    struct dp_shared made = {.from = node->in[o->input_in], .op = op, .guard = node->guard};
    dp_tensor t;
    dp_status status = make_vector(o, vector, &t, err);
    if (status != DP_OK) return status;
    int known = find_shared(graph, list, node, &made, &t);
    if (known >= 0) {
        dp_tensor_clear(&t);
        node->in[o->input_in] = known;
        return DP_OK;
    }
    struct dp_shared *at =
        dp_grow(list->at, &list->room, (size_t)list->count + 1, sizeof *list->at);
    if (at) list->at = at;
    if (!at) dp_tensor_clear(&t);
    if (!at || !add_shared(graph, node, &made, &t)) return dp_condition_no_memory(graph, err);
    at[list->count++] = made;
    node->in[o->input_in] = made.to;
    return DP_OK;
}
