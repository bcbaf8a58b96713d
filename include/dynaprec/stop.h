/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * When a search ends that could go on for ever: one struct for all strategies. Zero means that a criterion does not count, and that the
 * strategy's own limits hold. Cancelling is the engine's matter: a pass that is cancelled ends the search, which keeps the
 * best that it has found.
 */
#ifndef DYNAPREC_STOP_H
#define DYNAPREC_STOP_H

typedef struct dp_stop {
    int max_evaluations; /* of the objective; for adam: steps */
    double max_seconds;  /* since the search began. What is found then depends on the machine */
    double tolerance;    /* relative fall of the objective below which an iteration is the last */
} dp_stop;

#endif
