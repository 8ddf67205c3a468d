/* The timeline: which tokens are held, whose keys are valid, which rows were scored.
 *
 * Bits do not depend on history because every number is computed by calls of the same shape on
 * the same place:
 * - chunks of SESSION_CHUNK tokens start at multiples of SESSION_CHUNK; a ragged last one is
 *   padded with zero rows. A row's
 *     slot in every sgemm is its position mod SESSION_CHUNK.
 * - a prefix is kept in whole chunks. A kept chunk whose rows are wanted but were not scored is
 *   computed again,
 *     which writes the keys and values that are there already.
 * - the head computes aligned groups of FORWARD_HEAD_ROWS rows whole. - tokens that generate
 *   adds are computed one row at a time, by calls of another shape; the chunks they touch are
 *   never kept.
 *
 * States of a position:   unknown --chunk--> valid keys --head--> scored A prompt that differs at
 * position p takes everything from the start of p's chunk back to unknown; the score of row p-1
 * goes with it, since its target was token p. */
#include "models/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "models/attention.h"
#include "models/forward.h"
#include "models/kernels.h"

static_assert(SESSION_CHUNK % ATTENTION_TILE == 0, "a chunk covers whole tiles");
static_assert(SESSION_CHUNK % FORWARD_HEAD_ROWS == 0, "a chunk covers whole head groups");

struct Session {
    const Model *model;
    SessionOptions options;
    Forward *forward;
    int64_t n_ctx_max;
    int n_ids; /* ids that count as answers: padding rows of the embedding do not */
    RopeTable rope;
    bool has_rope;
    int32_t *tokens;        /* [n_ctx_max]: the timeline */
    int64_t n_tokens;       /* tokens of it that are known */
    int64_t n_valid;        /* positions with valid keys: a multiple of SESSION_CHUNK */
    int64_t nonfinite_from; /* first position that is not finite; INT64_MAX: none */
    TokenScore *scores;     /* [n_ctx_max]: row i predicts token i + 1 */
    uint8_t *scored;        /* [n_ctx_max] */
    int64_t n_prefilled;
};

static int64_t padded(int64_t n)
{
    return (n + SESSION_CHUNK - 1) / SESSION_CHUNK * SESSION_CHUNK;
}

static size_t timeline_bytes(int64_t n_ctx_max)
{
    return (size_t)n_ctx_max * (sizeof(int32_t) + sizeof(TokenScore) + sizeof(uint8_t));
}

size_t session_bytes(const ModelConfig *config, int64_t n_ctx_max, const RopeTable *table)
{
    return forward_bytes(config, padded(n_ctx_max), SESSION_CHUNK) +
           forward_rope_bytes(config, padded(n_ctx_max), table) + timeline_bytes(n_ctx_max);
}

static int count_ids(const Model *model)
{
    int n = model->config.vocab_size;
    if (model->tokenizer && tokenizer_vocab_size(model->tokenizer) < n)
        n = tokenizer_vocab_size(model->tokenizer);
    return n;
}

Session *session_open(const Model *model, int64_t n_ctx_max, const SessionOptions *options,
                      Err *err)
{
    assert(n_ctx_max > 0);
    int n_threads = options->n_threads > 0 ? options->n_threads : 1;
    Forward *forward = forward_open(model, padded(n_ctx_max), SESSION_CHUNK, n_threads, err);
    if (!forward) return NULL;
    Session *s = mem_zalloc(1, sizeof *s);
    s->model = model;
    s->options = *options;
    s->forward = forward;
    s->n_ctx_max = n_ctx_max;
    s->n_ids = count_ids(model);
    s->nonfinite_from = INT64_MAX;
    s->tokens = mem_zalloc((size_t)n_ctx_max, sizeof *s->tokens);
    s->scores = mem_zalloc((size_t)n_ctx_max, sizeof *s->scores);
    s->scored = mem_zalloc((size_t)n_ctx_max, sizeof *s->scored);
    return s;
}

void session_close(Session *session)
{
    if (!session) return;
    forward_close(session->forward);
    free(session->tokens);
    free(session->scores);
    free(session->scored);
    free(session);
}

int64_t session_n_prefilled(const Session *session)
{
    return session->n_prefilled;
}

/* Forgets everything from position n on, in whole chunks. */
static void truncate_to(Session *s, int64_t n)
{
    int64_t kept = n / SESSION_CHUNK * SESSION_CHUNK;
    if (n < s->n_tokens) s->n_tokens = n;
    if (kept < s->n_valid) s->n_valid = kept;
    if (s->nonfinite_from >= s->n_valid) s->nonfinite_from = INT64_MAX;
    int64_t first_unscored = n > 0 ? n - 1 : 0;
    memset(s->scored + first_unscored, 0, (size_t)(s->n_ctx_max - first_unscored));
}

bool session_set_rope(Session *session, const RopeTable *table, Err *err)
{
    if (session->has_rope && rope_table_equal(table, &session->rope)) return true;
    truncate_to(session, 0);
    session->has_rope = forward_set_rope(session->forward, table, err);
    if (session->has_rope) session->rope = *table;
    return session->has_rope;
}

static bool check_tokens(const Session *s, const int32_t *tokens, int64_t n, Err *err)
{
    if (n < 1) return err_set(err, ERR_INPUT, "no tokens: there is nothing to score");
    if (n > s->n_ctx_max)
        return err_set(err, ERR_INPUT, "%lld tokens do not fit a session of %lld", (long long)n,
                       (long long)s->n_ctx_max);
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= s->model->config.vocab_size)
            return err_set(err, ERR_INPUT,
                           "token id %d at position %lld is outside the vocabulary of %d",
                           tokens[i], (long long)i, s->model->config.vocab_size);
    return true;
}

/* Makes the timeline hold these tokens, keeping what it shares with them. */
static void sync_tokens(Session *s, const int32_t *tokens, int64_t n)
{
    int64_t common = 0;
    while (common < n && common < s->n_tokens && s->tokens[common] == tokens[common])
        common++;
    if (common < s->n_tokens) truncate_to(s, common);
    memcpy(s->tokens + common, tokens + common, (size_t)(n - common) * sizeof *tokens);
    if (n > s->n_tokens) s->n_tokens = n;
}

static bool may_go_on(const Session *s, Err *err)
{
    if (!s->options.keep_going || s->options.keep_going(s->options.context)) return true;
    return err_set(err, ERR_CANCELLED, "stopped on request");
}

/* Computes the chunk that starts at `first`: as many known tokens as it has. */
static bool run_chunk(Session *s, int64_t first, Err *err)
{
    if (!may_go_on(s, err)) return false;
    int n = (int)min_i64(SESSION_CHUNK, s->n_tokens - first);
    int64_t bad = forward_chunk(s->forward, s->tokens + first, first, n, SESSION_CHUNK);
    if (bad >= 0 && bad < s->nonfinite_from) s->nonfinite_from = bad;
    if (n == SESSION_CHUNK && first + n > s->n_valid) s->n_valid = first + n;
    s->n_prefilled += n;
    return true;
}

static int32_t argmax(const float *logits, int n)
{
    int32_t best = 0;
    for (int32_t i = 1; i < n; i++)
        if (logits[i] > logits[best]) best = i;
    return best;
}

static int32_t rank_of(const float *logits, int n, int32_t id)
{
    int32_t rank = 0;
    float own = logits[id];
    for (int32_t i = 0; i < n; i++)
        rank += logits[i] > own || (logits[i] == own && i < id);
    return rank;
}

static TokenScore score_row(const Session *s, const float *logits, int64_t position)
{
    int32_t target = s->tokens[position + 1];
    double lse = kernels_log_sum_exp(logits, s->model->config.vocab_size);
    double nll = lse - (double)logits[target];
    if (position >= s->nonfinite_from || !isfinite(nll))
        return (TokenScore){.nll = (double)NAN, .rank = s->n_ids, .argmax = -1};
    return (TokenScore){nll, rank_of(logits, s->n_ids, target), argmax(logits, s->n_ids)};
}

/* Scores the wanted rows of the chunk at `first`, which was the last to be computed. */
static void score_chunk(Session *s, int64_t first, const uint8_t *want, int64_t n_rows)
{
    size_t vocab_size = (size_t)s->model->config.vocab_size;
    for (int group = 0; group < SESSION_CHUNK; group += FORWARD_HEAD_ROWS) {
        int64_t from = first + group;
        int64_t to = min_i64(from + FORWARD_HEAD_ROWS, n_rows);
        const float *logits = NULL;
        for (int64_t row = from; row < to; row++) {
            if (!want[row]) continue;
            if (!logits) logits = forward_head(s->forward, group, FORWARD_HEAD_ROWS);
            s->scores[row] = score_row(s, logits + (size_t)(row - from) * vocab_size, row);
            s->scored[row] = 1;
        }
    }
}

/* Whether a wanted row of the chunk at `first` has no score yet. */
static bool chunk_lacks_scores(const Session *s, int64_t first, const uint8_t *want, int64_t n_rows)
{
    for (int64_t row = first; row < min_i64(first + SESSION_CHUNK, n_rows); row++)
        if (want[row] && !s->scored[row]) return true;
    return false;
}

bool session_score(Session *session, const int32_t *tokens, int64_t n, const uint8_t *want,
                   TokenScore *out, Err *err)
{
    Session *s = session;
    assert(s->has_rope);
    if (!check_tokens(s, tokens, n, err)) return false;
    sync_tokens(s, tokens, n);
    int64_t n_rows = n - 1;
    while (n_rows > 0 && !want[n_rows - 1])
        n_rows--; /* what lies behind the last wanted row need not be computed */
    for (int64_t first = 0; first < n_rows; first += SESSION_CHUNK) {
        bool lacks = chunk_lacks_scores(s, first, want, n_rows);
        if (first < s->n_valid && !lacks) continue;
        if (!run_chunk(s, first, err)) return false;
        if (lacks) score_chunk(s, first, want, n_rows);
    }
    for (int64_t row = 0; row < n_rows; row++)
        if (want[row]) out[row] = s->scores[row];
    return true;
}

int64_t token_scores_nonfinite(const TokenScore *scores, const uint8_t *want, int64_t n_rows)
{
    for (int64_t row = 0; row < n_rows; row++)
        if (want[row] && !isfinite(scores[row].nll)) return row;
    return -1;
}

/* Computes what is missing up to the last token and lends its logits. */
static const float *logits_of_last(Session *s, const int32_t *tokens, int64_t n, Err *err)
{
    assert(s->has_rope);
    if (!check_tokens(s, tokens, n, err)) return NULL;
    sync_tokens(s, tokens, n);
    int64_t last_chunk = (n - 1) / SESSION_CHUNK * SESSION_CHUNK;
    for (int64_t first = min_i64(s->n_valid, last_chunk); first <= last_chunk;
         first += SESSION_CHUNK)
        if (!run_chunk(s, first, err)) return NULL;
    int row = (int)(n - 1 - last_chunk);
    int group = row / FORWARD_HEAD_ROWS * FORWARD_HEAD_ROWS;
    const float *logits = forward_head(s->forward, group, FORWARD_HEAD_ROWS);
    return logits + (size_t)(row - group) * (size_t)s->model->config.vocab_size;
}

bool session_logits(Session *session, const int32_t *tokens, int64_t n, float *logits, Err *err)
{
    const float *last = logits_of_last(session, tokens, n, err);
    if (!last) return false;
    memcpy(logits, last, (size_t)session->model->config.vocab_size * sizeof *logits);
    return true;
}

static bool check_finite(const Session *s, const float *logits, int64_t position, Err *err)
{
    if (position < s->nonfinite_from &&
        kernels_all_finite(logits, (size_t)s->model->config.vocab_size))
        return true;
    return err_set(err, ERR_NONFINITE, "the model's numbers are not finite from position %lld on",
                   (long long)min_i64(position, s->nonfinite_from));
}

bool session_generate(Session *session, const int32_t *tokens, int64_t n, int64_t n_new,
                      TokenList *out, Err *err)
{
    Session *s = session;
    if (n_new < 0 || n > s->n_ctx_max - n_new)
        return err_set(err, ERR_INPUT, "%lld tokens and %lld new ones do not fit a session of %lld",
                       (long long)n, (long long)n_new, (long long)s->n_ctx_max);
    const float *logits = n_new > 0 ? logits_of_last(s, tokens, n, err) : NULL;
    bool ok = n_new == 0 || logits;
    for (int64_t position = n; ok && position < n + n_new; position++) {
        ok = check_finite(s, logits, position - 1, err);
        if (!ok) break;
        int32_t id = argmax(logits, s->n_ids);
        token_list_add(out, id);
        if (id == s->model->config.eos_id || position + 1 == n + n_new) break;
        ok = may_go_on(s, err);
        if (!ok) break;
        int64_t bad = forward_chunk(s->forward, &id, position, 1, 1);
        if (bad >= 0 && bad < s->nonfinite_from) s->nonfinite_from = bad;
        logits = forward_head(s->forward, 0, 1);
    }
    truncate_to(s, min_i64(n, s->n_tokens));
    return ok;
}
