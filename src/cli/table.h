/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Tables of text: columns as wide as their widest cell, all but one, which gives way so that lines stay within a limit. Names
 * come from files, so control characters are not let through to somebody's terminal.
 */
#ifndef DP_CLI_TABLE_H
#define DP_CLI_TABLE_H

#include <stdio.h>

#include "base/alloc.h"

enum { DP_TABLE_COLUMNS = 16, DP_TABLE_WIDTH = 100 };

typedef struct dp_table_column {
    const char *title;
    bool left;    /* text; numbers are flush right */
    bool elastic; /* cut in the middle where the line would be too long; one at most */
} dp_table_column;

/* Start with the columns set, ended by one without title, and the rest zero. */
typedef struct dp_table {
    const dp_table_column *columns;
    const char **cells; /* row by row */
    size_t count, room;
    dp_arena arena;
    bool failed; /* out of memory: nothing is printed */
} dp_table;

/** Append the next cell, row by row. */
void dp_table_add(dp_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** Write titles and rows in at most `width` columns, and release the table; false: there was no memory. */
bool dp_table_print(dp_table *table, FILE *stream, int width);

enum { DP_SI_TEXT = 24 };

/** 0.00000412 and "J" -> "4.12 uJ", three significant digits; NaN -> "-". */
const char *dp_si_text(double value, const char *unit, char text[DP_SI_TEXT]);

/** Whole numbers whole, others to three digits; NaN -> "-". */
const char *dp_count_cell(double value, char text[DP_SI_TEXT]);

/** printf's `format` of one number; NaN -> "-". */
const char *dp_cell_text(const char *format, double value, char text[DP_SI_TEXT]);

#endif
