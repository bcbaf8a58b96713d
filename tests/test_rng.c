/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The generator against its published vectors, against the Random123 library and against double-precision libm; then the
 * draws as what they claim to be: independent standard normals. Seeds are fixed, so that statistical tests give the same
 * result every time; their bounds are z standard errors with z = 4.5 (7e-6 two-sided), unless stated.
 */
#include "base/rng.h"

#include <Random123/philox.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng_kernel.h"
#include "suites.h"

enum { MANY = 10000000, PIECE = 4000 };

static const double z = 4.5;

static uint32_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

/* The stream and element at which counter and key are those given. */
static dp_stream stream_at(const uint32_t counter[4], const uint32_t key[2], uint64_t *element) {
    *element = (uint64_t)counter[0] * 4;
    return (dp_stream){.seed = (uint64_t)key[1] << 32 | key[0],
                       .purpose = (dp_purpose)(counter[1] >> 24),
                       .site = counter[1] & 0xFFFFFF,
                       .sample = counter[2],
                       .trial = counter[3]};
}

/* Random123's kat_vectors, philox4x32 with 10 rounds. */
static const struct {
    uint32_t counter[4], key[2], words[4];
} published[] = {
    {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

START_TEST(bits_are_the_published_philox_vectors) {
    uint64_t element;
    uint32_t words[4];
    dp_stream stream = stream_at(published[_i].counter, published[_i].key, &element);
    dp_bits(&stream, element, words, 4);
    ck_assert_mem_eq(words, published[_i].words, sizeof words);
}
END_TEST

START_TEST(bits_are_those_of_random123) {
    enum { BLOCKS = 1000 };
    static uint32_t words[4 * BLOCKS];
    for (uint32_t k = 1; k <= 20; k++) {
        uint32_t counter[4] = {k * 0x9E3779B1, k * 0x85EBCA77, k * 0xC2B2AE3D, k * 0x27D4EB2F};
        uint32_t key[2] = {k * 0x165667B1, ~k};
        counter[0] %= UINT32_MAX - BLOCKS;
        uint64_t element;
        dp_stream stream = stream_at(counter, key, &element);
        dp_bits(&stream, element, words, 4 * BLOCKS);
        for (uint32_t i = 0; i < BLOCKS; i++) {
            philox4x32_ctr_t c = {{counter[0] + i, counter[1], counter[2], counter[3]}};
            philox4x32_key_t k01 = {{key[0], key[1]}};
            c = philox4x32_R(10, c, k01);
            ck_assert_mem_eq(words + 4 * i, c.v, 4 * sizeof *words);
        }
    }
}
END_TEST

START_TEST(every_instruction_set_gives_the_same_bits) {
    enum { MOST = 4 * DP_RNG_LANES };
    uint32_t words[MOST], plain_words[MOST];
    float normals[MOST], plain_normals[MOST];
    const dp_rng_kernel *plain = dp_rng_kernels;
    while (plain[1].name) plain++;
    for (const dp_rng_kernel *kernel = dp_rng_kernels; kernel != plain; kernel++) {
        if (!kernel->runs_here()) continue;
        for (uint32_t k = 0; k < 2000; k++) {
            dp_rng_counter from = {{k, 7}, {k * 0x01000193, k % 3, k, 9}};
            size_t blocks = DP_RNG_STEP * (1 + k % (DP_RNG_LANES / DP_RNG_STEP));
            kernel->words(&from, blocks, words);
            plain->words(&from, blocks, plain_words);
            ck_assert_mem_eq(words, plain_words, 4 * blocks * sizeof *words);
            kernel->normals(&from, blocks, normals);
            plain->normals(&from, blocks, plain_normals);
            ck_assert_msg(memcmp(normals, plain_normals, 4 * blocks * sizeof *normals) == 0,
                          "%s differs at block %u", kernel->name, (unsigned)from.word[0]);
        }
    }
}
END_TEST

START_TEST(a_range_may_be_cut_anywhere) {
    enum { COUNT = 3000 };
    static const uint64_t firsts[] = {0, 1, 2, 3, 255, 1000003, ((uint64_t)1 << 34) - COUNT};
    static float normals[COUNT], signs[COUNT], part[COUNT + 1];
    static uint32_t bits[COUNT], bit_part[COUNT];
    dp_stream stream = {.seed = 11, .purpose = DP_DRAW_WEIGHT, .trial = 2, .sample = 3, .site = 4};
    uint64_t first = firsts[_i];
    dp_normals(&stream, first, normals, COUNT);
    dp_signs(&stream, first, signs, COUNT);
    dp_bits(&stream, first, bits, COUNT);
    for (size_t at = 0, count = 0, step = 1; at < COUNT; at += count, step = step * 7 % 1009) {
        count = step < COUNT - at ? step : COUNT - at;
        part[count] = 123;
        dp_normals(&stream, first + at, part, count);
        ck_assert_mem_eq(part, normals + at, count * sizeof *part);
        dp_signs(&stream, first + at, part, count);
        ck_assert_mem_eq(part, signs + at, count * sizeof *part);
        dp_bits(&stream, first + at, bit_part, count);
        ck_assert_mem_eq(bit_part, bits + at, count * sizeof *bit_part);
        ck_assert_float_eq(part[count], 123);
    }
    dp_normals(&stream, first, NULL, 0);
}
END_TEST

/* What box_muller in rng_kernel.c approximates, in double. */
static void exact_pair(uint32_t w0, uint32_t w1, double pair[2]) {
    double low = ((double)((w0 & 0x80000000) ? ~w0 : w0) + 0.5) / 4294967296.0;
    double r = sqrt(-2 * ((w0 & 0x80000000) ? log1p(-low) : log(low)));
    double quarters = (w1 & 0x3FFFFFFF) / 1073741824.0 + 0x1p-31;
    double angle = 2 * atan(1) * (quarters < 0.5 ? quarters : quarters - 1);
    double s = r * sin(angle), c = (w1 & 0x80000000) ? -r * cos(angle) : r * cos(angle);
    bool swap = w1 & 0x40000000;
    pair[0] = swap ? s : c;
    pair[1] = swap ? c : s;
}

static void check_accuracy(const float *normals, const uint32_t *words) {
    for (size_t i = 0; i < 4; i += 2) {
        double exact[2];
        exact_pair(words[i], words[i + 1], exact);
        for (size_t j = 0; j < 2; j++) {
            double error = fabs(normals[i + j] - exact[j]) / fabs(exact[j]);
            ck_assert_msg(error < 3e-7, "words %08x %08x: %.9g for %.9g, error %.2g", words[i],
                          words[i + 1], (double)normals[i + j], exact[j], error);
        }
    }
}

START_TEST(normals_are_accurate_to_a_few_roundings) {
    enum { COUNT = 400000 };
    static float normals[COUNT];
    static uint32_t words[COUNT];
    dp_stream stream = {.seed = 5};
    dp_normals(&stream, 0, normals, COUNT);
    dp_bits(&stream, 0, words, COUNT);
    for (size_t i = 0; i < COUNT; i += 4) check_accuracy(normals + i, words + i);
}
END_TEST

/* Philox turned back: the counter that gives these words, so that rare words can be asked for. */
static void counter_of(const uint32_t words[4], const uint32_t key[2], uint32_t counter[4]) {
    const uint32_t m0 = 0xD2511F53, m1 = 0xCD9E8D57, inverse0 = 0x991A7CDB, inverse1 = 0x6D7CAE67;
    ck_assert_uint_eq(m0 * inverse0, 1);
    ck_assert_uint_eq(m1 * inverse1, 1);
    memcpy(counter, words, 4 * sizeof *words);
    for (uint32_t round = 10; round-- > 0;) {
        uint32_t a = counter[3] * inverse0, c = counter[1] * inverse1;
        uint32_t k0 = key[0] + round * 0x9E3779B9, k1 = key[1] + round * 0xBB67AE85;
        uint32_t b = counter[0] ^ (uint32_t)((uint64_t)m1 * c >> 32) ^ k0;
        uint32_t d = counter[2] ^ (uint32_t)((uint64_t)m0 * a >> 32) ^ k1;
        counter[0] = a, counter[1] = b, counter[2] = c, counter[3] = d;
    }
}

START_TEST(normals_are_accurate_at_the_ends_of_the_words) {
    /* Ends, the middle, where the logarithm changes its exponent, and where conversion rounds up. */
    static const uint32_t radii[] = {0,          1,          2,          0xFFFFFFFF, 0xFFFFFFFE,
                                     0x7FFFFFFF, 0x80000000, 0x7FFFFFC0, 0x80000040, 0x5A827999,
                                     0x5A82799A, 0xB504F333, 0xB504F334, 0xB504F2FF, 0x00FFFFFF};
    static const uint32_t angles[] = {0,          1,          0x1FFFFFFF, 0x20000000, 0x3FFFFFFF,
                                      0x40000000, 0x7FFFFFFF, 0x80000000, 0xBFFFFFFF, 0xC0000000,
                                      0xFFFFFFFF, 0x1FFFFF80, 0x60000000, 0xA0000000};
    const uint32_t key[2] = {1, 2};
    float largest = 0;
    for (size_t i = 0; i < sizeof radii / sizeof *radii; i++)
        for (size_t j = 0; j < sizeof angles / sizeof *angles; j++) {
            uint32_t words[4] = {radii[i], angles[j], radii[i], ~angles[j]}, got[4], counter[4];
            uint64_t element;
            float normals[4];
            counter_of(words, key, counter);
            dp_stream stream = stream_at(counter, key, &element);
            dp_bits(&stream, element, got, 4);
            ck_assert_mem_eq(got, words, sizeof got);
            dp_normals(&stream, element, normals, 4);
            check_accuracy(normals, words);
            for (size_t k = 0; k < 4; k++) largest = fmaxf(largest, fabsf(normals[k]));
        }
    ck_assert_float_eq_tol(largest, 6.7638f, 1e-4f); /* sqrt(66 ln 2) */
}
END_TEST

/* Normals in cells of 1/64, from -7 to 7, with their power sums. */
typedef struct histogram {
    double power[5];
    size_t cell[14 * 64];
} histogram;

static void count_normals(const dp_stream *stream, histogram *h) {
    static float normals[PIECE];
    memset(h, 0, sizeof *h);
    for (uint64_t first = 0; first < MANY; first += PIECE) {
        dp_normals(stream, first, normals, PIECE);
        for (size_t i = 0; i < PIECE; i++) {
            double x = normals[i], x2 = x * x;
            h->power[1] += x;
            h->power[2] += x2;
            h->power[3] += x2 * x;
            h->power[4] += x2 * x2;
            h->cell[(size_t)((x + 7) * 64)]++;
        }
    }
}

START_TEST(moments_are_those_of_a_normal) {
    /* Moments 1..4, and the standard deviation of each power: sqrt(m_2k - m_k^2). */
    static const double expected[] = {0, 0, 1, 0, 3}, sd[] = {0, 1, 2, 15, 96};
    static histogram h;
    count_normals(&(dp_stream){.seed = 1 + (uint64_t)_i}, &h);
    for (int k = 1; k <= 4; k++)
        ck_assert_double_eq_tol(h.power[k] / MANY, expected[k], z * sqrt(sd[k] / MANY));
}
END_TEST

static double normal_cdf(double x) {
    return 0.5 * erfc(-x / sqrt(2));
}

START_TEST(tails_are_as_heavy_as_they_should_be) {
    static histogram h;
    count_normals(&(dp_stream){.seed = 20, .sample = (uint32_t)_i}, &h);
    for (size_t sigma = 1; sigma <= 5; sigma++) {
        double lower = 0, upper = 0, p = normal_cdf(-(double)sigma);
        for (size_t i = 0; i < (7 - sigma) * 64; i++) {
            lower += (double)h.cell[i];
            upper += (double)h.cell[14 * 64 - 1 - i];
        }
        double tolerance = z * sqrt(MANY * p * (1 - p));
        ck_assert_double_eq_tol(lower, MANY * p, tolerance);
        ck_assert_double_eq_tol(upper, MANY * p, tolerance);
    }
}
END_TEST

/* At the edges of the cells, so a little below the statistics of the unbinned values. */
START_TEST(distribution_passes_kolmogorov_smirnov_and_anderson_darling) {
    static histogram h;
    count_normals(&(dp_stream){.seed = 30, .trial = (uint32_t)_i}, &h);
    double below = 0, largest = 0, squares = 0;
    for (int i = 0; i < 14 * 64 - 1; i++) {
        below += (double)h.cell[i];
        double edge = (i + 1) / 64.0 - 7, p = normal_cdf(edge);
        double gap = below / MANY - p;
        double width = normal_cdf(edge + 1 / 128.0) - normal_cdf(edge - 1 / 128.0);
        largest = fmax(largest, fabs(gap));
        squares += gap * gap / (p * normal_cdf(-edge)) * width;
    }
    ck_assert_double_lt(largest * sqrt(MANY), 1.949); /* the 99.9% points of both */
    ck_assert_double_lt(squares * MANY, 5.97);
}
END_TEST

START_TEST(pairs_point_in_all_directions_alike) {
    enum { SECTORS = 256 };
    static float normals[PIECE];
    static double sector[SECTORS];
    dp_stream stream = {.seed = 40};
    for (uint64_t first = 0; first < MANY / 4; first += PIECE) {
        dp_normals(&stream, first, normals, PIECE);
        for (size_t i = 0; i < PIECE; i += 2) {
            double turn = atan2(normals[i], normals[i + 1]) / (8 * atan(1)) + 0.5;
            sector[(size_t)(turn * SECTORS) % SECTORS]++;
        }
    }
    double chi2 = 0, expected = MANY / 8.0 / SECTORS;
    for (size_t i = 0; i < SECTORS; i++)
        chi2 += (sector[i] - expected) * (sector[i] - expected) / expected;
    ck_assert_double_eq_tol(chi2, SECTORS - 1, z * sqrt(2 * (SECTORS - 1)));
}
END_TEST

enum { PAIRS = 1000000 };
static const dp_stream base = {
    .seed = 50, .purpose = DP_DRAW_OUTPUT, .trial = 6, .sample = 100, .site = 12};

/* Of values and of their squares, which would show draws of one sign-independent size. */
static void check_uncorrelated(const dp_stream *other, uint64_t lag) {
    static float x[PIECE], y[PIECE];
    double product = 0, squares = 0;
    for (uint64_t first = 0; first < PAIRS; first += PIECE) {
        dp_normals(&base, first, x, PIECE);
        dp_normals(other, first + lag, y, PIECE);
        for (size_t i = 0; i < PIECE; i++) {
            product += (double)x[i] * (double)y[i];
            squares += ((double)x[i] * (double)x[i] - 1) * ((double)y[i] * (double)y[i] - 1) / 2;
        }
    }
    ck_assert_double_eq_tol(product / PAIRS, 0, z / sqrt(PAIRS));
    ck_assert_double_eq_tol(squares / PAIRS, 0, z / sqrt(PAIRS));
}

START_TEST(neighbouring_elements_are_uncorrelated) {
    check_uncorrelated(&base, (uint64_t)_i);
}
END_TEST

static const dp_stream neighbours[] = {
    {.seed = 51, .trial = 6, .sample = 100, .site = 12},
    {.seed = 50 + ((uint64_t)1 << 32), .trial = 6, .sample = 100, .site = 12},
    {.seed = 50 + ((uint64_t)1 << 63), .trial = 6, .sample = 100, .site = 12},
    {.seed = 50, .trial = 7, .sample = 100, .site = 12},
    {.seed = 50, .trial = 6, .sample = 101, .site = 12},
    {.seed = 50, .trial = 6, .sample = 100, .site = 13},
    {.seed = 50, .trial = 100, .sample = 6, .site = 12},
    {.seed = 50, .trial = 6, .sample = 100, .site = 12, .purpose = DP_DRAW_WEIGHT},
    {.seed = 50, .trial = 6, .sample = 100, .site = 12, .purpose = DP_DRAW_SIGN},
};

START_TEST(neighbouring_streams_are_uncorrelated) {
    check_uncorrelated(&neighbours[_i], 0);
}
END_TEST

START_TEST(opposite_normals_have_the_other_sign) {
    static float one[PIECE], other[PIECE];
    dp_stream stream = {.seed = 5, .purpose = DP_DRAW_WEIGHT, .trial = 1, .sample = 3, .site = 4};
    dp_normals(&stream, 7, one, PIECE);
    stream.opposite = true;
    dp_normals(&stream, 7, other, PIECE);
    for (size_t i = 0; i < PIECE; i++) ck_assert_float_eq(one[i], -other[i]);
}
END_TEST

START_TEST(signs_are_fair_and_uncorrelated) {
    static float signs[PIECE + 1];
    dp_stream stream = {.seed = 60, .purpose = DP_DRAW_SIGN};
    double sum = 0, product = 0;
    for (uint64_t first = 0; first < PAIRS; first += PIECE) {
        dp_signs(&stream, first, signs, PIECE + 1);
        for (size_t i = 0; i < PIECE; i++) {
            ck_assert(bits_of(fabsf(signs[i])) == bits_of(1.0f));
            sum += (double)signs[i];
            product += (double)(signs[i] * signs[i + 1]);
        }
    }
    ck_assert_double_eq_tol(sum / PAIRS, 0, z / sqrt(PAIRS));
    ck_assert_double_eq_tol(product / PAIRS, 0, z / sqrt(PAIRS));
}
END_TEST

Suite *test_rng_suite(void) {
    Suite *suite = suite_create("rng");
    TCase *bits = tcase_create("bits"), *draws = tcase_create("draws");
    tcase_add_loop_test(bits, bits_are_the_published_philox_vectors, 0, 3);
    tcase_add_test(bits, bits_are_those_of_random123);
    tcase_add_test(bits, every_instruction_set_gives_the_same_bits);
    tcase_add_loop_test(bits, a_range_may_be_cut_anywhere, 0, 7);
    tcase_add_test(bits, normals_are_accurate_to_a_few_roundings);
    tcase_add_test(bits, normals_are_accurate_at_the_ends_of_the_words);
    tcase_add_loop_test(draws, moments_are_those_of_a_normal, 0, 2);
    tcase_add_loop_test(draws, tails_are_as_heavy_as_they_should_be, 0, 2);
    tcase_add_loop_test(draws, distribution_passes_kolmogorov_smirnov_and_anderson_darling, 0, 2);
    tcase_add_test(draws, pairs_point_in_all_directions_alike);
    tcase_add_loop_test(draws, neighbouring_elements_are_uncorrelated, 1, 9);
    tcase_add_loop_test(draws, neighbouring_streams_are_uncorrelated, 0,
                        sizeof neighbours / sizeof *neighbours);
    tcase_add_test(draws, opposite_normals_have_the_other_sign);
    tcase_add_test(draws, signs_are_fair_and_uncorrelated);
    suite_add_tcase(suite, bits);
    suite_add_tcase(suite, draws);
    return suite;
}
