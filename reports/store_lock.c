/* Two things guard a database against a second writer.
 *
 * flock() on `<database>.lock` decides among processes of one machine. The kernel drops it when its holder dies, however it
 * dies, so that nothing has to be cleaned up after kill -9.
 *
 * The line in the file names the holder: pid, start of that process in clock ticks since boot, UTC time, host. It makes the message
 * that a second writer sees, and it guards the case that flock() does not reach: a network file system which two machines share. Whoever
 * gets the flock reads the line that is left:
 *
 *   empty                                      take
 *   this host, no process of that pid + start  its writer died: take
 *   this host, that process lives              the file system ignores flock(): refuse
 *   another host                               cannot be asked: refuse, and say which file to delete when it is known dead
 *
 * The file is removed on release. Another process may have opened it just before, and would then lock a file without a name; so after the
 * flock the name must still lead to the file that was locked, else try again. */
#include "reports/store_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

enum { HOST_SIZE = 256 };

typedef struct {
    int64_t pid;
    int64_t start; /* clock ticks since boot */
    char since[CLOCK_UTC_SIZE];
    char host[HOST_SIZE];
} Holder;

/* Start of a process in clock ticks since boot; -1 when it does not live. Source: proc(5), field 22 of /proc/pid/stat. */
static int64_t process_start(int64_t pid)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    FILE *file = fopen(path, "re");
    if (!file) return -1;
    char line[1024];
    char *got = fgets(line, sizeof line, file);
    fclose(file);
    /* Field 2 is the program's name in brackets and may hold spaces and brackets itself. */
    char *at = got ? strrchr(line, ')') : NULL;
    for (int field = 2; at && field < 22; field++) {
        at = strchr(at, ' ');
        if (at) at++;
    }
    return at ? strtoll(at, NULL, 10) : -1;
}

static void this_host(char host[HOST_SIZE])
{
    if (gethostname(host, HOST_SIZE) != 0) snprintf(host, HOST_SIZE, "unknown");
    host[HOST_SIZE - 1] = '\0';
}

/* False when the file holds no line of ours. */
static bool read_holder(int fd, Holder *holder)
{
    char text[512];
    ssize_t n = pread(fd, text, sizeof text - 1, 0);
    if (n <= 0) return false;
    text[n] = '\0';
    char pid[24];
    char start[24];
    return sscanf(text, "pid %23s start %23s since %20s host %255s", pid, start, holder->since,
                  holder->host) == 4 &&
           str_to_i64(pid, &holder->pid) && str_to_i64(start, &holder->start);
}

static bool write_holder(int fd)
{
    char since[CLOCK_UTC_SIZE];
    char host[HOST_SIZE];
    clock_utc(since);
    this_host(host);
    char *line = str_format("pid %lld start %lld since %s host %s\n", (long long)getpid(),
                            (long long)process_start(getpid()), since, host);
    size_t n = strlen(line);
    bool ok = ftruncate(fd, 0) == 0 && pwrite(fd, line, n, 0) == (ssize_t)n;
    free(line);
    return ok;
}

static bool refuse(const char *db_path, const StoreLock *lock, const Holder *holder, Err *err)
{
    char host[HOST_SIZE];
    this_host(host);
    if (str_equal(host, holder->host))
        return err_set(
            err, ERR_STORE,
            "%s: in use by pid %lld on host %s since %s; wait for it, or use another --db", db_path,
            (long long)holder->pid, holder->host, holder->since);
    return err_set(
        err, ERR_STORE,
        "%s: in use by pid %lld on host %s since %s; if that process is gone, delete %s and rerun",
        db_path, (long long)holder->pid, holder->host, holder->since, lock->path);
}

/* Whether the holder that the file names can be ruled out; we have the flock. */
static bool holder_is_gone(const Holder *holder)
{
    char host[HOST_SIZE];
    this_host(host);
    return str_equal(host, holder->host) && process_start(holder->pid) != holder->start;
}

static bool still_named(const StoreLock *lock)
{
    struct stat by_fd;
    struct stat by_name;
    return fstat(lock->fd, &by_fd) == 0 && stat(lock->path, &by_name) == 0 &&
           by_fd.st_ino == by_name.st_ino && by_fd.st_dev == by_name.st_dev;
}

static void drop(StoreLock *lock)
{
    if (lock->fd > 0) close(lock->fd);
    lock->fd = 0;
}

/* One try. *again is set when the file lost its name meanwhile. */
static bool try_lock(const char *db_path, StoreLock *lock, bool *again, Err *err)
{
    *again = false;
    lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
    if (lock->fd < 0)
        return err_set(
            err, ERR_STORE,
            "%s: the lock file cannot be made: %s; a sweep needs a folder that it may write to",
            lock->path, strerror(errno));
    Holder holder = {.since = "an unknown time", .host = "unknown"};
    if (flock(lock->fd, LOCK_EX | LOCK_NB) != 0) {
        this_host(holder.host);
        read_holder(lock->fd, &holder);
        return refuse(db_path, lock, &holder, err);
    }
    *again = !still_named(lock);
    if (*again) return false;
    if (read_holder(lock->fd, &holder) && !holder_is_gone(&holder))
        return refuse(db_path, lock, &holder, err);
    if (write_holder(lock->fd)) return true;
    return err_set(err, ERR_STORE, "%s: the lock file cannot be written: %s", lock->path,
                   strerror(errno));
}

bool store_lock_take(const char *db_path, StoreLock *lock, Err *err)
{
    *lock = (StoreLock){.path = str_format("%s.lock", db_path)};
    for (;;) {
        bool again;
        if (try_lock(db_path, lock, &again, err)) return true;
        drop(lock);
        if (again) continue;
        free(lock->path);
        *lock = (StoreLock){0};
        return false;
    }
}

void store_lock_release(StoreLock *lock)
{
    if (lock->fd > 0) unlink(lock->path);
    drop(lock);
    free(lock->path);
    *lock = (StoreLock){0};
}
