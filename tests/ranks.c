/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "ranks.h"

#include <check.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

typedef struct meeting {
    pthread_mutex_t mutex;
    pthread_cond_t all_here;
    int size, here;
    unsigned round;
    /* of the round that is filling up, and what came of the last one */
    int least, kind;
    size_t bytes;
    void *buffer;
    int found;
    void *shown;
    bool differs; /* the ranks made different calls */
} meeting;

typedef struct rank {
    meeting *m;
    dp_comm comm;
    void (*work)(void *context, int rank, dp_comm *comm);
    void *context;
} rank;

/* One call of one rank: `buffer` is that of the rank whose bytes are wanted, or NULL. */
static void meet(meeting *m, int mine, int kind, size_t bytes, void *buffer) {
    pthread_mutex_lock(&m->mutex);
    if (m->here == 0) {
        m->least = INT_MAX;
        m->kind = kind;
        m->bytes = bytes;
        m->buffer = NULL;
    }
    if (m->kind != kind || m->bytes != bytes) m->differs = true;
    if (mine < m->least) m->least = mine;
    if (buffer) m->buffer = buffer;
    unsigned round = m->round;
    if (++m->here == m->size) {
        m->here = 0;
        m->round++;
        m->found = m->least;
        m->shown = m->buffer;
        pthread_cond_broadcast(&m->all_here);
    }
    while (m->round == round) pthread_cond_wait(&m->all_here, &m->mutex);
    pthread_mutex_unlock(&m->mutex);
}

static dp_status least(void *self, int mine, int *found, dp_error *err) {
    rank *r = self;
    (void)err;
    meet(r->m, mine, 0, 0, NULL);
    *found = r->m->found;
    return DP_OK;
}

/* A second meeting, so that nobody changes what is still being read. */
static dp_status broadcast(void *self, void *buffer, size_t bytes, int from, dp_error *err) {
    rank *r = self;
    (void)err;
    meet(r->m, 0, 1 + from, bytes, r->comm.rank == from ? buffer : NULL);
    if (r->comm.rank != from) memcpy(buffer, r->m->shown, bytes);
    meet(r->m, 0, 1 + from, bytes, NULL);
    return DP_OK;
}

static void *begin(void *argument) {
    rank *r = argument;
    r->work(r->context, r->comm.rank, &r->comm);
    return NULL;
}

void ranks_run(int size, void (*work)(void *context, int rank, dp_comm *comm), void *context) {
    meeting m = {
        .mutex = PTHREAD_MUTEX_INITIALIZER, .all_here = PTHREAD_COND_INITIALIZER, .size = size};
    rank ranks[RANKS_MOST];
    pthread_t threads[RANKS_MOST];
    ck_assert_int_le(size, RANKS_MOST);
    for (int r = 0; r < size; r++) {
        dp_comm comm = {
            .rank = r, .size = size, .self = &ranks[r], .least = least, .broadcast = broadcast};
        ranks[r] = (rank){&m, comm, work, context};
    }
    for (int r = 0; r < size; r++)
        ck_assert_int_eq(pthread_create(&threads[r], NULL, begin, &ranks[r]), 0);
    for (int r = 0; r < size; r++) pthread_join(threads[r], NULL);
    ck_assert_msg(!m.differs, "the ranks made different calls");
}
