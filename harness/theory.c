#include "harness/theory.h"

#include <math.h>

#include "models/rope_markers.h"

typedef enum {
    MARKER_LAMBDA,
    MARKER_TURNING,
    MARKER_FIRST_NEGATIVE,
    MARKER_UNSEEN,
    MARKER_REACH,
    MARKER_RESOLUTION,
} Marker;

static const struct {
    const char *quantity;
    const char *unit;
    const char *source;
} markers[] = {
    [MARKER_LAMBDA] = {"lambda_by_formula",  "",
                       "(n_ctx / n_ctx_orig)^(d/(d-2)), at least 1: bloc97 2023"                          },
    [MARKER_TURNING] =
        {"pairs_turning",      "pairs",
                       "2 pi / theta_i <= n_ctx_orig: Liu et al. 2023, arXiv 2310.05209, section 3"       },
    [MARKER_FIRST_NEGATIVE] =
        {"first_negative_sum", "tokens",
                       "first p with sum cos(p theta'_i) < 0: Xu et al. 2024, arXiv 2405.14591, theorem 1"},
    [MARKER_UNSEEN] = {"unseen_angle",       "rad",
                       "largest angle within n_ctx beyond those within n_ctx_orig"                        },
    [MARKER_REACH] = {"seen_reach",         "tokens",   "longest n_ctx without an unseen angle"          },
    [MARKER_RESOLUTION] = {"resolution",         "of plain",
                       "sqrt(sum |e^(i theta'_i) - 1|^2) as a share of what it is under theta"            },
};

/* A setting and the database that it is stored in. */
typedef struct {
    Store *store;
    const PlanModel *model;
    const PlanSetting *setting;
} Subject;

static bool put_marker(const Subject *subject, Marker marker, int64_t n_ctx, double value, Err *err)
{
    const PredictionRow row = {.model_hash = subject->model->hash,
                               .setting_key = subject->setting->key,
                               .n_ctx = n_ctx,
                               .quantity = markers[marker].quantity,
                               .unit = markers[marker].unit,
                               .value = value,
                               .source = markers[marker].source};
    return store_put_prediction(subject->store, &row, err);
}

static double number_or_none(int64_t position)
{
    return position < 0 ? (double)NAN : (double)position;
}

/* What a table is alone responsible for; n_ctx is 0 when it is the same at every length. */
static bool put_table_markers(const Subject *subject, int64_t n_ctx, const RopeMarkers *found,
                              Err *err)
{
    return put_marker(subject, MARKER_TURNING, n_ctx, found->n_turning, err) &&
           put_marker(subject, MARKER_FIRST_NEGATIVE, n_ctx, number_or_none(found->first_negative),
                      err) &&
           put_marker(subject, MARKER_REACH, n_ctx, number_or_none(found->seen_reach), err) &&
           put_marker(subject, MARKER_RESOLUTION, n_ctx, found->resolution, err);
}

static bool put_length_markers(const Subject *subject, int64_t n_ctx, Err *err)
{
    const RopeSpec *spec = &subject->setting->spec;
    double stretch = fmax(1.0, (double)n_ctx / (double)spec->n_ctx_orig);
    double lambda = spec->n_rot > 2 ? rope_lambda_of(stretch, spec->n_rot) : (double)NAN;
    double unseen;
    return rope_unseen_angle(spec, n_ctx, &unseen, err) &&
           put_marker(subject, MARKER_LAMBDA, n_ctx, lambda, err) &&
           put_marker(subject, MARKER_UNSEEN, n_ctx, unseen, err);
}

bool theory_put_predictions(Store *store, const PlanModel *model, const PlanSetting *setting,
                            const int64_t *n_ctx, size_t n, Err *err)
{
    const Subject subject = {store, model, setting};
    bool by_length = rope_spec_depends_on_n_ctx(&setting->spec);
    bool ok = true;
    for (size_t i = 0; ok && model->own.n_ctx_orig > 0 && i < n; i++) {
        RopeMarkers found;
        if (i == 0 || by_length)
            ok = rope_markers_of(&setting->spec, n_ctx[i], &found, err) &&
                 put_table_markers(&subject, by_length ? n_ctx[i] : 0, &found, err);
        ok = ok && put_length_markers(&subject, n_ctx[i], err);
    }
    return ok;
}

AuditRow theory_audit_row(const PlanModel *model, const PlanSetting *setting, int64_t n_ctx,
                          int64_t seed, const RopeAudit *audit)
{
    return (AuditRow){
        .model_hash = model->hash,
        .setting_key = setting->key,
        .n_ctx = n_ctx,
        .seed = seed,
        .verdict = rope_verdict_text(audit->verdict),
        .amplitude = audit->amplitude,
        .residual = audit->residual,
        .tolerance = rope_audit_tolerance(n_ctx),
        .shift_error = audit->shift_error,
        .norm_error = audit->norm_error,
        .residual_f32 = audit->in_float.residual,
        .shift_error_f32 = audit->in_float.shift_error,
        .norm_error_f32 = audit->in_float.norm_error,
        .worst_pair = audit->worst_pair,
        .worst_query = audit->worst_query,
        .worst_key = audit->worst_key,
        .largest_residue = (double)NAN,
        .mean_residue = (double)NAN,
    };
}

bool theory_put_audits(Store *store, const Plan *plan, const PlanModel *model,
                       const PlanSetting *setting, Err *err)
{
    int64_t seed = plan->options->seed;
    bool by_length = rope_spec_depends_on_n_ctx(&setting->spec);
    for (size_t i = by_length ? 0 : plan->n_lengths - 1; i < plan->n_lengths; i++) {
        int64_t n_ctx = plan->n_ctx[i];
        RopeTable table;
        RopeAudit audit;
        if (n_ctx < 2) continue;
        if (!rope_table_make(&setting->spec, n_ctx, &table, err)) return false;
        rope_audit(&table, n_ctx, (uint64_t)seed, &audit);
        AuditRow row = theory_audit_row(model, setting, n_ctx, seed, &audit);
        if (!store_put_audit(store, &row, err)) return false;
    }
    return true;
}
