/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums are [half][sum, sum of squares][channels] for each operand. */
#include "engine/inputs.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/noise.h"
#include "kernels/vector.h"

enum { SUMS = 4 }; /* numbers a channel */

static const dp_conditionable *find_site(const dp_conditionables *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(list->sites[i].site, name) == 0) return &list->sites[i];
    return NULL;
}

/* The axis of the channels, when samples are dealt out before it and the operand has as many. */
static bool place_axis(const dp_engine *e, const dp_site_state *s, int axis, int64_t channels) {
    const dp_tensor *in = &e->forward->values[e->graph->nodes[s->site.node].in[s->site.input_in]];
    int at = in->rank + axis;
    return at >= 0 && at < in->rank && at > s->site.sample_axis && in->dim[at] == channels;
}

dp_status dp_inputs_prepare(dp_engine *e, dp_error *err) {
    const dp_conditionables *list = e->options.inputs;
    for (int i = 0; i < e->n_sites; i++) {
        dp_site_state *s = &e->sites[i];
        const dp_conditionable *found = list ? find_site(list, s->info.name) : NULL;
        s->first_input = -1;
        if (!found || found->inputs == 0 || s->site.input_in < 0) continue;
        if (!place_axis(e, s, found->axis, found->inputs)) continue;
        s->input_axis = found->axis;
        s->inputs = found->inputs;
        s->operand = found->operand;
        for (int k = 0; k < i && s->first_input < 0; k++)
            if (e->sites[k].first_input >= 0 && e->sites[k].operand == s->operand)
                s->first_input = e->sites[k].first_input;
        s->input_mine = s->first_input < 0;
        if (!s->input_mine) continue;
        s->first_input = e->inputs;
        e->inputs += s->inputs;
    }
    if (e->inputs == 0) return DP_OK;
    e->moments = dp_alloc(1, dp_inputs_kept_bytes(e));
    if (!e->moments)
        return dp_fail(err, DP_EMEMORY, "no memory for %lld input channels", (long long)e->inputs);
    if (dp_inputs_tails(e) > 0) e->tails = (dp_tail *)(e->moments + 2 * e->inputs);
    return DP_OK;
}

double dp_inputs_percentile(const dp_engine *e) {
    bool converts = e->hardware->input_bits > 0 || dp_noise_needs_ranges(e->hardware);
    return converts ? e->hardware->percentile : 100;
}

size_t dp_inputs_tails(const dp_engine *e) {
    return dp_inputs_percentile(e) < 100 ? 2 * (size_t)e->inputs : 0;
}

size_t dp_inputs_kept_bytes(const dp_engine *e) {
    return 2 * (size_t)e->inputs * sizeof *e->moments + dp_inputs_tails(e) * sizeof *e->tails;
}

size_t dp_inputs_sum_bytes(const dp_engine *e) {
    return (size_t)e->inputs * SUMS * sizeof(double);
}

bool dp_inputs_make_view(const dp_engine *e, dp_input_view *view) {
    size_t inputs = (size_t)e->inputs, tails = dp_inputs_tails(e);
    view->ranges = dp_alloc(inputs ? inputs : 1, sizeof *view->ranges);
    view->tails = tails ? dp_alloc(tails, sizeof *view->tails) : NULL;
    if (!view->ranges || (tails && !view->tails)) return false;
    for (size_t i = 0; i < inputs; i++)
        for (int half = 0; half < 2; half++) {
            view->ranges[i].half[half][0] = INFINITY;
            view->ranges[i].half[half][1] = -INFINITY;
        }
    return true;
}

void dp_inputs_release_view(dp_input_view *view) {
    dp_free(view->ranges);
    dp_free(view->tails);
}

/* A sample's share of an operand: [outer, channels, inner]. */
typedef struct slice {
    const float *x;
    int64_t outer, channels, inner;
    int half;
    double *sum, *square; /* [channels] */
    dp_input_range *ranges;
    dp_tail *tails; /* [channels], or NULL */
} slice;

/* Each channel's values lie together. */
static void add_planes(const slice *s) {
    const float *x = s->x;
    for (int64_t o = 0; o < s->outer; o++)
        for (int64_t c = 0; c < s->channels; c++, x += s->inner) {
            s->sum[c] += dp_vector_sum(x, s->inner);
            s->square[c] += dp_vector_norm2(x, s->inner);
            dp_vector_range(x, s->inner, s->ranges[c].half[s->half]);
            if (s->tails) dp_tail_add(&s->tails[c], x, s->inner);
        }
}

/* Channels are neighbours. */
static void add_rows(const slice *s) {
    const float *x = s->x;
    for (int64_t o = 0; o < s->outer; o++, x += s->channels)
        for (int64_t c = 0; c < s->channels; c++) {
            float *range = s->ranges[c].half[s->half];
            s->sum[c] += (double)x[c];
            s->square[c] += (double)x[c] * (double)x[c];
            range[0] = x[c] < range[0] ? x[c] : range[0];
            range[1] = x[c] > range[1] ? x[c] : range[1];
            if (s->tails) dp_tail_add(&s->tails[c], &x[c], 1);
        }
}

void dp_inputs_add(const dp_worker *w, int site, const dp_tensor *in, double *sum,
                   const dp_input_view *view) {
    const dp_site_state *s = &w->engine->sites[site];
    if (s->first_input < 0 || !s->input_mine) return;
    int64_t rows = 1, inner = 1, count = dp_tensor_count(in);
    for (int axis = 0; axis < s->site.sample_axis; axis++) rows *= in->dim[axis];
    for (int axis = in->rank + s->input_axis + 1; axis < in->rank; axis++) inner *= in->dim[axis];
    if (count == 0) return;
    int64_t share = count / rows / w->batch;
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < w->count; i++) {
            int half = (int)((w->first + i) & 1);
            double *mine = sum + SUMS * s->first_input + 2 * half * s->inputs;
            dp_tail *tails =
                view->tails ? view->tails + 2 * s->first_input + half * s->inputs : NULL;
            slice part = {.x = (const float *)in->data + (row * w->batch + i) * share,
                          .outer = share / (s->inputs * inner),
                          .channels = s->inputs,
                          .inner = inner,
                          .half = half,
                          .sum = mine,
                          .square = mine + s->inputs,
                          .ranges = view->ranges + s->first_input,
                          .tails = tails};
            if (inner > 1)
                add_planes(&part);
            else
                add_rows(&part);
        }
}

static void merge_ranges(dp_input_range *into, const dp_input_range *from) {
    for (int half = 0; half < 2; half++) {
        const float *other = from->half[half];
        float *range = into->half[half];
        range[0] = other[0] < range[0] ? other[0] : range[0];
        range[1] = other[1] > range[1] ? other[1] : range[1];
    }
}

void dp_inputs_merge_view(const dp_engine *e, const dp_input_view *into,
                          const dp_input_view *from) {
    for (int64_t i = 0; i < e->inputs; i++) merge_ranges(&into->ranges[i], &from->ranges[i]);
    for (size_t i = 0; i < dp_inputs_tails(e); i++) dp_tail_merge(&into->tails[i], &from->tails[i]);
}

static dp_input_moments moments_of(const double sums[2], const float range[2], double values) {
    bool seen = values > 0 && range[0] <= range[1];
    if (!seen) return (dp_input_moments){0};
    return (dp_input_moments){.values = values,
                              .mean = sums[0] / values,
                              .square = sums[1] / values,
                              .low = (double)range[0],
                              .high = (double)range[1]};
}

static double values_a_sample(const dp_engine *e, const dp_site_state *s) {
    const dp_tensor *in = &e->forward->values[e->graph->nodes[s->site.node].in[s->site.input_in]];
    return (double)dp_tensor_count(in) / (double)s->inputs / (double)e->options.batch;
}

void dp_inputs_fold(dp_engine *e, const dp_input_sums *sums, const dp_input_view *view,
                    int64_t samples) {
    for (size_t i = 0; i < dp_inputs_tails(e); i++) {
        e->tails[i] = view->tails[i];
        dp_tail_sum(&e->tails[i]);
    }
    for (int i = 0; i < e->n_sites; i++) {
        const dp_site_state *s = &e->sites[i];
        if (s->first_input < 0 || !s->input_mine) continue;
        for (int half = 0; half < 2; half++)
            for (int64_t c = 0; c < s->inputs; c++) {
                double total[2] = {0, 0};
                const double *at = sums->sums + SUMS * s->first_input + 2 * half * s->inputs + c;
                for (int g = 0; g < sums->groups; g++)
                    for (int k = 0; k < 2; k++)
                        total[k] += at[(size_t)g * sums->stride + (size_t)(k * s->inputs)];
                e->moments[2 * s->first_input + half * s->inputs + c] =
                    moments_of(total, view->ranges[s->first_input + c].half[half],
                               values_a_sample(e, s) * (double)((samples + 1 - half) / 2));
            }
    }
}

const dp_input_moments *dp_engine_input_moments(const dp_engine *e, int site, int64_t *inputs) {
    const dp_site_state *s = &e->sites[site];
    *inputs = s->first_input < 0 ? 0 : s->inputs;
    return s->first_input < 0 ? NULL : e->moments + 2 * s->first_input;
}
