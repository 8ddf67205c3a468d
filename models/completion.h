/* Reads the replies of /v1/completions, which come from strangers: nothing in them is taken for true that can be checked
 * against what was asked. */
#ifndef MODELS_COMPLETION_H
#define MODELS_COMPLETION_H

#include "base/json.h"
#include "models/session.h"

enum {
    COMPLETION_MAX_BYTES = 256 << 20,
    COMPLETION_NAME_SIZE = 256,
    COMPLETION_QUOTED = 200, /* most bytes of a reply that a message quotes */
};

/* Where a server puts the log-probabilities of a prompt. */
typedef enum {
    PROMPT_SCORES_NONE,
    PROMPT_SCORES_ECHO, /* echo and logprobs, as OpenAI had it */
    PROMPT_SCORES_IDS,  /* prompt_logprobs of vLLM: by token id, with ranks */
} PromptScores;

/* A reply whose frame is right: one choice, of index 0. Free with completion_free. */
typedef struct {
    json_t *root;
    const json_t *choice;
    char id
        [COMPLETION_NAME_SIZE]; /* of the request, by the server; escaped, as the next two; "": none */
    char model[COMPLETION_NAME_SIZE];       /* that answered */
    char fingerprint[COMPLETION_NAME_SIZE]; /* of the system that answered */
    int64_t n_prompt; /* tokens of the prompt as the server counted them; -1: not said */
    bool truncated;   /* the server says that it cut the prompt */
} Completion;

/* Errors: NET (no JSON, another shape). */
bool completion_parse(const char *text, size_t n, Completion *out, Err *err) MUST_USE;
void completion_free(Completion *completion);

/* What was sent: n token ids. */
typedef struct {
    const int32_t *ids;
    int64_t n;
    const Tokenizer *tokenizer; /* NULL: tokens in words are refused; those in ids are not */
} CompletionPrompt;

/* Checks that the server read the prompt that it was sent. Errors: TRUNCATED, NET (it does not say how many tokens it read). */
bool completion_check_prompt(const Completion *completion, const CompletionPrompt *prompt,
                             Err *err) MUST_USE;

/* Whether the reply has scores of the prompt in this place, well-formed or not. */
bool completion_has_scores(const Completion *completion, PromptScores scores,
                           const CompletionPrompt *prompt);

/* Which scores of a prompt are read, and where they go. */
typedef struct {
    PromptScores shape;
    const uint8_t *want; /* rows i < n-1 that are; NULL: all */
    TokenScore *out;     /* [n - 1]; rank and argmax are -1 where the reply does not tell them */
    double *
        top_logp; /* [n] or NULL: of the likeliest token at each position, NaN where it is not told */
} CompletionScores;

/* Scores a prompt as session_score does. Errors: NET (another number of tokens, other tokens, no numbers), NONFINITE (minus infinity,
 * which vLLM writes as -9999). */
bool completion_read_scores(const Completion *completion, const CompletionPrompt *prompt,
                            const CompletionScores *scores, Err *err) MUST_USE;

/* Log-probability of the first token that was generated; NaN where the reply does not tell it. */
double completion_first_logp(const Completion *completion);

/* Appends the generated tokens: their ids where the reply has them, else the text's. Errors: NET, and as tokenizer_encode. */
bool completion_read_tokens(const Completion *completion, const CompletionPrompt *prompt,
                            TokenList *out, Err *err) MUST_USE;

/* Names the start of a reply for a message: "\"<html>…\"". */
void completion_quote(const char *text, size_t n, char out[4 * COMPLETION_QUOTED]);

#endif
