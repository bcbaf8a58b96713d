/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every option of every verb, in the order of the help. To add one, write its row. */
#include <math.h>

#include "cli/options.h"

#define LEARN           DP_VERB_LEARN
#define EVAL            DP_VERB_EVAL
#define RUN             DP_VERB_RUN
#define INSPECT         DP_VERB_INSPECT
#define EXPORT          DP_VERB_EXPORT
#define DIFF            DP_VERB_DIFF
#define PLACE(member)   .offset = offsetof(dp_settings, member)
#define RANGE(from, to) .least = (from), .largest = (to)
#define HEADING(text, which)                                                                       \
    { .help = (text), .verbs = (which) }

static const char *const objectives[] = {"auto", "kl", "cross-entropy", NULL};
static const char *const conditions[] = {"none", "centre", "balance", "both",
                                         "auto", NULL}; /* load.c knows what they stand for */
static const char *const progress_modes[] = {"auto", "never", "json", NULL};

/* clang-format off */
const dp_option dp_options[] = {
    HEADING("Files", LEARN | EVAL | RUN | INSPECT | EXPORT),
    {"data", "calibration samples, and labels if there are any", LEARN, "FILE.npz",
     .take = dp_take_text, PLACE(data), .needed = true},
    {"data", "samples to measure on, and labels if there are any", EVAL, "FILE.npz",
     .take = dp_take_text, PLACE(data), .needed = true},
    {"data", "samples to take ranges and noise from", INSPECT, "FILE.npz",
     .take = dp_take_text, PLACE(data)},
    {"inputs", "arrays named as the network's inputs", RUN, "FILE.npz",
     .take = dp_take_text, PLACE(inputs), .needed = true},
    {"hardware", "the accelerator: a preset or a file of yours", LEARN, "NAME|FILE.yaml",
     .take = dp_take_text, PLACE(hardware), .needed = true},
    {"schedule", "the precision to measure", EVAL, "FILE.yaml",
     .take = dp_take_text, PLACE(schedule)},
    {"schedule", "the precision that --sensitivity explains, with the hardware it was learned for unless --hardware is given",
     INSPECT, "FILE.yaml", .take = dp_take_text, PLACE(schedule)},
    {"hardware", "the accelerator: a preset or a file of yours; left out: the schedule's own", EVAL,
     "NAME|FILE.yaml", .take = dp_take_text, PLACE(hardware)},
    {"hardware", "the accelerator, for energy, noise and effective bits", INSPECT, "NAME|FILE.yaml",
     .take = dp_take_text, PLACE(hardware)},
    {"repetitions", "measure this number everywhere, in place of a schedule", EVAL, "K",
     .take = dp_take_number, PLACE(repetitions), RANGE(0, INFINITY), .open = true},
    {"output", "the schedule; folders are made", LEARN, "FILE.yaml", "results/schedule.yaml",
     .take = dp_take_text, PLACE(output), .letter = 'o'},
    {"output", "the network's outputs; folders are made", RUN, "FILE.npz",
     .take = dp_take_text, PLACE(output), .letter = 'o', .needed = true},
    {"model", "the network that the schedule was learned for", EXPORT, "MODEL.onnx",
     .take = dp_take_text, PLACE(model), .needed = true},
    {"to", "what the file is for: onnx, the conditioned network for any runtime", EXPORT, "NAME",
     .take = dp_take_target, PLACE(target), .needed = true},
    {"output", "the file; folders are made", EXPORT, "FILE",
     .take = dp_take_text, PLACE(output), .letter = 'o', .needed = true},
    {"cache", "folder where finished passes are kept, so that a repeated or interrupted run goes on from there; "
     "'none': nowhere. Left out: .dynaprec-cache beside the schedule", LEARN, "DIR",
     .take = dp_take_text, PLACE(cache)},
    {"check", "samples that accept or reject the result; left out: a part of --data", LEARN, "FILE.npz",
     .take = dp_take_text, PLACE(check)},
    {"check-fraction", "the part of --data that is set aside for that", LEARN, "F", "0.5",
     .take = dp_take_number, PLACE(check_fraction), RANGE(0, 1), .open = true},
    {"mean", "of uint8 images, x = (x/255 - mean)/std: one number or one a channel; left out: the file's",
     LEARN | EVAL | RUN | INSPECT, "M[,M...]",
     .take = dp_take_numbers, PLACE(mean), RANGE(-1e6, 1e6)},
    {"std", "likewise", LEARN | EVAL | RUN | INSPECT, "S[,S...]",
     .take = dp_take_numbers, PLACE(std), RANGE(0, INFINITY), .open = true},
    {"output-name", "the output that holds the predictions; left out: the first one", LEARN | EVAL | INSPECT,
     "NAME", .take = dp_take_text, PLACE(output_name)},

    HEADING("Budgets (at least one)", LEARN),
    {"max-drop", "points of top-1 accuracy that may be lost; without labels, of agreement", LEARN, "POINTS",
     .take = dp_take_number, PLACE(max_drop), RANGE(0, 100), .open = true},
    {"max-loss", "how far the objective may rise above the clean network's", LEARN, "NATS",
     .take = dp_take_number, PLACE(max_loss), RANGE(0, INFINITY), .open = true},
    {"energy", "2.7aJ/MAC: a mean; 40uJ: a sample; 30%: of what uniform precision needs for the other budget (1 point when there is none)",
     LEARN, "E", .take = dp_take_energy, PLACE(energy)},
    {"latency", "2x: of the time of one repetition everywhere; 40us: a sample, where the hardware file says how long an operation takes",
     LEARN, "T", .take = dp_take_latency, PLACE(latency)},

    HEADING("Precision", LEARN | EVAL | INSPECT),
    {"granularity", "what shares a number of repetitions: layer, channel or tile:N", LEARN, "G", "layer",
     .take = dp_take_grain, PLACE(granularity)},
    {"min-repetitions", "the least that a site which is not fixed may have; left out: the hardware's", LEARN, "K",
     .take = dp_take_number, PLACE(min_repetitions), RANGE(0, INFINITY), .open = true},
    {"max-repetitions", "the most; uniform precision is held to both", LEARN, "K",
     .take = dp_take_number, PLACE(max_repetitions), RANGE(0, INFINITY), .open = true},
    {"fix", "pin the sites whose name matches to K repetitions; may be repeated", LEARN, "'GLOB=K'",
     .take = dp_take_fix, PLACE(fixes), .many = true},
    {"group", "the sites whose name matches share one number, whatever the granularity is; may be repeated", LEARN, "GLOB",
     .take = dp_take_word, PLACE(groups), .many = true},
    {"exclude", "sites that run digitally: no noise, no energy; may be repeated", LEARN | EVAL | INSPECT, "GLOB",
     .take = dp_take_word, PLACE(exclude), .many = true},
    {"condition", "what may be done to the operands of sites, where it lowers their noise: none, centre, balance, both, or auto (both; where converters round, none if that ends cheaper)", LEARN,
     "HOW", "auto", .take = dp_take_choice, PLACE(condition), .words = conditions},

    HEADING("Search", LEARN),
    {"search", "how the relaxed precision is refined: stochastic (the default for a drop of labels by channel or tile), marginal (the default for other budgets), operating-point, clean-point, gradient-free, bfgs2, conjugate_pr, simplex, anneal or adam", LEARN, "NAME",
     .take = dp_take_search, PLACE(search)},
    {"max-evaluations", "of a search that takes many passes; left out: its own number", LEARN, "N",
     .take = dp_take_count, PLACE(stop.max_evaluations), RANGE(1, 1e9)},
    {"max-seconds", "of such a search; equal runs then need not give equal schedules", LEARN, "S",
     .take = dp_take_number, PLACE(stop.max_seconds), RANGE(0, INFINITY), .open = true},
    {"tolerance", "relative gain below which bfgs2, conjugate_pr or simplex ends; left out: 0.001", LEARN, "T",
     .take = dp_take_number, PLACE(stop.tolerance), RANGE(0, 1), .open = true},
    {"objective", "what is kept small: kl (divergence from the clean output), cross-entropy (labels) or auto (kl; what a search minimises for a drop of labels: cross-entropy)", LEARN,
     "NAME", "auto", .take = dp_take_choice, PLACE(objective), .words = objectives},

    HEADING("Measuring", LEARN | EVAL | INSPECT),
    {"sensitivity", "what each layer takes and what it adds to the loss, at one repetition or with a schedule", INSPECT,
     .take = dp_take_flag, PLACE(sensitivity)},
    {"trials", "draws of the noise for each sample", LEARN | EVAL, "N", "4",
     .take = dp_take_count, PLACE(trials), RANGE(1, 100000)},
    {"confidence", "of intervals and bounds", LEARN | EVAL, "C", "0.95",
     .take = dp_take_number, PLACE(confidence), RANGE(0.5, 1), .open = true},
    {"seed", "of all draws: equal seeds give equal results at any number of threads", LEARN | EVAL | INSPECT, "N", "1",
     .take = dp_take_seed, PLACE(seed)},

    HEADING("Running", LEARN | EVAL | RUN | INSPECT | EXPORT | DIFF),
    {"whole", "feed the arrays as they are, not as samples along the first axis", RUN,
     .take = dp_take_flag, PLACE(whole)},
    {"threads", "left out: one a processor", LEARN | EVAL | RUN | INSPECT, "N",
     .take = dp_take_count, PLACE(threads), RANGE(1, 1024)},
    {"dry-run", "read and check everything, say what would be done, write nothing", LEARN,
     .take = dp_take_flag, PLACE(dry_run)},
    {"json", "results as one JSON object", LEARN | EVAL | INSPECT | DIFF,
     .take = dp_take_flag, PLACE(json)},
    {"progress", "auto (a bar, on a terminal), never or json (a line a report, on stderr)",
     LEARN | EVAL | INSPECT, "MODE", "auto",
     .take = dp_take_choice, PLACE(progress), .words = progress_modes},
    {"quiet", "no notes and no bar on stderr: errors only", LEARN | EVAL | RUN | INSPECT | EXPORT | DIFF,
     .take = dp_take_flag, PLACE(quiet)},
    {.name = NULL},
};
/* clang-format on */

const dp_conflict dp_conflicts[] = {
    {"check", "check-fraction", "with a file of check samples nothing is set aside"},
    {"schedule", "repetitions", "precision comes from one of them"},
    {"whole", "mean", "arrays are fed as they are"},
    {"whole", "std", "arrays are fed as they are"},
    {"whole", "threads", "there are no samples to spread over threads"},
    {NULL, NULL, NULL},
};
