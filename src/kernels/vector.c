/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kernels/vector.h"

#include <math.h>

#include "base/simd.h"

/* Partial sums that the compiler may keep in one vector register; blocks of them are added in double. */
enum { LANES = 16, BLOCK = 1024 };

DP_CLONES void dp_vector_sqrt(const float *x, float *out, int64_t count) {
    for (int64_t i = 0; i < count; i++) out[i] = sqrtf(x[i]);
}

DP_CLONES void dp_vector_add_scaled(float a, const float *z, float *y, int64_t count) {
    for (int64_t i = 0; i < count; i++) y[i] += a * z[i];
}

DP_CLONES void dp_vector_add_product(float a, const float *s, const float *z, float *y,
                                     int64_t count) {
    for (int64_t i = 0; i < count; i++) y[i] += a * s[i] * z[i];
}

DP_CLONES void dp_vector_add_rooted(const float ab[2], const float *s, const float *z, float *y,
                                    int64_t count) {
    float a = ab[0], b = ab[1];
    for (int64_t i = 0; i < count; i++) y[i] += sqrtf(a * s[i] + b) * z[i];
}

DP_CLONES void dp_vector_add_rooted_sum(float a, const float *const st[2], const float *z, float *y,
                                        int64_t count) {
    const float *s = st[0], *t = st[1];
    for (int64_t i = 0; i < count; i++) y[i] += sqrtf(a * s[i] + t[i]) * z[i];
}

static double fold_lanes(const float lanes[LANES]) {
    double sum = 0;
    for (int l = 0; l < LANES; l++) sum += (double)lanes[l];
    return sum;
}

DP_CLONES double dp_vector_norm2(const float *g, int64_t count) {
    double sum = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = start + BLOCK < count ? start + BLOCK : count, i = start;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) lanes[l] += g[i + l] * g[i + l];
        for (int l = 0; i < end; i++, l++) lanes[l] += g[i] * g[i];
        sum += fold_lanes(lanes);
    }
    return sum;
}

DP_CLONES double dp_vector_weighted_norm2(const float *g, const float *s, int64_t count) {
    double sum = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = start + BLOCK < count ? start + BLOCK : count, i = start;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) lanes[l] += g[i + l] * g[i + l] * s[i + l];
        for (int l = 0; i < end; i++, l++) lanes[l] += g[i] * g[i] * s[i];
        sum += fold_lanes(lanes);
    }
    return sum;
}

DP_CLONES double dp_vector_dot(const float *g, const float *z, int64_t count) {
    double sum = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = start + BLOCK < count ? start + BLOCK : count, i = start;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) lanes[l] += g[i + l] * z[i + l];
        for (int l = 0; i < end; i++, l++) lanes[l] += g[i] * z[i];
        sum += fold_lanes(lanes);
    }
    return sum;
}

DP_CLONES double dp_vector_rooted_dot(const float ab[2], const float *s, const float *const gz[2],
                                      int64_t count) {
    const float *g = gz[0], *z = gz[1];
    float a = ab[0], b = ab[1];
    double sum = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = start + BLOCK < count ? start + BLOCK : count, i = start;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++)
                lanes[l] += g[i + l] * z[i + l] * sqrtf(a * s[i + l] + b);
        for (int l = 0; i < end; i++, l++) lanes[l] += g[i] * z[i] * sqrtf(a * s[i] + b);
        sum += fold_lanes(lanes);
    }
    return sum;
}

DP_CLONES double dp_vector_weighted_dot(float a, const float *r, const float *const gz[2],
                                        float *to, int64_t count) {
    const float *g = gz[0], *z = gz[1];
    double sum = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = start + BLOCK < count ? start + BLOCK : count, i = start;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) {
                float product = g[i + l] * z[i + l];
                lanes[l] += product * r[i + l];
                to[i + l] += a * product;
            }
        for (int l = 0; i < end; i++, l++) {
            lanes[l] += g[i] * z[i] * r[i];
            to[i] += a * g[i] * z[i];
        }
        sum += fold_lanes(lanes);
    }
    return sum;
}

DP_CLONES void dp_vector_add_rooted_slope(const float ab[2], const float *s,
                                          const float *const gz[2], float *to, int64_t count) {
    const float *g = gz[0], *z = gz[1];
    float a = ab[0], b = ab[1];
    for (int64_t i = 0; i < count; i++) {
        float root = sqrtf(a * s[i] + b);
        to[i] += root > 0 ? 0.5F * a * g[i] * z[i] / root : 0;
    }
}

DP_CLONES double dp_vector_sum(const float *x, int64_t count) {
    double sum = 0;
    for (int64_t start = 0; start < count; start += BLOCK) {
        int64_t end = start + BLOCK < count ? start + BLOCK : count, i = start;
        float lanes[LANES] = {0};
        for (; i + LANES <= end; i += LANES)
            for (int l = 0; l < LANES; l++) lanes[l] += x[i + l];
        for (int l = 0; i < end; i++, l++) lanes[l] += x[i];
        sum += fold_lanes(lanes);
    }
    return sum;
}

DP_CLONES void dp_vector_range(const float *x, int64_t count, float range[2]) {
    float low[LANES], high[LANES];
    int64_t i = 0;
    for (int l = 0; l < LANES; l++) low[l] = range[0], high[l] = range[1];
    for (; i + LANES <= count; i += LANES)
        for (int l = 0; l < LANES; l++) {
            low[l] = x[i + l] < low[l] ? x[i + l] : low[l];
            high[l] = x[i + l] > high[l] ? x[i + l] : high[l];
        }
    for (int l = 0; i < count; i++, l++) {
        low[l] = x[i] < low[l] ? x[i] : low[l];
        high[l] = x[i] > high[l] ? x[i] : high[l];
    }
    for (int l = 0; l < LANES; l++) {
        range[0] = low[l] < range[0] ? low[l] : range[0];
        range[1] = high[l] > range[1] ? high[l] : range[1];
    }
}
