/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Batches, subsets and splits of a data set: every sample is somewhere, once, and known by where it came from. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "box.h"
#include "scratch.h"
#include "suites.h"

#define IMAGES "tests/data/npz/images.npz"

/* Samples [i, i + 0.5], labels i. */
static dp_dataset *make_counted(box *b, int64_t count) {
    float *x = box_put(b, "x", DP_F32, 2, DIMS(count, 2));
    int64_t *y = box_put(b, "y", DP_I64, 1, DIMS(count));
    for (int64_t i = 0; i < count; i++) {
        x[2 * i] = (float)i;
        x[2 * i + 1] = (float)i + 0.5f;
        y[i] = i;
    }
    dp_dataset *d;
    ck_dp_ok(dp_dataset_open(&d, box_saved(b), &any_input, 1, NULL, &err));
    return d;
}

START_TEST(batches_past_the_end_repeat_the_last_sample) {
    box b = {0};
    dp_dataset *d = make_counted(&b, 5);
    float batch[8];
    dp_dataset_fill(d, 0, 3, 4, batch);
    const float wanted[8] = {3, 3.5f, 4, 4.5f, 4, 4.5f, 4, 4.5f};
    ck_assert_mem_eq(batch, wanted, sizeof wanted);
    dp_dataset_fill(d, 0, 9, 1, batch);
    ck_assert_mem_eq(batch, wanted + 2, 2 * sizeof *wanted);
    dp_dataset_fill(d, 0, 0, 0, batch);
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

START_TEST(the_file_is_named_by_its_path_and_digest) {
    dp_dataset *d, *learn, *check;
    ck_dp_ok(dp_dataset_open(&d, IMAGES, &any_input, 1, NULL, &err));
    ck_dp_ok(dp_dataset_split(d, 0.5, 1, &learn, &check, &err));
    ck_assert_str_eq(dp_dataset_path(check), IMAGES);
    ck_assert_str_eq(
        dp_dataset_sha256(check),
        "065627038c4838055788856d21196c5554c91f7410a9f0d91f6a1584e94ebb6b"); /* sha256sum */
    dp_dataset_free(learn);
    dp_dataset_free(check);
    dp_dataset_free(d);
    dp_dataset_free(NULL);
}
END_TEST

static const struct {
    int64_t count;
    double fraction;
    int64_t check;
} splits[] = {{2, 0.5, 1},  {2, 0.01, 1},       {2, 0.99, 1},     {10, 0.5, 5},
              {10, 0.3, 3}, {10, 0.25, 3},      {1000, 0.5, 500}, {1000, 0.0001, 1},
              {7, 0.95, 6}, {1000, 0.9996, 999}};

START_TEST(splits_are_disjoint_complete_and_ascending) {
    box b = {0};
    dp_dataset *d = make_counted(&b, splits[_i].count), *part[2];
    ck_dp_ok(dp_dataset_split(d, splits[_i].fraction, 42, &part[0], &part[1], &err));
    ck_assert_int_eq(dp_dataset_count(part[1]), splits[_i].check);
    ck_assert_int_eq(dp_dataset_count(part[0]), splits[_i].count - splits[_i].check);
    bool seen[1000] = {false};
    for (int p = 0; p < 2; p++)
        for (int64_t i = 0; i < dp_dataset_count(part[p]); i++) {
            float x[2];
            int64_t origin = dp_dataset_origin(part[p], i);
            ck_assert(!seen[origin]);
            seen[origin] = true;
            if (i > 0) ck_assert_int_gt(origin, dp_dataset_origin(part[p], i - 1));
            ck_assert_int_eq(*dp_dataset_labels(part[p], i), origin);
            dp_dataset_fill(part[p], 0, i, 1, x);
            ck_assert_float_eq(x[1], (float)origin + 0.5f);
        }
    dp_dataset_free(part[0]);
    dp_dataset_free(part[1]);
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

static int differences(const dp_dataset *a, const dp_dataset *b) {
    int differ = 0;
    for (int64_t i = 0; i < dp_dataset_count(a); i++)
        differ += dp_dataset_origin(a, i) != dp_dataset_origin(b, i);
    return differ;
}

START_TEST(a_split_is_a_function_of_seed_and_count) {
    box b = {0}, c = {0};
    dp_dataset *d = make_counted(&b, 50), *e = make_counted(&c, 50), *learn[3], *check[3];
    ck_dp_ok(dp_dataset_split(d, 0.5, 7, &learn[0], &check[0], &err));
    ck_dp_ok(dp_dataset_split(e, 0.5, 7, &learn[1], &check[1], &err));
    ck_dp_ok(dp_dataset_split(d, 0.5, 8, &learn[2], &check[2], &err));
    ck_assert_int_eq(differences(check[0], check[1]), 0);
    ck_assert_int_eq(differences(learn[0], learn[1]), 0);
    ck_assert_int_gt(differences(check[0], check[2]), 0);
    for (int i = 0; i < 3; i++) {
        dp_dataset_free(learn[i]);
        dp_dataset_free(check[i]);
    }
    dp_dataset_free(d);
    dp_dataset_free(e);
    box_clear(&b);
    box_clear(&c);
}
END_TEST

START_TEST(subsets_of_subsets_keep_their_origin) {
    box b = {0};
    dp_dataset *d = make_counted(&b, 40), *learn, *check, *inner, *outer;
    ck_dp_ok(dp_dataset_split(d, 0.5, 1, &learn, &check, &err));
    ck_dp_ok(dp_dataset_split(check, 0.4, 1, &inner, &outer, &err));
    ck_assert_int_eq(dp_dataset_count(inner) + dp_dataset_count(outer), 20);
    for (int64_t i = 0; i < dp_dataset_count(outer); i++) {
        int64_t origin = dp_dataset_origin(outer, i);
        bool inside = false;
        for (int64_t k = 0; k < 20; k++) inside = inside || dp_dataset_origin(check, k) == origin;
        ck_assert(inside);
        ck_assert_int_eq(*dp_dataset_labels(outer, i), origin);
    }
    dp_dataset_free(inner);
    dp_dataset_free(outer);
    dp_dataset_free(learn);
    dp_dataset_free(check);
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

START_TEST(picked_samples_are_those_of_these_numbers) {
    box b = {0};
    dp_dataset *d = make_counted(&b, 40), *learn, *check, *view, *none;
    ck_dp_ok(dp_dataset_split(d, 0.5, 1, &learn, &check, &err));
    const int64_t numbers[] = {0, 3, 4, 19};
    ck_dp_ok(dp_dataset_pick(&view, check, numbers, 4, &err));
    ck_assert_int_eq(dp_dataset_count(view), 4);
    for (int64_t i = 0; i < 4; i++) {
        ck_assert_int_eq(dp_dataset_origin(view, i), dp_dataset_origin(check, numbers[i]));
        ck_assert_int_eq(*dp_dataset_labels(view, i), dp_dataset_origin(check, numbers[i]));
    }
    const int64_t bad[][2] = {{3, 3}, {4, 3}, {-1, 3}, {3, 20}};
    for (int i = 0; i < 4; i++)
        ck_dp_fails(dp_dataset_pick(&none, check, bad[i], 2, &err), DP_ERANGE, "at most 19");
    ck_dp_fails(dp_dataset_pick(&none, check, numbers, 0, &err), DP_ERANGE, "ascend");
    ck_assert_ptr_null(none);
    dp_dataset_free(view);
    dp_dataset_free(learn);
    dp_dataset_free(check);
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

/* Each sample is in the check set of a third of the seeds, and so is each pair by (4/12)(3/11). */
START_TEST(every_sample_and_pair_is_drawn_equally_often) {
    enum { COUNT = 12, SEEDS = 3000 };
    int single[COUNT] = {0}, pair[COUNT][COUNT] = {{0}};
    box b = {0};
    dp_dataset *d = make_counted(&b, COUNT), *learn, *check;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        ck_dp_ok(dp_dataset_split(d, 4.0 / COUNT, seed, &learn, &check, &err));
        for (int64_t i = 0; i < 4; i++)
            for (int64_t k = 0; k <= i; k++)
                if (i == k)
                    single[dp_dataset_origin(check, i)]++;
                else
                    pair[dp_dataset_origin(check, i)][dp_dataset_origin(check, k)]++;
        dp_dataset_free(learn);
        dp_dataset_free(check);
    }
    const double p = 4.0 / COUNT, q = p * 3 / (COUNT - 1), z = 4.5; /* 78 counts: 5e-4 together */
    for (int i = 0; i < COUNT; i++) {
        ck_assert_double_eq_tol(single[i], p * SEEDS, z * sqrt(p * (1 - p) * SEEDS));
        for (int k = 0; k < i; k++)
            ck_assert_double_eq_tol(pair[i][k], q * SEEDS, z * sqrt(q * (1 - q) * SEEDS));
    }
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

START_TEST(splits_that_leave_a_side_empty_are_refused) {
    box b = {0}, c = {0};
    dp_dataset *one = make_counted(&b, 1), *two_of = make_counted(&c, 2), *learn, *check;
    ck_dp_fails(dp_dataset_split(one, 0.5, 1, &learn, &check, &err), DP_ERANGE, "one sample");
    const double bad[] = {0, 1, -0.5, 1.5, NAN};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_dp_fails(dp_dataset_split(two_of, bad[i], 1, &learn, &check, &err), DP_ERANGE,
                    "check fraction");
    ck_assert(!learn && !check);
    dp_dataset_free(one);
    dp_dataset_free(two_of);
    box_clear(&b);
    box_clear(&c);
}
END_TEST

#define LOOP(tests, test, list)                                                                    \
    tcase_add_loop_test(tests, test, 0, (int)(sizeof(list) / sizeof *(list)))

Suite *test_dataset_split_suite(void) {
    Suite *suite = suite_create("batches and splits");
    TCase *tests = tcase_create("batches and splits");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, batches_past_the_end_repeat_the_last_sample);
    tcase_add_test(tests, the_file_is_named_by_its_path_and_digest);
    LOOP(tests, splits_are_disjoint_complete_and_ascending, splits);
    tcase_add_test(tests, a_split_is_a_function_of_seed_and_count);
    tcase_add_test(tests, subsets_of_subsets_keep_their_origin);
    tcase_add_test(tests, picked_samples_are_those_of_these_numbers);
    tcase_add_test(tests, every_sample_and_pair_is_drawn_equally_often);
    tcase_add_test(tests, splits_that_leave_a_side_empty_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
