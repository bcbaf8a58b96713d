/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One operator is one row: what it is called, since which opset it means this, and three functions.
 *
 *   shape    type and shape of every output, and the scratch it will need, from its inputs' shapes. Runs once a plan.
 *            in[k]->data is NULL unless the input is constant: an operator whose output shape depends on an input's
 *            value (Reshape) says so when that value is missing (dp_op_constant). This is also where wrong input is refused.
 *   forward  fills out[k]->data. Must not allocate. Runs for constants too, when a graph or a plan is folded.
 *   adjoint  adds to grad_in[k]->data (skip those that are NULL) what grad_out says; NULL function: not differentiable.
 *            It sees in[] and out[] as the forward pass left them, and the same scratch size.
 *
 * All tensors are dense, row-major. The engine guarantees that shape succeeded with the same shapes before forward runs.
 * Rows are `const`, found by operator name, domain and opset; files under ops/ each export one table, ops/registry.c lists them.
 */
#ifndef DP_MODEL_OP_H
#define DP_MODEL_OP_H

#include "kernels/gemm.h"
#include "model/graph.h"
#include "model/site.h"

typedef struct dp_op_args {
    const dp_node *node;
    int n_in, n_out;
    const dp_tensor *const *in;       /* [n_in]; NULL for an optional input that is left out */
    dp_tensor *const *out;            /* [n_out]; NULL for an optional output that nobody wants */
    const dp_tensor *const *grad_out; /* [n_out], adjoint only; NULL where no gradient arrives */
    dp_tensor *const *grad_in;        /* [n_in], adjoint only; NULL where no gradient is wanted */
    uint64_t
        constant; /* bit k: input k is the same for all samples (weights), in all three functions */
    void *scratch; /* scratch_bytes, 64-byte aligned, content undefined */
    size_t
        scratch_bytes; /* shape() sets it: the larger of what forward and, if `reverse`, adjoint need */
    bool reverse;      /* shape(): adjoint will run */
    /* [groups] the site's weights as forward or adjoint multiplies them, of rows with DP_OP_KEEPS; NULL: not kept */
    const dp_kept *kept;
    dp_rough rough; /* forward and adjoint: noise is far above what products may be off by */
    void *
        state; /* state_bytes, 64-byte aligned: as forward left it when adjoint comes, which only reads it */
    size_t
        state_bytes; /* shape() sets it; 0 for most: what adjoint cannot know from in[] and out[] */
    const dp_site_port
        *port; /* site operators only; NULL: clean. shape() may look at what it wants */
} dp_op_args;

enum {
    /* out[0] is in[0]'s data under another shape; forward copies when the engine cannot share */
    DP_OP_VIEW = 1,
    /* forward may run with out[0]->data == in[0]->data; adjoint does not read in[] (with NEEDS_OUT, it reads out[]) */
    DP_OP_INPLACE = 2,
    /* adjoint reads out[]: a consumer may not overwrite it */
    DP_OP_NEEDS_OUT = 4,
    /* forward reads shapes, never data: foldable once shapes are known (Shape, Size) */
    DP_OP_SHAPE_ONLY = 8,
    /* adjoint reads shapes, never the data of in[] or out[] (Add, Concat, Transpose): their memory is free to go */
    DP_OP_LINEAR = 16,
    /* has sites, but none where it comes with one operand (Einsum); other rows with sites are sure of two */
    DP_OP_ONE_OPERAND = 32,
    /* forward shows the port every element of out[0] once, where it lies and when it is final but for what the port does */
    DP_OP_SHOWS_OUT = 64,
    /* two operands, and which one comes first does not matter */
    DP_OP_COMMUTES = 128,
    /* weights are [channels, D], by groups the left operand of forward, and transposed that of adjoint */
    DP_OP_KEEPS = 256,
    /*
     * adjoint may run with grad_in[k] the memory of grad_out[0], which it replaces, for an input of out[0]'s size: the only one that has a
     * gradient or, of linear rows, input 0, and with DP_OP_COMMUTES input 1
     */
    DP_OP_HANDS_GRAD = 512,
};

struct dp_op {
    const char *type;
    const char *domain; /* "" for ONNX's own */
    int since, until;   /* opset range in which this row holds; until 0: to the newest */
    unsigned flags;
    dp_status (*shape)(dp_op_args *a, dp_error *err);
    dp_status (*forward)(const dp_op_args *a, dp_error *err);
    dp_status (*adjoint)(const dp_op_args *a, dp_error *err);
    /*
     * Forward for elements first .. first+count-1 only, in place of an input whose data is out[0]'s. Without
     * DP_OP_COMMUTES that is in[0]. All inputs are float32; others have the shape of out[0], or are constants that broadcast to it. NULL:
     * not an operator of which that can be asked.
     */
    void (*finish)(const dp_op_args *a, int64_t first, int64_t count);
    int n_sites; /* analog products inside: 0 for most; inputs 0 and 1 are never left out then */
    /* Describe product `slot`; leaves site->channels 0 where it is digital (both operands constant). */
    dp_status (*site)(const dp_op_args *a, int slot, dp_site *site, dp_error *err);
    const void *detail; /* what makes rows different that share functions: node->op->detail */
};

/** The row for this operator at this opset; NULL when there is none. */
const dp_op *dp_op_find(const char *type, const char *domain, int opset);

/** "the newest opset for which a row of that name exists" for messages: writes e.g. "7 to 17" or "" when there is none. */
void dp_op_range(const char *type, const char *domain, char *text, size_t size);

/** Fail with "node 'x' (Op, opset n): <text>". */
dp_status dp_op_fail(const dp_op_args *a, dp_error *err, dp_status status, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/**
 * The value of input k as int64s (it may be int32 or int64), for shapes, axes, pads and the like.
 *
 * Returns the count; -1 (and *err) when the input is absent, not constant, not an integer vector, or longer than limit.
 */
int dp_op_constant(const dp_op_args *a, int k, int64_t *values, int limit, dp_error *err);

/** The tensor is what a condition has to be: one boolean whose value is known. */
bool dp_is_condition(const dp_tensor *t);

/** Input k is there (not left out). */
bool dp_op_has(const dp_op_args *a, int k);

/** Fold an axis attribute in [-rank, rank) into [0, rank); DP_ERANGE otherwise. */
dp_status dp_op_axis(const dp_op_args *a, int64_t axis, int rank, int *out, dp_error *err);

/** NumPy broadcasting of two shapes into out's shape (dtype untouched); DP_EFORMAT when they do not fit. */
dp_status dp_op_broadcast(const dp_op_args *a, const dp_tensor *x, const dp_tensor *y,
                          dp_tensor *out, dp_error *err);

#endif
