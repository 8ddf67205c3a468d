#include "reports/stmt.h"

#include <errno.h>
#include <math.h>

bool sql_disk_full(sqlite3 *db)
{
    int rc = sqlite3_extended_errcode(db);
    if ((rc & 0xff) == SQLITE_FULL) return true;
    if ((rc & 0xff) != SQLITE_IOERR) return false;
    int reason = sqlite3_system_errno(db);
    /* A failing write to the WAL leaves its reason in errno alone. */
    if (reason == 0 && rc == SQLITE_IOERR_WRITE) reason = errno;
    return reason == ENOSPC || reason == EDQUOT || reason == EFBIG;
}

bool sql_error(sqlite3 *db, const char *sql, Err *err)
{
    const char *path = sqlite3_db_filename(db, "main");
    if (!path || !*path) path = ":memory:";
    if (sql_disk_full(db))
        return err_set(err, ERR_STORE, "disk full writing %s; free space and rerun", path);
    const char *why = sqlite3_errmsg(db);
    switch (sqlite3_errcode(db)) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_set(
            err, ERR_STORE,
            "%s: the database is damaged (%s); recover what is left with sqlite3's .recover", path,
            why);
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
        return err_set(err, ERR_STORE, "%s: %s; is the file or its folder read-only?", path, why);
    case SQLITE_BUSY:
        return err_set(err, ERR_STORE, "%s: is locked by another program; close it there and rerun",
                       path);
    default: return err_set(err, ERR_STORE, "%s: %s, in: %.300s", path, why, sql);
    }
}

bool stmt_open(sqlite3 *db, const char *sql, Stmt *out, Err *err)
{
    *out = (Stmt){0};
    const char *tail;
    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &out->handle, &tail) !=
        SQLITE_OK)
        return sql_error(db, sql, err);
    assert(out->handle && !*tail);
    return true;
}

void stmt_close(Stmt *stmt)
{
    sqlite3_finalize(stmt->handle);
    *stmt = (Stmt){0};
}

void stmt_reset(Stmt *stmt)
{
    sqlite3_reset(stmt->handle);
    sqlite3_clear_bindings(stmt->handle);
    stmt->n_bound = 0;
    stmt->bound_rc = SQLITE_OK;
}

static void keep_first_failure(Stmt *stmt, int rc)
{
    if (stmt->bound_rc == SQLITE_OK) stmt->bound_rc = rc;
}

void stmt_put_text(Stmt *stmt, const char *text)
{
    keep_first_failure(stmt,
                       sqlite3_bind_text(stmt->handle, ++stmt->n_bound, text, -1, SQLITE_STATIC));
}

void stmt_put_i64(Stmt *stmt, int64_t value)
{
    keep_first_failure(stmt, sqlite3_bind_int64(stmt->handle, ++stmt->n_bound, value));
}

void stmt_put_double(Stmt *stmt, double value)
{
    int at = ++stmt->n_bound;
    keep_first_failure(stmt, isfinite(value) ? sqlite3_bind_double(stmt->handle, at, value)
                                             : sqlite3_bind_null(stmt->handle, at));
}

void stmt_put_i64_or_null(Stmt *stmt, int64_t value, int64_t none)
{
    if (value != none)
        stmt_put_i64(stmt, value);
    else
        keep_first_failure(stmt, sqlite3_bind_null(stmt->handle, ++stmt->n_bound));
}

bool stmt_next(Stmt *stmt, bool *row, Err *err)
{
    assert(stmt->n_bound == sqlite3_bind_parameter_count(stmt->handle));
    int rc = stmt->bound_rc == SQLITE_OK ? sqlite3_step(stmt->handle) : stmt->bound_rc;
    *row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) return true;
    return sql_error(sqlite3_db_handle(stmt->handle), sqlite3_sql(stmt->handle), err);
}

bool stmt_run(Stmt *stmt, Err *err)
{
    bool row;
    bool ok = stmt_next(stmt, &row, err);
    assert(!ok || !row);
    stmt_reset(stmt);
    return ok;
}

/* The library's text is unsigned char; the program's is char. */
const char *stmt_text(Stmt *stmt, int column)
{
    return (const char *)sqlite3_column_text(stmt->handle, column);
}

int64_t stmt_i64(Stmt *stmt, int column)
{
    return sqlite3_column_int64(stmt->handle, column);
}

double stmt_double(Stmt *stmt, int column)
{
    return stmt_is_null(stmt, column) ? (double)NAN : sqlite3_column_double(stmt->handle, column);
}

bool stmt_is_null(Stmt *stmt, int column)
{
    return sqlite3_column_type(stmt->handle, column) == SQLITE_NULL;
}

bool sql_exec(sqlite3 *db, const char *sql, Err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK || sql_error(db, sql, err);
}

bool sql_i64(sqlite3 *db, const char *sql, int64_t *out, Err *err)
{
    Stmt stmt;
    bool row = false;
    bool ok = stmt_open(db, sql, &stmt, err) && stmt_next(&stmt, &row, err);
    if (ok) *out = row ? stmt_i64(&stmt, 0) : 0;
    stmt_close(&stmt);
    return ok;
}
