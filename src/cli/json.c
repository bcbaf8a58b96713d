/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/json.h"

#include <math.h>
#include <string.h>

#include "base/number.h"

/* Bytes of the UTF-8 character at `c`; 0: none is. [RFC 3629] section 4 */
static int utf8(const unsigned char *c) {
    static const struct {
        unsigned char first, last, low, high; /* lead byte; range of the byte behind it */
        int length;
    } rows[] = {
        {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    if (*c < 0x80) return 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (*c < rows[i].first || *c > rows[i].last) continue;
        if (c[1] < rows[i].low || c[1] > rows[i].high) return 0;
        for (int k = 2; k < rows[i].length; k++)
            if ((c[k] & 0xc0) != 0x80) return 0;
        return rows[i].length;
    }
    return 0;
}

static void put_quoted(FILE *stream, const char *text) {
    fputc('"', stream);
    for (const unsigned char *c = (const unsigned char *)text; *c;) {
        int length = utf8(c);
        if (length == 0)
            fputs("\xef\xbf\xbd", stream); /* a file name that is not UTF-8 */
        else if (*c < 32 || *c == 127)
            fprintf(stream, "\\u%04x", *c);
        else if (*c == '"' || *c == '\\')
            fprintf(stream, "\\%c", *c);
        else
            fwrite(c, 1, (size_t)length, stream);
        c += length ? length : 1;
    }
    fputc('"', stream);
}

static void put_value(FILE *stream, double value) {
    char text[DP_NUMBER_TEXT];
    fputs(isfinite(value) ? dp_count_text(value, text) : "null", stream);
}

static void separate(const dp_json *json) {
    if (!json->line)
        fprintf(json->stream, "\n%*s", 2 * json->depth, "");
    else if (json->filled)
        fputc(' ', json->stream);
}

static void begin(dp_json *json, const char *key) {
    if (json->filled) fputc(',', json->stream);
    if (json->depth) separate(json);
    if (key) {
        put_quoted(json->stream, key);
        fputs(": ", json->stream);
    }
    json->filled = true;
}

void dp_json_open(dp_json *json, const char *key, char bracket) {
    begin(json, key);
    fputc(bracket, json->stream);
    json->depth++;
    json->filled = false;
}

void dp_json_close(dp_json *json, char bracket) {
    json->depth--;
    if (json->filled && !json->line) separate(json);
    fputc(bracket, json->stream);
    if (json->depth == 0) fputc('\n', json->stream);
    json->filled = true;
}

void dp_json_text(dp_json *json, const char *key, const char *text) {
    begin(json, key);
    put_quoted(json->stream, text);
}

void dp_json_number(dp_json *json, const char *key, double value) {
    begin(json, key);
    put_value(json->stream, value);
}

void dp_json_truth(dp_json *json, const char *key, bool value) {
    begin(json, key);
    fputs(value ? "true" : "false", json->stream);
}

void dp_json_pair(dp_json *json, const char *key, double low, double high) {
    begin(json, key);
    fputc('[', json->stream);
    put_value(json->stream, low);
    fputs(", ", json->stream);
    put_value(json->stream, high);
    fputc(']', json->stream);
}
