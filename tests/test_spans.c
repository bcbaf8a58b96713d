/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Alphas for the ranges of converters, beside all there are on a grid: noise as thermal noise is defined, from the values themselves. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "dynaprec/npz.h"
#include "engine/expect.h"
#include "learn/condition/balance.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum {
    SAMPLES = 200,
    POSITIONS = 8,
    INPUTS = 3,
    OUTPUTS = 6,
    VALUES = SAMPLES * POSITIONS * INPUTS
};

typedef struct spans_case {
    const char *name;
    double percentile;
    bool positive;
    float mu[INPUTS], weights[INPUTS]; /* sizes of the weights' columns */
    double tails;                      /* powers of normals */
    double
        tolerance; /* of noise: what shrinkage, and a bin of a sixteenth where there are bins, may cost */
} spans_case;

static const spans_case cases[] = {
    {"extremes of one side", 100, true, {0, 0, 0}, {1, 1, 1}, 0, 0.03},
    {"extremes of both sides", 100, false, {0, 0, 0}, {3, 1, 0.5F}, 0, 0.03},
    {"extremes, moved", 100, false, {1, -2, 0.5F}, {1, 1, 4}, 1, 0.03},
    {"extremes, moved, that one side makes", 100, true, {1, 0.2F, 3}, {1, 2, 1}, 1, 0.03},
    {"percentile of one side", 99, true, {0, 0, 0}, {1, 1, 1}, 1, 0.06},
    {"percentile of both sides", 99, false, {0, 0, 0}, {3, 1, 0.5F}, 2, 0.06},
    {"percentile, moved", 99, false, {1, -2, 0.5F}, {1, 1, 4}, 2, 0.06},
};
enum { CASES = sizeof cases / sizeof *cases };

typedef struct site {
    rig r;
    dp_conditionables list;
    const spans_case *is;
    const float *w; /* [OUTPUTS, INPUTS] as the product has them, by stride */
    float x[SAMPLES][POSITIONS][INPUTS];
    dp_readers readers;
    int sites[1];
} site;

/* Channels whose tails differ: the first one's is a normal's. */
static void fill(site *s) {
    uint64_t state = 11;
    for (int i = 0; i < SAMPLES * POSITIONS; i++)
        for (int j = 0; j < INPUTS; j++) {
            double z = net_normal(&state) * pow(fabs(net_normal(&state)), j * s->is->tails);
            s->x[i / POSITIONS][i % POSITIONS][j] = (float)(s->is->positive ? fmax(z, 0) : z);
        }
    dp_tensor t = {.data = s->x, .borrowed = true};
    dp_tensor_reshape(&t, DP_F32, 3, NET_DIM(SAMPLES, POSITIONS, INPUTS));
    static char name[] = "x";
    dp_array array = {name, t};
    dp_input_spec spec;
    dp_engine_inputs(s->r.n.graph, &spec);
    ck_dp_ok(dp_npz_write(scratch("x.npz"), &array, 1, &err));
    ck_dp_ok(dp_dataset_open(&s->r.data, scratch("x.npz"), &spec, 1, NULL, &err));
}

static site *opened(const spans_case *is) {
    site *s = dp_alloc(1, sizeof *s);
    ck_assert_ptr_nonnull(s);
    s->is = is;
    net_open(&s->r.n, 31);
    int x = net_input(&s->r.n, "x", DP_F32, 3, NET_DIM(-1, POSITIONS, INPUTS));
    int y = net_matmul(&s->r.n, x, OUTPUTS, INPUTS);
    net_output(&s->r.n, y);
    const dp_graph *g = s->r.n.graph;
    float *w = g->values[g->nodes[g->values[y].producer].in[1]].constant->data;
    for (int i = 0; i < OUTPUTS * INPUTS; i++)
        w[i] *= is->weights[i / OUTPUTS]; /* [INPUTS, OUTPUTS] */
    s->w = w;
    s->r.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
    s->r.hardware.percentile = is->percentile;
    fill(s);
    ck_dp_ok(dp_graph_conditionable(&s->list, g, &err));
    dp_engine_options options = {.seed = 1, .example = s->r.data, .inputs = &s->list};
    ck_dp_ok(dp_engine_create(&s->r.engine, g, &s->r.hardware, &options, &err));
    ck_dp_ok(dp_engine_survey(s->r.engine, s->r.data, &err));
    s->readers = (dp_readers){.engine = s->r.engine,
                              .sites = s->sites,
                              .count = 1,
                              .inputs = INPUTS,
                              .samples = SAMPLES / 2};
    return s;
}

static void closed(site *s) {
    dp_conditionables_clear(&s->list);
    rig_close(&s->r);
    dp_free(s);
}

static int ascending(const void *a, const void *b) {
    const double *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* R_x² sum_c R_w,c², by definition. */
static double noise_of(const site *s, const double *alpha) {
    static double all[VALUES];
    double sum = 0, below, above;
    for (int i = 0; i < VALUES; i++) {
        int j = i % INPUTS;
        all[i] = alpha[j] * (double)(((const float *)s->x)[i] - s->is->mu[j]);
    }
    qsort(all, VALUES, sizeof *all, ascending);
    bool both = all[0] < 0 && all[VALUES - 1] > 0;
    int cut = (int)(VALUES * (100 - s->is->percentile) / 100 / (both ? 2 : 1));
    below = fmin(0, all[cut]);
    above = fmax(0, all[VALUES - 1 - cut]);
    for (int c = 0; c < OUTPUTS; c++) {
        double low = 0, high = 0;
        for (int j = 0; j < INPUTS; j++) {
            low = fmin(low, (double)s->w[j * OUTPUTS + c] / alpha[j]);
            high = fmax(high, (double)s->w[j * OUTPUTS + c] / alpha[j]);
        }
        sum += (high - low) * (high - low);
    }
    return (above - below) * (above - below) * sum;
}

static double noise_by_rule(const site *s, int rule) {
    float found[INPUTS];
    double alpha[INPUTS];
    ck_dp_ok(dp_balance_alphas(&s->readers, rule, DP_EXPECT_ALL, s->is->mu, found, &err));
    for (int j = 0; j < INPUTS; j++) {
        ck_assert(found[j] >= 0.25F && found[j] <= 4);
        alpha[j] = (double)found[j];
    }
    return noise_of(s, alpha);
}

/* Ratios are all that counts: steps of 12% within the bounds. */
static double noise_on_grid(const site *s) {
    enum { STEPS = 12 };
    double least = INFINITY;
    for (int a = -STEPS; a <= STEPS; a++)
        for (int b = -STEPS; b <= STEPS; b++) {
            const double alpha[INPUTS] = {1, exp(a * log(4) / STEPS), exp(b * log(4) / STEPS)};
            least = fmin(least, noise_of(s, alpha));
        }
    return least;
}

START_TEST(noise_of_ranges_is_as_low_as_on_a_grid_and_under_the_other_rules) {
    site *s = opened(&cases[_i]);
    int last = dp_balance_rules(&s->r.hardware) - 1;
    ck_assert_int_eq(last, 2);
    double best = noise_by_rule(s, last), grid = noise_on_grid(s), more = 1 + s->is->tolerance;
    ck_assert_msg(best <= more * grid, "%s: %g, on the grid %g", s->is->name, best, grid);
    for (int rule = 0; rule < last; rule++)
        ck_assert_msg(best <= more * noise_by_rule(s, rule), "%s: %d", s->is->name, rule);
    closed(s);
}
END_TEST

START_TEST(hardware_without_converters_or_ranges_does_not_ask_for_it) {
    dp_hardware shot = net_hardware((const char *const[]){"shot", NULL}, (double[]){1});
    shot.input_bits = 0;
    ck_assert_int_eq(dp_balance_rules(&shot), 2);
    shot.input_bits = 8;
    ck_assert_int_eq(dp_balance_rules(&shot), 3);
}
END_TEST

Suite *test_spans_suite(void);
Suite *test_spans_suite(void) {
    Suite *s = suite_create("spans");
    TCase *t = tcase_create("alphas for ranges");
    tcase_add_checked_fixture(t, scratch_setup, scratch_teardown);
    tcase_add_loop_test(t, noise_of_ranges_is_as_low_as_on_a_grid_and_under_the_other_rules, 0,
                        CASES);
    tcase_add_test(t, hardware_without_converters_or_ranges_does_not_ask_for_it);
    suite_add_tcase(s, t);
    return s;
}
