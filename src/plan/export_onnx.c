/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network that the core computes, without its noise, as an ONNX file. Repetitions have no place in it. */
#include "plan/exporter.h"

dp_status dp_export_onnx(const dp_export *what, const char *path, dp_error *err) {
    static const dp_conditioning none;
    dp_graph *graph = NULL;
    const dp_conditioning *conditioning = what->conditioning ? what->conditioning : &none;
    dp_status status = dp_graph_condition(&graph, what->graph, conditioning, err);
    if (status == DP_OK) status = dp_graph_save(graph, path, err);
    dp_graph_free(graph);
    return status;
}
