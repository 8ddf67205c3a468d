#include "harness/train_measure.h"

#include <math.h>
#include <string.h>

#include "base/str.h"
#include "harness/probe.h"
#include "harness/signals.h"

enum { MEASURE_SEED = 1, MEASURE_TARGET_MAX = 8192 };

/* Sum of one metric over a probe's cells. */
typedef struct {
    const char *name;
    double sum; /* Σ value n */
    double n;
} MetricSum;

static void add_metric(const CellResult *cell, MetricSum *sum)
{
    for (size_t i = 0; i < cell->n_metrics; i++) {
        const Metric *metric = &cell->metrics[i];
        if (!str_equal(metric->name, sum->name)) continue;
        sum->sum += metric->value * (double)metric->n;
        sum->n += (double)metric->n;
    }
}

/* A mean to measure. */
typedef struct {
    const char *probe;
    const char *metric;
    int64_t n_ctx;
} Question;

/* Runs every cell of a probe at one length; *out is the metric's mean, NaN where no cell can be run. */
static bool ask(Question question, ProbeInput *input, Backend *backend, double *out, Err *err)
{
    ProbeSpec spec;
    char why[PROBE_WHY_SIZE];
    double depths[PROBE_MAX_DEPTHS];
    MetricSum sum = {.name = question.metric};
    *out = (double)NAN;
    if (!probe_spec_parse(question.probe, &spec, err)) return false;
    input->spec = &spec;
    if (spec.probe->check(input, question.n_ctx, why) != CELL_PENDING) return true;
    size_t n = spec.probe->plan(&spec, depths);
    for (size_t i = 0; i < n; i++) {
        ProbeResult result = {0};
        bool ok = spec.probe->run(input, question.n_ctx, depths[i], backend, &result, err);
        if (ok) add_metric(&result.cell, &sum);
        probe_result_free(&result);
        if (!ok) return false;
    }
    if (sum.n > 0.0) *out = sum.sum / sum.n;
    return true;
}

static bool ask_all(const Recipe *recipe, const TrainData *data, Backend *backend,
                    TrainMeasures *out, Err *err)
{
    ProbeInput input = {.text = backend,
                        .corpus = data->held_out,
                        .seed = MEASURE_SEED,
                        .target_max = MEASURE_TARGET_MAX};
    int64_t n_ctx = recipe->n_ctx;
    out->held_out = (double)NAN;
    return backend_set_rope(backend, &recipe->rope, n_ctx, err) &&
           (!data->held_out || ask((Question){"perplexity:protocol=disjoint", "nll", n_ctx}, &input,
                                   backend, &out->held_out, err)) &&
           ask((Question){"passkey", "passkey_exact", n_ctx / 2}, &input, backend, &out->half,
               err) &&
           ask((Question){"passkey", "passkey_exact", n_ctx}, &input, backend, &out->full, err);
}

bool train_measure(const char *folder, const Recipe *recipe, const TrainData *data,
                   TrainMeasures *out, Err *err)
{
    /* Tiles of a model that is trained here are too small to share out. */
    SessionOptions session = {.n_threads = 1, .keep_going = signals_keep_going};
    Backend backend;
    Model *model = model_load(folder, err);
    if (!model) return false;
    bool ok = backend_open_engine(&backend, model, recipe->n_ctx + 1, &session, err);
    if (ok) {
        ok = ask_all(recipe, data, &backend, out, err);
        backend_close(&backend);
    }
    model_free(model);
    return ok;
}
