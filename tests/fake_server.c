#include "tests/fake_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { LOG_BYTES = 1 << 20 };

struct FakeServer {
    FakeHandler handler;
    void *context;
    int listener;
    int port;
    SSL_CTX *tls;
    pthread_t thread;
    pthread_mutex_t mutex; /* of all below */
    pthread_cond_t idle;
    bool stopping;
    int n_open;
    int n_requests;
    size_t log_n;
    char *log;
};

typedef struct {
    FakeServer *server;
    int fd;
} Connection;

static void stop_if(bool bad, const char *what)
{
    if (!bad) return;
    perror(what);
    abort();
}

bool fake_write(FakeRequest *request, const void *bytes, size_t n)
{
    const char *at = bytes;
    while (n > 0) {
        size_t most = n > 1 << 20 ? 1 << 20 : n;
        ssize_t done = request->tls ? SSL_write(request->tls, at, (int)most)
                                    : send(request->fd, at, most, MSG_NOSIGNAL);
        if (done <= 0) return false;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool fake_printf(FakeRequest *request, const char *format, ...)
{
    char text[4096];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    stop_if(n < 0 || (size_t)n >= sizeof text, "fake_printf");
    return fake_write(request, text, (size_t)n);
}

void fake_answer(FakeRequest *request, const char *status, const char *headers, const void *body,
                 size_t n)
{
    fake_printf(request, "HTTP/1.1 %s\r\n%sContent-Length: %zu\r\nConnection: close\r\n\r\n",
                status, headers, n);
    if (strcmp(request->method, "HEAD") != 0) fake_write(request, body, n);
}

void fake_sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000L}, NULL);
}

bool fake_header(const FakeRequest *request, const char *name, char *out, size_t cap)
{
    size_t n = strlen(name);
    for (const char *line = strstr(request->text, "\r\n"); line; line = strstr(line, "\r\n")) {
        line += 2;
        if (strncasecmp(line, name, n) != 0 || line[n] != ':') continue;
        line += n + 1;
        line += strspn(line, " ");
        snprintf(out, cap, "%.*s", (int)strcspn(line, "\r"), line);
        return true;
    }
    return false;
}

static ssize_t receive(FakeRequest *request, char *to, size_t n)
{
    return request->tls ? SSL_read(request->tls, to, (int)n) : recv(request->fd, to, n, 0);
}

char *fake_read_body(FakeRequest *request, size_t *n)
{
    char length[32];
    *n = fake_header(request, "Content-Length", length, sizeof length) ? strtoul(length, NULL, 10)
                                                                       : 0;
    char *body = malloc(*n + 1);
    stop_if(!body, "malloc");
    for (size_t done = 0; done < *n;) {
        ssize_t got = receive(request, body + done, *n - done);
        if (got <= 0) {
            free(body);
            return NULL;
        }
        done += (size_t)got;
    }
    body[*n] = '\0';
    return body;
}

/* Reads up to the blank line. */
static bool read_request(FakeRequest *request)
{
    size_t n = 0;
    while (n + 1 < sizeof request->text) {
        ssize_t got = receive(request, request->text + n, 1);
        if (got <= 0 || (unsigned char)request->text[0] < ' ') return false; /* TLS is no HTTP */
        n += (size_t)got;
        request->text[n] = '\0';
        if (n >= 4 && memcmp(request->text + n - 4, "\r\n\r\n", 4) == 0)
            return sscanf(request->text, "%15s %1023s", request->method, request->path) == 2;
    }
    return false;
}

static void record(FakeServer *server, const FakeRequest *request)
{
    pthread_mutex_lock(&server->mutex);
    size_t n = strlen(request->text);
    server->n_requests++;
    if (server->log_n + n < LOG_BYTES) {
        memcpy(server->log + server->log_n, request->text, n + 1);
        server->log_n += n;
    }
    pthread_mutex_unlock(&server->mutex);
}

/* Takes the rest of what the client sends, so that closing does not reset the answer on its way. */
static void drain(int fd)
{
    char rest[4096];
    shutdown(fd, SHUT_WR);
    struct pollfd in = {.fd = fd, .events = POLLIN};
    while (poll(&in, 1, 200) == 1 && recv(fd, rest, sizeof rest, 0) > 0)
        ;
}

static void converse(FakeServer *server, FakeRequest *request)
{
    SSL *tls = server->tls ? SSL_new(server->tls) : NULL;
    bool ready = true;
    if (tls) {
        SSL_set_fd(tls, request->fd);
        ready = SSL_accept(tls) == 1;
        request->tls = tls;
    }
    if (ready && read_request(request)) {
        record(server, request);
        server->handler(server->context, request);
    }
    if (tls && ready) SSL_shutdown(tls);
    drain(request->fd);
    SSL_free(tls);
}

static void *serve_connection(void *argument)
{
    Connection *connection = argument;
    FakeServer *server = connection->server;
    FakeRequest *request = calloc(1, sizeof *request);
    sigset_t pipe;
    stop_if(!request, "calloc");
    /* libssl writes to clients that have left. */
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe, NULL);
    request->fd = connection->fd;
    converse(server, request);
    close(connection->fd);
    free(request);
    free(connection);
    pthread_mutex_lock(&server->mutex);
    server->n_open--;
    pthread_cond_signal(&server->idle);
    pthread_mutex_unlock(&server->mutex);
    return NULL;
}

static void open_connection(FakeServer *server, int fd)
{
    pthread_t thread;
    Connection *connection = malloc(sizeof *connection);
    stop_if(!connection, "malloc");
    *connection = (Connection){server, fd};
    pthread_mutex_lock(&server->mutex);
    server->n_open++;
    pthread_mutex_unlock(&server->mutex);
    stop_if(pthread_create(&thread, NULL, serve_connection, connection) != 0, "pthread_create");
    pthread_detach(thread);
}

static bool is_stopping(FakeServer *server)
{
    pthread_mutex_lock(&server->mutex);
    bool stopping = server->stopping;
    pthread_mutex_unlock(&server->mutex);
    return stopping;
}

static void *serve(void *argument)
{
    FakeServer *server = argument;
    struct pollfd in = {.fd = server->listener, .events = POLLIN};
    while (!is_stopping(server)) {
        if (poll(&in, 1, 20) != 1) continue;
        int fd = accept(server->listener, NULL, NULL);
        if (fd >= 0) open_connection(server, fd);
    }
    return NULL;
}

/* On any free port where *port is 0. */
static int listen_somewhere(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)*port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0) setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    stop_if(fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0 ||
                listen(fd, 64) != 0 || getsockname(fd, (struct sockaddr *)&address, &n) != 0,
            "a port on 127.0.0.1");
    *port = ntohs(address.sin_port);
    return fd;
}

static SSL_CTX *open_tls(const char *certificate, const char *key)
{
    SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
    stop_if(!tls || SSL_CTX_use_certificate_file(tls, certificate, SSL_FILETYPE_PEM) != 1 ||
                SSL_CTX_use_PrivateKey_file(tls, key, SSL_FILETYPE_PEM) != 1,
            "a certificate");
    return tls;
}

static FakeServer *start(int port, FakeHandler handler, void *context, const char *certificate,
                         const char *key)
{
    FakeServer *server = calloc(1, sizeof *server);
    stop_if(!server, "calloc");
    server->handler = handler;
    server->context = context;
    server->port = port;
    server->log = calloc(1, LOG_BYTES);
    stop_if(!server->log, "calloc");
    if (certificate) server->tls = open_tls(certificate, key);
    pthread_mutex_init(&server->mutex, NULL);
    pthread_cond_init(&server->idle, NULL);
    server->listener = listen_somewhere(&server->port);
    stop_if(pthread_create(&server->thread, NULL, serve, server) != 0, "pthread_create");
    return server;
}

FakeServer *fake_server_start(FakeHandler handler, void *context, const char *certificate,
                              const char *key)
{
    return start(0, handler, context, certificate, key);
}

FakeServer *fake_server_start_on(int port, FakeHandler handler, void *context)
{
    return start(port, handler, context, NULL, NULL);
}

void fake_server_stop(FakeServer *server)
{
    pthread_mutex_lock(&server->mutex);
    server->stopping = true;
    pthread_mutex_unlock(&server->mutex);
    pthread_join(server->thread, NULL);
    close(server->listener);
    pthread_mutex_lock(&server->mutex);
    while (server->n_open > 0)
        pthread_cond_wait(&server->idle, &server->mutex);
    pthread_mutex_unlock(&server->mutex);
    SSL_CTX_free(server->tls);
    free(server->log);
    free(server);
}

int fake_server_port(const FakeServer *server)
{
    return server->port;
}

int fake_server_count(FakeServer *server)
{
    pthread_mutex_lock(&server->mutex);
    int n = server->n_requests;
    pthread_mutex_unlock(&server->mutex);
    return n;
}

bool fake_server_saw(FakeServer *server, const char *text)
{
    pthread_mutex_lock(&server->mutex);
    bool saw = strstr(server->log, text) != NULL;
    pthread_mutex_unlock(&server->mutex);
    return saw;
}

void fake_server_forget(FakeServer *server)
{
    pthread_mutex_lock(&server->mutex);
    server->n_requests = 0;
    server->log_n = 0;
    server->log[0] = '\0';
    pthread_mutex_unlock(&server->mutex);
}
