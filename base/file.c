#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/str.h"

static const char *kind_of(mode_t mode)
{
    if (S_ISDIR(mode)) return "a folder";
    if (S_ISFIFO(mode)) return "a pipe";
    if (S_ISCHR(mode) || S_ISBLK(mode)) return "a device";
    if (S_ISSOCK(mode)) return "a socket";
    return "not a regular file";
}

/* Opens a regular file for reading; -1 and err otherwise. O_NONBLOCK keeps a pipe from hanging us
 * before it is refused. */
static int open_regular(const char *path, size_t *size, Err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        err_set(err, ERR_INPUT, "%s: cannot be opened: %s", path, strerror(errno));
        return -1;
    }
    struct stat st;
    if (fstat(fd, &st) != 0) {
        err_set(err, ERR_INPUT, "%s: cannot be examined: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode)) {
        err_set(err, ERR_INPUT, "%s: is %s; a regular file is needed", path, kind_of(st.st_mode));
    } else {
        *size = (size_t)st.st_size;
        return fd;
    }
    close(fd);
    return -1;
}

bool file_map(const char *path, FileMap *map, Err *err)
{
    *map = (FileMap){0};
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return false;
    bool ok = true;
    if (size > 0) {
        void *data = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (data == MAP_FAILED)
            ok = err_set(err, ERR_INPUT, "%s: cannot be mapped: %s", path, strerror(errno));
        else
            *map = (FileMap){.data = data, .size = size};
    }
    close(fd);
    return ok;
}

void file_unmap(FileMap *map)
{
    /* munmap takes a pointer to mutable memory; the map was made by us and is only given back. */
    if (map->data) munmap((void *)(uintptr_t)map->data, map->size); /* NOLINT(*-no-int-to-ptr) */
    *map = (FileMap){0};
}

/* Reads until end of file or max_bytes + 1 bytes, so that a file that grew is still refused. */
static bool read_fd(int fd, const char *path, size_t max_bytes, Buf *buf, Err *err)
{
    char block[1 << 16];
    size_t total = 0;
    for (;;) {
        ssize_t n = read(fd, block, sizeof block);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return err_set(err, ERR_INPUT, "%s: cannot be read: %s", path, strerror(errno));
        if (n == 0) return true;
        total += (size_t)n;
        if (total > max_bytes)
            return err_set(err, ERR_INPUT,
                           "%s: is larger than %zu bytes, the most that is read of such a file",
                           path, max_bytes);
        buf_append(buf, block, (size_t)n);
    }
}

bool file_read(const char *path, size_t max_bytes, Buf *buf, Err *err)
{
    size_t size;
    int fd = open_regular(path, &size, err);
    if (fd < 0) return false;
    size_t before = buf->len;
    bool ok = read_fd(fd, path, max_bytes, buf, err);
    if (!ok) buf->len = before;
    close(fd);
    return ok;
}

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t done = write(fd, bytes, n);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return false;
        bytes += done;
        n -= (size_t)done;
    }
    return true;
}

/* Makes a rename in the folder of `path` durable. Failure is not an error: some file systems
 * cannot. */
static void sync_folder(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = slash ? str_dup_n(path, (size_t)(slash - path) + 1) : str_dup(".");
    int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        fsync(fd);
        close(fd);
    }
    free(folder);
}

/* Fills a new file and closes it; errno tells why it failed. */
static bool fill(int fd, const char *bytes, size_t n, mode_t mode)
{
    bool ok = write_all(fd, bytes, n) && fchmod(fd, mode) == 0 && fsync(fd) == 0;
    int reason = errno;
    if (close(fd) != 0) return false;
    errno = reason;
    return ok;
}

bool file_write_atomic(const char *path, const void *bytes, size_t n, Err *err)
{
    struct stat st;
    bool is_there = stat(path, &st) == 0;
    if (is_there && !S_ISREG(st.st_mode))
        return err_set(err, ERR_OUTPUT, "%s: is %s; nothing was written", path,
                       kind_of(st.st_mode));
    /* A link stays a link, and what it leads to is replaced. */
    char *real = realpath(path, NULL);
    const char *target = real ? real : path;
    char *temporary = str_format("%s.XXXXXX", target);
    int fd = mkstemp(temporary);
    bool ok = fd >= 0 && fill(fd, bytes, n, is_there ? st.st_mode & 0777 : 0644) &&
              rename(temporary, target) == 0;
    if (ok) {
        sync_folder(target);
    } else {
        err_set(err, ERR_OUTPUT, "%s: cannot be written: %s; the old file, if any, is untouched",
                path, strerror(errno));
        if (fd >= 0) unlink(temporary);
    }
    free(temporary);
    free(real);
    return ok;
}

static bool make_dir(const char *path, Err *err)
{
    if (mkdir(path, 0777) == 0) return true;
    int reason = errno;
    return file_is_dir(path) ||
           err_set(err, ERR_OUTPUT, "%s: the folder cannot be made: %s", path, strerror(reason));
}

bool file_make_dirs(const char *path, Err *err)
{
    char *part = str_dup(path);
    size_t n = strlen(path);
    bool ok = true;
    for (size_t i = 1; ok && i <= n; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        part[i] = '\0';
        ok = make_dir(part, err);
        part[i] = path[i];
    }
    free(part);
    return ok;
}

bool file_exists(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0;
}

bool file_is_dir(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

char *file_join(const char *folder, const char *name)
{
    const char *slash = str_ends_with(folder, "/") ? "" : "/";
    return str_format("%s%s%s", folder, slash, name);
}

const char *file_base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool file_list_dir(const char *path, char ***names, size_t *n, Err *err)
{
    DIR *dir = opendir(path);
    if (!dir) return err_set(err, ERR_INPUT, "%s: cannot be listed: %s", path, strerror(errno));
    char **list = NULL;
    size_t count = 0;
    struct dirent *entry;
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.') continue;
        char *full = file_join(path, entry->d_name);
        struct stat st;
        bool regular = stat(full, &st) == 0 && S_ISREG(st.st_mode);
        free(full);
        if (!regular) continue;
        list = mem_realloc(list, count + 1, sizeof *list);
        list[count++] = str_dup(entry->d_name);
    }
    closedir(dir);
    if (count) qsort(list, count, sizeof *list, compare_names);
    *names = list;
    *n = count;
    return true;
}
