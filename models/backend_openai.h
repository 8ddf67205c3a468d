/* A model behind a server that speaks OpenAI's /v1/completions: vLLM, llama-server and their kind.
 *
 * Prompts go out as token ids, made by a local tokenizer. What such a server can do differs, so it is asked once, with a
 * prompt of a few tokens, and what it then says is held to that. A server's scaling is set when it is launched: set_rope
 * changes nothing, and who opens the backend must know under which setting the server runs. */
#ifndef MODELS_BACKEND_OPENAI_H
#define MODELS_BACKEND_OPENAI_H

#include "models/backend.h"
#include "models/completion.h"

enum { OPENAI_URL_SIZE = 512, OPENAI_WHY_SIZE = 512 };

/* "http://host:port/v1#name". */
typedef struct {
    char base[OPENAI_URL_SIZE];      /* "http://host:port/v1" */
    char root[OPENAI_URL_SIZE];      /* "http://host:port" */
    char name[COMPLETION_NAME_SIZE]; /* of the model; "": the only one that is served */
} OpenaiAddress;

/* Whether a --model is a server's address. */
bool openai_is_address(const char *text);

/* Reads an address, with or without /v1, /v1/completions and #name. Errors: USAGE (a query, too long), NET (as http_check_url). */
bool openai_address_parse(const char *text, OpenaiAddress *out, Err *err) MUST_USE;

/* How to talk to it. Strings are lent. */
typedef struct {
    const OpenaiAddress *address;
    const char *key;        /* sent as a bearer token, shown nowhere; NULL: none */
    const char *user_agent; /* "name/version" */
    const char *ca_file;    /* NULL: the system's certificates */
    const Tokenizer *tokenizer;
    int vocab_size;
    double timeout_s;                  /* of one request */
    int max_retries;                   /* of a request, after a pause each */
    double backoff_s;                  /* before the first of them; 0: half a second */
    bool (*keep_going)(void *context); /* NULL: always */
    void *context;
} OpenaiConfig;

/* What a server is and can do. */
typedef struct {
    char model[COMPLETION_NAME_SIZE];       /* to ask for */
    char answers_as[COMPLETION_NAME_SIZE];  /* in replies */
    char fingerprint[COMPLETION_NAME_SIZE]; /* in replies; "": none */
    bool takes_ids;                         /* prompts of token ids */
    PromptScores scores;
    char why_not[OPENAI_WHY_SIZE]; /* of the missing one of these two */
    bool has_tokenize;             /* /tokenize, and it agrees with the local tokenizer */
    int adds_bos;                  /* to texts: 1, 0; -1: not known */
    int64_t n_ctx_max;             /* tokens of prompt and answer; 0: not known */
} OpenaiServer;

/* Asks once whether the server lists its models. Errors: NET (with what it said), CANCELLED. */
bool openai_is_ready(const OpenaiConfig *config, double timeout_s, Err *err) MUST_USE;

/* Asks the server what it can do. A server that cannot score prompts is no error.
 * Errors: NET (no server, another answer), USAGE (several models and no name), INPUT (it reads texts into other tokens), CANCELLED. */
bool openai_probe(const OpenaiConfig *config, OpenaiServer *out, Err *err) MUST_USE;

/* Appends a line: "model m, token ids yes, prompt log-probabilities prompt_logprobs, …". */
void openai_describe(const OpenaiServer *server, Buf *out);

/* A connection of its own to a probed server; config and server must outlive it. score: rank and argmax are known where by_text is false.
 * Errors of score and generate: NET, CANCELLED, UNSUPPORTED (with what the probe found), TOO_LONG, TRUNCATED, NONFINITE. */
bool backend_open_openai(Backend *backend, const OpenaiConfig *config, const OpenaiServer *server,
                         int64_t n_ctx_max, Err *err) MUST_USE;

#endif
