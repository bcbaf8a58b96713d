/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Schedules that contradict themselves, or are cut or damaged, are refused: by line and key where that can be told. */
#include <stdlib.h>
#include <string.h>

#include "schedule_sample.h"
#include "scratch.h"
#include "suites.h"

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
    char *text = sample_written(&sample, "s.yaml", &size);
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
     "layers[1].repetitions: 40 repetitions where granularity 'channel' of 41 channels has "
     "41"},
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
    {"alternative:", "operands: \"conditioned\"", "operands: \"both\"",
     "result.alternative.operands"},
    {"alternative:", "status: \"dearer\"", "status: \"cheaper\"", "result.alternative.status"},
    {"alternative:", "    clean_top1", "    top1", "unknown key 'top1' in result.alternative"},
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
    sample_layers[1] = sample_layers[0];
    sample_layers[1].name = (char *)"Conv_1";
    sample_layers[1].index = 1;
    double other = sample_whole[0] + 1;
    sample_layers[1].repetitions = &other;
    ck_dp_ok(dp_schedule_write(&sample, scratch("s.yaml"), &err));
    ck_dp_fails(dp_schedule_read(&back, scratch("s.yaml"), &err), DP_EFORMAT,
                "but layer '/layer1/Conv \"0\"' of the same group '/layer1/*' has");
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
    char *text = sample_written(&sample, "s.yaml", &size);
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
    char *text = sample_written(&sample, "s.yaml", &size);
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

Suite *test_schedule_refusals_suite(void) {
    Suite *suite = suite_create("schedule refusals");
    TCase *tests = tcase_create("refusals");
    tcase_add_checked_fixture(tests, sample_setup, scratch_teardown);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, layers_of_a_group_that_differ_are_refused_by_name);
    tcase_add_loop_test(tests, what_does_not_agree_is_refused_with_line_and_key, 0,
                        (int)(sizeof edits / sizeof *edits));
    tcase_add_test(tests, other_spellings_of_the_same_are_taken);
    tcase_add_test(tests, no_truncation_does_harm);
    tcase_add_test(tests, no_flipped_byte_does_harm);
    suite_add_tcase(suite, tests);
    return suite;
}
