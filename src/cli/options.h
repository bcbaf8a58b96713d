/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Options are rows of one table (option_table.c). A row says what the option is called, what it takes, which verbs take it,
 * where its value goes and what it is when nobody gives it; parsing, help and messages all come from there.
 */
#ifndef DP_CLI_OPTIONS_H
#define DP_CLI_OPTIONS_H

#include <stdio.h>

#include "cli/settings.h"

typedef struct dp_option {
    const char *name; /* without "--"; NULL: `help` is the heading of the rows that follow */
    const char *help;
    unsigned verbs;
    const char *argument;  /* what it takes, for help; NULL: nothing */
    const char *otherwise; /* its value when it is not given; NULL: as zeroed, NaN for numbers */
    /* Parse `text` into the settings' member at `offset`. Errors: DP_ERANGE (what is allowed), DP_EMEMORY. */
    dp_status (*take)(const struct dp_option *option, const char *text, void *place, dp_error *err);
    size_t offset;
    double least, largest;    /* of numbers, both included unless `open` */
    const char *const *words; /* of choices, NULL at the end */
    char letter;              /* 'o': also -o; 0: none */
    bool open;                /* least and largest are not allowed themselves */
    bool many;                /* may be given more than once */
    bool needed;              /* has to be given */
} dp_option;

/** Ends with a row that has neither name nor help. */
extern const dp_option dp_options[];

/* Options that contradict each other; the list ends with NULL. */
typedef struct dp_conflict {
    const char *one, *other;
    const char *why;
} dp_conflict;
extern const dp_conflict dp_conflicts[];

/**
 * Parse the words behind a verb into settings, which dp_settings_free releases in any case.
 *
 * *help  set when --help is among them; the settings are then of no use.
 * Errors  DP_ERANGE: unknown or repeated options, missing or wrong values, operands too many or too few, contradictions.
 */
dp_status dp_options_parse(dp_settings *settings, const dp_verb *verb, char **words, bool *help,
                           dp_error *err);

/** Write what `dynaprec VERB --help` says. */
void dp_options_help(FILE *stream, const dp_verb *verb);

/* ---- what rows take (option_values.c) ---- */

dp_status dp_take_flag(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_text(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_number(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_count(const dp_option *o, const char *text, void *place, dp_error *err); /* int */
dp_status dp_take_seed(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_choice(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_search(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_target(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_numbers(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_word(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_fix(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_energy(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_latency(const dp_option *o, const char *text, void *place, dp_error *err);
dp_status dp_take_grain(const dp_option *o, const char *text, void *place, dp_error *err);

#endif
