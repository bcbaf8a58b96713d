/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A schedule with something in every key, and its layers. It owns nothing that dp_schedule_clear would free: it is never cleared. */
#ifndef TESTS_SCHEDULE_SAMPLE_H
#define TESTS_SCHEDULE_SAMPLE_H

#include "dynaprec/schedule.h"

enum { SAMPLE_CHANNELS = 40 };

extern double sample_whole[1], sample_by_channel[SAMPLE_CHANNELS], sample_by_tile[3];
extern dp_layer sample_layers[3];
extern dp_schedule sample;

/** A scratch folder, and the sample as new: what a fixture sets up. */
void sample_setup(void);

/** What a schedule is written as; the caller frees it. */
char *sample_written(const dp_schedule *schedule, const char *name, size_t *size);

#endif
