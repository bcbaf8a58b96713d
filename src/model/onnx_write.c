/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dp_graph -> ONNX file. The message is built in an arena and borrows names and data from the graph; packing it writes straight to
 * the file. What the graph is, is written: folded constants as initializers, real types as float32.
 *
 * Source  onnx.proto: ModelProto, GraphProto, NodeProto, TensorProto, ValueInfoProto.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "model/graph_edit.h"
#include "model/onnx.h"
#include "model/onnx_names.h"

/* Protobuf allows 2 GiB, and readers want room beside the weights. */
#define MOST_BYTES ((size_t)1536 << 20)

enum { MOST_DOMAINS = 16, SUFFIX = 16 };

typedef struct writing {
    const dp_graph *graph;
    dp_arena arena;
    dp_names values, nodes;  /* that are taken */
    const char **name;       /* [values] unique; NULL: not used */
    bool no_memory;          /* sticky */
    Onnx__GraphProto *proto; /* with room for all */
    Onnx__OperatorSetIdProto *sets[MOST_DOMAINS];
    size_t n_sets;
    dp_error *err;
} writing;

/* Zeroed room; sticky failure, with a valid pointer to nothing never dereferenced by callers that check at the end. */
static void *take(writing *w, size_t count, size_t size) {
    void *room = w->no_memory ? NULL : dp_arena_alloc(&w->arena, count, size);
    if (!room) w->no_memory = true;
    return room;
}

/* Messages are written, not changed: their pointers are not const only because readers fill them. */
static char *text(const char *constant) {
    return (char *)(uintptr_t)constant;
}

/* The name, or the name with a number behind it where it is taken already. */
static const char *unique(writing *w, dp_names *names, const char *name) {
    size_t size = strlen(name) + SUFFIX;
    char *made = NULL;
    for (int i = 2; dp_names_find(names, made ? made : name) >= 0; i++) {
        if (!made && !(made = take(w, size, 1))) return NULL;
        snprintf(made, size, "%s_%d", name, i);
    }
    if (!dp_names_add(names, made ? made : name, 0)) w->no_memory = true;
    return made ? made : name;
}

/* Inputs and outputs first: theirs stay. */
static void name_values(writing *w) {
    const dp_graph *g = w->graph;
    const char **name = w->name = take(w, (size_t)g->n_values, sizeof *w->name);
    for (int i = 0; !w->no_memory && i < g->n_inputs + g->n_outputs; i++) {
        int v = i < g->n_inputs ? g->inputs[i] : g->outputs[i - g->n_inputs];
        if (!name[v]) name[v] = unique(w, &w->values, g->values[v].name);
    }
    for (int n = 0; n < g->n_nodes; n++) {
        const dp_node *node = &g->nodes[n];
        for (int k = 0; !w->no_memory && k < node->n_in + node->n_out; k++) {
            int v = k < node->n_in ? node->in[k] : node->out[k - node->n_in];
            if (v >= 0 && !name[v]) name[v] = unique(w, &w->values, g->values[v].name);
        }
    }
}

/* ---- tensors and types ---- */

static void write_tensor(writing *w, Onnx__TensorProto *proto, const dp_tensor *t) {
    onnx__tensor_proto__init(proto);
    proto->n_dims = (size_t)t->rank;
    proto->dims = take(w, (size_t)t->rank, sizeof *proto->dims);
    for (int i = 0; proto->dims && i < t->rank; i++) proto->dims[i] = t->dim[i];
    proto->has_data_type = true;
    proto->data_type = dp_onnx_type(t->dtype);
    proto->has_raw_data = true;
    proto->raw_data.data = t->data;
    proto->raw_data.len = dp_tensor_bytes(t);
}

/* A dimension that is not known has neither number nor name. */
static Onnx__TensorShapeProto *write_shape(writing *w, const dp_value *value) {
    size_t rank = (size_t)value->rank;
    Onnx__TensorShapeProto *shape = take(w, 1, sizeof *shape);
    Onnx__TensorShapeProto__Dimension *dims = take(w, rank, sizeof *dims);
    Onnx__TensorShapeProto__Dimension **list = take(w, rank, sizeof(void *));
    if (!list) return NULL;
    onnx__tensor_shape_proto__init(shape);
    for (size_t i = 0; i < rank; i++) {
        onnx__tensor_shape_proto__dimension__init(&dims[i]);
        if (value->dim[i] >= 0) {
            dims[i].value_case = ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE;
            dims[i].dim_value = value->dim[i];
        }
        list[i] = &dims[i];
    }
    shape->n_dim = rank;
    shape->dim = list;
    return shape;
}

static Onnx__ValueInfoProto *write_info(writing *w, int index) {
    const dp_value *value = &w->graph->values[index];
    Onnx__ValueInfoProto *info = take(w, 1, sizeof *info);
    Onnx__TypeProto *type = take(w, 1, sizeof *type);
    Onnx__TypeProto__Tensor *tensor = take(w, 1, sizeof *tensor);
    if (!tensor) return NULL;
    onnx__value_info_proto__init(info);
    onnx__type_proto__init(type);
    onnx__type_proto__tensor__init(tensor);
    tensor->has_elem_type = true;
    tensor->elem_type = dp_onnx_type(value->dtype == DP_NONE ? DP_F32 : value->dtype);
    tensor->shape = value->rank >= 0 ? write_shape(w, value) : NULL;
    type->value_case = ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE;
    type->tensor_type = tensor;
    info->name = text(w->name[index]);
    info->type = type;
    return info;
}

/* ---- nodes ---- */

/* Attributes that name a real type name float32, which all reals are here. */
static int64_t written_type(const dp_attr *attr) {
    static const char *const types[] = {"to", "dtype", "output_dtype", "stash_type"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(attr->name, types[i]) == 0 && attr->i > 0 && attr->i <= INT32_MAX &&
            dp_onnx_dtype((int32_t)attr->i) == DP_F32)
            return dp_onnx_type(DP_F32);
    return attr->i;
}

static void write_strings(writing *w, Onnx__AttributeProto *proto, const dp_attr *attr) {
    size_t count = (size_t)attr->count;
    proto->n_strings = count;
    proto->strings = take(w, count, sizeof *proto->strings);
    for (size_t i = 0; proto->strings && i < count; i++) {
        proto->strings[i].data = (uint8_t *)text(attr->strings[i]);
        proto->strings[i].len = strlen(attr->strings[i]);
    }
}

static void write_attribute(writing *w, Onnx__AttributeProto *proto, const dp_attr *attr) {
    static const Onnx__AttributeProto__AttributeType types[] = {
        [DP_ATTR_INT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT,
        [DP_ATTR_FLOAT] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT,
        [DP_ATTR_STRING] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING,
        [DP_ATTR_TENSOR] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR,
        [DP_ATTR_INTS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS,
        [DP_ATTR_FLOATS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS,
        [DP_ATTR_STRINGS] = ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS,
    };
    onnx__attribute_proto__init(proto);
    proto->name = text(attr->name);
    proto->has_type = true;
    proto->type = types[attr->kind];
    proto->has_i = attr->kind == DP_ATTR_INT;
    proto->i = proto->has_i ? written_type(attr) : 0;
    proto->has_f = attr->kind == DP_ATTR_FLOAT;
    proto->f = attr->f;
    if (attr->kind == DP_ATTR_STRING) {
        proto->has_s = true;
        proto->s = (ProtobufCBinaryData){strlen(attr->s), (uint8_t *)text(attr->s)};
    } else if (attr->kind == DP_ATTR_TENSOR) {
        proto->t = take(w, 1, sizeof *proto->t);
        if (proto->t) write_tensor(w, proto->t, &attr->tensor);
    } else if (attr->kind == DP_ATTR_INTS) {
        proto->n_ints = (size_t)attr->count;
        proto->ints = (int64_t *)(uintptr_t)attr->ints;
    } else if (attr->kind == DP_ATTR_FLOATS) {
        proto->n_floats = (size_t)attr->count;
        proto->floats = (float *)(uintptr_t)attr->floats;
    } else if (attr->kind == DP_ATTR_STRINGS) {
        write_strings(w, proto, attr);
    }
}

static void write_attributes(writing *w, Onnx__NodeProto *proto, const dp_node *node) {
    size_t count = (size_t)node->n_attrs;
    Onnx__AttributeProto *attrs = take(w, count, sizeof *attrs);
    proto->attribute = take(w, count, sizeof(void *));
    for (size_t i = 0; proto->attribute && i < count; i++) {
        write_attribute(w, &attrs[i], &node->attrs[i]);
        proto->attribute[i] = &attrs[i];
    }
    proto->n_attribute = count;
}

static char **write_names(writing *w, const int *values, int count) {
    char **names = take(w, (size_t)count, sizeof *names);
    for (int i = 0; names && i < count; i++)
        names[i] = text(values[i] < 0 ? "" : w->name[values[i]]);
    return names;
}

static dp_status import_set(writing *w, const char *domain, int version) {
    for (size_t i = 0; i < w->n_sets; i++)
        if (strcmp(w->sets[i]->domain, domain) == 0) return DP_OK;
    if (w->n_sets == MOST_DOMAINS)
        return dp_fail(w->err, DP_EUNSUPPORTED, "%s: operators of more than %d domains",
                       w->graph->path, MOST_DOMAINS);
    Onnx__OperatorSetIdProto *set = take(w, 1, sizeof *set);
    if (!set) return DP_OK;
    onnx__operator_set_id_proto__init(set);
    set->domain = text(domain);
    set->has_version = true;
    set->version = version;
    w->sets[w->n_sets++] = set;
    return DP_OK;
}

static dp_status write_node(writing *w, const dp_node *node) {
    Onnx__NodeProto *proto = take(w, 1, sizeof *proto);
    if (dp_node_is(node, "If"))
        return dp_fail(w->err, DP_EUNSUPPORTED,
                       "%s: node '%s' (If): a network that chooses between branches while it runs "
                       "cannot be written",
                       w->graph->path, node->name);
    if (!proto) return DP_OK;
    onnx__node_proto__init(proto);
    proto->name = text(unique(w, &w->nodes, node->name));
    proto->op_type = text(node->op_type);
    proto->domain = text(node->domain);
    proto->n_input = (size_t)node->n_in;
    proto->input = write_names(w, node->in, node->n_in);
    proto->n_output = (size_t)node->n_out;
    proto->output = write_names(w, node->out, node->n_out);
    write_attributes(w, proto, node);
    w->proto->node[w->proto->n_node++] = proto;
    return import_set(w, node->domain, node->opset);
}

/* ---- the graph ---- */

/* An output that is a constant is a copy of its initializer, which gets another name. */
static void write_identity(writing *w, const char *from, const char *to) {
    Onnx__NodeProto *proto = take(w, 1, sizeof *proto);
    char **names = take(w, 2, sizeof *names);
    if (!names) return;
    onnx__node_proto__init(proto);
    names[0] = text(from);
    names[1] = text(to);
    proto->name = text(unique(w, &w->nodes, to));
    proto->op_type = text("Identity");
    proto->n_input = proto->n_output = 1;
    proto->input = &names[0];
    proto->output = &names[1];
    w->proto->node[w->proto->n_node++] = proto;
}

static bool is_output(const dp_graph *graph, int value) {
    for (int i = 0; i < graph->n_outputs; i++)
        if (graph->outputs[i] == value) return true;
    return false;
}

static void write_initializers(writing *w) {
    for (int v = 0; v < w->graph->n_values; v++) {
        const dp_tensor *t = w->graph->values[v].constant;
        if (!w->name[v] || !t) continue;
        Onnx__TensorProto *proto = take(w, 1, sizeof *proto);
        if (!proto) return;
        write_tensor(w, proto, t);
        proto->name = text(w->name[v]);
        if (is_output(w->graph, v)) {
            proto->name = text(unique(w, &w->values, w->name[v]));
            write_identity(w, proto->name, w->name[v]);
        }
        w->proto->initializer[w->proto->n_initializer++] = proto;
    }
}

static void prepare(writing *w) {
    const dp_graph *g = w->graph;
    w->proto = take(w, 1, sizeof *w->proto);
    if (!w->proto) return;
    onnx__graph_proto__init(w->proto);
    w->proto->name = text("graph");
    w->proto->node = take(w, (size_t)(g->n_nodes + g->n_outputs), sizeof(void *));
    w->proto->initializer = take(w, (size_t)g->n_values, sizeof(void *));
    w->proto->input = take(w, (size_t)g->n_inputs, sizeof(void *));
    w->proto->output = take(w, (size_t)g->n_outputs, sizeof(void *));
}

static dp_status write_graph(writing *w) {
    const dp_graph *g = w->graph;
    dp_status status = DP_OK;
    prepare(w);
    if (!w->no_memory) name_values(w);
    for (int i = 0; !w->no_memory && i < g->n_inputs; i++)
        w->proto->input[w->proto->n_input++] = write_info(w, g->inputs[i]);
    for (int i = 0; !w->no_memory && i < g->n_outputs; i++)
        w->proto->output[w->proto->n_output++] = write_info(w, g->outputs[i]);
    if (!w->no_memory) write_initializers(w);
    for (int n = 0; !w->no_memory && status == DP_OK && n < g->n_nodes; n++)
        status = write_node(w, &g->nodes[n]);
    enum { OPSET_OF_COPIES = 13 };
    if (status == DP_OK) status = import_set(w, "", OPSET_OF_COPIES);
    return status;
}

/* Source  ONNX, docs/Versioning.md: the IR version that came out with an opset; initializers need not be inputs since 4. */
static int64_t ir_version(const writing *w) {
    static const struct {
        int64_t opset, ir;
    } newest[] = {{9, 4},  {10, 5},  {11, 6},  {14, 7}, {18, 8},
                  {20, 9}, {22, 10}, {23, 11}, {24, 12}};
    enum { COUNT = sizeof newest / sizeof *newest };
    int64_t opset = 0;
    for (size_t i = 0; i < w->n_sets; i++)
        if (!w->sets[i]->domain[0]) opset = w->sets[i]->version;
    for (int i = 0; i < COUNT; i++)
        if (opset <= newest[i].opset) return newest[i].ir;
    return 13;
}

typedef struct sink {
    ProtobufCBuffer base;
    FILE *stream;
} sink;

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes) {
    fwrite(bytes, 1, size, ((sink *)buffer)->stream);
}

static dp_status pack(writing *w, const char *path) {
    Onnx__ModelProto model;
    dp_output out = {0};
    onnx__model_proto__init(&model);
    model.has_ir_version = true;
    model.ir_version = ir_version(w);
    model.producer_name = text("dynaprec");
    model.producer_version = text(DYNAPREC_VERSION);
    model.graph = w->proto;
    model.n_opset_import = w->n_sets;
    model.opset_import = w->sets;
    size_t size = onnx__model_proto__get_packed_size(&model);
    if (size > MOST_BYTES)
        return dp_fail(w->err, DP_EUNSUPPORTED,
                       "%s: the network takes %.1f GiB; files of at most %.1f GiB are written",
                       path, (double)size / (1 << 30), (double)MOST_BYTES / (1 << 30));
    dp_status status = dp_output_open(&out, path, w->err);
    if (status != DP_OK) return status;
    sink to = {.base = {.append = append}, .stream = out.stream};
    onnx__model_proto__pack_to_buffer(&model, &to.base);
    return dp_output_close(&out, w->err);
}

dp_status dp_graph_save(const dp_graph *graph, const char *path, dp_error *err) {
    writing w = {.graph = graph, .err = err};
    dp_status status = write_graph(&w);
    if (status == DP_OK && w.no_memory)
        status = dp_fail(err, DP_EMEMORY, "%s: no memory to write it", path);
    if (status == DP_OK) status = pack(&w, path);
    dp_names_free(&w.values);
    dp_names_free(&w.nodes);
    dp_arena_free(&w.arena);
    return status;
}
