/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The values of options: text to number, unit, list or choice. Messages say what would be allowed, with an example. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/number.h"
#include "cli/options.h"
#include "cli/suggest.h"
#include "dynaprec/export.h"

enum { LONGEST_NUMBER = 64 };

static dp_status no_memory(const dp_option *o, dp_error *err) {
    return dp_fail(err, DP_EMEMORY, "--%s: no memory", o->name);
}

dp_status dp_take_flag(const dp_option *o, const char *text, void *place, dp_error *err) {
    (void)o, (void)text, (void)err;
    *(bool *)place = true;
    return DP_OK;
}

dp_status dp_take_text(const dp_option *o, const char *text, void *place, dp_error *err) {
    if (!*text) return dp_fail(err, DP_ERANGE, "--%s: %s is empty", o->name, o->argument);
    *(const char **)place = text;
    return DP_OK;
}

/* ---- numbers ---- */

static bool within(const dp_option *o, double value) {
    return o->open ? value > o->least && value < o->largest
                   : value >= o->least && value <= o->largest;
}

static dp_status out_of_range(const dp_option *o, const char *text, dp_error *err) {
    const char *kind = o->open ? " (both excluded)" : "";
    if (isinf(o->largest))
        return dp_fail(err, DP_ERANGE, "--%s: '%s' is not allowed; %s %g is asked for", o->name,
                       text, o->open ? "a number above" : "at least", o->least);
    return dp_fail(err, DP_ERANGE, "--%s: '%s' is not allowed; %.10g to %.10g%s is asked for",
                   o->name, text, o->least, o->largest, kind);
}

dp_status dp_take_number(const dp_option *o, const char *text, void *place, dp_error *err) {
    double value;
    if (!dp_number_parse(text, &value))
        return dp_fail(err, DP_ERANGE, "--%s: '%s' is not a number", o->name, text);
    if (!within(o, value)) return out_of_range(o, text, err);
    *(double *)place = value;
    return DP_OK;
}

dp_status dp_take_seed(const dp_option *o, const char *text, void *place, dp_error *err) {
    size_t digits = strspn(text, "0123456789");
    errno = 0;
    unsigned long long value = strtoull(text, NULL, 10);
    if (digits == 0 || text[digits] || errno)
        return dp_fail(err, DP_ERANGE,
                       "--%s: '%s' is not allowed; a whole number from 0 to 2^64 - 1 is asked for",
                       o->name, text);
    *(uint64_t *)place = value;
    return DP_OK;
}

dp_status dp_take_count(const dp_option *o, const char *text, void *place, dp_error *err) {
    size_t digits = strspn(text, "0123456789");
    if (digits == 0 || text[digits])
        return dp_fail(err, DP_ERANGE, "--%s: '%s' is not a whole number", o->name, text);
    double value = strtod(text, NULL);
    if (!within(o, value)) return out_of_range(o, text, err);
    *(int *)place = (int)value;
    return DP_OK;
}

/* ---- choices ---- */

static dp_status choose(const dp_option *o, const char *const *words, const char *text,
                        const char **word, dp_error *err) {
    dp_suggestion near = {0};
    char list[256] = "";
    for (const char *const *w = words; *w; w++) {
        *word = *w;
        if (strcmp(*w, text) == 0) return DP_OK;
        dp_suggestion_offer(&near, text, *w);
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", *w);
    }
    return dp_fail(err, DP_ERANGE, "--%s: '%s' is not one of %s%s%s%s", o->name, text, list,
                   near.name ? "; did you mean '" : "", near.name ? near.name : "",
                   near.name ? "'?" : "");
}

dp_status dp_take_choice(const dp_option *o, const char *text, void *place, dp_error *err) {
    const char *word = NULL;
    dp_status status = choose(o, o->words, text, &word, err);
    if (status != DP_OK) return status;
    int number = 0;
    while (o->words[number] != word) number++;
    *(int *)place = number;
    return DP_OK;
}

dp_status dp_take_search(const dp_option *o, const char *text, void *place, dp_error *err) {
    return choose(o, dp_search_names(), text, place, err);
}

dp_status dp_take_target(const dp_option *o, const char *text, void *place, dp_error *err) {
    return choose(o, dp_export_targets(), text, place, err);
}

/* ---- lists ---- */

dp_status dp_take_numbers(const dp_option *o, const char *text, void *place, dp_error *err) {
    dp_numbers *list = place;
    for (const char *at = text;; at++) {
        char item[LONGEST_NUMBER];
        size_t length = strcspn(at, ",");
        double value;
        snprintf(item, sizeof item, "%.*s", (int)(length < LONGEST_NUMBER ? length : 0), at);
        if (!dp_number_parse(item, &value) || !isfinite(value))
            return dp_fail(err, DP_ERANGE,
                           "--%s: '%s' is not allowed; a number, or one a channel as in "
                           "0.485,0.456,0.406, is asked for",
                           o->name, text);
        if (!within(o, value)) return out_of_range(o, item, err);
        double *grown = dp_grow(list->items, &list->room, list->count + 1, sizeof *list->items);
        if (!grown) return no_memory(o, err);
        list->items = grown;
        list->items[list->count++] = value;
        at += length;
        if (!*at) return DP_OK;
    }
}

dp_status dp_take_word(const dp_option *o, const char *text, void *place, dp_error *err) {
    dp_words *list = place;
    if (!*text) return dp_fail(err, DP_ERANGE, "--%s: %s is empty", o->name, o->argument);
    const char **grown =
        dp_grow((void *)list->items, &list->room, list->count + 1, sizeof *list->items);
    if (!grown) return no_memory(o, err);
    list->items = grown;
    list->items[list->count++] = text;
    return DP_OK;
}

/* GLOB=K; the glob may hold '=' itself, so the last one counts. */
dp_status dp_take_fix(const dp_option *o, const char *text, void *place, dp_error *err) {
    dp_fixes *list = place;
    const char *sign = strrchr(text, '=');
    double value;
    if (!sign || sign == text || !dp_number_parse(sign + 1, &value) || !(value > 0) ||
        !isfinite(value))
        return dp_fail(err, DP_ERANGE,
                       "--%s: '%s' is not allowed; GLOB=K with K above 0, as in '*/conv1/*=64', is "
                       "asked for",
                       o->name, text);
    dp_fix *grown = dp_grow(list->items, &list->room, list->count + 1, sizeof *list->items);
    if (!grown) return no_memory(o, err);
    list->items = grown;
    char *glob = dp_strdup(text);
    if (!glob) return no_memory(o, err);
    glob[sign - text] = '\0';
    list->items[list->count++] = (dp_fix){.glob = glob, .repetitions = value};
    return DP_OK;
}

/* ---- quantities ---- */

/* A positive number, and what stands behind it; a blank may be between them. */
static bool split_quantity(const char *text, double *value, const char **suffix) {
    char number[LONGEST_NUMBER];
    size_t length = strspn(text, "+-.0123456789");
    if ((text[length] == 'e' || text[length] == 'E') && text[length + 1] != '\0')
        length += 1 + strspn(text + length + 1, "+-0123456789");
    *suffix = text + length + (text[length] == ' ');
    snprintf(number, sizeof number, "%.*s", (int)(length < LONGEST_NUMBER ? length : 0), text);
    return dp_number_parse(number, value) && *value > 0;
}

static const struct {
    const char *suffix;
    dp_energy_unit unit;
    double factor;
} energy_units[] = {
    {"aJ/MAC", DP_ENERGY_AJ_PER_MAC, 1},
    {"fJ/MAC", DP_ENERGY_AJ_PER_MAC, 1e3},
    {"pJ/MAC", DP_ENERGY_AJ_PER_MAC, 1e6},
    {"nJ/MAC", DP_ENERGY_AJ_PER_MAC, 1e9},
    {"aJ", DP_ENERGY_J, 1e-18},
    {"fJ", DP_ENERGY_J, 1e-15},
    {"pJ", DP_ENERGY_J, 1e-12},
    {"nJ", DP_ENERGY_J, 1e-9},
    {"uJ", DP_ENERGY_J, 1e-6},
    {"mJ", DP_ENERGY_J, 1e-3},
    {"J", DP_ENERGY_J, 1},
    {"%", DP_ENERGY_OF_UNIFORM, 1e-2},
};

dp_status dp_take_energy(const dp_option *o, const char *text, void *place, dp_error *err) {
    dp_energy_budget *energy = place;
    const char *suffix;
    double value;
    bool valid = split_quantity(text, &value, &suffix);
    for (size_t i = 0; valid && i < sizeof energy_units / sizeof *energy_units; i++) {
        if (strcmp(energy_units[i].suffix, suffix) != 0) continue;
        *energy = (dp_energy_budget){energy_units[i].unit, value * energy_units[i].factor, text};
        return DP_OK;
    }
    return dp_fail(
        err, DP_ERANGE,
        "--%s: '%s' is not allowed; 2.7aJ/MAC (a mean), 40uJ (a sample; aJ to J) or 30%% "
        "(of what uniform precision needs) is asked for",
        o->name, text);
}

static const struct {
    const char *suffix;
    dp_latency_unit unit;
    double factor;
} latency_units[] = {
    {"x", DP_LATENCY_X, 1},     {"ns", DP_LATENCY_S, 1e-9}, {"us", DP_LATENCY_S, 1e-6},
    {"ms", DP_LATENCY_S, 1e-3}, {"s", DP_LATENCY_S, 1},
};

dp_status dp_take_latency(const dp_option *o, const char *text, void *place, dp_error *err) {
    dp_latency_budget *latency = place;
    const char *suffix;
    double value;
    bool valid = split_quantity(text, &value, &suffix);
    for (size_t i = 0; valid && i < sizeof latency_units / sizeof *latency_units; i++) {
        if (strcmp(latency_units[i].suffix, suffix) != 0) continue;
        *latency =
            (dp_latency_budget){latency_units[i].unit, value * latency_units[i].factor, text};
        return DP_OK;
    }
    return dp_fail(err, DP_ERANGE,
                   "--%s: '%s' is not allowed; 2x (of the time of one repetition everywhere) or "
                   "40us (a sample; ns to s) is asked for",
                   o->name, text);
}

/* ---- granularity ---- */

dp_status dp_take_grain(const dp_option *o, const char *text, void *place, dp_error *err) {
    static const char tile[] = "tile:";
    enum { LONGEST_TILE = 7 };
    dp_grain *grain = place;
    *grain = (dp_grain){0};
    if (strcmp(text, "layer") == 0) grain->kind = DP_GRAIN_LAYER;
    if (strcmp(text, "channel") == 0) grain->kind = DP_GRAIN_CHANNEL;
    if (strncmp(text, tile, sizeof tile - 1) == 0) {
        const char *digits = text + sizeof tile - 1;
        size_t count = strspn(digits, "0123456789");
        if (count > 0 && count <= LONGEST_TILE && !digits[count] && *digits != '0') {
            grain->kind = DP_GRAIN_TILE;
            grain->tile = (int)strtol(digits, NULL, 10);
        }
    }
    if (grain->kind) return DP_OK;
    return dp_fail(err, DP_ERANGE,
                   "--%s: '%s' is not allowed; layer, channel or tile:N (N channels share a "
                   "number, as in tile:16) is asked for",
                   o->name, text);
}
