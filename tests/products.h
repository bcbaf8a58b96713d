/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Networks of one product with weights, of every form that there is. */
#ifndef TESTS_PRODUCTS_H
#define TESTS_PRODUCTS_H

#include "net.h"

typedef struct product_case {
    const char *name;
    int (*build)(net *n); /* returns a value that the product makes */
    int input_in;         /* the node's input that is not weights */
    bool adds_outputs; /* there is no constant behind the product that could take what is added */
} product_case;

/** Ends with one without a name. */
extern const product_case product_cases[];
int product_case_count(void);

#endif
