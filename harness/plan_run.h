/* Plans and runs what a command measures: what `sweep` and `compare` share. */
#ifndef HARNESS_PLAN_RUN_H
#define HARNESS_PLAN_RUN_H

#include "harness/sweep.h"

/* The plan of the options' models, settings, lengths and probes; the options must outlive it. The caller frees it with plan_free.
 * Errors: USAGE (no model, no database to run into), and as plan_add_model and plan_lay_out. */
Plan *plan_make(const Command *command, const Options *options, Err *err) MUST_USE;

/* What is printed when every cell has ended. */
typedef struct {
    /* Returns the exit status; sets err when it is an error's. */
    int (*print)(const Plan *plan, Store *store, const SweepOutcome *outcome, void *context,
                 Err *err);
    void *context;
} PlanReport;

/* Prints what the plan costs where the options say --dry-run; else runs it with the engine into their database and hands over to the
 * report. Returns the exit status; sets err when it is an error's. */
int plan_execute(const Plan *plan, const PlanReport *report, Err *err);

#endif
