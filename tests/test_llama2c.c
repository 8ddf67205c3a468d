#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "models/weights.h"

/* dim, hidden_dim, n_layers, n_heads, n_kv_heads, vocab_size, seq_len */
typedef struct {
    int32_t n[7];
} Header;

static const Header small = {
    {8, 12, 2, 2, 1, 11, 16}
};

/* Floats of a file by the formula of the format's exporter, written out on its own. */
static size_t n_floats(const Header *h)
{
    size_t dim = (size_t)h->n[0];
    size_t hidden = (size_t)h->n[1];
    size_t layers = (size_t)h->n[2];
    size_t d_head = dim / (size_t)h->n[3];
    size_t d_kv = d_head * (size_t)h->n[4];
    size_t vocab = (size_t)(h->n[5] < 0 ? -h->n[5] : h->n[5]);
    size_t layer = dim + dim * dim + 2 * d_kv * dim + dim * dim + dim + 3 * dim * hidden;
    size_t tables = (size_t)h->n[6] * (d_head / 2) * 2;
    return vocab * dim + layers * layer + dim + tables + (h->n[5] < 0 ? vocab * dim : 0);
}

/* A file whose k-th float is k, `extra` bytes longer than it should be. */
static const char *write_bin(const Header *header, long extra)
{
    Buf b = {0};
    buf_append(&b, header, sizeof *header);
    for (size_t k = 0; k < n_floats(header); k++) {
        float value = (float)k;
        buf_append(&b, &value, sizeof value);
    }
    for (long i = 0; i < extra; i++)
        buf_putc(&b, 0);
    const char *path = test_file("m.bin", b.data, b.len + (size_t)(extra < 0 ? extra : 0));
    buf_free(&b);
    return path;
}

static void assert_refused(const char *path, ErrCode code, const char *part)
{
    Err err = {0};
    WeightFile *file = weights_open(path, &err);
    assert_err(file, &err, code, part);
}

/* The first value of a tensor of the file that write_bin made: its index among the floats. */
static long first_of(const WeightFile *file, const char *name)
{
    const Tensor *tensor = weights_find(file, name);
    assert_non_null(tensor);
    float value;
    memcpy(&value, tensor->data, sizeof value);
    return (long)value;
}

static void test_tensors_lie_where_the_exporter_wrote_them(void **state)
{
    (void)state;
    Header untied = small;
    untied.n[5] = -11;
    Err err = {0};
    ModelConfig config;
    WeightFile *file = weights_open(write_bin(&untied, 0), &err);
    assert_ok(file, &err);
    assert_ok(weights_read_config(file, &config, &err), &err);
    assert_int_equal(config.vocab_size, 11);
    assert_int_equal(config.rope_layout, ROPE_INTERLEAVED);
    assert_int_equal(config.n_kv_heads, 1);
    assert_int_equal(config.n_ctx_train, 16);
    assert_false(config.tied);
    /* embedding 88; attention norms 2x8; wq 2x64; wk 2x32; wv 2x32; wo 2x64; norms 2x8; w1, w2, w3 2x96; norm 8; tables 64 */
    assert_int_equal(first_of(file, "model.embed_tokens.weight"), 0);
    assert_int_equal(first_of(file, "model.layers.1.input_layernorm.weight"), 96);
    assert_int_equal(first_of(file, "model.layers.0.self_attn.q_proj.weight"), 104);
    assert_int_equal(first_of(file, "model.layers.0.self_attn.k_proj.weight"), 232);
    assert_int_equal(first_of(file, "model.layers.1.self_attn.v_proj.weight"), 328);
    assert_int_equal(first_of(file, "model.layers.0.self_attn.o_proj.weight"), 360);
    assert_int_equal(first_of(file, "model.layers.0.mlp.gate_proj.weight"), 504);
    assert_int_equal(first_of(file, "model.layers.0.mlp.down_proj.weight"), 696);
    assert_int_equal(first_of(file, "model.layers.0.mlp.up_proj.weight"), 888);
    assert_int_equal(first_of(file, "model.norm.weight"), 1080);
    assert_int_equal(first_of(file, "lm_head.weight"), 1152);
    weights_close(file);
}

static void test_the_size_must_match_to_the_byte(void **state)
{
    (void)state;
    assert_refused(write_bin(&small, 1), ERR_INPUT, "the header asks for");
    assert_refused(write_bin(&small, -1), ERR_INPUT, "the header asks for");
    assert_refused(write_bin(&small, -300), ERR_INPUT, "the header asks for");
    assert_refused(write_bin(&small, -2000), ERR_INPUT, "the header asks for more than");
    assert_refused(test_file("m.bin", "1234", 4), ERR_INPUT, "a llama2.c header alone has 28");
}

static void test_hostile_headers_are_refused(void **state)
{
    (void)state;
    static const Header rows[] = {
        {{0, 12, 2, 2, 1, 11, 16}},
        {{-8, 12, 2, 2, 1, 11, 16}},
        {{8, 12, 2, 0, 1, 11, 16}},
        {{8, 12, 2, -2, 1, 11, 16}},
        {{8, 12, 2, 3, 1, 11, 16}},
        {{8, 12, 2, 2, 0, 11, 16}},
        {{8, 12, 4, 4, 3, 11, 16}},
        {{8, 12, 2, 2, 1, 0, 16}},
        {{8, 12, 2, 2, 1, INT32_MIN, 16}},
        {{8, 12, 2, 2, 1, 11, -1}},
        {{8, 12, 2, 2, 1, 11, INT32_MAX}},
        {{8, 12, INT32_MAX, 2, 1, 11, 16}},
        {{INT32_MAX, INT32_MAX, INT32_MAX, 1, 1, INT32_MAX, INT32_MAX}},
        {{1 << 20, 1 << 20, 1 << 10, 1 << 12, 1 << 12, 1 << 21, 1 << 24}},
        {{2, 12, 2, 2, 1, 11, 16}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char bytes[64] = {0};
        memcpy(bytes, &rows[i], sizeof rows[i]);
        assert_refused(test_file("m.bin", bytes, sizeof bytes), ERR_INPUT, "m.bin");
    }
}

static void test_later_versions_are_named(void **state)
{
    (void)state;
    assert_refused(shared_path("data/models/stories260K/stories260K-q8.bin"), ERR_UNSUPPORTED,
                   "version 2 (magic ak42, int8 groups)");
}

static void test_bin_and_gguf_hold_the_same_weights(void **state)
{
    (void)state;
    Err err = {0};
    WeightFile *bin = weights_open(shared_path("data/models/stories260K/stories260K.bin"), &err);
    assert_ok(bin, &err);
    WeightFile *gguf = weights_open(shared_path("data/models/stories260K/stories260K.gguf"), &err);
    assert_ok(gguf, &err);
    assert_int_equal(weights_count(bin) + 1, weights_count(gguf));
    for (size_t i = 0; i < weights_count(bin); i++) {
        const Tensor *a = weights_tensor(bin, i);
        const Tensor *b = weights_find(gguf, weights_name(bin, i));
        assert_non_null(b);
        assert_int_equal(a->n_bytes, b->n_bytes);
        assert_memory_equal(a->data, b->data, a->n_bytes);
    }
    const Tensor *head = weights_find(gguf, "lm_head.weight");
    const Tensor *embedding = weights_find(bin, "model.embed_tokens.weight");
    assert_memory_equal(head->data, embedding->data, head->n_bytes);
    weights_close(bin);
    weights_close(gguf);
}

static void test_a_file_without_a_tokenizer_runs_on_ids(void **state)
{
    (void)state;
    Err err = {0};
    Tokenizer *tokenizer;
    char why[256];
    WeightFile *file = weights_open(write_bin(&small, 0), &err);
    assert_ok(file, &err);
    assert_ok(weights_read_tokenizer(file, &tokenizer, why, &err), &err);
    assert_null(tokenizer);
    assert_non_null(strstr(why, "tok11.bin"));
    weights_close(file);
}

static void test_the_tokenizer_beside_the_file_is_read(void **state)
{
    (void)state;
    Err err = {0};
    Tokenizer *tokenizer;
    char why[256];
    WeightFile *file = weights_open(shared_path("data/models/stories260K/stories260K.bin"), &err);
    assert_ok(file, &err);
    assert_ok(weights_read_tokenizer(file, &tokenizer, why, &err), &err);
    assert_non_null(tokenizer);
    assert_int_equal(tokenizer_vocab_size(tokenizer), 512);
    tokenizer_free(tokenizer);
    weights_close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_tensors_lie_where_the_exporter_wrote_them),
        cmocka_unit_test(test_the_size_must_match_to_the_byte),
        cmocka_unit_test(test_hostile_headers_are_refused),
        cmocka_unit_test(test_later_versions_are_named),
        cmocka_unit_test(test_bin_and_gguf_hold_the_same_weights),
        cmocka_unit_test(test_a_file_without_a_tokenizer_runs_on_ids),
        cmocka_unit_test(test_the_tokenizer_beside_the_file_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
