/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dynaprec diff: what is different between two schedules, first as a whole, then layer by layer. Like diff it ends with 0 when the
 * repetitions are the same and with 1 when they are not.
 */
#include <math.h>
#include <string.h>

#include "cli/exit.h"
#include "cli/layers.h"
#include "cli/result.h"
#include "cli/verbs.h"
#include "plan/compare.h"
#include "plan/schedule_format.h"

enum { WIDTH = 120 };

typedef struct difference {
    const dp_settings *settings;
    dp_schedule schedule[2];
    dp_layer_totals totals[2];
    dp_comparison layers;
} difference;

/* ---- the head ---- */

static void add_words(dp_table *table, const char *name, const char *a, const char *b) {
    dp_table_add(table, "%s", name);
    dp_table_add(table, "%s", *a ? a : "-");
    dp_table_add(table, "%s", *b ? b : "-");
    dp_table_add(table, "%s", strcmp(a, b) != 0 ? "differs" : "");
}

/* Names that are the same may stand for files that are not. */
static void add_file(dp_table *table, const char *name, const char *const file[2],
                     const char *const digest[2]) {
    add_words(table, name, file[0], file[1]);
    if (strcmp(file[0], file[1]) != 0 || strcmp(digest[0], digest[1]) == 0) return;
    dp_table_add(table, "  its SHA-256");
    dp_table_add(table, "%.12s", digest[0]);
    dp_table_add(table, "%.12s", digest[1]);
    dp_table_add(table, "differs");
}

/* A row of figures: `format` of `scale` times the value, or an SI prefix in front of `unit`. */
typedef struct figure {
    const char *name, *format, *unit;
    double scale;
    bool relative; /* the change is a ratio, not a difference */
} figure;

static void add_figure(dp_table *table, const figure *f, double a, double b) {
    char text[DP_SI_TEXT];
    if (isnan(a) && isnan(b)) return;
    dp_table_add(table, "%s", f->name);
    for (int i = 0; i < 2; i++) {
        double value = (i ? b : a) * f->scale;
        dp_table_add(table, "%s",
                     f->unit ? dp_si_text(value, f->unit, text)
                             : dp_cell_text(f->format, value, text));
    }
    if (isnan(a) || isnan(b) || a == b)
        dp_table_add(table, "%s", "");
    else if (f->relative)
        dp_table_add(table, "%+.1f%%", 100 * (b / a - 1));
    else
        dp_table_add(table, "%+.3g", f->scale * (b - a));
}

static void add_results(dp_table *table, const dp_schedule *a, const dp_schedule *b) {
    const dp_measure *m = &a->learned, *n = &b->learned;
    const figure top1 = {"top-1, %", "%.2f", NULL, 100, false},
                 drop = {"drop, points", "%.2f", NULL, 1, false},
                 upper = {"  its bound", "%.2f", NULL, 1, false},
                 kl = {"KL, nats", "%.4f", NULL, 1, true}, energy = {"energy", NULL, "J", 1, true},
                 mean = {"energy/MAC", NULL, "J", 1e-18, true},
                 latency = {"latency, x", "%.2f", NULL, 1, true},
                 saving = {"saving, %", "%.1f", NULL, 100, false},
                 uniform = {"uniform K", "%g", NULL, 1, true},
                 gap = {"rounding gap, %", "%.3f", NULL, 100, false};
    add_figure(table, &top1, m->top1.value, n->top1.value);
    add_figure(table, &drop, m->drop.value, n->drop.value);
    add_figure(table, &upper, m->drop_upper, n->drop_upper);
    add_figure(table, &kl, m->kl.value, n->kl.value);
    add_figure(table, &energy, m->energy_j, n->energy_j);
    add_figure(table, &mean, m->energy_per_mac_aj, n->energy_per_mac_aj);
    add_figure(table, &latency, m->latency_x, n->latency_x);
    add_figure(table, &saving, a->saving.value, b->saving.value);
    add_figure(table, &uniform, a->uniform.repetitions, b->uniform.repetitions);
    add_figure(table, &gap, a->rounding.gap, b->rounding.gap);
}

static dp_status print_head(const difference *d, dp_error *err) {
    static const dp_table_column columns[] = {{.title = "", .left = true},
                                              {.title = "A", .left = true},
                                              {.title = "B", .left = true, .elastic = true},
                                              {.title = "change", .left = true},
                                              {.title = NULL}};
    static const figure conditioned = {"conditioned", "%.0f", NULL, 1, false};
    dp_table table = {.columns = columns};
    const dp_schedule *a = &d->schedule[0], *b = &d->schedule[1];
    dp_table_add(&table, "schedule");
    for (int i = 0; i < 2; i++) dp_table_add(&table, "%s", d->settings->operands[i]);
    dp_table_add(&table, "%s", "");
    add_file(&table, "network", (const char *const[]){a->model_file, b->model_file},
             (const char *const[]){a->model_sha256, b->model_sha256});
    add_file(&table, "hardware", (const char *const[]){a->hardware.name, b->hardware.name},
             (const char *const[]){a->hardware.sha256, b->hardware.sha256});
    add_file(&table, "samples", (const char *const[]){a->data_file, b->data_file},
             (const char *const[]){a->data_sha256, b->data_sha256});
    add_words(&table, "goal", a->goal, b->goal);
    add_words(&table, "search", a->search, b->search);
    add_words(&table, "status", a->status, b->status);
    if (a->active || b->active)
        add_words(&table, "active budget", dp_budget_words[a->active], dp_budget_words[b->active]);
    add_figure(&table, &conditioned, a->conditioning.count, b->conditioning.count);
    add_results(&table, a, b);
    if (dp_table_print(&table, stdout, WIDTH)) return DP_OK;
    return dp_fail(err, DP_EMEMORY, "no memory for a table");
}

/* ---- the layers ---- */

static void add_share(dp_table *table, double part, double whole) {
    char text[DP_SI_TEXT];
    dp_table_add(table, "%s", dp_cell_text("%.1f%%", 100 * part / whole, text));
}

static void add_pair(dp_table *table, const difference *d, const dp_layer_pair *pair) {
    char text[DP_SI_TEXT];
    const dp_layer *const *layer = pair->layer, *any = layer[0] ? layer[0] : layer[1];
    static const dp_layer missing = {.energy_j = NAN, .loss = NAN, .loss_per_j = NAN};
    const dp_layer *side[2] = {layer[0] ? layer[0] : &missing, layer[1] ? layer[1] : &missing};
    dp_table_add(table, "%d", any->index);
    dp_table_add(table, "%s", any->name);
    for (int i = 0; i < 2; i++) {
        if (layer[i])
            dp_layer_add_repetitions(table, layer[i]);
        else
            dp_table_add(table, "-");
    }
    for (int i = 0; i < 2; i++) dp_table_add(table, "%s", dp_si_text(side[i]->energy_j, "J", text));
    double ratio = side[1]->energy_j / side[0]->energy_j;
    dp_table_add(table, "%s", dp_cell_text("%+.1f%%", 100 * (ratio - 1), text));
    for (int i = 0; i < 2; i++) add_share(table, side[i]->loss, d->totals[i].loss);
    for (int i = 0; i < 2; i++)
        dp_table_add(table, "%s", dp_si_text(side[i]->loss_per_j, "", text));
}

static dp_status print_layers(const difference *d, dp_error *err) {
    static const dp_table_column columns[] = {
        {.title = "#"},      {.title = "layer", .left = true, .elastic = true},
        {.title = "K of A"}, {.title = "K of B"},
        {.title = "energy"}, {.title = "of B"},
        {.title = "change"}, {.title = "loss"},
        {.title = "of B"},   {.title = "nats/J"},
        {.title = "of B"},   {.title = NULL},
    };
    dp_table table = {.columns = columns};
    for (int i = 0; i < d->layers.count; i++)
        if (d->layers.pairs[i].different) add_pair(&table, d, &d->layers.pairs[i]);
    if (dp_table_print(&table, stdout, WIDTH)) return DP_OK;
    return dp_fail(err, DP_EMEMORY, "no memory for a table");
}

/* What one schedule alone has, in words: it is in the table as well, with "-" on the other side. */
static void print_summary(const difference *d) {
    int alone[2] = {0, 0}, both = 0;
    for (int i = 0; i < d->layers.count; i++) {
        const dp_layer_pair *pair = &d->layers.pairs[i];
        for (int side = 0; side < 2; side++) alone[side] += !pair->layer[!side];
        both += pair->layer[0] && pair->layer[1] && pair->different;
    }
    printf("%d of %d layers that both have differ in their repetitions", both, d->layers.matched);
    if (alone[0]) printf("; A alone has %d", alone[0]);
    if (alone[1]) printf("; B alone has %d", alone[1]);
    putchar('\n');
}

static dp_status print_tables(const difference *d, dp_error *err) {
    dp_status status = print_head(d, err);
    putchar('\n');
    if (status == DP_OK && d->layers.different > 0) {
        status = print_layers(d, err);
        putchar('\n');
    }
    if (status == DP_OK) print_summary(d);
    return status;
}

/* ---- as JSON ---- */

static void put_schedule(dp_json *json, const difference *d, int side) {
    const dp_schedule *s = &d->schedule[side];
    dp_json_open(json, side ? "b" : "a", '{');
    dp_json_text(json, "schedule", d->settings->operands[side]);
    dp_json_text(json, "model", s->model_file);
    dp_json_text(json, "model_sha256", s->model_sha256);
    dp_json_text(json, "hardware", s->hardware.name);
    dp_json_text(json, "hardware_sha256", s->hardware.sha256);
    dp_json_text(json, "data", s->data_file);
    dp_json_text(json, "data_sha256", s->data_sha256);
    dp_json_text(json, "goal", s->goal);
    dp_json_text(json, "search", s->search);
    dp_json_text(json, "status", s->status);
    dp_result_budget_json(json, s->active);
    dp_json_number(json, "conditioned", s->conditioning.count);
    dp_result_json(json, "learned", &s->learned, DP_RESULT_NOISY);
    dp_json_number(json, "uniform_repetitions", s->uniform.repetitions);
    dp_result_figure(json, "saving", &s->saving);
    dp_result_rounding_json(json, &s->rounding);
    dp_json_close(json, '}');
}

static void put_pair(dp_json *json, const difference *d, const dp_layer_pair *pair) {
    const dp_layer *any = pair->layer[0] ? pair->layer[0] : pair->layer[1];
    dp_json_open(json, NULL, '{');
    dp_json_text(json, "name", any->name);
    dp_json_number(json, "index", any->index);
    dp_json_truth(json, "different", pair->different);
    dp_json_number(json, "moved_j", pair->moved_j);
    for (int side = 0; side < 2; side++) {
        if (!pair->layer[side]) {
            dp_json_number(json, side ? "b" : "a", NAN);
            continue;
        }
        dp_json_open(json, side ? "b" : "a", '{');
        dp_layer_json(json, pair->layer[side], &d->totals[side]);
        dp_json_close(json, '}');
    }
    dp_json_close(json, '}');
}

static void print_json(const difference *d) {
    dp_json json = {.stream = stdout};
    dp_json_open(&json, NULL, '{');
    for (int side = 0; side < 2; side++) put_schedule(&json, d, side);
    dp_json_truth(&json, "same_network",
                  strcmp(d->schedule[0].model_sha256, d->schedule[1].model_sha256) == 0);
    dp_json_number(&json, "matched", d->layers.matched);
    dp_json_number(&json, "different", d->layers.different);
    dp_json_open(&json, "layers", '[');
    for (int i = 0; i < d->layers.count; i++) put_pair(&json, d, &d->layers.pairs[i]);
    dp_json_close(&json, ']');
    dp_json_close(&json, '}');
}

/* ---- the verb ---- */

static dp_status compare(difference *d, dp_error *err) {
    for (int side = 0; side < 2; side++) {
        dp_schedule *s = &d->schedule[side];
        dp_status status = dp_schedule_read(s, d->settings->operands[side], err);
        if (status != DP_OK) return status;
        d->totals[side] = dp_layers_total(s->layers, s->n_layers);
    }
    dp_status status = dp_schedule_compare(&d->layers, &d->schedule[0], &d->schedule[1], err);
    if (status == DP_OK && strcmp(d->schedule[0].model_sha256, d->schedule[1].model_sha256) != 0)
        dp_note(d->settings, "note: the schedules were learned for different files; layers of the "
                             "same name, channels "
                             "and multiply-accumulates are compared");
    return status;
}

int dp_verb_diff(const dp_settings *settings) {
    difference d = {.settings = settings};
    dp_error err = {DP_OK, ""};
    dp_status status = compare(&d, &err);
    if (status == DP_OK && settings->json)
        print_json(&d);
    else if (status == DP_OK)
        status = print_tables(&d, &err);
    int result = status != DP_OK          ? dp_exit_failed(settings, &err)
                 : d.layers.different > 0 ? DP_EXIT_DIFFERENT
                                          : DP_EXIT_DONE;
    dp_comparison_clear(&d.layers);
    for (int side = 0; side < 2; side++) dp_schedule_clear(&d.schedule[side]);
    return result;
}
