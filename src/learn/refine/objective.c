/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/objective.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* A quarter of fewer samples tells too little; then fresh draws alone keep the search honest. */
enum { LEAST_TO_SPLIT = 64, UNSEEN_OF = 4 };
/* How many predictions a measurement is a mean over: so many samples at most, and draws until there are enough. */
enum { SEEN = 256, UNSEEN = 512, MOST_DRAWS = 8 };

/* ---- parts ---- */

dp_status dp_part_pick(dp_part *out, const dp_search *s, const int64_t *numbers, int64_t count,
                       dp_error *err) {
    *out = (dp_part){.samples = count};
    dp_status status = dp_dataset_pick(&out->view, s->learn.data, numbers, count, err);
    if (status == DP_OK)
        status = dp_reference_pick(&out->reference, s->learn.reference, out->view, numbers, err);
    if (status != DP_OK) dp_part_clear(out);
    return status;
}

void dp_part_clear(dp_part *part) {
    dp_reference_free(part->reference);
    dp_dataset_free(part->view);
    *part = (dp_part){0};
}

/* Every fourth sample is put aside: files that are sorted by class stay balanced. */
static dp_status split(dp_objective *o, dp_error *err) {
    int64_t samples = o->s->learn.samples;
    bool all = samples < LEAST_TO_SPLIT;
    for (int i = 0; i < 2; i++) {
        o->pool[i].numbers = dp_alloc((size_t)samples, sizeof *o->pool[i].numbers);
        if (!o->pool[i].numbers) return dp_fail(err, DP_EMEMORY, "no memory for a search");
    }
    for (int64_t n = 0; n < samples; n++) {
        bool aside = n % UNSEEN_OF == UNSEEN_OF - 1;
        for (int i = 0; i < 2; i++)
            if (all || aside == (i == 1)) o->pool[i].numbers[o->pool[i].count++] = n;
    }
    return DP_OK;
}

/* At most `wanted` of a pool, spread over it; others at the next turn, where there are more. */
static dp_status take_turn(dp_objective *o, int which, int64_t wanted, dp_error *err) {
    dp_sample_pool *pool = &o->pool[which];
    int64_t stride = pool->count / wanted > 1 ? pool->count / wanted : 1, picked[UNSEEN];
    int64_t turn = pool->turn++ % stride, count = pool->count < wanted ? pool->count : wanted;
    for (int64_t i = 0; i < count; i++) picked[i] = pool->numbers[i * stride + turn];
    dp_part_clear(&o->part[which]);
    return dp_part_pick(&o->part[which], o->s, picked, count, err);
}

/* Fresh draws, as many as make `wanted` predictions. */
static void take_draws(dp_objective *o, int which, double wanted, uint32_t draws[2]) {
    const dp_part *part = &o->part[which];
    const dp_score *clean = dp_reference_scores(part->reference);
    double rows = 0;
    for (int64_t i = 0; i < part->samples; i++) rows += clean[i].rows;
    double enough = ceil(wanted / fmax(rows, 1));
    draws[0] = o->s->next_trial;
    draws[1] = (uint32_t)fmin(fmax(enough, 1), MOST_DRAWS);
    o->s->next_trial += draws[1];
}

/* ---- measuring ---- */

dp_status dp_slope_open(dp_slope *out, const dp_search *s, int64_t scores, dp_error *err) {
    size_t units = (size_t)s->units.count, channels = (size_t)s->units.channels;
    *out = (dp_slope){.cross_entropy = s->to_labels};
    out->by_log_k = dp_alloc(units, sizeof *out->by_log_k);
    out->variance = dp_alloc(units, sizeof *out->variance);
    for (int i = 0; i < 2; i++) out->channel[i] = dp_alloc(channels, sizeof(double));
    out->scores = dp_alloc((size_t)scores, sizeof *out->scores);
    if (out->by_log_k && out->variance && out->channel[0] && out->channel[1] && out->scores)
        return DP_OK;
    return dp_fail(err, DP_EMEMORY, "no memory for derivatives");
}

void dp_slope_clear(dp_slope *slope) {
    dp_free(slope->by_log_k);
    dp_free(slope->variance);
    dp_free(slope->channel[0]);
    dp_free(slope->channel[1]);
    dp_free(slope->scores);
    *slope = (dp_slope){0};
}

static double mean_loss(const dp_slope *slope, int64_t count) {
    double sum = 0, rows = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += slope->cross_entropy ? slope->scores[i].loss : slope->scores[i].kl;
        rows += slope->scores[i].rows;
    }
    return rows > 0 ? sum / rows : 0;
}

static dp_evaluation evaluation_of(dp_search *s, const dp_part *part, const uint32_t draws[2],
                                   const double *k) {
    dp_units_spread(&s->units, k, s->repetitions);
    return (dp_evaluation){.reference = part->reference,
                           .repetitions = s->repetitions,
                           .first_trial = draws[0],
                           .trials = (int)draws[1]};
}

static void add_channels(const dp_units *u, const double *channels, double *units) {
    memset(units, 0, (size_t)u->count * sizeof *units);
    for (int64_t c = 0; c < u->channels; c++) units[u->of_channel[c]] += channels[c];
}

dp_status dp_slope_measure(dp_slope *slope, dp_search *s, const dp_part *part,
                           const uint32_t draws[2], const double *k, dp_error *err) {
    dp_evaluation point = evaluation_of(s, part, draws, k);
    dp_derivative out = {.cross_entropy = slope->cross_entropy,
                         .scores = slope->scores,
                         .by_log_k = {slope->channel[0], slope->channel[1]}};
    dp_search_count(s, part->samples * point.trials, DP_REVERSE_COST);
    dp_status status = dp_engine_derivative(s->engine, &point, &out, err);
    if (status != DP_OK) return status;
    slope->loss = mean_loss(slope, part->samples * point.trials);
    add_channels(&s->units, slope->channel[0], slope->by_log_k);
    add_channels(&s->units, slope->channel[1], slope->variance);
    return DP_OK;
}

dp_status dp_slope_loss(dp_slope *slope, dp_search *s, const dp_part *part, const uint32_t draws[2],
                        const double *k, dp_error *err) {
    dp_evaluation point = evaluation_of(s, part, draws, k);
    dp_search_count(s, part->samples * point.trials, DP_FORWARD_COST);
    dp_status status = dp_engine_evaluate(s->engine, &point, slope->scores, err);
    if (status == DP_OK) slope->loss = mean_loss(slope, part->samples * point.trials);
    return status;
}

/* ---- at one energy ---- */

dp_status dp_objective_open(dp_objective *o, dp_search *s, double t, const double *shape,
                            dp_error *err) {
    *o = (dp_objective){.s = s};
    dp_status status = split(o, err);
    if (status == DP_OK) status = dp_slope_open(&o->slope, s, (int64_t)UNSEEN * MOST_DRAWS, err);
    if (status != DP_OK) return status;
    o->k = dp_alloc((size_t)s->units.count, sizeof *o->k);
    if (!o->k) return dp_fail(err, DP_EMEMORY, "no memory for a search");
    dp_relax_at(&s->units, shape, t, o->k);
    o->energy_j = dp_units_energy(&s->units, o->k);
    return DP_OK;
}

void dp_objective_close(dp_objective *o) {
    for (int i = 0; i < 2; i++) {
        dp_part_clear(&o->part[i]);
        dp_free(o->pool[i].numbers);
    }
    dp_slope_clear(&o->slope);
    dp_free(o->k);
}

dp_status dp_objective_renew(dp_objective *o, dp_error *err) {
    dp_status status = take_turn(o, 0, SEEN, err);
    if (status == DP_OK) take_draws(o, 0, SEEN, o->draws[0]);
    return status;
}

dp_status dp_objective_hold(dp_objective *o, dp_error *err) {
    dp_status status = take_turn(o, 1, UNSEEN, err);
    if (status == DP_OK) take_draws(o, 1, UNSEEN, o->draws[1]);
    return status;
}

void dp_objective_place(dp_objective *o, const double *shape) {
    const dp_units *u = &o->s->units;
    dp_relax_at(u, shape, dp_relax_for_energy(u, shape, o->energy_j), o->k);
}

void dp_objective_normalise(const dp_objective *o, double t, double *shape) {
    const dp_units *u = &o->s->units;
    double factor = dp_relax_for_energy(u, shape, o->energy_j) / t;
    for (int i = 0; i < u->count; i++) shape[i] *= factor;
}

dp_status dp_objective_measure(dp_objective *o, bool derivative, dp_error *err) {
    dp_watch_count(&o->watch);
    return (derivative ? dp_slope_measure : dp_slope_loss)(&o->slope, o->s, &o->part[0],
                                                           o->draws[0], o->k, err);
}

dp_status dp_objective_unseen(dp_objective *o, double *loss, dp_error *err) {
    dp_status status = dp_slope_loss(&o->slope, o->s, &o->part[1], o->draws[1], o->k, err);
    *loss = o->slope.loss;
    return status;
}

dp_status dp_objective_better(dp_objective *o, const double *a, const double *b, bool *better,
                              dp_error *err) {
    double before = 0, after = 0;
    *better = false;
    dp_status status = dp_objective_hold(o, err);
    if (status != DP_OK) return status;
    dp_objective_place(o, a);
    status = dp_objective_unseen(o, &before, err);
    if (status != DP_OK) return status;
    dp_objective_place(o, b);
    status = dp_objective_unseen(o, &after, err);
    *better = status == DP_OK && after < before;
    return status;
}
