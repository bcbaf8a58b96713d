/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A network and what it was rewritten to: both are run on the same random inputs, with three samples and five of what else is free. */
#ifndef TESTS_REWRITING_H
#define TESTS_REWRITING_H

#include "dynaprec/conditioning.h"
#include "dynaprec/npz.h"
#include "net.h"

/** Both give the same outputs under the same names, within `tolerance` of the largest one or of 1. */
void rewriting_check_equal(const dp_graph *graph, const dp_graph *other, double tolerance);

/** What a value is: one array; clear with dp_npz_clear. */
dp_npz rewriting_value(dp_graph *graph, int value);

/** The node of that name, which has to be there. */
const dp_node *rewriting_node(const dp_graph *graph, const char *name);

/** The operand of a site in `other` is alpha (x - mu), x being the one in `graph`; where one is NULL: 1 and 0. */
void rewriting_check_reads(dp_graph *graph, dp_graph *other, const char *node, int input_in,
                           const dp_conditionable *can, const dp_conditioned_site *site);

/** What a site allows; zeroed where there is none of that name. */
dp_conditionable rewriting_allowed(const dp_graph *graph, const char *site);

/** Random factors from 1/4 to 4, in a block for dp_free. */
float *rewriting_alpha(int64_t count, uint64_t seed);

/** The name of the site whose node this is, of its inputs where it has two. */
const char *rewriting_site(const dp_node *node, char text[80]);

/* Networks of one site are made by functions of a net *n; what they do most. */
#define NET_X(...)                                                                                 \
    net_input(n, "x", DP_F32, sizeof((int64_t[]){__VA_ARGS__}) / 8, NET_DIM(__VA_ARGS__))
#define NET_ATTRS(...) ((dp_attr[]){__VA_ARGS__, {0}})

#endif
