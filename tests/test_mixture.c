/* Rows to train on, read back from what their tokens spell: a twin works out part, weights and keys from the text alone. */
#include "tests/test_util.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/str.h"
#include "datasets/haystack.h"
#include "datasets/mixture.h"

enum { BOS = 256, MAX_LENGTH = 512, N_ROWS = 6000, SEED = 11 };

static Tokenizer *tokenizer;
static Backend walker;
static Corpus *text;

typedef struct {
    int64_t length;
    MixturePart part;
    int32_t tokens[MAX_LENGTH + 1];
    float weights[MAX_LENGTH];
    char spelt[8 * MAX_LENGTH];   /* what the tokens behind BOS spell */
    int token_of[8 * MAX_LENGTH]; /* by byte of spelt: index into weights */
} Row;

/* Sentences of random words, a file a document, none of them with a digit. */
static void write_text(const char *name, uint32_t stream)
{
    static const char *const words[] = {"the",  "king", "went", "out",   "of",   "his",  "house",
                                        "and",  "saw",  "that", "water", "was",  "over", "all",
                                        "land", "so",   "he",   "said",  "unto", "them", "people"};
    Rng rng = rng_open(5, stream, 0, 0);
    Buf out = {0};
    while (out.len < 20000) {
        int n = 3 + (int)rng_below(&rng, 15);
        buf_puts(&out, "And");
        for (int i = 0; i < n; i++)
            buf_printf(&out, " %s", words[rng_below(&rng, COUNT_OF(words))]);
        buf_puts(&out, ".\n");
    }
    test_file(name, out.data, out.len);
    buf_free(&out);
}

static int open_all(void **state)
{
    (void)state;
    Err err = {0};
    DocumentSplit split = {0};
    tokenizer = tokenizer_open_json("models/walker/tokenizer.json", NULL, &err);
    assert_ok(tokenizer, &err);
    backend_open_text(&walker, tokenizer, 512);
    char *folder = str_format("%s/text", test_folder());
    mkdir(folder, 0777);
    write_text("text/a", 1);
    write_text("text/b", 2);
    test_file("text/c", "Too short.\n", 11);
    text = corpus_open(folder, &split, &walker, &err);
    assert_ok(text, &err);
    free(folder);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    corpus_free(text);
    backend_close(&walker);
    tokenizer_free(tokenizer);
    return 0;
}

static Mixture *open_mixture(const MixtureOptions *options)
{
    Err err = {0};
    Mixture *mixture = mixture_open(options, &walker, text, SEED, &err);
    assert_ok(mixture, &err);
    return mixture;
}

static MixtureOptions defaults(void)
{
    MixtureOptions options;
    params_default(mixture_params(), &options);
    return options;
}

/* Rows of one part only. */
static Mixture *open_part(MixturePart part)
{
    MixtureOptions options = defaults();
    options.passkey = part == MIXTURE_PASSKEY;
    options.repeat = part == MIXTURE_REPEAT;
    options.recall = part == MIXTURE_RECALL;
    return open_mixture(&options);
}

static void spell(Row *row)
{
    Buf out = {0};
    for (int64_t i = 0; i < row->length; i++) {
        size_t before = out.len;
        backend_decode(&walker, &row->tokens[i + 1], 1, false, &out);
        for (size_t j = before; j < out.len; j++)
            row->token_of[j] = (int)i;
    }
    assert_true(out.len < sizeof row->spelt);
    memcpy(row->spelt, buf_text(&out), out.len + 1);
    buf_free(&out);
}

static void make_row(const Mixture *mixture, MixtureAsk ask, Row *row)
{
    Err err = {0};
    row->length = ask.length;
    row->tokens[ask.length] = -1;
    MixtureRow out = {.tokens = row->tokens, .weights = row->weights};
    assert_ok(mixture_row(mixture, &ask, &out, &err), &err);
    row->part = out.part;
    assert_int_equal(row->tokens[0], BOS);
    for (int64_t i = 1; i <= ask.length; i++) {
        assert_in_range(row->tokens[i], 0, 511);
        assert_int_not_equal(row->tokens[i], BOS);
    }
    spell(row);
}

/* Where n tokens stand within one document of the text, or -1. */
static int64_t find_in_text(const int32_t *ids, int64_t n)
{
    for (int64_t d = 0; d < text->n_documents; d++)
        for (int64_t i = 0; i + n <= text->documents[d].n; i++)
            if (memcmp(text->tokens + text->documents[d].first + i, ids, (size_t)n * sizeof *ids) ==
                0)
                return text->documents[d].first + i;
    return -1;
}

static void expect_weight(float *want, const Row *row, const char *at, size_t n, float weight)
{
    for (const char *c = at; c < at + n; c++)
        want[row->token_of[c - row->spelt]] = weight;
}

static void assert_weights(const Row *row, const float *want)
{
    for (int64_t i = 0; i < row->length; i++)
        assert_close(row->weights[i], want[i], 0, 0);
}

typedef struct {
    char key[HAYSTACK_MAX_DIGITS + 1];
    bool with_preface;
    int64_t n_tokens; /* of the document, BOS left out */
    int64_t n_before; /* filler tokens before the needle */
    int64_t n_after;
    int32_t first_filler;
    const char *filler; /* before the needle, in spelt */
} Found;

static const char preface[] = "There is a pass key hidden in this text. Find it and remember it. ";
static const char needle_start[] = "The pass key is ";
static const char question[] = "What is the pass key? The pass key is ";

/* Reads a document back by its text; fills in the weights it should have. */
static Found read_passkey(const Row *row, float *want)
{
    Found found = {0};
    char needle[128], answer[64];
    const char *s = row->spelt;
    found.with_preface = str_starts_with(s, preface);
    found.filler = s + (found.with_preface ? strlen(preface) : 0);
    const char *said = strstr(s, needle_start);
    assert_non_null(said);
    const char *digits = said + strlen(needle_start);
    size_t n = strspn(digits, "0123456789");
    assert_in_range(n, 1, HAYSTACK_MAX_DIGITS);
    memcpy(found.key, digits, n);
    snprintf(needle, sizeof needle, "The pass key is %s. Remember it. %s is the pass key.",
             found.key, found.key);
    snprintf(answer, sizeof answer, "%s%s.", question, found.key);
    assert_true(str_starts_with(said, needle));
    const char *asked = strstr(said, answer);
    assert_non_null(asked);
    const char *end = asked + strlen(answer);
    found.n_tokens = row->token_of[end - 1 - s] + 1;
    found.n_before = row->token_of[said - s] - row->token_of[found.filler - s];
    found.n_after = row->token_of[asked - s] - row->token_of[said - s + (ptrdiff_t)strlen(needle)];
    for (int64_t i = 0; i < row->length; i++)
        want[i] = 1.0F;
    expect_weight(want, row, digits, n, 0.0F);
    expect_weight(want, row, strstr(said, "Remember it. ") + 13, n, 2.5F);
    expect_weight(want, row, end - 1 - n, n, 5.0F);
    return found;
}

static void test_a_row_depends_on_nothing_that_ran_before(void **state)
{
    (void)state;
    MixtureOptions options = defaults();
    Mixture *a = open_mixture(&options), *b = open_mixture(&options);
    static Row first[300], again;
    for (uint32_t i = 0; i < COUNT_OF(first); i++)
        make_row(a, (MixtureAsk){i / 8, i % 8, 64 + i % 100}, &first[i]);
    for (uint32_t i = COUNT_OF(first); i-- > 0;) {
        make_row(b, (MixtureAsk){i / 8, i % 8, 64 + i % 100}, &again);
        size_t n = (size_t)again.length;
        assert_int_equal(again.part, first[i].part);
        assert_memory_equal(again.tokens, first[i].tokens, (n + 1) * sizeof(int32_t));
        assert_memory_equal(again.weights, first[i].weights, n * sizeof(float));
    }
    for (uint32_t i = 0; i < COUNT_OF(first); i++)
        for (uint32_t j = 0; j < i && first[i].part != MIXTURE_TEXT; j++)
            assert_memory_not_equal(first[i].tokens, first[j].tokens,
                                    (size_t)min_i64(first[i].length, first[j].length) *
                                        sizeof(int32_t));
    mixture_close(a);
    mixture_close(b);
}

static void test_parts_have_the_shares_asked_for(void **state)
{
    (void)state;
    MixtureOptions options = defaults();
    Mixture *mixture = open_mixture(&options);
    static const double want[MIXTURE_N_PARTS] = {0.35, 0.15, 0.10, 0.40};
    double n[MIXTURE_N_PARTS] = {0};
    static Row row;
    for (uint32_t i = 0; i < N_ROWS; i++) {
        make_row(mixture, (MixtureAsk){i, i % 32, 64}, &row);
        n[row.part]++;
    }
    for (int p = 0; p < MIXTURE_N_PARTS; p++)
        assert_close(n[p] / N_ROWS, want[p], 0, 5 * sqrt(want[p] * (1 - want[p]) / N_ROWS));
    mixture_close(mixture);
}

static void test_passkey_rows_read_and_weigh_as_the_probe_says_it(void **state)
{
    (void)state;
    Mixture *mixture = open_part(MIXTURE_PASSKEY);
    static const int64_t lengths[] = {64, 128, 256};
    static Row row;
    float want[MAX_LENGTH] = {0};
    for (uint32_t i = 0; i < 3000; i++) {
        make_row(mixture, (MixtureAsk){7, i, lengths[i % 3]}, &row);
        assert_int_equal(row.part, MIXTURE_PASSKEY);
        Found found = read_passkey(&row, want);
        assert_weights(&row, want);
        if (found.n_tokens < row.length)
            assert_true(
                find_in_text(row.tokens + 1 + found.n_tokens, row.length - found.n_tokens) >= 0);
    }
    mixture_close(mixture);
}

/* Where in the repeated line a filler begins, by its first bytes; -1: it is text. */
static int line_offset(const char *filler)
{
    static const char line[] = "The grass is green. The sky is blue. The sun is yellow. Here we "
                               "go. There and back again. ";
    char twice[2 * sizeof line], part[16];
    snprintf(twice, sizeof twice, "%s%s", line, line);
    snprintf(part, sizeof part, "%.12s", filler);
    const char *at = strstr(twice, part);
    return at ? (int)(at - twice) : -1;
}

static void test_passkey_rows_vary_as_asked(void **state)
{
    (void)state;
    Mixture *mixture = open_part(MIXTURE_PASSKEY);
    double widths[HAYSTACK_MAX_DIGITS + 1] = {0}, deciles[10] = {0};
    double n_preface = 0, n_full = 0, n_line = 0, n_seen = 0, n_placed = 0, sum_short = 0;
    bool begins_at[100] = {false};
    static Row row;
    float want[MAX_LENGTH] = {0};
    for (uint32_t i = 0; i < N_ROWS; i++) {
        make_row(mixture, (MixtureAsk){i, 3, MAX_LENGTH}, &row);
        Found found = read_passkey(&row, want);
        widths[strlen(found.key)]++;
        n_preface += found.with_preface;
        n_full += found.n_tokens == MAX_LENGTH;
        if (found.n_tokens < MAX_LENGTH) sum_short += (double)found.n_tokens;
        double n_filler = (double)(found.n_before + found.n_after);
        if (n_filler < 300) continue;
        n_placed++;
        deciles[(int)fmin(9.0, 10.0 * (double)found.n_before / n_filler)]++;
        if (found.n_before < 12) continue;
        n_seen++;
        int offset = line_offset(found.filler);
        n_line += offset >= 0;
        if (offset >= 0) begins_at[offset] = true;
    }
    double n = N_ROWS;
    assert_close(widths[5] / n, 0.7 + 0.3 / 5, 0, 0.03);
    for (int width = 3; width <= 7; width++)
        if (width != 5) assert_close(widths[width] / n, 0.3 / 5, 0, 0.02);
    assert_close(n_preface / n, 0.8, 0, 0.03);
    assert_close(n_full / n, 0.5, 0, 0.03);
    assert_close(sum_short / (n - n_full), (46 + MAX_LENGTH) / 2.0, 0, 12);
    assert_close(n_line / n_seen, 0.35, 0, 0.03);
    int n_offsets = 0;
    for (size_t i = 0; i < COUNT_OF(begins_at); i++)
        n_offsets += begins_at[i];
    assert_in_range(n_offsets, 30, 60); /* tokens of the line */
    for (int i = 0; i < 10; i++)
        assert_close(deciles[i] / n_placed, 0.1, 0, 0.025);
    mixture_close(mixture);
}

static void test_no_key_of_a_probe_is_trained_on(void **state)
{
    (void)state;
    static bool is_trained[100000];
    Mixture *mixture = open_part(MIXTURE_PASSKEY);
    static Row row;
    float want[MAX_LENGTH] = {0};
    Err err = {0};
    int n_trained = 0;
    for (uint32_t i = 0; i < N_ROWS; i++) {
        make_row(mixture, (MixtureAsk){i, 0, 128}, &row);
        Found found = read_passkey(&row, want);
        if (strlen(found.key) != 5) continue;
        is_trained[strtol(found.key, NULL, 10)] = true;
        n_trained++;
    }
    assert_true(n_trained > N_ROWS / 2);
    for (uint64_t seed = 1; seed <= 3; seed++) {
        HaystackOptions options = {.seed = seed, .n_digits = 5, .with_bos = true};
        Haystack *haystack = haystack_open(&options, &walker, &err);
        assert_ok(haystack, &err);
        for (int64_t i = 0; i < 4000; i++) {
            HaystackAsk ask = {128, 0.5, i, false};
            HaystackPrompt prompt;
            assert_ok(haystack_build(haystack, &ask, &prompt, &err), &err);
            assert_false(is_trained[strtol(prompt.key, NULL, 10)]);
            haystack_prompt_free(&prompt);
        }
        haystack_close(haystack);
    }
    mixture_close(mixture);
}

static void test_keys_are_parted_once_and_for_all(void **state)
{
    (void)state;
    char key[16];
    int by_digit[3][10] = {{0}}, n = 0, n_long = 0;
    for (int k = 100; k < 1000; k++) {
        snprintf(key, sizeof key, "%d", k);
        if (!haystack_key_is_for_training(key)) continue;
        n++;
        for (int place = 0; place < 3; place++)
            by_digit[place][key[place] - '0']++;
    }
    assert_int_equal(n, 433);
    for (int place = 0; place < 3; place++)
        for (int digit = place == 0; digit < 10; digit++)
            assert_close(by_digit[place][digit], place ? 45 : 50, 0, 20);
    for (int k = 123456000; k < 123466000; k++) {
        snprintf(key, sizeof key, "%d", k);
        n_long += haystack_key_is_for_training(key);
    }
    assert_close(n_long, 5000, 0, 250);
    assert_false(haystack_key_is_for_training("7"));
    assert_false(haystack_key_is_for_training("42"));
}

static void test_text_rows_are_windows_of_one_document(void **state)
{
    (void)state;
    Mixture *mixture = open_part(MIXTURE_TEXT);
    static Row row;
    double mean = 0;
    for (uint32_t i = 0; i < 400; i++) {
        make_row(mixture, (MixtureAsk){i, i, 100}, &row);
        int64_t at = find_in_text(row.tokens + 1, row.length);
        assert_true(at >= 0);
        mean += (double)at / 400;
        for (int64_t j = 0; j < row.length; j++)
            assert_close(row.weights[j], 1, 0, 0);
    }
    double n = (double)text->n_tokens;
    assert_close(mean / n, 0.5, 0, 0.1);
    mixture_close(mixture);
}

/* Whether a row is gaps and copies of its first m tokens, and weighs as such. */
static bool is_repeat(const Row *row, int64_t m)
{
    const int32_t *ids = row->tokens + 1;
    const float *w = row->weights;
    bool is_text = w[0] == 1.0F;
    for (int64_t i = 0; i < m; i++)
        if (w[i] != (is_text ? 1.0F : 0.0F)) return false;
    if (is_text && find_in_text(ids, m) < 0) return false;
    int64_t at = m;
    while (at < row->length) {
        int64_t gap = 0;
        while (at + gap < row->length && w[at + gap] == 0.5F)
            gap++;
        if (gap && find_in_text(ids + at, gap) < 0) return false;
        if (at == m && 2 * m + gap > row->length) return false; /* no whole copy */
        at += gap;
        for (int64_t i = 0; i < m && at < row->length; i++, at++)
            if (ids[at] != ids[i] || w[at] != (i ? 1.0F : 0.0F)) return false;
    }
    return true;
}

static void test_repeat_rows_are_copies_of_their_first_segment(void **state)
{
    (void)state;
    Mixture *mixture = open_part(MIXTURE_REPEAT);
    static Row row;
    double n_text = 0, n_digits = 0, n = 1500;
    for (uint32_t i = 0; i < (uint32_t)n; i++) {
        make_row(mixture, (MixtureAsk){i, 1, 64 + 64 * (i % 3)}, &row);
        bool found = false;
        for (int64_t m = 4; m < row.length / 2 && !found; m++)
            found = is_repeat(&row, m);
        assert_true(found);
        n_text += row.weights[0] == 1.0F;
        n_digits += row.weights[0] == 0.0F && strspn(row.spelt, "0123456789") >= 4;
    }
    assert_close(n_text / n, 0.3, 0, 0.06);
    assert_close(n_digits / n, 0.2, 0, 0.06);
    mixture_close(mixture);
}

/* Reads "key=value; " pairs from the text; fills in the weights they should have. */
static void read_recall(const Row *row, float *want)
{
    const char *known[20];
    size_t n_known = 0;
    const char *s = row->spelt;
    assert_int_equal(strlen(s), row->length);
    for (int64_t i = 0; i < row->length; i++)
        want[i] = 1.0F;
    while (*s) {
        size_t n_key = strspn(s, "abcdefghijklmnopqrstuvwxyz"), n_value = 0, i = 0;
        expect_weight(want, row, s, n_key, 0.0F);
        if (s[n_key] != '=') {
            assert_true(s[n_key] == '\0');
            return;
        }
        n_value = strspn(s + n_key + 1, "0123456789");
        while (i < n_known && strncmp(known[i], s, n_key + 1) != 0)
            i++;
        bool is_known = i < n_known;
        if (is_known)
            assert_memory_equal(known[i], s, n_key + 1 + n_value);
        else
            known[n_known++] = s;
        char value[16];
        snprintf(value, sizeof value, "%.*s", (int)n_value, s + n_key + 1);
        bool is_cut = s[n_key + 1 + n_value] == '\0';
        if (!is_cut && n_value >= 3 && value[0] != '0')
            assert_true(haystack_key_is_for_training(value));
        assert_true(n_known <= COUNT_OF(known));
        expect_weight(want, row, s + n_key + 1, n_value, is_known ? 2.0F : 0.0F);
        s += n_key + 1 + n_value;
        if (*s) assert_true(*s++ == ';');
        if (*s) assert_true(*s++ == ' ');
    }
}

static void test_recall_rows_ask_for_what_they_listed(void **state)
{
    (void)state;
    Mixture *mixture = open_part(MIXTURE_RECALL);
    static Row row;
    float want[MAX_LENGTH] = {0};
    for (uint32_t i = 0; i < 2000; i++) {
        make_row(mixture, (MixtureAsk){i, 2, 64 + 64 * (i % 4)}, &row);
        read_recall(&row, want);
        assert_weights(&row, want);
    }
    mixture_close(mixture);
}

static void test_options_are_set_by_name_and_checked(void **state)
{
    (void)state;
    Err err = {0};
    MixtureOptions options = defaults();
    assert_ok(params_set(mixture_params(), &options, "weight_answer", 7.5, &err), &err);
    assert_close(options.weight_answer, 7.5, 0, 0);
    assert_err(params_set(mixture_params(), &options, "weigth_answer", 1, &err), &err, ERR_USAGE,
               "nearest is \"weight_answer\"");
    assert_err(params_set(mixture_params(), &options, "passkey", 1.5, &err), &err, ERR_USAGE,
               "0 to 1");
    assert_err(params_set(mixture_params(), &options, "passkey", (double)NAN, &err), &err,
               ERR_USAGE, "nan");
    assert_err(params_set(mixture_params(), &options, "digits", 4.5, &err), &err, ERR_USAGE,
               "whole");
    assert_err(params_set(mixture_params(), &options, "digits_low", 2, &err), &err, ERR_USAGE,
               "3 to 9");
    assert_ok(mixture_options_check(&options, &err), &err);
    options.digits_low = 8;
    assert_err(mixture_options_check(&options, &err), &err, ERR_USAGE, "digits_low is 8");
    options = defaults();
    options.recall = 0.6;
    assert_err(mixture_options_check(&options, &err), &err, ERR_USAGE, "sum to 1.1");
    options = defaults();
    options.repeat_text = 0.6;
    assert_err(mixture_open(&options, &walker, text, 1, &err), &err, ERR_USAGE, "repeat_text");
    const ParamTable *table = mixture_params();
    assert_int_equal(table->n * sizeof(double), sizeof(MixtureOptions));
    Buf manual = {0};
    assert_ok(file_read("docs/training-data.md", 1 << 20, &manual, &err), &err);
    for (size_t i = 0; i < table->n; i++) {
        const Param *row = &table->rows[i];
        char *line = str_format("| `%s` | %g | %s", row->name, row->value, row->help);
        if (!strstr(buf_text(&manual), line)) fail_msg("the manual has no row %s", line);
        free(line);
        assert_true(row->offset == i * sizeof(double) && *row->help);
        assert_ok(params_set(table, &options, row->name, row->value, &err), &err);
    }
    buf_free(&manual);
}

static void test_rows_refuse_what_does_not_fit(void **state)
{
    (void)state;
    enum { TOO_LONG = 40000 };
    static int32_t tokens[TOO_LONG + 1];
    static float weights[TOO_LONG];
    static Row row;
    Err err = {0};
    MixtureOptions options = defaults();
    Mixture *mixture = open_mixture(&options);
    int64_t least = mixture_min_length(mixture);
    assert_true(least > 46 && least <= 64);
    MixtureAsk ask = {0, 0, least - 1};
    MixtureRow out = {.tokens = tokens, .weights = weights};
    assert_err(mixture_row(mixture, &ask, &out, &err), &err, ERR_INPUT, "allowed are");
    for (uint32_t i = 0; i < 2000; i++)
        make_row(mixture, (MixtureAsk){i, 0, least}, &row);
    mixture_close(mixture);
    mixture = open_part(MIXTURE_TEXT);
    ask.length = TOO_LONG;
    assert_err(mixture_row(mixture, &ask, &out, &err), &err, ERR_INPUT, "row 0 of step 0");
    assert_non_null(strstr(err.text, "stretches of 40000 tokens"));
    mixture_close(mixture);
    Backend mute = walker;
    mute.bos_id = -1;
    assert_err(mixture_open(&options, &mute, text, 1, &err), &err, ERR_UNSUPPORTED, "BOS");
    backend_open_text(&mute, tokenizer, 'x'); /* ids from x on are not looked at */
    mute.bos_id = BOS;
    assert_err(mixture_open(&options, &mute, text, 1, &err), &err, ERR_UNSUPPORTED,
               "no token for \"x\" alone, which the part \"recall\"");
    options.recall = 0;
    mixture = mixture_open(&options, &mute, text, 1, &err);
    assert_ok(mixture, &err);
    mixture_close(mixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_row_depends_on_nothing_that_ran_before),
        cmocka_unit_test(test_parts_have_the_shares_asked_for),
        cmocka_unit_test(test_passkey_rows_read_and_weigh_as_the_probe_says_it),
        cmocka_unit_test(test_passkey_rows_vary_as_asked),
        cmocka_unit_test(test_no_key_of_a_probe_is_trained_on),
        cmocka_unit_test(test_keys_are_parted_once_and_for_all),
        cmocka_unit_test(test_text_rows_are_windows_of_one_document),
        cmocka_unit_test(test_repeat_rows_are_copies_of_their_first_segment),
        cmocka_unit_test(test_recall_rows_ask_for_what_they_listed),
        cmocka_unit_test(test_options_are_set_by_name_and_checked),
        cmocka_unit_test(test_rows_refuse_what_does_not_fit),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
