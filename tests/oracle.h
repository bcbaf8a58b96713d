/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What sites compute, as the defining sums say it: one loop an index, in double, nothing shared with the library. Next to
 * them a port that writes down what operators tell it, in the order of the outputs, whatever blocks they came in.
 */
#ifndef TESTS_ORACLE_H
#define TESTS_ORACLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/site.h"

/** The next of a sequence of numbers uniform in [-1, 1), all multiples of 2^-12. */
float oracle_random(uint64_t *state);

/** One of 0 to limit - 1. */
uint64_t oracle_below(uint64_t *state, uint64_t limit);

/** `count` random numbers in a block for dp_free. */
float *oracle_randoms(uint64_t seed, int64_t count);

/* A value and the sum of the magnitudes that it is a sum of, which float32 arithmetic is judged by. */
typedef struct oracle_sum {
    double value, size;
} oracle_sum;

/** Add a term, or the square of a sum that float32 arithmetic has made. */
void oracle_add(oracle_sum *sum, double term);
void oracle_add_square(oracle_sum *sum, oracle_sum of);

/** Whether float32 arithmetic may have given `is` for this sum: within 2^-20 of its magnitudes. */
bool oracle_near(double is, oracle_sum want);

/* The geometry of a convolution; one-dimensional ones have a height of 1. */
typedef struct oracle_conv {
    int64_t images, channels, out_channels, groups;
    int64_t in[2], kernel[2], stride[2], dilation[2];
    int64_t pad[2], end[2]; /* before and behind */
    int64_t out[2];
} oracle_conv;

/**
 * Set pad and end as auto_pad ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER") has them, and out.
 *
 * Source  ONNX operator Conv: SAME gives ceil(in / stride) outputs, the odd padding behind (UPPER) or before (LOWER).
 */
void oracle_conv_place(oracle_conv *g, const char *auto_pad);

/** One output, at = {image, output channel, row, column}. Shapes: x [images,C,H,W], w [M,C/groups,KH,KW], b [M] or NULL. */
oracle_sum oracle_conv_at(const oracle_conv *g, const float *x, const float *w, const float *b,
                          const int64_t at[4]);

/** Squared norm of the patch under an output, nothing on padding. */
double oracle_conv_norm(const oracle_conv *g, const float *x, const int64_t at[4]);

/** d/dw of sum gy y over images [first, end), at weight = {output channel, input channel of the group, row, column}. */
oracle_sum oracle_conv_weight(const oracle_conv *g, const float *x, const float *gy,
                              const int64_t images[2], const int64_t weight[4]);

/* An array of rank 2 in any storage order. */
typedef struct oracle_matrix {
    const float *at;
    int64_t row, column; /* elements from one row or column to the next */
} oracle_matrix;

/** sum over d < depth of a[i,d] b[d,j]; at = {i, j}. */
oracle_sum oracle_product(oracle_matrix a, oracle_matrix b, int64_t depth, const int64_t at[2]);

/** sum over d < depth of a[i,d]^2 */
double oracle_row_norm(oracle_matrix a, int64_t i, int64_t depth);

oracle_matrix oracle_transposed(oracle_matrix a);

/* A port that remembers. Arrays are [samples, outputs of a sample]. */
typedef struct oracle_port {
    dp_site_port port; /* to give to the operator */
    int64_t outputs;   /* of a sample */
    int64_t channels;  /* of the site */
    int *seen;         /* how often it was shown; anything but 1 is wrong */
    float *value;
    int64_t *channel;
    float *norm2; /* x2, times w2 where there is one; -1: not told */
    double *
        weight_grad2; /* [samples, channels] sum of what was told; -1: nothing, the adjoint tells once */
    int *weight_told; /* [samples, channels] how often */
    float add;        /* added to each output that is shown */
    bool outside;     /* a block left its sample */
} oracle_port;

/** Ready it; `norms` floats of room for x2. */
void oracle_port_open(oracle_port *p, int64_t samples, int64_t outputs, const dp_site *site);
/** Forget what was seen. */
void oracle_port_clear(oracle_port *p);
void oracle_port_close(oracle_port *p);

#endif
