/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Operators that change what a shape says and leave the data alone: mostly views. Shape and Size turn it into data.
 */
#include <inttypes.h>
#include <string.h>

#include "model/ops/tables.h"
#include "model/ops/walk.h"

static dp_status same_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    if (a->out[0]->data != a->in[0]->data)
        memcpy(a->out[0]->data, a->in[0]->data, dp_tensor_bytes(a->out[0]));
    return DP_OK;
}

static dp_status same_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const float *g = dp_grad_out(a, 0);
    float *gx = dp_grad_in(a, 0);
    if (!g || !gx) return DP_OK;
    int64_t count = dp_tensor_count(a->out[0]);
    for (int64_t i = 0; i < count; i++) gx[i] += g[i];
    return DP_OK;
}

static dp_status identity_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 1, err);
    if (status) return status;
    return dp_op_output(a, 0, a->in[0]->dtype, a->in[0]->rank, a->in[0]->dim, err);
}

/* Replace the 0s and the -1 of a wanted shape by what the input says. */
static dp_status resolve(const dp_op_args *a, dp_ints *dim, dp_error *err) {
    const dp_tensor *x = a->in[0];
    bool zeros = dp_node_int(a->node, "allowzero", 0) != 0;
    int64_t known = 1, count = dp_tensor_count(x), *open = NULL;
    for (int i = 0; i < dim->count; i++) {
        if (dim->at[i] == 0 && !zeros && i >= x->rank)
            return dp_op_fail(a, err, DP_EFORMAT, "entry %d is 0, but the input has rank %d", i,
                              x->rank);
        if (dim->at[i] < -1 || (dim->at[i] == -1 && open))
            return dp_op_fail(a, err, DP_EFORMAT, "entry %d of the shape is %" PRId64 "%s", i,
                              dim->at[i], open ? " after a -1" : "");
        if (dim->at[i] == 0 && !zeros) dim->at[i] = x->dim[i];
        if (dim->at[i] == -1)
            open = &dim->at[i];
        else
            known = dp_dim_times(known, dim->at[i]);
    }
    if (open && known > 0 && count % known == 0) {
        *open = count / known;
        known = count;
    }
    if (known == count && (!open || *open >= 0)) return DP_OK;
    char from[256];
    return dp_op_fail(a, err, DP_EFORMAT, "shape %s cannot become one of %" PRId64 " elements%s",
                      dp_tensor_shape_text(x, from, sizeof from), known,
                      open ? " times something" : "");
}

static dp_status reshape_shape(dp_op_args *a, dp_error *err) {
    dp_ints dim = {0};
    dp_status status = dp_op_expect(a, 2, err);
    if (!status) status = dp_op_ints(a, "shape", 1, &dim, err);
    if (!status) status = resolve(a, &dim, err);
    return status ? status : dp_op_output(a, 0, a->in[0]->dtype, dim.count, dim.at, err);
}

static dp_status flatten_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 1, err);
    if (status) return status;
    const dp_tensor *x = a->in[0];
    int64_t axis = dp_node_int(a->node, "axis", 1);
    if (axis < -x->rank || axis > x->rank)
        return dp_op_fail(a, err, DP_ERANGE, "axis %" PRId64 " is outside [%d, %d]", axis, -x->rank,
                          x->rank);
    int split = (int)(axis < 0 ? axis + x->rank : axis);
    int64_t dim[2] = {dp_tensor_span(x, 0, split), dp_tensor_span(x, split, x->rank)};
    return dp_op_output(a, 0, x->dtype, 2, dim, err);
}

/*
 * The axes of Squeeze and Unsqueeze (an attribute before opset 13) as bits; 0: none. They count in a shape of `rank`, or of
 * `rank` plus the number of axes.
 */
static dp_status axes_of(const dp_op_args *a, int rank, bool added, unsigned *axes, dp_error *err) {
    dp_ints list;
    dp_status status = dp_op_ints(a, "axes", a->node->opset < 13 ? -1 : 1, &list, err);
    if (!status && added) rank += list.count;
    *axes = 0;
    for (int i = 0; !status && i < list.count; i++) {
        int axis = 0;
        status = dp_op_axis(a, list.at[i], rank, &axis, err);
        if (!status && (*axes >> axis & 1))
            status = dp_op_fail(a, err, DP_EFORMAT, "axis %d is listed twice", axis);
        *axes |= 1U << axis;
    }
    return status;
}

static dp_status squeeze_shape(dp_op_args *a, dp_error *err) {
    unsigned axes = 0;
    dp_status status = dp_op_expect(a, 1, err);
    if (!status) status = axes_of(a, a->in[0]->rank, false, &axes, err);
    if (status) return status;
    const dp_tensor *x = a->in[0];
    int64_t dim[DP_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < x->rank; i++) {
        bool drop = axes ? axes >> i & 1 : x->dim[i] == 1;
        if (drop && x->dim[i] != 1)
            return dp_op_fail(a, err, DP_EFORMAT, "axis %d has %" PRId64 " entries, not 1", i,
                              x->dim[i]);
        if (!drop) dim[rank++] = x->dim[i];
    }
    return dp_op_output(a, 0, x->dtype, rank, dim, err);
}

static dp_status unsqueeze_shape(dp_op_args *a, dp_error *err) {
    unsigned axes = 0;
    dp_status status = dp_op_expect(a, a->node->opset < 13 ? 1 : 2, err);
    if (!status) status = axes_of(a, a->in[0]->rank, true, &axes, err);
    if (status) return status;
    int64_t dim[3 * DP_MAX_RANK];
    int rank = 0;
    for (int i = 0; i < a->in[0]->rank || axes >> rank; rank++)
        dim[rank] = axes >> rank & 1 ? 1 : a->in[0]->dim[i++];
    return dp_op_output(a, 0, a->in[0]->dtype, rank, dim, err);
}

/* Since opset 12 training is an input; it has to be known to be off. */
static dp_status dropout_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 1, err);
    if (!status && dp_op_has(a, 2)) {
        status = dp_op_expect_constant(a, 2, err);
        if (!status && dp_tensor_count(a->in[2]) > 0 && *(const char *)a->in[2]->data)
            status = dp_op_fail(a, err, DP_EUNSUPPORTED, "training_mode has to be false");
    }
    if (status) return status;
    const dp_tensor *x = a->in[0];
    dp_dtype mask = a->node->opset < 10 ? x->dtype : DP_BOOL;
    status = dp_op_output(a, 1, mask, x->rank, x->dim, err);
    return status ? status : dp_op_output(a, 0, x->dtype, x->rank, x->dim, err);
}

static dp_status dropout_forward(const dp_op_args *a, dp_error *err) {
    if (dp_op_wants(a, 1)) {
        int64_t count = dp_tensor_count(a->out[1]);
        float *mask = a->out[1]->data;
        if (a->out[1]->dtype == DP_F32)
            for (int64_t i = 0; i < count; i++) mask[i] = 1.0F;
        else
            memset(mask, 1, (size_t)count);
    }
    return dp_op_wants(a, 0) ? same_forward(a, err) : DP_OK;
}

/* Shape takes part of the dimensions since opset 15. */
static void shape_part(const dp_op_args *a, int64_t *first, int64_t *last) {
    int64_t rank = a->in[0]->rank;
    *first = dp_node_int(a->node, "start", 0);
    *last = dp_node_int(a->node, "end", rank);
    if (*first < 0) *first = *first < -rank ? 0 : *first + rank;
    if (*last < 0) *last = *last < -rank ? 0 : *last + rank;
    if (*last > rank) *last = rank;
    if (*first > *last) *first = *last;
}

static dp_status shape_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 1, err);
    if (status) return status;
    int64_t first, last;
    shape_part(a, &first, &last);
    return dp_op_output(a, 0, DP_I64, 1, &(int64_t){last - first}, err);
}

static dp_status shape_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    int64_t first, last;
    shape_part(a, &first, &last);
    for (int64_t i = first; i < last; i++)
        ((int64_t *)a->out[0]->data)[i - first] = a->in[0]->dim[i];
    return DP_OK;
}

static dp_status size_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 1, err);
    return status ? status : dp_op_output(a, 0, DP_I64, 0, NULL, err);
}

static dp_status size_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    *(int64_t *)a->out[0]->data = dp_tensor_count(a->in[0]);
    return DP_OK;
}

const dp_op dp_ops_shape[] = {
    {"Reshape", "", 5, 0, DP_OP_VIEW, reshape_shape, same_forward, same_adjoint, NULL, 0, NULL,
     NULL},
    {"Flatten", "", 1, 0, DP_OP_VIEW, flatten_shape, same_forward, same_adjoint, NULL, 0, NULL,
     NULL},
    {"Squeeze", "", 1, 0, DP_OP_VIEW, squeeze_shape, same_forward, same_adjoint, NULL, 0, NULL,
     NULL},
    {"Unsqueeze", "", 1, 0, DP_OP_VIEW, unsqueeze_shape, same_forward, same_adjoint, NULL, 0, NULL,
     NULL},
    {"Identity", "", 1, 0, DP_OP_VIEW, identity_shape, same_forward, same_adjoint, NULL, 0, NULL,
     NULL},
    {"Dropout", "", 7, 0, DP_OP_VIEW, dropout_shape, dropout_forward, same_adjoint, NULL, 0, NULL,
     NULL},
    {"Shape", "", 1, 0, DP_OP_SHAPE_ONLY, shape_shape, shape_forward, NULL, NULL, 0, NULL, NULL},
    {"Size", "", 1, 0, DP_OP_SHAPE_ONLY, size_shape, size_forward, NULL, NULL, 0, NULL, NULL},
    {0},
};
