/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditioning. Two things are held of every rewriting, by running both graphs: the outputs stay what they were within float32
 * rounding, and the site reads what it is said to read.
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

/* What a value is on random inputs; clear with dp_npz_clear. */
static dp_npz value_of(dp_graph *graph, int value) {
    dp_npz inputs = random_inputs(graph), out = {0};
    int *outputs = graph->outputs, count = graph->n_outputs;
    graph->outputs = &value;
    graph->n_outputs = 1;
    ck_dp_ok(dp_run_whole(&out, graph, &inputs, &err));
    graph->outputs = outputs;
    graph->n_outputs = count;
    dp_npz_clear(&inputs);
    return out;
}

/* The site's operand in `other` is alpha (x - mu), x the one in `graph`. Where one is NULL: 1 and 0. */
static void check_reads(dp_graph *graph, dp_graph *other, const char *node, int input_in,
                        const dp_conditionable *can, const dp_conditioned_site *site) {
    dp_npz a = value_of(graph, find_node(graph, node)->in[input_in]);
    dp_npz b = value_of(other, find_node(other, node)->in[input_in]);
    const dp_tensor *x = &a.arrays[0].tensor, *y = &b.arrays[0].tensor;
    int64_t inner = 1;
    ck_assert(dp_tensor_same_shape(x, y));
    for (int i = x->rank + can->axis + 1; i < x->rank; i++) inner *= x->dim[i];
    ck_assert_int_eq(x->dim[x->rank + can->axis], can->inputs);
    for (int64_t i = 0; i < dp_tensor_count(x); i++) {
        int64_t j = i / inner % can->inputs;
        double mu = site->mu ? (double)site->mu[j] : 0;
        double alpha = site->alpha ? (double)site->alpha[j] : 1;
        double want = alpha * ((double)((const float *)x->data)[i] - mu);
        double is = (double)((const float *)y->data)[i];
        ck_assert_msg(fabs(is - want) <= 1e-5 * fmax(1, fabs(want)), "reads %g, not %g", is, want);
    }
    dp_npz_clear(&a);
    dp_npz_clear(&b);
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
    check_reads(n.graph, graph, node->name, c->input_in, &can, &site);
    int nodes = n.graph->n_nodes + 1 + (c->adds_outputs ? 1 : 0);
    ck_assert_msg(graph->n_nodes == nodes, "%s has %d nodes", c->name, graph->n_nodes);
    check_equal(n.graph, graph, 2e-6);
    dp_free(mu);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

/* ---- balancing ---- */

static float *random_alpha(int64_t count, uint64_t seed) {
    float *alpha = random_vector(count, seed);
    for (int64_t i = 0; i < count; i++) alpha[i] = exp2f(2 * alpha[i]);
    return alpha;
}

static int relu(net *n, int x) {
    return net_op(n, "Relu", NET_IN(x), NULL);
}

static int behind_input(net *n) {
    return net_conv(n, X(-1, 4, 7, 6), NET_DIM(6, 4, 3, 3), ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int behind_conv(net *n) {
    int x = net_conv(n, X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL);
    return net_conv(n, relu(n, x), NET_DIM(6, 4, 3, 3), ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int behind_unbiased_grouped_conv(net *n) {
    int x = X(-1, 4, 8, 8), w = net_weights(n, 4, NET_DIM(4, 2, 3, 3), 1);
    x = net_op(n, "Conv", NET_IN(x, w), ATTRS(OP_INT("group", 2)));
    x = net_op(n, "LeakyRelu", NET_IN(x), ATTRS(OP_FLOAT("alpha", 0.1F)));
    return net_conv(n, x, NET_DIM(6, 2, 1, 1), ATTRS(OP_INT("group", 2)));
}

static int behind_pools(net *n) {
    int x = net_conv(n, X(-1, 3, 16, 16), NET_DIM(4, 3, 3, 3), NULL);
    x = net_op(n, "MaxPool", NET_IN(relu(n, x)), ATTRS(OP_INTS("kernel_shape", 2, 2)));
    x = net_op(n, "AveragePool", NET_IN(x), ATTRS(OP_INTS("kernel_shape", 3, 3)));
    return net_conv(n, x, NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_flat_mean(net *n) {
    int x = net_conv(n, X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL);
    x = net_op(n, "GlobalAveragePool", NET_IN(relu(n, x)), NULL);
    return net_linear(n, net_op(n, "Flatten", NET_IN(x), NULL), 6, 4);
}

static int behind_reshaped_features(net *n) {
    int x = net_matmul(n, X(-1, 3, 5), 4, 5);
    return net_matmul(n, net_reshape(n, relu(n, x), 2, NET_DIM(-1, 4)), 6, 4);
}

static int behind_flat_image(net *n) {
    int x = net_conv(n, X(-1, 3, 4, 4), NET_DIM(4, 3, 3, 3), NULL);
    return net_linear(n, net_op(n, "Flatten", NET_IN(relu(n, x)), NULL), 6, 16);
}

static int behind_matmul_and_add(net *n) {
    int x = net_matmul(n, X(-1, 3, 5), 4, 5), b = net_weights(n, 1, NET_DIM(4), 1);
    x = net_op(n, "Add", NET_IN(b, x), NULL);
    return net_matmul(n, relu(n, x), 6, 4);
}

static int behind_one_number_added(net *n) {
    int x = net_matmul(n, X(-1, 3, 5), 4, 5), b = net_weights(n, 0, NULL, 1);
    x = net_op(n, "Sub", NET_IN(b, x), NULL);
    return net_matmul(n, relu(n, x), 6, 4);
}

static int behind_linear(net *n) {
    int x = net_linear(n, X(-1, 5), 4, 5), slope = net_weights(n, 1, NET_DIM(4), 1);
    return net_linear(n, net_op(n, "PRelu", NET_IN(x, slope), NULL), 6, 4);
}

static int behind_scaled_gemm(net *n) {
    int x = X(5, -1), w = net_weights(n, 2, NET_DIM(5, 4), 1), c = net_weights(n, 0, NULL, 1);
    x = net_op(n, "Gemm", NET_IN(x, w, c),
               ATTRS(OP_INT("transA", 1), OP_FLOAT("alpha", 1.5F), OP_FLOAT("beta", -2)));
    return net_linear(n, relu(n, x), 6, 4);
}

static int behind_left_matmul(net *n) {
    int w = net_weights(n, 2, NET_DIM(4, 5), 1), v = net_weights(n, 2, NET_DIM(6, 4), 1);
    int x = net_op(n, "MatMul", NET_IN(w, X(-1, 5, 3)), NULL);
    return net_op(n, "MatMul", NET_IN(v, relu(n, x)), NULL);
}

static int behind_transposed_conv(net *n) {
    int x = X(-1, 4, 5, 5), w = net_weights(n, 4, NET_DIM(4, 2, 3, 3), 1);
    int b = net_weights(n, 1, NET_DIM(4), 1), v = net_weights(n, 4, NET_DIM(4, 3, 2, 2), 1);
    x = net_op(n, "ConvTranspose", NET_IN(x, w, b),
               ATTRS(OP_INT("group", 2), OP_INTS("strides", 2, 2)));
    return net_op(n, "ConvTranspose", NET_IN(relu(n, x), v), NULL);
}

static int behind_factor(net *n) {
    int x = net_op(n, "Tanh", NET_IN(X(-1, 3, 5)), NULL), c = net_weights(n, 0, NULL, 2);
    return net_matmul(n, net_op(n, "Mul", NET_IN(c, x), NULL), 6, 5);
}

static int behind_divisor(net *n) {
    int x = net_op(n, "Exp", NET_IN(X(-1, 5, 4, 4)), NULL),
        c = net_weights(n, 3, NET_DIM(5, 1, 1), 2);
    return net_conv(n, net_op(n, "Div", NET_IN(x, c), NULL), NET_DIM(6, 5, 3, 3), NULL);
}

static int behind_normalisation(net *n) {
    int x = X(-1, 4, 6, 6), s = net_weights(n, 1, NET_DIM(4), 1),
        b = net_weights(n, 1, NET_DIM(4), 1);
    x = net_op(n, "InstanceNormalization", NET_IN(x, s, b), NULL);
    return net_conv(n, x, NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_half_open_clip(net *n) {
    int x = net_conv(n, X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL),
        zero = net_weights(n, 0, NULL, 0);
    return net_conv(n, net_op(n, "Clip", NET_IN(x, zero), NULL), NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_clip(net *n) {
    int x = net_conv(n, X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL);
    int low = net_weights(n, 0, NULL, 0), high = net_weights(n, 0, NULL, 6);
    return net_conv(n, net_op(n, "Clip", NET_IN(x, low, high), NULL), NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_sigmoid(net *n) {
    int x = net_linear(n, X(-1, 5), 4, 5);
    return net_linear(n, net_op(n, "Sigmoid", NET_IN(x), NULL), 6, 4);
}

static int behind_what_is_an_output(net *n) {
    int x = relu(n, net_linear(n, X(-1, 5), 4, 5)), y = net_linear(n, x, 6, 4);
    net_output(n, x);
    net_output(n, y);
    return y;
}

static int behind_what_is_used_twice(net *n) {
    int x = net_linear(n, X(-1, 5), 4, 5), y = net_linear(n, relu(n, x), 6, 4);
    net_output(n, net_op(n, "Tanh", NET_IN(x), NULL));
    net_output(n, y);
    return y;
}

static int behind_stretched_number(net *n) {
    int x = net_linear(n, X(-1, 5), 1, 5), b = net_weights(n, 1, NET_DIM(4), 1);
    return net_linear(n, net_op(n, "Add", NET_IN(x, b), NULL), 6, 4);
}

static int lstm_behind_linear(net *n) {
    int x = net_matmul(n, X(4, -1, 5), 3, 5), w = net_weights(n, 3, NET_DIM(1, 20, 3), 1);
    int r = net_weights(n, 3, NET_DIM(1, 20, 5), 0.5F);
    return net_op(n, "LSTM", NET_IN(x, w, r), ATTRS(OP_INT("hidden_size", 5)));
}

static const struct {
    const char *name;
    int (*build)(net *n);
    int input_in;
    bool folds;
} balanced[] = {
    {"behind_input", behind_input, 0, false},
    {"behind_conv", behind_conv, 0, true},
    {"behind_unbiased_grouped_conv", behind_unbiased_grouped_conv, 0, true},
    {"behind_pools", behind_pools, 0, true},
    {"behind_flat_mean", behind_flat_mean, 0, true},
    {"behind_reshaped_features", behind_reshaped_features, 0, true},
    {"behind_flat_image", behind_flat_image, 0, false},
    {"behind_matmul_and_add", behind_matmul_and_add, 0, true},
    {"behind_one_number_added", behind_one_number_added, 0, true},
    {"behind_linear", behind_linear, 0, true},
    {"behind_scaled_gemm", behind_scaled_gemm, 0, true},
    {"behind_left_matmul", behind_left_matmul, 1, true},
    {"behind_transposed_conv", behind_transposed_conv, 0, true},
    {"behind_factor", behind_factor, 0, true},
    {"behind_divisor", behind_divisor, 0, true},
    {"behind_normalisation", behind_normalisation, 0, true},
    {"behind_half_open_clip", behind_half_open_clip, 0, true},
    {"behind_clip", behind_clip, 0, false},
    {"behind_sigmoid", behind_sigmoid, 0, false},
    {"behind_what_is_an_output", behind_what_is_an_output, 0, false},
    {"behind_what_is_used_twice", behind_what_is_used_twice, 0, false},
    {"behind_stretched_number", behind_stretched_number, 0, false},
    {"lstm_behind_linear", lstm_behind_linear, 0, true},
    {"conv_lopsided", conv_lopsided, 0, false},
    {"transposed", transposed, 0, false},
    {"gemm_left", gemm_left, 1, false},
    {"gemm_left_transposed", gemm_left_transposed, 1, false},
    {"matmul_left_vector", matmul_left_vector, 1, false},
    {"gru_unbiased", gru_unbiased, 0, false},
};

enum { BALANCED = sizeof balanced / sizeof *balanced };

/* Balanced, and in the second half of the loop centred too. */
START_TEST(balancing_leaves_outputs_and_the_site_reads_alpha_x) {
    int at = _i % BALANCED;
    bool both = _i >= BALANCED;
    net n;
    char name[80];
    net_open(&n, 23);
    int value = balanced[at].build(&n);
    if (n.graph->n_outputs == 0) net_output(&n, value);
    const dp_node *node = &n.graph->nodes[n.graph->values[value].producer];
    dp_conditionable can = allowed(n.graph, site_of(node, name));
    ck_assert_msg(can.balance, "%s cannot be balanced", balanced[at].name);
    ck_assert_msg(can.folds == balanced[at].folds, "%s", balanced[at].name);
    float *alpha = random_alpha(can.inputs, 5), *mu = random_vector(can.inputs, 6);
    dp_conditioned_site site = {
        .site = name, .inputs = can.inputs, .alpha = alpha, .mu = both ? mu : NULL};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err));
    check_reads(n.graph, graph, node->name, balanced[at].input_in, &can, &site);
    int added = (can.folds ? 0 : 1) + (both ? 1 + (can.adds_outputs ? 1 : 0) : 0);
    ck_assert_int_eq(graph->n_nodes, n.graph->n_nodes + added);
    check_equal(n.graph, graph, 5e-6);
    dp_free(alpha);
    dp_free(mu);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

START_TEST(alphas_that_are_powers_of_two_change_no_bit) {
    net n;
    net_open(&n, 29);
    int value = behind_pools(&n);
    net_output(&n, value);
    const float alpha[4] = {0.25F, 8, 1, 2};
    dp_conditioned_site site = {.site = net_node_name(&n, value), .inputs = 4, .alpha = alpha};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err));
    check_equal(n.graph, graph, 0);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

/* ---- several sites ---- */

/* One value, read by three products with weights. */
typedef struct shared {
    net n;
    int read[3];
    dp_conditioned_site sites[3];
} shared;

static void shared_open(shared *s) {
    net *n = &s->n;
    net_open(n, 31);
    int x = net_linear(n, X(-1, 5), 4, 5);
    for (int i = 0; i < 3; i++) {
        s->read[i] = net_linear(n, x, 6, 4);
        net_output(n, s->read[i]);
        s->sites[i] = (dp_conditioned_site){.site = net_node_name(n, s->read[i]), .inputs = 4};
    }
}

/* Nodes that conditioning adds. */
static int added_nodes(shared *s, int count) {
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, s->n.graph, &(dp_conditioning){count, s->sites}, &err));
    check_equal(s->n.graph, graph, 5e-6);
    int added = graph->n_nodes - s->n.graph->n_nodes;
    dp_graph_free(graph);
    return added;
}

START_TEST(sites_that_read_the_same_share_what_is_added) {
    static const float a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    shared s;
    shared_open(&s);
    for (int i = 0; i < 3; i++) s.sites[i].mu = a;
    ck_assert_int_eq(added_nodes(&s, 3), 1);
    s.sites[2].mu = b;
    ck_assert_int_eq(added_nodes(&s, 3), 2);
    for (int i = 0; i < 3; i++) s.sites[i].alpha = a;
    ck_assert_int_eq(added_nodes(&s, 3), 2); /* alpha goes into the node before */
    ck_assert_int_eq(added_nodes(&s, 2), 2); /* one reader is left out: one Mul, one Sub */
    s.sites[1].alpha = b;
    ck_assert_int_eq(added_nodes(&s, 3),
                     5); /* three different operands, two of them centred alike */
    net_close(&s.n);
}
END_TEST

START_TEST(the_order_of_the_list_does_not_matter) {
    static const float a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    shared s;
    shared_open(&s);
    s.sites[0].mu = a;
    s.sites[1].alpha = b;
    s.sites[2].mu = b;
    dp_graph *graphs[2];
    ck_dp_ok(dp_graph_condition(&graphs[0], s.n.graph, &(dp_conditioning){3, s.sites}, &err));
    dp_conditioned_site first = s.sites[0];
    s.sites[0] = s.sites[2];
    s.sites[2] = first;
    ck_dp_ok(dp_graph_condition(&graphs[1], s.n.graph, &(dp_conditioning){3, s.sites}, &err));
    ck_assert_int_eq(graphs[0]->n_nodes, graphs[1]->n_nodes);
    for (int k = 0; k < graphs[0]->n_nodes; k++)
        ck_assert_str_eq(graphs[0]->nodes[k].name, graphs[1]->nodes[k].name);
    check_equal(graphs[0], graphs[1], 0);
    for (int k = 0; k < 2; k++) dp_graph_free(graphs[k]);
    net_close(&s.n);
}
END_TEST

/* A chain whose middle takes alpha of the site behind into its rows and has alpha of its own in its columns. */
START_TEST(a_whole_chain_can_be_conditioned) {
    net n;
    const char *names[3];
    float *mu[3], *alpha[3];
    dp_conditioned_site sites[3];
    net_open(&n, 37);
    net *const net_ = &n;
    int x = net_input(net_, "x", DP_F32, 4, NET_DIM(-1, 3, 8, 8));
    static const int64_t dims[3][4] = {{4, 3, 3, 3}, {5, 4, 3, 3}, {6, 5, 3, 3}};
    for (int i = 0; i < 3; i++) {
        x = net_conv(&n, x, dims[i], (dp_attr[]){OP_INTS("pads", 1, 1, 1, 1), {0}});
        names[i] = net_node_name(&n, x);
        x = relu(&n, x);
        mu[i] = random_vector(dims[i][1], 40 + (uint64_t)i);
        alpha[i] = random_alpha(dims[i][1], 50 + (uint64_t)i);
        sites[i] = (dp_conditioned_site){names[i], dims[i][1], mu[i], alpha[i], false};
    }
    net_output(&n, x);
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){3, sites}, &err));
    check_equal(n.graph, graph, 5e-6);
    for (int i = 0; i < 3; i++) {
        dp_conditionable can = allowed(n.graph, names[i]);
        check_reads(n.graph, graph, names[i], 0, &can, &sites[i]);
        dp_free(mu[i]);
        dp_free(alpha[i]);
    }
    ck_assert_int_eq(graph->n_nodes, n.graph->n_nodes + 1 + 3 + 3); /* Mul of the input, Sub, Add */
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

START_TEST(sites_keep_their_order_names_and_ties) {
    net n;
    net_open(&n, 41);
    int x = net_input(&n, "x", DP_F32, 2, NET_DIM(-1, 5));
    int w = net_weights(&n, 2, NET_DIM(5, 5), 0.5F);
    for (int i = 0; i < 3; i++) x = relu(&n, net_op(&n, "MatMul", NET_IN(x, w), NULL));
    net_output(&n, x);
    dp_conditionable can = allowed(n.graph, "MatMul_2");
    ck_assert(can.centre && !can.balance && !can.folds);
    static const float mu[5] = {1, 2, 3, 4, 5};
    dp_conditioned_site sites[2] = {{"MatMul_4", 5, mu, NULL, false},
                                    {"MatMul_0", 5, mu, NULL, false}};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, sites}, &err));
    static const char *const names[] = {"MatMul_0", "MatMul_2", "MatMul_4"};
    int found = 0;
    for (int k = 0; k < graph->n_nodes; k++) {
        if (!graph->nodes[k].op->n_sites) continue;
        ck_assert_str_eq(graph->nodes[k].name, names[found++]);
        ck_assert_int_eq(graph->nodes[k].in[1], w);
    }
    ck_assert_str_eq(graph->sha256, n.graph->sha256);
    ck_assert_str_eq(graph->path, n.graph->path);
    sites[0].alpha = mu;
    ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, sites}, &err), DP_ERANGE,
                "'MatMul_4' cannot be balanced");
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

/* ---- attention ---- */

typedef struct attention {
    net n;
    int scores, mixed; /* the products */
} attention;

static int scale_and_mask(net *n, int x) {
    int scale = net_weights(n, 0, NULL, 1), mask = net_weights(n, 2, NET_DIM(5, 5), 3);
    return net_op(n, "Add", NET_IN(net_op(n, "Div", NET_IN(x, scale), NULL), mask), NULL);
}

static int scale_each_key(net *n, int x) {
    return net_op(n, "Mul", NET_IN(x, net_weights(n, 1, NET_DIM(5), 1)), NULL);
}

static int clip_scores(net *n, int x) {
    return relu(n, x);
}

static int leave_scores(net *n, int x) {
    (void)n;
    return x;
}

static void attention_open(attention *a, int (*between)(net *n, int x), int64_t axis) {
    net *n = &a->n;
    net_open(n, 43);
    int q = net_input(n, "q", DP_F32, 4, NET_DIM(-1, 2, 5, 3));
    int k = net_input(n, "k", DP_F32, 4, NET_DIM(-1, 2, 5, 3));
    int v = net_input(n, "v", DP_F32, 4, NET_DIM(-1, 2, 5, 4));
    int t = net_op(n, "Transpose", NET_IN(k), ATTRS(OP_INTS("perm", 0, 1, 3, 2)));
    a->scores = net_op(n, "MatMul", NET_IN(q, t), NULL);
    int p = net_op(n, "Softmax", NET_IN(between(n, a->scores)), ATTRS(OP_INT("axis", axis)));
    a->mixed = net_op(n, "MatMul", NET_IN(p, v), NULL);
    net_output(n, a->mixed);
}

/* The right operand of a product, and that it has no mean along an axis. */
static void check_no_mean(dp_graph *graph, const char *node, int axis) {
    dp_npz right = value_of(graph, find_node(graph, node)->in[1]);
    const dp_tensor *t = &right.arrays[0].tensor;
    int64_t length = t->dim[t->rank + axis], inner = axis == -2 ? t->dim[t->rank - 1] : 1;
    const float *x = t->data;
    for (int64_t i = 0; i < dp_tensor_count(t) / length; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < length; k++) {
            double at = (double)x[i / inner * inner * length + k * inner + i % inner];
            sum += at;
            size += fabs(at);
        }
        ck_assert(fabs(sum) < 1e-5 * size);
    }
    dp_npz_clear(&right);
}

static const struct {
    int (*between)(net *n, int x);
    int64_t axis;
    bool keys, values;
} attentions[] = {
    {leave_scores, -1, true, true},    {scale_and_mask, 3, true, true},
    {scale_each_key, -1, false, true}, {clip_scores, -1, false, true},
    {leave_scores, 2, false, false},
};

START_TEST(keys_and_values_lose_their_mean_over_positions) {
    attention a;
    attention_open(&a, attentions[_i].between, attentions[_i].axis);
    const char *names[2] = {net_node_name(&a.n, a.scores), net_node_name(&a.n, a.mixed)};
    const bool may[2] = {attentions[_i].keys, attentions[_i].values};
    for (int k = 0; k < 2; k++) {
        dp_conditioned_site site = {.site = names[k], .positions = true};
        dp_conditioning asked = {1, &site};
        dp_graph *graph;
        ck_assert_int_eq(allowed(a.n.graph, names[k]).positions, may[k]);
        if (!may[k]) {
            ck_dp_fails(dp_graph_condition(&graph, a.n.graph, &asked, &err), DP_ERANGE,
                        "cannot be centred over positions");
            continue;
        }
        ck_dp_ok(dp_graph_condition(&graph, a.n.graph, &asked, &err));
        ck_assert_int_eq(graph->n_nodes, a.n.graph->n_nodes + 2 + k);
        check_no_mean(graph, names[k], k == 0 ? -1 : -2);
        check_equal(a.n.graph, graph, 2e-6);
        dp_graph_free(graph);
    }
    net_close(&a.n);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(padding_without_a_known_size_cannot_be_centred) {
    net n;
    net_open(&n, 47);
    int x = net_input(&n, "x", DP_F32, 4, NET_DIM(-1, 4, -1, 6));
    int y = net_conv(&n, x, NET_DIM(6, 4, 3, 3), (dp_attr[]){OP_INTS("pads", 0, 1, 0, 1), {0}});
    net_output(&n, y);
    dp_conditionable can = allowed(n.graph, net_node_name(&n, y));
    ck_assert(!can.centre && can.balance && can.inputs == 4);
    static const float mu[4] = {1, 2, 3, 4};
    dp_conditioned_site site = {.site = net_node_name(&n, y), .inputs = 4, .mu = mu};
    dp_graph *graph;
    ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err), DP_ERANGE,
                "cannot be centred");
    ck_assert_ptr_null(graph);
    net_close(&n);
}
END_TEST

START_TEST(depthwise_sites_say_that_channels_stay_alone) {
    net n;
    net_open(&n, 53);
    int x = net_input(&n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
    int y = net_conv(&n, x, NET_DIM(8, 1, 3, 3), (dp_attr[]){OP_INT("group", 4), {0}});
    net_output(&n, net_conv(&n, y, NET_DIM(2, 8, 1, 1), NULL));
    ck_assert(allowed(n.graph, net_node_name(&n, y)).lone);
    ck_assert(!allowed(n.graph, "Conv_1").lone);
    net_close(&n);
}
END_TEST

START_TEST(what_makes_no_sense_is_refused_by_name) {
    static const float good[5] = {1, 2, 3, 4, 5}, zero[5] = {1, 0, 3, 4, 5};
    static const float wild[5] = {1, INFINITY, 3, 4, 5}, tiny[5] = {1, 1e-40F, 1, 1, 1};
    static const struct {
        dp_conditioned_site site;
        const char *says;
    } refused[] = {
        {{"elsewhere", 5, good, NULL, false}, "'elsewhere' is not there"},
        {{"Gemm_0", 4, good, NULL, false}, "'Gemm_0' has 5 inputs, not 4"},
        {{"Gemm_0", 5, wild, NULL, false}, "not finite"},
        {{"Gemm_0", 5, NULL, wild, false}, "not positive and finite"},
        {{"Gemm_0", 5, NULL, zero, false}, "not positive and finite"},
        {{"Gemm_0", 5, NULL, tiny, false}, "no float32"},
        {{"Gemm_0", 5, NULL, NULL, true}, "centred over positions"},
    };
    net n;
    net_open(&n, 59);
    net_output(&n, net_linear(&n, net_input(&n, "x", DP_F32, 2, NET_DIM(-1, 5)), 6, 5));
    dp_graph *graph;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dp_conditioned_site site = refused[i].site;
        ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err),
                    DP_ERANGE, refused[i].says);
    }
    dp_conditioned_site twice[2] = {{"Gemm_0", 5, good, NULL, false},
                                    {"Gemm_0", 5, NULL, good, false}};
    ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, twice}, &err), DP_ERANGE,
                "'Gemm_0' is listed twice");
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){0, NULL}, &err));
    check_equal(n.graph, graph, 0);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

Suite *test_conditioning_suite(void) {
    Suite *s = suite_create("conditioning");
    TCase *t = tcase_create("centring");
    tcase_add_loop_test(t, centring_leaves_outputs_and_the_site_reads_x_less_mu, 0, CENTRED);
    tcase_add_test(t, padding_without_a_known_size_cannot_be_centred);
    suite_add_tcase(s, t);
    t = tcase_create("balancing");
    tcase_add_loop_test(t, balancing_leaves_outputs_and_the_site_reads_alpha_x, 0, 2 * BALANCED);
    tcase_add_test(t, alphas_that_are_powers_of_two_change_no_bit);
    tcase_add_test(t, depthwise_sites_say_that_channels_stay_alone);
    suite_add_tcase(s, t);
    t = tcase_create("sites");
    tcase_add_test(t, sites_that_read_the_same_share_what_is_added);
    tcase_add_test(t, the_order_of_the_list_does_not_matter);
    tcase_add_test(t, a_whole_chain_can_be_conditioned);
    tcase_add_test(t, sites_keep_their_order_names_and_ties);
    tcase_add_test(t, what_makes_no_sense_is_refused_by_name);
    suite_add_tcase(s, t);
    t = tcase_create("attention");
    tcase_add_loop_test(t, keys_and_values_lose_their_mean_over_positions, 0,
                        sizeof attentions / sizeof *attentions);
    suite_add_tcase(s, t);
    return s;
}
