/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "network.h"

#include "base/alloc.h"

void network_clear(network *n) {
    dp_reference_free(n->reference);
    dp_engine_free(n->engine);
    dp_dataset_free(n->data);
    dp_graph_free(n->graph);
    dp_free(n->repetitions);
    dp_free(n->sensitivity);
    dp_free(n->scores);
}

static dp_status read_files(network *n, char **files, dp_error *err) {
    dp_status status = dp_graph_load(&n->graph, files[0], err);
    if (status != DP_OK) return status;
    int count = dp_graph_input_count(n->graph);
    dp_input_spec *specs = dp_alloc((size_t)count, sizeof *specs);
    if (!specs) return dp_fail(err, DP_EMEMORY, "no memory for the inputs");
    dp_engine_inputs(n->graph, specs);
    status = dp_dataset_open(&n->data, files[1], specs, count, NULL, err);
    dp_free(specs);
    return status == DP_OK ? dp_hardware_read(&n->hardware, files[2], err) : status;
}

static dp_status prepare(network *n, const network_setting *setting, dp_error *err) {
    dp_engine_options options = {
        .threads = setting->threads, .seed = 1, .example = n->data, .batch = setting->batch};
    dp_status status = dp_engine_create(&n->engine, n->graph, &n->hardware, &options, err);
    if (status == DP_OK) status = dp_engine_survey(n->engine, n->data, err);
    if (status == DP_OK) status = dp_engine_reference(&n->reference, n->engine, n->data, err);
    if (status != DP_OK) return status;
    int64_t channels = dp_engine_channels(n->engine);
    n->repetitions = dp_alloc((size_t)channels, sizeof *n->repetitions);
    n->sensitivity = dp_alloc((size_t)channels, sizeof *n->sensitivity);
    n->scores = dp_alloc((size_t)dp_dataset_count(n->data), sizeof *n->scores);
    if (!n->repetitions || !n->sensitivity || !n->scores)
        return dp_fail(err, DP_EMEMORY, "no memory for the results");
    for (int64_t c = 0; c < channels; c++) n->repetitions[c] = setting->repetitions;
    return DP_OK;
}

dp_status network_load(network *n, char **files, const network_setting *setting, dp_error *err) {
    dp_status status = read_files(n, files, err);
    return status == DP_OK ? prepare(n, setting, err) : status;
}

dp_status network_pass(network *n, int kind, dp_error *err) {
    dp_evaluation e = {.reference = n->reference, .repetitions = n->repetitions, .trials = 1};
    if (kind == NETWORK_REVERSE) return dp_engine_sensitivity(n->engine, &e, n->sensitivity, err);
    if (kind == NETWORK_CLEAN) e.repetitions = NULL;
    return dp_engine_evaluate(n->engine, &e, n->scores, err);
}
