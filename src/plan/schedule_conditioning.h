/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The block `conditioning` of a schedule: what was done to the operands of which sites. A site's vectors stand in the block while they
 * have DP_INLINE_VECTORS entries together at most; larger ones are arrays "mu.N" and "alpha.N" (N: the entry's number in the list) of an
 * NPZ file beside the schedule, whose name comes from its content: conditioning-<16 digits of its SHA-256>.npz. So schedules with the
 * same vectors share a file, and equal runs write equal bytes whatever the schedule is called.
 */
#ifndef DP_PLAN_SCHEDULE_CONDITIONING_H
#define DP_PLAN_SCHEDULE_CONDITIONING_H

#include "base/sha256.h"
#include "base/yaml.h"
#include "base/yaml_write.h"
#include "dynaprec/schedule.h"

enum { DP_INLINE_VECTORS = 64 };

typedef struct dp_vector_file {
    bool apart;    /* large vectors are in a file; false: all are in the block */
    char name[64]; /* "": there is none */
    char sha256[DP_SHA256_HEX];
} dp_vector_file;

/**
 * Write the file of large vectors beside `path`, if there are any. To a device or pipe, which has nothing beside it, they go inline.
 *
 * Errors  DP_EIO, DP_EMEMORY.
 */
dp_status dp_schedule_write_vectors(const dp_schedule *schedule, const char *path,
                                    dp_vector_file *file, dp_error *err);

/** Write the block; nothing where nothing was done. */
void dp_schedule_write_conditioning(dp_yaml_writer *w, const dp_schedule *schedule,
                                    const dp_vector_file *file);

/** Read the block, if there is one, and the file beside `path`; what is wrong stays with the tree. */
void dp_schedule_read_conditioning(dp_yaml_node *root, const char *path, dp_schedule *out);

#endif
