/* The shipped model twice: by the engine, and behind a server on loopback. */
#ifndef TESTS_OPENAI_FIXTURE_H
#define TESTS_OPENAI_FIXTURE_H

#include "models/backend_openai.h"
#include "models/model.h"
#include "tests/fake_completions.h"

enum { OPENAI_FIXTURE_N_CTX = 1024 };

typedef struct {
    Model *model;
    Backend engine; /* of the test */
    Backend behind; /* of the server */
    FakeCompletions *fake;
    OpenaiAddress address;
    OpenaiConfig config;
    OpenaiServer server;
    Backend backend; /* to the server; open after openai_fixture_open */
} OpenaiFixture;

/* Set-up and tear-down of a test. */
int openai_fixture_setup(void **state);
int openai_fixture_teardown(void **state);

/* Probes the server as it is now and opens the backend; the test fails if that fails. Requests of completions count from 0 again. */
void openai_fixture_open(OpenaiFixture *f);

#endif
