/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model file and the files of external data beside it: mapped read-only, parsed, digested. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/sha256.h"
#include "model/onnx.h"
#include "model/onnx_wire.h"

enum {
    MAX_DEPTH = 100, /* protobuf's own readers stop there too; 30 subgraphs inside each other */
    OLDEST_IR = 3,   /* the first with opset_import */
    NEWEST_IR = 13   /* the newest whose changes were looked at: all of them additions */
};

/* The parser does not say why it gave up; its allocator does. */
static void *allocate(void *failed, size_t bytes) {
    void *block = dp_alloc(bytes, 1);
    if (!block) *(bool *)failed = true;
    return block;
}

static void release(void *failed, void *block) {
    (void)failed;
    dp_free(block);
}

/* The parser's memory is dp_alloc's, so that tensors can take their data over. */
static ProtobufCAllocator parser_memory(bool *failed) {
    return (ProtobufCAllocator){allocate, release, failed};
}

/* Map a regular file; an empty one has size 0 and no mapping. O_NONBLOCK: opening a pipe must not wait. */
static dp_status map_file(const char *path, const unsigned char **data, size_t *size,
                          dp_error *err) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return dp_fail(err, DP_EIO, "%s: %s", path, strerror(errno));
    dp_status status = DP_OK;
    void *map = NULL;
    if (fstat(fd, &info) != 0)
        status = dp_fail(err, DP_EIO, "%s: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = dp_fail(err, DP_EIO, "%s: not a regular file", path);
    else if (info.st_size > 0)
        map = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (map == MAP_FAILED)
        status =
            dp_fail(err, errno == ENOMEM ? DP_EMEMORY : DP_EIO, "%s: %s", path, strerror(errno));
    close(fd);
    if (status != DP_OK) return status;
    *data = map;
    *size = (size_t)info.st_size;
    return DP_OK;
}

static void unmap(const unsigned char *data, size_t size) {
    if (data) munmap((void *)data, size);
}

static void digest(const void *data, size_t size, char hex[DP_SHA256_HEX]) {
    dp_sha256 sha;
    dp_sha256_init(&sha);
    dp_sha256_update(&sha, data, size);
    dp_sha256_hex(&sha, hex);
}

const char *dp_onnx_domain(const char *domain) {
    return domain && strcmp(domain, "ai.onnx") != 0 ? domain : "";
}

int dp_onnx_opset(const Onnx__ModelProto *model, const char *domain) {
    int64_t version = 0;
    for (size_t i = 0; i < model->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = model->opset_import[i];
        if (strcmp(dp_onnx_domain(set->domain), domain) == 0 && set->version > version)
            version = set->version;
    }
    return version > INT_MAX ? INT_MAX : (int)version;
}

static dp_status check_header(const dp_onnx_file *file, dp_error *err) {
    const Onnx__ModelProto *model = file->model;
    if (!model->has_ir_version || !model->graph)
        return dp_fail(err, DP_EFORMAT, "%s: not an ONNX model: it has no %s", file->path,
                       model->graph ? "ir_version" : "graph");
    if (model->ir_version < OLDEST_IR || model->ir_version > NEWEST_IR)
        return dp_fail(err, DP_EUNSUPPORTED,
                       "%s: IR version %lld is not supported; versions %d to %d are", file->path,
                       (long long)model->ir_version, OLDEST_IR, NEWEST_IR);
    return DP_OK;
}

static dp_status parse(dp_onnx_file *file, const unsigned char *data, size_t size, dp_error *err) {
    if (size > INT_MAX)
        return dp_fail(err, DP_EFORMAT, "%s: larger than the 2 GiB that protobuf allows",
                       file->path);
    if (!dp_wire_nests_within(&onnx__model_proto__descriptor, data, size, MAX_DEPTH))
        return dp_fail(err, DP_EFORMAT, "%s: messages nest more than %d levels deep", file->path,
                       MAX_DEPTH);
    bool failed = false;
    ProtobufCAllocator memory = parser_memory(&failed);
    file->model = onnx__model_proto__unpack(&memory, size, data);
    if (failed) return dp_fail(err, DP_EMEMORY, "%s: no memory", file->path);
    if (!file->model)
        return dp_fail(err, DP_EFORMAT, "%s: not an ONNX model: the protobuf message is damaged",
                       file->path);
    return check_header(file, err);
}

dp_status dp_onnx_open(dp_onnx_file **out, const char *path, dp_error *err) {
    *out = NULL;
    const unsigned char *data = NULL;
    size_t size = 0;
    dp_onnx_file *file = dp_alloc(1, sizeof *file);
    if (!file || !(file->path = dp_strdup(path))) {
        dp_onnx_close(file);
        return dp_fail(err, DP_EMEMORY, "%s: no memory", path);
    }
    dp_status status = map_file(path, &data, &size, err);
    if (status == DP_OK) {
        digest(data, size, file->sha256);
        status = parse(file, data, size, err);
    }
    unmap(data, size);
    if (status == DP_OK)
        *out = file;
    else
        dp_onnx_close(file);
    return status;
}

void dp_onnx_forget_model(dp_onnx_file *file) {
    ProtobufCAllocator memory = parser_memory(NULL);
    if (file->model) onnx__model_proto__free_unpacked(file->model, &memory);
    file->model = NULL;
}

void dp_onnx_close(dp_onnx_file *file) {
    if (!file) return;
    dp_onnx_forget_model(file);
    for (size_t i = 0; i < file->n_externals; i++) {
        unmap(file->externals[i].data, file->externals[i].size);
        dp_free(file->externals[i].location);
    }
    dp_free(file->externals);
    dp_free(file->path);
    dp_free(file);
}

/* A relative path without "..": it cannot leave the folder that it starts from. */
static bool stays_inside(const char *location) {
    if (!location[0] || location[0] == '/') return false;
    for (const char *part = location; part; part = strchr(part, '/')) {
        part += *part == '/';
        size_t length = strcspn(part, "/");
        if (length == 2 && strncmp(part, "..", 2) == 0) return false;
    }
    return true;
}

/* Map `location` as a new last entry, which counts only when all of it worked. */
static dp_status add_external(dp_onnx_file *file, const char *location, dp_error *err) {
    dp_onnx_external *grown =
        dp_grow(file->externals, &file->room, file->n_externals + 1, sizeof *grown);
    if (!grown) return dp_fail(err, DP_EMEMORY, "%s: no memory", file->path);
    file->externals = grown;
    dp_onnx_external *external = &file->externals[file->n_externals];
    const char *slash = strrchr(file->path, '/');
    int folder = slash ? (int)(slash + 1 - file->path) : 0;
    char *path = NULL;
    if (asprintf(&path, "%.*s%s", folder, file->path, location) < 0)
        return dp_fail(err, DP_EMEMORY, "%s: no memory", file->path);
    dp_status status = map_file(path, &external->data, &external->size, err);
    free(path);
    if (status != DP_OK) return status;
    external->location = dp_strdup(location);
    if (external->location) {
        file->n_externals++;
        return DP_OK;
    }
    unmap(external->data, external->size);
    return dp_fail(err, DP_EMEMORY, "%s: no memory", file->path);
}

dp_status dp_onnx_map_external(dp_onnx_file *file, const char *location,
                               const dp_onnx_external **out, dp_error *err) {
    if (!stays_inside(location))
        return dp_fail(err, DP_EFORMAT,
                       "%s: external data at '%s': the location has to be a path inside the "
                       "model's folder, without '..'",
                       file->path, location);
    size_t i = 0;
    while (i < file->n_externals && strcmp(file->externals[i].location, location) != 0) i++;
    if (i == file->n_externals) {
        dp_status status = add_external(file, location, err);
        if (status != DP_OK) return status;
    }
    *out = &file->externals[i];
    return DP_OK;
}

static int by_location(const void *a, const void *b) {
    return strcmp(((const dp_onnx_external *)a)->location, ((const dp_onnx_external *)b)->location);
}

void dp_onnx_sha256(dp_onnx_file *file, char hex[DP_SHA256_HEX]) {
    dp_sha256 sha;
    memcpy(hex, file->sha256, DP_SHA256_HEX);
    if (!file->n_externals) return;
    dp_sha256_init(&sha);
    dp_sha256_update(&sha, hex, strlen(hex));
    qsort(file->externals, file->n_externals, sizeof *file->externals, by_location);
    for (size_t i = 0; i < file->n_externals; i++) {
        digest(file->externals[i].data, file->externals[i].size, hex);
        dp_sha256_update(&sha, hex, strlen(hex));
    }
    dp_sha256_hex(&sha, hex);
}
