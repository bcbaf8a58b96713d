/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Finding a hardware file by a short name among the folders of presets. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dynaprec/hardware.h"

static const char extension[] = ".yaml";

/* "thermal" of "thermal.yaml": its length; 0 when it is no such name. */
static size_t stem(const char *file) {
    size_t length = strlen(file), tail = sizeof extension - 1;
    bool preset = length > tail && *file != '.' && !strcmp(file + length - tail, extension);
    return preset ? length - tail : 0;
}

static bool is_listed(const char *list, const char *name, size_t length) {
    for (const char *at = list; (at = strstr(at, name)); at++)
        if ((at == list || at[-1] == ' ') && (at[length] == ',' || !at[length])) return true;
    return false;
}

/* Append a folder's presets to "a, b", in alphabetic order within the folder; names that do not fit are left out. */
static void list_folder(const char *folder, char *list, size_t size) {
    struct dirent **entries;
    int count = scandir(folder, &entries, NULL, alphasort);
    for (int i = 0; i < count; i++) {
        char *name = entries[i]->d_name;
        size_t length = stem(name), used = strlen(list);
        name[length] = '\0';
        if (length > 0 && used + length + 3 < size && !is_listed(list, name, length))
            snprintf(list + used, size - used, "%s%s", used ? ", " : "", name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
}

static dp_status not_found(const char *name, const char *const *folders, dp_error *err) {
    char list[512] = "";
    for (; *folders; folders++) list_folder(*folders, list, sizeof list);
    if (access(name, F_OK) == 0)
        return dp_fail(err, DP_EIO,
                       "hardware '%s': no preset has this name, and files end in %s or are named "
                       "with a '/', as ./%s; presets: %s",
                       name, extension, name, *list ? list : "none are installed");
    return dp_fail(err, DP_EIO, "hardware '%s': no such file or preset; presets: %s", name,
                   *list ? list : "none are installed");
}

static dp_status settle(char *path, size_t size, const char *folder, const char *name,
                        dp_error *err) {
    int length = folder ? snprintf(path, size, "%s/%s%s", folder, name, extension)
                        : snprintf(path, size, "%s", name);
    if (length >= 0 && (size_t)length < size) return DP_OK;
    return dp_fail(err, DP_ERANGE, "hardware '%s': the path is too long", name);
}

dp_status dp_hardware_find(char *path, size_t size, const char *name, const char *const *folders,
                           dp_error *err) {
    bool file = strchr(name, '/') || (stem(name) && access(name, F_OK) == 0);
    if (file) return settle(path, size, NULL, name, err);
    for (const char *const *folder = folders; *folder; folder++) {
        dp_status status = settle(path, size, *folder, name, err);
        if (status != DP_OK || access(path, R_OK) == 0) return status;
    }
    return not_found(name, folders, err);
}
