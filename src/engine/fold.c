/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/fold.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

static void add(dp_fold *f, const double *sums) {
    for (int64_t i = 0; i < f->groups * (f->channels + 1); i++) f->sums[i] += sums[i];
}

dp_status dp_fold_pass(dp_fold *out, dp_engine *e, const dp_pass *pass, dp_error *err) {
    *out = (dp_fold){.channels = e->channels};
    dp_status status = DP_OK;
    for (int t = 0; status == DP_OK && t < pass->trials; t++) {
        dp_pass one = *pass;
        one.first_trial = pass->first_trial + (uint32_t)t;
        one.trials = 1;
        one.sum_bytes = (size_t)(e->channels + 1) * sizeof(double);
        for (int i = 0; i < 2; i++)
            if (one.results[i].base)
                one.results[i].base =
                    (char *)one.results[i].base +
                    (size_t)(t * dp_dataset_count(pass->data)) * one.results[i].bytes;
        void *sums = NULL;
        status = dp_engine_pass(e, &one, &sums, &out->groups, err);
        if (status != DP_OK) break;
        if (t == 0) {
            out->sums = sums;
        } else {
            add(out, sums);
            dp_free(sums);
        }
    }
    if (status != DP_OK) dp_fold_free(out);
    return status;
}

void dp_fold_free(dp_fold *f) {
    dp_free(f->sums);
    f->sums = NULL;
}

static const double *group(const dp_fold *f, int g) {
    return f->sums + g * (f->channels + 1);
}

static double variance_of(const dp_fold *f, int64_t channel, double mean, double positions) {
    double squares = 0;
    for (int g = 0; g < f->groups; g++) {
        double off = group(f, g)[channel] - group(f, g)[f->channels] * mean;
        squares += off * off;
    }
    return f->groups / (f->groups - 1.0) * squares / (positions * positions);
}

void dp_fold_mean(const dp_fold *f, double *mean, double *variance) {
    double positions = 0;
    for (int g = 0; g < f->groups; g++) positions += group(f, g)[f->channels];
    for (int64_t c = 0; c < f->channels; c++) {
        mean[c] = 0;
        for (int g = 0; g < f->groups; g++) mean[c] += group(f, g)[c];
        if (positions > 0) mean[c] /= positions;
        if (variance) variance[c] = f->groups > 1 ? variance_of(f, c, mean[c], positions) : NAN;
    }
}
