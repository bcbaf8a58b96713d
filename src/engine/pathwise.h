/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Products of gradients with the noise that was drawn, channel by channel. */
#ifndef DP_ENGINE_PATHWISE_H
#define DP_ENGINE_PATHWISE_H

#include "engine/state.h"

/*
 * Hooks of a reverse pass that add -1/2 (gradient . noise) to the worker's sum [channels]: of outputs with their own noise, of
 * weights with theirs. Noise is drawn again rather than kept: a normal costs less than its memory.
 */
extern const dp_hooks dp_pathwise_hooks, dp_pathwise_weight_hooks;

#endif
