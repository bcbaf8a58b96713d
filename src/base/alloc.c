/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Blocks are rounded up to whole cache lines, those that fill most of a large page to large pages. An arena is a list of blocks of which only the first still has room;
 * pieces are never taken back, so what was zero when the block came is zero when a piece is handed out.
 */
#include "base/alloc.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ARENA_BLOCK = 1 << 16, LARGE_PAGE = 2 << 20, LARGE_BLOCK = LARGE_PAGE / 2 };

struct dp_arena_block {
    struct dp_arena_block *next;
    size_t used, size; /* bytes of data[], which starts one alignment after the block */
};

bool dp_size_mul(size_t a, size_t b, size_t *product) {
    return !__builtin_mul_overflow(a, b, product);
}

static bool round_up(size_t bytes, size_t step, size_t *rounded) {
    if (__builtin_add_overflow(bytes, step - 1, rounded)) return false;
    *rounded &= ~(step - 1);
    if (*rounded == 0) *rounded = step;
    return *rounded <= PTRDIFF_MAX;
}

/* Let the system back it with few large pages, whose addresses are translated faster; it may decline. */
static void prefer_large_pages(void *block, size_t bytes) {
#ifdef MADV_HUGEPAGE
    madvise(block, bytes, MADV_HUGEPAGE);
#else
    (void)block, (void)bytes;
#endif
}

void *dp_alloc(size_t count, size_t size) {
    size_t bytes, rounded;
    if (!dp_size_mul(count, size, &bytes)) return NULL;
    bool large = bytes >= LARGE_BLOCK;
    size_t alignment = large ? LARGE_PAGE : DP_ALIGNMENT;
    if (!round_up(bytes, alignment, &rounded)) return NULL;
    void *block = aligned_alloc(alignment, rounded);
    if (block && large) prefer_large_pages(block, rounded);
    if (block) memset(block, 0, rounded);
    return block;
}

void dp_free(void *block) {
    free(block);
}

void *dp_grow(void *block, size_t *capacity, size_t need, size_t size) {
    if (block && need <= *capacity) return block;
    size_t wanted = *capacity > SIZE_MAX / 2 ? need : *capacity * 2;
    if (wanted < need) wanted = need;
    if (wanted < 8) wanted = 8;
    void *grown = dp_alloc(wanted, size);
    if (!grown) return NULL;
    if (block) memcpy(grown, block, *capacity * size);
    dp_free(block);
    *capacity = wanted;
    return grown;
}

char *dp_strdup(const char *text) {
    size_t bytes = strlen(text) + 1;
    char *copy = dp_alloc(bytes, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

static struct dp_arena_block *arena_block(dp_arena *arena, size_t bytes) {
    size_t size = bytes > ARENA_BLOCK ? bytes : ARENA_BLOCK;
    size_t whole;
    if (__builtin_add_overflow(size, (size_t)DP_ALIGNMENT, &whole)) return NULL;
    struct dp_arena_block *block = dp_alloc(whole, 1);
    if (!block) return NULL;
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    return block;
}

void *dp_arena_alloc(dp_arena *arena, size_t count, size_t size) {
    size_t bytes, rounded;
    if (!dp_size_mul(count, size, &bytes) || !round_up(bytes, DP_ALIGNMENT, &rounded)) return NULL;
    struct dp_arena_block *block = arena->blocks;
    if (!block || block->size - block->used < rounded) block = arena_block(arena, rounded);
    if (!block) return NULL;
    void *place = (char *)block + DP_ALIGNMENT + block->used;
    block->used += rounded;
    return place;
}

char *dp_arena_strndup(dp_arena *arena, const char *text, size_t length) {
    size_t bytes = strnlen(text, length);
    char *copy = dp_arena_alloc(arena, bytes + 1, 1);
    if (copy) memcpy(copy, text, bytes);
    return copy;
}

char *dp_arena_strdup(dp_arena *arena, const char *text) {
    return dp_arena_strndup(arena, text, strlen(text));
}

void dp_arena_join(dp_arena *into, dp_arena *from) {
    struct dp_arena_block **end = &into->blocks;
    while (*end) end = &(*end)->next;
    *end = from->blocks;
    from->blocks = NULL;
}

void dp_arena_free(dp_arena *arena) {
    while (arena->blocks) {
        struct dp_arena_block *next = arena->blocks->next;
        dp_free(arena->blocks);
        arena->blocks = next;
    }
}
