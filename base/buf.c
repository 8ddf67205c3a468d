#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* Room for n more bytes and a terminator. */
static void reserve(Buf *buf, size_t n)
{
    size_t need;
    if (!size_add(buf->len, n, &need) || !size_add(need, 1, &need)) mem_exhausted(SIZE_MAX);
    if (need <= buf->cap) return;
    size_t cap = buf->cap < 64 ? 64 : buf->cap;
    while (cap < need && cap < SIZE_MAX / 2)
        cap += cap / 2;
    if (cap < need) cap = need;
    buf->data = mem_realloc(buf->data, cap, 1);
    buf->cap = cap;
}

void buf_append(Buf *buf, const void *bytes, size_t n)
{
    reserve(buf, n);
    if (n) memcpy(buf->data + buf->len, bytes, n);
    buf->len += n;
}

void buf_puts(Buf *buf, const char *s)
{
    buf_append(buf, s, strlen(s));
}

void buf_putc(Buf *buf, char c)
{
    buf_append(buf, &c, 1);
}

void buf_printf(Buf *buf, const char *format, ...)
{
    va_list args;
    va_list again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    assert(n >= 0);
    reserve(buf, (size_t)n);
    vsnprintf(buf->data + buf->len, (size_t)n + 1, format, again);
    va_end(again);
    buf->len += (size_t)n;
}

const char *buf_text(Buf *buf)
{
    reserve(buf, 0);
    buf->data[buf->len] = '\0';
    return buf->data;
}

char *buf_steal(Buf *buf)
{
    buf_text(buf);
    char *text = buf->data;
    *buf = (Buf){0};
    return text;
}

void buf_clear(Buf *buf)
{
    buf->len = 0;
}

void buf_free(Buf *buf)
{
    free(buf->data);
    *buf = (Buf){0};
}
