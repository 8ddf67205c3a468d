/* Grids: the setting × n_ctx table of one metric of one probe, as every report and the terminal show it.
 *
 * A grid holds cells that differ in setting and n_ctx alone; cells that also differ in depth are pooled: hits over n with Wilson's
 * interval for fractions, the mean weighted by n (without an interval) for other units. A pooled cell is a number only when every
 * cell under it is done; else it has the status of the first that is not. Only the latest generation of a cell counts. */
#ifndef REPORTS_GRID_H
#define REPORTS_GRID_H

#include "base/buf.h"
#include "reports/store.h"

/* A row: one setting. */
typedef struct {
    char *key;   /* of the setting */
    char *label; /* "ntk:lambda=4" */
    char *method;
    double lambda; /* NaN: the method has none, or it differs between lengths */
    double factor; /* NaN: none */
} GridRow;

/* One setting at one length. */
typedef struct {
    bool planned;      /* false: the database holds no such cell */
    CellStatus status; /* DONE: the value stands */
    char *message;     /* why it is not done; NULL */
    double value;      /* NaN unless done */
    double ci_low;     /* NaN: no interval */
    double ci_high;
    char *ci_method; /* how the interval was made, or why there is none; NULL */
    int64_t n;
    int n_pooled;    /* cells (depths) under it */
    int64_t cell_id; /* of the database's cell; 0 where several are pooled */
    bool is_best;    /* best of its column; ties go to the smallest lambda */
} GridCell;

typedef struct {
    char *model_hash;
    char *model;
    char *corpus; /* NULL: the probe reads none */
    char *corpus_hash;
    char *probe;
    char *protocol;
    char *params;
    char *bos_policy;
    char *precision;
    char *metric;
    char *unit;
    int64_t seed;
    int numeric_version;
    int place; /* 0: the first metric of its probe, the one to show when there is room for one */
    int direction; /* +1: higher is better, -1: lower is better, 0: neither, no best is marked */
    bool limited;  /* made with --limit: not to be quoted */
    int64_t n_ctx_orig;    /* trained length as it was last used with the model */
    int64_t n_ctx_claimed; /* trained length as the model's file states it; 0: it does not */
    int n_rot;
    size_t n_rows;
    size_t n_cols;
    GridRow *rows;  /* ordered by method ("none" first), lambda, factor */
    int64_t *n_ctx; /* [n_cols], rising */
    double *
        formula_lambda; /* [n_cols]: (n_ctx / n_ctx_orig)^(d/(d-2)), never below 1; NaN where it is undefined */
    GridCell *cells; /* [n_rows][n_cols] */
} Grid;

typedef struct {
    Grid *
        items; /* ordered by model, probe, protocol ("target" first), parameters, place of the metric */
    size_t n;
} GridList;

/* Loads the grids of a run, or of all cells when run_id is 0. A probe none of whose cells is done gives one grid whose metric is "".
 * The caller frees the list with grid_free. Errors: STORE. */
bool grid_load(Store *store, int64_t run_id, GridList *grids, Err *err) MUST_USE;
void grid_free(GridList *grids);

/* Loads the same metric of one setting with a row a depth (its label a percentage) instead of a row a setting; no best is marked. Only rows,
 * n_ctx, cells and their counts are set, the texts are those of `whole` and lent. A probe without depths gives no rows.
 * The caller frees it with grid_free_depths. Errors: STORE. */
bool grid_load_depths(Store *store, int64_t run_id, const Grid *whole, size_t row, Grid *depths,
                      Err *err) MUST_USE;
void grid_free_depths(Grid *depths);

/* The cell of a row and a column; lends. */
const GridCell *grid_cell(const Grid *grid, size_t row, size_t col);

/* The row of the best cell of a column, or n_rows when it has none. */
size_t grid_best_row(const Grid *grid, size_t col);

enum { GRID_TEXT_SIZE = 32 };

/* A value as people read it: a fraction as a percentage, other units with four significant digits; "" for NaN. */
void grid_value_text(double value, const char *unit, char out[GRID_TEXT_SIZE]);

typedef enum { GRID_PLAIN, GRID_MARKDOWN } GridStyle;

/* Appends the table with a heading line: the best of each length is marked (* or bold), the formula's lambda stands under the
 * lengths, a cell that is not done shows its status. Hostile text is escaped. */
void grid_table(const Grid *grid, GridStyle style, Buf *out);

#endif
