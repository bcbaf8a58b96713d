/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The command line from outside: usage, help, files that cannot be read or written. */
#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "program.h"
#include "suites.h"

#define MODEL        "calib_data/digits.onnx"
#define SAMPLES      "calib_data/digits_learn.npz"
#define HARDWARE     "examples/hardware/homodyne.yaml"
#define LEARN_DIGITS "learn " MODEL " --data " SAMPLES " --hardware " HARDWARE " "

/* ---- usage ---- */

#define LEARN "learn m.onnx --data d.npz --hardware h "

static const struct {
    const char *line, *message;
} wrong[] = {
    {"lern m.onnx", "no verb 'lern'; did you mean 'learn'"},
    {"sing", "no verb 'sing'"},
    {"help sing", "no verb 'sing'"},
    {"inspect m.onnx --schedule s.yaml", "--schedule asks for samples"},
    {"inspect m.onnx --sensitivity", "--sensitivity asks for samples"},
    {"--loud", "no verb '--loud'"},
    {"learn --max-dorp 2", "unknown option '--max-dorp'; did you mean '--max-drop'?"},
    {"learn --max-drpo=2", "did you mean '--max-drop'?"},
    {"learn --zzz", "unknown option '--zzz'"},
    {"learn -z", "unknown option '-z'"},
    {"eval --max-drop 2", "--max-drop is an option, but not of eval"},
    {"learn", "MODEL.onnx is missing"},
    {"learn m.onnx", "--data FILE.npz is missing"},
    {"learn m.onnx --data d.npz", "--hardware NAME|FILE.yaml is missing"},
    {LEARN, "a budget is missing"},
    {LEARN "--max-drop", "--max-drop asks for a value"},
    {LEARN "--max-drop --json", "'--json' follows"},
    {LEARN "--json=yes", "--json takes no value"},
    {LEARN "second.onnx", "'second.onnx' is one argument too many"},
    {LEARN "-- --json", "'--json' is one argument too many"},
    {LEARN "--max-drop 1 --max-drop 2", "--max-drop is given twice"},
    {LEARN "--max-drop 1 --check c --check-fraction 0.3", "contradict"},
    {LEARN "--max-drop two", "'two' is not a number"},
    {LEARN "--max-drop 0", "0 to 100"},
    {LEARN "--max-drop 101", "0 to 100"},
    {LEARN "--max-loss -1", "above 0"},
    {LEARN "--energy 3", "2.7aJ/MAC"},
    {LEARN "--energy 3kJ", "2.7aJ/MAC"},
    {LEARN "--energy 0J", "2.7aJ/MAC"},
    {LEARN "--energy J", "2.7aJ/MAC"},
    {LEARN "--latency 3", "2x (of the time"},
    {LEARN "--latency 0x", "2x (of the time"},
    {LEARN "--latency 3min", "40us (a sample"},
    {LEARN "--granularity row", "layer, channel or tile:N"},
    {LEARN "--granularity tile:", "layer, channel or tile:N"},
    {LEARN "--granularity tile:0", "layer, channel or tile:N"},
    {LEARN "--fix conv", "GLOB=K"},
    {LEARN "--fix conv=0", "GLOB=K"},
    {LEARN "--fix =3", "GLOB=K"},
    {LEARN "--min-repetitions 0", "above 0"},
    {LEARN "--max-repetitions many", "'many' is not a number"},
    {LEARN "--search random", "'random' is not one of"},
    {LEARN "--search bfgs2 --max-evaluations 0", "'0' is not allowed"},
    {LEARN "--search bfgs2 --max-seconds 0", "'0' is not allowed"},
    {LEARN "--search bfgs2 --tolerance 1", "'1' is not allowed"},
    {LEARN "--objective l2", "kl, cross-entropy"},
    {LEARN "--progress much", "auto, never, json"},
    {LEARN "--trials 0", "1 to"},
    {LEARN "--trials 1.5", "not a whole number"},
    {LEARN "--seed -1", "whole number"},
    {LEARN "--seed 18446744073709551616", "whole number"},
    {LEARN "--threads 0", "1 to 1024"},
    {LEARN "--confidence 0.5", "0.5 to 1"},
    {LEARN "--check-fraction 1", "0 to 1"},
    {LEARN "--mean 1,,2", "one a channel"},
    {LEARN "--std 0", "above 0"},
    {LEARN "--output-name=", "is empty"},
    {"eval m.onnx --data d.npz", "--schedule FILE.yaml is missing"},
    {"eval m.onnx --data d.npz --repetitions 4", "--hardware is missing"},
    {"eval m.onnx --data d.npz --repetitions 4 --schedule s --hardware h", "contradict"},
    {"run m.onnx --inputs i.npz", "--output FILE.npz is missing"},
    {"run m.onnx --inputs i.npz -o o.npz --whole --mean 1", "contradict"},
    {"run m.onnx --inputs i.npz -oo.npz --whole --threads 2", "contradict"},
    /* what only the files can tell */
    {"inspect " MODEL " --output-name logit", "did you mean 'logits'?"},
    {"inspect " MODEL " --data " SAMPLES " --mean 1,2", "mean"},
    {"inspect " MODEL " --exclude nothing*", "no site matches 'nothing*'"},
    {"eval " MODEL " --data " SAMPLES " --hardware " HARDWARE " --repetitions 2.5",
     "cannot be set"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE
     " --fix nothing*=3 -o @s",
     "no site matches 'nothing*'"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE " --fix *=0.5 -o @s",
     "levels that do not include it"},
    {"learn " MODEL " --data " SAMPLES " --latency 40us --hardware " HARDWARE " -o @s",
     "hardware 'homodyne' does not say how long an operation takes (latency.operation_s)"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE
     " --group nothing* -o @s",
     "no site matches the group 'nothing*'"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE
     " --group * --group *1* -o @s",
     "is in two groups, '*' and '*1*'"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE
     " --min-repetitions 1.5 -o @s",
     "min-repetitions 1.5: hardware 'homodyne' allows 1 to 65536, whole numbers"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE
     " --min-repetitions 9 --max-repetitions 8 -o @s",
     "min-repetitions 9 is above max-repetitions 8"},
    {"learn " MODEL " --data " SAMPLES " --max-drop 2 --hardware " HARDWARE " --check " SAMPLES,
     "has the content of --data"},
};
enum { WRONG = sizeof wrong / sizeof *wrong };

START_TEST(wrong_usage_ends_with_2_and_says_where_help_is) {
    program_result *r = run_expecting(wrong[_i].line, 2);
    ck_assert_msg(strstr(r->err, wrong[_i].message), "dynaprec %s: message '%s' lacks '%s'",
                  wrong[_i].line, r->err, wrong[_i].message);
    ck_assert_msg(strstr(r->err, "--help'."), "no pointer to help: %s", r->err);
    ck_assert_str_eq(r->out, "");
}
END_TEST

START_TEST(no_arguments_show_the_help_and_are_wrong_usage) {
    program_result *r = run_expecting("", 2);
    ck_assert_ptr_nonnull(strstr(r->err, "inspect"));
    ck_assert_str_eq(r->out, "");
}
END_TEST

/* ---- help ---- */

static const struct {
    const char *verb, *options[40];
} taken[] = {
    {"learn",
     {"--data",
      "--hardware",
      "--output",
      "--check",
      "--check-fraction",
      "--mean",
      "--std",
      "--output-name",
      "--max-drop",
      "--max-loss",
      "--energy",
      "--granularity",
      "--fix",
      "--exclude",
      "--condition",
      "--search",
      "--max-evaluations",
      "--max-seconds",
      "--tolerance",
      "--objective",
      "--trials",
      "--confidence",
      "--seed",
      "--threads",
      "--dry-run",
      "--cache",
      "--json",
      "--progress",
      "--quiet",
      "--min-repetitions",
      "--max-repetitions",
      "--group",
      "--latency"}},
    {"eval",
     {"--data", "--schedule", "--hardware", "--repetitions", "--mean", "--std", "--output-name",
      "--exclude", "--trials", "--confidence", "--seed", "--threads", "--json", "--progress",
      "--quiet"}},
    {"run", {"--inputs", "--output", "--mean", "--std", "--whole", "--threads", "--quiet"}},
    {"inspect",
     {"--data", "--hardware", "--schedule", "--mean", "--std", "--output-name", "--exclude",
      "--sensitivity", "--seed", "--threads", "--json", "--progress", "--quiet"}},
    {"diff", {"--json", "--quiet"}},
};

/* Nothing is missing, and nothing is there that is not listed here. */
START_TEST(help_names_every_option) {
    char line[64];
    snprintf(line, sizeof line, "%s --help", taken[_i].verb);
    const char *help = run_expecting(line, 0)->out;
    int count = 0;
    for (const char *const *option = taken[_i].options; *option; option++, count++) {
        char start_of_row[64];
        bool letter = !strcmp(*option, "--output");
        snprintf(start_of_row, sizeof start_of_row, letter ? "\n  -o, %s " : "\n  %s ", *option);
        ck_assert_msg(strstr(help, start_of_row), "%s: no %s in\n%s", taken[_i].verb, *option,
                      help);
    }
    ck_assert_int_eq(count_text(help, "\n  --") + count_text(help, "\n  -o, "), count);
    ck_assert_ptr_nonnull(strstr(help, "\nExample:\n  dynaprec "));
    for (const char *at = help; *at; at += strcspn(at, "\n") + 1)
        ck_assert_msg(strcspn(at, "\n") <= 120, "a line is too long: %.120s", at);
}
END_TEST

START_TEST(help_is_found_in_every_usual_way) {
    static const char *const ways[] = {"help", "--help", "-h"};
    char line[64], verb[64];
    const char *help = run_expecting(ways[_i], 0)->out;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        snprintf(line, sizeof line, "\n  %s ", taken[i].verb);
        ck_assert_msg(strstr(help, line), "%s does not list %s", ways[_i], taken[i].verb);
    }
    static char first[PROGRAM_TEXT];
    snprintf(line, sizeof line, "help %s", "eval");
    snprintf(verb, sizeof verb, "eval m.onnx --json %s", _i == 0 ? "--help" : ways[_i]);
    snprintf(first, sizeof first, "%s", run_expecting(line, 0)->out);
    ck_assert_str_eq(run_expecting(verb, 0)->out, first);
}
END_TEST

START_TEST(version_is_one_line_and_the_kernels_another) {
    const char *out = run_expecting("--version", 0)->out;
    ck_assert_int_eq(strncmp(out, "dynaprec " DYNAPREC_VERSION "\n", 10 + strlen(DYNAPREC_VERSION)),
                     0);
}
END_TEST

START_TEST(openblas_kernels_fit_the_processor_unless_the_user_chose) {
#ifdef __x86_64__
    setenv("OPENBLAS_CORETYPE", "Prescott", 1);
    ck_assert_ptr_nonnull(strstr(run_expecting("--version", 0)->out, "Prescott"));
    unsetenv("OPENBLAS_CORETYPE");
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        ck_assert_ptr_null(strstr(run_expecting("--version", 0)->out, "Prescott"));
    if (__builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        ck_assert_ptr_null(strstr(run_expecting("--version", 0)->out, "Haswell"));
#endif
}
END_TEST

/* ---- files ---- */

static void copy_part(const char *from, const char *to, double part) {
    struct stat info;
    ck_assert_int_eq(stat(from, &info), 0);
    size_t size = (size_t)((double)info.st_size * part);
    char *bytes = malloc(size + 1);
    FILE *in = fopen(from, "rb"), *out = fopen(in_folder(to), "wb");
    ck_assert_uint_eq(fread(bytes, 1, size, in), size);
    ck_assert_uint_eq(fwrite(bytes, 1, size, out), size);
    fclose(in);
    ck_assert_int_eq(fclose(out), 0);
    free(bytes);
}

static const struct {
    const char *line, *message;
} unreadable[] = {
    {"inspect @none.onnx", "none.onnx"},
    {"inspect @cut.onnx", "cut.onnx"},
    {"inspect @empty.onnx", "empty.onnx"},
    {"inspect README.md", "README.md: not an ONNX model"},
    {"inspect " MODEL " --data @none.npz", "none.npz"},
    {"inspect " MODEL " --data @cut.npz", "cut.npz"},
    {"inspect " MODEL " --data " MODEL, "digits.onnx"},
    {"inspect " MODEL " --hardware homodine", "presets: homodyne"},
    {"inspect " MODEL " --hardware README.md", "README.md"},
    {"inspect " MODEL " --hardware @none.yaml", "none.yaml"},
    {"eval " MODEL " --data " SAMPLES " --schedule @none.yaml", "none.yaml"},
    {"eval " MODEL " --data " SAMPLES " --schedule " HARDWARE, "homodyne.yaml"},
    {"run " MODEL " --inputs @cut.npz -o @o.npz", "cut.npz"},
    {"run " MODEL " --inputs @cut.npz -o @o.npz --whole", "cut.npz"},
    {"run " MODEL " --inputs tests/data/npz/small.npz -o @o.npz", "'x'"},
    {"run " MODEL " --inputs tests/data/npz/none.npz -o @o.npz --whole", "no array is given"},
};
enum { UNREADABLE = sizeof unreadable / sizeof *unreadable };

START_TEST(unreadable_inputs_end_with_3_and_are_named) {
    copy_part(MODEL, "cut.onnx", 0.7);
    copy_part(MODEL, "empty.onnx", 0);
    copy_part(SAMPLES, "cut.npz", 0.7);
    program_result *r = run_expecting(unreadable[_i].line, 3);
    ck_assert_msg(strstr(r->err, unreadable[_i].message), "dynaprec %s: message '%s' lacks '%s'",
                  unreadable[_i].line, r->err, unreadable[_i].message);
    ck_assert_str_eq(r->out, "");
    ck_assert(!in_folder_exists("o.npz"));
}
END_TEST

static const char *const unwritable[] = {
    LEARN_DIGITS "--max-drop 2 -o /proc/none/s.yaml",
    LEARN_DIGITS "--max-drop 2 -o @",
    LEARN_DIGITS "--max-drop 2 -o @stdout/s.yaml",
    LEARN_DIGITS "--max-drop 2 --dry-run -o @stdout/s.yaml",
    LEARN_DIGITS "--max-drop 2 --dry-run -o @",
    LEARN_DIGITS "--max-drop 2 --dry-run -o /proc/none/s.yaml",
    "run " MODEL " --inputs " SAMPLES " -o @stdout/o.npz",
};
enum { UNWRITABLE = sizeof unwritable / sizeof *unwritable };

/* Only root may write to /proc's folder by its permissions, and cannot either. */
START_TEST(outputs_that_cannot_be_written_are_found_before_the_work) {
    if (_i == 5 && geteuid() == 0) return;
    program_result *r = run_expecting(unwritable[_i], 2);
    ck_assert_ptr_null(strstr(r->err, "learning from"));
    ck_assert_str_eq(r->out, "");
}
END_TEST

START_TEST(a_full_disk_is_a_failure_while_running) {
    program_result *r = run_expecting("run " MODEL " --inputs " SAMPLES " -o /dev/full", 1);
    ck_assert_ptr_nonnull(strstr(r->err, "/dev/full: cannot be written"));
    int full = open("/dev/full", O_WRONLY | O_CLOEXEC), err = program_stream(in_folder("stderr"));
    ck_assert_int_eq(program_wait(program_start("inspect " MODEL, (int[]){full, err})), 1);
    close(full);
    close(err);
}
END_TEST

Suite *test_cli_suite(void) {
    Suite *suite = suite_create("cli");
    TCase *all = tcase_create("cli");
    tcase_add_checked_fixture(all, program_open_folder, program_close_folder);
    tcase_add_loop_test(all, wrong_usage_ends_with_2_and_says_where_help_is, 0, WRONG);
    tcase_add_test(all, no_arguments_show_the_help_and_are_wrong_usage);
    tcase_add_loop_test(all, help_names_every_option, 0, sizeof taken / sizeof *taken);
    tcase_add_loop_test(all, help_is_found_in_every_usual_way, 0, 3);
    tcase_add_test(all, version_is_one_line_and_the_kernels_another);
    tcase_add_test(all, openblas_kernels_fit_the_processor_unless_the_user_chose);
    tcase_add_loop_test(all, unreadable_inputs_end_with_3_and_are_named, 0, UNREADABLE);
    tcase_add_loop_test(all, outputs_that_cannot_be_written_are_found_before_the_work, 0,
                        UNWRITABLE);
    tcase_add_test(all, a_full_disk_is_a_failure_while_running);
    tcase_set_timeout(all, 60);
    suite_add_tcase(suite, all);
    return suite;
}
