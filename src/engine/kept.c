/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "engine/kept.h"

#include "base/alloc.h"

static bool keeps(const dp_engine *e, const dp_site_state *s) {
    const dp_node *node = &e->graph->nodes[s->site.node];
    return s->weight && (node->op->flags & DP_OP_KEEPS) && !dp_noise_needs_weights(e->hardware);
}

/* Of one group. */
static dp_kept shape_of(const dp_site_state *s, bool reverse) {
    int64_t rows = s->site.channels / s->site.groups, depth = s->site.depth;
    return reverse ? (dp_kept){.m = depth, .k = rows, .coarse = true}
                   : (dp_kept){.m = rows, .k = depth};
}

static size_t group_bytes(const dp_engine *e, const dp_site_state *s, bool reverse) {
    dp_kept shape = shape_of(s, reverse);
    return keeps(e, s) ? dp_kept_bytes(&shape) : 0;
}

static double direction_bytes(const dp_engine *e, bool reverse) {
    double bytes = 0;
    for (int i = 0; i < e->n_sites; i++)
        bytes += (double)group_bytes(e, &e->sites[i], reverse) * (double)e->sites[i].site.groups;
    return bytes;
}

static bool fits(const dp_engine *e) {
    return direction_bytes(e, false) + direction_bytes(e, true) <= DP_KEPT_MOST;
}

double dp_engine_kept_bytes(const dp_engine *e) {
    return fits(e) ? direction_bytes(e, false) + direction_bytes(e, true) : 0;
}

static void release(dp_site_state *s, bool reverse) {
    if (s->kept[reverse]) dp_free(s->kept[reverse]->tiles);
    dp_free(s->kept[reverse]);
    s->kept[reverse] = NULL;
}

static void fill(const dp_site_state *s, bool reverse) {
    int64_t rows = s->site.channels / s->site.groups, depth = s->site.depth;
    const float *weights = s->quantised.data ? s->quantised.data : s->weight->data;
    for (int64_t group = 0; group < s->site.groups; group++) {
        dp_kept *kept = &s->kept[reverse][group];
        dp_gemm_keep(&(dp_gemm){.m = kept->m,
                                .k = kept->k,
                                .a = weights + group * rows * depth,
                                .lda = depth,
                                .transpose_a = reverse},
                     kept);
    }
}

typedef struct job {
    dp_engine *engine;
    bool reverse;
} job;

/* Without memory for it a site does without. */
static dp_status keep_site(void *context, int task, int worker, dp_error *err) {
    const job *j = context;
    dp_site_state *s = &j->engine->sites[task];
    size_t bytes = group_bytes(j->engine, s, j->reverse), groups = (size_t)s->site.groups;
    (void)worker;
    (void)err;
    if (bytes == 0) return DP_OK;
    s->kept[j->reverse] = dp_alloc(groups, sizeof(dp_kept));
    char *tiles = dp_alloc(groups, bytes);
    for (size_t group = 0; s->kept[j->reverse] && group < groups; group++) {
        s->kept[j->reverse][group] = shape_of(s, j->reverse);
        s->kept[j->reverse][group].tiles = tiles ? tiles + group * bytes : NULL;
    }
    if (s->kept[j->reverse] && tiles)
        fill(s, j->reverse);
    else
        dp_free(tiles), dp_free(s->kept[j->reverse]), s->kept[j->reverse] = NULL;
    return DP_OK;
}

/* It is soon done, and not to be cancelled: a process that left here would leave others waiting in the pass. */
void dp_engine_keep(dp_engine *e, bool reverse) {
    if (e->keeps[reverse]) return;
    e->keeps[reverse] = true;
    if (!fits(e)) return;
    job j = {e, reverse};
    dp_pool_run(e->pool, e->n_sites, keep_site, &j, NULL, NULL);
}

void dp_engine_keep_nothing(dp_engine *e) {
    for (int i = 0; e->sites && i < e->n_sites; i++) {
        release(&e->sites[i], false);
        release(&e->sites[i], true);
    }
    e->keeps[false] = e->keeps[true] = false;
}
