/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What the analog core does to a site: its operands pass converters, its weights are off, its outputs are noisy.
 *
 * The variance of output (c, p) is a product of something of the channel and something of the position, plus something of the
 * channel (device/noise.h). A block's memory runs along positions (convolutions) or along channels (matrix products); the
 * loops below call the one that is contiguous `inner`.
 */
#include <math.h>
#include <string.h>

#include "engine/state.h"
#include "kernels/vector.h"

/* A worker's trial, whose noise may be that of the one before it, turned round. */
static dp_stream stream_of(const dp_worker *w, dp_purpose purpose, uint32_t sample, int site) {
    bool opposite = w->trial >= DP_PAIRED_TRIALS && w->trial % 2 == 1;
    return (dp_stream){.seed = w->engine->options.seed,
                       .purpose = purpose,
                       .trial = w->trial - opposite,
                       .sample = sample,
                       .site = (uint32_t)site,
                       .opposite = opposite};
}

dp_stream dp_noisy_output_stream(const dp_worker *w, int site, int64_t sample) {
    int64_t index = w->first + sample, last = dp_dataset_count(w->data) - 1;
    int64_t origin = dp_dataset_origin(w->data, index < last ? index : last);
    return stream_of(w, DP_DRAW_OUTPUT, (uint32_t)origin, site);
}

/* Channels along the outer loop: each row of y is one channel's positions. */
static void add_row(const dp_worker *w, const dp_product *b, int64_t channel, const float *z,
                    float *y) {
    const dp_engine *e = w->engine;
    if (!b->x2)
        dp_vector_add_scaled(e->root_additive_k[channel], z, y, b->positions);
    else if (e->additive_k[channel] == 0.0F)
        dp_vector_add_product(e->root_shot_k[channel], w->roots, z, y, b->positions);
    else
        dp_vector_add_rooted((float[]){e->shot_k[channel], e->additive_k[channel]}, b->x2, z, y,
                             b->positions);
}

/* Draw for as many whole rows as fit; a row longer than that is drawn in pieces by the caller's block size. */
static void positions_inner(dp_worker *w, const dp_product *b, const dp_stream *s, int64_t base) {
    int64_t together = b->channel_stride == b->positions ? DP_DRAWS / b->positions : 1;
    if (together < 1) together = 1;
    for (int64_t c = 0; c < b->channels; c += together) {
        int64_t rows = b->channels - c < together ? b->channels - c : together;
        dp_normals(s, (uint64_t)(b->element + c * b->channel_stride), w->normals,
                   (size_t)(rows * b->positions));
        for (int64_t r = 0; r < rows; r++)
            add_row(w, b, base + c + r, w->normals + r * b->positions,
                    b->y + (c + r) * b->channel_stride);
    }
}

/* One channel's K for the whole site, norms on both sides: variance shot * x2[p] * w2[c] + additive. */
static void add_activations(const dp_engine *e, const dp_product *b, const int64_t at[2],
                            const float *z, float *y) {
    int64_t base = at[0], p = at[1];
    if (b->w2)
        dp_vector_add_rooted((float[]){e->shot_k[base] * b->x2[p], e->additive_k[base]}, b->w2, z,
                             y, b->channels);
    else
        dp_vector_add_scaled(e->root_additive_k[base], z, y, b->channels);
}

static void add_column(const dp_worker *w, const dp_product *b, const int64_t at[2], const float *z,
                       float *y) {
    const dp_engine *e = w->engine;
    int64_t base = at[0], p = at[1];
    if (!b->x2)
        dp_vector_add_product(1.0F, e->root_additive_k + base, z, y, b->channels);
    else if (e->has_additive)
        dp_vector_add_rooted_sum(
            b->x2[p], (const float *[]){e->shot_k + base, e->additive_k + base}, z, y, b->channels);
    else
        dp_vector_add_product(w->roots[p], e->root_shot_k + base, z, y, b->channels);
}

static void channels_inner(dp_worker *w, const dp_product *b, const dp_stream *s,
                           const int64_t at[2]) {
    bool activations = at[1] != 0;
    int64_t together = b->position_stride == b->channels ? DP_DRAWS / b->channels : 1;
    if (together < 1) together = 1;
    for (int64_t p = 0; p < b->positions; p += together) {
        int64_t rows = b->positions - p < together ? b->positions - p : together;
        dp_normals(s, (uint64_t)(b->element + p * b->position_stride), w->normals,
                   (size_t)(rows * b->channels));
        for (int64_t r = 0; r < rows; r++) {
            int64_t place[2] = {at[0], p + r};
            const float *z = w->normals + r * b->channels;
            float *y = b->y + (p + r) * b->position_stride;
            if (activations)
                add_activations(w->engine, b, place, z, y);
            else
                add_column(w, b, place, z, y);
        }
    }
}

static void add_noise(dp_worker *w, int site, const dp_product *block) {
    const dp_site_state *state = &w->engine->sites[site];
    dp_stream stream = dp_noisy_output_stream(w, site, block->sample);
    int64_t base = state->info.first_channel + block->first_channel;
    if (block->x2 && !block->w2) dp_vector_sqrt(block->x2, w->roots, block->positions);
    if (block->position_stride == 1 && block->channels > 0 && state->weight)
        positions_inner(w, block, &stream, base);
    else
        channels_inner(w, block, &stream, (int64_t[]){base, state->weight == NULL});
}

/* The ADC sees the average of the repetitions; averaging behind it is additive noise instead (characterise.c). */
static void convert_output(const dp_quantiser *q, const dp_product *b) {
    bool rows = b->position_stride == 1;
    int64_t outer = rows ? b->channels : b->positions, inner = rows ? b->positions : b->channels;
    int64_t stride = rows ? b->channel_stride : b->position_stride;
    for (int64_t i = 0; i < outer; i++)
        dp_quantise(q, b->y + i * stride, b->y + i * stride, (size_t)inner);
}

void dp_noisy_forward(void *worker, int site, const dp_product *block) {
    dp_worker *w = worker;
    const dp_engine *e = w->engine;
    /* weight noise is in the operands already */
    if (e->noisy && (e->has_shot || e->has_additive)) add_noise(w, site, block);
    if (e->hardware->output_bits > 0 && e->hardware->average_analog)
        convert_output(&e->sites[site].output, block);
}

/* w[0..n-1] are elements first .. of the stored array: each is off by the std of its channel. */
static void add_errors(const dp_site *site, const float *std, const int64_t range[2],
                       const float *z, float *w) {
    bool columns = site->weight_run == 1;
    int64_t width = columns            ? site->channels / site->weight_groups
                    : site->weight_run ? site->weight_run
                                       : site->depth;
    for (int64_t i = 0, n; i < range[1]; i += n) {
        int64_t at = range[0] + i, channel = dp_site_weight_channel(site, at);
        n = width - at % width < range[1] - i ? width - at % width : range[1] - i;
        if (columns)
            dp_vector_add_product(1.0F, std + channel, z + i, w + i, n);
        else
            dp_vector_add_scaled(std[channel], z + i, w + i, n);
    }
}

dp_stream dp_noisy_weight_stream(const dp_worker *w, int site) {
    return stream_of(w, DP_DRAW_WEIGHT, (uint32_t)w->batch_index, site);
}

/* Weight noise: element i of the stored array is off by std of its channel. Drawn once a batch, as in [Garg]. */
static const dp_tensor *perturb(dp_worker *w, int site, int k, const dp_tensor *stored) {
    const dp_site_state *state = &w->engine->sites[site];
    const float *std = w->engine->weight_k + state->info.first_channel;
    int64_t count = dp_tensor_count(stored);
    dp_stream stream = dp_noisy_weight_stream(w, site);
    const float *from = stored->data;
    float *to = w->weight[k & 1];
    for (int64_t i = 0; i < count; i += DP_DRAWS) {
        int64_t n = count - i < DP_DRAWS ? count - i : DP_DRAWS;
        memcpy(to + i, from + i, (size_t)n * sizeof *to); /* and they are still at hand below */
        dp_normals(&stream, (uint64_t)i, w->normals, (size_t)n);
        add_errors(&state->site, std, (int64_t[]){i, n}, w->normals, to + i);
    }
    w->perturbed[k & 1] = *stored;
    w->perturbed[k & 1].data = to;
    w->perturbed[k & 1].borrowed = true;
    return &w->perturbed[k & 1];
}

static const dp_tensor *quantise_input(dp_worker *w, const dp_quantiser *q, int k,
                                       const dp_tensor *in) {
    dp_quantise(q, in->data, w->operand[k & 1], (size_t)dp_tensor_count(in));
    w->converted[k & 1] = *in;
    w->converted[k & 1].data = w->operand[k & 1];
    w->converted[k & 1].borrowed = true;
    return &w->converted[k & 1];
}

void dp_noisy_state(void *worker, int site, float *values, int64_t count) {
    dp_worker *w = worker;
    if (w->engine->hardware->input_bits > 0)
        dp_quantise(&w->engine->sites[site].input[0], values, values, (size_t)count);
}

/* The site of this node whose weights or activations are input k; -1: neither (a bias). */
static int site_of_input(const dp_engine *e, int first, int k, bool *weight) {
    for (int s = first; s < e->n_sites && e->sites[s].site.node == e->sites[first].site.node; s++) {
        const dp_site *site = &e->sites[s].site;
        *weight = site->weight_in == k;
        if (*weight || site->input_in == k || (site->weight_in < 0 && k < 2)) return s;
    }
    return -1;
}

const dp_tensor *dp_noisy_operand(void *worker, int first, int k, const dp_tensor *in) {
    dp_worker *w = worker;
    dp_engine *e = w->engine;
    bool weight;
    int site = site_of_input(e, first, k, &weight);
    if (site < 0) return in;
    const dp_site_state *state = &e->sites[site];
    if (weight) {
        const dp_tensor *stored = state->quantised.data ? &state->quantised : in;
        bool off = e->noisy && dp_noise_needs_weights(e->hardware);
        return off ? perturb(w, site, k, stored) : stored;
    }
    if (e->hardware->input_bits == 0) return in;
    return quantise_input(w, &state->input[state->weight ? 0 : k], k, in);
}

const dp_kept *dp_noisy_kept(void *worker, int site, bool reverse) {
    const dp_engine *e = ((const dp_worker *)worker)->engine;
    return e->sites[site].kept[reverse];
}
