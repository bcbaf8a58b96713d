/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A site: one place where the analog core multiplies. Operators describe their sites and tell a port about every block of
 * products that they compute; noise, precision and sensitivities live on the other side of the port, so that an operator
 * knows nothing of them.
 */
#ifndef DP_MODEL_SITE_H
#define DP_MODEL_SITE_H

#include <stdbool.h>
#include <stdint.h>

#include "dynaprec/tensor.h"

#define DP_MAX_SLOTS 2 /* products in one node: an LSTM's input and recurrent ones */

/* What an operator says of a product. Counts are for the planned batch unless they say otherwise. */
typedef struct dp_site {
    int node, slot;
    int64_t
        channels; /* output channels, which may each have a K of their own; 1 for activation x activation */
    int64_t groups;
    int64_t depth; /* D: length of the dot product */
    int64_t macs;  /* multiply-accumulates of the whole batch */
    int64_t
        rows; /* of left operands, activation x activation only: products of a vector with a matrix */
    int64_t
        norms; /* squared norms of left operands that forward writes per batch: one a group, position and sample */
    int weight_in; /* node input that holds the weights; -1 for activation x activation */
    int input_in; /* node input that holds the activations; -1: made inside the operator (port->operand) */
    int sample_axis; /* of that input */
    int bias_in;     /* -1: none */
    /*
     * Weights are [weight_groups, D / weight_run, channels / weight_groups, weight_run] (see dp_site_weight); 0 and 0: [channels, D].
     * 1 and 1 are columns, as of MatMul's right operand.
     */
    int64_t weight_groups, weight_run;
} dp_site;

/** Where element d of a channel's weight row is in the array. */
static inline int64_t dp_site_weight(const dp_site *site, int64_t channel, int64_t d) {
    if (site->weight_run == 0) return channel * site->depth + d;
    int64_t width = site->channels / site->weight_groups, blocks = site->depth / site->weight_run;
    int64_t row = channel / width * blocks + d / site->weight_run;
    return (row * width + channel % width) * site->weight_run + d % site->weight_run;
}

/** The channel of element `at` of the array of weights. */
static inline int64_t dp_site_weight_channel(const dp_site *site, int64_t at) {
    if (site->weight_run == 0) return at / site->depth;
    int64_t width = site->channels / site->weight_groups, run = at / site->weight_run;
    return run / (width * (site->depth / site->weight_run)) * width + run % width;
}

/*
 * A block of outputs y (or, in the reverse pass, of their gradients) of one product, all of one sample.
 * Element (c, p) is y[c * channel_stride + p * position_stride]. One of the strides is 1.
 */
typedef struct dp_product {
    int slot;
    int64_t sample; /* within the batch */
    int64_t
        element; /* number of y[0] among this slot's outputs of this sample: the random counter */
    float *y;
    int64_t first_channel; /* of the site: c counts from here */
    int64_t channels, positions;
    int64_t channel_stride, position_stride;
    const float *x2; /* [positions] squared norm of each left operand; NULL unless port->norms */
    const float *
        w2; /* [channels] squared norms of the right operand where it is an activation, else NULL */
    /* adjoint, where port->x2_grad is there: [positions] and [channels], the port adds the loss's gradient by x2 and w2 */
    float *x2_grad, *w2_grad;
    const double *
        weight_grad2; /* [channels] squared norm of this sample's weight gradient, when port->weight_grads: told with one of the sample's blocks, NULL with the others */
} dp_product;

typedef struct dp_site_port {
    void *self;
    int64_t
        samples; /* in the batch: rows and matrices are dealt out to samples in equal, contiguous shares */
    /* Called once a block: after forward computed it (before activation functions), or when adjoint received its gradient. */
    void (*product)(void *self, const dp_product *block);
    /*
     * May be NULL. Left operands that are made inside the operator (recurrent states), on their way into the product: they pass
     * converters, in place. Values [count] are of all samples in equal, contiguous shares.
     */
    void (*operand)(void *self, int slot, float *values, int64_t count);
    bool norms;              /* x2 and w2 are wanted */
    bool weight_grads;       /* adjoint: weight_grad2 is wanted */
    float *x2[DP_MAX_SLOTS]; /* [site.norms] forward writes, adjoint reads */
    /*
     * [site.norms], as x2 is; adjoint only. Noise may grow with an operand's norm, so the loss depends on that too: the port adds
     * its gradient by x2 when it is shown a block, and the operator then adds 2 x x2_grad to its operands' gradients.
     * NULL: norms count as constants.
     */
    float *x2_grad[DP_MAX_SLOTS];
} dp_site_port;

#endif
