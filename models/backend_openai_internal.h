/* Requests to one server, shared by its probe and its backend. */
#ifndef MODELS_BACKEND_OPENAI_INTERNAL_H
#define MODELS_BACKEND_OPENAI_INTERNAL_H

#include "models/backend_openai.h"

typedef struct Openai Openai;

Openai *openai_open(const OpenaiConfig *config, Err *err) MUST_USE;
void openai_close(Openai *openai);

/* Lends the config that it was opened with. */
const OpenaiConfig *openai_config(const Openai *openai);

/* Sends a JSON text (NULL: a GET) to a URL and gives the answer's body, of any status; lent until the next request. A failure or
 * a status that passes is tried again. After a request that failed for good, the next first asks whether the
 * server is there, and after several that were never answered, none is sent. Errors: NET, CANCELLED. */
bool openai_send(Openai *openai, const char *url, const char *json, int *status, const Buf **body,
                 Err *err) MUST_USE;

/* Appends a text as a JSON string. */
void openai_write_string(const char *text, Buf *out);

/* What to ask of a prompt. */
typedef struct {
    const char *model;
    CompletionPrompt prompt;
    int64_t n_new; /* at least 1: some servers take no less */
    PromptScores scores;
    bool tells_logp; /* of the generated tokens */
} CompletionAsk;

/* Sends a prompt to /v1/completions. *status is the answer's, and *out is filled only where it is 200; the text of another is quoted
 * in why. Errors: as openai_send and completion_parse. */
bool openai_complete(Openai *openai, const CompletionAsk *ask, int *status, Completion *out,
                     char why[OPENAI_WHY_SIZE], Err *err) MUST_USE;

#endif
