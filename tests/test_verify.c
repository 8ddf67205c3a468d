#include "reports/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "reports/stmt.h"
#include "tests/results_fixture.h"
#include "tests/store_fixture.h"
#include "tests/test_util.h"

/* A database with n done cells whose keys are 0 … n-1, entered in rising or falling order. */
static Store *open_with_cells(int n, bool falling)
{
    Store *store = store_open_memory();
    int64_t run_id = store_start_run(store);
    for (int i = 0; i < n; i++) {
        char key[HASH_HEX_SIZE];
        CellStatus status;
        snprintf(key, sizeof key, "%064d", falling ? n - 1 - i : i);
        store_finish_one(store, store_plan_one(store, run_id, key, false, &status), run_id,
                         CELL_DONE, 0.5);
    }
    return store;
}

static void test_a_sample_depends_on_the_keys_and_the_seed_alone(void **state)
{
    (void)state;
    Err err;
    Store *a = open_with_cells(40, false);
    Store *b = open_with_cells(40, true);
    VerifySample x;
    VerifySample y;
    VerifySample other;
    assert_ok(verify_draw(a, 5, 1, &x, &err), &err);
    assert_ok(verify_draw(b, 5, 1, &y, &err), &err);
    assert_ok(verify_draw(a, 5, 2, &other, &err), &err);
    assert_int_equal(x.n, 5);
    assert_int_equal(x.n_done, 40);
    int n_same = 0;
    for (size_t i = 0; i < 5; i++) {
        assert_string_equal(x.items[i].key, y.items[i].key);
        n_same += str_equal(x.items[i].key, other.items[i].key);
        if (i > 0) assert_true(strcmp(x.items[i - 1].key, x.items[i].key) < 0); /* none twice */
    }
    assert_true(n_same < 5);
    assert_string_equal(x.items[0].canonical, "probe=passkey\n");
    assert_true(x.items[0].depth == 0.5 && x.items[0].n_ctx == 256);
    verify_sample_free(&x);
    verify_sample_free(&y);
    verify_sample_free(&other);
    store_close(a);
    store_close(b);
}

static void test_every_cell_is_drawn_about_as_often(void **state)
{
    (void)state;
    Err err;
    Store *store = open_with_cells(10, false);
    int times[10] = {0};
    for (uint64_t seed = 0; seed < 500; seed++) {
        VerifySample sample;
        assert_ok(verify_draw(store, 2, seed, &sample, &err), &err);
        for (size_t i = 0; i < sample.n; i++)
            times[sample.items[i].key[63] - '0']++;
        verify_sample_free(&sample);
    }
    for (int i = 0; i < 10; i++)
        assert_in_range(times[i], 60, 140); /* 100 expected, standard deviation 9 */
    store_close(store);
}

static void test_only_done_cells_of_the_latest_generation_are_drawn(void **state)
{
    (void)state;
    Err err;
    Store *store = open_with_cells(3, false);
    int64_t run_id = store_start_run(store);
    CellStatus status;
    char key[HASH_HEX_SIZE];
    snprintf(key, sizeof key, "%064d", 1);
    int64_t fresh = store_plan_one(store, run_id, key, true, &status);
    snprintf(key, sizeof key, "%064d", 7);
    store_finish_one(store, store_plan_one(store, run_id, key, false, &status), run_id,
                     CELL_NONFINITE, 0.0);
    VerifySample sample;
    assert_ok(verify_draw(store, 100, 1, &sample, &err), &err);
    assert_int_equal(sample.n, 2); /* the latest of key 1 is pending */
    verify_sample_free(&sample);
    store_finish_one(store, fresh, run_id, CELL_DONE, 0.25);
    assert_ok(verify_draw(store, 100, 1, &sample, &err), &err);
    assert_int_equal(sample.n, 3);
    assert_int_equal(sample.items[2].id, fresh); /* cells of one run stand together */
    assert_int_equal(sample.items[2].run_id, run_id);
    verify_sample_free(&sample);
    store_close(store);
}

static void test_differences_are_found_and_sized(void **state)
{
    (void)state;
    static const struct {
        const char *change;
        bool is_equal;
        bool only_numbers;
        double largest;
        const char *where;
    } rows[] = {
        {"",                                                            true,  true,  0.0,  ""                           },
        {"UPDATE metric SET value = 0.5 + 1e-9",                        false, true,  1e-9, "metric passkey_exact: value"},
        {"UPDATE trial SET nll = 3.003, logp = -1.50001 WHERE idx = 1", false, true,  1e-3,
         "trial 1: nll"                                                                                                  },
        {"UPDATE position_nll SET sum_squares = 0.75",                  false, true,  0.25,
         "position_nll 1: sum_squares"                                                                                   },
        {"UPDATE trial SET answer = '54321', nll = 9 WHERE idx = 1",    false, false, 2.0,
         "trial 1: answer"                                                                                               },
        {"UPDATE metric SET n = 5",                                     false, false, 0.0,  "metric passkey_exact: n"    },
        {"UPDATE metric SET value = NULL",                              false, false, 0.0,  "metric passkey_exact: value"},
        {"DELETE FROM trial WHERE idx = 1",                             false, false, 0.0,
         "trial: more than 1 rows in one of them"                                                                        },
        {"UPDATE trial SET ranks = '0' WHERE idx = 0",                  false, false, 0.0,  "trial 0: ranks"             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err;
        Store *a = open_with_cells(1, false);
        Store *b = open_with_cells(1, false);
        assert_ok(sql_exec(store_sqlite(b), rows[i].change, &err), &err);
        VerifyDifference off;
        assert_ok(verify_compare(&(VerifyPair){a, 1, b, 1, false}, &off, &err), &err);
        assert_int_equal(off.is_equal, rows[i].is_equal);
        assert_int_equal(off.only_numbers, rows[i].only_numbers);
        assert_int_equal(off.is_close, off.only_numbers && rows[i].largest <= VERIFY_TOLERANCE);
        assert_close(off.largest, rows[i].largest, 1e-6, 0.0);
        assert_string_equal(off.where, rows[i].where);
        store_close(a);
        store_close(b);
    }
}

static void test_of_a_server_hits_count_and_numbers_repeat_to_a_few_digits(void **state)
{
    (void)state;
    static const struct {
        const char *change;
        bool only_numbers;
        bool is_close;
        const char *where;
    } rows[] = {
        {"UPDATE metric SET value = 0.5 + 0.009",                                                           true,  true,  "metric passkey_exact: value"},
        {"UPDATE metric SET value = 0.5 + 0.011",                                                           true,  false, "metric passkey_exact: value"},
        {"UPDATE trial SET logp = logp - 0.07 WHERE idx = 1",                                               true,  true,  "trial 1: logp"              },
        {"UPDATE trial SET logp = logp - 0.08 WHERE idx = 1",                                               true,  false, "trial 1: logp"              },
        {"UPDATE metric SET value = 0.504; UPDATE trial SET nll = 3.03 WHERE idx = 1",                      true,  true,
         "metric passkey_exact: value"                                                                                                                 },
        {"UPDATE position_nll SET sum_squares = 0.54",                                                      true,  true,  "position_nll 1: sum_squares"},
        {"UPDATE position_nll SET sum_squares = 0.56",                                                      true,  false, "position_nll 1: sum_squares"},
        {"UPDATE trial SET answer = '54321', ranks = '7';"
         "INSERT INTO metric VALUES (1, 'passkey_rank', 1, 'rank', -1, 9.0, 4, NULL, NULL, NULL)", true,  true,  ""                           },
        {"UPDATE trial SET exact = 1 - exact",                                                              false, false, "trial 1: exact"             },
        {"UPDATE trial SET expected = '1'",                                                                 false, false, "trial 0: expected"          },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err;
        Store *a = open_with_cells(1, false);
        Store *b = open_with_cells(1, false);
        assert_ok(sql_exec(store_sqlite(b), rows[i].change, &err), &err);
        VerifyDifference off;
        assert_ok(verify_compare(&(VerifyPair){a, 1, b, 1, true}, &off, &err), &err);
        assert_string_equal(off.where, rows[i].where);
        assert_int_equal(off.only_numbers, rows[i].only_numbers);
        assert_int_equal(off.is_close, rows[i].is_close);
        store_close(a);
        store_close(b);
    }
}

static void test_results_of_another_system_are_told_apart(void **state)
{
    (void)state;
    static const struct {
        const char *stored;
        const char *again;
        bool is_same;
        const char *who;
    } rows[] = {
        {"(1, 'm', 'a', 3)",                   "(1, 'm', 'a', 2)", true,  ""                          },
        {"(1, 'm', 'a', 3), (1, 'm', 'b', 1)", "(1, 'm', 'b', 2)", true,  ""                          },
        {"(1, 'm', 'a', 3)",                   "(1, 'm', 'b', 2)", false,
         "model \"m\" of system_fingerprint \"b\", and it was model \"m\" of system_fingerprint \"a\""},
        {"(1, 'm', 'a', 3)",                   "(1, 'n', 'a', 2)", false,
         "model \"n\" of system_fingerprint \"a\", and it was model \"m\" of system_fingerprint \"a\""},
        {"(2, 'm', 'a', 3)",                   "(1, 'm', 'b', 2)", true,  ""                          }, /* a file of an older version */
        {"(1, 'm', 'a', 3)",                   "(2, 'm', 'b', 2)", true,  ""                          },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err;
        bool is_same;
        Buf who = {0};
        Store *stores[] = {open_with_cells(2, false), open_with_cells(2, false)};
        const char *values[] = {rows[i].stored, rows[i].again};
        for (int k = 0; k < 2; k++) {
            char *sql = str_format("INSERT INTO reply VALUES %s", values[k]);
            assert_ok(sql_exec(store_sqlite(stores[k]), sql, &err), &err);
            free(sql);
        }
        const VerifyPair pair = {stores[0], 1, stores[1], 1, true};
        assert_ok(verify_check_system(&pair, &is_same, &who, &err), &err);
        assert_int_equal(is_same, rows[i].is_same);
        assert_string_equal(buf_text(&who), rows[i].who);
        buf_free(&who);
        store_close(stores[0]);
        store_close(stores[1]);
    }
}

static void test_changed_lines_are_named_wherever_they_stand(void **state)
{
    (void)state;
    static const struct {
        const char *stored;
        const char *now;
        size_t n;
        const char *names;
    } rows[] = {
        {"model a\ncorpus b\nseed 1\n", "model a\ncorpus b\nseed 1\n",        0, ""            },
        {"model a\ncorpus b\nseed 1\n", "model a\ncorpus c\nseed 2\n",        2, "corpus, seed"},
        {"model a\ncorpus b\nseed 1\n", "model a\nnew 3\ncorpus b\nseed 1\n", 1, "new"         },
        {"model a\nold 1\nseed 1",      "model a\nseed 1",                    1, "old"         },
        {"",                            "model a\n",                          1, "model"       },
        {"\n\nseed 1\n",                "seed 1\n",                           0, ""            },
        {"seed 1\n",                    "seeds 1\n",                          2, "seed, seeds" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf names = {0};
        assert_int_equal(verify_changes(rows[i].stored, rows[i].now, &names), rows[i].n);
        assert_string_equal(buf_text(&names), rows[i].names);
        buf_free(&names);
    }
}

static void test_reports_carry_the_last_outcome_of_each_cell(void **state)
{
    (void)state;
    Err err;
    Fixture fixture = results_open_full(NULL);
    static const struct {
        int64_t cell;
        VerifyOutcome outcome;
    } rows[] = {
        {1, VERIFY_CHANGED},
        {2, VERIFY_EQUAL  },
        {1, VERIFY_EQUAL  },
        {3, VERIFY_FAILED },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const VerificationRow row = {.cell_id = rows[i].cell,
                                     .outcome = verify_outcome_name(rows[i].outcome),
                                     .detail = "<no model>"};
        assert_ok(store_add_verification(fixture.store, &row, &err), &err);
    }
    char *md = results_report(fixture.store, "md", &(ReportOptions){0});
    assert_non_null(strstr(md, " 3 cells were run again: 2 equal, 1 failed.\n"));
    char *html = results_report(fixture.store, "html", &(ReportOptions){.provenance = true});
    assert_non_null(strstr(html, " 3 cells were run again: 2 equal, 1 failed."));
    assert_non_null(strstr(html, "Cells run again"));
    assert_non_null(strstr(html, "&lt;no model&gt;"));
    free(md);
    free(html);
    const VerificationRow bad = {.cell_id = 1, .outcome = "fine"};
    assert_err(store_add_verification(fixture.store, &bad, &err), &err, ERR_STORE, "CHECK");
    const VerificationRow none = {.cell_id = 99999, .outcome = "equal"};
    assert_err(store_add_verification(fixture.store, &none, &err), &err, ERR_STORE, "FOREIGN KEY");
    store_close(fixture.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_sample_depends_on_the_keys_and_the_seed_alone),
        cmocka_unit_test(test_every_cell_is_drawn_about_as_often),
        cmocka_unit_test(test_only_done_cells_of_the_latest_generation_are_drawn),
        cmocka_unit_test(test_differences_are_found_and_sized),
        cmocka_unit_test(test_of_a_server_hits_count_and_numbers_repeat_to_a_few_digits),
        cmocka_unit_test(test_results_of_another_system_are_told_apart),
        cmocka_unit_test(test_changed_lines_are_named_wherever_they_stand),
        cmocka_unit_test(test_reports_carry_the_last_outcome_of_each_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
