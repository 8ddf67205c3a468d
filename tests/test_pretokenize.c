/* Pre-tokenizers and patterns against the published examples of the behaviours they imitate. */
#include "tests/test_util.h"

#include <string.h>

#include "base/str.h"
#include "models/byte_level.h"
#include "models/normalize.h"
#include "models/pretokenize.h"

static Regex *compile(const char *pattern)
{
    Err err;
    Regex *regex = regex_compile(pattern, strlen(pattern), false, &err);
    assert_ok(regex, &err);
    return regex;
}

/* Fails unless the pieces of a text, joined by bars, are as wanted. */
static void assert_pieces(const PreTokenizer *pre, const char *text, size_t n, bool at_start,
                          const char *want)
{
    Pieces pieces = {0};
    Buf got = {0};
    Err err;
    assert_ok(pretokenizer_apply(pre, text, n, at_start, &pieces, &err), &err);
    for (size_t i = 0; i < pieces.n; i++) {
        if (i) buf_putc(&got, '|');
        buf_append(&got, pieces.text.data + pieces.list[i].start, pieces.list[i].n);
    }
    assert_string_equal(buf_text(&got), want);
    buf_free(&got);
    pieces_free(&pieces);
}

static void assert_split(const char *pattern, SplitBehavior behavior, bool invert, const char *text,
                         const char *want)
{
    PreTokenizer pre = {0};
    pretokenizer_add_split(&pre, compile(pattern), behavior, invert);
    assert_pieces(&pre, text, strlen(text), true, want);
    pretokenizer_free(&pre);
}

/* Source: the documentation of Split in Hugging Face tokenizers. */
static void test_split_behaviours_are_the_documented_ones(void **state)
{
    (void)state;
    static const struct {
        SplitBehavior behavior;
        const char *want;
    } rows[] = {
        {SPLIT_REMOVED,              "the|final|countdown"      },
        {SPLIT_ISOLATED,             "the|-|final|-|-|countdown"},
        {SPLIT_MERGED_WITH_PREVIOUS, "the-|final-|-|countdown"  },
        {SPLIT_MERGED_WITH_NEXT,     "the|-final|-|-countdown"  },
        {SPLIT_CONTIGUOUS,           "the|-|final|--|countdown" },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_split("-", rows[i].behavior, false, "the-final--countdown", rows[i].want);
    assert_split("[a-z]+", SPLIT_REMOVED, true, "the-final--countdown", "the|final|countdown");
    assert_split("[a-z]+", SPLIT_MERGED_WITH_NEXT, true, "the-final", "the|-final");
}

static void test_split_at_empty_matches_cuts_there(void **state)
{
    (void)state;
    assert_split("(?=[A-Z])", SPLIT_ISOLATED, false, "CamelCaseText", "Camel|Case|Text");
    assert_split("x*", SPLIT_ISOLATED, false, "axxb", "a|xx|b");
}

static void test_bytes_that_are_not_utf8_are_kept_alone(void **state)
{
    (void)state;
    static const char text[] = "ab\xFF\xC3 c\xF0\x9F";
    static const char *const want[] = {[SPLIT_ISOLATED] = "ab|\xFF|\xC3| |c|\xF0|\x9F",
                                       [SPLIT_REMOVED] = "ab|\xFF|\xC3|c|\xF0|\x9F",
                                       [SPLIT_MERGED_WITH_PREVIOUS] = "ab|\xFF|\xC3| |c|\xF0|\x9F",
                                       [SPLIT_MERGED_WITH_NEXT] = "ab|\xFF|\xC3| c|\xF0|\x9F",
                                       [SPLIT_CONTIGUOUS] = "ab|\xFF|\xC3| |c|\xF0|\x9F"};
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        PreTokenizer pre = {0};
        pretokenizer_add_split(&pre, compile("[a-z]+"), (SplitBehavior)i, true);
        assert_pieces(&pre, text, sizeof text - 1, true, want[i]);
        pretokenizer_free(&pre);
    }
}

static void test_metaspace_schemes_mark_the_right_words(void **state)
{
    (void)state;
    static const struct {
        PrependScheme scheme;
        bool at_start;
        const char *text;
        const char *want;
    } rows[] = {
        {PREPEND_ALWAYS, true,  "Hey friend",  "_Hey|_friend" },
        {PREPEND_ALWAYS, false, "Hey friend",  "_Hey|_friend" },
        {PREPEND_ALWAYS, true,  " Hey",        "_Hey"         },
        {PREPEND_FIRST,  true,  "Hey friend",  "_Hey|_friend" },
        {PREPEND_FIRST,  false, "Hey friend",  "Hey|_friend"  },
        {PREPEND_NEVER,  true,  "Hey  friend", "Hey|_|_friend"},
        {PREPEND_ALWAYS, true,  "_Hey",        "_Hey"         },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        PreTokenizer pre = {0};
        pretokenizer_add_metaspace(&pre, "_", rows[i].scheme);
        pretokenizer_add_split(&pre, compile("_"), SPLIT_MERGED_WITH_NEXT, false);
        assert_pieces(&pre, rows[i].text, strlen(rows[i].text), rows[i].at_start, rows[i].want);
        pretokenizer_free(&pre);
    }
}

static void test_patterns_mean_what_oniguruma_means(void **state)
{
    (void)state;
    /* A line ends at every newline, and at no other break. */
    assert_split("b$", SPLIT_ISOLATED, false, "ab\nab\rab", "a|b|\nab\ra|b");
    /* A combining acute accent and a connector belong to a word. */
    assert_split("\\w+", SPLIT_ISOLATED, false, "e\xCC\x81t\xE2\x80\xBFx!",
                 "e\xCC\x81t\xE2\x80\xBFx|!");
    assert_split("[\\w]+", SPLIT_ISOLATED, false, "e\xCC\x81!", "e\xCC\x81|!");
    assert_split("\\W", SPLIT_ISOLATED, false, "e\xCC\x81!x", "e\xCC\x81|!|x");
    assert_split("[[:digit:]]+", SPLIT_ISOLATED, false, "a12", "a|12");
    assert_split("[^\\]x]", SPLIT_ISOLATED, false, "x]a", "x]|a");
    assert_split("(?i:'s)", SPLIT_ISOLATED, false, "IT'S", "IT|'S");
    assert_split("\\s+(?!\\S)|\\s+", SPLIT_ISOLATED, false, "a   b  ", "a|  | |b|  ");
}

static void test_patterns_that_mean_something_else_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        ErrCode code;
        const char *part;
    } rows[] = {
        {"",               ERR_INPUT,       "0 bytes"             },
        {"(a",             ERR_INPUT,       "ill-formed at byte 2"},
        {"a{2,1}",         ERR_INPUT,       "ill-formed"          },
        {"[\\p{L}&&[^a]]", ERR_UNSUPPORTED, "intersection"        },
        {"[a[bc]]",        ERR_UNSUPPORTED, "a class in a class"  },
        {"[\\W]",          ERR_UNSUPPORTED, "\\W in a class"      },
        {"\\h+",           ERR_UNSUPPORTED, "\\h"                 },
        {"\\C",            ERR_INPUT,       "ill-formed"          },
        {"a\x01(",         ERR_INPUT,       "a\\x01("             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err;
        assert_err(regex_compile(rows[i].pattern, strlen(rows[i].pattern), false, &err), &err,
                   rows[i].code, rows[i].part);
    }
    char *wide = malloc(40000);
    assert_non_null(wide);
    memset(wide, 'a', 40000);
    Err err;
    assert_err(regex_compile(wide, 40000, false, &err), &err, ERR_INPUT, "40000 bytes");
    free(wide);
}

/* A pattern that backtracks for ever ends in an error, not in a hang. */
static void test_a_catastrophic_pattern_gives_up(void **state)
{
    (void)state;
    PreTokenizer pre = {0};
    Pieces pieces = {0};
    Err err;
    char text[64];
    memset(text, 'a', sizeof text);
    pretokenizer_add_split(&pre, compile("(?:a|aa)+(?:b|c)"), SPLIT_ISOLATED, false);
    assert_err(pretokenizer_apply(&pre, text, sizeof text, true, &pieces, &err), &err, ERR_INPUT,
               "gave up at byte 0 of 64");
    pieces_free(&pieces);
    pretokenizer_free(&pre);
}

static void test_a_literal_pattern_is_plain_text(void **state)
{
    (void)state;
    Err err;
    PreTokenizer pre = {0};
    Regex *regex = regex_compile(".+", 2, true, &err);
    assert_ok(regex, &err);
    pretokenizer_add_split(&pre, regex, SPLIT_ISOLATED, false);
    assert_pieces(&pre, "a.+b", 4, true, "a|.+|b");
    pretokenizer_free(&pre);
}

/* Source: bytes_to_unicode of GPT-2: 256 different characters, printable Latin-1 unchanged, space is U+0120. */
static void test_byte_alphabet_is_a_bijection(void **state)
{
    (void)state;
    char bytes[256];
    Buf spelling = {0};
    Buf back = {0};
    for (int b = 0; b < 256; b++)
        bytes[b] = (char)b;
    byte_level_spell(bytes, sizeof bytes, &spelling);
    assert_true(byte_level_read(spelling.data, spelling.len, &back));
    assert_int_equal(back.len, 256);
    assert_memory_equal(back.data, bytes, 256);
    buf_clear(&spelling);
    byte_level_spell(" \n\xAD\xFF\x7F~", 6, &spelling);
    assert_string_equal(buf_text(&spelling), "\xC4\xA0\xC4\x8A\xC5\x83\xC3\xBF\xC4\xA1~");
    buf_clear(&back);
    assert_false(byte_level_read("a b", 3, &back));
    assert_int_equal(back.len, 0);
    buf_free(&spelling);
    buf_free(&back);
}

static void test_normalisers_leave_other_bytes_alone(void **state)
{
    (void)state;
    static const struct {
        NormalizeKind kind;
        const char *from, *to, *text, *want;
    } rows[] = {
        {NORMALIZE_NFC,     NULL, NULL,
         "\xFF"
         "e\xCC\x81\xC3",                                       "\xFF\xC3\xA9\xC3"},
        {NORMALIZE_NFD,     NULL, NULL, "a\xC3\xA9",            "ae\xCC\x81"      },
        {NORMALIZE_NFKC,    NULL, NULL, "\xEF\xAC\x81",         "fi"              },
        {NORMALIZE_NFKD,    NULL, NULL, "\xEF\xAC\x81\xC3\xA9", "fie\xCC\x81"     },
        {NORMALIZE_PREPEND, NULL, "_",  "a",                    "_a"              },
        {NORMALIZE_PREPEND, NULL, "_",  "",                     ""                },
        {NORMALIZE_REPLACE, "ab", "c",
         "aabab\xFF"
         "ba",                                                  "acc\xFF"
         "ba"                                                       },
        {NORMALIZE_REPLACE, "a",  "",   "banana",               "bnn"             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Normalizer normalizer = {0};
        Buf out = {0};
        Err err;
        normalizer_add(&normalizer, rows[i].kind, rows[i].from, rows[i].to);
        assert_ok(normalizer_apply(&normalizer, rows[i].text, strlen(rows[i].text), &out, &err),
                  &err);
        assert_string_equal(buf_text(&out), rows[i].want);
        buf_free(&out);
        normalizer_free(&normalizer);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_split_behaviours_are_the_documented_ones),
        cmocka_unit_test(test_split_at_empty_matches_cuts_there),
        cmocka_unit_test(test_bytes_that_are_not_utf8_are_kept_alone),
        cmocka_unit_test(test_metaspace_schemes_mark_the_right_words),
        cmocka_unit_test(test_patterns_mean_what_oniguruma_means),
        cmocka_unit_test(test_patterns_that_mean_something_else_are_refused),
        cmocka_unit_test(test_a_catastrophic_pattern_gives_up),
        cmocka_unit_test(test_a_literal_pattern_is_plain_text),
        cmocka_unit_test(test_byte_alphabet_is_a_bijection),
        cmocka_unit_test(test_normalisers_leave_other_bytes_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
