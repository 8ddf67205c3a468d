/* A server of /v1/completions on loopback for tests, in the shapes of vLLM, of an older OpenAI server and of llama-server, whose numbers are those
 * of a backend of this program: the engine on a real model, so that what comes through HTTP can be held to what does not.
 * Everything that such a server may do wrong can be asked for. */
#ifndef TESTS_FAKE_COMPLETIONS_H
#define TESTS_FAKE_COMPLETIONS_H

#include <pthread.h>

#include "models/backend.h"
#include "tests/fake_server.h"

typedef enum {
    FAKE_VLLM,  /* prompt_logprobs */
    FAKE_ECHO,  /* echo with logprobs, tokens named by id */
    FAKE_WORDS, /* the same, tokens in words */
    FAKE_LLAMA, /* echo is taken and ignored, logprobs of generated tokens only */
} FakeShape;

typedef enum {
    FAULT_NONE,
    FAULT_SHIFTED,      /* scores stand one token late */
    FAULT_SHIFTED_WELL, /* the same, and the first is null all the same */
    FAULT_OTHER_TOKENS, /* scores are of other tokens */
    FAULT_NULL,         /* one more null among the scores */
    FAULT_NOTHING,      /* one is -9999.0 */
    FAULT_STRING,       /* one is a string */
    FAULT_POSITIVE,     /* one is above 0 */
    FAULT_SHORT,        /* one is missing */
    FAULT_LONG,         /* one too many */
    FAULT_RANK,         /* one has rank 0 */
    FAULT_INDEX,        /* the choice has index 1 */
    FAULT_TWO_CHOICES,
    FAULT_CUT_PROMPT,  /* usage counts fewer tokens */
    FAULT_MORE_PROMPT, /* usage counts more: a BOS was added */
    FAULT_TRUNCATED,   /* "truncated": true */
    FAULT_NO_USAGE,
    FAULT_OTHER_MODEL,
    FAULT_OTHER_SYSTEM,
    FAULT_HTML,
    FAULT_NAN,
    FAULT_DEEP,
    FAULT_STREAM, /* server-sent events */
    FAULT_CUT_UTF8,
    FAULT_HUGE, /* 300 MB are announced */
    FAULT_CUT,  /* the connection ends in the middle of the body */
    FAULT_CLOSE,
    FAULT_HANG,
    FAULT_400_LONG,
    FAULT_400_LLAMA, /* llama-server's words for the same */
    FAULT_401,       /* says the key back */
    FAULT_404,
    FAULT_429, /* Retry-After: 1 */
    FAULT_500,
    FAULT_503,
    FAULT_DEAD, /* every place of the server closes the connection */
} FakeFault;

typedef struct {
    FakeServer *server;
    char url[64];         /* "http://127.0.0.1:port" */
    const char *name;     /* of the model */
    Backend *model;       /* the server takes one prompt at a time through it */
    const char *key;      /* that is wanted; NULL: none */
    int64_t n_ctx;        /* context that it tells and keeps to; 0: none */
    bool adds_bos;        /* to texts */
    bool other_tokenizer; /* /tokenize tells other tokens */
    bool no_ids;          /* token ids are refused */
    double drift;         /* every nll is larger by this part of it */
    FakeShape shape;
    FakeFault fault;
    int first_fault;       /* requests of completions that go well before it */
    int n_faults;          /* how many go wrong; 0: all */
    pthread_mutex_t mutex; /* of the model and of all below */
    int n_completions;     /* requests so far */
    int n_at_once;
    int most_at_once;
} FakeCompletions;

/* Starts a server in front of a backend, on a port or, with 0, on any; the caller sets the fields before the first request. */
FakeCompletions *fake_completions_start(Backend *model, int port);
void fake_completions_stop(FakeCompletions *fake);

#endif
