/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schedules: what is written is read back, byte for byte, and what contradicts itself is refused. */
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "dynaprec/schedule.h"
#include "scratch.h"
#include "suites.h"

#define DIGEST_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST_B "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"

enum { CHANNELS = 40 };

/* The sample owns nothing that dp_schedule_clear would free: it is never cleared. */
static double whole_layer[1] = {17};
static double by_channel[CHANNELS];
static double by_tile[3] = {1, 2, 65536};
static dp_layer layers[3];
static dp_schedule sample;

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
    for (int i = 0; i < CHANNELS; i++) by_channel[i] = 1 + i * i % 97;
    layers[0] = (dp_layer){.name = (char *)"/layer1/Conv \"0\"",
                           .index = 0,
                           .op = (char *)"Conv",
                           .weight = (char *)"layer1.conv.weight",
                           .module = (char *)"layer1.conv",
                           .macs = 442368,
                           .granularity = "layer",
                           .group = (char *)"/layer1/*",
                           .channels = 16,
                           .count = 1,
                           .repetitions = whole_layer,
                           .energy_j = 1e-12,
                           .enob = 5.25,
                           .loss = 0.1 / 17,
                           .loss_per_j = 5.9e9,
                           .fixed = true,
                           .sensitivity = 0.1};
    layers[1] = (dp_layer){.name = (char *)"Conv_1",
                           .index = 1,
                           .op = (char *)"Conv",
                           .weight = (char *)"w",
                           .module = (char *)"",
                           .macs = 1e6,
                           .granularity = "channel",
                           .channels = CHANNELS,
                           .count = CHANNELS,
                           .repetitions = by_channel,
                           .energy_j = 2e-12,
                           .enob = NAN,
                           .loss = NAN,
                           .loss_per_j = NAN,
                           .at_min = 3,
                           .at_max = CHANNELS - 3,
                           .sensitivity = 1.0 / 3};
    layers[2] = (dp_layer){.name = (char *)"MatMul_2",
                           .index = 4,
                           .op = (char *)"MatMul",
                           .weight = (char *)"",
                           .module = (char *)"",
                           .macs = 123.5,
                           .granularity = "tile:4",
                           .channels = 9,
                           .count = 3,
                           .repetitions = by_tile,
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
                           .rounding = {false, 1.02e-12, 1e-12, 0.02},
                           .n_layers = 3,
                           .layers = layers};
    sample.uniform.repetitions = 145;
    sample.clean.top5 = (dp_figure){NAN, NAN, NAN};
    ck_dp_ok(dp_hardware_read(&sample.hardware, "examples/hardware/homodyne.yaml", &err));
}

static void setup(void) {
    scratch_setup();
    make_sample();
}

static char *written(const dp_schedule *schedule, const char *name, size_t *size) {
    ck_dp_ok(dp_schedule_write(schedule, scratch(name), &err));
    return read_whole(scratch(name), size);
}

/* ---- there and back ---- */

static void check_number(double a, double b) {
    ck_assert(a == b || (isnan(a) && isnan(b)));
}

static void check_measure(const dp_measure *a, const dp_measure *b) {
    double left[sizeof *a / sizeof(double)], right[sizeof *a / sizeof(double)];
    memcpy(left, a, sizeof *a);
    memcpy(right, b, sizeof *b);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) check_number(left[i], right[i]);
}

static void check_rounding(const dp_rounding *a, const dp_rounding *b) {
    ck_assert(a->of_loss == b->of_loss);
    check_number(a->value, b->value);
    check_number(a->bound, b->bound);
    check_number(a->gap, b->gap);
}

static void check_layer(const dp_layer *a, const dp_layer *b) {
    ck_assert_str_eq(a->name, b->name);
    ck_assert_int_eq(a->index, b->index);
    ck_assert_str_eq(a->op, b->op);
    ck_assert_str_eq(a->weight, b->weight);
    ck_assert_str_eq(a->module, b->module);
    check_number(a->macs, b->macs);
    ck_assert_str_eq(a->granularity, b->granularity);
    ck_assert_pstr_eq(a->group, b->group);
    ck_assert_int_eq(a->channels, b->channels);
    ck_assert_int_eq(a->count, b->count);
    for (int i = 0; i < a->count; i++) check_number(a->repetitions[i], b->repetitions[i]);
    check_number(a->energy_j, b->energy_j);
    check_number(a->enob, b->enob);
    check_number(a->sensitivity, b->sensitivity);
    check_number(a->loss, b->loss);
    check_number(a->loss_per_j, b->loss_per_j);
    ck_assert(a->fixed == b->fixed && a->at_min == b->at_min && a->at_max == b->at_max);
}

START_TEST(everything_written_is_read_back) {
    dp_schedule back;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    ck_assert_str_eq(back.version, sample.version);
    ck_assert_str_eq(back.search, sample.search);
    ck_assert(back.seed == sample.seed && back.trials == sample.trials);
    ck_assert(back.min_repetitions == 2 && back.max_repetitions == 64);
    ck_assert_str_eq(back.model_file, sample.model_file);
    ck_assert_str_eq(back.model_sha256, sample.model_sha256);
    ck_assert_str_eq(back.data_file, sample.data_file);
    ck_assert_str_eq(back.data_sha256, sample.data_sha256);
    ck_assert(back.learn_count == 500 && back.check_count == 499);
    ck_assert_str_eq(back.check_file, "");
    ck_assert_str_eq(back.check_sha256, "");
    ck_assert_str_eq(back.goal, sample.goal);
    ck_assert_str_eq(back.status, sample.status);
    ck_assert(back.confidence == 0.95 && back.checks == 2 && back.checks_uniform == 1 &&
              back.passes == 31.5 && back.passes_shape == 6);
    check_measure(&back.clean, &sample.clean);
    check_measure(&back.learned, &sample.learned);
    check_measure(&back.uniform, &sample.uniform);
    ck_assert(back.saving.value == 0.83 && back.saving.lower == 0.8 && isnan(back.saving.upper));
    check_rounding(&back.rounding, &sample.rounding);
    ck_assert_str_eq(back.hardware.name, "homodyne");
    ck_assert_str_eq(back.hardware.sha256, sample.hardware.sha256);
    ck_assert_double_eq(dp_hardware_parameter(&back.hardware, "shot", "photons_per_mac"), 1);
    ck_assert_int_eq(back.n_layers, sample.n_layers);
    for (int i = 0; i < back.n_layers; i++) check_layer(&back.layers[i], &sample.layers[i]);
    dp_schedule_clear(&back);
}
END_TEST

static void check_same_bytes_after_reading(void) {
    dp_schedule back;
    size_t first_size, second_size;
    char *first = written(&sample, "first.yaml", &first_size);
    ck_dp_ok(dp_schedule_read(&back, scratch("first.yaml"), &err));
    char *second = written(&back, "second.yaml", &second_size);
    ck_assert_uint_eq(first_size, second_size);
    ck_assert(!memcmp(first, second, first_size));
    dp_schedule_clear(&back);
    free(first);
    free(second);
}

START_TEST(writing_what_was_read_gives_the_same_bytes) {
    check_same_bytes_after_reading();
}
END_TEST

START_TEST(continuous_and_power_of_two_levels_come_back_too) {
    size_t size;
    sample.hardware.levels = DP_LEVELS_CONTINUOUS;
    sample.hardware.repetitions_min = 0.25;
    by_channel[7] = 3.14159265358979;
    check_same_bytes_after_reading();
    char *text = written(&sample, "s.yaml", &size);
    ck_assert_ptr_nonnull(strstr(text, "repetitions: 17.0\n"));
    ck_assert_ptr_nonnull(strstr(text, "repetitions: [1.0, 2.0, 65536.0]\n"));
    ck_assert_ptr_nonnull(strstr(text, "    min: 0.25\n"));
    free(text);
    sample.hardware.levels = DP_LEVELS_POWER_OF_TWO;
    check_same_bytes_after_reading();
}
END_TEST

START_TEST(what_rounding_cost_comes_back_whatever_was_rounded) {
    static const dp_rounding roundings[] = {
        {true, 0.0301, 0.03, 1.0 / 300}, {false, 1e-12, 1e-12, 0}, {false, NAN, NAN, NAN}};
    for (size_t i = 0; i < sizeof roundings / sizeof *roundings; i++) {
        dp_schedule back;
        sample.rounding = roundings[i];
        ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
        ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
        check_rounding(&back.rounding, &roundings[i]);
        dp_schedule_clear(&back);
    }
}
END_TEST

START_TEST(a_schedule_without_layers_comes_back) {
    sample.n_layers = 0;
    check_same_bytes_after_reading();
}
END_TEST

START_TEST(missing_strings_and_odd_names_come_back_as_text) {
    dp_schedule back;
    sample.goal = NULL;
    layers[0].name = (char *)"1.0";
    layers[1].name = (char *)"null # \\ \n: \xe2\x80\xa8";
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    ck_assert_str_eq(back.goal, "");
    ck_assert_str_eq(back.layers[0].name, layers[0].name);
    ck_assert_str_eq(back.layers[1].name, layers[1].name);
    dp_schedule_clear(&back);
}
END_TEST

/* ---- the text ---- */

START_TEST(top_level_keys_come_in_the_documented_order) {
    static const char *const keys[] = {"format:",     "\ntool:", "\nmodel:",  "\ndata:",
                                       "\nhardware:", "\ngoal:", "\nresult:", "\nlayers:"};
    size_t size;
    char *text = written(&sample, "s.yaml", &size), *at = text;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        at = strstr(at, keys[i]);
        ck_assert_msg(at != NULL, "%s is not where it should be", keys[i]);
    }
    ck_assert(!strncmp(text, "format: \"dynaprec-schedule/1\"\n", 30));
    ck_assert_ptr_nonnull(strstr(text, "\n    top5: null\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n    repetitions: 145\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n  saving: {value: 0.83, lower: 0.8, upper: null}\n"));
    ck_assert_ptr_nonnull(strstr(text, "\n  seed: 18446744073709551615\n"));
    free(text);
}
END_TEST

/*
 * What a YAML 1.1 reader makes of a value without quotes (yaml.org/type/float.html, int.html; PyYAML follows them):
 * an integer, a float with '.' whose exponent has a sign, null or a truth value; never a string.
 */
static bool is_yaml_1_1_value(const char *text, size_t length) {
    char copy[64];
    if (length >= sizeof copy) return false;
    memcpy(copy, text, length);
    copy[length] = '\0';
    if (!strcmp(copy, "null") || !strcmp(copy, "true") || !strcmp(copy, "false")) return true;
    const char *at = copy + (*copy == '-');
    size_t whole = strspn(at, "0123456789");
    if (whole == 0 || (whole > 1 && *at == '0')) return false;
    at += whole;
    if (!*at) return true;
    if (*at++ != '.') return false;
    at += strspn(at, "0123456789");
    if (!*at) return true;
    if (*at++ != 'e' || (*at != '-' && *at != '+')) return false;
    size_t digits = strspn(++at, "0123456789");
    return digits >= 2 && at[digits] == '\0';
}

START_TEST(strings_are_quoted_and_numbers_are_numbers_to_yaml_1_1) {
    size_t size, plain = 0;
    char *text = written(&sample, "s.yaml", &size);
    for (const char *at = text; *at;) {
        if (*at == '"') {
            for (at++; *at != '"'; at++) at += *at == '\\';
            at++;
        } else if (strchr(" \n[]{},", *at)) {
            at++;
        } else {
            size_t length = strcspn(at, " \n[]{},");
            bool key = at[length - 1] == ':', dash = length == 1 && *at == '-';
            if (!key && !dash)
                ck_assert_msg(is_yaml_1_1_value(at, length), "'%.*s'", (int)length, at);
            plain += !key && !dash;
            at += length;
        }
    }
    ck_assert_uint_gt(plain, 100);
    free(text);
}
END_TEST

START_TEST(no_line_is_longer_than_100_columns) {
    size_t size;
    char *text = written(&sample, "s.yaml", &size);
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
        ck_assert_uint_le(strlen(line), 100);
    free(text);
}
END_TEST

/* ---- what is refused ---- */

/* What reading this text gives; a schedule that is refused is left empty. */
static dp_status read_text(const char *text, size_t size, dp_error *err) {
    dp_schedule back;
    dp_status status = dp_schedule_read(&back, scratch_write("edited.yaml", text, size), err);
    ck_assert(status == DP_OK || (back.n_layers == 0 && !back.layers && !back.version));
    dp_schedule_clear(&back);
    return status;
}

/* Replace the first `from` after the first `after` and read the result. */
static dp_status read_edited(const char *after, const char *from, const char *to, dp_error *err) {
    size_t size;
    char *text = written(&sample, "s.yaml", &size);
    char *place = strstr(strstr(text, after), from);
    ck_assert_msg(place != NULL, "the sample has no '%s'", from);
    char *edited = malloc(size + strlen(to) + 1);
    size_t head = (size_t)(place - text);
    memcpy(edited, text, head);
    strcpy(edited + head, to);
    strcat(edited, place + strlen(from));
    dp_status status = read_text(edited, strlen(edited), err);
    free(edited);
    free(text);
    return status;
}

static const struct {
    const char *after, *from, *to, *part;
} edits[] = {
    {"", "schedule/1", "schedule/2",
     "edited.yaml:1: format: the format 'dynaprec-schedule/2' is not known; this version reads "
     "'dynaprec-schedule/1'"},
    {"", "format: \"dynaprec-schedule/1\"\n", "", "key 'format' is missing"},
    {"",
     "goal:", "gaol:", "unknown key 'gaol'; allowed: format, tool, model, data, hardware, goal"},
    {"", "  seed: ", "  sead: ",
     "unknown key 'sead' in tool; allowed: version, search, seed, trials, "
     "min_repetitions, max_repetitions"},
    {"", "  trials: 8\n", "", "key 'trials' is missing in tool"},
    {"", "trials: 8", "trials: -8", "tool.trials: '-8' where an integer"},
    {"model:", "sha256: \"01", "sha256: \"0g", "model.sha256: 64 hexadecimal digits"},
    {"data:", "sha256: \"fe", "sha256: \"f", "data.sha256: 64 hexadecimal digits"},
    {"data:", "learn_count: 500", "learn_count: many", "data.learn_count: 'many' where"},
    {"hardware:", "kind: \"shot\"", "kind: \"pink\"", "hardware.noise[0].kind: \"pink\" where"},
    {"hardware:", "photons_per_mac: 1.0", "photons: 1.0",
     "unknown key 'photons' in hardware.noise[0]"},
    {"hardware:", "  name: ", "  nome: ", "unknown key 'nome' in hardware"},
    {"hardware:", "model: \"per-mac\"", "model: \"free\"", "hardware.energy.model: \"free\" where"},
    {"result:", "\"accepted\"", "\"perfect\"",
     "result.status: \"perfect\" where one of accepted, unmet, interrupted, uniform"},
    {"result:", "confidence: 0.95", "confidence: 95",
     "result.confidence: '95' where a number from 0"},
    {"learned:", "value: 0.79", "value: x", "result.learned.top1.value: 'x' where a number"},
    {"learned:", "value: 0.79", "median: 0.79", "unknown key 'median' in result.learned.top1"},
    {"learned:", "    energy_j", "    energy", "unknown key 'energy' in result.learned"},
    {"layers:", "index: 1", "index: 0", "layers[1].index: '0' where an integer from 1"},
    {"layers:", "granularity: \"layer\"", "granularity: \"row\"",
     "layers[0].granularity: 'row' where layer, channel or tile:N"},
    {"layers:", "\"tile:4\"", "\"tile:0\"", "layers[2].granularity: 'tile:0' where"},
    {"layers:", "\"tile:4\"", "\"tile:04\"", "layers[2].granularity: 'tile:04' where"},
    {"layers:", "\"tile:4\"", "\"tile:\"", "layers[2].granularity: 'tile:' where"},
    {"layers:", "\"tile:4\"", "\"tile:3000000000\"",
     "layers[2].granularity: 'tile:3000000000' where"},
    {"layers:", "\"tile:4\"", "\"tile:12345678901234567890\"", "longer than 15 bytes"},
    {"layers:", "\"tile:4\"", "\"tile:3x\"", "layers[2].granularity: 'tile:3x' where"},
    {"layers:", "\"tile:4\"", "\"tile:2\"",
     "layers[2].repetitions: 3 repetitions where granularity 'tile:2' of 9 channels has 5"},
    {"layers:", "channels: 40", "channels: 41",
     "layers[1].repetitions: 40 repetitions where granularity 'channel' of 41 channels has 41"},
    {"layers:", "channels: 16", "channels: 0", "layers[0].channels: '0' where an integer from 1"},
    {"layers:", "repetitions: 17", "repetitions: 0", "layers[0].repetitions: '0' where a number"},
    {"layers:", "repetitions: 17", "repetitions: null", "layers[0].repetitions: nothing where"},
    {"layers:", "repetitions: 17", "repetitions: .inf", "layers[0].repetitions: '.inf' where"},
    {"layers:", "repetitions: 17", "repetitions: [17]", "layers[0].repetitions: a list where"},
    {"layers:", "[1, 2, 65536]", "7", "layers[2].repetitions: a list is expected"},
    {"layers:", "[1, 2, 65536]", "[1, -2, 3]", "layers[2].repetitions[1]: '-2' where"},
    {"layers:", "[1, 2, 65536]", "[1, 2, .nan]", "layers[2].repetitions[2]: '.nan' where"},
    {"layers:", "macs: 442368", "macs: -1", "layers[0].macs: '-1' where"},
    {"layers:", "    enob: 5.25\n", "", "key 'enob' is missing in layers[0]"},
    {"layers:", "at_min: 3", "at_min: 41", "layers[1].at_min: '41' where"},
    {"layers:", "fixed: true", "fixed: 1", "layers[0].fixed"},
    {"rounding:", "of: \"energy_j\"", "of: \"energy\"", "result.rounding.of"},
    {"layers:", "group: \"/layer1/*\"", "group: \"\"", "layers[0].group: the glob of a group"},
    {"layers:", "granularity: \"channel\"\n", "granularity: \"channel\"\n    group: \"g\"\n",
     "layers[1].group: layers of a group have one number; granularity is 'channel'"},
    {"result:", "active_budget: \"latency\"", "active_budget: \"time\"",
     "result.active_budget: \"time\" where one of drop, loss, energy, latency"},
    {"rounding:", "    gap: 0.02\n", "", "key 'gap' is missing in result.rounding"},
    {"rounding:", "gap: 0.02", "gap: -0.02", "result.rounding.gap: '-0.02' where"},
    {"layers:", "    enob: 5.25\n", "    enob: 5.25\n    enob: 5.25\n",
     "key 'enob' stands here again"},
};

START_TEST(what_does_not_agree_is_refused_with_line_and_key) {
    ck_dp_fails(read_edited(edits[_i].after, edits[_i].from, edits[_i].to, &err), DP_EFORMAT,
                edits[_i].part);
}
END_TEST

START_TEST(layers_of_a_group_that_differ_are_refused_by_name) {
    dp_schedule back;
    layers[1] = layers[0];
    layers[1].name = (char *)"Conv_1";
    layers[1].index = 1;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&back, scratch("s.yaml"), &err));
    check_layer(&back.layers[1], &layers[1]);
    dp_schedule_clear(&back);
    double other = whole_layer[0] + 1;
    layers[1].repetitions = &other;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_fails(dp_schedule_read(&back, scratch("s.yaml"), &err), DP_EFORMAT,
                "but layer '/layer1/Conv \"0\"' of the same group '/layer1/*' has");
}
END_TEST

/* Lines that begin with one of these, and a mapping that belongs to them, were not written once. */
static char *without_accounts(const char *text) {
    static const char *const later[] = {
        "active_budget:", "rounding:", "loss:",  "loss_per_j:", "fixed:", "at_min:",
        "at_max:",        "of:",       "value:", "bound:",      "gap:"};
    char *older = malloc(strlen(text) + 1), *end = older;
    for (const char *line = text; *line;) {
        size_t length = strcspn(line, "\n") + 1, indent = strspn(line, " ");
        const char *figure = strstr(line, "{value");
        bool keep = true;
        for (size_t i = 0; i < sizeof later / sizeof *later; i++)
            if (indent <= 4 && !strncmp(line + indent, later[i], strlen(later[i])) &&
                !(figure && figure < line + length))
                keep = false;
        if (keep) end = (char *)memcpy(end, line, length) + length;
        line += length;
    }
    *end = '\0';
    return older;
}

START_TEST(schedules_of_before_are_read_without_what_they_lack) {
    dp_schedule back;
    size_t size;
    char *text = written(&sample, "s.yaml", &size), *older = without_accounts(text);
    const char *path = scratch_write("older.yaml", older, strlen(older));
    ck_dp_ok(dp_schedule_read(&back, path, &err));
    check_rounding(&back.rounding, &(dp_rounding){false, NAN, NAN, NAN});
    ck_assert(back.active == DP_BUDGET_UNKNOWN);
    for (int i = 0; i < back.n_layers; i++) {
        const dp_layer *layer = &back.layers[i];
        check_number(layer->sensitivity, sample.layers[i].sensitivity);
        ck_assert(isnan(layer->loss) && isnan(layer->loss_per_j));
        ck_assert(!layer->fixed && layer->at_min == 0 && layer->at_max == 0);
    }
    dp_schedule_clear(&back);
    free(older);
    free(text);
}
END_TEST

/* The K of every channel, as the list's description in docs/formats.md has it. */
START_TEST(channels_have_the_repetitions_of_their_layer_or_tile) {
    for (int c = 0; c < 16; c++) ck_assert_double_eq(dp_layer_repetitions(&layers[0], c), 17);
    for (int c = 0; c < CHANNELS; c++)
        ck_assert_double_eq(dp_layer_repetitions(&layers[1], c), by_channel[c]);
    for (int c = 0; c < 9; c++)
        ck_assert_double_eq(dp_layer_repetitions(&layers[2], c), by_tile[c / 4]);
}
END_TEST

START_TEST(other_spellings_of_the_same_are_taken) {
    ck_dp_ok(
        read_edited("", "format: \"dynaprec-schedule/1\"", "format: dynaprec-schedule/1", &err));
    ck_dp_ok(
        read_edited("layers:", "[1, 2, 65536]", "\n    - 1e0\n    - 2.0\n    - 3 # three", &err));
}
END_TEST

/* The text up to `cut` ends with the last key of a layer: what is left is a schedule of fewer layers, or of a null. */
static bool ends_with_a_layer(const char *text, size_t cut) {
    static const char last[] = "    sensitivity:";
    while (cut > 0 && strchr(" \n", text[cut - 1])) cut--;
    size_t line = cut;
    while (line > 0 && text[line - 1] != '\n') line--;
    return cut - line >= strlen(last) && !strncmp(text + line, last, strlen(last));
}

START_TEST(no_truncation_does_harm) {
    size_t size;
    char *text = written(&sample, "s.yaml", &size);
    for (size_t cut = 0; cut < size; cut++) {
        dp_status status = read_text(text, cut, NULL);
        ck_assert(status == DP_EFORMAT || (status == DP_OK && ends_with_a_layer(text, cut)));
    }
    free(text);
}
END_TEST

START_TEST(no_flipped_byte_does_harm) {
    static const unsigned char flips[] = {0x01, 0x08, 0x10, 0x20, 0x80, 0xff};
    size_t size;
    char *text = written(&sample, "s.yaml", &size);
    for (size_t i = 0; i < size; i++) {
        char old = text[i];
        text[i] = (char)(old ^ flips[i % sizeof flips]);
        dp_status status = read_text(text, size, NULL);
        ck_assert(status == DP_OK || status == DP_EFORMAT);
        text[i] = old;
    }
    free(text);
}
END_TEST

/* ---- files and memory ---- */

START_TEST(a_place_that_cannot_be_written_is_named_with_the_reason) {
    ck_dp_fails(dp_schedule_write(&sample, scratch("no/s.yaml"), &err), DP_EIO,
                "no/s.yaml: cannot be written: No such file or directory");
    ck_dp_fails(dp_schedule_write(&sample, "/dev/full", &err), DP_EIO, "No space left on device");
    ck_assert_int_eq(scratch_count(), 0);
    dp_schedule back;
    ck_dp_fails(dp_schedule_read(&back, scratch("none.yaml"), &err), DP_EIO,
                "none.yaml: cannot be read: No such file or directory");
}
END_TEST

START_TEST(nothing_and_half_built_schedules_can_be_cleared) {
    dp_schedule half = {.n_layers = 7}; /* the layers could not be had */
    dp_schedule_clear(NULL);
    dp_schedule_clear(&half);
    dp_schedule_clear(&half);
}
END_TEST

static void add_refusal_tests(Suite *suite) {
    TCase *tests = tcase_create("refusals");
    tcase_add_checked_fixture(tests, setup, scratch_teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, layers_of_a_group_that_differ_are_refused_by_name);
    tcase_add_loop_test(tests, what_does_not_agree_is_refused_with_line_and_key, 0,
                        (int)(sizeof edits / sizeof *edits));
    tcase_add_test(tests, other_spellings_of_the_same_are_taken);
    tcase_add_test(tests, no_truncation_does_harm);
    tcase_add_test(tests, no_flipped_byte_does_harm);
    suite_add_tcase(suite, tests);
}

Suite *test_schedule_suite(void) {
    Suite *suite = suite_create("schedule");
    TCase *tests = tcase_create("round trip");
    tcase_add_checked_fixture(tests, setup, scratch_teardown);
    tcase_add_test(tests, everything_written_is_read_back);
    tcase_add_test(tests, writing_what_was_read_gives_the_same_bytes);
    tcase_add_test(tests, continuous_and_power_of_two_levels_come_back_too);
    tcase_add_test(tests, a_schedule_without_layers_comes_back);
    tcase_add_test(tests, what_rounding_cost_comes_back_whatever_was_rounded);
    tcase_add_test(tests, schedules_of_before_are_read_without_what_they_lack);
    tcase_add_test(tests, channels_have_the_repetitions_of_their_layer_or_tile);
    tcase_add_test(tests, missing_strings_and_odd_names_come_back_as_text);
    tcase_add_test(tests, top_level_keys_come_in_the_documented_order);
    tcase_add_test(tests, strings_are_quoted_and_numbers_are_numbers_to_yaml_1_1);
    tcase_add_test(tests, no_line_is_longer_than_100_columns);
    tcase_add_test(tests, a_place_that_cannot_be_written_is_named_with_the_reason);
    tcase_add_test(tests, nothing_and_half_built_schedules_can_be_cleared);
    suite_add_tcase(suite, tests);
    add_refusal_tests(suite);
    return suite;
}
