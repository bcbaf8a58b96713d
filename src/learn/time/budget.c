/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Latency budgets: what they are in operations of the core, and whether they can be met. */
#include <math.h>
#include <stdio.h>

#include "learn/pipeline.h"

/* Rounding errors of sums must not cost a repetition. */
static const double slack = 1e-9;

/* "2 to 8x (20 to 80 us)": the range of what the units' bounds allow. */
static void describe_range(const dp_search *s, char text[128]) {
    double one = dp_engine_operations(s->engine, NULL), second = dp_engine_operation_s(s->engine);
    double least = dp_blocks_operations(&s->units.blocks, s->units.low);
    double most = dp_blocks_operations(&s->units.blocks, s->units.high);
    if (isnan(second))
        snprintf(text, 128, "%.4gx to %.4gx", least / one, most / one);
    else
        snprintf(text, 128, "%.4gx to %.4gx (%.4g s to %.4g s)", least / one, most / one,
                 least * second, most * second);
}

dp_status dp_budget_limit_time(dp_search *s, dp_error *err) {
    const dp_learn_options *o = s->options;
    double one = dp_engine_operations(s->engine, NULL), second = dp_engine_operation_s(s->engine);
    bool absolute = o->latency_unit == DP_LATENCY_S;
    char range[128];
    if (o->latency_unit == DP_LATENCY_NONE) return DP_OK;
    if (absolute && isnan(second))
        return dp_fail(err, DP_ERANGE,
                       "a latency of %g s: hardware '%s' does not say how long an operation takes "
                       "(latency.operation_s), so only multiples of the time of one repetition "
                       "everywhere are allowed, as in 2x",
                       o->latency, s->hardware->name);
    double limit = o->latency * (absolute ? 1 / second : one);
    s->units.most_operations = limit * (1 + slack);
    if (!dp_timed_exceeds(&s->units, s->units.low)) return DP_OK;
    describe_range(s, range);
    return dp_fail(err, DP_EBUDGET,
                   "a latency of %.4g%s cannot be met on hardware '%s': %s is feasible", o->latency,
                   absolute ? " s" : "x", s->hardware->name, range);
}

dp_status dp_budget_blame_time(const dp_search *s, dp_status status, dp_error *err) {
    bool limited = dp_timed_exceeds(&s->units, s->units.high);
    if (!err || !limited || (status != DP_EBUDGET && status != DP_EUNMET)) return status;
    char before[sizeof err->text], range[128];
    snprintf(before, sizeof before, "%s", err->text);
    describe_range(s, range);
    double limit = s->units.most_operations / (1 + slack);
    return dp_fail(err, status,
                   "%s; within a latency of %.4gx, where %s is feasible, latency is the active "
                   "budget",
                   before, limit / dp_engine_operations(s->engine, NULL), range);
}
