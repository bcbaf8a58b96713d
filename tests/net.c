/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "net.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dynaprec/engine.h"
#include "dynaprec/npz.h"
#include "oracle.h"
#include "scratch.h"
#include "suites.h"

void net_open(net *n, uint64_t seed) {
    n->seed = seed;
    n->graph = dp_alloc(1, sizeof *n->graph);
    dp_graph *g = n->graph;
    g->path = "net.onnx";
    memset(g->sha256, '0', 64);
    g->nodes = dp_arena_alloc(&g->arena, NET_MOST_NODES, sizeof *g->nodes);
    g->inputs = dp_arena_alloc(&g->arena, NET_MOST_NODES, sizeof *g->inputs);
    g->outputs = dp_arena_alloc(&g->arena, NET_MOST_NODES, sizeof *g->outputs);
}

void net_close(net *n) {
    dp_graph_free(n->graph);
    n->graph = NULL;
}

static int add_value(net *n, const char *prefix) {
    char name[64];
    snprintf(name, sizeof name, "%s%d", prefix, n->graph->n_values);
    int value = dp_graph_add_value(n->graph, name);
    ck_assert_int_ge(value, 0);
    return value;
}

int net_input(net *n, const char *name, dp_dtype dtype, int rank, const int64_t *dim) {
    int value = dp_graph_add_value(n->graph, name);
    dp_value *v = &n->graph->values[value];
    v->dtype = dtype;
    v->rank = rank;
    memcpy(v->dim, dim, (size_t)rank * sizeof *dim);
    n->graph->inputs[n->graph->n_inputs++] = value;
    return value;
}

static int add_constant(net *n, const char *prefix, dp_tensor *t) {
    int value = add_value(n, prefix);
    ck_assert(dp_graph_set_constant(n->graph, value, t));
    return value;
}

int net_weights(net *n, int rank, const int64_t *dim, float size) {
    dp_tensor t = {0};
    dp_tensor_reshape(&t, DP_F32, rank, dim);
    ck_dp_ok(dp_tensor_allocate(&t, &err));
    uint64_t state = n->seed++ << 20;
    for (int64_t i = 0; i < dp_tensor_count(&t); i++)
        ((float *)t.data)[i] = size * oracle_random(&state);
    return add_constant(n, "w", &t);
}

int net_ints(net *n, int count, const int64_t *values) {
    dp_tensor t = {0};
    dp_tensor_reshape(&t, DP_I64, 1, NET_DIM(count));
    ck_dp_ok(dp_tensor_allocate(&t, &err));
    memcpy(t.data, values, (size_t)count * sizeof *values);
    return add_constant(n, "ints", &t);
}

static void copy_attrs(net *n, dp_node *node, const dp_attr *attrs) {
    while (attrs && attrs[node->n_attrs].name) node->n_attrs++;
    node->attrs = dp_arena_alloc(&n->graph->arena, (size_t)node->n_attrs + 1, sizeof *attrs);
    for (int i = 0; i < node->n_attrs; i++) {
        node->attrs[i] = attrs[i];
        if (attrs[i].kind != DP_ATTR_INTS) continue;
        size_t count = (size_t)attrs[i].count;
        int64_t *ints = dp_arena_alloc(&n->graph->arena, count, sizeof *ints);
        memcpy(ints, attrs[i].ints, count * sizeof *ints);
        node->attrs[i].ints = ints;
    }
}

int net_op_outputs(net *n, const char *op, const int *in, const dp_attr *attrs, int outputs) {
    dp_graph *g = n->graph;
    ck_assert_int_lt(g->n_nodes, NET_MOST_NODES);
    int index = g->n_nodes++;
    dp_node *node = &g->nodes[index];
    char name[64];
    snprintf(name, sizeof name, "%s_%d", op, index);
    *node = (dp_node){.name = dp_arena_strdup(&g->arena, name),
                      .op_type = op,
                      .domain = "",
                      .opset = 15,
                      .n_out = outputs,
                      .op = dp_op_find(op, "", 15)};
    ck_assert_msg(node->op != NULL, "no operator %s", op);
    while (in[node->n_in] != NET_END) node->n_in++;
    node->in = dp_arena_alloc(&g->arena, (size_t)node->n_in, sizeof *node->in);
    memcpy(node->in, in, (size_t)node->n_in * sizeof *in);
    copy_attrs(n, node, attrs);
    node->out = dp_arena_alloc(&g->arena, (size_t)outputs, sizeof *node->out);
    for (int k = 0; k < outputs; k++) {
        node->out[k] = add_value(n, "v");
        g->values[node->out[k]].producer = index;
    }
    return node->out[0];
}

int net_op(net *n, const char *op, const int *in, const dp_attr *attrs) {
    return net_op_outputs(n, op, in, attrs, 1);
}

int net_conv(net *n, int x, const int64_t dim[4], const dp_attr *attrs) {
    float size = sqrtf(3.0F / (float)(dim[1] * dim[2] * dim[3]));
    int w = net_weights(n, 4, dim, size), b = net_weights(n, 1, dim, 0.1F);
    return net_op(n, "Conv", NET_IN(x, w, b), attrs);
}

int net_linear(net *n, int x, int64_t outputs, int64_t inputs) {
    int w = net_weights(n, 2, NET_DIM(outputs, inputs), sqrtf(3.0F / (float)inputs));
    int b = net_weights(n, 1, NET_DIM(outputs), 0.1F);
    return net_op(n, "Gemm", NET_IN(x, w, b), (dp_attr[]){OP_INT("transB", 1), {0}});
}

int net_matmul(net *n, int x, int64_t outputs, int64_t inputs) {
    int w = net_weights(n, 2, NET_DIM(inputs, outputs), sqrtf(3.0F / (float)inputs));
    return net_op(n, "MatMul", NET_IN(x, w), NULL);
}

int net_reshape(net *n, int x, int rank, const int64_t *dim) {
    int shape = net_ints(n, rank, dim);
    return net_op(n, "Reshape", NET_IN(x, shape), NULL);
}

void net_output(net *n, int value) {
    n->graph->outputs[n->graph->n_outputs++] = value;
}

const char *net_node_name(const net *n, int value) {
    return n->graph->nodes[n->graph->values[value].producer].name;
}

double net_normal(uint64_t *state) {
    double sum = 0; /* of 48 uniforms: kurtosis 3 - 0.025 */
    for (int i = 0; i < 48; i++) sum += (double)oracle_random(state);
    return sum / 4;
}

static void fill(dp_tensor *t, const net_data *what, uint64_t *state) {
    ck_dp_ok(dp_tensor_allocate(t, &err));
    ck_assert_int_eq(t->dtype, DP_F32);
    for (int64_t i = 0; i < dp_tensor_count(t); i++)
        ((float *)t->data)[i] = what->spread * (float)net_normal(state);
}

dp_dataset *net_dataset(const net *n, const net_data *what) {
    static int files;
    static char labels[] = "y";
    char name[32];
    dp_array arrays[9] = {{0}};
    dp_input_spec specs[8];
    int inputs = n->graph->n_inputs, count = inputs;
    uint64_t state = what->seed << 32;
    dp_engine_inputs(n->graph, specs);
    for (int k = 0; k < inputs; k++) {
        arrays[k].name = (char *)(uintptr_t)specs[k].name;
        dp_tensor_reshape(&arrays[k].tensor, specs[k].dtype, specs[k].rank, specs[k].dim);
        arrays[k].tensor.dim[0] = what->samples;
        fill(&arrays[k].tensor, what, &state);
    }
    if (what->labels) {
        dp_tensor *y = &arrays[count].tensor;
        arrays[count++].name = labels;
        dp_tensor_reshape(y, DP_I64, what->labels > 1 ? 2 : 1,
                          NET_DIM(what->samples, what->labels));
        if (what->height)
            dp_tensor_reshape(y, DP_I64, 3,
                              NET_DIM(what->samples, what->height, what->labels / what->height));
        ck_dp_ok(dp_tensor_allocate(y, &err));
        for (int64_t i = 0; i < dp_tensor_count(y); i++)
            ((int64_t *)y->data)[i] =
                (int64_t)((0.5 + 0.5 * (double)oracle_random(&state)) * (double)what->classes);
    }
    snprintf(name, sizeof name, "data%d.npz", files++);
    dp_dataset *data = NULL;
    ck_dp_ok(dp_npz_write(scratch(name), arrays, (size_t)count, &err));
    ck_dp_ok(dp_dataset_open(&data, scratch(name), specs, inputs, NULL, &err));
    for (int k = 0; k < count; k++) dp_tensor_clear(&arrays[k].tensor);
    return data;
}

dp_hardware net_hardware(const char *const *sources, const double *parameters) {
    dp_hardware h = {.name = "bench",
                     .source = "a test",
                     .percentile = 100,
                     .signed_inputs = true,
                     .energy = {.model = "per-mac", .parameters = {1e-18}},
                     .repetitions_min = 1,
                     .repetitions_max = 65536,
                     .levels = DP_LEVELS_INTEGER,
                     .granularities = DP_GRAIN_LAYER | DP_GRAIN_CHANNEL | DP_GRAIN_TILE,
                     .average_analog = true};
    memset(h.sha256, '0', 64);
    for (; sources && sources[h.n_noise]; h.n_noise++) {
        dp_component *c = &h.noise[h.n_noise];
        snprintf(c->model, sizeof c->model, "%s", sources[h.n_noise]);
        c->parameters[0] = parameters[h.n_noise];
    }
    return h;
}
