/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Parts of a whole along one axis: Concat puts them together, Split takes them apart. Each part is one walk (ops/walk.h).
 */
#include <inttypes.h>

#include "model/ops/tables.h"
#include "model/ops/walk.h"

/* Entries first .. first+count-1 of an axis of `whole`, and the dense array `part` that they make. */
static dp_walk part_walk(const dp_tensor *whole, int axis, int64_t first, int64_t count) {
    dp_walk w = {0};
    int64_t inner = dp_tensor_span(whole, axis + 1, whole->rank);
    w.from_at = first * inner;
    dp_walk_axis(&w, dp_tensor_span(whole, 0, axis), whole->dim[axis] * inner, count * inner);
    dp_walk_axis(&w, count * inner, 1, 1);
    return w;
}

static dp_status concat_shape(dp_op_args *a, dp_error *err) {
    int axis;
    dp_status status = dp_op_expect(a, a->n_in > 0 ? a->n_in : 1, err);
    if (!status && !dp_node_attr(a->node, "axis"))
        status = dp_op_fail(a, err, DP_EFORMAT, "attribute axis is missing");
    if (!status)
        status = dp_op_axis(a, dp_node_int(a->node, "axis", 0), a->in[0]->rank, &axis, err);
    if (status) return status;
    int64_t dim[DP_MAX_RANK];
    const dp_tensor *x = a->in[0];
    for (int i = 0; i < x->rank; i++) dim[i] = i == axis ? 0 : x->dim[i];
    for (int k = 0; k < a->n_in; k++) {
        const dp_tensor *t = a->in[k];
        status = dp_op_expect_same_type(a, k, err);
        if (status) return status;
        bool fits = t->rank == x->rank;
        for (int i = 0; fits && i < x->rank; i++) fits = i == axis || t->dim[i] == dim[i];
        char first[256], other[256];
        if (!fits)
            return dp_op_fail(a, err, DP_EFORMAT, "shapes %s and %s do not fit along axis %d",
                              dp_tensor_shape_text(x, first, sizeof first),
                              dp_tensor_shape_text(t, other, sizeof other), axis);
        dim[axis] = dp_dim_plus(dim[axis], t->dim[axis]);
    }
    return dp_op_output(a, 0, x->dtype, x->rank, dim, err);
}

static dp_status concat_forward(const dp_op_args *a, dp_error *err) {
    const dp_tensor *y = a->out[0];
    int axis;
    int64_t first = 0;
    dp_status status = dp_op_axis(a, dp_node_int(a->node, "axis", 0), y->rank, &axis, err);
    for (int k = 0; !status && k < a->n_in; k++) {
        dp_walk w = part_walk(y, axis, first, a->in[k]->dim[axis]);
        w = dp_walk_back(&w);
        dp_walk_copy(&w, a->in[k]->data, y->data, dp_dtype_size(y->dtype));
        first += a->in[k]->dim[axis];
    }
    return status;
}

static dp_status concat_adjoint(const dp_op_args *a, dp_error *err) {
    const float *g = dp_grad_out(a, 0);
    if (!g) return DP_OK;
    int axis;
    int64_t first = 0;
    dp_status status = dp_op_axis(a, dp_node_int(a->node, "axis", 0), a->out[0]->rank, &axis, err);
    for (int k = 0; !status && k < a->n_in; k++) {
        dp_walk w = part_walk(a->out[0], axis, first, a->in[k]->dim[axis]);
        if (dp_grad_in(a, k)) dp_walk_add(&w, g, dp_grad_in(a, k));
        first += a->in[k]->dim[axis];
    }
    return status;
}

/* Where Split's outputs are listed. */
static bool split_by_input(const dp_op_args *a) {
    return a->node->opset >= 13 && dp_op_has(a, 1);
}
static const dp_attr *split_by_attr(const dp_op_args *a) {
    const dp_attr *list = a->node->opset < 13 ? dp_node_attr(a->node, "split") : NULL;
    return list && list->kind == DP_ATTR_INTS ? list : NULL;
}

/* Entries of output k: as listed, else equal shares, of which the last may be smaller since opset 18. */
static int64_t split_count(const dp_op_args *a, int64_t entries, int k) {
    if (split_by_input(a)) return dp_index_at(a->in[1], k);
    if (split_by_attr(a)) return split_by_attr(a)->ints[k];
    int64_t share = entries / a->n_out + (entries % a->n_out != 0);
    return k < a->n_out - 1 ? share : entries - share * (a->n_out - 1);
}

/* There are as many entries in the list as outputs, or outputs can be equal. */
static dp_status split_list(const dp_op_args *a, int64_t entries, dp_error *err) {
    int64_t listed = a->n_out;
    if (split_by_input(a)) {
        dp_status status = dp_op_expect_constant(a, 1, err);
        if (!status) status = dp_op_expect_indices(a, 1, err);
        if (status) return status;
        listed = dp_tensor_count(a->in[1]);
    } else if (split_by_attr(a)) {
        listed = split_by_attr(a)->count;
    } else if (a->node->opset >= 18) {
        listed = dp_node_int(a->node, "num_outputs", a->n_out);
    } else if (entries % a->n_out != 0) {
        return dp_op_fail(a, err, DP_EFORMAT, "%" PRId64 " entries in %d equal parts", entries,
                          a->n_out);
    }
    if (listed == a->n_out) return DP_OK;
    return dp_op_fail(a, err, DP_EFORMAT, "%" PRId64 " parts for %d outputs", listed, a->n_out);
}

static dp_status split_shape(dp_op_args *a, dp_error *err) {
    int axis;
    dp_status status = dp_op_expect(a, 1, err);
    if (!status)
        status = dp_op_axis(a, dp_node_int(a->node, "axis", 0), a->in[0]->rank, &axis, err);
    if (!status) status = split_list(a, a->in[0]->dim[axis], err);
    if (status) return status;
    const dp_tensor *x = a->in[0];
    int64_t dim[DP_MAX_RANK], total = 0;
    for (int i = 0; i < x->rank; i++) dim[i] = x->dim[i];
    for (int k = 0; !status && k < a->n_out; k++) {
        dim[axis] = split_count(a, x->dim[axis], k);
        total = dp_dim_plus(total, dim[axis]);
        status = dp_op_output(a, k, x->dtype, x->rank, dim, err);
    }
    if (!status && total != x->dim[axis])
        status = dp_op_fail(a, err, DP_EFORMAT, "the parts do not add up to %" PRId64 " entries",
                            x->dim[axis]);
    return status;
}

static dp_status split_forward(const dp_op_args *a, dp_error *err) {
    const dp_tensor *x = a->in[0];
    int axis;
    int64_t first = 0;
    dp_status status = dp_op_axis(a, dp_node_int(a->node, "axis", 0), x->rank, &axis, err);
    for (int k = 0; !status && k < a->n_out; k++) {
        int64_t count = split_count(a, x->dim[axis], k);
        dp_walk w = part_walk(x, axis, first, count);
        if (a->out[k]) dp_walk_copy(&w, x->data, a->out[k]->data, dp_dtype_size(x->dtype));
        first += count;
    }
    return status;
}

static dp_status split_adjoint(const dp_op_args *a, dp_error *err) {
    const dp_tensor *x = a->in[0];
    float *gx = dp_grad_in(a, 0);
    if (!gx) return DP_OK;
    int axis;
    int64_t first = 0;
    dp_status status = dp_op_axis(a, dp_node_int(a->node, "axis", 0), x->rank, &axis, err);
    for (int k = 0; !status && k < a->n_out; k++) {
        int64_t count = split_count(a, x->dim[axis], k);
        dp_walk w = part_walk(x, axis, first, count);
        w = dp_walk_back(&w);
        if (dp_grad_out(a, k)) dp_walk_add(&w, dp_grad_out(a, k), gx);
        first += count;
    }
    return status;
}

const dp_op dp_ops_join[] = {
    {"Concat", "", 4, 0, DP_OP_LINEAR, concat_shape, concat_forward, concat_adjoint, NULL, 0, NULL,
     NULL},
    {"Split", "", 2, 0, DP_OP_LINEAR, split_shape, split_forward, split_adjoint, NULL, 0, NULL,
     NULL},
    {0},
};
