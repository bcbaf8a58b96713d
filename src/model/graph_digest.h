/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a graph is, as a digest: for whoever keeps what was computed with it. */
#ifndef DP_MODEL_GRAPH_DIGEST_H
#define DP_MODEL_GRAPH_DIGEST_H

#include "base/sha256.h"
#include "model/graph.h"

/**
 * Take in nodes, attributes and constants, so that a graph which was rewritten differs from the one in its file.
 *
 * Constants that lie in the file or were borrowed from another graph count by their place and shape: graph->sha256 knows their content.
 */
void dp_graph_digest(const dp_graph *graph, dp_sha256 *sha);

#endif
