#include "harness/sweep_rows.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "harness/theory.h"

bool sweep_put_model(Store *store, const PlanModel *model, Err *err)
{
    const ModelRow row = {
        .hash = model->hash,
        .name = model->name,
        .path = model->origin,
        .format = model->format,
        .arch = model->config.arch,
        .n_params = model->n_params,
        .n_ctx_train = model->config.rope.n_ctx_orig,
        .n_ctx_orig = model->own.n_ctx_orig,
        .theta = model->own.theta,
        .n_rot = model->own.n_rot,
        .rope_found = model->config.rope_found,
        .tokenizer = model->tokenizer_kind,
        .notes = model->notes,
        .n_layers = model->config.n_layers,
        .n_kv_heads = model->config.n_kv_heads,
        .head_dim = model->config.head_dim,
        .own_method = model->config.rope.method ? model->config.rope.method->name : "none",
    };
    if (!store_put_model(store, &row, err)) return false;
    const Corpus *corpus = model->corpus;
    if (!corpus) return true;
    const CorpusRow corpus_row = {.hash = corpus->hash,
                                  .name = corpus->name,
                                  .path = corpus->path,
                                  .n_bytes = corpus->n_bytes};
    return store_put_corpus(store, &corpus_row, err);
}

/* Appends θ and θ' of every pair at n_ctx; a table that divides positions is written as the angle a token turns by. */
static bool add_pairs(const RopeSpec *spec, int64_t n_ctx, int64_t labelled, SettingPairRow *rows,
                      Err *err)
{
    RopeTable table;
    double theta[ROPE_MAX_PAIRS];
    if (!rope_table_make(spec, n_ctx, &table, err)) return false;
    rope_plain_angles(spec->theta, spec->n_rot, theta);
    for (int i = 0; i < spec->n_rot / 2; i++)
        rows[i] = (SettingPairRow){.n_ctx = labelled,
                                   .pair = i,
                                   .theta_i = theta[i],
                                   .theta_scaled_i =
                                       i < table.n_pairs ? rope_scaled_angle(&table, i) : 0.0};
    return true;
}

static SettingRow setting_row(const PlanModel *model, const PlanSetting *setting, int64_t n_ctx)
{
    const RopeSpec *spec = &setting->spec;
    SettingRow row = {
        .key = setting->key,
        .label = setting->label,
        .method = spec->method->name,
        .class_ = spec->method->class_ == ROPE_CLASS_THETA ? "theta" : "position",
        .lambda = (double)NAN,
        .factor = (double)NAN,
        .theta = spec->theta,
        .n_rot = spec->n_rot,
        .n_ctx_orig = model->own.n_ctx_orig,
        .depends_on_n_ctx = rope_spec_depends_on_n_ctx(spec),
    };
    if (!row.depends_on_n_ctx) rope_spec_axes(spec, n_ctx, &row.lambda, &row.factor);
    return row;
}

bool sweep_put_setting(Store *store, const PlanModel *model, const PlanSetting *setting,
                       const int64_t *n_ctx, size_t n, Err *err)
{
    SettingRow row = setting_row(model, setting, n_ctx[0]);
    size_t n_tables = row.depends_on_n_ctx ? n : 1;
    size_t n_pairs = (size_t)setting->spec.n_rot / 2;
    SettingPairRow *pairs = mem_alloc(n_tables * n_pairs, sizeof *pairs);
    bool ok = true;
    for (size_t i = 0; ok && i < n_tables; i++)
        ok = add_pairs(&setting->spec, n_ctx[i], row.depends_on_n_ctx ? n_ctx[i] : 0,
                       pairs + i * n_pairs, err);
    ok = ok && store_put_setting(store, &row, pairs, n_tables * n_pairs, err);
    free(pairs);
    return ok && theory_put_predictions(store, model, setting, n_ctx, n, err);
}

static bool put_settings(const Plan *plan, Store *store, const PlanModel *model, Err *err)
{
    bool ok = true;
    for (size_t s = 0; ok && s < model->n_settings; s++) {
        const PlanSetting *setting = &model->settings[s];
        ok = sweep_put_setting(store, model, setting, plan->n_ctx, plan->n_lengths, err) &&
             theory_put_audits(store, plan, model, setting, err);
    }
    return ok;
}

bool sweep_put_rows(const Plan *plan, Store *store, Err *err)
{
    if (!store_begin_plan(store, err)) return false;
    for (size_t m = 0; m < plan->n_models; m++)
        if (!sweep_put_model(store, &plan->models[m], err) ||
            !put_settings(plan, store, &plan->models[m], err))
            return false;
    return store_end_plan(store, err);
}
