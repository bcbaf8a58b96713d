/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Rounding under a limit of time. A plan is a level for each block, its cap; each unit has the level that is best for it alone, or the cap
 * where that is lower. What counts is B (K + x² / K), x = t r: the energy and the predicted loss at the price that t stands for.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "device/levels.h"
#include "learn/time/timed.h"

/* Blocks up to which all pairs are tried, levels that one of a pair goes down, pairs that are exchanged. */
enum { MOST_PAIRED = 256, MOST_LEVELS = 4, MOST_EXCHANGES = 1000 };

typedef struct plan {
    const dp_allocation *a;
    double t, price;
    double *best;  /* [units] levels without a limit */
    double *cap;   /* [blocks] */
    double *floor; /* [blocks] the least that a cap may be */
    double unused; /* operations that are left */
} plan;

/* ---- one unit, one block ---- */

static double value_of(const plan *p, int unit, double k) {
    double x = p->t * p->a->shape[unit];
    return p->a->units->cost_j[unit] * (k + x * x / k);
}

/* B (K + x² / K) is convex in K: a level a is better than its lower neighbour b where x² > a b. */
static double best_level(const plan *p, int unit) {
    const dp_units *u = p->a->units;
    double x = p->t * p->a->shape[unit], low = u->low[unit], high = u->high[unit];
    if (u->fixed[unit]) return low;
    double below = fmax(dp_level_at_most(p->a->hardware, fmax(fmin(x, high), low)), low);
    double above = fmin(dp_level_next(p->a->hardware, below), high);
    return x * x > above * below ? above : below;
}

/* What is gained when the units of a block keep to another cap; below 0: lost. */
static double gain_of(const plan *p, int block, double cap) {
    const dp_blocks *b = &p->a->units->blocks;
    double sum = 0;
    for (int i = b->first[block]; i < b->first[block + 1]; i++) {
        int unit = b->units[i];
        double low = p->a->units->low[unit];
        double before = fmax(fmin(p->best[unit], p->cap[block]), low);
        double after = fmax(fmin(p->best[unit], cap), low);
        if (after != before) sum += value_of(p, unit, before) - value_of(p, unit, after);
    }
    return sum;
}

static void move_cap(plan *p, int block, double cap) {
    p->unused -= p->a->units->blocks.operations[block] * (cap - p->cap[block]);
    p->cap[block] = cap;
}

static double time_of(const plan *p, int block, double cap) {
    return p->a->units->blocks.operations[block] * (cap - p->cap[block]);
}

/* ---- the start ---- */

/* Caps are the relaxed levels, rounded down, so that they take no longer. */
static void start(plan *p, const double *relaxed) {
    const dp_units *u = p->a->units;
    const dp_blocks *b = &u->blocks;
    p->unused = u->most_operations;
    for (int i = 0; i < u->count; i++) p->best[i] = best_level(p, i);
    for (int block = 0; block < b->count; block++) {
        p->floor[block] = dp_blocks_most(b, block, u->low);
        double most = dp_level_at_most(p->a->hardware, dp_blocks_most(b, block, relaxed));
        most = fmin(most, dp_blocks_most(b, block, p->best));
        p->cap[block] = fmax(most, p->floor[block]);
        p->unused -= b->operations[block] * p->cap[block];
    }
}

/* ---- upwards ---- */

typedef struct candidate {
    double gain; /* an operation */
    int block;
} candidate;

static int by_gain(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->gain != y->gain) return x->gain > y->gain ? -1 : 1;
    return x->block - y->block;
}

/* One level up for each block that is worth it, the best first, as far as the time allows. */
static bool raise_once(plan *p, candidate *list) {
    const dp_blocks *b = &p->a->units->blocks;
    int count = 0;
    for (int block = 0; block < b->count; block++) {
        double next = dp_level_next(p->a->hardware, p->cap[block]);
        double gain = next > p->cap[block] ? gain_of(p, block, next) : 0;
        double time = time_of(p, block, next);
        if (gain > 0 && time <= p->unused)
            list[count++] = (candidate){gain / fmax(time, 1e-300), block};
    }
    if (count > 0) qsort(list, (size_t)count, sizeof *list, by_gain);
    bool raised = false;
    for (int i = 0; i < count; i++) {
        double next = dp_level_next(p->a->hardware, p->cap[list[i].block]);
        if (time_of(p, list[i].block, next) > p->unused) continue;
        move_cap(p, list[i].block, next);
        raised = true;
    }
    return raised;
}

/* ---- exchange ---- */

/* One block goes down some levels, and another one up in its time. */
typedef struct exchange {
    double gain;
    int down, up;
    double lower, higher;
} exchange;

/* The highest cap that a block may have, and has any use for, in this time. */
static double highest_cap(const plan *p, int block, double time) {
    const dp_blocks *b = &p->a->units->blocks;
    double most = dp_blocks_most(b, block, p->best);
    if (!(b->operations[block] > 0)) return most;
    double fits = (p->cap[block] + time / b->operations[block]) * (1 + 1e-14);
    return fmin(dp_level_at_most(p->a->hardware, fits), most);
}

static void try_exchanges(const plan *p, int down, double lower, exchange *found) {
    double lost = gain_of(p, down, lower), freed = p->unused - time_of(p, down, lower);
    for (int up = 0; up < p->a->units->blocks.count; up++) {
        double higher = highest_cap(p, up, freed);
        if (up == down || higher <= p->cap[up]) continue;
        double gain = gain_of(p, up, higher);
        if (gain + lost <= found->gain + 1e-12 * gain) continue;
        *found = (exchange){gain + lost, down, up, lower, higher};
    }
}

static bool exchange_once(plan *p) {
    exchange found = {.down = -1};
    for (int down = 0; down < p->a->units->blocks.count; down++) {
        double before = p->cap[down];
        for (int n = 0; n < MOST_LEVELS; n++) {
            double lower = dp_level_previous(p->a->hardware, before);
            if (lower >= before || lower < p->floor[down]) break;
            try_exchanges(p, down, lower, &found);
            before = lower;
        }
    }
    if (found.down < 0) return false;
    move_cap(p, found.down, found.lower);
    move_cap(p, found.up, found.higher);
    return true;
}

static void improve(plan *p, candidate *list) {
    bool paired = p->a->units->blocks.count <= MOST_PAIRED;
    for (int n = 0; n == 0 || (n < MOST_EXCHANGES && paired && exchange_once(p)); n++)
        while (raise_once(p, list)) continue;
}

/* ---- the result ---- */

static void spread(const plan *p, double *k) {
    const dp_units *u = p->a->units;
    const dp_blocks *b = &u->blocks;
    memcpy(k, p->best, (size_t)u->count * sizeof *k);
    for (int block = 0; block < b->count; block++)
        for (int i = b->first[block]; i < b->first[block + 1]; i++)
            k[b->units[i]] = fmax(fmin(k[b->units[i]], p->cap[block]), u->low[b->units[i]]);
}

/* How much of what counts is above the least that any plan within the time can have, by the relaxed one and its price. */
static double excess_of(const plan *p, const double *relaxed, const double *k) {
    const dp_units *u = p->a->units;
    double sum = 0;
    for (int i = 0; i < u->count; i++) sum += value_of(p, i, k[i]) - value_of(p, i, relaxed[i]);
    return sum + p->price * (u->most_operations - dp_blocks_operations(&u->blocks, relaxed));
}

/* Of the energy, among plans of no more predicted loss, or of the loss, among plans of no more energy: what says more. */
static dp_rounding rounding_of(const plan *p, const double *relaxed, const double *k) {
    const dp_units *u = p->a->units;
    double excess = excess_of(p, relaxed, k), energy = dp_units_energy(u, k), loss = -energy;
    for (int i = 0; i < u->count; i++) loss += value_of(p, i, k[i]);
    bool of_loss = loss > energy;
    double value = of_loss ? dp_units_loss(u, k) : energy;
    double bound = value * (1 - excess / fmax(loss, energy));
    if (!(bound > 0)) return dp_round_nothing();
    return (dp_rounding){of_loss, value, fmin(bound, value), fmax(value / bound - 1, 0)};
}

static bool allocate(plan *p, candidate **list) {
    size_t units = (size_t)p->a->units->count, blocks = (size_t)p->a->units->blocks.count;
    p->best = dp_alloc(units, sizeof *p->best);
    p->cap = dp_alloc(blocks, sizeof *p->cap);
    p->floor = dp_alloc(blocks, sizeof *p->floor);
    *list = dp_alloc(blocks, sizeof **list);
    return p->best && p->cap && p->floor && *list;
}

dp_status dp_timed_levels(const dp_allocation *a, double t, double *k, dp_rounding *result,
                          dp_error *err) {
    const dp_units *u = a->units;
    plan p = {.a = a, .t = t};
    candidate *list = NULL;
    bool ready = allocate(&p, &list);
    if (ready) {
        p.price = dp_timed_relax(u, a->shape, t, u->scratch);
        start(&p, u->scratch);
        improve(&p, list);
        spread(&p, k);
        *result = rounding_of(&p, u->scratch, k);
    }
    dp_free(p.best);
    dp_free(p.cap);
    dp_free(p.floor);
    dp_free(list);
    return ready ? DP_OK : dp_fail(err, DP_EMEMORY, "no memory to round %d units", u->count);
}
