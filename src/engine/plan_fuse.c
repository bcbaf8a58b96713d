/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A step is taken along by the step of a site when it works element by element on what the site computes, nobody else reads that,
 * and whatever else it reads is there by then. Its output takes the place of the site's, block by block, after noise is added.
 */
#include "engine/plan_fuse.h"

#include "base/alloc.h"

typedef struct fusion {
    dp_plan *plan;
    const int *uses;
    int *reader; /* [values] the last step that reads it */
    int *ready;  /* [values] the step by whose end it is computed; -1: before the first one */
} fusion;

static const dp_node *step_node(const fusion *f, int step) {
    return &f->plan->graph->nodes[f->plan->steps[step].node];
}

static const dp_op *producer_of(const fusion *f, int value) {
    const dp_graph *g = f->plan->graph;
    return g->nodes[g->values[value].producer].op;
}

static void find_readers(fusion *f) {
    for (int v = 0; v < f->plan->graph->n_values; v++) f->reader[v] = f->ready[v] = -1;
    for (int s = 0; s < f->plan->n_steps; s++) {
        const dp_node *node = step_node(f, s);
        for (int k = 0; k < node->n_in; k++)
            if (node->in[k] >= 0) f->reader[node->in[k]] = s;
        for (int k = 0; k < node->n_out; k++)
            if (node->out[k] >= 0) f->ready[node->out[k]] = s;
    }
}

/* See dp_op.finish. */
static bool suits(const dp_tensor *operand, const dp_tensor *out) {
    if (operand->dtype != DP_F32) return false;
    return dp_tensor_same_shape(operand, out) || operand->data;
}

/* May step `next` run on the blocks of value v, which step `site` computes? */
static bool may_take(const fusion *f, int site, int v, int next) {
    const dp_plan *plan = f->plan;
    const dp_node *node = step_node(f, next);
    const dp_op *op = node->op;
    const dp_tensor *out = &plan->values[node->out[0]];
    if (!op->finish || !dp_tensor_same_shape(&plan->values[v], out)) return false;
    if (node->in[0] != v && !(op->flags & DP_OP_COMMUTES)) return false;
    if (plan->options.reverse && !(op->flags & DP_OP_INPLACE))
        return false; /* its adjoint reads v */
    if (plan->options.reverse && producer_of(f, v)->flags & DP_OP_NEEDS_OUT)
        return false; /* that of v's own operator does */
    for (int k = 0; k < node->n_in; k++) {
        int in = node->in[k];
        if (in < 0 || in == v) continue;
        if (!suits(&plan->values[in], out)) return false;
        if (!plan->values[in].data && f->ready[in] >= site) return false;
    }
    return out->dtype == DP_F32;
}

static void take_along(fusion *f, int site) {
    const dp_step *step = &f->plan->steps[site];
    if (step->n_sites == 0 || !(step_node(f, site)->op->flags & DP_OP_SHOWS_OUT)) return;
    for (int s = site;;) {
        int v = step_node(f, s)->out[0], next = f->reader[v];
        if (f->uses[v] != 1 || next < 0 || !may_take(f, site, v, next)) return;
        f->plan->steps[s].finish = next;
        f->plan->steps[next].taken = true;
        f->ready[step_node(f, next)->out[0]] = site;
        s = next;
    }
}

dp_status dp_plan_fuse(dp_plan *plan, const int *uses, dp_error *err) {
    size_t nv = (size_t)plan->graph->n_values + 1;
    fusion f = {plan, uses, dp_alloc(nv, sizeof(int)), dp_alloc(nv, sizeof(int))};
    bool ready = f.reader && f.ready;
    if (ready) {
        find_readers(&f);
        for (int s = 0; s < plan->n_steps; s++) take_along(&f, s);
    }
    dp_free(f.reader);
    dp_free(f.ready);
    return ready ? DP_OK : dp_fail(err, DP_EMEMORY, "%s: no memory for a plan", plan->graph->path);
}
