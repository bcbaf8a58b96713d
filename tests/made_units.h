/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Units that belong to no network: costs and sensitivities made up at random, over three decades. */
#ifndef TESTS_MADE_UNITS_H
#define TESTS_MADE_UNITS_H

#include "learn/units.h"

enum { MADE_MOST = 256 };

typedef struct made_units {
    dp_units u;
    dp_hardware hardware; /* integer levels */
    double cost[MADE_MOST], low[MADE_MOST], high[MADE_MOST], s[MADE_MOST];
    double scratch[MADE_MOST];
    double shape[MADE_MOST], k[MADE_MOST]; /* the test's */
    bool fixed[MADE_MOST];
    uint64_t state; /* of the random numbers */
} made_units;

/** `count` units with K from low to high; every `number` makes others. The struct must not move. */
void made_open(made_units *b, int number, int count, double low, double high);

/** The next random number, uniform. */
double made_random(made_units *b, double low, double high);

#endif
