/* Comparisons of a database whose numbers are made by hand. */
#include "reports/compare.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

enum { A, B, OTHER };
enum { N = 12 };

static Fixture open_pair(const char *text)
{
    Fixture fixture = results_open(text);
    results_add_setting(&fixture, A, "pi", NAN, 2.0);
    results_add_setting(&fixture, B, "ntk", 2.0, NAN);
    results_add_setting(&fixture, OTHER, "none", NAN, NAN);
    return fixture;
}

/* A string of 1 and 0: which trials hit. */
static void put_hits(Fixture *fixture, int setting, int64_t n_ctx, double depth, const char *hits)
{
    int exact[64];
    size_t n = strlen(hits);
    for (size_t i = 0; i < n; i++)
        exact[i] = hits[i] == '1';
    int64_t cell =
        results_add_cell(fixture, &(Place){.setting = setting, .n_ctx = n_ctx, .depth = depth});
    results_finish_trials(fixture, cell, exact, n);
}

/* Windows of 10 tokens; the i-th has 10 (nll + i step) nats. */
static void put_nll(Fixture *fixture, int setting, int64_t n_ctx, double nll, double step)
{
    double sums[N];
    for (int i = 0; i < N; i++)
        sums[i] = 10.0 * (nll + step * i);
    int64_t cell =
        results_add_cell(fixture, &(Place){.setting = setting, .n_ctx = n_ctx, .depth = NAN});
    results_finish_windows(fixture, cell, sums, N, 10);
}

typedef struct {
    SeriesList *list;
    CompareTable table;
} Compared;

static Compared compare(const Fixture *fixture, int64_t run_id)
{
    Err err;
    Compared out = {.list = mem_zalloc(1, sizeof *out.list)};
    assert_ok(series_load(fixture->store, results_model_hash, run_id, out.list, &err), &err);
    const ComparePair pair = {results_key(1, A), results_key(1, B), "pi:factor=2", "ntk:lambda=2"};
    out.table = compare_make(out.list, &pair);
    return out;
}

static void close_all(Fixture *fixture, Compared *compared)
{
    compare_free(&compared->table);
    series_free(compared->list);
    free(compared->list);
    store_close(fixture->store);
}

static void test_hits_are_paired_trial_by_trial_over_depths(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_hits(&fixture, A, 512, 0.0, "111111110000");
    put_hits(&fixture, B, 512, 0.0, "000001110001");
    put_hits(&fixture, A, 512, 1.0, "1100");
    put_hits(&fixture, B, 512, 1.0, "0000");
    Compared compared = compare(&fixture, 0);
    assert_int_equal(compared.table.n, 1);
    const Comparison *row = &compared.table.items[0];
    assert_int_equal(row->n, 16);
    assert_int_equal(row->hits.only_first, 7);
    assert_int_equal(row->hits.only_second, 1);
    assert_close(row->a, 10.0 / 16.0, 1e-15, 0.0);
    assert_close(row->b, 4.0 / 16.0, 1e-15, 0.0);
    assert_close(row->difference.value, -6.0 / 16.0, 1e-15, 0.0);
    assert_close(row->difference.p, 2.0 * (1 + 8) / 256.0, 1e-12, 0.0); /* C(8,0) + C(8,1) of 2^8 */
    assert_true(row->difference.interval.low <= row->difference.value);
    assert_true(row->difference.interval.high >= row->difference.value);
    assert_int_equal(row->verdict, COMPARE_CANNOT_TELL);
    close_all(&fixture, &compared);
}

static void test_the_setting_with_more_hits_is_better(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_hits(&fixture, A, 512, 0.5, "000000000000");
    put_hits(&fixture, B, 512, 0.5, "111111000000");
    put_hits(&fixture, A, 1024, 0.5, "111111000000");
    put_hits(&fixture, B, 1024, 0.5, "000000000000");
    put_hits(&fixture, A, 2048, 0.5, "000000000000");
    put_hits(&fixture, B, 2048, 0.5, "000000000000");
    Compared compared = compare(&fixture, 0);
    assert_int_equal(compared.table.n, 3);
    static const CompareVerdict wanted[] = {COMPARE_B_BETTER, COMPARE_A_BETTER,
                                            COMPARE_CANNOT_TELL};
    static const double p[] = {0.03125, 0.03125, 1.0};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(compared.table.items[i].n_ctx, 512 << i);
        assert_int_equal(compared.table.items[i].verdict, wanted[i]);
        assert_close(compared.table.items[i].difference.p, p[i], 1e-12, 0.0);
    }
    close_all(&fixture, &compared);
}

static void test_less_nll_is_better(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, A, 512, 3.0, 0.2);
    put_nll(&fixture, B, 512, 3.25, 0.2); /* each window worse by the same */
    put_nll(&fixture, A, 1024, 3.0, 0.2);
    put_nll(&fixture, B, 1024, 4.1, 0.0); /* the mean is that of A */
    Compared compared = compare(&fixture, 0);
    assert_int_equal(compared.table.n, 2);
    const Comparison *row = compared.table.items;
    assert_close(row[0].difference.value, 0.25, 1e-12, 0.0);
    assert_close(row[0].difference.interval.low, 0.25, 1e-9, 0.0);
    assert_close(row[0].difference.interval.high, 0.25, 1e-9, 0.0);
    assert_int_equal(row[0].verdict, COMPARE_A_BETTER);
    assert_int_equal(row[0].n, 10 * N);
    assert_int_equal(row[0].difference.n_clusters, N);
    assert_close(row[1].difference.value, 0.0, 0.0, 1e-12);
    assert_int_equal(row[1].verdict, COMPARE_CANNOT_TELL);
    close_all(&fixture, &compared);
}

static void test_few_clusters_cannot_tell(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    const double low[] = {1.0, 1.0, 1.0};
    const double high[] = {9.0, 9.0, 9.0};
    for (int setting = A; setting <= B; setting++)
        results_finish_windows(
            &fixture,
            results_add_cell(&fixture, &(Place){.setting = setting, .n_ctx = 512, .depth = NAN}),
            setting == A ? low : high, 3, 10);
    Compared compared = compare(&fixture, 0);
    assert_close(compared.table.items[0].difference.value, 0.8, 1e-12, 0.0);
    assert_true(isnan(compared.table.items[0].difference.p));
    assert_int_equal(compared.table.items[0].verdict, COMPARE_CANNOT_TELL);
    assert_true(compare_all_done(&compared.table));
    close_all(&fixture, &compared);
}

static void test_a_cell_that_is_not_done_is_a_row_with_its_reason(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, A, 512, 3.0, 0.2);
    results_finish_as(
        &fixture, results_add_cell(&fixture, &(Place){.setting = B, .n_ctx = 512, .depth = NAN}),
        CELL_SKIPPED_SHORT_TEXT);
    put_nll(&fixture, B, 1024, 3.0, 0.2);
    Compared compared = compare(&fixture, 0);
    assert_int_equal(compared.table.n, 2);
    const Comparison *row = compared.table.items;
    assert_int_equal(row[0].status_a, CELL_DONE);
    assert_int_equal(row[0].status_b, CELL_SKIPPED_SHORT_TEXT);
    assert_null(row[0].why_a);
    assert_string_equal(row[0].why_b, "too short, \"really\"");
    assert_int_equal(row[0].verdict, COMPARE_NOT_DONE);
    assert_true(isnan(row[0].difference.value) && isnan(row[0].b));
    assert_int_equal(row[1].status_a, CELL_PENDING);
    assert_int_equal(row[1].verdict, COMPARE_NOT_DONE);
    assert_false(compare_all_done(&compared.table));
    compare_set_margin(&compared.table, NULL, 0.0);
    assert_false(compare_trips(&compared.table));
    close_all(&fixture, &compared);
}

static void test_margins_trip_when_b_is_worse_by_more(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_hits(&fixture, A, 512, 0.5, "1111111100");
    put_hits(&fixture, B, 512, 0.5, "1111111000"); /* 0.1 worse */
    put_nll(&fixture, A, 512, 3.0, 0.0);
    put_nll(&fixture, B, 512, 3.5, 0.0); /* 0.5 worse */
    Compared compared = compare(&fixture, 0);
    CompareTable *table = &compared.table;
    assert_int_equal(table->n, 2); /* passkey, perplexity */
    assert_true(!compare_trips(table) && isnan(table->items[0].margin));
    compare_set_margin(table, NULL, 0.1);
    assert_true(!table->items[0].tripped && table->items[1].tripped);
    compare_set_margin(table, "perplexity", 0.5);
    assert_false(compare_trips(table));
    compare_set_margin(table, "passkey", 0.099);
    assert_true(table->items[0].tripped && !table->items[1].tripped);
    assert_true(compare_trips(table));
    close_all(&fixture, &compared);
}

static void test_b_that_is_better_never_trips(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_hits(&fixture, A, 512, 0.5, "0000000000");
    put_hits(&fixture, B, 512, 0.5, "1111111111");
    put_nll(&fixture, A, 512, 3.5, 0.0);
    put_nll(&fixture, B, 512, 3.0, 0.0);
    Compared compared = compare(&fixture, 0);
    compare_set_margin(&compared.table, NULL, 0.0);
    assert_false(compare_trips(&compared.table));
    close_all(&fixture, &compared);
}

static void test_cells_of_other_runs_and_settings_do_not_count(void **state)
{
    (void)state;
    Err err;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, A, 2048, 3.0, 0.2);
    put_nll(&fixture, B, 2048, 3.0, 0.2);
    const RunRow run = {
        .command = "c", .spec = "s", .version = "v", .machine = "m", .blas = "b", .n_jobs = 1};
    assert_ok(store_begin_run(fixture.store, &run, &fixture.run_id, &err), &err);
    put_nll(&fixture, OTHER, 512, 3.0, 0.2);
    put_nll(&fixture, A, 1024, 3.0, 0.2);
    put_nll(&fixture, B, 1024, 3.0, 0.2);
    Compared compared = compare(&fixture, fixture.run_id);
    assert_int_equal(compared.table.n, 1);
    assert_int_equal(compared.table.items[0].n_ctx, 1024);
    close_all(&fixture, &compared);
}

static void test_an_empty_comparison_is_not_done(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, OTHER, 512, 3.0, 0.2);
    Compared compared = compare(&fixture, 0);
    assert_int_equal(compared.table.n, 0);
    assert_false(compare_all_done(&compared.table));
    close_all(&fixture, &compared);
}

static void test_text_escapes_what_the_database_holds(void **state)
{
    (void)state;
    Fixture fixture = open_pair(results_hostile_text);
    put_hits(&fixture, A, 512, 0.5, "1111111111");
    results_finish_as(
        &fixture, results_add_cell(&fixture, &(Place){.setting = B, .n_ctx = 512, .depth = 0.5}),
        CELL_FAILED);
    Compared compared = compare(&fixture, 0);
    Buf text = {0};
    compare_text(&compared.table, &text);
    assert_null(strchr(buf_text(&text), '\x1b'));
    assert_non_null(strstr(buf_text(&text), "failed"));
    buf_free(&text);
    close_all(&fixture, &compared);
}

/* Whether samples are hits is known by the samples alone. */
static void test_what_was_not_measured_has_no_unit(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    for (int setting = A; setting <= B; setting++)
        results_finish_as(
            &fixture,
            results_add_cell(&fixture, &(Place){.setting = setting, .n_ctx = 512, .depth = 0.5}),
            CELL_INVALID);
    Compared compared = compare(&fixture, 0);
    Buf text = {0};
    compare_text(&compared.table, &text);
    assert_non_null(strstr(buf_text(&text), "nothing was measured"));
    assert_null(strstr(buf_text(&text), "nll"));
    assert_null(strstr(buf_text(&text), "interval"));
    json_t *root = compare_json(&compared.table);
    json_t *row = json_array_get(json_object_get(root, "rows"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "status_a")), "invalid");
    assert_true(json_is_null(json_object_get(row, "unit")));
    assert_true(json_is_null(json_object_get(row, "method")));
    json_decref(root);
    buf_free(&text);
    close_all(&fixture, &compared);
}

static void test_json_has_null_where_there_is_no_number(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, A, 512, 3.0, 0.2);
    put_nll(&fixture, A, 256, 3.0, 0.2);
    put_nll(&fixture, B, 256, 3.5, 0.2);
    Compared compared = compare(&fixture, 0);
    compare_set_margin(&compared.table, NULL, 0.25);
    json_t *root = compare_json(&compared.table);
    json_t *rows = json_object_get(root, "rows");
    json_t *done = json_array_get(rows, 0);
    json_t *open = json_array_get(rows, 1);
    assert_int_equal(json_array_size(rows), 2);
    assert_true(json_is_false(json_object_get(root, "all_done")));
    assert_true(json_is_true(json_object_get(root, "tripped")));
    assert_close(json_real_value(json_object_get(done, "difference")), 0.5, 1e-12, 0.0);
    assert_string_equal(json_string_value(json_object_get(done, "better")), "A");
    assert_true(json_is_null(json_object_get(open, "difference")));
    assert_true(json_is_null(json_object_get(open, "better")));
    assert_string_equal(json_string_value(json_object_get(open, "status_b")), "pending");
    json_decref(root);
    close_all(&fixture, &compared);
}

#define COLUMNS                                                                                     \
 "model,setting_a,setting_b,probe,params,corpus,n_ctx,metric,unit,status_a,status_b,method,better," \
 "a,b,difference,ci_low,ci_high,p,perplexity_ratio,n,n_clusters,only_a,only_b,limited,why_a,why_b," \
 "margin,tripped\n"

static void test_csv_has_every_bit_and_an_empty_field_for_what_is_absent(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_hits(&fixture, A, 512, 0.5, "111000000000");
    put_hits(&fixture, B, 512, 0.5, "111111110000");
    put_nll(&fixture, A, 512, 3.0, 0.0);
    Compared compared = compare(&fixture, 0);
    compare_set_margin(&compared.table, "passkey", 0.1);
    const Bootstrapped *of = &compared.table.items[0].difference;
    Buf out = {0};
    size_t n_formulas = compare_csv(&compared.table, &out);
    char *wanted = str_format(
        COLUMNS
        "\"tiny\",\"pi:factor=2\",\"ntk:lambda=2\",\"passkey\",\"a=1,b=2\",,512,\"hits\","
        "\"fraction\",\"done\",\"done\",\"p: McNemar's exact test, two-sided; interval: Newcombe's "
        "of paired shares, 95 %%\",,0.25,0.66666666666666663,0.41666666666666669,%.17g,%.17g,"
        "0.0625,,12,12,0,5,0,,,0.10000000000000001,0\n"
        "\"tiny\",\"pi:factor=2\",\"ntk:lambda=2\",\"perplexity\",\"a=1,b=2\",\"book\",512,\"nll\","
        "\"nats/token\",\"done\",\"pending\",\"p and interval: BCa bootstrap over documents or "
        "blocks of text, 95 %%\",,3,,,,,,,,,,,0,,,,0\n",
        of->interval.low, of->interval.high);
    assert_string_equal(buf_text(&out), wanted);
    assert_int_equal(n_formulas, 0);
    free(wanted);
    buf_free(&out);
    close_all(&fixture, &compared);
}

#define HOSTILE                                                                                       \
 "\"=1+1\"\"><img src=x onerror=alert(1)><script>alert(2)</script>]]>&amp;'\xe2\x80\xae|\xef\xbf\xbd" \
 "\x1b[0m\""

static void test_csv_quotes_hostile_names_and_counts_formulas(void **state)
{
    (void)state;
    Fixture fixture = open_pair(results_hostile_text);
    put_hits(&fixture, A, 512, 0.5, "1111111111");
    results_finish_as(
        &fixture, results_add_cell(&fixture, &(Place){.setting = B, .n_ctx = 512, .depth = 0.5}),
        CELL_FAILED);
    Compared compared = compare(&fixture, 0);
    compared.table.a = "-a,\nb";
    Buf out = {0};
    size_t n_formulas = compare_csv(&compared.table, &out);
    assert_string_equal(
        buf_text(&out),
        /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
        COLUMNS HOSTILE
        ",\"-a,\nb\",\"ntk:lambda=2\"," HOSTILE "," HOSTILE
        ",,512,\"hits\",\"fraction\",\"done\",\"failed\",\"p: McNemar's exact test, "
        "two-sided; interval: Newcombe's of paired shares, 95 %\",,1,,,,,,,,,,,0,," HOSTILE
        ",,0\n");
    assert_int_equal(n_formulas, 5);
    buf_free(&out);
    close_all(&fixture, &compared);
}

static void test_an_empty_csv_has_its_columns(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, OTHER, 512, 3.0, 0.2);
    Compared compared = compare(&fixture, 0);
    Buf out = {0};
    assert_int_equal(compare_csv(&compared.table, &out), 0);
    assert_string_equal(buf_text(&out), COLUMNS);
    buf_clear(&out);
    compare_jsonl(&compared.table, &out);
    assert_int_equal(out.len, 0);
    buf_free(&out);
    close_all(&fixture, &compared);
}

/* A line is a row of the JSON with what all rows share. */
static void test_lines_of_json_stand_alone(void **state)
{
    (void)state;
    Fixture fixture = open_pair(NULL);
    put_nll(&fixture, A, 512, 3.0, 0.2);
    put_nll(&fixture, B, 512, 3.5, 0.2);
    put_hits(&fixture, A, 512, 0.5, "1111111111");
    Compared compared = compare(&fixture, 0);
    Buf out = {0};
    compare_jsonl(&compared.table, &out);
    json_t *root = compare_json(&compared.table);
    const char *line = buf_text(&out);
    for (size_t i = 0; i < 2; i++) {
        json_t *row = json_array_get(json_object_get(root, "rows"), i);
        json_object_set_new(row, "model", json_string("tiny"));
        json_object_set_new(row, "setting_a", json_string("pi:factor=2"));
        json_object_set_new(row, "setting_b", json_string("ntk:lambda=2"));
        json_t *alone = json_loadb(line, strcspn(line, "\n"), 0, NULL);
        assert_true(json_equal(alone, row));
        json_decref(alone);
        line += strcspn(line, "\n") + 1;
    }
    assert_string_equal(line, "");
    json_decref(root);
    buf_free(&out);
    close_all(&fixture, &compared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hits_are_paired_trial_by_trial_over_depths),
        cmocka_unit_test(test_the_setting_with_more_hits_is_better),
        cmocka_unit_test(test_less_nll_is_better),
        cmocka_unit_test(test_few_clusters_cannot_tell),
        cmocka_unit_test(test_a_cell_that_is_not_done_is_a_row_with_its_reason),
        cmocka_unit_test(test_margins_trip_when_b_is_worse_by_more),
        cmocka_unit_test(test_b_that_is_better_never_trips),
        cmocka_unit_test(test_cells_of_other_runs_and_settings_do_not_count),
        cmocka_unit_test(test_an_empty_comparison_is_not_done),
        cmocka_unit_test(test_text_escapes_what_the_database_holds),
        cmocka_unit_test(test_what_was_not_measured_has_no_unit),
        cmocka_unit_test(test_csv_has_every_bit_and_an_empty_field_for_what_is_absent),
        cmocka_unit_test(test_csv_quotes_hostile_names_and_counts_formulas),
        cmocka_unit_test(test_an_empty_csv_has_its_columns),
        cmocka_unit_test(test_lines_of_json_stand_alone),
        cmocka_unit_test(test_json_has_null_where_there_is_no_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
