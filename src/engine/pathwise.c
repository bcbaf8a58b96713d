/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Noise of unit u enters as n = sqrt(v / K) z, so along a path of fixed z d n / d log K = -n / 2, and the chain rule gives
 * dL / d log K_u = -1/2 sum over its outputs (or weights) of dL/dn * n.
 * Source: docs/methods.md, "Pathwise derivative".
 */
#include "engine/pathwise.h"

#include <math.h>
#include <string.h>

#include "kernels/vector.h"

/* One channel's positions, which may be more than a worker has room for. */
static double along_row(const dp_worker *w, const dp_product *b, const dp_stream *stream,
                        const int64_t at[2]) {
    const dp_engine *e = w->engine;
    int64_t c = at[0], channel = at[1];
    float shot = e->shot_k[channel], additive = e->additive_k[channel];
    double sum = 0;
    for (int64_t p = 0; p < b->positions; p += DP_DRAWS) {
        int64_t n = b->positions - p < DP_DRAWS ? b->positions - p : DP_DRAWS;
        const float *g = b->y + c * b->channel_stride + p;
        dp_normals(stream, (uint64_t)(b->element + c * b->channel_stride + p), w->normals,
                   (size_t)n);
        const float *gz[] = {g, w->normals}, variance[] = {shot, additive};
        sum += b->x2 ? dp_vector_rooted_dot(variance, b->x2 + p, gz, n)
                     : (double)e->root_additive_k[channel] * dp_vector_dot(g, w->normals, n);
        if (b->x2_grad) dp_vector_add_rooted_slope(variance, b->x2 + p, gz, b->x2_grad + p, n);
    }
    return sum;
}

/*
 * Of shot noise alone, whose deviation sqrt(shot x2) is a root of the channel times one of the position: roots are taken and divided by once
 * a position, and as many short rows are drawn at a time as fit.
 */
static void along_roots(dp_worker *w, const dp_product *b, const dp_stream *stream, int64_t base) {
    const dp_engine *e = w->engine;
    double *sum = w->sum;
    int64_t n = b->positions, fits = n > 0 ? DP_DRAWS / n : 1;
    int64_t together = b->channel_stride == n && fits > 1 ? fits : 1;
    dp_vector_sqrt(b->x2, w->roots, n);
    memset(w->slopes, 0, (size_t)n * sizeof *w->slopes);
    for (int64_t c = 0; c < b->channels; c += together)
        for (int64_t p = 0, count; p < n; p += count) {
            int64_t rows = b->channels - c < together ? b->channels - c : together;
            count = n - p < DP_DRAWS ? n - p : DP_DRAWS;
            dp_normals(stream, (uint64_t)(b->element + c * b->channel_stride + p), w->normals,
                       (size_t)(rows * count));
            for (int64_t r = 0; r < rows; r++) {
                float root = e->root_shot_k[base + c + r];
                const float *gz[] = {b->y + (c + r) * b->channel_stride + p,
                                     w->normals + r * count};
                sum[base + c + r] -=
                    0.5 * (double)root *
                    dp_vector_weighted_dot(root, w->roots + p, gz, w->slopes + p, count);
            }
        }
    for (int64_t p = 0; b->x2_grad && p < n; p++)
        if (w->roots[p] > 0) b->x2_grad[p] += 0.5F * w->slopes[p] / w->roots[p];
}

static void along_positions(dp_worker *w, const dp_product *b, const dp_stream *stream,
                            int64_t base) {
    double *sum = w->sum;
    if (b->x2 && !w->engine->has_additive) {
        along_roots(w, b, stream, base);
        return;
    }
    for (int64_t c = 0; c < b->channels; c++)
        sum[base + c] -= 0.5 * along_row(w, b, stream, (int64_t[]){c, base + c});
}

static void along_channels(const dp_worker *w, const dp_product *b, const dp_stream *stream,
                           int64_t base) {
    const dp_engine *e = w->engine;
    double *sum = w->sum;
    for (int64_t p = 0; p < b->positions; p++) {
        const float *g = b->y + p * b->position_stride;
        float x2 = b->x2 ? b->x2[p] : 0;
        dp_normals(stream, (uint64_t)(b->element + p * b->position_stride), w->normals,
                   (size_t)b->channels);
        for (int64_t c = 0; c < b->channels; c++) {
            float shot = e->shot_k[base + c], std = sqrtf(shot * x2 + e->additive_k[base + c]);
            float gz = g[c] * w->normals[c];
            sum[base + c] -= 0.5 * (double)(std * gz);
            if (b->x2_grad && std > 0) b->x2_grad[p] += 0.5F * shot / std * gz;
        }
    }
}

/* sum of g z s d sqrt(a s + b) / d s */
static double weighted_slope(const float ab[2], const float *s, const float *const gz[2],
                             int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        float root = sqrtf(ab[0] * s[i] + ab[1]);
        if (root > 0) sum += 0.5 * (double)(ab[0] * s[i] * gz[0][i] * gz[1][i] / root);
    }
    return sum;
}

/* The variance of output (c, p) is a w2[c] + b with a = shot x2[p]: the slope by x2[p] is w2[c] / x2[p] times that by w2[c]. */
static void pair_slopes(const dp_product *b, int64_t p, const float variance[2],
                        const float *const gz[2]) {
    dp_vector_add_rooted_slope(variance, b->w2, gz, b->w2_grad, b->channels);
    if (b->x2[p] > 0)
        b->x2_grad[p] +=
            (float)(weighted_slope(variance, b->w2, gz, b->channels) / (double)b->x2[p]);
}

/* Products of two activations have one K and norms on both sides. */
static void activations(const dp_worker *w, const dp_product *b, const dp_stream *stream,
                        int64_t base) {
    const dp_engine *e = w->engine;
    double *sum = w->sum;
    for (int64_t p = 0; p < b->positions; p++) {
        const float *g = b->y + p * b->position_stride;
        dp_normals(stream, (uint64_t)(b->element + p * b->position_stride), w->normals,
                   (size_t)b->channels);
        if (!b->w2) {
            sum[base] -=
                0.5 * (double)e->root_additive_k[base] * dp_vector_dot(g, w->normals, b->channels);
            continue;
        }
        const float *gz[] = {g, w->normals};
        float variance[] = {e->shot_k[base] * b->x2[p], e->additive_k[base]};
        sum[base] -= 0.5 * dp_vector_rooted_dot(variance, b->w2, gz, b->channels);
        if (b->x2_grad) pair_slopes(b, p, variance, gz);
    }
}

static void read_outputs(void *worker, int site, const dp_product *b) {
    dp_worker *w = worker;
    const dp_engine *e = w->engine;
    if ((!e->has_shot && !e->has_additive) || b->sample >= w->count) return;
    dp_stream stream = dp_noisy_output_stream(w, site, b->sample);
    int64_t base = e->sites[site].info.first_channel + b->first_channel;
    if (!e->sites[site].weight)
        activations(w, b, &stream, base);
    else if (b->position_stride == 1)
        along_positions(w, b, &stream, base);
    else
        along_channels(w, b, &stream, base);
}

static dp_tensor *weights_room(void *worker, int site, int k) {
    dp_worker *w = worker;
    dp_tensor *room = &w->weight_grads[k & 1];
    *room = *w->engine->sites[site].weight;
    room->data = w->weight_grad[k & 1];
    room->borrowed = true;
    memset(room->data, 0, dp_tensor_bytes(room));
    return room;
}

static void read_weights(void *worker, int site, int k) {
    dp_worker *w = worker;
    const dp_engine *e = w->engine;
    const dp_site_state *state = &e->sites[site];
    const float *std = e->weight_k + state->info.first_channel, *g = w->weight_grad[k & 1];
    double *sum = (double *)w->sum + state->info.first_channel;
    int64_t count = dp_tensor_count(&w->weight_grads[k & 1]);
    dp_stream stream = dp_noisy_weight_stream(w, site);
    for (int64_t first = 0; first < count; first += DP_DRAWS) {
        int64_t n = count - first < DP_DRAWS ? count - first : DP_DRAWS;
        dp_normals(&stream, (uint64_t)first, w->normals, (size_t)n);
        for (int64_t i = 0; i < n; i++) {
            int64_t c = dp_site_weight_channel(&state->site, first + i);
            sum[c] -= 0.5 * (double)(g[first + i] * std[c] * w->normals[i]);
        }
    }
}

const dp_hooks dp_pathwise_hooks = {.rough = DP_COARSE,
                                    .operand = dp_noisy_operand,
                                    .kept = dp_noisy_kept,
                                    .state = dp_noisy_state,
                                    .forward = dp_noisy_forward,
                                    .reverse = read_outputs,
                                    .norm_grads = true};
const dp_hooks dp_pathwise_weight_hooks = {.rough = DP_COARSE,
                                           .operand = dp_noisy_operand,
                                           .kept = dp_noisy_kept,
                                           .state = dp_noisy_state,
                                           .forward = dp_noisy_forward,
                                           .reverse = read_outputs,
                                           .norm_grads = true,
                                           .weights_room = weights_room,
                                           .weights = read_weights};
