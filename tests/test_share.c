/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Processes that share work: all get the same, all end when one fails and know which one it was, and nobody waits in vain. */
#include "engine/share.h"

#include <check.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "ranks.h"
#include "suites.h"

/* What came of it in each process. */
typedef struct ends {
    dp_status status[RANKS_MOST];
    char text[RANKS_MOST][1024];
    bool over[RANKS_MOST];
} ends;

static void note_end(ends *e, int rank, dp_status status, const dp_error *err,
                     const dp_comm *comm) {
    e->status[rank] = status;
    snprintf(e->text[rank], sizeof e->text[rank], "%s", err->text);
    e->over[rank] = comm->over;
}

static void ck_ends(const ends *e, int size, dp_status status, const char *text) {
    for (int r = 0; r < size; r++) {
        ck_assert_msg(e->status[r] == status, "rank %d: %s, '%s'", r, dp_status_name(e->status[r]),
                      e->text[r]);
        ck_assert_str_eq(e->text[r], text);
    }
}

/* ---- parts ---- */

START_TEST(parts_are_contiguous_and_cover_every_task_once) {
    for (int size = 1; size <= 7; size++)
        for (int count = 0; count <= 20; count++) {
            int next = 0;
            for (int r = 0; r < size; r++) {
                dp_comm comm = {.rank = r, .size = size};
                int from, to;
                dp_share_part(&comm, count, &from, &to);
                ck_assert_int_eq(from, next);
                ck_assert_int_ge(to, from);
                ck_assert_int_le(to - from, count / size + 1);
                next = to;
            }
            ck_assert_int_eq(next, count);
        }
}
END_TEST

START_TEST(a_process_alone_has_all_and_asks_nobody) {
    dp_comm one = {.size = 1}; /* without functions: a call would crash */
    dp_comm *const lonely[] = {NULL, &one};
    for (int i = 0; i < 2; i++) {
        int from, to;
        dp_share_part(lonely[i], 9, &from, &to);
        ck_assert(from == 0 && to == 9);
        ck_dp_ok(dp_share_agree(lonely[i], DP_OK, &err));
        ck_dp_ok(dp_share_broadcast(lonely[i], &from, sizeof from, 0, &err));
        ck_dp_ok(dp_share_gather(lonely[i], &from, 9, NULL, NULL, &err));
        ck_dp_ok(dp_share_same(lonely[i], &(dp_share_fact){"x", "y", DP_EFORMAT}, &err));
        ck_assert_int_eq(dp_share_agree(lonely[i], DP_EBUDGET, NULL), DP_EBUDGET);
        ck_assert_int_eq(dp_comm_leave(lonely[i], DP_EUNMET, NULL), DP_EUNMET);
    }
}
END_TEST

/* ---- results ---- */

enum { TASKS = 13 };

/* Task i has i bytes. */
static size_t byte_of(const void *context, int task) {
    (void)context;
    return (size_t)(task * (task - 1) / 2);
}

typedef struct gathered {
    unsigned char bytes[RANKS_MOST][TASKS * (TASKS - 1) / 2];
    int size;
} gathered;

static void gather(void *context, int rank, dp_comm *comm) {
    gathered *g = context;
    int from, to;
    dp_share_part(comm, TASKS, &from, &to);
    for (int t = from; t < to; t++) memset(g->bytes[rank] + byte_of(NULL, t), 100 + t, (size_t)t);
    ck_dp_ok(dp_share_gather(comm, g->bytes[rank], TASKS, byte_of, NULL, &err));
}

START_TEST(everybody_gets_what_the_others_made) {
    gathered g = {.size = _i};
    ranks_run(_i, gather, &g);
    for (int r = 0; r < _i; r++)
        for (int t = 0; t < TASKS; t++)
            for (size_t b = byte_of(NULL, t); b < byte_of(NULL, t + 1); b++)
                ck_assert_int_eq(g.bytes[r][b], 100 + t);
}
END_TEST

static void tell(void *context, int rank, dp_comm *comm) {
    int *numbers = context;
    numbers[rank] = 10 + rank;
    ck_dp_ok(dp_share_broadcast(comm, &numbers[rank], sizeof *numbers, comm->size - 1, &err));
}

START_TEST(everybody_gets_what_one_has) {
    int numbers[RANKS_MOST];
    ranks_run(_i, tell, numbers);
    for (int r = 0; r < _i; r++) ck_assert_int_eq(numbers[r], 10 + _i - 1);
}
END_TEST

/* ---- failures ---- */

typedef struct plan {
    dp_status status[RANKS_MOST]; /* that each rank brings */
    bool leaves[RANKS_MOST];
    ends ends;
} plan;

static void meet(void *context, int rank, dp_comm *comm) {
    plan *p = context;
    dp_error err = {DP_OK, ""};
    dp_status status = p->status[rank];
    if (status != DP_OK) dp_fail(&err, status, "reason %d", rank);
    status =
        p->leaves[rank] ? dp_comm_leave(comm, status, &err) : dp_share_agree(comm, status, &err);
    note_end(&p->ends, rank, status, &err, comm);
}

START_TEST(the_first_that_fails_is_named_to_all) {
    plan p = {.status = {DP_OK, DP_OK, DP_EMEMORY, DP_EFORMAT}};
    ranks_run(4, meet, &p);
    ck_ends(&p.ends, 4, DP_EMEMORY, "rank 2: reason 2");
    for (int r = 0; r < 4; r++) ck_assert(!p.ends.over[r]); /* all were here, and may go on */

    plan zero = {.status = {DP_EIO, DP_OK}};
    ranks_run(2, meet, &zero);
    ck_ends(&zero.ends, 2, DP_EIO, "rank 0: reason 0");
}
END_TEST

START_TEST(a_failure_of_all_is_told_without_a_rank) {
    plan p = {.status = {DP_EFORMAT, DP_EFORMAT, DP_EFORMAT}};
    ranks_run(3, meet, &p);
    ck_ends(&p.ends, 3, DP_EFORMAT, "reason 0");
}
END_TEST

START_TEST(one_that_leaves_with_a_failure_ends_the_others) {
    plan p = {.status = {DP_OK, DP_EMEMORY, DP_OK}, .leaves = {false, true, false}};
    ranks_run(3, meet, &p);
    ck_ends(&p.ends, 3, DP_EMEMORY, "rank 1: reason 1");
    for (int r = 0; r < 3; r++) ck_assert(p.ends.over[r]);

    plan first = {.status = {DP_EIO, DP_EMEMORY}, .leaves = {false, true}};
    ranks_run(2, meet, &first); /* both fail, in different places */
    ck_ends(&first.ends, 2, DP_EIO, "rank 0: reason 0");
    ck_assert(first.ends.over[0] && first.ends.over[1]);
}
END_TEST

START_TEST(one_that_is_done_too_early_ends_all) {
    plan p = {.leaves = {true, false, true}};
    ranks_run(3, meet, &p);
    for (int r = 0; r < 3; r++) {
        ck_assert_int_eq(p.ends.status[r], DP_ECOMM);
        ck_assert_ptr_nonnull(strstr(p.ends.text[r], "others go on"));
        ck_assert(p.ends.over[r]);
    }
}
END_TEST

START_TEST(those_that_leave_together_may_meet_again) {
    plan p = {.leaves = {true, true}};
    ranks_run(2, meet, &p);
    ck_ends(&p.ends, 2, DP_OK, "");
    plan failed = {.status = {DP_EUNMET, DP_EUNMET}, .leaves = {true, true}};
    ranks_run(2, meet, &failed);
    ck_ends(&failed.ends, 2, DP_EUNMET, "reason 0");
    for (int r = 0; r < 2; r++) ck_assert(!p.ends.over[r] && !failed.ends.over[r]);
}
END_TEST

/* Rank 1 leaves at once; the others would like to share four things. */
static void go_on(void *context, int rank, dp_comm *comm) {
    ends *e = context;
    dp_error err = {DP_OK, ""};
    int number = 0, failures = 0;
    if (rank == 1) {
        note_end(e, rank, dp_comm_leave(comm, dp_fail(&err, DP_EMEMORY, "no memory"), &err), &err,
                 comm);
        return;
    }
    dp_status status = dp_share_broadcast(comm, &number, sizeof number, 0, &err);
    note_end(e, rank, status, &err, comm);
    failures += dp_share_agree(comm, DP_OK, &err) == DP_ECOMM;
    failures += dp_share_agree(comm, DP_EBUDGET, &err) == DP_EBUDGET; /* one of its own */
    failures += dp_share_broadcast(comm, &number, sizeof number, 1, &err) == DP_ECOMM;
    failures += dp_share_gather(comm, &number, 3, byte_of, NULL, &err) == DP_ECOMM;
    failures += dp_share_same(comm, &(dp_share_fact){"x", "y", DP_EIO}, &err) == DP_ECOMM;
    failures += dp_comm_leave(comm, DP_ECANCELLED, &err) == DP_ECANCELLED;
    ck_assert_int_eq(failures, 6);
}

START_TEST(nothing_is_shared_when_one_has_left) {
    ends e = {0};
    ranks_run(3, go_on, &e);
    ck_ends(&e, 3, DP_EMEMORY, "rank 1: no memory");
}
END_TEST

/* ---- what has to be the same ---- */

typedef struct claim {
    const char *texts[RANKS_MOST];
    ends ends;
} claim;

static void compare(void *context, int rank, dp_comm *comm) {
    claim *c = context;
    dp_error err = {DP_OK, ""};
    dp_share_fact fact = {"kernels", c->texts[rank], DP_EUNSUPPORTED};
    note_end(&c->ends, rank, dp_share_same(comm, &fact, &err), &err, comm);
}

START_TEST(the_first_that_differs_is_named_to_all) {
    claim same = {.texts = {"Zen", "Zen", "Zen"}};
    ranks_run(3, compare, &same);
    ck_ends(&same.ends, 3, DP_OK, "");
    claim other = {.texts = {"Zen", "Zen", "Haswell", "Prescott"}};
    ranks_run(4, compare, &other);
    ck_ends(&other.ends, 4, DP_EUNSUPPORTED,
            "rank 2 has kernels Haswell, rank 0 has Zen: files, options and processors have to be "
            "the same in all processes");
}
END_TEST

/* ---- communication that fails ---- */

static dp_status lose(void *self, int mine, int *least, dp_error *err) {
    int *calls = self;
    ++*calls;
    *least = mine;
    return dp_fail(err, DP_ECOMM, "the line is dead");
}

START_TEST(a_dead_line_is_told_and_not_used_again) {
    int calls = 0;
    dp_comm comm = {.rank = 1, .size = 2, .self = &calls, .least = lose};
    ck_dp_fails(dp_share_agree(&comm, DP_OK, &err), DP_ECOMM, "the line is dead");
    ck_dp_fails(dp_share_agree(&comm, DP_OK, &err), DP_ECOMM, "other processes have ended");
    ck_assert_int_eq(calls, 1);
}
END_TEST

Suite *test_share_suite(void) {
    Suite *suite = suite_create("share");
    TCase *tcase = tcase_create("share");
    tcase_add_test(tcase, parts_are_contiguous_and_cover_every_task_once);
    tcase_add_test(tcase, a_process_alone_has_all_and_asks_nobody);
    tcase_add_loop_test(tcase, everybody_gets_what_the_others_made, 1, RANKS_MOST + 1);
    tcase_add_loop_test(tcase, everybody_gets_what_one_has, 1, RANKS_MOST + 1);
    tcase_add_test(tcase, the_first_that_fails_is_named_to_all);
    tcase_add_test(tcase, a_failure_of_all_is_told_without_a_rank);
    tcase_add_test(tcase, one_that_leaves_with_a_failure_ends_the_others);
    tcase_add_test(tcase, one_that_is_done_too_early_ends_all);
    tcase_add_test(tcase, those_that_leave_together_may_meet_again);
    tcase_add_test(tcase, nothing_is_shared_when_one_has_left);
    tcase_add_test(tcase, the_first_that_differs_is_named_to_all);
    tcase_add_test(tcase, a_dead_line_is_told_and_not_used_again);
    suite_add_tcase(suite, tcase);
    return suite;
}
