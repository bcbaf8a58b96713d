/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A target of export is a row of the table in export.c, and a file export_<name>.c. */
#ifndef DP_PLAN_EXPORTER_H
#define DP_PLAN_EXPORTER_H

#include "dynaprec/export.h"

typedef struct dp_exporter {
    const char *name;
    bool conditioning; /* it can say that operands are centred and balanced */
    dp_status (*write)(const dp_export *what, const char *path, dp_error *err);
} dp_exporter;

/** The row of that name; NULL when there is none. */
const dp_exporter *dp_exporter_find(const char *name);

dp_status dp_export_onnx(const dp_export *what, const char *path, dp_error *err);

#endif
