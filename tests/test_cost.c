#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "harness/cost.h"
#include "harness/engine.h"
#include "harness/units.h"
#include "reports/store.h"
#include "tests/engine_setup.h"
#include "tests/sweep_fixture.h"
#include "tests/walker_fixture.h"

/* Tokens that each cell computed, by its place in the plan. */
typedef struct {
    int64_t *n_prefilled;
} Counted;

static void count_cell(void *context, size_t cell, const CellResult *result, const Profile *engine)
{
    (void)engine;
    Counted *counted = context;
    assert_int_equal(result->status, CELL_DONE);
    counted->n_prefilled[cell] = result->n_prefilled;
}

static bool go_on(void *context)
{
    (void)context;
    return true;
}

static void run(const Plan *plan, Counted *counted)
{
    Err err = {0};
    static const RunRow row = {.command = "test"};
    EngineSource source = {.plan = plan};
    Store *store = store_open(":memory:", &err);
    assert_ok(store, &err);
    const SweepConfig config = {
        .plan = plan,
        .store = store,
        .run = &row,
        .source = engine_source(&source),
        .n_jobs = 1,
        .n_threads = 1,
        .keep_going = go_on,
        .on_cell = count_cell,
        .context = counted,
    };
    SweepOutcome outcome;
    assert_ok(sweep_run(&config, &outcome, &err), &err);
    store_close(store);
}

static void count(const Plan *plan, int n_jobs, ProbeCost *costs)
{
    size_t *cells = mem_alloc(plan->n_cells, sizeof *cells);
    for (size_t i = 0; i < plan->n_cells; i++)
        cells[i] = i;
    cost_of_cells(plan, cells, plan->n_cells, n_jobs, costs);
    free(cells);
}

/* Each cell within some tokens (a needle moves to the end of a sentence), all of them within 5 %. */
static void check_counts_of(const char *probe, const char *documents, bool no_reuse,
                            double slack_by_cell)
{
    Options options;
    Plan *plan = walker_plan(&options, probe, "ntk:lambda=2", documents);
    options.no_reuse = no_reuse;
    int64_t *computed = mem_zalloc(plan->n_cells, sizeof *computed);
    ProbeCost *foretold = mem_zalloc(plan->n_cells, sizeof *foretold);
    double sum_computed = 0.0, sum_foretold = 0.0;
    run(plan, &(Counted){computed});
    count(plan, 1, foretold);
    for (size_t i = 0; i < plan->n_cells; i++) {
        assert_close((double)foretold[i].n_tokens, (double)computed[i], 0.05, slack_by_cell);
        sum_computed += (double)computed[i];
        sum_foretold += (double)foretold[i].n_tokens;
    }
    assert_close(sum_foretold, sum_computed, 0.05, 0.0);
    free(computed);
    free(foretold);
    walker_plan_free(plan, &options);
}

static void check_counts(const char *probe, bool no_reuse, double slack_by_cell)
{
    check_counts_of(probe, "file", no_reuse, slack_by_cell);
}

static void test_cost_counts_the_tokens_that_passkey_cells_compute(void **state)
{
    (void)state;
    check_counts("passkey:depths=5,trials=3", false, 4 * 24.0);
    check_counts("passkey:depths=3,trials=1,preface=no,digits=3", false, 2 * 24.0);
}

static void test_cost_counts_the_tokens_that_perplexity_cells_compute(void **state)
{
    (void)state;
    check_counts("perplexity:protocol=truncated", false, 0.0);
    check_counts_of("perplexity:protocol=truncated,documents=5", "tokens=600", false, 0.0);
    check_counts("perplexity:k=64,windows=5", false, 8.0);
    check_counts("perplexity:protocol=sliding,stride=64,max_tokens=1k", false, 8.0);
    check_counts("perplexity:protocol=half-chunk,max_tokens=2k", false, 8.0);
}

static void test_cost_counts_every_pass_without_reuse(void **state)
{
    (void)state;
    check_counts("passkey:depths=2,trials=2", true, 0.0);
    check_counts_of("perplexity:protocol=truncated,documents=3", "tokens=600", true, 0.0);
}

static void check_passes(const char *probe, bool no_reuse, int64_t want_first, int64_t want_next)
{
    Options options;
    Plan *plan = walker_plan(&options, probe, "none", "tokens=600");
    options.no_reuse = no_reuse;
    assert_int_equal(plan_cost(plan, &plan->cells[0], NULL).n_passes, want_first);
    assert_int_equal(plan_cost(plan, &plan->cells[1], &plan->cells[0]).n_passes, want_next);
    walker_plan_free(plan, &options);
}

/* A trial and its control are a pass each; without reuse each token of their answers is one, and the text that is generated. */
static void test_cost_counts_passes(void **state)
{
    (void)state;
    check_passes("passkey:depths=3,trials=4,digits=3", false, 8, 8);
    check_passes("passkey:depths=3,trials=4,digits=3", true, 4 * (2 * 4 + 1), 4 * (2 * 4 + 1));
    check_passes("perplexity:protocol=truncated,documents=5", false, 5, 0);
    check_passes("perplexity:protocol=truncated,documents=5", true, 5, 5);
    check_passes("perplexity:k=64,windows=7", false, 7, 7);
}

/* Of a stretch that several timelines share out, each begins the text once. */
static void test_cost_each_timeline_begins_a_text_once(void **state)
{
    (void)state;
    Options options;
    Plan *plan = walker_plan(&options, "passkey:depths=40,trials=1", "none", "file");
    ProbeCost *one = mem_zalloc(plan->n_cells, sizeof *one);
    ProbeCost *three = mem_zalloc(plan->n_cells, sizeof *three);
    count(plan, 1, one);
    count(plan, 3, three);
    size_t n_dearer = 0, n_stretches = 1 + 3; /* one table for all lengths, one for each */
    for (size_t i = 0; i < plan->n_cells; i++) {
        assert_true(three[i].n_tokens >= one[i].n_tokens);
        n_dearer += three[i].n_tokens > one[i].n_tokens;
    }
    assert_true(n_dearer >= 2 && n_dearer <= 2 * n_stretches);
    free(one);
    free(three);
    walker_plan_free(plan, &options);
}

static void test_cost_units_cover_the_cells_in_order(void **state)
{
    (void)state;
    Fixture fixture;
    Err err = {0};
    const FixtureAsk ask = {.methods = LIST_OF("none", "ntk:lambda=2"),
                            .probes = LIST_OF("passkey:depths=20", "passkey:depths=3,digits=4"),
                            .n_ctx = LIST_OF(256, 512)};
    assert_ok(fixture_plan(&fixture, &ask, &err), &err);
    const Plan *plan = fixture.plan;
    size_t *cells = mem_alloc(plan->n_cells, sizeof *cells), n_units, next = 0;
    for (size_t i = 0; i < plan->n_cells; i++)
        cells[i] = i;
    Unit *units = units_make(plan, cells, plan->n_cells, 2, &n_units);
    for (size_t u = 0; u < n_units; u++) {
        assert_int_equal(units[u].first, next);
        next += units[u].n;
        for (size_t i = units[u].first; i < next; i++) {
            assert_int_equal(plan->cells[i].setting, plan->cells[units[u].first].setting);
            assert_int_equal(plan->cells[i].probe, plan->cells[units[u].first].probe);
        }
    }
    assert_int_equal(next, plan->n_cells);
    free(units);
    free(cells);
    fixture_free(&fixture);
}

/* By hand, for one layer's shape: see the head of models/forward.c for the products. */
static void test_cost_work_of_a_shape_is_counted_by_hand(void **state)
{
    (void)state;
    const ModelConfig config = {.n_layers = 3,
                                .d_model = 8,
                                .n_heads = 4,
                                .n_kv_heads = 2,
                                .head_dim = 2,
                                .d_ff = 20,
                                .vocab_size = 100};
    const ProbeCost all = {.n_tokens = 10, .n_pairs = 50.0, .n_scored = 10};
    const ProbeCost none = {.n_tokens = 10, .n_pairs = 50.0};
    /* a row: q and o 8 x 8 each, k and v 4 x 8 each, three of 20 x 8 */
    const double row = 2.0 * (2 * 64 + 2 * 32 + 3 * 160), keys = 2.0 * 2 * 32;
    Work work = cost_work(&config, &all);
    assert_close(work.n[PHASE_LINEAR], 3 * 10 * row, 1e-12, 0.0);
    assert_close(work.n[PHASE_HEAD], 2.0 * 10 * 8 * 100, 1e-12, 0.0);
    assert_close(work.n[PHASE_ATTENTION], 3 * 4.0 * 8 * (50 + 10 * 48), 1e-12, 0.0);
    work = cost_work(&config, &none);
    assert_close(work.n[PHASE_LINEAR], 2 * 10 * row + 10 * keys, 1e-12, 0.0);
    assert_true(work.n[PHASE_HEAD] == 0.0);
    /* each of two passes as 30 rows more of all layers, which attend as many keys as the others do */
    ProbeCost twice = all;
    twice.n_passes = 2;
    work = cost_work(&config, &twice);
    assert_close(work.n[PHASE_LINEAR], 3 * (10 + 60) * row, 1e-12, 0.0);
    assert_close(work.n[PHASE_ATTENTION], 3 * 4.0 * 8 * (70 * 5 + 70 * 48), 1e-12, 0.0);
    const EngineSpeed speed = {
        {10.0, 20.0, 30.0, 40.0}
    };
    const Work known = {
        {1.0, 2.0, 3.0, 4.0}
    };
    Profile times = cost_times(&known, &speed);
    for (int phase = 0; phase < 4; phase++)
        assert_close(times.s[phase], 0.1, 1e-12, 0.0);
    assert_true(times.s[PHASE_TOKENIZER] == 0.0);
    assert_close(cost_flops(&known), 6.0, 1e-12, 0.0);
}

static void test_cost_speed_is_measured_for_any_shape(void **state)
{
    (void)state;
    static const ModelConfig shapes[] = {
        {.d_model = 64,
         .n_layers = 5,
         .n_heads = 8,
         .n_kv_heads = 4,
         .head_dim = 8,
         .d_ff = 172,
         .vocab_size = 512},
        {.d_model = 4096,
         .n_layers = 1,
         .n_heads = 64,
         .n_kv_heads = 8,
         .head_dim = 64,
         .d_ff = 16384,
         .vocab_size = 99 },
    };
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        Err err = {0};
        ModelConfig config = shapes[i];
        snprintf(config.arch, sizeof config.arch, "llama");
        config.rms_eps = 1e-5;
        config.bos_id = config.eos_id = -1;
        config.n_ctx_train = 1024;
        config.n_rot = config.head_dim;
        assert_ok(rope_spec_parse("none", &config.rope, &err), &err);
        config.rope.theta = 10000.0;
        config.rope.n_rot = config.head_dim;
        config.rope.n_ctx_orig = 1024;
        for (int n_jobs = 1; n_jobs <= 3; n_jobs += 2) {
            EngineSpeed speed = speed_measure(&config, kernel_path_best(), n_jobs, 1);
            for (int phase = 0; phase <= PHASE_REST; phase++)
                assert_true(isfinite(speed.per_s[phase]) && speed.per_s[phase] > 1e6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cost_counts_the_tokens_that_passkey_cells_compute),
        cmocka_unit_test(test_cost_counts_the_tokens_that_perplexity_cells_compute),
        cmocka_unit_test(test_cost_counts_every_pass_without_reuse),
        cmocka_unit_test(test_cost_counts_passes),
        cmocka_unit_test(test_cost_each_timeline_begins_a_text_once),
        cmocka_unit_test(test_cost_units_cover_the_cells_in_order),
        cmocka_unit_test(test_cost_work_of_a_shape_is_counted_by_hand),
        cmocka_unit_test(test_cost_speed_is_measured_for_any_shape),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
