/* The knee against a fine search along the broken line, and the claim against the knee. */
#include <math.h>

#include "base/buf.h"
#include "base/str.h"
#include "reports/knee.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

static Knee knee_of(const int64_t *n_ctx, const double *perplexity, size_t n)
{
    Knee knee;
    assert_true(knee_find(n_ctx, perplexity, n, &knee));
    return knee;
}

/* Perplexity doubles with each doubling from 512 on: +5 % is reached at 512 * 1.05. */
static void test_the_knee_lies_where_the_line_crosses_five_percent(void **state)
{
    (void)state;
    static const int64_t n_ctx[] = {128, 256, 512, 1024};
    static const double perplexity[] = {12.0, 11.0, 10.0, 20.0};
    Knee knee = knee_of(n_ctx, perplexity, 4);
    assert_close(knee.minimum, 10.0, 0.0, 0.0);
    assert_int_equal(knee.min_n_ctx, 512);
    assert_int_equal(knee.last_within, 512);
    assert_int_equal(knee.first_beyond, 1024);
    assert_close(knee.knee, 512.0 * 1.05, 1e-12, 0.0);
}

/* A walk along the line in small steps, whose points are found by a table of logarithms alone. */
static void test_the_knee_is_what_a_walk_along_the_line_finds(void **state)
{
    (void)state;
    static const int64_t n_ctx[] = {64, 100, 300, 450, 2000};
    static const double perplexity[] = {9.0, 8.0, 8.2, 8.35, 31.0};
    Knee knee = knee_of(n_ctx, perplexity, 5);
    double found = 0.0;
    for (size_t i = 1; i + 1 < 5 && found == 0.0; i++) {
        double x0 = log((double)n_ctx[i]);
        double x1 = log((double)n_ctx[i + 1]);
        for (int step = 0; step <= 1000000 && found == 0.0; step++) {
            double t = step / 1e6;
            double nll = (1.0 - t) * log(perplexity[i]) + t * log(perplexity[i + 1]);
            if (nll > log(8.0) + log(1.05)) found = exp((1.0 - t) * x0 + t * x1);
        }
    }
    assert_close(knee.knee, found, 1e-5, 0.0);
    assert_int_equal(knee.last_within, 450);
}

static void test_a_high_perplexity_before_the_minimum_is_no_knee(void **state)
{
    (void)state;
    static const int64_t n_ctx[] = {32, 64, 128, 256};
    static const double perplexity[] = {40.0, 20.0, 10.0, 10.4};
    Knee knee = knee_of(n_ctx, perplexity, 4);
    assert_int_equal(knee.first_beyond, 0);
    assert_int_equal(knee.last_within, 256);
    assert_true(isnan(knee.knee));
}

static void test_a_dip_after_the_knee_does_not_move_it(void **state)
{
    (void)state;
    static const int64_t n_ctx[] = {128, 256, 512, 1024};
    static const double perplexity[] = {10.0, 11.0, 10.1, 30.0};
    Knee knee = knee_of(n_ctx, perplexity, 4);
    assert_int_equal(knee.last_within, 128);
    assert_int_equal(knee.first_beyond, 256);
}

static void test_lengths_without_a_number_are_left_out(void **state)
{
    (void)state;
    static const int64_t n_ctx[] = {128, 256, 512, 1024};
    static const double perplexity[] = {10.0, NAN, 20.0, INFINITY};
    Knee knee = knee_of(n_ctx, perplexity, 4);
    assert_int_equal(knee.last_within, 128);
    assert_int_equal(knee.first_beyond, 512);
    Knee none;
    assert_false(knee_find(n_ctx, (double[]){10.0, NAN, 0.0, -1.0}, 4, &none));
    assert_false(knee_find(n_ctx, perplexity, 1, &none));
    assert_false(knee_find(NULL, NULL, 0, &none));
}

static void test_claims_are_judged_by_the_knee(void **state)
{
    (void)state;
    static const Knee found = {10.0, 256, 512, 1024, 600.0};
    static const Knee open = {10.0, 256, 512, 0, NAN};
    static const struct {
        const Knee *knee;
        int64_t claimed;
        KneeVerdict verdict;
    } rows[] = {
        {&found, 0,    KNEE_OPEN   },
        {&found, 512,  KNEE_AGREES }, /* in the bracket */
        {&found, 1023, KNEE_AGREES }, /* in the bracket, far from the knee */
        {&found, 1024, KNEE_SHORTER},
        {&found, 4096, KNEE_SHORTER},
        {&found, 401,  KNEE_AGREES }, /* 600 is less than 1.5 times as long */
        {&found, 399,  KNEE_LONGER },
        {&open,  512,  KNEE_OPEN   },
        {&open,  2048, KNEE_OPEN   }, /* no such length was measured */
        {&open,  342,  KNEE_OPEN   },
        {&open,  341,  KNEE_LONGER },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        if (knee_against_claim(rows[i].knee, rows[i].claimed) != rows[i].verdict)
            fail_msg("row %zu: claim %lld: verdict %d", i, (long long)rows[i].claimed,
                     (int)knee_against_claim(rows[i].knee, rows[i].claimed));
}

static void test_the_sentence_states_claim_knee_interpolation_and_verdict(void **state)
{
    (void)state;
    Buf out = {0};
    knee_text(&(Knee){9.5, 256, 256, 512, 281.6}, 256, &out);
    assert_string_equal(
        buf_text(&out),
        "trained length: 256 claimed, measured knee of plain RoPE 282 tokens (first +5 % over the lowest "
        "perplexity, 9.5 at 256; interpolated in log n_ctx and log perplexity between 256 and 512): they agree");
    buf_clear(&out);
    knee_text(&(Knee){9.5, 256, 512, 0, NAN}, 0, &out);
    assert_string_equal(
        buf_text(&out),
        "trained length: none claimed, measured knee of plain RoPE not reached at 512 tokens "
        "(first +5 % over the lowest perplexity, 9.5 at 256)");
    buf_free(&out);
}

static const double nll_rows[] = {10.0, 10.2, 14.0};

/* A grid of one metric: `none` as its second setting. */
static GridList grid_of(Fixture *fixture, const char *metric, const char *plain, double lambda)
{
    Err err;
    GridList grids;
    *fixture = results_open(NULL);
    results_add_setting(fixture, 0, "linear", NAN, 4.0);
    results_add_setting(fixture, 1, plain, lambda, NAN);
    for (int setting = 0; setting < 2; setting++)
        for (int i = 0; i < 3; i++) {
            int64_t cell = results_add_cell(
                fixture, &(Place){setting, INT64_C(256) << i, NAN, false, NULL, false});
            results_finish_value(fixture, cell, setting ? nll_rows[i] : 50.0);
        }
    assert_ok(grid_load(fixture->store, 0, &grids, &err), &err);
    free(grids.items[0].metric);
    grids.items[0].metric = str_dup(metric);
    return grids;
}

static void test_the_row_without_scaling_is_found_in_a_grid(void **state)
{
    (void)state;
    Fixture fixture;
    Knee knee;
    GridList grids = grid_of(&fixture, "perplexity", "none", NAN);
    assert_true(knee_of_plain(&grids.items[0], &knee));
    assert_int_equal(knee.last_within, 512);
    assert_int_equal(knee.first_beyond, 1024);
    assert_int_equal(grids.items[0].n_ctx_claimed, 256);
    grid_free(&grids);
    store_close(fixture.store);
    grids = grid_of(&fixture, "bits_per_byte", "none", NAN);
    assert_false(knee_of_plain(&grids.items[0], &knee));
    grid_free(&grids);
    store_close(fixture.store);
    grids = grid_of(&fixture, "perplexity", "ntk", 2.0);
    assert_false(knee_of_plain(&grids.items[0], &knee));
    grid_free(&grids);
    store_close(fixture.store);
}

/* +5 % perplexity is +0.0488 nats. */
static void test_nll_is_read_as_the_perplexity_that_it_is(void **state)
{
    (void)state;
    Fixture fixture;
    Knee knee;
    GridList grids = grid_of(&fixture, "nll", "none", NAN);
    assert_true(knee_of_plain(&grids.items[0], &knee));
    assert_close(knee.minimum, exp(10.0), 1e-12, 0.0);
    assert_int_equal(knee.last_within, 256);
    assert_int_equal(knee.first_beyond, 512);
    assert_close(knee.knee, 256.0 * pow(2.0, log(1.05) / 0.2), 1e-9, 0.0);
    grid_free(&grids);
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_knee_lies_where_the_line_crosses_five_percent),
        cmocka_unit_test(test_the_knee_is_what_a_walk_along_the_line_finds),
        cmocka_unit_test(test_a_high_perplexity_before_the_minimum_is_no_knee),
        cmocka_unit_test(test_a_dip_after_the_knee_does_not_move_it),
        cmocka_unit_test(test_lengths_without_a_number_are_left_out),
        cmocka_unit_test(test_claims_are_judged_by_the_knee),
        cmocka_unit_test(test_the_sentence_states_claim_knee_interpolation_and_verdict),
        cmocka_unit_test(test_the_row_without_scaling_is_found_in_a_grid),
        cmocka_unit_test(test_nll_is_read_as_the_perplexity_that_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
