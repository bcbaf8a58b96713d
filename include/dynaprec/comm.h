/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Processes that compute one result together, each a share of every pass: what dynaprec needs of MPI, and no more.
 *
 * Every process has the same files and options, makes the same calls in the same order and ends with the same numbers, whatever
 * their count. NULL in place of a dp_comm: this process is alone. src/mpi/process.c is the implementation on MPI.
 *
 * The two functions return in one process when all have called them. Only one thread of a process calls them.
 */
#ifndef DYNAPREC_COMM_H
#define DYNAPREC_COMM_H

#include <stdbool.h>
#include <stddef.h>

#include "dynaprec/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_comm {
    int rank, size; /* 0 <= rank < size */
    void *self;
    /* *least = the smallest of all processes' numbers. */
    dp_status (*least)(void *self, int mine, int *least, dp_error *err);
    /* Give every process what process `from` has in its buffer. */
    dp_status (*broadcast)(void *self, void *buffer, size_t bytes, int from, dp_error *err);
    bool
        over; /* the library's, false at first: some have left the others, and nothing can be shared any more */
} dp_comm;

/**
 * The last call on work that is shared: how it ended in this process. Returns how it ended for all: with the status of the first
 * process that failed, and its message, behind "rank R: " unless all failed alike.
 *
 * A process that fails by itself calls it early; that ends the others where they next share something. dp_learn calls it; who
 * calls passes of an engine himself, calls it after the last of them. NULL: alone.
 * Errors  DP_ECOMM when some are done and others go on.
 */
dp_status dp_comm_leave(dp_comm *comm, dp_status mine, dp_error *err);

#ifdef __cplusplus
}
#endif
#endif
