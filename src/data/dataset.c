/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data sets once they are read: counting, filling batches, splitting. Nothing here writes to the store. */
#include "data/dataset.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/rng.h"

static void free_store(dp_store *store) {
    if (!store) return;
    for (int k = 0; store->inputs && k < store->n_inputs; k++) {
        dp_tensor_clear(&store->inputs[k].array);
        dp_free(store->inputs[k].scale);
        dp_free(store->inputs[k].shift);
    }
    dp_free(store->inputs);
    dp_free(store->labels);
    dp_free(store->targets);
    dp_free(store->path);
    dp_free(store);
}

dp_status dp_dataset_open(dp_dataset **out, const char *path, const dp_input_spec *inputs,
                          int n_inputs, const dp_dataset_options *options, dp_error *err) {
    static const dp_dataset_options defaults = {0};
    *out = NULL;
    dp_status status = DP_EMEMORY;
    dp_dataset *dataset = dp_alloc(1, sizeof *dataset);
    dp_store *store = dp_alloc(1, sizeof *store);
    if (!dataset || !store) {
        dp_fail(err, status, "%s: no memory for a data set", path);
        goto fail;
    }
    store->n_inputs = n_inputs;
    status = dp_store_read(store, path, inputs, options ? options : &defaults, err);
    if (status != DP_OK) goto fail;
    dataset->store = dataset->owned = store;
    dataset->count = store->count;
    *out = dataset;
    return DP_OK;
fail:
    free_store(store);
    dp_free(dataset);
    return status;
}

void dp_dataset_free(dp_dataset *dataset) {
    if (!dataset) return;
    free_store(dataset->owned);
    dp_free(dataset->origin);
    dp_free(dataset);
}

int64_t dp_dataset_count(const dp_dataset *dataset) {
    return dataset->count;
}

const char *dp_dataset_path(const dp_dataset *dataset) {
    return dataset->store->path;
}

const char *dp_dataset_sha256(const dp_dataset *dataset) {
    return dataset->store->sha256;
}

int64_t dp_dataset_origin(const dp_dataset *dataset, int64_t sample) {
    assert(sample >= 0 && sample < dataset->count);
    return dataset->origin ? dataset->origin[sample] : sample;
}

int64_t dp_dataset_label_count(const dp_dataset *dataset) {
    return dataset->store->label_count;
}

int dp_dataset_label_shape(const dp_dataset *dataset, int64_t dim[DP_MAX_RANK]) {
    const dp_store *store = dataset->store;
    memcpy(dim, store->label_dim, sizeof store->label_dim);
    return store->label_axes;
}

const int64_t *dp_dataset_labels(const dp_dataset *dataset, int64_t sample) {
    const dp_store *store = dataset->store;
    if (store->label_count == 0) return NULL;
    return store->labels + dp_dataset_origin(dataset, sample) * store->label_count;
}

int64_t dp_dataset_target_count(const dp_dataset *dataset) {
    return dataset->store->target_count;
}

const float *dp_dataset_targets(const dp_dataset *dataset, int64_t sample) {
    const dp_store *store = dataset->store;
    if (store->target_count == 0) return NULL;
    return store->targets + dp_dataset_origin(dataset, sample) * store->target_count;
}

bool dp_dataset_one_hot(const dp_dataset *dataset) {
    int64_t targets = dataset->store->target_count, rows = 0;
    for (int64_t i = 0; targets > 1 && i < dataset->count; i++) {
        const float *row = dp_dataset_targets(dataset, i);
        int64_t ones = 0, zeros = 0;
        for (int64_t t = 0; t < targets; t++) {
            ones += row[t] == 1;
            zeros += row[t] == 0;
        }
        rows += ones == 1 && zeros == targets - 1;
    }
    return rows > 0 && rows == dataset->count;
}

int64_t dp_dataset_counted(const dp_dataset *dataset) {
    int64_t labels = dataset->store->label_count, counted = 0;
    if (labels == 0) return dataset->count;
    for (int64_t i = 0; i < dataset->count; i++) {
        const int64_t *label = dp_dataset_labels(dataset, i);
        int64_t t = 0;
        while (t < labels && label[t] == DP_IGNORED_LABEL) t++;
        counted += t < labels;
    }
    return counted;
}

dp_status dp_dataset_check_labels(const dp_dataset *dataset, int64_t classes, dp_error *err) {
    for (int64_t i = 0; i < dataset->count; i++) {
        const int64_t *label = dp_dataset_labels(dataset, i);
        for (int64_t t = 0; t < dataset->store->label_count; t++)
            if (label[t] != DP_IGNORED_LABEL && (label[t] < 0 || label[t] >= classes))
                return dp_fail(err, DP_EFORMAT,
                               "%s: array 'y', sample %" PRId64 ": label %" PRId64
                               "; the network has classes 0 to %" PRId64 " (-100: ignored)",
                               dp_dataset_path(dataset), dp_dataset_origin(dataset, i), label[t],
                               classes - 1);
    }
    if (dp_dataset_counted(dataset) > 0) return DP_OK;
    return dp_fail(err, DP_EFORMAT, "%s: array 'y': all labels are -100, so none counts",
                   dp_dataset_path(dataset));
}

/* ---- batches ---- */

void dp_dataset_shape(const dp_dataset *dataset, int k, int64_t count, dp_tensor *shape) {
    assert(k >= 0 && k < dataset->store->n_inputs);
    const dp_column *column = &dataset->store->inputs[k];
    *shape = (dp_tensor){.dtype = column->dtype, .rank = column->array.rank};
    memcpy(shape->dim, column->array.dim, sizeof shape->dim);
    shape->dim[0] = count;
}

/* x = (v / 255 - mean) / std with both constants folded into v * scale + shift. */
static void normalise(const uint8_t *restrict from, float *restrict to, size_t count, float scale,
                      float shift) {
    for (size_t i = 0; i < count; i++) to[i] = (float)from[i] * scale + shift;
}

static void fill_sample(const dp_column *column, int64_t origin, unsigned char *to) {
    const size_t size = dp_dtype_size(column->array.dtype) * column->elements;
    const unsigned char *from = (const unsigned char *)column->array.data + (size_t)origin * size;
    if (!column->scale) {
        memcpy(to, from, size);
        return;
    }
    const size_t plane = column->elements / column->channels;
    for (size_t c = 0; c < column->channels; c++)
        normalise(from + c * plane, (float *)(void *)to + c * plane, plane, column->scale[c],
                  column->shift[c]);
}

void dp_dataset_fill(const dp_dataset *dataset, int k, int64_t first, int64_t count, void *out) {
    assert(k >= 0 && k < dataset->store->n_inputs && first >= 0);
    const dp_column *column = &dataset->store->inputs[k];
    const size_t size = dp_dtype_size(column->dtype) * column->elements;
    for (int64_t i = 0; i < count; i++) {
        int64_t sample = first + i < dataset->count ? first + i : dataset->count - 1;
        fill_sample(column, dp_dataset_origin(dataset, sample),
                    (unsigned char *)out + (size_t)i * size);
    }
}

/* ---- subsets ---- */

static dp_dataset *make_subset(const dp_dataset *parent, int64_t count) {
    dp_dataset *subset = dp_alloc(1, sizeof *subset);
    if (!subset) return NULL;
    subset->store = parent->store;
    subset->origin = dp_alloc((size_t)count, sizeof *subset->origin);
    if (subset->origin) return subset;
    dp_free(subset);
    return NULL;
}

/* Mark `wanted` of `count` places: the first ones of a seeded permutation (Fisher and Yates, Knuth's algorithm P). */
static bool draw_places(int64_t count, int64_t wanted, uint64_t seed, bool *marked) {
    const dp_stream stream = {.seed = seed, .purpose = DP_DRAW_SPLIT};
    int64_t *place = dp_alloc((size_t)count, sizeof *place);
    if (!place) return false;
    for (int64_t i = 0; i < count; i++) place[i] = i;
    for (int64_t i = 0; i < wanted; i++) {
        uint32_t bits[2];
        dp_bits(&stream, (uint64_t)i * 2, bits, 2);
        uint64_t draw = (uint64_t)bits[0] << 32 | bits[1]; /* bias of the remainder: below 2^-32 */
        int64_t other = i + (int64_t)(draw % (uint64_t)(count - i));
        int64_t picked = place[other];
        place[other] = place[i];
        place[i] = picked;
        marked[picked] = true;
    }
    dp_free(place);
    return true;
}

dp_status dp_dataset_split(const dp_dataset *dataset, double fraction, uint64_t seed,
                           dp_dataset **learn, dp_dataset **check, dp_error *err) {
    *learn = *check = NULL;
    const int64_t count = dataset->count;
    if (!(fraction > 0 && fraction < 1))
        return dp_fail(err, DP_ERANGE, "check fraction %g: between 0 and 1 is allowed", fraction);
    if (count < 2)
        return dp_fail(err, DP_ERANGE,
                       "%s: one sample cannot be split into a learn and a check set",
                       dp_dataset_path(dataset));
    int64_t wanted = llround(fraction * (double)count);
    wanted = wanted < 1 ? 1 : wanted > count - 1 ? count - 1 : wanted;
    bool *marked = dp_alloc((size_t)count, sizeof *marked);
    dp_dataset *rest = make_subset(dataset, count - wanted), *taken = make_subset(dataset, wanted);
    if (!marked || !rest || !taken || !draw_places(count, wanted, seed, marked)) {
        dp_free(marked);
        dp_dataset_free(rest);
        dp_dataset_free(taken);
        return dp_fail(err, DP_EMEMORY, "%s: no memory to split", dp_dataset_path(dataset));
    }
    for (int64_t i = 0; i < count; i++) {
        dp_dataset *to = marked[i] ? taken : rest;
        to->origin[to->count++] = dp_dataset_origin(dataset, i);
    }
    dp_free(marked);
    *learn = rest;
    *check = taken;
    return DP_OK;
}

static bool ascend(const int64_t *samples, int64_t count, int64_t end) {
    for (int64_t i = 0; i < count; i++)
        if (samples[i] < (i ? samples[i - 1] + 1 : 0) || samples[i] >= end) return false;
    return count > 0;
}

dp_status dp_dataset_pick(dp_dataset **out, const dp_dataset *parent, const int64_t *samples,
                          int64_t count, dp_error *err) {
    *out = NULL;
    if (!ascend(samples, count, parent->count))
        return dp_fail(err, DP_ERANGE,
                       "%s: samples that are picked have to ascend from 0 to at most %" PRId64,
                       dp_dataset_path(parent), parent->count - 1);
    dp_dataset *view = make_subset(parent, count);
    if (!view)
        return dp_fail(err, DP_EMEMORY, "%s: no memory to pick samples", dp_dataset_path(parent));
    view->count = count;
    for (int64_t i = 0; i < count; i++) view->origin[i] = dp_dataset_origin(parent, samples[i]);
    *out = view;
    return DP_OK;
}
