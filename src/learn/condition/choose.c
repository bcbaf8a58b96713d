/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Sites whose operand is balanced in the node before it share their vectors; every other site has its own. Vectors are computed on
 * each half of the samples, and judged on the other; what stands there is computed once more from all.
 */
#include "learn/condition/choose.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/expect.h"
#include "learn/condition/balance.h"

/* Noise that has to go at least: less is not worth touching a network for. */
static const double margin = 0.02;

/* Repetitions at which the noise is weighed against what the converters round off, which repetitions do not average out. */
static const double weighing = 100;

/* Of sums in double, relative: what is the same may look larger by so much. */
static const double rounding_error = 1e-9;

/* What a site's outputs are off by, squares summed over channels: noise and rounding as they are weighed, and what the converters
 * round and cut off. */
typedef struct deviation {
    double all, converted;
} deviation;

typedef struct group {
    dp_readers readers;
    const dp_choice_rules *rules;
    const dp_conditionable *const *can; /* [readers.count] */
    float *mu, *alpha;                  /* [inputs] scratch */
    deviation *before; /* [readers.count, 2] as the sites are, on the samples of each half */
} group;

static dp_status error_of(const dp_engine *e, int site, int samples, const dp_operand_vectors *v,
                          deviation *out, dp_error *err) {
    size_t channels = (size_t)dp_engine_site(e, site)->channels;
    double *numbers = dp_alloc(3 * channels, sizeof *numbers);
    if (!numbers) return dp_fail(err, DP_EMEMORY, "no memory for a site's channels");
    dp_expectation expect = {numbers, numbers + channels, numbers + 2 * channels};
    dp_status status = dp_expect_noise(e, site, samples, v, &expect, err);
    *out = (deviation){0};
    for (size_t c = 0; c < channels; c++) {
        out->converted += expect.rounding[c] + expect.cut[c];
        out->all += expect.noise[c] / weighing + expect.rounding[c];
    }
    dp_free(numbers);
    return status;
}

/* How vectors are made: the mean taken off or not, a rule for alpha or none. */
typedef struct plan {
    bool centre;
    int rule; /* -1: not balanced */
} plan;

static dp_status make(const group *g, const plan *p, int samples, dp_operand_vectors *v,
                      dp_error *err) {
    *v = (dp_operand_vectors){0};
    dp_status status = DP_OK;
    if (p->centre) {
        status = dp_balance_means(&g->readers, samples, g->mu, err);
        v->mu = g->mu;
    }
    if (status == DP_OK && p->rule >= 0) {
        status = dp_balance_alphas(&g->readers, p->rule, samples, v->mu, g->alpha, err);
        v->alpha = g->alpha;
    }
    return status;
}

static double part(double after, double before) {
    return before > 0 ? after / before : after > 0 ? INFINITY : 1;
}

/*
 * Worst of the sites, mean of the halves: what is left of the error on the half that the vectors do not come from. What is rounded
 * and cut off may not grow: how many repetitions a network will need is not known yet, and none average that out.
 */
static dp_status judge(const group *g, const plan *p, double *left, dp_error *err) {
    dp_operand_vectors v;
    *left = 0;
    for (int i = 0; i < g->readers.count; i++) {
        double sum = 0, converted = 0;
        for (int half = 0; half < 2; half++) {
            deviation before = g->before[2 * i + 1 - half], after;
            int site = g->readers.sites[i];
            dp_status status = make(g, p, half, &v, err);
            if (status == DP_OK)
                status = error_of(g->readers.engine, site, 1 - half, &v, &after, err);
            if (status != DP_OK) return status;
            sum += part(after.all, before.all) / 2;
            converted += part(after.converted, before.converted) / 2;
        }
        *left = fmax(*left, converted > 1 + rounding_error ? fmax(1, sum) : sum);
    }
    return DP_OK;
}

/* The core can take what is below zero there: it says so, or it has to as things are. */
static bool takes_signs(const dp_choice_rules *rules, const dp_engine *e, int site, int operand) {
    return rules->hardware->signed_inputs || dp_engine_operand_signed(e, site, operand);
}

static bool asks_to_centre(const group *g) {
    bool asked = g->rules->centre;
    for (int i = 0; i < g->readers.count; i++) asked = asked && g->can[i]->centre;
    return asked;
}

static bool may_centre(const group *g) {
    bool may = asks_to_centre(g);
    for (int i = 0; i < g->readers.count; i++)
        may = may && takes_signs(g->rules, g->readers.engine, g->readers.sites[i], 0);
    return may;
}

static bool may_balance(const group *g) {
    bool may = g->rules->balance;
    for (int i = 0; i < g->readers.count; i++) may = may && g->can[i]->balance;
    return may;
}

/* Digital operations a sample: what is read is shifted, and scaled where that does not fold; outputs are shifted without a bias. */
static double operations_of(const group *g, const plan *p) {
    const dp_readers *r = &g->readers;
    int64_t inputs;
    const dp_input_moments *m = dp_engine_input_moments(r->engine, r->sites[0], &inputs);
    double values = (m[0].values + m[inputs].values) * (double)inputs / (double)g->rules->samples;
    double sum = (p->centre ? values : 0) + (p->rule >= 0 && !g->can[0]->folds ? values : 0);
    for (int i = 0; p->centre && i < r->count; i++) {
        const dp_site_info *site = dp_engine_site(r->engine, r->sites[i]);
        if (g->can[i]->adds_outputs) sum += site->macs / (double)site->depth;
    }
    return sum;
}

static double saved_at_most(const group *g) {
    double sum = 0;
    for (int i = 0; i < g->readers.count; i++)
        sum += dp_engine_site(g->readers.engine, g->readers.sites[i])->per_repetition_j;
    return sum * g->rules->hardware->repetitions_min;
}

bool dp_choice_pays(const dp_saving *s) {
    return s->left <= 1 - margin && (1 - s->left) * s->saved_j >= s->cost_j;
}

static dp_status judge_as_they_are(const group *g, dp_error *err) {
    const dp_operand_vectors none = {0};
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < 2 * g->readers.count; i++)
        status =
            error_of(g->readers.engine, g->readers.sites[i / 2], i % 2, &none, &g->before[i], err);
    return status;
}

/* Plans from the simplest on; whatever comes on top has to be worth it, too. */
static dp_status best_plan(const group *g, plan *best, dp_error *err) {
    double least = 1, cost = 0;
    int rules = may_balance(g) ? dp_balance_rules(g->rules->hardware) : 0;
    *best = (plan){false, -1};
    for (int centre = 0; centre < (may_centre(g) ? 2 : 1); centre++)
        for (int rule = -1; rule < rules; rule++) {
            plan p = {centre != 0, rule};
            dp_saving saving = {.saved_j = least * saved_at_most(g)};
            double left, more = operations_of(g, &p) * g->rules->hardware->digital_op_j;
            dp_status status = judge(g, &p, &left, err);
            if (status != DP_OK) return status;
            saving.left = left / least;
            saving.cost_j = more - cost;
            if (!dp_choice_pays(&saving)) continue;
            least = left;
            cost = more;
            *best = p;
        }
    return DP_OK;
}

static dp_status add(dp_choice *out, int at, const dp_conditioned_site *site, double noise,
                     dp_error *err) {
    dp_conditioning one = {1, (dp_conditioned_site *)(uintptr_t)site}, copy;
    dp_status status = dp_conditioning_copy(&copy, &one, err);
    if (status != DP_OK) return status;
    out->list.sites[at] = copy.sites[0];
    out->noise[at] = noise;
    dp_free(copy.sites);
    return DP_OK;
}

static dp_status note(const group *g, int i, const dp_operand_vectors *v, dp_choice *out,
                      dp_error *err) {
    const dp_operand_vectors none = {0};
    deviation before, after;
    int site = g->readers.sites[i];
    dp_status status = error_of(g->readers.engine, site, DP_EXPECT_ALL, &none, &before, err);
    if (status == DP_OK) status = error_of(g->readers.engine, site, DP_EXPECT_ALL, v, &after, err);
    if (status != DP_OK) return status;
    dp_conditioned_site made = {
        .site = g->can[i]->site, .inputs = g->readers.inputs, .mu = v->mu, .alpha = v->alpha};
    return add(out, site, &made, part(after.all, before.all), err);
}

static dp_status choose_group(group *g, dp_choice *out, dp_error *err) {
    size_t inputs = (size_t)g->readers.inputs;
    plan best;
    dp_operand_vectors v = {0};
    g->mu = dp_alloc(inputs, sizeof *g->mu);
    g->alpha = dp_alloc(inputs, sizeof *g->alpha);
    g->before = dp_alloc(2 * (size_t)g->readers.count, sizeof *g->before);
    dp_status status =
        g->mu && g->alpha && g->before ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for vectors");
    if (asks_to_centre(g) && !may_centre(g)) out->unsigned_sites += g->readers.count;
    if (status == DP_OK) status = judge_as_they_are(g, err);
    if (status == DP_OK) status = best_plan(g, &best, err);
    if (status == DP_OK) status = make(g, &best, DP_EXPECT_ALL, &v, err);
    for (int i = 0; status == DP_OK && (v.mu || v.alpha) && i < g->readers.count; i++)
        status = note(g, i, &v, out, err);
    dp_free(g->mu);
    dp_free(g->alpha);
    dp_free(g->before);
    return status;
}

/* What each site allows. */
typedef struct survey {
    const dp_engine *engine;
    const dp_choice_rules *rules;
    const dp_conditionable **can; /* [sites] */
} survey;

/* The graph's list has all the engine's sites, in the same order, and those that run digitally. */
static void match(survey *s) {
    for (int i = 0, k = 0; i < dp_engine_site_count(s->engine); i++) {
        const char *name = dp_engine_site(s->engine, i)->name;
        while (strcmp(s->rules->sites->sites[k].site, name) != 0) k++;
        s->can[i] = &s->rules->sites->sites[k];
    }
}

static bool has_statistics(const dp_engine *e, int site) {
    int64_t inputs;
    return dp_engine_input_moments(e, site, &inputs) != NULL;
}

/* The sites that share the vectors of the first, in order, and what they allow; returns how many. */
static int gather(const survey *s, int first, int *members, const dp_conditionable **can) {
    int count = 0;
    const dp_conditionable *leader = s->can[first];
    for (int i = first; i < dp_engine_site_count(s->engine); i++) {
        const dp_conditionable *other = s->can[i];
        bool together =
            i == first || (leader->folds && other->folds && other->operand == leader->operand);
        if (!together || !has_statistics(s->engine, i)) continue;
        members[count] = i;
        can[count++] = other;
    }
    return count;
}

/* Products of attention: all that may be centred; condition.c looks at what comes of it. */
static dp_status choose_positions(const survey *s, int site, dp_choice *out, dp_error *err) {
    if (!s->can[site]->positions || !s->rules->centre) return DP_OK;
    if (!takes_signs(s->rules, s->engine, site, 1)) {
        out->unsigned_sites++;
        return DP_OK;
    }
    dp_conditioned_site made = {.site = s->can[site]->site, .positions = true};
    return add(out, site, &made, 1, err);
}

static dp_status choose_from(const survey *s, int first, int *members, bool *done, dp_choice *out,
                             dp_error *err) {
    size_t most = (size_t)dp_engine_site_count(s->engine);
    const dp_conditionable **can = dp_alloc(most, sizeof *can);
    if (!can) return dp_fail(err, DP_EMEMORY, "no memory to choose in");
    int count = gather(s, first, members, can);
    for (int k = 0; k < count; k++) done[members[k]] = true;
    dp_status status = DP_OK;
    if (count == 0) {
        status = choose_positions(s, first, out, err);
    } else {
        group g = {.readers = {.engine = s->engine,
                               .sites = members,
                               .count = count,
                               .inputs = can[0]->inputs,
                               .samples = s->rules->samples / 2},
                   .rules = s->rules,
                   .can = can};
        status = choose_group(&g, out, err);
    }
    dp_free(can);
    return status;
}

/* Leave out the sites to which nothing is done. */
static void compact(dp_choice *c) {
    int kept = 0;
    for (int i = 0; i < c->list.count; i++) {
        if (!c->list.sites[i].site) continue;
        c->list.sites[kept] = c->list.sites[i];
        c->noise[kept++] = c->noise[i];
    }
    c->list.count = kept;
}

dp_status dp_choose(dp_choice *out, const dp_engine *e, const dp_choice_rules *rules,
                    dp_error *err) {
    size_t count = (size_t)dp_engine_site_count(e);
    *out = (dp_choice){.list = {(int)count, dp_alloc(count, sizeof *out->list.sites)},
                       .noise = dp_alloc(count, sizeof *out->noise)};
    survey s = {e, rules, dp_alloc(count, sizeof *s.can)};
    int *members = dp_alloc(count, sizeof *members);
    bool *done = dp_alloc(count, sizeof *done);
    bool ready = out->list.sites && out->noise && s.can && members && done;
    dp_status status = ready ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory to choose in");
    if (ready) match(&s);
    for (int i = 0; status == DP_OK && i < (int)count; i++)
        if (!done[i]) status = choose_from(&s, i, members, done, out, err);
    if (status == DP_OK) compact(out);
    dp_free(s.can);
    dp_free(members);
    dp_free(done);
    if (status != DP_OK) dp_choice_clear(out);
    return status;
}

void dp_choice_clear(dp_choice *c) {
    dp_conditioning_clear(&c->list);
    dp_free(c->noise);
    *c = (dp_choice){0};
}

void dp_choice_drop(dp_choice *c, int i) {
    dp_conditioned_site *sites = c->list.sites;
    dp_free((void *)(uintptr_t)sites[i].site);
    dp_free((void *)(uintptr_t)sites[i].mu);
    dp_free((void *)(uintptr_t)sites[i].alpha);
    c->list.count--;
    memmove(sites + i, sites + i + 1, (size_t)(c->list.count - i) * sizeof *sites);
    memmove(c->noise + i, c->noise + i + 1, (size_t)(c->list.count - i) * sizeof *c->noise);
}
