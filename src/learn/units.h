/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Units: what shares one K. A layer, an output channel or a tile of channels; sites with the same weights share theirs, and a group of
 * sites that the user made is one unit as a whole.
 * Everything that learning decides is one number a unit.
 */
#ifndef DP_LEARN_UNITS_H
#define DP_LEARN_UNITS_H

#include "dynaprec/learn.h"
#include "learn/time/blocks.h"

typedef struct dp_units {
    int count;
    int64_t channels;
    int *of_channel;        /* [channels] */
    int *group;             /* [sites] of the options' groups; -1: none */
    double *cost_j;         /* [count] B: joules a repetition and sample */
    double *low, *high;     /* [count] what K may be; equal: fixed by the user */
    bool *fixed;            /* [count] */
    double *s;              /* [count] sensitivity, nats at K = 1 */
    dp_blocks blocks;       /* what is computed at once */
    double most_operations; /* a sample, that may be taken; 0: any number */
    double *scratch;        /* [count] of what looks for a precision within them */
} dp_units;

/**
 * `hardware` is as its file has it: fixed sites may have all of its range, others what the options leave of it.
 *
 * Errors  DP_ERANGE (a glob without match, a K that the hardware does not have, granularity not allowed, groups that contradict each
 *         other or what is fixed), DP_EMEMORY.
 */
dp_status dp_units_create(dp_units *out, const dp_engine *engine, const dp_hardware *hardware,
                          const dp_learn_options *options, dp_error *err);
void dp_units_clear(dp_units *units);

/** Add up channels' sensitivities. Shapes: s [channels]. */
void dp_units_collect(dp_units *units, const double *s);

/** Give every channel its unit's K. Shapes: k [count], repetitions [channels]. */
void dp_units_spread(const dp_units *units, const double *k, double *repetitions);

/** sum of B K over units, J; sum of s / K, nats. Shapes: k [count]. */
double dp_units_energy(const dp_units *units, const double *k);
double dp_units_loss(const dp_units *units, const double *k);

/** The site that each unit belongs to; of sites that share units, the first. Shapes: layer [count]. */
void dp_units_layers(const dp_units *units, const dp_engine *engine, int *layer);

/** Channels of one unit of a site at this granularity, if it is in no group. */
int64_t dp_units_width(const dp_learn_options *options, const dp_site_info *site);

#endif
