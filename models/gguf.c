/* GGUF version 3, little-endian (Source: the GGUF specification in ggml's documentation):
 *
 *   "GGUF"  u32 version  u64 n_tensors  u64 n_values
 *   n_values  x  { string key, u32 type, value }
 *   n_tensors x  { string name, u32 n_dims, u64 ne[n_dims], u32 type, u64 offset }
 *   padding to general.alignment (32 unless stated), then the data; offsets count from there
 *
 *   string = u64 n, n bytes.  array = u32 element type, u64 count, elements.  ne[0] is the contiguous dimension.
 *
 * One cursor reads all of it, and it cannot leave the file: take() is the only way forward. A count is compared with what
 * the remaining bytes could hold at least before anything is done with it, tables grow as entries are really read, and
 * every product is checked; so a hostile file of n bytes costs memory of the order of n. Arrays of arrays are refused: no
 * key of any model uses them and they are where parsers recurse. */
#include "models/gguf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/dequant.h"

enum {
    VERSION = 3,
    DEFAULT_ALIGNMENT = 32,
    MAX_ALIGNMENT = 1 << 16,
    MAX_KEY_BYTES = 65535,
    MAX_NAME_BYTES = 255,
    MIN_VALUE_BYTES = 8 + 1 + 4 + 1,          /* key of one letter, type, a byte */
    MIN_TENSOR_BYTES = 8 + 1 + 4 + 8 + 4 + 8, /* name of one letter, one dimension */
    MAX_SHOWN = 80,                           /* bytes of a name in a message */
};

static const struct {
    const char *name;
    size_t bytes; /* of one; for strings the least */
} value_types[GGUF_N_TYPES] = {
    {"u8",     1 },
    {"i8",     1 },
    {"u16",    2 },
    {"i16",    2 },
    {"u32",    4 },
    {"i32",    4 },
    {"f32",    4 },
    {"bool",   1 },
    {"string", 8 },
    {"array",  12},
    {"u64",    8 },
    {"i64",    8 },
    {"f64",    8 },
};

/* Tensor types by number; NULL where a number was never used. Source: ggml.h, enum ggml_type. */
static const char *const tensor_types[] = {
    "F32",   "F16",        "Q4_0",       "Q4_1",       "Q4_2",     "Q4_3",     "Q5_0",
    "Q5_1",  "Q8_0",       "Q8_1",       "Q2_K",       "Q3_K",     "Q4_K",     "Q5_K",
    "Q6_K",  "Q8_K",       "IQ2_XXS",    "IQ2_XS",     "IQ3_XXS",  "IQ1_S",    "IQ4_NL",
    "IQ3_S", "IQ2_S",      "IQ4_XS",     "I8",         "I16",      "I32",      "I64",
    "F64",   "IQ1_M",      "BF16",       "Q4_0_4_4",   "Q4_0_4_8", "Q4_0_8_8", "TQ1_0",
    "TQ2_0", "IQ4_NL_4_4", "IQ4_NL_4_8", "IQ4_NL_8_8", "MXFP4",    "NVFP4",    "Q1_0",
};

const char *gguf_type_name(GgufType type)
{
    return value_types[type].name;
}

typedef struct {
    const unsigned char *data;
    size_t size;
    size_t at;
} Cursor;

static size_t left(const Cursor *cursor)
{
    return cursor->size - cursor->at;
}

/* The next n bytes, or NULL and err. */
static const unsigned char *take(Cursor *cursor, uint64_t n, const char *what, Err *err)
{
    if (n > left(cursor)) {
        err_set(err, ERR_INPUT, "byte %zu: %s needs %llu bytes, %zu are left: truncated or damaged",
                cursor->at, what, (unsigned long long)n, left(cursor));
        return NULL;
    }
    const unsigned char *bytes = cursor->data + cursor->at;
    cursor->at += (size_t)n;
    return bytes;
}

/* Little-endian integer of n bytes. */
static uint64_t load(const unsigned char *bytes, size_t n)
{
    uint64_t value = 0;
    for (size_t i = n; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static bool take_u32(Cursor *cursor, const char *what, uint32_t *out, Err *err)
{
    const unsigned char *bytes = take(cursor, 4, what, err);
    if (bytes) *out = (uint32_t)load(bytes, 4);
    return bytes != NULL;
}

static bool take_u64(Cursor *cursor, const char *what, uint64_t *out, Err *err)
{
    const unsigned char *bytes = take(cursor, 8, what, err);
    if (bytes) *out = load(bytes, 8);
    return bytes != NULL;
}

static bool take_text(Cursor *cursor, const char *what, GgufText *out, Err *err)
{
    uint64_t n;
    if (!take_u64(cursor, what, &n, err)) return false;
    const unsigned char *bytes = take(cursor, n, what, err);
    if (bytes) *out = (GgufText){(const char *)bytes, (size_t)n};
    return bytes != NULL;
}

/* A key or a tensor's name: not empty, bounded, without NUL. */
static bool take_name(Cursor *cursor, const char *what, size_t max, GgufText *out, Err *err)
{
    size_t start = cursor->at;
    if (!take_text(cursor, what, out, err)) return false;
    if (out->n == 0) return err_set(err, ERR_INPUT, "byte %zu: %s is empty", start, what);
    if (out->n > max)
        return err_set(err, ERR_INPUT, "byte %zu: %s has %zu bytes, at most %zu are allowed", start,
                       what, out->n, max);
    if (memchr(out->text, '\0', out->n))
        return err_set(err, ERR_INPUT, "byte %zu: %s holds a NUL byte", start, what);
    return true;
}

/* Length of a text for "%.*s". */
static int shown(GgufText text)
{
    return (int)min_i64((int64_t)text.n, MAX_SHOWN);
}

static bool check_bools(const GgufValue *value, Err *err)
{
    for (size_t i = 0; i < value->n_bytes; i++)
        if (value->bytes[i] > 1)
            return err_set(err, ERR_INPUT, "key %.*s: a bool is %d; 0 or 1 is allowed",
                           shown(value->key), value->key.text, value->bytes[i]);
    return true;
}

/* Moves over the elements of a value and records them. */
static bool take_elements(Cursor *cursor, GgufValue *value, Err *err)
{
    size_t start = cursor->at;
    size_t each = value_types[value->type].bytes;
    if (value->count > left(cursor) / each)
        return err_set(err, ERR_INPUT,
                       "key %.*s: %llu elements of %s need more than the %zu bytes that are left",
                       shown(value->key), value->key.text, (unsigned long long)value->count,
                       value_types[value->type].name, left(cursor));
    value->bytes = cursor->data + start;
    if (value->type != GGUF_STRING) cursor->at += (size_t)value->count * each;
    for (uint64_t i = 0; value->type == GGUF_STRING && i < value->count; i++) {
        GgufText text;
        if (!take_text(cursor, "a string", &text, err))
            return err_prefix(err, "key %.*s", shown(value->key), value->key.text);
    }
    value->n_bytes = cursor->at - start;
    return value->type != GGUF_BOOL || check_bools(value, err);
}

static bool take_value(Cursor *cursor, GgufValue *value, Err *err)
{
    uint32_t type;
    *value = (GgufValue){.count = 1};
    if (!take_name(cursor, "a key", MAX_KEY_BYTES, &value->key, err)) return false;
    if (!take_u32(cursor, "a value's type", &type, err)) return false;
    value->is_array = type == GGUF_ARRAY;
    if (value->is_array && (!take_u32(cursor, "an array's type", &type, err) ||
                            !take_u64(cursor, "an array's count", &value->count, err)))
        return false;
    if (value->is_array && type == GGUF_ARRAY)
        return err_set(err, ERR_INPUT, "key %.*s: an array of arrays is not allowed",
                       shown(value->key), value->key.text);
    if (type >= GGUF_N_TYPES)
        return err_set(err, ERR_INPUT, "key %.*s: value type %u; 0 to %d are known",
                       shown(value->key), value->key.text, type, GGUF_N_TYPES - 1);
    value->type = (GgufType)type;
    return take_elements(cursor, value, err);
}

static int compare_texts(GgufText a, GgufText b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = memcmp(a.text, b.text, n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

static int compare_values(const void *a, const void *b)
{
    return compare_texts(((const GgufValue *)a)->key, ((const GgufValue *)b)->key);
}

static bool take_values(Cursor *cursor, uint64_t n, Gguf *gguf, Err *err)
{
    if (n > left(cursor) / MIN_VALUE_BYTES)
        return err_set(err, ERR_INPUT, "byte 16: %llu keys cannot fit the %zu bytes that are left",
                       (unsigned long long)n, left(cursor));
    size_t cap = 0;
    while (gguf->n_values < n) {
        if (gguf->n_values == cap) {
            cap = cap ? 2 * cap : 32;
            gguf->values = mem_realloc(gguf->values, cap, sizeof *gguf->values);
        }
        if (!take_value(cursor, &gguf->values[gguf->n_values], err)) return false;
        gguf->n_values++;
    }
    if (n) qsort(gguf->values, gguf->n_values, sizeof *gguf->values, compare_values);
    for (size_t i = 1; i < gguf->n_values; i++) {
        GgufText key = gguf->values[i].key;
        if (compare_texts(gguf->values[i - 1].key, key) == 0)
            return err_set(err, ERR_INPUT, "key %.*s is there twice", shown(key), key.text);
    }
    return true;
}

static bool find_dtype(GgufText name, uint32_t type, Dtype *out, Err *err)
{
    const char *type_name = type < COUNT_OF(tensor_types) ? tensor_types[type] : NULL;
    if (!type_name)
        return err_set(err, ERR_INPUT, "tensor %.*s: type number %u is unknown", shown(name),
                       name.text, type);
    if (dtype_find(type_name, out)) return true;
    char known[128];
    dtype_names(known);
    return err_set(err, ERR_UNSUPPORTED, "tensor %.*s has type %s (%u), supported: %s", shown(name),
                   name.text, type_name, type, known);
}

/* Reads ne[], contiguous dimension first, into row-major dims. */
static bool take_dims(Cursor *cursor, GgufTensor *entry, Err *err)
{
    uint32_t n_dims;
    GgufText name = entry->name;
    if (!take_u32(cursor, "a tensor's n_dims", &n_dims, err)) return false;
    if (n_dims < 1 || n_dims > TENSOR_MAX_DIMS)
        return err_set(err, ERR_INPUT, "tensor %.*s: %u dimensions; 1 to %d are allowed",
                       shown(name), name.text, n_dims, TENSOR_MAX_DIMS);
    entry->tensor.n_dims = (int)n_dims;
    for (uint32_t i = n_dims; i-- > 0;) {
        uint64_t ne;
        if (!take_u64(cursor, "a tensor's dimension", &ne, err)) return false;
        if (ne == 0 || ne > INT64_MAX)
            return err_set(err, ERR_INPUT,
                           "tensor %.*s: a dimension is %llu; 1 to 2^63-1 is allowed", shown(name),
                           name.text, (unsigned long long)ne);
        entry->tensor.dims[i] = (int64_t)ne;
    }
    return true;
}

/* Bytes of the tensor, from dims that nobody has multiplied yet. */
static bool size_tensor(GgufTensor *entry, Err *err)
{
    Tensor *tensor = &entry->tensor;
    const DtypeInfo *info = dtype_info(tensor->dtype);
    size_t count = 1;
    bool ok = tensor->dims[tensor->n_dims - 1] % info->block == 0;
    for (int i = 0; ok && i < tensor->n_dims; i++)
        ok = size_mul(count, (size_t)tensor->dims[i], &count);
    ok = ok && size_mul(count / (size_t)info->block, (size_t)info->block_bytes, &tensor->n_bytes);
    if (ok) return true;
    char shape[96];
    tensor_shape_text(tensor, shape);
    return err_set(err, ERR_INPUT, "tensor %.*s: shape %s of %s has no size in bytes",
                   shown(entry->name), entry->name.text, shape, info->name);
}

static bool take_tensor(Cursor *cursor, GgufTensor *entry, Err *err)
{
    uint32_t type;
    uint64_t offset;
    *entry = (GgufTensor){0};
    if (!take_name(cursor, "a tensor's name", MAX_NAME_BYTES, &entry->name, err) ||
        !take_dims(cursor, entry, err) || !take_u32(cursor, "a tensor's type", &type, err) ||
        !take_u64(cursor, "a tensor's offset", &offset, err))
        return false;
    entry->offset = offset;
    return find_dtype(entry->name, type, &entry->tensor.dtype, err) && size_tensor(entry, err);
}

static int compare_tensors(const void *a, const void *b)
{
    size_t x = ((const GgufTensor *)a)->offset;
    size_t y = ((const GgufTensor *)b)->offset;
    return (x > y) - (x < y);
}

static bool take_tensors(Cursor *cursor, uint64_t n, Gguf *gguf, Err *err)
{
    if (n > left(cursor) / MIN_TENSOR_BYTES)
        return err_set(err, ERR_INPUT,
                       "byte 8: %llu tensors cannot fit the %zu bytes that are left",
                       (unsigned long long)n, left(cursor));
    size_t cap = 0;
    while (gguf->n_tensors < n) {
        if (gguf->n_tensors == cap) {
            cap = cap ? 2 * cap : 32;
            gguf->tensors = mem_realloc(gguf->tensors, cap, sizeof *gguf->tensors);
        }
        if (!take_tensor(cursor, &gguf->tensors[gguf->n_tensors], err)) return false;
        gguf->n_tensors++;
    }
    if (n) qsort(gguf->tensors, gguf->n_tensors, sizeof *gguf->tensors, compare_tensors);
    return true;
}

/* Points each tensor at its bytes; offsets must be aligned, inside the file, and apart. */
static bool place_tensors(const Cursor *cursor, size_t alignment, Gguf *gguf, Err *err)
{
    if (gguf->n_tensors == 0) return true;
    size_t start = (cursor->at + alignment - 1) / alignment * alignment;
    size_t n_data = start < cursor->size ? cursor->size - start : 0;
    size_t end = 0;
    for (size_t i = 0; i < gguf->n_tensors; i++) {
        GgufTensor *entry = &gguf->tensors[i];
        Tensor *tensor = &entry->tensor;
        GgufText name = entry->name;
        if (entry->offset % alignment)
            return err_set(err, ERR_INPUT, "tensor %.*s: offset %zu is not a multiple of %zu",
                           shown(name), name.text, entry->offset, alignment);
        if (entry->offset > n_data || tensor->n_bytes > n_data - entry->offset)
            return err_set(
                err, ERR_INPUT,
                "tensor %.*s: truncated: needs %zu bytes at offset %zu, the data has %zu",
                shown(name), name.text, tensor->n_bytes, entry->offset, n_data);
        if (entry->offset < end)
            return err_set(err, ERR_INPUT,
                           "tensor %.*s: offset %zu overlaps %.*s, which ends at %zu", shown(name),
                           name.text, entry->offset, shown(entry[-1].name), entry[-1].name.text,
                           end);
        end = entry->offset + tensor->n_bytes;
        tensor->data = cursor->data + start + entry->offset;
    }
    return true;
}

static bool read_alignment(const Gguf *gguf, size_t *out, Err *err)
{
    *out = DEFAULT_ALIGNMENT;
    const GgufValue *value = gguf_find(gguf, "general.alignment");
    if (!value) return true;
    if (value->type != GGUF_U32 || value->is_array)
        return err_set(err, ERR_INPUT, "general.alignment is not a u32");
    size_t alignment = (size_t)load(value->bytes, 4);
    if (alignment == 0 || alignment > MAX_ALIGNMENT || (alignment & (alignment - 1)))
        return err_set(err, ERR_INPUT,
                       "general.alignment is %zu; a power of two up to %d is allowed", alignment,
                       MAX_ALIGNMENT);
    *out = alignment;
    return true;
}

static bool check_version(uint32_t version, Err *err)
{
    if (version == VERSION) return true;
    if (version == 0) return err_set(err, ERR_INPUT, "byte 4: version 0 does not exist");
    if ((version & 0xffffU) == 0)
        return err_set(err, ERR_UNSUPPORTED,
                       "is big-endian (version bytes are swapped); convert it to little-endian");
    if (version < VERSION)
        return err_set(err, ERR_UNSUPPORTED,
                       "is GGUF version %u, an old layout; convert the model again to version %d",
                       version, VERSION);
    return err_set(err, ERR_UNSUPPORTED,
                   "is GGUF version %u, newer than the version %d that is read", version, VERSION);
}

static bool take_header(Cursor *cursor, uint64_t *n_tensors, uint64_t *n_values, Err *err)
{
    uint32_t version;
    const unsigned char *magic = take(cursor, 4, "the magic", err);
    if (!magic) return false;
    if (memcmp(magic, "FUGG", 4) == 0)
        return err_set(err, ERR_UNSUPPORTED, "is a byte-swapped GGUF file");
    if (memcmp(magic, "GGUF", 4) != 0)
        return err_set(err, ERR_INPUT, "byte 0: the magic is %02x %02x %02x %02x, not \"GGUF\"",
                       magic[0], magic[1], magic[2], magic[3]);
    return take_u32(cursor, "the version", &version, err) && check_version(version, err) &&
           take_u64(cursor, "the number of tensors", n_tensors, err) &&
           take_u64(cursor, "the number of keys", n_values, err);
}

bool gguf_parse(const void *bytes, size_t n, const char *origin, Gguf *gguf, Err *err)
{
    Cursor cursor = {.data = bytes, .size = n};
    uint64_t n_tensors;
    uint64_t n_values;
    size_t alignment;
    *gguf = (Gguf){0};
    if (take_header(&cursor, &n_tensors, &n_values, err) &&
        take_values(&cursor, n_values, gguf, err) && take_tensors(&cursor, n_tensors, gguf, err) &&
        read_alignment(gguf, &alignment, err) && place_tensors(&cursor, alignment, gguf, err))
        return true;
    gguf_free(gguf);
    return err_prefix(err, "%s", origin);
}

void gguf_free(Gguf *gguf)
{
    free(gguf->values);
    free(gguf->tensors);
    *gguf = (Gguf){0};
}
