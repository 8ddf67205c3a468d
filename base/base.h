/* What every file may assume: fixed-width types, bool, and a few macros. */
#ifndef BASE_BASE_H
#define BASE_BASE_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The caller must look at the result. */
#define MUST_USE __attribute__((warn_unused_result))

/* printf-like: argument F is the format, A the first variable argument. */
#define PRINTF_LIKE(f, a) __attribute__((format(printf, f, a)))

/* Number of elements of an array (not of a pointer). */
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static inline int64_t min_i64(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static inline int64_t max_i64(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static inline int64_t clamp_i64(int64_t x, int64_t low, int64_t high)
{
    return min_i64(max_i64(x, low), high);
}

#endif
