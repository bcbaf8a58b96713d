/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/seed.h"

#include <gsl/gsl_errno.h>

gsl_rng *dp_seed_rng(uint64_t seed) {
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    gsl_rng *rng = gsl_rng_alloc(gsl_rng_mt19937);
    gsl_set_error_handler(handler);
    unsigned long folded = (seed ^ seed >> 32) & 0xffffffffU; /* of a seed 32 bits count */
    if (rng) gsl_rng_set(rng, folded ? folded : 1);           /* 0 stands for GSL's own default */
    return rng;
}
