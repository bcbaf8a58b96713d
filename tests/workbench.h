/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * A small network to learn on, with data and options, and what every schedule learned there has to be. Tests use the scratch
 * folder.
 */
#ifndef TESTS_WORKBENCH_H
#define TESTS_WORKBENCH_H

#include "dynaprec/learn.h"
#include "net.h"

enum { SITES = 4, CLASSES = 6 };
extern const double site_macs[SITES];
double all_macs(void);

typedef struct bench {
    net n;
    dp_hardware hardware;
    dp_dataset *data, *half[2];
    dp_learn_options options;
} bench;

/** Ready it for shot (0), thermal (1) or weight noise (2) and a drop of 5 points; half the samples are to learn from. */
void bench_open_with(bench *b, int source, bool labels, int64_t samples);
void bench_open(bench *b, int source, bool labels);
void bench_close(bench *b);

/** dp_learn with what is on the bench. */
dp_status learn(const bench *b, dp_schedule *s, dp_error *err);

/** The schedule's bytes as they are written, for free(). */
char *text_of(const dp_schedule *s, size_t *size);

/** Repetitions, energies and means of the layers are those of this network; `width` channels share one. */
void check_layers(const bench *b, const dp_schedule *s, int width);

/** The budget is met by its bound, for no more than uniform precision takes. */
void check_budget(const bench *b, const dp_schedule *s);

/** Fresh draws on the check set: what was certified there is there. Twenty times the draws leave little of the noise. */
void check_again(const bench *b, const dp_schedule *s);

#endif
