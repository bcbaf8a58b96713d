/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef DP_ENGINE_PLAN_FUSE_H
#define DP_ENGINE_PLAN_FUSE_H

#include "engine/plan.h"

/**
 * Let sites' steps take along what follows them element by element (Relu, Clip, the Add of a short cut): set finish and
 * taken of the steps.
 *
 * Shapes  uses [graph values]: consumers among the steps, outputs and the target count.
 * Errors  DP_EMEMORY.
 */
dp_status dp_plan_fuse(dp_plan *plan, const int *uses, dp_error *err);

#endif
