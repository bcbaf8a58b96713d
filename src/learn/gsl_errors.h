/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * GSL ends the program at an error unless told otherwise, and there is one such handler for the whole process. Between these two calls GSL
 * returns its errors instead; calls that run side by side are counted, so that the first to end does not give the handler back
 * while another still relies on it.
 */
#ifndef DP_LEARN_GSL_ERRORS_H
#define DP_LEARN_GSL_ERRORS_H

void dp_gsl_errors_return(void);
void dp_gsl_errors_restore(void);

#endif
