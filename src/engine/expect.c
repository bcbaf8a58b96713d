/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/expect.h"

#include <math.h>

#include "base/alloc.h"
#include "engine/state.h"
#include "engine/tail.h"

/* Element d of a weight row of channel c meets input channel first + d / taps. */
typedef struct layout {
    int64_t taps, first;
} layout;

static layout layout_of(const dp_site_state *s, int64_t channel) {
    int64_t width = s->inputs / s->site.groups;
    return (layout){.taps = s->site.depth / width,
                    .first = channel / (s->site.channels / s->site.groups) * width};
}

/* Two halves, weighted by how many values each had. */
static dp_input_moments together(const dp_input_moments *a, const dp_input_moments *b) {
    double values = a->values + b->values;
    if (a->values <= 0 || b->values <= 0) return a->values > 0 ? *a : *b;
    return (dp_input_moments){.values = values,
                              .mean = (a->values * a->mean + b->values * b->mean) / values,
                              .square = (a->values * a->square + b->values * b->square) / values,
                              .low = fmin(a->low, b->low),
                              .high = fmax(a->high, b->high)};
}

static dp_input_moments of_channel(const dp_input_moments *halves, int64_t inputs, int samples,
                                   int64_t j) {
    return samples == DP_EXPECT_ALL ? together(&halves[j], &halves[inputs + j])
                                    : halves[samples * inputs + j];
}

void dp_expect_moments(const dp_engine *e, int site, int samples, dp_input_moments *out) {
    int64_t inputs;
    const dp_input_moments *halves = dp_engine_input_moments(e, site, &inputs);
    for (int64_t j = 0; j < inputs; j++) out[j] = of_channel(halves, inputs, samples, j);
}

static double alpha_at(const dp_operand_vectors *v, int64_t j) {
    return v->alpha ? (double)v->alpha[j] : 1;
}

static double mu_at(const dp_operand_vectors *v, int64_t j) {
    return v->mu ? (double)v->mu[j] : 0;
}

/* Weight rows as the core would store them, and the input converter's range. Shapes: [channels]. */
typedef struct facts {
    double *norm2, *range;
    double *off,
        *lost; /* off: what is rounded off, squared, mean by the inputs' squares; lost: what is due to cut inputs */
    double *cut;          /* [input channels] mean square of what the converter cuts off */
    double *square, *row; /* [input channels] as the vectors leave them; [depth] scratch */
    dp_quantiser input;
} facts;

/* Mean square of an input channel as the vectors leave it. */
static double left_of_square(const dp_operand_vectors *v, const dp_input_moments *m, int64_t j) {
    double mu = mu_at(v, j), alpha = alpha_at(v, j);
    return alpha * alpha * fmax(0, m[j].square - 2 * mu * m[j].mean + mu * mu);
}

/* A weight row as the vectors leave it. Shapes: row [depth]. */
static void read_row(const dp_site_state *s, const dp_operand_vectors *v, int64_t channel,
                     double *row) {
    const float *w = s->weight->data;
    layout at = layout_of(s, channel);
    bool rows = s->site.weight_run == 0;
    for (int64_t d = 0, j = at.first; d < s->site.depth; j++) {
        double alpha = alpha_at(v, j);
        for (int64_t end = d + at.taps; d < end; d++) {
            int64_t place =
                rows ? channel * s->site.depth + d : dp_site_weight(&s->site, channel, d);
            row[d] = (double)w[place] / alpha;
        }
    }
}

/* Weights are known, and with them what each of them is off by. */
static double rounded_off(const dp_site_state *s, const facts *f, int64_t channel, double step) {
    layout at = layout_of(s, channel);
    double sum = 0, all = 0;
    for (int64_t d = 0, j = at.first; step > 0 && d < s->site.depth; j++)
        for (int64_t end = d + at.taps; d < end; d++) {
            double off = f->row[d] - rint(f->row[d] / step) * step;
            sum += off * off * f->square[j];
            all += f->square[j];
        }
    return all > 0 ? sum / all : 0;
}

static void take_row(const dp_engine *e, const dp_site_state *s, const dp_operand_vectors *v,
                     int64_t channel, facts *f) {
    layout at = layout_of(s, channel);
    double low = 0, high = 0, norm2 = 0, lost = 0;
    read_row(s, v, channel, f->row);
    for (int64_t d = 0, j = at.first; d < s->site.depth; j++)
        for (int64_t end = d + at.taps; d < end; d++) {
            double x = f->row[d];
            low = x < low ? x : low;
            high = x > high ? x : high;
            norm2 += x * x;
            lost += x * x * f->cut[j];
        }
    f->lost[channel] = lost;
    dp_quantiser q = dp_quantiser_make(low, high, e->hardware->weight_bits);
    f->norm2[channel] = norm2;
    f->range[channel] = (double)q.high - (double)q.low;
    f->off[channel] = rounded_off(s, f, channel, (double)q.step);
}

/* Input channels from `first` on, as the vectors leave them. */
static dp_tail_channels channels_of(const dp_engine *e, const dp_site_state *s, int samples,
                                    int64_t first) {
    dp_tail_channels c = {.count = s->inputs - first};
    if (!e->tails) return c;
    const dp_tail *tails = e->tails + 2 * s->first_input + first;
    c.halves[0] = samples == 1 ? tails + s->inputs : tails;
    c.halves[1] = samples == DP_EXPECT_ALL ? tails + s->inputs : NULL;
    return c;
}

void dp_expect_reaches(const dp_engine *e, int site, int samples, const float *mu,
                       const dp_reaches *out) {
    const dp_site_state *s = &e->sites[site];
    int64_t inputs;
    const dp_input_moments *halves = dp_engine_input_moments(e, site, &inputs);
    for (int64_t j = 0; j < s->inputs; j++) {
        dp_tail_channels one = channels_of(e, s, samples, j);
        dp_input_moments moments = of_channel(halves, inputs, samples, j);
        double low, high;
        one.count = 1;
        one.mu = mu ? mu + j : NULL;
        one.moments = &moments;
        dp_tail_range(&one, e->hardware->percentile, &low, &high);
        out->up[j] = high;
        out->down[j] = -low;
    }
}

static dp_tail_channels left_by(const dp_engine *e, const dp_site_state *s, int samples,
                                const dp_operand_vectors *v, const dp_input_moments *moments) {
    dp_tail_channels all = channels_of(e, s, samples, 0);
    all.moments = moments;
    all.mu = v->mu;
    all.alpha = v->alpha;
    return all;
}

double dp_expect_range(const dp_engine *e, int site, int samples, const dp_operand_vectors *v,
                       const dp_input_moments *moments, double *shares) {
    double low, high;
    dp_tail_channels all = left_by(e, &e->sites[site], samples, v, moments);
    dp_tail_range(&all, e->hardware->percentile, &low, &high);
    dp_tail_shares(&all, low, high, shares);
    return high - low;
}

static dp_quantiser input_of(const dp_engine *e, const dp_site_state *s, int samples,
                             const dp_operand_vectors *v, const dp_input_moments *moments,
                             double *cut) {
    double low, high;
    dp_tail_channels all = left_by(e, s, samples, v, moments);
    dp_tail_range(&all, e->hardware->percentile, &low, &high);
    for (int64_t j = 0; j < s->inputs; j++) cut[j] = dp_tail_cut(&all, j, low, high);
    return dp_quantiser_make(low, high, e->hardware->input_bits);
}

/* What the vectors leave of a group's mean square. */
static double left_of_norm(const dp_site_state *s, const dp_operand_vectors *v,
                           const dp_input_moments *moments, int64_t channel) {
    int64_t width = s->inputs / s->site.groups, first = layout_of(s, channel).first;
    double before = 0, after = 0;
    for (int64_t j = first; j < first + width; j++) {
        before += moments[j].square;
        after += left_of_square(v, moments, j);
    }
    return before > 0 ? after / before : 1;
}

static void fill(const dp_engine *e, const dp_site_state *s, const dp_operand_vectors *v,
                 const dp_input_moments *moments, const facts *f, const dp_site_noise *noise,
                 const dp_expectation *out) {
    double step2 = (double)f->input.step * (double)f->input.step, left = 1;
    int64_t width = s->site.channels / s->site.groups;
    for (int64_t c = 0; c < s->site.channels; c++) {
        if (c % width == 0) left = left_of_norm(s, v, moments, c);
        double x2 = e->mean_norm[s->info.first_channel + c] * left;
        double std = (double)noise->weight_std[c];
        out->noise[c] = ((double)noise->shot[c] + std * std) * x2 + (double)noise->additive[c];
        out->rounding[c] = step2 * f->norm2[c] / 12 + f->off[c] * x2;
        out->cut[c] = f->lost[c];
    }
}

dp_status dp_expect_noise(const dp_engine *e, int site, int samples, const dp_operand_vectors *v,
                          const dp_expectation *out, dp_error *err) {
    const dp_site_state *s = &e->sites[site];
    size_t channels = (size_t)s->site.channels;
    facts f = {.norm2 = dp_alloc(channels, sizeof(double)),
               .range = dp_alloc(channels, sizeof(double)),
               .off = dp_alloc(channels, sizeof(double)),
               .lost = dp_alloc(channels, sizeof(double)),
               .cut = dp_alloc((size_t)s->inputs, sizeof(double)),
               .square = dp_alloc((size_t)s->inputs, sizeof(double)),
               .row = dp_alloc((size_t)s->site.depth, sizeof(double))};
    dp_site_noise noise = {dp_alloc(channels, sizeof(float)), dp_alloc(channels, sizeof(float)),
                           dp_alloc(channels, sizeof(float))};
    dp_input_moments *moments = dp_alloc((size_t)s->inputs, sizeof *moments);
    bool ready = f.norm2 && f.range && f.off && f.lost && f.cut && f.square && f.row &&
                 noise.shot && noise.additive && noise.weight_std && moments;
    if (ready) {
        dp_expect_moments(e, site, samples, moments);
        f.input = input_of(e, s, samples, v, moments, f.cut);
        for (int64_t j = 0; j < s->inputs; j++) f.square[j] = left_of_square(v, moments, j);
        for (int64_t c = 0; c < s->site.channels; c++) take_row(e, s, v, c, &f);
        dp_site_facts known = {.channels = s->site.channels,
                               .depth = s->site.depth,
                               .weight_norm2 = f.norm2,
                               .weight_range = f.range,
                               .input_range = (double)f.input.high - (double)f.input.low};
        dp_noise_site(e->hardware, &known, &noise);
        fill(e, s, v, moments, &f, &noise, out);
    }
    void *blocks[] = {f.norm2, f.range,    f.off,          f.lost,           f.cut,  f.square,
                      f.row,   noise.shot, noise.additive, noise.weight_std, moments};
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++) dp_free(blocks[i]);
    return ready ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory to expect a site's noise");
}

void dp_expect_columns(const dp_engine *e, int site, double power, const double *scale,
                       double *sums) {
    const dp_site_state *s = &e->sites[site];
    const float *w = s->weight->data;
    for (int64_t j = 0; j < s->inputs; j++) sums[j] = 0;
    for (int64_t c = 0; c < s->site.channels; c++) {
        layout at = layout_of(s, c);
        for (int64_t d = 0, j = at.first; d < s->site.depth; j++)
            for (int64_t end = d + at.taps; d < end; d++) {
                double x = fabs((double)w[dp_site_weight(&s->site, c, d)]);
                sums[j] += scale[c] * (power == 2 ? x * x : pow(x, power));
            }
    }
}

void dp_expect_weights(const dp_engine *e, int site, float *up, float *down) {
    const dp_site_state *s = &e->sites[site];
    const float *w = s->weight->data;
    int64_t width = s->inputs / s->site.groups, taps = s->site.depth / width;
    for (int64_t c = 0; c < s->site.channels; c++)
        for (int64_t d = 0; d < s->site.depth; d++) {
            float x = w[dp_site_weight(&s->site, c, d)];
            int64_t at = c * width + d / taps;
            up[at] = fmaxf(x, d % taps == 0 ? 0 : up[at]);
            down[at] = fmaxf(-x, d % taps == 0 ? 0 : down[at]);
        }
}
