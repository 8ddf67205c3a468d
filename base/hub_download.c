/* Fetching a blob.
 *
 *     lock -> is it here by now? -> part of an earlier run -> [ where is it -> GET the rest ]… -> hash -> rename
 *
 * The bracket runs again after what passes: a cut, a slow server, a link that has run out. The count of attempts starts
 * anew whenever PROGRESS_BYTES have come since the last, so that a large file gets through a bad line. A 200 to a Range, a
 * 206 of another range and a 416 all mean "from the start". Wrong bytes are thrown away and fetched once more, from the start. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hub_internal.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    PROGRESS_BYTES = 1 << 20,
    SPARE_BYTES = 16 << 20, /* that must stay free on the disk */
};

/* One file under way. */
typedef struct {
    Hub *hub;
    const HubSnapshot *snapshot;
    HubFile *file;
    Http *http; /* of the answer under way */
    HubPart part;
    HubProgress progress; /* n_bytes: of the files before this one */
    bool from_start;      /* the next request asks for all */
} Download;

static void show_progress(Download *download)
{
    const HubHooks *hooks = &download->hub->hooks;
    HubProgress now = download->progress;
    now.n_bytes += download->part.n_bytes;
    if (hooks->progress) hooks->progress(hooks->context, &now);
}

/* Whether *at begins with this text or number, which is then passed over. */
static bool pass_text(const char **at, const char *text)
{
    bool is_next = str_starts_with(*at, text);
    if (is_next) *at += strlen(text);
    return is_next;
}

static bool pass_number(const char **at, int64_t number)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)number);
    return pass_text(at, text);
}

/* Whether a 206 holds the bytes from `first` to the end of a file of this size. Source: RFC 9110, 14.4. */
static bool is_asked_range(const char *value, int64_t first, int64_t size)
{
    return value && pass_text(&value, "bytes ") && pass_number(&value, first) &&
           pass_text(&value, "-") && pass_number(&value, size - 1) && pass_text(&value, "/") &&
           (pass_text(&value, "*") || pass_number(&value, size)) && *value == '\0';
}

/* The head of an answer to a GET: decides where its bytes go. */
static bool on_head(void *context, const HttpReply *reply, Err *err)
{
    Download *download = context;
    HubPart *part = &download->part;
    if (reply->status == 206 &&
        is_asked_range(http_header(download->http, "Content-Range"), part->n_bytes, part->size))
        return true;
    download->from_start = reply->status == 206 || reply->status == 416;
    if (download->from_start)
        return err_set(err, ERR_NET, "%s: the server does not continue where the file ends",
                       download->file->name);
    if (reply->status != 200) return true; /* said by the caller */
    if (reply->length >= 0 && reply->length != part->size)
        return err_set(err, ERR_NET,
                       "%s: the server sends %lld bytes, the hub says that it has %lld",
                       download->file->name, (long long)reply->length, (long long)part->size);
    return hub_part_restart(part, err) &&
           hub_part_note(part, http_header(download->http, "ETag"), err);
}

static bool on_bytes(void *context, const void *bytes, size_t n, Err *err)
{
    Download *download = context;
    if (!hub_part_add(&download->part, bytes, n, err)) return false;
    show_progress(download);
    return true;
}

/* One GET of what is left. The endpoint gets the token and may send us on; other hosts get none. */
static bool get_once(Download *download, const char *location, HttpReply *reply, Err *err)
{
    Hub *hub = download->hub;
    HubPart *part = &download->part;
    char *url = str_dup(location);
    bool ok = true;
    for (int hops = 0;; hops++) {
        bool own = http_same_origin(url, hub->config->endpoint);
        HttpRequest request = {
            .url = url,
            .token = own ? hub->config->token : NULL,
            .follow = !own,
            .first = part->n_bytes,
            .if_range = part->validator,
            .max_bytes = part->size,
            .begin = on_head,
            .body = on_bytes,
            .context = download,
        };
        download->http = own ? hub->http : hub->anonymous;
        ok = http_send(download->http, &request, reply, err);
        if (!ok || !reply->location || hops == HTTP_MAX_REDIRECTS) break;
        free(url);
        url = str_dup(reply->location);
    }
    free(url);
    return ok;
}

/* A signed link that has run out, or a host that will not: the next look at the hub gives a new one. */
static bool is_stale_link(const HubMetadata *metadata, const Hub *hub, int status)
{
    return (status == 401 || status == 403 || status == 404 || status == 410) &&
           !http_same_origin(metadata->location, hub->config->endpoint);
}

typedef enum { TRY_DONE, TRY_AGAIN, TRY_FAILED } Try;

/* One attempt: asks where the file is and takes what comes. */
static Try try_once(Download *download, HttpReply *reply, Err *err)
{
    Hub *hub = download->hub;
    HubPart *part = &download->part;
    HubMetadata metadata;
    *reply = (HttpReply){0};
    download->from_start = false;
    if (!hub_metadata(hub, download->snapshot, download->file->name, &metadata, err))
        return TRY_FAILED;
    Try result = TRY_FAILED;
    if (!str_equal(metadata.etag, part->etag) || metadata.size != part->size) {
        err_set(err, ERR_NET, "%s: the hub names other bytes than a moment ago",
                download->file->name);
    } else if (!get_once(download, metadata.location, reply, err)) {
        result = download->from_start || (err->code == ERR_NET && reply->transient) ? TRY_AGAIN
                                                                                    : TRY_FAILED;
    } else if (reply->status == 200 || reply->status == 206) {
        result = part->n_bytes == part->size ? TRY_DONE : TRY_AGAIN;
        err_set(err, ERR_NET, "%s: ends after %lld of %lld bytes", download->file->name,
                (long long)part->n_bytes, (long long)part->size);
    } else {
        bool again = reply->transient || is_stale_link(&metadata, hub, reply->status);
        hub_refused(hub, download->http, &download->snapshot->address, download->file->name,
                    reply->status, err);
        result = again ? TRY_AGAIN : TRY_FAILED;
    }
    hub_metadata_free(&metadata);
    return result;
}

/* Fills the part, however often the line breaks. */
static bool fill(Download *download, Err *err)
{
    HubPart *part = &download->part;
    int64_t before = part->n_bytes;
    for (int attempt = 1; part->n_bytes < part->size || part->size == 0; attempt++) {
        HttpReply reply;
        Err failure; /* of an attempt is none of the caller's when the next one succeeds */
        Try result = try_once(download, &reply, &failure);
        if (result == TRY_DONE) return true;
        if (part->n_bytes - before >= PROGRESS_BYTES) attempt = 1;
        if (result == TRY_AGAIN && attempt == HTTP_MAX_ATTEMPTS)
            err_prefix(&failure, "given up after %d attempts", attempt);
        if (result == TRY_FAILED || attempt == HTTP_MAX_ATTEMPTS) {
            *err = failure;
            return false;
        }
        if (download->from_start && !hub_part_restart(part, err)) return false;
        before = part->n_bytes;
        if (!http_wait(download->hub->http, &reply, attempt, err)) return false;
    }
    return true;
}

/* Fills and verifies; wrong bytes are fetched once more. */
static bool fill_rightly(Download *download, Err *err)
{
    char got[HASH_HEX_SIZE];
    const char *name = download->file->name;
    for (int times = 1; times <= 2; times++) {
        if (!fill(download, err)) return false;
        if (hub_part_verify(&download->part, got)) return true;
        if (!hub_part_restart(&download->part, err)) return false;
        hub_note(download->hub, "%s: wrong bytes came (hash %s, not %s)%s", name, got,
                 download->part.etag, times == 1 ? "; fetched once more" : "");
    }
    return err_set(err, ERR_NET,
                   "%s: the bytes that come are wrong: their hash is %s, the hub says %s; nothing "
                   "was kept",
                   name, got, download->part.etag);
}

static bool check_space(const char *folder, int64_t needed, Err *err)
{
    struct statvfs fs;
    if (statvfs(folder, &fs) != 0) return true;
    double free_bytes = (double)fs.f_bavail * (double)fs.f_frsize;
    if ((double)needed + SPARE_BYTES <= free_bytes) return true;
    return err_set(err, ERR_OUTPUT,
                   "%s: %.1f MB are needed there, %.1f MB are free; HF_HOME names another place",
                   folder, 1e-6 * (double)needed, 1e-6 * free_bytes);
}

/* Waits for the lock of a blob, which the hub's own client takes as well. -1 where locks cannot be had: parts are apart
 * without it too. *failed: stopped while waiting, and err is set. */
static int take_lock(const Hub *hub, const HubSnapshot *snapshot, const char *etag, bool *failed,
                     Err *err)
{
    char *repo = hub_repo_folder(hub->config, &snapshot->address);
    char *folder = str_format("%s/.locks/%s", hub->config->cache, file_base_name(repo));
    char *path = str_format("%s/%s.lock", folder, etag);
    *failed = !hub_make_cache(hub->config, folder, err);
    int fd = *failed ? -1 : open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    for (bool noted = false; fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0; noted = true) {
        if (errno != EWOULDBLOCK && errno != EINTR) break;
        if (!noted) hub_note(hub, "another program fetches %s; waiting for it", etag);
        *failed = !hub_goes_on(hub) && !err_set(err, ERR_CANCELLED, "stopped");
        if (*failed) break;
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
    if (*failed && fd >= 0) close(fd);
    free(path);
    free(folder);
    free(repo);
    return *failed ? -1 : fd;
}

static bool fetch_part(Download *download, const char *blobs, const char *blob, Err *err)
{
    const HubFile *file = download->file;
    HubPart *part = &download->part;
    if (!hub_part_open(blobs, file->etag, file->size, part, err)) return false;
    if (part->n_bytes > 0)
        hub_note(download->hub, "%s: continued at %lld of %lld bytes", file->name,
                 (long long)part->n_bytes, (long long)part->size);
    bool ok = check_space(blobs, part->size - part->n_bytes, err) && fill_rightly(download, err) &&
              hub_part_finish(part, blob, err);
    hub_part_close(part, !ok);
    return ok;
}

static bool fetch_file(Download *download, Err *err)
{
    HubFile *file = download->file;
    const HubSnapshot *snapshot = download->snapshot;
    char *blob = hub_blob_path(download->hub->config, &snapshot->address, file->etag);
    char *blobs = str_dup_n(blob, (size_t)(strrchr(blob, '/') - blob));
    bool failed = false;
    int lock = take_lock(download->hub, snapshot, file->etag, &failed, err);
    bool ok = !failed && file_make_dirs(blobs, err);
    if (ok && !hub_has_blob(download->hub->config, &snapshot->address, file->etag, file->size))
        ok = fetch_part(download, blobs, blob, err);
    file->is_here = ok;
    if (lock >= 0) close(lock);
    free(blobs);
    free(blob);
    return ok;
}

/* Names what is not here: at most five. */
static bool refuse_missing(const HubSnapshot *snapshot, Err *err)
{
    Buf names = {0};
    size_t n = 0;
    for (size_t i = 0; i < snapshot->n_files; i++) {
        const HubFile *file = &snapshot->files[i];
        if (!file->wanted || file->is_here) continue;
        if (n++ < 5) buf_printf(&names, "%s%s", n > 1 ? ", " : "", file->name);
    }
    err_set(err, ERR_NET, "%s: %zu of the files that are needed are not in the cache: %s%s; %s",
            snapshot->address.repo, n, buf_text(&names), n > 5 ? ", …" : "",
            snapshot->why ? snapshot->why : "HF_HUB_OFFLINE is set, so they are not fetched");
    buf_free(&names);
    return false;
}

static HubProgress progress_before(const HubSnapshot *snapshot)
{
    HubProgress progress = {0};
    for (size_t i = 0; i < snapshot->n_files; i++) {
        const HubFile *file = &snapshot->files[i];
        if (!file->wanted) continue;
        progress.n_total += file->size;
        if (file->is_here) progress.n_bytes += file->size;
    }
    return progress;
}

bool hub_fetch(Hub *hub, HubSnapshot *snapshot, Err *err)
{
    Download download = {.hub = hub, .snapshot = snapshot, .progress = progress_before(snapshot)};
    for (size_t i = 0; i < snapshot->n_files; i++) {
        HubFile *file = &snapshot->files[i];
        if (!file->wanted || file->is_here) continue;
        if (snapshot->from_cache) return refuse_missing(snapshot, err);
        download.file = file;
        download.progress.name = file->name;
        if (!hub_connect(hub, err) || !fetch_file(&download, err)) return false;
        download.progress.n_bytes += file->size;
    }
    return true;
}
