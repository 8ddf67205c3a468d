/* `compare`: a sweep of two settings, and what their trials and windows say when each is held against its twin.
 *
 * Engineer A changes the position function, Engineer B scales θ: without arguments these are the two, at one target. */
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/cli_axis.h"
#include "harness/cli_pairs.h"
#include "harness/commands.h"
#include "harness/load.h"
#include "harness/plan_run.h"
#include "harness/terminal.h"
#include "reports/compare.h"

static const char *const default_settings[] = {"pi", "ntk"};

/* Refuses a margin that would hold nothing, and two of one probe. */
static bool check_margins(const Plan *plan, const MarginList *margins, Err *err)
{
    for (size_t i = 0; i < margins->n; i++) {
        const char *name = margins->items[i].probe;
        bool is_planned = name == NULL;
        for (size_t p = 0; p < plan->n_probes; p++)
            is_planned = is_planned || str_equal(plan->probes[p].probe->name, name);
        if (!is_planned)
            return err_set(err, ERR_USAGE,
                           "--fail-if: no probe of this comparison is called \"%.100s\"", name);
        for (size_t k = 0; k < i; k++) {
            const char *other = margins->items[k].probe;
            if (name == other || (name && other && str_equal(name, other)))
                return err_set(err, ERR_USAGE, "--fail-if: two margins for %s",
                               name ? name : "every probe");
        }
    }
    return true;
}

/* Those of single probes last, since they win. */
static void set_margins(const MarginList *margins, CompareTable *table)
{
    for (size_t i = 0; i < margins->n; i++)
        if (!margins->items[i].probe) compare_set_margin(table, NULL, margins->items[i].value);
    for (size_t i = 0; i < margins->n; i++)
        if (margins->items[i].probe)
            compare_set_margin(table, margins->items[i].probe, margins->items[i].value);
}

/* Writers return how many texts a spreadsheet would run. */
static size_t write_table(const CompareTable *table, Buf *out)
{
    compare_text(table, out);
    return 0;
}

static size_t write_json(const CompareTable *table, Buf *out)
{
    json_t *root = compare_json(table);
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
    buf_printf(out, "%s\n", text ? text : "");
    free(text);
    json_decref(root);
    return 0;
}

static size_t write_jsonl(const CompareTable *table, Buf *out)
{
    compare_jsonl(table, out);
    return 0;
}

typedef struct {
    const char *name;
    size_t (*write)(const CompareTable *table, Buf *out);
} CompareFormat;

static const CompareFormat formats[] = {
    {"table", write_table},
    {"csv",   compare_csv},
    {"json",  write_json },
    {"jsonl", write_jsonl},
};

static const CompareFormat *find_format(const Options *options, Err *err)
{
    const char *name = options->format ? options->format : options->json ? "json" : "table";
    for (size_t i = 0; i < COUNT_OF(formats); i++)
        if (str_equal(formats[i].name, name)) return &formats[i];
    err_set(err, ERR_USAGE, "--format: \"%s\": allowed are: table csv json jsonl", name);
    return NULL;
}

static void print_table(const CompareTable *table, const CompareFormat *format)
{
    Buf out = {0};
    size_t n_formulas = format->write(table, &out);
    terminal_print(buf_text(&out), out.len);
    terminal_warn_of_formulas(n_formulas);
    buf_free(&out);
}

/* What the sweep of two settings hands over to. */
typedef struct {
    const PlanSetting *a;
    const PlanSetting *b;
    const MarginList *margins;
    const CompareFormat *format;
} Asked;

static int print_comparison(const Plan *plan, Store *store, const SweepOutcome *outcome,
                            void *context, Err *err)
{
    const Asked *asked = context;
    SeriesList list;
    if (!series_load(store, plan->models[0].hash, outcome->run_id, &list, err))
        return cli_exit_status(err->code);
    const ComparePair pair = {asked->a->key, asked->b->key, asked->a->label, asked->b->label};
    CompareTable table = compare_make(&list, &pair);
    set_margins(asked->margins, &table);
    print_table(&table, asked->format);
    bool ok = compare_all_done(&table) && !compare_trips(&table);
    compare_free(&table);
    series_free(&list);
    return ok ? EXIT_OK : EXIT_NOT_DONE;
}

/* Settings of equal tables are one in the plan, and there is nothing to compare. */
static bool check_differ(const Plan *plan, Err *err)
{
    const PlanModel *model = &plan->models[0];
    if (model->n_settings == 2) return true;
    const PlanSetting *only = &model->settings[0];
    return err_set(err, ERR_USAGE,
                   "A and B rotate alike at every length (%s%s%s): two settings that differ are "
                   "wanted, or a --target beyond the trained length %lld",
                   only->label, only->same ? " and " : "", only->same ? only->same : "",
                   (long long)model->own.n_ctx_orig);
}

/* Reads one of the two settings. */
static bool add_setting(const Options *options, size_t i, StringList *methods, Err *err)
{
    const StringList *given = &options->arguments;
    const char *text = i < given->n ? given->items[i] : default_settings[i];
    size_t n_before = methods->n;
    if (!axis_add_specs(text, methods, err)) return err_prefix(err, "%s", i == 0 ? "A" : "B");
    return methods->n == n_before + 1 ||
           err_set(err, ERR_USAGE, "%s is one setting, but \"%.100s\" is %zu", i == 0 ? "A" : "B",
                   text, methods->n - n_before);
}

static int compare(const Command *command, const Options *options, const MarginList *margins,
                   Err *err)
{
    const CompareFormat *format = find_format(options, err);
    Plan *plan = format ? plan_make(command, options, err) : NULL;
    if (!plan || !check_differ(plan, err) || !check_margins(plan, margins, err)) {
        plan_free(plan);
        return cli_exit_status(err->code);
    }
    Asked asked = {&plan->models[0].settings[0], &plan->models[0].settings[1], margins, format};
    const PlanReport report = {.print = print_comparison, .context = &asked};
    int status = plan_execute(plan, &report, err);
    plan_free(plan);
    return status;
}

int cmd_compare(const Command *command, const Options *options, Err *err)
{
    Options with_methods = *options;
    MarginList margins = {0};
    const char *path;
    bool ok = load_one_path(options, &path, err) &&
              (!options->fail_if || cli_read_margins(options->fail_if, &margins, err));
    with_methods.method = (StringList){0};
    for (size_t i = 0; ok && i < COUNT_OF(default_settings); i++)
        ok = add_setting(options, i, &with_methods.method, err);
    int status = ok ? compare(command, &with_methods, &margins, err) : cli_exit_status(err->code);
    string_list_free(&with_methods.method);
    cli_free_margins(&margins);
    return status;
}
