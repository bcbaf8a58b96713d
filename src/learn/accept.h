/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Acceptance on the check set, which the search has not seen: fresh draws, rounded levels, and the budget holds if the
 * one-sided bound of the paired difference does.
 *
 * It starts at the t that the learn set asks for and walks to the cheapest pass (learn/approach.h). Every look, of the learned
 * family and of the uniform one, has the same samples and the same draws: the bound is then one function of t, that falls
 * but for little, and asking it again is no new chance. How often the set was asked stands in the schedule.
 * Source  docs/methods.md, "Acceptance".
 */
#ifndef DP_LEARN_ACCEPT_H
#define DP_LEARN_ACCEPT_H

#include "learn/search.h"

typedef struct dp_acceptance {
    double *k; /* [units] of the cheapest passing precision, the caller's */
    double t;
    bool passed;            /* false: k is the last one that was tried */
    dp_quantity active;     /* which budget is nearest to its limit, or farthest beyond */
    int checks;             /* how often the check set was asked */
    double energy_failed_j; /* sum of B K of the dearest failure below it; 0: none */
    dp_rounding rounding;
    dp_measure measure; /* on the check set; its energy is left alone */
} dp_acceptance;

/** Errors: as dp_engine_evaluate. A budget that is not met is not an error: passed says so. */
dp_status dp_accept(dp_search *s, const dp_family *family, double t, dp_acceptance *a,
                    dp_error *err);

/**
 * Ask about the family's member at t alone, with a quarter of the draws if these leave no doubt; a->passed: it does not fail. So few
 * draws certify nothing. Errors: as dp_accept.
 */
dp_status dp_accept_probe(dp_search *s, const dp_family *family, double t, dp_acceptance *a,
                          dp_error *err);

/** Measure the precision in a->k once with those draws, without asking whether it meets a budget. */
dp_status dp_accept_measure(dp_search *s, dp_acceptance *a, dp_error *err);

#endif
