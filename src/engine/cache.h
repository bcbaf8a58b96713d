/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finished passes on disk, found again by what they were computed from: network, data, hardware, seed, batch, draws, precision,
 * this program's sources and the BLAS kernels, which decide the last bits. So a repeated run computes nothing twice, and an
 * interrupted one goes on from the last pass that it finished, at any number of threads and processes.
 *
 * One file a pass, <folder>/<SHA-256 of all that>.pass: a line of text, the payload, its SHA-256; complete, or not there. A damaged or
 * foreign file is a miss, and made anew. A folder keeps what was used last, up to DP_CACHE_BYTES. It may be deleted at any time;
 * failing to write it is not an error.
 */
#ifndef DP_ENGINE_CACHE_H
#define DP_ENGINE_CACHE_H

#include "base/sha256.h"
#include "engine/state.h"

#define DP_CACHE_BYTES ((int64_t)1 << 30)

/* What distinguishes a pass besides the engine. */
typedef struct dp_cache_pass {
    const char *stage;
    const dp_dataset *data;
    const double *repetitions; /* [channels]; NULL: noise off */
    uint32_t first_trial, trials;
    bool survey; /* what the survey found does not enter: this is the survey */
} dp_cache_pass;

typedef struct dp_cache_entry {
    bool usable; /* there is a cache */
    char key[DP_SHA256_HEX];
} dp_cache_entry;

/** The digest of network, hardware, options and program: what all passes of an engine have in common. */
void dp_cache_identify(const dp_engine *engine, char hex[DP_SHA256_HEX]);

/** From now on, and until `pause` is false, passes are neither found nor kept: there will be thousands of small ones. */
void dp_cache_pause(dp_engine *engine, bool pause);

dp_cache_entry dp_cache_find(const dp_engine *engine, const dp_cache_pass *pass);

/**
 * Read a pass's results into `parts`; every process gets what process 0 reads.
 *
 * Errors  only those of several processes: DP_ECOMM when they are not at the same pass. Anything wrong with the file is *hit = false.
 */
typedef struct dp_cache_part {
    void *bytes;
    size_t size;
} dp_cache_part;
dp_status dp_cache_load(const dp_engine *engine, const dp_cache_entry *entry,
                        const dp_cache_part parts[3], bool *hit, dp_error *err);

/** Keep them; process 0 writes. */
void dp_cache_store(const dp_engine *engine, const dp_cache_entry *entry,
                    const dp_cache_part parts[3]);

/** Remove the entries that were used longest ago until at most `bytes` are left, and what crashes left half-written. */
void dp_cache_prune(const char *folder, int64_t bytes);

#endif
