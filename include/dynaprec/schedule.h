/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The precision schedule: what was learned, for which network and hardware, and what it measured.
 *
 * Plain data that dp_schedule_write turns into YAML (format dynaprec-schedule/1, docs/formats.md) and dp_schedule_read back.
 * No dates, host names or thread counts: equal runs write equal bytes. A schedule owns everything it points to.
 */
#ifndef DYNAPREC_SCHEDULE_H
#define DYNAPREC_SCHEDULE_H

#include "dynaprec/conditioning.h"
#include "dynaprec/hardware.h"
#include "dynaprec/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Budgets: what limits a schedule. */
typedef enum dp_budget {
    DP_BUDGET_UNKNOWN = 0,
    DP_BUDGET_DROP,
    DP_BUDGET_LOSS,
    DP_BUDGET_ENERGY,
    DP_BUDGET_LATENCY
} dp_budget;

/* A measured figure with its confidence interval; NaN where it could not be measured (top-1 without labels). */
typedef struct dp_figure {
    double value, lower, upper;
} dp_figure;

/* One precision plan, measured on the check set. */
typedef struct dp_measure {
    dp_figure top1, top5; /* fractions in [0, 1] */
    dp_figure loss;       /* cross-entropy, nats a label */
    dp_figure kl;         /* divergence from the clean output, nats a position */
    dp_figure agreement;  /* fraction of positions with the clean network's top-1 */
    dp_figure
        drop; /* paired top-1 drop against clean in points; without labels: 100 (1 - agreement) */
    double drop_upper;        /* its one-sided bound */
    double rise, rise_upper;  /* of the objective against clean, nats, and its one-sided bound */
    double energy_j;          /* a sample */
    double energy_per_mac_aj; /* MAC-weighted mean */
    double latency_x;         /* time against K = 1 everywhere */
    double latency_s;         /* a sample; NaN where the hardware says nothing about time */
    double repetitions;       /* uniform: its K; else NaN */
} dp_measure;

typedef struct dp_layer {
    char *name; /* ONNX node */
    int index;  /* site number in execution order, from 0 */
    char *op;
    char *weight;         /* initializer; "" for activation x activation */
    char *module;         /* dotted path derived from the weight, "" when there is none */
    double macs;          /* a sample */
    char granularity[16]; /* "layer", "channel" or "tile:N" */
    char *group;          /* the user's glob; its layers share one K. NULL: none */
    int channels;
    int count;           /* of repetitions: 1, channels, or ceil(channels / N) */
    double *repetitions; /* [count] */
    double energy_j;     /* a sample, at these repetitions */
    double enob;         /* effective bits of the output at these repetitions */
    double sensitivity;  /* sum of s_u, nats at K = 1 */
    double loss;         /* predicted at these repetitions, sum of s_u / K_u, nats */
    double loss_per_j;   /* marginal: what the next joule here saves of it, nats */
    bool fixed;          /* by the user */
    int at_min,
        at_max; /* repetitions that are the least or the most that was allowed, and not fixed */
} dp_layer;

/*
 * What rounding to levels can have cost: `value` is what it minimised and `bound` what no other choice of levels is below. NaN
 * where nothing was rounded (uniform precision).
 */
typedef struct dp_rounding_gap {
    bool
        of_loss; /* predicted, nats, within an energy budget; else sum of B K, J, at the same predicted loss */
    double value, bound;
    double gap; /* value / bound - 1, at least 0 */
} dp_rounding;

/*
 * The other operands that the same budget was tried on: conditioned ones, or the network's own. Converters round these and those
 * differently, which makes two networks of them, and either may be the cheaper one.
 */
typedef struct dp_alternative {
    char *
        status; /* NULL: there was none; else as a schedule's, or "dearer": it fails where the schedule passes */
    bool conditioned;
    double energy_per_mac_aj; /* of its precision; NaN where it met nothing */
    double clean_top1;        /* without noise, on the check set; NaN without labels */
} dp_alternative;

typedef struct dp_schedule {
    char *version, *search; /* of the tool; the search's name */
    char *
        obstacle; /* why sensitivities are measured though that was not asked for: a node; else NULL. Not in files */
    uint64_t seed;
    int trials;
    double min_repetitions, max_repetitions; /* that the user allowed; 0: the hardware's own */
    char *model_file, *model_sha256;
    char *data_file, *data_sha256;
    int64_t learn_count, check_count;
    char *check_file, *check_sha256; /* "" when the check set was split off the data file */
    dp_hardware hardware;
    char *goal;   /* as the user gave it: "max-drop 2" */
    char *status; /* "accepted", "unmet", "interrupted", "uniform" */
    dp_budget
        active; /* the budget that decides; latency where it does, though a loss is met, too */
    double confidence;
    int checks,
        checks_uniform; /* how often the check set was asked, alternative and all; for uniform precision */
    double
        passes; /* work: forward passes over as many samples as the learn set has; NaN: not known */
    double
        passes_shape; /* of them, for the shape of the precision: sensitivities and their refinement */
    dp_measure clean, learned, uniform;
    dp_figure saving; /* 1 - learned energy / uniform energy */
    dp_alternative alternative;
    dp_rounding rounding;
    dp_conditioning
        conditioning; /* of the operands; the precision is that of the network which comes of it */
    double *
        conditioned_noise; /* [conditioning.count] variance to be expected, in parts of what it was */
    int unsigned_sites; /* not centred for want of signs: dp_choice in learn/condition/choose.h. Not in files */
    int n_layers;
    dp_layer *layers;
} dp_schedule;

/**
 * Write the schedule; the file appears under its name only when it is whole. Large vectors of its conditioning go into a file beside
 * it (docs/formats.md). Errors: DP_EIO, DP_EMEMORY.
 */
dp_status dp_schedule_write(const dp_schedule *schedule, const char *path, dp_error *err);

/**
 * Read a schedule written by this or a compatible version, and the file of vectors beside it if it names one.
 *
 * Errors  DP_EIO, DP_EFORMAT (file, line, key and what is allowed; unknown keys; repetitions that are not positive; a file of
 *         vectors that is not the one it was written with). *out is zeroed then.
 */
dp_status dp_schedule_read(dp_schedule *out, const char *path, dp_error *err);

/** The repetitions of one channel of a layer, 0 <= channel < channels. */
double dp_layer_repetitions(const dp_layer *layer, int channel);

/** Release what the schedule owns and zero it; NULL and half-built ones are allowed. */
void dp_schedule_clear(dp_schedule *schedule);

#ifdef __cplusplus
}
#endif
#endif
