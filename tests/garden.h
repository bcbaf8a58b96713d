/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random networks of all that a plan may share: views, operators in place, branches, values used twice and outputs in the
 * middle; and what it takes to plan and run them on a few samples.
 */
#ifndef TESTS_GARDEN_H
#define TESTS_GARDEN_H

#include "engine/run.h"
#include "net.h"

enum { GARDEN_SAMPLES = 3, GARDEN_INPUTS = 2 };

/* Most values have one shape, [GARDEN_SAMPLES,4,6,6]; inputs always. */
typedef struct garden {
    net n;
    uint64_t state;
    int count, values[NET_MOST_NODES];
    dp_tensor inputs[GARDEN_INPUTS]; /* samples for the graph's inputs */
} garden;

/** Make network `number`, with samples. */
void garden_open(garden *g, int number);
void garden_close(garden *g);

/** Make samples for a network that a test has built in g->n itself. */
void garden_inputs(garden *g);

/** Plan for these samples; target -1: every output. The second one may fail. */
dp_plan *garden_plan(const garden *g, bool reverse, int target);
dp_status garden_try_plan(const garden *g, bool reverse, int target, dp_plan **plan, dp_error *err);

/** Give the samples to a run. */
void garden_feed(const garden *g, dp_run *run);

#endif
