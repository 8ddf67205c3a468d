#include "harness/probe.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

const Probe *const probes[] = {&probe_passkey, &probe_perplexity, NULL};

bool probe_is_headline(const char *probe, const char *metric)
{
    const Probe *row = probe_find(probe);
    for (const ProbeMetric *m = row ? row->metrics : NULL; m && m->name; m++)
        if (str_equal(m->name, metric)) return m->headline;
    return false;
}

const Probe *probe_find(const char *name)
{
    for (const Probe *const *probe = probes; *probe; probe++)
        if (str_equal((*probe)->name, name)) return *probe;
    return NULL;
}

/* Index of a word in a list parted by blanks, -1 when it is not there. */
static int word_index(const char *list, const char *word, size_t n)
{
    for (int i = 0; *list; i++) {
        size_t length = strcspn(list, " ");
        if (length == n && memcmp(list, word, n) == 0) return i;
        list += length + strspn(list + length, " ");
    }
    return -1;
}

static const char *find_word(const char *list, int64_t index, int *n)
{
    for (; index > 0; index--) {
        list += strcspn(list, " ");
        list += strspn(list, " ");
    }
    *n = (int)strcspn(list, " ");
    return list;
}

static int find_param(const Probe *probe, const char *key)
{
    for (int i = 0; probe->params[i].key; i++)
        if (str_equal(probe->params[i].key, key)) return i;
    return -1;
}

static bool set_param(ProbeSpec *spec, int i, const char *text, Err *err)
{
    const ProbeParam *param = &spec->probe->params[i];
    if (param->choices) {
        spec->value[i] = word_index(param->choices, text, strlen(text));
        if (spec->value[i] >= 0) return true;
        return err_set(err, ERR_USAGE, "probe %s: %s=%s: allowed are %s", spec->probe->name,
                       param->key, text, param->choices);
    }
    if (str_to_size(text, &spec->value[i]) && spec->value[i] >= param->low &&
        spec->value[i] <= param->high)
        return true;
    return err_set(err, ERR_USAGE, "probe %s: %s=%s: allowed are whole numbers from %lld to %lld",
                   spec->probe->name, param->key, text, (long long)param->low,
                   (long long)param->high);
}

/* Whether the first parameter's value makes the probe read parameter i. */
static bool is_read(const ProbeSpec *spec, int i)
{
    const ProbeParam *params = spec->probe->params;
    if (!params[i].only_for) return true;
    int n;
    const char *word = find_word(params[0].choices, spec->value[0], &n);
    return word_index(params[i].only_for, word, (size_t)n) >= 0;
}

static bool no_such_param(const Probe *probe, const char *key, Err *err)
{
    Buf keys = {0};
    for (const ProbeParam *param = probe->params; param->key; param++)
        buf_printf(&keys, "%s%s", keys.len ? ", " : "", param->key);
    err_set(err, ERR_USAGE, "probe %s has no parameter \"%s\"; it has %s", probe->name, key,
            buf_text(&keys));
    buf_free(&keys);
    return false;
}

/* Reads one "key=value" and notes in *given that it was there. */
static bool read_pair(ProbeSpec *spec, char *pair, unsigned *given, Err *err)
{
    char *equals = strchr(pair, '=');
    if (!equals)
        return err_set(err, ERR_USAGE, "probe %s: \"%s\" is not key=value", spec->probe->name,
                       pair);
    *equals = '\0';
    int i = find_param(spec->probe, pair);
    if (i < 0) return no_such_param(spec->probe, pair, err);
    *given |= 1U << i;
    return set_param(spec, i, equals + 1, err);
}

static bool read_pairs(ProbeSpec *spec, char *text, Err *err)
{
    unsigned given = 0;
    for (char *at = text, *next; at && *at; at = next) {
        next = strchr(at, ',');
        if (next) *next++ = '\0';
        if (!read_pair(spec, at, &given, err)) return false;
    }
    for (int i = 0; spec->probe->params[i].key; i++)
        if (given >> i & 1U && !is_read(spec, i))
            return err_set(err, ERR_USAGE, "probe %s: %s is read only where %s is one of: %s",
                           spec->probe->name, spec->probe->params[i].key,
                           spec->probe->params[0].key, spec->probe->params[i].only_for);
    return true;
}

static bool no_such_probe(const char *name, Err *err)
{
    Buf names = {0};
    for (const Probe *const *probe = probes; *probe; probe++)
        buf_printf(&names, "%s%s", names.len ? ", " : "", (*probe)->name);
    err_set(err, ERR_USAGE, "there is no probe \"%s\"; there are %s", name, buf_text(&names));
    buf_free(&names);
    return false;
}

bool probe_spec_parse(const char *text, ProbeSpec *spec, Err *err)
{
    char *copy = str_dup(text);
    char *colon = strchr(copy, ':');
    if (colon) *colon = '\0';
    *spec = (ProbeSpec){.probe = probe_find(copy)};
    bool ok = spec->probe || no_such_probe(copy, err);
    for (int i = 0; ok && spec->probe->params[i].key; i++)
        ok = set_param(spec, i, spec->probe->params[i].default_text, err);
    ok = ok && (!colon || read_pairs(spec, colon + 1, err));
    free(copy);
    return ok;
}

int64_t probe_value(const ProbeSpec *spec, const char *key)
{
    int i = find_param(spec->probe, key);
    assert(i >= 0);
    return spec->value[i];
}

static void append_value(const ProbeSpec *spec, int i, Buf *out)
{
    const ProbeParam *param = &spec->probe->params[i];
    if (!param->choices) {
        buf_printf(out, "%lld", (long long)spec->value[i]);
        return;
    }
    int n;
    const char *word = find_word(param->choices, spec->value[i], &n);
    buf_append(out, word, (size_t)n);
}

void probe_spec_text(const ProbeSpec *spec, Buf *out)
{
    const char *comma = "";
    for (int i = 0; spec->probe->params[i].key; i++) {
        if (!is_read(spec, i)) continue;
        buf_printf(out, "%s%s=", comma, spec->probe->params[i].key);
        append_value(spec, i, out);
        comma = ",";
    }
}

char *probe_protocol(const ProbeSpec *spec)
{
    Buf out = {0};
    int i = find_param(spec->probe, "protocol");
    if (i >= 0)
        append_value(spec, i, &out);
    else
        buf_puts(&out, spec->probe->name);
    return buf_steal(&out);
}

bool probe_with_bos(const ProbeSpec *spec, const Backend *text)
{
    int64_t bos = probe_value(spec, "bos");
    return bos == PROBE_BOS_ALWAYS ||
           (bos == PROBE_BOS_AUTO && text->adds_bos && text->bos_id >= 0);
}

int64_t probe_limited(const ProbeInput *input, int64_t n)
{
    return input->limit > 0 ? min_i64(n, input->limit) : n;
}

const char *probe_keep(ProbeResult *result, char *owned)
{
    result->strings = mem_realloc(result->strings, result->n_strings + 1, sizeof *result->strings);
    return result->strings[result->n_strings++] = owned;
}

bool probe_end(ProbeResult *result, CellStatus status, const char *format, ...)
{
    char text[ERR_TEXT_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    result->cell.status = status;
    result->cell.message = probe_keep(result, str_dup(text));
    return true;
}

void probe_add_metric(ProbeResult *result, const Probe *probe, const Metric *metric)
{
    const ProbeMetric *row = probe->metrics;
    while (row->name && !str_equal(row->name, metric->name))
        row++;
    assert(row->name);
    CellResult *cell = &result->cell;
    cell->metrics = mem_realloc(cell->metrics, cell->n_metrics + 1, sizeof *cell->metrics);
    Metric *added = &cell->metrics[cell->n_metrics++];
    *added = *metric;
    added->name = row->name;
    added->unit = row->unit;
    added->direction = row->direction;
}

Metric probe_fraction(const char *name, int64_t k, int64_t n)
{
    Interval interval = stats_wilson(k, n);
    return (Metric){
        .name = name,
        .value = (double)k / (double)n,
        .n = n,
        .ci_low = interval.low,
        .ci_high = interval.high,
        .ci_method = "wilson95",
    };
}

Metric probe_mean(const char *name, const ClusterSum *clusters, size_t n_clusters)
{
    double mean, se;
    int64_t n = 0;
    stats_clustered_mean(clusters, n_clusters, &mean, &se);
    for (size_t i = 0; i < n_clusters; i++)
        n += clusters[i].n;
    double half = isnan(se) ? se : se * stats_t95((int64_t)n_clusters - 1);
    return (Metric){
        .name = name,
        .value = mean,
        .n = n,
        .ci_low = mean - half,
        .ci_high = mean + half,
        .ci_method = isnan(se) ? "none: fewer than 10 clusters" : "clustered-t95",
    };
}

void probe_add_trial(ProbeResult *result, const Trial *trial)
{
    CellResult *cell = &result->cell;
    cell->trials = mem_realloc(cell->trials, cell->n_trials + 1, sizeof *cell->trials);
    cell->trials[cell->n_trials++] = *trial;
}

void probe_add_position(ProbeResult *result, const PositionNll *position)
{
    CellResult *cell = &result->cell;
    cell->positions = mem_realloc(cell->positions, cell->n_positions + 1, sizeof *cell->positions);
    cell->positions[cell->n_positions++] = *position;
}

void probe_add_reply(ProbeResult *result, const ReplyRow *reply)
{
    CellResult *cell = &result->cell;
    cell->replies = mem_realloc(cell->replies, cell->n_replies + 1, sizeof *cell->replies);
    cell->replies[cell->n_replies++] =
        (ReplyRow){.model = probe_keep(result, str_dup(reply->model)),
                   .system = probe_keep(result, str_dup(reply->system)),
                   .n = reply->n};
}

void probe_result_free(ProbeResult *result)
{
    for (size_t i = 0; i < result->n_strings; i++)
        free(result->strings[i]);
    free(result->strings);
    free(result->cell.metrics);
    free(result->cell.trials);
    free(result->cell.positions);
    free(result->cell.replies);
    *result = (ProbeResult){0};
}
