/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The prior that holds channels to their layers: what it costs, its derivative, and how strong it is for made-up noise. */
#include <check.h>
#include <math.h>

#include "learn/refine/shrink.h"
#include "net.h"
#include "suites.h"

enum { LAYERS = 3, WIDTH = 400, UNITS = LAYERS * WIDTH };

typedef struct made {
    dp_shrink h;
    int layer[UNITS];
    double scale[UNITS], kappa[UNITS], sum[3 * LAYERS];
    double slope[UNITS], variance[UNITS], x[UNITS];
    uint64_t state;
} made;

static void made_open(made *m) {
    *m = (made){.state = 5};
    m->h = (dp_shrink){UNITS, LAYERS, m->layer, m->scale, m->kappa, m->sum};
    for (int u = 0; u < UNITS; u++) {
        m->layer[u] = u % LAYERS;
        m->scale[u] = 0.5 + (double)(u % 7) / 4;
        m->kappa[u] = (double)(u % 5);
        m->x[u] = net_normal(&m->state);
    }
}

START_TEST(the_penalty_has_its_derivative) {
    static made m;
    made_open(&m);
    static double nothing[UNITS];
    const double step = 1e-5;
    dp_shrink_penalty(&m.h, m.x, m.slope);
    for (int u = 0; u < UNITS; u += 37) {
        double side[2], was = m.x[u];
        for (int i = 0; i < 2; i++) {
            m.x[u] = was + (i ? step : -step);
            side[i] = dp_shrink_penalty(&m.h, m.x, nothing);
        }
        m.x[u] = was;
        ck_assert_double_eq_tol((side[1] - side[0]) / (2 * step), m.slope[u], 1e-5);
    }
}
END_TEST

/* log K of all channels of a layer by the same amount. */
START_TEST(what_moves_a_whole_layer_is_free) {
    static made m;
    made_open(&m);
    for (int u = 0; u < UNITS; u++) m.x[u] = m.scale[u] * (m.layer[u] - 0.7);
    ck_assert_double_le(dp_shrink_penalty(&m.h, m.x, m.slope), 1e-20);
    for (int u = 0; u < UNITS; u++) ck_assert_double_le(fabs(m.slope[u]), 1e-12);
}
END_TEST

/*
 * Derivatives with a common part, a spread of tau between channels and an error of variance v. A spread is known from 400 channels to
 * sqrt(2 / 400) = 7% of tau² + v; z = 4 makes that 28%.
 */
START_TEST(noise_is_told_from_what_channels_differ_by) {
    static const double tau2[LAYERS] = {4, 1, 0.5}, noise[LAYERS] = {1, 1, 0.1};
    static made m;
    made_open(&m);
    for (int u = 0; u < UNITS; u++) {
        int l = m.layer[u];
        m.variance[u] = noise[l];
        m.slope[u] = 3 * m.scale[u] + sqrt(tau2[l] + noise[l]) * net_normal(&m.state);
    }
    dp_shrink_learn(&m.h, m.slope, m.variance);
    for (int u = 0; u < UNITS; u++) {
        int l = m.layer[u];
        double found = noise[l] / m.kappa[u];
        ck_assert_double_eq_tol(found, tau2[l], 0.28 * (tau2[l] + noise[l]));
    }
}
END_TEST

START_TEST(nothing_but_noise_keeps_channels_together) {
    static made m;
    made_open(&m);
    for (int u = 0; u < UNITS; u++) {
        m.variance[u] = 1;
        m.slope[u] = 0.5 * net_normal(&m.state); /* less than the noise that it is said to have */
    }
    dp_shrink_learn(&m.h, m.slope, m.variance);
    for (int u = 0; u < UNITS; u++) ck_assert_double_ge(m.kappa[u], 1000);
    for (int u = 0; u < UNITS; u++) m.variance[u] = NAN; /* one group says nothing of it */
    dp_shrink_learn(&m.h, m.slope, m.variance);
    for (int u = 0; u < UNITS; u++) ck_assert_double_eq(m.kappa[u], 1);
}
END_TEST

START_TEST(a_layer_of_one_unit_is_free) {
    static made room;
    made *m = &room;
    made_open(m);
    m->h.units = LAYERS;
    for (int u = 0; u < LAYERS; u++) m->variance[u] = 1;
    dp_shrink_learn(&m->h, m->slope, m->variance);
    for (int u = 0; u < LAYERS; u++) ck_assert_double_eq(m->kappa[u], 0);
}
END_TEST

Suite *test_shrink_suite(void) {
    Suite *suite = suite_create("shrinkage");
    TCase *tests = tcase_create("shrinkage");
    tcase_add_test(tests, the_penalty_has_its_derivative);
    tcase_add_test(tests, what_moves_a_whole_layer_is_free);
    tcase_add_test(tests, noise_is_told_from_what_channels_differ_by);
    tcase_add_test(tests, nothing_but_noise_keeps_channels_together);
    tcase_add_test(tests, a_layer_of_one_unit_is_free);
    suite_add_tcase(suite, tests);
    return suite;
}
