/* The formats behind the table of report.c, and what they share. */
#ifndef REPORTS_REPORT_INTERNAL_H
#define REPORTS_REPORT_INTERNAL_H

#include "reports/report.h"
#include "reports/stmt.h"

bool report_csv(Store *store, const ReportOptions *options, Buf *out, Err *err) MUST_USE;
bool report_md(Store *store, const ReportOptions *options, Buf *out, Err *err) MUST_USE;
bool report_json(Store *store, const ReportOptions *options, Buf *out, Err *err) MUST_USE;
bool report_jsonl(Store *store, const ReportOptions *options, Buf *out, Err *err) MUST_USE;
bool report_html(Store *store, const ReportOptions *options, Buf *out, Err *err) MUST_USE;
bool report_svg(Store *store, const ReportOptions *options, ReportFiles *out, Err *err) MUST_USE;

/* Opens the query of the tidy formats, bound: a row a cell and metric, whose column names are theirs. Close with stmt_close. Errors: STORE. */
bool report_open_rows(Store *store, const ReportOptions *options, Stmt *out, Err *err) MUST_USE;

/* Number of cells by status: of a run, or the latest generation of all. Errors: STORE. */
bool report_counts(Store *store, int64_t run_id, int64_t counts[CELL_STATUS_COUNT],
                   Err *err) MUST_USE;

/* "84 of 90 cells are done: 4 unsupported, 2 failed" */
void report_counts_text(const int64_t counts[CELL_STATUS_COUNT], Buf *out);

/* The last outcome of each cell of a run that was run again, or of all cells. Parameter ?1 is ReportOptions.run_id. */
#define REPORT_LAST_VERIFICATIONS                                                       \
 "(SELECT max(id) AS id, cell_id, at, outcome, detail, machine, blas FROM verification" \
 " WHERE ?1 = 0 OR cell_id IN (SELECT cell_id FROM run_cell WHERE run_id = ?1) GROUP BY cell_id)"

/* Appends " 5 cells were run again: 4 equal, 1 changed."; nothing where none was. Errors: STORE. */
bool report_verified_text(Store *store, int64_t run_id, Buf *out, Err *err) MUST_USE;

/* Appends text from the database with Markdown's and HTML's characters escaped and controls shown; NULL appends nothing. */
void markdown_text(const char *text, Buf *out);

/* A label with numbers of more than eight characters cut to five digits: "ntk:lambda=4.3873". The exact value stands in the setting's own
 * columns. Free with free(). */
char *report_short_label(const char *label);

/* Order of settings among equals: no scaling is lambda 1; a method without a lambda comes last. */
double report_tie_rank(const char *method, double lambda);

/* WHERE term over v_cell_all whose parameter ?1 is ReportOptions.run_id. */
#define REPORT_IN_SCOPE \
 "((?1 = 0 AND latest) OR (?1 <> 0 AND cell_id IN (SELECT cell_id FROM run_cell WHERE run_id = ?1)))"

/* WHERE term over a table t of models and settings, whose parameter ?1 is ReportOptions.run_id. */
#define REPORT_SETTING_IN_SCOPE                                                                        \
 "(?1 = 0 OR EXISTS (SELECT 1 FROM cell JOIN run_cell ON cell_id = cell.id WHERE run_cell.run_id = ?1" \
 " AND cell.setting_key = t.setting_key AND cell.model_hash = t.model_hash))"

/* FROM and ORDER BY of such a table with the names of its models and settings. */
#define REPORT_SETTINGS_OF(table)                               \
 " FROM " table " AS t JOIN model ON model.hash = t.model_hash" \
 " JOIN setting ON setting.key = t.setting_key WHERE " REPORT_SETTING_IN_SCOPE
#define REPORT_SETTING_ORDER                                                           \
 " ORDER BY model.name, model.hash, method <> 'none', method, lambda IS NULL, lambda," \
 " factor IS NULL, factor, label, setting.key, t.n_ctx"

/* ORDER BY terms over v_cell_all: the axes from the outermost in, then the key, so that the order depends on the cells alone. */
#define REPORT_KEY_ORDER                                                                         \
 "model, model_hash, probe, protocol, params, corpus, method <> 'none', method, lambda IS NULL," \
 " lambda, factor IS NULL, factor, setting, n_ctx, depth, seed, precision, cell_key, generation, place"

/* Cells of a kind, those that differ in depth alone counted together; ?1 as above. */
#define REPORT_CELLS_SQL(kind)                                                                   \
 "SELECT model, setting, n_ctx, probe, status, count(DISTINCT cell_id) AS cells, message"        \
 " FROM v_cell_all WHERE " kind " AND " REPORT_IN_SCOPE                                          \
 " GROUP BY model_hash, probe, protocol, params, setting_key, n_ctx, status, message"            \
 " ORDER BY model, model_hash, probe, params, method <> 'none', method, lambda IS NULL, lambda," \
 " factor IS NULL, factor, setting, n_ctx, status, message"
#define REPORT_NOT_DONE_SQL REPORT_CELLS_SQL("status <> 'done'")
#define REPORT_WARNED_SQL   REPORT_CELLS_SQL("status = 'done' AND message IS NOT NULL")

#endif
