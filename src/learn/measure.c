/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Precisions on one data set, with the statistics that acceptance uses: what `eval` prints. */
#include <math.h>

#include "base/alloc.h"
#include "learn/result.h"

/* A criterion without a budget of its own: for its statistics. */
static dp_status measure_all(dp_measure *out, dp_engine *engine, const dp_reference *reference,
                             const dp_dataset *data, const double *const *repetitions, int count,
                             const dp_learn_options *options, dp_error *err) {
    dp_criterion criterion = {.quantity = DP_RISE,
                              .budget = 1,
                              .confidence = options->confidence,
                              .cross_entropy = options->objective == DP_OBJECTIVE_CROSS_ENTROPY};
    const dp_score *clean = dp_reference_scores(reference);
    dp_outcome outcome = {clean, clean, dp_dataset_count(data), 1};
    dp_status status = dp_criterion_adapt(&criterion, engine, data, err);
    if (status == DP_OK) status = dp_criterion_measure(&criterion, &outcome, &out[0], err);
    if (status != DP_OK || count == 0) return status;
    dp_score *scores = dp_alloc((size_t)(outcome.samples * options->trials), sizeof *scores);
    if (!scores) return dp_fail(err, DP_EMEMORY, "no memory for scores");
    outcome.noisy = scores;
    outcome.trials = options->trials;
    for (int i = 0; i < count && status == DP_OK; i++) {
        dp_evaluation e = {reference, repetitions[i], 0, options->trials};
        status = dp_engine_evaluate(engine, &e, scores, err);
        if (status == DP_OK) status = dp_criterion_measure(&criterion, &outcome, &out[1 + i], err);
        if (status == DP_OK) dp_result_channel_energy(engine, repetitions[i], &out[1 + i]);
    }
    dp_free(scores);
    return status;
}

dp_status dp_measure_precisions(dp_measure *out, dp_engine *engine, const dp_dataset *data,
                                const double *const *repetitions, int count,
                                const dp_learn_options *options, dp_error *err) {
    dp_reference *reference = NULL;
    for (int i = 0; i <= count; i++) out[i] = dp_result_unknown();
    dp_status status = dp_engine_reference(&reference, engine, data, err);
    if (status != DP_OK) return status;
    status = measure_all(out, engine, reference, data, repetitions, count, options, err);
    dp_reference_free(reference);
    return status;
}
