/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/load.h"
#include "cli/process.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/file.h"
#include "cli/exit.h"
#include "cli/suggest.h"

/* ---- the network ---- */

static dp_status check_output_name(const dp_graph *graph, const char *name, dp_error *err) {
    dp_suggestion near = {0};
    char list[512] = "";
    for (int i = 0; i < dp_graph_output_count(graph); i++) {
        const char *output = dp_graph_output_name(graph, i);
        size_t used = strlen(list);
        if (strcmp(output, name) == 0) return DP_OK;
        dp_suggestion_offer(&near, name, output);
        snprintf(list + used, sizeof list - used, "%s'%s'", used ? ", " : "", output);
    }
    return dp_fail(err, DP_ERANGE,
                   "--output-name: the network has no output '%s'%s%s%s; there are %s", name,
                   near.name ? " (did you mean '" : "", near.name ? near.name : "",
                   near.name ? "'?)" : "", list);
}

dp_status dp_load_network(dp_graph **out, const dp_settings *settings, dp_error *err) {
    dp_status status = dp_graph_load(out, settings->operands[0], err);
    if (status == DP_ERANGE) /* of something in the file, not of the command line */
        return err->status = DP_EFORMAT;
    if (status == DP_OK && !settings->output_name && settings->verb->bit != DP_VERB_RUN &&
        dp_graph_output_count(*out) > 1)
        dp_note(settings,
                "%s: output '%s' is taken for the predictions; --output-name chooses another",
                settings->operands[0], dp_graph_output_name(*out, 0));
    if (status != DP_OK || !settings->output_name) return status;
    status = check_output_name(*out, settings->output_name, err);
    if (status == DP_OK) return DP_OK;
    dp_graph_free(*out);
    *out = NULL;
    return status;
}

/* ---- samples ---- */

dp_status dp_load_samples(dp_dataset **out, const dp_settings *settings, const dp_graph *graph,
                          const char *path, dp_error *err) {
    int count = dp_graph_input_count(graph);
    dp_input_spec *specs = dp_alloc((size_t)count, sizeof *specs);
    *out = NULL;
    if (!specs) return dp_fail(err, DP_EMEMORY, "%s: no memory for a data set", path);
    dp_engine_inputs(graph, specs);
    dp_dataset_options options = {
        .mean = settings->mean.items,
        .std = settings->std.items,
        .mean_count = (int)settings->mean.count,
        .std_count = (int)settings->std.count,
        .labels_required = settings->objective == DP_OBJECTIVE_CROSS_ENTROPY,
    };
    dp_status status = dp_dataset_open(out, path, specs, count, &options, err);
    dp_free(specs);
    if (status == DP_OK && dp_dataset_one_hot(*out))
        dp_note(settings,
                "note: %s: 'y' has one-hot rows of real numbers, so that the outputs are taken as "
                "quantities; for classes, give their numbers: y.argmax(1)",
                path);
    return status;
}

/* ---- the accelerator ---- */

/* Presets beside the source tree that the program was built in, beside its folder where it was moved, where it was installed. */
dp_status dp_load_hardware(dp_hardware *out, const dp_settings *settings, dp_error *err) {
    static const char *const beside[] = {"/../examples/hardware", "/../../examples/hardware",
                                         "/../share/dynaprec/hardware"};
    enum { BESIDE = sizeof beside / sizeof *beside };
    char program[PATH_MAX], folders[BESIDE][PATH_MAX + 64], path[PATH_MAX];
    const char *list[BESIDE + 2] = {NULL};
    int n = 0;
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length > 0) {
        program[length] = '\0';
        *strrchr(program, '/') = '\0';
        for (; n < BESIDE; n++) {
            snprintf(folders[n], sizeof folders[n], "%s%s", program, beside[n]);
            list[n] = folders[n];
        }
    }
    list[n] = DYNAPREC_DATADIR "/hardware";
    dp_status status = dp_hardware_find(path, sizeof path, settings->hardware, list, err);
    return status == DP_OK ? dp_hardware_read(out, path, err) : status;
}

/* ---- the schedule ---- */

dp_status dp_load_repetitions(double *repetitions, const dp_schedule *schedule,
                              const dp_settings *settings, const dp_engine *engine, dp_error *err) {
    dp_status status = dp_schedule_apply(schedule, engine, repetitions, err);
    if (status == DP_OK) return DP_OK;
    char text[sizeof err->text];
    snprintf(text, sizeof text, "%s", err->text);
    return dp_fail(err, status, "%s: %s (sites that were excluded then have to be now: --exclude)",
                   settings->schedule, text);
}

dp_status dp_load_conditioned(dp_graph **out, const dp_schedule *schedule,
                              const dp_settings *settings, const dp_graph *graph, dp_error *err) {
    dp_error why = {DP_OK, ""};
    *out = NULL;
    if (schedule->conditioning.count == 0) return DP_OK;
    dp_status status = dp_graph_condition(out, graph, &schedule->conditioning, &why);
    if (status == DP_ERANGE) status = DP_EFORMAT; /* of the file, not of the command line */
    if (status == DP_OK) return DP_OK;
    bool other = strcmp(schedule->model_sha256, dp_graph_sha256(graph)) != 0;
    return dp_fail(err, status, "%s: %s%s%s%s", settings->schedule, why.text,
                   other ? "; it was learned for another network (" : "",
                   other ? schedule->model_file : "", other ? ")" : "");
}

void dp_load_note_model(const dp_schedule *schedule, const dp_settings *settings,
                        const dp_graph *graph) {
    if (strcmp(schedule->model_sha256, dp_graph_sha256(graph)) != 0)
        dp_note(settings, "note: %s is not the file that %s was learned for (%s)",
                settings->operands[0], settings->schedule, schedule->model_file);
}

/* ---- options of the library ---- */

int dp_load_processors(void) {
    enum { MOST_THREADS = 1024 };
    cpu_set_t set;
    long count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set)
                                                             : sysconf(_SC_NPROCESSORS_ONLN);
    return count < 1 ? 1 : count > MOST_THREADS ? MOST_THREADS : (int)count;
}

int dp_load_threads(const dp_settings *settings) {
    return settings->threads ? settings->threads : dp_load_processors();
}

void dp_load_options(dp_learn_options *options, const dp_settings *settings, atomic_int *cancel,
                     const dp_progress *progress) {
    dp_learn_defaults(options);
    options->max_drop = settings->max_drop;
    options->max_loss = settings->max_loss;
    options->energy_unit = settings->energy.unit;
    options->energy = settings->energy.value;
    options->latency_unit = settings->latency.unit;
    options->latency = settings->latency.value;
    options->objective = (dp_objective_kind)settings->objective;
    static const unsigned conditions[] = {DP_CONDITION_NONE, DP_CONDITION_CENTRE,
                                          DP_CONDITION_BALANCE, DP_CONDITION_BOTH,
                                          DP_CONDITION_AUTO}; /* as the option's words */
    options->condition = conditions[settings->condition];
    if (settings->granularity.kind) options->granularity = settings->granularity.kind;
    options->tile = settings->granularity.tile;
    options->min_repetitions = settings->min_repetitions;
    options->max_repetitions = settings->max_repetitions;
    options->fixes = settings->fixes.items;
    options->n_fixes = (int)settings->fixes.count;
    options->groups = settings->groups.items;
    options->n_groups = (int)settings->groups.count;
    options->exclude = settings->exclude.items;
    options->n_exclude = (int)settings->exclude.count;
    if (settings->trials) options->trials = settings->trials;
    if (settings->confidence > 0) options->confidence = settings->confidence;
    options->seed = settings->seed;
    options->threads = dp_load_threads(settings);
    options->output = settings->output_name;
    options->search = settings->search;
    options->stop = settings->stop;
    options->cancel = cancel;
    options->progress = progress;
    options->comm = settings->verb->bit & DP_VERB_SHARED ? dp_process_comm() : NULL;
}

dp_engine_options dp_load_engine_options(const dp_learn_options *options,
                                         const dp_dataset *example) {
    return (dp_engine_options){
        .threads = options->threads,
        .seed = options->seed,
        .output = options->output,
        .cancel = options->cancel,
        .cache = options->cache,
        .comm = options->comm,
        .progress = options->progress,
        .exclude = options->exclude,
        .n_exclude = options->n_exclude,
        .example = example,
    };
}

/* ---- results ---- */

static dp_status make_folders(const char *path, dp_error *err) {
    char *copy = dp_strdup(path);
    if (!copy) return dp_fail(err, DP_EMEMORY, "%s: no memory", path);
    dp_status status = DP_OK;
    for (char *at = strchr(copy + 1, '/'); *copy && at && status == DP_OK;
         at = strchr(at + 1, '/')) {
        *at = '\0';
        if (mkdir(copy, 0777) != 0 && errno != EEXIST && access(copy, F_OK) != 0)
            status = dp_fail(err, DP_ERANGE, "%s: the folder '%s' cannot be made: %s", path, copy,
                             strerror(errno));
        *at = '/';
    }
    dp_free(copy);
    return status;
}

/* The folder that `path` is in; `path` is cut for it. */
static const char *parent(char *path) {
    char *slash = strrchr(path, '/');
    if (!slash) return ".";
    slash[slash == path] = '\0';
    return path;
}

/* Without making anything: the nearest folder above that is there already has to be one we may write to. */
static dp_status check_above(const char *path, dp_error *err) {
    char *copy = dp_strdup(path);
    if (!copy) return dp_fail(err, DP_EMEMORY, "%s: no memory", path);
    struct stat info = {0};
    const char *above = parent(copy);
    while (stat(above, &info) != 0 && above == copy && copy[1]) above = parent(copy);
    dp_status status = DP_OK;
    if (!S_ISDIR(info.st_mode))
        status =
            dp_fail(err, DP_ERANGE, "%s: cannot be written: '%s' is not a folder", path, above);
    else if (access(above, W_OK | X_OK) != 0)
        status = dp_fail(err, DP_ERANGE, "%s: cannot be written: %s", path, strerror(errno));
    if (status == DP_OK && stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        status = dp_fail(err, DP_ERANGE, "%s: cannot be written: %s", path, strerror(EISDIR));
    dp_free(copy);
    return status;
}

dp_status dp_load_output(const char *path, bool make, dp_error *err) {
    if (!make) return check_above(path, err);
    dp_output probe;
    dp_status status = make_folders(path, err);
    if (status == DP_OK) status = dp_output_open(&probe, path, err);
    if (status == DP_EIO) return err->status = DP_ERANGE;
    if (status == DP_OK) dp_output_discard(&probe);
    return status;
}
