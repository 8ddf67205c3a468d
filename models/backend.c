#include "models/backend.h"

#include <stdlib.h>

#include "base/mem.h"

bool backend_set_rope(Backend *backend, const RopeSpec *spec, int64_t n_ctx, Err *err)
{
    return backend->ops->set_rope(backend->self, spec, n_ctx, err);
}

bool backend_encode(const Backend *backend, const char *text, size_t n, TokenList *out, Err *err)
{
    if (!backend->has_text)
        return err_set(
            err, ERR_UNSUPPORTED,
            "the model has no usable tokenizer, so texts cannot be read; give token ids");
    return backend->ops->encode(backend->self, text, n, out, err);
}

void backend_decode(const Backend *backend, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    backend->ops->decode(backend->self, ids, n, at_start, out);
}

static bool no_weights(const Backend *backend, Err *err)
{
    return err_set(err, ERR_UNSUPPORTED, "backend %s has no weights: it only spells texts",
                   backend->ops->name);
}

bool backend_score(Backend *backend, const int32_t *tokens, int64_t n, const uint8_t *want,
                   TokenScore *out, Err *err)
{
    if (!backend->ops->score) return no_weights(backend, err);
    return backend->ops->score(backend->self, tokens, n, want, out, err);
}

bool backend_generate(Backend *backend, const int32_t *tokens, int64_t n, int64_t n_new,
                      TokenList *out, Err *err)
{
    if (!backend->ops->generate) return no_weights(backend, err);
    return backend->ops->generate(backend->self, tokens, n, n_new, out, err);
}

int64_t backend_n_prefilled(const Backend *backend)
{
    return backend->ops->n_prefilled ? backend->ops->n_prefilled(backend->self) : 0;
}

void reply_list_free(ReplyList *list)
{
    for (size_t i = 0; i < list->n; i++) {
        free(list->items[i].model);
        free(list->items[i].system);
    }
    free(list->items);
    *list = (ReplyList){0};
}

void backend_take_replies(Backend *backend, ReplyList *out, Buf *remark)
{
    *out = (ReplyList){0};
    if (backend->ops->take_replies) backend->ops->take_replies(backend->self, out, remark);
}

Profile backend_profile(const Backend *backend)
{
    return backend->ops->profile ? backend->ops->profile(backend->self) : (Profile){0};
}

void backend_close(Backend *backend)
{
    if (backend->ops) backend->ops->close(backend->self);
    *backend = (Backend){0};
}

typedef struct {
    const Tokenizer *tokenizer;
} TextBackend;

static bool text_set_rope(void *self, const RopeSpec *spec, int64_t n_ctx, Err *err)
{
    (void)self;
    RopeTable table;
    return rope_table_make(spec, n_ctx, &table, err);
}

static bool text_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    const TextBackend *backend = self;
    return tokenizer_encode(backend->tokenizer, text, n, false, out, err);
}

static void text_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    const TextBackend *backend = self;
    if (backend->tokenizer) tokenizer_decode(backend->tokenizer, ids, n, at_start, true, out);
}

static const BackendOps text_ops = {
    .name = "text",
    .set_rope = text_set_rope,
    .encode = text_encode,
    .decode = text_decode,
    .close = free,
};

void backend_open_text(Backend *backend, const Tokenizer *tokenizer, int vocab_size)
{
    TextBackend *self = mem_alloc(1, sizeof *self);
    self->tokenizer = tokenizer;
    *backend = (Backend){
        .ops = &text_ops,
        .self = self,
        .bos_id = tokenizer ? tokenizer_bos_id(tokenizer) : -1,
        .adds_bos = tokenizer && tokenizer_adds_bos(tokenizer),
        .has_text = tokenizer != NULL,
        .vocab_size = vocab_size,
    };
}
