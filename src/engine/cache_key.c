/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a pass is computed from, as a digest. */
#include <string.h>

#include "data/dataset.h"
#include "engine/cache.h"
#include "kernels/gemm.h"
#include "model/graph_digest.h"
#include "source_digest.h"

static void add_text(dp_sha256 *sha, const char *text) {
    dp_sha256_update(sha, text, strlen(text) + 1);
}

static void add_number(dp_sha256 *sha, int64_t number) {
    dp_sha256_update(sha, &number, sizeof number);
}

static void add_real(dp_sha256 *sha, double number) {
    dp_sha256_update(sha, &number, sizeof number);
}

/* How uint8 becomes numbers: the file's mean and std, or others. */
static void add_scale(dp_sha256 *sha, const dp_column *column) {
    add_number(sha, column->scale != NULL);
    if (!column->scale) return;
    dp_sha256_update(sha, column->scale, column->channels * sizeof *column->scale);
    dp_sha256_update(sha, column->shift, column->channels * sizeof *column->shift);
}

/* Samples by their numbers in their file: halves of one file differ in these only. */
static void add_data(dp_sha256 *sha, const dp_dataset *data) {
    add_text(sha, dp_dataset_sha256(data));
    for (int k = 0; k < data->store->n_inputs; k++) add_scale(sha, &data->store->inputs[k]);
    add_number(sha, dp_dataset_count(data));
    for (int64_t i = 0; i < dp_dataset_count(data); i++)
        add_number(sha, dp_dataset_origin(data, i));
}

/* What the graph was made with: vectors that came from data. */
static void add_conditioning(dp_sha256 *sha, const dp_conditioning *list) {
    add_number(sha, list ? list->count : 0);
    for (int i = 0; list && i < list->count; i++) {
        const dp_conditioned_site *s = &list->sites[i];
        const float *vectors[] = {s->mu, s->alpha};
        add_text(sha, s->site);
        add_number(sha, s->positions);
        for (int k = 0; k < 2; k++) {
            int64_t count = vectors[k] ? s->inputs : 0;
            add_number(sha, count);
            dp_sha256_update(sha, vectors[k], (size_t)count * sizeof(float));
        }
    }
}

static void add_hardware(dp_sha256 *sha, const dp_hardware *h) {
    add_text(sha, h->sha256);
    add_number(sha, h->n_noise);
    for (int i = 0; i < h->n_noise; i++) {
        add_text(sha, h->noise[i].model);
        for (int k = 0; k < DP_MAX_PARAMETERS; k++) add_real(sha, h->noise[i].parameters[k]);
    }
    add_number(sha, h->weight_bits);
    add_number(sha, h->input_bits);
    add_number(sha, h->output_bits);
    add_real(sha, h->percentile);
    add_number(sha, h->average_analog);
}

void dp_cache_identify(const dp_engine *e, char hex[DP_SHA256_HEX]) {
    dp_sha256 sha;
    dp_sha256_init(&sha);
    add_text(&sha, DYNAPREC_VERSION);
    add_text(&sha, DP_SOURCE_DIGEST);
    add_text(&sha, dp_gemm_kernels());
    add_text(&sha, dp_gemm_tiles() ? "tiles" : "");
    dp_graph_digest(e->graph, &sha);
    add_conditioning(&sha, e->options.conditioning);
    add_hardware(&sha, e->hardware);
    add_number(&sha, (int64_t)e->options.seed);
    add_number(&sha, e->options.batch);
    add_number(&sha, e->options.rough);
    add_number(&sha, e->target);
    add_number(&sha, e->n_sites);
    for (int i = 0; i < e->n_sites; i++) add_text(&sha, e->sites[i].info.name);
    dp_sha256_hex(&sha, hex);
}

void dp_cache_pause(dp_engine *engine, bool pause) {
    engine->cache_paused = pause;
}

dp_cache_entry dp_cache_find(const dp_engine *e, const dp_cache_pass *pass) {
    dp_cache_entry entry = {.usable = e->options.cache != NULL && !e->cache_paused};
    if (!e->identity[0]) return entry; /* neither kept nor shared */
    dp_sha256 sha;
    dp_sha256_init(&sha);
    add_text(&sha, e->identity);
    add_text(&sha, pass->stage);
    add_data(&sha, pass->data);
    if (!pass->survey && e->surveyed) add_data(&sha, e->surveyed);
    add_number(&sha, pass->first_trial);
    add_number(&sha, pass->trials);
    add_number(&sha, pass->repetitions != NULL);
    if (pass->repetitions)
        dp_sha256_update(&sha, pass->repetitions, (size_t)e->channels * sizeof *pass->repetitions);
    dp_sha256_hex(&sha, entry.key);
    return entry;
}
