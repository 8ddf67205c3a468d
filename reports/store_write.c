#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "reports/store_internal.h"

static const char *const sql_texts[SQL_COUNT] = {
    [SQL_PUT_MODEL] =
        "INSERT INTO model (hash, name, path, format, arch, n_params, n_ctx_train, n_ctx_orig, theta, n_rot,"
        " rope_found, tokenizer, notes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        " ON CONFLICT (hash) DO UPDATE SET name = excluded.name, path = excluded.path,"
        " n_ctx_train = excluded.n_ctx_train, n_ctx_orig = excluded.n_ctx_orig, theta = excluded.theta,"
        " rope_found = excluded.rope_found, notes = excluded.notes",
    [SQL_PUT_SHAPE] =
        "INSERT INTO model_shape (model_hash, n_layers, n_kv_heads, head_dim, own_method)"
        " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    [SQL_PUT_CORPUS] =
        "INSERT INTO corpus (hash, name, path, n_bytes) VALUES (?, ?, ?, ?)"
        " ON CONFLICT (hash) DO UPDATE SET name = excluded.name, path = excluded.path",
    [SQL_PUT_SETTING] =
        "INSERT INTO setting (key, label, method, class, lambda, factor, theta, n_rot, n_ctx_orig,"
        " depends_on_n_ctx) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO NOTHING",
    [SQL_PUT_PAIR] = "INSERT INTO setting_pair (setting_key, n_ctx, pair, theta, theta_scaled)"
                     " VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
    [SQL_PUT_PREDICTION] =
        "INSERT INTO prediction (model_hash, setting_key, n_ctx, quantity, unit, value, source)"
        " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET unit = excluded.unit,"
        " value = excluded.value, source = excluded.source",
    [SQL_PUT_AUDIT] =
        "INSERT INTO audit (model_hash, setting_key, n_ctx, seed, verdict, amplitude, residual, tolerance,"
        " shift_error, norm_error, residual_f32, shift_error_f32, norm_error_f32, worst_pair, worst_query,"
        " worst_key, largest_residue, mean_residue)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
        " seed = excluded.seed, verdict = excluded.verdict, amplitude = excluded.amplitude,"
        " residual = excluded.residual, tolerance = excluded.tolerance, shift_error = excluded.shift_error,"
        " norm_error = excluded.norm_error, residual_f32 = excluded.residual_f32,"
        " shift_error_f32 = excluded.shift_error_f32, norm_error_f32 = excluded.norm_error_f32,"
        " worst_pair = excluded.worst_pair, worst_query = excluded.worst_query, worst_key = excluded.worst_key,"
        " largest_residue = coalesce(excluded.largest_residue, largest_residue),"
        " mean_residue = coalesce(excluded.mean_residue, mean_residue)",
    [SQL_BEGIN_RUN] =
        "INSERT INTO run (status, started_at, command, spec, version, machine, blas, n_threads, n_jobs,"
        " limited) VALUES ('running', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_END_RUN] = "UPDATE run SET status = ?, ended_at = ? WHERE id = ?",
    [SQL_FIND_CELL] =
        "SELECT id, generation, status FROM cell WHERE key = ? ORDER BY generation DESC LIMIT 1",
    [SQL_ADD_CELL] =
        "INSERT INTO cell (key, generation, canonical, model_hash, setting_key, corpus_hash, n_ctx, probe,"
        " protocol, params, depth, seed, precision, numeric_version, bos_policy, limited, status)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'pending')",
    [SQL_LINK_CELL] = "INSERT INTO run_cell (run_id, cell_id, ordinal) VALUES (?, ?, ?)"
                      " ON CONFLICT DO NOTHING",
    [SQL_END_CELL] =
        "UPDATE cell SET status = ?, message = ?, run_id = ?, finished_at = ?, seconds = ?,"
        " n_prefilled = ? WHERE id = ?",
    [SQL_CLEAR_METRICS] = "DELETE FROM metric WHERE cell_id = ?",
    [SQL_CLEAR_TRIALS] = "DELETE FROM trial WHERE cell_id = ?",
    [SQL_CLEAR_POSITIONS] = "DELETE FROM position_nll WHERE cell_id = ?",
    [SQL_CLEAR_REPLIES] = "DELETE FROM reply WHERE cell_id = ?",
    [SQL_ADD_METRIC] =
        "INSERT INTO metric (cell_id, name, place, unit, direction, value, n, ci_low, ci_high, ci_method)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_ADD_TRIAL] =
        "INSERT INTO trial (cell_id, idx, cluster, n_prompt_tokens, n_scored, nll, n_bytes, needle_first,"
        " prompt_hash, expected, answer, exact, forced, logp, logp_control, ranks)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_ADD_POSITION] =
        "INSERT INTO position_nll (cell_id, bucket, cluster, first, last, n, sum, sum_squares)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
    [SQL_ADD_REPLY] =
        "INSERT INTO reply (cell_id, model, system_fingerprint, n) VALUES (?, ?, ?, ?)",
    [SQL_ADD_EVENT] = "INSERT INTO event (run_id, at, level, text) VALUES (?, ?, ?, ?)",
    [SQL_ADD_VERIFICATION] =
        "INSERT INTO verification (cell_id, at, outcome, detail, version, machine, blas)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
    [SQL_COUNT_CELLS] = "SELECT cell.status, count(*) FROM run_cell JOIN cell ON cell.id = cell_id"
                        " WHERE run_cell.run_id = ? GROUP BY cell.status",
    [SQL_COUNT_OTHER_KERNELS] =
        "SELECT count(*) FROM run_cell JOIN cell ON cell.id = cell_id JOIN run AS maker ON maker.id = cell.run_id"
        " JOIN run AS own ON own.id = run_cell.run_id WHERE own.id = ? AND cell.status = 'done'"
        " AND substr(maker.blas, 1, instr(maker.blas, ';')) <> substr(own.blas, 1, instr(own.blas, ';'))",
    [SQL_COUNT_OTHER_PRECISION] =
        "SELECT count(*) FROM run_cell JOIN cell ON cell.id = cell_id WHERE run_cell.run_id = ? AND EXISTS ("
        "SELECT 1 FROM cell AS other WHERE other.setting_key = cell.setting_key AND other.model_hash = cell.model_hash"
        " AND other.corpus_hash IS cell.corpus_hash AND other.n_ctx = cell.n_ctx AND other.probe = cell.probe"
        " AND other.params = cell.params AND other.depth IS cell.depth AND other.seed = cell.seed"
        " AND other.bos_policy = cell.bos_policy AND other.limited = cell.limited AND other.status = 'done'"
        " AND other.precision <> cell.precision)",
};

/* The statement, ready for its parameters; NULL and err when it cannot be prepared. */
static Stmt *ready(Store *store, SqlId id, Err *err)
{
    Stmt *stmt = &store->stmts[id];
    if (!stmt->handle && !stmt_open(store->db, sql_texts[id], stmt, err)) return NULL;
    stmt_reset(stmt);
    return stmt;
}

void store_close_stmts(Store *store)
{
    for (size_t i = 0; i < COUNT_OF(store->stmts); i++)
        stmt_close(&store->stmts[i]);
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

static bool add_shape(Store *store, const ModelRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_SHAPE, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->hash);
    stmt_put_i64(stmt, row->n_layers);
    stmt_put_i64(stmt, row->n_kv_heads);
    stmt_put_i64(stmt, row->head_dim);
    stmt_put_text(stmt, or_empty(row->own_method));
    return stmt_run(stmt, err);
}

static bool add_model(Store *store, const ModelRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_MODEL, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->hash);
    stmt_put_text(stmt, or_empty(row->name));
    stmt_put_text(stmt, row->path);
    stmt_put_text(stmt, row->format);
    stmt_put_text(stmt, row->arch);
    stmt_put_i64(stmt, row->n_params);
    stmt_put_i64(stmt, row->n_ctx_train);
    stmt_put_i64(stmt, row->n_ctx_orig);
    stmt_put_double(stmt, row->theta);
    stmt_put_i64(stmt, row->n_rot);
    stmt_put_text(stmt, row->rope_found);
    stmt_put_text(stmt, row->tokenizer);
    stmt_put_text(stmt, row->notes);
    return stmt_run(stmt, err);
}

bool store_put_model(Store *store, const ModelRow *row, Err *err)
{
    if (!store_begin(store, err)) return false;
    bool ok = add_model(store, row, err) && (row->n_layers == 0 || add_shape(store, row, err));
    return store_end(store, ok, err);
}

bool store_put_corpus(Store *store, const CorpusRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_CORPUS, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->hash);
    stmt_put_text(stmt, or_empty(row->name));
    stmt_put_text(stmt, row->path);
    stmt_put_i64(stmt, row->n_bytes);
    return store_begin(store, err) && store_end(store, stmt_run(stmt, err), err);
}

static bool add_setting(Store *store, const SettingRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_SETTING, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->key);
    stmt_put_text(stmt, row->label);
    stmt_put_text(stmt, row->method);
    stmt_put_text(stmt, row->class_);
    stmt_put_double(stmt, row->lambda);
    stmt_put_double(stmt, row->factor);
    stmt_put_double(stmt, row->theta);
    stmt_put_i64(stmt, row->n_rot);
    stmt_put_i64(stmt, row->n_ctx_orig);
    stmt_put_i64(stmt, row->depends_on_n_ctx);
    return stmt_run(stmt, err);
}

static bool add_pair(Store *store, const char *setting_key, const SettingPairRow *pair, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_PAIR, err);
    if (!stmt) return false;
    stmt_put_text(stmt, setting_key);
    stmt_put_i64(stmt, pair->n_ctx);
    stmt_put_i64(stmt, pair->pair);
    stmt_put_double(stmt, pair->theta_i);
    stmt_put_double(stmt, pair->theta_scaled_i);
    return stmt_run(stmt, err);
}

bool store_put_setting(Store *store, const SettingRow *row, const SettingPairRow *pairs,
                       size_t n_pairs, Err *err)
{
    if (!store_begin(store, err)) return false;
    bool ok = add_setting(store, row, err);
    for (size_t i = 0; ok && i < n_pairs; i++)
        ok = add_pair(store, row->key, &pairs[i], err);
    return store_end(store, ok, err);
}

bool store_add_event(Store *store, int64_t run_id, const char *level, const char *text, Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_EVENT, err);
    if (!stmt) return false;
    char now[CLOCK_UTC_SIZE];
    clock_utc(now);
    stmt_put_i64(stmt, run_id);
    stmt_put_text(stmt, now);
    stmt_put_text(stmt, level);
    stmt_put_text(stmt, text);
    return store_begin(store, err) && store_end(store, stmt_run(stmt, err), err);
}

bool store_add_verification(Store *store, const VerificationRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_VERIFICATION, err);
    if (!stmt) return false;
    char now[CLOCK_UTC_SIZE];
    clock_utc(now);
    stmt_put_i64(stmt, row->cell_id);
    stmt_put_text(stmt, now);
    stmt_put_text(stmt, row->outcome);
    stmt_put_text(stmt, or_empty(row->detail));
    stmt_put_text(stmt, or_empty(row->version));
    stmt_put_text(stmt, or_empty(row->machine));
    stmt_put_text(stmt, or_empty(row->blas));
    return store_begin(store, err) && store_end(store, stmt_run(stmt, err), err);
}

static bool add_run(Store *store, const RunRow *row, int64_t *run_id, Err *err)
{
    Stmt *stmt = ready(store, SQL_BEGIN_RUN, err);
    if (!stmt) return false;
    char now[CLOCK_UTC_SIZE];
    clock_utc(now);
    stmt_put_text(stmt, now);
    stmt_put_text(stmt, or_empty(row->command));
    stmt_put_text(stmt, or_empty(row->spec));
    stmt_put_text(stmt, or_empty(row->version));
    stmt_put_text(stmt, or_empty(row->machine));
    stmt_put_text(stmt, or_empty(row->blas));
    stmt_put_i64(stmt, row->n_threads);
    stmt_put_i64(stmt, row->n_jobs);
    stmt_put_i64(stmt, row->limited);
    if (!stmt_run(stmt, err)) return false;
    *run_id = sqlite3_last_insert_rowid(store->db);
    return true;
}

bool store_put_prediction(Store *store, const PredictionRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_PREDICTION, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->model_hash);
    stmt_put_text(stmt, row->setting_key);
    stmt_put_i64(stmt, row->n_ctx);
    stmt_put_text(stmt, row->quantity);
    stmt_put_text(stmt, or_empty(row->unit));
    stmt_put_double(stmt, row->value);
    stmt_put_text(stmt, or_empty(row->source));
    return store_begin(store, err) && store_end(store, stmt_run(stmt, err), err);
}

bool store_put_audit(Store *store, const AuditRow *row, Err *err)
{
    Stmt *stmt = ready(store, SQL_PUT_AUDIT, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->model_hash);
    stmt_put_text(stmt, row->setting_key);
    stmt_put_i64(stmt, row->n_ctx);
    stmt_put_i64(stmt, row->seed);
    stmt_put_text(stmt, or_empty(row->verdict));
    const double figures[] = {row->amplitude,       row->residual,      row->tolerance,
                              row->shift_error,     row->norm_error,    row->residual_f32,
                              row->shift_error_f32, row->norm_error_f32};
    for (size_t i = 0; i < COUNT_OF(figures); i++)
        stmt_put_double(stmt, figures[i]);
    stmt_put_i64(stmt, row->worst_pair);
    stmt_put_i64(stmt, row->worst_query);
    stmt_put_i64(stmt, row->worst_key);
    stmt_put_double(stmt, row->largest_residue);
    stmt_put_double(stmt, row->mean_residue);
    return store_begin(store, err) && store_end(store, stmt_run(stmt, err), err);
}

bool store_begin_run(Store *store, const RunRow *row, int64_t *run_id, Err *err)
{
    static const char warning[] = "the database lies on a network file system: its journal is a "
                                  "rollback journal, and reports wait while a cell is written";
    if (!store_begin(store, err)) return false;
    bool ok = add_run(store, row, run_id, err) &&
              (!store->network_fs || store_add_event(store, *run_id, "warning", warning, err));
    return store_end(store, ok, err);
}

bool store_end_run(Store *store, int64_t run_id, const char *how, Err *err)
{
    Stmt *stmt = ready(store, SQL_END_RUN, err);
    if (!stmt) return false;
    char now[CLOCK_UTC_SIZE];
    clock_utc(now);
    stmt_put_text(stmt, how);
    stmt_put_text(stmt, now);
    stmt_put_i64(stmt, run_id);
    return store_begin(store, err) && store_end(store, stmt_run(stmt, err), err);
}

bool store_begin_plan(Store *store, Err *err)
{
    return store_begin(store, err);
}

bool store_end_plan(Store *store, Err *err)
{
    return store_end(store, true, err);
}

/* The latest generation of a key; *generation is 0 when there is none. */
static bool find_cell(Store *store, const char *key, int64_t *cell_id, int64_t *generation,
                      CellStatus *status, Err *err)
{
    *generation = 0;
    Stmt *stmt = ready(store, SQL_FIND_CELL, err);
    if (!stmt) return false;
    stmt_put_text(stmt, key);
    bool row;
    bool ok = stmt_next(stmt, &row, err);
    if (ok && row) {
        *cell_id = stmt_i64(stmt, 0);
        *generation = stmt_i64(stmt, 1);
        ok = cell_status_find(or_empty(stmt_text(stmt, 2)), status) ||
             err_set(err, ERR_STORE, "cell %lld has a status this program does not know",
                     (long long)*cell_id);
    }
    stmt_reset(stmt);
    return ok;
}

static bool add_cell(Store *store, const CellRow *row, int64_t generation, int64_t *cell_id,
                     Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_CELL, err);
    if (!stmt) return false;
    stmt_put_text(stmt, row->key);
    stmt_put_i64(stmt, generation);
    stmt_put_text(stmt, or_empty(row->canonical));
    stmt_put_text(stmt, row->model_hash);
    stmt_put_text(stmt, row->setting_key);
    stmt_put_text(stmt, row->corpus_hash);
    stmt_put_i64(stmt, row->n_ctx);
    stmt_put_text(stmt, row->probe);
    stmt_put_text(stmt, or_empty(row->protocol));
    stmt_put_text(stmt, or_empty(row->params));
    stmt_put_double(stmt, row->depth);
    stmt_put_i64(stmt, row->seed);
    stmt_put_text(stmt, or_empty(row->precision));
    stmt_put_i64(stmt, row->numeric_version);
    stmt_put_text(stmt, or_empty(row->bos_policy));
    stmt_put_i64(stmt, row->limited);
    if (!stmt_run(stmt, err)) return false;
    *cell_id = sqlite3_last_insert_rowid(store->db);
    return true;
}

static bool link_cell(Store *store, int64_t run_id, int64_t cell_id, int64_t ordinal, Err *err)
{
    Stmt *stmt = ready(store, SQL_LINK_CELL, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, run_id);
    stmt_put_i64(stmt, cell_id);
    stmt_put_i64(stmt, ordinal);
    return stmt_run(stmt, err);
}

bool store_plan_cell(Store *store, int64_t run_id, const CellRequest *request, int64_t *cell_id,
                     CellStatus *status, Err *err)
{
    if (!store_begin(store, err)) return false;
    int64_t generation;
    bool ok = find_cell(store, request->row->key, cell_id, &generation, status, err);
    if (ok && (generation == 0 || (request->fresh && *status != CELL_PENDING))) {
        ok = add_cell(store, request->row, generation + 1, cell_id, err);
        *status = CELL_PENDING;
    }
    ok = ok && link_cell(store, run_id, *cell_id, request->ordinal, err);
    return store_end(store, ok, err);
}

static bool clear_cell(Store *store, int64_t cell_id, Err *err)
{
    for (SqlId id = SQL_CLEAR_METRICS; id <= SQL_CLEAR_REPLIES; id++) {
        Stmt *stmt = ready(store, id, err);
        if (!stmt) return false;
        stmt_put_i64(stmt, cell_id);
        if (!stmt_run(stmt, err)) return false;
    }
    return true;
}

static bool end_cell(Store *store, int64_t cell_id, int64_t run_id, const CellResult *result,
                     Err *err)
{
    Stmt *stmt = ready(store, SQL_END_CELL, err);
    if (!stmt) return false;
    char now[CLOCK_UTC_SIZE];
    clock_utc(now);
    stmt_put_text(stmt, cell_status_name(result->status));
    stmt_put_text(stmt, result->message);
    stmt_put_i64(stmt, run_id);
    stmt_put_text(stmt, now);
    stmt_put_double(stmt, result->seconds);
    stmt_put_i64(stmt, result->n_prefilled);
    stmt_put_i64(stmt, cell_id);
    return stmt_run(stmt, err);
}

static bool add_metric(Store *store, int64_t cell_id, size_t place, const Metric *metric, Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_METRIC, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, cell_id);
    stmt_put_text(stmt, metric->name);
    stmt_put_i64(stmt, (int64_t)place);
    stmt_put_text(stmt, or_empty(metric->unit));
    stmt_put_i64(stmt, metric->direction);
    stmt_put_double(stmt, metric->value);
    stmt_put_i64(stmt, metric->n);
    stmt_put_double(stmt, metric->ci_low);
    stmt_put_double(stmt, metric->ci_high);
    stmt_put_text(stmt, metric->ci_method);
    return stmt_run(stmt, err);
}

static bool add_trial(Store *store, int64_t cell_id, const Trial *trial, Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_TRIAL, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, cell_id);
    stmt_put_i64(stmt, trial->index);
    stmt_put_i64(stmt, trial->cluster);
    stmt_put_i64(stmt, trial->n_prompt_tokens);
    stmt_put_i64(stmt, trial->n_scored);
    stmt_put_double(stmt, trial->nll);
    stmt_put_i64_or_null(stmt, trial->n_bytes, 0);
    stmt_put_i64_or_null(stmt, trial->needle_first, -1);
    stmt_put_text(stmt, trial->prompt_hash);
    stmt_put_text(stmt, trial->expected);
    stmt_put_text(stmt, trial->answer);
    stmt_put_i64_or_null(stmt, trial->exact, -1);
    stmt_put_i64_or_null(stmt, trial->forced, -1);
    stmt_put_double(stmt, trial->logp);
    stmt_put_double(stmt, trial->logp_control);
    stmt_put_text(stmt, trial->ranks);
    return stmt_run(stmt, err);
}

static bool add_position(Store *store, int64_t cell_id, const PositionNll *position, Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_POSITION, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, cell_id);
    stmt_put_i64(stmt, position->bucket);
    stmt_put_i64(stmt, position->cluster);
    stmt_put_i64(stmt, position->first);
    stmt_put_i64(stmt, position->last);
    stmt_put_i64(stmt, position->n);
    stmt_put_double(stmt, position->sum);
    stmt_put_double(stmt, position->sum_squares);
    return stmt_run(stmt, err);
}

static bool add_reply(Store *store, int64_t cell_id, const ReplyRow *reply, Err *err)
{
    Stmt *stmt = ready(store, SQL_ADD_REPLY, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, cell_id);
    stmt_put_text(stmt, or_empty(reply->model));
    stmt_put_text(stmt, or_empty(reply->system));
    stmt_put_i64(stmt, reply->n);
    return stmt_run(stmt, err);
}

bool store_finish_cell(Store *store, int64_t cell_id, int64_t run_id, const CellResult *result,
                       Err *err)
{
    if (!store_begin(store, err)) return false;
    bool ok = clear_cell(store, cell_id, err) && end_cell(store, cell_id, run_id, result, err);
    for (size_t i = 0; ok && i < result->n_metrics; i++)
        ok = add_metric(store, cell_id, i, &result->metrics[i], err);
    for (size_t i = 0; ok && i < result->n_trials; i++)
        ok = add_trial(store, cell_id, &result->trials[i], err);
    for (size_t i = 0; ok && i < result->n_positions; i++)
        ok = add_position(store, cell_id, &result->positions[i], err);
    for (size_t i = 0; ok && i < result->n_replies; i++)
        ok = add_reply(store, cell_id, &result->replies[i], err);
    return store_end(store, ok, err);
}

bool store_count_cells(Store *store, int64_t run_id, int64_t counts[CELL_STATUS_COUNT], Err *err)
{
    memset(counts, 0, CELL_STATUS_COUNT * sizeof counts[0]);
    Stmt *stmt = ready(store, SQL_COUNT_CELLS, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, run_id);
    bool row;
    bool ok;
    while ((ok = stmt_next(stmt, &row, err)) && row) {
        CellStatus status;
        if (cell_status_find(or_empty(stmt_text(stmt, 0)), &status))
            counts[status] = stmt_i64(stmt, 1);
    }
    stmt_reset(stmt);
    return ok;
}

/* Runs a query of one number about a run. */
static bool count_of_run(Store *store, SqlId id, int64_t run_id, int64_t *n, Err *err)
{
    *n = 0;
    Stmt *stmt = ready(store, id, err);
    if (!stmt) return false;
    stmt_put_i64(stmt, run_id);
    bool row;
    bool ok = stmt_next(stmt, &row, err);
    if (ok && row) *n = stmt_i64(stmt, 0);
    stmt_reset(stmt);
    return ok;
}

bool store_count_other_kernels(Store *store, int64_t run_id, int64_t *n, Err *err)
{
    return count_of_run(store, SQL_COUNT_OTHER_KERNELS, run_id, n, err);
}

bool store_count_other_precision(Store *store, int64_t run_id, int64_t *n, Err *err)
{
    return count_of_run(store, SQL_COUNT_OTHER_PRECISION, run_id, n, err);
}
