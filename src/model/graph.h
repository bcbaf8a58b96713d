/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The graph from the inside. Its pieces live in one arena, but for the values (which grow) and the data of tensors, which they
 * own or borrow from a mapping of a file that the graph keeps until it is freed.
 */
#ifndef DP_MODEL_GRAPH_H
#define DP_MODEL_GRAPH_H

#include "base/alloc.h"
#include "dynaprec/graph.h"

typedef struct dp_op dp_op;

typedef enum dp_attr_kind {
    DP_ATTR_INT,
    DP_ATTR_FLOAT,
    DP_ATTR_STRING,
    DP_ATTR_TENSOR,
    DP_ATTR_INTS,
    DP_ATTR_FLOATS,
    DP_ATTR_STRINGS,
    DP_ATTR_GRAPH
} dp_attr_kind;

typedef struct dp_attr {
    const char *name;
    dp_attr_kind kind;
    int64_t i;
    float f;
    const char *s; /* NUL-terminated */
    dp_tensor tensor;
    int count; /* of ints, floats or strings */
    const int64_t *ints;
    const float *floats;
    const char *const *strings;
    struct dp_graph *graph; /* a subgraph, as of If; see dp_graph.n_captured */
} dp_attr;

typedef struct dp_node {
    const char *name; /* never empty: the file's, else "<op_type>_<index>" */
    const char *op_type;
    const char *domain; /* "" for ONNX's own */
    int opset;          /* version of that domain which the model asks for */
    int n_in, n_out;
    int *in, *out; /* value indices; -1 for an optional one that is left out */
    int n_attrs;
    dp_attr *attrs;
    const dp_op *op;
    bool added; /* not in the file: put in by conditioning */
    int guard; /* 0: none; else it is part of the network only if dp_graph.guards[guard - 1] holds */
} dp_node;

/* Nodes of a branch of If are there when its condition turns out to be this constant, and the guard around it (0: none) holds. */
typedef struct dp_guard {
    int value; /* the condition */
    bool is;
    int outer;
} dp_guard;

/* What is known of a value before the batch size is. Dimensions are -1 where symbolic. */
typedef struct dp_value {
    const char *name;
    dp_dtype dtype; /* DP_NONE where the file does not say */
    int rank;       /* -1 where the file does not say */
    int64_t dim[DP_MAX_RANK];
    dp_tensor *constant; /* initializer or folded value, else NULL */
    int producer;        /* node index; -1 for inputs and constants */
} dp_value;

struct dp_graph {
    dp_arena arena;
    const char *path;
    char sha256[65];
    int n_values;
    size_t value_room;
    dp_value *values;
    int n_nodes;
    dp_node *nodes; /* topologically sorted */
    int n_inputs, n_outputs;
    int *inputs, *outputs; /* value indices; inputs that are initializers are not listed */
    /*
     * A subgraph's first inputs are the values of the outer graph that it captures. They are also the last inputs of the node
     * that has the subgraph: inputs[k] is the node's in[n_in - n_captured + k], the same for all subgraphs of a node, whether
     * each of them uses it or not. One that is constant outside is constant here too. 0 for the outermost graph.
     */
    int n_captured;
    int n_guards;
    size_t guard_room;
    dp_guard *guards;
    struct dp_onnx_file *file; /* what borrowed data belongs to; a subgraph's is NULL */
};

/** Append a value that nothing produces yet; -1 when memory cannot be had. Moves graph->values. */
int dp_graph_add_value(dp_graph *graph, const char *name);

/** Make value `index` the constant *t, whose data it owns from then on; false when memory cannot be had. */
bool dp_graph_set_constant(dp_graph *graph, int index, const dp_tensor *t);

/** Release the tensors and subgraphs of a node that is taken out of its graph. */
void dp_node_clear(dp_node *node);

/** The attribute of that name, or NULL. */
const dp_attr *dp_node_attr(const dp_node *node, const char *name);

int64_t dp_node_int(const dp_node *node, const char *name, int64_t otherwise);
float dp_node_float(const dp_node *node, const char *name, float otherwise);
const char *dp_node_string(const dp_node *node, const char *name, const char *otherwise);

/** Copy an INTS attribute into values[limit]; returns how many, 0 when absent, -1 when longer than `limit`. */
int dp_node_ints(const dp_node *node, const char *name, int64_t *values, int limit);

#endif
