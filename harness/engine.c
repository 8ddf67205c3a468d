#include "harness/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/utsname.h>

#include "base/mem.h"
#include "base/str.h"
#include "harness/drift.h"
#include "harness/load.h"
#include "harness/version.h"
#include "models/kernels.h"

enum {
    SMALL_MODEL_PARAMS = 200000000, /* below, timelines side by side are faster than shared tiles */
    TINY_MODEL_PARAMS = 20000000,   /* below, tiles are too small to share at all */
};

size_t engine_session_bytes(const Plan *plan, size_t index, int64_t n_ctx)
{
    const PlanModel *model = &plan->models[index];
    size_t largest = 0;
    for (size_t s = 0; s < model->n_settings; s++) {
        RopeTable table;
        Err unused;
        if (!rope_table_make(&model->settings[s].spec, n_ctx, &table, &unused)) continue;
        size_t bytes = session_bytes(&model->config, n_ctx, &table);
        if (bytes > largest) largest = bytes;
    }
    return largest + plan_kept_bytes(plan, index, n_ctx);
}

EngineSplit engine_split(const Plan *plan)
{
    const Options *options = plan->options;
    Options any = *options;
    any.threads = 0;
    int n_cores = load_n_threads(&any);
    int64_t n_params = 0;
    for (size_t i = 0; i < plan->n_models; i++)
        n_params = max_i64(n_params, plan->models[i].n_params);
    int64_t jobs = options->jobs;
    if (jobs == 0 && options->threads > 0) jobs = max_i64(1, n_cores / options->threads);
    if (jobs == 0) jobs = n_params < SMALL_MODEL_PARAMS ? n_cores : 1;
    int64_t threads = options->threads;
    if (threads == 0) threads = n_params < TINY_MODEL_PARAMS ? 1 : max_i64(1, n_cores / jobs);
    return (EngineSplit){.n_jobs = (int)jobs, .n_threads = (int)threads};
}

/* Says on standard error, and in the record of the run, what the precision does to the model's numbers. */
static bool note_drift(const EngineSource *source, Err *err)
{
    Buf line = {0};
    if (source->store) drift_text(source->model, &line);
    if (line.len && !source->plan->options->quiet)
        fprintf(stderr, "%s: %s\n", weights_path(source->model->file), buf_text(&line));
    bool ok =
        !line.len || store_add_event(source->store, *source->run_id, "info", buf_text(&line), err);
    buf_free(&line);
    return ok;
}

static bool engine_load(void *context, size_t index, size_t setting, Err *err)
{
    (void)setting;
    EngineSource *source = context;
    const PlanModel *planned = &source->plan->models[index];
    if (planned->owned_bytes > mem_available())
        return err_set(err, ERR_NOMEM, "%s: the weights take %.1f GB, %.1f GB are free",
                       planned->path, (double)planned->owned_bytes / 1e9,
                       (double)mem_available() / 1e9);
    source->model = load_model(source->plan->options, planned->path, err);
    if (!source->model) return false;
    if (str_equal(source->model->hash, planned->hash)) return note_drift(source, err);
    model_free(source->model);
    source->model = NULL;
    return err_set(err, ERR_INPUT, "%s changed while the sweep was planned; run it again",
                   planned->path);
}

static void engine_unload(void *context, size_t index)
{
    (void)index;
    EngineSource *source = context;
    model_free(source->model);
    source->model = NULL;
}

static bool engine_open(void *context, size_t index, int64_t n_ctx_max,
                        const SessionOptions *options, Backend *backend, Err *err)
{
    (void)index;
    EngineSource *source = context;
    return backend_open_engine(backend, source->model, n_ctx_max, options, err);
}

static size_t engine_bytes(void *context, size_t index, int64_t n_ctx_max)
{
    EngineSource *source = context;
    return engine_session_bytes(source->plan, index, n_ctx_max);
}

SweepSource engine_source(EngineSource *source)
{
    return (SweepSource){.load = engine_load,
                         .unload = engine_unload,
                         .open = engine_open,
                         .bytes = engine_bytes,
                         .context = source};
}

/* "host, Linux 6.1 x86_64, 2 cores". */
static char *machine_text(int n_cores)
{
    struct utsname name;
    if (uname(&name) != 0) return str_format("unknown, %d cores", n_cores);
    return str_format("%s, %s %s %s, %d cores", name.nodename, name.sysname, name.release,
                      name.machine, n_cores);
}

bool engine_describe(const Command *command, const Plan *plan, EngineRun *out, Err *err)
{
    const KernelPath *kernels;
    if (!load_kernels(plan->options, &kernels, err)) return false;
    Buf spec = {0};
    cli_write_spec(command, plan->options, &spec);
    *out = (EngineRun){
        .split = engine_split(plan),
        .spec = buf_steal(&spec),
        .version = version_line(),
        .blas = str_format("%s; %s %s", kernels->name, kernels_blas_config(), kernels_blas_core()),
    };
    out->machine = machine_text(out->split.n_jobs * out->split.n_threads);
    out->row = (RunRow){
        .command = plan->options->command_line,
        .spec = out->spec,
        .version = out->version,
        .machine = out->machine,
        .blas = out->blas,
        .n_threads = out->split.n_threads,
        .n_jobs = out->split.n_jobs,
        .limited = plan->options->limit > 0,
    };
    return true;
}

void engine_describe_free(EngineRun *run)
{
    free(run->spec);
    free(run->version);
    free(run->machine);
    free(run->blas);
    *run = (EngineRun){0};
}
