/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The hardware file. Everything it may say, with the defaults of what it may leave out:
 *
 *     name: "..."                            required
 *     source: ""                             where the numbers come from
 *     noise:                                 required: one or more entries, each source once
 *       - kind: shot                         a row of noise.c; its parameters follow
 *         photons_per_mac: 1.0
 *     bits:                                  0: floating point
 *       weights: 8                           required
 *       inputs: 8                            required
 *       outputs: 0
 *       percentile: 99.99                    of the inputs' calibration; 100: min-max
 *       signed_inputs: false                 all inputs may be negative, so that they may be centred
 *     energy:                                required
 *       model: per-mac                       a row of energy.c; its parameters follow
 *       energy_per_mac_j: 1.0e-18
 *       digital_op_j: 0                      an addition or multiplication that conditioning adds
 *     latency:                               operations are products of a matrix with a vector
 *       operation_s: 0                       seconds of one; 0: not known
 *       rows: 0                              channels that one computes at once; 0: all of a site's
 *       columns: 0                           inputs that one adds up; 0: all
 *     precision:
 *       knob: repetitions
 *       min: 1
 *       max: 65536
 *       levels: integer                      or power-of-two, continuous
 *       granularity: [layer, channel, tile]  what the hardware can give a K of its own
 *       average: analog                      before the ADC; or digital: after it
 *
 * Bits have no default because they decide accuracy. Noise sources, energy models and their parameters come from the
 * tables: nothing here knows their names.
 */
#include "device/hardware.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/sha256.h"
#include "device/component.h"
#include "device/quantise.h"

enum { MAX_BYTES = 1 << 20, MAX_TYPES = 32, MAX_ROWS = 1 << 20 };

static const char *const knob_words[] = {"repetitions", NULL};
static const char *const average_words[] = {"digital", "analog", NULL};      /* as average_analog */
static const char *const grain_words[] = {"layer", "channel", "tile", NULL}; /* bits 0, 1, 2 */
static const char *const level_words[] = {[DP_LEVELS_INTEGER] = "integer",
                                          [DP_LEVELS_POWER_OF_TWO] = "power-of-two",
                                          [DP_LEVELS_CONTINUOUS] = "continuous",
                                          NULL};
enum { GRAINS = 3 };

typedef const dp_component_type *(*table)(int row);

/* ---- from YAML ---- */

static void read_component(dp_yaml_node *map, const char *key, table rows, dp_component *out) {
    const char *names[MAX_TYPES + 1] = {0};
    for (int i = 0; i < MAX_TYPES && rows(i); i++) names[i] = rows(i)->name;
    int row = dp_yaml_choice(dp_yaml_need(map, key), names, -1);
    if (row < 0) return;
    const dp_component_type *type = rows(row);
    *out = (dp_component){0};
    strcpy(out->model, type->name);
    for (int i = 0; type->parameters[i].name; i++) {
        const dp_parameter *p = &type->parameters[i];
        dp_yaml_node *node = dp_yaml_find(map, p->name);
        out->parameters[i] = dp_yaml_number(node, p->least, p->largest, p->value);
    }
}

static void read_noise(dp_yaml_node *list, dp_hardware *out) {
    dp_yaml_node *entry = dp_yaml_first(list);
    if (!entry) dp_yaml_fault(list, "one noise source at least is needed");
    for (; entry; entry = dp_yaml_next(entry)) {
        dp_component component = {0};
        read_component(entry, "kind", dp_noise_type, &component);
        if (!*component.model) return;
        for (int i = 0; i < out->n_noise; i++)
            if (!strcmp(out->noise[i].model, component.model)) {
                dp_yaml_fault(entry, "'%s' is listed twice", component.model);
                return;
            }
        out->noise[out->n_noise++] = component;
    }
}

static void read_bits(dp_yaml_node *map, dp_hardware *out) {
    out->weight_bits = (int)dp_yaml_integer(dp_yaml_need(map, "weights"), 0, DP_MAX_BITS, 0);
    out->input_bits = (int)dp_yaml_integer(dp_yaml_need(map, "inputs"), 0, DP_MAX_BITS, 0);
    out->output_bits = (int)dp_yaml_integer(dp_yaml_find(map, "outputs"), 0, DP_MAX_BITS, 0);
    out->percentile = dp_yaml_number(dp_yaml_find(map, "percentile"), 50, 100, 99.99);
    out->signed_inputs = dp_yaml_boolean(dp_yaml_find(map, "signed_inputs"), false);
}

static void read_latency(dp_yaml_node *map, dp_hardware *out) {
    out->operation_s = dp_yaml_number(dp_yaml_find(map, "operation_s"), 0, 1, 0);
    out->rows = (int)dp_yaml_integer(dp_yaml_find(map, "rows"), 0, MAX_ROWS, 0);
    out->columns = (int)dp_yaml_integer(dp_yaml_find(map, "columns"), 0, MAX_ROWS, 0);
}

static unsigned read_grains(dp_yaml_node *list) {
    unsigned grains = 0;
    for (dp_yaml_node *entry = dp_yaml_first(list); entry; entry = dp_yaml_next(entry))
        grains |= 1u << dp_yaml_choice(entry, grain_words, 0);
    if (list && grains == 0) dp_yaml_fault(list, "one of layer, channel, tile at least is needed");
    return list ? grains : (1u << GRAINS) - 1;
}

static bool is_level(dp_levels levels, double repetitions) {
    int exponent;
    if (levels == DP_LEVELS_INTEGER) return repetitions == floor(repetitions);
    return levels == DP_LEVELS_CONTINUOUS || frexp(repetitions, &exponent) == 0.5;
}

static void read_precision(dp_yaml_node *map, dp_hardware *out) {
    dp_yaml_node *min = dp_yaml_find(map, "min"), *max = dp_yaml_find(map, "max");
    dp_yaml_choice(dp_yaml_find(map, "knob"), knob_words, 0);
    out->repetitions_min = dp_yaml_number(min, DP_LEAST_REPETITIONS, DP_MOST_REPETITIONS, 1);
    out->repetitions_max = dp_yaml_number(max, DP_LEAST_REPETITIONS, DP_MOST_REPETITIONS, 65536);
    out->levels = (dp_levels)dp_yaml_choice(dp_yaml_find(map, "levels"), level_words, 0);
    out->granularities = read_grains(dp_yaml_find(map, "granularity"));
    out->average_analog = dp_yaml_choice(dp_yaml_find(map, "average"), average_words, 1) == 1;
    const char *word = level_words[out->levels];
    if (!is_level(out->levels, out->repetitions_min))
        dp_yaml_fault(min, "%g is not a level: levels are '%s'", out->repetitions_min, word);
    if (!is_level(out->levels, out->repetitions_max))
        dp_yaml_fault(max, "%g is not a level: levels are '%s'", out->repetitions_max, word);
    if (out->repetitions_min > out->repetitions_max)
        dp_yaml_fault(map, "min (%g) is above max (%g)", out->repetitions_min,
                      out->repetitions_max);
}

/* `size` counts the terminating zero. */
static void read_text(dp_yaml_node *node, char *out, size_t size) {
    strcpy(out, dp_yaml_string(node, size - 1, ""));
}

void dp_hardware_from_yaml(dp_yaml_node *map, dp_hardware *out) {
    *out = (dp_hardware){0};
    dp_yaml_node *name = dp_yaml_need(map, "name");
    read_text(name, out->name, sizeof out->name);
    if (!*out->name) dp_yaml_fault(name, "a name is expected");
    read_text(dp_yaml_find(map, "source"), out->source, sizeof out->source);
    read_noise(dp_yaml_need(map, "noise"), out);
    read_bits(dp_yaml_need(map, "bits"), out);
    dp_yaml_node *energy = dp_yaml_need(map, "energy");
    read_component(energy, "model", dp_energy_type, &out->energy);
    out->digital_op_j = dp_yaml_number(dp_yaml_find(energy, "digital_op_j"), 0, 1, 0);
    read_latency(dp_yaml_find(map, "latency"), out);
    read_precision(dp_yaml_find(map, "precision"), out);
}

dp_status dp_hardware_read(dp_hardware *out, const char *path, dp_error *err) {
    *out = (dp_hardware){0};
    char *text;
    size_t size;
    dp_yaml *yaml = NULL;
    dp_status status = dp_file_read(path, MAX_BYTES, &text, &size, err);
    if (status == DP_OK) status = dp_yaml_parse(&yaml, path, text, size, err);
    if (status == DP_OK) {
        dp_hardware_from_yaml(dp_yaml_root(yaml), out);
        status = dp_yaml_finish(yaml, err);
    }
    if (status == DP_OK) {
        dp_sha256 sha;
        dp_sha256_init(&sha);
        dp_sha256_update(&sha, text, size);
        dp_sha256_hex(&sha, out->sha256);
    } else {
        *out = (dp_hardware){0};
    }
    dp_yaml_free(yaml);
    dp_free(text);
    return status;
}

/* ---- to YAML ---- */

static const dp_component_type *type_of(const dp_component *component, table rows) {
    int row = 0;
    while (rows(row) && strcmp(rows(row)->name, component->model)) row++;
    return rows(row);
}

static void write_component(dp_yaml_writer *w, const char *key, table rows,
                            const dp_component *component) {
    const dp_component_type *type = type_of(component, rows);
    dp_yaml_put_string(w, key, component->model);
    for (int i = 0; type && type->parameters[i].name; i++)
        dp_yaml_put_number(w, type->parameters[i].name, component->parameters[i], false);
}

static void write_precision(dp_yaml_writer *w, const dp_hardware *hardware) {
    const char *grains[GRAINS];
    size_t count = 0;
    for (unsigned i = 0; i < GRAINS; i++)
        if (hardware->granularities & 1u << i) grains[count++] = grain_words[i];
    bool whole = hardware->levels != DP_LEVELS_CONTINUOUS;
    dp_yaml_put_string(w, "knob", knob_words[0]);
    dp_yaml_put_number(w, "min", hardware->repetitions_min, whole);
    dp_yaml_put_number(w, "max", hardware->repetitions_max, whole);
    dp_yaml_put_string(w, "levels", level_words[hardware->levels]);
    dp_yaml_put_words(w, "granularity", grains, count);
    dp_yaml_put_string(w, "average", average_words[hardware->average_analog]);
}

void dp_hardware_to_yaml(dp_yaml_writer *w, const dp_hardware *hardware) {
    dp_yaml_put_string(w, "name", hardware->name);
    dp_yaml_put_string(w, "source", hardware->source);
    dp_yaml_open(w, "noise");
    for (int i = 0; i < hardware->n_noise; i++) {
        dp_yaml_item(w);
        write_component(w, "kind", dp_noise_type, &hardware->noise[i]);
        dp_yaml_close(w);
    }
    dp_yaml_close(w);
    dp_yaml_open(w, "bits");
    dp_yaml_put_integer(w, "weights", (uint64_t)hardware->weight_bits);
    dp_yaml_put_integer(w, "inputs", (uint64_t)hardware->input_bits);
    dp_yaml_put_integer(w, "outputs", (uint64_t)hardware->output_bits);
    dp_yaml_put_number(w, "percentile", hardware->percentile, false);
    dp_yaml_put_boolean(w, "signed_inputs", hardware->signed_inputs);
    dp_yaml_close(w);
    dp_yaml_open(w, "energy");
    write_component(w, "model", dp_energy_type, &hardware->energy);
    dp_yaml_put_number(w, "digital_op_j", hardware->digital_op_j, false);
    dp_yaml_close(w);
    dp_yaml_open(w, "latency");
    dp_yaml_put_number(w, "operation_s", hardware->operation_s, false);
    dp_yaml_put_integer(w, "rows", (uint64_t)hardware->rows);
    dp_yaml_put_integer(w, "columns", (uint64_t)hardware->columns);
    dp_yaml_close(w);
    dp_yaml_open(w, "precision");
    write_precision(w, hardware);
    dp_yaml_close(w);
}

/* ---- parameters by name ---- */

static double parameter_of(const dp_component *component, table rows, const char *name) {
    const dp_component_type *type = type_of(component, rows);
    for (int i = 0; type && type->parameters[i].name; i++)
        if (!strcmp(type->parameters[i].name, name)) return component->parameters[i];
    return NAN;
}

double dp_hardware_parameter(const dp_hardware *hardware, const char *model,
                             const char *parameter) {
    for (int i = 0; i < hardware->n_noise; i++)
        if (!strcmp(hardware->noise[i].model, model))
            return parameter_of(&hardware->noise[i], dp_noise_type, parameter);
    if (!strcmp(hardware->energy.model, model))
        return parameter_of(&hardware->energy, dp_energy_type, parameter);
    return NAN;
}
