/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Condition all that a network allows to be, with random vectors, and write the network.
 *
 *     condition MODEL.onnx OUT.onnx [SEED]
 *
 * Prints, as one JSON object, how many sites there are and how many were centred, balanced, and centred over positions; of the
 * balanced ones, how many alphas went into the node before; and how many nodes there were and are. Seed 0: nothing is conditioned.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "dynaprec/dynaprec.h"
#include "model/graph.h"

/* Means of activations are about as large as their spread, which differs by an octave or so between channels. */
static const float largest_mu = 0.5F, most_octaves = 1;

typedef struct counts {
    int centred, balanced, folded, positions;
} counts;

static float uniform(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return (float)(*state >> 40) / (float)(1 << 23) - 1;
}

/* Sites that read the same value get the same vectors, so that they can share what is added. */
static bool draw(dp_conditioned_site *to, const dp_conditionable *can, uint64_t seed, counts *n) {
    uint64_t state = seed * 1000003u + (uint64_t)can->operand;
    float *mu = dp_alloc((size_t)can->inputs + 1, sizeof *mu),
          *alpha = dp_alloc((size_t)can->inputs + 1, sizeof *alpha);
    if (!mu || !alpha) return false;
    for (int64_t i = 0; i < can->inputs; i++) {
        mu[i] = largest_mu * uniform(&state);
        alpha[i] = exp2f(most_octaves * uniform(&state));
    }
    *to = (dp_conditioned_site){.site = can->site,
                                .inputs = can->inputs,
                                .mu = can->centre ? mu : NULL,
                                .alpha = can->balance ? alpha : NULL,
                                .positions = can->positions};
    n->centred += can->centre;
    n->balanced += can->balance;
    n->folded += can->folds;
    n->positions += can->positions;
    return true;
}

static dp_status draw_all(dp_conditioning *c, const dp_conditionables *can, uint64_t seed,
                          counts *n, dp_error *err) {
    c->sites = dp_alloc((size_t)can->count + 1, sizeof *c->sites);
    for (c->count = 0; c->sites && seed && c->count < can->count; c->count++)
        if (!draw(&c->sites[c->count], &can->sites[c->count], seed, n)) break;
    bool all = c->sites && (!seed || c->count == can->count);
    return all ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory");
}

static dp_status condition(char **words, uint64_t seed, dp_error *err) {
    dp_graph *graph = NULL, *made = NULL;
    dp_conditionables can = {0};
    dp_conditioning c = {0};
    counts n = {0};
    dp_status status = dp_graph_load(&graph, words[0], err);
    if (status == DP_OK) status = dp_graph_conditionable(&can, graph, err);
    if (status == DP_OK) status = draw_all(&c, &can, seed, &n, err);
    if (status == DP_OK) status = dp_graph_condition(&made, graph, &c, err);
    if (status == DP_OK) status = dp_graph_save(made, words[1], err);
    if (status == DP_OK)
        printf("{\"sites\": %d, \"centred\": %d, \"balanced\": %d, \"folded\": %d, "
               "\"positions\": %d, \"nodes\": [%d, %d]}\n",
               can.count, n.centred, n.balanced, n.folded, n.positions, graph->n_nodes,
               made->n_nodes);
    for (int i = 0; i < c.count; i++) {
        dp_free((void *)(uintptr_t)c.sites[i].mu);
        dp_free((void *)(uintptr_t)c.sites[i].alpha);
    }
    dp_free(c.sites);
    dp_conditionables_clear(&can);
    dp_graph_free(made);
    dp_graph_free(graph);
    return status;
}

int main(int argc, char **argv) {
    dp_error err = {DP_OK, ""};
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: condition MODEL.onnx OUT.onnx [SEED]\n");
        return 2;
    }
    if (condition(argv + 1, argc > 3 ? strtoull(argv[3], NULL, 10) : 1, &err) == DP_OK) return 0;
    fprintf(stderr, "condition: %s\n", err.text);
    return 1;
}
