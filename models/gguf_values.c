#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "models/gguf.h"

bool gguf_text_equal(GgufText text, const char *s)
{
    return text.n == strlen(s) && memcmp(text.text, s, text.n) == 0;
}

static int compare_key(const void *key, const void *value)
{
    const char *a = key;
    GgufText b = ((const GgufValue *)value)->key;
    int order = strncmp(a, b.text, b.n);
    return order ? order : a[b.n] != '\0';
}

const GgufValue *gguf_find(const Gguf *gguf, const char *key)
{
    if (gguf->n_values == 0) return NULL;
    return bsearch(key, gguf->values, gguf->n_values, sizeof *gguf->values, compare_key);
}

static bool wrong_type(const char *key, const char *wanted, const GgufValue *value, Err *err)
{
    return err_set(err, ERR_INPUT, "key %s is %s%s, %s is needed", key,
                   value->is_array ? "an array of " : "", gguf_type_name(value->type), wanted);
}

/* The bytes of one number as an integer; false when they hold none, or one above 2^63-1. */
static bool integer_of(const GgufValue *value, int64_t *out)
{
    uint64_t u = 0;
    if (value->n_bytes > sizeof u) return false;
    memcpy(&u, value->bytes, value->n_bytes);
    unsigned unused_bits = 64 - 8 * (unsigned)value->n_bytes;
    switch (value->type) {
    case GGUF_U8:
    case GGUF_U16:
    case GGUF_U32:
    case GGUF_U64: *out = (int64_t)u; return u <= INT64_MAX;
    case GGUF_I8:
    case GGUF_I16:
    case GGUF_I32:
    case GGUF_I64: *out = (int64_t)(u << unused_bits) >> unused_bits; return true;
    default: return false;
    }
}

bool gguf_get_i64(const Gguf *gguf, const char *key, int64_t low, int64_t high, int64_t *out,
                  Err *err)
{
    const GgufValue *value = gguf_find(gguf, key);
    int64_t number;
    if (!value) return true;
    if (value->is_array || !integer_of(value, &number))
        return wrong_type(key, "one integer", value, err);
    if (number < low || number > high)
        return err_set(err, ERR_INPUT, "key %s is %lld, allowed are %lld to %lld", key,
                       (long long)number, (long long)low, (long long)high);
    *out = number;
    return true;
}

bool gguf_get_double(const Gguf *gguf, const char *key, double *out, Err *err)
{
    const GgufValue *value = gguf_find(gguf, key);
    if (!value) return true;
    if (value->is_array || (value->type != GGUF_F32 && value->type != GGUF_F64))
        return wrong_type(key, "one f32 or f64", value, err);
    double number;
    if (value->type == GGUF_F32)
        number = (double)gguf_f32_at(value, 0);
    else
        memcpy(&number, value->bytes, sizeof number);
    if (!isfinite(number)) return err_set(err, ERR_INPUT, "key %s is not finite", key);
    *out = number;
    return true;
}

bool gguf_get_bool(const Gguf *gguf, const char *key, bool *out, Err *err)
{
    const GgufValue *value = gguf_find(gguf, key);
    if (!value) return true;
    if (value->is_array || value->type != GGUF_BOOL) return wrong_type(key, "one bool", value, err);
    *out = value->bytes[0] != 0;
    return true;
}

bool gguf_get_text(const Gguf *gguf, const char *key, GgufText *out, Err *err)
{
    const GgufValue *value = gguf_find(gguf, key);
    if (!value) return true;
    if (value->is_array || value->type != GGUF_STRING)
        return wrong_type(key, "one string", value, err);
    const unsigned char *at = value->bytes;
    *out = gguf_next_text(&at);
    return true;
}

bool gguf_get_array(const Gguf *gguf, const char *key, GgufType type, size_t n,
                    const GgufValue **out, Err *err)
{
    *out = NULL;
    const GgufValue *value = gguf_find(gguf, key);
    if (!value) return true;
    if (!value->is_array || value->type != type)
        return err_set(err, ERR_INPUT, "key %s is %s%s, an array of %s is needed", key,
                       value->is_array ? "an array of " : "", gguf_type_name(value->type),
                       gguf_type_name(type));
    if (n && value->count != n)
        return err_set(err, ERR_INPUT, "key %s has %llu elements, %zu are needed", key,
                       (unsigned long long)value->count, n);
    *out = value;
    return true;
}

GgufText gguf_next_text(const unsigned char **at)
{
    uint64_t n;
    memcpy(&n, *at, sizeof n);
    GgufText text = {(const char *)*at + sizeof n, (size_t)n};
    *at += sizeof n + n;
    return text;
}

float gguf_f32_at(const GgufValue *value, size_t i)
{
    float element;
    memcpy(&element, value->bytes + i * sizeof element, sizeof element);
    return element;
}

int32_t gguf_i32_at(const GgufValue *value, size_t i)
{
    int32_t element;
    memcpy(&element, value->bytes + i * sizeof element, sizeof element);
    return element;
}
