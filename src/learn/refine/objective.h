/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The measured loss that searches minimise: of a precision, on some samples and certain draws, with its derivative where
 * the network has one. Divergence from the clean output, or with --objective cross-entropy that of the labels.
 *
 * A search looks at a part of the learn set, and what it found is held to samples and draws that it did not look at. The check set is
 * never asked.
 * Source  docs/methods.md, "Refinement".
 */
#ifndef DP_LEARN_OBJECTIVE_H
#define DP_LEARN_OBJECTIVE_H

#include "learn/refine/watch.h"
#include "learn/search.h"

/* Samples of the learn set. */
typedef struct dp_part {
    dp_dataset *view;
    dp_reference *reference;
    int64_t samples;
} dp_part;

/**
 * Samples of the learn set by their numbers in it.
 *
 * Shapes  numbers [count], ascending.
 */
dp_status dp_part_pick(dp_part *out, const dp_search *s, const int64_t *numbers, int64_t count,
                       dp_error *err);
void dp_part_clear(dp_part *part);

/* The loss at a precision and its derivative by log K, with room for both. */
typedef struct dp_slope {
    bool cross_entropy;
    double loss; /* nats a position */
    double *by_log_k,
        *variance; /* [units]; of the error; NaN where one group of samples says nothing of it */
    double *channel[2]; /* [channels] */
    dp_score *scores;   /* [room] */
} dp_slope;

/** Room for `scores` of them, samples times draws. Errors: DP_EMEMORY; dp_slope_clear releases what there is. */
dp_status dp_slope_open(dp_slope *out, const dp_search *s, int64_t scores, dp_error *err);
void dp_slope_clear(dp_slope *slope);

/** Measure at units' K under draws first, count. Counted as work. Shapes: k [units]. Errors: as dp_engine_derivative. */
dp_status dp_slope_measure(dp_slope *slope, dp_search *s, const dp_part *part,
                           const uint32_t draws[2], const double *k, dp_error *err);

/** The loss alone, by forward passes. Errors: as dp_engine_evaluate. */
dp_status dp_slope_loss(dp_slope *slope, dp_search *s, const dp_part *part, const uint32_t draws[2],
                        const double *k, dp_error *err);

/* Samples of the learn set that are used in turn. */
typedef struct dp_sample_pool {
    int64_t *numbers, count; /* in the learn set, ascending */
    int64_t turn;
} dp_sample_pool;

/* Shapes are compared at one energy. What the search sees has index 0, what it does not see has index 1. */
typedef struct dp_objective {
    dp_search *s;
    dp_watch watch;
    double energy_j;        /* sum of B K that every precision has, as far as bounds allow */
    dp_sample_pool pool[2]; /* three quarters and a quarter, or all twice where they are few */
    dp_part part[2];        /* at most 256 and 512 of them */
    uint32_t draws[2][2];   /* first, count: the same ones at every precision until renewed */
    dp_slope slope;
    double *k; /* [units] */
} dp_objective;

/** An objective at the energy of `shape` at t; dp_objective_renew comes before it measures. Errors: DP_EMEMORY; dp_objective_close releases what there is. */
dp_status dp_objective_open(dp_objective *o, dp_search *s, double t, const double *shape,
                            dp_error *err);
void dp_objective_close(dp_objective *o);

/** From now on the search sees other draws and, where there are enough, other samples. Errors: DP_EMEMORY. */
dp_status dp_objective_renew(dp_objective *o, dp_error *err);

/** Set o->k to the precision of that shape and energy. Shapes: shape [units]. */
void dp_objective_place(dp_objective *o, const double *shape);

/** Scale a shape so that it has this energy at t. Shapes: shape [units]. */
void dp_objective_normalise(const dp_objective *o, double t, double *shape);

/** Measure o->k on what the search sees: o->slope.loss, and by_log_k with a derivative. Counted as an evaluation. */
dp_status dp_objective_measure(dp_objective *o, bool derivative, dp_error *err);

/** Take draws that nothing has seen, for a comparison on samples that the search does not see. Errors: DP_EMEMORY. */
dp_status dp_objective_hold(dp_objective *o, dp_error *err);

/** The loss of o->k on these. */
dp_status dp_objective_unseen(dp_objective *o, double *loss, dp_error *err);

/**
 * Is the loss at shape `b` below that at `a` on what the search has not seen?
 *
 * Random  draws that nothing has seen, the same ones for both.
 */
dp_status dp_objective_better(dp_objective *o, const double *a, const double *b, bool *better,
                              dp_error *err);

#endif
