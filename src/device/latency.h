/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Time of a site: the core computes products of a matrix with a vector, one after another, `rows` channels and `columns` inputs at
 * most in one operation. Channels that are computed at once take as long as the one that is repeated most.
 *
 * Source  [ADEPT]: a layer's matrix is cut into tiles of the core's size; every tile is passed by all of the layer's vectors,
 *         one a cycle. Loading tiles is not counted.
 */
#ifndef DP_DEVICE_LATENCY_H
#define DP_DEVICE_LATENCY_H

#include "dynaprec/hardware.h"

/* What a site multiplies, a sample. */
typedef struct dp_site_size {
    double products; /* of a matrix with a vector: positions, rows, time steps */
    double outputs;  /* of one product */
    int64_t channels, groups, depth;
} dp_site_size;

typedef struct dp_site_time {
    int64_t at_once;   /* channels that share operations: the first ones, the next ones ... */
    double operations; /* of the core for these channels, a repetition */
} dp_site_time;

dp_site_time dp_latency_site(const dp_hardware *hardware, const dp_site_size *size);

#endif
