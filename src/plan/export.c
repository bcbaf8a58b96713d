/* SPDX-License-Identifier: GPL-3.0-or-later */
#include <stdio.h>
#include <string.h>

#include "plan/exporter.h"

static const dp_exporter exporters[] = {
    {.name = "onnx", .conditioning = true, .write = dp_export_onnx},
};
enum { EXPORTERS = sizeof exporters / sizeof *exporters };

const char *const *dp_export_targets(void) {
    static const char *const names[EXPORTERS + 1] = {"onnx", NULL};
    return names;
}

const dp_exporter *dp_exporter_find(const char *name) {
    for (int i = 0; i < EXPORTERS; i++)
        if (strcmp(exporters[i].name, name) == 0) return &exporters[i];
    return NULL;
}

static dp_status unknown(const char *name, dp_error *err) {
    char list[256] = "";
    for (int i = 0; i < EXPORTERS; i++) {
        size_t used = strlen(list);
        snprintf(list + used, sizeof list - used, "%s'%s'", used ? ", " : "", exporters[i].name);
    }
    return dp_fail(err, DP_ERANGE, "there is no export to '%s'; there are %s", name, list);
}

dp_status dp_export_write(const dp_export *what, const char *target, const char *path,
                          dp_error *err) {
    const dp_exporter *exporter = dp_exporter_find(target);
    bool conditioned = what->schedule->conditioning.count > 0;
    if (!exporter) return unknown(target, err);
    if (strcmp(what->schedule->model_sha256, dp_graph_sha256(what->graph)) != 0)
        return dp_fail(err, DP_ERANGE,
                       "the schedule was learned for another network: '%s', whose SHA-256 is %s",
                       what->schedule->model_file, what->schedule->model_sha256);
    if (conditioned && !exporter->conditioning)
        return dp_fail(err, DP_EUNSUPPORTED,
                       "the schedule conditions the network's operands, which '%s' cannot express; "
                       "learn with --condition none for it",
                       target);
    return exporter->write(what, path, err);
}
