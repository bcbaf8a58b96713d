/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Runs every suite: `check [-j N] [NAME]` runs those whose name contains NAME, N at a time, each in a process of its own. What
 * a suite prints is shown when it is done; the last line sums up, in Check's words.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "suites.h"

static const struct {
    const char *name;
    Suite *(*make)(void);
} suites[] = {
#define SUITE(name) {#name, name},
#include "suites.inc"
#undef SUITE
};
enum { SUITES = sizeof suites / sizeof *suites };

typedef struct tally {
    int checks, failures, errors;
} tally;

/* One suite's process. */
typedef struct child {
    pid_t pid;
    FILE *said;
} child;

static tally run(const char *name, int only) {
    SRunner *runner = srunner_create(NULL);
    for (int i = 0; i < SUITES; i++)
        if (only < 0 ? !name || strstr(suites[i].name, name) : i == only)
            srunner_add_suite(runner, suites[i].make());
    srunner_run_all(runner, CK_ENV);
    tally t = {.checks = srunner_ntests_run(runner)};
    TestResult **results = srunner_failures(runner);
    for (int i = 0; i < srunner_ntests_failed(runner); i++) {
        if (tr_rtype(results[i]) == CK_ERROR)
            t.errors++;
        else
            t.failures++;
    }
    free(results);
    srunner_free(runner);
    return t;
}

static child start(int suite, tally *out) {
    child c = {.said = tmpfile()};
    fflush(stdout);
    c.pid = c.said ? fork() : -1;
    if (c.pid != 0) return c;
    dup2(fileno(c.said), STDOUT_FILENO);
    dup2(fileno(c.said), STDERR_FILENO);
    *out = run(NULL, suite);
    exit(EXIT_SUCCESS);
}

static void show(FILE *said) {
    char block[4096];
    size_t got;
    rewind(said);
    while ((got = fread(block, 1, sizeof block, said)) > 0) fwrite(block, 1, got, stdout);
    fclose(said);
}

/* The suite that ends next. A process that dies is an error of its own. */
static void finish(child *children, tally *tallies) {
    int status, i = 0;
    pid_t pid = wait(&status);
    while (i < SUITES && children[i].pid != pid) i++;
    if (i == SUITES) return;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
        printf("%s: its process ended with status %d\n", suites[i].name, status);
        tallies[i].errors++;
        tallies[i].checks++;
    }
    show(children[i].said);
}

static tally run_together(const char *name, int jobs) {
    static child children[SUITES];
    tally sum = {0}, *tallies = mmap(NULL, SUITES * sizeof *tallies, PROT_READ | PROT_WRITE,
                                     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED) return (tally){.errors = 1};
    int running = 0;
    for (int i = 0; i < SUITES; i++) {
        if (name && !strstr(suites[i].name, name)) continue;
        if (running == jobs) {
            finish(children, tallies);
            running--;
        }
        children[i] = start(i, &tallies[i]);
        if (children[i].pid < 0)
            tallies[i].errors++;
        else
            running++;
    }
    for (; running > 0; running--) finish(children, tallies);
    for (int i = 0; i < SUITES; i++) {
        sum.checks += tallies[i].checks;
        sum.failures += tallies[i].failures;
        sum.errors += tallies[i].errors;
    }
    munmap(tallies, SUITES * sizeof *tallies);
    int failed = sum.failures + sum.errors;
    printf("All suites:\n%d%%: Checks: %d, Failures: %d, Errors: %d\n",
           sum.checks ? 100 * (sum.checks - failed) / sum.checks : 0, sum.checks, sum.failures,
           sum.errors);
    return sum;
}

int main(int argc, char **argv) {
    int jobs = 1, option;
    while ((option = getopt(argc, argv, "j:")) == 'j') jobs = atoi(optarg);
    if (option == '?') return EXIT_FAILURE;
    const char *name = optind < argc ? argv[optind] : NULL;
    tally sum = jobs > 1 ? run_together(name, jobs) : run(name, -1);
    return sum.failures + sum.errors > 0 || sum.checks == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
