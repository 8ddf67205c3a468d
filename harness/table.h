/* The tables of a sweep on the terminal. */
#ifndef HARNESS_TABLE_H
#define HARNESS_TABLE_H

#include "reports/store.h"

/* Prints setting × n_ctx for the first metric of every probe of a run on stdout, the best of each length marked, the
 * formula's λ under the lengths. Errors: STORE. */
bool table_print(Store *store, int64_t run_id, Err *err) MUST_USE;

#endif
