#include "reports/report.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

const ReportFormat report_formats[] = {
    {"csv",   "tidy table, one row a cell and metric",                 report_csv,   NULL      },
    {"json",  "the same rows as an array of objects",                  report_json,  NULL      },
    {"jsonl", "the same, one object a line",                           report_jsonl, NULL      },
    {"md",    "tables of setting and length for a README or an issue", report_md,    NULL      },
    {"html",  "one page with charts, offline and without script",      report_html,  NULL      },
    {"svg",   "each chart of the page as a file, into a folder",       NULL,         report_svg},
    {NULL,    NULL,                                                    NULL,         NULL      },
};

void report_free_files(ReportFiles *files)
{
    for (size_t i = 0; i < files->n; i++) {
        free(files->items[i].name);
        buf_free(&files->items[i].content);
    }
    free(files->items);
    *files = (ReportFiles){0};
}

const ReportFormat *report_find(const char *name)
{
    for (const ReportFormat *format = report_formats; format->name; format++)
        if (str_equal(format->name, name)) return format;
    return NULL;
}

bool report_check_run(Store *store, int64_t run_id, Err *err)
{
    Stmt stmt;
    bool row;
    if (run_id == 0) return true;
    bool ok = stmt_open(store_sqlite(store),
                        "SELECT count(*), min(id), max(id), coalesce(sum(id = ?1), 0) FROM run",
                        &stmt, err);
    if (ok) stmt_put_i64(&stmt, run_id);
    ok = ok && stmt_next(&stmt, &row, err);
    if (ok && stmt_i64(&stmt, 3) == 0)
        ok = stmt_i64(&stmt, 0) == 0
                 ? err_set(err, ERR_USAGE, "--run %lld: the database has no run", (long long)run_id)
                 : err_set(err, ERR_USAGE, "--run %lld: the database has runs %lld to %lld",
                           (long long)run_id, (long long)stmt_i64(&stmt, 1),
                           (long long)stmt_i64(&stmt, 2));
    stmt_close(&stmt);
    return ok;
}

bool report_counts(Store *store, int64_t run_id, int64_t counts[CELL_STATUS_COUNT], Err *err)
{
    memset(counts, 0, CELL_STATUS_COUNT * sizeof counts[0]);
    Stmt stmt;
    bool row;
    bool ok = stmt_open(store_sqlite(store),
                        "SELECT status, count(DISTINCT cell_id) FROM v_cell_all"
                        " WHERE " REPORT_IN_SCOPE " GROUP BY status",
                        &stmt, err);
    if (ok) stmt_put_i64(&stmt, run_id);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        CellStatus status;
        const char *name = stmt_text(&stmt, 0);
        if (name && cell_status_find(name, &status)) counts[status] = stmt_i64(&stmt, 1);
    }
    stmt_close(&stmt);
    return ok;
}

void report_counts_text(const int64_t counts[CELL_STATUS_COUNT], Buf *out)
{
    int64_t total = 0;
    for (int i = 0; i < CELL_STATUS_COUNT; i++)
        total += counts[i];
    buf_printf(out, "%lld of %lld cells are done", (long long)counts[CELL_DONE], (long long)total);
    const char *separator = ": ";
    for (int i = 0; i < CELL_STATUS_COUNT; i++) {
        if (i == CELL_DONE || counts[i] == 0) continue;
        buf_printf(out, "%s%lld %s", separator, (long long)counts[i],
                   cell_status_name((CellStatus)i));
        separator = ", ";
    }
}

bool report_verified_text(Store *store, int64_t run_id, Buf *out, Err *err)
{
    Stmt stmt;
    bool row;
    int64_t n = 0;
    Buf outcomes = {0};
    bool ok = stmt_open(store_sqlite(store),
                        "SELECT outcome, count(*) FROM " REPORT_LAST_VERIFICATIONS
                        " GROUP BY outcome ORDER BY outcome <> 'equal', outcome",
                        &stmt, err);
    if (ok) stmt_put_i64(&stmt, run_id);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        n += stmt_i64(&stmt, 1);
        buf_printf(&outcomes, "%s%lld %s", outcomes.len ? ", " : "", (long long)stmt_i64(&stmt, 1),
                   stmt_text(&stmt, 0) ? stmt_text(&stmt, 0) : "");
    }
    stmt_close(&stmt);
    if (ok && n > 0)
        buf_printf(out, " %lld cell%s run again: %s.", (long long)n, n == 1 ? " was" : "s were",
                   buf_text(&outcomes));
    buf_free(&outcomes);
    return ok;
}

char *report_short_label(const char *label)
{
    enum { MAX_DIGITS = 8 };
    Buf out = {0};
    for (const char *p = label; *p;) {
        size_t n = strspn(p, "0123456789.");
        if (n > MAX_DIGITS && memchr(p, '.', n)) {
            buf_printf(&out, "%.5g", strtod(p, NULL));
        } else {
            n = n ? n : 1;
            buf_append(&out, p, n);
        }
        p += n;
    }
    return buf_steal(&out);
}

double report_tie_rank(const char *method, double lambda)
{
    if (!isnan(lambda)) return lambda;
    return str_equal(method, "none") ? 1.0 : (double)INFINITY;
}
