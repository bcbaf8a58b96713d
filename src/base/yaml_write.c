/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "base/yaml_write.h"

#include <string.h>

#include "base/number.h"

enum { LINE_LENGTH = 100 };

/* The start of a line up to its value; returns the column reached. */
static int begin(dp_yaml_writer *w, const char *key) {
    int indent = 2 * w->depth - (w->dash ? 2 : 0);
    fprintf(w->stream, "%*s%s%s:", indent, "", w->dash ? "- " : "", key);
    w->dash = false;
    return 2 * w->depth + (int)strlen(key) + 1;
}

void dp_yaml_open(dp_yaml_writer *w, const char *key) {
    begin(w, key);
    fputc('\n', w->stream);
    w->depth++;
}

void dp_yaml_close(dp_yaml_writer *w) {
    w->depth--;
}

void dp_yaml_item(dp_yaml_writer *w) {
    w->dash = true;
    w->depth++;
}

/* Bytes of the UTF-8 character at `text` and its code; 0: not UTF-8. */
static int decode(const unsigned char *text, uint32_t *code) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int length = *text < 0x80 ? 1 : *text < 0xc0 ? 0 : *text < 0xe0 ? 2 : *text < 0xf0 ? 3 : 4;
    if (length == 0 || *text > 0xf4) return 0;
    *code = length == 1 ? *text : *text & (0xffu >> (length + 1));
    for (int i = 1; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80) return 0;
        *code = *code << 6 | (text[i] & 0x3f);
    }
    bool surrogate = *code >= 0xd800 && *code < 0xe000;
    return *code < least[length] || *code > 0x10ffff || surrogate ? 0 : length;
}

/* YAML 1.1 reads it back from quotes unchanged: printable, and not one of its line breaks. */
static bool is_plain(uint32_t code) {
    if (code < 0x80) return code >= 32 && code != 127 && code != '"' && code != '\\';
    bool separator = code == 0x2028 || code == 0x2029;
    return code >= 0xa0 && !separator && code != 0xfeff && code != 0xfffe && code != 0xffff;
}

static void put_escape(FILE *stream, uint32_t code) {
    if (code == '"' || code == '\\')
        fprintf(stream, "\\%c", (int)code);
    else if (code == '\n' || code == '\t')
        fputs(code == '\n' ? "\\n" : "\\t", stream);
    else if (code < 0x100)
        fprintf(stream, "\\x%02X", code);
    else
        fprintf(stream, "\\u%04X", code);
}

static void put_quoted(FILE *stream, const char *text) {
    const unsigned char *at = (const unsigned char *)(text ? text : "");
    fputc('"', stream);
    while (*at) {
        uint32_t code;
        int length = decode(at, &code);
        if (length == 0)
            fputs("\xef\xbf\xbd", stream);
        else if (is_plain(code))
            fwrite(at, 1, (size_t)length, stream);
        else
            put_escape(stream, code);
        at += length ? length : 1;
    }
    fputc('"', stream);
}

void dp_yaml_put_string(dp_yaml_writer *w, const char *key, const char *text) {
    begin(w, key);
    fputc(' ', w->stream);
    put_quoted(w->stream, text);
    fputc('\n', w->stream);
}

void dp_yaml_put_integer(dp_yaml_writer *w, const char *key, uint64_t value) {
    begin(w, key);
    fprintf(w->stream, " %llu\n", (unsigned long long)value);
}

void dp_yaml_put_boolean(dp_yaml_writer *w, const char *key, bool value) {
    begin(w, key);
    fprintf(w->stream, " %s\n", value ? "true" : "false");
}

static const char *number_text(double value, bool whole, char text[DP_NUMBER_TEXT]) {
    return whole ? dp_count_text(value, text) : dp_number_text(value, text);
}

void dp_yaml_put_number(dp_yaml_writer *w, const char *key, double value, bool whole) {
    char text[DP_NUMBER_TEXT];
    begin(w, key);
    fprintf(w->stream, " %s\n", number_text(value, whole, text));
}

/* A list, broken before it gets too long. Start with the text before and the column after it. */
typedef struct flow {
    FILE *stream;
    int column, indent;
} flow;

static flow begin_flow(dp_yaml_writer *w, const char *key) {
    flow f = {w->stream, begin(w, key) + 2, 2 * w->depth + 2};
    fputs(" [", w->stream);
    return f;
}

static void put_entry(flow *f, const char *text, bool first, bool last) {
    int length = (int)strlen(text);
    if (!first && f->column + 1 + length + 1 > LINE_LENGTH) {
        f->column = f->indent;
        fprintf(f->stream, "\n%*s", f->column, "");
    } else if (!first) {
        f->column += 1;
        fputc(' ', f->stream);
    }
    fprintf(f->stream, "%s%s", text, last ? "" : ",");
    f->column += length + 1;
}

void dp_yaml_put_numbers(dp_yaml_writer *w, const char *key, const double *values, size_t count,
                         bool whole) {
    char text[DP_NUMBER_TEXT];
    flow f = begin_flow(w, key);
    for (size_t i = 0; i < count; i++)
        put_entry(&f, number_text(values[i], whole, text), i == 0, i + 1 == count);
    fputs("]\n", w->stream);
}

void dp_yaml_put_floats(dp_yaml_writer *w, const char *key, const float *values, size_t count) {
    char text[DP_NUMBER_TEXT];
    flow f = begin_flow(w, key);
    for (size_t i = 0; i < count; i++)
        put_entry(&f, dp_number_text((double)values[i], text), i == 0, i + 1 == count);
    fputs("]\n", w->stream);
}

void dp_yaml_put_pairs(dp_yaml_writer *w, const char *key, const char *const *names,
                       const double *values, size_t count) {
    char text[DP_NUMBER_TEXT];
    begin(w, key);
    for (size_t i = 0; i < count; i++)
        fprintf(w->stream, "%s%s: %s", i ? ", " : " {", names[i], dp_number_text(values[i], text));
    fputs("}\n", w->stream);
}

void dp_yaml_put_words(dp_yaml_writer *w, const char *key, const char *const *words, size_t count) {
    begin(w, key);
    fputs(" [", w->stream);
    for (size_t i = 0; i < count; i++) {
        if (i > 0) fputs(", ", w->stream);
        put_quoted(w->stream, words[i]);
    }
    fputs("]\n", w->stream);
}
