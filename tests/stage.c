/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "stage.h"

#include <check.h>
#include <string.h>

#include "suites.h"

void stage_open(stage *s, uint64_t seed) {
    memset(s, 0, sizeof *s);
    net_open(&s->n, seed);
    s->hardware = net_hardware((const char *const[]){"shot", NULL}, (double[]){1});
    dp_learn_defaults(&s->options);
}

void stage_run(stage *s) {
    if (!s->data)
        s->data = net_dataset(&s->n, &(net_data){.samples = SAMPLES, .spread = 1, .seed = 3});
    s->search = (dp_search){.options = &s->options,
                            .hardware = &s->hardware,
                            .learn = {.data = s->data, .samples = dp_dataset_count(s->data)}};
    ck_dp_ok(dp_condition_open(&s->condition, &s->search, s->n.graph, &err));
    ck_dp_ok(dp_condition_find(&s->condition, &s->search, s->n.graph, &err));
}

void stage_close(stage *s) {
    dp_engine_free(s->search.engine);
    dp_condition_clear(&s->condition);
    dp_dataset_free(s->data);
    net_close(&s->n);
}

const dp_conditioned_site *stage_done(const stage *s, const char *site, double *noise) {
    for (int i = 0; i < s->condition.choice.list.count; i++)
        if (strcmp(s->condition.choice.list.sites[i].site, site) == 0) {
            if (noise) *noise = s->condition.choice.noise[i];
            return &s->condition.choice.list.sites[i];
        }
    return NULL;
}

int stage_affine(net *n, int x, int rank, int axis, const float *scale, const float *shift) {
    int64_t dim[4] = {1, 1, 1, 1};
    dim[axis] = INPUTS;
    int a = net_weights(n, rank, dim, 1), b = net_weights(n, rank, dim, 1);
    memcpy(n->graph->values[a].constant->data, scale, INPUTS * sizeof(float));
    memcpy(n->graph->values[b].constant->data, shift, INPUTS * sizeof(float));
    return net_op(n, "Add", NET_IN(net_op(n, "Mul", NET_IN(x, a), NULL), b), NULL);
}

const float stage_ones[INPUTS] = {1, 1, 1, 1, 1, 1, 1, 1}, stage_zeros[INPUTS];
