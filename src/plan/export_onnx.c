/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network that the core computes, without its noise, as an ONNX file. Repetitions have no place in it. */
#include "plan/exporter.h"

dp_status dp_export_onnx(const dp_export *what, const char *path, dp_error *err) {
    dp_graph *graph = NULL;
    dp_status status = dp_graph_condition(&graph, what->graph, &what->schedule->conditioning, err);
    if (status == DP_ERANGE && err) status = err->status = DP_EFORMAT; /* of the schedule */
    if (status == DP_OK) status = dp_graph_save(graph, path, err);
    dp_graph_free(graph);
    return status;
}
