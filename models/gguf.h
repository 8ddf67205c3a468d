/* GGUF version 3: the key-value pairs and the tensor table of a file in memory. Knows nothing of models.
 *
 * Everything lends from the mapped bytes; nothing is copied but the tables. */
#ifndef MODELS_GGUF_H
#define MODELS_GGUF_H

#include "models/tensor.h"

/* Types of values. Source: GGUF specification, gguf_metadata_value_type. */
typedef enum {
    GGUF_U8,
    GGUF_I8,
    GGUF_U16,
    GGUF_I16,
    GGUF_U32,
    GGUF_I32,
    GGUF_F32,
    GGUF_BOOL,
    GGUF_STRING,
    GGUF_ARRAY,
    GGUF_U64,
    GGUF_I64,
    GGUF_F64,
    GGUF_N_TYPES
} GgufType;

/* A text inside the file; not terminated. */
typedef struct {
    const char *text;
    size_t n;
} GgufText;

typedef struct {
    GgufText key;
    GgufType type; /* of the value, or of the elements of an array */
    bool is_array;
    uint64_t count;             /* elements; 1 for a single value */
    const unsigned char *bytes; /* of the first element */
    size_t n_bytes;             /* of all of them */
} GgufValue;

typedef struct {
    GgufText name;
    Tensor tensor; /* dims turned round: row-major */
    size_t offset; /* in the data section */
} GgufTensor;

typedef struct {
    GgufValue *values; /* sorted by key */
    size_t n_values;
    GgufTensor *tensors; /* sorted by offset */
    size_t n_tensors;
} Gguf;

/* Reads and checks the tables of n bytes. origin is the file name for messages. On failure *gguf is empty.
 * Errors: INPUT (damaged, hostile), UNSUPPORTED (version, byte order, tensor type). */
bool gguf_parse(const void *bytes, size_t n, const char *origin, Gguf *gguf, Err *err) MUST_USE;
void gguf_free(Gguf *gguf);

/* "u32". */
const char *gguf_type_name(GgufType type);

/* The value of a key, or NULL. Lends. */
const GgufValue *gguf_find(const Gguf *gguf, const char *key);

/* Getters as in base/json.h: an absent key leaves *out alone and is no error; the wrong type is. Errors: INPUT. */
bool gguf_get_i64(const Gguf *gguf, const char *key, int64_t low, int64_t high, int64_t *out,
                  Err *err) MUST_USE;
bool gguf_get_double(const Gguf *gguf, const char *key, double *out, Err *err) MUST_USE;
bool gguf_get_bool(const Gguf *gguf, const char *key, bool *out, Err *err) MUST_USE;
bool gguf_get_text(const Gguf *gguf, const char *key, GgufText *out, Err *err) MUST_USE;

/* The array of a key with elements of one type and, when n is not 0, of n elements; *out is NULL when the key is absent.
 * Errors: INPUT. */
bool gguf_get_array(const Gguf *gguf, const char *key, GgufType type, size_t n,
                    const GgufValue **out, Err *err) MUST_USE;

/* The next string of an array of strings: *at starts as value->bytes. Call at most value->count times. */
GgufText gguf_next_text(const unsigned char **at);

/* Element i of an array of floats or of 32-bit integers. */
float gguf_f32_at(const GgufValue *value, size_t i);
int32_t gguf_i32_at(const GgufValue *value, size_t i);

bool gguf_text_equal(GgufText text, const char *s);

#endif
