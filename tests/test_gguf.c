#include "tests/test_util.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "base/file.h"
#include "models/weights.h"
#include "tests/gguf_builder.h"

/* Parses the bytes and empties the buffer; frees what was parsed. */
static void assert_parse(Buf *bytes, ErrCode code, const char *part)
{
    Err err = {0};
    Gguf gguf;
    /* A copy of exactly this size, so that a sanitizer sees the first byte too far. */
    char *copy = bytes->len ? malloc(bytes->len) : NULL;
    if (copy) memcpy(copy, bytes->data, bytes->len);
    bool ok = gguf_parse(copy, bytes->len, "t.gguf", &gguf, &err);
    if (code == ERR_NONE)
        assert_ok(ok, &err);
    else
        assert_err(ok, &err, code, part);
    if (ok) gguf_free(&gguf);
    free(copy);
    buf_free(bytes);
}

static void test_magic_and_versions_have_their_own_messages(void **state)
{
    (void)state;
    static const struct {
        uint32_t version;
        ErrCode code;
        const char *part;
    } rows[] = {
        {0,          ERR_INPUT,       "version 0 does not exist"},
        {1,          ERR_UNSUPPORTED, "GGUF version 1, an old"  },
        {2,          ERR_UNSUPPORTED, "GGUF version 2, an old"  },
        {3,          ERR_NONE,        ""                        },
        {4,          ERR_UNSUPPORTED, "GGUF version 4, newer"   },
        {0x03000000, ERR_UNSUPPORTED, "big-endian"              },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf b = {0};
        put_header(&b, rows[i].version, 0, 0);
        assert_parse(&b, rows[i].code, rows[i].part);
    }
    Buf swapped = {0};
    buf_puts(&swapped, "FUGG....");
    assert_parse(&swapped, ERR_UNSUPPORTED, "byte-swapped");
    Buf other = {0};
    buf_puts(&other, "GGML....");
    assert_parse(&other, ERR_INPUT, "the magic is 47 47 4d 4c");
    Buf empty = {0};
    assert_parse(&empty, ERR_INPUT, "the magic needs 4 bytes");
}

static void test_huge_counts_are_refused_without_memory(void **state)
{
    (void)state;
    static const uint64_t counts[] = {UINT64_C(1) << 63, UINT64_MAX, UINT64_C(1) << 32, 100};
    struct rusage before;
    struct rusage after;
    getrusage(RUSAGE_SELF, &before);
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        Buf b = {0};
        put_header(&b, 3, counts[i], 0);
        assert_parse(&b, ERR_INPUT, "tensors cannot fit");
        put_header(&b, 3, 0, counts[i]);
        assert_parse(&b, ERR_INPUT, "keys cannot fit");
        for (uint32_t type = 0; type < GGUF_N_TYPES; type++) {
            if (type == GGUF_ARRAY) continue;
            put_header(&b, 3, 0, 1);
            put_array(&b, "a", type, counts[i]);
            put_u64(&b, 1);
            assert_parse(&b, ERR_INPUT, "key a");
        }
        put_header(&b, 3, 0, 1);
        put_key(&b, "a", GGUF_STRING);
        put_u64(&b, counts[i]);
        assert_parse(&b, ERR_INPUT, "key a");
        put_header(&b, 3, 0, 1);
        put_u64(&b, counts[i]);
        buf_puts(&b, "0123456789abcdef");
        assert_parse(&b, ERR_INPUT, "a key needs");
    }
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 32 * 1024);
}

static void test_bad_keys_are_refused(void **state)
{
    (void)state;
    Buf b = {0};
    put_header(&b, 3, 0, 1);
    put_u32_value(&b, "", 7);
    buf_puts(&b, "....");
    assert_parse(&b, ERR_INPUT, "a key is empty");
    put_header(&b, 3, 0, 1);
    put_u64(&b, 3);
    buf_append(&b, "a\0b", 3);
    put_u32(&b, GGUF_U32);
    put_u32(&b, 7);
    assert_parse(&b, ERR_INPUT, "NUL");
    put_header(&b, 3, 0, 3);
    put_u32_value(&b, "twice", 7);
    put_u32_value(&b, "other", 7);
    put_u32_value(&b, "twice", 8);
    assert_parse(&b, ERR_INPUT, "key twice is there twice");
}

static void test_bad_values_are_refused(void **state)
{
    (void)state;
    Buf b = {0};
    put_header(&b, 3, 0, 1);
    put_array(&b, "nested", GGUF_ARRAY, 1);
    put_u32(&b, GGUF_U8);
    put_u64(&b, 0);
    assert_parse(&b, ERR_INPUT, "array of arrays");
    for (uint32_t type = GGUF_N_TYPES; type < GGUF_N_TYPES + 3; type++) {
        put_header(&b, 3, 0, 1);
        put_key(&b, "odd", type);
        put_u64(&b, 0);
        assert_parse(&b, ERR_INPUT, "key odd: value type 1");
    }
    put_header(&b, 3, 0, 1);
    put_key(&b, "flag", GGUF_BOOL);
    buf_puts(&b, "\7");
    assert_parse(&b, ERR_INPUT, "a bool is 7");
}

static void test_alignment_must_be_a_power_of_two(void **state)
{
    (void)state;
    static const uint32_t bad[] = {0, 3, 48, UINT32_C(1) << 31, UINT32_MAX};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        Buf b = {0};
        put_header(&b, 3, 0, 1);
        put_u32_value(&b, "general.alignment", bad[i]);
        assert_parse(&b, ERR_INPUT, "a power of two");
    }
    Buf b = {0};
    put_header(&b, 3, 0, 1);
    put_key(&b, "general.alignment", GGUF_U64);
    put_u64(&b, 32);
    assert_parse(&b, ERR_INPUT, "is not a u32");
}

/* A file of one tensor and n_data bytes. */
static Buf one_tensor(uint32_t n_dims, const uint64_t *ne, uint32_t type, uint64_t offset,
                      size_t n_data)
{
    Buf b = {0};
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "w", n_dims, ne, type, offset);
    put_data(&b, 32, n_data);
    return b;
}

static void test_bad_shapes_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint32_t n_dims;
        uint64_t ne[5];
        const char *part;
    } rows[] = {
        {0, {1},                                             "0 dimensions"    },
        {5, {1, 1, 1, 1, 1},                                 "5 dimensions"    },
        {1, {0},                                             "a dimension is 0"},
        {2, {4, 0},                                          "a dimension is 0"},
        {1, {UINT64_MAX},                                    "a dimension is"  },
        {1, {UINT64_C(1) << 63},                             "a dimension is"  },
        {2, {UINT64_C(1) << 32, UINT64_C(1) << 32},          "no size"         },
        {1, {UINT64_C(1) << 62},                             "no size"         },
        {1, {(UINT64_C(1) << 63) - 3},                       "no size"         },
        {2, {(UINT64_C(1) << 42) + 1, UINT64_C(1) << 20},    "no size"         },
        {3, {(UINT64_C(1) << 42) + 1, UINT64_C(1) << 20, 4}, "no size"         },
        {1, {(UINT64_C(1) << 42) + 1},                       "truncated"       },
        {1, {9},                                             "truncated"       },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf b = one_tensor(rows[i].n_dims, rows[i].ne, 0, 0, 32);
        assert_parse(&b, ERR_INPUT, rows[i].part);
    }
    Buf b = {0};
    put_header(&b, 3, 1, 0);
    put_text(&b, "w");
    put_u32(&b, UINT32_MAX);
    put_data(&b, 32, 64);
    assert_parse(&b, ERR_INPUT, "4294967295 dimensions");
}

static void test_every_tensor_type_has_a_verdict(void **state)
{
    (void)state;
    const uint64_t ne[] = {256};
    for (uint32_t type = 0; type <= 64; type++) {
        bool supported = type == 0 || type == 1 || type == 30;
        ErrCode code = supported ? ERR_NONE : type <= 41 ? ERR_UNSUPPORTED : ERR_INPUT;
        char part[32];
        snprintf(part, sizeof part, code == ERR_INPUT ? "type number %u" : "(%u)", type);
        Buf b = one_tensor(1, ne, type, 0, 1024);
        assert_parse(&b, code, part);
    }
    Buf b = one_tensor(1, ne, 8, 0, 1024);
    assert_parse(&b, ERR_UNSUPPORTED, "has type Q8_0 (8), supported: F32 F16 BF16");
}

static void test_bad_offsets_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint64_t offset;
        const char *part;
    } rows[] = {
        {4,                 "not a multiple of 32"},
        {64,                "truncated"           },
        {UINT64_MAX - 31,   "truncated"           },
        {UINT64_C(1) << 63, "truncated"           },
        {UINT64_MAX,        "not a multiple"      },
    };
    const uint64_t ne[] = {8};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Buf b = one_tensor(1, ne, 0, rows[i].offset, 64);
        assert_parse(&b, ERR_INPUT, rows[i].part);
    }
    const uint64_t long_ne[] = {9};
    Buf b = {0};
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "second", 1, ne, 0, 32);
    put_tensor(&b, "first", 1, long_ne, 0, 0);
    put_data(&b, 32, 64);
    assert_parse(&b, ERR_INPUT, "tensor second: offset 32 overlaps first, which ends at 36");
}

static void test_tensor_names_are_checked(void **state)
{
    (void)state;
    const uint64_t ne[] = {8};
    Buf b = {0};
    put_header(&b, 3, 1, 0);
    put_tensor(&b, "", 1, ne, 0, 0);
    put_data(&b, 32, 64);
    assert_parse(&b, ERR_INPUT, "a tensor's name is empty");
    put_header(&b, 3, 2, 0);
    put_tensor(&b, "same", 1, ne, 0, 0);
    put_tensor(&b, "same", 1, ne, 0, 32);
    put_data(&b, 32, 64);
    Err err = {0};
    WeightFile *file = weights_open(test_file("same.gguf", b.data, b.len), &err);
    assert_err(file, &err, ERR_INPUT, "tensor same is there twice");
    buf_free(&b);
}

static void test_a_cut_anywhere_is_refused(void **state)
{
    (void)state;
    const uint64_t ne[] = {8, 2};
    Buf b = {0};
    put_header(&b, 3, 1, 2);
    put_text_value(&b, "general.architecture", "llama");
    put_array(&b, "list", GGUF_STRING, 2);
    put_text(&b, "one");
    put_text(&b, "two");
    put_tensor(&b, "w", 2, ne, 0, 0);
    put_data(&b, 32, 64);
    for (size_t n = 0; n < b.len; n++) {
        Buf cut = {0};
        buf_append(&cut, b.data, n);
        assert_parse(&cut, ERR_INPUT, "");
    }
    assert_parse(&b, ERR_NONE, "");
}

static void test_dims_are_turned_round(void **state)
{
    (void)state;
    const uint64_t ne[] = {3, 5, 7};
    Buf b = one_tensor(3, ne, 1, 0, 3UL * 5 * 7 * 2);
    Gguf gguf;
    Err err = {0};
    assert_ok(gguf_parse(b.data, b.len, "t", &gguf, &err), &err);
    const Tensor *t = &gguf.tensors[0].tensor;
    assert_int_equal(t->dims[0], 7);
    assert_int_equal(t->dims[1], 5);
    assert_int_equal(t->dims[2], 3);
    assert_int_equal(t->n_bytes, 210);
    assert_ptr_equal(t->data, b.data + (b.len - 210));
    gguf_free(&gguf);
    buf_free(&b);
}

static void test_getters_check_the_type(void **state)
{
    (void)state;
    Buf b = {0};
    put_header(&b, 3, 0, 4);
    put_u32_value(&b, "n", 7);
    put_key(&b, "i", GGUF_I8);
    buf_puts(&b, "\xfe");
    put_f32_value(&b, "x", 0.5F);
    put_array(&b, "list", GGUF_U8, 2);
    buf_puts(&b, "ab");
    Gguf gguf;
    Err err = {0};
    int64_t n = 1;
    double x = 1;
    bool flag;
    GgufText text;
    const GgufValue *list;
    assert_ok(gguf_parse(b.data, b.len, "t", &gguf, &err), &err);
    assert_ok(gguf_get_i64(&gguf, "absent", 0, 1, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_ok(gguf_get_i64(&gguf, "n", 0, 7, &n, &err), &err);
    assert_int_equal(n, 7);
    assert_ok(gguf_get_i64(&gguf, "i", -2, 7, &n, &err), &err);
    assert_int_equal(n, -2);
    assert_err(gguf_get_i64(&gguf, "n", 0, 6, &n, &err), &err, ERR_INPUT, "key n is 7");
    assert_err(gguf_get_i64(&gguf, "x", 0, 6, &n, &err), &err, ERR_INPUT, "key x is f32");
    assert_err(gguf_get_i64(&gguf, "list", 0, 6, &n, &err), &err, ERR_INPUT, "array of u8");
    assert_ok(gguf_get_double(&gguf, "x", &x, &err), &err);
    assert_close(x, 0.5, 0, 0);
    assert_err(gguf_get_double(&gguf, "n", &x, &err), &err, ERR_INPUT, "key n is u32");
    assert_err(gguf_get_bool(&gguf, "n", &flag, &err), &err, ERR_INPUT, "key n is u32");
    assert_err(gguf_get_text(&gguf, "n", &text, &err), &err, ERR_INPUT, "key n is u32");
    assert_err(gguf_get_array(&gguf, "list", GGUF_F32, 2, &list, &err), &err, ERR_INPUT,
               "key list is an array of u8, an array of f32 is needed");
    assert_err(gguf_get_array(&gguf, "list", GGUF_U8, 3, &list, &err), &err, ERR_INPUT,
               "has 2 elements, 3 are needed");
    gguf_free(&gguf);
    buf_free(&b);
}

static void test_split_files_are_refused_clearly(void **state)
{
    (void)state;
    Buf b = {0};
    Err err = {0};
    put_header(&b, 3, 0, 0);
    WeightFile *file = weights_open(test_file("m-00001-of-00003.gguf", b.data, b.len), &err);
    assert_err(file, &err, ERR_UNSUPPORTED, "one part of a split model");
    buf_free(&b);
    put_header(&b, 3, 0, 1);
    put_key(&b, "split.count", GGUF_U16);
    buf_append(&b, "\3\0", 2);
    file = weights_open(test_file("part.gguf", b.data, b.len), &err);
    assert_err(file, &err, ERR_UNSUPPORTED, "one part of a split model");
    buf_free(&b);
}

/* Opens a vocabulary-only file of three tokens, with what `more` appends, and reads its tokenizer. */
static bool read_vocab(void (*more)(Buf *), uint64_t n_more, const char *model, bool *usable,
                       char why[256], Err *err)
{
    Buf b = {0};
    put_header(&b, 3, 0, 2 + n_more);
    put_text_value(&b, "tokenizer.ggml.model", model);
    put_array(&b, "tokenizer.ggml.tokens", GGUF_STRING, 3);
    put_text(&b, "<unk>");
    put_text(&b, "<s>");
    put_text(&b, "</s>");
    more(&b);
    WeightFile *file = weights_open(test_file("vocab.gguf", b.data, b.len), err);
    buf_free(&b);
    assert_ok(file, err);
    Tokenizer *tokenizer;
    bool ok = weights_read_tokenizer(file, &tokenizer, why, err);
    *usable = tokenizer != NULL;
    tokenizer_free(tokenizer);
    weights_close(file);
    return ok;
}

static void put_nothing(Buf *b)
{
    (void)b;
}

static void put_byte_scores(Buf *b)
{
    put_array(b, "tokenizer.ggml.scores", GGUF_U8, 3);
    buf_puts(b, "abc");
}

static void put_short_scores(Buf *b)
{
    put_array(b, "tokenizer.ggml.scores", GGUF_F32, 2);
    put_u64(b, 0);
}

static void put_byte_kinds(Buf *b)
{
    put_array(b, "tokenizer.ggml.token_type", GGUF_U8, 3);
    buf_puts(b, "\1\1\1");
}

static void put_long_kinds(Buf *b)
{
    put_array(b, "tokenizer.ggml.token_type", GGUF_I32, 4);
    put_u64(b, 0);
    put_u64(b, 0);
}

static void put_odd_kind(Buf *b)
{
    put_array(b, "tokenizer.ggml.token_type", GGUF_I32, 3);
    put_u32(b, 1);
    put_u32(b, 7);
    put_u32(b, 1);
}

static void put_far_id(Buf *b)
{
    put_u32_value(b, "tokenizer.ggml.bos_token_id", 3);
}

static void put_text_id(Buf *b)
{
    put_text_value(b, "tokenizer.ggml.eos_token_id", "2");
}

static void test_bad_vocabularies_are_refused_by_key(void **state)
{
    (void)state;
    static const struct {
        void (*more)(Buf *);
        const char *part;
    } rows[] = {
        {put_byte_scores,  "tokenizer.ggml.scores is an array of u8"    },
        {put_short_scores, "tokenizer.ggml.scores has 2 elements"       },
        {put_byte_kinds,   "tokenizer.ggml.token_type is an array of u8"},
        {put_long_kinds,   "tokenizer.ggml.token_type has 4 elements"   },
        {put_odd_kind,     "entry 1 is 7"                               },
        {put_far_id,       "tokenizer.ggml.bos_token_id is 3"           },
        {put_text_id,      "tokenizer.ggml.eos_token_id is string"      },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err = {0};
        char why[256];
        bool usable;
        assert_err(read_vocab(rows[i].more, 1, "llama", &usable, why, &err), &err, ERR_INPUT,
                   rows[i].part);
    }
}

static void put_no_id(Buf *b)
{
    put_u32_value(b, "tokenizer.ggml.bos_token_id", UINT32_MAX);
}

static void test_a_vocabulary_without_scores_leaves_token_ids(void **state)
{
    (void)state;
    Err err = {0};
    char why[256];
    bool usable;
    assert_ok(read_vocab(put_nothing, 0, "llama", &usable, why, &err), &err);
    assert_false(usable);
    assert_non_null(strstr(why, "no scores"));
    assert_ok(read_vocab(put_no_id, 1, "llama", &usable, why, &err), &err);
    assert_false(usable);
    assert_ok(read_vocab(put_nothing, 0, "bert", &usable, why, &err), &err);
    assert_false(usable);
    assert_non_null(strstr(why, "tokenizer.ggml.model is bert"));
}

static void test_real_vocabularies_open_without_tensors(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        int n;
        int bos;
        const char *refusal; /* NULL: the config is one that the engine runs */
    } rows[] = {
        {"data/tokenizers/ggml-vocab-phi-3.gguf",    32064, 1,     NULL                  },
        {"data/tokenizers/ggml-vocab-gpt-2.gguf",    50257, 50256, "general.architecture"},
        {"data/tokenizers/ggml-vocab-gpt-neox.gguf", 50432, 0,     NULL                  },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        Err err = {0};
        char why[256];
        ModelConfig config;
        Tokenizer *tokenizer;
        WeightFile *file = weights_open(shared_path(rows[i].path), &err);
        assert_ok(file, &err);
        assert_int_equal(weights_count(file), 0);
        if (rows[i].refusal)
            assert_err(weights_read_config(file, &config, &err), &err, ERR_UNSUPPORTED,
                       rows[i].refusal);
        else
            assert_ok(weights_read_config(file, &config, &err), &err);
        assert_ok(weights_read_tokenizer(file, &tokenizer, why, &err), &err);
        assert_non_null(tokenizer);
        assert_int_equal(tokenizer_vocab_size(tokenizer), rows[i].n);
        assert_int_equal(tokenizer_bos_id(tokenizer), rows[i].bos);
        tokenizer_free(tokenizer);
        weights_close(file);
    }
}

/* The value that row r, column c of a matrix has as float bits in two files. */
static const float *row_of(const WeightFile *file, const char *name, int64_t row)
{
    const Tensor *tensor = weights_find(file, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->dtype, DTYPE_F32);
    return (const float *)tensor->data + row * tensor->dims[1];
}

static void test_query_and_key_rows_are_the_folders_permuted(void **state)
{
    (void)state;
    enum { HEAD_DIM = 4, D_MODEL = 8 };
    static const struct {
        const char *name;
        int n_heads;
    } rows[] = {
        {"model.layers.1.self_attn.q_proj.weight", 2},
        {"model.layers.1.self_attn.k_proj.weight", 1},
    };
    Err err = {0};
    WeightFile *gguf =
        weights_open(shared_path("data/fixtures/neural-api/tiny_llama_f32.gguf"), &err);
    assert_ok(gguf, &err);
    WeightFile *hf =
        weights_open(shared_path("data/fixtures/neural-api/tiny_llama.safetensors"), &err);
    assert_ok(hf, &err);
    /* Pair i of a head: rows (i, i + d/2) in the folder, rows (2i, 2i + 1) in GGUF. */
    for (size_t r = 0; r < COUNT_OF(rows); r++)
        for (int head = 0; head < rows[r].n_heads; head++)
            for (int i = 0; i < HEAD_DIM; i++) {
                int from = head * HEAD_DIM + i / 2 + i % 2 * HEAD_DIM / 2;
                assert_memory_equal(row_of(gguf, rows[r].name, head * HEAD_DIM + i),
                                    row_of(hf, rows[r].name, from), D_MODEL * sizeof(float));
            }
    weights_close(gguf);
    weights_close(hf);
}

static void test_other_tensors_equal_the_folders(void **state)
{
    (void)state;
    Err err = {0};
    WeightFile *gguf =
        weights_open(shared_path("data/fixtures/neural-api/tiny_llama_f32.gguf"), &err);
    assert_ok(gguf, &err);
    WeightFile *hf =
        weights_open(shared_path("data/fixtures/neural-api/tiny_llama.safetensors"), &err);
    assert_ok(hf, &err);
    assert_int_equal(weights_count(gguf), 21);
    for (size_t i = 0; i < weights_count(gguf); i++) {
        const Tensor *a = weights_tensor(gguf, i);
        const Tensor *b = weights_find(hf, weights_name(gguf, i));
        assert_non_null(b);
        assert_int_equal(a->n_bytes, b->n_bytes);
        assert_int_equal(a->n_dims, b->n_dims);
        if (strstr(weights_name(gguf, i), "q_proj") || strstr(weights_name(gguf, i), "k_proj"))
            continue;
        assert_memory_equal(a->data, b->data, a->n_bytes);
    }
    weights_close(gguf);
    weights_close(hf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_magic_and_versions_have_their_own_messages),
        cmocka_unit_test(test_huge_counts_are_refused_without_memory),
        cmocka_unit_test(test_bad_keys_are_refused),
        cmocka_unit_test(test_bad_values_are_refused),
        cmocka_unit_test(test_alignment_must_be_a_power_of_two),
        cmocka_unit_test(test_bad_shapes_are_refused),
        cmocka_unit_test(test_every_tensor_type_has_a_verdict),
        cmocka_unit_test(test_bad_offsets_are_refused),
        cmocka_unit_test(test_tensor_names_are_checked),
        cmocka_unit_test(test_a_cut_anywhere_is_refused),
        cmocka_unit_test(test_dims_are_turned_round),
        cmocka_unit_test(test_getters_check_the_type),
        cmocka_unit_test(test_split_files_are_refused_clearly),
        cmocka_unit_test(test_bad_vocabularies_are_refused_by_key),
        cmocka_unit_test(test_a_vocabulary_without_scores_leaves_token_ids),
        cmocka_unit_test(test_real_vocabularies_open_without_tensors),
        cmocka_unit_test(test_query_and_key_rows_are_the_folders_permuted),
        cmocka_unit_test(test_other_tensors_equal_the_folders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
