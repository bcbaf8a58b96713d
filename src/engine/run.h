/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A run: one thread's memory for a plan. Fill the inputs, go forward, look at the target; with a reverse plan, seed the
 * target's gradient and go back. Nothing is allocated after dp_run_create.
 *
 * What happens at sites is the caller's: hooks replace operands (quantised inputs, perturbed weights) and see every block of
 * products, forward to add noise, in the reverse pass to read gradients.
 */
#ifndef DP_ENGINE_RUN_H
#define DP_ENGINE_RUN_H

#include "engine/plan.h"

typedef struct dp_run dp_run;

typedef struct dp_hooks {
    void *self;
    dp_rough rough; /* what comes of the products is noisy, or an estimate */
    /* What the site reads in place of its input k; returns `in` to leave it. NULL: nothing is replaced. */
    const dp_tensor *(*operand)(void *self, int site, int k, const dp_tensor *in);
    /* [groups] what is kept of the site's weights as `operand` leaves them (DP_OP_KEEPS). NULL, and where it is: nothing. */
    const dp_kept *(*kept)(void *self, int site, bool reverse);
    /* Operands made inside a site's operator (recurrent states), in place: see dp_site_port. NULL: nothing happens to them. */
    void (*state)(void *self, int site, float *values, int64_t count);
    void (*forward)(void *self, int site, const dp_product *block); /* NULL: clean */
    void (*reverse)(void *self, int site,
                    const dp_product *block); /* block->y: gradients; NULL: not wanted */
    /*
     * Gradient of a site's weights, as the site read them, summed over the batch; reverse only. `weights_room` lends zeroed
     * memory of the weights' shape for input k, `weights` is told what came of it. NULL, both: not wanted.
     */
    bool norm_grads; /* reverse: blocks come with room for gradients by norms, if the plan has it */
    dp_tensor *(*weights_room)(void *self, int site, int k);
    void (*weights)(void *self, int site, int k);
} dp_hooks;

/** Errors: DP_EMEMORY. The plan must outlive the run. */
dp_status dp_run_create(dp_run **out, const dp_plan *plan, dp_error *err);
void dp_run_free(dp_run *run);

/** Any value's tensor: inputs to fill before, the target and outputs to read after dp_run_forward. */
dp_tensor *dp_run_value(dp_run *run, int value);

/** The gradient of the target, to be seeded between forward and reverse. */
dp_tensor *dp_run_seed(dp_run *run);

/** Errors: what an operator finds wrong with the data (an index out of range), naming file and node. */
dp_status dp_run_forward(dp_run *run, const dp_hooks *hooks, dp_error *err);
dp_status dp_run_reverse(dp_run *run, const dp_hooks *hooks, dp_error *err);

#endif
