/* Runs the cells of a plan that the database does not hold yet. */
#ifndef HARNESS_SWEEP_H
#define HARNESS_SWEEP_H

#include "harness/plan.h"
#include "reports/store.h"

/* Where backends come from: loaded models, servers, or fakes for tests. One model is loaded at a time. */
typedef struct {
    /* Makes a model ready, under this setting where is_launched says so and else for all. NOMEM, NET and UNSUPPORTED end the
     * cells that wait for it; any other error ends the sweep. */
    bool (*load)(void *context, size_t model, size_t setting, Err *err);
    void (*unload)(void *context, size_t model);
    /* Opens one timeline on the loaded model; asked for once a job. Errors: NOMEM. */
    bool (*open)(void *context, size_t model, int64_t n_ctx_max, const SessionOptions *options,
                 Backend *backend, Err *err);
    /* Bytes that `open` would allocate. */
    size_t (*bytes)(void *context, size_t model, int64_t n_ctx_max);
    /* The rest may be NULL, which is false, 0 and nothing. */
    bool (*is_launched)(void *context, size_t model); /* each setting is a load of its own */
    int (*n_at_once)(void *context,
                     size_t model); /* cells that run elsewhere side by side; 0: n_jobs here */
    void (*describe)(void *context, size_t model,
                     Buf *out);                    /* a line for the record, once it is loaded */
    void (*warn)(void *context, const char *text); /* tells the user, while the sweep goes on */
    void *context;
} SweepSource;

typedef struct {
    const Plan *plan;
    Store *store;
    const RunRow *run;
    SweepSource source;
    int n_jobs;    /* timelines side by side, each on a thread of its own */
    int n_threads; /* threads of each */
    bool fresh;    /* run again what is done, as a new generation */
    /* False asks the sweep to stop; asked from several threads. */
    bool (*keep_going)(void *context);
    void *keep_going_context;
    /* Told what will be run (indices of cells, in the plan's order) and of each cell that ended, with its seconds in the engine's phases; may be NULL. */
    void (*on_start)(void *context, const size_t *pending, size_t n);
    void (*on_cell)(void *context, size_t cell, const CellResult *result, const Profile *engine);
    void *context;
} SweepConfig;

typedef struct {
    int64_t run_id;
    size_t n_pending;                  /* cells to run when the sweep started */
    size_t n_ended;                    /* of these, how many have a result now */
    int64_t counts[CELL_STATUS_COUNT]; /* of all cells of the run */
    int64_t n_other_kernels;           /* cells that an earlier run did by other kernels */
    Profile engine;                    /* seconds of all jobs in the engine */
    double cells_s;                    /* seconds of all jobs in cells, the engine's included */
    double jobs_s;                     /* jobs x wall seconds while they ran */
    double alone_s;                    /* wall seconds before, between and after the jobs */
    double store_alone_s;              /* of these, in the database */
    double store_s;                    /* in the database beside the jobs */
} SweepOutcome;

/* Runs what is pending; each result is in the database before the next is written. A cell that fails is a result, and the sweep goes on.
 * *out is filled in as far as the sweep came.
 * Errors: CANCELLED (keep_going said so), STORE, and what load reports. */
bool sweep_run(const SweepConfig *config, SweepOutcome *out, Err *err) MUST_USE;

#endif
