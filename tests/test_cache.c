/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Finished passes on disk: found by all that they were computed from and by nothing else, never believed when damaged, never
 * missed when they cannot be written, and bounded.
 */
#include "engine/cache.h"

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "dynaprec/conditioning.h"
#include "dynaprec/learn.h"
#include "scratch.h"
#include "suites.h"

#define MODEL "tests/data/memory/tiny.onnx"
#define DATA  "tests/data/memory/tiny.npz"

/* ---- what a pass is computed from ---- */

typedef struct origin {
    dp_graph *graph;
    dp_dataset *data;
    dp_hardware hardware;
    dp_engine_options options;
} origin;

static void open_origin(origin *o, const dp_dataset_options *scale) {
    dp_input_spec spec;
    *o = (origin){.options = {.seed = 1, .cache = "nowhere"}};
    ck_dp_ok(dp_graph_load(&o->graph, MODEL, &err));
    dp_engine_inputs(o->graph, &spec);
    ck_dp_ok(dp_dataset_open(&o->data, DATA, &spec, 1, scale, &err));
    ck_dp_ok(dp_hardware_read(&o->hardware, "examples/hardware/homodyne.yaml", &err));
}

static void close_origin(origin *o) {
    dp_dataset_free(o->data);
    dp_graph_free(o->graph);
}

enum { KEY = DP_SHA256_HEX, PASSES = 7 };

/* The keys of some passes of an engine. */
static void find_keys(const origin *o, const dp_graph *graph, char keys[PASSES][KEY]) {
    dp_engine *e;
    dp_dataset *half[2];
    ck_dp_ok(dp_engine_create(&e, graph, &o->hardware, &o->options, &err));
    ck_dp_ok(dp_dataset_split(o->data, 0.5, 1, &half[0], &half[1], &err));
    double k[64];
    int64_t channels = dp_engine_channels(e);
    ck_assert_int_lt(channels, 64);
    for (int64_t c = 0; c < channels; c++) k[c] = 4;
    dp_cache_pass scores = {
        .stage = "scores", .data = o->data, .repetitions = k, .first_trial = 1, .trials = 2};
    dp_cache_pass passes[PASSES] = {scores, scores, scores, scores, scores, scores, scores};
    passes[1].stage = "sensitivity";
    passes[2].data = half[0];
    passes[3].data = half[1];
    passes[4].repetitions = NULL;
    passes[5].first_trial = 2;
    passes[6].trials = 1;
    for (int p = 0; p < PASSES; p++) memcpy(keys[p], dp_cache_find(e, &passes[p]).key, KEY);
    k[channels - 1] = 4.0000001;
    ck_assert_str_ne(dp_cache_find(e, &scores).key, keys[0]);
    dp_dataset_free(half[0]);
    dp_dataset_free(half[1]);
    dp_engine_free(e);
}

static void ck_all_differ(char (*keys)[KEY], int count) {
    for (int i = 0; i < count; i++) {
        ck_assert_int_eq((int)strlen(keys[i]), KEY - 1);
        for (int k = 0; k < i; k++)
            ck_assert_msg(strcmp(keys[i], keys[k]) != 0, "keys %d and %d are the same", i, k);
    }
}

START_TEST(passes_of_one_engine_have_names_of_their_own) {
    origin o;
    char keys[PASSES][KEY], again[PASSES][KEY];
    open_origin(&o, NULL);
    find_keys(&o, o.graph, keys);
    o.options.threads = 3; /* does not matter */
    find_keys(&o, o.graph, again);
    ck_all_differ(keys, PASSES);
    ck_assert(memcmp(keys, again, sizeof keys) == 0);
    close_origin(&o);
}
END_TEST

START_TEST(whatever_decides_a_pass_decides_its_name) {
    static const char *const exclude[] = {"stem"};
    origin o;
    char all[8][PASSES][KEY], keys[8 * PASSES][KEY];
    open_origin(&o, NULL);
    find_keys(&o, o.graph, all[0]);
    origin other = o;
    other.options.seed = 2;
    find_keys(&other, o.graph, all[1]);
    other = o;
    other.options.batch = 3;
    find_keys(&other, o.graph, all[2]);
    other = o;
    other.options.exclude = exclude;
    other.options.n_exclude = 1;
    find_keys(&other, o.graph, all[3]);
    other = o;
    other.hardware.noise[0].parameters[0] *= 2;
    find_keys(&other, o.graph, all[4]);
    other = o;
    other.hardware.input_bits = 8;
    find_keys(&other, o.graph, all[5]);
    other = o;
    other.options.output = "logits"; /* the only one: the same */
    find_keys(&other, o.graph, all[6]);
    ck_assert(memcmp(all[0], all[6], sizeof all[0]) == 0);
    ck_dp_ok(dp_hardware_read(&other.hardware, "examples/hardware/thermal.yaml", &err));
    find_keys(&other, o.graph, all[6]);
    other = o;
    strcpy(other.hardware.sha256, "of another file"); /* that says the same of noise */
    find_keys(&other, o.graph, all[7]);
    memcpy(keys, all, sizeof keys);
    ck_all_differ(keys, 8 * PASSES);
    close_origin(&o);
}
END_TEST

START_TEST(the_scale_of_images_is_part_of_the_data) {
    static const double mean[] = {0, 0.25}, std[] = {1, 0.5};
    char keys[4][PASSES][KEY];
    for (int i = 0; i < 4; i++) {
        origin o;
        dp_dataset_options scale = {
            .mean = &mean[i & 1], .std = &std[i / 2], .mean_count = 1, .std_count = 1};
        open_origin(&o, &scale);
        find_keys(&o, o.graph, keys[i]);
        close_origin(&o);
    }
    char flat[4 * PASSES][KEY];
    memcpy(flat, keys, sizeof flat);
    ck_all_differ(flat, 4 * PASSES);
}
END_TEST

/* It keeps the digest of the file that it came from, and its sites' names. */
START_TEST(a_rewritten_graph_is_another_one) {
    origin o;
    char keys[4][PASSES][KEY], flat[4 * PASSES][KEY];
    open_origin(&o, NULL);
    find_keys(&o, o.graph, keys[0]);
    float mu[1] = {0.5F}, alpha[1] = {2};
    dp_conditioned_site site = {.site = "stem", .inputs = 1, .mu = mu};
    for (int i = 1; i < 4; i++) {
        dp_graph *graph;
        if (i == 2) mu[0] = 0.75F;
        if (i == 3) site.alpha = alpha;
        ck_dp_ok(dp_graph_condition(&graph, o.graph, &(dp_conditioning){1, &site}, &err));
        ck_assert_str_eq(dp_graph_sha256(graph), dp_graph_sha256(o.graph));
        find_keys(&o, graph, keys[i]);
        dp_graph_free(graph);
    }
    memcpy(flat, keys, sizeof flat);
    ck_all_differ(flat, 4 * PASSES);
    close_origin(&o);
}
END_TEST

/* ---- files ---- */

/* An engine, one pass of it, and what that gave. */
typedef struct kept {
    origin o;
    dp_engine *e;
    dp_cache_entry entry;
    double numbers[5];
    char folder[512], path[600];
} kept;

static void open_kept(kept *k) {
    open_origin(&k->o, NULL);
    snprintf(k->folder, sizeof k->folder, "%s", scratch("."));
    k->o.options.cache = k->folder;
    ck_dp_ok(dp_engine_create(&k->e, k->o.graph, &k->o.hardware, &k->o.options, &err));
    k->entry = dp_cache_find(k->e, &(dp_cache_pass){.stage = "test", .data = k->o.data});
    snprintf(k->path, sizeof k->path, "%s/%s.pass", k->folder, k->entry.key);
    for (int i = 0; i < 5; i++) k->numbers[i] = 1.5 * i;
    dp_cache_part parts[3] = {{k->numbers, 24}, {k->numbers + 3, 16}};
    dp_cache_store(k->e, &k->entry, parts);
}

static void close_kept(kept *k) {
    dp_engine_free(k->e);
    close_origin(&k->o);
}

static bool is_found(const kept *k) {
    double first[3] = {0}, rest[2] = {0};
    dp_cache_part parts[3] = {{first, sizeof first}, {rest, sizeof rest}};
    bool hit;
    ck_dp_ok(dp_cache_load(k->e, &k->entry, parts, &hit, &err));
    if (hit) {
        ck_assert(memcmp(first, k->numbers, 24) == 0);
        ck_assert(memcmp(rest, k->numbers + 3, 16) == 0);
    }
    return hit;
}

START_TEST(what_is_kept_is_found_whole) {
    kept k;
    open_kept(&k);
    ck_assert_int_eq(scratch_count(), 1);
    ck_assert(is_found(&k));
    double less[4];
    bool hit;
    dp_cache_part other[3] = {{less, sizeof less}};
    ck_dp_ok(dp_cache_load(k.e, &k.entry, other, &hit, &err));
    ck_assert(!hit); /* a pass of another size */
    unlink(k.path);
    ck_assert(!is_found(&k));
    close_kept(&k);
}
END_TEST

/* Neither found, though it is there, nor kept; afterwards as before. */
START_TEST(a_paused_cache_is_left_alone) {
    kept k;
    open_kept(&k);
    dp_cache_pass pass = {.stage = "scores", .data = k.o.data, .trials = 1};
    dp_cache_pause(k.e, true);
    dp_cache_entry entry = dp_cache_find(k.e, &pass);
    ck_assert(!entry.usable);
    dp_cache_part parts[3] = {{k.numbers, 24}};
    dp_cache_store(k.e, &entry, parts);
    ck_assert_int_eq(scratch_count(), 1);
    dp_cache_pause(k.e, false);
    ck_assert(dp_cache_find(k.e, &pass).usable);
    ck_assert_str_eq(dp_cache_find(k.e, &pass).key, entry.key);
    ck_assert(is_found(&k));
    close_kept(&k);
}
END_TEST

START_TEST(a_file_that_is_cut_or_changed_is_not_believed) {
    kept k;
    size_t size;
    open_kept(&k);
    char *whole = read_whole(k.path, &size), name[KEY + 8];
    snprintf(name, sizeof name, "%s.pass", k.entry.key);
    for (size_t cut = 0; cut < size; cut++) {
        scratch_write(name, whole, cut);
        ck_assert_msg(!is_found(&k), "the first %zu of %zu bytes", cut, size);
    }
    for (size_t at = 0; at < size; at++) {
        whole[at] ^= 1;
        scratch_write(name, whole, size);
        ck_assert_msg(!is_found(&k), "byte %zu of %zu is another", at, size);
        whole[at] ^= 1;
    }
    char *longer = calloc(size + 1, 1);
    memcpy(longer, whole, size);
    scratch_write(name, longer, size + 1);
    ck_assert(!is_found(&k));
    scratch_write(name, whole, size);
    ck_assert(is_found(&k));
    free(longer);
    free(whole);
    close_kept(&k);
}
END_TEST

START_TEST(places_that_cannot_be_read_or_written_are_misses) {
    kept k;
    open_kept(&k);
    unlink(k.path);
    ck_assert_int_eq(mkdir(k.path, 0700), 0); /* a folder of that name */
    dp_cache_part parts[3] = {{k.numbers, 24}, {k.numbers + 3, 16}};
    dp_cache_store(k.e, &k.entry, parts);
    ck_assert(!is_found(&k));
    rmdir(k.path);
    ck_assert_int_eq(symlink("nothing", k.path), 0);
    ck_assert(!is_found(&k));
    unlink(k.path);
    k.e->options.cache = "/proc/no such folder";
    dp_cache_store(k.e, &k.entry, parts);
    ck_assert(!is_found(&k));
    ck_assert_int_eq(scratch_count(), 0);
    close_kept(&k);
}
END_TEST

/* ---- bounds ---- */

/* An entry of this many bytes that was last used so many seconds ago. */
static const char *make_entry(char digit, const char *behind, int bytes, int age) {
    char name[KEY + 24], content[1000] = "";
    memset(name, digit, KEY - 1);
    snprintf(name + KEY - 1, sizeof name - KEY + 1, "%s", behind);
    const char *path = scratch_write(name, content, (size_t)bytes);
    struct timespec then = {.tv_sec = time(NULL) - age};
    ck_assert_int_eq(utimensat(AT_FDCWD, path, (struct timespec[]){then, then}, 0), 0);
    return path;
}

static bool is_there(char digit, const char *behind) {
    char name[KEY + 24];
    memset(name, digit, KEY - 1);
    snprintf(name + KEY - 1, sizeof name - KEY + 1, "%s", behind);
    return access(scratch(name), F_OK) == 0;
}

START_TEST(what_was_used_longest_ago_goes_first) {
    for (int i = 0; i < 6; i++) make_entry((char)('a' + i), ".pass", 100, 10 + (i * 5) % 6 * 10);
    dp_cache_prune(scratch("."), 600);
    ck_assert_int_eq(scratch_count(), 6);
    dp_cache_prune(scratch("."), 399); /* ages 10, 60, 50, 40, 30, 20: three go */
    ck_assert_int_eq(scratch_count(), 3);
    ck_assert(is_there('a', ".pass") && is_there('e', ".pass") && is_there('f', ".pass"));
    dp_cache_prune(scratch("."), 0);
    ck_assert_int_eq(scratch_count(), 0);
    dp_cache_prune(scratch("no such folder"), 0);
}
END_TEST

START_TEST(finding_an_entry_is_using_it) {
    kept k;
    struct stat before, after;
    open_kept(&k);
    struct timespec then = {.tv_sec = time(NULL) - 1000};
    ck_assert_int_eq(utimensat(AT_FDCWD, k.path, (struct timespec[]){then, then}, 0), 0);
    ck_assert_int_eq(stat(k.path, &before), 0);
    ck_assert(is_found(&k));
    ck_assert_int_eq(stat(k.path, &after), 0);
    ck_assert_int_gt(after.st_mtime, before.st_mtime + 900);
    close_kept(&k);
}
END_TEST

START_TEST(half_written_files_of_crashes_go_and_those_of_others_stay) {
    make_entry('a', ".pass.77-0.tmp", 100, 7200);
    make_entry('b', ".pass.78-0.tmp", 100, 60); /* somebody may be writing it */
    make_entry('c', ".pass", 100, 7200);
    make_entry('d', ".passage", 100, 7200);
    make_entry('g', ".pass", 100, 7200); /* not a digit */
    scratch_write("schedule.yaml", "x", 1);
    dp_cache_prune(scratch("."), 0);
    ck_assert(!is_there('a', ".pass.77-0.tmp") && !is_there('c', ".pass"));
    ck_assert(is_there('b', ".pass.78-0.tmp") && is_there('d', ".passage"));
    ck_assert(is_there('g', ".pass"));
    ck_assert_int_eq(scratch_count(), 4);
}
END_TEST

/* ---- learning ---- */

/* The stages that were computed, one letter each as they begin: s(urvey, before and after conditioning), c(lean outputs), (r)everse, n(oisy passes). */
typedef struct record {
    char stages[400];
    size_t count;
} record;

static void note_stage(void *self, const dp_progress_state *state) {
    record *r = self;
    if (state->done > 0 || r->count + 1 >= sizeof r->stages) return;
    bool reverse = strcmp(state->stage, "sensitivities") == 0;
    r->stages[r->count++] = reverse ? 'r' : state->stage[0];
    r->stages[r->count] = '\0';
}

static int stages_of(const record *r, char which) {
    int count = 0;
    for (size_t i = 0; i < r->count; i++) count += r->stages[i] == which;
    return count;
}

static void learn(const char *folder, double loss, record *r) {
    origin o;
    dp_dataset *half[2];
    dp_learn_options options;
    dp_schedule schedule;
    dp_progress progress = {.report = note_stage, .self = r};
    *r = (record){.count = 0};
    open_origin(&o, NULL);
    ck_dp_ok(dp_dataset_split(o.data, 0.5, 1, &half[0], &half[1], &err));
    dp_learn_defaults(&options);
    options.max_loss = loss;
    options.granularity = DP_GRAIN_CHANNEL;
    options.cache = folder;
    options.progress = &progress;
    ck_dp_ok(
        dp_learn(&schedule, o.graph, &o.hardware, (const dp_dataset *const *)half, &options, &err));
    dp_schedule_clear(&schedule);
    dp_dataset_free(half[0]);
    dp_dataset_free(half[1]);
    close_origin(&o);
}

START_TEST(another_budget_finds_what_does_not_depend_on_it) {
    record first, again, other;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", scratch("."));
    learn(folder, 0.2, &first);
    learn(folder, 0.2, &again);
    learn(folder, 0.1, &other);
    ck_assert_str_eq(again.stages, "");
    /* clean outputs of the learn set come with the survey */
    ck_assert(stages_of(&first, 's') == 2 && stages_of(&first, 'c') == 1);
    ck_assert_int_eq(stages_of(&first, 'r'), 2);
    ck_assert(stages_of(&other, 's') == 0 && stages_of(&other, 'c') == 0);
    ck_assert_int_eq(stages_of(&other, 'r'), 1); /* at the noisy operating point */
    ck_assert_int_gt(stages_of(&other, 'n'), 0);
}
END_TEST

static void damage(const char *folder, int every) {
    DIR *entries = opendir(folder);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(entries));)
        if (strstr(entry->d_name, ".pass") && count++ % every == 0)
            scratch_write(entry->d_name, "damaged", 7);
    closedir(entries);
}

START_TEST(only_what_is_damaged_is_computed_again) {
    record first, second, third;
    char folder[512];
    snprintf(folder, sizeof folder, "%s", scratch("."));
    learn(folder, 0.2, &first);
    int entries = scratch_count();
    ck_assert_int_eq(entries, (int)first.count + 1); /* one pass was survey and clean outputs */
    damage(folder, 2);
    learn(folder, 0.2, &second);
    int damaged = (entries + 1) / 2, computed = (int)second.count;
    ck_assert(computed == damaged || computed == damaged - 1);
    learn(folder, 0.2, &third);
    ck_assert_str_eq(third.stages, "");
    ck_assert_int_eq(scratch_count(), entries);
}
END_TEST

Suite *test_cache_suite(void) {
    Suite *suite = suite_create("cache");
    TCase *tcase = tcase_create("cache");
    tcase_add_checked_fixture(tcase, scratch_setup, scratch_teardown);
    tcase_add_test(tcase, passes_of_one_engine_have_names_of_their_own);
    tcase_add_test(tcase, whatever_decides_a_pass_decides_its_name);
    tcase_add_test(tcase, the_scale_of_images_is_part_of_the_data);
    tcase_add_test(tcase, a_rewritten_graph_is_another_one);
    tcase_add_test(tcase, what_is_kept_is_found_whole);
    tcase_add_test(tcase, a_paused_cache_is_left_alone);
    tcase_add_test(tcase, a_file_that_is_cut_or_changed_is_not_believed);
    tcase_add_test(tcase, places_that_cannot_be_read_or_written_are_misses);
    tcase_add_test(tcase, what_was_used_longest_ago_goes_first);
    tcase_add_test(tcase, finding_an_entry_is_using_it);
    tcase_add_test(tcase, half_written_files_of_crashes_go_and_those_of_others_stay);
    tcase_add_test(tcase, another_budget_finds_what_does_not_depend_on_it);
    tcase_add_test(tcase, only_what_is_damaged_is_computed_again);
    suite_add_tcase(suite, tcase);
    return suite;
}
