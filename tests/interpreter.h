/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * An interpreter of graphs in which nothing is shared, reused, folded or left out: every value and every gradient has memory of
 * its own. It is the oracle of plans.
 */
#ifndef TESTS_INTERPRETER_H
#define TESTS_INTERPRETER_H

#include "net.h"

enum { INTERPRETER_VALUES = 1024 };

typedef struct interpreter {
    const dp_graph *graph;
    dp_tensor values[INTERPRETER_VALUES], grads[INTERPRETER_VALUES];
    void *state[NET_MOST_NODES];
    size_t state_bytes[NET_MOST_NODES];
} interpreter;

/** Run every node; inputs are the graph's, in order. Close it whatever happens. */
void interpret(interpreter *ip, const dp_graph *graph, const dp_tensor *inputs);

/** Every gradient of sum seed * target, after interpret. */
void interpret_reverse(interpreter *ip, int target, const float *seed);
void interpreter_close(interpreter *ip);

#endif
