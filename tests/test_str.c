/* Strings: numbers in and out, UTF-8, escaping, distance. */
#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/rng.h"
#include "base/str.h"

/* Edits between two strings by trying all three at each place. */
static int distance_by_recursion(const char *a, const char *b)
{
    if (!*a) return (int)strlen(b);
    if (!*b) return (int)strlen(a);
    int change = distance_by_recursion(a + 1, b + 1) + (*a != *b);
    int drop = distance_by_recursion(a + 1, b) + 1;
    int add = distance_by_recursion(a, b + 1) + 1;
    int best = drop < add ? drop : add;
    return change < best ? change : best;
}

static void test_str_distance_equals_its_recursive_twin(void **state)
{
    (void)state;
    Rng rng = rng_open(1, 2, 3, 4);
    for (int trial = 0; trial < 300; trial++) {
        char text[2][7] = {{0}, {0}};
        for (int k = 0; k < 2; k++) {
            uint32_t n = rng_below(&rng, 7);
            for (uint32_t i = 0; i < n; i++)
                text[k][i] = (char)('a' + (char)rng_below(&rng, 3));
        }
        assert_int_equal(str_distance(text[0], text[1]), distance_by_recursion(text[0], text[1]));
    }
}

static void test_str_distance_of_long_strings_is_far(void **state)
{
    (void)state;
    char text[65];
    memset(text, 'a', 64);
    text[64] = '\0';
    assert_true(str_distance(text, text) > 100);
    assert_true(str_distance("a", text) > 100);
    assert_int_equal(str_distance(text + 1, text + 1), 0);
}

static void test_str_to_double_reads_whole_finite_decimals_only(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } good[] = {
        {"0",       0.0    },
        {"-0.25",   -0.25  },
        {"+1",      1.0    },
        {".5",      0.5    },
        {"5.",      5.0    },
        {"1e3",     1000.0 },
        {"1E-3",    0.001  },
        {"1e-400",  0.0    },
        {"10000.0", 10000.0},
        {"1e308",   1e308  },
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        double v = -7.0;
        if (!str_to_double(good[i].text, &v)) fail_msg("\"%s\" was refused", good[i].text);
        assert_close(v, good[i].value, 0.0, 0.0);
    }
    static const char *const bad[] = {
        "",  " ", " 1", "1 ", "1,5", "0x10",  "1e400", "-1e400", "nan", "-nan", "inf", "-inf",
        "+", "-", ".",  "e5", "1e",  "1.2.3", "--1",   "4k",     "1p3", "\t1",  "1\n", "infinity"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        double v = -7.0;
        if (str_to_double(bad[i], &v)) fail_msg("\"%s\" was read as %g", bad[i], v);
        assert_close(v, -7.0, 0.0, 0.0);
    }
}

static void test_str_to_i64_reads_whole_decimal_integers_only(void **state)
{
    (void)state;
    int64_t v = 0;
    assert_true(str_to_i64("9223372036854775807", &v));
    assert_true(v == INT64_MAX);
    assert_true(str_to_i64("-9223372036854775808", &v));
    assert_true(v == INT64_MIN);
    assert_true(str_to_i64("+010", &v));
    assert_int_equal(v, 10);
    static const char *const bad[] = {
        "",   " 1",  "1 ", "0x10", "1.0", "1e3", "9223372036854775808",
        "4k", "+-1", "-",  ".5",   "1_0", "٣",   "-9223372036854775809"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        v = -7;
        if (str_to_i64(bad[i], &v)) fail_msg("\"%s\" was read as %lld", bad[i], (long long)v);
        assert_int_equal(v, -7);
    }
}

static void test_str_to_size_takes_suffixes_and_refuses_overflow(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {
        {"0",                 0                        },
        {"4096",              4096                     },
        {"4k",                4096                     },
        {"4K",                4096                     },
        {"2m",                2097152                  },
        {"1M",                1048576                  },
        {"-1k",               -1024                    },
        {"8796093022207m",    8796093022207LL << 20    },
        {"9007199254740991k", 9007199254740991LL * 1024},
    };
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        int64_t v = -7;
        if (!str_to_size(good[i].text, &v)) fail_msg("\"%s\" was refused", good[i].text);
        assert_true(v == good[i].value);
    }
    static const char *const bad[] = {"",
                                      "k",
                                      "4kk",
                                      "4 k",
                                      "1.5k",
                                      "4g",
                                      "0x1k",
                                      "k4",
                                      " 4k",
                                      "4k ",
                                      "8796093022208m",
                                      "9007199254740992k",
                                      "00000000000000000000000000000001"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        int64_t v = -7;
        if (str_to_size(bad[i], &v)) fail_msg("\"%s\" was read as %lld", bad[i], (long long)v);
        assert_int_equal(v, -7);
    }
}

static void test_str_from_double_is_short_and_reads_back(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } known[] = {
        {0.1,    "0.1"               },
        {1e-5,   "1e-05"             },
        {1.0,    "1"                 },
        {-2.5,   "-2.5"              },
        {10.0,   "10"                },
        {2e6,    "2000000"           },
        {1e22,   "1e+22"             },
        {5e-324, "5e-324"            },
        {0.3,    "0.3"               },
        {1 / 3., "0.3333333333333333"},
    };
    char text[32];
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        str_from_double(known[i].value, text);
        assert_string_equal(text, known[i].text);
    }
    Rng rng = rng_open(5, 0, 0, 0);
    for (int i = 0; i < 1000; i++) {
        double v = ldexp(rng_unit(&rng) - 0.5, (int)rng_below(&rng, 2000) - 1000);
        str_from_double(v, text);
        double back = 0.0;
        assert_true(str_to_double(text, &back));
        assert_close(back, v, 0.0, 0.0);
    }
}

/* The one well-formed spelling of a code point, in arithmetic; 0 for surrogates. */
static int utf8_twin(uint32_t c, char out[4])
{
    if (c >= 0xD800 && c <= 0xDFFF) return 0;
    int len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    const uint32_t lead[] = {0, 0, 192, 224, 240};
    uint32_t rest = c;
    for (int i = len - 1; i > 0; i--, rest /= 64)
        out[i] = (char)(128 + rest % 64);
    out[0] = (char)(lead[len] + rest);
    return len;
}

static void test_every_code_point_is_written_and_read_as_utf8(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10FFFF; c++) {
        char want[4];
        int len = utf8_twin(c, want);
        if (len == 0) continue;
        char got[4];
        uint32_t back = 0xFFFFFFFF;
        if (str_utf8_put(c, got) != len || memcmp(got, want, (size_t)len) != 0)
            fail_msg("U+%04X is written wrongly", c);
        if (str_utf8_char(want, (size_t)len, &back) != len || back != c)
            fail_msg("U+%04X is read wrongly", c);
        if (str_utf8_char(want, (size_t)len - 1, NULL) != 0) fail_msg("U+%04X is read cut", c);
    }
}

static void test_three_byte_sequences_are_read_only_if_well_formed(void **state)
{
    (void)state;
    int n_good = 0;
    for (uint32_t bits = 0; bits < 1U << 24; bits++) {
        /* Bytes in the middle of a class behave alike; its edges are all tried. */
        if ((bits & 0x3F) != 0 && (bits & 0x3F) != 0x3F) continue;
        char bytes[3] = {(char)(bits >> 16), (char)(bits >> 8), (char)bits};
        uint32_t c;
        if (str_utf8_char(bytes, 3, &c) != 3) continue;
        char want[4];
        if (utf8_twin(c, want) != 3 || memcmp(bytes, want, 3) != 0)
            fail_msg("%06X is no well-formed character", bits);
        n_good++;
    }
    /* Of each 64 code points that take three bytes, two were tried. */
    assert_int_equal(n_good, (0x10000 - 0x800 - 0x800) / 64 * 2);
}

static void assert_escaped(const char *bytes, size_t n, size_t cap, const char *want)
{
    char out[64];
    memset(out, 'Z', sizeof out);
    str_escape(bytes, n, out, cap);
    assert_string_equal(out, want);
    for (size_t i = cap; i < sizeof out; i++)
        assert_int_equal(out[i], 'Z');
}

static void test_str_escape_shows_what_cannot_be_seen(void **state)
{
    (void)state;
    /* Spelled by bytes: as a literal they would mislead the reader of this page. */
    static const char override[] = {'\xe2', '\x80', '\xae'};
    static const char isolate[] = {'\xe2', '\x81', '\xa6'};
    static const struct {
        const char *bytes;
        size_t n;
        const char *want;
    } known[] = {
        {"plain é 漢 😀", 17, "plain é 漢 😀"},
        {"a\nb\tc",           5,  "a\\x0ab\\x09c"    },
        {"\x1b[31m",          5,  "\\x1b[31m"        },
        {"a\0b",              3,  "a\\x00b"          },
        {"\x7f",              1,  "\\x7f"            },
        {"\xc2\x9b",          2,  "\\xc2\\x9b"       },
        {override,            3,  "\\xe2\\x80\\xae"  },
        {isolate,             3,  "\\xe2\\x81\\xa6"  },
        {"\xef\xbb\xbfx",     4,  "\\xef\\xbb\\xbfx" },
        {"\xff\xfe",          2,  "\\xff\\xfe"       },
        {"\xc0\xaf",          2,  "\\xc0\\xaf"       },
        {"\xed\xa0\x80",      3,  "\\xed\\xa0\\x80"  },
        {"\xe6\xbc",          2,  "\\xe6\\xbc"       },
        {"",                  0,  ""                 },
    };
    for (size_t i = 0; i < COUNT_OF(known); i++)
        assert_escaped(known[i].bytes, known[i].n, 60, known[i].want);
}

static void test_str_escape_cuts_only_what_does_not_fit(void **state)
{
    (void)state;
    assert_escaped("abcdef", 6, 7, "abcdef");
    assert_escaped("abcdefg", 7, 7, "abc…");
    assert_escaped("ab\xc3\xa9"
                   "de",
                   6, 7, "abéde");
    assert_escaped("ab\xc3\xa9"
                   "def",
                   7, 7, "ab…");
    assert_escaped("a\n", 2, 6, "a\\x0a");
    assert_escaped("a\nb", 3, 6, "a…");
    assert_escaped("abcd", 4, 4, "…");
    assert_escaped("abc", 3, 4, "abc");
    assert_escaped("abc", 3, 3, "");
    assert_escaped("abc", 3, 1, "");
    char untouched = 'Z';
    str_escape("abc", 3, &untouched, 0);
    assert_int_equal(untouched, 'Z');
}

static void test_str_prefix_suffix_and_format(void **state)
{
    (void)state;
    assert_true(str_starts_with("model.json", "model"));
    assert_false(str_starts_with("mod", "model"));
    assert_true(str_ends_with("model.json", ".json"));
    assert_true(str_ends_with("x", ""));
    assert_false(str_ends_with("n", ".json"));
    char *copy = str_dup_n("abcdef", 3);
    assert_string_equal(copy, "abc");
    free(copy);
    char *text = str_format("%s-%d", "a very long prefix indeed", 42);
    assert_string_equal(text, "a very long prefix indeed-42");
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_str_distance_equals_its_recursive_twin),
        cmocka_unit_test(test_str_distance_of_long_strings_is_far),
        cmocka_unit_test(test_str_to_double_reads_whole_finite_decimals_only),
        cmocka_unit_test(test_str_to_i64_reads_whole_decimal_integers_only),
        cmocka_unit_test(test_str_to_size_takes_suffixes_and_refuses_overflow),
        cmocka_unit_test(test_str_from_double_is_short_and_reads_back),
        cmocka_unit_test(test_every_code_point_is_written_and_read_as_utf8),
        cmocka_unit_test(test_three_byte_sequences_are_read_only_if_well_formed),
        cmocka_unit_test(test_str_escape_shows_what_cannot_be_seen),
        cmocka_unit_test(test_str_escape_cuts_only_what_does_not_fit),
        cmocka_unit_test(test_str_prefix_suffix_and_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
