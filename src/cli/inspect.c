/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dynaprec inspect: the sites of a network. Shapes and MACs come from the file; with samples, ranges; with hardware, energy; with
 * both, the noise and the effective bits at one repetition.
 */
#include <math.h>
#include <string.h>

#include "cli/bar.h"
#include "cli/exit.h"
#include "cli/interrupt.h"
#include "cli/json.h"
#include "cli/load.h"
#include "cli/sensitivity.h"
#include "cli/table.h"
#include "cli/verbs.h"
#include "learn/explain.h"
#include "model/graph.h"

enum { WIDTH = 120 };

typedef struct inspection {
    const dp_settings *settings;
    dp_graph *graph;
    dp_graph *conditioned; /* as --schedule has it; NULL: nothing is done to the operands */
    dp_dataset *data;      /* NULL: no --data */
    dp_hardware hardware;
    dp_engine *engine;
    double *variance; /* [channels] at K = 1; NULL: not both of --data and --hardware */
    bool explains;    /* with --sensitivity or --schedule */
    dp_sensitivity sensitivity;
} inspection;

/* What is shown of a site; NaN where it is not known. */
typedef struct facts {
    const dp_site_info *info;
    double positions; /* of the product, a sample */
    double weight_low, weight_high;
    double sigma; /* of an output at K = 1, over channels and samples */
    double enob;
} facts;

/* ---- finding out ---- */

/* An accelerator without noise and energy, where none is named. */
static dp_hardware nothing(void) {
    return (dp_hardware){.name = "none", .percentile = 100, .energy.model = "per-mac"};
}

static dp_status read_inputs(inspection *in, dp_error *err) {
    const dp_settings *settings = in->settings;
    in->hardware = nothing();
    in->explains = settings->sensitivity || settings->schedule;
    dp_status status = DP_OK;
    if (in->explains) status = dp_sensitivity_open(&in->sensitivity, settings, err);
    if (status == DP_OK) status = dp_load_network(&in->graph, settings, err);
    if (settings->schedule) in->hardware = in->sensitivity.schedule.hardware;
    if (status == DP_OK && settings->hardware)
        status = dp_load_hardware(&in->hardware, settings, err);
    if (status == DP_OK && settings->data)
        status = dp_load_samples(&in->data, settings, in->graph, settings->data, err);
    if (status == DP_OK && settings->schedule)
        status = dp_load_conditioned(&in->conditioned, &in->sensitivity.schedule, settings,
                                     in->graph, err);
    return status;
}

/* Named, or the schedule's. */
static bool has_hardware(const inspection *in) {
    return in->settings->hardware || in->settings->schedule;
}

/* What the core computes. */
static const dp_graph *network(const inspection *in) {
    return in->conditioned ? in->conditioned : in->graph;
}

static dp_status look(inspection *in, const dp_progress *progress, dp_error *err) {
    dp_learn_options options;
    dp_load_options(&options, in->settings, dp_interrupt_watch(), progress);
    dp_engine_options engine = dp_load_engine_options(&options, in->data);
    if (in->conditioned) engine.conditioning = &in->sensitivity.schedule.conditioning;
    dp_status status = dp_engine_create(&in->engine, network(in), &in->hardware, &engine, err);
    if (status != DP_OK || !in->data) return status;
    status = dp_engine_survey(in->engine, in->data, err);
    if (status != DP_OK || !has_hardware(in)) return status;
    in->variance = dp_alloc((size_t)dp_engine_channels(in->engine), sizeof *in->variance);
    if (!in->variance) return dp_fail(err, DP_EMEMORY, "no memory for variances");
    dp_engine_variance(in->engine, in->variance);
    if (!in->explains) return DP_OK;
    dp_sensitivity_source source = {in->engine, in->graph, in->data, &in->hardware, in->variance};
    return dp_sensitivity_find(&in->sensitivity, in->settings, &source, err);
}

static void weight_range(const dp_graph *graph, const char *name, facts *f) {
    f->weight_low = f->weight_high = NAN;
    for (int v = 0; *name && v < graph->n_values; v++) {
        const dp_tensor *t = graph->values[v].constant;
        if (!t || t->dtype != DP_F32 || strcmp(graph->values[v].name, name) != 0) continue;
        int64_t count = dp_tensor_count(t);
        for (int64_t i = 0; i < count; i++) { /* fmin and fmax skip the NaN they start with */
            f->weight_low = fmin(f->weight_low, (double)((const float *)t->data)[i]);
            f->weight_high = fmax(f->weight_high, (double)((const float *)t->data)[i]);
        }
        return;
    }
}

static facts facts_of(const inspection *in, int site) {
    const dp_site_info *info = dp_engine_site(in->engine, site);
    facts f = {.info = info, .sigma = NAN, .enob = NAN};
    f.positions = info->macs / (double)(info->channels * info->depth);
    weight_range(network(in), info->weight, &f);
    if (!in->variance) return f;
    double mean = 0;
    for (int64_t c = 0; c < info->channels; c++)
        mean += in->variance[info->first_channel + c] / (double)info->channels;
    f.sigma = sqrt(mean);
    f.enob = dp_explain_enob(info, mean);
    return f;
}

/* ---- as a table ---- */

static void add_range(dp_table *table, bool known, double low, double high) {
    if (known && !isnan(low))
        dp_table_add(table, "%.3g..%.3g", low, high);
    else
        dp_table_add(table, "-");
}

static void add_number(dp_table *table, const char *format, double value) {
    char text[DP_SI_TEXT];
    dp_table_add(table, "%s", dp_cell_text(format, value, text));
}

static void add_site(dp_table *table, const inspection *in, int index) {
    facts f = facts_of(in, index);
    char text[DP_SI_TEXT];
    dp_table_add(table, "%d", index);
    dp_table_add(table, "%s", f.info->name);
    dp_table_add(table, "%s", f.info->op);
    dp_table_add(table, "%lld x %lld x %.0f", (long long)f.info->channels, (long long)f.info->depth,
                 f.positions);
    dp_table_add(table, "%s", dp_si_text(f.info->macs, "", text));
    add_range(table, true, f.weight_low, f.weight_high);
    add_range(table, in->data != NULL, f.info->input_low, f.info->input_high);
    add_range(table, in->data != NULL, f.info->output_low, f.info->output_high);
    add_number(table, "%.3g", f.sigma);
    add_number(table, "%.1f", f.enob);
}

static void print_totals(const inspection *in) {
    char macs[DP_SI_TEXT], energy[DP_SI_TEXT];
    double joules = 0;
    int sites = dp_engine_site_count(in->engine);
    for (int i = 0; i < sites; i++)
        joules += dp_engine_site(in->engine, i)->fixed_j +
                  dp_engine_site(in->engine, i)->per_repetition_j;
    printf("shape: channels x depth x positions; %d sites, %lld channels, %s MACs a sample", sites,
           (long long)dp_engine_channels(in->engine),
           dp_si_text(dp_engine_macs(in->engine), "", macs));
    if (has_hardware(in))
        printf("; on '%s' %s a sample at one repetition, %.4g aJ/MAC", in->hardware.name,
               dp_si_text(joules, "J", energy), 1e18 * joules / dp_engine_macs(in->engine));
    putchar('\n');
}

static void print_memory(const inspection *in) {
    char weights[DP_SI_TEXT], mapped[DP_SI_TEXT], forward[DP_SI_TEXT], reverse[DP_SI_TEXT];
    dp_memory m;
    dp_engine_memory(in->engine, &m);
    printf("memory: weights %s", dp_si_text(m.weights + m.stored, "B", weights));
    if (m.mapped > 0)
        printf(", %s of them mapped from their file", dp_si_text(m.mapped, "B", mapped));
    printf("; a thread %s for %lld samples at a time", dp_si_text(m.forward, "B", forward),
           (long long)m.batch);
    if (m.reverse_batch > 0)
        printf(", %s more for the reverse pass of %lld", dp_si_text(m.reverse, "B", reverse),
               (long long)m.reverse_batch);
    putchar('\n');
}

static dp_status print_table(const inspection *in, dp_error *err) {
    static const dp_table_column columns[] = {
        {.title = "#"},
        {.title = "site", .left = true, .elastic = true},
        {.title = "op", .left = true},
        {.title = "shape"},
        {.title = "MACs"},
        {.title = "weights"},
        {.title = "inputs"},
        {.title = "outputs"},
        {.title = "sigma"},
        {.title = "ENOB"},
        {.title = NULL},
    };
    dp_table table = {.columns = columns};
    for (int i = 0; i < dp_engine_site_count(in->engine); i++) add_site(&table, in, i);
    if (!dp_table_print(&table, stdout, WIDTH))
        return dp_fail(err, DP_EMEMORY, "no memory for a table");
    print_totals(in);
    return DP_OK;
}

static dp_status print_tables(const inspection *in, dp_error *err) {
    dp_status status =
        in->explains ? dp_sensitivity_print(&in->sensitivity, err) : print_table(in, err);
    if (status == DP_OK) print_memory(in);
    return status;
}

/* ---- as JSON ---- */

static void put_range(dp_json *json, const char *key, bool known, double low, double high) {
    dp_json_pair(json, key, known ? low : NAN, known ? high : NAN);
}

static void put_site(dp_json *json, const inspection *in, int index) {
    facts f = facts_of(in, index);
    bool hardware = has_hardware(in);
    dp_json_open(json, NULL, '{');
    dp_json_number(json, "index", index);
    dp_json_text(json, "name", f.info->name);
    dp_json_text(json, "op", f.info->op);
    dp_json_text(json, "weight", f.info->weight);
    dp_json_number(json, "channels", (double)f.info->channels);
    dp_json_number(json, "groups", (double)f.info->groups);
    dp_json_number(json, "depth", (double)f.info->depth);
    dp_json_number(json, "positions", f.positions);
    dp_json_number(json, "macs", f.info->macs);
    dp_json_number(json, "fixed_j", hardware ? f.info->fixed_j : NAN);
    dp_json_number(json, "per_repetition_j", hardware ? f.info->per_repetition_j : NAN);
    put_range(json, "weight_range", true, f.weight_low, f.weight_high);
    put_range(json, "input_range", in->data != NULL, f.info->input_low, f.info->input_high);
    put_range(json, "output_range", in->data != NULL, f.info->output_low, f.info->output_high);
    dp_json_number(json, "sigma", f.sigma);
    dp_json_number(json, "enob", f.enob);
    if (in->explains) dp_sensitivity_json(&in->sensitivity, json, f.info->name);
    dp_json_close(json, '}');
}

static void print_json(const inspection *in) {
    dp_json json = {.stream = stdout};
    dp_json_open(&json, NULL, '{');
    dp_json_text(&json, "model", in->settings->operands[0]);
    dp_json_number(&json, "channels", (double)dp_engine_channels(in->engine));
    dp_json_number(&json, "macs", dp_engine_macs(in->engine));
    dp_memory m;
    dp_engine_memory(in->engine, &m);
    dp_json_number(&json, "weights_bytes", m.weights + m.stored);
    dp_json_number(&json, "mapped_bytes", m.mapped);
    dp_json_number(&json, "thread_bytes", m.forward);
    dp_json_number(&json, "reverse_thread_bytes", m.reverse);
    if (in->explains) dp_sensitivity_totals_json(&in->sensitivity, &json);
    dp_json_open(&json, "sites", '[');
    for (int i = 0; i < dp_engine_site_count(in->engine); i++) put_site(&json, in, i);
    dp_json_close(&json, ']');
    dp_json_close(&json, '}');
}

int dp_verb_inspect(const dp_settings *settings) {
    inspection in = {.settings = settings};
    dp_error err = {DP_OK, ""};
    dp_bar bar;
    dp_bar_start(&bar, settings);
    dp_status status = read_inputs(&in, &err);
    if (status == DP_OK) status = look(&in, &bar.progress, &err);
    dp_bar_finish(&bar);
    if (status == DP_OK && settings->json)
        print_json(&in);
    else if (status == DP_OK)
        status = print_tables(&in, &err);
    int result = status == DP_OK ? DP_EXIT_DONE : dp_exit_failed(settings, &err);
    dp_free(in.variance);
    dp_engine_free(in.engine);
    dp_dataset_free(in.data);
    dp_graph_free(in.conditioned);
    dp_graph_free(in.graph);
    dp_sensitivity_clear(&in.sensitivity);
    return result;
}
