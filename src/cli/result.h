/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Results of learning and measuring, as tables for people and as JSON for programs. */
#ifndef DP_CLI_RESULT_H
#define DP_CLI_RESULT_H

#include "cli/json.h"
#include "cli/settings.h"

/* One line of a table of results. */
typedef struct dp_result_line {
    const char *name; /* "clean", "learned", "uniform"; NULL: the end */
    const dp_measure *measure;
} dp_result_line;

/** Accuracy, drop with its bound, divergence, energy, latency. Shapes: lines end with a NULL name. Errors: DP_EMEMORY. */
dp_status dp_result_print(FILE *stream, const dp_result_line *lines, double confidence,
                          dp_error *err);

/** A line about what rounding can have cost; nothing when nothing was rounded. */
void dp_result_rounding(FILE *stream, const dp_rounding *rounding);

/** A line about the energy that is saved against K = `uniform` everywhere; nothing when that is not known. */
void dp_result_saving(FILE *stream, const dp_figure *saving, double uniform);

/** A line that compares the divergence of what was learned with uniform precision's: for budgets of energy. */
void dp_result_divergence(FILE *stream, const dp_schedule *schedule);

/** A line with the perplexity of each, where they have labels: for sequences. */
void dp_result_perplexity(FILE *stream, const dp_result_line *lines);

/* Which of a measure's figures an object has. */
typedef enum dp_result_kind { DP_RESULT_CLEAN, DP_RESULT_NOISY, DP_RESULT_UNIFORM } dp_result_kind;

/** {"top1": ..., "top1_interval": [..., ...], ...} */
void dp_result_json(dp_json *json, const char *key, const dp_measure *measure, dp_result_kind kind);

/** "active_budget": "drop", ...; null where it is not known. */
void dp_result_budget_json(dp_json *json, dp_budget active);

/** "rounding": {...} */
void dp_result_rounding_json(dp_json *json, const dp_rounding *rounding);

/** "alternative": {...}, or null where there was none. */
void dp_result_alternative_json(dp_json *json, const dp_alternative *alternative);

/** "saving": ..., "saving_interval": [..., ...] and the like. */
void dp_result_figure(dp_json *json, const char *key, const dp_figure *figure);

#endif
