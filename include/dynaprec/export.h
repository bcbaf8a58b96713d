/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Schedules for other programs. Targets are known by name:
 *
 *   onnx   the network as any runtime executes it: folded, and conditioned if the schedule says so
 */
#ifndef DYNAPREC_EXPORT_H
#define DYNAPREC_EXPORT_H

#include "dynaprec/graph.h"
#include "dynaprec/schedule.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is exported. */
typedef struct dp_export {
    const dp_schedule *schedule;
    const dp_graph *graph; /* of the file that the schedule was learned for */
} dp_export;

/** Names of all targets; NULL at the end. */
const char *const *dp_export_targets(void);

/**
 * Write `what` for a target. A file appears under its name only when it is whole.
 *
 * Errors  DP_ERANGE for an unknown target, and for a schedule of another network; DP_EFORMAT for conditioning that the network does
 *         not allow; DP_EUNSUPPORTED for a target that cannot express conditioning, or the network; DP_EIO, DP_EMEMORY.
 */
dp_status dp_export_write(const dp_export *what, const char *target, const char *path,
                          dp_error *err);

#ifdef __cplusplus
}
#endif
#endif
