/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Conditioning from the inside (see dynaprec/conditioning.h): what a site multiplies (condition_operand.c), and the rewritings. They
 * work on a graph of their own (graph_edit.h) whose values have the shapes that are known; balancing comes before centring, so that
 * W mu is that of the weights which are multiplied in the end.
 */
#ifndef DP_MODEL_CONDITION_H
#define DP_MODEL_CONDITION_H

#include "model/graph_edit.h"

/*
 * The operand of a site with weights, and how these are stored: [first, second, taps], where `first` are the outputs and `second` the
 * inputs of a group, or the other way round.
 */
typedef struct dp_operand {
    int node, slot;
    int input_in, weight_in;
    int axis; /* of the input, counted from its last one: -1, -2, ... */
    int64_t inputs, outputs, groups, taps;
    bool inputs_first;
    bool spatial; /* Conv, ConvTranspose */
} dp_operand;

/** Describe product `slot` of a node; false where there are no constant weights, or they are of a kind that is not rewritten. */
bool dp_operand_read(const dp_graph *graph, int node, int slot, dp_operand *o);

/** The axis of the output along which its channels lie, counted from its last one. Not for recurrent nodes. */
int dp_operand_channels(const dp_graph *graph, const dp_operand *o);

/** The input that element e of the weights multiplies, and the output that it belongs to. */
typedef struct dp_weight_place {
    int64_t input, output, tap;
} dp_weight_place;
dp_weight_place dp_operand_place(const dp_operand *o, int64_t e);

/** sums[outputs, taps] = W mu for each tap, in double. NULL when memory cannot be had; else for dp_free. */
double *dp_operand_sums(const dp_graph *graph, const dp_operand *o, const float *mu);

/** Where W mu goes. */
typedef enum dp_shift {
    DP_SHIFT_NONE, /* nowhere: it cannot be told, and the site not centred */
    DP_SHIFT_BIAS, /* into a constant that is added anyway */
    DP_SHIFT_ADD,  /* into a node of its own */
} dp_shift;
dp_shift dp_condition_shift(const dp_graph *graph, const dp_operand *o);

/** Whether W mu is the same at all positions of a spatial site. */
typedef enum dp_map_kind { DP_MAP_UNKNOWN, DP_MAP_EVEN, DP_MAP_UNEVEN } dp_map_kind;
dp_map_kind dp_condition_map_kind(const dp_graph *graph, const dp_operand *o);

/**
 * What W mu is at each position of a spatial site where padding is not shifted.
 *
 * Source  docs/methods.md, "Conditioning". Shapes: sums as of dp_operand_sums; *t: [1, outputs, ...], of length 1 along axes that do not matter.
 * Errors  DP_ERANGE where the kind is unknown; DP_EMEMORY.
 */
dp_status dp_condition_map(const dp_graph *graph, const dp_operand *o, const double *sums,
                           dp_tensor *t, dp_error *err);

/** Shifts that are done, so that sites that read the same share them. Zero-initialise; clear with dp_free(list.at). */
typedef struct dp_shared_list {
    int count;
    size_t room;
    struct dp_shared {
        int from, to;   /* values */
        const char *op; /* the node's */
        int constant;   /* value */
        int guard;
    } * at;
} dp_shared_list;

/**
 * Let the site read what `op` makes of its operand and a vector [inputs]: a value that is there already, or a new node's.
 *
 * Errors  DP_EMEMORY.
 */
dp_status dp_condition_operand(dp_graph *graph, dp_shared_list *list, const dp_operand *o,
                               const char *op, const float *vector, dp_error *err);

/** Let the site read x - mu and add W mu behind it. Errors: DP_EMEMORY. */
dp_status dp_condition_centre(dp_graph *graph, dp_shared_list *list, const dp_operand *o,
                              const float *mu, dp_error *err);

/* What is done to constant input k of a node: it is multiplied or divided along an axis, or holds the rows of a product. */
typedef struct dp_scaling {
    int node, k, axis;
    enum { DP_MULTIPLIED, DP_DIVIDED, DP_ROWS } how;
} dp_scaling;

enum { DP_LONGEST_WAY = 64 };

/* How a factor alpha of a site's operand gets into constants of the nodes before. */
typedef struct dp_way {
    int count;
    dp_scaling scalings[DP_LONGEST_WAY];
} dp_way;

/**
 * Find a way for the operand's factor; false where there is none.
 *
 * uses  as of dp_graph_uses. The operand itself may have several readers, who have to agree: that is the caller's to check.
 */
bool dp_condition_find_way(const dp_graph *graph, const int *uses, const dp_operand *o,
                           dp_way *way);

/** Multiply along the way; what it goes through may have been rewritten since. Errors: DP_EMEMORY, DP_ERANGE. */
dp_status dp_condition_scale_way(dp_graph *graph, const dp_way *way, int64_t channels,
                                 const float *alpha, dp_error *err);

/** W_ij / alpha_j. Errors: DP_EMEMORY, DP_ERANGE where that is too large for float32. */
dp_status dp_condition_divide(dp_graph *graph, const dp_operand *o, const float *alpha,
                              dp_error *err);

/* What the right operand of an attention product is. */
typedef enum dp_positions {
    DP_POSITIONS_NONE,
    DP_POSITIONS_KEYS,
    DP_POSITIONS_VALUES
} dp_positions;
dp_positions dp_condition_positions(const dp_graph *graph, int node);

/** Let the product read its right operand less its mean over positions. Errors: DP_EMEMORY. */
dp_status dp_condition_centre_positions(dp_graph *graph, int node, dp_error *err);

dp_status dp_condition_no_memory(const dp_graph *graph, dp_error *err);

#endif
