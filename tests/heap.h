/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Memory that runs out. The tests are linked with --wrap=aligned_alloc and --wrap=free, so that every block of base/alloc.h passes
 * here: allocations are counted and made to fail, and blocks that nobody released are found.
 */
#ifndef TESTS_HEAP_H
#define TESTS_HEAP_H

#include <stdint.h>

typedef struct heap_count {
    int64_t allocations; /* since heap_watch */
    int64_t live;        /* blocks of them that nobody has released */
} heap_count;

/** Count from now on; allocation number `fail_at` of all threads fails, -1: none. */
void heap_watch(int64_t fail_at);
heap_count heap_end(void);

/** Allocation number `fail_at` of this thread fails. heap_end_thread returns how many it made. */
void heap_watch_thread(int64_t fail_at);
int64_t heap_end_thread(void);

#endif
