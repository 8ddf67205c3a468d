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

static const char *const param_names[ROPE_N_PARAMS] = {
    [ROPE_FACTOR] = "factor",
    [ROPE_LAMBDA] = "lambda",
    [ROPE_ALPHA] = "alpha",
};

/* Other tools' spellings. */
static const struct {
    const char *name;
    RopeParam param;
} param_aliases[] = {
    {"rope-scale", ROPE_FACTOR},
    {"ntk-alpha",  ROPE_ALPHA },
};

const RopeMethod *rope_method_find(const char *name)
{
    for (const RopeMethod *m = rope_methods; m->name; m++)
        if (str_equal(m->name, name)) return m;
    return NULL;
}

const char *rope_param_name(RopeParam param)
{
    return param_names[param];
}

bool rope_param_find(const char *name, RopeParam *out)
{
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        if (!str_equal(param_names[i], name)) continue;
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
    return method->params >> param & 1U;
}

/* "factor" or "lambda, alpha" or "none". */
static void params_text(const RopeMethod *method, char out[64])
{
    size_t used = 0;
    snprintf(out, 64, "none");
    for (int i = 0; i < ROPE_N_PARAMS; i++)
        if (reads(method, (RopeParam)i))
            used +=
                (size_t)snprintf(out + used, 64 - used, "%s%s", used ? ", " : "", param_names[i]);
}

static bool read_value(const char *key, const char *text, RopeValue *value, Err *err)
{
    *value = (RopeValue){0};
    if (str_equal(text, "auto")) {
        value->kind = ROPE_AUTO;
    } else if (str_equal(text, "auto-each")) {
        value->kind = ROPE_AUTO_EACH;
    } else {
        value->kind = ROPE_NUMBER;
        if (!str_to_double(text, &value->number) || !(value->number > 0.0))
            return err_set(err, ERR_USAGE,
                           "%s \"%s\": a number above 0, auto or auto-each is allowed", key, text);
    }
    return true;
}

bool rope_spec_set(RopeSpec *spec, const char *key, const char *text, Err *err)
{
    bool inverse = str_equal(key, "freq-scale") || str_equal(key, "rope-freq-scale");
    assert(spec->method);
    RopeParam param = ROPE_FACTOR;
    char readable[64];
    params_text(spec->method, readable);
    if (!inverse && !rope_param_find(key, &param))
        return err_set(err, ERR_USAGE, "method %s: unknown parameter \"%s\"; it reads: %s",
                       spec->method->name, key, readable);
    if (!reads(spec->method, param))
        return err_set(err, ERR_USAGE, "method %s does not read %s; it reads: %s",
                       spec->method->name, key, readable);
    RopeValue value;
    if (!read_value(key, text, &value, err)) return false;
    if (inverse && value.kind == ROPE_NUMBER) value.number = 1.0 / value.number;
    spec->param[param] = value;
    return spec->method->check(spec, err);
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

/* What `auto` means for a parameter at a length: m/m_l, or λ(m); never below 1. */
static double auto_value(const RopeSpec *spec, RopeParam param, int64_t length)
{
    double factor = fmax(1.0, (double)length / (double)spec->n_ctx_orig);
    return param == ROPE_LAMBDA ? rope_lambda_of(factor, spec->n_rot) : factor;
}

double rope_spec_value(const RopeSpec *spec, RopeParam param, int64_t n_ctx)
{
    const RopeValue *value = &spec->param[param];
    assert(value->kind == ROPE_NUMBER || value->kind == ROPE_AUTO_EACH);
    return value->kind == ROPE_NUMBER ? value->number : auto_value(spec, param, n_ctx);
}

static bool check_geometry(const RopeSpec *spec, Err *err)
{
    if (spec->n_rot < 2 || spec->n_rot % 2 != 0 || spec->n_rot > 2 * ROPE_MAX_PAIRS)
        return err_set(err, ERR_INPUT, "rotary width %d: an even number from 2 to %d is allowed",
                       spec->n_rot, 2 * ROPE_MAX_PAIRS);
    if (!(spec->theta > 0.0) || !isfinite(spec->theta))
        return err_set(err, ERR_INPUT, "rope base %g: a finite number above 0 is allowed",
                       spec->theta);
    if (spec->n_ctx_orig < 1 || spec->n_ctx_orig > ROPE_MAX_POSITION)
        return err_set(err, ERR_INPUT, "trained length %lld: 1 to 2^40 is allowed",
                       (long long)spec->n_ctx_orig);
    return true;
}

static bool has_any_param(const RopeSpec *spec)
{
    for (int i = 0; i < ROPE_N_PARAMS; i++)
        if (spec->param[i].kind != ROPE_UNSET) return true;
    return false;
}

bool rope_spec_resolve(RopeSpec *spec, int64_t target, Err *err)
{
    if (!check_geometry(spec, err)) return false;
    if (spec->param[ROPE_LAMBDA].kind != ROPE_UNSET && spec->param[ROPE_ALPHA].kind != ROPE_UNSET)
        return err_set(
            err, ERR_USAGE,
            "method %s: lambda and alpha both set; lambda = alpha^(d/(d-2)), so give one",
            spec->method->name);
    if (spec->method->params && !has_any_param(spec))
        spec->param[spec->method->default_param].kind = ROPE_AUTO;
    if (!spec->method->check(spec, err)) return false;
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        if (spec->param[i].kind != ROPE_AUTO) continue;
        if (target < 1 || target > ROPE_MAX_POSITION)
            return err_set(
                err, ERR_USAGE,
                "method %s: %s=auto needs a target length from 1 to 2^40 (--target or --n-ctx)",
                spec->method->name, param_names[i]);
        spec->param[i] = (RopeValue){ROPE_NUMBER, auto_value(spec, (RopeParam)i, target)};
    }
    return true;
}

bool rope_spec_depends_on_n_ctx(const RopeSpec *spec)
{
    for (int i = 0; i < ROPE_N_PARAMS; i++)
        if (spec->param[i].kind == ROPE_AUTO_EACH) return true;
    return false;
}

void rope_plain_angles(double base, int n_rot, double *inv_freq)
{
    for (int i = 0; i < n_rot / 2; i++)
        inv_freq[i] = pow(base, -2.0 * i / n_rot);
}

bool rope_table_make(const RopeSpec *spec, int64_t n_ctx, RopeTable *table, Err *err)
{
    if (n_ctx < 1 || n_ctx > ROPE_MAX_POSITION)
        return err_set(err, ERR_USAGE, "context length %lld: 1 to 2^40 is allowed",
                       (long long)n_ctx);
    *table = (RopeTable){.n_pairs = spec->n_rot / 2, .divisor = 1.0, .amplitude = 1.0};
    rope_plain_angles(spec->theta, spec->n_rot, table->inv_freq);
    spec->method->init(spec, n_ctx, table);
    return true;
}

bool rope_table_equal(const RopeTable *a, const RopeTable *b)
{
    return a->n_pairs == b->n_pairs && a->position == b->position && a->divisor == b->divisor &&
           a->amplitude == b->amplitude &&
           memcmp(a->inv_freq, b->inv_freq, (size_t)a->n_pairs * sizeof a->inv_freq[0]) == 0;
}

void rope_spec_text(const RopeSpec *spec, char out[ROPE_TEXT_SIZE])
{
    size_t used = (size_t)snprintf(out, ROPE_TEXT_SIZE, "%s", spec->method->name);
    char separator = ':';
    for (int i = 0; i < ROPE_N_PARAMS; i++) {
        const RopeValue *value = &spec->param[i];
        if (value->kind == ROPE_UNSET) continue;
        char number[32];
        str_from_double(value->number, number);
        const char *shown = value->kind == ROPE_AUTO        ? "auto"
                            : value->kind == ROPE_AUTO_EACH ? "auto-each"
                                                            : number;
        used += (size_t)snprintf(out + used, ROPE_TEXT_SIZE - used, "%c%s=%s", separator,
                                 param_names[i], shown);
        separator = ',';
    }
}

static void table_key(const RopeTable *table, Buf *out)
{
    char number[32];
    buf_printf(out, "position=%d", (int)table->position);
    str_from_double(table->divisor, number);
    buf_printf(out, " divisor=%s", number);
    str_from_double(table->amplitude, number);
    buf_printf(out, " amplitude=%s inv_freq=", number);
    for (int i = 0; i < table->n_pairs; i++) {
        str_from_double(table->inv_freq[i], number);
        buf_printf(out, "%s%s", i ? "," : "", number);
    }
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
}

void rope_spec_axes(const RopeSpec *spec, int64_t n_ctx, double *lambda, double *factor)
{
    bool plain = spec->method->params == 0;
    *lambda = plain ? 1.0 : (double)NAN;
    *factor = plain ? 1.0 : (double)NAN;
    if (spec->param[ROPE_LAMBDA].kind != ROPE_UNSET)
        *lambda = rope_spec_value(spec, ROPE_LAMBDA, n_ctx);
    if (spec->param[ROPE_ALPHA].kind != ROPE_UNSET)
        *lambda = rope_lambda_of(rope_spec_value(spec, ROPE_ALPHA, n_ctx), spec->n_rot);
    if (spec->param[ROPE_FACTOR].kind != ROPE_UNSET)
        *factor = rope_spec_value(spec, ROPE_FACTOR, n_ctx);
}

static double mapped_position(const RopeTable *table, int64_t position)
{
    switch (table->position) {
    case ROPE_POSITION_IDENTITY: return (double)position;
    case ROPE_POSITION_DIVIDE: return (double)position / table->divisor;
    }
    assert(!"a position map without a case");
    return 0.0;
}

void rope_angles(const RopeTable *table, int64_t first, int64_t n, float *cos_out, float *sin_out)
{
    assert(first >= 0 && first + n <= ROPE_MAX_POSITION);
    for (int64_t row = 0; row < n; row++) {
        double position = mapped_position(table, first + row);
        for (int i = 0; i < table->n_pairs; i++) {
            double angle = position * table->inv_freq[i];
            *cos_out++ = (float)(table->amplitude * cos(angle));
            *sin_out++ = (float)(table->amplitude * sin(angle));
        }
    }
}

void rope_rotate(float *x, const float *cos_row, const float *sin_row, int n_pairs,
                 RopeLayout layout)
{
    int step = layout == ROPE_INTERLEAVED ? 2 : 1;
    int partner = layout == ROPE_INTERLEAVED ? 1 : n_pairs;
    for (int i = 0; i < n_pairs; i++) {
        float *a = x + (ptrdiff_t)i * step;
        float *b = a + partner;
        float rotated = *a * cos_row[i] - *b * sin_row[i];
        *b = *a * sin_row[i] + *b * cos_row[i];
        *a = rotated;
    }
}
