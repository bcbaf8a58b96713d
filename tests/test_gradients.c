/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gradients at every site of a whole network, against differences of what it computes. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "garden.h"
#include "oracle.h"
#include "suites.h"

/* Adds `step` to one output of one site; in the reverse pass keeps the gradients. */
typedef struct probe {
    int site;
    int64_t sample, element;
    float step;
    double gradient[4096]; /* of the site's outputs of one sample */
} probe;

static void shift(void *self, int site, const dp_product *b) {
    const probe *p = self;
    if (site != p->site || b->sample != p->sample) return;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t q = 0; q < b->positions; q++) {
            int64_t at = c * b->channel_stride + q * b->position_stride;
            if (b->element + at == p->element) b->y[at] += p->step;
        }
}

static void keep(void *self, int site, const dp_product *b) {
    probe *p = self;
    if (site != p->site || b->sample != p->sample) return;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t q = 0; q < b->positions; q++) {
            int64_t at = c * b->channel_stride + q * b->position_stride;
            p->gradient[b->element + at] = (double)b->y[at];
        }
}

/* A residual network with branches, Concat, pooling, attention and a gate; without kinks but for MaxPool. */
static void residual_network(garden *g) {
    net *n = &g->n;
    dp_attr pad[] = {OP_INTS("pads", 1, 1, 1, 1), {0}}, axis[] = {OP_INT("axis", 1), {0}};
    dp_attr halve[] = {OP_INTS("kernel_shape", 2, 2), OP_INTS("strides", 2, 2), {0}};
    *g = (garden){.state = 1};
    net_open(n, 9);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6));
    int stem = net_conv(n, x, NET_DIM(6, 4, 3, 3), pad);
    stem = net_op(n, "Tanh", NET_IN(stem), NULL);
    int branch = net_conv(n, stem, NET_DIM(6, 6, 3, 3), pad);
    branch = net_op(n, "Softplus", NET_IN(branch), NULL);
    branch = net_conv(n, branch, NET_DIM(6, 6, 1, 1), NULL);
    int sum = net_op(n, "Add", NET_IN(stem, branch), NULL);
    int left = net_op(n, "AveragePool", NET_IN(sum), halve);
    int right = net_op(n, "MaxPool", NET_IN(sum), halve);
    int both = net_op(n, "Concat", NET_IN(left, right), axis);
    int gate = net_op(n, "GlobalAveragePool", NET_IN(both), NULL);
    gate = net_op(n, "Sigmoid", NET_IN(net_conv(n, gate, NET_DIM(12, 12, 1, 1), NULL)), NULL);
    both = net_op(n, "Mul", NET_IN(both, gate), NULL);
    int rows = net_reshape(n, both, 3, NET_DIM(-1, 12, 9));
    int keys = net_op(n, "Transpose", NET_IN(rows), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
    int scores = net_op(n, "Softmax", NET_IN(net_op(n, "MatMul", NET_IN(rows, keys), NULL)), NULL);
    rows = net_op(n, "Add", NET_IN(rows, net_op(n, "MatMul", NET_IN(scores, rows), NULL)), NULL);
    net_output(n, net_linear(n, net_op(n, "Flatten", NET_IN(rows), NULL), 10, 108));
}

static double weighted_output(garden *g, dp_run *run, probe *p, const float *seed) {
    dp_hooks hooks = {.self = p, .forward = shift};
    garden_feed(g, run);
    ck_dp_ok(dp_run_forward(run, &hooks, &err));
    const dp_tensor *y = dp_run_value(run, g->n.graph->outputs[0]);
    double sum = 0;
    for (int64_t i = 0; i < dp_tensor_count(y); i++)
        sum += (double)seed[i] * (double)((const float *)y->data)[i];
    return sum;
}

static double slope_at(garden *g, dp_run *run, probe *p, const float *seed, float step) {
    p->step = step;
    double above = weighted_output(g, run, p, seed);
    p->step = -step;
    return (above - weighted_output(g, run, p, seed)) / (2 * (double)step);
}

/* Values of the network below. */
enum {
    FIRST,
    LESS,
    SCALED,
    BENT,
    SQUASHED,
    FLAT,
    CURVED,
    OTHER,
    SUM,
    PRODUCT,
    SMALL,
    WIDE,
    PLACES
};
static int places[PLACES];

/* Chains of elementwise operators, some of whose values have other readers, by themselves or through views. */
static void chains(garden *g) {
    net *n = &g->n;
    *g = (garden){.state = 1};
    net_open(n, 11);
    int x = net_reshape(n, net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6)), 2, NET_DIM(-1, 144));
    int shift = net_weights(n, 1, NET_DIM(8), 1), scale = net_weights(n, 1, NET_DIM(8), 1);
    places[FIRST] = net_linear(n, x, 8, 144);
    places[LESS] = net_op(n, "Sub", NET_IN(places[FIRST], shift), NULL);
    places[SCALED] = net_op(n, "Mul", NET_IN(scale, places[LESS]), NULL);
    places[BENT] = net_op(n, "Tanh", NET_IN(places[SCALED]), NULL);
    places[SQUASHED] = net_op(n, "Sigmoid", NET_IN(places[BENT]), NULL);
    int second =
        net_linear(n, net_op(n, "Add", NET_IN(places[BENT], places[SQUASHED]), NULL), 8, 8);
    places[FLAT] = net_reshape(n, second, 3, NET_DIM(-1, 2, 4));
    places[CURVED] = net_op(n, "Softplus", NET_IN(places[FLAT]), NULL);
    places[OTHER] = net_reshape(n, net_linear(n, second, 8, 8), 3, NET_DIM(-1, 2, 4));
    places[SUM] = net_op(n, "Add", NET_IN(places[CURVED], places[OTHER]), NULL);
    int gate = net_reshape(n, net_linear(n, x, 8, 144), 3, NET_DIM(-1, 2, 4));
    places[PRODUCT] = net_op(n, "Mul", NET_IN(places[SUM], gate), NULL);
    places[SMALL] =
        net_op(n, "ReduceMean", NET_IN(places[PRODUCT]), (dp_attr[]){OP_INTS("axes", 1), {0}});
    places[WIDE] = net_op(n, "Sub", NET_IN(places[SMALL], places[PRODUCT]), NULL);
    net_output(n, net_linear(n, net_reshape(n, places[WIDE], 2, NET_DIM(-1, 8)), 10, 8));
}

/*
 * Differences over h = 2^-5 and 2^-4, extrapolated to fourth order: their error is about h^4, and float32's of 10 outputs of
 * size 1 over h, both about 1e-4 of gradients of size 1; mistakes are of the size of gradients. Where the two differ by
 * more than a smooth function's would, another input of MaxPool has become the largest; that may happen to a tenth.
 */
static void check_gradients(void (*make)(garden *), int sites, int site) {
    garden g;
    dp_run *run = NULL;
    static probe p;
    make(&g);
    garden_inputs(&g);
    dp_plan *plan = garden_plan(&g, true, g.n.graph->outputs[0]);
    ck_assert_int_eq(plan->n_sites, sites);
    ck_dp_ok(dp_run_create(&run, plan, &err));
    float *seed = oracle_randoms(5, GARDEN_SAMPLES * 10);
    p = (probe){.site = site, .sample = 1};
    weighted_output(&g, run, &p, seed);
    memcpy(dp_run_seed(run)->data, seed, dp_tensor_bytes(dp_run_seed(run)));
    ck_dp_ok(dp_run_reverse(run, &(dp_hooks){.self = &p, .reverse = keep}, &err));
    const dp_tensor *y = &plan->values[g.n.graph->nodes[plan->sites[site].node].out[0]];
    double off = 0, size = 0;
    int64_t count = dp_tensor_count(y) / GARDEN_SAMPLES, kinks = 0;
    for (p.element = 0; p.element < count; p.element++) {
        double near = slope_at(&g, run, &p, seed, 0x1p-5F);
        double far = slope_at(&g, run, &p, seed, 0x1p-4F);
        if (fabs(near - far) > 1e-3) {
            kinks++;
            continue;
        }
        off += pow((4 * near - far) / 3 - p.gradient[p.element], 2);
        size += pow(p.gradient[p.element], 2);
    }
    ck_assert_int_le(kinks, count / 10);
    ck_assert_msg(size > 1e-2 && sqrt(off / size) < 2e-3, "site %d: gradients %g, off by %g", site,
                  sqrt(size), sqrt(off));
    dp_run_free(run);
    dp_plan_free(plan);
    dp_free(seed);
    garden_close(&g);
}

START_TEST(gradients_are_those_of_the_whole_network) {
    check_gradients(residual_network, 7, _i);
}
END_TEST

START_TEST(shared_gradients_are_those_of_the_whole_network) {
    check_gradients(chains, 5, _i);
}
END_TEST

/* Where a value's gradient has the memory of another one's. */
static bool shares(const garden *g, const dp_plan *plan, const char *one, const char *other) {
    const dp_graph *graph = g->n.graph;
    int at[2] = {-1, -1};
    for (int v = 0; v < graph->n_values; v++) {
        if (strcmp(graph->values[v].name, one) == 0) at[0] = v;
        if (strcmp(graph->values[v].name, other) == 0) at[1] = v;
    }
    ck_assert(at[0] >= 0 && at[1] >= 0 && plan->graded[at[0]] && plan->graded[at[1]]);
    return plan->grad_place[at[0]] == plan->grad_place[at[1]];
}

/* Of the chains above. */
START_TEST(gradients_are_shared_where_nobody_else_adds) {
    garden g;
    chains(&g);
    garden_inputs(&g);
    dp_plan *plan = garden_plan(&g, true, g.n.graph->outputs[0]);
    const char *name[sizeof places / sizeof *places];
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        name[i] = g.n.graph->values[places[i]].name;
    ck_assert(shares(&g, plan, name[FIRST], name[LESS]));
    ck_assert(shares(&g, plan, name[FIRST], name[SCALED]));
    ck_assert(shares(&g, plan, name[FIRST], name[BENT]));
    ck_assert(!shares(&g, plan, name[BENT], name[SQUASHED])); /* BENT has another reader */
    ck_assert(!shares(&g, plan, name[FLAT], name[CURVED]));   /* what FLAT views has one */
    ck_assert(shares(&g, plan, name[SUM], name[CURVED]) !=
              shares(&g, plan, name[SUM], name[OTHER]));    /* one of two summands */
    ck_assert(!shares(&g, plan, name[PRODUCT], name[SUM])); /* both factors have gradients */
    ck_assert(!shares(&g, plan, name[SMALL], name[WIDE]));  /* broadcast */
    dp_plan_free(plan);
    garden_close(&g);
}
END_TEST

Suite *test_gradients_suite(void) {
    Suite *suite = suite_create("gradients of a network");
    TCase *tcase = tcase_create("gradients");
    tcase_add_loop_test(tcase, gradients_are_those_of_the_whole_network, 0, 7);
    tcase_add_loop_test(tcase, shared_gradients_are_those_of_the_whole_network, 0, 5);
    tcase_add_test(tcase, gradients_are_shared_where_nobody_else_adds);
    suite_add_tcase(suite, tcase);
    return suite;
}
