#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/str.h"
#include "datasets/corpus.h"

static Backend fake(void)
{
    Backend backend;
    backend_open_fake(&backend, 1 << 20);
    return backend;
}

static Corpus *open_text(const char *text, size_t n, const char *split_text, const Backend *backend)
{
    Err err = {0};
    DocumentSplit split;
    assert_ok(document_split_parse(split_text, &split, &err), &err);
    Corpus *corpus = corpus_open(test_file("text.txt", text, n), &split, backend, &err);
    assert_ok(corpus, &err);
    return corpus;
}

static void test_corpus_file_is_one_document_byte_for_byte(void **state)
{
    (void)state;
    Backend backend = fake();
    static const char text[] = "\xef\xbb\xbf one\r\n\0two\n\n\xff three";
    Corpus *corpus = open_text(text, sizeof text - 1, "file", &backend);
    assert_int_equal(corpus->n_documents, 1);
    assert_int_equal(corpus->n_tokens, sizeof text - 1);
    assert_int_equal(corpus->n_bytes, sizeof text - 1);
    for (size_t i = 0; i < sizeof text - 1; i++)
        assert_int_equal(corpus->tokens[i], (unsigned char)text[i]);
    assert_int_equal(corpus_bytes(corpus, &backend, 3, 7), 7);
    assert_string_equal(corpus->name, "text.txt");
    corpus_free(corpus);
    backend_close(&backend);
}

static void test_corpus_blank_lines_part_documents(void **state)
{
    (void)state;
    Backend backend = fake();
    static const char text[] = "\n \nab\ncd\n\n \t\r\nef\n\n\ngh";
    Corpus *corpus = open_text(text, sizeof text - 1, "blank-line", &backend);
    static const int64_t want_n[] = {6, 3, 2};
    assert_int_equal(corpus->n_documents, 3);
    int64_t first = 0;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(corpus->documents[i].first, first);
        assert_int_equal(corpus->documents[i].n, want_n[i]);
        for (int64_t j = 0; j < want_n[i]; j++)
            assert_int_equal(corpus_document_of(corpus, first + j), i);
        first += want_n[i];
    }
    assert_memory_equal(((int32_t[]){'g', 'h'}), corpus->tokens + 9, 8);
    corpus_free(corpus);
    backend_close(&backend);
}

static void test_corpus_tokens_rule_cuts_every_n(void **state)
{
    (void)state;
    Backend backend = fake();
    Corpus *corpus = open_text("abcdefgh", 8, "tokens=3", &backend);
    assert_int_equal(corpus->n_documents, 3);
    assert_int_equal(corpus->documents[2].first, 6);
    assert_int_equal(corpus->documents[2].n, 2);
    assert_true(corpus->documents[0].starts_text);
    assert_false(corpus->documents[1].starts_text);
    corpus_free(corpus);
    backend_close(&backend);
}

static void test_corpus_folder_reads_files_in_name_order(void **state)
{
    (void)state;
    Backend backend = fake();
    Err err = {0};
    char *folder = str_format("%s/folder", test_folder());
    mkdir(folder, 0777);
    test_file("folder/b.txt", "second", 6);
    test_file("folder/a.txt", "first", 5);
    DocumentSplit split = {0};
    Corpus *corpus = corpus_open(folder, &split, &backend, &err);
    assert_ok(corpus, &err);
    assert_int_equal(corpus->n_documents, 2);
    assert_int_equal(corpus->documents[0].n, 5);
    assert_int_equal(corpus->tokens[0], 'f');
    assert_string_equal(corpus->name, "folder");
    corpus_free(corpus);
    free(folder);
    backend_close(&backend);
}

static void test_corpus_hash_changes_with_text_and_split(void **state)
{
    (void)state;
    Backend backend = fake();
    Corpus *a = open_text("abc", 3, "file", &backend);
    Corpus *b = open_text("abd", 3, "file", &backend);
    Corpus *c = open_text("abc", 3, "tokens=2", &backend);
    Corpus *d = open_text("abc", 3, "file", &backend);
    assert_string_not_equal(a->hash, b->hash);
    assert_string_not_equal(a->hash, c->hash);
    assert_string_equal(a->hash, d->hash);
    corpus_free(a);
    corpus_free(b);
    corpus_free(c);
    corpus_free(d);
    backend_close(&backend);
}

static void test_corpus_refuses_what_has_nothing_to_score(void **state)
{
    (void)state;
    Backend backend = fake();
    Err err = {0};
    DocumentSplit split = {0};
    assert_err(corpus_open(test_file("empty.txt", "", 0), &split, &backend, &err), &err, ERR_INPUT,
               "nothing to score");
    assert_err(corpus_open("/nonexistent/text", &split, &backend, &err), &err, ERR_INPUT,
               "/nonexistent/text");
    assert_err(document_split_parse("pages", &split, &err), &err, ERR_USAGE, "blank-line");
    assert_err(document_split_parse("tokens=0", &split, &err), &err, ERR_USAGE, "tokens=N");
    backend.has_text = false;
    assert_err(corpus_open(test_file("a.txt", "a", 1), &split, &backend, &err), &err,
               ERR_UNSUPPORTED, "tokenizer");
    backend_close(&backend);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_corpus_file_is_one_document_byte_for_byte),
        cmocka_unit_test(test_corpus_blank_lines_part_documents),
        cmocka_unit_test(test_corpus_tokens_rule_cuts_every_n),
        cmocka_unit_test(test_corpus_folder_reads_files_in_name_order),
        cmocka_unit_test(test_corpus_hash_changes_with_text_and_split),
        cmocka_unit_test(test_corpus_refuses_what_has_nothing_to_score),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
