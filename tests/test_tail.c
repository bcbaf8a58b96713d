/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Ranges of channels that share a converter, told from counts, beside those of all values in order. Bins are 1/16 of a value wide. */
#include "engine/tail.h"

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "net.h"
#include "suites.h"

enum { CHANNELS = 5, VALUES = 4000 };

typedef struct material {
    float x[2][CHANNELS][VALUES]; /* by halves */
    dp_tail tails[2][CHANNELS];
    dp_input_moments moments[CHANNELS];
} material;

static void note(dp_input_moments *m, float x) {
    m->low = m->values > 0 ? fmin(m->low, (double)x) : (double)x;
    m->high = m->values > 0 ? fmax(m->high, (double)x) : (double)x;
    m->values++;
}

/* Channels of other sizes and with other tails, normal^power, shifted; without negative values where asked for. */
static material *made(double shift, bool positive) {
    material *m = dp_alloc(1, sizeof *m);
    uint64_t state = 5;
    ck_assert_ptr_nonnull(m);
    for (int half = 0; half < 2; half++)
        for (int c = 0; c < CHANNELS; c++) {
            for (int i = 0; i < VALUES; i++) {
                double z = net_normal(&state) * pow(fabs(net_normal(&state)), c);
                double x = exp2(c - 2) * (z + shift);
                m->x[half][c][i] = (float)(positive ? fmax(x, 0) : x);
                note(&m->moments[c], m->x[half][c][i]);
            }
            dp_tail_add(&m->tails[half][c], m->x[half][c], VALUES);
            dp_tail_sum(&m->tails[half][c]);
        }
    return m;
}

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* What the converter sees, in order, of so many halves; the largest size of what bins hold, by alpha, in *size. */
static double *sorted(const material *m, const dp_tail_channels *c, int halves, double *size) {
    double *all = dp_alloc((size_t)halves * CHANNELS * VALUES, sizeof *all);
    size_t n = 0;
    ck_assert_ptr_nonnull(all);
    *size = 0;
    for (int half = 0; half < halves; half++)
        for (int j = 0; j < CHANNELS; j++)
            for (int i = 0; i < VALUES; i++) {
                double alpha = c->alpha ? (double)c->alpha[j] : 1,
                       mu = c->mu ? (double)c->mu[j] : 0;
                all[n] = alpha * ((double)m->x[half][j][i] - mu);
                *size = fmax(*size, alpha * fabs(mu));
                n++;
            }
    qsort(all, n, sizeof *all, ascending);
    return all;
}

static const float alphas[CHANNELS] = {4, 2, 1, 0.5F, 0.25F},
                   means[CHANNELS] = {0.5F, -1, 2, 0, -3};

static dp_tail_channels channels_of(const material *m, const float *mu, const float *alpha) {
    return (dp_tail_channels){.count = CHANNELS,
                              .halves = {m->tails[0], m->tails[1]},
                              .moments = m->moments,
                              .mu = mu,
                              .alpha = alpha};
}

typedef struct range_case {
    const char *name;
    double shift;
    bool positive;
    const float *mu, *alpha;
    double percentile;
} range_case;

static const range_case ranges[] = {
    {"as they are", 0, false, NULL, NULL, 99.9},
    {"as they are, cut deep", 0, false, NULL, NULL, 98},
    {"evened", 0, false, NULL, alphas, 99.9},
    {"positive", 0, true, NULL, alphas, 99.9},
    {"moved", 0, false, means, NULL, 99.9},
    {"moved and evened", 1, false, means, alphas, 99.9},
    {"positive, moved and evened", 0, true, means, alphas, 99.9},
    {"all on one side of the mean", 9, false, means, alphas, 99},
};
enum { RANGES = sizeof ranges / sizeof *ranges };

/* Ranks have to be as the percentile says; what the bins leave open is a sixteenth of the value that lies there, x = y / alpha + mu. */
START_TEST(range_is_that_of_all_values_in_order) {
    const range_case *r = &ranges[_i];
    material *m = made(r->shift, r->positive);
    dp_tail_channels c = channels_of(m, r->mu, r->alpha);
    double low, high, size;
    double *all = sorted(m, &c, 2, &size);
    const int n = 2 * CHANNELS * VALUES;
    bool both = all[0] < 0 && all[n - 1] > 0;
    int cut = (int)(n * (100 - r->percentile) / 100 / (both ? 2 : 1));
    double below = fmin(0, all[cut]), above = fmax(0, all[n - 1 - cut]);
    dp_tail_range(&c, r->percentile, &low, &high);
    ck_assert_msg(fabs(low - below) <= (fabs(below) + size) / 16, "%s: %g, not %g", r->name, low,
                  below);
    ck_assert_msg(fabs(high - above) <= (above + size) / 16, "%s: %g, not %g", r->name, high,
                  above);
    ck_assert(low >= fmin(0, all[0]) && high <= fmax(0, all[n - 1]));
    dp_free(all);
    dp_free(m);
}
END_TEST

/* Squares of what lies outside, added up; a sixteenth of where a limit lies is left open, and 16 steps of an integral to the extreme. */
START_TEST(what_is_cut_is_what_lies_outside) {
    const range_case *r = &ranges[_i];
    material *m = made(r->shift, r->positive);
    dp_tail_channels c = channels_of(m, r->mu, r->alpha);
    double low, high, told = 0, all = 0;
    dp_tail_range(&c, r->percentile, &low, &high);
    for (int j = 0; j < CHANNELS; j++) {
        double alpha = r->alpha ? (double)r->alpha[j] : 1, mu = r->mu ? (double)r->mu[j] : 0;
        double sum = 0;
        for (int i = 0; i < 2 * VALUES; i++) {
            double y = alpha * ((double)m->x[i / VALUES][j][i % VALUES] - mu);
            sum += pow(y - fmin(fmax(y, low), high), 2) / (2 * VALUES);
        }
        double cut = dp_tail_cut(&c, j, low, high);
        ck_assert_msg(fabs(cut - sum) <= 0.25 * sum + 1e-4, "%s, %d: %g, not %g", r->name, j, cut,
                      sum);
        told += cut;
        all += sum;
    }
    ck_assert(all > 0);
    ck_assert_double_eq_tol(told, all, 0.1 * all);
    c.halves[0] = c.halves[1] = NULL;
    ck_assert_double_eq(dp_tail_cut(&c, 0, low, high), 0);
    dp_free(m);
}
END_TEST

START_TEST(range_is_of_the_extremes_where_nothing_is_cut_or_counted) {
    material *m = made(0, false);
    dp_tail_channels c = channels_of(m, means, alphas);
    double low, high, size, *all = sorted(m, &c, 2, &size);
    for (int how = 0; how < 2; how++) {
        dp_tail_range(&c, how == 0 ? 100 : 99, &low, &high);
        ck_assert_double_eq(low, all[0]);
        ck_assert_double_eq(high, all[2 * CHANNELS * VALUES - 1]);
        c.halves[0] = c.halves[1] = NULL;
    }
    dp_free(all);
    dp_free(m);
}
END_TEST

START_TEST(counts_depend_on_the_set_of_values_only) {
    material *m = made(0, false);
    const float *x = m->x[0][4];
    dp_tail forward = {0}, backward = {0}, parts[3] = {0}, merged = {0};
    dp_tail_add(&forward, x, VALUES);
    for (int i = VALUES; i-- > 0;) {
        dp_tail_add(&backward, &x[i], 1);
        dp_tail_add(&parts[i % 3], &x[i], 1);
    }
    ck_assert_mem_eq(&forward, &backward, sizeof forward);
    for (int i = 0; i < 3; i++) dp_tail_merge(&merged, &parts[i]);
    ck_assert_mem_eq(&forward, &merged, sizeof forward);
    dp_free(m);
}
END_TEST

START_TEST(zeros_and_what_is_not_finite_is_in_no_tail) {
    const float x[] = {0, -0.0F, NAN, INFINITY, -INFINITY, 1e-45F};
    dp_tail tail = {0}, none = {0};
    dp_tail_add(&tail, x, 6);
    ck_assert_mem_eq(&tail, &none, sizeof tail);
    dp_tail_channels c = {
        .count = 1, .halves = {&tail}, .moments = &(dp_input_moments){.values = 6}};
    double low = 1, high = 1;
    dp_tail_range(&c, 99, &low, &high);
    ck_assert(low == 0 && high == 0);
}
END_TEST

Suite *test_tail_suite(void);
Suite *test_tail_suite(void) {
    Suite *s = suite_create("tail");
    TCase *t = tcase_create("counts of the largest values");
    tcase_add_loop_test(t, range_is_that_of_all_values_in_order, 0, RANGES);
    tcase_add_loop_test(t, what_is_cut_is_what_lies_outside, 0, RANGES);
    tcase_add_test(t, range_is_of_the_extremes_where_nothing_is_cut_or_counted);
    tcase_add_test(t, counts_depend_on_the_set_of_values_only);
    tcase_add_test(t, zeros_and_what_is_not_finite_is_in_no_tail);
    suite_add_tcase(s, t);
    return s;
}
