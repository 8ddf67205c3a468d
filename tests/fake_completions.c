#include "tests/fake_completions.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_TOP = 16 }; /* longest prompt whose likeliest tokens have true scores */

/* One request of a completion. */
typedef struct {
    FakeCompletions *fake;
    FakeRequest *request;
    FakeFault fault; /* of this answer */
    int32_t *ids;
    int64_t n;
    int64_t n_new;
    bool echo;
    bool logprobs;
    bool prompt_logprobs;
    bool wants_ids;
    TokenScore *scores; /* [n - 1] */
    double *tops;       /* [n]: log-probability of scores[at - 1].argmax */
    TokenList made;
} Ask;

static void answer_json(FakeRequest *request, const char *status, Buf *json)
{
    fake_answer(request, status, "Content-Type: application/json\r\n", buf_text(json), json->len);
    buf_free(json);
}

static void answer_text(FakeRequest *request, const char *status, const char *text)
{
    fake_answer(request, status, "", text, strlen(text));
}

/* Log-probability of a token after the first n. */
static double logp_of(Backend *model, const int32_t *ids, int64_t n, int32_t token)
{
    Err err;
    TokenScore score[MAX_TOP + 1] = {0};
    int32_t all[MAX_TOP + 2];
    uint8_t want[MAX_TOP + 1] = {0};
    memcpy(all, ids, (size_t)n * sizeof *all);
    all[n] = token;
    want[n - 1] = 1;
    return backend_score(model, all, n + 1, want, score, &err) ? -score[n - 1].nll : (double)NAN;
}

static bool compute(Ask *ask, Err *err)
{
    Backend *model = ask->fake->model;
    uint8_t *want = malloc((size_t)ask->n);
    memset(want, 1, (size_t)ask->n);
    ask->scores = calloc((size_t)ask->n, sizeof *ask->scores);
    ask->tops = calloc((size_t)ask->n + 1, sizeof *ask->tops);
    bool ok = backend_generate(model, ask->ids, ask->n, ask->n_new, &ask->made, err);
    if (ok && (ask->echo || ask->prompt_logprobs) && ask->n > 1)
        ok = backend_score(model, ask->ids, ask->n, want, ask->scores, err);
    for (int64_t at = 1; ok && at < ask->n; at++)
        ask->scores[at - 1].nll *= 1.0 + ask->fake->drift;
    for (int64_t at = 1; ok && at < ask->n; at++)
        ask->tops[at] =
            ask->n <= MAX_TOP ? logp_of(model, ask->ids, at, ask->scores[at - 1].argmax) : -0.01;
    if (ok && ask->n <= MAX_TOP && ask->made.n > 0)
        ask->tops[ask->n] = logp_of(model, ask->ids, ask->n, ask->made.ids[0]);
    free(want);
    return ok;
}

/* The index whose score is written at a position. */
static int64_t source_of(const Ask *ask, int64_t at)
{
    if (ask->fault != FAULT_SHIFTED && ask->fault != FAULT_SHIFTED_WELL) return at;
    return at > 1 ? at - 1 : 1;
}

static bool is_null(const Ask *ask, int64_t at)
{
    if (at == 0) return ask->fault != FAULT_SHIFTED;
    return ask->fault == FAULT_NULL && at == ask->n / 2;
}

static const char *number_text(const Ask *ask, int64_t at, double logp, char out[40])
{
    bool here = at == ask->n / 2;
    snprintf(out, 40, "%.17g", logp);
    if (here && ask->fault == FAULT_NOTHING) return "-9999.0";
    if (here && ask->fault == FAULT_STRING) return "\"-1.5\"";
    if (here && ask->fault == FAULT_POSITIVE) return "0.5";
    if (here && ask->fault == FAULT_NAN) return "NaN";
    return out;
}

static int64_t n_written(const Ask *ask)
{
    return ask->n - (ask->fault == FAULT_SHORT);
}

static void write_entry(const Ask *ask, int64_t at, Buf *out)
{
    char number[40];
    int64_t from = source_of(ask, at);
    const TokenScore *score = &ask->scores[from - 1];
    int32_t id = ask->ids[ask->fault == FAULT_SHIFTED_WELL ? at : from];
    if (ask->fault == FAULT_OTHER_TOKENS) id++;
    int rank = ask->fault == FAULT_RANK ? 0 : score->rank + 1;
    buf_printf(out, ",{\"%d\":{\"logprob\":%s,\"rank\":%d,\"decoded_token\":\"x\"}", id,
               number_text(ask, at, -score->nll, number), rank);
    if (score->argmax != id)
        buf_printf(out, ",\"%d\":{\"logprob\":%.17g,\"rank\":1,\"decoded_token\":\"y\"}",
                   score->argmax, ask->tops[from]);
    buf_putc(out, '}');
}

static void write_prompt_logprobs(const Ask *ask, Buf *out)
{
    buf_puts(out, ",\"prompt_logprobs\":[");
    buf_puts(out, is_null(ask, 0) ? "null" : "{\"1\":{\"logprob\":-1,\"rank\":1}}");
    for (int64_t at = 1; at < n_written(ask); at++)
        if (is_null(ask, at))
            buf_puts(out, ",null");
        else
            write_entry(ask, at, out);
    if (ask->fault == FAULT_LONG) write_entry(ask, 1, out);
    buf_putc(out, ']');
}

static void write_token(const Ask *ask, int32_t id, Buf *out)
{
    Buf word = {0};
    if (ask->fake->shape != FAKE_WORDS) {
        buf_printf(out, "\"token_id:%d\"", id);
        return;
    }
    backend_decode(ask->fake->model, &id, 1, false, &word);
    json_t *string = json_string(buf_text(&word));
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    buf_puts(out, quoted ? quoted : "\"\\ufffd\"");
    free(quoted);
    json_decref(string);
    buf_free(&word);
}

static void write_top(const Ask *ask, int64_t at, int32_t id, Buf *out)
{
    buf_putc(out, '{');
    write_token(ask, id, out);
    buf_printf(out, ":%.17g}", ask->tops[at]);
}

/* The lists of "logprobs": of the prompt from `first` on and of the first generated token. */
static void write_logprobs(const Ask *ask, int64_t first, Buf *out)
{
    char number[40];
    const char *comma = "";
    Buf tokens = {0}, logps = {0}, tops = {0};
    for (int64_t at = first; at < n_written(ask); at++, comma = ",") {
        int64_t from = source_of(ask, at);
        buf_puts(&tokens, comma);
        write_token(ask, ask->ids[at] + (ask->fault == FAULT_OTHER_TOKENS), &tokens);
        buf_puts(&logps, comma);
        buf_puts(&tops, comma);
        if (is_null(ask, at) || from == 0) {
            buf_puts(&logps, "null");
            buf_puts(&tops, "null");
            continue;
        }
        buf_puts(&logps, number_text(ask, at, -ask->scores[from - 1].nll, number));
        write_top(ask, from, ask->scores[from - 1].argmax, &tops);
    }
    if (ask->made.n > 0 && ask->fault != FAULT_SHORT) {
        buf_puts(&tokens, comma);
        write_token(ask, ask->made.ids[0], &tokens);
        buf_printf(&logps, "%s%.17g", comma, ask->tops[ask->n]);
        buf_puts(&tops, comma);
        write_top(ask, ask->n, ask->made.ids[0], &tops);
    }
    buf_printf(out, ",\"logprobs\":{\"tokens\":[%s],", buf_text(&tokens));
    buf_printf(out, "\"token_logprobs\":[%s],", buf_text(&logps));
    buf_printf(out, "\"top_logprobs\":[%s]}", buf_text(&tops));
    buf_free(&tokens);
    buf_free(&logps);
    buf_free(&tops);
}

static void write_text(const Ask *ask, Buf *out)
{
    Buf text = {0};
    backend_decode(ask->fake->model, ask->made.ids, ask->made.n, false, &text);
    json_t *string = json_stringn(text.data ? text.data : "", text.len);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    buf_printf(out, ",\"text\":%s", quoted ? quoted : "\"\"");
    free(quoted);
    json_decref(string);
    buf_free(&text);
}

static void write_choice(const Ask *ask, Buf *out)
{
    FakeShape shape = ask->fake->shape;
    bool echoes = ask->echo && (shape == FAKE_ECHO || shape == FAKE_WORDS);
    buf_printf(out, "{\"index\":%d,\"finish_reason\":\"length\"", ask->fault == FAULT_INDEX);
    write_text(ask, out);
    if (ask->fault == FAULT_TRUNCATED) buf_puts(out, ",\"truncated\":true");
    if (ask->prompt_logprobs && shape == FAKE_VLLM) write_prompt_logprobs(ask, out);
    if (ask->logprobs) write_logprobs(ask, echoes ? 0 : ask->n, out);
    if (ask->wants_ids && shape == FAKE_VLLM) {
        buf_puts(out, ",\"token_ids\":[");
        for (size_t i = 0; i < ask->made.n; i++)
            buf_printf(out, "%s%d", i ? "," : "", ask->made.ids[i]);
        buf_putc(out, ']');
    }
    buf_putc(out, '}');
}

static void write_reply(const Ask *ask, Buf *out)
{
    bool other = ask->fault == FAULT_OTHER_MODEL;
    buf_printf(out, "{\"id\":\"cmpl-%d\",\"object\":\"text_completion\",\"model\":\"%s%s\"",
               ask->fake->n_completions, other ? "not-" : "", ask->fake->name);
    buf_printf(out, ",\"system_fingerprint\":\"fp_%d\",\"choices\":[",
               ask->fault == FAULT_OTHER_SYSTEM);
    write_choice(ask, out);
    if (ask->fault == FAULT_TWO_CHOICES) {
        buf_putc(out, ',');
        write_choice(ask, out);
    }
    buf_putc(out, ']');
    int64_t n = ask->n;
    if (ask->fault == FAULT_CUT_PROMPT) n--;
    if (ask->fault == FAULT_MORE_PROMPT) n++;
    if (ask->fault != FAULT_NO_USAGE)
        buf_printf(out, ",\"usage\":{\"prompt_tokens\":%lld,\"completion_tokens\":%zu}",
                   (long long)n, ask->made.n);
    buf_putc(out, '}');
}

/* Answers that are no completion at all. */
static const struct {
    FakeFault fault;
    const char *status;
    const char *text;
} odd_answers[] = {
    {FAULT_HTML,      "200 OK",                    "<html><body>a proxy was here \x1b[31m</body></html>"                  },
    {FAULT_STREAM,    "200 OK",                    "data: {\"choices\":[]}\n\ndata: [DONE]\n\n"                           },
    {FAULT_CUT_UTF8,  "200 OK",                    "{\"choices\":[{\"index\":0,\"text\":\"\xc3\"}]}"                      },
    {FAULT_400_LONG,  "400 Bad Request",
     "{\"error\":{\"message\":\"This model's maximum context length is 64 tokens.\",\"code\":400}}"                       },
    {FAULT_400_LLAMA, "400 Bad Request",
     "{\"error\":{\"type\":\"exceed_context_size_error\",\"message\":\"the request exceeds the available context size\"}}"},
    {FAULT_404,       "404 Not Found",             "{\"error\":\"no such model\"}"                                        },
    {FAULT_500,       "500 Internal Server Error", "{\"error\":\"out of memory\"}"                                        },
    {FAULT_503,       "503 Service Unavailable",   "{\"error\":{\"message\":\"Loading model\"}}"                          },
};

static void answer_deep(FakeRequest *request)
{
    Buf text = {0};
    for (int i = 0; i < 5000; i++)
        buf_puts(&text, "{\"choices\":[");
    answer_json(request, "200 OK", &text);
}

/* Whether the fault was all of the answer. */
static bool answer_oddly(const Ask *ask)
{
    FakeRequest *request = ask->request;
    char said[256];
    switch (ask->fault) {
    case FAULT_DEEP: answer_deep(request); return true;
    case FAULT_HUGE:
        fake_printf(request, "HTTP/1.1 200 OK\r\nContent-Length: 300000000\r\n\r\n{");
        return true;
    case FAULT_CUT:
        fake_printf(request, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"choices\":");
        return true;
    case FAULT_HANG: fake_sleep_ms(600); return true;
    case FAULT_CLOSE:
    case FAULT_DEAD: return true;
    case FAULT_401:
        snprintf(said, sizeof said, "{\"error\":\"Incorrect API key provided: %s\"}",
                 ask->fake->key ? ask->fake->key : "");
        answer_text(request, "401 Unauthorized", said);
        return true;
    case FAULT_429:
        fake_answer(request, "429 Too Many Requests", "Retry-After: 1\r\n", "{}", 2);
        return true;
    default: break;
    }
    for (size_t i = 0; i < COUNT_OF(odd_answers); i++) {
        if (odd_answers[i].fault != ask->fault) continue;
        answer_text(request, odd_answers[i].status, odd_answers[i].text);
        return true;
    }
    return false;
}

static bool read_ask(Ask *ask, const json_t *root)
{
    const json_t *prompt = json_object_get(root, "prompt");
    ask->n = (int64_t)json_array_size(prompt);
    ask->ids = calloc((size_t)ask->n + 1, sizeof *ask->ids);
    for (int64_t i = 0; i < ask->n; i++)
        ask->ids[i] = (int32_t)json_integer_value(json_array_get(prompt, (size_t)i));
    ask->n_new = json_integer_value(json_object_get(root, "max_tokens"));
    ask->echo = json_is_true(json_object_get(root, "echo"));
    ask->logprobs = json_is_integer(json_object_get(root, "logprobs"));
    ask->prompt_logprobs = json_is_integer(json_object_get(root, "prompt_logprobs"));
    ask->wants_ids = json_is_true(json_object_get(root, "return_token_ids"));
    const char *name = json_string_value(json_object_get(root, "model"));
    return ask->n > 0 && ask->n_new > 0 && name && str_equal(name, ask->fake->name) &&
           !ask->fake->no_ids;
}

/* The reply is computed under the mutex and sent without it. */
static void answer_ask(Ask *ask)
{
    Buf reply = {0};
    Err err;
    FakeCompletions *fake = ask->fake;
    if (fake->n_ctx > 0 && ask->n + ask->n_new > fake->n_ctx) {
        ask->fault = FAULT_400_LONG;
        answer_oddly(ask);
        return;
    }
    pthread_mutex_lock(&fake->mutex);
    bool ok = compute(ask, &err);
    if (ok) write_reply(ask, &reply);
    pthread_mutex_unlock(&fake->mutex);
    if (!ok) buf_printf(&reply, "{\"error\":\"%s\"}", err.text);
    answer_json(ask->request, ok ? "200 OK" : "400 Bad Request", &reply);
}

static FakeFault next_fault(FakeCompletions *fake, int change)
{
    pthread_mutex_lock(&fake->mutex);
    int i = fake->n_completions - fake->first_fault;
    bool bad = i >= 0 && (fake->n_faults == 0 || i < fake->n_faults);
    fake->n_completions += change > 0;
    fake->n_at_once += change;
    if (fake->n_at_once > fake->most_at_once) fake->most_at_once = fake->n_at_once;
    pthread_mutex_unlock(&fake->mutex);
    return bad ? fake->fault : FAULT_NONE;
}

static void answer_completion(FakeCompletions *fake, FakeRequest *request, const json_t *root)
{
    Ask ask = {.fake = fake, .request = request, .fault = next_fault(fake, 1)};
    bool is_fine = read_ask(&ask, root);
    if (!is_fine)
        answer_text(request, "400 Bad Request", "{\"error\":\"prompt must be a string\"}");
    else if (!answer_oddly(&ask))
        answer_ask(&ask);
    next_fault(fake, -1);
    free(ask.ids);
    free(ask.scores);
    free(ask.tops);
    token_list_free(&ask.made);
}

static void answer_models(const FakeCompletions *fake, FakeRequest *request)
{
    Buf json = {0};
    buf_printf(&json, "{\"object\":\"list\",\"data\":[{\"id\":\"%s\"", fake->name);
    if (fake->shape == FAKE_VLLM && fake->n_ctx > 0)
        buf_printf(&json, ",\"max_model_len\":%lld", (long long)fake->n_ctx);
    buf_puts(&json, "}]}");
    answer_json(request, "200 OK", &json);
}

static void answer_props(const FakeCompletions *fake, FakeRequest *request)
{
    Buf json = {0};
    buf_printf(&json, "{\"default_generation_settings\":{\"n_ctx\":%lld}}", (long long)fake->n_ctx);
    if (fake->shape == FAKE_LLAMA && fake->n_ctx > 0)
        answer_json(request, "200 OK", &json);
    else
        answer_text(request, "404 Not Found", "{}");
    buf_free(&json);
}

static void answer_tokenize(FakeCompletions *fake, FakeRequest *request, const json_t *root)
{
    Err err;
    Buf json = {0};
    TokenList ids = {0};
    bool is_llama = fake->shape == FAKE_LLAMA;
    const char *text = json_string_value(json_object_get(root, is_llama ? "content" : "prompt"));
    bool special =
        json_is_true(json_object_get(root, is_llama ? "add_special" : "add_special_tokens"));
    if (special && fake->adds_bos) token_list_add(&ids, fake->model->bos_id);
    if (!text || !backend_encode(fake->model, text, strlen(text), &ids, &err)) {
        answer_text(request, "400 Bad Request", "{}");
        return;
    }
    if (fake->other_tokenizer) ids.ids[ids.n - 1]++;
    buf_puts(&json, "{\"tokens\":[");
    for (size_t i = 0; i < ids.n; i++)
        buf_printf(&json, "%s%d", i ? "," : "", ids.ids[i]);
    buf_puts(&json, "]}");
    answer_json(request, "200 OK", &json);
    token_list_free(&ids);
}

static bool knows_key(const FakeCompletions *fake, const FakeRequest *request)
{
    char got[256], wanted[256];
    if (!fake->key) return true;
    snprintf(wanted, sizeof wanted, "Bearer %s", fake->key);
    return fake_header(request, "Authorization", got, sizeof got) && str_equal(got, wanted);
}

static bool is_dead(FakeCompletions *fake)
{
    pthread_mutex_lock(&fake->mutex);
    bool dead = fake->fault == FAULT_DEAD && fake->n_completions > fake->first_fault;
    pthread_mutex_unlock(&fake->mutex);
    return dead;
}

static void handle(void *context, FakeRequest *request)
{
    FakeCompletions *fake = context;
    size_t n;
    char *body = fake_read_body(request, &n);
    if (!body || is_dead(fake)) {
        free(body);
        return;
    }
    json_t *root = json_loadb(body, n, 0, NULL);
    if (!knows_key(fake, request))
        answer_text(request, "401 Unauthorized", "{\"error\":\"no key\"}");
    else if (str_equal(request->path, "/v1/models"))
        answer_models(fake, request);
    else if (str_equal(request->path, "/props"))
        answer_props(fake, request);
    else if (str_equal(request->path, "/tokenize"))
        answer_tokenize(fake, request, root);
    else if (str_equal(request->path, "/v1/completions"))
        answer_completion(fake, request, root);
    else
        answer_text(request, "404 Not Found", "{}");
    json_decref(root);
    free(body);
}

FakeCompletions *fake_completions_start(Backend *model, int port)
{
    FakeCompletions *fake = mem_zalloc(1, sizeof *fake);
    fake->model = model;
    fake->name = "walker";
    pthread_mutex_init(&fake->mutex, NULL);
    fake->server = fake_server_start_on(port, handle, fake);
    snprintf(fake->url, sizeof fake->url, "http://127.0.0.1:%d", fake_server_port(fake->server));
    return fake;
}

void fake_completions_stop(FakeCompletions *fake)
{
    fake_server_stop(fake->server);
    pthread_mutex_destroy(&fake->mutex);
    free(fake);
}
