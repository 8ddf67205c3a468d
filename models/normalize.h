/* The normalisers of tokenizer.json: what is done to a text before it is cut. */
#ifndef MODELS_NORMALIZE_H
#define MODELS_NORMALIZE_H

#include "base/buf.h"
#include "base/err.h"

typedef enum {
    NORMALIZE_NFC,
    NORMALIZE_NFD,
    NORMALIZE_NFKC,
    NORMALIZE_NFKD,
    NORMALIZE_PREPEND, /* puts `to` before a text that is not empty */
    NORMALIZE_REPLACE  /* every `from` by `to` */
} NormalizeKind;

/* Strings are NUL-terminated and owned. */
typedef struct {
    NormalizeKind kind;
    char *from;
    char *to;
} NormalizeStep;

/* Zeroed changes nothing. Free with normalizer_free. */
typedef struct {
    NormalizeStep *steps;
    size_t n;
} Normalizer;

/* Appends a step; copies the strings (NULL where the kind needs none; from may not be empty). */
void normalizer_add(Normalizer *normalizer, NormalizeKind kind, const char *from, const char *to);

/* Replaces out by the normalised text. Bytes that are not UTF-8 pass unchanged. Errors: INPUT. */
bool normalizer_apply(const Normalizer *normalizer, const char *text, size_t n, Buf *out,
                      Err *err) MUST_USE;

/* Appends text with every `from` (not empty) replaced by `to`. */
void normalize_replace(const char *text, size_t n, const char *from, const char *to, Buf *out);

void normalizer_free(Normalizer *normalizer);

#endif
