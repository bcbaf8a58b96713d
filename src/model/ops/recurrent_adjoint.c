/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Back-propagation through time. */
#include <string.h>

#include "model/ops/recurrent_pass.h"

static float *gradient_in(const dp_recurrence *p, int k, int64_t size) {
    float *g = dp_grad_in(p->a, k);
    return g ? g + p->direction * size : NULL;
}

static void add_vector(const float *from, float *to, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] += from[i];
}

/* Gradients of the last states; NULL: zero. */
static void start_states(const dp_recurrence *p, const float *from, float *to) {
    size_t bytes = (size_t)p->r.hidden * sizeof(float);
    for (int64_t row = 0; row < p->r.rows; row++)
        memcpy(to + row * p->r.hidden, from ? from + state_at(p, row) : p->zero, bytes);
}

/* grad [N, H] += gradients of a part's products times its gates of R */
static void through_recurrent(const dp_recurrence *p, int part, float *grad) {
    const dp_recurrent *r = &p->r;
    int64_t hidden = r->hidden, first = r->cell->first[part] * hidden;
    dp_gemm_run(&(dp_gemm){.rough = p->a->rough,
                           .m = r->rows,
                           .n = hidden,
                           .k = r->cell->first[part + 1] * hidden - first,
                           .a = p->g_step_r + first,
                           .lda = r->width,
                           .b = weights(p, DP_SLOT_RECURRENT) + first * hidden,
                           .ldb = hidden,
                           .beta = 1.0F,
                           .c = grad,
                           .ldc = hidden});
}

static void adjoint_cells(const dp_recurrence *p, int part, int64_t step) {
    const dp_recurrent *r = &p->r;
    for (int64_t row = 0; row < r->rows; row++) {
        if (step >= length(p, row)) continue;
        dp_cell_step s = dp_recurrence_step(p, row, step);
        s.gh = p->gh + row * r->hidden;
        s.gc = p->gc + row * r->hidden;
        s.gz = p->g_step + row * r->width;
        s.gr = p->g_step_r + row * r->width;
        s.g_operand = p->g_operand + row * r->hidden;
        s.g_peephole = gradient_in(p, DP_IN_P, 3 * r->hidden);
        r->cell->adjoint[part](&s);
    }
}

static void show_step(const dp_recurrence *p, int part, int64_t step) {
    const dp_recurrent *r = &p->r;
    for (int64_t row = 0; row < r->rows; row++)
        if (step < length(p, row))
            dp_recurrence_show(p, &(dp_recurrence_block){DP_SLOT_RECURRENT, part, row,
                                                         time_of(p, row, step), 1,
                                                         p->g_step_r + row * r->width, NULL});
}

/* The left operand of a row's product at a step, before its converter. */
static void read_operand(const dp_recurrence *p, int part, const int64_t at[2], float *to) {
    dp_cell_step s = dp_recurrence_step(p, at[0], at[1]);
    s.operand = to;
    if (part == 0)
        memcpy(to, s.h_before, (size_t)p->r.hidden * sizeof(float));
    else
        p->r.cell->operand(&s);
}

/* grad [N, H] += 2 x g, g the gradients by the norms of the step's operands x */
static void through_norms(const dp_recurrence *p, int part, int64_t step, float *grad) {
    const dp_recurrent *r = &p->r;
    const dp_site_port *port = p->a->port;
    int64_t hidden = r->hidden, count = r->rows * hidden;
    if (!dp_recurrence_norm_grads(p, DP_SLOT_RECURRENT, part, 0)) return;
    memset(p->operand, 0, (size_t)count * sizeof(float));
    for (int64_t row = 0; row < r->rows; row++)
        if (step < length(p, row))
            read_operand(p, part, (int64_t[]){row, step}, p->operand + row * hidden);
    if (port->operand) port->operand(port->self, DP_SLOT_RECURRENT, p->operand, count);
    for (int64_t row = 0; row < r->rows; row++) {
        if (step >= length(p, row)) continue;
        float g =
            2 * dp_recurrence_norm_grads(p, DP_SLOT_RECURRENT, part, row)[time_of(p, row, step)];
        for (int64_t i = row * hidden; i < (row + 1) * hidden; i++) grad[i] += g * p->operand[i];
    }
}

/* Rows that are over at this step have no gradients in it, and keep those of their states. */
static void adjoint_step(const dp_recurrence *p, int64_t step) {
    const dp_recurrent *r = &p->r;
    const float *gy = dp_grad_out(p->a, DP_OUT_Y);
    size_t bytes = (size_t)(r->rows * r->width) * sizeof(float);
    memset(p->g_step, 0, bytes);
    memset(p->g_step_r, 0, bytes);
    for (int64_t row = 0; gy && row < r->rows; row++)
        if (step < length(p, row))
            add_vector(gy + y_at(p, row, time_of(p, row, step)), p->gh + row * r->hidden,
                       r->hidden);
    for (int part = r->cell->parts - 1; part >= 0; part--) {
        float *grad = part ? p->g_operand : p->gh;
        if (part) memset(grad, 0, (size_t)(r->rows * r->hidden) * sizeof(float));
        adjoint_cells(p, part, step);
        show_step(p, part, step);
        through_recurrent(p, part, grad);
        through_norms(p, part, step, grad);
    }
    for (int64_t row = 0; row < r->rows; row++) {
        if (step >= length(p, row)) continue;
        int64_t at = (row * r->steps + time_of(p, row, step)) * r->width;
        memcpy(p->gz + at, p->g_step + row * r->width, (size_t)r->width * sizeof(float));
        memcpy(p->gr + at, p->g_step_r + row * r->width, (size_t)r->width * sizeof(float));
    }
}

/* The left operands of a part's products at all times, as the product had them: [N, T, H]. */
static void collect_history(const dp_recurrence *p, int part) {
    const dp_recurrent *r = &p->r;
    int64_t hidden = r->hidden, count = r->rows * r->steps * hidden;
    const dp_site_port *port = p->a->port;
    memset(p->history, 0, (size_t)count * sizeof(float));
    for (int64_t row = 0; row < r->rows; row++)
        for (int64_t step = 0; step < length(p, row); step++)
            read_operand(p, part, (int64_t[]){row, step},
                         p->history + (row * r->steps + time_of(p, row, step)) * hidden);
    if (port && port->operand) port->operand(port->self, DP_SLOT_RECURRENT, p->history, count);
}

/* One row of X or of the history. */
typedef struct operand {
    const float *x; /* [T, depth] */
    int64_t stride, depth;
} operand;

static operand operand_of(const dp_recurrence *p, int slot, int64_t row) {
    if (slot == DP_SLOT_INPUT)
        return (operand){input(p, DP_IN_X) + x_row(p, row), x_step(p), p->r.inputs};
    return (operand){p->history + row * p->r.steps * p->r.hidden, p->r.hidden, p->r.hidden};
}

/* to [gates first .. last, depth] = beta to + sum over t of g_t x_t' */
static void weight_gradient(const dp_recurrence *p, const dp_recurrence_block *b, float beta,
                            float *to) {
    const dp_recurrent *r = &p->r;
    operand x = operand_of(p, b->slot, b->row);
    int64_t first = first_of(p, b), end = end_of(p, b);
    dp_gemm_run(&(dp_gemm){.rough = p->a->rough,
                           .m = end - first,
                           .n = x.depth,
                           .k = r->steps,
                           .transpose_a = true,
                           .a = b->y + first,
                           .lda = r->width,
                           .b = x.x,
                           .ldb = x.stride,
                           .beta = beta,
                           .c = to + first * x.depth,
                           .ldc = x.depth});
}

/* A sample's gradient is the sum over its rows: the port gets its norms with the last one. */
static const double *gradient_norms(const dp_recurrence *p, const dp_recurrence_block *b) {
    if (!analog(p, b->slot) || !p->a->port->weight_grads) return NULL;
    const dp_recurrent *r = &p->r;
    int64_t share = r->rows / p->a->port->samples, inside = b->row % share;
    int64_t depth = b->slot == DP_SLOT_INPUT ? r->inputs : r->hidden;
    int64_t first = first_of(p, b), end = end_of(p, b);
    weight_gradient(p, b, inside ? 1.0F : 0.0F, p->g_weights);
    if (inside < share - 1) return NULL;
    for (int64_t u = first; u < end; u++) {
        p->norm2[u] = 0;
        for (int64_t d = 0; d < depth; d++) {
            double g = (double)p->g_weights[u * depth + d];
            p->norm2[u] += g * g;
        }
    }
    return p->norm2 + first;
}

/* Gradients at a slot's products, taken to the weights; those of inputs are shown to the port now, all steps at once. */
static void finish_slot(const dp_recurrence *p, int slot, int part, float *gradients) {
    const dp_recurrent *r = &p->r;
    float *g_weights = gradient_in(p, slot == DP_SLOT_INPUT ? DP_IN_W : DP_IN_R,
                                   r->width * (slot == DP_SLOT_INPUT ? r->inputs : r->hidden));
    for (int64_t row = 0; row < r->rows; row++) {
        int64_t steps = slot == DP_SLOT_INPUT ? length(p, row) : 0; /* others have been shown */
        dp_recurrence_block b = {slot, part, row, 0, steps, gradients + row * r->steps * r->width,
                                 NULL};
        b.weight_grad2 = gradient_norms(p, &b);
        dp_recurrence_show(p, &b);
        if (g_weights) weight_gradient(p, &b, 1.0F, g_weights);
    }
}

static void finish_inputs(const dp_recurrence *p) {
    const dp_recurrent *r = &p->r;
    float *gx = dp_grad_in(p->a, DP_IN_X), *gb = gradient_in(p, DP_IN_B, 2 * r->width);
    for (int64_t row = 0; gx && row < r->rows; row++)
        dp_gemm_run(&(dp_gemm){.rough = p->a->rough,
                               .m = r->steps,
                               .n = r->inputs,
                               .k = r->width,
                               .a = p->gz + row * r->steps * r->width,
                               .lda = r->width,
                               .b = weights(p, DP_SLOT_INPUT),
                               .ldb = r->inputs,
                               .beta = 1.0F,
                               .c = gx + x_row(p, row),
                               .ldc = x_step(p)});
    for (int64_t i = 0; gb && i < r->rows * r->steps; i++) {
        add_vector(p->gz + i * r->width, gb, r->width);
        add_vector(p->gr + i * r->width, gb + r->width, r->width);
    }
    for (int which = 0; which < 2; which++) {
        float *g = dp_grad_in(p->a, which == 0 ? DP_IN_H : DP_IN_C);
        for (int64_t row = 0; g && row < r->rows; row++)
            add_vector((which == 0 ? p->gh : p->gc) + row * r->hidden, g + state_at(p, row),
                       r->hidden);
    }
}

static void adjoint_direction(const dp_recurrence *p) {
    const dp_recurrent *r = &p->r;
    size_t bytes = (size_t)(r->rows * r->steps * r->width) * sizeof(float);
    start_states(p, dp_grad_out(p->a, DP_OUT_H), p->gh);
    start_states(p, r->cell->has_c ? dp_grad_out(p->a, DP_OUT_C) : NULL, p->gc);
    memset(p->gz, 0, bytes);
    memset(p->gr, 0, bytes);
    for (int64_t step = r->steps - 1; step >= 0; step--) adjoint_step(p, step);
    finish_inputs(p);
    finish_slot(p, DP_SLOT_INPUT, 0, p->gz);
    for (int part = 0; part < r->cell->parts; part++) {
        if (p->history) collect_history(p, part);
        finish_slot(p, DP_SLOT_RECURRENT, part, p->gr);
    }
}

/* Norms of inputs are common to the directions. */
static void finish_norms(const dp_recurrence *p) {
    const dp_recurrent *r = &p->r;
    float *gx = dp_grad_in(p->a, DP_IN_X);
    const float *g = dp_recurrence_norm_grads(p, DP_SLOT_INPUT, 0, 0), *x = input(p, DP_IN_X);
    for (int64_t i = 0; gx && g && i < r->rows * r->steps; i++) {
        int64_t at = x_row(p, i / r->steps) + i % r->steps * x_step(p);
        for (int64_t c = 0; c < r->inputs; c++) gx[at + c] += 2 * x[at + c] * g[i];
    }
}

dp_status dp_recurrent_adjoint(const dp_op_args *a, dp_error *err) {
    dp_recurrence p;
    dp_status status = dp_recurrence_open(&p, a, err);
    if (status != DP_OK) return status;
    for (p.direction = 0; p.direction < p.r.directions; p.direction++) adjoint_direction(&p);
    finish_norms(&p);
    return DP_OK;
}
