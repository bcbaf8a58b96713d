/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Vectors to condition a site's operands with, from the statistics of its input channels: means to take off, and alphas to multiply
 * with. Rules for alphas are rows of a table; which one serves is for the caller to find out (learn/condition/choose.c).
 *
 * Source  docs/methods.md, "Conditioning".
 */
#ifndef DP_LEARN_BALANCE_H
#define DP_LEARN_BALANCE_H

#include "dynaprec/engine.h"

/* The sites that get one vector: all that read one operand, or one of them. */
typedef struct dp_readers {
    const dp_engine *engine;
    const int *sites;
    int count;
    int64_t inputs;  /* input channels */
    int64_t samples; /* that a half of the statistics is worth */
} dp_readers;

/** Each channel's mean over `samples` (engine/expect.h). Shapes: mu [inputs]. Errors: DP_EMEMORY. */
dp_status dp_balance_means(const dp_readers *r, int samples, float *mu, dp_error *err);

/** How many rules serve that hardware, and one rule's alphas. Shapes: mu [inputs] or NULL, alpha [inputs]. Errors: DP_EMEMORY. */
int dp_balance_rules(const dp_hardware *hardware);
dp_status dp_balance_alphas(const dp_readers *r, int rule, int samples, const float *mu,
                            float *alpha, dp_error *err);

#endif
