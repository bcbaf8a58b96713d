/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LSTM, GRU and RNN from the inside. recurrent_read.c reads a node, recurrent_pass.c takes sequences through both products of each
 * step and back, a cell (recurrent_cell.c) does what lies between: gates of one row (a sequence of the batch) and one step.
 *
 * Symbols  T steps, N rows, C inputs, H hidden, D directions, G gates; U = G H pre-activations.
 * Source   ONNX operators LSTM, GRU, RNN, opsets 7 to 22; beyond the end of a row (sequence_lens) outputs are zero and states stay.
 */
#ifndef DP_MODEL_OPS_RECURRENT_H
#define DP_MODEL_OPS_RECURRENT_H

#include "model/ops/walk.h"

/* ---- activation functions ---- */

typedef struct dp_gate_function dp_gate_function;

typedef struct dp_gate {
    const dp_gate_function *function;
    float alpha, beta;
} dp_gate;

/** The function of that name, in any case, with its default parameters; false when there is none. */
bool dp_gate_find(dp_gate *gate, const char *name);

/** Which of alpha and beta the function reads. */
bool dp_gate_has_alpha(const dp_gate *gate);
bool dp_gate_has_beta(const dp_gate *gate);

/** y[i] = f(x[i]), x clipped to [-clip, clip] before unless clip is 0. */
void dp_gate_value(const dp_gate *gate, float clip, const float *x, float *y, int64_t count);

/** slope[i] = dy/dx of that at y[i] = f(x[i]). */
void dp_gate_slope(const dp_gate *gate, float clip, const float *const xy[2], float *slope,
                   int64_t count);

/* ---- cells ---- */

enum { DP_MAX_GATES = 4, DP_MAX_FUNCTIONS = 3, DP_MAX_PARTS = 2, DP_CELL_WORK = 12 };

typedef struct dp_recurrent dp_recurrent;

/* One step of one row. Arrays are [H] where nothing else is said. */
typedef struct dp_cell_step {
    const dp_recurrent *r;
    const dp_gate *gate;   /* [functions] of this direction */
    const float *bias;     /* [2 U], of W and of R; NULL: zero */
    const float *peephole; /* [3 H]; NULL: zero */
    float *z; /* [U] forward: X W' comes in, pre-activations stay; adjoint: reads them */
    float *h, *c, *extra; /* what the step leaves; c and extra where the cell keeps them */
    const float *h_before, *c_before;
    float *work; /* [DP_CELL_WORK H] */
    /* forward */
    const float *recurrent; /* [U] H R' */
    float *operand;         /* the next part's left operand, by all but the last part */
    /* adjoint */
    float *gh,
        *gc; /* gradients of h and c come in, those of h_before and c_before that do not pass a product leave */
    float *gz; /* [U] gradient of X W' */
    float *gr; /* [U] gradient of H R'; the same place as gz unless the cell tells them apart */
    const float *g_operand; /* gradient of `operand` */
    float *g_peephole;      /* [3 H], added to; NULL: nowhere */
} dp_cell_step;

/*
 * A cell's recurrent product comes in parts, gates first[p] .. first[p + 1] - 1, each followed by forward[p]; the left operand
 * of part 0 is h_before. Backwards it is adjoint[p], then the adjoint of product part p.
 */
typedef struct dp_cell {
    int gates, functions, parts;
    int first[DP_MAX_PARTS + 1];
    bool has_c, has_extra, own_gr;
    const char *defaults[DP_MAX_FUNCTIONS];
    void (*forward[DP_MAX_PARTS])(const dp_cell_step *s);
    void (*adjoint[DP_MAX_PARTS])(const dp_cell_step *s);
    void (*operand)(const dp_cell_step *s); /* that of part 1, from z */
} dp_cell;

extern const dp_cell dp_cell_lstm, dp_cell_rnn;
extern const dp_cell dp_cell_gru;        /* the reset gate is before the product */
extern const dp_cell dp_cell_gru_linear; /* linear_before_reset: it is behind it */

/* ---- nodes ---- */

enum { DP_IN_X, DP_IN_W, DP_IN_R, DP_IN_B, DP_IN_LENGTHS, DP_IN_H, DP_IN_C, DP_IN_P };
enum { DP_OUT_Y, DP_OUT_H, DP_OUT_C };

struct dp_recurrent {
    const dp_cell *cell;
    int64_t steps, rows, inputs, hidden, directions;
    int64_t width;   /* U */
    int64_t kept;    /* [H] vectors of a step in the state, beside z: h, c, extra */
    bool rows_first; /* layout 1 */
    bool backward[2];
    bool input_forget;
    float clip; /* 0: none */
    dp_gate gate[2][DP_MAX_FUNCTIONS];
};

dp_status dp_recurrent_forward(const dp_op_args *a, dp_error *err);
dp_status dp_recurrent_adjoint(const dp_op_args *a, dp_error *err);

/** Read attributes and shapes. Errors: DP_EFORMAT, DP_EUNSUPPORTED. */
dp_status dp_recurrent_read(const dp_op_args *a, dp_recurrent *r, dp_error *err);

/** Bytes of state and scratch memory; false when they do not fit. */
bool dp_recurrent_memory(const dp_op_args *a, const dp_recurrent *r, size_t *state,
                         size_t *scratch);

#endif
