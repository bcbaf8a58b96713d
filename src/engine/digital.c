/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What conditioning costs: the operations that it has put into the network run digitally. */
#include "engine/state.h"

/* One operation a sample for each element of what a node reads or makes. */
static double operations_of(const dp_engine *e, const dp_node *node) {
    const dp_tensor *values = e->forward->values;
    int64_t in = dp_tensor_count(&values[node->in[0]]);
    int64_t out = dp_tensor_count(&values[node->out[0]]);
    return (double)(in > out ? in : out) / (double)e->options.batch;
}

void dp_engine_count_digital(dp_engine *e) {
    double operations = 0;
    for (int i = 0, site = 0; i < e->forward->n_steps; i++) {
        const dp_step *step = &e->forward->steps[i];
        const dp_node *node = &e->graph->nodes[step->node];
        bool last = i == e->forward->n_steps - 1;
        if (node->added) operations += operations_of(e, node);
        if (step->n_sites == 0 && !last) continue;
        if (step->n_sites > 0) site = step->first_site;
        e->sites[site].info.fixed_j += operations * e->hardware->digital_op_j;
        operations = 0;
    }
}
