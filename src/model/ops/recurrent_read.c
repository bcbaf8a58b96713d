/* SPDX-License-Identifier: GPL-3.0-or-later */
/* LSTM, GRU and RNN: what a node says of itself. */
#include "model/ops/recurrent.h"

#include <string.h>

static dp_status read_direction(const dp_op_args *a, dp_recurrent *r, dp_error *err) {
    const char *direction = dp_node_string(a->node, "direction", "forward");
    r->directions = 1;
    if (strcmp(direction, "forward") == 0) return DP_OK;
    if (strcmp(direction, "reverse") == 0) {
        r->backward[0] = true;
        return DP_OK;
    }
    if (strcmp(direction, "bidirectional") != 0)
        return dp_op_fail(a, err, DP_EFORMAT,
                          "direction is '%s', not forward, reverse or bidirectional", direction);
    r->directions = 2;
    r->backward[1] = true;
    return DP_OK;
}

/* An attribute that lists numbers; functions take from it in their order. */
typedef struct queue {
    const dp_attr *list; /* NULL: absent */
    int used;
} queue;

static queue queue_of(const dp_op_args *a, const char *name) {
    const dp_attr *attr = dp_node_attr(a->node, name);
    return (queue){attr && attr->kind == DP_ATTR_FLOATS ? attr : NULL, 0};
}

static void take(queue *q, bool wanted, float *value) {
    if (wanted && q->list && q->used < q->list->count) *value = q->list->floats[q->used++];
}

static dp_status read_functions(const dp_op_args *a, dp_recurrent *r, dp_error *err) {
    const dp_attr *names = dp_node_attr(a->node, "activations");
    queue alpha = queue_of(a, "activation_alpha"), beta = queue_of(a, "activation_beta");
    int each = r->cell->functions, total = each * (int)r->directions;
    bool given = names && names->kind == DP_ATTR_STRINGS && names->count > 0;
    if (given && names->count != total)
        return dp_op_fail(a, err, DP_EFORMAT, "activations has %d entries, not %d", names->count,
                          total);
    for (int i = 0; i < total; i++) {
        dp_gate *gate = &r->gate[i / each][i % each];
        const char *name = given ? names->strings[i] : r->cell->defaults[i % each];
        if (!dp_gate_find(gate, name))
            return dp_op_fail(a, err, DP_EUNSUPPORTED, "activation '%s' is not supported", name);
        take(&alpha, dp_gate_has_alpha(gate), &gate->alpha);
        take(&beta, dp_gate_has_beta(gate), &gate->beta);
    }
    return DP_OK;
}

static dp_status read_attributes(const dp_op_args *a, dp_recurrent *r, dp_error *err) {
    int64_t layout = dp_node_int(a->node, "layout", 0);
    if (layout != 0 && layout != 1)
        return dp_op_fail(a, err, DP_EFORMAT, "layout is %lld, not 0 or 1", (long long)layout);
    r->rows_first = layout == 1;
    r->input_forget = dp_node_int(a->node, "input_forget", 0) != 0;
    r->clip = dp_node_float(a->node, "clip", 0);
    if (r->clip < 0) return dp_op_fail(a, err, DP_EFORMAT, "clip is negative");
    if (r->cell == &dp_cell_gru && dp_node_int(a->node, "linear_before_reset", 0) != 0)
        r->cell = &dp_cell_gru_linear;
    dp_status status = read_direction(a, r, err);
    return status == DP_OK ? read_functions(a, r, err) : status;
}

/* Input k, if it is there, has this type and shape. */
static dp_status check_shape(const dp_op_args *a, int k, dp_dtype dtype, const dp_tensor *wanted,
                             dp_error *err) {
    static const char *const names[] = {"X",         "W",         "R", "B", "sequence_lens",
                                        "initial_h", "initial_c", "P"};
    char is[128], want[128];
    if (!dp_op_has(a, k)) return DP_OK;
    if (a->in[k]->dtype == dtype && dp_tensor_same_shape(a->in[k], wanted)) return DP_OK;
    return dp_op_fail(a, err, DP_EFORMAT, "%s is %s%s, not %s%s", names[k],
                      dp_dtype_name(a->in[k]->dtype), dp_tensor_shape_text(a->in[k], is, sizeof is),
                      dp_dtype_name(dtype), dp_tensor_shape_text(wanted, want, sizeof want));
}

static dp_status check_inputs(const dp_op_args *a, const dp_recurrent *r, dp_error *err) {
    int64_t d = r->directions, u = r->width, h = r->hidden, n = r->rows;
    bool first = r->rows_first;
    const dp_tensor state = {.rank = 3, .dim = {first ? n : d, first ? d : n, h}};
    const struct {
        dp_dtype dtype;
        dp_tensor shape;
    } wanted[] = {
        {DP_F32, *a->in[DP_IN_X]},
        {DP_F32, {.rank = 3, .dim = {d, u, r->inputs}}},
        {DP_F32, {.rank = 3, .dim = {d, u, h}}},
        {DP_F32, {.rank = 2, .dim = {d, 2 * u}}},
        {DP_I32, {.rank = 1, .dim = {n}}},
        {DP_F32, state},
        {DP_F32, state},
        {DP_F32, {.rank = 2, .dim = {d, 3 * h}}},
    };
    dp_status status = DP_OK;
    for (int k = 0; status == DP_OK && k < (r->cell->has_c ? 8 : 6); k++)
        status = check_shape(a, k, wanted[k].dtype, &wanted[k].shape, err);
    return status;
}

dp_status dp_recurrent_read(const dp_op_args *a, dp_recurrent *r, dp_error *err) {
    *r = (dp_recurrent){.cell = a->node->op->detail};
    dp_status status = dp_op_expect(a, 3, err);
    if (status == DP_OK) status = read_attributes(a, r, err);
    if (status != DP_OK) return status;
    const dp_tensor *x = a->in[DP_IN_X], *weights = a->in[DP_IN_R];
    if (x->rank != 3 || weights->rank != 3)
        return dp_op_fail(a, err, DP_EFORMAT, "X and R have rank %d and %d, not 3", x->rank,
                          weights->rank);
    r->steps = x->dim[r->rows_first ? 1 : 0];
    r->rows = x->dim[r->rows_first ? 0 : 1];
    r->inputs = x->dim[2];
    r->hidden = dp_node_int(a->node, "hidden_size", weights->dim[2]);
    if (r->inputs < 1 || r->hidden < 1 || r->hidden > INT32_MAX)
        return dp_op_fail(a, err, DP_ERANGE, "%lld inputs and %lld hidden units",
                          (long long)r->inputs, (long long)r->hidden);
    r->width = r->cell->gates * r->hidden;
    r->kept = 1 + r->cell->has_c + r->cell->has_extra;
    return check_inputs(a, r, err);
}
