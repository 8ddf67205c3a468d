/* Grids: pooling, the best of a length, scopes, and the plain table. */
#include <math.h>
#include <sqlite3.h>
#include <string.h>

#include "base/buf.h"
#include "reports/grid.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

static GridList grids_of(Store *store, int64_t run_id)
{
    Err err;
    GridList grids;
    assert_ok(grid_load(store, run_id, &grids, &err), &err);
    return grids;
}

static void test_depths_are_pooled_by_hits(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_finish_hits(
        &fixture, results_add_cell(&fixture, &(Place){0, 512, 0.0, false, NULL, false}), 3, 4);
    results_finish_hits(
        &fixture, results_add_cell(&fixture, &(Place){0, 512, 1.0, false, NULL, false}), 1, 16);
    GridList grids = grids_of(fixture.store, 0);
    assert_int_equal(grids.n, 2);
    const GridCell *cell = grid_cell(&grids.items[0], 0, 0);
    assert_close(cell->value, 4.0 / 20.0, 1e-15, 0.0);
    assert_int_equal(cell->n, 20);
    assert_int_equal(cell->n_pooled, 2);
    assert_string_equal(cell->ci_method, "wilson95");
    /* Wilson's interval of 4 in 20, by hand: (5.92073 ± 3.96189) / 23.84146. */
    assert_close(cell->ci_low, 0.0806576, 0.0, 1e-6);
    assert_close(cell->ci_high, 0.4160174, 0.0, 1e-6);
    const GridCell *mean = grid_cell(&grids.items[1], 0, 0);
    assert_close(mean->value, -2.0, 1e-15, 0.0);
    assert_true(isnan(mean->ci_low));
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_a_pool_with_a_cell_that_is_not_done_is_not_a_number(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_finish_hits(
        &fixture, results_add_cell(&fixture, &(Place){0, 512, 0.0, false, NULL, false}), 3, 4);
    results_finish_as(&fixture,
                      results_add_cell(&fixture, &(Place){0, 512, 1.0, false, NULL, false}),
                      CELL_FAILED);
    GridList grids = grids_of(fixture.store, 0);
    const GridCell *cell = grid_cell(&grids.items[0], 0, 0);
    assert_int_equal(cell->status, CELL_FAILED);
    assert_true(isnan(cell->value));
    assert_false(cell->is_best);
    assert_non_null(strstr(cell->message, "too short"));
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_ties_for_the_best_go_to_the_smallest_lambda(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "linear", NAN, 2.0);
    results_add_setting(&fixture, 1, "ntk", 8.0, NAN);
    results_add_setting(&fixture, 2, "ntk", 2.0, NAN);
    results_add_setting(&fixture, 3, "none", NAN, NAN);
    for (int setting = 0; setting < 4; setting++) {
        results_finish_hits(
            &fixture, results_add_cell(&fixture, &(Place){setting, 256, 0.5, false, NULL, false}),
            4, 4);
        results_finish_hits(
            &fixture, results_add_cell(&fixture, &(Place){setting, 512, 0.5, false, NULL, false}),
            setting == 3 ? 0 : 3, 4);
        results_finish_hits(
            &fixture, results_add_cell(&fixture, &(Place){setting, 1024, 0.5, false, NULL, false}),
            0, 4);
    }
    GridList grids = grids_of(fixture.store, 0);
    const Grid *grid = &grids.items[0];
    assert_int_equal(grid->n_rows, 4);
    assert_string_equal(grid->rows[0].method, "none");
    assert_string_equal(grid->rows[grid_best_row(grid, 0)].label, "none");
    assert_string_equal(grid->rows[grid_best_row(grid, 1)].label, "ntk:2");
    assert_int_equal(grid_best_row(grid, 2), grid->n_rows); /* nobody hits */
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_the_lowest_is_best_where_lower_is_better(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    for (int setting = 0; setting < 3; setting++) {
        results_add_setting(&fixture, setting, "ntk", 1.0 + setting, NAN);
        results_finish_value(
            &fixture, results_add_cell(&fixture, &(Place){setting, 512, NAN, false, NULL, false}),
            setting == 1 ? 9.0 : 11.0);
    }
    GridList grids = grids_of(fixture.store, 0);
    assert_int_equal(grid_best_row(&grids.items[0], 0), 1);
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_the_formulas_lambda_stands_beside_the_measured_one(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    for (int64_t n_ctx = 128; n_ctx <= 1024; n_ctx *= 2)
        results_finish_value(
            &fixture, results_add_cell(&fixture, &(Place){0, n_ctx, NAN, false, NULL, false}), 9.0);
    GridList grids = grids_of(fixture.store, 0);
    /* d = 32, m_l = 256: 2^(32/30) and 4^(32/30). */
    static const double wanted[] = {1.0, 1.0, 2.09458824564125343, 4.38729991877850384};
    for (int i = 0; i < 4; i++)
        assert_close(grids.items[0].formula_lambda[i], wanted[i], 1e-12, 0.0);
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_limited_cells_stand_in_a_grid_of_their_own(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_finish_value(
        &fixture, results_add_cell(&fixture, &(Place){0, 512, NAN, false, NULL, false}), 9.0);
    results_finish_value(&fixture,
                         results_add_cell(&fixture, &(Place){0, 512, NAN, true, NULL, false}), 8.0);
    GridList grids = grids_of(fixture.store, 0);
    assert_int_equal(grids.n, 2);
    assert_false(grids.items[0].limited);
    assert_true(grids.items[1].limited);
    grid_free(&grids);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    assert_non_null(strstr(page, "not to be quoted"));
    free(page);
    store_close(fixture.store);
}

static void test_a_grid_of_a_run_shows_the_generation_of_that_run(void **state)
{
    (void)state;
    Err err;
    Fixture fixture = results_open(NULL);
    const char *key = "0000000000000000000000000000000000000000000000000000000000000077";
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    int64_t first_run = fixture.run_id;
    results_finish_value(&fixture,
                         results_add_cell(&fixture, &(Place){0, 512, NAN, false, key, false}), 9.0);
    assert_ok(store_begin_run(fixture.store, &(RunRow){0}, &fixture.run_id, &err), &err);
    results_finish_value(&fixture,
                         results_add_cell(&fixture, &(Place){0, 512, NAN, false, key, true}), 7.0);
    const struct {
        int64_t run_id;
        double value;
    } rows[] = {
        {0,              7.0},
        {first_run,      9.0},
        {fixture.run_id, 7.0}
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        GridList grids = grids_of(fixture.store, rows[i].run_id);
        assert_close(grid_cell(&grids.items[0], 0, 0)->value, rows[i].value, 0.0, 0.0);
        grid_free(&grids);
    }
    store_close(fixture.store);
}

static void test_the_plain_table_is_aligned_and_marked(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_add_setting(&fixture, 1, "ntk", 2.0, NAN);
    results_finish_value(
        &fixture, results_add_cell(&fixture, &(Place){0, 256, NAN, false, NULL, false}), 8.5);
    results_finish_value(
        &fixture, results_add_cell(&fixture, &(Place){1, 256, NAN, false, NULL, false}), 9.25);
    results_finish_value(
        &fixture, results_add_cell(&fixture, &(Place){0, 1024, NAN, false, NULL, false}), 12345.0);
    results_finish_as(&fixture,
                      results_add_cell(&fixture, &(Place){1, 1024, NAN, false, NULL, false}),
                      CELL_SKIPPED_MEMORY);
    GridList grids = grids_of(fixture.store, 0);
    Buf out = {0};
    grid_table(&grids.items[0], GRID_PLAIN, &out);
    assert_string_equal(
        buf_text(&out),
        "tiny: perplexity (perplexity, lower is better)\n"
        "perplexity, a=1,b=2, seed 1, f32\n"
        "n_ctx               256            1024\n"
        "none               *8.5          *12345\n"
        "ntk:2              9.25  skipped_memory\n"
        "lambda by formula     1           4.387\n"
        "* best of its length, ties to the smallest lambda; n = 1000; interval: "
        "clustered-t95\n"
        "trained length: 256 claimed, measured knee of plain RoPE 258 tokens (first +5 % over "
        "the lowest perplexity, 8.5 at 256; interpolated in log n_ctx and log perplexity "
        "between 256 and 1024): they agree\n");
    buf_free(&out);
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_the_protocol_of_the_same_targets_comes_first(void **state)
{
    (void)state;
    Err err;
    GridList grids;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    for (int64_t n_ctx = 256; n_ctx <= 512; n_ctx *= 2)
        results_finish_value(
            &fixture, results_add_cell(&fixture, &(Place){0, n_ctx, NAN, false, NULL, false}), 9.0);
    assert_int_equal(sqlite3_exec(store_sqlite(fixture.store),
                                  "UPDATE cell SET protocol = 'target' WHERE n_ctx = 512", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    assert_ok(grid_load(fixture.store, 0, &grids, &err), &err);
    assert_int_equal(grids.n, 2);
    assert_string_equal(grids.items[0].protocol, "target");
    assert_string_equal(grids.items[1].protocol, "p");
    grid_free(&grids);
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_depths_are_pooled_by_hits),
        cmocka_unit_test(test_a_pool_with_a_cell_that_is_not_done_is_not_a_number),
        cmocka_unit_test(test_ties_for_the_best_go_to_the_smallest_lambda),
        cmocka_unit_test(test_the_lowest_is_best_where_lower_is_better),
        cmocka_unit_test(test_the_formulas_lambda_stands_beside_the_measured_one),
        cmocka_unit_test(test_limited_cells_stand_in_a_grid_of_their_own),
        cmocka_unit_test(test_a_grid_of_a_run_shows_the_generation_of_that_run),
        cmocka_unit_test(test_the_plain_table_is_aligned_and_marked),
        cmocka_unit_test(test_the_protocol_of_the_same_targets_comes_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
