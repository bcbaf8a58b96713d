/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Refinement: strategies that start from the relaxed shape and look for a better one. Each is a row of one table, found by its
 * name. A strategy is a file of its own.
 *
 * All of them improve shape [units] in place near scale t and leave it alone where nothing better was found; when they are
 * cancelled the shape is the best that was found.
 * Errors  DP_EMEMORY; as the passes of the engine.
 */
#ifndef DP_LEARN_REFINE_H
#define DP_LEARN_REFINE_H

#include "learn/search.h"

/* Bits of a refiner. */
enum {
    DP_REFINER_MEASURES = 1, /* sensitivities are measured unit by unit, not by a reverse pass */
    DP_REFINER_REVERSES = 2, /* it needs a reverse pass itself */
    DP_REFINER_LEVELS = 4,   /* it moves between levels, so that there have to be some */
    DP_REFINER_SEARCHES =
        8, /* it evaluates until told to stop: dp_stop's evaluations and seconds */
    DP_REFINER_SETTLES = 16, /* or until little is gained: its tolerance */
    DP_REFINER_STOCHASTIC =
        32 /* it goes by single draws near where it begins, so that has to be right */
};

typedef struct dp_refiner {
    const char *name;
    unsigned traits;
    dp_status (*refine)(dp_search *s, double t, double *shape, dp_error *err);
} dp_refiner;

/** The one that needs no reverse pass, for networks that have none. */
const dp_refiner *dp_refiner_gradient_free(void);

/**
 * What is taken where no name is given: labels where a drop of them is all that is limited, units are parts of layers, and there
 * are some to learn from.
 */
const dp_refiner *dp_refiner_default(const dp_search *s);

/** The refiner of that name. Errors: DP_ERANGE listing the names. */
dp_status dp_refiner_find(const char *name, const dp_refiner **out, dp_error *err);

/** Errors: DP_ERANGE, limits of a search that has none, or levels that are continuous where it needs some. */
dp_status dp_refiner_check(const dp_refiner *refiner, const dp_search *s, dp_error *err);

/** Refine, and count what it takes as work for the shape. */
dp_status dp_refiner_run(const dp_refiner *refiner, dp_search *s, double t, double *shape,
                         dp_error *err);

/* ---- the strategies ---- */

/** point.c: as it is; sensitivities at the noisy operating point, averaged with those of the clean one. */
dp_status dp_refine_keep(dp_search *s, double t, double *shape, dp_error *err);
dp_status dp_refine_operating_point(dp_search *s, double t, double *shape, dp_error *err);

/** stochastic.c: small batches at constant energy. */
dp_status dp_refine_stochastic(dp_search *s, double t, double *shape, dp_error *err);

/** marginal.c: from the operating point, each layer's sensitivities held to the measured derivative. */
dp_status dp_refine_marginal(dp_search *s, double t, double *shape, dp_error *err);

/** descent.c: GSL's minimisers with derivatives (learn/refine/descent.h), from the operating point. */
dp_status dp_refine_bfgs2(dp_search *s, double t, double *shape, dp_error *err);
dp_status dp_refine_conjugate_pr(dp_search *s, double t, double *shape, dp_error *err);

/** simplex.c: nmsimplex2 on groups of layers. */
dp_status dp_refine_simplex(dp_search *s, double t, double *shape, dp_error *err);

/** anneal.c: simulated annealing on levels. */
dp_status dp_refine_anneal(dp_search *s, double t, double *shape, dp_error *err);

/** adam.c: the procedure of [Garg], for comparison. */
dp_status dp_refine_adam(dp_search *s, double t, double *shape, dp_error *err);

#endif
