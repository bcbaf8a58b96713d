/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dynaprec: learn how precise each layer of a network has to be on a noisy analog accelerator.
 *
 *     dp_error err;
 *     dp_graph *net = NULL;
 *     dp_dataset *data = NULL, *half[2] = {NULL, NULL};
 *     dp_hardware hw;
 *     dp_schedule plan = {0};
 *     dp_learn_options options;
 *     dp_learn_defaults(&options);
 *     options.max_drop = 2;
 *     if (dp_graph_load(&net, "model.onnx", &err) == DP_OK &&
 *         dp_hardware_read(&hw, "homodyne.yaml", &err) == DP_OK && ... dp_dataset_open, dp_dataset_split ... &&
 *         dp_learn(&plan, net, &hw, (const dp_dataset *const *)half, &options, &err) == DP_OK)
 *         dp_schedule_write(&plan, "schedule.yaml", &err);
 *
 * examples/c/learn.c is the whole program. Link with -ldynaprec and what pkg-config --libs --static dynaprec says.
 */
#ifndef DYNAPREC_H
#define DYNAPREC_H

#include "dynaprec/comm.h"
#include "dynaprec/conditioning.h"
#include "dynaprec/dataset.h"
#include "dynaprec/engine.h"
#include "dynaprec/export.h"
#include "dynaprec/graph.h"
#include "dynaprec/hardware.h"
#include "dynaprec/kernels.h"
#include "dynaprec/learn.h"
#include "dynaprec/npz.h"
#include "dynaprec/progress.h"
#include "dynaprec/run.h"
#include "dynaprec/schedule.h"
#include "dynaprec/status.h"
#include "dynaprec/stop.h"
#include "dynaprec/tensor.h"

#endif
