/* The readers of texts: gzip of any bytes, and records of any bytes. */
#include <stdlib.h>
#include <string.h>

#include "datasets/text_file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_UNPACKED = 1 << 20 };

static bool look(void *context, const char *text, size_t n, Err *err)
{
    size_t *total = context;
    (void)err;
    if (strlen(text) != n) abort(); /* a NUL is no text of JSON as it is read here */
    *total += n;
    return true;
}

static void read_records(const char *text, size_t n)
{
    Err err;
    size_t total = 0;
    /* Escapes make a text shorter, never longer. */
    if (text_each_record(text, n, NULL, look, &total, &err) && total > n) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    Buf out = {0};
    Err err;
    if (text_unpack(data, size, MAX_UNPACKED, &out, &err)) read_records(buf_text(&out), out.len);
    if (out.len > MAX_UNPACKED) abort();
    read_records((const char *)data, size);
    buf_free(&out);
    return 0;
}
