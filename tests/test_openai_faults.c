/* Servers that cannot do what is asked, that do it wrong, or that are gone: never a number, always a reason. */
#include "tests/test_util.h"

#include <math.h>
#include <string.h>

#include "base/clock.h"
#include "base/http.h"
#include "base/str.h"
#include "tests/engine_setup.h"
#include "tests/openai_fixture.h"

enum { N_PROMPT = 10 };

static const int32_t prompt[N_PROMPT] = {30, 31, 40, 52, 61, 70, 88, 91, 95, 99};

static bool score(OpenaiFixture *f, double *nll, Err *err)
{
    TokenScore out[N_PROMPT] = {0};
    uint8_t want[N_PROMPT];
    memset(want, 1, sizeof want);
    bool ok = backend_score(&f->backend, prompt, N_PROMPT, want, out, err);
    *nll = out[N_PROMPT - 2].nll;
    return ok;
}

static bool generate(OpenaiFixture *f, Err *err)
{
    TokenList out = {0};
    bool ok = backend_generate(&f->backend, prompt, N_PROMPT, 4, &out, err);
    token_list_free(&out);
    return ok;
}

/* A fault that shows in the reply to one prompt. */
typedef struct {
    FakeFault fault;
    FakeShape shape;
    ErrCode code;
    const char *part;
} Case;

static const Case score_cases[] = {
    {FAULT_SHIFTED,      FAKE_VLLM, ERR_NET,       "shifted"                                 },
    {FAULT_SHIFTED,      FAKE_ECHO, ERR_NET,       "shifted"                                 },
    {FAULT_OTHER_TOKENS, FAKE_VLLM, ERR_NET,       "is not about token 31"                   },
    {FAULT_OTHER_TOKENS, FAKE_ECHO, ERR_NET,       "token 0 of the echo is not token 30"     },
    {FAULT_NULL,         FAKE_VLLM, ERR_NET,       "position 5 of prompt_logprobs"           },
    {FAULT_NULL,         FAKE_ECHO, ERR_NET,       "position 5 has no log-probability"       },
    {FAULT_NOTHING,      FAKE_VLLM, ERR_NONFINITE, "position 5 is minus infinity"            },
    {FAULT_NOTHING,      FAKE_ECHO, ERR_NONFINITE, "position 5 is minus infinity"            },
    {FAULT_STRING,       FAKE_VLLM, ERR_NET,       "position 5 has no log-probability"       },
    {FAULT_STRING,       FAKE_ECHO, ERR_NET,       "position 5 has no log-probability"       },
    {FAULT_POSITIVE,     FAKE_VLLM, ERR_NET,       "position 5 has no log-probability"       },
    {FAULT_SHORT,        FAKE_VLLM, ERR_NET,       "of 9 tokens, 10 were sent"               },
    {FAULT_SHORT,        FAKE_ECHO, ERR_NET,       "of 9 tokens, 10 were sent"               },
    {FAULT_LONG,         FAKE_VLLM, ERR_NET,       "of 11 tokens, 10 were sent"              },
    {FAULT_RANK,         FAKE_VLLM, ERR_NET,       "rank is absent or out of range"          },
    {FAULT_INDEX,        FAKE_VLLM, ERR_NET,       "\"index\""                               },
    {FAULT_TWO_CHOICES,  FAKE_VLLM, ERR_NET,       "not a list of one"                       },
    {FAULT_CUT_PROMPT,   FAKE_VLLM, ERR_TRUNCATED, "read 9 tokens of the 10"                 },
    {FAULT_CUT_PROMPT,   FAKE_ECHO, ERR_TRUNCATED, "read 9 tokens of the 10"                 },
    {FAULT_MORE_PROMPT,  FAKE_VLLM, ERR_TRUNCATED, "read 11 tokens of the 10"                },
    {FAULT_TRUNCATED,    FAKE_VLLM, ERR_TRUNCATED, "says that it cut"                        },
    {FAULT_NO_USAGE,     FAKE_VLLM, ERR_NET,       "no usage.prompt_tokens"                  },
    {FAULT_OTHER_MODEL,  FAKE_VLLM, ERR_NET,       "answers as model \"not-walker\""         },
    {FAULT_HTML,         FAKE_VLLM, ERR_NET,       "begins \"<html><body>a proxy was here \\"},
    {FAULT_NAN,          FAKE_VLLM, ERR_NET,       "not the JSON of a completion"            },
    {FAULT_DEEP,         FAKE_VLLM, ERR_NET,       "not the JSON of a completion"            },
    {FAULT_STREAM,       FAKE_VLLM, ERR_NET,       "begins \"data: "                         },
    {FAULT_CUT_UTF8,     FAKE_VLLM, ERR_NET,       "not the JSON of a completion"            },
    {FAULT_HUGE,         FAKE_VLLM, ERR_NET,       "more than the 268435456 bytes"           },
    {FAULT_CUT,          FAKE_VLLM, ERR_NET,       "closed before the end"                   },
    {FAULT_CLOSE,        FAKE_VLLM, ERR_NET,       "without an answer"                       },
    {FAULT_400_LONG,     FAKE_VLLM, ERR_TOO_LONG,  "maximum context length is 64"            },
    {FAULT_400_LLAMA,    FAKE_ECHO, ERR_TOO_LONG,  "exceed_context_size_error"               },
    {FAULT_404,          FAKE_VLLM, ERR_NET,       "status 404"                              },
    {FAULT_500,          FAKE_VLLM, ERR_NET,       "status 500"                              },
    {FAULT_503,          FAKE_VLLM, ERR_NET,       "status 503"                              },
};

static void test_a_reply_that_is_not_about_the_prompt_is_no_score(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll, right;
    for (size_t i = 0; i < COUNT_OF(score_cases); i++) {
        const Case *c = &score_cases[i];
        f->fake->fault = FAULT_NONE;
        f->fake->shape = c->shape;
        openai_fixture_open(f);
        assert_ok(score(f, &right, &err), &err);
        f->fake->fault = c->fault;
        f->fake->n_completions = 0;
        assert_err(score(f, &nll, &err), &err, c->code, c->part);
        f->fake->fault = FAULT_NONE;
        assert_ok(score(f, &nll, &err), &err);
        assert_close(nll, right, 0.0, 0.0);
    }
}

static void expect_reply(const Reply *reply, const char *system, int64_t n)
{
    assert_string_equal(reply->model, "walker");
    assert_string_equal(reply->system, system);
    assert_int_equal(reply->n, n);
}

static void test_replies_of_another_system_stand_and_are_remarked_upon(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll, right;
    ReplyList replies;
    Buf remark = {0};
    openai_fixture_open(f);
    assert_ok(score(f, &right, &err), &err);
    backend_take_replies(&f->backend, &replies, &remark);
    assert_int_equal(replies.n, 1);
    expect_reply(&replies.items[0], "fp_0", 1);
    assert_int_equal(remark.len, 0);
    reply_list_free(&replies);
    f->fake->fault = FAULT_OTHER_SYSTEM;
    f->fake->first_fault = 2; /* one has gone, and the next goes well */
    for (int i = 0; i < 3; i++) {
        assert_ok(score(f, &nll, &err), &err);
        assert_close(nll, right, 0.0, 0.0);
    }
    backend_take_replies(&f->backend, &replies, &remark);
    assert_int_equal(replies.n, 2);
    expect_reply(&replies.items[0], "fp_0", 1);
    expect_reply(&replies.items[1], "fp_1", 2);
    assert_string_equal(buf_text(&remark), "the server changed: its system_fingerprint is "
                                           "\"fp_1\", at the start it was \"fp_0\"");
    reply_list_free(&replies);
    buf_clear(&remark);
    backend_take_replies(&f->backend, &replies, &remark);
    assert_true(replies.n == 0 && remark.len == 0);
    buf_free(&remark);
}

static void test_an_answer_from_a_cut_prompt_is_no_answer(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    static const FakeFault faults[] = {FAULT_CUT_PROMPT, FAULT_MORE_PROMPT, FAULT_TRUNCATED};
    f->fake->shape = FAKE_LLAMA;
    openai_fixture_open(f);
    assert_ok(generate(f, &err), &err);
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        f->fake->fault = faults[i];
        assert_err(generate(f, &err), &err, ERR_TRUNCATED, "the server");
    }
    f->fake->fault = FAULT_NO_USAGE;
    assert_err(generate(f, &err), &err, ERR_NET, "no usage.prompt_tokens");
}

static void expect_refused(OpenaiFixture *f, FakeShape shape, FakeFault fault, const char *part)
{
    Err err;
    double nll;
    f->fake->shape = shape;
    f->fake->fault = fault;
    f->fake->first_fault = 11; /* the first requests of the probe are generations */
    f->fake->n_completions = 0;
    openai_fixture_open(f);
    assert_int_equal(f->server.scores, PROMPT_SCORES_NONE);
    assert_non_null(strstr(f->server.why_not, part));
    f->fake->fault = FAULT_NONE;
    assert_err(score(f, &nll, &err), &err, ERR_UNSUPPORTED, part);
    assert_ok(generate(f, &err), &err);
}

static void test_a_server_with_misaligned_scores_is_seen_through_at_the_start(void **state)
{
    OpenaiFixture *f = *state;
    expect_refused(f, FAKE_ECHO, FAULT_SHIFTED, "shifted");
    expect_refused(f, FAKE_ECHO, FAULT_OTHER_TOKENS, "of the echo is not token");
    expect_refused(f, FAKE_WORDS, FAULT_OTHER_TOKENS, "do not spell the prompt");
    expect_refused(f, FAKE_ECHO, FAULT_SHIFTED_WELL, "not those of its tokens");
    expect_refused(f, FAKE_WORDS, FAULT_SHIFTED_WELL, "not those of its tokens");
    expect_refused(f, FAKE_LLAMA, FAULT_NONE, "generated tokens only");
}

static void test_misaligned_vllm_scores_are_not_used(void **state)
{
    OpenaiFixture *f = *state;
    expect_refused(f, FAKE_VLLM, FAULT_SHIFTED, "shifted");
    expect_refused(f, FAKE_VLLM, FAULT_SHIFTED_WELL, "not those of its tokens");
    expect_refused(f, FAKE_VLLM, FAULT_OTHER_TOKENS, "is not about token");
}

static void test_what_the_server_is_shows_in_the_probe(void **state)
{
    OpenaiFixture *f = *state;
    Buf text = {0};
    f->fake->n_ctx = 64;
    f->fake->adds_bos = true;
    openai_fixture_open(f);
    openai_describe(&f->server, &text);
    assert_string_equal(
        buf_text(&text),
        "model walker, system fp_0, token-id prompts yes, prompt log-probabilities "
        "prompt_logprobs, /tokenize agrees, BOS before texts yes, context 64 tokens");
    buf_clear(&text);
    f->fake->shape = FAKE_LLAMA;
    openai_fixture_open(f);
    openai_describe(&f->server, &text);
    assert_string_equal(
        buf_text(&text),
        "model walker, system fp_0, token-id prompts yes, prompt log-probabilities no, "
        "/tokenize agrees, BOS before texts yes, context 64 tokens; the server gives "
        "log-probabilities of generated tokens only");
    buf_free(&text);
}

static void test_a_prompt_longer_than_the_context_is_not_sent(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    openai_fixture_open(f);
    f->server.n_ctx_max = N_PROMPT;
    assert_err(score(f, &nll, &err), &err, ERR_TOO_LONG, "server's context of 10");
    assert_int_equal(f->fake->n_completions, 0);
}

static void test_a_server_that_refuses_token_ids_measures_nothing(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    f->fake->no_ids = true;
    openai_fixture_open(f);
    assert_false(f->server.takes_ids);
    assert_err(generate(f, &err), &err, ERR_UNSUPPORTED, "prompt must be a string");
}

static void test_another_tokenizer_is_found_out(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    f->fake->other_tokenizer = true;
    assert_err(openai_probe(&f->config, &f->server, &err), &err, ERR_INPUT, "--tokenizer");
}

static void test_the_model_must_be_one_that_is_served(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    strcpy(f->address.name, "other");
    assert_err(openai_probe(&f->config, &f->server, &err), &err, ERR_NET,
               "has no model \"other\"; it has: walker");
}

static void test_a_failure_that_passes_is_tried_again(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    static const FakeFault faults[] = {FAULT_500, FAULT_503, FAULT_CLOSE, FAULT_CUT};
    openai_fixture_open(f);
    f->fake->n_faults = 3;
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        f->fake->n_completions = 0;
        f->fake->fault = faults[i];
        assert_ok(score(f, &nll, &err), &err);
        assert_int_equal(f->fake->n_completions, 4);
    }
    f->fake->n_completions = 0;
    f->fake->n_faults = 4;
    f->fake->fault = FAULT_503;
    assert_err(score(f, &nll, &err), &err, ERR_NET, "Loading model");
}

static void test_retry_after_is_waited_for(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    openai_fixture_open(f);
    f->fake->n_faults = 1;
    f->fake->fault = FAULT_429;
    double start = clock_monotonic_s();
    assert_ok(score(f, &nll, &err), &err);
    assert_true(clock_monotonic_s() - start >= 1.0);
}

static void test_a_server_that_has_died_fails_at_once(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    openai_fixture_open(f);
    f->fake->fault = FAULT_DEAD;
    assert_err(score(f, &nll, &err), &err, ERR_NET, "without an answer");
    int n = f->fake->n_completions;
    for (int i = 0; i < 5; i++)
        assert_err(score(f, &nll, &err), &err, ERR_NET, "/v1/models");
    assert_int_equal(f->fake->n_completions, n);
    f->fake->fault = FAULT_NONE;
    assert_ok(score(f, &nll, &err), &err);
}

static void test_a_server_that_hangs_is_given_up(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    openai_fixture_open(f);
    backend_close(&f->backend);
    f->config.timeout_s = 0.2;
    assert_ok(backend_open_openai(&f->backend, &f->config, &f->server, 64, &err), &err);
    f->fake->fault = FAULT_HANG;
    assert_err(score(f, &nll, &err), &err, ERR_NET, "in the time allowed");
    assert_err(score(f, &nll, &err), &err, ERR_NET, "in the time allowed");
    double start = clock_monotonic_s();
    assert_err(score(f, &nll, &err), &err, ERR_NET, "2 requests in a row had no answer");
    assert_true(clock_monotonic_s() - start < 0.1);
}

static bool stop_now(void *context)
{
    (void)context;
    return false;
}

static void test_a_stop_is_heard_while_a_server_computes(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    openai_fixture_open(f);
    backend_close(&f->backend);
    f->config.keep_going = stop_now;
    assert_ok(backend_open_openai(&f->backend, &f->config, &f->server, 64, &err), &err);
    f->fake->fault = FAULT_HANG;
    assert_err(score(f, &nll, &err), &err, ERR_CANCELLED, "stopped");
}

static void test_the_key_is_sent_and_never_said(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    double nll;
    f->fake->key = "SECRETSECRET";
    assert_err(openai_probe(&f->config, &f->server, &err), &err, ERR_NET, "OPENAI_API_KEY");
    f->config.key = "SECRETSECRET";
    openai_fixture_open(f);
    f->fake->fault = FAULT_401;
    assert_err(score(f, &nll, &err), &err, ERR_NET, "Incorrect API key provided: ************");
    assert_null(strstr(err.text, "SECRET"));
}

static void test_addresses(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *base;
        const char *root;
        const char *name;
    } good[] = {
        {"http://127.0.0.1:8000",                    "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", ""        },
        {"http://127.0.0.1:8000/",                   "http://127.0.0.1:8000/v1", "http://127.0.0.1:8000", ""        },
        {"http://localhost:8000/v1#m",               "http://localhost:8000/v1", "http://localhost:8000", "m"       },
        {"https://host/v1/#org/name",                "https://host/v1",          "https://host",          "org/name"},
        {"http://127.0.0.1:8000/v1/completions#a#b", "http://127.0.0.1:8000/v1",
         "http://127.0.0.1:8000",                                                                         "a#b"     },
        {"https://host/proxy/v1#m",                  "https://host/proxy/v1",    "https://host/proxy",    "m"       },
    };
    OpenaiAddress address;
    Err err;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        assert_ok(openai_address_parse(good[i].text, &address, &err), &err);
        assert_string_equal(address.base, good[i].base);
        assert_string_equal(address.root, good[i].root);
        assert_string_equal(address.name, good[i].name);
    }
    assert_err(openai_address_parse("http://127.0.0.1:8000/v1?key=SECRET#m", &address, &err), &err,
               ERR_USAGE, "has no query");
    assert_null(strstr(err.text, "SECRET"));
    assert_err(openai_address_parse("https://me:SECRET@host/v1#m", &address, &err), &err, ERR_NET,
               "password");
    assert_null(strstr(err.text, "SECRET"));
    assert_err(openai_address_parse("http://host.example/v1#m", &address, &err), &err, ERR_NET,
               "only https");
    char longest[2 * OPENAI_URL_SIZE];
    memset(longest, 'a', sizeof longest);
    memcpy(longest, "https://", 8);
    longest[sizeof longest - 1] = '\0';
    assert_err(openai_address_parse(longest, &address, &err), &err, ERR_USAGE, "too long");
    assert_true(openai_is_address("http://x") && openai_is_address("https://x"));
    assert_false(openai_is_address("hf://x") || openai_is_address("models/http"));
}

static void test_no_server_is_said_with_its_address(void **state)
{
    OpenaiFixture *f = *state;
    Err err;
    OpenaiAddress gone;
    assert_ok(openai_address_parse("http://127.0.0.1:9", &gone, &err), &err);
    f->config.address = &gone;
    assert_err(openai_probe(&f->config, &f->server, &err), &err, ERR_NET, "http://127.0.0.1:9/v1");
}

#define SERVER_TEST(name) \
 cmocka_unit_test_setup_teardown(name, openai_fixture_setup, openai_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_a_reply_that_is_not_about_the_prompt_is_no_score),
        SERVER_TEST(test_replies_of_another_system_stand_and_are_remarked_upon),
        SERVER_TEST(test_an_answer_from_a_cut_prompt_is_no_answer),
        SERVER_TEST(test_a_server_with_misaligned_scores_is_seen_through_at_the_start),
        SERVER_TEST(test_misaligned_vllm_scores_are_not_used),
        SERVER_TEST(test_what_the_server_is_shows_in_the_probe),
        SERVER_TEST(test_a_prompt_longer_than_the_context_is_not_sent),
        SERVER_TEST(test_a_server_that_refuses_token_ids_measures_nothing),
        SERVER_TEST(test_another_tokenizer_is_found_out),
        SERVER_TEST(test_the_model_must_be_one_that_is_served),
        SERVER_TEST(test_a_failure_that_passes_is_tried_again),
        SERVER_TEST(test_retry_after_is_waited_for),
        SERVER_TEST(test_a_server_that_has_died_fails_at_once),
        SERVER_TEST(test_a_server_that_hangs_is_given_up),
        SERVER_TEST(test_a_stop_is_heard_while_a_server_computes),
        SERVER_TEST(test_the_key_is_sent_and_never_said),
        cmocka_unit_test(test_addresses),
        SERVER_TEST(test_no_server_is_said_with_its_address),
    };
    return cmocka_run_group_tests(tests, engine_setup, NULL);
}
