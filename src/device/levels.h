/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which repetitions the hardware's knob can be set to. */
#ifndef DP_DEVICE_LEVELS_H
#define DP_DEVICE_LEVELS_H

#include "dynaprec/hardware.h"

/** The lowest level >= k, at most the hardware's maximum; k itself (within the range) when levels are continuous. */
double dp_level_at_least(const dp_hardware *hardware, double k);

/** The highest level <= k, at least the hardware's minimum. */
double dp_level_at_most(const dp_hardware *hardware, double k);

/** The next level above `level`; the same when it is the highest. Levels are not continuous. */
double dp_level_next(const dp_hardware *hardware, double level);

/** Likewise below. */
double dp_level_previous(const dp_hardware *hardware, double level);

#endif
