/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/explain.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/gradient_free.h"
#include "learn/result.h"

/* Nats that a network may lose where nobody said how many: what noise is measured at without a reverse pass. */
static const double likely_loss = 0.05;

/* ---- one layer ---- */

double dp_explain_enob(const dp_site_info *site, double variance) {
    if (!(variance > 0)) return NAN;
    return log2((site->output_high - site->output_low) / sqrt(12 * variance) + 1);
}

void dp_explain_layer(dp_layer *layer, const dp_site_info *site, const dp_channel_facts *facts) {
    const double *k = facts->repetitions + site->first_channel;
    const double *s = facts->sensitivity + site->first_channel;
    const double *v = facts->variance + site->first_channel;
    double channels = (double)site->channels, mean = 0, variance = 0;
    layer->sensitivity = layer->loss = 0;
    for (int64_t c = 0; c < site->channels; c++) {
        mean += k[c] / channels;
        variance += v[c] / k[c];
        layer->sensitivity += s[c];
        layer->loss += s[c] / k[c];
    }
    double variable = site->per_repetition_j * mean;
    layer->energy_j = site->fixed_j + variable;
    /* of all its K raised in proportion: d loss = -sum s / K d log t, d energy = sum B K d log t */
    layer->loss_per_j = variable > 0 ? layer->loss / variable : NAN;
    layer->enob = dp_explain_enob(site, variance / channels);
}

/* "layer1.0.conv2.weight" -> "layer1.0.conv2"; names without a known ending stay whole. "onnx::Conv_21" is what PyTorch's exporter calls weights
 * that it has changed: no module has that name. */
static char *module_of(const char *weight) {
    static const char *const endings[] = {".weight", "/weight", "_weight", ".kernel", "/kernel"};
    char *module = dp_strdup(strncmp(weight, "onnx::", 6) == 0 ? "" : weight);
    size_t length = module ? strlen(module) : 0;
    for (size_t i = 0; module && i < sizeof endings / sizeof *endings; i++) {
        size_t n = strlen(endings[i]);
        if (length > n && strcmp(weight + length - n, endings[i]) == 0) module[length - n] = '\0';
    }
    return module;
}

bool dp_explain_site(dp_layer *layer, const dp_site_info *site, int index) {
    layer->name = dp_strdup(site->name);
    layer->index = index;
    layer->op = dp_strdup(site->op);
    layer->weight = dp_strdup(site->weight);
    layer->module = module_of(site->weight);
    layer->macs = site->macs;
    layer->channels = (int)site->channels;
    return layer->name && layer->op && layer->weight && layer->module;
}

/* ---- sensitivities ---- */

static dp_status open_search(dp_search *search, const dp_learn_options *options, dp_error *err) {
    dp_half *half = &search->learn;
    half->samples = dp_dataset_count(half->data);
    half->scores = dp_alloc((size_t)half->samples, sizeof *half->scores);
    search->repetitions =
        dp_alloc((size_t)dp_engine_channels(search->engine), sizeof *search->repetitions);
    if (!half->scores || !search->repetitions) return dp_fail(err, DP_EMEMORY, "no memory");
    return dp_units_create(&search->units, search->engine, search->hardware, options, err);
}

/* Without a reverse pass, layer by layer. */
static dp_status measure(dp_engine *engine, const dp_explained_point *at, dp_reference *reference,
                         double *s, dp_error *err) {
    dp_learn_options options;
    dp_learn_defaults(&options);
    dp_search search = {.options = &options, .hardware = at->hardware, .engine = engine, .s = s};
    search.learn = (dp_half){.data = at->data, .reference = reference};
    dp_status status = open_search(&search, &options, err);
    if (status == DP_OK) status = dp_gradient_free(&search, likely_loss, err);
    dp_units_clear(&search.units);
    dp_free(search.learn.scores);
    dp_free(search.repetitions);
    return status;
}

/* The mean with what they are at an operating point. */
static dp_status blend(dp_engine *engine, const dp_evaluation *point, double *s, dp_error *err) {
    size_t channels = (size_t)dp_engine_channels(engine);
    double *noisy = dp_alloc(channels, sizeof *noisy);
    if (!noisy) return dp_fail(err, DP_EMEMORY, "no memory for sensitivities");
    dp_status status = dp_engine_sensitivity(engine, point, noisy, err);
    for (size_t c = 0; status == DP_OK && c < channels; c++) s[c] = 0.5 * (s[c] + noisy[c]);
    dp_free(noisy);
    return status;
}

dp_status dp_explain_sensitivity(dp_engine *engine, const dp_explained_point *at, double *s,
                                 bool *measured, dp_error *err) {
    dp_reference *reference = NULL;
    *measured = false;
    dp_status status = dp_engine_reference(&reference, engine, at->data, err);
    if (status != DP_OK) return status;
    dp_evaluation point = {.reference = reference, .trials = 1};
    status = dp_engine_sensitivity(engine, &point, s, err);
    if (status == DP_EUNSUPPORTED) {
        *measured = true;
        status = measure(engine, at, reference, s, err);
    } else if (status == DP_OK && at->repetitions) {
        point.repetitions = at->repetitions;
        point.first_trial = 1;
        status = blend(engine, &point, s, err);
    }
    dp_reference_free(reference);
    return status;
}

double dp_explain_potential(const dp_engine *engine, const double *s, bool channels) {
    int sites = dp_engine_site_count(engine);
    double roots = 0, all_s = 0, all_cost = 0;
    for (int first = 0; first < sites; first++) {
        const dp_site_info *site = dp_engine_site(engine, first);
        if (site->tied != first) continue;
        int64_t units = channels ? site->channels : 1, width = site->channels / units;
        for (int64_t unit = 0; unit < units; unit++) {
            double sum = 0, cost = 0;
            for (int i = first; i < sites; i++) { /* those with the same weights */
                const dp_site_info *other = dp_engine_site(engine, i);
                if (other->tied != first) continue;
                cost += other->per_repetition_j / (double)units;
                for (int64_t c = 0; c < width; c++)
                    sum += s[other->first_channel + unit * width + c];
            }
            roots += sqrt(sum * cost);
            all_s += sum;
            all_cost += cost;
        }
    }
    return all_s > 0 && all_cost > 0 ? roots * roots / (all_s * all_cost) : NAN;
}
