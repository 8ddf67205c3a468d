/* `verify`: runs a random sample of stored cells again and compares the bits.
 *
 *   sample --by run--> options from the run's spec --> plan --> the sampled cells alone, swept into a database in memory
 *          --by cell--> compare the two databases --> one line printed, one row stored
 *
 * A cell whose key the plan does not have is another cell now: the lines of its canonical text tell which input changed. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/commands.h"
#include "harness/server.h"
#include "harness/signals.h"
#include "harness/source.h"
#include "harness/terminal.h"
#include "reports/stmt.h"
#include "reports/verify.h"

enum { EXIT_SIGNAL = 128 };

typedef struct {
    const Options *options;
    Store *store;
    size_t counts[VERIFY_N_OUTCOMES];
    json_t *rows; /* NULL: text is printed */
} Verify;

/* The cells of one run, and what they are run again with. */
typedef struct {
    VerifyCell *cells;
    size_t n;
    Options options;    /* of the run, with what the user overrides */
    StringList servers; /* addresses that the user gives, in the order of the run's */
    Plan *plan;
    Store *again;
    EngineRun run;
} Group;

static char *cell_text(const VerifyCell *cell)
{
    char depth[48] = "";
    if (!isnan(cell->depth)) snprintf(depth, sizeof depth, " depth %.3g", cell->depth);
    return str_format("%s %s n_ctx %lld %s%s", cell->model, cell->setting, (long long)cell->n_ctx,
                      cell->probe, depth);
}

static void print_row(const VerifyCell *cell, VerifyOutcome outcome, const char *detail)
{
    char *name = cell_text(cell);
    char *line = str_format("%-9s  %s%s%s\n", verify_outcome_name(outcome), name,
                            *detail ? ": " : "", detail);
    terminal_print(line, strlen(line));
    fflush(stdout);
    free(line);
    free(name);
}

static json_t *text_json(const char *text)
{
    json_t *string = json_string(text);
    return string ? string : json_null();
}

static json_t *row_json(const VerifyCell *cell, VerifyOutcome outcome, const char *detail)
{
    return json_pack(
        "{s:o, s:o, s:I, s:o, s:o, s:o, s:s, s:o}", "model", text_json(cell->model), "setting",
        text_json(cell->setting), "n_ctx", (json_int_t)cell->n_ctx, "probe", text_json(cell->probe),
        "depth", isnan(cell->depth) ? json_null() : json_real(cell->depth), "key",
        text_json(cell->key), "outcome", verify_outcome_name(outcome), "detail", text_json(detail));
}

/* Stores and prints the outcome of a cell. */
static bool record(Verify *verify, const Group *group, const VerifyCell *cell,
                   VerifyOutcome outcome, const char *detail, Err *err)
{
    const VerificationRow row = {.cell_id = cell->id,
                                 .outcome = verify_outcome_name(outcome),
                                 .detail = detail,
                                 .version = group->run.version,
                                 .machine = group->run.machine,
                                 .blas = group->run.blas};
    if (!store_add_verification(verify->store, &row, err)) return false;
    verify->counts[outcome]++;
    if (verify->rows)
        json_array_append_new(verify->rows, row_json(cell, outcome, detail));
    else
        print_row(cell, outcome, detail);
    return true;
}

static bool record_all(Verify *verify, const Group *group, VerifyOutcome outcome,
                       const char *detail, Err *err)
{
    for (size_t i = 0; i < group->n; i++)
        if (!record(verify, group, &group->cells[i], outcome, detail, err)) return false;
    return true;
}

static void replace_text(char **text, const char *by)
{
    if (!by) return;
    free(*text);
    *text = str_dup(by);
}

/* Takes what the user gives of --model: local models instead of the run's, and where its servers are now. */
static bool replace_models(Group *group, const StringList *given, Err *err)
{
    StringList kept = {0};
    StringList *models = &group->options.model;
    size_t n_servers = 0;
    bool any_local = false;
    for (size_t i = 0; i < given->n; i++) {
        bool is_server = openai_is_address(given->items[i]);
        any_local = any_local || !is_server;
        string_list_add(is_server ? &group->servers : &kept, str_dup(given->items[i]));
    }
    for (size_t i = 0; i < models->n; i++) {
        bool is_server = openai_is_address(models->items[i]);
        n_servers += is_server;
        if (is_server || !any_local) string_list_add(&kept, str_dup(models->items[i]));
    }
    string_list_free(models);
    *models = kept;
    return group->servers.n <= n_servers ||
           err_set(err, ERR_USAGE, "--model: %zu addresses are given, and the run had %zu",
                   group->servers.n, n_servers);
}

/* Of a server the user says all that could do harm: a command, or a file to send, is not taken from a database. */
static bool replace_server(Options *options, const Options *given, Err *err)
{
    bool was_launched = options->server_cmd != NULL;
    free(options->server_cmd);
    free(options->api_key_file);
    options->server_cmd = options->api_key_file = NULL;
    replace_text(&options->server_cmd, given->server_cmd);
    replace_text(&options->api_key_file, given->api_key_file);
    replace_text(&options->tokenizer, given->tokenizer);
    options->num_concurrent = given->num_concurrent;
    options->max_retries = given->max_retries;
    options->timeout = given->timeout;
    return !was_launched || options->server_cmd ||
           err_set(err, ERR_USAGE,
                   "the run launched its servers, and no command is taken from a database: give "
                   "--server-cmd");
}

/* The model of the first cell from a server whose model no address names, or NULL. */
static const char *find_unnamed(const Group *group)
{
    const StringList *models = &group->options.model;
    for (size_t i = 0; i < group->n; i++) {
        const VerifyCell *cell = &group->cells[i];
        bool is_named = !cell->by_server;
        for (size_t k = 0; k < models->n; k++) {
            const char *name = strchr(models->items[k], '#');
            is_named = is_named || (name && str_equal(name + 1, cell->model));
        }
        if (!is_named) return cell->model;
    }
    return NULL;
}

/* An address without a name meant the only model that was served, which the cells know. */
static void name_server(Group *group)
{
    StringList *models = &group->options.model;
    const char *name = find_unnamed(group);
    for (size_t i = 0; name && i < models->n; i++) {
        if (!openai_is_address(models->items[i]) || strchr(models->items[i], '#')) continue;
        char *named = str_format("%s#%s", models->items[i], name);
        free(models->items[i]);
        models->items[i] = named;
        name = NULL;
    }
}

/* The run's options; files may lie elsewhere now, and cores be shared otherwise, which changes no number. */
static bool read_options(const Verify *verify, Group *group, Err *err)
{
    const Options *given = verify->options;
    Options *options = &group->options;
    if (!cli_read_spec(cli_find_command("sweep"), group->cells[0].spec, "spec of the run", options,
                       err) ||
        !replace_models(group, &given->model, err) || !replace_server(options, given, err))
        return false;
    name_server(group);
    replace_text(&options->corpus, given->corpus);
    options->jobs = given->jobs;
    options->threads = given->threads;
    options->no_reuse = given->no_reuse;
    options->dry_run = options->profile = false;
    return sources_open(cli_find_command("sweep"), options, err);
}

/* Adds a model; next_server counts the servers among them. */
static bool add_model(Group *group, const char *path, size_t *next_server, Err *err)
{
    bool is_server = openai_is_address(path);
    if (!plan_add_model(group->plan, path, is_server, err))
        return err->code == ERR_INPUT &&
               err_prefix(err, "--model, --tokenizer and --corpus name files that have moved");
    if (!is_server) return true;
    const char *at = *next_server < group->servers.n ? group->servers.items[*next_server] : NULL;
    ++*next_server;
    return server_move(&group->plan->models[group->plan->n_models - 1], at, err);
}

static bool make_plan(Group *group, Err *err)
{
    size_t next_server = 0;
    group->plan = plan_new(&group->options, err);
    bool ok = group->plan != NULL;
    if (ok && group->options.model.n == 0)
        ok = err_set(err, ERR_INPUT, "the run's spec names no model");
    for (size_t i = 0; ok && i < group->options.model.n; i++)
        ok = add_model(group, group->options.model.items[i], &next_server, err);
    return ok && plan_lay_out(group->plan, err);
}

/* What the cells of a plan are by now. */
typedef struct {
    char (*keys)[HASH_HEX_SIZE];
    char **canonical;
    size_t n;
} PlannedCells;

static PlannedCells describe_cells(const Plan *plan)
{
    PlannedCells out = {.keys = mem_alloc(plan->n_cells + 1, sizeof *out.keys),
                        .canonical = mem_alloc(plan->n_cells + 1, sizeof *out.canonical),
                        .n = plan->n_cells};
    for (size_t i = 0; i < plan->n_cells; i++) {
        PlanCellText text;
        plan_cell_row(plan, &plan->cells[i], &text);
        memcpy(out.keys[i], text.key, sizeof out.keys[i]);
        out.canonical[i] = str_dup(text.canonical);
        plan_cell_text_free(&text);
    }
    return out;
}

static void free_cells(PlannedCells *cells)
{
    for (size_t i = 0; i < cells->n; i++)
        free(cells->canonical[i]);
    free(cells->canonical);
    free(cells->keys);
}

/* Records a cell that is not planned, with the fewest inputs in which it differs from one that is. */
static bool record_changed(Verify *verify, const Group *group, const VerifyCell *cell,
                           const PlannedCells *planned, Err *err)
{
    size_t fewest = SIZE_MAX;
    Buf changes = {0};
    for (size_t i = 0; i < planned->n; i++) {
        Buf names = {0};
        size_t n = verify_changes(cell->canonical, planned->canonical[i], &names);
        if (n < fewest) {
            fewest = n;
            buf_clear(&changes);
            buf_append(&changes, names.data, names.len);
        }
        buf_free(&names);
    }
    char *detail = str_format("not what it was: %s", buf_text(&changes));
    bool ok = record(verify, group, cell, VERIFY_CHANGED, detail, err);
    free(detail);
    buf_free(&changes);
    return ok;
}

/* Leaves in the plan what the sample has, in the plan's order, and in the group what the plan has; records the others. */
static bool choose_cells(Verify *verify, Group *group, Err *err)
{
    Plan *plan = group->plan;
    PlannedCells planned = describe_cells(plan);
    bool *chosen = mem_zalloc(plan->n_cells + 1, sizeof *chosen);
    size_t n_found = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < group->n; i++) {
        VerifyCell cell = group->cells[i];
        size_t at = 0;
        while (at < planned.n && !str_equal(planned.keys[at], cell.key))
            at++;
        chosen[at] = true;
        if (at == planned.n) {
            ok = record_changed(verify, group, &cell, &planned, err);
        } else {
            group->cells[i] = group->cells[n_found];
            group->cells[n_found++] = cell;
        }
    }
    size_t n = 0;
    for (size_t i = 0; i < planned.n; i++)
        if (chosen[i]) plan->cells[n++] = plan->cells[i];
    plan->n_cells = n;
    group->n = n_found;
    free(chosen);
    free_cells(&planned);
    return ok;
}

static bool run_again(Group *group, Err *err)
{
    ServerSource source = {.engine = {.plan = group->plan}};
    SweepOutcome outcome;
    const SweepConfig config = {
        .plan = group->plan,
        .store = group->again,
        .run = &group->run.row,
        .source = server_source(&source),
        .n_jobs = group->run.split.n_jobs,
        .n_threads = group->run.split.n_threads,
        .keep_going = signals_keep_going,
    };
    return sweep_run(&config, &outcome, err);
}

/* The cell of this key among those that were run again, and how it ended. */
static bool find_again(Store *again, const char *key, int64_t *id, char **status, Err *err)
{
    Stmt stmt;
    bool row = false;
    bool ok = stmt_open(
        store_sqlite(again),
        "SELECT id, status || coalesce(': ' || message, '') FROM cell WHERE key = ?", &stmt, err);
    if (ok) stmt_put_text(&stmt, key);
    ok = ok && stmt_next(&stmt, &row, err);
    *id = ok && row ? stmt_i64(&stmt, 0) : 0;
    *status = str_dup(ok && row && stmt_text(&stmt, 1) ? stmt_text(&stmt, 1) : "missing");
    stmt_close(&stmt);
    return ok;
}

/* Whether numbers of the two runs may differ in their last bits. */
static bool is_other_program(const Group *group, const VerifyCell *cell)
{
    return !str_equal(cell->version, group->run.version) || !str_equal(cell->blas, group->run.blas);
}

static bool judge(Verify *verify, const Group *group, const VerifyCell *cell,
                  const VerifyPair *pair, Err *err)
{
    VerifyDifference off;
    if (!verify_compare(pair, &off, err)) return false;
    if (off.is_equal) return record(verify, group, cell, VERIFY_EQUAL, "", err);
    bool other = is_other_program(group, cell);
    const char *by = cell->by_server ? ", by a server"
                     : other         ? ", on another binary or BLAS core"
                                     : "";
    bool is_close = (other || cell->by_server) && off.is_close;
    char *detail = off.only_numbers
                       ? str_format("largest difference %.2g in %s%s", off.largest, off.where, by)
                       : str_format("%s%s", off.where, by);
    bool ok = record(verify, group, cell, is_close ? VERIFY_CLOSE : VERIFY_DIFFERENT, detail, err);
    free(detail);
    return ok;
}

/* Another system of a server is another program, whose numbers would say nothing of the stored ones. */
static bool judge_same(Verify *verify, const Group *group, const VerifyCell *cell, int64_t again_id,
                       Err *err)
{
    const VerifyPair pair = {verify->store, cell->id, group->again, again_id, cell->by_server};
    bool is_same;
    Buf who = {0};
    bool ok = verify_check_system(&pair, &is_same, &who, err);
    if (ok && is_same) {
        ok = judge(verify, group, cell, &pair, err);
    } else if (ok) {
        char *detail = str_format("the server is another one: it answers as %s", buf_text(&who));
        ok = record(verify, group, cell, VERIFY_FAILED, detail, err);
        free(detail);
    }
    buf_free(&who);
    return ok;
}

static bool compare_cell(Verify *verify, const Group *group, const VerifyCell *cell, Err *err)
{
    int64_t id;
    char *status;
    bool ok = find_again(group->again, cell->key, &id, &status, err);
    if (ok && str_equal(status, cell_status_name(CELL_DONE)))
        ok = judge_same(verify, group, cell, id, err);
    else if (ok)
        ok = record(verify, group, cell, VERIFY_FAILED, status, err);
    free(status);
    return ok;
}

static bool verify_planned(Verify *verify, Group *group, Err *err)
{
    if (!choose_cells(verify, group, err)) return false;
    if (group->n == 0) return true;
    Err why = {0};
    group->again = store_open(":memory:", err);
    if (!group->again) return false;
    bool ok = run_again(group, &why);
    /* Cells of a server that turns out to be another one, say: the next run follows. */
    if (!ok && why.code != ERR_CANCELLED && why.code != ERR_STORE)
        return record_all(verify, group, VERIFY_FAILED, why.text, err);
    if (!ok) *err = why;
    for (size_t i = 0; ok && i < group->n; i++)
        ok = compare_cell(verify, group, &group->cells[i], err);
    return ok;
}

/* What keeps a run's cells from being run at all is their outcome, and the next run follows. */
static bool verify_group(Verify *verify, Group *group, Err *err)
{
    Err why = {0};
    bool ok;
    if (read_options(verify, group, &why) && make_plan(group, &why) &&
        engine_describe(cli_find_command("sweep"), group->plan, &group->run, &why))
        ok = verify_planned(verify, group, err);
    else
        ok = record_all(verify, group, VERIFY_FAILED, why.text, err);
    store_close(group->again);
    engine_describe_free(&group->run);
    plan_free(group->plan);
    string_list_free(&group->servers);
    cli_free(&group->options);
    return ok;
}

static bool verify_sample(Verify *verify, VerifySample *sample, Err *err)
{
    for (size_t first = 0, end; first < sample->n; first = end) {
        end = first + 1;
        while (end < sample->n && sample->items[end].run_id == sample->items[first].run_id)
            end++;
        Group group = {.cells = &sample->items[first], .n = end - first};
        if (!verify_group(verify, &group, err)) return false;
    }
    return true;
}

static void print_summary(const Verify *verify, const VerifySample *sample)
{
    if (verify->rows) {
        json_t *root = json_pack("{s:I, s:I, s:I, s:O}", "n_done", (json_int_t)sample->n_done,
                                 "n_sampled", (json_int_t)sample->n, "seed",
                                 (json_int_t)verify->options->seed, "cells", verify->rows);
        char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        if (text) terminal_print(text, strlen(text));
        putchar('\n');
        free(text);
        json_decref(root);
        return;
    }
    printf("%zu of %zu cells gave the same bits", verify->counts[VERIFY_EQUAL], sample->n);
    for (int i = VERIFY_EQUAL + 1; i < VERIFY_N_OUTCOMES; i++)
        if (verify->counts[i])
            printf(", %zu %s", verify->counts[i], verify_outcome_name((VerifyOutcome)i));
    printf("; drawn by seed %lld from %zu that are done\n", (long long)verify->options->seed,
           sample->n_done);
}

static int run_verify(Verify *verify, VerifySample *sample, Err *err)
{
    if (sample->n == 0) {
        err_set(err, ERR_USAGE, "no cell of the database is done: there is nothing to run again");
        return EXIT_USAGE;
    }
    if (!verify_sample(verify, sample, err))
        return err->code == ERR_CANCELLED && signals_caught() ? EXIT_SIGNAL + signals_caught()
                                                              : cli_exit_status(err->code);
    print_summary(verify, sample);
    size_t n_good = verify->counts[VERIFY_EQUAL] + verify->counts[VERIFY_CLOSE];
    return n_good == sample->n ? EXIT_OK : EXIT_NOT_DONE;
}

/* The database of --db or the only argument. */
static const char *database_path(const Options *options, Err *err)
{
    if (options->db ? options->arguments.n > 0 : options->arguments.n == 0) {
        err_set(err, ERR_USAGE, "verify: which database? `ropewalk verify FILE`");
        return NULL;
    }
    const char *path = options->db ? options->db : options->arguments.items[0];
    if (file_exists(path)) return path;
    err_set(err, ERR_STORE, "%s: there is no database of this name", path);
    return NULL;
}

int cmd_verify(const Command *command, const Options *options, Err *err)
{
    (void)command;
    const char *path = database_path(options, err);
    Verify verify = {.options = options, .store = path ? store_open(path, err) : NULL};
    if (!verify.store) return cli_exit_status(err->code);
    VerifySample sample = {0};
    int status = EXIT_STORE;
    if (options->json) verify.rows = json_array();
    if (verify_draw(verify.store, options->sample, (uint64_t)options->seed, &sample, err))
        status = run_verify(&verify, &sample, err);
    verify_sample_free(&sample);
    json_decref(verify.rows);
    store_close(verify.store);
    return status;
}
