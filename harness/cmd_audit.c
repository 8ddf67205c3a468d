/* `audit`: is a setting Engineer B's θ' in disguise, and what is left over when it is not?
 *
 * Without a model the verdict rests on the turns alone. With one, the model scores the same tokens under the setting and
 * under the plain rotation by the fitted θ': the residue is what the difference means in nats. With a database the verdicts
 * stand there beside those that a sweep leaves, and its report shows the residue as well. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "harness/commands.h"
#include "harness/drift.h"
#include "harness/load.h"
#include "harness/settings.h"
#include "harness/signals.h"
#include "harness/sweep_rows.h"
#include "harness/theory.h"
#include "models/rope_audit.h"

/* Differences of nll between the setting and its fit, nats; NaN without a model. */
typedef struct {
    double largest;
    double mean;
} Residue;

/* A setting's table at one length, and what was found of it. */
typedef struct {
    int64_t n_ctx;
    RopeTable table;
    RopeAudit audit;
} AuditedTable;

static bool score_under(Session *session, const RopeTable *table, const int32_t *tokens, int64_t n,
                        TokenScore *out, Err *err)
{
    uint8_t *want = mem_alloc((size_t)n, 1);
    memset(want, 1, (size_t)n);
    bool ok =
        session_set_rope(session, table, err) && session_score(session, tokens, n, want, out, err);
    free(want);
    return ok;
}

/* The plain rotation by the fitted angles, with the amplitude. */
static RopeTable fitted_table(const RopeTable *table, const RopeAudit *audit)
{
    RopeTable fitted = {.n_pairs = table->n_pairs,
                        .n_query_variants = 1,
                        .n_key_variants = 1,
                        .amplitude = table->amplitude};
    fitted.query[0].position = (RopePosition){.divisor = 1.0, .cap = INFINITY};
    memcpy(fitted.query[0].inv_freq, audit->theta_fit,
           (size_t)audit->n_pairs * sizeof audit->theta_fit[0]);
    return fitted;
}

static bool measure_residue(const Options *options, const Model *model, const AuditedTable *audited,
                            Residue *out, Err *err)
{
    int64_t n = audited->n_ctx;
    SessionOptions session_options = {.n_threads = load_n_threads(options),
                                      .keep_going = signals_keep_going};
    Session *session = session_open(model, n, &session_options, err);
    if (!session) return false;
    int32_t *tokens = mem_alloc((size_t)n, sizeof *tokens);
    TokenScore *own = mem_zalloc((size_t)n, sizeof *own);
    TokenScore *fit = mem_zalloc((size_t)n, sizeof *fit);
    Rng rng = rng_open((uint64_t)options->seed, 0, 0, 0);
    for (int64_t i = 0; i < n; i++)
        tokens[i] = (int32_t)rng_below(&rng, (uint32_t)model->config.vocab_size);
    RopeTable fitted = fitted_table(&audited->table, &audited->audit);
    bool ok = score_under(session, &audited->table, tokens, n, own, err) &&
              score_under(session, &fitted, tokens, n, fit, err);
    *out = (Residue){0};
    for (int64_t i = 0; ok && i + 1 < n; i++) {
        double off = fabs(own[i].nll - fit[i].nll);
        out->largest = fmax(out->largest, off);
        out->mean += off / (double)(n - 1);
    }
    free(tokens);
    free(own);
    free(fit);
    session_close(session);
    return ok;
}

static void print_text(const char *label, const AuditedTable *audited, const Residue *residue)
{
    const RopeAudit *audit = &audited->audit;
    int64_t n_ctx = audited->n_ctx;
    printf("%s at n_ctx %lld: %s", label, (long long)n_ctx, rope_verdict_text(audit->verdict));
    if (audit->verdict == ROPE_VERDICT_AMPLITUDE) printf(" %.9g", audit->amplitude);
    const RopeFloatAudit *in_float = &audit->in_float;
    printf("\n%38s%10s\n  residual of the best theta' %8.2g%10.2g rad", "double", "float",
           audit->residual, in_float->residual);
    printf(" (rounding explains %.1g in double)", rope_audit_tolerance(n_ctx));
    if (audit->verdict == ROPE_VERDICT_NOT && audit->residual > 0.0)
        printf(", worst for pair %d, query %lld, key %lld", audit->worst_pair,
               (long long)audit->worst_query, (long long)audit->worst_key);
    printf("\n  shift invariance of q.k     %8.2g%10.2g\n", audit->shift_error,
           in_float->shift_error);
    printf("  norm preservation           %8.2g%10.2g\n", audit->norm_error, in_float->norm_error);
    if (!isnan(residue->largest))
        printf("  residue at the model         %.3g nats at most, %.3g on average\n",
               residue->largest, residue->mean);
    if (audit->verdict == ROPE_VERDICT_NOT) return;
    printf("  theta'                      ");
    for (int i = 0; i < audit->n_pairs; i++)
        printf(" %.6g", audit->theta_fit[i]);
    printf("\n");
}

static json_t *audit_json(const char *label, const AuditedTable *audited, const Residue *residue)
{
    const RopeAudit *audit = &audited->audit;
    int64_t n_ctx = audited->n_ctx;
    json_t *theta = json_array();
    for (int i = 0; i < audit->n_pairs; i++)
        json_array_append_new(theta, json_real(audit->theta_fit[i]));
    json_t *root =
        json_pack("{s:s, s:I, s:s, s:f, s:f, s:f, s:f, s:{s:f, s:f, s:f}, s:o}", "setting", label,
                  "n_ctx", (json_int_t)n_ctx, "verdict", rope_verdict_text(audit->verdict),
                  "amplitude", audit->amplitude, "residual", audit->residual, "shift_error",
                  audit->shift_error, "norm_error", audit->norm_error, "float", "residual",
                  audit->in_float.residual, "shift_error", audit->in_float.shift_error,
                  "norm_error", audit->in_float.norm_error, "theta_fit", theta);
    bool has_model = !isnan(residue->largest);
    json_object_set_new(root, "largest_residue_nats",
                        has_model ? json_real(residue->largest) : json_null());
    json_object_set_new(root, "mean_residue_nats",
                        has_model ? json_real(residue->mean) : json_null());
    return root;
}

/* Where a verdict goes. */
typedef struct {
    json_t *json; /* NULL: it is printed */
    Store *store; /* NULL: it is not stored */
    const PlanModel *planned;
} Output;

static bool store_verdict(const Output *output, const RopeSpec *spec, const AuditedTable *audited,
                          int64_t seed, const Residue *residue, Err *err)
{
    PlanSetting setting = plan_setting_of(spec);
    AuditRow row =
        theory_audit_row(output->planned, &setting, audited->n_ctx, seed, &audited->audit);
    row.largest_residue = residue->largest;
    row.mean_residue = residue->mean;
    return sweep_put_setting(output->store, output->planned, &setting, &audited->n_ctx, 1, err) &&
           store_put_audit(output->store, &row, err);
}

/* Audits one setting; appends to the JSON, or prints where there is none. */
static bool audit_setting(const Options *options, const Model *model, const RopeSpec *spec,
                          const Output *output, Err *err)
{
    AuditedTable audited = {.n_ctx = options->n_ctx.items[0]};
    Residue residue = {(double)NAN, (double)NAN};
    char label[ROPE_TEXT_SIZE];
    rope_spec_text(spec, label);
    if (!rope_table_make(spec, audited.n_ctx, &audited.table, err)) return false;
    rope_audit(&audited.table, audited.n_ctx, (uint64_t)options->seed, &audited.audit);
    if (model && !measure_residue(options, model, &audited, &residue, err)) return false;
    if (output->json)
        json_array_append_new(output->json, audit_json(label, &audited, &residue));
    else
        print_text(label, &audited, &residue);
    return !output->store || store_verdict(output, spec, &audited, options->seed, &residue, err);
}

static bool audit_settings(const Options *options, const SettingList *settings,
                           const Output *output, Err *err)
{
    Model *model = options->model.n ? load_model(options, options->model.items[0], err) : NULL;
    bool ok = model || options->model.n == 0;
    if (model) drift_print(model);
    for (size_t i = 0; ok && i < settings->n; i++)
        ok = audit_setting(options, model, &settings->items[i], output, err);
    model_free(model);
    if (ok && output->json) {
        json_dumpf(output->json, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        printf("\n");
    }
    return ok;
}

/* The same with a database: its model row is the one that a sweep would write. */
static bool audit_into_store(const Options *options, const SettingList *settings, Output *output,
                             Err *err)
{
    if (options->model.n == 0)
        return err_set(err, ERR_USAGE, "--db keeps verdicts by model: give --model PATH as well");
    Plan *plan = plan_new(options, err);
    bool ok = plan && plan_add_model(plan, options->model.items[0], false, err);
    output->store = ok ? store_open(options->db, err) : NULL;
    output->planned = ok ? &plan->models[0] : NULL;
    ok = output->store && sweep_put_model(output->store, output->planned, err) &&
         audit_settings(options, settings, output, err);
    store_close(output->store);
    plan_free(plan);
    return ok;
}

int cmd_audit(const Command *command, const Options *options, Err *err)
{
    (void)command;
    RopeSpec own = {0};
    SettingList settings = {0};
    if (options->n_ctx.n != 1 || options->n_ctx.items[0] < 2) {
        err_set(err, ERR_USAGE, "one context length of at least 2 is needed: --n-ctx N");
        return EXIT_USAGE;
    }
    int64_t n_ctx = options->n_ctx.items[0];
    if (!load_rope(options, &own, err) ||
        !settings_make(options, &own, "none,pi,linear,ntk,yarn", n_ctx, &settings, err))
        return cli_exit_status(err->code);
    Output output = {.json = options->json ? json_array() : NULL};
    bool ok = options->db ? audit_into_store(options, &settings, &output, err)
                          : audit_settings(options, &settings, &output, err);
    json_decref(output.json);
    setting_list_free(&settings);
    return ok ? EXIT_OK : cli_exit_status(err->code);
}
