/* SPDX-License-Identifier: GPL-3.0-or-later */
/* An operator with a site, run with a port that remembers (oracle.h): what has to hold whatever the operator computes. */
#ifndef TESTS_SITE_RIG_H
#define TESTS_SITE_RIG_H

#include "op_harness.h"
#include "oracle.h"

typedef struct site_rig {
    op_case c; /* the caller's to fill in */
    const char *name;
    op_run run;
    dp_site site;
    oracle_port port;
    int64_t samples, outputs; /* outputs: of all samples */
} site_rig;

/** Ready the case to run on `samples` samples, norms and gradients of weights told; `name` is for messages. */
void site_rig_open(site_rig *r, const char *name, int64_t samples);
void site_rig_close(site_rig *r);

/** Run a pass: every output, or its gradient, is shown to the port once, in blocks that keep to their sample. */
void site_rig_forward(site_rig *r);
void site_rig_adjoint(site_rig *r);

/** The value, and the squared norm, that were shown with output i. */
void site_rig_check_value(const site_rig *r, int64_t i, oracle_sum want);
void site_rig_check_norm(const site_rig *r, int64_t i, oracle_sum want);

/** What was shown is in the output too, with `add` added to it. */
void site_rig_check_outputs(const site_rig *r, float add);

/** The squared norm of the weights' gradient is told once for every sample and channel, and is this one. */
typedef oracle_sum weight_norm(const void *self, int64_t sample, int64_t channel);
void site_rig_check_weights(const site_rig *r, weight_norm *want, const void *self);

/** Another number of samples is refused with a message that has `part`. */
void site_rig_check_refusal(site_rig *r, int64_t samples, const char *part);

#endif
