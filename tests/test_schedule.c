/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schedules: what is written is read back, byte for byte. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dynaprec/schedule.h"
#include "schedule_sample.h"
#include "scratch.h"
#include "suites.h"

/* ---- there and back ---- */

static void check_number(double a, double b) {
    ck_assert(a == b || (isnan(a) && isnan(b)));
}

static void check_measure(const dp_measure *a, const dp_measure *b) {
    double left[sizeof *a / sizeof(double)], right[sizeof *a / sizeof(double)];
    memcpy(left, a, sizeof *a);
    memcpy(right, b, sizeof *b);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) check_number(left[i], right[i]);
}

static void check_rounding(const dp_rounding *a, const dp_rounding *b) {
    ck_assert(a->of_loss == b->of_loss);
    check_number(a->value, b->value);
    check_number(a->bound, b->bound);
    check_number(a->gap, b->gap);
}

static void check_layer(const dp_layer *a, const dp_layer *b) {
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->index, b->index);
    ck_assert_str_eq(a->op, b->op);
    ck_assert_str_eq(a->weight, b->weight);
    ck_assert_str_eq(a->module, b->module);
    check_number(a->macs, b->macs);
    ck_assert_str_eq(a->granularity, b->granularity);
    ck_assert_pstr_eq(a->group, b->group);
    ck_assert_int_eq(a->channels, b->channels);
    ck_assert_int_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) check_number(a->repetitions[i], b->repetitions[i]);
    check_number(a->energy_j, b->energy_j);
    check_number(a->enob, b->enob);
    check_number(a->sensitivity, b->sensitivity);
    check_number(a->loss, b->loss);
    check_number(a->loss_per_j, b->loss_per_j);
    ck_assert(a->fixed == b->fixed && a->at_min == b->at_min && a->at_max == b->at_max);
}

START_TEST(everything_written_is_read_back) {
    dp_schedule back;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    ck_assert_str_eq(back.version, sample.version);
    ck_assert_str_eq(back.search, sample.search);
    ck_assert(back.seed == sample.seed && back.trials == sample.trials);
    ck_assert(back.min_repetitions == 2 && back.max_repetitions == 64);
    ck_assert_str_eq(back.model_file, sample.model_file);
    ck_assert_str_eq(back.model_sha256, sample.model_sha256);
    ck_assert_str_eq(back.data_file, sample.data_file);
    ck_assert_str_eq(back.data_sha256, sample.data_sha256);
    ck_assert(back.learn_count == 500 && back.check_count == 499);
    ck_assert_str_eq(back.check_file, "");
    ck_assert_str_eq(back.check_sha256, "");
    ck_assert_str_eq(back.goal, sample.goal);
    ck_assert_str_eq(back.status, sample.status);
    ck_assert(back.confidence == 0.95 && back.checks == 2 && back.checks_uniform == 1 &&
              back.passes == 31.5 && back.passes_shape == 6);
    check_measure(&back.clean, &sample.clean);
    check_measure(&back.learned, &sample.learned);
    check_measure(&back.uniform, &sample.uniform);
    ck_assert(back.saving.value == 0.83 && back.saving.lower == 0.8 && isnan(back.saving.upper));
    check_rounding(&back.rounding, &sample.rounding);
    ck_assert_str_eq(back.alternative.status, "dearer");
    ck_assert(back.alternative.conditioned && isnan(back.alternative.energy_per_mac_aj) &&
              back.alternative.clean_top1 == 0.805);
    ck_assert_str_eq(back.hardware.name, "homodyne");
    ck_assert_str_eq(back.hardware.sha256, sample.hardware.sha256);
    ck_assert_double_eq(dp_hardware_parameter(&back.hardware, "shot", "photons_per_mac"), 1);
    ck_assert_int_eq(back.n_layers, sample.n_layers);
    for (int i = 0; i < back.n_layers; i++) check_layer(&back.layers[i], &sample.layers[i]);
    dp_schedule_clear(&back);
}
END_TEST

static void check_same_bytes_after_reading(void) {
    dp_schedule back;
    size_t first_size, second_size;
    char *first = sample_written(&sample, "first.yaml", &first_size);
    ck_dp_ok(dp_schedule_read(&back, scratch("first.yaml"), &err));
    char *second = sample_written(&back, "second.yaml", &second_size);
    ck_assert_uint_eq(first_size, second_size);
    ck_assert(!memcmp(first, second, first_size));
    dp_schedule_clear(&back);
    free(first);
    free(second);
}

START_TEST(writing_what_was_read_gives_the_same_bytes) {
    check_same_bytes_after_reading();
}
END_TEST

START_TEST(continuous_and_power_of_two_levels_come_back_too) {
    size_t size;
    sample.hardware.levels = DP_LEVELS_CONTINUOUS;
    sample.hardware.repetitions_min = 0.25;
    sample_by_channel[7] = 3.14159265358979;
    check_same_bytes_after_reading();
    char *text = sample_written(&sample, "s.yaml", &size);
    ck_assert_ptr_nonnull(strstr(text, "repetitions: 17.0\n"));
    ck_assert_ptr_nonnull(strstr(text, "repetitions: [1.0, 2.0, 65536.0]\n"));
    ck_assert_ptr_nonnull(strstr(text, "    min: 0.25\n"));
    free(text);
    sample.hardware.levels = DP_LEVELS_POWER_OF_TWO;
    check_same_bytes_after_reading();
}
END_TEST

START_TEST(what_rounding_cost_comes_back_whatever_was_rounded) {
    static const dp_rounding roundings[] = {
        {true, 0.0301, 0.03, 1.0 / 300}, {false, 1e-12, 1e-12, 0}, {false, NAN, NAN, NAN}};
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++) {
        dp_schedule back;
        sample.rounding = roundings[i];
        ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
        ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
        check_rounding(&back.rounding, &roundings[i]);
        dp_schedule_clear(&back);
    }
}
END_TEST

START_TEST(a_schedule_without_layers_comes_back) {
    sample.n_layers = 0;
    check_same_bytes_after_reading();
}
END_TEST

START_TEST(layers_of_a_group_come_back) {
    dp_schedule back;
    sample_layers[1] = sample_layers[0];
    sample_layers[1].name = (char *)"Conv_1";
    sample_layers[1].index = 1;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    check_layer(&back.layers[1], &sample_layers[1]);
    dp_schedule_clear(&back);
}
END_TEST

START_TEST(missing_strings_and_odd_names_come_back_as_text) {
    dp_schedule back;
    sample.goal = NULL;
    sample_layers[0].name = (char *)"1.0";
    sample_layers[1].name = (char *)"null # \\ \n: \xe2\x80\xa8";
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    ck_assert_str_eq(back.goal, "");
    ck_assert_str_eq(back.layers[0].name, sample_layers[0].name);
    ck_assert_str_eq(back.layers[1].name, sample_layers[1].name);
    dp_schedule_clear(&back);
}
END_TEST

/* ---- the text ---- */

START_TEST(top_level_keys_come_in_the_documented_order) {
    static const char *const keys[] = {"format:",     "\ntool:", "\nmodel:",  "\ndata:",
                                       "\nhardware:", "\ngoal:", "\nresult:", "\nlayers:"};
    size_t size;
    char *text = sample_written(&sample, "s.yaml", &size), *at = text;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        at = strstr(at, keys[i]);
        ck_assert_msg(at != NULL, "%s is not where it should be", keys[i]);
    }
    ck_assert(!strncmp(text, "format: \"dynaprec-schedule/1\"\n", 30));
    ck_assert_ptr_nonnull(strstr(text, "\n    top5: null\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n    repetitions: 145\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n  saving: {value: 0.83, lower: 0.8, upper: null}\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n  seed: 18446744073709551615\n"));
    free(text);
}
END_TEST

/*
 * What a YAML 1.1 reader makes of a value without quotes (yaml.org/type/float.html, int.html; PyYAML follows them):
 * an integer, a float with '.' whose exponent has a sign, null or a truth value; never a string.
 */
static bool is_yaml_1_1_value(const char *text, size_t length) {
    char copy[64];
    if (length >= sizeof copy) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (!strcmp(copy, "null") || !strcmp(copy, "true") || !strcmp(copy, "false")) return true;
    const char *at = copy + (*copy == '-');
    size_t whole = strspn(at, "0123456789");
    if (whole == 0 || (whole > 1 && *at == '0')) return false;
    at += whole;
    if (!*at) return true;
    if (*at++ != '.') return false;
    at += strspn(at, "0123456789");
    if (!*at) return true;
    if (*at++ != 'e' || (*at != '-' && *at != '+')) return false;
    size_t digits = strspn(++at, "0123456789");
    return digits >= 2 && at[digits] == '\0';
}

START_TEST(strings_are_quoted_and_numbers_are_numbers_to_yaml_1_1) {
    size_t size, plain = 0;
    char *text = sample_written(&sample, "s.yaml", &size);
    for (const char *at = text; *at;) {
        if (*at == '"') {
            for (at++; *at != '"'; at++) at += *at == '\\';
            at++;
        } else if (strchr(" \n[]{},", *at)) {
            at++;
        } else {
            size_t length = strcspn(at, " \n[]{},");
            bool key = at[length - 1] == ':', dash = length == 1 && *at == '-';
            if (!key && !dash)
                ck_assert_msg(is_yaml_1_1_value(at, length), "'%.*s'", (int)length, at);
            plain += !key && !dash;
            at += length;
        }
    }
    ck_assert_uint_gt(plain, 100);
    free(text);
}
END_TEST

START_TEST(no_line_is_longer_than_100_columns) {
    size_t size;
    char *text = sample_written(&sample, "s.yaml", &size);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_uint_le(strlen(line), 100);
    free(text);
}
END_TEST

/* Lines that begin with one of these, and a mapping that belongs to them, were not written once. */
static char *without_accounts(const char *text) {
    static const char *const later[] = {"active_budget:",
                                        "rounding:",
                                        "loss:",
                                        "loss_per_j:",
                                        "fixed:",
                                        "at_min:",
                                        "at_max:",
                                        "of:",
                                        "value:",
                                        "bound:",
                                        "gap:",
                                        "alternative:",
                                        "operands:",
                                        "status: \"dearer\"",
                                        "energy_per_mac_aj: null",
                                        "clean_top1:"};
    char *older = malloc(strlen(text) + 1), *end = older;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n") + 1, indent = strspn(line, " ");
        const char *figure = strstr(line, "{value");
        bool keep = true;
        for (size_t i = 0; i < sizeof later / sizeof *later; i++)
            if (indent <= 4 && !strncmp(line + indent, later[i], strlen(later[i])) &&
                !(figure && figure < line + length))
                keep = false;
        if (keep) end = (char *)memcpy(end, line, length) + length;
        line += length;
    }
    *end = '\0';
    return older;
}

START_TEST(schedules_of_before_are_read_without_what_they_lack) {
    dp_schedule back;
    size_t size;
    char *text = sample_written(&sample, "s.yaml", &size), *older = without_accounts(text);
    const char *path = scratch_write("older.yaml", older, strlen(older));
    ck_dp_ok(dp_schedule_read(&back, path, &err));
    check_rounding(&back.rounding, &(dp_rounding){false, NAN, NAN, NAN});
    ck_assert(back.active == DP_BUDGET_UNKNOWN && !back.alternative.status);
    for (int i = 0; i < back.n_layers; i++) {
        const dp_layer *layer = &back.layers[i];
        check_number(layer->sensitivity, sample.layers[i].sensitivity);
        ck_assert(isnan(layer->loss) && isnan(layer->loss_per_j));
        ck_assert(!layer->fixed && layer->at_min == 0 && layer->at_max == 0);
    }
    dp_schedule_clear(&back);
    free(older);
    free(text);
}
END_TEST

/* The K of every channel, as the list's description in docs/formats.md has it. */
START_TEST(channels_have_the_repetitions_of_their_layer_or_tile) {
    for (int c = 0; c < 16; c++)
        ck_assert_double_eq(dp_layer_repetitions(&sample_layers[0], c), 17);
    for (int c = 0; c < SAMPLE_CHANNELS; c++)
        ck_assert_double_eq(dp_layer_repetitions(&sample_layers[1], c), sample_by_channel[c]);
    for (int c = 0; c < 9; c++)
        ck_assert_double_eq(dp_layer_repetitions(&sample_layers[2], c), sample_by_tile[c / 4]);
}
END_TEST

/* ---- files and memory ---- */

START_TEST(a_place_that_cannot_be_written_is_named_with_the_reason) {
    ck_dp_fails(dp_schedule_write(&sample, scratch("no/s.yaml"), &err), DP_EIO,
                "no/s.yaml: cannot be written: No such file or directory");
    ck_dp_fails(dp_schedule_write(&sample, "/dev/full", &err), DP_EIO, "No space left on device");
    ck_assert_int_eq(scratch_count(), 0);
    dp_schedule back;
    ck_dp_fails(dp_schedule_read(&back, scratch("none.yaml"), &err), DP_EIO,
                "none.yaml: cannot be read: No such file or directory");
}
END_TEST

START_TEST(nothing_and_half_built_schedules_can_be_cleared) {
    dp_schedule half = {.n_layers = 7}; /* the layers could not be had */
    dp_schedule_clear(NULL);
    dp_schedule_clear(&half);
    dp_schedule_clear(&half);
}
END_TEST

Suite *test_schedule_suite(void) {
    Suite *suite = suite_create("schedule");
    TCase *tests = tcase_create("round trip");
    tcase_add_checked_fixture(tests, sample_setup, scratch_teardown);
    tcase_add_test(tests, everything_written_is_read_back);
    tcase_add_test(tests, writing_what_was_read_gives_the_same_bytes);
    tcase_add_test(tests, continuous_and_power_of_two_levels_come_back_too);
    tcase_add_test(tests, a_schedule_without_layers_comes_back);
    tcase_add_test(tests, layers_of_a_group_come_back);
    tcase_add_test(tests, what_rounding_cost_comes_back_whatever_was_rounded);
    tcase_add_test(tests, schedules_of_before_are_read_without_what_they_lack);
    tcase_add_test(tests, channels_have_the_repetitions_of_their_layer_or_tile);
    tcase_add_test(tests, missing_strings_and_odd_names_come_back_as_text);
    tcase_add_test(tests, top_level_keys_come_in_the_documented_order);
    tcase_add_test(tests, strings_are_quoted_and_numbers_are_numbers_to_yaml_1_1);
    tcase_add_test(tests, no_line_is_longer_than_100_columns);
    tcase_add_test(tests, a_place_that_cannot_be_written_is_named_with_the_reason);
    tcase_add_test(tests, nothing_and_half_built_schedules_can_be_cleared);
    suite_add_tcase(suite, tests);
    return suite;
}
