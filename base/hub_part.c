/* A blob on its way: bytes in a file of this process alone, hashed as they come.
 *
 * The lock that the hub's client and we take (see hub_download.c) may lie on a network file system, so it is not what keeps
 * two downloads apart: a file's name holds host and process, and nobody writes to the file of a living one. A file
 * is taken up, by renaming it, when its process is dead or, on another host, when it has not grown for ABANDONED_S: a
 * living download is given up by itself long before. Then its bytes are hashed again, since the hash of a run dies with it. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/hub_internal.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

enum {
    HOST_BYTES = 64,
    ABANDONED_S = 900,
    MAX_SIDECAR_BYTES = 4096,
    MAX_VALIDATOR = 256,
};

static const char part_end[] = ".rw.incomplete";
static const char sidecar_end[] = ".rw.json.incomplete";

/* This host's name as a part of file names. */
static void host_name(char out[HOST_BYTES])
{
    if (gethostname(out, HOST_BYTES) != 0) snprintf(out, HOST_BYTES, "host");
    out[HOST_BYTES - 1] = '\0';
    for (char *c = out; *c; c++)
        if (*c == '/' || *c == '.') *c = '_';
}

/* "blobs/<etag>.<host>-<pid>" of this process. */
static char *own_stem(const char *blobs, const char *etag)
{
    char host[HOST_BYTES];
    host_name(host);
    return str_format("%s/%s.%s-%ld", blobs, etag, host, (long)getpid());
}

/* owner: n bytes, "<host>-<pid>". */
static bool is_abandoned(const struct stat *st, const char *owner, size_t n)
{
    char host[HOST_BYTES];
    host_name(host);
    size_t n_host = strlen(host);
    if (n <= n_host || memcmp(owner, host, n_host) != 0 || owner[n_host] != '-')
        return time(NULL) - st->st_mtime > ABANDONED_S;
    char *digits = str_dup_n(owner + n_host + 1, n - n_host - 1);
    int64_t pid;
    bool dead = str_to_i64(digits, &pid) && pid > 0 && pid <= INT32_MAX &&
                (pid == getpid() || (kill((pid_t)pid, 0) != 0 && errno == ESRCH));
    free(digits);
    return dead;
}

/* Bytes of a part of this blob that nobody works on; 0 if the file is none. */
static off_t abandoned_bytes(const char *blobs, const char *name, const char *etag)
{
    struct stat st;
    size_t head = strlen(etag), tail = strlen(part_end), n = strlen(name);
    if (!str_starts_with(name, etag) || n <= head + 1 + tail || name[head] != '.' ||
        !str_ends_with(name, part_end))
        return 0;
    char *path = file_join(blobs, name);
    bool is_ours = lstat(path, &st) == 0 && S_ISREG(st.st_mode) &&
                   is_abandoned(&st, name + head + 1, n - head - 1 - tail);
    free(path);
    return is_ours ? st.st_size : 0;
}

/* The longest such part, as its stem, or NULL. */
static char *find_abandoned(const char *blobs, const char *etag)
{
    char **names = NULL;
    size_t n = 0;
    Err absent;
    char *best = NULL;
    off_t longest = 0;
    if (!file_list_dir(blobs, &names, &n, &absent)) return NULL;
    for (size_t i = 0; i < n; i++) {
        off_t n_bytes = abandoned_bytes(blobs, names[i], etag);
        if (n_bytes > longest) {
            longest = n_bytes;
            free(best);
            best =
                str_format("%s/%.*s", blobs, (int)(strlen(names[i]) - strlen(part_end)), names[i]);
        }
        free(names[i]);
    }
    free(names);
    return best;
}

/* Renames an abandoned part to this process's name; the rename is what only one can do. */
static void take_up(const char *blobs, const HubPart *part)
{
    char *stem = find_abandoned(blobs, part->etag);
    if (!stem) return;
    char *path = str_format("%s%s", stem, part_end);
    char *sidecar = str_format("%s%s", stem, sidecar_end);
    if (!str_equal(path, part->path) && rename(path, part->path) == 0 &&
        rename(sidecar, part->sidecar) != 0)
        unlink(part->sidecar); /* of an earlier part of ours: not about these bytes */
    free(sidecar);
    free(path);
    free(stem);
}

/* The note of a part: whose bytes they are, and of which size; false when they are not of this blob. */
static bool read_sidecar(HubPart *part)
{
    JsonLimits limits = {.max_bytes = MAX_SIDECAR_BYTES};
    Err unreadable;
    json_t *note = json_parse_file(part->sidecar, &limits, &unreadable);
    const char *etag = json_string_value(json_object_get(note, "etag"));
    const char *validator = json_string_value(json_object_get(note, "validator"));
    const json_t *size = json_object_get(note, "size");
    bool ok = etag && str_equal(etag, part->etag) && json_is_integer(size) &&
              json_integer_value(size) == part->size;
    free(part->validator);
    part->validator = ok && validator ? str_dup(validator) : NULL;
    json_decref(note);
    return ok;
}

static HashStream *open_hash(const HubPart *part)
{
    bool is_git = strlen(part->etag) == HUB_COMMIT_SIZE - 1;
    return is_git ? hash_open_git_blob(part->size) : hash_open();
}

static bool fail_write(const HubPart *part, int reason, Err *err)
{
    if (reason == ENOSPC || reason == EDQUOT)
        return err_set(err, ERR_OUTPUT,
                       "%s: the disk is full; %lld of %lld bytes are kept: free some space and run "
                       "the same command again",
                       part->path, (long long)part->n_bytes, (long long)part->size);
    return err_set(err, ERR_OUTPUT, "%s: cannot be written: %s", part->path, strerror(reason));
}

bool hub_part_restart(HubPart *part, Err *err)
{
    char unused[HASH_HEX_SIZE];
    if (part->hash) hash_close(part->hash, unused);
    part->hash = open_hash(part);
    part->n_bytes = 0;
    free(part->validator);
    part->validator = NULL;
    if (ftruncate(part->fd, 0) == 0 && lseek(part->fd, 0, SEEK_SET) == 0) return true;
    return fail_write(part, errno, err);
}

/* Hashes what an earlier run left. */
static bool read_again(HubPart *part, Err *err)
{
    char block[1 << 16];
    ssize_t n;
    while ((n = read(part->fd, block, sizeof block)) > 0) {
        part->n_bytes += n;
        if (part->n_bytes > part->size) return hub_part_restart(part, err);
        hash_add(part->hash, block, (size_t)n);
    }
    return n == 0 || hub_part_restart(part, err);
}

bool hub_part_open(const char *blobs, const char *etag, int64_t size, HubPart *part, Err *err)
{
    char *stem = own_stem(blobs, etag);
    *part = (HubPart){.size = size, .etag = str_dup(etag)};
    part->path = str_format("%s%s", stem, part_end);
    part->sidecar = str_format("%s%s", stem, sidecar_end);
    free(stem);
    take_up(blobs, part);
    part->hash = open_hash(part);
    part->fd = open(part->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    bool ok = part->fd >= 0 || fail_write(part, errno, err);
    ok = ok && (read_sidecar(part) ? read_again(part, err) : hub_part_restart(part, err));
    if (!ok) hub_part_close(part, true);
    return ok;
}

bool hub_part_note(HubPart *part, const char *validator, Err *err)
{
    /* A weak one promises the meaning of a page, not its bytes. */
    bool strong = validator && validator[0] == '"' && strlen(validator) <= MAX_VALIDATOR;
    free(part->validator);
    part->validator = strong ? str_dup(validator) : NULL;
    json_t *note = json_pack("{s:s, s:I, s:s?}", "etag", part->etag, "size", (json_int_t)part->size,
                             "validator", part->validator);
    char *text = note ? json_dumps(note, JSON_INDENT(1)) : NULL;
    json_decref(note);
    /* A validator that is no UTF-8 makes no JSON and is not worth a note of its own. */
    if (!text) return hub_part_note(part, NULL, err);
    bool ok = file_write_atomic(part->sidecar, text, strlen(text), err);
    free(text);
    return ok;
}

bool hub_part_add(HubPart *part, const void *bytes, size_t n, Err *err)
{
    if ((int64_t)n > part->size - part->n_bytes)
        return err_set(err, ERR_NET, "the server sends more than the %lld bytes of the file",
                       (long long)part->size);
    const char *at = bytes;
    while (n > 0) {
        ssize_t done = write(part->fd, at, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return fail_write(part, errno, err);
        hash_add(part->hash, at, (size_t)done);
        part->n_bytes += done;
        at += done;
        n -= (size_t)done;
    }
    return true;
}

bool hub_part_verify(HubPart *part, char got[HASH_HEX_SIZE])
{
    hash_close(part->hash, got);
    part->hash = NULL;
    return str_equal(got, part->etag);
}

bool hub_part_finish(HubPart *part, const char *blob, Err *err)
{
    struct stat st;
    if (fsync(part->fd) != 0 || fstat(part->fd, &st) != 0) return fail_write(part, errno, err);
    if (st.st_size != part->size)
        return err_set(err, ERR_OUTPUT, "%s: another program writes to this file", part->path);
    if (rename(part->path, blob) != 0)
        return err_set(err, ERR_OUTPUT, "%s: cannot be renamed to %s: %s", part->path, blob,
                       strerror(errno));
    return true;
}

void hub_part_close(HubPart *part, bool keep)
{
    char unused[HASH_HEX_SIZE];
    if (part->hash) hash_close(part->hash, unused);
    if (part->fd >= 0) close(part->fd);
    if (!keep || part->n_bytes == 0) {
        unlink(part->path);
        unlink(part->sidecar);
    }
    free(part->path);
    free(part->sidecar);
    free(part->etag);
    free(part->validator);
    *part = (HubPart){.fd = -1};
}
