/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "digits.h"

#include <string.h>

#include "dynaprec/npz.h"
#include "program.h"
#include "suites.h"

void digits_open_folder(void) {
    program_open_folder();
    dp_npz all = {0};
    ck_dp_ok(dp_npz_read(&all, "calib_data/digits_learn.npz", &err));
    for (size_t i = 0; i < all.count; i++)
        if (all.arrays[i].tensor.dim[0] > DIGITS_SOME) all.arrays[i].tensor.dim[0] = DIGITS_SOME;
    ck_dp_ok(dp_npz_write(in_folder("some.npz"), all.arrays, all.count, &err));
    dp_npz_clear(&all);
}
