#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/grid.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

void markdown_text(const char *text, Buf *out)
{
    char plain[512];
    str_escape(text ? text : "", text ? strlen(text) : 0, plain, sizeof plain);
    for (const char *c = plain; *c; c++) {
        if (strchr("\\`*_[]<>|#&!~", *c)) buf_putc(out, '\\');
        buf_putc(out, *c);
    }
}

/* A query as a table; the names of its columns are the heading. Nothing when it gives no rows. */
static bool put_query(Store *store, const char *heading, const char *sql, int64_t run_id, Buf *out,
                      Err *err)
{
    Stmt stmt;
    if (!stmt_open(store_sqlite(store), sql, &stmt, err)) return false;
    stmt_put_i64(&stmt, run_id);
    int n_columns = sqlite3_column_count(stmt.handle);
    bool row;
    bool ok;
    for (bool first = true; (ok = stmt_next(&stmt, &row, err)) && row; first = false) {
        if (first) {
            buf_printf(out, "\n## %s\n\n|", heading);
            for (int i = 0; i < n_columns; i++)
                buf_printf(out, " %s |", sqlite3_column_name(stmt.handle, i));
            buf_puts(out, "\n|");
            for (int i = 0; i < n_columns; i++)
                buf_puts(out, ":--|");
            buf_putc(out, '\n');
        }
        buf_putc(out, '|');
        for (int i = 0; i < n_columns; i++) {
            buf_putc(out, ' ');
            markdown_text(stmt_text(&stmt, i), out);
            buf_puts(out, " |");
        }
        buf_putc(out, '\n');
    }
    stmt_close(&stmt);
    return ok;
}

static bool put_grids(Store *store, int64_t run_id, Buf *out, Err *err)
{
    GridList grids;
    if (!grid_load(store, run_id, &grids, err)) return false;
    for (size_t i = 0; i < grids.n; i++) {
        const Grid *grid = &grids.items[i];
        if (grid->direction == 0 && *grid->metric) continue;
        buf_putc(out, '\n');
        grid_table(grid, GRID_MARKDOWN, out);
    }
    grid_free(&grids);
    return true;
}

bool report_md(Store *store, const ReportOptions *options, Buf *out, Err *err)
{
    static const char runs[] =
        "SELECT id AS run, status, started_at AS started, ended_at AS ended, machine, blas, version, command"
        " FROM run WHERE ?1 = 0 OR id = ?1 ORDER BY id";
    static const char predictions[] =
        "SELECT model.name AS model, label AS setting, nullif(t.n_ctx, 0) AS n_ctx,"
        " coalesce(CAST(CAST(max(value) FILTER (WHERE quantity = 'seen_reach') AS INTEGER) AS TEXT), 'none found')"
        " AS \"every angle trained up to\","
        " coalesce(CAST(CAST(max(value) FILTER (WHERE quantity = 'first_negative_sum') AS INTEGER) AS TEXT), 'none found')"
        " AS \"sum of cosines below 0 from\","
        " printf('%.4g', max(value) FILTER (WHERE quantity = 'resolution'))"
        " AS \"resolution of neighbours\"" REPORT_SETTINGS_OF(
            "prediction") " AND quantity IN ('seen_reach', 'first_negative_sum', 'resolution')"
                          " GROUP BY t.model_hash, t.setting_key, t.n_ctx" REPORT_SETTING_ORDER;
    static const char verdicts[] =
        "SELECT model.name AS model, label AS setting, t.n_ctx, verdict,"
        " iif(verdict LIKE '%amplitude', printf('%.9g', amplitude), '') AS amplitude,"
        " printf('%.2g', residual) AS \"residual, rad\", printf('%.2g', residual_f32) AS \"in float\","
        " printf('%.2g', shift_error) AS \"change of q·k\", printf('%.2g', shift_error_f32) AS \"in float\","
        " printf('%.2g', norm_error) AS \"change of length\","
        " printf('%.2g', norm_error_f32) AS \"in float\","
        " iif(largest_residue IS NULL, '', printf('%.3g', largest_residue))"
        " AS \"largest residue, nats\"" REPORT_SETTINGS_OF("audit") REPORT_SETTING_ORDER;
    int64_t counts[CELL_STATUS_COUNT];
    if (!report_counts(store, options->run_id, counts, err)) return false;
    buf_puts(out, "# RoPE scaling, measured\n\n");
    report_counts_text(counts, out);
    buf_putc(out, '.');
    if (!report_verified_text(store, options->run_id, out, err)) return false;
    buf_putc(out, '\n');
    return put_grids(store, options->run_id, out, err) &&
           put_query(store, "Heuristics of the angles, not measurements", predictions,
                     options->run_id, out, err) &&
           put_query(store, "Engineer A against Engineer B", verdicts, options->run_id, out, err) &&
           put_query(store, "Cells that are not done", REPORT_NOT_DONE_SQL, options->run_id, out,
                     err) &&
           put_query(store, "Cells with a warning", REPORT_WARNED_SQL, options->run_id, out, err) &&
           (!options->provenance || put_query(store, "Runs", runs, options->run_id, out, err));
}
