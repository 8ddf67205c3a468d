/* CSV: the view v_cell_all as it is, or with the metrics of a cell side by side. Numbers are "%.9g", which reads back well below any
 * interval's width. */
#include <stdio.h>
#include <stdlib.h>

#include "base/str.h"
#include "reports/csv_out.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

/* The default: nothing that differs between two runs of the same sweep. */
#define CELL_COLUMNS                                                                                 \
 "model, method, setting, class, lambda, factor, theta, n_ctx_orig, n_ctx, probe, protocol, params," \
 " corpus, depth, seed, precision, bos_policy, status"
#define PLAIN_COLUMNS \
 CELL_COLUMNS ", metric, unit, value, n, ci_low, ci_high, ci_method, limited, message"

#define PROVENANCE_COLUMNS                                                                \
 ", cell_key, generation, model_hash, corpus_hash, setting_key, numeric_version, run_id," \
 " finished_at, seconds, n_prefilled, run_started_at, machine, blas, version, command"

#define CELLS " FROM v_cell_all"
#define CELLS_AND_RUNS                                                                          \
 " FROM v_cell_all LEFT JOIN (SELECT id, started_at AS run_started_at, machine, blas, version," \
 " command FROM run) AS r ON r.id = run_id"
#define WANTED " WHERE " REPORT_IN_SCOPE " ORDER BY " REPORT_KEY_ORDER

enum { MAX_METRICS = 100 };

typedef struct {
    char *items[MAX_METRICS];
    size_t n;
} Metrics;

static void put_field(Stmt *stmt, int column, const ReportOptions *options, Buf *out)
{
    switch (sqlite3_column_type(stmt->handle, column)) {
    case SQLITE_INTEGER: buf_printf(out, "%lld", (long long)stmt_i64(stmt, column)); break;
    case SQLITE_FLOAT: buf_printf(out, "%.9g", stmt_double(stmt, column)); break;
    case SQLITE_NULL: break;
    default: {
        const char *text = stmt_text(stmt, column);
        if (!text) break;
        csv_out_text(text, options->n_formulas, out);
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

bool report_open_rows(Store *store, const ReportOptions *options, Stmt *out, Err *err)
{
    const char *sql = options->provenance
                          ? "SELECT " PLAIN_COLUMNS PROVENANCE_COLUMNS CELLS_AND_RUNS WANTED
                          : "SELECT " PLAIN_COLUMNS CELLS WANTED;
    if (!stmt_open(store_sqlite(store), sql, out, err)) return false;
    stmt_put_i64(out, options->run_id);
    return true;
}

static bool put_rows(Stmt *stmt, int n_columns, const ReportOptions *options, Buf *out, Err *err)
{
    bool row;
    bool ok;
    while ((ok = stmt_next(stmt, &row, err)) && row)
        put_row(stmt, n_columns, options, out);
    return ok;
}

/* The metrics that cells in scope have, in the order of probes. Errors: STORE (too many). */
static bool list_metrics(Store *store, int64_t run_id, Metrics *out, Err *err)
{
    Stmt stmt;
    bool row;
    bool ok =
        stmt_open(store_sqlite(store),
                  "SELECT metric FROM v_cell_all WHERE metric IS NOT NULL AND " REPORT_IN_SCOPE
                  " GROUP BY metric ORDER BY min(probe), min(place), metric",
                  &stmt, err);
    if (ok) stmt_put_i64(&stmt, run_id);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        const char *name = stmt_text(&stmt, 0);
        ok = out->n < MAX_METRICS ||
             err_set(err, ERR_STORE, "the database has more metrics than --wide shows: %d",
                     MAX_METRICS);
        if (ok) out->items[out->n++] = str_dup(name ? name : "");
    }
    stmt_close(&stmt);
    return ok;
}

/* A row a cell; each metric gives four columns. Names of metrics are data: they are bound, and quoted where they need it. */
static bool put_wide(Store *store, const ReportOptions *options, const Metrics *metrics, Buf *out,
                     Err *err)
{
    static const char *const columns[] = {"value", "ci_low", "ci_high", "n"};
    static const char *const endings[] = {"", "_low", "_high", "_n"};
    Buf sql = {0};
    buf_puts(&sql, "SELECT " CELL_COLUMNS ", limited, message");
    for (size_t i = 0; i < metrics->n; i++)
        for (size_t k = 0; k < COUNT_OF(columns); k++)
            buf_printf(&sql, ", max(iif(metric = ?%zu, %s, NULL))", i + 2, columns[k]);
    buf_puts(&sql, CELLS " WHERE " REPORT_IN_SCOPE " GROUP BY cell_id ORDER BY " REPORT_KEY_ORDER);
    Stmt stmt;
    bool ok = stmt_open(store_sqlite(store), buf_text(&sql), &stmt, err);
    buf_free(&sql);
    if (!ok) return false;
    stmt_put_i64(&stmt, options->run_id);
    for (size_t i = 0; i < metrics->n; i++)
        stmt_put_text(&stmt, metrics->items[i]);
    int n_columns = sqlite3_column_count(stmt.handle);
    int n_cell = n_columns - (int)(metrics->n * COUNT_OF(columns));
    for (int i = 0; i < n_cell; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", sqlite3_column_name(stmt.handle, i));
    for (size_t i = 0; i < metrics->n; i++)
        for (size_t k = 0; k < COUNT_OF(columns); k++) {
            char *name = str_format("%s%s", metrics->items[i], endings[k]);
            buf_putc(out, ',');
            csv_out_name(name, out);
            free(name);
        }
    buf_putc(out, '\n');
    ok = put_rows(&stmt, n_columns, options, out, err);
    stmt_close(&stmt);
    return ok;
}

static bool put_tidy(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    Stmt stmt;
    if (!report_open_rows(store, options, &stmt, err)) return false;
    int n_columns = sqlite3_column_count(stmt.handle);
    for (int i = 0; i < n_columns; i++)
        buf_printf(out, "%s%s", i > 0 ? "," : "", sqlite3_column_name(stmt.handle, i));
    buf_putc(out, '\n');
    bool ok = put_rows(&stmt, n_columns, options, out, err);
    stmt_close(&stmt);
    return ok;
}

bool report_csv(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    if (!options->wide) return put_tidy(store, options, out, err);
    Metrics metrics = {0};
    bool ok = list_metrics(store, options->run_id, &metrics, err) &&
              put_wide(store, options, &metrics, out, err);
    for (size_t i = 0; i < metrics.n; i++)
        free(metrics.items[i]);
    return ok;
}
