/* SPDX-License-Identifier: GPL-3.0-or-later */
/* dynaprec eval: what a schedule, or one number of repetitions everywhere, does on given samples. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/bar.h"
#include "cli/exit.h"
#include "cli/interrupt.h"
#include "cli/load.h"
#include "cli/process.h"
#include "cli/result.h"
#include "cli/verbs.h"
#include "device/levels.h"

static const char *const level_text[] = {
    [DP_LEVELS_INTEGER] = ", whole numbers",
    [DP_LEVELS_POWER_OF_TWO] = ", powers of two",
    [DP_LEVELS_CONTINUOUS] = "",
};

typedef struct evaluation {
    const dp_settings *settings;
    dp_schedule schedule; /* empty with --repetitions */
    dp_hardware hardware;
    dp_graph *graph;
    dp_graph *conditioned; /* as the schedule has it; NULL: nothing is done to the operands */
    dp_dataset *data;
    dp_engine *engine;
    dp_learn_options options;
    double *repetitions; /* [channels] */
    dp_measure clean, noisy, uniform;
    bool has_uniform; /* the schedule knows what uniform precision would have met its budget */
} evaluation;

static dp_status read_inputs(evaluation *e, dp_error *err) {
    const dp_settings *settings = e->settings;
    dp_status status = DP_OK;
    if (settings->schedule) {
        status = dp_schedule_read(&e->schedule, settings->schedule, err);
        e->hardware = e->schedule.hardware;
    }
    if (status == DP_OK && settings->hardware)
        status = dp_load_hardware(&e->hardware, settings, err);
    if (status == DP_OK) status = dp_load_network(&e->graph, settings, err);
    if (status == DP_OK)
        status = dp_load_samples(&e->data, settings, e->graph, settings->data, err);
    if (status == DP_OK)
        status = dp_load_conditioned(&e->conditioned, &e->schedule, settings, e->graph, err);
    return status;
}

static bool allowed(const dp_hardware *hardware, double k) {
    return k >= hardware->repetitions_min && k <= hardware->repetitions_max &&
           dp_level_at_least(hardware, k) == k;
}

/* Another accelerator may not be able to do what the schedule asks for; its noise can still be compared. */
static void note_levels(const evaluation *e) {
    for (int64_t c = 0; c < dp_engine_channels(e->engine); c++) {
        if (allowed(&e->hardware, e->repetitions[c])) continue;
        dp_note(e->settings,
                "note: hardware '%s' cannot be set to all of the schedule's numbers (%g)",
                e->hardware.name, e->repetitions[c]);
        return;
    }
}

static dp_status set_repetitions(evaluation *e, dp_error *err) {
    int64_t channels = dp_engine_channels(e->engine);
    double k = e->settings->repetitions;
    e->repetitions = dp_alloc((size_t)channels, sizeof *e->repetitions);
    if (!e->repetitions) return dp_fail(err, DP_EMEMORY, "no memory for repetitions");
    if (e->settings->schedule) {
        dp_status status =
            dp_load_repetitions(e->repetitions, &e->schedule, e->settings, e->engine, err);
        if (status != DP_OK) return status;
        dp_load_note_model(&e->schedule, e->settings, e->graph);
        note_levels(e);
        return DP_OK;
    }
    if (!allowed(&e->hardware, k))
        return dp_fail(err, DP_ERANGE,
                       "--repetitions: hardware '%s' cannot be set to %g; %g to %g%s",
                       e->hardware.name, k, e->hardware.repetitions_min,
                       e->hardware.repetitions_max, level_text[e->hardware.levels]);
    for (int64_t c = 0; c < channels; c++) e->repetitions[c] = k;
    return DP_OK;
}

/* The same everywhere, where the schedule knows what of that would have met its budget; else NULL. */
static dp_status set_uniform(double **out, evaluation *e, dp_error *err) {
    double k = e->schedule.uniform.repetitions;
    int64_t channels = dp_engine_channels(e->engine);
    e->has_uniform = e->settings->schedule && !isnan(k);
    *out = NULL;
    if (!e->has_uniform) return DP_OK;
    *out = dp_alloc((size_t)channels, sizeof **out);
    if (!*out) return dp_fail(err, DP_EMEMORY, "no memory for repetitions");
    for (int64_t c = 0; c < channels; c++) (*out)[c] = k;
    return DP_OK;
}

static dp_status measure_both(evaluation *e, dp_error *err) {
    dp_measure measured[3];
    double *uniform;
    dp_status status = set_uniform(&uniform, e, err);
    if (status != DP_OK) return status;
    status = dp_measure_precisions(measured, e->engine, e->data,
                                   (const double *const[]){e->repetitions, uniform},
                                   e->has_uniform ? 2 : 1, &e->options, err);
    dp_free(uniform);
    if (status != DP_OK) return status;
    e->clean = measured[0];
    e->noisy = measured[1];
    if (!e->has_uniform) return DP_OK;
    e->uniform = measured[2];
    e->uniform.repetitions = e->schedule.uniform.repetitions;
    return DP_OK;
}

static dp_status measure(evaluation *e, const dp_progress *progress, dp_error *err) {
    dp_load_options(&e->options, e->settings, dp_interrupt_watch(), progress);
    dp_engine_options options = dp_load_engine_options(&e->options, e->data);
    if (e->conditioned) options.conditioning = &e->schedule.conditioning;
    dp_status status = dp_engine_create(&e->engine, e->conditioned ? e->conditioned : e->graph,
                                        &e->hardware, &options, err);
    if (status == DP_OK) status = set_repetitions(e, err);
    if (status == DP_OK) status = dp_engine_survey(e->engine, e->data, err);
    return status == DP_OK ? measure_both(e, err) : status;
}

/* Energies are counted, not estimated: no interval. */
static dp_figure saving_of(const evaluation *e) {
    double saving = e->has_uniform ? 1 - e->noisy.energy_j / e->uniform.energy_j : NAN;
    return (dp_figure){saving, NAN, NAN};
}

static void print_json(const evaluation *e) {
    dp_json json = {.stream = stdout};
    dp_figure saving = saving_of(e);
    dp_json_open(&json, NULL, '{');
    dp_json_number(&json, "samples", (double)dp_dataset_count(e->data));
    dp_json_number(&json, "confidence", e->options.confidence);
    dp_result_json(&json, "clean", &e->clean, DP_RESULT_CLEAN);
    dp_result_json(&json, "noisy", &e->noisy, DP_RESULT_NOISY);
    if (e->has_uniform) {
        dp_result_json(&json, "uniform", &e->uniform, DP_RESULT_UNIFORM);
        dp_json_number(&json, "saving", saving.value);
    }
    dp_json_close(&json, '}');
}

static dp_status print_table(const evaluation *e, dp_error *err) {
    dp_result_line lines[4] = {{"clean", &e->clean}, {"noisy", &e->noisy}};
    if (e->has_uniform) lines[2] = (dp_result_line){"uniform", &e->uniform};
    dp_figure saving = saving_of(e);
    printf("%s on %lld samples of %s, %d draws each\n", e->settings->operands[0],
           (long long)dp_dataset_count(e->data), e->settings->data, e->options.trials);
    dp_status status = dp_result_print(stdout, lines, e->options.confidence, err);
    if (status == DP_OK && dp_dataset_label_count(e->data) > 1) dp_result_perplexity(stdout, lines);
    if (status == DP_OK) dp_result_saving(stdout, &saving, e->uniform.repetitions);
    return status;
}

static dp_status check_usage(const dp_settings *settings, dp_error *err) {
    bool uniform = !isnan(settings->repetitions);
    if (!settings->schedule && !uniform)
        return dp_fail(err, DP_ERANGE,
                       "--schedule FILE.yaml is missing, or --hardware and --repetitions for the "
                       "same precision everywhere");
    if (uniform && !settings->hardware)
        return dp_fail(err, DP_ERANGE, "--hardware is missing: --repetitions alone has no noise");
    return DP_OK;
}

int dp_verb_eval(const dp_settings *settings) {
    evaluation e = {.settings = settings};
    dp_error err = {DP_OK, ""};
    dp_bar bar;
    dp_bar_start(&bar, settings);
    dp_status status = check_usage(settings, &err);
    if (status == DP_OK) status = read_inputs(&e, &err);
    if (status == DP_OK) status = measure(&e, &bar.progress, &err);
    status = dp_comm_leave(dp_process_comm(), status, &err);
    dp_bar_finish(&bar);
    if (status == DP_OK && settings->json)
        print_json(&e);
    else if (status == DP_OK)
        status = print_table(&e, &err);
    int result = status == DP_OK ? DP_EXIT_DONE : dp_exit_failed(settings, &err);
    dp_free(e.repetitions);
    dp_engine_free(e.engine);
    dp_dataset_free(e.data);
    dp_graph_free(e.conditioned);
    dp_graph_free(e.graph);
    dp_schedule_clear(&e.schedule);
    return result;
}
