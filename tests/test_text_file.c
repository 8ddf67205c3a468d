/* Texts in files: records of .jsonl, gzip, what is refused; and the catalog of known texts. */
#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include "base/str.h"
#include "datasets/catalog.h"
#include "datasets/corpus.h"
#include "datasets/text_file.h"

/* Texts joined by "|". */
static bool join(void *context, const char *text, size_t n, Err *err)
{
    Buf *out = context;
    if (out->len) buf_putc(out, '|');
    buf_append(out, text, n);
    return n != 4 || memcmp(text, "stop", 4) != 0 || err_set(err, ERR_CANCELLED, "stopped");
}

static bool read_records(const char *text, const char *field, Buf *out, Err *err)
{
    buf_clear(out);
    return text_each_record(text, strlen(text), field, join, out, err);
}

static void test_records_give_the_string_of_their_field(void **state)
{
    (void)state;
    Buf out = {0};
    Err err;
    assert_ok(
        read_records("{\"text\": \"a\\nb\"}\n\n \t\r\n{\"n\": 12345678901234567890, \"text\": "
                     "\"c\"}\r\n{\"text\": \"\xc3\xa9\"}",
                     NULL, &out, &err),
        &err);
    assert_string_equal(buf_text(&out), "a\nb|c|\xc3\xa9");
    assert_ok(read_records("{\"text\": \"a\", \"story\": \"b\"}\n", "story", &out, &err), &err);
    assert_string_equal(buf_text(&out), "b");
    assert_ok(read_records("", NULL, &out, &err), &err);
    assert_ok(read_records("\n\n", NULL, &out, &err), &err);
    buf_free(&out);
}

static void test_a_record_that_holds_no_text_is_named_by_its_line(void **state)
{
    static const char *const rows[][2] = {
        {"{\"text\": \"a\"}\n{\"story\": 1, \"id\": 2}",
         "line 2: has no text in field \"text\"; its fields: story, id; --documents field="},
        {"{\"text\": 1}",                                "line 1: has no text in field"    },
        {"{\"text\": null}",                             "has no text"                     },
        {"{}",                                           "its fields: none"                },
        {"{\"\x1b[2J\": 1}",                             "line 1"                          },
        {"[\"text\"]",                                   "line 1: is no JSON object"       },
        {"\n\nnot JSON",                                 "line 3"                          },
        {"{\"text\": \"a\", \"text\": \"b\"}",           "line 1"                          },
        {"{\"text\": \"\\u0000\"}",                      "line 1"                          },
        {"{\"text\": \"\xff\"}",                         "line 1"                          },
        {"{\"text\": \"a",                               "line 1"                          },
    };
    (void)state;
    Buf out = {0};
    Err err;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        assert_err(read_records(rows[i][0], NULL, &out, &err), &err, ERR_INPUT, rows[i][1]);
    assert_err(read_records("{\"text\": \"stop\"}\n{}", NULL, &out, &err), &err, ERR_CANCELLED,
               "line 1: stopped");
    buf_free(&out);
}

/* A file of test_folder() that gzip packed from these pieces, a member each. */
static const char *write_packed(const char *name, const char *const *pieces, size_t n)
{
    const char *path = test_file(name, "", 0);
    for (size_t i = 0; i < n; i++) {
        gzFile file = gzopen(path, "ab");
        assert_non_null(file);
        if (*pieces[i]) assert_true(gzwrite(file, pieces[i], (unsigned)strlen(pieces[i])) > 0);
        assert_int_equal(gzclose(file), Z_OK);
    }
    return path;
}

static void test_packed_files_are_unpacked_all_members_of_them(void **state)
{
    static const char *const pieces[] = {"In the ", "", "beginning"};
    (void)state;
    TextFile file;
    Err err;
    assert_ok(text_open(write_packed("a.txt.gz", pieces, 3), &file, &err), &err);
    assert_int_equal(file.n, 16);
    assert_memory_equal(file.bytes, "In the beginning", 16);
    assert_false(file.is_jsonl);
    text_close(&file);
    assert_ok(text_open(write_packed("b.jsonl.gz", pieces, 1), &file, &err), &err);
    assert_true(file.is_jsonl);
    text_close(&file);
}

static void test_damaged_and_endless_packed_files_are_refused(void **state)
{
    (void)state;
    Buf packed = {0}, out = {0};
    Err err;
    char *zeros = calloc(1, 1 << 20);
    memset(zeros, 'a', (1 << 20) - 1);
    const char *const pieces[] = {zeros};
    assert_ok(file_read(write_packed("zeros.gz", pieces, 1), 1 << 20, &packed, &err), &err);
    assert_true(packed.len < 4096);
    assert_ok(text_unpack(packed.data, packed.len, (1 << 20) - 1, &out, &err), &err);
    assert_string_equal(buf_text(&out), zeros);
    assert_err(text_unpack(packed.data, packed.len, (1 << 20) - 2, &out, &err), &err, ERR_INPUT,
               "unpacks to more than 1048574 bytes");
    for (size_t n = 0; n < packed.len; n += n < 64 || n + 64 > packed.len ? 1 : 37)
        assert_err(text_unpack(packed.data, n, 1 << 20, &out, &err), &err, ERR_INPUT, "damaged");
    packed.data[packed.len - 6] ^= 1; /* of the checksum */
    assert_err(text_unpack(packed.data, packed.len, 1 << 20, &out, &err), &err, ERR_INPUT,
               "incorrect data check");
    assert_err(text_unpack("plain text", 10, 1 << 20, &out, &err), &err, ERR_INPUT, "at byte");
    buf_free(&packed);
    buf_free(&out);
    free(zeros);
}

static void test_formats_that_are_not_read_are_named_with_a_way_out(void **state)
{
    static const char *const names[] = {"a.parquet", "a.arrow",  "a.csv",
                                        "a.txt.zst", "a.tar.gz", "a.zip"};
    (void)state;
    TextFile file;
    Err err;
    for (size_t i = 0; i < COUNT_OF(names); i++)
        assert_err(text_open(test_file(names[i], "x", 1), &file, &err), &err, ERR_UNSUPPORTED,
                   "is not read");
    assert_null(text_unread("a.txt"));
    assert_null(text_unread("a.jsonl.gz"));
    assert_null(text_unread("README"));
}

static Corpus *open_corpus(const char *path, const DocumentSplit *split, Backend *backend)
{
    Err err = {0};
    Corpus *corpus = corpus_open(path, split, backend, &err);
    assert_ok(corpus, &err);
    return corpus;
}

static void test_each_record_is_a_document_of_a_corpus(void **state)
{
    static const char text[] =
        "{\"text\": \"ab\\n\\ncd\", \"other\": \"x\"}\n{\"text\": \"\", \"other\": \"\"}\n"
        "{\"text\": \"efg\", \"other\": \"yz\"}\n";
    (void)state;
    Backend backend;
    backend_open_fake(&backend, 1 << 20);
    const char *path = test_file("c.jsonl", text, sizeof text - 1);
    DocumentSplit split = {.rule = DOCUMENTS_FILE};
    Corpus *whole = open_corpus(path, &split, &backend);
    assert_int_equal(whole->n_documents, 2);
    assert_int_equal(whole->documents[0].n, 6);
    assert_int_equal(whole->documents[1].n, 3);
    assert_int_equal(whole->tokens[6], 'e');
    split.rule = DOCUMENTS_BLANK_LINE;
    Corpus *paragraphs = open_corpus(path, &split, &backend);
    assert_int_equal(paragraphs->n_documents, 3);
    Err err;
    assert_ok(document_split_parse("field=other", &split, &err), &err);
    Corpus *other = open_corpus(path, &split, &backend);
    assert_int_equal(other->n_tokens, 3);
    assert_string_not_equal(other->hash, whole->hash);
    split.field = "text";
    Corpus *named = open_corpus(path, &split, &backend);
    assert_string_equal(named->hash, whole->hash);
    corpus_free(whole);
    corpus_free(paragraphs);
    corpus_free(other);
    corpus_free(named);
    backend_close(&backend);
}

static void test_a_corpus_does_not_depend_on_how_its_file_is_packed(void **state)
{
    static const char *const pieces[] = {"In the beginning"};
    (void)state;
    Backend backend;
    backend_open_fake(&backend, 1 << 20);
    DocumentSplit split = {.rule = DOCUMENTS_FILE};
    Corpus *packed = open_corpus(write_packed("d.txt.gz", pieces, 1), &split, &backend);
    Corpus *plain = open_corpus(test_file("d.txt", pieces[0], strlen(pieces[0])), &split, &backend);
    assert_string_equal(packed->hash, plain->hash);
    assert_int_equal(packed->n_bytes, plain->n_bytes);
    corpus_free(packed);
    corpus_free(plain);
    backend_close(&backend);
}

static void test_catalog_texts_are_the_bytes_that_they_are_said_to_be(void **state)
{
    (void)state;
    const char *folder = shared_path("data/texts");
    int n = 0;
    Err err;
    for (const CatalogRow *row = catalog_rows; row->name; row++) {
        DocumentSplit split;
        struct stat st;
        assert_int_equal(strlen(row->sha256), HASH_HEX_SIZE - 1);
        assert_ptr_equal(catalog_find(row->name), row);
        assert_ok(document_split_parse(row->documents, &split, &err), &err);
        assert_true(*row->help && *row->licence && *row->source && row->n_bytes > 0);
        char *path = catalog_path(row, folder);
        if (!path) continue;
        assert_ok(catalog_check(row, path, &err), &err);
        assert_int_equal(stat(path, &st), 0);
        assert_int_equal(st.st_size, row->n_bytes);
        free(path);
        n++;
    }
    assert_int_equal(n, 8);
    assert_null(catalog_find("war-and-peace"));
}

static void test_other_bytes_under_a_known_name_are_refused(void **state)
{
    (void)state;
    Err err;
    const CatalogRow *row = catalog_find("moby-dick");
    test_file("moby-dick.txt", "Call me", 7);
    char *path = catalog_path(row, test_folder());
    assert_err(catalog_check(row, path, &err), &err, ERR_INPUT, "is not moby-dick");
    assert_non_null(strstr(err.text, row->sha256));
    assert_null(catalog_path(row, "/nowhere"));
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_give_the_string_of_their_field),
        cmocka_unit_test(test_a_record_that_holds_no_text_is_named_by_its_line),
        cmocka_unit_test(test_packed_files_are_unpacked_all_members_of_them),
        cmocka_unit_test(test_damaged_and_endless_packed_files_are_refused),
        cmocka_unit_test(test_formats_that_are_not_read_are_named_with_a_way_out),
        cmocka_unit_test(test_each_record_is_a_document_of_a_corpus),
        cmocka_unit_test(test_a_corpus_does_not_depend_on_how_its_file_is_packed),
        cmocka_unit_test(test_catalog_texts_are_the_bytes_that_they_are_said_to_be),
        cmocka_unit_test(test_other_bytes_under_a_known_name_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
