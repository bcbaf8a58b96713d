/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/approach.h"

#include <math.h>
#include <stdlib.h>

/* Looks when something has passed, and when nothing has yet. */
enum { MOST_LOOKS = 8, MOST_CLIMBS = 12 };

/* How far a step may go beyond what is known, up or down. */
static const double longest_step = 4;

/* How far a forecast is believed when it says where to ask, and when it says that asking further would not pay. */
static const double near = 1.5, nearest = 1.15;

/* What the excess may be taken to fall by, whatever two looks that are near each other say. */
static const double least_power = 0.3, most_power = 3;

dp_approach dp_approach_new(dp_approach_rule rule, double low, double high) {
    return (dp_approach){
        .rule = rule, .low = low, .high = high, .above = INFINITY, .aim = NAN, .limit = NAN};
}

static double within(double x, double low, double high) {
    return fmin(fmax(x, low), high);
}

/* The power of t by which the excess falls: the rule's, until two looks tell. */
static void learn_power(dp_approach *w, double t, double excess) {
    if (w->checks > 0 && t != w->last && excess > 0 && w->last_excess > 0)
        w->power = within(log(w->last_excess / excess) / log(t / w->last), least_power, most_power);
    w->last = t;
    w->last_excess = excess;
}

static double power_of(const dp_approach *w) {
    return w->power > 0 ? w->power : w->rule.power;
}

void dp_approach_look(dp_approach *w, double t, double excess, bool whole) {
    learn_power(w, t, excess);
    w->checks++;
    w->aim = w->limit = NAN;
    bool failed = excess > 1;
    w->run = failed ? (w->run < 0 ? w->run : 0) - 1 : (w->run > 0 ? w->run : 0) + 1;
    if (failed) {
        w->fail = fmax(w->fail, t);
        w->fail_excess = excess;
        if (whole && t > w->whole_fail) {
            w->whole_fail = t;
            w->whole_fail_excess = excess;
        }
        if (w->above > t) return;
        w->above = INFINITY; /* a part had looked better than all do */
    } else {
        w->above = t;
        w->above_excess = fmax(excess, 1e-3);
        w->certified = whole;
    }
}

/* A part of the samples had looked worse below than a pass does that is not near: it is asked again. */
static bool contradicts(const dp_approach *w) {
    return w->certified && w->last == w->above && w->above_excess < w->rule.tight &&
           w->limit * w->rule.close < w->fail && w->fail > w->whole_fail;
}

void dp_approach_forecast(dp_approach *w, double aim, double limit) {
    w->aim = aim;
    w->limit = limit;
    if (!contradicts(w)) return;
    w->fail = w->whole_fail;
    w->fail_excess = w->whole_fail_excess;
}

void dp_approach_same(dp_approach *w, double t, bool failure) {
    if (failure)
        w->fail = fmax(w->fail, t);
    else
        w->above = fmin(w->above, t);
}

static bool is_close(const dp_approach *w) {
    bool believed = fabs(log(w->limit / w->last)) <= log(nearest); /* not so without a forecast */
    double end = believed ? fmax(w->fail, w->limit) : w->fail;
    return w->above <= end * w->rule.close || w->above <= w->low;
}

bool dp_approach_finished(const dp_approach *w) {
    if (isinf(w->above)) return w->checks >= MOST_CLIMBS || w->fail >= w->high;
    if (!w->certified) return false;
    return w->checks >= MOST_LOOKS || w->above_excess >= w->rule.tight || is_close(w);
}

/* Between a failure and what lies below the budget, away from both ends, which are known. Where looks have been on one side again and again, what
 * holds at the other end counts half as much each time, so that they do not creep [Dowell & Jarratt 1971]. A forecast that agrees with both has
 * half a say: where noise does not only scale, those from either side err to the other. */
static double between(const dp_approach *w) {
    double gap = log(w->above / w->fail), again = ldexp(1, 1 - (abs(w->run) > 1 ? abs(w->run) : 1));
    double over = log(w->fail_excess / w->rule.aim), under = log(w->rule.aim / w->above_excess);
    if (w->run < 0)
        under *= again;
    else
        over *= again;
    double part = over / (over + under);
    double forecast = log(w->aim / w->fail) / gap;
    if (forecast > 0 && forecast < 1) part = (part + forecast) / 2;
    return w->fail * exp(gap * within(part, 0.15, 0.85));
}

/* A forecast is good nearby; of one that goes far only half the way, in logarithms, is believed beyond what the power says. */
static double forecast_step(double forecast, double by_power) {
    return fabs(log(forecast)) > log(near) ? sqrt(forecast * by_power) : forecast;
}

/* Onwards from one side, by what its excess suggests; failures in a row make the steps upwards longer. */
static double onwards(const dp_approach *w) {
    bool failed = isinf(w->above), forecast = isfinite(w->aim);
    double from = failed ? w->fail : w->above, excess = failed ? w->fail_excess : w->above_excess;
    double step = pow(excess / w->rule.aim, 1 / power_of(w));
    if (forecast) step = forecast_step(w->aim / from, step);
    double least = forecast ? sqrt(w->rule.close) : 1 + w->checks * (w->rule.close - 1);
    if (failed) return from * within(step, least, longest_step);
    return from * within(step, 1 / longest_step, 1 / w->rule.close);
}

double dp_approach_next(const dp_approach *w, bool *whole) {
    bool unsure = isfinite(w->above) && !w->certified;
    *whole = true;
    if (unsure && (w->above_excess >= w->rule.tight || is_close(w) || w->checks >= MOST_LOOKS - 1))
        return w->above;
    double t = w->fail > 0 && isfinite(w->above) ? between(w) : onwards(w);
    t = within(t, w->low, w->high);
    *whole = t <= w->low || t >= w->high;
    return t;
}
