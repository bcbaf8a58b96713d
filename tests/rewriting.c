/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rewriting.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dynaprec/run.h"
#include "oracle.h"
#include "suites.h"

/* Random arrays for all inputs, free dimensions of 3 samples and 5 others; clear with dp_npz_clear. */
static dp_npz random_inputs(const dp_graph *graph) {
    dp_npz inputs = {.arrays = dp_alloc((size_t)graph->n_inputs, sizeof *inputs.arrays)};
    ck_assert_ptr_nonnull(inputs.arrays);
    for (int i = 0; i < graph->n_inputs; i++, inputs.count++) {
        const dp_value *value = &graph->values[graph->inputs[i]];
        dp_tensor *t = &inputs.arrays[i].tensor;
        inputs.arrays[i].name = dp_strdup(value->name);
        dp_tensor_reshape(t, DP_F32, value->rank, value->dim);
        for (int k = 0; k < t->rank; k++)
            if (t->dim[k] < 0) t->dim[k] = k == 0 ? 3 : 5;
        t->data = oracle_randoms(100 + (uint64_t)i, dp_tensor_count(t));
    }
    return inputs;
}

static void check_same(const dp_tensor *a, const dp_tensor *b, double tolerance) {
    const float *x = a->data, *y = b->data;
    double largest = 0, difference = 0;
    ck_assert(dp_tensor_same_shape(a, b));
    for (int64_t i = 0; i < dp_tensor_count(a); i++) {
        largest = fmax(largest, fabs((double)x[i]));
        difference = fmax(difference, fabs((double)x[i] - (double)y[i]));
        ck_assert(isfinite(y[i]));
    }
    ck_assert_msg(difference <= tolerance * fmax(largest, 1), "outputs differ by %g of %g",
                  difference, largest);
}

/* Both graphs give the same outputs, under the same names, on random inputs. */
void rewriting_check_equal(const dp_graph *graph, const dp_graph *other, double tolerance) {
    dp_npz inputs = random_inputs(graph), a = {0}, b = {0};
    ck_dp_ok(dp_run_whole(&a, graph, &inputs, &err));
    ck_dp_ok(dp_run_whole(&b, other, &inputs, &err));
    ck_assert_uint_eq(a.count, b.count);
    for (size_t i = 0; i < a.count; i++) {
        ck_assert_str_eq(a.arrays[i].name, b.arrays[i].name);
        check_same(&a.arrays[i].tensor, &b.arrays[i].tensor, tolerance);
    }
    dp_npz_clear(&inputs);
    dp_npz_clear(&a);
    dp_npz_clear(&b);
}

const dp_node *rewriting_node(const dp_graph *graph, const char *name) {
    for (int n = 0; n < graph->n_nodes; n++)
        if (strcmp(graph->nodes[n].name, name) == 0) return &graph->nodes[n];
    ck_abort_msg("no node '%s'", name);
}

/* What a value is on random inputs; clear with dp_npz_clear. */
dp_npz rewriting_value(dp_graph *graph, int value) {
    dp_npz inputs = random_inputs(graph), out = {0};
    int *outputs = graph->outputs, count = graph->n_outputs;
    graph->outputs = &value;
    graph->n_outputs = 1;
    ck_dp_ok(dp_run_whole(&out, graph, &inputs, &err));
    graph->outputs = outputs;
    graph->n_outputs = count;
    dp_npz_clear(&inputs);
    return out;
}

/* The site's operand in `other` is alpha (x - mu), x the one in `graph`. Where one is NULL: 1 and 0. */
void rewriting_check_reads(dp_graph *graph, dp_graph *other, const char *node, int input_in,
                           const dp_conditionable *can, const dp_conditioned_site *site) {
    dp_npz a = rewriting_value(graph, rewriting_node(graph, node)->in[input_in]);
    dp_npz b = rewriting_value(other, rewriting_node(other, node)->in[input_in]);
    const dp_tensor *x = &a.arrays[0].tensor, *y = &b.arrays[0].tensor;
    int64_t inner = 1;
    ck_assert(dp_tensor_same_shape(x, y));
    for (int i = x->rank + can->axis + 1; i < x->rank; i++) inner *= x->dim[i];
    ck_assert_int_eq(x->dim[x->rank + can->axis], can->inputs);
    for (int64_t i = 0; i < dp_tensor_count(x); i++) {
        int64_t j = i / inner % can->inputs;
        double mu = site->mu ? (double)site->mu[j] : 0;
        double alpha = site->alpha ? (double)site->alpha[j] : 1;
        double want = alpha * ((double)((const float *)x->data)[i] - mu);
        double is = (double)((const float *)y->data)[i];
        ck_assert_msg(fabs(is - want) <= 1e-5 * fmax(1, fabs(want)), "reads %g, not %g", is, want);
    }
    dp_npz_clear(&a);
    dp_npz_clear(&b);
}

dp_conditionable rewriting_allowed(const dp_graph *graph, const char *site) {
    dp_conditionables list;
    dp_conditionable found = {0};
    ck_dp_ok(dp_graph_conditionable(&list, graph, &err));
    for (int i = 0; i < list.count; i++)
        if (strcmp(list.sites[i].site, site) == 0) found = list.sites[i];
    dp_conditionables_clear(&list);
    return found;
}

float *rewriting_alpha(int64_t count, uint64_t seed) {
    float *alpha = oracle_randoms(seed, count);
    for (int64_t i = 0; i < count; i++) alpha[i] = exp2f(2 * alpha[i]);
    return alpha;
}

const char *rewriting_site(const dp_node *node, char text[80]) {
    snprintf(text, 80, "%s%s", node->name, node->op->n_sites == 2 ? ":input" : "");
    return text;
}
