/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The command line against the table. --name VALUE and --name=VALUE, -o VALUE and -oVALUE, operands anywhere, nothing but
 * operands behind "--". Names are not abbreviated: what a script says today means the same when there are more options.
 */
#include "cli/options.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "cli/suggest.h"

enum { MOST_OPTIONS = 64, HELP_COLUMN = 29, LINE_LENGTH = 100 };

typedef struct parser {
    dp_settings *settings;
    const dp_verb *verb;
    char **next;  /* the next word; NULL at the end */
    int operands; /* seen so far */
    bool only_operands;
    bool given[MOST_OPTIONS]; /* [rows of dp_options] */
} parser;

static bool is_end(const dp_option *o) {
    return !o->name && !o->help;
}

static bool belongs(const dp_option *o, const dp_verb *verb) {
    return o->name && (o->verbs & verb->bit);
}

static const dp_option *find(const dp_verb *verb, const char *name, size_t length) {
    for (const dp_option *o = dp_options; !is_end(o); o++)
        if (belongs(o, verb) && strlen(o->name) == length && memcmp(o->name, name, length) == 0)
            return o;
    return NULL;
}

static const dp_option *find_letter(const dp_verb *verb, char letter) {
    for (const dp_option *o = dp_options; !is_end(o); o++)
        if (belongs(o, verb) && o->letter && o->letter == letter) return o;
    return NULL;
}

/* Some other verb takes it. */
static bool is_elsewhere(const char *name) {
    for (const dp_option *o = dp_options; !is_end(o); o++)
        if (o->name && strcmp(o->name, name) == 0) return true;
    return false;
}

static dp_status unknown(const parser *p, const char *word, dp_error *err) {
    const char *name = word + strspn(word, "-");
    char text[64];
    dp_suggestion near = {0};
    snprintf(text, sizeof text, "%.*s", (int)strcspn(name, "="), name);
    if (is_elsewhere(text))
        return dp_fail(err, DP_ERANGE, "--%s is an option, but not of %s", text, p->verb->name);
    for (const dp_option *o = dp_options; !is_end(o); o++)
        if (belongs(o, p->verb)) dp_suggestion_offer(&near, text, o->name);
    dp_suggestion_offer(&near, text, "help");
    if (near.name)
        return dp_fail(err, DP_ERANGE, "unknown option '%s'; did you mean '--%s'?", word,
                       near.name);
    return dp_fail(err, DP_ERANGE, "unknown option '%s'", word);
}

static dp_status take(parser *p, const dp_option *o, const char *value, dp_error *err) {
    bool *given = &p->given[o - dp_options];
    if (*given && !o->many) return dp_fail(err, DP_ERANGE, "--%s is given twice", o->name);
    *given = true;
    return o->take(o, value, (char *)p->settings + o->offset, err);
}

/* An option whose value, if it takes one, is `attached` or else the next word. */
static dp_status take_option(parser *p, const dp_option *o, const char *attached, dp_error *err) {
    if (!o->argument) {
        if (attached)
            return dp_fail(err, DP_ERANGE, "--%s takes no value, but '%s' is given", o->name,
                           attached);
        return take(p, o, NULL, err);
    }
    if (attached) return take(p, o, attached, err);
    if (!*p->next)
        return dp_fail(err, DP_ERANGE, "--%s asks for a value: --%s %s", o->name, o->name,
                       o->argument);
    if (strncmp(*p->next, "--", 2) == 0)
        return dp_fail(err, DP_ERANGE,
                       "--%s asks for a value, but '%s' follows (if that is the value: --%s=%s)",
                       o->name, *p->next, o->name, *p->next);
    return take(p, o, *p->next++, err);
}

static dp_status take_operand(parser *p, const char *word, dp_error *err) {
    const char *wanted = p->verb->operands[p->operands];
    if (!wanted)
        return dp_fail(err, DP_ERANGE, "'%s' is one argument too many; %d (%s%s%s) %s asked for",
                       word, p->operands, p->verb->operands[0], p->operands > 1 ? " " : "",
                       p->operands > 1 ? p->verb->operands[1] : "", p->operands > 1 ? "are" : "is");
    p->settings->operands[p->operands++] = word;
    return DP_OK;
}

static dp_status take_word(parser *p, bool *help, dp_error *err) {
    const char *word = *p->next++;
    if (p->only_operands || word[0] != '-' || !word[1]) return take_operand(p, word, err);
    if (strcmp(word, "--") == 0) {
        p->only_operands = true;
        return DP_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        *help = true;
        return DP_OK;
    }
    if (word[1] != '-') {
        const dp_option *o = find_letter(p->verb, word[1]);
        return o ? take_option(p, o, word[2] ? word + 2 : NULL, err) : unknown(p, word, err);
    }
    size_t length = strcspn(word + 2, "=");
    const dp_option *o = find(p->verb, word + 2, length);
    const char *value = word + 2 + length;
    return o ? take_option(p, o, *value ? value + 1 : NULL, err) : unknown(p, word, err);
}

static bool given(const parser *p, const char *name) {
    const dp_option *o = find(p->verb, name, strlen(name));
    return o && p->given[o - dp_options];
}

static dp_status check_whole(const parser *p, dp_error *err) {
    const char *missing = p->verb->operands[p->operands];
    if (missing) return dp_fail(err, DP_ERANGE, "%s is missing", missing);
    for (const dp_option *o = dp_options; !is_end(o); o++)
        if (belongs(o, p->verb) && o->needed && !p->given[o - dp_options])
            return dp_fail(err, DP_ERANGE, "--%s %s is missing: %s", o->name, o->argument, o->help);
    for (const dp_conflict *c = dp_conflicts; c->one; c++)
        if (given(p, c->one) && given(p, c->other))
            return dp_fail(err, DP_ERANGE, "--%s and --%s contradict each other: %s", c->one,
                           c->other, c->why);
    return DP_OK;
}

static dp_status set_defaults(dp_settings *settings, const dp_verb *verb, dp_error *err) {
    *settings = (dp_settings){.verb = verb,
                              .max_drop = NAN,
                              .max_loss = NAN,
                              .repetitions = NAN,
                              .min_repetitions = NAN,
                              .max_repetitions = NAN};
    for (const dp_option *o = dp_options; !is_end(o); o++) {
        if (!belongs(o, verb) || !o->otherwise) continue;
        dp_status status = o->take(o, o->otherwise, (char *)settings + o->offset, err);
        if (status != DP_OK) return status;
    }
    return DP_OK;
}

dp_status dp_options_parse(dp_settings *settings, const dp_verb *verb, char **words, bool *help,
                           dp_error *err) {
    parser p = {.settings = settings, .verb = verb, .next = words};
    *help = false;
    dp_status status = set_defaults(settings, verb, err);
    while (status == DP_OK && !*help && *p.next) status = take_word(&p, help, err);
    return status == DP_OK && !*help ? check_whole(&p, err) : status;
}

void dp_settings_free(dp_settings *settings) {
    for (size_t i = 0; i < settings->fixes.count; i++)
        dp_free((void *)settings->fixes.items[i].glob);
    dp_free(settings->fixes.items);
    dp_free((void *)settings->exclude.items);
    dp_free((void *)settings->groups.items);
    dp_free(settings->mean.items);
    dp_free(settings->std.items);
    *settings = (dp_settings){0};
}

/* ---- help ---- */

/* Words of `text` from `column` on, broken before LINE_LENGTH and continued at column `indent`. */
static void print_wrapped(FILE *stream, const char *text, int column, int indent) {
    bool first = true;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (!first && column + 1 + length > LINE_LENGTH) {
            fprintf(stream, "\n%*s", indent, "");
            column = indent;
        } else if (!first) {
            fputc(' ', stream);
            column++;
        }
        fprintf(stream, "%.*s", length, text);
        column += length;
        text += length + (text[length] == ' ');
        first = false;
    }
    fputc('\n', stream);
}

static void print_option(FILE *stream, const dp_option *o) {
    char left[64], right[512];
    if (o->letter)
        snprintf(left, sizeof left, "  -%c, --%s %s", o->letter, o->name, o->argument);
    else
        snprintf(left, sizeof left, "  --%s %s", o->name, o->argument ? o->argument : "");
    if (o->otherwise)
        snprintf(right, sizeof right, "%s (default: %s)", o->help, o->otherwise);
    else
        snprintf(right, sizeof right, "%s", o->help);
    fprintf(stream, "%-*s", HELP_COLUMN, left);
    if (strlen(left) >= HELP_COLUMN) fprintf(stream, "\n%*s", HELP_COLUMN, "");
    print_wrapped(stream, right, HELP_COLUMN, HELP_COLUMN);
}

void dp_options_help(FILE *stream, const dp_verb *verb) {
    fprintf(stream, "dynaprec %s", verb->name);
    for (int i = 0; verb->operands[i]; i++) fprintf(stream, " %s", verb->operands[i]);
    fprintf(stream, " %s\n\n", verb->usage);
    print_wrapped(stream, verb->about, 0, 0);
    for (const dp_option *o = dp_options; !is_end(o); o++) {
        if (!(o->verbs & verb->bit)) continue;
        if (o->name)
            print_option(stream, o);
        else
            fprintf(stream, "\n%s:\n", o->help);
    }
    fprintf(stream, "\nExample:\n%s\n", verb->example);
}
