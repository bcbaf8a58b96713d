/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What several verbs read before they work: network, samples, accelerator; and whether results can be written afterwards. */
#ifndef DP_CLI_LOAD_H
#define DP_CLI_LOAD_H

#include "cli/settings.h"

/** The network in operand 0, whose output --output-name, if given, has to exist. */
dp_status dp_load_network(dp_graph **out, const dp_settings *settings, dp_error *err);

/** Samples for the network's inputs, with --mean and --std. */
dp_status dp_load_samples(dp_dataset **out, const dp_settings *settings, const dp_graph *graph,
                          const char *path, dp_error *err);

/** The accelerator that --hardware names: a file, or a preset beside the program or where it was installed. */
dp_status dp_load_hardware(dp_hardware *out, const dp_settings *settings, dp_error *err);

/** The repetitions of --schedule on an engine. Errors: DP_EFORMAT, with what may be the reason. */
dp_status dp_load_repetitions(double *repetitions, const dp_schedule *schedule,
                              const dp_settings *settings, const dp_engine *engine, dp_error *err);

/**
 * The network whose precision a schedule has: with its operands conditioned, if they are; else *out is NULL. It borrows from
 * `graph`. Errors: DP_EFORMAT, as dp_graph_condition.
 */
dp_status dp_load_conditioned(dp_graph **out, const dp_schedule *schedule,
                              const dp_settings *settings, const dp_graph *graph, dp_error *err);

/** A note when the schedule was learned for another file than the network's. */
void dp_load_note_model(const dp_schedule *schedule, const dp_settings *settings,
                        const dp_graph *graph);

/** What every use of the library gets from the settings: seed, trials, threads, exclusions and the like. */
void dp_load_options(dp_learn_options *options, const dp_settings *settings, atomic_int *cancel,
                     const dp_progress *progress);

/** The options of an engine that sees the same sites and draws as `options` say. */
dp_engine_options dp_load_engine_options(const dp_learn_options *options,
                                         const dp_dataset *example);

/** Processors that this process may use, 1 to 1024. */
int dp_load_processors(void);

/** --threads, or one a processor that this process may use. */
int dp_load_threads(const dp_settings *settings);

/**
 * Find out before the long work whether `path` can be written; `make` its folders.
 *
 * Errors  DP_ERANGE, with the system's reason.
 */
dp_status dp_load_output(const char *path, bool make, dp_error *err);

#endif
