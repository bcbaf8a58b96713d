/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/group.h"

#include <fnmatch.h>
#include <stdio.h>

static bool matches(const char *glob, const dp_site_info *site) {
    return fnmatch(glob, site->name, 0) == 0;
}

/* A group is noted at the first site with the same weights. */
static dp_status join(int *group, const dp_engine *engine, const dp_learn_options *o, int g,
                      dp_error *err) {
    bool found = false;
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        if (!matches(o->groups[g], site)) continue;
        int *at = &group[site->tied];
        if (*at >= 0 && *at != g)
            return dp_fail(err, DP_ERANGE,
                           "site '%s'%s%s%s is in two groups, '%s' and '%s'; a site may be in one",
                           site->name, site->tied != i ? ", with the weights of '" : "",
                           site->tied != i ? dp_engine_site(engine, site->tied)->name : "",
                           site->tied != i ? "'," : "", o->groups[*at], o->groups[g]);
        *at = g;
        found = true;
    }
    if (found) return DP_OK;
    return dp_fail(err, DP_ERANGE,
                   "no site matches the group '%s'; `dynaprec inspect` lists their names",
                   o->groups[g]);
}

/* The last one that matches counts. NULL: not fixed. */
static const dp_fix *fix_of(const dp_learn_options *o, const dp_site_info *site) {
    for (int i = o->n_fixes - 1; i >= 0; i--)
        if (matches(o->fixes[i].glob, site)) return &o->fixes[i];
    return NULL;
}

static void describe_fix(char text[64], const dp_fix *fix) {
    if (fix)
        snprintf(text, 64, "is fixed to %g", fix->repetitions);
    else
        snprintf(text, 64, "is not fixed");
}

/* What shares one K is fixed as a whole or not at all; what is only there for its weights need not be named. */
static dp_status check_fixes(const int *group, const dp_engine *engine, const dp_learn_options *o,
                             int g, dp_error *err) {
    const dp_site_info *first = NULL;
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        if (group[i] != g) continue;
        const dp_fix *fix = fix_of(o, site), *other = first ? fix_of(o, first) : fix;
        if (!fix && !matches(o->groups[g], site)) continue;
        if (!first) first = site;
        if (fix == other || (fix && other && fix->repetitions == other->repetitions)) continue;
        char text[2][64];
        describe_fix(text[0], other);
        describe_fix(text[1], fix);
        return dp_fail(err, DP_ERANGE,
                       "the sites of group '%s' share one K, but '%s' %s and '%s' %s: fix all of "
                       "them to the same, or none",
                       o->groups[g], first->name, text[0], site->name, text[1]);
    }
    return DP_OK;
}

dp_status dp_group_sites(int *group, const dp_engine *engine, const dp_learn_options *o,
                         dp_error *err) {
    int sites = dp_engine_site_count(engine);
    dp_status status = DP_OK;
    for (int i = 0; i < sites; i++) group[i] = -1;
    for (int g = 0; status == DP_OK && g < o->n_groups; g++)
        status = join(group, engine, o, g, err);
    for (int i = 0; i < sites; i++) group[i] = group[dp_engine_site(engine, i)->tied];
    for (int g = 0; status == DP_OK && g < o->n_groups; g++)
        status = check_fixes(group, engine, o, g, err);
    return status;
}
