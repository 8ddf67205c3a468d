/* Which files of a repository are fetched: what the engine reads, and nothing else. */
#include "tests/test_util.h"

#include <string.h>

#include "base/buf.h"
#include "base/str.h"
#include "harness/fetch.h"

#define COMMIT "0123456789abcdef0123456789abcdef01234567"

/* A snapshot of files of these names, parted by blanks. */
static HubSnapshot make_snapshot(const char *path, const char *names)
{
    HubSnapshot snapshot = {
        .address = {.repo = str_dup("org/name"), .path = path ? str_dup(path) : NULL},
        .commit = COMMIT
    };
    char *copy = str_dup(names), *state = NULL;
    snapshot.files = calloc(strlen(names) + 1, sizeof *snapshot.files);
    for (char *name = strtok_r(copy, " ", &state); name; name = strtok_r(NULL, " ", &state))
        snapshot.files[snapshot.n_files++] = (HubFile){.name = str_dup(name)};
    free(copy);
    return snapshot;
}

/* The names of the files that are wanted, parted by blanks. */
static void assert_wanted(const HubSnapshot *snapshot, const char *names)
{
    Buf text = {0};
    for (size_t i = 0; i < snapshot->n_files; i++)
        if (snapshot->files[i].wanted)
            buf_printf(&text, "%s%s", text.len ? " " : "", snapshot->files[i].name);
    assert_string_equal(buf_text(&text), names);
    buf_free(&text);
}

typedef struct {
    const char *path; /* in the address */
    const char *names;
    const char *wanted;
    const char *chosen; /* or what the error says */
    ErrCode code;
    FetchKind kind;
} Row;

static void check_rows(const Row *rows, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        Err err = {0};
        HubSnapshot snapshot = make_snapshot(rows[i].path, rows[i].names);
        char *chosen = fetch_choose(&snapshot, rows[i].kind, &err);
        if (rows[i].code) {
            assert_err(chosen, &err, rows[i].code, rows[i].chosen);
        } else {
            assert_ok(chosen, &err);
            assert_string_equal(chosen, rows[i].chosen);
            assert_wanted(&snapshot, rows[i].wanted);
        }
        free(chosen);
        hub_snapshot_free(&snapshot);
    }
}

static void test_of_a_model_config_tokenizer_and_one_set_of_weights_are_fetched(void **state)
{
    static const Row rows[] = {
        {.names =
             ".gitattributes README.md config.json flax_model.msgpack model.safetensors "
             "onnx/model.onnx pytorch_model.bin tokenizer.json tokenizer_config.json vocab.json", .wanted = "config.json model.safetensors tokenizer.json tokenizer_config.json",
         .chosen = ""                                                                                                                                                                                       },
        {             .names = "config.json consolidated.safetensors model-00001-of-00002.safetensors "
                  "model-00002-of-00002.safetensors model.safetensors.index.json tokenizer.json",                                 .wanted = "config.json model-00001-of-00002.safetensors model-00002-of-00002.safetensors "
                   "model.safetensors.index.json tokenizer.json",                                                                                                   .chosen = ""                 },
        { .path = "sub",
         .names = "config.json model.safetensors sub/config.json sub/model.safetensors "
                  "sub/deep/config.json tokenizer.json",                                                                                                                                                                  .wanted = "sub/config.json sub/model.safetensors",
         .chosen = "sub"},
        {                                                                                                                                                                   .names = "README.md one.gguf",                                                                            .wanted = "one.gguf",                                                                                                                                                          .chosen = "one.gguf"},
        {                                                                                                                                                                               .path = "q/b.gguf",
         .names = "a.gguf q/b.gguf q/c.gguf",
         .wanted = "q/b.gguf",
         .chosen = "q/b.gguf"},
        {                                                                                                                                 .path = "x/model.safetensors",
         .names = "config.json x/config.json x/model.safetensors x/tokenizer.json x/y.txt",
         .wanted = "x/config.json x/model.safetensors x/tokenizer.json",
         .chosen = "x/model.safetensors"},
        {                                                                                                                                                 .path = "s/stories.bin",
         .names = "s/readme.txt s/stories.bin s/tok512.bin s/tok512.model",
         .wanted = "s/stories.bin s/tok512.bin",
         .chosen = "s/stories.bin"},
    };
    (void)state;
    check_rows(rows, COUNT_OF(rows));
}

static void test_of_texts_one_file_is_fetched(void **state)
{
    static const Row rows[] = {
        {.kind = FETCH_TEXT,
         .path = "a.jsonl.gz",
         .names = "a.jsonl.gz b.txt",
         .wanted = "a.jsonl.gz",
         .chosen = "a.jsonl.gz"                                                                },
        {.kind = FETCH_TEXT, .names = "README.md b.txt", .wanted = "b.txt", .chosen = "b.txt"},
        {.kind = FETCH_TEXT,
         .path = "d",
         .names = "a.txt d/b.txt.gz",
         .wanted = "d/b.txt.gz",
         .chosen = "d/b.txt.gz"},
    };
    (void)state;
    check_rows(rows, COUNT_OF(rows));
}

static void test_of_a_tokenizer_no_weights_are_fetched(void **state)
{
    static const Row rows[] = {
        {.kind = FETCH_TOKENIZER,
         .names =
             "README.md config.json model.safetensors tokenizer.json tokenizer_config.json vocab.json",
         .wanted = "config.json tokenizer.json tokenizer_config.json",
         .chosen = ""                                                                             },
        {.kind = FETCH_SERVED,
         .path = "sub",
         .names = "config.json tokenizer.json sub/config.json sub/tokenizer.json sub/w.gguf",
         .wanted = "sub/config.json sub/tokenizer.json",
         .chosen = "sub"},
        {.kind = FETCH_SERVED,
         .path = "sub/tokenizer.json",
         .names = "config.json sub/config.json sub/model.safetensors sub/tokenizer.json",
         .wanted = "sub/config.json sub/tokenizer.json",
         .chosen = "sub/tokenizer.json"},
        {.kind = FETCH_SERVED,
         .names = "tokenizer.json w.gguf",
         .wanted = "w.gguf",
         .chosen = "w.gguf"                                                         },
        {.kind = FETCH_SERVED,
         .path = "b.gguf",
         .names = "a.gguf b.gguf config.json tokenizer.json",
         .wanted = "b.gguf",
         .chosen = "b.gguf"},
        {.kind = FETCH_TOKENIZER,
         .names = "tokenizer.json",
         .wanted = "tokenizer.json",
         .chosen = ""                                             },
        {.kind = FETCH_TOKENIZER,
         .names = "config.json w.gguf",
         .code = ERR_INPUT,
         .chosen = "no tokenizer that is read: tokenizer.json is needed"      },
        {.kind = FETCH_SERVED,
         .names = "tokenizer.json pytorch_model.bin",
         .code = ERR_INPUT,
         .chosen = "config.json with tokenizer.json, or a .gguf, is needed"},
        {.kind = FETCH_SERVED,
         .names = "a.gguf b.gguf",
         .code = ERR_USAGE,
         .chosen = "a.gguf, b.gguf"   },
    };
    (void)state;
    check_rows(rows, COUNT_OF(rows));
}

static void test_what_cannot_be_read_or_meant_is_named(void **state)
{
    static const Row rows[] = {
        {.names = "a.gguf b.gguf",
         .code = ERR_USAGE,
         .chosen = "hf://org/name/FILE: a.gguf, b.gguf"                               },
        {                                                       .names = "config.json pytorch_model.bin",
         .code = ERR_UNSUPPORTED,
         .chosen = "pytorch_model.bin: weights are Python pickles"                  },
        {                        .names = "config.json README.md", .code = ERR_INPUT,                      .chosen = "no model that is read"        },
        {     .names = "",                                  .code = ERR_INPUT,                                        .chosen = "no model that is read"                                                       },
        {                                                                                                                       .path = "absent",
         .names = "config.json",
         .code = ERR_NET,
         .chosen = "no file or folder absent"},
        { .kind = FETCH_TEXT,                                  .names = "a.txt b.txt",                                      .code = ERR_USAGE,                                     .chosen = "a.txt, b.txt"},
        {                                                                                                               .kind = FETCH_TEXT,
         .names = "README.md w/test-00000.parquet",
         .code = ERR_UNSUPPORTED,
         .chosen = "w/test-00000.parquet: Parquet is not read; convert it"},
        {                                                                                                                  .kind = FETCH_TEXT,
         .path = "x.parquet",
         .names = "x.parquet",
         .code = ERR_UNSUPPORTED,
         .chosen = "to_json('text.jsonl'"},
        {                                                                                                                  .kind = FETCH_TEXT,
         .names = "README.md",
         .code = ERR_INPUT,
         .chosen = "no text that is read"},
    };
    (void)state;
    check_rows(rows, COUNT_OF(rows));
}

static void test_shards_of_other_names_are_taken_from_the_index(void **state)
{
    static const char index[] = "{\"weight_map\": {\"a\": \"part-a.safetensors\", \"b\": "
                                "\"part-b.safetensors\", \"c\": \"part-a.safetensors\", \"d\": 7}}";
    static const char hostile[] = "{\"weight_map\": {\"a\": \"../../x\"}}";
    (void)state;
    Err err;
    bool more;
    HubSnapshot snapshot = make_snapshot(
        NULL,
        "m/config.json m/model.safetensors.index.json m/part-a.safetensors m/part-b.safetensors");
    const char *path = test_file("index.json", index, sizeof index - 1);
    assert_ok(fetch_add_shards(&snapshot, path, "m/", &more, &err), &err);
    assert_true(more);
    assert_wanted(&snapshot, "m/part-a.safetensors m/part-b.safetensors");
    assert_ok(fetch_add_shards(&snapshot, path, "m/", &more, &err), &err);
    assert_false(more);
    assert_err(fetch_add_shards(&snapshot, path, "", &more, &err), &err, ERR_NET,
               "names the shard part-a.safetensors, which is not there");
    assert_err(fetch_add_shards(&snapshot, test_file("bad.json", hostile, sizeof hostile - 1), "m/",
                                &more, &err),
               &err, ERR_NET, "leads out of its folder");
    assert_err(fetch_add_shards(&snapshot, test_file("none.json", "x", 1), "m/", &more, &err), &err,
               ERR_INPUT, "none.json");
    hub_snapshot_free(&snapshot);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_of_a_model_config_tokenizer_and_one_set_of_weights_are_fetched),
        cmocka_unit_test(test_of_texts_one_file_is_fetched),
        cmocka_unit_test(test_of_a_tokenizer_no_weights_are_fetched),
        cmocka_unit_test(test_what_cannot_be_read_or_meant_is_named),
        cmocka_unit_test(test_shards_of_other_names_are_taken_from_the_index),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
