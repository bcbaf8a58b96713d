/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The repetitions that learning may choose from: the hardware's, or what the options leave of them. A copy of the hardware with the
 * narrower range stands for it wherever a K is chosen, so that units, uniform precision and messages keep to the same bounds.
 */
#ifndef DP_LEARN_RANGE_H
#define DP_LEARN_RANGE_H

#include "dynaprec/learn.h"

/** K is one that the hardware can be set to: within its range, and a level. */
bool dp_range_has(const dp_hardware *hardware, double repetitions);

/** The hardware with the range that the options leave. Errors: DP_ERANGE naming the option and what the hardware allows. */
dp_status dp_range_narrow(dp_hardware *out, const dp_hardware *hardware,
                          const dp_learn_options *options, dp_error *err);

#endif
