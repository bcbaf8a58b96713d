/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A plan: a graph with the batch size known. Every value has a type and a shape, what does not depend on the samples is
 * folded to a constant, every other value has a place in one arena whose places are reused as soon as their content is dead.
 * A plan is constant once made; any number of runs (one a thread) share it.
 *
 * With every input bound to an array (`bound`), folding runs the whole network: that is `dynaprec run --whole`.
 */
#ifndef DP_ENGINE_PLAN_H
#define DP_ENGINE_PLAN_H

#include "model/op.h"

typedef struct dp_plan_options {
    int64_t samples; /* in the batch */
    const dp_tensor
        *inputs;  /* [graph inputs] type and shape; data non-NULL: bound, the value itself */
    int target;   /* value to compute; -1: all outputs */
    bool reverse; /* keep what the reverse pass needs, and place gradients */
    bool norms, weight_grads; /* what the sites' port will ask for */
    bool norm_grads;          /* with norms and reverse: it may ask for gradients by norms */
    bool (*digital)(const void *self,
                    const dp_node *node); /* this node has no sites; NULL: all that can have */
    const void *digital_self;
} dp_plan_options;

typedef struct dp_step {
    int node;
    bool active; /* gradients of the target pass through it on their way to a site */
    int first_site, n_sites;
    size_t scratch_bytes;
    size_t state_bytes, state_place; /* from forward to adjoint; place: bytes into the arena */
    int finish; /* a later step whose forward runs on this one's blocks while they are in the cache; 0: none */
    bool taken; /* it is such a step */
} dp_step;

#define DP_NOWHERE SIZE_MAX

typedef struct dp_plan {
    const dp_graph *graph;
    dp_plan_options options;
    dp_tensor *values; /* [graph values] shapes; data only for constants and bound inputs */
    bool *needed;      /* [graph values] the target depends on it */
    bool *graded;      /* [graph values] reverse: has a gradient */
    size_t *place; /* [graph values] bytes into the arena; DP_NOWHERE: constant or never computed */
    size_t *grad_place; /* [graph values] likewise for the gradient; views share their input's */
    int *
        grad_last; /* [graph values] the last step that reads it (or a view of it): zeroed before that step's adjoint; n_steps: the target */
    int n_steps;
    dp_step *steps; /* in execution order */
    int n_sites;
    dp_site *sites; /* in execution order; counts are for the batch */
    size_t *
        norms_place; /* [n_sites] bytes into the arena for squared norms, and behind them their gradients */
    size_t arena_bytes, scratch_bytes;
    size_t operand_bytes; /* the largest activation operand of a site */
} dp_plan;

/**
 * Infer every shape, fold, place.
 *
 * Errors  DP_EFORMAT, DP_EUNSUPPORTED, DP_ERANGE from the operators, naming file and node; with `reverse`, DP_EUNSUPPORTED
 *         naming an operator without adjoint between a site and the target; DP_EMEMORY.
 */
dp_status dp_plan_create(dp_plan **out, const dp_graph *graph, const dp_plan_options *options,
                         dp_error *err);
void dp_plan_free(dp_plan *plan);

#endif
