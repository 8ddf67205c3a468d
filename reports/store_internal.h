/* What the files of the store share: the handle, its statements, its transactions, the check of the schema. */
#ifndef REPORTS_STORE_INTERNAL_H
#define REPORTS_STORE_INTERNAL_H

#include "reports/stmt.h"
#include "reports/store.h"
#include "reports/store_lock.h"

/* Statements that are prepared at first use and kept; their SQL is in store_write.c. */
typedef enum {
    SQL_PUT_MODEL,
    SQL_PUT_SHAPE,
    SQL_PUT_CORPUS,
    SQL_PUT_SETTING,
    SQL_PUT_PAIR,
    SQL_PUT_PREDICTION,
    SQL_PUT_AUDIT,
    SQL_BEGIN_RUN,
    SQL_END_RUN,
    SQL_FIND_CELL,
    SQL_ADD_CELL,
    SQL_LINK_CELL,
    SQL_END_CELL,
    SQL_CLEAR_METRICS,
    SQL_CLEAR_TRIALS,
    SQL_CLEAR_POSITIONS,
    SQL_CLEAR_REPLIES,
    SQL_ADD_METRIC,
    SQL_ADD_TRIAL,
    SQL_ADD_POSITION,
    SQL_ADD_REPLY,
    SQL_ADD_EVENT,
    SQL_ADD_VERIFICATION,
    SQL_COUNT_CELLS,
    SQL_COUNT_OTHER_KERNELS,
    SQL_COUNT_OTHER_PRECISION,
    SQL_COUNT
} SqlId;

struct Store {
    sqlite3 *db;
    StoreLock lock;
    Stmt stmts[SQL_COUNT];
    int depth;       /* of nested transactions: the outermost commits */
    bool network_fs; /* the file lies on a network file system */
};

/* Opens a transaction, or joins the open one. Errors: STORE. */
bool store_begin(Store *store, Err *err) MUST_USE;

/* Ends what store_begin opened: the outermost commits when ok, and a failure at any depth undoes everything. Returns ok, or false when
 * the commit failed. Errors: STORE. */
bool store_end(Store *store, bool ok, Err *err);

/* Closes the statements of store_write.c. */
void store_close_stmts(Store *store);

/* Looks at the first bytes of the file without SQLite, which might write to a file that is to be refused. *is_new: absent or empty.
 * Errors: STORE (not a regular file, not a database, another program's, a newer version). */
bool store_check_header(const char *path, bool *is_new, Err *err) MUST_USE;

/* Creates the tables and views in one transaction. Errors: STORE. */
bool store_create_schema(sqlite3 *db, Err *err) MUST_USE;

/* Brings the schema of an older version up to date in one transaction, and leaves the database as it was when that fails. Errors: STORE. */
bool store_upgrade_schema(sqlite3 *db, const char *path, Err *err) MUST_USE;

/* Checks that every table and view is the one that this program makes, so that a hostile file cannot put code in its place.
 * Errors: STORE. */
bool store_check_schema(sqlite3 *db, const char *path, Err *err) MUST_USE;

/* Whether a file-system type (statfs's f_type) is a network's, where WAL does not work. */
bool store_is_network_fs(uint32_t type);

#endif
