/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/refine/moments.h"

#include <math.h>

#include "base/alloc.h"

static const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;

dp_status dp_moments_open(dp_moments *m, const dp_units *u, dp_error *err) {
    *m = (dp_moments){0};
    double **room[] = {&m->k, &m->log_k, &m->first, &m->second};
    for (int i = 0; i < 4; i++)
        if (!(*room[i] = dp_alloc((size_t)u->count, sizeof(double))))
            return dp_fail(err, DP_EMEMORY, "no memory for a search");
    return DP_OK;
}

void dp_moments_close(dp_moments *m) {
    dp_free(m->k);
    dp_free(m->log_k);
    dp_free(m->first);
    dp_free(m->second);
    *m = (dp_moments){0};
}

void dp_moments_place(dp_moments *m, const dp_units *u, const double *k) {
    for (int i = 0; i < u->count; i++) {
        m->k[i] = fmin(fmax(k[i], u->low[i]), u->high[i]);
        m->log_k[i] = log(m->k[i]);
    }
}

void dp_moments_step(dp_moments *m, const dp_units *u, const double *gradient, double rate) {
    m->step++;
    double bias1 = 1 - pow(beta1, m->step), bias2 = 1 - pow(beta2, m->step);
    for (int i = 0; i < u->count; i++) {
        double g = gradient[i];
        m->first[i] = beta1 * m->first[i] + (1 - beta1) * g;
        m->second[i] = beta2 * m->second[i] + (1 - beta2) * g * g;
        m->log_k[i] -= rate * m->first[i] / bias1 / (sqrt(m->second[i] / bias2) + epsilon);
        m->log_k[i] = fmin(fmax(m->log_k[i], log(u->low[i])), log(u->high[i]));
        m->k[i] = exp(m->log_k[i]);
    }
}
