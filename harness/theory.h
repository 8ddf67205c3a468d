/* What the angles of a setting say before anything is measured, as rows of the database: heuristics, and the verdict of the audit. */
#ifndef HARNESS_THEORY_H
#define HARNESS_THEORY_H

#include "harness/plan.h"
#include "models/rope_audit.h"
#include "reports/store.h"

/* Stores the markers of a setting at each of n lengths (models/rope_markers.h); none where the trained length is not known. Model and
 * setting must be in the database. Errors: STORE. */
bool theory_put_predictions(Store *store, const PlanModel *model, const PlanSetting *setting,
                            const int64_t *n_ctx, size_t n, Err *err) MUST_USE;

/* The row of a verdict, without a residue at the model. Its strings live in the arguments. */
AuditRow theory_audit_row(const PlanModel *model, const PlanSetting *setting, int64_t n_ctx,
                          int64_t seed, const RopeAudit *audit);

/* Audits a setting at the longest length of a plan, at each where its table depends on the length, and stores the verdicts.
 * Errors: STORE. */
bool theory_put_audits(Store *store, const Plan *plan, const PlanModel *model,
                       const PlanSetting *setting, Err *err) MUST_USE;

#endif
