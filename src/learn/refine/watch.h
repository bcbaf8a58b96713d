/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a search has used up of its limits (dynaprec/stop.h). */
#ifndef DP_LEARN_WATCH_H
#define DP_LEARN_WATCH_H

#include <stdbool.h>
#include <time.h>

#include "dynaprec/comm.h"
#include "dynaprec/status.h"
#include "dynaprec/stop.h"

typedef struct dp_watch {
    dp_stop stop; /* limits that count: none is 0 but by intention */
    int evaluations;
    struct timespec start;
    dp_comm *comm; /* processes that have to stop together; NULL: alone */
    bool over;
} dp_watch;

/** Begin now; what the user leaves open is the strategy's own. */
dp_watch dp_watch_start(const dp_stop *asked, const dp_stop *usual, dp_comm *comm);

/** Count an evaluation. */
void dp_watch_count(dp_watch *watch);

/**
 * Is it time to stop? Once it was, it stays so. Seconds are those of process 0, so that all stop at the same evaluation.
 *
 * Errors  those of processes that lost each other.
 */
dp_status dp_watch_ended(dp_watch *watch, bool *ended, dp_error *err);

/** An iteration took the objective from `before` to `after`: was that less than the tolerance? */
bool dp_watch_settled(const dp_watch *watch, double before, double after);

#endif
