/* Tokenizers against ids that Hugging Face's and llama.cpp's own code gave. */
#include "tests/test_util.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/rng.h"
#include "base/str.h"
#include "models/tokenizer.h"
#include "models/weights.h"

static Tokenizer *open_json(const char *path)
{
    Err err;
    Tokenizer *tokenizer = tokenizer_open_json(path, NULL, &err);
    assert_ok(tokenizer, &err);
    return tokenizer;
}

/* The tokenizer inside a model file. */
static Tokenizer *open_from_model(const char *path)
{
    char why[256] = "";
    Tokenizer *tokenizer = NULL;
    Err err;
    WeightFile *file = weights_open(path, &err);
    assert_ok(file, &err);
    assert_ok(weights_read_tokenizer(file, &tokenizer, why, &err), &err);
    if (!tokenizer) fail_msg("%s: no tokenizer: %s", path, why);
    weights_close(file);
    return tokenizer;
}

static TokenList encode(const Tokenizer *tokenizer, const char *text, size_t n, bool parse_special)
{
    TokenList ids = {0};
    Err err;
    assert_ok(tokenizer_encode(tokenizer, text, n, parse_special, &ids, &err), &err);
    return ids;
}

static void assert_ids(const Tokenizer *tokenizer, const char *text, size_t n, bool parse_special,
                       const int32_t *want, size_t n_want)
{
    TokenList got = encode(tokenizer, text, n, parse_special);
    char shown[200];
    str_escape(text, n, shown, sizeof shown);
    for (size_t i = 0; i < got.n && i < n_want; i++)
        if (got.ids[i] != want[i])
            fail_msg("\"%s\": id %zu is %d, wanted %d", shown, i, got.ids[i], want[i]);
    if (got.n != n_want) fail_msg("\"%s\": %zu ids, wanted %zu", shown, got.n, n_want);
    token_list_free(&got);
}

static void assert_text(const Tokenizer *tokenizer, const int32_t *ids, size_t n, const char *want,
                        size_t n_want)
{
    Buf got = {0};
    tokenizer_decode(tokenizer, ids, n, true, true, &got);
    char shown[2][200];
    str_escape(got.data ? got.data : "", got.len, shown[0], sizeof shown[0]);
    str_escape(want, n_want, shown[1], sizeof shown[1]);
    if (got.len != n_want || memcmp(buf_text(&got), want, n_want) != 0)
        fail_msg("decoded \"%s\", wanted \"%s\"", shown[0], shown[1]);
    buf_free(&got);
}

static void check_case(const Tokenizer *tokenizer, const json_t *item)
{
    const json_t *text = json_object_get(item, "text");
    const json_t *ids = json_object_get(item, "ids");
    const json_t *decoded = json_object_get(item, "decoded");
    TokenList want = {0};
    size_t i;
    const json_t *id;
    json_array_foreach(ids, i, id) token_list_add(&want, (int32_t)json_integer_value(id));
    assert_ids(tokenizer, json_string_value(text), json_string_length(text), true, want.ids,
               want.n);
    if (decoded)
        assert_text(tokenizer, want.ids, want.n, json_string_value(decoded),
                    json_string_length(decoded));
    token_list_free(&want);
}

static const char *fixture(const char *name)
{
    char relative[128];
    snprintf(relative, sizeof relative, "data/fixtures/neural-api/%s", name);
    return shared_path(relative);
}

/* Every published case of every BPE tokenizer, control tokens included, and the refusals of the other kinds. */
static void test_hugging_face_cases_agree(void **state)
{
    (void)state;
    json_error_t where;
    json_t *root = json_load_file(fixture("hf_tokenizer_cases.json"), JSON_ALLOW_NUL, &where);
    assert_non_null(root);
    size_t n_cases = 0, n_refused = 0;
    const char *key;
    json_t *group;
    json_object_foreach(root, key, group)
    {
        const char *name = json_string_value(json_object_get(group, "tokenizer"));
        if (!name || !str_ends_with(name, ".json") || !file_exists(fixture(name))) continue;
        Err err;
        Tokenizer *tokenizer = tokenizer_open_json(fixture(name), NULL, &err);
        if (!tokenizer) {
            assert_int_equal(err.code, ERR_UNSUPPORTED);
            assert_true(strstr(err.text, "WordPiece") || strstr(err.text, "Unigram"));
            n_refused++;
            continue;
        }
        size_t i;
        const json_t *item;
        json_array_foreach(json_object_get(group, "cases"), i, item)
        {
            check_case(tokenizer, item);
            n_cases++;
        }
        tokenizer_free(tokenizer);
    }
    assert_int_equal(n_refused, 2);
    assert_true(n_cases > 200);
    json_decref(root);
}

/* Data never becomes control tokens: "<|endoftext|>" is spelt out and comes back as text. */
static void test_control_tokens_in_data_stay_text(void **state)
{
    (void)state;
    static const char text[] = "x<|endoftext|>y";
    Tokenizer *tokenizer = open_json(fixture("tiny_bpe_bytelevel_tokenizer.json"));
    TokenList ids = encode(tokenizer, text, sizeof text - 1, false);
    TokenList parsed = encode(tokenizer, text, sizeof text - 1, true);
    assert_int_equal(parsed.n, 3);
    assert_true(ids.n > 3);
    for (size_t i = 0; i < ids.n; i++)
        assert_int_not_equal(ids.ids[i], parsed.ids[1]);
    assert_text(tokenizer, ids.ids, ids.n, text, sizeof text - 1);
    token_list_free(&ids);
    token_list_free(&parsed);
    tokenizer_free(tokenizer);
}

/* Ids of one line; moves to the next. */
static TokenList read_line(const char **line)
{
    TokenList ids = {0};
    const char *end = strchr(*line, '\n');
    const char *p = *line;
    while (end && p < end) {
        char *after;
        long id = strtol(p, &after, 10);
        if (after == p || after > end) break;
        token_list_add(&ids, (int32_t)id);
        p = after;
    }
    *line = end ? end + 1 : *line + strlen(*line);
    return ids;
}

/* llama.cpp's vectors: texts parted by a line of their own, a line of ids each (the last text is empty and has none). */
static void check_vectors(const Tokenizer *tokenizer, const char *inp, const char *out)
{
    static const char separator[] = "\n__ggml_vocab_test__\n";
    Buf texts = {0}, lines = {0};
    Err err;
    int n_checked = 0;
    assert_ok(file_read(shared_path(inp), 1 << 20, &texts, &err), &err);
    assert_ok(file_read(shared_path(out), 1 << 20, &lines, &err), &err);
    const char *line = buf_text(&lines);
    for (const char *text = buf_text(&texts), *end = text; end; n_checked++) {
        end = strstr(text, separator);
        TokenList want = read_line(&line);
        assert_ids(tokenizer, text, end ? (size_t)(end - text) : strlen(text), false, want.ids,
                   want.n);
        token_list_free(&want);
        if (end) text = end + sizeof separator - 1;
    }
    assert_int_equal(n_checked, 47);
    buf_free(&texts);
    buf_free(&lines);
}

static void test_phi3_gives_llama_cpps_vectors_from_both_files(void **state)
{
    (void)state;
    Tokenizer *gguf = open_from_model(shared_path("data/tokenizers/ggml-vocab-phi-3.gguf"));
    Tokenizer *json = open_json(shared_path("data/tokenizers/phi-3.tokenizer.json"));
    check_vectors(gguf, "data/tokenizers/ggml-vocab-phi-3.gguf.inp",
                  "data/tokenizers/ggml-vocab-phi-3.gguf.out");
    check_vectors(json, "data/tokenizers/ggml-vocab-phi-3.gguf.inp",
                  "data/tokenizers/ggml-vocab-phi-3.gguf.out");
    tokenizer_free(gguf);
    tokenizer_free(json);
}

static void test_gpt2_and_qwen_give_llama_cpps_vectors(void **state)
{
    (void)state;
    Tokenizer *gpt2 = open_from_model(shared_path("data/tokenizers/ggml-vocab-gpt-2.gguf"));
    Tokenizer *qwen = open_json(shared_path("data/tokenizers/qwen3.tokenizer.json"));
    check_vectors(gpt2, "data/tokenizers/ggml-vocab-gpt-2.gguf.inp",
                  "data/tokenizers/ggml-vocab-gpt-2.gguf.out");
    check_vectors(qwen, "data/tokenizers/ggml-vocab-qwen2.gguf.inp",
                  "data/tokenizers/ggml-vocab-qwen2.gguf.out");
    tokenizer_free(gpt2);
    tokenizer_free(qwen);
}

static void test_walker_spells_the_needle_as_its_card_says(void **state)
{
    (void)state;
    static const char text[] = "The pass key is 12345. Remember it. 12345 is the pass key. ";
    static const int32_t want[] = {289, 101, 322, 335, 287, 32,  49, 50, 51, 52,
                                   53,  46,  497, 419, 314, 46,  32, 49, 50, 51,
                                   52,  53,  287, 259, 322, 335, 46, 32};
    Tokenizer *tokenizer = open_json("models/walker/tokenizer.json");
    assert_ids(tokenizer, text, sizeof text - 1, false, want, COUNT_OF(want));
    assert_text(tokenizer, want, COUNT_OF(want), text, sizeof text - 1);
    assert_int_equal(tokenizer_bos_id(tokenizer), 256);
    assert_true(tokenizer_adds_bos(tokenizer));
    assert_int_equal(tokenizer_vocab_size(tokenizer), 512);
    tokenizer_free(tokenizer);
}

static void test_byte_level_is_total_over_bytes(void **state)
{
    (void)state;
    Tokenizer *tokenizer = open_json("models/walker/tokenizer.json");
    Rng rng = rng_open(17, 0, 0, 0);
    for (int trial = 0; trial < 500; trial++) {
        char bytes[64];
        size_t n = rng_below(&rng, sizeof bytes + 1);
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)rng_below(&rng, 256);
        TokenList ids = encode(tokenizer, bytes, n, false);
        assert_text(tokenizer, ids.ids, ids.n, bytes, n);
        token_list_free(&ids);
    }
    tokenizer_free(tokenizer);
}

static void test_story_models_round_trip_their_text(void **state)
{
    (void)state;
    static const char *const paths[] = {
        "data/models/stories260K/stories260K.bin", "data/models/stories260K/stories260K.gguf",
        "data/models/TinyStories-656K", "data/models/TinyStories-656K-f32"};
    static const char text[] =
        "Once upon a time, there was a little girl named Lily. They were 12!";
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        Tokenizer *tokenizer = open_from_model(shared_path(paths[i]));
        TokenList ids = encode(tokenizer, text, sizeof text - 1, false);
        assert_true(ids.n < sizeof text - 1);
        assert_text(tokenizer, ids.ids, ids.n, text, sizeof text - 1);
        assert_int_equal(tokenizer_bos_id(tokenizer), 1);
        assert_true(tokenizer_adds_bos(tokenizer));
        token_list_free(&ids);
        tokenizer_free(tokenizer);
    }
}

static void test_llama2c_file_and_gguf_spell_alike(void **state)
{
    (void)state;
    Buf text = {0};
    Err err;
    assert_ok(file_read(shared_path("reference-logits/story.txt"), 1 << 20, &text, &err), &err);
    Tokenizer *bin = open_from_model(shared_path("data/models/stories260K/stories260K.bin"));
    Tokenizer *gguf = open_from_model(shared_path("data/models/stories260K/stories260K.gguf"));
    TokenList ids = encode(bin, text.data, text.len, false);
    assert_ids(gguf, text.data, text.len, false, ids.ids, ids.n);
    token_list_free(&ids);
    tokenizer_free(bin);
    tokenizer_free(gguf);
    buf_free(&text);
}

/* Characters that are no piece become bytes where the vocabulary has them. */
static void test_bytes_stand_in_for_unknown_characters(void **state)
{
    (void)state;
    static const char text[] = "Na\xc3\xafve \xe2\x82\xac";
    Tokenizer *tokenizer = open_from_model(shared_path("data/models/stories260K/stories260K.bin"));
    TokenList ids = encode(tokenizer, text, sizeof text - 1, false);
    assert_text(tokenizer, ids.ids, ids.n, text, sizeof text - 1);
    token_list_free(&ids);
    tokenizer_free(tokenizer);
}

/* No pre-tokenizer: a megabyte is one run, which a quadratic merge would not finish. */
static void test_a_megabyte_without_breaks_is_encoded(void **state)
{
    (void)state;
    enum { N = 1 << 20 };
    Tokenizer *tokenizer = open_from_model(shared_path("data/models/TinyStories-656K"));
    char *text = malloc(N);
    assert_non_null(text);
    Rng rng = rng_open(3, 0, 0, 0);
    for (size_t i = 0; i < N; i++)
        text[i] = (char)('a' + rng_below(&rng, 26));
    TokenList ids = encode(tokenizer, text, N, false);
    assert_true(ids.n < N);
    assert_text(tokenizer, ids.ids, ids.n, text, N);
    token_list_free(&ids);
    tokenizer_free(tokenizer);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hugging_face_cases_agree),
        cmocka_unit_test(test_control_tokens_in_data_stay_text),
        cmocka_unit_test(test_phi3_gives_llama_cpps_vectors_from_both_files),
        cmocka_unit_test(test_gpt2_and_qwen_give_llama_cpps_vectors),
        cmocka_unit_test(test_walker_spells_the_needle_as_its_card_says),
        cmocka_unit_test(test_byte_level_is_total_over_bytes),
        cmocka_unit_test(test_story_models_round_trip_their_text),
        cmocka_unit_test(test_llama2c_file_and_gguf_spell_alike),
        cmocka_unit_test(test_bytes_stand_in_for_unknown_characters),
        cmocka_unit_test(test_a_megabyte_without_breaks_is_encoded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
