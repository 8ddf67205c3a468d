#include "tests/test_util.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/file.h"
#include "models/weights.h"

/* A safetensors file of this header and n_data bytes counting 0, 1, 2, … */
static const char *write_safetensors(const char *name, const char *header, size_t n_data)
{
    Buf file = {0};
    uint64_t length = strlen(header);
    buf_append(&file, &length, sizeof length);
    buf_puts(&file, header);
    for (size_t i = 0; i < n_data; i++)
        buf_putc(&file, (char)i);
    const char *path = test_file(name, file.data, file.len);
    buf_free(&file);
    return path;
}

static void assert_refused(const char *path, ErrCode code, const char *part)
{
    Err err = {0};
    WeightFile *file = weights_open(path, &err);
    assert_err(file, &err, code, part);
    if (!strstr(err.text, file_base_name(path))) fail_msg("the file is not named in: %s", err.text);
}

static WeightFile *open_or_fail(const char *path)
{
    Err err = {0};
    WeightFile *file = weights_open(path, &err);
    assert_ok(file, &err);
    return file;
}

/* Peak memory in kilobytes. */
static long peak_kb(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void test_files_below_8_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t n = 1; n < 8; n++) {
        char part[64];
        snprintf(part, sizeof part, "%zu bytes, a safetensors file has at least 8", n);
        assert_refused(test_file("short.safetensors", "\2\0\0\0\0\0\0\0", n), ERR_INPUT, part);
    }
    assert_refused(test_file("empty.safetensors", "", 0), ERR_INPUT, "");
}

static void test_header_length_beyond_the_file_or_the_limit_is_refused_without_memory(void **state)
{
    (void)state;
    const struct {
        uint64_t length;
        const char *part;
    } rows[] = {
        {UINT64_C(1) << 63, "at most 100000000"},
        {UINT64_MAX,        "at most 100000000"},
        {100000001,         "at most 100000000"},
        {100000000,         "truncated"        },
        {3,                 "truncated"        },
    };
    long before = peak_kb();
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char bytes[10] = {0};
        memcpy(bytes, &rows[i].length, 8);
        bytes[8] = '{';
        bytes[9] = '}';
        assert_refused(test_file("length.safetensors", bytes, sizeof bytes), ERR_INPUT,
                       rows[i].part);
    }
    assert_true(peak_kb() - before < 16 * 1024);
}

static void test_what_only_looks_like_weights_is_named(void **state)
{
    (void)state;
    static const char pointer[] =
        "version https://git-lfs.github.com/spec/v1\n"
        "oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\n"
        "size 1314128\n";
    static const char html[] = "<!DOCTYPE html><html><body>404</body></html>";
    static const char zip[] = "PK\3\4................";
    static const char *const names[] = {"a.safetensors", "a.gguf", "a.bin", "a.weights"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        Err err = {0};
        WeightFile *file = weights_open(test_file(names[i], pointer, sizeof pointer - 1), &err);
        assert_err(file, &err, ERR_INPUT, "git-lfs pointer");
        assert_non_null(strstr(err.text, "4d7a214614ab"));
        assert_non_null(strstr(err.text, "1314128 bytes"));
        assert_refused(test_file(names[i], html, sizeof html - 1), ERR_INPUT, "HTML");
        assert_refused(test_file(names[i], "\x1f\x8b\x08\x00gzip....", 12), ERR_INPUT, "gzip");
        assert_refused(test_file(names[i], zip, sizeof zip - 1), ERR_UNSUPPORTED, "zip");
    }
}

#define ONE(entry) "{\"a\":{" entry "}}"
#define SPEC(dtype, shape, offsets) \
 "\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets
#define TWO(first, second) \
 "{\"a\":{" SPEC("F32", "[1]", first) "},\"b\":{" SPEC("F32", "[1]", second) "}}"

/* clang-format off */
static const struct {
    const char *header;
    size_t n_data;
    ErrCode code;
    const char *part;
} malformed[] = {
    {"",                                                      0, ERR_INPUT,       "does not start with '{'"         },
    {" {}",                                                   0, ERR_INPUT,       "does not start with '{'"         },
    {"[]",                                                    0, ERR_INPUT,       "does not start with '{'"         },
    {"{\"a\"",                                                0, ERR_INPUT,       "line 1, column"                  },
    {"{\"\xff\":1}",                                          0, ERR_INPUT,       "line 1, column"                  },
    {"{\"a\":1}",                                             0, ERR_INPUT,       "tensor a: the entry"             },
    {"{\"__metadata__\":{\"a\":1}}",                          0, ERR_INPUT,       "__metadata__"                    },
    {"{\"__metadata__\":[]}",                                 0, ERR_INPUT,       "__metadata__"                    },
    {"{\"a\":{},\"a\":{}}",                                   0, ERR_INPUT,       "duplicate"                       },
    {ONE(SPEC("F32", "[1]", "[0,4]") ",\"dtype\":\"F32\""),   4, ERR_INPUT,       "duplicate"                       },
    {ONE("\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]"), 4, ERR_INPUT,       "dtype is not a string"           },
    {ONE(SPEC("F32", "1", "[0,4]")),                          4, ERR_INPUT,       "shape is not a list"             },
    {ONE(SPEC("F32", "[-1]", "[0,4]")),                       4, ERR_INPUT,       "dimension 0"                     },
    {ONE(SPEC("F32", "[1.5]", "[0,4]")),                      4, ERR_INPUT,       "dimension 0"                     },
    {ONE(SPEC("F32", "[\"1\"]", "[0,4]")),                    4, ERR_INPUT,       "dimension 0"                     },
    {ONE(SPEC("F32", "[4294967296,4294967296]", "[0,4]")),    4, ERR_INPUT,       "2^64"                            },
    {ONE(SPEC("F32", "[4398046511105,1048576]", "[0,4]")),    4, ERR_INPUT,       "2^64"                            },
    {ONE(SPEC("F32", "[4611686018427387904]", "[0,0]")),      0, ERR_INPUT,       "2^64"                            },
    {ONE(SPEC("F32", "[18446744073709551616]", "[0,4]")),     4, ERR_INPUT,       "line 1, column"                  },
    {ONE(SPEC("F32", "[1,1,1,1,1]", "[0,4]")),                4, ERR_UNSUPPORTED, "5 dimensions"                    },
    {ONE(SPEC("F32", "[2]", "[0,4]")),                        4, ERR_INPUT,       "needs 8 bytes, data_offsets give 4"},
    {ONE(SPEC("F32", "[1]", "[4,0]")),                        4, ERR_INPUT,       "after end"                       },
    {ONE(SPEC("F32", "[1]", "[0]")),                          4, ERR_INPUT,       "[begin, end]"                    },
    {ONE(SPEC("F32", "[1]", "[-4,0]")),                       4, ERR_INPUT,       "[begin, end]"                    },
    {ONE(SPEC("F32", "[1]", "[4,8]")),                        8, ERR_INPUT,       "hole"                            },
    {ONE(SPEC("F32", "[1]", "[0,4]")),                        3, ERR_INPUT,       "truncated"                       },
    {ONE(SPEC("F32", "[1]", "[0,4]")),                        5, ERR_INPUT,       "1 bytes follow"                  },
    {TWO("[0,4]", "[2,6]"),                                   6, ERR_INPUT,       "overlap"                         },
    {TWO("[0,4]", "[0,4]"),                                   4, ERR_INPUT,       "overlap"                         },
    {TWO("[0,4]", "[8,12]"),                                  12, ERR_INPUT,      "hole after a"                    },
    {ONE(SPEC("F8_E4M3", "[4]", "[0,4]")),                    4, ERR_UNSUPPORTED, "F8_E4M3, supported: F32 F16 BF16"},
    {ONE(SPEC("I8", "[4]", "[0,4]")),                         4, ERR_UNSUPPORTED, "dtype I8"                        },
    {ONE(SPEC("I64", "[1]", "[0,8]")),                        8, ERR_UNSUPPORTED, "dtype I64"                       },
    {ONE(SPEC("F64", "[1]", "[0,8]")),                        8, ERR_UNSUPPORTED, "dtype F64"                       },
    {ONE(SPEC("F4", "[8]", "[0,4]")),                         4, ERR_UNSUPPORTED, "dtype F4"                        },
    {ONE(SPEC("C64", "[1]", "[0,8]")),                        8, ERR_UNSUPPORTED, "dtype C64"                       },
    {ONE(SPEC("nonsense", "[1]", "[0,8]")),                   8, ERR_UNSUPPORTED, "dtype nonsense"                  },
};
/* clang-format on */

static void test_malformed_headers_are_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(malformed); i++)
        assert_refused(
            write_safetensors("bad.safetensors", malformed[i].header, malformed[i].n_data),
            malformed[i].code, malformed[i].part);
}

static void test_a_trailing_nul_in_the_header_is_refused(void **state)
{
    (void)state;
    assert_refused(test_file("nul.safetensors", "\3\0\0\0\0\0\0\0{}\0", 11), ERR_INPUT, "not JSON");
}

static void test_a_deep_header_is_refused(void **state)
{
    (void)state;
    Buf header = {0};
    buf_puts(&header, "{\"a\":");
    for (int i = 0; i < 100000; i++)
        buf_putc(&header, '[');
    assert_refused(write_safetensors("deep.safetensors", buf_text(&header), 0), ERR_INPUT,
                   "nested");
    buf_free(&header);
}

static void test_a_cut_anywhere_is_refused(void **state)
{
    (void)state;
    const char *header = TWO("[0,4]", "[4,8]");
    write_safetensors("whole.safetensors", header, 8);
    Buf whole = {0};
    char path[256];
    Err err = {0};
    snprintf(path, sizeof path, "%s/whole.safetensors", test_folder());
    assert_ok(file_read(path, 4096, &whole, &err), &err);
    weights_close(open_or_fail(path));
    for (size_t i = 1; i <= 20; i++) {
        size_t n = whole.len * i / 21;
        assert_refused(test_file("cut.safetensors", whole.data, n), ERR_INPUT, "");
    }
    assert_refused(test_file("cut.safetensors", whole.data, whole.len - 1), ERR_INPUT, "truncated");
    buf_free(&whole);
}

static void test_scalars_empty_tensors_and_spaces_are_legal(void **state)
{
    (void)state;
    const char *header =
        "{\"__metadata__\":{\"format\":\"pt\"},"
        "\"s\":{" SPEC("F32", "[]",
                       "[0,4]") "},"
                                "\"e\":{" SPEC("F16", "[0,3]",
                                               "[4,4]") "},"
                                                        "\"b\":{" SPEC("BF16", "[2]",
                                                                       "[4,8]") "}}   ";
    WeightFile *file = open_or_fail(write_safetensors("legal.safetensors", header, 8));
    assert_int_equal(weights_count(file), 3);
    assert_string_equal(weights_name(file, 0), "b");
    const Tensor *scalar = weights_find(file, "s");
    assert_int_equal(scalar->n_dims, 0);
    assert_int_equal(tensor_count(scalar), 1);
    assert_int_equal(tensor_count(weights_find(file, "e")), 0);
    assert_int_equal(((const unsigned char *)weights_find(file, "b")->data)[0], 4);
    assert_null(weights_find(file, "absent"));
    weights_close(file);
}

static void test_what_is_no_regular_file_is_refused(void **state)
{
    (void)state;
    char path[256];
    snprintf(path, sizeof path, "%s/pipe.safetensors", test_folder());
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_refused(path, ERR_INPUT, "a pipe");
    assert_refused("/dev/zero", ERR_INPUT, "a device");
    assert_refused("/nonexistent.safetensors", ERR_INPUT, "No such file");
    Err err = {0};
    WeightFile *file = weights_open("/", &err);
    assert_err(file, &err, ERR_INPUT, "neither model.safetensors nor");
    assert_refused(test_file("notes.txt", "hello", 5), ERR_INPUT, "no model format");
}

/* A folder of two shards: a in the first, b in the second. Returns its path, valid until the next call. */
static const char *shard_folder(const char *name, const char *index)
{
    static char folder[256];
    char file[300];
    snprintf(folder, sizeof folder, "%s/%s", test_folder(), name);
    mkdir(folder, 0700);
    snprintf(file, sizeof file, "%s/m1.safetensors", name);
    write_safetensors(file, ONE(SPEC("F32", "[1]", "[0,4]")), 4);
    snprintf(file, sizeof file, "%s/m2.safetensors", name);
    write_safetensors(file, "{\"b\":{" SPEC("F32", "[1]", "[0,4]") "}}", 4);
    snprintf(file, sizeof file, "%s/model.safetensors.index.json", name);
    test_file(file, index, strlen(index));
    return folder;
}

#define INDEX(a, b) "{\"weight_map\":{\"a\":\"" a "\",\"b\":\"" b "\"}}"

static void assert_index_refused(const char *name, const char *index, const char *part)
{
    Err err = {0};
    WeightFile *file = weights_open(shard_folder(name, index), &err);
    assert_err(file, &err, ERR_INPUT, part);
}

static void test_a_missing_shard_is_named(void **state)
{
    (void)state;
    assert_index_refused("missing", INDEX("m1.safetensors", "m7.safetensors"),
                         "m7.safetensors: incomplete download?");
}

static void test_a_stale_index_is_refused(void **state)
{
    (void)state;
    assert_index_refused("stale", INDEX("m2.safetensors", "m1.safetensors"), "stale index");
    assert_index_refused(
        "lost", "{\"weight_map\":{\"a\":\"m1.safetensors\",\"c\":\"m2.safetensors\"}}", "tensor c");
}

static void test_unsafe_shard_names_are_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"../m2.safetensors",   "/m2.safetensors",
                                        "x/../m2.safetensors", "..\\\\m2.safetensors",
                                        ".m2.safetensors",     "",
                                        "c:m2.safetensors",    "m2.bin"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char index[200];
        snprintf(index, sizeof index, INDEX("m1.safetensors", "%s"), names[i]);
        assert_index_refused("unsafe", index, "unsafe file name");
    }
    assert_index_refused("unsafe", "{\"weight_map\":{\"a\":7}}", "unsafe file name");
    assert_index_refused("unsafe", "{\"weight_map\":{}}", "0 shards");
    assert_index_refused("unsafe", "{}", "weight_map is not an object");
    assert_index_refused("unsafe", "[", "line 1");
}

static void test_tensors_that_the_index_lacks_are_read(void **state)
{
    (void)state;
    WeightFile *file = open_or_fail(shard_folder(
        "union", "{\"weight_map\":{\"a\":\"m1.safetensors\",\"b\":\"m2.safetensors\"}}"));
    assert_int_equal(weights_count(file), 2);
    assert_string_equal(weights_notes(file), "");
    weights_close(file);
    char path[300];
    const char *folder = shard_folder("more", INDEX("m1.safetensors", "m2.safetensors"));
    snprintf(path, sizeof path, "more/m2.safetensors");
    write_safetensors(
        path, "{\"b\":{" SPEC("F32", "[1]", "[0,4]") "},\"c\":{" SPEC("F32", "[1]", "[4,8]") "}}",
        8);
    file = open_or_fail(folder);
    assert_int_equal(weights_count(file), 3);
    assert_non_null(strstr(weights_notes(file), "1 tensors are in the shards but not in"));
    weights_close(file);
}

static void test_a_tensor_in_two_shards_is_refused(void **state)
{
    (void)state;
    Err err = {0};
    const char *folder = shard_folder("twice", INDEX("m1.safetensors", "m2.safetensors"));
    write_safetensors("twice/m2.safetensors", TWO("[0,4]", "[4,8]"), 8);
    WeightFile *file = weights_open(folder, &err);
    assert_err(file, &err, ERR_INPUT, "tensor a is there twice");
}

/* Value i of an F32 or BF16 tensor as its bits in a float. */
static uint32_t value_bits(const Tensor *tensor, size_t i)
{
    const unsigned char *data = tensor->data;
    uint32_t bits = 0;
    if (tensor->dtype == DTYPE_F32)
        memcpy(&bits, data + 4 * i, 4);
    else
        memcpy(&bits, data + 2 * i, 2);
    return bits;
}

static void check_golden_scalar(const WeightFile *file, const json_t *row)
{
    const char *name = json_string_value(json_object_get(row, "tensor"));
    const Tensor *tensor = weights_find(file, name);
    assert_non_null(tensor);
    const json_t *index = json_object_get(row, "index");
    size_t at = 0;
    for (int d = 0; d < tensor->n_dims; d++) {
        assert_int_equal(tensor->dims[d], json_integer_value(json_array_get(
                                              json_object_get(row, "shape"), (size_t)d)));
        at = at * (size_t)tensor->dims[d] +
             (size_t)json_integer_value(json_array_get(index, (size_t)d));
    }
    unsigned long want =
        strtoul(json_string_value(json_object_get(row, "value_f32_bits")), NULL, 16);
    assert_int_equal(value_bits(tensor, at), want);
}

static void test_two_shards_give_the_published_values(void **state)
{
    (void)state;
    const char *folder = shared_path("data/fixtures/quatricmorph-2shard");
    json_t *golden =
        json_load_file(shared_path("data/fixtures/quatricmorph-2shard/golden.json"), 0, NULL);
    assert_non_null(golden);
    WeightFile *file = open_or_fail(folder);
    assert_int_equal(weights_count(file),
                     json_integer_value(json_object_get(golden, "tensor_count")));
    size_t i;
    json_t *row;
    json_array_foreach(json_object_get(golden, "scalars"), i, row) check_golden_scalar(file, row);
    assert_true(i > 0);
    json_array_foreach(json_object_get(golden, "bf16"), i, row)
    {
        const Tensor *tensor =
            weights_find(file, json_string_value(json_object_get(row, "tensor")));
        assert_non_null(tensor);
        assert_int_equal(tensor->dtype, DTYPE_BF16);
        assert_int_equal(tensor->n_bytes, json_integer_value(json_object_get(row, "byte_length")));
        assert_int_equal(
            value_bits(tensor, 0),
            strtoul(json_string_value(json_object_get(row, "first_u16_le")), NULL, 16));
    }
    assert_true(i > 0);
    json_decref(golden);
    weights_close(file);
}

/* Links a shared file into a new folder under another name. */
static void link_shared(const char *folder, const char *relative, const char *name)
{
    char to[300];
    char from[1024];
    assert_non_null(realpath(shared_path(relative), from));
    snprintf(to, sizeof to, "%s/%s", folder, name);
    assert_int_equal(symlink(from, to), 0);
}

static void test_shards_hold_what_the_single_file_holds(void **state)
{
    (void)state;
    char folder[256];
    snprintf(folder, sizeof folder, "%s/tiny", test_folder());
    mkdir(folder, 0700);
    link_shared(folder, "data/fixtures/neural-api/tiny_llama-00001-of-00002.safetensors",
                "tiny_llama-00001-of-00002.safetensors");
    link_shared(folder, "data/fixtures/neural-api/tiny_llama-00002-of-00002.safetensors",
                "tiny_llama-00002-of-00002.safetensors");
    link_shared(folder, "data/fixtures/neural-api/tiny_llama.safetensors.index.json",
                "model.safetensors.index.json");
    WeightFile *shards = open_or_fail(folder);
    WeightFile *single =
        open_or_fail(shared_path("data/fixtures/neural-api/tiny_llama.safetensors"));
    assert_int_equal(weights_count(shards), weights_count(single));
    for (size_t i = 0; i < weights_count(single); i++) {
        const Tensor *a = weights_tensor(single, i);
        const Tensor *b = weights_tensor(shards, i);
        assert_string_equal(weights_name(single, i), weights_name(shards, i));
        assert_int_equal(a->n_bytes, b->n_bytes);
        assert_memory_equal(a->data, b->data, a->n_bytes);
    }
    weights_close(single);
    weights_close(shards);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_below_8_bytes_are_refused),
        cmocka_unit_test(test_header_length_beyond_the_file_or_the_limit_is_refused_without_memory),
        cmocka_unit_test(test_what_only_looks_like_weights_is_named),
        cmocka_unit_test(test_malformed_headers_are_refused_by_name),
        cmocka_unit_test(test_a_trailing_nul_in_the_header_is_refused),
        cmocka_unit_test(test_a_deep_header_is_refused),
        cmocka_unit_test(test_a_cut_anywhere_is_refused),
        cmocka_unit_test(test_scalars_empty_tensors_and_spaces_are_legal),
        cmocka_unit_test(test_what_is_no_regular_file_is_refused),
        cmocka_unit_test(test_a_missing_shard_is_named),
        cmocka_unit_test(test_a_stale_index_is_refused),
        cmocka_unit_test(test_unsafe_shard_names_are_refused),
        cmocka_unit_test(test_tensors_that_the_index_lacks_are_read),
        cmocka_unit_test(test_a_tensor_in_two_shards_is_refused),
        cmocka_unit_test(test_two_shards_give_the_published_values),
        cmocka_unit_test(test_shards_hold_what_the_single_file_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
