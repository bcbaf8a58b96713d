/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Centring and balancing are chosen by what is to be expected; products of attention by what a survey of the network with all of them
 * centred shows, since no statistics of channels tell it.
 */
#include "learn/condition/condition.h"

#include <string.h>

#include "base/alloc.h"

static dp_engine_options engine_options(const dp_condition *c, const dp_search *s) {
    const dp_learn_options *o = s->options;
    return (dp_engine_options){.threads = o->threads,
                               .seed = o->seed,
                               .rough = true,
                               .output = o->output,
                               .cancel = o->cancel,
                               .cache = o->cache,
                               .comm = o->comm,
                               .progress = o->progress,
                               .exclude = o->exclude,
                               .n_exclude = o->n_exclude,
                               .example = s->learn.data,
                               .inputs = c->graph ? NULL : &c->allowed,
                               .conditioning = c->graph ? &c->choice.list : NULL};
}

static dp_status survey(dp_search *s, dp_error *err) {
    dp_search_count(s, s->learn.samples, DP_FORWARD_COST);
    return dp_engine_survey(s->engine, s->learn.data, err);
}

dp_status dp_condition_open(dp_condition *c, dp_search *s, const dp_graph *graph, dp_error *err) {
    dp_status status = DP_OK;
    if (s->options->condition != DP_CONDITION_NONE)
        status = dp_graph_conditionable(&c->allowed, graph, err);
    dp_engine_options options = engine_options(c, s);
    if (status == DP_OK) status = dp_engine_create(&s->engine, graph, s->hardware, &options, err);
    return status;
}

/* An engine for the network as it is conditioned now, in the place of the search's. */
static dp_status condition(dp_condition *c, dp_search *s, const dp_graph *graph, dp_error *err) {
    dp_engine_free(s->engine);
    s->engine = NULL;
    dp_graph_free(c->graph);
    c->graph = NULL;
    dp_status status = DP_OK;
    if (c->choice.list.count > 0)
        status = dp_graph_condition(&c->graph, graph, &c->choice.list, err);
    if (status != DP_OK) return status;
    dp_engine_options options = engine_options(c, s);
    status = dp_engine_create(&s->engine, c->graph ? c->graph : graph, s->hardware, &options, err);
    return status == DP_OK ? survey(s, err) : status;
}

/* The variance of a site's outputs at K = 1, mean over channels. */
static dp_status variances(const dp_engine *e, double *out, dp_error *err) {
    double *all = dp_alloc((size_t)dp_engine_channels(e), sizeof *all);
    if (!all) return dp_fail(err, DP_EMEMORY, "no memory for variances");
    dp_engine_variance(e, all);
    for (int i = 0; i < dp_engine_site_count(e); i++) {
        const dp_site_info *site = dp_engine_site(e, i);
        out[i] = 0;
        for (int64_t c = 0; c < site->channels; c++)
            out[i] += all[site->first_channel + c] / (double)site->channels;
    }
    dp_free(all);
    return DP_OK;
}

/* What each site was before: [sites]. */
typedef struct before {
    double *variance, *fixed_j;
} before;

/* Judge the products that were centred over positions; *dropped: some are not worth it, and are off the list. */
static dp_status judge_positions(dp_condition *c, const dp_search *s, const before *was,
                                 bool *dropped, dp_error *err) {
    double *now = dp_alloc((size_t)dp_engine_site_count(s->engine), sizeof *now);
    if (!now) return dp_fail(err, DP_EMEMORY, "no memory for variances");
    dp_status status = variances(s->engine, now, err);
    *dropped = false;
    for (int k = 0, i = 0; status == DP_OK && k < c->choice.list.count; k++) {
        if (!c->choice.list.sites[k].positions) continue;
        while (strcmp(dp_engine_site(s->engine, i)->name, c->choice.list.sites[k].site) != 0) i++;
        const dp_site_info *site = dp_engine_site(s->engine, i);
        dp_saving saving = {.left = now[i] / was->variance[i],
                            .cost_j = site->fixed_j - was->fixed_j[i],
                            .saved_j = site->per_repetition_j * s->hardware->repetitions_min};
        c->choice.noise[k] = saving.left;
        if (dp_choice_pays(&saving)) continue;
        dp_choice_drop(&c->choice, k--);
        *dropped = true;
    }
    dp_free(now);
    return status;
}

static dp_status find(dp_condition *c, dp_search *s, const dp_graph *graph, const before *was,
                      dp_error *err) {
    const dp_learn_options *o = s->options;
    dp_choice_rules rules = {.hardware = s->hardware,
                             .sites = &c->allowed,
                             .centre = o->condition & DP_CONDITION_CENTRE,
                             .balance = o->condition & DP_CONDITION_BALANCE,
                             .samples = s->learn.samples};
    bool dropped = false;
    dp_status status = variances(s->engine, was->variance, err);
    for (int i = 0; i < dp_engine_site_count(s->engine); i++)
        was->fixed_j[i] = dp_engine_site(s->engine, i)->fixed_j;
    if (status == DP_OK) status = dp_choose(&c->choice, s->engine, &rules, err);
    if (status != DP_OK || c->choice.list.count == 0) return status;
    status = condition(c, s, graph, err);
    if (status == DP_OK) status = judge_positions(c, s, was, &dropped, err);
    return status == DP_OK && dropped ? condition(c, s, graph, err) : status;
}

dp_status dp_condition_find(dp_condition *c, dp_search *s, const dp_graph *graph, dp_error *err) {
    dp_status status = survey(s, err);
    if (status != DP_OK || s->options->condition == DP_CONDITION_NONE) return status;
    size_t sites = (size_t)dp_engine_site_count(s->engine);
    before was = {dp_alloc(sites, sizeof(double)), dp_alloc(sites, sizeof(double))};
    status = was.variance && was.fixed_j
                 ? find(c, s, graph, &was, err)
                 : dp_fail(err, DP_EMEMORY, "no memory for %zu sites", sites);
    dp_free(was.variance);
    dp_free(was.fixed_j);
    return status;
}

void dp_condition_clear(dp_condition *c) {
    dp_graph_free(c->graph);
    dp_choice_clear(&c->choice);
    dp_conditionables_clear(&c->allowed);
    *c = (dp_condition){0};
}
