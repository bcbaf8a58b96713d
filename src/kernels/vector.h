/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Loops over vectors that noise and sensitivities spend their time in. Sums run in a fixed order that does not depend on
 * the instruction set.
 */
#ifndef DP_KERNELS_VECTOR_H
#define DP_KERNELS_VECTOR_H

#include <stdint.h>

/** out[i] = sqrt(x[i]) */
void dp_vector_sqrt(const float *x, float *out, int64_t count);

/** y[i] += a * z[i] */
void dp_vector_add_scaled(float a, const float *z, float *y, int64_t count);

/** y[i] += a * s[i] * z[i] */
void dp_vector_add_product(float a, const float *s, const float *z, float *y, int64_t count);

/** y[i] += sqrt(a * s[i] + b) * z[i] */
void dp_vector_add_rooted(const float ab[2], const float *s, const float *z, float *y,
                          int64_t count);

/** y[i] += sqrt(a * s[i] + t[i]) * z[i] */
void dp_vector_add_rooted_sum(float a, const float *const st[2], const float *z, float *y,
                              int64_t count);

/** sum of g[i]^2 */
double dp_vector_norm2(const float *g, int64_t count);

/** sum of g[i]^2 s[i] */
double dp_vector_weighted_norm2(const float *g, const float *s, int64_t count);

/** sum of g[i] z[i] */
double dp_vector_dot(const float *g, const float *z, int64_t count);

/** sum of g[i] z[i] sqrt(a * s[i] + b) */
double dp_vector_rooted_dot(const float ab[2], const float *s, const float *const gz[2],
                            int64_t count);

/** sum of g[i] z[i] r[i]; to[i] += a g[i] z[i] */
double dp_vector_weighted_dot(float a, const float *r, const float *const gz[2], float *to,
                              int64_t count);

/** to[i] += g[i] z[i] d sqrt(a * s[i] + b) / d s[i], nothing where the root is 0 */
void dp_vector_add_rooted_slope(const float ab[2], const float *s, const float *const gz[2],
                                float *to, int64_t count);

/** sum of x[i] */
double dp_vector_sum(const float *x, int64_t count);

/** Widen range = {low, high} to hold x. */
void dp_vector_range(const float *x, int64_t count, float range[2]);

#endif
