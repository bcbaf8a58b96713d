/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Curvature sensitivities of all channels by one forward and one reverse pass.
 *
 * To second order noise of variance v at a site raises the loss by 1/2 E[g' diag(v) g], g with covariance J' F J, F = diag(p) - p p'
 * the curvature of the cross-entropy at the network's own prediction p. The seed sqrt(p) z - p (sqrt(p)' z), z random
 * signs, has exactly that covariance, so no labels are needed and confident predictions are not lost to sampling.
 * Source: docs/methods.md, "Sensitivity"; random signs [Hutchinson 1989], Gauss-Newton [Martens 2020].
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/cache.h"
#include "engine/fold.h"
#include "engine/score.h"
#include "kernels/vector.h"

/* Gradients of one block: s[c] += 1/2 sum over p of g^2 (shot[c] x2[p] w2[c] + additive[c]) + 1/2 weight_std^2 |dW_c|^2 */
static void along_positions(const dp_worker *w, const dp_product *b, int64_t base, double *s) {
    const dp_engine *e = w->engine;
    for (int64_t c = 0; c < b->channels; c++) {
        const float *g = b->y + c * b->channel_stride;
        double shot = (double)e->shot[base + c], additive = (double)e->additive[base + c];
        if (shot > 0) s[base + c] += 0.5 * shot * dp_vector_weighted_norm2(g, b->x2, b->positions);
        if (additive > 0) s[base + c] += 0.5 * additive * dp_vector_norm2(g, b->positions);
    }
}

static void along_channels(const dp_worker *w, const dp_product *b, int64_t base, double *s) {
    const dp_engine *e = w->engine;
    for (int64_t p = 0; p < b->positions; p++) {
        const float *g = b->y + p * b->position_stride;
        double x2 = b->x2 ? (double)b->x2[p] : 0;
        for (int64_t c = 0; c < b->channels; c++)
            s[base + c] += 0.5 * (double)(g[c] * g[c]) *
                           ((double)e->shot[base + c] * x2 + (double)e->additive[base + c]);
    }
}

static void activations(const dp_worker *w, const dp_product *b, int64_t base, double *s) {
    const dp_engine *e = w->engine;
    double shot = (double)e->shot[base], additive = (double)e->additive[base];
    for (int64_t p = 0; p < b->positions; p++) {
        const float *g = b->y + p * b->position_stride;
        if (shot > 0)
            s[base] +=
                0.5 * shot * (double)b->x2[p] * dp_vector_weighted_norm2(g, b->w2, b->channels);
        if (additive > 0) s[base] += 0.5 * additive * dp_vector_norm2(g, b->channels);
    }
}

static void read_gradient(void *worker, int site, const dp_product *b) {
    dp_worker *w = worker;
    const dp_engine *e = w->engine;
    int64_t base = e->sites[site].info.first_channel + b->first_channel;
    double *s = w->sum;
    if (!e->sites[site].weight)
        activations(w, b, base, s);
    else if (b->position_stride == 1)
        along_positions(w, b, base, s);
    else
        along_channels(w, b, base, s);
    for (int64_t c = 0; b->weight_grad2 && c < b->channels; c++) {
        double std = (double)e->weight_std[base + c];
        s[base + c] += 0.5 * std * std * b->weight_grad2[c];
    }
}

/* One row's seed; the loss is a sum over positions until fold_groups. */
static void seed_row(const float *logits, const float *signs, int64_t classes, float *seed) {
    double log_sum = dp_log_sum_exp(logits, classes), dot = 0;
    for (int64_t i = 0; i < classes; i++)
        dot += exp(0.5 * ((double)logits[i] - log_sum)) * (double)signs[i];
    for (int64_t i = 0; i < classes; i++) {
        double log_p = (double)logits[i] - log_sum;
        seed[i] = (float)(exp(0.5 * log_p) * (double)signs[i] - exp(log_p) * dot);
    }
}

/* Source: docs/methods.md, "Regression": E g g' = 2 J' J / (outputs spread), twice the rise of the mean square over the spread. */
static void seed_estimate(const dp_stream *stream, double spread, int64_t count, float *seed) {
    double scale = sqrt(2 / ((double)count * spread));
    dp_signs(stream, 0, seed, (size_t)count);
    for (int64_t i = 0; i < count; i++) seed[i] = (float)(scale * (double)seed[i]);
}

static void seed_sample(const dp_worker *w, const dp_reference *reference, const int64_t at[2],
                        float *signs) {
    const dp_engine *e = w->engine;
    int64_t sample = at[0], in_batch = at[1];
    const int64_t *labels = dp_dataset_labels(w->data, sample);
    int64_t size = e->rows * e->classes;
    const float *logits =
        (const float *)dp_run_value(w->reverse, e->target)->data + in_batch * size;
    float *seed = (float *)dp_run_seed(w->reverse)->data + in_batch * size;
    dp_stream stream = {.seed = e->options.seed,
                        .purpose = DP_DRAW_SIGN,
                        .trial = w->trial,
                        .sample = (uint32_t)dp_dataset_origin(w->data, sample)};
    if (reference->regression) {
        seed_estimate(&stream, reference->spread, size, seed);
        return;
    }
    for (int64_t r = 0; r < e->rows; r++) {
        if (labels && labels[r] == DP_IGNORED_LABEL) continue;
        dp_signs(&stream, (uint64_t)(r * e->classes), signs, (size_t)e->classes);
        seed_row(logits + r * e->classes, signs, e->classes, seed + r * e->classes);
    }
}

static const dp_hooks reverse_hooks = {
    .rough = DP_COARSE,
    .operand = dp_noisy_operand,
    .kept = dp_noisy_kept,
    .state = dp_noisy_state,
    .forward = dp_noisy_forward,
    .reverse = read_gradient,
};

/* What the seeds of a pass are made with. */
typedef struct sketch {
    const dp_reference *reference;
    float **signs; /* [threads], [classes] each */
} sketch;

static dp_status back(void *self, dp_worker *w, int64_t first, int64_t count, dp_error *err) {
    const sketch *s = self;
    dp_tensor *seed = dp_run_seed(w->reverse);
    memset(seed->data, 0, dp_tensor_bytes(seed));
    for (int64_t i = 0; i < count; i++)
        seed_sample(w, s->reference, (int64_t[]){first + i, i}, s->signs[w - w->engine->workers]);
    for (int64_t i = 0; i < count; i++)
        ((double *)w->sum)[w->engine->channels] += s->reference->scores[first + i].rows;
    dp_hooks hooks = reverse_hooks;
    hooks.self = w;
    return dp_run_reverse(w->reverse, &hooks, err);
}

static dp_status run_sensitivity(dp_engine *e, const dp_evaluation *point,
                                 const dp_channel_means *s, dp_error *err) {
    dp_status status = dp_engine_prepare_reverse(e, err);
    if (status != DP_OK) return status;
    int threads = dp_pool_threads(e->pool);
    float **signs = dp_alloc((size_t)threads, sizeof(float *));
    bool ready = signs != NULL;
    for (int t = 0; ready && t < threads; t++)
        ready = (signs[t] = dp_alloc((size_t)e->classes, sizeof(float))) != NULL;
    dp_fold fold = {0};
    if (ready) {
        sketch context = {point->reference, signs};
        dp_engine_set_precision(e, point->repetitions);
        dp_pass pass = {.data = point->reference->data,
                        .hooks = &reverse_hooks,
                        .reverse = true,
                        .first_trial = DP_REVERSE_TRIAL + point->first_trial,
                        .trials = point->trials,
                        .batch = back,
                        .self = &context,
                        .stage = "sensitivities"};
        status = dp_fold_pass(&fold, e, &pass, err);
    } else {
        status = dp_fail(err, DP_EMEMORY, "no memory for a reverse pass");
    }
    if (status == DP_OK) dp_fold_mean(&fold, s->mean, s->variance);
    for (int t = 0; signs && t < threads; t++) dp_free(signs[t]);
    dp_free(signs);
    dp_fold_free(&fold);
    return status;
}

dp_status dp_engine_sensitivities(dp_engine *e, const dp_evaluation *point,
                                  const dp_channel_means *s, dp_error *err) {
    dp_cache_entry entry = dp_cache_find(e, &(dp_cache_pass){.stage = "sensitivity",
                                                             .data = point->reference->data,
                                                             .repetitions = point->repetitions,
                                                             .first_trial = point->first_trial,
                                                             .trials = (uint32_t)point->trials});
    size_t bytes = (size_t)e->channels * sizeof(double);
    dp_cache_part parts[3] = {{s->mean, bytes}, {s->variance, s->variance ? bytes : 0}};
    bool hit;
    dp_status status = dp_cache_load(e, &entry, parts, &hit, err);
    if (status != DP_OK || hit) return status;
    status = run_sensitivity(e, point, s, err);
    if (status == DP_OK) dp_cache_store(e, &entry, parts);
    return status;
}

dp_status dp_engine_sensitivity(dp_engine *e, const dp_evaluation *point, double *s,
                                dp_error *err) {
    return dp_engine_sensitivities(e, point, &(dp_channel_means){.mean = s}, err);
}
