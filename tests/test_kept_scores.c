/* Scores that are kept of whole texts: by themselves, and behind a session. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/rng.h"
#include "models/kept_scores.h"
#include "tests/engine_setup.h"

enum { VOCAB_SIZE = 61, N = 200 };

static void random_tokens(uint32_t stream, int32_t tokens[N])
{
    Rng rng = rng_open(9, stream, 0, 0);
    for (int i = 0; i < N; i++)
        tokens[i] = (int32_t)rng_below(&rng, VOCAB_SIZE);
}

static void test_kept_scores_are_found_by_every_beginning_of_a_text(void **state)
{
    (void)state;
    KeptScores *kept = kept_scores_new(kept_scores_bytes(N));
    int32_t tokens[N];
    TokenScore scores[N];
    random_tokens(1, tokens);
    for (int i = 0; i < N; i++)
        scores[i] = (TokenScore){.nll = i, .rank = 2 * i, .argmax = 3 * i};
    kept_scores_add(kept, tokens, N, scores);
    for (int n = 2; n <= N; n += 33) {
        const TokenScore *found = kept_scores_find(kept, tokens, n);
        assert_non_null(found);
        for (int i = 0; i < n - 1; i++) {
            assert_true(found[i].nll == i);
            assert_int_equal(found[i].rank, 2 * i);
            assert_int_equal(found[i].argmax, 3 * i);
        }
        tokens[n - 1] = (tokens[n - 1] + 1) % VOCAB_SIZE;
        assert_null(kept_scores_find(kept, tokens, n));
        random_tokens(1, tokens);
    }
    kept_scores_free(kept);
}

static void test_kept_scores_forget_the_oldest_for_room(void **state)
{
    (void)state;
    KeptScores *kept = kept_scores_new(kept_scores_bytes(N) + kept_scores_bytes(N / 2));
    int32_t tokens[3][N];
    TokenScore scores[N] = {{.nll = 1.0}};
    for (uint32_t i = 0; i < 3; i++)
        random_tokens(i, tokens[i]);
    kept_scores_add(kept, tokens[0], N, scores);
    kept_scores_add(kept, tokens[1], N / 2, scores);
    assert_non_null(kept_scores_find(kept, tokens[0], N));
    assert_null(kept_scores_find(kept, tokens[1], N));
    kept_scores_add(kept, tokens[2], N / 2, scores);
    assert_null(kept_scores_find(kept, tokens[0], 2));
    assert_non_null(kept_scores_find(kept, tokens[1], N / 2));
    assert_non_null(kept_scores_find(kept, tokens[2], N / 2));
    kept_scores_clear(kept);
    assert_null(kept_scores_find(kept, tokens[2], 2));
    kept_scores_free(kept);
    kept = kept_scores_new(kept_scores_bytes(N) - 1);
    kept_scores_add(kept, tokens[0], N, scores);
    assert_null(kept_scores_find(kept, tokens[0], 2));
    kept_scores_add(kept, tokens[1], N / 2, scores);
    assert_non_null(kept_scores_find(kept, tokens[1], N / 2));
    kept_scores_free(kept);
}

static ModelConfig config_of(void)
{
    ModelConfig config = {
        .arch = "llama",
        .d_model = 32,
        .n_layers = 2,
        .n_heads = 2,
        .n_kv_heads = 1,
        .head_dim = 16,
        .d_ff = 48,
        .vocab_size = VOCAB_SIZE,
        .n_ctx_train = 128,
        .rms_eps = 1e-5,
        .n_rot = 16,
        .bos_id = -1,
        .eos_id = -1,
    };
    config.rope = (RopeSpec){
        .method = rope_method_find("none"), .theta = 1e4, .n_rot = 16, .n_ctx_orig = 128};
    return config;
}

static void set_rope(Session *session, const Model *model, const char *text)
{
    RopeSpec spec = model->config.rope;
    RopeTable table;
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err) && rope_spec_resolve(&spec, N, &err) &&
                  rope_table_make(&spec, N, &table, &err) &&
                  session_set_rope(session, &table, &err),
              &err);
}

static Session *open_session(const Model *model, SessionOptions options)
{
    Err err;
    options.n_threads = 1;
    Session *session = session_open(model, N, &options, &err);
    assert_ok(session, &err);
    set_rope(session, model, "none");
    return session;
}

/* Scores every row of n tokens and returns how many tokens were computed. */
static int64_t score(Session *session, const int32_t *tokens, int n, TokenScore out[N])
{
    Err err;
    uint8_t want[N];
    memset(want, 1, sizeof want);
    int64_t before = session_n_prefilled(session);
    assert_ok(session_score(session, tokens, n, want, out, &err), &err);
    return session_n_prefilled(session) - before;
}

/* The bits of a session that knows nothing yet. */
static void check_fresh(const Model *model, const char *rope, const int32_t *tokens, int n,
                        const TokenScore got[N])
{
    TokenScore want[N];
    Session *fresh = open_session(model, (SessionOptions){0});
    set_rope(fresh, model, rope);
    score(fresh, tokens, n, want);
    for (int i = 0; i < n - 1; i++) {
        assert_memory_equal(&got[i].nll, &want[i].nll, sizeof want[i].nll);
        assert_int_equal(got[i].rank, want[i].rank);
        assert_int_equal(got[i].argmax, want[i].argmax);
    }
    session_close(fresh);
}

static void check_beginnings(const Model *model)
{
    Session *session =
        open_session(model, (SessionOptions){.kept_bytes = 3 * kept_scores_bytes(N)});
    int32_t tokens[3][N];
    TokenScore got[N];
    for (uint32_t i = 0; i < 3; i++) {
        random_tokens(10 + i, tokens[i]);
        assert_true(score(session, tokens[i], N, got) > 0);
    }
    for (int n = N; n >= 2; n -= 47)
        for (int i = 0; i < 3; i++) {
            assert_int_equal(score(session, tokens[i], n, got), 0);
            check_fresh(model, "none", tokens[i], n, got);
        }
    set_rope(session, model, "ntk:lambda=3");
    assert_true(score(session, tokens[1], 90, got) > 0);
    check_fresh(model, "ntk:lambda=3", tokens[1], 90, got);
    assert_true(score(session, tokens[1], N, got) > 0); /* what is longer is computed */
    check_fresh(model, "ntk:lambda=3", tokens[1], N, got);
    session_close(session);
}

static void test_a_beginning_of_a_kept_text_costs_nothing_and_has_the_bits_of_a_pass(void **state)
{
    (void)state;
    for (int i = 0; kernel_paths[i]; i++) {
        Err err;
        ModelConfig config = config_of();
        if (!kernel_paths[i]->is_supported()) continue;
        Model *model = model_random_for(&config, kernel_paths[i], 5, &err);
        assert_ok(model, &err);
        check_beginnings(model);
        model_free(model);
    }
}

/* Only what was scored whole is kept, and nothing without reuse. */
static void test_rows_that_were_not_scored_are_not_kept(void **state)
{
    (void)state;
    Err err;
    ModelConfig config = config_of();
    Model *model = model_random(&config, 5, &err);
    assert_ok(model, &err);
    int32_t tokens[2][N];
    TokenScore got[N];
    uint8_t want[N];
    memset(want, 1, sizeof want);
    want[40] = 0;
    for (uint32_t i = 0; i < 2; i++)
        random_tokens(20 + i, tokens[i]);
    for (int no_reuse = 0; no_reuse < 2; no_reuse++) {
        Session *session =
            open_session(model, (SessionOptions){.kept_bytes = 1 << 20, .no_reuse = no_reuse != 0});
        assert_ok(session_score(session, tokens[0], N, want, got, &err), &err);
        score(session, tokens[1], N, got);
        assert_true(score(session, tokens[0], 100, got) >= 99);
        check_fresh(model, "none", tokens[0], 100, got);
        assert_int_equal(score(session, tokens[1], 100, got) > 0, no_reuse);
        session_close(session);
    }
    model_free(model);
}

/* NaN stays NaN, and tokens before it stay numbers. */
static void test_kept_scores_that_are_not_finite_are_given_as_they_are(void **state)
{
    (void)state;
    enum { BAD = 120 };
    Err err;
    ModelConfig config = config_of();
    Model *model = model_random(&config, 5, &err);
    assert_ok(model, &err);
    int32_t tokens[2][N];
    TokenScore got[N];
    uint8_t all[N];
    memset(all, 1, sizeof all);
    random_tokens(30, tokens[0]);
    random_tokens(31, tokens[1]);
    size_t floats = (size_t)VOCAB_SIZE * (size_t)config.d_model;
    float *embedding = malloc(floats * sizeof(float));
    const float *original = model->embedding;
    memcpy(embedding, original, floats * sizeof(float));
    for (int i = 0; i < N; i++)
        if (tokens[0][i] == 7) tokens[0][i] = 8;
    tokens[0][BAD] = 7;
    embedding[7 * config.d_model] = INFINITY;
    model->embedding = embedding;
    Session *session = open_session(model, (SessionOptions){.kept_bytes = 1 << 20});
    score(session, tokens[0], N, got);
    score(session, tokens[1], N, got);
    assert_int_equal(score(session, tokens[0], BAD + 2, got), 0);
    assert_int_equal(token_scores_nonfinite(got, all, BAD + 1), BAD);
    assert_int_equal(score(session, tokens[0], BAD + 1, got), 0);
    assert_int_equal(token_scores_nonfinite(got, all, BAD), -1);
    model->embedding = original;
    free(embedding);
    session_close(session);
    model_free(model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_kept_scores_are_found_by_every_beginning_of_a_text),
        cmocka_unit_test(test_kept_scores_forget_the_oldest_for_room),
        cmocka_unit_test(test_a_beginning_of_a_kept_text_costs_nothing_and_has_the_bits_of_a_pass),
        cmocka_unit_test(test_rows_that_were_not_scored_are_not_kept),
        cmocka_unit_test(test_kept_scores_that_are_not_finite_are_given_as_they_are),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
