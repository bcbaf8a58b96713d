/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pad. The input, less what negative pads cut off, is the core of the output. Around it lies a constant, or, axis by axis,
 * copies of slices that are there already: the first axis copies the core, each later one also what earlier ones made. The
 * adjoint runs backwards: each copy's gradient is added to where it came from, and the core's to the input.
 */
#include <inttypes.h>
#include <string.h>

#include "model/ops/tables.h"
#include "model/ops/walk.h"

typedef enum pad_mode { CONSTANT, REFLECT, EDGE, WRAP } pad_mode;

typedef struct padding {
    pad_mode mode;
    int rank;
    int64_t before[DP_MAX_RANK], after[DP_MAX_RANK];
    int64_t skip[DP_MAX_RANK];  /* input entries cut off before the core */
    int64_t first[DP_MAX_RANK]; /* where the core starts in the output */
    int64_t core[DP_MAX_RANK];
    int64_t dim[DP_MAX_RANK]; /* of the output */
} padding;

static dp_status mode_of(const dp_op_args *a, pad_mode *mode, dp_error *err) {
    static const char *const names[] = {"constant", "reflect", "edge", "wrap"};
    const char *name = dp_node_string(a->node, "mode", "constant");
    for (int i = 0; i < 4; i++)
        if (strcmp(name, names[i]) == 0) {
            *mode = (pad_mode)i;
            return DP_OK;
        }
    return dp_op_fail(a, err, DP_EUNSUPPORTED, "mode is '%s', not constant, reflect, edge or wrap",
                      name);
}

/* The pads of every axis; opset 18 may list some axes only. */
static dp_status read_pads(const dp_op_args *a, padding *p, dp_error *err) {
    bool input = a->node->opset >= 11;
    dp_ints pads, axes;
    dp_status status = dp_op_ints(a, "pads", input ? 1 : -1, &pads, err);
    if (!status) status = dp_op_ints(a, "axes", input ? 3 : -1, &axes, err);
    if (status) return status;
    int listed = axes.count ? axes.count : p->rank;
    if (pads.count != 2 * listed || listed > p->rank)
        return dp_op_fail(a, err, DP_EFORMAT, "%d pads for %d axes", pads.count, listed);
    unsigned seen = 0;
    for (int i = 0; i < listed; i++) {
        int axis = i;
        if (axes.count) status = dp_op_axis(a, axes.at[i], p->rank, &axis, err);
        if (status) return status;
        if (seen >> axis & 1)
            return dp_op_fail(a, err, DP_EFORMAT, "axis %d is listed twice", axis);
        seen |= 1U << axis;
        p->before[axis] = pads.at[i];
        p->after[axis] = pads.at[i + listed];
    }
    return DP_OK;
}

static dp_status padding_of(const dp_op_args *a, padding *p, dp_error *err) {
    const dp_tensor *x = a->in[0];
    *p = (padding){.rank = x->rank};
    dp_status status = mode_of(a, &p->mode, err);
    if (!status) status = read_pads(a, p, err);
    if (status) return status;
    for (int i = 0; i < p->rank; i++) {
        int64_t n = x->dim[i], before = p->before[i], after = p->after[i];
        if (before < -n || after < -n - (before < 0 ? before : 0))
            return dp_op_fail(a, err, DP_ERANGE,
                              "pads %" PRId64 " and %" PRId64 " cut more than %" PRId64
                              " entries off axis %d",
                              before, after, n, i);
        p->skip[i] = before < 0 ? -before : 0;
        p->first[i] = before > 0 ? before : 0;
        p->core[i] = n - p->skip[i] + (after < 0 ? after : 0);
        p->dim[i] = dp_dim_plus(dp_dim_plus(p->core[i], p->first[i]), after > 0 ? after : 0);
        if (p->mode != CONSTANT && p->core[i] == 0 && p->dim[i] != 0)
            return dp_op_fail(a, err, DP_ERANGE, "nothing to fill axis %d with", i);
    }
    return DP_OK;
}

/* The value to pad with: an attribute before opset 11, when only floats could be padded. */
static dp_status check_value(const dp_op_args *a, dp_error *err) {
    if (a->node->opset < 11 && a->in[0]->dtype != DP_F32)
        return dp_op_fail(a, err, DP_EFORMAT, "the input is %s, not float32",
                          dp_dtype_name(a->in[0]->dtype));
    if (a->node->opset < 11 || !dp_op_has(a, 2)) return DP_OK;
    dp_status status = dp_op_expect_constant(a, 2, err);
    if (!status) status = dp_op_expect_same_type(a, 2, err);
    if (status || dp_tensor_count(a->in[2]) == 1) return status;
    return dp_op_fail(a, err, DP_EFORMAT, "the value to pad with is no scalar");
}

static dp_status pad_shape(dp_op_args *a, dp_error *err) {
    padding p = {0};
    dp_status status = dp_op_expect(a, a->node->opset < 11 ? 1 : 2, err);
    if (!status) status = padding_of(a, &p, err);
    if (!status) status = check_value(a, err);
    if (!status) status = dp_op_output(a, 0, a->in[0]->dtype, p.rank, p.dim, err);
    if (!status && p.mode != CONSTANT && a->in[0]->dtype == DP_F32)
        a->scratch_bytes = dp_tensor_bytes(a->out[0]);
    return status;
}

/* Input to core. */
static dp_walk core_walk(const dp_op_args *a, const padding *p) {
    dp_walk w = {0};
    int64_t from[DP_MAX_RANK], to[DP_MAX_RANK];
    dp_tensor_strides(a->in[0], from);
    dp_tensor_strides(a->out[0], to);
    for (int i = 0; i < p->rank; i++) {
        w.from_at += p->skip[i] * from[i];
        w.to_at += p->first[i] * to[i];
        dp_walk_axis(&w, p->core[i], from[i], to[i]);
    }
    return w;
}

/* Where entry i of an axis, counted from the core's first, is copied from. */
static int64_t source(pad_mode mode, int64_t i, int64_t n) {
    if (mode == EDGE || n == 1) return i < 0 ? 0 : n - 1;
    int64_t period = mode == WRAP ? n : 2 * (n - 1);
    int64_t place = (i % period + period) % period;
    return place < n ? place : period - place;
}

/* Within the output: the slice from which entry i of `axis` is copied. Axes before it are filled, those behind it only at their core. */
static dp_walk slice_walk(const dp_tensor *y, const padding *p, int axis, int64_t i) {
    dp_walk w = {0};
    int64_t stride[DP_MAX_RANK];
    dp_tensor_strides(y, stride);
    for (int k = 0; k < p->rank; k++) {
        int64_t start = k > axis ? p->first[k] * stride[k] : 0;
        w.from_at += start;
        w.to_at += start;
        if (k != axis) dp_walk_axis(&w, k < axis ? y->dim[k] : p->core[k], stride[k], stride[k]);
    }
    int64_t from = p->first[axis] + source(p->mode, i - p->first[axis], p->core[axis]);
    w.from_at += from * stride[axis];
    w.to_at += i * stride[axis];
    return w;
}

static bool in_core(const padding *p, int axis, int64_t i) {
    return i >= p->first[axis] && i < p->first[axis] + p->core[axis];
}

static void fill(const dp_op_args *a, dp_tensor *y) {
    size_t size = dp_dtype_size(y->dtype), bytes = dp_tensor_bytes(y);
    float attr = dp_node_float(a->node, "value", 0);
    const void *value = a->node->opset < 11 ? &attr : dp_op_has(a, 2) ? a->in[2]->data : NULL;
    if (!value)
        memset(y->data, 0, bytes);
    else
        for (size_t at = 0; at < bytes; at += size) memcpy((char *)y->data + at, value, size);
}

static dp_status pad_forward(const dp_op_args *a, dp_error *err) {
    padding p;
    dp_status status = padding_of(a, &p, err);
    if (status) return status;
    dp_tensor *y = a->out[0];
    size_t size = dp_dtype_size(y->dtype);
    if (p.mode == CONSTANT) fill(a, y);
    dp_walk core = core_walk(a, &p);
    dp_walk_copy(&core, a->in[0]->data, y->data, size);
    for (int axis = 0; p.mode != CONSTANT && axis < p.rank; axis++)
        for (int64_t i = 0; i < y->dim[axis]; i++) {
            if (in_core(&p, axis, i)) continue;
            dp_walk w = slice_walk(y, &p, axis, i);
            dp_walk_copy(&w, y->data, y->data, size);
        }
    return DP_OK;
}

/* Fold the gradients of all copies into the core's, in `g`. */
static void fold(const dp_op_args *a, const padding *p, float *g) {
    const dp_tensor *y = a->out[0];
    for (int axis = p->rank - 1; axis >= 0; axis--)
        for (int64_t i = 0; i < y->dim[axis]; i++) {
            if (in_core(p, axis, i)) continue;
            dp_walk w = slice_walk(y, p, axis, i);
            w = dp_walk_back(&w);
            dp_walk_add(&w, g, g);
        }
}

static dp_status pad_adjoint(const dp_op_args *a, dp_error *err) {
    padding p;
    const float *g = dp_grad_out(a, 0);
    float *gx = dp_grad_in(a, 0);
    if (!g || !gx) return DP_OK;
    dp_status status = padding_of(a, &p, err);
    if (status) return status;
    if (p.mode != CONSTANT) {
        memcpy(a->scratch, g, dp_tensor_bytes(a->out[0]));
        fold(a, &p, a->scratch);
        g = a->scratch;
    }
    dp_walk core = core_walk(a, &p);
    core = dp_walk_back(&core);
    dp_walk_add(&core, g, gx);
    return DP_OK;
}

const dp_op dp_ops_pad[] = {
    {"Pad", "", 2, 0, DP_OP_LINEAR, pad_shape, pad_forward, pad_adjoint, NULL, 0, NULL, NULL},
    {0},
};
