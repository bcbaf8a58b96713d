/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a command line says, parsed and checked: one struct for all verbs, filled by the rows of the table of options. What a
 * verb does not take stays at its default.
 */
#ifndef DP_CLI_SETTINGS_H
#define DP_CLI_SETTINGS_H

#include "dynaprec/learn.h"

#define DP_MAX_OPERANDS 2

/* Bits that say in the table of options which verbs take an option. */
enum {
    DP_VERB_LEARN = 1,
    DP_VERB_EVAL = 2,
    DP_VERB_RUN = 4,
    DP_VERB_INSPECT = 8,
    DP_VERB_EXPORT = 16,
    DP_VERB_DIFF = 32,
    DP_VERB_SHARED = DP_VERB_LEARN | DP_VERB_EVAL /* several processes share their passes */
};

struct dp_settings;

typedef struct dp_verb {
    const char *name;
    unsigned bit;
    const char *operands[DP_MAX_OPERANDS + 1]; /* what they are called in help; NULL at the end */
    const char *usage;                         /* the options that matter, for the first line */
    const char *summary;                       /* one line */
    const char *about;                         /* a paragraph */
    const char *example;
    int (*run)(const struct dp_settings *settings); /* returns the exit status */
} dp_verb;

typedef struct dp_numbers {
    double *items;
    size_t count, room;
} dp_numbers;

typedef struct dp_words {
    const char **items;
    size_t count, room;
} dp_words;

typedef struct dp_fixes {
    dp_fix *items; /* their globs are ours */
    size_t count, room;
} dp_fixes;

typedef struct dp_energy_budget {
    dp_energy_unit unit;
    double value;
    const char *text; /* as it was given */
} dp_energy_budget;

typedef struct dp_latency_budget {
    dp_latency_unit unit;
    double value;
    const char *text; /* as it was given */
} dp_latency_budget;

typedef struct dp_grain {
    unsigned kind; /* DP_GRAIN_... */
    int tile;
} dp_grain;

typedef enum dp_bar_mode { DP_BAR_AUTO, DP_BAR_NEVER, DP_BAR_JSON } dp_bar_mode;

typedef struct dp_settings {
    const dp_verb *verb;
    const char *operands[DP_MAX_OPERANDS + 1];
    /* files and names; NULL where not given */
    const char *data, *check, *hardware, *schedule, *inputs, *output, *output_name, *cache;
    const char *model, *target; /* of export */
    dp_numbers mean, std;
    /* budgets; NaN where not given */
    double max_drop, max_loss;
    dp_energy_budget energy;
    dp_latency_budget latency;
    /* how to learn and to measure */
    dp_grain granularity;
    dp_fixes fixes;
    dp_words exclude, groups;
    const char *search;
    dp_stop stop;  /* 0 where not given */
    int objective; /* dp_objective_kind */
    int condition; /* as DP_CONDITION_... */
    double check_fraction, confidence;
    double repetitions, min_repetitions, max_repetitions; /* NaN where not given */
    int trials, threads;
    uint64_t seed;
    /* what to print */
    int progress; /* dp_bar_mode */
    bool whole, dry_run, json, quiet, sensitivity;
} dp_settings;

void dp_settings_free(dp_settings *settings);

#endif
