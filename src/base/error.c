/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The one helper through which every failure passes. */
#include "dynaprec/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

dp_status dp_fail(dp_error *err, dp_status status, const char *format, ...) {
    if (err) {
        char text[sizeof err->text]; /* the arguments may include err->text */
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        memcpy(err->text, text, sizeof text);
        err->status = status;
    }
    return status;
}

const char *dp_status_name(dp_status status) {
    static const char *const names[] = {
        [DP_OK] = "ok",
        [DP_EMEMORY] = "memory",
        [DP_EIO] = "io",
        [DP_EFORMAT] = "format",
        [DP_EUNSUPPORTED] = "unsupported",
        [DP_ERANGE] = "range",
        [DP_EBUDGET] = "budget",
        [DP_EUNMET] = "unmet",
        [DP_ECOMM] = "communication",
        [DP_ECANCELLED] = "cancelled",
    };
    return names[status];
}
