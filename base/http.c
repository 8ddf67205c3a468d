/* One request is one curl_easy_perform on a handle that was reset; redirects are followed here, a request each, so that every
 * hop passes the same checks:
 *
 *     check URL -> send -> 3xx with a Location, and the request follows -> check where it leads -> send …
 *
 * libcurl's own following is off. A hop may not lead from another machine to this one, whose services trust what comes
 * from inside, and never from https to http. */
#include "base/http.h"

#include <curl/curl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/str.h"

/* A longer body that is not a success ends the connection. */
enum { CONNECT_TIMEOUT_S = 10, LOW_SPEED_S = 60 };

struct Http {
    CURL *curl;
    HttpConfig config;
    Rng rng;        /* of the jitter */
    char *location; /* of the last answer */
};

/* The request under way, as the callbacks see it. */
typedef struct {
    Http *http;
    const HttpRequest *request;
    const char *url; /* of this hop */
    HttpReply *reply;
    Err *err;
    int64_t n_bytes; /* of the body so far */
    bool begun;
    bool failed;  /* err is set */
    bool dropped; /* the rest of the body was not wanted */
} Transfer;

Http *http_open(const HttpConfig *config, Err *err)
{
    Http *http = mem_zalloc(1, sizeof *http);
    http->config = *config;
    if (http->config.connect_timeout_s <= 0.0) http->config.connect_timeout_s = CONNECT_TIMEOUT_S;
    if (http->config.low_speed_s <= 0.0) http->config.low_speed_s = LOW_SPEED_S;
    if (http->config.backoff_s <= 0.0) http->config.backoff_s = 0.5;
    http->rng = rng_open((uint64_t)(1e9 * clock_monotonic_s()), (uint32_t)(uintptr_t)http, 0, 0);
    http->curl = curl_easy_init();
    if (http->curl) return http;
    err_set(err, ERR_NET, "libcurl cannot be started");
    http_close(http);
    return NULL;
}

void http_close(Http *http)
{
    if (!http) return;
    curl_easy_cleanup(http->curl);
    free(http->location);
    free(http);
}

static bool goes_on(const Http *http)
{
    return !http->config.keep_going || http->config.keep_going(http->config.context);
}

const char *http_header(const Http *http, const char *name)
{
    struct curl_header *header;
    if (curl_easy_header(http->curl, name, 0, CURLH_HEADER, -1, &header) != CURLHE_OK) return NULL;
    return header->value;
}

static bool passes(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status != 501 && status != 505);
}

static bool redirects(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

/* Fills the reply from the head that has come. */
static void read_head(Http *http, const char *url, HttpReply *reply)
{
    long status = 0;
    curl_off_t length = -1, retry_after = 0;
    curl_easy_getinfo(http->curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(http->curl, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
    curl_easy_getinfo(http->curl, CURLINFO_RETRY_AFTER, &retry_after);
    const char *location = redirects((int)status) ? http_header(http, "Location") : NULL;
    free(http->location);
    http->location = location ? http_resolve(url, location) : NULL;
    *reply = (HttpReply){
        .status = (int)status,
        .length = length,
        .location = http->location,
        .retry_after_s = (double)retry_after,
        .transient = passes((int)status),
    };
}

static bool fail(Transfer *transfer)
{
    transfer->failed = true;
    return false;
}

static bool check_encoding(Transfer *transfer)
{
    char shown[HTTP_URL_SHOWN];
    char encoding[64];
    const char *value = http_header(transfer->http, "Content-Encoding");
    if (!value || !*value || strcasecmp(value, "identity") == 0) return true;
    http_shown(transfer->url, shown);
    str_escape(value, strlen(value), encoding, sizeof encoding);
    err_set(transfer->err, ERR_NET,
            "%s: the server sends Content-Encoding %s, which was not asked for and is not decoded",
            shown, encoding);
    return fail(transfer);
}

static bool check_length(Transfer *transfer, int64_t n)
{
    char shown[HTTP_URL_SHOWN];
    if (n <= transfer->request->max_bytes) return true;
    http_shown(transfer->url, shown);
    err_set(transfer->err, ERR_NET, "%s: the server sends more than the %lld bytes that are taken",
            shown, (long long)transfer->request->max_bytes);
    return fail(transfer);
}

static bool is_success(const HttpReply *reply)
{
    return reply->status >= 200 && reply->status < 300;
}

/* Whether this hop's answer is the one that the caller gets. */
static bool is_last(const Transfer *transfer)
{
    return !transfer->request->follow || !transfer->reply->location;
}

static bool begin(Transfer *transfer)
{
    const HttpRequest *request = transfer->request;
    transfer->begun = true;
    read_head(transfer->http, transfer->url, transfer->reply);
    if (!is_last(transfer)) return true;
    if (is_success(transfer->reply) && !request->head &&
        (!check_encoding(transfer) || !check_length(transfer, transfer->reply->length)))
        return false;
    if (request->begin && !request->begin(request->context, transfer->reply, transfer->err))
        return fail(transfer);
    return true;
}

/* Less than n ends the transfer. */
static size_t on_body(char *bytes, size_t size, size_t n, void *user)
{
    Transfer *transfer = user;
    const HttpRequest *request = transfer->request;
    n *= size;
    if (!transfer->begun && !begin(transfer)) return 0;
    transfer->n_bytes += (int64_t)n;
    bool is_wanted = is_success(transfer->reply) && is_last(transfer);
    if (!is_wanted) {
        transfer->dropped = transfer->n_bytes > HTTP_MAX_ERROR_BYTES;
        if (transfer->dropped || !request->takes_errors) return transfer->dropped ? 0 : n;
    }
    if (is_wanted && !check_length(transfer, transfer->n_bytes)) return 0;
    if (request->body && !request->body(request->context, bytes, n, transfer->err)) {
        fail(transfer);
        return 0;
    }
    return n;
}

/* Not 0 ends the transfer. */
static int on_progress(void *user, curl_off_t down_total, curl_off_t down, curl_off_t up_total,
                       curl_off_t up)
{
    Transfer *transfer = user;
    (void)down_total, (void)down, (void)up_total, (void)up;
    if (goes_on(transfer->http)) return 0;
    err_set(transfer->err, ERR_CANCELLED, "stopped");
    fail(transfer);
    return 1;
}

static struct curl_slist *add_header(struct curl_slist *list, char *line)
{
    struct curl_slist *longer = curl_slist_append(list, line);
    if (!longer) mem_exhausted(strlen(line));
    explicit_bzero(line, strlen(line));
    free(line);
    return longer;
}

static struct curl_slist *make_headers(const HttpRequest *request)
{
    struct curl_slist *list = add_header(NULL, str_dup("Accept-Encoding: identity"));
    if (request->token)
        list = add_header(list, str_format("Authorization: Bearer %s", request->token));
    if (request->first > 0 && request->if_range)
        list = add_header(list, str_format("If-Range: %s", request->if_range));
    if (request->json) {
        list = add_header(list, str_dup("Content-Type: application/json"));
        list = add_header(list, str_dup("Expect:")); /* sends the body without asking first */
    }
    return list;
}

/* The token stays in no memory of ours. */
static void free_headers(struct curl_slist *list)
{
    for (struct curl_slist *item = list; item; item = item->next)
        explicit_bzero(item->data, strlen(item->data));
    curl_slist_free_all(list);
}

static void set_request(Transfer *transfer, struct curl_slist *headers)
{
    CURL *curl = transfer->http->curl;
    const HttpRequest *request = transfer->request;
    curl_easy_setopt(curl, CURLOPT_URL, transfer->url);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    if (request->head) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    if (request->json) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->n_json);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->json);
    }
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, lround(1000.0 * request->timeout_s));
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, transfer);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, transfer);
    char range[32];
    snprintf(range, sizeof range, "%lld-", (long long)request->first);
    if (request->first > 0) curl_easy_setopt(curl, CURLOPT_RANGE, range);
    /* A proxy is for the world outside. */
    if (http_is_loopback(transfer->url)) curl_easy_setopt(curl, CURLOPT_PROXY, "");
}

/* What does not depend on the request; a reset handle keeps its connections and forgets all options. */
static void set_policy(const Http *http)
{
    CURL *curl = http->curl;
    const HttpConfig *config = &http->config;
    curl_easy_reset(curl);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 1L);
    curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 2L);
    if (config->ca_file) curl_easy_setopt(curl, CURLOPT_CAINFO, config->ca_file);
    if (config->user_agent) curl_easy_setopt(curl, CURLOPT_USERAGENT, config->user_agent);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, lround(1000.0 * config->connect_timeout_s));
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, (long)HTTP_LOW_SPEED);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, lround(fmax(1.0, config->low_speed_s)));
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_HTTP09_ALLOWED, 0L);
}

/* What libcurl's codes mean to a person, and whether they pass. */
static const struct {
    CURLcode code;
    bool transient;
    const char *what;
} failures[] = {
    {CURLE_COULDNT_RESOLVE_HOST,     false, "the host's name is not known; is there a network?"   },
    {CURLE_COULDNT_RESOLVE_PROXY,    false, "the proxy's name is not known; look at https_proxy"  },
    {CURLE_COULDNT_CONNECT,          false, "the host cannot be reached or refuses the connection"},
    {CURLE_OPERATION_TIMEDOUT,       true,  "no answer, or too slow a one, in the time allowed"   },
    {CURLE_PARTIAL_FILE,             true,  "the connection was closed before the end"            },
    {CURLE_GOT_NOTHING,              true,  "the server closed the connection without an answer"  },
    {CURLE_RECV_ERROR,               true,  "the connection was lost"                             },
    {CURLE_SEND_ERROR,               true,  "the connection was lost"                             },
    {CURLE_HTTP2,                    true,  "the connection was lost"                             },
    {CURLE_HTTP2_STREAM,             true,  "the connection was lost"                             },
    {CURLE_PEER_FAILED_VERIFICATION, false, "the certificate of the server is not trusted"        },
    {CURLE_SSL_CACERT_BADFILE,       false,
     "the file of trusted certificates cannot be read; look at SSL_CERT_FILE"                     },
    {CURLE_SSL_CONNECT_ERROR,        false,
     "no encrypted connection can be made; is there an https server?"                             },
    {CURLE_PROXY,                    false, "the proxy refuses"                                   },
    {CURLE_WEIRD_SERVER_REPLY,       false, "the answer is not HTTP"                              },
    {CURLE_UNSUPPORTED_PROTOCOL,     false, "the answer is not HTTP"                              },
};

static bool fail_transfer(Transfer *transfer, CURLcode code)
{
    char shown[HTTP_URL_SHOWN];
    const char *what = curl_easy_strerror(code);
    http_shown(transfer->url, shown);
    transfer->reply->transient = false;
    for (size_t i = 0; i < COUNT_OF(failures); i++) {
        if (failures[i].code != code) continue;
        what = failures[i].what;
        transfer->reply->transient = failures[i].transient;
    }
    return err_set(transfer->err, ERR_NET, "%s: %s", shown, what);
}

/* One hop. */
static bool perform(Transfer *transfer)
{
    struct curl_slist *headers = make_headers(transfer->request);
    set_policy(transfer->http);
    set_request(transfer, headers);
    *transfer->reply = (HttpReply){.length = -1};
    transfer->n_bytes = 0;
    transfer->begun = transfer->failed = transfer->dropped = false;
    CURLcode code = curl_easy_perform(transfer->http->curl);
    /* The handle must not keep a pointer to headers that are gone. */
    curl_easy_setopt(transfer->http->curl, CURLOPT_HTTPHEADER, NULL);
    free_headers(headers);
    if (transfer->failed) return false;
    if (code != CURLE_OK && !transfer->dropped) return fail_transfer(transfer, code);
    return transfer->begun || begin(transfer);
}

static bool check_hop(const Transfer *transfer, const char *to, Err *err)
{
    char shown[HTTP_URL_SHOWN];
    if (!http_check_url(to, err)) return err_prefix(err, "redirect");
    if (http_is_loopback(transfer->url) || !http_is_loopback(to)) return true;
    http_shown(transfer->url, shown);
    return err_set(err, ERR_NET, "%s: redirects to this machine itself; refused", shown);
}

static bool too_many_redirects(const HttpRequest *request, Err *err)
{
    char shown[HTTP_URL_SHOWN];
    http_shown(request->url, shown);
    return err_set(err, ERR_NET, "%s: more than %d redirects", shown, HTTP_MAX_REDIRECTS);
}

bool http_send(Http *http, const HttpRequest *request, HttpReply *reply, Err *err)
{
    assert(!(request->follow && (request->token || request->json)));
    Transfer transfer = {.http = http, .request = request, .reply = reply, .err = err};
    char *url = str_dup(request->url);
    *reply = (HttpReply){.length = -1};
    bool ok = http_check_url(url, err);
    for (int hops = 0; ok; hops++) {
        transfer.url = url;
        ok = perform(&transfer);
        if (!ok || is_last(&transfer)) break;
        ok = hops < HTTP_MAX_REDIRECTS || too_many_redirects(request, err);
        ok = ok && check_hop(&transfer, reply->location, err);
        free(url);
        url = str_dup(reply->location);
    }
    free(url);
    return ok;
}

/* Sleeps in pieces, so that a stop is heard. */
static bool sleep_s(const Http *http, double seconds, Err *err)
{
    double end = clock_monotonic_s() + seconds;
    for (;;) {
        if (!goes_on(http)) return err_set(err, ERR_CANCELLED, "stopped");
        double left = end - clock_monotonic_s();
        if (left <= 0.0) return true;
        long ns = lround(1e9 * fmin(left, 0.05));
        nanosleep(&(struct timespec){.tv_nsec = ns}, NULL);
    }
}

bool http_wait(Http *http, const HttpReply *reply, int attempt, Err *err)
{
    if (reply->retry_after_s > HTTP_MAX_WAIT_S)
        return err_set(err, ERR_NET,
                       "the server asks to come back in %.0f s (status %d); try again then",
                       reply->retry_after_s, reply->status);
    double backoff = ldexp(http->config.backoff_s, attempt - 1) * (0.5 + rng_unit(&http->rng));
    return sleep_s(http, fmax(reply->retry_after_s, backoff), err);
}

bool http_send_patiently(Http *http, const HttpRequest *request, HttpReply *reply, Err *err)
{
    for (int attempt = 1;; attempt++) {
        Err failure = {0}; /* of an attempt is none of the caller's when the next one succeeds */
        bool ok = http_send(http, request, reply, &failure);
        bool again = reply->transient && (ok || failure.code == ERR_NET);
        if (!again || attempt == HTTP_MAX_ATTEMPTS) {
            if (!ok) *err = failure;
            return ok;
        }
        if (!http_wait(http, reply, attempt, err)) return false;
    }
}
