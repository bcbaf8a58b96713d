/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What both directions of time need: memory, steps, the port. */
#include "model/ops/recurrent_pass.h"

#include <string.h>

typedef struct memory {
    size_t used;
    char *base;
} memory;

/* The next `floats` of a block of memory; NULL while only its size is asked for. */
static float *take(memory *s, int64_t floats) {
    size_t at = s->used;
    s->used += ((size_t)floats * sizeof(float) + 63) / 64 * 64;
    return s->base ? (float *)(void *)(s->base + at) : NULL;
}

static void divide_state(dp_recurrence *p, memory *s) {
    const dp_recurrent *r = &p->r;
    int64_t places = r->directions * r->rows * r->steps;
    p->z = take(s, places * r->width);
    p->kept = take(s, places * r->kept * r->hidden);
}

static bool wants_weight_gradients(const dp_op_args *a) {
    bool inner = !(a->constant >> DP_IN_W & 1) || !(a->constant >> DP_IN_R & 1);
    return inner || (a->port && a->port->weight_grads);
}

static void divide_scratch(dp_recurrence *p, memory *s) {
    const dp_recurrent *r = &p->r;
    int64_t rows = r->rows, all = rows * r->steps;
    p->operand = take(s, rows * r->hidden);
    p->products = take(s, rows * r->width);
    p->zero = take(s, r->hidden);
    p->work = take(s, DP_CELL_WORK * r->hidden);
    if (!p->a->reverse && !p->a->grad_out) return; /* forward alone */
    p->gh = take(s, rows * r->hidden);
    p->gc = take(s, rows * r->hidden);
    p->g_operand = take(s, rows * r->hidden);
    p->g_step = take(s, rows * r->width);
    p->g_step_r = r->cell->own_gr ? take(s, rows * r->width) : p->g_step;
    p->gz = take(s, all * r->width);
    p->gr = r->cell->own_gr ? take(s, all * r->width) : p->gz;
    if (!wants_weight_gradients(p->a)) return;
    p->history = take(s, all * r->hidden);
    p->g_weights = take(s, r->width * (r->inputs > r->hidden ? r->inputs : r->hidden));
    p->norm2 = (double *)(void *)take(s, 2 * r->width);
}

/* Sizes that fit int64 as products, with room for the sums of a dozen of them. */
bool dp_recurrent_memory(const dp_op_args *a, const dp_recurrent *r, size_t *state,
                         size_t *scratch) {
    int64_t widest = r->inputs > r->width ? r->inputs : r->width;
    int64_t places = dp_dim_times(r->directions, dp_dim_times(r->rows, r->steps));
    int64_t largest = dp_dim_times(dp_dim_times(places + 1, widest + 1), 256);
    if (places < 0 || dp_dim_times(largest, r->width + 1) < 0) return false;
    dp_recurrence p = {.a = a, .r = *r};
    memory kept = {0}, used = {0};
    divide_state(&p, &kept);
    divide_scratch(&p, &used);
    *state = kept.used;
    *scratch = used.used;
    return true;
}

dp_cell_step dp_recurrence_step(const dp_recurrence *p, int64_t row, int64_t step) {
    const dp_recurrent *r = &p->r;
    int64_t time = time_of(p, row, step);
    dp_cell_step s = {.r = r,
                      .gate = r->gate[p->direction],
                      .bias = of_direction(p, input(p, DP_IN_B), 2 * r->width),
                      .peephole = of_direction(p, input(p, DP_IN_P), 3 * r->hidden),
                      .z = p->z + place(p, row, time) * r->width,
                      .h = kept_at(p, row, time, 0),
                      .h_before = before(p, row, step, 0),
                      .work = p->work};
    if (r->cell->has_c) {
        s.c = kept_at(p, row, time, 1);
        s.c_before = before(p, row, step, 1);
    }
    if (r->cell->has_extra) s.extra = kept_at(p, row, time, 1);
    return s;
}

/* Norms of slot 0 are [N, T], the same for all directions; of slot 1 [parts, D, N, T]. */
static int64_t norms_at(const dp_recurrence *p, int slot, int part, int64_t row) {
    const dp_recurrent *r = &p->r;
    if (slot == DP_SLOT_INPUT) return row * r->steps;
    return part * r->directions * r->rows * r->steps + place(p, row, 0);
}

float *dp_recurrence_norms(const dp_recurrence *p, int slot, int part, int64_t row) {
    if (!analog(p, slot) || !p->a->port->norms) return NULL;
    return p->a->port->x2[slot] + norms_at(p, slot, part, row);
}

float *dp_recurrence_norm_grads(const dp_recurrence *p, int slot, int part, int64_t row) {
    if (!analog(p, slot) || !p->a->port->x2_grad[slot]) return NULL;
    return p->a->port->x2_grad[slot] + norms_at(p, slot, part, row);
}

void dp_recurrence_show(const dp_recurrence *p, const dp_recurrence_block *b) {
    const dp_recurrent *r = &p->r;
    if (!analog(p, b->slot) || !p->a->port->product || (b->steps == 0 && !b->weight_grad2)) return;
    int64_t share = r->rows / p->a->port->samples, inside = b->row % share;
    int64_t gate = first_of(p, b), end = end_of(p, b);
    int64_t step = (p->direction * share + inside) * r->steps + b->first;
    const float *x2 = dp_recurrence_norms(p, b->slot, b->part, b->row);
    float *x2_grad = dp_recurrence_norm_grads(p, b->slot, b->part, b->row);
    dp_product product = {.slot = b->slot,
                          .sample = b->row / share,
                          .element = step * r->width + gate,
                          .y = b->y + gate,
                          .first_channel = p->direction * r->width + gate,
                          .channels = end - gate,
                          .positions = b->steps,
                          .channel_stride = 1,
                          .position_stride = r->width,
                          .x2 = x2 ? x2 + b->first : NULL,
                          .x2_grad = x2_grad ? x2_grad + b->first : NULL,
                          .weight_grad2 = b->weight_grad2};
    p->a->port->product(p->a->port->self, &product);
}

static dp_status check_lengths(const dp_recurrence *p, dp_error *err) {
    for (int64_t row = 0; row < p->r.rows; row++)
        if (length(p, row) < 0 || length(p, row) > p->r.steps)
            return dp_op_fail(p->a, err, DP_ERANGE, "sequence_lens has %lld for %lld steps",
                              (long long)length(p, row), (long long)p->r.steps);
    return DP_OK;
}

dp_status dp_recurrence_open(dp_recurrence *p, const dp_op_args *a, dp_error *err) {
    *p = (dp_recurrence){.a = a};
    dp_status status = dp_recurrent_read(a, &p->r, err);
    if (status != DP_OK) return status;
    if (dp_op_has(a, DP_IN_LENGTHS)) p->lengths = a->in[DP_IN_LENGTHS]->data;
    divide_state(p, &(memory){.base = a->state});
    divide_scratch(p, &(memory){.base = a->scratch});
    memset(p->zero, 0, (size_t)p->r.hidden * sizeof(float));
    return check_lengths(p, err);
}
