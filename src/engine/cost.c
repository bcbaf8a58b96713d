/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What a precision costs: work, energy and time of all sites. */
#include <math.h>

#include "engine/state.h"

double dp_engine_macs(const dp_engine *e) {
    double macs = 0;
    for (int i = 0; i < e->n_sites; i++) macs += e->sites[i].info.macs;
    return macs;
}

static double block_operations(const dp_site_info *info, const double *repetitions, int64_t from) {
    double most = repetitions ? 0 : 1;
    for (int64_t c = from; repetitions && c < from + info->at_once && c < info->channels; c++)
        most = fmax(most, repetitions[info->first_channel + c]);
    return info->operations * most;
}

double dp_engine_operations(const dp_engine *e, const double *repetitions) {
    double operations = 0;
    for (int i = 0; i < e->n_sites; i++) {
        const dp_site_info *info = &e->sites[i].info;
        for (int64_t c = 0; c < info->channels; c += info->at_once)
            operations += block_operations(info, repetitions, c);
    }
    return operations;
}

double dp_engine_operation_s(const dp_engine *e) {
    return e->hardware->operation_s > 0 ? e->hardware->operation_s : NAN;
}

double dp_engine_energy(const dp_engine *e, const double *repetitions) {
    double energy = 0;
    for (int i = 0; i < e->n_sites; i++) {
        const dp_site_info *info = &e->sites[i].info;
        double mean = 0;
        for (int64_t c = 0; c < info->channels; c++) mean += repetitions[info->first_channel + c];
        energy += info->fixed_j + info->per_repetition_j * mean / (double)info->channels;
    }
    return energy;
}
