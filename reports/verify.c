#include "reports/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "reports/stmt.h"

static const char *const outcome_names[VERIFY_N_OUTCOMES] = {
    [VERIFY_EQUAL] = "equal",     [VERIFY_CLOSE] = "close",   [VERIFY_DIFFERENT] = "different",
    [VERIFY_CHANGED] = "changed", [VERIFY_FAILED] = "failed",
};

const char *verify_outcome_name(VerifyOutcome outcome)
{
    assert((size_t)outcome < COUNT_OF(outcome_names));
    return outcome_names[outcome];
}

static const char done_sql[] =
    "SELECT id FROM cell WHERE status = 'done' AND run_id IS NOT NULL"
    " AND generation = (SELECT max(c.generation) FROM cell AS c WHERE c.key = cell.key) ORDER BY key";

static const char cell_sql[] =
    "SELECT cell.id, cell.key, canonical, model.name, setting.label, probe, n_ctx, depth, run_id, spec,"
    " version, blas, precision = 'server' FROM cell JOIN run ON run.id = run_id JOIN model ON model.hash = model_hash"
    " JOIN setting ON setting.key = setting_key WHERE cell.id = ?";

static bool list_done(Store *store, int64_t **ids, size_t *n, Err *err)
{
    Stmt stmt;
    bool row;
    size_t cap = 0;
    *ids = mem_alloc(1, sizeof **ids);
    *n = 0;
    bool ok = stmt_open(store_sqlite(store), done_sql, &stmt, err);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        if (*n == cap) *ids = mem_realloc(*ids, cap = cap ? 2 * cap : 64, sizeof **ids);
        (*ids)[(*n)++] = stmt_i64(&stmt, 0);
    }
    stmt_close(&stmt);
    return ok;
}

/* Moves n random ids to the front. */
static void draw(int64_t *ids, size_t n_ids, size_t n, uint64_t seed)
{
    Rng rng = rng_open(seed, 0, 0, 3);
    for (size_t i = 0; i < n; i++) {
        size_t at = i + rng_below(&rng, (uint32_t)min_i64((int64_t)(n_ids - i), UINT32_MAX));
        int64_t drawn = ids[at];
        ids[at] = ids[i];
        ids[i] = drawn;
    }
}

static char *copy(Stmt *stmt, int column)
{
    const char *text = stmt_text(stmt, column);
    return str_dup(text ? text : "");
}

static bool load_cell(Stmt *stmt, int64_t id, VerifySample *out, Err *err)
{
    bool row;
    stmt_reset(stmt);
    stmt_put_i64(stmt, id);
    if (!stmt_next(stmt, &row, err)) return false;
    if (!row) return true;
    out->items[out->n++] = (VerifyCell){
        .id = stmt_i64(stmt, 0),
        .key = copy(stmt, 1),
        .canonical = copy(stmt, 2),
        .model = copy(stmt, 3),
        .setting = copy(stmt, 4),
        .probe = copy(stmt, 5),
        .n_ctx = stmt_i64(stmt, 6),
        .depth = stmt_double(stmt, 7),
        .by_server = stmt_i64(stmt, 12) != 0,
        .run_id = stmt_i64(stmt, 8),
        .spec = copy(stmt, 9),
        .version = copy(stmt, 10),
        .blas = copy(stmt, 11),
    };
    return true;
}

static int compare_cells(const void *a, const void *b)
{
    const VerifyCell *left = a;
    const VerifyCell *right = b;
    if (left->run_id != right->run_id) return left->run_id < right->run_id ? -1 : 1;
    return strcmp(left->key, right->key);
}

bool verify_draw(Store *store, int64_t n, uint64_t seed, VerifySample *out, Err *err)
{
    Stmt stmt = {0};
    int64_t *ids;
    *out = (VerifySample){0};
    bool ok = list_done(store, &ids, &out->n_done, err);
    size_t n_drawn = (size_t)min_i64(n, (int64_t)out->n_done);
    out->items = mem_zalloc(n_drawn + 1, sizeof *out->items);
    ok = ok && stmt_open(store_sqlite(store), cell_sql, &stmt, err);
    if (ok) draw(ids, out->n_done, n_drawn, seed);
    for (size_t i = 0; ok && i < n_drawn; i++)
        ok = load_cell(&stmt, ids[i], out, err);
    stmt_close(&stmt);
    free(ids);
    if (ok) qsort(out->items, out->n, sizeof *out->items, compare_cells);
    if (!ok) verify_sample_free(out);
    return ok;
}

void verify_sample_free(VerifySample *sample)
{
    for (size_t i = 0; i < sample->n; i++) {
        VerifyCell *cell = &sample->items[i];
        char *const texts[] = {cell->key,   cell->canonical, cell->model,   cell->setting,
                               cell->probe, cell->spec,      cell->version, cell->blas};
        for (size_t k = 0; k < COUNT_OF(texts); k++)
            free(texts[k]);
    }
    free(sample->items);
    *sample = (VerifySample){0};
}

#define TRIAL_COLUMNS                                                                                 \
 "SELECT idx, cluster, n_prompt_tokens, n_scored, nll, n_bytes, needle_first, prompt_hash, expected," \
 " exact, forced, logp, logp_control"
#define TRIAL_ROWS " FROM trial WHERE cell_id = ? ORDER BY idx"

/* What a finished cell holds; the first column says which row it is. */
typedef struct {
    const char *name;
    const char *sql;
    const char *server_sql; /* without what a near tie turns over */
    double server_tolerance;
} Table;

static const Table tables[] = {
    {"metric",
     "SELECT name, value, n, ci_low, ci_high, ci_method FROM metric WHERE cell_id = ? ORDER BY name",
     "SELECT name, value, n, ci_low, ci_high, ci_method FROM metric WHERE cell_id = ? AND unit <> 'rank'"
     " ORDER BY name",                                                                                                          VERIFY_SERVER_TOLERANCE       },
    {"trial",        TRIAL_COLUMNS ", answer, ranks" TRIAL_ROWS,                                      TRIAL_COLUMNS TRIAL_ROWS,
     VERIFY_SERVER_SAMPLE_TOLERANCE                                                                                                                           },
    {"position_nll",
     "SELECT bucket, cluster, first, last, n, sum, sum_squares FROM position_nll WHERE cell_id = ?"
     " ORDER BY bucket, cluster",                                                                     NULL,                     VERIFY_SERVER_SAMPLE_TOLERANCE},
};

/* The rows of a table in both results, and how far their reals may be apart. */
typedef struct {
    const char *name;
    double tolerance;
    Stmt a;
    Stmt b;
} Rows;

static void note(VerifyDifference *out, Rows *rows, int column)
{
    const char *first = stmt_text(&rows->a, 0);
    snprintf(out->where, sizeof out->where, "%s %.40s: %s", rows->name, first ? first : "",
             sqlite3_column_name(rows->a.handle, column));
}

/* Notes the largest difference of reals, measured by its tolerance, until there is one of something else. */
static void compare_reals(Rows *rows, int column, double *furthest, VerifyDifference *out)
{
    double x = stmt_double(&rows->a, column);
    double y = stmt_double(&rows->b, column);
    if (x == y) return; /* no NaN, and no zero below zero, is in a database */
    double off = fabs(x - y) / fmax(1.0, fabs(x));
    out->is_equal = false;
    if (off > rows->tolerance) out->is_close = false;
    if (off / rows->tolerance < *furthest) return;
    *furthest = off / rows->tolerance;
    out->largest = off;
    if (out->only_numbers) note(out, rows, column);
}

static void compare_column(Rows *rows, int column, double *furthest, VerifyDifference *out)
{
    int type = sqlite3_column_type(rows->a.handle, column);
    bool same_type = type == sqlite3_column_type(rows->b.handle, column);
    if (same_type && type == SQLITE_FLOAT) {
        compare_reals(rows, column, furthest, out);
        return;
    }
    const char *x = stmt_text(&rows->a, column);
    const char *y = stmt_text(&rows->b, column);
    if (same_type && (x == y || (x && y && str_equal(x, y)))) return;
    if (out->only_numbers) note(out, rows, column);
    out->is_equal = out->only_numbers = out->is_close = false;
}

static bool compare_rows(Rows *rows, double *furthest, VerifyDifference *out, Err *err)
{
    bool more_a = true;
    bool more_b = true;
    for (size_t n = 0; more_a && more_b; n++) {
        if (!stmt_next(&rows->a, &more_a, err) || !stmt_next(&rows->b, &more_b, err)) return false;
        if (more_a != more_b) {
            if (out->only_numbers)
                snprintf(out->where, sizeof out->where, "%s: more than %zu rows in one of them",
                         rows->name, n);
            out->is_equal = out->only_numbers = out->is_close = false;
        }
        for (int i = 0; more_a && more_b && i < sqlite3_column_count(rows->a.handle); i++)
            compare_column(rows, i, furthest, out);
    }
    return true;
}

/* Opens one query on both databases, bound to the two cells. */
static bool open_both(const VerifyPair *pair, const char *sql, Stmt *a, Stmt *b, Err *err)
{
    *b = (Stmt){0};
    if (!stmt_open(store_sqlite(pair->stored), sql, a, err) ||
        !stmt_open(store_sqlite(pair->again), sql, b, err))
        return false;
    stmt_put_i64(a, pair->cell_id);
    stmt_put_i64(b, pair->again_id);
    return true;
}

bool verify_compare(const VerifyPair *pair, VerifyDifference *out, Err *err)
{
    *out = (VerifyDifference){.is_equal = true, .only_numbers = true, .is_close = true};
    double furthest = 0.0;
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT_OF(tables); i++) {
        const Table *table = &tables[i];
        const char *sql = pair->by_server && table->server_sql ? table->server_sql : table->sql;
        Rows rows = {.name = table->name,
                     .tolerance = pair->by_server ? table->server_tolerance : VERIFY_TOLERANCE};
        ok =
            open_both(pair, sql, &rows.a, &rows.b, err) && compare_rows(&rows, &furthest, out, err);
        stmt_close(&rows.a);
        stmt_close(&rows.b);
    }
    return ok;
}

/* The systems of a server that answered for a result; of more than these the first count. */
typedef struct {
    char *items[16];
    size_t n;
} Systems;

static bool list_systems(Stmt *stmt, Systems *out, Err *err)
{
    bool row;
    bool ok = true;
    out->n = 0;
    while (out->n < COUNT_OF(out->items) && (ok = stmt_next(stmt, &row, err)) && row)
        out->items[out->n++] = copy(stmt, 0);
    return ok;
}

static void free_systems(Systems *systems)
{
    for (size_t i = 0; i < systems->n; i++)
        free(systems->items[i]);
}

static bool share_one(const Systems *a, const Systems *b)
{
    for (size_t i = 0; i < a->n; i++)
        for (size_t k = 0; k < b->n; k++)
            if (str_equal(a->items[i], b->items[k])) return true;
    return false;
}

static void put_systems(const Systems *systems, Buf *out)
{
    for (size_t i = 0; i < systems->n; i++)
        buf_printf(out, "%s%s", i ? ", " : "", systems->items[i]);
}

bool verify_check_system(const VerifyPair *pair, bool *is_same, Buf *who, Err *err)
{
    static const char sql[] =
        "SELECT 'model \"' || model || '\" of system_fingerprint \"' || system_fingerprint || '\"'"
        " FROM reply WHERE cell_id = ? ORDER BY 1";
    Stmt a;
    Stmt b;
    Systems before = {.n = 0};
    Systems now = {.n = 0};
    bool ok = open_both(pair, sql, &a, &b, err) && list_systems(&a, &before, err) &&
              list_systems(&b, &now, err);
    *is_same = before.n == 0 || now.n == 0 || share_one(&before, &now);
    if (ok && !*is_same) {
        put_systems(&now, who);
        buf_puts(who, ", and it was ");
        put_systems(&before, who);
    }
    free_systems(&before);
    free_systems(&now);
    stmt_close(&a);
    stmt_close(&b);
    return ok;
}

/* A line of a canonical text: a name, a blank, a value. */
typedef struct {
    const char *text;
    size_t n;
    size_t n_name;
} Line;

/* Takes the next line off *text; false at the end. */
static bool next_line(const char **text, Line *out)
{
    if (!**text) return false;
    *out = (Line){*text, strcspn(*text, "\n"), strcspn(*text, " \n")};
    *text += out->n + ((*text)[out->n] == '\n');
    return true;
}

/* The line of the same name in another text; n is 0 when there is none. */
static Line same_name(const char *text, const Line *wanted)
{
    Line line;
    while (next_line(&text, &line))
        if (line.n_name == wanted->n_name && memcmp(line.text, wanted->text, line.n_name) == 0)
            return line;
    return (Line){.text = ""};
}

static void add_name(const Line *line, size_t *n, Buf *out)
{
    buf_puts(out, (*n)++ ? ", " : "");
    buf_append(out, line->text, line->n_name);
}

size_t verify_changes(const char *stored, const char *now, Buf *out)
{
    size_t n = 0;
    Line line;
    for (const char *left = stored; next_line(&left, &line);) {
        Line other = same_name(now, &line);
        if (other.n != line.n || memcmp(other.text, line.text, line.n) != 0)
            add_name(&line, &n, out);
    }
    for (const char *left = now; next_line(&left, &line);)
        if (same_name(stored, &line).n == 0) add_name(&line, &n, out);
    return n;
}
