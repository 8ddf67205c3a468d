/* HTTP against servers of our own on loopback, which answer as badly as a server can. */
#include "tests/test_util.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/http.h"
#include "base/str.h"
#include "tests/fake_server.h"

#define SECRET "SECRETSECRET"

/* What the server does with a path, and what it has counted. */
typedef struct {
    FakeServer *other; /* where /away leads */
    int n_tries;
} Script;

static void answer_text(FakeRequest *request, const char *status, const char *headers,
                        const char *text)
{
    fake_answer(request, status, headers, text, strlen(text));
}

static void redirect(FakeRequest *request, const char *location)
{
    char header[2048];
    snprintf(header, sizeof header, "Location: %s\r\n", location);
    answer_text(request, "302 Found", header, "moved");
}

static void answer_endlessly(FakeRequest *request, const char *head)
{
    char block[4096];
    memset(block, 'x', sizeof block);
    fake_printf(request, "%s", head);
    for (int i = 0; i < 1 << 16 && fake_write(request, block, sizeof block); i++)
        ;
}

static void drip(FakeRequest *request)
{
    fake_printf(request, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    for (int i = 0; i < 100 && fake_write(request, "x", 1); i++)
        fake_sleep_ms(100);
}

static void answer_later(Script *script, FakeRequest *request)
{
    bool ready = ++script->n_tries >= 3;
    answer_text(request, ready ? "200 OK" : "503 Service Unavailable", "", ready ? "ready" : "no");
}

static void answer_range(FakeRequest *request)
{
    char range[64] = "", validator[64] = "";
    fake_header(request, "Range", range, sizeof range);
    fake_header(request, "If-Range", validator, sizeof validator);
    if (str_equal(range, "bytes=3-") && str_equal(validator, "\"v1\""))
        answer_text(request, "206 Partial Content", "Content-Range: bytes 3-5/6\r\n", "def");
    else
        answer_text(request, "200 OK", "", "abcdef");
}

/* Rows whose answer is a fixed text. */
static const struct {
    const char *path;
    const char *status;
    const char *headers;
    const char *body;
} fixed[] = {
    {"/plain",      "200 OK",                "ETag: \"abc\"\r\nX-Word: one\r\n", "hello"        },
    {"/missing",    "404 Not Found",         "",                                 "nothing here" },
    {"/busy",       "429 Too Many Requests", "Retry-After: 1000\r\n",            ""             },
    {"/down",       "503 Unavailable",       "",                                 ""             },
    {"/compressed", "200 OK",                "Content-Encoding: gzip\r\n",       "\x1f\x8b bomb"},
};

/* Rows that lead somewhere. */
static const struct {
    const char *path;
    const char *location;
} moved[] = {
    {"/relative", "/plain"                                },
    {"/loop",     "/loop"                                 },
    {"/file",     "file:///etc/passwd"                    },
    {"/gopher",   "gopher://127.0.0.1/x"                  },
    {"/http",     "http://example.invalid/x"              },
    {"/named",    "http://me:pw@127.0.0.1/x?token=" SECRET},
};

static void handle(void *context, FakeRequest *request)
{
    Script *script = context;
    const char *path = request->path;
    for (size_t i = 0; i < COUNT_OF(fixed); i++)
        if (str_equal(path, fixed[i].path))
            answer_text(request, fixed[i].status, fixed[i].headers, fixed[i].body);
    for (size_t i = 0; i < COUNT_OF(moved); i++)
        if (str_equal(path, moved[i].path)) redirect(request, moved[i].location);
    if (str_equal(path, "/away")) {
        char url[64];
        snprintf(url, sizeof url, "http://127.0.0.1:%d/plain", fake_server_port(script->other));
        redirect(request, url);
    }
    if (str_equal(path, "/endless")) answer_endlessly(request, "HTTP/1.1 200 OK\r\n\r\n");
    if (str_equal(path, "/endless404")) answer_endlessly(request, "HTTP/1.1 404 No\r\n\r\n");
    if (str_equal(path, "/huge"))
        answer_endlessly(request, "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n");
    if (str_equal(path, "/cut"))
        fake_printf(request, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nonly this");
    if (str_equal(path, "/garbage")) fake_printf(request, "SSH-2.0-nonsense\r\n\r\n\r\n");
    if (str_equal(path, "/slow")) drip(request);
    if (str_equal(path, "/later")) answer_later(script, request);
    if (str_equal(path, "/range")) answer_range(request);
}

/* Two servers, a handle, and the state of a request. */
typedef struct {
    Script script;
    FakeServer *server;
    FakeServer *other;
    Http *http;
    HttpRequest request;
    HttpReply reply;
    Buf body;
    int n_begun;
    bool stop;
    char url[256];
    Err err;
} Fixture;

static bool keep_going(void *context)
{
    return !((Fixture *)context)->stop;
}

static bool on_begin(void *context, const HttpReply *reply, Err *err)
{
    Fixture *f = context;
    (void)reply, (void)err;
    f->n_begun++;
    buf_clear(&f->body);
    return true;
}

static bool on_body(void *context, const void *bytes, size_t n, Err *err)
{
    Fixture *f = context;
    buf_append(&f->body, bytes, n);
    return f->body.len < 50000 || err_set(err, ERR_OUTPUT, "the disk is full");
}

static int set_up(void **state)
{
    Fixture *f = calloc(1, sizeof *f);
    f->other = fake_server_start(handle, &f->script, NULL, NULL);
    f->script.other = f->other;
    f->server = fake_server_start(handle, &f->script, NULL, NULL);
    HttpConfig config = {.user_agent = "ropewalk/test",
                         .backoff_s = 0.01,
                         .low_speed_s = 1,
                         .keep_going = keep_going,
                         .context = f};
    f->http = http_open(&config, &f->err);
    *state = f;
    return f->http ? 0 : -1;
}

static int tear_down(void **state)
{
    Fixture *f = *state;
    http_close(f->http);
    fake_server_stop(f->server);
    fake_server_stop(f->other);
    buf_free(&f->body);
    free(f);
    return 0;
}

static const HttpRequest *ask(Fixture *f, const char *path)
{
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d%s", fake_server_port(f->server), path);
    f->request = (HttpRequest){
        .url = f->url, .max_bytes = 100000, .begin = on_begin, .body = on_body, .context = f};
    f->n_begun = 0;
    buf_clear(&f->body);
    return &f->request;
}

static bool get(Fixture *f, const char *path)
{
    return http_send(f->http, ask(f, path), &f->reply, &f->err);
}

static void test_a_body_and_its_headers_arrive(void **state)
{
    Fixture *f = *state;
    assert_ok(get(f, "/plain"), &f->err);
    assert_int_equal(f->reply.status, 200);
    assert_int_equal(f->reply.length, 5);
    assert_string_equal(buf_text(&f->body), "hello");
    assert_string_equal(http_header(f->http, "x-word"), "one");
    assert_null(http_header(f->http, "X-Other"));
    assert_true(fake_server_saw(f->server, "User-Agent: ropewalk/test\r\n"));
    assert_true(fake_server_saw(f->server, "Accept-Encoding: identity\r\n"));
    assert_int_equal(f->n_begun, 1);
}

static void test_a_head_request_has_no_body(void **state)
{
    Fixture *f = *state;
    ask(f, "/plain");
    f->request.head = true;
    assert_ok(http_send(f->http, &f->request, &f->reply, &f->err), &f->err);
    assert_int_equal(f->reply.length, 5);
    assert_int_equal(f->body.len, 0);
    assert_int_equal(f->n_begun, 1);
    assert_true(fake_server_saw(f->server, "HEAD /plain "));
}

static void test_a_status_is_an_answer_and_its_body_is_dropped(void **state)
{
    Fixture *f = *state;
    assert_ok(get(f, "/missing"), &f->err);
    assert_int_equal(f->reply.status, 404);
    assert_false(f->reply.transient);
    assert_int_equal(f->body.len, 0);
    assert_ok(get(f, "/endless404"), &f->err);
    assert_int_equal(f->reply.status, 404);
}

static void test_a_range_is_asked_for_with_its_validator(void **state)
{
    Fixture *f = *state;
    ask(f, "/range");
    f->request.first = 3;
    f->request.if_range = "\"v1\"";
    assert_ok(http_send(f->http, &f->request, &f->reply, &f->err), &f->err);
    assert_int_equal(f->reply.status, 206);
    assert_string_equal(buf_text(&f->body), "def");
    f->request.if_range = "\"v2\"";
    assert_ok(http_send(f->http, &f->request, &f->reply, &f->err), &f->err);
    assert_int_equal(f->reply.status, 200);
    assert_string_equal(buf_text(&f->body), "abcdef");
    /* The next request on the handle asks for all. */
    fake_server_forget(f->server);
    assert_ok(get(f, "/plain"), &f->err);
    assert_false(fake_server_saw(f->server, "Range:"));
}

static void test_a_token_goes_to_its_host_and_no_further(void **state)
{
    Fixture *f = *state;
    char *away = str_format("http://127.0.0.1:%d/plain", fake_server_port(f->other));
    ask(f, "/away");
    f->request.token = SECRET;
    assert_ok(http_send(f->http, &f->request, &f->reply, &f->err), &f->err);
    assert_int_equal(f->reply.status, 302);
    assert_string_equal(f->reply.location, away);
    assert_true(fake_server_saw(f->server, "Authorization: Bearer " SECRET));
    assert_int_equal(fake_server_count(f->other), 0);

    /* The same handle, without it: nothing of the last request stays. */
    f->request.token = NULL;
    f->request.follow = true;
    assert_ok(http_send(f->http, &f->request, &f->reply, &f->err), &f->err);
    assert_string_equal(buf_text(&f->body), "hello");
    assert_int_equal(fake_server_count(f->other), 1);
    assert_false(fake_server_saw(f->other, "uthorization"));
    free(away);
}

static void test_redirects_are_followed_when_asked_within_limits(void **state)
{
    Fixture *f = *state;
    ask(f, "/relative");
    f->request.follow = true;
    assert_ok(http_send(f->http, &f->request, &f->reply, &f->err), &f->err);
    assert_string_equal(buf_text(&f->body), "hello");
    assert_int_equal(f->n_begun, 1);
    static const char *const refused[][2] = {
        {"/loop",   "more than 5 redirects"                        },
        {"/file",   "file:///etc/passwd: is no URL that is fetched"},
        {"/gopher", "gopher://127.0.0.1/x: refused: only https"    },
        {"/http",   "http://example.invalid/x: refused: only https"},
        {"/named",  "http://127.0.0.1/x: is no URL that is fetched"},
    };
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        ask(f, refused[i][0]);
        f->request.follow = true;
        assert_err(http_send(f->http, &f->request, &f->reply, &f->err), &f->err, ERR_NET,
                   refused[i][1]);
        assert_null(strstr(f->err.text, SECRET));
    }
}

static void test_only_https_and_this_machine_are_fetched(void **state)
{
    Err err;
    (void)state;
    static const char *const allowed[] = {
        "https://example.invalid/x", "HTTPS://EXAMPLE.invalid", "http://localhost:80/",
        "http://127.0.0.1/",         "http://127.9.9.9:1/",     "http://[::1]:8080/v1",
    };
    static const char *const refused[] = {
        "http://example.invalid/",
        "http://127.0.0.1.example.invalid/",
        "http://127.example/",
        "http://localhost.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://me:pw@host/",
        "http://me@127.0.0.1/",
        "https://",
        "http://[::2]/",
        "http://10.0.0.1/",
        "nonsense without a scheme",
        "",
        "https://a b/",
    };
    for (size_t i = 0; i < COUNT_OF(allowed); i++)
        assert_ok(http_check_url(allowed[i], &err), &err);
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        assert_err(http_check_url(refused[i], &err), &err, ERR_NET, "");
}

static void test_origins_are_scheme_host_and_port(void **state)
{
    (void)state;
    assert_true(http_same_origin("https://a.b/x?y", "https://A.b:443/z"));
    assert_false(http_same_origin("https://a.b/", "http://a.b/"));
    assert_false(http_same_origin("https://a.b/", "https://a.b:444/"));
    assert_false(http_same_origin("https://a.b/", "https://a.b.c/"));
    assert_false(http_same_origin("https://a.b/", "https://x@a.b/"));
    assert_false(http_same_origin("https://a.b/", "/x"));
}

static void test_messages_show_no_query_and_no_password(void **state)
{
    char shown[HTTP_URL_SHOWN];
    (void)state;
    static const char *const rows[][2] = {
        {"https://a.b/c?token=" SECRET, "https://a.b/c"        },
        {"https://a.b/c#" SECRET,       "https://a.b/c"        },
        {"https://me:" SECRET "@a.b/c", "https://a.b/c"        },
        {"https://a.b/@c",              "https://a.b/@c"       },
        {"https://a.b/\x1b]0;x",        "https://a.b/\\x1b]0;x"},
        {"https://a.b?x@" SECRET,       "https://a.b"          },
        {"?" SECRET,                    ""                     },
        {"https://?" SECRET,            "https://"             },
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        http_shown(rows[i][0], shown);
        assert_string_equal(shown, rows[i][1]);
    }
}

static void test_bodies_that_are_too_long_or_too_short_are_errors(void **state)
{
    Fixture *f = *state;
    static const char *const rows[][2] = {
        {"/huge",       "more than the 100 bytes"                },
        {"/endless",    "more than the 100 bytes"                },
        {"/cut",        "closed before the end"                  },
        {"/compressed", "Content-Encoding gzip"                  },
        {"/garbage",    "not HTTP"                               },
        {"/nothing",    "closed the connection without an answer"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        ask(f, rows[i][0]);
        f->request.max_bytes = 100;
        assert_err(http_send(f->http, &f->request, &f->reply, &f->err), &f->err, ERR_NET,
                   rows[i][1]);
        assert_true(f->body.len <= 100);
    }
}

static void test_an_error_of_the_callers_ends_the_transfer(void **state)
{
    Fixture *f = *state;
    ask(f, "/endless");
    f->request.max_bytes = INT64_MAX;
    assert_err(http_send(f->http, &f->request, &f->reply, &f->err), &f->err, ERR_OUTPUT, "disk");
}

static void test_a_drip_and_a_silence_are_given_up(void **state)
{
    Fixture *f = *state;
    double start = clock_monotonic_s();
    assert_err(get(f, "/slow"), &f->err, ERR_NET, "in the time allowed");
    assert_true(f->reply.transient);
    ask(f, "/slow");
    f->request.timeout_s = 0.2;
    assert_err(http_send(f->http, &f->request, &f->reply, &f->err), &f->err, ERR_NET,
               "in the time allowed");
    assert_true(clock_monotonic_s() - start < 8.0);
}

static void test_what_passes_is_tried_again(void **state)
{
    Fixture *f = *state;
    f->script.n_tries = 0;
    assert_ok(http_send_patiently(f->http, ask(f, "/later"), &f->reply, &f->err), &f->err);
    assert_int_equal(f->reply.status, 200);
    assert_string_equal(buf_text(&f->body), "ready");
    assert_int_equal(f->script.n_tries, 3);

    fake_server_forget(f->server);
    assert_ok(http_send_patiently(f->http, ask(f, "/down"), &f->reply, &f->err), &f->err);
    assert_int_equal(f->reply.status, 503);
    assert_int_equal(fake_server_count(f->server), HTTP_MAX_ATTEMPTS);

    fake_server_forget(f->server);
    assert_err(http_send_patiently(f->http, ask(f, "/cut"), &f->reply, &f->err), &f->err, ERR_NET,
               "before the end");
    assert_int_equal(fake_server_count(f->server), HTTP_MAX_ATTEMPTS);

    fake_server_forget(f->server);
    assert_ok(http_send_patiently(f->http, ask(f, "/missing"), &f->reply, &f->err), &f->err);
    assert_int_equal(fake_server_count(f->server), 1);
}

static void test_a_pause_that_is_too_long_is_not_waited_for(void **state)
{
    Fixture *f = *state;
    assert_err(http_send_patiently(f->http, ask(f, "/busy"), &f->reply, &f->err), &f->err, ERR_NET,
               "come back in 1000 s");
    HttpReply reply = {.status = 429, .retry_after_s = 1};
    double start = clock_monotonic_s();
    assert_ok(http_wait(f->http, &reply, 1, &f->err), &f->err);
    assert_true(clock_monotonic_s() - start >= 1.0);
}

static void test_a_stop_is_heard_at_once(void **state)
{
    Fixture *f = *state;
    double start = clock_monotonic_s();
    f->stop = true;
    assert_err(get(f, "/slow"), &f->err, ERR_CANCELLED, "stopped");
    HttpReply reply = {.status = 429, .retry_after_s = 100};
    assert_err(http_wait(f->http, &reply, 1, &f->err), &f->err, ERR_CANCELLED, "stopped");
    assert_true(clock_monotonic_s() - start < 3.0);
}

static void test_hosts_that_do_not_answer_are_named(void **state)
{
    Fixture *f = *state;
    FakeServer *gone = fake_server_start(handle, &f->script, NULL, NULL);
    int port = fake_server_port(gone);
    fake_server_stop(gone);
    ask(f, "/plain");
    snprintf(f->url, sizeof f->url, "http://127.0.0.1:%d/plain?token=" SECRET, port);
    assert_err(http_send(f->http, &f->request, &f->reply, &f->err), &f->err, ERR_NET,
               "cannot be reached or refuses");
    assert_non_null(strstr(f->err.text, "127.0.0.1"));
    assert_null(strstr(f->err.text, SECRET));
    assert_false(f->reply.transient);
    /* An http server that is taken for an https one. */
    snprintf(f->url, sizeof f->url, "https://127.0.0.1:%d/plain", fake_server_port(f->server));
    assert_err(http_send(f->http, &f->request, &f->reply, &f->err), &f->err, ERR_NET,
               "is there an https server?");
}

static void write_pem(const char *name, EVP_PKEY *key, X509 *certificate)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", test_folder(), name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    if (certificate)
        assert_int_equal(PEM_write_X509(file, certificate), 1);
    else
        assert_int_equal(PEM_write_PrivateKey(file, key, NULL, NULL, 0, NULL, NULL), 1);
    fclose(file);
}

/* cert.pem and key.pem: signed by itself, for the name or address that alternative gives. */
static void make_certificate(const char *alternative)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *certificate = X509_new();
    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    X509_set_pubkey(certificate, key);
    X509_NAME *name = X509_get_subject_name(certificate);
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(certificate, name);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, alternative);
    X509_add_ext(certificate, extension, -1);
    assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
    write_pem("cert.pem", key, certificate);
    write_pem("key.pem", key, NULL);
    X509_EXTENSION_free(extension);
    X509_free(certificate);
    EVP_PKEY_free(key);
}

/* Asks a TLS server that has this certificate; trusted: it is named as one to trust. */
static bool ask_tls(Fixture *f, const char *alternative, bool trusted)
{
    char certificate[256], key[256];
    make_certificate(alternative);
    snprintf(certificate, sizeof certificate, "%s/cert.pem", test_folder());
    snprintf(key, sizeof key, "%s/key.pem", test_folder());
    FakeServer *server = fake_server_start(handle, &f->script, certificate, key);
    HttpConfig config = {.ca_file = trusted ? certificate : NULL};
    Http *http = http_open(&config, &f->err);
    ask(f, "/plain");
    snprintf(f->url, sizeof f->url, "https://127.0.0.1:%d/plain", fake_server_port(server));
    bool ok = http && http_send(http, &f->request, &f->reply, &f->err);
    http_close(http);
    fake_server_stop(server);
    return ok;
}

static void test_certificates_are_verified(void **state)
{
    Fixture *f = *state;
    assert_ok(ask_tls(f, "IP:127.0.0.1", true), &f->err);
    assert_string_equal(buf_text(&f->body), "hello");
    assert_err(ask_tls(f, "IP:127.0.0.1", false), &f->err, ERR_NET, "not trusted");
    assert_err(ask_tls(f, "IP:127.0.0.2", true), &f->err, ERR_NET, "not trusted");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_body_and_its_headers_arrive),
        cmocka_unit_test(test_a_head_request_has_no_body),
        cmocka_unit_test(test_a_status_is_an_answer_and_its_body_is_dropped),
        cmocka_unit_test(test_a_range_is_asked_for_with_its_validator),
        cmocka_unit_test(test_a_token_goes_to_its_host_and_no_further),
        cmocka_unit_test(test_redirects_are_followed_when_asked_within_limits),
        cmocka_unit_test(test_only_https_and_this_machine_are_fetched),
        cmocka_unit_test(test_origins_are_scheme_host_and_port),
        cmocka_unit_test(test_messages_show_no_query_and_no_password),
        cmocka_unit_test(test_bodies_that_are_too_long_or_too_short_are_errors),
        cmocka_unit_test(test_an_error_of_the_callers_ends_the_transfer),
        cmocka_unit_test(test_a_drip_and_a_silence_are_given_up),
        cmocka_unit_test(test_what_passes_is_tried_again),
        cmocka_unit_test(test_a_pause_that_is_too_long_is_not_waited_for),
        cmocka_unit_test(test_hosts_that_do_not_answer_are_named),
        cmocka_unit_test(test_certificates_are_verified),
        cmocka_unit_test(test_a_stop_is_heard_at_once),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
