/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Runs of a spread are as long as merged axes allow: one for equal shapes and for scalars, one a channel for [C,1,1]. */
#include "model/ops/elementwise.h"

#include <stdio.h>
#include <string.h>

#include "kernels/vmath.h"

dp_status dp_op_types(const dp_op_args *a, int k, int types, dp_error *err) {
    if (!dp_op_has(a, k)) return dp_op_fail(a, err, DP_EFORMAT, "input %d is missing", k);
    dp_dtype is = a->in[k]->dtype;
    if (types >> is & 1) return DP_OK;
    char names[128] = "";
    size_t used = 0;
    for (int t = DP_F32; t <= DP_BOOL; t++)
        if (types >> t & 1)
            used += (size_t)snprintf(names + used, sizeof names - used, " %s",
                                     dp_dtype_name((dp_dtype)t));
    return dp_op_fail(a, err, DP_EUNSUPPORTED, "input %d is %s; implemented for:%s", k,
                      dp_dtype_name(is), names);
}

dp_spread dp_spread_start(const dp_tensor *t, const dp_tensor *shape) {
    dp_spread w = {.rank = 1, .dim = {1}, .stride = {0}};
    int64_t stride[DP_MAX_RANK], step = 1;
    int missing = shape->rank - t->rank;
    for (int i = shape->rank - 1; i >= 0; i--) {
        int64_t dim = i < missing ? 1 : t->dim[i - missing];
        stride[i] = dim == 1 ? 0 : step;
        step *= dim;
    }
    for (int i = 0; i < shape->rank; i++) {
        int64_t dim = shape->dim[i];
        int last = w.rank - 1;
        if (dim == 1) continue;
        if (w.dim[last] == 1 || w.stride[last] == stride[i] * dim) {
            w.dim[last] *= dim;
            w.stride[last] = stride[i];
        } else {
            w.dim[w.rank] = dim;
            w.stride[w.rank++] = stride[i];
        }
    }
    return w;
}

void dp_spread_seek(dp_spread *w, int64_t at) {
    w->offset = 0;
    for (int i = w->rank - 1; i >= 0; i--) {
        w->index[i] = i ? at % w->dim[i] : at;
        w->offset += w->index[i] * w->stride[i];
        at /= w->dim[i];
    }
}

void dp_spread_advance(dp_spread *w, int64_t n) {
    int i = w->rank - 1;
    w->index[i] += n;
    w->offset += n * w->stride[i];
    while (i > 0 && w->index[i] == w->dim[i]) {
        w->offset += w->stride[i - 1] - w->dim[i] * w->stride[i];
        w->index[i] = 0;
        w->index[--i]++;
    }
}

static void fill(char *to, const char *element, size_t size, int64_t n) {
    if (size == 4) { /* a constant size becomes vector stores */
        for (int64_t i = 0; i < n; i++) memcpy(to + 4 * i, element, 4);
        return;
    }
    for (int64_t i = 0; i < n; i++) memcpy(to + (size_t)i * size, element, size);
}

const void *dp_spread_read(dp_spread *w, const void *data, size_t size, int64_t n, void *buffer) {
    char *to = buffer;
    while (n > 0) {
        int64_t run = dp_spread_run(w, n);
        const char *from = (const char *)data + (size_t)w->offset * size;
        bool neighbours = dp_spread_stride(w) == 1;
        dp_spread_advance(w, run);
        if (neighbours && to == buffer && run == n) return from;
        if (neighbours)
            memcpy(to, from, (size_t)run * size);
        else
            fill(to, from, size, run);
        to += (size_t)run * size;
        n -= run;
    }
    return buffer;
}

DP_VECTOR double dp_dot(const float *v, const float *w, int64_t n) {
    double part[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int64_t j = 0; j < 8; j++) part[j] += (double)v[i + j] * (double)w[i + j];
    for (; i < n; i++) part[0] += (double)v[i] * (double)w[i];
    for (int64_t j = 1; j < 8; j++) part[0] += part[j];
    return part[0];
}

DP_VECTOR double dp_sum(const float *v, int64_t n) {
    double part[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (int64_t j = 0; j < 8; j++) part[j] += (double)v[i + j];
    for (; i < n; i++) part[0] += (double)v[i];
    for (int64_t j = 1; j < 8; j++) part[0] += part[j];
    return part[0];
}

void dp_spread_add(dp_spread *w, const float *values, int64_t n, float *sums) {
    while (n > 0) {
        int64_t run = dp_spread_run(w, n);
        float *to = sums + w->offset;
        if (dp_spread_stride(w) == 1) {
            for (int64_t i = 0; i < run; i++) to[i] += values[i];
        } else {
            *to += (float)dp_sum(values, run);
        }
        dp_spread_advance(w, run);
        values += run;
        n -= run;
    }
}

void dp_spread_sum(dp_spread *w, const float *values, int64_t n, double *sums) {
    while (n > 0) {
        int64_t run = dp_spread_run(w, n);
        double *to = sums + w->offset;
        if (dp_spread_stride(w) == 1)
            for (int64_t i = 0; i < run; i++) to[i] += (double)values[i];
        else
            *to += dp_sum(values, run);
        dp_spread_advance(w, run);
        values += run;
        n -= run;
    }
}

/* clang-format off */
#define EVERY_TYPE(CASE)                                                                           \
    CASE(DP_I8, int8_t) CASE(DP_U8, uint8_t) CASE(DP_I16, int16_t) CASE(DP_U16, uint16_t)          \
    CASE(DP_I32, int32_t) CASE(DP_U32, uint32_t) CASE(DP_I64, int64_t)
/* clang-format on */

void dp_widen(dp_dtype type, const void *from, int64_t n, int64_t *to) {
    switch (type) {
#define CASE(name, ctype)                                                                          \
    case name:                                                                                     \
        for (int64_t i = 0; i < n; i++) to[i] = (int64_t)((const ctype *)from)[i];                 \
        return;
        EVERY_TYPE(CASE)
#undef CASE
    default:
        for (int64_t i = 0; i < n; i++) to[i] = ((const uint8_t *)from)[i] != 0;
    }
}

void dp_narrow(dp_dtype type, const int64_t *from, int64_t n, void *to) {
    switch (type) {
#define CASE(name, ctype)                                                                          \
    case name:                                                                                     \
        for (int64_t i = 0; i < n; i++) ((ctype *)to)[i] = (ctype)from[i];                         \
        return;
        EVERY_TYPE(CASE)
#undef CASE
    default:
        for (int64_t i = 0; i < n; i++) ((uint8_t *)to)[i] = from[i] != 0;
    }
}
