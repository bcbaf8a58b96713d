/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "products.h"

#include "rewriting.h"

static int conv_pointwise(net *n) {
    return net_conv(n, NET_X(-1, 4, -1, -1), NET_DIM(6, 4, 1, 1), NULL);
}

static int conv_valid(net *n) {
    return net_conv(n, NET_X(-1, 4, 7, 6), NET_DIM(6, 4, 3, 3), NULL);
}

static int conv_padded(net *n) {
    return net_conv(n, NET_X(-1, 4, 7, 6), NET_DIM(6, 4, 3, 3),
                    NET_ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int conv_lopsided(net *n) {
    return net_conv(n, NET_X(-1, 4, 7, 6), NET_DIM(6, 2, 3, 2),
                    NET_ATTRS(OP_INT("group", 2), OP_INTS("pads", 0, 2, 3, 1),
                              OP_INTS("strides", 2, 1), OP_INTS("dilations", 2, 1)));
}

static int conv_same(net *n) {
    return net_conv(n, NET_X(-1, 4, 7, 6), NET_DIM(6, 4, 4, 3),
                    NET_ATTRS(OP_STRING("auto_pad", "SAME_UPPER"), OP_INTS("strides", 2, 2)));
}

static int conv_depthwise(net *n) {
    return net_conv(n, NET_X(-1, 4, 7, 6), NET_DIM(4, 1, 3, 3),
                    NET_ATTRS(OP_INT("group", 4), OP_INTS("pads", 1, 1, 1, 1)));
}

static int conv_unbiased(net *n) {
    int x = NET_X(-1, 4, 7, 6), w = net_weights(n, 4, NET_DIM(6, 4, 3, 3), 1);
    return net_op(n, "Conv", NET_IN(x, w), NULL);
}

static int conv_one_axis(net *n) {
    int x = NET_X(-1, 4, 9), w = net_weights(n, 3, NET_DIM(6, 4, 3), 1);
    return net_op(n, "Conv", NET_IN(x, w), NET_ATTRS(OP_INTS("pads", 2, 0)));
}

static int conv_three_axes(net *n) {
    int x = NET_X(-1, 2, 3, 4, 5), w = net_weights(n, 5, NET_DIM(3, 2, 2, 3, 3), 1);
    return net_op(n, "Conv", NET_IN(x, w), NET_ATTRS(OP_INTS("pads", 1, 1, 0, 0, 1, 2)));
}

static int conv_behind_flexible_batch(net *n) {
    int x = NET_X(-1, 4, 8, 8);
    x = net_conv(n, x, NET_DIM(5, 4, 3, 3), NET_ATTRS(OP_INTS("strides", 2, 2)));
    return net_conv(n, net_op(n, "Tanh", NET_IN(x), NULL), NET_DIM(6, 5, 3, 3),
                    NET_ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
}

static int transposed(net *n) {
    int x = NET_X(-1, 4, 5, 3), w = net_weights(n, 4, NET_DIM(4, 3, 3, 2), 1);
    return net_op(n, "ConvTranspose", NET_IN(x, w),
                  NET_ATTRS(OP_INTS("strides", 2, 3), OP_INTS("pads", 1, 0, 0, 1),
                            OP_INT("group", 2), OP_INTS("output_padding", 1, 0)));
}

static int transposed_pointwise(net *n) {
    int x = NET_X(-1, 4, 5, 3), w = net_weights(n, 4, NET_DIM(4, 3, 1, 1), 1);
    return net_op(n, "ConvTranspose", NET_IN(x, w), NULL);
}

static int gemm(net *n) {
    return net_linear(n, NET_X(-1, 5), 6, 5);
}

static int gemm_scaled(net *n) {
    int x = NET_X(5, -1), w = net_weights(n, 2, NET_DIM(5, 6), 1), c = net_weights(n, 0, NULL, 1);
    return net_op(n, "Gemm", NET_IN(x, w, c),
                  NET_ATTRS(OP_INT("transA", 1), OP_FLOAT("alpha", 1.5F), OP_FLOAT("beta", -2)));
}

static int gemm_unbiased(net *n) {
    int x = NET_X(-1, 5), w = net_weights(n, 2, NET_DIM(5, 6), 1);
    return net_op(n, "Gemm", NET_IN(x, w), NET_ATTRS(OP_FLOAT("alpha", 0.5F)));
}

static int gemm_free_bias(net *n) {
    int x = NET_X(-1, 5), c = net_input(n, "c", DP_F32, 2, NET_DIM(-1, 6));
    int w = net_weights(n, 2, NET_DIM(5, 6), 1);
    return net_op(n, "Gemm", NET_IN(x, w, c), NET_ATTRS(OP_FLOAT("alpha", 2)));
}

static int gemm_left(net *n) {
    int x = NET_X(5, -1), w = net_weights(n, 2, NET_DIM(6, 5), 1),
        c = net_weights(n, 2, NET_DIM(6, 1), 1);
    return net_op(n, "Gemm", NET_IN(w, x, c), NULL);
}

static int gemm_left_transposed(net *n) {
    int x = NET_X(4, 5), w = net_weights(n, 2, NET_DIM(5, 6), 1),
        c = net_weights(n, 1, NET_DIM(4), 1);
    return net_op(n, "Gemm", NET_IN(w, x, c), NET_ATTRS(OP_INT("transA", 1), OP_INT("transB", 1)));
}

static int matmul(net *n) {
    return net_matmul(n, NET_X(-1, 3, 5), 6, 5);
}

static int matmul_deep(net *n) {
    int x = NET_X(-1, 3, 5), w = net_weights(n, 4, NET_DIM(1, 1, 5, 6), 1);
    return net_op(n, "MatMul", NET_IN(x, w), NULL);
}

static int matmul_vector(net *n) {
    return net_matmul(n, NET_X(5), 6, 5);
}

static int matmul_left(net *n) {
    int x = NET_X(-1, 5, 4), w = net_weights(n, 2, NET_DIM(6, 5), 1);
    return net_op(n, "MatMul", NET_IN(w, x), NULL);
}

static int matmul_left_vector(net *n) {
    int x = NET_X(5), w = net_weights(n, 2, NET_DIM(6, 5), 1);
    return net_op(n, "MatMul", NET_IN(w, x), NULL);
}

static int add_after(net *n, int y, int b) {
    net_output(n, net_op(n, "Add", NET_IN(b, y), NULL));
    return y;
}

static int matmul_biased(net *n) {
    int y = net_matmul(n, NET_X(-1, 3, 5), 6, 5);
    return add_after(n, y, net_weights(n, 1, NET_DIM(6), 1));
}

static int matmul_with_one_number_added(net *n) {
    int y = net_matmul(n, NET_X(-1, 3, 5), 6, 5);
    return add_after(n, y, net_weights(n, 0, NULL, 1));
}

static int matmul_with_rows_added(net *n) {
    int y = net_matmul(n, NET_X(-1, 6, 5), 6, 5);
    return add_after(n, y, net_weights(n, 2, NET_DIM(6, 1), 1));
}

static int matmul_left_biased(net *n) {
    int x = NET_X(-1, 5, 4), w = net_weights(n, 2, NET_DIM(6, 5), 1);
    int y = net_op(n, "MatMul", NET_IN(w, x), NULL);
    return add_after(n, y, net_weights(n, 3, NET_DIM(1, 6, 1), 1));
}

static int lstm(net *n) {
    int x = NET_X(4, -1, 3), w = net_weights(n, 3, NET_DIM(2, 20, 3), 1);
    int r = net_weights(n, 3, NET_DIM(2, 20, 5), 0.5F), b = net_weights(n, 2, NET_DIM(2, 40), 1);
    return net_op(n, "LSTM", NET_IN(x, w, r, b),
                  NET_ATTRS(OP_INT("hidden_size", 5), OP_STRING("direction", "bidirectional")));
}

static int gru_unbiased(net *n) {
    int x = NET_X(4, -1, 3), w = net_weights(n, 3, NET_DIM(1, 15, 3), 1);
    int r = net_weights(n, 3, NET_DIM(1, 15, 5), 0.5F);
    return net_op(n, "GRU", NET_IN(x, w, r),
                  NET_ATTRS(OP_INT("hidden_size", 5), OP_INT("linear_before_reset", 1)));
}

const product_case product_cases[] = {
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
    {"matmul_deep", matmul_deep, 0, true},
    {"matmul_vector", matmul_vector, 0, true},
    {"matmul_left", matmul_left, 1, true},
    {"matmul_left_vector", matmul_left_vector, 1, true},
    {"matmul_biased", matmul_biased, 0, false},
    {"matmul_with_one_number_added", matmul_with_one_number_added, 0, false},
    {"matmul_with_rows_added", matmul_with_rows_added, 0, true},
    {"matmul_left_biased", matmul_left_biased, 1, false},
    {"lstm", lstm, 0, false},
    {"gru_unbiased", gru_unbiased, 0, false},
    {NULL, NULL, 0, false},
};

int product_case_count(void) {
    int count = 0;
    while (product_cases[count].name) count++;
    return count;
}
