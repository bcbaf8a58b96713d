/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Several processes in one: threads, each with a dp_comm, that talk through memory. */
#ifndef TESTS_RANKS_H
#define TESTS_RANKS_H

#include "dynaprec/comm.h"

enum { RANKS_MOST = 8 };

/**
 * Run work(context, rank, comm) in `size` threads and wait for all of them. A rank that makes another call than the others fails the
 * test; one that makes none any more stops it until Check's time is up.
 */
void ranks_run(int size, void (*work)(void *context, int rank, dp_comm *comm), void *context);

#endif
