/* JSON in, on jansson: bounded size and depth, duplicate keys refused, and getters that name the
 * key in their errors.
 *
 * A getter returns true when the key is absent or null (*out keeps its value), so defaults are
 * set before the call; it fails only when the key is there with a value of the wrong kind. */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include <jansson.h>

#include "base/err.h"

typedef struct {
    const char *origin; /* file name for messages */
    size_t max_bytes;   /* a longer text is refused */
    bool ints_as_reals; /* read integers as doubles: real configs hold 1e30 as an integer */
} JsonLimits;

/* Parses a text of n bytes. The caller owns the reference (json_decref). Depth is at most 64.
 * Errors: INPUT with line and column. */
json_t *json_parse(const char *text, size_t n, const JsonLimits *limits, Err *err) MUST_USE;

/* Reads and parses a whole file; limits->origin is replaced by the path. Errors: INPUT. */
json_t *json_parse_file(const char *path, const JsonLimits *limits, Err *err) MUST_USE;

/* An integer, or a real with an integral value, within [low, high]. Errors: INPUT. */
bool json_get_i64(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *out,
                  Err *err) MUST_USE;

/* A finite number. Errors: INPUT. */
bool json_get_double(const json_t *object, const char *key, double *out, Err *err) MUST_USE;

bool json_get_bool(const json_t *object, const char *key, bool *out, Err *err) MUST_USE;

/* Lends the string. Errors: INPUT. */
bool json_get_string(const json_t *object, const char *key, const char **out, Err *err) MUST_USE;

/* The value, or NULL when it is absent or null; lends. */
const json_t *json_find(const json_t *object, const char *key);

#endif
