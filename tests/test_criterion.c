/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Budgets judged on made-up scores, whose pooled means are worked out here position by position. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/stats.h"
#include "engine/score.h"
#include "learn/criterion.h"
#include "oracle.h"
#include "suites.h"

enum { SAMPLES = 60, TRIALS = 3 };

typedef struct bench {
    dp_score clean[SAMPLES], noisy[TRIALS * SAMPLES];
    dp_outcome outcome;
    double rows;
} bench;

static bool happens(uint64_t *state, double p) {
    return 0.5 + 0.5 * (double)oracle_random(state) < p;
}

/* Samples of one to four positions, or all of one; noise breaks a tenth of them. */
static void bench_open(bench *b, bool uneven, double p) {
    uint64_t state = 7;
    memset(b, 0, sizeof *b);
    for (int i = 0; i < SAMPLES; i++) {
        int rows = uneven ? 1 + i % 4 : 1;
        b->rows += rows;
        b->clean[i].rows = rows;
        for (int t = 0; t < TRIALS; t++) b->noisy[t * SAMPLES + i].rows = rows;
        for (int r = 0; r < rows; r++) {
            bool right = happens(&state, 0.8);
            b->clean[i].correct += right;
            b->clean[i].top5 += right;
            b->clean[i].agree++;
            b->clean[i].loss += right ? 0.1 : 2;
            for (int t = 0; t < TRIALS; t++) {
                dp_score *noisy = &b->noisy[t * SAMPLES + i];
                bool broken = happens(&state, p), healed = happens(&state, p / 4);
                noisy->correct += right ? !broken : healed;
                noisy->top5 += right ? !broken || healed : healed;
                noisy->agree += !broken;
                noisy->loss += (right ? 0.1 : 2) + (broken ? 0.5 : 0.01);
                noisy->kl += broken ? 0.3 : 0.02;
            }
        }
    }
    b->outcome = (dp_outcome){b->clean, b->noisy, SAMPLES, TRIALS};
}

static double lost(const dp_score *clean, const dp_score *noisy) {
    return clean->correct - noisy->correct;
}
static double disagrees(const dp_score *clean, const dp_score *noisy) {
    return clean->rows - noisy->agree;
}
static double rises(const dp_score *clean, const dp_score *noisy) {
    return noisy->loss - clean->loss;
}
static double diverges(const dp_score *clean, const dp_score *noisy) {
    return noisy->kl + 0 * clean->kl;
}

static const struct {
    dp_criterion c;
    double (*difference)(const dp_score *clean, const dp_score *noisy);
} kinds[] = {
    {{.quantity = DP_DROP, .labels = true}, lost},
    {{.quantity = DP_DROP, .labels = false}, disagrees},
    {{.quantity = DP_RISE, .labels = true, .cross_entropy = true}, rises},
    {{.quantity = DP_RISE, .labels = true}, diverges},
    {{.quantity = DP_RISE, .labels = false}, diverges},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

/* A position counts as much in a long sample as in a short one, and the mean over draws is what a sample says. */
START_TEST(the_mean_is_over_positions_and_draws) {
    bench b;
    bench_open(&b, _i / KINDS, 0.1);
    dp_criterion c = kinds[_i % KINDS].c;
    c.confidence = 0.95;
    double sum = 0, values[SAMPLES];
    for (int i = 0; i < SAMPLES; i++) {
        values[i] = 0;
        for (int t = 0; t < TRIALS; t++)
            values[i] +=
                kinds[_i % KINDS].difference(&b.clean[i], &b.noisy[t * SAMPLES + i]) / TRIALS;
        sum += values[i];
        values[i] *= SAMPLES / b.rows;
    }
    dp_verdict v;
    ck_dp_ok(dp_criterion_judge(&c, &b.outcome, 0, &v, &err));
    ck_assert_double_eq_tol(v.mean, sum / b.rows, 1e-12);
    ck_assert_double_gt(v.upper, v.mean);
    if (_i / KINDS == 0) { /* test_stats.c holds these to their definitions */
        double want = c.quantity == DP_RISE ? dp_stats_mean_upper(values, SAMPLES, 0.95)
                                            : dp_stats_paired_upper(values, SAMPLES, 0.95);
        ck_assert_double_eq_tol(v.upper, want, 1e-12);
    }
}
END_TEST

/* Samples without a label that counts are as good as not there: verdicts, intervals and bounds are those of the others alone. */
START_TEST(ignored_samples_are_no_evidence) {
    bench b;
    dp_score clean[2 * SAMPLES] = {0}, noisy[TRIALS * 2 * SAMPLES] = {0};
    bench_open(&b, _i / KINDS, 0.1);
    for (int i = 0; i < SAMPLES; i++) clean[2 * i] = b.clean[i];
    for (int i = 0; i < TRIALS * SAMPLES; i++) noisy[2 * i] = b.noisy[i];
    dp_criterion c = kinds[_i % KINDS].c;
    c.confidence = 0.95;
    dp_outcome padded = {clean, noisy, 2 * SAMPLES, TRIALS};
    for (int64_t stand_in = 0; stand_in <= 3 * SAMPLES; stand_in += SAMPLES / 2) {
        dp_verdict alone, among;
        ck_dp_ok(dp_criterion_judge(&c, &b.outcome, stand_in, &alone, &err));
        ck_dp_ok(dp_criterion_judge(&c, &padded, stand_in, &among, &err));
        ck_assert_double_eq(alone.mean, among.mean);
        ck_assert_double_eq(alone.upper, among.upper);
    }
    dp_measure alone, among;
    ck_dp_ok(dp_criterion_measure(&c, &b.outcome, &alone, &err));
    ck_dp_ok(dp_criterion_measure(&c, &padded, &among, &err));
    ck_assert_double_eq(alone.kl.upper, among.kl.upper);
    ck_assert_double_eq(alone.agreement.lower, among.agreement.lower);
    ck_assert_double_eq(alone.drop_upper, among.drop_upper);
    ck_assert_double_eq(alone.rise_upper, among.rise_upper);
}
END_TEST

/* More samples of the same kind make the bound tighter, about as one over the root; the mean stays. */
START_TEST(standing_in_for_more_samples_tightens_the_bound) {
    bench b;
    bench_open(&b, false, 0.1);
    dp_criterion c = kinds[_i].c;
    c.confidence = 0.9;
    dp_verdict own, many, few;
    ck_dp_ok(dp_criterion_judge(&c, &b.outcome, 0, &own, &err));
    ck_dp_ok(dp_criterion_judge(&c, &b.outcome, 16 * SAMPLES, &many, &err));
    ck_dp_ok(dp_criterion_judge(&c, &b.outcome, SAMPLES / 4, &few, &err));
    ck_assert_double_eq(own.mean, many.mean);
    ck_assert_double_lt(many.upper - many.mean, 0.45 * (own.upper - own.mean));
    ck_assert_double_gt(many.upper, many.mean);
    ck_assert_double_gt(few.upper, own.upper);
}
END_TEST

static const double budgets[] = {0.005, 0.01, 0.02, 0.05, 0.2, 0.9};
static const double confidences[] = {0.6, 0.9, 0.95, 0.999};

/* As many equal samples as it says certify a budget, one fewer do not. */
START_TEST(the_least_number_of_samples_is_the_least) {
    static dp_score perfect[4096];
    dp_criterion c = {.budget = budgets[_i % 6], .confidence = confidences[_i / 6], .labels = true};
    for (int i = 0; i < 4096; i++) perfect[i] = (dp_score){.rows = 1, .correct = 1, .agree = 1};
    int64_t least = dp_criterion_least_samples(&c);
    ck_assert_int_ge(least, 2);
    ck_assert_int_lt(least, 4096);
    dp_verdict v;
    dp_outcome o = {perfect, perfect, least, 1};
    ck_dp_ok(dp_criterion_judge(&c, &o, 0, &v, &err));
    ck_assert_double_le(v.upper, c.budget);
    o.samples = least - 1;
    ck_dp_ok(dp_criterion_judge(&c, &o, 0, &v, &err));
    if (least > 2) ck_assert_double_gt(v.upper, c.budget);
}
END_TEST

START_TEST(measures_are_pooled_over_positions) {
    bench b;
    bench_open(&b, _i, 0.2);
    dp_criterion c = {.confidence = 0.95, .labels = true, .cross_entropy = true};
    dp_measure m = {.energy_j = 42};
    ck_dp_ok(dp_criterion_measure(&c, &b.outcome, &m, &err));
    double correct = 0, top5 = 0, loss = 0, kl = 0, agree = 0, clean = 0, clean_loss = 0;
    for (int i = 0; i < SAMPLES; i++) {
        clean += b.clean[i].correct;
        clean_loss += b.clean[i].loss;
    }
    for (int i = 0; i < TRIALS * SAMPLES; i++) {
        correct += b.noisy[i].correct / TRIALS;
        top5 += b.noisy[i].top5 / TRIALS;
        loss += b.noisy[i].loss / TRIALS;
        kl += b.noisy[i].kl / TRIALS;
        agree += b.noisy[i].agree / TRIALS;
    }
    const struct {
        const dp_figure *is;
        double want;
    } figures[] = {{&m.top1, correct / b.rows},    {&m.top5, top5 / b.rows},
                   {&m.loss, loss / b.rows},       {&m.kl, kl / b.rows},
                   {&m.agreement, agree / b.rows}, {&m.drop, 100 * (clean - correct) / b.rows}};
    for (int i = 0; i < 6; i++) {
        ck_assert_double_eq_tol(figures[i].is->value, figures[i].want, 1e-9);
        ck_assert_double_le(figures[i].is->lower, figures[i].want + 1e-9);
        ck_assert_double_ge(figures[i].is->upper, figures[i].want - 1e-9);
        ck_assert_double_gt(figures[i].is->upper, figures[i].is->lower);
    }
    ck_assert_double_eq_tol(m.rise, (loss - clean_loss) / b.rows, 1e-9);
    ck_assert_double_gt(m.drop_upper, m.drop.value);
    ck_assert_double_gt(m.rise_upper, m.rise);
    ck_assert_double_eq(m.energy_j, 42);
}
END_TEST

START_TEST(without_labels_there_is_agreement_only) {
    bench b;
    bench_open(&b, true, 0.2);
    dp_criterion c = {.confidence = 0.95};
    dp_measure m = {0};
    ck_dp_ok(dp_criterion_measure(&c, &b.outcome, &m, &err));
    ck_assert(isnan(m.top1.value) && isnan(m.top5.value) && isnan(m.loss.value));
    ck_assert_double_eq_tol(m.drop.value, 100 * (1 - m.agreement.value), 1e-9);
    ck_assert_double_eq_tol(m.rise, m.kl.value, 1e-12);
}
END_TEST

/* ---- scores of predictions ---- */

static double log_softmax(const float *x, int count, int i) {
    double sum = 0;
    for (int k = 0; k < count; k++) sum += exp((double)x[k]);
    return (double)x[i] - log(sum);
}

START_TEST(scores_are_cross_entropy_divergence_ranks_and_agreement) {
    enum { ROWS = 5, CLASSES = 7 };
    float clean[ROWS * CLASSES], noisy[ROWS * CLASSES];
    uint64_t state = (uint64_t)_i + 1;
    int64_t labels[ROWS];
    dp_score want = {0};
    for (int i = 0; i < ROWS * CLASSES; i++) {
        clean[i] = 5 * oracle_random(&state);
        noisy[i] = clean[i] + 3 * oracle_random(&state);
    }
    for (int r = 0; r < ROWS; r++) {
        const float *p = clean + r * CLASSES, *q = noisy + r * CLASSES;
        int label = r == 2 ? -100 : (r * 3 + _i) % CLASSES, above = 0, best_p = 0, best_q = 0;
        labels[r] = label;
        if (label < 0) continue;
        want.rows++;
        for (int k = 0; k < CLASSES; k++) {
            double log_p = log_softmax(p, CLASSES, k);
            want.kl += exp(log_p) * (log_p - log_softmax(q, CLASSES, k));
            above += q[k] > q[label];
            if (p[k] > p[best_p]) best_p = k;
            if (q[k] > q[best_q]) best_q = k;
        }
        want.loss -= log_softmax(q, CLASSES, label);
        want.correct += above == 0;
        want.top5 += above < 5;
        want.agree += best_p == best_q;
    }
    dp_prediction prediction = {noisy, clean, labels, ROWS, CLASSES};
    dp_score is = dp_score_sample(&prediction);
    ck_assert_double_eq(is.rows, want.rows);
    ck_assert_double_eq_tol(is.loss, want.loss, 1e-9);
    ck_assert_double_eq_tol(is.kl, want.kl, 1e-9);
    ck_assert_double_eq(is.correct, want.correct);
    ck_assert_double_eq(is.top5, want.top5);
    ck_assert_double_eq(is.agree, want.agree);
    prediction.labels = NULL;
    is = dp_score_sample(&prediction);
    ck_assert_double_eq(is.rows, ROWS);
    ck_assert(is.loss == 0 && is.correct == 0 && is.top5 == 0);
    prediction.noisy = clean;
    ck_assert(dp_score_sample(&prediction).kl == 0 && dp_score_sample(&prediction).agree == ROWS);
}
END_TEST

Suite *test_criterion_suite(void) {
    Suite *suite = suite_create("criterion");
    TCase *tcase = tcase_create("criterion");
    tcase_add_loop_test(tcase, the_mean_is_over_positions_and_draws, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, ignored_samples_are_no_evidence, 0, 2 * KINDS);
    tcase_add_loop_test(tcase, standing_in_for_more_samples_tightens_the_bound, 0, KINDS);
    tcase_add_loop_test(tcase, the_least_number_of_samples_is_the_least, 0, 24);
    tcase_add_loop_test(tcase, measures_are_pooled_over_positions, 0, 2);
    tcase_add_test(tcase, without_labels_there_is_agreement_only);
    tcase_add_loop_test(tcase, scores_are_cross_entropy_divergence_ranks_and_agreement, 0, 10);
    suite_add_tcase(suite, tcase);
    return suite;
}
