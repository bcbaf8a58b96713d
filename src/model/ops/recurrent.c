/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LSTM, GRU and RNN: shapes and sites. Two analog products: slot 0 takes the inputs, X W', slot 1 the states, H R'.
 * A channel is one row of the weights of a direction, so W [D, U, C] and R [D, U, H] are lists of D U channels.
 */
#include "model/ops/recurrent.h"
#include "model/ops/tables.h"

static dp_status recurrent_shape(dp_op_args *a, dp_error *err) {
    dp_recurrent r;
    dp_status status = dp_recurrent_read(a, &r, err);
    if (status != DP_OK) return status;
    int64_t t = r.steps, d = r.directions, n = r.rows, h = r.hidden;
    const int64_t y[2][4] = {{t, d, n, h}, {n, t, d, h}}, state[2][3] = {{d, n, h}, {n, d, h}};
    status = dp_op_output(a, DP_OUT_Y, DP_F32, 4, y[r.rows_first], err);
    for (int k = DP_OUT_H; status == DP_OK && k <= (r.cell->has_c ? DP_OUT_C : DP_OUT_H); k++)
        status = dp_op_output(a, k, DP_F32, 3, state[r.rows_first], err);
    if (status != DP_OK) return status;
    if (dp_recurrent_memory(a, &r, &a->state_bytes, &a->scratch_bytes)) return DP_OK;
    return dp_op_fail(a, err, DP_ERANGE, "%lld steps of %lld rows are too many", (long long)t,
                      (long long)n);
}

/*
 * Source  [Garg] section III: D is the length of one dot product. Steps beyond the end of a row count, as the core's schedule
 *         has them; they add no noise.
 */
static dp_status recurrent_site(const dp_op_args *a, int slot, dp_site *site, dp_error *err) {
    dp_recurrent r;
    dp_status status = dp_recurrent_read(a, &r, err);
    if (status != DP_OK) return status;
    int64_t samples = a->port ? a->port->samples : 1, places = r.rows * r.steps;
    if (slot == 0 && (a->constant & 3U) == 3U) return DP_OK;
    if (r.rows % samples)
        return dp_op_fail(a, err, DP_EUNSUPPORTED,
                          "%lld rows cannot be dealt out to %lld samples: the samples must be axis "
                          "%d of X",
                          (long long)r.rows, (long long)samples, r.rows_first ? 0 : 1);
    *site = (dp_site){.slot = slot, .channels = r.directions * r.width, .groups = 1, .bias_in = -1};
    if (slot == 0) {
        site->depth = r.inputs;
        site->norms = places;
        site->weight_in = DP_IN_W;
        site->input_in = DP_IN_X;
        site->sample_axis = r.rows_first ? 0 : 1;
    } else {
        site->depth = r.hidden;
        site->norms = r.cell->parts * r.directions * places;
        site->weight_in = DP_IN_R;
        site->input_in = -1;
    }
    site->macs = places * site->channels * site->depth;
    return DP_OK;
}

/* clang-format off */
#define ROW(name, cell)                                                                             \
    {.type = name, .domain = "", .since = 7, .shape = recurrent_shape,                              \
     .forward = dp_recurrent_forward, .adjoint = dp_recurrent_adjoint,                              \
     .n_sites = 2, .site = recurrent_site, .detail = &(cell)}
/* clang-format on */

const dp_op dp_ops_recurrent[] = {
    ROW("GRU", dp_cell_gru),
    ROW("LSTM", dp_cell_lstm),
    ROW("RNN", dp_cell_rnn),
    {0},
};
