/* Learning against its definition: count all pairs of the whole text anew, merge the commonest everywhere, repeat. */
#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"
#include "base/json.h"
#include "base/rng.h"
#include "base/str.h"
#include "datasets/bpe_learn.h"
#include "models/tokenizer.h"

enum { N_TEXT = 3000, MAX_IDS = 320 };

/* A text as ids; -1 parts pieces. */
typedef struct {
    int32_t ids[2 * N_TEXT];
    size_t n;
    char *spelling[MAX_IDS]; /* of ids below n_ids but NUL and BOS */
    int32_t n_ids;
} Twin;

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

static size_t twin_piece(const char *text)
{
    size_t n = strspn(text, letters);
    if (n) return n;
    n = text[0] == ' ' ? strspn(text + 1, letters) : 0;
    return n + 1;
}

static void twin_cut(Twin *twin, const char *text)
{
    twin->n = 0;
    for (size_t n; *text; text += n) {
        n = twin_piece(text);
        for (size_t i = 0; i < n; i++)
            twin->ids[twin->n++] = (unsigned char)text[i];
        twin->ids[twin->n++] = -1;
    }
}

static void twin_open(Twin *twin, const char *text)
{
    twin->n_ids = 257;
    for (int c = 0; c < twin->n_ids; c++)
        twin->spelling[c] = str_format("%c", c < 256 ? c : 0);
    twin_cut(twin, text);
}

static void twin_close(Twin *twin)
{
    while (twin->n_ids > 0)
        free(twin->spelling[--twin->n_ids]);
}

static void twin_merge(Twin *twin, BpeMerge merge, int32_t product)
{
    size_t n = 0;
    for (size_t i = 0; i < twin->n; i++) {
        bool is_pair =
            i + 1 < twin->n && twin->ids[i] == merge.left && twin->ids[i + 1] == merge.right;
        twin->ids[n++] = is_pair ? product : twin->ids[i];
        i += is_pair;
    }
    twin->n = n;
}

/* The next merge by counting, which must spell what nothing spelt before. */
static BpeMerge twin_step(Twin *twin)
{
    BpeMerge merge = {0};
    int most = 0;
    for (int32_t a = 0; a < twin->n_ids; a++) {
        static int counts[MAX_IDS];
        memset(counts, 0, sizeof counts);
        for (size_t i = 0; i + 1 < twin->n; i++)
            if (twin->ids[i] == a && twin->ids[i + 1] >= 0) counts[twin->ids[i + 1]]++;
        for (int32_t b = 0; b < twin->n_ids; b++)
            if (counts[b] > most) {
                most = counts[b];
                merge.left = a;
                merge.right = b;
            }
    }
    assert_true(most > 0);
    char *text = str_format("%s%s", twin->spelling[merge.left], twin->spelling[merge.right]);
    for (int32_t id = 0; id < twin->n_ids; id++)
        assert_string_not_equal(twin->spelling[id], text);
    twin_merge(twin, merge, twin->n_ids);
    twin->spelling[twin->n_ids++] = text;
    return merge;
}

/* Ids of a text by the rule itself: while there is one, apply the merge of the lowest rank at its first place. */
static void twin_encode(Twin *twin, const BpeMerges *merges, const char *text)
{
    twin_cut(twin, text);
    for (size_t r = 0; r < merges->n;) {
        size_t before = twin->n;
        twin_merge(twin, merges->list[r], BPE_N_FIXED + (int32_t)r);
        r = twin->n < before ? 0 : r + 1;
    }
    size_t n = 0;
    for (size_t i = 0; i < twin->n; i++)
        if (twin->ids[i] >= 0) twin->ids[n++] = twin->ids[i];
    twin->n = n;
}

/* Words over a few characters, so that pairs recur; some blanks, digits, signs and bytes that are no ASCII. */
static char *draw_text(Rng *rng, const char *alphabet)
{
    char *text = calloc(N_TEXT + 1, 1);
    assert_non_null(text);
    uint32_t n = (uint32_t)strlen(alphabet);
    for (int i = 0; i < N_TEXT; i++)
        text[i] = alphabet[rng_below(rng, n)];
    return text;
}

static BpeMerges learn(const char *text, int vocab_size)
{
    Err err = {0};
    BpeMerges merges;
    BpeLearner *learner = bpe_learner_new();
    assert_ok(bpe_learner_add(learner, text, strlen(text), 1, &err), &err);
    assert_ok(bpe_learn(learner, vocab_size, &merges, &err), &err);
    bpe_learner_free(learner);
    return merges;
}

static Tokenizer *open_tokenizer(const BpeMerges *merges)
{
    Err err = {0};
    Buf json = {0};
    bpe_write_json(merges, &json);
    Tokenizer *tokenizer = tokenizer_parse_json(json.data, json.len, NULL, 0, "learnt", &err);
    assert_ok(tokenizer, &err);
    buf_free(&json);
    return tokenizer;
}

static void check_against_twin(const char *text, int vocab_size)
{
    static Twin twin;
    BpeMerges merges = learn(text, vocab_size);
    twin_open(&twin, text);
    for (size_t i = 0; i < merges.n; i++) {
        BpeMerge want = twin_step(&twin);
        assert_int_equal(merges.list[i].left, want.left);
        assert_int_equal(merges.list[i].right, want.right);
    }
    assert_int_equal(twin.n_ids, vocab_size);
    twin_close(&twin);
    bpe_merges_free(&merges);
}

static void test_merges_equal_counting_the_whole_text_anew(void **state)
{
    (void)state;
    static const char *const alphabets[] = {"abcd ", "abcdefghij   \n.", "aB \n1", "ab\xc3\xa9 2."};
    Rng rng = rng_open(3, 0, 0, 0);
    for (int i = 0; i < 12; i++) {
        char *text = draw_text(&rng, alphabets[i % 4]);
        check_against_twin(text, 257 + 10 + 3 * (i / 4));
        free(text);
    }
}

static void test_no_two_merges_spell_the_same(void **state)
{
    (void)state;
    static char text[N_TEXT + 1];
    Rng rng = rng_open(9, 0, 0, 0);
    for (int i = 0; i < 10; i++) {
        for (int at = 0; at < N_TEXT;
             at++) /* long runs, which many merges could make equally long */
            text[at] = rng_below(&rng, 30) ? 'a' : "b."[i % 2];
        check_against_twin(text, 275);
    }
}

static void test_the_file_gives_the_ids_of_the_merges(void **state)
{
    (void)state;
    static Twin twin;
    static const char alphabet[] = "aaabbcd  e\nX07.,?\xc3\xa9\xff";
    Err err = {0};
    Rng rng = rng_open(4, 0, 0, 0);
    char *text = draw_text(&rng, alphabet);
    BpeMerges merges = learn(text, 300);
    Tokenizer *tokenizer = open_tokenizer(&merges);
    assert_int_equal(tokenizer_vocab_size(tokenizer), 300);
    assert_int_equal(tokenizer_bos_id(tokenizer), BPE_BOS);
    assert_true(tokenizer_adds_bos(tokenizer));
    for (int i = 0; i < 20; i++) {
        char *other = draw_text(&rng, alphabet);
        TokenList ids = {0};
        Buf back = {0};
        assert_ok(tokenizer_encode(tokenizer, other, N_TEXT, false, &ids, &err), &err);
        twin_encode(&twin, &merges, other);
        assert_int_equal(ids.n, twin.n);
        assert_memory_equal(ids.ids, twin.ids, ids.n * sizeof(int32_t));
        tokenizer_decode(tokenizer, ids.ids, ids.n, true, false, &back);
        assert_int_equal(back.len, N_TEXT);
        assert_memory_equal(back.data, other, N_TEXT);
        buf_free(&back);
        token_list_free(&ids);
        free(other);
    }
    tokenizer_free(tokenizer);
    bpe_merges_free(&merges);
    free(text);
}

static int32_t id_of(const json_t *model, const json_t *text)
{
    return (int32_t)json_integer_value(
        json_object_get(json_object_get(model, "vocab"), json_string_value(text)));
}

static void test_the_shipped_tokenizer_is_written_byte_for_byte(void **state)
{
    (void)state;
    static const char path[] = "models/walker/tokenizer.json";
    Err err = {0};
    Buf file = {0}, got = {0};
    JsonLimits limits = {.origin = path, .max_bytes = 1 << 20};
    BpeMerges merges = {0};
    assert_ok(file_read(path, 1 << 20, &file, &err), &err);
    json_t *root = json_parse(file.data, file.len, &limits, &err);
    assert_ok(root, &err);
    const json_t *model = json_find(root, "model");
    const json_t *pairs = json_find(model, "merges");
    merges.n = json_array_size(pairs);
    assert_int_equal(merges.n, 255);
    merges.list = calloc(merges.n, sizeof *merges.list);
    assert_non_null(merges.list);
    for (size_t i = 0; i < merges.n; i++) {
        const json_t *pair = json_array_get(pairs, i);
        merges.list[i] = (BpeMerge){id_of(model, json_array_get(pair, 0)),
                                    id_of(model, json_array_get(pair, 1))};
    }
    bpe_write_json(&merges, &got);
    assert_string_equal(buf_text(&got), buf_text(&file));
    bpe_merges_free(&merges);
    json_decref(root);
    buf_free(&file);
    buf_free(&got);
}

static void test_neither_order_nor_repetition_by_count_matters(void **state)
{
    (void)state;
    Err err = {0};
    Rng rng = rng_open(6, 0, 0, 0);
    char *a = draw_text(&rng, "abcdef ."), *b = draw_text(&rng, "defghi \n");
    char *folder = str_format("%s/texts", test_folder());
    mkdir(folder, 0777);
    test_file("texts/1", b, N_TEXT);
    test_file("texts/2", a, N_TEXT);
    test_file("texts/3", b, N_TEXT);
    BpeLearner *by_count = bpe_learner_new(), *by_file = bpe_learner_new();
    BpeMerges left, right;
    assert_ok(bpe_learner_add(by_count, a, N_TEXT, 1, &err), &err);
    assert_ok(bpe_learner_add(by_count, b, N_TEXT, 2, &err), &err);
    assert_ok(bpe_learner_add_path(by_file, folder, &err), &err);
    assert_ok(bpe_learn(by_count, 320, &left, &err), &err);
    assert_ok(bpe_learn(by_file, 320, &right, &err), &err);
    assert_int_equal(left.n, right.n);
    assert_memory_equal(left.list, right.list, left.n * sizeof *left.list);
    bpe_merges_free(&left);
    bpe_merges_free(&right);
    bpe_learner_free(by_count);
    bpe_learner_free(by_file);
    free(folder);
    free(a);
    free(b);
}

static void test_learning_refuses_what_cannot_be_had(void **state)
{
    (void)state;
    Err err = {0};
    BpeMerges merges;
    BpeLearner *learner = bpe_learner_new();
    assert_err(bpe_learn(learner, 300, &merges, &err), &err, ERR_INPUT,
               "257 entries, 300 are wanted");
    assert_ok(bpe_learner_add(learner, "ab ab 12", 8, 1, &err), &err);
    assert_err(bpe_learn(learner, 300, &merges, &err), &err, ERR_INPUT, "259 entries");
    assert_null(merges.list);
    assert_err(bpe_learn(learner, 257, &merges, &err), &err, ERR_USAGE, "258 to 2048");
    assert_err(bpe_learn(learner, 1 << 20, &merges, &err), &err, ERR_USAGE, "258 to 2048");
    assert_err(bpe_learner_add_path(learner, "/nonexistent/text", &err), &err, ERR_INPUT,
               "/nonexistent/text");
    char *word = malloc(70000);
    assert_non_null(word);
    memset(word, 'x', 70000);
    assert_err(bpe_learner_add(learner, word, 70000, 1, &err), &err, ERR_INPUT, "piece at byte 0");
    free(word);
    bpe_learner_free(learner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_merges_equal_counting_the_whole_text_anew),
        cmocka_unit_test(test_no_two_merges_spell_the_same),
        cmocka_unit_test(test_the_file_gives_the_ids_of_the_merges),
        cmocka_unit_test(test_the_shipped_tokenizer_is_written_byte_for_byte),
        cmocka_unit_test(test_neither_order_nor_repetition_by_count_matters),
        cmocka_unit_test(test_learning_refuses_what_cannot_be_had),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
