/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Where the time of a network's passes goes, node by node: processor time of one thread, so that it can be looked at on a
 * machine that others use too. For those who work on speed; no benchmark runs it.
 *
 *     profile MODEL DATA HARDWARE.yaml REPETITIONS PASSES [BATCH]
 *
 * Columns: milliseconds a sample of the clean forward pass, of the noisy one, of what the noisy one spends at the site's port,
 * of the adjoint; GFLOP/s of the clean product, beside those of a 1024 x 1024 sgemm at the same moment.
 *
 * Each node's operator is replaced by a copy of its row whose functions take the time of the original's.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/alloc.h"
#include "cli/start.h"
#include "engine/state.h"
#include "kernels/gemm.h"
#include "network.h"

enum { FORWARD, PORT, ADJOINT, PARTS };

typedef struct timed {
    dp_op op; /* first: a node's op points to it */
    const dp_op *original;
    double seconds[NETWORK_KINDS][PARTS];
} timed;

typedef struct watched {
    const dp_site_port *port;
    double seconds;
} watched;

static int current_kind;

static double cpu_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void watch_product(void *self, const dp_product *block) {
    watched *w = self;
    double start = cpu_now();
    w->port->product(w->port->self, block);
    w->seconds += cpu_now() - start;
}

static void watch_operand(void *self, int slot, float *values, int64_t count) {
    watched *w = self;
    double start = cpu_now();
    w->port->operand(w->port->self, slot, values, count);
    w->seconds += cpu_now() - start;
}

static dp_status take_time(const dp_op_args *a, bool back, dp_error *err) {
    timed *t = (timed *)(uintptr_t)a->node->op;
    dp_op_args args = *a;
    dp_site_port port;
    watched w = {a->port, 0};
    if (a->port) {
        port = *a->port;
        port.self = &w;
        if (port.product) port.product = watch_product;
        if (port.operand) port.operand = watch_operand;
        args.port = &port;
    }
    double start = cpu_now();
    dp_status status = back ? t->original->adjoint(&args, err) : t->original->forward(&args, err);
    t->seconds[current_kind][back ? ADJOINT : FORWARD] += cpu_now() - start;
    t->seconds[current_kind][PORT] += w.seconds;
    return status;
}

static dp_status timed_forward(const dp_op_args *a, dp_error *err) {
    return take_time(a, false, err);
}

static dp_status timed_adjoint(const dp_op_args *a, dp_error *err) {
    return take_time(a, true, err);
}

static timed *wrap_operators(dp_graph *g) {
    timed *all = dp_alloc((size_t)g->n_nodes, sizeof *all);
    for (int i = 0; all && i < g->n_nodes; i++) {
        all[i].op = *g->nodes[i].op;
        all[i].original = g->nodes[i].op;
        all[i].op.forward = timed_forward;
        if (all[i].op.adjoint) all[i].op.adjoint = timed_adjoint;
        g->nodes[i].op = &all[i].op;
    }
    return all;
}

/* ---- what it is compared with ---- */

enum { SIZE = 1024, PRODUCTS = 8 };

static double sgemm_seconds(float *m) {
    double start = cpu_now();
    for (int i = 0; i < PRODUCTS; i++)
        dp_gemm_run(&(dp_gemm){.m = SIZE,
                               .n = SIZE,
                               .k = SIZE,
                               .a = m,
                               .b = m + SIZE * SIZE,
                               .c = m + 2 * SIZE * SIZE,
                               .lda = SIZE,
                               .ldb = SIZE,
                               .ldc = SIZE});
    return (cpu_now() - start) / PRODUCTS;
}

/* ---- the table ---- */

typedef struct row {
    double ms[4], macs;
} row;

static row row_of(const network *n, const timed *t, const dp_step *step, int passes) {
    const dp_plan *plan = n->engine->forward;
    double scale = 1e3 / (double)dp_dataset_count(n->data) / passes;
    row r = {.ms = {t->seconds[NETWORK_CLEAN][FORWARD] * scale,
                    t->seconds[NETWORK_NOISY][FORWARD] * scale,
                    t->seconds[NETWORK_NOISY][PORT] * scale,
                    t->seconds[NETWORK_REVERSE][ADJOINT] * scale}};
    for (int s = step->first_site; s < step->first_site + step->n_sites; s++)
        r.macs += (double)plan->sites[s].macs / (double)plan->options.samples;
    return r;
}

static void add_row(row *sum, const row *r) {
    for (int i = 0; i < 4; i++) sum->ms[i] += r->ms[i];
    sum->macs += r->macs;
}

static void print_row(const char *name, const char *op, const char *shapes, const row *r) {
    printf("%-28.28s %-18.18s %7.3f %7.3f %7.3f %7.3f", name, op, r->ms[0], r->ms[1], r->ms[2],
           r->ms[3]);
    if (r->macs > 0 && r->ms[0] > 0)
        printf(" %6.1f", 2e-6 * r->macs / r->ms[0]);
    else
        printf(" %6s", "");
    printf("  %s\n", shapes);
}

static void shapes_of(const dp_plan *plan, const dp_node *node, char *text, size_t size) {
    char in[96], out[96], weight[96] = "";
    dp_tensor_shape_text(&plan->values[node->in[0]], in, sizeof in);
    dp_tensor_shape_text(&plan->values[node->out[0]], out, sizeof out);
    if (node->op->n_sites > 0)
        dp_tensor_shape_text(&plan->values[node->in[1]], weight, sizeof weight);
    snprintf(text, size, "%s %s -> %s", in, weight, out);
}

/* Nodes in order, then operators, then all. */
static void print_table(const network *n, const timed *all, int passes) {
    const dp_plan *plan = n->engine->forward;
    const dp_graph *g = n->graph;
    row total = {{0}, 0}, *sums = dp_alloc((size_t)g->n_nodes, sizeof *sums);
    if (!sums) return;
    printf("%-28s %-18s %7s %7s %7s %7s %6s\n", "node", "op", "clean", "noisy", "port", "adjoint",
           "GF/s");
    for (int s = 0; s < plan->n_steps; s++) {
        int index = plan->steps[s].node, first = 0;
        row r = row_of(n, &all[index], &plan->steps[s], passes);
        char shapes[320];
        shapes_of(plan, &g->nodes[index], shapes, sizeof shapes);
        print_row(g->nodes[index].name, g->nodes[index].op_type, shapes, &r);
        while (strcmp(g->nodes[first].op_type, g->nodes[index].op_type) != 0) first++;
        add_row(&sums[first], &r);
        add_row(&total, &r);
    }
    for (int i = 0; i < g->n_nodes; i++)
        if (sums[i].ms[0] > 0) print_row("", g->nodes[i].op_type, "all", &sums[i]);
    print_row("", "", "total", &total);
    dp_free(sums);
}

static dp_status profile(network *n, timed *all, int passes, dp_error *err) {
    float *m = dp_alloc((size_t)3 * SIZE * SIZE, sizeof *m);
    if (!m) return dp_fail(err, DP_EMEMORY, "no memory for matrices");
    double products = 0, spent[NETWORK_KINDS] = {0};
    dp_status status = DP_OK;
    for (int p = -1; p < passes; p++)
        for (int kind = 0; status == DP_OK && kind < NETWORK_KINDS; kind++) {
            if (p == 0 && kind == 0)
                for (int i = 0; i < n->graph->n_nodes; i++)
                    memset(all[i].seconds, 0, sizeof all[i].seconds);
            current_kind = kind;
            double product = sgemm_seconds(m), start = cpu_now();
            status = network_pass(n, kind, err);
            if (p < 0) continue;
            spent[kind] += cpu_now() - start;
            products += product;
        }
    dp_free(m);
    if (status != DP_OK) return status;
    print_table(n, all, passes);
    double scale = 1e3 / (double)dp_dataset_count(n->data) / passes;
    double flops = 2.0 * SIZE * SIZE * SIZE * NETWORK_KINDS * passes / products;
    double ideal = 2e3 * dp_engine_macs(n->engine) / flops;
    printf("batch %lld, arena %.1f MB, reverse batch %lld, arena %.1f MB\n",
           (long long)n->engine->options.batch, (double)n->engine->forward->arena_bytes / 1e6,
           (long long)n->engine->reverse_batch, (double)n->engine->reverse->arena_bytes / 1e6);
    printf("whole passes, ms a sample: clean %.2f, noisy %.2f, forward and reverse %.2f; sgemm "
           "%.0f GFLOP/s would take %.2f: %.2f, %.2f, %.2f of that speed\n",
           spent[0] * scale, spent[1] * scale, spent[2] * scale, flops * 1e-9, ideal,
           ideal / spent[0] / scale, ideal / spent[1] / scale, ideal / spent[2] / scale);
    return DP_OK;
}

int main(int count, char **words) {
    dp_error err = {DP_OK, ""};
    dp_start_with_fast_kernels(words);
    int passes = count == 6 || count == 7 ? atoi(words[5]) : 0;
    if (passes < 1) {
        fprintf(stderr, "usage: profile MODEL DATA HARDWARE.yaml REPETITIONS PASSES [BATCH]\n");
        return 2;
    }
    network n = {0};
    timed *all = NULL;
    dp_status status = network_load(&n, words + 1,
                                    &(network_setting){.repetitions = atof(words[4]),
                                                       .threads = 1,
                                                       .batch = count == 7 ? atoi(words[6]) : 0},
                                    &err);
    if (status == DP_OK) all = wrap_operators(n.graph);
    if (all) status = profile(&n, all, passes, &err);
    network_clear(&n);
    dp_free(all);
    if (status != DP_OK) fprintf(stderr, "profile: %s\n", err.text);
    return status != DP_OK;
}
