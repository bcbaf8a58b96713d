/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The shapes that a network's values have whatever the number of samples is. */
#ifndef DP_ENGINE_SHAPES_H
#define DP_ENGINE_SHAPES_H

#include "model/graph.h"

/**
 * Fill in rank, dimensions (-1: free) and type of values where the file does not say, by planning the network for two choices of what
 * it leaves open; where that fails nothing is filled in. Errors: DP_EMEMORY.
 */
dp_status dp_graph_find_shapes(dp_graph *graph, dp_error *err);

#endif
