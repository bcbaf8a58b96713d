/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is kept where learning has not paid: the shape that a descent on labels began from, and uniform precision. */
#include <string.h>

#include "learn/pipeline.h"
#include "learn/result.h"

/* In parts of the descent's energy: what the other shape has to meet the budget with to be tried. */
static const double worth_trying = 0.95;

/* The accepted one, if it is cheaper; the other one's precision is scratch then. */
static void take_cheaper(dp_pipeline *p, const dp_acceptance *relaxed) {
    dp_acceptance *learned = &p->learned;
    int checks = learned->checks + relaxed->checks;
    if (relaxed->passed && relaxed->measure.energy_j < learned->measure.energy_j) {
        p->spare_k = learned->k;
        *learned = *relaxed;
        memcpy(p->shape, p->start, (size_t)p->search.units.count * sizeof *p->shape);
        p->search.name = "clean-point";
    }
    learned->checks = checks;
}

dp_status dp_fallback_relaxed(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    if (!dp_shape_by_labels(p) || s->options->search || !p->learned.passed) return DP_OK;
    dp_family family = {p->start};
    dp_acceptance relaxed = {.k = p->spare_k};
    double energy = worth_trying * p->learned.measure.energy_j - dp_search_fixed_j(s);
    double t = dp_relax_for_energy(&s->units, p->start, energy);
    dp_status status = dp_accept_probe(s, &family, t, &relaxed, err);
    p->learned.checks += relaxed.checks;
    if (status != DP_OK || !relaxed.passed) return status;
    status = dp_accept(s, &family, t, &relaxed, err);
    if (status != DP_OK) return status;
    dp_result_energy(s, relaxed.k, &relaxed.measure);
    take_cheaper(p, &relaxed);
    return DP_OK;
}

void dp_fallback_uniform(dp_pipeline *p) {
    if (!p->has_uniform || !p->uniform.passed) return;
    if (p->learned.passed && p->learned.measure.energy_j <= p->uniform.measure.energy_j) return;
    memcpy(p->learned.k, p->uniform.k, (size_t)p->search.units.count * sizeof(double));
    int checks = p->learned.checks;
    double *k = p->learned.k;
    p->learned = p->uniform;
    p->learned.k = k;
    p->learned.checks = checks;
    p->fell_back = true;
}
