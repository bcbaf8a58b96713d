/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditioning. Two things are held of every rewriting: the outputs stay what they were within float32 rounding, and the site reads
 * what it is said to read, found in the new graph by its nodes.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dynaprec/conditioning.h"
#include "dynaprec/run.h"
#include "net.h"
#include "oracle.h"
#include "suites.h"

enum { MOST_INPUTS = 4 };

static float *random_vector(int64_t count, uint64_t seed) {
    return oracle_randoms(seed, count);
}

/* Random arrays for all inputs, free dimensions of 3 samples and 5 others; clear with dp_npz_clear. */
static dp_npz random_inputs(const dp_graph *graph) {
    dp_npz inputs = {.arrays = dp_alloc((size_t)graph->n_inputs, sizeof *inputs.arrays)};
    ck_assert_ptr_nonnull(inputs.arrays);
    for (int i = 0; i < graph->n_inputs; i++, inputs.count++) {
        const dp_value *value = &graph->values[graph->inputs[i]];
        dp_tensor *t = &inputs.arrays[i].tensor;
        inputs.arrays[i].name = dp_strdup(value->name);
        dp_tensor_reshape(t, DP_F32, value->rank, value->dim);
        for (int k = 0; k < t->rank; k++)
            if (t->dim[k] < 0) t->dim[k] = k == 0 ? 3 : 5;
        t->data = random_vector(dp_tensor_count(t), 100 + (uint64_t)i);
    }
    return inputs;
}

static void check_same(const dp_tensor *a, const dp_tensor *b, double tolerance) {
    const float *x = a->data, *y = b->data;
    double largest = 0, difference = 0;
    ck_assert(dp_tensor_same_shape(a, b));
    for (int64_t i = 0; i < dp_tensor_count(a); i++) {
        largest = fmax(largest, fabs((double)x[i]));
        difference = fmax(difference, fabs((double)x[i] - (double)y[i]));
        ck_assert(isfinite(y[i]));
    }
    ck_assert_msg(difference <= tolerance * fmax(largest, 1), "outputs differ by %g of %g",
                  difference, largest);
}

/* Both graphs give the same outputs, under the same names, on random inputs. */
static void check_equal(const dp_graph *graph, const dp_graph *other, double tolerance) {
    dp_npz inputs = random_inputs(graph), a = {0}, b = {0};
    ck_dp_ok(dp_run_whole(&a, graph, &inputs, &err));
    ck_dp_ok(dp_run_whole(&b, other, &inputs, &err));
    ck_assert_uint_eq(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        ck_assert_str_eq(a.arrays[i].name, b.arrays[i].name);
        check_same(&a.arrays[i].tensor, &b.arrays[i].tensor, tolerance);
    }
    dp_npz_clear(&inputs);
    dp_npz_clear(&a);
    dp_npz_clear(&b);
}

static const dp_node *find_node(const dp_graph *graph, const char *name) {
    for (int n = 0; n < graph->n_nodes; n++)
        if (strcmp(graph->nodes[n].name, name) == 0) return &graph->nodes[n];
    ck_abort_msg("no node '%s'", name);
}

/* The node that makes input k of a node. */
static const dp_node *producer(const dp_graph *graph, const dp_node *node, int k) {
    int made = graph->values[node->in[k]].producer;
    ck_assert_int_ge(made, 0);
    return &graph->nodes[made];
}

static dp_conditionable allowed(const dp_graph *graph, const char *site) {
    dp_conditionables list;
    dp_conditionable found = {0};
    ck_dp_ok(dp_graph_conditionable(&list, graph, &err));
    for (int i = 0; i < list.count; i++)
        if (strcmp(list.sites[i].site, site) == 0) found = list.sites[i];
    dp_conditionables_clear(&list);
    return found;
}

/* ---- centring ---- */

/* A network with one site of interest: its node is the one that makes the value that is returned. */
typedef struct centred_case {
    const char *name;
    int (*build)(net *n);
    int input_in;
    bool adds_outputs;
} centred_case;

#define X(...) net_input(n, "x", DP_F32, sizeof((int64_t[]){__VA_ARGS__}) / 8, NET_DIM(__VA_ARGS__))
#define ATTRS(...)                                                                                 \
    (dp_attr[]) {                                                                                  \
        __VA_ARGS__, {                                                                             \
            0                                                                                      \
        }                                                                                          \
    }

static int conv_pointwise(net *n) {
    return net_conv(n, X(-1, 4, -1, -1), NET_DIM(6, 4, 1, 1), NULL);
}

static int conv_valid(net *n) {
    return net_conv(n, X(-1, 4, 7, 6), NET_DIM(6, 4, 3, 3), NULL);
}

static int conv_padded(net *n) {
    return net_conv(n, X(-1, 4, 7, 6), NET_DIM(6, 4, 3, 3), ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int conv_lopsided(net *n) {
    return net_conv(n, X(-1, 4, 7, 6), NET_DIM(6, 2, 3, 2),
                    ATTRS(OP_INT("group", 2), OP_INTS("pads", 0, 2, 3, 1), OP_INTS("strides", 2, 1),
                          OP_INTS("dilations", 2, 1)));
}

static int conv_same(net *n) {
    return net_conv(n, X(-1, 4, 7, 6), NET_DIM(6, 4, 4, 3),
                    ATTRS(OP_STRING("auto_pad", "SAME_UPPER"), OP_INTS("strides", 2, 2)));
}

static int conv_depthwise(net *n) {
    return net_conv(n, X(-1, 4, 7, 6), NET_DIM(4, 1, 3, 3),
                    ATTRS(OP_INT("group", 4), OP_INTS("pads", 1, 1, 1, 1)));
}

static int conv_unbiased(net *n) {
    int x = X(-1, 4, 7, 6), w = net_weights(n, 4, NET_DIM(6, 4, 3, 3), 1);
    return net_op(n, "Conv", NET_IN(x, w), NULL);
}

static int conv_one_axis(net *n) {
    int x = X(-1, 4, 9), w = net_weights(n, 3, NET_DIM(6, 4, 3), 1);
    return net_op(n, "Conv", NET_IN(x, w), ATTRS(OP_INTS("pads", 2, 0)));
}

static int conv_three_axes(net *n) {
    int x = X(-1, 2, 3, 4, 5), w = net_weights(n, 5, NET_DIM(3, 2, 2, 3, 3), 1);
    return net_op(n, "Conv", NET_IN(x, w), ATTRS(OP_INTS("pads", 1, 1, 0, 0, 1, 2)));
}

static int conv_behind_flexible_batch(net *n) {
    int x = X(-1, 4, 8, 8);
    x = net_conv(n, x, NET_DIM(5, 4, 3, 3), ATTRS(OP_INTS("strides", 2, 2)));
    return net_conv(n, net_op(n, "Relu", NET_IN(x), NULL), NET_DIM(6, 5, 3, 3),
                    ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int transposed(net *n) {
    int x = X(-1, 4, 5, 3), w = net_weights(n, 4, NET_DIM(4, 3, 3, 2), 1);
    return net_op(n, "ConvTranspose", NET_IN(x, w),
                  ATTRS(OP_INTS("strides", 2, 3), OP_INTS("pads", 1, 0, 0, 1), OP_INT("group", 2),
                        OP_INTS("output_padding", 1, 0)));
}

static int transposed_pointwise(net *n) {
    int x = X(-1, 4, 5, 3), w = net_weights(n, 4, NET_DIM(4, 3, 1, 1), 1);
    return net_op(n, "ConvTranspose", NET_IN(x, w), NULL);
}

static int gemm(net *n) {
    return net_linear(n, X(-1, 5), 6, 5);
}

static int gemm_scaled(net *n) {
    int x = X(5, -1), w = net_weights(n, 2, NET_DIM(5, 6), 1), c = net_weights(n, 0, NULL, 1);
    return net_op(n, "Gemm", NET_IN(x, w, c),
                  ATTRS(OP_INT("transA", 1), OP_FLOAT("alpha", 1.5F), OP_FLOAT("beta", -2)));
}

static int gemm_unbiased(net *n) {
    int x = X(-1, 5), w = net_weights(n, 2, NET_DIM(5, 6), 1);
    return net_op(n, "Gemm", NET_IN(x, w), ATTRS(OP_FLOAT("alpha", 0.5F)));
}

static int gemm_free_bias(net *n) {
    int x = X(-1, 5), c = net_input(n, "c", DP_F32, 2, NET_DIM(-1, 6));
    int w = net_weights(n, 2, NET_DIM(5, 6), 1);
    return net_op(n, "Gemm", NET_IN(x, w, c), ATTRS(OP_FLOAT("alpha", 2)));
}

static int gemm_left(net *n) {
    int x = X(5, -1), w = net_weights(n, 2, NET_DIM(6, 5), 1),
        c = net_weights(n, 2, NET_DIM(6, 1), 1);
    return net_op(n, "Gemm", NET_IN(w, x, c), NULL);
}

static int gemm_left_transposed(net *n) {
    int x = X(4, 5), w = net_weights(n, 2, NET_DIM(5, 6), 1), c = net_weights(n, 1, NET_DIM(4), 1);
    return net_op(n, "Gemm", NET_IN(w, x, c), ATTRS(OP_INT("transA", 1), OP_INT("transB", 1)));
}

static int matmul(net *n) {
    return net_matmul(n, X(-1, 3, 5), 6, 5);
}

static int matmul_vector(net *n) {
    return net_matmul(n, X(5), 6, 5);
}

static int matmul_left(net *n) {
    int x = X(-1, 5, 4), w = net_weights(n, 2, NET_DIM(6, 5), 1);
    return net_op(n, "MatMul", NET_IN(w, x), NULL);
}

static int matmul_left_vector(net *n) {
    int x = X(5), w = net_weights(n, 2, NET_DIM(6, 5), 1);
    return net_op(n, "MatMul", NET_IN(w, x), NULL);
}

static int add_after(net *n, int y, int b) {
    net_output(n, net_op(n, "Add", NET_IN(b, y), NULL));
    return y;
}

static int matmul_biased(net *n) {
    int y = net_matmul(n, X(-1, 3, 5), 6, 5);
    return add_after(n, y, net_weights(n, 1, NET_DIM(6), 1));
}

static int matmul_with_one_number_added(net *n) {
    int y = net_matmul(n, X(-1, 3, 5), 6, 5);
    return add_after(n, y, net_weights(n, 0, NULL, 1));
}

static int matmul_with_rows_added(net *n) {
    int y = net_matmul(n, X(-1, 6, 5), 6, 5);
    return add_after(n, y, net_weights(n, 2, NET_DIM(6, 1), 1));
}

static int matmul_left_biased(net *n) {
    int x = X(-1, 5, 4), w = net_weights(n, 2, NET_DIM(6, 5), 1);
    int y = net_op(n, "MatMul", NET_IN(w, x), NULL);
    return add_after(n, y, net_weights(n, 3, NET_DIM(1, 6, 1), 1));
}

static int lstm(net *n) {
    int x = X(4, -1, 3), w = net_weights(n, 3, NET_DIM(2, 20, 3), 1);
    int r = net_weights(n, 3, NET_DIM(2, 20, 5), 0.5F), b = net_weights(n, 2, NET_DIM(2, 40), 1);
    return net_op(n, "LSTM", NET_IN(x, w, r, b),
                  ATTRS(OP_INT("hidden_size", 5), OP_STRING("direction", "bidirectional")));
}

static int gru_unbiased(net *n) {
    int x = X(4, -1, 3), w = net_weights(n, 3, NET_DIM(1, 15, 3), 1);
    int r = net_weights(n, 3, NET_DIM(1, 15, 5), 0.5F);
    return net_op(n, "GRU", NET_IN(x, w, r),
                  ATTRS(OP_INT("hidden_size", 5), OP_INT("linear_before_reset", 1)));
}

static const centred_case centred[] = {
    {"conv_pointwise", conv_pointwise, 0, false},
    {"conv_valid", conv_valid, 0, false},
    {"conv_padded", conv_padded, 0, true},
    {"conv_lopsided", conv_lopsided, 0, true},
    {"conv_same", conv_same, 0, true},
    {"conv_depthwise", conv_depthwise, 0, true},
    {"conv_unbiased", conv_unbiased, 0, false},
    {"conv_one_axis", conv_one_axis, 0, true},
    {"conv_three_axes", conv_three_axes, 0, true},
    {"conv_behind_flexible_batch", conv_behind_flexible_batch, 0, true},
    {"transposed", transposed, 0, true},
    {"transposed_pointwise", transposed_pointwise, 0, false},
    {"gemm", gemm, 0, false},
    {"gemm_scaled", gemm_scaled, 0, false},
    {"gemm_unbiased", gemm_unbiased, 0, false},
    {"gemm_free_bias", gemm_free_bias, 0, true},
    {"gemm_left", gemm_left, 1, false},
    {"gemm_left_transposed", gemm_left_transposed, 1, true},
    {"matmul", matmul, 0, true},
    {"matmul_vector", matmul_vector, 0, true},
    {"matmul_left", matmul_left, 1, true},
    {"matmul_left_vector", matmul_left_vector, 1, true},
    {"matmul_biased", matmul_biased, 0, false},
    {"matmul_with_one_number_added", matmul_with_one_number_added, 0, false},
    {"matmul_with_rows_added", matmul_with_rows_added, 0, true},
    {"matmul_left_biased", matmul_left_biased, 1, false},
    {"lstm", lstm, 0, false},
    {"gru_unbiased", gru_unbiased, 0, false},
};

enum { CENTRED = sizeof centred / sizeof *centred };

/* The name of the site whose node this is. */
static const char *site_of(const dp_node *node, char text[80]) {
    snprintf(text, 80, "%s%s", node->name, node->op->n_sites == 2 ? ":input" : "");
    return text;
}

START_TEST(centring_leaves_outputs_and_the_site_reads_x_less_mu) {
    const centred_case *c = &centred[_i];
    net n;
    char name[80];
    net_open(&n, 11);
    int value = c->build(&n);
    if (n.graph->n_outputs == 0) net_output(&n, value);
    const dp_node *node = &n.graph->nodes[n.graph->values[value].producer];
    dp_conditionable can = allowed(n.graph, site_of(node, name));
    ck_assert_msg(can.centre, "%s cannot be centred", c->name);
    ck_assert_msg(can.adds_outputs == c->adds_outputs, "%s", c->name);
    float *mu = random_vector(can.inputs, 5);
    dp_conditioned_site site = {.site = name, .inputs = can.inputs, .mu = mu};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err));
    const dp_node *made = find_node(graph, node->name);
    const dp_node *sub = producer(graph, made, c->input_in);
    ck_assert_str_eq(sub->op_type, "Sub");
    ck_assert_int_eq(sub->in[0], node->in[c->input_in]);
    const dp_tensor *taken = graph->values[sub->in[1]].constant;
    ck_assert_int_eq(dp_tensor_count(taken), can.inputs);
    ck_assert_mem_eq(taken->data, mu, (size_t)can.inputs * sizeof *mu);
    int nodes = n.graph->n_nodes + 1 + (c->adds_outputs ? 1 : 0);
    ck_assert_msg(graph->n_nodes == nodes, "%s has %d nodes", c->name, graph->n_nodes);
    check_equal(n.graph, graph, 2e-6);
    dp_free(mu);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

Suite *test_conditioning_suite(void) {
    Suite *s = suite_create("conditioning");
    TCase *t = tcase_create("centring");
    tcase_add_loop_test(t, centring_leaves_outputs_and_the_site_reads_x_less_mu, 0, CENTRED);
    suite_add_tcase(s, t);
    return s;
}
