/* The database: what is kept, what is replaced, what is refused. */
#include <math.h>
#include <stdio.h>

#include "reports/stmt.h"
#include "tests/store_fixture.h"
#include "tests/test_util.h"

static void test_status_names_lead_back_to_their_status(void **state)
{
    (void)state;
    for (int i = 0; i < CELL_STATUS_COUNT; i++) {
        CellStatus found = CELL_STATUS_COUNT;
        assert_true(cell_status_find(cell_status_name((CellStatus)i), &found));
        assert_int_equal(found, i);
    }
    CellStatus found;
    assert_false(cell_status_find("finished", &found));
}

static void test_only_pending_failed_and_memory_cells_run_again(void **state)
{
    (void)state;
    for (int i = 0; i < CELL_STATUS_COUNT; i++)
        assert_int_equal(cell_status_runs_again((CellStatus)i),
                         i == CELL_PENDING || i == CELL_FAILED || i == CELL_SKIPPED_MEMORY);
}

static void test_every_status_can_be_stored_and_counted(void **state)
{
    (void)state;
    Err err;
    Store *store = store_open_memory();
    int64_t run_id = store_start_run(store);
    for (int i = 0; i < CELL_STATUS_COUNT; i++) {
        char key[HASH_HEX_SIZE];
        snprintf(key, sizeof key, "%064d", i);
        CellStatus status;
        store_finish_one(store, store_plan_one(store, run_id, key, false, &status), run_id,
                         (CellStatus)i, 0.5);
    }
    int64_t counts[CELL_STATUS_COUNT];
    assert_ok(store_count_cells(store, run_id, counts, &err), &err);
    for (int i = 0; i < CELL_STATUS_COUNT; i++)
        assert_int_equal(counts[i], 1);
    store_close(store);
}

static void test_planning_again_keeps_done_cells_and_links_them(void **state)
{
    (void)state;
    Err err;
    const char *path = store_fresh_path();
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    store_put_parents(store, "m");
    CellStatus status;
    int64_t first_run = store_start_run(store);
    int64_t done = store_plan_one(store, first_run, STORE_HEX "aa", false, &status);
    assert_int_equal(status, CELL_PENDING);
    store_finish_one(store, done, first_run, CELL_DONE, 0.75);
    int64_t failed = store_plan_one(store, first_run, STORE_HEX "bb", false, &status);
    store_finish_one(store, failed, first_run, CELL_FAILED, 0.0);
    store_close(store);

    store = store_open(path, &err);
    assert_ok(store, &err);
    int64_t second_run = store_start_run(store);
    assert_int_equal(store_plan_one(store, second_run, STORE_HEX "aa", false, &status), done);
    assert_int_equal(status, CELL_DONE);
    assert_int_equal(store_plan_one(store, second_run, STORE_HEX "bb", false, &status), failed);
    assert_int_equal(status, CELL_FAILED);
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell"), 2);
    assert_int_equal(store_count(store, "SELECT count(*) FROM run_cell"), 4);
    assert_int_equal(store_count(store, "SELECT count(*) FROM metric"), 1);
    store_close(store);
}

static void test_finishing_again_replaces_what_a_failed_try_left(void **state)
{
    (void)state;
    Store *store = store_open_memory();
    CellStatus status;
    int64_t run_id = store_start_run(store);
    int64_t cell = store_plan_one(store, run_id, STORE_HEX "aa", false, &status);
    store_finish_one(store, cell, run_id, CELL_FAILED, 0.0);
    assert_int_equal(store_count(store, "SELECT count(*) FROM metric"), 0);
    store_finish_one(store, cell, run_id, CELL_DONE, 1.0);
    assert_int_equal(store_count(store, "SELECT count(*) FROM metric"), 1);
    assert_int_equal(store_count(store, "SELECT count(*) FROM trial"), 2);
    assert_int_equal(store_count(store, "SELECT count(*) FROM position_nll"), 1);
    assert_int_equal(store_count(store, "SELECT message IS NULL FROM cell"), 1);
    store_close(store);
}

static void test_fresh_makes_a_generation_and_deletes_nothing(void **state)
{
    (void)state;
    Store *store = store_open_memory();
    CellStatus status;
    int64_t run_id = store_start_run(store);
    int64_t old = store_plan_one(store, run_id, STORE_HEX "aa", false, &status);
    assert_int_equal(store_plan_one(store, run_id, STORE_HEX "aa", true, &status),
                     old); /* still pending: the same */
    store_finish_one(store, old, run_id, CELL_DONE, 0.25);
    int64_t fresh_run = store_start_run(store);
    int64_t fresh = store_plan_one(store, fresh_run, STORE_HEX "aa", true, &status);
    assert_int_not_equal(fresh, old);
    assert_int_equal(status, CELL_PENDING);
    store_finish_one(store, fresh, fresh_run, CELL_DONE, 0.75);
    assert_int_equal(store_count(store, "SELECT count(*) FROM metric"), 2);
    assert_int_equal(store_count(store, "SELECT max(generation) FROM cell"), 2);
    assert_int_equal(store_count(store, "SELECT count(*) FROM v_cell_all"), 2);
    assert_int_equal(store_count(store, "SELECT count(*) FROM v_cell WHERE value = 0.75"), 1);
    assert_int_equal(store_count(store, "SELECT count(*) FROM v_cell WHERE value = 0.25"), 0);
    assert_int_equal(store_count(store, "SELECT count(*) FROM v_trial"), 2);
    store_close(store);
}

static void test_numbers_that_are_absent_become_null(void **state)
{
    (void)state;
    Store *store = store_open_memory();
    CellStatus status;
    int64_t run_id = store_start_run(store);
    store_finish_one(store, store_plan_one(store, run_id, STORE_HEX "aa", false, &status), run_id,
                     CELL_DONE, INFINITY);
    assert_int_equal(
        store_count(store,
                    "SELECT value IS NULL AND ci_low IS NULL AND ci_high IS NULL FROM metric"),
        1);
    assert_int_equal(
        store_count(
            store,
            "SELECT nll IS NULL AND n_bytes IS NULL AND needle_first IS NULL AND exact IS NULL"
            " AND forced IS NULL AND logp IS NULL AND answer IS NULL FROM trial WHERE idx = 0"),
        1);
    assert_int_equal(
        store_count(
            store,
            "SELECT nll = 3 AND n_bytes = 7 AND needle_first = 3 AND exact = 1 AND forced = 0"
            " AND logp = -1.5 AND answer = '12345' FROM trial WHERE idx = 1"),
        1);
    assert_int_equal(store_count(store, "SELECT factor IS NULL AND lambda = 2 FROM setting"), 1);
    assert_int_equal(store_count(store, "SELECT mean_nll = 1.5 FROM v_trial WHERE trial = 1"), 1);
    store_close(store);
}

static void test_hostile_names_are_stored_as_they_are(void **state)
{
    (void)state;
    /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
    static const char name[] = "x'; DROP TABLE cell;-- \"\xe2\x80\xae <script>";
    Err err;
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    store_put_parents(store, name);
    CellStatus status;
    int64_t run_id = store_start_run(store);
    CellRow row = store_cell_row(STORE_HEX "aa");
    row.probe = row.params = row.protocol = row.precision = name;
    int64_t cell_id;
    assert_ok(store_plan_cell(store, run_id, &(CellRequest){.row = &row, .ordinal = 0}, &cell_id,
                              &status, &err),
              &err);
    assert_ok(store_add_event(store, run_id, "warning", name, &err), &err);
    Stmt stmt;
    bool found;
    assert_ok(stmt_open(store_sqlite(store), "SELECT model, setting, probe, corpus FROM v_cell",
                        &stmt, &err),
              &err);
    assert_ok(stmt_next(&stmt, &found, &err), &err);
    for (int i = 0; i < 4; i++)
        assert_string_equal(stmt_text(&stmt, i), name);
    stmt_close(&stmt);
    store_close(store);
}

static void test_a_key_of_the_wrong_length_is_an_error_that_shows_the_statement(void **state)
{
    (void)state;
    Err err;
    Store *store = store_open_memory();
    int64_t run_id = store_start_run(store);
    CellRow row = store_cell_row("abc");
    int64_t cell_id;
    CellStatus status;
    assert_err(store_plan_cell(store, run_id, &(CellRequest){.row = &row, .ordinal = 0}, &cell_id,
                               &status, &err),
               &err, ERR_STORE, "INSERT INTO cell");
    assert_int_equal(store_plan_one(store, run_id, STORE_HEX "aa", false, &status) > 0, 1);
    store_close(store);
}

static void test_a_failure_inside_a_plan_undoes_the_plan(void **state)
{
    (void)state;
    Err err;
    Store *store = store_open_memory();
    int64_t run_id = store_start_run(store);
    CellRow good = store_cell_row(STORE_HEX "aa");
    CellRow bad = store_cell_row(STORE_HEX "bb");
    bad.setting_key = STORE_HEX "ff";
    int64_t cell_id;
    CellStatus status;
    assert_ok(store_begin_plan(store, &err), &err);
    assert_ok(store_plan_cell(store, run_id, &(CellRequest){.row = &good, .ordinal = 0}, &cell_id,
                              &status, &err),
              &err);
    assert_err(store_plan_cell(store, run_id, &(CellRequest){.row = &bad, .ordinal = 1}, &cell_id,
                               &status, &err),
               &err, ERR_STORE, "FOREIGN KEY");
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell"), 0);
    store_close(store);
}

static PredictionRow prediction_row(int64_t n_ctx, const char *quantity, double value)
{
    return (PredictionRow){.model_hash = STORE_HEX "00",
                           .setting_key = STORE_HEX "02",
                           .n_ctx = n_ctx,
                           .quantity = quantity,
                           .unit = "tokens",
                           .value = value,
                           .source = "a formula"};
}

static void test_a_prediction_is_kept_once_and_the_last_one_counts(void **state)
{
    (void)state;
    Err err;
    Store *store = store_open_memory();
    static const double values[] = {706.0, 925.0};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        PredictionRow at_all = prediction_row(0, "first_negative_sum", values[i]);
        PredictionRow at_one = prediction_row(512, "first_negative_sum", 3.0);
        PredictionRow none = prediction_row(0, "seen_reach", NAN);
        assert_ok(store_put_prediction(store, &at_all, &err), &err);
        assert_ok(store_put_prediction(store, &at_one, &err), &err);
        assert_ok(store_put_prediction(store, &none, &err), &err);
    }
    assert_int_equal(store_count(store, "SELECT count(*) FROM prediction"), 3);
    assert_int_equal(store_count(store,
                                 "SELECT CAST(value AS INTEGER) FROM prediction WHERE n_ctx = 0"
                                 " AND quantity = 'first_negative_sum' AND unit = 'tokens'"
                                 " AND source = 'a formula'"),
                     925);
    assert_int_equal(
        store_count(store, "SELECT value IS NULL FROM prediction WHERE quantity = 'seen_reach'"),
        1);
    PredictionRow orphan = prediction_row(0, "x", 1.0);
    orphan.setting_key = STORE_HEX "99";
    assert_err(store_put_prediction(store, &orphan, &err), &err, ERR_STORE, "FOREIGN KEY");
    store_close(store);
}

static void test_a_verdict_is_replaced_but_its_residue_stays(void **state)
{
    (void)state;
    Err err;
    Store *store = store_open_memory();
    AuditRow row = {.model_hash = STORE_HEX "00",
                    .setting_key = STORE_HEX "02",
                    .n_ctx = 512,
                    .seed = 3,
                    .verdict = "not expressible as any theta'",
                    .amplitude = 1.5,
                    .residual = 0.25,
                    .tolerance = 0.125,
                    .shift_error = 2.0,
                    .norm_error = 4.0,
                    .residual_f32 = 8.0,
                    .shift_error_f32 = 16.0,
                    .norm_error_f32 = 32.0,
                    .worst_pair = 5,
                    .worst_query = 6,
                    .worst_key = 7,
                    .largest_residue = 0.5,
                    .mean_residue = 0.75};
    assert_ok(store_put_audit(store, &row, &err), &err);
    assert_int_equal(
        store_count(
            store,
            "SELECT count(*) FROM audit WHERE n_ctx = 512 AND seed = 3 AND amplitude = 1.5"
            " AND residual = 0.25 AND tolerance = 0.125 AND shift_error = 2.0 AND norm_error = 4.0"
            " AND residual_f32 = 8.0 AND shift_error_f32 = 16.0 AND norm_error_f32 = 32.0"
            " AND worst_pair = 5 AND worst_query = 6 AND worst_key = 7"
            " AND largest_residue = 0.5 AND mean_residue = 0.75"
            " AND verdict = 'not expressible as any theta'''"),
        1);
    row.verdict = "equivalent to a theta'";
    row.residual = 1.0;
    row.largest_residue = row.mean_residue = NAN;
    assert_ok(store_put_audit(store, &row, &err), &err);
    assert_int_equal(store_count(store, "SELECT count(*) FROM audit WHERE residual = 1.0"
                                        " AND largest_residue = 0.5 AND mean_residue = 0.75"
                                        " AND verdict LIKE 'equivalent%'"),
                     1);
    row.n_ctx = 1;
    assert_err(store_put_audit(store, &row, &err), &err, ERR_STORE, "CHECK");
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status_names_lead_back_to_their_status),
        cmocka_unit_test(test_only_pending_failed_and_memory_cells_run_again),
        cmocka_unit_test(test_every_status_can_be_stored_and_counted),
        cmocka_unit_test(test_planning_again_keeps_done_cells_and_links_them),
        cmocka_unit_test(test_finishing_again_replaces_what_a_failed_try_left),
        cmocka_unit_test(test_fresh_makes_a_generation_and_deletes_nothing),
        cmocka_unit_test(test_numbers_that_are_absent_become_null),
        cmocka_unit_test(test_hostile_names_are_stored_as_they_are),
        cmocka_unit_test(test_a_key_of_the_wrong_length_is_an_error_that_shows_the_statement),
        cmocka_unit_test(test_a_failure_inside_a_plan_undoes_the_plan),
        cmocka_unit_test(test_a_prediction_is_kept_once_and_the_last_one_counts),
        cmocka_unit_test(test_a_verdict_is_replaced_but_its_residue_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
