/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Functions of two or more elements, NumPy's broadcasting included: every operand is spread over the output's shape, and
 * a gradient is gathered back over the axes along which its operand was repeated. A row is a formula for floats, one
 * for integers (and booleans), and what the output's gradient is multiplied by for each operand's.
 */
#include <math.h>
#include <string.h>

#include "kernels/vmath.h"
#include "model/ops/cast.h"
#include "model/ops/elementwise.h"

typedef void (*slope)(float *d, const float *v, const float *w, int64_t n);

typedef struct function {
    void (*real)(float *v, const float *w, int64_t n); /* v = f(v, w) */
    void (*one)(float *v, float w, int64_t n);         /* the same w for all */
    void (*integer)(int64_t *v, const int64_t *w, int64_t n);
    slope slope[2];  /* d *= df / dv, d *= df / dw */
    float linear[2]; /* those of linear functions, the second for all operands but the first */
    int types;
    bool predicate;  /* gives booleans */
    bool variadic;   /* folded over any number of operands */
    bool mean;       /* then divided by that number */
    bool divides;    /* integers by w, which must not be 0 */
    bool any_second; /* the second operand may be of another type */
    bool like_first; /* the output has the first operand's shape */
} function;

/* clang-format off */
#define FORMULA(type, name, formula)                                                               \
    DP_VECTOR static void name(type *v, const type *w, int64_t n) {                                \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const type x = v[i], y = w[i];                                                         \
            v[i] = formula;                                                                        \
        }                                                                                          \
    }
#define SLOPE(name, formula)                                                                       \
    DP_VECTOR static void name(float *d, const float *v, const float *w, int64_t n) {              \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const float x = v[i], y = w[i];                                                        \
            (void)x, (void)y;                                                                      \
            d[i] *= formula;                                                                       \
        }                                                                                          \
    }
#define WITH_ONE(name, formula)                                                                    \
    DP_VECTOR static void name(float *v, const float y, int64_t n) {                               \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const float x = v[i];                                                                  \
            v[i] = formula;                                                                        \
        }                                                                                          \
    }
#define REAL(name, formula)    FORMULA(float, name##_real, formula) WITH_ONE(name##_one, formula)
#define INTEGER(name, formula) FORMULA(int64_t, name##_integer, formula)
#define SLOPES(name, of_x, of_y) SLOPE(name##_slope_x, of_x) SLOPE(name##_slope_y, of_y)
/* Integers wrap around. */
#define WRAP(x, operator, y) (int64_t)((uint64_t)(x) operator (uint64_t)(y))

REAL(add,              x + y)
INTEGER(add,           WRAP(x, +, y))
REAL(sub,              x - y)
INTEGER(sub,           WRAP(x, -, y))
REAL(mul,              x * y)
INTEGER(mul,           WRAP(x, *, y))
SLOPES(mul,            y, x)
REAL(div,              x / y)
INTEGER(div,           y == -1 ? WRAP(0, -, x) : x / y) /* towards 0 */
SLOPES(div,            1 / y, -x / (y * y))
REAL(pow,              y == 2 ? x * x : powf(x, y))
SLOPES(pow,            y == 2 ? 2 * x : y * powf(x, y - 1), x > 0 ? powf(x, y) * logf(x) : 0)
REAL(mod,              fmodf(x, y))
INTEGER(mod,           y == -1 ? 0 : x % y)
SLOPES(mod,            1, -truncf(x / y))
INTEGER(mod_floor,     y == -1 ? 0 : (x % y != 0 && (x < 0) != (y < 0)) ? x % y + y : x % y)
REAL(max,              (x > y) | (x != x) ? x : y) /* NaN wins */
INTEGER(max,           x > y ? x : y)
REAL(min,              (x < y) | (x != x) ? x : y)
INTEGER(min,           x < y ? x : y)
REAL(prelu,            x < 0 ? x * y : x)
SLOPES(prelu,          x < 0 ? y : 1, x < 0 ? x : 0)
REAL(equal,            x == y ? 1.0f : 0)
INTEGER(equal,         x == y)
REAL(less,             x < y ? 1.0f : 0)
INTEGER(less,          x < y)
REAL(less_or_equal,    x <= y ? 1.0f : 0)
INTEGER(less_or_equal, x <= y)
REAL(greater,          x > y ? 1.0f : 0)
INTEGER(greater,       x > y)
REAL(greater_or_equal, x >= y ? 1.0f : 0)
INTEGER(greater_or_equal, x >= y)
INTEGER(and,           x & y)
INTEGER(or,            x | y)
INTEGER(xor,           x ^ y)
/* clang-format on */

static void pow_integer(int64_t *v, const int64_t *w, int64_t n) {
    for (int64_t i = 0; i < n; i++) {
        uint64_t base = (uint64_t)v[i], power = 1;
        for (int64_t left = w[i]; left > 0; left /= 2, base *= base)
            if (left & 1) power *= base;
        v[i] = w[i] >= 0                                    ? (int64_t)power
               : v[i] == 1 || (v[i] == -1 && w[i] % 2 == 0) ? 1
               : v[i] == -1                                 ? -1
                                                            : 0;
    }
}

static const function mod_floor = {
    .integer = mod_floor_integer, .types = DP_IS_INT, .divides = true};

static const function *function_of(const dp_op_args *a) {
    bool floored = strcmp(a->node->op_type, "Mod") == 0 && dp_node_int(a->node, "fmod", 0) == 0;
    return floored ? &mod_floor : a->node->op->detail;
}

static dp_status check_operands(const dp_op_args *a, const function *f, dp_error *err) {
    if (!f->variadic && a->n_in != 2)
        return dp_op_fail(a, err, DP_EFORMAT, "has %d inputs, not 2", a->n_in);
    if (a->n_in < 1) return dp_op_fail(a, err, DP_EFORMAT, "has no inputs");
    dp_status status = dp_op_expect(a, a->n_in, err);
    for (int k = 0; k < a->n_in && status == DP_OK; k++) {
        status = dp_op_types(a, k, f->types, err);
        if (status == DP_OK && !f->any_second) status = dp_op_expect_same_type(a, k, err);
    }
    return status;
}

static dp_status shape(dp_op_args *a, dp_error *err) {
    const function *f = function_of(a);
    dp_status status = check_operands(a, f, err);
    if (status != DP_OK) return status;
    dp_tensor *out = a->out[0];
    dp_tensor_reshape(out, out->dtype, a->in[0]->rank, a->in[0]->dim);
    for (int k = 1; k < a->n_in && status == DP_OK; k++)
        status = dp_op_broadcast(a, out, a->in[k], out, err);
    if (status != DP_OK) return status;
    if (f->like_first && !dp_tensor_same_shape(out, a->in[0]))
        return dp_op_fail(a, err, DP_EFORMAT, "input 1 does not broadcast to the shape of input 0");
    a->scratch_bytes = 2 * (size_t)a->n_in * sizeof(dp_spread);
    return dp_op_output(a, 0, f->predicate ? DP_BOOL : a->in[0]->dtype, out->rank, out->dim, err);
}

/* One spread for each input, to read it, or (back) one to gather its gradient. */
static dp_spread *spreads(const dp_op_args *a, bool back) {
    dp_spread *s = (dp_spread *)a->scratch + (back ? a->n_in : 0);
    for (int k = 0; k < a->n_in; k++) s[k] = dp_spread_start(a->in[k], a->out[0]);
    return s;
}

static const int64_t *read_integers(dp_spread *s, const dp_tensor *t, int64_t n, int64_t *to) {
    int64_t raw[DP_BLOCK];
    const void *from = dp_spread_read(s, t->data, dp_dtype_size(t->dtype), n, raw);
    dp_widen(t->dtype, from, n, to);
    return to;
}

static const float *read_reals(dp_spread *s, const dp_tensor *t, int64_t n, float *buffer) {
    if (t->dtype == DP_F32) return dp_spread_read(s, t->data, sizeof(float), n, buffer);
    int64_t integers[DP_BLOCK];
    read_integers(s, t, n, integers);
    for (int64_t i = 0; i < n; i++) buffer[i] = (float)integers[i];
    return buffer;
}

/* v = f(v, the next n elements of t), run by run. */
static void apply(const function *f, float *v, dp_spread *s, const dp_tensor *t, int64_t n) {
    const float *w = t->data;
    if (t->dtype != DP_F32) {
        float block[DP_BLOCK];
        f->real(v, read_reals(s, t, n, block), n);
        return;
    }
    for (int64_t run; n > 0; v += run, n -= run) {
        const float *from = w + s->offset;
        run = dp_spread_run(s, n);
        if (dp_spread_stride(s) == 1)
            f->real(v, from, run);
        else
            f->one(v, *from, run);
        dp_spread_advance(s, run);
    }
}

static void forward_reals(const dp_op_args *a, const function *f) {
    float first[DP_BLOCK];
    int64_t count = dp_tensor_count(a->out[0]);
    dp_spread *s = spreads(a, false);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        float *v = f->predicate ? first : (float *)a->out[0]->data + i;
        const float *x = read_reals(&s[0], a->in[0], n, first);
        if (x != v) memcpy(v, x, (size_t)n * sizeof *v);
        for (int k = 1; k < a->n_in; k++) apply(f, v, &s[k], a->in[k], n);
        for (int64_t j = 0; f->mean && j < n; j++) v[j] /= (float)a->n_in;
        for (int64_t j = 0; f->predicate && j < n; j++)
            ((uint8_t *)a->out[0]->data)[i + j] = v[j] != 0;
    }
}

/* Which of the two is in place does not matter where operands commute. */
static void finish(const dp_op_args *a, int64_t first, int64_t count) {
    const function *f = a->node->op->detail;
    const dp_tensor *other = a->in[a->in[0]->data == a->out[0]->data ? 1 : 0];
    dp_spread s = dp_spread_start(other, a->out[0]);
    dp_spread_seek(&s, first);
    apply(f, (float *)a->out[0]->data + first, &s, other, count);
}

static bool has_zero(const int64_t *v, int64_t n) {
    for (int64_t i = 0; i < n; i++)
        if (v[i] == 0) return true;
    return false;
}

static dp_status forward_integers(const dp_op_args *a, const function *f, dp_error *err) {
    int64_t v[DP_BLOCK], next[DP_BLOCK], count = dp_tensor_count(a->out[0]);
    dp_dtype type = a->out[0]->dtype;
    dp_spread *s = spreads(a, false);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        read_integers(&s[0], a->in[0], n, v);
        for (int k = 1; k < a->n_in; k++) {
            const int64_t *w = read_integers(&s[k], a->in[k], n, next);
            if (f->divides && has_zero(w, n))
                return dp_op_fail(a, err, DP_ERANGE, "division of an integer by zero");
            f->integer(v, w, n);
        }
        dp_narrow(type, v, n, (char *)a->out[0]->data + (size_t)i * dp_dtype_size(type));
    }
    return DP_OK;
}

/* An integer to the power of a real number, which Cast makes an integer again. */
static void forward_powers(const dp_op_args *a) {
    int64_t base[DP_BLOCK], count = dp_tensor_count(a->out[0]);
    float exponent[DP_BLOCK];
    double power[DP_BLOCK];
    dp_dtype type = a->out[0]->dtype;
    dp_spread *s = spreads(a, false);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        read_integers(&s[0], a->in[0], n, base);
        const float *w = read_reals(&s[1], a->in[1], n, exponent);
        for (int64_t j = 0; j < n; j++) power[j] = pow((double)base[j], (double)w[j]);
        dp_cast(DP_F64, power, type, (char *)a->out[0]->data + (size_t)i * dp_dtype_size(type), n);
    }
}

static dp_status forward(const dp_op_args *a, dp_error *err) {
    const function *f = function_of(a);
    if (a->in[0]->dtype == DP_F32)
        forward_reals(a, f);
    else if (f->any_second && a->in[1]->dtype == DP_F32)
        forward_powers(a);
    else
        return forward_integers(a, f, err);
    return DP_OK;
}

static dp_status linear_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const function *f = function_of(a);
    const float *gy = dp_grad_out(a, 0);
    int64_t count = dp_tensor_count(a->out[0]);
    dp_spread *s = spreads(a, true);
    for (int k = 0; k < a->n_in && gy; k++) {
        float *gx = dp_grad_in(a, k), d[DP_BLOCK];
        float weight = f->linear[k > 0] / (f->mean ? (float)a->n_in : 1.0f);
        for (int64_t i = 0; gx && gx != gy && i < count; i += DP_BLOCK) {
            int64_t n = dp_block(i, count);
            for (int64_t j = 0; j < n; j++) d[j] = weight * gy[i + j];
            dp_spread_add(&s[k], d, n, gx);
        }
    }
    return DP_OK;
}

static dp_status product_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const function *f = function_of(a);
    const float *gy = dp_grad_out(a, 0);
    float buffer[2][DP_BLOCK], d[DP_BLOCK];
    int64_t count = gy ? dp_tensor_count(a->out[0]) : 0;
    dp_spread *s = spreads(a, false), *back = spreads(a, true);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        const float *x = read_reals(&s[0], a->in[0], n, buffer[0]);
        const float *y = read_reals(&s[1], a->in[1], n, buffer[1]);
        for (int k = 0; k < 2; k++) {
            float *gx = dp_grad_in(a, k);
            if (!gx) continue;
            memcpy(d, gy + i, (size_t)n * sizeof *d);
            f->slope[k](d, x, y, n);
            if (gx == gy)
                memcpy(gx + i, d, (size_t)n * sizeof *d);
            else
                dp_spread_add(&back[k], d, n, gx);
        }
    }
    return DP_OK;
}

/* Max, Min: all of the gradient to the first operand that equals the output. */
static dp_status extremum_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const float *gy = dp_grad_out(a, 0), *y = a->out[0]->data;
    float buffer[DP_BLOCK], d[DP_BLOCK];
    int64_t count = gy ? dp_tensor_count(a->out[0]) : 0;
    dp_spread *s = spreads(a, false), *back = spreads(a, true);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        float left[DP_BLOCK];
        memcpy(left, gy + i, (size_t)n * sizeof *left);
        for (int k = 0; k < a->n_in; k++) {
            const float *x = read_reals(&s[k], a->in[k], n, buffer);
            for (int64_t j = 0; j < n; j++) {
                d[j] = x[j] == y[i + j] ? left[j] : 0;
                left[j] = x[j] == y[i + j] ? 0 : left[j];
            }
            if (dp_grad_in(a, k)) dp_spread_add(&back[k], d, n, dp_grad_in(a, k));
        }
    }
    return DP_OK;
}

static dp_status where_shape(dp_op_args *a, dp_error *err) {
    dp_status status = dp_op_expect(a, 3, err);
    if (status == DP_OK) status = dp_op_types(a, 0, DP_IS_BOOL, err);
    if (status != DP_OK) return status;
    if (a->in[1]->dtype != a->in[2]->dtype)
        return dp_op_fail(a, err, DP_EFORMAT, "inputs 1 and 2 are %s and %s",
                          dp_dtype_name(a->in[1]->dtype), dp_dtype_name(a->in[2]->dtype));
    dp_tensor *out = a->out[0];
    status = dp_op_broadcast(a, a->in[0], a->in[1], out, err);
    if (status == DP_OK) status = dp_op_broadcast(a, out, a->in[2], out, err);
    if (status != DP_OK) return status;
    a->scratch_bytes = 2 * 3 * sizeof(dp_spread);
    return dp_op_output(a, 0, a->in[1]->dtype, out->rank, out->dim, err);
}

static void choose(const uint8_t *c, const char *const from[2], char *to, int64_t n, size_t size) {
    for (size_t i = 0; i < (size_t)n; i++)
        memcpy(to + i * size, from[c[i] ? 0 : 1] + i * size, size);
}

static dp_status where_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    size_t size = dp_dtype_size(a->out[0]->dtype);
    int64_t buffer[2][DP_BLOCK], count = dp_tensor_count(a->out[0]);
    uint8_t condition[DP_BLOCK];
    dp_spread *s = spreads(a, false);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        const uint8_t *c = dp_spread_read(&s[0], a->in[0]->data, 1, n, condition);
        const char *const from[2] = {dp_spread_read(&s[1], a->in[1]->data, size, n, buffer[0]),
                                     dp_spread_read(&s[2], a->in[2]->data, size, n, buffer[1])};
        char *to = (char *)a->out[0]->data + (size_t)i * size;
        if (size == sizeof(float))
            choose(c, from, to, n, sizeof(float)); /* a constant size for the compiler */
        else
            choose(c, from, to, n, size);
    }
    return DP_OK;
}

static dp_status where_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const float *gy = dp_grad_out(a, 0);
    uint8_t condition[DP_BLOCK];
    float d[DP_BLOCK];
    int64_t count = gy ? dp_tensor_count(a->out[0]) : 0;
    dp_spread *s = spreads(a, false), *back = spreads(a, true);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        const uint8_t *c = dp_spread_read(&s[0], a->in[0]->data, 1, n, condition);
        for (int k = 1; k < 3; k++) {
            if (!dp_grad_in(a, k)) continue;
            for (int64_t j = 0; j < n; j++) d[j] = (c[j] != 0) == (k == 1) ? gy[i + j] : 0;
            dp_spread_add(&back[k], d, n, dp_grad_in(a, k));
        }
    }
    return DP_OK;
}

/* clang-format off */
#define ROW(name, opset, flag, reverse, ...)                                                       \
    {.type = name, .domain = "", .since = (opset), .flags = (flag), .shape = shape,                \
     .forward = forward, .adjoint = reverse, .detail = &(const function){__VA_ARGS__}}
/* Those that a site's step may take along. */
#define PAIR(name, opset, flag, reverse, ...)                                                      \
    {.type = name, .domain = "", .since = (opset), .flags = (flag), .shape = shape,                \
     .forward = forward, .adjoint = reverse, .finish = finish,                                     \
     .detail = &(const function){__VA_ARGS__}}
#define LINEAR(name, opset, ...)                                                                   \
    ROW(name, opset, DP_OP_INPLACE | DP_OP_LINEAR, linear_adjoint, __VA_ARGS__)
#define PREDICATE(name, opset, ...) ROW(name, opset, 0, NULL, .predicate = true, __VA_ARGS__)
#define FLOATS(name)     .real = name##_real, .one = name##_one
#define BOTH(name)       FLOATS(name), .integer = name##_integer
#define SLOPES_OF(name)  .slope = {name##_slope_x, name##_slope_y}

const dp_op dp_ops_arithmetic[] = {
    PAIR("Add", 7, DP_OP_INPLACE | DP_OP_LINEAR | DP_OP_COMMUTES | DP_OP_HANDS_GRAD, linear_adjoint,
         .types = DP_IS_NUMBER, BOTH(add), .linear = {1, 1}),
    PAIR("Sub", 7, DP_OP_INPLACE | DP_OP_LINEAR | DP_OP_HANDS_GRAD, linear_adjoint, .types = DP_IS_NUMBER, BOTH(sub),
         .linear = {1, -1}),
    LINEAR("Sum", 6, .types = DP_IS_NUMBER, BOTH(add), .linear = {1, 1}, .variadic = true),
    LINEAR("Mean", 6, .types = DP_IS_F32, FLOATS(add), .linear = {1, 1}, .variadic = true,
           .mean = true),
    PAIR("Mul", 7, DP_OP_COMMUTES | DP_OP_HANDS_GRAD, product_adjoint, .types = DP_IS_NUMBER, BOTH(mul), SLOPES_OF(mul)),
    ROW("Div", 7, DP_OP_HANDS_GRAD, product_adjoint, .types = DP_IS_NUMBER, BOTH(div), SLOPES_OF(div),
     .divides = true),
    ROW("Pow", 7, 0, product_adjoint, .types = DP_IS_NUMBER, BOTH(pow), SLOPES_OF(pow),
     .any_second = true),
    ROW("Mod", 10, 0, product_adjoint, .types = DP_IS_NUMBER, BOTH(mod), SLOPES_OF(mod),
     .divides = true),
    ROW("PRelu", 7, 0, product_adjoint, .types = DP_IS_F32, FLOATS(prelu), SLOPES_OF(prelu),
     .like_first = true),
    ROW("Max", 6, DP_OP_NEEDS_OUT, extremum_adjoint, .types = DP_IS_NUMBER, BOTH(max),
     .variadic = true),
    ROW("Min", 6, DP_OP_NEEDS_OUT, extremum_adjoint, .types = DP_IS_NUMBER, BOTH(min),
     .variadic = true),
    PREDICATE("Equal", 7, .types = DP_IS_NUMBER | DP_IS_BOOL, BOTH(equal)),
    PREDICATE("Less", 7, .types = DP_IS_NUMBER, BOTH(less)),
    PREDICATE("LessOrEqual", 12, .types = DP_IS_NUMBER, BOTH(less_or_equal)),
    PREDICATE("Greater", 7, .types = DP_IS_NUMBER, BOTH(greater)),
    PREDICATE("GreaterOrEqual", 12, .types = DP_IS_NUMBER, BOTH(greater_or_equal)),
    PREDICATE("And", 7, .types = DP_IS_BOOL, .integer = and_integer),
    PREDICATE("Or", 7, .types = DP_IS_BOOL, .integer = or_integer),
    PREDICATE("Xor", 7, .types = DP_IS_BOOL, .integer = xor_integer),
    {.type = "Where", .domain = "", .since = 9, .shape = where_shape, .forward = where_forward,
     .adjoint = where_adjoint},
    {0},
};
/* clang-format on */
