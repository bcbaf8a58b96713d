/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fewer samples of the embedded network, so that learning takes a moment only. */
#ifndef TESTS_DIGITS_H
#define TESTS_DIGITS_H

enum { DIGITS_SOME = 300 };

/** A checked fixture: program_open_folder, with the first DIGITS_SOME samples in it as some.npz. */
void digits_open_folder(void);

#endif
