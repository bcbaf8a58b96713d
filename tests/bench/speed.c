/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * How fast the library is at what it spends its time on, without loading: sgemm, normals, passes of a network. Each is
 * measured several times in turn with what it is compared with, and every figure is printed, as one JSON object.
 *
 *     speed gemm THREADS PASSES                                               GFLOP/s of OpenBLAS as the library uses it
 *     speed normals PASSES                                                    normals a second, ours and GSL's
 *     speed network MODEL DATA HARDWARE.yaml REPETITIONS THREADS PASSES       samples a second: clean, noisy, with reverse
 */
#include <gsl/gsl_randist.h>
#include <gsl/gsl_rng.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "base/pool.h"
#include "base/rng.h"
#include "cli/start.h"
#include "kernels/gemm.h"
#include "network.h"

enum { SIZE = 1024, PRODUCTS = 24, NORMALS = 1 << 16, FILLS = 300, MAX_PASSES = 100 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print_list(const char *name, const double *values, int count, const char *after) {
    printf("\"%s\": [", name);
    for (int i = 0; i < count; i++) printf("%s%.6g", i ? ", " : "", values[i]);
    printf("]%s", after);
}

/* ---- sgemm: every thread multiplies matrices of its own ---- */

typedef struct matrices {
    float *a, *b, *c; /* [threads, SIZE, SIZE] */
} matrices;

static dp_status multiply(void *context, int task, int worker, dp_error *err) {
    const matrices *m = context;
    size_t at = (size_t)worker * SIZE * SIZE;
    (void)task;
    (void)err;
    dp_gemm_blas(&(dp_gemm){.m = SIZE,
                            .n = SIZE,
                            .k = SIZE,
                            .a = m->a + at,
                            .b = m->b + at,
                            .c = m->c + at,
                            .lda = SIZE,
                            .ldb = SIZE,
                            .ldc = SIZE});
    return DP_OK;
}

static dp_status time_products(dp_pool *pool, matrices *m, int passes, dp_error *err) {
    int count = PRODUCTS * dp_pool_threads(pool);
    double gflops[MAX_PASSES];
    dp_status status = dp_pool_run(pool, count, multiply, m, NULL, err);
    for (int p = 0; status == DP_OK && p < passes; p++) {
        double start = now();
        status = dp_pool_run(pool, count, multiply, m, NULL, err);
        gflops[p] = 2e-9 * SIZE * SIZE * SIZE * count / (now() - start);
    }
    if (status != DP_OK) return status;
    printf("{\"kernels\": \"%s\", \"threads\": %d, ", dp_gemm_kernels(), dp_pool_threads(pool));
    print_list("gflops", gflops, passes, "}\n");
    return DP_OK;
}

static dp_status speed_gemm(int threads, int passes, dp_error *err) {
    size_t count = (size_t)threads * SIZE * SIZE;
    matrices m = {dp_alloc(count, sizeof(float)), dp_alloc(count, sizeof(float)),
                  dp_alloc(count, sizeof(float))};
    dp_pool *pool = NULL;
    dp_status status = m.a && m.b && m.c ? dp_pool_create(&pool, threads, err)
                                         : dp_fail(err, DP_EMEMORY, "no memory for matrices");
    if (status == DP_OK) {
        dp_stream stream = {.seed = 1};
        dp_normals(&stream, 0, m.a, count);
        dp_normals(&stream, count, m.b, count);
        dp_gemm_single_thread();
        status = time_products(pool, &m, passes, err);
    }
    dp_pool_free(pool);
    dp_free(m.a);
    dp_free(m.b);
    dp_free(m.c);
    return status;
}

/* ---- normals, on one thread ---- */

static double time_ours(float *out) {
    dp_stream stream = {.seed = 1};
    double start = now();
    for (uint64_t i = 0; i < FILLS; i++) dp_normals(&stream, i * NORMALS, out, NORMALS);
    return 1.0 * NORMALS * FILLS / (now() - start);
}

static double time_gsl(const gsl_rng *random, float *out) {
    double start = now();
    for (int i = 0; i < FILLS; i++)
        for (int k = 0; k < NORMALS; k++) out[k] = (float)gsl_ran_gaussian_ziggurat(random, 1.0);
    return 1.0 * NORMALS * FILLS / (now() - start);
}

static dp_status speed_normals(int passes, dp_error *err) {
    float *out = dp_alloc(NORMALS, sizeof *out);
    gsl_rng *random = gsl_rng_alloc(gsl_rng_mt19937);
    double ours[MAX_PASSES], gsl[MAX_PASSES];
    if (!out || !random) {
        dp_free(out);
        return dp_fail(err, DP_EMEMORY, "no memory for normals");
    }
    for (int p = 0; p < passes; p++) {
        ours[p] = time_ours(out);
        gsl[p] = time_gsl(random, out);
    }
    printf("{");
    print_list("ours", ours, passes, ", ");
    print_list("gsl", gsl, passes, "}\n");
    gsl_rng_free(random);
    dp_free(out);
    return DP_OK;
}

/* ---- a network ---- */

/* The first pass of each kind is not counted: it makes plans and finds its memory cold. */
static dp_status time_passes(network *n, int passes, dp_error *err) {
    double rate[NETWORK_KINDS][MAX_PASSES], count = (double)dp_dataset_count(n->data);
    dp_status status = DP_OK;
    for (int p = -1; p < passes; p++)
        for (int kind = 0; status == DP_OK && kind < NETWORK_KINDS; kind++) {
            double start = now();
            status = network_pass(n, kind, err);
            if (p >= 0) rate[kind][p] = count / (now() - start);
        }
    if (status != DP_OK) return status;
    printf("{\"samples\": %.0f, \"macs\": %.0f, ", count, dp_engine_macs(n->engine));
    print_list("clean", rate[NETWORK_CLEAN], passes, ", ");
    print_list("noisy", rate[NETWORK_NOISY], passes, ", ");
    print_list("reverse", rate[NETWORK_REVERSE], passes, "}\n");
    return DP_OK;
}

static dp_status speed_network(char **words, int passes, dp_error *err) {
    network n = {0};
    dp_status status = network_load(
        &n, words, &(network_setting){.repetitions = atof(words[3]), .threads = atoi(words[4])},
        err);
    if (status == DP_OK) status = time_passes(&n, passes, err);
    network_clear(&n);
    return status;
}

int main(int count, char **words) {
    dp_error err = {DP_OK, ""};
    dp_start_with_fast_kernels(words);
    int passes = count > 2 ? atoi(words[count - 1]) : 0;
    if (passes < 1 || passes > MAX_PASSES)
        count = 0;
    else if (count == 4 && strcmp(words[1], "gemm") == 0)
        speed_gemm(atoi(words[2]), passes, &err);
    else if (count == 3 && strcmp(words[1], "normals") == 0)
        speed_normals(passes, &err);
    else if (count == 8 && strcmp(words[1], "network") == 0)
        speed_network(words + 2, passes, &err);
    else
        count = 0;
    if (count == 0) {
        fprintf(stderr, "usage: speed gemm THREADS PASSES | speed normals PASSES | speed network "
                        "MODEL DATA HARDWARE.yaml REPETITIONS THREADS PASSES\n");
        return 2;
    }
    if (err.status != DP_OK) fprintf(stderr, "speed: %s\n", err.text);
    return err.status != DP_OK;
}
