/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/time/blocks.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"

/* Blocks that begin with the same unit, so that equal ones are found. */
typedef struct chains {
    int *head; /* [units] the latest block, -1: none */
    int *next; /* [blocks] the one before it */
} chains;

static bool equal(const dp_blocks *b, int x, int y) {
    int size = b->first[x + 1] - b->first[x];
    return b->first[y + 1] - b->first[y] == size &&
           memcmp(b->units + b->first[x], b->units + b->first[y], (size_t)size * sizeof(int)) == 0;
}

/* Channels from .. end of a site; units rise along them. */
static void add(dp_blocks *b, const int *from, const int *end, double operations, chains *c) {
    int at = b->first[b->count], block = b->count;
    for (const int *unit = from; unit < end; unit++)
        if (unit == from || *unit != unit[-1]) b->units[at++] = *unit;
    b->first[block + 1] = at;
    int twin = c->head[*from];
    while (twin >= 0 && !equal(b, twin, block)) twin = c->next[twin];
    if (twin >= 0) {
        b->operations[twin] += operations;
        return;
    }
    b->operations[block] = operations;
    c->next[block] = c->head[*from];
    c->head[*from] = block;
    b->count++;
}

static void add_sites(dp_blocks *b, const dp_engine *engine, const int *of_channel, chains *c) {
    for (int i = 0; i < dp_engine_site_count(engine); i++) {
        const dp_site_info *site = dp_engine_site(engine, i);
        const int *units = of_channel + site->first_channel;
        for (int64_t from = 0; from < site->channels; from += site->at_once) {
            int64_t left = site->channels - from;
            int64_t size = left < site->at_once ? left : site->at_once;
            add(b, units + from, units + from + size, site->operations, c);
        }
    }
}

dp_status dp_blocks_create(dp_blocks *b, const dp_engine *engine, const int *of_channel, int units,
                           dp_error *err) {
    size_t most = (size_t)dp_engine_channels(engine);
    *b = (dp_blocks){.first = dp_alloc(most + 1, sizeof *b->first),
                     .units = dp_alloc(most, sizeof *b->units),
                     .operations = dp_alloc(most, sizeof *b->operations)};
    chains c = {dp_alloc((size_t)units, sizeof *c.head), dp_alloc(most, sizeof *c.next)};
    bool ready = b->first && b->units && b->operations && c.head && c.next;
    for (int i = 0; ready && i < units; i++) c.head[i] = -1;
    if (ready) add_sites(b, engine, of_channel, &c);
    dp_free(c.head);
    dp_free(c.next);
    if (ready) return DP_OK;
    dp_blocks_clear(b);
    return dp_fail(err, DP_EMEMORY, "no memory for %zu channels", most);
}

void dp_blocks_clear(dp_blocks *b) {
    dp_free(b->first);
    dp_free(b->units);
    dp_free(b->operations);
    *b = (dp_blocks){0};
}

double dp_blocks_most(const dp_blocks *b, int block, const double *k) {
    double most = 0;
    for (int i = b->first[block]; i < b->first[block + 1]; i++) most = fmax(most, k[b->units[i]]);
    return most;
}

double dp_blocks_operations(const dp_blocks *b, const double *k) {
    double sum = 0;
    for (int i = 0; i < b->count; i++) sum += b->operations[i] * dp_blocks_most(b, i, k);
    return sum;
}
