/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/exit.h"

#include <stdarg.h>
#include <stdio.h>

#include "cli/process.h"

static const int exits[] = {
    [DP_OK] = DP_EXIT_DONE,
    [DP_EMEMORY] = DP_EXIT_FAILED,
    [DP_EIO] = DP_EXIT_INPUT,
    [DP_EFORMAT] = DP_EXIT_INPUT,
    [DP_EUNSUPPORTED] = DP_EXIT_INPUT,
    [DP_ERANGE] = DP_EXIT_USAGE,
    [DP_EBUDGET] = DP_EXIT_BUDGET,
    [DP_EUNMET] = DP_EXIT_UNMET,
    [DP_ECOMM] = DP_EXIT_FAILED,
    [DP_ECANCELLED] = DP_EXIT_INTERRUPTED,
};

static void print(const dp_settings *settings, const char *text) {
    if (!dp_process_first()) return;
    fprintf(stderr, "dynaprec %s: %s\n", settings->verb->name, text);
}

int dp_exit_failed(const dp_settings *settings, const dp_error *err) {
    if (err->status == DP_ERANGE) return dp_exit_usage(settings, "%s", err->text);
    print(settings, err->text);
    return exits[err->status];
}

int dp_exit_unwritten(const dp_settings *settings, const dp_error *err) {
    print(settings, err->text);
    return DP_EXIT_FAILED;
}

int dp_exit_usage(const dp_settings *settings, const char *format, ...) {
    char text[sizeof(dp_error)];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    print(settings, text);
    if (dp_process_first()) fprintf(stderr, "Try 'dynaprec %s --help'.\n", settings->verb->name);
    return DP_EXIT_USAGE;
}

void dp_note(const dp_settings *settings, const char *format, ...) {
    if (settings->quiet || !dp_process_first()) return;
    va_list arguments;
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}
