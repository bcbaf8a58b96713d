/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Noisy forward and reverse passes of one network on one hardware.
 *
 * Life cycle: dp_engine_create, dp_engine_survey on calibration samples (ranges of quantisers and outputs), then any number of
 * evaluations and sensitivities, dp_engine_free. An engine runs one call at a time and spreads it over its own threads;
 * results do not depend on how many there are. Graph, hardware and data sets must outlive what uses them.
 *
 * Precision is an array of repetitions, one a channel of every site, sites in execution order (dp_site_info.first_channel).
 */
#ifndef DYNAPREC_ENGINE_H
#define DYNAPREC_ENGINE_H

#include <stdatomic.h>

#include "dynaprec/comm.h"
#include "dynaprec/conditioning.h"
#include "dynaprec/dataset.h"
#include "dynaprec/graph.h"
#include "dynaprec/hardware.h"
#include "dynaprec/progress.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct dp_engine dp_engine;
typedef struct dp_reference dp_reference;

typedef struct dp_engine_options {
    int threads; /* 0: 1 */
    int64_t
        batch; /* samples a run; 0: chosen for the network, 1 where some site reads sequence-first. Weight noise is drawn once a batch. */
    uint64_t seed;
    bool
        rough; /* clean outputs too may be off by what products on tiles are, which is far below noise: sooner, where nobody looks at them */
    const char
        *output; /* name of the output that carries the predictions; NULL: the only or first one */
    atomic_int *cancel;          /* set to non-zero (from a signal handler) to stop; may be NULL */
    const dp_progress *progress; /* may be NULL */
    const char *const *exclude;  /* globs of sites that run digitally; see dp_learn_options */
    int n_exclude;
    const dp_dataset *example; /* tells the shapes that the graph leaves open; may be NULL */
    const char *cache; /* folder where finished passes are kept and found again; NULL: none */
    dp_comm *comm;     /* processes that share the work; NULL: alone */
    const dp_conditioning *
        conditioning; /* what was done to the graph: tells its passes from those of the other; NULL: nothing */
    const dp_conditionables *
        inputs; /* the survey also takes statistics of these sites' input channels; NULL: of none */
} dp_engine_options;

typedef struct dp_site_info {
    const char *
        name; /* ONNX node; with ":input" or ":recurrent" behind it where a node has two products */
    const char *op;
    const char *weight; /* initializer; "" for activation x activation */
    int slot;
    int tied; /* the first site that has the same weights: itself for most */
    int64_t channels, groups, depth;
    int64_t first_channel;            /* in arrays over all channels */
    double macs;                      /* a sample */
    double fixed_j, per_repetition_j; /* energy a sample: A + B K, B of all channels together */
    int64_t
        at_once; /* channels that the core computes at once: the first ones, the next ones ... */
    double operations; /* of the core for these, a sample and repetition */
    /* after the survey */
    double input_low, input_high;   /* range of the input quantiser */
    double output_low, output_high; /* of the clean output */
} dp_site_info;

/*
 * What one sample scored, summed over its labelled positions. Where outputs are quantities (see dp_reference_regression), a
 * sample is one row, loss its mean squared error, kl its mean squared difference from the clean output over that one's variance.
 */
typedef struct dp_score {
    double rows;                 /* positions that count */
    double loss;                 /* cross-entropy, nats; 0 without labels */
    double kl;                   /* divergence of the noisy from the clean prediction, nats */
    double correct, top5, agree; /* positions */
    /* What separates the answer that counts (the label; else the clean prediction) from the best other one, in logits: below
     * 0 it is not the prediction. NaN unless one position counts, of two classes or more. */
    double margin;
} dp_score;

/**
 * Plan the network and describe its sites.
 *
 * Errors  DP_EFORMAT, DP_EUNSUPPORTED: names file, node and operator; DP_ERANGE: unknown output name; DP_EMEMORY.
 */
dp_status dp_engine_create(dp_engine **out, const dp_graph *graph, const dp_hardware *hardware,
                           const dp_engine_options *options, dp_error *err);
void dp_engine_free(dp_engine *engine);

int dp_engine_site_count(const dp_engine *engine);
const dp_site_info *dp_engine_site(const dp_engine *engine, int site);

/** Channels of all sites: the length of a precision. */
int64_t dp_engine_channels(const dp_engine *engine);

/** Multiply-accumulates of all sites, a sample. */
double dp_engine_macs(const dp_engine *engine);

/** Energy in joules a sample at these repetitions. Source: [Garg] and [ADEPT]: sum over sites of A + B K. */
double dp_engine_energy(const dp_engine *engine, const double *repetitions);

/**
 * Operations of the core a sample at these repetitions: what is computed at once takes as many as what is repeated most.
 *
 * Shapes  repetitions [dp_engine_channels]; NULL: everything once.
 * Source  docs/methods.md, "Latency".
 */
double dp_engine_operations(const dp_engine *engine, const double *repetitions);

/** Seconds of one operation; NaN where the hardware does not say. */
double dp_engine_operation_s(const dp_engine *engine);

/* Bytes. */
typedef struct dp_memory {
    double weights,
        mapped;    /* the network's constants; the part of them that stays in its mapped file */
    double stored; /* a second copy, as the hardware's converters store them; 0: none */
    int64_t batch, reverse_batch; /* samples a thread works on; 0: no reverse pass */
    double forward, reverse;      /* of each thread; a reverse pass comes on top */
} dp_memory;

/** What passes will take, beside samples and their scores. */
void dp_engine_memory(dp_engine *engine, dp_memory *out);

/** What inputs the graph wants, for dp_dataset_open. Shapes: specs [dp_graph_input_count]. */
void dp_engine_inputs(const dp_graph *graph, dp_input_spec *specs);

/**
 * One clean floating-point pass: ranges of inputs and outputs, mean operand norms; then the hardware's quantisers.
 *
 * Errors  DP_EUNSUPPORTED from operators on data (an index out of range), DP_ECANCELLED.
 */
dp_status dp_engine_survey(dp_engine *engine, const dp_dataset *data, dp_error *err);

/**
 * Mean variance of a site's outputs at K = 1 over the surveyed samples, one a channel.
 *
 * Shapes  variance [dp_engine_channels].
 */
void dp_engine_variance(const dp_engine *engine, double *variance);

/*
 * One input channel of a site over half of the surveyed samples: the 1st, 3rd, 5th, ... or the others. All values of the operand count
 * alike, also those that a strided convolution meets less often than others; padding is not among them.
 */
typedef struct dp_input_moments {
    double values;       /* how many there were */
    double mean, square; /* of x, of x² */
    double low, high;    /* extremes */
} dp_input_moments;

/**
 * Statistics of a site's input channels, after the survey. Summed in a fixed order.
 *
 * Shapes  returns [2][*inputs], halves first; NULL and 0 where none were taken.
 */
const dp_input_moments *dp_engine_input_moments(const dp_engine *engine, int site, int64_t *inputs);

/**
 * The range of the converter of a site's operand (0; 1: the right one of a product of activations) reaches below zero, after the
 * survey: the hardware has to carry signs there.
 */
bool dp_engine_operand_signed(const dp_engine *engine, int site, int operand);

/**
 * Predictions with the noise off (quantised where the hardware quantises), kept for paired comparison.
 *
 * Errors  DP_EFORMAT when labels or targets do not fit the output's shape or classes, or quantities do not vary; DP_ECANCELLED; DP_EMEMORY.
 */
dp_status dp_engine_reference(dp_reference **out, dp_engine *engine, const dp_dataset *data,
                              dp_error *err);

void dp_reference_free(dp_reference *reference);

/**
 * The clean predictions of some of a reference's samples, without another pass. `view` is dp_dataset_pick's of those samples.
 *
 * Shapes  samples [dp_dataset_count(view)].
 * Errors  DP_EMEMORY.
 */
dp_status dp_reference_pick(dp_reference **out, const dp_reference *of, const dp_dataset *view,
                            const int64_t *samples, dp_error *err);
const dp_score *dp_reference_scores(const dp_reference *reference); /* [samples] */

/**
 * The outputs are quantities, not classes: the data have real targets "y", or the output's last axis has one entry, or it has
 * four axes or more (an image) and there are no labels.
 */
bool dp_reference_regression(const dp_reference *reference);

/** Would they be, beside these data? Known before any pass. */
bool dp_engine_regression(const dp_engine *engine, const dp_dataset *data);

/*
 * Trials from this one on come in pairs: an odd one has the noise of the even one before it with the other sign. What is odd in the noise then cancels
 * in the mean of the two (antithetic variates, [Hammersley & Morton 1956]).
 */
#define DP_PAIRED_TRIALS 0x80000000U

/**
 * Score noisy predictions.
 *
 * Shapes  repetitions [dp_engine_channels], NULL: noise off; scores [trials, samples].
 * Random  draws of trials first_trial .. first_trial + trials - 1.
 */
typedef struct dp_evaluation {
    const dp_reference *reference;
    const double *repetitions;
    uint32_t first_trial;
    int trials;
} dp_evaluation;
dp_status dp_engine_evaluate(dp_engine *engine, const dp_evaluation *evaluation, dp_score *scores,
                             dp_error *err);

/* An estimate for every channel, and the variance of its error as the spread over groups of samples shows it. */
typedef struct dp_channel_means {
    double *mean;     /* [dp_engine_channels] */
    double *variance; /* likewise, NaN where there was only one group; NULL: not wanted */
} dp_channel_means;

/**
 * Curvature sensitivities: expected rise of the loss in nats a position, to second order, is sum over channels of s / K.
 *
 * Shapes  repetitions: the operating point, NULL: the clean one; s [dp_engine_channels].
 * Source  docs/methods.md, "Sensitivity": Gauss-Newton with a random-sign sketch of diag(p) - p p'.
 * Random  signs and noise of trials `first_trial` .., the mean of them.
 */
dp_status dp_engine_sensitivities(dp_engine *engine, const dp_evaluation *point,
                                  const dp_channel_means *s, dp_error *err);
dp_status dp_engine_sensitivity(dp_engine *engine, const dp_evaluation *point, double *s,
                                dp_error *err);

/**
 * The loss under certain draws, and its derivative by the logarithm of each channel's repetitions, exact for those draws: noise
 * scales as 1 / sqrt(K), so dL / d log K = -1/2 sum of dL/dy * noise. Converters pass gradients unchanged, so where there are
 * some it is their straight-through derivative.
 *
 * The loss is the divergence from the clean output; with cross_entropy, that of the labels (mean squared error from the
 * targets where outputs are quantities), a mean over positions and draws.
 *
 * Shapes  point->repetitions [dp_engine_channels], not NULL; scores [trials, samples] at these draws.
 * Source  docs/methods.md, "Pathwise derivative".
 * Random  noise of trials first_trial .. first_trial + trials - 1, as dp_engine_evaluate draws it; weight noise is drawn once
 *         a batch, and reverse batches have a size of their own.
 * Errors  DP_EFORMAT: cross_entropy without labels or targets; DP_EUNSUPPORTED: an operator has no adjoint; DP_ECANCELLED; DP_EMEMORY.
 */
typedef struct dp_derivative {
    bool cross_entropy;
    dp_score *scores;
    dp_channel_means by_log_k;
} dp_derivative;
dp_status dp_engine_derivative(dp_engine *engine, const dp_evaluation *point,
                               const dp_derivative *out, dp_error *err);

#ifdef __cplusplus
}
#endif
#endif
