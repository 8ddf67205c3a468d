/* A web server on loopback for tests: a thread a connection, one request each, the answers written by the test's own
 * function, byte by byte if it likes. */
#ifndef TESTS_FAKE_SERVER_H
#define TESTS_FAKE_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FAKE_REQUEST_BYTES = 8192 };

/* One request under way. */
typedef struct {
    char text[FAKE_REQUEST_BYTES]; /* the head as it came, up to the blank line */
    char method[16];
    char path[1024]; /* with the query */
    int fd;
    void *tls; /* an SSL *, or NULL */
} FakeRequest;

typedef struct FakeServer FakeServer;

/* Answers a request; runs on the connection's own thread. The connection is closed after it. */
typedef void (*FakeHandler)(void *context, FakeRequest *request);

/* Starts a server on a free port of 127.0.0.1; with certificate and key (PEM files) it speaks TLS. Ends the program if it cannot. */
FakeServer *fake_server_start(FakeHandler handler, void *context, const char *certificate,
                              const char *key);

/* The same on this port, without TLS. */
FakeServer *fake_server_start_on(int port, FakeHandler handler, void *context);

/* Ends the server after the answers under way. */
void fake_server_stop(FakeServer *server);

int fake_server_port(const FakeServer *server);

/* Requests that came. */
int fake_server_count(FakeServer *server);

/* Whether the heads of all requests so far hold a text. */
bool fake_server_saw(FakeServer *server, const char *text);

/* Forgets the requests so far. */
void fake_server_forget(FakeServer *server);

/* A header's value of the request, copied into out; false if it is absent. */
bool fake_header(const FakeRequest *request, const char *name, char *out, size_t cap);

/* Reads the body of the request, as long as its head says, and ends it with a NUL; NULL if the client leaves. Free with free(). */
char *fake_read_body(FakeRequest *request, size_t *n);

/* Writes bytes, or printf text, to the client; false once it is gone. */
bool fake_write(FakeRequest *request, const void *bytes, size_t n);
bool fake_printf(FakeRequest *request, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A whole answer: "200 OK", headers each ending in CRLF, a body (none to a HEAD, whose Content-Length is that of the body). */
void fake_answer(FakeRequest *request, const char *status, const char *headers, const void *body,
                 size_t n);

void fake_sleep_ms(int ms);

#endif
