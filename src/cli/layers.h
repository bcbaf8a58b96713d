/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The layers of a schedule: what each takes and what it adds to the loss, as a table and as JSON. */
#ifndef DP_CLI_LAYERS_H
#define DP_CLI_LAYERS_H

#include "cli/json.h"
#include "cli/table.h"
#include "dynaprec/schedule.h"

/* What shares are of; NaN where a layer's is not known. */
typedef struct dp_layer_totals {
    double energy_j; /* a sample */
    double loss;     /* predicted, nats */
} dp_layer_totals;
dp_layer_totals dp_layers_total(const dp_layer *layers, int count);

/* Over the channels of a layer. */
typedef struct dp_spread {
    double least, mean, most;
} dp_spread;
dp_spread dp_layer_spread(const dp_layer *layer);

/** K, or least / mean / most where channels differ. */
void dp_layer_add_repetitions(dp_table *table, const dp_layer *layer);

/** One row a layer. Errors: DP_EMEMORY. */
dp_status dp_layers_print(FILE *stream, const dp_layer *layers, int count, dp_error *err);

/** A line with what is predicted of all of them together. */
void dp_layers_print_totals(FILE *stream, const dp_layer *layers, int count);

/** "repetitions": {...}, "energy_j": ... and the rest, into the open object. */
void dp_layer_json(dp_json *json, const dp_layer *layer, const dp_layer_totals *totals);

#endif
