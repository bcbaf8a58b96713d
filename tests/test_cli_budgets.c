/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Budgets and bounds of the command line, from outside: what is kept to, what is said about it, and with which exit status. */
#include <check.h>
#include <stdio.h>
#include <string.h>

#include "digits.h"
#include "dynaprec/npz.h"
#include "dynaprec/schedule.h"
#include "json.h"
#include "program.h"
#include "suites.h"

#define MODEL    "calib_data/digits.onnx"
#define HARDWARE "examples/hardware/homodyne.yaml"
#define LEARN    "learn " MODEL " --data @some.npz --cache none --trials 1 --hardware "

/* The table's last line and the object name the budget that decides. */
START_TEST(latencies_are_kept_and_the_active_budget_is_named) {
    program_result *r = run_expecting(LEARN HARDWARE " --latency 4x -o @s.yaml", 0);
    ck_assert_msg(strstr(r->out, "(latency 4x; accepted; active budget: latency;"), "%s", r->out);
    r = run_expecting(LEARN HARDWARE " --max-loss 0.2 --latency 500x -o @s.yaml --json", 0);
    json_check(r->out);
    ck_assert_int_eq(strncmp(json_at(r->out, "active_budget"), "\"loss\"", 6), 0);
    ck_assert_int_eq(strncmp(json_at(r->out, "goal"), "\"max-loss 0.2, latency 500x\"", 28), 0);
    r = run_expecting("diff @s.yaml @s.yaml --json", 0);
    ck_assert_int_eq(strncmp(json_at(r->out, "a.active_budget"), "\"loss\"", 6), 0);
    dp_schedule s;
    ck_dp_ok(dp_schedule_read(&s, in_folder("s.yaml"), &err));
    ck_assert_int_eq(s.active, DP_BUDGET_LOSS);
    dp_schedule_clear(&s);
    r = run_expecting(LEARN HARDWARE " --max-drop 2 --latency 0.5x --dry-run -o @s.yaml", 4);
    ck_assert_ptr_nonnull(strstr(r->err, "1x to 6.554e+04x is feasible"));
    r = run_expecting(LEARN HARDWARE " --max-drop 2 --latency 1x -o @s2.yaml", 4);
    ck_assert_ptr_nonnull(strstr(r->err, "latency is the active budget"));
    ck_assert(!in_folder_exists("s2.yaml"));
    r = run_expecting(LEARN HARDWARE " --max-drop 2 --energy 0.01aJ/MAC --dry-run -o @s.yaml", 4);
    ck_assert_ptr_nonnull(strstr(r->err, "is feasible"));
}
END_TEST

START_TEST(sites_that_want_signs_are_counted_on_stderr) {
    FILE *from = fopen(HARDWARE, "r"), *to = fopen(in_folder("unsigned.yaml"), "w");
    char line[512];
    ck_assert(from && to);
    while (fgets(line, sizeof line, from))
        if (!strstr(line, "signed_inputs:")) fputs(line, to); /* false, if not said */
    fclose(from);
    fclose(to);
    program_result *r = run_expecting(LEARN "@unsigned.yaml --energy 1aJ/MAC -o @s.yaml", 0);
    ck_assert_int_eq(count_text(r->err, "7 sites are not centred"),
                     1); /* the first one's input is signed */
    r = run_expecting(LEARN HARDWARE " --energy 1aJ/MAC -o @s.yaml", 0);
    ck_assert_ptr_null(strstr(r->err, "not centred"));
}
END_TEST

/* Three bits, so that rounding decides answers, and noise that takes tens of repetitions. */
static void write_coarse_hardware(const char *path) {
    FILE *from = fopen("examples/hardware/thermal.yaml", "r"), *to = fopen(path, "w");
    char line[512];
    ck_assert(from && to);
    while (fgets(line, sizeof line, from)) {
        if (strstr(line, "weights:") || strstr(line, " inputs:") || strstr(line, "sigma:")) {
            fprintf(to, "%.*s %s\n", (int)(strchr(line, ':') + 1 - line), line,
                    strstr(line, "sigma:") ? "0.1" : "3");
        } else
            fputs(line, to);
    }
    fclose(from);
    fclose(to);
}

/* Samples are dealt out by the seed, and with them which operands end cheaper. */
START_TEST(operands_that_are_left_as_they_are_are_told_of) {
    int seen[2] = {0};
    write_coarse_hardware(in_folder("coarse.yaml"));
    for (int seed = 7; seed < 19 && !(seen[0] && seen[1]); seed++) {
        char line[256];
        snprintf(line, sizeof line, LEARN "@coarse.yaml --max-drop 6 --seed %d --json -o @s.yaml",
                 seed);
        program_result *r = run_expecting(line, 0);
        json_check(r->out);
        const char *other = json_at(r->out, "alternative");
        bool plain = strncmp(json_at(other, "operands"), "\"conditioned\"", 13) == 0;
        ck_assert_int_eq(count_text(r->err, "operands are left as they are"), plain);
        ck_assert_int_eq(count_text(r->err, "their clean top-1 is"), plain);
        dp_schedule s;
        ck_dp_ok(dp_schedule_read(&s, in_folder("s.yaml"), &err));
        ck_assert(s.alternative.conditioned == plain && plain == (s.conditioning.count == 0));
        dp_schedule_clear(&s);
        seen[plain]++;
    }
    ck_assert_msg(seen[0] && seen[1], "%d conditioned, %d plain", seen[0], seen[1]);
}
END_TEST

/* Bounds and groups are in the file, and eval and diff take it. */
START_TEST(groups_and_bounds_are_in_the_schedule) {
    run_expecting(LEARN HARDWARE " --max-loss 0.2 --granularity channel --group *block* "
                                 "--min-repetitions 2 --max-repetitions 9 -o @s.yaml",
                  0);
    dp_schedule s;
    int grouped = 0;
    ck_dp_ok(dp_schedule_read(&s, in_folder("s.yaml"), &err));
    for (int i = 0; i < s.n_layers; i++) {
        const dp_layer *layer = &s.layers[i];
        ck_assert((layer->group != NULL) == (strstr(layer->name, "block") != NULL));
        grouped += layer->group != NULL;
        for (int c = 0; c < layer->count; c++)
            ck_assert(layer->repetitions[c] >= 2 && layer->repetitions[c] <= 9);
    }
    ck_assert_int_eq(grouped, 2);
    ck_assert_double_eq(s.layers[2].repetitions[0], s.layers[3].repetitions[0]);
    dp_schedule_clear(&s);
    run_expecting("eval " MODEL " --data @some.npz --schedule @s.yaml --trials 1", 0);
    program_result *r = run_expecting("diff @s.yaml @s.yaml --json", 0);
    ck_assert_int_eq(count_text(r->out, "\"group\": \"*block*\""), 4);
    r = run_expecting("eval calib_data/transformer.onnx --data calib_data/transformer_learn.npz "
                      "--schedule @s.yaml --trials 1",
                      3);
    ck_assert_ptr_nonnull(strstr(r->err, "it was learned for another network (digits.onnx)"));
}
END_TEST

/* Labels as real one-hot rows, or all of them ignored. */
static void write_labels(const char *name, bool one_hot) {
    dp_npz in = {0};
    ck_dp_ok(dp_npz_read(&in, in_folder("some.npz"), &err));
    dp_tensor *y = NULL;
    for (size_t i = 0; i < in.count; i++)
        if (strcmp(in.arrays[i].name, "y") == 0) y = &in.arrays[i].tensor;
    int64_t *labels = y->data;
    dp_tensor rows = {.dtype = DP_F32, .rank = 2, .dim = {y->dim[0], 10}};
    ck_dp_ok(dp_tensor_allocate(&rows, &err));
    memset(rows.data, 0, dp_tensor_bytes(&rows));
    for (int64_t i = 0; i < y->dim[0]; i++) {
        ((float *)rows.data)[10 * i + labels[i]] = 1;
        labels[i] = -100;
    }
    if (one_hot) {
        dp_tensor_clear(y);
        *y = rows;
    } else {
        dp_tensor_clear(&rows);
    }
    ck_dp_ok(dp_npz_write(in_folder(name), in.arrays, in.count, &err));
    dp_npz_clear(&in);
}

/* They are taken as quantities, which is said before anything is learned for them. */
START_TEST(one_hot_rows_are_told_from_classes) {
    write_labels("rows.npz", true);
#define ROWS "learn " MODEL " --data @rows.npz --cache none --trials 1 --hardware "
    for (int dry = 0; dry < 2; dry++) {
        program_result *r = run_expecting(
            dry ? ROWS HARDWARE " --max-drop 2 --dry-run" : ROWS HARDWARE " --max-drop 2", 2);
        ck_assert_ptr_nonnull(strstr(r->err, "no top-1"));
        ck_assert_ptr_nonnull(strstr(r->err, "one-hot rows y.argmax(1))"));
    }
    program_result *r = run_expecting(ROWS HARDWARE " --max-loss 0.3 -o @s.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r->err, "'y' has one-hot rows"));
    r = run_expecting(LEARN HARDWARE " --max-loss 0.3 -o @s.yaml", 0);
    ck_assert_ptr_null(strstr(r->err, "one-hot"));
    write_labels("none.npz", false);
    r = run_expecting("learn " MODEL " --data @none.npz --hardware thermal --max-drop 50", 3);
    ck_assert_ptr_nonnull(strstr(r->err, "all labels are -100 of the samples to learn from"));
}
END_TEST

Suite *test_cli_budgets_suite(void) {
    Suite *suite = suite_create("budgets of the program");
    TCase *all = tcase_create("budgets");
    tcase_add_checked_fixture(all, digits_open_folder, program_close_folder);
    tcase_add_test(all, latencies_are_kept_and_the_active_budget_is_named);
    tcase_add_test(all, sites_that_want_signs_are_counted_on_stderr);
    tcase_add_test(all, operands_that_are_left_as_they_are_are_told_of);
    tcase_add_test(all, groups_and_bounds_are_in_the_schedule);
    tcase_add_test(all, one_hot_rows_are_told_from_classes);
    tcase_set_timeout(all, 240);
    suite_add_tcase(suite, all);
    return suite;
}
