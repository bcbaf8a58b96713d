/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The pipeline: from a network, calibration samples and a hardware description to a precision schedule.
 *
 * conditioning of the operands -> survey -> sensitivities at the clean point -> relaxation -> scale (Brent on the measured loss or accuracy) -> sensitivities
 * at the noisy operating point -> relaxation -> refinement -> scale -> rounding -> acceptance on the check set, beside uniform
 * precision that was found with the same care. docs/methods.md gives the equations and their sources.
 *
 * Calls are independent of each other; each has its own threads. Cancelling keeps what was learned.
 */
#ifndef DYNAPREC_LEARN_H
#define DYNAPREC_LEARN_H

#include <stdatomic.h>

#include "dynaprec/dataset.h"
#include "dynaprec/engine.h"
#include "dynaprec/schedule.h"
#include "dynaprec/stop.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_energy_unit {
    DP_ENERGY_NONE = 0,
    DP_ENERGY_J,          /* joules a sample */
    DP_ENERGY_AJ_PER_MAC, /* MAC-weighted mean, attojoules */
    DP_ENERGY_OF_UNIFORM /* fraction of what uniform precision needs to meet max_drop or max_loss */
} dp_energy_unit;

typedef enum dp_latency_unit {
    DP_LATENCY_NONE = 0,
    DP_LATENCY_X, /* times the time of one repetition everywhere */
    DP_LATENCY_S  /* seconds a sample, where the hardware says how long an operation takes */
} dp_latency_unit;

/* What is kept small: what a loss budget is of, and what searches minimise. */
typedef enum dp_objective_kind {
    DP_OBJECTIVE_AUTO =
        0,           /* divergence; for a drop of labels alone, searches take their cross-entropy */
    DP_OBJECTIVE_KL, /* divergence from the clean output */
    DP_OBJECTIVE_CROSS_ENTROPY /* of the labels */
} dp_objective_kind;

/* What is done to the operands before anything is learned: dynaprec/conditioning.h. Bits. */
enum {
    DP_CONDITION_NONE = 0,
    DP_CONDITION_CENTRE = 1,
    DP_CONDITION_BALANCE = 2,
    DP_CONDITION_BOTH = 3,
    DP_CONDITION_OR_NONE =
        4,                /* none, where that ends cheaper: converters make it another network */
    DP_CONDITION_AUTO = 7 /* both or none */
};

typedef struct dp_fix {
    const char *glob; /* of site names */
    double repetitions;
} dp_fix;

typedef struct dp_learn_options {
    /* budgets: NaN, DP_ENERGY_NONE, DP_LATENCY_NONE where not given; at least one is asked for */
    double
        max_drop; /* points of top-1 (labels) or of agreement with the clean prediction (no labels) */
    double max_loss; /* nats: rise of the objective over the clean network */
    dp_energy_unit energy_unit;
    double energy;
    dp_latency_unit latency_unit;
    double latency;
    dp_objective_kind objective;
    unsigned granularity; /* one of DP_GRAIN_... */
    int tile;             /* channels a tile, DP_GRAIN_TILE only */
    /* what K may be, unless fixed: of the hardware's range, levels; NaN: its own bounds. Uniform precision is held to them, too */
    double min_repetitions, max_repetitions;
    const dp_fix *fixes;
    int n_fixes;
    const char *const
        *groups; /* globs: all sites that match one share one K, whatever the granularity */
    int n_groups;
    const char *const
        *exclude; /* globs of sites that run digitally: clean, and not in the energy */
    int n_exclude;
    unsigned condition; /* DP_CONDITION_...: what may be done, where it lowers the noise */
    int trials;         /* noise draws a check */
    double confidence;  /* of bounds and intervals, in (0.5, 1) */
    uint64_t seed;
    int threads;
    const char *output; /* see dp_engine_options */
    const char *
        search; /* name of the refinement; NULL: "stochastic" for a drop of labels by channel or tile, else "marginal" */
    dp_stop stop;      /* of searches that take many passes; all 0: their own limits */
    const char *goal;  /* budgets in the user's words, for the schedule */
    const char *cache; /* see dp_engine_options: a repeated or interrupted run goes on from there */
    dp_comm *comm;
    atomic_int *cancel;
    const dp_progress *progress;
} dp_learn_options;

/** Defaults: no budget, layer granularity, conditioning where it ends cheaper, 4 trials, 95 % confidence, seed 1, 1 thread. */
void dp_learn_defaults(dp_learn_options *options);

/** Names of the refinements, NULL at the end. */
const char *const *dp_search_names(void);

/**
 * Learn a schedule.
 *
 * With DP_CONDITION_AUTO, a limit on drop or loss, and converters, this is done on conditioned operands and on the network's own; the
 * cheaper schedule is what comes out, and a failure on the second ones leaves that of the first.
 *
 * Returns DP_OK: accepted. DP_EBUDGET: no precision that the hardware allows meets the budgets (err gives the feasible range);
 *         *out is then empty. DP_EUNMET, DP_ECANCELLED: *out holds the best schedule so far and its status says so
 *         (empty when cancelled before there was one).
 * Errors  DP_ERANGE: options that contradict each other or the hardware, a glob that matches no site (all names are listed);
 *         otherwise as dp_engine_create, dp_engine_survey and dp_engine_reference.
 */
dp_status dp_learn(dp_schedule *out, const dp_graph *graph, const dp_hardware *hardware,
                   const dp_dataset *const data[2], const dp_learn_options *options, dp_error *err);

/**
 * Measure precisions, as of a schedule and of uniform precision, on a data set, all by the same draws.
 *
 * Shapes  repetitions [count], each [dp_engine_channels]; out [1 + count]: the network without noise, and each precision.
 */
dp_status dp_measure_precisions(dp_measure *out, dp_engine *engine, const dp_dataset *data,
                                const double *const *repetitions, int count,
                                const dp_learn_options *options, dp_error *err);

/**
 * Spread a schedule's repetitions over an engine's channels.
 *
 * Shapes  repetitions [dp_engine_channels].
 * Errors  DP_EFORMAT naming the layer that the network does not have, or whose channels differ, or the site without entry.
 */
dp_status dp_schedule_apply(const dp_schedule *schedule, const dp_engine *engine,
                            double *repetitions, dp_error *err);

#ifdef __cplusplus
}
#endif
#endif
