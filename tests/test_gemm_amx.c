/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rough products: within what they may be off by, on tiles where there are any, and by OpenBLAS elsewhere. */
#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/gemm.h"
#include "kernels/gemm_amx.h"
#include "suites.h"

enum {
    GAP = 5
}; /* between the rows of a stored matrix, where nothing is to be read into sums or written */

static float *random_floats(int64_t count, unsigned *state) {
    float *x = dp_alloc((size_t)count, sizeof *x);
    for (int64_t i = 0; i < count; i++) {
        *state = *state * 1664525U + 1013904223U;
        x[i] = (float)(*state >> 8) / (float)(1 << 23) - 1;
    }
    return x;
}

/* m, n, k: whole panels and blocks; one more and one less; less than is worth a tile; several blocks each way. */
static const int64_t shapes[][3] = {{64, 64, 256}, {65, 97, 129}, {95, 63, 287}, {33, 770, 31},
                                    {31, 49, 600}, {4, 100, 900}, {40, 800, 80}, {16, 16, 2048}};
enum { SHAPES = sizeof shapes / sizeof *shapes, WAYS = 12 };

static dp_gemm product(int which, unsigned *state) {
    int64_t m = shapes[which / WAYS][0], n = shapes[which / WAYS][1], k = shapes[which / WAYS][2];
    int start = which % WAYS / 4; /* from nothing, what is there, a bias */
    bool ta = which & 1, tb = which & 2;
    dp_gemm g = {.m = m,
                 .n = n,
                 .k = k,
                 .transpose_a = ta,
                 .transpose_b = tb,
                 .beta = start == 1,
                 .rough = true};
    g.lda = (ta ? m : k) + GAP;
    g.ldb = (tb ? k : n) + GAP;
    g.ldc = n + GAP;
    g.a = random_floats((ta ? k : m) * g.lda, state);
    g.b = random_floats((tb ? n : k) * g.ldb, state);
    g.c = random_floats(m * g.ldc, state);
    if (start == 2) g.bias = random_floats(m, state);
    return g;
}

static void release(dp_gemm *g) {
    dp_free((void *)g->a);
    dp_free((void *)g->b);
    dp_free((void *)g->bias);
    dp_free(g->c);
}

static void check_product(const dp_gemm *g, const float *before, double off) {
    for (int64_t i = 0; i < g->m; i++)
        for (int64_t j = 0; j < g->n + GAP; j++) {
            double was = (double)before[i * g->ldc + j], found = (double)g->c[i * g->ldc + j];
            if (j >= g->n) {
                ck_assert_double_eq(found, was);
                continue;
            }
            double bias = g->bias ? (double)g->bias[i] : 0;
            double sum = g->beta != 0 ? was : bias, size = fabs(sum);
            for (int64_t l = 0; l < g->k; l++) {
                double a = (double)(g->transpose_a ? g->a[l * g->lda + i] : g->a[i * g->lda + l]);
                double b = (double)(g->transpose_b ? g->b[j * g->ldb + l] : g->b[l * g->ldb + j]);
                sum += a * b;
                size += fabs(a * b);
            }
            ck_assert_msg(fabs(found - sum) <= off * size, "[%d,%d] is %.9g, not %.9g", (int)i,
                          (int)j, found, sum);
        }
}

static void check_run(int which, dp_rough rough, double off) {
    unsigned state = 7U + (unsigned)which;
    dp_gemm g = product(which, &state);
    g.rough = rough;
    size_t bytes = (size_t)(g.m * g.ldc) * sizeof(float);
    float *before = dp_alloc(bytes, 1);
    memcpy(before, g.c, bytes);
    dp_gemm_run(&g);
    check_product(&g, before, off);
    dp_free(before);
    release(&g);
}

/* Each product of two floats is off by 3 * 2^-17 at most, and their sum in float32 by less than as much again. */
START_TEST(rough_products_are_near) {
    check_run(_i, DP_ROUGH, ldexp(6, -17));
}
END_TEST

/* With bfloat16 alone each operand is off by 2^-9 at most. */
START_TEST(coarse_products_are_nearly_that) {
    check_run(_i, DP_COARSE, ldexp(2.1, -9));
}
END_TEST

/* What does not say that it may be rough has OpenBLAS's bits; so have all where there are no tiles. */
START_TEST(other_products_are_those_of_openblas) {
    unsigned state = 3;
    for (int rough = 0; rough < 2; rough++) {
        dp_gemm g = product(0, &state);
        g.rough = rough;
        g.beta = 0;
        size_t bytes = (size_t)(g.m * g.ldc) * sizeof(float);
        float *other = dp_alloc(bytes, 1);
        memcpy(other, g.c, bytes);
        dp_gemm blas = g;
        blas.c = other;
        dp_gemm_run(&g);
        dp_gemm_blas(&blas);
        bool same = memcmp(g.c, other, bytes) == 0;
        ck_assert_int_eq(same, !rough || !dp_gemm_tiles());
        dp_free(other);
        release(&g);
    }
}
END_TEST

/* What has overflowed does not spread to other rows, nor get lost in its own. */
START_TEST(infinities_stay_in_their_rows) {
    unsigned state = 5;
    dp_gemm g = product(0, &state);
    float *a = (float *)g.a;
    a[3 * g.lda + 17] = INFINITY;
    a[40 * g.lda + 200] = NAN;
    dp_gemm_run(&g);
    for (int64_t i = 0; i < g.m; i++)
        for (int64_t j = 0; j < g.n; j++)
            ck_assert_int_eq(isfinite(g.c[i * g.ldc + j]) != 0, i != 3 && i != 40);
    release(&g);
}
END_TEST

/* ---- what is kept, what is gathered: the very bits ---- */

static float *as_it_is(const dp_gemm *g) {
    float *c = dp_alloc((size_t)(g->m * g->ldc), sizeof *c);
    memcpy(c, g->c, (size_t)(g->m * g->ldc) * sizeof *c);
    dp_gemm other = *g;
    other.c = c;
    dp_gemm_run(&other);
    return c;
}

/* Runs g, and compares. */
static void check_same(const dp_gemm *g, const float *want) {
    dp_gemm_run(g);
    ck_assert_mem_eq(g->c, want, (size_t)(g->m * g->ldc) * sizeof *want);
}

static dp_kept keep(const dp_gemm *g, bool coarse) {
    dp_kept kept = {.m = g->m, .k = g->k, .coarse = coarse};
    size_t bytes = dp_kept_bytes(&kept);
    if (bytes > 0) {
        kept.tiles = dp_alloc(bytes, 1);
        dp_gemm_keep(g, &kept);
    }
    return kept;
}

/* A is spoilt behind its back, so that the product has to be of what is kept. */
START_TEST(kept_operands_are_what_is_multiplied) {
    static const dp_rough roughs[] = {DP_ROUGH, DP_COARSE, DP_COARSE};
    bool coarse = _i % 3 == 2;
    unsigned state = 11U + (unsigned)_i;
    dp_gemm g = product(_i / 3, &state);
    g.rough = roughs[_i % 3];
    dp_kept kept = keep(&g, coarse);
    float *want = as_it_is(&g);
    if (kept.tiles) {
        g.kept = &kept;
        if (dp_gemm_gathers(&g)) /* else it goes to OpenBLAS, with A */
            memset((void *)(uintptr_t)g.a, 0,
                   (size_t)((g.transpose_a ? g.k : g.m) * g.lda) * sizeof(float));
        check_same(&g, want);
    }
    ck_assert_int_eq(kept.tiles != NULL, dp_gemm_tiles() && g.m >= 16 && g.k >= 32);
    dp_free(kept.tiles);
    dp_free(want);
    release(&g);
}
END_TEST

/* Slices of the depth: those between steps use what is kept, those elsewhere A itself. */
START_TEST(slices_of_kept_operands) {
    static const int64_t slices[][2] = {{0, 64},  {64, 160}, {160, 287},
                                        {0, 287}, {32, 100}, {10, 287}};
    unsigned state = 5;
    dp_gemm all = product(2 * WAYS, &state); /* 95 x 63 x 287 */
    dp_kept kept = keep(&all, false);
    dp_gemm g = all;
    g.a = all.a + slices[_i][0];
    g.b = all.b + slices[_i][0] * all.ldb;
    g.k = slices[_i][1] - slices[_i][0];
    float *want = as_it_is(&g);
    g.kept = kept.tiles ? &kept : NULL;
    g.kept_from = slices[_i][0];
    check_same(&g, want);
    dp_free(kept.tiles);
    dp_free(want);
    release(&all);
}
END_TEST

/* A coarse form has half of what a rough product needs. */
START_TEST(rough_products_do_not_take_coarse_forms) {
    unsigned state = 9;
    dp_gemm g = product(0, &state);
    dp_kept kept = keep(&g, true);
    float *want = as_it_is(&g);
    g.kept = kept.tiles ? &kept : NULL;
    check_same(&g, want);
    dp_free(kept.tiles);
    dp_free(want);
    release(&g);
}
END_TEST

/* Places in runs of 1, 3, 7, 16 and all, and the lines in any order. */
START_TEST(gathered_operands_are_what_lies_there) {
    static const int64_t runs[] = {1, 3, 7, 16, 1000};
    int64_t run = runs[_i / 2 % 5], n = 70 + _i / 10 * 9, k = 75;
    unsigned state = 17;
    dp_gemm g = product(0, &state); /* A 64 x 256 */
    dp_gemm_run(&g);
    g.n = n, g.k = k, g.ldc = n, g.beta = 0;
    g.rough = _i % 2 ? DP_COARSE : DP_ROUGH;
    if (dp_gemm_gathers(&g)) {
        int64_t lines[75], places[100];
        float *pool = random_floats(40000, &state), *b = dp_alloc((size_t)(k * n), sizeof *b);
        for (int64_t l = 0; l < k; l++) lines[l] = (l * 37 % k) * 300 + 5;
        for (int64_t j = 0; j < n; j++) places[j] = j + (j / run * 53 % 97) * 2;
        for (int64_t l = 0; l < k; l++)
            for (int64_t j = 0; j < n; j++) b[l * n + j] = pool[lines[l] + places[j]];
        float *c = dp_alloc((size_t)(g.m * n), sizeof *c), *stored = g.c;
        const float *mine = g.b;
        g.c = c;
        g.b = b;
        g.ldb = n;
        float *want = as_it_is(&g);
        g.b = pool;
        g.lines = lines;
        g.places = places;
        check_same(&g, want);
        g.b = mine;
        g.c = stored;
        float *blocks[] = {pool, b, c, want};
        for (int i = 0; i < 4; i++) dp_free(blocks[i]);
    } else {
        ck_assert(!dp_gemm_tiles());
    }
    release(&g);
}
END_TEST

Suite *test_gemm_amx_suite(void) {
    Suite *suite = suite_create("rough products");
    TCase *tests = tcase_create("rough products");
    tcase_add_loop_test(tests, rough_products_are_near, 0, SHAPES * WAYS);
    tcase_add_loop_test(tests, coarse_products_are_nearly_that, 0, SHAPES * WAYS);
    tcase_add_test(tests, other_products_are_those_of_openblas);
    tcase_add_test(tests, infinities_stay_in_their_rows);
    tcase_add_loop_test(tests, kept_operands_are_what_is_multiplied, 0, 3 * SHAPES * WAYS);
    tcase_add_loop_test(tests, slices_of_kept_operands, 0, 6);
    tcase_add_test(tests, rough_products_do_not_take_coarse_forms);
    tcase_add_loop_test(tests, gathered_operands_are_what_lies_there, 0, 40);
    suite_add_tcase(suite, tests);
    return suite;
}
