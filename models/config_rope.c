/* How config.json spells rotation (Source: transformers, modeling_rope_utils.py of v4 and v5):
 *
 *   v4   rope_theta                 at the top level
 *        rope_scaling               null, or {type | rope_type, factor, original_max_position_embeddings, …}
 *   v5   rope_parameters            {rope_type, rope_theta, partial_rotary_factor, …}, for plain models too;
 *                                   or one such dictionary a layer type (config_rope_layers.c)
 *
 * A value found in two places must be the same in both. Every key of a dictionary is either read or refused by name: a key
 * that is skipped (attn_factor, say) is how a model comes to run with the wrong rotation. */
#include "models/config_rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/str.h"

/* Scaling types that files name. Those without a method are known, and refused. */
static const struct {
    const char *type;
    const char *method;
} rope_types[] = {
    {"default",      "none"        },
    {"none",         "none"        },
    {"linear",       "linear"      },
    {"dynamic",      "dynamic-ntk" },
    {"yarn",         "yarn"        },
    {"llama3",       "llama3"      },
    {"longrope",     "longrope"    },
    {"su",           "longrope"    },
    {"ntk",          NULL          },
    {"dynamic-yarn", NULL          },
    {"proportional", "proportional"},
    {"mrope",        NULL          },
};

/* Keys of a scaling dictionary that are parameters of a method. attn_factor is none of them: other programs
 * multiply by it and the reference does not know it. */
static const struct {
    const char *key;
    RopeParam param;
} param_keys[] = {
    {"factor",           ROPE_FACTOR          },
    {"attention_factor", ROPE_ATTENTION_FACTOR},
    {"beta_fast",        ROPE_BETA_FAST       },
    {"beta_slow",        ROPE_BETA_SLOW       },
    {"mscale",           ROPE_MSCALE          },
    {"mscale_all_dim",   ROPE_MSCALE_ALL_DIM  },
    {"low_freq_factor",  ROPE_LOW_FREQ_FACTOR },
    {"high_freq_factor", ROPE_HIGH_FREQ_FACTOR},
};

/* Keys that say what the dictionary is, and that every type may hold. */
static const char *const general_keys[] = {"type", "rope_type", "rope_theta",
                                           "partial_rotary_factor"};

static bool find_method(const char *type, const RopeMethod **method, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(rope_types); i++) {
        if (!str_equal(rope_types[i].type, type)) continue;
        if (!rope_types[i].method)
            return err_set(
                err, ERR_UNSUPPORTED,
                "RoPE scaling of type \"%s\" is not supported; default, linear, dynamic, yarn, llama3, "
                "longrope and proportional are",
                type);
        *method = rope_method_find(rope_types[i].method);
        assert(*method);
        return true;
    }
    return err_set(
        err, ERR_INPUT,
        "RoPE scaling of unknown type \"%s\"; default, linear, dynamic, yarn, llama3, longrope and "
        "proportional are read",
        type);
}

void config_rope_lengths(ModelConfig *config, double factor, int64_t original, Buf *notes)
{
    int64_t claimed = config->n_ctx_train;
    bool has_factor = (config->rope.method->params & ROPE_READS(ROPE_FACTOR)) != 0;
    config->rope.n_ctx_orig = original > 0 && original <= claimed ? original : claimed;
    if (rope_method_is_plain(config->rope.method)) return;
    if (has_factor) config->rope.param[ROPE_FACTOR] = (RopeValue){ROPE_NUMBER, factor};
    if (has_factor && factor == 1.0 && !config->rope.method->reads_n_ctx_orig)
        return; /* not stretched */
    if (config->rope.n_ctx_orig != original)
        buf_printf(notes, "the length before scaling is %s; n_ctx_orig is the claimed %lld\n",
                   original ? "out of range" : "not stated", (long long)claimed);
    else if (has_factor && fabs(factor * (double)original - (double)claimed) >= 0.5)
        buf_printf(
            notes,
            "factor %g x original length %lld is not the claimed length %lld; n_ctx_orig is %lld\n",
            factor, (long long)original, (long long)claimed, (long long)original);
}

/* The places that hold values. */
typedef struct {
    const json_t *root;
    json_t *dictionary; /* the one scaling dictionary, or NULL */
    const char *where;  /* its key */
} Source;

static bool find_dictionary(const json_t *root, Source *source, Err *err)
{
    json_t *v4 = json_object_get(root, "rope_scaling");
    json_t *v5 = json_object_get(root, "rope_parameters");
    if (json_is_null(v4)) v4 = NULL;
    if (json_is_null(v5)) v5 = NULL;
    if (v4 && v5 && !json_equal(v4, v5))
        return err_set(err, ERR_INPUT,
                       "rope_scaling and rope_parameters are both there and differ; keep one");
    *source = (Source){root, v5 ? v5 : v4, v5 ? "rope_parameters" : "rope_scaling"};
    if (!source->dictionary) return true;
    if (!json_is_object(source->dictionary))
        return err_set(err, ERR_INPUT, "key \"%s\" must be null or an object", source->where);
    return config_rope_of_layers(root, source->where, &source->dictionary, err);
}

static bool read_type(const json_t *dictionary, const char *where, const char **type, Err *err)
{
    const char *old = NULL;
    const char *new = NULL;
    if (!json_get_string(dictionary, "type", &old, err) ||
        !json_get_string(dictionary, "rope_type", &new, err))
        return err_prefix(err, "%s", where);
    if (old && new && !str_equal(old, new))
        return err_set(err, ERR_INPUT, "%s: type is \"%s\" and rope_type is \"%s\"; keep one",
                       where, old, new);
    *type = new ? new : old;
    if (!*type && json_find(dictionary, "factor"))
        return err_set(err, ERR_INPUT, "%s: has a factor but no rope_type", where);
    if (!*type) *type = "default";
    return true;
}

static bool key_is_read(const char *key, const RopeMethod *method)
{
    for (size_t i = 0; i < COUNT_OF(general_keys); i++)
        if (str_equal(general_keys[i], key)) return true;
    for (size_t i = 0; i < COUNT_OF(param_keys); i++)
        if (str_equal(param_keys[i].key, key))
            return (method->params & ROPE_READS(param_keys[i].param)) != 0;
    if (str_equal(key, "original_max_position_embeddings")) return !rope_method_is_plain(method);
    if (str_equal(key, "truncate")) return (method->params & ROPE_READS(ROPE_TRUNCATE)) != 0;
    return (method->lists & ROPE_SHORT_LIST) &&
           (str_equal(key, "short_factor") || str_equal(key, "long_factor"));
}

static bool check_keys(json_t *dictionary, const char *where, const RopeMethod *method, Err *err)
{
    const char *key;
    json_t *value;
    json_object_foreach(dictionary, key, value)
    {
        if (json_is_null(value) || key_is_read(key, method)) continue;
        return err_set(
            err, ERR_INPUT,
            "%s: key \"%s\" has no meaning for method %s here, and is not skipped in silence",
            where, key, method->name);
    }
    return true;
}

/* One number under either of two names. A number in both must be the same. *found: whether there is one. */
static bool read_either(const json_t *root, const char *key, const char *alias, double *out,
                        bool *found, Err *err)
{
    double other = 0;
    if (!json_get_double(root, key, out, err) || !json_get_double(root, alias, &other, err))
        return false;
    bool has_key = json_find(root, key) != NULL;
    bool has_alias = json_find(root, alias) != NULL;
    if (has_key && has_alias && *out != other)
        return err_set(err, ERR_INPUT, "%s is %.17g but %s is %.17g; keep one", key, *out, alias,
                       other);
    if (!has_key && has_alias) *out = other;
    *found = has_key || has_alias;
    return true;
}

/* The share of a head that turns, as the top level and the dictionary state it. */
static bool read_share(const Source *source, const Arch *arch, double *share, Buf *notes, Err *err)
{
    const json_t *dictionary = source->dictionary;
    double inner = 1;
    bool has_top;
    *share = 1;
    if (!read_either(source->root, "partial_rotary_factor", "rotary_pct", share, &has_top, err))
        return false;
    if (!json_get_double(dictionary, "partial_rotary_factor", &inner, err))
        return err_prefix(err, "%s", source->where);
    bool has_inner = json_find(dictionary, "partial_rotary_factor") != NULL;
    if (has_top && has_inner && *share != inner)
        return err_set(
            err, ERR_INPUT,
            "partial_rotary_factor is %.17g but %s.partial_rotary_factor is %.17g; keep one",
            *share, source->where, inner);
    if (!has_top && has_inner) *share = inner;
    if (!has_top && !has_inner && arch->reads_partial_rotary) {
        *share = arch->default_rotary;
        if (*share != 1) buf_printf(notes, "rotary_pct is missing: taken as %g\n", *share);
    }
    return (*share > 0 && *share <= 1) ||
           err_set(err, ERR_INPUT, "partial_rotary_factor is %g; above 0 to 1 is allowed", *share);
}

/* Sets the rotated width: part of a head, or all of it where the method itself takes the share. */
static bool set_width(double share, const Arch *arch, ModelConfig *config, Err *err)
{
    bool is_in_method = (config->rope.method->params & ROPE_READS(ROPE_FRACTION)) != 0;
    if (is_in_method)
        config->rope.param[ROPE_FRACTION] = (RopeValue){ROPE_NUMBER, share};
    else if (share != 1 && !arch->reads_partial_rotary)
        return err_set(err, ERR_UNSUPPORTED,
                       "partial_rotary_factor is %g: models of type %s rotate whole heads", share,
                       arch->name);
    config->n_rot = is_in_method ? config->head_dim : (int)(config->head_dim * share);
    config->rope.n_rot = config->n_rot;
    return true;
}

static bool read_theta(const Source *source, ModelConfig *config, Buf *notes, Err *err)
{
    const json_t *dictionary = source->dictionary;
    double top = 0;
    double inner = 0;
    bool has_top;
    if (!read_either(source->root, "rope_theta", "rotary_emb_base", &top, &has_top, err))
        return false;
    if (!json_get_double(dictionary, "rope_theta", &inner, err))
        return err_prefix(err, "%s", source->where);
    bool has_inner = json_find(dictionary, "rope_theta") != NULL;
    if (has_top && has_inner && top != inner)
        return err_set(err, ERR_INPUT, "rope_theta is %.17g but %s.rope_theta is %.17g; keep one",
                       top, source->where, inner);
    config->rope.theta = has_inner ? inner : has_top ? top : CONFIG_DEFAULT_THETA;
    if (!has_top && !has_inner)
        buf_printf(notes, "rope_theta is missing: taken as %g\n", CONFIG_DEFAULT_THETA);
    return true;
}

static bool read_params(const json_t *dictionary, RopeSpec *spec, Err *err)
{
    for (size_t i = 0; i < COUNT_OF(param_keys); i++) {
        RopeValue *value = &spec->param[param_keys[i].param];
        if (!json_find(dictionary, param_keys[i].key)) continue;
        value->kind = ROPE_NUMBER;
        if (!json_get_double(dictionary, param_keys[i].key, &value->number, err)) return false;
    }
    bool truncate = true;
    if (!json_get_bool(dictionary, "truncate", &truncate, err)) return false;
    if (!truncate) spec->param[ROPE_TRUNCATE] = (RopeValue){ROPE_NUMBER, 0.0};
    return true;
}

static bool read_factors(const json_t *dictionary, const char *key, RopeFactors *factors, Err *err)
{
    const json_t *list = json_find(dictionary, key);
    if (!list) return true;
    if (!json_is_array(list) || json_array_size(list) > ROPE_MAX_PAIRS)
        return err_set(err, ERR_INPUT, "key \"%s\" must be a list of at most %d numbers", key,
                       ROPE_MAX_PAIRS);
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        if (!json_is_number(item))
            return err_set(err, ERR_INPUT, "key \"%s\", entry %zu is not a number", key, i);
        factors->factor[factors->n++] = json_number_value(item);
    }
    return true;
}

/* LongRoPE's factor follows from the lengths where it is not stated, and proportional stretches nothing then; the other types state
 * theirs. */
static bool find_factor(const ModelConfig *config, const json_t *dictionary, int64_t original,
                        double *factor, Err *err)
{
    if (!json_get_double(dictionary, "factor", factor, err)) return false;
    if (rope_method_is_plain(config->rope.method) || json_find(dictionary, "factor")) return true;
    *factor = 1;
    if (str_equal(config->rope.method->name, "proportional")) return true;
    if (!config->rope.method->lists || original < 1 || original > config->n_ctx_train)
        return err_set(err, ERR_INPUT, "type \"%s\" needs a factor", config->rope.method->name);
    *factor = (double)config->n_ctx_train / (double)original;
    return true;
}

/* The length before scaling: Phi 3 states it at the top. */
static bool read_original(const Source *source, int64_t *original, Err *err)
{
    static const char key[] = "original_max_position_embeddings";
    int64_t inner = 0;
    if (!json_get_i64(source->root, key, 0, ROPE_MAX_POSITION, original, err)) return false;
    if (!json_get_i64(source->dictionary, key, 0, ROPE_MAX_POSITION, &inner, err))
        return err_prefix(err, "%s", source->where);
    bool has_inner = json_find(source->dictionary, key) != NULL;
    if (has_inner && json_find(source->root, key) && *original != inner)
        return err_set(err, ERR_INPUT, "%s is %lld but %s.%s is %lld; keep one", key,
                       (long long)*original, source->where, key, (long long)inner);
    if (has_inner) *original = inner;
    return true;
}

static bool read_scaling(const Source *source, ModelConfig *config, Buf *notes, Err *err)
{
    json_t *dictionary = source->dictionary;
    const char *where = source->where;
    const char *type;
    if (!read_type(dictionary, where, &type, err)) return false;
    if (!find_method(type, &config->rope.method, err)) return err_prefix(err, "%s", where);
    if (!check_keys(dictionary, where, config->rope.method, err)) return false;
    double factor = 0;
    int64_t original = 0;
    if (!read_original(source, &original, err)) return false;
    if (!find_factor(config, dictionary, original, &factor, err) ||
        !read_params(dictionary, &config->rope, err) ||
        !read_factors(dictionary, "short_factor", &config->rope.short_factors, err) ||
        !read_factors(dictionary, "long_factor", &config->rope.long_factors, err))
        return err_prefix(err, "%s", where);
    config_rope_lengths(config, factor, original, notes);
    return true;
}

/* Numbers in the shortest spelling: the parser made reals of the integers. */
static void put_value(const json_t *value, Buf *out)
{
    if (json_is_number(value)) {
        char number[32];
        str_from_double(json_number_value(value), number);
        buf_puts(out, number);
        return;
    }
    char *dump = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(15));
    buf_puts(out, dump ? dump : "?");
    free(dump);
}

/* The keys as the file spells them. */
static void write_found(const json_t *root, ModelConfig *config)
{
    static const char *const keys[] = {"rope_theta",
                                       "rotary_emb_base",
                                       "partial_rotary_factor",
                                       "rotary_pct",
                                       "rope_scaling",
                                       "rope_parameters",
                                       "max_position_embeddings",
                                       "original_max_position_embeddings"};
    Buf text = {0};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const json_t *value = json_object_get(root, keys[i]);
        if (!value) continue;
        buf_printf(&text, "%s%s=", text.len ? " " : "", keys[i]);
        put_value(value, &text);
    }
    str_escape(buf_text(&text), text.len, config->rope_found, sizeof config->rope_found);
    buf_free(&text);
}

bool config_rope_from_json(const json_t *root, const Arch *arch, ModelConfig *config, Buf *notes,
                           Err *err)
{
    Source source;
    double share;
    write_found(root, config);
    config->rope =
        (RopeSpec){.method = rope_method_find("none"), .n_ctx_orig = config->n_ctx_train};
    return find_dictionary(root, &source, err) && read_theta(&source, config, notes, err) &&
           read_share(&source, arch, &share, notes, err) &&
           (!source.dictionary || read_scaling(&source, config, notes, err)) &&
           set_width(share, arch, config, err);
}

/* "default" for methods that are another base or width, the type of the method otherwise; NULL: there is none. */
static const char *type_of(const RopeMethod *method)
{
    static const char *const plain[] = {"ntk", "abf", "partial"};
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        if (str_equal(plain[i], method->name)) return "default";
    const char *name = str_equal(method->name, "pi") ? "linear" : method->name;
    for (size_t i = 0; i < COUNT_OF(rope_types); i++)
        if (rope_types[i].method && str_equal(rope_types[i].method, name))
            return rope_types[i].type;
    return NULL;
}

/* Parameters that the keys have no words for. */
static bool is_expressible(const RopeSpec *spec)
{
    bool has_extrapolation =
        rope_spec_has(spec, ROPE_EXT_FACTOR) && rope_spec_value(spec, ROPE_EXT_FACTOR, 1) != 1.0;
    bool has_start = rope_spec_has(spec, ROPE_START) && rope_spec_value(spec, ROPE_START, 1) != 0.0;
    bool has_multiplier =
        rope_spec_has(spec, ROPE_ATTN_FACTOR) && rope_spec_value(spec, ROPE_ATTN_FACTOR, 1) != 1.0;
    return type_of(spec->method) && !has_extrapolation && !has_start && !has_multiplier;
}

static json_t *factors_json(const RopeFactors *factors)
{
    json_t *list = json_array();
    for (int i = 0; i < factors->n; i++)
        json_array_append_new(list, json_real(factors->factor[i]));
    return list;
}

json_t *config_rope_to_json(const RopeSpec *spec, double *theta, Err *err)
{
    char text[ROPE_TEXT_SIZE];
    rope_spec_text(spec, text);
    if (!is_expressible(spec)) {
        err_set(err, ERR_UNSUPPORTED, "config.json has no words for %s", text);
        return NULL;
    }
    const char *type = type_of(spec->method);
    bool is_default = str_equal(type, "default");
    json_t *dictionary = json_pack("{s:s}", "rope_type", type);
    *theta = rope_spec_base(spec, spec->n_ctx_orig);
    for (size_t i = 0; i < COUNT_OF(param_keys); i++)
        if (rope_spec_has(spec, param_keys[i].param))
            json_object_set_new(
                dictionary, param_keys[i].key,
                json_real(rope_spec_value(spec, param_keys[i].param, spec->n_ctx_orig)));
    if (str_equal(type, "proportional"))
        json_object_set_new(dictionary, "partial_rotary_factor",
                            json_real(rope_spec_value(spec, ROPE_FRACTION, spec->n_ctx_orig)));
    if (rope_spec_has(spec, ROPE_TRUNCATE))
        json_object_set_new(dictionary, "truncate",
                            json_boolean(rope_spec_value(spec, ROPE_TRUNCATE, 1) != 0.0));
    if (spec->method->lists) {
        json_object_set_new(dictionary, "short_factor", factors_json(&spec->short_factors));
        json_object_set_new(dictionary, "long_factor", factors_json(&spec->long_factors));
    }
    bool states_length = !is_default && (!spec->method->depends_on_n_ctx || spec->method->lists);
    if (states_length)
        json_object_set_new(dictionary, "original_max_position_embeddings",
                            json_integer(spec->n_ctx_orig));
    return dictionary;
}
