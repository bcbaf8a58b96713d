/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the classes are. Predictions are read along the last axis of an output. Networks for segmentation, and others that are
 * made of convolutions, have them on the first axis behind the samples', [N,C,H,W], and labels [N,H,W]: by the labels it is known.
 */
#ifndef DP_ENGINE_CLASSES_H
#define DP_ENGINE_CLASSES_H

#include "dynaprec/dataset.h"
#include "model/graph.h"

/** Do labels say that an output of this shape, [samples, ...], has its classes on axis 1? Where the last axis fits, too, it is that. */
bool dp_classes_first(const dp_tensor *output, const dp_dataset *data);

/**
 * A graph like this one in which the classes of value *target come last: a Transpose is added, and *target is its output.
 *
 * Errors  those of dp_graph_borrow.
 */
dp_status dp_classes_turn(dp_graph **out, const dp_graph *graph, int *target, int rank,
                          dp_error *err);

#endif
