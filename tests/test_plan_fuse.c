/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which steps a site's step takes along. That what they compute stays the same, bit for bit, is held by the random networks of
 * test_plan.c; here is which ones are taken, and that a hook sees a site's outputs before they go on.
 */
#include <check.h>
#include <string.h>

#include "base/alloc.h"
#include "garden.h"
#include "interpreter.h"
#include "kernels/gemm.h"
#include "suites.h"

static garden g;
static net *n;

static void open_net(void) {
    g = (garden){.state = 1};
    n = &g.n;
    net_open(n, 1);
    dp_gemm_single_thread();
}

static int input(void) {
    return net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
}

static int conv(int x) {
    return net_conv(n, x, NET_DIM(4, 4, 1, 1), NULL);
}

static int relu(int x) {
    return net_op(n, "Relu", NET_IN(x), NULL);
}

static dp_plan *plan_for(int output, bool reverse) {
    net_output(n, output);
    garden_inputs(&g);
    return garden_plan(&g, reverse, output);
}

static void close_net(dp_plan *plan) {
    dp_plan_free(plan);
    garden_close(&g);
}

static const dp_step *step_of(const dp_plan *plan, int value) {
    int s = 0;
    while (plan->steps[s].node != n->graph->values[value].producer) s++;
    return &plan->steps[s];
}

/* The step that computes `value` runs along with that of `by` (NET_END: with none). */
static void check_taken(const dp_plan *plan, int value, int by) {
    const dp_step *step = step_of(plan, value);
    ck_assert_int_eq(step->taken, by != NET_END);
    if (by == NET_END) return;
    ck_assert_ptr_eq(&plan->steps[step_of(plan, by)->finish], step);
    ck_assert_uint_eq(plan->place[value], plan->place[by]);
}

START_TEST(a_short_cut_and_its_activation_are_taken_along) {
    open_net();
    int x = input(), side = relu(conv(x)), y = conv(side);
    int sum = net_op(n, "Add", _i ? NET_IN(y, side) : NET_IN(side, y), NULL), last = relu(sum);
    dp_plan *plan = plan_for(last, false);
    check_taken(plan, sum, y);
    check_taken(plan, last, sum);
    ck_assert_int_eq(step_of(plan, last)->finish, 0);
    close_net(plan);
}
END_TEST

START_TEST(it_is_the_later_of_two_sites_that_takes_their_sum_along) {
    open_net();
    int x = input(), early = conv(x), late = conv(x);
    int sum = net_op(n, "Add", NET_IN(early, late), NULL);
    dp_plan *plan = plan_for(relu(sum), false);
    ck_assert_int_eq(step_of(plan, early)->finish, 0);
    check_taken(plan, sum, late);
    close_net(plan);
}
END_TEST

START_TEST(what_others_read_too_stays_what_it_is) {
    open_net();
    int x = input(), y = conv(x), first = relu(y);
    int sum = net_op(n, "Add", NET_IN(first, y), NULL); /* reads y before Relu */
    dp_plan *plan = plan_for(sum, false);
    check_taken(plan, first, NET_END);
    ck_assert_uint_ne(plan->place[first], plan->place[y]);
    close_net(plan);
}
END_TEST

START_TEST(an_output_of_the_graph_stays_what_it_is) {
    open_net();
    int y = conv(input()), last = relu(y);
    net_output(n, y);
    net_output(n, last);
    garden_inputs(&g);
    dp_plan *plan = garden_plan(&g, false, -1);
    check_taken(plan, last, NET_END);
    close_net(plan);
}
END_TEST

/* What the network computes for a batch, against an interpreter that takes nothing along. */
static void check_values(const dp_plan *plan, int last) {
    static interpreter ip;
    interpret(&ip, n->graph, g.inputs);
    dp_run *run = NULL;
    ck_dp_ok(dp_run_create(&run, plan, &err));
    garden_feed(&g, run);
    ck_dp_ok(dp_run_forward(run, &(dp_hooks){0}, &err));
    const float *want = ip.values[last].data, *is = dp_run_value(run, last)->data;
    for (int64_t i = 0; i < dp_tensor_count(&ip.values[last]); i++)
        ck_assert_float_eq(is[i], want[i]);
    dp_run_free(run);
    interpreter_close(&ip);
}

/* Of every channel, of every position, of one axis of these; subtracted from, a constant comes first: not taken along. */
START_TEST(constants_that_broadcast_are_taken_along) {
    static const struct {
        int rank;
        int64_t dim[4];
    } shapes[] = {{3, {4, 1, 1}}, {4, {1, 4, 6, 6}}, {2, {6, 1}}, {1, {6}}, {4, {1, 1, 1, 1}}};
    static const char *const types[] = {"Add", "Sub", "Mul"};
    const char *type = types[_i % 3];
    bool first = _i / 3 % 2, taken = !first || _i % 3 != 1;
    open_net();
    int y = conv(input()), c = net_weights(n, shapes[_i / 6].rank, shapes[_i / 6].dim, 1);
    int last = net_op(n, type, first ? NET_IN(c, y) : NET_IN(y, c), NULL), end = relu(last);
    dp_plan *plan = plan_for(end, false);
    check_taken(plan, last, taken ? y : NET_END);
    check_taken(plan, end, taken ? last : NET_END);
    check_values(plan, end);
    close_net(plan);
}
END_TEST

START_TEST(activations_that_broadcast_are_not_taken_along) {
    open_net();
    int x = input(), y = conv(x), mean = net_op(n, "GlobalAveragePool", NET_IN(x), NULL);
    int sum = net_op(n, "Add", NET_IN(y, mean), NULL);
    dp_plan *plan = plan_for(sum, false);
    check_taken(plan, sum, NET_END);
    check_values(plan, sum);
    close_net(plan);
}
END_TEST

START_TEST(where_gradients_need_the_input_it_is_kept) {
    for (int reverse = 0; reverse < 2; reverse++) {
        open_net();
        int y = conv(input()), soft = net_op(n, "LeakyRelu", NET_IN(y), NULL);
        int last = net_op(n, "Clip", NET_IN(conv(soft)), NULL);
        dp_plan *plan = plan_for(last, reverse);
        check_taken(plan, soft, reverse ? NET_END : y);
        check_taken(plan, last, n->graph->nodes[n->graph->values[last].producer].in[0]);
        close_net(plan);
    }
}
END_TEST

/* Relu's adjoint tells by its output where its input was positive. */
START_TEST(where_gradients_need_the_output_it_is_kept) {
    for (int reverse = 0; reverse < 2; reverse++) {
        open_net();
        int x = relu(input()), y = conv(x), first = relu(y);
        int last = net_op(n, "Add", NET_IN(first, x), NULL);
        dp_plan *plan = plan_for(last, reverse);
        check_taken(plan, first, y);
        check_taken(plan, last, reverse ? NET_END : first);
        close_net(plan);
    }
}
END_TEST

/* A product of activations shows its outputs too; Gemm adds its C after it has shown them. */
START_TEST(only_sites_that_show_their_outputs_take_steps_along) {
    open_net();
    int x = input(), y = net_op(n, "MatMul", NET_IN(x, x), NULL), product = relu(y);
    int flat = net_reshape(n, product, 2, NET_DIM(-1, 144));
    int linear = net_linear(n, flat, 10, 144), last = relu(linear);
    dp_plan *plan = plan_for(last, false);
    check_taken(plan, product, y);
    check_taken(plan, last, NET_END);
    close_net(plan);
}
END_TEST

static void subtract(void *self, int site, const dp_product *b) {
    float *before = self;
    (void)site;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t p = 0; p < b->positions; p++) {
            float *y = b->y + c * b->channel_stride + p * b->position_stride;
            *before = *y < *before ? *y : *before;
            *y -= 1;
        }
}

START_TEST(hooks_see_and_change_outputs_before_they_go_on) {
    open_net();
    int x = input(), y = conv(x), last = relu(y);
    dp_plan *plan = plan_for(last, false);
    check_taken(plan, last, y);
    static interpreter ip;
    interpret(&ip, n->graph, g.inputs);
    dp_run *run = NULL;
    ck_dp_ok(dp_run_create(&run, plan, &err));
    garden_feed(&g, run);
    float least = 0;
    ck_dp_ok(dp_run_forward(run, &(dp_hooks){.self = &least, .forward = subtract}, &err));
    ck_assert_float_lt(least, 0);
    const float *before = ip.values[y].data, *is = dp_run_value(run, last)->data;
    for (int64_t i = 0; i < dp_tensor_count(&ip.values[y]); i++)
        ck_assert(is[i] == (before[i] < 1 ? 0 : before[i] - 1));
    dp_run_free(run);
    interpreter_close(&ip);
    close_net(plan);
}
END_TEST

Suite *test_plan_fuse_suite(void) {
    Suite *suite = suite_create("plan: steps taken along");
    TCase *tcase = tcase_create("steps");
    tcase_add_loop_test(tcase, a_short_cut_and_its_activation_are_taken_along, 0, 2);
    tcase_add_test(tcase, it_is_the_later_of_two_sites_that_takes_their_sum_along);
    tcase_add_test(tcase, what_others_read_too_stays_what_it_is);
    tcase_add_test(tcase, an_output_of_the_graph_stays_what_it_is);
    tcase_add_loop_test(tcase, constants_that_broadcast_are_taken_along, 0, 30);
    tcase_add_test(tcase, activations_that_broadcast_are_not_taken_along);
    tcase_add_test(tcase, where_gradients_need_the_input_it_is_kept);
    tcase_add_test(tcase, where_gradients_need_the_output_it_is_kept);
    tcase_add_test(tcase, only_sites_that_show_their_outputs_take_steps_along);
    tcase_add_test(tcase, hooks_see_and_change_outputs_before_they_go_on);
    suite_add_tcase(suite, tcase);
    return suite;
}
