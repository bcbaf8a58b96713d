/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dynaprec export: a schedule for another program. */
#include "dynaprec/export.h"

#include "cli/exit.h"
#include "cli/load.h"
#include "cli/verbs.h"

static dp_status read_inputs(dp_schedule *schedule, dp_graph **graph, const dp_settings *settings,
                             dp_error *err) {
    dp_status status = dp_schedule_read(schedule, settings->operands[0], err);
    if (status == DP_OK) status = dp_graph_load(graph, settings->model, err);
    if (status == DP_ERANGE) status = err->status = DP_EFORMAT; /* of something in a file */
    return status == DP_OK ? dp_load_output(settings->output, true, err) : status;
}

static int write_target(const dp_export *what, const dp_settings *settings) {
    dp_error err = {DP_OK, ""}, of_schedule = {DP_OK, ""};
    dp_status status = dp_export_write(what, settings->target, settings->output, &err);
    if (status == DP_EIO) return dp_exit_unwritten(settings, &err);
    if (status != DP_OK) {
        dp_fail(&of_schedule, status, "%s: %s", settings->operands[0], err.text);
        return dp_exit_failed(settings, &of_schedule);
    }
    dp_note(settings, "%s: written for '%s'", settings->output, settings->target);
    return DP_EXIT_DONE;
}

int dp_verb_export(const dp_settings *settings) {
    dp_error err = {DP_OK, ""};
    dp_schedule schedule = {0};
    dp_graph *graph = NULL;
    dp_status status = read_inputs(&schedule, &graph, settings, &err);
    dp_export what = {.schedule = &schedule, .graph = graph};
    int result = status == DP_OK ? write_target(&what, settings) : dp_exit_failed(settings, &err);
    dp_graph_free(graph);
    dp_schedule_clear(&schedule);
    return result;
}
