/* How a grid comes out of the database.
 *
 * One query lists the grids: the distinct combinations of everything but setting, n_ctx and depth, each with a metric that some
 * cell of it has. For each, a second query gives the cells ordered by setting, n_ctx and depth, so that the
 * rows of the grid are runs of equal settings and its pools are runs of equal (setting, n_ctx). A cell that is not done has no metric and
 * belongs to the grids of all metrics. */
#include "reports/grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/report_internal.h"
#include "reports/ridge.h"
#include "reports/stats.h"
#include "reports/stmt.h"

/* A file may be hostile: no more table than this is built, and no count is taken for more than this. */
enum { MAX_GRID_CELLS = 1 << 21 };
static const int64_t max_n = (int64_t)1 << 40;

static const char list_sql[] =
    "SELECT model_hash, model, corpus, probe, protocol, params, bos_policy, precision, seed,"
    " numeric_version, limited, coalesce(metric, ''), min(place), min(unit), min(direction),"
    " (SELECT n_ctx_orig FROM model WHERE hash = model_hash), corpus_hash, max(n_rot),"
    " (SELECT n_ctx_train FROM model WHERE hash = model_hash)"
    " FROM v_cell_all WHERE " REPORT_IN_SCOPE
    " GROUP BY model, model_hash, probe, protocol, params, corpus_hash, bos_policy, precision, seed,"
    " numeric_version, limited, metric"
    " ORDER BY model, model_hash, probe, protocol <> 'target', protocol, params, corpus, corpus_hash,"
    " bos_policy, precision, seed, numeric_version, limited, min(place), metric";

/* What a query of cells gives after the row's key and label. */
#define CELL_COLUMNS                                                                              \
 " method, lambda, factor, n_ctx, status, message, value, n, ci_low, ci_high, ci_method, cell_id" \
 " FROM v_cell_all WHERE " REPORT_IN_SCOPE                                                        \
 " AND model_hash = ? AND probe = ? AND protocol = ? AND params = ? AND corpus_hash IS ?"         \
 " AND bos_policy = ? AND precision = ? AND seed = ? AND numeric_version = ? AND limited = ?"     \
 " AND (metric = ? OR metric IS NULL)"

static const char settings_sql[] =
    "SELECT setting_key, setting," CELL_COLUMNS
    " ORDER BY method <> 'none', method, lambda IS NULL, lambda, factor IS NULL, factor, setting,"
    " setting_key, n_ctx, depth";

static const char depths_sql[] =
    "SELECT CAST(depth AS TEXT), printf('%.3g%%', 100.0 * depth)," CELL_COLUMNS
    " AND setting_key = ? AND depth IS NOT NULL ORDER BY depth, n_ctx";

/* One database cell, not yet pooled. */
typedef struct {
    size_t row;
    int64_t n_ctx;
    GridCell cell;
} Piece;

typedef struct {
    Piece *items;
    size_t n;
    size_t cap;
} Pieces;

static char *column_copy(Stmt *stmt, int column)
{
    const char *text = stmt_text(stmt, column);
    return text ? str_dup(text) : NULL;
}

/* For columns that the schema declares NOT NULL; a value that is missing all the same reads as empty. */
static char *column_text(Stmt *stmt, int column)
{
    const char *text = stmt_text(stmt, column);
    return str_dup(text ? text : "");
}

static void free_cell(GridCell *cell)
{
    free(cell->message);
    free(cell->ci_method);
}

/* Frees what a query of cells filled. */
static void clear_rows(Grid *grid)
{
    for (size_t i = 0; i < grid->n_rows; i++) {
        free(grid->rows[i].key);
        free(grid->rows[i].label);
        free(grid->rows[i].method);
    }
    for (size_t i = 0; grid->cells && i < grid->n_rows * grid->n_cols; i++)
        free_cell(&grid->cells[i]);
    free(grid->rows);
    free(grid->n_ctx);
    free(grid->formula_lambda);
    free(grid->cells);
}

static void grid_clear(Grid *grid)
{
    clear_rows(grid);
    char *const texts[] = {grid->model_hash, grid->model,    grid->corpus, grid->corpus_hash,
                           grid->probe,      grid->protocol, grid->params, grid->bos_policy,
                           grid->precision,  grid->metric,   grid->unit};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        free(texts[i]);
}

void grid_free_depths(Grid *depths)
{
    clear_rows(depths);
    *depths = (Grid){0};
}

void grid_free(GridList *grids)
{
    for (size_t i = 0; i < grids->n; i++)
        grid_clear(&grids->items[i]);
    free(grids->items);
    *grids = (GridList){0};
}

const GridCell *grid_cell(const Grid *grid, size_t row, size_t col)
{
    assert(row < grid->n_rows && col < grid->n_cols);
    return &grid->cells[row * grid->n_cols + col];
}

size_t grid_best_row(const Grid *grid, size_t col)
{
    size_t row = 0;
    while (row < grid->n_rows && !grid_cell(grid, row, col)->is_best)
        row++;
    return row;
}

static Grid read_grid(Stmt *stmt)
{
    return (Grid){
        .model_hash = column_text(stmt, 0),
        .model = column_text(stmt, 1),
        .corpus = column_copy(stmt, 2),
        .probe = column_text(stmt, 3),
        .protocol = column_text(stmt, 4),
        .params = column_text(stmt, 5),
        .bos_policy = column_text(stmt, 6),
        .precision = column_text(stmt, 7),
        .seed = stmt_i64(stmt, 8),
        .numeric_version = (int)stmt_i64(stmt, 9),
        .limited = stmt_i64(stmt, 10) != 0,
        .metric = column_text(stmt, 11),
        .place = (int)stmt_i64(stmt, 12),
        .unit = column_text(stmt, 13),
        .direction = (int)stmt_i64(stmt, 14),
        .n_ctx_orig = stmt_i64(stmt, 15),
        .corpus_hash = column_copy(stmt, 16),
        .n_rot = (int)stmt_i64(stmt, 17),
        .n_ctx_claimed = stmt_i64(stmt, 18),
    };
}

/* Whether two grids differ in their metric alone. */
static bool same_cells(const Grid *a, const Grid *b)
{
    return str_equal(a->model_hash, b->model_hash) && str_equal(a->probe, b->probe) &&
           str_equal(a->protocol, b->protocol) && str_equal(a->params, b->params) &&
           str_equal(a->corpus_hash ? a->corpus_hash : "", b->corpus_hash ? b->corpus_hash : "") &&
           str_equal(a->bos_policy, b->bos_policy) && str_equal(a->precision, b->precision) &&
           a->seed == b->seed && a->numeric_version == b->numeric_version &&
           a->limited == b->limited;
}

/* The grid without a metric stands for cells that are not done; it is kept only when no metric's grid shows them. */
static void drop_empty_metrics(GridList *grids)
{
    size_t kept = 0;
    for (size_t i = 0; i < grids->n; i++) {
        bool shown = false;
        for (size_t j = 0; !*grids->items[i].metric && j < grids->n && !shown; j++)
            shown = *grids->items[j].metric && same_cells(&grids->items[i], &grids->items[j]);
        if (shown)
            grid_clear(&grids->items[i]);
        else
            grids->items[kept++] = grids->items[i];
    }
    grids->n = kept;
}

static bool list_grids(Store *store, int64_t run_id, GridList *grids, Err *err)
{
    Stmt stmt;
    bool row;
    bool ok = stmt_open(store_sqlite(store), list_sql, &stmt, err);
    if (ok) stmt_put_i64(&stmt, run_id);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        grids->items = mem_realloc(grids->items, grids->n + 1, sizeof *grids->items);
        grids->items[grids->n++] = read_grid(&stmt);
    }
    stmt_close(&stmt);
    return ok;
}

static char *short_label(Stmt *stmt)
{
    const char *label = stmt_text(stmt, 1);
    return report_short_label(label ? label : "");
}

/* Starts a row of the grid when the setting changes. */
static void add_row(Grid *grid, Stmt *stmt)
{
    char *key = column_text(stmt, 0);
    if (grid->n_rows && str_equal(grid->rows[grid->n_rows - 1].key, key)) {
        free(key);
        return;
    }
    grid->rows = mem_realloc(grid->rows, grid->n_rows + 1, sizeof *grid->rows);
    grid->rows[grid->n_rows++] = (GridRow){
        .key = key,
        .label = short_label(stmt),
        .method = column_text(stmt, 2),
        .lambda = stmt_double(stmt, 3),
        .factor = stmt_double(stmt, 4),
    };
}

static void add_piece(Pieces *pieces, size_t row, Stmt *stmt)
{
    if (pieces->n == pieces->cap) {
        pieces->cap = pieces->cap ? 2 * pieces->cap : 64;
        pieces->items = mem_realloc(pieces->items, pieces->cap, sizeof *pieces->items);
    }
    Piece *piece = &pieces->items[pieces->n++];
    *piece = (Piece){.row = row, .n_ctx = stmt_i64(stmt, 5)};
    piece->cell = (GridCell){
        .planned = true,
        .status = CELL_FAILED,
        .message = column_copy(stmt, 7),
        .value = stmt_double(stmt, 8),
        .n = min_i64(max_i64(stmt_i64(stmt, 9), 0), max_n),
        .ci_low = stmt_double(stmt, 10),
        .ci_high = stmt_double(stmt, 11),
        .ci_method = column_copy(stmt, 12),
        .cell_id = stmt_i64(stmt, 13),
        .n_pooled = 1,
    };
    const char *status = stmt_text(stmt, 6);
    if (!status || !cell_status_find(status, &piece->cell.status)) piece->cell.status = CELL_FAILED;
}

static void bind_grid(Stmt *stmt, const Grid *grid, int64_t run_id)
{
    stmt_put_i64(stmt, run_id);
    stmt_put_text(stmt, grid->model_hash);
    stmt_put_text(stmt, grid->probe);
    stmt_put_text(stmt, grid->protocol);
    stmt_put_text(stmt, grid->params);
    stmt_put_text(stmt, grid->corpus_hash);
    stmt_put_text(stmt, grid->bos_policy);
    stmt_put_text(stmt, grid->precision);
    stmt_put_i64(stmt, grid->seed);
    stmt_put_i64(stmt, grid->numeric_version);
    stmt_put_i64(stmt, grid->limited);
    stmt_put_text(stmt, grid->metric);
}

/* Rows and pieces of a bound query. */
static bool load_pieces(Stmt *stmt, Grid *grid, Pieces *pieces, Err *err)
{
    bool row;
    bool ok;
    while ((ok = stmt_next(stmt, &row, err)) && row) {
        add_row(grid, stmt);
        add_piece(pieces, grid->n_rows - 1, stmt);
    }
    return ok;
}

static int compare_lengths(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void set_columns(Grid *grid, const Pieces *pieces)
{
    grid->n_ctx = mem_alloc(pieces->n + 1, sizeof *grid->n_ctx);
    for (size_t i = 0; i < pieces->n; i++)
        grid->n_ctx[i] = pieces->items[i].n_ctx;
    qsort(grid->n_ctx, pieces->n, sizeof *grid->n_ctx, compare_lengths);
    for (size_t i = 0; i < pieces->n; i++)
        if (grid->n_cols == 0 || grid->n_ctx[i] != grid->n_ctx[grid->n_cols - 1])
            grid->n_ctx[grid->n_cols++] = grid->n_ctx[i];
    grid->formula_lambda = mem_alloc(grid->n_cols + 1, sizeof *grid->formula_lambda);
    for (size_t i = 0; i < grid->n_cols; i++) {
        double stretch =
            grid->n_ctx_orig > 0 ? (double)grid->n_ctx[i] / (double)grid->n_ctx_orig : (double)NAN;
        grid->formula_lambda[i] = ridge_formula(stretch, grid->n_rot);
    }
}

/* Whether hits can be read back from the fraction. */
static bool is_hit_rate(const GridCell *cell)
{
    return cell->n > 0 && cell->value >= 0.0 && cell->value <= 1.0;
}

/* Pools the numbers of cells that are all done. */
static void pool_values(const Grid *grid, const Piece *pieces, size_t n_pieces, GridCell *out)
{
    double weighted = 0.0;
    int64_t n = 0;
    int64_t hits = 0;
    bool counts = str_equal(grid->unit, "fraction");
    for (size_t i = 0; i < n_pieces; i++) {
        const GridCell *cell = &pieces[i].cell;
        counts = counts && is_hit_rate(cell);
        if (counts) hits += llround(cell->value * (double)cell->n);
        weighted += cell->value * (double)cell->n;
        n += cell->n;
    }
    *out = (GridCell){.planned = true, .status = CELL_DONE, .n = n, .n_pooled = (int)n_pieces};
    out->value = n > 0 ? weighted / (double)n : (double)NAN;
    out->ci_low = out->ci_high = (double)NAN;
    if (counts) {
        Interval interval = stats_wilson(hits, n);
        out->value = (double)hits / (double)n;
        out->ci_low = interval.low;
        out->ci_high = interval.high;
    }
    out->ci_method = str_dup(counts ? "wilson95" : "none: pooled over depths");
}

/* Makes one cell of a run of pieces and takes what they own. */
static void pool(const Grid *grid, Piece *pieces, size_t n_pieces, GridCell *out)
{
    size_t shown = 0;
    while (shown < n_pieces - 1 && pieces[shown].cell.status == CELL_DONE)
        shown++;
    if (n_pieces == 1 || pieces[shown].cell.status != CELL_DONE) {
        *out = pieces[shown].cell;
        out->n_pooled = (int)n_pieces;
        pieces[shown].cell = (GridCell){0};
    } else {
        pool_values(grid, pieces, n_pieces, out);
    }
}

static size_t find_column(const Grid *grid, int64_t n_ctx)
{
    const int64_t *at =
        bsearch(&n_ctx, grid->n_ctx, grid->n_cols, sizeof *grid->n_ctx, compare_lengths);
    assert(at);
    return (size_t)(at - grid->n_ctx);
}

static bool fill_cells(Grid *grid, const Pieces *pieces, Err *err)
{
    if (grid->n_rows > MAX_GRID_CELLS / (grid->n_cols + 1))
        return err_set(
            err, ERR_STORE,
            "probe %.40s: %zu settings x %zu lengths are too many for one table (at most %d)",
            grid->probe, grid->n_rows, grid->n_cols, MAX_GRID_CELLS);
    grid->cells = mem_zalloc(grid->n_rows * grid->n_cols + 1, sizeof *grid->cells);
    for (size_t i = 0; i < grid->n_rows * grid->n_cols; i++)
        grid->cells[i].value = grid->cells[i].ci_low = grid->cells[i].ci_high = (double)NAN;
    size_t end;
    for (size_t first = 0; first < pieces->n; first = end) {
        const Piece *piece = &pieces->items[first];
        end = first + 1;
        while (end < pieces->n && pieces->items[end].row == piece->row &&
               pieces->items[end].n_ctx == piece->n_ctx)
            end++;
        size_t at = piece->row * grid->n_cols + find_column(grid, piece->n_ctx);
        pool(grid, &pieces->items[first], end - first, &grid->cells[at]);
    }
    return true;
}

static double tie_rank(const GridRow *row)
{
    return report_tie_rank(row->method, row->lambda);
}

static void mark_best(Grid *grid, size_t col)
{
    size_t best = grid->n_rows;
    double best_score = 0.0;
    for (size_t row = 0; row < grid->n_rows; row++) {
        const GridCell *cell = grid_cell(grid, row, col);
        double score = grid->direction * cell->value;
        if (cell->status != CELL_DONE || isnan(score)) continue;
        if (best < grid->n_rows &&
            (score < best_score ||
             (score == best_score && tie_rank(&grid->rows[row]) >= tie_rank(&grid->rows[best]))))
            continue;
        best = row;
        best_score = score;
    }
    /* Where no setting hits anything, none is best. */
    bool all_miss = str_equal(grid->unit, "fraction") && grid->direction > 0 && best_score == 0.0;
    if (best < grid->n_rows && grid->direction != 0 && !all_miss)
        grid->cells[best * grid->n_cols + col].is_best = true;
}

/* Fills a grid from a bound query and closes it. */
static bool fill(Stmt *stmt, Grid *grid, Err *err)
{
    Pieces pieces = {0};
    bool ok = load_pieces(stmt, grid, &pieces, err);
    if (ok) {
        set_columns(grid, &pieces);
        ok = fill_cells(grid, &pieces, err);
    }
    for (size_t i = 0; i < pieces.n; i++)
        free_cell(&pieces.items[i].cell);
    free(pieces.items);
    stmt_close(stmt);
    return ok;
}

static bool load_one(Store *store, int64_t run_id, Grid *grid, Err *err)
{
    Stmt stmt;
    if (!stmt_open(store_sqlite(store), settings_sql, &stmt, err)) return false;
    bind_grid(&stmt, grid, run_id);
    if (!fill(&stmt, grid, err)) return false;
    for (size_t col = 0; col < grid->n_cols; col++)
        mark_best(grid, col);
    return true;
}

bool grid_load_depths(Store *store, int64_t run_id, const Grid *whole, size_t row, Grid *depths,
                      Err *err)
{
    Stmt stmt;
    *depths = (Grid){0};
    if (!stmt_open(store_sqlite(store), depths_sql, &stmt, err)) return false;
    bind_grid(&stmt, whole, run_id);
    stmt_put_text(&stmt, whole->rows[row].key);
    *depths = *whole;
    depths->rows = NULL;
    depths->n_ctx = NULL;
    depths->formula_lambda = NULL;
    depths->cells = NULL;
    depths->n_rows = depths->n_cols = 0;
    if (fill(&stmt, depths, err)) return true;
    grid_free_depths(depths);
    return false;
}

bool grid_load(Store *store, int64_t run_id, GridList *grids, Err *err)
{
    *grids = (GridList){0};
    bool ok = list_grids(store, run_id, grids, err);
    if (ok) drop_empty_metrics(grids);
    for (size_t i = 0; ok && i < grids->n; i++)
        ok = load_one(store, run_id, &grids->items[i], err);
    if (!ok) grid_free(grids);
    return ok;
}
