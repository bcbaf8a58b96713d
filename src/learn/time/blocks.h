/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks: units that the core computes at once, so that the one with the most repetitions decides how long all of them take. The
 * time of a precision is sum over blocks of T_b max over its units of K. Sites whose blocks have the same units share a block.
 *
 * Source  docs/methods.md, "Latency".
 */
#ifndef DP_LEARN_BLOCKS_H
#define DP_LEARN_BLOCKS_H

#include "dynaprec/engine.h"

typedef struct dp_blocks {
    int count;
    int *first;         /* [count + 1] where a block's units begin */
    int *units;         /* [first[count]] */
    double *operations; /* [count] T: of the core, a sample and repetition */
} dp_blocks;

/** Shapes: of_channel [dp_engine_channels]: the channels' units, of which there are `units`. Errors: DP_EMEMORY. */
dp_status dp_blocks_create(dp_blocks *out, const dp_engine *engine, const int *of_channel,
                           int units, dp_error *err);
void dp_blocks_clear(dp_blocks *blocks);

/** The most of a block's units. Shapes: k [units]. */
double dp_blocks_most(const dp_blocks *blocks, int block, const double *k);

/** sum of T max K: operations a sample. Shapes: k [units]. */
double dp_blocks_operations(const dp_blocks *blocks, const double *k);

#endif
