/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done to the operands of which sites: what lowers the noise that is to be expected, on samples that it was not computed from.
 */
#ifndef DP_LEARN_CHOOSE_H
#define DP_LEARN_CHOOSE_H

#include "dynaprec/learn.h"

/* What was chosen; owns everything it points to. */
typedef struct dp_choice {
    dp_conditioning list; /* in execution order */
    double *noise;        /* [list.count] expected variance, in parts of what it was */
    int unsigned_sites; /* not centred, because neither the hardware nor what they read has signs */
} dp_choice;

void dp_choice_clear(dp_choice *choice);

/** Take entry i off the list. */
void dp_choice_drop(dp_choice *choice, int i);

/* What a change brings, and what its digital operations cost a sample. */
typedef struct dp_saving {
    double left; /* of the noise's variance */
    double
        saved_j; /* a sample, were all noise gone: what the sites cost at the fewest repetitions */
    double cost_j;
} dp_saving;

/** It is worth touching the network for. */
bool dp_choice_pays(const dp_saving *saving);

typedef struct dp_choice_rules {
    const dp_hardware *hardware;
    const dp_conditionables *sites; /* what the graph allows */
    bool centre, balance;           /* what is asked for */
    int64_t samples;                /* that were surveyed */
} dp_choice_rules;

/**
 * Choose from an engine whose survey has taken statistics of input channels.
 *
 * Errors  DP_EMEMORY; *out is zeroed then.
 */
dp_status dp_choose(dp_choice *out, const dp_engine *engine, const dp_choice_rules *rules,
                    dp_error *err);

#endif
