/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One pass over a data set: batches are dealt out to tasks, tasks to threads.
 *
 * The partition depends on the data and the batch size only. A pass that adds something up does so group by group, at most
 * DP_MAX_GROUPS of them, each in sample order; the caller folds the groups in order.
 */
#include <assert.h>

#include "base/alloc.h"
#include "engine/kept.h"
#include "engine/share.h"
#include "engine/state.h"

typedef struct job {
    dp_engine *engine;
    const dp_pass *pass;
    int64_t batch, batches, groups;
    char *sums;
    int first_task; /* of this process */
} job;

static dp_status fill_inputs(const job *j, dp_run *run, int64_t first) {
    const dp_graph *g = j->engine->graph;
    for (int k = 0; k < g->n_inputs; k++) {
        dp_tensor *input = dp_run_value(run, g->inputs[k]);
        if (input->data) dp_dataset_fill(j->pass->data, k, first, j->batch, input->data);
    }
    return DP_OK;
}

static dp_status run_batch(const job *j, dp_worker *w, int64_t index, dp_error *err) {
    dp_run *run = j->pass->reverse ? w->reverse : w->forward;
    int64_t first = index * j->batch, count = dp_dataset_count(j->pass->data) - first;
    if (count > j->batch) count = j->batch;
    w->batch_index = index;
    w->first = first;
    w->count = count;
    dp_hooks hooks = *j->pass->hooks;
    hooks.self = w;
    dp_status status = fill_inputs(j, run, first);
    if (status == DP_OK) status = dp_run_forward(run, &hooks, err);
    if (status == DP_OK && j->pass->batch)
        status = j->pass->batch(j->pass->self, w, first, count, err);
    dp_meter_add(&j->engine->meter, (double)count);
    return status;
}

static dp_status run_group(void *context, int task, int worker, dp_error *err) {
    const job *j = context;
    dp_worker *w = &j->engine->workers[worker];
    int64_t group = task % j->groups;
    w->trial = j->pass->first_trial + (uint32_t)(task / j->groups);
    w->pass = j->pass;
    w->data = j->pass->data;
    w->batch = j->batch;
    w->sum = j->sums ? j->sums + (size_t)group * j->pass->sum_bytes : NULL;
    int64_t from = group * j->batches / j->groups, to = (group + 1) * j->batches / j->groups;
    for (int64_t i = from; i < to; i++) {
        if (j->engine->options.cancel && atomic_load(j->engine->options.cancel)) return DP_OK;
        dp_status status = run_batch(j, w, i, err);
        if (status != DP_OK) return status;
    }
    return DP_OK;
}

/* Tasks are numbered trial by trial, group by group: so are the samples they score. */
static int64_t sample_of(const job *j, int task) {
    int64_t count = dp_dataset_count(j->pass->data);
    int64_t first = task % j->groups * j->batches / j->groups * j->batch;
    return task / j->groups * count + (first < count ? first : count);
}

typedef struct layout {
    const job *job;
    size_t bytes; /* a sample, or a group's sum */
} layout;

static size_t byte_of_sample(const void *context, int task) {
    const layout *l = context;
    return (size_t)sample_of(l->job, task) * l->bytes;
}

static size_t byte_of_group(const void *context, int task) {
    const layout *l = context;
    return (size_t)task * l->bytes;
}

static dp_status gather(const job *j, int tasks, dp_error *err) {
    dp_comm *comm = j->engine->options.comm;
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < 2; i++) {
        layout l = {j, j->pass->results[i].bytes};
        if (j->pass->results[i].base)
            status =
                dp_share_gather(comm, j->pass->results[i].base, tasks, byte_of_sample, &l, err);
    }
    layout l = {j, j->pass->sum_bytes};
    if (status == DP_OK && j->sums)
        status = dp_share_gather(comm, j->sums, tasks, byte_of_group, &l, err);
    return status;
}

static dp_status run_share(void *context, int task, int worker, dp_error *err) {
    const job *j = context;
    return run_group(context, j->first_task + task, worker, err);
}

/* This process's part of the tasks, then everybody's results. A failure of one is a failure of all. */
static dp_status run_tasks(job *j, int tasks, dp_error *err) {
    const dp_engine_options *o = &j->engine->options;
    int from, to;
    dp_share_part(o->comm, tasks, &from, &to);
    j->first_task = from;
    dp_status status = dp_pool_run(j->engine->pool, to - from, run_share, j, o->cancel, err);
    status = dp_share_agree(o->comm, status, err);
    return status == DP_OK ? gather(j, tasks, err) : status;
}

/* Weights are what they will be once the survey has said how they are stored. */
static void keep(dp_engine *e, const dp_pass *pass) {
    if (!pass->hooks->kept || !e->surveyed) return;
    dp_engine_keep(e, false);
    if (pass->reverse) dp_engine_keep(e, true);
}

dp_status dp_engine_pass(dp_engine *e, const dp_pass *pass, void **sums, int *groups,
                         dp_error *err) {
    assert(!pass->sum_bytes || pass->trials == 1);
    keep(e, pass);
    job j = {.engine = e, .pass = pass};
    int64_t count = dp_dataset_count(pass->data);
    j.batch = pass->reverse ? e->reverse_batch : e->options.batch;
    j.batches = (count + j.batch - 1) / j.batch;
    j.groups = j.batches;
    if (pass->sum_bytes) {
        if (j.groups > DP_MAX_GROUPS) j.groups = DP_MAX_GROUPS;
        j.sums = dp_alloc((size_t)j.groups, pass->sum_bytes);
        if (!j.sums) return dp_fail(err, DP_EMEMORY, "no memory for the sums of a pass");
    }
    if (j.groups * pass->trials > INT32_MAX)
        return dp_fail(err, DP_ERANGE, "%lld batches times %d trials are too many for one pass",
                       (long long)j.groups, pass->trials);
    dp_meter_stage(&e->meter, pass->stage, (double)(count * pass->trials));
    dp_status status = run_tasks(&j, (int)j.groups * pass->trials, err);
    if (status != DP_OK) {
        dp_free(j.sums);
        return status;
    }
    if (sums) *sums = j.sums;
    if (groups) *groups = (int)j.groups;
    return DP_OK;
}
