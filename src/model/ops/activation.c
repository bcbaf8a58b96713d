/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Functions of one element: y = f(x). Each is a formula that replaces a block of values by f of them, and one that
 * replaces them by f's slope. The slope is taken from the output where that says enough (rows with DP_OP_NEEDS_OUT), so
 * that those functions can run in place; else from the input.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "kernels/vmath.h"
#include "model/ops/elementwise.h"

typedef struct function {
    void (*value)(float *v, int64_t n, const float *p);
    void (*slope)(float *v, int64_t n, const float *p);
    void (*integer)(int64_t *v, int64_t n, const int64_t *p); /* NULL: of floats only */
    const char *attribute[2];                                 /* that p[0] and p[1] come from */
    float otherwise[2];                                       /* without them */
    bool limits; /* inputs 1 and 2, where present, are p[0] and p[1] */
} function;

/* clang-format off */
#define FORMULA(type, name, x, formula)                                                            \
    DP_VECTOR static void name(type *v, int64_t n, const type *p) {                                \
        const type a = p[0], b = p[1]; /* attributes, as the rows below name them */               \
        (void)a, (void)b;                                                                          \
        for (int64_t i = 0; i < n; i++) {                                                          \
            const type x = v[i];                                                                   \
            (void)x;                                                                               \
            v[i] = formula;                                                                        \
        }                                                                                          \
    }
#define VALUE(name, formula)   FORMULA(float, name##_value, x, formula)
#define INTEGER(name, formula) FORMULA(int64_t, name##_integer, x, formula)
#define SLOPE_X(name, formula) FORMULA(float, name##_slope, x, formula) /* from the input */
#define SLOPE_Y(name, formula) FORMULA(float, name##_slope, y, formula) /* from the output */

VALUE(relu,               x < 0 ? 0 : x)
INTEGER(relu,             x < 0 ? 0 : x)
SLOPE_Y(relu,             y > 0 ? 1.0f : 0)
VALUE(leaky_relu,         x < 0 ? a * x : x)
SLOPE_X(leaky_relu,       x < 0 ? a : 1)
VALUE(thresholded_relu,   x <= a ? 0 : x)
SLOPE_X(thresholded_relu, x > a ? 1.0f : 0)
VALUE(shrink,             x > b ? x - a : x < -b ? x + a : 0)
SLOPE_X(shrink,           (x > b) | (x < -b) ? 1.0f : 0)
VALUE(clip,               x < a ? (a > b ? b : a) : x > b ? b : x)
INTEGER(clip,             x < a ? (a > b ? b : a) : x > b ? b : x)
SLOPE_Y(clip,             (y > a) & (y < b) ? 1.0f : 0)
VALUE(elu,                b * (x < 0 ? a * dp_expm1(x) : x))
SLOPE_X(elu,              b * (x < 0 ? a * dp_exp(x) : 1))
VALUE(celu,               x < 0 ? a * dp_expm1(x / a) : x)
SLOPE_X(celu,             x < 0 ? dp_exp(x / a) : 1)

VALUE(sigmoid,            dp_sigmoid(x))
SLOPE_Y(sigmoid,          y * (1 - y))
VALUE(hard_sigmoid,       a * x + b < 0 ? 0 : a * x + b > 1 ? 1 : a * x + b)
SLOPE_Y(hard_sigmoid,     (y > 0) & (y < 1) ? a : 0)
VALUE(hard_swish,         x * (a * x + b < 0 ? 0 : a * x + b > 1 ? 1 : a * x + b))
SLOPE_X(hard_swish,       a * x + b < 0 ? 0 : a * x + b > 1 ? 1 : 2 * a * x + b)
VALUE(tanh,               dp_tanh(x))
SLOPE_Y(tanh,             1 - y * y)
VALUE(softplus,           log1pf(dp_exp(-fabsf(x))) + (x < 0 ? 0 : x))
SLOPE_Y(softplus,         -dp_expm1(-y))
VALUE(softsign,           x / (1 + fabsf(x)))
SLOPE_X(softsign,         1 / ((1 + fabsf(x)) * (1 + fabsf(x))))

/* x sigmoid(a x): Swish too, with a = 1 */
VALUE(quick_gelu,         x * dp_sigmoid(a * x))
SLOPE_X(quick_gelu,       dp_sigmoid(a * x) * (1 + a * x * dp_sigmoid(-a * x)))

/* x (1 + erf(x / sqrt 2)) / 2; its slope has the normal density e^(-x^2 / 2) / sqrt(2 pi) */
#define ROOT_HALF (float)M_SQRT1_2
#define DENSITY(x) ((float)(M_SQRT1_2 * M_2_SQRTPI / 2) * dp_exp(-0.5f * (x) * (x)))
VALUE(gelu,               0.5f * x * (1 + dp_erf(ROOT_HALF * x)))
SLOPE_X(gelu,             0.5f * (1 + dp_erf(ROOT_HALF * x)) + x * DENSITY(x))

/* x (1 + tanh u) / 2, u = sqrt(2 / pi) (x + 0.044715 x^3), which is x sigmoid(2 u) */
#define TWO_U(x)     ((float)(M_SQRT2 * M_2_SQRTPI) * ((x) + 0.044715f * (x) * (x) * (x)))
#define TWO_U_DOT(x) ((float)(M_SQRT2 * M_2_SQRTPI) * (1 + 3 * 0.044715f * (x) * (x)))
VALUE(fast_gelu,          x * dp_sigmoid(TWO_U(x)))
SLOPE_X(fast_gelu,        dp_sigmoid(TWO_U(x)) * (1 + x * TWO_U_DOT(x) * dp_sigmoid(-TWO_U(x))))

/* x tanh(ln(1 + e^x)): the tanh is m / (m + 2) with m = e^x (e^x + 2),
 and 1 to float's precision from x = 20 on */
#define EXP_20(x)    dp_exp((x) > 20 ? 20 : (x))
#define MISH_M(x)    (EXP_20(x) * (EXP_20(x) + 2))
#define MISH_TANH(x) (MISH_M(x) / (MISH_M(x) + 2))
VALUE(mish,               x * MISH_TANH(x))
SLOPE_X(mish,             MISH_TANH(x) + x * (1 - MISH_TANH(x) * MISH_TANH(x)) * dp_sigmoid(x))

VALUE(exp,                dp_exp(x))
SLOPE_Y(exp,              y)
VALUE(log,                logf(x))
SLOPE_X(log,              1 / x)
VALUE(sqrt,               sqrtf(x))
SLOPE_Y(sqrt,             0.5f / y)
VALUE(reciprocal,         1 / x)
SLOPE_Y(reciprocal,       -y * y)
VALUE(negate,             -x)
INTEGER(negate,           (int64_t)(0 - (uint64_t)x))
SLOPE_Y(negate,           -1)
VALUE(abs,                fabsf(x))
INTEGER(abs,              x < 0 ? (int64_t)(0 - (uint64_t)x) : x)
SLOPE_X(abs,              x > 0 ? 1 : x < 0 ? -1.0f : 0)
VALUE(sign,               x > 0 ? 1 : x < 0 ? -1 : x)
INTEGER(sign,             (x > 0) - (x < 0))
VALUE(floor,              floorf(x))
VALUE(ceil,               ceilf(x))
VALUE(round,              rintf(x)) /* halves to even */
VALUE(erf,                dp_erf(x))
SLOPE_X(erf,              (float)M_2_SQRTPI * dp_exp(-x * x))

VALUE(sin,                sinf(x))
SLOPE_X(sin,              cosf(x))
VALUE(cos,                cosf(x))
SLOPE_X(cos,              -sinf(x))
VALUE(tan,                tanf(x))
SLOPE_Y(tan,              1 + y * y)
VALUE(asin,               asinf(x))
SLOPE_X(asin,             1 / sqrtf((1 - x) * (1 + x)))
VALUE(acos,               acosf(x))
SLOPE_X(acos,             -1 / sqrtf((1 - x) * (1 + x)))
VALUE(atan,               atanf(x))
SLOPE_X(atan,             1 / (1 + x * x))
VALUE(sinh,               sinhf(x))
SLOPE_X(sinh,             coshf(x))
VALUE(cosh,               coshf(x))
SLOPE_X(cosh,             sinhf(x))
VALUE(asinh,              asinhf(x))
SLOPE_X(asinh,            1 / sqrtf(1 + x * x))
VALUE(acosh,              acoshf(x))
SLOPE_X(acosh,            1 / sqrtf((x - 1) * (x + 1)))
VALUE(atanh,              atanhf(x))
SLOPE_X(atanh,            1 / ((1 - x) * (1 + x)))
/* clang-format on */

static const function gelu_by_tanh = {.value = fast_gelu_value, .slope = fast_gelu_slope};

static const function *function_of(const dp_op_args *a) {
    bool by_tanh = strcmp(dp_node_string(a->node, "approximate", "none"), "tanh") == 0;
    return by_tanh ? &gelu_by_tanh : a->node->op->detail;
}

static dp_status check_approximation(const dp_op_args *a, dp_error *err) {
    const char *name = dp_node_string(a->node, "approximate", "none");
    if (strcmp(name, "none") == 0 || strcmp(name, "tanh") == 0) return DP_OK;
    return dp_op_fail(a, err, DP_EFORMAT, "approximate is '%s', not 'none' or 'tanh'", name);
}

static dp_status check_limit(const dp_op_args *a, int k, dp_error *err) {
    if (!dp_op_has(a, k)) return DP_OK;
    if (a->in[k]->dtype != a->in[0]->dtype || dp_tensor_count(a->in[k]) != 1)
        return dp_op_fail(a, err, DP_EFORMAT, "input %d is not one %s", k,
                          dp_dtype_name(a->in[0]->dtype));
    return dp_op_expect_constant(a, k, err);
}

static dp_status unary_shape(dp_op_args *a, dp_error *err) {
    const function *f = function_of(a);
    dp_status status = dp_op_types(a, 0, f->integer ? DP_IS_NUMBER : DP_IS_F32, err);
    if (status == DP_OK) status = check_approximation(a, err);
    for (int k = 1; k < a->n_in && status == DP_OK; k++) {
        if (f->limits && k <= 2)
            status = check_limit(a, k, err);
        else if (dp_op_has(a, k))
            status = dp_op_fail(a, err, DP_EUNSUPPORTED, "input %d is not implemented", k);
    }
    if (status != DP_OK) return status;
    return dp_op_output(a, 0, a->in[0]->dtype, a->in[0]->rank, a->in[0]->dim, err);
}

static void float_parameters(const dp_op_args *a, const function *f, float p[2]) {
    for (int j = 0; j < 2; j++) {
        p[j] = f->otherwise[j];
        if (f->attribute[j]) p[j] = dp_node_float(a->node, f->attribute[j], p[j]);
        if (f->limits && dp_op_has(a, 1 + j)) p[j] = *(const float *)a->in[1 + j]->data;
    }
}

static void integer_forward(const dp_op_args *a, const function *f) {
    int64_t p[2] = {INT64_MIN, INT64_MAX}, v[DP_BLOCK], count = dp_tensor_count(a->in[0]);
    dp_dtype type = a->in[0]->dtype;
    size_t size = dp_dtype_size(type);
    for (int j = 0; j < 2; j++)
        if (f->limits && dp_op_has(a, 1 + j)) dp_widen(type, a->in[1 + j]->data, 1, &p[j]);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        dp_widen(type, (const char *)a->in[0]->data + (size_t)i * size, n, v);
        f->integer(v, n, p);
        dp_narrow(type, v, n, (char *)a->out[0]->data + (size_t)i * size);
    }
}

static dp_status unary_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    const function *f = function_of(a);
    if (a->in[0]->dtype != DP_F32) {
        integer_forward(a, f);
        return DP_OK;
    }
    const float *x = a->in[0]->data;
    float *y = a->out[0]->data, p[2];
    int64_t count = dp_tensor_count(a->in[0]);
    float_parameters(a, f, p);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        if (x != y) memcpy(y + i, x + i, (size_t)n * sizeof *y);
        f->value(y + i, n, p);
    }
    return DP_OK;
}

static void unary_finish(const dp_op_args *a, int64_t first, int64_t count) {
    const function *f = function_of(a);
    float p[2];
    float_parameters(a, f, p);
    f->value((float *)a->out[0]->data + first, count, p);
}

static dp_status unary_adjoint(const dp_op_args *a, dp_error *err) {
    (void)err;
    const float *gy = dp_grad_out(a, 0);
    float *gx = dp_grad_in(a, 0);
    if (!gx || !gy) return DP_OK;
    const function *f = function_of(a);
    bool from_output = a->node->op->flags & DP_OP_NEEDS_OUT;
    const float *v = from_output ? a->out[0]->data : a->in[0]->data;
    float slope[DP_BLOCK], p[2];
    int64_t count = dp_tensor_count(a->grad_in[0]);
    float_parameters(a, f, p);
    for (int64_t i = 0; i < count; i += DP_BLOCK) {
        int64_t n = dp_block(i, count);
        memcpy(slope, v + i, (size_t)n * sizeof *v);
        f->slope(slope, n, p);
        for (int64_t j = 0; gx == gy && j < n; j++) gx[i + j] *= slope[j];
        for (int64_t j = 0; gx != gy && j < n; j++) gx[i + j] += slope[j] * gy[i + j];
    }
    return DP_OK;
}

/* Predicates: y = p(x), booleans. */

static dp_status predicate_shape(dp_op_args *a, dp_error *err) {
    const int *types = a->node->op->detail;
    dp_status status = dp_op_types(a, 0, *types, err);
    if (status != DP_OK) return status;
    return dp_op_output(a, 0, DP_BOOL, a->in[0]->rank, a->in[0]->dim, err);
}

static dp_status not_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    const uint8_t *x = a->in[0]->data;
    uint8_t *y = a->out[0]->data;
    int64_t count = dp_tensor_count(a->in[0]);
    for (int64_t i = 0; i < count; i++) y[i] = !x[i];
    return DP_OK;
}

static dp_status is_nan_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    const float *x = a->in[0]->data;
    uint8_t *y = a->out[0]->data;
    int64_t count = dp_tensor_count(a->in[0]);
    for (int64_t i = 0; i < count; i++) y[i] = x[i] != x[i];
    return DP_OK;
}

static dp_status is_inf_forward(const dp_op_args *a, dp_error *err) {
    (void)err;
    bool positive = dp_node_int(a->node, "detect_positive", 1) != 0;
    bool negative = dp_node_int(a->node, "detect_negative", 1) != 0;
    const float *x = a->in[0]->data;
    uint8_t *y = a->out[0]->data;
    int64_t count = dp_tensor_count(a->in[0]);
    for (int64_t i = 0; i < count; i++) y[i] = isinf(x[i]) && (x[i] > 0 ? positive : negative);
    return DP_OK;
}

/* clang-format off */
#define ROW(name, opset, flag, ...)                                                                \
    {.type = name, .domain = "", .since = (opset), .flags = (flag), .shape = unary_shape,          \
     .forward = unary_forward, .adjoint = unary_adjoint, .finish = unary_finish,                   \
     .detail = &(const function){__VA_ARGS__}}
#define MICROSOFT(name, ...)                                                                       \
    {.type = name, .domain = "com.microsoft", .since = 1, .shape = unary_shape,                    \
     .forward = unary_forward, .adjoint = unary_adjoint, .finish = unary_finish,                   \
     .detail = &(const function){__VA_ARGS__}}
#define STEP(name, opset, ...) /* slope 0 everywhere says nothing: no adjoint */                   \
    {.type = name, .domain = "", .since = (opset), .flags = DP_OP_INPLACE, .shape = unary_shape,   \
     .forward = unary_forward, .finish = unary_finish, .detail = &(const function){__VA_ARGS__}}
#define PREDICATE(name, opset, function, types)                                                    \
    {.type = name, .domain = "", .since = (opset), .shape = predicate_shape, .forward = function,  \
     .detail = &(const int){types}}
#define BOTH(name)      .value = name##_value, .slope = name##_slope
#define INTEGER_TOO(name) BOTH(name), .integer = name##_integer
#define FROM_IN  DP_OP_HANDS_GRAD
#define FROM_OUT (DP_OP_INPLACE | DP_OP_NEEDS_OUT | DP_OP_HANDS_GRAD)

const dp_op dp_ops_activation[] = {
    ROW("Relu", 6, FROM_OUT, INTEGER_TOO(relu)),
    ROW("LeakyRelu", 6, FROM_IN, BOTH(leaky_relu), .attribute = {"alpha"}, .otherwise = {0.01f}),
    ROW("ThresholdedRelu", 10, FROM_IN, BOTH(thresholded_relu), .attribute = {"alpha"},
     .otherwise = {1}),
    ROW("Shrink", 9, FROM_IN, BOTH(shrink), .attribute = {"bias", "lambd"}, .otherwise = {0, 0.5f}),
    {.type = "Clip", .domain = "", .since = 6, .until = 10, .flags = FROM_OUT, .shape = unary_shape,
     .forward = unary_forward, .adjoint = unary_adjoint,
     .detail = &(const function){BOTH(clip), .attribute = {"min", "max"},
      .otherwise = {-FLT_MAX, FLT_MAX}}},
    ROW("Clip", 11, FROM_OUT, INTEGER_TOO(clip), .otherwise = {-INFINITY, INFINITY},
     .limits = true),
    ROW("Elu", 6, FROM_IN, BOTH(elu), .attribute = {"alpha"}, .otherwise = {1, 1}),
    ROW("Selu", 6, FROM_IN, BOTH(elu), .attribute = {"alpha", "gamma"},
        .otherwise = {1.67326319217681884765625f, 1.05070102214813232421875f}),
    ROW("Celu", 12, FROM_IN, BOTH(celu), .attribute = {"alpha"}, .otherwise = {1}),
    ROW("Sigmoid", 6, FROM_OUT, BOTH(sigmoid)),
    ROW("HardSigmoid", 6, FROM_OUT, BOTH(hard_sigmoid), .attribute = {"alpha", "beta"},
     .otherwise = {0.2f, 0.5f}),
    ROW("HardSwish", 14, FROM_IN, BOTH(hard_swish), .otherwise = {1 / 6.0f, 0.5f}),
    ROW("Tanh", 6, FROM_OUT, BOTH(tanh)),
    ROW("Softplus", 1, FROM_OUT, BOTH(softplus)),
    ROW("Softsign", 1, FROM_IN, BOTH(softsign)),
    ROW("Mish", 18, FROM_IN, BOTH(mish)),
    ROW("Gelu", 20, FROM_IN, BOTH(gelu)),
    ROW("Swish", 24, FROM_IN, BOTH(quick_gelu), .attribute = {"alpha"}, .otherwise = {1}),
    MICROSOFT("Gelu", BOTH(gelu)),
    MICROSOFT("FastGelu", BOTH(fast_gelu)),
    MICROSOFT("QuickGelu", BOTH(quick_gelu), .attribute = {"alpha"}, .otherwise = {1.702f}),
    ROW("Exp", 6, FROM_OUT, BOTH(exp)),
    ROW("Log", 6, FROM_IN, BOTH(log)),
    ROW("Sqrt", 6, FROM_OUT, BOTH(sqrt)),
    ROW("Reciprocal", 6, FROM_OUT, BOTH(reciprocal)),
    ROW("Neg", 6, FROM_OUT, INTEGER_TOO(negate)),
    ROW("Abs", 6, FROM_IN, INTEGER_TOO(abs)),
    ROW("Erf", 9, FROM_IN, BOTH(erf)),
    ROW("Sin", 7, FROM_IN, BOTH(sin)),
    ROW("Cos", 7, FROM_IN, BOTH(cos)),
    ROW("Tan", 7, FROM_OUT, BOTH(tan)),
    ROW("Asin", 7, FROM_IN, BOTH(asin)),
    ROW("Acos", 7, FROM_IN, BOTH(acos)),
    ROW("Atan", 7, FROM_IN, BOTH(atan)),
    ROW("Sinh", 9, FROM_IN, BOTH(sinh)),
    ROW("Cosh", 9, FROM_IN, BOTH(cosh)),
    ROW("Asinh", 9, FROM_IN, BOTH(asinh)),
    ROW("Acosh", 9, FROM_IN, BOTH(acosh)),
    ROW("Atanh", 9, FROM_IN, BOTH(atanh)),
    STEP("Floor", 6, .value = floor_value),
    STEP("Ceil", 6, .value = ceil_value),
    STEP("Round", 11, .value = round_value),
    STEP("Sign", 9, .value = sign_value, .integer = sign_integer),
    PREDICATE("Not", 1, not_forward, DP_IS_BOOL),
    PREDICATE("IsNaN", 9, is_nan_forward, DP_IS_F32),
    PREDICATE("IsInf", 10, is_inf_forward, DP_IS_F32),
    {0},
};
/* clang-format on */
