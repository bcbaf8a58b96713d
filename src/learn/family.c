/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From one number to a precision, and to what it does. */
#include <math.h>

#include "device/levels.h"
#include "learn/search.h"

void dp_family_relaxed(const dp_search *s, const dp_family *f, double t, double *k) {
    if (f->shape) {
        dp_relax_at(&s->units, f->shape, t, k);
        return;
    }
    for (int i = 0; i < s->units.count; i++)
        k[i] = fmin(fmax(t, s->units.low[i]), s->units.high[i]);
}

dp_status dp_family_levels(dp_search *s, const dp_family *f, double t, double *k,
                           dp_rounding *rounding, dp_error *err) {
    dp_rounding unused;
    if (f->shape) {
        dp_relax_at(&s->units, f->shape, t, k);
        dp_allocation allocation = {&s->units, s->hardware, f->shape};
        if (!rounding) rounding = &unused;
        dp_status status = dp_round_levels(&allocation, k, rounding, err);
        if (status != DP_OK || !dp_timed_exceeds(&s->units, k)) return status;
        return dp_timed_levels(&allocation, t, k, rounding, err);
    }
    if (rounding) *rounding = dp_round_nothing();
    double level = dp_level_at_least(s->hardware, t * (1 - 1e-9));
    for (int i = 0; i < s->units.count; i++) k[i] = s->units.fixed[i] ? s->units.low[i] : level;
    return DP_OK;
}

void dp_family_range(const dp_search *s, const dp_family *f, double *low, double *high) {
    if (f->shape) {
        dp_relax_range(&s->units, f->shape, low, high);
        return;
    }
    *low = s->hardware->repetitions_min;
    *high = dp_family_most(s);
}

static void spread_level(const dp_units *u, double level, double *k) {
    for (int i = 0; i < u->count; i++) k[i] = u->fixed[i] ? u->low[i] : level;
}

double dp_family_most(const dp_search *s) {
    double low = s->hardware->repetitions_min, high = s->hardware->repetitions_max;
    const dp_units *u = &s->units;
    spread_level(u, high, u->scratch);
    if (!dp_timed_exceeds(u, u->scratch)) return high;
    while (high / low > 1 + 1e-12) {
        double k = sqrt(low * high);
        spread_level(u, k, u->scratch);
        if (dp_timed_exceeds(u, u->scratch))
            high = k;
        else
            low = k;
    }
    if (s->hardware->levels == DP_LEVELS_CONTINUOUS) return low;
    return dp_level_at_most(s->hardware, low * (1 + 1e-9));
}

bool dp_family_hurried(const dp_search *s, const double *shape, double t) {
    dp_units unlimited = s->units;
    unlimited.most_operations = 0;
    dp_relax_at(&unlimited, shape, t, s->units.scratch);
    return dp_timed_exceeds(&s->units, s->units.scratch);
}

double dp_family_for_loss(dp_search *s, const dp_family *f, double loss) {
    double low, high;
    dp_family_range(s, f, &low, &high);
    while (high / low > 1 + 1e-4) {
        double t = sqrt(low * high);
        dp_family_relaxed(s, f, t, s->k);
        if (dp_units_loss(&s->units, s->k) > loss)
            low = t;
        else
            high = t;
    }
    return high;
}

double dp_search_fixed_j(const dp_search *s) {
    double sum = 0;
    for (int i = 0; i < dp_engine_site_count(s->engine); i++)
        sum += dp_engine_site(s->engine, i)->fixed_j;
    return sum;
}

void dp_search_count(dp_search *s, int64_t samples, int cost) {
    s->passes += (double)(samples * cost) / (double)s->learn.samples;
}

dp_status dp_search_sensitivity(dp_search *s, const dp_evaluation *point, double *sensitivities,
                                dp_error *err) {
    dp_status status = dp_engine_sensitivity(s->engine, point, sensitivities, err);
    if (status == DP_OK) dp_search_count(s, s->learn.samples, DP_REVERSE_COST);
    return status;
}

double dp_search_fidelity(const dp_search *s, const double *k, double otherwise) {
    double loss = dp_units_loss(&s->units, k);
    return loss > 0 && isfinite(loss) ? 1 / loss : otherwise;
}

dp_status dp_search_evaluate(dp_search *s, dp_half *half, const double *k, const uint32_t trials[2],
                             dp_error *err) {
    dp_units_spread(&s->units, k, s->repetitions);
    dp_evaluation e = {.reference = half->reference,
                       .repetitions = s->repetitions,
                       .first_trial = trials[0],
                       .trials = (int)trials[1]};
    dp_search_count(s, half->samples * e.trials, DP_FORWARD_COST);
    half->draws = e.trials;
    half->fidelity = dp_search_fidelity(s, k, INFINITY);
    return dp_engine_evaluate(s->engine, &e, half->scores, err);
}
