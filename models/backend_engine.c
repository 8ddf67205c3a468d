/* The engine of this program behind the probes' interface. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "models/backend.h"
#include "models/kept_scores.h"

typedef struct {
    const Model *model;
    Session *session;
    double *tokenizer_s; /* seconds spent in it; apart, since spelling changes nothing else */
} Engine;

static bool engine_set_rope(void *self, const RopeSpec *spec, int64_t n_ctx, Err *err)
{
    Engine *engine = self;
    RopeTable table;
    return rope_table_make(spec, n_ctx, &table, err) &&
           session_set_rope(engine->session, &table, err);
}

static bool engine_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    const Engine *engine = self;
    double start = clock_monotonic_s();
    bool ok = tokenizer_encode(engine->model->tokenizer, text, n, false, out, err);
    *engine->tokenizer_s += clock_monotonic_s() - start;
    return ok;
}

static void engine_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    const Engine *engine = self;
    double start = clock_monotonic_s();
    tokenizer_decode(engine->model->tokenizer, ids, n, at_start, true, out);
    *engine->tokenizer_s += clock_monotonic_s() - start;
}

static bool engine_score(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                         TokenScore *out, Err *err)
{
    Engine *engine = self;
    return session_score(engine->session, tokens, n, want, out, err);
}

static bool engine_generate(void *self, const int32_t *tokens, int64_t n, int64_t n_new,
                            TokenList *out, Err *err)
{
    Engine *engine = self;
    return session_generate(engine->session, tokens, n, n_new, out, err);
}

static int64_t engine_n_prefilled(const void *self)
{
    const Engine *engine = self;
    return session_n_prefilled(engine->session);
}

static Profile engine_profile(const void *self)
{
    const Engine *engine = self;
    Profile profile = session_profile(engine->session);
    profile.s[PHASE_TOKENIZER] = *engine->tokenizer_s;
    return profile;
}

static void engine_close(void *self)
{
    Engine *engine = self;
    session_close(engine->session);
    free(engine->tokenizer_s);
    free(engine);
}

static const BackendOps engine_ops = {
    .name = "engine",
    .set_rope = engine_set_rope,
    .encode = engine_encode,
    .decode = engine_decode,
    .score = engine_score,
    .generate = engine_generate,
    .n_prefilled = engine_n_prefilled,
    .profile = engine_profile,
    .close = engine_close,
};

size_t backend_kept_bytes(int64_t n)
{
    return kept_scores_bytes(n);
}

bool backend_open_engine(Backend *backend, const Model *model, int64_t n_ctx_max,
                         const SessionOptions *options, Err *err)
{
    Session *session = session_open(model, n_ctx_max, options, err);
    if (!session) return false;
    Engine *engine = mem_alloc(1, sizeof *engine);
    *engine = (Engine){model, session, mem_zalloc(1, sizeof(double))};
    *backend = (Backend){
        .ops = &engine_ops,
        .self = engine,
        .bos_id = model->config.bos_id,
        .adds_bos = model->tokenizer && tokenizer_adds_bos(model->tokenizer),
        .has_text = model->tokenizer != NULL,
        .vocab_size = model->config.vocab_size,
        .n_ctx_max = n_ctx_max,
    };
    return true;
}
