/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Cast and CastLike. Every type is read into one of two wide ones, double or int64, and written from there, a stretch at a
 * time: eleven readers and twice eleven writers instead of 121 pairs.
 */
#include "model/ops/cast.h"

#include <inttypes.h>
#include <string.h>

#include "model/onnx.h"
#include "model/ops/tables.h"
#include "model/ops/walk.h"

enum { STRETCH = 256 };

typedef union wide {
    double real[STRETCH];
    int64_t integer[STRETCH];
} wide;

#define INTEGERS(X)                                                                                \
    X(DP_I8, int8_t)                                                                               \
    X(DP_U8, uint8_t)                                                                              \
    X(DP_I16, int16_t)                                                                             \
    X(DP_U16, uint16_t)                                                                            \
    X(DP_I32, int32_t)                                                                             \
    X(DP_U32, uint32_t)                                                                            \
    X(DP_I64, int64_t)                                                                             \
    X(DP_U64, uint64_t)

static bool is_real(dp_dtype dtype) {
    return dtype == DP_F32 || dtype == DP_F64;
}

#define READ(code, type, field, wider)                                                             \
    case code:                                                                                     \
        for (int i = 0; i < count; i++) w->field[i] = (wider)((const type *)from)[i];              \
        return;

static void read_reals(dp_dtype dtype, const void *from, wide *w, int count) {
    switch (dtype) {
        READ(DP_F32, float, real, double)
        READ(DP_F64, double, real, double)
        READ(DP_U64, uint64_t, real, double)
    default:
        return;
    }
}

static void read_integers(dp_dtype dtype, const void *from, wide *w, int count) {
    switch (dtype) {
#define READ_INTEGER(code, type) READ(code, type, integer, int64_t)
        INTEGERS(READ_INTEGER)
    case DP_BOOL:
        for (int i = 0; i < count; i++) w->integer[i] = ((const uint8_t *)from)[i] != 0;
        return;
    default:
        return;
    }
}

/* [low, high] are the type's limits, as doubles and therefore perhaps one too large for 64 bits. */
static int64_t saturate(double v, double low, double high) {
    if (v != v) return 0;
    if (v <= low) return (int64_t)low;
    return v >= high ? (high >= 0x1p63 ? INT64_MAX : (int64_t)high) : (int64_t)v;
}

static uint64_t saturate_u64(double v) {
    return !(v > 0) ? 0 : v >= 0x1p64 ? UINT64_MAX : (uint64_t)v;
}

#define WRITE(code, type, value)                                                                   \
    case code:                                                                                     \
        for (int i = 0; i < count; i++) ((type *)to)[i] = (type)(value);                           \
        return;

static void write_reals(dp_dtype dtype, const wide *w, void *to, int count) {
    const double *v = w->real;
    switch (dtype) {
        WRITE(DP_F32, float, v[i])
        WRITE(DP_F64, double, v[i])
        WRITE(DP_I8, int8_t, saturate(v[i], INT8_MIN, INT8_MAX))
        WRITE(DP_U8, uint8_t, saturate(v[i], 0, UINT8_MAX))
        WRITE(DP_I16, int16_t, saturate(v[i], INT16_MIN, INT16_MAX))
        WRITE(DP_U16, uint16_t, saturate(v[i], 0, UINT16_MAX))
        WRITE(DP_I32, int32_t, saturate(v[i], INT32_MIN, INT32_MAX))
        WRITE(DP_U32, uint32_t, saturate(v[i], 0, UINT32_MAX))
        WRITE(DP_I64, int64_t, saturate(v[i], -0x1p63, 0x1p63))
        WRITE(DP_U64, uint64_t, saturate_u64(v[i]))
        WRITE(DP_BOOL, uint8_t, v[i] != 0)
    default:
        return;
    }
}

static void write_integers(dp_dtype dtype, const wide *w, void *to, int count) {
    const int64_t *v = w->integer;
    switch (dtype) {
        WRITE(DP_F32, float, v[i])
        WRITE(DP_F64, double, v[i])
#define WRITE_INTEGER(code, type) WRITE(code, type, v[i])
        INTEGERS(WRITE_INTEGER)
        WRITE(DP_BOOL, uint8_t, v[i] != 0)
    default:
        return;
    }
}

void dp_cast(dp_dtype from_type, const void *from, dp_dtype to_type, void *to, int64_t count) {
    size_t from_size = dp_dtype_size(from_type), to_size = dp_dtype_size(to_type);
    if (from_type == to_type) {
        memcpy(to, from, (size_t)count * to_size);
        return;
    }
    bool real = is_real(from_type) || (from_type == DP_U64 && is_real(to_type));
    for (int64_t at = 0; at < count; at += STRETCH) {
        wide w;
        int n = count - at < STRETCH ? (int)(count - at) : STRETCH;
        const char *source = (const char *)from + (size_t)at * from_size;
        char *target = (char *)to + (size_t)at * to_size;
        (real ? read_reals : read_integers)(from_type, source, &w, n);
        (real ? write_reals : write_integers)(to_type, &w, target, n);
    }
}

static const char *element(const dp_tensor *t, int64_t i) {
    return (const char *)t->data + (size_t)i * dp_dtype_size(t->dtype);
}

double dp_real_at(const dp_tensor *t, int64_t i) {
    double value;
    dp_cast(t->dtype, element(t, i), DP_F64, &value, 1);
    return value;
}

int64_t dp_integer_at(const dp_tensor *t, int64_t i) {
    int64_t value;
    dp_cast(t->dtype, element(t, i), DP_I64, &value, 1);
    return value;
}

static dp_status cast_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 1, err);
    if (status) return status;
    int64_t to = dp_node_int(a->node, "to", 0);
    dp_dtype dtype = to > 0 && to <= INT32_MAX ? dp_onnx_dtype((int32_t)to) : DP_NONE;
    if (dtype == DP_NONE)
        return dp_op_fail(a, err, DP_EUNSUPPORTED, "to %s (type %" PRId64 " of ONNX)",
                          dp_onnx_type_name(to > 0 && to <= INT32_MAX ? (int32_t)to : 0), to);
    return dp_op_output(a, 0, dtype, a->in[0]->rank, a->in[0]->dim, err);
}

static dp_status cast_like_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 2, err);
    if (status) return status;
    return dp_op_output(a, 0, a->in[1]->dtype, a->in[0]->rank, a->in[0]->dim, err);
}

static dp_status cast_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    const dp_tensor *x = a->in[0];
    dp_cast(x->dtype, x->data, a->out[0]->dtype, a->out[0]->data, dp_tensor_count(x));
    return DP_OK;
}

/* Only from float32 to itself, which is what the reader makes of casts between real types. */
static dp_status cast_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const float *g = dp_grad_out(a, 0);
    float *gx = dp_grad_in(a, 0);
    if (!g || !gx) return DP_OK;
    int64_t count = dp_tensor_count(a->in[0]);
    for (int64_t i = 0; i < count; i++) gx[i] += g[i];
    return DP_OK;
}

const dp_op dp_ops_cast[] = {
    {.type = "Cast",
     .domain = "",
     .since = 6,
     .flags = DP_OP_LINEAR,
     .shape = cast_shape,
     .forward = cast_forward,
     .adjoint = cast_adjoint},
    {.type = "CastLike",
     .domain = "",
     .since = 15,
     .flags = DP_OP_LINEAR,
     .shape = cast_like_shape,
     .forward = cast_forward,
     .adjoint = cast_adjoint},
    {0},
};
