/* What a sweep enters into the database before it runs: models, texts, settings with their angles. */
#ifndef HARNESS_SWEEP_ROWS_H
#define HARNESS_SWEEP_ROWS_H

#include "harness/plan.h"
#include "reports/store.h"

/* Inserts or finds every model, corpus and setting of a plan. Errors: STORE. */
bool sweep_put_rows(const Plan *plan, Store *store, Err *err) MUST_USE;

#endif
