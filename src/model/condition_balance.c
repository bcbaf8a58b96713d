/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Balancing: W_ij / alpha_j meets alpha_j x_j. The factor alpha goes backwards from the operand through nodes that hand a positive
 * factor on, f(alpha x) = alpha f(x), to one that can take it into a constant: the rows and the bias of a product, a factor, the scale
 * of a normalisation. Values on the way must go nowhere else. Where there is no such way a Mul is put before the site.
 *
 * Source  [Nagel 2019] section 4.1 for the scaling of neighbouring layers through a positively homogeneous activation.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "model/condition.h"
#include "model/op.h"

typedef struct search {
    const dp_graph *graph;
    const int *uses;
    int64_t channels;
    int axis; /* of the value that the way has come to, counted from its last one */
    dp_way *way;
} search;

static bool add_scaling(search *w, int node, int k, int how) {
    if (w->way->count == DP_LONGEST_WAY) return false;
    w->way->scalings[w->way->count++] = (dp_scaling){node, k, w->axis, how};
    return true;
}

/* A limit of Clip that stays what it is when multiplied: 0 or none. Before opset 11 it is an attribute. */
static bool scales_limit(const dp_graph *graph, const dp_node *node, int k) {
    const dp_attr *attr = dp_node_attr(node, k == 1 ? "min" : "max");
    const dp_tensor *t = dp_node_floats(graph, node, k);
    if (!attr && dp_node_lacks(node, k)) return true;
    if (!attr && (!t || dp_tensor_count(t) != 1)) return false;
    float limit = attr ? attr->f : *(const float *)t->data;
    return limit == 0 || fabsf(limit) >= FLT_MAX;
}

/* f(alpha x) = alpha f(x) for alpha > 0 along any axis but those over which f goes. */
static bool hands_on(const dp_graph *graph, const dp_node *node, int axis) {
    static const char *const pointwise[] = {"Relu", "LeakyRelu", "Identity", "Abs", "Neg"};
    static const char *const pools[] = {"MaxPool",       "AveragePool",       "LpPool",
                                        "GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool"};
    for (size_t i = 0; i < sizeof pointwise / sizeof *pointwise; i++)
        if (dp_node_is(node, pointwise[i])) return true;
    if (dp_node_is(node, "PRelu")) return dp_node_floats(graph, node, 1) != NULL;
    if (dp_node_is(node, "Clip"))
        return scales_limit(graph, node, 1) && scales_limit(graph, node, 2);
    int rank = node->in[0] < 0 ? -1 : graph->values[node->in[0]].rank;
    for (size_t i = 0; i < sizeof pools / sizeof *pools; i++)
        if (dp_node_is(node, pools[i])) return rank > 2 && axis == 1 - rank;
    return false;
}

/* The product of what lies behind an axis; -1 where it is not known. */
static int64_t behind(const dp_value *value, int axis) {
    int64_t product = 1;
    for (int i = value->rank + axis + 1; i < value->rank; i++) {
        if (value->dim[i] < 0) return -1;
        product *= value->dim[i];
    }
    return product;
}

/*
 * The same channels in the input of a node that moves no element: the axis of that length which has as many elements behind it.
 * 0: there is none.
 */
static int axis_before(const search *w, const dp_node *node) {
    const dp_value *from = &w->graph->values[node->in[0]], *to = &w->graph->values[node->out[0]];
    int64_t step = to->rank < 1 ? -1 : behind(to, w->axis);
    for (int axis = -1; step > 0 && axis >= -from->rank; axis--)
        if (from->dim[from->rank + axis] == w->channels && behind(from, axis) == step) return axis;
    return 0;
}

static bool reshapes(const dp_node *node) {
    return dp_node_is(node, "Flatten") || dp_node_is(node, "Reshape") ||
           dp_node_is(node, "Squeeze") || dp_node_is(node, "Unsqueeze");
}

/* Rows of a product that has its weights for itself, and its bias where there is one. */
static bool ends_in_product(search *w, int index) {
    const dp_node *node = &w->graph->nodes[index];
    dp_operand o;
    if (node->op->n_sites != 1 || !dp_operand_read(w->graph, index, 0, &o)) return false;
    bool matmul = dp_node_is(node, "MatMul");
    bool bias = !matmul && !dp_node_lacks(node, 2);
    if (o.outputs != w->channels || dp_operand_channels(w->graph, &o) != w->axis ||
        w->uses[node->in[o.weight_in]] != 1 || (bias && !dp_node_floats(w->graph, node, 2)))
        return false;
    if (!add_scaling(w, index, o.weight_in, DP_ROWS)) return false;
    if (o.spatial && bias) w->axis = -1; /* a bias of Conv is a vector */
    return !bias || add_scaling(w, index, 2, DP_MULTIPLIED);
}

/* Scale and shift of a normalisation, one of each a channel. */
static bool ends_in_norm(search *w, int index) {
    const dp_node *node = &w->graph->nodes[index];
    int rank = w->graph->values[node->in[0]].rank;
    bool spatial =
        dp_node_is(node, "BatchNormalization") || dp_node_is(node, "InstanceNormalization");
    bool last = dp_node_is(node, "LayerNormalization") || dp_node_is(node, "RMSNormalization") ||
                dp_node_is(node, "SimplifiedLayerNormalization");
    if (!spatial && !last) return false;
    if (spatial ? rank < 2 || w->axis != 1 - rank : w->axis != -1) return false;
    for (int k = 1; k < node->n_in && k <= 2; k++) {
        const dp_tensor *t = dp_node_floats(w->graph, node, k);
        if (!t || t->rank != 1 || t->dim[0] != w->channels) return false;
    }
    w->axis = -1;
    if (dp_node_lacks(node, 1) || !add_scaling(w, index, 1, DP_MULTIPLIED)) return false;
    return dp_node_lacks(node, 2) || add_scaling(w, index, 2, DP_MULTIPLIED);
}

typedef enum stop { GOES_ON, ENDS, FAILS } stop;

/* The value has all the channels, and is not stretched to them by the constant that it meets. */
static bool has_channels(const search *w, int value, const dp_tensor *constant) {
    const dp_value *v = &w->graph->values[value];
    int axis = constant->rank + w->axis;
    if (axis < 0 || constant->dim[axis] == 1) return true;
    return v->rank >= -w->axis && v->dim[v->rank + w->axis] == w->channels;
}

/* x + c and x - c hand alpha on to both; x * c and x / c take it into c. *next: the input from which it comes. */
static stop with_constant(search *w, int index, int *next) {
    const dp_node *node = &w->graph->nodes[index];
    bool sum = dp_node_is(node, "Add") || dp_node_is(node, "Sub"),
         divides = dp_node_is(node, "Div");
    if ((!sum && !divides && !dp_node_is(node, "Mul")) || node->n_in != 2) return FAILS;
    int k = dp_node_floats(w->graph, node, 1) ? 1 : 0, value = node->in[1 - k];
    const dp_tensor *t = dp_node_floats(w->graph, node, k);
    if (!t || value < 0 || (divides && k == 0) || (sum && !has_channels(w, value, t))) return FAILS;
    *next = 1 - k;
    if (!add_scaling(w, index, k, divides ? DP_DIVIDED : DP_MULTIPLIED)) return FAILS;
    return sum ? GOES_ON : ENDS;
}

static stop step(search *w, int index, int *next) {
    const dp_node *node = &w->graph->nodes[index];
    *next = 0;
    for (int k = 1; k < node->n_out; k++)
        if (node->out[k] >= 0 && w->uses[node->out[k]]) return FAILS;
    if (node->n_in < 1 || node->in[0] < 0) return FAILS;
    if (ends_in_product(w, index) || ends_in_norm(w, index)) return ENDS;
    if (hands_on(w->graph, node, w->axis)) return GOES_ON;
    if (reshapes(node)) return (w->axis = axis_before(w, node)) ? GOES_ON : FAILS;
    return with_constant(w, index, next);
}

bool dp_condition_find_way(const dp_graph *graph, const int *uses, const dp_operand *o,
                           dp_way *way) {
    search w = {graph, uses, o->inputs, o->axis, way};
    int value = graph->nodes[o->node].in[o->input_in], next;
    way->count = 0;
    for (;;) {
        int producer = graph->values[value].producer;
        if (producer < 0 || graph->nodes[producer].guard != graph->nodes[o->node].guard)
            return false;
        stop found = step(&w, producer, &next);
        if (found != GOES_ON) return found == ENDS;
        value = graph->nodes[producer].in[next];
        if (uses[value] != 1) return false;
    }
}

/* ---- doing it ---- */

/* Make *t, taken over, input k of a node, if all of it is finite. */
static dp_status replace(dp_graph *graph, dp_node *node, int k, dp_tensor *t, dp_error *err) {
    const char *name = graph->values[node->in[k]].name;
    int64_t count = dp_tensor_count(t);
    for (int64_t i = 0; i < count; i++)
        if (!isfinite(((const float *)t->data)[i])) {
            dp_tensor_clear(t);
            return dp_fail(err, DP_ERANGE,
                           "%s: node '%s' (%s): '%s' times or over its alpha is no float32",
                           graph->path, node->name, node->op_type, name);
        }
    int value = dp_graph_add_constant(graph, name, t);
    if (value < 0) return dp_condition_no_memory(graph, err);
    node->in[k] = value;
    return DP_OK;
}

static dp_status scale_product(dp_graph *graph, const dp_operand *o, const float *alpha, bool rows,
                               dp_error *err) {
    dp_node *node = &graph->nodes[o->node];
    const dp_tensor *w = dp_node_floats(graph, node, o->weight_in);
    dp_tensor t = *w;
    t.borrowed = false;
    dp_status status = dp_tensor_allocate(&t, err);
    int64_t count = dp_tensor_count(w);
    for (int64_t e = 0; status == DP_OK && e < count; e++) {
        dp_weight_place at = dp_operand_place(o, e);
        double was = (double)((const float *)w->data)[e];
        ((float *)t.data)[e] =
            (float)(rows ? was * (double)alpha[at.output] : was / (double)alpha[at.input]);
    }
    return status == DP_OK ? replace(graph, node, o->weight_in, &t, err) : status;
}

dp_status dp_condition_divide(dp_graph *graph, const dp_operand *o, const float *alpha,
                              dp_error *err) {
    return scale_product(graph, o, alpha, false, err);
}

/* The constant along an axis that it may lack: then it gets one. */
static dp_status scale_constant(dp_graph *graph, const dp_scaling *s, const float *alpha,
                                int64_t channels, dp_error *err) {
    dp_node *node = &graph->nodes[s->node];
    const dp_tensor *old = dp_node_floats(graph, node, s->k);
    int64_t dim[DP_MAX_RANK] = {0}, inner = 1;
    int rank = old->rank > -s->axis ? old->rank : -s->axis;
    for (int i = 0; i < rank; i++)
        dim[i] = i < rank - old->rank ? 1 : old->dim[i - rank + old->rank];
    bool wide = dim[rank + s->axis] != 1;
    dim[rank + s->axis] = channels;
    for (int i = rank + s->axis + 1; i < rank; i++) inner *= dim[i];
    dp_tensor t = {0};
    dp_tensor_reshape(&t, DP_F32, rank, dim);
    dp_status status = dp_tensor_allocate(&t, err);
    if (status != DP_OK) return status;
    int64_t count = dp_tensor_count(&t);
    for (int64_t i = 0; i < count; i++) {
        int64_t from = wide ? i : i / (inner * channels) * inner + i % inner;
        double was = (double)((const float *)old->data)[from];
        double factor = (double)alpha[i / inner % channels];
        ((float *)t.data)[i] = (float)(s->how == DP_DIVIDED ? was / factor : was * factor);
    }
    return replace(graph, node, s->k, &t, err);
}

dp_status dp_condition_scale_way(dp_graph *graph, const dp_way *way, int64_t channels,
                                 const float *alpha, dp_error *err) {
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < way->count; i++) {
        const dp_scaling *s = &way->scalings[i];
        dp_operand o;
        if (s->how == DP_ROWS && dp_operand_read(graph, s->node, 0, &o))
            status = scale_product(graph, &o, alpha, true, err);
        else
            status = scale_constant(graph, s, alpha, channels, err);
    }
    return status;
}
