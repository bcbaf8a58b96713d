/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Hardware files: the presets hold what the paper says, and whatever else a file says is refused by name. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "device/component.h"
#include "device/hardware.h"
#include "scratch.h"
#include "suites.h"

static const char *const presets[] = {"examples/hardware", NULL};

static dp_hardware preset(const char *name) {
    char path[256];
    dp_hardware hardware;
    ck_dp_ok(dp_hardware_find(path, sizeof path, name, presets, &err));
    ck_dp_ok(dp_hardware_read(&hardware, path, &err));
    ck_assert_str_eq(hardware.name, name);
    return hardware;
}

/* ---- presets ---- */

START_TEST(homodyne_is_one_photon_of_1550_nm_a_mac) {
    dp_hardware h = preset("homodyne");
    double photon_j = 6.62607015e-34 * 299792458 / 1550e-9;
    ck_assert_int_eq(h.n_noise, 1);
    ck_assert_double_eq(dp_hardware_parameter(&h, "shot", "photons_per_mac"), 1);
    ck_assert_double_eq_tol(dp_hardware_parameter(&h, "per-mac", "energy_per_mac_j"), photon_j,
                            0.002 * photon_j);
    ck_assert(h.weight_bits == 0 && h.input_bits == 0 && h.output_bits == 0 && h.signed_inputs);
}
END_TEST

START_TEST(thermal_and_weight_run_in_8_bits_at_one_attojoule_a_mac) {
    static const struct {
        const char *name;
        double sigma;
    } table[] = {{"thermal", 0.01}, {"weight", 0.1}};
    for (int i = 0; i < 2; i++) {
        dp_hardware h = preset(table[i].name);
        ck_assert_int_eq(h.n_noise, 1);
        ck_assert_double_eq(dp_hardware_parameter(&h, table[i].name, "sigma"), table[i].sigma);
        ck_assert_double_eq(dp_hardware_parameter(&h, "per-mac", "energy_per_mac_j"), 1e-18);
        ck_assert(h.weight_bits == 8 && h.input_bits == 8 && h.output_bits == 0);
        ck_assert_double_eq(h.percentile, 99.99);
    }
}
END_TEST

START_TEST(presets_repeat_in_whole_numbers_at_every_granularity) {
    static const char *const names[] = {"homodyne", "thermal", "weight"};
    for (int i = 0; i < 3; i++) {
        dp_hardware h = preset(names[i]);
        ck_assert(h.levels == DP_LEVELS_INTEGER && h.average_analog);
        ck_assert(h.operation_s == 0 && h.rows == 0 && h.columns == 0);
        ck_assert(h.repetitions_min == 1 && h.repetitions_max == 65536);
        ck_assert_uint_eq(h.granularities, DP_GRAIN_LAYER | DP_GRAIN_CHANNEL | DP_GRAIN_TILE);
        ck_assert_uint_eq(strlen(h.sha256), 64);
        ck_assert_uint_gt(strlen(h.source), 0);
    }
}
END_TEST

START_TEST(parameters_that_are_not_there_are_nan) {
    dp_hardware h = preset("homodyne");
    ck_assert(isnan(dp_hardware_parameter(&h, "thermal", "sigma")));
    ck_assert(isnan(dp_hardware_parameter(&h, "shot", "sigma")));
    ck_assert(isnan(dp_hardware_parameter(&h, "per-mac", "photons_per_mac")));
}
END_TEST

/* ---- reading ---- */

static dp_status read_text(dp_hardware *out, const char *text, size_t size, dp_error *err) {
    return dp_hardware_read(out, scratch_write("hw.yaml", text, size), err);
}

#define HEAD "name: x\n"
#define BODY "noise: [{kind: shot}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: per-mac}\n"

START_TEST(what_is_left_out_has_the_documented_default) {
    dp_hardware h;
    ck_dp_ok(read_text(&h, HEAD BODY, strlen(HEAD BODY), &err));
    ck_assert_str_eq(h.source, "");
    ck_assert_double_eq(dp_hardware_parameter(&h, "shot", "photons_per_mac"), 1);
    ck_assert_double_eq(dp_hardware_parameter(&h, "per-mac", "energy_per_mac_j"), 1e-18);
    ck_assert(h.output_bits == 0 && h.percentile == 99.99 && !h.signed_inputs);
    ck_assert(h.repetitions_min == 1 && h.repetitions_max == 65536);
    ck_assert(h.levels == DP_LEVELS_INTEGER && h.granularities == 7 && h.average_analog);
}
END_TEST

START_TEST(everything_can_be_said) {
    static const char text[] =
        "name: \"all of it\"\nsource: here\n"
        "noise:\n  - {kind: thermal, sigma: 0.02}\n  - kind: shot\n    photons_per_mac: 2.5e1\n"
        "  - {sigma: 3e-1, kind: weight}\n"
        "bits: {weights: 4, inputs: 6, outputs: 10, percentile: 100, signed_inputs: true}\n"
        "energy: {model: per-mac, energy_per_mac_j: 3e-15}\n"
        "latency: {operation_s: 2.5e-10, rows: 64, columns: 128}\n"
        "precision: {knob: repetitions, min: 0.25, max: 64, levels: power-of-two,\n"
        "  granularity: [tile, layer], average: digital}\n";
    dp_hardware h;
    ck_dp_ok(read_text(&h, text, strlen(text), &err));
    ck_assert_str_eq(h.name, "all of it");
    ck_assert_str_eq(h.source, "here");
    ck_assert_int_eq(h.n_noise, 3);
    ck_assert_str_eq(h.noise[0].model, "thermal");
    ck_assert_double_eq(dp_hardware_parameter(&h, "thermal", "sigma"), 0.02);
    ck_assert_double_eq(dp_hardware_parameter(&h, "shot", "photons_per_mac"), 25);
    ck_assert_double_eq(dp_hardware_parameter(&h, "weight", "sigma"), 0.3);
    ck_assert_double_eq(dp_hardware_parameter(&h, "per-mac", "energy_per_mac_j"), 3e-15);
    ck_assert(h.weight_bits == 4 && h.input_bits == 6 && h.output_bits == 10);
    ck_assert(h.percentile == 100 && h.signed_inputs && !h.average_analog);
    ck_assert(h.operation_s == 2.5e-10 && h.rows == 64 && h.columns == 128);
    ck_assert(h.repetitions_min == 0.25 && h.repetitions_max == 64);
    ck_assert_int_eq(h.levels, DP_LEVELS_POWER_OF_TWO);
    ck_assert_uint_eq(h.granularities, DP_GRAIN_TILE | DP_GRAIN_LAYER);
}
END_TEST

static const struct {
    const char *text, *part;
} refused[] = {
    {"", "hw.yaml: the file is empty"},
    {"name: x\n  y: 1\n", "hw.yaml:2: "},
    {BODY, "hw.yaml:1: key 'name' is missing"},
    {"name: \"\"\n" BODY, "hw.yaml:1: name: a name is expected"},
    {"name: 12\n" BODY, "hw.yaml:1: name: '12' where text"},
    {HEAD "name: y\n" BODY, "hw.yaml:2: key 'name' stands here again"},
    {HEAD BODY "format: 1\n", "hw.yaml:5: unknown key 'format'; allowed: name, source, noise, "
                              "bits, energy, latency, precision"},
    {HEAD BODY "latency: {rows: -1}\n", "hw.yaml:5: latency.rows: "},
    {HEAD BODY "latency: {columns: 1.5}\n", "hw.yaml:5: latency.columns: "},
    {HEAD BODY "latency: {operation_s: 2}\n", "hw.yaml:5: latency.operation_s: "},
    {HEAD BODY "latency: {parallel: none}\n",
     "hw.yaml:5: unknown key 'parallel' in latency; allowed: operation_s, rows, columns"},
    {HEAD BODY "sha256: x\n", "hw.yaml:5: unknown key 'sha256'"},
    {HEAD "bits: {weights: 0, inputs: 0}\nenergy: {model: per-mac}\n",
     "hw.yaml:1: key 'noise' is missing"},
    {HEAD "noise: []\n", "hw.yaml:2: noise: one noise source at least"},
    {HEAD "noise: shot\n", "hw.yaml:2: noise: a list is expected"},
    {HEAD "noise: {kind: shot}\n", "hw.yaml:2: noise: a list is expected"},
    {HEAD "noise: [shot]\n", "hw.yaml:2: noise[0]: keys and values"},
    {HEAD "noise: [{kind: pink}]\n", "noise[0].kind: 'pink' where one of shot, thermal, weight"},
    {HEAD "noise:\n  - kind: shot\n  - kind: shot\n",
     "hw.yaml:4: noise[1]: 'shot' is listed twice"},
    {HEAD "noise: [{photons_per_mac: 1}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: "
          "per-mac}\n",
     "hw.yaml:2: unknown key 'photons_per_mac' in noise[0]; allowed: kind"},
    {HEAD "noise: [{}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: per-mac}\n",
     "hw.yaml:2: key 'kind' is missing in noise[0]"},
    {HEAD "noise: [{kind: shot, sigma: 1}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: "
          "per-mac}\n",
     "hw.yaml:2: unknown key 'sigma' in noise[0]; allowed: kind, photons_per_mac"},
    {HEAD "noise: [{kind: shot, photons_per_mac: 0}]\n",
     "noise[0].photons_per_mac: '0' where a number from 1e-06"},
    {HEAD "noise: [{kind: thermal, sigma: -0.1}]\n", "noise[0].sigma: '-0.1' where a number"},
    {HEAD "noise: [{kind: weight, sigma: 11}]\n", "noise[0].sigma: '11' where a number"},
    {HEAD "noise: [{kind: weight, sigma: many}]\n", "noise[0].sigma: 'many' where a number"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 8}\nenergy: {model: per-mac}\n",
     "hw.yaml:3: key 'inputs' is missing in bits"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 17, inputs: 8}\n",
     "hw.yaml:3: bits.weights: '17' where an integer from 0 to 16"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 8, inputs: -1}\n", "bits.inputs: '-1' where"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 8, inputs: 7.5}\n", "bits.inputs: '7.5' where"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 8, inputs: 8, percentile: 49}\n",
     "bits.percentile: '49' where a number from 50 to 100"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 8, inputs: 8, signed_inputs: 1}\n",
     "bits.signed_inputs: '1' where true or false"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: free}\n",
     "hw.yaml:4: energy.model: 'free' where one of per-mac is expected"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: per-mac, "
          "energy_per_mac_j: 2}\n",
     "energy.energy_per_mac_j: '2' where a number from 1e-24 to 1"},
    {HEAD "noise: [{kind: shot}]\nbits: {weights: 0, inputs: 0}\nenergy: {model: per-mac, "
          "energy_per_mac_j: 128zJ}\n",
     "energy.energy_per_mac_j: '128zJ' where a number"},
    {HEAD BODY "precision: {knob: power}\n", "knob: 'power' where one of repetitions"},
    {HEAD BODY "precision: {min: 0}\n", "precision.min: '0' where a number"},
    {HEAD BODY "precision: {min: 0.5}\n",
     "precision.min: 0.5 is not a level: levels are 'integer'"},
    {HEAD BODY "precision: {max: 3, levels: power-of-two}\n",
     "precision.max: 3 is not a level: levels are 'power-of-two'"},
    {HEAD BODY "precision: {min: 9, max: 8}\n", "hw.yaml:5: precision: min (9) is above max (8)"},
    {HEAD BODY "precision: {max: .inf}\n", "precision.max: '.inf' where a number"},
    {HEAD BODY "precision: {levels: odd}\n",
     "levels: 'odd' where one of integer, power-of-two, continuous"},
    {HEAD BODY "precision: {granularity: []}\n", "one of layer, channel, tile at least"},
    {HEAD BODY "precision: {granularity: layer}\n", "precision.granularity: a list is expected"},
    {HEAD BODY "precision: {granularity: [layer, row]}\n",
     "precision.granularity[1]: 'row' where one of layer, channel, tile"},
    {HEAD BODY "precision: {average: never}\n", "average: 'never' where one of digital, analog"},
};

START_TEST(files_that_are_wrong_are_refused_with_line_key_and_what_is_allowed) {
    dp_hardware h;
    const char *text = refused[_i].text;
    ck_dp_fails(read_text(&h, text, strlen(text), &err), DP_EFORMAT, refused[_i].part);
    ck_assert(!*h.name && h.n_noise == 0 && h.repetitions_max == 0);
}
END_TEST

START_TEST(names_that_are_too_long_are_refused) {
    char text[256];
    int used = snprintf(text, sizeof text, "name: x%063d\n%s", 0, BODY);
    dp_hardware h;
    ck_dp_fails(read_text(&h, text, (size_t)used, &err), DP_EFORMAT,
                "hw.yaml:1: name: the text is longer than 63 bytes");
}
END_TEST

START_TEST(a_file_that_is_not_there_is_named) {
    dp_hardware h;
    ck_dp_fails(dp_hardware_read(&h, scratch("none.yaml"), &err), DP_EIO,
                "none.yaml: cannot be read: No such file or directory");
}
END_TEST

/* Read from a block of exactly that size, so that the sanitiser sees every overrun. */
static dp_status read_block(const char *text, size_t size) {
    char *copy = malloc(size + !size);
    dp_yaml *yaml;
    dp_hardware h;
    memcpy(copy, text, size);
    dp_status status = dp_yaml_parse(&yaml, "block.yaml", copy, size, NULL);
    if (status == DP_OK) {
        dp_hardware_from_yaml(dp_yaml_root(yaml), &h);
        status = dp_yaml_finish(yaml, NULL);
    }
    dp_yaml_free(yaml);
    free(copy);
    ck_assert(status == DP_OK || status == DP_EFORMAT);
    return status;
}

START_TEST(no_truncation_of_a_preset_does_harm) {
    size_t size, accepted = 0;
    char *text = read_whole("examples/hardware/thermal.yaml", &size);
    for (size_t cut = 0; cut < size; cut++) accepted += read_block(text, cut) == DP_OK;
    ck_assert_uint_gt(accepted, 0); /* what only lacks optional keys at the end */
    ck_assert_uint_lt(accepted, size / 2);
    free(text);
}
END_TEST

START_TEST(no_flipped_byte_of_a_preset_does_harm) {
    static const unsigned char flips[] = {0x01, 0x10, 0x20, 0x80, 0xff};
    size_t size;
    char *text = read_whole("examples/hardware/thermal.yaml", &size);
    for (size_t i = 0; i < size; i++) {
        char old = text[i];
        text[i] = (char)(old ^ flips[i % sizeof flips]);
        read_block(text, size);
        text[i] = old;
    }
    free(text);
}
END_TEST

/* ---- the tables ---- */

START_TEST(every_parameter_of_every_table_has_a_name_of_its_own_and_a_default_in_range) {
    for (int t = 0; t < 2; t++)
        for (int row = 0;; row++) {
            const dp_component_type *type = t ? dp_energy_type(row) : dp_noise_type(row);
            if (!type) break;
            ck_assert_uint_lt(strlen(type->name), sizeof((dp_component *)0)->model);
            for (const dp_parameter *p = type->parameters; p->name; p++) {
                ck_assert(p->value >= p->least && p->value <= p->largest && isfinite(p->largest));
                for (const dp_parameter *other = type->parameters; other < p; other++)
                    ck_assert_str_ne(p->name, other->name);
            }
        }
}
END_TEST

/* ---- finding ---- */

START_TEST(names_are_looked_up_in_the_folders_in_order) {
    char path[512];
    scratch_write("mine.yaml", HEAD BODY, strlen(HEAD BODY));
    scratch_write("homodyne.yaml", HEAD BODY, strlen(HEAD BODY));
    const char *const both[] = {"no/such/folder", "examples/hardware", scratch("."), NULL};
    ck_dp_ok(dp_hardware_find(path, sizeof path, "homodyne", both, &err));
    ck_assert_str_eq(path, "examples/hardware/homodyne.yaml");
    ck_dp_ok(dp_hardware_find(path, sizeof path, "mine", both, &err));
    ck_assert_str_eq(path, scratch("./mine.yaml"));
}
END_TEST

START_TEST(paths_are_taken_as_they_are) {
    char path[512];
    ck_dp_ok(dp_hardware_find(path, sizeof path, "./not/there.yaml", presets, &err));
    ck_assert_str_eq(path, "./not/there.yaml");
    char before[512];
    ck_assert_ptr_nonnull(getcwd(before, sizeof before));
    scratch_write("local.yaml", "", 0);
    ck_assert_int_eq(chdir(scratch(".")), 0);
    dp_status status = dp_hardware_find(path, sizeof path, "local.yaml", presets, NULL);
    ck_assert_int_eq(chdir(before), 0);
    ck_assert_int_eq(status, DP_OK);
    ck_assert_str_eq(path, "local.yaml");
}
END_TEST

START_TEST(an_unknown_name_lists_the_presets_that_exist) {
    char path[512];
    scratch_write("mine.yaml", "", 0);
    scratch_write("thermal.yaml", "", 0);
    scratch_write(".hidden.yaml", "", 0);
    scratch_write("notes.txt", "", 0);
    const char *const both[] = {"examples/hardware", "no/such/folder", scratch("."), NULL};
    const char *const none[] = {NULL};
    ck_dp_fails(dp_hardware_find(path, sizeof path, "homodine", presets, &err), DP_EIO,
                "hardware 'homodine': no such file or preset; presets: homodyne, thermal, weight");
    ck_dp_fails(dp_hardware_find(path, sizeof path, "gone.yaml", presets, &err), DP_EIO,
                "hardware 'gone.yaml': no such file or preset");
    ck_dp_fails(dp_hardware_find(path, sizeof path, "README.md", presets, &err), DP_EIO,
                "named with a '/', as ./README.md; presets: homodyne");
    dp_error found;
    dp_hardware_find(path, sizeof path, "x", both, &found);
    const char *list = strstr(found.text, "presets: ");
    ck_assert_str_eq(list, "presets: homodyne, thermal, weight, mine");
    ck_dp_fails(dp_hardware_find(path, sizeof path, "x", none, &err), DP_EIO,
                "presets: none are installed");
    ck_dp_fails(dp_hardware_find(path, 8, "homodyne", presets, &err), DP_ERANGE, "too long");
}
END_TEST

static void add_reading_tests(Suite *suite) {
    TCase *tests = tcase_create("reading");
    tcase_add_checked_fixture(tests, scratch_setup, scratch_teardown);
    tcase_add_test(tests, what_is_left_out_has_the_documented_default);
    tcase_add_test(tests, everything_can_be_said);
    tcase_add_loop_test(tests, files_that_are_wrong_are_refused_with_line_key_and_what_is_allowed,
                        0, (int)(sizeof refused / sizeof *refused));
    tcase_add_test(tests, names_that_are_too_long_are_refused);
    tcase_add_test(tests, a_file_that_is_not_there_is_named);
    tcase_add_test(tests, no_truncation_of_a_preset_does_harm);
    tcase_add_test(tests, no_flipped_byte_of_a_preset_does_harm);
    suite_add_tcase(suite, tests);
}

Suite *test_hardware_suite(void) {
    Suite *suite = suite_create("hardware");
    TCase *tests = tcase_create("presets");
    tcase_add_test(tests, homodyne_is_one_photon_of_1550_nm_a_mac);
    tcase_add_test(tests, thermal_and_weight_run_in_8_bits_at_one_attojoule_a_mac);
    tcase_add_test(tests, presets_repeat_in_whole_numbers_at_every_granularity);
    tcase_add_test(tests, parameters_that_are_not_there_are_nan);
    tcase_add_test(tests,
                   every_parameter_of_every_table_has_a_name_of_its_own_and_a_default_in_range);
    suite_add_tcase(suite, tests);
    add_reading_tests(suite);
    TCase *finding = tcase_create("finding");
    tcase_add_checked_fixture(finding, scratch_setup, scratch_teardown);
    tcase_add_test(finding, names_are_looked_up_in_the_folders_in_order);
    tcase_add_test(finding, paths_are_taken_as_they_are);
    tcase_add_test(finding, an_unknown_name_lists_the_presets_that_exist);
    suite_add_tcase(suite, finding);
    return suite;
}
