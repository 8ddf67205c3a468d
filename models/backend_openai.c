/* One score or generate is one request, whose reply is read with suspicion by models/completion.c. */
#include "models/backend_openai_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"

enum { MAX_NAMED = 4 }; /* systems in a remark */

typedef struct {
    Openai *openai;
    const OpenaiServer *server;
    int64_t n_sent;    /* tokens */
    ReplyList replies; /* since they were last taken */
} Remote;

/* The server runs under what it was launched with. */
static bool remote_set_rope(void *self, const RopeSpec *spec, int64_t n_ctx, Err *err)
{
    (void)self, (void)spec, (void)n_ctx, (void)err;
    return true;
}

static bool remote_encode(const void *self, const char *text, size_t n, TokenList *out, Err *err)
{
    const Remote *remote = self;
    return tokenizer_encode(openai_config(remote->openai)->tokenizer, text, n, false, out, err);
}

static void remote_decode(const void *self, const int32_t *ids, size_t n, bool at_start, Buf *out)
{
    const Remote *remote = self;
    tokenizer_decode(openai_config(remote->openai)->tokenizer, ids, n, at_start, true, out);
}

/* Says how servers word it that a prompt does not fit. */
static bool is_too_long(const char *why)
{
    static const char *const words[] = {"context length", "context size",  "context_length",
                                        "context_size",   "max_model_len", "too long",
                                        "maximum context"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        if (strstr(why, words[i])) return true;
    return false;
}

static bool check_status(const Remote *remote, int status, const char *why, Err *err)
{
    if (status == 200) return true;
    if ((status == 400 || status == 413 || status == 422) && is_too_long(why))
        return err_set(err, ERR_TOO_LONG, "the server refuses the prompt as too long: %.300s", why);
    return err_set(err, ERR_NET, "%s: status %d: %.400s",
                   openai_config(remote->openai)->address->base, status, why);
}

/* Two models behind one address, or another one after a restart: its numbers are not those that were asked for. */
static bool check_model(const Remote *remote, const Completion *reply, Err *err)
{
    const OpenaiServer *server = remote->server;
    return str_equal(reply->model, server->answers_as) ||
           err_set(err, ERR_NET,
                   "the server changed: it answers as model \"%s\", at the start it was \"%s\"",
                   reply->model, server->answers_as);
}

/* The same model on another build, or on one of several machines, is no error: what it says is remarked upon. */
static void count_reply(Remote *remote, const Completion *reply)
{
    ReplyList *list = &remote->replies;
    for (size_t i = 0; i < list->n; i++) {
        if (!str_equal(list->items[i].system, reply->fingerprint)) continue;
        list->items[i].n++;
        return;
    }
    list->items = mem_realloc(list->items, list->n + 1, sizeof *list->items);
    list->items[list->n++] =
        (Reply){.model = str_dup(reply->model), .system = str_dup(reply->fingerprint), .n = 1};
}

static void remote_take_replies(void *self, ReplyList *out, Buf *remark)
{
    Remote *remote = self;
    size_t n_others = 0;
    for (size_t i = 0; i < remote->replies.n; i++) {
        const Reply *reply = &remote->replies.items[i];
        if (str_equal(reply->system, remote->server->fingerprint)) continue;
        if (++n_others > MAX_NAMED) continue;
        buf_printf(remark, "%s\"%s\"",
                   n_others == 1 ? "the server changed: its system_fingerprint is " : ", ",
                   reply->system);
    }
    if (n_others > MAX_NAMED) buf_printf(remark, " and %zu others", n_others - MAX_NAMED);
    if (n_others > 0)
        buf_printf(remark, ", at the start it was \"%s\"", remote->server->fingerprint);
    *out = remote->replies;
    remote->replies = (ReplyList){0};
}

static bool check_length(const Remote *remote, int64_t n, int64_t n_new, Err *err)
{
    int64_t most = remote->server->n_ctx_max;
    return most == 0 || n + n_new <= most ||
           err_set(
               err, ERR_TOO_LONG,
               "%lld tokens of prompt and %lld of answer do not fit the server's context of %lld",
               (long long)n, (long long)n_new, (long long)most);
}

static bool check_ids(const Remote *remote, const int32_t *tokens, int64_t n, Err *err)
{
    int vocab_size = openai_config(remote->openai)->vocab_size;
    for (int64_t i = 0; i < n; i++)
        if (tokens[i] < 0 || tokens[i] >= vocab_size)
            return err_set(err, ERR_INPUT, "token %lld is id %d, outside a vocabulary of %d",
                           (long long)i, tokens[i], vocab_size);
    return true;
}

/* One request whose reply is about our prompt and from the server that was probed. */
static bool ask(Remote *remote, const CompletionAsk *what, Completion *reply, Err *err)
{
    char why[OPENAI_WHY_SIZE];
    int status;
    if (!remote->server->takes_ids)
        return err_set(err, ERR_UNSUPPORTED, "the server does not take token ids: %s",
                       remote->server->why_not);
    if (!check_ids(remote, what->prompt.ids, what->prompt.n, err) ||
        !check_length(remote, what->prompt.n, what->n_new, err) ||
        !openai_complete(remote->openai, what, &status, reply, why, err))
        return false;
    remote->n_sent += what->prompt.n;
    if (check_status(remote, status, why, err) && check_model(remote, reply, err) &&
        completion_check_prompt(reply, &what->prompt, err)) {
        count_reply(remote, reply);
        return true;
    }
    completion_free(reply);
    return false;
}

static CompletionAsk make_ask(const Remote *remote, const int32_t *tokens, int64_t n)
{
    return (CompletionAsk){
        .model = remote->server->model,
        .prompt = {tokens, n, openai_config(remote->openai)->tokenizer},
        .n_new = 1,
    };
}

static bool remote_score(void *self, const int32_t *tokens, int64_t n, const uint8_t *want,
                         TokenScore *out, Err *err)
{
    Remote *remote = self;
    Completion reply;
    CompletionAsk what = make_ask(remote, tokens, n);
    what.scores = remote->server->scores;
    if (remote->server->takes_ids && what.scores == PROMPT_SCORES_NONE)
        return err_set(err, ERR_UNSUPPORTED,
                       "no prompt log-probabilities, which need vLLM or the local engine: %s",
                       remote->server->why_not);
    if (!ask(remote, &what, &reply, err)) return false;
    const CompletionScores scores = {.shape = what.scores, .want = want, .out = out};
    bool ok = completion_read_scores(&reply, &what.prompt, &scores, err);
    completion_free(&reply);
    return ok;
}

static bool remote_generate(void *self, const int32_t *tokens, int64_t n, int64_t n_new,
                            TokenList *out, Err *err)
{
    Remote *remote = self;
    Completion reply;
    CompletionAsk what = make_ask(remote, tokens, n);
    what.n_new = n_new;
    if (!ask(remote, &what, &reply, err)) return false;
    bool ok = completion_read_tokens(&reply, &what.prompt, out, err);
    completion_free(&reply);
    return ok;
}

static int64_t remote_n_prefilled(const void *self)
{
    const Remote *remote = self;
    return remote->n_sent;
}

static void remote_close(void *self)
{
    Remote *remote = self;
    openai_close(remote->openai);
    reply_list_free(&remote->replies);
    free(remote);
}

static const BackendOps remote_ops = {
    .name = "openai",
    .set_rope = remote_set_rope,
    .encode = remote_encode,
    .decode = remote_decode,
    .score = remote_score,
    .generate = remote_generate,
    .n_prefilled = remote_n_prefilled,
    .take_replies = remote_take_replies,
    .close = remote_close,
};

bool backend_open_openai(Backend *backend, const OpenaiConfig *config, const OpenaiServer *server,
                         int64_t n_ctx_max, Err *err)
{
    Openai *openai = openai_open(config, err);
    if (!openai) return false;
    Remote *remote = mem_zalloc(1, sizeof *remote);
    remote->openai = openai;
    remote->server = server;
    *backend = (Backend){
        .ops = &remote_ops,
        .self = remote,
        .bos_id = tokenizer_bos_id(config->tokenizer),
        .adds_bos = tokenizer_adds_bos(config->tokenizer),
        .has_text = true,
        .by_text = server->scores != PROMPT_SCORES_IDS,
        .vocab_size = config->vocab_size,
        .n_ctx_max = n_ctx_max,
    };
    return true;
}
