/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing networks: what is written is read again as the same network, bit for bit. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "garden.h"
#include "graph_fixture.h"
#include "products.h"
#include "rewriting.h"
#include "scratch.h"
#include "suites.h"

static dp_graph *written(const dp_graph *graph) {
    const char *path = scratch("written.onnx");
    dp_graph *again;
    ck_dp_ok(dp_graph_save(graph, path, &err));
    ck_dp_ok(dp_graph_load(&again, path, &err));
    return again;
}

static void check_attributes(const dp_node *a, const dp_node *b) {
    ck_assert_int_eq(a->n_attrs, b->n_attrs);
    for (int i = 0; i < a->n_attrs; i++) {
        const dp_attr *x = &a->attrs[i], *y = dp_node_attr(b, x->name);
        ck_assert_ptr_nonnull(y);
        ck_assert_int_eq(x->kind, y->kind);
        if (x->kind == DP_ATTR_INT) ck_assert_int_eq(x->i, y->i);
        if (x->kind == DP_ATTR_FLOAT) ck_assert_float_eq(x->f, y->f);
        if (x->kind == DP_ATTR_STRING) ck_assert_str_eq(x->s, y->s);
    }
}

/* Nodes with their names and operators, and inputs with their types, in the same order. */
static void check_same_graph(const dp_graph *a, const dp_graph *b) {
    ck_assert_int_eq(a->n_nodes, b->n_nodes);
    ck_assert_int_eq(a->n_inputs, b->n_inputs);
    for (int n = 0; n < a->n_nodes; n++) {
        ck_assert_str_eq(a->nodes[n].name, b->nodes[n].name);
        ck_assert_ptr_eq(a->nodes[n].op, b->nodes[n].op);
        check_attributes(&a->nodes[n], &b->nodes[n]);
    }
    for (int i = 0; i < a->n_inputs; i++) {
        const dp_value *x = &a->values[a->inputs[i]], *y = &b->values[b->inputs[i]];
        ck_assert_str_eq(x->name, y->name);
        ck_assert_int_eq(x->dtype, y->dtype);
        ck_assert_int_eq(x->rank, y->rank);
        for (int k = 0; k < x->rank; k++) ck_assert_int_eq(x->dim[k], y->dim[k]);
    }
}

/* What nobody uses, and Identity, is left out when a file is read. */
START_TEST(random_networks_come_back_bit_for_bit) {
    garden g;
    garden_open(&g, _i);
    dp_graph *again = written(g.n.graph);
    rewriting_check_equal(g.n.graph, again, 0);
    dp_graph_free(again);
    garden_close(&g);
}
END_TEST

START_TEST(every_product_comes_back_bit_for_bit) {
    net n;
    net_open(&n, 61);
    int value = product_cases[_i].build(&n);
    if (n.graph->n_outputs == 0) net_output(&n, value);
    dp_graph *again = written(n.graph);
    check_same_graph(n.graph, again);
    rewriting_check_equal(n.graph, again, 0);
    dp_graph_free(again);
    net_close(&n);
}
END_TEST

/* Models whose outputs are all constants: of every type, from every way to store them. */
static const char *const constants[] = {"encodings", "external", "halves", "constants"};

START_TEST(constants_of_all_types_come_back) {
    dp_graph *graph = model_load(constants[_i]), *again = written(graph);
    ck_assert_int_gt(graph->n_outputs, 0);
    ck_assert_int_eq(graph->n_outputs, again->n_outputs);
    for (int i = 0; i < graph->n_outputs; i++) {
        const dp_tensor *a = output_constant(graph, i), *b = output_constant(again, i);
        ck_assert_str_eq(dp_graph_output_name(graph, i), dp_graph_output_name(again, i));
        if (!a) continue;
        ck_assert_ptr_nonnull(b);
        ck_assert_int_eq(a->dtype, b->dtype);
        ck_assert(dp_tensor_same_shape(a, b));
        ck_assert_mem_eq(a->data, b->data, dp_tensor_bytes(a));
    }
    dp_graph_free(again);
    dp_graph_free(graph);
}
END_TEST

static const char *const models[] = {"small", "norm_conv", "norm_matmul", "order", "opset", "mask"};

START_TEST(folded_models_come_back_as_they_were_folded) {
    dp_graph *graph = model_load(models[_i]), *again = written(graph);
    check_same_graph(graph, again);
    dp_graph_free(again);
    dp_graph_free(graph);
}
END_TEST

/* The same value of one name twice, as folding leaves weights: both are there, under names of their own. */
START_TEST(names_that_are_equal_are_told_apart) {
    net n;
    net_open(&n, 67);
    int x = net_input(&n, "x", DP_F32, 2, NET_DIM(-1, 5));
    int y = net_op(&n, "Relu", NET_IN(net_linear(&n, net_linear(&n, x, 5, 5), 5, 5)), NULL);
    net_output(&n, y);
    for (int v = 0; v < n.graph->n_values; v++)
        if (v != x && v != y) n.graph->values[v].name = v % 2 ? "same" : "x";
    n.graph->nodes[1].name = n.graph->nodes[0].name;
    dp_graph *again = written(n.graph);
    ck_assert_str_eq(dp_graph_input_name(again, 0), "x");
    ck_assert_str_eq(again->nodes[0].name, "Gemm_0");
    ck_assert_str_eq(again->nodes[1].name, "Gemm_0_2");
    rewriting_check_equal(n.graph, again, 0);
    dp_graph_free(again);
    net_close(&n);
}
END_TEST

/* Real types are float32 inside: a Cast to another one would not fit what follows it. */
START_TEST(casts_to_other_reals_are_casts_to_float32) {
    enum { FLOAT16 = 10, INT64 = 7 };
    net n;
    net_open(&n, 71);
    int x = net_input(&n, "x", DP_F32, 2, NET_DIM(-1, 5));
    int a = net_op(&n, "Cast", NET_IN(x), NET_ATTRS(OP_INT("to", FLOAT16)));
    int b = net_op(&n, "Cast", NET_IN(x), NET_ATTRS(OP_INT("to", INT64)));
    n.graph->values[b].dtype = DP_I64;
    net_output(&n, a);
    net_output(&n, b);
    dp_graph *again = written(n.graph);
    ck_assert_int_eq(dp_node_int(rewriting_node(again, "Cast_0"), "to", 0), 1);
    ck_assert_int_eq(dp_node_int(rewriting_node(again, "Cast_1"), "to", 0), INT64);
    dp_graph_free(again);
    net_close(&n);
}
END_TEST

START_TEST(what_decides_while_it_runs_is_refused) {
    dp_graph *graph = model_load("if");
    ck_dp_fails(dp_graph_save(graph, scratch("written.onnx"), &err), DP_EUNSUPPORTED, "(If)");
    dp_graph_free(graph);
}
END_TEST

START_TEST(a_folder_that_is_not_there_is_an_error) {
    dp_graph *graph = model_load("small");
    ck_dp_fails(dp_graph_save(graph, scratch("no/such/folder.onnx"), &err), DP_EIO, "no/such");
    dp_graph_free(graph);
}
END_TEST

Suite *test_onnx_write_suite(void) {
    Suite *s = suite_create("onnx_write");
    TCase *t = tcase_create("writing");
    tcase_add_checked_fixture(t, scratch_setup, scratch_teardown);
    tcase_add_loop_test(t, random_networks_come_back_bit_for_bit, 0, 20);
    tcase_add_loop_test(t, every_product_comes_back_bit_for_bit, 0, product_case_count());
    tcase_add_loop_test(t, constants_of_all_types_come_back, 0,
                        sizeof constants / sizeof *constants);
    tcase_add_loop_test(t, folded_models_come_back_as_they_were_folded, 0,
                        sizeof models / sizeof *models);
    tcase_add_test(t, names_that_are_equal_are_told_apart);
    tcase_add_test(t, casts_to_other_reals_are_casts_to_float32);
    tcase_add_test(t, what_decides_while_it_runs_is_refused);
    tcase_add_test(t, a_folder_that_is_not_there_is_an_error);
    suite_add_tcase(s, t);
    return s;
}
