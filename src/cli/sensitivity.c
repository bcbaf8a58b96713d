/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/sensitivity.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/exit.h"
#include "cli/layers.h"
#include "cli/load.h"
#include "learn/explain.h"

dp_status dp_sensitivity_open(dp_sensitivity *view, const dp_settings *settings, dp_error *err) {
    *view = (dp_sensitivity){.given = settings->schedule != NULL};
    if (!settings->data)
        return dp_fail(err, DP_ERANGE, "%s asks for samples: --data FILE.npz",
                       view->given ? "--schedule" : "--sensitivity");
    if (!settings->hardware && !view->given)
        return dp_fail(err, DP_ERANGE,
                       "--sensitivity asks for an accelerator: --hardware NAME, or --schedule "
                       "FILE.yaml with the one it was learned for");
    if (!view->given) return DP_OK;
    return dp_schedule_read(&view->schedule, settings->schedule, err);
}

void dp_sensitivity_clear(dp_sensitivity *view) {
    dp_schedule_clear(&view->schedule);
}

/* ---- finding out ---- */

/* One repetition of everything, as a schedule. */
static dp_status make_plain(dp_schedule *out, const dp_engine *engine, dp_error *err) {
    int sites = dp_engine_site_count(engine);
    out->layers = dp_alloc((size_t)sites, sizeof *out->layers);
    bool fine = out->layers != NULL;
    for (int i = 0; fine && i < sites; i++) {
        dp_layer *layer = &out->layers[out->n_layers++];
        strcpy(layer->granularity, "layer");
        layer->count = 1;
        layer->repetitions = dp_alloc(1, sizeof *layer->repetitions);
        fine = layer->repetitions && dp_explain_site(layer, dp_engine_site(engine, i), i);
        if (fine) layer->repetitions[0] = 1;
    }
    return fine ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for %d layers", sites);
}

static dp_layer *layer_named(const dp_sensitivity *view, const char *name) {
    for (int i = 0; i < view->schedule.n_layers; i++)
        if (strcmp(view->schedule.layers[i].name, name) == 0) return &view->schedule.layers[i];
    return NULL;
}

/* On another accelerator other repetitions are its least and its most. */
static void count_bounds(dp_layer *layer, const dp_hardware *hardware) {
    layer->at_min = layer->at_max = 0;
    for (int i = 0; i < layer->count && !layer->fixed; i++) {
        layer->at_min += layer->repetitions[i] <= hardware->repetitions_min;
        layer->at_max += layer->repetitions[i] >= hardware->repetitions_max;
    }
}

static dp_status set_repetitions(dp_sensitivity *view, const dp_settings *settings,
                                 const dp_sensitivity_source *source, double *repetitions,
                                 dp_error *err) {
    if (view->given) {
        dp_load_note_model(&view->schedule, settings, source->graph);
        return dp_load_repetitions(repetitions, &view->schedule, settings, source->engine, err);
    }
    for (int64_t c = 0; c < dp_engine_channels(source->engine); c++) repetitions[c] = 1;
    return make_plain(&view->schedule, source->engine, err);
}

static dp_status find(dp_sensitivity *view, const dp_settings *settings,
                      const dp_sensitivity_source *source, double *repetitions, double *s,
                      dp_error *err) {
    bool measured;
    dp_engine *engine = source->engine;
    dp_status status = set_repetitions(view, settings, source, repetitions, err);
    if (status != DP_OK) return status;
    dp_explained_point point = {source->data, source->hardware, view->given ? repetitions : NULL};
    status = dp_explain_sensitivity(engine, &point, s, &measured, err);
    if (status != DP_OK) return status;
    if (measured)
        dp_note(settings,
                "%s: an operator between a site and the output has no reverse pass; sensitivities "
                "were measured layer by layer",
                settings->operands[0]);
    dp_channel_facts facts = {repetitions, s, source->variance};
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        dp_layer *layer = layer_named(view, site->name);
        dp_explain_layer(layer, site, &facts);
        if (view->given && settings->hardware) count_bounds(layer, source->hardware);
    }
    for (int i = 0; i < 2; i++) view->needed[i] = dp_explain_potential(engine, s, i);
    return DP_OK;
}

dp_status dp_sensitivity_find(dp_sensitivity *view, const dp_settings *settings,
                              const dp_sensitivity_source *source, dp_error *err) {
    size_t channels = (size_t)dp_engine_channels(source->engine);
    double *repetitions = dp_alloc(channels, sizeof *repetitions);
    double *s = dp_alloc(channels, sizeof *s);
    dp_status status = repetitions && s ? find(view, settings, source, repetitions, s, err)
                                        : dp_fail(err, DP_EMEMORY, "no memory for sensitivities");
    dp_free(repetitions);
    dp_free(s);
    return status;
}

/* ---- showing it ---- */

dp_status dp_sensitivity_print(const dp_sensitivity *view, dp_error *err) {
    const dp_schedule *s = &view->schedule;
    dp_status status = dp_layers_print(stdout, s->layers, s->n_layers, err);
    if (status != DP_OK) return status;
    dp_layers_print_totals(stdout, s->layers, s->n_layers);
    if (isnan(view->needed[0])) return DP_OK;
    printf("the best repetitions need %.1f%% of uniform precision's energy for the same loss by "
           "layer, %.1f%% by channel\n",
           100 * view->needed[0], 100 * view->needed[1]);
    return DP_OK;
}

void dp_sensitivity_json(const dp_sensitivity *view, dp_json *json, const char *name) {
    dp_layer_totals totals = dp_layers_total(view->schedule.layers, view->schedule.n_layers);
    const dp_layer *layer = layer_named(view, name);
    dp_json_open(json, "precision", '{');
    if (layer) dp_layer_json(json, layer, &totals);
    dp_json_close(json, '}');
}

void dp_sensitivity_totals_json(const dp_sensitivity *view, dp_json *json) {
    dp_layer_totals totals = dp_layers_total(view->schedule.layers, view->schedule.n_layers);
    dp_json_number(json, "energy_j", totals.energy_j);
    dp_json_number(json, "loss", totals.loss);
    dp_json_number(json, "needed_by_layer", view->needed[0]);
    dp_json_number(json, "needed_by_channel", view->needed[1]);
}
