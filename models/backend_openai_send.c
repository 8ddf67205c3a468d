/* A server is up, down or hung:
 *
 *     up --a request fails for good--> down --it lists its models--> up
 *                                      down --it does not--> the next request fails at once
 *     up --MAX_HANGS requests in a row run into their time limit--> hung, and nothing more is sent
 *
 * so that the cells of a server that has died end in seconds and not in hours. */
#include "models/backend_openai_internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/mem.h"
#include "base/str.h"

enum { MAX_HANGS = 2 };

#define HEALTH_TIMEOUT_S 10.0

struct Openai {
    OpenaiConfig config;
    Http *http;
    char *models_url;
    char *completions_url;
    Buf body; /* of the last answer */
    Buf json; /* of the last request */
    bool is_down;
    int n_hangs; /* in a row */
};

static bool keep_body(void *context, const void *bytes, size_t n, Err *err)
{
    (void)err;
    Openai *openai = context;
    buf_append(&openai->body, bytes, n);
    return true;
}

static bool forget_body(void *context, const HttpReply *reply, Err *err)
{
    (void)reply, (void)err;
    Openai *openai = context;
    buf_clear(&openai->body);
    return true;
}

Openai *openai_open(const OpenaiConfig *config, Err *err)
{
    Openai *openai = mem_zalloc(1, sizeof *openai);
    openai->config = *config;
    const HttpConfig http = {
        .user_agent = config->user_agent,
        .ca_file = config->ca_file,
        .low_speed_s = config->timeout_s, /* a server that computes sends nothing */
        .backoff_s = config->backoff_s,
        .keep_going = config->keep_going,
        .context = config->context,
    };
    openai->models_url = str_format("%s/models", config->address->base);
    openai->completions_url = str_format("%s/completions", config->address->base);
    openai->http = http_open(&http, err);
    if (openai->http) return openai;
    openai_close(openai);
    return NULL;
}

void openai_close(Openai *openai)
{
    if (!openai) return;
    http_close(openai->http);
    free(openai->models_url);
    free(openai->completions_url);
    buf_free(&openai->body);
    buf_free(&openai->json);
    free(openai);
}

const OpenaiConfig *openai_config(const Openai *openai)
{
    return &openai->config;
}

/* A server may say the key back. */
static void hide_key(const Openai *openai, char *text)
{
    const char *key = openai->config.key;
    if (!key || !*key) return;
    for (char *at = strstr(text, key); at; at = strstr(at, key))
        memset(at, '*', strlen(key));
}

static bool send_once(Openai *openai, const char *url, const char *json, double timeout_s,
                      HttpReply *reply, Err *err)
{
    const HttpRequest request = {
        .url = url,
        .token = openai->config.key,
        .max_bytes = COMPLETION_MAX_BYTES,
        .timeout_s = timeout_s,
        .json = json,
        .n_json = json ? strlen(json) : 0,
        .takes_errors = true,
        .begin = forget_body,
        .body = keep_body,
        .context = openai,
    };
    buf_clear(&openai->body);
    return http_send(openai->http, &request, reply, err);
}

/* Whether it is worth sending anything; see the head of this file. */
static bool check_health(Openai *openai, Err *err)
{
    HttpReply reply;
    if (openai->n_hangs >= MAX_HANGS)
        return err_set(err, ERR_NET, "%s: %d requests in a row had no answer within %g s",
                       openai->config.address->base, openai->n_hangs, openai->config.timeout_s);
    if (!openai->is_down) return true;
    double timeout_s = openai->config.timeout_s;
    if (timeout_s > HEALTH_TIMEOUT_S) timeout_s = HEALTH_TIMEOUT_S;
    if (!send_once(openai, openai->models_url, NULL, timeout_s, &reply, err)) return false;
    if (reply.transient)
        return err_set(err, ERR_NET, "%s: the server is not ready (status %d)", openai->models_url,
                       reply.status);
    openai->is_down = false;
    return true;
}

/* One request with its repetitions. */
static bool send_patiently(Openai *openai, const char *url, const char *json, HttpReply *reply,
                           Err *err)
{
    for (int attempt = 1;; attempt++) {
        double timeout_s = openai->config.timeout_s, start = clock_monotonic_s();
        bool ok = send_once(openai, url, json, timeout_s, reply, err);
        bool hung = !ok && clock_monotonic_s() - start >= 0.99 * timeout_s;
        openai->n_hangs = hung ? openai->n_hangs + 1 : 0;
        if (ok && !reply->transient) return true;
        if (!ok && (err->code != ERR_NET || hung)) return false;
        if (attempt > openai->config.max_retries) return ok;
        Err stopped;
        if (http_wait(openai->http, reply, attempt, &stopped)) continue;
        *err = stopped;
        return false;
    }
}

bool openai_send(Openai *openai, const char *url, const char *json, int *status, const Buf **body,
                 Err *err)
{
    HttpReply reply;
    *status = 0;
    bool ok = check_health(openai, err) && send_patiently(openai, url, json, &reply, err);
    if (!ok) {
        openai->is_down = err->code == ERR_NET;
        hide_key(openai, err->text);
        return false;
    }
    openai->is_down = reply.transient;
    *status = reply.status;
    *body = &openai->body;
    return true;
}

void openai_write_string(const char *text, Buf *out)
{
    json_t *string = json_string(text);
    char *quoted = string ? json_dumps(string, JSON_ENCODE_ANY) : NULL;
    buf_puts(out, quoted ? quoted : "\"\""); /* no UTF-8 */
    free(quoted);
    json_decref(string);
}

static void write_ask(const CompletionAsk *ask, Buf *out)
{
    buf_clear(out);
    buf_puts(out, "{\"model\":");
    openai_write_string(ask->model, out);
    buf_printf(out, ",\"max_tokens\":%lld,\"temperature\":0", (long long)ask->n_new);
    if (ask->scores == PROMPT_SCORES_IDS) buf_puts(out, ",\"prompt_logprobs\":1");
    if (ask->scores == PROMPT_SCORES_ECHO) buf_puts(out, ",\"echo\":true");
    if (ask->scores == PROMPT_SCORES_ECHO || ask->tells_logp) buf_puts(out, ",\"logprobs\":1");
    if (ask->scores == PROMPT_SCORES_ECHO) buf_puts(out, ",\"return_tokens_as_token_ids\":true");
    if (ask->scores == PROMPT_SCORES_NONE) buf_puts(out, ",\"return_token_ids\":true");
    buf_puts(out, ",\"prompt\":[");
    for (int64_t i = 0; i < ask->prompt.n; i++)
        buf_printf(out, "%s%d", i ? "," : "", ask->prompt.ids[i]);
    buf_puts(out, "]}");
}

bool openai_complete(Openai *openai, const CompletionAsk *ask, int *status, Completion *out,
                     char why[OPENAI_WHY_SIZE], Err *err)
{
    const Buf *body;
    *out = (Completion){0};
    why[0] = '\0';
    write_ask(ask, &openai->json);
    if (!openai_send(openai, openai->completions_url, buf_text(&openai->json), status, &body, err))
        return false;
    const char *text = body->data ? body->data : "";
    if (*status == 200) {
        bool ok = completion_parse(text, body->len, out, err);
        hide_key(openai, ok ? out->id : err->text);
        if (!ok) return false;
        hide_key(openai, out->model);
        hide_key(openai, out->fingerprint);
        return true;
    }
    str_escape(text, body->len < OPENAI_WHY_SIZE - 1 ? body->len : OPENAI_WHY_SIZE - 1, why,
               OPENAI_WHY_SIZE);
    hide_key(openai, why);
    return true;
}
