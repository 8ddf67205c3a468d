/* One mutable timeline on a model: the tokens so far, their keys and values, and the nll of each
 * token that was scored.
 *
 * session_score() keeps what it shares with the tokens it already holds, so that prompts with a common start cost only what is new, and
 * answers from the scores of texts that it keeps where these begin with the tokens. **A number never depends on what ran before**, on threads or on how often a chunk was
 * computed: see the head of session.c for how. */
#ifndef MODELS_SESSION_H
#define MODELS_SESSION_H

#include "models/forward.h"
#include "models/rope.h"

enum { SESSION_CHUNK = 256 }; /* most tokens of a prefill step; a stop request waits for one */

/* Raised when any of the numbers a session gives for the same input changes; part of every cell's
 * key. */
enum { SESSION_NUMERIC_VERSION = 4 };

typedef struct Session Session;

/* How one token was predicted. */
typedef struct {
    double nll;     /* nats; NaN when the model's numbers were not finite there */
    int32_t rank;   /* vocabulary entries that were likelier, or as likely with a lower id */
    int32_t argmax; /* the likeliest id; equals the token when rank is 0 */
} TokenScore;

typedef struct {
    int n_threads; /* threads that share one chunk's tiles; the numbers do not depend on it */
    bool no_reuse; /* computes every row of every call anew and whole: the numbers are the same */
    size_t
        kept_bytes; /* most bytes of scores of texts that were scored whole, kept under one rotation */
    /* Asked before each chunk; returning false stops the work with CANCELLED. NULL: never stop. */
    bool (*keep_going)(void *context);
    void *context;
} SessionOptions;

/* A session for up to n_ctx_max tokens. The model must outlive it. Errors: NOMEM. */
Session *session_open(const Model *model, int64_t n_ctx_max, const SessionOptions *options,
                      Err *err) MUST_USE;
void session_close(Session *session);

/* Bytes that session_open and session_set_rope would allocate; scores that are kept come on top. */
size_t session_bytes(const ModelConfig *config, int64_t n_ctx_max, const RopeTable *table);

/* Seconds spent in each phase since open. */
Profile session_profile(const Session *session);

/* Sets the rotation for what follows. Forgets the timeline unless the table is equal to the one
 * in use. Errors: NOMEM (the session then has no rotation). */
bool session_set_rope(Session *session, const RopeTable *table, Err *err) MUST_USE;

/* Scores tokens[i + 1] given tokens[0 … i] for every i < n-1 with want[i] non-zero; out[i] of
 * other rows is left alone. want: n-1 bytes, out: n-1 entries.
 * Errors: INPUT (an id outside the vocabulary, n > n_ctx_max), CANCELLED. */
bool session_score(Session *session, const int32_t *tokens, int64_t n, const uint8_t *want,
                   TokenScore *out, Err *err) MUST_USE;

/* The first wanted row whose score is not finite, or -1. want, scores: n_rows of them. */
int64_t token_scores_nonfinite(const TokenScore *scores, const uint8_t *want, int64_t n_rows);

/* Appends to out the greedy continuation of n tokens by at most n_new; stops after the model's EOS.
 * Nothing it adds stays in the timeline.
 * Errors: as session_score, NONFINITE. */
bool session_generate(Session *session, const int32_t *tokens, int64_t n, int64_t n_new,
                      TokenList *out, Err *err) MUST_USE;

/* Logits of the last of n tokens, [vocab_size] float: for `audit`, tests and `generate`. Errors:
 * as session_score. */
bool session_logits(Session *session, const int32_t *tokens, int64_t n, float *logits,
                    Err *err) MUST_USE;

/* Tokens prefilled since open, counting recomputed ones: what the work cost. */
int64_t session_n_prefilled(const Session *session);

#endif
