/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * TensorProto -> dp_tensor. The data comes as raw little-endian bytes, as one of the typed lists, or from another file; every
 * way is first brought to raw bytes (a `source`), and these become the tensor: taken over, borrowed, copied or converted.
 *
 * Source  onnx.proto, message TensorProto: which list holds which type, and how (float16 as its bits in int32_data).
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "model/onnx.h"

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "ONNX data is little-endian, and taken as it is"
#endif

typedef enum field { NO_FIELD, FLOATS, DOUBLES, INT32S, INT64S, UINT64S } field;

typedef struct type_row {
    const char *name;
    dp_dtype dtype;
    field list;                                            /* where typed data is kept */
    size_t bytes;                                          /* of one raw element */
    void (*convert)(const void *raw, float *out, int64_t); /* NULL: raw elements are ours */
    int64_t low, high; /* of a list's elements, where those are wider than the type */
} type_row;

/* Source  IEEE 754-2008, binary16: 1 sign, 5 exponent and 10 mantissa bits. */
static float from_half(uint16_t h) {
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    float value = exponent == 31  ? (mantissa ? NAN : INFINITY)
                  : exponent == 0 ? ldexpf((float)mantissa, -24)
                                  : ldexpf((float)(mantissa + 1024), exponent - 25);
    return h >> 15 ? -value : value;
}

static void convert_half(const void *raw, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t bits;
        memcpy(&bits, (const char *)raw + 2 * i, 2);
        out[i] = from_half(bits);
    }
}

/* bfloat16 is the upper half of a float32. */
static void convert_bfloat(const void *raw, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t upper;
        memcpy(&upper, (const char *)raw + 2 * i, 2);
        uint32_t bits = (uint32_t)upper << 16;
        memcpy(&out[i], &bits, 4);
    }
}

static void convert_double(const void *raw, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, (const char *)raw + 8 * i, 8);
        out[i] = (float)value;
    }
}

static const type_row types[] = {
    [0] = {"undefined", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [1] = {"float", DP_F32, FLOATS, 4, NULL, 0, 0},
    [2] = {"uint8", DP_U8, INT32S, 1, NULL, 0, UINT8_MAX},
    [3] = {"int8", DP_I8, INT32S, 1, NULL, INT8_MIN, INT8_MAX},
    [4] = {"uint16", DP_U16, INT32S, 2, NULL, 0, UINT16_MAX},
    [5] = {"int16", DP_I16, INT32S, 2, NULL, INT16_MIN, INT16_MAX},
    [6] = {"int32", DP_I32, INT32S, 4, NULL, 0, 0},
    [7] = {"int64", DP_I64, INT64S, 8, NULL, 0, 0},
    [8] = {"string", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [9] = {"bool", DP_BOOL, INT32S, 1, NULL, 0, 1},
    [10] = {"float16", DP_F32, INT32S, 2, convert_half, 0, UINT16_MAX},
    [11] = {"double", DP_F32, DOUBLES, 8, convert_double, 0, 0},
    [12] = {"uint32", DP_U32, UINT64S, 4, NULL, 0, UINT32_MAX},
    [13] = {"uint64", DP_U64, UINT64S, 8, NULL, 0, 0},
    [14] = {"complex64", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [15] = {"complex128", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [16] = {"bfloat16", DP_F32, INT32S, 2, convert_bfloat, 0, UINT16_MAX},
    [17] = {"float8e4m3fn", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [18] = {"float8e4m3fnuz", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [19] = {"float8e5m2", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [20] = {"float8e5m2fnuz", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [21] = {"uint4", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
    [22] = {"int4", DP_NONE, NO_FIELD, 0, NULL, 0, 0},
};

static const type_row *type_of(int32_t type) {
    return &types[type >= 0 && type < (int32_t)(sizeof types / sizeof *types) ? type : 0];
}

dp_dtype dp_onnx_dtype(int32_t type) {
    return type_of(type)->dtype;
}

int32_t dp_onnx_type(dp_dtype dtype) {
    int32_t type = 1;
    while (types[type].dtype != dtype) type++;
    return type;
}

const char *dp_onnx_type_name(int32_t type) {
    return type_of(type)->name;
}

/* A tensor being read, and where it stands. */
typedef struct reading {
    dp_onnx_file *file;
    Onnx__TensorProto *proto;
    const char *what;
    const type_row *type;
    int64_t count;
    const void *data; /* the raw elements */
    size_t bytes;
    void **owner;   /* whose pointer `data` is, for it to be taken over; NULL: a mapping's */
    void *narrowed; /* raw elements made from a wider list */
    dp_error *err;
} reading;

#define FAIL(r, status, format, ...)                                                               \
    dp_fail((r)->err, status, "%s: %s: " format, (r)->file->path, (r)->what, __VA_ARGS__)

static dp_status read_shape(reading *r, dp_tensor *t) {
    if (r->proto->n_dims > DP_MAX_RANK)
        return FAIL(r, DP_EUNSUPPORTED, "rank %zu; at most %d is supported", r->proto->n_dims,
                    DP_MAX_RANK);
    size_t bytes = 8;
    for (size_t i = 0; i < r->proto->n_dims; i++) {
        int64_t dim = r->proto->dims[i];
        if (dim < 0 || !dp_size_mul(bytes, (size_t)dim, &bytes) || bytes > PTRDIFF_MAX)
            return FAIL(r, DP_EFORMAT, "dimension %zu is %" PRId64, i, dim);
    }
    dp_tensor_reshape(t, r->type->dtype, (int)r->proto->n_dims, r->proto->dims);
    r->count = dp_tensor_count(t);
    return DP_OK;
}

static void set_source(reading *r, void **owner, size_t count, size_t size) {
    r->owner = owner;
    r->data = *owner;
    r->bytes = count * size;
}

static dp_status out_of_range(const reading *r, int64_t i, int64_t value) {
    return FAIL(r, DP_EFORMAT, "element %" PRId64 " is %" PRId64 ", outside of %s", i, value,
                r->type->name);
}

/* int32_data and uint64_data hold narrower types too, one to an element. */
static dp_status narrow(reading *r, size_t n, const int32_t *ints, const uint64_t *uints) {
    const type_row *type = r->type;
    r->narrowed = dp_alloc(n, type->bytes);
    if (!r->narrowed) return FAIL(r, DP_EMEMORY, "no memory for %zu elements", n);
    for (size_t i = 0; i < n; i++) {
        int64_t value = ints ? ints[i] : uints[i] > INT64_MAX ? INT64_MAX : (int64_t)uints[i];
        if (value < type->low || value > type->high) return out_of_range(r, (int64_t)i, value);
        memcpy((char *)r->narrowed + i * type->bytes, &value, type->bytes);
    }
    set_source(r, &r->narrowed, n, type->bytes);
    return DP_OK;
}

static dp_status read_list(reading *r) {
    Onnx__TensorProto *p = r->proto;
    bool wide = r->type->low == r->type->high;
    switch (r->type->list) {
    case FLOATS:
        set_source(r, (void **)&p->float_data, p->n_float_data, 4);
        break;
    case DOUBLES:
        set_source(r, (void **)&p->double_data, p->n_double_data, 8);
        break;
    case INT64S:
        set_source(r, (void **)&p->int64_data, p->n_int64_data, 8);
        break;
    case INT32S:
        if (!wide) return narrow(r, p->n_int32_data, p->int32_data, NULL);
        set_source(r, (void **)&p->int32_data, p->n_int32_data, 4);
        break;
    case UINT64S:
        if (!wide) return narrow(r, p->n_uint64_data, NULL, p->uint64_data);
        set_source(r, (void **)&p->uint64_data, p->n_uint64_data, 8);
        break;
    case NO_FIELD:
        break;
    }
    return DP_OK;
}

/* A decimal number of bytes; absent: `otherwise`. */
static dp_status read_number(const reading *r, const char *key, const char *text, size_t *value) {
    char *end;
    if (!text) return DP_OK;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || number > PTRDIFF_MAX)
        return FAIL(r, DP_EFORMAT, "external data: %s '%s' is not a number of bytes", key, text);
    *value = (size_t)number;
    return DP_OK;
}

static const char *external_entry(const Onnx__TensorProto *proto, const char *key) {
    for (size_t i = 0; i < proto->n_external_data; i++)
        if (proto->external_data[i]->key && strcmp(proto->external_data[i]->key, key) == 0)
            return proto->external_data[i]->value;
    return NULL;
}

static dp_status read_external(reading *r) {
    const char *location = external_entry(r->proto, "location");
    const dp_onnx_external *external;
    size_t offset = 0, length = (size_t)r->count * r->type->bytes;
    if (!location) return FAIL(r, DP_EFORMAT, "external data has no %s", "location");
    dp_status status = read_number(r, "offset", external_entry(r->proto, "offset"), &offset);
    if (status == DP_OK)
        status = read_number(r, "length", external_entry(r->proto, "length"), &length);
    if (status == DP_OK) status = dp_onnx_map_external(r->file, location, &external, r->err);
    if (status != DP_OK) return status;
    if (offset > external->size || length > external->size - offset)
        return FAIL(r, DP_EFORMAT, "bytes %zu to %zu of '%s' are asked for, which has %zu", offset,
                    offset + length, location, external->size);
    r->data = length ? external->data + offset : NULL;
    r->bytes = length;
    return DP_OK;
}

static dp_status read_source(reading *r) {
    Onnx__TensorProto *p = r->proto;
    if (p->segment) return FAIL(r, DP_EUNSUPPORTED, "stored in %s", "segments");
    if (p->has_data_location && p->data_location == ONNX__TENSOR_PROTO__DATA_LOCATION__EXTERNAL)
        return read_external(r);
    if (!p->has_raw_data) return read_list(r);
    set_source(r, (void **)&p->raw_data.data, p->raw_data.len, 1);
    return DP_OK;
}

/* A bool that is neither 0 nor 1 is not a value that C's bool may have. */
static dp_status check_bools(const reading *r) {
    const unsigned char *bytes = r->data;
    for (int64_t i = 0; r->type->dtype == DP_BOOL && i < r->count; i++)
        if (bytes[i] > 1) return out_of_range(r, i, bytes[i]);
    return DP_OK;
}

static dp_status make_tensor(reading *r, dp_tensor *t) {
    bool aligned = (uintptr_t)r->data % r->type->bytes == 0;
    if (r->count && !r->type->convert && r->owner) {
        t->data = *r->owner;
        *r->owner = NULL;
        return DP_OK;
    }
    if (r->count && !r->type->convert && aligned) {
        t->data = (void *)r->data;
        t->borrowed = true;
        return DP_OK;
    }
    dp_status status = dp_tensor_allocate(t, NULL);
    if (status != DP_OK) return FAIL(r, status, "no memory for %" PRId64 " elements", r->count);
    if (r->type->convert)
        r->type->convert(r->data, t->data, r->count);
    else if (r->count)
        memcpy(t->data, r->data, r->bytes);
    return DP_OK;
}

static dp_status read_tensor(reading *r, dp_tensor *t) {
    if (r->type->dtype == DP_NONE)
        return FAIL(r, DP_EUNSUPPORTED, "data of type %s (%d) is not supported", r->type->name,
                    (int)r->proto->data_type);
    dp_status status = read_shape(r, t);
    if (status == DP_OK) status = read_source(r);
    if (status != DP_OK) return status;
    if (r->bytes != (size_t)r->count * r->type->bytes) {
        char shape[128];
        return FAIL(r, DP_EFORMAT, "%zu bytes of data; shape %s of %s asks for %zu", r->bytes,
                    dp_tensor_shape_text(t, shape, sizeof shape), r->type->name,
                    (size_t)r->count * r->type->bytes);
    }
    status = check_bools(r);
    return status == DP_OK ? make_tensor(r, t) : status;
}

dp_status dp_onnx_tensor(dp_onnx_file *file, Onnx__TensorProto *proto, const char *what,
                         dp_tensor *t, dp_error *err) {
    reading r = {.file = file,
                 .proto = proto,
                 .what = what,
                 .type = type_of(proto->has_data_type ? proto->data_type : 0),
                 .err = err};
    *t = (dp_tensor){0};
    dp_status status = read_tensor(&r, t);
    dp_free(r.narrowed);
    if (status != DP_OK) *t = (dp_tensor){0};
    return status;
}
