/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Clean references, and noisy evaluations scored against them. */
#include <string.h>

#include "base/alloc.h"
#include "engine/cache.h"
#include "engine/score.h"
#include "engine/state.h"

static const dp_hooks clean_hooks = {.operand = dp_noisy_operand,
                                     .kept = dp_noisy_kept,
                                     .state = dp_noisy_state,
                                     .forward = dp_noisy_forward};
static const dp_hooks noise_hooks = {.rough = DP_ROUGH,
                                     .operand = dp_noisy_operand,
                                     .kept = dp_noisy_kept,
                                     .state = dp_noisy_state,
                                     .forward = dp_noisy_forward};

/* Labels are one a row: [N] for one prediction a sample, [N,T] for T of them. */
static dp_status check_labels(const dp_engine *e, const dp_dataset *data, dp_error *err) {
    int64_t labels = dp_dataset_label_count(data);
    if (labels == 0) return DP_OK;
    if (labels != e->rows)
        return dp_fail(err, DP_EFORMAT,
                       "%s: labels 'y' have %lld entries a sample, output '%s' of %s makes %lld "
                       "prediction%s a sample of %lld classes; each wants one, the number of a "
                       "class. Where classes are on axis 1, [N,C,H,W], labels are [N,H,W]",
                       dp_dataset_path(data), (long long)labels, e->graph->values[e->target].name,
                       e->graph->path, (long long)e->rows, e->rows == 1 ? "" : "s",
                       (long long)e->classes);
    return dp_dataset_check_labels(data, e->classes, err);
}

static dp_status check_targets(const dp_engine *e, const dp_dataset *data, dp_error *err) {
    int64_t targets = dp_dataset_target_count(data);
    if (targets == 0 || targets == e->rows * e->classes) return DP_OK;
    return dp_fail(
        err, DP_EFORMAT,
        "%s: targets 'y' are %lld real numbers a sample, output '%s' of %s has %lld; the "
        "numbers of classes have to be integers",
        dp_dataset_path(data), (long long)targets, e->graph->values[e->target].name, e->graph->path,
        (long long)(e->rows * e->classes));
}

bool dp_engine_regression(const dp_engine *e, const dp_dataset *data) {
    if (dp_dataset_target_count(data) > 0) return true;
    bool image = e->forward->values[e->target].rank >= 4;
    return dp_dataset_label_count(data) == 0 && (e->classes == 1 || image);
}

/* The unit of squared differences from the clean output. */
static dp_status find_spread(dp_reference *r, const dp_engine *e, dp_error *err) {
    if (!r->regression) return DP_OK;
    r->spread = dp_score_spread(r->logits, dp_dataset_count(r->data), r->rows * r->classes);
    if (r->spread > 0) return DP_OK;
    return dp_fail(err, DP_EFORMAT,
                   "%s: output '%s' of %s is the same for all samples; its error is told in parts "
                   "of its variance",
                   dp_dataset_path(r->data), e->graph->values[e->target].name, e->graph->path);
}

typedef struct collection {
    const dp_reference *reference;
    const dp_engine *engine;
    float *logits; /* filled when this is the clean pass */
    dp_score *scores;
    uint32_t first_trial;
} collection;

dp_score dp_reference_score(const dp_reference *r, int64_t sample, const float *noisy,
                            const float *clean) {
    if (r->regression)
        return dp_score_estimate(&(dp_estimate){.noisy = noisy,
                                                .clean = clean,
                                                .targets = dp_dataset_targets(r->data, sample),
                                                .count = r->rows * r->classes,
                                                .spread = r->spread});
    return dp_score_sample(&(dp_prediction){.noisy = noisy,
                                            .clean = clean,
                                            .labels = dp_dataset_labels(r->data, sample),
                                            .rows = r->rows,
                                            .classes = r->classes});
}

static dp_status collect(void *self, dp_worker *w, int64_t first, int64_t count, dp_error *err) {
    (void)err;
    collection *c = self;
    const dp_engine *e = c->engine;
    const float *logits = dp_run_value(w->forward, e->target)->data;
    int64_t size = e->rows * e->classes, n = dp_dataset_count(c->reference->data);
    if (c->logits)
        memcpy(c->logits + first * size, logits, (size_t)(count * size) * sizeof *logits);
    for (int64_t i = 0; i < count; i++) {
        const float *noisy = logits + i * size;
        c->scores[(int64_t)(w->trial - c->first_trial) * n + first + i] =
            dp_reference_score(c->reference, first + i, noisy,
                               c->logits ? noisy : c->reference->logits + (first + i) * size);
    }
    return DP_OK;
}

/* The survey may have been a clean pass, and has left what came of it then. */
static float *take_surveyed(dp_engine *e, const dp_dataset *data) {
    float *logits = data == e->surveyed ? e->outputs : NULL;
    if (logits) e->outputs = NULL;
    return logits;
}

static void score_clean(dp_reference *r) {
    for (int64_t i = 0; i < dp_dataset_count(r->data); i++) {
        const float *clean = r->logits + i * r->rows * r->classes;
        r->scores[i] = dp_reference_score(r, i, clean, clean);
    }
}

static dp_status run_reference(dp_engine *e, dp_reference *r, size_t logits, dp_error *err) {
    dp_engine_set_precision(e, NULL);
    collection c = {.reference = r, .engine = e, .logits = r->logits, .scores = r->scores};
    dp_pass pass = {
        .data = r->data,
        .hooks = e->options.rough ? &noise_hooks : &clean_hooks,
        .trials = 1,
        .results = {{r->logits, logits * sizeof *r->logits}, {r->scores, sizeof *r->scores}},
        .batch = collect,
        .self = &c,
        .stage = "clean outputs"};
    return dp_engine_pass(e, &pass, NULL, NULL, err);
}

dp_status dp_engine_reference(dp_reference **out, dp_engine *e, const dp_dataset *data,
                              dp_error *err) {
    *out = NULL;
    dp_status status = check_labels(e, data, err);
    if (status == DP_OK) status = check_targets(e, data, err);
    if (status != DP_OK) return status;
    size_t n = (size_t)dp_dataset_count(data), size;
    dp_reference *r = dp_alloc(1, sizeof *r);
    if (!r || !dp_size_mul(n, (size_t)(e->rows * e->classes), &size)) goto memory;
    r->data = data;
    r->rows = e->rows;
    r->classes = e->classes;
    r->regression = dp_engine_regression(e, data);
    r->logits = take_surveyed(e, data);
    bool known = r->logits != NULL;
    if (!known) r->logits = dp_alloc(size, sizeof *r->logits);
    r->scores = dp_alloc(n, sizeof *r->scores);
    if (!r->logits || !r->scores) goto memory;
    dp_cache_part parts[3] = {{r->logits, size * sizeof *r->logits},
                              {r->scores, n * sizeof *r->scores}};
    dp_cache_entry entry = dp_cache_find(e, &(dp_cache_pass){.stage = "reference", .data = data});
    bool hit;
    status = dp_cache_load(e, &entry, parts, &hit, err);
    if (status == DP_OK && !hit) {
        if (known)
            score_clean(r);
        else
            status = run_reference(e, r, size / n, err);
        if (status == DP_OK) dp_cache_store(e, &entry, parts);
    }
    if (status == DP_OK) status = find_spread(r, e, err);
    if (status != DP_OK) {
        dp_reference_free(r);
        return status;
    }
    *out = r;
    return DP_OK;
memory:
    dp_reference_free(r);
    return dp_fail(err, DP_EMEMORY, "%s: no memory for %zu clean outputs", dp_dataset_path(data),
                   n);
}

dp_status dp_reference_pick(dp_reference **out, const dp_reference *of, const dp_dataset *view,
                            const int64_t *samples, dp_error *err) {
    size_t count = (size_t)dp_dataset_count(view), size = (size_t)(of->rows * of->classes);
    dp_reference *r = dp_alloc(1, sizeof *r);
    *out = NULL;
    if (r) {
        *r = *of;
        r->data = view;
        r->logits = dp_alloc(count * size, sizeof *r->logits);
        r->scores = dp_alloc(count, sizeof *r->scores);
    }
    if (!r || !r->logits || !r->scores) {
        dp_reference_free(r);
        return dp_fail(err, DP_EMEMORY, "%s: no memory for %zu clean outputs",
                       dp_dataset_path(view), count);
    }
    for (size_t i = 0; i < count; i++) {
        memcpy(r->logits + i * size, of->logits + (size_t)samples[i] * size,
               size * sizeof *r->logits);
        r->scores[i] = of->scores[samples[i]];
    }
    *out = r;
    return DP_OK;
}

void dp_reference_free(dp_reference *r) {
    if (!r) return;
    dp_free(r->logits);
    dp_free(r->scores);
    dp_free(r);
}

bool dp_reference_regression(const dp_reference *reference) {
    return reference->regression;
}

const dp_score *dp_reference_scores(const dp_reference *reference) {
    return reference->scores;
}

static dp_status run_evaluation(dp_engine *e, const dp_evaluation *evaluation, dp_score *scores,
                                dp_error *err) {
    dp_engine_set_precision(e, evaluation->repetitions);
    collection c = {.reference = evaluation->reference,
                    .engine = e,
                    .scores = scores,
                    .first_trial = evaluation->first_trial};
    dp_pass pass = {.data = evaluation->reference->data,
                    .hooks = &noise_hooks,
                    .first_trial = evaluation->first_trial,
                    .trials = evaluation->trials,
                    .results = {{scores, sizeof *scores}},
                    .batch = collect,
                    .self = &c,
                    .stage = "noisy passes"};
    return dp_engine_pass(e, &pass, NULL, NULL, err);
}

dp_status dp_engine_evaluate(dp_engine *e, const dp_evaluation *evaluation, dp_score *scores,
                             dp_error *err) {
    if (evaluation->trials < 1)
        return dp_fail(err, DP_ERANGE, "%d trials: at least 1 is asked for", evaluation->trials);
    size_t count = (size_t)dp_dataset_count(evaluation->reference->data);
    dp_cache_entry entry =
        dp_cache_find(e, &(dp_cache_pass){.stage = "scores",
                                          .data = evaluation->reference->data,
                                          .repetitions = evaluation->repetitions,
                                          .first_trial = evaluation->first_trial,
                                          .trials = (uint32_t)evaluation->trials});
    dp_cache_part parts[3] = {{scores, count * (size_t)evaluation->trials * sizeof *scores}};
    bool hit;
    dp_status status = dp_cache_load(e, &entry, parts, &hit, err);
    if (status != DP_OK || hit) return status;
    status = run_evaluation(e, evaluation, scores, err);
    if (status == DP_OK) dp_cache_store(e, &entry, parts);
    return status;
}
