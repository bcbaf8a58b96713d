/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Making an engine: the network planned for one batch, its sites described, each thread's memory. */
#include <fnmatch.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "device/energy.h"
#include "device/latency.h"
#include "engine/cache.h"
#include "engine/classes.h"
#include "engine/inputs.h"
#include "engine/kept.h"
#include "engine/share.h"
#include "engine/state.h"
#include "kernels/gemm.h"

/* A batch is as large as fits into about a second-level cache's worth of live activations, within reason. */
enum { MAX_BATCH = 16 };
static const size_t forward_target = (size_t)16 << 20, reverse_target = (size_t)192 << 20;

/* The last Softmax turns logits into probabilities; loss and seeds want the logits. */
static int logits_of(const dp_graph *g, int value) {
    int producer = g->values[value].producer;
    if (producer < 0 || strcmp(g->nodes[producer].op_type, "Softmax") != 0) return value;
    return g->nodes[producer].in[0];
}

static dp_status find_target(dp_engine *e, dp_error *err) {
    const dp_graph *g = e->graph;
    if (g->n_outputs == 0) return dp_fail(err, DP_EFORMAT, "%s: the graph has no output", g->path);
    int found = e->options.output ? -1 : 0;
    char names[256] = "";
    size_t used = 0;
    for (int i = 0; i < g->n_outputs; i++) {
        const char *name = g->values[g->outputs[i]].name;
        if (e->options.output && strcmp(name, e->options.output) == 0) found = i;
        if (used < sizeof names)
            used +=
                (size_t)snprintf(names + used, sizeof names - used, "%s'%s'", i ? ", " : "", name);
    }
    if (found < 0)
        return dp_fail(err, DP_ERANGE, "%s: no output is named '%s'; there are %s", g->path,
                       e->options.output, names);
    e->target = logits_of(g, g->outputs[found]);
    return DP_OK;
}

void dp_engine_inputs(const dp_graph *graph, dp_input_spec *specs) {
    for (int i = 0; i < graph->n_inputs; i++) {
        const dp_value *v = &graph->values[graph->inputs[i]];
        specs[i] = (dp_input_spec){.name = v->name, .dtype = v->dtype, .rank = v->rank};
        memcpy(specs[i].dim, v->dim, sizeof specs[i].dim);
    }
}

/* The batch that the file fixes; 0 when it leaves it open. */
static int64_t fixed_batch(const dp_graph *g) {
    for (int i = 0; i < g->n_inputs; i++) {
        const dp_value *v = &g->values[g->inputs[i]];
        if (v->rank > 0 && v->dim[0] > 0) return v->dim[0];
    }
    return 0;
}

static dp_status input_shape(const dp_engine *e, int k, int64_t batch, dp_tensor *t,
                             dp_error *err) {
    const dp_value *v = &e->graph->values[e->graph->inputs[k]];
    if (e->options.example) {
        dp_dataset_shape(e->options.example, k, batch, t);
        return DP_OK;
    }
    bool known = v->rank >= 1 && v->dtype != DP_NONE;
    for (int i = 1; i < v->rank; i++) known = known && v->dim[i] > 0;
    if (!known)
        return dp_fail(
            err, DP_EFORMAT,
            "%s: input '%s' has dimensions that the file leaves open; a data set (--data) "
            "would tell them",
            e->graph->path, v->name);
    *t = (dp_tensor){0};
    dp_tensor_reshape(t, v->dtype, v->rank, v->dim);
    t->dim[0] = batch;
    return DP_OK;
}

static bool digital(const void *self, const dp_node *node) {
    const dp_engine *e = self;
    for (int i = 0; i < e->options.n_exclude; i++)
        if (fnmatch(e->options.exclude[i], node->name, 0) == 0) return true;
    return false;
}

/* A glob that matches nothing is a mistake, and the names tell which. */
static dp_status check_excluded(const dp_engine *e, dp_error *err) {
    for (int i = 0; i < e->options.n_exclude; i++) {
        bool matched = false;
        for (int n = 0; n < e->graph->n_nodes; n++)
            matched = matched || (e->graph->nodes[n].op->n_sites > 0 &&
                                  fnmatch(e->options.exclude[i], e->graph->nodes[n].name, 0) == 0);
        if (!matched)
            return dp_fail(err, DP_ERANGE,
                           "%s: no site matches '%s'; `dynaprec inspect` lists their names",
                           e->graph->path, e->options.exclude[i]);
    }
    return DP_OK;
}

static dp_status make_plan(dp_engine *e, int64_t batch, bool reverse, dp_plan **out,
                           dp_error *err) {
    size_t n = (size_t)e->graph->n_inputs;
    dp_tensor *inputs = dp_alloc(n ? n : 1, sizeof *inputs);
    if (!inputs) return dp_fail(err, DP_EMEMORY, "no memory for a plan");
    dp_status status = DP_OK;
    for (int k = 0; status == DP_OK && k < e->graph->n_inputs; k++)
        status = input_shape(e, k, batch, &inputs[k], err);
    dp_plan_options options = {.samples = batch,
                               .inputs = inputs,
                               .target = e->target,
                               .reverse = reverse,
                               .norms = true,
                               .digital = digital,
                               .digital_self = e,
                               .weight_grads = reverse && dp_noise_needs_weights(e->hardware),
                               .norm_grads = reverse && dp_noise_needs_norms(e->hardware)};
    if (status == DP_OK) status = dp_plan_create(out, e->graph, &options, err);
    dp_free(inputs);
    return status;
}

/* Along which axis do samples lie? The first one that grows with their number; the rank where none does. */
static int sample_axis(const dp_tensor *one, const dp_tensor *more) {
    int axis = 0;
    while (axis < one->rank && one->dim[axis] == more->dim[axis]) axis++;
    return axis;
}

/*
 * Sites are told that a batch's rows are dealt out to samples in equal, contiguous shares. Sequence-first networks (PyTorch's
 * nn.MultiheadAttention is one inside) have it otherwise: they run sample by sample. `one` is the plan of a single sample.
 */
static bool samples_lead(const dp_plan *one, const dp_plan *more) {
    for (int i = 0; i < one->n_sites; i++) {
        const dp_site *site = &one->sites[i];
        const dp_node *node = &one->graph->nodes[site->node];
        for (int k = 0; k < 2; k++) {
            if (site->weight_in >= 0 && k != site->input_in) continue; /* not an operand */
            const dp_tensor *x = &one->values[node->in[k]];
            int axis = sample_axis(x, &more->values[node->in[k]]), before = 0;
            while (before < axis && x->dim[before] == 1) before++;
            if (axis < x->rank && axis != site->sample_axis && before < axis) return false;
        }
    }
    return true;
}

/* Plan for the file's batch, the caller's, or one chosen from what a single sample needs. */
static dp_status plan_batch(dp_engine *e, bool reverse, int64_t *batch, dp_plan **plan,
                            dp_error *err) {
    int64_t fixed = fixed_batch(e->graph), asked = e->options.batch;
    if (fixed && asked && fixed != asked)
        return dp_fail(err, DP_ERANGE, "%s: the file fixes a batch of %" PRId64 ", not %" PRId64,
                       e->graph->path, fixed, asked);
    *batch = fixed ? fixed : asked ? asked : 1;
    dp_status status = make_plan(e, *batch, reverse, plan, err);
    if (status != DP_OK || fixed || (asked && !reverse)) return status;
    size_t target = reverse ? reverse_target : forward_target;
    int64_t fits = (int64_t)((double)target * (double)*batch / ((double)(*plan)->arena_bytes + 1));
    int64_t limit = asked ? asked : MAX_BATCH;
    *batch = fits < 1 ? 1 : fits > limit ? limit : fits;
    dp_plan *one = *plan;
    *plan = NULL;
    status = make_plan(e, *batch, reverse, plan, err);
    if (status == DP_OK && !asked && !samples_lead(one, *plan)) {
        dp_plan_free(*plan);
        *plan = one;
        *batch = 1;
        return DP_OK;
    }
    dp_plan_free(one);
    return status;
}

static dp_status check_target(dp_engine *e, dp_error *err) {
    const dp_tensor *t = &e->forward->values[e->target];
    const char *name = e->graph->values[e->target].name;
    char shape[128];
    if (t->dtype != DP_F32 || t->rank < 1 || t->dim[0] != e->options.batch)
        return dp_fail(err, DP_EUNSUPPORTED,
                       "%s: output '%s' is %s of shape %s for %" PRId64
                       " samples; float32 [samples, ..., classes] is asked for",
                       e->graph->path, name, dp_dtype_name(t->dtype),
                       dp_tensor_shape_text(t, shape, sizeof shape), e->options.batch);
    e->classes = t->rank > 1 ? t->dim[t->rank - 1] : 1; /* one quantity a sample */
    e->rows = dp_tensor_count(t) / e->options.batch / e->classes;
    if (e->forward->n_sites == 0 && e->options.n_exclude > 0)
        return dp_fail(err, DP_ERANGE, "%s: all sites are excluded: nothing runs on analog cores",
                       e->graph->path);
    if (e->forward->n_sites == 0)
        return dp_fail(err, DP_EUNSUPPORTED,
                       "%s: no Conv, Gemm, MatMul or recurrent node: nothing runs on analog cores",
                       e->graph->path);
    return DP_OK;
}

static char *site_name(const dp_node *node, int slot) {
    static const char *const parts[] = {":input", ":recurrent"};
    if (node->op->n_sites == 1) return dp_strdup(node->name);
    char text[512];
    snprintf(text, sizeof text, "%s%s", node->name, parts[slot]);
    return dp_strdup(text);
}

static void describe_time(const dp_engine *e, dp_site_state *s) {
    double depth = (double)s->site.depth, channels = (double)s->site.channels;
    double rows = (double)s->site.rows / (double)e->options.batch; /* activation x activation */
    double products = rows > 0 ? rows : s->info.macs / (channels * depth);
    dp_site_size size = {.products = products,
                         .outputs = s->info.macs / (products * depth),
                         .channels = s->site.channels,
                         .groups = s->site.groups,
                         .depth = s->site.depth};
    dp_site_time time = dp_latency_site(e->hardware, &size);
    s->info.at_once = time.at_once;
    s->info.operations = time.operations;
}

static dp_status describe_site(dp_engine *e, int index, dp_error *err) {
    dp_site_state *s = &e->sites[index];
    s->site = e->forward->sites[index];
    const dp_node *node = &e->graph->nodes[s->site.node];
    int value = s->site.weight_in >= 0 ? node->in[s->site.weight_in] : -1;
    s->weight = value >= 0 ? &e->forward->values[value] : NULL;
    if (value >= 0 && !s->weight->data)
        return dp_fail(err, DP_EUNSUPPORTED,
                       "%s: node '%s' (%s): weights that are computed from the input are not "
                       "supported; a constant is asked for",
                       e->graph->path, node->name, node->op_type);
    s->info = (dp_site_info){.name = site_name(node, s->site.slot),
                             .op = node->op_type,
                             .weight = value >= 0 ? e->graph->values[value].name : "",
                             .slot = s->site.slot,
                             .tied = index,
                             .channels = s->site.channels,
                             .groups = s->site.groups,
                             .depth = s->site.depth,
                             .first_channel = e->channels,
                             .macs = (double)s->site.macs / (double)e->options.batch};
    if (!s->info.name) return dp_fail(err, DP_EMEMORY, "no memory for site names");
    for (int i = 0; i < index && value >= 0; i++) {
        const dp_site *other = &e->sites[i].site;
        if (other->weight_in >= 0 && e->graph->nodes[other->node].in[other->weight_in] == value &&
            other->slot == s->site.slot && e->sites[i].info.tied == i) {
            s->info.tied = i;
            break;
        }
    }
    describe_time(e, s);
    dp_site_energy energy = dp_energy_site(e->hardware, s->info.macs);
    s->info.fixed_j = energy.fixed_j;
    s->info.per_repetition_j = energy.per_repetition_j;
    e->channels += s->info.channels;
    return DP_OK;
}

static dp_status describe_sites(dp_engine *e, dp_error *err) {
    e->n_sites = e->forward->n_sites;
    e->sites = dp_alloc((size_t)e->n_sites, sizeof *e->sites);
    if (!e->sites) return dp_fail(err, DP_EMEMORY, "no memory for %d sites", e->n_sites);
    for (int i = 0; i < e->n_sites; i++) {
        dp_status status = describe_site(e, i, err);
        if (status != DP_OK) return status;
    }
    size_t n = (size_t)e->channels;
    double **wide[] = {&e->norm2, &e->range, &e->mean_norm};
    float **narrow[] = {&e->shot,       &e->additive,    &e->weight_std,      &e->shot_k,
                        &e->additive_k, &e->root_shot_k, &e->root_additive_k, &e->weight_k};
    bool all = true;
    for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
        all = (*wide[i] = dp_alloc(n, sizeof(double))) && all;
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++)
        all = (*narrow[i] = dp_alloc(n, sizeof(float))) && all;
    return all ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for %zu channels", n);
}

/* weights: of node inputs with an even and with an odd number, as dp_worker keeps them. */
static void largest_buffers(const dp_engine *e, size_t *normals, size_t weights[2]) {
    *normals = DP_DRAWS;
    weights[0] = weights[1] = 0;
    for (int i = 0; i < e->n_sites; i++) {
        const dp_site_state *s = &e->sites[i];
        size_t row = (size_t)(s->site.norms > s->info.channels ? s->site.norms : s->info.channels);
        if (row > *normals) *normals = row;
        size_t *own = &weights[s->site.weight_in & 1];
        if (s->weight && dp_tensor_bytes(s->weight) > *own) *own = dp_tensor_bytes(s->weight);
    }
}

static dp_status prepare_worker(dp_engine *e, dp_worker *w, dp_error *err) {
    size_t normals, weights[2];
    largest_buffers(e, &normals, weights);
    bool inputs = e->hardware->input_bits > 0, off = dp_noise_needs_weights(e->hardware);
    w->engine = e;
    w->normals = dp_alloc(normals, sizeof(float));
    w->roots = dp_alloc(normals, sizeof(float));
    w->slopes = dp_alloc(normals, sizeof(float));
    for (int k = 0; k < 2; k++) {
        w->operand[k] = dp_alloc(inputs ? e->forward->operand_bytes : 1, 1);
        w->weight[k] = dp_alloc(off ? weights[k] : 1, 1);
        if (!w->operand[k] || !w->weight[k]) goto memory;
    }
    if (!w->normals || !w->roots || !w->slopes) goto memory;
    return dp_run_create(&w->forward, e->forward, err);
memory:
    return dp_fail(err, DP_EMEMORY, "no memory for a thread's buffers");
}

/* Predictions are read from the last axis: where labels say that classes are on axis 1, they are moved there. */
static dp_status turn_classes(dp_engine *e, dp_error *err) {
    const dp_dataset *data = e->options.example;
    const dp_tensor *t = &e->forward->values[e->target];
    bool computed = e->graph->values[e->target].producer >= 0;
    if (!data || !computed || !dp_classes_first(t, data)) return DP_OK;
    dp_status status = dp_classes_turn(&e->turned, e->graph, &e->target, t->rank, err);
    if (status != DP_OK) return status;
    e->graph = e->turned;
    dp_plan_free(e->forward);
    e->forward = NULL;
    return plan_batch(e, false, &e->options.batch, &e->forward, err);
}

static dp_status set_up(dp_engine *e, dp_error *err) {
    dp_status status;
    dp_gemm_single_thread();
    if ((status = dp_pool_create(&e->pool, e->options.threads ? e->options.threads : 1, err)))
        return status;
    if ((status = find_target(e, err))) return status;
    if ((status = check_excluded(e, err))) return status;
    if ((status = plan_batch(e, false, &e->options.batch, &e->forward, err))) return status;
    if ((status = turn_classes(e, err))) return status;
    if ((status = check_target(e, err))) return status;
    if ((status = describe_sites(e, err))) return status;
    dp_engine_count_digital(e);
    if ((status = dp_inputs_prepare(e, err))) return status;
    size_t threads = (size_t)dp_pool_threads(e->pool);
    e->workers = dp_alloc(threads, sizeof *e->workers);
    if (!e->workers) return dp_fail(err, DP_EMEMORY, "no memory for %zu threads", threads);
    for (size_t t = 0; t < threads; t++)
        if ((status = prepare_worker(e, &e->workers[t], err))) return status;
    return DP_OK;
}

/* Processes that differ in these would wait for each other in vain, or make results that depend on who made which. */
static dp_status check_processes(const dp_engine *e, dp_error *err) {
    const dp_share_fact facts[] = {
        {"version", DYNAPREC_VERSION, DP_ECOMM},
        {"OpenBLAS kernels", dp_gemm_kernels(), DP_ECOMM},
        {"AMX tiles", dp_gemm_tiles() ? "used" : "not used", DP_ECOMM},
        {"a model of digest", e->graph->sha256, DP_EFORMAT},
        {"hardware of digest", e->hardware->sha256, DP_EFORMAT},
        {"data of digest", e->options.example ? dp_dataset_sha256(e->options.example) : "",
         DP_EFORMAT},
        {"options of digest", e->identity, DP_ECOMM},
    };
    dp_status status = DP_OK;
    for (size_t i = 0; status == DP_OK && i < sizeof facts / sizeof *facts; i++)
        status = dp_share_same(e->options.comm, &facts[i], err);
    return status;
}

static dp_status identify(dp_engine *e, dp_error *err) {
    if (e->options.cache || dp_share_size(e->options.comm) > 1) dp_cache_identify(e, e->identity);
    return check_processes(e, err);
}

dp_status dp_engine_create(dp_engine **out, const dp_graph *graph, const dp_hardware *hardware,
                           const dp_engine_options *options, dp_error *err) {
    *out = NULL;
    dp_engine *e = dp_alloc(1, sizeof *e);
    if (!e) return dp_fail(err, DP_EMEMORY, "no memory for an engine");
    e->graph = e->given = graph;
    e->hardware = hardware;
    e->options = *options;
    dp_meter_init(&e->meter, options->progress);
    dp_status status = set_up(e, err);
    if (status == DP_OK) status = identify(e, err);
    if (status != DP_OK)
        dp_engine_free(e);
    else
        *out = e;
    return status;
}

static dp_status plan_reverse(dp_engine *e, dp_error *err) {
    return e->reverse ? DP_OK : plan_batch(e, true, &e->reverse_batch, &e->reverse, err);
}

dp_status dp_engine_prepare_weights(dp_engine *e, dp_error *err) {
    size_t normals, weights[2];
    largest_buffers(e, &normals, weights);
    for (int t = 0; dp_noise_needs_weights(e->hardware) && t < dp_pool_threads(e->pool); t++)
        for (int k = 0; k < 2; k++) {
            float **room = &e->workers[t].weight_grad[k];
            if (!*room) *room = dp_alloc(weights[k] ? weights[k] : 1, 1);
            if (!*room) return dp_fail(err, DP_EMEMORY, "no memory for gradients of weights");
        }
    return DP_OK;
}

dp_status dp_engine_prepare_reverse(dp_engine *e, dp_error *err) {
    dp_status planned = plan_reverse(e, err);
    if (planned != DP_OK) return planned;
    for (int t = 0; t < dp_pool_threads(e->pool); t++) {
        if (e->workers[t].reverse) continue;
        dp_status status = dp_run_create(&e->workers[t].reverse, e->reverse, err);
        if (status != DP_OK) return status;
    }
    return DP_OK;
}

static double plan_bytes(const dp_plan *plan) {
    return plan ? (double)(plan->arena_bytes + plan->scratch_bytes) : 0;
}

void dp_engine_memory(dp_engine *e, dp_memory *out) {
    size_t normals, weights[2];
    largest_buffers(e, &normals, weights);
    bool inputs = e->hardware->input_bits > 0, off = dp_noise_needs_weights(e->hardware);
    *out = (dp_memory){.batch = e->options.batch, .forward = plan_bytes(e->forward)};
    for (int i = 0; i < e->given->n_values; i++) {
        const dp_tensor *constant = e->given->values[i].constant;
        if (!constant) continue;
        out->weights += (double)dp_tensor_bytes(constant);
        if (constant->borrowed) out->mapped += (double)dp_tensor_bytes(constant);
    }
    for (int i = 0; e->hardware->weight_bits > 0 && i < e->n_sites; i++)
        if (e->sites[i].weight) out->stored += (double)dp_tensor_bytes(e->sites[i].weight);
    out->stored += dp_engine_kept_bytes(e);
    out->forward += 3 * (double)(normals * sizeof(float)) +
                    (inputs ? 2 * (double)e->forward->operand_bytes : 0) +
                    (off ? (double)(weights[0] + weights[1]) : 0);
    if (plan_reverse(e, NULL) == DP_OK) {
        out->reverse_batch = e->reverse_batch;
        out->reverse = plan_bytes(e->reverse);
    }
}

static void free_worker(dp_worker *w) {
    dp_run_free(w->forward);
    dp_run_free(w->reverse);
    dp_free(w->normals);
    dp_free(w->roots);
    dp_free(w->slopes);
    for (int k = 0; k < 2; k++) {
        dp_free(w->operand[k]);
        dp_free(w->weight[k]);
        dp_free(w->weight_grad[k]);
    }
}

void dp_engine_free(dp_engine *e) {
    if (!e) return;
    for (int t = 0; e->workers && t < dp_pool_threads(e->pool); t++) free_worker(&e->workers[t]);
    dp_engine_keep_nothing(e);
    for (int i = 0; e->sites && i < e->n_sites; i++) {
        dp_free((void *)e->sites[i].info.name);
        dp_tensor_clear(&e->sites[i].quantised);
    }
    void *blocks[] = {e->workers,  e->sites,       e->norm2,           e->range,   e->mean_norm,
                      e->shot,     e->additive,    e->weight_std,      e->shot_k,  e->additive_k,
                      e->weight_k, e->root_shot_k, e->root_additive_k, e->moments, e->outputs};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dp_free(blocks[i]);
    dp_plan_free(e->forward);
    dp_plan_free(e->reverse);
    dp_graph_free(e->turned);
    dp_pool_free(e->pool);
    dp_meter_free(&e->meter);
    dp_free(e);
}

int dp_engine_site_count(const dp_engine *engine) {
    return engine->n_sites;
}

const dp_site_info *dp_engine_site(const dp_engine *engine, int site) {
    return &engine->sites[site].info;
}

int64_t dp_engine_channels(const dp_engine *engine) {
    return engine->channels;
}
