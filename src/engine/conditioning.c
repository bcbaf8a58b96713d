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

/* As dp_site_info.name: the node's own, or one made in text[NAME_ROOM] where it has two products. */
static const char *site_name(const dp_node *node, int slot, char *text) {
    if (node->op->n_sites == 1) return node->name;
    snprintf(text, NAME_ROOM, "%s%s", node->name, slot == 0 ? ":input" : ":recurrent");
    return text;
}

/* A graph that is being looked at or rewritten, with what its sites have in common. */
typedef struct view {
    dp_graph *graph; /* a copy, with shapes */
    int *uses;       /* [values] as the original has them */
} view;

static dp_status open_view(view *v, const dp_graph *graph, dp_error *err) {
    int slots = count_slots(graph);
    *v = (view){.uses = dp_graph_uses(graph)};
    if (!v->uses) return dp_condition_no_memory(graph, err);
    dp_status status = dp_graph_borrow(&v->graph, graph, MOST_ADDED * slots, err);
    return status == DP_OK ? dp_graph_find_shapes(v->graph, err) : status;
}

static void close_view(view *v) {
    dp_graph_free(v->graph);
    dp_free(v->uses);
}

/* Weights that several nodes have in common keep what they have in common, which schedules rely on. */
static bool may_balance(const view *v, const dp_operand *o) {
    return v->uses[v->graph->nodes[o->node].in[o->weight_in]] == 1;
}

/* How many products with weights of their own read a value. */
static int count_readers(const view *v, int value) {
    int count = 0;
    for (int n = 0; n < v->graph->n_nodes; n++)
        for (int slot = 0; slot < v->graph->nodes[n].op->n_sites; slot++) {
            dp_operand o;
            if (dp_operand_read(v->graph, n, slot, &o) && may_balance(v, &o))
                count += v->graph->nodes[n].in[o.input_in] == value;
        }
    return count;
}

static dp_conditionable describe(const view *v, int node, int slot) {
    dp_operand o;
    dp_way way = {0};
    dp_conditionable c = {.operand = -1};
    c.positions = dp_condition_positions(v->graph, node) != DP_POSITIONS_NONE;
    if (!dp_operand_read(v->graph, node, slot, &o)) return c;
    dp_shift shift = dp_condition_shift(v->graph, &o);
    c.inputs = o.inputs;
    c.axis = o.axis;
    c.operand = v->graph->nodes[node].in[o.input_in];
    c.centre = shift != DP_SHIFT_NONE;
    c.adds_outputs = shift == DP_SHIFT_ADD;
    c.lone = o.groups == o.inputs;
    c.balance = may_balance(v, &o);
    c.folds = c.balance && count_readers(v, c.operand) == v->uses[c.operand] &&
              dp_condition_find_way(v->graph, v->uses, &o, &way);
    return c;
}

dp_status dp_graph_conditionable(dp_conditionables *out, const dp_graph *graph, dp_error *err) {
    view v;
    size_t slots = (size_t)count_slots(graph);
    *out = (dp_conditionables){0};
    dp_status status = open_view(&v, graph, err);
    if (status != DP_OK) goto done;
    out->sites = dp_alloc(slots + 1, sizeof *out->sites + NAME_ROOM);
    if (!out->sites) {
        status = dp_condition_no_memory(graph, err);
        goto done;
    }
    char *names = (char *)(out->sites + slots);
    for (int n = 0; n < graph->n_nodes; n++)
        for (int slot = 0; slot < graph->nodes[n].op->n_sites; slot++, names += NAME_ROOM) {
            out->sites[out->count] = describe(&v, n, slot);
            out->sites[out->count++].site = site_name(&graph->nodes[n], slot, names);
        }
done:
    close_view(&v);
    return status;
}

void dp_conditionables_clear(dp_conditionables *list) {
    dp_free(list->sites);
    *list = (dp_conditionables){0};
}

/* What is asked for at a site of the graph. */
typedef struct wish {
    int node, slot;
    dp_operand o;
    const dp_conditioned_site *asked; /* NULL: nothing */
    bool folds;                       /* alpha is shared by all readers, and goes this way */
    dp_way way;
} wish;

typedef struct wishes {
    view v;
    int count; /* slots of all nodes */
    wish *at;
} wishes;

static dp_status refuse(const dp_graph *graph, const dp_conditioned_site *s, const char *why,
                        dp_error *err) {
    return dp_fail(err, DP_ERANGE, "%s: site '%s' %s", graph->path, s->site, why);
}

static dp_status check(const view *v, wish *w, dp_error *err) {
    const dp_conditioned_site *s = w->asked;
    const dp_graph *graph = v->graph;
    dp_conditionable can = describe(v, w->node, w->slot);
    if (s->mu && !can.centre) return refuse(graph, s, "cannot be centred", err);
    if (s->alpha && !can.balance) return refuse(graph, s, "cannot be balanced", err);
    if (s->positions && !can.positions)
        return refuse(graph, s, "cannot be centred over positions", err);
    if (!s->mu && !s->alpha) return DP_OK;
    if (s->inputs != can.inputs)
        return dp_fail(err, DP_ERANGE, "%s: site '%s' has %lld inputs, not %lld", graph->path,
                       s->site, (long long)can.inputs, (long long)s->inputs);
    for (int64_t i = 0; i < s->inputs; i++) {
        if (s->mu && !isfinite(s->mu[i]))
            return refuse(graph, s, "has a mu that is not finite", err);
        if (s->alpha && !(isfinite(s->alpha[i]) && s->alpha[i] > 0))
            return refuse(graph, s, "has an alpha that is not positive and finite", err);
    }
    dp_operand_read(graph, w->node, w->slot, &w->o);
    return DP_OK;
}

static dp_status find_site(const wishes *all, const dp_conditioned_site *s, dp_error *err) {
    const dp_graph *graph = all->v.graph;
    char text[NAME_ROOM];
    for (int i = 0; i < all->count; i++) {
        wish *w = &all->at[i];
        if (strcmp(site_name(&graph->nodes[w->node], w->slot, text), s->site) != 0) continue;
        if (w->asked) return refuse(graph, s, "is listed twice", err);
        w->asked = s;
        return check(&all->v, w, err);
    }
    return refuse(graph, s, "is not there", err);
}

static int operand_of(const wishes *all, const wish *w) {
    return all->v.graph->nodes[w->node].in[w->o.input_in];
}

static const float *alpha_of(const wish *w) {
    return w->asked ? w->asked->alpha : NULL;
}

/* Both read the same value times the same alpha. */
static bool agree(const wishes *all, const wish *a, const wish *b) {
    return alpha_of(b) && operand_of(all, a) == operand_of(all, b) && a->o.inputs == b->o.inputs &&
           a->o.axis == b->o.axis &&
           memcmp(alpha_of(a), alpha_of(b), (size_t)a->o.inputs * sizeof(float)) == 0;
}

/* Decided before anything is rewritten. */
static void find_ways(const wishes *all) {
    for (int i = 0; i < all->count; i++) {
        wish *w = &all->at[i];
        int readers = 0;
        for (int k = 0; alpha_of(w) && k < all->count; k++) readers += agree(all, w, &all->at[k]);
        w->folds = readers > 0 && readers == all->v.uses[operand_of(all, w)] &&
                   dp_condition_find_way(all->v.graph, all->v.uses, &w->o, &w->way);
    }
}

/* Several sites that agree share the way, which the first of them goes. */
static dp_status fold(const wishes *all, int index, dp_error *err) {
    const wish *w = &all->at[index];
    for (int k = 0; k < index; k++)
        if (agree(all, w, &all->at[k])) return DP_OK;
    return dp_condition_scale_way(all->v.graph, &w->way, w->o.inputs, alpha_of(w), err);
}

static dp_status balance(const wishes *all, dp_shared_list *shared, dp_error *err) {
    dp_graph *graph = all->v.graph;
    dp_status status = DP_OK;
    for (int i = 0; status == DP_OK && i < all->count; i++)
        if (all->at[i].folds) status = fold(all, i, err);
    for (int i = 0; status == DP_OK && i < all->count; i++) {
        const wish *w = &all->at[i];
        if (!alpha_of(w)) continue;
        status = dp_condition_divide(graph, &w->o, alpha_of(w), err);
        if (status == DP_OK && !w->folds)
            status = dp_condition_operand(graph, shared, &w->o, "Mul", alpha_of(w), err);
    }
    return status;
}

/* mu in units of what the site reads now: alpha mu. */
static dp_status centre(const wishes *all, const wish *w, dp_shared_list *shared, dp_error *err) {
    float *mu = dp_alloc((size_t)w->o.inputs, sizeof *mu);
    if (!mu) return dp_condition_no_memory(all->v.graph, err);
    for (int64_t i = 0; i < w->o.inputs; i++)
        mu[i] = w->asked->mu[i] * (alpha_of(w) ? alpha_of(w)[i] : 1);
    dp_status status = dp_condition_centre(all->v.graph, shared, &w->o, mu, err);
    dp_free(mu);
    return status;
}

static dp_status rewrite(const wishes *all, dp_error *err) {
    dp_shared_list shared = {0};
    find_ways(all);
    dp_status status = balance(all, &shared, err);
    for (int i = 0; status == DP_OK && i < all->count; i++) {
        const wish *w = &all->at[i];
        if (w->asked && w->asked->mu) status = centre(all, w, &shared, err);
        if (status == DP_OK && w->asked && w->asked->positions)
            status = dp_condition_centre_positions(all->v.graph, w->node, err);
    }
    dp_free(shared.at);
    return status == DP_OK ? dp_onnx_sort(all->v.graph, err) : status;
}

static dp_status make_wishes(wishes *all, const dp_graph *graph, dp_error *err) {
    dp_status status = open_view(&all->v, graph, err);
    all->at = dp_alloc((size_t)count_slots(graph), sizeof *all->at);
    if (status == DP_OK && !all->at) status = dp_condition_no_memory(graph, err);
    for (int n = 0; status == DP_OK && n < graph->n_nodes; n++)
        for (int slot = 0; slot < graph->nodes[n].op->n_sites; slot++)
            all->at[all->count++] = (wish){.node = n, .slot = slot};
    return status;
}

dp_status dp_graph_condition(dp_graph **out, const dp_graph *graph,
                             const dp_conditioning *conditioning, dp_error *err) {
    wishes all = {0};
    *out = NULL;
    dp_status status = make_wishes(&all, graph, err);
    for (int i = 0; status == DP_OK && i < conditioning->count; i++)
        status = find_site(&all, &conditioning->sites[i], err);
    if (status == DP_OK) status = rewrite(&all, err);
    if (status == DP_OK) {
        *out = all.v.graph;
        all.v.graph = NULL;
    }
    close_view(&all.v);
    dp_free(all.at);
    return status;
}
