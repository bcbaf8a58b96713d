/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `dynaprec export` on the embedded network. */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "dynaprec/export.h"
#include "dynaprec/npz.h"
#include "plan/exporter.h"
#include "program.h"
#include "rewriting.h"
#include "suites.h"

#define MODEL "calib_data/digits.onnx"
#define OTHER "tests/data/onnx/small.onnx"
#define LEARN                                                                                      \
    "learn " MODEL " --data calib_data/digits_learn.npz --hardware homodyne --energy 20aJ/MAC"
#define EXPORT "export @schedule.yaml -o @out.onnx --to onnx --model "

static void open_folder(void) {
    program_open_folder();
    run_expecting(LEARN " --trials 1 --search clean-point --cache none -o @schedule.yaml --quiet",
                  0);
}

START_TEST(the_exported_network_computes_the_same) {
    run_expecting(EXPORT MODEL, 0);
    run_expecting("run " MODEL " --inputs calib_data/digits_learn.npz -o @a.npz", 0);
    run_expecting("run @out.onnx --inputs calib_data/digits_learn.npz -o @b.npz", 0);
    dp_npz a, b;
    ck_dp_ok(dp_npz_read(&a, in_folder("a.npz"), &err));
    ck_dp_ok(dp_npz_read(&b, in_folder("b.npz"), &err));
    ck_assert_uint_eq(a.count, b.count);
    ck_assert_str_eq(a.arrays[0].name, b.arrays[0].name);
    const dp_tensor *x = &a.arrays[0].tensor, *y = &b.arrays[0].tensor;
    ck_assert(dp_tensor_same_shape(x, y));
    for (int64_t i = 0; i < dp_tensor_count(x); i++)
        ck_assert(fabsf(((float *)x->data)[i] - ((float *)y->data)[i]) < 1e-4F);
    dp_npz_clear(&a);
    dp_npz_clear(&b);
}
END_TEST

/* Every site that the schedule conditions reads a value that is put in before it; what is not conditioned reads what it read. */
START_TEST(the_exported_network_is_conditioned_as_the_schedule_says) {
    dp_schedule schedule;
    dp_graph *graph;
    run_expecting(EXPORT MODEL, 0);
    ck_dp_ok(dp_schedule_read(&schedule, in_folder("schedule.yaml"), &err));
    ck_dp_ok(dp_graph_load(&graph, in_folder("out.onnx"), &err));
    ck_assert_int_gt(schedule.conditioning.count, 0);
    int centred = 0, subs = 0;
    for (int i = 0; i < schedule.conditioning.count; i++) {
        const dp_conditioned_site *site = &schedule.conditioning.sites[i];
        const dp_node *node = rewriting_node(graph, site->site);
        if (!site->mu) continue;
        centred++;
        ck_assert_str_eq(graph->nodes[graph->values[node->in[0]].producer].op_type, "Sub");
    }
    for (int n = 0; n < graph->n_nodes; n++) subs += strcmp(graph->nodes[n].op_type, "Sub") == 0;
    ck_assert_int_eq(subs, centred);
    dp_graph_free(graph);
    dp_schedule_clear(&schedule);
}
END_TEST

START_TEST(equal_schedules_export_equal_bytes) {
    char *bytes[2];
    size_t size[2];
    for (int i = 0; i < 2; i++) {
        run_expecting(EXPORT MODEL " --quiet", 0);
        ck_dp_ok(dp_file_read(in_folder("out.onnx"), 1 << 24, &bytes[i], &size[i], &err));
    }
    ck_assert_uint_eq(size[0], size[1]);
    ck_assert_mem_eq(bytes[0], bytes[1], size[0]);
    for (int i = 0; i < 2; i++) dp_free(bytes[i]);
}
END_TEST

START_TEST(another_network_is_refused) {
    program_result *r =
        run_expecting("export @schedule.yaml -o @no.onnx --to onnx --model " OTHER, 2);
    ck_assert_ptr_nonnull(strstr(r->err, "schedule.yaml: the schedule was learned for another"));
    ck_assert(!in_folder_exists("no.onnx"));
}
END_TEST

START_TEST(targets_are_known_by_name) {
    program_result *r = run_expecting("export @schedule.yaml -o @x --to onxn --model " MODEL, 2);
    ck_assert_ptr_nonnull(strstr(r->err, "did you mean 'onnx'?"));
    r = run_expecting("export @schedule.yaml -o @x --to onnx", 2);
    ck_assert_ptr_nonnull(strstr(r->err, "--model"));
    run_expecting("export @no.yaml -o @x --to onnx --model " MODEL, 3);
    run_expecting("export @schedule.yaml -o @x --to onnx --model @no.onnx", 3);
}
END_TEST

START_TEST(every_target_has_a_row_of_its_name) {
    const char *const *name = dp_export_targets();
    ck_assert_ptr_nonnull(*name);
    for (; *name; name++) ck_assert_ptr_nonnull(dp_exporter_find(*name));
    ck_assert_ptr_null(dp_exporter_find("elsewhere"));
}
END_TEST

Suite *test_export_suite(void) {
    Suite *s = suite_create("export");
    TCase *t = tcase_create("export");
    tcase_add_unchecked_fixture(t, open_folder, program_close_folder);
    tcase_add_test(t, another_network_is_refused);
    tcase_add_test(t, the_exported_network_computes_the_same);
    tcase_add_test(t, the_exported_network_is_conditioned_as_the_schedule_says);
    tcase_add_test(t, equal_schedules_export_equal_bytes);
    tcase_add_test(t, targets_are_known_by_name);
    tcase_add_test(t, every_target_has_a_row_of_its_name);
    suite_add_tcase(s, t);
    return s;
}
