/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Matrix products, convolution's pieces and vector loops against plain loops in double. */
#include <check.h>
#include <dlfcn.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "kernels/conv.h"
#include "kernels/conv_frame.h"
#include "kernels/gemm.h"
#include "kernels/vector.h"
#include "oracle.h"
#include "suites.h"

static const int64_t sizes[][3] = {{1, 1, 1},    {1, 17, 5},   {33, 1, 9},    {7, 5, 1},
                                   {64, 64, 64}, {31, 47, 53}, {3, 200, 129}, {5, 4, 0}};
enum { SIZES = sizeof sizes / sizeof *sizes, FORMS = 8 };

/* Every size in every form: operands stored either way, rows apart or not, C added to or not. */
START_TEST(products_are_the_defining_sum) {
    int64_t m = sizes[_i / FORMS][0], n = sizes[_i / FORMS][1], k = sizes[_i / FORMS][2];
    bool ta = _i & 1, tb = _i & 2, add = _i & 4;
    dp_gemm g = {.m = m, .n = n, .k = k, .transpose_a = ta, .transpose_b = tb, .ldc = n + 2};
    g.lda = (ta ? m : k) + 3;
    g.ldb = (tb ? k : n) + 1;
    g.beta = add ? 0.5F : 0;
    float *a = oracle_randoms(1, (ta ? k : m) * g.lda + 1), *c = oracle_randoms(3, m * g.ldc);
    float *b = oracle_randoms(2, (tb ? n : k) * g.ldb + 1), *before = oracle_randoms(3, m * g.ldc);
    if (!add) /* what is there must not count, whatever it is */
        for (int64_t i = 0; i < m * g.ldc; i++)
            if (i % g.ldc < n) c[i] = NAN;
    g.a = a, g.b = b, g.c = c;
    dp_gemm_run(&g);
    oracle_matrix left = {a, g.lda, 1}, right = {b, g.ldb, 1};
    if (ta) left = oracle_transposed(left);
    if (tb) right = oracle_transposed(right);
    for (int64_t i = 0; i < m * g.ldc; i++) {
        int64_t at[2] = {i / g.ldc, i % g.ldc};
        if (at[1] >= n) {
            ck_assert_msg(c[i] == before[i], "writes between the rows of C");
            continue;
        }
        oracle_sum want = oracle_product(left, right, k, at);
        want.value += add ? 0.5 * (double)before[i] : 0;
        want.size += fabs((double)before[i]);
        ck_assert_msg(oracle_near((double)c[i], want), "[%d,%d] is %g, not %g", (int)at[0],
                      (int)at[1], (double)c[i], want.value);
    }
    float *blocks[] = {a, b, c, before};
    for (int i = 0; i < 4; i++) dp_free(blocks[i]);
}
END_TEST

/* GSL brings a cblas_sgemm of its own, ten times slower: the linker must have found OpenBLAS's first. */
START_TEST(products_come_from_openblas) {
    Dl_info info;
    void *sgemm = dlsym(RTLD_DEFAULT, "cblas_sgemm");
    ck_assert_ptr_nonnull(sgemm);
    ck_assert_int_ne(dladdr(sgemm, &info), 0);
    ck_assert_msg(strstr(info.dli_fname, "blas") && !strstr(info.dli_fname, "gsl"),
                  "cblas_sgemm comes from %s", info.dli_fname);
    ck_assert_uint_gt(strlen(dp_gemm_kernels()), 0);
}
END_TEST

/* clang-format off */
static const oracle_conv geometries[] = {
    {1, 3, 3, 1, {7, 9}, {3, 3}, {1, 1}, {1, 1}, {1, 1}, {1, 1}, {0}},
    {1, 4, 4, 2, {8, 7}, {3, 2}, {2, 1}, {1, 2}, {2, 0}, {0, 3}, {0}},
    {1, 6, 6, 6, {11, 10}, {3, 5}, {2, 3}, {2, 1}, {1, 2}, {2, 2}, {0}},
    {1, 5, 5, 5, {4, 5}, {3, 3}, {1, 1}, {1, 1}, {4, 4}, {4, 5}, {0}},
    {1, 2, 2, 1, {1, 13}, {1, 4}, {1, 3}, {1, 1}, {0, 2}, {0, 1}, {0}},
    {1, 3, 3, 3, {6, 6}, {1, 1}, {1, 1}, {1, 1}, {0, 0}, {0, 0}, {0}},
};
/* clang-format on */
enum { GEOMETRIES = sizeof geometries / sizeof *geometries };

static dp_conv geometry(const oracle_conv *from, oracle_conv *placed) {
    dp_conv g = {from->channels, from->out_channels, from->groups, {1}, {1}, {1}, {1}, {1}, {0}};
    *placed = *from;
    oracle_conv_place(placed, "NOTSET");
    for (int i = 0; i < 2; i++) {
        g.in[1 + i] = placed->in[i];
        g.out[1 + i] = placed->out[i];
        g.kernel[1 + i] = placed->kernel[i];
        g.stride[1 + i] = placed->stride[i];
        g.dilation[1 + i] = placed->dilation[i];
        g.pad[1 + i] = placed->pad[i];
    }
    return g;
}

/* Column (position) times any weight row is what that weight gives there: columns are patches. */
START_TEST(columns_are_patches_however_many_rows_are_taken) {
    oracle_conv o;
    dp_conv g = geometry(&geometries[_i], &o);
    int64_t depth = dp_conv_depth(&g), plane = dp_conv_plane(&g), group = g.channels / g.groups;
    float *x = oracle_randoms(1, g.channels * plane);
    float *columns = oracle_randoms(2, depth * dp_conv_positions(&g));
    float *weights = dp_alloc((size_t)(g.out_channels * depth), sizeof *weights);
    for (int64_t rows = 1; rows <= g.out[1]; rows++)
        for (int64_t first = 0; first + rows <= g.out[1]; first++) {
            memset(columns, 0xFF, (size_t)(depth * rows * g.out[2]) * sizeof *columns);
            dp_conv_columns(&g, x + (g.groups - 1) * group * plane,
                            dp_conv_part_rows(&g, first, rows), columns);
            for (int64_t d = 0; d < depth; d++)
                for (int64_t p = 0; p < rows * g.out[2]; p++) {
                    int64_t at[4] = {0, g.out_channels - 1, first + p / g.out[2], p % g.out[2]};
                    float *tap = weights + at[1] * depth + d;
                    *tap = 1;
                    double want = oracle_conv_at(&o, x, weights, NULL, at).value;
                    *tap = 0;
                    ck_assert(columns[d * rows * g.out[2] + p] == (float)want);
                }
        }
    dp_free(x);
    dp_free(columns);
    dp_free(weights);
}
END_TEST

/* What lies where lines and places say is what columns have, for some rows and channels and for the input itself where that will do. */
START_TEST(frames_hold_the_columns) {
    oracle_conv o;
    dp_conv g = geometry(&geometries[_i], &o);
    ck_assert(dp_conv_has_frame(&g));
    int64_t plane = dp_conv_plane(&g), channels = g.channels / g.groups, taps = dp_conv_taps(&g);
    float *x = oracle_randoms(1, channels * plane);
    for (int64_t rows = 1; rows <= g.out[1]; rows++) {
        dp_conv_frame f = dp_conv_frame_of(&g, rows);
        int64_t size = dp_conv_frame_size(&f), width = rows * g.out[2], skip = channels > 1;
        int64_t count = channels - skip, first = f.direct ? 0 : 3;
        float *frame = dp_alloc((size_t)(count * size + first), sizeof *frame);
        float *columns = dp_alloc((size_t)(count * taps * width), sizeof *columns);
        int64_t *lines = dp_alloc((size_t)(count * taps), sizeof *lines);
        int64_t *places = dp_alloc((size_t)width, sizeof *places);
        for (int64_t row = 0; row + rows <= g.out[1]; row++) {
            dp_conv_part part = {row, rows, skip, count, width};
            dp_conv_columns(&g, x, part, columns);
            memset(frame, 0xFF, (size_t)(count * size + first) * sizeof *frame);
            if (!f.direct) dp_conv_frame_fill(&g, &f, x, part, frame + first);
            dp_conv_frame_lines(&g, &f, count, lines);
            dp_conv_frame_places(&g, &f, rows, f.direct ? row * g.in[2] : first, places);
            const float *from = f.direct ? x + skip * plane : frame;
            for (int64_t l = 0; l < count * taps; l++)
                for (int64_t p = 0; p < width; p++)
                    ck_assert(from[lines[l] + places[p]] == columns[l * width + p]);
        }
        dp_free(frame);
        dp_free(columns);
        dp_free(lines);
        dp_free(places);
    }
    dp_free(x);
}
END_TEST

static double dot(const float *a, const float *b, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* <columns(x), u> = <x, uncolumns(u)>, adding to what is there. */
START_TEST(columns_go_back_to_where_they_came_from) {
    oracle_conv o;
    dp_conv g = geometry(&geometries[_i], &o);
    int64_t count = dp_conv_depth(&g) * dp_conv_positions(&g);
    int64_t size = g.channels / g.groups * dp_conv_plane(&g);
    float *x = oracle_randoms(1, size), *u = oracle_randoms(2, count);
    float *columns = oracle_randoms(3, count), *back = oracle_randoms(4, size);
    double before = dot(x, back, size);
    dp_conv_columns(&g, x, dp_conv_part_rows(&g, 0, g.out[1]), columns);
    dp_conv_uncolumns(&g, u, 0, g.out[1], back);
    double forth = dot(columns, u, count);
    oracle_sum want = {forth, (double)(count + size)};
    ck_assert(oracle_near(dot(x, back, size) - before, want));
    float *blocks[] = {x, u, columns, back};
    for (int i = 0; i < 4; i++) dp_free(blocks[i]);
}
END_TEST

START_TEST(patch_norms_are_sums_of_squares) {
    oracle_conv o;
    dp_conv g = geometry(&geometries[_i], &o);
    int64_t positions = dp_conv_positions(&g);
    float *x = oracle_randoms(1, g.channels * dp_conv_plane(&g));
    float *norms = oracle_randoms(3, g.groups * positions);
    float *scratch = oracle_randoms(4, (int64_t)dp_conv_norms_scratch(&g));
    dp_conv_norms(&g, x, norms, scratch);
    for (int64_t i = 0; i < g.groups * positions; i++) {
        int64_t channel = i / positions * (g.out_channels / g.groups);
        int64_t at[4] = {0, channel, i % positions / g.out[2], i % g.out[2]};
        double want = oracle_conv_norm(&o, x, at);
        ck_assert(oracle_near((double)norms[i], (oracle_sum){want, want}));
    }
    float *blocks[] = {x, norms, scratch};
    for (int i = 0; i < 3; i++) dp_free(blocks[i]);
}
END_TEST

/* Lengths around what loops are unrolled and blocked by. */
static const int64_t lengths[] = {0, 1, 7, 15, 16, 17, 100, 1023, 1024, 1025, 2065};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

START_TEST(vector_loops_add_what_they_say) {
    int64_t n = lengths[_i];
    float *z = oracle_randoms(1, n + 1), *s = oracle_randoms(2, n + 1),
          *t = oracle_randoms(3, n + 1);
    for (int64_t i = 0; i <= n; i++) s[i] = fabsf(s[i]), t[i] = fabsf(t[i]);
    for (int form = 0; form < 5; form++) {
        float *y = oracle_randoms(4, n + 1), *before = oracle_randoms(4, n + 1);
        if (form == 0) dp_vector_sqrt(s, y, n);
        if (form == 1) dp_vector_add_scaled(1.5F, z, y, n);
        if (form == 2) dp_vector_add_product(1.5F, s, z, y, n);
        if (form == 3) dp_vector_add_rooted((float[]){1.5F, 0.25F}, s, z, y, n);
        if (form == 4) dp_vector_add_rooted_sum(1.5F, (const float *[]){s, t}, z, y, n);
        for (int64_t i = 0; i < n; i++) {
            double v = (double)s[i], w = (double)z[i],
                   add[] = {sqrt(v) - (double)before[i], 1.5 * w, 1.5 * v * w,
                            sqrt(1.5 * v + 0.25) * w, sqrt(1.5 * v + (double)t[i]) * w};
            double want = (double)before[i] + add[form];
            ck_assert(oracle_near((double)y[i], (oracle_sum){want, 4}));
        }
        ck_assert_msg(y[n] == before[n], "form %d writes behind the end", form);
        dp_free(y);
        dp_free(before);
    }
    dp_free(z);
    dp_free(s);
    dp_free(t);
}
END_TEST

START_TEST(vector_sums_are_sums) {
    int64_t n = lengths[_i];
    float *g = oracle_randoms(1, n + 1), *s = oracle_randoms(2, n + 1), range[2] = {-0.5F, 0.5F};
    double norm2 = 0, weighted = 0, sum = 0, low = -0.5, high = 0.5;
    for (int64_t i = 0; i < n; i++) {
        double v = (double)g[i];
        norm2 += v * v;
        weighted += v * v * (double)s[i];
        sum += v;
        low = fmin(low, v);
        high = fmax(high, v);
    }
    oracle_sum want = {norm2, (double)n + 1};
    ck_assert(oracle_near(dp_vector_norm2(g, n), want));
    want.value = weighted;
    ck_assert(oracle_near(dp_vector_weighted_norm2(g, s, n), want));
    want.value = sum;
    ck_assert(oracle_near(dp_vector_sum(g, n), want));
    dp_vector_range(g, n, range);
    ck_assert((double)range[0] == low && (double)range[1] == high);
    dp_free(g);
    dp_free(s);
}
END_TEST

/* The sum, and what is added on the way, with something there before. */
START_TEST(weighted_dots_add_up_along_the_way) {
    int64_t n = lengths[_i];
    float *g = oracle_randoms(1, n + 1), *z = oracle_randoms(2, n + 1);
    float *r = oracle_randoms(3, n + 1), *to = oracle_randoms(4, n + 1);
    float *before = oracle_randoms(4, n + 1);
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += (double)g[i] * (double)z[i] * (double)r[i];
    double found = dp_vector_weighted_dot(0.75F, r, (const float *[]){g, z}, to, n);
    ck_assert(oracle_near(found, (oracle_sum){sum, (double)n + 1}));
    for (int64_t i = 0; i <= n; i++) {
        double added = i < n ? 0.75 * (double)g[i] * (double)z[i] : 0;
        ck_assert(oracle_near((double)to[i], (oracle_sum){(double)before[i] + added, 2}));
    }
    float *blocks[] = {g, z, r, to, before};
    for (int i = 0; i < 5; i++) dp_free(blocks[i]);
}
END_TEST

Suite *test_kernels_suite(void) {
    Suite *suite = suite_create("kernels");
    TCase *tcase = tcase_create("kernels");
    tcase_add_loop_test(tcase, products_are_the_defining_sum, 0, SIZES * FORMS);
    tcase_add_test(tcase, products_come_from_openblas);
    tcase_add_loop_test(tcase, columns_are_patches_however_many_rows_are_taken, 0, GEOMETRIES);
    tcase_add_loop_test(tcase, frames_hold_the_columns, 0, GEOMETRIES);
    tcase_add_loop_test(tcase, columns_go_back_to_where_they_came_from, 0, GEOMETRIES);
    tcase_add_loop_test(tcase, patch_norms_are_sums_of_squares, 0, GEOMETRIES);
    tcase_add_loop_test(tcase, vector_loops_add_what_they_say, 0, LENGTHS);
    tcase_add_loop_test(tcase, vector_sums_are_sums, 0, LENGTHS);
    tcase_add_loop_test(tcase, weighted_dots_add_up_along_the_way, 0, LENGTHS);
    suite_add_tcase(suite, tcase);
    return suite;
}
