/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The variance of the noise that every site's outputs get, as it is predicted from some samples and as it comes out on others.
 *
 *     variance MODEL.onnx LEARN.npz CHECK.npz HARDWARE.yaml K
 *
 * Prints, as one JSON object, for each site its name, multiply-accumulates, how many outputs were seen, and variances at K = 1, mean over channels: predicted by the
 * survey of LEARN, and K times the mean square of what one draw at K repetitions adds to the outputs on CHECK. Noise of weights is in
 * the operands and is not seen here.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "engine/state.h"
#include "network.h"

/* A group's sums: of squares for every channel, then how many for every channel. */
static void add_squares(const dp_worker *w, int site, const dp_product *b, const float *before) {
    double *sum = (double *)w->sum + w->engine->sites[site].info.first_channel;
    bool one = !w->engine->sites[site].weight; /* a product of activations is one channel */
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t p = 0; p < b->positions; p++) {
            int64_t at = c * b->channel_stride + p * b->position_stride;
            double noise = (double)b->y[at] - (double)before[c * b->positions + p];
            int64_t channel = one ? 0 : b->first_channel + c;
            sum[channel] += noise * noise;
            sum[w->engine->channels + channel] += 1;
        }
}

static void forward(void *worker, int site, const dp_product *b) {
    dp_worker *w = worker;
    size_t count = (size_t)(b->channels * b->positions);
    float *before = dp_alloc(count + 1, sizeof *before);
    if (!before) abort();
    for (int64_t c = 0; c < b->channels; c++)
        for (int64_t p = 0; p < b->positions; p++)
            before[c * b->positions + p] = b->y[c * b->channel_stride + p * b->position_stride];
    dp_noisy_forward(w, site, b);
    if (b->sample < w->count) add_squares(w, site, b, before);
    dp_free(before);
}

static dp_status measure(network *n, const dp_dataset *check, double *sums, dp_error *err) {
    static const dp_hooks hooks = {
        .operand = dp_noisy_operand, .state = dp_noisy_state, .forward = forward};
    int64_t channels = dp_engine_channels(n->engine);
    dp_pass pass = {.data = check,
                    .hooks = &hooks,
                    .trials = 1,
                    .sum_bytes = (size_t)(2 * channels) * sizeof(double),
                    .stage = "variances"};
    void *groups = NULL;
    int count = 0;
    dp_engine_set_precision(n->engine, n->repetitions);
    dp_status status = dp_engine_pass(n->engine, &pass, &groups, &count, err);
    for (int64_t i = 0; status == DP_OK && i < count * 2 * channels; i++)
        sums[i % (2 * channels)] += ((double *)groups)[i];
    dp_free(groups);
    return status;
}

static void print(const network *n, const double *predicted, const double *sums, double k) {
    int64_t channels = dp_engine_channels(n->engine);
    for (int i = 0; i < dp_engine_site_count(n->engine); i++) {
        const dp_site_info *site = dp_engine_site(n->engine, i);
        double mean[2] = {0, 0}, count = 0;
        for (int64_t c = site->first_channel; c < site->first_channel + site->channels; c++) {
            mean[0] += predicted[c] / (double)site->channels;
            count += sums[channels + c];
            if (sums[channels + c] > 0)
                mean[1] += k * sums[c] / sums[channels + c] / (double)site->channels;
        }
        printf("%s{\"name\": \"%s\", \"macs\": %.17g, \"predicted\": %.9g, \"measured\": %.9g, "
               "\"outputs\": %.0f}",
               i ? ", " : "{\"sites\": [", site->name, site->macs, mean[0], mean[1], count);
    }
    printf("]}\n");
}

static dp_status compare(char **words, double k, dp_error *err) {
    network n = {0}, other = {0};
    network_setting setting = {.repetitions = k, .threads = 2};
    char *files[2][3] = {{words[0], words[1], words[3]}, {words[0], words[2], words[3]}};
    dp_status status = network_load(&n, files[0], &setting, err);
    if (status == DP_OK) status = network_load(&other, files[1], &setting, err);
    if (status == DP_OK) {
        size_t channels = (size_t)dp_engine_channels(n.engine);
        double *predicted = dp_alloc(channels, sizeof *predicted);
        double *sums = dp_alloc(2 * channels, sizeof *sums);
        if (!predicted || !sums) status = dp_fail(err, DP_EMEMORY, "no memory for variances");
        if (status == DP_OK) dp_engine_variance(n.engine, predicted);
        if (status == DP_OK) status = measure(&n, other.data, sums, err);
        if (status == DP_OK) print(&n, predicted, sums, k);
        dp_free(predicted);
        dp_free(sums);
    }
    network_clear(&other);
    network_clear(&n);
    return status;
}

int main(int argc, char **argv) {
    dp_error err = {DP_OK, ""};
    if (argc != 6) {
        fprintf(stderr, "usage: variance MODEL.onnx LEARN.npz CHECK.npz HARDWARE.yaml K\n");
        return 2;
    }
    if (compare(argv + 1, strtod(argv[5], NULL), &err) == DP_OK) return 0;
    fprintf(stderr, "variance: %s\n", err.text);
    return 1;
}
