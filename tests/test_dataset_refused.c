/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Data files that do not fit the network: refused, each with the message a user would want. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "box.h"
#include "scratch.h"
#include "suites.h"

static const struct {
    int rank;
    int64_t dims[4];
    dp_input_spec spec;
    const char *part; /* NULL: fits */
} shapes[] = {
    {4, {5, 3, 8, 9}, {"input", DP_F32, 4, {1, 3, 8, 9}}, NULL},
    {4, {5, 3, 8, 9}, {"input", DP_F32, 4, {-1, -1, -1, -1}}, NULL},
    {4, {5, 3, 8, 9}, {"input", DP_F32, -1, {0}}, NULL},
    {1, {5}, {"input", DP_F32, 1, {-1}}, NULL},
    {2, {5, 0}, {"input", DP_F32, 2, {-1, -1}}, NULL},
    {4,
     {5, 8, 9, 3},
     {"input", DP_F32, 4, {-1, 3, 8, 9}},
     "array 'x' [5,8,9,3] does not fit input 'input' [N,3,8,9]: channels are wanted in front"},
    {3,
     {3, 8, 9},
     {"input", DP_F32, 4, {-1, 3, -1, 9}},
     "array 'x' [3,8,9] does not fit input 'input' [N,3,?,9]: the samples' axis in front"},
    {2, {5, 216}, {"input", DP_F32, 4, {-1, 3, 8, 9}}, "another number of axes"},
    {4, {5, 1, 8, 9}, {"input", DP_F32, 4, {-1, 3, 8, 9}}, "all axes but the first"},
    {0, {0}, {"input", DP_F32, 2, {-1, 3}}, "array 'x' [] does not fit"},
    {0, {0}, {"input", DP_F32, 0, {0}}, "does not fit input 'input' []"},
    {0, {0}, {"input", DP_F32, -1, {0}}, "array 'x' [] has no samples"},
    {2, {0, 3}, {"input", DP_F32, 2, {-1, 3}}, "array 'x' [0,3] has no samples"},
};

START_TEST(shapes_fit_the_network_or_both_are_shown) {
    box b = {0};
    box_put(&b, "x", DP_F32, shapes[_i].rank, shapes[_i].dims);
    dp_dataset *d;
    if (shapes[_i].part)
        ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &shapes[_i].spec, 1, NULL, &err), DP_EFORMAT,
                    shapes[_i].part);
    else
        ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &shapes[_i].spec, 1, NULL, &err));
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

static const struct {
    dp_dtype found, wanted;
    const char *part;
} types[] = {
    {DP_I64, DP_F32, "array 'x' is int64; the network's input is float32 and takes float32, "},
    {DP_BOOL, DP_F32, "array 'x' is bool"},
    {DP_I8, DP_F32, "array 'x' is int8"},
    {DP_F32, DP_I64, "array 'x' is float32; the network's input is int64 and takes integers"},
    {DP_F64, DP_U8, "array 'x' is float64"},
};

START_TEST(types_that_would_have_to_be_guessed_are_refused) {
    box b = {0};
    box_put(&b, "x", types[_i].found, 2, DIMS(2, 2));
    const dp_input_spec spec = {"input", types[_i].wanted, 2, {-1, 2}};
    dp_dataset *d;
    ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &spec, 1, NULL, &err), DP_EFORMAT,
                types[_i].part);
    box_clear(&b);
}
END_TEST

static const struct {
    dp_dtype type;
    double value;
    const char *part; /* NULL: allowed */
} reals[] = {
    {DP_F32, NAN, "array 'x', sample 2: element 1 is NaN"},
    {DP_F32, INFINITY, "array 'x', sample 2: element 1 is inf"},
    {DP_F64, -INFINITY, "array 'x', sample 2: element 1 is -inf"},
    {DP_F64, NAN, "element 1 is NaN"},
    {DP_F64, 1e39, "element 1 is 1e+39; finite float32 values are wanted"},
    {DP_F64, 3.4e38, NULL},
    {DP_F64, 1e-320, NULL},
};

START_TEST(values_that_are_not_finite_are_refused_by_array_and_sample) {
    box b = {0};
    void *x = box_put(&b, "x", reals[_i].type, 2, DIMS(4, 3));
    if (reals[_i].type == DP_F32)
        ((float *)x)[7] = (float)reals[_i].value;
    else
        ((double *)x)[7] = reals[_i].value;
    dp_dataset *d;
    if (reals[_i].part)
        ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err), DP_EFORMAT,
                    reals[_i].part);
    else
        ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err));
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

START_TEST(missing_arrays_are_told_with_those_that_are_there) {
    const dp_input_spec specs[] = {{"ids", DP_I64, -1, {0}}, {"mask", DP_BOOL, -1, {0}}};
    dp_dataset_options options = {.labels_required = true};
    box b = {0};
    box_put(&b, "ids", DP_I64, 2, DIMS(4, 7));
    box_put(&b, "x", DP_BOOL, 1, DIMS(4));
    dp_dataset *d;
    ck_dp_fails(dp_dataset_open(&d, box_saved(&b), specs, 2, NULL, &err), DP_EFORMAT,
                "no array 'mask' for the network's input of that name; the file has 'ids' int64 "
                "[4,7], 'x' bool [4]");
    ck_dp_fails(dp_dataset_open(&d, box_path(), specs, 1, &options, &err), DP_EFORMAT,
                "no array 'y' with labels");
    ck_dp_fails(dp_dataset_open(&d, "tests/data/npz/none.npz", &any_input, 1, NULL, &err),
                DP_EFORMAT,
                "no array 'input' (or 'x') for the network's input; the file has no array");
    ck_dp_fails(dp_dataset_open(&d, "/nowhere.npz", &any_input, 1, NULL, &err), DP_EIO,
                "/nowhere.npz");
    ck_dp_fails(dp_dataset_open(&d, box_path(), specs, 0, NULL, &err), DP_EFORMAT, "no input");
    ck_dp_fails(
        dp_dataset_open(&d, box_path(), (const dp_input_spec[]){specs[0], specs[0]}, 2, NULL, &err),
        DP_EFORMAT, "two inputs");
    box_clear(&b);
}
END_TEST

START_TEST(arrays_of_different_lengths_are_refused) {
    const dp_input_spec specs[] = {{"a", DP_F32, -1, {0}}, {"b", DP_F32, -1, {0}}};
    box b = {0};
    box_put(&b, "a", DP_F32, 1, DIMS(4));
    box_put(&b, "b", DP_F32, 1, DIMS(5));
    dp_dataset *d;
    ck_dp_fails(dp_dataset_open(&d, box_saved(&b), specs, 2, NULL, &err), DP_EFORMAT,
                "array 'b' has 5 samples, those before it 4");
    box_clear(&b);
}
END_TEST

static const double zero = 0, negative = -1, two[] = {1, 2};
static const double not_a_number = NAN, tiny = 1e-45;

static const struct {
    dp_dtype type;
    dp_dataset_options options;
    const char *part;
} bad_factors[] = {
    {DP_U8, {.std = &zero, .std_count = 1}, "channel 0 has mean 0 and std 0"},
    {DP_U8, {.std = &negative, .std_count = 1}, "std above 0"},
    {DP_U8, {.std = &tiny, .std_count = 1}, "finite numbers"},
    {DP_U8, {.mean = &not_a_number, .mean_count = 1}, "finite numbers"},
    {DP_U8, {.mean = two, .mean_count = 2}, "mean has 2 values; array 'x' has 3 channels"},
    {DP_U8, {.mean = two, .mean_count = 0}, "mean has 0 values"},
    {DP_F32, {.mean = two, .mean_count = 1}, "no input's array is uint8"},
};

START_TEST(mean_and_std_that_cannot_be_used_are_refused) {
    box b = {0};
    box_put(&b, "x", bad_factors[_i].type, 3, DIMS(2, 3, 4));
    dp_dataset *d;
    ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &any_input, 1, &bad_factors[_i].options, &err),
                DP_ERANGE, bad_factors[_i].part);
    box_clear(&b);
}
END_TEST

START_TEST(mean_and_std_of_the_file_that_cannot_be_used_are_refused) {
    static const struct {
        const char *name;
        int rank;
        int64_t dims[2];
        const char *part;
    } bad[] = {{"mean", 1, {2}, "mean has 2 values"},
               {"mean", 2, {1, 3}, "a number or one a channel"},
               {"std", 1, {3}, "std 0"},
               {"std", 1, {0}, "std has 0 values"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        box b = {0};
        box_put(&b, "x", DP_U8, 3, DIMS(2, 3, 4));
        box_put(&b, bad[i].name, DP_F64, bad[i].rank, bad[i].dims);
        dp_dataset *d;
        ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err), DP_EFORMAT,
                    bad[i].part);
        box_clear(&b);
    }
}
END_TEST

#define LOOP(tests, test, list)                                                                    \
    tcase_add_loop_test(tests, test, 0, (int)(sizeof(list) / sizeof *(list)))

Suite *test_dataset_refused_suite(void) {
    Suite *suite = suite_create("data that does not fit");
    TCase *tests = tcase_create("data that does not fit");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    LOOP(tests, shapes_fit_the_network_or_both_are_shown, shapes);
    LOOP(tests, types_that_would_have_to_be_guessed_are_refused, types);
    LOOP(tests, values_that_are_not_finite_are_refused_by_array_and_sample, reals);
    tcase_add_test(tests, missing_arrays_are_told_with_those_that_are_there);
    tcase_add_test(tests, arrays_of_different_lengths_are_refused);
    LOOP(tests, mean_and_std_that_cannot_be_used_are_refused, bad_factors);
    tcase_add_test(tests, mean_and_std_of_the_file_that_cannot_be_used_are_refused);
    suite_add_tcase(suite, tests);
    return suite;
}
