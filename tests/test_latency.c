/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Time: what the core does for one product, counted tile by tile; and of networks, at any repetitions. */
#include <check.h>
#include <math.h>

#include "base/alloc.h"
#include "device/latency.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

/* Operations of one product at these repetitions, by walking over the tiles of a matrix without groups. */
static double tiles(int channels, int depth, int rows, int columns, const double *k) {
    double sum = 0;
    for (int r = 0; r < channels; r += rows)
        for (int c = 0; c < depth; c += columns) {
            double most = 0;
            for (int i = r; i < r + rows && i < channels; i++) most = fmax(most, k[i]);
            sum += most;
        }
    return sum;
}

static double of_site(const dp_site_time *time, int channels, const double *k) {
    double sum = 0;
    for (int64_t c = 0; c < channels; c += time->at_once) {
        double most = 0;
        for (int64_t i = c; i < c + time->at_once && i < channels; i++) most = fmax(most, k[i]);
        sum += time->operations * most;
    }
    return sum;
}

START_TEST(a_matrix_takes_an_operation_a_tile_and_repetition) {
    enum { MOST = 37 };
    static const int sizes[] = {0, 1, 5, 8, 16, 37, 100};
    double k[MOST];
    for (int i = 0; i < MOST; i++) k[i] = 1 + (i * 7) % 11;
    for (int r = 0; r < 7; r++)
        for (int c = 0; c < 7; c++) {
            int rows = sizes[r], columns = sizes[c], depth = 20;
            dp_hardware h = {.rows = rows, .columns = columns};
            dp_site_size size = {
                .products = 3, .outputs = MOST, .channels = MOST, .groups = 1, .depth = depth};
            dp_site_time time = dp_latency_site(&h, &size);
            double want = 3 * tiles(MOST, depth, rows ? rows : MOST, columns ? columns : depth, k);
            ck_assert_double_eq(of_site(&time, MOST, k), want);
        }
}
END_TEST

/* A depthwise convolution: as many channels at once as have room for their own inputs. */
START_TEST(groups_share_columns) {
    dp_site_size size = {.products = 10, .outputs = 64, .channels = 64, .groups = 64, .depth = 9};
    static const struct {
        int rows, columns;
        double at_once, operations;
    } cases[] = {{0, 0, 64, 10}, {0, 128, 14, 10}, {8, 128, 8, 10}, {0, 9, 1, 10}, {128, 4, 1, 30}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        dp_hardware h = {.rows = cases[i].rows, .columns = cases[i].columns};
        dp_site_time time = dp_latency_site(&h, &size);
        ck_assert_double_eq((double)time.at_once, cases[i].at_once);
        ck_assert_double_eq(time.operations, cases[i].operations);
    }
}
END_TEST

/* One K for all outputs of a product of activations: its rows take turns. */
START_TEST(products_of_activations_have_rows_too) {
    dp_site_size size = {.products = 6, .outputs = 50, .channels = 1, .groups = 1, .depth = 30};
    dp_hardware small = {.rows = 16, .columns = 16}, large = {0};
    ck_assert_double_eq(dp_latency_site(&small, &size).operations, 6 * 4 * 2);
    ck_assert_double_eq(dp_latency_site(&large, &size).operations, 6);
}
END_TEST

/* A convolution of 5 x 5 positions in two groups, a linear layer, and a product of activations of 7 rows. */
START_TEST(networks_take_the_time_of_their_sites) {
    static const char *const shot[] = {"shot", NULL};
    rig r = {.hardware = net_hardware(shot, (double[]){1})};
    r.hardware.rows = _i ? 4 : 0;
    r.hardware.operation_s = _i ? 1e-9 : 0;
    net *n = &r.n;
    net_open(n, 3);
    int x = net_input(n, "x", DP_F32, 4, NET_DIM(-1, 4, 5, 5));
    x = net_conv(n, x, NET_DIM(6, 2, 3, 3),
                 (dp_attr[]){OP_INTS("pads", 1, 1, 1, 1), OP_INT("group", 2), {0}});
    x = net_reshape(n, x, 3, NET_DIM(-1, 10, 15));
    x = net_matmul(n, x, 10, 15);
    x = net_op(n, "MatMul", NET_IN(x, x), NULL);
    x = net_reshape(n, x, 2, NET_DIM(-1, 100));
    net_output(n, net_linear(n, x, 3, 100));
    r.data = net_dataset(n, &(net_data){.samples = 8, .spread = 1, .seed = 5});
    rig_open(&r, NULL);
    ck_assert_int_eq(dp_engine_channels(r.engine), 6 + 10 + 1 + 3);
    double k[20];
    for (int i = 0; i < 20; i++) k[i] = 1 + i;
    double all = 25 * 6 + 10 * 16 + 10 * 17 + 20;
    double fours = 25 * (4 + 6) + 10 * (10 + 14 + 16) + 10 * 3 * 17 + 20;
    ck_assert_double_eq(dp_engine_operations(r.engine, k), _i ? fours : all);
    ck_assert_double_eq(dp_engine_operations(r.engine, NULL),
                        _i ? 25 * 2 + 10 * 3 + 10 * 3 + 1 : 25 + 10 + 10 + 1);
    double *two = rig_uniform(&r, 2);
    ck_assert_double_eq(dp_engine_operations(r.engine, two),
                        2 * dp_engine_operations(r.engine, NULL));
    dp_free(two);
    double second = dp_engine_operation_s(r.engine);
    ck_assert(_i ? second == 1e-9 : isnan(second));
    rig_close(&r);
}
END_TEST

Suite *test_latency_suite(void) {
    Suite *suite = suite_create("latency");
    TCase *tcase = tcase_create("latency");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_test(tcase, a_matrix_takes_an_operation_a_tile_and_repetition);
    tcase_add_test(tcase, groups_share_columns);
    tcase_add_test(tcase, products_of_activations_have_rows_too);
    tcase_add_loop_test(tcase, networks_take_the_time_of_their_sites, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
