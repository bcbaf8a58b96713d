/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Forward through a recurrent node. */
#include <string.h>

#include "model/ops/recurrent_pass.h"

static float norm2_of(const float *x, int64_t count) {
    float sum = 0;
    for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
    return sum;
}

static void input_product(const dp_recurrence *p) {
    const dp_recurrent *r = &p->r;
    for (int64_t row = 0; row < r->rows; row++) {
        const float *x = input(p, DP_IN_X) + x_row(p, row);
        float *z = p->z + place(p, row, 0) * r->width,
              *x2 = dp_recurrence_norms(p, DP_SLOT_INPUT, 0, row);
        for (int64_t t = 0; x2 && t < r->steps; t++) x2[t] = norm2_of(x + t * x_step(p), r->inputs);
        dp_gemm_run(&(dp_gemm){.rough = p->a->rough,
                               .m = r->steps,
                               .n = r->width,
                               .k = r->inputs,
                               .a = x,
                               .lda = x_step(p),
                               .transpose_b = true,
                               .b = weights(p, DP_SLOT_INPUT),
                               .ldb = r->inputs,
                               .c = z,
                               .ldc = r->width});
        dp_recurrence_show(
            p, &(dp_recurrence_block){DP_SLOT_INPUT, 0, row, 0, length(p, row), z, NULL});
    }
}

/* Operands [N, H] of a part times its gates of R; rows that are over are computed and forgotten. */
static void recurrent_product(const dp_recurrence *p, int part, int64_t step) {
    const dp_recurrent *r = &p->r;
    int64_t hidden = r->hidden, first = r->cell->first[part] * hidden;
    const dp_site_port *port = p->a->port;
    if (port && port->operand)
        port->operand(port->self, DP_SLOT_RECURRENT, p->operand, r->rows * hidden);
    dp_gemm_run(&(dp_gemm){.rough = p->a->rough,
                           .m = r->rows,
                           .n = r->cell->first[part + 1] * hidden - first,
                           .k = hidden,
                           .a = p->operand,
                           .lda = hidden,
                           .transpose_b = true,
                           .b = weights(p, DP_SLOT_RECURRENT) + first * hidden,
                           .ldb = hidden,
                           .c = p->products + first,
                           .ldc = r->width});
    for (int64_t row = 0; row < r->rows; row++) {
        if (step >= length(p, row)) continue;
        int64_t time = time_of(p, row, step);
        float *x2 = dp_recurrence_norms(p, DP_SLOT_RECURRENT, part, row);
        if (x2) x2[time] = norm2_of(p->operand + row * hidden, hidden);
        dp_recurrence_show(p, &(dp_recurrence_block){DP_SLOT_RECURRENT, part, row, time, 1,
                                                     p->products + row * r->width, NULL});
    }
}

static void forward_step(const dp_recurrence *p, int64_t step) {
    const dp_recurrent *r = &p->r;
    int64_t hidden = r->hidden;
    for (int64_t row = 0; row < r->rows; row++) {
        int64_t last = step < length(p, row) ? step : length(p, row);
        memcpy(p->operand + row * hidden, before(p, row, last, 0), (size_t)hidden * sizeof(float));
    }
    for (int part = 0; part < r->cell->parts; part++) {
        recurrent_product(p, part, step);
        for (int64_t row = 0; row < r->rows; row++) {
            if (step >= length(p, row)) continue;
            dp_cell_step s = dp_recurrence_step(p, row, step);
            s.recurrent = p->products + row * r->width;
            s.operand = p->operand + row * hidden;
            r->cell->forward[part](&s);
        }
    }
}

static void write_outputs(const dp_recurrence *p) {
    const dp_recurrent *r = &p->r;
    size_t bytes = (size_t)r->hidden * sizeof(float);
    float *y = dp_op_wants(p->a, DP_OUT_Y) ? p->a->out[DP_OUT_Y]->data : NULL;
    for (int64_t row = 0; row < r->rows; row++) {
        for (int64_t t = 0; y && t < r->steps; t++)
            memcpy(y + y_at(p, row, t), t < length(p, row) ? kept_at(p, row, t, 0) : p->zero,
                   bytes);
        for (int k = DP_OUT_H; k <= (r->cell->has_c ? DP_OUT_C : DP_OUT_H); k++)
            if (dp_op_wants(p->a, k))
                memcpy((float *)p->a->out[k]->data + state_at(p, row),
                       before(p, row, length(p, row), k - DP_OUT_H), bytes);
    }
}

dp_status dp_recurrent_forward(const dp_op_args *a, dp_error *err) {
    dp_recurrence p;
    dp_status status = dp_recurrence_open(&p, a, err);
    if (status != DP_OK) return status;
    for (p.direction = 0; p.direction < p.r.directions; p.direction++) {
        input_product(&p);
        for (int64_t step = 0; step < p.r.steps; step++) forward_step(&p, step);
        write_outputs(&p);
    }
    return DP_OK;
}
