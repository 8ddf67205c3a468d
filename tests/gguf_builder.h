/* Writes GGUF files for tests, right ones and wrong ones: every field is given by hand. */
#ifndef TESTS_GGUF_BUILDER_H
#define TESTS_GGUF_BUILDER_H

#include <string.h>

#include "base/buf.h"
#include "models/gguf.h"

static inline void put_u32(Buf *out, uint32_t value)
{
    buf_append(out, &value, sizeof value);
}

static inline void put_u64(Buf *out, uint64_t value)
{
    buf_append(out, &value, sizeof value);
}

static inline void put_f32(Buf *out, float value)
{
    buf_append(out, &value, sizeof value);
}

static inline void put_text(Buf *out, const char *text)
{
    put_u64(out, strlen(text));
    buf_puts(out, text);
}

static inline void put_header(Buf *out, uint32_t version, uint64_t n_tensors, uint64_t n_values)
{
    buf_puts(out, "GGUF");
    put_u32(out, version);
    put_u64(out, n_tensors);
    put_u64(out, n_values);
}

static inline void put_key(Buf *out, const char *key, uint32_t type)
{
    put_text(out, key);
    put_u32(out, type);
}

static inline void put_u32_value(Buf *out, const char *key, uint32_t value)
{
    put_key(out, key, GGUF_U32);
    put_u32(out, value);
}

static inline void put_f32_value(Buf *out, const char *key, float value)
{
    put_key(out, key, GGUF_F32);
    put_f32(out, value);
}

static inline void put_text_value(Buf *out, const char *key, const char *value)
{
    put_key(out, key, GGUF_STRING);
    put_text(out, value);
}

static inline void put_array(Buf *out, const char *key, uint32_t type, uint64_t count)
{
    put_key(out, key, GGUF_ARRAY);
    put_u32(out, type);
    put_u64(out, count);
}

/* One entry of the tensor table; ne as GGUF has it, the contiguous dimension first. */
static inline void put_tensor(Buf *out, const char *name, uint32_t n_dims, const uint64_t *ne,
                              uint32_t type, uint64_t offset)
{
    put_text(out, name);
    put_u32(out, n_dims);
    for (uint32_t i = 0; i < n_dims; i++)
        put_u64(out, ne[i]);
    put_u32(out, type);
    put_u64(out, offset);
}

/* Zeros up to a multiple of `alignment`, then n zeros of data. */
static inline void put_data(Buf *out, size_t alignment, size_t n)
{
    while (out->len % alignment)
        buf_putc(out, 0);
    for (size_t i = 0; i < n; i++)
        buf_putc(out, 0);
}

#endif
