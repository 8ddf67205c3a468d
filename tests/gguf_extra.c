#include "tests/gguf_extra.h"

#include <stdio.h>
#include <string.h>

#include "tests/gguf_builder.h"
#include "tests/test_util.h"

enum { TYPE_F32 = 0 };

void gguf_extra_put_key(Buf *b, const GgufExtraKey *key)
{
    char name[96];
    snprintf(name, sizeof name, "llama.%s", key->name);
    if (key->text)
        put_text_value(b, name, key->text);
    else if (strstr(name, "context_length"))
        put_u32_value(b, name, (uint32_t)key->value);
    else
        put_f32_value(b, name, (float)key->value);
}

enum { N_GOOD_KEYS = 8 };

static void put_good_keys(Buf *b, uint32_t n_ctx_train, double theta)
{
    const struct {
        const char *key;
        uint32_t value;
    } widths[] = {
        {"llama.block_count",          1                                                 },
        {"llama.context_length",       n_ctx_train ? n_ctx_train : GGUF_EXTRA_N_CTX_TRAIN},
        {"llama.embedding_length",     64                                                },
        {"llama.feed_forward_length",  64                                                },
        {"llama.attention.head_count", 4                                                 },
        {"llama.vocab_size",           11                                                },
    };
    for (size_t i = 0; i < COUNT_OF(widths); i++)
        put_u32_value(b, widths[i].key, widths[i].value);
    put_text_value(b, "general.architecture", "llama");
    put_f32_value(b, "llama.rope.freq_base", (float)(theta != 0.0 ? theta : GGUF_EXTRA_BASE));
}

size_t gguf_extra_count_keys(const GgufExtra *extra)
{
    size_t n = 0;
    while (n < COUNT_OF(extra->keys) && extra->keys[n].name)
        n++;
    return n;
}

size_t gguf_extra_count_tensors(const GgufExtra *extra)
{
    size_t n = 0;
    while (n < COUNT_OF(extra->tensors) && extra->tensors[n].name)
        n++;
    return n;
}

void gguf_extra_put_tensors(Buf *b, const GgufExtra *extra, uint64_t first, uint64_t step)
{
    for (size_t i = 0; i < gguf_extra_count_tensors(extra); i++) {
        const uint64_t ne[] = {(uint64_t)extra->tensors[i].n};
        put_tensor(b, extra->tensors[i].name, 1, ne, TYPE_F32, first + step * i);
    }
}

/* Opens a file with the extras in it; close it. */
static WeightFile *open_with(const GgufExtra *extra)
{
    Buf b = {0};
    Err err;
    size_t n_tensors = gguf_extra_count_tensors(extra);
    put_header(&b, 3, n_tensors, gguf_extra_count_keys(extra) + N_GOOD_KEYS);
    put_good_keys(&b, extra->n_ctx_train, extra->theta);
    for (size_t i = 0; i < gguf_extra_count_keys(extra); i++)
        gguf_extra_put_key(&b, &extra->keys[i]);
    gguf_extra_put_tensors(&b, extra, 0, 64);
    put_data(&b, 32, 0);
    size_t start = b.len;
    for (size_t i = 0; i < n_tensors; i++) {
        put_data(&b, 1, start + 64 * i - b.len);
        for (int pair = 0; pair < extra->tensors[i].n; pair++)
            put_f32(&b, extra->tensors[i].value[pair]);
    }
    put_data(&b, 32, 0);
    WeightFile *file = weights_open(test_file("rope.gguf", b.data, b.len), &err);
    buf_free(&b);
    assert_ok(file, &err);
    return file;
}

ModelConfig gguf_extra_read_good(const GgufExtra *extra, const char *note)
{
    WeightFile *file = open_with(extra);
    ModelConfig config;
    Err err;
    assert_ok(weights_read_config(file, &config, &err), &err);
    if (!strstr(weights_notes(file), note))
        fail_msg("notes are \"%s\", wanted is \"%s\"", weights_notes(file), note);
    weights_close(file);
    return config;
}

void gguf_extra_assert_refused(const GgufExtra *extra, ErrCode code, const char *part)
{
    WeightFile *file = open_with(extra);
    ModelConfig config;
    Err err;
    assert_err(weights_read_config(file, &config, &err), &err, code, part);
    weights_close(file);
}

RopeTable gguf_extra_table(const ModelConfig *config, int64_t n_ctx)
{
    RopeSpec spec = config->rope;
    RopeTable table;
    Err err;
    assert_ok(rope_spec_resolve(&spec, n_ctx, &err), &err);
    assert_ok(rope_table_make(&spec, n_ctx, &table, &err), &err);
    return table;
}
