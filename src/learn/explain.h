/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * What a layer's repetitions come to: its energy, what it is predicted to add to the loss, what the next joule there would save,
 * and how many bits its noise leaves.
 */
#ifndef DP_LEARN_EXPLAIN_H
#define DP_LEARN_EXPLAIN_H

#include "dynaprec/learn.h"

/* What is known of every channel. */
typedef struct dp_channel_facts {
    const double *repetitions, *sensitivity,
        *variance; /* [dp_engine_channels]; variance at K = 1 */
} dp_channel_facts;

/** Set a layer's energy_j, sensitivity, loss, loss_per_j and enob. */
void dp_explain_layer(dp_layer *layer, const dp_site_info *site, const dp_channel_facts *facts);

/** Names, numbers and MACs of a site. Errors: false, no memory; what there is belongs to the layer. */
bool dp_explain_site(dp_layer *layer, const dp_site_info *site, int index);

/** Effective bits of a site's outputs with noise of this variance; NaN without noise. Source: [Garg]. */
double dp_explain_enob(const dp_site_info *site, double variance);

/* Where sensitivities are found. */
typedef struct dp_explained_point {
    const dp_dataset *data;
    const dp_hardware *hardware; /* the engine's */
    const double *repetitions;   /* [dp_engine_channels] of an operating point, NULL: none */
} dp_explained_point;

/**
 * Sensitivities of all channels as learning finds them: at the clean point and, where there are repetitions, at that operating
 * point too, and then the mean of both. Where an operator has no reverse pass, layer by layer from measured losses.
 *
 * Shapes  s [dp_engine_channels].
 * Errors  as dp_engine_reference and dp_engine_sensitivity. *measured tells that there was no reverse pass.
 */
dp_status dp_explain_sensitivity(dp_engine *engine, const dp_explained_point *point, double *s,
                                 bool *measured, dp_error *err);

/**
 * The energy that the best real repetitions need for a loss, in parts of what one number everywhere needs for it, while no bound
 * is active: (sum sqrt(s B))^2 / (sum s sum B) over units, see docs/methods.md, "Relaxation". `channels`: of channels, else of layers.
 */
double dp_explain_potential(const dp_engine *engine, const double *s, bool channels);

#endif
