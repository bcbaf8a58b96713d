/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/watch.h"

#include <math.h>

#include "engine/share.h"

dp_watch dp_watch_start(const dp_stop *asked, const dp_stop *usual, dp_comm *comm) {
    dp_watch w = {.stop = *asked, .comm = comm};
    if (!w.stop.max_evaluations) w.stop.max_evaluations = usual->max_evaluations;
    if (!(w.stop.max_seconds > 0)) w.stop.max_seconds = usual->max_seconds;
    if (!(w.stop.tolerance > 0)) w.stop.tolerance = usual->tolerance;
    clock_gettime(CLOCK_MONOTONIC, &w.start);
    return w;
}

void dp_watch_count(dp_watch *w) {
    w->evaluations++;
}

static double seconds_since(const struct timespec *start) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - start->tv_sec) + 1e-9 * (double)(now.tv_nsec - start->tv_nsec);
}

static dp_status out_of_time(const dp_watch *w, bool *over, dp_error *err) {
    char told = w->stop.max_seconds > 0 && seconds_since(&w->start) >= w->stop.max_seconds;
    dp_status status = DP_OK;
    if (w->stop.max_seconds > 0) status = dp_share_broadcast(w->comm, &told, 1, 0, err);
    *over = told;
    return status;
}

dp_status dp_watch_ended(dp_watch *w, bool *ended, dp_error *err) {
    dp_status status = DP_OK;
    if (w->stop.max_evaluations > 0 && w->evaluations >= w->stop.max_evaluations) w->over = true;
    if (!w->over) status = out_of_time(w, &w->over, err);
    *ended = w->over;
    return status;
}

bool dp_watch_settled(const dp_watch *w, double before, double after) {
    return before - after <= w->stop.tolerance * fabs(before);
}
