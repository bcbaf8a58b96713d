/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Two schedules, layer by layer. Layers belong together that have the same name, channels and multiply-accumulates; what one
 * schedule alone has is a difference, too.
 */
#ifndef DP_PLAN_COMPARE_H
#define DP_PLAN_COMPARE_H

#include "dynaprec/schedule.h"

typedef struct dp_layer_pair {
    const dp_layer *layer[2]; /* of a and of b; NULL: it has none */
    bool different;           /* some channel's repetitions are not the same */
    double
        moved_j; /* energy that repetitions which differ take: sum over channels of B |K_a - K_b| */
} dp_layer_pair;

typedef struct dp_comparison {
    dp_layer_pair *pairs; /* what moves most energy first */
    int count;
    int matched, different;
} dp_comparison;

/**
 * Compare. The schedules must outlive the comparison.
 *
 * Errors  DP_EFORMAT: not one layer belongs together; DP_EMEMORY.
 */
dp_status dp_schedule_compare(dp_comparison *out, const dp_schedule *a, const dp_schedule *b,
                              dp_error *err);
void dp_comparison_clear(dp_comparison *comparison);

#endif
