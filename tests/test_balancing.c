/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Balancing one site: as test_centring.c, and where alpha goes. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "oracle.h"
#include "products.h"
#include "rewriting.h"
#include "suites.h"

static int relu(net *n, int x) {
    return net_op(n, "Relu", NET_IN(x), NULL);
}

static int behind_input(net *n) {
    return net_conv(n, NET_X(-1, 4, 7, 6), NET_DIM(6, 4, 3, 3),
                    NET_ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int behind_conv(net *n) {
    int x = net_conv(n, NET_X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL);
    return net_conv(n, relu(n, x), NET_DIM(6, 4, 3, 3), NET_ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int behind_unbiased_grouped_conv(net *n) {
    int x = NET_X(-1, 4, 8, 8), w = net_weights(n, 4, NET_DIM(4, 2, 3, 3), 1);
    x = net_op(n, "Conv", NET_IN(x, w), NET_ATTRS(OP_INT("group", 2)));
    x = net_op(n, "LeakyRelu", NET_IN(x), NET_ATTRS(OP_FLOAT("alpha", 0.1F)));
    return net_conv(n, x, NET_DIM(6, 2, 1, 1), NET_ATTRS(OP_INT("group", 2)));
}

static int behind_pools(net *n) {
    int x = net_conv(n, NET_X(-1, 3, 16, 16), NET_DIM(4, 3, 3, 3), NULL);
    x = net_op(n, "MaxPool", NET_IN(relu(n, x)), NET_ATTRS(OP_INTS("kernel_shape", 2, 2)));
    x = net_op(n, "AveragePool", NET_IN(x), NET_ATTRS(OP_INTS("kernel_shape", 3, 3)));
    return net_conv(n, x, NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_flat_mean(net *n) {
    int x = net_conv(n, NET_X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL);
    x = net_op(n, "GlobalAveragePool", NET_IN(relu(n, x)), NULL);
    return net_linear(n, net_op(n, "Flatten", NET_IN(x), NULL), 6, 4);
}

static int behind_reshaped_features(net *n) {
    int x = net_matmul(n, NET_X(-1, 3, 5), 4, 5);
    return net_matmul(n, net_reshape(n, relu(n, x), 2, NET_DIM(-1, 4)), 6, 4);
}

static int behind_flat_image(net *n) {
    int x = net_conv(n, NET_X(-1, 3, 4, 4), NET_DIM(4, 3, 3, 3), NULL);
    return net_linear(n, net_op(n, "Flatten", NET_IN(relu(n, x)), NULL), 6, 16);
}

static int behind_matmul_and_add(net *n) {
    int x = net_matmul(n, NET_X(-1, 3, 5), 4, 5), b = net_weights(n, 1, NET_DIM(4), 1);
    x = net_op(n, "Add", NET_IN(b, x), NULL);
    return net_matmul(n, relu(n, x), 6, 4);
}

static int behind_one_number_added(net *n) {
    int x = net_matmul(n, NET_X(-1, 3, 5), 4, 5), b = net_weights(n, 0, NULL, 1);
    x = net_op(n, "Sub", NET_IN(b, x), NULL);
    return net_matmul(n, relu(n, x), 6, 4);
}

static int behind_linear(net *n) {
    int x = net_linear(n, NET_X(-1, 5), 4, 5), slope = net_weights(n, 1, NET_DIM(4), 1);
    return net_linear(n, net_op(n, "PRelu", NET_IN(x, slope), NULL), 6, 4);
}

static int behind_scaled_gemm(net *n) {
    int x = NET_X(5, -1), w = net_weights(n, 2, NET_DIM(5, 4), 1), c = net_weights(n, 0, NULL, 1);
    x = net_op(n, "Gemm", NET_IN(x, w, c),
               NET_ATTRS(OP_INT("transA", 1), OP_FLOAT("alpha", 1.5F), OP_FLOAT("beta", -2)));
    return net_linear(n, relu(n, x), 6, 4);
}

static int behind_left_matmul(net *n) {
    int w = net_weights(n, 2, NET_DIM(4, 5), 1), v = net_weights(n, 2, NET_DIM(6, 4), 1);
    int x = net_op(n, "MatMul", NET_IN(w, NET_X(-1, 5, 3)), NULL);
    return net_op(n, "MatMul", NET_IN(v, relu(n, x)), NULL);
}

static int behind_transposed_conv(net *n) {
    int x = NET_X(-1, 4, 5, 5), w = net_weights(n, 4, NET_DIM(4, 2, 3, 3), 1);
    int b = net_weights(n, 1, NET_DIM(4), 1), v = net_weights(n, 4, NET_DIM(4, 3, 2, 2), 1);
    x = net_op(n, "ConvTranspose", NET_IN(x, w, b),
               NET_ATTRS(OP_INT("group", 2), OP_INTS("strides", 2, 2)));
    return net_op(n, "ConvTranspose", NET_IN(relu(n, x), v), NULL);
}

static int behind_factor(net *n) {
    int x = net_op(n, "Tanh", NET_IN(NET_X(-1, 3, 5)), NULL), c = net_weights(n, 0, NULL, 2);
    return net_matmul(n, net_op(n, "Mul", NET_IN(c, x), NULL), 6, 5);
}

static int behind_divisor(net *n) {
    int x = net_op(n, "Exp", NET_IN(NET_X(-1, 5, 4, 4)), NULL),
        c = net_weights(n, 3, NET_DIM(5, 1, 1), 2);
    return net_conv(n, net_op(n, "Div", NET_IN(x, c), NULL), NET_DIM(6, 5, 3, 3), NULL);
}

static int behind_normalisation(net *n) {
    int x = NET_X(-1, 4, 6, 6), s = net_weights(n, 1, NET_DIM(4), 1),
        b = net_weights(n, 1, NET_DIM(4), 1);
    x = net_op(n, "InstanceNormalization", NET_IN(x, s, b), NULL);
    return net_conv(n, x, NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_half_open_clip(net *n) {
    int x = net_conv(n, NET_X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL),
        zero = net_weights(n, 0, NULL, 0);
    return net_conv(n, net_op(n, "Clip", NET_IN(x, zero), NULL), NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_clip(net *n) {
    int x = net_conv(n, NET_X(-1, 3, 8, 8), NET_DIM(4, 3, 3, 3), NULL);
    int low = net_weights(n, 0, NULL, 0), high = net_weights(n, 0, NULL, 6);
    return net_conv(n, net_op(n, "Clip", NET_IN(x, low, high), NULL), NET_DIM(6, 4, 3, 3), NULL);
}

static int behind_sigmoid(net *n) {
    int x = net_linear(n, NET_X(-1, 5), 4, 5);
    return net_linear(n, net_op(n, "Sigmoid", NET_IN(x), NULL), 6, 4);
}

static int behind_what_is_an_output(net *n) {
    int x = relu(n, net_linear(n, NET_X(-1, 5), 4, 5)), y = net_linear(n, x, 6, 4);
    net_output(n, x);
    net_output(n, y);
    return y;
}

static int behind_what_is_used_twice(net *n) {
    int x = net_linear(n, NET_X(-1, 5), 4, 5), y = net_linear(n, relu(n, x), 6, 4);
    net_output(n, net_op(n, "Tanh", NET_IN(x), NULL));
    net_output(n, y);
    return y;
}

static int behind_stretched_number(net *n) {
    int x = net_linear(n, NET_X(-1, 5), 1, 5), b = net_weights(n, 1, NET_DIM(4), 1);
    return net_linear(n, net_op(n, "Add", NET_IN(x, b), NULL), 6, 4);
}

static int lstm_behind_linear(net *n) {
    int x = net_matmul(n, NET_X(4, -1, 5), 3, 5), w = net_weights(n, 3, NET_DIM(1, 20, 3), 1);
    int r = net_weights(n, 3, NET_DIM(1, 20, 5), 0.5F);
    return net_op(n, "LSTM", NET_IN(x, w, r), NET_ATTRS(OP_INT("hidden_size", 5)));
}

typedef struct balanced_case {
    const char *name;
    int (*build)(net *n);
    int input_in;
    bool folds;
} balanced_case;

static const balanced_case balanced[] = {
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
};

enum { BALANCED = sizeof balanced / sizeof *balanced };

static void check_balanced(const balanced_case *c, bool centred) {
    net n;
    char name[80];
    net_open(&n, 23);
    int value = c->build(&n);
    if (n.graph->n_outputs == 0) net_output(&n, value);
    const dp_node *node = &n.graph->nodes[n.graph->values[value].producer];
    dp_conditionable can = rewriting_allowed(n.graph, rewriting_site(node, name));
    ck_assert_msg(can.balance, "%s cannot be balanced", c->name);
    ck_assert_msg(can.folds == c->folds, "%s", c->name);
    float *alpha = rewriting_alpha(can.inputs, 5), *mu = oracle_randoms(6, can.inputs);
    dp_conditioned_site site = {
        .site = name, .inputs = can.inputs, .alpha = alpha, .mu = centred ? mu : NULL};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err));
    rewriting_check_reads(n.graph, graph, node->name, c->input_in, &can, &site);
    int added = (can.folds ? 0 : 1) + (centred ? 1 + (can.adds_outputs ? 1 : 0) : 0);
    ck_assert_int_eq(graph->n_nodes, n.graph->n_nodes + added);
    rewriting_check_equal(n.graph, graph, 5e-6);
    dp_free(alpha);
    dp_free(mu);
    dp_graph_free(graph);
    net_close(&n);
}

START_TEST(balancing_leaves_outputs_and_goes_into_the_node_before) {
    check_balanced(&balanced[_i % BALANCED], _i >= BALANCED);
}
END_TEST

START_TEST(every_product_can_be_balanced_and_centred) {
    const product_case *c = &product_cases[_i];
    check_balanced(&(balanced_case){c->name, c->build, c->input_in, false}, true);
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
    rewriting_check_equal(n.graph, graph, 0);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

START_TEST(depthwise_sites_say_that_channels_stay_alone) {
    net n;
    net_open(&n, 53);
    int x = net_input(&n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
    int y = net_conv(&n, x, NET_DIM(8, 1, 3, 3), (dp_attr[]){OP_INT("group", 4), {0}});
    net_output(&n, net_conv(&n, y, NET_DIM(2, 8, 1, 1), NULL));
    ck_assert(rewriting_allowed(n.graph, net_node_name(&n, y)).lone);
    ck_assert(!rewriting_allowed(n.graph, "Conv_1").lone);
    net_close(&n);
}
END_TEST

Suite *test_balancing_suite(void) {
    Suite *s = suite_create("balancing");
    TCase *t = tcase_create("balancing");
    tcase_add_loop_test(t, balancing_leaves_outputs_and_goes_into_the_node_before, 0, 2 * BALANCED);
    tcase_add_loop_test(t, every_product_can_be_balanced_and_centred, 0, product_case_count());
    tcase_add_test(t, alphas_that_are_powers_of_two_change_no_bit);
    tcase_add_test(t, depthwise_sites_say_that_channels_stay_alone);
    suite_add_tcase(s, t);
    return s;
}
