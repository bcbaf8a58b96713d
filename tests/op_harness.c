/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Random inputs are a shuffled grid with some jitter, so that no two values of a case are closer than 0.6 of its spacing and,
 * with a range symmetric to zero and an even number of values, none is closer to zero than 0.3: differences, which
 * reach 0.2 away, then cross no kink of Relu, Max or TopK. Values and steps are multiples of powers of two, so x + h is exact.
 */
#include "op_harness.h"

#include <check.h>
#include <float.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { GUARD = 64, GUARD_BYTE = 0xA5 };

static const double differences_offset[] = {1, -1, 2, -2};
static const double differences_weight[] = {8, -8, -1, 1}; /* over 12 h; error h^4 f'''''/30 */

static bool wrong(op_run *run, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool wrong(op_run *run, const char *format, ...) {
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    snprintf(run->why, sizeof run->why, "%s-%d %s", run->c->op, run->c->opset, text);
    return false;
}

static double random_unit(uint64_t *state) {
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15); /* splitmix64 */
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return (double)((z ^ (z >> 31)) >> 11) * 0x1p-53;
}

static double range_low(const op_tensor *t) {
    return t->low == 0 && t->high == 0 ? -2 : t->low;
}

static double range_high(const op_tensor *t) {
    return t->low == 0 && t->high == 0 ? 2 : t->high;
}

static int64_t random_count(const op_run *run) {
    int64_t count = 0;
    for (int k = 0; k < run->node.n_in; k++)
        if (run->in_list[k] && !run->c->in[k].data) count += dp_tensor_count(&run->in[k]);
    return count;
}

static void store(dp_tensor *t, int64_t i, double value) {
    switch (t->dtype) {
    case DP_F32:
        ((float *)t->data)[i] = (float)(nearbyint(value * 0x1p16) * 0x1p-16);
        break;
    case DP_I32:
        ((int32_t *)t->data)[i] = (int32_t)floor(value);
        break;
    case DP_I64:
        ((int64_t *)t->data)[i] = (int64_t)floor(value);
        break;
    case DP_BOOL:
        ((uint8_t *)t->data)[i] = value > 0;
        break;
    default:
        ck_abort_msg("no random values of type %s", dp_dtype_name(t->dtype));
    }
}

static void fill_inputs(op_run *run) {
    int64_t count = random_count(run);
    uint64_t state = (uint64_t)count;
    double *unit = dp_alloc((size_t)count, sizeof *unit);
    for (int64_t i = 0; i < count; i++) {
        int64_t j = (int64_t)((double)(i + 1) * random_unit(&state));
        unit[i] = unit[j];
        unit[j] = ((double)i + 0.5 + 0.4 * (random_unit(&state) - 0.5)) / (double)count;
    }
    int64_t used = 0;
    for (int k = 0; k < run->node.n_in; k++) {
        const op_tensor *from = &run->c->in[k];
        if (!run->in_list[k]) continue;
        if (from->data) memcpy(run->in[k].data, from->data, dp_tensor_bytes(&run->in[k]));
        double low = range_low(from), width = range_high(from) - low;
        for (int64_t i = 0; !from->data && i < dp_tensor_count(&run->in[k]); i++)
            store(&run->in[k], i, low + width * unit[used++]);
    }
    dp_free(unit);
}

static int last_input(const op_case *c) {
    int n = OP_INPUTS;
    while (n > 0 && c->in[n - 1].dtype == DP_NONE) n--;
    return n;
}

static void build_node(op_run *run, const op_case *c) {
    memset(run, 0, sizeof *run);
    run->c = c;
    dp_node *node = &run->node;
    node->name = "case";
    node->op_type = c->op;
    node->domain = c->domain ? c->domain : "";
    node->opset = c->opset;
    memcpy(run->attrs, c->attrs, sizeof run->attrs);
    node->attrs = run->attrs;
    while (node->n_attrs < OP_ATTRS && run->attrs[node->n_attrs].name) node->n_attrs++;
    node->n_in = last_input(c);
    node->n_out = c->n_out ? c->n_out : 1;
    node->in = node->out = run->values;
    node->op = run->row = c->row ? c->row : dp_op_find(c->op, node->domain, c->opset);
    run->args = (dp_op_args){.node = node,
                             .n_in = node->n_in,
                             .n_out = node->n_out,
                             .in = run->in_list,
                             .out = run->out_list,
                             .port = c->port,
                             .reverse = true};
}

static void allocate_like(dp_tensor *t, const dp_tensor *like) {
    dp_tensor_reshape(t, like->dtype, like->rank, like->dim);
    ck_assert_int_eq(dp_tensor_allocate(t, NULL), DP_OK);
}

/* shape() sees the data of constant inputs only. */
static dp_status run_shape(op_run *run, dp_error *err) {
    const op_case *c = run->c;
    void *data[OP_INPUTS] = {NULL};
    for (int k = 0; k < run->node.n_in; k++) {
        data[k] = run->in[k].data;
        if (!c->in[k].constant) run->in[k].data = NULL;
    }
    for (int k = 0; k < run->node.n_out; k++) run->out_list[k] = &run->out[k];
    dp_status status = run->row->shape(&run->args, err);
    for (int k = 0; k < run->node.n_in; k++) run->in[k].data = data[k];
    return status;
}

static void allocate_outputs(op_run *run) {
    uint64_t state = 1;
    for (int k = 0; k < run->node.n_out; k++) {
        allocate_like(&run->out[k], &run->out[k]);
        if (run->out[k].dtype != DP_F32) continue;
        allocate_like(&run->grad_out[k], &run->out[k]);
        for (int64_t i = 0; i < dp_tensor_count(&run->out[k]); i++)
            ((float *)run->grad_out[k].data)[i] = (float)(2 * random_unit(&state) - 1);
        run->grad_out_list[k] = &run->grad_out[k];
    }
    for (int k = 0; k < run->node.n_in; k++) {
        if (run->in[k].dtype != DP_F32 || (run->c->frozen >> k & 1)) continue;
        allocate_like(&run->grad_in[k], &run->in[k]);
        run->grad_in_list[k] = &run->grad_in[k];
    }
    run->args.scratch = dp_alloc(run->args.scratch_bytes + GUARD, 1);
    run->args.state = dp_alloc(run->args.state_bytes, 1);
}

dp_status op_run_open(op_run *run, const op_case *c, dp_error *err) {
    build_node(run, c);
    if (!run->row) return dp_fail(err, DP_EUNSUPPORTED, "%s-%d: no such row", c->op, c->opset);
    for (int k = 0; k < run->node.n_in; k++) {
        const op_tensor *t = &c->in[k];
        if (t->dtype == DP_NONE) continue;
        dp_tensor_reshape(&run->in[k], t->dtype, t->rank, t->dim);
        allocate_like(&run->in[k], &run->in[k]);
        run->in_list[k] = &run->in[k];
        if (t->constant) run->args.constant |= UINT64_C(1) << k;
    }
    fill_inputs(run);
    dp_status status = run_shape(run, err);
    if (status == DP_OK) allocate_outputs(run);
    return status;
}

void op_run_close(op_run *run) {
    for (int k = 0; k < OP_INPUTS; k++) {
        dp_tensor_clear(&run->in[k]);
        dp_tensor_clear(&run->grad_in[k]);
    }
    for (int k = 0; k < OP_OUTPUTS; k++) {
        dp_tensor_clear(&run->out[k]);
        dp_tensor_clear(&run->grad_out[k]);
    }
    dp_free(run->args.scratch);
    dp_free(run->args.state);
}

static uint64_t hash_bytes(const void *data, size_t bytes, uint64_t h) {
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ ((const uint8_t *)data)[i]) * UINT64_C(0x100000001B3); /* FNV-1a */
    return h;
}

static uint64_t hash(const dp_tensor *t, uint64_t h) {
    return t->data ? hash_bytes(t->data, dp_tensor_bytes(t), h) : h;
}

/* What the operator may not write to. */
static uint64_t fingerprint(const op_run *run, bool in_place) {
    uint64_t h = UINT64_C(0xCBF29CE484222325);
    for (int k = 0; !in_place && k < run->node.n_in; k++) h = hash(&run->in[k], h);
    for (int k = 0; k < run->node.n_out; k++) h = hash(&run->grad_out[k], h);
    if (run->args.grad_out) h = hash_bytes(run->args.state, run->args.state_bytes, h);
    return h;
}

static bool guarded(op_run *run, dp_status (*call)(const dp_op_args *, dp_error *), bool in_place) {
    dp_error err = {DP_OK, ""};
    size_t bytes = run->args.scratch_bytes;
    uint8_t *scratch = run->args.scratch;
    memset(scratch, GUARD_BYTE, bytes + GUARD);
    uint64_t before = fingerprint(run, in_place);
    dp_status status = call(&run->args, &err);
    if (status != DP_OK) return wrong(run, "fails: %s", err.text);
    if (before != fingerprint(run, in_place)) return wrong(run, "writes to what it only reads");
    for (size_t i = bytes; i < bytes + GUARD; i++)
        if (scratch[i] != GUARD_BYTE) return wrong(run, "writes scratch byte %zu of %zu", i, bytes);
    return true;
}

bool op_run_forward(op_run *run) {
    const dp_tensor *const *grad_out = run->args.grad_out;
    run->args.grad_out = NULL;
    memset(run->args.state, GUARD_BYTE, run->args.state_bytes);
    bool fine = guarded(run, run->row->forward, false);
    run->args.grad_out = grad_out;
    return fine;
}

/* Data of the tensor's size without a sensible value in it, to show who reads it. */
static void *spoil(dp_tensor *t) {
    void *kept = t->data;
    size_t bytes = dp_tensor_bytes(t);
    t->data = dp_alloc(bytes, 1);
    memset(t->data, 0xFF, bytes);
    return kept;
}

static void restore(dp_tensor *t, void *kept) {
    if (!kept) return;
    dp_free(t->data);
    t->data = kept;
}

/* What the row's flags let the engine reuse before the reverse pass holds garbage by then. */
bool op_run_adjoint(op_run *run) {
    unsigned flags = run->row->flags;
    bool in_gone = flags & (DP_OP_INPLACE | DP_OP_LINEAR);
    bool out_gone = !(flags & (DP_OP_NEEDS_OUT | DP_OP_INPLACE)) || (flags & DP_OP_LINEAR);
    void *in[OP_INPUTS] = {NULL}, *out[OP_OUTPUTS] = {NULL};
    for (int k = 0; in_gone && k < run->node.n_in; k++)
        if (!run->c->in[k].constant) in[k] = spoil(&run->in[k]);
    for (int k = 0; out_gone && k < run->node.n_out; k++) out[k] = spoil(&run->out[k]);
    bool fine = guarded(run, run->row->adjoint, false);
    for (int k = 0; k < run->node.n_in; k++) restore(&run->in[k], in[k]);
    for (int k = 0; k < run->node.n_out; k++) restore(&run->out[k], out[k]);
    return fine;
}

static bool close_to(double x, double y, double tolerance) {
    if (isnan(x) || isnan(y)) return isnan(x) && isnan(y);
    if (isinf(x) || isinf(y)) return x == y;
    return fabs(x - y) <= tolerance * fmax(1, fabs(y));
}

static bool output_is(op_run *run, int k) {
    const op_tensor *want = &run->c->want[k];
    const dp_tensor *out = &run->out[k];
    char shape[128], wanted[128];
    dp_tensor w = {0};
    dp_tensor_reshape(&w, want->dtype, want->rank, want->dim);
    if (out->dtype != w.dtype || !dp_tensor_same_shape(out, &w))
        return wrong(run, "output %d is %s%s, not %s%s", k, dp_dtype_name(out->dtype),
                     dp_tensor_shape_text(out, shape, sizeof shape), dp_dtype_name(w.dtype),
                     dp_tensor_shape_text(&w, wanted, sizeof wanted));
    if (!want->data) return true;
    if (out->dtype != DP_F32)
        return memcmp(out->data, want->data, dp_tensor_bytes(out)) == 0 ||
               wrong(run, "output %d has another value", k);
    double tolerance = run->c->tolerance > 0 ? run->c->tolerance : 1e-5;
    const float *y = out->data, *expected = want->data;
    for (int64_t i = 0; i < dp_tensor_count(out); i++)
        if (!close_to(y[i], expected[i], tolerance))
            return wrong(run, "output %d element %d is %.9g, not %.9g", k, (int)i, y[i],
                         expected[i]);
    return true;
}

/* Twice over different garbage: what is not written shows. */
static bool forward_writes_everything(op_run *run) {
    uint64_t seen[2];
    for (int pass = 0; pass < 2; pass++) {
        seen[pass] = 0;
        for (int k = 0; k < run->node.n_out; k++)
            memset(run->out[k].data, pass ? 0xFF : 0, dp_tensor_bytes(&run->out[k]));
        if (!op_run_forward(run)) return false;
        for (int k = 0; k < run->node.n_out; k++) seen[pass] = hash(&run->out[k], seen[pass]);
    }
    return seen[0] == seen[1] || wrong(run, "leaves part of an output unwritten");
}

static bool forward_runs_in_place(op_run *run) {
    dp_tensor *x = &run->in[0], *y = &run->out[0];
    if (!(run->row->flags & DP_OP_INPLACE)) return true;
    if (dp_tensor_bytes(x) != dp_tensor_bytes(y)) return true;
    void *kept = x->data, *apart = y->data;
    size_t bytes = dp_tensor_bytes(x);
    y->data = dp_alloc(bytes, 1);
    memcpy(y->data, kept, bytes);
    x->data = y->data;
    bool fine = guarded(run, run->row->forward, true);
    if (fine && memcmp(y->data, apart, bytes) != 0)
        fine = wrong(run, "gives another result in place");
    x->data = kept;
    restore(y, apart);
    return fine;
}

static float before_adjoint(int64_t i) {
    return (float)(i % 5) * 0.25f - 0.375f;
}

/* Runs adjoint over gradients that already hold something. */
static bool adjoint_adds(op_run *run) {
    for (int k = 0; k < run->node.n_in; k++)
        for (int64_t i = 0; run->grad_in[k].data && i < dp_tensor_count(&run->in[k]); i++)
            ((float *)run->grad_in[k].data)[i] = before_adjoint(i);
    return op_run_adjoint(run);
}

static double added(const op_run *run, int k, int64_t i) {
    return (double)((const float *)run->grad_in[k].data)[i] - (double)before_adjoint(i);
}

/* The functional that grad_out spells, of outputs minus `base`; *moved gets the squared norm of its terms that differ. */
static double functional(const op_run *run, const dp_tensor *base, double *moved) {
    double sum = 0;
    for (int k = 0; k < run->node.n_out; k++) {
        if (!run->grad_out_list[k]) continue;
        const float *w = run->grad_out[k].data, *y = run->out[k].data, *y0 = base[k].data;
        for (int64_t i = 0; i < dp_tensor_count(&run->out[k]); i++) {
            double change = (double)y[i] - (double)y0[i];
            sum += w[i] * change;
            if (change != 0) *moved += (double)w[i] * y0[i] * w[i] * y0[i];
        }
    }
    return sum;
}

/* A power of two. */
static double step_of(const op_run *run, int k) {
    const op_tensor *t = &run->c->in[k];
    if (run->c->step > 0) return run->c->step;
    double spacing = (range_high(t) - range_low(t)) / (double)random_count(run);
    return t->data ? 0x1p-5 : exp2(floor(log2(fmin(0x1p-5, 0.1 * spacing))));
}

/*
 * d functional / d element i of input k by four forward passes. *noise bounds what float32 adds to it: each output is
 * taken to be good to 2 eps, and the four of them come with weights 8, 8, 1, 1 over 12 h.
 */
static bool difference(op_run *run, int k, int64_t i, const dp_tensor *base, double *slope,
                       double *noise) {
    float *x = (float *)run->in[k].data + i, kept = *x;
    double sum = 0, moved = 0, h = step_of(run, k);
    bool fine = true;
    for (int p = 0; p < 4 && fine; p++) {
        *x = (float)(kept + differences_offset[p] * h);
        fine = op_run_forward(run);
        moved = 0;
        sum += differences_weight[p] * functional(run, base, &moved);
    }
    *x = kept;
    *slope = sum / (12 * h);
    *noise = 2 * FLT_EPSILON * sqrt(moved) * 1.5 / h;
    return fine;
}

/* The rest of the tolerance: 1e-3 for the order of the formula and float32 sums in adjoints, where mistakes are of order 1. */
static bool input_gradient_is_right(op_run *run, int k, const dp_tensor *base) {
    for (int64_t i = 0; i < dp_tensor_count(&run->in[k]); i++) {
        double slope, noise, is = added(run, k, i);
        if (!difference(run, k, i, base, &slope, &noise)) return false;
        if (!(fabs(is - slope) <= noise + 1e-3 * fmax(0.1, fabs(slope))))
            return wrong(run, "input %d element %d: adjoint %.7g, differences %.7g (noise %.2g)", k,
                         (int)i, is, slope, noise);
    }
    return true;
}

static bool gradients_are_right(op_run *run) {
    dp_tensor base[OP_OUTPUTS] = {{0}};
    if (!op_run_forward(run) || !adjoint_adds(run)) return false;
    for (int k = 0; k < run->node.n_out; k++) {
        allocate_like(&base[k], &run->out[k]);
        memcpy(base[k].data, run->out[k].data, dp_tensor_bytes(&base[k]));
    }
    bool fine = true;
    for (int k = 0; k < run->node.n_in && fine; k++)
        if (run->grad_in_list[k]) fine = input_gradient_is_right(run, k, base);
    for (int k = 0; k < run->node.n_out; k++) dp_tensor_clear(&base[k]);
    return fine && op_run_forward(run);
}

/* Asking for one gradient only changes nothing about it, and the others stay as they are. */
static bool gradients_can_be_left_out(op_run *run) {
    double all[OP_INPUTS] = {0};
    if (!adjoint_adds(run)) return false;
    for (int k = 0; k < run->node.n_in; k++)
        for (int64_t i = 0; run->grad_in[k].data && i < dp_tensor_count(&run->in[k]); i++)
            all[k] += added(run, k, i) * (double)(i + 1);
    bool fine = true;
    for (int only = 0; only < run->node.n_in && fine; only++) {
        if (!run->grad_in[only].data) continue;
        memset(run->grad_in_list, 0, sizeof run->grad_in_list);
        run->grad_in_list[only] = &run->grad_in[only];
        fine = adjoint_adds(run);
        for (int k = 0; k < run->node.n_in && fine; k++) {
            double sum = 0, size = 0;
            for (int64_t i = 0; run->grad_in[k].data && i < dp_tensor_count(&run->in[k]); i++) {
                sum += added(run, k, i) * (double)(i + 1);
                size += (fabs(added(run, k, i)) + 1) * (double)(i + 1);
            }
            if (fabs(sum - (k == only ? all[k] : 0)) > 1e-5 * size)
                fine = wrong(run, "input %d: another gradient when only that of %d is wanted", k,
                             only);
        }
    }
    for (int k = 0; k < run->node.n_in; k++)
        run->grad_in_list[k] = run->grad_in[k].data ? &run->grad_in[k] : NULL;
    return fine;
}

static bool adjoint_holds(op_run *run) {
    run->args.grad_in = run->grad_in_list;
    run->args.grad_out = run->grad_out_list;
    if (!gradients_are_right(run) || !gradients_can_be_left_out(run)) return false;
    for (int only = 0; run->node.n_out > 1 && only < run->node.n_out; only++) {
        memset(run->grad_out_list, 0, sizeof run->grad_out_list);
        if (!run->grad_out[only].data) continue;
        run->grad_out_list[only] = &run->grad_out[only];
        if (!gradients_are_right(run)) return false;
    }
    return true;
}

static bool refusal_is_right(op_run *run, dp_status status, const dp_error *err) {
    if (status == run->c->status && strstr(err->text, run->c->refused)) return true;
    return wrong(run, "shape gives status %s, message '%s', not %s with '%s'",
                 dp_status_name(status), err->text, dp_status_name(run->c->status),
                 run->c->refused);
}

static bool run_holds(op_run *run) {
    if (!forward_writes_everything(run) || !forward_runs_in_place(run)) return false;
    for (int k = 0; k < run->node.n_out; k++)
        if (run->c->want[k].dtype != DP_NONE && !output_is(run, k)) return false;
    return run->c->values_only || !run->row->adjoint || adjoint_holds(run);
}

bool op_case_holds(const op_case *c, char *why, size_t size) {
    op_run run;
    dp_error err = {DP_OK, ""};
    dp_status status = op_run_open(&run, c, &err);
    bool fine;
    if (c->refused)
        fine = refusal_is_right(&run, status, &err);
    else if (status != DP_OK)
        fine = wrong(&run, "cannot be opened: %s", err.text);
    else
        fine = run_holds(&run);
    snprintf(why, size, "%s", run.why);
    op_run_close(&run);
    return fine;
}

void op_case_check(const op_case *c) {
    char why[sizeof((op_run *)0)->why];
    ck_assert_msg(op_case_holds(c, why, sizeof why), "%s", why);
}

int op_case_count(const op_case *cases) {
    int count = 0;
    while (cases[count].op) count++;
    return count;
}
