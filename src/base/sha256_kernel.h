/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What SHA-256 does with a block. Weights of several gigabytes are digested when a model is loaded, which takes longer than
 * running it, unless the processor has instructions for it.
 */
#ifndef DP_BASE_SHA256_KERNEL_H
#define DP_BASE_SHA256_KERNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dp_sha256_kernel {
    const char *name;
    bool (*runs_here)(void);
    /* Take `count` blocks of 64 bytes into the state. */
    void (*compress)(uint32_t state[8], const uint8_t *blocks, size_t count);
} dp_sha256_kernel;

/** Fastest first; all give the same. The last runs everywhere, and a row without a name follows it. */
extern const dp_sha256_kernel dp_sha256_kernels[];

const dp_sha256_kernel *dp_sha256_kernel_best(void);

#endif
