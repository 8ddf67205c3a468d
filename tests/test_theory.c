/* What is stored of a setting before it is measured, against golden values. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "harness/sweep_rows.h"
#include "harness/theory.h"
#include "reports/stmt.h"

static PlanModel model_of(int n_rot, int64_t n_ctx_orig)
{
    static char name[] = "m";
    PlanModel model = {.name = name};
    memset(model.hash, 'a', sizeof model.hash - 1);
    model.own = (RopeSpec){
        .method = &rope_methods[0], .theta = 1e4, .n_rot = n_rot, .n_ctx_orig = n_ctx_orig};
    return model;
}

/* A setting of a model, `auto` aiming at the target. */
static PlanSetting setting_of(const PlanModel *model, const char *text, int64_t target)
{
    Err err;
    RopeSpec spec = model->own;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, target, &err), &err);
    return plan_setting_of(&spec);
}

static Store *store_with(const PlanModel *model)
{
    Err err;
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    assert_ok(sweep_put_model(store, model, &err), &err);
    return store;
}

/* The number that a query gives; NaN for NULL. */
static double number(Store *store, const char *sql)
{
    Err err;
    Stmt stmt;
    bool row = false;
    assert_ok(stmt_open(store_sqlite(store), sql, &stmt, &err), &err);
    assert_ok(stmt_next(&stmt, &row, &err), &err);
    if (!row) fail_msg("no row: %s", sql);
    double value = stmt_double(&stmt, 0);
    stmt_close(&stmt);
    return value;
}

static double prediction(Store *store, const char *quantity, long long n_ctx)
{
    char *sql = str_format("SELECT value FROM prediction WHERE quantity = '%s' AND n_ctx = %lld",
                           quantity, n_ctx);
    double value = number(store, sql);
    free(sql);
    return value;
}

static void test_stored_markers_are_the_golden_values(void **state)
{
    (void)state;
    static const struct {
        const char *setting;
        int n_rot;
        int64_t n_ctx_orig;
        double lambda_at_4x;
        double n_turning;
        double first_negative;
    } golden[] = {
        {"none",          48,  512,  4.248508707450764,  12, 706 },
        {"ntk:lambda=4",  48,  256,  4.248508707450764,  10, 1190},
        {"ntk:lambda=16", 64,  256,  4.1829365928899485, 13, 5205},
        {"ntk:lambda=8",  128, 4096, NAN,                46, 6505},
    };
    for (size_t i = 0; i < COUNT_OF(golden); i++) {
        Err err;
        PlanModel model = model_of(golden[i].n_rot, golden[i].n_ctx_orig);
        PlanSetting setting = setting_of(&model, golden[i].setting, 1024);
        Store *store = store_with(&model);
        int64_t n_ctx[] = {golden[i].n_ctx_orig, 4 * golden[i].n_ctx_orig};
        assert_ok(sweep_put_setting(store, &model, &setting, n_ctx, 2, &err), &err);
        assert_close(prediction(store, "lambda_by_formula", n_ctx[0]), 1.0, 0.0, 0.0);
        if (!isnan(golden[i].lambda_at_4x))
            assert_close(prediction(store, "lambda_by_formula", n_ctx[1]), golden[i].lambda_at_4x,
                         1e-14, 0.0);
        assert_close(prediction(store, "pairs_turning", 0), golden[i].n_turning, 0.0, 0.0);
        assert_close(prediction(store, "first_negative_sum", 0), golden[i].first_negative, 0.0,
                     0.0);
        store_close(store);
    }
}

/* d = 4: angles 1 and 0.01. Trained at 4, no pair turned, and (n - 1) / 2 may reach 3: n = 7; at 9 pair 0 reaches 4. */
static void test_stored_reach_and_angles_are_what_hand_and_formula_give(void **state)
{
    (void)state;
    Err err;
    PlanModel model = model_of(4, 4);
    PlanSetting setting = setting_of(&model, "linear:factor=2", 9);
    Store *store = store_with(&model);
    int64_t n_ctx[] = {4, 9};
    assert_ok(sweep_put_setting(store, &model, &setting, n_ctx, 2, &err), &err);
    assert_close(prediction(store, "seen_reach", 0), 7.0, 0.0, 0.0);
    assert_close(prediction(store, "unseen_angle", 4), 0.0, 0.0, 0.0);
    assert_close(prediction(store, "unseen_angle", 9), 1.0, 1e-12, 0.0);
    double halved = (2.0 - 2.0 * cos(0.5)) + (2.0 - 2.0 * cos(0.005));
    double plain = (2.0 - 2.0 * cos(1.0)) + (2.0 - 2.0 * cos(0.01));
    assert_close(prediction(store, "resolution", 0), sqrt(halved / plain), 1e-9, 0.0);
    store_close(store);
}

static void test_a_marker_without_a_value_is_null(void **state)
{
    (void)state;
    Err err;
    PlanModel model = model_of(48, 256);
    PlanSetting setting = setting_of(&model, "rerope:window=64", 1024);
    Store *store = store_with(&model);
    assert_ok(sweep_put_setting(store, &model, &setting, (int64_t[]){1024}, 1, &err), &err);
    assert_true(isnan(prediction(store, "seen_reach", 0)));
    assert_true(isnan(prediction(store, "first_negative_sum", 0)));
    store_close(store);
}

static void test_a_table_by_length_has_its_markers_by_length(void **state)
{
    (void)state;
    Err err;
    PlanModel model = model_of(48, 256);
    PlanSetting setting = setting_of(&model, "dynamic-ntk", 1024);
    Store *store = store_with(&model);
    assert_ok(sweep_put_setting(store, &model, &setting, (int64_t[]){256, 1024}, 2, &err), &err);
    assert_close(number(store, "SELECT count(*) FROM prediction WHERE n_ctx = 0"), 0.0, 0.0, 0.0);
    assert_close(prediction(store, "seen_reach", 256), 256.0, 0.0, 0.0);
    /* λ = 4^(48/46) stretches the pair that turned least, the tenth, by λ^(20/48). */
    assert_close(prediction(store, "seen_reach", 1024),
                 1.0 + floor(255.0 * pow(4.248508707450764, 20.0 / 48.0)), 0.0, 0.0);
    store_close(store);
}

static void test_an_unknown_trained_length_predicts_nothing(void **state)
{
    (void)state;
    Err err;
    PlanModel model = model_of(48, 256);
    PlanSetting setting = setting_of(&model, "none", 1024);
    model.own.n_ctx_orig = 0;
    Store *store = store_with(&model);
    assert_ok(sweep_put_setting(store, &model, &setting, (int64_t[]){1024}, 1, &err), &err);
    assert_close(number(store, "SELECT count(*) FROM prediction"), 0.0, 0.0, 0.0);
    store_close(store);
}

static void test_verdicts_are_stored_at_the_longest_length_or_at_each(void **state)
{
    (void)state;
    Err err;
    static const struct {
        const char *setting;
        const char *verdict;
        double n;
        double amplitude;
    } rows[] = {
        {"pi:factor=4",   "equivalent to a theta''",                 1, 1.0               },
        {"yarn:factor=4", "equivalent to a theta'' up to amplitude", 1, 1.1386294361119891},
        {"rerope",        "not expressible as any theta''",          1, 1.0               },
        {"dynamic-ntk",   "equivalent to a theta''",                 2, 1.0               },
    };
    PlanModel model = model_of(48, 256);
    Store *store = store_with(&model);
    int64_t n_ctx[] = {1, 256, 1024};
    Options options = {.seed = 7};
    Plan plan = {.options = &options, .n_ctx = n_ctx, .n_lengths = 3};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        PlanSetting setting = setting_of(&model, rows[i].setting, 1024);
        assert_ok(sweep_put_setting(store, &model, &setting, n_ctx, 3, &err), &err);
        assert_ok(theory_put_audits(store, &plan, &model, &setting, &err), &err);
        char *sql =
            str_format("SELECT count(*) + max(amplitude) FROM audit WHERE setting_key = '%s'"
                       " AND verdict = '%s' AND seed = 7 AND residual_f32 > 0"
                       " AND tolerance > 1e-12 AND largest_residue IS NULL",
                       setting.key, rows[i].verdict);
        assert_close(number(store, sql), rows[i].n + rows[i].amplitude, 1e-14, 0.0);
        free(sql);
    }
    assert_close(number(store, "SELECT count(*) FROM audit WHERE n_ctx = 1024"), 4.0, 0.0, 0.0);
    assert_true(number(store, "SELECT residual FROM audit JOIN setting ON key = setting_key"
                              " WHERE method = 'rerope'") > 0.1);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_stored_markers_are_the_golden_values),
        cmocka_unit_test(test_stored_reach_and_angles_are_what_hand_and_formula_give),
        cmocka_unit_test(test_a_marker_without_a_value_is_null),
        cmocka_unit_test(test_a_table_by_length_has_its_markers_by_length),
        cmocka_unit_test(test_an_unknown_trained_length_predicts_nothing),
        cmocka_unit_test(test_verdicts_are_stored_at_the_longest_length_or_at_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
