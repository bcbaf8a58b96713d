/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The verbs at work on the embedded network, from outside: results, determinism, interruption, progress. */
#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "digits.h"
#include "dynaprec/npz.h"
#include "dynaprec/schedule.h"
#include "json.h"
#include "program.h"
#include "suites.h"

#define MODEL        "calib_data/digits.onnx"
#define SAMPLES      "calib_data/digits_learn.npz"
#define HARDWARE     "examples/hardware/homodyne.yaml"
#define LEARN_DIGITS "learn " MODEL " --data @some.npz --hardware " HARDWARE " "

/* ---- inspect ---- */

START_TEST(sites_come_with_what_is_known_of_them) {
    program_result *r = run_expecting("inspect " MODEL " --json", 0);
    json_check(r->out);
    ck_assert_str_eq(r->err, "");
    const char *first = json_at(r->out, "sites") + 1;
    first += strspn(first, " \n");
    ck_assert_double_eq(json_figure(first, "macs"), 16 * 9 * 64);
    ck_assert_double_eq(json_figure(first, "positions"), 64);
    ck_assert_int_eq(strncmp(json_at(first, "sigma"), "null", 4), 0);
    ck_assert_int_eq(strncmp(json_at(first, "input_range"), "[null, null]", 12), 0);

    r = run_expecting("inspect " MODEL " --json --data " SAMPLES " --hardware homodyne", 0);
    json_check(r->out);
    first = json_at(r->out, "sites") + 1;
    first += strspn(first, " \n");
    static const char *const keys[] = {"index",        "name",        "op",
                                       "weight",       "channels",    "groups",
                                       "depth",        "fixed_j",     "per_repetition_j",
                                       "weight_range", "output_range"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) json_at(first, keys[i]);
    double sigma = json_figure(first, "sigma"), low, high;
    ck_assert_int_eq(sscanf(json_at(first, "output_range"), "[%lf, %lf]", &low, &high), 2);
    /* one photon a MAC: [Garg], ENOB by its definition */
    ck_assert_double_eq_tol(json_figure(first, "enob"), log2((high - low) / (sqrt(12) * sigma) + 1),
                            1e-6);
    ck_assert_double_eq_tol(json_figure(first, "per_repetition_j"), 16 * 9 * 64 * 1.28e-19, 1e-24);
}
END_TEST

START_TEST(tables_fit_the_page_and_have_no_colours) {
    program_result *r =
        run_expecting("inspect " MODEL " --data " SAMPLES " --hardware homodyne", 0);
    ck_assert_ptr_null(strchr(r->out, '\033'));
    ck_assert_str_eq(r->err, "");
    ck_assert_int_eq(count_text(r->out, "\n"), 1 + 8 + 2);
    ck_assert_ptr_nonnull(strstr(r->out, "32 x 144 x 64"));
    for (const char *at = r->out; *strstr(at, "\n") && at[1]; at = strstr(at, "\n") + 1) {
        if (!strncmp(at, "shape", 5)) break;
        ck_assert_int_le((int)strcspn(at, "\n"), 120);
    }
}
END_TEST

/* ---- run ---- */

static double accuracy(const char *outputs, const char *samples) {
    dp_npz out = {0}, in = {0};
    ck_dp_ok(dp_npz_read(&out, outputs, &err));
    ck_dp_ok(dp_npz_read(&in, samples, &err));
    const dp_tensor *logits = dp_npz_find(&out, "logits"), *y = dp_npz_find(&in, "y");
    ck_assert(logits && y && logits->rank == 2 && logits->dim[1] == 10);
    ck_assert_int_eq(logits->dim[0], y->dim[0]);
    int64_t right = 0;
    for (int64_t i = 0; i < y->dim[0]; i++) {
        const float *row = (const float *)logits->data + 10 * i;
        int best = 0;
        for (int c = 1; c < 10; c++)
            if (row[c] > row[best]) best = c;
        right += best == ((const int64_t *)y->data)[i];
    }
    double share = (double)right / (double)y->dim[0];
    dp_npz_clear(&out);
    dp_npz_clear(&in);
    return share;
}

/* The accuracies that PyTorch measured when the network was trained (calib_data/README.md). */
START_TEST(clean_runs_are_as_right_as_where_the_network_was_trained) {
    run_expecting("run " MODEL " --inputs " SAMPLES " -o @new/folder/o.npz --threads 2", 0);
    ck_assert_double_eq_tol(accuracy(in_folder("new/folder/o.npz"), SAMPLES), 0.9933, 6e-5);
    run_expecting("run " MODEL " --inputs calib_data/digits_test.npz -o @t.npz --threads 1", 0);
    ck_assert_double_eq_tol(accuracy(in_folder("t.npz"), "calib_data/digits_test.npz"), 0.9950,
                            6e-5);
}
END_TEST

static void write_floats(const char *path, bool doubles) {
    dp_npz in = {0};
    ck_dp_ok(dp_npz_read(&in, SAMPLES, &err));
    const dp_tensor *images = dp_npz_find(&in, "x");
    double mean = (double)((const float *)dp_npz_find(&in, "mean")->data)[0];
    double std = (double)((const float *)dp_npz_find(&in, "std")->data)[0];
    dp_array array = {.name = (char *)(uintptr_t) "x", .tensor = *images};
    array.tensor.dtype = doubles ? DP_F64 : DP_F32;
    array.tensor.borrowed = false;
    ck_dp_ok(dp_tensor_allocate(&array.tensor, &err));
    for (int64_t i = 0; i < dp_tensor_count(images); i++) {
        double value = (((const uint8_t *)images->data)[i] / 255.0 - mean) / std;
        if (doubles)
            ((double *)array.tensor.data)[i] = value;
        else
            ((float *)array.tensor.data)[i] = (float)value;
    }
    ck_dp_ok(dp_npz_write(path, &array, 1, &err));
    dp_tensor_clear(&array.tensor);
    dp_npz_clear(&in);
}

START_TEST(whole_arrays_give_what_samples_give) {
    write_floats(in_folder("x.npz"), _i == 1);
    run_expecting("run " MODEL " --inputs @x.npz -o @batched.npz", 0);
    run_expecting("run " MODEL " --inputs @x.npz -o @whole.npz --whole", 0);
    dp_npz a = {0}, b = {0};
    ck_dp_ok(dp_npz_read(&a, in_folder("batched.npz"), &err));
    ck_dp_ok(dp_npz_read(&b, in_folder("whole.npz"), &err));
    ck_assert(dp_tensor_same_shape(&a.arrays[0].tensor, &b.arrays[0].tensor));
    for (int64_t i = 0; i < dp_tensor_count(&a.arrays[0].tensor); i++)
        ck_assert_float_eq_tol(((const float *)a.arrays[0].tensor.data)[i],
                               ((const float *)b.arrays[0].tensor.data)[i], 1e-4F);
    dp_npz_clear(&a);
    dp_npz_clear(&b);
}
END_TEST

static bool same_file(const char *a, const char *b) {
    static char one[PROGRAM_TEXT], other[PROGRAM_TEXT];
    FILE *x = fopen(in_folder(a), "rb"), *y = fopen(in_folder(b), "rb");
    ck_assert(x && y);
    size_t n = fread(one, 1, sizeof one, x), m = fread(other, 1, sizeof other, y);
    fclose(x);
    fclose(y);
    ck_assert(n > 0 && n < sizeof one);
    return n == m && memcmp(one, other, n) == 0;
}

START_TEST(outputs_do_not_depend_on_threads) {
    run_expecting("run " MODEL " --inputs " SAMPLES " -o @1.npz --threads 1", 0);
    run_expecting("run " MODEL " --inputs " SAMPLES " -o @3.npz --threads 3 --quiet", 0);
    ck_assert(same_file("1.npz", "3.npz"));
}
END_TEST

/* ---- learn and eval ---- */

#define QUICK LEARN_DIGITS "--max-loss 0.2 --trials 1 "

static const char *const noisy_keys[] = {"top1",
                                         "top1_interval",
                                         "top5",
                                         "loss",
                                         "kl",
                                         "agreement",
                                         "agreement_interval",
                                         "drop",
                                         "drop_upper",
                                         "energy_j",
                                         "energy_per_mac_aj",
                                         "latency_x"};

static void check_noisy(const char *json, const char *which) {
    char path[64];
    for (size_t i = 0; i < sizeof noisy_keys / sizeof *noisy_keys; i++) {
        snprintf(path, sizeof path, "%s.%s", which, noisy_keys[i]);
        const char *at = json_at(json, path);
        ck_assert_msg(*at == '[' || *at == '-' || (*at >= '0' && *at <= '9'), "%s is %.10s", path,
                      at);
    }
}

START_TEST(learn_writes_a_schedule_that_eval_measures) {
    static program_result learned;
    learned = *run_expecting(QUICK "--granularity channel --json -o @deep/s.yaml", 0);
    const char *json = learned.out;
    json_check(json);
    check_noisy(json, "learned");
    check_noisy(json, "uniform");
    ck_assert_double_gt(json_figure(json, "clean.top1"), 0.99);
    ck_assert_double_gt(json_figure(json, "saving"), 0.3);
    ck_assert_double_le(json_figure(json, "learned.rise_upper"), 0.2);
    double uniform = json_figure(json, "uniform.repetitions");
    ck_assert_double_eq_tol(json_figure(json, "uniform.latency_x"), uniform, 1e-9);

    dp_schedule schedule = {0};
    ck_dp_ok(dp_schedule_read(&schedule, in_folder("deep/s.yaml"), &err));
    ck_assert_str_eq(schedule.goal, "max-loss 0.2");
    ck_assert_str_eq(schedule.status, "accepted");
    ck_assert_int_eq(schedule.n_layers, 8);
    ck_assert_int_eq(schedule.learn_count + schedule.check_count, DIGITS_SOME);
    double energy = schedule.learned.energy_j;
    dp_schedule_clear(&schedule);

    program_result *r = run_expecting(
        "eval " MODEL " --data calib_data/digits_test.npz --schedule @deep/s.yaml --json", 0);
    json_check(r->out);
    check_noisy(r->out, "noisy");
    ck_assert_double_eq_tol(json_figure(r->out, "clean.top1"), 0.9950, 6e-5);
    ck_assert_double_eq_tol(json_figure(r->out, "noisy.energy_j"), energy, 1e-9 * energy);
    ck_assert_double_eq(json_figure(r->out, "uniform.repetitions"), uniform);
    ck_assert_double_gt(json_figure(r->out, "noisy.top1"), 0.9);

    r = run_expecting(
        "eval " MODEL " --data " SAMPLES " --schedule @deep/s.yaml --hardware thermal", 0);
    ck_assert_ptr_nonnull(strstr(r->out, "\nuniform "));
}
END_TEST

START_TEST(equal_seeds_give_equal_bytes_at_any_number_of_threads) {
    run_expecting(QUICK "--cache none --seed 7 --threads 1 -o @1.yaml", 0);
    run_expecting(QUICK "--cache none --seed 7 --threads 2 -o @2.yaml", 0);
    run_expecting(QUICK "--cache none --seed 7 --threads 2 -o @3.yaml", 0);
    run_expecting(QUICK "--cache none --seed 8 --threads 2 -o @4.yaml", 0);
    run_expecting(QUICK "--cache @kept --seed 7 -o @5.yaml", 0);
    run_expecting(QUICK "--cache @kept --seed 7 -o @6.yaml", 0);
    ck_assert(same_file("1.yaml", "2.yaml"));
    ck_assert(same_file("1.yaml", "5.yaml"));
    ck_assert(same_file("1.yaml", "6.yaml"));
    ck_assert(same_file("2.yaml", "3.yaml"));
    ck_assert(!same_file("3.yaml", "4.yaml"));
}
END_TEST

START_TEST(the_table_of_layers_is_100_columns_wide_at_most) {
    program_result *r =
        run_expecting(LEARN_DIGITS "--energy 1aJ/MAC --granularity tile:8 -o @s.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r->out, "/block1/block1.0/Conv"));
    ck_assert_ptr_nonnull(strstr(r->out, " / "));
    ck_assert_ptr_nonnull(strstr(r->out, "\nlearned "));
    ck_assert_ptr_nonnull(strstr(r->out, "(energy 1aJ/MAC; accepted"));
    ck_assert_ptr_nonnull(strstr(r->err, "learning from 150 samples"));
    ck_assert_ptr_null(strchr(r->out, '\033'));
    ck_assert_ptr_null(strchr(r->err, '\r'));
    for (const char *at = r->out; strncmp(at, "schedule:", 9) != 0; at = strchr(at, '\n') + 1)
        ck_assert_int_le((int)strcspn(at, "\n"), 100);
}
END_TEST

START_TEST(uniform_precision_and_samples_without_labels_can_be_measured) {
    write_floats(in_folder("x.npz"), false);
    program_result *r = run_expecting(
        "eval " MODEL " --data @x.npz --hardware homodyne --repetitions 4 --trials 1 --json", 0);
    json_check(r->out);
    ck_assert_int_eq(strncmp(json_at(r->out, "clean.top1"), "null", 4), 0);
    double agreement = json_figure(r->out, "noisy.agreement");
    ck_assert_double_eq_tol(json_figure(r->out, "noisy.drop"), 100 * (1 - agreement), 1e-9);
    ck_assert_double_eq(json_figure(r->out, "noisy.latency_x"), 4);
    run_expecting(LEARN_DIGITS "--data=@x.npz", 2);
    r = run_expecting("learn " MODEL " --data @x.npz --hardware " HARDWARE
                      " --max-loss 1 --objective cross-entropy -o @s",
                      3);
    ck_assert_ptr_nonnull(strstr(r->err, "'y'"));
}
END_TEST

START_TEST(excluded_and_fixed_sites_are_honoured) {
    program_result *r = run_expecting(
        LEARN_DIGITS "--energy 40pJ --fix *Gemm=64 --exclude /stem* -o @s.yaml --quiet", 0);
    ck_assert_str_eq(r->err, "");
    dp_schedule schedule = {0};
    ck_dp_ok(dp_schedule_read(&schedule, in_folder("s.yaml"), &err));
    ck_assert_int_eq(schedule.n_layers, 7);
    for (int i = 0; i < schedule.n_layers; i++) {
        ck_assert_ptr_null(strstr(schedule.layers[i].name, "stem"));
        if (strstr(schedule.layers[i].name, "Gemm"))
            ck_assert_double_eq(schedule.layers[i].repetitions[0], 64);
    }
    ck_assert_double_le(schedule.learned.energy_j, 40e-12);
    dp_schedule_clear(&schedule);
    run_expecting("eval " MODEL " --data " SAMPLES " --schedule @s.yaml --exclude /stem*", 0);
    r = run_expecting("eval " MODEL " --data " SAMPLES " --schedule @s.yaml", 3);
    ck_assert_ptr_nonnull(strstr(r->err, "--exclude"));
}
END_TEST

static void write_wrong_label(const char *path) {
    dp_npz in = {0};
    ck_dp_ok(dp_npz_read(&in, SAMPLES, &err));
    const dp_tensor *labels = dp_npz_find(&in, "y");
    ((int64_t *)labels->data)[5] = 10;
    ck_dp_ok(dp_npz_write(path, in.arrays, in.count, &err));
    dp_npz_clear(&in);
}

/* Sensitivities are 3 passes, a step of adam 3 for its 32 samples. */
START_TEST(searches_obey_their_limits_and_tell_their_work) {
    program_result *r = run_expecting(
        LEARN_DIGITS "--max-loss 0.2 --search adam --max-evaluations 5 --json -o @s.yaml", 0);
    json_check(r->out);
    double steps = 5 * 3 * 32.0 / json_figure(r->out, "learn_count");
    ck_assert_double_eq_tol(json_figure(r->out, "passes_shape"), 3 + steps, 1e-9);
    ck_assert_double_gt(json_figure(r->out, "passes"), 3 + steps);
    run_expecting("diff @s.yaml @s.yaml", 0);
    r = run_expecting(LEARN_DIGITS "--max-loss 0.2 --max-evaluations 5 -o @s.yaml", 2);
    ck_assert_ptr_nonnull(strstr(r->err, "fixed number of passes"));
}
END_TEST

START_TEST(a_dry_run_checks_everything_and_writes_nothing) {
    program_result *r =
        run_expecting(LEARN_DIGITS "--max-drop 2 --dry-run --json -o @none/s.yaml", 0);
    json_check(r->out);
    ck_assert_double_eq(json_figure(r->out, "numbers"), 8);
    ck_assert_double_eq(json_figure(r->out, "check_count"), DIGITS_SOME / 2);
    r = run_expecting(LEARN_DIGITS "--max-drop 2 --granularity channel --dry-run -o @none/s.yaml",
                      0);
    ck_assert_ptr_nonnull(strstr(r->out, "282 numbers"));
    ck_assert_ptr_nonnull(strstr(r->out, "search    stochastic, on top"));
    r = run_expecting(LEARN_DIGITS "--max-loss 0.2 --dry-run -o @none/s.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r->out, "search    marginal\n"));
    r = run_expecting(LEARN_DIGITS "--max-drop 2 --search bfgs2 --dry-run -o @none/s.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r->out, "search    bfgs2"));
    ck_assert(!in_folder_exists("none"));
    write_wrong_label(in_folder("wrong.npz"));
    r = run_expecting("learn " MODEL " --data @wrong.npz --hardware thermal --max-drop 2 --dry-run",
                      3);
    ck_assert_ptr_nonnull(strstr(r->err, "label 10"));
    run_expecting(LEARN_DIGITS "--max-drop 0.1 --dry-run -o @s.yaml", 4);
    run_expecting(LEARN_DIGITS "--max-drop 2 --fix nothing=3 --dry-run -o @s.yaml", 2);
}
END_TEST

START_TEST(budgets_that_cannot_be_met_end_with_4_and_missed_ones_with_5) {
    program_result *r = run_expecting(LEARN_DIGITS "--energy 0.01aJ/MAC -o @s.yaml", 4);
    ck_assert_ptr_nonnull(strstr(r->err, "feasible"));
    ck_assert(!in_folder_exists("s.yaml"));
    r = run_expecting(LEARN_DIGITS "--max-drop 5 --energy 0.2aJ/MAC --trials 1 -o @s.yaml --json",
                      5);
    ck_assert_ptr_nonnull(strstr(r->err, "energy budget"));
    json_check(r->out);
    ck_assert(in_folder_exists("s.yaml"));
    ck_assert_int_eq(strncmp(json_at(r->out, "status"), "\"unmet\"", 7), 0);
}
END_TEST

/* ---- while it works ---- */

/* Start, wait for the first words on stderr that contain `sign`, interrupt. */
static int interrupt_at(const char *line, const char *sign, int signal) {
    int ends[2];
    static char text[PROGRAM_TEXT];
    size_t size = 0;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    int out = program_stream(in_folder("stdout"));
    pid_t child = program_start(line, (int[]){out, ends[1]});
    close(ends[1]);
    close(out);
    text[0] = '\0';
    while (!strstr(text, sign)) {
        ssize_t got = read(ends[0], text + size, sizeof text - 1 - size);
        ck_assert_msg(got > 0, "ended before '%s': %s", sign, text);
        size += (size_t)got;
        text[size] = '\0';
    }
    kill(child, signal);
    ssize_t got;
    while ((got = read(ends[0], text + size, sizeof text - 1 - size)) > 0) size += (size_t)got;
    text[size] = '\0';
    close(ends[0]);
    ck_assert_msg(strstr(text, "interrupted"), "no word of the interruption: %s", text);
    return program_wait(child);
}

#define LONG LEARN_DIGITS "--max-drop 2 --trials 2000 --progress json -o @s.yaml"

START_TEST(an_interrupted_learn_keeps_what_it_has_and_ends_with_130) {
    ck_assert_int_eq(interrupt_at(LONG, "noisy passes", _i ? SIGTERM : SIGINT), 130);
    dp_schedule schedule = {0};
    ck_dp_ok(dp_schedule_read(&schedule, in_folder("s.yaml"), &err));
    ck_assert_str_eq(schedule.status, "interrupted");
    dp_schedule_clear(&schedule);
}
END_TEST

/* Stages that compute anything show up as progress; a stage from the cache does not. */
START_TEST(finished_passes_are_found_again_and_damaged_ones_made_anew) {
    run_expecting(QUICK "--cache none -o @1.yaml", 0);
    run_expecting(QUICK "--cache @kept -o @2.yaml", 0);
    program_result *r = run_expecting(QUICK "--cache @kept --progress json -o @3.yaml", 0);
    ck_assert_int_eq(count_text(r->err, "\"stage\""), 0);
    ck_assert(same_file("1.yaml", "2.yaml"));
    ck_assert(same_file("1.yaml", "3.yaml"));
    char command[512];
    snprintf(
        command, sizeof command,
        "for f in %s/*.pass; do printf x | dd of=$f bs=1 seek=40 conv=notrunc status=none; done",
        in_folder("kept"));
    ck_assert_int_eq(system(command), 0);
    r = run_expecting(QUICK "--cache @kept --progress json -o @4.yaml", 0);
    ck_assert_int_gt(count_text(r->err, "\"stage\""), 0);
    ck_assert(same_file("1.yaml", "4.yaml"));
}
END_TEST

START_TEST(an_interrupted_learn_goes_on_from_its_last_pass) {
    ck_assert_int_eq(
        interrupt_at(QUICK "--threads 1 --progress json -o @s.yaml", "sensitivities", SIGINT), 130);
    program_result *r = run_expecting(QUICK "--progress json -o @s.yaml", 0);
    ck_assert_int_eq(count_text(r->err, "\"stage\": \"survey\""), 0);
    run_expecting(QUICK "--cache none -o @t.yaml", 0);
    ck_assert(same_file("s.yaml", "t.yaml"));
}
END_TEST

START_TEST(progress_is_json_lines_for_programs) {
    program_result *r = run_expecting("inspect " MODEL " --data " SAMPLES " --progress json", 0);
    ck_assert_ptr_nonnull(strstr(r->err, "\"stage\": \"survey\""));
    char *line = strtok(r->err, "\n");
    for (; line; line = strtok(NULL, "\n")) {
        char copy[256];
        snprintf(copy, sizeof copy, "%s", line);
        json_check(copy);
        ck_assert_double_eq(json_figure(copy, "total"), 900);
    }
}
END_TEST

/* What a terminal gets on stderr. */
static void on_terminal(const char *line, char *text) {
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC),
        out = program_stream(in_folder("stdout"));
    ck_assert(master >= 0 && grantpt(master) == 0 && unlockpt(master) == 0);
    int terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(terminal, 0);
    pid_t child = program_start(line, (int[]){out, terminal});
    close(terminal);
    close(out);
    size_t size = 0;
    ssize_t got;
    while ((got = read(master, text + size, PROGRAM_TEXT - 1 - size)) > 0) size += (size_t)got;
    text[size] = '\0';
    close(master);
    ck_assert_int_eq(program_wait(child), 0);
}

START_TEST(a_terminal_gets_a_bar_without_colours_where_they_are_not_wanted) {
    static char text[PROGRAM_TEXT];
    const char *line = "inspect " MODEL " --data " SAMPLES;
    setenv("TERM", "xterm", 1);
    unsetenv("NO_COLOR");
    on_terminal(line, text);
    ck_assert(strstr(text, "\rsurvey") && strstr(text, "\033["));
    setenv("NO_COLOR", "1", 1);
    on_terminal(line, text);
    ck_assert(strstr(text, "\rsurvey") && !strstr(text, "\033["));
    on_terminal("inspect " MODEL " --progress never --data " SAMPLES, text);
    ck_assert_str_eq(text, "");
    on_terminal("inspect " MODEL " --quiet --data " SAMPLES, text);
    ck_assert_str_eq(text, "");
}
END_TEST

Suite *test_cli_work_suite(void) {
    Suite *suite = suite_create("cli_work");
    TCase *all = tcase_create("cli_work");
    tcase_add_checked_fixture(all, digits_open_folder, program_close_folder);
    tcase_add_test(all, sites_come_with_what_is_known_of_them);
    tcase_add_test(all, tables_fit_the_page_and_have_no_colours);
    tcase_add_test(all, clean_runs_are_as_right_as_where_the_network_was_trained);
    tcase_add_loop_test(all, whole_arrays_give_what_samples_give, 0, 2);
    tcase_add_test(all, outputs_do_not_depend_on_threads);
    tcase_add_test(all, learn_writes_a_schedule_that_eval_measures);
    tcase_add_test(all, equal_seeds_give_equal_bytes_at_any_number_of_threads);
    tcase_add_test(all, the_table_of_layers_is_100_columns_wide_at_most);
    tcase_add_test(all, uniform_precision_and_samples_without_labels_can_be_measured);
    tcase_add_test(all, excluded_and_fixed_sites_are_honoured);
    tcase_add_test(all, searches_obey_their_limits_and_tell_their_work);
    tcase_add_test(all, a_dry_run_checks_everything_and_writes_nothing);
    tcase_add_test(all, budgets_that_cannot_be_met_end_with_4_and_missed_ones_with_5);
    tcase_add_loop_test(all, an_interrupted_learn_keeps_what_it_has_and_ends_with_130, 0, 2);
    tcase_add_test(all, finished_passes_are_found_again_and_damaged_ones_made_anew);
    tcase_add_test(all, an_interrupted_learn_goes_on_from_its_last_pass);
    tcase_add_test(all, progress_is_json_lines_for_programs);
    tcase_add_test(all, a_terminal_gets_a_bar_without_colours_where_they_are_not_wanted);
    tcase_set_timeout(all, 240);
    suite_add_tcase(suite, all);
    return suite;
}
