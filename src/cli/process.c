/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "cli/process.h"

void dp_process_start(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
}

int dp_process_end(int status) {
    return status;
}

dp_comm *dp_process_comm(void) {
    return 0;
}

bool dp_process_first(void) {
    return true;
}
