/* What the page draws of theory: places of the formula's answers. */
#include <math.h>
#include <string.h>

#include "reports/page.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

static const char *const methods[] = {"none", "ntk", "ntk", "ntk", "linear", "linear"};
static const double lambdas[] = {NAN, 2.0, 4.0, 8.0, NAN, NAN};
static const double factors[] = {NAN, NAN, NAN, NAN, 2.0, 8.0};

/* Six settings of a model with d = 32, trained at 256, at 256, 512, 1024 and 4096 tokens. Rows: none, linear 2, linear 8, ntk 2, 4, 8. */
static GridList grid_of(Fixture *fixture)
{
    Err err;
    GridList grids;
    static const int64_t lengths[] = {256, 512, 1024, 4096};
    *fixture = results_open(NULL);
    for (int setting = 0; setting < (int)COUNT_OF(methods); setting++) {
        results_add_setting(fixture, setting, methods[setting], lambdas[setting], factors[setting]);
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            int64_t cell =
                results_add_cell(fixture, &(Place){setting, lengths[i], NAN, false, NULL, false});
            results_finish_value(fixture, cell, 9.0);
        }
    }
    assert_ok(grid_load(fixture->store, 0, &grids, &err), &err);
    assert_int_equal(grids.items[0].n_rows, 6);
    return grids;
}

/* λ(512) = 2^(32/30), so its logarithm to base 2 is 32/30: 1/15 of the way from 2 to 4. λ(1024) is 4 of base 2, 2/15 beyond 4. Of 4096
 * tokens neither λ nor factor is among the rows. */
static void test_the_formula_is_marked_between_the_rows_that_enclose_it(void **state)
{
    (void)state;
    Fixture fixture;
    GridList grids = grid_of(&fixture);
    FormulaMarks marks = page_formula_marks(&grids.items[0]);
    static const struct {
        size_t col;
        double row;
        const char *note;
    } wanted[] = {
        {0, 0.0,              "factor by formula for 256 tokens: 1" },
        {1, 1.0,              "factor by formula for 512 tokens: 2" },
        {2, 1.5,              "factor by formula for 1024 tokens: 4"},
        {1, 3.0 + 1.0 / 15.0, "λ by formula for 512 tokens: 2.095" },
        {2, 4.0 + 2.0 / 15.0, "λ by formula for 1024 tokens: 4.387"},
    };
    assert_int_equal(marks.n, COUNT_OF(wanted));
    for (size_t i = 0; i < COUNT_OF(wanted); i++) {
        assert_int_equal(marks.items[i].col, wanted[i].col);
        assert_close(marks.items[i].row, wanted[i].row, 0.0, 1e-12);
        assert_string_equal(marks.items[i].note, wanted[i].note);
    }
    page_free_formula_marks(&marks);
    grid_free(&grids);
    store_close(fixture.store);
}

static void test_an_unknown_trained_length_has_no_marks(void **state)
{
    (void)state;
    Fixture fixture;
    GridList grids = grid_of(&fixture);
    Grid *grid = &grids.items[0];
    grid->n_ctx_orig = 0;
    for (size_t col = 0; col < grid->n_cols; col++)
        grid->formula_lambda[col] = NAN;
    FormulaMarks marks = page_formula_marks(grid);
    assert_int_equal(marks.n, 0);
    page_free_formula_marks(&marks);
    grid_free(&grids);
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_formula_is_marked_between_the_rows_that_enclose_it),
        cmocka_unit_test(test_an_unknown_trained_length_has_no_marks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
