/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/units.h"

#include <fnmatch.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "learn/group.h"
#include "learn/range.h"

int64_t dp_units_width(const dp_learn_options *options, const dp_site_info *site) {
    if (options->granularity == DP_GRAIN_CHANNEL) return 1;
    if (options->granularity == DP_GRAIN_TILE && options->tile < site->channels)
        return options->tile;
    return site->channels;
}

static dp_status check_granularity(const dp_hardware *hardware, const dp_learn_options *options,
                                   dp_error *err) {
    if (!(hardware->granularities & options->granularity))
        return dp_fail(err, DP_ERANGE,
                       "hardware '%s' does not allow this granularity; its file lists layer%s%s",
                       hardware->name,
                       hardware->granularities & DP_GRAIN_CHANNEL ? ", channel" : "",
                       hardware->granularities & DP_GRAIN_TILE ? ", tile" : "");
    if (options->granularity == DP_GRAIN_TILE && options->tile < 1)
        return dp_fail(err, DP_ERANGE, "a tile has at least 1 channel");
    return DP_OK;
}

/* The first site that has the units of site i: of its group, else of its weights. */
static int leader_of(const dp_engine *engine, const int *group, int i) {
    if (group[i] < 0) return dp_engine_site(engine, i)->tied;
    int first = 0;
    while (group[first] != group[i]) first++;
    return first;
}

/* Number the units. Groups have one. */
static int number_units(const dp_units *u, const dp_engine *engine,
                        const dp_learn_options *options) {
    int count = 0;
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        int leader = leader_of(engine, u->group, i);
        bool grouped = u->group[i] >= 0;
        const int *others = u->of_channel + dp_engine_site(engine, leader)->first_channel;
        int64_t width = grouped ? site->channels : dp_units_width(options, site);
        for (int64_t c = 0; c < site->channels; c++)
            u->of_channel[site->first_channel + c] =
                leader == i ? count + (int)(c / width) : others[grouped ? 0 : c];
        if (leader == i) count += (int)((site->channels + width - 1) / width);
    }
    return count;
}

static dp_status apply_fix(dp_units *u, const dp_engine *engine, const dp_hardware *hardware,
                           const dp_fix *fix, dp_error *err) {
    bool matched = false;
    if (!dp_range_has(hardware, fix->repetitions))
        return dp_fail(err, DP_ERANGE,
                       "'%s=%g': hardware '%s' allows %g to %g in levels that do not include it",
                       fix->glob, fix->repetitions, hardware->name, hardware->repetitions_min,
                       hardware->repetitions_max);
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        if (fnmatch(fix->glob, site->name, 0) != 0) continue;
        matched = true;
        for (int64_t c = 0; c < site->channels; c++) {
            int unit = u->of_channel[site->first_channel + c];
            u->low[unit] = u->high[unit] = fix->repetitions;
            u->fixed[unit] = true;
        }
    }
    if (matched) return DP_OK;
    return dp_fail(err, DP_ERANGE, "no site matches '%s'; `dynaprec inspect` lists their names",
                   fix->glob);
}

static dp_status allocate(dp_units *u, dp_error *err) {
    size_t count = (size_t)u->count;
    u->cost_j = dp_alloc(count, sizeof *u->cost_j);
    u->low = dp_alloc(count, sizeof *u->low);
    u->high = dp_alloc(count, sizeof *u->high);
    u->s = dp_alloc(count, sizeof *u->s);
    u->fixed = dp_alloc(count, sizeof *u->fixed);
    u->scratch = dp_alloc(count, sizeof *u->scratch);
    if (u->cost_j && u->low && u->high && u->s && u->fixed && u->scratch) return DP_OK;
    return dp_fail(err, DP_EMEMORY, "no memory for %zu units", count);
}

/* Which unit every channel belongs to. */
static dp_status assign(dp_units *u, const dp_engine *engine, const dp_learn_options *options,
                        dp_error *err) {
    u->channels = dp_engine_channels(engine);
    u->of_channel = dp_alloc((size_t)u->channels, sizeof *u->of_channel);
    u->group = dp_alloc((size_t)dp_engine_site_count(engine), sizeof *u->group);
    if (!u->of_channel || !u->group) return dp_fail(err, DP_EMEMORY, "no memory for units");
    dp_status status = dp_group_sites(u->group, engine, options, err);
    if (status != DP_OK) return status;
    u->count = number_units(u, engine, options);
    return allocate(u, err);
}

static void fill(dp_units *u, const dp_engine *engine, const dp_hardware *range) {
    for (int i = 0; i < u->count; i++) {
        u->low[i] = range->repetitions_min;
        u->high[i] = range->repetitions_max;
    }
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        for (int64_t c = 0; c < site->channels; c++)
            u->cost_j[u->of_channel[site->first_channel + c]] +=
                site->per_repetition_j / (double)site->channels;
    }
}

dp_status dp_units_create(dp_units *u, const dp_engine *engine, const dp_hardware *hardware,
                          const dp_learn_options *options, dp_error *err) {
    memset(u, 0, sizeof *u);
    dp_hardware range;
    dp_status status = check_granularity(hardware, options, err);
    if (status == DP_OK) status = dp_range_narrow(&range, hardware, options, err);
    if (status == DP_OK) status = assign(u, engine, options, err);
    if (status == DP_OK)
        status = dp_blocks_create(&u->blocks, engine, u->of_channel, u->count, err);
    if (status == DP_OK) fill(u, engine, &range);
    for (int i = 0; status == DP_OK && i < options->n_fixes; i++)
        status = apply_fix(u, engine, hardware, &options->fixes[i], err);
    if (status != DP_OK) dp_units_clear(u);
    return status;
}

void dp_units_clear(dp_units *u) {
    dp_free(u->of_channel);
    dp_free(u->group);
    dp_free(u->cost_j);
    dp_free(u->low);
    dp_free(u->high);
    dp_free(u->fixed);
    dp_free(u->s);
    dp_free(u->scratch);
    dp_blocks_clear(&u->blocks);
    memset(u, 0, sizeof *u);
}

void dp_units_collect(dp_units *u, const double *s) {
    memset(u->s, 0, (size_t)u->count * sizeof *u->s);
    for (int64_t c = 0; c < u->channels; c++) u->s[u->of_channel[c]] += s[c];
}

void dp_units_spread(const dp_units *u, const double *k, double *repetitions) {
    for (int64_t c = 0; c < u->channels; c++) repetitions[c] = k[u->of_channel[c]];
}

void dp_units_layers(const dp_units *u, const dp_engine *engine, int *layer) {
    for (int i = dp_engine_site_count(engine) - 1; i >= 0; i--) {
        const dp_site_info *site = dp_engine_site(engine, i);
        for (int64_t c = 0; c < site->channels; c++)
            layer[u->of_channel[site->first_channel + c]] = i;
    }
}

double dp_units_energy(const dp_units *u, const double *k) {
    double sum = 0;
    for (int i = 0; i < u->count; i++) sum += u->cost_j[i] * k[i];
    return sum;
}

double dp_units_loss(const dp_units *u, const double *k) {
    double sum = 0;
    for (int i = 0; i < u->count; i++) sum += u->s[i] / k[i];
    return sum;
}
