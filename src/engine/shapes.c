/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/shapes.h"

#include <string.h>

#include "engine/plan.h"

/* What stands for free dimensions: the samples', and all others (which even deep networks can halve five times). */
typedef struct guess {
    int64_t samples, other;
} guess;

static bool no_sites(const void *self, const dp_node *node) {
    (void)self;
    (void)node;
    return true;
}

static bool set_input(const dp_value *value, const guess *g, dp_tensor *t) {
    if (value->rank < 0 || value->dtype == DP_NONE) return false;
    dp_tensor_reshape(t, value->dtype, value->rank, value->dim);
    for (int i = 0; i < value->rank; i++)
        if (t->dim[i] < 0) t->dim[i] = i == 0 ? g->samples : g->other;
    return true;
}

static dp_status plan(dp_plan **out, const dp_graph *graph, const guess *g, dp_error *err) {
    dp_tensor *inputs = dp_alloc((size_t)graph->n_inputs, sizeof *inputs);
    dp_plan_options options = {
        .samples = g->samples, .inputs = inputs, .target = -1, .digital = no_sites};
    bool known = inputs != NULL;
    *out = NULL;
    for (int i = 0; known && i < graph->n_inputs; i++)
        known = set_input(&graph->values[graph->inputs[i]], g, &inputs[i]);
    dp_status status = known ? dp_plan_create(out, graph, &options, err) : DP_EFORMAT;
    if (!inputs) status = dp_fail(err, DP_EMEMORY, "%s: no memory for shapes", graph->path);
    dp_free(inputs);
    return status;
}

static void agree(dp_value *value, const dp_tensor *a, const dp_tensor *b) {
    if (a->dtype == DP_NONE || a->dtype != b->dtype || a->rank != b->rank || value->constant)
        return;
    value->dtype = a->dtype;
    value->rank = a->rank;
    for (int i = 0; i < a->rank; i++) value->dim[i] = a->dim[i] == b->dim[i] ? a->dim[i] : -1;
}

dp_status dp_graph_find_shapes(dp_graph *graph, dp_error *err) {
    static const guess guesses[2] = {{2, 64}, {3, 96}};
    dp_plan *plans[2] = {NULL, NULL};
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < 2; i++)
        status = plan(&plans[i], graph, &guesses[i], err);
    for (int v = 0; status == DP_OK && v < graph->n_values; v++)
        agree(&graph->values[v], &plans[0]->values[v], &plans[1]->values[v]);
    for (int i = 0; i < 2; i++) dp_plan_free(plans[i]);
    return status == DP_EMEMORY ? status : DP_OK;
}
