/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * From files to batches: what is converted is compared with closed forms and with what NumPy made of the same images
 * (data/npz/generate.py).
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "box.h"
#include "scratch.h"
#include "suites.h"

#define IMAGES "tests/data/npz/images.npz"

START_TEST(uint8_images_become_what_numpy_makes_of_them) {
    enum { SAMPLES = 6, ELEMENTS = 24 };
    const dp_input_spec spec = {"input", DP_F32, 4, {-1, 3, -1, 4}};
    dp_npz npz;
    dp_dataset *d;
    ck_dp_ok(dp_npz_read(&npz, IMAGES, &err));
    const double *expected = dp_npz_find(&npz, "expected")->data;
    ck_dp_ok(dp_dataset_open(&d, IMAGES, &spec, 1, NULL, &err));
    ck_assert_int_eq(dp_dataset_count(d), SAMPLES);
    dp_tensor shape;
    char text[64];
    dp_dataset_shape(d, 0, 5, &shape);
    ck_assert_int_eq(shape.dtype, DP_F32);
    ck_assert_str_eq(dp_tensor_shape_text(&shape, text, sizeof text), "[5,3,2,4]");
    ck_assert_ptr_null(shape.data);
    float batch[SAMPLES * ELEMENTS];
    dp_dataset_fill(d, 0, 0, SAMPLES, batch);
    /* |v scale| < 4.5, |shift| < 2.2: four roundings to float32, 2^-24 of their size each */
    for (int i = 0; i < SAMPLES * ELEMENTS; i++)
        ck_assert_double_eq_tol((double)batch[i], expected[i], (4.5 * 2 + 2.2 + 2.7) * 0x1p-24);
    ck_assert_int_eq(dp_dataset_label_count(d), 1);
    for (int i = 0; i < SAMPLES; i++)
        ck_assert_int_eq(*dp_dataset_labels(d, i), ((const int[]){3, 1, 4, 1, 5, 9})[i]);
    dp_dataset_free(d);
    dp_npz_clear(&npz);
}
END_TEST

static const double thirds[] = {0.25, 0.5, 0.75}, stds[] = {0.5, 0.25, 2}, half = 0.5;

static const struct {
    const char *file_type; /* of mean and std in the file; NULL: none */
    dp_dataset_options options;
    double mean[3], std[3]; /* expected */
} factors[] = {
    {NULL, {0}, {0, 0, 0}, {1, 1, 1}},
    {"scalar", {0}, {2, 2, 2}, {4, 4, 4}},
    {"channels", {0}, {1, 2, 3}, {4, 5, 6}},
    {"channels", {.mean = thirds, .mean_count = 3}, {0.25, 0.5, 0.75}, {4, 5, 6}},
    {"scalar", {.std = stds, .std_count = 3}, {2, 2, 2}, {0.5, 0.25, 2}},
    {NULL, {&half, stds, 1, 3, false}, {0.5, 0.5, 0.5}, {0.5, 0.25, 2}},
};

static void put_factors(box *b, const char *type) {
    if (!type) return;
    bool scalar = strcmp(type, "scalar") == 0;
    int64_t *mean =
        box_put(b, "mean", DP_I64, scalar ? 0 : 1, DIMS(3)); /* integers are numbers too */
    float *std = box_put(b, "std", DP_F32, scalar ? 0 : 1, DIMS(3));
    for (int c = 0; c < (scalar ? 1 : 3); c++) {
        mean[c] = scalar ? 2 : c + 1;
        std[c] = (float)(c + 4);
    }
}

START_TEST(mean_and_std_come_from_the_options_then_the_file_then_0_and_1) {
    enum { SAMPLES = 4, PLANE = 5 };
    box b = {0};
    uint8_t *x = box_put(&b, "x", DP_U8, 3, DIMS(SAMPLES, 3, PLANE));
    for (int i = 0; i < SAMPLES * 3 * PLANE; i++) x[i] = (uint8_t)(i * 41);
    put_factors(&b, factors[_i].file_type);
    dp_dataset *d;
    ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &any_input, 1, &factors[_i].options, &err));
    float batch[SAMPLES * 3 * PLANE];
    dp_dataset_fill(d, 0, 0, SAMPLES, batch);
    for (int i = 0; i < SAMPLES * 3 * PLANE; i++) {
        const int c = i / PLANE % 3;
        const double s = factors[_i].std[c], m = factors[_i].mean[c];
        const double wanted = (x[i] / 255.0 - m) / s;
        ck_assert_double_eq_tol((double)batch[i], wanted, (3 + 2 * m) / s * 0x1p-24);
    }
    ck_assert_int_eq(dp_dataset_label_count(d), 0);
    ck_assert_ptr_null(dp_dataset_labels(d, 0));
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

START_TEST(float64_becomes_float32_and_float32_stays) {
    box b = {0};
    double *a = box_put(&b, "a", DP_F64, 2, DIMS(3, 2));
    float *f = box_put(&b, "f", DP_F32, 1, DIMS(3));
    for (int i = 0; i < 6; i++) a[i] = (i - 3) / 7.0;
    for (int i = 0; i < 3; i++) f[i] = (float)i - 0.1f;
    const dp_input_spec specs[] = {{"f", DP_NONE, 1, {-1}}, {"a", DP_F64, 2, {-1, 2}}};
    dp_dataset *d;
    ck_dp_ok(dp_dataset_open(&d, box_saved(&b), specs, 2, NULL, &err));
    float batch[6];
    dp_dataset_fill(d, 0, 0, 3, batch);
    ck_assert_mem_eq(batch, f, sizeof *f * 3);
    dp_dataset_fill(d, 1, 0, 3, batch);
    for (int i = 0; i < 6; i++) ck_assert_float_eq(batch[i], (float)((i - 3) / 7.0));
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

static const dp_dtype integers[] = {DP_I8,  DP_U8,  DP_I16, DP_U16, DP_I32,
                                    DP_U32, DP_I64, DP_U64, DP_BOOL};

/* Little-endian machines only, as the library. */
static int64_t element(const void *data, dp_dtype type, int i) {
    int64_t value = 0;
    memcpy(&value, (const char *)data + (size_t)i * dp_dtype_size(type), dp_dtype_size(type));
    return value;
}

START_TEST(integers_of_any_type_become_the_inputs_type) {
    for (size_t to = 0; to < sizeof integers / sizeof *integers; to++) {
        const dp_dtype from = integers[_i];
        box b = {0};
        unsigned char *x = box_put(&b, "x", from, 2, DIMS(2, 2));
        for (size_t i = 0; i < 4; i++) x[i * dp_dtype_size(from)] = i % 2;
        const dp_input_spec spec = {"ids", integers[to], 2, {-1, 2}};
        dp_dataset *d;
        dp_tensor shape;
        ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &spec, 1, NULL, &err));
        dp_dataset_shape(d, 0, 2, &shape);
        ck_assert_int_eq(shape.dtype, integers[to]);
        int64_t batch[4];
        dp_dataset_fill(d, 0, 0, 2, batch);
        for (int i = 0; i < 4; i++) ck_assert_int_eq(element(batch, integers[to], i), i % 2);
        dp_dataset_free(d);
        box_clear(&b);
    }
}
END_TEST

static const struct {
    dp_dtype from, to;
    int64_t value;
    const char *part; /* NULL: fits */
} ranges[] = {
    {DP_I64, DP_I32, INT32_MAX, NULL},
    {DP_I64, DP_I32, INT32_MIN, NULL},
    {DP_I64, DP_I32, INT32_MAX + INT64_C(1), "2147483648 does not fit int32"},
    {DP_I64, DP_I32, INT32_MIN - INT64_C(1), "-2147483649 does not fit int32"},
    {DP_I64, DP_U8, 255, NULL},
    {DP_I64, DP_U8, 256, "256 does not fit uint8"},
    {DP_I32, DP_U8, -1, "-1 does not fit uint8"},
    {DP_I8, DP_I64, -128, NULL},
    {DP_I16, DP_BOOL, 2, "2 does not fit bool"},
    {DP_U64, DP_I64, INT64_MAX, NULL},
    {DP_U64, DP_I64, INT64_MIN, "9223372036854775808 does not fit int64"},
    {DP_I8, DP_U64, -1, "-1 does not fit uint64"},
};

START_TEST(integers_that_do_not_fit_are_refused_by_sample) {
    box b = {0};
    unsigned char *x = box_put(&b, "x", ranges[_i].from, 2, DIMS(3, 2));
    const size_t size = dp_dtype_size(ranges[_i].from);
    memcpy(x + 5 * size, &ranges[_i].value, size);
    const dp_input_spec spec = {"ids", ranges[_i].to, 2, {-1, 2}};
    dp_dataset *d;
    if (ranges[_i].part) {
        ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &spec, 1, NULL, &err), DP_EFORMAT,
                    ranges[_i].part);
        ck_dp_fails(dp_dataset_open(&d, box_path(), &spec, 1, NULL, &err), DP_EFORMAT,
                    "array 'x', sample 2");
        ck_assert_ptr_null(d);
    } else {
        int64_t batch[6] = {0};
        ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &spec, 1, NULL, &err));
        dp_dataset_fill(d, 0, 0, 3, batch);
        ck_assert(
            element(batch, ranges[_i].to, 5) ==
            (ranges[_i].to == DP_I32 ? (int64_t)(uint32_t)ranges[_i].value : ranges[_i].value));
        dp_dataset_free(d);
    }
    box_clear(&b);
}
END_TEST

START_TEST(inputs_are_found_by_name_even_when_they_are_called_y_or_mean) {
    const dp_input_spec specs[] = {{"y", DP_F32, 2, {-1, 2}}, {"mean", DP_F32, 1, {-1}}};
    box b = {0};
    uint8_t *y = box_put(&b, "y", DP_U8, 2, DIMS(3, 2));
    float *mean = box_put(&b, "mean", DP_F32, 1, DIMS(3));
    y[5] = 255;
    mean[1] = 7;
    dp_dataset *d;
    ck_dp_ok(dp_dataset_open(&d, box_saved(&b), specs, 2, NULL, &err));
    float batch[6];
    dp_dataset_fill(d, 0, 2, 1, batch);
    ck_assert_float_eq_tol(batch[1], 1, 1e-6f);
    dp_dataset_fill(d, 1, 1, 1, batch);
    ck_assert_float_eq(batch[0], 7);
    ck_assert_int_eq(dp_dataset_label_count(d), 0);
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

/* ---- labels ---- */

static const struct {
    dp_dtype type;
    int rank;
    int64_t dims[3];
    int64_t count;    /* labels a sample */
    const char *part; /* NULL: fine */
} labels[] = {
    {DP_I64, 1, {4}, 1, NULL},
    {DP_U8, 1, {4}, 1, NULL},
    {DP_I32, 2, {4, 1}, 1, NULL},
    {DP_I16, 2, {4, 3}, 3, NULL},
    {DP_U64, 2, {4, 2}, 2, NULL},
    {DP_U8, 3, {4, 2, 3}, 6, NULL},
    {DP_F32, 1, {5}, 0, "targets 'y' have shape [5]; [4,...] is wanted"},
    {DP_F64, 2, {4, 0}, 0, "targets 'y' have shape [4,0]"},
    {DP_BOOL, 1, {4}, 0, "labels 'y' are bool"},
    {DP_I64, 1, {5}, 0, "labels 'y' have shape [5]; [4] or [4,...] is wanted"},
    {DP_I64, 0, {0}, 0, "labels 'y' have shape []"},
    {DP_I64, 2, {4, 0}, 0, "labels 'y' have shape [4,0]"},
    {DP_I64, 3, {4, 2, 0}, 0, "labels 'y' have shape [4,2,0]"},
};

START_TEST(labels_are_integers_one_or_several_a_sample) {
    box b = {0};
    box_put(&b, "x", DP_F32, 2, DIMS(4, 2));
    const size_t size = dp_dtype_size(labels[_i].type);
    unsigned char *y = box_put(&b, "y", labels[_i].type, labels[_i].rank, labels[_i].dims);
    for (int64_t k = 0; k < 4 * labels[_i].count; k++) y[(size_t)k * size] = (unsigned char)k;
    dp_dataset *d;
    if (labels[_i].part) {
        ck_dp_fails(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err), DP_EFORMAT,
                    labels[_i].part);
    } else {
        ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err));
        int64_t dim[DP_MAX_RANK];
        ck_assert_int_eq(dp_dataset_label_count(d), labels[_i].count);
        ck_assert_int_eq(dp_dataset_label_shape(d, dim), labels[_i].rank - 1);
        for (int i = 1; i < labels[_i].rank; i++) ck_assert_int_eq(dim[i - 1], labels[_i].dims[i]);
        for (int64_t k = 0; k < 4 * labels[_i].count; k++)
            ck_assert_int_eq(dp_dataset_labels(d, k / labels[_i].count)[k % labels[_i].count], k);
    }
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

START_TEST(labels_are_classes_or_minus_100) {
    box b = {0};
    box_put(&b, "x", DP_F32, 1, DIMS(3));
    int8_t *y = box_put(&b, "y", DP_I8, 2, DIMS(3, 2));
    memcpy(y, ((const int8_t[]){0, 9, -100, -100, 4, 1}), 6);
    dp_dataset *d;
    ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err));
    ck_assert_int_eq(dp_dataset_labels(d, 1)[0], -100);
    ck_dp_ok(dp_dataset_check_labels(d, 10, &err));
    ck_assert_int_eq(dp_dataset_counted(d), 2);
    ck_dp_fails(dp_dataset_check_labels(d, 9, &err), DP_EFORMAT,
                "array 'y', sample 0: label 9; the network has classes 0 to 8");
    dp_dataset_free(d);
    y[5] = -1;
    ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err));
    ck_dp_fails(dp_dataset_check_labels(d, 10, &err), DP_EFORMAT, "sample 2: label -1");
    dp_dataset_free(d);
    memset(y, -100, 6);
    ck_dp_ok(dp_dataset_open(&d, box_saved(&b), &any_input, 1, NULL, &err));
    ck_dp_fails(dp_dataset_check_labels(d, 10, &err), DP_EFORMAT, "all labels are -100");
    dp_dataset_free(d);
    box_clear(&b);
}
END_TEST

#define LOOP(tests, test, list)                                                                    \
    tcase_add_loop_test(tests, test, 0, (int)(sizeof(list) / sizeof *(list)))

Suite *test_dataset_suite(void) {
    Suite *suite = suite_create("dataset");
    TCase *tests = tcase_create("dataset");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, uint8_images_become_what_numpy_makes_of_them);
    LOOP(tests, mean_and_std_come_from_the_options_then_the_file_then_0_and_1, factors);
    tcase_add_test(tests, float64_becomes_float32_and_float32_stays);
    LOOP(tests, integers_of_any_type_become_the_inputs_type, integers);
    LOOP(tests, integers_that_do_not_fit_are_refused_by_sample, ranges);
    tcase_add_test(tests, inputs_are_found_by_name_even_when_they_are_called_y_or_mean);
    LOOP(tests, labels_are_integers_one_or_several_a_sample, labels);
    tcase_add_test(tests, labels_are_classes_or_minus_100);
    suite_add_tcase(suite, tests);
    return suite;
}
