/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the writer and the reader of schedules must agree on. */
#ifndef DP_PLAN_SCHEDULE_FORMAT_H
#define DP_PLAN_SCHEDULE_FORMAT_H

#include "dynaprec/schedule.h"

#define DP_SCHEDULE_FORMAT "dynaprec-schedule/1"

/* One entry of a dp_measure, in the order of the file: a dp_figure or a double at `offset`. */
typedef struct dp_measure_field {
    const char *name;
    size_t offset;
    bool figure;
    bool late; /* older files do not have it */
} dp_measure_field;

/** The fields of a dp_measure; they end before the first one without a name. */
extern const dp_measure_field dp_measure_fields[];

/** value, lower, upper. */
extern const char *const dp_figure_names[3];

/** As dp_budget; the first one is empty. */
extern const char *const dp_budget_words[];

/** What rounding minimised: energy_j, loss; NULL at the end. */
extern const char *const dp_rounding_words[];

/** Operands: plain, conditioned; NULL at the end. */
extern const char *const dp_operands_words[];

/** How many repetitions a layer of that granularity has; 0: no such granularity. */
int dp_schedule_units(const char *granularity, int channels);

#endif
