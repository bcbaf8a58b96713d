/* SPDX-License-Identifier: GPL-3.0-or-later */
/* How the program ends: exit statuses, and the messages on stderr that explain them. One of several processes prints them. */
#ifndef DP_CLI_EXIT_H
#define DP_CLI_EXIT_H

#include "cli/settings.h"

enum {
    DP_EXIT_DONE = 0,
    DP_EXIT_DIFFERENT = 1,    /* of diff: schedules that are not the same */
    DP_EXIT_FAILED = 1,       /* while running: memory, a file that cannot be written */
    DP_EXIT_USAGE = 2,        /* the command line, or what it asks for together with the files */
    DP_EXIT_INPUT = 3,        /* a file that cannot be read or is not supported */
    DP_EXIT_BUDGET = 4,       /* no precision meets the budget */
    DP_EXIT_UNMET = 5,        /* ended without meeting the budget; the best result is kept */
    DP_EXIT_INTERRUPTED = 130 /* by SIGINT or SIGTERM */
};

/** Print "dynaprec VERB: message" and return the exit status that belongs to err->status. */
int dp_exit_failed(const dp_settings *settings, const dp_error *err);

/** The same for what happened while results were written: always DP_EXIT_FAILED. */
int dp_exit_unwritten(const dp_settings *settings, const dp_error *err);

/** Print what is wrong with the command line, with where to find help; returns DP_EXIT_USAGE. */
int dp_exit_usage(const dp_settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/** A line on stderr that --quiet silences. */
void dp_note(const dp_settings *settings, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
