/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/range.h"

#include <math.h>

#include "device/levels.h"

bool dp_range_has(const dp_hardware *h, double k) {
    return k >= h->repetitions_min && k <= h->repetitions_max && dp_level_at_least(h, k) == k;
}

static dp_status take(const dp_hardware *h, const char *option, double given, double *bound,
                      dp_error *err) {
    static const char *const levels[] = {[DP_LEVELS_INTEGER] = "whole numbers",
                                         [DP_LEVELS_POWER_OF_TWO] = "powers of two",
                                         [DP_LEVELS_CONTINUOUS] = "any number"};
    if (isnan(given)) return DP_OK;
    if (!dp_range_has(h, given))
        return dp_fail(err, DP_ERANGE, "%s %g: hardware '%s' allows %g to %g, %s", option, given,
                       h->name, h->repetitions_min, h->repetitions_max, levels[h->levels]);
    *bound = given;
    return DP_OK;
}

dp_status dp_range_narrow(dp_hardware *out, const dp_hardware *h, const dp_learn_options *o,
                          dp_error *err) {
    *out = *h;
    dp_status status = take(h, "min-repetitions", o->min_repetitions, &out->repetitions_min, err);
    if (status == DP_OK)
        status = take(h, "max-repetitions", o->max_repetitions, &out->repetitions_max, err);
    if (status != DP_OK || out->repetitions_min <= out->repetitions_max) return status;
    return dp_fail(err, DP_ERANGE,
                   "min-repetitions %g is above max-repetitions %g; hardware '%s' allows %g to %g",
                   out->repetitions_min, out->repetitions_max, h->name, h->repetitions_min,
                   h->repetitions_max);
}
