/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "made_units.h"

#include <math.h>

#include "net.h"
#include "oracle.h"

double made_random(made_units *b, double low, double high) {
    return low + (high - low) * (0.5 + 0.5 * (double)oracle_random(&b->state));
}

void made_open(made_units *b, int number, int count, double low, double high) {
    *b = (made_units){.state = (uint64_t)number * 1000 + 1, .hardware = net_hardware(NULL, NULL)};
    b->u = (dp_units){.count = count,
                      .cost_j = b->cost,
                      .low = b->low,
                      .high = b->high,
                      .fixed = b->fixed,
                      .s = b->s,
                      .scratch = b->scratch};
    b->hardware.repetitions_min = low;
    b->hardware.repetitions_max = high;
    for (int i = 0; i < count; i++) {
        b->cost[i] = 1e-15 * pow(10, made_random(b, -1, 2));
        b->s[i] = pow(10, made_random(b, -2, 1));
        b->low[i] = low;
        b->high[i] = high;
    }
}
