#include "base/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { CACHE_LINE_BYTES = 64, HUGE_PAGE_BYTES = 2 << 20 };

bool size_mul(size_t a, size_t b, size_t *out)
{
    return !__builtin_mul_overflow(a, b, out);
}

bool size_add(size_t a, size_t b, size_t *out)
{
    return !__builtin_add_overflow(a, b, out);
}

__attribute__((weak)) _Noreturn void mem_exhausted(size_t bytes)
{
    (void)bytes;
    abort();
}

/* malloc(0) may be NULL; one byte keeps "never NULL" true. */
static size_t checked_bytes(size_t n, size_t size)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes)) mem_exhausted(SIZE_MAX);
    return bytes ? bytes : 1;
}

void *mem_alloc(size_t n, size_t size)
{
    size_t bytes = checked_bytes(n, size);
    void *p = malloc(bytes);
    if (!p) mem_exhausted(bytes);
    return p;
}

void *mem_zalloc(size_t n, size_t size)
{
    size_t bytes = checked_bytes(n, size);
    void *p = calloc(1, bytes);
    if (!p) mem_exhausted(bytes);
    return p;
}

void *mem_realloc(void *old, size_t n, size_t size)
{
    size_t bytes = checked_bytes(n, size);
    void *p = realloc(old, bytes);
    if (!p) mem_exhausted(bytes);
    return p;
}

void *mem_dup(const void *bytes, size_t n)
{
    void *p = mem_alloc(n, 1);
    if (n) memcpy(p, bytes, n);
    return p;
}

void *mem_alloc_large(size_t n, size_t size, const char *what, Err *err)
{
    size_t bytes;
    if (!size_mul(n, size, &bytes) || bytes > SIZE_MAX - HUGE_PAGE_BYTES) { /* to round up in */
        err_set(err, ERR_NOMEM, "%s: %zu x %zu bytes is more than an address can hold", what, n,
                size);
        return NULL;
    }
    size_t unit = bytes < HUGE_PAGE_BYTES ? CACHE_LINE_BYTES : HUGE_PAGE_BYTES;
    bytes = bytes ? (bytes + unit - 1) / unit * unit : unit;
    void *p = aligned_alloc(unit, bytes);
    if (!p) {
        err_set(err, ERR_NOMEM, "out of memory: %s needs %.1f MB", what, (double)bytes / 1e6);
        return NULL;
    }
    if (unit == HUGE_PAGE_BYTES) madvise(p, bytes, MADV_HUGEPAGE);
    return memset(p, 0, bytes);
}

/* First integer after `key` in a small text file; SIZE_MAX if there is none (cgroup writes "max"
 * for no limit). */
static size_t read_number(const char *path, const char *key)
{
    FILE *f = fopen(path, "r");
    if (!f) return SIZE_MAX;
    char line[256];
    size_t found = SIZE_MAX;
    while (found == SIZE_MAX && fgets(line, sizeof line, f)) {
        size_t key_len = strlen(key);
        if (strncmp(line, key, key_len) != 0) continue;
        char *end;
        unsigned long long v = strtoull(line + key_len, &end, 10);
        if (end != line + key_len) found = (size_t)v;
    }
    fclose(f);
    return found;
}

size_t mem_available(void)
{
    size_t kb = read_number("/proc/meminfo", "MemAvailable:");
    size_t machine = kb == SIZE_MAX ? SIZE_MAX : kb * 1024;
    size_t limit = read_number("/sys/fs/cgroup/memory.max", "");
    size_t used = read_number("/sys/fs/cgroup/memory.current", "");
    if (limit == SIZE_MAX || used == SIZE_MAX) return machine;
    size_t left = limit > used ? limit - used : 0;
    return left < machine ? left : machine;
}
