/* Memory: checked sizes, small allocations that cannot fail, large ones that report.
 *
 * A size that comes from a file is checked before it is computed with (size_mul, size_add), and
 * bounded before anything is allocated from it. Small allocations end the program through
 * mem_exhausted() when there is no memory; large, planned ones (KV cache, scratch, converted
 * weights) go through mem_alloc_large() and come back as an error. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include "base/err.h"

/* a * b into *out; false when it overflows. */
bool size_mul(size_t a, size_t b, size_t *out) MUST_USE;

/* a + b into *out; false when it overflows. */
bool size_add(size_t a, size_t b, size_t *out) MUST_USE;

/* n * size bytes, uninitialised; never NULL. Free with free(). */
void *mem_alloc(size_t n, size_t size);

/* n * size zero bytes; never NULL. Free with free(). */
void *mem_zalloc(size_t n, size_t size);

/* Resizes to n * size bytes; never NULL. */
void *mem_realloc(void *old, size_t n, size_t size);

/* A copy of n bytes; never NULL. */
void *mem_dup(const void *bytes, size_t n);

/* n * size zero bytes on a 64-byte boundary, for a planned large block; from 2 MiB on, in huge pages where the system grants
 * them, and up to a multiple of these. `what` names it in the message.
 * Errors: NOMEM. Free with free(). */
void *mem_alloc_large(size_t n, size_t size, const char *what, Err *err) MUST_USE;

/* Bytes of memory this process may still take: the smaller of MemAvailable and what its cgroup
 * leaves. SIZE_MAX if unknown. */
size_t mem_available(void);

/* Called when a small allocation fails; bytes is what was asked for. The default aborts. A program
 * may define its own function of this name, which must not return. */
_Noreturn void mem_exhausted(size_t bytes);

#endif
