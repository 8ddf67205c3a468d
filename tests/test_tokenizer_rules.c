/* The rules that vectors alone do not show: added tokens, decoding, vocabularies of GGUF, and SentencePiece's merges
 * against a twin that works on texts. */
#include "tests/test_util.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"
#include "models/tokenizer.h"
#include "models/weights.h"

static TokenList encode(const Tokenizer *tokenizer, const char *text, bool parse_special)
{
    TokenList ids = {0};
    Err err;
    assert_ok(tokenizer_encode(tokenizer, text, strlen(text), parse_special, &ids, &err), &err);
    return ids;
}

/* Fails unless the ids, written with blanks between, are as wanted. */
static void assert_ids(const Tokenizer *tokenizer, const char *text, bool parse_special,
                       const char *want)
{
    TokenList ids = encode(tokenizer, text, parse_special);
    Buf got = {0};
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&got, "%s%d", i ? " " : "", ids.ids[i]);
    if (!str_equal(buf_text(&got), want))
        fail_msg("\"%s\": ids %s, wanted %s", text, got.data, want);
    buf_free(&got);
    token_list_free(&ids);
}

static void assert_decoded(const Tokenizer *tokenizer, const char *ids, bool at_start,
                           bool skip_special, const char *want)
{
    TokenList list = {0};
    Buf got = {0};
    for (char *end; *ids; ids = end)
        token_list_add(&list, (int32_t)strtol(ids, &end, 10));
    tokenizer_decode(tokenizer, list.ids, list.n, at_start, skip_special, &got);
    assert_string_equal(buf_text(&got), want);
    buf_free(&got);
    token_list_free(&list);
}

static Tokenizer *parse(const char *text)
{
    Err err;
    Tokenizer *tokenizer = tokenizer_parse_json(text, strlen(text), NULL, 0, "t.json", &err);
    assert_ok(tokenizer, &err);
    return tokenizer;
}

#define LETTERS "\"a\":0,\"b\":1,\" \":2,\"s\":3,\"<\":4,\">\":5,\"/\":6"

static void test_added_tokens_obey_their_flags(void **state)
{
    (void)state;
    Tokenizer *tokenizer =
        parse("{\"added_tokens\":[{\"id\":10,\"content\":\"<s>\",\"special\":true,\"rstrip\":true},"
              "{\"id\":11,\"content\":\"<ss>\",\"special\":true,\"lstrip\":true},"
              "{\"id\":12,\"content\":\"ab\",\"single_word\":true},"
              "{\"id\":13,\"content\":\"aa\"},{\"id\":14,\"content\":\"aab\"},"
              "{\"id\":15,\"content\":\"\"}],"
              "\"model\":{\"type\":\"BPE\",\"vocab\":{" LETTERS "},\"merges\":[]}}");
    assert_ids(tokenizer, "a<s>  b", true, "0 10 1");
    assert_ids(tokenizer, "a <ss> b", true, "0 11 2 1");
    assert_ids(tokenizer, "<s> <ss>", true, "10 11");
    assert_ids(tokenizer, "<s>", false, "4 3 5");
    assert_ids(tokenizer, "ab/ab", false, "12 6 12");
    assert_ids(tokenizer, "sab", false, "3 0 1");
    assert_ids(tokenizer, "abs", false, "0 1 3");
    assert_ids(tokenizer, "aab aas", false, "14 2 13 3");
    assert_ids(tokenizer, "", true, "");
    tokenizer_free(tokenizer);
}

/* A control token is never what the merges make of a text, whatever the file says. */
static void test_merges_never_make_a_control_token(void **state)
{
    (void)state;
    Tokenizer *tokenizer = parse(
        "{\"added_tokens\":[{\"id\":8,\"content\":\"<s\",\"special\":true},"
        "{\"id\":5,\"content\":\">\",\"special\":true}],"
        "\"model\":{\"type\":\"BPE\",\"ignore_merges\":true,\"unk_token\":\"a\",\"vocab\":{" LETTERS
        ",\"ab\":7,\"<s\":8},\"merges\":[\"< s\",\"a b\"]}}");
    assert_ids(tokenizer, "<s", false, "4 3");
    assert_ids(tokenizer, "<s", true, "8");
    assert_ids(tokenizer, ">ab", false, "0 7");
    tokenizer_free(tokenizer);
}

/* normalized tokens are looked for in the normalised text, and in their normalised form. */
static void test_normalized_tokens_are_matched_after_the_normaliser(void **state)
{
    (void)state;
    Tokenizer *tokenizer = parse(
        "{\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"String\":\"/\"},\"content\":\"s\"},"
        "\"added_tokens\":[{\"id\":10,\"content\":\"a/\",\"normalized\":true},"
        "{\"id\":11,\"content\":\"b/\",\"normalized\":false}],"
        "\"model\":{\"type\":\"BPE\",\"vocab\":{" LETTERS "},\"merges\":[]}}");
    assert_ids(tokenizer, "a/as", false, "10 10");
    assert_ids(tokenizer, "b/bs", false, "11 1 3");
    tokenizer_free(tokenizer);
}

static void test_unknown_characters_fuse_only_where_asked(void **state)
{
    (void)state;
    static const char format[] = "{\"model\":{\"type\":\"BPE\",\"fuse_unk\":%s,\"unk_token\":\"?\","
                                 "\"vocab\":{\"a\":0,\"?\":9},\"merges\":[]}}";
    char text[256];
    snprintf(text, sizeof text, format, "true");
    Tokenizer *fusing = parse(text);
    snprintf(text, sizeof text, format, "false");
    Tokenizer *single = parse(text);
    assert_ids(fusing, "axyaz\xFF", false, "0 9 0 9");
    assert_ids(single, "axyaz\xFF", false, "0 9 9 0 9 9");
    tokenizer_free(fusing);
    tokenizer_free(single);
}

/* The ids of what stands before it are taken back. */
static void test_a_character_nobody_can_spell_is_an_error(void **state)
{
    (void)state;
    Tokenizer *tokenizer = parse("{\"added_tokens\":[{\"id\":3,\"content\":\"<s>\"}],"
                                 "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,"
                                 "\"vocab\":{\"a\":0,\"<0xC3>\":1,\"<0x7A>\":2},\"merges\":[]}}");
    TokenList ids = {0};
    Err err;
    token_list_add(&ids, 77);
    assert_ids(tokenizer, "az", false, "0 2");
    assert_err(tokenizer_encode(tokenizer, "a<s>\xC3\xA9", 6, false, &ids, &err), &err, ERR_INPUT,
               "no token for the character \"\xC3\xA9\"");
    assert_int_equal(ids.n, 1);
    assert_int_equal(ids.ids[0], 77);
    token_list_free(&ids);
    tokenizer_free(tokenizer);
}

static void test_decoders_take_off_what_encoders_put_on(void **state)
{
    (void)state;
    Tokenizer *tokenizer = parse(
        "{\"decoder\":{\"type\":\"Sequence\",\"decoders\":[{\"type\":\"Replace\",\"pattern\":"
        "{\"String\":\"_\"},\"content\":\" \"},{\"type\":\"ByteFallback\"},{\"type\":\"Fuse\"},"
        "{\"type\":\"Strip\",\"content\":\" \",\"start\":1,\"stop\":0}]},"
        "\"added_tokens\":[{\"id\":1,\"content\":\"<s>\",\"special\":true}],"
        "\"model\":{\"type\":\"BPE\",\"byte_fallback\":true,\"vocab\":{\"_\":0,\"<s>\":1,\"a\":2,"
        "\"_a\":3,\"<0xC3>\":4,\"<0xA9>\":5,\"__\":6},\"merges\":[\"_ a\",\"_ _\"]}}");
    assert_decoded(tokenizer, "3 3", true, true, "a a");
    assert_decoded(tokenizer, "3 3", false, true, " a a");
    assert_decoded(tokenizer, "1 3", true, true, "a");
    assert_decoded(tokenizer, "1 3", true, false, "<s>a");
    assert_decoded(tokenizer, "6 2", true, true, " a");
    assert_decoded(tokenizer, "2 4 5", true, true, "a\xC3\xA9");
    assert_decoded(tokenizer, "2 99 -1 2", true, true,
                   "a\xEF\xBF\xBD\xEF\xBF\xBD"
                   "a");
    tokenizer_free(tokenizer);
}

static const char *fixture(const char *name)
{
    char relative[128];
    snprintf(relative, sizeof relative, "data/fixtures/neural-api/%s", name);
    return shared_path(relative);
}

/* Segments on both sides of a control token are texts of their own for a normaliser that puts a mark in front. */
static void test_a_mark_in_front_is_put_after_each_control_token(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"a</s> b",  "a",   " b" },
        {"</s>  b",  "",    "  b"},
        {"</s>b",    "",    "b"  },
        {"a b</s>a", "a b", "a"  },
    };
    Err err;
    Tokenizer *tokenizer =
        tokenizer_open_json(fixture("tiny_bpe_metaspace_tokenizer.json"), NULL, &err);
    assert_ok(tokenizer, &err);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        TokenList got = encode(tokenizer, cases[i][0], true);
        TokenList want = encode(tokenizer, cases[i][1], false);
        TokenList rest = encode(tokenizer, cases[i][2], false);
        token_list_add(&want, 2);
        token_list_append(&want, rest.ids, rest.n);
        assert_int_equal(got.n, want.n);
        assert_memory_equal(got.ids, want.ids, got.n * sizeof *got.ids);
        token_list_free(&got);
        token_list_free(&want);
        token_list_free(&rest);
    }
    tokenizer_free(tokenizer);
}

/* A vocabulary as GGUF has it, made of a tokenizer.json. */
typedef struct {
    SpmPiece *pieces;
    char **merges;
    BpeVocab vocab;
} GgufTwin;

static GgufTwin gguf_twin(const json_t *root, const char *pretokenizer)
{
    json_t *model = json_object_get(root, "model");
    json_t *vocab = json_object_get(model, "vocab");
    json_t *merges = json_object_get(model, "merges");
    GgufTwin twin = {
        calloc(json_object_size(vocab), sizeof *twin.pieces),
        calloc(json_array_size(merges), sizeof *twin.merges),
        {.n_pieces = json_object_size(vocab),
                                                        .n_merges = json_array_size(merges),
                                                        .pretokenizer = pretokenizer,
                                                        .bos_id = -1,
                                                        .eos_id = -1,
                                                        .origin = "twin"}
    };
    const char *text;
    json_t *value;
    size_t i;
    json_object_foreach(vocab, text, value) twin.pieces[json_integer_value(value)] =
        (SpmPiece){.text = text,
                   .n = strlen(text),
                   .kind = str_starts_with(text, "<|") ? TOKEN_CONTROL : TOKEN_NORMAL};
    json_array_foreach(merges, i, value) twin.merges[i] =
        str_format("%s %s", json_string_value(json_array_get(value, 0)),
                   json_string_value(json_array_get(value, 1)));
    twin.vocab.pieces = twin.pieces;
    twin.vocab.merges = (const char *const *)twin.merges;
    return twin;
}

static void gguf_twin_free(GgufTwin *twin)
{
    for (size_t i = 0; i < twin->vocab.n_merges; i++)
        free(twin->merges[i]);
    free(twin->merges);
    free(twin->pieces);
}

static void check_named(const char *group_name, const char *pretokenizer)
{
    json_t *all = json_load_file(fixture("hf_tokenizer_cases.json"), JSON_ALLOW_NUL, NULL);
    json_t *group = json_object_get(all, group_name);
    json_t *root =
        json_load_file(fixture(json_string_value(json_object_get(group, "tokenizer"))), 0, NULL);
    assert_non_null(root);
    GgufTwin twin = gguf_twin(root, pretokenizer);
    Err err;
    Tokenizer *tokenizer = tokenizer_open_bpe(&twin.vocab, &err);
    assert_ok(tokenizer, &err);
    size_t i;
    json_t *item;
    json_array_foreach(json_object_get(group, "cases"), i, item)
    {
        Buf want = {0};
        size_t k;
        json_t *id;
        json_array_foreach(json_object_get(item, "ids"), k, id)
            buf_printf(&want, "%s%d", k ? " " : "", (int)json_integer_value(id));
        assert_ids(tokenizer, json_string_value(json_object_get(item, "text")), true,
                   buf_text(&want));
        buf_free(&want);
    }
    tokenizer_free(tokenizer);
    gguf_twin_free(&twin);
    json_decref(root);
    json_decref(all);
}

/* The names of GGUF files give the ids that the same vocabulary gives with its own tokenizer.json. */
static void test_named_pretokenizers_agree_with_published_ids(void **state)
{
    (void)state;
    static const char *const rows[][2] = {
        {"byte_level",          "gpt-2"    },
        {"split_qwen2",         "qwen2"    },
        {"split_cl100k",        "llama-bpe"},
        {"split_o200k_harmony", "gpt-4o"   },
        {"split_qwen35",        "qwen35"   },
        {"digits_bytelevel",    "starcoder"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        check_named(rows[i][0], rows[i][1]);
}

static void test_gpt_neox_names_no_pretokenizer_and_refuses_text(void **state)
{
    (void)state;
    Err err;
    char why[256] = "";
    Tokenizer *tokenizer = NULL;
    TokenList ids = {0};
    WeightFile *file = weights_open(shared_path("data/tokenizers/ggml-vocab-gpt-neox.gguf"), &err);
    assert_ok(file, &err);
    assert_ok(weights_read_tokenizer(file, &tokenizer, why, &err), &err);
    weights_close(file);
    assert_non_null(tokenizer);
    assert_err(tokenizer_encode(tokenizer, "a", 1, false, &ids, &err), &err, ERR_UNSUPPORTED,
               "tokenizer.ggml.pre");
    /* 50254 is user-defined: 24 spaces as they are. */
    assert_decoded(tokenizer, "50254 50276", true, true, "                          ");
    tokenizer_free(tokenizer);
}

static const SpmPiece letters[] = {
    {"a",  1, 0, TOKEN_NORMAL},
    {"b",  1, 0, TOKEN_NORMAL},
    {"ab", 2, 0, TOKEN_NORMAL},
};

static void test_gguf_byte_level_vocabularies_are_checked(void **state)
{
    (void)state;
    static const char *const good[] = {"a b"};
    static const char *const no_space[] = {"ab"};
    static const char *const no_right[] = {"a "};
    static const char *const outside[] = {"b a"};
    static const SpmPiece bad_kind[] = {
        {"a", 1, 0, (TokenKind)9}
    };
    static const struct {
        BpeVocab vocab;
        ErrCode code;
        const char *part;
    } bad[] = {
        {{letters, 3, good, 1, "mystery", -1, -1, false, "v"},
         ERR_UNSUPPORTED,                                                   "v: the pre-tokenizer \"mystery\" is not known; known are default, gpt-2"},
        {{letters, 3, good, 0, "gpt-2", -1, -1, false, "v"},     ERR_INPUT, "v: no merges"                                                           },
        {{letters, 3, no_space, 1, "gpt-2", -1, -1, false, "v"}, ERR_INPUT, "merge 0"                                                                },
        {{letters, 3, no_right, 1, "gpt-2", -1, -1, false, "v"}, ERR_INPUT, "merge 0"                                                                },
        {{letters, 3, outside, 1, "gpt-2", -1, -1, false, "v"},
         ERR_INPUT,                                                         "merge 0: it names \"ba\""                                               },
        {{letters, 3, good, 1, "gpt-2", 3, -1, false, "v"},      ERR_INPUT, "BOS id is 3"                                                            },
        {{letters, 3, good, 1, "gpt-2", -1, -2, false, "v"},     ERR_INPUT, "EOS id is -2"                                                           },
        {{letters, 0, good, 1, "gpt-2", -1, -1, false, "v"},     ERR_INPUT, "0 tokens"                                                               },
        {{bad_kind, 1, good, 0, "gpt-2", -1, -1, false, "v"},    ERR_INPUT, "of kind 9"                                                              },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Err err;
        assert_err(tokenizer_open_bpe(&bad[i].vocab, &err), &err, bad[i].code, bad[i].part);
    }
}

enum { MAX_SYMBOLS = 40, N_DRAWN = 24, MAX_DRAWN = 8 };

/* SentencePiece on texts: of all neighbours whose joint text is a piece, join the best, the leftmost of equals. text holds one
 * symbol a letter; starts has where each begins and n + 1 ends. */
static size_t merge_texts(const char *text, size_t *starts, size_t n, const SpmPiece *pieces,
                          size_t n_pieces)
{
    for (;;) {
        size_t best = n;
        float best_score = 0;
        for (size_t i = 0; i + 1 < n; i++)
            for (size_t p = 0; p < n_pieces; p++) {
                size_t len = starts[i + 2] - starts[i];
                if (pieces[p].n != len || memcmp(pieces[p].text, text + starts[i], len) != 0)
                    continue;
                if (best == n || pieces[p].score > best_score) {
                    best = i;
                    best_score = pieces[p].score;
                }
            }
        if (best == n) return n;
        memmove(starts + best + 1, starts + best + 2, (n - best - 1) * sizeof *starts);
        n--;
    }
}

static void append_spelling(Buf *out, const char *text, size_t n, const SpmPiece *pieces,
                            size_t n_pieces)
{
    for (size_t p = 0; p < n_pieces; p++)
        if (pieces[p].n == n && memcmp(pieces[p].text, text, n) == 0) {
            buf_printf(out, "%s%zu", out->len ? " " : "", p);
            return;
        }
    for (size_t i = 0; i < n; i++)
        buf_printf(out, "%s%d", out->len ? " " : "", (int)n_pieces + text[i] - 'a');
}

typedef struct {
    char texts[N_DRAWN][MAX_DRAWN];
    SpmPiece pieces[3 + N_DRAWN + 4];
    size_t n; /* without the bytes behind them */
} DrawnVocab;

/* A random vocabulary over a, b, c and d, where d is never a piece of its own and scores have ties; a to d as bytes at the end. */
static void draw_vocab(Rng *rng, DrawnVocab *drawn)
{
    static const char *const bytes[] = {"<0x61>", "<0x62>", "<0x63>", "<0x64>"};
    drawn->n = 0;
    for (; drawn->n < 3; drawn->n++)
        drawn->pieces[drawn->n] = (SpmPiece){&"abc"[drawn->n], 1, -100, TOKEN_NORMAL};
    for (size_t i = 0; i < N_DRAWN; i++) {
        char *text = drawn->texts[i];
        size_t len = 2 + rng_below(rng, i < N_DRAWN / 2 ? 1 : 4);
        bool is_new = true;
        for (size_t k = 0; k < len; k++)
            text[k] = (char)('a' + rng_below(rng, 4));
        for (size_t p = 0; p < drawn->n; p++)
            is_new = is_new &&
                     !(drawn->pieces[p].n == len && memcmp(drawn->pieces[p].text, text, len) == 0);
        float score = -(float)rng_below(rng, 10);
        if (is_new) drawn->pieces[drawn->n++] = (SpmPiece){text, len, score, TOKEN_NORMAL};
    }
    for (size_t b = 0; b < COUNT_OF(bytes); b++)
        drawn->pieces[drawn->n + b] = (SpmPiece){bytes[b], 6, 0, TOKEN_BYTE};
}

static void test_spm_merges_equal_a_twin_that_works_on_texts(void **state)
{
    (void)state;
    Rng rng = rng_open(5, 0, 0, 0);
    for (int trial = 0; trial < 400; trial++) {
        DrawnVocab drawn;
        draw_vocab(&rng, &drawn);
        SpmVocab vocab = {.pieces = drawn.pieces,
                          .n_pieces = drawn.n + 4,
                          .bos_id = -1,
                          .eos_id = -1,
                          .unk_id = -1,
                          .origin = "twin"};
        Err err;
        Tokenizer *tokenizer = tokenizer_open_spm(&vocab, &err);
        assert_ok(tokenizer, &err);
        char text[MAX_SYMBOLS + 1];
        size_t starts[MAX_SYMBOLS + 1];
        size_t n = 1 + rng_below(&rng, MAX_SYMBOLS);
        for (size_t i = 0; i <= n; i++) {
            starts[i] = i;
            text[i] = i < n ? (char)('a' + rng_below(&rng, 4)) : '\0';
        }
        Buf want = {0};
        n = merge_texts(text, starts, n, drawn.pieces, drawn.n);
        for (size_t i = 0; i < n; i++)
            append_spelling(&want, text + starts[i], starts[i + 1] - starts[i], drawn.pieces,
                            drawn.n);
        assert_ids(tokenizer, text, false, buf_text(&want));
        buf_free(&want);
        tokenizer_free(tokenizer);
    }
}

/* Bytes that are not UTF-8 are spelled by byte pieces and come back as they were. */
static void test_sentencepiece_with_bytes_is_total(void **state)
{
    (void)state;
    Err err;
    Tokenizer *tokenizer =
        tokenizer_open_llama2c(shared_path("data/models/stories260K/tok512.bin"), 512, &err);
    assert_ok(tokenizer, &err);
    Rng rng = rng_open(29, 0, 0, 0);
    for (int trial = 0; trial < 200; trial++) {
        char bytes[64];
        size_t n = rng_below(&rng, sizeof bytes + 1);
        TokenList ids = {0};
        Buf back = {0};
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)rng_below(&rng, 256);
        assert_ok(tokenizer_encode(tokenizer, bytes, n, false, &ids, &err), &err);
        tokenizer_decode(tokenizer, ids.ids, ids.n, true, false, &back);
        assert_int_equal(back.len, n);
        assert_memory_equal(buf_text(&back), bytes, n);
        token_list_free(&ids);
        buf_free(&back);
    }
    /* "\n<s>\n" is the text of BOS in this file; as data it is not BOS. */
    TokenList ids = encode(tokenizer, "\n<s>\n", false);
    for (size_t i = 0; i < ids.n; i++)
        assert_true(ids.ids[i] > 2);
    token_list_free(&ids);
    tokenizer_free(tokenizer);
}

static void test_spm_scores_and_lengths_are_checked(void **state)
{
    (void)state;
    static char wide[2000];
    memset(wide, 'a', sizeof wide);
    SpmPiece pieces[] = {
        {"a",  1, 0,                  TOKEN_NORMAL},
        {"aa", 2, __builtin_nanf(""), TOKEN_NORMAL}
    };
    SpmVocab vocab = {
        .pieces = pieces, .n_pieces = 2, .bos_id = -1, .eos_id = -1, .unk_id = -1, .origin = "v"};
    Err err;
    assert_err(tokenizer_open_spm(&vocab, &err), &err, ERR_INPUT,
               "v: the score of token 1 is not a number");
    pieces[1] = (SpmPiece){wide, sizeof wide, 0, TOKEN_NORMAL};
    assert_err(tokenizer_open_spm(&vocab, &err), &err, ERR_INPUT, "2000 bytes, at most 1024");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_added_tokens_obey_their_flags),
        cmocka_unit_test(test_merges_never_make_a_control_token),
        cmocka_unit_test(test_normalized_tokens_are_matched_after_the_normaliser),
        cmocka_unit_test(test_unknown_characters_fuse_only_where_asked),
        cmocka_unit_test(test_a_character_nobody_can_spell_is_an_error),
        cmocka_unit_test(test_decoders_take_off_what_encoders_put_on),
        cmocka_unit_test(test_a_mark_in_front_is_put_after_each_control_token),
        cmocka_unit_test(test_named_pretokenizers_agree_with_published_ids),
        cmocka_unit_test(test_gpt_neox_names_no_pretokenizer_and_refuses_text),
        cmocka_unit_test(test_gguf_byte_level_vocabularies_are_checked),
        cmocka_unit_test(test_spm_merges_equal_a_twin_that_works_on_texts),
        cmocka_unit_test(test_sentencepiece_with_bytes_is_total),
        cmocka_unit_test(test_spm_scores_and_lengths_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
