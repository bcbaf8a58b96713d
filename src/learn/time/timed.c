/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/time/timed.h"

#include <float.h>
#include <math.h>

/* Of the highest price: below it a limit is as good as not active. */
static const double least_price = 1e-40;

/* Parts of the predicted loss that are worth a higher t, and how far beyond the range without a limit that is looked for. */
static const double worth_it = 1e-4, farthest = 1e3;

bool dp_timed_exceeds(const dp_units *u, const double *k) {
    return u->most_operations > 0 && dp_blocks_operations(&u->blocks, k) > u->most_operations;
}

static double clip(const dp_units *u, int i, double k) {
    return fmax(fmin(k, u->high[i]), u->low[i]);
}

/*
 * The level that a block is cut to. Cutting all of its units gives a level that is too low; those below it are then let go, which
 * raises the level, until none is.
 */
static double level_of(const dp_units *u, const double *shape, double t, int block, double price) {
    const dp_blocks *b = &u->blocks;
    double level = 0, floor = 0;
    int before, cut = -1;
    do {
        double weight = 0, cost = price * b->operations[block];
        before = cut;
        cut = 0;
        for (int i = b->first[block]; i < b->first[block + 1]; i++) {
            int unit = b->units[i];
            double wanted = t * shape[unit];
            floor = fmax(floor, u->low[unit]);
            if (u->fixed[unit] || !(wanted > level)) continue;
            weight += u->cost_j[unit] * wanted * wanted;
            cost += u->cost_j[unit];
            cut++;
        }
        if (cut == 0) break;
        level = cost > 0 ? sqrt(weight / cost) : 0;
    } while (cut != before);
    return fmax(level, floor);
}

static void relax_at(const dp_units *u, const double *shape, double t, double price, double *k) {
    const dp_blocks *b = &u->blocks;
    for (int i = 0; i < u->count; i++) k[i] = clip(u, i, t * shape[i]);
    for (int block = 0; block < b->count; block++) {
        double level = level_of(u, shape, t, block, price);
        for (int i = b->first[block]; i < b->first[block + 1]; i++)
            k[b->units[i]] = fmin(k[b->units[i]], level);
    }
}

/* At which all units are at their lowest. */
static double highest_price(const dp_units *u, const double *shape, double t) {
    const dp_blocks *b = &u->blocks;
    double highest = DBL_MIN / least_price;
    for (int block = 0; block < b->count; block++) {
        double weight = 0, low = INFINITY;
        for (int i = b->first[block]; i < b->first[block + 1]; i++) {
            double wanted = t * shape[b->units[i]];
            weight += u->cost_j[b->units[i]] * wanted * wanted;
            low = fmin(low, u->low[b->units[i]]);
        }
        if (b->operations[block] > 0)
            highest = fmax(highest, weight / (b->operations[block] * low * low));
    }
    return highest;
}

double dp_timed_relax(const dp_units *u, const double *shape, double t, double *k) {
    relax_at(u, shape, t, 0, k);
    if (!dp_timed_exceeds(u, k)) return 0;
    double high = highest_price(u, shape, t), low = high * least_price;
    while (high / low > 1 + 1e-12) {
        double price = sqrt(low) * sqrt(high);
        relax_at(u, shape, t, price, k);
        if (dp_timed_exceeds(u, k))
            low = price;
        else
            high = price;
    }
    relax_at(u, shape, t, high, k);
    return high;
}

/* What the shape takes the loss to be in proportion to: sum of B r² / K. */
static double loss_at(const dp_units *u, const double *shape, double t) {
    double sum = 0;
    dp_timed_relax(u, shape, t, u->scratch);
    for (int i = 0; i < u->count; i++)
        if (!u->fixed[i]) sum += u->cost_j[i] * shape[i] * shape[i] / u->scratch[i];
    return sum;
}

double dp_timed_highest(const dp_units *u, const double *shape, double low, double high) {
    if (!dp_timed_exceeds(u, u->high)) return high;
    high *= farthest;
    double enough = loss_at(u, shape, high) * (1 + worth_it);
    while (high / low > 1.01) {
        double t = sqrt(low) * sqrt(high);
        if (loss_at(u, shape, t) > enough)
            low = t;
        else
            high = t;
    }
    return high;
}
