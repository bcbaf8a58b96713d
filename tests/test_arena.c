/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Places in the arena: what lives together does not overlap, and the whole is not much more than has to be. */
#include <check.h>

#include "base/alloc.h"
#include "engine/arena.h"
#include "oracle.h"
#include "suites.h"

START_TEST(buffers_that_live_together_do_not_overlap) {
    uint64_t state = (uint64_t)_i + 1;
    int count = (int)oracle_below(&state, 60) + 1, steps = (int)oracle_below(&state, 40) + 1;
    dp_buffer buffers[64];
    size_t total, largest = 0;
    for (int i = 0; i < count; i++) {
        size_t bytes = oracle_below(&state, 4) == 0 ? 0 : oracle_below(&state, _i % 2 ? 200 : 5000);
        int first = (int)oracle_below(&state, (uint64_t)steps);
        int last = first + (int)oracle_below(&state, (uint64_t)(steps - first));
        buffers[i] = (dp_buffer){bytes, first, last, SIZE_MAX};
    }
    ck_dp_ok(dp_arena_place(buffers, count, &total, &err));
    for (int i = 0; i < count; i++) {
        const dp_buffer *a = &buffers[i];
        ck_assert_uint_eq(a->place % DP_ALIGNMENT, 0);
        ck_assert_uint_le(a->place + a->bytes, total);
        for (int k = 0; k < i; k++) {
            const dp_buffer *b = &buffers[k];
            bool together = a->first <= b->last && b->first <= a->last;
            bool apart = a->place + a->bytes <= b->place || b->place + b->bytes <= a->place;
            ck_assert_msg(!together || apart || !a->bytes || !b->bytes,
                          "buffers %d and %d are both alive and overlap", i, k);
        }
    }
    for (int step = 0; step < steps; step++) {
        size_t alive = 0;
        for (int i = 0; i < count; i++)
            if (buffers[i].first <= step && step <= buffers[i].last)
                alive += (buffers[i].bytes + DP_ALIGNMENT - 1) / DP_ALIGNMENT * DP_ALIGNMENT;
        if (alive > largest) largest = alive;
    }
    ck_assert_uint_ge(total, largest);
    ck_assert_msg(total <= 2 * largest + 64, "%zu bytes where %zu are alive at once", total,
                  largest);
}
END_TEST

START_TEST(memory_of_a_chain_is_that_of_its_two_largest_neighbours) {
    dp_buffer buffers[] = {{640, 0, 1, 0}, {6400, 1, 2, 0}, {3200, 2, 3, 0}, {640, 3, 4, 0}};
    size_t total;
    ck_dp_ok(dp_arena_place(buffers, 4, &total, &err));
    ck_assert_uint_eq(total, 9600);
}
END_TEST

Suite *test_arena_suite(void) {
    Suite *suite = suite_create("arena");
    TCase *tcase = tcase_create("places");
    tcase_add_loop_test(tcase, buffers_that_live_together_do_not_overlap, 0, 60);
    tcase_add_test(tcase, memory_of_a_chain_is_that_of_its_two_largest_neighbours);
    suite_add_tcase(suite, tcase);
    return suite;
}
