/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A description of an analog accelerator: its noise, its converters, its energy, and what its precision knob allows.
 *
 * Read from YAML (docs/formats.md), checked as a whole, then constant. The presets in examples/hardware are such files.
 * Noise sources and energy models are rows of tables inside the library, found by name; here they are that name and the
 * parameters in the order of the row. A dp_hardware owns nothing: copy it freely.
 */
#ifndef DYNAPREC_HARDWARE_H
#define DYNAPREC_HARDWARE_H

#include "dynaprec/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DP_MAX_PARAMETERS 24
#define DP_MAX_NOISE      8

typedef enum dp_levels {
    DP_LEVELS_INTEGER,
    DP_LEVELS_POWER_OF_TWO,
    DP_LEVELS_CONTINUOUS
} dp_levels;

enum { DP_GRAIN_LAYER = 1, DP_GRAIN_CHANNEL = 2, DP_GRAIN_TILE = 4 };

/* A noise source or an energy model. */
typedef struct dp_component {
    char model[32]; /* its row: "shot", "thermal", "weight"; "per-mac" */
    double parameters[DP_MAX_PARAMETERS];
} dp_component;

typedef struct dp_hardware {
    char name[64];
    char source[1024]; /* where the numbers come from */
    char sha256[65];   /* of the file */

    int n_noise;
    dp_component noise[DP_MAX_NOISE]; /* at K = 1; every source once at most, variances add */

    /* converters; 0 bits: floating point */
    int weight_bits, input_bits, output_bits;
    double percentile;  /* of the inputs' calibration, in [50, 100]; 100: min-max */
    bool signed_inputs; /* inputs may be negative everywhere, so that all may be centred */

    dp_component energy; /* A + B K joules a site and sample */
    double digital_op_j; /* of one digital addition or multiplication that conditioning adds */

    /* time: operations are products of a matrix with a vector */
    double operation_s; /* of one; 0: not known */
    int rows, columns;  /* channels and inputs in one operation; 0: as many as a site has */

    /* the knob */
    double repetitions_min, repetitions_max;
    dp_levels levels;       /* unless continuous, both bounds are levels */
    unsigned granularities; /* DP_GRAIN_... allowed */
    bool average_analog;    /* false: after the ADC */
} dp_hardware;

/**
 * Read and check a hardware file.
 *
 * Errors  DP_EIO, DP_EFORMAT (file, line, key and what is allowed: unknown keys, wrong types, values out of range). *out is
 *         zeroed then.
 */
dp_status dp_hardware_read(dp_hardware *out, const char *path, dp_error *err);

/**
 * Find the file that `name` means: `name` itself when it has a '/' or ends in ".yaml" and exists, else
 * <folder>/<name>.yaml in the first of `folders` (NULL at the end) that has it.
 *
 * Shapes  path[size] receives the file's name.
 * Errors  DP_EIO, listing the presets that the folders have; DP_ERANGE when `path` is too small.
 */
dp_status dp_hardware_find(char *path, size_t size, const char *name, const char *const *folders,
                           dp_error *err);

/**
 * A parameter by its names in YAML, such as ("shot", "photons_per_mac") or ("per-mac", "energy_per_mac_j").
 * NaN when the hardware does not have that noise source or energy model, or it no such parameter.
 */
double dp_hardware_parameter(const dp_hardware *hardware, const char *model, const char *parameter);

#ifdef __cplusplus
}
#endif
#endif
