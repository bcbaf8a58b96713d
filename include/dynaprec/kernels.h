/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Which of its kernels OpenBLAS runs for matrix products: half to nine tenths of what a pass takes.
 *
 * OpenBLAS chooses when it is loaded, by the processor's family and model, and reads OPENBLAS_CORETYPE then. A version that is older
 * than the processor chooses badly: Debian 12's runs at 0.2 to 0.6 of its speed on new ones. The program `dynaprec` sees this
 * and starts itself again; whoever uses the library sets the variable before his own program starts.
 */
#ifndef DYNAPREC_KERNELS_H
#define DYNAPREC_KERNELS_H

#ifdef __cplusplus
extern "C" {
#endif

/** OpenBLAS's name of the kernels that run ("SkylakeX", "Haswell", "Prescott"). */
const char *dp_kernels_running(void);

/** What OPENBLAS_CORETYPE should be on this processor; NULL: what runs is right for it. */
const char *dp_kernels_wanted(void);

/** Whether noisy passes multiply on AMX tiles: processor and system have them, and DYNAPREC_AMX is not "0" at the first question. */
int dp_kernels_tiles(void);

#ifdef __cplusplus
}
#endif
#endif
