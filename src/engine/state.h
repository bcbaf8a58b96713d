/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The engine from the inside: what its files share. */
#ifndef DP_ENGINE_STATE_H
#define DP_ENGINE_STATE_H

#include "base/pool.h"
#include "base/progress.h"
#include "base/rng.h"
#include "device/noise.h"
#include "device/quantise.h"
#include "dynaprec/engine.h"
#include "engine/run.h"

/* A group of batches whose sums are added up in order: fixed, so that sums do not depend on the number of threads. */
enum { DP_MAX_GROUPS = 64 };

/* The reverse pass samples its own trials, far from those of evaluations. */
#define DP_REVERSE_TRIAL 0x40000000U

typedef struct dp_site_state {
    dp_site_info info;
    dp_site site;            /* for one batch */
    const dp_tensor *weight; /* as the graph has it; NULL: activation x activation */
    dp_tensor quantised;     /* as the hardware stores it; no data: not quantised */
    dp_kept *kept[2];        /* [groups] forward's and reverse's (kept.h); NULL: not kept */
    /* Left and right operand's, and the ADC's; meaningful when the hardware has bits for them. */
    dp_quantiser input[2], output;
    /* Input channels whose statistics are taken: where they are in arrays over all of them; -1: none. */
    int64_t first_input, inputs;
    int operand;     /* dp_conditionable.operand */
    int input_axis;  /* from the last */
    bool input_mine; /* the first site that reads this value */
} dp_site_state;

/* One thread's memory. */
typedef struct dp_worker {
    struct dp_engine *engine;
    dp_run *forward, *reverse;
    float *normals; /* [normals_count] */
    float *roots;   /* [roots_count] square roots of operand norms */
    float *slopes;  /* [roots_count] what a derivative adds up along them */
    /* Quantised activations and perturbed weights of a node's two operands or two weights, with their headers. */
    float *operand[2], *weight[2];
    dp_tensor converted[2], perturbed[2];
    float *weight_grad[2]; /* of perturbed weights; NULL until a derivative asks for them */
    dp_tensor weight_grads[2];
    /* the batch at hand */
    uint32_t trial;
    int64_t batch_index;
    int64_t batch; /* samples that a run takes */
    const dp_dataset *data;
    int64_t first, count; /* samples; the rest of the batch repeats the last one */
    const struct dp_pass *pass;
    void *sum; /* what the pass adds up for this group */
} dp_worker;

struct dp_engine {
    const dp_graph *graph;
    const dp_graph *given; /* the caller's: graph, unless */
    dp_graph *turned;      /* classes had to be moved to the last axis; else NULL */
    const dp_hardware *hardware;
    dp_engine_options options;
    char identity[65]; /* see dp_cache_identify; empty where passes are neither kept nor shared */
    bool cache_paused; /* see dp_cache_pause */
    char *output_name;
    int target; /* value that carries the logits */
    dp_pool *pool;
    dp_plan *forward, *reverse; /* reverse is made when it is first needed */
    dp_worker *workers;         /* [threads] */
    int n_sites;
    dp_site_state *sites;
    int64_t channels;
    int64_t reverse_batch;
    int64_t rows, classes;      /* of one sample's logits */
    const dp_dataset *surveyed; /* NULL: not yet */
    float *
        outputs; /* [samples, rows, classes] clean logits of what was surveyed, until a reference takes them; NULL: none */
    /* [channels] at K = 1 */
    double *norm2, *range;
    float *shot, *additive, *weight_std;
    double *
        mean_norm; /* mean over samples and positions of the operand's squared norm (of x2 w2 for activations) */
    /* [channels] at the precision being run */
    float *shot_k, *additive_k, *root_shot_k, *root_additive_k, *weight_k;
    bool keeps[2];               /* forward, reverse: what is to be kept is kept (kept.h) */
    int64_t inputs;              /* input channels of all operands whose statistics are taken */
    dp_input_moments *moments;   /* of an operand: [2][its channels], from 2 * first_input */
    struct dp_tail *tails;       /* likewise, in the same block; NULL: none */
    bool has_shot, has_additive; /* some channel has that kind of noise */
    bool noisy;                  /* false: noise off */
    dp_meter meter;
};

struct dp_reference {
    const dp_dataset *data;
    int64_t rows, classes; /* of the logits of one sample */
    float *logits;         /* [samples, rows, classes] */
    bool regression;       /* outputs are quantities: squared errors count */
    double spread;         /* regression: their variance over the samples */
    dp_score *scores;      /* [samples] clean */
};

/** Score one sample of the reference's data. Shapes: noisy, clean [rows, classes]; the same pointer: clean. */
dp_score dp_reference_score(const dp_reference *reference, int64_t sample, const float *noisy,
                            const float *clean);

/** Add what conditioning's operations cost to the next site that follows them, or to the last one. */
void dp_engine_count_digital(dp_engine *engine);

/** Set the precision of the next pass; NULL: noise off. */
void dp_engine_set_precision(dp_engine *engine, const double *repetitions);

/** Make the reverse plan and each worker's run, once. */
dp_status dp_engine_prepare_reverse(dp_engine *engine, dp_error *err);

/** Each worker's room for gradients of perturbed weights, once. */
dp_status dp_engine_prepare_weights(dp_engine *engine, dp_error *err);

/* What a pass leaves for every sample and trial, [trials, samples] of `bytes` each. */
typedef struct dp_pass_result {
    void *base; /* NULL: none */
    size_t bytes;
} dp_pass_result;

/* One pass over a data set. `batch` is called with the worker whose run has just gone forward. */
typedef struct dp_pass {
    const dp_dataset *data;
    const dp_hooks *hooks; /* self is replaced by the worker */
    bool reverse;          /* use the reverse plan */
    uint32_t first_trial;
    int trials;
    dp_pass_result
        results[2];   /* filled by `batch` for its samples; here so that processes can share them */
    size_t sum_bytes; /* of one group's sum; 0: none, and every batch is a task of its own */
    /* NULL: the hooks do all */
    dp_status (*batch)(void *self, dp_worker *worker, int64_t first, int64_t count, dp_error *err);
    void *self;
    const char *stage; /* for progress */
} dp_pass;

/**
 * Run it. Sums, if any, are zeroed, filled group by group in sample order, and left in *sums [groups][sum_bytes] for the
 * caller to fold in order and free.
 */
dp_status dp_engine_pass(dp_engine *engine, const dp_pass *pass, void **sums, int *groups,
                         dp_error *err);

/** Operands as the hardware has them: quantised inputs and weights, with weight noise when the engine is noisy. */
const dp_tensor *dp_noisy_operand(void *worker, int site, int k, const dp_tensor *in);

/** What is kept of the weights that dp_noisy_operand leaves; NULL: nothing, or they are off by noise. */
const dp_kept *dp_noisy_kept(void *worker, int site, bool reverse);

/** What recurrent states are on their way into a product: quantised as the site's inputs are. */
void dp_noisy_state(void *worker, int site, float *values, int64_t count);

/** The normals of a site's outputs for one sample of the batch at hand, and of its weights for the batch. */
dp_stream dp_noisy_output_stream(const dp_worker *worker, int site, int64_t sample);
dp_stream dp_noisy_weight_stream(const dp_worker *worker, int site);

/* Normals drawn at a time: they stay in the first-level cache, and a worker has room for them. */
enum { DP_DRAWS = 4096 };

/** Quantisers, stored weights and noise at K = 1 from what the survey saw. Errors: DP_EMEMORY, DP_EFORMAT. */
dp_status dp_engine_characterise(dp_engine *engine, dp_error *err);

/** Add one draw of the noise to a block. */
void dp_noisy_forward(void *worker, int site, const dp_product *block);

#endif
