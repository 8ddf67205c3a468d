/* The answer for a database whose numbers are made by hand. Model: trained at 256, d = 32. */
#include "reports/recommend.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "reports/stmt.h"
#include "tests/results_fixture.h"
#include "tests/test_util.h"

#define STORE_OTHER_HASH "abcdef0000000000000000000000000000000000000000000000000000000000"

enum { N = 12, N_TOKENS = 10 };
enum { NONE, NTK2, NTK8, N_SETTINGS };

static Fixture open_three(void)
{
    Fixture fixture = results_open(NULL);
    results_add_setting(&fixture, NONE, "none", NAN, NAN);
    results_add_setting(&fixture, NTK2, "ntk", 2.0, NAN);
    results_add_setting(&fixture, NTK8, "ntk", 8.0, NAN);
    return fixture;
}

/* Perplexity windows whose mean nll is `nll`, and that differ by ±spread from window to window. */
static void put_nll(Fixture *fixture, int setting, int64_t n_ctx, double nll, double spread)
{
    double sums[N];
    for (int i = 0; i < N; i++)
        sums[i] = N_TOKENS * (nll + (i % 2 ? spread : -spread));
    int64_t cell =
        results_add_cell(fixture, &(Place){.setting = setting, .n_ctx = n_ctx, .depth = NAN});
    results_finish_windows(fixture, cell, sums, N, N_TOKENS);
}

/* Trials of which the first `hits` hit. */
static void put_hits(Fixture *fixture, int setting, int64_t n_ctx, int hits, int n)
{
    int exact[64];
    for (int i = 0; i < n; i++)
        exact[i] = i < hits;
    int64_t cell =
        results_add_cell(fixture, &(Place){.setting = setting, .n_ctx = n_ctx, .depth = 0.5});
    results_finish_trials(fixture, cell, exact, (size_t)n);
}

static void load(const Fixture *fixture, SeriesList *list)
{
    Err err;
    assert_ok(series_load(fixture->store, NULL, 0, list, &err), &err);
}

static Recommendation ask(const SeriesList *list, int64_t n_ctx)
{
    Err err;
    Recommendation answer;
    assert_ok(recommend_make(list, &(MixPart){n_ctx, 1.0}, 1, &answer, &err), &err);
    return answer;
}

/* The index that a setting has among those with cells. */
static size_t at(const SeriesList *list, int setting)
{
    static const char *const labels[] = {"none", "ntk:2", "ntk:8"};
    size_t i = 0;
    while (i < list->n_settings && !str_equal(list->settings[i].label, labels[setting]))
        i++;
    assert_true(i < list->n_settings);
    return i;
}

static void close_all(Fixture *fixture, SeriesList *list, Recommendation *answer)
{
    recommend_free(answer);
    series_free(list);
    store_close(fixture->store);
}

static bool warns(const Recommendation *answer, const char *part)
{
    for (size_t i = 0; i < answer->n_warnings; i++)
        if (strstr(answer->warnings[i], part)) return true;
    return false;
}

static void test_perplexity_alone_gives_hand_computed_differences(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    static const double nll[N_SETTINGS][2] = {
        {3.0, 4.0},
        {3.1, 3.5},
        {3.2, 3.5}
    };
    for (int s = 0; s < N_SETTINGS; s++)
        for (int i = 0; i < 2; i++)
            put_nll(&fixture, s, 256 << i, nll[s][i], 0.3);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    const Yardstick *yardstick = &answer.yardsticks[0];
    const Verdict *verdicts = yardstick->verdicts;
    assert_int_equal(answer.n_yardsticks, 1);
    assert_int_equal(yardstick->n, N * N_TOKENS);
    assert_int_equal(yardstick->n_clusters, N);
    assert_int_equal(yardstick->tax_n_ctx, 256);
    assert_int_equal(yardstick->best, NTK2); /* the tie goes to the smaller lambda */
    assert_int_equal(answer.winner, NTK2);
    assert_close(verdicts[NTK2].value, 3.5, 1e-12, 0.0);
    /* Every window differs by the same: the spread drops out, and the interval has no width. */
    assert_close(verdicts[NONE].regret.value, 0.5, 1e-9, 0.0);
    assert_close(verdicts[NONE].regret.interval.low, 0.5, 1e-9, 0.0);
    assert_close(verdicts[NONE].regret.interval.high, 0.5, 1e-9, 0.0);
    assert_close(verdicts[NONE].p_holm, 2.0 / STATS_RESAMPLES, 1e-6, 0.0);
    assert_close(verdicts[NTK8].p_holm, 1.0, 1e-9, 0.0);
    assert_false(verdicts[NONE].in_set);
    assert_true(verdicts[NTK2].in_set && verdicts[NTK8].in_set);
    assert_int_equal(yardstick->n_set, 2);
    assert_close(verdicts[NTK2].tax.value, 0.1, 1e-9, 0.0);
    assert_close(verdicts[NTK8].tax.value, 0.2, 1e-9, 0.0);
    assert_close(verdicts[NTK8].gain.value, 0.5, 1e-9, 0.0);
    assert_close(verdicts[NTK8].gain.interval.low, 0.5, 1e-9, 0.0);
    /* ntk 8 pays more tax for the same gain. */
    assert_true(verdicts[NONE].on_front && verdicts[NTK2].on_front && !verdicts[NTK8].on_front);
    /* perplexity-5%: within 0.0488 of its least. */
    assert_int_equal(verdicts[NONE].reach[0].n_ctx, 256);
    assert_int_equal(verdicts[NONE].reach[0].high, 256);
    close_all(&fixture, &list, &answer);
}

static void test_regret_is_the_bootstrap_of_the_paired_differences(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    static const double a[N] = {31, 35, 28, 44, 30, 39, 25, 33, 37, 30, 41, 29};
    static const double b[N] = {30, 36, 27, 40, 30, 37, 26, 33, 35, 28, 41, 27};
    ClusterSum twin[N];
    double sum = 0.0;
    for (int i = 0; i < N; i++) {
        twin[i] = (ClusterSum){.sum = a[i] - b[i], .n = N_TOKENS};
        sum += a[i] - b[i];
    }
    results_finish_windows(
        &fixture, results_add_cell(&fixture, &(Place){.setting = NONE, .n_ctx = 512, .depth = NAN}),
        a, N, N_TOKENS);
    results_finish_windows(
        &fixture, results_add_cell(&fixture, &(Place){.setting = NTK2, .n_ctx = 512, .depth = NAN}),
        b, N, N_TOKENS);
    put_nll(&fixture, NTK8, 256, 3.0, 0.3);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    const Verdict *verdict = &answer.yardsticks[0].verdicts[NONE];
    Bootstrapped wanted = stats_bootstrap(twin, N, 1);
    assert_close(verdict->regret.value, sum / (N * N_TOKENS), 1e-12, 0.0);
    assert_true(verdict->regret.interval.low == wanted.interval.low);
    assert_true(verdict->regret.interval.high == wanted.interval.high);
    assert_true(verdict->p_holm == wanted.p); /* one comparison */
    assert_false(answer.yardsticks[0].verdicts[NTK8].measured);
    assert_int_equal(answer.yardsticks[0].verdicts[NTK8].status, CELL_PENDING);
    close_all(&fixture, &list, &answer);
}

static void test_hits_are_pooled_over_depths_and_misses_are_loss(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    static const int hits[N_SETTINGS] = {2, 9, 10};
    for (int s = 0; s < N_SETTINGS; s++) {
        put_hits(&fixture, s, 512, hits[s], 12);
        int64_t cell =
            results_add_cell(&fixture, &(Place){.setting = s, .n_ctx = 512, .depth = 1.0});
        static const int all[4] = {1, 1, 1, 1};
        results_finish_trials(&fixture, cell, all, 4);
    }
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    const Yardstick *yardstick = &answer.yardsticks[0];
    assert_true(yardstick->series->is_hits);
    assert_int_equal(yardstick->n, 16);
    assert_int_equal(yardstick->n_clusters, 16); /* trial 0 of another depth is another needle */
    assert_int_equal(yardstick->best, NTK8);
    assert_close(yardstick->verdicts[NONE].value, 6.0 / 16, 1e-12, 0.0);
    assert_close(yardstick->verdicts[NONE].regret.value, 8.0 / 16, 1e-12, 0.0);
    assert_false(yardstick->verdicts[NONE].in_set);
    assert_close(yardstick->verdicts[NTK2].regret.value, 1.0 / 16, 1e-12, 0.0);
    assert_true(yardstick->verdicts[NTK2].in_set);
    close_all(&fixture, &list, &answer);
}

static void test_too_small_a_sweep_says_how_many_trials_would_tell(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    put_hits(&fixture, NTK2, 512, 15, 16);
    put_hits(&fixture, NTK8, 512, 14, 16);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    /* One of 16 pairs differs: mean 1/16, variance of a pair (1/16)(15/16) * 16/15 = 1/16; n = 7.849 / 16 / (1/16)^2. */
    assert_close(answer.yardsticks[0].verdicts[at(&list, NTK8)].needed, 7.8489 * 16.0, 1e-3, 0.0);
    assert_true(warns(&answer, "too small to tell by retrieval"));
    assert_true(
        warns(&answer, "about 110 more trials would tell (95 %")); /* 126 - 16, rounded up */
    close_all(&fixture, &list, &answer);
}

static void test_few_clusters_have_no_interval_and_say_so(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    double a[6];
    double b[6];
    for (int i = 0; i < 6; i++) {
        a[i] = N_TOKENS * (3.0 + 0.1 * i);
        b[i] = N_TOKENS * (5.0 + 0.1 * i);
    }
    results_finish_windows(
        &fixture, results_add_cell(&fixture, &(Place){.setting = NTK2, .n_ctx = 512, .depth = NAN}),
        a, 6, N_TOKENS);
    results_finish_windows(
        &fixture, results_add_cell(&fixture, &(Place){.setting = NTK8, .n_ctx = 512, .depth = NAN}),
        b, 6, N_TOKENS);
    put_hits(&fixture, NTK2, 512, 5, 5);
    put_hits(&fixture, NTK8, 512, 0, 5);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    const Verdict *worse = &answer.yardsticks[1].verdicts[at(&list, NTK8)];
    assert_int_equal(answer.winner, at(&list, NTK2));
    assert_close(worse->regret.value, 2.0, 1e-12, 0.0);
    assert_true(isnan(worse->regret.interval.low) && isnan(worse->regret.p));
    assert_true(worse->in_set); /* nothing rules it out */
    assert_true(warns(&answer,
                      "60 tokens in 6 clusters give no interval; 10 clusters, about 40 more "
                      "tokens, would"));
    /* Hits have an exact p-value and an interval all the same: 5 of 5 is 56.55 % or more by Wilson. */
    const Verdict *missing = &answer.yardsticks[0].verdicts[at(&list, NTK8)];
    assert_close(missing->regret.interval.low, 1.0 - M_SQRT2 * 0.43448, 1e-4, 0.0);
    assert_true(missing->regret.interval.high == 1.0);
    assert_close(missing->p_holm, 0.0625, 1e-12, 0.0);
    assert_true(warns(&answer, "too small to tell by retrieval: 1 of the settings"));
    /* The best differs from itself by nothing. */
    const Verdict *best = &answer.yardsticks[0].verdicts[at(&list, NTK2)];
    assert_true(best->regret.value == 0.0 && !(best->regret.interval.high > 0.0));
    close_all(&fixture, &list, &answer);
}

/* Four of forty pairs differ, all one way: resampling would rule a setting out that McNemar's test does not. */
static void test_hits_are_compared_by_an_exact_test(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    put_hits(&fixture, NTK2, 512, 40, 40);
    put_hits(&fixture, NTK8, 512, 36, 40);
    put_hits(&fixture, NTK2, 256, 40, 40);
    put_hits(&fixture, NTK8, 256, 34, 40);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_close(answer.yardsticks[0].verdicts[at(&list, NTK8)].p_holm, 2.0 / 16, 1e-12, 0.0);
    assert_true(answer.yardsticks[0].verdicts[at(&list, NTK8)].in_set);
    recommend_free(&answer);
    const MixPart parts[] = {
        {256, 1.0},
        {512, 1.0}
    };
    Err err;
    assert_ok(recommend_make(&list, parts, 2, &answer, &err), &err);
    assert_close(answer.yardsticks[0].verdicts[at(&list, NTK8)].p_holm, 2.0 / 1024, 1e-12, 0.0);
    close_all(&fixture, &list, &answer);
}

static void test_where_nothing_is_hit_perplexity_decides(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    for (int s = 0; s < N_SETTINGS; s++) {
        put_hits(&fixture, s, 512, 0, 12);
        put_nll(&fixture, s, 512, 4.0 - 0.1 * s, 0.3);
    }
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_int_equal(answer.n_yardsticks, 2);
    assert_int_equal(answer.winner, NTK8);
    assert_int_equal(answer.n_agreed, 1);
    assert_true(warns(&answer, "no setting retrieves anything"));
    assert_false(warns(&answer, "disagree"));
    close_all(&fixture, &list, &answer);
}

static void test_yardsticks_that_disagree_are_reported_and_retrieval_decides(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    static const int hits[N_SETTINGS] = {0, 30, 0};
    static const double nll[N_SETTINGS] = {4.0, 3.5, 3.0};
    for (int s = 0; s < N_SETTINGS; s++) {
        put_hits(&fixture, s, 512, hits[s], 30);
        put_nll(&fixture, s, 512, nll[s], 0.3);
    }
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_int_equal(answer.n_agreed, 0);
    assert_int_equal(answer.winner, NTK2);
    assert_true(warns(&answer,
                      "perplexity and retrieval disagree: ntk:8 is best by perplexity, and "
                      "by retrieval it is worse than ntk:2: -100 points"));
    assert_true(warns(&answer, "retrieval and perplexity disagree: ntk:2 is best by retrieval, and "
                               "by perplexity it is worse than ntk:8: +64.9 %"));
    assert_true(warns(&answer, "the answer goes by retrieval"));
    close_all(&fixture, &list, &answer);
}

/* Of settings that no yardstick rules out the one is taken that none has much against. */
static void test_the_winner_has_the_least_worst_regret(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    /* ntk 8 is best by nll and 1 hit of 30 behind; ntk 2 is best by hits and a hair behind by nll. */
    put_hits(&fixture, NTK2, 512, 30, 30);
    put_hits(&fixture, NTK8, 512, 29, 30);
    static const double a[N] = {30, 36, 27, 40, 30, 37, 26, 33, 35, 28, 41, 27};
    double b[N];
    for (int i = 0; i < N; i++)
        b[i] = a[i] + (i % 2 ? 1.0 : -0.9); /* mean 0.05 behind, standard error 0.28 */
    results_finish_windows(
        &fixture, results_add_cell(&fixture, &(Place){.setting = NTK8, .n_ctx = 512, .depth = NAN}),
        a, N, N_TOKENS);
    results_finish_windows(
        &fixture, results_add_cell(&fixture, &(Place){.setting = NTK2, .n_ctx = 512, .depth = NAN}),
        b, N, N_TOKENS);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_int_equal(answer.n_agreed, 2);
    assert_int_equal(answer.winner, at(&list, NTK2)); /* 0.18 standard errors against 1 */
    close_all(&fixture, &list, &answer);
}

static void test_a_mix_weighs_lengths(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    static const double nll[N_SETTINGS][2] = {
        {3.0, 4.0},
        {3.1, 3.5},
        {3.2, 3.3}
    };
    for (int s = 0; s < N_SETTINGS; s++)
        for (int i = 0; i < 2; i++)
            put_nll(&fixture, s, 256 << i, nll[s][i], 0.3);
    SeriesList list;
    load(&fixture, &list);
    Err err;
    /* Means at shares w of 512: 3 + w, 3.1 + 0.4 w, 3.2 + 0.1 w: best is 8 above w = 1/3, 2 down to 1/6, then none. */
    static const struct {
        double shorter;
        double longer;
        size_t best;
        double value;
    } rows[] = {
        {1.0,  1.0,  NTK8, 3.25},
        {30.0, 10.0, NTK2, 3.2 },
        {9.0,  1.0,  NONE, 3.1 },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const MixPart parts[] = {
            {512, rows[i].longer },
            {256, rows[i].shorter}
        };
        Recommendation answer;
        assert_ok(recommend_make(&list, parts, 2, &answer, &err), &err);
        const Yardstick *yardstick = &answer.yardsticks[0];
        assert_int_equal(yardstick->best, rows[i].best);
        assert_close(yardstick->verdicts[rows[i].best].value, rows[i].value, 1e-12, 0.0);
        assert_int_equal(yardstick->n, 2 * N * N_TOKENS);
        assert_int_equal(yardstick->n_clusters, 2 * N);
        recommend_free(&answer);
    }
    assert_err(recommend_make(&list,
                              (const MixPart[]){
                                  {256, 1.0},
                                  {256, 1.0}
    },
                              2, &(Recommendation){0}, &err),
               &err, ERR_USAGE, "256 is given twice");
    Recommendation none = {0};
    close_all(&fixture, &list, &none);
}

static void test_formula_is_the_nearest_ntk_and_known_when_exact(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    double lambda = pow(2.0, 32.0 / 30.0);
    results_add_setting(&fixture, 3, "ntk", lambda, NAN);
    for (int s = 0; s < 4; s++)
        put_nll(&fixture, s, 1024, 4.0 - 0.1 * s, 0.3);
    for (int s = 0; s < N_SETTINGS; s++)
        put_nll(&fixture, s, 512, 4.0 - 0.1 * s, 0.3);
    put_nll(&fixture, 3, 512, 3.9, 0.3);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_close(answer.formula_lambda, lambda, 1e-12, 0.0);
    assert_true(answer.is_formula);
    assert_close(list.settings[answer.formula].lambda, lambda, 1e-12, 0.0);
    assert_close(answer.yardsticks[0].verdicts[answer.formula].regret.value, 0.1, 1e-9, 0.0);
    recommend_free(&answer);
    answer =
        ask(&list, 1024); /* lambda 4.387: ln 8 - ln 4.387 is 0.60, ln 4.387 - ln 2.095 is 0.74 */
    assert_false(answer.is_formula);
    assert_true(list.settings[answer.formula].lambda == 8.0);
    close_all(&fixture, &list, &answer);
}

static void test_a_setting_with_a_cell_that_is_not_done_is_not_measured(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    put_hits(&fixture, NONE, 512, 12, 12);
    put_hits(&fixture, NTK2, 512, 6, 12);
    int64_t cell =
        results_add_cell(&fixture, &(Place){.setting = NONE, .n_ctx = 512, .depth = 1.0});
    results_finish_as(&fixture, cell, CELL_NONFINITE);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_int_equal(answer.winner, NTK2);
    assert_false(answer.yardsticks[0].verdicts[NONE].measured);
    assert_int_equal(answer.yardsticks[0].verdicts[NONE].status, CELL_NONFINITE);
    close_all(&fixture, &list, &answer);
}

static void test_only_the_latest_generation_counts(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    static const int all[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    static const int no[12] = {0};
    const char *key = "00000000000000000000000000000000000000000000000000000000000000cc";
    Place place = {.setting = NTK2, .n_ctx = 512, .depth = 0.5, .key = key};
    results_finish_trials(&fixture, results_add_cell(&fixture, &place), all, 12);
    place.fresh = true;
    results_finish_trials(&fixture, results_add_cell(&fixture, &place), no, 12);
    put_hits(&fixture, NTK8, 512, 1, 12);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    assert_int_equal(answer.winner, at(&list, NTK8));
    close_all(&fixture, &list, &answer);
}

static void test_lengths_and_models_that_are_not_there_are_named(void **state)
{
    (void)state;
    Err err;
    Fixture fixture = open_three();
    SeriesList list;
    assert_err(series_load(fixture.store, NULL, 0, &list, &err), &err, ERR_USAGE, "holds no cell");
    put_hits(&fixture, NTK2, 512, 6, 12);
    put_hits(&fixture, NTK2, 256, 6, 12);
    assert_err(series_load(fixture.store, "other", 0, &list, &err), &err, ERR_USAGE,
               "--model other: is not in the database; it has tiny (00000000)");
    assert_ok(series_load(fixture.store, "models/tiny", 0, &list, &err), &err);
    Recommendation answer;
    assert_err(recommend_make(&list, &(MixPart){1024, 1.0}, 1, &answer, &err), &err, ERR_USAGE,
               "no setting was measured at n_ctx 1024; there are results at 256, 512");
    series_free(&list);
    assert_ok(sql_exec(store_sqlite(fixture.store),
                       "INSERT INTO model (hash, name) VALUES ('" STORE_OTHER_HASH "', 'tiny');"
                       "UPDATE cell SET model_hash = '" STORE_OTHER_HASH "' WHERE n_ctx = 256",
                       &err),
              &err);
    assert_err(series_load(fixture.store, NULL, 0, &list, &err), &err, ERR_USAGE,
               "several models; give --model, one of: tiny (00000000), tiny (abcdef00)");
    assert_ok(series_load(fixture.store, "abcdef00", 0, &list, &err), &err);
    answer = ask(&list, 256);
    close_all(&fixture, &list, &answer);
}

static void test_text_and_json_are_inert_under_hostile_names(void **state)
{
    (void)state;
    Fixture fixture = results_open(results_hostile_text);
    results_add_setting(&fixture, 0, "none", NAN, NAN);
    results_add_setting(&fixture, 1, "ntk", 2.0, NAN);
    put_nll(&fixture, 0, 512, 4.0, 0.3);
    put_nll(&fixture, 1, 512, 3.0, 0.3);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    Buf text = {0};
    recommend_text(&answer, &text);
    recommend_costs(&answer, &text);
    for (size_t i = 0; i < text.len; i++)
        assert_true((unsigned char)text.data[i] >= 0x20 || text.data[i] == '\n');
    const char turns_text_round[] = {(char)0xe2, (char)0x80, (char)0xae, '\0'};
    assert_null(strstr(buf_text(&text), turns_text_round));
    json_t *json = recommend_json(&answer);
    assert_non_null(json);
    assert_int_equal(json_array_size(json_object_get(json, "yardsticks")), 1);
    json_decref(json);
    buf_free(&text);
    close_all(&fixture, &list, &answer);
}

static void test_json_holds_the_answer_with_nulls_for_what_is_not_known(void **state)
{
    (void)state;
    Fixture fixture = open_three();
    put_hits(&fixture, NTK2, 512, 6, 6);
    put_hits(&fixture, NTK8, 512, 3, 6);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    json_t *json = recommend_json(&answer);
    assert_string_equal(json_string_value(json_object_get(json, "winner")), "ntk:2");
    assert_true(json_is_null(json_object_get(json, "kv_cache_values")));
    json_t *yardstick = json_array_get(json_object_get(json, "yardsticks"), 0);
    json_t *row = json_array_get(json_object_get(yardstick, "settings"), at(&list, NTK8));
    json_t *regret = json_object_get(row, "regret");
    assert_true(json_real_value(json_object_get(regret, "value")) == 0.5);
    assert_true(json_real_value(json_object_get(regret, "ci_low")) < 0.5);
    assert_true(json_is_null(json_object_get(row, "tax")));
    json_decref(json);
    close_all(&fixture, &list, &answer);
}

static void test_kv_cache_is_two_values_a_layer_head_channel_and_token(void **state)
{
    (void)state;
    Err err;
    Fixture fixture = open_three();
    put_hits(&fixture, NTK2, 512, 6, 12);
    ModelRow row = {.hash = "00000000000000000000000000000000000000000000000000000000000000aa",
                    .name = "tiny",
                    .n_ctx_orig = 256,
                    .theta = 1e4,
                    .n_rot = 32,
                    .n_layers = 4,
                    .n_kv_heads = 2,
                    .head_dim = 32,
                    .own_method = "none"};
    assert_ok(store_put_model(fixture.store, &row, &err), &err);
    SeriesList list;
    load(&fixture, &list);
    Recommendation answer = ask(&list, 512);
    Buf text = {0};
    assert_true(recommend_kv_values(&answer) == 2.0 * 4 * 2 * 32 * 512);
    recommend_costs(&answer, &text);
    assert_non_null(
        strstr(buf_text(&text), "KV cache at 512 tokens: 512 KiB in 16 bits, 1 MiB in 32"));
    buf_free(&text);
    close_all(&fixture, &list, &answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_perplexity_alone_gives_hand_computed_differences),
        cmocka_unit_test(test_regret_is_the_bootstrap_of_the_paired_differences),
        cmocka_unit_test(test_hits_are_pooled_over_depths_and_misses_are_loss),
        cmocka_unit_test(test_too_small_a_sweep_says_how_many_trials_would_tell),
        cmocka_unit_test(test_few_clusters_have_no_interval_and_say_so),
        cmocka_unit_test(test_hits_are_compared_by_an_exact_test),
        cmocka_unit_test(test_where_nothing_is_hit_perplexity_decides),
        cmocka_unit_test(test_yardsticks_that_disagree_are_reported_and_retrieval_decides),
        cmocka_unit_test(test_the_winner_has_the_least_worst_regret),
        cmocka_unit_test(test_a_mix_weighs_lengths),
        cmocka_unit_test(test_formula_is_the_nearest_ntk_and_known_when_exact),
        cmocka_unit_test(test_a_setting_with_a_cell_that_is_not_done_is_not_measured),
        cmocka_unit_test(test_only_the_latest_generation_counts),
        cmocka_unit_test(test_lengths_and_models_that_are_not_there_are_named),
        cmocka_unit_test(test_text_and_json_are_inert_under_hostile_names),
        cmocka_unit_test(test_json_holds_the_answer_with_nulls_for_what_is_not_known),
        cmocka_unit_test(test_kv_cache_is_two_values_a_layer_head_channel_and_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
