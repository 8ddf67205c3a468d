#include "base/json.h"

#include <math.h>
#include <string.h>

#include "base/file.h"
#include "base/str.h"

enum { MAX_DEPTH = 64 };

/* jansson recurses as deep as the text nests, so depth is bounded before it sees the text.
 * Brackets in strings do not count. */
static bool depth_is_bounded(const char *text, size_t n)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = text[i];
        if (in_string) {
            if (c == '\\')
                i++;
            else if (c == '"')
                in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > MAX_DEPTH) return false;
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return true;
}

json_t *json_parse(const char *text, size_t n, const JsonLimits *limits, Err *err)
{
    if (n > limits->max_bytes) {
        err_set(err, ERR_INPUT, "%s: %zu bytes of JSON, at most %zu are read", limits->origin, n,
                limits->max_bytes);
        return NULL;
    }
    if (!depth_is_bounded(text, n)) {
        err_set(err, ERR_INPUT, "%s: JSON nested deeper than %d levels", limits->origin, MAX_DEPTH);
        return NULL;
    }
    json_error_t where;
    size_t flags = JSON_REJECT_DUPLICATES | (limits->ints_as_reals ? JSON_DECODE_INT_AS_REAL : 0);
    json_t *root = json_loadb(text, n, flags, &where);
    if (!root && json_error_code(&where) == json_error_out_of_memory) {
        err_set(err, ERR_NOMEM, "%s: out of memory while the JSON is read", limits->origin);
    } else if (!root) {
        char shown[sizeof where.text * 4];
        str_escape(where.text, strlen(where.text), shown, sizeof shown);
        err_set(err, ERR_INPUT, "%s: line %d, column %d: not JSON that can be read: %s",
                limits->origin, where.line, where.column, shown);
    }
    return root;
}

json_t *json_parse_file(const char *path, const JsonLimits *limits, Err *err)
{
    Buf text = {0};
    json_t *root = NULL;
    JsonLimits named = *limits;
    named.origin = path;
    if (file_read(path, limits->max_bytes, &text, err))
        root = json_parse(buf_text(&text), text.len, &named, err);
    buf_free(&text);
    return root;
}

const json_t *json_find(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    return json_is_null(value) ? NULL : value;
}

static const char *kind_of(const json_t *value)
{
    static const char *const names[] = {"an object", "a list", "a string", "an integer",
                                        "a number",  "true",   "false",    "null"};
    return names[json_typeof(value)];
}

static bool wrong_kind(const char *key, const char *wanted, const json_t *value, Err *err)
{
    return err_set(err, ERR_INPUT, "key \"%s\" is %s, %s is needed", key, kind_of(value), wanted);
}

bool json_get_i64(const json_t *object, const char *key, int64_t low, int64_t high, int64_t *out,
                  Err *err)
{
    const json_t *value = json_find(object, key);
    if (!value) return true;
    if (!json_is_number(value)) return wrong_kind(key, "an integer", value, err);
    double v = json_number_value(value);
    if (v != floor(v))
        return err_set(err, ERR_INPUT, "key \"%s\" is %.17g, an integer is needed", key, v);
    bool fits = json_is_integer(value) || (v >= -0x1p63 && v < 0x1p63);
    int64_t n = json_is_integer(value) ? json_integer_value(value) : fits ? (int64_t)v : 0;
    if (!fits || n < low || n > high)
        return err_set(err, ERR_INPUT, "key \"%s\" is %.17g, allowed are %lld to %lld", key, v,
                       (long long)low, (long long)high);
    *out = n;
    return true;
}

bool json_get_double(const json_t *object, const char *key, double *out, Err *err)
{
    const json_t *value = json_find(object, key);
    if (!value) return true;
    if (!json_is_number(value)) return wrong_kind(key, "a number", value, err);
    double v = json_number_value(value);
    if (!isfinite(v)) return err_set(err, ERR_INPUT, "key \"%s\" is not finite", key);
    *out = v;
    return true;
}

bool json_get_bool(const json_t *object, const char *key, bool *out, Err *err)
{
    const json_t *value = json_find(object, key);
    if (!value) return true;
    if (!json_is_boolean(value)) return wrong_kind(key, "true or false", value, err);
    *out = json_is_true(value);
    return true;
}

bool json_get_string(const json_t *object, const char *key, const char **out, Err *err)
{
    const json_t *value = json_find(object, key);
    if (!value) return true;
    if (!json_is_string(value)) return wrong_kind(key, "a string", value, err);
    *out = json_string_value(value);
    return true;
}
