/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One precision on one data set, with the statistics that acceptance uses: what `eval` prints. */
#include <math.h>

#include "base/alloc.h"
#include "learn/result.h"

dp_status dp_measure_precision(dp_measure out[2], dp_engine *engine, const dp_dataset *data,
                               const double *repetitions, const dp_learn_options *options,
                               dp_error *err) {
    int64_t samples = dp_dataset_count(data);
    dp_criterion criterion = {.quantity = DP_RISE,
                              .budget = 1,
                              .confidence = options->confidence,
                              .cross_entropy = options->objective == DP_OBJECTIVE_CROSS_ENTROPY};
    dp_reference *reference = NULL;
    dp_score *scores = NULL;
    dp_status status = dp_engine_reference(&reference, engine, data, err);
    if (status != DP_OK) return status;
    const dp_score *clean = dp_reference_scores(reference);
    dp_outcome outcome = {clean, clean, samples, 1};
    out[0] = out[1] = dp_result_unknown();
    status = dp_criterion_adapt(&criterion, reference, data, err);
    if (status == DP_OK) status = dp_criterion_measure(&criterion, &outcome, &out[0], err);
    if (status != DP_OK || !repetitions) {
        out[1] = out[0];
        goto done;
    }
    scores = dp_alloc((size_t)(samples * options->trials), sizeof *scores);
    if (!scores) {
        status = dp_fail(err, DP_EMEMORY, "no memory for scores");
        goto done;
    }
    dp_evaluation e = {reference, repetitions, 0, options->trials};
    status = dp_engine_evaluate(engine, &e, scores, err);
    if (status != DP_OK) goto done;
    outcome = (dp_outcome){clean, scores, samples, options->trials};
    status = dp_criterion_measure(&criterion, &outcome, &out[1], err);
    if (status == DP_OK) dp_result_channel_energy(engine, repetitions, &out[1]);
done:
    dp_free(scores);
    dp_reference_free(reference);
    return status;
}
