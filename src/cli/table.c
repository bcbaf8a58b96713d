/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/table.h"

#include <math.h>
#include <stdarg.h>
#include <string.h>

enum { LONGEST_CELL = 256, GAP = 2, LEAST_ELASTIC = 12 };

static const char dots[] = "...";

/* ---- text in columns of a terminal: UTF-8, a column a character ---- */

static bool continues(char c) {
    return ((unsigned char)c & 0xc0) == 0x80;
}

static int width_of(const char *text) {
    int width = 0;
    for (; *text; text++) width += !continues(*text);
    return width;
}

/* Where character number `n` starts. */
static const char *character(const char *text, int n) {
    for (; *text; text++)
        if (!continues(*text) && n-- == 0) break;
    return text;
}

static void print_cell(FILE *stream, const char *text, int width, bool left) {
    int have = width_of(text);
    if (!left && have < width) fprintf(stream, "%*s", width - have, "");
    if (have <= width) {
        fputs(text, stream);
    } else {
        int head = (width - (int)strlen(dots)) / 2, tail = width - (int)strlen(dots) - head;
        fprintf(stream, "%.*s%s%s", (int)(character(text, head) - text), text, dots,
                character(text, have - tail));
    }
    if (left && have < width) fprintf(stream, "%*s", width - have, "");
}

/* ---- the table ---- */

void dp_table_add(dp_table *table, const char *format, ...) {
    char text[LONGEST_CELL];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    for (char *c = text; *c; c++)
        if ((unsigned char)*c < 32 || *c == 127) *c = '?';
    const char **grown =
        dp_grow((void *)table->cells, &table->room, table->count + 1, sizeof *table->cells);
    if (grown) table->cells = grown;
    const char *copy = grown ? dp_arena_strdup(&table->arena, text) : NULL;
    if (copy)
        table->cells[table->count++] = copy;
    else
        table->failed = true;
}

/* The columns' widths; returns how many there are. */
static int measure(const dp_table *table, int limit, int widths[DP_TABLE_COLUMNS]) {
    int n = 0, total = 0, elastic = -1;
    for (; table->columns[n].title; n++) {
        widths[n] = width_of(table->columns[n].title);
        if (table->columns[n].elastic) elastic = n;
    }
    for (size_t i = 0; i < table->count; i++) {
        int width = width_of(table->cells[i]);
        if (width > widths[i % (size_t)n]) widths[i % (size_t)n] = width;
    }
    for (int i = 0; i < n; i++) total += widths[i] + (i ? GAP : 0);
    if (elastic >= 0 && total > limit) {
        int least = widths[elastic] < LEAST_ELASTIC ? widths[elastic] : LEAST_ELASTIC;
        widths[elastic] -= total - limit;
        if (widths[elastic] < least) widths[elastic] = least;
    }
    return n;
}

static void print_row(const dp_table *table, FILE *stream, const char *const *row,
                      const int *widths) {
    for (int i = 0; table->columns[i].title; i++) {
        const dp_table_column *column = &table->columns[i];
        bool last = !table->columns[i + 1].title;
        const char *text = row ? row[i] : column->title;
        if (i) fprintf(stream, "%*s", GAP, "");
        if (last && column->left)
            fputs(text, stream);
        else
            print_cell(stream, text, widths[i], column->left);
    }
    fputc('\n', stream);
}

bool dp_table_print(dp_table *table, FILE *stream, int width) {
    int widths[DP_TABLE_COLUMNS] = {0};
    bool fine = !table->failed;
    if (fine) {
        size_t n = (size_t)measure(table, width, widths);
        print_row(table, stream, NULL, widths);
        for (size_t i = 0; i + n <= table->count; i += n)
            print_row(table, stream, table->cells + i, widths);
    }
    dp_arena_free(&table->arena);
    dp_free((void *)table->cells);
    *table = (dp_table){0};
    return fine;
}

/* ---- numbers ---- */

const char *dp_si_text(double value, const char *unit, char text[DP_SI_TEXT]) {
    static const char *const prefixes[] = {"a", "f", "p", "n", "u", "m", "",
                                           "k", "M", "G", "T", "P", "E"};
    enum { ONE = 6, LAST = sizeof prefixes / sizeof *prefixes - 1 };
    if (isnan(value)) return strcpy(text, "-");
    int at = value == 0 ? ONE : ONE + (int)floor(log10(fabs(value) * 1.0005) / 3);
    if (at < 0) at = 0;
    if (at > LAST) at = LAST;
    double shown = value / pow(1000, at - ONE);
    int digits = fabs(shown) >= 99.95 || value == 0 ? 0 : fabs(shown) >= 9.995 ? 1 : 2;
    if (at == ONE && value == floor(value) && fabs(value) < 1000) digits = 0;
    snprintf(text, DP_SI_TEXT, "%.*f%s%s%s", digits, shown, *unit ? " " : "", prefixes[at], unit);
    return text;
}

const char *dp_cell_text(const char *format, double value, char text[DP_SI_TEXT]) {
    if (isnan(value)) return strcpy(text, "-");
    snprintf(text, DP_SI_TEXT, format, value);
    return text;
}

const char *dp_count_cell(double value, char text[DP_SI_TEXT]) {
    return dp_cell_text(value == floor(value) ? "%.0f" : "%.3g", value, text);
}
