#include <math.h>

#include "reports/compare.h"
#include "reports/json_out.h"

static json_t *better(CompareVerdict verdict)
{
    if (verdict == COMPARE_A_BETTER) return json_string("A");
    if (verdict == COMPARE_B_BETTER) return json_string("B");
    return json_null();
}

static json_t *counts(const Comparison *row)
{
    if (isnan(row->difference.value)) return json_object();
    json_t *object = json_pack("{s:I, s:I}", "n", (json_int_t)row->n, "n_clusters",
                               (json_int_t)row->difference.n_clusters);
    if (!row->series->is_hits) return object;
    json_object_set_new(object, "only_a", json_integer(row->hits.only_first));
    json_object_set_new(object, "only_b", json_integer(row->hits.only_second));
    return object;
}

static json_t *differences(const Comparison *row)
{
    const Bootstrapped *of = &row->difference;
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "a", json_out_number(row->a), "b",
                     json_out_number(row->b), "difference", json_out_number(of->value), "ci_low",
                     json_out_number(of->interval.low), "ci_high",
                     json_out_number(of->interval.high), "p", json_out_number(of->p));
}

static json_t *row_json(const Comparison *row)
{
    const Series *series = row->series;
    bool known = series_is_measured(series);
    const char *unit = series->is_hits ? "fraction" : "nats/token";
    json_t *object = json_pack(
        "{s:o, s:o, s:o, s:I, s:o, s:s, s:s, s:o, s:o}", "probe", json_out_text(series->probe),
        "params", json_out_text(series->params), "corpus", json_out_text(series->corpus), "n_ctx",
        (json_int_t)row->n_ctx, "unit", json_out_text(known ? unit : NULL), "status_a",
        cell_status_name(row->status_a), "status_b", cell_status_name(row->status_b), "method",
        json_out_text(known ? compare_method(series) : NULL), "better", better(row->verdict));
    json_t *parts[] = {differences(row), counts(row)};
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        json_object_update(object, parts[i]);
        json_decref(parts[i]);
    }
    json_object_set_new(object, "limited", json_boolean(series->limited));
    json_object_set_new(object, "why_a", json_out_text(row->why_a));
    json_object_set_new(object, "why_b", json_out_text(row->why_b));
    json_object_set_new(object, "margin", json_out_number(row->margin));
    json_object_set_new(object, "tripped", json_boolean(row->tripped));
    return object;
}

json_t *compare_json(const CompareTable *table)
{
    json_t *rows = json_array();
    for (size_t i = 0; i < table->n; i++)
        json_array_append_new(rows, row_json(&table->items[i]));
    return json_pack("{s:o, s:o, s:o, s:b, s:b, s:o}", "model", json_out_text(table->list->model),
                     "a", json_out_text(table->a), "b", json_out_text(table->b), "all_done",
                     (int)compare_all_done(table), "tripped", (int)compare_trips(table), "rows",
                     rows);
}
