/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The parts of the ONNX reader: a file and its external data (onnx_file.c), one tensor (onnx_tensor.c), the refusal of what
 * cannot be run (onnx_check.c), and the graph (onnx_graph.c over the names of onnx_scope.c, put in order by onnx_sort.c). onnx.c calls them in that order.
 * The way back is onnx_write.c.
 */
#ifndef DP_MODEL_ONNX_H
#define DP_MODEL_ONNX_H

#include "base/sha256.h"
#include "model/graph.h"
#include "onnx.pb-c.h"

typedef struct dp_onnx_external {
    char *location; /* as the model writes it */
    const unsigned char *data;
    size_t size;
} dp_onnx_external;

/* Zeroed, then dp_onnx_open, then dp_onnx_close. */
typedef struct dp_onnx_file dp_onnx_file;
struct dp_onnx_file {
    char *path;
    Onnx__ModelProto
        *model; /* only until the graph is built, which takes the tensors' data out of it */
    char sha256[DP_SHA256_HEX]; /* of the model file alone */
    size_t n_externals, room;
    dp_onnx_external *externals; /* mapped until the graph is freed */
};

/**
 * Read and parse a model file.
 *
 * Errors  DP_EIO; DP_EFORMAT when it is not a protobuf message of ONNX's kind, nests too deeply, or asks for an IR version
 *         or for no opset that is known here; DP_EMEMORY. *out is NULL then.
 */
dp_status dp_onnx_open(dp_onnx_file **out, const char *path, dp_error *err);

/** Release the parsed message; mappings stay. */
void dp_onnx_forget_model(dp_onnx_file *file);
void dp_onnx_close(dp_onnx_file *file);

/**
 * Map a file of external data, once however often it is asked for; *out stays valid until the next call.
 *
 * Errors  DP_EFORMAT for a location that is not inside the model's folder; DP_EIO; DP_EMEMORY.
 */
dp_status dp_onnx_map_external(dp_onnx_file *file, const char *location,
                               const dp_onnx_external **out, dp_error *err);

/** The file's digest; with external data the digest of all files' digests in hexadecimal, externals ordered by location. */
void dp_onnx_sha256(dp_onnx_file *file, char hex[DP_SHA256_HEX]);

/** "" for ONNX's own domain, which has two spellings. */
const char *dp_onnx_domain(const char *domain);

/** The version of a domain that the model imports; 0 when it does not. */
int dp_onnx_opset(const Onnx__ModelProto *model, const char *domain);

/** Our type for a TensorProto.DataType; DP_NONE where there is none. */
dp_dtype dp_onnx_dtype(int32_t type);
/** The other way round, for types that values have: float32 for reals. */
int32_t dp_onnx_type(dp_dtype dtype);
const char *dp_onnx_type_name(int32_t type);

/**
 * Read one tensor into *t, taking data over from the message or borrowing it from a mapping where its type allows.
 *
 * `what` names it in messages ("initializer 'w'"). Real types become float32.
 * Errors  DP_EFORMAT when data and shape disagree; DP_EUNSUPPORTED for its type; DP_EIO, DP_EMEMORY. *t is zeroed then.
 */
dp_status dp_onnx_tensor(dp_onnx_file *file, Onnx__TensorProto *proto, const char *what,
                         dp_tensor *t, dp_error *err);

/* What an attribute is read for. */
typedef struct dp_onnx_place {
    dp_onnx_file *file;
    dp_arena *arena; /* of the graph that gets it */
    const char *node;
    dp_error *err;
} dp_onnx_place;

/**
 * Read an attribute; of a GRAPH only the kind, its graph is left to the caller.
 *
 * Errors  DP_EFORMAT when it is not of the type that it claims; DP_EUNSUPPORTED for types that no operator here takes.
 */
dp_status dp_onnx_attribute(const dp_onnx_place *place, Onnx__AttributeProto *proto, dp_attr *attr);

/**
 * The tensor that a Constant's only attribute stands for; taken out of it where it is one.
 *
 * Source  ONNX operator Constant: value, value_float(s), value_int(s); strings and sparse ones are refused.
 */
dp_status dp_onnx_constant(const dp_onnx_place *place, dp_attr *attr, dp_tensor *t);

/** Refuse the model if an operator in it has no row, naming all of them; subgraphs included. */
dp_status dp_onnx_check_operators(const dp_onnx_file *file, dp_error *err);

/**
 * Refuse constants that would poison every result: NaN anywhere, infinity in an operand of an operator with sites (an additive
 * attention mask may be infinite). Constants that no node uses do not count.
 */
dp_status dp_onnx_check_constants(const dp_graph *graph, dp_error *err);

/** Build the graph: values, nodes in execution order, constants. On failure *out is NULL. */
dp_status dp_onnx_build(dp_graph **out, dp_onnx_file *file, dp_error *err);

/** Put nodes into an order in which every value is there before it is used, keeping the file's where it is one. */
dp_status dp_onnx_sort(dp_graph *graph, dp_error *err);

/** What a node without a name is called. Returns text. */
const char *dp_onnx_node_name(const Onnx__NodeProto *node, size_t index, char *text, size_t size);

#endif
