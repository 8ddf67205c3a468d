/* Perplexity whose shorter windows are the beginnings of the longer ones: computed once and, to the bit, what it is without reuse. */
#include "tests/test_util.h"

#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"
#include "harness/engine.h"
#include "harness/units.h"
#include "reports/store.h"
#include "tests/engine_setup.h"
#include "tests/store_fixture.h"
#include "tests/walker_fixture.h"

enum { N_DOCUMENTS = 3, LONGEST = 512, N_LENGTHS = 3 };

static const char probe[] = "perplexity:protocol=truncated,documents=3";

static Plan *make_plan(Options *options)
{
    return walker_plan(options, probe, "ntk:lambda=2", "tokens=600");
}

typedef struct {
    atomic_int n_calls; /* of keep_going: one before each cell and each chunk of tokens */
    int last;           /* that is answered by yes; 0: all are */
} Stop;

static bool keep_going(void *context)
{
    Stop *stop = context;
    return atomic_fetch_add(&stop->n_calls, 1) < stop->last || stop->last == 0;
}

static void check_cell(void *context, size_t cell, const CellResult *result, const Profile *engine)
{
    (void)context, (void)cell, (void)engine;
    assert_int_equal(result->status, CELL_DONE);
}

/* Runs what the store lacks until keep_going was asked so often (0: all of it). Returns how many cells are left. */
static size_t run(const Plan *plan, Store *store, int n_jobs, int last)
{
    Err err = {0};
    static const RunRow row = {.command = "test"};
    EngineSource source = {.plan = plan};
    Stop stop = {.last = last};
    const SweepConfig config = {
        .plan = plan,
        .store = store,
        .run = &row,
        .source = engine_source(&source),
        .n_jobs = n_jobs,
        .n_threads = 1,
        .keep_going = keep_going,
        .keep_going_context = &stop,
        .on_cell = check_cell,
    };
    SweepOutcome outcome;
    bool ok = sweep_run(&config, &outcome, &err);
    if (!ok && last > 0)
        assert_int_equal(err.code, ERR_CANCELLED);
    else
        assert_ok(ok, &err);
    return outcome.n_pending - outcome.n_ended;
}

static Store *open_store(void)
{
    Err err = {0};
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    return store;
}

/* Every number of a database, each bit of it. */
static char *numbers_of(Store *store)
{
    static const char sql[] =
        "SELECT key, idx, n_scored, printf('%!.17g', nll) FROM trial JOIN cell ON cell.id = cell_id"
        " UNION ALL SELECT key, 100 + bucket * 100 + cluster, n, printf('%!.17g %!.17g', sum,"
        " sum_squares) FROM position_nll JOIN cell ON cell.id = cell_id"
        " UNION ALL SELECT key, name, n, printf('%!.17g %!.17g %!.17g', value, ci_low, ci_high)"
        " FROM metric JOIN cell ON cell.id = cell_id ORDER BY 1, 2";
    sqlite3_stmt *stmt;
    Buf out = {0};
    assert_int_equal(sqlite3_prepare_v2(store_sqlite(store), sql, -1, &stmt, NULL), SQLITE_OK);
    while (sqlite3_step(stmt) == SQLITE_ROW)
        for (int i = 0; i < 4; i++)
            buf_printf(&out, "%s ", (const char *)sqlite3_column_text(stmt, i));
    sqlite3_finalize(stmt);
    assert_true(out.len > 1000);
    return buf_steal(&out);
}

static char *numbers_without_reuse(void)
{
    Options options;
    Plan *plan = make_plan(&options);
    options.no_reuse = true;
    assert_int_equal(plan_kept_bytes(plan, 0, LONGEST), 0);
    Store *store = open_store();
    run(plan, store, 1, 0);
    char *numbers = numbers_of(store);
    /* two settings, each of them at each length */
    assert_int_equal(store_count(store, "SELECT sum(n_prefilled) FROM cell"),
                     2 * N_DOCUMENTS * (191 + 255 + 511));
    store_close(store);
    walker_plan_free(plan, &options);
    return numbers;
}

static void test_documents_are_computed_once_for_all_lengths(void **state)
{
    (void)state;
    Options options;
    Plan *plan = make_plan(&options);
    char *want = numbers_without_reuse();
    for (int n_jobs = 1; n_jobs <= 2; n_jobs++) {
        Store *store = open_store();
        run(plan, store, n_jobs, 0);
        char *got = numbers_of(store);
        assert_string_equal(got, want);
        free(got);
        assert_int_equal(
            store_count(store, "SELECT sum(n_prefilled) FROM cell JOIN setting ON setting.key = "
                               "setting_key WHERE label = 'ntk:lambda=2'"),
            N_DOCUMENTS * (LONGEST - 1));
        store_close(store);
    }
    free(want);
    walker_plan_free(plan, &options);
}

static void test_a_sweep_that_goes_on_has_the_same_numbers(void **state)
{
    (void)state;
    Options options;
    Plan *plan = make_plan(&options);
    char *want = numbers_without_reuse();
    bool has_left[2 * N_LENGTHS + 1] = {false};
    for (int last = 2; !has_left[0]; last++) {
        Store *store = open_store();
        has_left[run(plan, store, 1, last)] = true;
        run(plan, store, 1, 0);
        char *got = numbers_of(store);
        assert_string_equal(got, want);
        free(got);
        store_close(store);
    }
    for (size_t n = 0; n < COUNT_OF(has_left); n++)
        assert_true(has_left[n]);
    free(want);
    walker_plan_free(plan, &options);
}

/* Longest first and in one unit, whatever the number of jobs; a table of its own at each length leaves nothing to share. */
static void test_nested_cells_run_longest_first_and_stay_together(void **state)
{
    (void)state;
    Options options;
    Plan *plan = make_plan(&options);
    size_t cells[2 * N_LENGTHS], n_units;
    assert_int_equal(plan->n_cells, COUNT_OF(cells));
    for (size_t i = 0; i < COUNT_OF(cells); i++) {
        cells[i] = i;
        assert_int_equal(plan->cells[i].length, N_LENGTHS - 1 - i % N_LENGTHS);
        assert_int_equal(plan_is_nested(plan, &plan->cells[i]), i < N_LENGTHS);
    }
    PlanCell many[40];
    size_t all[COUNT_OF(many)];
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = plan->cells[i < 20 ? 0 : N_LENGTHS];
        all[i] = i;
    }
    Plan longer = *plan;
    longer.cells = many;
    Unit *units = units_make(&longer, all, COUNT_OF(many), 2, &n_units);
    assert_int_equal(units[0].n, 20);
    assert_true(n_units > 2);
    free(units);
    walker_plan_free(plan, &options);
}

static void test_kept_scores_are_counted_in_the_memory_of_a_timeline(void **state)
{
    (void)state;
    Options options;
    Plan *plan = make_plan(&options);
    size_t with = engine_session_bytes(plan, 0, LONGEST);
    assert_int_equal(plan_kept_bytes(plan, 0, LONGEST), N_DOCUMENTS * backend_kept_bytes(LONGEST));
    assert_int_equal(plan_kept_bytes(plan, 0, 256), N_DOCUMENTS * backend_kept_bytes(256));
    assert_int_equal(plan_kept_bytes(plan, 0, 192), 0); /* it serves no other length */
    options.no_reuse = true;
    assert_int_equal(with - engine_session_bytes(plan, 0, LONGEST),
                     N_DOCUMENTS * backend_kept_bytes(LONGEST));
    walker_plan_free(plan, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_documents_are_computed_once_for_all_lengths),
        cmocka_unit_test(test_a_sweep_that_goes_on_has_the_same_numbers),
        cmocka_unit_test(test_nested_cells_run_longest_first_and_stay_together),
        cmocka_unit_test(test_kept_scores_are_counted_in_the_memory_of_a_timeline),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
