/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Argument lists of all steps are made once, so that a step is one call. */
#include "engine/run.h"

#include <string.h>

typedef struct step_call {
    dp_op_args args;
    dp_site_port port;
    struct dp_run *run;
    int first_site, n_sites;
    const dp_tensor **in, **replaced; /* [n_in] as planned; as the hooks want it */
    dp_tensor **out;
    const dp_tensor **grad_out;
    dp_tensor **grad_in;
    bool view;                /* shares data: nothing to run */
    bool taken;               /* an earlier step runs it forward */
    struct step_call *finish; /* see dp_step */
} step_call;

struct dp_run {
    const dp_plan *plan;
    const dp_hooks *hooks;
    bool reverse; /* which of the hooks a block goes to */
    dp_arena lists;
    char *arena;
    void *scratch;
    dp_tensor *values, *grads; /* [graph values] */
    step_call *calls;          /* [n_steps] */
};

/* Slots whose operands are all constant are no sites. */
static int site_of_slot(const step_call *call, int slot) {
    int site = call->first_site;
    while (call->run->plan->sites[site].slot != slot) site++;
    return site;
}

static void show_operand(void *self, int slot, float *values, int64_t count) {
    step_call *call = self;
    const dp_hooks *hooks = call->run->hooks;
    if (hooks->state) hooks->state(hooks->self, site_of_slot(call, slot), values, count);
}

/* A part of a block that stays in the first-level cache while it goes from one to the next. */
enum { FINISH = 4096 };

static void finish_run(const step_call *call, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; i += FINISH)
        for (const step_call *next = call->finish; next; next = next->finish)
            next->args.node->op->finish(&next->args, first + i,
                                        count - i < FINISH ? count - i : FINISH);
}

/* What follows elementwise, on what the block covers of the output. */
static void finish_block(const step_call *call, const dp_product *b) {
    int64_t first = b->y - (const float *)call->out[0]->data;
    bool rows = b->position_stride == 1;
    int64_t outer = rows ? b->channels : b->positions, inner = rows ? b->positions : b->channels;
    int64_t stride = rows ? b->channel_stride : b->position_stride;
    if (stride == inner) inner *= outer, outer = 1;
    for (int64_t i = 0; i < outer; i++) finish_run(call, first + i * stride, inner);
}

static void show(void *self, const dp_product *block) {
    step_call *call = self;
    const dp_hooks *hooks = call->run->hooks;
    int site = site_of_slot(call, block->slot);
    if (call->run->reverse) {
        if (hooks->reverse) hooks->reverse(hooks->self, site, block);
    } else {
        if (hooks->forward) hooks->forward(hooks->self, site, block);
        if (call->finish) finish_block(call, block);
    }
}

static void place_values(dp_run *run) {
    const dp_plan *plan = run->plan;
    for (int v = 0; v < plan->graph->n_values; v++) {
        run->values[v] = plan->values[v];
        run->values[v].borrowed = true;
        if (plan->place[v] != DP_NOWHERE) run->values[v].data = run->arena + plan->place[v];
        if (plan->grad_place[v] == DP_NOWHERE) continue;
        run->grads[v] = run->values[v];
        run->grads[v].data = run->arena + plan->grad_place[v];
    }
}

static void *list(dp_run *run, int count) {
    return dp_arena_alloc(&run->lists, (size_t)(count ? count : 1), sizeof(void *));
}

static void set_port(dp_run *run, step_call *call) {
    const dp_plan *plan = run->plan;
    call->port = (dp_site_port){.self = call,
                                .product = show,
                                .operand = show_operand,
                                .samples = plan->options.samples,
                                .norms = plan->options.norms,
                                .weight_grads = plan->options.weight_grads};
    for (int i = 0; i < call->n_sites; i++) {
        int site = call->first_site + i;
        if (plan->options.norms)
            call->port.x2[plan->sites[site].slot] =
                (float *)(void *)(run->arena + plan->norms_place[site]);
    }
    call->args.port = &call->port;
}

static bool prepare(dp_run *run, const dp_step *step, step_call *call) {
    const dp_plan *plan = run->plan;
    const dp_node *node = &plan->graph->nodes[step->node];
    call->run = run;
    call->first_site = step->first_site;
    call->n_sites = step->n_sites;
    call->args = (dp_op_args){.node = node,
                              .n_in = node->n_in,
                              .n_out = node->n_out,
                              .scratch = run->scratch,
                              .scratch_bytes = step->scratch_bytes,
                              .state = run->arena + step->state_place,
                              .state_bytes = step->state_bytes};
    call->in = list(run, node->n_in);
    call->replaced = list(run, node->n_in);
    call->grad_in = list(run, node->n_in);
    call->out = list(run, node->n_out);
    call->grad_out = list(run, node->n_out);
    if (!call->in || !call->replaced || !call->grad_in || !call->out || !call->grad_out)
        return false;
    for (int k = 0; k < node->n_in; k++) {
        int v = node->in[k];
        if (v < 0) continue;
        call->in[k] = call->replaced[k] = &run->values[v];
        if (plan->values[v].data && k < 64) call->args.constant |= (uint64_t)1 << k;
        if (run->grads[v].data) call->grad_in[k] = &run->grads[v];
    }
    for (int k = 0; k < node->n_out; k++) {
        int v = node->out[k];
        if (v < 0 || !plan->needed[v]) continue;
        call->out[k] = &run->values[v];
        if (run->grads[v].data) call->grad_out[k] = &run->grads[v];
    }
    call->view = (node->op->flags & DP_OP_VIEW) && node->n_in > 0 && call->in[0] && call->out[0] &&
                 call->in[0]->data == call->out[0]->data;
    call->taken = step->taken;
    if (step->finish > 0) call->finish = &run->calls[step->finish];
    call->args.in = call->replaced;
    call->args.out = call->out;
    if (call->n_sites) set_port(run, call);
    return true;
}

dp_status dp_run_create(dp_run **out, const dp_plan *plan, dp_error *err) {
    *out = NULL;
    size_t nv = (size_t)plan->graph->n_values;
    dp_run *run = dp_alloc(1, sizeof *run);
    if (!run) goto fail;
    run->plan = plan;
    run->arena = dp_alloc(plan->arena_bytes, 1);
    run->scratch = dp_alloc(plan->scratch_bytes, 1);
    run->values = dp_alloc(nv, sizeof *run->values);
    run->grads = dp_alloc(nv, sizeof *run->grads);
    run->calls = dp_alloc((size_t)plan->n_steps, sizeof *run->calls);
    if (!run->arena || !run->scratch || !run->values || !run->grads || !run->calls) goto fail;
    place_values(run);
    for (int s = 0; s < plan->n_steps; s++)
        if (!prepare(run, &plan->steps[s], &run->calls[s])) goto fail;
    *out = run;
    return DP_OK;
fail:
    dp_run_free(run);
    return dp_fail(err, DP_EMEMORY, "%s: no memory for a batch of %lld samples (%zu bytes)",
                   plan->graph->path, (long long)plan->options.samples,
                   plan->arena_bytes + plan->scratch_bytes);
}

void dp_run_free(dp_run *run) {
    if (!run) return;
    dp_arena_free(&run->lists);
    dp_free(run->arena);
    dp_free(run->scratch);
    dp_free(run->values);
    dp_free(run->grads);
    dp_free(run->calls);
    dp_free(run);
}

dp_tensor *dp_run_value(dp_run *run, int value) {
    return &run->values[value];
}

dp_tensor *dp_run_seed(dp_run *run) {
    return &run->grads[run->plan->options.target];
}

/* Let the hooks replace what a site reads. */
static void replace_operands(dp_run *run, step_call *call) {
    if (call->n_sites == 0 || !run->hooks->operand) return;
    for (int k = 0; k < call->args.n_in; k++)
        if (call->in[k])
            call->replaced[k] =
                run->hooks->operand(run->hooks->self, call->first_site, k, call->in[k]);
}

static const dp_kept *kept_of(const dp_run *run, const step_call *call) {
    bool keeps = call->n_sites && (call->args.node->op->flags & DP_OP_KEEPS) && run->hooks->kept;
    return keeps ? run->hooks->kept(run->hooks->self, call->first_site, run->reverse) : NULL;
}

/* Put the file's name before an operator's message. */
static dp_status failed(const dp_run *run, dp_status status, dp_error *err) {
    return err ? dp_fail(err, status, "%s: %s", run->plan->graph->path, err->text) : status;
}

dp_status dp_run_forward(dp_run *run, const dp_hooks *hooks, dp_error *err) {
    run->hooks = hooks;
    run->reverse = false;
    for (int s = 0; s < run->plan->n_steps; s++) {
        step_call *call = &run->calls[s];
        if (call->view || call->taken) continue;
        if (call->n_sites) replace_operands(run, call);
        call->args.rough = hooks->rough;
        call->args.kept = kept_of(run, call);
        call->args.grad_in = NULL;
        call->args.grad_out = NULL;
        dp_status status = call->args.node->op->forward(&call->args, err);
        if (status != DP_OK) return failed(run, status, err);
    }
    return DP_OK;
}

static void zero_first_touched(dp_run *run, const step_call *call, int s) {
    for (int k = 0; k < call->args.n_in; k++) {
        int v = call->args.node->in[k];
        if (v >= 0 && call->grad_in[k] && run->plan->grad_last[v] == s)
            memset(call->grad_in[k]->data, 0, dp_tensor_bytes(call->grad_in[k]));
    }
}

static void clear_norm_grads(const dp_run *run, step_call *call) {
    const dp_plan *plan = run->plan;
    for (int i = 0; i < call->n_sites; i++) {
        const dp_site *site = &plan->sites[call->first_site + i];
        float **grad = &call->port.x2_grad[site->slot];
        *grad = NULL;
        if (!plan->options.norm_grads || !run->hooks->norm_grads) continue;
        *grad = call->port.x2[site->slot] + site->norms;
        memset(*grad, 0, (size_t)site->norms * sizeof **grad);
    }
}

/* Constants have no gradients of their own: the hooks lend memory to those that are a site's weights. */
static void lend_weights(const dp_run *run, step_call *call) {
    const dp_hooks *hooks = run->hooks;
    for (int i = 0; hooks->weights_room && i < call->n_sites; i++) {
        int site = call->first_site + i, k = run->plan->sites[site].weight_in;
        if (k >= 0) call->grad_in[k] = hooks->weights_room(hooks->self, site, k);
    }
}

static void take_weights(const dp_run *run, step_call *call) {
    const dp_hooks *hooks = run->hooks;
    for (int i = 0; hooks->weights_room && i < call->n_sites; i++) {
        int site = call->first_site + i, k = run->plan->sites[site].weight_in;
        if (k < 0) continue;
        call->grad_in[k] = NULL;
        hooks->weights(hooks->self, site, k);
    }
}

dp_status dp_run_reverse(dp_run *run, const dp_hooks *hooks, dp_error *err) {
    run->hooks = hooks;
    run->reverse = true;
    for (int s = run->plan->n_steps - 1; s >= 0; s--) {
        step_call *call = &run->calls[s];
        if (!run->plan->steps[s].active) continue;
        zero_first_touched(run, call, s);
        if (call->view) continue;
        if (call->n_sites) replace_operands(run, call);
        call->args.rough = hooks->rough;
        call->args.kept = kept_of(run, call);
        call->args.grad_in = call->grad_in;
        call->args.grad_out = call->grad_out;
        clear_norm_grads(run, call);
        lend_weights(run, call);
        dp_status status = call->args.node->op->adjoint(&call->args, err);
        take_weights(run, call);
        if (status != DP_OK) return failed(run, status, err);
    }
    return DP_OK;
}
