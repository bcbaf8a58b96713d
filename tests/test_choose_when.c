/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where something is done to operands before anything is learned, and where not: what the hardware takes, what other samples confirm, what
 * digital operations cost, keys of attention.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "dynaprec/npz.h"
#include "scratch.h"
#include "stage.h"
#include "suites.h"

/* ---- when ---- */

START_TEST(nothing_is_done_where_nothing_is_gained) {
    stage s;
    stage_open(&s, 20);
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    net_output(&s.n, net_linear(&s.n, x, 400, INPUTS));
    stage_run(&s);
    ck_assert_int_eq(s.condition.choice.list.count, 0);
    ck_assert_ptr_null(s.condition.graph);
    stage_close(&s);
}
END_TEST

START_TEST(inputs_that_may_not_be_negative_are_not_centred) {
    static const float means[INPUTS] = {9, 9, 9, 9, 9, 9, 9, 9};
    for (int may = 0; may < 2; may++) {
        stage s;
        stage_open(&s, 21);
        s.hardware.signed_inputs = may;
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        net_output(&s.n,
                   net_linear(&s.n, stage_affine(&s.n, x, 2, 1, stage_ones, means), 40, INPUTS));
        stage_run(&s);
        ck_assert_int_eq(s.condition.choice.list.count, may);
        ck_assert_int_eq(s.condition.choice.unsigned_sites, !may);
        stage_close(&s);
    }
}
END_TEST

/* The same, but for one channel that is negative as it is: the core has to take it anyway. */
START_TEST(inputs_that_are_negative_already_may_be_centred_on_any_hardware) {
    static const float means[INPUTS] = {9, 9, 9, -9, 9, 9, 9, 9};
    stage s;
    double noise = 0;
    stage_open(&s, 21);
    s.hardware.signed_inputs = false;
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, stage_affine(&s.n, x, 2, 1, stage_ones, means), 40, INPUTS);
    net_output(&s.n, y);
    stage_run(&s);
    const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), &noise);
    ck_assert(done && done->mu && noise < 0.5);
    ck_assert_int_eq(s.condition.choice.unsigned_sites, 0);
    stage_close(&s);
}
END_TEST

/* Keys of attention, all of one sign. Only the right operand counts. */
START_TEST(keys_are_centred_where_signs_are_taken) {
    static const float high[INPUTS] = {9, 9, 9, 9, 9, 9, 9, 9};
    for (int how = 0; how < 3; how++) { /* no signs; the hardware's; the keys' own */
        stage s;
        stage_open(&s, 23);
        s.hardware.signed_inputs = how == 1;
        int x = net_input(&s.n, "x", DP_F32, 3, NET_DIM(-1, 5, INPUTS));
        int keys = stage_affine(&s.n, x, 3, 2, stage_ones, high);
        if (how == 2) keys = net_op(&s.n, "Neg", NET_IN(keys), NULL);
        keys = net_op(&s.n, "Transpose", NET_IN(keys), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
        int product = net_op(&s.n, "MatMul", NET_IN(x, keys), NULL);
        net_output(&s.n,
                   net_op(&s.n, "Softmax", NET_IN(product), (dp_attr[]){OP_INT("axis", -1), {0}}));
        stage_run(&s);
        const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, product), NULL);
        ck_assert_msg(how == 0 ? !done : done && done->positions, "%d", how);
        ck_assert_int_eq(s.condition.choice.unsigned_sites, how == 0);
        stage_close(&s);
    }
}
END_TEST

/* Even and odd samples have the first channels' means and sizes exchanged: what one half teaches is wrong for the other. */
START_TEST(what_does_not_hold_on_other_samples_is_not_done) {
    stage s;
    stage_open(&s, 22);
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, x, 40, INPUTS);
    net_output(&s.n, y);
    float values[SAMPLES][INPUTS];
    uint64_t state = 77;
    for (int i = 0; i < SAMPLES; i++)
        for (int j = 0; j < INPUTS; j++) {
            double size = (i + j) % 2 ? 3 : 0.1, sign = (i + j / 2) % 2 ? 2 : -2;
            values[i][j] = (float)(size * (sign + net_normal(&state)));
        }
    dp_tensor t = {.data = values, .borrowed = true};
    dp_tensor_reshape(&t, DP_F32, 2, NET_DIM(SAMPLES, INPUTS));
    static char name[] = "x";
    dp_array array = {name, t};
    dp_input_spec spec;
    dp_engine_inputs(s.n.graph, &spec);
    ck_dp_ok(dp_npz_write(scratch("x.npz"), &array, 1, &err));
    ck_dp_ok(dp_dataset_open(&s.data, scratch("x.npz"), &spec, 1, NULL, &err));
    stage_run(&s);
    ck_assert_int_eq(s.condition.choice.list.count, 0);
    stage_close(&s);
}
END_TEST

/* A channel that is silent on the learn set: its alpha would be infinite. */
START_TEST(silent_channels_get_bounded_alphas) {
    static const float a[INPUTS] = {0, 3, 1, 1, 0.3F, 2, 1, 0.5F};
    for (int centre = 0; centre < 2; centre++) {
        stage s;
        stage_open(&s, 23);
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        int y = net_linear(&s.n, stage_affine(&s.n, x, 2, 1, a, stage_zeros), 40, INPUTS);
        net_output(&s.n, y);
        s.options.condition = centre ? DP_CONDITION_BOTH : DP_CONDITION_BALANCE;
        stage_run(&s);
        const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), NULL);
        ck_assert(done && done->alpha);
        float least = INFINITY, most = 0;
        for (int j = 0; j < INPUTS; j++) {
            least = fminf(least, done->alpha[j]);
            most = fmaxf(most, done->alpha[j]);
        }
        ck_assert(least >= 0.25F && most <= 4);
        ck_assert_float_eq(most, done->alpha[0]); /* it is still the largest one */
        stage_close(&s);
    }
}
END_TEST

/* ---- what it costs ---- */

START_TEST(digital_operations_are_counted_and_have_to_pay) {
    static const float means[INPUTS] = {2, 2, 2, 2, 2, 2, 2, 2};
    const double macs = 40 * INPUTS;
    /* 1 aJ a MAC; four fifths of it are the most that may be lost for 8 subtractions */
    const double operation[] = {0, 0.1, 0.79 * macs / INPUTS, 0.81 * macs / INPUTS};
    for (int i = 0; i < 4; i++) {
        stage s;
        stage_open(&s, 24);
        s.options.condition = DP_CONDITION_CENTRE;
        s.hardware.digital_op_j = operation[i] * 1e-18;
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        net_output(&s.n,
                   net_linear(&s.n, stage_affine(&s.n, x, 2, 1, stage_ones, means), 40, INPUTS));
        stage_run(&s);
        ck_assert_int_eq(s.condition.choice.list.count, i < 3);
        const dp_site_info *site = dp_engine_site(s.search.engine, 0);
        double fixed = i < 3 ? operation[i] * INPUTS * 1e-18 : 0;
        ck_assert_double_le(fabs(site->fixed_j - fixed), 1e-12 * fixed);
        ck_assert_double_eq_tol(site->per_repetition_j, macs * 1e-18, 1e-30);
        stage_close(&s);
    }
}
END_TEST

/* ---- products of attention ---- */

static int turned(net *n, int x) {
    return net_op(n, "Transpose", NET_IN(x), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
}

/* Queries and keys of one input, values of it too; `shift` is what all keys of a sample have in common. */
static int attention(net *n, float shift) {
    enum { STEPS = 12, WIDTH = 6 };
    int x = net_input(n, "x", DP_F32, 3, NET_DIM(-1, STEPS, INPUTS));
    int q = net_matmul(n, x, WIDTH, INPUTS), k = net_matmul(n, x, WIDTH, INPUTS);
    int common = net_weights(n, 1, NET_DIM(WIDTH), shift);
    k = net_op(n, "Add", NET_IN(k, common), NULL);
    int scores = net_op(n, "MatMul", NET_IN(q, turned(n, k)), NULL);
    int p = net_op(n, "Softmax", NET_IN(scores), (dp_attr[]){OP_INT("axis", -1), {0}});
    net_output(n,
               net_linear(n, net_reshape(n, p, 2, NET_DIM(-1, STEPS * STEPS)), 4, STEPS * STEPS));
    return scores;
}

START_TEST(keys_are_centred_where_they_have_something_in_common) {
    for (int common = 0; common < 2; common++) {
        stage s;
        double noise = 1;
        stage_open(&s, 25);
        int scores = attention(&s.n, common ? 3 : 1e-6F);
        s.options.condition = DP_CONDITION_CENTRE;
        stage_run(&s);
        const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, scores), &noise);
        /* twelve keys that are independent keep 11 of 12 parts of their norm */
        ck_assert(done && done->positions);
        if (common)
            ck_assert_double_lt(noise, 0.5);
        else
            ck_assert_double_eq_tol(noise, 11.0 / 12, 0.02);
        stage_close(&s);
        stage_open(&s, 25);
        scores = attention(&s.n, 3);
        s.options.condition = DP_CONDITION_BALANCE;
        stage_run(&s);
        ck_assert_ptr_null(stage_done(&s, net_node_name(&s.n, scores), NULL));
        stage_close(&s);
    }
}
END_TEST

/* With digital operations that cost more than the product does, the keys stay as they are, and the rest is done all the same. */
START_TEST(keys_stay_as_they_are_where_centring_does_not_pay) {
    static const double digital[] = {0, 1e-12};
    for (int i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, 25);
        int scores = attention(&s.n, 3);
        s.options.condition = DP_CONDITION_CENTRE;
        s.hardware.digital_op_j = digital[i];
        stage_run(&s);
        const char *site = net_node_name(&s.n, scores);
        ck_assert_int_eq(stage_done(&s, site, NULL) != NULL, i == 0);
        for (int k = 0; k < dp_engine_site_count(s.search.engine); k++)
            if (i == 1 && strcmp(dp_engine_site(s.search.engine, k)->name, site) == 0)
                ck_assert_double_eq(dp_engine_site(s.search.engine, k)->fixed_j, 0);
        stage_close(&s);
    }
}
END_TEST

/* ---- and always the same ---- */

START_TEST(the_same_is_done_at_any_number_of_threads) {
    static const float means[INPUTS] = {2, 1, 0, 1, -2, 0.5F, 0, 0},
                       a[INPUTS] = {1, 3, 1, 0.5F, 1, 2, 1, 1};
    float first[2][INPUTS];
    for (int threads = 1; threads <= 3; threads++) {
        stage s;
        stage_open(&s, 26);
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        int y = net_linear(&s.n, stage_affine(&s.n, x, 2, 1, a, means), 40, INPUTS);
        net_output(&s.n, y);
        s.options.threads = threads;
        stage_run(&s);
        const dp_conditioned_site *done = stage_done(&s, net_node_name(&s.n, y), NULL);
        ck_assert(done && done->mu && done->alpha);
        if (threads == 1) {
            memcpy(first[0], done->mu, sizeof first[0]);
            memcpy(first[1], done->alpha, sizeof first[1]);
        }
        ck_assert_mem_eq(first[0], done->mu, sizeof first[0]);
        ck_assert_mem_eq(first[1], done->alpha, sizeof first[1]);
        stage_close(&s);
    }
}
END_TEST

Suite *test_choose_when_suite(void);
Suite *test_choose_when_suite(void) {
    Suite *suite = suite_create("choose when");
    TCase *tests = tcase_create("what is done to operands");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, nothing_is_done_where_nothing_is_gained);
    tcase_add_test(tests, inputs_that_may_not_be_negative_are_not_centred);
    tcase_add_test(tests, inputs_that_are_negative_already_may_be_centred_on_any_hardware);
    tcase_add_test(tests, keys_are_centred_where_signs_are_taken);
    tcase_add_test(tests, what_does_not_hold_on_other_samples_is_not_done);
    tcase_add_test(tests, silent_channels_get_bounded_alphas);
    tcase_add_test(tests, digital_operations_are_counted_and_have_to_pay);
    tcase_add_test(tests, keys_are_centred_where_they_have_something_in_common);
    tcase_add_test(tests, keys_stay_as_they_are_where_centring_does_not_pay);
    tcase_add_test(tests, the_same_is_done_at_any_number_of_threads);
    suite_add_tcase(suite, tests);
    return suite;
}
