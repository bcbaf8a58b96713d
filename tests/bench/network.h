/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a benchmark of a network needs to be there before the clock starts: model, data, hardware, engine, reference. */
#ifndef DP_BENCH_NETWORK_H
#define DP_BENCH_NETWORK_H

#include "dynaprec/dynaprec.h"

typedef struct network {
    dp_graph *graph;
    dp_dataset *data;
    dp_hardware hardware;
    dp_engine *engine;
    dp_reference *reference;
    double *repetitions, *sensitivity; /* [channels] */
    dp_score *scores;                  /* [samples] */
} network;

typedef struct network_setting {
    double repetitions; /* K of every channel */
    int threads;
    int64_t batch; /* 0: the engine's choice */
} network_setting;

/** Read files = {MODEL, DATA, HARDWARE.yaml} and make an engine. */
dp_status network_load(network *n, char **files, const network_setting *setting, dp_error *err);
void network_clear(network *n);

enum { NETWORK_CLEAN, NETWORK_NOISY, NETWORK_REVERSE, NETWORK_KINDS };

/** One pass over the data: clean, with noise, or forward with noise and back. */
dp_status network_pass(network *n, int kind, dp_error *err);

#endif
