/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Writing JSON [RFC 8259], indented, keys in the order they are put. What is no finite number is null. */
#ifndef DP_CLI_JSON_H
#define DP_CLI_JSON_H

#include <stdbool.h>
#include <stdio.h>

/* Start with the stream set and the rest zero. `key` is NULL for entries of lists and for the outermost object. */
typedef struct dp_json {
    FILE *stream;
    int depth;
    bool filled; /* the open object or list has an entry */
    bool line;   /* all on one line */
} dp_json;

void dp_json_open(dp_json *json, const char *key, char bracket); /* '{' or '[' */
void dp_json_close(dp_json *json, char bracket);                 /* '}' or ']' */
void dp_json_text(dp_json *json, const char *key, const char *text);
void dp_json_number(dp_json *json, const char *key, double value); /* whole ones without a point */
void dp_json_truth(dp_json *json, const char *key, bool value);
void dp_json_pair(dp_json *json, const char *key, double low, double high); /* [low, high] */

#endif
