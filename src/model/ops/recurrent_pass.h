/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sequences on their way through a recurrent node. Forward (recurrent_forward.c), one direction after the other: the input product
 * of all steps at once, then step by step the recurrent product and the cell. Backwards (recurrent_adjoint.c): the cell and the
 * recurrent product step by step, which leaves the gradients of all pre-activations; the rest follows from them.
 *
 * The state holds, for every direction, row and step: z [U], then h, c and extra where the cell has them. A row's steps are
 * neighbours, so one row of one direction is one block for the port; time t is that on X's axis, whatever the direction, and step s
 * the s-th that is taken. Elements of the port are counted (direction, row within the sample, time, pre-activation) in both slots.
 */
#ifndef DP_MODEL_OPS_RECURRENT_PASS_H
#define DP_MODEL_OPS_RECURRENT_PASS_H

#include "kernels/gemm.h"
#include "model/ops/recurrent.h"

enum { DP_SLOT_INPUT, DP_SLOT_RECURRENT };

typedef struct dp_recurrence {
    const dp_op_args *a;
    dp_recurrent r;
    int64_t direction;      /* the one at hand */
    const int32_t *lengths; /* [N]; NULL: T */
    /* parts of the state */
    float *z, *kept;
    /* parts of the scratch memory: [N, H], [N, U], [N, H], [DP_CELL_WORK H], [H] */
    float *operand, *products, *zero, *work;
    /* adjoint: [N, H] each, then [N, T, U] each, [N, T, H], [U max(C, H)], [U] */
    float *gh, *gc, *g_operand, *g_step, *g_step_r, *gz, *gr, *history, *g_weights;
    double *norm2;
} dp_recurrence;

/* What the port is told of at once: times first .. first + steps - 1 of one row. */
typedef struct dp_recurrence_block {
    int slot, part;
    int64_t row, first, steps;
    float *y; /* [steps, U], of which the part is shown */
    const double *weight_grad2;
} dp_recurrence_block;

/** Read the node and divide its memory. Errors: those of dp_recurrent_read; DP_ERANGE for a length beyond T. */
dp_status dp_recurrence_open(dp_recurrence *p, const dp_op_args *a, dp_error *err);

/** The step of a row as its cell sees it, without what belongs to forward or adjoint alone. */
dp_cell_step dp_recurrence_step(const dp_recurrence *p, int64_t row, int64_t step);

/** Squared norms [T] of a row's left operands; NULL where nobody wants them. Those of slot 0 are the same for all directions. */
float *dp_recurrence_norms(const dp_recurrence *p, int slot, int part, int64_t row);

/** Their gradients, likewise. */
float *dp_recurrence_norm_grads(const dp_recurrence *p, int slot, int part, int64_t row);

/** Tell the port, if there is one. */
void dp_recurrence_show(const dp_recurrence *p, const dp_recurrence_block *b);

/* ---- where things are ---- */

static inline const float *input(const dp_recurrence *p, int k) {
    return dp_op_has(p->a, k) ? p->a->in[k]->data : NULL;
}

static inline int64_t length(const dp_recurrence *p, int64_t row) {
    return p->lengths ? p->lengths[row] : p->r.steps;
}

/* X is [T, N, C] or [N, T, C]; row `row` starts here, and its steps are this far apart. */
static inline int64_t x_row(const dp_recurrence *p, int64_t row) {
    return row * p->r.inputs * (p->r.rows_first ? p->r.steps : 1);
}

static inline int64_t x_step(const dp_recurrence *p) {
    return p->r.inputs * (p->r.rows_first ? 1 : p->r.rows);
}

/* A direction's part of an array [D, ...] of `size` floats each; NULL of NULL. */
static inline const float *of_direction(const dp_recurrence *p, const float *array, int64_t size) {
    return array ? array + p->direction * size : NULL;
}

static inline const float *weights(const dp_recurrence *p, int slot) {
    int64_t depth = slot == DP_SLOT_INPUT ? p->r.inputs : p->r.hidden;
    return of_direction(p, input(p, slot == DP_SLOT_INPUT ? DP_IN_W : DP_IN_R), p->r.width * depth);
}

/* Initial and last states are [D, N, H] or [N, D, H]. */
static inline int64_t state_at(const dp_recurrence *p, int64_t row) {
    const dp_recurrent *r = &p->r;
    return (r->rows_first ? row * r->directions + p->direction : p->direction * r->rows + row) *
           r->hidden;
}

/* Y is [T, D, N, H] or [N, T, D, H]. */
static inline int64_t y_at(const dp_recurrence *p, int64_t row, int64_t time) {
    const dp_recurrent *r = &p->r;
    int64_t at = r->rows_first ? (row * r->steps + time) * r->directions + p->direction
                               : (time * r->directions + p->direction) * r->rows + row;
    return at * r->hidden;
}

/* Of (direction, row, time) among all places. */
static inline int64_t place(const dp_recurrence *p, int64_t row, int64_t time) {
    return (p->direction * p->r.rows + row) * p->r.steps + time;
}

/* The time of a row's step number `step`. */
static inline int64_t time_of(const dp_recurrence *p, int64_t row, int64_t step) {
    return p->r.backward[p->direction] ? length(p, row) - 1 - step : step;
}

static inline float *kept_at(const dp_recurrence *p, int64_t row, int64_t time, int64_t which) {
    return p->kept + (place(p, row, time) * p->r.kept + which) * p->r.hidden;
}

/* h (0) or c (1) of a row before step number `step`. */
static inline const float *before(const dp_recurrence *p, int64_t row, int64_t step, int which) {
    if (step > 0) return kept_at(p, row, time_of(p, row, step - 1), which);
    const float *initial = input(p, which == 0 ? DP_IN_H : DP_IN_C);
    return initial ? initial + state_at(p, row) : p->zero;
}

/* Its pre-activations are first .. end - 1. */
static inline int64_t first_of(const dp_recurrence *p, const dp_recurrence_block *b) {
    return b->slot == DP_SLOT_INPUT ? 0 : p->r.cell->first[b->part] * p->r.hidden;
}

static inline int64_t end_of(const dp_recurrence *p, const dp_recurrence_block *b) {
    return b->slot == DP_SLOT_INPUT ? p->r.width : p->r.cell->first[b->part + 1] * p->r.hidden;
}

/* Does the port know of this product? Not if both its operands are constant. */
static inline bool analog(const dp_recurrence *p, int slot) {
    return p->a->port && (slot == DP_SLOT_RECURRENT || (p->a->constant & 3U) != 3U);
}

#endif
