/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "heap.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *block);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *block);

enum { MOST_BLOCKS = 1 << 16 };

static struct {
    pthread_mutex_t mutex;
    bool watching;
    int64_t allocations, fail_at; /* since heap_watch; -1: none fails */
    int64_t live;                 /* blocks that are still to be released */
    void *blocks[MOST_BLOCKS];    /* open addressing; removed ones leave `removed` */
} heap = {.mutex = PTHREAD_MUTEX_INITIALIZER, .fail_at = -1};
static char removed;

/* The same for one thread. */
static _Thread_local struct {
    bool watching;
    int64_t allocations, fail_at;
} mine;

static size_t slot_of(const void *block) {
    return ((uintptr_t)block >> 6) * UINT64_C(0x9E3779B97F4A7C15) >> 32 & (MOST_BLOCKS - 1);
}

static void note(void *block) {
    size_t at = slot_of(block);
    while (heap.blocks[at] && heap.blocks[at] != &removed) at = (at + 1) & (MOST_BLOCKS - 1);
    heap.blocks[at] = block;
    heap.live++;
}

static void forget(const void *block) {
    for (size_t at = slot_of(block); heap.blocks[at]; at = (at + 1) & (MOST_BLOCKS - 1))
        if (heap.blocks[at] == block) {
            heap.blocks[at] = &removed;
            heap.live--;
            return;
        }
}

void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    pthread_mutex_lock(&heap.mutex);
    bool fails = heap.watching && heap.allocations++ == heap.fail_at;
    if (mine.watching) fails = mine.allocations++ == mine.fail_at || fails;
    void *block = fails ? NULL : __real_aligned_alloc(alignment, size);
    if (heap.watching && block) note(block);
    pthread_mutex_unlock(&heap.mutex);
    return block;
}

void __wrap_free(void *block) {
    pthread_mutex_lock(&heap.mutex);
    if (heap.watching && block) forget(block);
    pthread_mutex_unlock(&heap.mutex);
    __real_free(block);
}

void heap_watch(int64_t fail_at) {
    memset(heap.blocks, 0, sizeof heap.blocks);
    heap.allocations = heap.live = 0;
    heap.fail_at = fail_at;
    heap.watching = true;
}

heap_count heap_end(void) {
    heap.watching = false;
    return (heap_count){heap.allocations, heap.live};
}

void heap_watch_thread(int64_t fail_at) {
    mine.allocations = 0;
    mine.fail_at = fail_at;
    mine.watching = true;
}

int64_t heap_end_thread(void) {
    mine.watching = false;
    return mine.allocations;
}
