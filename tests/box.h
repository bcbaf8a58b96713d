/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Arrays on their way into an NPZ file of the scratch folder, and from there into a data set. */
#ifndef TESTS_BOX_H
#define TESTS_BOX_H

#include "dynaprec/dataset.h"
#include "dynaprec/npz.h"

#define DIMS(...) ((const int64_t[]){__VA_ARGS__})

typedef struct box {
    dp_array arrays[8]; /* count of them; all zero: an empty box */
    size_t count;
} box;

/** A new array of zeros; returns its data. */
void *box_put(box *b, const char *name, dp_dtype type, int rank, const int64_t *dims);

/** Write the arrays into the file box.npz; returns its path. */
const char *box_saved(const box *b);
const char *box_path(void);

void box_clear(box *b);

/** An input that takes float32 of any shape. */
extern const dp_input_spec any_input;

#endif
