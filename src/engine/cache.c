/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/cache.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "base/file.h"
#include "engine/share.h"

static const char magic[] = "dynaprec-pass/1\n";
/* Results of one pass beyond this are cheaper to compute again than to keep. */
static const size_t largest = (size_t)256 << 20;

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

/* It is newly used: what is used least is the first to go. */
static void touch(const dp_engine *e, const dp_cache_entry *entry) {
    char *path = path_of(e, entry);
    if (path) utimensat(AT_FDCWD, path, NULL, 0);
    dp_free(path);
}

static dp_status check_pass(const dp_engine *e, const dp_cache_entry *entry, dp_error *err) {
    dp_share_fact fact = {"another pass to compute,", entry->key, DP_ECOMM};
    return dp_share_same(e->options.comm, &fact, err);
}

dp_status dp_cache_load(const dp_engine *e, const dp_cache_entry *entry,
                        const dp_cache_part parts[3], bool *hit, dp_error *err) {
    dp_comm *comm = e->options.comm;
    bool kept = entry->usable && dp_share_rank(comm) == 0 && total_size(parts) <= largest;
    char *file = NULL, found = 0;
    *hit = false;
    dp_status status = check_pass(e, entry, err);
    if (status != DP_OK) return status;
    const char *payload = kept ? read_payload(e, entry, total_size(parts), &file) : NULL;
    found = payload != NULL;
    status = dp_share_broadcast(comm, &found, 1, 0, err);
    for (int i = 0; status == DP_OK && found && i < 3; i++) {
        if (payload && parts[i].size) memcpy(parts[i].bytes, payload, parts[i].size);
        if (payload) payload += parts[i].size;
        status = dp_share_broadcast(comm, parts[i].bytes, parts[i].size, 0, err);
    }
    if (payload) touch(e, entry);
    dp_free(file);
    *hit = status == DP_OK && found;
    return status;
}

static void write_parts(FILE *stream, const dp_cache_part parts[3]) {
    dp_sha256 sha;
    char digest[DP_SHA256_HEX];
    dp_sha256_init(&sha);
    fwrite(magic, 1, sizeof magic - 1, stream);
    for (int i = 0; i < 3; i++) {
        if (!parts[i].size) continue;
        fwrite(parts[i].bytes, 1, parts[i].size, stream);
        dp_sha256_update(&sha, parts[i].bytes, parts[i].size);
    }
    dp_sha256_hex(&sha, digest);
    fwrite(digest, 1, DP_SHA256_HEX - 1, stream);
}

void dp_cache_store(const dp_engine *e, const dp_cache_entry *entry, const dp_cache_part parts[3]) {
    if (!entry->usable || dp_share_rank(e->options.comm) != 0 || total_size(parts) > largest)
        return;
    char *path = path_of(e, entry);
    dp_output out;
    if (!path) return;
    mkdir(e->options.cache, 0777); /* it may be there; if it cannot be made, opening fails */
    if (dp_output_open(&out, path, NULL) == DP_OK) {
        write_parts(out.stream, parts);
        dp_output_close(&out, NULL);
        dp_cache_prune(e->options.cache, DP_CACHE_BYTES);
    }
    dp_free(path);
}
