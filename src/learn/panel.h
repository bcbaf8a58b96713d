/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The check set as it is asked, look by look, about the members of one family.
 *
 * Every look has the same samples and draws. Noise moves an answer's margin by an amount that falls as 1 / sqrt(t), so one whole
 * look tells about where each answer turns: what another look will say can be forecast, and only answers that are near their
 * turn have to be asked again. A look passes when all samples have been asked at its very t.
 *
 * dp_panel_open, looks, dp_panel_close; the search's check.scores belong to the panel meanwhile.
 * Source  docs/methods.md, "Acceptance".
 */
#ifndef DP_LEARN_PANEL_H
#define DP_LEARN_PANEL_H

#include "learn/search.h"

typedef struct dp_panel {
    dp_search *s;
    bool margins; /* samples have one answer each, and a drop is limited: looks can be forecast */
    bool parts;   /* noise does not tie samples together: some can be asked without the others */
    int draws;    /* that every sample was asked with; 0: none yet */
    double *at;   /* [samples] the t that the sample's scores in check.scores are of */
    dp_score *moved; /* [trials, samples] what they are taken to be at the t at hand */
    int64_t *list;   /* [samples] scratch */
    dp_score *some;  /* [trials, samples] scratch */
} dp_panel;

typedef struct dp_look {
    double excess; /* bound over budget, the largest of all budgets */
    int active;    /* the criterion whose it is */
    bool whole;    /* all samples, with all draws, at this t */
} dp_look;

/** Errors: DP_EMEMORY; *p can be closed all the same. */
dp_status dp_panel_open(dp_panel *p, dp_search *s, dp_error *err);
void dp_panel_close(dp_panel *p);

/**
 * Ask about precision k, the member at t. whole: ask all that was not asked at this t; else what decides.
 *
 * Shapes  k [units].
 * Errors  as dp_engine_evaluate.
 */
dp_status dp_panel_ask(dp_panel *p, const double *k, double t, bool whole, dp_look *look,
                       dp_error *err);

/** The t, within a factor of 4 of that of the last look, from which on the excess is forecast to be at most `excess`; NaN: unknown. */
dp_status dp_panel_forecast(dp_panel *p, double t, double excess, double *found, dp_error *err);

/** Scores as the last look had them. */
dp_outcome dp_panel_outcome(const dp_panel *p);

#endif
