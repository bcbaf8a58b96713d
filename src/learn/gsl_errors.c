/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "learn/gsl_errors.h"

#include <gsl/gsl_errno.h>
#include <pthread.h>

/* State of the process, as GSL's own handler is: nowhere else could it be counted. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static int users;
static gsl_error_handler_t *before;

void dp_gsl_errors_return(void) {
    pthread_mutex_lock(&mutex);
    if (users++ == 0) before = gsl_set_error_handler_off();
    pthread_mutex_unlock(&mutex);
}

void dp_gsl_errors_restore(void) {
    pthread_mutex_lock(&mutex);
    if (--users == 0) gsl_set_error_handler(before);
    pthread_mutex_unlock(&mutex);
}
