/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A schedule from YAML. What the file says of itself must agree: a layer has as many repetitions as its channels and
 * granularity ask for, layers come in execution order.
 */
#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/hardware.h"
#include "plan/schedule_conditioning.h"
#include "plan/schedule_format.h"

enum { MAX_INDEX = (1 << 24) - 1 }; /* what the random counters hold */

static const char *const status_words[] = {"accepted", "unmet", "interrupted", "uniform", NULL};
static const char *const alternative_words[] = {"accepted",    "unmet",  "uniform",
                                                "interrupted", "dearer", NULL};

static char *read_text(dp_yaml_node *node) {
    char *copy = dp_strdup(dp_yaml_string(node, SIZE_MAX, ""));
    if (!copy) dp_yaml_no_memory(node);
    return copy;
}

/* 64 hexadecimal digits, or nothing where there is nothing to digest. */
static const char *read_digest(dp_yaml_node *node) {
    const char *text = dp_yaml_string(node, 64, "");
    size_t length = strspn(text, "0123456789abcdef");
    if (!text[length] && (length == 0 || length == 64)) return text;
    dp_yaml_fault(node, "64 hexadecimal digits are expected");
    return "";
}

static char *copy_digest(dp_yaml_node *node) {
    char *copy = dp_strdup(read_digest(node));
    if (!copy) dp_yaml_no_memory(node);
    return copy;
}

static int read_int(dp_yaml_node *node, int least, int largest) {
    return (int)dp_yaml_integer(node, (uint64_t)least, (uint64_t)largest, (uint64_t)least);
}

/* A measured number: any, or null where it was not measured. */
static double read_measured(dp_yaml_node *node) {
    return !node || dp_yaml_is_null(node) ? NAN : dp_yaml_number(node, -INFINITY, INFINITY, NAN);
}

/* Repetitions, or none. */
static double read_bound(dp_yaml_node *node) {
    return node ? dp_yaml_number(node, DBL_MIN, DBL_MAX, 0) : 0;
}

static dp_figure read_figure(dp_yaml_node *node) {
    if (!node || dp_yaml_is_null(node)) return (dp_figure){NAN, NAN, NAN};
    return (dp_figure){read_measured(dp_yaml_need(node, dp_figure_names[0])),
                       read_measured(dp_yaml_need(node, dp_figure_names[1])),
                       read_measured(dp_yaml_need(node, dp_figure_names[2]))};
}

static void read_measure(dp_yaml_node *map, dp_measure *out) {
    for (const dp_measure_field *field = dp_measure_fields; field->name; field++) {
        void *place = (char *)out + field->offset;
        dp_yaml_node *node =
            field->late ? dp_yaml_find(map, field->name) : dp_yaml_need(map, field->name);
        if (field->figure)
            *(dp_figure *)place = read_figure(node);
        else
            *(double *)place = read_measured(node);
    }
}

static void read_origin(dp_yaml_node *root, dp_schedule *out) {
    dp_yaml_node *tool = dp_yaml_need(root, "tool");
    out->version = read_text(dp_yaml_need(tool, "version"));
    out->search = read_text(dp_yaml_need(tool, "search"));
    out->seed = dp_yaml_integer(dp_yaml_need(tool, "seed"), 0, UINT64_MAX, 0);
    out->trials = read_int(dp_yaml_need(tool, "trials"), 0, INT_MAX);
    out->min_repetitions = read_bound(dp_yaml_find(tool, "min_repetitions"));
    out->max_repetitions = read_bound(dp_yaml_find(tool, "max_repetitions"));
    dp_yaml_node *model = dp_yaml_need(root, "model");
    out->model_file = read_text(dp_yaml_need(model, "file"));
    out->model_sha256 = copy_digest(dp_yaml_need(model, "sha256"));
    dp_yaml_node *data = dp_yaml_need(root, "data");
    out->data_file = read_text(dp_yaml_need(data, "file"));
    out->data_sha256 = copy_digest(dp_yaml_need(data, "sha256"));
    out->learn_count = (int64_t)dp_yaml_integer(dp_yaml_need(data, "learn_count"), 0, INT64_MAX, 0);
    out->check_count = (int64_t)dp_yaml_integer(dp_yaml_need(data, "check_count"), 0, INT64_MAX, 0);
    out->check_file = read_text(dp_yaml_need(data, "check_file"));
    out->check_sha256 = copy_digest(dp_yaml_need(data, "check_sha256"));
    dp_yaml_node *hardware = dp_yaml_need(root, "hardware");
    dp_hardware_from_yaml(hardware, &out->hardware);
    strcpy(out->hardware.sha256, read_digest(dp_yaml_need(hardware, "sha256")));
}

/* Absent in schedules of before there was one. */
static dp_rounding read_rounding(dp_yaml_node *map) {
    if (!map || dp_yaml_is_null(map)) return (dp_rounding){false, NAN, NAN, NAN};
    return (dp_rounding){.of_loss =
                             dp_yaml_choice(dp_yaml_need(map, "of"), dp_rounding_words, 0) == 1,
                         .value = dp_yaml_number(dp_yaml_need(map, "value"), 0, INFINITY, 0),
                         .bound = dp_yaml_number(dp_yaml_need(map, "bound"), 0, INFINITY, 0),
                         .gap = dp_yaml_number(dp_yaml_need(map, "gap"), 0, INFINITY, 0)};
}

static char *read_word(dp_yaml_node *node, const char *const *words) {
    char *copy = dp_strdup(words[dp_yaml_choice(node, words, 0)]);
    if (!copy) dp_yaml_no_memory(node);
    return copy;
}

static void read_alternative(dp_yaml_node *map, dp_alternative *out) {
    if (!map) return;
    out->conditioned = dp_yaml_choice(dp_yaml_need(map, "operands"), dp_operands_words, 0) == 1;
    out->status = read_word(dp_yaml_need(map, "status"), alternative_words);
    out->energy_per_mac_aj = read_measured(dp_yaml_need(map, "energy_per_mac_aj"));
    out->clean_top1 = read_measured(dp_yaml_need(map, "clean_top1"));
}

static void read_result(dp_yaml_node *root, dp_schedule *out) {
    out->goal = read_text(dp_yaml_need(root, "goal"));
    dp_yaml_node *result = dp_yaml_need(root, "result");
    out->status = read_word(dp_yaml_need(result, "status"), status_words);
    dp_yaml_node *active = dp_yaml_find(result, "active_budget");
    if (active && !dp_yaml_is_null(active))
        out->active = (dp_budget)(1 + dp_yaml_choice(active, dp_budget_words + 1, 0));
    out->confidence = dp_yaml_number(dp_yaml_need(result, "confidence"), 0, 1, 0);
    out->checks = read_int(dp_yaml_need(result, "checks"), 0, INT_MAX);
    dp_yaml_node *uniform = dp_yaml_find(result, "checks_uniform");
    out->checks_uniform = uniform ? read_int(uniform, 0, INT_MAX) : 0;
    out->passes = read_measured(dp_yaml_find(result, "passes"));
    out->passes_shape = read_measured(dp_yaml_find(result, "passes_shape"));
    read_measure(dp_yaml_need(result, "clean"), &out->clean);
    read_measure(dp_yaml_need(result, "learned"), &out->learned);
    read_measure(dp_yaml_need(result, "uniform"), &out->uniform);
    out->saving = read_figure(dp_yaml_need(result, "saving"));
    read_alternative(dp_yaml_find(result, "alternative"), &out->alternative);
    out->rounding = read_rounding(dp_yaml_find(result, "rounding"));
}

static double read_repetitions(dp_yaml_node *node) {
    return dp_yaml_number(node, DP_LEAST_REPETITIONS, DP_MOST_REPETITIONS, 1);
}

/* One number for a whole layer, else a list. */
static void read_plan(dp_yaml_node *node, dp_layer *out) {
    bool whole_layer = !strcmp(out->granularity, "layer");
    size_t found = dp_yaml_count(node);
    if (!whole_layer && dp_yaml_is_list(node) && found != (size_t)out->count)
        dp_yaml_fault(node, "%zu repetitions where granularity '%s' of %d channels has %d", found,
                      out->granularity, out->channels, out->count);
    out->count = whole_layer ? 1 : (int)found;
    out->repetitions = dp_alloc((size_t)out->count, sizeof *out->repetitions);
    if (!out->repetitions) {
        dp_yaml_no_memory(node);
        return;
    }
    if (whole_layer) {
        out->repetitions[0] = read_repetitions(node);
        return;
    }
    double *next = out->repetitions;
    for (dp_yaml_node *at = dp_yaml_first(node); at; at = dp_yaml_next(at))
        *next++ = read_repetitions(at);
}

/* What schedules of before lack. */
static void read_account(dp_yaml_node *map, dp_layer *out) {
    dp_yaml_node *loss = dp_yaml_find(map, "loss"), *marginal = dp_yaml_find(map, "loss_per_j");
    out->loss = loss ? read_measured(loss) : NAN;
    out->loss_per_j = marginal ? read_measured(marginal) : NAN;
    out->fixed = dp_yaml_boolean(dp_yaml_find(map, "fixed"), false);
    uint64_t most = out->count > 0 ? (uint64_t)out->count : INT_MAX; /* none: a fault of its own */
    out->at_min = (int)dp_yaml_integer(dp_yaml_find(map, "at_min"), 0, most, 0);
    out->at_max = (int)dp_yaml_integer(dp_yaml_find(map, "at_max"), 0, most, 0);
}

/* Only layers that are in a group have one. */
static void read_group(dp_yaml_node *node, dp_layer *out) {
    if (!node) return;
    out->group = read_text(node);
    if (out->group && !*out->group) dp_yaml_fault(node, "the glob of a group is expected");
    if (strcmp(out->granularity, "layer") != 0)
        dp_yaml_fault(node, "layers of a group have one number; granularity is '%s'",
                      out->granularity);
}

/* A group's layers have the same repetitions. */
static void check_group(dp_yaml_node *map, const dp_schedule *s, const dp_layer *layer) {
    for (const dp_layer *other = s->layers; layer->group && other < layer; other++) {
        if (!other->group || strcmp(other->group, layer->group) != 0) continue;
        if (!other->repetitions || !layer->repetitions) return;
        if (other->repetitions[0] == layer->repetitions[0]) return;
        dp_yaml_fault(dp_yaml_need(map, "repetitions"),
                      "%g repetitions, but layer '%s' of the same group '%s' has %g",
                      layer->repetitions[0], other->name, layer->group, other->repetitions[0]);
        return;
    }
}

static void read_layer(dp_yaml_node *map, int least_index, dp_layer *out) {
    out->name = read_text(dp_yaml_need(map, "name"));
    out->index = read_int(dp_yaml_need(map, "index"), least_index, MAX_INDEX);
    out->op = read_text(dp_yaml_need(map, "op"));
    out->weight = read_text(dp_yaml_need(map, "weight"));
    out->module = read_text(dp_yaml_need(map, "module"));
    out->macs = dp_yaml_number(dp_yaml_need(map, "macs"), 0, 1e18, 0);
    out->channels = read_int(dp_yaml_need(map, "channels"), 1, INT_MAX);
    dp_yaml_node *granularity = dp_yaml_need(map, "granularity");
    strcpy(out->granularity, dp_yaml_string(granularity, sizeof out->granularity - 1, "layer"));
    out->count = dp_schedule_units(out->granularity, out->channels);
    if (out->count == 0)
        dp_yaml_fault(granularity, "'%s' where layer, channel or tile:N is expected",
                      out->granularity);
    read_group(dp_yaml_find(map, "group"), out);
    read_plan(dp_yaml_need(map, "repetitions"), out);
    out->energy_j = read_measured(dp_yaml_need(map, "energy_j"));
    out->enob = read_measured(dp_yaml_need(map, "enob"));
    out->sensitivity = read_measured(dp_yaml_need(map, "sensitivity"));
    read_account(map, out);
}

static void read_layers(dp_yaml_node *list, dp_schedule *out) {
    dp_yaml_node *entry = dp_yaml_first(list);
    out->layers = dp_alloc(dp_yaml_count(list), sizeof *out->layers);
    if (!out->layers) {
        dp_yaml_no_memory(list);
        return;
    }
    for (int next_index = 0; entry; entry = dp_yaml_next(entry)) {
        dp_layer *layer = &out->layers[out->n_layers++];
        read_layer(entry, next_index, layer);
        check_group(entry, out, layer);
        next_index = layer->index + 1;
    }
}

static void read_all(dp_yaml_node *root, const char *path, dp_schedule *out) {
    dp_yaml_node *format = dp_yaml_need(root, "format");
    const char *found = dp_yaml_string(format, 64, DP_SCHEDULE_FORMAT);
    if (strcmp(found, DP_SCHEDULE_FORMAT) != 0)
        dp_yaml_fault(format, "the format '%s' is not known; this version reads '%s'", found,
                      DP_SCHEDULE_FORMAT);
    read_origin(root, out);
    read_result(root, out);
    dp_schedule_read_conditioning(root, path, out);
    read_layers(dp_yaml_need(root, "layers"), out);
}

dp_status dp_schedule_read(dp_schedule *out, const char *path, dp_error *err) {
    *out = (dp_schedule){0};
    dp_yaml *yaml;
    dp_status status = dp_yaml_read(&yaml, path, err);
    if (status != DP_OK) return status;
    read_all(dp_yaml_root(yaml), path, out);
    status = dp_yaml_finish(yaml, err);
    if (status != DP_OK) dp_schedule_clear(out);
    dp_yaml_free(yaml);
    return status;
}
