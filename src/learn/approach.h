/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where acceptance asks next: from the looks so far to the next t, and when to stop asking.
 *
 * A look at t tells the excess, bound over budget, of the precision there. It falls about as a power of t. A look with a part of
 * the draws or samples tells whether a whole one is worth it; only a whole look passes. It looks for the
 * cheapest pass: it aims a little below the budget and stops at a pass that is near enough to it, to a failure below, or to
 * where the look itself forecasts that the budget ends.
 */
#ifndef DP_LEARN_APPROACH_H
#define DP_LEARN_APPROACH_H

#include <stdbool.h>

/* How near is near enough. A loss follows t smoothly; right and wrong answers do not. */
typedef struct dp_approach_rule {
    double tight; /* a pass of at least this excess is cheap enough */
    double close; /* so is one whose t is at most this many times that of a failure */
    double aim;   /* the excess that the next look is meant to have */
    double power; /* of t, by which the excess falls, until two looks tell */
} dp_approach_rule;

typedef struct dp_approach {
    dp_approach_rule rule;
    double low, high; /* t: what there is */
    double fail,
        above; /* t: dearest failure (0: none), cheapest look below the budget (INFINITY: none) */
    double fail_excess, above_excess;
    double whole_fail, whole_fail_excess; /* the dearest failure of a whole look */
    int run;      /* looks in a row that were on the same side of the budget; below 0: failures */
    double power; /* of t, by which the excess fell between the last two looks; 0: only one */
    double last, last_excess; /* t and excess of the last look */
    double aim,
        limit; /* t: where the last look forecasts the excess that is aimed at, and 1; NaN: no forecast */
    bool certified; /* the look at `above` was a whole one: a pass */
    int checks;     /* looks so far */
} dp_approach;

/** An approach within [low, high]. */
dp_approach dp_approach_new(dp_approach_rule rule, double low, double high);

/** Take in a look at t. whole: with all draws. */
void dp_approach_look(dp_approach *w, double t, double excess, bool whole);

/** Take in what that look says of other t: where the excess is what is aimed at, and 1; NaN: nothing. */
void dp_approach_forecast(dp_approach *w, double aim, double limit);

/** Take in that the precision at t is the very one of the last failure or of the cheapest look: nothing was asked. */
void dp_approach_same(dp_approach *w, double t, bool failure);

/** Is there nothing more to ask? Passed if `certified` then. */
bool dp_approach_finished(const dp_approach *w);

/** Where to ask next. *whole: a part of the draws would not do. */
double dp_approach_next(const dp_approach *w, bool *whole);

#endif
