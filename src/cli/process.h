/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Whether this program is one of several that share the work. process.c is the answer for the ordinary program (it is
 * alone); src/mpi/process.c replaces it in dynaprec-mpi.
 */
#ifndef DP_CLI_PROCESS_H
#define DP_CLI_PROCESS_H

#include "dynaprec/comm.h"

/** Join the others. The standard output of all but the first process is closed. */
void dp_process_start(int *argc, char ***argv);

/** Leave them, with this exit status: the first process's is the run's. */
int dp_process_end(int status);

/** How to work with the others; NULL: alone. */
dp_comm *dp_process_comm(void);

/** Whether this process prints messages and results, and writes files. */
bool dp_process_first(void);

#endif
