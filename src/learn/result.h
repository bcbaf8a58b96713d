/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From what learning found to a schedule, and back to an engine's channels. */
#ifndef DP_LEARN_RESULT_H
#define DP_LEARN_RESULT_H

#include "learn/accept.h"
#include "learn/condition/choose.h"

typedef struct dp_result {
    const dp_search *search;
    const double *k;                        /* [units] */
    const dp_acceptance *learned, *uniform; /* NULL: not measured */
    const dp_measure *clean;
    const dp_choice *choice; /* what was done to the operands */
    dp_budget active;
    const char *status;
} dp_result;

/** Errors: DP_EMEMORY; *out is zeroed then. */
dp_status dp_result_schedule(dp_schedule *out, const dp_graph *graph, const dp_result *result,
                             dp_error *err);

/** Energy, energy per MAC and latency of units' K. Shapes: k [units]. */
void dp_result_energy(const dp_search *search, const double *k, dp_measure *measure);

/** Likewise of channels' repetitions. Shapes: repetitions [dp_engine_channels]. */
void dp_result_channel_energy(const dp_engine *engine, const double *repetitions,
                              dp_measure *measure);

/** A measure of which nothing is known. */
dp_measure dp_result_unknown(void);

#endif
