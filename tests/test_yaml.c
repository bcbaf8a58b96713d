/* SPDX-License-Identifier: GPL-3.0-or-later */
/* YAML in and out. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/yaml.h"
#include "base/yaml_write.h"
#include "scratch.h"
#include "suites.h"

/* ---- reading ---- */

static const struct {
    const char *text;
    size_t size; /* 0: strlen */
    const char *part;
} bad_yaml[] = {
    {"", 0, "x.yaml: the file is empty"},
    {"# only a comment\n", 0, "x.yaml: the file is empty"},
    {"- 1\n- 2\n", 0, "x.yaml:1: keys and values"},
    {"text\n", 0, "x.yaml:1: keys and values"},
    {"a: 1\nb: 2\na: 3\n", 0, "x.yaml:3: key 'a' stands here again, first in line 1"},
    {"a: &x 1\n", 0, "x.yaml:1: anchors"},
    {"a: &x [1]\n", 0, "x.yaml:1: anchors"},
    {"a: 1\nb: *x\n", 0, "x.yaml:2: anchors"},
    {"a: !!str 1\n", 0, "x.yaml:1: tags"},
    {"a: !!map {}\n", 0, "x.yaml:1: tags"},
    {"[1]: 2\n", 0, "x.yaml:1: a key must be a word"},
    {"a: 1\n---\nb: 2\n", 0, "x.yaml:2: a second document"},
    {"a: [1, 2\n", 0, "x.yaml:2: "},
    {"a: \"1\n", 0, "that began in line 1"},
    {"a:\n\t- 1\n", 0, "x.yaml:2: "},
    {"a: \"\\0\"\n", 0, "x.yaml:1: text with a NUL"},
    {"a: \xff\n", 0, "x.yaml: byte 3: "},
    {"a: \0b\n", 6, "x.yaml: byte 3: "},
    {"a: [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]\n", 0, "x.yaml:1: nested too deeply"},
};

START_TEST(yaml_that_is_not_plain_is_refused) {
    dp_yaml *yaml;
    size_t size = bad_yaml[_i].size ? bad_yaml[_i].size : strlen(bad_yaml[_i].text);
    ck_dp_fails(dp_yaml_parse(&yaml, "x.yaml", bad_yaml[_i].text, size, &err), DP_EFORMAT,
                bad_yaml[_i].part);
    ck_assert_ptr_null(yaml);
}
END_TEST

START_TEST(mappings_with_very_many_keys_are_refused) {
    char text[4096];
    size_t used = 0;
    for (int i = 0; i < 300; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "k%d: 1\n", i);
    dp_yaml *yaml;
    ck_dp_fails(dp_yaml_parse(&yaml, "x.yaml", text, used, &err), DP_EFORMAT,
                "x.yaml:257: a mapping with too many keys");
}
END_TEST

/* What a reader of a small format makes of a text. */
static dp_status read_sample(const char *text, dp_error *err) {
    static const char *const words[] = {"red", "green", NULL};
    dp_yaml *yaml;
    dp_status status = dp_yaml_parse(&yaml, "x.yaml", text, strlen(text), err);
    if (status != DP_OK) return status;
    dp_yaml_node *root = dp_yaml_root(yaml);
    dp_yaml_number(dp_yaml_need(root, "number"), 0, 10, 1);
    dp_yaml_integer(dp_yaml_find(root, "integer"), 2, UINT64_MAX, 2);
    dp_yaml_boolean(dp_yaml_find(root, "boolean"), false);
    dp_yaml_string(dp_yaml_find(root, "string"), 5, "");
    dp_yaml_choice(dp_yaml_find(root, "choice"), words, 0);
    dp_yaml_node *list = dp_yaml_find(root, "list");
    for (dp_yaml_node *at = dp_yaml_first(list); at; at = dp_yaml_next(at))
        dp_yaml_number(dp_yaml_need(at, "x"), 0, 1, 0);
    dp_yaml_number(dp_yaml_find(dp_yaml_find(root, "map"), "inner"), -INFINITY, INFINITY, 0);
    status = dp_yaml_finish(yaml, err);
    dp_yaml_free(yaml);
    return status;
}

static const char *const good_samples[] = {
    "number: 1e-3\n",
    "{number: 10, integer: 18446744073709551615, boolean: yes, string: five5, choice: green}\n",
    "number: 1\nlist: [{x: 0}, {x: 1.0}]\nmap: {inner: -.inf}\n",
    "\xef\xbb\xbfnumber: 1\n",                         /* byte order mark */
    "%YAML 1.1\n---\nnumber: 1\r\nstring: \"12\"\r\n", /* directive, other line ends */
    "number: 1\nlist: []\nmap: {}\nboolean: False\n...\n",
};

START_TEST(what_a_reader_asked_for_is_taken) {
    ck_dp_ok(read_sample(good_samples[_i], &err));
}
END_TEST

static const struct {
    const char *text, *part;
} bad_samples[] = {
    {"integer: 2\n", "x.yaml:1: key 'number' is missing"},
    {"number: 1\nlist:\n  - x: 1\n  - {}\n", "x.yaml:4: key 'x' is missing in list[1]"},
    {"number: 1\ncolour: 2\n",
     "x.yaml:2: unknown key 'colour'; allowed: number, integer, boolean, string, choice, list, "
     "map"},
    {"numbre: 1\n", "x.yaml:1: unknown key 'numbre'"},
    {"number: 1\nmap:\n  outer: 1\n", "x.yaml:3: unknown key 'outer' in map; allowed: inner"},
    {"number: 11\n", "x.yaml:1: number: '11' where a number from 0 to 10 is expected"},
    {"number: abc\n", "x.yaml:1: number: 'abc' where a number"},
    {"number: \"1\"\n", "x.yaml:1: number: \"1\" where a number"},
    {"number:\n", "x.yaml:1: number: nothing where a number"},
    {"number: [1]\n", "x.yaml:1: number: a list where a number"},
    {"number: {a: 1}\n", "x.yaml:1: number: a mapping where a number"},
    {"number: .inf\n", "x.yaml:1: number: '.inf' where a number"},
    {"number: .nan\n", "x.yaml:1: number: '.nan' where a number"},
    {"number: 1\ninteger: 1\n", "integer: '1' where an integer from 2 to 18446744073709551615"},
    {"number: 1\ninteger: 2.0\n", "integer: '2.0' where an integer"},
    {"number: 1\ninteger: -3\n", "integer: '-3' where an integer"},
    {"number: 1\ninteger: 007\n", "integer: '007' where an integer"},
    {"number: 1\ninteger: 18446744073709551616\n", "'18446744073709551616' where an integer"},
    {"number: 1\nboolean: 1\n", "boolean: '1' where true or false"},
    {"number: 1\nboolean: \"true\"\n", "boolean: \"true\" where true or false"},
    {"number: 1\nstring: 12\n", "string: '12' where text"},
    {"number: 1\nstring: no\n", "string: 'no' where text"},
    {"number: 1\nstring: ~\n", "string: nothing where text"},
    {"number: 1\nstring: sixsix\n", "string: the text is longer than 5 bytes"},
    {"number: 1\nchoice: blue\n", "choice: 'blue' where one of red, green is expected"},
    {"number: 1\nchoice: [red]\n", "choice: a list where one of"},
    {"number: 1\nlist: 3\n", "x.yaml:2: list: a list is expected"},
    {"number: 1\nlist:\n  - x: 0\n  - x: 2\n", "x.yaml:4: list[1].x: '2' where"},
    {"number: 1\nlist: [3]\n", "list[0]: keys and values"},
    {"number: 1\nmap: 3\n", "map: keys and values"},
    {"number: \"\\e[31m\\n\"\n", "number: \"?[31m?\" where"},
};

START_TEST(what_a_reader_did_not_ask_for_is_named_with_its_line) {
    ck_dp_fails(read_sample(bad_samples[_i].text, &err), DP_EFORMAT, bad_samples[_i].part);
}
END_TEST

/* ---- writing ---- */

static size_t encode(uint32_t code, char *out) {
    int tail = code < 0x80 ? 0 : code < 0x800 ? 1 : code < 0x10000 ? 2 : 3;
    static const uint32_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    out[0] = (char)(lead[tail] | code >> (6 * tail));
    for (int i = 1; i <= tail; i++) out[i] = (char)(0x80 | (code >> (6 * (tail - i)) & 0x3f));
    return (size_t)tail + 1;
}

/* The text that a reader gets for what dp_yaml_put_string makes of `text`. */
static char *through_yaml(const char *text) {
    FILE *file = fopen(scratch("strings.yaml"), "wb");
    dp_yaml_writer w = {.stream = file};
    dp_yaml_put_string(&w, "key", text);
    fclose(file);
    dp_yaml *yaml;
    ck_dp_ok(dp_yaml_read(&yaml, scratch("strings.yaml"), &err));
    char *back =
        strdup(dp_yaml_string(dp_yaml_need(dp_yaml_root(yaml), "key"), SIZE_MAX, "not a string"));
    ck_dp_ok(dp_yaml_finish(yaml, &err));
    dp_yaml_free(yaml);
    return back;
}

START_TEST(every_unicode_character_survives) {
    static char text[4 * 0x8000 + 1];
    for (uint32_t block = 0; block < 0x110000; block += 0x8000) {
        size_t used = 0;
        for (uint32_t code = block ? block : 1; code < block + 0x8000; code++)
            if (code < 0xd800 || code > 0xdfff) used += encode(code, text + used);
        text[used] = '\0';
        char *back = through_yaml(text);
        ck_assert_msg(!strcmp(back, text), "in block U+%04X", block);
        free(back);
    }
}
END_TEST

static const char *const odd_strings[] = {"",
                                          "null",
                                          "1.0",
                                          " lead and trail ",
                                          "a: b # c",
                                          "- item",
                                          "\\\"'{}[]!&*",
                                          "two\nlines\n\n",
                                          "tab\tbell\a",
                                          "%YAML"};

START_TEST(strings_stay_strings) {
    char *back = through_yaml(odd_strings[_i]);
    ck_assert_str_eq(back, odd_strings[_i]);
    free(back);
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced) {
    static const struct {
        const char *text, *back;
    } table[] = {
        {"a\xff", "a\xef\xbf\xbd"},
        {"\xc3", "\xef\xbf\xbd"},                                   /* cut short */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},                   /* too long a form */
        {"\xed\xa0\x80!", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd!"}, /* surrogate */
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        char *back = through_yaml(table[i].text);
        ck_assert_str_eq(back, table[i].back);
        free(back);
    }
}
END_TEST

START_TEST(long_lists_are_broken_before_column_100) {
    enum { COUNT = 500 };
    double values[COUNT];
    for (int i = 0; i < COUNT; i++) values[i] = i % 3 ? i / 7.0 : i;
    FILE *file = fopen(scratch("list.yaml"), "wb");
    dp_yaml_writer w = {.stream = file};
    dp_yaml_open(&w, "outer");
    dp_yaml_put_numbers(&w, "list", values, COUNT, true);
    dp_yaml_close(&w);
    fclose(file);
    size_t size;
    char *text = read_whole(scratch("list.yaml"), &size);
    size_t longest = 0, lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++)
        longest = strlen(line) > longest ? strlen(line) : longest;
    free(text);
    ck_assert_uint_le(longest, 100);
    ck_assert_uint_gt(longest, 80);
    dp_yaml *yaml;
    ck_dp_ok(dp_yaml_read(&yaml, scratch("list.yaml"), &err));
    dp_yaml_node *list = dp_yaml_find(dp_yaml_find(dp_yaml_root(yaml), "outer"), "list");
    ck_assert_uint_eq(dp_yaml_count(list), COUNT);
    const double *expected = values;
    for (dp_yaml_node *at = dp_yaml_first(list); at; at = dp_yaml_next(at))
        ck_assert_double_eq(dp_yaml_number(at, 0, 1e9, -1), *expected++);
    ck_dp_ok(dp_yaml_finish(yaml, &err));
    dp_yaml_free(yaml);
}
END_TEST

#define COUNT_OF(table) ((int)(sizeof(table) / sizeof *(table)))

static void add_reading_tests(Suite *suite) {
    TCase *tests = tcase_create("reading");
    tcase_add_loop_test(tests, yaml_that_is_not_plain_is_refused, 0, COUNT_OF(bad_yaml));
    tcase_add_test(tests, mappings_with_very_many_keys_are_refused);
    tcase_add_loop_test(tests, what_a_reader_asked_for_is_taken, 0, COUNT_OF(good_samples));
    tcase_add_loop_test(tests, what_a_reader_did_not_ask_for_is_named_with_its_line, 0,
                        COUNT_OF(bad_samples));
    suite_add_tcase(suite, tests);
}

static void add_writing_tests(Suite *suite) {
    TCase *tests = tcase_create("writing");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, every_unicode_character_survives);
    tcase_add_loop_test(tests, strings_stay_strings, 0, COUNT_OF(odd_strings));
    tcase_add_test(tests, bytes_that_are_not_utf8_are_replaced);
    tcase_add_test(tests, long_lists_are_broken_before_column_100);
    suite_add_tcase(suite, tests);
}

Suite *test_yaml_suite(void) {
    Suite *suite = suite_create("yaml");
    add_reading_tests(suite);
    add_writing_tests(suite);
    return suite;
}
