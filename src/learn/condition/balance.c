/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/condition/balance.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/noise.h"
#include "engine/expect.h"
#include "learn/condition/spans.h"

/* How far an alpha may be from the site's typical one, either way. */
static const double farthest = 4;

/* Samples that the site's typical channel is worth beside what was seen of a channel: one that hardly fires tells little. */
static const double prior = 4;

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* The median; the mean where more than half are zero. */
static double typical(const double *values, double *scratch, int64_t count) {
    double sum = 0;
    for (int64_t j = 0; j < count; j++) sum += values[j];
    memcpy(scratch, values, (size_t)count * sizeof *values);
    qsort(scratch, (size_t)count, sizeof *scratch, ascending);
    double median = scratch[count / 2];
    return median > 0 ? median : sum / (double)count;
}

/* What a channel is on samples that were not seen: drawn towards the typical one. */
static void shrink(const dp_readers *r, int samples, double *values, double *scratch) {
    double seen = (double)r->samples * (samples == DP_EXPECT_ALL ? 2 : 1);
    double middle = typical(values, scratch, r->inputs);
    for (int64_t j = 0; j < r->inputs; j++)
        values[j] = (seen * values[j] + prior * middle) / (seen + prior);
}

/* Mean square of each channel, less mu. */
static void squares(const dp_input_moments *moments, const float *mu, int64_t count, double *out) {
    for (int64_t j = 0; j < count; j++) {
        double m = mu ? (double)mu[j] : 0;
        out[j] = fmax(0, moments[j].square - 2 * m * moments[j].mean + m * m);
    }
}

/* Sum over the readers' weights of |W_cj|^power, each site as important as the others. */
static dp_status columns(const dp_readers *r, double power, double *sums, double *scratch,
                         dp_error *err) {
    memset(sums, 0, (size_t)r->inputs * sizeof *sums);
    for (int i = 0; i < r->count; i++) {
        size_t channels = (size_t)dp_engine_site(r->engine, r->sites[i])->channels;
        double *ones = dp_alloc(channels, sizeof *ones), total = 0;
        if (!ones) return dp_fail(err, DP_EMEMORY, "no memory for a site's channels");
        for (size_t c = 0; c < channels; c++) ones[c] = 1;
        dp_expect_columns(r->engine, r->sites[i], power, ones, scratch);
        dp_free(ones);
        for (int64_t j = 0; j < r->inputs; j++) total += scratch[j];
        for (int64_t j = 0; j < r->inputs && total > 0; j++) sums[j] += scratch[j] / total;
    }
    return DP_OK;
}

/* What a rule works with; arrays are [inputs]. */
typedef struct material {
    const dp_readers *readers;
    int samples;
    const dp_input_moments *moments;
    const float *mu;
    double *values, *scratch[2];
    float *alpha; /* what it finds */
} material;

typedef dp_status (*rule)(const material *m, dp_error *err);

/* From fourth powers to alphas about 1 (their geometric mean), within bounds; 0 is for channels without any. */
static void normalise(const double *fourth, int64_t count, float *alpha) {
    double logs = 0;
    int64_t positive = 0;
    for (int64_t j = 0; j < count; j++)
        if (fourth[j] > 0) {
            logs += log(fourth[j]);
            positive++;
        }
    double middle = positive ? logs / (double)positive : 0;
    for (int64_t j = 0; j < count; j++) {
        double a = fourth[j] > 0 ? exp((log(fourth[j]) - middle) / 4) : 1 / farthest;
        alpha[j] = (float)fmin(farthest, fmax(1 / farthest, a));
    }
}

/* sqrt(|W_:j| / rms(x_j)): what minimises |W|² |x|² [Cauchy and Schwarz]. */
static dp_status by_norms(const material *m, dp_error *err) {
    double *square = m->scratch[0];
    dp_status status = columns(m->readers, 2, m->values, m->scratch[1], err);
    squares(m->moments, m->mu, m->readers->inputs, square);
    shrink(m->readers, m->samples, square, m->scratch[1]);
    for (int64_t j = 0; j < m->readers->inputs; j++)
        m->values[j] = square[j] > 0 ? m->values[j] / square[j] : 0;
    normalise(m->values, m->readers->inputs, m->alpha);
    return status;
}

/* Equal ranges: what minimises the product of both converters' ranges, for every row at once. */
static dp_status by_ranges(const material *m, dp_error *err) {
    (void)err;
    const dp_readers *r = m->readers;
    const dp_reaches reaches = {m->values, m->scratch[0]};
    dp_expect_reaches(r->engine, r->sites[0], m->samples, m->mu, &reaches);
    for (int64_t j = 0; j < r->inputs; j++) {
        double reach = fmax(m->values[j], m->scratch[0][j]);
        m->values[j] = reach * reach;
    }
    shrink(r, m->samples, m->values, m->scratch[0]);
    for (int64_t j = 0; j < r->inputs; j++)
        m->values[j] = m->values[j] > 0 ? 1 / (m->values[j] * m->values[j]) : 0;
    normalise(m->values, r->inputs, m->alpha);
    return DP_OK;
}

/* The rule's alphas where its noise is less than `least`, which is lowered then. */
static dp_status begin_by(rule from, const material *m, dp_spans *spans, double *least,
                          dp_error *err) {
    int64_t inputs = m->readers->inputs;
    float *alpha = dp_alloc((size_t)inputs, sizeof *alpha);
    if (!alpha) return dp_fail(err, DP_EMEMORY, "no memory for alphas");
    material other = *m;
    other.alpha = alpha;
    dp_status status = from(&other, err);
    double noise = status == DP_OK ? dp_spans_noise(spans, alpha) : INFINITY;
    if (noise < *least) {
        *least = noise;
        memcpy(m->alpha, alpha, (size_t)inputs * sizeof *alpha);
    }
    dp_free(alpha);
    return status;
}

/* The least product of both converters' ranges (learn/condition/spans.h), from the best of the other rules' alphas or none. */
static dp_status by_spans(const material *m, dp_error *err) {
    dp_spans spans = {
        .readers = m->readers, .samples = m->samples, .moments = m->moments, .mu = m->mu};
    dp_status status = dp_spans_open(&spans, err);
    if (status == DP_OK) {
        for (int64_t j = 0; j < m->readers->inputs; j++) m->alpha[j] = 1;
        double least = dp_spans_noise(&spans, m->alpha);
        status = begin_by(by_norms, m, &spans, &least, err);
        if (status == DP_OK) status = begin_by(by_ranges, m, &spans, &least, err);
    }
    if (status == DP_OK) status = dp_spans_lower(&spans, normalise, m->alpha, err);
    dp_spans_clear(&spans);
    return status;
}

static const rule rules[] = {by_norms, by_ranges, by_spans};

int dp_balance_rules(const dp_hardware *hardware) {
    int all = (int)(sizeof rules / sizeof *rules);
    return dp_noise_needs_ranges(hardware) || hardware->input_bits > 0 ? all : all - 1;
}

dp_status dp_balance_alphas(const dp_readers *r, int rule_index, int samples, const float *mu,
                            float *alpha, dp_error *err) {
    size_t inputs = (size_t)r->inputs;
    dp_input_moments *moments = dp_alloc(inputs, sizeof *moments);
    double *numbers = dp_alloc(3 * inputs, sizeof *numbers);
    dp_status status =
        moments && numbers ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for alphas");
    if (status == DP_OK) {
        dp_expect_moments(r->engine, r->sites[0], samples, moments);
        material m = {.readers = r,
                      .samples = samples,
                      .moments = moments,
                      .mu = mu,
                      .values = numbers,
                      .scratch = {numbers + inputs, numbers + 2 * inputs},
                      .alpha = alpha};
        status = rules[rule_index](&m, err);
    }
    dp_free(moments);
    dp_free(numbers);
    return status;
}

dp_status dp_balance_means(const dp_readers *r, int samples, float *mu, dp_error *err) {
    dp_input_moments *moments = dp_alloc((size_t)r->inputs, sizeof *moments);
    if (!moments) return dp_fail(err, DP_EMEMORY, "no memory for means");
    dp_expect_moments(r->engine, r->sites[0], samples, moments);
    for (int64_t j = 0; j < r->inputs; j++) mu[j] = (float)moments[j].mean;
    dp_free(moments);
    return DP_OK;
}
