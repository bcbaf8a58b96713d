/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Networks built by hand, node by node, and data sets to run them on: what tests of the engine and of learning work with.
 * Weights are random, of a size that keeps activations about as large as they were. A mistake fails the running test.
 *
 *     net n;
 *     net_open(&n, 7);
 *     int x = net_input(&n, "x", DP_F32, 4, NET_DIM(-1, 3, 8, 8));
 *     x = net_conv(&n, x, NET_DIM(16, 3, 3, 3), (dp_attr[]){OP_INTS("pads", 1, 1, 1, 1), {0}});
 *     x = net_op(&n, "Relu", NET_IN(x), NULL);
 */
#ifndef TESTS_NET_H
#define TESTS_NET_H

#include "dynaprec/dataset.h"
#include "dynaprec/hardware.h"
#include "model/graph.h"
#include "op_harness.h"

#define NET_DIM(...) ((const int64_t[]){__VA_ARGS__})
#define NET_IN(...)  ((const int[]){__VA_ARGS__, NET_END})
enum { NET_END = -2, NET_MOST_NODES = 256 };

typedef struct net {
    dp_graph *graph;
    uint64_t seed; /* of the next weights */
} net;

void net_open(net *n, uint64_t seed);
void net_close(net *n);

/** Append an input; returns its value, as all below. */
int net_input(net *n, const char *name, dp_dtype dtype, int rank, const int64_t *dim);

/** Append random constants, uniform in [-size, size]. */
int net_weights(net *n, int rank, const int64_t *dim, float size);

/** Append an integer vector. */
int net_ints(net *n, int count, const int64_t *values);

/** Append a node; attrs ends with one without a name, NULL: none. Several outputs have numbers in a row. */
int net_op(net *n, const char *op, const int *in, const dp_attr *attrs);
int net_op_outputs(net *n, const char *op, const int *in, const dp_attr *attrs, int outputs);

/** Conv with weights and a bias; dim: of the weights, in 4-D. */
int net_conv(net *n, int x, const int64_t dim[4], const dp_attr *attrs);

/** Gemm with weights [outputs, inputs] and a bias. */
int net_linear(net *n, int x, int64_t outputs, int64_t inputs);

/** MatMul with weights [inputs, outputs]. */
int net_matmul(net *n, int x, int64_t outputs, int64_t inputs);

/** Reshape to a constant shape. */
int net_reshape(net *n, int x, int rank, const int64_t *dim);

void net_output(net *n, int value);

/** The name of the node that makes a value. */
const char *net_node_name(const net *n, int value);

/**
 * Random samples for every input, normal with this spread, and labels [samples, labels] below `classes` (0: none),
 * written to the scratch folder and read from there.
 */
typedef struct net_data {
    int64_t samples;
    float spread;
    int64_t labels, classes;
    uint64_t seed;
    int64_t height; /* labels are [samples, height, labels / height]; 0: no such axis */
} net_data;
dp_dataset *net_dataset(const net *n, const net_data *what);

/** Hardware with these noise sources (NULL at the end: none), K from 1 to 65536 in whole steps, 1 aJ a MAC, every granularity. */
dp_hardware net_hardware(const char *const *sources, const double *parameters);

/** Independent normals, by a generator and a method that the library does not use. */
double net_normal(uint64_t *state);

#endif
