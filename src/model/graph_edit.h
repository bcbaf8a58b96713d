/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rewriting a network: a graph of one's own that borrows all that stays as it was, and small changes to it. Nodes are added at the
 * end and put in order by dp_onnx_sort; constants change in copies.
 */
#ifndef DP_MODEL_GRAPH_EDIT_H
#define DP_MODEL_GRAPH_EDIT_H

#include "model/graph.h"

/**
 * A graph like this one, with room for `room` nodes more. Names and the data of tensors are the original's, which must outlive it.
 *
 * Errors  DP_EMEMORY; DP_EUNSUPPORTED for a node with a subgraph, which a loaded graph does not have. *out is NULL then.
 */
dp_status dp_graph_borrow(dp_graph **out, const dp_graph *graph, int room, dp_error *err);

/** A value like `like` in type and shape, named after it with `suffix` behind; -1 when memory cannot be had. Moves graph->values. */
int dp_graph_value_like(dp_graph *graph, int like, const char *suffix);

/** Append a constant of this name, which owns *t from then on; -1, and *t is cleared, when memory cannot be had. */
int dp_graph_add_constant(dp_graph *graph, const char *name, dp_tensor *t);

/* A node to add: ONNX's own, at the opset and under the guard of `beside`, after which it is called. */
typedef struct dp_new_node {
    const dp_node *beside;
    const char *op, *suffix;
    int in[3]; /* n_in of them */
    int n_in;
    int out;
} dp_new_node;

/** Append it, marked as added; NULL when memory cannot be had, or the operator does not exist at that opset. */
dp_node *dp_graph_add_node(dp_graph *graph, const dp_new_node *what);

/** Give a node its input k, however many it had. */
bool dp_node_set_input(dp_graph *graph, dp_node *node, int k, int value);

/** Give a node an attribute in the place of the one of that name. */
bool dp_node_set_attr(dp_graph *graph, dp_node *node, const dp_attr *attr);

/** The node is this operator of ONNX's own. */
bool dp_node_is(const dp_node *node, const char *type);

/** Input k is left out. */
bool dp_node_lacks(const dp_node *node, int k);

/** The constant float32 input k; NULL where it is none. */
const dp_tensor *dp_node_floats(const dp_graph *graph, const dp_node *node, int k);

/** How often each value is used, by nodes and as a graph output: [n_values], for dp_free; NULL when memory cannot be had. */
int *dp_graph_uses(const dp_graph *graph);

/** The only node that reads a value, and its input; -1 where others do too, or the value is a graph output. */
int dp_graph_reader(const dp_graph *graph, int value, int *k);

#endif
