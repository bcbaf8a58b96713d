/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The stream around SHA-256's blocks: what waits for the next one, and the padding of the last. */
#include "base/sha256.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/sha256_kernel.h"

void dp_sha256_init(dp_sha256 *sha) {
    /* Section 5.3.3: the fractions of the square roots of the first 8 primes. */
    *sha = (dp_sha256){.state = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f,
                                 0x9b05688c, 0x1f83d9ab, 0x5be0cd19},
                       .kernel = dp_sha256_kernel_best()};
}

void dp_sha256_update(dp_sha256 *sha, const void *data, size_t bytes) {
    const uint8_t *from = data;
    while (bytes > 0) {
        size_t held = sha->bytes % 64, part = 64 - held < bytes ? 64 - held : bytes;
        if (held == 0 && bytes >= 64) {
            part = bytes - bytes % 64;
            sha->kernel->compress(sha->state, from, part / 64);
        } else {
            memcpy(sha->block + held, from, part);
            if (held + part == 64) sha->kernel->compress(sha->state, sha->block, 1);
        }
        sha->bytes += part, from += part, bytes -= part;
    }
}

void dp_sha256_hex(dp_sha256 *sha, char hex[DP_SHA256_HEX]) {
    uint8_t padding[64 + 8] = {0x80};
    uint64_t bits = sha->bytes * 8;
    size_t zeros = (119 - sha->bytes % 64) % 64 + 1; /* the first byte of them is the 0x80 */
    for (size_t i = 0; i < 8; i++) padding[zeros + i] = (uint8_t)(bits >> (56 - 8 * i));
    dp_sha256_update(sha, padding, zeros + 8);
    for (size_t i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08x", (unsigned)sha->state[i]);
}

dp_status dp_sha256_file(const char *path, char hex[DP_SHA256_HEX], dp_error *err) {
    hex[0] = '\0';
    FILE *file = fopen(path, "rb");
    if (!file) return dp_fail(err, DP_EIO, "%s: cannot be opened: %s", path, strerror(errno));
    dp_sha256 sha;
    dp_sha256_init(&sha);
    uint8_t buffer[1 << 14];
    size_t got;
    while ((got = fread(buffer, 1, sizeof buffer, file)) > 0) dp_sha256_update(&sha, buffer, got);
    int failure = ferror(file) ? errno : 0;
    fclose(file);
    if (failure) return dp_fail(err, DP_EIO, "%s: cannot be read: %s", path, strerror(failure));
    dp_sha256_hex(&sha, hex);
    return DP_OK;
}
