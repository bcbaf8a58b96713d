/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/classes.h"

#include <string.h>

#include "model/graph_edit.h"

bool dp_classes_first(const dp_tensor *output, const dp_dataset *data) {
    int64_t dim[DP_MAX_RANK];
    int axes = dp_dataset_label_shape(data, dim);
    size_t bytes = (size_t)axes * sizeof *dim;
    return axes > 0 && output->rank == axes + 2 && memcmp(output->dim + 2, dim, bytes) == 0 &&
           memcmp(output->dim + 1, dim, bytes) != 0;
}

/* Axis 1 behind all others. */
static dp_attr permutation(dp_graph *graph, int rank) {
    int64_t *perm = dp_arena_alloc(&graph->arena, (size_t)rank, sizeof *perm);
    for (int i = 0; perm && i < rank; i++) perm[i] = i == 0 ? 0 : i < rank - 1 ? i + 1 : 1;
    return (dp_attr){.name = "perm", .kind = DP_ATTR_INTS, .ints = perm, .count = rank};
}

dp_status dp_classes_turn(dp_graph **out, const dp_graph *graph, int *target, int rank,
                          dp_error *err) {
    dp_status status = dp_graph_borrow(out, graph, 1, err);
    if (status != DP_OK) return status;
    dp_graph *turned = *out;
    int producer = turned->values[*target].producer;
    int value = dp_graph_value_like(turned, *target, "/classes_last");
    dp_attr perm = permutation(turned, rank);
    dp_node *node = NULL;
    if (value >= 0 && perm.ints) {
        turned->values[value].rank = -1; /* as the operator says */
        node = dp_graph_add_node(turned, &(dp_new_node){.beside = &turned->nodes[producer],
                                                        .op = "Transpose",
                                                        .suffix = "/classes_last",
                                                        .in = {*target},
                                                        .n_in = 1,
                                                        .out = value});
    }
    if (node && dp_node_set_attr(turned, node, &perm)) {
        *target = value;
        return DP_OK;
    }
    dp_graph_free(turned);
    *out = NULL;
    return dp_fail(err, DP_EMEMORY, "%s: no memory for another graph", graph->path);
}
