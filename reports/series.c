/* One query gives every sample of a model in the order of series, setting, length, depth and index, so that series and cells are runs of
 * equal rows. A cell that is not done gives one row without a sample. */
#include "reports/series.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "reports/report_internal.h"
#include "reports/stmt.h"

/* A file may be hostile: no count is taken for more than this. */
static const int64_t max_tokens = (int64_t)1 << 40;

enum { MIN_HASH_DIGITS = 8 };

static const char models_sql[] =
    "SELECT hash, name, path, arch, n_ctx_orig, n_rot, n_layers, n_kv_heads, head_dim, own_method"
    " FROM model LEFT JOIN model_shape ON model_hash = hash"
    " WHERE hash IN (SELECT model_hash FROM cell) ORDER BY name, hash";

static const char settings_sql[] =
    "SELECT key, label, method, class = 'position', lambda, factor, theta, n_rot, n_ctx_orig FROM setting"
    " WHERE key IN (SELECT setting_key FROM cell WHERE model_hash = ?)"
    " ORDER BY method <> 'none', method, lambda IS NULL, lambda, factor IS NULL, factor, label, key";

static const char samples_sql[] =
    "SELECT probe, protocol, params, corpus_hash, bos_policy, precision, seed, numeric_version, limited,"
    " corpus.name, setting_key, n_ctx, status, depth, idx, cluster, n_scored, nll, exact, message,"
    " needle_first, n_prompt_tokens - needle_first"
    " FROM cell LEFT JOIN corpus ON corpus.hash = corpus_hash"
    " LEFT JOIN trial ON cell_id = cell.id AND status = 'done'"
    " WHERE model_hash = ?1"
    " AND (?2 = 0 OR cell.id IN (SELECT cell_id FROM run_cell WHERE run_id = ?2))"
    " AND generation = (SELECT max(c.generation) FROM cell AS c WHERE c.key = cell.key)"
    " ORDER BY probe, protocol, params, corpus_hash, bos_policy, precision, seed, numeric_version, limited,"
    " setting_key, n_ctx, depth, cell.id, idx";

static void free_series(Series *series)
{
    char *const texts[] = {series->probe,    series->protocol,    series->params,
                           series->corpus,   series->corpus_hash, series->bos_policy,
                           series->precision};
    for (size_t i = 0; i < COUNT_OF(texts); i++)
        free(texts[i]);
    for (size_t i = 0; i < series->n_cells; i++) {
        free(series->cells[i].samples);
        free(series->cells[i].why);
    }
    free(series->cells);
}

void series_free(SeriesList *list)
{
    for (size_t i = 0; i < list->n; i++)
        free_series(&list->items[i]);
    for (size_t i = 0; i < list->n_settings; i++) {
        free(list->settings[i].key);
        free(list->settings[i].label);
        free(list->settings[i].method);
    }
    free(list->items);
    free(list->settings);
    free(list->model_hash);
    free(list->model);
    free(list->model_path);
    free(list->arch);
    free(list->own_method);
    *list = (SeriesList){0};
}

static char *copy(Stmt *stmt, int column)
{
    const char *text = stmt_text(stmt, column);
    return text ? str_dup(text) : NULL;
}

/* For columns that are NOT NULL; a value that is missing all the same reads as empty. */
static char *copy_or_empty(Stmt *stmt, int column)
{
    char *text = copy(stmt, column);
    return text ? text : str_dup("");
}

static bool is_asked_for(Stmt *stmt, const char *name)
{
    const char *hash = stmt_text(stmt, 0);
    const char *model = stmt_text(stmt, 1);
    if (!name) return true;
    return (model && (str_equal(model, name) || str_equal(model, file_base_name(name)))) ||
           (hash && strlen(name) >= MIN_HASH_DIGITS && str_starts_with(hash, name));
}

static void read_model(Stmt *stmt, SeriesList *out)
{
    out->model_hash = copy_or_empty(stmt, 0);
    out->model = copy_or_empty(stmt, 1);
    out->model_path = copy(stmt, 2);
    out->arch = copy(stmt, 3);
    out->n_ctx_orig = stmt_i64(stmt, 4);
    out->n_rot = stmt_i64(stmt, 5);
    out->n_layers = stmt_i64(stmt, 6);
    out->n_kv_heads = stmt_i64(stmt, 7);
    out->head_dim = stmt_i64(stmt, 8);
    out->own_method = copy(stmt, 9);
}

/* Ends the search for a model with one, or says which there are. */
static bool check_one(const char *name, size_t n_found, Buf *names, Err *err)
{
    if (n_found == 1) return true;
    if (names->len == 0)
        return err_set(err, ERR_USAGE,
                       "the database holds no cell; run `ropewalk sweep` into it first");
    if (n_found == 0)
        return err_set(err, ERR_USAGE, "--model %s: is not in the database; it has %s", name,
                       buf_text(names));
    return err_set(err, ERR_USAGE, "the database has several models; give --model, one of: %s",
                   buf_text(names));
}

static bool find_model(Store *store, const char *name, SeriesList *out, Err *err)
{
    Stmt stmt;
    Buf names = {0};
    size_t n_found = 0;
    bool row;
    bool ok = stmt_open(store_sqlite(store), models_sql, &stmt, err);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        char shown[128];
        const char *model = stmt_text(&stmt, 1) ? stmt_text(&stmt, 1) : "";
        str_escape(model, strlen(model), shown, sizeof shown);
        buf_printf(&names, "%s%s (%.*s)", names.len ? ", " : "", shown, MIN_HASH_DIGITS,
                   stmt_text(&stmt, 0) ? stmt_text(&stmt, 0) : "");
        if (is_asked_for(&stmt, name) && ++n_found == 1) read_model(&stmt, out);
    }
    stmt_close(&stmt);
    ok = ok && check_one(name, n_found, &names, err);
    buf_free(&names);
    return ok;
}

static bool load_settings(Store *store, SeriesList *list, Err *err)
{
    Stmt stmt;
    bool row;
    bool ok = stmt_open(store_sqlite(store), settings_sql, &stmt, err);
    if (ok) stmt_put_text(&stmt, list->model_hash);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        list->settings = mem_realloc(list->settings, list->n_settings + 1, sizeof *list->settings);
        list->settings[list->n_settings++] = (SeriesSetting){
            .key = copy_or_empty(&stmt, 0),
            .label = copy_or_empty(&stmt, 1),
            .method = copy_or_empty(&stmt, 2),
            .is_position = stmt_i64(&stmt, 3) != 0,
            .lambda = stmt_double(&stmt, 4),
            .factor = stmt_double(&stmt, 5),
            .theta = stmt_double(&stmt, 6),
            .n_rot = stmt_i64(&stmt, 7),
            .n_ctx_orig = stmt_i64(&stmt, 8),
        };
    }
    stmt_close(&stmt);
    return ok;
}

static bool same_text(Stmt *stmt, int column, const char *wanted)
{
    const char *text = stmt_text(stmt, column);
    return str_equal(text ? text : "", wanted ? wanted : "");
}

static bool is_of_series(Stmt *stmt, const Series *series)
{
    return same_text(stmt, 0, series->probe) && same_text(stmt, 1, series->protocol) &&
           same_text(stmt, 2, series->params) && same_text(stmt, 3, series->corpus_hash) &&
           same_text(stmt, 4, series->bos_policy) && same_text(stmt, 5, series->precision) &&
           stmt_i64(stmt, 6) == series->seed && stmt_i64(stmt, 7) == series->numeric_version &&
           (stmt_i64(stmt, 8) != 0) == series->limited;
}

/* The series of the current row: the last one, or a new one. */
static Series *series_of(SeriesList *list, Stmt *stmt)
{
    if (list->n && is_of_series(stmt, &list->items[list->n - 1])) return &list->items[list->n - 1];
    list->items = mem_realloc(list->items, list->n + 1, sizeof *list->items);
    Series *series = &list->items[list->n++];
    *series = (Series){
        .probe = copy_or_empty(stmt, 0),
        .protocol = copy_or_empty(stmt, 1),
        .params = copy_or_empty(stmt, 2),
        .corpus_hash = copy(stmt, 3),
        .bos_policy = copy_or_empty(stmt, 4),
        .precision = copy_or_empty(stmt, 5),
        .seed = stmt_i64(stmt, 6),
        .numeric_version = stmt_i64(stmt, 7),
        .limited = stmt_i64(stmt, 8) != 0,
        .corpus = copy(stmt, 9),
    };
    series->same_targets = str_equal(series->protocol, "target");
    return series;
}

static size_t setting_of(const SeriesList *list, Stmt *stmt)
{
    size_t i = 0;
    while (i < list->n_settings && !same_text(stmt, 10, list->settings[i].key))
        i++;
    return i;
}

/* The cell of the current row within its series: the last one, or a new one. NULL for a setting that is in no table. */
static SeriesCell *cell_of(const SeriesList *list, Series *series, Stmt *stmt)
{
    SeriesCell *last = series->n_cells ? &series->cells[series->n_cells - 1] : NULL;
    int64_t n_ctx = stmt_i64(stmt, 11);
    if (last && last->n_ctx == n_ctx && same_text(stmt, 10, list->settings[last->setting].key))
        return last;
    size_t setting = setting_of(list, stmt);
    if (setting == list->n_settings) return NULL;
    series->cells = mem_realloc(series->cells, series->n_cells + 1, sizeof *series->cells);
    last = &series->cells[series->n_cells++];
    *last = (SeriesCell){.setting = setting, .n_ctx = n_ctx, .status = CELL_DONE};
    return last;
}

static void add_sample(SeriesCell *cell, const SeriesSample *sample)
{
    if (cell->n == cell->cap) {
        cell->cap = cell->cap ? 2 * cell->cap : 32;
        cell->samples = mem_realloc(cell->samples, cell->cap, sizeof *cell->samples);
    }
    cell->samples[cell->n++] = *sample;
}

static void drop_samples(SeriesCell *cell, CellStatus status)
{
    free(cell->samples);
    *cell = (SeriesCell){.setting = cell->setting, .n_ctx = cell->n_ctx, .status = status};
}

/* Adds the sample of the current row; the first that is not done ends its cell. */
static void read_sample(Stmt *stmt, Series *series, SeriesCell *cell)
{
    CellStatus status;
    const char *name = stmt_text(stmt, 12);
    if (!name || !cell_status_find(name, &status)) status = CELL_FAILED;
    if (cell->status != CELL_DONE) return;
    if (status != CELL_DONE) {
        drop_samples(cell, status);
        cell->why = copy(stmt, 19);
        return;
    }
    bool is_hit = !stmt_is_null(stmt, 18);
    SeriesSample sample = {
        .depth = stmt_is_null(stmt, 13) ? -1.0 : stmt_double(stmt, 13),
        .index = stmt_i64(stmt, 14),
        .cluster = stmt_i64(stmt, 15),
        .sum = is_hit ? (double)(stmt_i64(stmt, 18) != 0) : stmt_double(stmt, 17),
        .n = is_hit ? 1 : min_i64(stmt_i64(stmt, 16), max_tokens),
        .position = stmt_is_null(stmt, 20) ? -1 : stmt_i64(stmt, 20),
        .distance = stmt_is_null(stmt, 21) ? -1 : stmt_i64(stmt, 21),
    };
    series->is_hits = series->is_hits || is_hit;
    if (is_hit == series->is_hits && sample.n > 0 && isfinite(sample.sum))
        add_sample(cell, &sample);
}

bool series_load(Store *store, const char *name, int64_t run_id, SeriesList *out, Err *err)
{
    *out = (SeriesList){0};
    Stmt stmt = {0};
    bool row;
    bool ok = find_model(store, name, out, err) && load_settings(store, out, err) &&
              stmt_open(store_sqlite(store), samples_sql, &stmt, err);
    if (ok) stmt_put_text(&stmt, out->model_hash);
    if (ok) stmt_put_i64(&stmt, run_id);
    while (ok && (ok = stmt_next(&stmt, &row, err)) && row) {
        Series *series = series_of(out, &stmt);
        SeriesCell *cell = cell_of(out, series, &stmt);
        if (cell) read_sample(&stmt, series, cell);
    }
    stmt_close(&stmt);
    if (!ok) series_free(out);
    return ok;
}

const SeriesCell *series_cell(const Series *series, size_t setting, int64_t n_ctx)
{
    for (size_t i = 0; i < series->n_cells; i++)
        if (series->cells[i].setting == setting && series->cells[i].n_ctx == n_ctx)
            return &series->cells[i];
    return NULL;
}

double series_mean(const SeriesCell *cell)
{
    double sum = 0.0;
    double n = 0.0;
    for (size_t i = 0; cell && i < cell->n; i++) {
        sum += cell->samples[i].sum;
        n += (double)cell->samples[i].n;
    }
    return n > 0.0 ? sum / n : (double)NAN;
}

static int compare_places(const SeriesSample *a, const SeriesSample *b)
{
    if (a->depth != b->depth) return a->depth < b->depth ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

/* Clusters as they are collected. */
typedef struct {
    ClusterSum *items;
    size_t n;
    double depth; /* of the last one */
    int64_t cluster;
} Gathered;

static void gather(Gathered *all, const SeriesSample *sample, double sum)
{
    bool is_new = all->n == 0 || sample->depth != all->depth || sample->cluster != all->cluster;
    if (is_new) {
        all->items = mem_realloc(all->items, all->n + 1, sizeof *all->items);
        all->items[all->n++] = (ClusterSum){0};
        all->depth = sample->depth;
        all->cluster = sample->cluster;
    }
    all->items[all->n - 1].sum += sum;
    all->items[all->n - 1].n += sample->n;
}

/* Merges neighbours into at most SERIES_MAX_CLUSTERS and frees what was collected. */
static size_t merge(Gathered *all, ClusterSum *out)
{
    size_t n = all->n < SERIES_MAX_CLUSTERS ? all->n : SERIES_MAX_CLUSTERS;
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < all->n; i++) {
        ClusterSum *into = &out[i * n / all->n];
        into->sum += all->items[i].sum;
        into->n += all->items[i].n;
    }
    free(all->items);
    return n;
}

/* The next sample of a, from *i on, that b has with as many tokens; *j is its index there. False when there is none. */
static bool next_pair(const SeriesCell *a, const SeriesCell *b, size_t *i, size_t *j)
{
    for (; a && b && *i < a->n; (*i)++) {
        while (*j < b->n && compare_places(&b->samples[*j], &a->samples[*i]) < 0)
            (*j)++;
        if (*j < b->n && compare_places(&b->samples[*j], &a->samples[*i]) == 0 &&
            b->samples[*j].n == a->samples[*i].n)
            return true;
    }
    return false;
}

size_t series_pair(const SeriesCell *a, const SeriesCell *b, ClusterSum *out)
{
    Gathered all = {0};
    size_t j = 0;
    for (size_t i = 0; next_pair(a, b, &i, &j); i++)
        gather(&all, &a->samples[i], a->samples[i].sum - b->samples[j].sum);
    return merge(&all, out);
}

PairedHits series_paired_hits(const SeriesCell *a, const SeriesCell *b)
{
    PairedHits out = {0};
    size_t j = 0;
    for (size_t i = 0; next_pair(a, b, &i, &j); i++) {
        bool first = a->samples[i].sum > 0.0;
        bool second = b->samples[j].sum > 0.0;
        out.both += first && second;
        out.only_first += first && !second;
        out.only_second += !first && second;
        out.neither += !first && !second;
    }
    return out;
}

bool series_is_measured(const Series *series)
{
    for (size_t i = 0; i < series->n_cells; i++)
        if (series->cells[i].n > 0) return true;
    return false;
}

size_t series_clusters(const SeriesCell *cell, ClusterSum *out)
{
    Gathered all = {0};
    for (size_t i = 0; cell && i < cell->n; i++)
        gather(&all, &cell->samples[i], cell->samples[i].sum);
    return merge(&all, out);
}
