/* Every method of the list is multiplied with the axes that it reads:
 *
 *     ntk, linear  ×  --lambda 1,2  --factor 4   ->   ntk:lambda=1  ntk:lambda=2  linear:factor=4
 *
 * Lambda and alpha say the same thing in two ways, so a method takes the values of one and then
 * those of the other. */
#include "harness/settings.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_axis.h"

typedef struct {
    const Options *options;
    const RopeSpec *own; /* with --theta and --n-ctx-orig in it */
    int64_t length;
    SettingList *out;
} Maker;

/* Parameters with an option of their own; the others are written behind the method's name. */
static const StringList *axis_of(const Options *options, RopeParam param)
{
    static const StringList no_axis = {0};
    switch (param) {
    case ROPE_LAMBDA: return &options->lambda;
    case ROPE_FACTOR: return &options->factor;
    case ROPE_ALPHA: return &options->alpha;
    default: return &no_axis;
    }
}

static bool reads(const RopeMethod *method, RopeParam param)
{
    return (method->params & ROPE_READS(param)) != 0;
}

/* Whether a parameter is fixed already, by itself or by the other one of lambda and alpha. */
static bool is_set(const RopeSpec *spec, RopeParam param)
{
    bool is_base = param == ROPE_LAMBDA || param == ROPE_ALPHA;
    if (is_base)
        return spec->param[ROPE_LAMBDA].kind != ROPE_UNSET ||
               spec->param[ROPE_ALPHA].kind != ROPE_UNSET;
    return spec->param[param].kind != ROPE_UNSET;
}

/* A length that a spec needs and nobody stated. */
static bool check_length_known(const RopeSpec *spec, Err *err)
{
    const RopeMethod *method = spec->method;
    bool is_needed =
        method->reads_n_ctx_orig || rope_spec_has(spec, ROPE_LOG_N) ||
        (method->default_value.kind == ROPE_AUTO && !is_set(spec, method->default_param));
    for (int i = 0; i < ROPE_N_PARAMS; i++)
        is_needed =
            is_needed || spec->param[i].kind == ROPE_AUTO || spec->param[i].kind == ROPE_AUTO_EACH;
    return !is_needed ||
           err_set(err, ERR_USAGE,
                   "method %s: auto needs the trained length: give --n-ctx-orig, or a number",
                   method->name);
}

/* Whether a method divides every angle, or every position, by its factor. */
static bool divides_all(const RopeMethod *method)
{
    return str_equal(method->name, "linear") || str_equal(method->name, "pi");
}

/* Folds the model's own stretch into a resolved spec. Two divisions by a factor are one; nothing
 * else combines into one method. */
static bool stack(const RopeSpec *own, RopeSpec *spec, Err *err)
{
    RopeValue *value = &spec->param[ROPE_FACTOR];
    if (rope_method_is_plain(spec->method)) {
        RopeValue log_n = spec->param[ROPE_LOG_N]; /* all that "none" reads */
        *spec = *own;
        if (log_n.kind != ROPE_UNSET) spec->param[ROPE_LOG_N] = log_n;
        return true;
    }
    if (!divides_all(own->method) || !divides_all(spec->method) || value->kind != ROPE_NUMBER)
        return err_set(
            err, ERR_UNSUPPORTED,
            "--on-scaled stack: %s on top of the file's %s is not one method; linear and pi with a number stack; "
            "or use --on-scaled replace",
            spec->method->name, own->method->name);
    value->number *= own->param[ROPE_FACTOR].number;
    return true;
}

/* What `auto` aims at; 0: nothing. */
static int64_t target_of(const Maker *maker)
{
    const SizeList *n_ctx = &maker->options->n_ctx;
    if (maker->options->target) return maker->options->target;
    return n_ctx->n ? n_ctx->items[n_ctx->n - 1] : maker->length;
}

/* Refuses a base so small that an angle is beyond all numbers. */
static bool check_angles(const RopeSpec *spec, Err *err)
{
    RopeTable table;
    char text[ROPE_TEXT_SIZE];
    if (!rope_table_make(spec, spec->n_ctx_orig, &table, err)) return false;
    if (isfinite(rope_scaled_angle(&table, table.n_pairs - 1))) return true;
    rope_spec_text(spec, text);
    return err_set(err, ERR_USAGE,
                   "%s: the last angle of base %g is not finite; a larger base or lambda is needed",
                   text, spec->theta);
}

static bool add(const Maker *maker, const RopeSpec *spec, bool is_own, Err *err)
{
    RopeSpec resolved = *spec;
    if (maker->own->n_ctx_orig == 0) {
        if (!check_length_known(&resolved, err)) return false;
        resolved.n_ctx_orig = 1; /* not read by any table that passed the check */
    }
    if (!rope_spec_resolve(&resolved, target_of(maker), err)) return false;
    bool stacks = !is_own && !rope_method_is_plain(maker->own->method) &&
                  maker->options->on_scaled && str_equal(maker->options->on_scaled, "stack");
    if (stacks && !stack(maker->own, &resolved, err)) return false;
    if (!check_angles(&resolved, err)) return false;
    SettingList *out = maker->out;
    out->items = mem_realloc(out->items, out->n + 1, sizeof out->items[0]);
    out->items[out->n++] = resolved;
    return true;
}

static bool applies(const Options *options, const RopeSpec *spec, RopeParam param)
{
    return axis_of(options, param)->n > 0 && reads(spec->method, param) && !is_set(spec, param);
}

/* Sets the parameters from `param` on in every way that the axes ask for, and adds each. */
static bool multiply(const Maker *maker, const RopeSpec *spec, RopeParam param, Err *err)
{
    if (param == ROPE_N_PARAMS) return add(maker, spec, false, err);
    if (!applies(maker->options, spec, param)) return multiply(maker, spec, param + 1, err);
    const StringList *axis = axis_of(maker->options, param);
    for (size_t i = 0; i < axis->n; i++) {
        RopeSpec with = *spec;
        if (!rope_spec_set(&with, rope_param_name(param), axis->items[i], err) ||
            !multiply(maker, &with, param + 1, err))
            return false;
    }
    bool has_other = param == ROPE_LAMBDA && applies(maker->options, spec, ROPE_ALPHA);
    return !has_other || multiply(maker, spec, ROPE_ALPHA, err);
}

static bool add_method(const Maker *maker, const char *text, Err *err)
{
    if (str_equal(text, SETTING_METHOD_MODEL)) return add(maker, maker->own, true, err);
    RopeSpec spec = *maker->own;
    const char *on_scaled = maker->options->on_scaled;
    if (!rope_method_is_plain(maker->own->method) && (!on_scaled || str_equal(on_scaled, "refuse")))
        return err_set(
            err, ERR_USAGE,
            "method %s: the model's file is scaled already (%s); choose --on-scaled replace or stack, "
            "or --method model for the file's own",
            text, maker->own->method->name);
    return rope_spec_parse(text, &spec, err) && multiply(maker, &spec, (RopeParam)0, err);
}

/* The names of the methods that read a parameter, ", " between. */
static void readers_of(RopeParam param, Buf *names)
{
    for (const RopeMethod *method = rope_methods; method->name; method++)
        if (reads(method, param)) buf_printf(names, "%s%s", names->len ? ", " : "", method->name);
}

static bool any_applies(const Options *options, const StringList *methods, RopeParam param)
{
    for (size_t i = 0; i < methods->n; i++) {
        RopeSpec spec = {.n_rot = 4};
        Err unused;
        if (rope_spec_parse(methods->items[i], &spec, &unused) && applies(options, &spec, param))
            return true;
    }
    return false;
}

/* Refuses an axis that would do nothing. */
static bool check_axes(const Options *options, const StringList *methods, Err *err)
{
    for (RopeParam param = 0; param < ROPE_N_PARAMS; param++) {
        if (axis_of(options, param)->n == 0 || any_applies(options, methods, param)) continue;
        Buf names = {0};
        readers_of(param, &names);
        err_set(
            err, ERR_USAGE,
            "--%s has no effect: no chosen method reads it, or each sets it itself; it is read by: %s",
            rope_param_name(param), buf_text(&names));
        buf_free(&names);
        return false;
    }
    return true;
}

/* Without --method: for each axis given the first method that reads it, else the fallback. */
static bool choose_methods(const Options *options, const char *fallback, StringList *methods,
                           Err *err)
{
    for (const RopeMethod *method = rope_methods; method->name; method++)
        for (RopeParam param = 0; param < ROPE_N_PARAMS; param++) {
            RopeSpec spec = {.method = method};
            if (!applies(options, &spec, param) || any_applies(options, methods, param)) continue;
            string_list_add(methods, str_dup(method->name));
        }
    return methods->n > 0 || axis_add_specs(fallback, methods, err);
}

bool settings_make(const Options *options, const RopeSpec *own, const char *fallback,
                   int64_t length, SettingList *out, Err *err)
{
    RopeSpec used = *own;
    if (options->theta > 0.0) used.theta = options->theta;
    if (options->n_ctx_orig > 0) used.n_ctx_orig = options->n_ctx_orig;
    *out = (SettingList){0};
    Maker maker = {options, &used, length, out};
    StringList chosen = {0};
    const StringList *methods = options->method.n ? &options->method : &chosen;
    bool ok = options->method.n || choose_methods(options, fallback, &chosen, err);
    ok = ok && check_axes(options, methods, err);
    for (size_t i = 0; ok && i < methods->n; i++)
        ok = add_method(&maker, methods->items[i], err);
    string_list_free(&chosen);
    if (!ok) setting_list_free(out);
    return ok;
}

void setting_list_free(SettingList *list)
{
    free(list->items);
    *list = (SettingList){0};
}

bool setting_raises_frequencies(const RopeSpec *spec, int64_t n_ctx)
{
    double lambda;
    double factor;
    rope_spec_axes(spec, n_ctx, &lambda, &factor);
    return lambda < 1.0;
}
