/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * dynaprec-mpi: the same program as one of several processes. Passes are shared over MPI's ranks (dynaprec/comm.h); everything
 * between passes is computed by every rank from the same numbers, so all come to the same schedule, and rank 0 writes it.
 *
 * Where MPI itself fails the others cannot be told: then the rank says so and ends all of them.
 */
#include "cli/process.h"

#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/exit.h"

/* MPI counts in int; larger parts go in pieces. */
static const size_t largest_piece = (size_t)1 << 30;

static void fail_together(int rank, const char *what, int code) {
    char why[MPI_MAX_ERROR_STRING] = "";
    int length;
    MPI_Error_string(code, why, &length);
    fprintf(stderr, "dynaprec: rank %d: MPI: %s: %s\n", rank, what, why);
    MPI_Abort(MPI_COMM_WORLD, DP_EXIT_FAILED);
}

static dp_status least(void *self, int mine, int *found, dp_error *err) {
    (void)err;
    int code = MPI_Allreduce(&mine, found, 1, MPI_INT, MPI_MIN, MPI_COMM_WORLD);
    if (code != MPI_SUCCESS) fail_together(((dp_comm *)self)->rank, "a reduction failed", code);
    return DP_OK;
}

static dp_status broadcast(void *self, void *buffer, size_t bytes, int from, dp_error *err) {
    (void)err;
    for (size_t at = 0; at < bytes; at += largest_piece) {
        int count = (int)(bytes - at < largest_piece ? bytes - at : largest_piece);
        int code = MPI_Bcast((char *)buffer + at, count, MPI_BYTE, from, MPI_COMM_WORLD);
        if (code != MPI_SUCCESS) fail_together(((dp_comm *)self)->rank, "a broadcast failed", code);
    }
    return DP_OK;
}

static dp_comm comm = {.self = &comm, .least = least, .broadcast = broadcast};

void dp_process_start(int *argc, char ***argv) {
    int provided;
    MPI_Init_thread(argc, argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_rank(MPI_COMM_WORLD, &comm.rank);
    MPI_Comm_size(MPI_COMM_WORLD, &comm.size);
    if (comm.rank == 0) return;
    if (!freopen("/dev/null", "w", stdout)) MPI_Abort(MPI_COMM_WORLD, DP_EXIT_FAILED);
}

int dp_process_end(int status) {
    MPI_Finalize();
    return comm.rank == 0 ? status : EXIT_SUCCESS;
}

dp_comm *dp_process_comm(void) {
    return &comm;
}

bool dp_process_first(void) {
    return comm.rank == 0;
}
