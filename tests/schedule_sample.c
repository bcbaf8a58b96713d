/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "schedule_sample.h"

#include <math.h>

#include "scratch.h"
#include "suites.h"

#define DIGEST_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

double sample_whole[1] = {17};
double sample_by_channel[SAMPLE_CHANNELS];
double sample_by_tile[3] = {1, 2, 65536};
dp_layer sample_layers[3];
dp_schedule sample;

static dp_measure measure(double seed) {
    double v = seed;
    dp_measure m;
    dp_figure *const figures[] = {&m.top1, &m.top5, &m.loss, &m.kl, &m.agreement, &m.drop};
    for (int i = 0; i < 6; i++, v *= 0.7) *figures[i] = (dp_figure){v, v * 0.9, v / 0.9};
    m.drop_upper = v;
    m.rise = -v * 1e-9;
    m.rise_upper = v / 3;
    m.energy_j = v * 1e-8;
    m.energy_per_mac_aj = 2.7;
    m.latency_x = 21.09375;
    m.repetitions = NAN;
    return m;
}

static void make_sample(void) {
    for (int i = 0; i < SAMPLE_CHANNELS; i++) sample_by_channel[i] = 1 + i * i % 97;
    sample_layers[0] = (dp_layer){.name = (char *)"/layer1/Conv \"0\"",
                                  .index = 0,
                                  .op = (char *)"Conv",
                                  .weight = (char *)"layer1.conv.weight",
                                  .module = (char *)"layer1.conv",
                                  .macs = 442368,
                                  .granularity = "layer",
                                  .group = (char *)"/layer1/*",
                                  .channels = 16,
                                  .count = 1,
                                  .repetitions = sample_whole,
                                  .energy_j = 1e-12,
                                  .enob = 5.25,
                                  .loss = 0.1 / 17,
                                  .loss_per_j = 5.9e9,
                                  .fixed = true,
                                  .sensitivity = 0.1};
    sample_layers[1] = (dp_layer){.name = (char *)"Conv_1",
                                  .index = 1,
                                  .op = (char *)"Conv",
                                  .weight = (char *)"w",
                                  .module = (char *)"",
                                  .macs = 1e6,
                                  .granularity = "channel",
                                  .channels = SAMPLE_CHANNELS,
                                  .count = SAMPLE_CHANNELS,
                                  .repetitions = sample_by_channel,
                                  .energy_j = 2e-12,
                                  .enob = NAN,
                                  .loss = NAN,
                                  .loss_per_j = NAN,
                                  .at_min = 3,
                                  .at_max = SAMPLE_CHANNELS - 3,
                                  .sensitivity = 1.0 / 3};
    sample_layers[2] = (dp_layer){.name = (char *)"MatMul_2",
                                  .index = 4,
                                  .op = (char *)"MatMul",
                                  .weight = (char *)"",
                                  .module = (char *)"",
                                  .macs = 123.5,
                                  .granularity = "tile:4",
                                  .channels = 9,
                                  .count = 3,
                                  .repetitions = sample_by_tile,
                                  .energy_j = 3e-20,
                                  .enob = 4,
                                  .sensitivity = 1e-30};
    sample = (dp_schedule){.version = (char *)"0.1.0",
                           .search = (char *)"relax",
                           .seed = UINT64_MAX,
                           .trials = 8,
                           .min_repetitions = 2,
                           .max_repetitions = 64,
                           .model_file = (char *)"net \xc3\xa9.onnx",
                           .model_sha256 = (char *)DIGEST_A,
                           .data_file = (char *)"calib.npz",
                           .data_sha256 = (char *)DIGEST_B,
                           .learn_count = 500,
                           .check_count = 499,
                           .check_file = (char *)"",
                           .check_sha256 = (char *)"",
                           .goal = (char *)"max-drop 2",
                           .status = (char *)"accepted",
                           .active = DP_BUDGET_LATENCY,
                           .confidence = 0.95,
                           .checks = 2,
                           .checks_uniform = 1,
                           .passes = 31.5,
                           .passes_shape = 6,
                           .clean = measure(0.8),
                           .learned = measure(0.79),
                           .uniform = measure(0.78),
                           .saving = {0.83, 0.8, NAN},
                           .alternative = {(char *)"dearer", true, NAN, 0.805},
                           .rounding = {false, 1.02e-12, 1e-12, 0.02},
                           .n_layers = 3,
                           .layers = sample_layers};
    sample.uniform.repetitions = 145;
    sample.clean.top5 = (dp_figure){NAN, NAN, NAN};
    ck_dp_ok(dp_hardware_read(&sample.hardware, "examples/hardware/homodyne.yaml", &err));
}

void sample_setup(void) {
    scratch_setup();
    make_sample();
}

char *sample_written(const dp_schedule *schedule, const char *name, size_t *size) {
    ck_dp_ok(dp_schedule_write(schedule, scratch(name), &err));
    return read_whole(scratch(name), size);
}
