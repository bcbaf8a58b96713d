/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program is killed while it learns, and started again: it computes only what it had not finished, and writes the same bytes. */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dynaprec/npz.h"
#include "program.h"
#include "scratch.h"
#include "suites.h"

#define LEARN                                                                                      \
    "learn calib_data/digits.onnx --data @some.npz --hardware homodyne "                           \
    "--max-loss 0.2 --granularity channel --trials 1 --threads 1 --progress json "

enum { SOME = 150 };

static void open_folder(void) {
    program_open_folder();
    dp_npz all = {0};
    ck_dp_ok(dp_npz_read(&all, "calib_data/digits_test.npz", &err));
    for (size_t i = 0; i < all.count; i++)
        if (all.arrays[i].tensor.dim[0] > SOME) all.arrays[i].tensor.dim[0] = SOME;
    ck_dp_ok(dp_npz_write(in_folder("some.npz"), all.arrays, all.count, &err));
    dp_npz_clear(&all);
}

/* A stage begins with such a line. */
#define BEGINS(stage) "{\"stage\": \"" stage "\", \"done\": 0,"

/* Start, wait until it has said `sign` `times` times, kill it. False: it ended before that. */
static bool kill_at(const char *line, const char *sign, int times) {
    static char text[PROGRAM_TEXT];
    int ends[2];
    size_t size = 0;
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    int out = program_stream(in_folder("stdout"));
    pid_t child = program_start(line, (int[]){out, ends[1]});
    close(ends[1]);
    close(out);
    text[0] = '\0';
    while (count_text(text, sign) < times) {
        ssize_t got = read(ends[0], text + size, sizeof text - 1 - size);
        if (got <= 0) break;
        size += (size_t)got;
        text[size] = '\0';
    }
    kill(child, SIGKILL);
    close(ends[0]);
    return program_wait(child) < 0;
}

static void ck_same_bytes(const char *a, const char *b) {
    size_t one_size, other_size;
    char *one = read_whole(in_folder(a), &one_size), *other = read_whole(in_folder(b), &other_size);
    ck_assert(one_size > 0 && one_size == other_size && memcmp(one, other, one_size) == 0);
    free(one);
    free(other);
}

static int stages_in(const char *text, const char *which) {
    char sign[80];
    snprintf(sign, sizeof sign, "{\"stage\": \"%s\", \"done\": 0,", which);
    return count_text(text, sign);
}

START_TEST(killed_behind_its_sensitivities_it_goes_on_from_there) {
    static const char *const stages[] = {"survey", "clean outputs", "sensitivities",
                                         "noisy passes"};
    enum { STAGES = 4 };
    program_result *r = run_expecting(LEARN "--cache none -o @whole.yaml", 0);
    int all[STAGES], then[STAGES];
    for (int i = 0; i < STAGES; i++) all[i] = stages_in(r->err, stages[i]);
    /* clean outputs of the learn set come with the survey */
    ck_assert(all[0] == 2 && all[1] == 1 && all[2] == 2 && all[3] > 4);
    ck_assert(kill_at(LEARN "-o @s.yaml", BEGINS("noisy passes"), 1));
    ck_assert(!in_folder_exists("s.yaml"));
    r = run_expecting(LEARN "-o @s.yaml", 0);
    for (int i = 0; i < STAGES; i++) then[i] = stages_in(r->err, stages[i]);
    ck_assert(then[0] == 0 && then[1] == 0 && then[2] == all[2] - 1);
    ck_assert(then[3] == all[3] || then[3] == all[3] - 1);
    ck_same_bytes("whole.yaml", "s.yaml");
}
END_TEST

START_TEST(killed_again_and_again_it_comes_to_the_same_end) {
    run_expecting(LEARN "--cache none -o @whole.yaml", 0);
    int kills = 0;
    while (kill_at(LEARN "-o @s.yaml", "\"stage\"", 6)) ck_assert_int_lt(++kills, 200);
    ck_assert_int_gt(kills, 2);
    ck_same_bytes("whole.yaml", "s.yaml");
}
END_TEST

START_TEST(a_cache_that_was_asked_for_has_to_be_one) {
    program_result *r = run_expecting(LEARN "--cache /proc/none -o @s.yaml", 2);
    ck_assert_ptr_nonnull(strstr(r->err, "'/proc/none' cannot be made"));
    run_expecting(LEARN "--cache @deep/er/folder -o @s.yaml", 0);
    ck_assert(in_folder_exists("deep/er/folder"));
    ck_assert(!in_folder_exists(".dynaprec-cache"));
}
END_TEST

Suite *test_restart_suite(void) {
    Suite *suite = suite_create("restart");
    TCase *tcase = tcase_create("restart");
    tcase_add_checked_fixture(tcase, open_folder, program_close_folder);
    tcase_add_test(tcase, killed_behind_its_sensitivities_it_goes_on_from_there);
    tcase_add_test(tcase, killed_again_and_again_it_comes_to_the_same_end);
    tcase_add_test(tcase, a_cache_that_was_asked_for_has_to_be_one);
    tcase_set_timeout(tcase, 240);
    suite_add_tcase(suite, tcase);
    return suite;
}
