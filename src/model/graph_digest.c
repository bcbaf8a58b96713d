/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "model/graph_digest.h"

#include <string.h>

static void add_number(dp_sha256 *sha, int64_t number) {
    dp_sha256_update(sha, &number, sizeof number);
}

static void add_text(dp_sha256 *sha, const char *text) {
    dp_sha256_update(sha, text ? text : "", text ? strlen(text) + 1 : 1);
}

static void add_block(dp_sha256 *sha, const void *block, int count, size_t size) {
    add_number(sha, count);
    if (count > 0) dp_sha256_update(sha, block, (size_t)count * size);
}

static void add_tensor(dp_sha256 *sha, const dp_tensor *t) {
    add_number(sha, t->dtype);
    add_block(sha, t->dim, t->rank, sizeof *t->dim);
    add_number(sha, t->borrowed);
    if (t->data && !t->borrowed) dp_sha256_update(sha, t->data, dp_tensor_bytes(t));
}

static void add_attribute(dp_sha256 *sha, const dp_attr *a) {
    add_text(sha, a->name);
    add_number(sha, a->kind);
    add_number(sha, a->i);
    dp_sha256_update(sha, &a->f, sizeof a->f);
    add_text(sha, a->s);
    add_tensor(sha, &a->tensor);
    add_number(sha, a->count);
    if (a->ints) add_block(sha, a->ints, a->count, sizeof *a->ints);
    if (a->floats) add_block(sha, a->floats, a->count, sizeof *a->floats);
    for (int i = 0; a->strings && i < a->count; i++) add_text(sha, a->strings[i]);
    if (a->graph) dp_graph_digest(a->graph, sha);
}

static void add_node(dp_sha256 *sha, const dp_node *n) {
    add_text(sha, n->name);
    add_text(sha, n->op_type);
    add_text(sha, n->domain);
    add_number(sha, n->opset);
    add_number(sha, n->guard);
    add_block(sha, n->in, n->n_in, sizeof *n->in);
    add_block(sha, n->out, n->n_out, sizeof *n->out);
    add_number(sha, n->n_attrs);
    for (int i = 0; i < n->n_attrs; i++) add_attribute(sha, &n->attrs[i]);
}

void dp_graph_digest(const dp_graph *g, dp_sha256 *sha) {
    add_text(sha, g->sha256);
    add_number(sha, g->n_values);
    for (int v = 0; v < g->n_values; v++) {
        add_number(sha, g->values[v].constant != NULL);
        if (g->values[v].constant) add_tensor(sha, g->values[v].constant);
    }
    add_number(sha, g->n_nodes);
    for (int n = 0; n < g->n_nodes; n++) add_node(sha, &g->nodes[n]);
    add_block(sha, g->inputs, g->n_inputs, sizeof *g->inputs);
    add_block(sha, g->outputs, g->n_outputs, sizeof *g->outputs);
    for (int i = 0; i < g->n_guards; i++) {
        add_number(sha, g->guards[i].value);
        add_number(sha, g->guards[i].is);
        add_number(sha, g->guards[i].outer);
    }
}
