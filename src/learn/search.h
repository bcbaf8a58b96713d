/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the stages of learning share: the engine, the two halves of the data with their clean outputs, the budget, and the
 * way from one number t to a precision that the hardware can be set to.
 */
#ifndef DP_LEARN_SEARCH_H
#define DP_LEARN_SEARCH_H

#include "learn/criterion.h"
#include "learn/relax.h"
#include "learn/round.h"
#include "learn/time/timed.h"

typedef struct dp_half {
    const dp_dataset *data;
    dp_reference *reference;
    int64_t samples, counted; /* those that can tell what is lost: dp_dataset_counted */
    dp_score *scores;         /* [draws, samples] of the latest evaluation */
    int draws;                /* 0: none yet */
    double fidelity;          /* of its precision: dp_search_fidelity */
} dp_half;

typedef struct dp_search {
    const dp_learn_options *options;
    const dp_hardware *device;   /* as its file has it: for fixed sites and the schedule */
    const dp_hardware *hardware; /* with the range of repetitions that the options leave */
    const char *name;            /* of the search, as the schedule has it */
    dp_error obstacle;           /* DP_OK, or why it is not the one that was asked for */
    dp_engine *engine;
    dp_half learn, check;
    dp_criterion criteria[DP_QUANTITIES]; /* loss budgets: all of them have to be met */
    bool to_labels; /* searches minimise the cross-entropy of labels; false: the divergence */
    int n_criteria; /* 1 at least: given, or what uniform is held to */
    dp_units units;
    double *s;           /* [channels] sensitivities */
    double *repetitions; /* [channels] of the latest evaluation */
    double *k;           /* [units] scratch */
    uint32_t next_trial; /* draws below it have been used */
    double passes;       /* so far; see dp_search_count */
    double passes_shape; /* of them, for the shape: sensitivities and their refinement */
} dp_search;

/* A family of precisions, one for each t > 0: learned (shape of the units) or uniform (shape NULL: K = t everywhere). */
typedef struct dp_family {
    const double *shape; /* [units] */
} dp_family;

/** The member at t, relaxed. Shapes: k [units]. */
void dp_family_relaxed(const dp_search *s, const dp_family *f, double t, double *k);

/** The member at t in levels the hardware has; rounding is NULL or receives the gap. Errors: DP_EMEMORY. */
dp_status dp_family_levels(dp_search *s, const dp_family *f, double t, double *k,
                           dp_rounding *rounding, dp_error *err);

/** The highest level that uniform precision may have within the limit of time. */
double dp_family_most(const dp_search *s);

/** The limit of time is active at t: without it the member of this shape would have other repetitions. Shapes: shape [units]. */
bool dp_family_hurried(const dp_search *s, const double *shape, double t);

/** The t beyond which nothing changes: all units at their highest; below `low` all are at their lowest. */
void dp_family_range(const dp_search *s, const dp_family *f, double *low, double *high);

/** The t at which the relaxed member's predicted loss is `loss`, or the end of its range. */
double dp_family_for_loss(dp_search *s, const dp_family *f, double loss);

/** Joules a sample that do not depend on repetitions. */
double dp_search_fixed_j(const dp_search *s);

/* What a sample costs, in forward passes: its noisy output; that and the way back. */
enum { DP_FORWARD_COST = 1, DP_REVERSE_COST = 3 };

/**
 * Count work, in forward passes over the learn set's number of samples: what a run states as `passes`. It is counted whether
 * a pass is computed or found in the cache, so that equal runs state the same.
 */
void dp_search_count(dp_search *s, int64_t samples, int cost);

/** dp_engine_sensitivity on the learn set, counted. Shapes: sensitivities [channels]. */
dp_status dp_search_sensitivity(dp_search *s, const dp_evaluation *point, double *sensitivities,
                                dp_error *err);

/**
 * What the variance of noise at the output is inversely proportional to, by prediction; `otherwise` where nothing is predicted. Shapes:
 * k [units].
 */
double dp_search_fidelity(const dp_search *s, const double *k, double otherwise);

/** Evaluate units' K on one half with the draws first_trial ..: leaves half->scores. Shapes: k [units]. */
dp_status dp_search_evaluate(dp_search *s, dp_half *half, const double *k, const uint32_t trials[2],
                             dp_error *err);

#endif
