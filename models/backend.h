/* What a probe may ask of a model, wherever it runs: the engine of this program, a server
 * (models/backend_openai.h), a fake for tests. */
#ifndef MODELS_BACKEND_H
#define MODELS_BACKEND_H

#include "models/session.h"

typedef struct Backend Backend;

/* Replies of one system behind a server. */
typedef struct {
    char *model;  /* as the replies name it */
    char *system; /* its fingerprint; "": none */
    int64_t n;
} Reply;

typedef struct {
    Reply *items;
    size_t n;
} ReplyList;

void reply_list_free(ReplyList *list);

typedef struct {
    const char *name;
    bool (*set_rope)(void *self, const RopeSpec *spec, int64_t n_ctx, Err *err);
    bool (*encode)(const void *self, const char *text, size_t n, TokenList *out, Err *err);
    void (*decode)(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out);
    /* score and generate are NULL where there are no weights. */
    bool (*score)(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                  TokenScore *out, Err *err);
    bool (*generate)(void *self, const int32_t *tokens, int64_t n, int64_t n_new, TokenList *out,
                     Err *err);
    int64_t (*n_prefilled)(const void *self); /* tokens computed so far; NULL: not known */
    Profile (*profile)(const void *self);     /* NULL: not known */
    /* NULL: there are no replies, nothing is between the model and its numbers */
    void (*take_replies)(void *self, ReplyList *out, Buf *remark);
    void (*close)(void *self);
} BackendOps;

struct Backend {
    const BackendOps *ops;
    void *self;
    int32_t bos_id; /* -1: none */
    bool adds_bos;  /* whether prompts and windows start with BOS */
    bool has_text;  /* false: no tokenizer, probes that need text are unsupported */
    bool by_text;   /* score tells no rank and no likeliest token: answers are what generate says */
    int vocab_size;
    int64_t n_ctx_max; /* longest prompt it was opened for */
};

/* The engine on a loaded model; the model must outlive it. Errors: NOMEM. */
bool backend_open_engine(Backend *backend, const Model *model, int64_t n_ctx_max,
                         const SessionOptions *options, Err *err) MUST_USE;

/* Bytes that the engine takes for the scores of a text of n tokens which it keeps; see kept_bytes of SessionOptions. */
size_t backend_kept_bytes(int64_t n);

/* Spells texts only: for planning without weights. score and generate are UNSUPPORTED. The
 * tokenizer (NULL: has_text is false) must outlive it. */
void backend_open_text(Backend *backend, const Tokenizer *tokenizer, int vocab_size);

/* A deterministic pretend model for testing the harness: tokens are bytes, BOS is 256, the nll of
 * a token is a hash of (setting, the token and its position) in 0 … 6, and a passkey is retrieved
 * (argmax at each of its tokens, and by generate) as long as n is at most the effective reach
 * n_ctx_orig * λ. Never stops, needs no file. */
void backend_open_fake(Backend *backend, int64_t n_ctx_max);

/* The calls; see session.h for score and generate. set_rope errors: USAGE. encode errors:
 * UNSUPPORTED when has_text is false. */
bool backend_set_rope(Backend *backend, const RopeSpec *spec, int64_t n_ctx, Err *err) MUST_USE;
bool backend_encode(const Backend *backend, const char *text, size_t n, TokenList *out,
                    Err *err) MUST_USE;
void backend_decode(const Backend *backend, const int32_t *ids, size_t n, bool at_start, Buf *out);
bool backend_score(Backend *backend, const int32_t *tokens, int64_t n, const uint8_t *want,
                   TokenScore *out, Err *err) MUST_USE;
bool backend_generate(Backend *backend, const int32_t *tokens, int64_t n, int64_t n_new,
                      TokenList *out, Err *err) MUST_USE;

/* Tokens computed since open, counting recomputed ones; 0 where it is not known. */
int64_t backend_n_prefilled(const Backend *backend);

/* Hands over the replies since open or the last call, and appends to remark what is odd about who gave them. out is set and is for
 * reply_list_free. */
void backend_take_replies(Backend *backend, ReplyList *out, Buf *remark);

/* Seconds in each phase of the engine since open; zeros where they are not known. */
Profile backend_profile(const Backend *backend);
void backend_close(Backend *backend);

#endif
