/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What operators share that go through their tensors element by element, a block at a time.
 *
 * A spread sees a tensor through a shape that it broadcasts to: it yields, in the order of that shape, its elements,
 * repeated where they have to be. A reduction is the same thing backwards (dp_spread_add). Blocks live on
 * the stack and in the first-level cache; integers and booleans are computed as int64, whatever their type.
 */
#ifndef DP_MODEL_OPS_ELEMENTWISE_H
#define DP_MODEL_OPS_ELEMENTWISE_H

#include "model/ops/walk.h"

enum { DP_BLOCK = 512 };

/* Sets of element types. */
enum {
    DP_IS_F32 = 1 << DP_F32,
    DP_IS_BOOL = 1 << DP_BOOL,
    DP_IS_INT = 1 << DP_I8 | 1 << DP_U8 | 1 << DP_I16 | 1 << DP_U16 | 1 << DP_I32 | 1 << DP_U32 |
                1 << DP_I64,
    DP_IS_NUMBER = DP_IS_F32 | DP_IS_INT
};

/** Check that input k is there and of a type in the set. Errors: DP_EFORMAT, DP_EUNSUPPORTED naming both. */
dp_status dp_op_types(const dp_op_args *a, int k, int types, dp_error *err);

/** Elements of the block that starts at `first`. */
static inline int64_t dp_block(int64_t first, int64_t count) {
    return count - first < DP_BLOCK ? count - first : DP_BLOCK;
}

typedef struct dp_spread {
    int rank; /* of the shape, neighbouring axes merged where the tensor allows; at least 1 */
    int64_t dim[DP_MAX_RANK], stride[DP_MAX_RANK], index[DP_MAX_RANK];
    int64_t offset; /* of the element that comes next */
} dp_spread;

/** A spread of t (whose data is not looked at) over `shape`, at its first element. t must broadcast to shape. */
dp_spread dp_spread_start(const dp_tensor *t, const dp_tensor *shape);

/** Make element `at` of the shape the next one. No dimension of the shape is 0. */
void dp_spread_seek(dp_spread *w, int64_t at);

/** How many of the next n elements lie on one run: all the same one, or neighbours (the innermost stride tells). */
static inline int64_t dp_spread_run(const dp_spread *w, int64_t n) {
    int64_t left = w->dim[w->rank - 1] - w->index[w->rank - 1];
    return left < n ? left : n;
}

/** The innermost stride: 1, or 0 where a run repeats one element. */
static inline int64_t dp_spread_stride(const dp_spread *w) {
    return w->stride[w->rank - 1];
}

/** Step over n elements, which must lie on one run. */
void dp_spread_advance(dp_spread *w, int64_t n);

/** The next n elements of `size` bytes (1, 2, 4, 8): inside data where they are neighbours, else put into buffer. */
const void *dp_spread_read(dp_spread *w, const void *data, size_t size, int64_t n, void *buffer);

/** Add the next n values to the elements of `sums` that they belong to. */
void dp_spread_add(dp_spread *w, const float *values, int64_t n, float *sums);
void dp_spread_sum(dp_spread *w, const float *values, int64_t n, double *sums);

/** Sum and dot product in double, by eight partial sums. */
double dp_sum(const float *v, int64_t n);
double dp_dot(const float *v, const float *w, int64_t n);

/** n integers or booleans as int64s, and back (higher bits are cut off; booleans: not zero). */
void dp_widen(dp_dtype type, const void *from, int64_t n, int64_t *to);
void dp_narrow(dp_dtype type, const int64_t *from, int64_t n, void *to);

#endif
