/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/result.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/explain.h"
#include "model/graph.h"

dp_measure dp_result_unknown(void) {
    dp_figure none = {NAN, NAN, NAN};
    return (dp_measure){.top1 = none,
                        .top5 = none,
                        .loss = none,
                        .kl = none,
                        .agreement = none,
                        .drop = none,
                        .drop_upper = NAN,
                        .rise = NAN,
                        .rise_upper = NAN,
                        .energy_j = NAN,
                        .energy_per_mac_aj = NAN,
                        .latency_x = NAN,
                        .latency_s = NAN,
                        .repetitions = NAN};
}

void dp_result_channel_energy(const dp_engine *e, const double *repetitions, dp_measure *m) {
    m->energy_j = dp_engine_energy(e, repetitions);
    m->energy_per_mac_aj = 1e18 * m->energy_j / dp_engine_macs(e);
    double operations = dp_engine_operations(e, repetitions);
    m->latency_x = operations / dp_engine_operations(e, NULL);
    m->latency_s = operations * dp_engine_operation_s(e);
    m->repetitions = NAN;
}

void dp_result_energy(const dp_search *s, const double *k, dp_measure *m) {
    dp_units_spread(&s->units, k, s->repetitions);
    dp_result_channel_energy(s->engine, s->repetitions, m);
}

static void granularity_name(const dp_learn_options *o, const dp_site_info *site, bool grouped,
                             dp_layer *layer) {
    if (o->granularity == DP_GRAIN_LAYER || site->channels == 1 || grouped)
        snprintf(layer->granularity, sizeof layer->granularity, "layer");
    else if (o->granularity == DP_GRAIN_CHANNEL)
        snprintf(layer->granularity, sizeof layer->granularity, "channel");
    else
        snprintf(layer->granularity, sizeof layer->granularity, "tile:%d", o->tile);
}

static void count_bounds(dp_layer *layer, const dp_units *u, int64_t first, int64_t width) {
    for (int i = 0; i < layer->count; i++) {
        int unit = u->of_channel[first + i * width];
        double k = layer->repetitions[i];
        layer->fixed = u->fixed[unit];
        layer->at_min += !u->fixed[unit] && k <= u->low[unit];
        layer->at_max += !u->fixed[unit] && k >= u->high[unit];
    }
}

static bool fill_layer(dp_layer *layer, const dp_search *s, int index, const double *variance) {
    const dp_site_info *site = dp_engine_site(s->engine, index);
    int64_t width = strcmp(layer->granularity, "layer") == 0 ? site->channels
                                                             : dp_units_width(s->options, site);
    layer->count = (int)((site->channels + width - 1) / width);
    layer->repetitions = dp_alloc((size_t)layer->count, sizeof *layer->repetitions);
    int group = s->units.group[index];
    if (group >= 0) layer->group = dp_strdup(s->options->groups[group]);
    if (!dp_explain_site(layer, site, index) || !layer->repetitions) return false;
    if (group >= 0 && !layer->group) return false;
    for (int i = 0; i < layer->count; i++)
        layer->repetitions[i] = s->repetitions[site->first_channel + i * width];
    dp_explain_layer(layer, site, &(dp_channel_facts){s->repetitions, s->s, variance});
    count_bounds(layer, &s->units, site->first_channel, width);
    return true;
}

static bool fill_layers(dp_schedule *out, const dp_search *s, const double *k) {
    out->n_layers = dp_engine_site_count(s->engine);
    out->layers = dp_alloc((size_t)out->n_layers, sizeof *out->layers);
    double *variance = dp_alloc((size_t)s->units.channels, sizeof *variance);
    bool done = out->layers && variance;
    if (done) {
        dp_engine_variance(s->engine, variance);
        dp_units_spread(&s->units, k, s->repetitions);
    }
    for (int i = 0; done && i < out->n_layers; i++) {
        granularity_name(s->options, dp_engine_site(s->engine, i), s->units.group[i] >= 0,
                         &out->layers[i]);
        done = fill_layer(&out->layers[i], s, i, variance);
    }
    dp_free(variance);
    return done;
}

/* What the check set could resolve: each side's budget is met somewhere between its dearest failure and its pass. */
static dp_figure saving_of(const dp_result *r) {
    if (!r->learned || !r->uniform || !r->uniform->passed) return (dp_figure){NAN, NAN, NAN};
    double learned = r->learned->measure.energy_j, uniform = r->uniform->measure.energy_j;
    double fixed = learned - dp_units_energy(&r->search->units, r->learned->k);
    double learned_low = r->learned->energy_failed_j + fixed;
    double uniform_low = r->uniform->energy_failed_j + fixed;
    dp_figure saving = {1 - learned / uniform, 1 - learned / uniform_low,
                        1 - learned_low / uniform};
    if (r->uniform->energy_failed_j <= 0) saving.lower = NAN;
    if (r->learned->energy_failed_j <= 0) saving.upper = NAN;
    return saving;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static bool fill_origin(dp_schedule *out, const dp_graph *graph, const dp_result *r) {
    const dp_search *s = r->search;
    const char *data = dp_dataset_path(s->learn.data), *check = dp_dataset_path(s->check.data);
    bool apart = strcmp(dp_dataset_sha256(s->learn.data), dp_dataset_sha256(s->check.data)) != 0;
    out->version = dp_strdup(DYNAPREC_VERSION);
    out->search = dp_strdup(s->name);
    if (s->obstacle.status != DP_OK && !(out->obstacle = dp_strdup(s->obstacle.text))) return false;
    out->seed = s->options->seed;
    out->trials = s->options->trials;
    out->min_repetitions = fmax(s->options->min_repetitions, 0); /* NaN: 0 */
    out->max_repetitions = fmax(s->options->max_repetitions, 0);
    out->model_file = dp_strdup(base_name(graph->path));
    out->model_sha256 = dp_strdup(graph->sha256);
    out->data_file = dp_strdup(base_name(data));
    out->data_sha256 = dp_strdup(dp_dataset_sha256(s->learn.data));
    out->check_file = dp_strdup(apart ? base_name(check) : "");
    out->check_sha256 = dp_strdup(apart ? dp_dataset_sha256(s->check.data) : "");
    out->goal = dp_strdup(s->options->goal ? s->options->goal : "");
    out->status = dp_strdup(r->status);
    return out->version && out->search && out->model_file && out->model_sha256 && out->data_file &&
           out->data_sha256 && out->check_file && out->check_sha256 && out->goal && out->status;
}

static bool fill_conditioning(dp_schedule *out, const dp_choice *choice) {
    size_t count = (size_t)choice->list.count;
    out->conditioned_noise = dp_alloc(count, sizeof *out->conditioned_noise);
    if (!out->conditioned_noise ||
        dp_conditioning_copy(&out->conditioning, &choice->list, NULL) != DP_OK)
        return false;
    if (count > 0) memcpy(out->conditioned_noise, choice->noise, count * sizeof *choice->noise);
    return true;
}

dp_status dp_result_schedule(dp_schedule *out, const dp_graph *graph, const dp_result *r,
                             dp_error *err) {
    memset(out, 0, sizeof *out);
    const dp_search *s = r->search;
    out->hardware = *s->device;
    out->learn_count = s->learn.samples;
    out->check_count = s->check.samples;
    out->active = r->active;
    out->confidence = s->options->confidence;
    out->checks_uniform = r->uniform ? r->uniform->checks : 0;
    out->checks = (r->learned ? r->learned->checks : 0) + out->checks_uniform;
    out->passes = s->passes;
    out->passes_shape = s->passes_shape;
    out->clean = *r->clean;
    out->learned = r->learned ? r->learned->measure : dp_result_unknown();
    out->uniform = r->uniform ? r->uniform->measure : dp_result_unknown();
    out->saving = saving_of(r);
    out->rounding = r->learned ? r->learned->rounding : dp_round_nothing();
    if (!r->learned) dp_result_energy(s, r->k, &out->learned);
    out->unsigned_sites = r->choice->unsigned_sites;
    if (fill_origin(out, graph, r) && fill_conditioning(out, r->choice) &&
        fill_layers(out, s, r->k))
        return DP_OK;
    dp_schedule_clear(out);
    return dp_fail(err, DP_EMEMORY, "no memory for the schedule");
}

static const dp_layer *layer_named(const dp_schedule *schedule, const char *name) {
    for (int i = 0; i < schedule->n_layers; i++)
        if (strcmp(schedule->layers[i].name, name) == 0) return &schedule->layers[i];
    return NULL;
}

static dp_status spread_layer(const dp_layer *layer, const dp_site_info *site, double *repetitions,
                              dp_error *err) {
    if (layer->channels != site->channels)
        return dp_fail(err, DP_EFORMAT, "schedule: layer '%s' has %d channels, the network's %lld",
                       layer->name, layer->channels, (long long)site->channels);
    for (int c = 0; c < layer->channels; c++)
        repetitions[site->first_channel + c] = dp_layer_repetitions(layer, c);
    return DP_OK;
}

dp_status dp_schedule_apply(const dp_schedule *schedule, const dp_engine *engine,
                            double *repetitions, dp_error *err) {
    int sites = dp_engine_site_count(engine);
    for (int i = 0; i < sites; i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        const dp_layer *layer = layer_named(schedule, site->name);
        if (!layer)
            return dp_fail(err, DP_EFORMAT,
                           "schedule of '%s': no entry for the network's site '%s'",
                           schedule->model_file, site->name);
        dp_status status = spread_layer(layer, site, repetitions, err);
        if (status != DP_OK) return status;
    }
    if (schedule->n_layers == sites) return DP_OK;
    for (int l = 0; l < schedule->n_layers; l++) {
        bool found = false;
        for (int i = 0; i < sites; i++)
            found = found || strcmp(schedule->layers[l].name, dp_engine_site(engine, i)->name) == 0;
        if (!found)
            return dp_fail(err, DP_EFORMAT, "schedule of '%s': the network has no site '%s'",
                           schedule->model_file, schedule->layers[l].name);
    }
    return DP_OK;
}
