/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The program: finds the verb, lets the table of options read its words, and ends with the verb's exit status. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/exit.h"
#include "cli/options.h"
#include "cli/process.h"
#include "cli/start.h"
#include "cli/suggest.h"
#include "cli/verbs.h"
#include "dynaprec/kernels.h"

static const dp_verb verbs[] = {
    {
        .name = "learn",
        .bit = DP_VERB_LEARN,
        .operands = {"MODEL.onnx"},
        .usage = "--data FILE.npz --hardware NAME BUDGET... [OPTION...]",
        .summary = "learn how often each layer has to be repeated, and write the schedule",
        .about = "Learns a precision schedule: the repetitions of each layer, channel or tile that "
                 "meet the budgets "
                 "at the least energy. Part of the samples is set aside; the schedule is accepted "
                 "on them.",
        .example =
            "  dynaprec learn model.onnx --data calib.npz --hardware homodyne --max-drop 2 \\\n"
            "      --granularity channel -o schedule.yaml",
        .run = dp_verb_learn,
    },
    {
        .name = "eval",
        .bit = DP_VERB_EVAL,
        .operands = {"MODEL.onnx"},
        .usage = "--data FILE.npz (--schedule FILE.yaml [--hardware NAME] | --hardware NAME "
                 "--repetitions K)",
        .summary = "measure a schedule, or one number of repetitions everywhere",
        .about = "Measures the network with the noise that a schedule leaves, beside the clean "
                 "network and, where the "
                 "schedule has one, beside uniform precision. Quantisers are calibrated on the "
                 "samples given.",
        .example =
            "  dynaprec eval model.onnx --data test.npz --schedule schedule.yaml\n"
            "  dynaprec eval model.onnx --data test.npz --hardware homodyne --repetitions 64",
        .run = dp_verb_eval,
    },
    {
        .name = "run",
        .bit = DP_VERB_RUN,
        .operands = {"MODEL.onnx"},
        .usage = "--inputs FILE.npz -o FILE.npz [OPTION...]",
        .summary = "run the network without noise, to compare with another framework",
        .about =
            "Runs the network as the file has it, without noise and quantisers, and writes every "
            "output under its "
            "name. Inputs are samples along their first axis; --whole feeds arrays as they are.",
        .example = "  dynaprec run model.onnx --inputs in.npz -o out.npz",
        .run = dp_verb_run,
    },
    {
        .name = "inspect",
        .bit = DP_VERB_INSPECT,
        .operands = {"MODEL.onnx"},
        .usage = "[--hardware NAME] [--data FILE.npz [--sensitivity] [--schedule FILE.yaml]] "
                 "[OPTION...]",
        .summary = "list the sites where the analog core multiplies",
        .about =
            "Lists the sites: channels x depth of the dot product x positions, "
            "multiply-accumulates (MACs) a "
            "sample and the range of the weights; with --data, the ranges of inputs and "
            "outputs; with --hardware too, "
            "the standard deviation of the outputs' noise at one repetition and their "
            "effective number of bits. With --sensitivity: each layer's share of the energy and of "
            "the predicted loss, what the next joule would save of it, and which bound keeps "
            "it where it is.",
        .example =
            "  dynaprec inspect model.onnx --hardware homodyne --data calib.npz\n"
            "  dynaprec inspect model.onnx --data calib.npz --sensitivity --schedule schedule.yaml",
        .run = dp_verb_inspect,
    },
    {
        .name = "export",
        .bit = DP_VERB_EXPORT,
        .operands = {"SCHEDULE.yaml"},
        .usage = "--model MODEL.onnx --to NAME -o FILE",
        .summary = "write a schedule for another program",
        .about = "Writes what a schedule says in the format of another program. To onnx: the "
                 "network that the core computes, folded and conditioned as the schedule says, for "
                 "any runtime to execute.",
        .example =
            "  dynaprec export schedule.yaml --model model.onnx --to onnx -o conditioned.onnx",
        .run = dp_verb_export,
    },
    {
        .name = "diff",
        .bit = DP_VERB_DIFF,
        .operands = {"A.yaml", "B.yaml"},
        .usage = "[OPTION...]",
        .summary = "compare two schedules of one network",
        .about = "Compares what two schedules were made for and what they measured, and then, what "
                 "changes "
                 "most first, the layers whose repetitions differ: their repetitions (least / mean "
                 "/ most of "
                 "the channels), energy, share of the predicted loss, and what the next joule "
                 "would save of it. "
                 "Exit status: 0 when all repetitions are the same, 1 when some differ.",
        .example = "  dynaprec diff layer.yaml channel.yaml",
        .run = dp_verb_diff,
    },
};
enum { VERBS = sizeof verbs / sizeof *verbs };

static const dp_verb *find_verb(const char *name) {
    for (int i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

static void print_help(FILE *stream) {
    fputs("dynaprec VERB FILE... [OPTION...]\n\n"
          "Learns how precise each layer of a network has to be on a noisy analog accelerator.\n\n",
          stream);
    for (int i = 0; i < VERBS; i++) fprintf(stream, "  %-9s%s\n", verbs[i].name, verbs[i].summary);
    fputs("  help     say this, or with a verb, what its options are\n"
          "  --version\n\n"
          "Example:\n"
          "  dynaprec learn model.onnx --data calib.npz --hardware homodyne --max-drop 2\n\n"
          "Results go to standard output, everything else to standard error. Exit status: 0 done, "
          "1 failed\n"
          "while running, 2 wrong usage, 3 a file cannot be read or is not supported, 4 the budget "
          "cannot\n"
          "be met, 5 ended without meeting the budget (the best schedule is kept), 130 "
          "interrupted.\n",
          stream);
}

static int unknown_verb(const char *word) {
    dp_suggestion near = {0};
    for (int i = 0; i < VERBS; i++) dp_suggestion_offer(&near, word, verbs[i].name);
    dp_suggestion_offer(&near, word, "help");
    fprintf(stderr, "dynaprec: there is no verb '%s'", word);
    if (near.name) fprintf(stderr, "; did you mean '%s'?", near.name);
    fputs("\nTry 'dynaprec --help'.\n", stderr);
    return DP_EXIT_USAGE;
}

static int help_on(const char *word) {
    const dp_verb *verb = word ? find_verb(word) : NULL;
    if (word && !verb) return unknown_verb(word);
    if (verb)
        dp_options_help(stdout, verb);
    else
        print_help(stdout);
    return DP_EXIT_DONE;
}

static int run_verb(const dp_verb *verb, char **words) {
    dp_settings settings;
    dp_error err = {DP_OK, ""};
    bool help;
    int result;
    if (dp_options_parse(&settings, verb, words, &help, &err) != DP_OK)
        result = dp_exit_failed(&settings, &err);
    else
        result = help ? help_on(verb->name) : verb->run(&settings);
    dp_settings_free(&settings);
    return result;
}

static bool is_shared(const char *word) {
    const dp_verb *verb = word ? find_verb(word) : NULL;
    return verb && verb->bit & DP_VERB_SHARED;
}

static int dispatch(char **words) {
    if (!dp_process_first() && !is_shared(*words)) return DP_EXIT_DONE;
    if (!*words) {
        print_help(stderr);
        return DP_EXIT_USAGE;
    }
    if (strcmp(*words, "--version") == 0) {
        printf("dynaprec %s\nOpenBLAS kernels: %s\nAMX tiles: %s\n", DYNAPREC_VERSION,
               dp_kernels_running(), dp_kernels_tiles() ? "for noisy passes" : "not used");
        return DP_EXIT_DONE;
    }
    bool help = strcmp(*words, "--help") == 0 || strcmp(*words, "-h") == 0;
    bool again = words[1] && strcmp(words[1], "help") == 0;
    if (help || strcmp(*words, "help") == 0) return help_on(again ? NULL : words[1]);
    const dp_verb *verb = find_verb(*words);
    return verb ? run_verb(verb, words + 1) : unknown_verb(*words);
}

/* A full disk or a closed pipe behind stdout is a failure like any other. */
int main(int argc, char **argv) {
    dp_start_with_fast_kernels(argv);
    dp_process_start(&argc, &argv);
    int result = dispatch(argc > 0 ? argv + 1 : argv);
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        fprintf(stderr, "dynaprec: standard output cannot be written: %s\n", strerror(errno));
        if (result == DP_EXIT_DONE) result = DP_EXIT_FAILED;
    }
    return dp_process_end(result);
}
