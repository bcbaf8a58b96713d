/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a budget is about: the paired difference, sample by sample, between the clean and the noisy network, averaged over
 * draws; and its one-sided upper confidence bound, which has to lie within the budget.
 */
#ifndef DP_LEARN_CRITERION_H
#define DP_LEARN_CRITERION_H

#include "dynaprec/learn.h"

typedef enum dp_quantity { DP_DROP, DP_RISE } dp_quantity;
enum { DP_QUANTITIES = 2 };

typedef struct dp_criterion {
    dp_quantity quantity;
    double budget; /* DP_DROP: a fraction of positions (not points); DP_RISE: nats a position */
    double confidence;
    bool
        labels; /* the data have labels: top-1 counts; otherwise agreement with the clean prediction */
    bool
        regression; /* outputs are quantities: no top-1, and rises are in parts of their variance */
    bool targets;   /* and the data have true values */
    bool
        cross_entropy; /* DP_RISE: of the cross-entropy; otherwise divergence from the clean output */
} dp_criterion;

/** Set what the data decide: labels, regression, targets. Errors: DP_ERANGE, a drop is asked for where nothing has a top-1. */
dp_status dp_criterion_adapt(dp_criterion *criterion, const dp_engine *engine,
                             const dp_dataset *data, dp_error *err);

/* Scores of one data set under `trials` draws, beside the clean ones. */
typedef struct dp_outcome {
    const dp_score *clean, *noisy; /* [samples], [trials, samples] */
    int64_t samples;
    int trials;
} dp_outcome;

typedef struct dp_verdict {
    double mean, upper;
} dp_verdict;

/**
 * Judge an outcome.
 *
 * `stand_in_for`: number of samples for which the bound is wanted: how tight it would be on so many samples that behave as
 * these do (they are repeated or cut); 0: on these.
 * Errors  DP_EMEMORY.
 */
dp_status dp_criterion_judge(const dp_criterion *criterion, const dp_outcome *outcome,
                             int64_t stand_in_for, dp_verdict *verdict, dp_error *err);

/* What several budgets say together; of each, `excess` is the bound in parts of its budget. */
typedef struct dp_answer {
    double excess; /* the largest: met if at most 1; huge where noise makes it infinite */
    double mean;   /* the largest mean in parts of its budget */
    int active;    /* which budget has the largest excess */
    dp_verdict verdict[DP_QUANTITIES];
} dp_answer;

/** Judge an outcome by all of `count` criteria. `stand_in_for` as above. Errors: DP_EMEMORY. */
dp_status dp_criteria_judge(const dp_criterion *criteria, int count, const dp_outcome *outcome,
                            int64_t stand_in_for, dp_answer *answer, dp_error *err);

/** What its budget is told in: "points", "nats", "of the outputs' variance". */
const char *dp_criterion_unit(const dp_criterion *criterion);

/** The least number of samples with which the budget can be certified at all, were there no difference. Drops only; else 2. */
int64_t dp_criterion_least_samples(const dp_criterion *criterion);

/**
 * About the largest mean whose bound is within the budget, on so many samples whose answers change in half of the draws if at
 * all. Rises: the budget.
 */
double dp_criterion_allowance(const dp_criterion *criterion, int64_t samples);

/** Fill accuracy, loss, divergence, drop and rise of a measure, with intervals. Energy is left alone. Errors: DP_EMEMORY. */
dp_status dp_criterion_measure(const dp_criterion *criterion, const dp_outcome *outcome,
                               dp_measure *out, dp_error *err);

#endif
