/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Centring one site. Two things are held of every rewriting, by running both graphs: the outputs stay what they were within float32
 * rounding, and the site reads what it is said to read.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "oracle.h"
#include "products.h"
#include "rewriting.h"
#include "suites.h"

START_TEST(centring_leaves_outputs_and_the_site_reads_x_less_mu) {
    const product_case *c = &product_cases[_i];
    net n;
    char name[80];
    net_open(&n, 11);
    int value = c->build(&n);
    if (n.graph->n_outputs == 0) net_output(&n, value);
    const dp_node *node = &n.graph->nodes[n.graph->values[value].producer];
    dp_conditionable can = rewriting_allowed(n.graph, rewriting_site(node, name));
    ck_assert_msg(can.centre, "%s cannot be centred", c->name);
    ck_assert_msg(can.adds_outputs == c->adds_outputs, "%s", c->name);
    float *mu = oracle_randoms(5, can.inputs);
    dp_conditioned_site site = {.site = name, .inputs = can.inputs, .mu = mu};
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err));
    rewriting_check_reads(n.graph, graph, node->name, c->input_in, &can, &site);
    int nodes = n.graph->n_nodes + 1 + (c->adds_outputs ? 1 : 0);
    ck_assert_msg(graph->n_nodes == nodes, "%s has %d nodes", c->name, graph->n_nodes);
    rewriting_check_equal(n.graph, graph, 2e-6);
    dp_free(mu);
    dp_graph_free(graph);
    net_close(&n);
}
END_TEST

START_TEST(padding_without_a_known_size_cannot_be_centred) {
    net n;
    net_open(&n, 47);
    int x = net_input(&n, "x", DP_F32, 4, NET_DIM(-1, 4, -1, 6));
    int y = net_conv(&n, x, NET_DIM(6, 4, 3, 3), (dp_attr[]){OP_INTS("pads", 0, 1, 0, 1), {0}});
    net_output(&n, y);
    dp_conditionable can = rewriting_allowed(n.graph, net_node_name(&n, y));
    ck_assert(!can.centre && can.balance && can.inputs == 4);
    static const float mu[4] = {1, 2, 3, 4};
    dp_conditioned_site site = {.site = net_node_name(&n, y), .inputs = 4, .mu = mu};
    dp_graph *graph;
    ck_dp_fails(dp_graph_condition(&graph, n.graph, &(dp_conditioning){1, &site}, &err), DP_ERANGE,
                "cannot be centred");
    ck_assert_ptr_null(graph);
    net_close(&n);
}
END_TEST

/* Sizes are guessed to find shapes. A network that runs at one size only is conditioned where sizes do not matter. */
START_TEST(networks_that_run_at_one_size_can_be_centred) {
    net n;
    net_open(&n, 79);
    int x = net_input(&n, "x", DP_F32, 4, NET_DIM(-1, 3, -1, -1));
    int y = net_conv(&n, x, NET_DIM(4, 3, 2, 2), NULL); /* 5 x 5 become 4 x 4 */
    int z = net_linear(&n, net_reshape(&n, y, 2, NET_DIM(-1, 64)), 6, 64);
    net_output(&n, z);
    float *mu = oracle_randoms(1, 64);
    dp_conditioned_site sites[2] = {{net_node_name(&n, y), 3, mu, NULL, false},
                                    {net_node_name(&n, z), 64, mu, mu, false}};
    for (int i = 0; i < 64; i++) mu[i] = fabsf(mu[i]) + 1;
    dp_graph *graph;
    ck_dp_ok(dp_graph_condition(&graph, n.graph, &(dp_conditioning){2, sites}, &err));
    rewriting_check_equal(n.graph, graph, 1e-5);
    dp_graph_free(graph);
    dp_free(mu);
    net_close(&n);
}
END_TEST

Suite *test_centring_suite(void) {
    Suite *s = suite_create("centring");
    TCase *t = tcase_create("centring");
    tcase_add_loop_test(t, centring_leaves_outputs_and_the_site_reads_x_less_mu, 0,
                        product_case_count());
    tcase_add_test(t, padding_without_a_known_size_cannot_be_centred);
    tcase_add_test(t, networks_that_run_at_one_size_can_be_centred);
    suite_add_tcase(s, t);
    return s;
}
