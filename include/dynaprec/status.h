/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How calls report failure.
 *
 * Every fallible call returns a dp_status and takes a `dp_error *err` as its last argument. `err` may be NULL;
 * otherwise it holds one line of text that names the file, node or key at fault and what would be allowed.
 * The library never prints, exits or reads the environment. A dp_error belongs to one thread.
 */
#ifndef DYNAPREC_STATUS_H
#define DYNAPREC_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

typedef enum dp_status {
    DP_OK = 0,
    DP_EMEMORY,      /* an allocation failed, or a size does not fit size_t */
    DP_EIO,          /* a file cannot be opened, read or written */
    DP_EFORMAT,      /* a file's content is not what its format asks for */
    DP_EUNSUPPORTED, /* well-formed, but this library does not implement it */
    DP_ERANGE,       /* an argument or value is outside what is allowed */
    DP_EBUDGET,      /* a budget cannot be met by any precision the hardware allows */
    DP_EUNMET,       /* ended without meeting the budget or converging; the best result is kept */
    DP_ECOMM,        /* processes that share the work differ, or have lost each other */
    DP_ECANCELLED    /* the caller asked to stop; what was learned is kept */
} dp_status;

typedef struct dp_error {
    dp_status status;
    char text[1024];
} dp_error;

/**
 * Record a failure and return its status, so that a failing line is one expression.
 *
 * Errors  `err` may be NULL: then only the status travels. A longer text is cut at the buffer's end.
 */
dp_status dp_fail(dp_error *err, dp_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/** The status as a lower-case word ("format", "budget"), for logs and tests. */
const char *dp_status_name(dp_status status);

#ifdef __cplusplus
}
#endif
#endif
