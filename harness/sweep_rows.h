/* What a sweep enters into the database before it runs: models, texts, settings with their angles, and what the angles say. */
#ifndef HARNESS_SWEEP_ROWS_H
#define HARNESS_SWEEP_ROWS_H

#include "harness/plan.h"
#include "reports/store.h"

/* Inserts or finds a model and its corpus. Errors: STORE. */
bool sweep_put_model(Store *store, const PlanModel *model, Err *err) MUST_USE;

/* Inserts or finds a setting with its angles, and stores its predictions at n lengths. Errors: STORE. */
bool sweep_put_setting(Store *store, const PlanModel *model, const PlanSetting *setting,
                       const int64_t *n_ctx, size_t n, Err *err) MUST_USE;

/* Enters every model, corpus and setting of a plan, the settings with their verdicts, in one transaction. Errors: STORE. */
bool sweep_put_rows(const Plan *plan, Store *store, Err *err) MUST_USE;

#endif
