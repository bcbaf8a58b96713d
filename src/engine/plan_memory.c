/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Who shares whose data, how long everything lives, and where it goes.
 *
 * Time: forward step i runs at time i, the reverse of step i at 2 n - i, the loss is taken at n.
 */
#include "engine/plan_memory.h"

#include "engine/arena.h"
#include "engine/plan_fuse.h"

typedef struct memory {
    dp_plan *plan;
    const dp_graph *graph;
    int *root;      /* [values] whose data a value shares */
    int *grad_root; /* [values] whose gradient it shares */
    int *uses;      /* [values] consumers among the steps, the loss counts as one */
} memory;

static const dp_node *step_node(const memory *b, int step) {
    return &b->graph->nodes[b->plan->steps[step].node];
}

static bool varies(const memory *b, int value) {
    return value >= 0 && b->plan->needed[value] && !b->plan->values[value].data;
}

/* A value that a node reads: -1 when it is left out. */
static int input_of(const dp_node *node, int k) {
    return k < node->n_in ? node->in[k] : -1;
}

static void count_uses(memory *b) {
    for (int s = 0; s < b->plan->n_steps; s++) {
        const dp_node *node = step_node(b, s);
        for (int k = 0; k < node->n_in; k++)
            if (varies(b, node->in[k])) b->uses[node->in[k]]++;
    }
    for (int i = 0; i < b->graph->n_outputs; i++) b->uses[b->graph->outputs[i]]++;
    if (b->plan->options.target >= 0) b->uses[b->plan->options.target]++;
}

/* May this step write over its first input? Nobody else may read that data, now or in the reverse pass. */
static bool may_overwrite(const memory *b, const dp_node *node, int in) {
    const dp_plan *plan = b->plan;
    const dp_tensor *x = &plan->values[in], *y = &plan->values[node->out[0]];
    if (b->uses[in] != 1 || dp_tensor_bytes(x) != dp_tensor_bytes(y)) return false;
    for (int k = 1; k < node->n_in; k++)
        if (varies(b, node->in[k]) && b->root[node->in[k]] == b->root[in]) return false;
    for (
        int v = in;
        ;) { /* back along views: each link has one consumer, and its producer does not look back */
        int producer = b->graph->values[v].producer;
        if (b->uses[v] != 1) return false;
        if (producer < 0) return b->root[v] == v;
        const dp_op *op = b->graph->nodes[producer].op;
        if (plan->options.reverse && (op->flags & DP_OP_NEEDS_OUT)) return false;
        if (b->root[v] == v || !(op->flags & DP_OP_VIEW)) return true;
        v = b->graph->nodes[producer].in[0];
    }
}

static bool graded(const memory *b, const dp_node *node, int k) {
    int v = input_of(node, k);
    return v >= 0 && varies(b, v) && b->plan->graded[v];
}

/* Nobody else adds to the gradient of the value, or to one that shares it. */
static bool sole_reader(const memory *b, int v) {
    while (b->uses[v] == 1) {
        int producer = b->graph->values[v].producer;
        bool view = producer >= 0 && b->grad_root[v] != v &&
                    (b->graph->nodes[producer].op->flags & DP_OP_VIEW);
        if (!view) return true;
        v = b->graph->nodes[producer].in[0];
    }
    return false;
}

/* The input whose gradient may be where the output's is; -1: none. */
static int handed_on(const memory *b, const dp_step *step) {
    const dp_node *node = &b->graph->nodes[step->node];
    unsigned flags = node->op->flags;
    if (!(flags & DP_OP_HANDS_GRAD) || !step->active || node->n_out != 1) return -1;
    for (int k = 0; k < node->n_in && k < 2; k++) {
        if (!graded(b, node, k) || !b->plan->graded[node->out[0]]) continue;
        bool may =
            flags & DP_OP_LINEAR ? k == 0 || (flags & DP_OP_COMMUTES) : !graded(b, node, 1 - k);
        size_t bytes = dp_tensor_bytes(&b->plan->values[node->in[k]]);
        may = may && bytes == dp_tensor_bytes(&b->plan->values[node->out[0]]);
        if (may && sole_reader(b, node->in[k])) return k;
    }
    return -1;
}

static void share_data(memory *b) {
    for (int v = 0; v < b->graph->n_values; v++) b->root[v] = b->grad_root[v] = v;
    for (int s = 0; s < b->plan->n_steps; s++) {
        const dp_node *node = step_node(b, s);
        if (b->plan->steps[s].finish > 0)
            b->root[step_node(b, b->plan->steps[s].finish)->out[0]] = b->root[node->out[0]];
        int handed = b->plan->options.reverse ? handed_on(b, &b->plan->steps[s]) : -1;
        if (handed >= 0) b->grad_root[node->out[0]] = b->grad_root[node->in[handed]];
        if (b->plan->steps[s].taken) continue;
        int in = input_of(node, 0), out = node->n_out > 0 ? node->out[0] : -1;
        if (out < 0 || !varies(b, in)) continue;
        bool view = (node->op->flags & DP_OP_VIEW) && (node->n_out < 2 || !varies(b, node->out[1]));
        if (view) {
            b->root[out] = b->root[in];
            b->grad_root[out] = b->grad_root[in];
        } else if ((node->op->flags & DP_OP_INPLACE) && may_overwrite(b, node, in)) {
            b->root[out] = b->root[in];
        }
    }
}

/* Does the reverse of this step read the data of its inputs? */
static bool reverse_reads_inputs(const memory *b, const dp_step *step) {
    const dp_op *op = b->graph->nodes[step->node].op;
    if (!step->active || op->flags & (DP_OP_VIEW | DP_OP_INPLACE | DP_OP_LINEAR)) return false;
    for (int i = 0; i < step->n_sites; i++)
        if (b->plan->options.weight_grads || b->plan->options.norm_grads || op->n_sites > 1 ||
            b->plan->sites[step->first_site + i].weight_in < 0)
            return true;
    return step->n_sites == 0;
}

static void live(dp_buffer *buffer, int time) {
    if (time < buffer->first) buffer->first = time;
    if (time > buffer->last) buffer->last = time;
}

static void value_lifetimes(memory *b, dp_buffer *values) {
    dp_plan *plan = b->plan;
    int n = plan->n_steps;
    for (int i = 0; i < b->graph->n_inputs; i++) live(&values[b->root[b->graph->inputs[i]]], 0);
    for (int s = 0; s < n; s++) {
        const dp_step *step = &plan->steps[s];
        const dp_node *node = step_node(b, s);
        for (int k = 0; k < node->n_in; k++) {
            if (!varies(b, node->in[k])) continue;
            live(&values[b->root[node->in[k]]], s);
            if (reverse_reads_inputs(b, step)) live(&values[b->root[node->in[k]]], 2 * n - s);
        }
        for (int k = 0; k < node->n_out; k++) {
            if (node->out[k] < 0) continue;
            live(&values[b->root[node->out[k]]], s);
            if (step->active && (node->op->flags & DP_OP_NEEDS_OUT))
                live(&values[b->root[node->out[k]]], 2 * n - s);
        }
    }
    for (int i = 0; i < b->graph->n_outputs; i++)
        if (varies(b, b->graph->outputs[i])) live(&values[b->root[b->graph->outputs[i]]], n);
    if (varies(b, plan->options.target)) live(&values[b->root[plan->options.target]], n);
}

/* The last step that reads a value is the first whose adjoint adds to its gradient. */
static void gradient_lifetimes(memory *b, dp_buffer *grads) {
    dp_plan *plan = b->plan;
    int n = plan->n_steps;
    for (int v = 0; v < b->graph->n_values; v++) plan->grad_last[v] = -1;
    for (int s = 0; s < n; s++) {
        const dp_node *node = step_node(b, s);
        if (!plan->steps[s].active) continue;
        for (int k = 0; k < node->n_in; k++) {
            int v = node->in[k];
            if (!varies(b, v) || !plan->graded[v]) continue;
            plan->grad_last[b->grad_root[v]] = s;
            live(&grads[b->grad_root[v]], 2 * n - s);
        }
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0 && plan->graded[node->out[k]])
                live(&grads[b->grad_root[node->out[k]]], 2 * n - s);
    }
    int target = b->grad_root[plan->options.target];
    plan->grad_last[target] = n;
    live(&grads[target], n);
}

static size_t value_bytes(const memory *b, int v) {
    return dp_tensor_bytes(&b->plan->values[v]);
}

/* Their gradients follow them. */
static size_t norms_bytes(const dp_plan *plan, int site) {
    return (size_t)plan->sites[site].norms * (plan->options.norm_grads ? 2 : 1) * sizeof(float);
}

/* Norms of sites and states of steps live as long as their step's adjoint may come. */
static void site_lifetimes(const memory *b, dp_buffer *norms, dp_buffer *states) {
    const dp_plan *plan = b->plan;
    for (int s = 0; s < plan->n_steps; s++) {
        const dp_step *step = &plan->steps[s];
        int last = plan->options.reverse && step->active ? 2 * plan->n_steps - s : s;
        states[s] = (dp_buffer){step->state_bytes, s, last, 0};
        for (int i = step->first_site; i < step->first_site + step->n_sites; i++)
            if (plan->options.norms) norms[i] = (dp_buffer){norms_bytes(plan, i), s, last, 0};
    }
}

/* Buffers: [values] data, [values] gradients, [sites] norms, [steps] states; those that do not live or root have no bytes. */
static dp_status place(memory *b, dp_error *err) {
    dp_plan *plan = b->plan;
    int nv = b->graph->n_values, n = plan->n_steps, count = 2 * nv + plan->n_sites + n;
    dp_buffer *buffers = dp_alloc((size_t)count + 1, sizeof *buffers);
    if (!buffers) return dp_fail(err, DP_EMEMORY, "no memory for a plan");
    for (int i = 0; i < count; i++) buffers[i] = (dp_buffer){.first = 2 * n + 1, .last = -1};
    value_lifetimes(b, buffers);
    if (plan->options.reverse) gradient_lifetimes(b, buffers + nv);
    for (int v = 0; v < nv; v++) {
        if (varies(b, v) && b->root[v] == v) buffers[v].bytes = value_bytes(b, v);
        if (plan->graded[v] && b->grad_root[v] == v) buffers[nv + v].bytes = value_bytes(b, v);
    }
    site_lifetimes(b, buffers + 2 * nv, buffers + 2 * nv + plan->n_sites);
    dp_status status = dp_arena_place(buffers, count, &plan->arena_bytes, err);
    for (int v = 0; v < nv; v++) {
        plan->place[v] = varies(b, v) ? buffers[b->root[v]].place : DP_NOWHERE;
        plan->grad_place[v] = plan->graded[v] ? buffers[nv + b->grad_root[v]].place : DP_NOWHERE;
        if (plan->options.reverse) plan->grad_last[v] = plan->grad_last[b->grad_root[v]];
    }
    for (int i = 0; i < plan->n_sites; i++)
        plan->norms_place[i] = plan->options.norms ? buffers[2 * nv + i].place : DP_NOWHERE;
    for (int s = 0; s < n; s++)
        plan->steps[s].state_place = buffers[2 * nv + plan->n_sites + s].place;
    dp_free(buffers);
    return status;
}

dp_status dp_plan_place(dp_plan *plan, dp_error *err) {
    size_t nv = (size_t)plan->graph->n_values + 1;
    memory m = {.plan = plan,
                .graph = plan->graph,
                .root = dp_alloc(nv, sizeof *m.root),
                .grad_root = dp_alloc(nv, sizeof *m.grad_root),
                .uses = dp_alloc(nv, sizeof *m.uses)};
    dp_status status = DP_EMEMORY;
    if (m.root && m.grad_root && m.uses) {
        count_uses(&m);
        status = dp_plan_fuse(plan, m.uses, err);
        if (status == DP_OK) {
            share_data(&m);
            status = place(&m, err);
        }
    } else {
        dp_fail(err, DP_EMEMORY, "%s: no memory for a plan", plan->graph->path);
    }
    dp_free(m.root);
    dp_free(m.grad_root);
    dp_free(m.uses);
    return status;
}
