/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Predictions turned into numbers: cross-entropy, divergence from the clean prediction, top-1, top-5, agreement; squared errors
 * for outputs that are quantities.
 */
#include "engine/score.h"

#include <math.h>

double dp_log_sum_exp(const float *x, int64_t count) {
    float top = x[0];
    for (int64_t i = 1; i < count; i++) top = x[i] > top ? x[i] : top;
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += exp((double)x[i] - (double)top);
    return (double)top + log(sum);
}

static int64_t arg_max(const float *x, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (x[i] > x[best]) best = i;
    return best;
}

/* Rank of a label: how many classes are above it, earlier ones first among equals. */
static int64_t rank_of(const float *x, int64_t count, int64_t label) {
    int64_t above = 0;
    for (int64_t i = 0; i < count; i++) above += x[i] > x[label] || (x[i] == x[label] && i < label);
    return above;
}

/* KL(p || q) = sum p (log p - log q), p the clean prediction. Rounding may leave it a little below zero. */
static double divergence(const float *clean, const float *noisy, int64_t count) {
    double log_p = dp_log_sum_exp(clean, count), log_q = dp_log_sum_exp(noisy, count), sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double p = (double)clean[i] - log_p;
        if (p > -80) sum += exp(p) * (p - ((double)noisy[i] - log_q));
    }
    return sum;
}

/* By how much x[answer] is above all others. */
static double margin_of(const float *x, int64_t count, int64_t answer) {
    double best = -INFINITY;
    for (int64_t i = 0; i < count; i++)
        if (i != answer) best = fmax(best, (double)x[i]);
    return (double)x[answer] - best;
}

dp_score dp_score_sample(const dp_prediction *p) {
    dp_score score = {.margin = NAN};
    double margin = NAN;
    for (int64_t r = 0; r < p->rows; r++) {
        const float *noisy = p->noisy + r * p->classes, *clean = p->clean + r * p->classes;
        int64_t label = p->labels ? p->labels[r] : 0;
        if (label == DP_IGNORED_LABEL) continue;
        score.rows += 1;
        score.kl += noisy == clean ? 0 : divergence(clean, noisy, p->classes);
        int64_t predicted = arg_max(clean, p->classes);
        score.agree += predicted == arg_max(noisy, p->classes);
        if (p->classes > 1) margin = margin_of(noisy, p->classes, p->labels ? label : predicted);
        if (!p->labels) continue;
        int64_t rank = rank_of(noisy, p->classes, label);
        score.loss += dp_log_sum_exp(noisy, p->classes) - (double)noisy[label];
        score.correct += rank == 0;
        score.top5 += rank < 5;
    }
    if (score.rows == 1) score.margin = margin;
    return score;
}

static double mean_square(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double difference = (double)a[i] - (double)b[i];
        sum += difference * difference;
    }
    return sum / (double)count;
}

dp_score dp_score_estimate(const dp_estimate *e) {
    dp_score score = {.rows = 1, .margin = NAN};
    if (e->targets) score.loss = mean_square(e->noisy, e->targets, e->count);
    if (e->noisy != e->clean) score.kl = mean_square(e->noisy, e->clean, e->count) / e->spread;
    return score;
}

double dp_score_spread(const float *values, int64_t samples, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        double mean = 0, squares = 0;
        for (int64_t n = 0; n < samples; n++) mean += (double)values[n * count + i];
        mean /= (double)samples;
        for (int64_t n = 0; n < samples; n++) {
            double off = (double)values[n * count + i] - mean;
            squares += off * off;
        }
        sum += squares / (double)samples;
    }
    return sum / (double)count;
}
