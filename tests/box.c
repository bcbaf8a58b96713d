/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "box.h"

#include <check.h>

#include "base/alloc.h"
#include "scratch.h"
#include "suites.h"

const dp_input_spec any_input = {"input", DP_F32, -1, {0}};

void *box_put(box *b, const char *name, dp_dtype type, int rank, const int64_t *dims) {
    dp_array *a = &b->arrays[b->count++];
    a->name = dp_strdup(name);
    dp_tensor_reshape(&a->tensor, type, rank, dims);
    ck_dp_ok(dp_tensor_allocate(&a->tensor, &err));
    return a->tensor.data;
}

const char *box_saved(const box *b) {
    ck_dp_ok(dp_npz_write(box_path(), b->arrays, b->count, &err));
    return box_path();
}

const char *box_path(void) {
    return scratch("box.npz");
}

void box_clear(box *b) {
    for (size_t i = 0; i < b->count; i++) {
        dp_free(b->arrays[i].name);
        dp_tensor_clear(&b->arrays[i].tensor);
    }
}
