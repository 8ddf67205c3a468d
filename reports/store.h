/* The results database: one SQLite file, one writer, many readers.
 *
 * A cell is looked up by its key. Unknown keys become pending, done ones are left alone and are
 * linked to this run: running the same command again is the resume. One transaction a cell;
 * nothing is ever deleted.
 * Source: the schema is reports/schema.sql and docs/results.md. */
#ifndef REPORTS_STORE_H
#define REPORTS_STORE_H

#include "reports/result.h"

typedef struct Store Store;
typedef struct sqlite3 sqlite3;

/* "ROPE" as SQLite's application id. */
#define STORE_APPLICATION_ID 0x524f5045
enum { STORE_SCHEMA_VERSION = 4 };

/* Opens for writing, creates when absent (":memory:" for tests), takes the writer's lock: a file
 * beside the database that names pid, host and start. A dead process's lock and its running cells
 * are taken back. An older schema is brought up to date.
 * Errors: STORE (not a database, another program's, a newer version, damaged, in use by pid N on
 * host H since T, disk full). */
Store *store_open(const char *path, Err *err) MUST_USE;

/* Opens for reading; works while a sweep writes. Hostile files are read as data only. A file of an
 * older schema is read from a copy in memory. Errors: STORE. */
Store *store_open_read_only(const char *path, Err *err) MUST_USE;

void store_close(Store *store);

/* The SQLite handle, for the queries of the reports. Lends. */
sqlite3 *store_sqlite(Store *store);

/* Inserts or finds a row by its hash or key. Errors: STORE. */
bool store_put_model(Store *store, const ModelRow *row, Err *err) MUST_USE;
bool store_put_corpus(Store *store, const CorpusRow *row, Err *err) MUST_USE;
bool store_put_setting(Store *store, const SettingRow *row, const SettingPairRow *pairs,
                       size_t n_pairs, Err *err) MUST_USE;

/* Inserts a prediction or a verdict, or replaces that of the same model, setting, length (and quantity). Model and setting must be
 * there. Errors: STORE. */
bool store_put_prediction(Store *store, const PredictionRow *row, Err *err) MUST_USE;
bool store_put_audit(Store *store, const AuditRow *row, Err *err) MUST_USE;

/* Starts a run; sets *run_id. Errors: STORE. */
bool store_begin_run(Store *store, const RunRow *row, int64_t *run_id, Err *err) MUST_USE;

/* Marks how a run ended: "done", "interrupted", "failed". Errors: STORE. */
bool store_end_run(Store *store, int64_t run_id, const char *how, Err *err) MUST_USE;

/* A cell as a run asks for it. */
typedef struct {
    const CellRow *row;
    int64_t ordinal; /* its place in the run */
    bool
        fresh; /* leave a cell of this key that has already ended, make one of the next generation */
} CellRequest;

/* Adds a planned cell or finds it by key, and links it to the run. Sets *cell_id and *status (PENDING for a new one). Many calls go
 * in one store_begin_plan / store_end_plan pair; a call that fails undoes the whole plan. Errors: STORE. */
bool store_begin_plan(Store *store, Err *err) MUST_USE;
bool store_plan_cell(Store *store, int64_t run_id, const CellRequest *request, int64_t *cell_id,
                     CellStatus *status, Err *err) MUST_USE;
bool store_end_plan(Store *store, Err *err) MUST_USE;

/* Writes a cell's result in one transaction, replacing what an earlier failed try left. Errors:
 * STORE (disk full: earlier cells are safe). */
bool store_finish_cell(Store *store, int64_t cell_id, int64_t run_id, const CellResult *result,
                       Err *err) MUST_USE;

/* Appends a line to the event table: level is "info" or "warning". Errors: STORE. */
bool store_add_event(Store *store, int64_t run_id, const char *level, const char *text,
                     Err *err) MUST_USE;

/* Appends what came of running a stored cell again. Errors: STORE. */
bool store_add_verification(Store *store, const VerificationRow *row, Err *err) MUST_USE;

/* Number of cells of a run by status. Errors: STORE. */
bool store_count_cells(Store *store, int64_t run_id, int64_t counts[CELL_STATUS_COUNT],
                       Err *err) MUST_USE;

/* Number of cells of a run that an earlier run did by other kernels: run.blas begins with the name of the kernels and ";".
 * Errors: STORE. */
bool store_count_other_kernels(Store *store, int64_t run_id, int64_t *n, Err *err) MUST_USE;

/* Number of cells of a run that are done at another precision, too, all else being equal. Errors: STORE. */
bool store_count_other_precision(Store *store, int64_t run_id, int64_t *n, Err *err) MUST_USE;

#endif
