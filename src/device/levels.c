/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "device/levels.h"

#include <math.h>

static double clip(const dp_hardware *h, double k) {
    return k < h->repetitions_min ? h->repetitions_min
                                  : (k > h->repetitions_max ? h->repetitions_max : k);
}

static double round_down(const dp_hardware *h, double k) {
    if (h->levels == DP_LEVELS_CONTINUOUS) return k;
    if (h->levels == DP_LEVELS_INTEGER) return floor(k);
    int exponent;
    frexp(k, &exponent); /* k = m 2^exponent, m in [1/2, 1) */
    return ldexp(1, exponent - 1);
}

static double step_up(const dp_hardware *h, double level) {
    return h->levels == DP_LEVELS_INTEGER ? level + 1 : level * 2;
}

double dp_level_at_most(const dp_hardware *h, double k) {
    return clip(h, round_down(h, clip(h, k)));
}

double dp_level_at_least(const dp_hardware *h, double k) {
    double clipped = clip(h, k), down = round_down(h, clipped);
    return clip(h, down < clipped ? step_up(h, down) : down);
}

double dp_level_next(const dp_hardware *h, double level) {
    return clip(h, step_up(h, level));
}

double dp_level_previous(const dp_hardware *h, double level) {
    return clip(h, h->levels == DP_LEVELS_INTEGER ? level - 1 : level / 2);
}
