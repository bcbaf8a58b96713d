/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a processor can run, and which of OpenBLAS's kernels that asks for: dynaprec/kernels.h without this machine in it. */
#ifndef DP_KERNELS_CHOICE_H
#define DP_KERNELS_CHOICE_H

#include <stdbool.h>

#include "dynaprec/kernels.h"

/* Of x86-64; all false elsewhere. */
typedef struct dp_processor {
    bool avx2, fma;
    bool avx512f, avx512dq, avx512bw, avx512vl, avx512cd;
} dp_processor;

/** What the processor says that it has, and the operating system that it keeps. */
dp_processor dp_processor_here(void);

/** The kernels to run in place of those called `running`; NULL: none are better, or the name is newer than this table. */
const char *dp_kernels_choose(const char *running, const dp_processor *processor);

#endif
