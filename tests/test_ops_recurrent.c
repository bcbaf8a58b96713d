/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * LSTM, GRU and RNN: values that ONNX's equations give (data/ops/recurrent.py), and what the port is told of both products. What
 * it adds in the forward pass has to be there when the adjoint comes: gradients are compared with differences of what it adds.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/alloc.h"
#include "op_harness.h"
#include "oracle.h"
#include "suites.h"

/* clang-format off */
#define OP_STRINGS(key, ...)                                                                        \
    {.name = (key), .kind = DP_ATTR_STRINGS, .strings = (const char *const[]){__VA_ARGS__},         \
     .count = sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *)}
#define OP_LIST(key, ...)                                                                           \
    {.name = (key), .kind = DP_ATTR_FLOATS, .floats = (const float[]){__VA_ARGS__},                 \
     .count = sizeof((const float[]){__VA_ARGS__}) / sizeof(float)}

const op_case op_cases_recurrent[] = {
#include "data/ops/recurrent.inc"
    {"LSTM", 22, .in = {OP_F32(0, 2, 3), OP_F32(1, 8, 3), OP_F32(1, 8, 2)}, .n_out = 3,
     .want = {{.dtype = DP_F32, OP_DIM(0, 1, 2, 2)}, {OP_DIM(1, 2, 2), OP_FLOATS(0, 0, 0, 0)}}},
    {"GRU", 22, .in = {OP_F32(3, 0, 3), OP_F32(1, 6, 3), OP_F32(1, 6, 2)}, .want = {{.dtype = DP_F32, OP_DIM(3, 1, 0, 2)}}},
    {"LSTM", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 8, 3)}, .refused = "input 2 is missing", .status = DP_EFORMAT},
    {"LSTM", 14, .in = {OP_F32(3, 2), OP_F32(1, 8, 3), OP_F32(1, 8, 2)}, .refused = "rank 2 and 3", .status = DP_EFORMAT},
    {"LSTM", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 6, 3), OP_F32(1, 8, 2)}, .refused = "W is float32[1,6,3], not float32[1,8,3]",
     .status = DP_EFORMAT},
    {"GRU", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 6, 3), OP_F32(1, 6, 2)}, .attrs = {OP_STRING("direction", "bidirectional")},
     .refused = "W is float32[1,6,3], not float32[2,6,3]", .status = DP_EFORMAT},
    {"RNN", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 2, 3), OP_F32(1, 2, 2)}, .attrs = {OP_INT("hidden_size", 4)},
     .refused = "not float32[1,4,3]", .status = DP_EFORMAT},
    {"RNN", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 2, 3), OP_F32(1, 2, 2), {.dtype = DP_NONE}, OP_F32(2)},
     .refused = "sequence_lens is float32[2], not int32[2]", .status = DP_EFORMAT},
    {"RNN", 14, .in = {OP_F32(3, 2, 0), OP_F32(1, 2, 0), OP_F32(1, 2, 2)}, .refused = "0 inputs", .status = DP_ERANGE},
    {"RNN", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 2, 3), OP_F32(1, 2, 2)}, .attrs = {OP_STRING("direction", "sideways")},
     .refused = "direction is 'sideways'", .status = DP_EFORMAT},
    {"RNN", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 2, 3), OP_F32(1, 2, 2)}, .attrs = {OP_INT("layout", 2)},
     .refused = "layout is 2", .status = DP_EFORMAT},
    {"RNN", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 2, 3), OP_F32(1, 2, 2)}, .attrs = {OP_FLOAT("clip", -1)},
     .refused = "clip is negative", .status = DP_EFORMAT},
    {"RNN", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 2, 3), OP_F32(1, 2, 2)}, .attrs = {OP_STRINGS("activations", "Cosine")},
     .refused = "'Cosine' is not supported", .status = DP_EUNSUPPORTED},
    {"LSTM", 14, .in = {OP_F32(3, 2, 3), OP_F32(1, 8, 3), OP_F32(1, 8, 2)}, .attrs = {OP_STRINGS("activations", "Tanh")},
     .refused = "activations has 1 entries, not 3", .status = DP_EFORMAT},
    {0},
};
/* clang-format on */

/* ---- a port for both products ---- */

enum {
    T = 3,
    C = 3,
    H = 2,
    SAMPLES = 2,
    SLOTS = 2,
    MOST = 2 * 2 * T * 4 * H,
    CHANNELS = 2 * 4 * H
};

static const struct cell {
    const char *op;
    int gates, parts;
    int64_t linear;
} cells[] = {{"LSTM", 4, 1, 0}, {"GRU", 3, 2, 0}, {"GRU", 3, 1, 1}, {"RNN", 1, 1, 0}};

/* Of each cell: one way, both ways, both ways with two rows a sample, and rows of several lengths in layout 1. */
static const struct form {
    const char *direction;
    int64_t directions, rows, layout;
    bool lengths;
} forms[] = {{"forward", 1, 1, 0, false},
             {"bidirectional", 2, 1, 0, false},
             {"bidirectional", 2, 2, 0, true},
             {"reverse", 1, 2, 1, true}};
enum { CASES = 16 };

typedef struct fixture {
    const struct cell *cell;
    const struct form *form;
    op_case c;
    op_run run;
    int64_t width, elements; /* U; of a sample in one slot */
    dp_site_port port;
    int seen[SLOTS][SAMPLES][MOST], weights_told[SLOTS][SAMPLES][CHANNELS];
    float shown[SLOTS][SAMPLES][MOST], norm2[SLOTS][SAMPLES][MOST], add[SLOTS][SAMPLES][MOST];
    double weight_grad2[SLOTS][SAMPLES][CHANNELS];
    float scale; /* what operands are multiplied with on their way into the recurrent product */
    bool wrong;
} fixture;

static const int32_t row_lengths[] = {3, 2, 0, 3};

static void take(void *self, const dp_product *b) {
    fixture *f = self;
    f->wrong = f->wrong || b->channel_stride != 1 || b->position_stride != f->width;
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t p = 0; p < b->positions; p++) {
            int64_t at = p * b->position_stride + c, element = b->element + at;
            int64_t channel =
                element / f->width / T / f->form->rows * f->width + element % f->width;
            f->wrong = f->wrong || element >= f->elements || channel != b->first_channel + c;
            if (f->wrong) return;
            f->seen[b->slot][b->sample][element]++;
            f->shown[b->slot][b->sample][element] = b->y[at];
            f->norm2[b->slot][b->sample][element] = b->x2[p];
            if (!f->run.args.grad_out) b->y[at] += f->add[b->slot][b->sample][element];
        }
    for (int64_t c = 0; b->weight_grad2 && c < b->channels; c++) {
        f->weight_grad2[b->slot][b->sample][b->first_channel + c] = b->weight_grad2[c];
        f->weights_told[b->slot][b->sample][b->first_channel + c]++;
    }
}

static void scale_operands(void *self, int slot, float *values, int64_t count) {
    fixture *f = self;
    f->wrong = f->wrong || slot != 1 || count % SAMPLES;
    for (int64_t i = 0; i < count; i++) values[i] *= f->scale;
}

static op_tensor tensor(int rank, int64_t a, int64_t b, int64_t c) {
    return (op_tensor){.dtype = DP_F32, .rank = rank, .dim = {a, b, c}, .low = -0.8, .high = 0.8};
}

static void fixture_open(fixture *f, int number) {
    memset(f, 0, sizeof *f);
    f->cell = &cells[number / 4];
    f->form = &forms[number % 4];
    int64_t d = f->form->directions, n = SAMPLES * f->form->rows, u = f->cell->gates * H;
    bool first = f->form->layout == 1, lstm = f->cell->gates == 4;
    f->width = u;
    f->elements = d * f->form->rows * T * u;
    f->scale = 1;
    f->port = (dp_site_port){.self = f,
                             .samples = SAMPLES,
                             .product = take,
                             .operand = scale_operands,
                             .norms = true,
                             .weight_grads = true};
    f->c = (op_case){.op = f->cell->op,
                     .opset = 14,
                     .in = {first ? tensor(3, n, T, C) : tensor(3, T, n, C), tensor(3, d, u, C),
                            tensor(3, d, u, H), tensor(2, d, 2 * u, 0)},
                     .attrs = {OP_STRING("direction", f->form->direction),
                               OP_INT("layout", f->form->layout),
                               OP_INT("linear_before_reset", f->cell->linear)},
                     .n_out = lstm ? 3 : 2,
                     .port = &f->port};
    if (f->form->lengths)
        f->c.in[4] = (op_tensor){
            .dtype = DP_I32, .rank = 1, .dim = {n}, .data = row_lengths, .constant = true};
    f->c.in[5] = first ? tensor(3, n, d, H) : tensor(3, d, n, H);
    if (lstm) f->c.in[6] = f->c.in[5];
    ck_dp_ok(op_run_open(&f->run, &f->c, &err));
    for (int slot = 0; slot < SLOTS; slot++) {
        dp_site site = {0};
        ck_dp_ok(f->run.row->site(&f->run.args, slot, &site, &err));
        f->port.x2[slot] = dp_alloc((size_t)site.norms, sizeof(float));
    }
}

static void fixture_close(fixture *f) {
    for (int slot = 0; slot < SLOTS; slot++) dp_free(f->port.x2[slot]);
    op_run_close(&f->run);
}

static void forget(fixture *f) {
    memset(f->seen, 0, sizeof f->seen);
    memset(f->weights_told, 0, sizeof f->weights_told);
    memset(f->weight_grad2, 0, sizeof f->weight_grad2);
}

static void forward(fixture *f) {
    forget(f);
    f->run.args.grad_in = NULL;
    ck_assert_msg(op_run_forward(&f->run), "%s", f->run.why);
    ck_assert(!f->wrong);
}

static void adjoint(fixture *f) {
    forget(f);
    f->run.args.grad_in = f->run.grad_in_list;
    f->run.args.grad_out = f->run.grad_out_list;
    ck_assert_msg(op_run_adjoint(&f->run), "%s", f->run.why);
    f->run.args.grad_out = NULL;
    ck_assert(!f->wrong);
}

/* What an element of the port is an element of. */
typedef struct place {
    int64_t direction, row, time, u;
    bool inside; /* before the end of its row */
} place;

static place locate(const fixture *f, int sample, int64_t element) {
    int64_t rows = f->form->rows, step = element / f->width;
    place p = {step / T / rows, sample * rows + step / T % rows, step % T, element % f->width,
               true};
    if (f->form->lengths) p.inside = p.time < row_lengths[p.row];
    return p;
}

/* The row of X at a place, and the state before it, which is Y's last or the initial one. */
static const float *input_at(const fixture *f, place p) {
    int64_t n = SAMPLES * f->form->rows;
    int64_t at = f->form->layout ? p.row * T + p.time : p.time * n + p.row;
    return (const float *)f->run.in[0].data + at * C;
}

static const float *state_before(const fixture *f, place p) {
    int64_t n = SAMPLES * f->form->rows, d = f->form->directions;
    int64_t length = f->form->lengths ? row_lengths[p.row] : T;
    bool backward = p.direction == 1 || strcmp(f->form->direction, "reverse") == 0;
    int64_t time = backward ? p.time + 1 : p.time - 1;
    if (time < 0 || time >= length) {
        int64_t at = f->form->layout ? p.row * d + p.direction : p.direction * n + p.row;
        return (const float *)f->run.in[5].data + at * H;
    }
    int64_t at = f->form->layout ? (p.row * T + time) * d + p.direction
                                 : (time * d + p.direction) * n + p.row;
    return (const float *)f->run.out[0].data + at * H;
}

/* GRU's third gate multiplies the state with the reset gate first, which the outputs do not tell. */
static bool hidden(const fixture *f, int slot, place p) {
    return slot == 1 && f->cell->parts == 2 && p.u >= 2 * H;
}

static void check_block(const fixture *f, int slot, int sample, int64_t element) {
    place p = locate(f, sample, element);
    ck_assert_int_eq(f->seen[slot][sample][element], p.inside ? 1 : 0);
    if (!p.inside || hidden(f, slot, p)) return;
    int64_t depth = slot == 0 ? C : H;
    const float *x = slot == 0 ? input_at(f, p) : state_before(f, p);
    const float *w =
        (const float *)f->run.in[1 + slot].data + (p.direction * f->width + p.u) * depth;
    double y = 0, norm2 = 0;
    for (int64_t i = 0; i < depth; i++) {
        y += (double)w[i] * (double)x[i];
        norm2 += (double)x[i] * (double)x[i];
    }
    /* few terms of magnitude below 1: 1e-6 is several units in the last place */
    ck_assert(fabs((double)f->shown[slot][sample][element] - y) < 1e-6);
    ck_assert(fabs((double)f->norm2[slot][sample][element] - norm2) < 2e-6);
}

static void check_blocks(fixture *f) {
    forward(f);
    for (int slot = 0; slot < SLOTS; slot++)
        for (int sample = 0; sample < SAMPLES; sample++)
            for (int64_t e = 0; e < f->elements; e++) check_block(f, slot, sample, e);
}

START_TEST(the_port_sees_every_product_once_with_the_norm_of_its_operand) {
    fixture f;
    fixture_open(&f, _i);
    check_blocks(&f);
    fixture_close(&f);
}
END_TEST

static double functional(const fixture *f) {
    double sum = 0;
    for (int k = 0; k < f->run.node.n_out; k++)
        for (int64_t i = 0; i < dp_tensor_count(&f->run.out[k]); i++)
            sum += (double)((const float *)f->run.grad_out[k].data)[i] *
                   (double)((const float *)f->run.out[k].data)[i];
    return sum;
}

static double difference(fixture *f, float *add) {
    const float h = 0x1p-5F, kept = *add;
    double sum = 0;
    static const double offset[] = {1, -1, 2, -2}, weight[] = {8, -8, -1, 1};
    for (int i = 0; i < 4; i++) {
        *add = kept + (float)offset[i] * h;
        forward(f);
        sum += weight[i] * functional(f);
    }
    *add = kept;
    return sum / (12 * (double)h);
}

START_TEST(gradients_are_those_at_the_noisy_states) {
    fixture f;
    static float told[SLOTS][SAMPLES][MOST];
    fixture_open(&f, _i);
    uint64_t seed = 5;
    for (int slot = 0; slot < SLOTS; slot++)
        for (int sample = 0; sample < SAMPLES; sample++)
            for (int64_t e = 0; e < f.elements; e++) f.add[slot][sample][e] = oracle_random(&seed);
    forward(&f);
    adjoint(&f);
    memcpy(told, f.shown, sizeof told);
    for (int slot = 0; slot < SLOTS; slot++)
        for (int sample = 0; sample < SAMPLES; sample++)
            for (int64_t e = 0; e < f.elements; e++) {
                bool inside = locate(&f, sample, e).inside;
                if (!inside) continue;
                double slope = difference(&f, &f.add[slot][sample][e]);
                double is = (double)told[slot][sample][e];
                /* 1e-4: the formula's h^4 / 30 of a fifth derivative, and float32's 6e-8 over h */
                ck_assert_msg(fabs(is - slope) < 1e-4,
                              "%s %s, slot %d, sample %d, element %d: %g, not %g", f.cell->op,
                              f.form->direction, slot, sample, (int)e, is, slope);
            }
    fixture_close(&f);
}
END_TEST

/* Take all gradients of outputs away but those of one sample's rows. */
static void keep_sample(fixture *f, int sample, const op_run *from) {
    int64_t n = SAMPLES * f->form->rows;
    for (int k = 0; k < f->run.node.n_out; k++) {
        const dp_tensor *g = &f->run.grad_out[k];
        for (int64_t i = 0; i < dp_tensor_count(g); i++) {
            int64_t inner = f->form->layout ? dp_tensor_count(g) / n : H;
            bool own = i / inner % n / f->form->rows == sample;
            ((float *)g->data)[i] = own ? ((const float *)from->grad_out[k].data)[i] : 0;
        }
    }
}

static void check_weight_norms(const fixture *f, int sample) {
    for (int slot = 0; slot < SLOTS; slot++) {
        const float *g = f->run.grad_in[1 + slot].data;
        int64_t depth = slot == 0 ? C : H;
        for (int64_t c = 0; c < f->form->directions * f->width; c++) {
            double norm2 = 0;
            for (int64_t i = 0; i < depth; i++)
                norm2 += (double)g[c * depth + i] * g[c * depth + i];
            double told = f->weight_grad2[slot][sample][c];
            ck_assert_int_eq(f->weights_told[slot][sample][c], 1);
            ck_assert_msg(fabs(told - norm2) <= 1e-5 * norm2, "slot %d channel %d: %g, not %g",
                          slot, (int)c, told, norm2);
            ck_assert(f->weight_grad2[slot][1 - sample][c] == 0);
        }
    }
}

/* With gradients of one sample's outputs only, the whole gradient of the weights is that sample's. */
START_TEST(weight_gradients_are_told_a_sample_at_a_time) {
    fixture f, whole;
    fixture_open(&f, _i);
    fixture_open(&whole, _i);
    double together[SLOTS][SAMPLES][CHANNELS];
    f.scale = 0.5F; /* the operand as the product had it */
    forward(&f);
    adjoint(&f);
    memcpy(together, f.weight_grad2, sizeof together);
    for (int sample = 0; sample < SAMPLES; sample++) {
        keep_sample(&f, sample, &whole.run);
        for (int k = 1; k < 3; k++)
            memset(f.run.grad_in[k].data, 0, dp_tensor_bytes(&f.run.grad_in[k]));
        adjoint(&f);
        check_weight_norms(&f, sample);
        for (int slot = 0; slot < SLOTS; slot++)
            for (int64_t c = 0; c < CHANNELS; c++) /* rows do not meet in float32 either */
                ck_assert(together[slot][sample][c] == f.weight_grad2[slot][sample][c]);
    }
    fixture_close(&f);
    fixture_close(&whole);
}
END_TEST

/* Operands halved on their way are the same as weights halved, in every bit. */
START_TEST(states_pass_the_port_on_their_way_into_the_product) {
    fixture f, halved;
    fixture_open(&f, _i);
    fixture_open(&halved, _i);
    f.scale = 0.5F;
    float *r = halved.run.in[2].data;
    for (int64_t i = 0; i < dp_tensor_count(&halved.run.in[2]); i++) r[i] *= 0.5F;
    forward(&f);
    forward(&halved);
    for (int k = 0; k < f.run.node.n_out; k++)
        ck_assert_mem_eq(f.run.out[k].data, halved.run.out[k].data, dp_tensor_bytes(&f.run.out[k]));
    fixture_close(&f);
    fixture_close(&halved);
}
END_TEST

START_TEST(the_sites_count_what_the_shapes_say) {
    fixture f;
    fixture_open(&f, _i);
    for (int slot = 0; slot < SLOTS; slot++) {
        dp_site site = {0};
        ck_dp_ok(f.run.row->site(&f.run.args, slot, &site, &err));
        int64_t places = SAMPLES * f.form->rows * T, depth = slot == 0 ? C : H;
        ck_assert_int_eq(site.channels, f.form->directions * f.width);
        ck_assert_int_eq(site.depth, depth);
        ck_assert_int_eq(site.macs, places * site.channels * depth);
        ck_assert_int_eq(site.weight_in, 1 + slot);
        ck_assert_int_eq(site.input_in, slot == 0 ? 0 : -1);
        ck_assert_int_eq(site.sample_axis, slot == 0 && f.form->layout == 0 ? 1 : 0);
    }
    f.run.args.constant = 3;
    dp_site none = {0};
    ck_dp_ok(f.run.row->site(&f.run.args, 0, &none, &err));
    ck_assert_int_eq(none.channels, 0);
    f.port.samples = 3;
    ck_dp_fails(f.run.row->site(&f.run.args, 1, &none, &err), DP_EUNSUPPORTED,
                "cannot be dealt out to 3 samples");
    fixture_close(&f);
}
END_TEST

START_TEST(lengths_beyond_the_sequence_are_refused) {
    static const int32_t lengths[][2] = {{4, 1}, {1, -1}};
    op_case c = {.op = "RNN",
                 .opset = 14,
                 .in = {OP_F32(3, 2, 3),
                        OP_F32(1, 2, 3),
                        OP_F32(1, 2, 2),
                        {.dtype = DP_NONE},
                        {.dtype = DP_I32, .rank = 1, .dim = {2}, .data = lengths[_i]}}};
    op_run run;
    ck_dp_ok(op_run_open(&run, &c, &err));
    ck_dp_fails(run.row->forward(&run.args, &err), DP_ERANGE, "for 3 steps");
    op_run_close(&run);
}
END_TEST

START_TEST(recurrent_rows_hold_their_contract) {
    op_case_check(&op_cases_recurrent[_i]);
}
END_TEST

Suite *test_ops_recurrent_suite(void) {
    Suite *suite = suite_create("ops/recurrent");
    TCase *tcase = tcase_create("cases");
    tcase_add_loop_test(tcase, recurrent_rows_hold_their_contract, 0,
                        op_case_count(op_cases_recurrent));
    tcase_add_loop_test(tcase, the_port_sees_every_product_once_with_the_norm_of_its_operand, 0,
                        CASES);
    tcase_add_loop_test(tcase, gradients_are_those_at_the_noisy_states, 0, CASES);
    tcase_add_loop_test(tcase, weight_gradients_are_told_a_sample_at_a_time, 0, CASES);
    tcase_add_loop_test(tcase, states_pass_the_port_on_their_way_into_the_product, 0, CASES);
    tcase_add_loop_test(tcase, the_sites_count_what_the_shapes_say, 0, CASES);
    tcase_add_loop_test(tcase, lengths_beyond_the_sequence_are_refused, 0, 2);
    suite_add_tcase(suite, tcase);
    return suite;
}
