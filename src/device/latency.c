/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "device/latency.h"

#include <math.h>

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Groups of a convolution are blocks on the diagonal of one matrix: as many at once as the columns have room for. */
static int64_t groups_at_once(const dp_hardware *h, const dp_site_size *size) {
    if (h->columns == 0) return size->groups;
    int64_t fit = h->columns / size->depth;
    return least(fit > 0 ? fit : 1, size->groups);
}

dp_site_time dp_latency_site(const dp_hardware *h, const dp_site_size *size) {
    double slices = h->columns > 0 ? ceil((double)size->depth / (double)h->columns) : 1;
    int64_t at_once = groups_at_once(h, size) * (size->channels / size->groups);
    double outputs = size->outputs / (double)size->channels; /* above 1: activation x activation */
    double blocks = h->rows > 0 && outputs > 1 ? ceil(outputs / h->rows) : 1;
    if (h->rows > 0) at_once = least(at_once, h->rows);
    return (dp_site_time){.at_once = at_once, .operations = size->products * slices * blocks};
}
