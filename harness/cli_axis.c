/* The grammar:
 *
 *     axis  = item {"," item}
 *     item  = value | low ":" high ":*" factor | low ":" high ":+" step
 *     specs = spec {"," spec}
 *     spec  = name [":" key "=" item {"," key "=" item | "," item}]
 *
 * In specs the comma parts three things, told apart by what follows it: "word=" is one more key, a number or auto is one more
 * value of the last key, any other word is the next name. */
#include "harness/cli_axis.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

/* How far past its end a range may land by rounding and still hold it, in steps. */
#define RANGE_SLACK 1e-9

typedef enum { AXIS_NUMBERS, AXIS_SIZES } AxisKind;

typedef struct {
    double *items;
    size_t n;
} NumberList;

void string_list_add(StringList *list, char *owned)
{
    if ((list->n & (list->n - 1)) == 0)
        list->items = mem_realloc(list->items, list->n ? 2 * list->n : 1, sizeof list->items[0]);
    list->items[list->n++] = owned;
}

void string_list_free(StringList *list)
{
    for (size_t i = 0; i < list->n; i++)
        free(list->items[i]);
    free(list->items);
    *list = (StringList){0};
}

static bool read_value(const char *text, AxisKind kind, double *out)
{
    int64_t size;
    if (kind == AXIS_NUMBERS) return str_to_double(text, out);
    if (!str_to_size(text, &size)) return false;
    *out = (double)size;
    return true;
}

/* Twelve digits of a computed value: 1:2:+0.1 means 1.7 and not 1.7000000000000002. */
static double tidy(double v, AxisKind kind)
{
    char text[32];
    if (kind == AXIS_SIZES) return round(v);
    snprintf(text, sizeof text, "%.12g", v);
    return strtod(text, NULL);
}

typedef struct {
    double low;
    double high;
    double step;
    bool is_factor;
} Range;

/* Reads "low:high:*factor" or "low:high:+step". */
static bool read_range(const char *text, AxisKind kind, Range *range)
{
    char parts[3][64];
    int end = 0;
    if (sscanf(text, "%63[^:]:%63[^:]:%63[^:]%n", parts[0], parts[1], parts[2], &end) != 3 ||
        text[end])
        return false;
    range->is_factor = parts[2][0] == '*';
    if (!range->is_factor && parts[2][0] != '+') return false;
    return read_value(parts[0], kind, &range->low) && read_value(parts[1], kind, &range->high) &&
           read_value(parts[2] + 1, range->is_factor ? AXIS_NUMBERS : kind, &range->step) &&
           range->low <= range->high &&
           (range->is_factor ? range->step > 1.0 && range->low > 0.0 : range->step > 0.0);
}

static bool too_many(Err *err)
{
    return err_set(err, ERR_USAGE, "more than %d values", AXIS_MAX_VALUES);
}

static bool expand_range(const char *text, AxisKind kind, NumberList *out, Err *err)
{
    Range r;
    if (!read_range(text, kind, &r))
        return err_set(err, ERR_USAGE,
                       "\"%s\" is not a range; low:high:*factor (1:64:*2, factor above 1) and "
                       "low:high:+step (256:4096:+256) are, with low <= high",
                       text);
    double steps = r.is_factor ? log(r.high / r.low) / log(r.step) : (r.high - r.low) / r.step;
    if (!(steps < AXIS_MAX_VALUES)) return too_many(err);
    size_t n = (size_t)(steps + RANGE_SLACK) + 1;
    out->items = mem_realloc(out->items, out->n + n, sizeof out->items[0]);
    for (size_t k = 0; k < n; k++) {
        double v = r.is_factor ? r.low * pow(r.step, (double)k) : r.low + (double)k * r.step;
        out->items[out->n++] = tidy(fmin(v, r.high), kind);
    }
    return true;
}

/* Calls add for every item of a comma list. */
static bool each_item(const char *text, bool (*add)(void *context, const char *item, Err *err),
                      void *context, Err *err)
{
    bool ok = true;
    char *copy = str_dup(text);
    for (char *item = copy, *next; ok && item; item = next) {
        next = strchr(item, ',');
        if (next) *next++ = '\0';
        ok = *item ? add(context, item, err)
                   : err_set(err, ERR_USAGE, "\"%s\" has an empty item", text);
    }
    free(copy);
    return ok;
}

typedef struct {
    SizeList *list;
    int64_t low;
    int64_t high;
} SizeAxis;

static bool add_size(SizeAxis *axis, double v, const char *item, Err *err)
{
    SizeList *list = axis->list;
    if (!(v >= (double)axis->low && v <= (double)axis->high))
        return err_set(err, ERR_USAGE,
                       "\"%s\": whole numbers from %lld to %lld are allowed, 4k for 4096", item,
                       (long long)axis->low, (long long)axis->high);
    if (list->n >= AXIS_MAX_VALUES) return too_many(err);
    if ((list->n & (list->n - 1)) == 0)
        list->items = mem_realloc(list->items, list->n ? 2 * list->n : 1, sizeof list->items[0]);
    list->items[list->n++] = (int64_t)v;
    return true;
}

static bool add_size_item(void *context, const char *item, Err *err)
{
    NumberList values = {0};
    double v = NAN;
    if (!strchr(item, ':')) {
        if (!read_value(item, AXIS_SIZES, &v)) v = NAN;
        return add_size(context, v, item, err);
    }
    bool ok = expand_range(item, AXIS_SIZES, &values, err);
    for (size_t i = 0; ok && i < values.n; i++)
        ok = add_size(context, values.items[i], item, err);
    free(values.items);
    return ok;
}

static int compare_sizes(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a;
    int64_t y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

bool axis_add_sizes(const char *text, int64_t low, int64_t high, SizeList *list, Err *err)
{
    SizeAxis axis = {list, low, high};
    if (!each_item(text, add_size_item, &axis, err)) return false;
    qsort(list->items, list->n, sizeof list->items[0], compare_sizes);
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++)
        if (i == 0 || list->items[i] != list->items[i - 1]) list->items[kept++] = list->items[i];
    list->n = kept;
    return true;
}

typedef struct {
    StringList *list;
    double low;
} NumberAxis;

static bool add_number(NumberAxis *axis, double v, const char *item, Err *err)
{
    char text[32];
    char low[32];
    snprintf(low, sizeof low, axis->low > 0.0 ? "of at least %g" : "above 0", axis->low);
    if (!(v > 0.0 && v >= axis->low))
        return err_set(
            err, ERR_USAGE,
            "\"%s\": a finite number %s, a range such as 1:64:*2, auto or auto-each is allowed",
            item, low);
    if (axis->list->n >= AXIS_MAX_VALUES) return too_many(err);
    str_from_double(v, text);
    string_list_add(axis->list, str_dup(text));
    return true;
}

static bool is_auto(const char *text)
{
    return str_equal(text, "auto") || str_equal(text, "auto-each");
}

static bool add_number_item(void *context, const char *item, Err *err)
{
    NumberAxis *axis = context;
    NumberList values = {0};
    double v = NAN;
    if (is_auto(item)) {
        string_list_add(axis->list, str_dup(item));
        return true;
    }
    if (!strchr(item, ':')) {
        if (!str_to_double(item, &v)) v = NAN;
        return add_number(axis, v, item, err);
    }
    bool ok = expand_range(item, AXIS_NUMBERS, &values, err);
    for (size_t i = 0; ok && i < values.n; i++)
        ok = add_number(axis, values.items[i], item, err);
    free(values.items);
    return ok;
}

/* Numbers by value, then words. */
static int compare_numbers(const void *a, const void *b)
{
    const char *x = *(char *const *)a;
    const char *y = *(char *const *)b;
    bool x_is_word = is_auto(x);
    bool y_is_word = is_auto(y);
    if (x_is_word && y_is_word) return strcmp(x, y);
    if (x_is_word != y_is_word) return x_is_word - y_is_word;
    double u = strtod(x, NULL);
    double v = strtod(y, NULL);
    return (u > v) - (u < v);
}

bool axis_add_numbers(const char *text, double low, StringList *list, Err *err)
{
    NumberAxis axis = {list, low};
    if (!each_item(text, add_number_item, &axis, err)) return false;
    qsort(list->items, list->n, sizeof list->items[0], compare_numbers);
    size_t kept = 0;
    for (size_t i = 0; i < list->n; i++) {
        if (kept > 0 && str_equal(list->items[i], list->items[kept - 1]))
            free(list->items[i]);
        else
            list->items[kept++] = list->items[i];
    }
    list->n = kept;
    return true;
}

/* One name with its keys, each with one or more values, before it is multiplied out. */
enum { SPEC_MAX_KEYS = 16 };

typedef struct {
    char *name; /* NULL: none yet */
    char *keys[SPEC_MAX_KEYS];
    StringList values[SPEC_MAX_KEYS];
    size_t n_keys;
    StringList *out;
} SpecDraft;

static void draft_clear(SpecDraft *draft)
{
    for (size_t i = 0; i < draft->n_keys; i++) {
        free(draft->keys[i]);
        string_list_free(&draft->values[i]);
    }
    free(draft->name);
    *draft = (SpecDraft){.out = draft->out};
}

/* The product's item number `index`, the last key varying fastest. */
static char *draft_item(const SpecDraft *draft, size_t index)
{
    size_t digit[SPEC_MAX_KEYS];
    for (size_t i = draft->n_keys; i-- > 0; index /= draft->values[i].n)
        digit[i] = index % draft->values[i].n;
    Buf item = {0};
    buf_puts(&item, draft->name);
    for (size_t i = 0; i < draft->n_keys; i++)
        buf_printf(&item, "%c%s=%s", i ? ',' : ':', draft->keys[i],
                   draft->values[i].items[digit[i]]);
    return buf_steal(&item);
}

/* Multiplies the draft out into the list and empties it. */
static bool draft_finish(SpecDraft *draft, Err *err)
{
    size_t n = 1;
    for (size_t i = 0; i < draft->n_keys; i++) {
        if (draft->values[i].n > AXIS_MAX_VALUES) return too_many(err);
        n *= draft->values[i].n;
        if (n > AXIS_MAX_VALUES) return too_many(err);
    }
    if (draft->out->n + n > AXIS_MAX_VALUES) return too_many(err);
    for (size_t i = 0; draft->name && i < n; i++)
        string_list_add(draft->out, draft_item(draft, i));
    draft_clear(draft);
    return true;
}

static bool draft_add_value(SpecDraft *draft, const char *text, Err *err)
{
    StringList *values = &draft->values[draft->n_keys - 1];
    if (!*text)
        return err_set(err, ERR_USAGE, "%s: key %s has no value", draft->name,
                       draft->keys[draft->n_keys - 1]);
    if (!strchr(text, ':')) {
        string_list_add(values, str_dup(text));
        return true;
    }
    NumberList numbers = {0};
    bool ok = expand_range(text, AXIS_NUMBERS, &numbers, err);
    for (size_t i = 0; ok && i < numbers.n; i++) {
        char number[32];
        str_from_double(numbers.items[i], number);
        string_list_add(values, str_dup(number));
    }
    free(numbers.items);
    return ok;
}

static bool draft_add_pair(SpecDraft *draft, const char *pair, size_t n_key, Err *err)
{
    if (draft->n_keys == SPEC_MAX_KEYS)
        return err_set(err, ERR_USAGE, "%s: more than %d keys", draft->name, SPEC_MAX_KEYS);
    for (size_t i = 0; i < draft->n_keys; i++)
        if (strlen(draft->keys[i]) == n_key && strncmp(draft->keys[i], pair, n_key) == 0)
            return err_set(err, ERR_USAGE,
                           "%s: key %s is given twice; several values follow one key: %s=1,2",
                           draft->name, draft->keys[i], draft->keys[i]);
    draft->keys[draft->n_keys++] = str_dup_n(pair, n_key);
    return draft_add_value(draft, pair + n_key + 1, err);
}

/* Length of the word at the start of text: a name or a key. */
static size_t word_length(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
}

static bool add_spec_item(void *context, const char *item, Err *err)
{
    SpecDraft *draft = context;
    size_t n = word_length(item);
    if (n > 0 && item[n] == '=' && draft->name) return draft_add_pair(draft, item, n, err);
    bool is_value = is_auto(item) || strchr("0123456789.+-", item[0]);
    if (is_value && draft->n_keys > 0) return draft_add_value(draft, item, err);
    if (!draft_finish(draft, err)) return false;
    const char *pair = item + n + (item[n] == ':');
    size_t n_key = word_length(pair);
    bool has_pair = item[n] == ':' && n_key > 0 && pair[n_key] == '=';
    if (n == 0 || is_value || (item[n] && !has_pair))
        return err_set(err, ERR_USAGE, "\"%s\" is not NAME or NAME:key=value", item);
    draft->name = str_dup_n(item, n);
    return !has_pair || draft_add_pair(draft, pair, n_key, err);
}

bool axis_add_specs(const char *text, StringList *list, Err *err)
{
    SpecDraft draft = {.out = list};
    bool ok = each_item(text, add_spec_item, &draft, err) && draft_finish(&draft, err);
    draft_clear(&draft);
    return ok;
}
