/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A made-up network, and what is chosen to do to the operands of its products. Tests use the scratch folder. */
#ifndef TESTS_STAGE_H
#define TESTS_STAGE_H

#include "learn/condition/condition.h"
#include "net.h"

enum { SAMPLES = 400, INPUTS = 8 };

typedef struct stage {
    net n;
    dp_hardware hardware;
    dp_dataset *data;
    dp_learn_options options;
    dp_search search;
    dp_condition condition;
} stage;

/** Shot noise, and an empty network to fill in. */
void stage_open(stage *s, uint64_t seed);
void stage_close(stage *s);

/** The network is complete: survey and choose. Data are made unless the stage has some. */
void stage_run(stage *s);

/** What was done to a site, and what it is expected to leave of the noise; NULL: nothing. */
const dp_conditioned_site *stage_done(const stage *s, const char *site, double *noise);

/** x with the constant `shift[j] + scale[j] x_j` along `axis` of its `rank`. Shapes: [INPUTS]. */
int stage_affine(net *n, int x, int rank, int axis, const float *scale, const float *shift);

extern const float stage_ones[INPUTS], stage_zeros[INPUTS];

#endif
