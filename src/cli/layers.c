/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/layers.h"

#include <math.h>
#include <string.h>

dp_layer_totals dp_layers_total(const dp_layer *layers, int count) {
    dp_layer_totals sum = {0, 0};
    for (int i = 0; i < count; i++) {
        sum.energy_j += layers[i].energy_j;
        sum.loss += layers[i].loss;
    }
    return sum;
}

dp_spread dp_layer_spread(const dp_layer *layer) {
    dp_spread all = {INFINITY, 0, 0};
    for (int c = 0; c < layer->channels; c++) {
        double k = dp_layer_repetitions(layer, c);
        all.least = fmin(all.least, k);
        all.most = fmax(all.most, k);
        all.mean += k / layer->channels;
    }
    if (all.least == all.most) all.mean = all.most;
    return all;
}

/* ---- as a table ---- */

void dp_layer_add_repetitions(dp_table *table, const dp_layer *layer) {
    char least[DP_SI_TEXT], mean[DP_SI_TEXT], most[DP_SI_TEXT];
    dp_spread k = dp_layer_spread(layer);
    if (k.least == k.most)
        dp_table_add(table, "%s", dp_count_cell(k.least, least));
    else
        dp_table_add(table, "%s / %s / %s", dp_count_cell(k.least, least),
                     dp_cell_text(k.mean < 99.95 ? "%.3g" : "%.0f", k.mean, mean),
                     dp_count_cell(k.most, most));
}

/* "min" where all of a layer's repetitions are the least, "min 3" where three of them are. */
static void add_bound(dp_table *table, const dp_layer *layer) {
    char text[64] = "";
    const struct {
        const char *name;
        int count;
    } bounds[] = {{"min", layer->at_min}, {"max", layer->at_max}};
    for (int i = 0; i < 2 && !layer->fixed; i++) {
        size_t used = strlen(text);
        if (bounds[i].count == layer->count)
            snprintf(text, sizeof text, "%s", bounds[i].name);
        else if (bounds[i].count > 0)
            snprintf(text + used, sizeof text - used, "%s%s %d", used ? " " : "", bounds[i].name,
                     bounds[i].count);
    }
    dp_table_add(table, "%s", layer->fixed ? "fixed" : text[0] ? text : "-");
}

static void add_row(dp_table *table, const dp_layer *layer, const dp_layer_totals *totals) {
    char text[DP_SI_TEXT];
    dp_table_add(table, "%d", layer->index);
    dp_table_add(table, "%s", layer->name);
    dp_table_add(table, "%s", layer->op);
    dp_table_add(table, "%s", dp_si_text(layer->macs, "", text));
    dp_layer_add_repetitions(table, layer);
    dp_table_add(table, "%s",
                 dp_cell_text("%.1f%%", 100 * layer->energy_j / totals->energy_j, text));
    dp_table_add(table, "%s", dp_cell_text("%.1f%%", 100 * layer->loss / totals->loss, text));
    dp_table_add(table, "%s", dp_si_text(layer->loss_per_j, "", text));
    dp_table_add(table, "%s", dp_cell_text("%.1f", layer->enob, text));
    add_bound(table, layer);
}

dp_status dp_layers_print(FILE *stream, const dp_layer *layers, int count, dp_error *err) {
    static const dp_table_column columns[] = {
        {.title = "#"},
        {.title = "layer", .left = true, .elastic = true},
        {.title = "op", .left = true},
        {.title = "MACs"},
        {.title = "repetitions"},
        {.title = "energy"},
        {.title = "loss"},
        {.title = "nats/J"},
        {.title = "ENOB"},
        {.title = "bound", .left = true},
        {.title = NULL},
    };
    dp_table table = {.columns = columns};
    dp_layer_totals totals = dp_layers_total(layers, count);
    for (int i = 0; i < count; i++) add_row(&table, &layers[i], &totals);
    if (dp_table_print(&table, stream, DP_TABLE_WIDTH)) return DP_OK;
    return dp_fail(err, DP_EMEMORY, "no memory for a table");
}

void dp_layers_print_totals(FILE *stream, const dp_layer *layers, int count) {
    char text[DP_SI_TEXT];
    dp_layer_totals totals = dp_layers_total(layers, count);
    fprintf(stream, "%s a sample", dp_si_text(totals.energy_j, "J", text));
    if (!isnan(totals.loss)) fprintf(stream, "; predicted loss %.3g nats", totals.loss);
    putc('\n', stream);
}

/* ---- as JSON ---- */

void dp_layer_json(dp_json *json, const dp_layer *layer, const dp_layer_totals *totals) {
    dp_spread k = dp_layer_spread(layer);
    dp_json_open(json, "repetitions", '{');
    dp_json_number(json, "least", k.least);
    dp_json_number(json, "mean", k.mean);
    dp_json_number(json, "most", k.most);
    dp_json_close(json, '}');
    if (layer->group) dp_json_text(json, "group", layer->group);
    dp_json_number(json, "energy_j", layer->energy_j);
    dp_json_number(json, "energy_share", layer->energy_j / totals->energy_j);
    dp_json_number(json, "sensitivity", layer->sensitivity);
    dp_json_number(json, "loss", layer->loss);
    dp_json_number(json, "loss_share", layer->loss / totals->loss);
    dp_json_number(json, "loss_per_j", layer->loss_per_j);
    dp_json_number(json, "enob", layer->enob);
    dp_json_text(json, "bound",
                 layer->fixed                     ? "fixed"
                 : layer->at_min == layer->count  ? "min"
                 : layer->at_max == layer->count  ? "max"
                 : layer->at_min || layer->at_max ? "some"
                                                  : "none");
    dp_json_number(json, "at_min", layer->at_min);
    dp_json_number(json, "at_max", layer->at_max);
}
