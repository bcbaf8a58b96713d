/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What is done to operands before anything is learned: chosen where it lowers the noise, and by as much as is said. Networks are made so
 * that what can be gained is known; noise is drawn, beside what the engine states and what was expected.
 *
 * A mean square of N normals is off by sqrt(2 / N) of itself, so 6 standard errors of 300,000 draws are 1.6%.
 */
#include <check.h>
#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "dynaprec/npz.h"
#include "engine/expect.h"
#include "learn/condition/condition.h"
#include "rig.h"
#include "scratch.h"
#include "suites.h"

enum { SAMPLES = 400, INPUTS = 8 };

typedef struct stage {
    net n;
    dp_hardware hardware;
    dp_dataset *data;
    dp_learn_options options;
    dp_search search;
    dp_condition condition;
} stage;

static void stage_open(stage *s, uint64_t seed) {
    memset(s, 0, sizeof *s);
    net_open(&s->n, seed);
    s->hardware = net_hardware((const char *const[]){"shot", NULL}, (double[]){1});
    dp_learn_defaults(&s->options);
}

/* The network is complete: survey and choose. */
static void stage_run(stage *s) {
    if (!s->data)
        s->data = net_dataset(&s->n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 3});
    s->search = (dp_search){.options = &s->options,
                            .hardware = &s->hardware,
                            .learn = {.data = s->data, .samples = dp_dataset_count(s->data)}};
    ck_dp_ok(dp_condition_open(&s->condition, &s->search, s->n.graph, &err));
    ck_dp_ok(dp_condition_find(&s->condition, &s->search, s->n.graph, &err));
}

static void stage_close(stage *s) {
    dp_engine_free(s->search.engine);
    dp_condition_clear(&s->condition);
    dp_dataset_free(s->data);
    net_close(&s->n);
}

/* What was done to a site; NULL: nothing. */
static const dp_conditioned_site *done_to(const stage *s, const char *site, double *noise) {
    for (int i = 0; i < s->condition.choice.list.count; i++)
        if (strcmp(s->condition.choice.list.sites[i].site, site) == 0) {
            if (noise) *noise = s->condition.choice.noise[i];
            return &s->condition.choice.list.sites[i];
        }
    return NULL;
}

/* x with the constant `shift[j] + scale[j] x_j` along `axis` of its `rank`. */
static int affine(net *n, int x, int rank, int axis, const float *scale, const float *shift) {
    int64_t dim[4] = {1, 1, 1, 1};
    dim[axis] = INPUTS;
    int a = net_weights(n, rank, dim, 1), b = net_weights(n, rank, dim, 1);
    memcpy(n->graph->values[a].constant->data, scale, INPUTS * sizeof(float));
    memcpy(n->graph->values[b].constant->data, shift, INPUTS * sizeof(float));
    return net_op(n, "Add", NET_IN(net_op(n, "Mul", NET_IN(x, a), NULL), b), NULL);
}

static const float ones[INPUTS] = {1, 1, 1, 1, 1, 1, 1, 1}, zeros[INPUTS];

/* ---- by how much ---- */

typedef struct plant {
    const char *name;
    int rank, axis;
    int64_t dim[4]; /* of the input */
} plant;

static const plant plants[] = {
    {"Gemm", 2, 1, {-1, INPUTS}},
    {"MatMul", 3, 2, {-1, 3, INPUTS}},
    {"Conv, padded, strided", 4, 1, {-1, INPUTS, 7, 6}},
    {"Conv, depthwise", 4, 1, {-1, INPUTS, 7, 6}},
    {"Conv, groups", 4, 1, {-1, INPUTS, 7, 6}},
};
enum { PLANTS = sizeof plants / sizeof *plants };

static int plant_site(net *n, int which, int x) {
    dp_attr padded[] = {OP_INTS("pads", 1, 1, 1, 1), OP_INTS("strides", 2, 1), {0}};
    dp_attr lone[] = {OP_INTS("pads", 1, 1, 1, 1), OP_INT("group", INPUTS), {0}};
    dp_attr groups[] = {OP_INT("group", 2), {0}};
    if (which == 0) return net_linear(n, x, 40, INPUTS);
    if (which == 1) return net_matmul(n, x, 40, INPUTS);
    if (which == 2) return net_conv(n, x, NET_DIM(16, INPUTS, 3, 3), padded);
    if (which == 3) return net_conv(n, x, NET_DIM(16, 1, 3, 3), lone);
    return net_conv(n, x, NET_DIM(16, INPUTS / 2, 3, 3), groups);
}

/* Mean square of the noise that a network draws at its output. */
static double drawn(const stage *s, const dp_graph *graph, double *stated) {
    rig r = {.n = {.graph = (dp_graph *)(uintptr_t)graph}, .hardware = s->hardware};
    enum { TRIALS = 20 };
    dp_conditioning none = {0};
    dp_engine_options options = {.seed = 1, .conditioning = &none};
    r.data = s->data;
    rig_open(&r, &options);
    double *k = rig_uniform(&r, 1), sum = 0;
    float *clean = rig_run(&r, NULL, 0, 1), *noisy = rig_run(&r, k, 0, TRIALS);
    int64_t count = r.samples * r.size;
    for (int64_t i = 0; i < TRIALS * count; i++) {
        double off = (double)noisy[i] - (double)clean[i % count];
        sum += off * off;
    }
    ck_assert_int_ge(TRIALS * count, 300000);
    int64_t channels = dp_engine_channels(r.engine);
    double *variance = dp_alloc((size_t)channels, sizeof *variance);
    dp_engine_variance(r.engine, variance);
    *stated = 0;
    for (int64_t c = 0; c < channels; c++) *stated += variance[c] / (double)channels;
    dp_free(variance);
    dp_free(k);
    dp_free(clean);
    dp_free(noisy);
    dp_reference_free(r.reference);
    dp_engine_free(r.engine);
    return sum / (double)(TRIALS * count);
}

/* Inputs of spread 1 with means: what is left is 1 of 1 + the mean square of the means, with weights of one size. */
START_TEST(centring_leaves_of_the_noise_what_was_expected) {
    static const float means[INPUTS] = {2, -2, 2, 2, -2, 2, -2, 2};
    const plant *p = &plants[_i];
    stage s;
    double noise = 0, stated[2];
    stage_open(&s, 17);
    int x = net_input(&s.n, "x", DP_F32, p->rank, p->dim);
    int y = plant_site(&s.n, _i, affine(&s.n, x, p->rank, p->axis, ones, means));
    net_output(&s.n, y);
    s.options.condition = DP_CONDITION_CENTRE;
    stage_run(&s);
    const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), &noise);
    ck_assert_msg(done && done->mu && !done->alpha, "%s", p->name);
    for (int j = 0; j < INPUTS; j++)
        ck_assert_float_eq_tol(done->mu[j], means[j], 6 / sqrtf(SAMPLES));
    ck_assert_double_eq_tol(noise, 0.2, 0.004);
    double before = drawn(&s, s.n.graph, &stated[0]);
    double after = drawn(&s, s.condition.graph, &stated[1]);
    ck_assert_double_eq_tol(stated[1] / stated[0], noise, 0.02 * noise);
    ck_assert_double_eq_tol(before, stated[0], 0.02 * stated[0]);
    ck_assert_double_eq_tol(after, stated[1], 0.02 * stated[1]);
    stage_close(&s);
}
END_TEST

/* Input j has size a, its weights size b: (sum a b)² is left of (sum a²)(sum b²) [Cauchy and Schwarz]. */
START_TEST(balancing_leaves_of_the_noise_what_was_expected) {
    static const float a[INPUTS] = {3, 1, 1, 0.5F, 2, 1, 0.75F, 1},
                       b[INPUTS] = {0.5F, 1, 2, 2, 1, 3, 1, 0.25F};
    stage s;
    double noise = 0, stated[2], products = 0, left = 0, right = 0;
    stage_open(&s, 18);
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, affine(&s.n, x, 2, 1, a, zeros), 40, INPUTS);
    float *w =
        s.n.graph->values[s.n.graph->nodes[s.n.graph->values[y].producer].in[1]].constant->data;
    for (int i = 0; i < 40 * INPUTS; i++) w[i] = i / INPUTS % 2 ? b[i % INPUTS] : -b[i % INPUTS];
    for (int j = 0; j < INPUTS; j++) {
        products += (double)(a[j] * b[j]);
        left += (double)(a[j] * a[j]);
        right += (double)(b[j] * b[j]);
    }
    net_output(&s.n, y);
    s.options.condition = DP_CONDITION_BALANCE;
    stage_run(&s);
    const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), &noise);
    ck_assert(done && done->alpha && !done->mu);
    double optimum = products * products / (left * right);
    ck_assert(noise >= optimum && noise < 1.05 * optimum); /* shrinkage costs a little */
    double before = drawn(&s, s.n.graph, &stated[0]);
    double after = drawn(&s, s.condition.graph, &stated[1]);
    ck_assert_double_eq_tol(stated[1] / stated[0], noise, 0.01 * noise);
    ck_assert_double_eq_tol(after / before, noise, 0.03 * noise);
    stage_close(&s);
}
END_TEST

/* Both converters' ranges: weights and inputs that are large in different channels share one range each. */
START_TEST(ranges_are_evened_where_they_make_the_noise) {
    static const float a[INPUTS] = {4, 1, 1, 1, 1, 1, 1, 1};
    stage s;
    double noise = 0;
    stage_open(&s, 19);
    s.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
    s.hardware.signed_inputs = false;
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, affine(&s.n, x, 2, 1, a, zeros), 40, INPUTS);
    float *w =
        s.n.graph->values[s.n.graph->nodes[s.n.graph->values[y].producer].in[1]].constant->data;
    for (int i = 0; i < 40 * INPUTS; i++) w[i] = (i / INPUTS % 2 ? 1.0F : -1.0F) / a[i % INPUTS];
    net_output(&s.n, y);
    stage_run(&s);
    ck_assert_ptr_nonnull(done_to(&s, net_node_name(&s.n, y), &noise));
    ck_assert_double_lt(noise, 2.0 / 16); /* a sixteenth, but for how extremes differ by chance */
    stage_close(&s);
}
END_TEST

/* 42 positions of each channel, where the first one reaches ten times as far as others in 4 of 16,800 values. */
static void add_spikes(stage *s) {
    enum { POSITIONS = 42 };
    float(*values)[INPUTS][POSITIONS] = dp_alloc(SAMPLES, sizeof *values);
    uint64_t state = 78;
    ck_assert_ptr_nonnull(values);
    for (int i = 0; i < SAMPLES; i++)
        for (int j = 0; j < INPUTS; j++)
            for (int p = 0; p < POSITIONS; p++)
                values[i][j][p] = (float)fmin(4, fmax(-4, net_normal(&state)));
    for (int i = 0; i < 4; i++) values[50 * i + i][0][7] = i < 2 ? 40 : -40;
    dp_tensor t = {.data = values, .borrowed = true};
    dp_tensor_reshape(&t, DP_F32, 4, NET_DIM(SAMPLES, INPUTS, 7, 6));
    static char name[] = "x";
    dp_array array = {name, t};
    dp_input_spec spec;
    dp_engine_inputs(s->n.graph, &spec);
    ck_dp_ok(dp_npz_write(scratch("x.npz"), &array, 1, &err));
    ck_dp_ok(dp_dataset_open(&s->data, scratch("x.npz"), &spec, 1, NULL, &err));
    dp_free(values);
}

/* A converter that cuts at 99.99% never sees them, and one that does not is worth an alpha. */
START_TEST(what_converters_cut_does_not_count) {
    for (int cut = 0; cut < 2; cut++) {
        stage s;
        stage_open(&s, 19);
        s.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
        s.hardware.percentile = cut ? 99.99 : 100;
        int x = net_input(&s.n, "x", DP_F32, 4, NET_DIM(-1, INPUTS, 7, 6));
        int y = net_conv(&s.n, x, NET_DIM(16, INPUTS, 3, 3), NULL);
        net_output(&s.n, y);
        add_spikes(&s);
        stage_run(&s);
        const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), NULL);
        ck_assert_int_eq(done != NULL, !cut);
        for (int j = 1; done && j < INPUTS; j++) ck_assert(done->alpha[0] < 0.3F * done->alpha[j]);
        stage_close(&s);
    }
}
END_TEST

/* Weights are of two sizes, on their 8 bits' levels or between them. Balancing would even ranges out, and take them off the levels. */
START_TEST(what_converters_lose_does_not_grow) {
    static const float a[INPUTS] = {5, 1, 1, 1, 1, 1, 1, 1};
    for (int bits = 0; bits < 9; bits += 8)
        for (int off = 0; off < 2; off++) {
            stage s;
            stage_open(&s, 19);
            s.hardware = net_hardware((const char *const[]){"thermal", NULL}, (double[]){0.01});
            s.hardware.weight_bits = bits;
            s.hardware.input_bits = 0;
            int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
            int y = net_linear(&s.n, affine(&s.n, x, 2, 1, a, zeros), 40, INPUTS);
            int node = s.n.graph->values[y].producer;
            float *w = s.n.graph->values[s.n.graph->nodes[node].in[1]].constant->data;
            for (int i = 0; i < 40 * INPUTS; i++) {
                float level = i % INPUTS ? 255 : 51;
                w[i] =
                    (i / INPUTS % 2 ? 1.0F : -1.0F) * (level - 0.5F * (float)(off && i % 2)) / 255;
            }
            net_output(&s.n, y);
            stage_run(&s);
            const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), NULL);
            ck_assert_int_eq(done && done->alpha, bits == 0 || off);
            stage_close(&s);
        }
}
END_TEST

/* ---- when ---- */

START_TEST(nothing_is_done_where_nothing_is_gained) {
    stage s;
    stage_open(&s, 20);
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    net_output(&s.n, net_linear(&s.n, x, 400, INPUTS));
    stage_run(&s);
    ck_assert_int_eq(s.condition.choice.list.count, 0);
    ck_assert_ptr_null(s.condition.graph);
    stage_close(&s);
}
END_TEST

START_TEST(inputs_that_may_not_be_negative_are_not_centred) {
    static const float means[INPUTS] = {9, 9, 9, 9, 9, 9, 9, 9};
    for (int may = 0; may < 2; may++) {
        stage s;
        stage_open(&s, 21);
        s.hardware.signed_inputs = may;
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        net_output(&s.n, net_linear(&s.n, affine(&s.n, x, 2, 1, ones, means), 40, INPUTS));
        stage_run(&s);
        ck_assert_int_eq(s.condition.choice.list.count, may);
        ck_assert_int_eq(s.condition.choice.unsigned_sites, !may);
        stage_close(&s);
    }
}
END_TEST

/* The same, but for one channel that is negative as it is: the core has to take it anyway. */
START_TEST(inputs_that_are_negative_already_may_be_centred_on_any_hardware) {
    static const float means[INPUTS] = {9, 9, 9, -9, 9, 9, 9, 9};
    stage s;
    double noise = 0;
    stage_open(&s, 21);
    s.hardware.signed_inputs = false;
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, affine(&s.n, x, 2, 1, ones, means), 40, INPUTS);
    net_output(&s.n, y);
    stage_run(&s);
    const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), &noise);
    ck_assert(done && done->mu && noise < 0.5);
    ck_assert_int_eq(s.condition.choice.unsigned_sites, 0);
    stage_close(&s);
}
END_TEST

/* Keys of attention, all of one sign. Only the right operand counts. */
START_TEST(keys_are_centred_where_signs_are_taken) {
    static const float high[INPUTS] = {9, 9, 9, 9, 9, 9, 9, 9};
    for (int how = 0; how < 3; how++) { /* no signs; the hardware's; the keys' own */
        stage s;
        stage_open(&s, 23);
        s.hardware.signed_inputs = how == 1;
        int x = net_input(&s.n, "x", DP_F32, 3, NET_DIM(-1, 5, INPUTS));
        int keys = affine(&s.n, x, 3, 2, ones, high);
        if (how == 2) keys = net_op(&s.n, "Neg", NET_IN(keys), NULL);
        keys = net_op(&s.n, "Transpose", NET_IN(keys), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
        int product = net_op(&s.n, "MatMul", NET_IN(x, keys), NULL);
        net_output(&s.n,
                   net_op(&s.n, "Softmax", NET_IN(product), (dp_attr[]){OP_INT("axis", -1), {0}}));
        stage_run(&s);
        const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, product), NULL);
        ck_assert_msg(how == 0 ? !done : done && done->positions, "%d", how);
        ck_assert_int_eq(s.condition.choice.unsigned_sites, how == 0);
        stage_close(&s);
    }
}
END_TEST

/* Even and odd samples have the first channels' means and sizes exchanged: what one half teaches is wrong for the other. */
START_TEST(what_does_not_hold_on_other_samples_is_not_done) {
    stage s;
    stage_open(&s, 22);
    int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
    int y = net_linear(&s.n, x, 40, INPUTS);
    net_output(&s.n, y);
    float values[SAMPLES][INPUTS];
    uint64_t state = 77;
    for (int i = 0; i < SAMPLES; i++)
        for (int j = 0; j < INPUTS; j++) {
            double size = (i + j) % 2 ? 3 : 0.1, sign = (i + j / 2) % 2 ? 2 : -2;
            values[i][j] = (float)(size * (sign + net_normal(&state)));
        }
    dp_tensor t = {.data = values, .borrowed = true};
    dp_tensor_reshape(&t, DP_F32, 2, NET_DIM(SAMPLES, INPUTS));
    static char name[] = "x";
    dp_array array = {name, t};
    dp_input_spec spec;
    dp_engine_inputs(s.n.graph, &spec);
    ck_dp_ok(dp_npz_write(scratch("x.npz"), &array, 1, &err));
    ck_dp_ok(dp_dataset_open(&s.data, scratch("x.npz"), &spec, 1, NULL, &err));
    stage_run(&s);
    ck_assert_int_eq(s.condition.choice.list.count, 0);
    stage_close(&s);
}
END_TEST

/* A channel that is silent on the learn set: its alpha would be infinite. */
START_TEST(silent_channels_get_bounded_alphas) {
    static const float a[INPUTS] = {0, 3, 1, 1, 0.3F, 2, 1, 0.5F};
    for (int centre = 0; centre < 2; centre++) {
        stage s;
        stage_open(&s, 23);
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        int y = net_linear(&s.n, affine(&s.n, x, 2, 1, a, zeros), 40, INPUTS);
        net_output(&s.n, y);
        s.options.condition = centre ? DP_CONDITION_BOTH : DP_CONDITION_BALANCE;
        stage_run(&s);
        const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), NULL);
        ck_assert(done && done->alpha);
        float least = INFINITY, most = 0;
        for (int j = 0; j < INPUTS; j++) {
            least = fminf(least, done->alpha[j]);
            most = fmaxf(most, done->alpha[j]);
        }
        ck_assert(least >= 0.25F && most <= 4);
        ck_assert_float_eq(most, done->alpha[0]); /* it is still the largest one */
        stage_close(&s);
    }
}
END_TEST

/* ---- what it costs ---- */

START_TEST(digital_operations_are_counted_and_have_to_pay) {
    static const float means[INPUTS] = {2, 2, 2, 2, 2, 2, 2, 2};
    const double macs = 40 * INPUTS;
    /* 1 aJ a MAC; four fifths of it are the most that may be lost for 8 subtractions */
    const double operation[] = {0, 0.1, 0.79 * macs / INPUTS, 0.81 * macs / INPUTS};
    for (int i = 0; i < 4; i++) {
        stage s;
        stage_open(&s, 24);
        s.options.condition = DP_CONDITION_CENTRE;
        s.hardware.digital_op_j = operation[i] * 1e-18;
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        net_output(&s.n, net_linear(&s.n, affine(&s.n, x, 2, 1, ones, means), 40, INPUTS));
        stage_run(&s);
        ck_assert_int_eq(s.condition.choice.list.count, i < 3);
        const dp_site_info *site = dp_engine_site(s.search.engine, 0);
        double fixed = i < 3 ? operation[i] * INPUTS * 1e-18 : 0;
        ck_assert_double_le(fabs(site->fixed_j - fixed), 1e-12 * fixed);
        ck_assert_double_eq_tol(site->per_repetition_j, macs * 1e-18, 1e-30);
        stage_close(&s);
    }
}
END_TEST

/* ---- products of attention ---- */

static int turned(net *n, int x) {
    return net_op(n, "Transpose", NET_IN(x), (dp_attr[]){OP_INTS("perm", 0, 2, 1), {0}});
}

/* Queries and keys of one input, values of it too; `shift` is what all keys of a sample have in common. */
static int attention(net *n, float shift) {
    enum { STEPS = 12, WIDTH = 6 };
    int x = net_input(n, "x", DP_F32, 3, NET_DIM(-1, STEPS, INPUTS));
    int q = net_matmul(n, x, WIDTH, INPUTS), k = net_matmul(n, x, WIDTH, INPUTS);
    int common = net_weights(n, 1, NET_DIM(WIDTH), shift);
    k = net_op(n, "Add", NET_IN(k, common), NULL);
    int scores = net_op(n, "MatMul", NET_IN(q, turned(n, k)), NULL);
    int p = net_op(n, "Softmax", NET_IN(scores), (dp_attr[]){OP_INT("axis", -1), {0}});
    net_output(n,
               net_linear(n, net_reshape(n, p, 2, NET_DIM(-1, STEPS * STEPS)), 4, STEPS * STEPS));
    return scores;
}

START_TEST(keys_are_centred_where_they_have_something_in_common) {
    for (int common = 0; common < 2; common++) {
        stage s;
        double noise = 1;
        stage_open(&s, 25);
        int scores = attention(&s.n, common ? 3 : 1e-6F);
        s.options.condition = DP_CONDITION_CENTRE;
        stage_run(&s);
        const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, scores), &noise);
        /* twelve keys that are independent keep 11 of 12 parts of their norm */
        ck_assert(done && done->positions);
        if (common)
            ck_assert_double_lt(noise, 0.5);
        else
            ck_assert_double_eq_tol(noise, 11.0 / 12, 0.02);
        stage_close(&s);
        stage_open(&s, 25);
        scores = attention(&s.n, 3);
        s.options.condition = DP_CONDITION_BALANCE;
        stage_run(&s);
        ck_assert_ptr_null(done_to(&s, net_node_name(&s.n, scores), NULL));
        stage_close(&s);
    }
}
END_TEST

/* With digital operations that cost more than the product does, the keys stay as they are, and the rest is done all the same. */
START_TEST(keys_stay_as_they_are_where_centring_does_not_pay) {
    static const double digital[] = {0, 1e-12};
    for (int i = 0; i < 2; i++) {
        stage s;
        stage_open(&s, 25);
        int scores = attention(&s.n, 3);
        s.options.condition = DP_CONDITION_CENTRE;
        s.hardware.digital_op_j = digital[i];
        stage_run(&s);
        const char *site = net_node_name(&s.n, scores);
        ck_assert_int_eq(done_to(&s, site, NULL) != NULL, i == 0);
        for (int k = 0; k < dp_engine_site_count(s.search.engine); k++)
            if (i == 1 && strcmp(dp_engine_site(s.search.engine, k)->name, site) == 0)
                ck_assert_double_eq(dp_engine_site(s.search.engine, k)->fixed_j, 0);
        stage_close(&s);
    }
}
END_TEST

/* ---- and always the same ---- */

START_TEST(the_same_is_done_at_any_number_of_threads) {
    static const float means[INPUTS] = {2, 1, 0, 1, -2, 0.5F, 0, 0},
                       a[INPUTS] = {1, 3, 1, 0.5F, 1, 2, 1, 1};
    float first[2][INPUTS];
    for (int threads = 1; threads <= 3; threads++) {
        stage s;
        stage_open(&s, 26);
        int x = net_input(&s.n, "x", DP_F32, 2, NET_DIM(-1, INPUTS));
        int y = net_linear(&s.n, affine(&s.n, x, 2, 1, a, means), 40, INPUTS);
        net_output(&s.n, y);
        s.options.threads = threads;
        stage_run(&s);
        const dp_conditioned_site *done = done_to(&s, net_node_name(&s.n, y), NULL);
        ck_assert(done && done->mu && done->alpha);
        if (threads == 1) {
            memcpy(first[0], done->mu, sizeof first[0]);
            memcpy(first[1], done->alpha, sizeof first[1]);
        }
        ck_assert_mem_eq(first[0], done->mu, sizeof first[0]);
        ck_assert_mem_eq(first[1], done->alpha, sizeof first[1]);
        stage_close(&s);
    }
}
END_TEST

Suite *test_choose_suite(void);
Suite *test_choose_suite(void) {
    Suite *suite = suite_create("choose");
    TCase *tests = tcase_create("what is done to operands");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_loop_test(tests, centring_leaves_of_the_noise_what_was_expected, 0, PLANTS);
    tcase_add_test(tests, balancing_leaves_of_the_noise_what_was_expected);
    tcase_add_test(tests, ranges_are_evened_where_they_make_the_noise);
    tcase_add_test(tests, what_converters_cut_does_not_count);
    tcase_add_test(tests, what_converters_lose_does_not_grow);
    tcase_add_test(tests, nothing_is_done_where_nothing_is_gained);
    tcase_add_test(tests, inputs_that_may_not_be_negative_are_not_centred);
    tcase_add_test(tests, inputs_that_are_negative_already_may_be_centred_on_any_hardware);
    tcase_add_test(tests, keys_are_centred_where_signs_are_taken);
    tcase_add_test(tests, what_does_not_hold_on_other_samples_is_not_done);
    tcase_add_test(tests, silent_channels_get_bounded_alphas);
    tcase_add_test(tests, digital_operations_are_counted_and_have_to_pay);
    tcase_add_test(tests, keys_are_centred_where_they_have_something_in_common);
    tcase_add_test(tests, keys_stay_as_they_are_where_centring_does_not_pay);
    tcase_add_test(tests, the_same_is_done_at_any_number_of_threads);
    suite_add_tcase(suite, tests);
    return suite;
}
