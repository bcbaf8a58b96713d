/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When memory runs out: the n-th allocation fails, for every n, in loading a network and data, learning on them, and writing
 * and reading the schedule.
 */
#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dynaprec/learn.h"
#include "heap.h"
#include "scratch.h"
#include "suites.h"

/* ---- what is tried ---- */

typedef struct work {
    dp_graph *graph;
    dp_dataset *data, *half[2];
    dp_hardware hardware;
    dp_learn_options options;
    dp_schedule schedule, again;
    dp_error err;
} work;

static const char *const hardware_files[] = {"examples/hardware/homodyne.yaml",
                                             "examples/hardware/thermal.yaml",
                                             "examples/hardware/weight.yaml"};

static dp_status load(work *w, const char *hardware) {
    dp_input_spec spec;
    dp_status status = dp_graph_load(&w->graph, "tests/data/memory/tiny.onnx", &w->err);
    if (status != DP_OK) return status;
    dp_engine_inputs(w->graph, &spec);
    status = dp_dataset_open(&w->data, "tests/data/memory/tiny.npz", &spec, 1, NULL, &w->err);
    if (status == DP_OK)
        status = dp_dataset_split(w->data, 0.5, 1, &w->half[0], &w->half[1], &w->err);
    if (status == DP_OK) status = dp_hardware_read(&w->hardware, hardware, &w->err);
    return status;
}

static const struct {
    const char *search;
    int hardware, evaluations;
} cases[] = {
    {NULL, 0, 0},    {NULL, 1, 0},           {NULL, 2, 0},      {"gradient-free", 0, 0},
    {"bfgs2", 0, 3}, {"conjugate_pr", 0, 3}, {"simplex", 0, 4}, {"anneal", 0, 4},
    {"adam", 0, 2},
};
enum { CASES = sizeof cases / sizeof *cases };

static dp_status attempt(work *w, int number) {
    const char *hardware = hardware_files[cases[number].hardware];
    dp_status status = load(w, hardware);
    if (status != DP_OK) return status;
    dp_learn_defaults(&w->options);
    w->options.max_loss = 0.2;
    w->options.granularity = DP_GRAIN_CHANNEL;
    w->options.trials = 1;
    w->options.threads = 2;
    w->options.search = cases[number].search;
    w->options.stop.max_evaluations = cases[number].evaluations;
    status = dp_learn(&w->schedule, w->graph, &w->hardware, (const dp_dataset *const *)w->half,
                      &w->options, &w->err);
    if (status != DP_OK && status != DP_EUNMET) return status;
    status = dp_schedule_write(&w->schedule, scratch("schedule.yaml"), &w->err);
    if (status == DP_OK) status = dp_schedule_read(&w->again, scratch("schedule.yaml"), &w->err);
    return status;
}

static void clear(work *w) {
    dp_schedule_clear(&w->schedule);
    dp_schedule_clear(&w->again);
    for (int h = 0; h < 2; h++) dp_dataset_free(w->half[h]);
    dp_dataset_free(w->data);
    dp_graph_free(w->graph);
}

START_TEST(every_failing_allocation_gives_a_status_and_leaves_nothing_behind) {
    int64_t n = 0, used = 0, failures = 0;
    for (;; n++) {
        work w = {0};
        heap_watch(n);
        dp_status status = attempt(&w, _i);
        clear(&w);
        heap_count heap = heap_end();
        used = heap.allocations;
        ck_assert_msg(heap.live == 0, "allocation %d fails: %d blocks are never released", (int)n,
                      (int)heap.live);
        if (used <= n) { /* it took no more than n */
            ck_assert_msg(status == DP_OK, "%s", w.err.text);
            break;
        }
        bool told = w.err.text[0] && (status == DP_EMEMORY || strstr(w.err.text, "memory"));
        ck_assert_msg(status == DP_OK || told, "allocation %d fails: status %s, '%s'", (int)n,
                      dp_status_name(status), w.err.text);
        failures += status != DP_OK;
        ck_assert_int_le(scratch_count(), 1); /* no half-written file is left */
    }
    ck_assert_msg(failures > 200 && failures >= 0.95 * (double)n, "%d of %d allocations matter",
                  (int)failures, (int)n);
}
END_TEST

Suite *test_memory_suite(void) {
    Suite *suite = suite_create("memory");
    TCase *tcase = tcase_create("memory");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, every_failing_allocation_gives_a_status_and_leaves_nothing_behind, 0,
                        CASES);
    tcase_set_timeout(tcase, 60);
    suite_add_tcase(suite, tcase);
    return suite;
}
