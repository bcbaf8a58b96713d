/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * One run of learning: what its stages hand on. learn.c has their order; check.c, setup.c, shape.c, uniform.c and budget*.c are
 * the stages that are not a method of their own.
 */
#ifndef DP_LEARN_PIPELINE_H
#define DP_LEARN_PIPELINE_H

#include "learn/accept.h"
#include "learn/condition/condition.h"
#include "learn/refine/refine.h"

typedef struct dp_pipeline {
    dp_search search;
    const dp_graph *graph;
    dp_hardware narrowed;   /* the search's hardware */
    dp_condition condition; /* its graph, if there is one, is what the engine runs */
    const dp_refiner *refiner;
    double *shape; /* [units] */
    double *start; /* [units] the shape that a descent on labels began from */
    double t;      /* of the learned family */
    dp_acceptance learned, uniform;
    double *spare_k; /* [units] for a third */
    dp_measure clean;
    bool relaxed; /* shape and t mean something */
    bool has_learned, has_uniform;
    bool fell_back;   /* the learned precision is the uniform one */
    bool over_energy; /* the loss needs more than the energy budget allows */
    double rival_j;   /* joules a sample that others have met the budget with; INFINITY: none has */
    bool beaten;      /* the budget is not met with so much: nothing more was asked */
} dp_pipeline;

/* ---- learn.c ---- */

/** Learning on one kind of operands: what is given, and what comes out. */
typedef struct dp_attempt {
    const dp_graph *graph;
    const dp_hardware *hardware;
    const dp_dataset *const *data; /* [2] */
    const dp_learn_options *options;
    double rival_j; /* as in dp_pipeline */
    dp_schedule schedule;
    bool conditioned; /* something was done to the operands, and learning came as far as a shape */
    bool beaten;
    double
        met_j; /* joules a sample that drop and loss were certified with; INFINITY: they were not */
    double passes, passes_shape; /* as in the schedule, if there is one or not */
} dp_attempt;

/** The whole pipeline, once. The schedule stays empty, too, where nothing can cost less than rival_j. Errors: as dp_learn. */
dp_status dp_attempt_run(dp_attempt *a, dp_error *err);

/* ---- operands.c ---- */

/** Converters make another network of a conditioned one, and a limit on what is lost says which of the two is cheaper. */
bool dp_operands_contested(const dp_learn_options *options, const dp_hardware *hardware);

/* ---- check.c ---- */

/** A budget that is NaN was not given. */
bool dp_budget_given(double budget);

/** A drop or a loss is limited: that is what is met for as little energy as possible. */
bool dp_budget_loss(const dp_learn_options *options);

/** Errors: DP_ERANGE naming the option. */
dp_status dp_check_options(const dp_learn_options *options, dp_error *err);

/** The loss budgets that the options ask for, or imply. */
void dp_check_criteria(dp_search *s);

/** Errors: DP_EFORMAT (labels in one half only), DP_EBUDGET (too few samples to certify the budget). */
dp_status dp_check_data(const dp_search *s, dp_error *err);

/* ---- setup.c ---- */

/** Engine, units, survey and clean outputs. Errors: as dp_learn. */
dp_status dp_pipeline_start(dp_pipeline *p, dp_error *err);

/** Free what a run holds, half-built or whole. */
void dp_pipeline_stop(dp_pipeline *p);

/* ---- shape.c ---- */

/** Sensitivities at the clean point, the relaxed shape, and the t at which it is about as noisy as a budget allows. */
dp_status dp_shape_find(dp_pipeline *p, dp_error *err);

/** A first guess of the loss at which a budget is just met: for drops, about 5 hundredths of a nat a point that may be lost. */
double dp_shape_likely_loss(const dp_search *s);

/** The shape comes from a descent on labels: how far it diverges says little of what it loses. */
bool dp_shape_by_labels(const dp_pipeline *p);

/** The t at which the learn set meets the loss budget; before a descent on labels, diverges as far as that is likely to be. */
dp_status dp_shape_scale(dp_pipeline *p, dp_error *err);

/** Refine the shape, and find the t at which it is as far from the clean output as before; after labels, a part of it. */
dp_status dp_shape_refine(dp_pipeline *p, dp_error *err);

/** Likewise of any family, from a guess of t. Errors: as dp_scale_find. */
dp_status dp_shape_scale_of(dp_search *s, const dp_family *family, double guess, double *t,
                            dp_error *err);

/* ---- fallback.c ---- */

/**
 * A descent on labels may have learned of few answers what is not so of others. Where the shape that it began from meets the budget with less,
 * that is what is learned, unless the user asked for the descent by name. Errors: as dp_accept.
 */
dp_status dp_fallback_relaxed(dp_pipeline *p, dp_error *err);

/** Never dearer than uniform: its precision is a schedule too. */
void dp_fallback_uniform(dp_pipeline *p);

/* ---- uniform.c ---- */

/** Uniform precision at about the loss that is predicted for the learned one. */
double dp_uniform_guess(const dp_pipeline *p);

/** Uniform precision that the check set certifies, looked for from K = t. */
dp_status dp_uniform_accept(dp_pipeline *p, double t, dp_error *err);

/** Likewise, from where it diverges as much as the learned one or, if that comes from labels, as a budget is likely to allow. */
dp_status dp_uniform_match(dp_pipeline *p, double guess, dp_error *err);

/** The highest uniform level within an energy and the limit of time, measured on the check set. */
dp_status dp_uniform_within(dp_pipeline *p, double energy_j, dp_error *err);

/* ---- budget.c ---- */

/** The energy budget in joules a sample, INFINITY: none; a share of uniform asks for a uniform precision. */
double dp_budget_energy_j(const dp_pipeline *p);

/** Joules of the least that every unit may have. */
double dp_budget_least_j(const dp_search *s);

/** Errors: DP_EBUDGET with the feasible range. */
dp_status dp_budget_check_energy(const dp_pipeline *p, double budget_j, dp_error *err);

/** Before the long work: what arithmetic tells of energy and latency. Errors: DP_EBUDGET with the feasible range, DP_ERANGE. */
dp_status dp_budget_start(dp_pipeline *p, dp_error *err);

/** The most precise schedule within the budgets of energy and latency. */
dp_status dp_budget_within(dp_pipeline *p, dp_error *err);

/** Which budget decided about the learned precision. */
dp_budget dp_budget_active(const dp_pipeline *p);

/* ---- budget_time.c ---- */

/** Give the units their limit of time. Errors: DP_EBUDGET with the feasible range; DP_ERANGE: the hardware has no seconds. */
dp_status dp_budget_limit_time(dp_search *s, dp_error *err);

/** Add to a message about a loss that is out of reach, where that is because of the latency, that it is; else leave it. */
dp_status dp_budget_blame_time(const dp_search *s, dp_status status, dp_error *err);

#endif
