/* A comparison for machines: one list of fields a row, written as JSON, as lines of JSON and as CSV. */
#include <math.h>

#include "base/str.h"
#include "reports/compare.h"
#include "reports/csv_out.h"
#include "reports/json_out.h"

typedef enum {
    FIELD_TEXT,  /* NULL: missing */
    FIELD_REAL,  /* not finite: missing */
    FIELD_COUNT, /* below 0: missing */
    FIELD_FLAG,
} FieldKind;

typedef struct {
    const char *name;
    FieldKind kind;
    const char *text;
    double real;
    int64_t count;
} Field;

enum { MAX_FIELDS = 32, N_SHARED = 3 };

typedef struct {
    Field items[MAX_FIELDS];
    size_t n;
} FieldList;

static void add_text(FieldList *list, const char *name, const char *text)
{
    list->items[list->n++] = (Field){.name = name, .kind = FIELD_TEXT, .text = text};
}

static void add_real(FieldList *list, const char *name, double real)
{
    list->items[list->n++] = (Field){.name = name, .kind = FIELD_REAL, .real = real};
}

static void add_count(FieldList *list, const char *name, bool is_known, int64_t count)
{
    list->items[list->n++] =
        (Field){.name = name, .kind = FIELD_COUNT, .count = is_known ? count : -1};
}

static void add_flag(FieldList *list, const char *name, bool flag)
{
    list->items[list->n++] = (Field){.name = name, .kind = FIELD_FLAG, .count = flag};
}

/* What all rows share; there are N_SHARED. */
static void add_shared(const CompareTable *table, FieldList *list)
{
    add_text(list, "model", table->list->model);
    add_text(list, "setting_a", table->a);
    add_text(list, "setting_b", table->b);
}

static const char *better(CompareVerdict verdict)
{
    if (verdict == COMPARE_A_BETTER) return "A";
    return verdict == COMPARE_B_BETTER ? "B" : NULL;
}

static void add_place(const Comparison *row, FieldList *list)
{
    const Series *series = row->series;
    bool known = series_is_measured(series);
    const char *metric = series->is_hits ? "hits" : "nll";
    const char *unit = series->is_hits ? "fraction" : "nats/token";
    add_text(list, "probe", series->probe);
    add_text(list, "params", series->params);
    add_text(list, "corpus", series->corpus);
    add_count(list, "n_ctx", true, row->n_ctx);
    add_text(list, "metric", known ? metric : NULL);
    add_text(list, "unit", known ? unit : NULL);
    add_text(list, "status_a", cell_status_name(row->status_a));
    add_text(list, "status_b", cell_status_name(row->status_b));
    add_text(list, "method", known ? compare_method(series) : NULL);
    add_text(list, "better", better(row->verdict));
}

static void add_numbers(const Comparison *row, FieldList *list)
{
    const Bootstrapped *of = &row->difference;
    bool known = !isnan(of->value);
    bool hits = known && row->series->is_hits;
    add_real(list, "a", row->a);
    add_real(list, "b", row->b);
    add_real(list, "difference", of->value);
    add_real(list, "ci_low", of->interval.low);
    add_real(list, "ci_high", of->interval.high);
    add_real(list, "p", of->p);
    add_real(list, "perplexity_ratio", known && !hits ? exp(of->value) : (double)NAN);
    add_count(list, "n", known, row->n);
    add_count(list, "n_clusters", known, (int64_t)of->n_clusters);
    add_count(list, "only_a", hits, row->hits.only_first);
    add_count(list, "only_b", hits, row->hits.only_second);
}

static FieldList fields_of(const CompareTable *table, const Comparison *row)
{
    FieldList list = {.n = 0};
    add_shared(table, &list);
    add_place(row, &list);
    add_numbers(row, &list);
    add_flag(&list, "limited", row->series->limited);
    add_text(&list, "why_a", row->why_a);
    add_text(&list, "why_b", row->why_b);
    add_real(&list, "margin", row->margin);
    add_flag(&list, "tripped", row->tripped);
    return list;
}

static json_t *field_json(const Field *field)
{
    switch (field->kind) {
    case FIELD_TEXT: return json_out_text(field->text);
    case FIELD_REAL: return json_out_number(field->real);
    case FIELD_COUNT: return field->count < 0 ? json_null() : json_integer(field->count);
    default: return json_boolean(field->count);
    }
}

/* The fields from the first on as an object. */
static json_t *row_json(const FieldList *list, size_t first)
{
    json_t *object = json_object();
    for (size_t i = first; i < list->n; i++)
        json_object_set_new(object, list->items[i].name, field_json(&list->items[i]));
    return object;
}

json_t *compare_json(const CompareTable *table)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < table->n; i++) {
        FieldList list = fields_of(table, &table->items[i]);
        json_array_append_new(rows, row_json(&list, N_SHARED));
    }
    return json_pack("{s:o, s:o, s:o, s:b, s:b, s:o}", "model", json_out_text(table->list->model),
                     "a", json_out_text(table->a), "b", json_out_text(table->b), "all_done",
                     (int)compare_all_done(table), "tripped", (int)compare_trips(table), "rows",
                     rows);
}

void compare_jsonl(const CompareTable *table, Buf *out)
{
    for (size_t i = 0; i < table->n; i++) {
        FieldList list = fields_of(table, &table->items[i]);
        json_t *object = row_json(&list, 0);
        json_out_line(object, out);
        buf_putc(out, '\n');
        json_decref(object);
    }
}

static void put_field(const Field *field, size_t *n_formulas, Buf *out)
{
    switch (field->kind) {
    case FIELD_TEXT:
        if (field->text) csv_out_text(field->text, n_formulas, out);
        break;
    case FIELD_REAL:
        if (isfinite(field->real)) buf_printf(out, "%.17g", field->real);
        break;
    default:
        if (field->count >= 0) buf_printf(out, "%lld", (long long)field->count);
    }
}

/* A table without a row has its columns all the same. */
static void put_head(const CompareTable *table, Buf *out)
{
    const Series nothing = {0};
    const Comparison row = {.series = &nothing};
    FieldList list = fields_of(table, &row);
    for (size_t i = 0; i < list.n; i++)
        buf_printf(out, "%s%s", i ? "," : "", list.items[i].name);
    buf_putc(out, '\n');
}

size_t compare_csv(const CompareTable *table, Buf *out)
{
    size_t n_formulas = 0;
    put_head(table, out);
    for (size_t i = 0; i < table->n; i++) {
        FieldList list = fields_of(table, &table->items[i]);
        for (size_t k = 0; k < list.n; k++) {
            if (k) buf_putc(out, ',');
            put_field(&list.items[k], &n_formulas, out);
        }
        buf_putc(out, '\n');
    }
    return n_formulas;
}
