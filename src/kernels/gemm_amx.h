/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Large products on the tiles of AMX (Intel, from Sapphire Rapids on), which multiply bfloat16 and add in float32.
 *
 * A float is the sum of two bfloat16 and a rest of at most 2^-17 of it, x = h + l + r, so that
 *
 *     x y = h h' + h l' + l h' + O(2^-16) x y
 *
 * takes three products of tiles, at about 16 times the speed of float32 each. Rounding errors of a dot product are random: outputs are off by a
 * few millionths of the largest. Coarse products are h h' alone, off by at most 2^-8 of each. Where an operand is not finite, the output is not finite, and may be NaN in place of infinite.
 * Source  N. J. Higham, T. Mary, "Mixed precision algorithms in numerical linear algebra", Acta Numerica 31, 2022, section 13;
 *         Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.
 */
#ifndef DP_KERNELS_GEMM_AMX_H
#define DP_KERNELS_GEMM_AMX_H

#include "kernels/gemm.h"

/** Whether processor and system have tiles; asks the system for them. */
bool dp_gemm_amx_permitted(void);

/** Whether the product is of a kind that tiles are good at, or has to go there: one with lines and places. */
bool dp_gemm_amx_takes(const dp_gemm *g);

/** The product. Only where tiles are permitted. */
void dp_gemm_amx_run(const dp_gemm *g);

/** See dp_kept_bytes, dp_gemm_keep. Only where tiles are permitted. */
size_t dp_gemm_amx_bytes(const dp_kept *kept);
void dp_gemm_amx_keep(const dp_gemm *g, dp_kept *kept);

#endif
