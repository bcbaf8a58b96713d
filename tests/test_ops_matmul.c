/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MatMul and Gemm against their defining sums: values, what the port is told of every output, and gradients. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "oracle.h"
#include "site_rig.h"
#include "suites.h"

#define WANT_F32(...)                                                                              \
    { .dtype = DP_F32, OP_DIM(__VA_ARGS__) }
#define CONSTANT_F32(...)                                                                          \
    { .dtype = DP_F32, OP_DIM(__VA_ARGS__), .constant = true }

/* clang-format off */
const op_case op_cases_matmul[] = {
    {"MatMul", 1, .in = {OP_F32(3, 4), OP_F32(4, 2)}, .want = {WANT_F32(3, 2)}},
    {"MatMul", 9, .in = {OP_F32(2, 3, 4), CONSTANT_F32(4, 5)}, .want = {WANT_F32(2, 3, 5)}, .frozen = 2},
    {"MatMul", 9, .in = {CONSTANT_F32(3, 4), OP_F32(2, 4, 5)}, .want = {WANT_F32(2, 3, 5)}, .frozen = 1},
    {"MatMul", 13, .in = {OP_F32(2, 1, 3, 4), OP_F32(5, 4, 2)}, .want = {WANT_F32(2, 5, 3, 2)}},
    {"MatMul", 13, .in = {OP_F32(2, 3, 4), OP_F32(4, 2)}, .want = {WANT_F32(2, 3, 2)}},
    {"MatMul", 13, .in = {OP_F32(4), OP_F32(4)}, .want = {{.dtype = DP_F32, .rank = 0}}},
    {"MatMul", 13, .in = {OP_F32(4), OP_F32(3, 4, 2)}, .want = {WANT_F32(3, 2)}},
    {"MatMul", 13, .in = {OP_F32(3, 2, 4), OP_F32(4)}, .want = {WANT_F32(3, 2)}},
    {"MatMul", 13, .in = {OP_F32(2, 3, 4), CONSTANT_F32(4)}, .want = {WANT_F32(2, 3)}, .frozen = 2},
    {"MatMul", 13, .in = {{OP_DIM(2, 2), OP_FLOATS(1, 2, 3, 4)}, {OP_DIM(2, 2), OP_FLOATS(5, 6, 7, 8)}},
     .want = {{OP_DIM(2, 2), OP_FLOATS(19, 22, 43, 50)}}},

    {"MatMul", 13, .in = {OP_F32(2, 0), OP_F32(0, 3)}, .want = {{OP_DIM(2, 3), OP_FLOATS(0, 0, 0, 0, 0, 0)}}},
    {"MatMul", 13, .in = {OP_F32(2, 4), OP_F32(4, 0)}, .want = {WANT_F32(2, 0)}},
    {"MatMul", 13, .in = {OP_F32(0, 3, 4), OP_F32(4, 5)}, .want = {WANT_F32(0, 3, 5)}},

    {"MatMul", 13, .in = {OP_F32(3, 4), OP_F32(3, 4)}, .status = DP_EFORMAT, .refused = "[3,4] times [3,4]"},
    {"MatMul", 13, .in = {OP_F32(2, 3, 4), OP_F32(3, 4, 5)}, .status = DP_EFORMAT, .refused = "2 and 3 differ"},
    {"MatMul", 13, .in = {{.dtype = DP_F32, .rank = 0}, OP_F32(3)}, .status = DP_EFORMAT, .refused = "scalar"},
    {"MatMul", 13, .in = {{OP_DIM(2), OP_INT64S(1, 2)}, OP_F32(2)}, .status = DP_EUNSUPPORTED, .refused = "int64"},

    {"Gemm", 7, .in = {OP_F32(3, 4), OP_F32(4, 2), OP_F32(2)}, .want = {WANT_F32(3, 2)}},
    {"Gemm", 9, .in = {OP_F32(4, 3), OP_F32(4, 2), OP_F32(3, 1)}, .want = {WANT_F32(3, 2)},
     .attrs = {OP_INT("transA", 1), OP_FLOAT("beta", 0.5F)}},
    {"Gemm", 11, .in = {OP_F32(3, 4), CONSTANT_F32(2, 4), CONSTANT_F32(1, 2)}, .want = {WANT_F32(3, 2)},
     .attrs = {OP_INT("transB", 1), OP_FLOAT("alpha", 0.5F)}, .frozen = 6},
    {"Gemm", 13, .in = {OP_F32(4, 3), OP_F32(2, 4), OP_F32(3, 2)}, .want = {WANT_F32(3, 2)},
     .attrs = {OP_INT("transA", 1), OP_INT("transB", 1), OP_FLOAT("alpha", -2), OP_FLOAT("beta", 3)}},
    {"Gemm", 13, .in = {OP_F32(3, 4), OP_F32(4, 2), {.dtype = DP_F32, .rank = 0}}, .want = {WANT_F32(3, 2)}},
    {"Gemm", 13, .in = {OP_F32(3, 4), OP_F32(4, 2)}, .want = {WANT_F32(3, 2)}},

    {"Gemm", 13, .in = {OP_F32(3, 4), OP_F32(3, 2)}, .status = DP_EFORMAT, .refused = "4 and 3 differ"},
    {"Gemm", 13, .in = {OP_F32(3, 4), OP_F32(4)}, .status = DP_EFORMAT, .refused = "rank 2 and 1"},
    {"Gemm", 13, .in = {OP_F32(3, 4), OP_F32(4, 2), OP_F32(3)}, .status = DP_EFORMAT, .refused = "broadcast"},
    {"Gemm", 13, .in = {OP_F32(3, 4), OP_F32(4, 2), OP_F32(2, 3, 2)}, .status = DP_EFORMAT, .refused = "C does not broadcast"},
    {0},
};

typedef enum side { RIGHT, LEFT, BOTH } side; /* where the weights are; BOTH: nowhere */

static const struct form {
    const char *name, *op;
    op_tensor in[2];
    side kind;
    int64_t samples;
    op_tensor c;
    bool transpose[2];
    float alpha, beta; /* Gemm */
} forms[] = {
    {"layer", "MatMul", {OP_F32(6, 7), OP_F32(7, 5)}, RIGHT, 6, .alpha = 1},
    {"tokens", "MatMul", {OP_F32(3, 4, 7), OP_F32(7, 5)}, RIGHT, 3, .alpha = 1},
    {"tokens, two axes", "MatMul", {OP_F32(2, 3, 4, 7), OP_F32(7, 5)}, RIGHT, 2, .alpha = 1},
    {"one output", "MatMul", {OP_F32(3, 4, 7), OP_F32(7)}, RIGHT, 3, .alpha = 1},
    {"a vector, weights right", "MatMul", {OP_F32(7), OP_F32(7, 5)}, RIGHT, 1, .alpha = 1},
    {"weights left", "MatMul", {OP_F32(5, 7), OP_F32(3, 7, 4)}, LEFT, 3, .alpha = 1},
    {"weights left, matrices of one sample", "MatMul", {OP_F32(5, 7), OP_F32(2, 3, 7, 4)}, LEFT, 2, .alpha = 1},
    {"a vector of weights left", "MatMul", {OP_F32(7), OP_F32(3, 7, 4)}, LEFT, 3, .alpha = 1},
    {"weights right with an axis of one", "MatMul", {OP_F32(3, 4, 7), OP_F32(1, 7, 5)}, RIGHT, 3, .alpha = 1},
    {"weights right with more axes than tokens", "MatMul", {OP_F32(3, 4, 7), OP_F32(1, 1, 7, 5)}, RIGHT, 3, .alpha = 1},
    {"weights left with axes of one", "MatMul", {OP_F32(1, 1, 5, 7), OP_F32(3, 2, 7, 4)}, LEFT, 3, .alpha = 1},
    {"one sample, weights left", "MatMul", {OP_F32(5, 7), OP_F32(7, 4)}, LEFT, 1, .alpha = 1},
    {"attention", "MatMul", {OP_F32(3, 2, 4, 7), OP_F32(3, 2, 7, 5)}, BOTH, 3, .alpha = 1},
    {"one head", "MatMul", {OP_F32(3, 4, 7), OP_F32(3, 7, 5)}, BOTH, 3, .alpha = 1},
    {"shared keys", "MatMul", {OP_F32(3, 2, 4, 7), OP_F32(3, 1, 7, 5)}, BOTH, 3, .alpha = 1},
    {"shared queries", "MatMul", {OP_F32(3, 1, 4, 7), OP_F32(3, 2, 7, 5)}, BOTH, 3, .alpha = 1},
    {"fewer axes right", "MatMul", {OP_F32(4, 2, 3, 7), OP_F32(2, 7, 5)}, BOTH, 4, .alpha = 1},
    {"Gemm", "Gemm", {OP_F32(6, 7), OP_F32(7, 5)}, RIGHT, 6, {0}, {0, 0}, 1, 1},
    {"Gemm, B transposed", "Gemm", {OP_F32(6, 7), OP_F32(5, 7)}, RIGHT, 6, OP_F32(5), {0, 1}, 1, 1},
    {"Gemm, alpha and beta", "Gemm", {OP_F32(6, 7), OP_F32(5, 7)}, RIGHT, 3, OP_F32(1, 5), {0, 1}, 0.5F, -2},
    {"Gemm, C a column", "Gemm", {OP_F32(6, 7), OP_F32(7, 5)}, RIGHT, 6, OP_F32(6, 1), {0, 0}, 2, 0.25F},
    {"Gemm, C whole", "Gemm", {OP_F32(6, 7), OP_F32(7, 5)}, RIGHT, 2, OP_F32(6, 5), {0, 0}, -1, 1},
    {"Gemm, C one number", "Gemm", {OP_F32(6, 7), OP_F32(7, 5)}, RIGHT, 6, OP_F32(1), {0, 0}, 1, 1},
    {"Gemm, C a scalar", "Gemm", {OP_F32(6, 7), OP_F32(7, 5)}, RIGHT, 6, {.dtype = DP_F32, .rank = 0}, {0, 0}, 1, 3},
    {"Gemm, A transposed", "Gemm", {OP_F32(7, 6), OP_F32(7, 5)}, RIGHT, 6, OP_F32(5), {1, 0}, 1, 1},
    {"Gemm, both transposed", "Gemm", {OP_F32(7, 6), OP_F32(5, 7)}, RIGHT, 6, OP_F32(5), {1, 1}, 2, 1},
    {"Gemm, weights left", "Gemm", {OP_F32(5, 7), OP_F32(7, 4)}, LEFT, 1, {0}, {0, 0}, 1, 1},
    {"Gemm, weights left, A transposed", "Gemm", {OP_F32(7, 5), OP_F32(7, 4)}, LEFT, 1, {0}, {1, 0}, 1, 1},
    {"Gemm, weights left, B transposed", "Gemm", {OP_F32(5, 7), OP_F32(4, 7)}, LEFT, 1, OP_F32(4), {0, 1}, 0.5F, 1},
    {"Gemm, weights left, both transposed", "Gemm", {OP_F32(7, 5), OP_F32(4, 7)}, LEFT, 1, {0}, {1, 1}, 1, 1},
    {"Gemm, no weights", "Gemm", {OP_F32(6, 7), OP_F32(5, 7)}, BOTH, 1, {0}, {0, 1}, 1, 1},
    {"Gemm, no weights, both transposed", "Gemm", {OP_F32(7, 6), OP_F32(5, 7)}, BOTH, 1, OP_F32(5), {1, 1}, 2, 1},
};
/* clang-format on */

enum { FORMS = sizeof forms / sizeof *forms };

typedef struct fixture {
    const struct form *from;
    int64_t rows, columns, depth, matrices; /* of the output */
    int64_t lead[DP_MAX_RANK];              /* leading dimensions of the output */
    int leads;
    site_rig s;
} fixture;

/* Operand k as rank >= 2: a vector is a row left and a column right. */
static op_tensor operand_shape(const fixture *f, int k) {
    op_tensor t = f->from->in[k];
    if (t.rank > 1) return t;
    t.dim[1] = k == 0 ? t.dim[0] : 1;
    if (k == 0) t.dim[0] = 1;
    t.rank = 2;
    return t;
}

static void take_shape(fixture *f) {
    op_tensor a = operand_shape(f, 0), b = operand_shape(f, 1);
    f->rows = a.dim[a.rank - 2 + f->from->transpose[0]];
    f->depth = a.dim[a.rank - 1 - f->from->transpose[0]];
    f->columns = b.dim[b.rank - 1 - f->from->transpose[1]];
    f->leads = (a.rank > b.rank ? a.rank : b.rank) - 2;
    f->matrices = 1;
    for (int i = 0; i < f->leads; i++) {
        int in_a = i - f->leads + a.rank - 2, in_b = i - f->leads + b.rank - 2;
        f->lead[i] = 1;
        if (in_a >= 0) f->lead[i] = a.dim[in_a];
        if (in_b >= 0 && b.dim[in_b] != 1) f->lead[i] = b.dim[in_b];
        f->matrices *= f->lead[i];
    }
}

/* The matrix of operand k that output matrix `index` is made of. */
static oracle_matrix operand(const fixture *f, int k, int64_t index) {
    op_tensor t = operand_shape(f, k);
    int64_t number = 0, stride = 1, size = t.dim[t.rank - 1] * t.dim[t.rank - 2];
    for (int i = f->leads - 1; i >= 0; i--) {
        int64_t at = index % f->lead[i];
        int own = i - f->leads + t.rank - 2;
        index /= f->lead[i];
        if (own < 0) continue;
        if (t.dim[own] != 1) number += at * stride;
        stride *= t.dim[own];
    }
    oracle_matrix m = {(const float *)f->s.run.in[k].data + number * size, t.dim[t.rank - 1], 1};
    return f->from->transpose[k] ? oracle_transposed(m) : m;
}

static void fixture_open(fixture *f, int number) {
    memset(f, 0, sizeof *f);
    const struct form *from = f->from = &forms[number];
    f->s.c = (op_case){.op = from->op, .opset = 13};
    for (int k = 0; k < 2; k++) f->s.c.in[k] = from->in[k];
    f->s.c.in[2] = from->c;
    if (from->kind != BOTH) {
        f->s.c.in[from->kind == RIGHT].constant = true;
        f->s.c.frozen = from->kind == RIGHT ? 2 : 1;
    }
    if (strcmp(from->op, "Gemm") == 0) {
        f->s.c.attrs[0] = (dp_attr)OP_INT("transA", from->transpose[0]);
        f->s.c.attrs[1] = (dp_attr)OP_INT("transB", from->transpose[1]);
        f->s.c.attrs[2] = (dp_attr)OP_FLOAT("alpha", from->alpha);
        f->s.c.attrs[3] = (dp_attr)OP_FLOAT("beta", from->beta);
    }
    take_shape(f);
    site_rig_open(&f->s, from->name, from->samples);
}

static void fixture_close(fixture *f) {
    site_rig_close(&f->s);
}

/* at = {matrix, row, column} of an output. */
static void locate(const fixture *f, int64_t number, int64_t at[3]) {
    at[2] = number % f->columns;
    at[1] = number / f->columns % f->rows;
    at[0] = number / f->columns / f->rows;
}

static oracle_sum product(const fixture *f, int64_t number) {
    int64_t at[3];
    locate(f, number, at);
    return oracle_product(operand(f, 0, at[0]), operand(f, 1, at[0]), f->depth, at + 1);
}

/* What C adds to an output, before beta. */
static double addend(const fixture *f, int64_t number) {
    const op_tensor *c = &f->from->c;
    const float *data = f->s.run.in[2].data;
    int64_t at[3];
    locate(f, number, at);
    if (c->dtype == DP_NONE) return 0;
    int64_t wide = c->rank > 0 ? c->dim[c->rank - 1] : 1, tall = c->rank > 1 ? c->dim[0] : 1;
    return (double)data[(tall > 1 ? at[1] : 0) * wide + (wide > 1 ? at[2] : 0)];
}

/* y = alpha (op(A) op(B) + what the port adds) + beta C */
static void check_outputs(fixture *f) {
    bool gemm = strcmp(f->from->op, "Gemm") == 0;
    double alpha = gemm ? (double)f->from->alpha : 1, beta = gemm ? (double)f->from->beta : 1;
    const float *y = f->s.run.out[0].data;
    ck_assert_msg(op_run_forward(&f->s.run), "%s: %s", f->from->name, f->s.run.why);
    ck_assert_int_eq(f->s.outputs, f->matrices * f->rows * f->columns);
    for (int64_t i = 0; i < f->s.outputs; i++) {
        double add = f->s.run.args.port ? (double)f->s.port.add : 0, c = addend(f, i);
        oracle_sum want = product(f, i);
        want.value = alpha * (want.value + add) + beta * c;
        want.size = fabs(alpha) * (want.size + add) + fabs(beta * c);
        ck_assert_msg(oracle_near((double)y[i], want), "%s: output %d is %g, not %g", f->from->name,
                      (int)i, (double)y[i], want.value);
    }
}

START_TEST(outputs_are_the_defining_sum_with_noise_before_what_is_digital) {
    fixture f;
    fixture_open(&f, _i);
    check_outputs(&f);
    f.s.port.add = 4;
    check_outputs(&f);
    f.s.run.args.port = NULL;
    check_outputs(&f);
    fixture_close(&f);
}
END_TEST

static void check_told(const fixture *f) {
    side kind = f->from->kind;
    for (int64_t i = 0; i < f->s.outputs; i++) {
        int64_t at[3];
        locate(f, i, at);
        oracle_matrix a = operand(f, 0, at[0]), b = oracle_transposed(operand(f, 1, at[0]));
        double left = oracle_row_norm(a, at[1], f->depth);
        double right = oracle_row_norm(b, at[2], f->depth);
        double norm = kind == RIGHT ? left : kind == LEFT ? right : left * right;
        if (kind != BOTH) ck_assert_int_eq(f->s.port.channel[i], at[kind == RIGHT ? 2 : 1]);
        site_rig_check_norm(&f->s, i, (oracle_sum){norm, norm + 1e-6});
    }
}

START_TEST(the_port_sees_every_output_once_with_the_norms_of_its_operands) {
    fixture f;
    fixture_open(&f, _i);
    site_rig_forward(&f.s);
    check_told(&f);
    for (int64_t i = 0; i < f.s.outputs; i++) site_rig_check_value(&f.s, i, product(&f, i));
    fixture_close(&f);
}
END_TEST

/* d/dW[d, channel] of the sample's outputs, what was shown being the gradient of the products. */
static oracle_sum weight(const fixture *f, int64_t sample, int64_t channel, int64_t d) {
    oracle_sum sum = {0, 0};
    int64_t share = f->s.outputs / f->from->samples;
    for (int64_t i = sample * share; i < (sample + 1) * share; i++) {
        int64_t at[3];
        locate(f, i, at);
        bool right = f->from->kind == RIGHT;
        if ((right ? at[2] : at[1]) != channel) continue;
        oracle_matrix x = operand(f, right ? 0 : 1, at[0]);
        float value =
            right ? x.at[at[1] * x.row + d * x.column] : x.at[d * x.row + at[2] * x.column];
        oracle_add(&sum, (double)f->s.port.value[i] * (double)value);
    }
    return sum;
}

static oracle_sum norm_of_weights(const void *self, int64_t sample, int64_t channel) {
    const fixture *f = self;
    oracle_sum norm = {0, 0};
    for (int64_t d = 0; d < f->depth; d++) oracle_add_square(&norm, weight(f, sample, channel, d));
    return norm;
}

START_TEST(the_port_sees_every_gradient_once_with_the_norm_of_its_weights) {
    fixture f;
    fixture_open(&f, _i);
    site_rig_forward(&f.s);
    site_rig_adjoint(&f.s);
    const float *gy = f.s.run.grad_out[0].data;
    float alpha = strcmp(f.from->op, "Gemm") == 0 ? f.from->alpha : 1;
    for (int64_t i = 0; i < f.s.outputs; i++) {
        double want = (double)(gy[i] * alpha);
        site_rig_check_value(&f.s, i, (oracle_sum){want, fabs(want)});
    }
    check_told(&f);
    if (f.from->kind != BOTH) site_rig_check_weights(&f.s, norm_of_weights, &f);
    fixture_close(&f);
}
END_TEST

START_TEST(the_site_counts_what_the_shapes_say) {
    fixture f;
    fixture_open(&f, _i);
    const dp_site *site = &f.s.site;
    side kind = f.from->kind;
    ck_assert_int_eq(site->channels, kind == RIGHT ? f.columns : kind == LEFT ? f.rows : 1);
    ck_assert_int_eq(site->groups, 1);
    ck_assert_int_eq(site->depth, f.depth);
    ck_assert_int_eq(site->macs, f.matrices * f.rows * f.columns * f.depth);
    ck_assert_int_eq(site->weight_in, kind == RIGHT ? 1 : kind == LEFT ? 0 : -1);
    ck_assert_int_eq(site->input_in, kind == LEFT ? 1 : 0);
    ck_assert_int_eq(site->bias_in, f.from->c.dtype == DP_NONE ? -1 : 2);
    bool columns = kind == RIGHT ? !f.from->transpose[1] : kind == LEFT && f.from->transpose[0];
    ck_assert(site->weight_groups == columns && site->weight_run == columns);
    fixture_close(&f);
}
END_TEST

START_TEST(products_hold_their_contract) {
    op_case_check(&op_cases_matmul[_i]);
}
END_TEST

START_TEST(rows_that_cannot_be_dealt_out_to_samples_are_refused) {
    fixture f;
    fixture_open(&f, 0);
    site_rig_check_refusal(&f.s, 4, "6 rows");
    fixture_close(&f);
}
END_TEST

Suite *test_ops_matmul_suite(void) {
    Suite *suite = suite_create("ops/matmul");
    TCase *tcase = tcase_create("cases");
    tcase_add_loop_test(tcase, products_hold_their_contract, 0, op_case_count(op_cases_matmul));
    tcase_add_loop_test(tcase, outputs_are_the_defining_sum_with_noise_before_what_is_digital, 0,
                        FORMS);
    tcase_add_loop_test(tcase, the_port_sees_every_output_once_with_the_norms_of_its_operands, 0,
                        FORMS);
    tcase_add_loop_test(tcase, the_port_sees_every_gradient_once_with_the_norm_of_its_weights, 0,
                        FORMS);
    tcase_add_loop_test(tcase, the_site_counts_what_the_shapes_say, 0, FORMS);
    tcase_add_test(tcase, rows_that_cannot_be_dealt_out_to_samples_are_refused);
    suite_add_tcase(suite, tcase);
    return suite;
}
