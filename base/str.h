/* Strings: copies, numbers in and out, escaping, and the distance behind "did you mean". */
#ifndef BASE_STR_H
#define BASE_STR_H

#include "base/base.h"

/* A copy of a NUL-terminated string; never NULL. Free with free(). */
char *str_dup(const char *s);

/* The first n bytes of s as a new NUL-terminated string. Free with free(). */
char *str_dup_n(const char *s, size_t n);

/* printf into a new string; never NULL. Free with free(). */
char *str_format(const char *format, ...) PRINTF_LIKE(1, 2);

bool str_equal(const char *a, const char *b);
bool str_starts_with(const char *s, const char *prefix);
bool str_ends_with(const char *s, const char *suffix);

/* Number of single-byte edits (insert, delete, change) between two strings; strings over 63 bytes
 * count as far apart. */
int str_distance(const char *a, const char *b);

/* Reads the whole of s as a finite decimal number, in any locale. False on anything else. */
bool str_to_double(const char *s, double *out) MUST_USE;

/* Reads the whole of s as a decimal integer. False on anything else or when it does not fit. */
bool str_to_i64(const char *s, int64_t *out) MUST_USE;

/* As str_to_i64, with an optional suffix k or m (x 1024, x 1048576): a length such as 4k. */
bool str_to_size(const char *s, int64_t *out) MUST_USE;

/* Copies at most n bytes of `bytes` into out (capacity cap, always terminated) with control
 * bytes, invalid UTF-8 and bidirectional control characters written as \xNN, so that hostile text
 * can be printed. A text that does not fit is cut at a character and ends in "…". */
void str_escape(const char *bytes, size_t n, char *out, size_t cap);

/* Length in bytes (1 to 4) of the well-formed UTF-8 character at s, of which n bytes are
 * readable; 0 if ill-formed.
 * Source: Unicode 15, table 3-7. codepoint may be NULL. */
int str_utf8_char(const char *s, size_t n, uint32_t *codepoint);

/* Writes a code point as UTF-8 (1 to 4 bytes) and returns the length. */
int str_utf8_put(uint32_t codepoint, char out[4]);

/* The shortest decimal text that reads back as exactly v ("0.1", "2048", "1e-05"): the one way numbers
 * enter keys and reports. out needs 32 bytes. */
void str_from_double(double v, char out[32]);

#endif
