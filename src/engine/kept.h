/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Weights that stay as they are from pass to pass, kept as products multiply them (dp_gemm_keep): as the hardware stores them for forward
 * products, transposed and coarse for reverse ones, which are estimates.
 */
#ifndef DP_ENGINE_KEPT_H
#define DP_ENGINE_KEPT_H

#include "engine/state.h"

/**
 * Keep what passes of a direction use, once; nothing where weights are noisy, where products do not take it, or where it would be more than
 * DP_KEPT_MOST bytes, or than there is: products then are what they are without, only slower.
 */
void dp_engine_keep(dp_engine *engine, bool reverse);
#define DP_KEPT_MOST 1e9

/** Forget it: weights have changed. */
void dp_engine_keep_nothing(dp_engine *engine);

/** Bytes that both directions take, or would take. */
double dp_engine_kept_bytes(const dp_engine *engine);

#endif
