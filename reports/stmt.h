/* SQL statements: prepared once, bound by type in the order of the parameters, read by column. An error shows the SQL. */
#ifndef REPORTS_STMT_H
#define REPORTS_STMT_H

#include <sqlite3.h>

#include "base/err.h"

typedef struct {
    sqlite3_stmt *handle;
    int n_bound;  /* parameters bound so far */
    int bound_rc; /* the first failure of a bind, reported by the next step */
} Stmt;

/* Prepares one statement. Errors: STORE. */
bool stmt_open(sqlite3 *db, const char *sql, Stmt *out, Err *err) MUST_USE;

/* Accepts a zeroed statement. */
void stmt_close(Stmt *stmt);

/* Makes the statement ready for new parameters. */
void stmt_reset(Stmt *stmt);

/* Bind the next parameter. NULL, and a double that is not finite, become NULL; the text must live until the statement is reset. */
void stmt_put_text(Stmt *stmt, const char *text);
void stmt_put_i64(Stmt *stmt, int64_t value);
void stmt_put_double(Stmt *stmt, double value);

/* Binds NULL in place of the value that means "none". */
void stmt_put_i64_or_null(Stmt *stmt, int64_t value, int64_t none);

/* Steps to the next row: *row tells whether there is one. Errors: STORE. */
bool stmt_next(Stmt *stmt, bool *row, Err *err) MUST_USE;

/* Runs a statement that gives no rows and resets it. Errors: STORE. */
bool stmt_run(Stmt *stmt, Err *err) MUST_USE;

/* A column (from 0) of the current row. The text is lent until the next step and NULL where the column is; the double is then NaN, the integer 0. */
const char *stmt_text(Stmt *stmt, int column);
int64_t stmt_i64(Stmt *stmt, int column);
double stmt_double(Stmt *stmt, int column);
bool stmt_is_null(Stmt *stmt, int column);

/* Runs SQL without parameters or rows: transactions, the schema. Errors: STORE. */
bool sql_exec(sqlite3 *db, const char *sql, Err *err) MUST_USE;

/* The first column of the first row as an integer. Errors: STORE. */
bool sql_i64(sqlite3 *db, const char *sql, int64_t *out, Err *err) MUST_USE;

/* Whether the last failure was a full disk, a full quota or a file-size limit. */
bool sql_disk_full(sqlite3 *db);

/* Turns SQLite's last failure into an error. Always returns false. */
bool sql_error(sqlite3 *db, const char *sql, Err *err);

#endif
