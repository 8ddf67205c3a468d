/* The page. The checker of tags shares nothing with the code that writes them. */
#include <ctype.h>
#include <math.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

static bool is_void_tag(const char *name)
{
    return str_equal(name, "meta") || str_equal(name, "br");
}

/* Reads one tag at `at` ('<'); sets name, whether it closes or closes itself; fails on attributes that could run or load something. */
static const char *read_tag(const char *at, char name[32], bool *closing, bool *empty)
{
    at++;
    *closing = *at == '/';
    if (*closing) at++;
    size_t n = 0;
    while (isalnum((unsigned char)*at) && n < 31)
        name[n++] = *at++;
    name[n] = '\0';
    assert_true(n > 0);
    while (*at && *at != '>' && *at != '/') {
        while (isspace((unsigned char)*at))
            at++;
        if (*at == '>' || *at == '/') break;
        const char *attribute = at;
        while (isalnum((unsigned char)*at) || *at == '-')
            at++;
        if (at == attribute) fail_msg("a bad attribute at: %.60s", attribute);
        assert_false(attribute[0] == 'o' && attribute[1] == 'n');
        assert_false(str_starts_with(attribute, "src"));
        /* What is drawn often is defined once in the page. */
        assert_true(!str_starts_with(attribute, "href") || str_starts_with(attribute, "href=\"#"));
        if (*at != '=') fail_msg("an attribute without a value at: %.60s", attribute);
        assert_int_equal(at[1], '"');
        at += 2;
        while (*at && *at != '"' && *at != '<')
            at++;
        assert_int_equal(*at, '"');
        at++;
    }
    *empty = *at == '/';
    if (*empty) at++;
    assert_int_equal(*at, '>');
    return at + 1;
}

/* Fails unless every tag is closed in order, references are complete, and nothing is a script. */
static void check_page(const char *page)
{
    enum { MAX_DEPTH = 64 };
    char open[MAX_DEPTH][32];
    int depth = 0;
    const char *at = page;
    assert_true(str_starts_with(at, "<!DOCTYPE html>"));
    at = strchr(at, '\n');
    while (*at) {
        if (*at == '&') {
            const char *end = strchr(at, ';');
            assert_true(end && end - at <= 6);
        }
        if (*at != '<') {
            assert_int_not_equal(*at, '\x1b');
            at++;
            continue;
        }
        char name[32];
        bool closing;
        bool empty;
        at = read_tag(at, name, &closing, &empty);
        assert_string_not_equal(name, "script");
        assert_string_not_equal(name, "img");
        if (closing) {
            assert_true(depth > 0);
            if (!str_equal(open[depth - 1], name))
                fail_msg("</%s> closes <%s>", name, open[depth - 1]);
            depth--;
        } else if (!empty && !is_void_tag(name)) {
            assert_true(depth < MAX_DEPTH);
            snprintf(open[depth++], sizeof open[0], "%s", name);
        }
        if (str_equal(name, "style") && !closing) at = strstr(at, "</style>");
    }
    assert_int_equal(depth, 0);
}

static void check_utf8(const char *text)
{
    for (size_t left = strlen(text); left > 0;) {
        int n = str_utf8_char(text, left, NULL);
        assert_true(n > 0);
        text += n;
        left -= (size_t)n;
    }
}

static void test_the_page_is_well_formed(void **state)
{
    (void)state;
    Fixture fixture = results_open_full(NULL);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    check_utf8(page);
    static const char *const wanted[] = {"default-src 'none'",
                                         "lang=\"en\"",
                                         "<main>",
                                         "aria-label=\"Heat map",
                                         "aria-label=\"Line chart",
                                         "skipped_short_text",
                                         "host-a",
                                         "id=\"depths\"",
                                         "id=\"positions\"",
                                         "id=\"angles\"",
                                         "claimed: 256",
                                         "id=\"engineers\"",
                                         "id=\"spectrum\"",
                                         "left: turned fully in training (1)",
                                         "claimed trained length: 256",
                                         ">not expressible as any theta&#39;<",
                                         ">3 | 7.5e-08<",
                                         ">1.5, mean 0.25<",
                                         ">1.25<"};
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!strstr(page, wanted[i])) fail_msg("the page lacks %s", wanted[i]);
    free(page);
    store_close(fixture.store);
}

static void test_hostile_text_is_inert_in_the_page(void **state)
{
    (void)state;
    Fixture fixture = results_open_full(results_hostile_text);
    char *page = results_report(fixture.store, "html", &(ReportOptions){.provenance = true});
    check_page(page);
    check_utf8(page);
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "<img"));
    /* NOLINTNEXTLINE(misc-misleading-bidirectional): what is tested */
    assert_null(strstr(page, "\xe2\x80\xae"));
    assert_non_null(strstr(page, "[U+202E]"));
    assert_non_null(strstr(page, "&lt;script&gt;"));
    free(page);
    store_close(fixture.store);
}

static void test_hostile_text_is_inert_in_markdown(void **state)
{
    (void)state;
    Fixture fixture = results_open_full(results_hostile_text);
    char *page = results_report(fixture.store, "md", &(ReportOptions){.provenance = true});
    for (const char *at = strchr(page, '<'); at; at = strchr(at + 1, '<'))
        assert_int_equal(at[-1], '\\');
    check_utf8(page);
    free(page);
    store_close(fixture.store);
}

static void test_databases_without_results_make_sensible_reports(void **state)
{
    (void)state;
    static const char *const not_numbers[] = {">nan", "\"nan", ",nan", " nan", "-nan"};
    for (int kind = 0; kind < 3; kind++) {
        Fixture fixture = results_open(NULL);
        if (kind > 0) results_add_setting(&fixture, 0, "none", NAN, NAN);
        if (kind == 1)
            results_finish_value(
                &fixture, results_add_cell(&fixture, &(Place){0, 512, NAN, false, NULL, false}),
                9.0);
        for (int64_t n_ctx = 128; kind == 2 && n_ctx < 1024; n_ctx *= 2)
            results_finish_as(
                &fixture, results_add_cell(&fixture, &(Place){0, n_ctx, 0.5, false, NULL, false}),
                CELL_FAILED);
        for (const ReportFormat *format = report_formats; format->name; format++) {
            if (!format->write) continue;
            char *text = results_report(fixture.store, format->name, &(ReportOptions){0});
            assert_true(strlen(text) > 20 || str_starts_with(format->name, "json"));
            for (size_t i = 0; i < COUNT_OF(not_numbers); i++)
                assert_null(strstr(text, not_numbers[i]));
            if (str_equal(format->name, "html")) check_page(text);
            free(text);
        }
        store_close(fixture.store);
    }
}

static void test_cells_that_are_not_done_are_hatched_and_never_coloured(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_finish_hits(
        &fixture, results_add_cell(&fixture, &(Place){0, 256, 0.5, false, NULL, false}), 0, 4);
    results_finish_as(&fixture,
                      results_add_cell(&fixture, &(Place){0, 512, 0.5, false, NULL, false}),
                      CELL_INVALID);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    /* One map for each of the two metrics. */
    assert_int_equal(test_count(page, "class=\"hatched\""), 2);
    assert_non_null(strstr(page, ">invalid</text>"));
    free(page);
    store_close(fixture.store);
}

static void test_predictions_stand_beside_the_measured_knees(void **state)
{
    (void)state;
    Fixture fixture = results_open_full(NULL);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    static const char *const wanted[] = {
        "id=\"predictions\"",
        "<title>knee at 307 tokens, between 256 and 512</title>",
        "<title>every angle trained up to 346 tokens</title>",
        "<title>sum of cosines below 0 from 619 tokens</title>",
        "<title>sum of cosines below 0 from: none was found</title>",
        "<title>within 5 % of its lowest perplexity up to 1024 tokens, the longest measured</title>",
        "<th scope=\"row\">linear:4</th><td>287</td><td>1021</td><td>none found</td>",
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!strstr(page, wanted[i])) fail_msg("the page lacks %s", wanted[i]);
    check_page(page);
    free(page);
    char *table = results_report(fixture.store, "md", &(ReportOptions){0});
    assert_non_null(strstr(table, "| tiny | ntk:2 |  | 346 | 619 | 0.875 |\n"));
    assert_non_null(strstr(table, "| tiny | linear:4 |  | 1021 | none found | 0.875 |\n"));
    free(table);
    store_close(fixture.store);
}

static void test_verdicts_of_a_run_are_those_of_its_settings(void **state)
{
    (void)state;
    Err err;
    Fixture fixture = results_open_full(NULL);
    results_add_setting(&fixture, 3, "rerope", NAN, NAN);
    results_add_verdict(&fixture, 3, "of no cell", 3.0);
    int64_t first_run = fixture.run_id;
    assert_ok(store_begin_run(fixture.store, &(RunRow){0}, &fixture.run_id, &err), &err);
    results_add_cell(&fixture, &(Place){2, 4096, NAN, false, NULL, false});
    const struct {
        int64_t run_id;
        bool shown[3]; /* equivalent, not expressible, of no cell */
    } rows[] = {
        {0,              {true, true, true}  },
        {first_run,      {true, true, false} },
        {fixture.run_id, {false, true, false}},
    };
    static const char *const formats[] = {"md", "html"};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (size_t f = 0; f < COUNT_OF(formats); f++) {
            char *text = results_report(fixture.store, formats[f],
                                        &(ReportOptions){.run_id = rows[i].run_id});
            assert_int_equal(strstr(text, "up to amplitude") != NULL, rows[i].shown[0]);
            assert_int_equal(strstr(text, "not expressible") != NULL, rows[i].shown[1]);
            assert_int_equal(strstr(text, "of no cell") != NULL, rows[i].shown[2]);
            free(text);
        }
    store_close(fixture.store);
}

/* Trials and windows of three settings of both engineers at two lengths; ntk is the best, and pi says the same as linear. */
static Fixture open_argument(const char *text)
{
    enum { N = 12 };
    static const char *const methods[] = {"none", "linear", "pi", "ntk"};
    static const int hits[] = {0, 4, 4, 12};
    static const double nll[] = {4.0, 3.5, 3.5, 3.0};
    Fixture fixture = results_open(text);
    for (int s = 0; s < (int)COUNT_OF(methods); s++) {
        results_add_setting(&fixture, s, methods[s], s == 3 ? 8.0 : (double)NAN,
                            s == 1 || s == 2 ? 4.0 : (double)NAN);
        for (int64_t n_ctx = 256; n_ctx <= 1024; n_ctx *= 4) {
            int exact[N];
            double sums[N];
            for (int i = 0; i < N; i++) {
                exact[i] = n_ctx == 256 || i < hits[s];
                sums[i] = 10.0 * (n_ctx == 256 ? 3.0 + 0.1 * s : nll[s]) + i;
            }
            results_finish_trials(
                &fixture, results_add_cell(&fixture, &(Place){s, n_ctx, 0.5, false, NULL, false}),
                exact, N);
            results_finish_windows(
                &fixture, results_add_cell(&fixture, &(Place){s, n_ctx, NAN, false, NULL, false}),
                sums, N, 10);
        }
    }
    return fixture;
}

static void test_the_page_begins_with_the_answer(void **state)
{
    (void)state;
    Fixture fixture = open_argument(NULL);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    /* exp(3 + 5.5 / 10) = 34.81, exp(4.55) = 94.63; the tax is 0.3 nats, exp(0.3) - 1 = 35 %. */
    static const char answer_start[] =
        "<p class=\"answer\">For 1024 tokens take ntk:8: retrieval 12 of 12 against 0 of 12 unscaled; "
        "perplexity 34.81 against 94.63 unscaled. At 95 % every other setting is worse; at 256 tokens, "
        "within the trained length, it costs retrieval +0 points";
    static const char *const wanted[] = {
        answer_start,
        "perplexity +35 % (+35 to +35).</p>",
        "What each setting loses against the best at 1024 tokens, by retrieval, n = 12 trials",
        "nats a token lost</text>",
        "pi against linear, factor=4</text>",
        "lose against ntk:8, the best of Engineer B&#39;s at 1024 tokens, by perplexity",
        "<td>equal</td>",
        /* exp(0.1) - 1, 1 - exp(-0.5); 4 of 12 */
        "linear:4: tax 10.5 %, gain 39.3 %",
        "linear:4: tax 0 points, gain 33.3 points",
        ">ntk:8 *<",
        "<td>+0.5 (+0.5 to +0.5)</td>",
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!strstr(page, wanted[i])) fail_msg("the page lacks %s", wanted[i]);
    assert_true(strstr(page, "id=\"answer\"") < strstr(page, "id=\"result\""));
    free(page);
    store_close(fixture.store);
}

static void test_the_answer_tells_two_protocols_apart(void **state)
{
    (void)state;
    enum { N = 12 };
    Fixture fixture = open_argument(NULL);
    for (int s = 0; s < 4; s++) {
        double sums[N];
        for (int i = 0; i < N; i++)
            sums[i] = 10.0 * (4.0 - 0.5 * s) + i;
        int64_t id = results_add_cell(&fixture, &(Place){s, 1024, NAN, false, NULL, false});
        results_finish_windows(&fixture, id, sums, N, 10);
        char *sql =
            str_format("UPDATE cell SET protocol = 'target' WHERE id = %lld", (long long)id);
        assert_int_equal(sqlite3_exec(store_sqlite(fixture.store), sql, NULL, NULL, NULL),
                         SQLITE_OK);
        free(sql);
    }
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    /* exp(3 + 0.55) and exp(2.5 + 0.55), against exp(4.55) both */
    assert_non_null(strstr(page, "perplexity (p) 34.81 against 94.63 unscaled; perplexity (target) "
                                 "21.12 against 94.63 unscaled"));
    free(page);
    store_close(fixture.store);
}

/* Needles stand at 100, 200, … 800 of 1000 tokens; of 12 trials the first are found: trials 8 to 11 stand where 0 to 3 do, and by distance the same
 * from the other end. */
static void test_retrieval_is_counted_by_distance_and_by_position(void **state)
{
    (void)state;
    Fixture fixture = open_argument(NULL);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    const char *at = strstr(page, "id=\"distances\"");
    assert_non_null(at);
    static const char *const wanted[] = {
        /* none finds all 12 at 256 tokens and none at 1024: at 100 tokens (trials 0 and 8) 2 of 4; 900 back the same. */
        "none, 90 to 126 tokens: 2 of 4",
        "none, 724 to 1022 tokens: 4 of 8",
        /* linear finds trials 0 to 3 at 1024, of which 0 stands at 100 with 8. */
        "linear:4, 90 to 126 tokens: 3 of 4",
        "ntk:8, 90 to 126 tokens: 4 of 4",
    };
    for (size_t i = 0; i < COUNT_OF(wanted); i++)
        if (!strstr(at, wanted[i])) fail_msg("the section lacks %s", wanted[i]);
    free(page);
    store_close(fixture.store);
}

static void test_the_answer_is_inert_under_hostile_names(void **state)
{
    (void)state;
    Fixture fixture = open_argument(results_hostile_text);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    check_utf8(page);
    assert_non_null(strstr(page, "<p class=\"answer\">For 1024 tokens take "));
    free(page);
    store_close(fixture.store);
}

static void test_a_page_of_five_thousand_cells_is_below_three_megabytes(void **state)
{
    (void)state;
    enum { N_SETTINGS = 50, N_LENGTHS = 10, N_DEPTHS = 10 };
    Fixture fixture = results_open(NULL);
    for (int s = 0; s < N_SETTINGS; s++) {
        results_add_setting(&fixture, s, "ntk", 1.0 + s, NAN);
        for (int i = 0; i < N_LENGTHS * N_DEPTHS; i++) {
            Place place = {s, 1024 * (1 + i / N_DEPTHS), (i % N_DEPTHS) / 9.0, false, NULL, false};
            results_finish_trials(&fixture, results_add_cell(&fixture, &place),
                                  (const int[]){s > 10, i % 3 == 0}, 2);
        }
    }
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    size_t n = strlen(page);
    if (n >= 3000000) fail_msg("%zu bytes", n);
    assert_true(n > 1000000);
    free(page);
    store_close(fixture.store);
}

/* Under the protocol that scores the same tokens at every length, positions show nothing that the length does not. */
static void test_a_few_buckets_are_no_curve(void **state)
{
    (void)state;
    Fixture fixture = results_open_full(NULL);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    assert_non_null(strstr(page, "windows of 1024 tokens</figcaption>"));
    assert_null(strstr(page, "no curve to draw"));
    free(page);
    assert_int_equal(sqlite3_exec(store_sqlite(fixture.store),
                                  "DELETE FROM position_nll WHERE bucket = 2", NULL, NULL, NULL),
                     SQLITE_OK);
    page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    assert_non_null(
        strstr(page, "<p>Windows of 1024, 512, 256 tokens: every token that is scored"));
    assert_null(strstr(page, "tokens</figcaption>"));
    free(page);
    store_close(fixture.store);
}

static void test_every_chart_is_a_file_of_its_own(void **state)
{
    (void)state;
    Err err;
    static const char *const texts[] = {NULL, results_hostile_text};
    for (size_t t = 0; t < COUNT_OF(texts); t++) {
        Fixture fixture = results_open_full(texts[t]);
        ReportFiles files = {0};
        assert_ok(report_find("svg")->write_files(fixture.store, &(ReportOptions){0}, &files, &err),
                  &err);
        char *page = results_report(fixture.store, "html", &(ReportOptions){0});
        assert_int_equal(files.n, test_count(page, "role=\"img\""));
        assert_true(files.n > 4);
        for (size_t i = 0; i < files.n; i++) {
            const char *name = files.items[i].name;
            assert_int_equal(
                strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-."),
                strlen(name));
            for (size_t k = 0; k < i; k++)
                assert_string_not_equal(name, files.items[k].name);
            char *text = str_format("<!DOCTYPE html>\n%s", buf_text(&files.items[i].content));
            check_page(text);
            check_utf8(text);
            assert_non_null(strstr(text, "<svg xmlns=\"http://www.w3.org/2000/svg\""));
            free(text);
        }
        free(page);
        report_free_files(&files);
        store_close(fixture.store);
    }
}

static void test_runs_that_measured_the_same_cells_are_compared(void **state)
{
    (void)state;
    Err err;
    static const double values[2][3] = {
        {9.0, 8.0, 7.0},
        {9.0, 8.5, 7.0}
    };
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    for (int run = 0; run < 2; run++) {
        if (run > 0)
            assert_ok(store_begin_run(fixture.store, &(RunRow){0}, &fixture.run_id, &err), &err);
        for (int i = 0; i < 3; i++)
            results_finish_value(&fixture,
                                 results_add_cell(&fixture, &(Place){0, 256 << i, NAN, false,
                                                                     results_key(3, i), run > 0}),
                                 values[run][i]);
    }
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    const char *at = strstr(page, "The same cells in two runs");
    assert_non_null(at);
    assert_non_null(
        strstr(at, "<td>perplexity</td><td>3</td><td>2</td><td>0.5</td><td>0.166667</td></tr>"));
    free(page);
    store_close(fixture.store);
}

static void test_a_page_of_a_running_sweep_says_that_it_is_unfinished(void **state)
{
    (void)state;
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_finish_as(&fixture,
                      results_add_cell(&fixture, &(Place){0, 128, 0.5, false, NULL, false}),
                      CELL_FAILED);
    char *page = results_report(fixture.store, "html", &(ReportOptions){0});
    assert_null(strstr(page, "Unfinished"));
    free(page);
    results_add_cell(&fixture, &(Place){0, 256, 0.5, false, NULL, false});
    page = results_report(fixture.store, "html", &(ReportOptions){0});
    check_page(page);
    assert_non_null(strstr(page, "<strong>Unfinished.</strong> 0 of 2 cells are done: 1 pending, "
                                 "1 failed; what stands here may still change.</p>"));
    free(page);
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_is_well_formed),
        cmocka_unit_test(test_hostile_text_is_inert_in_the_page),
        cmocka_unit_test(test_hostile_text_is_inert_in_markdown),
        cmocka_unit_test(test_databases_without_results_make_sensible_reports),
        cmocka_unit_test(test_cells_that_are_not_done_are_hatched_and_never_coloured),
        cmocka_unit_test(test_verdicts_of_a_run_are_those_of_its_settings),
        cmocka_unit_test(test_predictions_stand_beside_the_measured_knees),
        cmocka_unit_test(test_the_page_begins_with_the_answer),
        cmocka_unit_test(test_the_answer_tells_two_protocols_apart),
        cmocka_unit_test(test_retrieval_is_counted_by_distance_and_by_position),
        cmocka_unit_test(test_the_answer_is_inert_under_hostile_names),
        cmocka_unit_test(test_a_page_of_five_thousand_cells_is_below_three_megabytes),
        cmocka_unit_test(test_a_few_buckets_are_no_curve),
        cmocka_unit_test(test_every_chart_is_a_file_of_its_own),
        cmocka_unit_test(test_runs_that_measured_the_same_cells_are_compared),
        cmocka_unit_test(test_a_page_of_a_running_sweep_says_that_it_is_unfinished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
