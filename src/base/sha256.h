/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * SHA-256 of memory and files: how a schedule names the model, data and hardware it was learned for.
 *
 * Source  [FIPS 180-4], sections 4.1.2, 5.1.1 and 6.2.
 */
#ifndef DP_BASE_SHA256_H
#define DP_BASE_SHA256_H

#include <stddef.h>
#include <stdint.h>

#include "dynaprec/status.h"

enum { DP_SHA256_HEX = 65 }; /* 64 lower-case digits and the closing zero */

typedef struct dp_sha256 {
    uint32_t state[8];
    uint64_t bytes;    /* taken so far */
    uint8_t block[64]; /* the last bytes % 64 of them wait here */
    const struct dp_sha256_kernel *kernel;
} dp_sha256;

void dp_sha256_init(dp_sha256 *sha);
void dp_sha256_update(dp_sha256 *sha, const void *data, size_t bytes);

/** Close the stream and write its digest; the state needs dp_sha256_init before it is used again. */
void dp_sha256_hex(dp_sha256 *sha, char hex[DP_SHA256_HEX]);

/** The digest of a file's content. Errors: DP_EIO; hex is then the empty string. */
dp_status dp_sha256_file(const char *path, char hex[DP_SHA256_HEX], dp_error *err);

#endif
