/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Pooling over one, two or three axes, or all of them. Windows are separable, so an output row is made in two steps: the input
 * rows under it are folded into one line, element by element, then that line is folded into the row, one kernel column
 * after the other. Both are plain loops over contiguous memory, borders included. The adjoint of a sum is the same backwards.
 */
#include <inttypes.h>
#include <math.h>

#include "model/ops/tables.h"
#include "model/ops/walk.h"
#include "model/ops/window.h"

typedef enum pool_kind { MAXIMUM, MEAN, NORM } pool_kind;

typedef struct pool {
    pool_kind kind;
    dp_window w;
    bool count_pads; /* a mean counts padding as zeros */
    int64_t p;       /* order of the norm */
    float *line;     /* [in[2]] input rows folded */
    float *count;    /* [out[2]] a mean's entries along the last axis */
    float *row;      /* [out[2]] a row of gradients */
} pool;

/* What a row's detail points to. */
typedef struct variant {
    pool_kind kind;
    bool whole; /* all entries of a channel are one window */
} variant;

static dp_status pool_of(const dp_op_args *a, pool *p, dp_error *err) {
    const variant *v = a->node->op->detail;
    *p = (pool){.kind = v->kind, .p = dp_node_int(a->node, "p", 2)};
    p->count_pads = dp_node_int(a->node, "count_include_pad", 0) != 0;
    dp_status status = v->whole ? dp_window_all(a, &p->w, err) : dp_window_read(a, &p->w, err);
    p->line = a->scratch;
    p->count = p->line ? p->line + p->w.in[2] : NULL;
    p->row = p->line ? p->count + p->w.out[2] : NULL;
    return status;
}

/* Entries that a mean divides by, along one axis. Padding counts, but not what ceil_mode makes a window reach beyond it. */
static int64_t entries(const pool *p, int axis, int64_t o) {
    const dp_window *w = &p->w;
    if (!p->count_pads) {
        dp_span taps = dp_window_taps(w, axis, o);
        return taps.end - taps.first;
    }
    int64_t reach = w->in[axis] + w->end[axis] - 1 - (o * w->stride[axis] - w->pad[axis]);
    int64_t count = reach / w->dilation[axis] + 1;
    return count < w->kernel[axis] ? count : w->kernel[axis];
}

static void count_entries(const pool *p) {
    if (p->kind != MEAN) return;
    for (int64_t o = 0; o < p->w.out[2]; o++) p->count[o] = (float)entries(p, 2, o);
}

static inline __attribute__((always_inline)) void fold_steps(float *restrict y,
                                                             const float *restrict x, int64_t count,
                                                             int64_t step, bool maximum) {
    for (int64_t i = 0; i < count; i++) {
        float v = x[i * step];
        y[i] = maximum ? (v > y[i] ? v : y[i]) : y[i] + v;
    }
}

/* y[i] = max(y[i], x[i * step]) or their sum. */
static void fold(float *y, const float *x, int64_t count, int64_t step, bool maximum) {
    if (step == 1 && maximum)
        fold_steps(y, x, count, 1, true);
    else if (step == 1)
        fold_steps(y, x, count, 1, false);
    else if (step == 2 && maximum)
        fold_steps(y, x, count, 2, true);
    else if (step == 2)
        fold_steps(y, x, count, 2, false);
    else
        fold_steps(y, x, count, step, maximum);
}

enum { LANES = 16 };

/* The largest or the sum of contiguous elements, in lanes so that it vectorises. */
static float reduce(const float *x, int64_t count, bool maximum) {
    float lane[LANES];
    for (int k = 0; k < LANES; k++) lane[k] = maximum ? -INFINITY : 0;
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) fold_steps(lane, x + i, LANES, 1, maximum);
    fold(lane, x + i, count - i, 1, maximum);
    for (int width = LANES / 2; width; width /= 2)
        fold_steps(lane, lane + width, width, 1, maximum);
    return lane[0];
}

/* y += |x|^p */
static void add_powers(float *restrict y, const float *restrict x, int64_t count, int64_t p) {
    if (p == 1)
        for (int64_t i = 0; i < count; i++) y[i] += fabsf(x[i]);
    else if (p == 2)
        for (int64_t i = 0; i < count; i++) y[i] += x[i] * x[i];
    else
        for (int64_t i = 0; i < count; i++) y[i] += powf(fabsf(x[i]), (float)p);
}

static void set(float *y, int64_t count, float value) {
    for (int64_t i = 0; i < count; i++) y[i] = value;
}

/* Of a plane: where the input row under tap (kz, ky) of output row (oz, oy) starts. */
static int64_t row_at(const dp_window *w, const int64_t o[2], int64_t kz, int64_t ky) {
    return (dp_window_place(w, 0, o[0], kz) * w->in[1] + dp_window_place(w, 1, o[1], ky)) *
           w->in[2];
}

/* The input rows under output row o, folded into one; that may be the only one itself. */
static const float *fold_rows(const pool *p, const float *x, const int64_t o[2]) {
    const dp_window *w = &p->w;
    dp_span tz = dp_window_taps(w, 0, o[0]), ty = dp_window_taps(w, 1, o[1]);
    if (p->kind != NORM && tz.end - tz.first == 1 && ty.end - ty.first == 1)
        return x + row_at(w, o, tz.first, ty.first);
    set(p->line, w->in[2], p->kind == MAXIMUM ? -INFINITY : 0);
    for (int64_t kz = tz.first; kz < tz.end; kz++)
        for (int64_t ky = ty.first; ky < ty.end; ky++) {
            const float *row = x + row_at(w, o, kz, ky);
            if (p->kind == NORM)
                add_powers(p->line, row, w->in[2], p->p);
            else
                fold(p->line, row, w->in[2], 1, p->kind == MAXIMUM);
        }
    return p->line;
}

/* Windows along the last axis. */
static void fold_columns(const pool *p, const float *line, float *y) {
    const dp_window *w = &p->w;
    bool maximum = p->kind == MAXIMUM;
    if (w->out[2] == 1 && w->dilation[2] == 1) {
        dp_span taps = dp_window_taps(w, 2, 0);
        *y = reduce(line + dp_window_place(w, 2, 0, taps.first), taps.end - taps.first, maximum);
        return;
    }
    set(y, w->out[2], maximum ? -INFINITY : 0);
    dp_span used = dp_window_used(w, 2);
    for (int64_t k = used.first; k < used.end; k++) {
        dp_span o = dp_window_outputs(w, 2, k);
        if (o.first < o.end)
            fold(y + o.first, line + dp_window_place(w, 2, o.first, k), o.end - o.first,
                 w->stride[2], maximum);
    }
}

/* What sums become. */
static void finish(const pool *p, float *y, const int64_t o[2]) {
    if (p->kind == MEAN) {
        float rows = (float)(entries(p, 0, o[0]) * entries(p, 1, o[1]));
        for (int64_t i = 0; i < p->w.out[2]; i++)
            y[i] = rows * p->count[i] > 0 ? y[i] / (rows * p->count[i]) : 0;
    }
    if (p->kind == NORM && p->p != 1)
        for (int64_t i = 0; i < p->w.out[2]; i++)
            y[i] = p->p == 2 ? sqrtf(y[i]) : powf(y[i], 1 / (float)p->p);
}

static dp_status sum_shape(dp_op_args *a, dp_error *err) {
    pool p;
    dp_status status = pool_of(a, &p, err);
    if (status) return status;
    if (p.p < 1) return dp_op_fail(a, err, DP_ERANGE, "p is %" PRId64 ", less than 1", p.p);
    if (a->in[0]->dtype != DP_F32)
        return dp_op_fail(a, err, DP_EUNSUPPORTED, "the input is %s, not float32",
                          dp_dtype_name(a->in[0]->dtype));
    a->scratch_bytes = (size_t)(p.w.in[2] + 2 * p.w.out[2]) * sizeof(float);
    return dp_window_output(a, 0, &p.w, DP_F32, err);
}

static int64_t plane_in(const dp_window *w) {
    return w->in[0] * w->in[1] * w->in[2];
}

static void pool_rows(const pool *p, const float *x, float *y) {
    const dp_window *w = &p->w;
    int64_t o[2];
    count_entries(p);
    for (int64_t n = 0; n < w->planes; n++, x += plane_in(w))
        for (o[0] = 0; o[0] < w->out[0]; o[0]++)
            for (o[1] = 0; o[1] < w->out[1]; o[1]++, y += w->out[2]) {
                fold_columns(p, fold_rows(p, x, o), y);
                finish(p, y, o);
            }
}

static dp_status sum_forward(const dp_op_args *a, dp_error *err) {
    pool p;
    dp_status status = pool_of(a, &p, err);
    if (!status) pool_rows(&p, a->in[0]->data, a->out[0]->data);
    return status;
}

/* The gradient of the sums behind an output row. */
static void unfinish(const pool *p, const float *y, const float *g, const int64_t o[2]) {
    int64_t count = p->w.out[2];
    float rows = (float)(entries(p, 0, o[0]) * entries(p, 1, o[1]));
    for (int64_t i = 0; p->kind == MEAN && i < count; i++)
        p->row[i] = rows * p->count[i] > 0 ? g[i] / (rows * p->count[i]) : 0;
    for (int64_t i = 0; p->kind == NORM && i < count; i++) /* less the factor |x|^(p-1) sign(x) */
        p->row[i] = y[i] > 0 ? g[i] * powf(y[i], 1 - (float)p->p) : 0;
}

/* line = the adjoint of fold_columns at row. */
static void unfold_columns(const pool *p) {
    const dp_window *w = &p->w;
    set(p->line, w->in[2], 0);
    dp_span used = dp_window_used(w, 2);
    for (int64_t k = used.first; k < used.end; k++) {
        dp_span o = dp_window_outputs(w, 2, k);
        float *line = p->line + dp_window_place(w, 2, 0, k);
        for (int64_t i = o.first; i < o.end; i++) line[i * w->stride[2]] += p->row[i];
    }
}

/* gx += the adjoint of fold_rows at line, for the rows under output row o. */
static void unfold_rows(const pool *p, const float *x, float *gx, const int64_t o[2]) {
    const dp_window *w = &p->w;
    dp_span tz = dp_window_taps(w, 0, o[0]), ty = dp_window_taps(w, 1, o[1]);
    for (int64_t kz = tz.first; kz < tz.end; kz++)
        for (int64_t ky = ty.first; ky < ty.end; ky++) {
            int64_t at = row_at(w, o, kz, ky);
            if (p->kind == MEAN) fold(gx + at, p->line, w->in[2], 1, false);
            for (int64_t i = 0; p->kind == NORM && i < w->in[2]; i++)
                gx[at + i] +=
                    p->line[i] * copysignf(powf(fabsf(x[at + i]), (float)(p->p - 1)), x[at + i]);
        }
}

static dp_status sum_adjoint(const dp_op_args *a, dp_error *err) {
    pool p;
    const float *g = dp_grad_out(a, 0);
    float *gx = dp_grad_in(a, 0);
    if (!g || !gx) return DP_OK;
    dp_status status = pool_of(a, &p, err);
    if (status) return status;
    const dp_window *w = &p.w;
    int64_t o[2], x_at = 0, y_at = 0; /* means look at neither x nor y */
    count_entries(&p);
    for (int64_t n = 0; n < w->planes; n++, x_at += plane_in(w))
        for (o[0] = 0; o[0] < w->out[0]; o[0]++)
            for (o[1] = 0; o[1] < w->out[1]; o[1]++, y_at += w->out[2]) {
                const float *x = p.kind == NORM ? (const float *)a->in[0]->data + x_at : NULL;
                const float *y = p.kind == NORM ? (const float *)a->out[0]->data + y_at : NULL;
                unfinish(&p, y, g + y_at, o);
                unfold_columns(&p);
                unfold_rows(&p, x, gx + x_at, o);
            }
    return DP_OK;
}

/* Where the largest entry of a window lies in its plane, the first of equal ones; -1: the window lies on padding. */
#define ARGMAX(name, type)                                                                         \
    static int64_t name(const dp_window *w, const type *x, const int64_t o[3]) {                   \
        dp_span tz = dp_window_taps(w, 0, o[0]), ty = dp_window_taps(w, 1, o[1]);                  \
        dp_span tx = dp_window_taps(w, 2, o[2]);                                                   \
        int64_t best = -1;                                                                         \
        for (int64_t kz = tz.first; kz < tz.end; kz++)                                             \
            for (int64_t ky = ty.first; ky < ty.end; ky++) {                                       \
                int64_t at = row_at(w, o, kz, ky) + dp_window_place(w, 2, o[2], tx.first);         \
                for (int64_t kx = tx.first; kx < tx.end; kx++, at += w->dilation[2])               \
                    if (best < 0 || x[at] > x[best]) best = at;                                    \
            }                                                                                      \
        return best;                                                                               \
    }
ARGMAX(argmax_f32, float)
ARGMAX(argmax_i8, int8_t)
ARGMAX(argmax_u8, uint8_t)

static dp_status maximum_shape(dp_op_args *a, dp_error *err) {
    pool p;
    dp_status status = pool_of(a, &p, err);
    if (status) return status;
    dp_dtype dtype = a->in[0]->dtype;
    if (a->reverse && plane_in(&p.w) > INT32_MAX)
        return dp_op_fail(a, err, DP_EUNSUPPORTED, "an input plane of %lld entries: at most 2^31-1",
                          (long long)plane_in(&p.w));
    if (dtype != DP_F32 && dtype != DP_U8 && dtype != DP_I8)
        return dp_op_fail(a, err, DP_EUNSUPPORTED, "the input is %s, not float32, uint8 or int8",
                          dp_dtype_name(dtype));
    a->scratch_bytes = (size_t)(p.w.in[2] + 2 * p.w.out[2]) * sizeof(float);
    status = dp_window_output(a, 1, &p.w, DP_I64, err);
    return status ? status : dp_window_output(a, 0, &p.w, dtype, err);
}

/* The next output in row-major order; false after the last of a plane, with o at the first again. */
static bool next_output(const dp_window *w, int64_t o[3]) {
    for (int i = 2; i >= 0; i--) {
        if (++o[i] < w->out[i]) return true;
        o[i] = 0;
    }
    return false;
}

/* What Indices says of a place in a plane: storage_order 1 counts columns first. */
static int64_t index_of(const dp_op_args *a, const dp_window *w, int64_t at) {
    if (dp_node_int(a->node, "storage_order", 0) == 0) return at;
    int64_t x = at % w->in[2], y = at / w->in[2] % w->in[1], z = at / w->in[2] / w->in[1];
    return (x * w->in[1] + y) * w->in[0] + z;
}

/* One output after the other: bytes, and indices. */
static void pick(const dp_op_args *a, const dp_window *w) {
    dp_dtype dtype = a->in[0]->dtype;
    int64_t *indices = dp_op_wants(a, 1) ? a->out[1]->data : NULL;
    uint8_t *bytes = dp_op_wants(a, 0) && dtype != DP_F32 ? a->out[0]->data : NULL;
    int64_t o[3] = {0}, x_at = 0, y_at = 0;
    for (int64_t n = 0; n < w->planes; n++, x_at += plane_in(w)) {
        do {
            const uint8_t *x = (const uint8_t *)a->in[0]->data + x_at;
            int64_t best = dtype == DP_F32  ? argmax_f32(w, (const float *)a->in[0]->data + x_at, o)
                           : dtype == DP_U8 ? argmax_u8(w, x, o)
                                            : argmax_i8(w, (const int8_t *)x, o);
            if (bytes) bytes[y_at] = best >= 0 ? x[best] : dtype == DP_U8 ? 0 : (uint8_t)INT8_MIN;
            if (indices) indices[y_at] = best < 0 ? -1 : x_at + index_of(a, w, best);
            y_at++;
        } while (next_output(w, o));
    }
}

static dp_status maximum_forward(const dp_op_args *a, dp_error *err) {
    pool p;
    dp_status status = pool_of(a, &p, err);
    if (status) return status;
    bool floats = a->in[0]->dtype == DP_F32;
    if (floats && dp_op_wants(a, 0)) pool_rows(&p, a->in[0]->data, a->out[0]->data);
    if (!floats || dp_op_wants(a, 1)) pick(a, &p.w);
    return DP_OK;
}

/* Of one row of outputs: the largest entry of each window and where in the plane it lies, as argmax_f32 has it. */
typedef struct largest {
    float *value;
    int32_t *at; /* -1: the window lies on padding */
} largest;

static inline __attribute__((always_inline)) void look_steps(float *restrict value,
                                                             int32_t *restrict at,
                                                             const float *restrict x, int32_t first,
                                                             int32_t count, int32_t step) {
    for (int32_t i = 0; i < count; i++) {
        float v = x[i * step];
        bool larger = (at[i] < 0) | (v > value[i]);
        value[i] = larger ? v : value[i];
        at[i] = larger ? first + i * step : at[i];
    }
}

static void look_along(const dp_window *w, const float *x, int64_t row, int64_t kx, largest l) {
    dp_span o = dp_window_outputs(w, 2, kx);
    int32_t first = (int32_t)(row + dp_window_place(w, 2, o.first, kx));
    int32_t count = (int32_t)(o.end - o.first), step = (int32_t)w->stride[2];
    l.value += o.first;
    l.at += o.first;
    if (step == 1)
        look_steps(l.value, l.at, x + first, first, count, 1);
    else if (step == 2)
        look_steps(l.value, l.at, x + first, first, count, 2);
    else
        look_steps(l.value, l.at, x + first, first, count, step);
}

static void largest_of_row(const dp_window *w, const float *x, const int64_t o[3], largest l) {
    dp_span tz = dp_window_taps(w, 0, o[0]), ty = dp_window_taps(w, 1, o[1]);
    dp_span tx = dp_window_used(w, 2);
    for (int64_t i = 0; i < w->out[2]; i++) l.at[i] = -1;
    for (int64_t kz = tz.first; kz < tz.end; kz++)
        for (int64_t ky = ty.first; ky < ty.end; ky++)
            for (int64_t kx = tx.first; kx < tx.end; kx++)
                look_along(w, x, row_at(w, o, kz, ky), kx, l);
}

static dp_status maximum_adjoint(const dp_op_args *a, dp_error *err) {
    pool p;
    const float *g = dp_grad_out(a, 0);
    float *gx = dp_grad_in(a, 0);
    if (!g || !gx) return DP_OK;
    dp_status status = pool_of(a, &p, err);
    if (status) return status;
    const float *x = a->in[0]->data;
    const dp_window *w = &p.w;
    largest l = {a->scratch, (int32_t *)a->scratch + w->out[2]};
    int64_t o[3] = {0};
    for (int64_t n = 0; n < w->planes; n++, x += plane_in(w), gx += plane_in(w))
        for (o[0] = 0; o[0] < w->out[0]; o[0]++)
            for (o[1] = 0; o[1] < w->out[1]; o[1]++, g += w->out[2]) {
                largest_of_row(w, x, o, l);
                for (int64_t i = 0; i < w->out[2]; i++)
                    if (l.at[i] >= 0) gx[l.at[i]] += g[i];
            }
    return DP_OK;
}

static const variant maxima = {MAXIMUM, false}, maximum_of_all = {MAXIMUM, true};
static const variant means = {MEAN, false}, mean_of_all = {MEAN, true};
static const variant norms = {NORM, false}, norm_of_all = {NORM, true};

#define ROW(name, first, what, row_flags, row_detail)                                              \
    {                                                                                              \
        .type = name, .domain = "", .since = first, .flags = row_flags, .shape = what##_shape,     \
        .forward = what##_forward, .adjoint = what##_adjoint, .detail = &row_detail                \
    }

const dp_op dp_ops_pool[] = {
    ROW("MaxPool", 1, maximum, 0, maxima),
    ROW("GlobalMaxPool", 1, maximum, 0, maximum_of_all),
    ROW("AveragePool", 1, sum, DP_OP_LINEAR, means),
    ROW("GlobalAveragePool", 1, sum, DP_OP_LINEAR, mean_of_all),
    ROW("LpPool", 2, sum, DP_OP_NEEDS_OUT, norms),
    ROW("GlobalLpPool", 2, sum, DP_OP_NEEDS_OUT, norm_of_all),
    {0},
};
