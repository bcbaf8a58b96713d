/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/panel.h"

#include <math.h>
#include <string.h>

#include "base/alloc.h"
#include "device/noise.h"

/* Draws that are for the check set alone: the same at every look, so that looks and families can be compared. */
#define CHECK_TRIAL 0x10000000U

/*
 * The first look has a quarter of the draws, of what can turn. A bound this far from the budget is not worth the others: stopping for failure
 * needs no correction, and what is stopped as dearer than needed is not a pass.
 */
static const double hopeless = 1.3, needless = 0.7;

/* Noise at another fidelity is not quite the same noise on another scale: what it does to a margin may be taken to be so much less or
 * more, times the root of how far away it was measured. An answer that turns in between has to be asked. */
static const double least_move = 0.6, most_move = 1.7;

/* Nearer than this in logarithms of fidelity, a draw tells of itself; farther away it is asked where another of the sample's is. */
static const double by_itself = 0.3;

/* Margins of at least so many times what noise moves one by, root mean square, turn so rarely that a quarter of the draws do for
 * them. */
static const double reach = 2.5;

/* How far a forecast goes, and halvings of that range in logarithms: to a thousandth. */
static const double farthest = 4;
enum { STEPS = 12 };

static const dp_score *clean_of(const dp_panel *p) {
    return dp_reference_scores(p->s->check.reference);
}

/* ---- life ---- */

static bool has_margins(const dp_search *s) {
    bool drops = false;
    const dp_score *clean = dp_reference_scores(s->check.reference);
    for (int i = 0; i < s->n_criteria; i++) drops = drops || s->criteria[i].quantity == DP_DROP;
    for (int64_t i = 0; drops && i < s->check.samples; i++) drops = isfinite(clean[i].margin);
    return drops;
}

/* The root mean square of what noise did to margins, taken to fidelity 1. */
static double spread_of(const dp_half *half, int draws, double fidelity) {
    const dp_score *clean = dp_reference_scores(half->reference);
    double sum = 0;
    for (int64_t i = 0; i < half->samples * draws; i++) {
        double move = half->scores[i].margin - clean[i % half->samples].margin;
        sum += move * move;
    }
    return sqrt(sum * fidelity / (double)(half->samples * draws));
}

/* As the learn set has it; 0 where that was not evaluated, or has margins that are not finite. */
static double spread_on_learn_set(const dp_search *s) {
    const dp_half *learn = &s->learn;
    double spread = learn->draws ? spread_of(learn, learn->draws, learn->fidelity) : 0;
    return isfinite(spread) ? spread : 0;
}

/* Until a sample is asked, it is taken to answer as without noise. */
static void answer_clean(dp_panel *p) {
    const dp_half *check = &p->s->check;
    for (int64_t i = 0; i < check->samples * p->s->options->trials; i++)
        check->scores[i] = clean_of(p)[i % check->samples];
    for (int64_t i = 0; i < check->samples * p->s->options->trials; i++) p->at[i] = 1;
}

dp_status dp_panel_open(dp_panel *p, dp_search *s, dp_error *err) {
    size_t samples = (size_t)s->check.samples, all = samples * (size_t)s->options->trials;
    *p = (dp_panel){.s = s, .margins = has_margins(s)};
    p->parts = p->margins && !dp_noise_needs_weights(s->hardware);
    for (int i = 0; i < s->n_criteria; i++)
        p->parts = p->parts && s->criteria[i].quantity == DP_DROP;
    p->k = dp_alloc((size_t)s->units.count, sizeof *p->k);
    p->asked = dp_alloc(all, sizeof *p->asked);
    p->at = dp_alloc(all, sizeof *p->at);
    p->moved = dp_alloc(all, sizeof *p->moved);
    p->list = dp_alloc(samples, sizeof *p->list);
    p->some = dp_alloc(all, sizeof *p->some);
    if (!p->k || !p->asked || !p->at || !p->moved || !p->list || !p->some)
        return dp_fail(err, DP_EMEMORY, "no memory for acceptance");
    if (p->parts) p->spread = spread_on_learn_set(s);
    if (p->spread > 0) answer_clean(p);
    return DP_OK;
}

void dp_panel_close(dp_panel *p) {
    dp_free(p->k);
    dp_free(p->asked);
    dp_free(p->at);
    dp_free(p->moved);
    dp_free(p->list);
    dp_free(p->some);
}

/* ---- what is known, at another fidelity ---- */

/* The margin there if noise moved it `more` times as far as it is taken to. */
static double margin_at(const dp_panel *p, int64_t sample, int draw, double fidelity, double more) {
    double clean = clean_of(p)[sample].margin;
    int64_t at = draw * p->s->check.samples + sample;
    double noisy = p->s->check.scores[at].margin;
    return clean + more * (noisy - clean) * sqrt(p->at[at] / fidelity);
}

/* Margins are of the label where there are labels, of the clean prediction elsewhere. */
static dp_score score_at(const dp_panel *p, int64_t sample, int draw, double fidelity) {
    int64_t at = draw * p->s->check.samples + sample;
    dp_score score = p->s->check.scores[at];
    const dp_score *clean = &clean_of(p)[sample];
    double factor = p->at[at] / fidelity;
    if (factor == 1) return score;
    bool right = margin_at(p, sample, draw, fidelity, 1) > 0;
    if (p->s->criteria[0].labels)
        score.correct = right;
    else
        score.agree = right;
    score.kl *= factor;
    score.loss = clean->loss + (score.loss - clean->loss) * factor;
    return score;
}

dp_outcome dp_panel_outcome(const dp_panel *p) {
    return (dp_outcome){clean_of(p), p->moved, p->s->check.samples, p->draws};
}

static dp_status judge_at(dp_panel *p, double fidelity, dp_answer *answer, dp_error *err) {
    int64_t samples = p->s->check.samples;
    for (int draw = 0; draw < p->draws; draw++)
        for (int64_t i = 0; i < samples; i++)
            p->moved[draw * samples + i] = score_at(p, i, draw, fidelity);
    dp_outcome outcome = dp_panel_outcome(p);
    return dp_criteria_judge(p->s->criteria, p->s->n_criteria, &outcome, 0, answer, err);
}

dp_status dp_panel_forecast(dp_panel *p, double fidelity, double excess, double *found,
                            dp_error *err) {
    double low = fidelity / farthest, high = fidelity * farthest;
    bool known = p->margins;
    for (int64_t i = 0; known && i < p->s->check.samples * p->draws; i++)
        known = isfinite(p->s->check.scores[i].margin);
    dp_status status = DP_OK;
    dp_answer answer;
    for (int i = 0; known && status == DP_OK && i < STEPS; i++) {
        double middle = sqrt(low * high);
        status = judge_at(p, middle, &answer, err);
        if (answer.excess <= excess)
            high = middle;
        else
            low = middle;
    }
    *found = known ? high : NAN;
    return status == DP_OK ? judge_at(p, fidelity, &answer, err) : status;
}

/* ---- how many draws a sample is asked with ---- */

static int quarter(const dp_panel *p) {
    return (p->s->options->trials + 3) / 4;
}

/* Strata go by the clean margin, which no draw has touched: that leaves the mean over samples without bias. */
static bool can_turn(const dp_panel *p, int64_t sample, double fidelity) {
    return !p->parts || !(fabs(clean_of(p)[sample].margin) >= reach * p->spread / sqrt(fidelity));
}

/* Draws that a sample was not asked with get the answers of those that it was. */
static void repeat_draws(dp_panel *p, int64_t sample) {
    int64_t samples = p->s->check.samples;
    for (int draw = quarter(p); draw < p->s->options->trials; draw++) {
        int64_t to = draw * samples + sample, from = draw % quarter(p) * samples + sample;
        p->s->check.scores[to] = p->s->check.scores[from];
        p->at[to] = p->at[from];
        p->asked[to] = p->asked[from];
    }
}

/* ---- asking ---- */

/* A draw of a sample is of the precision at hand. */
static void mark(dp_panel *p, int64_t sample, int draw, double fidelity) {
    p->at[draw * p->s->check.samples + sample] = fidelity;
    p->asked[draw * p->s->check.samples + sample] = p->number;
}

/* All samples, draws p->draws .. + count - 1. */
static dp_status ask_all(dp_panel *p, const double *k, double fidelity, int count, dp_error *err) {
    dp_half rest = p->s->check;
    rest.scores += (int64_t)p->draws * rest.samples;
    uint32_t range[2] = {CHECK_TRIAL + (uint32_t)p->draws, (uint32_t)count};
    dp_status status = dp_search_evaluate(p->s, &rest, k, range, err);
    if (status != DP_OK) return status;
    for (int draw = p->draws; draw < p->draws + count; draw++)
        for (int64_t i = 0; i < rest.samples; i++) mark(p, i, draw, fidelity);
    p->draws += count;
    return DP_OK;
}

/* At which precision, and of which draws, those on the list are asked. */
typedef struct question {
    const double *k;
    double fidelity;
    int first, count;
} question;

/* Their answers take the places of older ones. */
static dp_status ask_listed(dp_panel *p, const question *q, int64_t length, dp_error *err) {
    dp_half *check = &p->s->check;
    dp_half part = {.samples = length, .scores = p->some};
    dp_dataset *data = NULL;
    dp_status status = length ? dp_dataset_pick(&data, check->data, p->list, length, err) : DP_OK;
    if (!length || status != DP_OK) return status;
    part.data = data;
    status = dp_reference_pick(&part.reference, check->reference, data, p->list, err);
    uint32_t range[2] = {CHECK_TRIAL + (uint32_t)q->first, (uint32_t)q->count};
    if (status == DP_OK) status = dp_search_evaluate(p->s, &part, q->k, range, err);
    for (int64_t j = 0; status == DP_OK && j < length; j++)
        for (int draw = 0; draw < q->count; draw++) {
            check->scores[(q->first + draw) * check->samples + p->list[j]] =
                p->some[draw * length + j];
            mark(p, p->list[j], q->first + draw, q->fidelity);
        }
    dp_reference_free(part.reference);
    dp_dataset_free(data);
    return status;
}

static double away_from(const dp_panel *p, int64_t sample, int draw, double fidelity) {
    return fabs(log(p->at[draw * p->s->check.samples + sample] / fidelity));
}

static bool turns_near(const dp_panel *p, int64_t sample, int draw, double fidelity) {
    double wider = exp(away_from(p, sample, draw, fidelity) / 2);
    double less = margin_at(p, sample, draw, fidelity, least_move / wider);
    double more = margin_at(p, sample, draw, fidelity, most_move * wider);
    return !(less > 0 && more > 0) && !(less <= 0 && more <= 0);
}

/* Open at this precision: everything, or what is near its turn; what can turn and was never asked may be that. */
static bool is_open(const dp_panel *p, int64_t sample, int draw, double fidelity, bool whole) {
    int asked = p->asked[draw * p->s->check.samples + sample];
    if (asked == p->number) return false;
    if (whole || (asked == 0 && can_turn(p, sample, fidelity))) return true;
    if (turns_near(p, sample, draw, fidelity)) return true;
    bool others = false;
    for (int i = 0; away_from(p, sample, draw, fidelity) > by_itself && i < p->draws; i++)
        others = others || turns_near(p, sample, i, fidelity);
    return others;
}

/* At this precision, with one of the first draws. */
static bool was_asked(const dp_panel *p, int64_t sample) {
    bool some = false;
    for (int draw = 0; draw < quarter(p); draw++)
        some = some || p->asked[draw * p->s->check.samples + sample] == p->number;
    return some;
}

/* Of one stratum what is open, draw by draw. */
static dp_status ask_open(dp_panel *p, const double *k, double fidelity, bool whole, bool stratum,
                          dp_error *err) {
    int draws = stratum ? p->draws : quarter(p);
    dp_status status = DP_OK;
    for (int draw = 0; status == DP_OK && draw < draws; draw++) {
        int64_t length = 0;
        for (int64_t i = 0; i < p->s->check.samples; i++)
            if (can_turn(p, i, fidelity) == stratum && is_open(p, i, draw, fidelity, whole))
                p->list[length++] = i;
        status = ask_listed(p, &(question){k, fidelity, draw, 1}, length, err);
    }
    for (int64_t i = 0; !stratum && i < p->s->check.samples; i++)
        if (!can_turn(p, i, fidelity) && was_asked(p, i)) repeat_draws(p, i);
    return status;
}

/* The draws up to `draws` for what can turn. */
static dp_status ask_near(dp_panel *p, const double *k, double fidelity, int draws, dp_error *err) {
    int64_t length = 0;
    for (int64_t i = 0; i < p->s->check.samples; i++)
        if (can_turn(p, i, fidelity)) p->list[length++] = i;
    dp_status status =
        ask_listed(p, &(question){k, fidelity, p->draws, draws - p->draws}, length, err);
    if (status == DP_OK) p->draws = draws;
    return status;
}

/* The first quarter of the draws: of all samples while it is not known what noise does to margins. */
static dp_status ask_quarter(dp_panel *p, const double *k, double fidelity, dp_error *err) {
    return p->spread > 0 ? ask_near(p, k, fidelity, quarter(p), err)
                         : ask_all(p, k, fidelity, quarter(p), err);
}

/* The draws behind the first quarter, of which there are some. */
static dp_status ask_rest(dp_panel *p, const double *k, double fidelity, dp_error *err) {
    int all = p->s->options->trials;
    if (!p->parts) return ask_all(p, k, fidelity, all - p->draws, err);
    if (!(p->spread > 0)) p->spread = spread_of(&p->s->check, p->draws, fidelity);
    for (int64_t i = 0; i < p->s->check.samples; i++)
        if (!can_turn(p, i, fidelity)) repeat_draws(p, i);
    return ask_near(p, k, fidelity, all, err);
}

/* At this precision, all draws so far; with `near`, of what can turn. */
static bool asked(const dp_panel *p, double fidelity, bool near) {
    for (int64_t i = 0; i < p->s->check.samples; i++)
        for (int draw = 0; draw < p->draws; draw++)
            if (p->asked[draw * p->s->check.samples + i] != p->number &&
                !(near && !can_turn(p, i, fidelity)))
                return false;
    return true;
}

/* From nothing: a quarter of the draws, and the others if they decide. */
static dp_status ask_anew(dp_panel *p, const double *k, double fidelity, dp_ask ask,
                          dp_error *err) {
    int all = p->s->options->trials;
    dp_answer answer;
    if (p->draws == all || !asked(p, fidelity, p->spread > 0))
        p->draws = 0; /* else those of this precision are kept */
    if (p->draws == 0) {
        dp_status status = ask_quarter(p, k, fidelity, err);
        if (status == DP_OK) status = judge_at(p, fidelity, &answer, err);
        if (status != DP_OK) return status;
        if (ask == DP_ASK_SOME && (answer.excess > hopeless || answer.excess < needless))
            return DP_OK;
    }
    return p->draws < all ? ask_rest(p, k, fidelity, err) : DP_OK;
}

dp_status dp_panel_ask(dp_panel *p, const double *k, double fidelity, dp_ask ask, dp_look *look,
                       dp_error *err) {
    size_t bytes = (size_t)p->s->units.count * sizeof *k;
    if (p->number == 0 || memcmp(p->k, k, bytes) != 0) {
        memcpy(p->k, k, bytes);
        p->number++;
    }
    int all = p->s->options->trials;
    bool whole = ask == DP_ASK_ALL || ask == DP_ASK_PASS;
    dp_status status = p->parts && p->draws == all ? ask_open(p, k, fidelity, whole, true, err)
                                                   : ask_anew(p, k, fidelity, ask, err);
    dp_answer answer;
    if (status == DP_OK) status = judge_at(p, fidelity, &answer, err);
    if (status != DP_OK) return status;
    bool failed = ask == DP_ASK_PASS && answer.excess > 1;
    if (p->parts && p->draws == all && !failed) {
        status = ask_open(p, k, fidelity, whole, false, err);
        if (status == DP_OK) status = judge_at(p, fidelity, &answer, err);
    }
    if (status != DP_OK) return status;
    *look = (dp_look){answer.excess, answer.active, p->draws == all && asked(p, fidelity, false)};
    return DP_OK;
}
