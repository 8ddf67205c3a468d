/* HTTP requests by libcurl, one at a time on a handle: plain enough to be looked through, strict where a server
 * or the way to it may be hostile.
 *
 * https only, and http to this machine itself; certificates are verified; nothing is decoded; every body has a
 * limit. A request that carries a token is never followed to another place, so the token cannot leave the host that it was
 * meant for: the caller looks at the redirect and sends a second request without one. No text of an error or a reply holds
 * the token or the query of a URL. */
#ifndef BASE_HTTP_H
#define BASE_HTTP_H

#include "base/err.h"

enum {
    HTTP_MAX_REDIRECTS = 5,
    HTTP_MAX_ATTEMPTS = 5, /* of http_send_patiently */
    HTTP_MAX_WAIT_S = 300, /* a server that asks for a longer pause is not waited for */
    HTTP_LOW_SPEED = 1024, /* bytes a second; see HttpConfig.low_speed_s */
    HTTP_URL_SHOWN = 512,  /* of http_shown's text */
    HTTP_MAX_ERROR_BYTES = 1 << 16,
};

typedef struct {
    const char *user_agent; /* "name/version" */
    const char *ca_file;    /* certificates to trust instead of the system's; NULL: the system's */
    double connect_timeout_s;   /* 0: 10 */
    double low_speed_s;         /* slower than HTTP_LOW_SPEED for so long ends a request; 0: 60 */
    double backoff_s;           /* before the second attempt, doubled each time, jittered; 0: 0.5 */
    bool (*keep_going)(void *); /* asked a few times a second; NULL: always */
    void *context;              /* of keep_going */
} HttpConfig;

/* What the head of an answer says. */
typedef struct {
    int status;     /* 0: no answer came */
    int64_t length; /* of the body, -1 unknown */
    const char
        *location; /* absolute URL that a redirect names, or NULL; lent until the next request */
    double retry_after_s; /* 0: not said */
    bool transient;       /* the same request may succeed later */
} HttpReply;

/* Strings are lent for the call. */
typedef struct {
    const char *url;
    const char *token;    /* sent as "Authorization: Bearer …"; NULL: none */
    const char *if_range; /* the validator of what is already here, with first > 0; NULL: none */
    int64_t first;        /* asks for the bytes from here on; 0: all */
    int64_t max_bytes;    /* of the body; a longer one is an error */
    double timeout_s;     /* for the whole request; 0: only low_speed_s ends it */
    bool head;            /* HEAD, not GET */
    bool follow; /* goes where redirects lead, to other hosts too; not with a token or with json */
    const char *json; /* the body of a POST; NULL: a GET or HEAD */
    size_t n_json;
    bool
        takes_errors; /* body gets the text of other answers too, HTTP_MAX_ERROR_BYTES of it at most */
    /* Called once, before the first byte of the body and without one too, for an answer of any status; NULL: not wanted. */
    bool (*begin)(void *context, const HttpReply *reply, Err *err);
    /* Called with each piece of the body of a 2xx answer, and of others with takes_errors; NULL: the body is dropped. */
    bool (*body)(void *context, const void *bytes, size_t n, Err *err);
    void *context; /* of begin and body */
} HttpRequest;

typedef struct Http Http;

/* Opens a handle, which keeps its connections for later requests; the config's strings must outlive it. Errors: NET (libcurl cannot start). */
Http *http_open(const HttpConfig *config, Err *err) MUST_USE;
void http_close(Http *http);

/* Sends one request. True when an answer came, of whatever status.
 * Errors: NET (refused URL, name, connection, TLS, timeout, cut or too long body; reply->transient says whether another attempt
 * may help), CANCELLED, and those of begin and body. */
bool http_send(Http *http, const HttpRequest *request, HttpReply *reply, Err *err) MUST_USE;

/* http_send, again after a pause while the failure or the status (408, 429, 5xx) is one that passes, at most HTTP_MAX_ATTEMPTS times.
 * begin must forget what came before. Errors: as http_send. */
bool http_send_patiently(Http *http, const HttpRequest *request, HttpReply *reply,
                         Err *err) MUST_USE;

/* Waits as long as the server asked for, else for the backoff of this attempt (1: the first failed).
 * Errors: NET (the server asks for more than HTTP_MAX_WAIT_S), CANCELLED. */
bool http_wait(Http *http, const HttpReply *reply, int attempt, Err *err) MUST_USE;

/* A header of the last answer, or NULL; lent until the next request. */
const char *http_header(const Http *http, const char *name);

/* Whether a request to this URL may be sent at all. Errors: NET (no URL, another scheme, http to another machine, a name or a password in it). */
bool http_check_url(const char *url, Err *err) MUST_USE;

/* Whether two URLs have the same scheme, host and port; false when one is none. */
bool http_same_origin(const char *a, const char *b);

/* The URL that a Location header means on a page of URL base; the header's own text where that is none. Free with free(). */
char *http_resolve(const char *base, const char *location);

/* Whether the URL names this machine itself. */
bool http_is_loopback(const char *url);

/* The URL for messages: without its query and fragment, which may hold a secret, and escaped. */
void http_shown(const char *url, char out[HTTP_URL_SHOWN]);

#endif
