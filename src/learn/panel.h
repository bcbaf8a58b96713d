/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The check set as it is asked, look by look, about the members of one family.
 *
 * Every look has the same samples and draws. Noise moves an answer's margin in proportion to its standard deviation, so one whole
 * look tells about where each answer turns: what another look will say can be forecast, and only answers that are near their
 * turn have to be asked again. A look passes when all samples have been asked at its very precision.
 *
 * Precisions are compared by their fidelity: a number that the variance of the noise at the output is inversely proportional to.
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
    double *k;    /* [units] the precision at hand */
    int number;   /* of it; precisions are counted from 1 */
    int *
        asked; /* [trials, samples] number of the precision that a score in check.scores is of; 0: none */
    double *at;      /* [trials, samples] its fidelity */
    double spread;   /* of what noise does to margins, at fidelity 1: root mean square */
    dp_score *moved; /* [trials, samples] what they are taken to be at the fidelity at hand */
    int64_t *list;   /* [samples] scratch */
    dp_score *some;  /* [trials, samples] scratch */
} dp_panel;

/* How much is asked. */
typedef enum dp_ask {
    DP_ASK_SOME,  /* a quarter of the draws if these decide, or those that do */
    DP_ASK_DRAWS, /* all draws, or those that decide */
    DP_ASK_PASS, /* all draws of all samples, but for those that cannot turn where the others fail already */
    DP_ASK_ALL /* all draws of all samples */
} dp_ask;

typedef struct dp_look {
    double excess; /* bound over budget, the largest of all budgets */
    int active;    /* the criterion whose it is */
    bool whole;    /* all samples, with all draws, at this precision */
} dp_look;

/** Errors: DP_EMEMORY; *p can be closed all the same. */
dp_status dp_panel_open(dp_panel *p, dp_search *s, dp_error *err);
void dp_panel_close(dp_panel *p);

/**
 * Ask about precision k what was not asked about it.
 *
 * Shapes  k [units].
 * Errors  as dp_engine_evaluate.
 */
dp_status dp_panel_ask(dp_panel *p, const double *k, double fidelity, dp_ask ask, dp_look *look,
                       dp_error *err);

/**
 * The fidelity, within a factor of 4 of that of the last look, from which on the excess is forecast to be at most `excess`; NaN:
 * unknown.
 */
dp_status dp_panel_forecast(dp_panel *p, double fidelity, double excess, double *found,
                            dp_error *err);

/** Scores as the last look had them. */
dp_outcome dp_panel_outcome(const dp_panel *p);

#endif
