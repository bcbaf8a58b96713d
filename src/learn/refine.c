/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine.h"

#include <stdio.h>
#include <string.h>

#include "base/alloc.h"

/*
 * One more pass of sensitivities at the noisy operating point, averaged half and half with those of the clean point: the
 * clean point starves channels that matter only once others are noisy. Source: docs/methods.md, "Operating point".
 */
static dp_status operating_point(dp_search *s, double t, double *shape, dp_error *err) {
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

/* The shape stays as it was found. */
static dp_status keep(dp_search *s, double t, double *shape, dp_error *err) {
    (void)s;
    (void)t;
    (void)shape;
    (void)err;
    return DP_OK;
}

static const dp_refiner refiners[] = {
    {"operating-point", false, operating_point},
    {"clean-point", false, keep},
    {"gradient-free", true, keep},
};
enum { REFINERS = sizeof refiners / sizeof *refiners };

const char *const *dp_search_names(void) {
    static const char *const names[REFINERS + 1] = {"operating-point", "clean-point",
                                                    "gradient-free", NULL};
    return names;
}

const dp_refiner *dp_refiner_gradient_free(void) {
    return &refiners[REFINERS - 1];
}

dp_status dp_refiner_find(const char *name, const dp_refiner **out, dp_error *err) {
    char all[256] = "";
    size_t used = 0;
    for (int i = 0; i < REFINERS; i++) {
        if (!name || strcmp(name, refiners[i].name) == 0) {
            *out = &refiners[i];
            return DP_OK;
        }
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "",
                                 refiners[i].name);
    }
    return dp_fail(err, DP_ERANGE, "no search is named '%s'; there are %s", name, all);
}
