/* CSV: the view v_cell_all as it is. RFC 4180 with "\n": text is always quoted, numbers never, an empty field is missing. Numbers are
 * "%.9g", which reads back well below any interval's width. A text that a spreadsheet would run as a formula is left as it is, since a
 * prefix would break joins on it, and counted, so that the caller can warn. */
#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

/* The default: nothing that differs between two runs of the same sweep. */
#define PLAIN_COLUMNS                                                                                \
 "model, method, setting, class, lambda, factor, theta, n_ctx_orig, n_ctx, probe, protocol, params," \
 " corpus, depth, seed, precision, bos_policy, status, metric, unit, value, n, ci_low, ci_high,"     \
 " ci_method, limited, message"

#define PROVENANCE_COLUMNS                                                                \
 ", cell_key, generation, model_hash, corpus_hash, setting_key, numeric_version, run_id," \
 " finished_at, seconds, n_prefilled, run_started_at, machine, blas, version, command"

#define CELLS " FROM v_cell_all"
#define CELLS_AND_RUNS                                                                          \
 " FROM v_cell_all LEFT JOIN (SELECT id, started_at AS run_started_at, machine, blas, version," \
 " command FROM run) AS r ON r.id = run_id"
#define WANTED " WHERE " REPORT_IN_SCOPE " ORDER BY " REPORT_KEY_ORDER

static bool is_formula(const char *text)
{
    return *text && strchr("=+-@\t\r", *text);
}

/* Quoted; invalid UTF-8 becomes U+FFFD, so that strict readers take the file. */
static void put_quoted(const char *text, Buf *out)
{
    size_t left = strlen(text);
    buf_putc(out, '"');
    while (left > 0) {
        int n = str_utf8_char(text, left, NULL);
        if (*text == '"') buf_putc(out, '"');
        if (n)
            buf_append(out, text, (size_t)n);
        else
            buf_puts(out, "\xef\xbf\xbd");
        text += n ? n : 1;
        left -= n ? (size_t)n : 1;
    }
    buf_putc(out, '"');
}

static void put_field(Stmt *stmt, int column, const ReportOptions *options, Buf *out)
{
    switch (sqlite3_column_type(stmt->handle, column)) {
    case SQLITE_INTEGER: buf_printf(out, "%lld", (long long)stmt_i64(stmt, column)); break;
    case SQLITE_FLOAT: buf_printf(out, "%.9g", stmt_double(stmt, column)); break;
    case SQLITE_NULL: break;
    default: {
        const char *text = stmt_text(stmt, column);
        if (!text) break;
        if (options->n_formulas && is_formula(text)) ++*options->n_formulas;
        put_quoted(text, out);
    }
    }
}

static void put_row(Stmt *stmt, int n_columns, const ReportOptions *options, Buf *out)
{
    for (int i = 0; i < n_columns; i++) {
        if (i > 0) buf_putc(out, ',');
        put_field(stmt, i, options, out);
    }
    buf_putc(out, '\n');
}

bool report_csv(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    const char *sql = options->provenance
                          ? "SELECT " PLAIN_COLUMNS PROVENANCE_COLUMNS CELLS_AND_RUNS WANTED
                          : "SELECT " PLAIN_COLUMNS CELLS WANTED;
    Stmt stmt;
    if (!stmt_open(store_sqlite(store), sql, &stmt, err)) return false;
    stmt_put_i64(&stmt, options->run_id);
    int n_columns = sqlite3_column_count(stmt.handle);
    for (int i = 0; i < n_columns; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", sqlite3_column_name(stmt.handle, i));
    buf_putc(out, '\n');
    bool row;
    bool ok;
    while ((ok = stmt_next(&stmt, &row, err)) && row)
        put_row(&stmt, n_columns, options, out);
    stmt_close(&stmt);
    return ok;
}
