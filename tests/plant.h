/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A network of one site, of every kind there is, with what its noise is drawn from: an oracle that knows the operands as they are
 * multiplied, and sums them up itself (oracle.h).
 */
#ifndef TESTS_PLANT_H
#define TESTS_PLANT_H

#include "oracle.h"
#include "rig.h"

typedef enum shape { CONV, ROWS, GEMM, COLUMNS, PRODUCT } shape;

struct plant {
    const char *name;
    shape shape;
    /* CONV; else images: samples, channels: depth, out_channels: channels, in: rows, heads */
    oracle_conv g;
};

enum { PLANTS = 9, SOURCES = 4 }; /* shot, thermal, weight, and all three */
extern const struct plant plants[PLANTS];

typedef struct fixture {
    rig r;
    const struct plant *from;
    oracle_conv g;
    int64_t channels, positions; /* of a sample's output */
    float *x[2], *w;             /* operands as they are multiplied: after the converters */
    double x_range[2], *w_range, *w_norm2;
    bool shot, thermal, weight;
} fixture;

/** Make plant `number` with these noise sources and converters of `bits` (0: none) for both operands. */
void fixture_open(fixture *f, int number, int source, int bits);
void fixture_close(fixture *f);

/** Channel and position of element i of a sample's output. */
void locate(const fixture *f, int64_t i, int64_t *channel, int64_t *position);

/**
 * Variance of element i of a sample's output at K = 1: shot * norms + additive + weight * norms.
 *
 * Source  docs/methods.md, "Noise"; [Garg] section III.
 */
double variance_of(const fixture *f, int64_t sample, int64_t i);

#endif
