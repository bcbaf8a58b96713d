/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The derivative of the loss by all log K at once: one forward pass with noise, the loss's gradient by the logits as seed, one
 * reverse pass.
 */
#include <math.h>
#include <string.h>

#include "engine/cache.h"
#include "engine/fold.h"
#include "engine/pathwise.h"
#include "engine/score.h"

typedef struct context {
    const dp_evaluation *point;
    const dp_derivative *out;
} context;

/* d KL(p || q) / d logits = q - p; d cross-entropy / d logits = q - label. */
static void seed_row(const float *noisy, const float *clean, int64_t label, int64_t classes,
                     float *seed) {
    double log_q = dp_log_sum_exp(noisy, classes);
    double log_p = clean ? dp_log_sum_exp(clean, classes) : 0;
    for (int64_t i = 0; i < classes; i++) {
        double target = clean ? exp((double)clean[i] - log_p) : (double)(i == label);
        seed[i] = (float)(exp((double)noisy[i] - log_q) - target);
    }
}

/* Of the mean square over outputs, in `unit`s. */
static void seed_estimate(const float *noisy, const float *wanted, int64_t count, double unit,
                          float *seed) {
    double scale = 2 / ((double)count * unit);
    for (int64_t i = 0; i < count; i++)
        seed[i] = (float)(scale * ((double)noisy[i] - (double)wanted[i]));
}

static void seed_sample(const context *c, int64_t sample, const float *noisy, float *seed) {
    const dp_reference *r = c->point->reference;
    const int64_t *labels = dp_dataset_labels(r->data, sample);
    bool to_labels = c->out->cross_entropy;
    const float *clean = r->logits + sample * r->rows * r->classes;
    if (r->regression) {
        seed_estimate(noisy, to_labels ? dp_dataset_targets(r->data, sample) : clean,
                      r->rows * r->classes, to_labels ? 1 : r->spread, seed);
        return;
    }
    for (int64_t row = 0; row < r->rows; row++) {
        int64_t label = labels ? labels[row] : 0, at = row * r->classes;
        if (label != DP_IGNORED_LABEL)
            seed_row(noisy + at, to_labels ? NULL : clean + at, label, r->classes, seed + at);
    }
}

static dp_status back(void *self, dp_worker *w, int64_t first, int64_t count, dp_error *err) {
    const context *c = self;
    const dp_engine *e = w->engine;
    const dp_reference *r = c->point->reference;
    dp_tensor *seed = dp_run_seed(w->reverse);
    const float *logits = dp_run_value(w->reverse, e->target)->data;
    int64_t size = r->rows * r->classes;
    dp_score *scores =
        c->out->scores + (int64_t)(w->trial - c->point->first_trial) * dp_dataset_count(r->data);
    memset(seed->data, 0, dp_tensor_bytes(seed));
    for (int64_t i = 0; i < count; i++) {
        const float *noisy = logits + i * size;
        scores[first + i] = dp_reference_score(r, first + i, noisy, r->logits + (first + i) * size);
        seed_sample(c, first + i, noisy, (float *)seed->data + i * size);
        ((double *)w->sum)[e->channels] += r->scores[first + i].rows;
    }
    dp_hooks hooks =
        dp_noise_needs_weights(e->hardware) ? dp_pathwise_weight_hooks : dp_pathwise_hooks;
    hooks.self = w;
    return dp_run_reverse(w->reverse, &hooks, err);
}

static dp_status check(const dp_evaluation *point, const dp_derivative *out, dp_error *err) {
    const dp_dataset *data = point->reference->data;
    if (point->trials < 1)
        return dp_fail(err, DP_ERANGE, "%d trials: at least 1 is asked for", point->trials);
    if (!out->cross_entropy) return DP_OK;
    bool known = point->reference->regression ? dp_dataset_target_count(data) > 0
                                              : dp_dataset_label_count(data) > 0;
    if (known) return DP_OK;
    return dp_fail(err, DP_EFORMAT, "%s has no labels 'y', which cross-entropy asks for",
                   dp_dataset_path(data));
}

static dp_status run_derivative(dp_engine *e, const dp_evaluation *point, const dp_derivative *out,
                                dp_error *err) {
    dp_status status = dp_engine_prepare_reverse(e, err);
    if (status == DP_OK) status = dp_engine_prepare_weights(e, err);
    if (status != DP_OK) return status;
    context c = {point, out};
    dp_fold fold = {0};
    dp_engine_set_precision(e, point->repetitions);
    dp_pass pass = {.data = point->reference->data,
                    .hooks = &dp_pathwise_hooks,
                    .reverse = true,
                    .first_trial = point->first_trial,
                    .trials = point->trials,
                    .results = {{out->scores, sizeof *out->scores}},
                    .batch = back,
                    .self = &c,
                    .stage = "derivatives"};
    status = dp_fold_pass(&fold, e, &pass, err);
    if (status == DP_OK) dp_fold_mean(&fold, out->by_log_k.mean, out->by_log_k.variance);
    dp_fold_free(&fold);
    return status;
}

dp_status dp_engine_derivative(dp_engine *e, const dp_evaluation *point, const dp_derivative *out,
                               dp_error *err) {
    dp_status status = check(point, out, err);
    if (status != DP_OK) return status;
    size_t scores = (size_t)(dp_dataset_count(point->reference->data) * point->trials);
    size_t bytes = (size_t)e->channels * sizeof(double);
    dp_cache_pass what = {.stage =
                              out->cross_entropy ? "derivative of cross-entropy" : "derivative",
                          .data = point->reference->data,
                          .repetitions = point->repetitions,
                          .first_trial = point->first_trial,
                          .trials = (uint32_t)point->trials};
    dp_cache_entry entry = dp_cache_find(e, &what);
    dp_cache_part parts[3] = {{out->scores, scores * sizeof *out->scores},
                              {out->by_log_k.mean, bytes},
                              {out->by_log_k.variance, out->by_log_k.variance ? bytes : 0}};
    bool hit;
    status = dp_cache_load(e, &entry, parts, &hit, err);
    if (status != DP_OK || hit) return status;
    status = run_derivative(e, point, out, err);
    if (status == DP_OK) dp_cache_store(e, &entry, parts);
    return status;
}
