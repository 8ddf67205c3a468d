#include "tests/test_util.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "reports/report.h"
#include "tests/store_fixture.h"
#include "tests/sweep_fixture.h"

/* A source of fake models that can be told to fail. */
typedef struct {
    double nan_lambda;     /* scores of this setting are NaN; 0: none */
    double failing_lambda; /* scoring under this setting is an error; 0: none */
    double other_lambda;   /* scores of this setting are another system's; 0: none */
    int64_t roomy_n_ctx;   /* longer timelines take more memory than any machine has; 0: none do */
    ErrCode load_error;
    atomic_int n_calls; /* of keep_going */
    int stop_at_call;   /* keep_going is false from this call on; 0: never */
    int n_loads;
    size_t n_cells_told; /* by on_cell */
    int n_warnings;
} Source;

typedef struct {
    Backend fake;
    const Source *source;
    double lambda;
    int64_t n_scored; /* since replies were last taken */
} Wrapped;

static bool wrapped_set_rope(void *self, const RopeSpec *spec, int64_t n_ctx, Err *err)
{
    Wrapped *wrapped = self;
    double factor;
    rope_spec_axes(spec, n_ctx, &wrapped->lambda, &factor);
    return backend_set_rope(&wrapped->fake, spec, n_ctx, err);
}

static bool wrapped_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    const Wrapped *wrapped = self;
    return backend_encode(&wrapped->fake, text, n, out, err);
}

static void wrapped_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    const Wrapped *wrapped = self;
    backend_decode(&wrapped->fake, ids, n, at_start, out);
}

static bool wrapped_score(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                          TokenScore *out, Err *err)
{
    Wrapped *wrapped = self;
    if (wrapped->source->failing_lambda == wrapped->lambda)
        return err_set(err, ERR_INPUT, "the fake was told to fail");
    if (!backend_score(&wrapped->fake, tokens, n, want, out, err)) return false;
    wrapped->n_scored++;
    if (wrapped->source->nan_lambda == wrapped->lambda) out[n - 2].nll = (double)NAN;
    return true;
}

static bool wrapped_generate(void *self, const int32_t *tokens, int64_t n, int64_t n_new,
                             TokenList *out, Err *err)
{
    Wrapped *wrapped = self;
    return backend_generate(&wrapped->fake, tokens, n, n_new, out, err);
}

static void wrapped_take_replies(void *self, ReplyList *out, Buf *remark)
{
    Wrapped *wrapped = self;
    bool is_other = wrapped->source->other_lambda == wrapped->lambda;
    int64_t n = wrapped->n_scored;
    wrapped->n_scored = 0;
    if (wrapped->source->other_lambda == 0.0 || n == 0) return;
    out->items = mem_zalloc(1, sizeof *out->items);
    out->items[out->n++] =
        (Reply){.model = str_dup("m"), .system = str_dup(is_other ? "b" : "a"), .n = n};
    if (is_other) buf_puts(remark, "system b");
}

static void wrapped_close(void *self)
{
    Wrapped *wrapped = self;
    backend_close(&wrapped->fake);
    free(wrapped);
}

static const BackendOps wrapped_ops = {
    .name = "wrapped",
    .set_rope = wrapped_set_rope,
    .encode = wrapped_encode,
    .decode = wrapped_decode,
    .score = wrapped_score,
    .generate = wrapped_generate,
    .take_replies = wrapped_take_replies,
    .close = wrapped_close,
};

static bool source_load(void *context, size_t model, size_t setting, Err *err)
{
    (void)model, (void)setting;
    Source *source = context;
    source->n_loads++;
    return source->load_error == ERR_NONE ||
           err_set(err, source->load_error, "the fake was told not to load");
}

static void source_unload(void *context, size_t model)
{
    (void)context, (void)model;
}

static bool source_open(void *context, size_t model, int64_t n_ctx_max,
                        const SessionOptions *options, Backend *backend, Err *err)
{
    (void)model, (void)options, (void)err;
    Wrapped *wrapped = mem_zalloc(1, sizeof *wrapped);
    backend_open_fake(&wrapped->fake, n_ctx_max);
    wrapped->source = context;
    *backend = wrapped->fake;
    backend->ops = &wrapped_ops;
    backend->self = wrapped;
    return true;
}

static size_t source_bytes(void *context, size_t model, int64_t n_ctx_max)
{
    (void)model;
    const Source *source = context;
    return source->roomy_n_ctx && n_ctx_max > source->roomy_n_ctx ? SIZE_MAX / 2 : 1000;
}

static bool source_keeps_going(void *context)
{
    Source *source = context;
    int call = atomic_fetch_add(&source->n_calls, 1) + 1;
    return source->stop_at_call == 0 || call < source->stop_at_call;
}

static void source_on_cell(void *context, size_t cell, const CellResult *result,
                           const Profile *engine)
{
    (void)cell, (void)result, (void)engine;
    Source *source = context;
    source->n_cells_told++;
}

static void source_warn(void *context, const char *text)
{
    Source *source = context;
    source->n_warnings++;
    assert_string_equal(text, "fake: system b");
}

static const FixtureAsk small = {
    .methods = {"none", "ntk:lambda=2",        "ntk:lambda=4", "ntk:lambda=auto-each"},
    .probes = {"passkey:depths=3,trials=2"     },
    .n_ctx = {256,   320, 512         },
    .seed = 5,
};
enum { SMALL_CELLS = 4 * 3 * 3 };

static bool try_run(const FixtureAsk *ask, Source *source, Store *store, SweepConfig config,
                    SweepOutcome *out, Err *err)
{
    Fixture fixture;
    assert_ok(fixture_plan(&fixture, ask, err), err);
    static const RunRow run = {.command = "test"};
    config.plan = fixture.plan;
    config.store = store;
    config.run = &run;
    config.source = (SweepSource){.load = source_load,
                                  .unload = source_unload,
                                  .open = source_open,
                                  .bytes = source_bytes,
                                  .warn = source_warn,
                                  .context = source};
    if (config.n_jobs == 0) config.n_jobs = 1;
    config.n_threads = 1;
    config.keep_going = source_keeps_going;
    config.keep_going_context = source;
    config.on_cell = source_on_cell;
    config.context = source;
    atomic_store(&source->n_calls, 0);
    source->n_cells_told = 0;
    bool ok = sweep_run(&config, out, err);
    fixture_free(&fixture);
    return ok;
}

static SweepOutcome run(const FixtureAsk *ask, Source *source, Store *store, SweepConfig config)
{
    Err err = {0};
    SweepOutcome outcome;
    assert_ok(try_run(ask, source, store, config, &outcome, &err), &err);
    return outcome;
}

static Store *open_store(const char *path)
{
    Err err = {0};
    Store *store = store_open(path, &err);
    assert_ok(store, &err);
    return store;
}

static char *csv_of(Store *store)
{
    Err err = {0};
    Buf out = {0};
    ReportOptions options = {0};
    assert_ok(report_find("csv")->write(store, &options, &out, &err), &err);
    return buf_steal(&out);
}

static void test_sweep_runs_every_cell_once_and_then_none(void **state)
{
    (void)state;
    Source source = {0};
    Store *store = open_store(":memory:");
    SweepOutcome first = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(first.n_pending, SMALL_CELLS);
    assert_int_equal(first.n_ended, SMALL_CELLS);
    assert_int_equal(first.counts[CELL_DONE], SMALL_CELLS);
    assert_int_equal(source.n_cells_told, SMALL_CELLS);
    char *csv = csv_of(store);
    SweepOutcome second = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(second.n_pending, 0);
    assert_int_equal(second.counts[CELL_DONE], SMALL_CELLS);
    assert_int_equal(source.n_loads, 1);
    char *again = csv_of(store);
    assert_string_equal(csv, again);
    free(csv);
    free(again);
    store_close(store);
}

/* Three tables that do not depend on the length have 4 markers, one has them at each of 3 lengths; 2 markers more at each length. */
static void test_sweep_stores_what_theory_says_once(void **state)
{
    (void)state;
    Source source = {0};
    Store *store = open_store(":memory:");
    for (int i = 0; i < 2; i++) {
        run(&small, &source, store, (SweepConfig){0});
        assert_int_equal(store_count(store, "SELECT count(*) FROM prediction"),
                         3 * 4 + 3 * 4 + 4 * 3 * 2);
        assert_int_equal(store_count(store, "SELECT count(*) FROM audit"), 3 + 3);
        assert_int_equal(store_count(store, "SELECT count(*) FROM audit WHERE verdict LIKE 'equi%'"
                                            " AND residual < tolerance AND seed = 5"),
                         6);
    }
    store_close(store);
}

static void test_sweep_stopped_after_k_of_n_resumes_with_n_minus_k(void **state)
{
    (void)state;
    Source source = {0};
    Store *whole = open_store(":memory:");
    run(&small, &source, whole, (SweepConfig){0});
    char *want = csv_of(whole);
    store_close(whole);
    for (int k = 0; k < SMALL_CELLS; k += 5) {
        Err err = {0};
        SweepOutcome outcome;
        Store *store = open_store(":memory:");
        source.stop_at_call = k + 2; /* one call before the model is loaded, one before each cell */
        assert_err(try_run(&small, &source, store, (SweepConfig){0}, &outcome, &err), &err,
                   ERR_CANCELLED, "stopped");
        assert_int_equal(outcome.n_ended, k);
        source.stop_at_call = 0;
        outcome = run(&small, &source, store, (SweepConfig){0});
        assert_int_equal(outcome.n_pending, SMALL_CELLS - k);
        assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS);
        char *csv = csv_of(store);
        assert_string_equal(csv, want);
        free(csv);
        store_close(store);
    }
    free(want);
}

static void test_sweep_jobs_do_not_change_a_byte(void **state)
{
    (void)state;
    Source source = {0};
    char *csv[3];
    static const int n_jobs[3] = {1, 2, 5};
    for (int i = 0; i < 3; i++) {
        Store *store = open_store(":memory:");
        run(&small, &source, store, (SweepConfig){.n_jobs = n_jobs[i]});
        csv[i] = csv_of(store);
        store_close(store);
        assert_string_equal(csv[0], csv[i]);
    }
    for (int i = 0; i < 3; i++)
        free(csv[i]);
}

static void test_sweep_change_of_a_setting_runs_only_what_is_new(void **state)
{
    (void)state;
    Source source = {0};
    Store *store = open_store(":memory:");
    run(&small, &source, store, (SweepConfig){0});
    FixtureAsk ask = small;
    ask.methods[1] = "ntk:lambda=2.5";
    SweepOutcome outcome = run(&ask, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.n_pending, 9);
    ask = small;
    ask.n_ctx[3] = 1024;
    outcome = run(&ask, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.n_pending, 4 * 3);
    ask = small;
    ask.seed = 6;
    outcome = run(&ask, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.n_pending, SMALL_CELLS);
    store_close(store);
}

static void test_sweep_fresh_runs_again_and_deletes_nothing(void **state)
{
    (void)state;
    Source source = {0};
    Store *store = open_store(":memory:");
    run(&small, &source, store, (SweepConfig){0});
    char *csv = csv_of(store);
    SweepOutcome outcome = run(&small, &source, store, (SweepConfig){.fresh = true});
    assert_int_equal(outcome.n_ended, SMALL_CELLS);
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell"), 2 * SMALL_CELLS);
    char *again = csv_of(store);
    assert_string_equal(csv, again);
    free(csv);
    free(again);
    store_close(store);
}

static void test_sweep_nan_at_one_setting_leaves_the_others_alone(void **state)
{
    (void)state;
    Source source = {.nan_lambda = 4.0};
    Store *store = open_store(":memory:");
    SweepOutcome outcome = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.counts[CELL_NONFINITE], 9);
    assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS - 9);
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell WHERE status = 'nonfinite' AND "
                                        "message LIKE '%position%'"),
                     9);
    assert_int_equal(store_count(store,
                                 "SELECT count(*) FROM metric JOIN cell ON cell.id = cell_id "
                                 "WHERE status = 'nonfinite'"),
                     0);
    source.nan_lambda = 0.0;
    outcome = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.n_pending, 0);
    store_close(store);
}

static void test_sweep_failed_cells_do_not_stop_it_and_run_again(void **state)
{
    (void)state;
    Source source = {.failing_lambda = 2.0};
    Store *store = open_store(":memory:");
    SweepOutcome outcome = run(&small, &source, store, (SweepConfig){.n_jobs = 2});
    assert_int_equal(outcome.counts[CELL_FAILED], 9);
    assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS - 9);
    assert_int_equal(store_count(store,
                                 "SELECT count(*) FROM cell WHERE message = 'the fake was told "
                                 "to fail'"),
                     9);
    source.failing_lambda = 0.0;
    outcome = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.n_pending, 9);
    assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS);
    store_close(store);
}

static void test_sweep_cells_of_another_system_stand_marked_with_one_warning(void **state)
{
    (void)state;
    Source source = {.other_lambda = 4.0};
    Store *store = open_store(":memory:");
    SweepOutcome outcome = run(&small, &source, store, (SweepConfig){.n_jobs = 2});
    assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS);
    assert_int_equal(source.n_warnings, 1);
    assert_int_equal(store_count(store, "SELECT count(*) FROM event WHERE level = 'warning' AND "
                                        "text = 'fake: system b'"),
                     1);
    assert_int_equal(store_count(store, "SELECT count(*) FROM cell WHERE message IS NOT NULL"), 9);
    assert_int_equal(store_count(store,
                                 "SELECT count(*) FROM cell JOIN reply ON cell_id = id WHERE "
                                 "system_fingerprint = iif(message IS NULL, 'a', 'b') AND "
                                 "model = 'm' AND n >= 2"),
                     SMALL_CELLS);
    Err err = {0};
    Buf out = {0};
    assert_ok(report_find("md")->write(store, &(ReportOptions){0}, &out, &err), &err);
    assert_non_null(strstr(buf_text(&out), "## Cells with a warning"));
    assert_non_null(strstr(buf_text(&out), "| 320 | passkey | done | 3 | system b |"));
    buf_free(&out);
    store_close(store);
}

static void test_sweep_failed_cells_have_no_replies_of_earlier_cells(void **state)
{
    (void)state;
    Source source = {.other_lambda = 4.0, .nan_lambda = 2.0};
    Store *store = open_store(":memory:");
    run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(store_count(store,
                                 "SELECT count(*) FROM cell JOIN reply ON cell_id = id WHERE "
                                 "status <> 'done'"),
                     0);
    assert_int_equal(store_count(store, "SELECT count(DISTINCT n) FROM reply"), 1);
    store_close(store);
}

static void test_sweep_skips_lengths_that_do_not_fit_the_memory(void **state)
{
    (void)state;
    Source source = {.roomy_n_ctx = 320};
    Store *store = open_store(":memory:");
    SweepOutcome outcome = run(&small, &source, store, (SweepConfig){.n_jobs = 2});
    assert_int_equal(outcome.counts[CELL_SKIPPED_MEMORY], 12);
    assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS - 12);
    assert_int_equal(store_count(store,
                                 "SELECT count(*) FROM cell WHERE n_ctx = 512 AND message LIKE "
                                 "'needs % GB, % GB are free; n_ctx 320 fits'"),
                     12);
    source.roomy_n_ctx = 0;
    outcome = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.n_pending, 12);
    store_close(store);
}

static void test_sweep_model_that_does_not_fit_is_skipped_and_a_bad_one_is_an_error(void **state)
{
    (void)state;
    Err err = {0};
    Source source = {.load_error = ERR_NOMEM};
    Store *store = open_store(":memory:");
    SweepOutcome outcome = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.counts[CELL_SKIPPED_MEMORY], SMALL_CELLS);
    source.load_error = ERR_INPUT;
    assert_err(try_run(&small, &source, store, (SweepConfig){0}, &outcome, &err), &err, ERR_INPUT,
               "not to load");
    assert_int_equal(store_count(store, "SELECT count(*) FROM run WHERE status = 'failed'"), 1);
    store_close(store);
}

static void test_sweep_cells_that_cannot_be_run_are_recorded_without_loading(void **state)
{
    (void)state;
    Source source = {0};
    Store *store = open_store(":memory:");
    FixtureAsk ask = {.methods = {"none"}, .probes = {"passkey:depths=3"}, .n_ctx = {64}};
    SweepOutcome outcome = run(&ask, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.counts[CELL_INVALID], 3);
    assert_int_equal(source.n_loads, 0);
    assert_int_equal(store_count(store, "SELECT count(*) FROM metric"), 0);
    store_close(store);
}

static void test_sweep_full_disk_stops_with_earlier_cells_safe(void **state)
{
    (void)state;
    Err err = {0};
    Source source = {0};
    SweepOutcome outcome;
    char *path = str_format("%s/full.db", test_folder());
    Store *store = open_store(path);
    FixtureAsk one = small;
    one.methods[1] = NULL;
    run(&one, &source, store, (SweepConfig){0});
    int64_t n_pages = store_count(store, "PRAGMA page_count");
    char *limit = str_format("PRAGMA max_page_count = %lld", (long long)n_pages + 12);
    store_count(store, limit);
    assert_err(try_run(&small, &source, store, (SweepConfig){.n_jobs = 2}, &outcome, &err), &err,
               ERR_STORE, "full");
    store_close(store);
    store = open_store(path);
    assert_true(store_count(store, "SELECT count(*) FROM cell WHERE status = 'done'") >= 9);
    outcome = run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(outcome.counts[CELL_DONE], SMALL_CELLS);
    store_close(store);
    free(limit);
    free(path);
}

static void test_sweep_records_settings_with_their_angles(void **state)
{
    (void)state;
    Source source = {0};
    Store *store = open_store(":memory:");
    run(&small, &source, store, (SweepConfig){0});
    assert_int_equal(store_count(store, "SELECT count(*) FROM setting"), 4);
    /* 16 pairs; auto-each has them for each of three lengths */
    assert_int_equal(store_count(store, "SELECT count(*) FROM setting_pair"), 3 * 16 + 3 * 16);
    assert_int_equal(store_count(store, "SELECT count(*) FROM setting_pair JOIN setting ON key = "
                                        "setting_key WHERE label = 'none' AND theta_scaled <> "
                                        "setting_pair.theta"),
                     0);
    assert_int_equal(store_count(store, "SELECT count(*) FROM run_cell"), SMALL_CELLS);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sweep_runs_every_cell_once_and_then_none),
        cmocka_unit_test(test_sweep_stores_what_theory_says_once),
        cmocka_unit_test(test_sweep_stopped_after_k_of_n_resumes_with_n_minus_k),
        cmocka_unit_test(test_sweep_jobs_do_not_change_a_byte),
        cmocka_unit_test(test_sweep_change_of_a_setting_runs_only_what_is_new),
        cmocka_unit_test(test_sweep_fresh_runs_again_and_deletes_nothing),
        cmocka_unit_test(test_sweep_nan_at_one_setting_leaves_the_others_alone),
        cmocka_unit_test(test_sweep_failed_cells_do_not_stop_it_and_run_again),
        cmocka_unit_test(test_sweep_cells_of_another_system_stand_marked_with_one_warning),
        cmocka_unit_test(test_sweep_failed_cells_have_no_replies_of_earlier_cells),
        cmocka_unit_test(test_sweep_skips_lengths_that_do_not_fit_the_memory),
        cmocka_unit_test(test_sweep_model_that_does_not_fit_is_skipped_and_a_bad_one_is_an_error),
        cmocka_unit_test(test_sweep_cells_that_cannot_be_run_are_recorded_without_loading),
        cmocka_unit_test(test_sweep_full_disk_stops_with_earlier_cells_safe),
        cmocka_unit_test(test_sweep_records_settings_with_their_angles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
