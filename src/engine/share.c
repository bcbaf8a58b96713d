/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Nothing here allocates: it is how processes tell each other that memory has run out. */
#include "engine/share.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>

/* What a process brings to a meeting, in place of its rank, when it has not failed. */
enum { LEAVING = INT_MAX - 1, STAYING = INT_MAX };

static const char must_be_the_same[] =
    "files, options and processors have to be the same in all processes";

int dp_share_size(const dp_comm *c) {
    return c ? c->size : 1;
}

int dp_share_rank(const dp_comm *c) {
    return c ? c->rank : 0;
}

static int first_task(const dp_comm *c, int count, int rank) {
    return (int)((long long)count * rank / dp_share_size(c));
}

void dp_share_part(const dp_comm *c, int count, int *from, int *to) {
    *from = first_task(c, count, dp_share_rank(c));
    *to = first_task(c, count, dp_share_rank(c) + 1);
}

/* ---- what may fail ends the sharing ---- */

static dp_status least(dp_comm *c, int mine, int *found, dp_error *err) {
    dp_status status = c->least(c->self, mine, found, err);
    c->over = status != DP_OK;
    return status;
}

static dp_status broadcast(dp_comm *c, void *buffer, size_t bytes, int from, dp_error *err) {
    if (!bytes) return DP_OK;
    dp_status status = c->broadcast(c->self, buffer, bytes, from, err);
    c->over = status != DP_OK;
    return status;
}

/* ---- meetings ---- */

/* Is it so in all processes? */
static dp_status in_all(dp_comm *c, bool here, bool *all, dp_error *err) {
    int found = 0;
    dp_status status = least(c, here, &found, err);
    *all = found;
    return status;
}

/* Some have left and others have not: the ones cannot go on, and the others will not. */
static dp_status note_parting(dp_comm *c, bool leaving, bool *parted, dp_error *err) {
    bool all_stay = false, all_leave = false;
    dp_status status = in_all(c, !leaving, &all_stay, err);
    if (status == DP_OK) status = in_all(c, leaving, &all_leave, err);
    *parted = !all_stay && !all_leave;
    return status;
}

/* Process `first` tells how it failed, and all learn whether they failed alike. */
static dp_status hear(dp_comm *c, const dp_error *mine, int first, dp_error *err) {
    dp_error told = *mine;
    bool alike = false;
    dp_status status = broadcast(c, &told, sizeof told, first, err);
    if (status == DP_OK) status = in_all(c, mine->status == told.status, &alike, err);
    if (status != DP_OK) return status;
    if (alike) return dp_fail(err, told.status, "%s", told.text);
    return dp_fail(err, told.status, "rank %d: %s", first, told.text);
}

static dp_status meet(dp_comm *c, dp_status status, bool leaving, dp_error *err) {
    dp_error mine = {status, ""};
    int first, brought = status != DP_OK ? c->rank : leaving ? LEAVING : STAYING;
    bool parted = false;
    if (status != DP_OK && err) snprintf(mine.text, sizeof mine.text, "%s", err->text);
    dp_status met = least(c, brought, &first, err);
    if (met != DP_OK || first == STAYING) return met;
    met = note_parting(c, leaving, &parted, err);
    if (met == DP_OK && first < LEAVING) met = hear(c, &mine, first, err);
    c->over = c->over || parted;
    if (met != DP_OK || !parted) return met;
    return dp_fail(err, DP_ECOMM, "some processes are done and others go on: %s", must_be_the_same);
}

static dp_status not_shared(dp_status mine, dp_error *err) {
    return mine != DP_OK ? mine : dp_fail(err, DP_ECOMM, "other processes have ended");
}

dp_status dp_share_agree(dp_comm *c, dp_status mine, dp_error *err) {
    if (dp_share_size(c) == 1) return mine;
    return c->over ? not_shared(mine, err) : meet(c, mine, false, err);
}

dp_status dp_comm_leave(dp_comm *c, dp_status mine, dp_error *err) {
    if (dp_share_size(c) == 1) return mine;
    return c->over ? not_shared(mine, err) : meet(c, mine, true, err);
}

/* ---- results ---- */

dp_status dp_share_gather(dp_comm *c, void *buffer, int count,
                          size_t (*byte_of)(const void *context, int task), const void *context,
                          dp_error *err) {
    dp_status status = dp_share_agree(c, DP_OK, err);
    for (int r = 0; status == DP_OK && dp_share_size(c) > 1 && r < c->size; r++) {
        size_t from = byte_of(context, first_task(c, count, r));
        size_t to = byte_of(context, first_task(c, count, r + 1));
        status = broadcast(c, (char *)buffer + from, to - from, r, err);
    }
    return status;
}

dp_status dp_share_broadcast(dp_comm *c, void *buffer, size_t bytes, int from, dp_error *err) {
    if (dp_share_size(c) == 1) return DP_OK;
    dp_status status = dp_share_agree(c, DP_OK, err);
    return status == DP_OK ? broadcast(c, buffer, bytes, from, err) : status;
}

dp_status dp_share_same(dp_comm *c, const dp_share_fact *fact, dp_error *err) {
    char mine[80] = "", zero[80], other[80];
    int first = INT_MAX;
    if (dp_share_size(c) == 1) return DP_OK;
    snprintf(mine, sizeof mine, "%s", fact->text);
    memcpy(zero, mine, sizeof zero);
    dp_status status = dp_share_broadcast(c, zero, sizeof zero, 0, err);
    if (status == DP_OK)
        status = least(c, strcmp(mine, zero) != 0 ? c->rank : INT_MAX, &first, err);
    if (status != DP_OK || first == INT_MAX) return status;
    memcpy(other, mine, sizeof other);
    status = broadcast(c, other, sizeof other, first, err);
    if (status != DP_OK) return status;
    return dp_fail(err, fact->otherwise, "rank %d has %s %.16s, rank 0 has %.16s: %s", first,
                   fact->what, other, zero, must_be_the_same);
}
