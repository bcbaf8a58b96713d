/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Plans and runs. The oracle is an interpreter in which nothing is shared (interpreter.h): random networks have to give the same
 * bits in both.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "garden.h"
#include "interpreter.h"
#include "kernels/gemm.h"
#include "oracle.h"
#include "suites.h"

static void check_same(const dp_tensor *is, const dp_tensor *want, const char *what, int number) {
    ck_assert_msg(dp_tensor_same_shape(is, want), "network %d: %s has another shape", number, what);
    ck_assert_msg(memcmp(is->data, want->data, dp_tensor_bytes(want)) == 0,
                  "network %d: %s is not what it is when nothing is shared", number, what);
}

START_TEST(sharing_memory_changes_no_output) {
    garden g;
    static interpreter ip;
    const dp_hooks clean = {0};
    dp_run *run = NULL;
    dp_gemm_single_thread();
    garden_open(&g, _i);
    interpret(&ip, g.n.graph, g.inputs);
    dp_plan *plan = garden_plan(&g, false, -1);
    ck_dp_ok(dp_run_create(&run, plan, &err));
    for (int pass = 0; pass < 2; pass++) { /* what the first one left behind does not matter */
        garden_feed(&g, run);
        ck_dp_ok(dp_run_forward(run, &clean, &err));
        for (int k = 0; k < g.n.graph->n_outputs; k++) {
            int v = g.n.graph->outputs[k];
            check_same(dp_run_value(run, v), &ip.values[v], g.n.graph->values[v].name, _i);
        }
    }
    dp_run_free(run);
    dp_plan_free(plan);
    interpreter_close(&ip);
    garden_close(&g);
}
END_TEST

/* Compares what hooks see: equal values; gradients up to the order in which a view's and its input's add up. */
typedef struct witness {
    const dp_plan *plan;
    const interpreter *ip;
    int64_t seen, sites_seen;
    int number;
    bool reverse;
} witness;

static void compare_block(void *self, int site, const dp_product *b) {
    witness *w = self;
    const dp_node *node = &w->plan->graph->nodes[w->plan->sites[site].node];
    const dp_tensor *want = &(w->reverse ? w->ip->grads : w->ip->values)[node->out[0]];
    int64_t start = b->sample * (dp_tensor_count(want) / GARDEN_SAMPLES) + b->element;
    const float *values = (const float *)want->data + start;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t p = 0; p < b->positions; p++) {
            int64_t at = c * b->channel_stride + p * b->position_stride;
            double is = (double)b->y[at], value = (double)values[at];
            ck_assert_msg(fabs(is - value) <= (w->reverse ? 1e-6 + 1e-5 * fabs(value) : 0),
                          "network %d: site '%s' sample %d element %d: %s %g, not %g", w->number,
                          node->name, (int)b->sample, (int)(b->element + at),
                          w->reverse ? "gradient" : "value", is, value);
        }
    w->seen += b->channels * b->positions;
}

START_TEST(sharing_memory_changes_no_gradient) {
    garden g;
    static interpreter ip;
    dp_run *run = NULL;
    dp_gemm_single_thread();
    garden_open(&g, _i);
    int target = g.n.graph->outputs[0];
    interpret(&ip, g.n.graph, g.inputs);
    float *seed = oracle_randoms(77, dp_tensor_count(&ip.values[target]));
    interpret_reverse(&ip, target, seed);
    dp_plan *plan = garden_plan(&g, true, target);
    ck_dp_ok(dp_run_create(&run, plan, &err));
    int64_t outputs = 0;
    for (int s = 0; s < plan->n_sites; s++)
        outputs += dp_tensor_count(&ip.values[g.n.graph->nodes[plan->sites[s].node].out[0]]);
    ck_assert_int_gt(outputs, 0);
    witness w = {.plan = plan, .ip = &ip, .number = _i};
    dp_hooks hooks = {.self = &w, .forward = compare_block, .reverse = compare_block};
    for (int pass = 0; pass < 2; pass++) {
        w.seen = 0;
        w.reverse = false;
        garden_feed(&g, run);
        ck_dp_ok(dp_run_forward(run, &hooks, &err));
        check_same(dp_run_value(run, target), &ip.values[target], "the target", _i);
        ck_assert_int_eq(w.seen, outputs);
        dp_tensor *seeded = dp_run_seed(run);
        memcpy(seeded->data, seed, dp_tensor_bytes(seeded));
        w.reverse = true;
        w.seen = 0;
        ck_dp_ok(dp_run_reverse(run, &hooks, &err));
        ck_assert_int_eq(w.seen, outputs); /* every site leads to the target: others are left out */
    }
    dp_run_free(run);
    dp_plan_free(plan);
    interpreter_close(&ip);
    dp_free(seed);
    garden_close(&g);
}
END_TEST

START_TEST(bound_inputs_make_every_output_a_constant) {
    garden g;
    static interpreter ip;
    garden_open(&g, _i);
    interpret(&ip, g.n.graph, g.inputs);
    dp_plan_options options = {.samples = GARDEN_SAMPLES, .inputs = g.inputs, .target = -1};
    dp_plan *plan = NULL;
    ck_dp_ok(dp_plan_create(&plan, g.n.graph, &options, &err));
    ck_assert_int_eq(plan->n_steps, 0);
    ck_assert_int_eq(plan->n_sites, 0);
    for (int k = 0; k < g.n.graph->n_outputs; k++) {
        int v = g.n.graph->outputs[k];
        check_same(&plan->values[v], &ip.values[v], g.n.graph->values[v].name, _i);
    }
    dp_plan_free(plan);
    interpreter_close(&ip);
    garden_close(&g);
}
END_TEST

/* ---- what is refused, and what is left out ---- */

START_TEST(nodes_that_the_target_does_not_need_are_not_run) {
    garden g = {.state = 1};
    net *n = &g.n;
    net_open(n, 1);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
    int used = net_conv(n, x, NET_DIM(4, 4, 1, 1), NULL);
    int idle = net_conv(n, used, NET_DIM(4, 4, 1, 1), NULL);
    net_output(n, used);
    net_output(n, net_op(n, "Relu", NET_IN(idle), NULL));
    garden_inputs(&g);
    dp_plan *plan = garden_plan(&g, false, used);
    ck_assert_int_eq(plan->n_steps, 1);
    ck_assert_int_eq(plan->n_sites, 1);
    ck_assert(!plan->needed[idle] && plan->place[idle] == DP_NOWHERE);
    dp_plan_free(plan);
    garden_close(&g);
}
END_TEST

START_TEST(memory_is_reused_along_a_chain) {
    garden g = {.state = 1};
    net *n = &g.n;
    net_open(n, 1);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
    for (int i = 0; i < 20; i++) {
        x = net_conv(n, x, NET_DIM(4, 4, 1, 1), NULL);
        x = net_op(n, "Relu", NET_IN(x), NULL);
    }
    net_output(n, x);
    garden_inputs(&g);
    dp_plan *plan = garden_plan(&g, false, -1);
    size_t value = GARDEN_SAMPLES * 144 * sizeof(float),
           norms = GARDEN_SAMPLES * 36 * sizeof(float);
    ck_assert_uint_le(plan->arena_bytes, 2 * (value + 64) + norms + 64);
    dp_plan_free(plan);
    garden_close(&g);
}
END_TEST

START_TEST(an_operator_without_reverse_pass_is_named_only_where_it_is_in_the_way) {
    garden g = {.state = 1};
    net *n = &g.n;
    net_open(n, 1);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
    int before = net_op(n, "Floor", NET_IN(x), NULL);
    int site = net_conv(n, before, NET_DIM(4, 4, 1, 1), NULL);
    int behind = net_op(n, "Floor", NET_IN(site), NULL);
    ck_assert_ptr_null((void *)(uintptr_t)dp_op_find("Floor", "", 13)->adjoint);
    net_output(n, behind);
    garden_inputs(&g);
    dp_plan *plan = garden_plan(&g, true, site);
    dp_plan_free(plan);
    ck_dp_fails(garden_try_plan(&g, true, behind, &plan, &err), DP_EUNSUPPORTED,
                net_node_name(n, behind));
    ck_assert_ptr_null(plan);
    garden_close(&g);
}
END_TEST

Suite *test_plan_suite(void) {
    enum { NETWORKS = 120 };
    Suite *suite = suite_create("plan");
    TCase *tcase = tcase_create("networks");
    tcase_add_loop_test(tcase, sharing_memory_changes_no_output, 0, NETWORKS);
    tcase_add_loop_test(tcase, sharing_memory_changes_no_gradient, 0, NETWORKS);
    tcase_add_loop_test(tcase, bound_inputs_make_every_output_a_constant, 0, 12);
    tcase_add_test(tcase, nodes_that_the_target_does_not_need_are_not_run);
    tcase_add_test(tcase, memory_is_reused_along_a_chain);
    tcase_add_test(tcase, an_operator_without_reverse_pass_is_named_only_where_it_is_in_the_way);
    suite_add_tcase(suite, tcase);
    return suite;
}
