/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the program can do: a file each. They print, and return the exit status. */
#ifndef DP_CLI_VERBS_H
#define DP_CLI_VERBS_H

#include "cli/settings.h"

int dp_verb_learn(const dp_settings *settings);
int dp_verb_eval(const dp_settings *settings);
int dp_verb_run(const dp_settings *settings);
int dp_verb_export(const dp_settings *settings);
int dp_verb_inspect(const dp_settings *settings);
int dp_verb_diff(const dp_settings *settings);

#endif
