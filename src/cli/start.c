/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/start.h"

#include <stdlib.h>
#include <unistd.h>

#include "dynaprec/kernels.h"

void dp_start_with_fast_kernels(char **arguments) {
    const char *wanted = dp_kernels_wanted();
    if (getenv("OPENBLAS_CORETYPE") || !wanted) return;
    setenv("OPENBLAS_CORETYPE", wanted, 1);
    setenv("OPENBLAS_NUM_THREADS", "1", 0); /* a thread of its own for each processor would idle */
    setenv("OMP_NUM_THREADS", "1", 0);
    execv("/proc/self/exe", arguments);
}
