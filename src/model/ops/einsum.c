/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Einsum of one operand (diagonals, sums, transpositions) is a walk. Of two it is a batch of matrix products: the labels of both
 * operands are batch or depth, those of one of them rows or columns, as the output has them or not. Operands are gathered into
 *
 *     left [batch, rows, depth]   right [batch, columns, depth]   product [batch, rows, columns]
 *
 * which takes diagonals, and sums over labels of one operand that are neither in the other one nor in the output. As a site:
 *
 *   weights      the constant operand is on the right; batch and columns are its channels, rows the positions
 *   activations  both vary: one channel, norms of rows and columns
 *   digital      nothing is contracted, or the constant operand is not stored as rows of weights (see weight_layout)
 */
#include <string.h>

#include "kernels/gemm.h"
#include "model/ops/einsum_equation.h"
#include "model/ops/tables.h"

typedef enum kind { DIGITAL, WEIGHTS, ACTIVATIONS } kind;

/* Labels that are counted together, the first one slowest. */
typedef struct group {
    int count;
    int label[DP_MAX_RANK];
    int64_t size;
} group;

typedef struct contraction {
    dp_equation e;
    kind kind;
    int left, right; /* inputs */
    group batch, rows, columns, depth;
    int64_t weight_groups, weight_run; /* see dp_site */
} contraction;

/* ---- reading ---- */

static void add_label(const dp_equation *e, group *g, int label) {
    for (int i = 0; i < g->count; i++)
        if (g->label[i] == label) return;
    g->label[g->count++] = label;
    g->size *= e->dim[label];
}

/* Labels of a term, in its order, that are in these operands and in the output or not. */
static group collect(const dp_equation *e, const dp_einsum_term *order, const bool in[2],
                     bool kept) {
    group g = {.size = 1};
    for (int i = 0; i < order->rank; i++) {
        int l = order->label[i];
        if (e->kept[l] == kept && e->has[0][l] == in[0] && e->has[1][l] == in[1])
            add_label(e, &g, l);
    }
    return g;
}

static bool holds(const group *g, int label) {
    for (int i = 0; i < g->count; i++)
        if (g->label[i] == label) return true;
    return false;
}

/* Each label of this operand is there once, and is used. */
static bool is_plain(const contraction *c, int operand) {
    const dp_einsum_term *t = &c->e.in[operand];
    const group *side = operand == c->left ? &c->rows : &c->columns;
    for (int i = 0; i < t->rank; i++) {
        int l = t->label[i];
        for (int k = 0; k < i; k++)
            if (t->label[k] == l) return false;
        if (c->e.has[operand][l] && !holds(side, l) && !holds(&c->batch, l) && !holds(&c->depth, l))
            return false;
    }
    return true;
}

/*
 * The stored axes have to be channels, depth, channels, depth, any of them none, and channels of the batch before the others:
 * then they are [groups, depth / run, channels / groups, run].
 */
static bool weight_layout(contraction *c) {
    const dp_einsum_term *t = &c->e.in[c->right];
    int64_t part[4] = {1, 1, 1, 1}; /* from the last one */
    int at = 0;
    bool batch = false;
    if (!is_plain(c, c->right)) return false;
    for (int i = t->rank - 1; i >= 0; i--) {
        int l = t->label[i];
        if (!c->e.has[c->right][l] || c->e.dim[l] == 1) continue;
        bool depth = holds(&c->depth, l);
        while ((at % 2 == 0) != depth) at++;
        if (at > 3 || (holds(&c->columns, l) && batch)) return false;
        batch = batch || holds(&c->batch, l);
        part[at] *= c->e.dim[l];
    }
    c->weight_run = part[0];
    c->weight_groups = part[3];
    return true;
}

/* The operand that is constant while the other one is not; -1: none. */
static int constant_operand(const dp_op_args *a) {
    return (a->constant & 3U) == 1 ? 0 : (a->constant & 3U) == 2 ? 1 : -1;
}

static dp_status read(const dp_op_args *a, contraction *c, dp_error *err) {
    static const bool both[] = {true, true}, only[2][2] = {{true, false}, {false, true}};
    *c = (contraction){.kind = DIGITAL};
    dp_status status = dp_equation_read(a, &c->e, err);
    if (status != DP_OK || c->e.operands == 1) return status;
    int constant = constant_operand(a);
    c->left = constant == 0 ? 1 : 0;
    c->right = 1 - c->left;
    const dp_einsum_term *stored = &c->e.in[c->right], *out = &c->e.out;
    c->batch = collect(&c->e, constant < 0 ? out : stored, both, true);
    c->columns = collect(&c->e, constant < 0 ? out : stored, only[c->right], true);
    c->rows = collect(&c->e, out, only[c->left], true);
    c->depth = collect(&c->e, stored, both, false);
    if (c->depth.count == 0) return DP_OK;
    if (constant < 0)
        c->kind = ACTIVATIONS;
    else if (weight_layout(c))
        c->kind = WEIGHTS;
    return DP_OK;
}

/* ---- memory ---- */

typedef struct workspace {
    double *norm2; /* [columns] */
    float *left, *right, *product;
    float *gradient; /* of one of the operands */
    size_t bytes;
} workspace;

static workspace divide_scratch(const dp_op_args *a, const contraction *c) {
    workspace ws = {.norm2 = a->scratch};
    if (c->e.operands == 1) return ws;
    size_t left = (size_t)(c->batch.size * c->rows.size * c->depth.size);
    size_t right = (size_t)(c->batch.size * c->columns.size * c->depth.size);
    size_t product = (size_t)(c->batch.size * c->rows.size * c->columns.size);
    size_t columns = (size_t)c->columns.size;
    ws.bytes = columns * sizeof(double) +
               (left + right + product + (left > right ? left : right)) * sizeof(float);
    if (!a->scratch) return ws;
    ws.left = (float *)(void *)(ws.norm2 + columns);
    ws.right = ws.left + left;
    ws.product = ws.right + right;
    ws.gradient = ws.product + product;
    return ws;
}

static dp_status einsum_shape(dp_op_args *a, dp_error *err) {
    contraction c;
    dp_status status = read(a, &c, err);
    if (status != DP_OK) return status;
    int64_t dim[DP_MAX_RANK];
    for (int i = 0; i < c.e.out.rank; i++) dim[i] = c.e.dim[c.e.out.label[i]];
    status = dp_op_output(a, 0, DP_F32, c.e.out.rank, dim, err);
    if (status == DP_OK) a->scratch_bytes = divide_scratch(a, &c).bytes;
    return status;
}

/* ---- moving ---- */

/* How far an element of the term moves in its array when a label's index goes up by one; 0: the term lacks it. */
static int64_t stride_of(const dp_einsum_term *t, const dp_tensor *x, int label) {
    int64_t strides[DP_MAX_RANK], sum = 0;
    dp_tensor_strides(x, strides);
    for (int i = 0; i < t->rank; i++)
        if (t->label[i] == label) sum += strides[i];
    return sum;
}

/* From an operand, or the output (operand -1), to [first, second, third]; labels that are in none of them are summed over. */
static dp_walk gather(const dp_op_args *a, const contraction *c, int operand,
                      const group *const to[3]) {
    const dp_einsum_term *t = operand < 0 ? &c->e.out : &c->e.in[operand];
    const dp_tensor *x = operand < 0 ? a->out[0] : a->in[operand];
    int64_t size = to[0]->size * to[1]->size * to[2]->size;
    dp_walk w = {0};
    for (int g = 0; g < 3; g++)
        for (int i = 0; i < to[g]->count; i++) {
            int l = to[g]->label[i];
            if (c->e.dim[l] > 0) size /= c->e.dim[l];
            dp_walk_axis(&w, c->e.dim[l], stride_of(t, x, l), size);
        }
    for (int i = 0; i < t->rank; i++) {
        int l = t->label[i];
        bool placed = holds(to[0], l) || holds(to[1], l) || holds(to[2], l);
        for (int k = 0; k < i; k++) placed = placed || t->label[k] == l;
        if (!placed && operand >= 0 && c->e.has[operand][l])
            dp_walk_axis(&w, c->e.dim[l], stride_of(t, x, l), 0);
    }
    return w;
}

/* Of an operand, to or from its place on the left or on the right. */
static dp_walk operand_walk(const dp_op_args *a, const contraction *c, int operand) {
    const group *const to[3] = {&c->batch, operand == c->left ? &c->rows : &c->columns, &c->depth};
    return gather(a, c, operand, to);
}

static dp_walk output_walk(const dp_op_args *a, const contraction *c) {
    return gather(a, c, -1, (const group *const[]){&c->batch, &c->rows, &c->columns});
}

static void gather_operand(const dp_op_args *a, const contraction *c, int operand, float *to) {
    const group *side = operand == c->left ? &c->rows : &c->columns;
    dp_walk w = operand_walk(a, c, operand);
    memset(to, 0, (size_t)(c->batch.size * side->size * c->depth.size) * sizeof(float));
    dp_walk_add(&w, a->in[operand]->data, to);
}

/* ---- the port ---- */

static void row_norms(const float *x, int64_t rows, int64_t depth, float *norms) {
    for (int64_t r = 0; r < rows; r++, x += depth) {
        norms[r] = 0;
        for (int64_t d = 0; d < depth; d++) norms[r] += x[d] * x[d];
    }
}

static void take_norms(const dp_op_args *a, const contraction *c, const workspace *ws) {
    if (!a->port || !a->port->norms || c->kind == DIGITAL) return;
    int64_t rows = c->batch.size * c->rows.size;
    row_norms(ws->left, rows, c->depth.size, a->port->x2[0]);
    if (c->kind == ACTIVATIONS)
        row_norms(ws->right, c->batch.size * c->columns.size, c->depth.size, a->port->x2[0] + rows);
}

/* Rows first .. first + rows - 1 of one matrix, all of one sample. */
typedef struct block {
    int64_t sample, element, matrix, first, rows;
} block;

/* Squared norms of the rows of the weights' gradient [columns, depth] for one sample and matrix. */
static const double *gradient_norms(const dp_op_args *a, const contraction *c, const workspace *ws,
                                    block b) {
    if (!a->port->weight_grads || c->kind != WEIGHTS) return NULL;
    int64_t n = c->columns.size, depth = c->depth.size, row = b.matrix * c->rows.size + b.first;
    dp_gemm_run(&(dp_gemm){.rough = a->rough,
                           .m = n,
                           .n = depth,
                           .k = b.rows,
                           .transpose_a = true,
                           .a = ws->product + row * n,
                           .lda = n,
                           .b = ws->left + row * depth,
                           .ldb = depth,
                           .c = ws->gradient,
                           .ldc = depth});
    for (int64_t i = 0; i < n; i++) {
        ws->norm2[i] = 0;
        for (int64_t d = 0; d < depth; d++) {
            double g = (double)ws->gradient[i * depth + d];
            ws->norm2[i] += g * g;
        }
    }
    return ws->norm2;
}

static void show_block(const dp_op_args *a, const contraction *c, const workspace *ws, block b,
                       bool gradient) {
    int64_t n = c->columns.size, row = b.matrix * c->rows.size + b.first;
    dp_product product = {.sample = b.sample,
                          .element = b.element,
                          .y = ws->product + row * n,
                          .channels = n,
                          .positions = b.rows,
                          .channel_stride = 1,
                          .position_stride = n};
    if (c->kind == WEIGHTS) product.first_channel = b.matrix * n;
    int64_t right = c->batch.size * c->rows.size + b.matrix * n;
    float *grad = a->port->x2_grad[0];
    if (a->port->norms) product.x2 = a->port->x2[0] + row;
    if (grad) product.x2_grad = grad + row;
    if (a->port->norms && c->kind == ACTIVATIONS) product.w2 = a->port->x2[0] + right;
    if (grad && c->kind == ACTIVATIONS) product.w2_grad = grad + right;
    if (gradient) product.weight_grad2 = gradient_norms(a, c, ws, b);
    a->port->product(a->port->self, &product);
}

/* A sample has a share of the rows of every matrix, or of the matrices. */
static void show(const dp_op_args *a, const contraction *c, const workspace *ws, bool gradient) {
    if (!a->port || !a->port->product || c->kind == DIGITAL) return;
    int64_t samples = a->port->samples, matrices = c->batch.size, rows = c->rows.size;
    bool by_rows = c->kind == WEIGHTS;
    if (by_rows)
        rows /= samples;
    else
        matrices /= samples;
    for (int64_t s = 0; s < samples; s++)
        for (int64_t m = 0; m < matrices; m++) {
            block b = {s, m * rows * c->columns.size, by_rows ? m : s * matrices + m,
                       by_rows ? s * rows : 0, rows};
            show_block(a, c, ws, b, gradient);
        }
}

/* ---- forward ---- */

static void multiply(const dp_op_args *a, const contraction *c, const workspace *ws) {
    int64_t m = c->rows.size, n = c->columns.size, depth = c->depth.size;
    if (depth == 0) memset(ws->product, 0, (size_t)(c->batch.size * m * n) * sizeof(float));
    for (int64_t i = 0; depth > 0 && i < c->batch.size; i++)
        dp_gemm_run(&(dp_gemm){.rough = a->rough,
                               .m = m,
                               .n = n,
                               .k = depth,
                               .a = ws->left + i * m * depth,
                               .lda = depth,
                               .transpose_b = true,
                               .b = ws->right + i * n * depth,
                               .ldb = depth,
                               .c = ws->product + i * m * n,
                               .ldc = n});
}

/* Of one operand: to the output, summed over what that lacks. */
static dp_walk single_walk(const dp_op_args *a, const contraction *c) {
    dp_walk w = {0};
    const dp_einsum_term *t = &c->e.in[0];
    for (int i = 0; i < t->rank; i++) {
        bool seen = false;
        for (int k = 0; k < i; k++) seen = seen || t->label[k] == t->label[i];
        if (!seen)
            dp_walk_axis(&w, c->e.dim[t->label[i]], stride_of(t, a->in[0], t->label[i]),
                         stride_of(&c->e.out, a->out[0], t->label[i]));
    }
    return w;
}

static dp_status einsum_forward(const dp_op_args *a, dp_error *err) {
    contraction c;
    dp_status status = read(a, &c, err);
    if (status != DP_OK) return status;
    if (c.e.operands == 1) {
        dp_walk w = single_walk(a, &c);
        memset(a->out[0]->data, 0, dp_tensor_bytes(a->out[0]));
        dp_walk_add(&w, a->in[0]->data, a->out[0]->data);
        return DP_OK;
    }
    workspace ws = divide_scratch(a, &c);
    gather_operand(a, &c, c.left, ws.left);
    gather_operand(a, &c, c.right, ws.right);
    take_norms(a, &c, &ws);
    multiply(a, &c, &ws);
    show(a, &c, &ws, false);
    dp_walk out = output_walk(a, &c), w = dp_walk_back(&out);
    dp_walk_copy(&w, ws.product, a->out[0]->data, sizeof(float));
    return DP_OK;
}

/* ---- adjoint ---- */

/* Left: g [rows, columns] right;  right: g' left. */
static void operand_gradient(const dp_op_args *a, const contraction *c, const workspace *ws,
                             int operand) {
    int64_t m = c->rows.size, n = c->columns.size, depth = c->depth.size;
    bool left = operand == c->left;
    for (int64_t i = 0; i < c->batch.size; i++) {
        dp_gemm g = {.rough = a->rough,
                     .m = left ? m : n,
                     .n = depth,
                     .k = left ? n : m,
                     .transpose_a = !left,
                     .a = ws->product + i * m * n,
                     .lda = n,
                     .b = left ? ws->right + i * n * depth : ws->left + i * m * depth,
                     .ldb = depth,
                     .c = ws->gradient + i * (left ? m : n) * depth,
                     .ldc = depth};
        if (g.k > 0)
            dp_gemm_run(&g);
        else
            memset(g.c, 0, (size_t)(g.m * g.n) * sizeof(float));
    }
}

/* The way back of take_norms: the operand's gradient, row by row, += 2 x g. */
static void add_norms(const dp_op_args *a, const contraction *c, const workspace *ws, int operand) {
    bool left = operand == c->left;
    if (!a->port || !a->port->x2_grad[0] || c->kind == DIGITAL) return;
    if (!left && c->kind == WEIGHTS) return;
    const float *g = a->port->x2_grad[0] + (left ? 0 : c->batch.size * c->rows.size);
    float *x = left ? ws->left : ws->right;
    int64_t rows = c->batch.size * (left ? c->rows.size : c->columns.size), depth = c->depth.size;
    gather_operand(a, c, operand, x);
    for (int64_t i = 0; i < rows * depth; i++) ws->gradient[i] += 2 * x[i] * g[i / depth];
}

static void add_gradient(const dp_op_args *a, const contraction *c, const workspace *ws,
                         int operand) {
    float *grad = dp_grad_in(a, operand);
    if (!grad) return;
    gather_operand(a, c, 1 - operand, operand == c->left ? ws->right : ws->left);
    operand_gradient(a, c, ws, operand);
    add_norms(a, c, ws, operand);
    dp_walk to = operand_walk(a, c, operand), w = dp_walk_back(&to);
    dp_walk_add(&w, ws->gradient, grad);
}

static dp_status einsum_adjoint(const dp_op_args *a, dp_error *err) {
    contraction c;
    dp_status status = read(a, &c, err);
    if (status != DP_OK) return status;
    if (c.e.operands == 1) {
        dp_walk to = single_walk(a, &c), w = dp_walk_back(&to);
        if (dp_grad_in(a, 0)) dp_walk_add(&w, dp_grad_out(a, 0), dp_grad_in(a, 0));
        return DP_OK;
    }
    workspace ws = divide_scratch(a, &c);
    dp_walk w = output_walk(a, &c);
    dp_walk_copy(&w, dp_grad_out(a, 0), ws.product, sizeof(float));
    if (a->port && a->port->weight_grads && c.kind == WEIGHTS)
        gather_operand(a, &c, c.left, ws.left);
    show(a, &c, &ws, true);
    add_gradient(a, &c, &ws, 0);
    add_gradient(a, &c, &ws, 1);
    return DP_OK;
}

/* ---- the site ---- */

static dp_status check_samples(const dp_op_args *a, const contraction *c, dp_error *err) {
    int64_t samples = a->port ? a->port->samples : 1;
    const group *g = c->kind == WEIGHTS ? &c->rows : &c->batch;
    int first = c->e.out.rank > 0 ? c->e.out.label[0] : -1;
    if (samples == 1 || (g->count > 0 && g->label[0] == first && c->e.dim[first] % samples == 0))
        return DP_OK;
    return dp_op_fail(
        a, err, DP_EUNSUPPORTED,
        "equation '%s' cannot be dealt out to %lld samples: they have to be the first "
        "axis of the output and of every operand that is not constant",
        dp_node_string(a->node, "equation", ""), (long long)samples);
}

/* Where the first label of the output is in an operand. */
static int sample_axis(const contraction *c, int operand) {
    for (int i = 0; i < c->e.in[operand].rank && c->e.out.rank > 0; i++)
        if (c->e.in[operand].label[i] == c->e.out.label[0]) return i;
    return 0;
}

static dp_status einsum_site(const dp_op_args *a, int slot, dp_site *site, dp_error *err) {
    contraction c;
    dp_status status = read(a, &c, err);
    if (status != DP_OK || c.kind == DIGITAL) return status;
    if ((status = check_samples(a, &c, err)) != DP_OK) return status;
    int64_t rows = c.batch.size * c.rows.size;
    *site = (dp_site){.slot = slot,
                      .channels = 1,
                      .groups = 1,
                      .depth = c.depth.size,
                      .macs = rows * c.columns.size * c.depth.size,
                      .norms = rows,
                      .weight_in = -1,
                      .input_in = c.left,
                      .sample_axis = sample_axis(&c, c.left),
                      .bias_in = -1};
    if (c.kind == ACTIVATIONS) {
        site->rows = rows;
        site->norms += c.batch.size * c.columns.size;
        return DP_OK;
    }
    site->weight_in = c.right;
    site->channels = c.batch.size * c.columns.size;
    site->groups = c.batch.size;
    site->weight_groups = c.weight_groups;
    site->weight_run = c.weight_run;
    return DP_OK;
}

const dp_op dp_ops_einsum[] = {
    {.type = "Einsum",
     .domain = "",
     .since = 12,
     .flags = DP_OP_ONE_OPERAND,
     .shape = einsum_shape,
     .forward = einsum_forward,
     .adjoint = einsum_adjoint,
     .n_sites = 1,
     .site = einsum_site},
    {0},
};
