/* The HTML page, from inside: what its sections share. A section is a row of the table in report_html.c and a function here. */
#ifndef REPORTS_PAGE_H
#define REPORTS_PAGE_H

#include "reports/chart.h"
#include "reports/grid.h"
#include "reports/html.h"
#include "reports/report.h"
#include "reports/series.h"
#include "reports/yardstick.h"

typedef struct {
    Store *store;
    const ReportOptions *options;
    GridList grids;
    SeriesList *models; /* the samples of every model that has any */
    size_t n_models;
    int64_t counts[CELL_STATUS_COUNT];
    const char *section;  /* the id of the one that is being written */
    ReportFiles *figures; /* every chart is added as a file too; NULL: none */
    Buf *out;
} Page;

/* Append a chart to the page. what: of a figure's file, "nll"; any text. */
void page_lines(Page *page, const char *what, const LineChart *chart);
void page_heat_map(Page *page, const char *what, const HeatMap *map);
void page_limits(Page *page, const char *what, const LimitChart *chart);
void page_forest(Page *page, const char *what, const ForestChart *chart);

/* Sections. Each appends its content after the heading; one with nothing to say appends nothing. Errors: STORE. */
bool page_answer(Page *page, Err *err) MUST_USE;
bool page_summary(Page *page, Err *err) MUST_USE;
bool page_grids(Page *page, Err *err) MUST_USE;
bool page_ridge(Page *page, Err *err) MUST_USE;
bool page_depths(Page *page, Err *err) MUST_USE;
bool page_distances(Page *page, Err *err) MUST_USE;
bool page_positions(Page *page, Err *err) MUST_USE;
bool page_predictions(Page *page, Err *err) MUST_USE;
bool page_spectrum(Page *page, Err *err) MUST_USE;
bool page_engineers(Page *page, Err *err) MUST_USE;
bool page_cells(Page *page, Err *err) MUST_USE;
bool page_settings(Page *page, Err *err) MUST_USE;
bool page_provenance(Page *page, Err *err) MUST_USE;

/* Appends "<h3>metric, model</h3>" and a line of what decides the numbers: probe, parameters, corpus, seed, precision. */
void page_grid_heading(Page *page, const Grid *grid);

/* "512: 87.5% (71.0% to 96.5%), n = 40, wilson95", or the status and message of a cell that is not done. Free with free(). */
char *page_cell_note(const Grid *grid, const GridCell *cell, int64_t n_ctx, const char *label);

/* The looks of a list's settings; looks has room for n_settings. */
void page_setting_looks(const SeriesList *list, ChartLook *looks);

/* The looks of a grid's rows; looks has room for n_rows. */
void page_looks(const Grid *grid, ChartLook *looks);

/* Lowest and highest value of the done cells; 0 and 1 for fractions. */
void page_value_range(const Grid *grid, double *low, double *high);

/* What a chart over lengths marks: the trained length, and the measured knee of plain RoPE where the grid has one. */
typedef struct {
    ChartMark items[2];
    char labels[2][48];
} PageMarks;
void page_marks(const Grid *grid, PageMarks *out);

/* "claimed" when the trained length is the one that the model's file states, else "given". */
const char *page_origin(const Grid *grid);

/* Where the formula's λ (and factor) for each length stands among the rows of a grid. */
typedef struct {
    HeatMark *items;
    char **notes; /* of the marks */
    size_t n;
} FormulaMarks;
FormulaMarks page_formula_marks(const Grid *grid);
void page_free_formula_marks(FormulaMarks *marks);

/* Appends the heat map of a grid with colours over low … high; compact for small multiples. */
void page_heat(Page *page, const Grid *grid, double low, double high, bool compact);

/* Appends the table of a grid, closed until it is opened. */
void page_grid_table(Page *page, const Grid *grid);

/* Appends the rows of a query, whose column names are the headings and whose only parameter, if any, is the run's id; nothing when it gives
 * none. heading: an <h3> above it; NULL: none. Errors: STORE. */
bool page_table(Page *page, const char *heading, const char *sql, Err *err) MUST_USE;

/* Appends the paired differences of Engineer A's settings from those of Engineer B, a forest plot a probe. */
void page_differences(Page *page);

/* Appends what settings cost within the trained length against what they bring beyond it; nothing where one of both is not known. */
void page_tradeoff(Page *page, const SeriesList *list, const Yardstick *yardstick, int64_t n_ctx);

/* "higher is better", "lower is better" or "". */
const char *page_direction(int direction);

#endif
