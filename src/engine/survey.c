/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One clean floating-point pass that looks at every site: ranges of its operands (for quantisers and thermal noise), the range of
 * its output (for ENOB), the mean squared norm of its operands (for the expected shot noise), and statistics of its input
 * channels where they are asked for.
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/cache.h"
#include "engine/inputs.h"
#include "engine/share.h"
#include "engine/state.h"
#include "kernels/vector.h"

/* What one thread saw. Counts and extremes do not depend on the order of samples, so threads may share the work freely. */
typedef struct view {
    float (*output)[2];          /* [sites] low, high */
    dp_histogram (*operands)[2]; /* [sites] */
    dp_input_view inputs;
} view;

typedef struct survey {
    dp_engine *engine;
    view *views; /* [threads] */
} survey;

static view *view_of(const dp_worker *w) {
    const survey *s = w->pass->self;
    return &s->views[w - w->engine->workers];
}

/* Values of all samples in equal shares; those that only fill the batch up do not count. */
static void look_at_samples(const dp_worker *w, const float *values, int64_t count,
                            dp_histogram *seen) {
    size_t n = (size_t)(count / w->batch * w->count);
    if (dp_inputs_percentile(w->engine) < 100)
        dp_histogram_add(seen, values, n);
    else
        dp_histogram_extremes(seen, values, n);
}

static const dp_tensor *look_at_operand(void *worker, int first, int k, const dp_tensor *in) {
    dp_worker *w = worker;
    const dp_engine *e = w->engine;
    for (int i = first; i < e->n_sites && e->sites[i].site.node == e->sites[first].site.node; i++) {
        const dp_site *site = &e->sites[i].site;
        bool both = site->weight_in < 0 && k < 2;
        if (!both && site->input_in != k) continue;
        dp_histogram *seen = &view_of(w)->operands[i][both ? k : 0];
        int64_t rows = 1, count = dp_tensor_count(in);
        for (int axis = 0; axis < site->sample_axis; axis++) rows *= in->dim[axis];
        for (int64_t row = 0; row < rows && count > 0; row++)
            look_at_samples(w, (const float *)in->data + row * (count / rows), count / rows, seen);
        if (!both) dp_inputs_add(w, i, in, (double *)w->sum + e->channels, &view_of(w)->inputs);
    }
    return in;
}

static void look_at_state(void *worker, int site, float *values, int64_t count) {
    look_at_samples(worker, values, count, &view_of(worker)->operands[site][0]);
}

static void widen(const dp_product *b, float range[2]) {
    bool rows = b->position_stride == 1;
    int64_t outer = rows ? b->channels : b->positions, inner = rows ? b->positions : b->channels;
    int64_t stride = rows ? b->channel_stride : b->position_stride;
    for (int64_t i = 0; i < outer; i++) dp_vector_range(b->y + i * stride, inner, range);
}

static void look_at_output(void *worker, int site, const dp_product *b) {
    dp_worker *w = worker;
    if (b->sample >= w->count) return;
    widen(b, view_of(w)->output[site]);
    if (!b->x2) return;
    double sum = dp_vector_sum(b->x2, b->positions);
    double *norms = (double *)w->sum + w->engine->sites[site].info.first_channel;
    if (b->w2)
        norms[0] += sum * dp_vector_sum(b->w2, b->channels);
    else
        for (int64_t c = 0; c < b->channels; c++) norms[b->first_channel + c] += sum;
}

static bool allocate_view(const dp_engine *e, view *v) {
    size_t sites = (size_t)e->n_sites;
    v->output = dp_alloc(sites, sizeof *v->output);
    v->operands = dp_alloc(sites, sizeof *v->operands);
    return dp_inputs_make_view(e, &v->inputs) && v->output && v->operands;
}

static void release_view(view *v) {
    dp_free(v->output);
    dp_free(v->operands);
    dp_inputs_release_view(&v->inputs);
}

static bool allocate(survey *s, int threads) {
    s->views = dp_alloc((size_t)threads, sizeof *s->views);
    bool all = s->views != NULL;
    for (int t = 0; all && t < threads; t++) all = allocate_view(s->engine, &s->views[t]);
    return all;
}

static void release(survey *s, int threads) {
    for (int t = 0; s->views && t < threads; t++) release_view(&s->views[t]);
    dp_free(s->views);
}

static void merge_view(const dp_engine *e, view *into, const view *from) {
    for (int i = 0; i < e->n_sites; i++) {
        dp_vector_range(from->output[i], 2, into->output[i]);
        for (int k = 0; k < 2; k++)
            dp_histogram_merge(&into->operands[i][k], &from->operands[i][k]);
    }
    dp_inputs_merge_view(e, &into->inputs, &from->inputs);
}

/* Numbers of a group's sum: norms of channels, then what inputs.c adds up. */
static size_t sum_bytes(const dp_engine *e) {
    return (size_t)e->channels * sizeof(double) + dp_inputs_sum_bytes(e);
}

static void fold_norms(dp_engine *e, const double *sums, int groups, int64_t samples) {
    size_t stride = sum_bytes(e) / sizeof *sums;
    for (int i = 0; i < e->n_sites; i++) {
        const dp_site_info *info = &e->sites[i].info;
        double positions = info->macs / (double)(info->channels * info->depth);
        for (int64_t c = info->first_channel; c < info->first_channel + info->channels; c++) {
            e->mean_norm[c] = 0;
            for (int g = 0; g < groups; g++)
                e->mean_norm[c] += sums[(size_t)g * stride + (size_t)c];
            e->mean_norm[c] /= positions * (double)samples;
        }
    }
}

static void fold_inputs(dp_engine *e, const double *sums, int groups, const view *seen,
                        int64_t samples) {
    dp_input_sums inputs = {sums + e->channels, groups, sum_bytes(e) / sizeof *sums};
    dp_inputs_fold(e, &inputs, &seen->inputs, samples);
}

/* What the survey finds out about one site: all that is kept of it. */
typedef struct finding {
    float output[2];
    dp_quantiser operand[2];
} finding;

/* What process r saw, in `seen` of all of them. */
static dp_status show_view(const survey *s, int r, view *seen, dp_error *err) {
    const dp_engine *e = s->engine;
    size_t sites = (size_t)e->n_sites, inputs = (size_t)e->inputs;
    const view *mine = &s->views[0];
    const struct {
        void *seen;
        const void *mine;
        size_t bytes;
    } parts[] = {{seen->output, mine->output, sites * sizeof *mine->output},
                 {seen->operands, mine->operands, sites * sizeof *mine->operands},
                 {seen->inputs.ranges, mine->inputs.ranges, inputs * sizeof(dp_input_range)},
                 {seen->inputs.tails, mine->inputs.tails, dp_inputs_tails(e) * sizeof(dp_tail)}};
    dp_status status = DP_OK;
    for (size_t i = 0; status == DP_OK && i < sizeof parts / sizeof *parts; i++) {
        if (parts[i].bytes == 0) continue;
        if (r == dp_share_rank(e->options.comm))
            memcpy(parts[i].seen, parts[i].mine, parts[i].bytes);
        status = dp_share_broadcast(e->options.comm, parts[i].seen, parts[i].bytes, r, err);
    }
    return status;
}

/* The views of all threads, then of all processes, in the first one. */
static dp_status merge_views(survey *s, int threads, dp_error *err) {
    const dp_engine *e = s->engine;
    int processes = dp_share_size(e->options.comm);
    for (int t = 1; t < threads; t++) merge_view(e, &s->views[0], &s->views[t]);
    if (processes == 1) return DP_OK;
    view seen = {0}, all = {0};
    dp_status status = DP_OK;
    if (!allocate_view(e, &seen) || !allocate_view(e, &all))
        status = dp_fail(err, DP_EMEMORY, "no memory for a survey");
    for (int r = 0; status == DP_OK && r < processes; r++) {
        status = show_view(s, r, &seen, err);
        if (status == DP_OK) merge_view(e, &all, &seen);
    }
    release_view(&seen);
    view mine = s->views[0];
    s->views[0] = status == DP_OK ? all : mine;
    release_view(status == DP_OK ? &mine : &all);
    return status;
}

static dp_status find(const survey *s, finding *found, dp_error *err) {
    const dp_engine *e = s->engine;
    const view *seen = &s->views[0];
    for (int i = 0; i < e->n_sites; i++) {
        const dp_site_state *site = &e->sites[i];
        if (seen->operands[i][0].nonfinite + seen->operands[i][1].nonfinite > 0 ||
            !isfinite(seen->output[i][0]) || !isfinite(seen->output[i][1]))
            return dp_fail(err, DP_EFORMAT,
                           "%s: site '%s' (%s) computes NaN or infinity on the calibration samples",
                           e->graph->path, site->info.name, site->info.op);
        memcpy(found[i].output, seen->output[i], sizeof found[i].output);
        for (int k = 0; k < (site->weight ? 1 : 2); k++) {
            double low, high;
            dp_histogram_range(&seen->operands[i][k], dp_inputs_percentile(e), &low, &high);
            found[i].operand[k] = dp_quantiser_make(low, high, e->hardware->input_bits);
        }
    }
    return DP_OK;
}

static void take(dp_engine *e, const finding *found) {
    for (int i = 0; i < e->n_sites; i++) {
        dp_site_state *site = &e->sites[i];
        site->info.output_low = (double)found[i].output[0];
        site->info.output_high = (double)found[i].output[1];
        site->input[0] = found[i].operand[0];
        site->input[1] = found[i].operand[1];
        site->info.input_low = (double)site->input[0].low;
        site->info.input_high = (double)site->input[0].high;
    }
}

bool dp_engine_operand_signed(const dp_engine *e, int site, int operand) {
    return e->sites[site].input[operand].low < 0;
}

/* Without converters a survey is a clean pass, too: as rough as references are where they may be. */
static bool has_clean_outputs(const dp_engine *e) {
    const dp_hardware *h = e->hardware;
    return e->options.rough && h->input_bits == 0 && h->weight_bits == 0 && h->output_bits == 0;
}

static size_t output_bytes(const dp_engine *e) {
    return (size_t)(e->rows * e->classes) * sizeof(float);
}

static dp_status collect_outputs(void *self, dp_worker *w, int64_t first, int64_t count,
                                 dp_error *err) {
    const dp_engine *e = w->engine;
    (void)self;
    (void)err;
    memcpy(e->outputs + first * e->rows * e->classes, dp_run_value(w->forward, e->target)->data,
           (size_t)count * output_bytes(e));
    return DP_OK;
}

static dp_status make_room(dp_engine *e, int64_t samples, dp_error *err) {
    dp_free(e->outputs);
    e->outputs = NULL;
    if (!has_clean_outputs(e)) return DP_OK;
    e->outputs = dp_alloc((size_t)samples, output_bytes(e));
    return e->outputs
               ? DP_OK
               : dp_fail(err, DP_EMEMORY, "no memory for %lld clean outputs", (long long)samples);
}

static dp_status look(dp_engine *e, const dp_dataset *data, finding *found, dp_error *err) {
    int threads = dp_pool_threads(e->pool), groups = 0;
    survey s = {.engine = e};
    void *sums = NULL;
    dp_hooks hooks = {.rough = DP_ROUGH,
                      .operand = look_at_operand,
                      .state = look_at_state,
                      .forward = look_at_output};
    dp_pass pass = {.data = data,
                    .hooks = &hooks,
                    .trials = 1,
                    .sum_bytes = sum_bytes(e),
                    .self = &s,
                    .stage = "survey"};
    dp_status status = make_room(e, dp_dataset_count(data), err);
    if (e->outputs) {
        pass.batch = collect_outputs;
        pass.results[0] = (dp_pass_result){e->outputs, output_bytes(e)};
    }
    if (!allocate(&s, threads)) status = dp_fail(err, DP_EMEMORY, "no memory for a survey");
    if (status == DP_OK) status = dp_engine_pass(e, &pass, &sums, &groups, err);
    if (status == DP_OK) fold_norms(e, sums, groups, dp_dataset_count(data));
    if (status == DP_OK) status = merge_views(&s, threads, err);
    if (status == DP_OK) fold_inputs(e, sums, groups, &s.views[0], dp_dataset_count(data));
    if (status == DP_OK) status = find(&s, found, err);
    dp_free(sums);
    release(&s, threads);
    return status;
}

dp_status dp_engine_survey(dp_engine *e, const dp_dataset *data, dp_error *err) {
    finding *found = dp_alloc((size_t)e->n_sites, sizeof *found);
    if (!found) return dp_fail(err, DP_EMEMORY, "no memory for a survey");
    dp_cache_entry entry = dp_cache_find(
        e, &(dp_cache_pass){
               .stage = e->inputs ? "survey with inputs" : "survey", .data = data, .survey = true});
    dp_cache_part parts[3] = {{found, (size_t)e->n_sites * sizeof *found},
                              {e->mean_norm, (size_t)e->channels * sizeof *e->mean_norm},
                              {e->moments, dp_inputs_kept_bytes(e)}};
    bool hit;
    dp_status status = dp_cache_load(e, &entry, parts, &hit, err);
    if (status == DP_OK && !hit) {
        status = look(e, data, found, err);
        if (status == DP_OK) dp_cache_store(e, &entry, parts);
    }
    if (status == DP_OK) {
        take(e, found);
        status = dp_engine_characterise(e, err);
    }
    if (status == DP_OK) e->surveyed = data;
    dp_free(found);
    return status;
}

void dp_engine_variance(const dp_engine *e, double *variance) {
    for (int64_t c = 0; c < e->channels; c++)
        variance[c] = ((double)e->shot[c] + (double)e->weight_std[c] * (double)e->weight_std[c]) *
                          e->mean_norm[c] +
                      (double)e->additive[c];
}
