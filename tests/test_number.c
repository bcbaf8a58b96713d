/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Numbers as text, and back. */
#include <float.h>
#include <locale.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"
#include "suites.h"

static const struct {
    double value;
    const char *text;
} number_forms[] = {
    {0, "0.0"},
    {3, "3.0"},
    {-2.5, "-2.5"},
    {0.1, "0.1"},
    {1e-3, "0.001"},
    {1e-5, "1.0e-05"},
    {1.28e-19, "1.28e-19"},
    {6.02e23, "6.02e+23"},
    {1e22, "1.0e+22"},
    {123456789, "123456789.0"},
    {1.0 / 3, "0.3333333333333333"},
    {DBL_MAX, "1.7976931348623157e+308"},
    {NAN, "null"},
    {INFINITY, ".inf"},
    {-INFINITY, "-.inf"},
};

START_TEST(floats_are_written_as_yaml_1_1_floats) {
    char text[DP_NUMBER_TEXT];
    ck_assert_str_eq(dp_number_text(number_forms[_i].value, text), number_forms[_i].text);
}
END_TEST

START_TEST(whole_numbers_can_be_written_as_integers) {
    char text[DP_NUMBER_TEXT];
    ck_assert_str_eq(dp_count_text(3, text), "3");
    ck_assert_str_eq(dp_count_text(-0.0, text), "0");
    ck_assert_str_eq(dp_count_text(3.5, text), "3.5");
    ck_assert_str_eq(dp_count_text(4089184256.0, text), "4089184256");
    ck_assert_str_eq(dp_count_text(1e30, text), "1.0e+30");
    ck_assert_str_eq(dp_count_text(NAN, text), "null");
    ck_assert_str_eq(dp_count_text(INFINITY, text), ".inf");
}
END_TEST

/* Doubles of every exponent: a fixed sequence of bit patterns. */
START_TEST(every_number_reads_back_as_itself) {
    uint64_t bits = 1;
    for (int i = 0; i < 100000; i++) {
        bits = bits * 6364136223846793005u + 1442695040888963407u;
        double value, back;
        memcpy(&value, &bits, sizeof value);
        if (!isfinite(value)) continue;
        char text[DP_NUMBER_TEXT];
        dp_number_text(value, text);
        ck_assert_msg(strchr(text, '.') && dp_number_parse(text, &back) && back == value, "%a: %s",
                      value, text);
    }
}
END_TEST

START_TEST(the_callers_locale_does_not_matter) {
    static const char *const with_comma[] = {"de_DE.UTF-8", "fr_FR.UTF-8", "de_DE", "fr_FR"};
    bool found = false;
    for (size_t i = 0; i < sizeof with_comma / sizeof *with_comma && !found; i++)
        found = setlocale(LC_ALL, with_comma[i]) != NULL;
    char text[DP_NUMBER_TEXT];
    double back;
    ck_assert_str_eq(dp_number_text(0.5, text), "0.5");
    ck_assert(dp_number_parse("0.5", &back) && back == 0.5);
    if (!found) printf("no locale with a decimal comma is installed: tried in the C locale only\n");
}
END_TEST

static const char *const no_numbers[] = {
    "",     "-",  ".",  "e5",    "1e",  "1e+", "1,5",   "0x10",     "010", "1_000",
    "1:30", "1 ", " 1", "1.2.3", "inf", "nan", "1e999", "infinity", "--1", "0b1",
};

START_TEST(what_readers_disagree_on_is_no_number) {
    double value;
    ck_assert_msg(!dp_number_parse(no_numbers[_i], &value), "'%s'", no_numbers[_i]);
}
END_TEST

START_TEST(plain_exponents_are_numbers) {
    double value;
    ck_assert(dp_number_parse("1e-3", &value) && value == 1e-3);
    ck_assert(dp_number_parse("+.5E2", &value) && value == 50);
    ck_assert(dp_number_parse("7.", &value) && value == 7);
    ck_assert(dp_number_parse("0010.5", &value) && value == 10.5);
    ck_assert(dp_number_parse("-.inf", &value) && value == -INFINITY);
    ck_assert(dp_number_parse(".nan", &value) && isnan(value));
}
END_TEST

#define COUNT_OF(table) ((int)(sizeof(table) / sizeof *(table)))

Suite *test_number_suite(void) {
    Suite *suite = suite_create("numbers");
    TCase *tests = tcase_create("numbers");
    tcase_add_loop_test(tests, floats_are_written_as_yaml_1_1_floats, 0, COUNT_OF(number_forms));
    tcase_add_test(tests, whole_numbers_can_be_written_as_integers);
    tcase_add_test(tests, every_number_reads_back_as_itself);
    tcase_add_test(tests, the_callers_locale_does_not_matter);
    tcase_add_loop_test(tests, what_readers_disagree_on_is_no_number, 0, COUNT_OF(no_numbers));
    tcase_add_test(tests, plain_exponents_are_numbers);
    suite_add_tcase(suite, tests);
    return suite;
}
