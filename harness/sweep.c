/* Workers compute, one writer stores.
 *
 *     pending cells --units--> worker 1 … n_jobs --queue--> this thread --one transaction a cell--> database
 *
 * Each worker has a timeline of its own on the shared model and takes units: a unit is a stretch of the plan within one setting and
 * probe, so that the prefixes which the plan's order makes long stay with one worker. Which worker runs a cell, and
 * after which other, cannot change its number; that is the engine's promise (models/session.c), and a test holds it to it.
 *
 * A stop asked for by the caller or by a failing database reaches the workers at their next chunk of tokens. The open cells are
 * dropped; all that were handed over are written. */
#include "harness/sweep.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/sweep_rows.h"
#include "harness/units.h"

/* Part of the free memory that timelines may take. */
#define MEMORY_SHARE 0.9

/* A result on its way to the writer. */
typedef struct Ended {
    size_t cell;
    ProbeResult result;
    Profile engine; /* seconds of the cell in the engine's phases */
    struct Ended *next;
} Ended;

/* What the workers of one model share. The lock guards all below it but `stop`. */
typedef struct {
    const SweepConfig *config;
    const size_t *pending;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    Unit *units;
    size_t n_units;
    size_t next_unit;
    Ended *first;
    Ended **last;
    int n_working;
    atomic_bool stop;
} Pool;

typedef struct {
    Pool *pool;
    Backend backend;
    pthread_t thread;
    double cells_s; /* seconds in cells */
} Worker;

/* The sweep as this thread sees it. */
typedef struct {
    const SweepConfig *config;
    SweepOutcome *out;
    int64_t *cell_ids; /* [n_cells] */
    size_t *pending;
    StringList warned; /* what was warned of, each once */
} Sweep;

static bool pool_keeps_going(void *context)
{
    Pool *pool = context;
    const SweepConfig *config = pool->config;
    if (atomic_load(&pool->stop)) return false;
    if (config->keep_going(config->keep_going_context)) return true;
    atomic_store(&pool->stop, true);
    return false;
}

static CellStatus status_of_error(ErrCode code)
{
    switch (code) {
    case ERR_NOMEM: return CELL_SKIPPED_MEMORY;
    case ERR_UNSUPPORTED: return CELL_UNSUPPORTED;
    case ERR_NONFINITE: return CELL_NONFINITE;
    case ERR_TOO_LONG: return CELL_OVER_LIMIT;
    case ERR_TRUNCATED: return CELL_TRUNCATED;
    default: return CELL_FAILED;
    }
}

/* Puts who answered into the record of a cell, and marks one that is done where that was not who was there at the start. */
static void keep_replies(Backend *backend, ProbeResult *result)
{
    ReplyList replies;
    Buf remark = {0};
    backend_take_replies(backend, &replies, &remark);
    bool is_done = result->cell.status == CELL_DONE;
    for (size_t i = 0; is_done && i < replies.n; i++)
        probe_add_reply(result, &(ReplyRow){replies.items[i].model, replies.items[i].system,
                                            replies.items[i].n});
    if (is_done && remark.len)
        result->cell.message = probe_keep(result, str_dup(buf_text(&remark)));
    reply_list_free(&replies);
    buf_free(&remark);
}

/* Runs one cell. False when it was dropped because the sweep stops. */
static bool run_cell(Worker *worker, Ended *ended)
{
    Err err = {0};
    const Plan *plan = worker->pool->config->plan;
    const PlanCell *cell = &plan->cells[ended->cell];
    ProbeResult *result = &ended->result;
    ProbeInput input = plan_input(plan, cell);
    int64_t n_ctx = plan_n_ctx(plan, cell);
    Profile before = backend_profile(&worker->backend);
    double start = clock_monotonic_s();
    int64_t n_before = backend_n_prefilled(&worker->backend);
    bool ok = backend_set_rope(&worker->backend, &plan_setting(plan, cell)->spec, n_ctx, &err) &&
              input.spec->probe->run(&input, n_ctx, cell->depth, &worker->backend, result, &err);
    if (!ok && err.code == ERR_CANCELLED) return false;
    if (!ok) {
        probe_result_free(result);
        probe_end(result, status_of_error(err.code), "%s", err.text);
    }
    keep_replies(&worker->backend, result);
    result->cell.seconds = clock_monotonic_s() - start;
    worker->cells_s += result->cell.seconds;
    result->cell.n_prefilled = backend_n_prefilled(&worker->backend) - n_before;
    ended->engine = backend_profile(&worker->backend);
    for (int phase = 0; phase < N_PHASES; phase++)
        ended->engine.s[phase] -= before.s[phase];
    return true;
}

static bool take_unit(Pool *pool, Unit *unit)
{
    pthread_mutex_lock(&pool->lock);
    bool any = pool->next_unit < pool->n_units;
    if (any) *unit = pool->units[pool->next_unit++];
    pthread_mutex_unlock(&pool->lock);
    return any;
}

static void hand_over(Pool *pool, const Ended *that)
{
    Ended *ended = mem_dup(that, sizeof *that);
    pthread_mutex_lock(&pool->lock);
    *pool->last = ended;
    pool->last = &ended->next;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
}

static void *work(void *context)
{
    Worker *worker = context;
    Pool *pool = worker->pool;
    Unit unit;
    while (take_unit(pool, &unit)) {
        for (size_t i = unit.first; i < unit.first + unit.n; i++) {
            Ended ended = {.cell = pool->pending[i]};
            if (!pool_keeps_going(pool) || !run_cell(worker, &ended)) {
                probe_result_free(&ended.result);
                atomic_store(&pool->stop, true);
                break;
            }
            hand_over(pool, &ended);
        }
        if (atomic_load(&pool->stop)) break;
    }
    pthread_mutex_lock(&pool->lock);
    pool->n_working--;
    pthread_cond_signal(&pool->changed);
    pthread_mutex_unlock(&pool->lock);
    return NULL;
}

/* Waits for a result; NULL when all workers have left and the queue is empty. */
static Ended *next_ended(Pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    while (!pool->first && pool->n_working > 0)
        pthread_cond_wait(&pool->changed, &pool->lock);
    Ended *ended = pool->first;
    if (ended) pool->first = ended->next;
    if (!pool->first) pool->last = &pool->first;
    pthread_mutex_unlock(&pool->lock);
    return ended;
}

/* Warns of what a cell that is done is marked with: once for all cells of a model that are marked so. */
static bool warn(Sweep *sweep, size_t cell, const char *mark, Err *err)
{
    const SweepConfig *config = sweep->config;
    const Plan *plan = config->plan;
    char *text = str_format("%s: %s", plan->models[plan->cells[cell].model].name, mark);
    for (size_t i = 0; i < sweep->warned.n; i++) {
        if (!str_equal(sweep->warned.items[i], text)) continue;
        free(text);
        return true;
    }
    string_list_add(&sweep->warned, text);
    if (config->source.warn) config->source.warn(config->source.context, text);
    return store_add_event(config->store, sweep->out->run_id, "warning", text, err);
}

static bool write_result(Sweep *sweep, size_t cell, const CellResult *result, const Profile *engine,
                         Err *err)
{
    const SweepConfig *config = sweep->config;
    double start = clock_monotonic_s();
    if (!store_finish_cell(config->store, sweep->cell_ids[cell], sweep->out->run_id, result, err))
        return false;
    sweep->out->store_s += clock_monotonic_s() - start;
    sweep->out->n_ended++;
    if (config->on_cell) config->on_cell(config->context, cell, result, engine);
    return result->status != CELL_DONE || !result->message ||
           warn(sweep, cell, result->message, err);
}

/* Ends a cell that is not run. */
static bool write_end(Sweep *sweep, size_t cell, CellStatus status, const char *why, Err *err)
{
    CellResult result = {.status = status, .message = why};
    const Profile nothing = {0};
    return write_result(sweep, cell, &result, &nothing, err);
}

/* Writes what the workers hand over until they are done. After a failed write it only empties the queue. */
static bool write_results(Sweep *sweep, Pool *pool, Err *err)
{
    bool ok = true;
    Ended *ended;
    while ((ended = next_ended(pool)) != NULL) {
        if (ok) ok = write_result(sweep, ended->cell, &ended->result.cell, &ended->engine, err);
        if (!ok) atomic_store(&pool->stop, true);
        probe_result_free(&ended->result);
        free(ended);
    }
    return ok;
}

static int n_at_once(const SweepConfig *config, size_t model)
{
    const SweepSource *source = &config->source;
    return source->n_at_once ? source->n_at_once(source->context, model) : 0;
}

/* Opens as many timelines as the memory holds, at least one. */
static int open_workers(Pool *pool, Worker *workers, int n_jobs, int64_t n_ctx_max, Err *err)
{
    const SweepConfig *config = pool->config;
    size_t model = config->plan->cells[pool->pending[0]].model;
    SessionOptions options = {.n_threads = config->n_threads,
                              .no_reuse = config->plan->options->no_reuse,
                              .kept_bytes = plan_kept_bytes(config->plan, model, n_ctx_max),
                              .keep_going = pool_keeps_going,
                              .context = pool};
    int n = 0;
    while (n < n_jobs) {
        workers[n].pool = pool;
        if (!config->source.open(config->source.context, model, n_ctx_max, &options,
                                 &workers[n].backend, err))
            break;
        n++;
    }
    return n;
}

/* Starts a thread a worker; those that cannot be started leave their units to the others. */
static int start_workers(Pool *pool, Worker *workers, int n)
{
    int n_started = 0;
    for (int i = 0; i < n; i++) {
        pthread_mutex_lock(&pool->lock);
        pool->n_working++;
        pthread_mutex_unlock(&pool->lock);
        if (pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0) {
            n_started++;
            continue;
        }
        pthread_mutex_lock(&pool->lock);
        pool->n_working--;
        pthread_mutex_unlock(&pool->lock);
        break;
    }
    return n_started;
}

static void add_times(SweepOutcome *out, const Worker *workers, int n, double wall_s)
{
    out->jobs_s += n * wall_s;
    out->alone_s -= wall_s;
    for (int i = 0; i < n; i++) {
        Profile profile = backend_profile(&workers[i].backend);
        out->cells_s += workers[i].cells_s;
        for (int phase = 0; phase < N_PHASES; phase++)
            out->engine.s[phase] += profile.s[phase];
    }
}

/* Runs n pending cells of one model, which is loaded. */
static bool run_pool(Sweep *sweep, const size_t *pending, size_t n, int64_t n_ctx_max, int n_jobs,
                     Err *err)
{
    Pool pool = {.config = sweep->config, .pending = pending};
    double start = clock_monotonic_s();
    pool.last = &pool.first;
    pthread_mutex_init(&pool.lock, NULL);
    pthread_cond_init(&pool.changed, NULL);
    pool.units = units_make(sweep->config->plan, pending, n, n_jobs, &pool.n_units);
    Worker *workers = mem_zalloc((size_t)n_jobs, sizeof *workers);
    int n_open = open_workers(&pool, workers, n_jobs, n_ctx_max, err);
    int n_started = start_workers(&pool, workers, n_open);
    bool ok = n_open > 0;
    if (ok && n_started == 0) ok = err_set(err, ERR_NOMEM, "no thread could be started");
    if (ok) ok = write_results(sweep, &pool, err);
    for (int i = 0; i < n_started; i++)
        pthread_join(workers[i].thread, NULL);
    add_times(sweep->out, workers, n_open, clock_monotonic_s() - start);
    for (int i = 0; i < n_open; i++)
        backend_close(&workers[i].backend);
    if (ok && atomic_load(&pool.stop)) ok = err_set(err, ERR_CANCELLED, "the sweep was stopped");
    free(workers);
    free(pool.units);
    pthread_mutex_destroy(&pool.lock);
    pthread_cond_destroy(&pool.changed);
    return ok;
}

static int64_t longest_pending(const Plan *plan, const size_t *pending, size_t n)
{
    int64_t longest = 0;
    for (size_t i = 0; i < n; i++)
        longest = max_i64(longest, plan_n_ctx(plan, &plan->cells[pending[i]]));
    return longest;
}

/* The largest planned length that fits `budget` bytes, 0 if none does. */
static int64_t longest_that_fits(const SweepConfig *config, size_t model, size_t budget)
{
    const Plan *plan = config->plan;
    for (size_t i = plan->n_lengths; i-- > 0;)
        if (config->source.bytes(config->source.context, model, plan->n_ctx[i]) <= budget)
            return plan->n_ctx[i];
    return 0;
}

/* Ends cells that are longer than the memory holds and takes them off the list. */
static bool skip_too_long(Sweep *sweep, size_t *pending, size_t *n, int64_t longest, Err *err)
{
    const SweepConfig *config = sweep->config;
    size_t kept = 0;
    for (size_t i = 0; i < *n; i++) {
        const PlanCell *cell = &config->plan->cells[pending[i]];
        int64_t n_ctx = plan_n_ctx(config->plan, cell);
        if (n_ctx <= longest) {
            pending[kept++] = pending[i];
            continue;
        }
        char why[PROBE_WHY_SIZE];
        size_t bytes = config->source.bytes(config->source.context, cell->model, n_ctx);
        int used = snprintf(why, sizeof why, "needs %.1f GB, %.1f GB are free", (double)bytes / 1e9,
                            (double)mem_available() / 1e9);
        if (longest > 0)
            snprintf(why + used, sizeof why - (size_t)used, "; n_ctx %lld fits",
                     (long long)longest);
        if (!write_end(sweep, pending[i], CELL_SKIPPED_MEMORY, why, err)) return false;
    }
    *n = kept;
    return true;
}

/* Ends all n cells alike. */
static bool end_all(Sweep *sweep, const size_t *pending, size_t n, CellStatus status,
                    const char *why, Err *err)
{
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = write_end(sweep, pending[i], status, why, err);
    return ok;
}

/* Runs the n pending cells of a loaded model within the memory there is. */
static bool run_loaded(Sweep *sweep, size_t model, size_t *pending, size_t n, Err *err)
{
    const SweepConfig *config = sweep->config;
    size_t budget = (size_t)((double)mem_available() * MEMORY_SHARE);
    if (!skip_too_long(sweep, pending, &n, longest_that_fits(config, model, budget), err))
        return false;
    if (n == 0) return true;
    int64_t n_ctx_max = longest_pending(config->plan, pending, n);
    size_t bytes = config->source.bytes(config->source.context, model, n_ctx_max);
    int64_t n_elsewhere = n_at_once(config, model);
    int64_t n_jobs = min_i64(n_elsewhere > 0 ? n_elsewhere : config->n_jobs, (int64_t)n);
    if (bytes > 0) n_jobs = min_i64(n_jobs, (int64_t)(budget / bytes));
    if (run_pool(sweep, pending, n, n_ctx_max, (int)max_i64(1, n_jobs), err)) return true;
    if (err->code != ERR_NOMEM) return false;
    char why[ERR_TEXT_MAX];
    memcpy(why, err->text, sizeof why);
    return end_all(sweep, pending, n, CELL_SKIPPED_MEMORY, why, err);
}

/* Puts what the source says of the loaded model into the record of the run. */
static bool record_source(const Sweep *sweep, size_t model, Err *err)
{
    const SweepSource *source = &sweep->config->source;
    if (!source->describe) return true;
    Buf text = {0};
    source->describe(source->context, model, &text);
    bool ok = text.len == 0 || store_add_event(sweep->config->store, sweep->out->run_id, "info",
                                               buf_text(&text), err);
    buf_free(&text);
    return ok;
}

/* Runs n pending cells that one load serves. */
static bool run_model(Sweep *sweep, size_t *pending, size_t n, Err *err)
{
    const SweepConfig *config = sweep->config;
    const SweepSource *source = &config->source;
    const PlanCell *first = &config->plan->cells[pending[0]];
    if (!config->keep_going(config->keep_going_context))
        return err_set(err, ERR_CANCELLED, "the sweep was stopped");
    if (source->load(source->context, first->model, first->setting, err)) {
        bool ok = record_source(sweep, first->model, err) &&
                  run_loaded(sweep, first->model, pending, n, err);
        source->unload(source->context, first->model);
        return ok;
    }
    if (err->code != ERR_NOMEM && err->code != ERR_NET && err->code != ERR_UNSUPPORTED)
        return false;
    Err why = *err;
    return end_all(sweep, pending, n, status_of_error(why.code), why.text, err);
}

/* Whether one load serves both cells. */
static bool same_load(const SweepConfig *config, size_t a, size_t b)
{
    const SweepSource *source = &config->source;
    const PlanCell *left = &config->plan->cells[a], *right = &config->plan->cells[b];
    if (left->model != right->model) return false;
    return left->setting == right->setting || !source->is_launched ||
           !source->is_launched(source->context, left->model);
}

/* Cells are in the order of the models and their settings. */
static bool run_models(Sweep *sweep, size_t n, Err *err)
{
    size_t *pending = sweep->pending;
    bool ok = true;
    for (size_t first = 0, end; ok && first < n; first = end) {
        end = first + 1;
        while (end < n && same_load(sweep->config, pending[first], pending[end]))
            end++;
        ok = run_model(sweep, pending + first, end - first, err);
    }
    return ok;
}

/* Enters every cell into the database and lists those to run. */
static bool enter_cells(Sweep *sweep, Err *err)
{
    const SweepConfig *config = sweep->config;
    const Plan *plan = config->plan;
    if (!store_begin_plan(config->store, err)) return false;
    for (size_t i = 0; i < plan->n_cells; i++) {
        PlanCellText text;
        CellStatus status;
        CellRow row = plan_cell_row(plan, &plan->cells[i], &text);
        CellRequest request = {.row = &row, .ordinal = (int64_t)i, .fresh = config->fresh};
        bool ok = store_plan_cell(config->store, sweep->out->run_id, &request, &sweep->cell_ids[i],
                                  &status, err);
        plan_cell_text_free(&text);
        if (!ok) return false;
        if (cell_status_runs_again(status)) sweep->pending[sweep->out->n_pending++] = i;
    }
    return store_end_plan(config->store, err);
}

/* Ends the pending cells that the plan knows cannot be run; *n is how many are left to run. */
static bool end_unrunnable(Sweep *sweep, size_t *n, Err *err)
{
    const Plan *plan = sweep->config->plan;
    *n = 0;
    for (size_t i = 0; i < sweep->out->n_pending; i++) {
        size_t cell = sweep->pending[i];
        const PlanCheck *check = plan_check(plan, &plan->cells[cell]);
        if (check->status == CELL_PENDING)
            sweep->pending[(*n)++] = cell;
        else if (!write_end(sweep, cell, check->status, check->why, err))
            return false;
    }
    return true;
}

static const char *how_it_ended(bool ok, const Err *err)
{
    if (ok) return "done";
    return err->code == ERR_CANCELLED ? "interrupted" : "failed";
}

static bool run_pending(Sweep *sweep, Err *err)
{
    const SweepConfig *config = sweep->config;
    size_t n;
    double start = clock_monotonic_s();
    if (!enter_cells(sweep, err)) return false;
    sweep->out->store_alone_s += clock_monotonic_s() - start;
    if (config->on_start) config->on_start(config->context, sweep->pending, sweep->out->n_pending);
    return end_unrunnable(sweep, &n, err) && run_models(sweep, n, err);
}

bool sweep_run(const SweepConfig *config, SweepOutcome *out, Err *err)
{
    size_t n_cells = config->plan->n_cells;
    *out = (SweepOutcome){0};
    double start = clock_monotonic_s();
    if (!sweep_put_rows(config->plan, config->store, err) ||
        !store_begin_run(config->store, config->run, &out->run_id, err))
        return false;
    out->store_alone_s = clock_monotonic_s() - start;
    Sweep sweep = {
        .config = config,
        .out = out,
        .cell_ids = mem_zalloc(n_cells + 1, sizeof(int64_t)),
        .pending = mem_zalloc(n_cells + 1, sizeof(size_t)),
    };
    bool ok = run_pending(&sweep, err);
    free(sweep.cell_ids);
    free(sweep.pending);
    string_list_free(&sweep.warned);
    Err closing = {0};
    double ended = clock_monotonic_s();
    bool closed =
        store_end_run(config->store, out->run_id, how_it_ended(ok, err), &closing) &&
        store_count_cells(config->store, out->run_id, out->counts, &closing) &&
        store_count_other_kernels(config->store, out->run_id, &out->n_other_kernels, &closing);
    double now = clock_monotonic_s();
    out->store_alone_s += now - ended;
    out->alone_s += now - start;
    if (ok && !closed) *err = closing;
    return ok && closed;
}
