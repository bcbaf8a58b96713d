/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a data set is made of. dataset_open.c makes the store, from then on it is read only; a data set is a list of its
 * samples, and a subset a shorter list on the same store.
 */
#ifndef DP_DATA_DATASET_H
#define DP_DATA_DATASET_H

#include "dynaprec/dataset.h"

/* The samples of one network input. */
typedef struct dp_column {
    dp_tensor array;      /* [N, ...], in the type that a batch has, or uint8 */
    dp_dtype dtype;       /* of a batch; DP_F32 for a uint8 array: it is normalised on the way */
    size_t elements;      /* of one sample */
    size_t channels;      /* normalised in one go with each; elements is a multiple of it */
    float *scale, *shift; /* [channels]; NULL: samples are copied */
} dp_column;

typedef struct dp_store {
    char *path;
    char sha256[65];
    int64_t count; /* samples */
    int n_inputs;
    dp_column *inputs;   /* [n_inputs] */
    int64_t label_count; /* a sample; 0: none */
    int label_axes;      /* behind the samples' */
    int64_t label_dim[DP_MAX_RANK];
    int64_t *labels; /* [count, label_count] */
    int64_t
        target_count; /* a sample; 0: none. A file has labels or targets, as "y" is whole or real */
    float *targets;   /* [count, target_count] */
} dp_store;

struct dp_dataset {
    const dp_store *store;
    dp_store *owned; /* the store, for the data set that was opened; NULL for subsets */
    int64_t count;
    int64_t *origin; /* [count], ascending; NULL: all of the store */
};

/** Read and check the file into a zeroed store. What was read until a failure stays in it. */
dp_status dp_store_read(dp_store *store, const char *path, const dp_input_spec *inputs,
                        const dp_dataset_options *options, dp_error *err);

#endif
