/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What schedules keep of the vectors that operands are conditioned with: in their text, or in a file beside it. */
#include <check.h>
#include <dirent.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/sha256.h"
#include "dynaprec/npz.h"
#include "dynaprec/schedule.h"
#include "oracle.h"
#include "scratch.h"
#include "suites.h"

enum { SMALL = 32, LARGE = 33, HUGE_ONE = 1000 };

/* Owned by the sample, never by the schedule: it is not cleared. */
static float mu[HUGE_ONE], alpha[HUGE_ONE];
static dp_conditioned_site sites[4];
static double noise[4] = {0.61, 1.0 / 3, 0.5, 0.9};
static dp_schedule sample;

static void setup(void) {
    scratch_setup();
    uint64_t state = 5;
    for (int j = 0; j < HUGE_ONE; j++) {
        mu[j] = oracle_random(&state) / 3;
        alpha[j] = 0.25F + fabsf(oracle_random(&state)) / 7;
    }
    mu[3] = -0.0F;
    mu[4] = 1e-30F;
    alpha[2] = 3e38F;
    sites[0] = (dp_conditioned_site){"/layer/Conv \"0\"", SMALL, mu, alpha, false};
    sites[1] = (dp_conditioned_site){"fc", LARGE, mu, alpha, false};
    sites[2] = (dp_conditioned_site){"scores", 0, NULL, NULL, true};
    sites[3] = (dp_conditioned_site){"wide", HUGE_ONE, NULL, alpha, false};
    char *empty = (char *)"";
    sample = (dp_schedule){.version = empty,
                           .search = empty,
                           .model_file = empty,
                           .model_sha256 = empty,
                           .data_file = empty,
                           .data_sha256 = empty,
                           .check_file = empty,
                           .check_sha256 = empty,
                           .goal = empty,
                           .status = (char *)"accepted",
                           .saving = {NAN, NAN, NAN},
                           .conditioning = {4, sites},
                           .conditioned_noise = noise};
    ck_dp_ok(dp_hardware_read(&sample.hardware, "examples/hardware/homodyne.yaml", &err));
}

static void check_vector(const float *a, const float *b, int64_t count) {
    ck_assert_int_eq(a != NULL, b != NULL);
    if (a) ck_assert(memcmp(a, b, (size_t)count * sizeof *a) == 0);
}

static void check_back(const char *path) {
    dp_schedule back;
    ck_dp_ok(dp_schedule_read(&back, path, &err));
    ck_assert_int_eq(back.conditioning.count, sample.conditioning.count);
    for (int i = 0; i < back.conditioning.count; i++) {
        const dp_conditioned_site *a = &back.conditioning.sites[i], *b = &sites[i];
        ck_assert_str_eq(a->site, b->site);
        ck_assert_int_eq(a->inputs, b->inputs);
        ck_assert_int_eq(a->positions, b->positions);
        check_vector(a->mu, b->mu, b->inputs);
        check_vector(a->alpha, b->alpha, b->inputs);
        ck_assert_double_eq(back.conditioned_noise[i], noise[i]);
    }
    dp_schedule_clear(&back);
}

/* The name of the only file of vectors in the folder; "": there is none. */
static const char *vector_file(void) {
    static char name[256];
    int found = 0;
    name[0] = '\0';
    DIR *folder = opendir(scratch("."));
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strstr(entry->d_name, ".npz")) continue;
        snprintf(name, sizeof name, "%s", entry->d_name);
        found++;
    }
    closedir(folder);
    ck_assert_int_le(found, 1);
    return name;
}

START_TEST(come_back_bit_by_bit) {
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_assert_ptr_nonnull(strstr(vector_file(), "conditioning-"));
    check_back(scratch("s.yaml"));
}
END_TEST

START_TEST(small_ones_need_no_file) {
    size_t size;
    sample.conditioning.count = 1;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_assert_str_eq(vector_file(), "");
    check_back(scratch("s.yaml"));
    char *text = read_whole(scratch("s.yaml"), &size);
    ck_assert_ptr_nonnull(strstr(text, "\n  file: \"\"\n  sha256: \"\"\n  sites:\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n      mu: ["));
    free(text);
}
END_TEST

START_TEST(nothing_done_leaves_no_trace) {
    size_t size;
    sample.conditioning.count = 0;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    char *text = read_whole(scratch("s.yaml"), &size);
    ck_assert_ptr_null(strstr(text, "\nconditioning:"));
    check_back(scratch("s.yaml"));
    free(text);
}
END_TEST

START_TEST(large_ones_are_shared_by_schedules_that_agree) {
    size_t size[2];
    char digest[DP_SHA256_HEX], want[64];
    ck_dp_ok(dp_schedule_write(&sample, scratch("a.yaml"), &err));
    sample.seed = 0;
    ck_dp_ok(dp_schedule_write(&sample, scratch("b.yaml"), &err));
    const char *file = vector_file();
    ck_dp_ok(dp_sha256_file(scratch(file), digest, &err));
    snprintf(want, sizeof want, "conditioning-%.16s.npz", digest);
    ck_assert_str_eq(file, want);
    char *a = read_whole(scratch("a.yaml"), &size[0]), *b = read_whole(scratch("b.yaml"), &size[1]);
    ck_assert(size[0] == size[1] && memcmp(a, b, size[0]) == 0);
    ck_assert_ptr_nonnull(strstr(a, digest));
    free(a);
    free(b);
    dp_npz npz;
    ck_dp_ok(dp_npz_read(&npz, scratch(file), &err));
    ck_assert_uint_eq(npz.count, 3);
    ck_assert_ptr_nonnull(dp_npz_find(&npz, "mu.1"));
    ck_assert_int_eq(dp_npz_find(&npz, "alpha.3")->dim[0], HUGE_ONE);
    dp_npz_clear(&npz);
}
END_TEST

/* There is nothing beside a pipe. */
START_TEST(to_a_pipe_they_all_go_inline) {
    static char text[1 << 17];
    int ends[2];
    ck_assert_int_eq(pipe(ends), 0);
    char path[64];
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    sample.conditioning.count = 3; /* what fits into a pipe */
    ck_dp_ok(dp_schedule_write(&sample, path, &err));
    close(ends[1]);
    size_t size = 0;
    for (ssize_t got; (got = read(ends[0], text + size, sizeof text - size)) > 0;)
        size += (size_t)got;
    close(ends[0]);
    check_back(scratch_write("s.yaml", text, size));
}
END_TEST

/* ---- what is refused ---- */

/* Reading after the first `from` has become `to`. */
static dp_status read_edited(const char *from, const char *to, dp_error *why) {
    size_t size;
    dp_schedule back;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    char *text = read_whole(scratch("s.yaml"), &size), *at = strstr(text, from);
    ck_assert_msg(at != NULL, "there is no '%s'", from);
    char *edited = malloc(size + strlen(to) + 1);
    snprintf(edited, size + strlen(to) + 1, "%.*s%s%s", (int)(at - text), text, to,
             at + strlen(from));
    dp_status status =
        dp_schedule_read(&back, scratch_write("edited.yaml", edited, strlen(edited)), why);
    ck_assert(status == DP_OK || (!back.conditioning.sites && !back.conditioned_noise));
    dp_schedule_clear(&back);
    free(text);
    free(edited);
    return status;
}

static const struct edit {
    const char *from, *to, *why;
} edits[] = {
    {"file: \"conditioning", "file: \"../conditioning", "the name of a file in the same folder"},
    {"file: \"conditioning", "file: \"missing", "missing"},
    {"file: \"conditioning", "path: \"conditioning", "a list, or the name of an array"},
    {"mu: \"mu.1\"", "mu: \"alpha.3\"", "no float32 array 'alpha.3' of 33 entries"},
    {"mu: \"mu.1\"", "mu: \"mu.7\"", "the name of an array"},
    {"inputs: 33", "inputs: 34", "no float32 array 'mu.1' of 34 entries"},
    {"inputs: 32", "inputs: 31", "32 entries where the site has 31 inputs"},
    {"mu: \"mu.1\"", "mu: 3.0", "conditioning.sites[1].mu"},
    {"alpha: [", "alpha: [-", "not positive"},
    {"positions: true", "positions: 1", "positions"},
    {"noise: 0.61", "noise: -0.61", "noise"},
    {"noise: 0.61", "nois: 0.61", "nois"},
};
enum { EDITS = sizeof edits / sizeof *edits };

START_TEST(what_does_not_fit_is_refused_by_name) {
    ck_dp_fails(read_edited(edits[_i].from, edits[_i].to, &err), DP_EFORMAT, edits[_i].why);
    ck_dp_fails(read_edited(edits[_i].from, edits[_i].to, &err), DP_EFORMAT, "edited.yaml:");
}
END_TEST

START_TEST(another_file_under_that_name_is_refused) {
    size_t size;
    dp_schedule back;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    const char *name = vector_file();
    char *bytes = read_whole(scratch(name), &size);
    for (size_t at = 0; at < size; at += size / 50 + 1) {
        bytes[at] ^= 1;
        scratch_write(name, bytes, size);
        ck_dp_fails(dp_schedule_read(&back, scratch("s.yaml"), &err), DP_EFORMAT,
                    "is not the file that this schedule was written with");
        ck_dp_fails(dp_schedule_read(&back, scratch("s.yaml"), &err), DP_EFORMAT, name);
        bytes[at] ^= 1;
    }
    unlink(scratch(name));
    ck_dp_fails(dp_schedule_read(&back, scratch("s.yaml"), &err), DP_EFORMAT, name);
    free(bytes);
}
END_TEST

START_TEST(a_folder_that_cannot_be_written_is_named) {
    ck_dp_fails(dp_schedule_write(&sample, scratch("none/s.yaml"), &err), DP_EIO, "none/s.yaml");
}
END_TEST

Suite *test_vectors_suite(void);
Suite *test_vectors_suite(void) {
    Suite *suite = suite_create("vectors");
    TCase *tests = tcase_create("vectors of a schedule");
    tcase_add_checked_fixture(tests, setup, scratch_teardown);
    tcase_add_test(tests, come_back_bit_by_bit);
    tcase_add_test(tests, small_ones_need_no_file);
    tcase_add_test(tests, nothing_done_leaves_no_trace);
    tcase_add_test(tests, large_ones_are_shared_by_schedules_that_agree);
    tcase_add_test(tests, to_a_pipe_they_all_go_inline);
    tcase_add_loop_test(tests, what_does_not_fit_is_refused_by_name, 0, EDITS);
    tcase_add_test(tests, another_file_under_that_name_is_refused);
    tcase_add_test(tests, a_folder_that_cannot_be_written_is_named);
    suite_add_tcase(suite, tests);
    return suite;
}
