/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ConvTranspose: shapes, gradients and what is refused. Its sums are in test_convolutions.c. */
#include <check.h>

#include "op_harness.h"
#include "suites.h"

#define WANT_F32(...)                                                                              \
    { .dtype = DP_F32, OP_DIM(__VA_ARGS__) }

/* clang-format off */
const op_case op_cases_convtranspose[] = {
    {"ConvTranspose", 1, .in = {OP_F32(2, 3, 3, 4), OP_F32(3, 2, 3, 2), OP_F32(2)},
     .attrs = {OP_INTS("pads", 1, 0, 2, 1), OP_INTS("strides", 2, 1), OP_INTS("output_padding", 1, 0)}, .want = {WANT_F32(2, 2, 5, 4)}},
    {"ConvTranspose", 11, .in = {OP_F32(2, 4, 3, 3), OP_F32(4, 3, 2, 3)}, .attrs = {OP_INT("group", 2), OP_INTS("dilations", 2, 1)},
     .want = {WANT_F32(2, 6, 5, 5)}},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 3), OP_F32(3, 1, 3, 3), OP_F32(3)},
     .attrs = {OP_INT("group", 3), OP_INTS("strides", 2, 2), OP_STRING("auto_pad", "SAME_UPPER")}, .want = {WANT_F32(1, 3, 8, 6)}},
    {"ConvTranspose", 11, .in = {OP_F32(2, 3, 4), OP_F32(3, 2, 3), OP_F32(2)},
     .attrs = {OP_INTS("kernel_shape", 3), OP_INTS("strides", 2), OP_INTS("pads", 2, 1)}, .want = {WANT_F32(2, 2, 6)}},
    {"ConvTranspose", 11, .in = {OP_F32(2, 3, 2, 2), OP_F32(3, 4, 1, 1)}, .want = {WANT_F32(2, 4, 2, 2)}},
    {"ConvTranspose", 11, .in = {OP_F32(1, 2, 2, 2, 3), OP_F32(2, 2, 2, 1, 2), OP_F32(2)},
     .attrs = {OP_INTS("strides", 2, 1, 1), OP_INTS("pads", 1, 0, 0, 0, 0, 1)}, .want = {WANT_F32(1, 2, 3, 2, 3)}},
    {"ConvTranspose", 11, .in = {OP_F32(0, 3, 2, 2), OP_F32(3, 4, 3, 3)}, .want = {WANT_F32(0, 4, 4, 4)}},
    {"ConvTranspose", 11, .in = {OP_F32(1, 1, 3, 3), OP_F32(1, 2, 3, 3)},
     .attrs = {OP_INTS("strides", 3, 2), OP_INTS("output_shape", 10, 8), OP_INTS("output_padding", 1, 1)}, .want = {WANT_F32(1, 2, 10, 8)}},
    {"ConvTranspose", 11, .in = {OP_F32(1, 1, 3, 3), OP_F32(1, 2, 3, 3)},
     .attrs = {OP_INTS("strides", 3, 2), OP_INTS("output_shape", 1, 2, 8, 7)}, .want = {WANT_F32(1, 2, 8, 7)}},
    {"ConvTranspose", 11, .in = {{OP_DIM(1, 1, 2), OP_FLOATS(1, 2)}, {OP_DIM(1, 1, 2), OP_FLOATS(10, 1)}},
     .attrs = {OP_INTS("strides", 3), OP_INTS("output_shape", 7)}, .want = {{OP_DIM(1, 1, 7), OP_FLOATS(10, 1, 0, 20, 2, 0, 0)}}},

    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4)}, .status = DP_EFORMAT, .refused = "input 1 is missing"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(4, 2, 3, 3)}, .status = DP_EFORMAT, .refused = "3 input channels, weights for 4"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INT("group", 2)}, .status = DP_EFORMAT,
     .refused = "2 groups"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3)}, .status = DP_EFORMAT, .refused = "weights of rank 3"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 1, 1, 1, 1, 1), OP_F32(1, 1, 1, 1, 1, 1)}, .status = DP_EUNSUPPORTED, .refused = "rank 6"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("kernel_shape", 3, 2)}, .status = DP_EFORMAT,
     .refused = "kernel_shape"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("strides", 0, 1)}, .status = DP_EFORMAT,
     .refused = "strides has the entry 0"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("strides", 2)}, .status = DP_EFORMAT,
     .refused = "strides has 1 entries for 2 axes"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("pads", 1, 1, -1, 1)}, .status = DP_EUNSUPPORTED,
     .refused = "pads has the entry -1"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("pads", 3, 0, 3, 0)}, .status = DP_ERANGE,
     .refused = "6 outputs along an axis and pads of 3 and 3"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("output_shape", 7)}, .status = DP_EFORMAT,
     .refused = "output_shape has 1 entries"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3)}, .attrs = {OP_INTS("output_shape", 0, 7)}, .status = DP_ERANGE,
     .refused = "output_shape has the entry 0"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 3, 4, 4), OP_F32(3, 2, 3, 3), OP_F32(3)}, .status = DP_EFORMAT, .refused = "bias must be 2"},
    {"ConvTranspose", 11, .in = {OP_F32(1, 1, 4, 4), OP_F32(1, 1, 1, 1)}, .status = DP_ERANGE,
     .attrs = {OP_INTS("strides", 2147483647, 2147483647)}, .refused = "cannot have shape"},
    {0},
};

/* clang-format on */

START_TEST(transposed_convolutions_hold_their_contract) {
    op_case_check(&op_cases_convtranspose[_i]);
}
END_TEST

Suite *test_ops_convtranspose_suite(void) {
    Suite *suite = suite_create("ops/convtranspose");
    TCase *tcase = tcase_create("cases");
    tcase_add_loop_test(tcase, transposed_convolutions_hold_their_contract, 0,
                        op_case_count(op_cases_convtranspose));
    suite_add_tcase(suite, tcase);
    return suite;
}
