/* Passkey retrieval: is a number that was said once still there n tokens later?
 *
 * A trial is scored three ways from one forward pass over prompt, key and one token more. `forced`: every token of the key is the
 * likeliest. `logp`: the key's log-probability, with the rank of each token. `exact`: the first integer of the greedy
 * continuation equals the key. The forced pass tells the greedy text up to and with the first token that is not the key's,
 * and past the key when there is none; only where that text leaves the first integer open is anything generated.
 * The control repeats the pass with filler in the needle's place: logp with minus without says what the needle was worth.
 *
 * A backend that tells no ranks is asked for the greedy continuation alone: `exact` is then all that a cell has.
 *
 * Prompts of one cell share everything before the needle, so they run one after the other; the controls share all but the
 * answer and come last. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "datasets/haystack.h"
#include "harness/probe.h"

enum { FILLER_LINE, FILLER_TEXT };
enum { PREFACE_YES };

static const ProbeParam params[] = {
    {.key = "trials",                                                                               .default_text = "4", .low = 1, .high = 10000, .help = "keys a depth"},
    {.key = "depths",
     .default_text = "10",
     .low = 1,
     .high = PROBE_MAX_DEPTHS,
     .help = "places of the needle, evenly spread from the start (0) to the end (1) of the filler"},
    {.key = "digits",
     .default_text = "5",
     .low = 1,
     .high = HAYSTACK_MAX_DIGITS,
     .help = "width of the key"},
    {.key = "filler",
     .default_text = "line",
     .choices = "line text",
     .help = "one repeated line, or the corpus"},
    {.key = "preface",
     .default_text = "yes",
     .choices = "yes no",
     .help = "whether a first line announces the key"},
    {.key = "bos",
     .default_text = "auto",
     .choices = PROBE_BOS_CHOICES,
     .help = "whether prompts start with BOS; auto: as the model was trained"},
    {.key = NULL                                                                              },
};

static const ProbeMetric metrics[] = {
    {"passkey_exact",                                           "fraction", 1, true,
     "keys that the first integer of the greedy answer equals"},
    {"passkey_forced",                                                        "fraction", 1, true, "keys each of whose tokens is the likeliest"},
    {"passkey_logp", "nats", 1, false, "log-probability of the key"},
    {"passkey_logp_gain",                                          "nats", 1, false, "logp with the needle minus logp without"},
    {"passkey_rank",                                                        "rank", -1, false, "mean rank of the key's tokens; 0 is the likeliest"},
    {.name = NULL            },
};

static bool uses_corpus(const ProbeSpec *spec)
{
    return probe_value(spec, "filler") == FILLER_TEXT;
}

static size_t plan(const ProbeSpec *spec, double depths[PROBE_MAX_DEPTHS])
{
    size_t n = (size_t)probe_value(spec, "depths");
    for (size_t i = 0; i < n; i++)
        depths[i] = n == 1 ? 0.5 : (double)i / (double)(n - 1);
    return n;
}

static Haystack *open_haystack(const ProbeInput *input, const Backend *backend, Err *err)
{
    HaystackOptions options = {
        .seed = input->seed,
        .n_digits = (int)probe_value(input->spec, "digits"),
        .with_bos = probe_with_bos(input->spec, backend),
        .with_preface = probe_value(input->spec, "preface") == PREFACE_YES,
        .text = uses_corpus(input->spec) ? input->corpus : NULL,
    };
    return haystack_open(&options, backend, err);
}

static CellStatus check(const ProbeInput *input, int64_t n_ctx, char why[PROBE_WHY_SIZE])
{
    Err err = {0};
    Haystack *haystack = open_haystack(input, input->text, &err);
    if (!haystack) {
        snprintf(why, PROBE_WHY_SIZE, "%.200s", err.text);
        return err.code == ERR_UNSUPPORTED ? CELL_UNSUPPORTED : CELL_FAILED;
    }
    int64_t smallest = haystack_min_n_ctx(haystack);
    haystack_close(haystack);
    if (n_ctx >= smallest) return CELL_PENDING;
    snprintf(why, PROBE_WHY_SIZE,
             "n_ctx %lld does not hold needle, question and answer, which take %lld tokens",
             (long long)n_ctx, (long long)smallest);
    return CELL_INVALID;
}

static void measure(ProbeInput *input)
{
    Err unused;
    Haystack *haystack = open_haystack(input, input->text, &unused);
    if (!haystack) return;
    input->n_lead = haystack_lead(haystack);
    input->n_fixed = haystack_min_n_ctx(haystack);
    haystack_close(haystack);
}

/* Adds times passes over rows first … end-1 of a prompt. */
static void add_rows(ProbeCost *cost, double times, double first, double end)
{
    cost->n_tokens += llround(times * (end - first));
    cost->n_pairs += times * (end * end - first * first) / 2.0;
}

/* A trial computes what is behind its needle, the first control what is behind the first trial's, the others their answer; the first
 * trial also what is before it where the timeline does not hold it. */
static ProbeCost cost(const ProbeInput *input, int64_t n_ctx, double depth, int64_t n_ctx_before)
{
    double trials = (double)probe_limited(input, probe_value(input->spec, "trials"));
    double end = (double)n_ctx - 1.0, n_answer = (double)probe_value(input->spec, "digits") + 1.0;
    double before = (double)input->n_lead + depth * fmax(0.0, (double)(n_ctx - input->n_fixed));
    ProbeCost sum = {.n_scored = llround(2.0 * trials * n_answer),
                     .n_passes = llround(2.0 * trials)};
    if (input->no_reuse) {
        add_rows(&sum, trials * (2.0 * n_answer + 1.0), 0.0, end);
        sum.n_scored = sum.n_tokens;
        sum.n_passes = llround(trials * (2.0 * n_answer + 1.0));
        return sum;
    }
    if (n_ctx_before == 0) add_rows(&sum, 1.0, 0.0, before);
    add_rows(&sum, trials + 1.0, before, end);
    add_rows(&sum, trials - 1.0, end - n_answer, end);
    return sum;
}

/* What a cell's trials are run with, and what they add up to. */
typedef struct {
    Haystack *haystack;
    Backend *backend;
    ProbeResult *result;
    bool one_by_one; /* nothing of an answer is shared between its tokens */
    int64_t n_exact;
    int64_t n_forced;
    ClusterSum *logp; /* one cluster a trial, here and below */
    ClusterSum *gain;
    ClusterSum *rank;
} Tally;

/* Scores these rows, given every token up to the one behind the last of them, into scores[rows.n]. *bad is the first that is not finite, or -1. */
static bool score_rows(const Tally *tally, const int32_t *tokens, TokenSpan rows,
                       TokenScore *scores, int64_t *bad, Err *err)
{
    int64_t n = rows.first + rows.n + 1;
    uint8_t *want = mem_zalloc((size_t)n, 1);
    TokenScore *out = mem_zalloc((size_t)n, sizeof *out);
    memset(want + rows.first, 1, (size_t)rows.n);
    bool ok = backend_score(tally->backend, tokens, n, want, out, err);
    *bad = ok ? token_scores_nonfinite(out, want, n - 1) : -1;
    if (ok) memcpy(scores, out + rows.first, (size_t)rows.n * sizeof *scores);
    free(want);
    free(out);
    return ok;
}

/* The forced pass: the key's tokens and the one after, in one pass or, without reuse, in one for each. scores: n_answer + 1 entries.
 * *finite is false when the cell was ended for a number that is not. */
static bool score_answer(Tally *tally, int64_t trial, const HaystackPrompt *prompt,
                         TokenScore *scores, bool *finite, Err *err)
{
    int64_t n = (int64_t)prompt->tokens.n + 1, first = prompt->n_prompt - 1;
    int64_t n_rows = prompt->n_answer + 1, step = tally->one_by_one ? 1 : n_rows, bad = -1;
    int32_t *tokens = mem_alloc((size_t)n, sizeof *tokens);
    memcpy(tokens, prompt->tokens.ids, prompt->tokens.n * sizeof *tokens);
    tokens[n - 1] = tokens[n - 2]; /* any token: only what is likeliest in its place matters */
    bool ok = true;
    for (int64_t i = 0; ok && bad < 0 && i < n_rows; i += step)
        ok = score_rows(tally, tokens, (TokenSpan){first + i, step}, scores + i, &bad, err);
    *finite = bad < 0;
    if (ok && bad >= 0)
        probe_end(tally->result, CELL_NONFINITE,
                  "trial %lld: the prediction of the token at position %lld is not finite",
                  (long long)trial, (long long)bad + 1);
    free(tokens);
    return ok;
}

static double key_logp(const TokenScore *scores, int64_t n_answer)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n_answer; i++)
        sum -= scores[i].nll;
    return sum;
}

/* Number of the key's leading tokens that are the likeliest. */
static int64_t count_leading(const HaystackPrompt *prompt, const TokenScore *scores)
{
    int64_t n = 0;
    while (n < prompt->n_answer && scores[n].argmax == prompt->tokens.ids[prompt->n_prompt + n])
        n++;
    return n;
}

/* Greedy text up to and with the first token that is not the key's: as the forced pass shows it or, without reuse, as it is
 * generated. */
static bool read_forced_text(const Tally *tally, const HaystackPrompt *prompt,
                             const TokenScore *scores, Buf *text, Err *err)
{
    int64_t n = count_leading(prompt, scores);
    TokenList ids = {0};
    bool ok = true;
    if (tally->one_by_one) {
        ok = backend_generate(tally->backend, prompt->tokens.ids, prompt->n_prompt, n + 1, &ids,
                              err);
    } else {
        token_list_append(&ids, prompt->tokens.ids + prompt->n_prompt, (size_t)n);
        token_list_add(&ids, scores[n].argmax);
    }
    if (ok) backend_decode(tally->backend, ids.ids, ids.n, false, text);
    token_list_free(&ids);
    return ok;
}

static bool generate_text(const Tally *tally, const HaystackPrompt *prompt, Buf *text, Err *err)
{
    TokenList ids = {0};
    buf_clear(text);
    bool ok = backend_generate(tally->backend, prompt->tokens.ids, prompt->n_prompt,
                               haystack_answer_budget(tally->haystack), &ids, err);
    if (ok) backend_decode(tally->backend, ids.ids, ids.n, false, text);
    token_list_free(&ids);
    return ok;
}

static const char *keep_escaped(ProbeResult *result, const Buf *text)
{
    char escaped[4 * 64];
    str_escape(text->data ? text->data : "", text->len, escaped, sizeof escaped);
    return probe_keep(result, str_dup(escaped));
}

static const char *keep_prompt_hash(ProbeResult *result, const HaystackPrompt *prompt)
{
    char hex[HASH_HEX_SIZE];
    hash_bytes(prompt->tokens.ids, (size_t)prompt->n_prompt * sizeof(int32_t), hex);
    return probe_keep(result, str_dup(hex));
}

/* What greedy generation says, where that is all that a backend can tell. */
static bool run_trial_by_text(Tally *tally, int64_t trial, const HaystackPrompt *prompt, Err *err)
{
    Buf text = {0};
    bool ok = generate_text(tally, prompt, &text, err);
    if (ok) {
        bool hit = haystack_judge(buf_text(&text), prompt->key, true) == ANSWER_HIT;
        const Trial row = {
            .index = trial,
            .cluster = trial,
            .n_prompt_tokens = prompt->n_prompt,
            .needle_first = prompt->needle_first,
            .prompt_hash = keep_prompt_hash(tally->result, prompt),
            .expected = probe_keep(tally->result, str_dup(prompt->key)),
            .answer = keep_escaped(tally->result, &text),
            .exact = hit,
            .forced = -1,
            .logp = (double)NAN,
            .logp_control = (double)NAN,
        };
        probe_add_trial(tally->result, &row);
        tally->n_exact += hit;
    }
    buf_free(&text);
    return ok;
}

static bool judge_answer(const Tally *tally, const HaystackPrompt *prompt, const TokenScore *scores,
                         Buf *text, bool *hit, Err *err)
{
    if (!read_forced_text(tally, prompt, scores, text, err)) return false;
    AnswerVerdict verdict = haystack_judge(buf_text(text), prompt->key, false);
    if (verdict == ANSWER_OPEN) {
        if (!generate_text(tally, prompt, text, err)) return false;
        verdict = haystack_judge(buf_text(text), prompt->key, true);
    }
    *hit = verdict == ANSWER_HIT;
    return true;
}

static const char *keep_ranks(ProbeResult *result, const TokenScore *scores, int64_t n)
{
    Buf ranks = {0};
    for (int64_t i = 0; i < n; i++)
        buf_printf(&ranks, "%s%d", i ? " " : "", scores[i].rank);
    return probe_keep(result, buf_steal(&ranks));
}

/* Adds a scored trial to the result and to the sums. */
static void add_trial(Tally *tally, int64_t trial, const HaystackPrompt *prompt,
                      const TokenScore *scores, Trial *row)
{
    int64_t n = prompt->n_answer;
    double logp = key_logp(scores, n);
    row->index = row->cluster = trial;
    row->n_prompt_tokens = prompt->n_prompt;
    row->n_scored = n;
    row->nll = -logp;
    row->needle_first = prompt->needle_first;
    row->prompt_hash = keep_prompt_hash(tally->result, prompt);
    row->expected = probe_keep(tally->result, str_dup(prompt->key));
    row->forced = count_leading(prompt, scores) == n;
    row->logp = logp;
    row->logp_control = (double)NAN;
    row->ranks = keep_ranks(tally->result, scores, n);
    probe_add_trial(tally->result, row);
    tally->n_exact += row->exact;
    tally->n_forced += row->forced;
    tally->logp[trial] = (ClusterSum){.sum = logp, .n = 1};
    for (int64_t i = 0; i < n; i++)
        tally->rank[trial].sum += scores[i].rank;
    tally->rank[trial].n = n;
}

static bool run_trial_by_score(Tally *tally, int64_t trial, const HaystackPrompt *prompt,
                               bool *finite, Err *err)
{
    TokenScore scores[HAYSTACK_MAX_DIGITS + 1] = {0};
    Buf text = {0};
    bool hit = false;
    bool ok = score_answer(tally, trial, prompt, scores, finite, err) &&
              (!*finite || judge_answer(tally, prompt, scores, &text, &hit, err));
    if (ok && *finite) {
        Trial row = {.exact = hit, .answer = keep_escaped(tally->result, &text)};
        add_trial(tally, trial, prompt, scores, &row);
    }
    buf_free(&text);
    return ok;
}

static bool run_trial(Tally *tally, HaystackAsk ask, bool *finite, Err *err)
{
    HaystackPrompt prompt;
    if (!haystack_build(tally->haystack, &ask, &prompt, err)) return false;
    bool ok = tally->backend->by_text ? run_trial_by_text(tally, ask.trial, &prompt, err)
                                      : run_trial_by_score(tally, ask.trial, &prompt, finite, err);
    haystack_prompt_free(&prompt);
    return ok;
}

static bool run_control(Tally *tally, HaystackAsk ask, bool *finite, Err *err)
{
    HaystackPrompt prompt;
    ask.is_control = true;
    if (!haystack_build(tally->haystack, &ask, &prompt, err)) return false;
    TokenScore scores[HAYSTACK_MAX_DIGITS + 1] = {0};
    bool ok = score_answer(tally, ask.trial, &prompt, scores, finite, err);
    if (ok && *finite) {
        Trial *row = &tally->result->cell.trials[ask.trial];
        row->logp_control = key_logp(scores, prompt.n_answer);
        tally->gain[ask.trial] = (ClusterSum){.sum = row->logp - row->logp_control, .n = 1};
    }
    haystack_prompt_free(&prompt);
    return ok;
}

/* Needle prompts first, then controls, which are nothing but scored; stops early when a number is not finite. */
static bool run_trials(Tally *tally, HaystackAsk ask, int64_t n_trials, bool *finite, Err *err)
{
    bool ok = true;
    for (ask.trial = 0; ok && *finite && ask.trial < n_trials; ask.trial++)
        ok = run_trial(tally, ask, finite, err);
    for (ask.trial = 0; ok && *finite && !tally->backend->by_text && ask.trial < n_trials;
         ask.trial++)
        ok = run_control(tally, ask, finite, err);
    return ok;
}

static void add_metrics(const Tally *tally, int64_t n_trials)
{
    size_t n = (size_t)n_trials;
    const Metric rows[] = {
        probe_fraction("passkey_exact", tally->n_exact, n_trials),
        probe_fraction("passkey_forced", tally->n_forced, n_trials),
        probe_mean("passkey_logp", tally->logp, n),
        probe_mean("passkey_logp_gain", tally->gain, n),
        probe_mean("passkey_rank", tally->rank, n),
    };
    size_t n_rows = tally->backend->by_text ? 1 : COUNT_OF(rows);
    for (size_t i = 0; i < n_rows; i++)
        probe_add_metric(tally->result, &probe_passkey, &rows[i]);
    tally->result->cell.status = CELL_DONE;
}

static bool run(const ProbeInput *input, int64_t n_ctx, double depth, Backend *backend,
                ProbeResult *result, Err *err)
{
    char why[PROBE_WHY_SIZE];
    CellStatus status = check(input, n_ctx, why);
    if (status != CELL_PENDING) return probe_end(result, status, "%s", why);
    int64_t n_trials = probe_limited(input, probe_value(input->spec, "trials"));
    Tally tally = {
        .haystack = open_haystack(input, backend, err),
        .backend = backend,
        .result = result,
        .one_by_one = input->no_reuse,
        .logp = mem_zalloc((size_t)n_trials, sizeof(ClusterSum)),
        .gain = mem_zalloc((size_t)n_trials, sizeof(ClusterSum)),
        .rank = mem_zalloc((size_t)n_trials, sizeof(ClusterSum)),
    };
    bool finite = true;
    HaystackAsk ask = {.n_ctx = n_ctx, .depth = depth};
    bool ok = tally.haystack && run_trials(&tally, ask, n_trials, &finite, err);
    if (ok && finite) add_metrics(&tally, n_trials);
    haystack_close(tally.haystack);
    free(tally.logp);
    free(tally.gain);
    free(tally.rank);
    return ok;
}

const Probe probe_passkey = {
    .name = "passkey",
    .help = "retrieve a number hidden in filler, at depths of 0 to 1",
    .params = params,
    .metrics = metrics,
    .version = 1, /* 0 asked for keys of any class */
    .uses_corpus = uses_corpus,
    .plan = plan,
    .check = check,
    .measure = measure,
    .cost = cost,
    .run = run,
};
