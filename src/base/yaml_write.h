/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Writing YAML that is the same, byte for byte, for the same content: block mappings two columns deeper each level, every
 * string in double quotes, numbers as base/number.h writes them, long lists in flow style. Failures to write stay with the
 * stream. Keys are plain words of ours.
 */
#ifndef DP_BASE_YAML_WRITE_H
#define DP_BASE_YAML_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* Start with the stream set and the rest zero. */
typedef struct dp_yaml_writer {
    FILE *stream;
    int depth;
    bool dash; /* the next line begins an entry of a list */
} dp_yaml_writer;

/** `key:`, after which everything up to dp_yaml_close belongs to it. */
void dp_yaml_open(dp_yaml_writer *w, const char *key);
void dp_yaml_close(dp_yaml_writer *w);

/** Begin an entry of the open list that is a mapping, until dp_yaml_close. */
void dp_yaml_item(dp_yaml_writer *w);

/**
 * Text with what YAML cannot hold plainly escaped. Bytes that are not UTF-8 (a file name can have them) become U+FFFD;
 * NULL becomes "".
 */
void dp_yaml_put_string(dp_yaml_writer *w, const char *key, const char *text);

void dp_yaml_put_integer(dp_yaml_writer *w, const char *key, uint64_t value);
void dp_yaml_put_boolean(dp_yaml_writer *w, const char *key, bool value);

/** A float; `whole`: an integer where the value is one. NaN is null. */
void dp_yaml_put_number(dp_yaml_writer *w, const char *key, double value, bool whole);

/** [1, 2, 3], broken before column 100. */
void dp_yaml_put_numbers(dp_yaml_writer *w, const char *key, const double *values, size_t count,
                         bool whole);

/** The same of floats, which read back as they are. */
void dp_yaml_put_floats(dp_yaml_writer *w, const char *key, const float *values, size_t count);

/** {a: 1.0, b: 2.0} on one line. */
void dp_yaml_put_pairs(dp_yaml_writer *w, const char *key, const char *const *names,
                       const double *values, size_t count);

/** ["a", "b"] on one line. */
void dp_yaml_put_words(dp_yaml_writer *w, const char *key, const char *const *words, size_t count);

#endif
