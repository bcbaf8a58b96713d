/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/seed.h"

#include "learn/gsl_errors.h"

gsl_rng *dp_seed_rng(uint64_t seed) {
    dp_gsl_errors_return();
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    dp_gsl_errors_restore();
    unsigned long folded = (seed ^ seed >> 32) & 0xffffffffU; /* of a seed 32 bits count */
    if (rng) gsl_rng_set(rng, folded ? folded : 1);           /* 0 stands for GSL's own default */
    return rng;
}
