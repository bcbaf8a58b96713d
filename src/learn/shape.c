/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The learned family: its shape by relaxation and refinement, its scale by measuring the learn set. */
#include <math.h>

#include "learn/gradient_free.h"
#include "learn/pipeline.h"
#include "learn/scale.h"

/* Of log t, where acceptance begins; it settles the rest. */
static const double tolerance = 0.25;

/* A first guess of the loss at which a budget is just met: for drops, about 5 hundredths of a nat a point. */
static double likely_loss(const dp_search *s) {
    double loss = INFINITY;
    for (int i = 0; i < s->n_criteria; i++) {
        const dp_criterion *c = &s->criteria[i];
        loss = fmin(loss, c->quantity == DP_RISE ? c->budget : 5 * c->budget);
    }
    return loss;
}

dp_status dp_shape_find(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    dp_evaluation point = {.reference = s->learn.reference, .first_trial = 0, .trials = 1};
    dp_status status = DP_EUNSUPPORTED;
    double before = s->passes;
    if (!(p->refiner->traits & DP_REFINER_MEASURES))
        status = s->obstacle.status = dp_search_sensitivity(s, &point, s->s, &s->obstacle);
    if (status != DP_OK && status != DP_EUNSUPPORTED)
        return dp_fail(err, status, "%s", s->obstacle.text);
    if (status == DP_EUNSUPPORTED) { /* asked for, or an operator has no reverse pass */
        if (p->refiner->traits & (DP_REFINER_REVERSES | DP_REFINER_MEASURES))
            p->refiner = dp_refiner_gradient_free();
        status = dp_gradient_free(s, likely_loss(s), err);
    }
    s->passes_shape += s->passes - before;
    if (status != DP_OK) return status;
    s->name = p->refiner->name;
    dp_units_collect(&s->units, s->s);
    dp_relax_shape(&s->units, p->shape);
    p->t = dp_relax_for_loss(&s->units, p->shape, likely_loss(s));
    p->relaxed = true;
    return DP_OK;
}

dp_status dp_shape_scale_of(dp_search *s, const dp_family *family, double guess, double *t,
                            dp_error *err) {
    int half = (s->options->trials + 1) / 2; /* of a check's draws */
    dp_scale scale = {.guess = guess, .tolerance = tolerance, .trials = half};
    return dp_scale_find(s, family, &scale, t, err);
}

dp_status dp_shape_scale(dp_pipeline *p, dp_error *err) {
    dp_family family = {p->shape};
    return dp_shape_scale_of(&p->search, &family, p->t, &p->t, err);
}

/* After a change of shape: as far from the clean output as before, and no farther than the budget allowed then. */
dp_status dp_shape_refine(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    dp_family family = {p->shape};
    dp_family_relaxed(s, &family, p->t, p->learned.k);
    dp_status status = dp_refiner_run(p->refiner, s, p->t, p->shape, err);
    return status == DP_OK ? dp_scale_match(s, &family, p->learned.k, &p->t, err) : status;
}
