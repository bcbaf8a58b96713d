/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random choices of a search: a GSL generator (MT19937) that the seed alone decides, so that all processes choose alike. Noise comes from
 * base/rng.h.
 */
#ifndef DP_LEARN_SEED_H
#define DP_LEARN_SEED_H

#include <gsl/gsl_rng.h>
#include <stdint.h>

/** For gsl_rng_free; NULL: no memory. */
gsl_rng *dp_seed_rng(uint64_t seed);

#endif
