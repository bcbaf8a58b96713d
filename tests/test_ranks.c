/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Learning in several processes: the same bytes for any number of them, and one that fails, is interrupted or has other files ends
 * all, named. tests/mpi/run does the same with real processes.
 */
#include "ranks.h"

#include <check.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dynaprec/learn.h"
#include "heap.h"
#include "scratch.h"
#include "suites.h"

static const char *const hardware_files[] = {"examples/hardware/homodyne.yaml",
                                             "examples/hardware/thermal.yaml",
                                             "examples/hardware/weight.yaml"};

/* What the ranks learn from, and what came of it in each. */
typedef struct work {
    dp_graph *graph;
    dp_dataset *data, *half[2];
    dp_hardware hardware[RANKS_MOST]; /* each rank's own, so that one can have another */
    dp_learn_options options;
    uint64_t seed[RANKS_MOST];
    int64_t fail_at; /* allocation of rank 1; -1: none */
    int64_t used;    /* allocations that rank 1 made */
    int cancel_at;   /* report of the last rank that raises its cancel flag; 0: none */
    int reports[RANKS_MOST];
    atomic_int cancel[RANKS_MOST];
    dp_status status[RANKS_MOST];
    dp_error err[RANKS_MOST];
    dp_schedule schedule[RANKS_MOST];
} work;

static void open_work(work *w, const char *hardware) {
    dp_input_spec spec;
    *w = (work){.fail_at = -1};
    ck_dp_ok(dp_graph_load(&w->graph, "tests/data/memory/tiny.onnx", &err));
    dp_engine_inputs(w->graph, &spec);
    ck_dp_ok(dp_dataset_open(&w->data, "tests/data/memory/tiny.npz", &spec, 1, NULL, &err));
    ck_dp_ok(dp_dataset_split(w->data, 0.5, 1, &w->half[0], &w->half[1], &err));
    for (int r = 0; r < RANKS_MOST; r++) {
        ck_dp_ok(dp_hardware_read(&w->hardware[r], hardware, &err));
        w->seed[r] = 1;
    }
    dp_learn_defaults(&w->options);
    w->options.max_loss = 0.2;
    w->options.granularity = DP_GRAIN_CHANNEL;
    w->options.trials = 2;
}

static void forget(work *w) {
    for (int r = 0; r < RANKS_MOST; r++) dp_schedule_clear(&w->schedule[r]);
}

static void close_work(work *w) {
    forget(w);
    for (int h = 0; h < 2; h++) dp_dataset_free(w->half[h]);
    dp_dataset_free(w->data);
    dp_graph_free(w->graph);
}

typedef struct watcher {
    work *w;
    int rank;
    bool last;
} watcher;

static void watch(void *self, const dp_progress_state *state) {
    const watcher *me = self;
    (void)state;
    if (++me->w->reports[me->rank] == me->w->cancel_at && me->last)
        atomic_store(&me->w->cancel[me->rank], 1);
}

static void learn(void *context, int rank, dp_comm *comm) {
    work *w = context;
    watcher me = {w, rank, rank == (comm ? comm->size : 1) - 1};
    dp_progress progress = {.report = watch, .self = &me};
    dp_learn_options options = w->options;
    options.comm = comm;
    options.seed = w->seed[rank];
    options.cancel = &w->cancel[rank];
    options.progress = &progress;
    w->err[rank] = (dp_error){DP_OK, ""};
    if (rank == 1) heap_watch_thread(w->fail_at);
    w->status[rank] = dp_learn(&w->schedule[rank], w->graph, &w->hardware[rank],
                               (const dp_dataset *const *)w->half, &options, &w->err[rank]);
    if (rank == 1) w->used = heap_end_thread();
}

static char *bytes_of(const dp_schedule *schedule, size_t *size) {
    ck_dp_ok(dp_schedule_write(schedule, scratch("schedule.yaml"), &err));
    return read_whole(scratch("schedule.yaml"), size);
}

/* The last one is out of time at once, by rank 0's clock. */
static const struct {
    const char *search;
    dp_stop stop;
} searches[] = {
    {NULL, {0}},
    {NULL, {0}},
    {NULL, {0}},
    {"bfgs2", {.max_evaluations = 6}},
    {"conjugate_pr", {.max_evaluations = 6}},
    {"simplex", {.max_evaluations = 6}},
    {"anneal", {.max_evaluations = 6}},
    {"adam", {.max_evaluations = 6}},
    {"adam", {.max_seconds = 1e-9}},
};

START_TEST(any_number_of_processes_learns_the_same_bytes) {
    static work w;
    size_t size, other_size;
    open_work(&w, hardware_files[_i % 3]);
    w.options.search = searches[_i].search;
    w.options.stop = searches[_i].stop;
    learn(&w, 0, NULL);
    ck_assert_msg(w.status[0] == DP_OK, "%s", w.err[0].text);
    char *alone = bytes_of(&w.schedule[0], &size);
    forget(&w);
    for (int count = 2; count <= 5; count++) {
        w.options.threads = 1 + count % 2;
        ranks_run(count, learn, &w);
        for (int r = 0; r < count; r++) {
            ck_assert_msg(w.status[r] == DP_OK, "%d ranks, rank %d: %s", count, r, w.err[r].text);
            char *other = bytes_of(&w.schedule[r], &other_size);
            ck_assert(size == other_size && memcmp(alone, other, size) == 0);
            free(other);
        }
        forget(&w);
    }
    free(alone);
    close_work(&w);
}
END_TEST

/* Every rank ended with this status and message. */
static void ck_all(const work *w, int count, dp_status status, const char *part) {
    for (int r = 0; r < count; r++) {
        ck_assert_msg(w->status[r] == status, "rank %d: status %s, '%s'", r,
                      dp_status_name(w->status[r]), w->err[r].text);
        ck_assert_msg(strstr(w->err[r].text, part), "rank %d: '%s' lacks '%s'", r, w->err[r].text,
                      part);
    }
}

START_TEST(memory_that_runs_out_in_one_process_ends_all_of_them) {
    static work w;
    open_work(&w, hardware_files[_i]);
    ranks_run(2, learn, &w);
    ck_all(&w, 2, DP_OK, "");
    forget(&w);
    int failures = 0, tried = 0;
    int64_t count = w.used;
    ck_assert_int_gt(count, 200);
    for (int64_t n = 0; n < count; n += n < 150 ? 1 : 7, tried++) {
        w.fail_at = n;
        ranks_run(2, learn, &w);
        ck_assert_msg(w.status[0] == w.status[1], "allocation %d: %s and %s", (int)n, w.err[0].text,
                      w.err[1].text);
        if (w.status[0] != DP_OK) ck_all(&w, 2, w.status[0], "rank 1: ");
        ck_assert(w.status[0] == DP_OK || w.status[0] == DP_EMEMORY ||
                  strstr(w.err[0].text, "memory"));
        failures += w.status[0] != DP_OK;
        forget(&w);
    }
    ck_assert_msg(failures >= 0.95 * tried, "%d of %d allocations matter", failures, tried);
    close_work(&w);
}
END_TEST

START_TEST(an_interruption_of_one_process_ends_all_and_keeps_what_was_learned) {
    static work w;
    size_t size, other_size;
    int kept = 0, stopped = 0;
    open_work(&w, hardware_files[0]);
    for (w.cancel_at = 1;; w.cancel_at += 5) {
        memset(w.reports, 0, sizeof w.reports);
        for (int r = 0; r < RANKS_MOST; r++) atomic_store(&w.cancel[r], 0);
        ranks_run(3, learn, &w);
        if (w.reports[2] < w.cancel_at) break;
        ck_all(&w, 3, w.status[0], w.status[0] == DP_OK ? "" : "rank 2: interrupted");
        if (w.status[0] == DP_OK) { /* by the last report there was nothing left to stop */
            forget(&w);
            continue;
        }
        stopped++;
        for (int r = 1; r < 3 && w.schedule[0].n_layers > 0; r++) {
            char *one = bytes_of(&w.schedule[0], &size);
            char *other = bytes_of(&w.schedule[r], &other_size);
            ck_assert(size == other_size && memcmp(one, other, size) == 0);
            ck_assert_str_eq(w.schedule[r].status, "interrupted");
            free(one);
            free(other);
            kept++;
        }
        forget(&w);
    }
    ck_all(&w, 3, DP_OK, "");
    ck_assert_msg(stopped > 5 && kept > 5, "%d stopped, %d kept", stopped, kept);
    close_work(&w);
}
END_TEST

START_TEST(failures_of_all_are_told_as_one_processes_is) {
    static work w;
    open_work(&w, hardware_files[0]);
    w.options.max_loss = 1e-9;
    ranks_run(3, learn, &w);
    ck_all(&w, 3, DP_EBUDGET, "cannot be met");
    ck_assert_ptr_null(strstr(w.err[0].text, "rank"));
    w.options.max_loss = -1;
    ranks_run(3, learn, &w);
    ck_all(&w, 3, DP_ERANGE, "max-loss -1");
    close_work(&w);
}
END_TEST

START_TEST(processes_with_other_files_or_options_are_named) {
    static work w;
    open_work(&w, hardware_files[0]);
    w.seed[2] = 9;
    ranks_run(3, learn, &w);
    ck_all(&w, 3, DP_ECOMM, "rank 2 has options of digest");
    w.seed[2] = 1;
    ck_dp_ok(dp_hardware_read(&w.hardware[1], hardware_files[1], &err));
    ranks_run(3, learn, &w);
    ck_all(&w, 3, DP_EFORMAT, "rank 1 has hardware of digest");
    close_work(&w);
}
END_TEST

/* The last rank has fewer samples to check on, as one with an old file would: seen at the first pass over them. */
static void learn_other(void *context, int rank, dp_comm *comm) {
    work *w = context;
    const dp_dataset *mine[2] = {w->half[0], rank == comm->size - 1 ? w->half[0] : w->half[1]};
    dp_learn_options options = w->options;
    options.comm = comm;
    w->err[rank] = (dp_error){DP_OK, ""};
    w->status[rank] =
        dp_learn(&w->schedule[rank], w->graph, &w->hardware[rank], mine, &options, &w->err[rank]);
}

START_TEST(processes_that_compute_other_passes_are_named) {
    static work w;
    open_work(&w, hardware_files[0]);
    ranks_run(3, learn_other, &w);
    ck_all(&w, 3, DP_ECOMM, "rank 2 has another pass to compute");
    close_work(&w);
}
END_TEST

START_TEST(one_process_reads_and_writes_what_is_kept) {
    static work w;
    size_t size, other_size;
    char folder[512];
    open_work(&w, hardware_files[_i]);
    snprintf(folder, sizeof folder, "%s", scratch("."));
    w.options.cache = folder;
    ranks_run(3, learn, &w);
    ck_all(&w, 3, DP_OK, "");
    char *one = bytes_of(&w.schedule[2], &size);
    forget(&w);
    for (int count = 1; count <= 3; count++) { /* at other numbers of processes, too */
        memset(w.reports, 0, sizeof w.reports);
        ranks_run(count, learn, &w);
        ck_all(&w, count, DP_OK, "");
        for (int r = 0; r < count; r++) ck_assert_int_eq(w.reports[r], 0); /* all was there */
        char *other = bytes_of(&w.schedule[count - 1], &other_size);
        ck_assert(size == other_size && memcmp(one, other, size) == 0);
        free(other);
        forget(&w);
    }
    free(one);
    close_work(&w);
}
END_TEST

Suite *test_ranks_suite(void) {
    Suite *suite = suite_create("ranks");
    TCase *tcase = tcase_create("ranks");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tcase, any_number_of_processes_learns_the_same_bytes, 0,
                        sizeof searches / sizeof *searches);
    tcase_add_loop_test(tcase, memory_that_runs_out_in_one_process_ends_all_of_them, 0, 3);
    tcase_add_test(tcase, an_interruption_of_one_process_ends_all_and_keeps_what_was_learned);
    tcase_add_test(tcase, failures_of_all_are_told_as_one_processes_is);
    tcase_add_test(tcase, processes_with_other_files_or_options_are_named);
    tcase_add_test(tcase, processes_that_compute_other_passes_are_named);
    tcase_add_loop_test(tcase, one_process_reads_and_writes_what_is_kept, 0, 3);
    suite_add_tcase(suite, tcase);
    return suite;
}
