/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/refine.h"

#include <stdio.h>
#include <string.h>

enum {
    MEASURES = DP_REFINER_MEASURES,
    REVERSES = DP_REFINER_REVERSES,
    LEVELS = DP_REFINER_LEVELS,
    SEARCHES = DP_REFINER_SEARCHES,
    SETTLES = DP_REFINER_SETTLES
};

static const dp_refiner refiners[] = {
    {"stochastic", REVERSES | SEARCHES | DP_REFINER_STOCHASTIC, dp_refine_stochastic},
    {"marginal", REVERSES, dp_refine_marginal},
    {"operating-point", REVERSES, dp_refine_operating_point},
    {"clean-point", REVERSES, dp_refine_keep},
    {"gradient-free", MEASURES, dp_refine_keep},
    {"bfgs2", REVERSES | SEARCHES | SETTLES, dp_refine_bfgs2},
    {"conjugate_pr", REVERSES | SEARCHES | SETTLES, dp_refine_conjugate_pr},
    {"simplex", SEARCHES | SETTLES, dp_refine_simplex},
    {"anneal", LEVELS | SEARCHES, dp_refine_anneal},
    {"adam", REVERSES | SEARCHES, dp_refine_adam},
};
enum {
    REFINERS = sizeof refiners / sizeof *refiners,
    STOCHASTIC = 0,
    MARGINAL = 1,
    GRADIENT_FREE = 4
};

/* Fewer labels say too little. */
enum { LEAST_LABELS = 64 };

const char *const *dp_search_names(void) {
    static const char *const names[REFINERS + 1] = {
        "stochastic", "marginal",     "operating-point", "clean-point", "gradient-free",
        "bfgs2",      "conjugate_pr", "simplex",         "anneal",      "adam",
        NULL};
    return names;
}

const dp_refiner *dp_refiner_default(const dp_search *s) {
    bool drop = s->criteria[0].quantity == DP_DROP && s->to_labels &&
                s->options->granularity != DP_GRAIN_LAYER;
    return &refiners[drop && s->learn.samples >= LEAST_LABELS ? STOCHASTIC : MARGINAL];
}

const dp_refiner *dp_refiner_gradient_free(void) {
    return &refiners[GRADIENT_FREE];
}

dp_status dp_refiner_find(const char *name, const dp_refiner **out, dp_error *err) {
    char all[256] = "";
    size_t used = 0;
    for (int i = 0; i < REFINERS; i++) {
        if (strcmp(name, refiners[i].name) == 0) {
            *out = &refiners[i];
            return DP_OK;
        }
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s", i ? ", " : "",
                                 refiners[i].name);
    }
    return dp_fail(err, DP_ERANGE, "no search is named '%s'; there are %s", name, all);
}

static dp_status check_limits(const dp_refiner *refiner, const dp_stop *stop, dp_error *err) {
    bool limited = stop->max_evaluations || stop->max_seconds > 0;
    if (limited && !(refiner->traits & SEARCHES))
        return dp_fail(err, DP_ERANGE,
                       "search '%s' takes a fixed number of passes: evaluations and seconds limit "
                       "stochastic, bfgs2, conjugate_pr, simplex, anneal and adam",
                       refiner->name);
    if (stop->tolerance > 0 && !(refiner->traits & SETTLES))
        return dp_fail(err, DP_ERANGE,
                       "search '%s' has no tolerance; bfgs2, conjugate_pr and simplex have one",
                       refiner->name);
    return DP_OK;
}

dp_status dp_refiner_check(const dp_refiner *refiner, const dp_search *s, dp_error *err) {
    dp_status status = check_limits(refiner, &s->options->stop, err);
    if (status != DP_OK) return status;
    if (!(refiner->traits & LEVELS) || s->hardware->levels != DP_LEVELS_CONTINUOUS) return DP_OK;
    return dp_fail(err, DP_ERANGE,
                   "search '%s' exchanges levels, and those of hardware '%s' are continuous; "
                   "integer or power-of-two levels are asked for",
                   refiner->name, s->hardware->name);
}

dp_status dp_refiner_run(const dp_refiner *refiner, dp_search *s, double t, double *shape,
                         dp_error *err) {
    double before = s->passes;
    dp_status status = refiner->refine(s, t, shape, err);
    s->passes_shape += s->passes - before;
    return status;
}
