/* Ridges: which λ is best at each length, which are as good, and what the formula says. */
#include <math.h>
#include <string.h>

#include "reports/ridge.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

enum { N = 12 };

/* Settings none, linear:4, ntk:2, ntk:4, ntk:8; a window's nll is the mean plus an uneven part that differs from setting to setting only by `swing`. */
static void add_windows(Fixture *fixture, int64_t n_ctx, const double means[5], double swing)
{
    for (int s = 0; s < 5; s++) {
        double sums[N];
        for (int i = 0; i < N; i++)
            sums[i] = 10.0 * (means[s] + (i % 2 ? swing : -swing) * s) + i;
        results_finish_windows(
            fixture, results_add_cell(fixture, &(Place){s, n_ctx, NAN, false, NULL, false}), sums,
            N, 10);
    }
}

static Fixture open_settings(void)
{
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_add_setting(&fixture, 1, "linear", NAN, 4.0);
    for (int i = 0; i < 3; i++)
        results_add_setting(&fixture, 2 + i, "ntk", 2.0 * (1 << i), NAN);
    return fixture;
}

static void check_point(const RidgePoint *point, int64_t n_ctx, double best, double low,
                        double high)
{
    assert_int_equal(point->n_ctx, n_ctx);
    assert_int_equal(point->n_lambdas, 4);
    assert_close(point->best, best, 0.0, 0.0);
    assert_close(point->low, low, 0.0, 0.0);
    assert_close(point->high, high, 0.0, 0.0);
}

static void test_the_best_lambda_of_every_length_is_found(void **state)
{
    (void)state;
    Err err;
    SeriesList list;
    Fixture fixture = open_settings();
    /* linear is the best of all, but has no λ. */
    add_windows(&fixture, 1024, (const double[]){4.0, 1.0, 3.5, 3.25, 3.0}, 0.0);
    add_windows(&fixture, 256, (const double[]){3.0, 1.0, 3.0, 3.5, 4.0}, 0.0);
    add_windows(&fixture, 512, (const double[]){3.01, 1.0, 3.01, 3.0, 3.01}, 0.1);
    assert_ok(series_load(fixture.store, NULL, 0, &list, &err), &err);
    Ridge ridge = ridge_make(&list, &list.items[0]);
    assert_int_equal(ridge.n, 3);
    check_point(&ridge.points[0], 256, 1.0, 1.0, 2.0);
    assert_false(ridge.points[0].is_largest);
    check_point(&ridge.points[1], 512, 4.0, 1.0, 8.0);
    check_point(&ridge.points[2], 1024, 8.0, 8.0, 8.0);
    assert_true(ridge.points[2].is_largest);
    assert_close(ridge.points[2].value, 3.0 + 5.5 / 10.0, 1e-12, 0.0);
    ridge_free(&ridge);
    series_free(&list);
    store_close(fixture.store);
}

static void test_hits_rise_and_misses_alone_have_no_best(void **state)
{
    (void)state;
    Err err;
    SeriesList list;
    Fixture fixture = open_settings();
    static const int hits[] = {0, 0, 1, 11, 12};
    for (int64_t n_ctx = 256; n_ctx <= 512; n_ctx *= 2)
        for (int s = 0; s < 5; s++) {
            int exact[N];
            for (int i = 0; i < N; i++)
                exact[i] = n_ctx == 512 && i < hits[s];
            results_finish_trials(
                &fixture, results_add_cell(&fixture, &(Place){s, n_ctx, 0.5, false, NULL, false}),
                exact, N);
        }
    assert_ok(series_load(fixture.store, NULL, 0, &list, &err), &err);
    Ridge ridge = ridge_make(&list, &list.items[0]);
    assert_int_equal(ridge.n, 1);
    check_point(&ridge.points[0], 512, 8.0, 4.0, 8.0);
    ridge_free(&ridge);
    series_free(&list);
    store_close(fixture.store);
}

static void test_a_ridge_of_too_many_cells_has_no_range(void **state)
{
    (void)state;
    Err err;
    SeriesList list;
    Fixture fixture = results_open(NULL);
    for (int s = 0; s <= RIDGE_MAX_COMPARED; s++) {
        results_add_setting(&fixture, s, "ntk", 1.0 + s, NAN);
        results_finish_trials(&fixture,
                              results_add_cell(&fixture, &(Place){s, 512, 0.5, false, NULL, false}),
                              (const int[]){1}, 1);
    }
    assert_ok(series_load(fixture.store, NULL, 0, &list, &err), &err);
    Ridge ridge = ridge_make(&list, &list.items[0]);
    assert_int_equal(ridge.n, 1);
    assert_close(ridge.points[0].best, 1.0, 0.0, 0.0);
    assert_true(isnan(ridge.points[0].low) && isnan(ridge.points[0].high));
    ridge_free(&ridge);
    series_free(&list);
    store_close(fixture.store);
}

static void test_the_formula_is_one_within_the_trained_length(void **state)
{
    (void)state;
    assert_close(ridge_formula(4.0, 32), exp2(2.0 * 32.0 / 30.0), 1e-14, 0.0);
    assert_close(ridge_formula(0.5, 32), 1.0, 0.0, 0.0);
    assert_true(isnan(ridge_formula(4.0, 2)));
    assert_true(isnan(ridge_formula(NAN, 32)));
    assert_true(isnan(ridge_formula(INFINITY, 32)));
}

static void test_the_page_draws_the_ridge_with_both_formulas(void **state)
{
    (void)state;
    Fixture fixture = open_settings();
    add_windows(&fixture, 256, (const double[]){3.0, 1.0, 3.1, 3.5, 4.0}, 0.0);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    assert_null(strstr(page, "id=\"ridge\""));
    free(page);
    add_windows(&fixture, 1024, (const double[]){4.0, 1.0, 3.5, 3.25, 3.0}, 0.0);
    page = results_report(fixture.store, "html", &(ReportOptions){0});
    static const char *const wanted[] = {
        "id=\"ridge\"",
        "<title>best λ at 1024 tokens: 8, of 4; not told from it: 8 to 8; the largest measured, a better "
        "one may lie beyond</title>",
        /* 4^(32/30) and, at the stretch 2 * 4 - 1, 7^(32/30) */
        "<td>8 (largest)</td><td>4</td><td>8</td><td>8</td><td>3.55</td><td>4.3873</td><td>7.9696</td>",
        "<td>1</td><td>4</td><td>1</td><td>1</td><td>3.55</td><td>1</td><td>1</td>",
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!strstr(page, wanted[i])) fail_msg("the page lacks %s", wanted[i]);
    free(page);
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_best_lambda_of_every_length_is_found),
        cmocka_unit_test(test_hits_rise_and_misses_alone_have_no_best),
        cmocka_unit_test(test_a_ridge_of_too_many_cells_has_no_range),
        cmocka_unit_test(test_the_formula_is_one_within_the_trained_length),
        cmocka_unit_test(test_the_page_draws_the_ridge_with_both_formulas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
