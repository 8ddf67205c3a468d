/* Two shapes carry the scores of a prompt:
 *
 *     ids    choices[0].prompt_logprobs = [null, {"15": {"logprob": -0.3, "rank": 1, …}, …}, …]
 *     echo   choices[0].logprobs = {"tokens": ["token_id:7" or " key", …], "token_logprobs": [null, -0.3, …],
 *                                   "top_logprobs": [null, {"token_id:15": -0.3}, …]}
 *
 * In both, entry i belongs to token i, the first is null and no other is; echo goes on into the generated tokens. A token that is named by
 * its id must be ours; words must spell our prompt from its start.
 * Source: vLLM, entrypoints/openai/completion/protocol.py; OpenAI, completions (legacy). */
#include "models/completion.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/str.h"

/* What vLLM writes for minus infinity, which JSON has no word for. */
#define LOGP_OF_NOTHING (-9999.0)

static const char id_prefix[] = "token_id:";

void completion_quote(const char *text, size_t n, char out[4 * COMPLETION_QUOTED])
{
    str_escape(text, n < COMPLETION_QUOTED ? n : COMPLETION_QUOTED, out, 4 * COMPLETION_QUOTED);
}

static bool malformed(const Completion *completion, Err *err, const char *what)
{
    return err_set(err, ERR_NET, "the server's reply%s%s: %s", completion->id[0] ? " " : "",
                   completion->id, what);
}

static void copy_name(const json_t *root, const char *key, char out[COMPLETION_NAME_SIZE])
{
    const json_t *value = json_find(root, key);
    out[0] = '\0';
    if (json_is_string(value))
        str_escape(json_string_value(value), json_string_length(value), out, COMPLETION_NAME_SIZE);
}

static bool read_frame(Completion *out, Err *err)
{
    const json_t *choices = json_find(out->root, "choices");
    const json_t *usage = json_find(out->root, "usage");
    int64_t index = 0;
    copy_name(out->root, "id", out->id);
    copy_name(out->root, "model", out->model);
    copy_name(out->root, "system_fingerprint", out->fingerprint);
    if (!json_is_array(choices) || json_array_size(choices) != 1)
        return malformed(out, err, "\"choices\" is not a list of one");
    out->choice = json_array_get(choices, 0);
    if (!json_is_object(out->choice)) return malformed(out, err, "a choice is no object");
    if (!json_get_i64(out->choice, "index", 0, 0, &index, err) ||
        !json_get_bool(out->choice, "truncated", &out->truncated, err) ||
        (usage && !json_get_i64(usage, "prompt_tokens", 0, INT32_MAX, &out->n_prompt, err)))
        return malformed(out, err, "\"index\", \"truncated\" or \"prompt_tokens\" is out of range");
    return true;
}

bool completion_parse(const char *text, size_t n, Completion *out, Err *err)
{
    const JsonLimits limits = {.origin = "reply", .max_bytes = COMPLETION_MAX_BYTES};
    *out = (Completion){.n_prompt = -1};
    Err why;
    out->root = json_parse(text, n, &limits, &why);
    if (json_is_object(out->root)) {
        if (read_frame(out, err)) return true;
    } else {
        char start[4 * COMPLETION_QUOTED];
        completion_quote(text, n, start);
        err_set(err, ERR_NET,
                "the server's reply is not the JSON of a completion; it begins \"%s\"", start);
    }
    completion_free(out);
    return false;
}

void completion_free(Completion *completion)
{
    json_decref(completion->root);
    *completion = (Completion){0};
}

bool completion_check_prompt(const Completion *completion, const CompletionPrompt *prompt, Err *err)
{
    if (completion->truncated)
        return err_set(err, ERR_TRUNCATED, "the server says that it cut the prompt of %lld tokens",
                       (long long)prompt->n);
    if (completion->n_prompt < 0)
        return malformed(completion, err,
                         "no usage.prompt_tokens, so whether the prompt was cut is not known");
    return completion->n_prompt == prompt->n ||
           err_set(err, ERR_TRUNCATED, "the server read %lld tokens of the %lld that it was sent",
                   (long long)completion->n_prompt, (long long)prompt->n);
}

static const json_t *echo_list(const Completion *completion, const char *key)
{
    const json_t *logprobs = json_find(completion->choice, "logprobs");
    const json_t *list = json_is_object(logprobs) ? json_find(logprobs, key) : NULL;
    return json_is_array(list) ? list : NULL;
}

bool completion_has_scores(const Completion *completion, PromptScores scores,
                           const CompletionPrompt *prompt)
{
    if (scores == PROMPT_SCORES_IDS)
        return json_is_array(json_find(completion->choice, "prompt_logprobs"));
    const json_t *list = echo_list(completion, "token_logprobs");
    return list && (int64_t)json_array_size(list) > prompt->n / 2;
}

/* One number of a reply, at a position of the prompt. */
static bool read_logp(const Completion *completion, const json_t *value, int64_t at, double *logp,
                      Err *err)
{
    char what[128];
    *logp = json_is_number(value) ? json_number_value(value) : 1.0;
    if (*logp <= LOGP_OF_NOTHING)
        return err_set(
            err, ERR_NONFINITE,
            "reply %s: the log-probability of the token at position %lld is minus infinity",
            completion->id, (long long)at);
    /* Sums of float probabilities come out a little above 1. */
    if (*logp < 1e-3) return true;
    snprintf(what, sizeof what, "the token at position %lld has no log-probability", (long long)at);
    return malformed(completion, err, what);
}

/* A position of the prompt as the reply has it. */
typedef struct {
    TokenScore score;
    double top_logp;
} Scored;

/* The likeliest token of an entry, where that is not ours. */
static void read_ids_top(json_t *entry, const json_t *ours, Scored *out)
{
    const char *key;
    json_t *other;
    json_object_foreach(entry, key, other)
    {
        int64_t id;
        if (other == ours || json_integer_value(json_object_get(other, "rank")) != 1 ||
            !str_to_i64(key, &id) || id < 0 || id > INT32_MAX)
            continue;
        out->score.argmax = (int32_t)id;
        out->top_logp = json_number_value(json_object_get(other, "logprob"));
    }
}

/* An entry of prompt_logprobs: the token that stands there and the likeliest, which may be one. */
static bool read_ids_entry(const Completion *completion, json_t *entry,
                           const CompletionPrompt *prompt, int64_t at, Scored *out, Err *err)
{
    char name[16], what[128];
    double logp;
    int64_t rank = 0;
    snprintf(name, sizeof name, "%d", prompt->ids[at]);
    const json_t *ours = json_object_get(entry, name);
    if (!json_is_object(ours)) {
        snprintf(what, sizeof what, "position %lld of prompt_logprobs is not about token %d",
                 (long long)at, prompt->ids[at]);
        return malformed(completion, err, what);
    }
    if (!read_logp(completion, json_object_get(ours, "logprob"), at, &logp, err)) return false;
    if (!json_get_i64(ours, "rank", 1, INT32_MAX, &rank, err) || rank == 0)
        return malformed(completion, err, "a rank is absent or out of range");
    *out = (Scored){
        {.nll = -logp, .rank = (int32_t)rank - 1, .argmax = -1},
        logp
    };
    if (rank == 1) out->score.argmax = prompt->ids[at];
    read_ids_top(entry, ours, out);
    return true;
}

/* The id of "token_id:15", or -1. */
static int64_t named_id(const char *text)
{
    int64_t id;
    if (!str_starts_with(text, id_prefix)) return -1;
    return str_to_i64(text + sizeof id_prefix - 1, &id) && id >= 0 && id <= INT32_MAX ? id : -1;
}

/* The likeliest of an entry of top_logprobs. A server may add the token itself where it is not among them. */
static void read_echo_top(json_t *entry, Scored *out)
{
    const char *key, *best = NULL;
    json_t *value;
    *out = (Scored){
        {.rank = -1, .argmax = -1},
        (double)NAN
    };
    json_object_foreach(entry, key, value)
    {
        if (!json_is_number(value) || (best && json_number_value(value) <= out->top_logp)) continue;
        best = key;
        out->top_logp = json_number_value(value);
    }
    if (best) out->score.argmax = (int32_t)named_id(best);
}

/* Whether the words spell the prompt. Servers differ in how they write a control token and the space before a first word. */
static bool spells(const Buf *words, const CompletionPrompt *prompt)
{
    bool same = false;
    for (int way = 0; way < 4 && !same; way++) {
        Buf ours = {0};
        tokenizer_decode(prompt->tokenizer, prompt->ids, (size_t)prompt->n, (way & 1) != 0,
                         (way & 2) != 0, &ours);
        same =
            ours.len == words->len && ours.len > 0 && memcmp(ours.data, words->data, ours.len) == 0;
        buf_free(&ours);
    }
    return same;
}

/* Tokens of a reply against ours: by id, or as far as their words spell the prompt. */
static bool check_echo_tokens(const Completion *completion, const json_t *tokens,
                              const CompletionPrompt *prompt, Err *err)
{
    char what[128];
    Buf theirs = {0};
    bool in_words = false, ok = true;
    for (int64_t i = 0; ok && i < prompt->n; i++) {
        const json_t *token = json_array_get(tokens, (size_t)i);
        const char *text = json_string_value(token);
        if (text && str_starts_with(text, id_prefix)) {
            ok = named_id(text) == prompt->ids[i];
        } else {
            ok = text && prompt->tokenizer;
            in_words = true;
            if (ok) buf_append(&theirs, text, json_string_length(token));
        }
        snprintf(what, sizeof what, "token %lld of the echo is not token %d of the prompt",
                 (long long)i, prompt->ids[i]);
    }
    if (ok && in_words) {
        ok = spells(&theirs, prompt);
        snprintf(what, sizeof what, "the tokens of the echo do not spell the prompt");
    }
    buf_free(&theirs);
    return ok || malformed(completion, err, what);
}

static bool check_count(const Completion *completion, const json_t *list, int64_t n, bool may_go_on,
                        Err *err)
{
    char what[128];
    int64_t found = list ? (int64_t)json_array_size(list) : 0;
    if (found == n || (may_go_on && found > n)) return true;
    snprintf(what, sizeof what, "it has log-probabilities of %lld tokens, %lld were sent",
             (long long)found, (long long)n);
    return malformed(completion, err, what);
}

static bool check_first(const Completion *completion, const json_t *list, Err *err)
{
    return json_is_null(json_array_get(list, 0)) ||
           malformed(completion, err,
                     "the first token has a log-probability, before which nothing stands: they are "
                     "shifted");
}

static bool is_wanted(const CompletionScores *scores, int64_t at)
{
    return !scores->want || scores->want[at - 1];
}

static void keep(const CompletionScores *scores, int64_t at, const Scored *scored)
{
    if (is_wanted(scores, at)) scores->out[at - 1] = scored->score;
    if (scores->top_logp) scores->top_logp[at] = scored->top_logp;
}

static bool read_by_ids(const Completion *completion, const CompletionPrompt *prompt,
                        const CompletionScores *scores, Err *err)
{
    const json_t *list = json_find(completion->choice, "prompt_logprobs");
    if (!json_is_array(list)) return malformed(completion, err, "no list \"prompt_logprobs\"");
    if (!check_count(completion, list, prompt->n, false, err) ||
        !check_first(completion, list, err))
        return false;
    for (int64_t at = 1; at < prompt->n; at++) {
        Scored scored;
        /* Every position is looked at: one that is not ours means that the others are not either. */
        if (read_ids_entry(completion, json_array_get(list, (size_t)at), prompt, at, &scored, err))
            keep(scores, at, &scored);
        else if (err->code != ERR_NONFINITE || is_wanted(scores, at))
            return false;
    }
    return true;
}

static bool read_by_echo(const Completion *completion, const CompletionPrompt *prompt,
                         const CompletionScores *scores, Err *err)
{
    const json_t *logps = echo_list(completion, "token_logprobs");
    const json_t *tokens = echo_list(completion, "tokens");
    const json_t *tops = echo_list(completion, "top_logprobs");
    if (!check_count(completion, logps, prompt->n, true, err) ||
        !check_count(completion, tokens, prompt->n, true, err) ||
        !check_first(completion, logps, err) || !check_echo_tokens(completion, tokens, prompt, err))
        return false;
    for (int64_t at = 1; at < prompt->n; at++) {
        double logp;
        Scored scored;
        read_echo_top(json_array_get(tops, (size_t)at), &scored);
        if (read_logp(completion, json_array_get(logps, (size_t)at), at, &logp, err)) {
            scored.score.nll = -logp;
            keep(scores, at, &scored);
        } else if (is_wanted(scores, at)) {
            return false;
        }
    }
    return true;
}

bool completion_read_scores(const Completion *completion, const CompletionPrompt *prompt,
                            const CompletionScores *scores, Err *err)
{
    bool by_ids = scores->shape == PROMPT_SCORES_IDS;
    return by_ids ? read_by_ids(completion, prompt, scores, err)
                  : read_by_echo(completion, prompt, scores, err);
}

double completion_first_logp(const Completion *completion)
{
    const json_t *list = echo_list(completion, "token_logprobs");
    const json_t *first = list ? json_array_get(list, 0) : NULL;
    return json_is_number(first) ? json_number_value(first) : (double)NAN;
}

bool completion_read_tokens(const Completion *completion, const CompletionPrompt *prompt,
                            TokenList *out, Err *err)
{
    const json_t *ids = json_find(completion->choice, "token_ids");
    const json_t *text = json_find(completion->choice, "text");
    if (!json_is_array(ids)) {
        if (!json_is_string(text) || !prompt->tokenizer)
            return malformed(completion, err, "no \"text\" of a completion");
        return tokenizer_encode(prompt->tokenizer, json_string_value(text),
                                json_string_length(text), false, out, err);
    }
    for (size_t i = 0; i < json_array_size(ids); i++) {
        json_int_t id = json_integer_value(json_array_get(ids, i));
        if (!json_is_integer(json_array_get(ids, i)) || id < 0 || id > INT32_MAX)
            return malformed(completion, err, "\"token_ids\" holds something that is no id");
        token_list_add(out, (int32_t)id);
    }
    return true;
}
