/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/bar.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/json.h"
#include "cli/process.h"

enum { INTERVAL_MS = 100, CELLS = 30, STAGE = 20 };

static const char full[CELLS + 1] = "##############################";
static const char empty[CELLS + 1] = "..............................";

/* Is it time? Stages are always shown when they begin. */
static bool is_due(dp_bar *bar, const dp_progress_state *state) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    int64_t ms = (int64_t)(now.tv_sec - bar->shown.tv_sec) * 1000 +
                 (now.tv_nsec - bar->shown.tv_nsec) / 1000000;
    if (state->done > 0 && ms < INTERVAL_MS) return false;
    bar->shown = now;
    return true;
}

static void draw(void *self, const dp_progress_state *state) {
    dp_bar *bar = self;
    if (!is_due(bar, state)) return;
    double part = state->total > 0 ? fmin(state->done / state->total, 1) : 0;
    int filled = (int)(part * CELLS), used = 0;
    char tail[64];
    used = snprintf(tail, sizeof tail, "] %3.0f%%", 100 * part);
    if (!isnan(state->best))
        used += snprintf(tail + used, sizeof tail - (size_t)used, "  best %.4g", state->best);
    int width = STAGE + 2 + CELLS + used;
    fprintf(stderr, "\r%-*.*s [%s%.*s%s%.*s%s%*s", STAGE, STAGE, state->stage,
            bar->colour ? "\033[36m" : "", filled, full, bar->colour ? "\033[0m" : "",
            CELLS - filled, empty, tail, bar->drawn > width ? bar->drawn - width : 0, "");
    fflush(stderr);
    bar->drawn = width;
}

static void put_line(void *self, const dp_progress_state *state) {
    if (!is_due(self, state)) return;
    dp_json json = {.stream = stderr, .line = true};
    dp_json_open(&json, NULL, '{');
    dp_json_text(&json, "stage", state->stage);
    dp_json_number(&json, "done", state->done);
    dp_json_number(&json, "total", state->total);
    dp_json_number(&json, "best", state->best);
    dp_json_close(&json, '}');
}

void dp_bar_start(dp_bar *bar, const dp_settings *settings) {
    const char *terminal = getenv("TERM"), *no_colour = getenv("NO_COLOR");
    bool capable = isatty(STDERR_FILENO) && terminal && strcmp(terminal, "dumb") != 0;
    *bar = (dp_bar){.progress.self = bar, .colour = !no_colour || !*no_colour};
    if (!dp_process_first()) return;
    if (settings->progress == DP_BAR_JSON)
        bar->progress.report = put_line;
    else if (settings->progress == DP_BAR_AUTO && capable && !settings->quiet)
        bar->progress.report = draw;
}

void dp_bar_finish(dp_bar *bar) {
    if (bar->drawn) fprintf(stderr, "\r%*s\r", bar->drawn, "");
    bar->drawn = 0;
}
