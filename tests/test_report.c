/* The formats for programs. The reader of CSV shares nothing with the code that writes it. */
#include <jansson.h>
#include <math.h>
#include <string.h>

#include "base/buf.h"
#include "base/file.h"
#include "base/str.h"
#include "reports/stmt.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

/* Reads one RFC 4180 field from *at into out and moves past it; returns the separator, or 0 at the end. */
static char read_field(const char **at, Buf *out, bool *quoted)
{
    buf_clear(out);
    *quoted = **at == '"';
    if (*quoted) ++*at;
    while (**at) {
        if (*quoted && **at == '"' && (*at)[1] != '"') {
            ++*at;
            break;
        }
        if (*quoted && **at == '"') ++*at;
        if (!*quoted && (**at == ',' || **at == '\n')) break;
        buf_putc(out, *(*at)++);
    }
    char separator = **at;
    if (separator) ++*at;
    return separator;
}

static void test_csv_reads_back_with_hostile_text_in_every_field(void **state)
{
    (void)state;
    Fixture fixture = results_open_full(results_hostile_text);
    size_t n_formulas = 0;
    char *csv = results_report(fixture.store, "csv",
                               &(ReportOptions){.provenance = true, .n_formulas = &n_formulas});
    const char *at = csv;
    Buf field = {0};
    bool quoted;
    size_t n_columns = 0;
    size_t n_hostile = 0;
    size_t n_rows = 0;
    /* Invalid UTF-8 is replaced; all else is as it was. */
    static const char wanted[] =
        /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
        "=1+1\"><img src=x onerror=alert(1)><script>alert(2)</script>]]>&amp;'\xe2\x80\xae|"
        "\xef\xbf\xbd\x1b[0m";
    for (; *at; n_rows++) {
        size_t n = 1;
        char separator;
        while ((separator = read_field(&at, &field, &quoted)) == ',') {
            n++;
            if (quoted && str_equal(buf_text(&field), wanted)) n_hostile++;
        }
        assert_int_equal(separator, '\n');
        if (n_columns == 0) n_columns = n;
        assert_int_equal(n, n_columns);
    }
    assert_true(n_hostile > 200);
    assert_true(n_formulas >= n_hostile);
    assert_true(n_rows > 30);
    buf_free(&field);
    free(csv);
    store_close(fixture.store);
}

static void test_csv_of_one_cell_is_what_it_should_be(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 1, "ntk", 2.5, NAN);
    results_finish_value(
        &fixture, results_add_cell(&fixture, &(Place){1, 512, NAN, false, NULL, false}), 1.0 / 3.0);
    results_finish_as(&fixture,
                      results_add_cell(&fixture, &(Place){1, 1024, NAN, false, NULL, false}),
                      CELL_SKIPPED_SHORT_TEXT);
    char *csv = results_report(fixture.store, "csv", &(ReportOptions){0});
    assert_string_equal(
        csv,
        "model,method,setting,class,lambda,factor,theta,n_ctx_orig,n_ctx,probe,protocol,params,corpus,depth,seed,"
        "precision,bos_policy,status,metric,unit,value,n,ci_low,ci_high,ci_method,limited,message\n"
        "\"tiny\",\"ntk\",\"ntk:2.5\",\"theta\",2.5,,10000,256,512,\"perplexity\",\"p\",\"a=1,b=2\",\"book\",,1,"
        "\"f32\",\"bos\",\"done\",\"perplexity\",\"perplexity\",0.333333333,1000,-0.666666667,1.33333333,"
        "\"clustered-t95\",0,\n"
        "\"tiny\",\"ntk\",\"ntk:2.5\",\"theta\",2.5,,10000,256,1024,\"perplexity\",\"p\",\"a=1,b=2\",\"book\",,1,"
        "\"f32\",\"bos\",\"skipped_short_text\",,,,,,,,0,\"too short, \"\"really\"\"\"\n");
    free(csv);
    store_close(fixture.store);
}

static void test_csv_does_not_depend_on_the_order_of_the_sweep(void **state)
{
    (void)state;
    char *csv[2];
    for (int order = 0; order < 2; order++) {
        Fixture fixture = results_open(NULL);
        for (int i = 0; i < 6; i++) {
            int setting = order ? 5 - i : i;
            results_add_setting(&fixture, setting, setting ? "ntk" : "none",
                                setting ? (double)(1 << setting) : (double)NAN, NAN);
            results_finish_value(
                &fixture,
                results_add_cell(
                    &fixture, &(Place){setting, 512, NAN, false, results_key(3, setting), false}),
                10.0 + setting);
        }
        csv[order] = results_report(fixture.store, "csv", &(ReportOptions){0});
        store_close(fixture.store);
    }
    assert_string_equal(csv[0], csv[1]);
    free(csv[0]);
    free(csv[1]);
}

static void test_only_provenance_tells_host_and_time(void **state)
{
    (void)state;
    static const char *const formats[] = {"csv", "md"};
    Fixture fixture = results_open_full(NULL);
    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        char *plain = results_report(fixture.store, formats[i], &(ReportOptions){0});
        char *full =
            results_report(fixture.store, formats[i], &(ReportOptions){.provenance = true});
        assert_null(strstr(plain, "host-a"));
        assert_null(strstr(plain, "Z"));
        assert_non_null(strstr(full, "host-a"));
        free(plain);
        free(full);
    }
    store_close(fixture.store);
}

static void test_every_format_is_found_by_its_name(void **state)
{
    (void)state;
    for (const ReportFormat *format = report_formats; format->name; format++) {
        assert_ptr_equal(report_find(format->name), format);
        assert_true(!format->write == !!format->write_files && *format->help);
    }
    assert_null(report_find("pdf"));
}

/* Every ```sql block of the manual. */
static void test_the_queries_of_the_manual_run(void **state)
{
    (void)state;
    Err err;
    Buf manual = {0};
    assert_ok(file_read("docs/results.md", 1 << 20, &manual, &err), &err);
    Fixture fixture = results_open_full(NULL);
    int n_queries = 0;
    const char *end;
    for (const char *at = strstr(buf_text(&manual), "```sql\n"); at; at = strstr(end, "```sql\n")) {
        at += strlen("```sql\n");
        end = strstr(at, "```");
        assert_non_null(end);
        char *sql = str_dup_n(at, (size_t)(end - at));
        assert_ok(sql_exec(store_sqlite(fixture.store), sql, &err), &err);
        free(sql);
        n_queries++;
    }
    assert_true(n_queries >= 5);
    store_close(fixture.store);
    buf_free(&manual);
}

static void test_every_form_says_where_claim_and_measurement_disagree(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    for (int64_t n_ctx = 64; n_ctx <= 256; n_ctx *= 2)
        results_finish_value(
            &fixture, results_add_cell(&fixture, &(Place){0, n_ctx, NAN, false, NULL, false}),
            (double)n_ctx);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    assert_non_null(strstr(page, "tiny (trained length 256, claimed)"));
    assert_non_null(strstr(page, "<p class=\"warn\">trained length: 256 claimed, measured knee of "
                                 "plain RoPE 67 tokens"));
    assert_non_null(strstr(page, ">claimed: 256</text>"));
    assert_non_null(strstr(page, ">measured knee: 67</text>"));
    free(page);
    char *table = results_report(fixture.store, "md", &(ReportOptions){0});
    assert_non_null(
        strstr(table, "trained length: 256 claimed, measured knee of plain RoPE 67 tokens"));
    assert_non_null(strstr(table, "they disagree, plain RoPE fails within the claimed length"));
    free(table);
    store_close(fixture.store);
}

/* Every number and text of the tidy CSV stands in the JSON too, with all its bits. */
static void test_json_has_the_rows_of_the_csv(void **state)
{
    (void)state;
    Err err;
    static const char *const texts[] = {NULL, results_hostile_text};
    for (size_t t = 0; t < COUNT_OF(texts); t++) {
        Fixture fixture = results_open_full(texts[t]);
        char *array = results_report(fixture.store, "json", &(ReportOptions){0});
        char *lines = results_report(fixture.store, "jsonl", &(ReportOptions){0});
        json_t *root = json_loads(array, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(root);
        int64_t n;
        assert_ok(sql_i64(store_sqlite(fixture.store), "SELECT count(*) FROM v_cell", &n, &err),
                  &err);
        assert_int_equal(json_array_size(root), n);
        const char *at = lines;
        for (size_t i = 0; i < json_array_size(root); i++) {
            char *line = str_dup_n(at, strcspn(at, "\n"));
            json_t *object = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
            assert_true(json_equal(object, json_array_get(root, i)));
            json_decref(object);
            at += strlen(line) + 1;
            free(line);
        }
        assert_int_equal(*at, '\0');
        double sum;
        Stmt stmt;
        bool row;
        assert_ok(
            stmt_open(store_sqlite(fixture.store), "SELECT sum(value) FROM v_cell", &stmt, &err),
            &err);
        assert_ok(stmt_next(&stmt, &row, &err), &err);
        sum = stmt_double(&stmt, 0);
        stmt_close(&stmt);
        for (size_t i = 0; i < json_array_size(root); i++)
            sum -= json_number_value(json_object_get(json_array_get(root, i), "value"));
        assert_close(sum, 0.0, 0.0, 1e-12);
        json_decref(root);
        free(array);
        free(lines);
        store_close(fixture.store);
    }
}

static void test_wide_csv_has_a_row_a_cell(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_finish_hits(
        &fixture, results_add_cell(&fixture, &(Place){0, 256, 0.5, false, NULL, false}), 3, 4);
    results_finish_value(
        &fixture, results_add_cell(&fixture, &(Place){0, 256, NAN, false, NULL, false}), 9.0);
    char *text = results_report(fixture.store, "csv", &(ReportOptions){.wide = true});
    assert_int_equal(test_count(text, "\n"), 3);
    const char *end = strchr(text, '\n');
    static const char wanted[] =
        ",status,limited,message,passkey_exact,passkey_exact_low,passkey_exact_high,passkey_exact_n,";
    assert_true(strstr(text, wanted) && strstr(text, wanted) < end);
    assert_non_null(strstr(end, ",\"done\",0,,0.75,0.1,0.9,4,-2,,,4,"));
    assert_non_null(strstr(end, ",\"done\",0,,,,,,"));
    free(text);
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_csv_reads_back_with_hostile_text_in_every_field),
        cmocka_unit_test(test_csv_of_one_cell_is_what_it_should_be),
        cmocka_unit_test(test_csv_does_not_depend_on_the_order_of_the_sweep),
        cmocka_unit_test(test_only_provenance_tells_host_and_time),
        cmocka_unit_test(test_every_format_is_found_by_its_name),
        cmocka_unit_test(test_the_queries_of_the_manual_run),
        cmocka_unit_test(test_every_form_says_where_claim_and_measurement_disagree),
        cmocka_unit_test(test_json_has_the_rows_of_the_csv),
        cmocka_unit_test(test_wide_csv_has_a_row_a_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
