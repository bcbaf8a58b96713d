/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dynaprec learn: from a network, samples and an accelerator to a schedule. Everything that can be wrong with files and options
 * is found before the long work, and what was learned is written even when the work is interrupted or misses its budget.
 */
#include <limits.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/bar.h"
#include "cli/exit.h"
#include "cli/interrupt.h"
#include "cli/layers.h"
#include "cli/load.h"
#include "cli/process.h"
#include "cli/result.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "engine/share.h"
#include "learn/pipeline.h"
#include "learn/range.h"
#include "learn/refine/refine.h"
#include "learn/units.h"
#include "plan/schedule_format.h"

typedef struct task {
    const dp_settings *settings;
    dp_graph *graph;
    dp_hardware hardware;
    dp_dataset *data;    /* --data */
    dp_dataset *half[2]; /* to learn from, to check on; half[0] is `data` itself with --check */
    dp_learn_options options;
    char goal[256];
    char *cache; /* folder */
    dp_schedule schedule;
} task;

/* ---- before ---- */

static dp_status check_usage(const dp_settings *settings, dp_error *err) {
    if (!isnan(settings->max_drop) || !isnan(settings->max_loss) || settings->energy.unit ||
        settings->latency.unit)
        return DP_OK;
    return dp_fail(err, DP_ERANGE,
                   "a budget is missing: --max-drop POINTS, --max-loss NATS, --energy E or "
                   "--latency T");
}

static dp_status read_samples(task *t, dp_error *err) {
    const dp_settings *settings = t->settings;
    dp_status status = dp_load_samples(&t->data, settings, t->graph, settings->data, err);
    if (status != DP_OK) return status;
    if (!settings->check)
        return dp_dataset_split(t->data, settings->check_fraction, settings->seed, &t->half[0],
                                &t->half[1], err);
    t->half[0] = t->data;
    status = dp_load_samples(&t->half[1], settings, t->graph, settings->check, err);
    if (status == DP_OK &&
        strcmp(dp_dataset_sha256(t->half[0]), dp_dataset_sha256(t->half[1])) == 0)
        return dp_fail(err, DP_ERANGE,
                       "--check %s has the content of --data: samples that were learned from say "
                       "nothing about others",
                       settings->check);
    return status;
}

static dp_status read_inputs(task *t, dp_error *err) {
    dp_status status = dp_load_hardware(&t->hardware, t->settings, err);
    if (status == DP_OK) status = dp_load_network(&t->graph, t->settings, err);
    return status == DP_OK ? read_samples(t, err) : status;
}

/* Budgets in the user's words. */
static void write_goal(const dp_settings *settings, char *text, size_t size) {
    size_t used = 0;
    text[0] = '\0';
    if (!isnan(settings->max_drop))
        used += (size_t)snprintf(text, size, "max-drop %g", settings->max_drop);
    if (!isnan(settings->max_loss))
        used += (size_t)snprintf(text + used, size - used, "%smax-loss %g", used ? ", " : "",
                                 settings->max_loss);
    if (settings->energy.unit)
        used += (size_t)snprintf(text + used, size - used, "%senergy %.64s", used ? ", " : "",
                                 settings->energy.text);
    if (settings->latency.unit)
        snprintf(text + used, size - used, "%slatency %.64s", used ? ", " : "",
                 settings->latency.text);
}

/* ---- instead: --dry-run ---- */

/* The library's own checks: the work is cancelled from the start, so it stops where the first pass would begin. */
static dp_status rehearse(task *t, dp_engine *engine, dp_error *err) {
    const dp_dataset *const halves[] = {t->half[0], t->half[1]};
    dp_status status = dp_learn(&t->schedule, t->graph, &t->hardware, halves, &t->options, err);
    dp_criterion drop = {.quantity = DP_DROP};
    if (status == DP_ECANCELLED && !isnan(t->options.max_drop)) {
        dp_status kind = dp_criterion_adapt(&drop, engine, halves[1], err);
        if (kind != DP_OK) return kind;
    }
    for (int i = 0; i < 2 && status == DP_ECANCELLED; i++) { /* labels that fit the outputs */
        dp_reference *reference = NULL;
        status = dp_engine_reference(&reference, engine, halves[i], err);
        dp_reference_free(reference);
    }
    return status == DP_ECANCELLED ? DP_OK : status;
}

/* A budget of accuracy or loss is met by search, one of energy or latency by arithmetic. */
static bool searches(const dp_settings *settings) {
    return !isnan(settings->max_drop) || !isnan(settings->max_loss) ||
           settings->energy.unit == DP_ENERGY_OF_UNIFORM;
}

/* What the search takes on top; its name has been checked by then. */
static void describe_search(const task *t) {
    dp_search search = {.options = &t->options,
                        .learn = {.data = t->half[0], .samples = dp_dataset_count(t->half[0])},
                        .check = {.data = t->half[1], .samples = dp_dataset_count(t->half[1])}};
    dp_check_criteria(&search);
    const dp_refiner *refiner = dp_refiner_default(&search);
    if (t->options.search && dp_refiner_find(t->options.search, &refiner, NULL) != DP_OK) return;
    const char *limits = refiner->traits & DP_REFINER_SEARCHES
                             ? ", on top of these passes, until it reaches its limits"
                             : "";
    printf("search    %s%s\n", refiner->name, limits);
}

static void describe(const task *t, const dp_engine *engine, int units) {
    char macs[DP_SI_TEXT];
    const dp_settings *settings = t->settings;
    dp_hardware range = t->hardware;
    dp_range_narrow(&range, &t->hardware, &t->options, NULL); /* which has been checked */
    printf("network   %s: %d sites, %lld channels, %s MACs a sample\n", settings->operands[0],
           dp_engine_site_count(engine), (long long)dp_engine_channels(engine),
           dp_si_text(dp_engine_macs(engine), "", macs));
    printf("hardware  %s: %g to %g repetitions\n", t->hardware.name, range.repetitions_min,
           range.repetitions_max);
    printf("samples   %lld of %s to learn from, %lld of %s to check on\n",
           (long long)dp_dataset_count(t->half[0]), dp_dataset_path(t->half[0]),
           (long long)dp_dataset_count(t->half[1]), dp_dataset_path(t->half[1]));
    printf("goal      %s, with %d numbers of repetitions\n", t->goal, units);
    printf(
        "passes    1 clean over the check samples; over those to learn from 2 clean and at most\n"
        "          2 forward and reverse; then noisy ones of up to %d draws, %s\n",
        t->options.trials, searches(settings) ? "usually 20 to 60" : "2");
    if (dp_operands_contested(&t->options, &t->hardware))
        printf(
            "          the same again on operands as they are, as far as these can be cheaper\n");
    describe_search(t);
    printf("output    %s; nothing is written now\n", settings->output);
}

static void describe_json(const task *t, const dp_engine *engine, int units) {
    dp_json json = {.stream = stdout};
    dp_json_open(&json, NULL, '{');
    dp_json_text(&json, "goal", t->goal);
    dp_json_text(&json, "hardware", t->hardware.name);
    dp_json_number(&json, "sites", dp_engine_site_count(engine));
    dp_json_number(&json, "channels", (double)dp_engine_channels(engine));
    dp_json_number(&json, "macs", dp_engine_macs(engine));
    dp_json_number(&json, "learn_count", (double)dp_dataset_count(t->half[0]));
    dp_json_number(&json, "check_count", (double)dp_dataset_count(t->half[1]));
    dp_json_number(&json, "numbers", units);
    dp_json_text(&json, "schedule", t->settings->output);
    dp_json_close(&json, '}');
}

static dp_status dry_run(task *t, dp_error *err) {
    atomic_int cancelled = 1;
    dp_engine *engine = NULL;
    dp_units units = {0};
    t->options.cancel = &cancelled;
    dp_engine_options options = dp_load_engine_options(&t->options, t->half[0]);
    dp_status status = dp_load_output(t->settings->output, false, err);
    if (status == DP_OK) status = dp_engine_create(&engine, t->graph, &t->hardware, &options, err);
    if (status == DP_OK) status = dp_units_create(&units, engine, &t->hardware, &t->options, err);
    if (status == DP_OK) status = rehearse(t, engine, err);
    if (status == DP_OK && t->settings->json)
        describe_json(t, engine, units.count);
    else if (status == DP_OK)
        describe(t, engine, units.count);
    dp_units_clear(&units);
    dp_engine_free(engine);
    return status;
}

/* ---- after ---- */

/* There is nothing to compare with where uniform precision cannot be as precise, or as fast. */
static void print_no_uniform(const dp_schedule *s) {
    char k[DP_SI_TEXT];
    if (!isnan(s->uniform.repetitions))
        printf("saving: unknown, as uniform precision does not meet the budgets; the nearest is K "
               "= %s "
               "everywhere\n",
               dp_count_cell(s->uniform.repetitions, k));
}

static dp_status print_tables(const task *t, dp_error *err) {
    const dp_schedule *s = &t->schedule;
    dp_result_line lines[4] = {{"clean", &s->clean}, {"learned", &s->learned}};
    if (!isnan(s->uniform.repetitions)) lines[2] = (dp_result_line){"uniform", &s->uniform};
    dp_status status = dp_layers_print(stdout, s->layers, s->n_layers, err);
    putchar('\n');
    if (status == DP_OK) status = dp_result_print(stdout, lines, s->confidence, err);
    if (status != DP_OK) return status;
    if (dp_dataset_label_count(t->half[1]) > 1) dp_result_perplexity(stdout, lines);
    if (searches(t->settings) && isnan(s->saving.value))
        print_no_uniform(s);
    else if (searches(t->settings))
        dp_result_saving(stdout, &s->saving, s->uniform.repetitions);
    else
        dp_result_divergence(stdout, s);
    dp_result_rounding(stdout, &s->rounding);
    printf("schedule: %s (%s; %s", t->settings->output, s->goal, s->status);
    if (s->active) printf("; active budget: %s", dp_budget_words[s->active]);
    printf("; checked on %lld samples)\n", (long long)s->check_count);
    return DP_OK;
}

static void print_json(const task *t) {
    const dp_schedule *s = &t->schedule;
    dp_json json = {.stream = stdout};
    dp_json_open(&json, NULL, '{');
    dp_json_text(&json, "status", s->status);
    dp_json_text(&json, "goal", s->goal);
    dp_result_budget_json(&json, s->active);
    dp_json_text(&json, "schedule", t->settings->output);
    dp_json_number(&json, "learn_count", (double)s->learn_count);
    dp_json_number(&json, "check_count", (double)s->check_count);
    dp_json_number(&json, "confidence", s->confidence);
    dp_json_number(&json, "checks", s->checks);
    dp_json_number(&json, "checks_uniform", s->checks_uniform);
    dp_json_number(&json, "passes", s->passes);
    dp_json_number(&json, "passes_shape", s->passes_shape);
    dp_result_json(&json, "clean", &s->clean, DP_RESULT_CLEAN);
    dp_result_json(&json, "learned", &s->learned, DP_RESULT_NOISY);
    dp_result_json(&json, "uniform", &s->uniform, DP_RESULT_UNIFORM);
    dp_result_figure(&json, "saving", &s->saving);
    dp_result_rounding_json(&json, &s->rounding);
    dp_result_alternative_json(&json, &s->alternative);
    dp_layer_totals totals = dp_layers_total(s->layers, s->n_layers);
    dp_json_open(&json, "layers", '[');
    for (int i = 0; i < s->n_layers; i++) {
        dp_json_open(&json, NULL, '{');
        dp_json_text(&json, "name", s->layers[i].name);
        dp_json_number(&json, "index", s->layers[i].index);
        dp_layer_json(&json, &s->layers[i], &totals);
        dp_json_close(&json, '}');
    }
    dp_json_close(&json, ']');
    dp_json_close(&json, '}');
}

/* What was learned is written and shown, whether it meets the budget or not. */
static int deliver(task *t, dp_status learned, dp_error *err) {
    dp_error fault = {DP_OK, ""};
    if (t->schedule.n_layers > 0) {
        if (dp_process_first() &&
            dp_schedule_write(&t->schedule, t->settings->output, &fault) != DP_OK)
            return dp_exit_unwritten(t->settings, &fault);
        if (t->settings->json)
            print_json(t);
        else if (print_tables(t, &fault) != DP_OK)
            return dp_exit_failed(t->settings, &fault);
    }
    if (learned == DP_ECANCELLED)
        dp_fail(err, learned, "%s%s%s", err->text,
                t->schedule.n_layers ? "; what was learned so far is in "
                                     : " before anything was learned",
                t->schedule.n_layers ? t->settings->output : "");
    return learned == DP_OK ? DP_EXIT_DONE : dp_exit_failed(t->settings, err);
}

/* The library goes over to another search where an operator has no reverse pass. */
static void note_search(const task *t) {
    if (t->schedule.obstacle)
        dp_note(t->settings, "%s; sensitivities were measured unit by unit (--search %s)",
                t->schedule.obstacle, t->schedule.search);
}

/* Something that would lower the noise was not tried. */
static void note_signs(const task *t) {
    int sites = t->schedule.unsigned_sites;
    if (sites > 0)
        dp_note(t->settings,
                "%d site%s not centred: %s no negative values, and hardware '%s' does not say that "
                "its inputs may be negative (bits.signed_inputs)",
                sites, sites == 1 ? " is" : "s are", sites == 1 ? "it reads" : "they read",
                t->hardware.name);
}

/* Both kinds of operands were tried, and the network's own have won. */
static void note_operands(const task *t) {
    const dp_alternative *a = &t->schedule.alternative;
    char top1[64] = "";
    if (!a->status || !a->conditioned) return;
    if (!isnan(a->clean_top1))
        snprintf(top1, sizeof top1, "; their clean top-1 is %.2f%%", 100 * a->clean_top1);
    if (isnan(a->energy_per_mac_aj))
        dp_note(t->settings,
                "operands are left as they are: conditioned ones did not meet the budget%s", top1);
    else
        dp_note(
            t->settings,
            "operands are left as they are: conditioned ones, which --condition both keeps, need "
            "%.4g aJ/MAC for the budget%s",
            a->energy_per_mac_aj, top1);
}

/* mpirun ties a process to one processor, unless it is told otherwise. */
static void note_binding(const task *t) {
    if (t->options.comm && t->options.threads > dp_load_processors())
        dp_note(t->settings,
                "%d threads share %d processor%s: mpirun --bind-to none, or --map-by slot:PE=%d",
                t->options.threads, dp_load_processors(), dp_load_processors() == 1 ? "" : "s",
                t->options.threads);
}

static int learn(task *t, dp_error *err) {
    const dp_settings *settings = t->settings;
    dp_bar bar;
    dp_note(settings, "%s: learning from %lld samples, checking on %lld%s", settings->operands[0],
            (long long)dp_dataset_count(t->half[0]), (long long)dp_dataset_count(t->half[1]),
            dp_dataset_label_count(t->half[1]) || dp_dataset_target_count(t->half[1])
                ? ""
                : ", without labels 'y': agreement with the clean network counts");
    note_binding(t);
    dp_bar_start(&bar, settings);
    t->options.progress = &bar.progress;
    t->options.cancel = dp_interrupt_watch();
    dp_status status =
        dp_learn(&t->schedule, t->graph, &t->hardware,
                 (const dp_dataset *const[]){t->half[0], t->half[1]}, &t->options, err);
    dp_bar_finish(&bar);
    note_search(t);
    note_signs(t);
    note_operands(t);
    return deliver(t, status, err);
}

/* A folder that was asked for has to be one that can be written to. */
static dp_status check_folder(const char *folder, dp_error *err) {
    char probe[PATH_MAX];
    snprintf(probe, sizeof probe, "%s/passes", folder);
    return dp_load_output(probe, true, err);
}

/* Where finished passes are kept: beside the schedule, unless told. */
static dp_status place_cache(task *t, dp_error *err) {
    const char *given = t->settings->cache, *output = t->settings->output;
    const char *slash = strrchr(output, '/');
    int folder = slash ? (int)(slash - output) + 1 : 0;
    if (given && strcmp(given, "none") == 0) return DP_OK;
    size_t size = (given ? strlen(given) : (size_t)folder + strlen(".dynaprec-cache")) + 1;
    t->cache = dp_alloc(size, 1);
    if (!t->cache) return dp_fail(err, DP_EMEMORY, "no memory for a file name");
    if (given)
        memcpy(t->cache, given, size);
    else
        snprintf(t->cache, size, "%.*s.dynaprec-cache", folder, output);
    t->options.cache = t->cache;
    return given && dp_process_first() ? check_folder(given, err) : DP_OK;
}

static dp_status prepare(task *t, dp_error *err) {
    const dp_settings *settings = t->settings;
    dp_load_options(&t->options, settings, NULL, NULL);
    write_goal(settings, t->goal, sizeof t->goal);
    t->options.goal = t->goal;
    if (settings->dry_run) {
        t->options.comm = NULL; /* every process checks by itself */
        return dry_run(t, err);
    }
    if (dp_process_first()) {
        dp_status status = dp_load_output(settings->output, true, err);
        if (status != DP_OK) return status;
    }
    return place_cache(t, err);
}

int dp_verb_learn(const dp_settings *settings) {
    task t = {.settings = settings};
    dp_error err = {DP_OK, ""};
    int result = DP_EXIT_DONE;
    dp_status status = check_usage(settings, &err);
    if (status == DP_OK) status = read_inputs(&t, &err);
    if (status == DP_OK) status = prepare(&t, &err);
    status = dp_share_agree(dp_process_comm(), status, &err);
    if (status != DP_OK)
        result = dp_exit_failed(settings, &err);
    else if (!settings->dry_run)
        result = learn(&t, &err);
    dp_free(t.cache);
    dp_schedule_clear(&t.schedule);
    if (t.half[0] != t.data) dp_dataset_free(t.half[0]);
    dp_dataset_free(t.half[1]);
    dp_dataset_free(t.data);
    dp_graph_free(t.graph);
    return result;
}
