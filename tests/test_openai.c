/* A model behind a server that is the engine itself: every number that comes through HTTP is the local one. */
#include "tests/test_util.h"

#include <math.h>
#include <pthread.h>
#include <string.h>

#include "base/str.h"
#include "harness/probe.h"
#include "tests/engine_setup.h"
#include "tests/openai_fixture.h"

/* Letters without weight: a text that the model has to read. */
static const char text[] =
    "It was the best of times, it was the worst of times, it was the age of wisdom, it was the age of "
    "foolishness. The pass key is 71432. Remember it. 71432 is the pass key. The rope is long, and the "
    "walk is long, and the men go backwards as they spin it out of hemp.";

typedef struct {
    ProbeSpec spec;
    ProbeInput input;
    ProbeResult result;
} Run;

static void run_probe(Run *run, const char *probe, Backend *backend, const Corpus *corpus,
                      int64_t n_ctx, double depth)
{
    Err err = {0};
    *run = (Run){0};
    assert_ok(probe_spec_parse(probe, &run->spec, &err), &err);
    run->input = (ProbeInput){
        .spec = &run->spec, .text = backend, .corpus = corpus, .seed = 1, .target_max = 512};
    assert_ok(run->spec.probe->run(&run->input, n_ctx, depth, backend, &run->result, &err), &err);
}

static void assert_same_result(const CellResult *a, const CellResult *b)
{
    assert_int_equal(a->status, CELL_DONE);
    assert_int_equal(b->status, CELL_DONE);
    assert_int_equal(a->n_metrics, b->n_metrics);
    assert_int_equal(a->n_trials, b->n_trials);
    for (size_t i = 0; i < a->n_metrics; i++) {
        assert_string_equal(a->metrics[i].name, b->metrics[i].name);
        assert_close(b->metrics[i].value, a->metrics[i].value, 1e-6, 1e-6);
        assert_int_equal(a->metrics[i].n, b->metrics[i].n);
    }
    for (size_t i = 0; i < a->n_trials; i++) {
        const Trial *x = &a->trials[i], *y = &b->trials[i];
        assert_close(y->nll, x->nll, 1e-6, 1e-6);
        assert_int_equal(y->exact, x->exact);
        assert_int_equal(y->forced, x->forced);
        if (x->ranks) assert_string_equal(y->ranks, x->ranks);
        if (x->answer) assert_string_equal(y->answer, x->answer);
        if (!isnan(x->logp_control)) assert_close(y->logp_control, x->logp_control, 1e-6, 1e-6);
    }
}

static void compare(OpenaiFixture *f, const char *probe, const Corpus *corpus, int64_t n_ctx,
                    double depth)
{
    Run local, remote;
    run_probe(&local, probe, &f->engine, corpus, n_ctx, depth);
    run_probe(&remote, probe, &f->backend, corpus, n_ctx, depth);
    assert_same_result(&local.result.cell, &remote.result.cell);
    probe_result_free(&local.result);
    probe_result_free(&remote.result);
}

static Corpus *open_text(const Backend *backend)
{
    Err err;
    Buf many = {0};
    DocumentSplit split = {0};
    for (int i = 0; i < 20; i++)
        buf_puts(&many, text);
    Corpus *corpus =
        corpus_open(test_file("text.txt", buf_text(&many), many.len), &split, backend, &err);
    buf_free(&many);
    assert_ok(corpus, &err);
    return corpus;
}

static void test_numbers_through_http_are_the_local_ones(void **state)
{
    OpenaiFixture *f = *state;
    Corpus *corpus = open_text(&f->engine);
    openai_fixture_open(f);
    assert_int_equal(f->server.scores, PROMPT_SCORES_IDS);
    for (int64_t n_ctx = 128; n_ctx <= 512; n_ctx *= 2) {
        compare(f, "perplexity:k=64,windows=3", corpus, n_ctx, (double)NAN);
        compare(f, "passkey:trials=2", NULL, n_ctx, 0.0);
        compare(f, "passkey:trials=2", NULL, n_ctx, 1.0);
    }
    corpus_free(corpus);
}

static void test_an_echo_gives_the_same_perplexity_and_answers(void **state)
{
    OpenaiFixture *f = *state;
    Corpus *corpus = open_text(&f->engine);
    for (FakeShape shape = FAKE_ECHO; shape <= FAKE_WORDS; shape++) {
        Run local, remote;
        f->fake->shape = shape;
        openai_fixture_open(f);
        assert_int_equal(f->server.scores, PROMPT_SCORES_ECHO);
        compare(f, "perplexity:k=64,windows=3", corpus, 256, (double)NAN);
        run_probe(&local, "passkey:trials=2", &f->engine, NULL, 256, 0.5);
        run_probe(&remote, "passkey:trials=2", &f->backend, NULL, 256, 0.5);
        assert_int_equal(remote.result.cell.n_metrics, 1);
        assert_string_equal(remote.result.cell.metrics[0].name, "passkey_exact");
        assert_close(remote.result.cell.metrics[0].value, local.result.cell.metrics[0].value, 0.0,
                     0.0);
        probe_result_free(&local.result);
        probe_result_free(&remote.result);
    }
    corpus_free(corpus);
}

static void test_a_server_without_prompt_scores_still_finds_keys(void **state)
{
    Err err;
    OpenaiFixture *f = *state;
    Run local, remote;
    TokenScore score[4];
    const int32_t ids[] = {1, 2, 3, 4};
    const uint8_t want[] = {1, 1, 1};
    f->fake->shape = FAKE_LLAMA;
    openai_fixture_open(f);
    assert_int_equal(f->server.scores, PROMPT_SCORES_NONE);
    assert_err(backend_score(&f->backend, ids, 4, want, score, &err), &err, ERR_UNSUPPORTED,
               "no prompt log-probabilities");
    run_probe(&local, "passkey:trials=3", &f->engine, NULL, 256, 0.5);
    run_probe(&remote, "passkey:trials=3", &f->backend, NULL, 256, 0.5);
    assert_int_equal(remote.result.cell.status, CELL_DONE);
    assert_int_equal(remote.result.cell.trials[0].forced, -1);
    assert_true(isnan(remote.result.cell.trials[0].logp));
    for (int i = 0; i < 3; i++)
        assert_int_equal(remote.result.cell.trials[i].exact, local.result.cell.trials[i].exact);
    probe_result_free(&local.result);
    probe_result_free(&remote.result);
}

enum { N_THREADS = 8, N_EACH = 125, N_PROMPT = 12 };

typedef struct {
    OpenaiFixture *f;
    int thread;
    int n_wrong;
} Client;

/* Scores and generations of prompts that differ, each held to what the engine gave for it before. */
static double expected[N_PROMPT];

static void *ask_often(void *context)
{
    Client *client = context;
    Backend backend;
    Err err;
    int32_t ids[N_PROMPT];
    uint8_t want[N_PROMPT];
    TokenScore scores[N_PROMPT];
    memset(want, 1, sizeof want);
    if (!backend_open_openai(&backend, &client->f->config, &client->f->server, 64, &err))
        return NULL;
    for (int i = 0; i < N_EACH; i++) {
        int first = (client->thread + i) % N_PROMPT;
        for (int j = 0; j < N_PROMPT; j++)
            ids[j] = 10 + first + j;
        bool ok = backend_score(&backend, ids, N_PROMPT, want, scores, &err);
        client->n_wrong += !ok || fabs(scores[N_PROMPT - 2].nll - expected[first]) > 1e-6;
    }
    backend_close(&backend);
    return NULL;
}

static void test_a_thousand_requests_eight_at_once_all_get_their_own_answer(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    pthread_t threads[N_THREADS];
    Client clients[N_THREADS];
    int32_t ids[N_PROMPT];
    uint8_t want[N_PROMPT];
    TokenScore scores[N_PROMPT];
    memset(want, 1, sizeof want);
    openai_fixture_open(f);
    for (int first = 0; first < N_PROMPT; first++) {
        for (int j = 0; j < N_PROMPT; j++)
            ids[j] = 10 + first + j;
        assert_ok(backend_score(&f->engine, ids, N_PROMPT, want, scores, &err), &err);
        expected[first] = scores[N_PROMPT - 2].nll;
    }
    for (int i = 0; i < N_THREADS; i++) {
        clients[i] = (Client){f, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, ask_often, &clients[i]), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(clients[i].n_wrong, 0);
    }
    assert_int_equal(f->fake->n_completions, N_THREADS * N_EACH);
    assert_true(f->fake->most_at_once > 1);
}

#define SERVER_TEST(name) \
 cmocka_unit_test_setup_teardown(name, openai_fixture_setup, openai_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_numbers_through_http_are_the_local_ones),
        SERVER_TEST(test_an_echo_gives_the_same_perplexity_and_answers),
        SERVER_TEST(test_a_server_without_prompt_scores_still_finds_keys),
        SERVER_TEST(test_a_thousand_requests_eight_at_once_all_get_their_own_answer),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
