#include <math.h>

#include "reports/json_out.h"
#include "reports/recommend_internal.h"

static json_t *setting_name(const Recommendation *answer, size_t setting)
{
    bool is_none = setting == answer->list->n_settings;
    return is_none ? json_null() : json_out_text(answer->list->settings[setting].label);
}

/* A difference of loss: nats a token, or the share of trials that are missed more. */
static json_t *difference(const Bootstrapped *of)
{
    if (isnan(of->value)) return json_null();
    return json_pack("{s:o, s:o, s:o, s:o}", "value", json_out_number(of->value), "ci_low",
                     json_out_number(of->interval.low), "ci_high",
                     json_out_number(of->interval.high), "p", json_out_number(of->p));
}

static json_t *reach(const EffectiveLength *of)
{
    return json_pack("{s:I, s:o, s:o, s:s, s:b}", "n_ctx", (json_int_t)of->n_ctx, "ci_low",
                     of->low < 0 ? json_null() : json_integer(of->low), "ci_high",
                     of->low < 0 ? json_null() : json_integer(of->high), "ci_method",
                     of->low < 0 ? "none: too few clusters" : "percentile bootstrap", "is_longest",
                     (int)of->is_longest);
}

static json_t *reaches(const Yardstick *yardstick, const Verdict *verdict)
{
    const EffectiveRule *rules[YARDSTICK_MAX_RULES];
    size_t n = yardstick_rules(yardstick, rules);
    json_t *object = json_object();
    for (size_t r = 0; r < n; r++)
        json_object_set_new(object, rules[r]->name, reach(&verdict->reach[r]));
    return object;
}

static json_t *verdict_json(const Recommendation *answer, const Yardstick *yardstick, size_t s)
{
    const Verdict *verdict = &yardstick->verdicts[s];
    json_t *object = json_pack("{s:o, s:s}", "setting", setting_name(answer, s), "status",
                               cell_status_name(verdict->measured ? CELL_DONE : verdict->status));
    if (!verdict->measured) return object;
    json_object_set_new(object, "value", json_out_number(verdict->value));
    if (!yardstick->series->is_hits)
        json_object_set_new(object, "perplexity", json_out_number(exp(verdict->value)));
    json_object_set_new(object, "not_worse", json_boolean(verdict->in_set));
    json_object_set_new(object, "regret", difference(&verdict->regret));
    json_object_set_new(object, "p_holm", json_out_number(verdict->p_holm));
    json_object_set_new(object, "n_needed", json_out_number(verdict->needed));
    json_object_set_new(object, "tax", difference(&verdict->tax));
    json_object_set_new(object, "gain", difference(&verdict->gain));
    json_object_set_new(object, "on_front", json_boolean(verdict->on_front));
    json_object_set_new(object, "effective_length", reaches(yardstick, verdict));
    return object;
}

static json_t *yardstick_json(const Recommendation *answer, const Yardstick *yardstick)
{
    const Series *series = yardstick->series;
    json_t *verdicts = json_array();
    for (size_t s = 0; s < yardstick->n_settings; s++)
        json_array_append_new(verdicts, verdict_json(answer, yardstick, s));
    json_t *object = json_object();
    json_object_set_new(object, "kind", json_string(recommend_kind(yardstick)));
    json_object_set_new(object, "unit", json_string(series->is_hits ? "fraction" : "nats/token"));
    json_object_set_new(object, "probe", json_out_text(series->probe));
    json_object_set_new(object, "params", json_out_text(series->params));
    json_object_set_new(object, "corpus", json_out_text(series->corpus));
    json_object_set_new(object, "seed", json_integer(series->seed));
    json_object_set_new(object, "limited", json_boolean(series->limited));
    json_object_set_new(object, "n", json_integer(yardstick->n));
    json_object_set_new(object, "n_clusters", json_integer((json_int_t)yardstick->n_clusters));
    json_object_set_new(object, "ci_method", json_string(yardstick_methods(yardstick)));
    json_object_set_new(object, "n_compared", json_integer((json_int_t)yardstick->n_compared));
    json_object_set_new(object, "best", setting_name(answer, yardstick->best));
    json_object_set_new(object, "tax_n_ctx",
                        yardstick->tax_n_ctx ? json_integer(yardstick->tax_n_ctx) : json_null());
    json_object_set_new(object, "settings", verdicts);
    return object;
}

static json_t *parts_json(const Mix *mix)
{
    json_t *parts = json_array();
    for (size_t i = 0; i < mix->n; i++)
        json_array_append_new(parts,
                              json_pack("{s:I, s:f}", "n_ctx", (json_int_t)mix->parts[i].n_ctx,
                                        "weight", mix->parts[i].weight));
    return parts;
}

static json_t *formula_json(const Recommendation *answer)
{
    return json_pack("{s:o, s:o, s:b}", "lambda", json_out_number(answer->formula_lambda),
                     "setting", setting_name(answer, answer->formula), "is_measured",
                     (int)answer->is_formula);
}

json_t *recommend_json(const Recommendation *answer)
{
    json_t *agreed = json_array();
    json_t *warnings = json_array();
    json_t *yardsticks = json_array();
    for (size_t s = 0; s < answer->list->n_settings; s++)
        if (answer->agreed[s]) json_array_append_new(agreed, setting_name(answer, s));
    for (size_t i = 0; i < answer->n_warnings; i++)
        json_array_append_new(warnings, json_out_text(answer->warnings[i]));
    for (size_t i = 0; i < answer->n_yardsticks; i++)
        json_array_append_new(yardsticks, yardstick_json(answer, &answer->yardsticks[i]));
    json_t *object = json_object();
    json_object_set_new(object, "model", json_out_text(answer->list->model));
    json_object_set_new(object, "model_hash", json_out_text(answer->list->model_hash));
    json_object_set_new(object, "n_ctx_orig", json_integer(answer->list->n_ctx_orig));
    json_object_set_new(object, "mix", parts_json(&answer->mix));
    json_object_set_new(object, "winner", setting_name(answer, answer->winner));
    json_object_set_new(object, "not_worse", agreed);
    json_object_set_new(object, "formula", formula_json(answer));
    json_object_set_new(object, "kv_cache_values", json_out_number(recommend_kv_values(answer)));
    json_object_set_new(object, "warnings", warnings);
    json_object_set_new(object, "yardsticks", yardsticks);
    return object;
}
