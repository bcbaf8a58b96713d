/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Classes on axis 1, as networks for segmentation have them: the same as a network that moves them to its end itself. */
#include <check.h>
#include <string.h>

#include "base/alloc.h"
#include "data/dataset.h"
#include "engine/classes.h"
#include "engine/state.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { SAMPLES = 9, CLASSES = 5, HEIGHT = 4, WIDTH = 3 };

/* Two convolutions; `last`: and a Transpose, so that classes are the last axis; `softmax`: and probabilities. */
static void open_segmentation(rig *r, bool last, bool softmax) {
    const dp_attr turn[] = {OP_INTS("perm", 0, 2, 3, 1), {0}};
    *r = (rig){.hardware = net_hardware((const char *[]){"shot", NULL}, (double[]){1})};
    net *n = &r->n;
    net_open(n, 5);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 3, HEIGHT, WIDTH));
    x = net_conv(n, x, NET_DIM(8, 3, 3, 3), (dp_attr[]){OP_INTS("pads", 1, 1, 1, 1), {0}});
    x = net_conv(n, net_op(n, "Relu", NET_IN(x), NULL), NET_DIM(CLASSES, 8, 1, 1), NULL);
    if (last) x = net_op(n, "Transpose", NET_IN(x), turn);
    if (softmax)
        x = net_op(n, "Softmax", NET_IN(x), (dp_attr[]){OP_INT("axis", last ? -1 : 1), {0}});
    net_output(n, x);
    r->data = net_dataset(n, &(net_data){.samples = SAMPLES,
                                         .spread = 2,
                                         .labels = HEIGHT * WIDTH,
                                         .height = HEIGHT,
                                         .classes = CLASSES,
                                         .seed = 3});
    rig_open(r, NULL);
}

static void check_same_sensitivities(const rig *a, const rig *b) {
    int64_t channels = dp_engine_channels(a->engine);
    double *s = dp_alloc((size_t)channels, sizeof *s), *t = dp_alloc((size_t)channels, sizeof *t);
    ck_dp_ok(dp_engine_sensitivity(
        a->engine, &(dp_evaluation){.reference = a->reference, .trials = 1}, s, &err));
    ck_dp_ok(dp_engine_sensitivity(
        b->engine, &(dp_evaluation){.reference = b->reference, .trials = 1}, t, &err));
    for (int64_t c = 0; c < channels; c++) ck_assert(s[c] > 0);
    ck_assert_mem_eq(s, t, (size_t)channels * sizeof *s);
    dp_free(s);
    dp_free(t);
}

START_TEST(labels_of_pixels_find_classes_on_axis_1) {
    rig first, last;
    open_segmentation(&first, false, _i);
    open_segmentation(&last, true, _i);
    ck_assert_int_eq(first.engine->classes, CLASSES);
    ck_assert_int_eq(first.engine->rows, HEIGHT * WIDTH);
    double *k = rig_uniform(&first, 2);
    dp_score a = rig_score(&first, k, 0, 2), b = rig_score(&last, k, 0, 2);
    ck_assert_mem_eq(&a, &b, sizeof a);
    ck_assert_double_gt(a.kl, 0);
    check_same_sensitivities(&first, &last);
    dp_free(k);
    rig_close(&first);
    rig_close(&last);
}
END_TEST

static const struct {
    const char *name;
    int64_t dim[5], labels[3];
    int rank, axes;
    bool first;
} fits[] = {
    {"[N,C,H,W], [N,H,W]", {2, 5, 4, 3}, {4, 3}, 4, 2, true},
    {"[N,H,W,C], [N,H,W]", {2, 4, 3, 5}, {4, 3}, 4, 2, false},
    {"both fit", {2, 4, 4, 4}, {4, 4}, 4, 2, false},
    {"[N,C,T], [N,T]", {2, 5, 7}, {7}, 3, 1, true},
    {"[N,T,C], [N,T]", {2, 7, 5}, {7}, 3, 1, false},
    {"[N,C], [N]", {2, 5}, {0}, 2, 0, false},
    {"[N,C], [N,1]", {2, 5}, {1}, 2, 1, false},
    {"neither fits", {2, 5, 4, 3}, {4, 5}, 4, 2, false},
};

START_TEST(the_last_axis_is_preferred_and_no_other_than_axis_1_is_guessed) {
    dp_store store = {.label_axes = fits[_i].axes};
    dp_dataset data = {.store = &store};
    dp_tensor output = {0};
    memcpy(store.label_dim, fits[_i].labels, sizeof fits[_i].labels);
    dp_tensor_reshape(&output, DP_F32, fits[_i].rank, fits[_i].dim);
    ck_assert_msg(dp_classes_first(&output, &data) == fits[_i].first, "%s", fits[_i].name);
}
END_TEST

Suite *test_classes_suite(void) {
    Suite *suite = suite_create("classes");
    TCase *tcase = tcase_create("classes");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, labels_of_pixels_find_classes_on_axis_1, 0, 2);
    tcase_add_loop_test(tcase, the_last_axis_is_preferred_and_no_other_than_axis_1_is_guessed, 0,
                        sizeof fits / sizeof *fits);
    suite_add_tcase(suite, tcase);
    return suite;
}
