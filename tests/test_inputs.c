/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Statistics of input channels that the survey takes, against sums over the operands themselves: a clean run gives these, sample by
 * sample, as the network's output.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/state.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { SAMPLES = 37 };

typedef struct plant {
    const char *name;
    int rank;
    int64_t dim[4]; /* of the operand, a sample first */
    int axis;       /* of its channels */
    int turned;     /* the site reads it with the first two axes exchanged */
} plant;

/* The operand is a function of the input that keeps its shape, so that it is the output of a network without the site. */
static int operand(net *n, const plant *p) {
    int x = net_input(n, "x", DP_F32, p->rank, p->dim);
    return net_op(n, "LeakyRelu", NET_IN(x), (dp_attr[]){OP_FLOAT("alpha", 0.25F), {0}});
}

static int site(net *n, const plant *p, int x) {
    int64_t inputs = p->dim[p->axis];
    if (p->turned) {
        int w = net_weights(n, 3, NET_DIM(1, 8, inputs), 1),
            r = net_weights(n, 3, NET_DIM(1, 8, 2), 1);
        x = net_op(n, "Transpose", NET_IN(x), (dp_attr[]){OP_INTS("perm", 1, 0, 2), {0}});
        return net_op_outputs(n, "LSTM", NET_IN(x, w, r), NULL, 3) + 1;
    }
    if (p->rank == 4)
        return net_conv(n, x, NET_DIM(6, inputs / 3, 3, 3),
                        (dp_attr[]){OP_INT("group", 3), OP_INTS("strides", 2, 1), {0}});
    if (p->axis == 1 && p->rank == 3)
        return net_op(n, "MatMul", NET_IN(net_weights(n, 2, NET_DIM(4, inputs), 1), x), NULL);
    return p->rank == 2 ? net_linear(n, x, 4, inputs) : net_matmul(n, x, 4, inputs);
}

static const plant plants[] = {
    {"Conv, groups, strides", 4, {-1, 6, 5, 7}, 1, 0},
    {"Gemm", 2, {-1, 9}, 1, 0},
    {"MatMul, weights right", 3, {-1, 4, 5}, 2, 0},
    {"MatMul, weights left", 3, {-1, 5, 4}, 1, 0},
    {"LSTM, steps first", 3, {-1, 3, 5}, 2, 1},
};
enum { PLANTS = sizeof plants / sizeof *plants };

static void open_plant(rig *r, const plant *p) {
    memset(r, 0, sizeof *r);
    net_open(&r->n, 5);
    int x = operand(&r->n, p);
    x = site(&r->n, p, x);
    if (p->turned) x = net_reshape(&r->n, x, 2, NET_DIM(-1, 2));
    net_output(&r->n, x);
    r->hardware = net_hardware((const char *const[]){"shot", NULL}, (double[]){1});
    r->data = net_dataset(&r->n, &(net_data){.samples = SAMPLES, .spread = 2, .seed = 3});
}

/* x [SAMPLES, outer, channels, inner], for dp_free: what the operand is, by NumPy's definition of LeakyRelu. */
static float *values_of(const rig *r, int64_t count) {
    float *x = dp_alloc((size_t)count, sizeof *x);
    dp_dataset_fill(r->data, 0, 0, SAMPLES, x);
    for (int64_t i = 0; i < count; i++) x[i] = x[i] < 0 ? 0.25F * x[i] : x[i];
    return x;
}

static void check_moments(const plant *p, const float *x, const dp_input_moments *found) {
    int64_t outer = 1, inner = 1, channels = p->dim[p->axis];
    for (int i = 1; i < p->axis; i++) outer *= p->dim[i];
    for (int i = p->axis + 1; i < p->rank; i++) inner *= p->dim[i];
    for (int half = 0; half < 2; half++)
        for (int64_t c = 0; c < channels; c++) {
            double sum = 0, square = 0, low = INFINITY, high = -INFINITY, count = 0;
            for (int64_t s = half; s < SAMPLES; s += 2)
                for (int64_t o = 0; o < outer; o++)
                    for (int64_t i = 0; i < inner; i++) {
                        double v = (double)x[((s * outer + o) * channels + c) * inner + i];
                        count++;
                        sum += v;
                        square += v * v;
                        low = fmin(low, v);
                        high = fmax(high, v);
                    }
            const dp_input_moments *is = &found[half * channels + c];
            ck_assert_double_eq(is->values, count);
            ck_assert_double_eq_tol(is->mean, sum / count, 1e-6 * sqrt(square / count));
            ck_assert_double_eq_tol(is->square, square / count, 1e-6 * square / count);
            ck_assert_double_eq(is->low, low);
            ck_assert_double_eq(is->high, high);
        }
}

static void survey(rig *r, const dp_conditionables *list, int threads, int64_t batch) {
    dp_engine_options options = {
        .seed = 1, .threads = threads, .batch = batch, .example = r->data, .inputs = list};
    ck_dp_ok(dp_engine_create(&r->engine, r->n.graph, &r->hardware, &options, &err));
    ck_dp_ok(dp_engine_survey(r->engine, r->data, &err));
}

START_TEST(are_means_squares_and_extremes_of_each_half) {
    const plant *p = &plants[_i];
    dp_conditionables list;
    rig r;
    int64_t inputs, count = SAMPLES;
    for (int i = 1; i < p->rank; i++) count *= p->dim[i];
    open_plant(&r, p);
    ck_dp_ok(dp_graph_conditionable(&list, r.n.graph, &err));
    survey(&r, &list, 1, 8);
    float *x = values_of(&r, count);
    const dp_input_moments *found = dp_engine_input_moments(r.engine, 0, &inputs);
    ck_assert_msg(inputs == p->dim[p->axis], "%s: %d inputs", p->name, (int)inputs);
    check_moments(p, x, found);
    dp_free(x);
    dp_conditionables_clear(&list);
    rig_close(&r);
}
END_TEST

START_TEST(are_the_same_bytes_at_any_number_of_threads) {
    const plant *p = &plants[_i];
    dp_conditionables list;
    dp_input_moments first[2][16];
    for (int threads = 1; threads <= 3; threads++) {
        rig r;
        int64_t inputs;
        open_plant(&r, p);
        ck_dp_ok(dp_graph_conditionable(&list, r.n.graph, &err));
        survey(&r, &list, threads, 4);
        const dp_input_moments *found = dp_engine_input_moments(r.engine, 0, &inputs);
        size_t bytes = 2 * (size_t)inputs * sizeof *found;
        ck_assert_uint_le(bytes, sizeof first);
        if (threads == 1)
            memcpy(first, found, bytes);
        else
            ck_assert_mem_eq(first, found, bytes);
        dp_conditionables_clear(&list);
        rig_close(&r);
    }
}
END_TEST

/* Two layers read one value, a third another one; products of two activations have no channels. */
START_TEST(are_shared_by_sites_that_read_the_same_value) {
    rig r = {0};
    dp_conditionables list;
    int64_t inputs[4];
    net_open(&r.n, 5);
    int x = net_input(&r.n, "x", DP_F32, 3, NET_DIM(-1, 4, 5));
    int q = net_matmul(&r.n, x, 6, 5), k = net_matmul(&r.n, x, 6, 5);
    int turned = net_op(&r.n, "Transpose", NET_IN(k), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
    int scores = net_op(&r.n, "MatMul", NET_IN(q, turned), NULL);
    net_output(&r.n, net_matmul(&r.n, scores, 3, 4));
    r.hardware = net_hardware((const char *const[]){"shot", NULL}, (double[]){1});
    r.data = net_dataset(&r.n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 3});
    ck_dp_ok(dp_graph_conditionable(&list, r.n.graph, &err));
    survey(&r, &list, 1, 0);
    const dp_input_moments *found[4];
    for (int i = 0; i < 4; i++) found[i] = dp_engine_input_moments(r.engine, i, &inputs[i]);
    ck_assert_ptr_eq(found[0], found[1]);
    ck_assert_ptr_null(found[2]);
    ck_assert_int_eq(inputs[2], 0);
    ck_assert_ptr_ne(found[3], found[0]);
    ck_assert_int_eq(inputs[3], 4);
    dp_conditionables_clear(&list);
    rig_close(&r);
}
END_TEST

START_TEST(are_not_taken_unless_asked_for) {
    rig r;
    int64_t inputs;
    open_plant(&r, &plants[0]);
    survey(&r, NULL, 1, 0);
    ck_assert_ptr_null(dp_engine_input_moments(r.engine, 0, &inputs));
    ck_assert_int_eq(inputs, 0);
    rig_close(&r);
}
END_TEST

START_TEST(come_back_from_the_cache) {
    rig r;
    dp_conditionables list;
    dp_input_moments first[12];
    int64_t inputs;
    for (int turn = 0; turn < 2; turn++) {
        open_plant(&r, &plants[0]);
        ck_dp_ok(dp_graph_conditionable(&list, r.n.graph, &err));
        atomic_int cancelled = turn; /* nothing may be computed the second time */
        dp_engine_options options = {.seed = 1,
                                     .example = r.data,
                                     .inputs = &list,
                                     .cache = scratch("passes"),
                                     .cancel = &cancelled};
        ck_dp_ok(dp_engine_create(&r.engine, r.n.graph, &r.hardware, &options, &err));
        ck_dp_ok(dp_engine_survey(r.engine, r.data, &err));
        const dp_input_moments *found = dp_engine_input_moments(r.engine, 0, &inputs);
        if (turn == 0)
            memcpy(first, found, sizeof first);
        else
            ck_assert_mem_eq(first, found, sizeof first);
        dp_conditionables_clear(&list);
        rig_close(&r);
    }
}
END_TEST

Suite *test_inputs_suite(void);
Suite *test_inputs_suite(void) {
    Suite *suite = suite_create("inputs");
    TCase *tests = tcase_create("input statistics");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tests, are_means_squares_and_extremes_of_each_half, 0, PLANTS);
    tcase_add_loop_test(tests, are_the_same_bytes_at_any_number_of_threads, 0, PLANTS);
    tcase_add_test(tests, are_shared_by_sites_that_read_the_same_value);
    tcase_add_test(tests, are_not_taken_unless_asked_for);
    tcase_add_test(tests, come_back_from_the_cache);
    suite_add_tcase(suite, tests);
    return suite;
}
