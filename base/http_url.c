/* What a URL may be, by libcurl's own parser: judging a URL with one parser and fetching it with another is how checks are got around. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/http.h"
#include "base/str.h"

typedef struct {
    char *scheme;
    char *host;
    char *port;
} Origin;

static void free_origin(Origin *origin)
{
    curl_free(origin->scheme);
    curl_free(origin->host);
    curl_free(origin->port);
}

static bool read_origin(const char *url, Origin *origin)
{
    *origin = (Origin){0};
    CURLU *parsed = curl_url();
    bool ok = parsed &&
              curl_url_set(parsed, CURLUPART_URL, url,
                           CURLU_DISALLOW_USER | CURLU_NON_SUPPORT_SCHEME) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_SCHEME, &origin->scheme, 0) == CURLUE_OK &&
              curl_url_get(parsed, CURLUPART_HOST, &origin->host, 0) == CURLUE_OK;
    /* A scheme that has no port of its own is refused later, by name. */
    if (ok) curl_url_get(parsed, CURLUPART_PORT, &origin->port, CURLU_DEFAULT_PORT);
    curl_url_cleanup(parsed);
    if (!ok) free_origin(origin);
    return ok;
}

/* This machine: localhost, 127.x.y.z or ::1, and no name that only begins like one. */
static bool is_loopback(const char *host)
{
    struct in_addr four;
    if (strcasecmp(host, "localhost") == 0 || str_equal(host, "[::1]")) return true;
    return inet_pton(AF_INET, host, &four) == 1 && ntohl(four.s_addr) >> 24 == 127;
}

bool http_check_url(const char *url, Err *err)
{
    Origin origin;
    char shown[HTTP_URL_SHOWN];
    http_shown(url, shown);
    if (!read_origin(url, &origin))
        return err_set(err, ERR_NET,
                       "%s: is no URL that is fetched; https://host/path is, without a name or a "
                       "password in it",
                       shown);
    bool ok =
        strcasecmp(origin.scheme, "https") == 0 ||
        (strcasecmp(origin.scheme, "http") == 0 && is_loopback(origin.host)) ||
        err_set(err, ERR_NET,
                "%s: refused: only https is fetched, and http from this machine itself", shown);
    free_origin(&origin);
    return ok;
}

bool http_is_loopback(const char *url)
{
    Origin origin;
    if (!read_origin(url, &origin)) return false;
    bool yes = is_loopback(origin.host);
    free_origin(&origin);
    return yes;
}

char *http_resolve(const char *base, const char *location)
{
    char *url = NULL, *copy = NULL;
    CURLU *parsed = curl_url();
    const unsigned flags = CURLU_NON_SUPPORT_SCHEME;
    if (parsed && curl_url_set(parsed, CURLUPART_URL, base, flags) == CURLUE_OK &&
        curl_url_set(parsed, CURLUPART_URL, location, flags) == CURLUE_OK &&
        curl_url_get(parsed, CURLUPART_URL, &url, 0) == CURLUE_OK)
        copy = str_dup(url);
    curl_free(url);
    curl_url_cleanup(parsed);
    return copy ? copy : str_dup(location);
}

bool http_same_origin(const char *a, const char *b)
{
    Origin x, y;
    if (!read_origin(a, &x)) return false;
    bool same = read_origin(b, &y);
    if (same) {
        same = strcasecmp(x.scheme, y.scheme) == 0 && strcasecmp(x.host, y.host) == 0 && x.port &&
               y.port && str_equal(x.port, y.port);
        free_origin(&y);
    }
    free_origin(&x);
    return same;
}

void http_shown(const char *url, char out[HTTP_URL_SHOWN])
{
    size_t n = strcspn(url, "?#");
    const char *path = strstr(url, "://");
    size_t first = path && path + 3 < url + n ? (size_t)(path + 3 - url) : 0;
    size_t host = strcspn(url + first, "/?#");
    const char *at = memchr(url + first, '@', host);
    if (!at) {
        str_escape(url, n, out, HTTP_URL_SHOWN);
        return;
    }
    /* A name and a password before the host are left out as well. */
    char *bare = str_format("%.*s%.*s", (int)min_i64((int64_t)first, 64), url,
                            (int)min_i64((int64_t)(url + n - (at + 1)), HTTP_URL_SHOWN), at + 1);
    str_escape(bare, strlen(bare), out, HTTP_URL_SHOWN);
    free(bare);
}
