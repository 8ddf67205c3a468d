/* Perplexity: how well does a model predict a text with n_ctx tokens at most before each token?
 *
 * harness/windows.c says which tokens are scored; here they are scored and averaged. Every mean is Σ nll over Σ tokens, never a mean
 * of window means; perplexity is its exponential and bits per byte the same sum over bytes. The sampling unit of
 * the interval is a cluster: a document where the corpus has at least 20, else a block of text as long as the longest window. A window
 * counts for the cluster in which its first scored token stands.
 *
 * nll by position goes into 24 buckets, half an octave each from position 16 on and the same at every n_ctx, by 32 groups of
 * neighbouring clusters. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "harness/probe.h"
#include "harness/windows.h"

enum { MIN_DOCUMENTS = 20, N_GROUPS = 32 };

static const int64_t bucket_first[] = {0,    16,   23,   32,   45,    64,    91,    128,
                                       181,  256,  362,  512,  724,   1024,  1448,  2048,
                                       2896, 4096, 5793, 8192, 11585, 16384, 23170, 32768};
enum { N_BUCKETS = COUNT_OF(bucket_first) };

static const ProbeParam params[] = {
    {.key = "protocol",
     .default_text = "target",
     .choices = PROTOCOL_NAMES,
     .help = "which tokens are scored with what before them"},
    {.key = "k",
     .default_text = "256",
     .low = 1,
     .high = 1 << 20,
     .only_for = "target",
     .help = "tokens scored a window, the same at every n_ctx"},
    {.key = "windows",
     .default_text = "16",
     .low = 1,
     .high = 100000,
     .only_for = "target",
     .help = "windows, spread evenly over the text"},
    {.key = "documents",
     .default_text = "64",
     .low = 1,
     .high = 1000000,
     .only_for = "truncated",
     .help = "most documents"},
    {.key = "stride",
     .default_text = "256",
     .low = 1,
     .high = 1 << 20,
     .only_for = "sliding",
     .help = "tokens between the ends of windows"},
    {.key = "max_tokens",
     .default_text = "16k",
     .low = 0,
     .high = INT64_C(1) << 40,
     .only_for = "disjoint sliding half-chunk",
     .help = "most tokens of text; 0: all"},
    {.key = "bos",
     .default_text = "auto",
     .choices = PROBE_BOS_CHOICES,
     .help = "whether windows start with BOS; auto: as the model was trained"},
    {.key = NULL                                                 },
};

static const ProbeMetric metrics[] = {
    {"nll",                                      "nats/token", -1, true, "mean negative log-likelihood of a token"},
    {"perplexity",                                        "perplexity", -1, false, "exp(nll)"},
    {"bits_per_byte", "bits/byte", -1, false, "nll over the bytes that the tokens spell, base 2"},
    {.name = NULL                              },
};

static bool uses_corpus(const ProbeSpec *spec)
{
    (void)spec;
    return true;
}

static size_t plan(const ProbeSpec *spec, double depths[PROBE_MAX_DEPTHS])
{
    (void)spec;
    depths[0] = (double)NAN;
    return 1;
}

static WindowLayout make_layout(const ProbeInput *input, int64_t n_ctx)
{
    const ProbeSpec *spec = input->spec;
    return (WindowLayout){
        .protocol = (Protocol)probe_value(spec, "protocol"),
        .n_ctx = n_ctx,
        .with_bos = probe_with_bos(spec, input->text),
        .target_max = input->target_max,
        .k = probe_value(spec, "k"),
        .n_windows = probe_value(spec, "windows"),
        .n_documents = probe_value(spec, "documents"),
        .stride = probe_value(spec, "stride"),
        .max_tokens = probe_value(spec, "max_tokens"),
    };
}

/* Lays the windows out and keeps as many as the limit allows. */
static CellStatus lay_out(const ProbeInput *input, int64_t n_ctx, WindowList *windows,
                          char why[PROBE_WHY_SIZE])
{
    *windows = (WindowList){0};
    if (!input->corpus) {
        snprintf(why, PROBE_WHY_SIZE, "the model has no usable tokenizer to read the corpus with");
        return CELL_UNSUPPORTED;
    }
    WindowLayout layout = make_layout(input, n_ctx);
    if (layout.with_bos && input->text->bos_id < 0) {
        snprintf(why, PROBE_WHY_SIZE, "bos=always: the model's tokenizer has no BOS token");
        return CELL_UNSUPPORTED;
    }
    CellStatus status = windows_lay_out(&layout, input->corpus, windows, why);
    windows->n = (size_t)probe_limited(input, (int64_t)windows->n);
    return status;
}

static CellStatus check(const ProbeInput *input, int64_t n_ctx, char why[PROBE_WHY_SIZE])
{
    WindowList windows;
    CellStatus status = lay_out(input, n_ctx, &windows, why);
    windows_free(&windows);
    return status;
}

/* Windows of `truncated` begin with their documents at every length; windows else have nothing in common. */
static size_t kept_bytes(const ProbeInput *input, int64_t n_ctx)
{
    if (probe_value(input->spec, "protocol") != PROTOCOL_TRUNCATED) return 0;
    char why[PROBE_WHY_SIZE];
    WindowList windows;
    lay_out(input, n_ctx, &windows, why);
    size_t bytes = windows.n * backend_kept_bytes(n_ctx);
    windows_free(&windows);
    return bytes;
}

static ProbeCost cost(const ProbeInput *input, int64_t n_ctx, double depth, int64_t n_ctx_before)
{
    (void)depth;
    char why[PROBE_WHY_SIZE];
    WindowList windows;
    ProbeCost sum = {0};
    if (input->is_kept && n_ctx_before >= n_ctx) return sum;
    lay_out(input, n_ctx, &windows, why);
    for (size_t i = 0; i < windows.n; i++) {
        const Window *window = &windows.items[i];
        int64_t n = window_n_tokens(window, probe_with_bos(input->spec, input->text)) - 1;
        int64_t n_scored = input->no_reuse ? n : window->end - window->score_first;
        sum.n_tokens += n;
        sum.n_pairs += (double)n * (double)n / 2.0;
        sum.n_scored += n_scored;
        sum.n_passes++;
    }
    windows_free(&windows);
    return sum;
}

/* The cluster that a window counts for, numbered from 0 in the order of the text; window_cluster[w] for each window. */
static size_t number_clusters(const ProbeInput *input, int64_t n_ctx, const WindowList *windows,
                              int64_t *window_cluster)
{
    bool by_document = input->corpus->n_documents >= MIN_DOCUMENTS;
    int64_t block = max_i64(n_ctx, input->target_max), last = -1, n = 0;
    for (size_t w = 0; w < windows->n; w++) {
        int64_t at = windows->items[w].score_first;
        int64_t id = by_document ? corpus_document_of(input->corpus, at) : at / block;
        if (w == 0 || id != last) n++;
        last = id;
        window_cluster[w] = n - 1;
    }
    return (size_t)n;
}

/* Sums of a cell. */
typedef struct {
    const ProbeInput *input;
    Backend *backend;
    ProbeResult *result;
    bool with_bos;
    const WindowList *windows;
    int64_t *window_cluster; /* [windows->n] */
    size_t n_clusters;
    ClusterSum *by_token; /* [n_clusters] */
    ClusterSum *by_byte;  /* [n_clusters] */
    PositionNll *cells;   /* [N_BUCKETS][N_GROUPS] */
} Tally;

static int bucket_of(int64_t position)
{
    int bucket = N_BUCKETS - 1;
    while (bucket_first[bucket] > position)
        bucket--;
    return bucket;
}

/* Neighbouring clusters share a group where there are more than N_GROUPS of them. */
static int group_of(const Tally *tally, int64_t cluster)
{
    int64_t n = (int64_t)tally->n_clusters;
    return (int)(n > N_GROUPS ? cluster * N_GROUPS / n : cluster);
}

static void add_position(Tally *tally, int64_t position, int64_t cluster, double nll)
{
    int bucket = bucket_of(position), group = group_of(tally, cluster);
    PositionNll *cell = &tally->cells[bucket * N_GROUPS + group];
    if (cell->n == 0) *cell = (PositionNll){.bucket = bucket, .cluster = group, .first = position};
    cell->first = min_i64(cell->first, position);
    cell->last = max_i64(cell->last, position);
    cell->n++;
    cell->sum += nll;
    cell->sum_squares += nll * nll;
}

static int32_t *window_tokens(const Tally *tally, const Window *window, int64_t n)
{
    int32_t *tokens = mem_alloc((size_t)n, sizeof *tokens);
    if (tally->with_bos) tokens[0] = tally->input->text->bos_id;
    memcpy(tokens + tally->with_bos, tally->input->corpus->tokens + window->first,
           (size_t)(window->end - window->first) * sizeof *tokens);
    return tokens;
}

/* Adds the scores of rows n - n_scored - 1 … n - 2 to every sum. */
static void add_window(Tally *tally, size_t w, int64_t n, const TokenScore *scores)
{
    const Window *window = &tally->windows->items[w];
    int64_t n_scored = window->end - window->score_first, cluster = tally->window_cluster[w];
    double sum = 0.0;
    for (int64_t position = n - n_scored; position < n; position++) {
        double nll = scores[position - 1].nll;
        sum += nll;
        add_position(tally, position, cluster, nll);
    }
    Trial row = {
        .index = (int64_t)w,
        .cluster = cluster,
        .n_prompt_tokens = n,
        .n_scored = n_scored,
        .nll = sum,
        .n_bytes =
            corpus_bytes(tally->input->corpus, tally->backend, window->score_first, n_scored),
        .needle_first = -1,
        .exact = -1,
        .forced = -1,
        .logp = (double)NAN,
        .logp_control = (double)NAN,
    };
    probe_add_trial(tally->result, &row);
    tally->by_token[cluster].sum += sum;
    tally->by_token[cluster].n += n_scored;
    tally->by_byte[cluster].sum += sum;
    tally->by_byte[cluster].n += row.n_bytes;
}

static void end_nonfinite(Tally *tally, size_t w, int64_t n, int64_t position)
{
    int64_t token = tally->windows->items[w].end - n + position;
    probe_end(tally->result, CELL_NONFINITE,
              "window %zu: the prediction of position %lld (token %lld of the text) is not finite",
              w, (long long)position, (long long)token);
}

static bool run_window(Tally *tally, size_t w, bool *finite, Err *err)
{
    const Window *window = &tally->windows->items[w];
    int64_t n = window_n_tokens(window, tally->with_bos);
    int64_t n_scored = window->end - window->score_first;
    int32_t *tokens = window_tokens(tally, window, n);
    uint8_t *want = mem_zalloc((size_t)n, 1);
    TokenScore *scores = mem_zalloc((size_t)n, sizeof *scores);
    memset(want + n - n_scored - 1, 1, (size_t)n_scored);
    bool ok = backend_score(tally->backend, tokens, n, want, scores, err);
    int64_t bad = ok ? token_scores_nonfinite(scores, want, n - 1) : -1;
    *finite = bad < 0;
    if (ok && *finite)
        add_window(tally, w, n, scores);
    else if (ok)
        end_nonfinite(tally, w, n, bad + 1);
    free(tokens);
    free(want);
    free(scores);
    return ok;
}

static void add_metrics(const Tally *tally)
{
    Metric nll = probe_mean("nll", tally->by_token, tally->n_clusters);
    Metric perplexity = nll;
    perplexity.name = "perplexity";
    perplexity.value = exp(nll.value);
    perplexity.ci_low = exp(nll.ci_low);
    perplexity.ci_high = exp(nll.ci_high);
    Metric bits = probe_mean("bits_per_byte", tally->by_byte, tally->n_clusters);
    bits.value /= log(2.0);
    bits.ci_low /= log(2.0);
    bits.ci_high /= log(2.0);
    probe_add_metric(tally->result, &probe_perplexity, &nll);
    probe_add_metric(tally->result, &probe_perplexity, &perplexity);
    probe_add_metric(tally->result, &probe_perplexity, &bits);
    for (int i = 0; i < N_BUCKETS * N_GROUPS; i++)
        if (tally->cells[i].n > 0) probe_add_position(tally->result, &tally->cells[i]);
    tally->result->cell.status = CELL_DONE;
}

static bool run_windows(const ProbeInput *input, int64_t n_ctx, const WindowList *windows,
                        Backend *backend, ProbeResult *result, Err *err)
{
    Tally tally = {
        .input = input,
        .backend = backend,
        .result = result,
        .with_bos = probe_with_bos(input->spec, input->text),
        .windows = windows,
        .window_cluster = mem_alloc(windows->n, sizeof(int64_t)),
        .cells = mem_zalloc(N_BUCKETS * N_GROUPS, sizeof(PositionNll)),
    };
    tally.n_clusters = number_clusters(input, n_ctx, windows, tally.window_cluster);
    tally.by_token = mem_zalloc(tally.n_clusters, sizeof(ClusterSum));
    tally.by_byte = mem_zalloc(tally.n_clusters, sizeof(ClusterSum));
    bool ok = true, finite = true;
    for (size_t w = 0; ok && finite && w < windows->n; w++)
        ok = run_window(&tally, w, &finite, err);
    if (ok && finite) add_metrics(&tally);
    free(tally.window_cluster);
    free(tally.cells);
    free(tally.by_token);
    free(tally.by_byte);
    return ok;
}

static bool run(const ProbeInput *input, int64_t n_ctx, double depth, Backend *backend,
                ProbeResult *result, Err *err)
{
    (void)depth;
    char why[PROBE_WHY_SIZE];
    WindowList windows;
    CellStatus status = lay_out(input, n_ctx, &windows, why);
    bool ok = status == CELL_PENDING ? run_windows(input, n_ctx, &windows, backend, result, err)
                                     : probe_end(result, status, "%s", why);
    windows_free(&windows);
    return ok;
}

const Probe probe_perplexity = {
    .name = "perplexity",
    .help = "predict a text, with the protocol named",
    .params = params,
    .metrics = metrics,
    .uses_target_max = true,
    .uses_corpus = uses_corpus,
    .plan = plan,
    .check = check,
    .cost = cost,
    .kept_bytes = kept_bytes,
    .run = run,
};
