/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditioning: the same network with smaller operands at its sites, so that the same core makes less noise.
 *
 *   centring     the core multiplies W with x - mu; W mu is added behind it
 *   balancing    the core multiplies W_ij / alpha_j with alpha_j x_j; with both, alpha_j (x_j - mu_j)
 *   positions    a product of attention: keys, or values, less their mean over positions
 *
 * All of it is a rewriting of the graph (docs/methods.md, "Conditioning"): what runs the new graph, the engine or any other
 * runtime, need not know. Clean outputs stay what they were but for float32 rounding; alphas that are powers of two round nothing.
 *
 * Life cycle: dp_graph_conditionable tells what each site allows, dp_graph_condition makes the new graph, which borrows what did not
 * change: free it before the graph that it came from. Any number of threads may do so.
 */
#ifndef DYNAPREC_CONDITIONING_H
#define DYNAPREC_CONDITIONING_H

#include <stdbool.h>
#include <stdint.h>

#include "dynaprec/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What one site may have done to its operands. */
typedef struct dp_conditionable {
    const char *site; /* as dp_site_info.name */
    int64_t inputs;   /* input channels: entries of mu and alpha; 0: neither */
    int axis;    /* of the operand along which they lie, counted from its last one: -1, -2, ... */
    int operand; /* sites with the same number read the same value */
    bool centre; /* mu may be taken off */
    bool
        adds_outputs; /* centring adds W mu to the outputs in a node of its own, not in the bias: one addition an output */
    bool balance;     /* alpha may be multiplied in */
    /*
     * alpha goes into the weights, or a constant, of the node before, and costs nothing while the network runs, if all sites that read
     * this operand get the same alpha; else it is one multiplication an input.
     */
    bool folds;
    bool
        lone; /* each output reads one input channel (depthwise): alpha leaves shot and weight noise as they are */
    bool
        positions; /* the right operand of an attention product may be centred over positions: see dp_conditioned_site */
} dp_conditionable;

typedef struct dp_conditionables {
    int count;
    dp_conditionable *sites; /* in execution order; all of the graph's sites */
} dp_conditionables;

/**
 * What the sites of a graph allow.
 *
 * Convolutions with zero padding can be centred where the file tells the size of their input; transposed ones likewise.
 * Errors  DP_EMEMORY; *out is zeroed then. The names are borrowed from the graph and from *out.
 */
dp_status dp_graph_conditionable(dp_conditionables *out, const dp_graph *graph, dp_error *err);
void dp_conditionables_clear(dp_conditionables *list);

/* What is to be done to one site; zero and NULL: nothing. */
typedef struct dp_conditioned_site {
    const char *site;
    int64_t inputs;
    const float *mu;    /* [inputs] in units of the operand as it was; NULL: not centred */
    const float *alpha; /* [inputs] each > 0; NULL: not balanced */
    /*
     * Right operands less their mean over positions, taken anew for each sample: keys where the product goes into a Softmax over the
     * keys, which ignores what is the same for all of them; values where the left operand is such a Softmax, whose rows sum to 1:
     * the mean is added again behind it.
     */
    bool positions;
} dp_conditioned_site;

typedef struct dp_conditioning {
    int count;
    dp_conditioned_site *sites; /* in any order, each site once */
} dp_conditioning;

/** A copy that owns its names and vectors. Errors: DP_EMEMORY; *out is zeroed then. */
dp_status dp_conditioning_copy(dp_conditioning *out, const dp_conditioning *list, dp_error *err);

/** Release such a copy and zero it; NULL is allowed. */
void dp_conditioning_clear(dp_conditioning *list);

/**
 * The conditioned graph.
 *
 * It keeps the path, the digest, the order of the sites, and the names of their nodes and weights and of inputs and outputs.
 * What is done to each site does not depend on the order of the list. Alphas that fold scale the rows of the node before, too:
 * dp_conditionable.folds.
 * Errors  DP_ERANGE for a site that is not there, is listed twice, does not allow it, or has another number of inputs, for a mu that is
 *         not finite, an alpha that is not positive and finite; names the site. DP_EMEMORY. *out is NULL then.
 */
dp_status dp_graph_condition(dp_graph **out, const dp_graph *graph,
                             const dp_conditioning *conditioning, dp_error *err);

#ifdef __cplusplus
}
#endif
#endif
