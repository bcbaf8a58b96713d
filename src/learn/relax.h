/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Relaxation: minimise sum of B_u K_u for a given sum of s_u / K_u over real K.
 *
 * Stationarity gives K_u = t r_u with r_u = sqrt(s_u / B_u); where a bound is active K_u sits on it. The one number t is found
 * by whoever has a target: an energy here, a measured loss in learn/scale.
 * Source  docs/methods.md, "Relaxation".
 */
#ifndef DP_LEARN_RELAX_H
#define DP_LEARN_RELAX_H

#include "learn/units.h"

/** r_u, scaled so that sum of B r = sum of B: t is then the mean repetitions while no bound is active. Shapes: shape [count]. */
void dp_relax_shape(const dp_units *units, double *shape);

/** K_u = t shape_u within the units' bounds and, if there is one, their limit of time (learn/time/timed.h). Shapes: k [count]. */
void dp_relax_at(const dp_units *units, const double *shape, double t, double *k);

/** The t at which the relaxed energy sum of B K is `energy_j`; the nearest possible one when bounds forbid it. */
double dp_relax_for_energy(const dp_units *units, const double *shape, double energy_j);

/** The t at which the predicted loss sum of s / K is `loss`; the nearest possible one when bounds forbid it. */
double dp_relax_for_loss(const dp_units *units, const double *shape, double loss);

/** The range of t outside which every unit sits on a bound, or the limit of time leaves hardly anything to gain. */
void dp_relax_range(const dp_units *units, const double *shape, double *low, double *high);

#endif
