/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Files that are read whole, and that appear whole. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "scratch.h"
#include "suites.h"

START_TEST(a_file_appears_only_when_it_is_whole) {
    const char *path = scratch_write("out", "old", 3);
    dp_output output;
    size_t size;
    ck_dp_ok(dp_output_open(&output, path, &err));
    fputs("new text", output.stream);
    fflush(output.stream);
    char *before = read_whole(path, &size);
    ck_assert_str_eq(before, "old");
    ck_dp_ok(dp_output_close(&output, &err));
    char *after = read_whole(path, &size);
    ck_assert_str_eq(after, "new text");
    ck_assert_int_eq(scratch_count(), 1);
    free(before);
    free(after);
}
END_TEST

START_TEST(a_discarded_file_leaves_nothing) {
    dp_output output;
    ck_dp_ok(dp_output_open(&output, scratch("out"), &err));
    fputs("text", output.stream);
    ck_assert_int_eq(scratch_count(), 1);
    dp_output_discard(&output);
    ck_assert_int_eq(scratch_count(), 0);
    dp_output_discard(&output);
}
END_TEST

START_TEST(a_new_file_honours_the_umask) {
    dp_output output;
    struct stat made;
    mode_t old = umask(027);
    ck_dp_ok(dp_output_open(&output, scratch("out"), &err));
    ck_dp_ok(dp_output_close(&output, &err));
    umask(old);
    ck_assert_int_eq(stat(scratch("out"), &made), 0);
    ck_assert_int_eq(made.st_mode & 0777, 0640);
}
END_TEST

START_TEST(links_are_followed_and_stay_links) {
    scratch_write("target", "old", 3);
    ck_assert_int_eq(symlink("target", scratch("link")), 0);
    dp_output output;
    ck_dp_ok(dp_output_open(&output, scratch("link"), &err));
    fputs("new", output.stream);
    ck_dp_ok(dp_output_close(&output, &err));
    struct stat link;
    ck_assert(lstat(scratch("link"), &link) == 0 && S_ISLNK(link.st_mode));
    size_t size;
    char *text = read_whole(scratch("target"), &size);
    ck_assert_str_eq(text, "new");
    free(text);
}
END_TEST

START_TEST(devices_are_written_and_not_replaced) {
    dp_output output;
    struct stat device;
    ck_dp_ok(dp_output_open(&output, "/dev/null", &err));
    ck_dp_ok(dp_output_close(&output, &err));
    ck_assert(stat("/dev/null", &device) == 0 && S_ISCHR(device.st_mode));
}
END_TEST

START_TEST(a_full_disk_is_reported_when_the_file_is_finished) {
    dp_output output;
    ck_dp_ok(dp_output_open(&output, "/dev/full", &err));
    for (int i = 0; i < 100000; i++) fputs("text", output.stream);
    ck_dp_fails(dp_output_close(&output, &err), DP_EIO,
                "/dev/full: cannot be written: No space left on device");
}
END_TEST

START_TEST(files_that_cannot_be_had_are_named_with_the_reason) {
    dp_output output;
    char *text;
    size_t size;
    ck_dp_fails(dp_output_open(&output, scratch("no/such"), &err), DP_EIO,
                "no/such: cannot be written: No such file or directory");
    ck_dp_fails(dp_output_open(&output, scratch(""), &err), DP_EIO, "Is a directory");
    ck_dp_fails(dp_file_read(scratch("none"), 10, &text, &size, &err), DP_EIO,
                "none: cannot be read: No such file or directory");
    ck_dp_fails(dp_file_read(scratch(""), 10, &text, &size, &err), DP_EIO, "Is a directory");
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(files_are_read_up_to_a_limit) {
    enum { SIZE = 200001 };
    char *bytes = calloc(SIZE, 1), *back;
    size_t size;
    memset(bytes, 'x', SIZE);
    const char *path = scratch_write("big", bytes, SIZE);
    ck_dp_ok(dp_file_read(path, SIZE, &back, &size, &err));
    ck_assert_uint_eq(size, SIZE);
    ck_assert(!memcmp(bytes, back, SIZE) && !back[SIZE]);
    free(bytes);
    dp_free(back);
    ck_dp_fails(dp_file_read(path, SIZE - 1, &back, &size, &err), DP_EFORMAT,
                "longer than 200000 bytes");
    ck_assert_ptr_null(back);
}
END_TEST

Suite *test_file_suite(void) {
    Suite *suite = suite_create("files");
    TCase *tests = tcase_create("files");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, a_file_appears_only_when_it_is_whole);
    tcase_add_test(tests, a_discarded_file_leaves_nothing);
    tcase_add_test(tests, a_new_file_honours_the_umask);
    tcase_add_test(tests, links_are_followed_and_stay_links);
    tcase_add_test(tests, devices_are_written_and_not_replaced);
    tcase_add_test(tests, a_full_disk_is_reported_when_the_file_is_finished);
    tcase_add_test(tests, files_that_cannot_be_had_are_named_with_the_reason);
    tcase_add_test(tests, files_are_read_up_to_a_limit);
    suite_add_tcase(suite, tests);
    return suite;
}
