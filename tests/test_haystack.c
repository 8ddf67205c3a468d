#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"
#include "datasets/haystack.h"

enum { DIGITS = 5, BUDGET = DIGITS + 1 };

static Backend fake;
static Tokenizer *walker_tokenizer;
static Backend walker;

static int open_backends(void **state)
{
    (void)state;
    Err err = {0};
    backend_open_fake(&fake, 1 << 20);
    walker_tokenizer = tokenizer_open_json("models/walker/tokenizer.json", NULL, &err);
    assert_ok(walker_tokenizer, &err);
    backend_open_text(&walker, walker_tokenizer, 512);
    return 0;
}

static int close_backends(void **state)
{
    (void)state;
    backend_close(&fake);
    backend_close(&walker);
    tokenizer_free(walker_tokenizer);
    return 0;
}

static Haystack *open_haystack(const Backend *backend, const Corpus *text)
{
    Err err = {0};
    HaystackOptions options = {
        .seed = 7, .n_digits = DIGITS, .with_bos = true, .with_preface = true, .text = text};
    Haystack *haystack = haystack_open(&options, backend, &err);
    assert_ok(haystack, &err);
    return haystack;
}

static HaystackPrompt build(const Haystack *haystack, HaystackAsk ask)
{
    Err err = {0};
    HaystackPrompt prompt;
    assert_ok(haystack_build(haystack, &ask, &prompt, &err), &err);
    return prompt;
}

static Corpus *open_corpus(const Backend *backend)
{
    static const char text[] = "In the beginning was line 1. It had 12 words, or so!\n"
                               "Then came 3.14 and 98765, without an end.\n"
                               "Nobody counted them, did they? They did not.\n";
    Err err = {0};
    DocumentSplit split = {0};
    Corpus *corpus =
        corpus_open(test_file("filler.txt", text, sizeof text - 1), &split, backend, &err);
    assert_ok(corpus, &err);
    return corpus;
}

static int count_in(const char *text, const char *part)
{
    int n = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        n++;
    return n;
}

static void check_prompt(const HaystackPrompt *prompt, const Backend *backend, int64_t n_ctx)
{
    assert_int_equal(prompt->n_prompt, n_ctx - BUDGET);
    assert_int_equal(prompt->tokens.n, prompt->n_prompt + prompt->n_answer);
    assert_int_equal(prompt->tokens.ids[0], 256);
    for (size_t i = 1; i < prompt->tokens.n; i++)
        assert_int_not_equal(prompt->tokens.ids[i], 256);
    Buf text = {0};
    backend_decode(backend, prompt->tokens.ids, prompt->tokens.n, true, &text);
    assert_int_equal(strlen(prompt->key), DIGITS);
    assert_int_equal(count_in(buf_text(&text), prompt->key), 3);
    buf_free(&text);
}

static void test_haystack_prompt_has_exact_length_and_a_key_found_nowhere_else(void **state)
{
    (void)state;
    Corpus *corpus = open_corpus(&fake);
    const Corpus *texts[] = {NULL, corpus};
    for (int t = 0; t < 2; t++) {
        Haystack *haystack = open_haystack(&fake, texts[t]);
        int64_t smallest = haystack_min_n_ctx(haystack);
        for (int64_t i = 0; i < 6000; i++) {
            HaystackAsk ask = {smallest + i % 311, (double)(i % 10) / 9.0, i / 10, false};
            HaystackPrompt prompt = build(haystack, ask);
            check_prompt(&prompt, &fake, ask.n_ctx);
            haystack_prompt_free(&prompt);
        }
        haystack_close(haystack);
    }
    corpus_free(corpus);
}

static void test_haystack_prompt_reads_as_written(void **state)
{
    (void)state;
    HaystackOptions options = {.seed = 1, .n_digits = 2};
    Err err = {0};
    Haystack *haystack = haystack_open(&options, &fake, &err);
    assert_ok(haystack, &err);
    HaystackPrompt prompt = build(haystack, (HaystackAsk){185, 0.4, 0, false});
    Buf text = {0};
    backend_decode(&fake, prompt.tokens.ids, prompt.tokens.n, true, &text);
    char *want =
        str_format("The grass is green. The sky is blue. The pass key is %s. Remember it. "
                   "%s is the pass key. The sun is yellow. Here we go. There and back again. "
                   " What is the pass key? The pass key is %s",
                   prompt.key, prompt.key, prompt.key);
    assert_string_equal(buf_text(&text), want);
    free(want);
    buf_free(&text);
    haystack_prompt_free(&prompt);
    haystack_close(haystack);
}

static void test_haystack_walker_needle_has_the_published_tokens(void **state)
{
    (void)state;
    static const int32_t want[] = {289, 101, 322, 335, 287, 32,  -1, -1, -1, -1,
                                   -1,  46,  497, 419, 314, 46,  32, -1, -1, -1,
                                   -1,  -1,  287, 259, 322, 335, 46, 32};
    Haystack *haystack = open_haystack(&walker, NULL);
    HaystackPrompt prompt = build(haystack, (HaystackAsk){256, 0.0, 0, false});
    assert_int_equal(prompt.needle_n, COUNT_OF(want));
    for (size_t i = 0; i < COUNT_OF(want); i++) {
        int32_t id = prompt.tokens.ids[(size_t)prompt.needle_first + i];
        if (want[i] >= 0)
            assert_int_equal(id, want[i]);
        else
            assert_in_range(id, '0', '9');
    }
    assert_int_equal(prompt.n_answer, DIGITS);
    assert_int_equal(prompt.tokens.ids[prompt.n_prompt - 1], ' ');
    haystack_prompt_free(&prompt);
    haystack_close(haystack);
}

static void test_haystack_of_a_real_tokenizer_is_exact_too(void **state)
{
    (void)state;
    Corpus *corpus = open_corpus(&walker);
    const Corpus *texts[] = {NULL, corpus};
    for (int t = 0; t < 2; t++) {
        Haystack *haystack = open_haystack(&walker, texts[t]);
        for (int64_t i = 0; i < 500; i++) {
            HaystackAsk ask = {100 + 7 * (i % 100), (double)(i % 10) / 9.0, i, false};
            HaystackPrompt prompt = build(haystack, ask);
            check_prompt(&prompt, &walker, ask.n_ctx);
            haystack_prompt_free(&prompt);
        }
        haystack_close(haystack);
    }
    corpus_free(corpus);
}

static void test_haystack_shorter_filler_is_a_prefix_of_longer(void **state)
{
    (void)state;
    Corpus *corpus = open_corpus(&fake);
    Haystack *haystack = open_haystack(&fake, corpus);
    HaystackPrompt prompt_short = build(haystack, (HaystackAsk){300, 1.0, 0, false});
    HaystackPrompt prompt_long = build(haystack, (HaystackAsk){900, 1.0, 3, false});
    assert_memory_equal(prompt_short.tokens.ids, prompt_long.tokens.ids,
                        (size_t)prompt_short.needle_first * sizeof(int32_t));
    assert_true(prompt_short.needle_first > 60);
    haystack_prompt_free(&prompt_short);
    haystack_prompt_free(&prompt_long);
    haystack_close(haystack);
    corpus_free(corpus);
}

static void test_haystack_control_differs_only_by_the_needle(void **state)
{
    (void)state;
    Haystack *haystack = open_haystack(&fake, NULL);
    HaystackPrompt with = build(haystack, (HaystackAsk){400, 0.5, 2, false});
    HaystackPrompt without = build(haystack, (HaystackAsk){400, 0.5, 2, true});
    assert_string_equal(with.key, without.key);
    assert_int_equal(with.n_prompt, without.n_prompt);
    assert_int_equal(with.tokens.n, without.tokens.n);
    assert_int_equal(without.needle_first, -1);
    Buf text = {0};
    backend_decode(&fake, without.tokens.ids, (size_t)without.n_prompt, true, &text);
    assert_null(strstr(buf_text(&text), without.key));
    assert_memory_equal(with.tokens.ids, without.tokens.ids,
                        (size_t)with.needle_first * sizeof(int32_t));
    buf_free(&text);
    haystack_prompt_free(&with);
    haystack_prompt_free(&without);
    haystack_close(haystack);
}

static void test_haystack_depth_is_off_by_one_sentence_at_most(void **state)
{
    (void)state;
    Haystack *haystack = open_haystack(&fake, NULL);
    HaystackPrompt ends = build(haystack, (HaystackAsk){700, 0.0, 0, false});
    int64_t first = ends.needle_first;
    int64_t n_filler = 700 - haystack_min_n_ctx(haystack);
    haystack_prompt_free(&ends);
    for (int i = 0; i <= 100; i++) {
        HaystackPrompt prompt = build(haystack, (HaystackAsk){700, i / 100.0, 0, false});
        double asked = (double)first + i / 100.0 * (double)n_filler;
        assert_true(fabs((double)prompt.needle_first - asked) <=
                    (double)strlen("There and back again. "));
        int32_t before = prompt.tokens.ids[prompt.needle_first - 1];
        bool is_last = prompt.needle_first == first + n_filler;
        assert_true(is_last || before == ' ' || before == '.');
        haystack_prompt_free(&prompt);
    }
    haystack_close(haystack);
}

static void test_haystack_same_seed_same_prompt_other_seed_other_key(void **state)
{
    (void)state;
    Haystack *haystack = open_haystack(&fake, NULL);
    HaystackPrompt a = build(haystack, (HaystackAsk){300, 0.25, 1, false});
    HaystackPrompt other = build(haystack, (HaystackAsk){300, 0.25, 2, false});
    HaystackPrompt b = build(haystack, (HaystackAsk){300, 0.25, 1, false});
    assert_int_equal(a.tokens.n, b.tokens.n);
    assert_memory_equal(a.tokens.ids, b.tokens.ids, a.tokens.n * sizeof(int32_t));
    assert_string_not_equal(a.key, other.key);
    haystack_prompt_free(&a);
    haystack_prompt_free(&b);
    haystack_prompt_free(&other);
    haystack_close(haystack);
}

static void test_haystack_too_short_a_length_is_an_error_at_once(void **state)
{
    (void)state;
    Err err = {0};
    Haystack *haystack = open_haystack(&walker, NULL);
    HaystackPrompt prompt;
    HaystackAsk ask = {64, 0.5, 0, false};
    assert_true(haystack_min_n_ctx(haystack) > 64);
    assert_true(haystack_min_n_ctx(haystack) < 100);
    assert_err(haystack_build(haystack, &ask, &prompt, &err), &err, ERR_INPUT, "64");
    ask.n_ctx = 100;
    assert_ok(haystack_build(haystack, &ask, &prompt, &err), &err);
    assert_int_equal(prompt.n_prompt, 94);
    haystack_prompt_free(&prompt);
    haystack_close(haystack);
}

static void test_haystack_gives_up_where_the_filler_holds_every_key(void **state)
{
    (void)state;
    Err err = {0};
    DocumentSplit split = {0};
    static const char text[] = "1 2 3 4 5 6 7 8 9. ";
    Corpus *corpus =
        corpus_open(test_file("digits.txt", text, sizeof text - 1), &split, &fake, &err);
    assert_ok(corpus, &err);
    HaystackOptions options = {.n_digits = 1, .text = corpus};
    Haystack *haystack = haystack_open(&options, &fake, &err);
    assert_ok(haystack, &err);
    HaystackAsk ask = {300, 0.5, 0, false};
    HaystackPrompt prompt;
    assert_err(haystack_build(haystack, &ask, &prompt, &err), &err, ERR_INPUT, "more digits");
    haystack_close(haystack);
    corpus_free(corpus);
}

static void test_haystack_judge_takes_the_first_integer_digit_for_digit(void **state)
{
    (void)state;
    static const struct {
        const char *answer;
        const char *key;
        bool is_complete;
        AnswerVerdict want;
    } cases[] = {
        {"12345.",             "12345", true,  ANSWER_HIT },
        {" 12345",             "12345", true,  ANSWER_HIT },
        {"the key is 12345, ", "12345", false, ANSWER_HIT },
        {"123456",             "12345", true,  ANSWER_MISS},
        {"012345",             "12345", false, ANSWER_MISS},
        {"",                   "12345", true,  ANSWER_MISS},
        {"",                   "12345", false, ANSWER_OPEN},
        {"12345",              "12345", false, ANSWER_OPEN},
        {"123",                "12345", false, ANSWER_OPEN},
        {"124",                "12345", false, ANSWER_MISS},
        {"1 12345",            "12345", true,  ANSWER_MISS},
        {"5123",               "5",     true,  ANSWER_MISS},
        {"5.",                 "5",     true,  ANSWER_HIT },
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_int_equal(haystack_judge(cases[i].answer, cases[i].key, cases[i].is_complete),
                         cases[i].want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_haystack_prompt_has_exact_length_and_a_key_found_nowhere_else),
        cmocka_unit_test(test_haystack_prompt_reads_as_written),
        cmocka_unit_test(test_haystack_walker_needle_has_the_published_tokens),
        cmocka_unit_test(test_haystack_of_a_real_tokenizer_is_exact_too),
        cmocka_unit_test(test_haystack_shorter_filler_is_a_prefix_of_longer),
        cmocka_unit_test(test_haystack_control_differs_only_by_the_needle),
        cmocka_unit_test(test_haystack_depth_is_off_by_one_sentence_at_most),
        cmocka_unit_test(test_haystack_same_seed_same_prompt_other_seed_other_key),
        cmocka_unit_test(test_haystack_too_short_a_length_is_an_error_at_once),
        cmocka_unit_test(test_haystack_gives_up_where_the_filler_holds_every_key),
        cmocka_unit_test(test_haystack_judge_takes_the_first_integer_digit_for_digit),
    };
    return cmocka_run_group_tests(tests, open_backends, close_backends);
}
