/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Groups: sites that the user wants to share one K, whatever the granularity is; sites with the same weights go along. */
#ifndef DP_LEARN_GROUP_H
#define DP_LEARN_GROUP_H

#include "dynaprec/learn.h"

/**
 * Find which of the options' groups each site is in.
 *
 * Shapes  group [dp_engine_site_count]: number of the group, -1: none.
 * Errors  DP_ERANGE naming the sites: a glob without match, a site in two groups, a group of which a part is fixed, or differently.
 */
dp_status dp_group_sites(int *group, const dp_engine *engine, const dp_learn_options *options,
                         dp_error *err);

#endif
