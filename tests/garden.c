/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "garden.h"

#include <check.h>
#include <string.h>

#include "base/alloc.h"
#include "oracle.h"
#include "suites.h"

static int pick(garden *g) { /* late ones more often */
    uint64_t last = (uint64_t)g->count, back = oracle_below(&g->state, last);
    if (oracle_below(&g->state, 2)) back = back < 4 ? back : oracle_below(&g->state, 4);
    return g->values[last - 1 - back];
}

static void grow(garden *g, int value) {
    g->values[g->count++] = value;
}

static int unary(garden *g, int x) {
    static const char *const ops[] = {"Relu",        "Sigmoid", "Tanh",      "Softplus",
                                      "LeakyRelu",   "Elu",     "HardSwish", "Identity",
                                      "HardSigmoid", "Neg",     "Softmax",   "Relu",
                                      "Relu",        "Dropout", "Erf"};
    return net_op(&g->n, ops[oracle_below(&g->state, sizeof ops / sizeof *ops)], NET_IN(x), NULL);
}

/* Views with something between them that may run in place. */
static int through_views(garden *g, int x) {
    net *n = &g->n;
    int flat = net_reshape(n, x, 2, NET_DIM(-1, 144));
    for (uint64_t i = oracle_below(&g->state, 3); i > 0; i--) flat = unary(g, flat);
    if (oracle_below(&g->state, 2)) flat = net_op(n, "Flatten", NET_IN(flat), NULL);
    int back = net_reshape(n, flat, 4, NET_DIM(-1, 4, 6, 6));
    if (oracle_below(&g->state, 3) == 0) grow(g, net_reshape(n, flat, 4, NET_DIM(-1, 4, 6, 6)));
    return back;
}

static int joined(garden *g, int x) {
    net *n = &g->n;
    int wide = net_op(n, "Concat", NET_IN(x, pick(g), x), (dp_attr[]){OP_INT("axis", 1), {0}});
    if (oracle_below(&g->state, 2)) wide = unary(g, wide);
    return net_conv(n, wide, NET_DIM(4, 12, 1, 1), NULL);
}

/* Split into two, of which one may go unused. */
static int parted(garden *g, int x) {
    net *n = &g->n;
    int sizes = net_ints(n, 2, NET_DIM(1, 3));
    int part = net_op_outputs(n, "Split", NET_IN(x, sizes), (dp_attr[]){OP_INT("axis", 1), {0}}, 2);
    if (oracle_below(&g->state, 2)) return net_conv(n, part + 1, NET_DIM(4, 3, 1, 1), NULL);
    int narrow = unary(g, part);
    return net_op(n, "Concat", NET_IN(part + 1, narrow), (dp_attr[]){OP_INT("axis", 1), {0}});
}

static int pooled(garden *g, int x) {
    static const char *const ops[] = {"MaxPool", "AveragePool"};
    dp_attr attrs[] = {OP_INTS("kernel_shape", 3, 3), OP_INTS("pads", 1, 1, 1, 1), {0}};
    return net_op(&g->n, ops[oracle_below(&g->state, 2)], NET_IN(x), attrs);
}

/* Squeeze and excite: a small branch that scales the large one. */
static int gated(garden *g, int x) {
    net *n = &g->n;
    int small = net_op(n, "GlobalAveragePool", NET_IN(x), NULL);
    small = net_conv(n, small, NET_DIM(4, 4, 1, 1), NULL);
    small = net_op(n, "Sigmoid", NET_IN(small), NULL);
    return oracle_below(&g->state, 2) ? net_op(n, "Mul", NET_IN(x, small), NULL)
                                      : net_op(n, "Mul", NET_IN(small, x), NULL);
}

/* Attention of rows to rows: both operands of both products vary. */
static int attended(garden *g, int x) {
    net *n = &g->n;
    dp_attr swap[] = {OP_INTS("perm", 0, 1, 3, 2), {0}};
    int keys = net_op(n, "Transpose", NET_IN(pick(g)), swap);
    int scores = net_op(n, "MatMul", NET_IN(x, keys), NULL);
    scores = net_op(n, "Softmax", NET_IN(scores), (dp_attr[]){OP_INT("axis", -1), {0}});
    return net_op(n, "MatMul", NET_IN(scores, x), NULL);
}

static int convolved(garden *g, int x) {
    dp_attr plain[] = {OP_INTS("pads", 1, 1, 1, 1), {0}};
    dp_attr grouped[] = {OP_INTS("pads", 1, 1, 1, 1), OP_INT("group", 2), {0}};
    dp_attr depthwise[] = {OP_INTS("pads", 1, 1, 1, 1), OP_INT("group", 4), {0}};
    switch (oracle_below(&g->state, 3)) {
    case 0:
        return net_conv(&g->n, x, NET_DIM(4, 4, 3, 3), plain);
    case 1:
        return net_conv(&g->n, x, NET_DIM(4, 2, 3, 3), grouped);
    default:
        return net_conv(&g->n, x, NET_DIM(4, 1, 3, 3), depthwise);
    }
}

static int combined(garden *g, int x) {
    static const char *const ops[] = {"Add", "Mul", "Sub", "Max", "Add", "Min"};
    const char *op = ops[oracle_below(&g->state, sizeof ops / sizeof *ops)];
    int y = oracle_below(&g->state, 8) ? pick(g) : x;
    if (oracle_below(&g->state, 6) == 0) y = net_weights(&g->n, 3, NET_DIM(4, 1, 1), 1);
    return net_op(&g->n, op, oracle_below(&g->state, 2) ? NET_IN(x, y) : NET_IN(y, x), NULL);
}

static int step(garden *g) {
    int x = pick(g);
    switch (oracle_below(&g->state, 13)) {
    case 0:
    case 1:
        return convolved(g, x);
    case 2:
    case 3:
    case 4:
        return unary(g, x);
    case 5:
    case 6:
        return combined(g, x);
    case 7:
        return through_views(g, x);
    case 8:
        return joined(g, x);
    case 9:
        return parted(g, x);
    case 10:
        return pooled(g, x);
    case 11:
        return gated(g, x);
    default:
        return attended(g, x);
    }
}

void garden_open(garden *g, int number) {
    *g = (garden){.state = (uint64_t)number + 1};
    net *n = &g->n;
    net_open(n, (uint64_t)number + 100);
    grow(g, net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 6, 6)));
    if (number % 2) grow(g, net_input(n, "z", DP_F32, 4, NET_DIM(-1, 4, 6, 6)));
    if (number % 3) grow(g, convolved(g, pick(g)));
    for (int steps = 4 + (int)oracle_below(&g->state, 24); steps > 0; steps--) grow(g, step(g));
    int last = convolved(g, pick(g));
    if (oracle_below(&g->state, 2)) last = unary(g, last);
    if (oracle_below(&g->state, 2)) last = net_reshape(n, last, 2, NET_DIM(-1, 144));
    net_output(n, last);
    for (uint64_t i = oracle_below(&g->state, 4); i > 0; i--) {
        int more = pick(g);
        bool known = g->n.graph->values[more].producer < 0;
        for (int k = 0; k < n->graph->n_outputs; k++) known = known || n->graph->outputs[k] == more;
        if (!known) net_output(n, more);
    }
    garden_inputs(g);
}

void garden_inputs(garden *g) {
    for (int k = 0; k < g->n.graph->n_inputs; k++) {
        dp_tensor_reshape(&g->inputs[k], DP_F32, 4, NET_DIM(GARDEN_SAMPLES, 4, 6, 6));
        g->inputs[k].data = oracle_randoms((uint64_t)k + 55, dp_tensor_count(&g->inputs[k]));
    }
}

void garden_close(garden *g) {
    for (int k = 0; k < g->n.graph->n_inputs; k++) dp_free(g->inputs[k].data);
    net_close(&g->n);
}

void garden_feed(const garden *g, dp_run *run) {
    for (int k = 0; k < g->n.graph->n_inputs; k++) {
        dp_tensor *to = dp_run_value(run, g->n.graph->inputs[k]);
        if (to->data) memcpy(to->data, g->inputs[k].data, dp_tensor_bytes(to));
    }
}

dp_status garden_try_plan(const garden *g, bool reverse, int target, dp_plan **plan,
                          dp_error *err) {
    dp_tensor shapes[GARDEN_INPUTS];
    for (int k = 0; k < g->n.graph->n_inputs; k++) {
        shapes[k] = g->inputs[k];
        shapes[k].data = NULL;
    }
    dp_plan_options options = {.samples = GARDEN_SAMPLES,
                               .inputs = shapes,
                               .target = target,
                               .reverse = reverse,
                               .norms = true,
                               .weight_grads = reverse && oracle_below(&(uint64_t){g->state}, 2)};
    return dp_plan_create(plan, g->n.graph, &options, err);
}

dp_plan *garden_plan(const garden *g, bool reverse, int target) {
    dp_plan *plan = NULL;
    ck_dp_ok(garden_try_plan(g, reverse, target, &plan, &err));
    return plan;
}
