/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Making a plan, in this order: which values the target needs; shapes and folding, node by node; the sites; which values
 * have gradients; and, in plan_memory.c, where everything is kept.
 */
#include "engine/plan.h"

#include <string.h>

#include "engine/plan_memory.h"

typedef struct builder {
    dp_plan *plan;
    const dp_graph *graph;
    char *scratch; /* for folding */
    size_t scratch_capacity;
    const dp_tensor **in;
    dp_tensor **out; /* argument lists of one node */
    dp_site_port port;
} builder;

static void *array(size_t count, size_t size) {
    return dp_alloc(count ? count : 1, size);
}

static void mark_needed(builder *b) {
    const dp_graph *g = b->graph;
    if (b->plan->options.target >= 0)
        b->plan->needed[b->plan->options.target] = true;
    else
        for (int i = 0; i < g->n_outputs; i++) b->plan->needed[g->outputs[i]] = true;
    for (int n = g->n_nodes - 1; n >= 0; n--) {
        const dp_node *node = &g->nodes[n];
        bool wanted = false;
        for (int k = 0; k < node->n_out; k++)
            wanted = wanted || (node->out[k] >= 0 && b->plan->needed[node->out[k]]);
        for (int k = 0; wanted && k < node->n_in; k++)
            if (node->in[k] >= 0) b->plan->needed[node->in[k]] = true;
        /* operators may leave out all outputs but the first */
        if (wanted && node->out[0] >= 0) b->plan->needed[node->out[0]] = true;
    }
}

static bool node_needed(const builder *b, const dp_node *node) {
    for (int k = 0; k < node->n_out; k++)
        if (node->out[k] >= 0 && b->plan->needed[node->out[k]]) return true;
    return false;
}

static void take_known(builder *b) {
    const dp_graph *g = b->graph;
    for (int i = 0; i < g->n_values; i++) {
        if (!g->values[i].constant) continue;
        b->plan->values[i] = *g->values[i].constant;
        b->plan->values[i].borrowed = true;
    }
    for (int i = 0; i < g->n_inputs; i++) {
        b->plan->values[g->inputs[i]] = b->plan->options.inputs[i];
        b->plan->values[g->inputs[i]].borrowed = true;
    }
}

/* Outputs of a branch that is not taken have no type. */
static bool is_there(const builder *b, int value) {
    return value >= 0 && b->plan->values[value].dtype != DP_NONE;
}

/* The node's arguments as the plan knows them; data is NULL for what is not constant. */
static dp_op_args arguments(builder *b, const dp_node *node) {
    dp_op_args a = {.node = node,
                    .n_in = node->n_in,
                    .n_out = node->n_out,
                    .reverse = b->plan->options.reverse};
    for (int k = 0; k < node->n_in; k++) {
        b->in[k] = is_there(b, node->in[k]) ? &b->plan->values[node->in[k]] : NULL;
        if (b->in[k] && b->in[k]->data && k < 64) a.constant |= (uint64_t)1 << k;
    }
    for (int k = 0; k < node->n_out; k++)
        b->out[k] = node->out[k] >= 0 && b->plan->needed[node->out[k]]
                        ? &b->plan->values[node->out[k]]
                        : NULL;
    a.in = b->in;
    a.out = b->out;
    return a;
}

static bool foldable(const builder *b, const dp_node *node) {
    if (node->op->flags & DP_OP_SHAPE_ONLY) return true;
    for (int k = 0; k < node->n_in; k++)
        if (is_there(b, node->in[k]) && !b->plan->values[node->in[k]].data) return false;
    return true;
}

/* Put the file's name before an operator's message. */
static dp_status in_file(const builder *b, dp_status status, dp_error *err) {
    if (status == DP_OK || !err) return status;
    /* what is out of range in a file is a fault of the file, not of its reader's caller */
    if (status == DP_ERANGE) status = DP_EFORMAT;
    return dp_fail(err, status, "%s: %s", b->graph->path, err->text);
}

static dp_status fold_node(builder *b, dp_op_args *a, dp_error *err) {
    size_t scratch = (a->scratch_bytes + DP_ALIGNMENT - 1) / DP_ALIGNMENT * DP_ALIGNMENT;
    if (scratch + a->state_bytes > b->scratch_capacity) {
        dp_free(b->scratch);
        b->scratch_capacity = 0;
        b->scratch = dp_alloc(scratch + a->state_bytes, 1);
        if (!b->scratch) return dp_fail(err, DP_EMEMORY, "no memory to fold constants");
        b->scratch_capacity = scratch + a->state_bytes;
    }
    a->scratch = b->scratch;
    a->state = b->scratch + scratch;
    for (int k = 0; k < a->n_out; k++) {
        if (!a->out[k]) continue;
        dp_status status = dp_tensor_allocate(a->out[k], err);
        if (status != DP_OK) return status;
    }
    return a->node->op->forward(a, err);
}

static dp_status add_sites(builder *b, dp_op_args *a, dp_step *step, dp_error *err) {
    dp_plan *plan = b->plan;
    step->first_site = plan->n_sites;
    for (int slot = 0; slot < a->node->op->n_sites; slot++) {
        dp_site *site = &plan->sites[plan->n_sites];
        *site = (dp_site){0};
        dp_status status = a->node->op->site(a, slot, site, err);
        if (status != DP_OK) return status;
        if (site->channels == 0) continue;
        site->node = step->node;
        site->slot = slot;
        plan->n_sites++;
        step->n_sites++;
        size_t bytes = site->input_in >= 0 ? dp_tensor_bytes(a->in[site->input_in]) : 0;
        if (site->weight_in < 0 && a->n_in > 1 && dp_tensor_bytes(a->in[1]) > bytes)
            bytes = dp_tensor_bytes(a->in[1]);
        if (bytes > plan->operand_bytes) plan->operand_bytes = bytes;
    }
    return DP_OK;
}

static dp_status plan_node(builder *b, int index, dp_error *err) {
    const dp_node *node = &b->graph->nodes[index];
    dp_op_args a = arguments(b, node);
    bool fold = foldable(b, node);
    const dp_plan_options *options = &b->plan->options;
    bool analog = !fold && node->op->n_sites > 0 &&
                  !(options->digital && options->digital(options->digital_self, node));
    if (analog) a.port = &b->port;
    dp_status status = node->op->shape(&a, err);
    if (status != DP_OK) return status;
    if (fold) return fold_node(b, &a, err);
    dp_step *step = &b->plan->steps[b->plan->n_steps++];
    step->node = index;
    step->scratch_bytes = a.scratch_bytes;
    step->state_bytes = a.state_bytes;
    if (a.scratch_bytes > b->plan->scratch_bytes) b->plan->scratch_bytes = a.scratch_bytes;
    return analog ? add_sites(b, &a, step, err) : DP_OK;
}

/* The conditions that lead to a branch are known, and lead there. */
static bool holds(const builder *b, int guard) {
    for (; guard; guard = b->graph->guards[guard - 1].outer) {
        const dp_guard *g = &b->graph->guards[guard - 1];
        const dp_tensor *condition = &b->plan->values[g->value];
        if (!dp_is_condition(condition) || (*(const uint8_t *)condition->data != 0) != g->is)
            return false;
    }
    return true;
}

static dp_status plan_nodes(builder *b, dp_error *err) {
    for (int n = 0; n < b->graph->n_nodes; n++) {
        if (!node_needed(b, &b->graph->nodes[n]) || !holds(b, b->graph->nodes[n].guard)) continue;
        dp_status status = plan_node(b, n, err);
        if (status != DP_OK) return in_file(b, status, err);
    }
    return DP_OK;
}

static const dp_node *step_node(const builder *b, int step) {
    return &b->graph->nodes[b->plan->steps[step].node];
}

static bool varies(const builder *b, int value) {
    return value >= 0 && b->plan->needed[value] && !b->plan->values[value].data;
}

/* A value has a gradient when it comes from a site and leads to the target. */
static dp_status mark_gradients(builder *b, dp_error *err) {
    dp_plan *plan = b->plan;
    if (!plan->options.reverse) return DP_OK;
    bool *leads = array((size_t)b->graph->n_values, sizeof *leads);
    if (!leads) return dp_fail(err, DP_EMEMORY, "no memory for a plan");
    leads[plan->options.target] = true;
    for (int s = plan->n_steps - 1; s >= 0; s--) {
        const dp_node *node = step_node(b, s);
        bool wanted = false;
        for (int k = 0; k < node->n_out; k++)
            wanted = wanted || (node->out[k] >= 0 && leads[node->out[k]] &&
                                plan->values[node->out[k]].dtype == DP_F32);
        for (int k = 0; wanted && k < node->n_in; k++)
            if (node->in[k] >= 0) leads[node->in[k]] = true;
    }
    const dp_node *missing = NULL;
    for (int s = 0; s < plan->n_steps; s++) {
        const dp_node *node = step_node(b, s);
        bool from_site = plan->steps[s].n_sites > 0;
        for (int k = 0; k < node->n_in; k++)
            from_site = from_site || (varies(b, node->in[k]) && plan->graded[node->in[k]]);
        bool reached = false;
        for (int k = 0; from_site && k < node->n_out; k++) {
            int v = node->out[k];
            if (v < 0 || !leads[v] || plan->values[v].dtype != DP_F32) continue;
            reached = true;
            plan->graded[v] = true;
            plan->steps[s].active = true;
            if (!node->op->adjoint && !missing) missing = node;
        }
        /* a site whose outputs matter only through integers would look as if it could be as noisy as it likes */
        if (plan->steps[s].n_sites > 0 && !reached && !missing) missing = node;
    }
    dp_free(leads);
    if (!missing) return DP_OK;
    return dp_fail(err, DP_EUNSUPPORTED, "%s: node '%s' (%s) %s", b->graph->path, missing->name,
                   missing->op_type,
                   missing->op->adjoint
                       ? "reaches the output through integers only, which have no gradient"
                       : "has no reverse pass and lies between a site and the output");
}

static int total_sites(const dp_graph *g) {
    int count = 0;
    for (int n = 0; n < g->n_nodes; n++) count += g->nodes[n].op->n_sites;
    return count;
}

static void longest_lists(const dp_graph *g, size_t *in, size_t *out) {
    *in = *out = 1;
    for (int n = 0; n < g->n_nodes; n++) {
        if ((size_t)g->nodes[n].n_in > *in) *in = (size_t)g->nodes[n].n_in;
        if ((size_t)g->nodes[n].n_out > *out) *out = (size_t)g->nodes[n].n_out;
    }
}

static bool allocate(builder *b) {
    dp_plan *p = b->plan;
    size_t nv = (size_t)b->graph->n_values, sites = (size_t)total_sites(b->graph), in, out;
    longest_lists(b->graph, &in, &out);
    return (p->values = array(nv, sizeof *p->values)) &&
           (p->needed = array(nv, sizeof *p->needed)) &&
           (p->graded = array(nv, sizeof *p->graded)) && (p->place = array(nv, sizeof *p->place)) &&
           (p->grad_place = array(nv, sizeof *p->grad_place)) &&
           (p->grad_last = array(nv, sizeof *p->grad_last)) &&
           (p->steps = array((size_t)b->graph->n_nodes, sizeof *p->steps)) &&
           (p->sites = array(sites, sizeof *p->sites)) &&
           (p->norms_place = array(sites, sizeof *p->norms_place)) &&
           (b->in = array(in, sizeof(dp_tensor *))) && (b->out = array(out, sizeof(dp_tensor *)));
}

static void release(builder *b) {
    dp_free(b->scratch);
    dp_free((void *)b->in);
    dp_free((void *)b->out);
}

static dp_status build(builder *b, dp_error *err) {
    dp_status status;
    mark_needed(b);
    take_known(b);
    if ((status = plan_nodes(b, err)) != DP_OK) return status;
    if ((status = mark_gradients(b, err)) != DP_OK) return status;
    return dp_plan_place(b->plan, err);
}

dp_status dp_plan_create(dp_plan **out, const dp_graph *graph, const dp_plan_options *options,
                         dp_error *err) {
    *out = NULL;
    builder b = {.graph = graph, .plan = dp_alloc(1, sizeof *b.plan)};
    if (!b.plan) return dp_fail(err, DP_EMEMORY, "%s: no memory for a plan", graph->path);
    b.plan->graph = graph;
    b.plan->options = *options;
    b.port = (dp_site_port){.samples = options->samples,
                            .norms = options->norms,
                            .weight_grads = options->weight_grads};
    dp_status status = allocate(&b)
                           ? build(&b, err)
                           : dp_fail(err, DP_EMEMORY, "%s: no memory for a plan", graph->path);
    release(&b);
    if (status != DP_OK)
        dp_plan_free(b.plan);
    else
        *out = b.plan;
    return status;
}

void dp_plan_free(dp_plan *plan) {
    if (!plan) return;
    for (int i = 0; plan->values && i < plan->graph->n_values; i++)
        dp_tensor_clear(&plan->values[i]);
    dp_free(plan->values);
    dp_free(plan->needed);
    dp_free(plan->graded);
    dp_free(plan->place);
    dp_free(plan->grad_place);
    dp_free(plan->grad_last);
    dp_free(plan->steps);
    dp_free(plan->sites);
    dp_free(plan->norms_place);
    dp_free(plan);
}
