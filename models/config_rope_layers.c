/* rope_parameters of transformers 5 may hold one dictionary a layer type:
 *
 *     {"full_attention": {"rope_type": "default", "rope_theta": 1e6}, "sliding_attention": {…}}
 *
 * A rotation here holds for all layers. So one dictionary must speak for all of them: because layer_types names one type only, or
 * because the dictionaries of all types that it names are equal. */
#include <string.h>

#include "base/json.h"
#include "base/str.h"
#include "models/config_rope.h"

/* Whether some value is a dictionary. Errors: INPUT (some are, and others are values). */
static bool look_inside(json_t *dictionary, const char *where, bool *is_nested, Err *err)
{
    const char *key;
    json_t *value;
    const char *flat = NULL;
    *is_nested = false;
    json_object_foreach(dictionary, key, value)
    {
        if (json_is_object(value))
            *is_nested = true;
        else if (!json_is_null(value))
            flat = key;
    }
    return !*is_nested || !flat ||
           err_set(
               err, ERR_INPUT,
               "%s holds dictionaries of layer types, and key \"%s\" beside them; keep one kind",
               where, flat);
}

/* Appends "full_attention, sliding_attention". */
static const char *types_text(json_t *dictionary, Buf *out)
{
    const char *key;
    json_t *value;
    json_object_foreach(dictionary, key, value) if (json_is_object(value))
        buf_printf(out, "%s%s", out->len ? ", " : "", key);
    return buf_text(out);
}

static bool refuse(json_t *dictionary, ErrCode code, const char *where, const char *why, Err *err)
{
    Buf types = {0};
    err_set(err, code, "%s has dictionaries for layers of type %s: %s", where,
            types_text(dictionary, &types), why);
    buf_free(&types);
    return false;
}

static const char different[] =
    "they differ, and all layers are rotated alike here; a model whose layers differ is not supported";

/* Takes the next dictionary beside the one before. */
static bool join(json_t *whole, json_t *next, const char *where, json_t **one, Err *err)
{
    if (*one && !json_equal(*one, next))
        return refuse(whole, ERR_UNSUPPORTED, where, different, err);
    *one = next;
    return true;
}

bool config_rope_of_layers(const json_t *root, const char *where, json_t **dictionary, Err *err)
{
    const json_t *layers = json_find(root, "layer_types");
    json_t *whole = *dictionary;
    json_t *one = NULL;
    const char *key;
    json_t *value;
    bool is_nested;
    if (!look_inside(whole, where, &is_nested, err)) return false;
    if (!is_nested) return true;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const char *type = json_string_value(json_array_get(layers, i));
        value = type ? json_object_get(whole, type) : NULL;
        if (!json_is_object(value))
            return refuse(whole, ERR_INPUT, where, "layer_types names one that has none", err);
        if (!join(whole, value, where, &one, err)) return false;
    }
    json_object_foreach(whole, key, value)
    {
        bool is_needed = json_array_size(layers) == 0 && json_is_object(value);
        if (is_needed && !join(whole, value, where, &one, err)) return false;
    }
    *dictionary = one;
    return true;
}
