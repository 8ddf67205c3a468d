/* JSON: the rows of the tidy CSV as objects. Numbers keep every bit, what is missing is null. */
#include "reports/json_out.h"
#include "reports/report_internal.h"

static json_t *field_json(Stmt *stmt, int column)
{
    switch (sqlite3_column_type(stmt->handle, column)) {
    case SQLITE_INTEGER: return json_integer(stmt_i64(stmt, column));
    case SQLITE_FLOAT: return json_out_number(stmt_double(stmt, column));
    case SQLITE_NULL: return json_null();
    default: return json_out_text(stmt_text(stmt, column));
    }
}

static void put_object(Stmt *stmt, int n_columns, Buf *out)
{
    json_t *object = json_object();
    for (int i = 0; i < n_columns; i++)
        json_object_set_new(object, sqlite3_column_name(stmt->handle, i), field_json(stmt, i));
    json_out_line(object, out);
    json_decref(object);
}

/* Appends the objects with a text between two of them. */
static bool put_objects(Store *store, const ReportOptions *options, const char *between, Buf *out,
                        Err *err)
{
    Stmt stmt;
    bool row;
    bool ok;
    if (!report_open_rows(store, options, &stmt, err)) return false;
    int n_columns = sqlite3_column_count(stmt.handle);
    const char *before = "";
    while ((ok = stmt_next(&stmt, &row, err)) && row) {
        buf_puts(out, before);
        put_object(&stmt, n_columns, out);
        before = between;
    }
    if (*before) buf_putc(out, '\n');
    stmt_close(&stmt);
    return ok;
}

bool report_json(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    buf_puts(out, "[\n");
    bool ok = put_objects(store, options, ",\n", out, err);
    buf_puts(out, "]\n");
    return ok;
}

bool report_jsonl(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    return put_objects(store, options, "\n", out, err);
}
