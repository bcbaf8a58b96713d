/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Conditioning several sites of a network, products of attention, and what is refused. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "garden.h"
#include "heap.h"
#include "oracle.h"
#include "rewriting.h"
#include "scratch.h"
#include "suites.h"

static int relu(net *n, int x) {
    return net_op(n, "Relu", NET_IN(x), NULL);
}

/* ---- several sites ---- */

/* One value, read by three products with weights. */
typedef struct shared {
    net n;
    int read[3];
    dp_conditioned_site sites[3];
} shared;

static void shared_open(shared *s) {
    net *n = &s->n;
    net_open(n, 31);
    int x = net_linear(n, NET_X(-1, 5), 4, 5);
    for (int i = 0; i < 3; i++) {
        s->read[i] = net_linear(n, x, 6, 4);
        net_output(n, s->read[i]);
        s->sites[i] = (dp_conditioned_site){.site = net_node_name(n, s->read[i]), .inputs = 4};
    }
}

/* Nodes that conditioning adds. */
static int added_nodes(shared *s, int count) {
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, s->n.graph, &(dp_conditioning){count, s->sites}, &err));
    rewriting_check_equal(s->n.graph, graph, 5e-6);
    int added = graph->n_nodes - s->n.graph->n_nodes;
    dp_graph_free(graph);
    return added;
}

START_TEST(sites_that_read_the_same_share_what_is_added) {
    static const float a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    shared s;
    shared_open(&s);
    for (int i = 0; i < 3; i++) s.sites[i].mu = a;
    ck_assert_int_eq(added_nodes(&s, 3), 1);
    s.sites[2].mu = b;
    ck_assert_int_eq(added_nodes(&s, 3), 2);
    for (int i = 0; i < 3; i++) s.sites[i].alpha = a;
    ck_assert_int_eq(added_nodes(&s, 3), 2); /* alpha goes into the node before */
    ck_assert_int_eq(added_nodes(&s, 2), 2); /* one reader is left out: one Mul, one Sub */
    s.sites[1].alpha = b;
    ck_assert_int_eq(added_nodes(&s, 3),
                     5); /* three different operands, two of them centred alike */
    net_close(&s.n);
}
END_TEST

START_TEST(the_order_of_the_list_does_not_matter) {
    static const float a[4] = {1, 2, 3, 4}, b[4] = {1, 2, 3, 5};
    shared s;
    shared_open(&s);
    s.sites[0].mu = a;
    s.sites[1].alpha = b;
    s.sites[2].mu = b;
    dp_graph *graphs[2];
    ck_dp_ok(dp_graph_condition(&graphs[0], s.n.graph, &(dp_conditioning){3, s.sites}, &err));
    dp_conditioned_site first = s.sites[0];
    s.sites[0] = s.sites[2];
    s.sites[2] = first;
    ck_dp_ok(dp_graph_condition(&graphs[1], s.n.graph, &(dp_conditioning){3, s.sites}, &err));
    ck_assert_int_eq(graphs[0]->n_nodes, graphs[1]->n_nodes);
    for (int k = 0; k < graphs[0]->n_nodes; k++)
        ck_assert_str_eq(graphs[0]->nodes[k].name, graphs[1]->nodes[k].name);
    rewriting_check_equal(graphs[0], graphs[1], 0);
    for (int k = 0; k < 2; k++) dp_graph_free(graphs[k]);
    net_close(&s.n);
}
END_TEST

/* A chain whose middle takes alpha of the site behind into its rows and has alpha of its own in its columns. */
START_TEST(a_whole_chain_can_be_conditioned) {
    net n;
    const char *names[3];
    float *mu[3], *alpha[3];
    dp_conditioned_site sites[3];
    net_open(&n, 37);
    net *const net_ = &n;
    int x = net_input(net_, "x", DP_F32, 4, NET_DIM(-1, 3, 8, 8));
    static const int64_t dims[3][4] = {{4, 3, 3, 3}, {5, 4, 3, 3}, {6, 5, 3, 3}};
    for (int i = 0; i < 3; i++) {
        x = net_conv(&n, x, dims[i], (dp_attr[]){OP_INTS("pads", 1, 1, 1, 1), {0}});
        names[i] = net_node_name(&n, x);
        x = relu(&n, x);
        mu[i] = oracle_randoms(40 + (uint64_t)i, dims[i][1]);
        alpha[i] = rewriting_alpha(dims[i][1], 50 + (uint64_t)i);
        sites[i] = (dp_conditioned_site){names[i], dims[i][1], mu[i], alpha[i], false};
    }
    net_output(&n, x);
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){3, sites}, &err));
    rewriting_check_equal(n.graph, graph, 5e-6);
    for (int i = 0; i < 3; i++) {
        dp_conditionable can = rewriting_allowed(n.graph, names[i]);
        rewriting_check_reads(n.graph, graph, names[i], 0, &can, &sites[i]);
        dp_free(mu[i]);
        dp_free(alpha[i]);
    }
    ck_assert_int_eq(graph->n_nodes, n.graph->n_nodes + 1 + 3 + 3); /* Mul of the input, Sub, Add */
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

START_TEST(sites_keep_their_order_names_and_ties) {
    net n;
    net_open(&n, 41);
    int x = net_input(&n, "x", DP_F32, 2, NET_DIM(-1, 5));
    int w = net_weights(&n, 2, NET_DIM(5, 5), 0.5F);
    for (int i = 0; i < 3; i++) x = relu(&n, net_op(&n, "MatMul", NET_IN(x, w), NULL));
    net_output(&n, x);
    dp_conditionable can = rewriting_allowed(n.graph, "MatMul_2");
    ck_assert(can.centre && !can.balance && !can.folds);
    static const float mu[5] = {1, 2, 3, 4, 5};
    dp_conditioned_site sites[2] = {{"MatMul_4", 5, mu, NULL, false},
                                    {"MatMul_0", 5, mu, NULL, false}};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, sites}, &err));
    static const char *const names[] = {"MatMul_0", "MatMul_2", "MatMul_4"};
    int found = 0;
    for (int k = 0; k < graph->n_nodes; k++) {
        if (!graph->nodes[k].op->n_sites) continue;
        ck_assert_str_eq(graph->nodes[k].name, names[found++]);
        ck_assert_int_eq(graph->nodes[k].in[1], w);
    }
    ck_assert_str_eq(graph->sha256, n.graph->sha256);
    ck_assert_str_eq(graph->path, n.graph->path);
    dp_graph_free(graph);
    sites[0].alpha = mu;
    ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, sites}, &err), DP_ERANGE,
                "'MatMul_4' cannot be balanced");
    net_close(&n);
}
END_TEST

/* ---- attention ---- */

typedef struct attention {
    net n;
    int scores, mixed; /* the products */
} attention;

static int scale_and_mask(net *n, int x) {
    int scale = net_weights(n, 0, NULL, 1), mask = net_weights(n, 2, NET_DIM(5, 5), 3);
    return net_op(n, "Add", NET_IN(net_op(n, "Div", NET_IN(x, scale), NULL), mask), NULL);
}

static int scale_each_key(net *n, int x) {
    return net_op(n, "Mul", NET_IN(x, net_weights(n, 1, NET_DIM(5), 1)), NULL);
}

static int clip_scores(net *n, int x) {
    return relu(n, x);
}

static int leave_scores(net *n, int x) {
    (void)n;
    return x;
}

static void attention_open(attention *a, int (*between)(net *n, int x), int64_t axis) {
    net *n = &a->n;
    net_open(n, 43);
    int q = net_input(n, "q", DP_F32, 4, NET_DIM(-1, 2, 5, 3));
    int k = net_input(n, "k", DP_F32, 4, NET_DIM(-1, 2, 5, 3));
    int v = net_input(n, "v", DP_F32, 4, NET_DIM(-1, 2, 5, 4));
    int t = net_op(n, "Transpose", NET_IN(k), NET_ATTRS(OP_INTS("perm", 0, 1, 3, 2)));
    a->scores = net_op(n, "MatMul", NET_IN(q, t), NULL);
    int p = net_op(n, "Softmax", NET_IN(between(n, a->scores)), NET_ATTRS(OP_INT("axis", axis)));
    a->mixed = net_op(n, "MatMul", NET_IN(p, v), NULL);
    net_output(n, a->mixed);
}

/* The right operand of a product, and that it has no mean along an axis. */
static void check_no_mean(dp_graph *graph, const char *node, int axis) {
    dp_npz right = rewriting_value(graph, rewriting_node(graph, node)->in[1]);
    const dp_tensor *t = &right.arrays[0].tensor;
    int64_t length = t->dim[t->rank + axis], inner = axis == -2 ? t->dim[t->rank - 1] : 1;
    const float *x = t->data;
    for (int64_t i = 0; i < dp_tensor_count(t) / length; i++) {
        double sum = 0, size = 0;
        for (int64_t k = 0; k < length; k++) {
            double at = (double)x[i / inner * inner * length + k * inner + i % inner];
            sum += at;
            size += fabs(at);
        }
        ck_assert(fabs(sum) < 1e-5 * size);
    }
    dp_npz_clear(&right);
}

static const struct {
    int (*between)(net *n, int x);
    int64_t axis;
    bool keys, values;
} attentions[] = {
    {leave_scores, -1, true, true},    {scale_and_mask, 3, true, true},
    {scale_each_key, -1, false, true}, {clip_scores, -1, false, true},
    {leave_scores, 2, false, false},
};

START_TEST(keys_and_values_lose_their_mean_over_positions) {
    attention a;
    attention_open(&a, attentions[_i].between, attentions[_i].axis);
    const char *names[2] = {net_node_name(&a.n, a.scores), net_node_name(&a.n, a.mixed)};
    const bool may[2] = {attentions[_i].keys, attentions[_i].values};
    for (int k = 0; k < 2; k++) {
        dp_conditioned_site site = {.site = names[k], .positions = true};
        dp_conditioning asked = {1, &site};
        dp_graph *graph;
        ck_assert_int_eq(rewriting_allowed(a.n.graph, names[k]).positions, may[k]);
        if (!may[k]) {
            ck_dp_fails(dp_graph_condition(&graph, a.n.graph, &asked, &err), DP_ERANGE,
                        "cannot be centred over positions");
            continue;
        }
        ck_dp_ok(dp_graph_condition(&graph, a.n.graph, &asked, &err));
        ck_assert_int_eq(graph->n_nodes, a.n.graph->n_nodes + 2 + k);
        check_no_mean(graph, names[k], k == 0 ? -1 : -2);
        rewriting_check_equal(a.n.graph, graph, 2e-6);
        dp_graph_free(graph);
    }
    net_close(&a.n);
}
END_TEST

/* ---- what is refused ---- */

START_TEST(what_makes_no_sense_is_refused_by_name) {
    static const float good[5] = {1, 2, 3, 4, 5}, zero[5] = {1, 0, 3, 4, 5};
    static const float wild[5] = {1, INFINITY, 3, 4, 5}, tiny[5] = {1, 1e-40F, 1, 1, 1};
    static const struct {
        dp_conditioned_site site;
        const char *says;
    } refused[] = {
        {{"elsewhere", 5, good, NULL, false}, "'elsewhere' is not there"},
        {{"Gemm_0", 4, good, NULL, false}, "'Gemm_0' has 5 inputs, not 4"},
        {{"Gemm_0", 5, wild, NULL, false}, "not finite"},
        {{"Gemm_0", 5, NULL, wild, false}, "not positive and finite"},
        {{"Gemm_0", 5, NULL, zero, false}, "not positive and finite"},
        {{"Gemm_0", 5, NULL, tiny, false}, "no float32"},
        {{"Gemm_0", 5, NULL, NULL, true}, "centred over positions"},
    };
    net n;
    net_open(&n, 59);
    net_output(&n, net_linear(&n, net_input(&n, "x", DP_F32, 2, NET_DIM(-1, 5)), 6, 5));
    dp_graph *graph;
    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        dp_conditioned_site site = refused[i].site;
        ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err),
                    DP_ERANGE, refused[i].says);
    }
    dp_conditioned_site twice[2] = {{"Gemm_0", 5, good, NULL, false},
                                    {"Gemm_0", 5, NULL, good, false}};
    ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, twice}, &err), DP_ERANGE,
                "'Gemm_0' is listed twice");
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){0, NULL}, &err));
    rewriting_check_equal(n.graph, graph, 0);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

/* ---- networks of everything ---- */

/* Every site of a random network, with vectors of its own or, in every other network, the same for those that read the same. */
START_TEST(random_networks_can_be_conditioned_everywhere) {
    garden g;
    garden_open(&g, _i);
    dp_conditionables can;
    ck_dp_ok(dp_graph_conditionable(&can, g.n.graph, &err));
    dp_conditioned_site *sites = dp_alloc((size_t)can.count, sizeof *sites);
    for (int i = 0; i < can.count; i++) {
        const dp_conditionable *c = &can.sites[i];
        uint64_t seed = (uint64_t)(_i % 2 ? i : c->operand) + 1000;
        sites[i] =
            (dp_conditioned_site){.site = c->site,
                                  .inputs = c->inputs,
                                  .mu = c->centre ? oracle_randoms(seed, c->inputs) : NULL,
                                  .alpha = c->balance ? rewriting_alpha(c->inputs, seed) : NULL,
                                  .positions = c->positions};
    }
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, g.n.graph, &(dp_conditioning){can.count, sites}, &err));
    rewriting_check_equal(g.n.graph, graph, 1e-4);
    for (int i = 0; i < can.count; i++) {
        dp_free((void *)(uintptr_t)sites[i].mu);
        dp_free((void *)(uintptr_t)sites[i].alpha);
    }
    dp_free(sites);
    dp_conditionables_clear(&can);
    dp_graph_free(graph);
    garden_close(&g);
}
END_TEST

/* ---- when memory runs out ---- */

static int conditioned_net(net *n) {
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 3, 8, 8));
    x = net_conv(n, x, NET_DIM(4, 3, 3, 3), NET_ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
    x = net_conv(n, relu(n, x), NET_DIM(5, 4, 3, 3), NET_ATTRS(OP_INTS("pads", 1, 1, 1, 1)));
    x = net_op(n, "GlobalAveragePool", NET_IN(relu(n, x)), NULL);
    return net_linear(n, net_op(n, "Flatten", NET_IN(x), NULL), 6, 5);
}

static dp_status condition_and_save(const dp_graph *graph, const dp_conditioned_site *sites,
                                    dp_error *err) {
    dp_conditionables can;
    dp_graph *made = NULL;
    dp_conditioning asked = {3, (dp_conditioned_site *)(uintptr_t)sites};
    dp_status status = dp_graph_conditionable(&can, graph, err);
    if (status == DP_OK) status = dp_graph_condition(&made, graph, &asked, err);
    if (status == DP_OK) status = dp_graph_save(made, scratch("out.onnx"), err);
    dp_conditionables_clear(&can);
    dp_graph_free(made);
    return status;
}

START_TEST(every_failing_allocation_gives_a_status_and_leaves_nothing_behind) {
    static const float mu[5] = {1, 2, 3, 4, 5}, alpha[5] = {1, 2, 4, 8, 16};
    static const dp_conditioned_site sites[3] = {{"Conv_0", 3, mu, alpha, false},
                                                 {"Conv_2", 4, mu, alpha, false},
                                                 {"Gemm_6", 5, mu, alpha, false}};
    net n;
    net_open(&n, 73);
    net_output(&n, conditioned_net(&n));
    for (int64_t k = 0, used = 1; k < used; k++) {
        dp_error err = {DP_OK, ""};
        heap_watch(k);
        dp_status status = condition_and_save(n.graph, sites, &err);
        heap_count heap = heap_end();
        used = heap.allocations;
        ck_assert_msg(heap.live == 0, "allocation %d fails: %d blocks are never released", (int)k,
                      (int)heap.live);
        ck_assert_msg(used <= k ? status == DP_OK : status == DP_EMEMORY && err.text[0],
                      "allocation %d fails: status %s, '%s'", (int)k, dp_status_name(status),
                      err.text);
        ck_assert_int_le(scratch_count(), 1); /* no half-written file is left */
    }
    net_close(&n);
}
END_TEST

Suite *test_conditioning_suite(void) {
    Suite *s = suite_create("conditioning");
    TCase *t = tcase_create("sites");
    tcase_add_test(t, sites_that_read_the_same_share_what_is_added);
    tcase_add_test(t, the_order_of_the_list_does_not_matter);
    tcase_add_test(t, a_whole_chain_can_be_conditioned);
    tcase_add_test(t, sites_keep_their_order_names_and_ties);
    tcase_add_test(t, what_makes_no_sense_is_refused_by_name);
    tcase_add_loop_test(t, random_networks_can_be_conditioned_everywhere, 0, 20);
    suite_add_tcase(s, t);
    t = tcase_create("memory");
    tcase_add_checked_fixture(t, scratch_setup, scratch_teardown);
    tcase_add_test(t, every_failing_allocation_gives_a_status_and_leaves_nothing_behind);
    suite_add_tcase(s, t);
    t = tcase_create("attention");
    tcase_add_loop_test(t, keys_and_values_lose_their_mean_over_positions, 0,
                        sizeof attentions / sizeof *attentions);
    suite_add_tcase(s, t);
    return s;
}
