/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "plan/schedule_conditioning.h"

#include <errno.h>
#include <float.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/alloc.h"
#include "dynaprec/npz.h"

/* Room for the name of an array. */
enum { NAME_ROOM = 32 };

static const char *const vector_names[2] = {"mu", "alpha"};

static const float *vector_of(const dp_conditioned_site *s, int k) {
    return k == 0 ? s->mu : s->alpha;
}

static bool is_large(const dp_conditioned_site *s) {
    return ((s->mu ? s->inputs : 0) + (s->alpha ? s->inputs : 0)) > DP_INLINE_VECTORS;
}

static void name_array(int entry, int k, char name[NAME_ROOM]) {
    snprintf(name, NAME_ROOM, "%s.%d", vector_names[k], entry);
}

/* The path of a file beside another one, for dp_free. */
static char *beside(const char *path, const char *name) {
    const char *slash = strrchr(path, '/');
    int folder = slash ? (int)(slash - path) + 1 : 0;
    size_t size = (size_t)folder + strlen(name) + 1;
    char *out = dp_alloc(size, 1);
    if (out) snprintf(out, size, "%.*s%s", folder, path, name);
    return out;
}

/* ---- writing ---- */

static bool has_folder(const char *path) {
    struct stat info;
    return stat(path, &info) != 0 || S_ISREG(info.st_mode);
}

/* arrays[2 * list->count] and names for them: the large vectors, which are borrowed. Returns how many. */
static size_t list_large(const dp_conditioning *list, dp_array *arrays, char (*names)[NAME_ROOM]) {
    size_t count = 0;
    for (int i = 0; i < list->count; i++) {
        const dp_conditioned_site *s = &list->sites[i];
        for (int k = 0; k < 2 && is_large(s); k++) {
            if (!vector_of(s, k)) continue;
            name_array(i, k, names[count]);
            arrays[count].name = names[count];
            dp_tensor_reshape(&arrays[count].tensor, DP_F32, 1, &s->inputs);
            arrays[count].tensor.data = (void *)(uintptr_t)vector_of(s, k);
            arrays[count++].tensor.borrowed = true;
        }
    }
    return count;
}

/* Under a name of its own first: its content decides on the last one. */
static dp_status write_apart(const char *path, const dp_array *arrays, size_t count,
                             dp_vector_file *file, dp_error *err) {
    size_t size = strlen(path) + sizeof ".npz";
    char *first = dp_alloc(size, 1), *last = NULL;
    if (!first) return dp_fail(err, DP_EMEMORY, "%s: no memory for a file name", path);
    snprintf(first, size, "%s.npz", path);
    dp_status status = dp_npz_write(first, arrays, count, err);
    if (status == DP_OK) status = dp_sha256_file(first, file->sha256, err);
    if (status == DP_OK) {
        snprintf(file->name, sizeof file->name, "conditioning-%.16s.npz", file->sha256);
        last = beside(path, file->name);
        if (!last)
            status = dp_fail(err, DP_EMEMORY, "%s: no memory for a file name", path);
        else if (rename(first, last) != 0)
            status = dp_fail(err, DP_EIO, "%s: cannot be written: %s", last, strerror(errno));
        if (status != DP_OK) remove(first);
    }
    dp_free(first);
    dp_free(last);
    return status;
}

dp_status dp_schedule_write_vectors(const dp_schedule *s, const char *path, dp_vector_file *file,
                                    dp_error *err) {
    *file = (dp_vector_file){.apart = has_folder(path)};
    size_t most = 2 * (size_t)s->conditioning.count;
    if (!file->apart || most == 0) return DP_OK;
    dp_array *arrays = dp_alloc(most, sizeof *arrays);
    char(*names)[NAME_ROOM] = dp_alloc(most, sizeof *names);
    dp_status status = DP_OK;
    if (arrays && names) {
        size_t count = list_large(&s->conditioning, arrays, names);
        if (count > 0) status = write_apart(path, arrays, count, file, err);
    } else {
        status = dp_fail(err, DP_EMEMORY, "%s: no memory for its vectors", path);
    }
    dp_free(arrays);
    dp_free(names);
    return status;
}

static void write_site(dp_yaml_writer *w, const dp_schedule *s, int entry, bool apart) {
    const dp_conditioned_site *site = &s->conditioning.sites[entry];
    char name[NAME_ROOM];
    dp_yaml_item(w);
    dp_yaml_put_string(w, "site", site->site);
    dp_yaml_put_number(w, "noise", s->conditioned_noise[entry], false);
    dp_yaml_put_boolean(w, "positions", site->positions);
    dp_yaml_put_integer(w, "inputs", (uint64_t)site->inputs);
    for (int k = 0; k < 2; k++) {
        const float *vector = vector_of(site, k);
        name_array(entry, k, name);
        if (!vector)
            dp_yaml_put_number(w, vector_names[k], NAN, false);
        else if (apart && is_large(site))
            dp_yaml_put_string(w, vector_names[k], name);
        else
            dp_yaml_put_floats(w, vector_names[k], vector, (size_t)site->inputs);
    }
    dp_yaml_close(w);
}

void dp_schedule_write_conditioning(dp_yaml_writer *w, const dp_schedule *s,
                                    const dp_vector_file *file) {
    if (s->conditioning.count == 0) return;
    dp_yaml_open(w, "conditioning");
    dp_yaml_put_string(w, "file", file->name);
    dp_yaml_put_string(w, "sha256", file->sha256);
    dp_yaml_open(w, "sites");
    for (int i = 0; i < s->conditioning.count; i++) write_site(w, s, i, file->apart);
    dp_yaml_close(w);
    dp_yaml_close(w);
}

/* ---- reading ---- */

/* The file that `map` names, checked against its digest; *file is empty where there is none. */
static void open_vectors(dp_yaml_node *map, const char *path, dp_npz *file) {
    dp_yaml_node *name_node = dp_yaml_need(map, "file"), *digest = dp_yaml_need(map, "sha256");
    const char *name = dp_yaml_string(name_node, 255, "");
    const char *want = dp_yaml_string(digest, DP_SHA256_HEX - 1, "");
    char found[DP_SHA256_HEX];
    dp_error err = {DP_OK, ""};
    *file = (dp_npz){0};
    if (!*name) return;
    if (strchr(name, '/')) {
        dp_yaml_fault(name_node, "'%s' where the name of a file in the same folder is expected",
                      name);
        return;
    }
    char *full = beside(path, name);
    if (!full) {
        dp_yaml_no_memory(name_node);
        return;
    }
    if (dp_sha256_file(full, found, &err) != DP_OK)
        dp_yaml_fault(name_node, "%s", err.text);
    else if (strcmp(found, want) != 0)
        dp_yaml_fault(digest,
                      "%s is not the file that this schedule was written with: its SHA-256 "
                      "is %s",
                      full, found);
    else if (dp_npz_read(file, full, &err) != DP_OK)
        dp_yaml_fault(name_node, "%s", err.text);
    dp_free(full);
}

static bool is_allowed(double value, int k) {
    return isfinite(value) && fabs(value) <= (double)FLT_MAX && (k == 0 || value > 0);
}

static void refuse_value(dp_yaml_node *node, int k) {
    dp_yaml_fault(node, "a value of '%s' is not %s", vector_names[k],
                  k == 0 ? "finite" : "positive and finite");
}

static void take_list(dp_yaml_node *list, int k, float *out) {
    for (dp_yaml_node *at = dp_yaml_first(list); at; at = dp_yaml_next(at)) {
        double value = dp_yaml_number(at, -(double)FLT_MAX, (double)FLT_MAX, 1);
        if (!is_allowed(value, k)) refuse_value(at, k);
        *out++ = (float)value;
    }
}

static void take_array(dp_yaml_node *node, int k, const dp_npz *file, int64_t inputs, float *out) {
    const char *name = dp_yaml_string(node, NAME_ROOM, "");
    const dp_tensor *t = dp_npz_find(file, name);
    if (!t || t->dtype != DP_F32 || t->rank != 1 || t->dim[0] != inputs) {
        dp_yaml_fault(node, "the file of vectors has no float32 array '%s' of %lld entries", name,
                      (long long)inputs);
        return;
    }
    memcpy(out, t->data, (size_t)inputs * sizeof *out);
    for (int64_t j = 0; j < inputs; j++)
        if (!is_allowed((double)out[j], k)) {
            refuse_value(node, k);
            return;
        }
}

/* NULL where it is null; else for dp_free. */
static const float *read_vector(dp_yaml_node *map, int k, const dp_npz *file, int64_t inputs) {
    dp_yaml_node *node = dp_yaml_need(map, vector_names[k]);
    bool list = node && dp_yaml_is_list(node);
    if (!node || dp_yaml_is_null(node)) return NULL;
    if (list && dp_yaml_count(node) != (size_t)inputs) {
        dp_yaml_fault(node, "%zu entries where the site has %lld inputs", dp_yaml_count(node),
                      (long long)inputs);
        return NULL;
    }
    if (!list && !dp_npz_find(file, dp_yaml_string(node, NAME_ROOM, ""))) {
        dp_yaml_fault(node, "a list, or the name of an array in the file of vectors, is expected");
        return NULL;
    }
    float *out = dp_alloc((size_t)inputs, sizeof *out);
    if (!out)
        dp_yaml_no_memory(node);
    else if (list)
        take_list(node, k, out);
    else
        take_array(node, k, file, inputs, out);
    return out;
}

static void read_site(dp_yaml_node *map, const dp_npz *file, dp_conditioned_site *out,
                      double *noise) {
    dp_yaml_node *site = dp_yaml_need(map, "site");
    out->site = dp_strdup(dp_yaml_string(site, SIZE_MAX, ""));
    if (!out->site) dp_yaml_no_memory(site);
    *noise = dp_yaml_number(dp_yaml_need(map, "noise"), 0, INFINITY, 1);
    out->positions = dp_yaml_boolean(dp_yaml_need(map, "positions"), false);
    out->inputs = (int64_t)dp_yaml_integer(dp_yaml_need(map, "inputs"), 0, INT32_MAX, 0);
    out->mu = read_vector(map, 0, file, out->inputs);
    out->alpha = read_vector(map, 1, file, out->inputs);
}

void dp_schedule_read_conditioning(dp_yaml_node *root, const char *path, dp_schedule *out) {
    dp_yaml_node *map = dp_yaml_find(root, "conditioning");
    if (!map) return;
    dp_npz file;
    open_vectors(map, path, &file);
    dp_yaml_node *list = dp_yaml_need(map, "sites");
    size_t count = dp_yaml_count(list);
    out->conditioning.sites = dp_alloc(count, sizeof *out->conditioning.sites);
    out->conditioned_noise = dp_alloc(count, sizeof *out->conditioned_noise);
    if (!out->conditioning.sites || !out->conditioned_noise)
        dp_yaml_no_memory(list);
    else
        for (dp_yaml_node *at = dp_yaml_first(list); at; at = dp_yaml_next(at)) {
            int entry = out->conditioning.count++;
            read_site(at, &file, &out->conditioning.sites[entry], &out->conditioned_noise[entry]);
        }
    dp_npz_clear(&file);
}
