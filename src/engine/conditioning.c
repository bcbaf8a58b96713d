/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Which sites can be conditioned, and doing it: the list's sites are found and checked, all first; then the graph is rewritten. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "dynaprec/conditioning.h"
#include "engine/shapes.h"
#include "model/condition.h"
#include "model/onnx.h"
#include "model/op.h"

/* Nodes that conditioning adds for one site at most: a scale, a shift, another behind the site; a mean for positions. */
enum { MOST_ADDED = 4, NAME_ROOM = 512 };

static int count_slots(const dp_graph *graph) {
    int count = 0;
    for (int n = 0; n < graph->n_nodes; n++) count += graph->nodes[n].op->n_sites;
    return count;
}

static dp_status copy_graph(dp_graph **out, const dp_graph *graph, dp_error *err) {
    dp_status status = dp_graph_borrow(out, graph, MOST_ADDED * count_slots(graph), err);
    if (status == DP_OK) status = dp_graph_find_shapes(*out, err);
    return status;
}

/* As dp_site_info.name: the node's own, or one made in text[NAME_ROOM] where it has two products. */
static const char *site_name(const dp_node *node, int slot, char *text) {
    if (node->op->n_sites == 1) return node->name;
    snprintf(text, NAME_ROOM, "%s%s", node->name, slot == 0 ? ":input" : ":recurrent");
    return text;
}

static dp_conditionable describe(const dp_graph *graph, int node, int slot) {
    dp_operand o;
    dp_conditionable c = {.operand = -1};
    if (!dp_operand_read(graph, node, slot, &o)) return c;
    dp_shift shift = dp_condition_shift(graph, &o);
    c.inputs = o.inputs;
    c.axis = o.axis;
    c.operand = graph->nodes[node].in[o.input_in];
    c.centre = shift != DP_SHIFT_NONE;
    c.adds_outputs = shift == DP_SHIFT_ADD;
    c.lone = o.groups == o.inputs;
    return c;
}

dp_status dp_graph_conditionable(dp_conditionables *out, const dp_graph *graph, dp_error *err) {
    dp_graph *copy = NULL;
    size_t slots = (size_t)count_slots(graph);
    *out = (dp_conditionables){0};
    dp_status status = copy_graph(&copy, graph, err);
    if (status != DP_OK) goto done;
    out->sites = dp_alloc(slots + 1, sizeof *out->sites + NAME_ROOM);
    if (!out->sites) {
        status = dp_condition_no_memory(graph, err);
        goto done;
    }
    char *names = (char *)(out->sites + slots);
    for (int n = 0; n < graph->n_nodes; n++)
        for (int slot = 0; slot < graph->nodes[n].op->n_sites; slot++, names += NAME_ROOM) {
            out->sites[out->count] = describe(copy, n, slot);
            out->sites[out->count++].site = site_name(&graph->nodes[n], slot, names);
        }
done:
    dp_graph_free(copy);
    return status;
}

void dp_conditionables_clear(dp_conditionables *list) {
    dp_free(list->sites);
    *list = (dp_conditionables){0};
}

/* What is asked for at a site of the graph. */
typedef struct wish {
    dp_operand o;
    const dp_conditioned_site *asked; /* NULL: nothing */
} wish;

static dp_status refuse(const dp_graph *graph, const dp_conditioned_site *s, const char *why,
                        dp_error *err) {
    return dp_fail(err, DP_ERANGE, "%s: site '%s' %s", graph->path, s->site, why);
}

static dp_status check(const dp_graph *graph, wish *w, dp_error *err) {
    const dp_conditioned_site *s = w->asked;
    int slot = w->o.slot, node = w->o.node;
    dp_conditionable can = describe(graph, node, slot);
    if (s->mu && !can.centre) return refuse(graph, s, "cannot be centred", err);
    if (s->alpha && !can.balance) return refuse(graph, s, "cannot be balanced", err);
    if (s->positions && !can.positions)
        return refuse(graph, s, "cannot be centred over positions", err);
    if ((s->mu || s->alpha) && s->inputs != can.inputs)
        return dp_fail(err, DP_ERANGE, "%s: site '%s' has %lld inputs, not %lld", graph->path,
                       s->site, (long long)can.inputs, (long long)s->inputs);
    for (int64_t i = 0; i < s->inputs; i++) {
        if (s->mu && !isfinite(s->mu[i]))
            return refuse(graph, s, "has a mu that is not finite", err);
        if (s->alpha && !(isfinite(s->alpha[i]) && s->alpha[i] > 0))
            return refuse(graph, s, "has an alpha that is not positive", err);
    }
    dp_operand_read(graph, node, slot, &w->o);
    return DP_OK;
}

/* wishes[slots], one for each site in execution order. */
static dp_status find_site(const dp_graph *graph, const dp_conditioned_site *s, wish *wishes,
                           dp_error *err) {
    char text[NAME_ROOM];
    for (int n = 0; n < graph->n_nodes; n++)
        for (int slot = 0; slot < graph->nodes[n].op->n_sites; slot++, wishes++) {
            if (strcmp(site_name(&graph->nodes[n], slot, text), s->site) != 0) continue;
            if (wishes->asked) return refuse(graph, s, "is listed twice", err);
            *wishes = (wish){{.node = n, .slot = slot}, s};
            return check(graph, wishes, err);
        }
    return refuse(graph, s, "is not there", err);
}

static dp_status rewrite(dp_graph *graph, const wish *wishes, int count, dp_error *err) {
    dp_shared_list shared = {0};
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < count; i++)
        if (wishes[i].asked && wishes[i].asked->mu)
            status = dp_condition_centre(graph, &shared, &wishes[i].o, wishes[i].asked->mu, err);
    dp_free(shared.at);
    return status == DP_OK ? dp_onnx_sort(graph, err) : status;
}

dp_status dp_graph_condition(dp_graph **out, const dp_graph *graph,
                             const dp_conditioning *conditioning, dp_error *err) {
    dp_graph *copy = NULL;
    int slots = count_slots(graph);
    wish *wishes = dp_alloc((size_t)slots, sizeof *wishes);
    *out = NULL;
    dp_status status = wishes ? copy_graph(&copy, graph, err) : dp_condition_no_memory(graph, err);
    for (int i = 0; status == DP_OK && i < conditioning->count; i++)
        status = find_site(copy, &conditioning->sites[i], wishes, err);
    if (status == DP_OK) status = rewrite(copy, wishes, slots, err);
    dp_free(wishes);
    if (status == DP_OK)
        *out = copy;
    else
        dp_graph_free(copy);
    return status;
}
