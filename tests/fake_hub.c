#include "tests/fake_hub.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void hex_digest(const EVP_MD *kind, const char *head, size_t n_head, const void *bytes,
                       size_t n, char out[65])
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n_digest = 0;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    if (!context || !EVP_DigestInit_ex(context, kind, NULL)) abort();
    EVP_DigestUpdate(context, head, n_head);
    EVP_DigestUpdate(context, bytes, n);
    EVP_DigestFinal_ex(context, digest, &n_digest);
    EVP_MD_CTX_free(context);
    for (unsigned i = 0; i < n_digest; i++)
        snprintf(out + (size_t)2 * i, 3, "%02x", digest[i]);
}

void fake_hub_add(FakeHub *hub, const char *name, const void *bytes, size_t n, bool is_large)
{
    char head[32];
    if (hub->n_files == FAKE_MAX_FILES) abort();
    FakeFile *file = &hub->files[hub->n_files++];
    *file = (FakeFile){.name = strdup(name), .bytes = malloc(n + 1), .n = n, .is_large = is_large};
    if (!file->name || !file->bytes) abort();
    if (n) memcpy(file->bytes, bytes, n);
    int n_head = snprintf(head, sizeof head, "blob %zu", n) + 1;
    if (is_large)
        hex_digest(EVP_sha256(), "", 0, bytes, n, file->etag);
    else
        hex_digest(EVP_sha1(), head, (size_t)n_head, bytes, n, file->etag);
}

static void add_path(FakeHub *hub, const char *path, const char *name)
{
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) return;
    FILE *in = fopen(path, "rb");
    size_t n = (size_t)st.st_size;
    char *bytes = malloc(n + 1);
    if (!in || !bytes || fread(bytes, 1, n, in) != n) abort();
    fclose(in);
    fake_hub_add(hub, name, bytes, n, n > 4096);
    free(bytes);
}

void fake_hub_add_folder(FakeHub *hub, const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    if (!dir) abort();
    while ((entry = readdir(dir))) {
        char path[4096];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        add_path(hub, path, entry->d_name);
    }
    closedir(dir);
}

void fake_hub_reset(FakeHub *hub)
{
    hub->faults = (FakeFaults){0};
    hub->token = NULL;
    hub->n_gets = 0;
    fake_server_forget(hub->hub);
    fake_server_forget(hub->store);
}

static const FakeFile *find_file(const FakeHub *hub, const char *name)
{
    for (int i = 0; i < hub->n_files; i++)
        if (strcmp(hub->files[i].name, name) == 0) return &hub->files[i];
    return NULL;
}

static void refuse(FakeRequest *request, int status, const char *word)
{
    char line[64], header[128] = "";
    snprintf(line, sizeof line, "%d Refused", status);
    if (word) snprintf(header, sizeof header, "X-Error-Code: %s\r\n", word);
    fake_answer(request, line, header, "{}", 2);
}

/* A name as JSON text: what would end the string is escaped, and a hostile name may bring escapes of its own. */
static int put_name(char *out, size_t cap, const char *name)
{
    size_t n = 0;
    for (const char *c = name; *c && n + 8 < cap; c++) {
        if (*c == '"' || (*c == '\\' && c[1] != 'u'))
            n += (size_t)snprintf(out + n, cap - n, "\\%c", *c);
        else if ((unsigned char)*c < ' ')
            n += (size_t)snprintf(out + n, cap - n, "\\u%04x", (unsigned char)*c);
        else
            out[n++] = *c;
    }
    out[n] = '\0';
    return (int)n;
}

static void answer_list(FakeHub *hub, FakeRequest *request)
{
    static const size_t cap = 1 << 20;
    char *text = malloc(cap);
    if (!text) abort();
    size_t n = (size_t)snprintf(text, cap, "{\"sha\": \"%s\", \"siblings\": [", FAKE_COMMIT);
    for (int i = 0; i < hub->n_files; i++) {
        n += (size_t)snprintf(text + n, cap - n, "%s{\"rfilename\": \"", i ? ", " : "");
        n += (size_t)put_name(text + n, cap - n, hub->files[i].name);
        n += (size_t)snprintf(text + n, cap - n, "\"}");
    }
    n += (size_t)snprintf(text + n, cap - n, "]}");
    fake_answer(request, "200 OK", "Content-Type: application/json\r\n", text, n);
    free(text);
}

/* HEAD and GET of a file that lies in the store. */
static void answer_large(FakeHub *hub, FakeRequest *request, const FakeFile *file)
{
    const FakeFaults *faults = &hub->faults;
    char size[32], store[2048];
    snprintf(size, sizeof size, "%zu", file->n);
    snprintf(store, sizeof store, "http://127.0.0.1:%d/%s?signature=SECRETSIGNATURE",
             fake_server_port(hub->store), file->name);
    fake_printf(request,
                "HTTP/1.1 302 Found\r\nLocation: %s\r\nX-Repo-Commit: %s\r\nX-Linked-Size: %s\r\n"
                "X-Linked-Etag: \"%s\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                faults->location ? faults->location : store,
                faults->commit ? faults->commit : FAKE_COMMIT, faults->size ? faults->size : size,
                faults->etag ? faults->etag : file->etag);
}

/* "/org/name/resolve/COMMIT/FILE" and, for small files, where that leads: the same with "/cached" before it. */
static void answer_file(FakeHub *hub, FakeRequest *request)
{
    const FakeFaults *faults = &hub->faults;
    const char *resolve = strstr(request->path, "/resolve/");
    const char *name = strchr(resolve + strlen("/resolve/"), '/');
    const FakeFile *file = name ? find_file(hub, name + 1) : NULL;
    char headers[512];
    if (!file) {
        refuse(request, 404, "EntryNotFound");
    } else if (faults->head_status) {
        refuse(request, faults->head_status, NULL);
    } else if (file->is_large) {
        answer_large(hub, request, file);
    } else if (strncmp(request->path, "/cached", 7) != 0) {
        fake_printf(request,
                    "HTTP/1.1 307 Moved\r\nLocation: /cached%s\r\nX-Repo-Commit: %s\r\n"
                    "Content-Length: 0\r\nConnection: close\r\n\r\n",
                    request->path, FAKE_COMMIT);
    } else {
        snprintf(headers, sizeof headers, "ETag: W/\"%s\"\r\nX-Repo-Commit: %s\r\n",
                 faults->etag ? faults->etag : file->etag,
                 faults->commit ? faults->commit : FAKE_COMMIT);
        fake_answer(request, "200 OK", headers, file->bytes, file->n);
    }
}

static void serve_hub(void *context, FakeRequest *request)
{
    FakeHub *hub = context;
    const FakeFaults *faults = &hub->faults;
    char authorization[256] = "", wanted[256];
    snprintf(wanted, sizeof wanted, "Bearer %s", hub->token ? hub->token : "");
    fake_header(request, "Authorization", authorization, sizeof authorization);
    if (hub->token && strcmp(authorization, wanted) != 0)
        refuse(request, 401, "GatedRepo");
    else if (strstr(request->path, "/resolve/"))
        answer_file(hub, request);
    else if (strncmp(request->path, "/api/", 5) != 0 || !strstr(request->path, "/revision/"))
        refuse(request, 404, "RepoNotFound");
    else if (faults->list_status)
        refuse(request, faults->list_status, faults->list_word);
    else if (faults->list_body)
        fake_answer(request, "200 OK", "", faults->list_body, strlen(faults->list_body));
    else
        answer_list(hub, request);
}

/* The bytes from `first` on, with the faults of the n-th GET. */
static void send_body(FakeHub *hub, FakeRequest *request, const FakeFile *file, size_t first,
                      int nth)
{
    const FakeFaults *faults = &hub->faults;
    size_t end =
        nth < faults->n_cut && first + faults->cut_at < file->n ? first + faults->cut_at : file->n;
    size_t step = nth < faults->n_dripped ? 1 : faults->pause_ms ? 4096 : end;
    for (size_t at = first; at < end; at += step) {
        size_t n = end - at < step ? end - at : step;
        bool flip = nth < faults->n_flipped && at + n == file->n;
        char wrong = (char)(file->bytes[at + n - 1] ^ 1);
        bool there = fake_write(request, file->bytes + at, flip ? n - 1 : n) &&
                     (!flip || fake_write(request, &wrong, 1));
        if (!there) return;
        if (nth < faults->n_dripped) fake_sleep_ms(100);
        if (faults->pause_ms) fake_sleep_ms(faults->pause_ms);
    }
    while (faults->omits_length && fake_write(request, "endless endless endless ", 24))
        ;
}

static void serve_store(void *context, FakeRequest *request)
{
    FakeHub *hub = context;
    const FakeFaults *faults = &hub->faults;
    char name[1024], range[64], if_range[128], validator[128];
    int nth = __atomic_fetch_add(&hub->n_gets, 1, __ATOMIC_SEQ_CST);
    snprintf(name, sizeof name, "%.*s", (int)strcspn(request->path + 1, "?"), request->path + 1);
    const FakeFile *file = find_file(hub, name);
    if (!file) {
        refuse(request, 404, NULL);
        return;
    }
    if (nth < faults->n_status) {
        refuse(request, faults->get_status, NULL);
        return;
    }
    snprintf(validator, sizeof validator, "%s\"store-%d\"", faults->weak_validator ? "W/" : "",
             faults->changes_validator ? nth : 0);
    size_t first = 0;
    bool asked =
        fake_header(request, "Range", range, sizeof range) && strncmp(range, "bytes=", 6) == 0;
    if (asked) first = (size_t)strtoull(range + 6, NULL, 10);
    bool matches = !fake_header(request, "If-Range", if_range, sizeof if_range) ||
                   strcmp(if_range, validator) == 0;
    if (asked && faults->refuses_ranges) {
        refuse(request, 416, NULL);
        return;
    }
    if (!asked || !matches || faults->ignores_ranges || first >= file->n) first = 0;
    fake_printf(request, "HTTP/1.1 %s\r\nETag: %s\r\nConnection: close\r\n",
                first ? "206 Partial Content" : "200 OK", validator);
    if (first)
        fake_printf(request, "Content-Range: bytes %zu-%zu/%zu\r\n",
                    first - (faults->lies_of_ranges ? 1 : 0), file->n - 1, file->n);
    if (!faults->omits_length) fake_printf(request, "Content-Length: %zu\r\n", file->n - first);
    if (faults->compresses) fake_printf(request, "Content-Encoding: gzip\r\n");
    fake_printf(request, "\r\n");
    send_body(hub, request, file, first, nth);
}

FakeHub *fake_hub_start(void)
{
    FakeHub *hub = calloc(1, sizeof *hub);
    if (!hub) abort();
    hub->store = fake_server_start(serve_store, hub, NULL, NULL);
    hub->hub = fake_server_start(serve_hub, hub, NULL, NULL);
    snprintf(hub->endpoint, sizeof hub->endpoint, "http://127.0.0.1:%d",
             fake_server_port(hub->hub));
    return hub;
}

void fake_hub_stop(FakeHub *hub)
{
    fake_server_stop(hub->hub);
    fake_server_stop(hub->store);
    for (int i = 0; i < hub->n_files; i++) {
        free(hub->files[i].name);
        free(hub->files[i].bytes);
    }
    free(hub);
}
