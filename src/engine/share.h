/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Work that several processes share: contiguous parts of a list of tasks, put together again after it.
 *
 * Whatever they do together begins with an agreement that all are still there. So one that gave up, and has said so by
 * dp_comm_leave, ends the others where they next need it, and nobody waits for a process that will not come.
 */
#ifndef DP_ENGINE_SHARE_H
#define DP_ENGINE_SHARE_H

#include "dynaprec/comm.h"

/** How many processes there are, and which one this is; comm may be NULL. */
int dp_share_size(const dp_comm *comm);
int dp_share_rank(const dp_comm *comm);

/** Tasks [*from, *to) of `count` are this process's. */
void dp_share_part(const dp_comm *comm, int count, int *from, int *to);

/** All processes meet here: the same status in all, as dp_comm_leave has it. After a failure they may go on together. */
dp_status dp_share_agree(dp_comm *comm, dp_status mine, dp_error *err);

/**
 * Put results together: process r made the bytes of tasks [count r / size, count (r + 1) / size).
 *
 * `byte_of` gives where in `buffer` a task's results start; byte_of(count) is their end.
 */
dp_status dp_share_gather(dp_comm *comm, void *buffer, int count,
                          size_t (*byte_of)(const void *context, int task), const void *context,
                          dp_error *err);

/** Give every process what process `from` has. */
dp_status dp_share_broadcast(dp_comm *comm, void *buffer, size_t bytes, int from, dp_error *err);

/* What has to be the same in all processes. */
typedef struct dp_share_fact {
    const char *what, *text; /* the text is cut at 79 characters */
    dp_status otherwise;
} dp_share_fact;

/** Fail with fact->otherwise, naming what differs and in which process, unless it is the same in all. */
dp_status dp_share_same(dp_comm *comm, const dp_share_fact *fact, dp_error *err);

#endif
