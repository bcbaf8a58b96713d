/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Einsum: values that NumPy gives (data/ops/einsum.py), and what the port is told of products with weights and of activations. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "oracle.h"
#include "site_rig.h"
#include "suites.h"

#define EQUATION(text) .attrs = {OP_STRING("equation", text)}

/* clang-format off */
const op_case op_cases_einsum[] = {
#include "data/ops/einsum.inc"
    {"Einsum", 12, .in = {OP_F32(2, 0), OP_F32(0, 3)}, EQUATION("ij,jk->ik"), .want = {{OP_DIM(2, 3), OP_FLOATS(0, 0, 0, 0, 0, 0)}}},
    {"Einsum", 12, .in = {OP_F32(0, 2), OP_F32(2, 3)}, EQUATION("ij,jk->ik"), .want = {{.dtype = DP_F32, OP_DIM(0, 3)}}},
    {"Einsum", 12, .in = {OP_F32(2, 3), OP_F32(3, 2), OP_F32(2)}, EQUATION("ij,jk,k->i"), .status = DP_EUNSUPPORTED,
     .refused = "3 operands: 1 and 2 are supported"},
    {"Einsum", 12, .in = {{OP_DIM(2), OP_INT64S(1, 2)}}, EQUATION("i->i"), .status = DP_EUNSUPPORTED, .refused = "int64 input"},
    {"Einsum", 12, .in = {OP_F32(2, 3), OP_F32(3, 2)}, EQUATION("ij->i"), .status = DP_EFORMAT, .refused = "fewer terms than inputs"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ij,jk->ik"), .status = DP_EFORMAT, .refused = "more terms than inputs"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ijk->i"), .status = DP_EFORMAT, .refused = "3 letters for input 0 of rank 2"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("i->i"), .status = DP_EFORMAT, .refused = "1 letters for input 0 of rank 2"},
    {"Einsum", 12, .in = {OP_F32(2, 3), OP_F32(4, 2)}, EQUATION("ij,jk->ik"), .status = DP_EFORMAT,
     .refused = "input 1 has 4 entries along axis 0, not 3"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ii->i"), .status = DP_EFORMAT, .refused = "3 entries along axis 1, not 2"},
    {"Einsum", 12, .in = {OP_F32(2, 1)}, EQUATION("ii->i"), .status = DP_EFORMAT, .refused = "1 entries along axis 1, not 2"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ij->ik"), .status = DP_EFORMAT, .refused = "an output letter that no input has"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ij->ii"), .status = DP_EFORMAT, .refused = "an output letter is there twice"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("...j->j"), .status = DP_EFORMAT, .refused = "lacks the ellipsis"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("...j...->j"), .status = DP_EFORMAT, .refused = "two ellipses"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ij->i->j"), .status = DP_EFORMAT, .refused = "more than one output"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("ij-i"), .status = DP_EFORMAT, .refused = "'-' without '>'"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("i2->i"), .status = DP_EFORMAT, .refused = "letters, '...', ',' and '->' are allowed"},
    {"Einsum", 12, .in = {OP_F32(2, 3)}, EQUATION("abcdefghi->a"), .status = DP_EFORMAT, .refused = "more than 8 letters"},
    {"Einsum", 12, .in = {OP_F32(1, 1, 1, 1, 2), OP_F32(1, 1, 1, 1, 1)}, EQUATION("abcde,fghij"), .status = DP_EFORMAT,
     .refused = "more than 8 axes"},
    {0},
};

/* Products with weights: which operand they are, and what the site should say. */
static const struct product {
    const char *equation;
    int rank[2];
    int64_t dim[2][4];
    int weights;
    int64_t channels, groups, depth;
} products[] = {
    {"bij,jk->bik", {3, 2}, {{4, 2, 3}, {3, 5}}, 1, 5, 1, 3},
    {"bij,kj->bik", {3, 2}, {{4, 2, 3}, {5, 3}}, 1, 5, 1, 3},
    {"jk,bij->bki", {2, 3}, {{3, 5}, {4, 2, 3}}, 0, 5, 1, 3},
    {"btd,dhk->bthk", {3, 3}, {{2, 3, 4}, {4, 2, 3}}, 1, 6, 1, 4},
    {"btd,hdk->bthk", {3, 3}, {{2, 3, 4}, {2, 4, 3}}, 1, 6, 1, 4},
    {"btd,hkd->bhtk", {3, 3}, {{2, 3, 4}, {2, 3, 4}}, 1, 6, 1, 4},
    {"bthk,hkd->btd", {4, 3}, {{2, 3, 2, 3}, {2, 3, 4}}, 1, 4, 1, 6},
    {"bthk,hdk->btd", {4, 3}, {{2, 3, 2, 3}, {2, 4, 3}}, 1, 4, 1, 6},
    {"bhd,hde->bhe", {3, 3}, {{4, 2, 3}, {2, 3, 5}}, 1, 10, 2, 3},
    {"bhd,dhe->beh", {3, 3}, {{4, 2, 3}, {3, 2, 5}}, 1, 10, 2, 3},
    {"bii,ik->bk", {3, 2}, {{2, 3, 3}, {3, 4}}, 1, 4, 1, 3},
    {"bij,ki->bk", {3, 2}, {{2, 3, 2}, {4, 3}}, 1, 4, 1, 3},
    {"...i,ik->...k", {3, 2}, {{2, 3, 4}, {4, 2}}, 1, 2, 1, 4},
};

/* Products of activations [b, h, rows, columns] over d, with the strides of b, h, row (or column) and d in each operand. */
static const struct attention {
    const char *equation;
    int64_t dim[2][4], size[4], depth; /* size: b, h, rows, columns */
    int64_t stride[2][4];
} attentions[] = {
    {"bhqd,bhkd->bhqk", {{2, 3, 4, 5}, {2, 3, 2, 5}}, {2, 3, 4, 2}, 5, {{60, 20, 5, 1}, {30, 10, 5, 1}}},
    {"bqhd,bkhd->bhqk", {{2, 4, 3, 5}, {2, 2, 3, 5}}, {2, 3, 4, 2}, 5, {{60, 5, 15, 1}, {30, 5, 15, 1}}},
    {"bhqk,bkhd->bqhd", {{2, 3, 4, 2}, {2, 2, 3, 5}}, {2, 3, 4, 5}, 2, {{24, 8, 2, 1}, {30, 5, 1, 15}}},
    {"bhqk,bdkh->bhdq", {{2, 3, 4, 2}, {2, 5, 2, 3}}, {2, 3, 4, 5}, 2, {{24, 8, 2, 1}, {30, 1, 6, 3}}},
};
/* clang-format on */

enum {
    PRODUCTS = sizeof products / sizeof *products,
    ATTENTIONS = sizeof attentions / sizeof *attentions,
    SAMPLES = 2
};

/* A case of two operands, one of them constant where it is said. */
static op_case two_operands(const struct product *p) {
    op_case c = {.op = "Einsum", .opset = 12, EQUATION(p->equation)};
    for (int k = 0; k < 2; k++) {
        c.in[k] = (op_tensor){.dtype = DP_F32, .rank = p->rank[k], .constant = p->weights == k};
        memcpy(c.in[k].dim, p->dim[k], sizeof p->dim[k]);
    }
    if (p->weights >= 0) c.frozen = 1U << p->weights;
    return c;
}

static void open_product(site_rig *r, int number) {
    memset(r, 0, sizeof *r);
    r->c = two_operands(&products[number]);
    site_rig_open(r, products[number].equation, SAMPLES);
}

/* All weights zero but one. */
static void set_unit_weight(site_rig *r, int64_t channel, int64_t d) {
    dp_tensor *w = &r->run.in[r->site.weight_in];
    memset(w->data, 0, dp_tensor_bytes(w));
    ((float *)w->data)[dp_site_weight(&r->site, channel, d)] = 1;
}

/*
 * With one weight of channel c at 1 and the others at 0, outputs of that channel are an entry of their operand, and all others
 * are 0: that finds the operand of every output, and so its norm and the gradient of every weight.
 */
START_TEST(weights_rows_norms_and_gradients_are_what_unit_weights_find) {
    site_rig r;
    open_product(&r, _i);
    int64_t share = r.outputs / SAMPLES;
    double *norm2 = dp_alloc((size_t)r.outputs, sizeof *norm2);
    double gradient2[SAMPLES][16] = {{0}};
    site_rig_forward(&r);
    float *told = dp_alloc((size_t)r.outputs, sizeof *told);
    float *gradient = dp_alloc((size_t)r.outputs, sizeof *gradient);
    memcpy(told, r.port.norm2, (size_t)r.outputs * sizeof *told);
    site_rig_adjoint(&r);
    memcpy(gradient, r.port.value, (size_t)r.outputs * sizeof *gradient);
    double *weight_grad2 = dp_alloc((size_t)(SAMPLES * r.site.channels), sizeof *weight_grad2);
    for (int64_t i = 0; i < SAMPLES * r.site.channels; i++) {
        ck_assert_int_eq(r.port.weight_told[i], 1);
        weight_grad2[i] = r.port.weight_grad2[i];
    }
    for (int64_t channel = 0; channel < r.site.channels; channel++)
        for (int64_t d = 0; d < r.site.depth; d++) {
            double slope[SAMPLES] = {0};
            set_unit_weight(&r, channel, d);
            site_rig_forward(&r);
            for (int64_t i = 0; i < r.outputs; i++) {
                double y = (double)r.port.value[i];
                ck_assert(r.port.channel[i] == channel || y == 0);
                norm2[i] += y * y;
                slope[i / share] += y * (double)gradient[i];
            }
            for (int s = 0; s < SAMPLES; s++) gradient2[s][channel] += slope[s] * slope[s];
        }
    /* sums of a dozen float32 products */
    for (int64_t i = 0; i < r.outputs; i++)
        ck_assert(fabs((double)told[i] - norm2[i]) <= 1e-5 * norm2[i]);
    for (int s = 0; s < SAMPLES; s++)
        for (int64_t c = 0; c < r.site.channels; c++)
            ck_assert(fabs(weight_grad2[s * r.site.channels + c] - gradient2[s][c]) <=
                      1e-5 * (gradient2[s][c] + 1e-3));
    dp_free(norm2);
    dp_free(told);
    dp_free(gradient);
    dp_free(weight_grad2);
    site_rig_close(&r);
}
END_TEST

START_TEST(the_site_says_what_the_equation_says) {
    const struct product *p = &products[_i];
    site_rig r;
    open_product(&r, _i);
    const dp_site *site = &r.site;
    ck_assert_int_eq(site->channels, p->channels);
    ck_assert_int_eq(site->groups, p->groups);
    ck_assert_int_eq(site->depth, p->depth);
    ck_assert_int_eq(site->macs, r.outputs * p->depth);
    ck_assert_int_eq(site->norms, r.outputs / (p->channels / p->groups));
    ck_assert(site->weight_in == p->weights && site->input_in == 1 - p->weights);
    for (int64_t c = 0; c < site->channels; c++)
        for (int64_t d = 0; d < site->depth; d++)
            ck_assert_int_eq(dp_site_weight_channel(site, dp_site_weight(site, c, d)), c);
    site_rig_close(&r);
}
END_TEST

START_TEST(what_the_port_adds_stays) {
    site_rig r;
    open_product(&r, _i);
    float *clean = dp_alloc((size_t)r.outputs, sizeof *clean), *y = r.run.out[0].data;
    site_rig_forward(&r);
    memcpy(clean, y, (size_t)r.outputs * sizeof *clean);
    r.port.add = 16;
    site_rig_forward(&r);
    for (int64_t i = 0; i < r.outputs; i++) ck_assert(y[i] == clean[i] + 16);
    dp_free(clean);
    site_rig_close(&r);
}
END_TEST

static double squared(const float *x, int64_t stride, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)x[i * stride] * (double)x[i * stride];
    return sum;
}

static void check_activations(site_rig *r, const struct attention *t) {
    const int64_t *n = t->size;
    for (int64_t i = 0; i < r->outputs; i++) {
        int64_t at[4] = {i / (n[1] * n[2] * n[3]), i / (n[2] * n[3]) % n[1], i / n[3] % n[2],
                         i % n[3]};
        const float *x[2];
        double sum = 0, norm2 = 1;
        for (int k = 0; k < 2; k++) {
            const int64_t *s = t->stride[k];
            x[k] =
                (const float *)r->run.in[k].data + at[0] * s[0] + at[1] * s[1] + at[2 + k] * s[2];
            norm2 *= squared(x[k], s[3], t->depth);
        }
        for (int64_t d = 0; d < t->depth; d++)
            sum += (double)x[0][d * t->stride[0][3]] * (double)x[1][d * t->stride[1][3]];
        ck_assert_int_eq(r->port.channel[i] < n[3], 1);
        ck_assert(fabs((double)r->port.value[i] - sum) <= 1e-5);
        ck_assert(fabs((double)r->port.norm2[i] - norm2) <= 1e-5 * norm2);
    }
}

START_TEST(the_port_sees_products_of_activations_with_both_norms) {
    const struct attention *t = &attentions[_i];
    site_rig r = {.c = {.op = "Einsum", .opset = 12, EQUATION(t->equation)}};
    for (int k = 0; k < 2; k++) {
        r.c.in[k] = (op_tensor){.dtype = DP_F32, .rank = 4};
        memcpy(r.c.in[k].dim, t->dim[k], sizeof t->dim[k]);
    }
    site_rig_open(&r, t->equation, SAMPLES);
    ck_assert(r.site.weight_in < 0 && r.site.channels == 1 && r.site.depth == t->depth);
    ck_assert_int_eq(r.site.macs, r.outputs * t->depth);
    site_rig_forward(&r);
    check_activations(&r, t);
    site_rig_close(&r);
}
END_TEST

/* Nothing contracted, weights that are no rows, a diagonal of the weights, weights that are summed first. */
static const struct product digital[] = {
    {"bi,bi->bi", {2, 2}, {{2, 3}, {2, 3}}, -1, 0, 0, 0},
    {"bi,j->bij", {2, 1}, {{2, 3}, {4}}, 1, 0, 0, 0},
    {"bhd,ehd->bhe", {3, 3}, {{2, 3, 4}, {5, 3, 4}}, 1, 0, 0, 0},
    {"bik,icke->bce", {3, 4}, {{2, 3, 4}, {3, 2, 4, 5}}, 1, 0, 0, 0},
    {"bi,iik->bk", {2, 3}, {{2, 3}, {3, 3, 4}}, 1, 0, 0, 0},
    {"bi,ijk->bk", {2, 3}, {{2, 3}, {3, 2, 4}}, 1, 0, 0, 0},
};

START_TEST(what_is_no_product_with_rows_of_weights_is_digital) {
    dp_site_port port = {.samples = SAMPLES};
    op_case c = two_operands(&digital[_i]);
    c.port = &port;
    op_run run;
    dp_site site = {0};
    ck_dp_ok(op_run_open(&run, &c, &err));
    ck_dp_ok(run.row->site(&run.args, 0, &site, &err));
    ck_assert_int_eq(site.channels, 0);
    op_run_close(&run);
}
END_TEST

/* Samples behind another axis, along an axis that is contracted, and more of them than entries. */
static const struct product unfit[] = {
    {"tbd,dk->tbk", {3, 2}, {{3, 2, 4}, {4, 5}}, 1, 0, 0, 0},
    {"bi,ij->j", {2, 2}, {{2, 3}, {3, 4}}, 1, 0, 0, 0},
    {"bqd,kd->bqk", {3, 2}, {{2, 3, 4}, {5, 4}}, -1, 0, 0, 0},
};

START_TEST(samples_that_are_not_the_first_axis_are_refused) {
    dp_site_port port = {.samples = SAMPLES};
    op_case c = two_operands(&unfit[_i]);
    c.port = &port;
    op_run run;
    dp_site site = {0};
    ck_dp_ok(op_run_open(&run, &c, &err));
    ck_dp_fails(run.row->site(&run.args, 0, &site, &err), DP_EUNSUPPORTED,
                "cannot be dealt out to 2 samples");
    op_run_close(&run);
}
END_TEST

START_TEST(equations_hold_their_contract) {
    op_case_check(&op_cases_einsum[_i]);
}
END_TEST

Suite *test_ops_einsum_suite(void) {
    Suite *suite = suite_create("ops/einsum");
    TCase *tcase = tcase_create("cases");
    tcase_add_loop_test(tcase, equations_hold_their_contract, 0, op_case_count(op_cases_einsum));
    tcase_add_loop_test(tcase, weights_rows_norms_and_gradients_are_what_unit_weights_find, 0,
                        PRODUCTS);
    tcase_add_loop_test(tcase, the_site_says_what_the_equation_says, 0, PRODUCTS);
    tcase_add_loop_test(tcase, what_the_port_adds_stays, 0, PRODUCTS);
    tcase_add_loop_test(tcase, the_port_sees_products_of_activations_with_both_norms, 0,
                        ATTENTIONS);
    tcase_add_loop_test(tcase, what_is_no_product_with_rows_of_weights_is_digital, 0,
                        sizeof digital / sizeof *digital);
    tcase_add_loop_test(tcase, samples_that_are_not_the_first_axis_are_refused, 0,
                        sizeof unfit / sizeof *unfit);
    suite_add_tcase(suite, tcase);
    return suite;
}
