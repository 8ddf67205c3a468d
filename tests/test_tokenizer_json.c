/* Reading of tokenizer.json: spellings that mean the same, BOS rules, and files that must be refused. */
#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>

#include "base/str.h"
#include "models/tokenizer.h"

/* A byte-level tokenizer of five letters and two merges; %s stand for merges, further keys, and further keys of the model. */
#define FILE_FORMAT                                                                           \
 "{\"added_tokens\":[{\"id\":7,\"content\":\"<s>\",\"special\":true}],"                       \
 "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false,\"use_regex\":false}," \
 "\"decoder\":{\"type\":\"ByteLevel\"}%s,\"model\":{\"type\":\"BPE\",\"vocab\":"              \
 "{\"a\":0,\"b\":1,\"c\":2,\"ab\":3,\"abc\":4,\"\\u0120\":5,\"d\":6,\"<s>\":7},\"merges\":%s%s}}"

static Tokenizer *parse(const char *text, const char *config, Err *err)
{
    return tokenizer_parse_json(text, strlen(text), config, config ? strlen(config) : 0, "t.json",
                                err);
}

static Tokenizer *parse_with(const char *more, const char *merges, const char *more_model,
                             const char *config, Err *err)
{
    char *text = str_format(FILE_FORMAT, more, merges, more_model);
    Tokenizer *tokenizer = parse(text, config, err);
    free(text);
    return tokenizer;
}

static void assert_encodes(const Tokenizer *tokenizer, const char *text, const int32_t *want,
                           size_t n)
{
    TokenList ids = {0};
    Err err;
    assert_ok(tokenizer_encode(tokenizer, text, strlen(text), true, &ids, &err), &err);
    assert_int_equal(ids.n, n);
    assert_memory_equal(ids.ids, want, n * sizeof *want);
    token_list_free(&ids);
}

static void test_both_spellings_of_merges_give_the_same_ids(void **state)
{
    (void)state;
    static const char *const spellings[] = {"[\"a b\",\"ab c\"]", "[[\"a\",\"b\"],[\"ab\",\"c\"]]"};
    static const int32_t want[] = {4, 5, 3, 7, 6};
    for (size_t i = 0; i < COUNT_OF(spellings); i++) {
        Err err;
        Tokenizer *tokenizer = parse_with("", spellings[i], "", NULL, &err);
        assert_ok(tokenizer, &err);
        assert_encodes(tokenizer, "abc ab<s>d", want, COUNT_OF(want));
        tokenizer_free(tokenizer);
    }
}

static void test_ignore_merges_takes_whole_words_first(void **state)
{
    (void)state;
    static const int32_t merged[] = {3, 2};
    static const int32_t whole[] = {4};
    Err err;
    Tokenizer *with = parse_with("", "[\"a b\"]", ",\"ignore_merges\":true", NULL, &err);
    assert_ok(with, &err);
    assert_encodes(with, "abc", whole, 1);
    Tokenizer *without = parse_with("", "[\"a b\"]", "", NULL, &err);
    assert_ok(without, &err);
    assert_encodes(without, "abc", merged, 2);
    tokenizer_free(with);
    tokenizer_free(without);
}

#define TEMPLATE                                                                               \
 ",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":" \
 "\"<s>\",\"type_id\":0}},{\"Sequence\":{\"id\":\"A\",\"type_id\":0}}],\"pair\":[],"           \
 "\"special_tokens\":{}}"

/* The class of the tokenizer decides whether the config's key or the template counts; a contradiction is always noted. */
static void test_bos_follows_the_documented_rule(void **state)
{
    (void)state;
    static const struct {
        const char *more;
        const char *config;
        bool adds_bos;
        bool is_noted;
    } cases[] = {
        {"",                                                                                      NULL,                                                                           false, false},
        {TEMPLATE,                                                                                NULL,                                                                           true,  false},
        {TEMPLATE,
         "{\"bos_token\":\"<s>\",\"add_bos_token\":true,\"tokenizer_class\":\"LlamaTokenizer\"}",                                                                                 true,  false},
        {TEMPLATE,
         "{\"bos_token\":\"<s>\",\"add_bos_token\":false,\"tokenizer_class\":\"LlamaTokenizer\"}",                                                                                false, true },
        {"",
         "{\"bos_token\":\"<s>\",\"add_bos_token\":true,\"tokenizer_class\":\"LlamaTokenizer\"}",                                                                                 true,  true },
        {TEMPLATE,
         "{\"bos_token\":\"<s>\",\"add_bos_token\":false,\"tokenizer_class\":\"GPT2Tokenizer\"}",                                                                                 true,  true },
        {"",
         "{\"bos_token\":\"<none>\",\"add_bos_token\":true,\"tokenizer_class\":\"LlamaTokenizer\"}",                                                                              false, true },
        {TEMPLATE,                                                                                "{\"bos_token\":{\"content\":\"<s>\"},\"add_bos_token\":null}",                 true,  false},
        {TEMPLATE,                                                                                "{\"bos_token\":\"a\"}",                                                        true,  true },
        {",\"post_processor\":{\"type\":\"Sequence\",\"processors\":[{\"type\":\"ByteLevel\"}]}",
         NULL,                                                                                                                                                                    false, false},
        {",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"Sequence\":{\"id\":\"A\"}},"
         "{\"SpecialToken\":{\"id\":\"<s>\"}}]}",                                        NULL,                                                                           false, true },
        {"",                                                                                      "{\"bos_token\":\"<s>\",\"model_max_length\":1000000000000000019884624838656}", false,
         false                                                                                                                                                                                },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        Err err;
        Tokenizer *tokenizer =
            parse_with(cases[i].more, "[\"a b\",\"ab c\"]", "", cases[i].config, &err);
        assert_ok(tokenizer, &err);
        if (tokenizer_adds_bos(tokenizer) != cases[i].adds_bos) fail_msg("case %zu: adds_bos", i);
        if ((*tokenizer_notes(tokenizer) != '\0') != cases[i].is_noted)
            fail_msg("case %zu: notes \"%s\"", i, tokenizer_notes(tokenizer));
        tokenizer_free(tokenizer);
    }
}

static void test_files_that_would_be_read_half_right_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *more, *merges, *more_model;
        ErrCode code;
        const char *part;
    } bad[] = {
        {"",                                                                                                       "[]",        "",                                      ERR_INPUT,       "merges"               },
        {"",                                                                                                       "[\"a\"]",   "",                                      ERR_INPUT,       "one space between"    },
        {"",                                                                                                       "[\"a x\"]", "",                                      ERR_INPUT,       "not in the vocabulary"},
        {"",                                                                                                       "[\"a d\"]", "",                                      ERR_INPUT,       "not in the vocabulary"},
        {"",                                                                                                       "[[\"a\"]]", "",                                      ERR_INPUT,       "pair of strings"      },
        {"",                                                                                                       "7",         "",                                      ERR_INPUT,       "model.merges"         },
        {"",                                                                                                       "[\"a b\"]", ",\"dropout\":0.1",                      ERR_UNSUPPORTED, "dropout"              },
        {"",                                                                                                       "[\"a b\"]", ",\"continuing_subword_prefix\":\"##\"", ERR_UNSUPPORTED,
         "continuing_subword_prefix"                                                                                                                                                                             },
        {"",                                                                                                       "[\"a b\"]", ",\"end_of_word_suffix\":\"</w>\"",      ERR_UNSUPPORTED,
         "end_of_word_suffix"                                                                                                                                                                                    },
        {"",                                                                                                       "[\"a b\"]", ",\"unk_token\":\"<no>\"",               ERR_INPUT,       "unk_token"            },
        {",\"normalizer\":{\"type\":\"Mystery\"}",                                                                 "[\"a b\"]", "",                                      ERR_UNSUPPORTED, "Mystery"              },
        {",\"truncation\":1,\"normalizer\":7",                                                                     "[\"a b\"]", "",                                      ERR_INPUT,       "normalizer"           },
        {",\"post_processor\":{\"type\":\"BertProcessing\"}",                                                      "[\"a b\"]", "",                                      ERR_UNSUPPORTED,
         "BertProcessing"                                                                                                                                                                                        },
        {",\"post_processor\":{\"type\":\"TemplateProcessing\",\"single\":[{\"SpecialToken\":{\"id\":\"<x>\"}}]}",
         "[\"a b\"]",                                                                                                           "",                                      ERR_INPUT,       "<x>"                  },
        {",\"normalizer\":{\"type\":\"Prepend\",\"prepend\":\"a much longer text\"}",                              "[\"a b\"]",
         "",                                                                                                                                                             ERR_INPUT,       "normalizer Prepend"   },
        {",\"normalizer\":{\"type\":\"Replace\",\"pattern\":{\"Regex\":\"a+\"},\"content\":\"b\"}",
         "[\"a b\"]",                                                                                                           "",                                      ERR_UNSUPPORTED, "regular expression"   },
        {",\"decoder\":1",                                                                                         "[\"a b\"]", "",                                      ERR_INPUT,       "duplicate"            },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Err err;
        Tokenizer *tokenizer =
            parse_with(bad[i].more, bad[i].merges, bad[i].more_model, NULL, &err);
        assert_err(tokenizer, &err, bad[i].code, bad[i].part);
        assert_non_null(strstr(err.text, "t.json"));
    }
}

static void test_hostile_vocabularies_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        ErrCode code;
        const char *part;
    } bad[] = {
        {"",                                                                                                                                                             ERR_INPUT,       "not JSON"                                                                    },
        {"[]",                                                                                                                                                           ERR_INPUT,       "t.json"                                                                      },
        {"{\"model\":7}",                                                                                                                                                ERR_INPUT,       "model"                                                                       },
        {"{\"pre_tokenizer\":{\"type\":\"BertPreTokenizer\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_UNSUPPORTED,                                                                                                                                                                 "pre_tokenizer \"BertPreTokenizer\" is not supported; supported are ByteLevel"},
        {"{\"decoder\":{\"type\":\"WordPiece\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_UNSUPPORTED,                                                                                                                                                                 "decoder \"WordPiece\""                                                       },
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"Regex\":\"[a&&b]\"}},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_UNSUPPORTED,                                                                                                                                                                 "pre_tokenizer Split: the pattern"                                            },
        {"{\"pre_tokenizer\":{\"type\":\"Split\",\"pattern\":{\"String\":\"a\"},\"behavior\":\"Odd\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_UNSUPPORTED,                                                                                                                                                                 "behavior \"Odd\""                                                            },
        {"{\"pre_tokenizer\":{\"type\":\"Sequence\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_INPUT,                                                                                                                                                                       "\"pretokenizers\" is not a list"                                             },
        {"{\"pre_tokenizer\":{\"type\":\"Metaspace\",\"replacement\":\"_\",\"prepend_scheme\":\"odd\"},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_UNSUPPORTED,                                                                                                                                                                 "prepend_scheme \"odd\""                                                      },
        {"{\"decoder\":{\"type\":\"Strip\",\"content\":\" \",\"start\":1},\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}",
         ERR_UNSUPPORTED,                                                                                                                                                                 "behind Fuse"                                                                 },
        {"{\"model\":{\"type\":\"Unigram\"}}",                                                                                                                           ERR_UNSUPPORTED, "Unigram"                                                                     },
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":[],\"merges\":[]}}",                                                                                                    ERR_INPUT,       "vocab"                                                                       },
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":-1},\"merges\":[]}}",                                                                                            ERR_INPUT,       "id -1"                                                                       },
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":1.5},\"merges\":[]}}",                                                                                           ERR_INPUT,
         "integer"                                                                                                                                                                                                                                                      },
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":9999999999},\"merges\":[]}}",                                                                                    ERR_INPUT,
         "id 9999999999"                                                                                                                                                                                                                                                },
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"b\":0},\"merges\":[]}}",                                                                                     ERR_INPUT,
         "another token"                                                                                                                                                                                                                                                },
        {"{\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0,\"a\":1},\"merges\":[]}}",                                                                                     ERR_INPUT,
         "duplicate"                                                                                                                                                                                                                                                    },
        {"{\"added_tokens\":[{\"id\":4,\"content\":\"b\"},{\"id\":5,\"content\":\"b\"}],\"model\":{\"type\":\"BPE\","
         "\"vocab\":{\"a\":0},\"merges\":[]}}",                                                                                                                 ERR_INPUT,       "added_tokens"                                                                },
        {"{\"added_tokens\":[{\"id\":-4,\"content\":\"b\"}],\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},"
         "\"merges\":[]}}",                                                                                                                                     ERR_INPUT,       "added_tokens"                                                                },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Err err;
        assert_err(parse(bad[i].text, NULL, &err), &err, bad[i].code, bad[i].part);
    }
}

/* Steps that would see the joined text, and more steps than any tokenizer has. */
static void test_pipelines_that_cannot_be_run_are_refused(void **state)
{
    (void)state;
    static const char model[] = "\"model\":{\"type\":\"BPE\",\"vocab\":{\"a\":0},\"merges\":[]}}";
    static const struct {
        const char *section, *list, *step, *rest;
        int n;
        ErrCode code;
        const char *part;
    } bad[] = {
        {"decoder",    "decoders",    "{\"type\":\"Fuse\"}",                                ",{\"type\":\"ByteFallback\"}", 1,
         ERR_UNSUPPORTED,                                                                                                                  "behind Fuse only Strip"},
        {"decoder",    "decoders",    "{\"type\":\"Strip\",\"content\":\" \",\"start\":1}", "",                             1,
         ERR_UNSUPPORTED,                                                                                                                  "behind Fuse"           },
        {"normalizer", "normalizers", "{\"type\":\"NFC\"}",                                 "",                             40, ERR_INPUT,
         "normalizer: more than 32 steps"                                                                                                                          },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Buf text = {0};
        Err err;
        buf_printf(&text, "{\"%s\":{\"type\":\"Sequence\",\"%s\":[", bad[i].section, bad[i].list);
        for (int k = 0; k < bad[i].n; k++)
            buf_printf(&text, "%s%s", k ? "," : "", bad[i].step);
        buf_printf(&text, "%s]},%s", bad[i].rest, model);
        assert_err(parse(buf_text(&text), NULL, &err), &err, bad[i].code, bad[i].part);
        buf_free(&text);
    }
}

static void test_spm_vocabularies_are_checked(void **state)
{
    (void)state;
    static const SpmPiece good[] = {
        {"<unk>", 5, 0, TOKEN_UNKNOWN},
        {"<s>",   3, 0, TOKEN_CONTROL},
        {"a",     1, 0, TOKEN_NORMAL }
    };
    static const SpmPiece bad_byte[] = {
        {"<unk>",  5, 0, TOKEN_UNKNOWN},
        {"<0x-1>", 6, 0, TOKEN_BYTE   }
    };
    static const struct {
        SpmVocab vocab;
        const char *part;
    } bad[] = {
        {{.pieces = good, .n_pieces = 3, .bos_id = 3, .eos_id = -1, .unk_id = 0, .origin = "v"},
         "BOS id is 3"  },
        {{.pieces = good, .n_pieces = 3, .bos_id = 1, .eos_id = 900, .unk_id = 0, .origin = "v"},
         "EOS id is 900"},
        {{.pieces = good, .n_pieces = 3, .bos_id = 1, .eos_id = -1, .unk_id = 7, .origin = "v"},
         "id is 7"      },
        {{.pieces = good, .n_pieces = 0, .bos_id = -1, .eos_id = -1, .unk_id = -1, .origin = "v"},
         "vocabulary"   },
        {{.pieces = bad_byte,
          .n_pieces = 2,
          .bos_id = -1,
          .eos_id = -1,
          .unk_id = 0,
          .origin = "v"},
         "<0x-1>"       },
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Err err;
        assert_err(tokenizer_open_spm(&bad[i].vocab, &err), &err, ERR_INPUT, bad[i].part);
    }
}

/* llama2.c's file of four one-letter tokens: an int, then score, length and bytes of each; the length of the third is given. */
static const char *llama2c_file(const char *name, int32_t length, size_t n_bytes)
{
    unsigned char bytes[4 + 4 * 9 + 1] = {1};
    assert_true(n_bytes <= sizeof bytes);
    for (size_t i = 0; i < 4; i++) {
        int32_t n = i == 2 ? length : 1;
        memcpy(bytes + 4 + 9 * i + 4, &n, sizeof n);
        bytes[4 + 9 * i + 8] = (unsigned char)('a' + i);
    }
    return test_file(name, bytes, n_bytes);
}

static void test_llama2c_files_are_checked(void **state)
{
    (void)state;
    static const struct {
        int32_t length;
        int vocab_size;
        size_t n_bytes;
        const char *part;
    } bad[] = {
        {1,         4,       0,  "t.bin: truncated: token 0 of 4 needs 8 bytes at offset 4 of 0"},
        {1,         4,       3,  "truncated: token 0"                                           },
        {1,         4,       39, "token 3 at offset 31 has length 1, 0 bytes are left"          },
        {INT32_MAX, 4,       40, "token 2 at offset 22 has length 2147483647"                   },
        {-1,        4,       40, "token 2 at offset 22 has length -1"                           },
        {1,         4,       41, "1 bytes behind the last of 4 tokens"                          },
        {1,         5,       40, "truncated: token 4 of 5"                                      },
        {1,         3,       40, "a vocabulary of 3 tokens"                                     },
        {1,         1 << 30, 40, "a vocabulary of 1073741824 tokens"                            },
    };
    Err err;
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_err(tokenizer_open_llama2c(llama2c_file("t.bin", bad[i].length, bad[i].n_bytes),
                                          bad[i].vocab_size, &err),
                   &err, ERR_INPUT, bad[i].part);
    assert_err(tokenizer_open_llama2c("absent.bin", 4, &err), &err, ERR_INPUT, "absent.bin");
    Tokenizer *good = tokenizer_open_llama2c(llama2c_file("good.bin", 1, 40), 4, &err);
    assert_ok(good, &err);
    tokenizer_free(good);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_spellings_of_merges_give_the_same_ids),
        cmocka_unit_test(test_ignore_merges_takes_whole_words_first),
        cmocka_unit_test(test_bos_follows_the_documented_rule),
        cmocka_unit_test(test_files_that_would_be_read_half_right_are_refused),
        cmocka_unit_test(test_hostile_vocabularies_are_refused),
        cmocka_unit_test(test_pipelines_that_cannot_be_run_are_refused),
        cmocka_unit_test(test_spm_vocabularies_are_checked),
        cmocka_unit_test(test_llama2c_files_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
