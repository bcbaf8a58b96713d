/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Calibration samples and their labels.
 *
 * A data set is read once and never written again; subsets share its arrays and must be freed before it. Samples stay in the
 * the network's type, except for uint8 images, a quarter of their floats, which are converted when a batch is filled:
 * uint8 -> x = (x / 255 - mean[c]) / std[c] for a floating-point input, c the second axis of the array. float64 -> float32
 * and integers -> the input's integer type are converted once, when the file is read, and refused where a value does not fit.
 */
#ifndef DYNAPREC_DATASET_H
#define DYNAPREC_DATASET_H

#include "dynaprec/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_dataset dp_dataset;

/* What the network wants of one input. */
typedef struct dp_input_spec {
    const char *name;
    dp_dtype dtype;           /* DP_F64 counts as DP_F32; DP_NONE: as in the file */
    int rank;                 /* with the samples' axis; -1: not known */
    int64_t dim[DP_MAX_RANK]; /* dim[0] is ignored; -1: any */
} dp_input_spec;

typedef struct dp_dataset_options {
    const double *mean, *std;  /* NULL: the arrays of that name in the file, else 0 and 1 */
    int mean_count, std_count; /* 1 or the number of channels */
    bool labels_required;
} dp_dataset_options;

/**
 * Read the arrays that the network's inputs ask for by name (a single-input network may call it "x"), and labels or targets "y".
 *
 * Errors  DP_EIO, DP_EFORMAT: names file, array, the shape or type found and the one that is wanted; NaN or infinity in a
 *         floating-point input; no samples; counts that differ; labels of the wrong type or shape. DP_ERANGE: `options`
 *         that do not fit the arrays. `options` may be NULL.
 */
dp_status dp_dataset_open(dp_dataset **out, const char *path, const dp_input_spec *inputs,
                          int n_inputs, const dp_dataset_options *options, dp_error *err);

void dp_dataset_free(dp_dataset *dataset);

int64_t dp_dataset_count(const dp_dataset *dataset);
const char *dp_dataset_path(const dp_dataset *dataset);

/** SHA-256 of the file, in hexadecimal. */
const char *dp_dataset_sha256(const dp_dataset *dataset);

/** Number of this data set's sample i in its file: the same for a sample in every subset. */
int64_t dp_dataset_origin(const dp_dataset *dataset, int64_t sample);

/** Labels a sample (1 for [N], T for [N,T], H W for [N,H,W]); 0: the file has none. */
int64_t dp_dataset_label_count(const dp_dataset *dataset);

/** Axes of a sample's labels, and their lengths in dim: none for [N], T for [N,T]. */
int dp_dataset_label_shape(const dp_dataset *dataset, int64_t dim[DP_MAX_RANK]);

/** The labels of one sample, [label_count] int64, -100: ignored. NULL without labels. */
const int64_t *dp_dataset_labels(const dp_dataset *dataset, int64_t sample);

/** Real targets a sample, for regression: where "y" is floating-point; 0: the file has none. */
int64_t dp_dataset_target_count(const dp_dataset *dataset);

/** The targets of one sample, [target_count], in the order of the array. NULL without targets. */
const float *dp_dataset_targets(const dp_dataset *dataset, int64_t sample);

/** All rows of the targets are one-hot, so that they look like classes. */
bool dp_dataset_one_hot(const dp_dataset *dataset);

#define DP_IGNORED_LABEL (-100) /* PyTorch's ignore_index */

/** Samples that can tell what is lost: those with a label that is not ignored, all of them where there are no labels. */
int64_t dp_dataset_counted(const dp_dataset *dataset);

/** Check that every label is -100 or in [0, classes), and not all are -100. Errors: DP_EFORMAT, naming file, sample and label. */
dp_status dp_dataset_check_labels(const dp_dataset *dataset, int64_t classes, dp_error *err);

/** Type and shape that one batch of `count` samples of input k has once converted; data is NULL. */
void dp_dataset_shape(const dp_dataset *dataset, int k, int64_t count, dp_tensor *shape);

/**
 * Convert samples first .. first+count-1 of input k into `out`, laid out as dp_dataset_shape says.
 *
 * Shapes  out [count, ...]; samples past the end repeat the last one, so that a fixed batch can be filled.
 */
void dp_dataset_fill(const dp_dataset *dataset, int k, int64_t first, int64_t count, void *out);

/**
 * Split by a seeded permutation: `check` gets round(fraction * count) samples, `learn` the rest, both at least one.
 *
 * Random  DP_DRAW_SPLIT of `seed`.
 * Errors  DP_ERANGE when there are fewer than two samples or fraction is not in (0, 1).
 */
dp_status dp_dataset_split(const dp_dataset *dataset, double fraction, uint64_t seed,
                           dp_dataset **learn, dp_dataset **check, dp_error *err);

/**
 * A view of some of a data set's samples, by their numbers in it.
 *
 * Shapes  samples [count], ascending, at least one.
 * Errors  DP_ERANGE: numbers that do not ascend or that the data set does not have; DP_EMEMORY.
 */
dp_status dp_dataset_pick(dp_dataset **out, const dp_dataset *parent, const int64_t *samples,
                          int64_t count, dp_error *err);

#ifdef __cplusplus
}
#endif
#endif
