/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The descent moves each log alpha_j by no more than a step, in parts of it by how unequal the channel's two shares are; steps
 * become shorter, and the best alphas on the way count, since maxima have no slope where two are equal.
 */
#include "learn/condition/spans.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Steps of log alpha: how many, the first, and what each is of the one before. */
enum { STEPS = 80 };
static const double first_step = 0.25, shorter = 0.968;

/* Lanes, so that a compiler may look for several maxima at a time: floats have no order of their own to keep. */
enum { LANES = 16 };

/* The largest a_j b_j that is above 0, and where; 0 and 0 where none is. */
__attribute__((target_clones("avx2", "default"))) static float largest(const float *a,
                                                                       const float *b,
                                                                       int64_t count, int64_t *at) {
    float lane[LANES] = {0}, most = 0;
    int64_t j = 0;
    for (; j + LANES <= count; j += LANES)
        for (int k = 0; k < LANES; k++) {
            float x = a[j + k] * b[j + k];
            lane[k] = x > lane[k] ? x : lane[k];
        }
    for (; j < count; j++) most = fmaxf(most, a[j] * b[j]);
    for (int k = 0; k < LANES; k++) most = fmaxf(most, lane[k]);
    for (j = 0; most > 0 && a[j] * b[j] < most;) j++;
    *at = most > 0 ? j : 0;
    return most;
}

/* sum_c R_w,c² of one site, and each channel's share of it in s->one. */
static double rows(dp_spans *s, int i) {
    const dp_site_info *site = dp_engine_site(s->readers->engine, s->readers->sites[i]);
    int64_t width = s->readers->inputs / site->groups, at[2];
    const float *up = s->weights[i], *down = up + site->channels * width;
    double sum = 0;
    memset(s->one, 0, (size_t)s->readers->inputs * sizeof *s->one);
    for (int64_t c = 0; c < site->channels; c++) {
        int64_t first = c / (site->channels / site->groups) * width;
        double high = (double)largest(up + c * width, s->inverse + first, width, &at[0]);
        double low = (double)largest(down + c * width, s->inverse + first, width, &at[1]);
        sum += (high + low) * (high + low);
        s->one[first + at[0]] += (high + low) * high;
        s->one[first + at[1]] += (high + low) * low;
    }
    return sum;
}

static dp_status take(dp_spans *s, int i, dp_error *err) {
    const dp_site_info *site = dp_engine_site(s->readers->engine, s->readers->sites[i]);
    size_t count;
    if (dp_size_mul((size_t)site->channels, (size_t)(s->readers->inputs / site->groups), &count))
        s->weights[i] = dp_alloc(count, 2 * sizeof(float));
    if (!s->weights[i]) return dp_fail(err, DP_EMEMORY, "no memory for a site's weights");
    dp_expect_weights(s->readers->engine, s->readers->sites[i], s->weights[i],
                      s->weights[i] + count);
    s->whole[i] = rows(s, i);
    return DP_OK;
}

dp_status dp_spans_open(dp_spans *s, dp_error *err) {
    size_t inputs = (size_t)s->readers->inputs, count = (size_t)s->readers->count;
    s->weights = dp_alloc(count, sizeof *s->weights);
    s->whole = dp_alloc(count, sizeof *s->whole);
    s->inverse = dp_alloc(inputs, sizeof *s->inverse);
    s->of_rows = dp_alloc(inputs, sizeof *s->of_rows);
    s->of_inputs = dp_alloc(inputs, sizeof *s->of_inputs);
    s->one = dp_alloc(inputs, sizeof *s->one);
    bool ready = s->weights && s->whole && s->inverse && s->of_rows && s->of_inputs && s->one;
    dp_status status = ready ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for ranges");
    for (size_t j = 0; ready && j < inputs; j++) s->inverse[j] = 1;
    for (int i = 0; status == DP_OK && i < s->readers->count; i++) status = take(s, i, err);
    return status;
}

void dp_spans_clear(dp_spans *s) {
    for (int i = 0; s->weights && i < s->readers->count; i++) dp_free(s->weights[i]);
    dp_free(s->weights);
    dp_free(s->whole);
    dp_free(s->inverse);
    dp_free(s->of_rows);
    dp_free(s->of_inputs);
    dp_free(s->one);
}

double dp_spans_noise(dp_spans *s, const float *alpha) {
    const dp_operand_vectors v = {s->mu, alpha};
    int64_t inputs = s->readers->inputs;
    double range = dp_expect_range(s->readers->engine, s->readers->sites[0], s->samples, &v,
                                   s->moments, s->of_inputs);
    double left = 0;
    for (int64_t j = 0; j < inputs; j++) s->inverse[j] = 1 / alpha[j];
    memset(s->of_rows, 0, (size_t)inputs * sizeof *s->of_rows);
    for (int i = 0; i < s->readers->count; i++) {
        double whole = s->whole[i] > 0 ? s->whole[i] * s->readers->count : 1;
        left += rows(s, i) / whole;
        for (int64_t j = 0; j < inputs; j++) s->of_rows[j] += s->one[j] / whole;
    }
    for (int64_t j = 0; left > 0 && j < inputs; j++) s->of_rows[j] /= left;
    return range * range * left;
}

/* One step from alpha, by the shares that were taken there. */
static void step(const dp_spans *s, double length, double *fourth, dp_spans_bound *bound,
                 float *alpha) {
    for (int64_t j = 0; j < s->readers->inputs; j++) {
        double both = s->of_rows[j] + s->of_inputs[j];
        double part = both > 0 ? (s->of_rows[j] - s->of_inputs[j]) / both : 0;
        fourth[j] = pow((double)alpha[j], 4) * exp(4 * length * part);
    }
    bound(fourth, s->readers->inputs, alpha);
}

dp_status dp_spans_lower(dp_spans *s, dp_spans_bound *bound, float *alpha, dp_error *err) {
    size_t inputs = (size_t)s->readers->inputs;
    double *fourth = dp_alloc(inputs, sizeof *fourth), length = first_step;
    float *now = dp_alloc(inputs, sizeof *now);
    bool ready = fourth && now;
    if (ready) {
        memcpy(now, alpha, inputs * sizeof *now);
        double least = dp_spans_noise(s, now);
        for (int k = 0; k < STEPS; k++, length *= shorter) {
            step(s, length, fourth, bound, now);
            double noise = dp_spans_noise(s, now);
            if (noise >= least) continue;
            least = noise;
            memcpy(alpha, now, inputs * sizeof *now);
        }
    }
    dp_free(fourth);
    dp_free(now);
    return ready ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory to look for alphas in");
}
