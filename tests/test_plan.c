#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "tests/sweep_fixture.h"

static void make(Fixture *fixture, const FixtureAsk *ask)
{
    Err err = {0};
    assert_ok(fixture_plan(fixture, ask, &err), &err);
}

static const char *make_text(size_t n)
{
    char *text = mem_alloc(n, 1);
    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i * i % 23);
    const char *path = test_file("plan.txt", text, n);
    free(text);
    return path;
}

/* The key of a plan's first cell. */
static void first_key(const FixtureAsk *ask, char key[HASH_HEX_SIZE])
{
    Fixture fixture;
    PlanCellText text;
    make(&fixture, ask);
    plan_cell_row(fixture.plan, &fixture.plan->cells[0], &text);
    memcpy(key, text.key, HASH_HEX_SIZE);
    plan_cell_text_free(&text);
    fixture_free(&fixture);
}

static void test_plan_multiplies_all_axes(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none", "ntk:lambda=2", "ntk:lambda=4"),
                                 .probes = LIST_OF("passkey:depths=5", "perplexity:k=32"),
                                 .n_ctx = LIST_OF(128, 256, 512),
                                 .corpus = make_text(12000)});
    assert_int_equal(fixture.plan->n_cells, 3 * 3 * (5 + 1));
    fixture_free(&fixture);
}

static void test_plan_equal_settings_run_once_under_the_first_label(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none", "linear:factor=1", "ntk:lambda=1",
                                                    "pi:factor=1", "ntk:lambda=2", "ntk:alpha=1"),
                                 .probes = LIST_OF("passkey"),
                                 .n_ctx = LIST_OF(256)});
    const PlanModel *model = &fixture.plan->models[0];
    assert_int_equal(model->n_settings, 2);
    assert_string_equal(model->settings[0].label, "none");
    assert_string_equal(model->settings[0].same,
                        "linear:factor=1, ntk:lambda=1, pi:factor=1, ntk:alpha=1");
    assert_null(model->settings[1].same);
    fixture_free(&fixture);
}

static void test_plan_without_methods_compares_none_linear_and_ntk_at_the_longest(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.n_ctx = LIST_OF(256, 1024)});
    const PlanModel *model = &fixture.plan->models[0];
    assert_int_equal(model->n_settings, 3);
    assert_string_equal(model->settings[1].label, "linear:factor=4");
    assert_close(model->settings[2].spec.param[ROPE_LAMBDA].number, 4.387299918778504, 1e-14, 0);
    fixture_free(&fixture);
}

static void test_plan_passkey_runs_by_needle_position_falling_over_all_lengths(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none"),
                                 .probes = LIST_OF("passkey:depths=5"),
                                 .n_ctx = LIST_OF(200, 400, 1000)});
    double last = INFINITY;
    for (size_t i = 0; i < fixture.plan->n_cells; i++) {
        const PlanCell *cell = &fixture.plan->cells[i];
        double position = cell->depth * (double)plan_n_ctx(fixture.plan, cell);
        assert_true(position <= last);
        last = position;
    }
    assert_close(last, 0.0, 0, 0);
    fixture_free(&fixture);
}

static void test_plan_keeps_lengths_apart_where_the_table_depends_on_them(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("ntk:lambda=auto-each"),
                                 .probes = LIST_OF("passkey:depths=5"),
                                 .n_ctx = LIST_OF(200, 400, 1000)});
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(fixture.plan->cells[i].length, i / 5);
    fixture_free(&fixture);
}

static void test_plan_perplexity_runs_by_rising_length(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none"),
                                 .probes = LIST_OF("perplexity:protocol=disjoint"),
                                 .n_ctx = LIST_OF(128, 256, 512),
                                 .corpus = make_text(2000)});
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(fixture.plan->cells[i].length, i);
    fixture_free(&fixture);
}

/* Nested lengths fall, and one whose scores would take more than a timeline may keep comes after them and is computed. */
static void test_plan_truncated_runs_by_falling_length_as_far_as_scores_are_kept(void **state)
{
    (void)state;
    enum { TOO_LONG = PLAN_MAX_KEPT / 16 };
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none"),
                                 .probes = LIST_OF("perplexity:protocol=truncated"),
                                 .n_ctx = LIST_OF(128, 256, 512, TOO_LONG),
                                 .target_max = TOO_LONG,
                                 .corpus = make_text(TOO_LONG)});
    static const uint32_t want[] = {2, 1, 0, 3};
    const Plan *plan = fixture.plan;
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        assert_int_equal(plan->cells[i].length, want[i]);
        assert_int_equal(plan_check(plan, &plan->cells[i])->status, CELL_PENDING);
        assert_int_equal(plan_is_nested(plan, &plan->cells[i]), want[i] < 3);
    }
    assert_int_equal(plan_cost(plan, &plan->cells[1], &plan->cells[0]).n_tokens, 0);
    assert_int_equal(plan_cost(plan, &plan->cells[0], &plan->cells[1]).n_tokens, 511);
    assert_true(plan_cost(plan, &plan->cells[3], &plan->cells[2]).n_tokens > 0);
    assert_int_equal(plan_kept_bytes(plan, 0, TOO_LONG), backend_kept_bytes(512));
    fixture_free(&fixture);
}

static void test_plan_keeps_cells_that_cannot_be_run_with_their_reason(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture,
         &(FixtureAsk){.methods = LIST_OF("none"),
                       .probes = LIST_OF("passkey:depths=2", "perplexity:protocol=disjoint"),
                       .n_ctx = LIST_OF(64, 4096),
                       .corpus = make_text(1000)});
    assert_int_equal(fixture.plan->n_cells, 6);
    size_t n_invalid = 0, n_short = 0;
    for (size_t i = 0; i < 6; i++) {
        const PlanCheck *check = plan_check(fixture.plan, &fixture.plan->cells[i]);
        n_invalid += check->status == CELL_INVALID;
        n_short += check->status == CELL_SKIPPED_SHORT_TEXT;
        if (check->status != CELL_PENDING)
            assert_int_equal(plan_cost(fixture.plan, &fixture.plan->cells[i], NULL).n_tokens, 0);
    }
    assert_int_equal(n_invalid, 2);
    assert_int_equal(n_short, 1);
    fixture_free(&fixture);
}

/* Everything that can change a number changes the key; labels and the rest of the sweep do not. */
static void test_plan_key_changes_with_each_input_and_with_nothing_else(void **state)
{
    (void)state;
    static const FixtureAsk base = {.methods = LIST_OF("ntk:lambda=2"),
                                    .probes = LIST_OF("passkey"),
                                    .n_ctx = LIST_OF(512),
                                    .seed = 1};
    FixtureAsk asks[10];
    for (size_t i = 0; i < COUNT_OF(asks); i++)
        asks[i] = base;
    asks[0].methods[0] = "ntk:lambda=2.5";
    asks[1].model = "another";
    asks[2].seed = 2;
    asks[3].probes[0] = "passkey:digits=4";
    asks[4].n_ctx[0] = 513;
    asks[5].theta = 20000.0;
    asks[6].limit = 1;
    asks[7].probes[0] = "passkey:bos=never";
    asks[8].methods[0] = "linear:factor=2";
    asks[9].probes[0] = "passkey:filler=text";
    asks[9].corpus = make_text(3000);
    char key[HASH_HEX_SIZE], other[COUNT_OF(asks)][HASH_HEX_SIZE];
    first_key(&base, key);
    for (size_t i = 0; i < COUNT_OF(asks); i++) {
        first_key(&asks[i], other[i]);
        assert_string_not_equal(key, other[i]);
        for (size_t j = 0; j < i; j++)
            assert_string_not_equal(other[i], other[j]);
    }
    FixtureAsk same = base;
    same.methods[1] = "none";
    same.probes[1] = "passkey:digits=7";
    same.target_max = 4096; /* passkey lays no grid out */
    same.corpus = make_text(3000);
    first_key(&same, other[0]);
    assert_string_equal(key, other[0]);
}

static void test_plan_key_changes_with_the_text_and_its_grid(void **state)
{
    (void)state;
    FixtureAsk ask = {.methods = LIST_OF("none"),
                      .probes = LIST_OF("perplexity:k=16,windows=4"),
                      .n_ctx = LIST_OF(64),
                      .target_max = 512,
                      .corpus = make_text(3000)};
    char key[HASH_HEX_SIZE], other[HASH_HEX_SIZE];
    first_key(&ask, key);
    ask.target_max = 1024;
    first_key(&ask, other);
    assert_string_not_equal(key, other);
    ask.target_max = 512;
    ask.corpus = make_text(3001);
    first_key(&ask, other);
    assert_string_not_equal(key, other);
}

static void test_plan_of_too_many_cells_needs_yes(void **state)
{
    (void)state;
    Err err = {0};
    Fixture fixture;
    FixtureAsk ask = {.methods = LIST_OF("none", "ntk:lambda=2", "ntk:lambda=3", "ntk:lambda=4")};
    char *probes_given[FIXTURE_MAX_ITEMS];
    for (int i = 0; i < FIXTURE_MAX_ITEMS; i++) {
        ask.n_ctx[i] = 64 * (i + 1);
        ask.probes[i] = probes_given[i] = str_format("passkey:depths=101,trials=%d", i + 1);
    }
    assert_err(fixture_plan(&fixture, &ask, &err), &err, ERR_USAGE, "103424 cells");
    assert_non_null(strstr(err.text, "--yes"));
    fixture_free(&fixture);
    ask.yes = true;
    assert_ok(fixture_plan(&fixture, &ask, &err), &err);
    assert_int_equal(fixture.plan->n_cells, 4 * 16 * 16 * 101);
    fixture_free(&fixture);
    for (int i = 0; i < FIXTURE_MAX_ITEMS; i++)
        free(probes_given[i]);
}

static void test_plan_same_probe_twice_is_one(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none"),
                                 .probes = LIST_OF("passkey", "passkey:trials=4"),
                                 .n_ctx = LIST_OF(256)});
    assert_int_equal(fixture.plan->n_probes, 1);
    fixture_free(&fixture);
}

static void test_plan_probe_without_its_text_is_a_usage_error(void **state)
{
    (void)state;
    Err err = {0};
    Fixture fixture;
    assert_err(fixture_plan(&fixture,
                            &(FixtureAsk){.probes = LIST_OF("perplexity"), .n_ctx = LIST_OF(256)},
                            &err),
               &err, ERR_USAGE, "--corpus");
    fixture_free(&fixture);
}

static void test_plan_cost_grows_with_length_and_shrinks_with_depth(void **state)
{
    (void)state;
    Fixture fixture;
    make(&fixture, &(FixtureAsk){.methods = LIST_OF("none"),
                                 .probes = LIST_OF("passkey:depths=2"),
                                 .n_ctx = LIST_OF(256, 4096)});
    double start_short = 0, start_long = 0, end_long = 0;
    for (size_t i = 0; i < 4; i++) {
        const PlanCell *cell = &fixture.plan->cells[i];
        double pairs = plan_cost(fixture.plan, cell, &fixture.plan->cells[0]).n_pairs;
        if (cell->length == 0 && cell->depth < 0.5) start_short = pairs;
        if (cell->length == 1 && cell->depth < 0.5) start_long = pairs;
        if (cell->length == 1 && cell->depth > 0.5) end_long = pairs;
    }
    assert_true(start_short > 0 && start_long > 16 * start_short && end_long < start_long);
    fixture_free(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plan_multiplies_all_axes),
        cmocka_unit_test(test_plan_equal_settings_run_once_under_the_first_label),
        cmocka_unit_test(test_plan_without_methods_compares_none_linear_and_ntk_at_the_longest),
        cmocka_unit_test(test_plan_passkey_runs_by_needle_position_falling_over_all_lengths),
        cmocka_unit_test(test_plan_keeps_lengths_apart_where_the_table_depends_on_them),
        cmocka_unit_test(test_plan_perplexity_runs_by_rising_length),
        cmocka_unit_test(test_plan_truncated_runs_by_falling_length_as_far_as_scores_are_kept),
        cmocka_unit_test(test_plan_keeps_cells_that_cannot_be_run_with_their_reason),
        cmocka_unit_test(test_plan_key_changes_with_each_input_and_with_nothing_else),
        cmocka_unit_test(test_plan_key_changes_with_the_text_and_its_grid),
        cmocka_unit_test(test_plan_of_too_many_cells_needs_yes),
        cmocka_unit_test(test_plan_same_probe_twice_is_one),
        cmocka_unit_test(test_plan_probe_without_its_text_is_a_usage_error),
        cmocka_unit_test(test_plan_cost_grows_with_length_and_shrinks_with_depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
