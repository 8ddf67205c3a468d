/* The timeline: which tokens are held, whose keys are valid, which rows were scored.
 *
 * Bits do not depend on history. In the paths of our own a row's bits depend on the row and on what stands before it, so a prefix is kept
 * to the token, chunks start anywhere, and the head computes the wanted rows alone. In a path with a granule, bits depend
 * also on a row's place within it: chunks start at multiples of it, are padded to whole granules, a prefix is kept in whole ones, and
 * the head computes them whole. Tokens that generate adds are computed one row at a time, which is another shape there: what they touch is
 * never kept.
 *
 * States of a position:   unknown --chunk--> valid keys --head--> scored
 * A prompt that differs at position p takes everything from p (its granule) on back to unknown; the score of row p-1
 * goes with it, since its target was token p. A valid row that is wanted but was not scored is computed again, which writes
 * the keys and values that are there already.
 *
 * Apart from the timeline, scores of texts that were scored whole are kept (models/kept_scores.h). A text that one of them begins with
 * is answered from there and leaves the timeline as it is. */
#include "models/session.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "models/forward.h"
#include "models/kept_scores.h"
#include "models/kernels.h"

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
    int64_t n_valid;        /* positions with valid keys: a multiple of the granule */
    int64_t nonfinite_from; /* first position that is not finite; INT64_MAX: none */
    TokenScore *scores;     /* [n_ctx_max]: row i predicts token i + 1 */
    uint8_t *scored;        /* [n_ctx_max] */
    KeptScores *kept;       /* NULL: none */
    int64_t n_prefilled;
    double scoring_s; /* seconds spent on rows of logits */
};

/* Positions of the cache: whole panels of keys. */
static int64_t padded(int64_t n)
{
    return (n + KERNEL_KEYS - 1) / KERNEL_KEYS * KERNEL_KEYS;
}

static int64_t granule_of(const Session *s)
{
    return s->model->path->granule;
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
    if (options->kept_bytes > 0 && !options->no_reuse)
        s->kept = kept_scores_new(options->kept_bytes);
    return s;
}

void session_close(Session *session)
{
    if (!session) return;
    forward_close(session->forward);
    kept_scores_free(session->kept);
    free(session->tokens);
    free(session->scores);
    free(session->scored);
    free(session);
}

Profile session_profile(const Session *session)
{
    Profile profile = forward_profile(session->forward);
    profile.s[PHASE_HEAD] += session->scoring_s;
    return profile;
}

int64_t session_n_prefilled(const Session *session)
{
    return session->n_prefilled;
}

/* Forgets everything from position n on, in whole granules. */
static void truncate_to(Session *s, int64_t n)
{
    int64_t kept = n / granule_of(s) * granule_of(s);
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
    if (session->kept) kept_scores_clear(session->kept);
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
    if (s->options.no_reuse) truncate_to(s, 0);
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

/* Computes positions first … end-1, at most a chunk; first must be valid already or the first that is not, and a granule's
 * start. Rows at positions from … to-1 are wanted by the head. */
static bool run_chunk(Session *s, int64_t first, int64_t end, int64_t from, int64_t to, Err *err)
{
    if (!may_go_on(s, err)) return false;
    int64_t granule = granule_of(s);
    int n = (int)(end - first);
    Chunk chunk = {
        .tokens = s->tokens + first,
        .first = first,
        .n = n,
        .m = (int)((n + granule - 1) / granule * granule),
        .from = (int)((from - first) / granule * granule),
        .to = (int)((to - first + granule - 1) / granule * granule),
    };
    int64_t bad = forward_chunk(s->forward, &chunk);
    if (bad >= 0 && bad < s->nonfinite_from) s->nonfinite_from = bad;
    s->n_valid = max_i64(s->n_valid, first + n / granule * granule);
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

static TokenScore score_row(const Session *s, const float *logits, int64_t position)
{
    int32_t target = s->tokens[position + 1];
    LogitRow row = s->model->path->logit_row(logits, s->model->config.vocab_size, s->n_ids, target);
    double nll = row.log_sum_exp - (double)logits[target];
    if (position >= s->nonfinite_from || !isfinite(nll))
        return (TokenScore){.nll = (double)NAN, .rank = s->n_ids, .argmax = -1};
    return (TokenScore){nll, row.rank, row.argmax};
}

static bool is_wanted(const Session *s, int64_t row, const uint8_t *want)
{
    return want[row] || s->options.no_reuse;
}

static bool lacks_score(const Session *s, int64_t row, const uint8_t *want)
{
    return is_wanted(s, row, want) && !s->scored[row];
}

static bool granule_lacks_scores(const Session *s, int64_t from, int64_t to, const uint8_t *want)
{
    for (int64_t row = from; row < to; row++)
        if (lacks_score(s, row, want)) return true;
    return false;
}

/* Gathers whole granules with rows that lack scores, from position *at on, as rows of the chunk that starts at `first`; moves *at
 * behind what it looked at. Returns their number. */
static int gather_rows(const Session *s, int64_t first, int64_t end, const uint8_t *want,
                       int64_t *at, int rows[FORWARD_HEAD_ROWS])
{
    int n = 0;
    int granule = (int)granule_of(s);
    for (; *at < end && n + granule <= FORWARD_HEAD_ROWS; *at += granule) {
        if (!granule_lacks_scores(s, *at, min_i64(*at + granule, end), want)) continue;
        for (int i = 0; i < granule; i++)
            rows[n++] = (int)(*at - first) + i;
    }
    return n;
}

/* Scores the wanted rows first … end-1 of the last chunk, which starts at `first`. */
static void score_chunk(Session *s, int64_t first, int64_t end, const uint8_t *want)
{
    size_t vocab_size = (size_t)s->model->config.vocab_size;
    int rows[FORWARD_HEAD_ROWS];
    int64_t at = first;
    for (int n = 1; n > 0;) {
        n = gather_rows(s, first, end, want, &at, rows);
        const float *logits = n > 0 ? forward_head(s->forward, rows, n) : NULL;
        double start = clock_monotonic_s();
        for (int i = 0; i < n; i++) {
            int64_t row = first + rows[i];
            if (row >= end || !lacks_score(s, row, want)) continue;
            s->scores[row] = score_row(s, logits + (size_t)i * vocab_size, row);
            s->scored[row] = 1;
        }
        s->scoring_s += clock_monotonic_s() - start;
    }
}

/* Makes the timeline hold these tokens and the scores of the wanted ones of their first n_rows rows. */
static bool score_timeline(Session *s, const int32_t *tokens, int64_t n, int64_t n_rows,
                           const uint8_t *want, Err *err)
{
    sync_tokens(s, tokens, n);
    for (int64_t row = 0; row < n_rows;) {
        if (row < s->n_valid && !lacks_score(s, row, want)) {
            row++;
            continue;
        }
        int64_t first = row / granule_of(s) * granule_of(s);
        int64_t end = min_i64(first + SESSION_CHUNK, n_rows);
        int64_t from = first;
        int64_t to = end;
        while (from < to && !lacks_score(s, from, want))
            from++;
        while (to > from && !lacks_score(s, to - 1, want))
            to--;
        if (!run_chunk(s, first, end, from, to, err)) return false;
        score_chunk(s, first, end, want);
        row = end;
    }
    return true;
}

bool session_score(Session *session, const int32_t *tokens, int64_t n, const uint8_t *want,
                   TokenScore *out, Err *err)
{
    Session *s = session;
    assert(s->has_rope);
    if (!check_tokens(s, tokens, n, err)) return false;
    int64_t n_rows = n - 1;
    while (n_rows > 0 && !is_wanted(s, n_rows - 1, want))
        n_rows--; /* what lies behind the last wanted row need not be computed */
    bool is_whole = s->kept && n_rows > 0 && !memchr(want, 0, (size_t)n_rows);
    const TokenScore *scores = is_whole ? kept_scores_find(s->kept, tokens, n_rows + 1) : NULL;
    if (!scores) {
        if (!score_timeline(s, tokens, n, n_rows, want, err)) return false;
        if (is_whole) kept_scores_add(s->kept, tokens, n_rows + 1, s->scores);
        scores = s->scores;
    }
    for (int64_t row = 0; row < n_rows; row++)
        if (want[row]) out[row] = scores[row];
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
    int64_t granule = granule_of(s);
    int64_t first = 0;
    int64_t next = min_i64(s->n_valid, (n - 1) / granule * granule);
    while (next < n) {
        first = next;
        next = min_i64(first + SESSION_CHUNK, n);
        int64_t from = s->options.no_reuse ? first : min_i64(n - 1, next);
        if (!run_chunk(s, first, next, from, next, err)) return NULL;
    }
    int64_t own = (n - 1) / granule * granule; /* the last token's granule */
    int rows[FORWARD_HEAD_ROWS];
    for (int i = 0; i < granule; i++)
        rows[i] = (int)(own - first) + i;
    const float *logits = forward_head(s->forward, rows, (int)granule);
    return logits + (size_t)(n - 1 - own) * (size_t)s->model->config.vocab_size;
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
        Chunk chunk = {.tokens = &id, .first = position, .n = 1, .m = 1, .to = 1};
        int64_t bad = forward_chunk(s->forward, &chunk);
        if (bad >= 0 && bad < s->nonfinite_from) s->nonfinite_from = bad;
        logits = forward_head(s->forward, (int[]){0}, 1);
    }
    truncate_to(s, min_i64(n, s->n_tokens));
    return ok;
}
