/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The closed form at another point of the loss, or at none. */
#include "base/alloc.h"
#include "learn/refine/refine.h"

dp_status dp_refine_keep(dp_search *s, double t, double *shape, dp_error *err) {
    (void)s;
    (void)t;
    (void)shape;
    (void)err;
    return DP_OK;
}

/*
 * One more pass of sensitivities at the noisy operating point, averaged half and half with those of the clean point: the
 * clean point starves channels that matter only once others are noisy. Source: docs/methods.md, "Operating point".
 */
dp_status dp_refine_operating_point(dp_search *s, double t, double *shape, dp_error *err) {
    double *noisy = dp_alloc((size_t)s->units.channels, sizeof *noisy);
    if (!noisy) return dp_fail(err, DP_EMEMORY, "no memory for sensitivities");
    dp_relax_at(&s->units, shape, t, s->k);
    dp_units_spread(&s->units, s->k, s->repetitions);
    dp_evaluation point = {.reference = s->learn.reference,
                           .repetitions = s->repetitions,
                           .first_trial = s->next_trial++,
                           .trials = 1};
    dp_status status = dp_search_sensitivity(s, &point, noisy, err);
    for (int64_t c = 0; status == DP_OK && c < s->units.channels; c++)
        s->s[c] = 0.5 * (s->s[c] + noisy[c]);
    dp_free(noisy);
    if (status != DP_OK) return status;
    dp_units_collect(&s->units, s->s);
    dp_relax_shape(&s->units, shape);
    return DP_OK;
}
