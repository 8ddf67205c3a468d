#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/str.h"
#include "datasets/catalog.h"
#include "harness/commands.h"
#include "harness/probe.h"
#include "harness/source.h"
#include "models/weights.h"
#include "reports/report.h"

/* Prints the rows of one registry; with details, more than a line each. */
typedef struct {
    const char *name;
    void (*print)(bool details);
} Topic;

static void print_row(const char *name, const char *help)
{
    printf("  %-16s %s\n", name, help);
}

static void print_method_params(const RopeMethod *method)
{
    Buf params = {0};
    rope_method_params(method, &params);
    printf("  %-16s reads: %s\n", "", buf_text(&params));
    buf_free(&params);
}

static void print_methods(bool details)
{
    for (const RopeMethod *method = rope_methods; method->name; method++) {
        print_row(method->name, method->help);
        if (!details) continue;
        print_method_params(method);
        printf("  %-16s changes: %s\n", "",
               method->class_ == ROPE_CLASS_THETA ? "angles" : "positions");
        if (method->equivalent)
            printf("  %-16s equals, up to rounding: %s\n", "", method->equivalent);
        printf("  %-16s source: %s\n", "", method->source);
    }
    print_row("model", "the scaling in the model's own file");
}

static void print_probe_details(const Probe *probe)
{
    for (const ProbeParam *param = probe->params; param->key; param++)
        printf("  %-16s %s=%s  %s%s%s\n", "", param->key, param->default_text, param->help,
               param->choices ? ": " : "", param->choices ? param->choices : "");
    for (const ProbeMetric *metric = probe->metrics; metric->name; metric++)
        printf("  %-16s metric %s (%s): %s\n", "", metric->name, metric->unit, metric->help);
}

static void print_probes(bool details)
{
    for (const Probe *const *probe = probes; *probe; probe++) {
        print_row((*probe)->name, (*probe)->help);
        if (details) print_probe_details(*probe);
    }
}

static void print_formats(bool details)
{
    (void)details;
    for (const WeightFormat *format = weight_formats; format->name; format++)
        print_row(format->name, format->help);
}

static void print_reports(bool details)
{
    (void)details;
    for (const ReportFormat *format = report_formats; format->name; format++)
        print_row(format->name, format->help);
}

/* "here: PATH", or what to do about it. */
static void print_state(const CatalogRow *row, const char *folder)
{
    Err err;
    char *path = catalog_path(row, folder);
    if (!path)
        printf("  %-16s not here: put it into %s as %.*s\n", "", folder,
               (int)strcspn(row->files, " "), row->files);
    else if (catalog_check(row, path, &err))
        printf("  %-16s here: %s\n", "", path);
    else
        printf("  %-16s other bytes: %s\n", "", err.text);
    free(path);
}

static void print_corpora(bool details)
{
    char *folder = source_texts_folder();
    for (const CatalogRow *row = catalog_rows; row->name; row++) {
        print_row(row->name, row->help);
        if (!details) continue;
        printf("  %-16s %lld bytes, %s, --documents %s\n", "", (long long)row->n_bytes,
               row->licence, row->documents);
        printf("  %-16s source: %s\n", "", row->source);
        print_state(row, folder);
    }
    free(folder);
}

static const Topic topics[] = {
    {"methods", print_methods},
    {"probes",  print_probes },
    {"formats", print_formats},
    {"reports", print_reports},
    {"corpora", print_corpora},
};

int cmd_list(const Command *command, const Options *options, Err *err)
{
    const char *wanted = options->arguments.n ? options->arguments.items[0] : NULL;
    for (size_t i = 0; i < COUNT_OF(topics); i++) {
        if (wanted && !str_equal(topics[i].name, wanted)) continue;
        if (!wanted) printf("%s%s\n", i ? "\n" : "", topics[i].name);
        topics[i].print(wanted != NULL);
        if (wanted) return EXIT_OK;
    }
    if (!wanted) return EXIT_OK;
    err_set(err, ERR_USAGE, "there is no list \"%s\"; usage: ropewalk %s", wanted, command->usage);
    return EXIT_USAGE;
}
