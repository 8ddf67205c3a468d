/* From a method's name and parameters to angles.
 *
 *     text --parse--> RopeSpec --resolve(target)--> RopeSpec with numbers --make(n_ctx)--> RopeTable --angles--> cos, sin
 *
 * Every arrow is a pure function, so a table cannot remember an earlier prompt. Angles, products
 * and range reduction are double: in float, the cosine of position 131072 is off by 7e-3 (and by
 * 1 near 2^24), in double it is exact to a float's last bit. */
#include "models/rope.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"

/* Every parameter: its range, and its value where nobody sets it (NaN: the method says). */
static const struct {
    const char *name;
    double low, high;
    bool low_is_open; /* low itself is not allowed */
    bool can_be_auto;
    double default_value;
} param_rows[ROPE_N_PARAMS] = {
    [ROPE_FACTOR] = {"factor",           1, 1e9,  false, true,  1          },
    [ROPE_LAMBDA] = {"lambda",           0, 1e30, true,  true,  (double)NAN},
    [ROPE_ALPHA] = {"alpha",            1, 1e9,  false, true,  (double)NAN},
    [ROPE_BASE] = {"base",             0, 1e30, true,  false, (double)NAN},
    [ROPE_BETA_FAST] = {"beta_fast",        0, 1e9,  true,  false, 32         },
    [ROPE_BETA_SLOW] = {"beta_slow",        0, 1e9,  true,  false, 1          },
    [ROPE_EXT_FACTOR] = {"ext_factor",       0, 1,    false, false, 1          },
    [ROPE_ATTENTION_FACTOR] = {"attention_factor", 0, 1e3,  true,  false, (double)NAN},
    [ROPE_ATTN_FACTOR] = {"attn_factor",      0, 1e3,  true,  false, 1          },
    [ROPE_MSCALE] = {"mscale",           0, 1e3,  false, false, (double)NAN},
    [ROPE_MSCALE_ALL_DIM] = {"mscale_all_dim",   0, 1e3,  false, false, (double)NAN},
    [ROPE_TRUNCATE] = {"truncate",         0, 1,    false, false, 1          },
    [ROPE_LOW_FREQ_FACTOR] = {"low_freq_factor",  0, 1e9,  true,  false, 1          },
    [ROPE_HIGH_FREQ_FACTOR] = {"high_freq_factor", 0, 1e9,  true,  false, 4          },
    [ROPE_POWER] = {"power",            0, 100,  false, false, 0.1        },
    [ROPE_CUT_LENGTH] = {"cut_length",       1, 1e12, false, false, (double)NAN},
    [ROPE_MIX] = {"mix",              1, 1e9,  false, false, 12         },
    [ROPE_FRACTION] = {"fraction",         0, 1,    true,  false, (double)NAN},
    [ROPE_START] = {"start",            0, 1e9,  false, false, 0          },
    [ROPE_WINDOW] = {"window",           1, 1e9,  false, false, (double)NAN},
    [ROPE_CHUNK] = {"chunk",            1, 1e9,  false, false, (double)NAN},
    [ROPE_GROUP] = {"group",            1, 1e9,  false, true,  (double)NAN},
    [ROPE_LOG_N] = {"log_n",            0, 1,    false, false, 0          },
};

/* Keeps λ b finite. */
static const double max_base = 1e30;

/* Other tools' spellings. */
static const struct {
    const char *name;
    RopeParam param;
} param_aliases[] = {
    {"rope-scale", ROPE_FACTOR},
    {"ntk-alpha",  ROPE_ALPHA },
    {"theta",      ROPE_BASE  },
    {"rope_theta", ROPE_BASE  },
};

/* Lists of divisors and who holds them. */
static const struct {
    const char *key;
    RopeList bit;
    size_t offset; /* of a RopeFactors in RopeSpec */
} list_rows[] = {
    {"short_factor", ROPE_SHORT_LIST, offsetof(RopeSpec, short_factors)},
    {"long_factor",  ROPE_LONG_LIST,  offsetof(RopeSpec, long_factors) },
    {"pair_factor",  ROPE_PAIR_LIST,  offsetof(RopeSpec, long_factors) },
};

const RopeMethod *rope_method_find(const char *name)
{
    for (const RopeMethod *m = rope_methods; m->name; m++)
        if (str_equal(m->name, name)) return m;
    return NULL;
}

bool rope_method_is_plain(const RopeMethod *method)
{
    return method == &rope_methods[0];
}

const char *rope_param_name(RopeParam param)
{
    return param_rows[param].name;
}

bool rope_param_find(const char *name, RopeParam *out)
{
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        if (!str_equal(param_rows[i].name, name)) continue;
        *out = (RopeParam)i;
        return true;
    }
    for (size_t i = 0; i < COUNT_OF(param_aliases); i++) {
        if (!str_equal(param_aliases[i].name, name)) continue;
        *out = param_aliases[i].param;
        return true;
    }
    return false;
}

static bool reads(const RopeMethod *method, RopeParam param)
{
    return (method->params & ROPE_READS(param)) != 0;
}

bool rope_spec_has(const RopeSpec *spec, RopeParam param)
{
    return spec->param[param].kind != ROPE_UNSET;
}

void rope_method_params(const RopeMethod *method, Buf *out)
{
    const char *separator = "";
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        if (!reads(method, (RopeParam)i)) continue;
        buf_printf(out, "%s%s", separator, param_rows[i].name);
        separator = ", ";
    }
    for (size_t i = 0; i < COUNT_OF(list_rows); i++) {
        if (!(method->lists & list_rows[i].bit)) continue;
        buf_printf(out, "%s%s", separator, list_rows[i].key);
        separator = ", ";
    }
    if (!*separator) buf_puts(out, "none");
}

static bool read_value(RopeParam param, const char *key, const char *text, RopeValue *value,
                       Err *err)
{
    bool can_be_auto = param_rows[param].can_be_auto;
    *value = (RopeValue){0};
    if (can_be_auto && str_equal(text, "auto")) {
        value->kind = ROPE_AUTO;
    } else if (can_be_auto && str_equal(text, "auto-each")) {
        value->kind = ROPE_AUTO_EACH;
    } else {
        value->kind = ROPE_NUMBER;
        if (!str_to_double(text, &value->number))
            return err_set(err, ERR_USAGE, "%s \"%s\": a number%s is allowed", key, text,
                           can_be_auto ? ", auto or auto-each" : "");
    }
    return true;
}

static bool check_range(const RopeMethod *method, RopeParam param, double value, Err *err)
{
    double low = param_rows[param].low;
    bool is_open = param_rows[param].low_is_open;
    if (value <= param_rows[param].high && (is_open ? value > low : value >= low)) return true;
    return err_set(err, ERR_USAGE, "%s: %s %g is not allowed; it must be %s %g and at most %g",
                   method->name, param_rows[param].name, value, is_open ? "above" : "at least", low,
                   param_rows[param].high);
}

static bool refuse_param(const RopeMethod *method, const char *key, bool is_known, Err *err)
{
    Buf readable = {0};
    rope_method_params(method, &readable);
    err_set(err, ERR_USAGE,
            is_known ? "method %s does not read %s; it reads: %s"
                     : "method %s: unknown parameter \"%s\"; it reads: %s",
            method->name, key, buf_text(&readable));
    buf_free(&readable);
    return false;
}

/* Reads "1/1.1/8". */
static bool read_factors(const char *key, const char *text, RopeFactors *factors, Err *err)
{
    char *copy = str_dup(text);
    char *state = NULL;
    bool ok = true;
    factors->n = 0;
    for (char *item = strtok_r(copy, "/", &state); ok && item; item = strtok_r(NULL, "/", &state)) {
        ok = factors->n < ROPE_MAX_PAIRS && str_to_double(item, &factors->factor[factors->n]);
        factors->n += ok;
        if (!ok)
            err_set(err, ERR_USAGE,
                    "%s \"%s\": a list of at most %d numbers such as 1/1.1/8 is needed", key, text,
                    ROPE_MAX_PAIRS);
    }
    free(copy);
    return ok;
}

bool rope_spec_set(RopeSpec *spec, const char *key, const char *text, Err *err)
{
    assert(spec->method);
    for (size_t i = 0; i < COUNT_OF(list_rows); i++) {
        if (!str_equal(list_rows[i].key, key)) continue;
        RopeFactors *factors = (RopeFactors *)((char *)spec + list_rows[i].offset);
        return (spec->method->lists & list_rows[i].bit)
                   ? read_factors(key, text, factors, err)
                   : refuse_param(spec->method, key, true, err);
    }
    bool inverse = str_equal(key, "freq-scale") || str_equal(key, "rope-freq-scale");
    RopeParam param = ROPE_FACTOR;
    bool is_known = inverse || rope_param_find(key, &param);
    if (!is_known || !reads(spec->method, param))
        return refuse_param(spec->method, key, is_known, err);
    RopeValue value;
    if (!read_value(param, key, text, &value, err)) return false;
    if (inverse && value.kind == ROPE_NUMBER) value.number = 1.0 / value.number;
    if (value.kind == ROPE_NUMBER && !check_range(spec->method, param, value.number, err))
        return false;
    spec->param[param] = value;
    return true;
}

static bool unknown_method(const char *name, Err *err)
{
    const RopeMethod *nearest = &rope_methods[0];
    for (const RopeMethod *m = rope_methods; m->name; m++)
        if (str_distance(m->name, name) < str_distance(nearest->name, name)) nearest = m;
    return err_set(err, ERR_USAGE,
                   "unknown method \"%s\"; did you mean %s? `ropewalk list methods` shows all",
                   name, nearest->name);
}

bool rope_spec_parse(const char *text, RopeSpec *spec, Err *err)
{
    char *copy = str_dup(text);
    char *rest = strchr(copy, ':');
    if (rest) *rest++ = '\0';
    spec->method = rope_method_find(copy);
    memset(spec->param, 0, sizeof spec->param);
    spec->short_factors.n = spec->long_factors.n = 0;
    bool ok = spec->method || unknown_method(copy, err);
    char *state = NULL;
    for (char *item = rest ? strtok_r(rest, ",", &state) : NULL; ok && item;
         item = strtok_r(NULL, ",", &state)) {
        char *value = strchr(item, '=');
        if (value) *value++ = '\0';
        ok = value ? rope_spec_set(spec, item, value, err)
                   : err_set(err, ERR_USAGE, "method \"%s\": \"%s\" is not key=value", text, item);
    }
    free(copy);
    return ok;
}

double rope_lambda_of(double factor, int n_rot)
{
    assert(n_rot > 2);
    return pow(factor, (double)n_rot / (n_rot - 2));
}

/* What `auto` means for a parameter at a length: m/m_l, λ(m), or the smallest group that keeps
 * the largest relative position within two thirds of m_l. Never below 1.
 * Source of the group: the rule of Self-Extend's authors, Jin et al. 2024, arXiv 2401.01325: a half to two thirds. */
static double auto_value(const RopeSpec *spec, RopeParam param, int64_t length)
{
    double m_l = (double)spec->n_ctx_orig;
    double factor = fmax(1.0, (double)length / m_l);
    if (param == ROPE_LAMBDA) return rope_lambda_of(factor, spec->n_rot);
    if (param != ROPE_GROUP) return factor;
    double window = rope_spec_value(spec, ROPE_WINDOW, length);
    return fmax(1.0, ceil(((double)length - window) / (2.0 * m_l / 3.0 - window)));
}

/* Defaults that are a share of the trained length. */
static double default_of(const RopeSpec *spec, RopeParam param)
{
    double m_l = (double)spec->n_ctx_orig;
    switch (param) {
    case ROPE_WINDOW: return fmax(1.0, floor(m_l / (reads(spec->method, ROPE_CHUNK) ? 8.0 : 4.0)));
    case ROPE_CHUNK: return fmax(1.0, floor(m_l * 3.0 / 4.0));
    case ROPE_CUT_LENGTH: return m_l;
    default: return param_rows[param].default_value;
    }
}

double rope_spec_value(const RopeSpec *spec, RopeParam param, int64_t n_ctx)
{
    const RopeValue *value = &spec->param[param];
    assert(value->kind != ROPE_AUTO);
    if (value->kind == ROPE_NUMBER) return value->number;
    return value->kind == ROPE_UNSET ? default_of(spec, param) : auto_value(spec, param, n_ctx);
}

static bool check_geometry(const RopeSpec *spec, Err *err)
{
    if (spec->n_rot < 2 || spec->n_rot % 2 != 0 || spec->n_rot > 2 * ROPE_MAX_PAIRS)
        return err_set(err, ERR_INPUT, "rotary width %d: an even number from 2 to %d is allowed",
                       spec->n_rot, 2 * ROPE_MAX_PAIRS);
    if (!(spec->theta > 0.0) || spec->theta > max_base)
        return err_set(err, ERR_INPUT, "rope base %g: a number above 0, at most 1e30, is allowed",
                       spec->theta);
    if (spec->n_ctx_orig < 1 || spec->n_ctx_orig > ROPE_MAX_POSITION)
        return err_set(err, ERR_INPUT, "trained length %lld: 1 to 2^40 is allowed",
                       (long long)spec->n_ctx_orig);
    return true;
}

/* Numbers may come from a file as well as through rope_spec_set. */
static bool check_params(const RopeSpec *spec, Err *err)
{
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        const RopeValue *value = &spec->param[i];
        if (value->kind == ROPE_UNSET) continue;
        if (!reads(spec->method, (RopeParam)i))
            return refuse_param(spec->method, param_rows[i].name, true, err);
        if (value->kind == ROPE_NUMBER &&
            !check_range(spec->method, (RopeParam)i, value->number, err))
            return false;
    }
    return true;
}

bool rope_spec_resolve(RopeSpec *spec, int64_t target, Err *err)
{
    const RopeMethod *method = spec->method;
    if (!check_geometry(spec, err)) return false;
    if (method->training_only)
        return err_set(err, ERR_UNSUPPORTED,
                       "%s changes what a model is trained with; it cannot scale a trained one",
                       method->name);
    if (rope_spec_has(spec, ROPE_LAMBDA) && rope_spec_has(spec, ROPE_ALPHA))
        return err_set(
            err, ERR_USAGE,
            "method %s: lambda and alpha both set; lambda = alpha^(d/(d-2)), so give one",
            method->name);
    RopeValue *first = &spec->param[method->default_param];
    if (method->params && first->kind == ROPE_UNSET && !rope_spec_has(spec, ROPE_ALPHA))
        *first = method->default_value;
    if (!check_params(spec, err) || (method->check && !method->check(spec, err))) return false;
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        if (spec->param[i].kind != ROPE_AUTO) continue;
        if (target < 1 || target > ROPE_MAX_POSITION)
            return err_set(
                err, ERR_USAGE,
                "method %s: %s=auto needs a target length from 1 to 2^40 (--target or --n-ctx)",
                method->name, param_rows[i].name);
        spec->param[i] = (RopeValue){ROPE_NUMBER, auto_value(spec, (RopeParam)i, target)};
    }
    return true;
}

bool rope_spec_depends_on_n_ctx(const RopeSpec *spec)
{
    for (int i = 0; i < ROPE_N_PARAMS; i++)
        if (spec->param[i].kind == ROPE_AUTO_EACH) return true;
    return spec->method->depends_on_n_ctx;
}

void rope_spec_text(const RopeSpec *spec, char out[ROPE_TEXT_SIZE])
{
    Buf text = {0};
    char separator = ':';
    buf_puts(&text, spec->method->name);
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        const RopeValue *value = &spec->param[i];
        if (value->kind == ROPE_UNSET) continue;
        char number[32];
        str_from_double(value->number, number);
        const char *shown = value->kind == ROPE_AUTO        ? "auto"
                            : value->kind == ROPE_AUTO_EACH ? "auto-each"
                                                            : number;
        buf_printf(&text, "%c%s=%s", separator, param_rows[i].name, shown);
        separator = ',';
    }
    snprintf(out, ROPE_TEXT_SIZE, "%s", buf_text(&text));
    buf_free(&text);
}

static void list_key(const char *name, const double *numbers, int n, Buf *out)
{
    char number[32];
    for (int i = 0; i < n; i++) {
        str_from_double(numbers[i], number);
        buf_printf(out, "%s%s", i ? "," : name, number);
    }
}

static void variant_key(const RopeVariant *variant, int n_pairs, Buf *out)
{
    const RopePosition *p = &variant->position;
    const double numbers[] = {(double)p->modulus, p->divisor, p->whole, p->cap, p->offset};
    list_key(" position=", numbers, COUNT_OF(numbers), out);
    list_key(" inv_freq=", variant->inv_freq, n_pairs, out);
}

static void table_key(const RopeTable *table, Buf *out)
{
    const double numbers[] = {(double)table->rule, (double)table->span, table->amplitude,
                              table->log_n_length};
    list_key("rule=", numbers, COUNT_OF(numbers), out);
    for (int i = 0; i < table->n_query_variants; i++)
        variant_key(&table->query[i], table->n_pairs, out);
    for (int i = 0; table->rule != ROPE_RULE_ONE && i < table->n_key_variants; i++)
        variant_key(&table->key[i], table->n_pairs, out);
    if (table->n_start == 0) return;
    buf_printf(out, " n_start=%lld", (long long)table->n_start);
    list_key(" start_inv_freq=", table->start_inv_freq, table->n_pairs, out);
}

/* A table that is the same at every length is its own key. One that depends on the length is
 * known by what makes it. */
void rope_spec_key(const RopeSpec *spec, Buf *out)
{
    if (!rope_spec_depends_on_n_ctx(spec)) {
        RopeTable table;
        Err unused;
        bool ok = rope_table_make(spec, spec->n_ctx_orig, &table, &unused);
        assert(ok);
        (void)ok;
        table_key(&table, out);
        return;
    }
    char text[ROPE_TEXT_SIZE];
    char theta[32];
    rope_spec_text(spec, text);
    str_from_double(spec->theta, theta);
    buf_printf(out, "%s theta=%s n_rot=%d n_ctx_orig=%lld", text, theta, spec->n_rot,
               (long long)spec->n_ctx_orig);
    list_key(" short=", spec->short_factors.factor, spec->short_factors.n, out);
    list_key(" long=", spec->long_factors.factor, spec->long_factors.n, out);
}

void rope_spec_axes(const RopeSpec *spec, int64_t n_ctx, double *lambda, double *factor)
{
    bool plain = rope_method_is_plain(spec->method);
    *lambda = plain ? 1.0 : (double)NAN;
    *factor = plain ? 1.0 : (double)NAN;
    if (rope_spec_has(spec, ROPE_LAMBDA)) *lambda = rope_spec_value(spec, ROPE_LAMBDA, n_ctx);
    if (rope_spec_has(spec, ROPE_BASE))
        *lambda = rope_spec_value(spec, ROPE_BASE, n_ctx) / spec->theta;
    if (rope_spec_has(spec, ROPE_ALPHA))
        *lambda = rope_lambda_of(rope_spec_value(spec, ROPE_ALPHA, n_ctx), spec->n_rot);
    if (rope_spec_has(spec, ROPE_FACTOR)) *factor = rope_spec_value(spec, ROPE_FACTOR, n_ctx);
}

double rope_spec_base(const RopeSpec *spec, int64_t n_ctx)
{
    double lambda, factor;
    if (rope_spec_has(spec, ROPE_BASE)) return rope_spec_value(spec, ROPE_BASE, n_ctx);
    rope_spec_axes(spec, n_ctx, &lambda, &factor);
    return isnan(lambda) ? spec->theta : lambda * spec->theta;
}
