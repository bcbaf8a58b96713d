/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How noisy a site would be if its operands were conditioned, from the statistics of its input channels: before any graph is made.
 */
#ifndef DP_ENGINE_EXPECT_H
#define DP_ENGINE_EXPECT_H

#include "dynaprec/engine.h"

/* Samples that statistics are taken of: half of the surveyed ones, or all. */
enum { DP_EXPECT_ALL = 2 };

/* The core multiplies W_cj / alpha_j with alpha_j (x_j - mu_j). Shapes: [input channels]; NULL: 0, and 1. */
typedef struct dp_operand_vectors {
    const float *mu, *alpha;
} dp_operand_vectors;

/* Shapes: [channels] of the site; in units of its outputs, squared. */
typedef struct dp_expectation {
    double *noise;    /* variance at K = 1 */
    double *rounding; /* variance of what the converters of inputs and weights round off */
    double *cut;      /* mean square of what those of inputs cut off */
} dp_expectation;

/** Moments of a site's input channels over the chosen samples. Shapes: out [input channels]. */
void dp_expect_moments(const dp_engine *engine, int site, int samples, dp_input_moments *out);

/* How far input channels reach either way, >= 0. Shapes: [input channels]. */
typedef struct dp_reaches {
    double *up, *down;
} dp_reaches;

/**
 * How far each channel reaches above mu and below, within the percentile at which the hardware's converters cut.
 *
 * Shapes  mu [input channels] or NULL.
 */
void dp_expect_reaches(const dp_engine *engine, int site, int samples, const float *mu,
                       const dp_reaches *out);

/**
 * The range of the converter of a site's inputs, before it is rounded to levels, and each channel's share of it (engine/tail.h).
 *
 * Shapes  shares [input channels].
 */
double dp_expect_range(const dp_engine *engine, int site, int samples,
                       const dp_operand_vectors *vectors, const dp_input_moments *moments,
                       double *shares);

/**
 * What to expect of a site whose input channels were surveyed.
 *
 * Norms are those of the survey times what the vectors leave of the mean square; the inputs' range is that of the percentile at
 * which converters cut, those of the weights' rows are of extremes.
 * Errors  DP_EMEMORY.
 */
dp_status dp_expect_noise(const dp_engine *engine, int site, int samples,
                          const dp_operand_vectors *vectors, const dp_expectation *out,
                          dp_error *err);

/**
 * Sums over a site's weights that meet each input channel: sum over c of scale_c sum over taps of |W_cj|^power.
 *
 * Shapes  scale [channels], sums [input channels].
 */
void dp_expect_columns(const dp_engine *engine, int site, double power, const double *scale,
                       double *sums);

/**
 * How far a site's weights reach, either way: the largest over taps of max(0, W_cj), and of max(0, -W_cj).
 *
 * Shapes  up, down [channels, input channels / groups]: of the input channels that output channel c meets.
 */
void dp_expect_weights(const dp_engine *engine, int site, float *up, float *down);

#endif
