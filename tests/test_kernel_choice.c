/* SPDX-License-Identifier: GPL-3.0-or-later */
/* OpenBLAS's kernels are replaced where the processor can do more, and nowhere else. Processors are made up. */
#include <check.h>
#include <string.h>

#include "kernels/choice.h"
#include "kernels/gemm.h"
#include "suites.h"

static const dp_processor none = {.avx2 = false};
static const dp_processor avx2 = {.avx2 = true, .fma = true};
static const dp_processor avx512 = {.avx2 = true,
                                    .fma = true,
                                    .avx512f = true,
                                    .avx512dq = true,
                                    .avx512bw = true,
                                    .avx512vl = true,
                                    .avx512cd = true};

static const struct {
    const char *running;
    const dp_processor *processor;
    const char *wanted; /* NULL: what runs */
} choices[] = {
    /* what OpenBLAS 0.3.21 takes for processors that it does not know */
    {"Prescott", &avx512, "SkylakeX"},
    {"Haswell", &avx512, "SkylakeX"},
    {"Zen", &avx512, "SkylakeX"},
    {"Prescott", &avx2, "Haswell"},
    {"Sandybridge", &avx2, "Haswell"},
    /* before AVX2 there is nothing to gain */
    {"Prescott", &none, NULL},
    {"Nehalem", &none, NULL},
    {"Sandybridge", &none, NULL},
    /* right already */
    {"Haswell", &avx2, NULL},
    {"Zen", &avx2, NULL},
    {"Excavator", &avx2, NULL},
    {"SkylakeX", &avx512, NULL},
    /* newer than the table, of another architecture, or more than the processor is said to have */
    {"Cooperlake", &avx512, NULL},
    {"SapphireRapids", &avx512, NULL},
    {"neoversen1", &none, NULL},
    {"SkylakeX", &avx2, NULL},
    {"Haswell", &none, NULL},
};

START_TEST(old_kernels_give_way_to_what_the_processor_can_run) {
    const char *wanted = dp_kernels_choose(choices[_i].running, choices[_i].processor);
    ck_assert_pstr_eq(wanted, choices[_i].wanted);
    /* what is asked for is taken for good: no program starts itself twice */
    if (wanted) ck_assert_ptr_null(dp_kernels_choose(wanted, choices[_i].processor));
}
END_TEST

START_TEST(a_processor_without_all_of_avx512_counts_as_avx2) {
    for (int part = 0; part < 5; part++) {
        dp_processor p = avx512;
        bool *has[] = {&p.avx512f, &p.avx512dq, &p.avx512bw, &p.avx512vl, &p.avx512cd};
        *has[part] = false;
        ck_assert_str_eq(dp_kernels_choose("Prescott", &p), "Haswell");
        ck_assert_ptr_null(dp_kernels_choose("Haswell", &p));
    }
}
END_TEST

START_TEST(avx2_kernels_need_fused_multiply_add) {
    dp_processor no_fma = {.avx2 = true}, no_avx2 = {.fma = true};
    ck_assert_ptr_null(dp_kernels_choose("Prescott", &no_fma));
    ck_assert_ptr_null(dp_kernels_choose("Prescott", &no_avx2));
}
END_TEST

START_TEST(this_machine_is_told_as_it_is) {
    dp_processor here = dp_processor_here();
    ck_assert_str_eq(dp_kernels_running(), dp_gemm_kernels());
    ck_assert_pstr_eq(dp_kernels_wanted(), dp_kernels_choose(dp_gemm_kernels(), &here));
    ck_assert(!here.avx512f || here.avx2);
}
END_TEST

Suite *test_kernel_choice_suite(void) {
    Suite *suite = suite_create("kernel_choice");
    TCase *tcase = tcase_create("kernel_choice");
    tcase_add_loop_test(tcase, old_kernels_give_way_to_what_the_processor_can_run, 0,
                        sizeof choices / sizeof *choices);
    tcase_add_test(tcase, a_processor_without_all_of_avx512_counts_as_avx2);
    tcase_add_test(tcase, avx2_kernels_need_fused_multiply_add);
    tcase_add_test(tcase, this_machine_is_told_as_it_is);
    suite_add_tcase(suite, tcase);
    return suite;
}
