/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A schedule as YAML; docs/formats.md describes each key. Keys come in one order, so equal schedules are equal bytes. */
#include <math.h>
#include <string.h>

#include "base/file.h"
#include "device/hardware.h"
#include "plan/schedule_conditioning.h"
#include "plan/schedule_format.h"

static void write_figure(dp_yaml_writer *w, const char *key, const dp_figure *figure) {
    const double values[] = {figure->value, figure->lower, figure->upper};
    if (isnan(values[0]) && isnan(values[1]) && isnan(values[2]))
        dp_yaml_put_number(w, key, NAN, false);
    else
        dp_yaml_put_pairs(w, key, dp_figure_names, values, 3);
}

/* `whole`: repetitions are levels that are integers, and are written so. */
static void write_measure(dp_yaml_writer *w, const char *key, const dp_measure *measure,
                          bool whole) {
    dp_yaml_open(w, key);
    for (const dp_measure_field *field = dp_measure_fields; field->name; field++) {
        const char *place = (const char *)measure + field->offset;
        bool count = whole && !strcmp(field->name, "repetitions");
        if (field->figure)
            write_figure(w, field->name, (const dp_figure *)(const void *)place);
        else
            dp_yaml_put_number(w, field->name, *(const double *)(const void *)place, count);
    }
    dp_yaml_close(w);
}

static void write_origin(dp_yaml_writer *w, const dp_schedule *s) {
    dp_yaml_put_string(w, "format", DP_SCHEDULE_FORMAT);
    dp_yaml_open(w, "tool");
    dp_yaml_put_string(w, "version", s->version);
    dp_yaml_put_string(w, "search", s->search);
    dp_yaml_put_integer(w, "seed", s->seed);
    dp_yaml_put_integer(w, "trials", (uint64_t)s->trials);
    bool whole = s->hardware.levels != DP_LEVELS_CONTINUOUS;
    if (s->min_repetitions > 0) dp_yaml_put_number(w, "min_repetitions", s->min_repetitions, whole);
    if (s->max_repetitions > 0) dp_yaml_put_number(w, "max_repetitions", s->max_repetitions, whole);
    dp_yaml_close(w);
    dp_yaml_open(w, "model");
    dp_yaml_put_string(w, "file", s->model_file);
    dp_yaml_put_string(w, "sha256", s->model_sha256);
    dp_yaml_close(w);
    dp_yaml_open(w, "data");
    dp_yaml_put_string(w, "file", s->data_file);
    dp_yaml_put_string(w, "sha256", s->data_sha256);
    dp_yaml_put_integer(w, "learn_count", (uint64_t)s->learn_count);
    dp_yaml_put_integer(w, "check_count", (uint64_t)s->check_count);
    dp_yaml_put_string(w, "check_file", s->check_file);
    dp_yaml_put_string(w, "check_sha256", s->check_sha256);
    dp_yaml_close(w);
    dp_yaml_open(w, "hardware");
    dp_yaml_put_string(w, "sha256", s->hardware.sha256);
    dp_hardware_to_yaml(w, &s->hardware);
    dp_yaml_close(w);
}

static void write_rounding(dp_yaml_writer *w, const dp_rounding *rounding) {
    if (isnan(rounding->gap)) {
        dp_yaml_put_number(w, "rounding", NAN, false);
        return;
    }
    dp_yaml_open(w, "rounding");
    dp_yaml_put_string(w, "of", dp_rounding_words[rounding->of_loss]);
    dp_yaml_put_number(w, "value", rounding->value, false);
    dp_yaml_put_number(w, "bound", rounding->bound, false);
    dp_yaml_put_number(w, "gap", rounding->gap, false);
    dp_yaml_close(w);
}

/* Only where there was one. */
static void write_alternative(dp_yaml_writer *w, const dp_alternative *a) {
    if (!a->status) return;
    dp_yaml_open(w, "alternative");
    dp_yaml_put_string(w, "operands", dp_operands_words[a->conditioned]);
    dp_yaml_put_string(w, "status", a->status);
    dp_yaml_put_number(w, "energy_per_mac_aj", a->energy_per_mac_aj, false);
    dp_yaml_put_number(w, "clean_top1", a->clean_top1, false);
    dp_yaml_close(w);
}

static void write_result(dp_yaml_writer *w, const dp_schedule *s, bool whole) {
    dp_yaml_put_string(w, "goal", s->goal);
    dp_yaml_open(w, "result");
    dp_yaml_put_string(w, "status", s->status);
    if (s->active == DP_BUDGET_UNKNOWN)
        dp_yaml_put_number(w, "active_budget", NAN, false);
    else
        dp_yaml_put_string(w, "active_budget", dp_budget_words[s->active]);
    dp_yaml_put_number(w, "confidence", s->confidence, false);
    dp_yaml_put_integer(w, "checks", (uint64_t)s->checks);
    dp_yaml_put_integer(w, "checks_uniform", (uint64_t)s->checks_uniform);
    dp_yaml_put_number(w, "passes", s->passes, false);
    dp_yaml_put_number(w, "passes_shape", s->passes_shape, false);
    write_measure(w, "clean", &s->clean, whole);
    write_measure(w, "learned", &s->learned, whole);
    write_measure(w, "uniform", &s->uniform, whole);
    write_figure(w, "saving", &s->saving);
    write_alternative(w, &s->alternative);
    write_rounding(w, &s->rounding);
    dp_yaml_close(w);
}

static void write_layer(dp_yaml_writer *w, const dp_layer *layer, bool whole) {
    dp_yaml_item(w);
    dp_yaml_put_string(w, "name", layer->name);
    dp_yaml_put_integer(w, "index", (uint64_t)layer->index);
    dp_yaml_put_string(w, "op", layer->op);
    dp_yaml_put_string(w, "weight", layer->weight);
    dp_yaml_put_string(w, "module", layer->module);
    dp_yaml_put_number(w, "macs", layer->macs, true);
    dp_yaml_put_integer(w, "channels", (uint64_t)layer->channels);
    dp_yaml_put_string(w, "granularity", layer->granularity);
    if (layer->group) dp_yaml_put_string(w, "group", layer->group);
    if (!strcmp(layer->granularity, "layer"))
        dp_yaml_put_number(w, "repetitions", layer->repetitions[0], whole);
    else
        dp_yaml_put_numbers(w, "repetitions", layer->repetitions, (size_t)layer->count, whole);
    dp_yaml_put_number(w, "energy_j", layer->energy_j, false);
    dp_yaml_put_number(w, "enob", layer->enob, false);
    dp_yaml_put_number(w, "loss", layer->loss, false);
    dp_yaml_put_number(w, "loss_per_j", layer->loss_per_j, false);
    dp_yaml_put_boolean(w, "fixed", layer->fixed);
    dp_yaml_put_integer(w, "at_min", (uint64_t)layer->at_min);
    dp_yaml_put_integer(w, "at_max", (uint64_t)layer->at_max);
    dp_yaml_put_number(w, "sensitivity", layer->sensitivity, false);
    dp_yaml_close(w);
}

static void write_layers(dp_yaml_writer *w, const dp_schedule *s, bool whole) {
    if (s->n_layers == 0) {
        dp_yaml_put_words(w, "layers", NULL, 0);
        return;
    }
    dp_yaml_open(w, "layers");
    for (int i = 0; i < s->n_layers; i++) write_layer(w, &s->layers[i], whole);
    dp_yaml_close(w);
}

dp_status dp_schedule_write(const dp_schedule *schedule, const char *path, dp_error *err) {
    dp_output output = {0};
    dp_vector_file vectors;
    dp_status status = dp_schedule_write_vectors(schedule, path, &vectors, err);
    if (status == DP_OK) status = dp_output_open(&output, path, err);
    if (status != DP_OK) return status;
    dp_yaml_writer w = {.stream = output.stream};
    bool whole = schedule->hardware.levels != DP_LEVELS_CONTINUOUS;
    write_origin(&w, schedule);
    write_result(&w, schedule, whole);
    dp_schedule_write_conditioning(&w, schedule, &vectors);
    write_layers(&w, schedule, whole);
    return dp_output_close(&output, err);
}
