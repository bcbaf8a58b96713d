/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From arrays in a file to samples a network takes. Everything that can be wrong with them is found here, so that filling
 * a batch cannot fail: shapes against the network's, values against the type they become, labels, mean and std.
 * Conversions that shrink or keep an array (float64, integers) are done here too; uint8 images stay as they are.
 */
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "base/sha256.h"
#include "data/dataset.h"
#include "dynaprec/npz.h"

typedef struct reader {
    const char *path;
    const dp_input_spec *inputs;
    const dp_dataset_options *options;
    dp_npz npz;
    dp_store *store;
} reader;

static dp_status no_memory(const reader *r, dp_error *err) {
    return dp_fail(err, DP_EMEMORY, "%s: no memory for a data set", r->path);
}

static bool is_float(dp_dtype type) {
    return type == DP_F32 || type == DP_F64;
}

/* ---- finding arrays ---- */

static bool is_input(const reader *r, const char *name) {
    for (int k = 0; k < r->store->n_inputs; k++)
        if (strcmp(r->inputs[k].name, name) == 0) return true;
    return false;
}

static dp_array *find_array(const reader *r, const char *name) {
    for (size_t i = 0; i < r->npz.count; i++)
        if (strcmp(r->npz.arrays[i].name, name) == 0) return &r->npz.arrays[i];
    return NULL;
}

/* "x" uint8 [10,3,32,32], "y" int64 [10] */
static const char *list_arrays(const reader *r, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "%s", r->npz.count ? "" : "no array");
    for (size_t i = 0; i < r->npz.count && used < size; i++) {
        char shape[128];
        const dp_array *a = &r->npz.arrays[i];
        dp_tensor_shape_text(&a->tensor, shape, sizeof shape);
        used += (size_t)snprintf(text + used, size - used, "%s'%s' %s %s", i ? ", " : "", a->name,
                                 dp_dtype_name(a->tensor.dtype), shape);
    }
    return text;
}

static dp_status missing(const reader *r, const char *name, const char *what, dp_error *err) {
    char list[512];
    return dp_fail(err, DP_EFORMAT, "%s: no array '%s' %s; the file has %s", r->path, name, what,
                   list_arrays(r, list, sizeof list));
}

/* ---- shapes ---- */

static const char *spec_text(const dp_input_spec *spec, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, spec->rank > 0 ? "[N" : "[");
    for (int i = 1; i < spec->rank && used < size; i++) {
        const char *format = spec->dim[i] < 0 ? ",?" : ",%" PRId64;
        used += (size_t)snprintf(text + used, size - used, format, spec->dim[i]);
    }
    if (used < size) snprintf(text + used, size - used, "]");
    return text;
}

static bool fits(const int64_t *dims, const int64_t *wanted, int count) {
    for (int i = 0; i < count; i++)
        if (wanted[i] >= 0 && dims[i] != wanted[i]) return false;
    return true;
}

/* The mistakes that people make, by their names. */
static const char *shape_hint(const dp_tensor *t, const dp_input_spec *spec) {
    const int64_t *d = t->dim, *w = spec->dim;
    if (t->rank == spec->rank - 1 && fits(d, w + 1, t->rank))
        return "the samples' axis in front is missing";
    if (t->rank == 4 && spec->rank == 4 && fits(d + 1, w + 2, 2) && fits(d + 3, w + 1, 1))
        return "channels are wanted in front of height and width: transpose(0, 3, 1, 2)";
    if (t->rank != spec->rank) return "another number of axes is wanted, samples first";
    return "all axes but the first, the samples, have to agree";
}

static dp_status check_shape(const reader *r, const dp_array *a, const dp_input_spec *spec,
                             dp_error *err) {
    const dp_tensor *t = &a->tensor;
    char found[128], wanted[128];
    dp_tensor_shape_text(t, found, sizeof found);
    if (spec->rank >= 0 &&
        (t->rank != spec->rank || t->rank < 1 || !fits(t->dim + 1, spec->dim + 1, t->rank - 1)))
        return dp_fail(err, DP_EFORMAT, "%s: array '%s' %s does not fit input '%s' %s: %s", r->path,
                       a->name, found, spec->name, spec_text(spec, wanted, sizeof wanted),
                       shape_hint(t, spec));
    if (t->rank < 1 || t->dim[0] == 0)
        return dp_fail(err, DP_EFORMAT, "%s: array '%s' %s has no samples along its first axis",
                       r->path, a->name, found);
    if (r->store->count != 0 && r->store->count != t->dim[0])
        return dp_fail(err, DP_EFORMAT,
                       "%s: array '%s' has %" PRId64 " samples, those before it %" PRId64, r->path,
                       a->name, t->dim[0], r->store->count);
    return DP_OK;
}

/* ---- real values ---- */

static double real_value(const dp_tensor *t, size_t i) {
    return t->dtype == DP_F64 ? ((const double *)t->data)[i] : (double)((const float *)t->data)[i];
}

static dp_status not_finite(const reader *r, const dp_array *a, size_t sample, size_t elements,
                            dp_error *err) {
    size_t i = 0;
    while (i + 1 < elements && fabs(real_value(&a->tensor, sample * elements + i)) <= FLT_MAX) i++;
    double value = real_value(&a->tensor, sample * elements + i);
    char text[32];
    snprintf(text, sizeof text, "%g", value);
    return dp_fail(err, DP_EFORMAT,
                   "%s: array '%s', sample %zu: element %zu is %s; finite float32 values are "
                   "wanted",
                   r->path, a->name, sample, i, isnan(value) ? "NaN" : text);
}

/* Are these values finite? Without branches, so that it runs at the speed of memory. */
static bool finite32(const float *v, size_t count) {
    int fine = 1;
    for (size_t i = 0; i < count; i++) fine &= fabsf(v[i]) <= FLT_MAX;
    return fine;
}

static bool narrow(const double *restrict from, float *restrict to, size_t count) {
    int fine = 1;
    for (size_t i = 0; i < count; i++) {
        fine &= fabs(from[i]) <= (double)FLT_MAX;
        to[i] = (float)from[i];
    }
    return fine;
}

static void replace(dp_tensor *t, dp_dtype dtype, void *data) {
    dp_free(t->data);
    t->data = data;
    t->dtype = dtype;
}

static dp_status to_float(const reader *r, dp_array *a, size_t elements, dp_error *err) {
    dp_tensor *t = &a->tensor;
    const size_t samples = (size_t)t->dim[0];
    float *narrowed = NULL;
    if (t->dtype == DP_F64) {
        narrowed = dp_alloc(samples * elements, sizeof *narrowed);
        if (!narrowed) return no_memory(r, err);
    }
    for (size_t n = 0; n < samples; n++) {
        size_t at = n * elements;
        bool fine = narrowed ? narrow((const double *)t->data + at, narrowed + at, elements)
                             : finite32((const float *)t->data + at, elements);
        if (fine) continue;
        dp_free(narrowed);
        return not_finite(r, a, n, elements, err);
    }
    if (narrowed) replace(t, DP_F32, narrowed);
    return DP_OK;
}

/* ---- integers ---- */

/* False: beyond int64. Bytes are little-endian here as in the file. */
static bool load_integer(const dp_tensor *t, size_t i, int64_t *value) {
    const size_t size = dp_dtype_size(t->dtype);
    const bool negatives =
        t->dtype == DP_I8 || t->dtype == DP_I16 || t->dtype == DP_I32 || t->dtype == DP_I64;
    const size_t unused = 64 - 8 * size;
    uint64_t bits = 0;
    memcpy(&bits, (const unsigned char *)t->data + i * size, size);
    *value = negatives ? (int64_t)(bits << unused) >> unused : (int64_t)bits;
    return negatives || *value >= 0;
}

/* True: `value` fits the type and stands in element i. */
static bool store_integer(void *data, dp_dtype type, size_t i, int64_t value) {
    static const struct {
        int64_t least, most;
    } range[] = {
        [DP_I8] = {INT8_MIN, INT8_MAX},
        [DP_U8] = {0, UINT8_MAX},
        [DP_BOOL] = {0, 1},
        [DP_I16] = {INT16_MIN, INT16_MAX},
        [DP_U16] = {0, UINT16_MAX},
        [DP_U64] = {0, INT64_MAX},
        [DP_I32] = {INT32_MIN, INT32_MAX},
        [DP_U32] = {0, UINT32_MAX},
        [DP_I64] = {INT64_MIN, INT64_MAX},
    };
    if (value < range[type].least || value > range[type].most) return false;
    size_t size = dp_dtype_size(type);
    memcpy((unsigned char *)data + i * size, &value, size);
    return true;
}

static dp_status to_integer(const reader *r, dp_array *a, dp_dtype type, dp_error *err) {
    dp_tensor *t = &a->tensor;
    if (t->dtype == type) return DP_OK;
    const size_t count = (size_t)dp_tensor_count(t);
    void *data = dp_alloc(count, dp_dtype_size(type));
    if (!data) return no_memory(r, err);
    for (size_t i = 0; i < count; i++) {
        int64_t value;
        bool known = load_integer(t, i, &value);
        if (known && store_integer(data, type, i, value)) continue;
        char text[32];
        if (known)
            snprintf(text, sizeof text, "%" PRId64, value);
        else
            snprintf(text, sizeof text, "%" PRIu64, (uint64_t)value);
        dp_free(data);
        return dp_fail(err, DP_EFORMAT, "%s: array '%s', sample %zu: %s does not fit %s", r->path,
                       a->name, i / (count / (size_t)t->dim[0]), text, dp_dtype_name(type));
    }
    replace(t, type, data);
    return DP_OK;
}

/* ---- mean and std of uint8 images ---- */

typedef struct factor {
    const char *name;
    const double *given; /* stands in for the array of that name */
    int given_count;
    double value; /* where there is neither */
    size_t count;
    double *values; /* [count] */
} factor;

static dp_status read_factor(const reader *r, factor *f, dp_error *err) {
    const dp_array *a = f->given || is_input(r, f->name) ? NULL : find_array(r, f->name);
    if (a && a->tensor.rank > 1)
        return dp_fail(err, DP_EFORMAT, "%s: array '%s' has to be a number or one a channel",
                       r->path, f->name);
    f->count = f->given ? (size_t)(f->given_count > 0 ? f->given_count : 0)
               : a      ? (size_t)dp_tensor_count(&a->tensor)
                        : 1;
    f->values = dp_alloc(f->count, sizeof *f->values);
    if (!f->values) return no_memory(r, err);
    for (size_t i = 0; i < f->count; i++) {
        int64_t whole = 0;
        f->values[i] = f->given ? f->given[i] : f->value;
        if (a && is_float(a->tensor.dtype))
            f->values[i] = real_value(&a->tensor, i);
        else if (a)
            f->values[i] = load_integer(&a->tensor, i, &whole) ? (double)whole : NAN;
    }
    return DP_OK;
}

/* One multiplication and one addition a pixel: (v / 255 - mean) / std = v * scale + shift. */
static dp_status fold_factors(const reader *r, dp_column *column, const factor *mean,
                              const factor *std, dp_error *err) {
    column->scale = dp_alloc(column->channels, sizeof(float));
    column->shift = dp_alloc(column->channels, sizeof(float));
    if (!column->scale || !column->shift) return no_memory(r, err);
    for (size_t c = 0; c < column->channels; c++) {
        double m = mean->values[mean->count > 1 ? c : 0], s = std->values[std->count > 1 ? c : 0];
        double scale = 1 / (255 * s), shift = -m / s;
        if (!(s > 0 && scale <= FLT_MAX && fabs(shift) <= FLT_MAX))
            return dp_fail(err, std->given || mean->given ? DP_ERANGE : DP_EFORMAT,
                           "%s: channel %zu has mean %g and std %g; finite numbers are wanted, std "
                           "above 0",
                           r->path, c, m, s);
        column->scale[c] = (float)scale;
        column->shift[c] = (float)shift;
    }
    return DP_OK;
}

static dp_status normalise_array(const reader *r, const dp_array *a, dp_column *column,
                                 dp_error *err) {
    const dp_dataset_options *o = r->options;
    factor factors[] = {{"mean", o->mean, o->mean_count, 0, 0, NULL},
                        {"std", o->std, o->std_count, 1, 0, NULL}};
    const size_t channels = a->tensor.rank > 1 ? (size_t)a->tensor.dim[1] : 1;
    dp_status status = DP_OK;
    column->dtype = DP_F32;
    column->channels = 1;
    for (int i = 0; i < 2 && status == DP_OK; i++) {
        factor *f = &factors[i];
        status = read_factor(r, f, err);
        if (status == DP_OK && f->count != 1 && (f->count != channels || channels == 0))
            status = dp_fail(err, f->given ? DP_ERANGE : DP_EFORMAT,
                             "%s: %s has %zu values; array '%s' has %zu channels (its second axis)",
                             r->path, f->name, f->count, a->name, channels);
        if (f->count > 1) column->channels = channels;
    }
    if (status == DP_OK) status = fold_factors(r, column, &factors[0], &factors[1], err);
    dp_free(factors[0].values);
    dp_free(factors[1].values);
    return status;
}

/* ---- inputs, labels ---- */

static dp_status convert(const reader *r, dp_array *a, dp_dtype wanted, dp_column *column,
                         dp_error *err) {
    const dp_dtype found = a->tensor.dtype;
    if (wanted == DP_NONE) wanted = found;
    column->dtype = is_float(wanted) ? DP_F32 : wanted;
    if (is_float(wanted) && found == DP_U8) return normalise_array(r, a, column, err);
    if (is_float(wanted) && is_float(found)) return to_float(r, a, column->elements, err);
    if (!is_float(wanted) && !is_float(found)) return to_integer(r, a, wanted, err);
    return dp_fail(err, DP_EFORMAT, "%s: array '%s' is %s; the network's input is %s and takes %s",
                   r->path, a->name, dp_dtype_name(found), dp_dtype_name(wanted),
                   is_float(wanted) ? "float32, float64 or uint8" : "integers");
}

static dp_status read_input(reader *r, int k, dp_error *err) {
    const dp_input_spec *spec = &r->inputs[k];
    dp_column *column = &r->store->inputs[k];
    dp_array *a = find_array(r, spec->name);
    if (!a && r->store->n_inputs == 1) a = find_array(r, "x");
    if (!a)
        return missing(r, spec->name,
                       r->store->n_inputs == 1 && strcmp(spec->name, "x") != 0
                           ? "(or 'x') for the network's input"
                           : "for the network's input of that name",
                       err);
    if (a->tensor.borrowed)
        return dp_fail(err, DP_EFORMAT, "%s: two inputs of the network are named '%s'", r->path,
                       spec->name);
    dp_status status = check_shape(r, a, spec, err);
    if (status != DP_OK) return status;
    r->store->count = a->tensor.dim[0];
    column->elements = (size_t)(dp_tensor_count(&a->tensor) / a->tensor.dim[0]);
    status = convert(r, a, spec->dtype, column, err);
    if (status != DP_OK) return status;
    column->array = a->tensor;
    a->tensor.borrowed = true; /* the store's from now on */
    return DP_OK;
}

/* Of any shape behind the samples' axis: the network's output decides whether they fit. */
static dp_status read_targets(const reader *r, dp_array *y, dp_error *err) {
    const dp_tensor *t = &y->tensor;
    char shape[128];
    if (t->rank < 1 || t->dim[0] != r->store->count || dp_tensor_count(t) == 0)
        return dp_fail(err, DP_EFORMAT,
                       "%s: targets 'y' have shape %s; [%" PRId64
                       ",...] is wanted, as there are %" PRId64 " samples",
                       r->path, dp_tensor_shape_text(t, shape, sizeof shape), r->store->count,
                       r->store->count);
    int64_t count = dp_tensor_count(t) / t->dim[0];
    dp_status status = to_float(r, y, (size_t)count, err);
    if (status != DP_OK) return status;
    r->store->targets = y->tensor.data;
    r->store->target_count = count;
    y->tensor.borrowed = true;
    return DP_OK;
}

static dp_status read_labels(reader *r, dp_error *err) {
    dp_array *y = is_input(r, "y") ? NULL : find_array(r, "y");
    if (!y) return r->options->labels_required ? missing(r, "y", "with labels", err) : DP_OK;
    const dp_tensor *t = &y->tensor;
    char shape[128];
    if (is_float(t->dtype)) return read_targets(r, y, err);
    if (t->dtype == DP_BOOL)
        return dp_fail(err, DP_EFORMAT,
                       "%s: labels 'y' are %s; integers are wanted, the number of a class", r->path,
                       dp_dtype_name(t->dtype));
    if (t->rank < 1 || t->dim[0] != r->store->count || dp_tensor_count(t) == 0)
        return dp_fail(err, DP_EFORMAT,
                       "%s: labels 'y' have shape %s; [%" PRId64 "] or [%" PRId64
                       ",...] is wanted, as there are %" PRId64 " samples",
                       r->path, dp_tensor_shape_text(t, shape, sizeof shape), r->store->count,
                       r->store->count, r->store->count);
    dp_status status = to_integer(r, y, DP_I64, err);
    if (status != DP_OK) return status;
    r->store->labels = y->tensor.data;
    r->store->label_count = dp_tensor_count(t) / t->dim[0];
    r->store->label_axes = t->rank - 1;
    memcpy(r->store->label_dim, t->dim + 1, (size_t)(t->rank - 1) * sizeof *t->dim);
    y->tensor.borrowed = true;
    return DP_OK;
}

static dp_status check_factors_used(const reader *r, dp_error *err) {
    if (!r->options->mean && !r->options->std) return DP_OK;
    for (int k = 0; k < r->store->n_inputs; k++)
        if (r->store->inputs[k].scale) return DP_OK;
    return dp_fail(err, DP_ERANGE,
                   "%s: mean and std are for uint8 images, and no input's array is uint8", r->path);
}

static dp_status read_arrays(reader *r, dp_error *err) {
    dp_status status = DP_OK;
    for (int k = 0; k < r->store->n_inputs && status == DP_OK; k++) status = read_input(r, k, err);
    if (status == DP_OK) status = check_factors_used(r, err);
    if (status == DP_OK) status = read_labels(r, err);
    return status;
}

dp_status dp_store_read(dp_store *store, const char *path, const dp_input_spec *inputs,
                        const dp_dataset_options *options, dp_error *err) {
    reader r = {.path = path, .inputs = inputs, .options = options, .store = store};
    if (store->n_inputs < 1)
        return dp_fail(err, DP_EFORMAT, "%s: the network has no input to give samples to", path);
    store->path = dp_strdup(path);
    store->inputs = dp_alloc((size_t)store->n_inputs, sizeof *store->inputs);
    if (!store->path || !store->inputs) return no_memory(&r, err);
    dp_status status = dp_npz_read(&r.npz, path, err);
    if (status == DP_OK) status = read_arrays(&r, err);
    dp_npz_clear(&r.npz);
    return status == DP_OK ? dp_sha256_file(path, store->sha256, err) : status;
}
