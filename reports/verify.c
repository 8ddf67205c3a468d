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
    " version, blas FROM cell JOIN run ON run.id = run_id JOIN model ON model.hash = model_hash"
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

/* What a finished cell holds; the first column says which row it is. */
static const struct {
    const char *name;
    const char *sql;
} tables[] = {
    {"metric",
     "SELECT name, value, n, ci_low, ci_high, ci_method FROM metric WHERE cell_id = ? ORDER BY name"},
    {"trial",
     "SELECT idx, cluster, n_prompt_tokens, n_scored, nll, n_bytes, needle_first, prompt_hash, expected,"
     " answer, exact, forced, logp, logp_control, ranks FROM trial WHERE cell_id = ? ORDER BY idx"  },
    {"position_nll",
     "SELECT bucket, cluster, first, last, n, sum, sum_squares FROM position_nll WHERE cell_id = ?"
     " ORDER BY bucket, cluster"                                                                    },
};

static void note(VerifyDifference *out, const char *table, Stmt *row, int column)
{
    const char *first = stmt_text(row, 0);
    snprintf(out->where, sizeof out->where, "%s %.40s: %s", table, first ? first : "",
             sqlite3_column_name(row->handle, column));
}

/* Notes the largest difference of reals, until there is one of something else. */
static void compare_reals(Stmt *a, Stmt *b, int column, const char *table, VerifyDifference *out)
{
    double x = stmt_double(a, column);
    double y = stmt_double(b, column);
    if (x == y) return; /* no NaN, and no zero below zero, is in a database */
    double off = fabs(x - y) / fmax(1.0, fabs(x));
    out->is_equal = false;
    if (off < out->largest) return;
    out->largest = off;
    if (out->only_numbers) note(out, table, a, column);
}

static void compare_column(Stmt *a, Stmt *b, int column, const char *table, VerifyDifference *out)
{
    int type = sqlite3_column_type(a->handle, column);
    bool same_type = type == sqlite3_column_type(b->handle, column);
    if (same_type && type == SQLITE_FLOAT) {
        compare_reals(a, b, column, table, out);
        return;
    }
    const char *x = stmt_text(a, column);
    const char *y = stmt_text(b, column);
    if (same_type && (x == y || (x && y && str_equal(x, y)))) return;
    if (out->only_numbers) note(out, table, a, column);
    out->is_equal = out->only_numbers = false;
}

static bool compare_rows(Stmt *a, Stmt *b, const char *table, VerifyDifference *out, Err *err)
{
    bool more_a = true;
    bool more_b = true;
    for (size_t n = 0; more_a && more_b; n++) {
        if (!stmt_next(a, &more_a, err) || !stmt_next(b, &more_b, err)) return false;
        if (more_a != more_b) {
            if (out->only_numbers)
                snprintf(out->where, sizeof out->where, "%s: more than %zu rows in one of them",
                         table, n);
            out->is_equal = out->only_numbers = false;
        }
        for (int i = 0; more_a && more_b && i < sqlite3_column_count(a->handle); i++)
            compare_column(a, b, i, table, out);
    }
    return true;
}

bool verify_compare(Store *stored, int64_t cell_id, Store *again, int64_t again_id,
                    VerifyDifference *out, Err *err)
{
    *out = (VerifyDifference){.is_equal = true, .only_numbers = true};
    bool ok = true;
    for (size_t i = 0; ok && i < COUNT_OF(tables); i++) {
        Stmt a;
        Stmt b = {0};
        ok = stmt_open(store_sqlite(stored), tables[i].sql, &a, err) &&
             stmt_open(store_sqlite(again), tables[i].sql, &b, err);
        if (ok) stmt_put_i64(&a, cell_id);
        if (ok) stmt_put_i64(&b, again_id);
        ok = ok && compare_rows(&a, &b, tables[i].name, out, err);
        stmt_close(&a);
        stmt_close(&b);
    }
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
