/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/cache.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "base/sha256.h"
#include "engine/share.h"
#include "kernels/gemm.h"

static const char magic[] = "dynaprec-pass/1\n";
/* Results of one pass beyond this are cheaper to compute again than to keep. */
static const size_t largest = (size_t)256 << 20;

static void add_text(dp_sha256 *sha, const char *text) {
    dp_sha256_update(sha, text, strlen(text) + 1);
}

static void add_number(dp_sha256 *sha, int64_t number) {
    dp_sha256_update(sha, &number, sizeof number);
}

/* Samples by their numbers in their file: halves of one file differ in these only. */
static void add_data(dp_sha256 *sha, const dp_dataset *data) {
    add_text(sha, dp_dataset_sha256(data));
    add_number(sha, dp_dataset_count(data));
    for (int64_t i = 0; i < dp_dataset_count(data); i++)
        add_number(sha, dp_dataset_origin(data, i));
}

/* The digest of a conditioned graph is that of the file which it comes from. */
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

static void add_engine(dp_sha256 *sha, const dp_engine *e) {
    add_text(sha, magic);
    add_text(sha, DYNAPREC_VERSION);
    add_text(sha, dp_gemm_kernels());
    add_text(sha, e->graph->sha256);
    add_conditioning(sha, e->options.conditioning);
    add_text(sha, e->hardware->sha256);
    add_number(sha, (int64_t)e->options.seed);
    add_number(sha, e->options.batch);
    add_number(sha, e->target);
    add_number(sha, e->n_sites);
    for (int i = 0; i < e->n_sites; i++) add_text(sha, e->sites[i].info.name);
}

dp_cache_entry dp_cache_find(const dp_engine *e, const dp_cache_pass *pass) {
    dp_cache_entry entry = {.usable = e->options.cache && e->hardware->sha256[0]};
    if (!entry.usable) return entry;
    dp_sha256 sha;
    dp_sha256_init(&sha);
    add_engine(&sha, e);
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

static size_t total_size(const dp_cache_part parts[3]) {
    return parts[0].size + parts[1].size + parts[2].size;
}

static char *path_of(const dp_engine *e, const dp_cache_entry *entry) {
    size_t size = strlen(e->options.cache) + sizeof entry->key + 8;
    char *path = dp_alloc(size, 1);
    if (path) snprintf(path, size, "%s/%s.pass", e->options.cache, entry->key);
    return path;
}

static void digest_of(const char *bytes, size_t size, char hex[DP_SHA256_HEX]) {
    dp_sha256 sha;
    dp_sha256_init(&sha);
    dp_sha256_update(&sha, bytes, size);
    dp_sha256_hex(&sha, hex);
}

/* The payload when the file is whole and of the right size; else NULL. *file is the caller's to free. */
static const char *read_payload(const dp_engine *e, const dp_cache_entry *entry, size_t payload,
                                char **file) {
    size_t head = sizeof magic - 1, size = 0, want = head + payload + DP_SHA256_HEX - 1;
    char digest[DP_SHA256_HEX], *path = path_of(e, entry);
    *file = NULL;
    bool read = path && dp_file_read(path, want, file, &size, NULL) == DP_OK;
    dp_free(path);
    if (!read || size != want || memcmp(*file, magic, head) != 0) return NULL;
    digest_of(*file + head, payload, digest);
    return memcmp(*file + head + payload, digest, DP_SHA256_HEX - 1) == 0 ? *file + head : NULL;
}

dp_status dp_cache_load(const dp_engine *e, const dp_cache_entry *entry,
                        const dp_cache_part parts[3], bool *hit, dp_error *err) {
    const dp_comm *comm = e->options.comm;
    *hit = false;
    if (!entry->usable || total_size(parts) > largest) return DP_OK;
    char *file = NULL, found = 0;
    const char *payload = NULL;
    if (!comm || comm->rank == 0) payload = read_payload(e, entry, total_size(parts), &file);
    found = payload != NULL;
    dp_status status = dp_share_broadcast(comm, &found, 1, err);
    for (int i = 0; status == DP_OK && found && i < 3; i++) {
        if (payload && parts[i].size) memcpy(parts[i].bytes, payload, parts[i].size);
        if (payload) payload += parts[i].size;
        status = dp_share_broadcast(comm, parts[i].bytes, parts[i].size, err);
    }
    dp_free(file);
    *hit = status == DP_OK && found;
    return status;
}

void dp_cache_store(const dp_engine *e, const dp_cache_entry *entry, const dp_cache_part parts[3]) {
    bool mine = !e->options.comm || e->options.comm->rank == 0;
    if (!entry->usable || !mine || total_size(parts) > largest) return;
    dp_sha256 sha;
    char digest[DP_SHA256_HEX], *path = path_of(e, entry);
    dp_output out;
    if (!path) return;
    mkdir(e->options.cache,
          0777); /* it may be there already; if it cannot be made, opening fails */
    if (dp_output_open(&out, path, NULL) == DP_OK) {
        dp_sha256_init(&sha);
        fwrite(magic, 1, sizeof magic - 1, out.stream);
        for (int i = 0; i < 3; i++) {
            if (!parts[i].size) continue;
            fwrite(parts[i].bytes, 1, parts[i].size, out.stream);
            dp_sha256_update(&sha, parts[i].bytes, parts[i].size);
        }
        dp_sha256_hex(&sha, digest);
        fwrite(digest, 1, DP_SHA256_HEX - 1, out.stream);
        dp_output_close(&out, NULL);
    }
    dp_free(path);
}
