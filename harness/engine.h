/* The engine behind a sweep: loads one model at a time, shares the cores out, and says what this process is. */
#ifndef HARNESS_ENGINE_H
#define HARNESS_ENGINE_H

#include "harness/sweep.h"
#include "models/model.h"

/* Zero-initialise but for the plan, the store and the run's id, which must outlive it. */
typedef struct {
    const Plan *plan;
    Store *
        store; /* takes the drift of each model that is loaded as an event; NULL: it is not measured */
    const int64_t *run_id; /* of the event, by the time that a model is loaded */
    Model *model;          /* the one that is loaded */
} EngineSource;

/* The backends of a sweep; the source must outlive them. */
SweepSource engine_source(EngineSource *source);

/* Bytes of a timeline of n_ctx tokens on a model of the plan, under the setting that takes most, with the scores it keeps. */
size_t engine_session_bytes(const Plan *plan, size_t index, int64_t n_ctx);

typedef struct {
    int n_jobs;
    int n_threads; /* of each job */
} EngineSplit;

/* How the cores are shared out; the numbers of a sweep do not depend on it. */
EngineSplit engine_split(const Plan *plan);

/* What the row of a run says, with the texts behind it. */
typedef struct {
    RunRow row;
    EngineSplit split;
    char *spec;
    char *version;
    char *machine;
    char *blas;
} EngineRun;

/* Chooses the kernels and describes a run of a plan by a command. Free with engine_describe_free. Errors: as load_kernels. */
bool engine_describe(const Command *command, const Plan *plan, EngineRun *out, Err *err) MUST_USE;
void engine_describe_free(EngineRun *run);

#endif
