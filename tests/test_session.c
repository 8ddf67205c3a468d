/* The engine on random models: against a forward pass in double, and against itself with another history. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "models/session.h"
#include "tests/engine_setup.h"
#include "tests/llama_twin.h"

enum { VOCAB_SIZE = 83, N_MAX = 700 };

/* The path that models are made for: every test runs on each that the machine has. */
static const KernelPath *path;

static ModelConfig small_config(RopeLayout layout, int n_kv_heads)
{
    ModelConfig config = {
        .arch = "llama",
        .d_model = 40,
        .n_layers = 2,
        .n_heads = 4,
        .n_kv_heads = n_kv_heads,
        .head_dim = 12, /* not d_model / n_heads */
        .d_ff = 56,
        .vocab_size = VOCAB_SIZE,
        .n_ctx_train = 256,
        .rms_eps = 1e-5,
        .rope_layout = layout,
        .n_rot = 12,
        .bos_id = -1,
        .eos_id = -1,
    };
    config.rope = (RopeSpec){
        .method = rope_method_find("none"), .theta = 1e4, .n_rot = 12, .n_ctx_orig = 256};
    return config;
}

static bool is_bf16(void)
{
    return str_equal(path->precision, "bf16");
}

/* Nats that the path may be off a double forward pass: a factor of bf16 is off by up to 2^-9. */
static double most_off(void)
{
    return is_bf16() ? 0.1 : 1e-5;
}

static Model *small_model(RopeLayout layout, int n_kv_heads)
{
    ModelConfig config = small_config(layout, n_kv_heads);
    Err err;
    Model *model = model_random_for(&config, path, 5, &err);
    assert_ok(model, &err);
    return model;
}

static RopeTable table_of(const Model *model, const char *text)
{
    RopeSpec spec = model->config.rope;
    RopeTable table;
    Err err;
    assert_ok(rope_spec_parse(text, &spec, &err), &err);
    assert_ok(rope_spec_resolve(&spec, 1024, &err), &err);
    assert_ok(rope_table_make(&spec, 1024, &table, &err), &err);
    return table;
}

static Session *session_with(const Model *model, const char *rope, int n_threads)
{
    Err err;
    SessionOptions options = {.n_threads = n_threads};
    Session *session = session_open(model, N_MAX, &options, &err);
    assert_ok(session, &err);
    RopeTable table = table_of(model, rope);
    assert_ok(session_set_rope(session, &table, &err), &err);
    return session;
}

static void random_tokens(uint32_t stream, int32_t *tokens, int n)
{
    Rng rng = rng_open(3, stream, 0, 0);
    for (int i = 0; i < n; i++)
        tokens[i] = (int32_t)rng_below(&rng, VOCAB_SIZE);
}

/* Scores every row (want NULL) or the wanted ones; rows that are not wanted are zero. */
static void score(Session *session, const int32_t *tokens, int n, const uint8_t *want,
                  TokenScore *out)
{
    uint8_t all[N_MAX];
    Err err;
    memset(all, 1, sizeof all);
    memset(out, 0, (size_t)n * sizeof *out);
    assert_ok(session_score(session, tokens, n, want ? want : all, out, &err), &err);
}

static void assert_same_scores(const TokenScore *a, const TokenScore *b, int n)
{
    for (int i = 0; i < n; i++) {
        assert_memory_equal(&a[i].nll, &b[i].nll, sizeof a[i].nll);
        assert_int_equal(a[i].rank, b[i].rank);
        assert_int_equal(a[i].argmax, b[i].argmax);
    }
}

static void check_against_twin(RopeLayout layout, int n_kv_heads, const char *rope, double factor,
                               double base)
{
    enum { N = 300 };
    Model *model = small_model(layout, n_kv_heads);
    Session *session = session_with(model, rope, 1);
    int32_t tokens[N];
    TokenScore got[N];
    double theta[6];
    for (int i = 0; i < 6; i++)
        theta[i] = pow(base, -2.0 * i / 12.0) / factor;
    random_tokens(1, tokens, N);
    score(session, tokens, N, NULL, got);
    TwinRope twin = {.theta = theta};
    double *want = llama_twin_logits(model, &twin, tokens, N);
    for (int i = 0; i < N - 1; i++) {
        const double *row = want + (size_t)i * VOCAB_SIZE;
        assert_close(got[i].nll, llama_twin_nll(row, VOCAB_SIZE, tokens[i + 1]), 0.0, most_off());
        if (is_bf16()) continue;
        int rank = 0;
        for (int v = 0; v < VOCAB_SIZE; v++)
            rank += row[v] > row[tokens[i + 1]];
        assert_int_equal(got[i].rank, rank);
    }
    free(want);
    session_close(session);
    model_free(model);
}

static void test_scores_equal_a_double_forward_pass(void **state)
{
    (void)state;
    check_against_twin(ROPE_HALVES, 4, "none", 1.0, 1e4);
    check_against_twin(ROPE_INTERLEAVED, 2, "none", 1.0, 1e4);
    check_against_twin(ROPE_HALVES, 1, "linear:factor=4", 4.0, 1e4);
    check_against_twin(ROPE_INTERLEAVED, 1, "pi:factor=4", 4.0, 1e4);
    check_against_twin(ROPE_HALVES, 2, "ntk:lambda=7", 1.0, 7e4);
}

enum { WINDOW = 40, GROUP = 8, CHUNK = 64, LOCAL = 16 };

static double rerope_relative(int p, int j)
{
    return p - j < WINDOW ? p - j : WINDOW;
}

static double leaky_relative(int p, int j)
{
    return p - j < WINDOW ? p - j : WINDOW + (p - j - WINDOW) / 4.0;
}

static double self_extend_relative(int p, int j)
{
    return p - j < WINDOW ? p - j : p / GROUP - j / GROUP + WINDOW - WINDOW / GROUP;
}

static double dual_chunk_relative(int p, int j)
{
    int span = CHUNK - LOCAL;
    int key = j % span;
    if (p / span == j / span) return p % span - key;
    if (p / span == j / span + 1) return (p % span + span < CHUNK ? p % span + span : CHUNK) - key;
    return CHUNK - key;
}

static double log_n_scale(int p)
{
    return fmax(1.0, log(p + 1.0) / log(256.0));
}

static void check_distance_method(const char *text, const TwinRope *rope)
{
    enum { N = 270 };
    Model *model = small_model(ROPE_HALVES, 2);
    Session *session = session_with(model, text, 1);
    int32_t tokens[N];
    TokenScore got[N];
    random_tokens(20, tokens, N);
    score(session, tokens, N, NULL, got);
    double *want = llama_twin_logits(model, rope, tokens, N);
    for (int i = 0; i < N - 1; i++)
        assert_close(got[i].nll,
                     llama_twin_nll(want + (size_t)i * VOCAB_SIZE, VOCAB_SIZE, tokens[i + 1]), 0.0,
                     most_off());
    free(want);
    session_close(session);
    model_free(model);
}

static void test_distance_methods_equal_their_definitions(void **state)
{
    (void)state;
    double theta[6];
    double ntk[6];
    for (int i = 0; i < 6; i++) {
        theta[i] = pow(1e4, -2.0 * i / 12.0);
        ntk[i] = pow(4e4, -2.0 * i / 12.0);
    }
    const struct {
        const char *text;
        TwinRope rope;
    } cases[] = {
        {"rerope:window=40",                   {.theta = theta, .relative = rerope_relative}     },
        {"rerope:window=40,log_n=1",
         {.theta = theta, .relative = rerope_relative, .query_scale = log_n_scale}               },
        {"leaky-rerope:window=40,factor=4",    {.theta = theta, .relative = leaky_relative}      },
        {"self-extend:window=40,group=8",      {.theta = theta, .relative = self_extend_relative}},
        {"dual-chunk:chunk=64,window=16",      {.theta = theta, .relative = dual_chunk_relative} },
        {"ntk:lambda=4,log_n=1",               {.theta = ntk, .query_scale = log_n_scale}        },
        {"yarn:factor=1,attention_factor=1.3", {.theta = theta, .amplitude = 1.3}                },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        check_distance_method(cases[i].text, &cases[i].rope);
}

/* Inside the near window nothing is changed. */
static void test_distance_methods_equal_none_within_their_window(void **state)
{
    (void)state;
    static const char *const methods[] = {"rerope:window=300", "leaky-rerope:window=300,factor=4",
                                          "self-extend:window=160,group=8",
                                          "dual-chunk:chunk=400,window=100"};
    Model *model = small_model(ROPE_HALVES, 2);
    Session *none = session_with(model, "none", 1);
    int32_t tokens[N_MAX];
    TokenScore want[N_MAX];
    TokenScore got[N_MAX];
    random_tokens(21, tokens, N_MAX);
    score(none, tokens, 160, NULL, want);
    for (size_t i = 0; i < COUNT_OF(methods); i++) {
        Session *session = session_with(model, methods[i], 1);
        score(session, tokens, 160, NULL, got);
        assert_same_scores(want, got, 159);
        session_close(session);
    }
    session_close(none);
    model_free(model);
}

static void test_distance_methods_do_not_depend_on_history(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    int32_t tokens[N_MAX];
    TokenScore whole[N_MAX];
    TokenScore rising[N_MAX];
    random_tokens(22, tokens, N_MAX);
    Session *at_once = session_with(model, "self-extend:window=40,group=8", 1);
    Session *used = session_with(model, "self-extend:window=40,group=8", 2);
    score(at_once, tokens, N_MAX, NULL, whole);
    for (int n = 100; n <= N_MAX; n += 150) {
        score(used, tokens, n, NULL, rising);
        assert_same_scores(whole, rising, n - 1);
    }
    session_close(at_once);
    session_close(used);
    model_free(model);
}

static void test_logits_of_the_last_token_equal_the_twins(void **state)
{
    (void)state;
    enum { N = 200 };
    Model *model = small_model(ROPE_HALVES, 2);
    Session *session = session_with(model, "none", 1);
    int32_t tokens[N];
    float got[VOCAB_SIZE];
    double theta[6];
    Err err;
    for (int i = 0; i < 6; i++)
        theta[i] = pow(1e4, -2.0 * i / 12.0);
    random_tokens(2, tokens, N);
    TwinRope twin = {.theta = theta};
    double *want = llama_twin_logits(model, &twin, tokens, N);
    assert_ok(session_logits(session, tokens, N, got, &err), &err);
    for (int v = 0; v < VOCAB_SIZE; v++)
        assert_close((double)got[v], want[(size_t)(N - 1) * VOCAB_SIZE + (size_t)v], 0.0,
                     most_off());
    free(want);
    session_close(session);
    model_free(model);
}

/* Rising lengths on one session against each length on a session of its own. */
static void test_rising_lengths_equal_each_alone_to_the_bit(void **state)
{
    (void)state;
    static const int lengths[] = {2, 100, 128, 129, 130, 256, 300, 511, 700};
    Model *model = small_model(ROPE_HALVES, 2);
    Session *shared = session_with(model, "ntk:lambda=3", 1);
    Session *at_once = session_with(model, "ntk:lambda=3", 1);
    int32_t tokens[N_MAX];
    TokenScore whole[N_MAX];
    random_tokens(3, tokens, N_MAX);
    score(at_once, tokens, N_MAX, NULL, whole);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        TokenScore together[N_MAX];
        TokenScore alone[N_MAX];
        Session *fresh = session_with(model, "ntk:lambda=3", 1);
        score(shared, tokens, lengths[i], NULL, together);
        score(fresh, tokens, lengths[i], NULL, alone);
        assert_same_scores(together, alone, lengths[i] - 1);
        assert_same_scores(whole, alone,
                           lengths[i] - 1); /* a prefix's scores are the scores' prefix */
        session_close(fresh);
    }
    /* rising lengths cost one pass: every token once, and the chunks whose last row had no target yet */
    assert_true(session_n_prefilled(shared) < 3 * N_MAX);
    session_close(shared);
    session_close(at_once);
    model_free(model);
}

/* Scores only row `row` of n tokens on `used` and on a fresh session. */
static void check_one_row(Session *used, const Model *model, const int32_t *tokens, int n, int row)
{
    uint8_t want[N_MAX] = {0};
    TokenScore with_history[N_MAX];
    TokenScore alone[N_MAX];
    Session *fresh = session_with(model, "none", 1);
    want[row] = 1;
    score(used, tokens, n, want, with_history);
    score(fresh, tokens, n, want, alone);
    assert_same_scores(&with_history[row], &alone[row], 1);
    session_close(fresh);
}

static void test_a_ragged_chunk_is_computed_again_when_it_grows(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    Session *used = session_with(model, "none", 1);
    int32_t tokens[N_MAX];
    random_tokens(14, tokens, N_MAX);
    check_one_row(used, model, tokens, 100, 98);
    check_one_row(used, model, tokens, 400, 398);
    check_one_row(used, model, tokens, 700, 698);
    session_close(used);
    model_free(model);
}

/* Row 127 predicts token 128: it stays in a kept chunk while its target changes. */
static void test_a_row_whose_target_changed_is_scored_again(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    Session *used = session_with(model, "none", 1);
    int32_t tokens[N_MAX];
    random_tokens(15, tokens, N_MAX);
    check_one_row(used, model, tokens, 300, 127);
    tokens[128] = (tokens[128] + 1) % VOCAB_SIZE;
    check_one_row(used, model, tokens, 300, 127);
    session_close(used);
    model_free(model);
}

static void test_any_history_gives_the_same_bits(void **state)
{
    (void)state;
    enum { N_PROMPTS = 24, N = 420 };
    Model *model = small_model(ROPE_INTERLEAVED, 1);
    Session *used = session_with(model, "none", 1);
    Rng rng = rng_open(11, 0, 0, 0);
    int32_t base[N_MAX];
    random_tokens(4, base, N_MAX);
    for (int p = 0; p < N_PROMPTS; p++) {
        int n = 2 + (int)rng_below(&rng, N);
        int32_t tokens[N_MAX];
        uint8_t want[N_MAX];
        memcpy(tokens, base, sizeof tokens);
        random_tokens(100 + (uint32_t)p, tokens + rng_below(&rng, (uint32_t)n),
                      5); /* another needle */
        for (int i = 0; i < n; i++)
            want[i] = rng_below(&rng, 8) == 0;
        if (p % 5 == 4) { /* a continuation in between must leave no trace */
            TokenList out = {0};
            Err err;
            assert_ok(session_generate(used, tokens, n, 20, &out, &err), &err);
            token_list_free(&out);
        }
        TokenScore with_history[N_MAX];
        TokenScore alone[N_MAX];
        Session *fresh = session_with(model, "none", 1);
        score(used, tokens, n, want, with_history);
        score(fresh, tokens, n, want, alone);
        assert_same_scores(with_history, alone, n - 1);
        session_close(fresh);
    }
    session_close(used);
    model_free(model);
}

static void test_two_threads_give_the_bits_of_one(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 4);
    Session *one = session_with(model, "none", 1);
    Session *two = session_with(model, "none", 2);
    int32_t tokens[N_MAX];
    TokenScore a[N_MAX];
    TokenScore b[N_MAX];
    random_tokens(5, tokens, N_MAX);
    score(one, tokens, N_MAX, NULL, a);
    score(two, tokens, N_MAX, NULL, b);
    assert_same_scores(a, b, N_MAX - 1);
    session_close(one);
    session_close(two);
    model_free(model);
}

/* Long, then short under another table, then long again: no table leaves a trace. */
static void test_a_change_of_rope_leaves_no_trace(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    Session *session = session_with(model, "none", 1);
    RopeTable none = table_of(model, "none");
    RopeTable ntk = table_of(model, "ntk:lambda=50");
    int32_t tokens[N_MAX];
    TokenScore before[N_MAX];
    TokenScore between[N_MAX];
    TokenScore after[N_MAX];
    random_tokens(6, tokens, N_MAX);
    score(session, tokens, 100, NULL, before);
    Err err;
    assert_ok(session_set_rope(session, &ntk, &err), &err);
    score(session, tokens, 600, NULL, between);
    assert_true(between[90].nll != before[90].nll);
    assert_ok(session_set_rope(session, &none, &err), &err);
    score(session, tokens, 100, NULL, after);
    assert_same_scores(before, after, 99);
    session_close(session);
    model_free(model);
}

static void test_identity_settings_give_the_bits_of_none(void **state)
{
    (void)state;
    static const char *const identities[] = {"linear:factor=1", "pi:factor=1", "ntk:lambda=1",
                                             "ntk:alpha=1"};
    Model *model = small_model(ROPE_HALVES, 2);
    Session *none = session_with(model, "none", 1);
    int32_t tokens[N_MAX];
    TokenScore want[N_MAX];
    TokenScore got[N_MAX];
    random_tokens(7, tokens, N_MAX);
    score(none, tokens, 300, NULL, want);
    for (size_t i = 0; i < COUNT_OF(identities); i++) {
        Session *session = session_with(model, identities[i], 1);
        score(session, tokens, 300, NULL, got);
        assert_same_scores(want, got, 299);
        session_close(session);
    }
    session_close(none);
    model_free(model);
}

static void test_position_and_angle_forms_agree_at_the_logits(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    Session *a = session_with(model, "pi:factor=3.3", 1);
    Session *b = session_with(model, "linear:factor=3.3", 1);
    int32_t tokens[N_MAX];
    TokenScore of_a[N_MAX];
    TokenScore of_b[N_MAX];
    random_tokens(8, tokens, N_MAX);
    score(a, tokens, N_MAX, NULL, of_a);
    score(b, tokens, N_MAX, NULL, of_b);
    for (int i = 0; i < N_MAX - 1; i++)
        assert_close(of_a[i].nll, of_b[i].nll, 0.0, 1e-5);
    session_close(a);
    session_close(b);
    model_free(model);
}

/* Interleaved pairs are half-split pairs with the rows of Wq and Wk in another order. */
static void test_layouts_agree_once_rows_are_permuted(void **state)
{
    (void)state;
    if (path->pack) return; /* rows of a packed matrix cannot be pointed at */
    Model *halves = small_model(ROPE_HALVES, 2);
    Model *interleaved = small_model(ROPE_INTERLEAVED, 2);
    const ModelConfig *c = &halves->config;
    float *permuted[2][2];
    for (int layer = 0; layer < 2; layer++) {
        for (int which = 0; which < 2; which++) {
            int n_heads = which ? c->n_kv_heads : c->n_heads;
            const float *from = halves->layers[layer].slot[which ? SLOT_WK : SLOT_WQ];
            float *to =
                mem_alloc((size_t)n_heads * (size_t)c->head_dim * (size_t)c->d_model, sizeof *to);
            for (int head = 0; head < n_heads; head++)
                for (int i = 0; i < c->head_dim; i++) {
                    int row = head * c->head_dim + (i % 2 ? c->head_dim / 2 : 0) + i / 2;
                    memcpy(to + (ptrdiff_t)(head * c->head_dim + i) * c->d_model,
                           from + (ptrdiff_t)row * c->d_model, (size_t)c->d_model * sizeof *to);
                }
            permuted[layer][which] = to;
            interleaved->layers[layer].slot[which ? SLOT_WK : SLOT_WQ] = to;
        }
    }
    Session *a = session_with(halves, "none", 1);
    Session *b = session_with(interleaved, "none", 1);
    int32_t tokens[N_MAX];
    TokenScore of_a[N_MAX];
    TokenScore of_b[N_MAX];
    random_tokens(9, tokens, N_MAX);
    score(a, tokens, 400, NULL, of_a);
    score(b, tokens, 400, NULL, of_b);
    for (int i = 0; i < 399; i++)
        assert_close(of_a[i].nll, of_b[i].nll, 0.0, 1e-5);
    session_close(a);
    session_close(b);
    for (int layer = 0; layer < 2; layer++)
        for (int which = 0; which < 2; which++)
            free(permuted[layer][which]);
    model_free(halves);
    model_free(interleaved);
}

/* Plain C without contraction: any machine gives these bits. When they change, raise SESSION_NUMERIC_VERSION. */
static void test_the_generic_path_gives_pinned_bits(void **state)
{
    (void)state;
    if (strcmp(path->name, "generic") != 0) return;
    Model *model = small_model(ROPE_HALVES, 2);
    Session *session = session_with(model, "yarn:factor=2", 1);
    int32_t tokens[N_MAX];
    TokenScore got[N_MAX];
    random_tokens(17, tokens, N_MAX);
    score(session, tokens, 600, NULL, got);
    const double pinned[2] = {0x1.2751aece5e84cp+2, 0x1.83e6d6be16c4ap+1};
    const double found[2] = {got[5].nll, got[598].nll};
    if (found[0] != pinned[0] || found[1] != pinned[1])
        fail_msg("nll is %a and %a, pinned are %a and %a", found[0], found[1], pinned[0],
                 pinned[1]);
    session_close(session);
    model_free(model);
}

static void test_generate_follows_the_argmax_of_scores(void **state)
{
    (void)state;
    enum { N = 150, N_NEW = 30 };
    Model *model = small_model(ROPE_HALVES, 2);
    Session *session = session_with(model, "none", 1);
    int32_t tokens[N + N_NEW];
    TokenList new = {0};
    Err err;
    random_tokens(10, tokens, N);
    assert_ok(session_generate(session, tokens, N, N_NEW, &new, &err), &err);
    assert_int_equal(new.n, N_NEW);
    memcpy(tokens + N, new.ids, N_NEW * sizeof *tokens);
    TokenScore scores[N + N_NEW];
    score(session, tokens, N + N_NEW, NULL, scores);
    for (int i = N - 1; i < N + N_NEW - 1; i++)
        assert_int_equal(scores[i].argmax, tokens[i + 1]);
    int32_t stop = tokens[N + 3];
    int first = N;
    while (tokens[first] != stop)
        first++;
    model->config.eos_id = stop;
    new.n = 0;
    assert_ok(session_generate(session, tokens, N, N_NEW, &new, &err), &err);
    assert_int_equal(new.n, first - N + 1);
    token_list_free(&new);
    session_close(session);
    model_free(model);
}

/* A weight that makes token 7 overflow: what stands before it is untouched, what follows is marked. */
static void test_overflow_is_reported_where_it_starts(void **state)
{
    (void)state;
    enum { N = 300, BAD = 200 };
    Model *model = small_model(ROPE_HALVES, 2);
    Session *clean = session_with(model, "none", 1);
    int32_t tokens[N];
    TokenScore want[N];
    TokenScore got[N];
    random_tokens(12, tokens, N);
    for (int i = 0; i < N; i++)
        if (tokens[i] == 7) tokens[i] = 8;
    tokens[BAD] = 7;
    score(clean, tokens, N, NULL, want);
    size_t floats = (size_t)VOCAB_SIZE * (size_t)model->config.d_model;
    float *embedding = mem_dup(model->embedding, floats * sizeof(float));
    embedding[7 * model->config.d_model] = INFINITY;
    const float *original = model->embedding;
    model->embedding = embedding;
    Session *session = session_with(model, "none", 1);
    uint8_t all[N];
    Err err;
    memset(all, 1, sizeof all);
    assert_ok(session_score(session, tokens, N, all, got, &err), &err);
    assert_int_equal(token_scores_nonfinite(got, all, N - 1), BAD);
    assert_same_scores(got, want, BAD);
    for (int i = BAD; i < N - 1; i++)
        assert_true(isnan(got[i].nll));
    TokenList out = {0};
    assert_err(session_generate(session, tokens, N, 4, &out, &err), &err, ERR_NONFINITE,
               "position 200");
    tokens[BAD] = 9; /* without the bad token nothing is left of it */
    score(session, tokens, N, NULL, got);
    for (int i = 0; i < N - 1; i++)
        assert_true(isfinite(got[i].nll));
    model->embedding = original;
    free(embedding);
    session_close(clean);
    session_close(session);
    model_free(model);
}

static bool stop_when_used_up(void *context)
{
    int *left = context;
    return --*left >= 0;
}

static void test_a_stop_is_honoured_and_leaves_a_usable_session(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    int left = 1;
    SessionOptions options = {.n_threads = 1, .keep_going = stop_when_used_up, .context = &left};
    Err err;
    Session *session = session_open(model, N_MAX, &options, &err);
    assert_ok(session, &err);
    RopeTable table = table_of(model, "none");
    assert_ok(session_set_rope(session, &table, &err), &err);
    int32_t tokens[N_MAX];
    uint8_t want[N_MAX];
    TokenScore out[N_MAX];
    TokenScore alone[N_MAX];
    random_tokens(13, tokens, N_MAX);
    memset(want, 1, sizeof want);
    assert_err(session_score(session, tokens, N_MAX, want, out, &err), &err, ERR_CANCELLED,
               "stopped");
    left = 1000;
    score(session, tokens, N_MAX, NULL, out);
    Session *fresh = session_with(model, "none", 1);
    score(fresh, tokens, N_MAX, NULL, alone);
    assert_same_scores(out, alone, N_MAX - 1);
    session_close(session);
    session_close(fresh);
    model_free(model);
}

static void test_bad_tokens_are_refused(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    Session *session = session_with(model, "none", 1);
    int32_t tokens[N_MAX + 1] = {1, 2, VOCAB_SIZE};
    uint8_t want[N_MAX + 1] = {0};
    TokenScore out[N_MAX + 1];
    Err err;
    assert_err(session_score(session, tokens, 3, want, out, &err), &err, ERR_INPUT,
               "token id 83 at position 2");
    tokens[2] = -1;
    assert_err(session_score(session, tokens, 3, want, out, &err), &err, ERR_INPUT, "token id -1");
    assert_err(session_score(session, tokens, 0, want, out, &err), &err, ERR_INPUT,
               "nothing to score");
    assert_err(session_score(session, tokens, N_MAX + 1, want, out, &err), &err, ERR_INPUT,
               "do not fit");
    session_close(session);
    model_free(model);
}

static void test_memory_grows_with_n_and_not_with_its_square(void **state)
{
    (void)state;
    Model *model = small_model(ROPE_HALVES, 2);
    RopeTable table = table_of(model, "rerope");
    size_t one = session_bytes(&model->config, 1 << 14, &table);
    size_t two = session_bytes(&model->config, 1 << 15, &table);
    size_t four = session_bytes(&model->config, 1 << 16, &table);
    model_free(model);
    assert_true(four - two <= 2 * (two - one) + 65536);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scores_equal_a_double_forward_pass),
        cmocka_unit_test(test_distance_methods_equal_their_definitions),
        cmocka_unit_test(test_distance_methods_equal_none_within_their_window),
        cmocka_unit_test(test_distance_methods_do_not_depend_on_history),
        cmocka_unit_test(test_logits_of_the_last_token_equal_the_twins),
        cmocka_unit_test(test_rising_lengths_equal_each_alone_to_the_bit),
        cmocka_unit_test(test_a_ragged_chunk_is_computed_again_when_it_grows),
        cmocka_unit_test(test_a_row_whose_target_changed_is_scored_again),
        cmocka_unit_test(test_any_history_gives_the_same_bits),
        cmocka_unit_test(test_two_threads_give_the_bits_of_one),
        cmocka_unit_test(test_a_change_of_rope_leaves_no_trace),
        cmocka_unit_test(test_identity_settings_give_the_bits_of_none),
        cmocka_unit_test(test_position_and_angle_forms_agree_at_the_logits),
        cmocka_unit_test(test_layouts_agree_once_rows_are_permuted),
        cmocka_unit_test(test_the_generic_path_gives_pinned_bits),
        cmocka_unit_test(test_generate_follows_the_argmax_of_scores),
        cmocka_unit_test(test_overflow_is_reported_where_it_starts),
        cmocka_unit_test(test_a_stop_is_honoured_and_leaves_a_usable_session),
        cmocka_unit_test(test_bad_tokens_are_refused),
        cmocka_unit_test(test_memory_grows_with_n_and_not_with_its_square),
    };
    int n_failed = 0;
    for (int i = 0; kernel_paths[i]; i++) {
        path = kernel_paths[i];
        if (path->is_supported())
            n_failed += cmocka_run_group_tests_name(path->name, tests, engine_setup, NULL);
    }
    return n_failed;
}
