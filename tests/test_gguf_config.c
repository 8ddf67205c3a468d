#include "tests/test_util.h"

#include <string.h>

#include "models/weights.h"
#include "tests/gguf_builder.h"

/* The keys of a small llama, each with the writer of its value; a test leaves one out or adds some. */
typedef struct {
    const char *key;
    uint32_t type;
    double value;
} Key;

static const Key good_keys[] = {
    {"llama.block_count",                      GGUF_U32, 2    },
    {"llama.context_length",                   GGUF_U32, 256  },
    {"llama.embedding_length",                 GGUF_U32, 64   },
    {"llama.feed_forward_length",              GGUF_U32, 96   },
    {"llama.attention.head_count",             GGUF_U32, 4    },
    {"llama.attention.head_count_kv",          GGUF_U32, 2    },
    {"llama.attention.layer_norm_rms_epsilon", GGUF_F32, 0.125},
    {"llama.rope.freq_base",                   GGUF_F32, 50000},
    {"llama.rope.dimension_count",             GGUF_U32, 16   },
    {"llama.vocab_size",                       GGUF_U32, 11   },
};

static void put_number(Buf *b, const Key *key)
{
    if (key->type == GGUF_F32)
        put_f32_value(b, key->key, (float)key->value);
    else
        put_u32_value(b, key->key, (uint32_t)key->value);
}

/* Opens a file of the architecture's name and the good keys without `left_out`, and `more`. */
static WeightFile *open_keys(const char *left_out, const Key *more)
{
    Buf b = {0};
    Err err = {0};
    uint64_t n = COUNT_OF(good_keys) + 1 + (more != NULL);
    for (size_t i = 0; left_out && i < COUNT_OF(good_keys); i++)
        n -= strcmp(good_keys[i].key, left_out) == 0;
    if (left_out && strcmp(left_out, "general.architecture") == 0) n--;
    put_header(&b, 3, 0, n);
    if (!left_out || strcmp(left_out, "general.architecture") != 0)
        put_text_value(&b, "general.architecture", "llama");
    for (size_t i = 0; i < COUNT_OF(good_keys); i++)
        if (!left_out || strcmp(good_keys[i].key, left_out) != 0) put_number(&b, &good_keys[i]);
    if (more) put_number(&b, more);
    WeightFile *file = weights_open(test_file("keys.gguf", b.data, b.len), &err);
    buf_free(&b);
    assert_ok(file, &err);
    return file;
}

static ModelConfig read_good(const char *left_out, const Key *more, const char *note)
{
    WeightFile *file = open_keys(left_out, more);
    ModelConfig config;
    Err err = {0};
    assert_ok(weights_read_config(file, &config, &err), &err);
    if (*note ? !strstr(weights_notes(file), note) : weights_notes(file)[0] != '\0')
        fail_msg("notes are \"%s\", wanted is \"%s\"", weights_notes(file), note);
    weights_close(file);
    return config;
}

static void assert_refused(const char *left_out, const Key *more, ErrCode code, const char *part)
{
    WeightFile *file = open_keys(left_out, more);
    ModelConfig config;
    Err err = {0};
    assert_err(weights_read_config(file, &config, &err), &err, code, part);
    weights_close(file);
}

static void test_keys_become_a_config(void **state)
{
    (void)state;
    ModelConfig c = read_good(NULL, NULL, "");
    assert_int_equal(c.n_layers, 2);
    assert_int_equal(c.n_ctx_train, 256);
    assert_int_equal(c.d_model, 64);
    assert_int_equal(c.d_ff, 96);
    assert_int_equal(c.n_heads, 4);
    assert_int_equal(c.n_kv_heads, 2);
    assert_int_equal(c.head_dim, 16);
    assert_int_equal(c.n_rot, 16);
    assert_int_equal(c.vocab_size, 11);
    assert_close(c.rms_eps, 0.125, 0, 0);
    assert_close(c.rope.theta, 50000, 0, 0);
    assert_int_equal(c.rope.n_ctx_orig, 256);
    assert_int_equal(c.rope_layout, ROPE_INTERLEAVED);
}

static void test_missing_keys_have_noted_defaults(void **state)
{
    (void)state;
    ModelConfig c =
        read_good("llama.context_length", NULL, "llama.context_length is missing: taken as 2048");
    assert_int_equal(c.n_ctx_train, 2048);
    c = read_good("llama.attention.head_count_kv", NULL, "taken as head_count, 4");
    assert_int_equal(c.n_kv_heads, 4);
    c = read_good("llama.rope.freq_base", NULL, "freq_base is missing: taken as 10000");
    assert_close(c.rope.theta, 10000, 0, 0);
    c = read_good("llama.attention.layer_norm_rms_epsilon", NULL, "taken as 1e-05");
    assert_close(c.rms_eps, 1e-5, 0, 0);
    c = read_good("llama.rope.dimension_count", NULL, "");
    assert_int_equal(c.n_rot, 16);
}

static void test_keys_without_a_default_are_named_when_missing(void **state)
{
    (void)state;
    static const char *const keys[] = {"llama.block_count", "llama.embedding_length",
                                       "llama.feed_forward_length", "llama.attention.head_count"};
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        assert_refused(keys[i], NULL, ERR_INPUT, keys[i]);
    assert_refused("llama.vocab_size", NULL, ERR_INPUT, "the vocabulary is 0");
    assert_refused("general.architecture", NULL, ERR_UNSUPPORTED,
                   "general.architecture = absent (supported: llama, qwen2, qwen3, phi3, gptneox)");
}

static void test_keys_that_would_change_the_numbers_are_refused(void **state)
{
    (void)state;
    static const Key rows[] = {
        {"llama.rope.scaling.alpha",       GGUF_F32, 0.5},
        {"llama.attention.sliding_window", GGUF_U32, 64 },
        {"llama.expert_count",             GGUF_U32, 8  },
        {"llama.attention.clamp_kqv",      GGUF_F32, 8  },
        {"llama.logit_scale",              GGUF_F32, 8  },
        {"llama.rope.freq_base_swa",       GGUF_F32, 8  },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_refused(NULL, &rows[i], ERR_UNSUPPORTED, rows[i].key);
    const Key harmless = {"llama.some_new_key", GGUF_U32, 1};
    read_good(NULL, &harmless, "key llama.some_new_key is not read");
    const Key foreign = {"phi3.expert_count", GGUF_U32, 8};
    read_good(NULL, &foreign, "");
}

static void test_heads_that_differ_from_the_model_are_checked(void **state)
{
    (void)state;
    const Key wide = {"llama.attention.key_length", GGUF_U32, 32};
    const Key value = {"llama.attention.value_length", GGUF_U32, 32};
    ModelConfig c = read_good("llama.rope.dimension_count", &wide, "");
    assert_int_equal(c.head_dim, 32);
    assert_int_equal(c.n_rot, 32);
    assert_refused(NULL, &wide, ERR_UNSUPPORTED, "rope.dimension_count is 16");
    assert_refused(NULL, &value, ERR_UNSUPPORTED, "value_length is 32");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys_become_a_config),
        cmocka_unit_test(test_missing_keys_have_noted_defaults),
        cmocka_unit_test(test_keys_without_a_default_are_named_when_missing),
        cmocka_unit_test(test_keys_that_would_change_the_numbers_are_refused),
        cmocka_unit_test(test_heads_that_differ_from_the_model_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
