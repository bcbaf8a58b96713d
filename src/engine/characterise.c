/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From what the hardware says and the survey saw to each channel's noise at K = 1 and the weights as they are stored. */
#include <math.h>

#include "base/alloc.h"
#include "engine/kept.h"

static dp_status store_weights(dp_engine *e, dp_site_state *s, dp_error *err) {
    dp_tensor_clear(&s->quantised);
    if (e->hardware->weight_bits == 0) return DP_OK;
    s->quantised = *s->weight;
    return dp_tensor_allocate(&s->quantised, err);
}

/* Norm and range of one weight row; with weight bits, the row as its quantiser stores it. Source: [Garg]. */
static void take_row(dp_engine *e, dp_site_state *s, int64_t channel) {
    const float *w = s->weight->data;
    int64_t depth = s->site.depth;
    double low = 0, high = 0, norm2 = 0;
    for (int64_t d = 0; d < depth; d++) {
        double v = (double)w[dp_site_weight(&s->site, channel, d)];
        low = v < low ? v : low;
        high = v > high ? v : high;
    }
    dp_quantiser q = dp_quantiser_make(low, high, e->hardware->weight_bits);
    for (int64_t d = 0; d < depth; d++) {
        int64_t at = dp_site_weight(&s->site, channel, d);
        float v = w[at];
        if (s->quantised.data) {
            dp_quantise(&q, &v, &v, 1);
            ((float *)s->quantised.data)[at] = v;
        }
        norm2 += (double)v * (double)v;
    }
    e->norm2[s->info.first_channel + channel] = norm2;
    e->range[s->info.first_channel + channel] = (double)q.high - (double)q.low;
}

/* Repetitions that are averaged behind the ADC each bring its rounding error, uniform over a step: variance step^2 / 12. */
static void add_rounding(dp_engine *e, const dp_site_state *s) {
    if (e->hardware->output_bits == 0 || e->hardware->average_analog) return;
    float variance = s->output.step * s->output.step / 12;
    for (int64_t c = 0; c < s->info.channels; c++)
        e->additive[s->info.first_channel + c] += variance;
}

static void note_kinds(dp_engine *e) {
    e->has_shot = dp_noise_needs_norms(e->hardware);
    e->has_additive = false;
    for (int64_t c = 0; c < e->channels; c++)
        e->has_additive = e->has_additive || e->additive[c] > 0;
}

dp_status dp_engine_characterise(dp_engine *e, dp_error *err) {
    dp_engine_keep_nothing(e);
    for (int i = 0; i < e->n_sites; i++) {
        dp_site_state *s = &e->sites[i];
        int64_t base = s->info.first_channel;
        if (s->weight) {
            dp_status status = store_weights(e, s, err);
            if (status != DP_OK) return status;
            for (int64_t c = 0; c < s->info.channels; c++) take_row(e, s, c);
        }
        dp_site_facts facts = {.channels = s->info.channels,
                               .depth = s->info.depth,
                               .weight_norm2 = s->weight ? e->norm2 + base : NULL,
                               .weight_range = s->weight ? e->range + base : NULL,
                               .input_range = (double)s->input[0].high - (double)s->input[0].low,
                               .right_range = (double)s->input[1].high - (double)s->input[1].low};
        dp_noise_site(e->hardware, &facts,
                      &(dp_site_noise){e->shot + base, e->additive + base, e->weight_std + base});
        s->output =
            dp_quantiser_make(s->info.output_low, s->info.output_high, e->hardware->output_bits);
        add_rounding(e, s);
    }
    note_kinds(e);
    return DP_OK;
}

void dp_engine_set_precision(dp_engine *e, const double *repetitions) {
    e->noisy = repetitions != NULL;
    for (int64_t c = 0; repetitions && c < e->channels; c++) {
        double k = repetitions[c];
        e->shot_k[c] = (float)((double)e->shot[c] / k);
        e->additive_k[c] = (float)((double)e->additive[c] / k);
        e->root_shot_k[c] = (float)sqrt((double)e->shot[c] / k);
        e->root_additive_k[c] = (float)sqrt((double)e->additive[c] / k);
        e->weight_k[c] = (float)((double)e->weight_std[c] / sqrt(k));
    }
}
