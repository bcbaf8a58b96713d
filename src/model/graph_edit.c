/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/graph_edit.h"

#include <stdio.h>
#include <string.h>

#include "model/op.h"

static bool copy_ints(dp_arena *arena, const int *from, int count, int **to) {
    *to = dp_arena_alloc(arena, (size_t)count, sizeof **to);
    if (*to && count) memcpy(*to, from, (size_t)count * sizeof **to);
    return *to != NULL;
}

static bool borrow_attrs(dp_arena *arena, dp_node *to, const dp_node *from) {
    to->attrs = dp_arena_alloc(arena, (size_t)from->n_attrs, sizeof *to->attrs);
    if (!to->attrs) return false;
    for (int i = 0; i < from->n_attrs; i++) {
        to->attrs[i] = from->attrs[i];
        to->attrs[i].tensor.borrowed = true;
    }
    return true;
}

static bool borrow_node(dp_graph *to, const dp_node *from) {
    dp_node *node = &to->nodes[to->n_nodes];
    *node = *from;
    node->n_attrs = 0;
    if (!copy_ints(&to->arena, from->in, from->n_in, &node->in) ||
        !copy_ints(&to->arena, from->out, from->n_out, &node->out) ||
        !borrow_attrs(&to->arena, node, from))
        return false;
    node->n_attrs = from->n_attrs;
    to->n_nodes++;
    return true;
}

static bool borrow_values(dp_graph *to, const dp_graph *from) {
    size_t count = (size_t)from->n_values;
    to->values = dp_grow(NULL, &to->value_room, count, sizeof *to->values);
    if (!to->values) return false;
    for (; to->n_values < from->n_values; to->n_values++) {
        dp_value *value = &to->values[to->n_values];
        *value = from->values[to->n_values];
        if (!value->constant) continue;
        const dp_tensor *constant = value->constant;
        value->constant = dp_arena_alloc(&to->arena, 1, sizeof *constant);
        if (!value->constant) return false;
        *value->constant = *constant;
        value->constant->borrowed = true;
    }
    return true;
}

static bool borrow_guards(dp_graph *to, const dp_graph *from) {
    to->guards = dp_grow(NULL, &to->guard_room, (size_t)from->n_guards, sizeof *to->guards);
    if (!to->guards) return false;
    if (from->n_guards)
        memcpy(to->guards, from->guards, (size_t)from->n_guards * sizeof *to->guards);
    to->n_guards = from->n_guards;
    return true;
}

static bool borrow(dp_graph *to, const dp_graph *from, int room) {
    to->path = from->path;
    memcpy(to->sha256, from->sha256, sizeof to->sha256);
    to->nodes = dp_arena_alloc(&to->arena, (size_t)from->n_nodes + (size_t)room, sizeof *to->nodes);
    if (!to->nodes || !borrow_values(to, from) || !borrow_guards(to, from) ||
        !copy_ints(&to->arena, from->inputs, from->n_inputs, &to->inputs) ||
        !copy_ints(&to->arena, from->outputs, from->n_outputs, &to->outputs))
        return false;
    to->n_inputs = from->n_inputs;
    to->n_outputs = from->n_outputs;
    for (int n = 0; n < from->n_nodes; n++)
        if (!borrow_node(to, &from->nodes[n])) return false;
    return true;
}

dp_status dp_graph_borrow(dp_graph **out, const dp_graph *graph, int room, dp_error *err) {
    *out = NULL;
    for (int n = 0; n < graph->n_nodes; n++)
        for (int k = 0; k < graph->nodes[n].n_attrs; k++)
            if (graph->nodes[n].attrs[k].graph)
                return dp_fail(err, DP_EUNSUPPORTED,
                               "%s: node '%s' (%s) has a subgraph, which cannot be rewritten",
                               graph->path, graph->nodes[n].name, graph->nodes[n].op_type);
    dp_graph *copy = dp_alloc(1, sizeof *copy);
    if (copy && borrow(copy, graph, room)) {
        *out = copy;
        return DP_OK;
    }
    dp_graph_free(copy);
    return dp_fail(err, DP_EMEMORY, "%s: no memory for another graph", graph->path);
}

static const char *join(dp_graph *graph, const char *name, const char *suffix) {
    size_t size = strlen(name) + strlen(suffix) + 1;
    char *text = dp_arena_alloc(&graph->arena, size, 1);
    if (text) snprintf(text, size, "%s%s", name, suffix);
    return text;
}

int dp_graph_value_like(dp_graph *graph, int like, const char *suffix) {
    const char *name = join(graph, graph->values[like].name, suffix);
    int value = name ? dp_graph_add_value(graph, name) : -1;
    if (value < 0) return -1;
    dp_value *made = &graph->values[value];
    const dp_value *from = &graph->values[like];
    made->dtype = from->dtype;
    made->rank = from->rank;
    memcpy(made->dim, from->dim, sizeof made->dim);
    return value;
}

int dp_graph_add_constant(dp_graph *graph, const char *name, dp_tensor *t) {
    int value = dp_graph_add_value(graph, name);
    if (value >= 0 && dp_graph_set_constant(graph, value, t)) return value;
    dp_tensor_clear(t);
    return -1;
}

dp_node *dp_graph_add_node(dp_graph *graph, const dp_new_node *what) {
    const dp_op *op = dp_op_find(what->op, "", what->beside->opset);
    const char *name = join(graph, what->beside->name, what->suffix);
    int *in = NULL, *out = NULL;
    if (!op || !name || !copy_ints(&graph->arena, what->in, what->n_in, &in) ||
        !copy_ints(&graph->arena, &what->out, 1, &out))
        return NULL;
    dp_node *node = &graph->nodes[graph->n_nodes];
    *node = (dp_node){.name = name,
                      .added = true,
                      .op_type = op->type,
                      .domain = op->domain,
                      .opset = what->beside->opset,
                      .n_in = what->n_in,
                      .n_out = 1,
                      .in = in,
                      .out = out,
                      .op = op,
                      .guard = what->beside->guard};
    graph->values[what->out].producer = graph->n_nodes++;
    return node;
}

bool dp_node_set_input(dp_graph *graph, dp_node *node, int k, int value) {
    if (k >= node->n_in) {
        int *in = dp_arena_alloc(&graph->arena, (size_t)k + 1, sizeof *in);
        if (!in) return false;
        for (int i = 0; i <= k; i++) in[i] = i < node->n_in ? node->in[i] : -1;
        node->in = in;
        node->n_in = k + 1;
    }
    node->in[k] = value;
    return true;
}

bool dp_node_set_attr(dp_graph *graph, dp_node *node, const dp_attr *attr) {
    int at = 0;
    while (at < node->n_attrs && strcmp(node->attrs[at].name, attr->name) != 0) at++;
    if (at == node->n_attrs) {
        dp_attr *attrs = dp_arena_alloc(&graph->arena, (size_t)at + 1, sizeof *attrs);
        if (!attrs) return false;
        if (at) memcpy(attrs, node->attrs, (size_t)at * sizeof *attrs);
        node->attrs = attrs;
        node->n_attrs++;
    }
    node->attrs[at] = *attr;
    return true;
}

bool dp_node_is(const dp_node *node, const char *type) {
    return !node->domain[0] && strcmp(node->op_type, type) == 0;
}

bool dp_node_lacks(const dp_node *node, int k) {
    return k >= node->n_in || node->in[k] < 0;
}

const dp_tensor *dp_node_floats(const dp_graph *graph, const dp_node *node, int k) {
    const dp_tensor *t = dp_node_lacks(node, k) ? NULL : graph->values[node->in[k]].constant;
    return t && t->dtype == DP_F32 ? t : NULL;
}

int dp_graph_reader(const dp_graph *graph, int value, int *k) {
    int found = -1;
    for (int i = 0; i < graph->n_outputs; i++)
        if (graph->outputs[i] == value) return -1;
    for (int n = 0; n < graph->n_nodes; n++)
        for (int i = 0; i < graph->nodes[n].n_in; i++) {
            if (graph->nodes[n].in[i] != value) continue;
            if (found >= 0) return -1;
            found = n;
            *k = i;
        }
    return found;
}

int *dp_graph_uses(const dp_graph *graph) {
    int *uses = dp_alloc((size_t)graph->n_values, sizeof *uses);
    if (!uses) return NULL;
    for (int i = 0; i < graph->n_outputs; i++) uses[graph->outputs[i]]++;
    for (int n = 0; n < graph->n_nodes; n++)
        for (int k = 0; k < graph->nodes[n].n_in; k++)
            if (graph->nodes[n].in[k] >= 0) uses[graph->nodes[n].in[k]]++;
    return uses;
}
