/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A folder of passes is kept within its bounds. Only names that the cache gives are touched, whatever else the folder has. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "engine/cache.h"

/* Writing an entry takes seconds; a temporary file of this age is one that nobody will finish. */
enum { ABANDONED_SECONDS = 3600 };

typedef struct item {
    char name[DP_SHA256_HEX + 5]; /* <key>.pass */
    struct timespec used;
    int64_t bytes;
} item;

typedef struct list {
    item *items;
    size_t count, room;
    int64_t bytes;
} list;

/* The part of a name behind a key and ".pass"; NULL: another's file. */
static const char *behind_entry(const char *name) {
    size_t digits = strspn(name, "0123456789abcdef");
    if (digits != DP_SHA256_HEX - 1 || strncmp(name + digits, ".pass", 5) != 0) return NULL;
    return name + digits + 5;
}

static bool is_abandoned(const char *rest, const struct stat *info) {
    size_t length = strlen(rest);
    return length > 4 && strcmp(rest + length - 4, ".tmp") == 0 &&
           info->st_mtime + ABANDONED_SECONDS < time(NULL);
}

static void note(list *l, const char *name, const struct stat *info) {
    item *grown = dp_grow(l->items, &l->room, l->count + 1, sizeof *grown);
    if (!grown) return;
    l->items = grown;
    item *i = &l->items[l->count++];
    *i = (item){.used = info->st_mtim, .bytes = info->st_size};
    memcpy(i->name, name, sizeof i->name);
    l->bytes += i->bytes;
}

static void look(list *l, DIR *folder) {
    struct dirent *file;
    struct stat info;
    int handle = dirfd(folder);
    while ((file = readdir(folder))) {
        const char *rest = behind_entry(file->d_name);
        if (!rest || fstatat(handle, file->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
        if (!S_ISREG(info.st_mode)) continue;
        if (*rest == '\0')
            note(l, file->d_name, &info);
        else if (is_abandoned(rest, &info))
            unlinkat(handle, file->d_name, 0);
    }
}

static int older_first(const void *a, const void *b) {
    const item *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

void dp_cache_prune(const char *path, int64_t bytes) {
    DIR *folder = opendir(path);
    list l = {0};
    if (!folder) return;
    look(&l, folder);
    if (l.bytes > bytes) qsort(l.items, l.count, sizeof *l.items, older_first);
    for (size_t i = 0; l.bytes > bytes && i < l.count; i++)
        if (unlinkat(dirfd(folder), l.items[i].name, 0) == 0) l.bytes -= l.items[i].bytes;
    closedir(folder);
    dp_free(l.items);
}
