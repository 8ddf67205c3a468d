/* What a server can do is found out with one short prompt of known tokens. In order:
 *
 *     GET  /v1/models     which model, and the longest context where the server says it (vLLM); else GET /props (llama-server)
 *     POST /tokenize      must split a text into our tokens; with special tokens asked for, tells whether a text gets a BOS
 *     POST completions    prompt_logprobs, then echo: the first whose tokens are ours, whose first entry alone is null, and
 *                         whose likeliest tokens have the log-probabilities with which the same server begins to
 *                         generate at each place (a shifted list has others)
 *
 * A server without either still generates, which passkey can be measured by. */
#include "models/backend_openai_internal.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/http.h"
#include "base/mem.h"
#include "base/str.h"

enum { N_PROBE = 12, MAX_LISTED = 8 };

/* Nats between two ways of asking for one number; batches and half precision change the last digits. */
#define LOGP_TOLERANCE 0.25

/* Some words that follow from those before and some that nothing leads to, so that no two places are predicted alike. */
static const char probe_text[] =
    "Seven zebras of the United States, and in the beginning: Na\u00efve 1,024 tokens; the end of it.\n";

typedef struct {
    Openai *openai;
    OpenaiServer *server;
    TokenList ids; /* of probe_text */
    double
        first_logp[N_PROBE]; /* of the first token generated after so many of them; NaN: not told */
    bool found_fault; /* scores that are wrong: a better reason than that another shape is absent */
} Prober;

bool openai_is_address(const char *text)
{
    return str_starts_with(text, "http://") || str_starts_with(text, "https://");
}

static void cut_end(char *text, const char *end)
{
    size_t n = strlen(text), n_end = strlen(end);
    if (str_ends_with(text, end)) text[n - n_end] = '\0';
}

bool openai_address_parse(const char *text, OpenaiAddress *out, Err *err)
{
    char shown[HTTP_URL_SHOWN];
    size_t n = strcspn(text, "#");
    const char *name = text[n] ? text + n + 1 : "";
    *out = (OpenaiAddress){0};
    http_shown(text, shown);
    if (memchr(text, '?', n))
        return err_set(err, ERR_USAGE,
                       "%s: a server's address has no query; a key is given by "
                       "OPENAI_API_KEY or --api-key-file",
                       shown);
    if (n + sizeof "/v1" > sizeof out->base || strlen(name) >= sizeof out->name)
        return err_set(err, ERR_USAGE, "a server's address or its #name is too long");
    memcpy(out->root, text, n);
    cut_end(out->root, "/");
    cut_end(out->root, "/completions");
    cut_end(out->root, "/v1");
    snprintf(out->name, sizeof out->name, "%s", name);
    snprintf(out->base, sizeof out->base, "%.*s/v1", OPENAI_URL_SIZE - 4, out->root);
    return http_check_url(out->base, err);
}

bool openai_is_ready(const OpenaiConfig *config, double timeout_s, Err *err)
{
    OpenaiConfig once = *config;
    once.max_retries = 0;
    once.timeout_s = timeout_s;
    Openai *openai = openai_open(&once, err);
    if (!openai) return false;
    int status = 0;
    const Buf *body;
    char *url = str_format("%s/models", config->address->base);
    bool ok = openai_send(openai, url, NULL, &status, &body, err) &&
              (status == 200 || err_set(err, ERR_NET, "%s: status %d", url, status));
    free(url);
    openai_close(openai);
    return ok;
}

/* An answer as JSON; NULL, and no error, where the server has no such place. */
static bool ask_json(const Prober *prober, const char *url, const char *json, json_t **out,
                     int *status, Err *err)
{
    const Buf *body;
    Err unused;
    const JsonLimits limits = {.origin = "reply", .max_bytes = 1 << 24};
    *out = NULL;
    if (!openai_send(prober->openai, url, json, status, &body, err)) return false;
    if (*status == 200 && body->data) *out = json_parse(body->data, body->len, &limits, &unused);
    return true;
}

static bool refuse_status(const char *url, int status, Err *err)
{
    const char *what = status == 401 || status == 403
                           ? "the server wants another key: OPENAI_API_KEY, or --api-key-file FILE"
                       : status == 200 ? "the answer is no list of models"
                                       : "is this a server of /v1/completions?";
    return err_set(err, ERR_NET, "%s: status %d: %s", url, status, what);
}

/* The entry of the model asked for; where no name was given, the only one. */
static const json_t *choose_model(const json_t *data, const char *name, Err *err)
{
    char shown[COMPLETION_NAME_SIZE];
    Buf names = {0};
    for (size_t i = 0; i < json_array_size(data); i++) {
        const json_t *entry = json_array_get(data, i);
        const char *id = json_string_value(json_find(entry, "id"));
        if (id && (str_equal(id, name) || (!*name && json_array_size(data) == 1))) {
            buf_free(&names);
            return entry;
        }
        if (!id || i >= MAX_LISTED) continue;
        str_escape(id, strlen(id), shown, sizeof shown);
        buf_printf(&names, " %s", shown);
    }
    if (*name)
        err_set(err, ERR_NET, "the server has no model \"%s\"; it has:%s", name, buf_text(&names));
    else
        err_set(err, ERR_USAGE, "name the model, as http://host:port#NAME; the server has:%s",
                buf_text(&names));
    buf_free(&names);
    return NULL;
}

static bool read_models(Prober *prober, const json_t *root, Err *err)
{
    OpenaiServer *server = prober->server;
    const char *name = openai_config(prober->openai)->address->name;
    const json_t *data = json_find(root, "data");
    const json_t *entry = choose_model(data, name, err);
    if (!entry) return false;
    const char *id = json_string_value(json_find(entry, "id"));
    if (strlen(id) >= sizeof server->model)
        return err_set(err, ERR_NET, "the name of the server's model is too long");
    snprintf(server->model, sizeof server->model, "%s", id);
    Err unused;
    if (!json_get_i64(entry, "max_model_len", 1, INT32_MAX, &server->n_ctx_max, &unused))
        server->n_ctx_max = 0;
    return true;
}

static bool ask_models(Prober *prober, Err *err)
{
    json_t *root;
    int status;
    char *url = str_format("%s/models", openai_config(prober->openai)->address->base);
    bool ok = ask_json(prober, url, NULL, &root, &status, err);
    if (ok && json_is_array(json_find(root, "data")))
        ok = read_models(prober, root, err);
    else if (ok)
        ok = refuse_status(url, status, err);
    json_decref(root);
    free(url);
    return ok;
}

/* llama-server's context of one slot. */
static bool ask_props(Prober *prober, Err *err)
{
    json_t *root;
    int status;
    Err unused;
    if (prober->server->n_ctx_max > 0) return true;
    char *url = str_format("%s/props", openai_config(prober->openai)->address->root);
    bool ok = ask_json(prober, url, NULL, &root, &status, err);
    const json_t *settings = json_find(root, "default_generation_settings");
    if (!json_get_i64(settings, "n_ctx", 1, INT32_MAX, &prober->server->n_ctx_max, &unused))
        prober->server->n_ctx_max = 0;
    json_decref(root);
    free(url);
    return ok;
}

/* Token ids that the server makes of probe_text, in words of both kinds of server; *found is false where it has no /tokenize. */
static bool ask_tokens(Prober *prober, bool special, TokenList *out, bool *found, Err *err)
{
    json_t *root;
    int status;
    Buf json = {0};
    const char *flag = special ? "true" : "false";
    char *url = str_format("%s/tokenize", openai_config(prober->openai)->address->root);
    buf_puts(&json, "{\"model\":");
    openai_write_string(prober->server->model, &json);
    buf_puts(&json, ",\"prompt\":");
    openai_write_string(probe_text, &json);
    buf_puts(&json, ",\"content\":");
    openai_write_string(probe_text, &json);
    buf_printf(&json, ",\"add_special_tokens\":%s,\"add_special\":%s}", flag, flag);
    bool ok = ask_json(prober, url, buf_text(&json), &root, &status, err);
    const json_t *tokens = json_find(root, "tokens");
    *found = json_is_array(tokens);
    for (size_t i = 0; i < json_array_size(tokens); i++) {
        json_int_t id = json_integer_value(json_array_get(tokens, i));
        token_list_add(out, id < 0 || id > INT32_MAX ? -1 : (int32_t)id);
    }
    json_decref(root);
    buf_free(&json);
    free(url);
    return ok;
}

static bool same_tokens(const TokenList *a, const TokenList *b, size_t first)
{
    return a->n == b->n + first && memcmp(a->ids + first, b->ids, b->n * sizeof *b->ids) == 0;
}

static bool check_tokens(Prober *prober, Err *err)
{
    OpenaiServer *server = prober->server;
    TokenList bare = {0}, special = {0};
    bool found, found_special = false;
    server->adds_bos = -1;
    bool ok = ask_tokens(prober, false, &bare, &found, err);
    if (ok && found && !same_tokens(&bare, &prober->ids, 0))
        ok = err_set(
            err, ERR_INPUT,
            "%s reads a text into %zu tokens, the --tokenizer reads it into %zu or others: is it "
            "the one of the model \"%s\"?",
            openai_config(prober->openai)->address->base, bare.n, prober->ids.n, server->model);
    server->has_tokenize = ok && found;
    ok = ok && (!found || ask_tokens(prober, true, &special, &found_special, err));
    if (ok && found_special && same_tokens(&special, &prober->ids, 0)) server->adds_bos = 0;
    if (ok && found_special && same_tokens(&special, &prober->ids, 1)) server->adds_bos = 1;
    token_list_free(&bare);
    token_list_free(&special);
    return ok;
}

static void set_why(Prober *prober, const char *why)
{
    if (!prober->found_fault)
        snprintf(prober->server->why_not, OPENAI_WHY_SIZE, "%.*s", OPENAI_WHY_SIZE - 1, why);
}

/* Asks for the first n tokens of the probe text. *ok_reply is false, and why_not set, where the server refuses or reads
 * another prompt. */
static bool try_prompt(Prober *prober, int64_t n, PromptScores scores, Completion *out,
                       bool *ok_reply, Err *err)
{
    char why[OPENAI_WHY_SIZE];
    Err problem;
    int status;
    const CompletionAsk ask = {
        .model = prober->server->model,
        .prompt = {prober->ids.ids, n, openai_config(prober->openai)->tokenizer},
        .n_new = 1,
        .scores = scores,
        .tells_logp = scores == PROMPT_SCORES_NONE,
    };
    if (!openai_complete(prober->openai, &ask, &status, out, why, err)) return false;
    *ok_reply = status == 200 && completion_check_prompt(out, &ask.prompt, &problem);
    if (status == 200 && !*ok_reply)
        snprintf(why, sizeof why, "%.*s", OPENAI_WHY_SIZE - 1, problem.text);
    if (*ok_reply) return true;
    char text[OPENAI_WHY_SIZE];
    snprintf(text, sizeof text, "a prompt of token ids: status %d: %.400s", status, why);
    set_why(prober, text);
    completion_free(out);
    return true;
}

/* Whether generation from token ids works, and how likely its first token is after each beginning of the prompt. */
static bool try_generate(Prober *prober, Err *err)
{
    Completion reply;
    OpenaiServer *server = prober->server;
    for (int64_t n = N_PROBE - 1; n > 0; n--) {
        if (!try_prompt(prober, n, PROMPT_SCORES_NONE, &reply, &server->takes_ids, err))
            return false;
        if (!server->takes_ids) return true;
        prober->first_logp[n] = completion_first_logp(&reply);
        snprintf(server->answers_as, sizeof server->answers_as, "%s", reply.model);
        snprintf(server->fingerprint, sizeof server->fingerprint, "%s", reply.fingerprint);
        completion_free(&reply);
    }
    return true;
}

/* Whether scores of the probe's prompt are those of its tokens. */
static bool check_rows(const Prober *prober, const Completion *reply,
                       const CompletionPrompt *prompt, const CompletionScores *wanted,
                       char why[OPENAI_WHY_SIZE])
{
    Err problem;
    if (!completion_read_scores(reply, prompt, wanted, &problem)) {
        snprintf(why, OPENAI_WHY_SIZE, "%.*s", OPENAI_WHY_SIZE - 1, problem.text);
        return false;
    }
    for (int64_t at = 1; at < prompt->n; at++) {
        double top = wanted->top_logp[at], first = prober->first_logp[at];
        /* Without one of the two numbers there is nothing to compare. */
        if (!(fabs(top - first) > LOGP_TOLERANCE)) continue;
        snprintf(
            why, OPENAI_WHY_SIZE,
            "log-probabilities of a prompt are not those of its tokens: at position %lld %.4g and %.4g",
            (long long)at, top, first);
        return false;
    }
    return true;
}

/* Looks at one shape of prompt scores; leaves why_not where they are not to be had. */
static bool try_scores(Prober *prober, PromptScores scores, Err *err)
{
    Completion reply;
    TokenScore rows[N_PROBE];
    double top[N_PROBE];
    bool ok_reply;
    OpenaiServer *server = prober->server;
    if (!try_prompt(prober, N_PROBE, scores, &reply, &ok_reply, err)) return false;
    if (!ok_reply) return true;
    const CompletionPrompt prompt = {prober->ids.ids, N_PROBE,
                                     openai_config(prober->openai)->tokenizer};
    const CompletionScores wanted = {.shape = scores, .out = rows, .top_logp = top};
    char why[OPENAI_WHY_SIZE] = "";
    if (!completion_has_scores(&reply, scores, &prompt))
        set_why(prober, "the server gives log-probabilities of generated tokens only");
    else if (check_rows(prober, &reply, &prompt, &wanted, why))
        server->scores = scores;
    else
        set_why(prober, why);
    prober->found_fault = prober->found_fault || why[0];
    completion_free(&reply);
    return true;
}

static bool check_scores(Prober *prober, Err *err)
{
    OpenaiServer *server = prober->server;
    if (!try_generate(prober, err)) return false;
    if (!server->takes_ids) return true;
    if (!try_scores(prober, PROMPT_SCORES_IDS, err)) return false;
    if (server->scores == PROMPT_SCORES_NONE && !try_scores(prober, PROMPT_SCORES_ECHO, err))
        return false;
    if (server->scores != PROMPT_SCORES_NONE) server->why_not[0] = '\0';
    return true;
}

bool openai_probe(const OpenaiConfig *config, OpenaiServer *out, Err *err)
{
    *out = (OpenaiServer){0};
    Prober prober = {.openai = openai_open(config, err), .server = out};
    if (!prober.openai) return false;
    bool ok = tokenizer_encode(config->tokenizer, probe_text, sizeof probe_text - 1, false,
                               &prober.ids, err);
    if (ok && prober.ids.n < N_PROBE)
        ok = err_set(err, ERR_UNSUPPORTED, "the tokenizer makes a few words %zu tokens long",
                     prober.ids.n);
    ok = ok && ask_models(&prober, err) && ask_props(&prober, err) && check_tokens(&prober, err) &&
         check_scores(&prober, err);
    token_list_free(&prober.ids);
    openai_close(prober.openai);
    return ok;
}

void openai_describe(const OpenaiServer *server, Buf *out)
{
    static const char *const scores[] = {"no", "echo", "prompt_logprobs"};
    char model[COMPLETION_NAME_SIZE];
    str_escape(server->model, strlen(server->model), model, sizeof model);
    buf_printf(out, "model %s", model);
    if (server->answers_as[0] && !str_equal(server->answers_as, model))
        buf_printf(out, " (answers as %s)", server->answers_as);
    if (server->fingerprint[0]) buf_printf(out, ", system %s", server->fingerprint);
    buf_printf(out, ", token-id prompts %s, prompt log-probabilities %s, /tokenize %s",
               server->takes_ids ? "yes" : "no", scores[server->scores],
               server->has_tokenize ? "agrees" : "no");
    if (server->adds_bos >= 0)
        buf_printf(out, ", BOS before texts %s", server->adds_bos ? "yes" : "no");
    if (server->n_ctx_max > 0)
        buf_printf(out, ", context %lld tokens", (long long)server->n_ctx_max);
    else
        buf_puts(out, ", context not told");
    if (server->why_not[0]) buf_printf(out, "; %s", server->why_not);
}
