/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plan/schedule_format.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

#define FIGURE(name)                                                                               \
    { #name, offsetof(dp_measure, name), true, false }
#define NUMBER(name)                                                                               \
    { #name, offsetof(dp_measure, name), false, false }
#define NEW_NUMBER(name)                                                                           \
    { #name, offsetof(dp_measure, name), false, true }

const dp_measure_field dp_measure_fields[] = {
    FIGURE(top1),
    FIGURE(top5),
    FIGURE(loss),
    FIGURE(kl),
    FIGURE(agreement),
    FIGURE(drop),
    NUMBER(drop_upper),
    NUMBER(rise),
    NUMBER(rise_upper),
    NUMBER(energy_j),
    NUMBER(energy_per_mac_aj),
    NUMBER(latency_x),
    NEW_NUMBER(latency_s),
    NUMBER(repetitions),
    {NULL, 0, false, false},
};

const char *const dp_budget_words[] = {"", "drop", "loss", "energy", "latency", NULL};
const char *const dp_rounding_words[] = {"energy_j", "loss", NULL};
const char *const dp_operands_words[] = {"plain", "conditioned", NULL};
const char *const dp_figure_names[3] = {"value", "lower", "upper"};

/* The N of "tile:N", written as an integer without decoration; 0: not that. */
static int tile_size(const char *granularity) {
    static const char prefix[] = "tile:";
    if (strncmp(granularity, prefix, sizeof prefix - 1) != 0) return 0;
    const char *digits = granularity + sizeof prefix - 1;
    size_t count = strspn(digits, "0123456789");
    bool plain = count > 0 && count < 10 && !digits[count] && *digits != '0';
    return plain ? (int)strtol(digits, NULL, 10) : 0;
}

int dp_schedule_units(const char *granularity, int channels) {
    if (!strcmp(granularity, "layer")) return 1;
    if (!strcmp(granularity, "channel")) return channels;
    int size = tile_size(granularity);
    return size ? (channels - 1) / size + 1 : 0;
}

double dp_layer_repetitions(const dp_layer *layer, int channel) {
    int tile = tile_size(layer->granularity);
    return layer->repetitions[layer->count == 1 ? 0 : channel / (tile ? tile : 1)];
}

static void clear_layer(dp_layer *layer) {
    dp_free(layer->name);
    dp_free(layer->op);
    dp_free(layer->weight);
    dp_free(layer->module);
    dp_free(layer->group);
    dp_free(layer->repetitions);
}

void dp_schedule_clear(dp_schedule *schedule) {
    if (!schedule) return;
    for (int i = 0; schedule->layers && i < schedule->n_layers; i++)
        clear_layer(&schedule->layers[i]);
    dp_free(schedule->layers);
    dp_conditioning_clear(&schedule->conditioning);
    dp_free(schedule->conditioned_noise);
    dp_free(schedule->version);
    dp_free(schedule->search);
    dp_free(schedule->obstacle);
    dp_free(schedule->model_file);
    dp_free(schedule->model_sha256);
    dp_free(schedule->data_file);
    dp_free(schedule->data_sha256);
    dp_free(schedule->check_file);
    dp_free(schedule->check_sha256);
    dp_free(schedule->goal);
    dp_free(schedule->status);
    dp_free(schedule->alternative.status);
    *schedule = (dp_schedule){0};
}
