/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lists that own what they point to. */
#include <string.h>

#include "base/alloc.h"
#include "dynaprec/conditioning.h"

static bool copy_vector(const float **out, const float *vector, int64_t count) {
    if (!vector) return true;
    float *copy = dp_alloc((size_t)count, sizeof *copy);
    if (copy) memcpy(copy, vector, (size_t)count * sizeof *copy);
    *out = copy;
    return copy != NULL;
}

static bool copy_site(dp_conditioned_site *out, const dp_conditioned_site *s) {
    *out = (dp_conditioned_site){
        .site = dp_strdup(s->site), .inputs = s->inputs, .positions = s->positions};
    bool mu = copy_vector(&out->mu, s->mu, s->inputs);
    return copy_vector(&out->alpha, s->alpha, s->inputs) && mu && out->site;
}

dp_status dp_conditioning_copy(dp_conditioning *out, const dp_conditioning *list, dp_error *err) {
    *out = (dp_conditioning){0, dp_alloc((size_t)list->count, sizeof *out->sites)};
    bool whole = out->sites != NULL;
    while (whole && out->count < list->count) {
        whole = copy_site(&out->sites[out->count], &list->sites[out->count]);
        out->count++;
    }
    if (whole) return DP_OK;
    dp_conditioning_clear(out);
    return dp_fail(err, DP_EMEMORY, "no memory for what is done to %d sites", list->count);
}

void dp_conditioning_clear(dp_conditioning *list) {
    for (int i = 0; list && list->sites && i < list->count; i++) {
        const void *parts[] = {list->sites[i].site, list->sites[i].mu, list->sites[i].alpha};
        for (size_t k = 0; k < sizeof parts / sizeof *parts; k++)
            dp_free((void *)(uintptr_t)parts[k]);
    }
    if (!list) return;
    dp_free(list->sites);
    *list = (dp_conditioning){0};
}
