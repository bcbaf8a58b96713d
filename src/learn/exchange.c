/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/exchange.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"

/* Moves that are kept, units moved together, levels that one unit moves, sets that are tried of each size. */
enum { MOST_MOVES = 256, MOST_UNITS = 6, MOST_LEVELS = 8, MOST_TRIALS = 100000 };

/* Parts of the bound: a gap below it is not worth a search. */
static const double small_gap = 1e-6;

/* A unit at another level than the dual's. Energies and losses at the dual's price, J. */
typedef struct move {
    int unit;
    double level;
    double reduced; /* cost */
    double used;    /* of the limit */
} move;

typedef struct moves {
    move *items;
    size_t count, room;
    bool failed; /* out of memory */
} moves;

typedef struct plan {
    double gap; /* above the bound, J */
    int count;
    int moves[MOST_UNITS];
} plan;

typedef struct search {
    const move *moves;
    int count;
    int size; /* of the sets that are tried now */
    int trials;
    plan best, now;
} search;

/* ---- what moves there are ---- */

static bool add_move(const dp_levels_problem *p, const dp_dual *dual, move m, double gap,
                     moves *list) {
    double before = dual->below[m.unit], w = p->weight[m.unit];
    double energy = p->units->cost_j[m.unit] * (m.level - before);
    double loss = dual->price * w * (1 / m.level - 1 / before);
    m.reduced = fmax(energy + loss, 0);
    m.used = p->within ? energy : loss;
    if (m.reduced >= gap) return false;
    move *grown = dp_grow(list->items, &list->room, list->count + 1, sizeof *list->items);
    if (!grown) {
        list->failed = true;
        return false;
    }
    list->items = grown;
    list->items[list->count++] = m;
    return true;
}

static void add_unit(const dp_levels_problem *p, const dp_dual *dual, int unit, double gap,
                     moves *list) {
    double (*const ways[])(const dp_levels_problem *, int, double) = {dp_dual_previous,
                                                                      dp_dual_next};
    for (int way = 0; way < 2; way++) {
        double level = dual->below[unit];
        for (int n = 0; n < MOST_LEVELS; n++) {
            double before = level;
            level = ways[way](p, unit, level);
            if (level == before) break;
            if (!add_move(p, dual, (move){.unit = unit, .level = level}, gap, list)) break;
        }
    }
}

/* Cheapest first; ties by unit and level, so that the order is a pure function of the numbers. */
static int by_reduced_cost(const void *a, const void *b) {
    const move *x = a, *y = b;
    if (x->reduced != y->reduced) return x->reduced < y->reduced ? -1 : 1;
    if (x->unit != y->unit) return x->unit < y->unit ? -1 : 1;
    return (x->level > y->level) - (x->level < y->level);
}

/* ---- branch and bound ---- */

static bool moves_unit(const search *s, int unit) {
    for (int i = 0; i < s->now.count; i++)
        if (s->moves[s->now.moves[i]].unit == unit) return true;
    return false;
}

static void compare(search *s, double reduced, double unused) {
    if (unused < 0 || !(reduced + unused < s->best.gap)) return;
    s->now.gap = reduced + unused;
    s->best = s->now;
}

/* Sets that go on from the one of now, which costs `reduced` and leaves `unused` of the limit, with moves from `first`. */
static void branch(search *s, int first, double reduced, double unused) {
    for (int i = first; i < s->count && reduced + s->moves[i].reduced < s->best.gap; i++) {
        const move *m = &s->moves[i];
        if (moves_unit(s, m->unit)) continue;
        if (++s->trials > MOST_TRIALS) return;
        s->now.moves[s->now.count++] = i;
        compare(s, reduced + m->reduced, unused - m->used);
        if (s->now.count < s->size) branch(s, i + 1, reduced + m->reduced, unused - m->used);
        s->now.count--;
    }
}

/* What of the limit the dual's levels leave, J; below 0: they exceed it. */
static double unused_by(const dp_levels_problem *p, const dp_dual *dual, const double *k) {
    return p->within ? p->limit - dp_units_energy(p->units, k)
                     : dual->price * (p->limit - dp_dual_loss(p, k));
}

static double gap_of(const dp_levels_problem *p, const dp_dual *dual, const double *k) {
    return p->within ? dual->price * (dp_dual_loss(p, k) - dual->bound)
                     : dp_units_energy(p->units, k) - dual->bound;
}

dp_status dp_exchange(const dp_levels_problem *p, const dp_dual *dual, double *k, dp_error *err) {
    search s = {.best.gap = gap_of(p, dual, k)};
    moves list = {0};
    double small = small_gap * dual->bound * (p->within ? dual->price : 1);
    if (!(s.best.gap > small)) return DP_OK;
    for (int i = 0; i < p->units->count; i++) add_unit(p, dual, i, s.best.gap, &list);
    if (list.failed) {
        dp_free(list.items);
        return dp_fail(err, DP_EMEMORY, "no memory to round %d units", p->units->count);
    }
    if (list.count > 0) qsort(list.items, list.count, sizeof *list.items, by_reduced_cost);
    s.moves = list.items;
    s.count = list.count < MOST_MOVES ? (int)list.count : MOST_MOVES;
    for (s.size = 1; s.size <= MOST_UNITS && s.best.gap > small; s.size++) {
        s.trials = 0;
        branch(&s, 0, 0, unused_by(p, dual, dual->below));
    }
    if (s.best.count > 0) memcpy(k, dual->below, (size_t)p->units->count * sizeof *k);
    for (int i = 0; i < s.best.count; i++)
        k[s.moves[s.best.moves[i]].unit] = s.moves[s.best.moves[i]].level;
    dp_free(list.items);
    return DP_OK;
}

/* ---- single steps ---- */

/* What a step saves of what is minimised for what it takes of the limit; -1: there is none, or it would break the limit. */
static double worth_of(const dp_levels_problem *p, int i, const double *k, double unused) {
    double level = p->within ? dp_dual_next(p, i, k[i]) : dp_dual_previous(p, i, k[i]);
    double energy = p->units->cost_j[i] * fabs(level - k[i]);
    double loss = p->weight[i] * fabs(1 / level - 1 / k[i]);
    double saved = p->within ? loss : energy, taken = p->within ? energy : loss;
    if (level == k[i] || taken > unused || !(saved > 0)) return -1;
    return saved / (taken + DBL_MIN);
}

void dp_exchange_steps(const dp_levels_problem *p, double *k) {
    for (;;) {
        double unused = p->limit - (p->within ? dp_units_energy(p->units, k) : dp_dual_loss(p, k));
        int best = -1;
        double most = 0;
        for (int i = 0; i < p->units->count; i++) {
            double worth = worth_of(p, i, k, unused);
            if (worth <= most) continue;
            most = worth;
            best = i;
        }
        if (best < 0) return;
        k[best] = p->within ? dp_dual_next(p, best, k[best]) : dp_dual_previous(p, best, k[best]);
    }
}
