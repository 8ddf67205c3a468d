/* The tables at the end of the page: every cell, every angle, and where the numbers come from. A table is a query whose column names
 * are its heading. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/page.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

/* Whether a column holds text, which stands left: by what the schema declares, so that it does where a value is missing too. */
static bool is_text(Stmt *stmt, int column)
{
    const char *type = sqlite3_column_decltype(stmt->handle, column);
    return type && str_equal(type, "TEXT");
}

static void put_value(Stmt *stmt, int column, Buf *out)
{
    switch (sqlite3_column_type(stmt->handle, column)) {
    case SQLITE_INTEGER: buf_printf(out, "%lld", (long long)stmt_i64(stmt, column)); break;
    case SQLITE_FLOAT: buf_printf(out, "%.6g", stmt_double(stmt, column)); break;
    case SQLITE_NULL: break;
    default: html_text(out, stmt_text(stmt, column));
    }
}

/* The table's head. Its class tells the style sheet which columns are text, once and not in every row. */
static void put_columns(Stmt *stmt, int first, Buf *out)
{
    int n_columns = sqlite3_column_count(stmt->handle);
    buf_puts(out, "<div class=\"scroll tall\"><table class=\"query");
    for (int i = first; i < n_columns; i++)
        if (is_text(stmt, i)) buf_printf(out, " l%d", i - first + 1);
    buf_puts(out, "\">\n<thead><tr>");
    for (int i = first; i < n_columns; i++)
        buf_printf(out, "<th scope=\"col\">%s</th>", sqlite3_column_name(stmt->handle, i));
    buf_puts(out, "</tr></thead>\n<tbody>\n");
}

/* The columns before n_group stand in a row of their own over those that have them in common. last: the row above, renewed. */
static void put_group(Stmt *stmt, int n_group, Buf *last, Buf *out)
{
    Buf group = {0};
    for (int i = 0; i < n_group; i++) {
        if (sqlite3_column_type(stmt->handle, i) == SQLITE_NULL) continue;
        buf_puts(&group, group.len ? " · " : "");
        put_value(stmt, i, &group);
    }
    if (!str_equal(buf_text(&group), buf_text(last))) {
        if (last->len) buf_puts(out, "</tbody>\n<tbody>\n");
        buf_printf(out, "<tr><th scope=\"rowgroup\" colspan=\"%d\">%s</th></tr>\n",
                   sqlite3_column_count(stmt->handle) - n_group, buf_text(&group));
    }
    buf_free(last);
    *last = group;
}

/* The rows of a bound query as a table with headings; *n_rows tells how many there were, and none gives no table. */
static bool put_rows(Stmt *stmt, int n_group, int64_t *n_rows, Buf *out, Err *err)
{
    int n_columns = sqlite3_column_count(stmt->handle);
    Buf group = {0};
    bool row;
    bool ok;
    for (*n_rows = 0; (ok = stmt_next(stmt, &row, err)) && row; ++*n_rows) {
        if (*n_rows == 0) put_columns(stmt, n_group, out);
        if (n_group) put_group(stmt, n_group, &group, out);
        buf_puts(out, "<tr>");
        for (int i = n_group; i < n_columns; i++) {
            buf_puts(out, "<td>");
            put_value(stmt, i, out);
            buf_puts(out, "</td>");
        }
        buf_puts(out, "</tr>\n");
    }
    if (*n_rows) buf_puts(out, "</tbody></table></div>\n");
    buf_free(&group);
    return ok;
}

/* As page_table, whose first n_group columns stand over the rows that have them in common. */
static bool put_table(Page *page, const char *heading, const char *sql, int n_group, Err *err)
{
    Stmt stmt;
    if (!stmt_open(store_sqlite(page->store), sql, &stmt, err)) return false;
    if (sqlite3_bind_parameter_count(stmt.handle)) stmt_put_i64(&stmt, page->options->run_id);
    Buf table = {0};
    int64_t n_rows;
    bool ok = put_rows(&stmt, n_group, &n_rows, &table, err);
    if (ok && n_rows) {
        if (heading) buf_printf(page->out, "<h3>%s</h3>\n", heading);
        buf_append(page->out, table.data, table.len);
    }
    buf_free(&table);
    stmt_close(&stmt);
    return ok;
}

bool page_table(Page *page, const char *heading, const char *sql, Err *err)
{
    return put_table(page, heading, sql, 0, err);
}

bool page_cells(Page *page, Err *err)
{
    enum { N_GROUP = 4 };
    static const char all[] =
        "SELECT model, metric, params, corpus, setting, n_ctx, depth, status, value, ci_low, ci_high, n,"
        " ci_method, round(seconds, 4) AS seconds, message FROM v_cell_all WHERE (place = 0 OR metric IS NULL)"
        " AND " REPORT_IN_SCOPE " ORDER BY " REPORT_KEY_ORDER;
    if (!page_table(page, "Cells that are not done", REPORT_NOT_DONE_SQL, err) ||
        !page_table(page, "Cells with a warning", REPORT_WARNED_SQL, err))
        return false;
    size_t before = page->out->len;
    buf_puts(page->out, "<details><summary>All cells, with the first metric of each</summary>\n");
    size_t empty = page->out->len;
    if (!put_table(page, NULL, all, N_GROUP, err)) return false;
    if (page->out->len == empty)
        page->out->len = before;
    else
        buf_puts(page->out, "</details>\n");
    return true;
}

/* θ, θ' and the wavelength of every pair of one setting. */
static bool put_pairs(Page *page, Stmt *pairs, Stmt *setting, Err *err)
{
    Buf table = {0};
    int64_t n_rows;
    stmt_reset(pairs);
    stmt_put_text(pairs, stmt_text(setting, 0));
    bool ok = put_rows(pairs, 0, &n_rows, &table, err);
    if (ok && n_rows) {
        buf_puts(page->out, "<details><summary>");
        html_text(page->out, stmt_text(setting, 1));
        buf_puts(page->out, " <span class=\"dim\">");
        html_printf(page->out, "class %s, base %.9g, d = %lld, trained length %lld",
                    stmt_text(setting, 2), stmt_double(setting, 3), (long long)stmt_i64(setting, 4),
                    (long long)stmt_i64(setting, 5));
        buf_puts(page->out, "</span></summary>\n");
        buf_append(page->out, table.data, table.len);
        buf_puts(page->out, "</details>\n");
    }
    buf_free(&table);
    return ok;
}

bool page_settings(Page *page, Err *err)
{
    static const char settings_sql[] =
        "SELECT DISTINCT setting_key, setting, class, theta, n_rot, n_ctx_orig FROM v_cell_all"
        " WHERE " REPORT_IN_SCOPE
        " ORDER BY method <> 'none', method, lambda IS NULL, lambda, factor IS NULL, factor, setting, setting_key";
    static const char pairs_sql[] =
        "SELECT nullif(n_ctx, 0) AS n_ctx, pair, theta AS \"θ\", theta_scaled AS \"θ′\","
        " theta_scaled / theta AS \"θ′ / θ\", 6.283185307179586 / theta_scaled AS \"wavelength (tokens)\""
        " FROM setting_pair WHERE setting_key = ? ORDER BY n_ctx, pair";
    Stmt settings;
    Stmt pairs = {0};
    bool row;
    bool ok = stmt_open(store_sqlite(page->store), settings_sql, &settings, err) &&
              stmt_open(store_sqlite(page->store), pairs_sql, &pairs, err);
    if (ok) stmt_put_i64(&settings, page->options->run_id);
    while (ok && (ok = stmt_next(&settings, &row, err)) && row)
        ok = put_pairs(page, &pairs, &settings, err);
    stmt_close(&pairs);
    stmt_close(&settings);
    return ok;
}

/* The sweeps as they were resolved; texts of many lines, so not in the table. */
static bool put_specs(Page *page, Err *err)
{
    Stmt stmt;
    bool row;
    bool ok =
        stmt_open(store_sqlite(page->store),
                  "SELECT id, spec FROM run WHERE spec <> '' AND (?1 = 0 OR id = ?1) ORDER BY id",
                  &stmt, err);
    if (ok) stmt_put_i64(&stmt, page->options->run_id);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        buf_printf(page->out, "<details><summary>Sweep of run %lld</summary><pre>",
                   (long long)stmt_i64(&stmt, 0));
        html_text(page->out, stmt_text(&stmt, 1));
        buf_puts(page->out, "</pre></details>\n");
    }
    stmt_close(&stmt);
    return ok;
}

/* The hub's address with the commit in it; of what lay on this machine only the name. */
#define AS_GIVEN "CASE WHEN path LIKE 'hf://%' THEN path ELSE name END"

bool page_provenance(Page *page, Err *err)
{
    static const char runs[] =
        "SELECT id AS run, status, started_at AS started, ended_at AS ended, n_jobs AS jobs,"
        " n_threads AS threads, machine, blas, version, command FROM run WHERE ?1 = 0 OR id = ?1 ORDER BY id";
    static const char models[] =
        "SELECT " AS_GIVEN
        " AS model, arch, format, n_params AS parameters, n_ctx_train AS \"trained length claimed\","
        " n_ctx_orig AS \"used\", theta AS base, n_rot AS d, rope_found AS \"scaling in the file\", tokenizer,"
        " hash, notes FROM model ORDER BY name, hash";
    static const char corpora[] =
        "SELECT " AS_GIVEN " AS corpus, n_bytes AS bytes, hash FROM corpus ORDER BY name, hash";
    /* --fresh makes a new generation of a cell: two runs of one sweep, under other kernels or another version. */
    static const char twice[] =
        "SELECT a.run_id AS run, b.run_id AS \"later run\", x.name AS metric, count(*) AS cells,"
        " sum(x.value IS y.value) AS \"equal to the bit\", max(abs(x.value - y.value)) AS \"largest difference\","
        " avg(y.value - x.value) AS \"mean difference\""
        " FROM cell AS a JOIN cell AS b ON b.key = a.key AND b.generation > a.generation"
        " JOIN metric AS x ON x.cell_id = a.id JOIN metric AS y ON y.cell_id = b.id AND y.name = x.name"
        " WHERE ?1 = 0 OR a.run_id = ?1 OR b.run_id = ?1"
        " GROUP BY a.run_id, b.run_id, x.name ORDER BY a.run_id, b.run_id, min(x.place), x.name";
    static const char events[] =
        "SELECT run_id AS run, at, level, text FROM event WHERE ?1 = 0 OR run_id = ?1 ORDER BY id";
    static const char again[] =
        "SELECT setting.label AS setting, n_ctx, probe, depth, outcome, detail, at, v.machine, v.blas"
        " FROM " REPORT_LAST_VERIFICATIONS " AS v JOIN cell ON cell.id = v.cell_id"
        " JOIN setting ON setting.key = setting_key ORDER BY v.id";
    return page_table(page, "Models", models, err) && page_table(page, "Corpora", corpora, err) &&
           page_table(page, "Runs", runs, err) && put_specs(page, err) &&
           page_table(page, "The same cells in two runs", twice, err) &&
           page_table(page, "Cells run again", again, err) &&
           page_table(page, "Events", events, err);
}
