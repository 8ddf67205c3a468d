/* Models that their own config.json scales, from the text of the config to logits. Each test is a fault that another program was
 * reported to have; the report is named above it. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/json.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"
#include "models/session.h"
#include "tests/engine_setup.h"
#include "tests/llama_twin.h"

enum { VOCAB_SIZE = 83, N_MAX = 400 };

#define WIDTHS                                                                                   \
 "\"model_type\":\"llama\",\"hidden_size\":40,\"intermediate_size\":56,\"num_hidden_layers\":2," \
 "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":83,\"rms_norm_eps\":1e-5,"  \
 "\"head_dim\":12,\"max_position_embeddings\":128"

static bool read_config(const char *keys, ModelConfig *config, Err *err)
{
    JsonLimits limits = {
        .origin = "config.json", .max_bytes = CONFIG_MAX_BYTES, .ints_as_reals = true};
    Buf notes = {0};
    char *text = str_format("{%s}", keys);
    json_t *root = json_parse(text, strlen(text), &limits, err);
    bool ok = root && config_from_json(root, "config.json", config, &notes, err);
    json_decref(root);
    buf_free(&notes);
    free(text);
    return ok;
}

/* A model of a config with random weights, the same for equal widths. */
static Model *model_of(const char *keys)
{
    ModelConfig config;
    Err err;
    assert_ok(read_config(keys, &config, &err), &err);
    Model *model = model_random(&config, 5, &err);
    assert_ok(model, &err);
    return model;
}

/* The model's own rotation at one length. */
static RopeTable own_table(const Model *model, int64_t n_ctx)
{
    RopeSpec spec = model->config.rope;
    RopeTable table;
    Err err;
    assert_ok(rope_spec_resolve(&spec, n_ctx, &err), &err);
    assert_ok(rope_table_make(&spec, n_ctx, &table, &err), &err);
    return table;
}

static RopeTable table_of(const char *keys, int64_t n_ctx)
{
    Model *model = model_of(keys);
    RopeTable table = own_table(model, n_ctx);
    model_free(model);
    return table;
}

static Session *open_session(const Model *model)
{
    SessionOptions options = {.n_threads = 1};
    Err err;
    Session *session = session_open(model, N_MAX, &options, &err);
    assert_ok(session, &err);
    return session;
}

/* Scores n tokens under the table of n_ctx. */
static void score(Session *session, const Model *model, const int32_t *tokens, int n, int64_t n_ctx,
                  TokenScore *out)
{
    uint8_t want[N_MAX];
    Err err;
    RopeTable table = own_table(model, n_ctx);
    memset(want, 1, sizeof want);
    assert_ok(session_set_rope(session, &table, &err), &err);
    assert_ok(session_score(session, tokens, n, want, out, &err), &err);
}

static void random_tokens(int32_t *tokens, int n)
{
    Rng rng = rng_open(3, 1, 0, 0);
    for (int i = 0; i < n; i++)
        tokens[i] = (int32_t)rng_below(&rng, VOCAB_SIZE);
}

static void assert_same_scores(const TokenScore *a, const TokenScore *b, int n)
{
    for (int i = 0; i < n; i++)
        if (a[i].nll != b[i].nll) fail_msg("row %d: %.17g and %.17g", i, a[i].nll, b[i].nll);
}

/* meta-llama/llama3#299: a reader wanted {type, factor} and refused the dictionary of Llama 3.1. */
static void test_llama3_needs_no_type_beside_its_rope_type(void **state)
{
    (void)state;
    const double pi = acos(-1.0);
    RopeTable table = table_of(
        "\"model_type\":\"llama\",\"hidden_size\":128,\"intermediate_size\":8,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":2,\"vocab_size\":8,\"max_position_embeddings\":131072,\"rope_theta\":500000.0,"
        "\"rope_scaling\":{\"factor\":32.0,\"high_freq_factor\":4.0,\"low_freq_factor\":1.0,"
        "\"original_max_position_embeddings\":8192,\"rope_type\":\"llama3\"}",
        131072);
    assert_int_equal(table.n_pairs, 32);
    for (int i = 0; i < 32; i++) {
        double theta = pow(5e5, -2.0 * i / 64.0);
        double wavelength = 2.0 * pi / theta;
        double t = (8192.0 / wavelength - 1.0) / 3.0;
        double want = i <= 14   ? theta
                      : i >= 18 ? theta / 32.0
                                : (1.0 - t) * theta / 32.0 + t * theta;
        assert_true(i <= 14   ? wavelength < 2048.0
                    : i >= 18 ? wavelength > 8192.0
                              : wavelength >= 2048.0 && wavelength <= 8192.0);
        assert_close(rope_scaled_angle(&table, i), want, 1e-12, 0.0);
    }
}

/* deepspeedai/DeepSpeed#8345: the base had moved into rope_parameters, and 10000 was taken without a word. */
static void test_a_base_in_rope_parameters_gives_the_logits_of_one_at_the_top(void **state)
{
    (void)state;
    static const char *const configs[] = {
        WIDTHS ",\"rope_theta\":500000",
        WIDTHS ",\"rope_parameters\":{\"rope_theta\":500000,\"rope_type\":\"default\"}",
        WIDTHS ",\"rope_theta\":10000",
    };
    float logits[COUNT_OF(configs)][VOCAB_SIZE];
    int32_t tokens[60];
    random_tokens(tokens, 60);
    for (size_t i = 0; i < COUNT_OF(configs); i++) {
        Model *model = model_of(configs[i]);
        Session *session = open_session(model);
        RopeTable table = own_table(model, 60);
        Err err;
        assert_ok(session_set_rope(session, &table, &err), &err);
        assert_ok(session_logits(session, tokens, 60, logits[i], &err), &err);
        session_close(session);
        model_free(model);
    }
    assert_memory_equal(logits[0], logits[1], sizeof logits[0]);
    assert_memory_not_equal(logits[0], logits[2], sizeof logits[0]);
    ModelConfig config;
    Err err;
    assert_err(read_config(WIDTHS
                           ",\"rope_theta\":10000,\"rope_parameters\":{\"rope_theta\":500000}",
                           &config, &err),
               &err, ERR_INPUT, "rope_theta is 10000 but rope_parameters.rope_theta is 500000");
}

static const char dynamic[] =
    WIDTHS ",\"rope_theta\":10000,\"rope_scaling\":{\"type\":\"dynamic\",\"factor\":4.0}";

/* huggingface/transformers#25306: after a long prompt, dynamic NTK changed the answers to short ones. */
static void test_a_long_text_leaves_dynamic_ntk_as_it_was_for_short_ones(void **state)
{
    (void)state;
    Model *model = model_of(dynamic);
    Session *used = open_session(model);
    Session *fresh = open_session(model);
    int32_t tokens[N_MAX];
    TokenScore first[N_MAX];
    TokenScore between[N_MAX];
    TokenScore third[N_MAX];
    TokenScore alone[N_MAX];
    random_tokens(tokens, N_MAX);
    score(used, model, tokens, 100, 100, first);
    score(used, model, tokens, N_MAX, N_MAX, between);
    score(used, model, tokens, 100, 100, third);
    score(fresh, model, tokens, N_MAX, N_MAX, alone);
    assert_same_scores(first, third, 99);
    assert_same_scores(between, alone, N_MAX - 1);
    assert_true(between[90].nll != first[90].nll);
    session_close(used);
    session_close(fresh);
    model_free(model);
}

/* vllm-project/vllm#5093: "dynamic" changed the base below the trained length too. */
static void test_dynamic_ntk_of_a_file_is_plain_up_to_the_trained_length(void **state)
{
    (void)state;
    static const int64_t lengths[] = {1, 64, 127, 128};
    RopeTable beyond = table_of(dynamic, 129);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        RopeTable plain = table_of(WIDTHS ",\"rope_theta\":10000", lengths[i]);
        RopeTable own = table_of(dynamic, lengths[i]);
        assert_true(rope_table_equal(&plain, &own));
        assert_false(rope_table_equal(&plain, &beyond));
    }
}

/* vllm-project/vllm#48623: mscale and mscale_all_dim were not read, and 1.2773 stood where 1 was meant. */
static void test_mscale_keys_of_yarn_are_a_ratio(void **state)
{
    (void)state;
    static const struct {
        const char *keys;
        double want;
    } rows[] = {
        {"",                                                            1.2772588722239782                },
        {",\"mscale\":1,\"mscale_all_dim\":1",                          1.0                               },
        {",\"mscale\":0.707,\"mscale_all_dim\":0.707",                  1.0                               },
        {",\"mscale\":1,\"mscale_all_dim\":0.5",                        1.2772588722239782 / 1.13862943611},
        {",\"mscale\":0.5",                                             1.2772588722239782                },
        {",\"attention_factor\":1.5,\"mscale\":1,\"mscale_all_dim\":1", 1.5                               },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char *keys = str_format(
            WIDTHS ",\"rope_theta\":10000,\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":16,"
                   "\"original_max_position_embeddings\":8%s}",
            rows[i].keys);
        RopeTable table = table_of(keys, 128);
        assert_close(table.amplitude, rows[i].want, 1e-10, 0.0);
        free(keys);
    }
}

static const char longrope[] = WIDTHS
    ",\"rope_theta\":10000,\"original_max_position_embeddings\":64,\"rope_scaling\":"
    "{\"type\":\"longrope\",\"short_factor\":[1,1.1,1.2,1.3,1.4,1.5],\"long_factor\":[1,2,4,8,16,32]}";

/* unslothai/unsloth#10681: the long list was used at exactly the trained length. huggingface/transformers#25104: a text that grew
 * across it mixed two lists. */
static void test_longrope_of_a_file_takes_one_list_for_all_of_a_text(void **state)
{
    (void)state;
    static const double brief[] = {1, 1.1, 1.2, 1.3, 1.4, 1.5};
    static const double far[] = {1, 2, 4, 8, 16, 32};
    Model *model = model_of(longrope);
    Session *session = open_session(model);
    int32_t tokens[65];
    random_tokens(tokens, 65);
    for (int n = 64; n <= 65; n++) {
        double theta[6];
        TokenScore scores[65];
        for (int i = 0; i < 6; i++)
            theta[i] = pow(1e4, -2.0 * i / 12.0) / (n == 64 ? brief : far)[i];
        TwinRope twin = {.theta = theta, .amplitude = sqrt(1.0 + log(2.0) / log(64.0))};
        double *logits = llama_twin_logits(model, &twin, tokens, n);
        score(session, model, tokens, n, n, scores);
        for (int i = 0; i + 1 < n; i++)
            assert_close(scores[i].nll,
                         llama_twin_nll(logits + (size_t)i * VOCAB_SIZE, VOCAB_SIZE, tokens[i + 1]),
                         0.0, 1e-5);
        free(logits);
    }
    session_close(session);
    model_free(model);
}

/* The same across generation: prompt and answer are one text, whose length was known before it began. */
static void test_an_answer_across_the_trained_length_stays_under_one_table(void **state)
{
    (void)state;
    static const char *const configs[] = {longrope, dynamic};
    enum { N_NEW = 10 };
    for (size_t c = 0; c < COUNT_OF(configs); c++) {
        Model *model = model_of(configs[c]);
        Session *session = open_session(model);
        int n = (int)model->config.rope.n_ctx_orig - 4;
        RopeTable table = own_table(model, n + N_NEW);
        int32_t tokens[N_MAX];
        TokenScore scores[N_MAX];
        TokenList answer = {0};
        Err err;
        random_tokens(tokens, n);
        assert_ok(session_set_rope(session, &table, &err), &err);
        assert_ok(session_generate(session, tokens, n, N_NEW, &answer, &err), &err);
        assert_int_equal(answer.n, N_NEW);
        memcpy(tokens + n, answer.ids, N_NEW * sizeof tokens[0]);
        Session *whole = open_session(model);
        score(whole, model, tokens, n + N_NEW, n + N_NEW, scores);
        for (int i = n - 1; i + 1 < n + N_NEW; i++)
            assert_int_equal(scores[i].argmax, tokens[i + 1]);
        token_list_free(&answer);
        session_close(session);
        session_close(whole);
        model_free(model);
    }
}

/* huggingface/candle#2358: angles were made for hidden_size / heads where head_dim said otherwise. */
static void test_an_explicit_head_width_is_the_one_that_turns(void **state)
{
    (void)state;
    static const char *const configs[] = {
        "\"model_type\":\"llama\",\"hidden_size\":80,\"intermediate_size\":56,\"num_hidden_layers\":2,"
        "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":83,\"rms_norm_eps\":1e-5,"
        "\"head_dim\":32,\"max_position_embeddings\":128,\"rope_theta\":10000",
        "\"model_type\":\"llama\",\"hidden_size\":70,\"intermediate_size\":56,\"num_hidden_layers\":1,"
        "\"num_attention_heads\":4,\"num_key_value_heads\":2,\"vocab_size\":83,\"rms_norm_eps\":1e-5,"
        "\"head_dim\":32,\"max_position_embeddings\":128,\"rope_theta\":10000",
    };
    int32_t tokens[40];
    TokenScore scores[40];
    double theta[16];
    random_tokens(tokens, 40);
    for (int i = 0; i < 16; i++)
        theta[i] = pow(1e4, -2.0 * i / 32.0);
    for (size_t c = 0; c < COUNT_OF(configs); c++) {
        Model *model = model_of(configs[c]);
        Session *session = open_session(model);
        TwinRope twin = {.theta = theta};
        double *logits = llama_twin_logits(model, &twin, tokens, 40);
        score(session, model, tokens, 40, 40, scores);
        for (int i = 0; i < 39; i++)
            assert_close(scores[i].nll,
                         llama_twin_nll(logits + (size_t)i * VOCAB_SIZE, VOCAB_SIZE, tokens[i + 1]),
                         0.0, 1e-5);
        free(logits);
        session_close(session);
        model_free(model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_llama3_needs_no_type_beside_its_rope_type),
        cmocka_unit_test(test_a_base_in_rope_parameters_gives_the_logits_of_one_at_the_top),
        cmocka_unit_test(test_a_long_text_leaves_dynamic_ntk_as_it_was_for_short_ones),
        cmocka_unit_test(test_dynamic_ntk_of_a_file_is_plain_up_to_the_trained_length),
        cmocka_unit_test(test_mscale_keys_of_yarn_are_a_ratio),
        cmocka_unit_test(test_longrope_of_a_file_takes_one_list_for_all_of_a_text),
        cmocka_unit_test(test_an_answer_across_the_trained_length_stays_under_one_table),
        cmocka_unit_test(test_an_explicit_head_width_is_the_one_that_turns),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
