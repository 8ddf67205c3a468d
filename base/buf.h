/* A growable byte buffer. data is NULL until something is appended; buf_text() is always
 * NUL-terminated. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/base.h"

typedef struct {
    char *data;
    size_t len;
    size_t cap;
} Buf;

void buf_append(Buf *buf, const void *bytes, size_t n);
void buf_puts(Buf *buf, const char *s);
void buf_putc(Buf *buf, char c);
void buf_printf(Buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Lends the content as a NUL-terminated string; valid until the next append. */
const char *buf_text(Buf *buf);

/* Gives the content away as a NUL-terminated string (free with free()) and empties the buffer. */
char *buf_steal(Buf *buf);

/* Forgets the content, keeps the memory. */
void buf_clear(Buf *buf);

void buf_free(Buf *buf);

#endif
