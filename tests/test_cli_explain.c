/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What explains schedules, from outside: inspect --sensitivity, and diff. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "digits.h"
#include "dynaprec/schedule.h"
#include "json.h"
#include "program.h"
#include "scratch.h"
#include "suites.h"

#define MODEL   "calib_data/digits.onnx"
#define LEARN   "learn " MODEL " --data @some.npz --hardware homodyne --cache none --trials 1 "
#define INSPECT "inspect " MODEL " --data @some.npz "

enum { SITES = 8, WIDEST = 120 };

/* The entry of a list of objects; a brace in a name would confuse it, and none is. */
static const char *entry(const char *list, int number) {
    int depth = 0;
    for (const char *at = list + 1;; at++) {
        ck_assert_msg(*at != '\0' && !(depth == 0 && *at == ']'), "no entry %d", number);
        if (*at == '{' && depth++ == 0 && number-- == 0) return at;
        if (*at == '}') depth--;
    }
}

static void check_width(const char *text, int width) {
    for (const char *at = text; *at; at += strcspn(at, "\n") + 1)
        ck_assert_msg((int)strcspn(at, "\n") <= width, "a line is too long: %.130s", at);
}

/* ---- inspect ---- */

/* Shares add up to one, the marginal loss is a layer's loss over its energy, and everything is as at K = 1. */
START_TEST(sensitivities_come_with_every_sites_share) {
    static program_result r;
    r = *run_expecting(INSPECT "--hardware homodyne --sensitivity --json", 0);
    json_check(r.out);
    double energy = 0, loss = 0, joules = json_figure(r.out, "energy_j"),
           nats = json_figure(r.out, "loss");
    for (int i = 0; i < SITES; i++) {
        const char *site = entry(json_at(r.out, "sites"), i);
        energy += json_figure(site, "precision.energy_share");
        loss += json_figure(site, "precision.loss_share");
        double part = json_figure(site, "precision.energy_j");
        double worth = json_figure(site, "precision.loss");
        ck_assert_double_eq_tol(part, json_figure(site, "per_repetition_j"), 1e-24);
        ck_assert_double_eq_tol(part / joules, json_figure(site, "precision.energy_share"), 1e-9);
        ck_assert_double_eq_tol(worth / nats, json_figure(site, "precision.loss_share"), 1e-9);
        ck_assert_double_eq_tol(json_figure(site, "precision.loss_per_j") * part / worth, 1, 1e-9);
        ck_assert_double_eq_tol(json_figure(site, "precision.sensitivity") / worth, 1, 1e-12);
        ck_assert_double_eq_tol(json_figure(site, "precision.enob"), json_figure(site, "enob"),
                                1e-9);
        ck_assert_double_eq(json_figure(site, "precision.repetitions.mean"), 1);
    }
    ck_assert_double_eq_tol(energy, 1, 1e-9);
    ck_assert_double_eq_tol(loss, 1, 1e-9);
    double layer = json_figure(r.out, "needed_by_layer");
    ck_assert(json_figure(r.out, "needed_by_channel") <= layer && layer < 0.9);
}
END_TEST

/* Learned from and looked at with the same samples, curvature differs by what the draws of a pass do. */
START_TEST(a_schedule_is_explained_anew) {
    static program_result r;
    run_expecting(LEARN
                  "--max-loss 0.1 --fix *Gemm=9 --granularity tile:16 --search operating-point "
                  "-o @s.yaml --quiet",
                  0);
    r = *run_expecting(INSPECT "--schedule @s.yaml --json", 0);
    json_check(r.out);
    dp_schedule s = {0};
    ck_dp_ok(dp_schedule_read(&s, in_folder("s.yaml"), &err));
    for (int i = 0; i < SITES; i++) {
        const char *site = entry(json_at(r.out, "sites"), i);
        const dp_layer *layer = &s.layers[i];
        double least = INFINITY;
        for (int u = 0; u < layer->count; u++) least = fmin(least, layer->repetitions[u]);
        ck_assert_double_eq(json_figure(site, "precision.repetitions.least"), least);
        ck_assert_double_eq_tol(json_figure(site, "precision.energy_j") / layer->energy_j, 1, 1e-9);
        ck_assert_double_eq_tol(json_figure(site, "precision.loss") / layer->loss, 1, 0.4);
        ck_assert_double_eq_tol(json_figure(site, "precision.enob"), layer->enob, 0.1);
        bool last = i == SITES - 1;
        ck_assert(!strncmp(json_at(site, "precision.bound"), "\"fixed\"", 7) == last);
    }
    double energy = s.learned.energy_j;
    dp_schedule_clear(&s);
    ck_assert_double_eq_tol(json_figure(r.out, "energy_j") / energy, 1, 1e-9);
    /* another accelerator: other bits, and an energy of 1 aJ/MAC where this one has 0.128 */
    r = *run_expecting(INSPECT "--schedule @s.yaml --hardware thermal --json", 0);
    ck_assert_double_eq_tol(json_figure(r.out, "energy_j") / energy, 1 / 0.128, 1e-6);
}
END_TEST

START_TEST(explanations_fit_the_page) {
    run_expecting(LEARN "--energy 1aJ/MAC --fix *Gemm=9 --granularity channel -o @s.yaml", 0);
    program_result *r = run_expecting(INSPECT "--schedule @s.yaml --sensitivity", 0);
    static char table[PROGRAM_TEXT]; /* without the line about memory, which is as long as it is */
    snprintf(table, sizeof table, "%.*s", (int)(strstr(r->out, "memory:") - r->out), r->out);
    check_width(table, WIDEST);
    ck_assert_ptr_nonnull(strstr(r->out, "nats/J"));
    ck_assert_ptr_nonnull(strstr(r->out, "fixed"));
    ck_assert_ptr_nonnull(strstr(r->out, "\nmemory: weights"));
    ck_assert_ptr_nonnull(strstr(r->out, "predicted loss"));
    ck_assert_str_eq(r->err, "");
    r = run_expecting("inspect " MODEL " --hardware homodyne", 0);
    ck_assert_ptr_nonnull(strstr(r->out, "32 x 144 x 64"));
}
END_TEST

static const struct {
    const char *line, *message;
    int status;
} unfit[] = {
    {"inspect " MODEL " --sensitivity", "--data", 2},
    {"inspect " MODEL " --hardware homodyne --sensitivity", "--data", 2},
    {INSPECT "--sensitivity", "--schedule", 2},
    {INSPECT "--schedule README.md", "README.md", 3},
    {INSPECT "--schedule @none.yaml", "none.yaml", 3},
    {INSPECT "--schedule @other.yaml", "other.yaml", 3},
    {"diff @s.yaml @none.yaml", "none.yaml", 3},
    {"diff @s.yaml README.md", "README.md", 3},
    {"diff @s.yaml @other.yaml", "different networks", 3},
    {"diff @s.yaml", "B.yaml is missing", 2},
    {"diff @s.yaml @s.yaml @s.yaml", "one argument too many", 2},
    {"diff @s.yaml @s.yaml --data x", "--data is an option, but not of diff", 2},
};

/* The schedule with every `from` replaced. */
static void write_edited(const char *name, const char *from, const char *to) {
    size_t size;
    char *text = read_whole(in_folder("s.yaml"), &size);
    FILE *file = fopen(in_folder(name), "wb");
    ck_assert_ptr_nonnull(file);
    int found = 0;
    for (const char *at = text, *next; *at; at = next) {
        next = strstr(at, from);
        fprintf(file, "%.*s", (int)(next ? (size_t)(next - at) : strlen(at)), at);
        if (!next) break;
        fputs(to, file);
        next += strlen(from);
        found++;
    }
    ck_assert_int_eq(fclose(file), 0);
    ck_assert_int_gt(found, 0);
    free(text);
}

START_TEST(what_cannot_be_explained_or_compared_is_refused) {
    run_expecting(LEARN "--energy 1aJ/MAC -o @s.yaml --quiet", 0);
    write_edited("other.yaml", "Conv\"\n    index", "Other\"\n    index");
    write_edited("other.yaml", "name: \"/", "name: \"/elsewhere/");
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        program_result *r = run_expecting(unfit[i].line, unfit[i].status);
        ck_assert_str_eq(r->out, "");
        ck_assert_msg(strstr(r->err, unfit[i].message), "%s: %s", unfit[i].line, r->err);
    }
}
END_TEST

/* ---- diff ---- */

START_TEST(a_schedule_does_not_differ_from_itself) {
    run_expecting(LEARN "--energy 1aJ/MAC --granularity channel -o @s.yaml --quiet", 0);
    program_result *r = run_expecting("diff @s.yaml @s.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r->out, "\n0 of 8 layers"));
    ck_assert_ptr_null(strstr(r->out, "differs"));
    ck_assert_str_eq(r->err, "");
    r = run_expecting("diff @s.yaml @s.yaml --json", 0);
    json_check(r->out);
    ck_assert_double_eq(json_figure(r->out, "different"), 0);
    ck_assert(!strncmp(json_at(r->out, "same_network"), "true", 4));
}
END_TEST

/* Twice the energy, or about: every layer has more repetitions, and the dearest changes stand first. */
START_TEST(differences_are_shown_with_what_moves_most_first) {
    static program_result r;
    run_expecting(LEARN "--energy 1aJ/MAC --granularity channel -o @s.yaml --quiet", 0);
    run_expecting(LEARN "--energy 2aJ/MAC -o @more.yaml --quiet", 0);
    r = *run_expecting("diff @s.yaml @more.yaml --json", 1);
    json_check(r.out);
    ck_assert_double_eq(json_figure(r.out, "matched"), SITES);
    ck_assert_double_eq(json_figure(r.out, "different"), SITES);
    dp_schedule s[2] = {{0}};
    ck_dp_ok(dp_schedule_read(&s[0], in_folder("s.yaml"), &err));
    ck_dp_ok(dp_schedule_read(&s[1], in_folder("more.yaml"), &err));
    double last = INFINITY;
    for (int i = 0; i < SITES; i++) {
        const char *pair = entry(json_at(r.out, "layers"), i);
        int index = (int)json_figure(pair, "index");
        double moved = json_figure(pair, "moved_j");
        ck_assert_double_le(moved, last);
        last = moved;
        ck_assert_double_eq(json_figure(pair, "a.energy_j"), s[0].layers[index].energy_j);
        ck_assert_double_eq(json_figure(pair, "b.energy_j"), s[1].layers[index].energy_j);
        ck_assert_double_eq(json_figure(pair, "b.loss_per_j"), s[1].layers[index].loss_per_j);
        ck_assert_double_eq(json_figure(pair, "b.repetitions.mean"),
                            s[1].layers[index].repetitions[0]);
    }
    for (int i = 0; i < 2; i++) dp_schedule_clear(&s[i]);
    r = *run_expecting("diff @s.yaml @more.yaml", 1);
    check_width(r.out, WIDEST);
    ck_assert_ptr_nonnull(strstr(r.out, "\ngoal "));
    ck_assert_ptr_nonnull(strstr(r.out, "energy 2aJ/MAC"));
    ck_assert_ptr_nonnull(strstr(r.out, "\n8 of 8 layers"));
}
END_TEST

/* A renamed layer belongs to nobody; the others are compared, and a note says that the files are not the same. */
START_TEST(what_only_one_has_is_said) {
    run_expecting(LEARN "--energy 1aJ/MAC -o @s.yaml --quiet", 0);
    write_edited("renamed.yaml", "/classify/Gemm", "/classify/Dense");
    program_result *r = run_expecting("diff @s.yaml @renamed.yaml", 1);
    ck_assert_ptr_nonnull(strstr(r->out, "0 of 7 layers that both have differ"));
    ck_assert_ptr_nonnull(strstr(r->out, "A alone has 1; B alone has 1"));
    ck_assert_ptr_nonnull(strstr(r->out, "/classify/Dense"));
    dp_schedule s = {0};
    ck_dp_ok(dp_schedule_read(&s, in_folder("s.yaml"), &err));
    s.model_sha256[0] = s.model_sha256[0] == '0' ? '1' : '0';
    ck_dp_ok(dp_schedule_write(&s, in_folder("elsewhere.yaml"), &err));
    dp_schedule_clear(&s);
    r = run_expecting("diff @s.yaml @elsewhere.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r->err, "different files"));
    ck_assert_ptr_nonnull(strstr(r->out, "its SHA-256"));
    r = run_expecting("diff @s.yaml @elsewhere.yaml --quiet", 0);
    ck_assert_str_eq(r->err, "");
}
END_TEST

/* ---- learn ---- */

START_TEST(learn_prints_its_layers_and_what_rounding_cost) {
    static program_result r;
    r = *run_expecting(LEARN "--max-loss 0.1 --granularity channel --json -o @s.yaml", 0);
    json_check(r.out);
    ck_assert(!strncmp(json_at(r.out, "rounding.of"), "\"energy_j\"", 10));
    double value = json_figure(r.out, "rounding.value"),
           bound = json_figure(r.out, "rounding.bound");
    ck_assert_double_eq_tol(value / json_figure(r.out, "learned.energy_j"), 1, 1e-9);
    ck_assert_double_eq_tol(json_figure(r.out, "rounding.gap"), fmax(value / bound - 1, 0), 1e-9);
    ck_assert(bound > 0.99 * value && bound <= value * (1 + 1e-9));
    double energy = 0;
    for (int i = 0; i < SITES; i++)
        energy += json_figure(entry(json_at(r.out, "layers"), i), "energy_share");
    ck_assert_double_eq_tol(energy, 1, 1e-9);
    r = *run_expecting(LEARN "--energy 1aJ/MAC -o @s.yaml", 0);
    ck_assert_ptr_nonnull(strstr(r.out, "\nrounding: the predicted loss is "));
}
END_TEST

Suite *test_cli_explain_suite(void) {
    Suite *suite = suite_create("explanations of the program");
    TCase *all = tcase_create("explain");
    tcase_add_checked_fixture(all, digits_open_folder, program_close_folder);
    tcase_add_test(all, sensitivities_come_with_every_sites_share);
    tcase_add_test(all, a_schedule_is_explained_anew);
    tcase_add_test(all, explanations_fit_the_page);
    tcase_add_test(all, what_cannot_be_explained_or_compared_is_refused);
    tcase_add_test(all, a_schedule_does_not_differ_from_itself);
    tcase_add_test(all, differences_are_shown_with_what_moves_most_first);
    tcase_add_test(all, what_only_one_has_is_said);
    tcase_add_test(all, learn_prints_its_layers_and_what_rounding_cost);
    tcase_set_timeout(all, 240);
    suite_add_tcase(suite, all);
    return suite;
}
