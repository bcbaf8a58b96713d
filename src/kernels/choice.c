/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * OpenBLAS 0.3.21 (Debian 12) knows processors by their family and model; on newer ones it falls back to Haswell's kernels or to
 * Prescott's, at 0.6 and 0.2 times the speed of those for AVX-512. So its choice is compared with what the processor
 * says of itself. A name that is not in the table is newer than the table, and left alone.
 */
#include "kernels/choice.h"

#include <stddef.h>
#include <string.h>

#include "kernels/gemm.h"

enum { SSE, AVX2, AVX512 };

static const char *const best[] = {[AVX2] = "Haswell", [AVX512] = "SkylakeX"};

static const struct {
    const char *name;
    int level;
} old_kernels[] = {
    {"Katmai", SSE},       {"Coppermine", SSE}, {"Northwood", SSE},  {"Prescott", SSE},
    {"Banias", SSE},       {"Atom", SSE},       {"Core2", SSE},      {"Penryn", SSE},
    {"Dunnington", SSE},   {"Nehalem", SSE},    {"Athlon", SSE},     {"Opteron", SSE},
    {"Opteron_SSE3", SSE}, {"Barcelona", SSE},  {"Nano", SSE},       {"Sandybridge", SSE},
    {"Bobcat", SSE},       {"Bulldozer", SSE},  {"Piledriver", SSE}, {"Steamroller", SSE},
    {"Excavator", AVX2},   {"Haswell", AVX2},   {"Zen", AVX2},
};

static int level_of_kernels(const char *name) {
    for (size_t i = 0; i < sizeof old_kernels / sizeof *old_kernels; i++)
        if (strcmp(old_kernels[i].name, name) == 0) return old_kernels[i].level;
    return AVX512;
}

static int level_of(const dp_processor *p) {
    if (p->avx512f && p->avx512dq && p->avx512bw && p->avx512vl && p->avx512cd) return AVX512;
    return p->avx2 && p->fma ? AVX2 : SSE;
}

const char *dp_kernels_choose(const char *running, const dp_processor *processor) {
    int level = level_of(processor);
    return level_of_kernels(running) < level ? best[level] : NULL;
}

dp_processor dp_processor_here(void) {
#ifdef __x86_64__
    return (dp_processor){.avx2 = __builtin_cpu_supports("avx2"),
                          .fma = __builtin_cpu_supports("fma"),
                          .avx512f = __builtin_cpu_supports("avx512f"),
                          .avx512dq = __builtin_cpu_supports("avx512dq"),
                          .avx512bw = __builtin_cpu_supports("avx512bw"),
                          .avx512vl = __builtin_cpu_supports("avx512vl"),
                          .avx512cd = __builtin_cpu_supports("avx512cd")};
#else
    return (dp_processor){.avx2 = false};
#endif
}

const char *dp_kernels_running(void) {
    return dp_gemm_kernels();
}

int dp_kernels_tiles(void) {
    return dp_gemm_tiles();
}

const char *dp_kernels_wanted(void) {
    dp_processor here = dp_processor_here();
    return dp_kernels_choose(dp_gemm_kernels(), &here);
}
