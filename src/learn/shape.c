/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The learned family: its shape by relaxation and refinement, its scale by measuring the learn set. */
#include <math.h>
#include <string.h>

#include "learn/gradient_free.h"
#include "learn/pipeline.h"
#include "learn/scale.h"

/* Of log t, where acceptance begins; it settles the rest. */
static const double tolerance = 0.25;

/* Where acceptance begins after a descent on labels, in parts of the energy that the relaxed shape needs. */
static const double labels_leave = 0.5;

/* So many times what curvature predicts, or so many times less, is by far: 1.0 to 1.6 is usual, on operands as they are 4 and 42 were seen. */
static const double mispredicted = 2;

/* An excess over the budget up to which the two halves may disagree about it. */
static const double near_miss = 1.25;

double dp_shape_likely_loss(const dp_search *s) {
    double loss = INFINITY;
    for (int i = 0; i < s->n_criteria; i++) {
        const dp_criterion *c = &s->criteria[i];
        double allowed = dp_criterion_allowance(c, s->check.counted);
        loss = fmin(loss, c->quantity == DP_RISE ? allowed : 5 * allowed);
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
        status = dp_gradient_free(s, dp_shape_likely_loss(s), err);
    }
    s->passes_shape += s->passes - before;
    if (status != DP_OK) return status;
    s->name = p->refiner->name;
    dp_units_collect(&s->units, s->s);
    dp_relax_shape(&s->units, p->shape);
    p->t = dp_relax_for_loss(&s->units, p->shape, dp_shape_likely_loss(s));
    p->relaxed = true;
    return DP_OK;
}

dp_status dp_shape_scale_of(dp_search *s, const dp_family *family, double guess, double *t,
                            dp_error *err) {
    int quarter = (s->options->trials + 3) / 4; /* of a check's draws */
    dp_scale scale = {.guess = guess, .tolerance = tolerance, .trials = quarter};
    return dp_budget_blame_time(s, dp_scale_find(s, family, &scale, t, err), err);
}

/* How far the learn set's bound at the highest precision is beyond the budget, in parts of it. */
static dp_status excess_at_most(dp_pipeline *p, double most, double *excess, dp_error *err) {
    dp_search *s = &p->search;
    dp_family family = {p->shape};
    uint32_t trials[2] = {s->next_trial, (uint32_t)(s->options->trials + 1) / 2};
    dp_answer answer;
    s->next_trial += trials[1];
    dp_family_relaxed(s, &family, most, s->k);
    dp_status status = dp_search_evaluate(s, &s->learn, s->k, trials, err);
    if (status != DP_OK) return status;
    dp_outcome outcome = {.clean = dp_reference_scores(s->learn.reference),
                          .noisy = s->learn.scores,
                          .samples = s->learn.samples,
                          .trials = (int)trials[1]};
    status =
        dp_criteria_judge(s->criteria, s->n_criteria, &outcome, s->check.counted, &answer, err);
    *excess = answer.excess;
    return status;
}

bool dp_shape_by_labels(const dp_pipeline *p) {
    return (p->refiner->traits & DP_REFINER_STOCHASTIC) && p->search.to_labels;
}

/*
 * A descent on labels begins where the divergence is what a budget of that size is likely to allow: where an answer more or less
 * decides, as with few samples, the precision that the learn set asks for says little. Where curvature predicts another divergence by
 * far, neither its shape nor that place is one to begin from, and marginal loss is left to find one, unless the user asked for the descent, or
 * limited it.
 */
static dp_status scale_by_divergence(dp_pipeline *p, bool *found, dp_error *err) {
    dp_search *s = &p->search;
    dp_family family = {p->shape};
    double low, most, predicted = p->t;
    dp_family_range(s, &family, &low, &most);
    dp_status status = dp_scale_diverge(s, &family, dp_shape_likely_loss(s), &p->t, err);
    *found = p->t < most;
    const dp_stop *stop = &s->options->stop;
    bool asked = s->options->search || stop->max_evaluations || stop->max_seconds > 0;
    if (status != DP_OK || asked) return status;
    if (*found && fabs(log(p->t / predicted)) < log(mispredicted)) return status;
    *found = false;
    status = dp_refiner_find("marginal", &p->refiner, err);
    s->name = p->refiner->name;
    return status;
}

/* What the learn set misses by little is left to the check set, which may say otherwise. */
dp_status dp_shape_scale(dp_pipeline *p, dp_error *err) {
    dp_family family = {p->shape};
    dp_error why = {DP_OK, ""};
    if (dp_shape_by_labels(p)) {
        bool found;
        dp_status scaled = scale_by_divergence(p, &found, err);
        if (scaled != DP_OK || found) return scaled;
    }
    dp_status status = dp_shape_scale_of(&p->search, &family, p->t, &p->t, &why);
    double low, most, excess;
    if (status == DP_EBUDGET) {
        dp_family_range(&p->search, &family, &low, &most);
        status = excess_at_most(p, most, &excess, err);
        if (status != DP_OK) return status;
        p->t = most;
        status = excess <= near_miss ? DP_OK : DP_EBUDGET;
    }
    return status == DP_OK ? DP_OK : dp_fail(err, status, "%s", why.text);
}

/*
 * After a change of shape: as far from the clean output as before, and no farther than the budget allowed then. What is as far is
 * predicted by the sensitivities that the shape comes from, or measured where it comes from a search.
 */
dp_status dp_shape_refine(dp_pipeline *p, dp_error *err) {
    dp_search *s = &p->search;
    dp_family family = {p->shape};
    dp_family_relaxed(s, &family, p->t, p->learned.k);
    memcpy(p->start, p->shape, (size_t)s->units.count * sizeof *p->start);
    dp_status status = dp_refiner_run(p->refiner, s, p->t, p->shape, err);
    if (status != DP_OK) return status;
    if (dp_shape_by_labels(p)) {
        p->t *= labels_leave;
        return DP_OK;
    }
    if (p->refiner->traits & DP_REFINER_SEARCHES)
        return dp_scale_match(s, &family, p->learned.k, &p->t, err);
    double loss = dp_units_loss(&s->units, p->learned.k);
    if (loss > 0) p->t = dp_family_for_loss(s, &family, loss);
    return DP_OK;
}
