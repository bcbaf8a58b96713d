/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * inspect --sensitivity: what each layer takes and what it adds to the loss, at K = 1 everywhere or with a schedule's
 * repetitions, found anew from the samples at hand.
 */
#ifndef DP_CLI_SENSITIVITY_H
#define DP_CLI_SENSITIVITY_H

#include "cli/json.h"
#include "cli/settings.h"

typedef struct dp_sensitivity {
    dp_schedule
        schedule; /* read from a file, or K = 1 everywhere; of its layers, what they come to here */
    bool given;   /* from a file */
    double needed
        [2]; /* energy of the best repetitions for a loss, in parts of uniform's: by layer, by channel */
} dp_sensitivity;

/* What it is found from: a surveyed engine, and the variance of its channels at K = 1. */
typedef struct dp_sensitivity_source {
    dp_engine *engine;
    const dp_graph *graph;
    const dp_dataset *data;
    const dp_hardware *hardware;
    const double *variance; /* [dp_engine_channels] */
} dp_sensitivity_source;

/** Read --schedule, if there is one. Errors: as dp_schedule_read. */
dp_status dp_sensitivity_open(dp_sensitivity *view, const dp_settings *settings, dp_error *err);

/** Errors: DP_EFORMAT when the schedule is of another network; as dp_engine_sensitivity. */
dp_status dp_sensitivity_find(dp_sensitivity *view, const dp_settings *settings,
                              const dp_sensitivity_source *source, dp_error *err);
void dp_sensitivity_clear(dp_sensitivity *view);

/** Errors: DP_EMEMORY. */
dp_status dp_sensitivity_print(const dp_sensitivity *view, dp_error *err);

/** "precision": {...}, what dp_layer_json writes, of the layer of that name. */
void dp_sensitivity_json(const dp_sensitivity *view, dp_json *json, const char *name);

/** "needed_by_layer" and "needed_by_channel", of all. */
void dp_sensitivity_totals_json(const dp_sensitivity *view, dp_json *json);

#endif
