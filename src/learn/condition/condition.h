/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The stage before all others: the network's operands are conditioned where that lowers the noise, and what follows learns for the
 * network that comes out. Its function is the same (dynaprec/conditioning.h).
 *
 * Source  docs/methods.md, "Conditioning".
 */
#ifndef DP_LEARN_CONDITION_H
#define DP_LEARN_CONDITION_H

#include "learn/condition/choose.h"
#include "learn/search.h"

/* Zeroed, then dp_condition_open, dp_condition_find, dp_condition_clear, which comes after the search's engine is freed. */
typedef struct dp_condition {
    dp_conditionables allowed;
    dp_choice choice; /* what was done; an empty list: nothing */
    dp_graph *graph;  /* conditioned; NULL: nothing is worth doing */
} dp_condition;

/** Make the search's engine for the network as it is, ready to look at its inputs. Errors: as dp_engine_create. */
dp_status dp_condition_open(dp_condition *c, dp_search *s, const dp_graph *graph, dp_error *err);

/**
 * Survey the learn set, and choose; the search's engine is then that of the network which is learned for, and has been surveyed.
 *
 * Errors  as dp_engine_create and dp_engine_survey; the search may have no engine then.
 */
dp_status dp_condition_find(dp_condition *c, dp_search *s, const dp_graph *graph, dp_error *err);

void dp_condition_clear(dp_condition *c);

#endif
