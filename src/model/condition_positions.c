/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Products of attention, whose right operand may lose its mean over positions:
 *
 *   keys     softmax_j(q k_j) = softmax_j(q (k_j - m)), because q m is the same for all j
 *   values   sum_j p_j v_j = sum_j p_j (v_j - m) + m, because the p_j sum to 1
 *
 * Between the product with keys and its Softmax there may be what leaves a row's offset an offset: a scale that is one number, and
 * whatever is added, as a mask is.
 */
#include <math.h>
#include <string.h>

#include "model/condition.h"
#include "model/op.h"

/* A Softmax over the last axis, which alone is exactly what opsets before 13 flatten to. */
static bool is_last_softmax(const dp_graph *graph, const dp_node *node) {
    if (!dp_node_is(node, "Softmax")) return false;
    int64_t axis = dp_node_int(node, "axis", node->opset < 13 ? 1 : -1);
    int rank = graph->values[node->in[0]].rank;
    return axis == -1 || (rank > 0 && axis == rank - 1);
}

static bool is_number(const dp_graph *graph, const dp_node *node, int k) {
    const dp_tensor *t = dp_node_floats(graph, node, k);
    return t && dp_tensor_count(t) == 1;
}

/* Where(mask, scores, number) and its mirror image, where the number is so low that its softmax is 0. */
static bool masks(const dp_graph *graph, const dp_node *node, int k) {
    static const float lowest = -1e30F;
    int other = 3 - k;
    return dp_node_is(node, "Where") && k > 0 && is_number(graph, node, other) &&
           *(const float *)dp_node_floats(graph, node, other)->data <= lowest;
}

/* What was offset by the same for all keys is so behind it. */
static bool keeps_offsets(const dp_graph *graph, const dp_node *node, int k) {
    if (dp_node_is(node, "Add")) return true;
    if (dp_node_is(node, "Sub")) return k == 0;
    if (dp_node_is(node, "Mul")) return is_number(graph, node, 1 - k);
    if (dp_node_is(node, "Div")) return k == 0 && is_number(graph, node, 1);
    return dp_node_is(node, "Identity") || masks(graph, node, k);
}

static bool has_keys(const dp_graph *graph, const dp_node *product) {
    int value = product->out[0], k;
    for (int n; (n = dp_graph_reader(graph, value, &k)) >= 0; value = graph->nodes[n].out[0]) {
        const dp_node *node = &graph->nodes[n];
        if (is_last_softmax(graph, node)) return true;
        if (!keeps_offsets(graph, node, k)) return false;
    }
    return false;
}

static bool has_values(const dp_graph *graph, const dp_node *product) {
    int made = graph->values[product->in[0]].producer;
    return made >= 0 && is_last_softmax(graph, &graph->nodes[made]);
}

dp_positions dp_condition_positions(const dp_graph *graph, int index) {
    const dp_node *node = &graph->nodes[index];
    if (!dp_node_is(node, "MatMul") || !dp_op_find("Sub", "", node->opset))
        return DP_POSITIONS_NONE;
    const dp_value *left = &graph->values[node->in[0]], *right = &graph->values[node->in[1]];
    if (left->constant || right->constant || left->rank < 2 || right->rank < 2)
        return DP_POSITIONS_NONE;
    if (has_keys(graph, node)) return DP_POSITIONS_KEYS;
    return has_values(graph, node) ? DP_POSITIONS_VALUES : DP_POSITIONS_NONE;
}

/* The mean over one axis, which stays with one entry; axes are an input since opset 18. */
static dp_node *add_mean(dp_graph *graph, const dp_node *beside, int value, int64_t axis) {
    bool input = beside->opset >= 18;
    int mean = dp_graph_value_like(graph, value, ".mean"), axes = -1;
    if (mean < 0) return NULL;
    dp_value *made = &graph->values[mean];
    if (made->rank > 0) made->dim[made->rank + axis] = 1;
    if (input) {
        dp_tensor t = {.dtype = DP_I64, .rank = 1, .dim = {1}};
        if (dp_tensor_allocate(&t, NULL) != DP_OK) return NULL;
        *(int64_t *)t.data = axis;
        axes = dp_graph_add_constant(graph, graph->values[mean].name, &t);
        if (axes < 0) return NULL;
    }
    dp_new_node what = {beside, "ReduceMean", ".mean", {value, axes}, input ? 2 : 1, mean};
    dp_node *node = dp_graph_add_node(graph, &what);
    int64_t *list = dp_arena_alloc(&graph->arena, 1, sizeof *list);
    if (!node || !list) return NULL;
    *list = axis;
    dp_attr attr = {.name = "axes", .kind = DP_ATTR_INTS, .count = 1, .ints = list};
    return input || dp_node_set_attr(graph, node, &attr) ? node : NULL;
}

dp_status dp_condition_centre_positions(dp_graph *graph, int index, dp_error *err) {
    bool keys = dp_condition_positions(graph, index) == DP_POSITIONS_KEYS;
    dp_node *node = &graph->nodes[index];
    int right = node->in[1], out = node->out[0];
    const dp_node *mean = add_mean(graph, node, right, keys ? -1 : -2);
    int centred = mean ? dp_graph_value_like(graph, right, ".centred") : -1;
    if (centred < 0) return dp_condition_no_memory(graph, err);
    dp_new_node sub = {node, "Sub", ".centre", {right, mean->out[0]}, 2, centred};
    if (!dp_graph_add_node(graph, &sub)) return dp_condition_no_memory(graph, err);
    node->in[1] = centred;
    if (keys) return DP_OK;
    int product = dp_graph_value_like(graph, out, ".product");
    dp_new_node add = {node, "Add", ".shift", {product, mean->out[0]}, 2, out};
    if (product < 0 || !dp_graph_add_node(graph, &add)) return dp_condition_no_memory(graph, err);
    node->out[0] = product;
    graph->values[product].producer = index;
    return DP_OK;
}
