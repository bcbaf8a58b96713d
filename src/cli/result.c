/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/result.h"

#include <math.h>
#include <string.h>

#include "cli/table.h"
#include "plan/schedule_format.h"

static dp_status printed(bool fine, dp_error *err) {
    return fine ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for a table");
}

/* ---- measures ---- */

static void add_number(dp_table *table, const char *format, double value) {
    char text[DP_SI_TEXT];
    dp_table_add(table, "%s", dp_cell_text(format, value, text));
}

static void add_si(dp_table *table, double value, const char *unit) {
    char text[DP_SI_TEXT];
    dp_table_add(table, "%s", dp_si_text(value, unit, text));
}

static void add_measure(dp_table *table, const char *name, const dp_measure *m) {
    dp_table_add(table, "%s", name);
    add_number(table, "%.2f%%", 100 * m->top1.value);
    add_number(table, "%.2f%%", 100 * m->agreement.value);
    add_number(table, "%.2f", m->drop.value);
    add_number(table, "%.2f", m->drop_upper);
    add_number(table, "%.4f", m->kl.value);
    add_si(table, m->energy_per_mac_aj * 1e-18, "J");
    add_si(table, m->energy_j, "J");
    add_number(table, "%.1fx", m->latency_x);
}

/* What is true of a network without noise by definition needs no cell. */
static dp_measure as_clean(const dp_measure *measure) {
    dp_measure m = *measure;
    m.agreement.value = m.drop.value = m.drop_upper = m.kl.value = NAN;
    m.energy_j = m.energy_per_mac_aj = m.latency_x = m.latency_s = NAN;
    return m;
}

/* Outputs that are quantities have a divergence and no answer that could agree. */
static bool estimates(const dp_result_line *lines) {
    bool found = false;
    for (; lines->name; lines++)
        found =
            found || (isnan(lines->measure->agreement.value) && !isnan(lines->measure->kl.value));
    return found;
}

dp_status dp_result_print(FILE *stream, const dp_result_line *lines, double confidence,
                          dp_error *err) {
    char bound[32];
    snprintf(bound, sizeof bound, "%g%% bound", 100 * confidence);
    const dp_table_column columns[] = {
        {.title = "", .left = true},
        {.title = "top-1"},
        {.title = "agrees"},
        {.title = "drop"},
        {.title = bound},
        {.title = estimates(lines) ? "MSE/var" : "KL"},
        {.title = "energy/MAC"},
        {.title = "per sample"},
        {.title = "latency"},
        {.title = NULL},
    };
    dp_table table = {.columns = columns};
    for (; lines->name; lines++) {
        dp_measure clean = as_clean(lines->measure);
        bool is_clean = strcmp(lines->name, "clean") == 0;
        add_measure(&table, lines->name, is_clean ? &clean : lines->measure);
    }
    return printed(dp_table_print(&table, stream, DP_TABLE_WIDTH), err);
}

void dp_result_saving(FILE *stream, const dp_figure *saving, double uniform) {
    char k[DP_SI_TEXT];
    if (isnan(saving->value)) return;
    if (saving->value < 0)
        fprintf(stream, "saving: none, %.1f%% more than uniform precision's energy",
                -100 * saving->value);
    else
        fprintf(stream, "saving: %.1f%% of uniform precision's energy", 100 * saving->value);
    if (!isnan(saving->lower) && !isnan(saving->upper))
        fprintf(stream, ", %.1f%% to %.1f%%", 100 * saving->lower, 100 * saving->upper);
    fprintf(stream, " (uniform: K = %s everywhere)\n", dp_count_cell(uniform, k));
}

void dp_result_divergence(FILE *stream, const dp_schedule *s) {
    char k[DP_SI_TEXT];
    if (isnan(s->learned.kl.value) || isnan(s->uniform.kl.value)) return;
    fprintf(
        stream,
        "KL: %.4f, against %.4f with the highest uniform precision within the budgets, K = %s\n",
        s->learned.kl.value, s->uniform.kl.value, dp_count_cell(s->uniform.repetitions, k));
}

/* exp of the mean cross-entropy; NaN without labels. */
static dp_figure perplexity_of(const dp_measure *m) {
    if (isnan(m->top1.value)) return (dp_figure){NAN, NAN, NAN};
    return (dp_figure){exp(m->loss.value), exp(m->loss.lower), exp(m->loss.upper)};
}

void dp_result_perplexity(FILE *stream, const dp_result_line *lines) {
    const char *before = "perplexity: ";
    for (; lines->name; lines++) {
        dp_figure perplexity = perplexity_of(lines->measure);
        if (isnan(perplexity.value)) continue;
        fprintf(stream, "%s%s %.4g", before, lines->name, perplexity.value);
        before = ", ";
    }
    if (before[0] == ',') putc('\n', stream);
}

/* ---- rounding ---- */

void dp_result_rounding(FILE *stream, const dp_rounding *r) {
    char gap[32] = "less than 0.01%";
    if (isnan(r->gap)) return;
    if (r->gap >= 1e-4) snprintf(gap, sizeof gap, "at most %.2g%%", 100 * r->gap);
    if (r->of_loss)
        fprintf(stream,
                "rounding: the predicted loss is %s above the least of any levels within this "
                "energy\n",
                gap);
    else
        fprintf(stream,
                "rounding: %s above the least energy of any levels with the same predicted loss\n",
                gap);
}

/* ---- JSON ---- */

void dp_result_figure(dp_json *json, const char *key, const dp_figure *figure) {
    char interval[64];
    snprintf(interval, sizeof interval, "%s_interval", key);
    dp_json_number(json, key, figure->value);
    dp_json_pair(json, interval, figure->lower, figure->upper);
}

void dp_result_budget_json(dp_json *json, dp_budget active) {
    if (active)
        dp_json_text(json, "active_budget", dp_budget_words[active]);
    else
        dp_json_number(json, "active_budget", NAN);
}

void dp_result_rounding_json(dp_json *json, const dp_rounding *r) {
    dp_json_open(json, "rounding", '{');
    dp_json_text(json, "of", dp_rounding_words[r->of_loss]);
    dp_json_number(json, "value", r->value);
    dp_json_number(json, "bound", r->bound);
    dp_json_number(json, "gap", r->gap);
    dp_json_close(json, '}');
}

void dp_result_alternative_json(dp_json *json, const dp_alternative *a) {
    if (!a->status) {
        dp_json_number(json, "alternative", NAN);
        return;
    }
    dp_json_open(json, "alternative", '{');
    dp_json_text(json, "operands", dp_operands_words[a->conditioned]);
    dp_json_text(json, "status", a->status);
    dp_json_number(json, "energy_per_mac_aj", a->energy_per_mac_aj);
    dp_json_number(json, "clean_top1", a->clean_top1);
    dp_json_close(json, '}');
}

static bool has_field(dp_result_kind kind, const char *name) {
    static const char *const of_clean[] = {"top1", "top5", "loss"};
    if (strcmp(name, "repetitions") == 0) return kind == DP_RESULT_UNIFORM;
    if (kind != DP_RESULT_CLEAN) return true;
    for (size_t i = 0; i < sizeof of_clean / sizeof *of_clean; i++)
        if (strcmp(name, of_clean[i]) == 0) return true;
    return false;
}

void dp_result_json(dp_json *json, const char *key, const dp_measure *measure,
                    dp_result_kind kind) {
    dp_figure perplexity = perplexity_of(measure);
    dp_json_open(json, key, '{');
    for (const dp_measure_field *field = dp_measure_fields; field->name; field++) {
        const char *place = (const char *)measure + field->offset;
        if (!has_field(kind, field->name)) continue;
        if (field->figure)
            dp_result_figure(json, field->name, (const dp_figure *)(const void *)place);
        else
            dp_json_number(json, field->name, *(const double *)(const void *)place);
        if (strcmp(field->name, "loss") == 0) dp_result_figure(json, "perplexity", &perplexity);
    }
    dp_json_close(json, '}');
}
