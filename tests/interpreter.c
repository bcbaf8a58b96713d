/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "interpreter.h"

#include <check.h>
#include <string.h>

#include "base/alloc.h"
#include "suites.h"

typedef struct call {
    dp_op_args args;
    const dp_tensor *in[16], *grad_out[16];
    dp_tensor *out[16], *grad_in[16], hidden[16];
} call;

static bool constant(const interpreter *ip, int value) {
    return ip->graph->values[value].constant != NULL;
}

static void describe(interpreter *ip, const dp_node *node, bool reverse, call *c) {
    *c = (call){
        .args = {.node = node, .n_in = node->n_in, .n_out = node->n_out, .reverse = reverse}};
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        if (v < 0) continue;
        c->in[k] = &ip->values[v];
        if (constant(ip, v)) c->args.constant |= UINT64_C(1) << k;
        if (reverse && ip->values[v].dtype == DP_F32 && !constant(ip, v))
            c->grad_in[k] = &ip->grads[v];
    }
    for (int k = 0; k < node->n_out; k++) {
        c->out[k] = &ip->values[node->out[k]];
        if (reverse && c->out[k]->dtype == DP_F32) c->grad_out[k] = &ip->grads[node->out[k]];
    }
    c->args.in = c->in;
    c->args.out = c->out;
    c->args.grad_in = reverse ? c->grad_in : NULL;
    c->args.grad_out = reverse ? c->grad_out : NULL;
}

/* shape() may look at constants only. */
static void infer(interpreter *ip, const dp_node *node, bool reverse, call *c) {
    describe(ip, node, false, c);
    c->args.reverse = reverse;
    for (int k = 0; k < node->n_in; k++) {
        if (node->in[k] < 0) continue;
        c->hidden[k] = *c->in[k];
        if (!constant(ip, node->in[k])) c->hidden[k].data = NULL;
        c->in[k] = &c->hidden[k];
    }
    ck_dp_ok(node->op->shape(&c->args, &err));
    size_t scratch = c->args.scratch_bytes, state = c->args.state_bytes;
    describe(ip, node, false, c);
    c->args.scratch_bytes = scratch;
    c->args.state_bytes = state;
}

static void allocate_like(dp_tensor *t, const dp_tensor *like) {
    *t = (dp_tensor){0};
    dp_tensor_reshape(t, like->dtype, like->rank, like->dim);
    ck_dp_ok(dp_tensor_allocate(t, &err));
}

void interpret(interpreter *ip, const dp_graph *graph, const dp_tensor *inputs) {
    memset(ip, 0, sizeof *ip);
    ip->graph = graph;
    ck_assert_int_le(graph->n_values, INTERPRETER_VALUES);
    for (int v = 0; v < graph->n_values; v++) {
        if (!constant(ip, v)) continue;
        ip->values[v] = *graph->values[v].constant;
        ip->values[v].borrowed = true;
    }
    for (int i = 0; i < graph->n_inputs; i++) {
        ip->values[graph->inputs[i]] = inputs[i];
        ip->values[graph->inputs[i]].borrowed = true;
    }
    for (int i = 0; i < graph->n_nodes; i++) {
        const dp_node *node = &graph->nodes[i];
        call c;
        infer(ip, node, false, &c);
        for (int k = 0; k < node->n_out; k++) ck_dp_ok(dp_tensor_allocate(c.out[k], &err));
        c.args.scratch = dp_alloc(c.args.scratch_bytes, 1);
        c.args.state = ip->state[i] = dp_alloc(c.args.state_bytes, 1);
        ip->state_bytes[i] = c.args.state_bytes;
        ck_dp_ok(node->op->forward(&c.args, &err));
        dp_free(c.args.scratch);
    }
}

void interpret_reverse(interpreter *ip, int target, const float *seed) {
    const dp_graph *graph = ip->graph;
    for (int v = 0; v < graph->n_values; v++)
        if (ip->values[v].dtype == DP_F32) allocate_like(&ip->grads[v], &ip->values[v]);
    memcpy(ip->grads[target].data, seed, dp_tensor_bytes(&ip->grads[target]));
    for (int i = graph->n_nodes - 1; i >= 0; i--) {
        const dp_node *node = &graph->nodes[i];
        call c;
        if (!node->op->adjoint) continue;
        infer(ip, node, true, &c);
        size_t scratch = c.args.scratch_bytes;
        describe(ip, node, true, &c);
        c.args.scratch_bytes = scratch;
        c.args.scratch = dp_alloc(scratch, 1);
        c.args.state = ip->state[i];
        c.args.state_bytes = ip->state_bytes[i];
        ck_dp_ok(node->op->adjoint(&c.args, &err));
        dp_free(c.args.scratch);
    }
}

void interpreter_close(interpreter *ip) {
    for (int v = 0; v < ip->graph->n_values; v++) {
        dp_tensor_clear(&ip->values[v]);
        dp_tensor_clear(&ip->grads[v]);
    }
    for (int i = 0; i < ip->graph->n_nodes; i++) dp_free(ip->state[i]);
}
