/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A frozen network, read from ONNX: values (edges) and nodes in execution order.
 *
 * Life cycle: dp_graph_load, any number of readers, dp_graph_free. A loaded graph is never written again, so any
 * number of threads may share it.
 */
#ifndef DYNAPREC_GRAPH_H
#define DYNAPREC_GRAPH_H

#include "dynaprec/status.h"
#include "dynaprec/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_graph dp_graph;

/**
 * Read an ONNX model, check that every operator is implemented, fold constants and batch normalisation.
 *
 * Errors  DP_EIO, DP_EFORMAT (names file, node, what is wrong), DP_EUNSUPPORTED (names every node, operator and opset
 *         that cannot be run, before any work), DP_EMEMORY. *out is NULL then.
 */
dp_status dp_graph_load(dp_graph **out, const char *path, dp_error *err);

/**
 * Write the network as an ONNX file that other runtimes execute, as it is here: folded, and with float32 for all real types.
 *
 * Inputs, outputs, nodes and weights keep their names. The file appears under its name only when it is whole.
 * Errors  DP_EUNSUPPORTED for a network with an If whose condition is not known yet, or of more than 1.5 GiB; DP_EIO; DP_EMEMORY.
 */
dp_status dp_graph_save(const dp_graph *graph, const char *path, dp_error *err);

void dp_graph_free(dp_graph *graph);

int dp_graph_input_count(const dp_graph *graph);
int dp_graph_output_count(const dp_graph *graph);
const char *dp_graph_input_name(const dp_graph *graph, int index);
const char *dp_graph_output_name(const dp_graph *graph, int index);

/** SHA-256 of the model file and its external data, in hexadecimal. */
const char *dp_graph_sha256(const dp_graph *graph);

#ifdef __cplusplus
}
#endif
#endif
