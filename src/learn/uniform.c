/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Uniform precision: what a learned schedule is compared with. */
#include <math.h>

#include "device/levels.h"
#include "learn/pipeline.h"
#include "learn/result.h"
#include "learn/scale.h"

dp_status dp_uniform_accept(dp_pipeline *p, double t, dp_error *err) {
    dp_search *s = &p->search;
    dp_family uniform = {NULL};
    dp_status status = dp_accept(s, &uniform, t, &p->uniform, err);
    if (status != DP_OK) return status;
    p->has_uniform = true;
    dp_result_energy(s, p->uniform.k, &p->uniform.measure);
    p->uniform.measure.repetitions = p->uniform.k[0];
    for (int i = 0; i < s->units.count; i++)
        if (!s->units.fixed[i]) p->uniform.measure.repetitions = p->uniform.k[i];
    return DP_OK;
}

/* After a descent on labels, how far from the clean output: what acceptance has let pass, else what it is likely to. */
static double target_divergence(const dp_pipeline *p) {
    const dp_acceptance *learned = &p->learned;
    double kl = p->has_learned && learned->passed ? learned->measure.kl.value : NAN;
    return kl > 0 ? kl : dp_shape_likely_loss(&p->search);
}

dp_status dp_uniform_match(dp_pipeline *p, double guess, dp_error *err) {
    dp_family uniform = {NULL};
    dp_search *s = &p->search;
    double t = guess;
    dp_status status = dp_shape_by_labels(p)
                           ? dp_scale_diverge(s, &uniform, target_divergence(p), &t, err)
                           : dp_scale_match(s, &uniform, p->learned.k, &t, err);
    return status == DP_OK ? dp_uniform_accept(p, t, err) : status;
}

double dp_uniform_guess(const dp_pipeline *p) {
    double loss = dp_units_loss(&p->search.units, p->learned.k), s = 0;
    if (dp_shape_by_labels(p)) loss = target_divergence(p);
    for (int i = 0; i < p->search.units.count; i++) s += p->search.units.s[i];
    return loss > 0 ? s / loss : 1;
}

dp_status dp_uniform_within(dp_pipeline *p, double energy_j, dp_error *err) {
    dp_search *s = &p->search;
    double ones = 0, fixed = dp_search_fixed_j(s);
    for (int i = 0; i < s->units.count; i++) {
        if (s->units.fixed[i])
            fixed += s->units.cost_j[i] * s->units.low[i];
        else
            ones += s->units.cost_j[i];
    }
    double level = s->units.low[0]; /* where nothing is free */
    if (ones > 0)
        level = fmin(dp_level_at_most(s->hardware, (energy_j - fixed) / ones * (1 + 1e-12)),
                     dp_family_most(s));
    for (int i = 0; i < s->units.count; i++)
        p->uniform.k[i] = s->units.fixed[i] ? s->units.low[i] : level;
    dp_status status = dp_accept_measure(s, &p->uniform, err);
    if (status != DP_OK) return status;
    p->has_uniform = p->uniform.passed = true;
    dp_result_energy(s, p->uniform.k, &p->uniform.measure);
    p->uniform.measure.repetitions = level;
    return DP_OK;
}
