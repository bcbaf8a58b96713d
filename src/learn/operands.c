/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which operands are learned on: conditioned ones, the network's own, or whichever of them ends cheaper.
 *
 * Conditioning leaves the network's function as it is, so without converters less noise is all that it does. What converters
 * round, though, are other numbers then: another network, with other answers to lose. Both are tried there, and each is held to the
 * same budget from its own clean outputs.
 * Source  docs/methods.md, "Conditioning".
 */
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "dynaprec/comm.h"
#include "learn/pipeline.h"

bool dp_operands_contested(const dp_learn_options *o, const dp_hardware *h) {
    bool rounds = h->weight_bits > 0 || h->input_bits > 0 || h->output_bits > 0;
    return (o->condition & DP_CONDITION_OR_NONE) && rounds && dp_budget_loss(o);
}

/* The loser stands in the winner's schedule, and its work is counted there. */
static dp_status mention(dp_schedule *winner, const dp_attempt *loser, dp_status ended,
                         dp_error *err) {
    const dp_schedule *s = &loser->schedule; /* empty where the budget was out of reach */
    const char *none = ended == DP_ECANCELLED ? "interrupted" : "unmet";
    const char *word = loser->beaten ? "dearer" : s->status ? s->status : none;
    bool met = strcmp(word, "accepted") == 0 || strcmp(word, "uniform") == 0;
    winner->checks += s->checks;
    winner->checks_uniform += s->checks_uniform;
    winner->passes += loser->passes;
    winner->passes_shape += loser->passes_shape;
    winner->alternative = (dp_alternative){
        .status = dp_strdup(word),
        .conditioned = loser->conditioned,
        .energy_per_mac_aj = met ? s->learned.energy_per_mac_aj : NAN,
        .clean_top1 = s->status ? s->clean.top1.value : NAN,
    };
    return winner->alternative.status ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory for a word");
}

/*
 * Its own operands, after conditioned ones came to `status`. What these were accepted with is kept whatever happens, and an energy that drop and
 * loss were met with is what counts, whether or not it is more than an energy budget allows.
 */
static dp_status try_plain(dp_attempt *first, dp_status status, dp_schedule *out, dp_error *err) {
    dp_learn_options options = *first->options;
    options.condition = DP_CONDITION_NONE;
    dp_attempt plain = *first;
    plain.options = &options;
    plain.rival_j = first->met_j;
    dp_error why = {DP_OK, ""};
    dp_status ended = dp_attempt_run(&plain, &why);
    bool better = plain.met_j < first->met_j && plain.schedule.n_layers > 0;
    bool all_there_is = first->schedule.n_layers == 0 && plain.schedule.n_layers > 0;
    dp_attempt *winner = better || all_there_is ? &plain : first;
    dp_attempt *loser = winner == first ? &plain : first;
    bool over = ended == DP_OK || ended == DP_EUNMET || ended == DP_EBUDGET;
    bool told = over || ended == DP_ECANCELLED;
    if (!over || winner == &plain) {
        if (err) *err = why;
        status = ended;
    }
    dp_error forgotten = {DP_OK, ""};
    *out = winner->schedule;
    if (told && mention(out, loser, ended, &forgotten) != DP_OK)
        status = dp_fail(err, DP_EMEMORY, "%s", forgotten.text);
    dp_schedule_clear(&loser->schedule);
    return status;
}

static dp_status learn(dp_attempt *first, dp_schedule *out, dp_error *err) {
    bool contested = dp_operands_contested(first->options, first->hardware);
    dp_status status = dp_attempt_run(first, err);
    bool ended = status == DP_OK || status == DP_EUNMET || status == DP_EBUDGET;
    if (contested && ended && first->conditioned) return try_plain(first, status, out, err);
    *out = first->schedule;
    return status;
}

dp_status dp_learn(dp_schedule *out, const dp_graph *graph, const dp_hardware *hardware,
                   const dp_dataset *const data[2], const dp_learn_options *options,
                   dp_error *err) {
    dp_attempt first = {.graph = graph,
                        .hardware = hardware,
                        .data = data,
                        .options = options,
                        .rival_j = INFINITY};
    dp_status status = learn(&first, out, err);
    return dp_comm_leave(options->comm, status, err);
}
